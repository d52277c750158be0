/* SPDX-License-Identifier: MIT */
/* The devices of docs/write-a-device.md: adder as a guest sees it, virtio-upper through a driver.
 */
#include "virtio_fixture.h"

#include "examples/adder.h"
#include "examples/virtio_upper.h"

/* ---- adder */

enum {
    BAR = 0x40000000,
    ID = 0x00,
    A = 0x04,
    B = 0x08,
    START = 0x0c,
    SUM = 0x10,
    STATUS = 0x14,
    INT_ENABLE = 0x18,
    DONE = 1,
    OVERFLOW = 2,
    SLOT = 3, /* its INTA# is wired to input (SLOT + 0) % 4 */
};

static struct pci_device *plug_adder(struct fixture *f, const char *properties)
{
    struct pci_device *device = plug(f, &adder_type, properties);
    pci_host_reset(&f->host);
    pci_config_write(device, PCI_BASE_ADDRESS_0, 4, BAR);
    set_command(f, device, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    return device;
}

static uint32_t adder_get(struct fixture *f, unsigned offset)
{
    return (uint32_t)mem_read(f, BAR + offset, 4);
}

static void adder_put(struct fixture *f, unsigned offset, uint32_t value)
{
    bus_write(&f->memory, BAR + offset, 4, value);
}

static void sum_up(struct fixture *f, uint32_t a, uint32_t b)
{
    adder_put(f, A, a);
    adder_put(f, B, b);
    adder_put(f, START, 1);
}

static bool intx(const struct fixture *f)
{
    return f->irq.level[TEST_GSI + SLOT];
}

static void test_adder_identity(void **state)
{
    struct fixture *f = *state;
    struct pci_device *device = plug_adder(f, "addr=3");
    assert_int_equal(pci_config_read(device, PCI_VENDOR_ID, 4), 0xadd11234);
    assert_int_equal(pci_config_read(device, PCI_CLASS_REVISION, 4), 0xff000001);
    assert_int_equal(pci_config_read(device, PCI_INTERRUPT_PIN, 1), 1);
    pci_config_write(device, PCI_BASE_ADDRESS_0, 4, 0xffffffff);
    assert_int_equal(pci_config_read(device, PCI_BASE_ADDRESS_0, 4), 0xfffff000);
}

static void test_adder_adds(void **state)
{
    struct fixture *f = *state;
    plug_adder(f, "addr=3");
    assert_int_equal(adder_get(f, ID), 0xadde0001);
    assert_int_equal(adder_get(f, STATUS), 0);
    sum_up(f, 3, 4);
    assert_int_equal(adder_get(f, SUM), 7);
    assert_int_equal(adder_get(f, STATUS), DONE);
    sum_up(f, 0xffffffff, 2);
    assert_int_equal(adder_get(f, SUM), 1);
    assert_int_equal(adder_get(f, STATUS), DONE | OVERFLOW);
    assert_int_equal(adder_get(f, A), 0xffffffff);
    assert_int_equal(adder_get(f, B), 2);
    adder_put(f, STATUS, DONE);
    assert_int_equal(adder_get(f, STATUS), OVERFLOW);
    sum_up(f, 1, 1);
    assert_int_equal(adder_get(f, STATUS), DONE);
    assert_false(intx(f)); /* nobody asked for an interrupt */
}

static void test_adder_bits(void **state)
{
    struct fixture *f = *state;
    plug_adder(f, "addr=3,bits=8");
    sum_up(f, 200, 55);
    assert_int_equal(adder_get(f, SUM), 255);
    assert_int_equal(adder_get(f, STATUS), DONE);
    sum_up(f, 200, 100);
    assert_int_equal(adder_get(f, SUM), 44);
    assert_int_equal(adder_get(f, STATUS), DONE | OVERFLOW);
    struct error err = {0};
    assert_int_equal(create(f, &adder_type, "bits=33", &err), -ERANGE);
    assert_int_equal(create(f, &adder_type, "bits=0", &err), -ERANGE);
}

static void test_adder_odd_accesses(void **state)
{
    struct fixture *f = *state;
    plug_adder(f, "addr=3");
    sum_up(f, 3, 4);
    for (unsigned offset = 0x1c; offset < 0x1000; offset += 4) {
        adder_put(f, offset, 0xffffffff);
        assert_int_equal(adder_get(f, offset), 0);
    }
    adder_put(f, ID, 0);
    adder_put(f, SUM, 0);
    assert_int_equal(adder_get(f, ID), 0xadde0001);
    assert_int_equal(adder_get(f, SUM), 7);
    assert_int_equal(adder_get(f, START), 0);
    assert_int_equal(mem_read(f, BAR + SUM, 1), 0xff);
    assert_int_equal(mem_read(f, BAR + SUM, 2), 0xffff);
    assert_int_equal(mem_read(f, BAR + SUM, 8), UINT64_MAX);
    assert_int_equal(mem_read(f, BAR + SUM + 2, 4), UINT32_MAX);
    bus_write(&f->memory, BAR + A, 1, 9);
    bus_write(&f->memory, BAR + A, 8, 9);
    bus_write(&f->memory, BAR + A + 2, 4, 9);
    assert_int_equal(adder_get(f, A), 3);
    assert_int_equal(adder_get(f, B), 4);
}

static void test_adder_intx(void **state)
{
    struct fixture *f = *state;
    plug_adder(f, "addr=3");
    adder_put(f, INT_ENABLE, 0xffffffff);
    assert_int_equal(adder_get(f, INT_ENABLE), 1);
    assert_false(intx(f));
    sum_up(f, 3, 4);
    assert_true(intx(f)); /* a level: until it is acknowledged, however long that takes */
    sum_up(f, 3, 4);
    assert_true(intx(f));
    adder_put(f, STATUS, OVERFLOW);
    assert_true(intx(f));
    adder_put(f, STATUS, DONE);
    assert_false(intx(f));
    sum_up(f, 3, 4);
    adder_put(f, INT_ENABLE, 0);
    assert_false(intx(f));
    adder_put(f, INT_ENABLE, 1);
    assert_true(intx(f));
    assert_int_equal(f->irq.raised, 0);
}

/* The MSI capability was added last, so it is the first of the list. */
static void enable_msi(struct pci_device *device)
{
    unsigned msi = pci_config_read(device, PCI_CAPABILITY_LIST, 1);
    assert_int_equal(pci_config_read(device, msi, 1), PCI_CAP_ID_MSI);
    assert_int_equal(pci_config_read(device, msi + PCI_MSI_FLAGS, 2), PCI_MSI_FLAGS_64BIT);
    pci_config_write(device, msi + PCI_MSI_ADDRESS_LO, 4, 0xfee00000);
    pci_config_write(device, msi + PCI_MSI_DATA_64, 2, 0x4021);
    pci_config_write(device, msi + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE);
}

static void test_adder_msi(void **state)
{
    struct fixture *f = *state;
    enable_msi(plug_adder(f, "addr=3"));
    sum_up(f, 3, 4);
    assert_int_equal(f->irq.raised, 0); /* not enabled in the device */
    adder_put(f, INT_ENABLE, 1);
    sum_up(f, 3, 4);
    sum_up(f, 3, 4);
    assert_int_equal(f->irq.raised, 2); /* one for each, acknowledged or not */
    assert_int_equal(f->irq.last_message.data, 0x4021);
    assert_int_equal(f->irq.last_device, SLOT << 3);
    assert_false(intx(f));
}

static void test_adder_reset(void **state)
{
    struct fixture *f = *state;
    struct pci_device *device = plug_adder(f, "addr=3,bits=8");
    adder_put(f, INT_ENABLE, 1);
    sum_up(f, 200, 100);
    assert_true(intx(f));
    pci_device_reset(device, "flr");
    assert_false(intx(f));
    pci_config_write(device, PCI_BASE_ADDRESS_0, 4, BAR);
    set_command(f, device, PCI_COMMAND_MEMORY);
    for (unsigned offset = A; offset <= INT_ENABLE; offset += 4) {
        assert_int_equal(adder_get(f, offset), 0);
    }
    sum_up(f, 200, 100);
    assert_int_equal(adder_get(f, SUM), 44); /* a property is no register */
}

/* ---- virtio-upper */

#define V1      VIRTIO_BIT(VIRTIO_F_VERSION_1)
#define COUNT   1ull /* VIRTIO_UPPER_F_COUNT */
#define TEXT_AT (RAM_BASE + 0x100000)
#define ANSWER  (RAM_BASE + 0x110000)

struct upper {
    struct rig *rig;
    struct driver driver;
};

static void upper_start(struct upper *upper, bool iommu, const char *properties, uint64_t features)
{
    upper->rig = rig_with(&virtio_upper_type, iommu, properties);
    features |= V1 | (iommu ? VIRTIO_BIT(VIRTIO_F_ACCESS_PLATFORM) : 0);
    driver_start(&upper->driver, upper->rig, 16, features);
}

/* Send `length` bytes from TEXT_AT, with `room` for the answer, in `pieces`. Its used length. */
static uint32_t ask(struct upper *upper, uint32_t length, uint32_t room, unsigned pieces)
{
    struct buffer buffers[8];
    for (unsigned i = 0; i < pieces; i++) {
        uint32_t from = length * i / pieces;
        uint32_t to = length * (i + 1) / pieces;
        buffers[i] = (struct buffer){.address = TEXT_AT + from, .length = to - from};
        from = room * i / pieces;
        to = room * (i + 1) / pieces;
        buffers[pieces + i] =
            (struct buffer){.address = ANSWER + from, .length = to - from, .device_writes = true};
    }
    unsigned id = driver_add(&upper->driver, buffers, 2 * pieces, false, 0);
    driver_kick(&upper->driver);
    assert_true(pump(upper->rig));
    unsigned used;
    uint32_t written;
    assert_true(next_used(&upper->driver, &used, &written));
    assert_int_equal(used, id);
    upper->driver.chains[id].in_flight = false;
    memset(upper->driver.entry_taken, 0, sizeof(upper->driver.entry_taken));
    return written;
}

static uint32_t max_length(struct upper *upper)
{
    return (uint32_t)get(upper->rig, VIRTIO_DEVICE_REGION, 4);
}

static uint32_t count(struct upper *upper)
{
    return (uint32_t)get(upper->rig, VIRTIO_DEVICE_REGION + 4, 4);
}

static void test_upper_answers(void **state)
{
    (void)state;
    for (unsigned iommu = 0; iommu < 2; iommu++) {
        struct upper upper;
        char text[32] = {0};
        upper_start(&upper, iommu, "", COUNT);
        assert_int_equal(max_length(&upper), 4096);
        poke(upper.rig, TEXT_AT, "Hello, `world` {0-9}\xe4", 21);
        assert_int_equal(ask(&upper, 21, 31, 1), 21);
        peek(upper.rig, ANSWER, text, 31);
        assert_string_equal(text, "HELLO, `WORLD` {0-9}\xe4");
        assert_int_equal(count(&upper), 1);
        rig_free(upper.rig);
    }
}

/* A long text in pieces that end anywhere, and one whose answer has too little room. */
static void test_upper_pieces(void **state)
{
    (void)state;
    struct upper upper;
    upper_start(&upper, false, "", COUNT);
    for (unsigned i = 0; i < 4096; i++) {
        poke(upper.rig, TEXT_AT + i, &"abcdefg"[i % 7], 1);
    }
    for (unsigned pieces = 1; pieces <= 3; pieces++) {
        for (unsigned length = 253; length <= 4096; length = 2 * length + 3) {
            memset(at(upper.rig, ANSWER), 0, 0x2000);
            uint32_t room = pieces == 3 ? 300 : length;
            uint32_t expected = room < length ? room : length;
            assert_int_equal(ask(&upper, length, room, pieces), expected);
            for (unsigned i = 0; i < length; i++) {
                assert_int_equal(*at(upper.rig, ANSWER + i), i < expected ? "ABCDEFG"[i % 7] : 0);
            }
        }
    }
    rig_free(upper.rig);
}

static void test_upper_too_long(void **state)
{
    (void)state;
    struct upper upper;
    upper_start(&upper, false, "max-length=10", COUNT);
    assert_int_equal(max_length(&upper), 10);
    poke(upper.rig, TEXT_AT, "abcdefghijk", 11);
    assert_int_equal(ask(&upper, 11, 64, 1), 0);
    assert_int_equal(*at(upper.rig, ANSWER), 0);
    assert_int_equal(ask(&upper, 10, 64, 1), 10);
    assert_int_equal(*at(upper.rig, ANSWER + 9), 'J');
    rig_free(upper.rig);
}

static void test_upper_feature(void **state)
{
    (void)state;
    struct upper upper;
    upper_start(&upper, false, "", 0);
    put(upper.rig, VIRTIO_PCI_COMMON_DFSELECT, 4, 0);
    assert_true(get(upper.rig, VIRTIO_PCI_COMMON_DF, 4) & COUNT);
    put(upper.rig, VIRTIO_DEVICE_REGION, 4, 99); /* read-only */
    assert_int_equal(max_length(&upper), 4096);
    ask(&upper, 5, 5, 1);
    assert_int_equal(count(&upper), 1);
    put(upper.rig, VIRTIO_PCI_COMMON_STATUS, 1, 0);
    assert_int_equal(count(&upper), 0);
    assert_int_equal(max_length(&upper), 4096);
    rig_free(upper.rig);
    upper.rig = rig_with(&virtio_upper_type, false, "count=off");
    put(upper.rig, VIRTIO_PCI_COMMON_DFSELECT, 4, 0);
    assert_false(get(upper.rig, VIRTIO_PCI_COMMON_DF, 4) & COUNT);
    assert_false(negotiate(upper.rig, V1 | COUNT));
    rig_free(upper.rig);
}

static void test_upper_bad_requests(void **state)
{
    (void)state;
    for (unsigned writes = 0; writes < 2; writes++) {
        struct upper upper;
        upper_start(&upper, false, "", COUNT);
        const struct buffer only = {.address = TEXT_AT, .length = 5, .device_writes = writes};
        driver_add(&upper.driver, &only, 1, false, 0);
        driver_kick(&upper.driver);
        pump(upper.rig);
        assert_true(status_of(upper.rig) & VIRTIO_CONFIG_S_NEEDS_RESET);
        driver_start(&upper.driver, upper.rig, 16, V1); /* and lives again */
        assert_int_equal(ask(&upper, 5, 5, 1), 5);
        rig_free(upper.rig);
    }
}

/* Old drivers find it by its subsystem id, new ones by its device id: virtio 1.2, 4.1.2.1. */
static void test_upper_identity(void **state)
{
    (void)state;
    struct rig *rig = rig_with(&virtio_upper_type, false, "");
    const struct pci_device *pci = &rig->vdev->virtio.pci;
    assert_int_equal(pci_config_get(pci, PCI_VENDOR_ID, 4), 0x103f1af4);
    assert_int_equal(pci_config_get(pci, PCI_SUBSYSTEM_ID, 2), 63);
    rig_free(rig);
    rig = rig_with(&virtio_upper_type, false, "legacy=off");
    assert_int_equal(pci_config_get(&rig->vdev->virtio.pci, PCI_VENDOR_ID, 4), 0x107f1af4);
    rig_free(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pci_unit_test(test_adder_identity),    pci_unit_test(test_adder_adds),
        pci_unit_test(test_adder_bits),        pci_unit_test(test_adder_odd_accesses),
        pci_unit_test(test_adder_intx),        pci_unit_test(test_adder_msi),
        pci_unit_test(test_adder_reset),       cmocka_unit_test(test_upper_answers),
        cmocka_unit_test(test_upper_pieces),   cmocka_unit_test(test_upper_too_long),
        cmocka_unit_test(test_upper_feature),  cmocka_unit_test(test_upper_bad_requests),
        cmocka_unit_test(test_upper_identity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

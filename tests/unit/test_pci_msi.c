/* SPDX-License-Identifier: MIT */
/* MSI against an interrupt controller that counts: routes, masks, vectors, exhaustion. */
#include "pci_fixture.h"

enum {
    FLAGS = TEST_MSI + PCI_MSI_FLAGS,
    ADDRESS = TEST_MSI + PCI_MSI_ADDRESS_LO,
    ADDRESS_HIGH = TEST_MSI + PCI_MSI_ADDRESS_HI,
    DATA = TEST_MSI + PCI_MSI_DATA_64,
    MASK = TEST_MSI + PCI_MSI_MASK_64,
    PENDING = TEST_MSI + PCI_MSI_PENDING_64,
    EIGHT = 3 << 4, /* Multiple Message Enable */
};

static struct pci_device *plug_device(struct fixture *f, const char *where)
{
    return &plug_test(f, where)->device;
}

static void set(struct pci_device *device, unsigned reg, unsigned size, uint32_t value)
{
    pci_config_write(device, reg, size, value);
}

static uint32_t get(struct pci_device *device, unsigned reg, unsigned size)
{
    return pci_config_read(device, reg, size);
}

static void notify(struct pci_device *device, unsigned vector)
{
    pthread_mutex_lock(&device->lock);
    pci_msi_notify(device, vector);
    pthread_mutex_unlock(&device->lock);
}

/* As Linux does it: address and data first, then the enable. */
static void enable(struct pci_device *device, uint64_t address, uint32_t data, uint32_t multiple)
{
    set(device, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
    set(device, ADDRESS, 4, (uint32_t)address);
    set(device, ADDRESS_HIGH, 4, (uint32_t)(address >> 32));
    set(device, DATA, 2, data);
    set(device, FLAGS, 2, PCI_MSI_FLAGS_ENABLE | multiple);
}

static void test_registers(void **state)
{
    struct fixture *f = *state;
    struct pci_device *device = plug_device(f, "addr=3");
    assert_int_equal(get(device, FLAGS, 2), 0x0186); /* 8 vectors, 64-bit, maskable */
    for (unsigned reg = TEST_MSI; reg < TEST_MSI + 0x18; reg += 4) {
        set(device, reg, 4, 0xffffffff);
    }
    assert_int_equal(get(device, FLAGS, 2), 0x01f7);
    assert_int_equal(get(device, ADDRESS, 4), 0xfffffffc);
    assert_int_equal(get(device, ADDRESS_HIGH, 4), 0xffffffff);
    assert_int_equal(get(device, DATA, 4), 0xffff);
    assert_int_equal(get(device, MASK, 4), 0xff);
    assert_int_equal(get(device, PENDING, 4), 0);
}

static int small_realize(struct pci_device *device, struct error *err)
{
    return pci_add_msi(device, 0x40, 5, false, false, err);
}

static void test_32bit_layout(void **state)
{
    struct fixture *f = *state;
    static struct pci_device_type type;
    type = test_type;
    type.realize = small_realize;
    struct pci_device *device = plug(f, &type, "addr=3");
    assert_int_equal(get(device, 0x40, 4), 0x000a0005);
    set(device, 0x44, 4, 0xfee01000);
    set(device, 0x48, 4, 0xffff40ff);
    assert_int_equal(get(device, 0x48, 4), 0x40ff);
    set(device, 0x42, 2, PCI_MSI_FLAGS_ENABLE | 5 << 4);
    set(device, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
    notify(device, 31);
    assert_int_equal(f->irq.last_message.address, 0xfee01000);
    assert_int_equal(f->irq.last_message.data, 0x40ff);
    notify(device, 0);
    assert_int_equal(f->irq.last_message.data, 0x40e0);
    assert_int_equal(f->irq.reserved, 32);
}

static void test_sent(void **state)
{
    struct fixture *f = *state;
    struct pci_device *device = plug_device(f, "addr=3");
    assert_false(pci_msi_enabled(device));
    enable(device, 0x1fee00000, 0x4041, 0);
    assert_true(pci_msi_enabled(device));
    assert_int_equal(f->irq.reserved, 1);
    notify(device, 0);
    assert_int_equal(f->irq.raised, 1);
    assert_int_equal(f->irq.last_message.address, 0x1fee00000);
    assert_int_equal(f->irq.last_message.data, 0x4041);
    assert_int_equal(f->irq.last_device, 3 << 3);
    set(device, FLAGS, 2, 0);
    assert_int_equal(f->irq.reserved, 0);
    notify(device, 0);
    assert_int_equal(f->irq.raised, 1);
}

static void test_without_msi(void **state)
{
    struct fixture *f = *state;
    struct pci_device *bridge = f->host.devices[0]; /* has no MSI capability */
    assert_false(pci_msi_enabled(bridge));
    notify(bridge, 0);
    notify(plug_device(f, "addr=3"), 7);
    assert_int_equal(f->irq.raised, 0);
}

static void test_bus_mastering_off(void **state)
{
    struct fixture *f = *state;
    struct pci_device *device = plug_device(f, "addr=3");
    enable(device, 0xfee00000, 0x41, 0);
    set(device, PCI_COMMAND, 2, 0);
    notify(device, 0);
    assert_int_equal(f->irq.raised, 0);
    set(device, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
    notify(device, 0);
    assert_int_equal(f->irq.raised, 1);
}

static void test_several_vectors(void **state)
{
    struct fixture *f = *state;
    struct pci_device *device = plug_device(f, "addr=3");
    enable(device, 0xfee00000, 0x47, EIGHT);
    assert_int_equal(f->irq.reserved, 8);
    notify(device, 5);
    assert_int_equal(f->irq.last_message.data, 0x45);
    notify(device, 8 + 2); /* modulo what was granted */
    assert_int_equal(f->irq.last_message.data, 0x42);
    set(device, FLAGS, 2, PCI_MSI_FLAGS_ENABLE | 1 << 4);
    assert_int_equal(f->irq.reserved, 2);
    notify(device, 5);
    assert_int_equal(f->irq.last_message.data, 0x47);
    notify(device, 4);
    assert_int_equal(f->irq.last_message.data, 0x46);
}

/* More granted than there are, and the reserved encodings. */
static void test_more_granted_than_there_are(void **state)
{
    struct fixture *f = *state;
    struct pci_device *device = plug_device(f, "addr=3");
    for (uint32_t log2 = 4; log2 < 8; log2++) {
        enable(device, 0xfee00000, 0x40, log2 << 4);
        assert_int_equal(get(device, FLAGS, 2) >> 4 & 7, log2);
        assert_int_equal(f->irq.reserved, 8);
        notify(device, 31);
        assert_int_equal(f->irq.last_message.data, 0x47);
    }
    assert_int_equal(f->irq.table_writes, 8);
}

static void test_table_is_written_only_on_change(void **state)
{
    struct fixture *f = *state;
    struct pci_device *device = plug_device(f, "addr=3");
    enable(device, 0xfee00000, 0x41, 0);
    assert_int_equal(f->irq.table_writes, 1);
    for (unsigned i = 0; i < 10; i++) {
        enable(device, 0xfee00000, 0x41, 0);
        notify(device, 0);
    }
    assert_int_equal(f->irq.table_writes, 1);
    set(device, DATA, 2, 0x42);
    assert_int_equal(f->irq.table_writes, 2);
    notify(device, 0);
    assert_int_equal(f->irq.last_message.data, 0x42);
    set(device, ADDRESS, 4, 0xfee01000);
    assert_int_equal(f->irq.table_writes, 3);
    assert_int_equal(f->irq.reserved, 1); /* the same route all along */
}

static void test_masked(void **state)
{
    struct fixture *f = *state;
    struct pci_device *device = plug_device(f, "addr=3");
    enable(device, 0xfee00000, 0x40, EIGHT);
    set(device, MASK, 4, 0x05);
    assert_int_equal(f->irq.routed, 6);
    assert_int_equal(f->irq.reserved, 8);
    notify(device, 0);
    notify(device, 2);
    notify(device, 2);
    notify(device, 1);
    assert_int_equal(f->irq.raised, 1);
    assert_int_equal(get(device, PENDING, 4), 0x05);
    set(device, MASK, 4, 0x01);
    assert_int_equal(f->irq.raised, 2); /* once for two */
    assert_int_equal(f->irq.last_message.data, 0x42);
    assert_int_equal(get(device, PENDING, 4), 0x01);
    set(device, MASK, 1, 0);
    assert_int_equal(f->irq.raised, 3);
    assert_int_equal(get(device, PENDING, 4), 0);
    assert_int_equal(f->irq.routed, 8);
}

/* Enabled with every vector masked: no route is reserved before it is needed. */
static void test_enabled_masked(void **state)
{
    struct fixture *f = *state;
    struct pci_device *device = plug_device(f, "addr=3");
    set(device, MASK, 4, 0xff);
    enable(device, 0xfee00000, 0x40, EIGHT);
    assert_int_equal(f->irq.reserved, 0);
    notify(device, 3);
    set(device, MASK, 4, 0xf7);
    assert_int_equal(f->irq.reserved, 1);
    assert_int_equal(f->irq.raised, 1);
    assert_int_equal(f->irq.last_message.data, 0x43);
}

static void test_pending_bits_are_read_only(void **state)
{
    struct fixture *f = *state;
    struct pci_device *device = plug_device(f, "addr=3");
    set(device, MASK, 4, 0xff);
    enable(device, 0xfee00000, 0x40, EIGHT);
    notify(device, 1);
    set(device, PENDING, 4, 0);
    assert_int_equal(get(device, PENDING, 4), 2);
    set(device, PENDING, 4, 0xff);
    assert_int_equal(get(device, PENDING, 4), 2);
}

static void test_routes_run_out(void **state)
{
    struct fixture *f = *state;
    struct pci_device *device = plug_device(f, "addr=3");
    f->irq.capacity = 3;
    enable(device, 0xfee00000, 0x40, EIGHT); /* says so once on stderr */
    assert_int_equal(f->irq.reserved, 3);
    assert_true(device->msi_error_reported);
    for (unsigned vector = 0; vector < 8; vector++) {
        notify(device, vector);
    }
    assert_int_equal(f->irq.raised, 3);
    f->irq.capacity = 8; /* others were given back: the next write finds them */
    set(device, DATA, 2, 0x48);
    assert_int_equal(f->irq.reserved, 8);
    notify(device, 7);
    assert_int_equal(f->irq.last_message.data, 0x4f);
}

/* One line on stderr that names the device, however often it happens. */
static void test_error_is_said_once(void **state)
{
    struct fixture *f = *state;
    struct pci_device *device = plug_device(f, "addr=3,id=greedy");
    f->irq.capacity = 0;
    char text[256] = "";
    FILE *file = tmpfile();
    assert_non_null(file);
    fflush(stderr);
    int saved = dup(STDERR_FILENO);
    dup2(fileno(file), STDERR_FILENO);
    for (unsigned i = 0; i < 20; i++) {
        set(device, FLAGS, 2, 0);
        enable(device, 0xfee00000, 0x40 + i, EIGHT);
    }
    fflush(stderr);
    dup2(saved, STDERR_FILENO);
    close(saved);
    rewind(file);
    assert_true(fread(text, 1, sizeof(text) - 1, file) > 0);
    fclose(file);
    assert_string_equal(text,
                        "minivmm: greedy: interrupt vector 0 is lost: no interrupt routes left\n");
}

static void test_kvm_refuses_the_entry(void **state)
{
    struct fixture *f = *state;
    struct pci_device *device = plug_device(f, "addr=3");
    enable(device, 0xfee00000, 0x40, 0);
    f->irq.fail_route = -EINVAL;
    set(device, ADDRESS, 4, 0xdeadbeef); /* garbage that the host cannot route */
    notify(device, 0);
    assert_int_equal(f->irq.raised, 0);
    f->irq.fail_route = 0;
    set(device, ADDRESS, 4, 0xfee00000);
    notify(device, 0);
    assert_int_equal(f->irq.raised, 1);
}

static void test_renumbered_bus(void **state)
{
    struct fixture *f = *state;
    struct pci_device *port = plug(f, &root_port_type, "id=rp,addr=2");
    struct pci_device *device = plug_device(f, "bus=rp");
    set(port, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
    number_bridge(port, 1, 1);
    enable(device, 0xfee00000, 0x40, 0);
    notify(device, 0);
    assert_int_equal(f->irq.last_device, 0x100);
    unsigned writes = f->irq.table_writes;
    number_bridge(port, 0x42, 0x42);
    assert_int_equal(atomic_load(&device->dma.requester_id), 0x4200);
    assert_true(f->irq.table_writes > writes); /* the entry has the id in it */
    notify(device, 0);
    assert_int_equal(f->irq.last_device, 0x4200);
    writes = f->irq.table_writes;
    number_bridge(port, 0x42, 0x50); /* its own number stays */
    assert_int_equal(f->irq.table_writes, writes);
}

static void test_resets_give_routes_back(void **state)
{
    struct fixture *f = *state;
    struct pci_device *port = plug(f, &root_port_type, "id=rp,addr=2");
    struct pci_device *device = plug_device(f, "bus=rp");
    enable(device, 0xfee00000, 0x40, EIGHT);
    set(device, TEST_EXPRESS + PCI_EXP_DEVCTL, 2, PCI_EXP_DEVCTL_BCR_FLR);
    assert_int_equal(f->irq.reserved, 0);
    enable(device, 0xfee00000, 0x40, EIGHT);
    set(device, MASK, 4, 1);
    notify(device, 0);
    set(port, PCI_BRIDGE_CONTROL, 2, PCI_BRIDGE_CTL_BUS_RESET);
    assert_int_equal(f->irq.reserved, 0);
    assert_int_equal(get(device, PENDING, 4), 0);
    enable(device, 0xfee00000, 0x40, EIGHT);
    pci_host_reset(&f->host);
    assert_int_equal(f->irq.reserved, 0);
    assert_int_equal(get(device, FLAGS, 2), 0x0186);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pci_unit_test(test_registers),
        pci_unit_test(test_32bit_layout),
        pci_unit_test(test_sent),
        pci_unit_test(test_without_msi),
        pci_unit_test(test_bus_mastering_off),
        pci_unit_test(test_several_vectors),
        pci_unit_test(test_more_granted_than_there_are),
        pci_unit_test(test_table_is_written_only_on_change),
        pci_unit_test(test_masked),
        pci_unit_test(test_enabled_masked),
        pci_unit_test(test_pending_bits_are_read_only),
        pci_unit_test(test_routes_run_out),
        pci_unit_test(test_error_is_said_once),
        pci_unit_test(test_kvm_refuses_the_entry),
        pci_unit_test(test_renumbered_bus),
        pci_unit_test(test_resets_give_routes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

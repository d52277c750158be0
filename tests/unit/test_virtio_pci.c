/* SPDX-License-Identifier: MIT */
/*
 * The PCI transport: identity and capabilities of each kind of device, every register in every
 * width, negotiation, interrupts, doorbells, access through configuration space.
 */
#include "virtio_fixture.h"

#include "devices/virtio/virtio_pci.h"

#define V1       VIRTIO_BIT(VIRTIO_F_VERSION_1)
#define PLATFORM VIRTIO_BIT(VIRTIO_F_ACCESS_PLATFORM)

/* ---- identity */

static struct pci_device *pci_of(struct rig *rig)
{
    return &rig->vdev->virtio.pci;
}

static void expect_identity(bool iommu, const char *properties, unsigned device, unsigned revision,
                            unsigned subsystem)
{
    struct rig *rig = rig_new(iommu, &vdev_usual, properties);
    assert_int_equal(pci_config_get(pci_of(rig), PCI_VENDOR_ID, 2), 0x1af4);
    assert_int_equal(pci_config_get(pci_of(rig), PCI_DEVICE_ID, 2), device);
    assert_int_equal(pci_config_get(pci_of(rig), PCI_REVISION_ID, 1), revision);
    assert_int_equal(pci_config_get(pci_of(rig), PCI_SUBSYSTEM_VENDOR_ID, 2), 0x1af4);
    assert_int_equal(pci_config_get(pci_of(rig), PCI_SUBSYSTEM_ID, 2), subsystem);
    rig_free(rig);
}

static void test_identity(void **state)
{
    (void)state;
    expect_identity(false, "", 0x1013, 0, 21);
    expect_identity(false, "modern=off", 0x1013, 0, 21);
    expect_identity(false, "legacy=off", 0x1055, 1, 0x1100);
    expect_identity(true, "", 0x1055, 1, 0x1100); /* behind an IOMMU */
}

/* Offset, length and BAR of the vendor capability of this type; false: there is none. 4.1.4 */
static bool find_capability(struct rig *rig, unsigned type, unsigned *at, unsigned *bar,
                            uint32_t *offset, uint32_t *length)
{
    unsigned found = 0;
    for (*at = pci_config_get(pci_of(rig), PCI_CAPABILITY_LIST, 1); *at;
         *at = pci_config_get(pci_of(rig), *at + 1, 1)) {
        assert_true(++found < 40);
        if (pci_config_get(pci_of(rig), *at, 1) == PCI_CAP_ID_VNDR &&
            pci_config_get(pci_of(rig), *at + 3, 1) == type) {
            *bar = pci_config_get(pci_of(rig), *at + 4, 1);
            *offset = pci_config_get(pci_of(rig), *at + 8, 4);
            *length = pci_config_get(pci_of(rig), *at + 12, 4);
            return true;
        }
    }
    return false;
}

static void test_capabilities(void **state)
{
    (void)state;
    const struct {
        unsigned type;
        uint32_t offset, length;
    } expected[] = {{VIRTIO_PCI_CAP_COMMON_CFG, 0x0000, 60},
                    {VIRTIO_PCI_CAP_NOTIFY_CFG, 0x3000, 0x1000},
                    {VIRTIO_PCI_CAP_ISR_CFG, 0x1000, 1},
                    {VIRTIO_PCI_CAP_DEVICE_CFG, 0x2000, 12}};
    unsigned at;
    unsigned bar;
    uint32_t offset;
    uint32_t length;
    struct rig *rig = rig_new(false, &vdev_usual, "");
    for (unsigned i = 0; i < 4; i++) {
        assert_true(find_capability(rig, expected[i].type, &at, &bar, &offset, &length));
        assert_int_equal(bar, 4);
        assert_int_equal(offset, expected[i].offset);
        assert_int_equal(length, expected[i].length);
        assert_int_equal(pci_config_get(pci_of(rig), at + 2, 1),
                         expected[i].type == VIRTIO_PCI_CAP_NOTIFY_CFG ? 20 : 16);
    }
    assert_true(find_capability(rig, VIRTIO_PCI_CAP_NOTIFY_CFG, &at, &bar, &offset, &length));
    assert_int_equal(pci_config_get(pci_of(rig), at + 16, 4), 4); /* notify_off_multiplier */
    assert_true(find_capability(rig, VIRTIO_PCI_CAP_PCI_CFG, &at, &bar, &offset, &length));
    rig_free(rig);
    rig = rig_new(false, &vdev_usual, "modern=off");
    assert_false(find_capability(rig, VIRTIO_PCI_CAP_COMMON_CFG, &at, &bar, &offset, &length));
    assert_int_equal(port_get(rig, VIRTIO_PCI_QUEUE_NUM, 2), QUEUE_MAX);
    rig_free(rig);
}

static void test_bad_settings(void **state)
{
    (void)state;
    const struct {
        bool iommu;
        const char *properties, *text;
    } bad[] = {{false, "legacy=off,modern=off", "modern=off"},
               {true, "legacy=on", "legacy=on"},
               {true, "modern=off", "modern=off"},
               {false, "queue-size=48", "queue-size=48"},
               {false, "queue-size=2048", "queue-size"},
               {false, "legacy=perhaps", "perhaps"}};
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct rig *rig = rig_new(bad[i].iommu, &vdev_usual, "");
        struct error err = {0};
        assert_true(create(&rig->f, &vdev_type, bad[i].properties, &err) < 0);
        assert_non_null(strstr(err.text, bad[i].text));
        rig_free(rig);
    }
}

/* ---- every register, every width */

/* A width that is none of the register's reads all ones, and writing it changes nothing. */
static void try_widths(const struct register_block *block, uint64_t base, struct bus_cursor *cursor)
{
    for (size_t i = 0; i < block->count; i++) {
        const struct register_desc *reg = &block->registers[i];
        for (unsigned size = 1; size <= 8; size *= 2) {
            for (unsigned skew = 0; skew < reg->width; skew++) {
                bool good =
                    reg->width == 8 ? size == 4 && skew % 4 == 0 : size == reg->width && skew == 0;
                if (good || (reg->offset + skew) % size) {
                    continue; /* misaligned ones the bus makes pieces of */
                }
                uint64_t ones = size == 8 ? UINT64_MAX : (1ull << 8 * size) - 1;
                uint64_t value = bus_read(cursor, base + reg->offset + skew, size) & ones;
                assert_int_equal(value, ones);
                bus_write(cursor, base + reg->offset + skew, size, 0);
            }
        }
    }
}

static void test_widths(void **state)
{
    (void)state;
    struct rig *rig = rig_new(false, &vdev_usual, "");
    assert_true(negotiate(rig, V1 | 1));
    set_up_queue(rig, 1, 16, RAM_BASE + 0x1000, RAM_BASE + 0x3000, RAM_BASE + 0x5000);
    put(rig, VIRTIO_PCI_COMMON_DFSELECT, 4, 1);
    put(rig, VIRTIO_PCI_COMMON_GFSELECT, 4, 1);
    try_widths(&virtio_common_registers, MODERN, &rig->f.memory);
    assert_int_equal(get(rig, VIRTIO_PCI_COMMON_DFSELECT, 4), 1);
    assert_int_equal(get(rig, VIRTIO_PCI_COMMON_DF, 4) & 1, 1); /* VERSION_1 */
    assert_int_equal(get(rig, VIRTIO_PCI_COMMON_GFSELECT, 4), 1);
    assert_int_equal(get(rig, VIRTIO_PCI_COMMON_GF, 4), 1);
    assert_int_equal(get(rig, VIRTIO_PCI_COMMON_MSIX, 2), 0xffff);
    assert_int_equal(get(rig, VIRTIO_PCI_COMMON_NUMQ, 2), QUEUES);
    assert_int_equal(get(rig, VIRTIO_PCI_COMMON_STATUS, 1), 11);
    assert_int_equal(get(rig, VIRTIO_PCI_COMMON_Q_SELECT, 2), 1);
    assert_int_equal(get(rig, VIRTIO_PCI_COMMON_Q_SIZE, 2), 16);
    assert_int_equal(get(rig, VIRTIO_PCI_COMMON_Q_MSIX, 2), 0xffff);
    assert_int_equal(get(rig, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 1);
    assert_int_equal(get(rig, VIRTIO_PCI_COMMON_Q_NOFF, 2), 1);
    assert_int_equal(get(rig, VIRTIO_PCI_COMMON_Q_DESCLO, 4), RAM_BASE + 0x1000);
    assert_int_equal(get(rig, VIRTIO_PCI_COMMON_Q_DESCHI, 4), 0);
    assert_int_equal(get(rig, VIRTIO_PCI_COMMON_Q_AVAILLO, 4), RAM_BASE + 0x3000);
    assert_int_equal(get(rig, VIRTIO_PCI_COMMON_Q_USEDLO, 4), RAM_BASE + 0x5000);
    assert_int_equal(get(rig, VIRTIO_COMMON_Q_NOTIF_DATA, 2), 0);
    assert_int_equal(get(rig, VIRTIO_COMMON_Q_RESET, 2), 0);
    assert_int_equal(get(rig, 0x800, 4), 0xffffffff); /* behind the registers */
    pci_config_write(pci_of(rig), pci_of(rig)->msix.offset + PCI_MSIX_FLAGS, 2,
                     PCI_MSIX_FLAGS_ENABLE); /* the last two are there only then */
    try_widths(&virtio_legacy_registers, LEGACY, &rig->f.ports);
    rig_free(rig);
}

/* What a queue's registers do while it is stopped, and that they do nothing while it runs. */
static void test_queue_registers(void **state)
{
    (void)state;
    struct rig *rig = rig_new(false, &vdev_usual, "");
    assert_true(negotiate(rig, V1));
    put(rig, VIRTIO_PCI_COMMON_Q_SELECT, 2, 0);
    assert_int_equal(get(rig, VIRTIO_PCI_COMMON_Q_SIZE, 2), QUEUE_MAX);
    put(rig, VIRTIO_PCI_COMMON_Q_SIZE, 2, QUEUE_MAX * 2); /* more than is offered */
    assert_int_equal(get(rig, VIRTIO_PCI_COMMON_Q_SIZE, 2), QUEUE_MAX);
    put(rig, VIRTIO_PCI_COMMON_Q_SIZE, 2, 0);
    assert_int_equal(get(rig, VIRTIO_PCI_COMMON_Q_SIZE, 2), QUEUE_MAX);
    put(rig, VIRTIO_PCI_COMMON_Q_DESCHI, 4, 0x12345678); /* halves, in either order */
    put(rig, VIRTIO_PCI_COMMON_Q_DESCLO, 4, 0x9abcdef0);
    assert_int_equal(get(rig, VIRTIO_PCI_COMMON_Q_DESCHI, 4), 0x12345678);
    assert_int_equal(get(rig, VIRTIO_PCI_COMMON_Q_DESCLO, 4), 0x9abcdef0);
    put(rig, VIRTIO_PCI_COMMON_Q_MSIX, 2, QUEUES); /* the last vector there is */
    assert_int_equal(get(rig, VIRTIO_PCI_COMMON_Q_MSIX, 2), QUEUES);
    put(rig, VIRTIO_PCI_COMMON_Q_MSIX, 2, QUEUES + 1);
    assert_int_equal(get(rig, VIRTIO_PCI_COMMON_Q_MSIX, 2), 0xffff); /* 4.1.5.1.2.1 */
    put(rig, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 2);                      /* only 1 means anything */
    assert_int_equal(get(rig, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
    set_up_queue(rig, 0, 16, RAM_BASE + 0x1000, RAM_BASE + 0x3000, RAM_BASE + 0x5000);
    put(rig, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 0); /* 4.1.4.3.2: a driver must not, and it does not */
    put(rig, VIRTIO_PCI_COMMON_Q_SIZE, 2, 8);
    put(rig, VIRTIO_PCI_COMMON_Q_DESCLO, 4, 0);
    assert_int_equal(get(rig, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 1);
    assert_int_equal(get(rig, VIRTIO_PCI_COMMON_Q_SIZE, 2), 16);
    assert_int_equal(get(rig, VIRTIO_PCI_COMMON_Q_DESCLO, 4), RAM_BASE + 0x1000);
    put(rig, VIRTIO_PCI_COMMON_Q_SELECT, 2, QUEUES); /* there is no such queue */
    assert_int_equal(get(rig, VIRTIO_PCI_COMMON_Q_SIZE, 2), 0);
    put(rig, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
    put(rig, VIRTIO_PCI_COMMON_Q_MSIX, 2, 0);
    assert_int_equal(status_of(rig), 11);
    rig_free(rig);
}

/* ---- negotiation */

static void test_features(void **state)
{
    (void)state;
    struct rig *rig = rig_new(false, &vdev_usual, "");
    put(rig, VIRTIO_PCI_COMMON_DFSELECT, 4, 2);
    assert_int_equal(get(rig, VIRTIO_PCI_COMMON_DF, 4), 0); /* there are no bits 64-95 */
    assert_true(negotiate(rig, V1));
    assert_true(negotiate(rig, V1 | 1));
    assert_false(negotiate(rig, 1));                                     /* no VERSION_1 */
    assert_false(negotiate(rig, V1 | 2));                                /* not offered */
    assert_false(negotiate(rig, V1 | VIRTIO_BIT(VIRTIO_F_RING_PACKED))); /* not asked for */
    assert_false(negotiate(rig, V1 | PLATFORM));                         /* no IOMMU */
    assert_true(negotiate(rig, V1));
    put(rig, VIRTIO_PCI_COMMON_GFSELECT, 4, 0);
    put(rig, VIRTIO_PCI_COMMON_GF, 4, 1); /* too late */
    assert_int_equal(get(rig, VIRTIO_PCI_COMMON_GF, 4), 0);
    rig_free(rig);
    rig = rig_new(true, &vdev_usual, "");
    assert_false(negotiate(rig, V1)); /* 6.1: behind an IOMMU it must be accepted */
    assert_true(negotiate(rig, V1 | PLATFORM));
    rig_free(rig);
}

static void test_status(void **state)
{
    (void)state;
    struct rig *rig = rig_new(false, &vdev_usual, "legacy=off");
    put(rig, VIRTIO_PCI_COMMON_STATUS, 1, 0x7); /* DRIVER_OK without FEATURES_OK */
    assert_int_equal(status_of(rig), 0x43);
    assert_false(virtio_is_live(&rig->vdev->virtio));
    put(rig, VIRTIO_PCI_COMMON_STATUS, 1, 0x40); /* the driver cannot set or clear that bit */
    assert_int_equal(status_of(rig), 0x43);
    put(rig, VIRTIO_PCI_COMMON_STATUS, 1, 0);
    assert_int_equal(status_of(rig), 0);
    put(rig, VIRTIO_PCI_COMMON_STATUS, 1, 0x40);
    assert_int_equal(status_of(rig), 0);
    assert_true(negotiate(rig, V1));
    set_driver_ok(rig);
    assert_int_equal(rig->vdev->starts, 1);
    put(rig, VIRTIO_PCI_COMMON_STATUS, 1, 0xf); /* again: nothing new */
    put(rig, VIRTIO_PCI_COMMON_STATUS, 1, 0x1); /* nothing is taken back */
    assert_int_equal(rig->vdev->starts, 1);
    assert_int_equal(status_of(rig), 0xf);
    rig_free(rig);
}

/* ---- the legacy registers, from the driver's first write to an interrupt */

static void test_legacy_driver(void **state)
{
    (void)state;
    struct rig *rig = rig_new(false, &vdev_usual, "");
    struct driver d = {.rig = rig, .size = QUEUE_MAX, .free_entries = QUEUE_MAX};
    uint64_t base = RAM_BASE + 0x10000;
    port_put(rig, VIRTIO_PCI_STATUS, 1, 0);
    port_put(rig, VIRTIO_PCI_STATUS, 1, 3);
    assert_true(port_get(rig, VIRTIO_PCI_HOST_FEATURES, 4) & 1);
    port_put(rig, VIRTIO_PCI_GUEST_FEATURES, 4, 1);
    port_put(rig, VIRTIO_PCI_QUEUE_SEL, 2, 0);
    assert_int_equal(port_get(rig, VIRTIO_PCI_QUEUE_NUM, 2), QUEUE_MAX);
    assert_int_equal(port_get(rig, VIRTIO_PCI_QUEUE_PFN, 4), 0);
    port_put(rig, VIRTIO_PCI_QUEUE_PFN, 4, base >> 12);
    assert_int_equal(port_get(rig, VIRTIO_PCI_QUEUE_PFN, 4), base >> 12);
    port_put(rig, VIRTIO_PCI_STATUS, 1, 7);
    assert_int_equal(port_get(rig, VIRTIO_PCI_STATUS, 1), 7);
    assert_true(virtio_is_live(&rig->vdev->virtio));
    port_put(rig, VIRTIO_PCI_GUEST_FEATURES, 4, 0); /* too late */
    assert_int_equal(port_get(rig, VIRTIO_PCI_GUEST_FEATURES, 4), 1);
    d.desc = base;
    d.drv = base + 16 * QUEUE_MAX;
    d.dev = base + 0x1000; /* 64 entries: 1024 + 134 bytes, then the next page */
    const struct buffer out = {.address = RAM_BASE + 0x100000, .length = 16};
    driver_add(&d, &out, 1, false, 0);
    port_put(rig, VIRTIO_PCI_QUEUE_NOTIFY, 2, 0);
    assert_true(pump(rig));
    assert_int_equal(collect(&d, true), 1);
    assert_true(rig->f.irq.level[TEST_GSI + pci_of(rig)->devfn / 8 % 4]);
    assert_int_equal(port_get(rig, VIRTIO_PCI_ISR, 1), 1);
    assert_false(rig->f.irq.level[TEST_GSI + pci_of(rig)->devfn / 8 % 4]);
    assert_int_equal(port_get(rig, VIRTIO_PCI_ISR, 1), 0);
    /* The configuration is behind the header, which is longer while MSI-X is enabled. */
    port_put(rig, 20 + 4, 4, 0x11223344);
    assert_int_equal(port_get(rig, 20 + 4, 4), 0x11223344);
    assert_int_equal(get(rig, VIRTIO_DEVICE_REGION + 4, 4), 0x11223344);
    pci_config_write(pci_of(rig), pci_of(rig)->msix.offset + PCI_MSIX_FLAGS, 2,
                     PCI_MSIX_FLAGS_ENABLE);
    assert_int_equal(port_get(rig, 24 + 4, 4), 0x11223344);
    port_put(rig, VIRTIO_MSI_QUEUE_VECTOR, 2, 1);
    assert_int_equal(port_get(rig, VIRTIO_MSI_QUEUE_VECTOR, 2), 1);
    port_put(rig, VIRTIO_MSI_CONFIG_VECTOR, 2, 77);
    assert_int_equal(port_get(rig, VIRTIO_MSI_CONFIG_VECTOR, 2), 0xffff);
    port_put(rig, VIRTIO_PCI_QUEUE_PFN, 4, 0); /* stops the queue */
    assert_int_equal(port_get(rig, VIRTIO_PCI_QUEUE_PFN, 4), 0);
    port_put(rig, VIRTIO_PCI_STATUS, 1, 0);
    assert_int_equal(port_get(rig, VIRTIO_PCI_STATUS, 1), 0);
    rig_free(rig);
}

/* ---- interrupts */

static void program_vector(struct rig *rig, unsigned vector)
{
    bus_write(&rig->f.memory, MSIX_AT + 16 * vector, 4, 0xfee00000);
    bus_write(&rig->f.memory, MSIX_AT + 16 * vector + 8, 4, 0x40 + vector);
    bus_write(&rig->f.memory, MSIX_AT + 16 * vector + 12, 4, 0);
}

static void test_msix(void **state)
{
    (void)state;
    struct rig *rig = rig_new(false, &vdev_usual, "");
    struct driver d;
    const struct buffer out = {.address = RAM_BASE + 0x100000, .length = 16};
    driver_start(&d, rig, 16, V1);
    pci_config_write(pci_of(rig), pci_of(rig)->msix.offset + PCI_MSIX_FLAGS, 2,
                     PCI_MSIX_FLAGS_ENABLE);
    program_vector(rig, 0);
    program_vector(rig, 1);
    put(rig, VIRTIO_PCI_COMMON_MSIX, 2, 0);
    driver_add(&d, &out, 1, false, 0);
    driver_kick(&d);
    pump(rig);
    assert_int_equal(rig->f.irq.raised, 0); /* the queue has no vector yet */
    put(rig, VIRTIO_PCI_COMMON_Q_SELECT, 2, 0);
    put(rig, VIRTIO_PCI_COMMON_Q_MSIX, 2, 1);
    driver_add(&d, &out, 1, false, 1);
    driver_kick(&d);
    pump(rig);
    assert_int_equal(rig->f.irq.raised, 1);
    assert_int_equal(rig->f.irq.last_message.data, 0x41);
    uint8_t generation = (uint8_t)get(rig, VIRTIO_PCI_COMMON_CFGGENERATION, 1);
    pthread_mutex_lock(&pci_of(rig)->lock);
    virtio_config_changed(&rig->vdev->virtio);
    pthread_mutex_unlock(&pci_of(rig)->lock);
    assert_int_equal(rig->f.irq.raised, 2);
    assert_int_equal(rig->f.irq.last_message.data, 0x40);
    assert_int_not_equal(get(rig, VIRTIO_PCI_COMMON_CFGGENERATION, 1), generation);
    assert_int_equal(get(rig, VIRTIO_ISR_REGION, 1), 0); /* 4.1.4.5.1: not with MSI-X */
    rig_free(rig);
}

/* ---- access through configuration space, 4.1.4.9 */

static void test_pci_cfg(void **state)
{
    (void)state;
    struct rig *rig = rig_new(false, &vdev_usual, "");
    unsigned at;
    unsigned bar;
    uint32_t offset;
    uint32_t length;
    assert_true(find_capability(rig, VIRTIO_PCI_CAP_PCI_CFG, &at, &bar, &offset, &length));
    pci_config_write(pci_of(rig), at + 4, 1, 4);
    pci_config_write(pci_of(rig), at + 8, 4, VIRTIO_PCI_COMMON_NUMQ);
    pci_config_write(pci_of(rig), at + 12, 4, 2);
    assert_int_equal(pci_config_read(pci_of(rig), at + 16, 2), QUEUES);
    pci_config_write(pci_of(rig), at + 8, 4, VIRTIO_PCI_COMMON_STATUS);
    pci_config_write(pci_of(rig), at + 12, 4, 1);
    pci_config_write(pci_of(rig), at + 16, 1, 3);
    assert_int_equal(status_of(rig), 3);
    const struct {
        uint32_t bar, offset, length;
    } bad[] = {{0, 20, 1},     {4, 20, 3}, {4, 20, 0},        {4, 0x4000, 1},
               {4, 0x3fff, 2}, {4, 20, 8}, {4, 0xfffffffc, 4}};
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        pci_config_write(pci_of(rig), at + 4, 1, bad[i].bar);
        pci_config_write(pci_of(rig), at + 8, 4, bad[i].offset);
        pci_config_write(pci_of(rig), at + 12, 4, bad[i].length);
        pci_config_write(pci_of(rig), at + 16, 4, 0);
        (void)pci_config_read(pci_of(rig), at + 16, 4);
        assert_int_equal(status_of(rig), 3);
    }
    rig_free(rig);
}

/* ---- doorbells */

struct fake_doorbells {
    unsigned armed;
    uint64_t address; /* of the last one armed */
    bool refuse;
};

static int fake_arm(void *opaque, const struct bus_doorbell *doorbell)
{
    struct fake_doorbells *fake = opaque;
    if (fake->refuse) {
        return -EEXIST;
    }
    fake->armed++;
    fake->address = doorbell->address;
    return 0;
}

static void fake_disarm(void *opaque, const struct bus_doorbell *doorbell)
{
    struct fake_doorbells *fake = opaque;
    (void)doorbell;
    assert_true(fake->armed > 0);
    fake->armed--;
}

static const struct bus_doorbell_ops fake_doorbell_ops = {fake_arm, fake_disarm};

static void watch_doorbells(struct rig *rig, struct fake_doorbells *mmio,
                            struct fake_doorbells *pio)
{
    rig->f.mmio.doorbell_ops = rig->f.pio.doorbell_ops = &fake_doorbell_ops;
    rig->f.mmio.doorbell_opaque = mmio;
    rig->f.pio.doorbell_opaque = pio;
}

/* Armed while the device is live and the BAR is where the guest sees it; nowhere else. */
static void test_doorbells(void **state)
{
    (void)state;
    struct fake_doorbells mmio = {0};
    struct fake_doorbells pio = {0};
    struct rig *rig = rig_new(false, &vdev_usual, "");
    struct driver d;
    static struct bus_region other = {.name = "other", .size = 0x4000, .ops = &test_ops};
    watch_doorbells(rig, &mmio, &pio);
    assert_true(negotiate(rig, V1));
    set_up_queue(rig, 1, 16, RAM_BASE + 0x1000, RAM_BASE + 0x3000, RAM_BASE + 0x5000);
    assert_int_equal(mmio.armed, 0);
    set_driver_ok(rig);
    assert_int_equal(mmio.armed, 1);
    assert_int_equal(mmio.address, MODERN + 0x3004);
    assert_int_equal(pio.armed, 0); /* its driver uses the other register */
    pci_config_write(pci_of(rig), PCI_BASE_ADDRESS_4, 4, MODERN + 0x10000);
    assert_int_equal(mmio.armed, 1);
    assert_int_equal(mmio.address, MODERN + 0x13004);
    set_command(&rig->f, pci_of(rig), 0);
    assert_int_equal(mmio.armed, 0);
    set_command(&rig->f, pci_of(rig), PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    assert_int_equal(mmio.armed, 1);
    other.priority = BUS_PRIORITY_FIXED; /* something else stands in front of it */
    assert_int_equal(bus_add(&rig->f.mmio, &other, MODERN + 0x10000, NULL), 0);
    assert_int_equal(mmio.armed, 0);
    bus_remove(&other);
    assert_int_equal(mmio.armed, 1);
    put(rig, 0x10000 + VIRTIO_PCI_COMMON_STATUS, 1, 0);
    assert_int_equal(mmio.armed, 0);
    pci_config_write(pci_of(rig), PCI_BASE_ADDRESS_4, 4, MODERN);
    mmio.refuse = true; /* then the write comes to the register */
    driver_start(&d, rig, 16, V1);
    const struct buffer out = {.address = RAM_BASE + 0x100000, .length = 16};
    driver_add(&d, &out, 1, false, 0);
    driver_kick(&d);
    pump(rig);
    assert_int_equal(collect(&d, true), 1);
    rig_free(rig);
    assert_int_equal(mmio.armed, 0);
}

static void test_doorbells_off(void **state)
{
    (void)state;
    struct fake_doorbells mmio = {0};
    struct fake_doorbells pio = {0};
    struct rig *rig = rig_new(false, &vdev_usual, "ioeventfd=off");
    struct driver d;
    watch_doorbells(rig, &mmio, &pio);
    driver_start(&d, rig, 16, V1);
    assert_int_equal(mmio.armed + pio.armed, 0);
    rig_free(rig);
    rig = rig_new(false, &vdev_usual, "");
    watch_doorbells(rig, &mmio, &pio);
    port_put(rig, VIRTIO_PCI_QUEUE_SEL, 2, 0);
    port_put(rig, VIRTIO_PCI_QUEUE_PFN, 4, (RAM_BASE + 0x10000) >> 12);
    port_put(rig, VIRTIO_PCI_STATUS, 1, 7);
    assert_int_equal(mmio.armed, 0);
    assert_int_equal(pio.armed, 1); /* a legacy driver */
    assert_int_equal(pio.address, LEGACY + VIRTIO_PCI_QUEUE_NOTIFY);
    rig_free(rig);
    assert_int_equal(pio.armed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_identity),
        cmocka_unit_test(test_capabilities),
        cmocka_unit_test(test_bad_settings),
        cmocka_unit_test(test_widths),
        cmocka_unit_test(test_queue_registers),
        cmocka_unit_test(test_features),
        cmocka_unit_test(test_status),
        cmocka_unit_test(test_legacy_driver),
        cmocka_unit_test(test_msix),
        cmocka_unit_test(test_pci_cfg),
        cmocka_unit_test(test_doorbells),
        cmocka_unit_test(test_doorbells_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

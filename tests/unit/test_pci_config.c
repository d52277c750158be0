/* SPDX-License-Identifier: MIT */
/* Configuration space: masks, header, identity, reset. */
#include "pci_fixture.h"

static void test_identity(void **state)
{
    struct fixture *f = *state;
    plug_test(f, "addr=3");
    assert_int_equal(cfg_read(f, 0, 3, 0, 0, 4), 0x56781234);
    assert_int_equal(cfg_read(f, 0, 3, 0, 8, 4), 0x0102039a);
    assert_int_equal(cfg_read(f, 0, 3, 0, PCI_SUBSYSTEM_VENDOR_ID, 4), 0xef01abcd);
    assert_int_equal(cfg_read(f, 0, 3, 0, PCI_INTERRUPT_PIN, 1), 1);
    assert_int_equal(cfg_read(f, 0, 3, 0, PCI_HEADER_TYPE, 1), 0);
}

static void test_read_only_registers(void **state)
{
    struct fixture *f = *state;
    plug_test(f, "addr=3");
    static const unsigned read_only[] = {
        0x00, 0x08, PCI_SUBSYSTEM_VENDOR_ID, PCI_ROM_ADDRESS, PCI_CAPABILITY_LIST, 0x28, 0x38};
    for (unsigned i = 0; i < sizeof(read_only) / sizeof(read_only[0]); i++) {
        uint64_t before = cfg_read(f, 0, 3, 0, read_only[i], 4);
        cfg_write(f, 0, 3, 0, read_only[i], 4, 0xffffffff);
        assert_int_equal(cfg_read(f, 0, 3, 0, read_only[i], 4), before);
        cfg_write(f, 0, 3, 0, read_only[i], 4, 0);
        assert_int_equal(cfg_read(f, 0, 3, 0, read_only[i], 4), before);
    }
}

static void test_command(void **state)
{
    struct fixture *f = *state;
    plug_test(f, "addr=3");
    cfg_write(f, 0, 3, 0, PCI_COMMAND, 2, 0xffff);
    assert_int_equal(cfg_read(f, 0, 3, 0, PCI_COMMAND, 2), 0x0547);
    cfg_write(f, 0, 3, 0, PCI_COMMAND + 1, 1, 0); /* the upper byte alone */
    assert_int_equal(cfg_read(f, 0, 3, 0, PCI_COMMAND, 2), 0x0047);
    cfg_write(f, 0, 3, 0, PCI_COMMAND, 1, 0);
    assert_int_equal(cfg_read(f, 0, 3, 0, PCI_COMMAND, 2), 0);
}

static void test_interrupt_line_and_cache_line(void **state)
{
    struct fixture *f = *state;
    plug_test(f, "addr=3");
    cfg_write(f, 0, 3, 0, PCI_INTERRUPT_LINE, 4, 0xffffff0b);
    assert_int_equal(cfg_read(f, 0, 3, 0, PCI_INTERRUPT_LINE, 4), 0x0000010b);
    cfg_write(f, 0, 3, 0, PCI_CACHE_LINE_SIZE, 4, 0xffffff10);
    assert_int_equal(cfg_read(f, 0, 3, 0, PCI_CACHE_LINE_SIZE, 4), 0x00000010);
}

/* Status bits are set by the device and cleared by writing 1, each on its own. */
static void test_write_one_to_clear(void **state)
{
    struct fixture *f = *state;
    struct pci_device *device = &plug_test(f, "addr=3")->device;
    pci_config_set(device, PCI_STATUS, 2, 0xf910);
    cfg_write(f, 0, 3, 0, PCI_STATUS, 2, 0);
    assert_int_equal(cfg_read(f, 0, 3, 0, PCI_STATUS, 2), 0xf910);
    cfg_write(f, 0, 3, 0, PCI_STATUS, 2, 0x8000);
    assert_int_equal(cfg_read(f, 0, 3, 0, PCI_STATUS, 2), 0x7910);
    /* Command and Status in one write: the command is stored, the other bits cleared. */
    cfg_write(f, 0, 3, 0, PCI_COMMAND, 4, 0xffff0004);
    assert_int_equal(cfg_read(f, 0, 3, 0, PCI_COMMAND, 4), 0x00100004);
}

static void test_own_masks(void **state)
{
    struct fixture *f = *state;
    struct test_device *test = plug_test(f, "addr=3");
    struct pci_device *device = &test->device;
    pci_config_set(device, 0x1f0, 4, 0x11223344);
    pci_config_set_writable(device, 0x1f0, 4, 0x00ff00f0);
    pci_config_set_clearable(device, 0x1f0, 4, 0x0f000000);
    cfg_write(f, 0, 3, 0, 0x1f0, 4, 0xffffffff);
    assert_int_equal(cfg_read(f, 0, 3, 0, 0x1f0, 4), 0x10ff33f4);
    cfg_write(f, 0, 3, 0, 0x1f2, 1, 0x5a);
    assert_int_equal(cfg_read(f, 0, 3, 0, 0x1f0, 4), 0x105a33f4);
    cfg_write(f, 0, 3, 0, 0x1f2, 2, 0xf0a5);
    assert_int_equal(cfg_read(f, 0, 3, 0, 0x1f0, 4), 0x10a533f4);
    assert_int_equal(test->config_writes, 3);
}

static void test_extended_space_is_there(void **state)
{
    struct fixture *f = *state;
    struct pci_device *device = &plug_test(f, "addr=3")->device;
    pci_config_set(device, 0xffc, 4, 0xcafef00d);
    assert_int_equal(cfg_read(f, 0, 3, 0, 0xffc, 4), 0xcafef00d);
    assert_int_equal(cfg_read(f, 0, 3, 0, 0xfff, 1), 0xca);
}

static void test_reset_restores_registers(void **state)
{
    struct fixture *f = *state;
    struct test_device *test = plug_test(f, "addr=3");
    unsigned resets = test->resets;
    uint32_t before[64];
    for (unsigned i = 0; i < 64; i++) {
        before[i] = (uint32_t)cfg_read(f, 0, 3, 0, 4 * i, 4);
    }
    for (unsigned i = 0; i < 64; i++) { /* but no Function Level Reset */
        cfg_write(f, 0, 3, 0, 4 * i, 4, 0xffff7fff);
    }
    pci_host_reset(&f->host);
    for (unsigned i = 0; i < 64; i++) {
        assert_int_equal(cfg_read(f, 0, 3, 0, 4 * i, 4), before[i]);
    }
    assert_int_equal(test->resets, resets + 1);
    assert_false(atomic_load(&test->device.dma.bus_master));
}

/* A type can answer reads itself; the core cuts its answer to size. */
static uint32_t counting_read(struct pci_device *device, unsigned reg, unsigned size)
{
    struct test_device *test = (struct test_device *)device;
    if (reg == 0x100) {
        return 0xabcd0000 + ++test->reads;
    }
    return pci_config_read_default(device, reg, size);
}

static void test_config_read_of_a_type(void **state)
{
    struct fixture *f = *state;
    static struct pci_device_type type;
    type = test_type;
    type.config_read = counting_read;
    plug(f, &type, "addr=3");
    assert_int_equal(cfg_read(f, 0, 3, 0, 0x100, 4), 0xabcd0001);
    assert_int_equal(bus_read(&f->memory, ecam_address(0, 3, 0, 0x100), 1), 0x02);
    assert_int_equal(cfg_read(f, 0, 3, 0, 0, 2), 0x1234);
}

/* Every register of every function, written with every pattern and width: nothing may break. */
static void test_random_writes(void **state)
{
    struct fixture *f = *state;
    plug(f, &root_port_type, "id=rp,addr=2");
    plug(f, &switch_upstream_type, "id=up,bus=rp");
    plug(f, &switch_downstream_type, "id=down,bus=up");
    plug_test(f, "bus=down");
    plug_test(f, "addr=3");
    unsigned random = 12345;
    for (unsigned i = 0; i < 200000; i++) {
        random = random * 1103515245 + 12345;
        struct pci_device *device = f->host.devices[(random >> 8) % f->host.device_count];
        unsigned size = 1u << (random >> 16) % 3;
        unsigned reg = (random >> 18) % (i % 8 ? 256 : 4096) & ~(size - 1);
        unsigned value = random * 2654435761u;
        value = i % 5 == 0 ? 0 : i % 5 == 1 ? UINT32_MAX : value;
        pci_config_write(device, reg, size, value & (UINT32_MAX >> (32 - 8 * size)));
        (void)cfg_read(f, value >> 24, value & 31, 0, reg, size);
        (void)mem_read(f, value & ~7u, 8);
    }
    pci_host_reset(&f->host);
    assert_int_equal(f->irq.reserved, 0);
    assert_int_equal(cfg_read(f, 0, 3, 0, 0, 4), 0x56781234);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pci_unit_test(test_identity),
        pci_unit_test(test_read_only_registers),
        pci_unit_test(test_command),
        pci_unit_test(test_interrupt_line_and_cache_line),
        pci_unit_test(test_write_one_to_clear),
        pci_unit_test(test_own_masks),
        pci_unit_test(test_extended_space_is_there),
        pci_unit_test(test_reset_restores_registers),
        pci_unit_test(test_config_read_of_a_type),
        pci_unit_test(test_random_writes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

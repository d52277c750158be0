/* SPDX-License-Identifier: MIT */
/* MSI-X: the table and the pending bits in a BAR, accesses of every width, masks and routes. */
#include "pci_fixture.h"

enum { BAR = 0xe0000000, TABLE = BAR + 0x1000, PBA = BAR + 0x2000, SLOT = 3 };

static struct test_device *plug_enabled(struct fixture *f, uint32_t flags)
{
    struct test_device *test = plug_test(f, "addr=3");
    cfg_write(f, 0, SLOT, 0, PCI_BASE_ADDRESS_4, 4, BAR);
    cfg_write(f, 0, SLOT, 0, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    cfg_write(f, 0, SLOT, 0, TEST_MSIX + PCI_MSIX_FLAGS, 2, flags);
    return test;
}

static void set_flags(struct fixture *f, uint32_t flags)
{
    cfg_write(f, 0, SLOT, 0, TEST_MSIX + PCI_MSIX_FLAGS, 2, flags);
}

static void write_entry(struct fixture *f, unsigned vector, uint64_t address, uint32_t data,
                        uint32_t control)
{
    bus_write(&f->memory, TABLE + 16 * vector, 4, (uint32_t)address);
    bus_write(&f->memory, TABLE + 16 * vector + 4, 4, address >> 32);
    bus_write(&f->memory, TABLE + 16 * vector + 8, 4, data);
    bus_write(&f->memory, TABLE + 16 * vector + 12, 4, control);
}

static void notify(struct test_device *test, unsigned vector)
{
    pthread_mutex_lock(&test->device.lock);
    pci_msix_notify(&test->device, vector);
    pthread_mutex_unlock(&test->device.lock);
}

static void test_capability(void **state)
{
    struct fixture *f = *state;
    plug_enabled(f, 0);
    assert_int_equal(cfg_read(f, 0, SLOT, 0, TEST_MSIX + 2, 2), TEST_VECTORS - 1);
    assert_int_equal(cfg_read(f, 0, SLOT, 0, TEST_MSIX + 4, 4), 0x1004);
    assert_int_equal(cfg_read(f, 0, SLOT, 0, TEST_MSIX + 8, 4), 0x2004);
    set_flags(f, 0xffff);
    assert_int_equal(cfg_read(f, 0, SLOT, 0, TEST_MSIX + 2, 2), 0xc000 | (TEST_VECTORS - 1));
    cfg_write(f, 0, SLOT, 0, TEST_MSIX + 4, 8, UINT64_MAX);
    assert_int_equal(cfg_read(f, 0, SLOT, 0, TEST_MSIX + 4, 4), 0x1004);
}

static void test_table_after_reset(void **state)
{
    struct fixture *f = *state;
    struct test_device *test = plug_enabled(f, 0);
    for (unsigned vector = 0; vector < TEST_VECTORS; vector++) {
        assert_int_equal(mem_read(f, TABLE + 16 * vector, 8), 0);
        assert_int_equal(mem_read(f, TABLE + 16 * vector + 8, 8), 0x100000000);
    }
    write_entry(f, 5, 0xfee00000, 0x41, 0);
    pci_device_reset(&test->device, "power-on");
    cfg_write(f, 0, SLOT, 0, PCI_BASE_ADDRESS_4, 4, BAR);
    cfg_write(f, 0, SLOT, 0, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
    assert_int_equal(mem_read(f, TABLE + 16 * 5, 8), 0);
    assert_int_equal(mem_read(f, TABLE + 16 * 5 + 12, 4), 1);
}

static void test_widths(void **state)
{
    struct fixture *f = *state;
    plug_enabled(f, 0);
    bus_write(&f->memory, TABLE + 16, 8, 0x1122334455667788);
    bus_write(&f->memory, TABLE + 24, 8, 0xffffffff99aabbcc);
    assert_int_equal(mem_read(f, TABLE + 16, 8), 0x1122334455667788);
    assert_int_equal(mem_read(f, TABLE + 16, 4), 0x55667788);
    assert_int_equal(mem_read(f, TABLE + 20, 4), 0x11223344);
    assert_int_equal(mem_read(f, TABLE + 24, 8), 0x0000000199aabbcc); /* reserved bits are 0 */
    bus_write(&f->memory, TABLE + 16, 4, 3);
    assert_int_equal(mem_read(f, TABLE + 16, 4), 0);
    assert_int_equal(mem_read(f, TABLE, 8), 0); /* the neighbours */
    assert_int_equal(mem_read(f, TABLE + 32, 8), 0);
}

/* Anything but aligned 4 and 8 bytes reads all ones and changes nothing. */
static void test_bad_widths(void **state)
{
    struct fixture *f = *state;
    struct test_device *test = plug_enabled(f, 0);
    write_entry(f, 1, 0x1234567000000000, 0x42, 0);
    for (unsigned offset = 0; offset < 32; offset++) {
        for (unsigned size = 1; size <= 8; size *= 2) {
            if (size >= 4 && offset % size == 0) {
                continue;
            }
            uint64_t ones = UINT64_MAX >> (64 - 8 * size);
            assert_int_equal(mem_read(f, TABLE + offset, size), ones);
            bus_write(&f->memory, TABLE + offset, size, 0);
            if (offset < 16) {
                assert_int_equal(mem_read(f, PBA + offset, size), ones);
                bus_write(&f->memory, PBA + offset, size, 0);
            }
        }
    }
    assert_int_equal(mem_read(f, TABLE + 16, 8), 0x1234567000000000);
    assert_int_equal(mem_read(f, TABLE + 24, 8), 0x42);
    assert_int_equal(test->reads, 0);
    assert_int_equal(test->writes, 0);
}

/* The rest of the BAR is the device's; an access over the border is nobody's. */
static void test_rest_of_the_bar(void **state)
{
    struct fixture *f = *state;
    struct test_device *test = plug_enabled(f, 0);
    test->registers[0] = 0x1234;
    assert_int_equal(mem_read(f, BAR, 2), 0x1234);
    bus_write(&f->memory, TABLE + 16 * TEST_VECTORS, 8, 0x77); /* just behind the table */
    assert_int_equal(test->registers[(0x1000 + 16 * TEST_VECTORS) / 8], 0x77);
    bus_write(&f->memory, TABLE - 8, 8, 0x78);
    assert_int_equal(test->registers[(0x1000 - 8) / 8], 0x78);
    bus_write(&f->memory, PBA + 16, 4, 0x79); /* 70 vectors: two words of 64 bits */
    assert_int_equal(test->registers[(0x2000 + 16) / 8], 0x79);
    unsigned writes = test->writes;
    unsigned reads = test->reads;
    assert_int_equal(mem_read(f, TABLE - 4, 8), UINT64_MAX);
    assert_int_equal(mem_read(f, TABLE + 16 * TEST_VECTORS - 1, 2), 0xffff);
    assert_int_equal(mem_read(f, PBA + 12, 8), UINT64_MAX);
    bus_write(&f->memory, TABLE - 4, 8, 0);
    bus_write(&f->memory, TABLE + 16 * TEST_VECTORS - 1, 2, 0);
    assert_int_equal(test->writes, writes);
    assert_int_equal(test->reads, reads);
}

static void test_sent(void **state)
{
    struct fixture *f = *state;
    struct test_device *test = plug_enabled(f, PCI_MSIX_FLAGS_ENABLE);
    assert_true(pci_msix_enabled(&test->device));
    assert_int_equal(f->irq.reserved, 0); /* all are masked */
    write_entry(f, 0, 0xfee01000, 0x51, 0);
    write_entry(f, 69, 0x7fee02004, 0x80000052, 0);
    assert_int_equal(f->irq.reserved, 2);
    notify(test, 69);
    assert_int_equal(f->irq.last_message.address, 0x7fee02004);
    assert_int_equal(f->irq.last_message.data, 0x80000052);
    assert_int_equal(f->irq.last_device, SLOT << 3);
    notify(test, 0);
    assert_int_equal(f->irq.last_message.data, 0x51);
    notify(test, 70); /* the device has no such vector */
    notify(test, 4096);
    assert_int_equal(f->irq.raised, 2);
    set_flags(f, 0);
    assert_int_equal(f->irq.reserved, 0);
    notify(test, 0);
    assert_int_equal(f->irq.raised, 2);
}

static void test_masks_and_pending_bits(void **state)
{
    struct fixture *f = *state;
    struct test_device *test = plug_enabled(f, PCI_MSIX_FLAGS_ENABLE);
    write_entry(f, 65, 0xfee01000, 0x51, 1);
    notify(test, 65);
    notify(test, 65);
    notify(test, 1);
    assert_int_equal(f->irq.raised, 0);
    assert_int_equal(mem_read(f, PBA, 8), 2);
    assert_int_equal(mem_read(f, PBA + 8, 8), 2);
    assert_int_equal(mem_read(f, PBA + 8, 4), 2);
    assert_int_equal(mem_read(f, PBA + 12, 4), 0);
    bus_write(&f->memory, PBA + 8, 8, 0); /* read-only */
    assert_int_equal(mem_read(f, PBA + 8, 8), 2);
    write_entry(f, 65, 0xfee01000, 0x51, 0);
    assert_int_equal(f->irq.raised, 1);
    assert_int_equal(mem_read(f, PBA + 8, 8), 0);
    assert_int_equal(mem_read(f, PBA, 8), 2);
    write_entry(f, 65, 0xfee01000, 0x51, 1); /* masked again: out of the table, still reserved */
    assert_int_equal(f->irq.routed, 0);
    assert_int_equal(f->irq.reserved, 1);
}

/* Function Mask covers all vectors and leaves their own bits alone. */
static void test_function_mask(void **state)
{
    struct fixture *f = *state;
    struct test_device *test = plug_enabled(f, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
    write_entry(f, 0, 0xfee01000, 0x51, 0);
    write_entry(f, 1, 0xfee01000, 0x52, 0);
    assert_int_equal(f->irq.reserved, 0);
    notify(test, 0);
    assert_int_equal(mem_read(f, PBA, 8), 1);
    set_flags(f, PCI_MSIX_FLAGS_ENABLE);
    assert_int_equal(f->irq.reserved, 2);
    assert_int_equal(f->irq.raised, 1);
    assert_int_equal(f->irq.last_message.data, 0x51);
    set_flags(f, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
    assert_int_equal(f->irq.routed, 0);
    assert_int_equal(f->irq.reserved, 2);
}

static void test_table_is_written_only_on_change(void **state)
{
    struct fixture *f = *state;
    struct test_device *test = plug_enabled(f, PCI_MSIX_FLAGS_ENABLE);
    write_entry(f, 3, 0xfee01000, 0x51, 0);
    assert_int_equal(f->irq.table_writes, 1);
    for (unsigned i = 0; i < 10; i++) {
        write_entry(f, 3, 0xfee01000, 0x51, 0);
        notify(test, 3);
    }
    set_flags(f, PCI_MSIX_FLAGS_ENABLE);
    assert_int_equal(f->irq.table_writes, 1);
    /* Re-routed while it fires: mask, write, unmask, as software should. */
    write_entry(f, 3, 0xfee01000, 0x51, 1);
    notify(test, 3);
    write_entry(f, 3, 0xfee02000, 0x61, 1);
    write_entry(f, 3, 0xfee02000, 0x61, 0);
    assert_int_equal(f->irq.last_message.address, 0xfee02000);
    assert_int_equal(f->irq.last_message.data, 0x61);
    assert_int_equal(f->irq.table_writes, 3);
}

static void test_routes_run_out(void **state)
{
    struct fixture *f = *state;
    struct test_device *test = plug_enabled(f, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
    for (unsigned vector = 0; vector < TEST_VECTORS; vector++) {
        write_entry(f, vector, 0xfee00000, vector, 0);
    }
    f->irq.capacity = 10;
    set_flags(f, PCI_MSIX_FLAGS_ENABLE);
    assert_int_equal(f->irq.reserved, 10);
    assert_true(test->device.msi_error_reported);
    for (unsigned vector = 0; vector < TEST_VECTORS; vector++) {
        notify(test, vector);
    }
    assert_int_equal(f->irq.raised, 10);
}

static void test_bus_mastering_off(void **state)
{
    struct fixture *f = *state;
    struct test_device *test = plug_enabled(f, PCI_MSIX_FLAGS_ENABLE);
    write_entry(f, 0, 0xfee01000, 0x51, 0);
    cfg_write(f, 0, SLOT, 0, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
    notify(test, 0);
    assert_int_equal(f->irq.raised, 0);
}

/* ---- set-up mistakes */

static int layout_case;

static int wrong_layout(struct pci_device *device, struct error *err)
{
    static const struct {
        unsigned vectors, bar;
        uint32_t table, pba;
    } wrong[] = {
        {0, 0, 0, 0x800},     {2049, 0, 0, 0x8000}, {4, 1, 0, 0x800},     {4, 2, 0, 0x800},
        {4, 0, 4, 0x800},     {4, 0, 0, 0x804},     {4, 0, 0xff0, 0x800}, {4, 0, 0, 0x1000},
        {4, 0, 0x100, 0x138}, {4, 6, 0, 0x800},
    };
    pci_add_bar(device, 0, PCI_BAR_MEM32, 0x1000, NULL, NULL);
    pci_add_bar(device, 1, PCI_BAR_IO, 0x100, NULL, NULL);
    return pci_add_msix(device, 0, wrong[layout_case].vectors, wrong[layout_case].bar,
                        wrong[layout_case].table, wrong[layout_case].pba, err);
}

static void test_programming_errors_abort(void **state)
{
    struct fixture *f = *state;
    struct pci_device_type type = test_type;
    type.realize = wrong_layout;
    for (layout_case = 0; layout_case < 10; layout_case++) {
        assert_true(aborts(f, &type));
    }
}

/* A BAR for MSI-X alone has no ops; the largest table there can be. */
static int largest(struct pci_device *device, struct error *err)
{
    pci_add_bar(device, 0, PCI_BAR_MEM64, 0x10000, NULL, NULL);
    return pci_add_msix(device, 0, 2048, 0, 0, 0x8000, err);
}

static void test_largest_table(void **state)
{
    struct fixture *f = *state;
    static struct pci_device_type type;
    type = test_type;
    type.realize = largest;
    struct test_device *test = (struct test_device *)plug(f, &type, "addr=3");
    cfg_write(f, 0, SLOT, 0, PCI_BASE_ADDRESS_0, 8, BAR);
    cfg_write(f, 0, SLOT, 0, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    cfg_write(f, 0, SLOT, 0, 0x40 + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
    bus_write(&f->memory, BAR + 0x7ff8, 8, 0x77); /* the last entry's data and control */
    notify(test, 2047);
    assert_int_equal(f->irq.raised, 1);
    assert_int_equal(f->irq.last_message.data, 0x77);
    assert_int_equal(mem_read(f, BAR + 0x8100, 4), 0); /* behind the pending bits */
    bus_write(&f->memory, BAR + 0x8100, 4, 1);
    notify(test, 2046);
    assert_int_equal(mem_read(f, BAR + 0x80f8, 8), 1ull << 62);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pci_unit_test(test_capability),
        pci_unit_test(test_table_after_reset),
        pci_unit_test(test_widths),
        pci_unit_test(test_bad_widths),
        pci_unit_test(test_rest_of_the_bar),
        pci_unit_test(test_sent),
        pci_unit_test(test_masks_and_pending_bits),
        pci_unit_test(test_function_mask),
        pci_unit_test(test_table_is_written_only_on_change),
        pci_unit_test(test_routes_run_out),
        pci_unit_test(test_bus_mastering_off),
        pci_unit_test(test_programming_errors_abort),
        pci_unit_test(test_largest_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

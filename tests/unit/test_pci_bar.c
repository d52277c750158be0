/* SPDX-License-Identifier: MIT */
/* Base address registers: sizing, decode enables, relocation, and what a hostile guest writes. */
#include <pthread.h>
#include <stdatomic.h>

#include "pci_fixture.h"

enum {
    BAR0 = PCI_BASE_ADDRESS_0,
    BAR_IO = PCI_BASE_ADDRESS_1,
    BAR64 = PCI_BASE_ADDRESS_2,
    BAR64_HIGH = PCI_BASE_ADDRESS_3,
    BAR_MSIX = PCI_BASE_ADDRESS_4,
    UNUSED_BAR = PCI_BASE_ADDRESS_5,
};

static const uint64_t nobody4 = UINT32_MAX;

/* A test device in slot 3 whose register 0 in each BAR reads 0x1122334455667788. */
static struct test_device *device_at(struct fixture *f, const char *where)
{
    struct test_device *test = plug_test(f, where);
    test->registers[0] = 0x1122334455667788;
    return test;
}

static void test_sizing(void **state)
{
    struct fixture *f = *state;
    device_at(f, "addr=3");
    static const unsigned expected[][2] = {{BAR0, 0xfffff000},     {BAR_IO, 0xfffffff1},
                                           {BAR64, 0xffff000c},    {BAR64_HIGH, 0xffffffff},
                                           {BAR_MSIX, 0xffffc000}, {UNUSED_BAR, 0}};
    for (unsigned i = 0; i < 6; i++) {
        cfg_write(f, 0, 3, 0, expected[i][0], 4, 0xffffffff);
        assert_int_equal(cfg_read(f, 0, 3, 0, expected[i][0], 4), expected[i][1]);
    }
    cfg_write(f, 0, 3, 0, BAR64, 8, UINT64_MAX); /* both halves at once */
    assert_int_equal(cfg_read(f, 0, 3, 0, BAR64, 8), 0xffffffffffff000c);
}

static void test_sizing_by_bytes(void **state)
{
    struct fixture *f = *state;
    device_at(f, "addr=3");
    for (unsigned i = 0; i < 4; i++) {
        cfg_write(f, 0, 3, 0, BAR_MSIX + i, 1, 0xff);
    }
    assert_int_equal(cfg_read(f, 0, 3, 0, BAR_MSIX, 4), 0xffffc000);
    assert_int_equal(cfg_read(f, 0, 3, 0, BAR_MSIX + 1, 1), 0xc0);
}

static void test_decode_enables(void **state)
{
    struct fixture *f = *state;
    struct test_device *test = device_at(f, "addr=3");
    cfg_write(f, 0, 3, 0, BAR0, 4, 0xe0000000);
    cfg_write(f, 0, 3, 0, BAR_IO, 4, 0x6001);
    assert_int_equal(mem_read(f, 0xe0000000, 4), nobody4);
    set_command(f, &test->device, PCI_COMMAND_MEMORY);
    assert_int_equal(mem_read(f, 0xe0000000, 4), 0x55667788);
    assert_int_equal(bus_read(&f->ports, 0x6000, 2), 0xffff);
    set_command(f, &test->device, PCI_COMMAND_IO);
    assert_int_equal(mem_read(f, 0xe0000000, 4), nobody4);
    assert_int_equal(bus_read(&f->ports, 0x6000, 4) & UINT32_MAX, 0x55667788);
    set_command(f, &test->device, 0);
    assert_int_equal(bus_read(&f->ports, 0x6000, 2), 0xffff);
}

static void test_moved_while_live(void **state)
{
    struct fixture *f = *state;
    struct test_device *test = device_at(f, "addr=3");
    set_command(f, &test->device, PCI_COMMAND_MEMORY);
    for (uint32_t base = 0xe0000000; base < 0xe0010000; base += 0x1000) {
        cfg_write(f, 0, 3, 0, BAR0, 4, base);
        assert_int_equal(mem_read(f, base, 8), 0x1122334455667788);
        assert_int_equal(mem_read(f, base - 0x1000, 4), nobody4);
        assert_int_equal(mem_read(f, base + 0x1000, 4), nobody4);
    }
}

/* Firmware asks for the size with decoding on; the answer is no address. */
static void test_sizing_while_live(void **state)
{
    struct fixture *f = *state;
    struct test_device *test = device_at(f, "addr=3");
    set_command(f, &test->device, PCI_COMMAND_MEMORY | PCI_COMMAND_IO);
    cfg_write(f, 0, 3, 0, BAR0, 4, 0xe0000000);
    cfg_write(f, 0, 3, 0, BAR0, 4, 0xffffffff);
    assert_int_equal(mem_read(f, 0xfffff000, 4), nobody4);
    assert_false(test->device.bars[0].mapped);
    cfg_write(f, 0, 3, 0, BAR_IO, 4, 0xffffffff);
    assert_false(test->device.bars[1].mapped);
    cfg_write(f, 0, 3, 0, BAR64, 8, UINT64_MAX);
    assert_false(test->device.bars[2].mapped);
    cfg_write(f, 0, 3, 0, BAR0, 4, 0xe0000000);
    assert_int_equal(mem_read(f, 0xe0000000, 4), 0x55667788);
}

static void test_64bit_halves(void **state)
{
    struct fixture *f = *state;
    struct test_device *test = device_at(f, "addr=3");
    set_command(f, &test->device, PCI_COMMAND_MEMORY);
    cfg_write(f, 0, 3, 0, BAR64_HIGH, 4, 0x12);
    assert_int_equal(mem_read(f, 0x1200000000, 4), 0x55667788); /* low half still 0 */
    cfg_write(f, 0, 3, 0, BAR64, 4, 0x34560000);
    assert_int_equal(mem_read(f, 0x1200000000, 4), nobody4);
    assert_int_equal(mem_read(f, 0x1234560000, 8), 0x1122334455667788);
    assert_int_equal(mem_read(f, 0x123456fff8, 8), 0);
    cfg_write(f, 0, 3, 0, BAR64_HIGH, 4, 0);
    assert_int_equal(mem_read(f, 0x34560000, 4), 0x55667788);
    assert_int_equal(mem_read(f, 0x1234560000, 4), nobody4);
}

static void test_places_that_are_never_decoded(void **state)
{
    struct fixture *f = *state;
    struct test_device *test = device_at(f, "addr=3");
    set_command(f, &test->device, PCI_COMMAND_MEMORY | PCI_COMMAND_IO);
    for (unsigned i = 0; i < PCI_BAR_COUNT; i++) {
        assert_false(test->device.bars[i].mapped); /* at 0, and enabled */
    }
    cfg_write(f, 0, 3, 0, BAR64_HIGH, 4, UINT32_MAX); /* below the top: mapped, and then above */
    assert_true(test->device.bars[2].mapped);
    cfg_write(f, 0, 3, 0, BAR_IO, 4, 0x10000); /* I/O space ends at 0xffff */
    assert_false(test->device.bars[1].mapped);
    cfg_write(f, 0, 3, 0, BAR_IO, 4, 0xfff0);
    assert_true(test->device.bars[1].mapped);
}

/* A bus with fewer address bits than the BAR. */
static void test_above_the_bus(void **state)
{
    struct fixture *f = *state;
    struct test_device *test = device_at(f, "addr=3");
    f->mmio.limit = 0xffffffffff;
    set_command(f, &test->device, PCI_COMMAND_MEMORY);
    cfg_write(f, 0, 3, 0, BAR64, 8, 0xffffff0000);
    assert_true(test->device.bars[2].mapped);
    cfg_write(f, 0, 3, 0, BAR64, 8, 0x10000000000);
    assert_false(test->device.bars[2].mapped);
    f->mmio.limit = UINT64_MAX;
}

/* The last of two BARs at one place is hidden, and comes out when the other goes. What the machine
 * has fixed there always wins. */
static void test_overlaps(void **state)
{
    struct fixture *f = *state;
    struct test_device *first = device_at(f, "addr=3");
    struct test_device *second = device_at(f, "addr=4");
    first->registers[0] = 1;
    second->registers[0] = 2;
    set_command(f, &first->device, PCI_COMMAND_MEMORY);
    set_command(f, &second->device, PCI_COMMAND_MEMORY);
    cfg_write(f, 0, 3, 0, BAR0, 4, 0xe0000000);
    cfg_write(f, 0, 4, 0, BAR0, 4, 0xe0000000);
    assert_int_equal(mem_read(f, 0xe0000000, 4), 1);
    cfg_write(f, 0, 3, 0, BAR0, 4, 0xe0100000);
    assert_int_equal(mem_read(f, 0xe0000000, 4), 2);
    cfg_write(f, 0, 4, 0, BAR0, 4, TEST_ECAM); /* onto the configuration space itself */
    assert_int_equal(cfg_read(f, 0, 3, 0, 0, 4), 0x56781234);
    cfg_write(f, 0, 4, 0, BAR0, 4, 0xe0200000);
    assert_int_equal(mem_read(f, 0xe0200000, 4), 2);
    cfg_write(f, 0, 3, 0, BAR_IO, 4, 0xcf1); /* onto CF8/CFC */
    set_command(f, &first->device, PCI_COMMAND_IO);
    bus_write(&f->ports, 0xcf8, 4, 0x80000000);
    assert_int_equal(bus_read(&f->ports, 0xcf8, 4), 0x80000000);
}

/* Two BARs of one function at one place, a BAR on itself and again. */
static void test_own_overlap_and_same_value(void **state)
{
    struct fixture *f = *state;
    struct test_device *test = device_at(f, "addr=3");
    set_command(f, &test->device, PCI_COMMAND_MEMORY);
    for (unsigned i = 0; i < 3; i++) {
        cfg_write(f, 0, 3, 0, BAR0, 4, 0xe0000000);
        cfg_write(f, 0, 3, 0, BAR64, 8, 0xe0000000);
        cfg_write(f, 0, 3, 0, BAR_MSIX, 4, 0xe0000000);
    }
    assert_int_equal(mem_read(f, 0xe0000000, 4), 0x55667788);
    assert_int_equal(f->mmio.count, 4); /* ECAM and these three, once each */
    set_command(f, &test->device, 0);
    assert_int_equal(f->mmio.count, 1);
}

/* A machine whose I/O space is a window of its memory bus, and one that has none. */
static void test_io_window(void **state)
{
    struct fixture *f = *state;
    struct test_device *test = device_at(f, "addr=3");
    f->host.pio = &f->mmio;
    f->host.pio_base = 0x3eff0000;
    set_command(f, &test->device, PCI_COMMAND_IO);
    cfg_write(f, 0, 3, 0, BAR_IO, 4, 0x1000);
    assert_int_equal(mem_read(f, 0x3eff1000, 4), 0x55667788);
    cfg_write(f, 0, 3, 0, BAR_IO, 4, 0x11000);
    assert_int_equal(mem_read(f, 0x3f001000, 4), nobody4);
    set_command(f, &test->device, 0);
    f->host.pio = NULL;
    cfg_write(f, 0, 3, 0, BAR_IO, 4, 0x1000);
    set_command(f, &test->device, PCI_COMMAND_IO);
    assert_false(test->device.bars[1].mapped);
    set_command(f, &test->device, 0);
    f->host.pio = &f->pio;
    f->host.pio_base = 0;
}

static void test_reset_unmaps(void **state)
{
    struct fixture *f = *state;
    struct test_device *test = device_at(f, "addr=3");
    cfg_write(f, 0, 3, 0, BAR0, 4, 0xe0000000);
    set_command(f, &test->device, PCI_COMMAND_MEMORY);
    pci_device_reset(&test->device, "power-on");
    assert_int_equal(mem_read(f, 0xe0000000, 4), nobody4);
    assert_int_equal(cfg_read(f, 0, 3, 0, BAR0, 4), 0);
    set_command(f, &test->device, PCI_COMMAND_MEMORY);
    assert_int_equal(mem_read(f, 0xe0000000, 4), nobody4);
}

static void test_names(void **state)
{
    struct fixture *f = *state;
    struct test_device *named = device_at(f, "addr=3,id=thing");
    struct test_device *other = device_at(f, "addr=4");
    assert_string_equal(named->device.bars[0].region.name, "thing bar0");
    assert_string_equal(other->device.bars[4].region.name, "test-device@00:04.0 bar4");
}

static void test_bus_master(void **state)
{
    struct fixture *f = *state;
    struct test_device *test = device_at(f, "addr=3");
    assert_false(atomic_load(&test->device.dma.bus_master));
    set_command(f, &test->device, PCI_COMMAND_MASTER);
    assert_true(atomic_load(&test->device.dma.bus_master));
    assert_int_equal(atomic_load(&test->device.dma.requester_id), 3 << 3);
    set_command(f, &test->device, PCI_COMMAND_MEMORY);
    assert_false(atomic_load(&test->device.dma.bus_master));
}

/* ---- programming errors */

static int realize_case;

static int wrong_realize(struct pci_device *device, struct error *err)
{
    (void)err;
    static const struct {
        unsigned index;
        enum pci_bar_kind kind;
        uint64_t size;
    } wrong[] = {
        {6, PCI_BAR_MEM32, 0x1000},
        {5, PCI_BAR_MEM64, 0x1000},
        {0, PCI_BAR_MEM32, 0x1001},
        {0, PCI_BAR_MEM32, 8},
        {0, PCI_BAR_IO, 2},
        {0, PCI_BAR_IO, 512},
        {0, PCI_BAR_MEM32, 0},
        {2, PCI_BAR_MEM32, 0x1000},
        {3, PCI_BAR_MEM32, 0x1000},
        {1, PCI_BAR_MEM64, 0x1000},
        {0, PCI_BAR_MEM32, 1ull << 32},
        {0, PCI_BAR_NONE, 0x1000},
    };
    pci_add_bar(device, 2, PCI_BAR_MEM64, 0x1000, &test_ops, device);
    pci_add_bar(device, wrong[realize_case].index, wrong[realize_case].kind,
                wrong[realize_case].size, &test_ops, device);
    return 0;
}

static void test_programming_errors_abort(void **state)
{
    struct fixture *f = *state;
    struct pci_device_type type = test_type;
    type.realize = wrong_realize;
    for (realize_case = 0; realize_case < 12; realize_case++) {
        assert_true(aborts(f, &type));
    }
}

/* ---- threads: a BAR moves while another CPU reads through it */

struct mover {
    struct fixture *f;
    struct test_device *test;
    atomic_bool stop;
    atomic_uint rounds;
    unsigned hits;
    unsigned misses;
    bool wrong;
};

static void *read_both_places(void *opaque)
{
    struct mover *mover = opaque;
    struct bus_cursor cursor;
    bus_cursor_init(&cursor, &mover->f->mmio);
    while (!atomic_load(&mover->stop)) {
        for (uint64_t place = 0xe0000000; place <= 0xe0100000; place += 0x100000) {
            uint64_t value = bus_read(&cursor, place, 4) & UINT32_MAX;
            mover->hits += value == 0x55667788;
            mover->misses += value == nobody4;
            mover->wrong |= value != 0x55667788 && value != nobody4;
        }
        uint64_t id = bus_read(&cursor, ecam_address(0, 3, 0, 0), 4) & UINT32_MAX;
        mover->wrong |= id != 0x56781234;
        uint64_t base = bus_read(&cursor, ecam_address(0, 3, 0, BAR0), 4) & UINT32_MAX;
        mover->wrong |= base != 0xe0000000 && base != 0xe0100000;
        atomic_fetch_add(&mover->rounds, 1);
    }
    bus_cursor_destroy(&cursor);
    return NULL;
}

static void test_moved_while_another_cpu_reads(void **state)
{
    struct fixture *f = *state;
    struct mover mover = {.f = f, .test = device_at(f, "addr=3")};
    cfg_write(f, 0, 3, 0, BAR0, 4, 0xe0000000);
    set_command(f, &mover.test->device, PCI_COMMAND_MEMORY);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, read_both_places, &mover), 0);
    for (unsigned i = 0; i < 2000 || atomic_load(&mover.rounds) < 2000; i++) {
        cfg_write(f, 0, 3, 0, BAR0, 4, i % 2 ? 0xe0000000 : 0xe0100000);
    }
    atomic_store(&mover.stop, true);
    pthread_join(thread, NULL);
    assert_false(mover.wrong);
    assert_true(mover.hits > 0);
}

/* Two CPUs: one moves the BARs of a device, the other the window of the bridge above it. Whoever
 * comes last decides from both registers. */
static void *move_window(void *opaque)
{
    struct mover *mover = opaque;
    struct pci_device *bridge = mover->test->device.bus->parent->device;
    for (unsigned i = 0; i < 2000; i++) {
        set_window(bridge, i % 2 ? 0xe0000000 : 0xe0100000, i % 2 ? 0xe0000000 : 0xe0100000);
    }
    return NULL;
}

static void test_window_and_bar_at_once(void **state)
{
    struct fixture *f = *state;
    struct pci_device *port = plug(f, &root_port_type, "id=rp");
    struct mover mover = {.f = f, .test = device_at(f, "bus=rp")};
    number_bridge(port, 1, 1);
    set_command(f, port, PCI_COMMAND_MEMORY);
    set_command(f, &mover.test->device, PCI_COMMAND_MEMORY);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, move_window, &mover), 0);
    for (unsigned i = 0; i < 2000; i++) {
        cfg_write(f, 1, 0, 0, BAR0, 4, i % 2 ? 0xe0000000 : 0xe0100000);
    }
    pthread_join(thread, NULL);
    assert_int_equal(mem_read(f, 0xe0000000, 4), 0x55667788);
    assert_int_equal(mem_read(f, 0xe0100000, 4), nobody4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pci_unit_test(test_sizing),
        pci_unit_test(test_sizing_by_bytes),
        pci_unit_test(test_decode_enables),
        pci_unit_test(test_moved_while_live),
        pci_unit_test(test_sizing_while_live),
        pci_unit_test(test_64bit_halves),
        pci_unit_test(test_places_that_are_never_decoded),
        pci_unit_test(test_above_the_bus),
        pci_unit_test(test_overlaps),
        pci_unit_test(test_own_overlap_and_same_value),
        pci_unit_test(test_io_window),
        pci_unit_test(test_reset_unmaps),
        pci_unit_test(test_names),
        pci_unit_test(test_bus_master),
        pci_unit_test(test_programming_errors_abort),
        pci_unit_test(test_moved_while_another_cpu_reads),
        pci_unit_test(test_window_and_bar_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

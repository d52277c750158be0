/* SPDX-License-Identifier: MIT */
/* Bridges: bus walks, windows, bus mastering through them, resets, and hostile bus numbers. */
#include <pthread.h>
#include <stdatomic.h>

#include "pci_fixture.h"

enum { BASE = 0xe0000000 };

/* root port 2 -> switch -> downstream ports 0 and 1 -> a test device each; all numbered by hand. */
struct topology {
    struct pci_device *root_port;
    struct pci_device *upstream;
    struct pci_device *downstream[2];
    struct test_device *device[2];
};

static struct topology build(struct fixture *f)
{
    struct topology t;
    t.root_port = plug(f, &root_port_type, "id=rp,addr=2");
    t.upstream = plug(f, &switch_upstream_type, "id=up,bus=rp");
    t.downstream[0] = plug(f, &switch_downstream_type, "id=d0,bus=up");
    t.downstream[1] = plug(f, &switch_downstream_type, "id=d1,bus=up");
    t.device[0] = plug_test(f, "bus=d0");
    t.device[1] = plug_test(f, "bus=d1");
    return t;
}

static void number(const struct topology *t)
{
    number_bridge(t->root_port, 1, 9);
    number_bridge(t->upstream, 2, 9);
    number_bridge(t->downstream[0], 3, 3);
    number_bridge(t->downstream[1], 7, 9);
}

static uint64_t id_at(struct fixture *f, unsigned bus, unsigned dev)
{
    return cfg_read(f, bus, dev, 0, PCI_VENDOR_ID, 4);
}

static const uint64_t nobody = UINT32_MAX;

static void test_header(void **state)
{
    struct fixture *f = *state;
    struct pci_device *port = plug(f, &root_port_type, "id=rp,addr=2");
    assert_int_equal(id_at(f, 0, 2), 0x000c1b36);
    assert_int_equal(cfg_read(f, 0, 2, 0, PCI_CLASS_REVISION, 4) >> 8, 0x060400);
    assert_int_equal(cfg_read(f, 0, 2, 0, PCI_HEADER_TYPE, 1), 1);
    for (unsigned reg = PCI_PRIMARY_BUS; reg < PCI_CAPABILITY_LIST; reg += 4) {
        pci_config_write(port, reg, 4, UINT32_MAX);
    }
    pci_config_write(port, PCI_BRIDGE_CONTROL, 2, 0xffbf); /* all but the reset */
    assert_int_equal(cfg_read(f, 0, 2, 0, PCI_PRIMARY_BUS, 4), 0x00ffffff);
    assert_int_equal(cfg_read(f, 0, 2, 0, PCI_IO_BASE, 4), 0x0000f0f0);
    assert_int_equal(cfg_read(f, 0, 2, 0, PCI_MEMORY_BASE, 4), 0xfff0fff0);
    assert_int_equal(cfg_read(f, 0, 2, 0, PCI_PREF_MEMORY_BASE, 4), 0xfff1fff1);
    assert_int_equal(cfg_read(f, 0, 2, 0, PCI_PREF_BASE_UPPER32, 8), UINT64_MAX);
    assert_int_equal(cfg_read(f, 0, 2, 0, PCI_IO_BASE_UPPER16, 4), 0);
    assert_int_equal(cfg_read(f, 0, 2, 0, PCI_BRIDGE_CONTROL, 2), 0x001f);
    pci_config_set(port, PCI_SEC_STATUS, 2, 0xf900);
    pci_config_write(port, PCI_SEC_STATUS, 2, 0x2000);
    assert_int_equal(cfg_read(f, 0, 2, 0, PCI_SEC_STATUS, 2), 0xd900);
}

static void test_walk(void **state)
{
    struct fixture *f = *state;
    struct topology t = build(f);
    assert_int_equal(id_at(f, 1, 0), nobody); /* not numbered yet */
    number(&t);
    assert_int_equal(id_at(f, 1, 0), 0x8232104c);
    assert_int_equal(id_at(f, 2, 0), 0x8233104c);
    assert_int_equal(id_at(f, 2, 1), 0x8233104c);
    assert_int_equal(id_at(f, 3, 0), 0x56781234);
    assert_int_equal(id_at(f, 7, 0), 0x56781234);
    assert_ptr_equal(pci_host_find(&f->host, 7, 0), &t.device[1]->device);
    static const unsigned empty[] = {4, 5, 6, 8, 9, 10, 255}; /* gaps, and beyond the range */
    for (unsigned i = 0; i < sizeof(empty) / sizeof(empty[0]); i++) {
        assert_int_equal(id_at(f, empty[i], 0), nobody);
    }
    assert_int_equal(id_at(f, 3, 1), nobody); /* a link has one device */
    assert_int_equal(id_at(f, 1, 1), nobody);
}

static void test_renumbered(void **state)
{
    struct fixture *f = *state;
    struct topology t = build(f);
    number(&t);
    number_bridge(t.downstream[0], 5, 5);
    assert_int_equal(id_at(f, 3, 0), nobody);
    assert_int_equal(id_at(f, 5, 0), 0x56781234);
    assert_int_equal(atomic_load(&t.device[0]->device.dma.requester_id), 0x500);
    /* The whole tree moves up. */
    number_bridge(t.root_port, 0x80, 0xff);
    number_bridge(t.upstream, 0x90, 0xff);
    number_bridge(t.downstream[1], 0xff, 0xff);
    assert_int_equal(id_at(f, 0xff, 0), 0x56781234);
    assert_int_equal(id_at(f, 5, 0), nobody); /* no longer inside the ranges above */
    assert_int_equal(atomic_load(&t.device[1]->device.dma.requester_id), 0xff00);
}

/* Nothing a guest can write as bus numbers makes the walk hang or find what is not there. */
static void test_hostile_bus_numbers(void **state)
{
    struct fixture *f = *state;
    struct topology t = build(f);
    static const unsigned char numbers[][8] = {
        {0, 0, 0, 0, 0, 0, 0, 0},
        {0, 255, 0, 255, 0, 255, 0, 255},
        {1, 255, 1, 255, 1, 255, 1, 255},
        {9, 1, 9, 1, 9, 1, 9, 1},
        {255, 255, 255, 255, 255, 255, 255, 255},
        {1, 0, 0, 1, 255, 0, 0, 255},
        {5, 9, 1, 3, 5, 9, 0, 255},
        {0, 255, 1, 255, 0, 0, 2, 2},
    };
    for (unsigned i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        const unsigned char *n = numbers[i];
        number_bridge(t.root_port, n[0], n[1]);
        number_bridge(t.upstream, n[2], n[3]);
        number_bridge(t.downstream[0], n[4], n[5]);
        number_bridge(t.downstream[1], n[6], n[7]);
        for (unsigned bus = 0; bus < 256; bus++) {
            (void)id_at(f, bus, 0);
        }
        assert_int_equal(id_at(f, 0, 0), 0x00081b36); /* bus 0 is always the root */
        assert_int_equal(id_at(f, 0, 2), 0x000c1b36);
    }
    /* {0, 255, 1, 255, 0, 0, 2, 2}: number 1 is the bus inside the switch, 2 behind port 1. */
    assert_int_equal(id_at(f, 1, 0), 0x8233104c);
    assert_ptr_equal(pci_host_find(&f->host, 2, 0), &t.device[1]->device);
}

/* A number is reached only if it is in the range of every bridge above. */
static void test_outside_the_range_above(void **state)
{
    struct fixture *f = *state;
    struct topology t = build(f);
    number_bridge(t.root_port, 5, 9);
    number_bridge(t.upstream, 6, 9);
    number_bridge(t.downstream[0], 3, 7); /* 3 is not between 6 and 9; 7 is, and nobody is 7 */
    number_bridge(t.downstream[1], 8, 200);
    assert_null(pci_host_find(&f->host, 3, 0));
    assert_null(pci_host_find(&f->host, 7, 0));
    assert_ptr_equal(pci_host_find(&f->host, 8, 0), &t.device[1]->device);
    number_bridge(t.downstream[1], 10, 200);
    assert_null(pci_host_find(&f->host, 10, 0));
}

/* Two bridges claim the same numbers: the lower slot gets them, and gives them back. */
static void test_claimed_twice(void **state)
{
    struct fixture *f = *state;
    struct pci_device *high = plug(f, &root_port_type, "id=high,addr=6");
    struct pci_device *low = plug(f, &root_port_type, "id=low,addr=5");
    struct test_device *behind_high = plug_test(f, "bus=high");
    struct test_device *behind_low = plug_test(f, "bus=low");
    number_bridge(high, 1, 4);
    number_bridge(low, 1, 4);
    assert_ptr_equal(pci_host_find(&f->host, 1, 0), &behind_low->device);
    number_bridge(low, 2, 4);
    assert_ptr_equal(pci_host_find(&f->host, 1, 0), &behind_high->device);
    number_bridge(low, 0, 255);
    assert_null(pci_host_find(&f->host, 1, 0)); /* low claims 1 and has nobody there */
}

/* ---- windows */

static struct test_device *behind_port(struct fixture *f, struct pci_device **port)
{
    *port = plug(f, &root_port_type, "id=rp,addr=2");
    struct test_device *test = plug_test(f, "bus=rp");
    test->registers[0] = 0x55667788;
    number_bridge(*port, 1, 1);
    pci_config_write(*port, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_IO);
    pci_config_write(&test->device, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_IO);
    return test;
}

static void test_memory_window(void **state)
{
    struct fixture *f = *state;
    struct pci_device *port;
    struct test_device *test = behind_port(f, &port);
    cfg_write(f, 1, 0, 0, PCI_BASE_ADDRESS_0, 4, BASE + 0xff000);
    assert_int_equal(mem_read(f, BASE + 0xff000, 4), nobody); /* window 0 - 0xfffff after reset */
    set_window(port, BASE, BASE);                             /* 1 MiB */
    assert_int_equal(mem_read(f, BASE + 0xff000, 4), 0x55667788);
    cfg_write(f, 1, 0, 0, PCI_BASE_ADDRESS_0, 4, BASE + 0x100000);
    assert_int_equal(mem_read(f, BASE + 0x100000, 4), nobody);
    set_window(port, BASE, BASE + 0x100000);
    assert_int_equal(mem_read(f, BASE + 0x100000, 4), 0x55667788);
    set_window(port, BASE + 0x100000, BASE); /* base > limit: closed */
    assert_int_equal(mem_read(f, BASE + 0x100000, 4), nobody);
    set_window(port, BASE, BASE + 0x100000);
    pci_config_write(port, PCI_COMMAND, 2, 0); /* the bridge's own enable */
    assert_int_equal(mem_read(f, BASE + 0x100000, 4), nobody);
    pci_config_write(port, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
    assert_true(test->device.bars[0].mapped);
}

static void test_bar_larger_than_the_window(void **state)
{
    struct fixture *f = *state;
    struct pci_device *port;
    struct test_device *test = behind_port(f, &port);
    test->device.bars[2].region.size = 0x200000; /* as if it had 2 MiB */
    set_window(port, BASE, BASE);
    cfg_write(f, 1, 0, 0, PCI_BASE_ADDRESS_2, 8, BASE);
    assert_int_equal(mem_read(f, BASE, 4), nobody);
    set_window(port, BASE, BASE + 0x100000);
    assert_int_equal(mem_read(f, BASE, 4), 0x55667788);
}

static void test_prefetchable_window(void **state)
{
    struct fixture *f = *state;
    struct pci_device *port;
    struct test_device *test = behind_port(f, &port);
    set_window(port, 0xfff00000, 0);
    cfg_write(f, 1, 0, 0, PCI_BASE_ADDRESS_2, 8, 0x1234500000);
    pci_config_write(port, PCI_PREF_MEMORY_BASE, 2, 0x3450);
    pci_config_write(port, PCI_PREF_MEMORY_LIMIT, 2, 0x3450);
    assert_false(test->device.bars[2].mapped);
    pci_config_write(port, PCI_PREF_LIMIT_UPPER32, 4, 0x12); /* now 0x34500000 - 0x12345fffff */
    assert_true(test->device.bars[2].mapped);
    pci_config_write(port, PCI_PREF_BASE_UPPER32, 4, 0x12);
    assert_int_equal(mem_read(f, 0x1234500000, 4), 0x55667788);
    pci_config_write(port, PCI_PREF_BASE_UPPER32, 4, 0x13); /* base > limit */
    assert_int_equal(mem_read(f, 0x1234500000, 4), nobody);
    pci_config_write(port, PCI_PREF_LIMIT_UPPER32, 4, UINT32_MAX);
    pci_config_write(port, PCI_PREF_BASE_UPPER32, 4, 0);
    assert_int_equal(mem_read(f, 0x1234500000, 4), 0x55667788);
}

static void test_io_window(void **state)
{
    struct fixture *f = *state;
    struct pci_device *port;
    behind_port(f, &port);
    cfg_write(f, 1, 0, 0, PCI_BASE_ADDRESS_1, 4, 0x6ff0);
    assert_int_equal(bus_read(&f->ports, 0x6ff0, 4) & nobody, nobody);
    pci_config_write(port, PCI_IO_BASE, 2, 0x6060); /* 0x6000 - 0x6fff */
    assert_int_equal(bus_read(&f->ports, 0x6ff0, 4) & nobody, 0x55667788);
    pci_config_write(port, PCI_BRIDGE_CONTROL, 2, PCI_BRIDGE_CTL_ISA);
    assert_int_equal(bus_read(&f->ports, 0x6ff0, 4) & nobody, nobody); /* 0x3f0 above 0x6c00 */
    cfg_write(f, 1, 0, 0, PCI_BASE_ADDRESS_1, 4, 0x6cf0);
    assert_int_equal(bus_read(&f->ports, 0x6cf0, 4) & nobody, 0x55667788);
    pci_config_write(port, PCI_IO_BASE, 2, 0x6070); /* base 0x7000 > limit */
    assert_int_equal(bus_read(&f->ports, 0x6cf0, 4) & nobody, nobody);
}

/* Every bridge above has to forward it. */
static void test_windows_nest(void **state)
{
    struct fixture *f = *state;
    struct topology t = build(f);
    struct pci_device *bridges[] = {t.root_port, t.upstream, t.downstream[0]};
    number(&t);
    cfg_write(f, 3, 0, 0, PCI_BASE_ADDRESS_0, 4, BASE);
    set_command(f, &t.device[0]->device, PCI_COMMAND_MEMORY);
    for (unsigned i = 0; i < 3; i++) {
        assert_false(t.device[0]->device.bars[0].mapped);
        set_window(bridges[i], BASE, BASE);
        set_command(f, bridges[i], PCI_COMMAND_MEMORY);
    }
    assert_true(t.device[0]->device.bars[0].mapped);
    for (unsigned i = 0; i < 3; i++) {
        set_window(bridges[i], BASE + 0x100000, BASE + 0x100000);
        assert_false(t.device[0]->device.bars[0].mapped);
        set_window(bridges[i], BASE, BASE);
        assert_true(t.device[0]->device.bars[0].mapped);
    }
}

static void test_bus_master_of_every_bridge(void **state)
{
    struct fixture *f = *state;
    struct topology t = build(f);
    struct pci_device *path[] = {&t.device[0]->device, t.downstream[0], t.upstream, t.root_port};
    for (unsigned i = 0; i < 4; i++) {
        assert_false(atomic_load(&path[0]->dma.bus_master));
        set_command(f, path[i], PCI_COMMAND_MASTER);
    }
    for (unsigned i = 0; i < 4; i++) {
        assert_true(atomic_load(&path[0]->dma.bus_master));
        set_command(f, path[i], 0);
        assert_false(atomic_load(&path[0]->dma.bus_master));
        set_command(f, path[i], PCI_COMMAND_MASTER);
    }
    assert_false(atomic_load(&t.device[1]->device.dma.bus_master));
}

/* ---- resets */

static void test_secondary_bus_reset(void **state)
{
    struct fixture *f = *state;
    struct topology t = build(f);
    number(&t);
    cfg_write(f, 3, 0, 0, PCI_INTERRUPT_LINE, 1, 11);
    cfg_write(f, 7, 0, 0, PCI_INTERRUPT_LINE, 1, 12);
    unsigned resets[] = {t.device[0]->resets, t.device[1]->resets};
    pci_config_write(t.downstream[0], PCI_BRIDGE_CONTROL, 2, PCI_BRIDGE_CTL_BUS_RESET);
    assert_int_equal(t.device[0]->resets, resets[0] + 1);
    assert_int_equal(t.device[1]->resets, resets[1]);
    assert_int_equal(id_at(f, 3, 0), nobody); /* held in reset */
    assert_int_equal(cfg_read(f, 7, 0, 0, PCI_INTERRUPT_LINE, 1), 12);
    pci_config_write(t.downstream[0], PCI_BRIDGE_CONTROL, 2, PCI_BRIDGE_CTL_BUS_RESET);
    assert_int_equal(t.device[0]->resets, resets[0] + 1); /* once */
    pci_config_write(t.downstream[0], PCI_BRIDGE_CONTROL, 2, 0);
    assert_int_equal(id_at(f, 3, 0), 0x56781234);
    assert_int_equal(cfg_read(f, 3, 0, 0, PCI_INTERRUPT_LINE, 1), 0);
    /* From the root port it goes down to all of them, the bridges included. */
    pci_config_write(t.root_port, PCI_BRIDGE_CONTROL, 2, PCI_BRIDGE_CTL_BUS_RESET);
    pci_config_write(t.root_port, PCI_BRIDGE_CONTROL, 2, 0);
    assert_int_equal(t.device[1]->resets, resets[1] + 1);
    assert_int_equal(pci_config_read(t.downstream[1], PCI_SECONDARY_BUS, 1), 0);
    assert_int_equal(id_at(f, 1, 0), 0x8232104c); /* the root port keeps its own registers */
    assert_int_equal(id_at(f, 7, 0), nobody);
}

static void test_link_disable(void **state)
{
    struct fixture *f = *state;
    struct pci_device *port;
    struct test_device *test = behind_port(f, &port);
    unsigned control = port->express + PCI_EXP_LNKCTL;
    unsigned status = port->express + PCI_EXP_LNKSTA;
    unsigned slot = port->express + PCI_EXP_SLTSTA;
    unsigned resets = test->resets;
    set_window(port, BASE, BASE);
    cfg_write(f, 1, 0, 0, PCI_BASE_ADDRESS_0, 4, BASE);
    assert_int_equal(mem_read(f, BASE, 4), 0x55667788);
    pci_config_write(port, control, 2, PCI_EXP_LNKCTL_LD);
    assert_int_equal(id_at(f, 1, 0), nobody);
    assert_int_equal(mem_read(f, BASE, 4), nobody);
    assert_int_equal(test->resets, resets + 1);
    assert_false(pci_config_read(port, status, 2) & PCI_EXP_LNKSTA_DLLLA);
    assert_int_equal(pci_config_read(port, slot, 2), PCI_EXP_SLTSTA_DLLSC | PCI_EXP_SLTSTA_PDS);
    pci_config_write(port, slot, 2, PCI_EXP_SLTSTA_DLLSC);
    assert_int_equal(pci_config_read(port, slot, 2), PCI_EXP_SLTSTA_PDS);
    pci_config_write(port, control, 2, PCI_EXP_LNKCTL_RL); /* enabled, and retrained at once */
    assert_int_equal(id_at(f, 1, 0), 0x56781234);
    assert_true(pci_config_read(port, status, 2) & PCI_EXP_LNKSTA_DLLLA);
    assert_int_equal(pci_config_read(port, control, 2), 0);
    assert_int_equal(test->resets, resets + 1);
}

/* A machine reset while a bus is held in reset brings the bus back. */
static void test_power_on_releases_the_bus(void **state)
{
    struct fixture *f = *state;
    struct topology t = build(f);
    number(&t);
    pci_config_write(t.root_port, PCI_BRIDGE_CONTROL, 2, PCI_BRIDGE_CTL_BUS_RESET);
    pci_config_write(t.downstream[1], t.downstream[1]->express + PCI_EXP_LNKCTL, 2,
                     PCI_EXP_LNKCTL_LD);
    unsigned resets = t.device[0]->resets;
    pci_host_reset(&f->host);
    assert_int_equal(t.device[0]->resets, resets + 1);
    number(&t);
    assert_int_equal(id_at(f, 3, 0), 0x56781234);
    assert_int_equal(id_at(f, 7, 0), 0x56781234);
    assert_true(pci_config_read(t.downstream[1], t.downstream[1]->express + PCI_EXP_LNKSTA, 2) &
                PCI_EXP_LNKSTA_DLLLA);
}

/* ---- threads: buses are renumbered and reset while another CPU walks them */

static atomic_bool stop;
static atomic_uint rounds;

static void *walk(void *opaque)
{
    struct fixture *f = opaque;
    struct bus_cursor cursor;
    bus_cursor_init(&cursor, &f->mmio);
    while (!atomic_load(&stop)) {
        for (unsigned bus = 0; bus < 16; bus++) {
            (void)bus_read(&cursor, ecam_address(bus, 0, 0, 0), 4);
            bus_write(&cursor, ecam_address(bus, 0, 0, TEST_MSI), 4, 0x00010000);
            bus_write(&cursor, ecam_address(bus, 0, 0, PCI_COMMAND), 2, bus & 7);
            bus_write(&cursor, ecam_address(bus, 0, 0, PCI_BASE_ADDRESS_4), 4, BASE + bus);
        }
        atomic_fetch_add(&rounds, 1);
    }
    bus_cursor_destroy(&cursor);
    return NULL;
}

static void test_renumbered_while_another_cpu_walks(void **state)
{
    struct fixture *f = *state;
    struct topology t = build(f);
    pthread_t thread;
    atomic_store(&stop, false);
    atomic_store(&rounds, 0);
    assert_int_equal(pthread_create(&thread, NULL, walk, f), 0);
    for (unsigned i = 0; i < 1000 || atomic_load(&rounds) < 100; i++) {
        number_bridge(t.root_port, 1 + i % 3, 15);
        number_bridge(t.upstream, 2 + i % 5, 15);
        number_bridge(t.downstream[0], 3 + i % 7, 15);
        pci_config_write(t.root_port, PCI_BRIDGE_CONTROL, 2, i % 16 ? 0 : 0x40);
    }
    atomic_store(&stop, true);
    pthread_join(thread, NULL);
    pci_host_reset(&f->host);
    number(&t);
    assert_int_equal(id_at(f, 3, 0), 0x56781234);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pci_unit_test(test_header),
        pci_unit_test(test_walk),
        pci_unit_test(test_renumbered),
        pci_unit_test(test_hostile_bus_numbers),
        pci_unit_test(test_outside_the_range_above),
        pci_unit_test(test_claimed_twice),
        pci_unit_test(test_memory_window),
        pci_unit_test(test_bar_larger_than_the_window),
        pci_unit_test(test_prefetchable_window),
        pci_unit_test(test_io_window),
        pci_unit_test(test_windows_nest),
        pci_unit_test(test_bus_master_of_every_bridge),
        pci_unit_test(test_secondary_bus_reset),
        pci_unit_test(test_link_disable),
        pci_unit_test(test_power_on_releases_the_bus),
        pci_unit_test(test_renumbered_while_another_cpu_walks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

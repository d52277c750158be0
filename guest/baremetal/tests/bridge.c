/* SPDX-License-Identifier: MIT */
/*
 * Behind bridges: bus numbers, windows, bus mastering and resets as the guest programs them.
 * PCI-to- PCI Bridge 1.2, chapter 3. The topology, made by the command line:
 *
 *     root bus -- root port "first"  -- DMA engine
 *              \- root port "second" -- switch upstream -- downstream -- test device
 */
#include "engine.h"
#include "pci.h"
#include "test.h"
#include "testdev.h"

static unsigned first;
static unsigned second;
static struct engine engine;
static struct testdev testdev;

static void set_buses(unsigned bridge, unsigned secondary, unsigned subordinate)
{
    pci_write(bridge, PCI_PRIMARY_BUS, 1, bridge >> 8);
    pci_write(bridge, PCI_SECONDARY_BUS, 1, secondary);
    pci_write(bridge, PCI_SUBORDINATE_BUS, 1, subordinate);
}

/* Non-prefetchable memory window, in steps of 1 MiB; `last` below `base` closes it. */
static void set_window(unsigned bridge, uint64_t base, uint64_t last)
{
    pci_write(bridge, PCI_MEMORY_BASE, 2, base >> 16 & 0xfff0);
    pci_write(bridge, PCI_MEMORY_BASE + 2, 2, last >> 16 & 0xfff0);
}

static const uint64_t WINDOW_SIZE = 0x100000;

/* The engine on bus 1 behind the first port, reachable. False: no such topology. */
static bool setup(void)
{
    arch_interrupts(false);
    first = pci_find_bridge(0, 0);
    second = pci_find_bridge(0, 1);
    if (first == PCI_NONE || second == PCI_NONE) {
        test_skip("no root ports");
        return false;
    }
    set_buses(second, 0, 0);
    set_buses(first, 1, 1);
    if (!engine.base) {
        engine.base = pci_allocate(WINDOW_SIZE);
    }
    engine.bdf = BDF(1, 0, 0);
    set_window(first, engine.base, engine.base + WINDOW_SIZE - 1);
    pci_command(first, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, PCI_COMMAND_INTX_DISABLE);
    engine_enable(&engine);
    return true;
}

static uint32_t version(void)
{
    return mmio_read32(engine.base + DMA_ENGINE_VERSION);
}

static bool engine_at(unsigned bdf)
{
    return pci_read32(bdf, 0) == (DMA_ENGINE_DEVICE_ID << 16 | DMA_ENGINE_VENDOR_ID);
}

static uint32_t copy_something(void)
{
    static uint64_t from = 0x1122334455667788;
    static uint64_t to;

    to = 0;
    const uint32_t status = engine_copy(&engine, &from, &to, sizeof(to));
    return status == DMA_ENGINE_STATUS_DONE && to != from ? 0xbad : status;
}

static void numbered(void)
{
    if (!setup()) {
        return;
    }
    CHECK(engine_at(BDF(1, 0, 0)));
    CHECK(!pci_present(BDF(1, 1, 0))); /* a link leads to one device */
    CHECK(!pci_present(BDF(1, 31, 7)));
    CHECK(!pci_present(BDF(2, 0, 0)));
    CHECK_EQ(version(), DMA_ENGINE_VERSION_VALUE);
}

static void unnumbered(void)
{
    if (!setup()) {
        return;
    }
    set_buses(first, 0, 0);
    for (unsigned bus = 1; bus < 4; bus++) {
        CHECK(!pci_present(BDF(bus, 0, 0)));
    }
    CHECK(pci_present(first));
}

static void renumbered(void)
{
    if (!setup()) {
        return;
    }
    set_buses(first, 5, 7);
    CHECK(!pci_present(BDF(1, 0, 0)));
    CHECK(engine_at(BDF(5, 0, 0)));
    CHECK(!pci_present(BDF(6, 0, 0))); /* within the range, but nobody is bus 6 */
    CHECK_EQ(version(), DMA_ENGINE_VERSION_VALUE);
    engine.bdf = BDF(5, 0, 0);
    CHECK_EQ(copy_something(), DMA_ENGINE_STATUS_DONE);
    set_buses(first, 255, 255);
    CHECK(!pci_present(BDF(5, 0, 0)));
    CHECK(engine_at(BDF(255, 0, 0)));
    set_buses(first, 9, 8); /* an empty range */
    CHECK(!pci_present(BDF(9, 0, 0)));
    CHECK(!pci_present(BDF(8, 0, 0)));
}

static void memory_window(void)
{
    if (!setup()) {
        return;
    }
    set_window(first, 0xfff00000, 0);
    CHECK_EQ(version(), 0xffffffff);
    set_window(first, engine.base + WINDOW_SIZE, engine.base + 2 * WINDOW_SIZE - 1);
    CHECK_EQ(version(), 0xffffffff);
    set_window(first, engine.base, engine.base + WINDOW_SIZE - 1);
    CHECK_EQ(version(), DMA_ENGINE_VERSION_VALUE);
    pci_command(first, 0, PCI_COMMAND_MEMORY);
    CHECK_EQ(version(), 0xffffffff);
    pci_command(first, PCI_COMMAND_MEMORY, 0);
    CHECK_EQ(version(), DMA_ENGINE_VERSION_VALUE);
    pci_set_bar(engine.bdf, 0, engine.base + WINDOW_SIZE); /* out of the window */
    CHECK_EQ(mmio_read32(engine.base + WINDOW_SIZE + DMA_ENGINE_VERSION), 0xffffffff);
    CHECK_EQ(version(), 0xffffffff);
}

static void bus_master(void)
{
    if (!setup()) {
        return;
    }
    CHECK_EQ(copy_something(), DMA_ENGINE_STATUS_DONE);
    pci_command(first, 0, PCI_COMMAND_MASTER);
    CHECK_EQ(copy_something(), DMA_ENGINE_STATUS_DONE | DMA_ENGINE_STATUS_ERROR);
    CHECK_EQ(mmio_read32(engine.base + DMA_ENGINE_ERROR), DMA_ENGINE_ERROR_BUS_MASTER);
    pci_command(first, PCI_COMMAND_MASTER, 0);
    CHECK_EQ(copy_something(), DMA_ENGINE_STATUS_DONE);
}

static void set_bus_reset(unsigned bridge, bool on)
{
    const unsigned control = pci_read(bridge, PCI_BRIDGE_CONTROL, 2);
    const unsigned others = control & ~(unsigned)PCI_BRIDGE_BUS_RESET;

    pci_write(bridge, PCI_BRIDGE_CONTROL, 2, on ? others | PCI_BRIDGE_BUS_RESET : others);
}

static void secondary_bus_reset(void)
{
    if (!setup()) {
        return;
    }
    mmio_write32(engine.base + DMA_ENGINE_INTX_ENABLE, DMA_ENGINE_INTX_ENABLED);
    pci_write(engine.bdf, PCI_INTERRUPT_LINE, 1, 0x5a);
    set_bus_reset(first, true);
    test_delay(1000);
    CHECK_EQ(version(), 0xffffffff);
    set_bus_reset(first, false);
    test_delay(1000);
    CHECK_EQ(pci_read(first, PCI_SECONDARY_BUS, 1), 1); /* the bridge itself is as it was */
    CHECK(WAIT_UNTIL(engine_at(engine.bdf)));
    CHECK_EQ(pci_read32(engine.bdf, PCI_BAR0), 0);
    CHECK_EQ(pci_read(engine.bdf, PCI_COMMAND, 2), 0);
    CHECK_EQ(pci_read(engine.bdf, PCI_INTERRUPT_LINE, 1), 0);
    pci_set_bar(engine.bdf, 0, engine.base);
    pci_command(engine.bdf, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 0);
    CHECK_EQ(mmio_read32(engine.base + DMA_ENGINE_INTX_ENABLE), 0);
    CHECK_EQ(copy_something(), DMA_ENGINE_STATUS_DONE);
}

/* ---- through the switch: three bridges in a row */

static unsigned upstream;
static unsigned downstream;

static void place_testdev(unsigned bus)
{
    testdev.bdf = BDF(bus, 0, 0);
    pci_set_bar(testdev.bdf, PCI_TESTDEV_MEMORY_BAR, testdev.base);
    pci_command(testdev.bdf, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, PCI_COMMAND_INTX_DISABLE);
}

static bool setup_switch(void)
{
    if (!setup()) {
        return false;
    }
    set_buses(second, 2, 4);
    upstream = pci_find_bridge(2, 0);
    if (upstream == PCI_NONE) {
        test_skip("no switch");
        return false;
    }
    set_buses(upstream, 3, 4);
    downstream = pci_find_bridge(3, 0);
    if (downstream == PCI_NONE) {
        test_skip("no switch");
        return false;
    }
    set_buses(downstream, 4, 4);
    if (!testdev.base) {
        testdev.base = pci_allocate(WINDOW_SIZE);
    }
    const unsigned bridges[] = {second, upstream, downstream};
    for (unsigned i = 0; i < 3; i++) {
        set_window(bridges[i], testdev.base, testdev.base + WINDOW_SIZE - 1);
        pci_command(bridges[i], PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, PCI_COMMAND_INTX_DISABLE);
    }
    place_testdev(4);
    return true;
}

static uint32_t testdev_id(void)
{
    return mmio_read32(testdev.base + PCI_TESTDEV_ID);
}

static void switch_numbered(void)
{
    if (!setup_switch()) {
        return;
    }
    CHECK_EQ(pci_read(testdev.bdf, PCI_DEVICE_ID, 2), PCI_TESTDEV_DEVICE_ID);
    CHECK_EQ(testdev_id(), PCI_TESTDEV_ID_VALUE);
    CHECK(engine_at(BDF(1, 0, 0)));
    pci_write(second, PCI_SUBORDINATE_BUS, 1, 3); /* bus 4 is no longer behind it */
    CHECK(!pci_present(BDF(4, 0, 0)));
    CHECK(pci_present(downstream));
    pci_write(second, PCI_SUBORDINATE_BUS, 1, 4);
    CHECK(pci_present(BDF(4, 0, 0)));
}

/* Every bridge on the way has to let it through. */
static void switch_windows(void)
{
    if (!setup_switch()) {
        return;
    }
    const unsigned bridges[] = {second, upstream, downstream};

    for (unsigned i = 0; i < 3; i++) {
        set_window(bridges[i], 0xfff00000, 0);
        CHECK_EQ(testdev_id(), 0xffffffff);
        set_window(bridges[i], testdev.base, testdev.base + WINDOW_SIZE - 1);
        CHECK_EQ(testdev_id(), PCI_TESTDEV_ID_VALUE);
    }
}

/* A reset of the second port's bus resets all that is behind it, bridges included. */
static void switch_reset(void)
{
    if (!setup_switch()) {
        return;
    }
    mmio_write32(testdev.base + PCI_TESTDEV_SCRATCH, 1);
    set_bus_reset(second, true);
    test_delay(1000);
    set_bus_reset(second, false);
    test_delay(1000);
    CHECK(WAIT_UNTIL(pci_present(upstream)));
    CHECK_EQ(pci_read(upstream, PCI_SECONDARY_BUS, 1), 0);
    CHECK(!pci_present(BDF(4, 0, 0)));
    CHECK(setup_switch());
    CHECK_EQ(mmio_read32(testdev.base + PCI_TESTDEV_SCRATCH), 0);
}

/* Numbers that make no sense: a bridge that is its own child, two with one range. No harm done. */
static void senseless_numbers(void)
{
    if (!setup_switch()) {
        return;
    }
    set_buses(upstream, 2, 4);
    set_buses(downstream, 2, 255);
    (void)pci_present(BDF(4, 0, 0));
    (void)pci_present(BDF(2, 0, 0));
    set_buses(first, 2, 255);
    for (unsigned bus = 0; bus < 256; bus += 5) {
        (void)pci_present(BDF(bus, 0, 0));
    }
    CHECK(setup_switch());
    CHECK_EQ(testdev_id(), PCI_TESTDEV_ID_VALUE);
    CHECK_EQ(version(), DMA_ENGINE_VERSION_VALUE);
}

/* ---- interrupts from behind */

static volatile unsigned taken;

static void count(void *unused)
{
    (void)unused;
    taken++;
    mmio_write32(testdev.base + PCI_TESTDEV_INTX, 0);
}

static unsigned interrupt_number(void)
{
    static unsigned number;

    if (!number) {
        number = arch_interrupt_add(1, count, NULL, 0);
    }
    return number;
}

static unsigned interrupts_taken(void)
{
    arch_interrupts(true);
    (void)WAIT_UNTIL(taken);
    test_delay(2000);
    arch_interrupts(false);
    return taken;
}

static void message_from_behind(void)
{
    if (!setup_switch()) {
        return;
    }
    const struct interrupt_message to = arch_interrupt_message(testdev.bdf, interrupt_number(), 0);

    taken = 0;
    pci_msi_enable(testdev.bdf, to.address, to.data, 0);
    testdev_ring(&testdev, 0);
    CHECK_EQ(interrupts_taken(), 1);
    pci_command(upstream, 0, PCI_COMMAND_MASTER);
    taken = 0;
    testdev_ring(&testdev, 0);
    arch_interrupts(true);
    test_delay(2000);
    arch_interrupts(false);
    CHECK_EQ(taken, 0);
    pci_msi_disable(testdev.bdf);
}

/* Each bridge turns the pin by the slot below it, all 0 here: pin A at the second port's slot. */
static void wire_from_behind(void)
{
    if (!setup_switch()) {
        return;
    }
    arch_wire_connect(second >> 3 & 31, pci_read(testdev.bdf, PCI_INTERRUPT_PIN, 1),
                      interrupt_number());
    taken = 0;
    mmio_write32(testdev.base + PCI_TESTDEV_INTX, PCI_TESTDEV_INTX_SET);
    CHECK(test_taken(interrupts_taken(), 1));
}

const struct test tests[] = {
    {"device behind a root port", numbered},
    {"no bus number", unnumbered},
    {"bridge renumbered", renumbered},
    {"memory window", memory_window},
    {"bus mastering of the bridge", bus_master},
    {"secondary bus reset", secondary_bus_reset},
    {"device behind a switch", switch_numbered},
    {"windows in a row", switch_windows},
    {"reset through a switch", switch_reset},
    {"senseless bus numbers", senseless_numbers},
    {"MSI from behind a switch", message_from_behind},
    {"INTx from behind a switch", wire_from_behind},
    {0},
};

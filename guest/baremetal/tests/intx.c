/* SPDX-License-Identifier: MIT */
/*
 * INTx: a level that stands until the device is told, through the interrupt controller of the
 * machine. Neither lost nor repeated. PCI 3.0, 2.2.6 and 6.2.4.
 */
#include "engine.h"
#include "pci.h"
#include "test.h"
#include "testdev.h"

enum { STORM = 200 };

static struct engine engine;
static struct testdev testdev;
static unsigned engine_number;
static volatile unsigned taken;
static unsigned wired;          /* BDF of the device whose wire is connected */
static unsigned acknowledge_at; /* the handler lowers the wire when it is entered this often */

static unsigned slot_of(unsigned bdf)
{
    return bdf >> 3 & 31;
}

static unsigned pin_of(unsigned bdf)
{
    return pci_read(bdf, PCI_INTERRUPT_PIN, 1);
}

static bool status_bit(unsigned bdf)
{
    return pci_read(bdf, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT;
}

/* What nobody lowers is masked in the end: a processor may get to nothing else in between. */
static void engine_interrupt(void *unused)
{
    (void)unused;
    taken++;
    if (taken >= acknowledge_at) {
        mmio_write32(engine.base + DMA_ENGINE_INT_STATUS, DMA_ENGINE_INT_PENDING);
    }
    if (taken == STORM) {
        arch_wire_mask(slot_of(wired), pin_of(wired), true);
    }
}

static void connect(unsigned bdf)
{
    wired = bdf;
    arch_wire_connect(slot_of(bdf), pin_of(bdf), engine_number);
}

/* The engine quiet, INTx enabled in it, its wire connected. */
static bool setup(void)
{
    arch_interrupts(false);
    if (!engine_open(&engine, 0, 0)) {
        return false;
    }
    if (!engine_number) {
        engine_number = arch_interrupt_add(1, engine_interrupt, NULL, 0);
    }
    connect(engine.bdf);
    mmio_write32(engine.base + DMA_ENGINE_INTX_ENABLE, DMA_ENGINE_INTX_ENABLED);
    taken = 0;
    acknowledge_at = 1;
    return true;
}

static void copy_something(void)
{
    static uint64_t from = 1;
    static uint64_t to;

    engine_copy(&engine, &from, &to, sizeof(to));
}

/* How many interrupts come until the wire has been quiet for a while. */
static unsigned interrupts_taken(void)
{
    arch_interrupts(true);
    (void)WAIT_UNTIL(taken >= acknowledge_at);
    test_delay(3000);
    arch_interrupts(false);
    return taken;
}

static void once(void)
{
    if (!setup()) {
        return;
    }
    CHECK(!status_bit(engine.bdf));
    copy_something();
    CHECK(status_bit(engine.bdf));
    CHECK(test_taken(interrupts_taken(), 1));
    CHECK(!status_bit(engine.bdf));
    taken = 0;
    copy_something();
    CHECK(test_taken(interrupts_taken(), 1));
}

/* Not acknowledged, it comes again at each end of interrupt, and stops with the acknowledgement. */
static void until_acknowledged(void)
{
    if (!setup()) {
        return;
    }
    acknowledge_at = 5;
    copy_something();
    CHECK(test_taken(interrupts_taken(), 5));
}

static void no_enable_no_interrupt(void)
{
    if (!setup()) {
        return;
    }
    mmio_write32(engine.base + DMA_ENGINE_INTX_ENABLE, 0);
    arch_interrupts(true);
    copy_something();
    test_delay(3000);
    arch_interrupts(false);
    CHECK_EQ(taken, 0);
    CHECK(!status_bit(engine.bdf));
    CHECK_EQ(mmio_read32(engine.base + DMA_ENGINE_INT_STATUS), DMA_ENGINE_INT_PENDING);
    mmio_write32(engine.base + DMA_ENGINE_INTX_ENABLE, 1); /* the level was there all the time */
    CHECK(test_taken(interrupts_taken(), 1));
}

/* Interrupt Disable keeps it off the wire; the Status bit still tells. PCI 3.0, 6.2.2, 6.2.3. */
static void interrupt_disable(void)
{
    if (!setup()) {
        return;
    }
    pci_command(engine.bdf, PCI_COMMAND_INTX_DISABLE, 0);
    arch_interrupts(true);
    copy_something();
    test_delay(3000);
    arch_interrupts(false);
    CHECK_EQ(taken, 0);
    CHECK(status_bit(engine.bdf));
    pci_command(engine.bdf, 0, PCI_COMMAND_INTX_DISABLE);
    CHECK(test_taken(interrupts_taken(), 1));
    CHECK(!status_bit(engine.bdf));
}

/* Disabled while asserted: the wire goes down before anybody has taken it. */
static void disabled_again(void)
{
    if (!setup()) {
        return;
    }
    copy_something();
    pci_command(engine.bdf, PCI_COMMAND_INTX_DISABLE, 0);
    mmio_write32(engine.base + DMA_ENGINE_INT_STATUS, DMA_ENGINE_INT_PENDING);
    pci_command(engine.bdf, 0, PCI_COMMAND_INTX_DISABLE);
    copy_something();
    const unsigned seen = interrupts_taken();
    CHECK(seen >= 1 && seen <= 4); /* the first one may have been latched by the controller */
    CHECK(!status_bit(engine.bdf));
}

/* Raised while the controller masks it: delivered when unmasked. */
static void masked_is_not_lost(void)
{
    if (!setup()) {
        return;
    }
    arch_wire_mask(slot_of(engine.bdf), pin_of(engine.bdf), true);
    arch_interrupts(true);
    copy_something();
    test_delay(3000);
    arch_interrupts(false);
    CHECK_EQ(taken, 0);
    arch_wire_mask(slot_of(engine.bdf), pin_of(engine.bdf), false);
    CHECK(test_taken(interrupts_taken(), 1));
}

/* Many in a row, none lost. */
static void many(void)
{
    if (!setup()) {
        return;
    }
    arch_interrupts(true);
    for (unsigned i = 0; i < 50; i++) {
        const unsigned before = taken;

        copy_something();
        CHECK(WAIT_UNTIL(taken > before));
    }
    test_delay(3000);
    arch_interrupts(false);
    CHECK(test_taken(taken, 50));
}

/* A test device four slots on shares the engine's wire: it stays up until both let go. */
static void shared_wire(void)
{
    if (!setup()) {
        return;
    }
    const unsigned slot = slot_of(engine.bdf) + 4;

    for (unsigned nth = 0; testdev_open(&testdev, 0, nth); nth++) {
        if (slot_of(testdev.bdf) == slot) {
            break;
        }
    }
    if (test_over()) {
        return;
    }
    mmio_write32(testdev.base + PCI_TESTDEV_INTX, PCI_TESTDEV_INTX_SET);
    CHECK(status_bit(testdev.bdf));
    copy_something();
    arch_interrupts(true);
    const bool storm = WAIT_UNTIL(taken >= STORM); /* the engine's acknowledgement is not enough */
    arch_interrupts(false);
    CHECK(storm);
    mmio_write32(testdev.base + PCI_TESTDEV_INTX, 0);
    arch_wire_mask(slot_of(wired), pin_of(wired), false);
    arch_interrupts(true); /* one may be on its way */
    test_delay(3000);
    arch_interrupts(false);
    taken = 0;
    acknowledge_at = 1;
    copy_something();
    CHECK(test_taken(interrupts_taken(), 1));
}

/* The test device alone, on the wire that its slot and pin say. */
static void wire_by_slot(void)
{
    arch_interrupts(false);
    if (!setup() || !testdev_open(&testdev, 0, 0)) {
        return;
    }
    connect(testdev.bdf);
    mmio_write32(testdev.base + PCI_TESTDEV_INTX, PCI_TESTDEV_INTX_SET);
    arch_interrupts(true);
    const bool storm = WAIT_UNTIL(taken >= STORM); /* nobody lowers it */
    arch_interrupts(false);
    CHECK(storm);
    mmio_write32(testdev.base + PCI_TESTDEV_INTX, 0);
    arch_wire_mask(slot_of(wired), pin_of(wired), false);
    arch_interrupts(true); /* one may be on its way */
    test_delay(3000);
    const unsigned before = taken;
    test_delay(3000);
    arch_interrupts(false);
    CHECK_EQ(taken, before);
}

const struct test tests[] = {
    {"taken once and acknowledged", once},
    {"repeated until acknowledged", until_acknowledged},
    {"off by default", no_enable_no_interrupt},
    {"Interrupt Disable", interrupt_disable},
    {"disabled while asserted", disabled_again},
    {"raised while masked", masked_is_not_lost},
    {"fifty in a row", many},
    {"wire by slot", wire_by_slot},
    {"two devices on one wire", shared_wire},
    {0},
};

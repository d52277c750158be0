/* SPDX-License-Identifier: MIT */
/*
 * MSI: the engine's single vector, and the test device's four with masking. PCI 3.0, 6.8.1. Two
 * tests need a second processor.
 */
#include "engine.h"
#include "pci.h"
#include "test.h"
#include "testdev.h"

enum { NUMBERS = 4 };

static struct engine engine;
static struct testdev testdev;
static unsigned first_number;
static volatile unsigned counts[NUMBERS];

static void count(void *opaque)
{
    ++*(volatile unsigned *)opaque;
}

static struct interrupt_message message(unsigned bdf, unsigned index, unsigned cpu)
{
    return arch_interrupt_message(bdf, first_number + index, cpu);
}

static void setup(void)
{
    arch_interrupts(false);
    if (!first_number) {
        first_number = arch_interrupt_add(NUMBERS, count, (void *)counts, sizeof(counts[0]));
    }
    for (unsigned i = 0; i < NUMBERS; i++) {
        counts[i] = 0;
    }
}

static bool setup_engine(void)
{
    setup();
    if (!engine_open(&engine, 0, 0)) {
        return false;
    }
    const struct interrupt_message to = message(engine.bdf, 0, 0);
    pci_msi_enable(engine.bdf, to.address, to.data, 0);
    return true;
}

static uint32_t copy_something(void)
{
    static uint64_t from = 1;
    static uint64_t to;

    return engine_copy(&engine, &from, &to, sizeof(to));
}

/* Let in what is on its way. */
static void settle(void)
{
    arch_interrupts(true);
    test_delay(2000);
    arch_interrupts(false);
}

static bool arrived(unsigned index, unsigned times)
{
    arch_interrupts(true);
    const bool enough = WAIT_UNTIL(counts[index] >= times);
    settle();
    return enough && counts[index] == times;
}

static void delivered(void)
{
    if (!setup_engine()) {
        return;
    }
    CHECK_EQ(copy_something(), DMA_ENGINE_STATUS_DONE);
    CHECK(arrived(0, 1));
    CHECK_EQ(copy_something(),
             DMA_ENGINE_STATUS_DONE); /* not acknowledged: a message all the same */
    CHECK(arrived(0, 2));
}

static void each_copy(void)
{
    if (!setup_engine()) {
        return;
    }
    arch_interrupts(true);
    for (unsigned i = 1; i <= 50; i++) {
        copy_something();
        CHECK(WAIT_UNTIL(counts[0] == i));
    }
    settle();
    CHECK_EQ(counts[0], 50);
}

static void failed_copy(void)
{
    if (!setup_engine()) {
        return;
    }
    engine_start(&engine, 0, 0, 0);
    CHECK_EQ(engine_wait(&engine), DMA_ENGINE_STATUS_DONE | DMA_ENGINE_STATUS_ERROR);
    CHECK(arrived(0, 1));
}

static void rerouted(void)
{
    if (!setup_engine()) {
        return;
    }
    const struct interrupt_message to = message(engine.bdf, 1, 0);

    pci_msi_enable(engine.bdf, to.address, to.data, 0);
    copy_something();
    CHECK(arrived(1, 1));
    CHECK_EQ(counts[0], 0);
}

static void disabled(void)
{
    if (!setup_engine()) {
        return;
    }
    pci_msi_disable(engine.bdf);
    copy_something();
    settle();
    CHECK_EQ(counts[0], 0);
    const struct interrupt_message to = message(engine.bdf, 0, 0);
    pci_msi_enable(engine.bdf, to.address, to.data, 0);
    settle();
    CHECK_EQ(counts[0], 0); /* what happened while it was off stays unsaid */
}

/* A message is a write: without bus mastering there is none, and the copy fails, too. */
static void no_bus_master(void)
{
    if (!setup_engine()) {
        return;
    }
    pci_command(engine.bdf, 0, PCI_COMMAND_MASTER);
    CHECK_EQ(copy_something(), DMA_ENGINE_STATUS_DONE | DMA_ENGINE_STATUS_ERROR);
    settle();
    CHECK_EQ(counts[0], 0);
    CHECK_EQ(mmio_read32(engine.base + DMA_ENGINE_INT_STATUS), DMA_ENGINE_INT_PENDING);
    pci_command(engine.bdf, PCI_COMMAND_MASTER, 0);
    CHECK_EQ(copy_something(), DMA_ENGINE_STATUS_DONE);
    CHECK(arrived(0, 1));
}

static void wire_interrupt(void *opaque)
{
    count(opaque);
    mmio_write32(engine.base + DMA_ENGINE_INT_STATUS, DMA_ENGINE_INT_PENDING);
}

/* The wire stays down while MSI is enabled. Afterwards it is its turn: the copy is still pending.
 */
static void no_intx_meanwhile(void)
{
    static volatile unsigned wire_count;
    static unsigned wire_number;

    if (!setup_engine()) {
        return;
    }
    if (!wire_number) {
        wire_number = arch_interrupt_add(1, wire_interrupt, (void *)&wire_count, 0);
    }
    arch_wire_connect(engine.bdf >> 3 & 31, pci_read(engine.bdf, PCI_INTERRUPT_PIN, 1),
                      wire_number);
    wire_count = 0;
    mmio_write32(engine.base + DMA_ENGINE_INTX_ENABLE, DMA_ENGINE_INTX_ENABLED);
    copy_something();
    CHECK(arrived(0, 1));
    CHECK_EQ(wire_count, 0);
    pci_msi_disable(engine.bdf);
    settle();
    CHECK(test_taken(wire_count, 1));
    mmio_write32(engine.base + DMA_ENGINE_INTX_ENABLE, 0);
}

/* The engine's capability: 64 bits, one vector, no masks; reserved bits stay 0. */
static void capability(void)
{
    if (!setup_engine()) {
        return;
    }
    const unsigned msi = pci_find_capability(engine.bdf, PCI_CAP_MSI);

    CHECK_EQ(msi, DMA_ENGINE_MSI_CAP);
    pci_write(engine.bdf, msi + MSI_CONTROL, 2, 0xffff & ~MSI_ENABLE);
    CHECK_EQ(pci_read(engine.bdf, msi + MSI_CONTROL, 2) & ~0x70U, MSI_64BIT);
    pci_write32(engine.bdf, msi + MSI_ADDRESS, 0xffffffff);
    CHECK_EQ(pci_read32(engine.bdf, msi + MSI_ADDRESS), 0xfffffffc);
    pci_write32(engine.bdf, msi + MSI_ADDRESS + 4, 0x12345678);
    CHECK_EQ(pci_read32(engine.bdf, msi + MSI_ADDRESS + 4), 0x12345678);
    pci_write32(engine.bdf, msi + 12, 0xffffffff);
    CHECK_EQ(pci_read(engine.bdf, msi + 12, 2), 0xffff);
    pci_write32(engine.bdf, msi + MSI_ADDRESS + 4, 0);
}

/* ---- the test device: four vectors */

static bool setup_testdev(void)
{
    setup();
    if (!testdev_open(&testdev, 0, 0)) {
        return false;
    }
    const unsigned msi = pci_find_capability(testdev.bdf, PCI_CAP_MSI);
    const struct interrupt_message to = message(testdev.bdf, 0, 0);
    pci_write32(testdev.bdf, msi + 16, 0);
    pci_msi_enable(testdev.bdf, to.address, to.data, 2);
    return true;
}

static void four_vectors(void)
{
    if (!setup_testdev()) {
        return;
    }
    for (unsigned i = 0; i < NUMBERS; i++) {
        testdev_ring(&testdev, i);
        CHECK(arrived(i, 1));
    }
    for (unsigned i = 0; i < NUMBERS; i++) {
        CHECK_EQ(counts[i], 1);
    }
    pci_msi_disable(testdev.bdf);
}

/* Granted fewer vectors than it has, the device shares them. */
static void two_granted(void)
{
    if (!setup_testdev()) {
        return;
    }
    const struct interrupt_message to = message(testdev.bdf, 0, 0);

    pci_msi_enable(testdev.bdf, to.address, to.data, 1);
    testdev_ring(&testdev, 3);
    CHECK(arrived(1, 1));
    testdev_ring(&testdev, 2);
    CHECK(arrived(0, 1));
    CHECK_EQ(counts[2] + counts[3], 0);
    pci_msi_disable(testdev.bdf);
}

static void masked(void)
{
    if (!setup_testdev()) {
        return;
    }
    const unsigned msi = pci_find_capability(testdev.bdf, PCI_CAP_MSI);

    CHECK(pci_read(testdev.bdf, msi + MSI_CONTROL, 2) & MSI_MASKABLE);
    pci_write32(testdev.bdf, msi + 16, 1 << 2);
    testdev_ring(&testdev, 2);
    testdev_ring(&testdev, 2);
    testdev_ring(&testdev, 1);
    CHECK(arrived(1, 1));
    CHECK_EQ(counts[2], 0);
    CHECK_EQ(pci_read32(testdev.bdf, msi + 20), 1 << 2);
    pci_write32(testdev.bdf, msi + 20, 0); /* pending bits are read-only */
    CHECK_EQ(pci_read32(testdev.bdf, msi + 20), 1 << 2);
    pci_write32(testdev.bdf, msi + 16, 0);
    CHECK(arrived(2, 1));
    CHECK_EQ(pci_read32(testdev.bdf, msi + 20), 0);
    pci_msi_disable(testdev.bdf);
}

/* ---- with a second processor */

static _Atomic bool stop;

static void wait_with_interrupts(void *unused)
{
    (void)unused;
    arch_interrupts(true);
    while (!stop) {
        arch_relax();
    }
    arch_interrupts(false);
}

static void other_processor(void)
{
    if (arch_cpu_count() < 2) {
        SKIP("one processor");
    }
    if (!setup_engine()) {
        return;
    }
    const struct interrupt_message to = message(engine.bdf, 0, 1);

    stop = false;
    CHECK(arch_cpu_start(1, wait_with_interrupts, NULL));
    pci_msi_enable(engine.bdf, to.address, to.data, 0);
    copy_something();
    const bool came = WAIT_UNTIL(counts[0] == 1); /* interrupts are off here */
    stop = true;
    CHECK(arch_cpu_join(1));
    CHECK(came);
}

enum { CHANGES = 200 };
static volatile unsigned shots;

static void shoot(void *unused)
{
    (void)unused;
    while (!stop) {
        copy_something();
        shots++;
    }
}

static void set_data(unsigned index)
{
    pci_write(engine.bdf, DMA_ENGINE_MSI_CAP + 12, 2, message(engine.bdf, index, 0).data);
}

/* The message changes while copies end: each comes by the old one or by the new one. */
static void rerouted_under_fire(void)
{
    if (arch_cpu_count() < 2) {
        SKIP("one processor");
    }
    if (!setup_engine()) {
        return;
    }
    unsigned changes = 0;
    stop = false;
    shots = 0;
    CHECK(arch_cpu_start(1, shoot, NULL));
    arch_interrupts(true);
    (void)WAIT_UNTIL((set_data(changes++ % 2), changes >= CHANGES && counts[0] && counts[1]));
    stop = true;
    CHECK(arch_cpu_join(1));
    settle();
    CHECK(counts[0] > 0 && counts[1] > 0);
    CHECK(counts[0] + counts[1] <= shots); /* two at once may merge, none is made up */
    for (unsigned i = 0; i < 2; i++) {
        counts[i] = 0;
        set_data(i);
        copy_something();
        CHECK(arrived(i, 1));
    }
}

const struct test tests[] = {
    {"delivered", delivered},
    {"one for each copy", each_copy},
    {"for a failed copy", failed_copy},
    {"rerouted", rerouted},
    {"disabled", disabled},
    {"no bus mastering, no message", no_bus_master},
    {"no INTx while MSI is on", no_intx_meanwhile},
    {"capability", capability},
    {"four vectors", four_vectors},
    {"two vectors granted", two_granted},
    {"masked vector", masked},
    {"to the other processor", other_processor},
    {"rerouted under fire", rerouted_under_fire},
    {0},
};

/* SPDX-License-Identifier: MIT */
/* MSI-X: table, pending bits, masks, on the test device. PCI 3.0, 6.8.2. Two processors. */
#include "pci.h"
#include "test.h"
#include "testdev.h"

enum { VECTORS = 4 };

static struct testdev testdev;
static unsigned first_number;
static volatile unsigned counts[VECTORS];

static void count(void *opaque)
{
    ++*(volatile unsigned *)opaque;
}

static void set_vector(unsigned vector, unsigned index)
{
    const struct interrupt_message to =
        arch_interrupt_message(testdev.bdf, first_number + index, 0);

    testdev_msix_set(&testdev, vector, to.address, to.data);
}

/* All vectors unmasked, vector n to counter n. */
static bool setup(void)
{
    arch_interrupts(false);
    if (!first_number) {
        first_number = arch_interrupt_add(VECTORS, count, (void *)counts, sizeof(counts[0]));
    }
    if (!testdev_open(&testdev, 0, 0)) {
        return false;
    }
    testdev_msix_enable(&testdev);
    for (unsigned i = 0; i < VECTORS; i++) {
        set_vector(i, i);
        counts[i] = 0;
    }
    return true;
}

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

static unsigned sum(void)
{
    return counts[0] + counts[1] + counts[2] + counts[3];
}

static void capability(void)
{
    if (!setup()) {
        return;
    }
    const unsigned msix = pci_find_capability(testdev.bdf, PCI_CAP_MSIX);

    CHECK_EQ(pci_read(testdev.bdf, msix + MSIX_CONTROL, 2) & 0x7ff, VECTORS - 1);
    CHECK_EQ(pci_read32(testdev.bdf, msix + MSIX_TABLE),
             PCI_TESTDEV_MSIX_TABLE | PCI_TESTDEV_MSIX_BAR);
    CHECK_EQ(pci_read32(testdev.bdf, msix + MSIX_PBA), PCI_TESTDEV_MSIX_PBA | PCI_TESTDEV_MSIX_BAR);
    pci_write(testdev.bdf, msix + MSIX_CONTROL, 2, 0xffff);
    CHECK_EQ(pci_read(testdev.bdf, msix + MSIX_CONTROL, 2),
             MSIX_ENABLE | MSIX_FUNCTION_MASK | (VECTORS - 1));
    testdev_msix_enable(&testdev);
}

/* By 4 and by 8 bytes; what a reset leaves is masked. */
static void table(void)
{
    if (!setup()) {
        return;
    }
    const uint64_t entry = testdev.msix + PCI_TESTDEV_MSIX_TABLE + MSIX_ENTRY_SIZE;

    testdev_msix_mask(&testdev, 1, true);
    mmio_write32(entry, 0x11111110);
    mmio_write32(entry + 4, 0x22222222);
    mmio_write32(entry + 8, 0x33333333);
    CHECK_EQ(mmio_read64(entry), 0x2222222211111110);
    CHECK_EQ(mmio_read32(entry + 8), 0x33333333);
    mmio_write64(entry, 0x1234567876543210);
    CHECK_EQ(mmio_read32(entry), 0x76543210);
    CHECK_EQ(mmio_read32(entry + 4), 0x12345678);
    mmio_write32(entry + 12, 0xffffffff);
    CHECK_EQ(mmio_read32(entry + 12) & 1, 1);
    mmio_write64(testdev.msix + PCI_TESTDEV_MSIX_PBA, UINT64_MAX);
    CHECK_EQ(mmio_read64(testdev.msix + PCI_TESTDEV_MSIX_PBA), 0);
}

static void delivered(void)
{
    if (!setup()) {
        return;
    }
    for (unsigned i = 0; i < VECTORS; i++) {
        testdev_ring(&testdev, i);
        CHECK(arrived(i, 1));
    }
    CHECK_EQ(sum(), VECTORS);
    testdev_ring(&testdev, VECTORS); /* one too far */
    testdev_ring(&testdev, 0xffffffff);
    settle();
    CHECK_EQ(sum(), VECTORS);
}

/* Masked, it is kept, once; unmasked, it comes. */
static void masked(void)
{
    if (!setup()) {
        return;
    }
    testdev_msix_mask(&testdev, 2, true);
    testdev_ring(&testdev, 2);
    testdev_ring(&testdev, 2);
    settle();
    CHECK_EQ(sum(), 0);
    CHECK(testdev_msix_pending(&testdev, 2));
    CHECK(!testdev_msix_pending(&testdev, 1));
    testdev_msix_mask(&testdev, 2, false);
    CHECK(arrived(2, 1));
    CHECK(!testdev_msix_pending(&testdev, 2));
    CHECK_EQ(sum(), 1);
}

static void function_mask(void)
{
    if (!setup()) {
        return;
    }
    const unsigned control = pci_find_capability(testdev.bdf, PCI_CAP_MSIX) + MSIX_CONTROL;

    pci_write(testdev.bdf, control, 2, MSIX_ENABLE | MSIX_FUNCTION_MASK);
    testdev_ring(&testdev, 0);
    testdev_ring(&testdev, 3);
    settle();
    CHECK_EQ(sum(), 0);
    CHECK(testdev_msix_pending(&testdev, 0));
    CHECK(testdev_msix_pending(&testdev, 3));
    testdev_msix_mask(&testdev, 3, true);
    pci_write(testdev.bdf, control, 2, MSIX_ENABLE);
    CHECK(arrived(0, 1));
    CHECK_EQ(sum(), 1); /* vector 3 has a mask of its own */
    CHECK(testdev_msix_pending(&testdev, 3));
    testdev_msix_mask(&testdev, 3, false);
    CHECK(arrived(3, 1));
}

/* Changed while masked: the pending one goes where the entry now says. */
static void rerouted_while_pending(void)
{
    if (!setup()) {
        return;
    }
    testdev_msix_mask(&testdev, 0, true);
    testdev_ring(&testdev, 0);
    set_vector(0, 3);
    CHECK(arrived(3, 1));
    CHECK_EQ(sum(), 1);
}

static void disabled(void)
{
    if (!setup()) {
        return;
    }
    testdev_msix_disable(&testdev);
    testdev_ring(&testdev, 0);
    settle();
    CHECK_EQ(sum(), 0);
    testdev_msix_enable(&testdev);
    testdev_ring(&testdev, 1);
    CHECK(arrived(1, 1));
    CHECK_EQ(sum(), 1);
}

static void no_bus_master(void)
{
    if (!setup()) {
        return;
    }
    pci_command(testdev.bdf, 0, PCI_COMMAND_MASTER);
    testdev_ring(&testdev, 0);
    settle();
    CHECK_EQ(sum(), 0);
    pci_command(testdev.bdf, PCI_COMMAND_MASTER, 0);
    testdev_ring(&testdev, 1);
    CHECK(arrived(1, 1));
}

/* The table moves with its BAR and keeps what is in it. */
static void table_moved(void)
{
    if (!setup()) {
        return;
    }
    const uint64_t before = testdev.msix;
    const uint32_t data = mmio_read32(before + MSIX_ENTRY_DATA);

    testdev.msix = pci_allocate(PCI_TESTDEV_MSIX_SIZE);
    pci_set_bar(testdev.bdf, PCI_TESTDEV_MSIX_BAR, testdev.msix);
    CHECK_EQ(mmio_read32(before + MSIX_ENTRY_DATA), 0xffffffff);
    CHECK_EQ(mmio_read32(testdev.msix + MSIX_ENTRY_DATA), data);
    testdev_ring(&testdev, 0);
    CHECK(arrived(0, 1));
}

static void function_reset(void)
{
    if (!setup()) {
        return;
    }
    if (!pci_function_reset(testdev.bdf)) {
        SKIP("no Function Level Reset");
    }
    const unsigned msix = pci_find_capability(testdev.bdf, PCI_CAP_MSIX);

    CHECK_EQ(pci_read(testdev.bdf, msix + MSIX_CONTROL, 2), VECTORS - 1);
    CHECK_EQ(pci_read32(testdev.bdf, PCI_BAR0 + 4 * PCI_TESTDEV_MSIX_BAR), 0);
    pci_set_bar(testdev.bdf, PCI_TESTDEV_MSIX_BAR, testdev.msix);
    pci_command(testdev.bdf, PCI_COMMAND_MEMORY, 0);
    for (unsigned i = 0; i < VECTORS; i++) {
        CHECK_EQ(mmio_read32(testdev.msix + (uint64_t)MSIX_ENTRY_SIZE * i + MSIX_ENTRY_CONTROL) & 1,
                 1);
    }
    pci_set_bar(testdev.bdf, PCI_TESTDEV_MEMORY_BAR, testdev.base);
    if (setup()) {
        testdev_ring(&testdev, 2);
        CHECK(arrived(2, 1));
    }
}

/* ---- one processor rings while the other changes, masks and unmasks */

enum { CHANGES = 200 };
static _Atomic bool stop;
static volatile unsigned shots;

static void shoot(void *unused)
{
    (void)unused;
    while (!stop) {
        testdev_ring(&testdev, 0);
        shots++;
    }
}

/* The entry changes while it is used: each message goes by the old one or by the new one. */
static void rerouted_under_fire(void)
{
    if (arch_cpu_count() < 2) {
        SKIP("one processor");
    }
    if (!setup()) {
        return;
    }
    unsigned changes = 0;
    stop = false;
    shots = 0;
    CHECK(arch_cpu_start(1, shoot, NULL));
    arch_interrupts(true);
    (void)WAIT_UNTIL((testdev_msix_mask(&testdev, 0, true), set_vector(0, changes++ % 2),
                      changes >= CHANGES && counts[0] && counts[1]));
    stop = true;
    CHECK(arch_cpu_join(1));
    settle();
    CHECK(counts[0] > 0 && counts[1] > 0);
    CHECK(sum() <= shots); /* two at once may merge, none is made up */
    CHECK_EQ(counts[2] + counts[3], 0);
    CHECK(!testdev_msix_pending(&testdev, 0)); /* unmasked at the end: nothing is left behind */
    counts[2] = 0;
    set_vector(0, 2);
    testdev_ring(&testdev, 0);
    CHECK(arrived(2, 1));
}

const struct test tests[] = {
    {"capability", capability},
    {"table and pending bits", table},
    {"delivered", delivered},
    {"masked vector", masked},
    {"masked function", function_mask},
    {"rerouted while pending", rerouted_while_pending},
    {"disabled", disabled},
    {"no bus mastering, no message", no_bus_master},
    {"table moved", table_moved},
    {"function reset", function_reset},
    {"rerouted under fire", rerouted_under_fire},
    {0},
};

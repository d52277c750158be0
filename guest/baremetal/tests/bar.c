/* SPDX-License-Identifier: MIT */
/*
 * Base address registers: sizing, placing, moving with decoding on, overlaps. PCI 3.0, 6.2.5.
 * The last test needs two processors: one reads while the other moves the BAR.
 */
#include "engine.h"
#include "pci.h"
#include "test.h"
#include "testdev.h"

static struct engine engine;
static struct testdev testdev;

static uint32_t version_at(uint64_t base)
{
    return mmio_read32(base + DMA_ENGINE_VERSION);
}

static uint32_t id_at(uint64_t base)
{
    return mmio_read32(base + PCI_TESTDEV_ID);
}

/* The protocol: decoding off, all ones, read back, put back. */
static uint32_t size_mask(unsigned bdf, unsigned index)
{
    const unsigned reg = PCI_BAR0 + 4 * index;
    const uint32_t before = pci_read32(bdf, reg);

    pci_command(bdf, 0, PCI_COMMAND_MEMORY | PCI_COMMAND_IO);
    pci_write32(bdf, reg, 0xffffffff);
    const uint32_t mask = pci_read32(bdf, reg);
    pci_write32(bdf, reg, before);
    pci_command(bdf, PCI_COMMAND_MEMORY, 0);
    return mask;
}

static void sizing_32(void)
{
    if (!engine_open(&engine, 0, 0)) {
        return;
    }
    CHECK_EQ(size_mask(engine.bdf, 0), 0xffffc000);
    for (unsigned index = 1; index < 6; index++) {
        CHECK_EQ(size_mask(engine.bdf, index), 0);
    }
    CHECK_EQ(size_mask(engine.bdf, 8), 0); /* expansion ROM, at 0x30: none */
    CHECK_EQ(version_at(engine.base), DMA_ENGINE_VERSION_VALUE);
}

static void sizing_64_and_io(void)
{
    if (!testdev_open(&testdev, 0, 0)) {
        return;
    }
    CHECK_EQ(size_mask(testdev.bdf, 0), 0xfffff004); /* 64-bit, 4 KiB */
    CHECK_EQ(size_mask(testdev.bdf, 1), 0xffffffff);
    CHECK_EQ(size_mask(testdev.bdf, 4), 0xfffff000);
    const uint32_t io = size_mask(testdev.bdf, 2);
    CHECK_EQ(io & 0xffff, 0xfff1);
    CHECK(io >> 16 == 0xffff || io >> 16 == 0); /* the upper half may be wired to 0 */
}

/* Low bits are read-only, whatever is written. */
static void low_bits(void)
{
    if (!engine_open(&engine, 0, 0)) {
        return;
    }
    pci_write32(engine.bdf, PCI_BAR0, (uint32_t)engine.base | 0x3fff);
    CHECK_EQ(pci_read32(engine.bdf, PCI_BAR0), engine.base);
    CHECK_EQ(version_at(engine.base), DMA_ENGINE_VERSION_VALUE);
}

static void decode_enable(void)
{
    if (!engine_open(&engine, 0, 0)) {
        return;
    }
    pci_command(engine.bdf, 0, PCI_COMMAND_MEMORY);
    CHECK_EQ(version_at(engine.base), 0xffffffff);
    pci_command(engine.bdf, PCI_COMMAND_MEMORY, 0);
    CHECK_EQ(version_at(engine.base), DMA_ENGINE_VERSION_VALUE);
    mmio_write32(engine.base + DMA_ENGINE_INTX_ENABLE, 1);
    pci_command(engine.bdf, 0, PCI_COMMAND_MEMORY);
    mmio_write32(engine.base + DMA_ENGINE_INTX_ENABLE, 0); /* reaches nobody */
    pci_command(engine.bdf, PCI_COMMAND_MEMORY, 0);
    CHECK_EQ(mmio_read32(engine.base + DMA_ENGINE_INTX_ENABLE), 1);
    mmio_write32(engine.base + DMA_ENGINE_INTX_ENABLE, 0);
}

static void move_live(void)
{
    if (!engine_open(&engine, 0, 0)) {
        return;
    }
    const uint64_t other = pci_allocate(DMA_ENGINE_BAR0_SIZE);

    pci_set_bar(engine.bdf, 0, other);
    CHECK_EQ(version_at(other), DMA_ENGINE_VERSION_VALUE);
    CHECK_EQ(version_at(engine.base), 0xffffffff);
    /* To a place that overlaps the present one by no more than its own size: the next one. */
    pci_set_bar(engine.bdf, 0, other + DMA_ENGINE_BAR0_SIZE);
    CHECK_EQ(version_at(other), 0xffffffff);
    CHECK_EQ(version_at(other + DMA_ENGINE_BAR0_SIZE), DMA_ENGINE_VERSION_VALUE);
    pci_set_bar(engine.bdf, 0, engine.base);
    CHECK_EQ(version_at(engine.base), DMA_ENGINE_VERSION_VALUE);
}

/* Byte by byte, each write moves it; only the last place counts. */
static void move_by_bytes(void)
{
    if (!engine_open(&engine, 0, 0)) {
        return;
    }
    const uint64_t other = pci_allocate(DMA_ENGINE_BAR0_SIZE);

    for (unsigned i = 0; i < 4; i++) {
        pci_write(engine.bdf, PCI_BAR0 + i, 1, other >> 8 * i & 0xff);
    }
    CHECK_EQ(version_at(other), DMA_ENGINE_VERSION_VALUE);
    pci_set_bar(engine.bdf, 0, engine.base);
    CHECK_EQ(version_at(engine.base), DMA_ENGINE_VERSION_VALUE);
}

static void move_64(void)
{
    if (!testdev_open(&testdev, 0, 0)) {
        return;
    }
    mmio_write32(testdev.base + PCI_TESTDEV_SCRATCH, 0x1234abcd);
    pci_set_bar(testdev.bdf, 0, arch_window64 + 0x100000);
    CHECK_EQ(id_at(arch_window64 + 0x100000), PCI_TESTDEV_ID_VALUE);
    CHECK_EQ(mmio_read32(arch_window64 + 0x100000 + PCI_TESTDEV_SCRATCH), 0x1234abcd);
    CHECK_EQ(id_at(testdev.base), 0xffffffff);
    /* An address that the bus does not have is no place at all. */
    pci_write32(testdev.bdf, PCI_BAR0 + 4, 0xffffffff);
    CHECK_EQ(id_at(arch_window64 + 0x100000), 0xffffffff);
    pci_set_bar(testdev.bdf, 0, testdev.base);
    CHECK_EQ(id_at(testdev.base), PCI_TESTDEV_ID_VALUE);
}

/* Asked for its size with decoding on, which is bad manners, a BAR is nowhere until put back. */
static void sized_live(void)
{
    if (!engine_open(&engine, 0, 0) || !testdev_open(&testdev, 0, 0)) {
        return;
    }
    pci_write32(engine.bdf, PCI_BAR0, 0xffffffff);
    CHECK_EQ(version_at(0xffffc000), 0xffffffff);
    CHECK_EQ(version_at(engine.base), 0xffffffff);
    pci_set_bar(engine.bdf, 0, engine.base);
    CHECK_EQ(version_at(engine.base), DMA_ENGINE_VERSION_VALUE);
    pci_write32(testdev.bdf, PCI_BAR0, 0xffffffff);
    pci_write32(testdev.bdf, PCI_BAR0 + 4, 0xffffffff);
    CHECK_EQ(pci_read32(testdev.bdf, PCI_BAR0), 0xfffff004);
    CHECK_EQ(id_at(testdev.base), 0xffffffff);
    pci_set_bar(testdev.bdf, 0, testdev.base);
    CHECK_EQ(id_at(testdev.base), PCI_TESTDEV_ID_VALUE);
}

/* Two BARs at one place: one of the two answers, and both are well when they are apart again. */
static void overlap(void)
{
    if (!engine_open(&engine, 0, 0) || !testdev_open(&testdev, 0, 0)) {
        return;
    }
    pci_set_bar(testdev.bdf, 0, engine.base);
    const uint32_t seen = mmio_read32(engine.base);
    CHECK(seen == 0 || seen == PCI_TESTDEV_ID_VALUE);
    CHECK_EQ(version_at(engine.base), DMA_ENGINE_VERSION_VALUE); /* beyond the smaller one */
    pci_set_bar(engine.bdf, 0, pci_allocate(DMA_ENGINE_BAR0_SIZE));
    CHECK_EQ(id_at(engine.base), PCI_TESTDEV_ID_VALUE);
    pci_set_bar(testdev.bdf, 0, testdev.base);
    pci_set_bar(engine.bdf, 0, engine.base);
    CHECK_EQ(id_at(testdev.base), PCI_TESTDEV_ID_VALUE);
    CHECK_EQ(version_at(engine.base), DMA_ENGINE_VERSION_VALUE);
}

/* What the machine has fixed cannot be hidden: RAM, and ECAM, through which we get it back. */
static void overlap_fixed(void)
{
    static volatile uint64_t here = 0x5a5a5a5a5a5a5a5a;

    if (!engine_open(&engine, 0, 0)) {
        return;
    }
    pci_set_bar(engine.bdf, 0, (uintptr_t)&here & ~(uint64_t)(DMA_ENGINE_BAR0_SIZE - 1));
    CHECK_EQ(here, 0x5a5a5a5a5a5a5a5a);
    here = 1;
    CHECK_EQ(here, 1);
    here = 0x5a5a5a5a5a5a5a5a;
    pci_set_bar(engine.bdf, 0, arch_ecam_base());
    CHECK_EQ(pci_read(engine.bdf, PCI_VENDOR_ID, 2), DMA_ENGINE_VENDOR_ID);
    pci_set_bar(engine.bdf, 0, engine.base);
    CHECK_EQ(version_at(engine.base), DMA_ENGINE_VERSION_VALUE);
}

/* ---- one processor reads at both places while the other moves the BAR between them */

enum { READS = 400 };
static uint64_t places[2];
static _Atomic bool stop;
static unsigned moves;

static void mover(void *unused)
{
    (void)unused;
    for (moves = 0; !stop; moves++) {
        pci_write32(engine.bdf, PCI_BAR0, (uint32_t)places[moves % 2]);
    }
}

/* The right value or all ones: never something else, and at neither place nothing for good. */
static void read_while_moving(void)
{
    unsigned hits[2] = {0};
    unsigned misses = 0;

    for (unsigned i = 0; i < READS || (i < 100 * READS && !(hits[0] && hits[1] && misses)); i++) {
        const uint32_t seen = version_at(places[i % 2]);

        CHECK(seen == DMA_ENGINE_VERSION_VALUE || seen == 0xffffffff);
        hits[i % 2] += seen == DMA_ENGINE_VERSION_VALUE;
        misses += seen == 0xffffffff;
    }
    CHECK(hits[0] && hits[1] && misses);
}

static void move_under_load(void)
{
    if (arch_cpu_count() < 2) {
        SKIP("one processor");
    }
    if (!engine_open(&engine, 0, 0)) {
        return;
    }
    places[0] = engine.base;
    places[1] = pci_allocate(DMA_ENGINE_BAR0_SIZE);
    stop = false;
    CHECK(arch_cpu_start(1, mover, NULL));
    read_while_moving();
    stop = true;
    CHECK(arch_cpu_join(1));
    CHECK_EQ(version_at(places[(moves - 1) % 2]), DMA_ENGINE_VERSION_VALUE);
    CHECK_EQ(version_at(places[moves % 2]), 0xffffffff);
    pci_set_bar(engine.bdf, 0, engine.base);
}

const struct test tests[] = {
    {"sizing, 32 bits", sizing_32},        {"sizing, 64 bits and I/O", sizing_64_and_io},
    {"low bits are read-only", low_bits},  {"memory decode enable", decode_enable},
    {"moved while live", move_live},       {"moved byte by byte", move_by_bytes},
    {"64-bit BAR above 4 GiB", move_64},   {"sized while live", sized_live},
    {"two BARs overlap", overlap},         {"BAR on RAM and on ECAM", overlap_fixed},
    {"moved under load", move_under_load}, {0},
};

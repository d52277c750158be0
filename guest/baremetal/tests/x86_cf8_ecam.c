/* SPDX-License-Identifier: MIT */
/* Ports 0xCF8/0xCFC and ECAM are two ways to the same registers. PCI 3.0, 3.2.2.3.2; PCIe 7.2.2. */
#include "engine.h"
#include "pci.h"
#include "ports.h"
#include "test.h"

static uint64_t ecam(unsigned bdf, unsigned reg)
{
    return arch_ecam_base() + ((uint64_t)bdf << 12) + reg;
}

static void select(unsigned bdf, unsigned reg)
{
    outl(PORT_CONFIG_ADDRESS, CONFIG_ENABLE | bdf << 8 | (reg & 0xfc));
}

static void compare_function(unsigned bdf)
{
    for (unsigned reg = 0; reg < 0x100; reg += 4) {
        select(bdf, reg);
        CHECK_EQ(inl(PORT_CONFIG_DATA), mmio_read32(ecam(bdf, reg)));
    }
}

static void agree(void)
{
    CHECK(arch_ecam_base() != 0);
    pci_for_each(0, compare_function);
}

static void lanes_of(unsigned bdf, unsigned reg)
{
    const uint32_t whole = mmio_read32(ecam(bdf, reg));

    select(bdf, reg);
    for (unsigned lane = 0; lane < 4; lane++) {
        const uint16_t port = (uint16_t)(PORT_CONFIG_DATA + lane);

        CHECK_EQ(inb(port), whole >> 8 * lane & 0xff);
        CHECK_EQ(mmio_read8(ecam(bdf, reg) + lane), whole >> 8 * lane & 0xff);
    }
    for (unsigned lane = 0; lane < 4; lane += 2) {
        const uint16_t port = (uint16_t)(PORT_CONFIG_DATA + lane);

        CHECK_EQ(inw(port), whole >> 8 * lane & 0xffff);
        CHECK_EQ(mmio_read16(ecam(bdf, reg) + lane), whole >> 8 * lane & 0xffff);
    }
}

static void read_lanes(void)
{
    struct engine engine;

    if (engine_open(&engine, 0, 0)) {
        lanes_of(engine.bdf, PCI_VENDOR_ID);
        lanes_of(engine.bdf, PCI_CLASS_REVISION);
        lanes_of(engine.bdf, 0x2c);
    }
}

/* A write reaches the bytes it covers and no other. */
static void write_lanes(void)
{
    struct engine engine;

    if (!engine_open(&engine, 0, 0)) {
        return;
    }
    const unsigned bdf = engine.bdf;
    const uint32_t before = mmio_read32(ecam(bdf, PCI_INTERRUPT_LINE));

    select(bdf, PCI_INTERRUPT_LINE);
    outb(PORT_CONFIG_DATA, 0x5a);
    CHECK_EQ(mmio_read32(ecam(bdf, PCI_INTERRUPT_LINE)), (before & ~0xffU) | 0x5a);
    mmio_write8(ecam(bdf, PCI_INTERRUPT_LINE), 0xa5);
    CHECK_EQ(inl(PORT_CONFIG_DATA), (before & ~0xffU) | 0xa5);
    outb(PORT_CONFIG_DATA + 1, 0x03); /* Interrupt Pin is read-only */
    CHECK_EQ(inl(PORT_CONFIG_DATA), (before & ~0xffU) | 0xa5);
    outw(PORT_CONFIG_DATA + 2, 0xffff); /* so are Min_Gnt and Max_Lat */
    CHECK_EQ(inl(PORT_CONFIG_DATA), (before & ~0xffU) | 0xa5);

    /* The upper half of a BAR by a 16-bit write to lane 2. */
    const uint32_t bar = mmio_read32(ecam(bdf, PCI_BAR0));
    select(bdf, PCI_BAR0);
    outw(PORT_CONFIG_DATA + 2, 0xe765);
    CHECK_EQ(mmio_read32(ecam(bdf, PCI_BAR0)), 0xe7650000 | (bar & 0xffff));
    outb(PORT_CONFIG_DATA + 3, 0xe6);
    CHECK_EQ(inl(PORT_CONFIG_DATA), 0xe6650000 | (bar & 0xffff));
    outl(PORT_CONFIG_DATA, bar);
    CHECK_EQ(mmio_read32(ecam(bdf, PCI_BAR0)), bar);
}

/* The latch takes 32-bit writes only; others are for the reset control register at 0xcf9. */
static void address_latch(void)
{
    const uint32_t address = CONFIG_ENABLE | PCI_CLASS_REVISION;

    outl(PORT_CONFIG_ADDRESS, address);
    CHECK_EQ(inl(PORT_CONFIG_ADDRESS), address);
    outb(PORT_CONFIG_ADDRESS, 0x3c);
    CHECK_EQ(inl(PORT_CONFIG_ADDRESS), address);
    outw(PORT_CONFIG_ADDRESS, 0x003c);
    CHECK_EQ(inl(PORT_CONFIG_ADDRESS), address);
    outb(PORT_CONFIG_ADDRESS + 3, 0);
    CHECK_EQ(inl(PORT_CONFIG_ADDRESS), address);
}

static void disabled(void)
{
    struct engine engine;

    if (!engine_open(&engine, 0, 0)) {
        return;
    }
    const uint32_t address = engine.bdf << 8 | PCI_INTERRUPT_LINE;
    const uint32_t before = mmio_read32(ecam(engine.bdf, PCI_INTERRUPT_LINE));

    outl(PORT_CONFIG_ADDRESS, address); /* bit 31 clear */
    CHECK_EQ(inl(PORT_CONFIG_DATA), 0xffffffff);
    CHECK_EQ(inw(PORT_CONFIG_DATA + 2), 0xffff);
    CHECK_EQ(inb(PORT_CONFIG_DATA + 1), 0xff);
    outl(PORT_CONFIG_DATA, ~before);
    CHECK_EQ(mmio_read32(ecam(engine.bdf, PCI_INTERRUPT_LINE)), before);
    outl(PORT_CONFIG_ADDRESS, CONFIG_ENABLE | address);
    CHECK_EQ(inl(PORT_CONFIG_DATA), before);
}

/* No extended capability: the first header is zero. The rest is there and read-only. */
static void extended_space(void)
{
    struct engine engine;

    if (!engine_open(&engine, 0, 0)) {
        return;
    }
    CHECK_EQ(mmio_read32(ecam(engine.bdf, 0x100)), 0);
    CHECK_EQ(mmio_read32(ecam(engine.bdf, 0xffc)), 0);
    mmio_write32(ecam(engine.bdf, 0x100), 0xffffffff);
    mmio_write32(ecam(engine.bdf, 0xffc), 0xffffffff);
    CHECK_EQ(mmio_read32(ecam(engine.bdf, 0x100)), 0);
    CHECK_EQ(mmio_read32(ecam(engine.bdf, 0xffc)), 0);
    /* 8 bytes and misaligned accesses are no configuration accesses; they must do no harm. */
    (void)mmio_read64(ecam(engine.bdf, 0));
    (void)mmio_read32(ecam(engine.bdf, 2));
    CHECK_EQ(mmio_read16(ecam(engine.bdf, 0)), DMA_ENGINE_VENDOR_ID);
}

static void absent_at(unsigned bdf)
{
    CHECK_EQ(mmio_read32(ecam(bdf, 0)), 0xffffffff);
    CHECK_EQ(mmio_read16(ecam(bdf, PCI_STATUS)), 0xffff);
    CHECK_EQ(mmio_read8(ecam(bdf, PCI_HEADER_TYPE)), 0xff);
    mmio_write32(ecam(bdf, PCI_BAR0), 0x12345678);
    CHECK_EQ(mmio_read32(ecam(bdf, PCI_BAR0)), 0xffffffff);
    select(bdf, 0);
    CHECK_EQ(inl(PORT_CONFIG_DATA), 0xffffffff);
    CHECK_EQ(inb(PORT_CONFIG_DATA + 3), 0xff);
    outl(PORT_CONFIG_DATA, 0);
    CHECK_EQ(inl(PORT_CONFIG_DATA), 0xffffffff);
}

static void absent(void)
{
    struct engine engine;

    absent_at(BDF(0, 30, 0));
    absent_at(BDF(0, 30, 7));
    absent_at(BDF(1, 0, 0));
    absent_at(BDF(255, 31, 7));
    if (engine_open(&engine, 0, 0)) {
        absent_at(engine.bdf | 1); /* a further function of a device that has one */
    }
}

const struct test tests[] = {
    {"cf8 and ecam agree", agree},  {"lanes read", read_lanes},
    {"lanes written", write_lanes}, {"0xcf8 takes 32 bits", address_latch},
    {"0xcfc disabled", disabled},   {"extended space", extended_space},
    {"absent functions", absent},   {0},
};

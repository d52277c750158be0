/* SPDX-License-Identifier: MIT */
/* Accesses that are not aligned, which x86 lets through to the devices, and across borders. */
#include "engine.h"
#include "test.h"

static struct engine engine;

static void misaligned_reads(void)
{
    if (!engine_open(&engine, 0, 0)) {
        return;
    }
    const uint64_t version = engine.base + DMA_ENGINE_VERSION;

    for (unsigned i = 1; i < 4; i++) {
        CHECK_EQ(mmio_read32(version + i), 0xffffffff);
    }
    for (unsigned i = 1; i < 8; i++) {
        CHECK_EQ(mmio_read64(version + i), UINT64_MAX);
    }
    CHECK_EQ(mmio_read16(version + 1), 0xffff);
}

static void misaligned_writes(void)
{
    if (!engine_open(&engine, 0, 0)) {
        return;
    }
    const uint64_t reg = engine.base + DMA_ENGINE_INTX_ENABLE;

    for (unsigned i = 1; i < 8; i++) {
        mmio_write64(reg - i, UINT64_MAX);
        mmio_write32(reg - i, i == 4 ? 0 : UINT32_MAX);
    }
    CHECK_EQ(mmio_read64(reg), 0);
}

/* 8 bytes over two registers are none. */
static void across_registers(void)
{
    if (!engine_open(&engine, 0, 0)) {
        return;
    }
    CHECK_EQ(mmio_read64(engine.base + DMA_ENGINE_STATUS), UINT64_MAX);
    CHECK_EQ(mmio_read64(engine.base + DMA_ENGINE_LEN_BYTES), UINT64_MAX);
}

/* Over the BAR's ends: its part answers (aligned 4 bytes: reserved, 0), the rest is nobody's. */
static void across_the_ends(void)
{
    if (!engine_open(&engine, 0, 0)) {
        return;
    }
    const uint64_t end = engine.base + DMA_ENGINE_BAR0_SIZE;

    CHECK_EQ(mmio_read64(end - 4), 0xffffffff00000000);
    CHECK_EQ(mmio_read64(engine.base - 4), 0x00000000ffffffff);
    mmio_write64(end - 4, 0);
    mmio_write64(engine.base - 4, 0);
    CHECK_EQ(mmio_read32(end - 2), 0xffffffff);
}

/*
 * Across two pages of the BAR: the VMM sees 3 bytes and 5. Devices know no such sizes, so that 2
 * and 1, 4 and 1 reach the engine, of which only the 4 are well formed (and reserved: 0).
 */
static void across_pages(void)
{
    if (!engine_open(&engine, 0, 0)) {
        return;
    }
    const uint64_t page = engine.base + 0x2000;

    CHECK_EQ(mmio_read64(page - 3), 0xff00000000ffffff);
    CHECK_EQ(mmio_read32(page - 3), 0xffffffff);
    CHECK_EQ(mmio_read32(page - 1), 0xffffffff);
    mmio_write64(page - 3, UINT64_MAX);
}

static void unclaimed(void)
{
    for (unsigned i = 0; i < 8; i++) {
        CHECK_EQ(mmio_read64(arch_unclaimed + 0xffc + i), UINT64_MAX);
        CHECK_EQ(mmio_read32(arch_unclaimed + 0xffc + i), 0xffffffff);
        mmio_write64(arch_unclaimed + 0xffc + i, 0);
    }
}

/* One instruction, many accesses: string copies from and to a device's registers. */
static void string_moves(void)
{
    uint32_t buffer[4] = {1, 2, 3, 4};
    void *to = buffer;

    if (!engine_open(&engine, 0, 0)) {
        return;
    }
    const void *from = (const void *)(engine.base + DMA_ENGINE_VERSION);
    uint64_t count = 2;
    __asm__ volatile("rep movsl" : "+S"(from), "+D"(to), "+c"(count) : : "memory");
    CHECK_EQ(buffer[0], DMA_ENGINE_VERSION_VALUE);
    CHECK_EQ(buffer[1], mmio_read32(engine.base + DMA_ENGINE_INLINE_MAX));
    CHECK_EQ(buffer[2], 3);
}

const struct test tests[] = {
    {"misaligned reads are all ones", misaligned_reads},
    {"misaligned writes are ignored", misaligned_writes},
    {"across two registers", across_registers},
    {"across the ends of the BAR", across_the_ends},
    {"across two pages", across_pages},
    {"misaligned where nothing is", unclaimed},
    {"rep movsl from registers", string_moves},
    {0},
};

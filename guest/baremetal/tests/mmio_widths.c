/* SPDX-License-Identifier: MIT */
/* Loads and stores of every width, at the DMA engine's registers and where nothing is. */
#include "engine.h"
#include "test.h"

static struct engine engine;

/* Aligned accesses of 4 and 8 bytes; each half of a register on its own. */
static void engine_reads(void)
{
    if (!engine_open(&engine, 0, 0)) {
        return;
    }
    const uint64_t version = engine.base + DMA_ENGINE_VERSION;
    const uint64_t whole = mmio_read64(version);

    CHECK_EQ(whole & 0xffffffff, DMA_ENGINE_VERSION_VALUE);
    CHECK_EQ(mmio_read32(version), whole & 0xffffffff);
    CHECK_EQ(mmio_read32(version + 4), whole >> 32);
    CHECK_EQ(mmio_read64(engine.base + DMA_ENGINE_SRC), 0);
    CHECK_EQ(mmio_read32(engine.base + DMA_ENGINE_LEN_BYTES), 0);
}

static void engine_narrow_reads(void)
{
    if (!engine_open(&engine, 0, 0)) {
        return;
    }
    CHECK_EQ(mmio_read8(engine.base + DMA_ENGINE_VERSION), 0xff);
    CHECK_EQ(mmio_read16(engine.base + DMA_ENGINE_VERSION), 0xffff);
    CHECK_EQ(mmio_read8(engine.base + DMA_ENGINE_STATUS + 3), 0xff);
    CHECK_EQ(mmio_read16(engine.base + DMA_ENGINE_STATUS + 2), 0xffff);
}

/* INTX_ENABLE has one writable bit: what may change it does, nothing else does. */
static void engine_writes(void)
{
    if (!engine_open(&engine, 0, 0)) {
        return;
    }
    const uint64_t reg = engine.base + DMA_ENGINE_INTX_ENABLE;

    mmio_write32(reg, 0xffffffff);
    CHECK_EQ(mmio_read64(reg), DMA_ENGINE_INTX_ENABLED);
    mmio_write32(reg + 4, 0);
    CHECK_EQ(mmio_read64(reg), DMA_ENGINE_INTX_ENABLED);
    mmio_write8(reg, 0);
    mmio_write16(reg, 0);
    CHECK_EQ(mmio_read64(reg), DMA_ENGINE_INTX_ENABLED);
    mmio_write64(reg, 0);
    CHECK_EQ(mmio_read64(reg), 0);
    mmio_write64(reg, UINT64_MAX);
    CHECK_EQ(mmio_read32(reg), DMA_ENGINE_INTX_ENABLED);
    mmio_write32(reg, 0);
    CHECK_EQ(mmio_read32(reg), 0);
}

static void engine_reserved(void)
{
    static const uint64_t offsets[] = {
        0, 8, 0xff8, DMA_ENGINE_VERSION + 8, 0x2000, DMA_ENGINE_BAR0_SIZE - 8};

    if (!engine_open(&engine, 0, 0)) {
        return;
    }
    for (unsigned i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
        const uint64_t address = engine.base + offsets[i];

        mmio_write64(address, UINT64_MAX);
        CHECK_EQ(mmio_read64(address), 0);
        mmio_write32(address + 4, 0xffffffff);
        CHECK_EQ(mmio_read32(address + 4), 0);
        CHECK_EQ(mmio_read8(address), 0xff);
    }
}

/* Read-only registers stay what they are. */
static void engine_read_only(void)
{
    if (!engine_open(&engine, 0, 0)) {
        return;
    }
    for (uint64_t offset = DMA_ENGINE_ERROR; offset <= DMA_ENGINE_FAULT_ADDR; offset += 8) {
        const uint64_t before = mmio_read64(engine.base + offset);

        mmio_write64(engine.base + offset, ~before);
        CHECK_EQ(mmio_read64(engine.base + offset), before);
    }
    const uint64_t status = mmio_read32(engine.base + DMA_ENGINE_STATUS);
    mmio_write32(engine.base + DMA_ENGINE_STATUS, ~0U);
    CHECK_EQ(mmio_read32(engine.base + DMA_ENGINE_STATUS), status);
}

/* The 4 bytes before the BAR and the 4 after it belong to nobody. */
static void around_the_bar(void)
{
    if (!engine_open(&engine, 0, 0)) {
        return;
    }
    const uint64_t end = engine.base + DMA_ENGINE_BAR0_SIZE;

    CHECK_EQ(mmio_read32(end - 4), 0);
    CHECK_EQ(mmio_read32(end), 0xffffffff);
    CHECK_EQ(mmio_read32(engine.base), 0);
    CHECK_EQ(mmio_read32(engine.base - 4), 0xffffffff);
}

static void unclaimed(void)
{
    const uint64_t address = arch_unclaimed;

    mmio_write8(address, 0);
    mmio_write16(address, 0);
    mmio_write32(address, 0);
    mmio_write64(address, 0);
    CHECK_EQ(mmio_read8(address), 0xff);
    CHECK_EQ(mmio_read16(address), 0xffff);
    CHECK_EQ(mmio_read32(address), 0xffffffff);
    CHECK_EQ(mmio_read64(address), UINT64_MAX);
    CHECK_EQ(mmio_read8(address + 7), 0xff);
    CHECK_EQ(mmio_read32(address + 0xffc), 0xffffffff);
}

const struct test tests[] = {
    {"registers by 8 and 4 bytes", engine_reads},
    {"narrow reads are all ones", engine_narrow_reads},
    {"writes by width", engine_writes},
    {"reserved offsets", engine_reserved},
    {"read-only registers", engine_read_only},
    {"around the BAR", around_the_bar},
    {"unclaimed memory", unclaimed},
    {0},
};

/* SPDX-License-Identifier: MIT */
/*
 * An SMMUv3 as its driver and its devices see it: registers on a bus, everything else in guest RAM.
 * Below that a builder of translation tables, and a walker that knows no cache and shares nothing
 * with the device's but the constants of the architecture.
 */
#ifndef TESTS_UNIT_SMMUV3_FIXTURE_H
#define TESTS_UNIT_SMMUV3_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "devices/iommu/smmuv3.h"
#include "devices/iommu/smmuv3_regs.h"
#include "fake_irq.h"
#include "vmm/guest_memory.h"

#define UNUSED __attribute__((unused))

enum {
    BASE = 0x9050000,
    RAM = 0x40000000,
    RAM_SIZE = 32 << 20,
    GSI = 4,
    SID = 0x20,
    ASID = 7,
    QUEUE_LOG2 = 4,
    CMDQ = RAM,
    EVENTQ = RAM + 0x1000,
    STRTAB = RAM + 0x4000, /* 256 STEs */
    CD = RAM + 0x8000,
    TABLES = RAM + 0x100000,
};

struct rig {
    struct bus bus;
    struct bus_cursor cursor;
    struct fake_irq irq;
    struct guest_memory ram;
    struct smmuv3 *smmu;
    uint32_t prod; /* of the command queue */
    uint32_t cons; /* of the event queue */
    uint64_t next_table;
};

/* One set of tables: what a CD says of it. */
struct tables {
    unsigned granule; /* 12, 14, 16 */
    unsigned bits;    /* of input addresses */
    uint64_t root;
};

static UNUSED uint32_t reg(struct rig *rig, uint32_t offset)
{
    return (uint32_t)bus_read(&rig->cursor, BASE + offset, 4);
}

static UNUSED void set_reg(struct rig *rig, uint32_t offset, uint32_t value)
{
    bus_write(&rig->cursor, BASE + offset, 4, value);
}

static UNUSED uint64_t *word_at(struct rig *rig, uint64_t address)
{
    uint64_t *word = guest_memory_range(&rig->ram, gpa(address), 8);
    assert_non_null(word);
    return word;
}

static UNUSED struct iommu_translation translation;

static UNUSED int access_sid(struct rig *rig, uint16_t sid, uint64_t address,
                             enum dma_direction direction)
{
    struct iommu *iommu = smmuv3_iommu(rig->smmu);
    unsigned phase = iommu_enter(iommu);
    int ret = iommu_translate(iommu, sid, iova(address), direction, &translation);
    iommu_leave(iommu, phase);
    return ret;
}

static UNUSED int access_at(struct rig *rig, uint64_t address, enum dma_direction direction)
{
    return access_sid(rig, SID, address, direction);
}

/* ---- queues */

static UNUSED void command(struct rig *rig, uint64_t word0, uint64_t word1)
{
    uint32_t index = rig->prod & ((1u << QUEUE_LOG2) - 1);
    *word_at(rig, CMDQ + index * 16) = word0;
    *word_at(rig, CMDQ + index * 16 + 8) = word1;
    rig->prod = (rig->prod + 1) & ((2u << QUEUE_LOG2) - 1);
    set_reg(rig, SMMU_CMDQ_PROD, rig->prod);
}

static UNUSED void sync_commands(struct rig *rig)
{
    command(rig, SMMU_CMD_SYNC, 0);
    assert_int_equal(reg(rig, SMMU_CMDQ_CONS), rig->prod);
}

/* The next event, which must be there; its four words. */
static UNUSED void take_event(struct rig *rig, uint64_t *event)
{
    assert_int_not_equal(reg(rig, SMMU_EVENTQ_PROD) & ~SMMU_QUEUE_OVERFLOW, rig->cons);
    uint32_t index = rig->cons & ((1u << QUEUE_LOG2) - 1);
    for (unsigned i = 0; i < 4; i++) {
        event[i] = *word_at(rig, EVENTQ + index * 32 + i * 8);
    }
    rig->cons = (rig->cons + 1) & ((2u << QUEUE_LOG2) - 1);
    set_reg(rig, SMMU_EVENTQ_CONS, rig->cons);
}

static UNUSED void assert_no_event(struct rig *rig)
{
    assert_int_equal(reg(rig, SMMU_EVENTQ_PROD), rig->cons);
}

/* ---- translation tables */

static UNUSED unsigned start_level(const struct tables *tables)
{
    unsigned stride = tables->granule - 3;
    return 4 - (tables->bits - tables->granule + stride - 1) / stride;
}

static UNUSED unsigned level_shift(const struct tables *tables, unsigned level)
{
    return tables->granule + (3 - level) * (tables->granule - 3);
}

/* The address of the descriptor for `va` in `table` of `level`. */
static UNUSED uint64_t descriptor_at(const struct tables *tables, uint64_t table, unsigned level,
                                     uint64_t va)
{
    uint64_t entries = 1ull << (tables->granule - 3);
    va &= (1ull << tables->bits) - 1;
    return table + (va >> level_shift(tables, level)) % entries * 8;
}

static UNUSED uint64_t new_table(struct rig *rig, unsigned granule)
{
    uint64_t size = 1ull << granule;
    uint64_t table = (rig->next_table + size - 1) & ~(size - 1);
    rig->next_table = table + size;
    assert_true(rig->next_table <= RAM + RAM_SIZE);
    memset(guest_memory_range(&rig->ram, gpa(table), size), 0, size);
    return table;
}

static UNUSED struct tables new_tables(struct rig *rig, unsigned granule, unsigned bits)
{
    return (struct tables){.granule = granule, .bits = bits, .root = new_table(rig, granule)};
}

/* Where the descriptor of `va` at `level` is; tables on the way are made. 0: a block is there. */
static UNUSED uint64_t make_way(struct rig *rig, const struct tables *tables, uint64_t va,
                                unsigned level)
{
    uint64_t table = tables->root;
    for (unsigned at = start_level(tables); at < level; at++) {
        uint64_t *word = word_at(rig, descriptor_at(tables, table, at, va));
        if (!(*word & 1)) {
            *word = new_table(rig, tables->granule) | 3;
        } else if (!(*word & 2)) {
            return 0;
        }
        table = *word & SMMU_TTD_ADDRESS;
    }
    return descriptor_at(tables, table, level, va);
}

/* A leaf with these attributes, AF not included; returns its descriptor's address. */
static UNUSED uint64_t map(struct rig *rig, const struct tables *tables, uint64_t va, uint64_t pa,
                           unsigned level, uint64_t attributes)
{
    uint64_t at = make_way(rig, tables, va, level);
    assert_int_not_equal(at, 0);
    *word_at(rig, at) = pa | attributes | 1 | (level == 3 ? 2 : 0);
    return at;
}

/* Reads and writes by anybody. */
static const uint64_t full UNUSED = SMMU_TTD_AF | SMMU_TTD_AP_UNPRIV | SMMU_TTD_NG;

/* What a walk finds, with no cache and no permissions: true and the address, or false. */
static UNUSED bool walk(struct rig *rig, const struct tables *tables, uint64_t va, uint64_t *pa)
{
    uint64_t table = tables->root;
    for (unsigned level = start_level(tables); level <= 3; level++) {
        uint64_t word = *word_at(rig, descriptor_at(tables, table, level, va));
        if (!(word & 1) || (level == 3 && !(word & 2))) {
            return false;
        }
        if (level == 3 || !(word & 2)) {
            uint64_t size = 1ull << level_shift(tables, level);
            *pa = (word & SMMU_TTD_ADDRESS & ~(size - 1)) | (va & (size - 1));
            return true;
        }
        table = word & SMMU_TTD_ADDRESS;
    }
    return false;
}

/* ---- configuration */

static UNUSED void set_ste(struct rig *rig, uint32_t sid, uint64_t word0, uint64_t word1)
{
    *word_at(rig, STRTAB + sid * 64) = word0;
    *word_at(rig, STRTAB + sid * 64 + 8) = word1;
}

static UNUSED uint64_t ste_s1(uint64_t cd)
{
    return cd | SMMU_STE0_V | (uint64_t)SMMU_STE_CONFIG_S1 << SMMU_STE0_CONFIG_SHIFT;
}

/* TG of TTBR0: 4K, 64K, 16K. */
static UNUSED uint64_t tg0(unsigned granule)
{
    return granule == 12 ? 0 : granule == 16 ? 1 : 2;
}

/* A CD's first word: TTBR0 only, faults recorded, 44 bits of output. */
static UNUSED uint64_t cd_word(const struct tables *tables, uint16_t asid)
{
    return (64 - tables->bits) | tg0(tables->granule) << SMMU_CD0_TG_SHIFT(0) | SMMU_CD0_EPD(1) |
           SMMU_CD0_V | 4ull << SMMU_CD0_IPS_SHIFT | SMMU_CD0_AA64 | SMMU_CD0_R | SMMU_CD0_A |
           (uint64_t)asid << SMMU_CD0_ASID_SHIFT;
}

static UNUSED void set_cd(struct rig *rig, uint64_t cd, uint64_t word0, uint64_t ttb0)
{
    *word_at(rig, cd) = word0;
    *word_at(rig, cd + 8) = ttb0;
}

static UNUSED void forget_configuration(struct rig *rig)
{
    command(rig, SMMU_CMD_CFGI_STE_RANGE, SMMU_CMD_RANGE_ALL);
    sync_commands(rig);
}

/* The stream SID translates with these tables. */
static UNUSED void use(struct rig *rig, const struct tables *tables)
{
    set_cd(rig, CD, cd_word(tables, ASID), tables->root);
    set_ste(rig, SID, ste_s1(CD), 0);
    command(rig, SMMU_CMD_TLBI_NH_ALL, 0);
    forget_configuration(rig);
}

/* ---- set-up */

static UNUSED void start(struct rig *rig)
{
    set_reg(rig, SMMU_STRTAB_BASE, STRTAB);
    set_reg(rig, SMMU_STRTAB_BASE_CFG, 8);
    set_reg(rig, SMMU_CMDQ_BASE, CMDQ | QUEUE_LOG2);
    set_reg(rig, SMMU_EVENTQ_BASE, EVENTQ | QUEUE_LOG2);
    set_reg(rig, SMMU_IRQ_CTRL, SMMU_IRQ_CTRL_GERROR | SMMU_IRQ_CTRL_EVENTQ);
    set_reg(rig, SMMU_CR0, SMMU_CR0_SMMUEN | SMMU_CR0_EVENTQEN | SMMU_CR0_CMDQEN);
}

static UNUSED int rig_setup(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    struct error err = {0};
    assert_non_null(rig);
    assert_int_equal(bus_init(&rig->bus, "mmio", UINT64_MAX), 0);
    bus_cursor_init(&rig->cursor, &rig->bus);
    fake_irq_init(&rig->irq);
    assert_int_equal(guest_memory_add(&rig->ram, gpa(RAM), RAM_SIZE, false, &err), 0);
    const struct smmuv3_config config = {
        .bus = &rig->bus, .base = BASE, .irq = &rig->irq.chip, .gsi = GSI, .memory = &rig->ram};
    assert_int_equal(smmuv3_create(&rig->smmu, &config, &err), 0);
    rig->next_table = TABLES;
    *state = rig;
    return 0;
}

static UNUSED int rig_setup_started(void **state)
{
    rig_setup(state);
    start(*state);
    return 0;
}

static UNUSED int rig_teardown(void **state)
{
    struct rig *rig = *state;
    smmuv3_destroy(rig->smmu);
    bus_cursor_destroy(&rig->cursor);
    bus_destroy(&rig->bus);
    guest_memory_destroy(&rig->ram);
    free(rig);
    return 0;
}

#endif

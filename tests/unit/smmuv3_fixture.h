/* SPDX-License-Identifier: MIT */
/*
 * An SMMUv3 as its driver and its devices see it: registers on a bus, everything else in guest RAM.
 * Numbers are this file's own, from Arm IHI 0070 and not from the device's headers, so that a wrong
 * one in the device is found. Below that a builder of translation tables for each granule.
 */
#ifndef TESTS_UNIT_SMMUV3_FIXTURE_H
#define TESTS_UNIT_SMMUV3_FIXTURE_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "devices/iommu/smmuv3.h"
#include "vmm/guest_memory.h"

/* ---- registers: 6.1, 6.3 */

enum {
    SMMU_IDR0 = 0x0,
    SMMU_IDR1 = 0x4,
    SMMU_IDR2 = 0x8,
    SMMU_IDR3 = 0xc,
    SMMU_IDR4 = 0x10,
    SMMU_IDR5 = 0x14,
    SMMU_AIDR = 0x1c,
    SMMU_CR0 = 0x20,
    SMMU_CR0ACK = 0x24,
    SMMU_CR1 = 0x28,
    SMMU_CR2 = 0x2c,
    SMMU_STATUSR = 0x40,
    SMMU_GBPA = 0x44,
    SMMU_IRQ_CTRL = 0x50,
    SMMU_IRQ_CTRLACK = 0x54,
    SMMU_GERROR = 0x60,
    SMMU_GERRORN = 0x64,
    SMMU_STRTAB_BASE = 0x80,
    SMMU_STRTAB_BASE_CFG = 0x88,
    SMMU_CMDQ_BASE = 0x90,
    SMMU_CMDQ_PROD = 0x98,
    SMMU_CMDQ_CONS = 0x9c,
    SMMU_EVENTQ_BASE = 0xa0,
    SMMU_EVENTQ_PROD = 0x100a8,
    SMMU_EVENTQ_CONS = 0x100ac,
};

#define CR0_SMMUEN   1u
#define CR0_EVENTQEN 4u
#define CR0_CMDQEN   8u
#define CR0_ON       (CR0_SMMUEN | CR0_EVENTQEN | CR0_CMDQEN)

#define CR2_RECINVSID   2u
#define GBPA_UPDATE     0x80000000u
#define GBPA_ABORT      0x100000u
#define GBPA_RESET      0x1000u
#define IRQ_GERROR      1u
#define IRQ_EVENTQ      4u
#define GERROR_CMDQ     1u
#define GERROR_EVENTQ   4u
#define QUEUE_OVERFLOW  0x80000000u
#define QUEUE_INDEX     0xfffffu
#define CERROR_ILL      0x1000000u /* in CMDQ_CONS */
#define CERROR_ABT      0x2000000u
#define STRTAB_2LVL     0x10000u
#define STRTAB_SPLIT(n) ((uint32_t)(n) << 6)

/* ---- commands: 4.1.1 */

enum {
    CMD_PREFETCH_CONFIG = 0x1,
    CMD_PREFETCH_ADDR = 0x2,
    CMD_CFGI_STE = 0x3,
    CMD_CFGI_STE_RANGE = 0x4,
    CMD_CFGI_CD = 0x5,
    CMD_CFGI_CD_ALL = 0x6,
    CMD_TLBI_NH_ALL = 0x10,
    CMD_TLBI_NH_ASID = 0x11,
    CMD_TLBI_NH_VA = 0x12,
    CMD_TLBI_NH_VAA = 0x13,
    CMD_TLBI_NSNH_ALL = 0x30,
    CMD_SYNC = 0x46,
};

#define CMD_SSEC        (1ull << 10)
#define CMD_CS(n)       ((uint64_t)(n) << 12)
#define CMD_SID(n)      ((uint64_t)(n) << 32)
#define CMD_ASID(n)     ((uint64_t)(n) << 48)
#define CMD_NUM(n)      ((uint64_t)(n) << 12) /* a range has this and one more ... */
#define CMD_SCALE(n)    ((uint64_t)(n) << 20) /* ... times 2^this granules */
#define CMD_TTL(n)      ((uint64_t)(n) << 8)  /* second word, as the next two */
#define CMD_TG(granule) ((uint64_t)((granule) / 2 - 5) << 10)
#define CMD_LEAF        1ull
#define CMD_RANGE_ALL   31

/* ---- events: 7.3 */

enum {
    C_BAD_STREAMID = 0x2,
    F_STE_FETCH = 0x3,
    C_BAD_STE = 0x4,
    F_CD_FETCH = 0x9,
    C_BAD_CD = 0xa,
    F_WALK_EABT = 0xb,
    F_TRANSLATION = 0x10,
    F_ADDR_SIZE = 0x11,
    F_ACCESS = 0x12,
    F_PERMISSION = 0x13,
};

#define EVENT_PNU       (1ull << 33)
#define EVENT_IND       (1ull << 34)
#define EVENT_RNW       (1ull << 35)
#define EVENT_CLASS_TTD (1ull << 40)
#define EVENT_CLASS_IN  (2ull << 40)

/* ---- STE, 5.2 */

#define STE_V          1ull
#define STE_ABORT      (STE_V | 0ull << 1)
#define STE_BYPASS     (STE_V | 4ull << 1)
#define STE_S1(cd)     (STE_V | 5ull << 1 | (cd))
#define STE1_S1STALLD  (1ull << 27) /* in the second word, as the next two */
#define STE1_PRIVCFG_P (3ull << 48)
#define STE1_INSTCFG_I (3ull << 50)

/* ---- CD, 5.4 */

#define CD_TSZ(half, n) ((uint64_t)(n) << 16 * (half))
#define CD_TG(half, n)  ((uint64_t)(n) << (16 * (half) + 6))
#define CD_EPD(half)    (1ull << (16 * (half) + 14))
#define CD_ENDI         (1ull << 15)
#define CD_V            (1ull << 31)
#define CD_IPS(n)       ((uint64_t)(n) << 32)
#define CD_AFFD         (1ull << 35)
#define CD_WXN          (1ull << 36)
#define CD_TBI(half)    (1ull << (38 + (half)))
#define CD_PAN          (1ull << 40)
#define CD_AA64         (1ull << 41)
#define CD_HD           (1ull << 42)
#define CD_HA           (1ull << 43)
#define CD_S            (1ull << 44)
#define CD_R            (1ull << 45)
#define CD_A            (1ull << 46)
#define CD_ASID(n)      ((uint64_t)(n) << 48)
#define CD_HAD          2ull /* in the word of the table */

/* ---- descriptors, Arm ARM D8.3 */

#define TTD_VALID         1ull
#define TTD_TABLE         2ull /* or page */
#define TTD_USER          (1ull << 6)
#define TTD_READ_ONLY     (1ull << 7)
#define TTD_AF            (1ull << 10)
#define TTD_NG            (1ull << 11)
#define TTD_PXN           (1ull << 53)
#define TTD_UXN           (1ull << 54)
#define TTD_TABLE_NO_USER (1ull << 61)
#define TTD_TABLE_RO      (1ull << 62)
#define TTD_ADDRESS       0x0000fffffffff000ull

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

/* An interrupt chip for wires that pulse; a wire never rises twice, nor falls twice. */
struct pulses {
    struct irq_chip chip; /* first */
    bool level[SMMUV3_IRQ_COUNT];
    unsigned count[SMMUV3_IRQ_COUNT];
};

static UNUSED int pulses_set_level(struct irq_chip *chip, uint32_t gsi, bool level)
{
    struct pulses *pulses = (struct pulses *)chip;
    assert_true(gsi >= GSI && gsi < GSI + SMMUV3_IRQ_COUNT);
    assert_int_not_equal(pulses->level[gsi - GSI], level);
    pulses->level[gsi - GSI] = level;
    pulses->count[gsi - GSI] += level;
    return 0;
}

static const struct irq_chip_ops pulses_ops UNUSED = {.set_level = pulses_set_level};

struct rig {
    struct bus bus;
    struct bus_cursor cursor;
    struct pulses irq;
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

/* The same for a range: `row`, and how many translations are in it. */
static UNUSED int access_row(struct rig *rig, uint16_t sid, uint64_t address, uint64_t length,
                             enum dma_direction direction, struct iommu_translation *row,
                             unsigned max)
{
    struct iommu *iommu = smmuv3_iommu(rig->smmu);
    unsigned phase = iommu_enter(iommu);
    int ret = iommu_translate_row(iommu, sid, iova(address), length, direction, row, max);
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
    command(rig, CMD_SYNC, 0);
    assert_int_equal(reg(rig, SMMU_CMDQ_CONS), rig->prod);
}

/* The next event, which must be there; its four words. */
static UNUSED void take_event(struct rig *rig, uint64_t *event)
{
    assert_int_not_equal(reg(rig, SMMU_EVENTQ_PROD) & ~QUEUE_OVERFLOW, rig->cons);
    uint32_t index = rig->cons & ((1u << QUEUE_LOG2) - 1);
    for (unsigned i = 0; i < 4; i++) {
        event[i] = *word_at(rig, EVENTQ + index * 32 + i * 8);
    }
    rig->cons = (rig->cons + 1) & ((2u << QUEUE_LOG2) - 1);
    set_reg(rig, SMMU_EVENTQ_CONS, rig->cons);
}

static UNUSED void assert_no_event(struct rig *rig)
{
    assert_int_equal(reg(rig, SMMU_EVENTQ_PROD) & ~QUEUE_OVERFLOW, rig->cons);
}

/* The next event, which is the only one, is exactly this. */
static UNUSED void assert_event(struct rig *rig, uint64_t word0, uint64_t word1, uint64_t word2,
                                uint64_t word3)
{
    uint64_t event[4];
    take_event(rig, event);
    assert_int_equal(event[0], word0);
    assert_int_equal(event[1], word1);
    assert_int_equal(event[2], word2);
    assert_int_equal(event[3], word3);
    assert_no_event(rig);
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
        table = *word & TTD_ADDRESS;
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
static const uint64_t full UNUSED = TTD_AF | TTD_USER | TTD_NG;

/* ---- configuration */

static UNUSED void set_ste(struct rig *rig, uint32_t sid, uint64_t word0, uint64_t word1)
{
    *word_at(rig, STRTAB + sid * 64) = word0;
    *word_at(rig, STRTAB + sid * 64 + 8) = word1;
}

/* TG0 counts 4K, 64K, 16K; TG1 differently. */
static UNUSED uint64_t tg0(unsigned granule)
{
    return CD_TG(0, granule == 12 ? 0 : granule == 16 ? 1 : 2);
}

static UNUSED uint64_t tg1(unsigned granule)
{
    return CD_TG(1, granule == 12 ? 2 : granule == 16 ? 3 : 1);
}

/* A CD's first word without any table: faults are recorded, 44 bits of output. */
static UNUSED uint64_t cd_plain(uint16_t asid)
{
    return CD_V | CD_AA64 | CD_R | CD_A | CD_IPS(4) | CD_ASID(asid);
}

/* The same with TTBR0 only. */
static UNUSED uint64_t cd_word(const struct tables *tables, uint16_t asid)
{
    return cd_plain(asid) | CD_TSZ(0, 64 - tables->bits) | tg0(tables->granule) | CD_EPD(1);
}

/* And with TTBR1 only. */
static UNUSED uint64_t cd_word_upper(const struct tables *tables, uint16_t asid)
{
    return cd_plain(asid) | CD_TSZ(1, 64 - tables->bits) | tg1(tables->granule) | CD_EPD(0);
}

static UNUSED void set_cd(struct rig *rig, uint64_t cd, uint64_t word0, uint64_t ttb0)
{
    *word_at(rig, cd) = word0;
    *word_at(rig, cd + 8) = ttb0;
}

/* Registers that can be written only while translation is off. */
static UNUSED void set_while_off(struct rig *rig, uint32_t offset, uint32_t value)
{
    set_reg(rig, SMMU_CR0, CR0_EVENTQEN | CR0_CMDQEN);
    set_reg(rig, offset, value);
    set_reg(rig, SMMU_CR0, CR0_ON);
}

static UNUSED void forget_configuration(struct rig *rig)
{
    command(rig, CMD_CFGI_STE_RANGE, CMD_RANGE_ALL);
    sync_commands(rig);
}

/* The stream SID translates with these tables. */
static UNUSED void use(struct rig *rig, const struct tables *tables)
{
    set_cd(rig, CD, cd_word(tables, ASID), tables->root);
    set_ste(rig, SID, STE_S1(CD), 0);
    command(rig, CMD_TLBI_NH_ALL, 0);
    forget_configuration(rig);
}

/* ---- set-up */

static UNUSED void start(struct rig *rig)
{
    set_reg(rig, SMMU_STRTAB_BASE, STRTAB);
    set_reg(rig, SMMU_STRTAB_BASE_CFG, 8);
    set_reg(rig, SMMU_CMDQ_BASE, CMDQ | QUEUE_LOG2);
    set_reg(rig, SMMU_EVENTQ_BASE, EVENTQ | QUEUE_LOG2);
    set_reg(rig, SMMU_IRQ_CTRL, IRQ_GERROR | IRQ_EVENTQ);
    set_reg(rig, SMMU_CR0, CR0_ON);
}

static UNUSED int rig_setup(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    struct error err = {0};
    assert_non_null(rig);
    assert_int_equal(bus_init(&rig->bus, "mmio", UINT64_MAX), 0);
    bus_cursor_init(&rig->cursor, &rig->bus);
    rig->irq.chip.ops = &pulses_ops;
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

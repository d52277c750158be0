/* SPDX-License-Identifier: MIT */
/* The SMMUv3: registers, queues, each command, each event, and what is forgotten when. */
#include "smmuv3_fixture.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const uint64_t va = 0x12345000;
static const uint64_t pa = RAM + 0x400000;
static const uint64_t nowhere = 0x10000000;   /* no RAM is there */
static const uint64_t too_large = 1ull << 44; /* beyond IDR5.OAS */

static struct tables simple_tables(struct rig *rig)
{
    struct tables tables = new_tables(rig, 12, 39);
    map(rig, &tables, va, pa, 3, full);
    use(rig, &tables);
    return tables;
}

static void assert_goes_to(struct rig *rig, uint64_t address, enum dma_direction direction,
                           uint64_t expected)
{
    assert_int_equal(access_at(rig, address, direction), 0);
    assert_int_equal(translation.address.raw, expected);
}

/* The access fails, and this is the whole event; `detail` is of the second word. */
static void assert_fault_detail(struct rig *rig, uint64_t address, enum dma_direction direction,
                                unsigned type, uint64_t detail)
{
    detail |= direction == DMA_FROM_MEMORY ? EVENT_RNW : 0;
    assert_int_equal(access_at(rig, address, direction), -EFAULT);
    assert_event(rig, (uint64_t)SID << 32 | type, detail, address, 0);
}

static void assert_fault(struct rig *rig, uint64_t address, enum dma_direction direction,
                         unsigned type)
{
    assert_fault_detail(rig, address, direction, type, EVENT_CLASS_IN);
}

/* The same of something wrong with the stream, whatever the access. */
static void assert_bad_stream(struct rig *rig, uint16_t sid, unsigned type, uint64_t fetch)
{
    assert_int_equal(access_sid(rig, sid, va, DMA_FROM_MEMORY), -EFAULT);
    assert_event(rig, (uint64_t)sid << 32 | type, 0, 0, fetch);
}

static void assert_silent(struct rig *rig, uint16_t sid)
{
    assert_int_equal(access_sid(rig, sid, va, DMA_TO_MEMORY), -EFAULT);
    assert_no_event(rig);
}

/* ---- registers */

static void registers_after_reset(void **state)
{
    static const uint32_t zero[] = {
        SMMU_IDR2,        SMMU_IDR4,        SMMU_CR0,        SMMU_CR0ACK,      SMMU_CR1,
        SMMU_CR2,         SMMU_STATUSR,     SMMU_IRQ_CTRL,   SMMU_IRQ_CTRLACK, SMMU_GERROR,
        SMMU_GERRORN,     SMMU_STRTAB_BASE, SMMU_CMDQ_BASE,  SMMU_CMDQ_PROD,   SMMU_CMDQ_CONS,
        SMMU_EVENTQ_BASE, SMMU_EVENTQ_PROD, SMMU_EVENTQ_CONS};
    struct rig *rig = *state;
    for (unsigned i = 0; i < COUNT(zero); i++) {
        assert_int_equal(reg(rig, zero[i]), 0);
    }
    /* S1P, TTF 2, COHACC, ASID16, TTENDIAN 2, STALL_MODEL 1, TERM_MODEL, ST_LEVEL 1 */
    assert_int_equal(reg(rig, SMMU_IDR0),
                     1 << 1 | 2 << 2 | 1 << 4 | 1 << 12 | 2 << 21 | 1 << 24 | 1 << 26 | 1 << 27);
    assert_int_equal(reg(rig, SMMU_IDR1) & ~(1u << 26), 19 << 21 | 19 << 16 | 16);
    assert_int_equal(reg(rig, SMMU_IDR3),
                     2 << 11 | 1 << 10 | 1 << 8 | 1 << 2);      /* BBML, RIL, FWB, HAD */
    assert_int_equal(reg(rig, SMMU_IDR5), 1 << 6 | 3 << 4 | 4); /* granules, OAS */
    assert_int_equal(reg(rig, SMMU_AIDR), 2);                   /* RIL comes with 3.2 */
    assert_int_equal(reg(rig, SMMU_GBPA), GBPA_RESET);
}

static void identification_is_read_only(void **state)
{
    static const uint32_t fixed[] = {SMMU_IDR0, SMMU_IDR1,   SMMU_IDR3,        SMMU_IDR5,
                                     SMMU_AIDR, SMMU_CR0ACK, SMMU_IRQ_CTRLACK, SMMU_GERROR};
    struct rig *rig = *state;
    for (unsigned i = 0; i < COUNT(fixed); i++) {
        uint32_t before = reg(rig, fixed[i]);
        set_reg(rig, fixed[i], ~before);
        assert_int_equal(reg(rig, fixed[i]), before);
    }
}

static void updates_are_acknowledged(void **state)
{
    struct rig *rig = *state;
    set_reg(rig, SMMU_CR0, CR0_CMDQEN);
    assert_int_equal(reg(rig, SMMU_CR0ACK), CR0_CMDQEN);
    set_reg(rig, SMMU_CR0, UINT32_MAX); /* no PRI queue, no ATS checks, no VMIDs */
    assert_int_equal(reg(rig, SMMU_CR0ACK), CR0_ON);
    set_reg(rig, SMMU_CR0, 0);
    assert_int_equal(reg(rig, SMMU_CR0ACK), 0);
    set_reg(rig, SMMU_IRQ_CTRL, UINT32_MAX);
    assert_int_equal(reg(rig, SMMU_IRQ_CTRLACK), IRQ_GERROR | IRQ_EVENTQ);
    set_reg(rig, SMMU_IRQ_CTRL, IRQ_GERROR);
    assert_int_equal(reg(rig, SMMU_IRQ_CTRLACK), IRQ_GERROR);
}

static void gbpa_needs_its_update_bit(void **state)
{
    struct rig *rig = *state;
    set_reg(rig, SMMU_GBPA, GBPA_UPDATE | GBPA_ABORT);
    assert_int_equal(reg(rig, SMMU_GBPA), GBPA_ABORT); /* UPDATE reads 0: it is done */
    set_reg(rig, SMMU_GBPA, 0);
    assert_int_equal(reg(rig, SMMU_GBPA), GBPA_ABORT);
    set_reg(rig, SMMU_GBPA, GBPA_UPDATE | GBPA_RESET);
    assert_int_equal(reg(rig, SMMU_GBPA), GBPA_RESET);
}

static void a_64_bit_register_by_halves(void **state)
{
    struct rig *rig = *state;
    set_reg(rig, SMMU_STRTAB_BASE, 0x40002000);
    set_reg(rig, SMMU_STRTAB_BASE + 4, 0x3);
    assert_int_equal(bus_read(&rig->cursor, BASE + SMMU_STRTAB_BASE, 8), 0x340002000);
    bus_write(&rig->cursor, BASE + SMMU_STRTAB_BASE, 8, 0x140003000);
    assert_int_equal(reg(rig, SMMU_STRTAB_BASE), 0x40003000);
    assert_int_equal(reg(rig, SMMU_STRTAB_BASE + 4), 1);
}

/* 6.3: what is in use is read-only. */
static void bases_are_locked_while_in_use(void **state)
{
    static const uint32_t locked[] = {SMMU_STRTAB_BASE, SMMU_STRTAB_BASE_CFG, SMMU_CMDQ_BASE,
                                      SMMU_EVENTQ_BASE, SMMU_CR2};
    struct rig *rig = *state;
    for (unsigned i = 0; i < COUNT(locked); i++) {
        uint32_t before = reg(rig, locked[i]);
        set_reg(rig, locked[i], before ^ 0x42);
        assert_int_equal(reg(rig, locked[i]), before);
    }
    set_reg(rig, SMMU_CR0, 0);
    for (unsigned i = 0; i < COUNT(locked); i++) {
        uint32_t before = reg(rig, locked[i]);
        set_reg(rig, locked[i], before ^ 0x42);
        assert_int_not_equal(reg(rig, locked[i]), before);
    }
}

static void switched_off_it_bypasses_or_aborts(void **state)
{
    struct rig *rig = *state;
    assert_goes_to(rig, 0x1234567, DMA_TO_MEMORY, 0x1234567);
    assert_int_equal(access_at(rig, too_large, DMA_TO_MEMORY), -EFAULT);
    set_reg(rig, SMMU_GBPA, GBPA_UPDATE | GBPA_ABORT);
    assert_int_equal(access_at(rig, 0x1234567, DMA_TO_MEMORY), -EFAULT);
    set_reg(rig, SMMU_EVENTQ_BASE, EVENTQ | QUEUE_LOG2);
    set_reg(rig, SMMU_CR0, CR0_EVENTQEN);
    assert_silent(rig, SID);
}

static void switched_on_gbpa_means_nothing(void **state)
{
    struct rig *rig = *state;
    simple_tables(rig);
    set_reg(rig, SMMU_GBPA, GBPA_UPDATE | GBPA_ABORT);
    assert_goes_to(rig, va, DMA_TO_MEMORY, pa);
    set_reg(rig, SMMU_CR0, CR0_EVENTQEN | CR0_CMDQEN);
    assert_silent(rig, SID);
}

static void two_at_one_place_are_refused(void **state)
{
    struct rig *rig = *state;
    struct smmuv3 *other = NULL;
    struct error err = {0};
    const struct smmuv3_config config = {
        .bus = &rig->bus, .base = BASE, .irq = &rig->irq.chip, .gsi = GSI, .memory = &rig->ram};
    assert_int_equal(smmuv3_create(&other, &config, &err), -EEXIST);
    assert_non_null(strstr(err.text, "smmuv3"));
    assert_null(other);
    smmuv3_destroy(NULL);
}

/* ---- the command queue */

static void queue_command(struct rig *rig, uint32_t index, uint64_t word0)
{
    *word_at(rig, CMDQ + index * 16) = word0;
    *word_at(rig, CMDQ + index * 16 + 8) = 0;
}

static void a_full_command_queue_is_consumed(void **state)
{
    struct rig *rig = *state;
    const uint32_t entries = 1u << QUEUE_LOG2;
    for (uint32_t i = 0; i < entries; i++) {
        queue_command(rig, i, CMD_SYNC | CMD_CS(1));
    }
    set_reg(rig, SMMU_CR0, CR0_EVENTQEN);
    set_reg(rig, SMMU_CMDQ_PROD, entries); /* index 0 with the wrap bit: all of them */
    assert_int_equal(reg(rig, SMMU_CMDQ_CONS), 0);
    assert_int_equal(rig->irq.count[SMMUV3_IRQ_CMD_SYNC], 0);
    set_reg(rig, SMMU_CR0, CR0_EVENTQEN | CR0_CMDQEN);
    assert_int_equal(reg(rig, SMMU_CMDQ_CONS), entries);
    assert_int_equal(rig->irq.count[SMMUV3_IRQ_CMD_SYNC], entries);
}

static void the_command_queue_wraps(void **state)
{
    struct rig *rig = *state;
    for (uint32_t i = 1; i < 100; i++) {
        command(rig, CMD_SYNC | CMD_CS(1), 0);
        assert_int_equal(reg(rig, SMMU_CMDQ_CONS), i % (2u << QUEUE_LOG2));
        assert_int_equal(rig->irq.count[SMMUV3_IRQ_CMD_SYNC], i);
    }
}

static void a_command_queue_of_one_entry(void **state)
{
    struct rig *rig = *state;
    set_reg(rig, SMMU_CR0, 0);
    set_reg(rig, SMMU_CMDQ_BASE, CMDQ);
    set_reg(rig, SMMU_CR0, CR0_CMDQEN);
    for (uint32_t i = 1; i <= 5; i++) {
        queue_command(rig, 0, CMD_SYNC | CMD_CS(1));
        set_reg(rig, SMMU_CMDQ_PROD, i % 2);
        assert_int_equal(reg(rig, SMMU_CMDQ_CONS), i % 2);
    }
    assert_int_equal(rig->irq.count[SMMUV3_IRQ_CMD_SYNC], 5);
}

/* What came before an illegal command is done; the rest waits for GERRORN, and for nothing else. */
static void an_error_stops_the_queue(void **state)
{
    struct rig *rig = *state;
    queue_command(rig, 0, CMD_SYNC | CMD_CS(1));
    queue_command(rig, 1, 0xff);
    queue_command(rig, 2, CMD_SYNC | CMD_CS(1));
    set_reg(rig, SMMU_CMDQ_PROD, 3);
    assert_int_equal(reg(rig, SMMU_CMDQ_CONS), CERROR_ILL | 1);
    assert_int_equal(reg(rig, SMMU_GERROR), GERROR_CMDQ);
    assert_int_equal(rig->irq.count[SMMUV3_IRQ_CMD_SYNC], 1);
    assert_int_equal(rig->irq.count[SMMUV3_IRQ_GERROR], 1);
    set_reg(rig, SMMU_CMDQ_PROD, 3);
    assert_int_equal(reg(rig, SMMU_CMDQ_CONS) & QUEUE_INDEX, 1);
    queue_command(rig, 1, CMD_SYNC);
    set_reg(rig, SMMU_GERRORN, GERROR_CMDQ);
    assert_int_equal(reg(rig, SMMU_CMDQ_CONS) & QUEUE_INDEX, 3);
    assert_int_equal(rig->irq.count[SMMUV3_IRQ_CMD_SYNC], 2);
    assert_int_equal(rig->irq.count[SMMUV3_IRQ_GERROR], 1);
}

/* 7.1: commands from the wrong one on may be taken back while the error is active. */
static void commands_can_be_taken_back(void **state)
{
    struct rig *rig = *state;
    command(rig, 0xff, 0);
    assert_int_equal(reg(rig, SMMU_CMDQ_CONS), CERROR_ILL | 0);
    set_reg(rig, SMMU_CMDQ_PROD, 0);
    set_reg(rig, SMMU_GERRORN, GERROR_CMDQ);
    assert_int_equal(reg(rig, SMMU_GERROR), reg(rig, SMMU_GERRORN));
    rig->prod = 0;
    command(rig, CMD_SYNC, 0);
    assert_int_equal(reg(rig, SMMU_CMDQ_CONS) & QUEUE_INDEX, 1);
}

static void an_error_can_come_again(void **state)
{
    struct rig *rig = *state;
    for (unsigned i = 1; i <= 4; i++) { /* the bit toggles */
        command(rig, 0xff, 0);
        assert_int_equal(reg(rig, SMMU_GERROR), i % 2 ? GERROR_CMDQ : 0);
        assert_int_equal(rig->irq.count[SMMUV3_IRQ_GERROR], i);
        queue_command(rig, i - 1, CMD_SYNC);
        set_reg(rig, SMMU_GERRORN, reg(rig, SMMU_GERROR));
        assert_int_equal(reg(rig, SMMU_CMDQ_CONS) & QUEUE_INDEX, i);
    }
}

static void a_command_queue_outside_ram_aborts(void **state)
{
    struct rig *rig = *state;
    set_reg(rig, SMMU_CR0, 0);
    set_reg(rig, SMMU_CMDQ_BASE, (uint32_t)nowhere | QUEUE_LOG2);
    set_reg(rig, SMMU_CR0, CR0_CMDQEN);
    set_reg(rig, SMMU_CMDQ_PROD, 1);
    assert_int_equal(reg(rig, SMMU_CMDQ_CONS), CERROR_ABT);
    assert_int_equal(reg(rig, SMMU_GERROR), GERROR_CMDQ);
    set_reg(rig, SMMU_CR0, 0);
    set_reg(rig, SMMU_CMDQ_BASE, CMDQ | QUEUE_LOG2);
    queue_command(rig, 0, CMD_SYNC);
    set_reg(rig, SMMU_GERRORN, GERROR_CMDQ);
    set_reg(rig, SMMU_CR0, CR0_CMDQEN);
    assert_int_equal(reg(rig, SMMU_CMDQ_CONS) & QUEUE_INDEX, 1);
}

/* 3.4.3: truncated, not refused. */
static void a_queue_address_has_44_bits(void **state)
{
    struct rig *rig = *state;
    set_reg(rig, SMMU_CR0, 0);
    set_reg(rig, SMMU_CMDQ_BASE + 4, 1u << (47 - 32));
    set_reg(rig, SMMU_EVENTQ_BASE + 4, 1u << (46 - 32));
    set_reg(rig, SMMU_CR0, CR0_ON);
    command(rig, CMD_SYNC, 0);
    assert_int_equal(reg(rig, SMMU_CMDQ_CONS), 1);
    assert_bad_stream(rig, SID, C_BAD_STE, 0);
    assert_int_equal(reg(rig, SMMU_GERROR), 0);
}

/* ---- commands */

static void assert_legal(struct rig *rig, uint64_t word0, uint64_t word1)
{
    command(rig, word0, word1);
    assert_int_equal(reg(rig, SMMU_CMDQ_CONS) & QUEUE_INDEX, rig->prod);
    assert_int_equal(reg(rig, SMMU_GERROR), reg(rig, SMMU_GERRORN));
}

static void assert_illegal(struct rig *rig, uint64_t word0, uint64_t word1)
{
    uint32_t before = rig->prod;
    unsigned pulses = rig->irq.count[SMMUV3_IRQ_GERROR];
    command(rig, word0, word1);
    assert_int_equal(reg(rig, SMMU_CMDQ_CONS), CERROR_ILL | before);
    assert_int_equal(reg(rig, SMMU_GERROR) ^ reg(rig, SMMU_GERRORN), GERROR_CMDQ);
    assert_int_equal(rig->irq.count[SMMUV3_IRQ_GERROR], pulses + 1);
    queue_command(rig, before & ((1u << QUEUE_LOG2) - 1), CMD_SYNC);
    set_reg(rig, SMMU_GERRORN, reg(rig, SMMU_GERROR));
    assert_int_equal(reg(rig, SMMU_CMDQ_CONS) & QUEUE_INDEX, rig->prod);
}

static const uint8_t legal_opcodes[] = {CMD_PREFETCH_CONFIG, CMD_PREFETCH_ADDR, CMD_CFGI_STE,
                                        CMD_CFGI_STE_RANGE,  CMD_CFGI_CD,       CMD_CFGI_CD_ALL,
                                        CMD_TLBI_NH_ALL,     CMD_TLBI_NH_ASID,  CMD_TLBI_NH_VA,
                                        CMD_TLBI_NH_VAA,     CMD_TLBI_NSNH_ALL, CMD_SYNC};

static void commands_legal_and_illegal(void **state)
{
    struct rig *rig = *state;
    for (unsigned opcode = 0; opcode < 256; opcode++) {
        if (memchr(legal_opcodes, (int)opcode, sizeof(legal_opcodes))) {
            assert_legal(rig, opcode, 0);
        } else {
            assert_illegal(rig, opcode, 0);
        }
    }
}

/* 4.1.6: SSec is of the secure queue. */
static void secure_streams_are_not_ours(void **state)
{
    struct rig *rig = *state;
    for (unsigned opcode = CMD_PREFETCH_CONFIG; opcode <= CMD_CFGI_CD_ALL; opcode++) {
        assert_legal(rig, opcode | CMD_SID(SID), 0);
        assert_illegal(rig, opcode | CMD_SID(SID) | CMD_SSEC, 0);
    }
}

/* 4.4.1.1: a granule without a range and without a level has no purpose, and is reserved. */
static void ranges_legal_and_illegal(void **state)
{
    static const unsigned granules[] = {12, 14, 16};
    struct rig *rig = *state;
    for (unsigned opcode = CMD_TLBI_NH_VA; opcode <= CMD_TLBI_NH_VAA; opcode++) {
        for (unsigned i = 0; i < COUNT(granules); i++) {
            uint64_t tg = CMD_TG(granules[i]);
            assert_illegal(rig, opcode, tg);
            assert_legal(rig, opcode, tg | CMD_TTL(3));
            assert_legal(rig, opcode | CMD_NUM(1), tg);
            assert_legal(rig, opcode | CMD_SCALE(1), tg);
            assert_legal(rig, opcode | CMD_NUM(31) | CMD_SCALE(31), tg | CMD_LEAF);
        }
        assert_illegal(rig, opcode, CMD_TG(14) | CMD_TTL(1)); /* 16K: the same as no level */
        assert_legal(rig, opcode, CMD_TG(12) | CMD_TTL(1));
    }
}

static void sync_interrupts_if_it_says_so(void **state)
{
    struct rig *rig = *state;
    assert_legal(rig, CMD_SYNC, 0);
    assert_legal(rig, CMD_SYNC | CMD_CS(2), 0); /* an event, of which there are none */
    assert_int_equal(rig->irq.count[SMMUV3_IRQ_CMD_SYNC], 0);
    assert_legal(rig, CMD_SYNC | CMD_CS(1), 0);
    assert_int_equal(rig->irq.count[SMMUV3_IRQ_CMD_SYNC], 1);
    assert_illegal(rig, CMD_SYNC | CMD_CS(3), 0);
    assert_int_equal(rig->irq.count[SMMUV3_IRQ_CMD_SYNC], 1);
}

static void a_prefetch_records_nothing(void **state)
{
    struct rig *rig = *state;
    assert_legal(rig, CMD_PREFETCH_CONFIG | CMD_SID(SID), 0); /* its STE is not valid */
    assert_legal(rig, CMD_PREFETCH_ADDR | CMD_SID(SID), va);
    assert_no_event(rig);
}

/* ---- events: the stream table */

static void what_an_ste_can_say(void **state)
{
    struct rig *rig = *state;
    set_ste(rig, SID, ~STE_V, ~0ull);
    assert_bad_stream(rig, SID, C_BAD_STE, 0);
    for (uint64_t config = 0; config < 4; config++) { /* 1 to 3 are reserved, and the same as 0 */
        set_ste(rig, SID, STE_ABORT | config << 1, 0);
        forget_configuration(rig);
        assert_silent(rig, SID);
    }
    for (uint64_t config = 6; config < 8; config++) { /* stage 2 */
        set_ste(rig, SID, STE_V | config << 1 | CD, 0);
        forget_configuration(rig);
        assert_bad_stream(rig, SID, C_BAD_STE, 0);
    }
}

static void an_ste_can_bypass(void **state)
{
    struct rig *rig = *state;
    set_ste(rig, SID, STE_BYPASS | (~0ull << 6), STE1_S1STALLD); /* fields of stage 1: ignored */
    assert_goes_to(rig, 0xabcdef, DMA_FROM_MEMORY, 0xabcdef);
    assert_fault(rig, too_large | 0x123, DMA_TO_MEMORY, F_ADDR_SIZE);
    set_ste(rig, SID, STE_BYPASS, STE1_PRIVCFG_P);
    forget_configuration(rig);
    assert_fault_detail(rig, ~0ull, DMA_FROM_MEMORY, F_ADDR_SIZE, EVENT_CLASS_IN | EVENT_PNU);
}

static void what_is_illegal_in_an_ste(void **state)
{
    struct rig *rig = *state;
    simple_tables(rig);
    set_ste(rig, SID, STE_S1(CD), STE1_S1STALLD); /* 5.5, as IDR0.STALL_MODEL is not 0 */
    forget_configuration(rig);
    assert_bad_stream(rig, SID, C_BAD_STE, 0);
    set_ste(rig, SID, STE_S1(CD | too_large), 0); /* 3.4.3 */
    forget_configuration(rig);
    assert_bad_stream(rig, SID, C_BAD_STE, 0);
}

/* Of what is not offered: substreams (S1Fmt, S1CDMax, S1DSS), and of EL2 (STRW). */
static void what_is_ignored_in_an_ste(void **state)
{
    struct rig *rig = *state;
    simple_tables(rig);
    set_ste(rig, SID, STE_S1(CD) | 3ull << 4 | 31ull << 59, 3ull << 30 | 3);
    forget_configuration(rig);
    assert_goes_to(rig, va, DMA_TO_MEMORY, pa);
}

static void a_stream_table_has_an_end(void **state)
{
    struct rig *rig = *state;
    set_ste(rig, 0xff, STE_BYPASS, 0);
    assert_int_equal(access_sid(rig, 0xff, va, DMA_TO_MEMORY), 0);
    assert_silent(rig, 0x100);
    set_while_off(rig, SMMU_CR2, CR2_RECINVSID);
    assert_bad_stream(rig, 0x100, C_BAD_STREAMID, 0);
    assert_bad_stream(rig, 0xffff, C_BAD_STREAMID, 0);
    set_while_off(rig, SMMU_STRTAB_BASE_CFG, 5);
    forget_configuration(rig);
    assert_bad_stream(rig, 0x20, C_BAD_STREAMID, 0);
    assert_int_equal(access_sid(rig, 0x1f, va, DMA_TO_MEMORY), -EFAULT);
    assert_event(rig, 0x1full << 32 | C_BAD_STE, 0, 0, 0);
}

static void an_ste_that_cannot_be_read(void **state)
{
    struct rig *rig = *state;
    set_while_off(rig, SMMU_STRTAB_BASE, (uint32_t)nowhere);
    assert_bad_stream(rig, SID, F_STE_FETCH, nowhere + SID * 64);
    set_while_off(rig, SMMU_STRTAB_BASE, (uint32_t)nowhere + 0x3fc0); /* aligned to its size */
    assert_bad_stream(rig, 1, F_STE_FETCH, nowhere + 64);
}

enum { LEVEL1 = RAM + 0x20000, LEVEL2 = RAM + 0x40000 };

static void start_two_levels(struct rig *rig, unsigned split)
{
    set_reg(rig, SMMU_CR0, CR0_EVENTQEN | CR0_CMDQEN);
    set_reg(rig, SMMU_STRTAB_BASE, LEVEL1);
    set_reg(rig, SMMU_STRTAB_BASE_CFG, STRTAB_2LVL | STRTAB_SPLIT(split) | 16);
    set_reg(rig, SMMU_CR2, CR2_RECINVSID);
    set_reg(rig, SMMU_CR0, CR0_ON);
    memset(guest_memory_range(&rig->ram, gpa(LEVEL1), 0x30000), 0, 0x30000);
    forget_configuration(rig);
}

static void stream_tables_in_two_levels(void **state)
{
    static const uint8_t splits[] = {6, 8, 10};
    struct rig *rig = *state;
    for (unsigned i = 0; i < COUNT(splits); i++) {
        unsigned split = splits[i];
        uint16_t sid = (uint16_t)(3u << split | 5);
        start_two_levels(rig, split);
        assert_bad_stream(rig, sid, C_BAD_STREAMID, 0); /* Span 0 */
        *word_at(rig, LEVEL1 + 3 * 8) = LEVEL2 | (split + 1);
        *word_at(rig, LEVEL2 + 5 * 64) = STE_BYPASS;
        assert_int_equal(access_sid(rig, sid, va, DMA_TO_MEMORY), 0);
        assert_bad_stream(rig, sid + 1, C_BAD_STE, 0);
        assert_bad_stream(rig, (uint16_t)(sid + (1 << split)), C_BAD_STREAMID, 0);
    }
}

/* 7.3.3: b) and c) the span is reserved, or more than the split has room for; d) it is beyond. */
static void spans_of_the_second_level(void **state)
{
    struct rig *rig = *state;
    start_two_levels(rig, 8);
    *word_at(rig, LEVEL2 + 5 * 64) = STE_BYPASS;
    for (unsigned span = 0; span < 32; span++) {
        *word_at(rig, LEVEL1) = LEVEL2 | span;
        forget_configuration(rig);
        if (span >= 4 && span <= 9) { /* 8 to 256 STEs */
            assert_int_equal(access_sid(rig, 5, va, DMA_TO_MEMORY), 0);
        } else {
            assert_bad_stream(rig, 5, C_BAD_STREAMID, 0);
        }
    }
}

static void levels_that_cannot_be_read(void **state)
{
    struct rig *rig = *state;
    start_two_levels(rig, 8);
    *word_at(rig, LEVEL1 + 3 * 8) = nowhere | 9;
    assert_bad_stream(rig, 0x342, F_STE_FETCH, nowhere + 0x42 * 64);
    set_while_off(rig, SMMU_STRTAB_BASE, (uint32_t)nowhere);
    assert_bad_stream(rig, 0x342, F_STE_FETCH, nowhere + 3 * 8);
}

/* ---- events: the context descriptor */

static void a_cd_that_cannot_be_read(void **state)
{
    struct rig *rig = *state;
    simple_tables(rig);
    set_ste(rig, SID, STE_S1(nowhere + 0x40), 0);
    forget_configuration(rig);
    assert_bad_stream(rig, SID, F_CD_FETCH, nowhere + 0x40);
}

static void what_is_illegal_in_a_cd(void **state)
{
    struct rig *rig = *state;
    struct tables tables = simple_tables(rig);
    const uint64_t good = cd_word(&tables, ASID);
    const uint64_t no_size = good & ~CD_TSZ(0, 63), no_upper = good & ~CD_EPD(1);
    const uint64_t bad[] = {
        good & ~CD_V,
        good & ~CD_AA64,
        good & ~CD_A, /* IDR0.TERM_MODEL */
        good | CD_ENDI,
        good | CD_S,
        good | CD_HA,
        good | CD_HD,
        good | CD_TG(0, 3),
        no_size | CD_TSZ(0, 15),
        no_size | CD_TSZ(0, 40),
        no_size,
        no_upper | CD_TSZ(1, 25),               /* TG1 0 is reserved */
        no_upper | CD_TSZ(1, 40) | CD_TG(1, 2), /* wrong even if the other table is meant */
    };
    for (unsigned i = 0; i < COUNT(bad); i++) {
        set_cd(rig, CD, bad[i], tables.root);
        forget_configuration(rig);
        assert_bad_stream(rig, SID, C_BAD_CD, 0);
    }
    set_cd(rig, CD, good, tables.root);
    command(rig, CMD_CFGI_CD | CMD_SID(SID), CMD_LEAF); /* what is bad need not be cached */
    assert_goes_to(rig, va, DMA_TO_MEMORY, pa);
}

/* The table's base must be in the output size: that of the CD, or of the SMMU if it is smaller. */
static void a_table_beyond_the_output_size(void **state)
{
    static const uint8_t sizes[] = {32, 36, 40, 42, 44, 44, 44, 44};
    struct rig *rig = *state;
    struct tables tables = simple_tables(rig);
    for (unsigned ips = 0; ips < COUNT(sizes); ips++) {
        uint64_t word = (cd_word(&tables, ASID) & ~CD_IPS(7)) | CD_IPS(ips);
        set_cd(rig, CD, word, 1ull << sizes[ips]);
        forget_configuration(rig);
        assert_bad_stream(rig, SID, C_BAD_CD, 0);
        uint64_t base = 1ull << (sizes[ips] - 1);
        set_cd(rig, CD, word, base);
        forget_configuration(rig);
        assert_int_equal(access_at(rig, va, DMA_TO_MEMORY), -EFAULT);
        assert_event(rig, (uint64_t)SID << 32 | F_WALK_EABT, EVENT_CLASS_TTD, va,
                     descriptor_at(&tables, base, 1, va));
    }
}

static void what_is_ignored_in_a_cd(void **state)
{
    struct rig *rig = *state;
    struct tables tables = simple_tables(rig);
    const uint64_t upper = CD_EPD(1) | CD_TSZ(1, 63) | CD_TG(1, 0);
    set_cd(rig, CD, cd_word(&tables, ASID) | upper, tables.root);
    *word_at(rig, CD + 16) = ~0ull;
    forget_configuration(rig);
    assert_goes_to(rig, va, DMA_TO_MEMORY, pa);
    set_cd(rig, CD, cd_word(&tables, ASID) | CD_EPD(0) | CD_ENDI, tables.root); /* no tables */
    command(rig, CMD_TLBI_NH_ALL, 0);
    forget_configuration(rig);
    assert_fault(rig, va, DMA_TO_MEMORY, F_TRANSLATION);
}

static void faults_are_recorded_only_if_asked(void **state)
{
    struct rig *rig = *state;
    struct tables tables = simple_tables(rig);
    set_cd(rig, CD, cd_word(&tables, ASID) & ~CD_R, tables.root);
    map(rig, &tables, va + 0x2000, pa, 3, full & ~TTD_AF);
    map(rig, &tables, va + 0x3000, too_large, 3, full);
    map(rig, &tables, va + 0x4000, pa, 3, full | TTD_READ_ONLY);
    forget_configuration(rig);
    for (unsigned page = 1; page <= 4; page++) {
        assert_int_equal(access_at(rig, va + page * 0x1000, DMA_TO_MEMORY), -EFAULT);
        assert_no_event(rig);
    }
    *word_at(rig, descriptor_at(&tables, tables.root, 1, va)) = nowhere | 3;
    assert_int_equal(access_at(rig, va + 0x1000, DMA_TO_MEMORY), -EFAULT);
    uint64_t fetch = descriptor_at(&tables, nowhere, 2, va); /* 5.5: R is of four faults only */
    assert_event(rig, (uint64_t)SID << 32 | F_WALK_EABT, EVENT_CLASS_TTD, va + 0x1000, fetch);
}

/* ---- events: walks */

static void tables_that_cannot_be_read(void **state)
{
    struct rig *rig = *state;
    struct tables tables = simple_tables(rig);
    uint64_t *first = word_at(rig, descriptor_at(&tables, tables.root, 1, va));
    uint64_t *second = word_at(rig, descriptor_at(&tables, *first & TTD_ADDRESS, 2, va));
    *second = nowhere | 3;
    assert_int_equal(access_at(rig, va + 0x123, DMA_FROM_MEMORY), -EFAULT);
    assert_event(rig, (uint64_t)SID << 32 | F_WALK_EABT, EVENT_CLASS_TTD | EVENT_RNW, va + 0x123,
                 descriptor_at(&tables, nowhere, 3, va));
    *first = (nowhere + 0x1000) | 3;
    set_ste(rig, SID, STE_S1(CD), STE1_PRIVCFG_P);
    forget_configuration(rig);
    assert_int_equal(access_at(rig, va, DMA_TO_MEMORY), -EFAULT);
    assert_event(rig, (uint64_t)SID << 32 | F_WALK_EABT, EVENT_CLASS_TTD | EVENT_PNU, va,
                 descriptor_at(&tables, nowhere + 0x1000, 2, va));
}

static void translation_faults(void **state)
{
    struct rig *rig = *state;
    struct tables tables = simple_tables(rig);
    assert_fault(rig, va + 0x1abc, DMA_FROM_MEMORY, F_TRANSLATION); /* level 3 */
    assert_fault(rig, va + (1 << 21), DMA_TO_MEMORY, F_TRANSLATION);
    assert_fault(rig, va + (1 << 30), DMA_TO_MEMORY, F_TRANSLATION);
    assert_fault(rig, 1ull << 39 | va, DMA_FROM_MEMORY, F_TRANSLATION);    /* beyond T0SZ */
    assert_fault(rig, 0xffull << 56 | va, DMA_FROM_MEMORY, F_TRANSLATION); /* no TBI */
    assert_fault(rig, ~0ull << 39 | va, DMA_FROM_MEMORY, F_TRANSLATION);   /* EPD1 */
    uint64_t *page = word_at(rig, map(rig, &tables, va + 0x2000, pa, 3, full));
    *page &= ~TTD_TABLE; /* 01 on the last level */
    assert_fault(rig, va + 0x2000, DMA_TO_MEMORY, F_TRANSLATION);
}

/* 4K: 1 GiB and 2 MiB; 16K: 32 MiB; 64K: 512 MiB. No others. */
static void blocks_where_there_are_none(void **state)
{
    static const uint8_t granule[] = {12, 14, 14, 16};
    static const uint8_t bits[] = {48, 48, 47, 48};
    static const uint8_t level[] = {0, 0, 1, 1};
    struct rig *rig = *state;
    for (unsigned i = 0; i < COUNT(granule); i++) {
        struct tables tables = new_tables(rig, granule[i], bits[i]);
        map(rig, &tables, va, 0, level[i], full);
        use(rig, &tables);
        assert_fault(rig, va, DMA_TO_MEMORY, F_TRANSLATION);
    }
}

static void access_flag_faults(void **state)
{
    struct rig *rig = *state;
    struct tables tables = simple_tables(rig);
    map(rig, &tables, va + 0x2000, pa, 3, full & ~TTD_AF);
    assert_fault(rig, va + 0x2fff, DMA_TO_MEMORY, F_ACCESS);
    set_cd(rig, CD, cd_word(&tables, ASID) | CD_AFFD, tables.root);
    forget_configuration(rig);
    assert_goes_to(rig, va + 0x2fff, DMA_TO_MEMORY, pa + 0xfff);
}

static void address_size_faults(void **state)
{
    static const uint8_t sizes[] = {32, 36, 40, 42, 44, 44, 44, 44};
    struct rig *rig = *state;
    struct tables tables = simple_tables(rig);
    uint64_t *page = word_at(rig, map(rig, &tables, va, pa, 3, full));
    for (unsigned ips = 0; ips < COUNT(sizes); ips++) {
        uint64_t word = (cd_word(&tables, ASID) & ~CD_IPS(7)) | CD_IPS(ips);
        set_cd(rig, CD, word, tables.root);
        command(rig, CMD_TLBI_NH_ALL, 0);
        forget_configuration(rig);
        *page = 1ull << sizes[ips] | full | 3;
        assert_fault(rig, va, DMA_FROM_MEMORY, F_ADDR_SIZE);
        *page = 1ull << (sizes[ips] - 1) | full | 3;
        assert_goes_to(rig, va, DMA_FROM_MEMORY, 1ull << (sizes[ips] - 1));
    }
    command(rig, CMD_TLBI_NH_ALL, 0);
    *word_at(rig, descriptor_at(&tables, tables.root, 1, va)) = too_large | 3; /* of a table */
    assert_fault(rig, va, DMA_FROM_MEMORY, F_ADDR_SIZE);
}

/* One page has several faults at once. */
static void faults_have_an_order(void **state)
{
    struct rig *rig = *state;
    struct tables tables = simple_tables(rig);
    uint64_t *page = word_at(rig, map(rig, &tables, va, too_large, 3, TTD_READ_ONLY));
    assert_fault(rig, va, DMA_TO_MEMORY, F_ADDR_SIZE);
    *page &= ~too_large;
    assert_fault(rig, va, DMA_TO_MEMORY, F_ACCESS);
    *page |= TTD_AF;
    assert_fault(rig, va, DMA_TO_MEMORY, F_PERMISSION);
}

/* ---- permissions */

struct permission_case {
    bool read_only; /* AP[2] */
    bool user;      /* AP[1] */
    bool table_ro;  /* APTable[1] */
    bool no_user;   /* APTable[0] */
    bool had;
    bool privileged;
    bool write;
};

static struct permission_case permission_case(unsigned bits)
{
    return (struct permission_case){.read_only = bits & 1,
                                    .user = bits & 2,
                                    .table_ro = bits & 4,
                                    .no_user = bits & 8,
                                    .had = bits & 16,
                                    .privileged = bits & 32,
                                    .write = bits & 64};
}

static bool is_allowed(const struct permission_case *c)
{
    bool read_only = c->read_only || (c->table_ro && !c->had);
    bool user = c->user && !(c->no_user && !c->had);
    return (c->privileged || user) && !(c->write && read_only);
}

static void apply_case(struct rig *rig, const struct tables *tables,
                       const struct permission_case *c)
{
    uint64_t leaf = TTD_AF | TTD_NG | (c->read_only ? TTD_READ_ONLY : 0) | (c->user ? TTD_USER : 0);
    map(rig, tables, va, pa, 3, leaf);
    uint64_t *first = word_at(rig, descriptor_at(tables, tables->root, 1, va));
    *first &= ~(TTD_TABLE_RO | TTD_TABLE_NO_USER);
    *first |= (c->table_ro ? TTD_TABLE_RO : 0) | (c->no_user ? TTD_TABLE_NO_USER : 0);
    set_cd(rig, CD, cd_word(tables, ASID), tables->root | (c->had ? CD_HAD : 0));
    set_ste(rig, SID, STE_S1(CD), c->privileged ? STE1_PRIVCFG_P : 0);
    command(rig, CMD_TLBI_NH_ALL, 0);
    forget_configuration(rig);
}

static void every_combination_of_permissions(void **state)
{
    struct rig *rig = *state;
    struct tables tables = simple_tables(rig);
    for (unsigned bits = 0; bits < 128; bits++) {
        struct permission_case c = permission_case(bits);
        enum dma_direction direction = c.write ? DMA_TO_MEMORY : DMA_FROM_MEMORY;
        apply_case(rig, &tables, &c);
        for (unsigned again = 0; again < 2; again++) { /* the second time out of the IOTLB */
            if (is_allowed(&c)) {
                assert_goes_to(rig, va, direction, pa);
            } else {
                assert_fault_detail(rig, va, direction, F_PERMISSION,
                                    EVENT_CLASS_IN | (c.privileged ? EVENT_PNU : 0));
            }
        }
    }
}

static void privileged_access_never(void **state)
{
    struct rig *rig = *state;
    struct tables tables = simple_tables(rig);
    map(rig, &tables, va + 0x1000, pa, 3, full & ~TTD_USER);
    set_cd(rig, CD, cd_word(&tables, ASID) | CD_PAN, tables.root);
    set_ste(rig, SID, STE_S1(CD), STE1_PRIVCFG_P);
    forget_configuration(rig);
    assert_fault_detail(rig, va, DMA_FROM_MEMORY, F_PERMISSION, EVENT_CLASS_IN | EVENT_PNU);
    assert_goes_to(rig, va + 0x1000, DMA_TO_MEMORY, pa);
    set_ste(rig, SID, STE_S1(CD), 0);
    forget_configuration(rig);
    assert_goes_to(rig, va, DMA_FROM_MEMORY, pa);
}

/* INSTCFG makes reads instruction fetches; writes are of data whatever it says. */
static void instruction_fetches(void **state)
{
    struct rig *rig = *state;
    struct tables tables = simple_tables(rig);
    map(rig, &tables, va, pa, 3, full | TTD_UXN);
    map(rig, &tables, va + 0x1000, pa, 3, full | TTD_READ_ONLY);
    set_ste(rig, SID, STE_S1(CD), STE1_INSTCFG_I);
    forget_configuration(rig);
    assert_fault_detail(rig, va, DMA_FROM_MEMORY, F_PERMISSION, EVENT_CLASS_IN | EVENT_IND);
    assert_goes_to(rig, va, DMA_TO_MEMORY, pa);
    assert_goes_to(rig, va + 0x1000, DMA_FROM_MEMORY, pa);
    assert_fault(rig, va + 0x1000, DMA_TO_MEMORY, F_PERMISSION);
    map(rig, &tables, va + 0x2000, pa, 3, full);
    assert_goes_to(rig, va + 0x2000, DMA_FROM_MEMORY, pa);
    set_cd(rig, CD, cd_word(&tables, ASID) | CD_WXN, tables.root);
    command(rig, CMD_TLBI_NH_ALL, 0);
    forget_configuration(rig);
    assert_fault_detail(rig, va + 0x2000, DMA_FROM_MEMORY, F_PERMISSION,
                        EVENT_CLASS_IN | EVENT_IND);
}

/* ---- the event queue */

static void fault_once(struct rig *rig)
{
    assert_int_equal(access_at(rig, va + 0x1000, DMA_FROM_MEMORY), -EFAULT);
}

static void a_full_event_queue_overflows_once(void **state)
{
    struct rig *rig = *state;
    simple_tables(rig);
    const unsigned entries = 1u << QUEUE_LOG2;
    for (unsigned i = 0; i < entries; i++) {
        fault_once(rig);
        assert_int_equal(reg(rig, SMMU_EVENTQ_PROD), i + 1);
    }
    fault_once(rig);
    fault_once(rig);
    assert_int_equal(reg(rig, SMMU_EVENTQ_PROD), QUEUE_OVERFLOW | entries);
    set_reg(rig, SMMU_EVENTQ_CONS, 1); /* room, but not acknowledged: 7.4 */
    fault_once(rig);
    assert_int_equal(reg(rig, SMMU_EVENTQ_PROD), QUEUE_OVERFLOW | (entries + 1));
    fault_once(rig); /* lost: no second flag for it */
    assert_int_equal(reg(rig, SMMU_EVENTQ_PROD), QUEUE_OVERFLOW | (entries + 1));
    set_reg(rig, SMMU_EVENTQ_CONS, QUEUE_OVERFLOW | 1);
    fault_once(rig); /* still full: it overflows once more, and the flag toggles */
    assert_int_equal(reg(rig, SMMU_EVENTQ_PROD), entries + 1);
}

static void the_event_queue_wraps(void **state)
{
    struct rig *rig = *state;
    simple_tables(rig);
    for (unsigned i = 0; i < 100; i++) {
        uint64_t address = va + 0x1000 + i;
        assert_fault(rig, address, DMA_FROM_MEMORY, F_TRANSLATION);
        assert_int_equal(reg(rig, SMMU_EVENTQ_PROD), (i + 1) % (2u << QUEUE_LOG2));
    }
}

static void only_the_first_event_interrupts(void **state)
{
    struct rig *rig = *state;
    simple_tables(rig);
    fault_once(rig);
    fault_once(rig); /* the queue was not empty */
    assert_int_equal(rig->irq.count[SMMUV3_IRQ_EVENTQ], 1);
    set_reg(rig, SMMU_EVENTQ_CONS, 2);
    fault_once(rig);
    assert_int_equal(rig->irq.count[SMMUV3_IRQ_EVENTQ], 2);
    set_reg(rig, SMMU_EVENTQ_CONS, 3);
    set_reg(rig, SMMU_IRQ_CTRL, IRQ_GERROR);
    fault_once(rig);
    assert_int_equal(rig->irq.count[SMMUV3_IRQ_EVENTQ], 2);
    assert_int_equal(rig->irq.count[SMMUV3_IRQ_GERROR], 0);
}

static void an_event_queue_that_is_off(void **state)
{
    struct rig *rig = *state;
    simple_tables(rig);
    set_reg(rig, SMMU_CR0, CR0_SMMUEN | CR0_CMDQEN);
    for (unsigned i = 0; i < 20; i++) {
        fault_once(rig);
    }
    assert_int_equal(reg(rig, SMMU_EVENTQ_PROD), 0); /* no overflow either */
    assert_int_equal(rig->irq.count[SMMUV3_IRQ_EVENTQ], 0);
}

static void an_event_queue_outside_ram_aborts(void **state)
{
    struct rig *rig = *state;
    simple_tables(rig);
    set_reg(rig, SMMU_CR0, CR0_SMMUEN | CR0_CMDQEN);
    set_reg(rig, SMMU_EVENTQ_BASE, (uint32_t)nowhere | QUEUE_LOG2);
    set_reg(rig, SMMU_CR0, CR0_ON);
    fault_once(rig);
    fault_once(rig);
    assert_int_equal(reg(rig, SMMU_GERROR), GERROR_EVENTQ);
    assert_int_equal(rig->irq.count[SMMUV3_IRQ_GERROR], 1);
    assert_int_equal(rig->irq.count[SMMUV3_IRQ_EVENTQ], 0);
    set_reg(rig, SMMU_CR0, CR0_SMMUEN | CR0_CMDQEN);
    set_reg(rig, SMMU_EVENTQ_BASE, EVENTQ | QUEUE_LOG2);
    set_reg(rig, SMMU_CR0, CR0_ON);
    fault_once(rig); /* not acknowledged */
    assert_int_equal(reg(rig, SMMU_EVENTQ_PROD), 0);
    set_reg(rig, SMMU_GERRORN, GERROR_EVENTQ);
    fault_once(rig);
    assert_int_equal(reg(rig, SMMU_EVENTQ_PROD), 1);
}

static void errors_interrupt_only_if_asked(void **state)
{
    struct rig *rig = *state;
    set_reg(rig, SMMU_IRQ_CTRL, IRQ_EVENTQ);
    command(rig, 0xff, 0);
    assert_int_equal(reg(rig, SMMU_GERROR), GERROR_CMDQ);
    assert_int_equal(rig->irq.count[SMMUV3_IRQ_GERROR], 0);
}

/* ---- translation tables */

struct geometry {
    uint8_t granule;
    uint8_t bits;
    uint8_t level; /* of the leaf */
};

static const struct geometry geometries[] = {
    {12, 25, 3}, {12, 30, 3}, {12, 31, 3}, {12, 39, 1}, {12, 39, 2}, {12, 39, 3},
    {12, 48, 1}, {12, 48, 2}, {12, 48, 3}, {14, 25, 3}, {14, 36, 2}, {14, 36, 3},
    {14, 47, 2}, {14, 47, 3}, {14, 48, 2}, {14, 48, 3}, {16, 25, 3}, {16, 29, 3},
    {16, 42, 2}, {16, 42, 3}, {16, 48, 2}, {16, 48, 3},
};

/* The first byte, one amid and the last one go to the same page or block; the next one nowhere. */
static void assert_leaf(struct rig *rig, uint64_t first, uint64_t size)
{
    const uint64_t output = 5ull << 30 & ~(size - 1);
    const uint64_t offsets[] = {0, size / 2 + 0x123, size - 1};
    for (unsigned i = 0; i < COUNT(offsets); i++) {
        assert_goes_to(rig, first + offsets[i], DMA_TO_MEMORY, output + offsets[i]);
        assert_int_equal(translation.length, size - offsets[i]);
    }
    assert_fault(rig, first - 1, DMA_TO_MEMORY, F_TRANSLATION);
}

static void every_granule_and_level(void **state)
{
    struct rig *rig = *state;
    for (unsigned i = 0; i < COUNT(geometries); i++) {
        const struct geometry *g = &geometries[i];
        struct tables tables = new_tables(rig, g->granule, g->bits);
        uint64_t size = 1ull << level_shift(&tables, g->level);
        uint64_t last = (1ull << g->bits) - size; /* of the region: every index is the highest */
        map(rig, &tables, last, 5ull << 30 & ~(size - 1), g->level, full);
        use(rig, &tables);
        assert_leaf(rig, last, size);
        set_cd(rig, CD, cd_word_upper(&tables, ASID), 0); /* the same as the upper half */
        *word_at(rig, CD + 16) = tables.root;
        command(rig, CMD_TLBI_NH_ALL, 0);
        forget_configuration(rig);
        assert_leaf(rig, ~0ull << g->bits | last, size);
    }
}

/* A first table is aligned to its own size only, and lower bits of TTB are ignored. */
static void a_small_first_table(void **state)
{
    struct rig *rig = *state;
    struct tables tables = new_tables(rig, 12, 32); /* four entries */
    tables.root += 0x7e0;
    map(rig, &tables, va, pa, 3, full);
    use(rig, &tables);
    assert_goes_to(rig, va, DMA_TO_MEMORY, pa);
    set_cd(rig, CD, cd_word(&tables, ASID), tables.root + 0x10);
    command(rig, CMD_TLBI_NH_ALL, 0);
    forget_configuration(rig);
    assert_goes_to(rig, va, DMA_TO_MEMORY, pa);
}

/* Both halves, with different granules and sizes. */
static void two_tables_at_once(void **state)
{
    struct rig *rig = *state;
    struct tables lower = new_tables(rig, 16, 42), upper = new_tables(rig, 14, 36);
    map(rig, &lower, 0x30000, pa, 3, full);
    map(rig, &upper, 0x8000, pa + 0x100000, 3, full);
    uint64_t halves =
        (cd_word(&lower, ASID) & ~CD_EPD(1)) | (cd_word_upper(&upper, ASID) & ~CD_EPD(0));
    use(rig, &lower);
    set_cd(rig, CD, halves, lower.root);
    *word_at(rig, CD + 16) = upper.root;
    forget_configuration(rig);
    const uint64_t high = ~0ull << 36;
    assert_goes_to(rig, 0x3abcd, DMA_TO_MEMORY, pa + 0xabcd);
    assert_goes_to(rig, high | 0x8abc, DMA_TO_MEMORY, pa + 0x100abc);
    assert_fault(rig, 0x8abc, DMA_TO_MEMORY, F_TRANSLATION);
    assert_fault(rig, high | 0x3abcd, DMA_TO_MEMORY, F_TRANSLATION);
    assert_fault(rig, (high ^ 1ull << 36) | 0x8000, DMA_TO_MEMORY, F_TRANSLATION);
    assert_fault(rig, 1ull << 55 | 0x30000, DMA_TO_MEMORY, F_TRANSLATION);
}

/* Each half has its own EPD. */
static void one_table_at_a_time(void **state)
{
    struct rig *rig = *state;
    struct tables tables = simple_tables(rig);
    const uint64_t high = ~0ull << 39 | va;
    assert_goes_to(rig, va, DMA_TO_MEMORY, pa);
    assert_fault(rig, high, DMA_TO_MEMORY, F_TRANSLATION);
    assert_fault(rig, ~0ull, DMA_TO_MEMORY, F_TRANSLATION);
    set_cd(rig, CD, cd_word_upper(&tables, ASID), 0);
    *word_at(rig, CD + 16) = tables.root;
    command(rig, CMD_TLBI_NH_ALL, 0);
    forget_configuration(rig);
    assert_goes_to(rig, high, DMA_TO_MEMORY, pa);
    assert_fault(rig, va, DMA_TO_MEMORY, F_TRANSLATION);
    assert_fault(rig, 0, DMA_TO_MEMORY, F_TRANSLATION);
}

/* Each half has its own TBI; the event has the address as it came. */
static void the_top_byte_can_be_ignored(void **state)
{
    struct rig *rig = *state;
    struct tables tables = simple_tables(rig);
    const uint64_t tag = 0xa5ull << 56, both = cd_word(&tables, ASID) & ~CD_EPD(1);
    for (unsigned half = 0; half < 2; half++) {
        set_cd(rig, CD, both | CD_TSZ(1, 25) | tg1(12) | CD_TBI(half), tables.root);
        *word_at(rig, CD + 16) = tables.root;
        command(rig, CMD_TLBI_NH_ALL, 0);
        forget_configuration(rig);
        const uint64_t high = (~0ull << 39 & ~(0xffull << 56)) | va;
        const uint64_t with = half ? high : va, without = half ? va : high;
        assert_goes_to(rig, tag | with, DMA_TO_MEMORY, pa);
        assert_goes_to(rig, with, DMA_TO_MEMORY, pa);
        assert_fault(rig, tag | without, DMA_TO_MEMORY, F_TRANSLATION);
        assert_fault(rig, tag | with | 1ull << 30, DMA_TO_MEMORY, F_TRANSLATION);
        assert_fault(rig, with ^ 1ull << 50, DMA_TO_MEMORY, F_TRANSLATION);
    }
}

/* ---- invalidation: what is cached stays in effect until it is named, and nothing else goes */

/*
 * Two streams with an address space each. Both have the pages 0 to 3, of which 3 is global (and so
 * the same in both), and, as "pages" 4 and 5, blocks of 2 MiB and 1 GiB.
 */
enum { PLACES = 6, GLOBAL = 3, SMALL = 4, LARGE = 5, OTHER_SID = SID + 1, OTHER_ASID = ASID + 1 };
enum { OTHER_CD = CD + 0x40, ALL = 0x3f, ALL_OTHER = ALL << PLACES, EVERYTHING = ALL | ALL_OTHER };

static const uint64_t places[PLACES] = {va,          va + 0x1000, va + 0x2000,
                                        va + 0x3000, 3ull << 21,  5ull << 30};

static void cache_space(struct rig *rig, uint16_t sid, const struct tables *tables)
{
    uint64_t descriptor[PLACES];
    for (unsigned i = 0; i < PLACES; i++) {
        unsigned level = i == LARGE ? 1 : i == SMALL ? 2 : 3;
        uint64_t attributes = i == GLOBAL ? full & ~TTD_NG : full;
        descriptor[i] = map(rig, tables, places[i], 1ull << 30, level, attributes);
        assert_int_equal(access_sid(rig, sid, places[i], DMA_TO_MEMORY), 0);
    }
    for (unsigned i = 0; i < PLACES; i++) {
        *word_at(rig, descriptor[i]) = 0;
    }
}

static void cache_spaces(struct rig *rig)
{
    rig->next_table = TABLES;
    struct tables tables = new_tables(rig, 12, 39), other = new_tables(rig, 12, 39);
    set_cd(rig, OTHER_CD, cd_word(&other, OTHER_ASID), other.root);
    set_ste(rig, OTHER_SID, STE_S1(OTHER_CD), 0);
    use(rig, &tables);
    cache_space(rig, SID, &tables);
    cache_space(rig, OTHER_SID, &other);
}

/* A bit for each place that is still translated: the other stream's are the higher ones. */
static unsigned still_there(struct rig *rig)
{
    unsigned left = 0;
    for (unsigned i = 0; i < 2 * PLACES; i++) {
        uint16_t sid = i < PLACES ? SID : OTHER_SID;
        left |= (unsigned)(access_sid(rig, sid, places[i % PLACES], DMA_TO_MEMORY) == 0) << i;
    }
    set_reg(rig, SMMU_EVENTQ_CONS, reg(rig, SMMU_EVENTQ_PROD));
    return left;
}

/* The places that a command has made the SMMU forget. */
static unsigned gone_after(struct rig *rig, uint64_t word0, uint64_t word1)
{
    cache_spaces(rig);
    assert_int_equal(still_there(rig), EVERYTHING);
    command(rig, word0, word1);
    sync_commands(rig);
    return EVERYTHING & ~still_there(rig);
}

static const unsigned global = 1u << GLOBAL | 1u << (GLOBAL + PLACES); /* one entry for both */

static void everything_is_forgotten(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(gone_after(rig, CMD_TLBI_NH_ALL, 0), EVERYTHING);
    assert_int_equal(gone_after(rig, CMD_TLBI_NSNH_ALL, 0), EVERYTHING);
}

static void an_address_space_is_forgotten(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(gone_after(rig, CMD_TLBI_NH_ASID | CMD_ASID(ASID), 0), ALL & ~global);
    assert_int_equal(gone_after(rig, CMD_TLBI_NH_ASID | CMD_ASID(OTHER_ASID), 0),
                     ALL_OTHER & ~global);
    assert_int_equal(gone_after(rig, CMD_TLBI_NH_ASID | CMD_ASID(ASID | 0x100), 0), 0);
}

static void an_address_is_forgotten(void **state)
{
    struct rig *rig = *state;
    const uint64_t mine = CMD_TLBI_NH_VA | CMD_ASID(ASID);
    assert_int_equal(gone_after(rig, mine, places[0]), 1);
    assert_int_equal(gone_after(rig, mine, places[2] | CMD_LEAF), 4);
    assert_int_equal(gone_after(rig, CMD_TLBI_NH_VA | CMD_ASID(OTHER_ASID), places[2]),
                     4 << PLACES);
    assert_int_equal(gone_after(rig, CMD_TLBI_NH_VA | CMD_ASID(99), places[2]), 0);
    assert_int_equal(gone_after(rig, mine, places[GLOBAL]), global);
    assert_int_equal(gone_after(rig, CMD_TLBI_NH_VA | CMD_ASID(99), places[GLOBAL]), global);
    assert_int_equal(gone_after(rig, mine, places[0] + 0x10000), 0);
    assert_int_equal(gone_after(rig, mine, places[0] | 1ull << 55), 0); /* the upper half's */
}

static void an_address_in_a_block_is_forgotten(void **state)
{
    struct rig *rig = *state;
    const uint64_t mine = CMD_TLBI_NH_VA | CMD_ASID(ASID);
    assert_int_equal(gone_after(rig, mine, places[SMALL] + 0x1ff000), 1 << SMALL);
    assert_int_equal(gone_after(rig, mine, places[LARGE] + 0x3ffff000), 1 << LARGE);
    assert_int_equal(gone_after(rig, mine, places[LARGE] + 0x40000000), 0);
}

static void an_address_of_all_spaces_is_forgotten(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(gone_after(rig, CMD_TLBI_NH_VAA, places[1]), 2 | 2 << PLACES);
    assert_int_equal(gone_after(rig, CMD_TLBI_NH_VAA | CMD_ASID(99), places[LARGE] + 0x5000),
                     1 << LARGE | 1 << (LARGE + PLACES));
    assert_int_equal(gone_after(rig, CMD_TLBI_NH_VAA, places[GLOBAL]), global);
}

static void a_range_is_forgotten(void **state)
{
    struct rig *rig = *state;
    const uint64_t mine = CMD_TLBI_NH_VA | CMD_ASID(ASID), tg = CMD_TG(12);
    assert_int_equal(gone_after(rig, mine | CMD_NUM(1), places[0] | tg), 3);
    assert_int_equal(gone_after(rig, mine | CMD_NUM(1), places[1] | tg), 6);
    assert_int_equal(gone_after(rig, mine, places[1] | tg | CMD_TTL(3)), 2);
    assert_int_equal(gone_after(rig, mine | CMD_SCALE(1), places[0] | tg), 3);
    assert_int_equal(gone_after(rig, mine | CMD_NUM(2) | CMD_SCALE(31), places[2] | tg),
                     (ALL & ~3u & ~(1u << SMALL)) | global); /* from there to the end */
    assert_int_equal(gone_after(rig, CMD_TLBI_NH_VAA | CMD_NUM(1), places[0] | tg),
                     3 | 3 << PLACES);
    assert_int_equal(gone_after(rig, CMD_TLBI_NH_VA | CMD_ASID(99) | CMD_NUM(3), places[0] | tg),
                     global);
}

/* With TTL, leaves of that level only; with TG, of that granule only. */
static void a_range_names_levels_and_granules(void **state)
{
    struct rig *rig = *state;
    const uint64_t whole = CMD_TLBI_NH_VA | CMD_ASID(ASID) | CMD_SCALE(31), tg = CMD_TG(12);
    assert_int_equal(gone_after(rig, whole, tg), ALL | global);
    assert_int_equal(gone_after(rig, whole, tg | CMD_TTL(1)), 1 << LARGE);
    assert_int_equal(gone_after(rig, whole, tg | CMD_TTL(2)), 1 << SMALL);
    assert_int_equal(gone_after(rig, whole, tg | CMD_TTL(3)), 7 | global);
    assert_int_equal(gone_after(rig, whole, CMD_TG(14)), 0);
    assert_int_equal(gone_after(rig, whole, CMD_TG(16)), 0);
}

/* A range that starts in the upper half ends with it, and does not go on in the lower. */
static void a_range_ends_with_the_addresses(void **state)
{
    struct rig *rig = *state;
    struct tables tables = new_tables(rig, 12, 39);
    const uint64_t last = ~0ull << 12, long_range = CMD_NUM(31) | CMD_SCALE(31);
    uint64_t low = map(rig, &tables, 0, pa, 3, full);
    uint64_t high = map(rig, &tables, last, pa, 3, full);
    use(rig, &tables);
    const uint64_t both = cd_word(&tables, ASID) & cd_word_upper(&tables, ASID);
    set_cd(rig, CD, both | CD_TSZ(0, 25) | CD_TSZ(1, 25) | tg0(12) | tg1(12), tables.root);
    *word_at(rig, CD + 16) = tables.root;
    forget_configuration(rig);
    assert_goes_to(rig, 0, DMA_TO_MEMORY, pa);
    assert_goes_to(rig, last, DMA_TO_MEMORY, pa);
    *word_at(rig, low) = *word_at(rig, high) = 0;
    command(rig, CMD_TLBI_NH_VA | CMD_ASID(ASID) | long_range, ~0ull << 20 | CMD_TG(12));
    assert_goes_to(rig, 0, DMA_TO_MEMORY, pa);
    assert_fault(rig, last, DMA_TO_MEMORY, F_TRANSLATION);
}

static void translations_outlive_configurations(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(gone_after(rig, CMD_CFGI_STE | CMD_SID(SID), CMD_LEAF), 0);
    assert_int_equal(gone_after(rig, CMD_CFGI_CD | CMD_SID(SID), CMD_LEAF), 0);
    assert_int_equal(gone_after(rig, CMD_CFGI_STE_RANGE, CMD_RANGE_ALL), 0);
}

/* ---- the same for configurations */

enum { FIRST_SID = 0x10, SIDS = 16 };

/* Sixteen streams that bypass, by what is cached; in memory they abort. */
static void cache_configurations(struct rig *rig)
{
    for (uint16_t sid = FIRST_SID; sid < FIRST_SID + SIDS; sid++) {
        set_ste(rig, sid, STE_BYPASS, 0);
        assert_int_equal(access_sid(rig, sid, va, DMA_TO_MEMORY), 0);
        set_ste(rig, sid, STE_ABORT, 0);
    }
}

static unsigned configurations_gone_after(struct rig *rig, uint64_t word0, uint64_t word1)
{
    unsigned gone = 0;
    forget_configuration(rig);
    cache_configurations(rig);
    for (unsigned i = 0; i < SIDS; i++) {
        assert_int_equal(access_sid(rig, FIRST_SID + i, va, DMA_TO_MEMORY), 0);
    }
    command(rig, word0, word1);
    sync_commands(rig);
    for (unsigned i = 0; i < SIDS; i++) {
        gone |= (unsigned)(access_sid(rig, FIRST_SID + i, va, DMA_TO_MEMORY) != 0) << i;
    }
    return gone;
}

static void configurations_are_forgotten_by_stream(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(configurations_gone_after(rig, CMD_CFGI_STE | CMD_SID(0x13), 1), 1 << 3);
    assert_int_equal(configurations_gone_after(rig, CMD_CFGI_STE | CMD_SID(0x20), 1), 0);
    assert_int_equal(configurations_gone_after(rig, CMD_CFGI_STE | CMD_SID(0x1f), 0), 1 << 15);
    const uint64_t range = CMD_CFGI_STE_RANGE | CMD_SID(0x16);
    assert_int_equal(configurations_gone_after(rig, range, 0), 0xc0); /* aligned ranges */
    assert_int_equal(configurations_gone_after(rig, range, 1), 0xf0);
    assert_int_equal(configurations_gone_after(rig, range, 2), 0xff);
    assert_int_equal(configurations_gone_after(rig, range, 3), 0xffff);
    assert_int_equal(configurations_gone_after(rig, CMD_CFGI_STE_RANGE | CMD_SID(0x40), 4), 0);
    assert_int_equal(configurations_gone_after(rig, CMD_CFGI_STE_RANGE | CMD_SID(0x40), 5), 0);
    assert_int_equal(configurations_gone_after(rig, CMD_CFGI_STE_RANGE | CMD_SID(0x40), 6), 0xffff);
    assert_int_equal(configurations_gone_after(rig, CMD_CFGI_STE_RANGE, 30), 0xffff);
    assert_int_equal(configurations_gone_after(rig, CMD_CFGI_STE_RANGE, CMD_RANGE_ALL), 0xffff);
    assert_int_equal(configurations_gone_after(rig, CMD_TLBI_NH_ALL, 0), 0);
}

/* Is the CD of SID, which has been made invalid in memory, still used after the command? */
static bool cd_stays_after(struct rig *rig, uint64_t word0, uint64_t word1)
{
    struct tables tables = simple_tables(rig);
    assert_goes_to(rig, va, DMA_TO_MEMORY, pa);
    set_cd(rig, CD, 0, tables.root);
    assert_goes_to(rig, va, DMA_TO_MEMORY, pa);
    command(rig, word0, word1);
    sync_commands(rig);
    bool stays = access_at(rig, va, DMA_TO_MEMORY) == 0;
    if (!stays) {
        assert_event(rig, (uint64_t)SID << 32 | C_BAD_CD, 0, 0, 0);
    }
    return stays;
}

static void context_descriptors_are_forgotten(void **state)
{
    struct rig *rig = *state;
    assert_false(cd_stays_after(rig, CMD_CFGI_CD | CMD_SID(SID), CMD_LEAF));
    assert_false(cd_stays_after(rig, CMD_CFGI_CD | CMD_SID(SID), 0));
    assert_false(cd_stays_after(rig, CMD_CFGI_CD_ALL | CMD_SID(SID), 0));
    assert_false(cd_stays_after(rig, CMD_CFGI_STE | CMD_SID(SID), CMD_LEAF)); /* 4.3.1 */
    assert_false(cd_stays_after(rig, CMD_CFGI_STE_RANGE | CMD_SID(SID ^ 1), 0));
    assert_true(cd_stays_after(rig, CMD_CFGI_CD | CMD_SID(SID + 1), CMD_LEAF));
    assert_true(cd_stays_after(rig, CMD_CFGI_CD_ALL | CMD_SID(SID + 1), 0));
    assert_true(cd_stays_after(rig, CMD_TLBI_NH_ALL, 0));
    assert_true(cd_stays_after(rig, CMD_SYNC, 0));
}

static void reset_forgets_everything(void **state)
{
    struct rig *rig = *state;
    struct tables tables = simple_tables(rig);
    assert_goes_to(rig, va, DMA_TO_MEMORY, pa);
    smmuv3_reset(rig->smmu);
    registers_after_reset(state);
    assert_goes_to(rig, va, DMA_TO_MEMORY, va); /* it bypasses */
    rig->prod = rig->cons = 0;
    start(rig);
    map(rig, &tables, va, pa + 0x1000, 3, full);
    assert_goes_to(rig, va, DMA_TO_MEMORY, pa + 0x1000); /* no translation is left */
    smmuv3_reset(rig->smmu);
    start(rig);
    set_ste(rig, SID, STE_ABORT, 0);
    assert_silent(rig, SID); /* and no configuration */
}

#define FRESH(test)   cmocka_unit_test_setup_teardown(test, rig_setup, rig_teardown)
#define STARTED(test) cmocka_unit_test_setup_teardown(test, rig_setup_started, rig_teardown)

static const struct CMUnitTest tests[] = {
    FRESH(registers_after_reset),
    FRESH(identification_is_read_only),
    FRESH(updates_are_acknowledged),
    FRESH(gbpa_needs_its_update_bit),
    FRESH(a_64_bit_register_by_halves),
    STARTED(bases_are_locked_while_in_use),
    FRESH(switched_off_it_bypasses_or_aborts),
    STARTED(switched_on_gbpa_means_nothing),
    FRESH(two_at_one_place_are_refused),
    STARTED(a_full_command_queue_is_consumed),
    STARTED(the_command_queue_wraps),
    STARTED(a_command_queue_of_one_entry),
    STARTED(an_error_stops_the_queue),
    STARTED(commands_can_be_taken_back),
    STARTED(an_error_can_come_again),
    STARTED(a_command_queue_outside_ram_aborts),
    STARTED(a_queue_address_has_44_bits),
    STARTED(commands_legal_and_illegal),
    STARTED(secure_streams_are_not_ours),
    STARTED(ranges_legal_and_illegal),
    STARTED(sync_interrupts_if_it_says_so),
    STARTED(a_prefetch_records_nothing),
    STARTED(what_an_ste_can_say),
    STARTED(an_ste_can_bypass),
    STARTED(what_is_illegal_in_an_ste),
    STARTED(what_is_ignored_in_an_ste),
    STARTED(a_stream_table_has_an_end),
    STARTED(an_ste_that_cannot_be_read),
    STARTED(stream_tables_in_two_levels),
    STARTED(spans_of_the_second_level),
    STARTED(levels_that_cannot_be_read),
    STARTED(a_cd_that_cannot_be_read),
    STARTED(what_is_illegal_in_a_cd),
    STARTED(a_table_beyond_the_output_size),
    STARTED(what_is_ignored_in_a_cd),
    STARTED(faults_are_recorded_only_if_asked),
    STARTED(tables_that_cannot_be_read),
    STARTED(translation_faults),
    STARTED(blocks_where_there_are_none),
    STARTED(access_flag_faults),
    STARTED(address_size_faults),
    STARTED(faults_have_an_order),
    STARTED(every_combination_of_permissions),
    STARTED(privileged_access_never),
    STARTED(instruction_fetches),
    STARTED(a_full_event_queue_overflows_once),
    STARTED(the_event_queue_wraps),
    STARTED(only_the_first_event_interrupts),
    STARTED(an_event_queue_that_is_off),
    STARTED(an_event_queue_outside_ram_aborts),
    STARTED(errors_interrupt_only_if_asked),
    STARTED(every_granule_and_level),
    STARTED(a_small_first_table),
    STARTED(two_tables_at_once),
    STARTED(one_table_at_a_time),
    STARTED(the_top_byte_can_be_ignored),
    STARTED(everything_is_forgotten),
    STARTED(an_address_space_is_forgotten),
    STARTED(an_address_is_forgotten),
    STARTED(an_address_in_a_block_is_forgotten),
    STARTED(an_address_of_all_spaces_is_forgotten),
    STARTED(a_range_is_forgotten),
    STARTED(a_range_names_levels_and_granules),
    STARTED(a_range_ends_with_the_addresses),
    STARTED(translations_outlive_configurations),
    STARTED(configurations_are_forgotten_by_stream),
    STARTED(context_descriptors_are_forgotten),
    STARTED(reset_forgets_everything),
};

int main(void)
{
    return cmocka_run_group_tests(tests, NULL, NULL);
}

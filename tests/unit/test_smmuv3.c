/* SPDX-License-Identifier: MIT */
/* The SMMUv3: registers, queues, each command, each event, and what is forgotten when. */
#include "smmuv3_fixture.h"

static const uint64_t va = 0x12345000;
static const uint64_t pa = RAM + 0x400000;

static struct tables simple_tables(struct rig *rig)
{
    struct tables tables = new_tables(rig, 12, 39);
    map(rig, &tables, va, pa, 3, full);
    use(rig, &tables);
    return tables;
}

/* ---- registers */

static void registers_after_reset(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(reg(rig, SMMU_IDR0), 0x0d40101a);
    assert_int_equal(reg(rig, SMMU_IDR1) & ~SMMU_IDR1_ATTR_PERMS_OVR, 19 << 21 | 19 << 16 | 16);
    assert_int_equal(reg(rig, SMMU_IDR3), 1 << 10 | 1 << 2);
    assert_int_equal(reg(rig, SMMU_IDR5), 0x74);
    assert_int_equal(reg(rig, SMMU_CR0), 0);
    assert_int_equal(reg(rig, SMMU_GERROR), 0);
    assert_int_equal(reg(rig, SMMU_GBPA), SMMU_GBPA_RESET);
    set_reg(rig, SMMU_IDR0, 0);
    assert_int_equal(reg(rig, SMMU_IDR0), 0x0d40101a);
}

static void updates_are_acknowledged(void **state)
{
    struct rig *rig = *state;
    set_reg(rig, SMMU_CR0, SMMU_CR0_CMDQEN);
    assert_int_equal(reg(rig, SMMU_CR0ACK), SMMU_CR0_CMDQEN);
    set_reg(rig, SMMU_IRQ_CTRL, UINT32_MAX);
    assert_int_equal(reg(rig, SMMU_IRQ_CTRLACK), SMMU_IRQ_CTRL_GERROR | SMMU_IRQ_CTRL_EVENTQ);
    set_reg(rig, SMMU_GBPA, SMMU_GBPA_UPDATE | SMMU_GBPA_ABORT);
    assert_int_equal(reg(rig, SMMU_GBPA), SMMU_GBPA_ABORT);
    set_reg(rig, SMMU_GBPA, 0); /* without UPDATE: ignored */
    assert_int_equal(reg(rig, SMMU_GBPA), SMMU_GBPA_ABORT);
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

static void switched_off_it_bypasses_or_aborts(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(access_at(rig, 0x1234567, DMA_TO_MEMORY), 0);
    assert_int_equal(translation.address.raw, 0x1234567);
    set_reg(rig, SMMU_GBPA, SMMU_GBPA_UPDATE | SMMU_GBPA_ABORT);
    assert_int_equal(access_at(rig, 0x1234567, DMA_TO_MEMORY), -EFAULT);
}

/* ---- commands */

static void assert_command_is(struct rig *rig, uint64_t word0, uint64_t word1, bool legal)
{
    uint32_t before = rig->prod;
    unsigned calls = rig->irq.level_calls;
    command(rig, word0, word1);
    if (legal) {
        assert_int_equal(reg(rig, SMMU_CMDQ_CONS) & SMMU_QUEUE_INDEX, rig->prod);
        assert_int_equal(reg(rig, SMMU_GERROR), reg(rig, SMMU_GERRORN));
        return;
    }
    assert_int_equal(reg(rig, SMMU_CMDQ_CONS), before | 1u << 24); /* CERROR_ILL */
    assert_int_equal((reg(rig, SMMU_GERROR) ^ reg(rig, SMMU_GERRORN)), SMMU_GERROR_CMDQ_ERR);
    assert_int_equal(rig->irq.level_calls, calls + 2); /* a pulse */
    /* Software replaces it by a harmless one and goes on. */
    uint32_t index = before & ((1u << QUEUE_LOG2) - 1);
    *word_at(rig, CMDQ + index * 16) = SMMU_CMD_SYNC;
    set_reg(rig, SMMU_GERRORN, reg(rig, SMMU_GERROR));
    set_reg(rig, SMMU_CMDQ_PROD, rig->prod);
    assert_int_equal(reg(rig, SMMU_CMDQ_CONS) & SMMU_QUEUE_INDEX, rig->prod);
}

static void commands_legal_and_illegal(void **state)
{
    static const uint8_t legal[] = {1, 2, 3, 4, 5, 6, 0x10, 0x11, 0x12, 0x13, 0x30, 0x46};
    struct rig *rig = *state;
    for (unsigned opcode = 0; opcode < 256; opcode++) {
        bool expected = memchr(legal, (int)opcode, sizeof(legal)) != NULL;
        assert_command_is(rig, opcode, 0, expected);
    }
}

static void sync_interrupts_if_it_says_so(void **state)
{
    struct rig *rig = *state;
    unsigned calls = rig->irq.level_calls;
    command(rig, SMMU_CMD_SYNC, 0);
    assert_int_equal(rig->irq.level_calls, calls);
    command(rig, SMMU_CMD_SYNC | 1 << 12, 0);
    assert_int_equal(rig->irq.level_calls, calls + 2);
}

static void a_queue_outside_ram_aborts(void **state)
{
    struct rig *rig = *state;
    set_reg(rig, SMMU_CR0, 0);
    set_reg(rig, SMMU_CMDQ_BASE, 0x10000000 | QUEUE_LOG2);
    set_reg(rig, SMMU_CR0, SMMU_CR0_CMDQEN);
    set_reg(rig, SMMU_CMDQ_PROD, 1);
    assert_int_equal(reg(rig, SMMU_CMDQ_CONS), 2u << 24); /* CERROR_ABT */
    assert_int_equal(reg(rig, SMMU_GERROR), SMMU_GERROR_CMDQ_ERR);
}

/* ---- events */

/* The access fails, and its event has this type, class, direction and address. */
static void assert_fault(struct rig *rig, uint64_t address, enum dma_direction direction,
                         unsigned type, unsigned class)
{
    uint64_t event[4];
    assert_int_equal(access_at(rig, address, direction), -EFAULT);
    take_event(rig, event);
    assert_int_equal(event[0], (uint64_t)SID << 32 | type);
    if (type >= SMMU_EVT_F_WALK_EABT) {
        assert_int_equal(event[1] & SMMU_EVT_RNW, direction == DMA_FROM_MEMORY ? SMMU_EVT_RNW : 0);
        assert_int_equal(event[1] >> 40 & 3, class);
        assert_int_equal(event[2], address);
    }
    assert_no_event(rig);
}

static void events_of_the_stream_table(void **state)
{
    struct rig *rig = *state;
    uint64_t event[4];
    set_ste(rig, SID, 0, 0); /* not valid */
    assert_fault(rig, va, DMA_TO_MEMORY, SMMU_EVT_C_BAD_STE, 0);
    set_ste(rig, SID, SMMU_STE0_V | 6ull << 1, 0); /* stage 2 only */
    forget_configuration(rig);
    assert_fault(rig, va, DMA_TO_MEMORY, SMMU_EVT_C_BAD_STE, 0);
    set_ste(rig, SID, SMMU_STE0_V, 0); /* abort: silent */
    forget_configuration(rig);
    assert_int_equal(access_at(rig, va, DMA_TO_MEMORY), -EFAULT);
    assert_no_event(rig);
    set_reg(rig, SMMU_CR0, SMMU_CR0_EVENTQEN | SMMU_CR0_CMDQEN);
    set_reg(rig, SMMU_CR2, SMMU_CR2_RECINVSID);
    set_reg(rig, SMMU_CR0, SMMU_CR0_SMMUEN | SMMU_CR0_EVENTQEN | SMMU_CR0_CMDQEN);
    assert_int_equal(access_sid(rig, 0x100, va, DMA_TO_MEMORY), -EFAULT);
    take_event(rig, event);
    assert_int_equal(event[0], 0x100ull << 32 | SMMU_EVT_C_BAD_STREAMID);
}

static void an_ste_can_bypass(void **state)
{
    struct rig *rig = *state;
    set_ste(rig, SID, SMMU_STE0_V | (uint64_t)SMMU_STE_CONFIG_BYPASS << 1, 0);
    assert_int_equal(access_at(rig, 0xabcdef, DMA_FROM_MEMORY), 0);
    assert_int_equal(translation.address.raw, 0xabcdef);
}

static void tables_that_are_not_in_ram(void **state)
{
    struct rig *rig = *state;
    uint64_t event[4];
    struct tables tables = simple_tables(rig);
    set_ste(rig, SID, ste_s1(0x10000000), 0);
    forget_configuration(rig);
    assert_fault(rig, va, DMA_TO_MEMORY, SMMU_EVT_F_CD_FETCH, 0);
    tables.root = 0x10000000;
    use(rig, &tables);
    assert_int_equal(access_at(rig, va, DMA_TO_MEMORY), -EFAULT);
    take_event(rig, event);
    assert_int_equal(event[0], (uint64_t)SID << 32 | SMMU_EVT_F_WALK_EABT);
    assert_int_equal(event[2], va);
    assert_int_equal(event[3], descriptor_at(&tables, tables.root, 1, va));
    set_reg(rig, SMMU_CR0, SMMU_CR0_EVENTQEN | SMMU_CR0_CMDQEN);
    set_reg(rig, SMMU_STRTAB_BASE, 0x10000000);
    set_reg(rig, SMMU_CR0, SMMU_CR0_SMMUEN | SMMU_CR0_EVENTQEN | SMMU_CR0_CMDQEN);
    forget_configuration(rig);
    assert_fault(rig, va, DMA_TO_MEMORY, SMMU_EVT_F_STE_FETCH, 0);
}

static void bad_context_descriptors(void **state)
{
    struct rig *rig = *state;
    struct tables tables = simple_tables(rig);
    const uint64_t good = cd_word(&tables, ASID);
    const uint64_t bad[] = {
        good & ~SMMU_CD0_V,     /* not valid */
        good & ~SMMU_CD0_AA64,  /* the 32-bit format */
        good | SMMU_CD0_ENDI,   /* big-endian */
        good | SMMU_CD0_S,      /* stall */
        (good & ~0x3full) | 63, /* one bit of address */
        (good & ~0x3full) | 3,  /* 61 bits */
        good | 3ull << 6,       /* a reserved granule */
    };
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        set_cd(rig, CD, bad[i], tables.root);
        forget_configuration(rig);
        assert_fault(rig, va, DMA_TO_MEMORY, SMMU_EVT_C_BAD_CD, 0);
    }
    set_cd(rig, CD, good, tables.root);
    command(rig, SMMU_CMD_CFGI_CD | (uint64_t)SID << 32, 1);
    assert_int_equal(access_at(rig, va, DMA_TO_MEMORY), 0);
}

static void faults_of_a_walk(void **state)
{
    struct rig *rig = *state;
    struct tables tables = simple_tables(rig);
    assert_fault(rig, va + 0x1000, DMA_FROM_MEMORY, SMMU_EVT_F_TRANSLATION, 2);
    assert_fault(rig, 1ull << 39 | va, DMA_FROM_MEMORY, SMMU_EVT_F_TRANSLATION, 2);
    map(rig, &tables, va + 0x2000, pa, 3, full & ~SMMU_TTD_AF);
    assert_fault(rig, va + 0x2000, DMA_TO_MEMORY, SMMU_EVT_F_ACCESS, 2);
    map(rig, &tables, va + 0x3000, 1ull << 44, 3, full);
    assert_fault(rig, va + 0x3000, DMA_TO_MEMORY, SMMU_EVT_F_ADDR_SIZE, 2);
    map(rig, &tables, va + 0x4000, pa, 3, full | SMMU_TTD_AP_READ_ONLY);
    assert_int_equal(access_at(rig, va + 0x4000, DMA_FROM_MEMORY), 0);
    assert_fault(rig, va + 0x4000, DMA_TO_MEMORY, SMMU_EVT_F_PERMISSION, 2);
    map(rig, &tables, va + 0x5000, pa, 3, full & ~SMMU_TTD_AP_UNPRIV);
    assert_fault(rig, va + 0x5000, DMA_FROM_MEMORY, SMMU_EVT_F_PERMISSION, 2);
}

static void a_table_can_take_permissions_away(void **state)
{
    struct rig *rig = *state;
    struct tables tables = simple_tables(rig);
    uint64_t *root = word_at(rig, descriptor_at(&tables, tables.root, 1, va));
    const uint64_t plain = *root;
    *root = plain | SMMU_TTD_AP_TABLE_RO;
    assert_fault(rig, va, DMA_TO_MEMORY, SMMU_EVT_F_PERMISSION, 2);
    assert_int_equal(access_at(rig, va, DMA_FROM_MEMORY), 0);
    *root = plain | SMMU_TTD_AP_TABLE_PRIV;
    command(rig, SMMU_CMD_TLBI_NH_ALL, 0);
    assert_fault(rig, va, DMA_FROM_MEMORY, SMMU_EVT_F_PERMISSION, 2);
    set_cd(rig, CD, cd_word(&tables, ASID), tables.root | SMMU_CD_TTB_HAD);
    command(rig, SMMU_CMD_TLBI_NH_ALL, 0);
    forget_configuration(rig);
    assert_int_equal(access_at(rig, va, DMA_FROM_MEMORY), 0);
}

static void faults_are_recorded_only_if_asked(void **state)
{
    struct rig *rig = *state;
    struct tables tables = simple_tables(rig);
    set_cd(rig, CD, cd_word(&tables, ASID) & ~SMMU_CD0_R, tables.root);
    forget_configuration(rig);
    assert_int_equal(access_at(rig, va + 0x1000, DMA_FROM_MEMORY), -EFAULT);
    assert_no_event(rig);
}

static void a_full_event_queue_overflows_once(void **state)
{
    struct rig *rig = *state;
    simple_tables(rig);
    const unsigned entries = 1u << QUEUE_LOG2;
    for (unsigned i = 0; i < entries; i++) {
        assert_int_equal(access_at(rig, va + 0x1000, DMA_FROM_MEMORY), -EFAULT);
        assert_int_equal(reg(rig, SMMU_EVENTQ_PROD), i + 1);
    }
    access_at(rig, va + 0x1000, DMA_FROM_MEMORY);
    access_at(rig, va + 0x1000, DMA_FROM_MEMORY);
    assert_int_equal(reg(rig, SMMU_EVENTQ_PROD), SMMU_QUEUE_OVERFLOW | entries);
    set_reg(rig, SMMU_EVENTQ_CONS, SMMU_QUEUE_OVERFLOW | entries); /* read all, and acknowledged */
    access_at(rig, va + 0x1000, DMA_FROM_MEMORY);
    assert_int_equal(reg(rig, SMMU_EVENTQ_PROD), SMMU_QUEUE_OVERFLOW | (entries + 1));
}

static void only_the_first_event_interrupts(void **state)
{
    struct rig *rig = *state;
    simple_tables(rig);
    unsigned calls = rig->irq.level_calls;
    access_at(rig, va + 0x1000, DMA_FROM_MEMORY);
    assert_int_equal(rig->irq.level_calls, calls + 2);
    access_at(rig, va + 0x1000, DMA_FROM_MEMORY);
    assert_int_equal(rig->irq.level_calls, calls + 2); /* the queue was not empty */
}

/* ---- stream tables and context descriptors */

static void a_stream_table_in_two_levels(void **state)
{
    struct rig *rig = *state;
    struct tables tables = simple_tables(rig);
    const uint64_t level1 = RAM + 0x20000, level2 = RAM + 0x30000;
    set_reg(rig, SMMU_CR0, SMMU_CR0_EVENTQEN | SMMU_CR0_CMDQEN);
    set_reg(rig, SMMU_STRTAB_BASE, level1);
    set_reg(rig, SMMU_STRTAB_BASE_CFG, SMMU_STRTAB_FMT_2LVL << 16 | 8 << 6 | 16);
    set_reg(rig, SMMU_CR0, SMMU_CR0_SMMUEN | SMMU_CR0_EVENTQEN | SMMU_CR0_CMDQEN);
    set_cd(rig, CD, cd_word(&tables, ASID), tables.root);
    *word_at(rig, level1 + 3 * 8) = level2 | 9; /* 256 STEs */
    *word_at(rig, level2 + 0x42 * 64) = ste_s1(CD);
    assert_int_equal(access_sid(rig, 0x342, va, DMA_TO_MEMORY), 0);
    assert_int_equal(translation.address.raw, pa);
    assert_int_equal(access_sid(rig, 0x442, va, DMA_TO_MEMORY), -EFAULT);
    *word_at(rig, level1 + 3 * 8) = level2 | 5; /* 16 STEs: 0x42 is beyond */
    forget_configuration(rig);
    assert_int_equal(access_sid(rig, 0x342, va, DMA_TO_MEMORY), -EFAULT);
}

static void ttbr1_tbi_and_epd(void **state)
{
    struct rig *rig = *state;
    struct tables tables = new_tables(rig, 12, 39);
    map(rig, &tables, va, pa, 3, full);
    /* TTBR1 with TG1 = 4K (2), 39 bits; TTBR0 disabled */
    const uint64_t word = (25ull << 16 | 2ull << 22 | SMMU_CD0_EPD(0) | SMMU_CD0_V |
                           4ull << SMMU_CD0_IPS_SHIFT | SMMU_CD0_AA64 | SMMU_CD0_R | SMMU_CD0_A) |
                          25;
    use(rig, &tables);
    set_cd(rig, CD, word, 0);
    *word_at(rig, CD + 16) = tables.root;
    forget_configuration(rig);
    const uint64_t high = ~0ull << 39 | va;
    assert_int_equal(access_at(rig, high, DMA_TO_MEMORY), 0);
    assert_int_equal(translation.address.raw, pa);
    assert_fault(rig, va, DMA_TO_MEMORY, SMMU_EVT_F_TRANSLATION, 2);
    assert_fault(rig, high ^ 1ull << 60, DMA_TO_MEMORY, SMMU_EVT_F_TRANSLATION, 2);
    set_cd(rig, CD, word | SMMU_CD0_TBI(1), 0);
    forget_configuration(rig);
    assert_int_equal(access_at(rig, high ^ 1ull << 60, DMA_TO_MEMORY), 0);
}

/* ---- invalidation: what is cached stays in effect until it is named, and nothing else goes */

enum { PAGES = 4 };

struct cached {
    struct rig *rig;
    struct tables tables;
    uint64_t descriptor[PAGES];
};

/* Pages va + i pages that are in the IOTLB; 2 is global. Then their descriptors are taken away. */
static void cache_pages(struct rig *rig, struct cached *cached)
{
    cached->rig = rig;
    cached->tables = new_tables(rig, 12, 39);
    for (unsigned i = 0; i < PAGES; i++) {
        cached->descriptor[i] =
            map(rig, &cached->tables, va + i * 0x1000, pa, 3, i == 2 ? full & ~SMMU_TTD_NG : full);
    }
    use(rig, &cached->tables);
    for (unsigned i = 0; i < PAGES; i++) {
        assert_int_equal(access_at(rig, va + i * 0x1000, DMA_TO_MEMORY), 0);
        *word_at(rig, cached->descriptor[i]) = 0;
    }
}

/* A bit for each page that is still translated. */
static unsigned still_there(struct rig *rig)
{
    unsigned pages = 0;
    for (unsigned i = 0; i < PAGES; i++) {
        pages |= (unsigned)(access_at(rig, va + i * 0x1000, DMA_TO_MEMORY) == 0) << i;
    }
    return pages;
}

static void assert_left(struct rig *rig, uint64_t word0, uint64_t word1, unsigned expected)
{
    struct cached cached;
    cache_pages(rig, &cached);
    assert_int_equal(still_there(rig), 0xf);
    command(rig, word0, word1);
    sync_commands(rig);
    assert_int_equal(still_there(rig), expected);
    set_reg(rig, SMMU_EVENTQ_CONS, reg(rig, SMMU_EVENTQ_PROD));
}

static void invalidations_forget_what_they_name(void **state)
{
    struct rig *rig = *state;
    const uint64_t asid = (uint64_t)ASID << 48, other = (uint64_t)(ASID + 1) << 48;
    const uint64_t two_pages = 1ull << 12, tg = 1ull << 10;
    assert_left(rig, SMMU_CMD_TLBI_NH_ALL, 0, 0);
    assert_left(rig, SMMU_CMD_TLBI_NSNH_ALL, 0, 0);
    assert_left(rig, SMMU_CMD_TLBI_NH_ASID | asid, 0, 0x4); /* not the global one */
    assert_left(rig, SMMU_CMD_TLBI_NH_ASID | other, 0, 0xf);
    assert_left(rig, SMMU_CMD_TLBI_NH_VA | asid, va, 0xe);
    assert_left(rig, SMMU_CMD_TLBI_NH_VA | other, va, 0xf);
    assert_left(rig, SMMU_CMD_TLBI_NH_VA | other, va + 0x2000,
                0xb); /* the global one is anybody's */
    assert_left(rig, SMMU_CMD_TLBI_NH_VAA, va + 0x1000, 0xd);
    assert_left(rig, SMMU_CMD_TLBI_NH_VA | asid | two_pages, (va + 0x1000) | tg, 0x9);
    assert_left(rig, SMMU_CMD_TLBI_NH_VA | asid | two_pages, va | tg | 3 << 8 | 1, 0xc);
    assert_left(rig, SMMU_CMD_TLBI_NH_VA | asid | two_pages | 1 << 20, va | tg, 0);
    assert_left(rig, SMMU_CMD_CFGI_STE | (uint64_t)SID << 32, 1, 0xf); /* configuration only */
}

static void configuration_is_forgotten_by_stream(void **state)
{
    struct rig *rig = *state;
    simple_tables(rig);
    assert_int_equal(access_at(rig, va, DMA_TO_MEMORY), 0);
    set_ste(rig, SID, SMMU_STE0_V, 0); /* abort */
    assert_int_equal(access_at(rig, va, DMA_TO_MEMORY), 0);
    command(rig, SMMU_CMD_CFGI_STE | (uint64_t)(SID + 1) << 32, 1);
    assert_int_equal(access_at(rig, va, DMA_TO_MEMORY), 0);
    command(rig, SMMU_CMD_CFGI_STE_RANGE | (uint64_t)SID << 32, 3); /* sixteen of them */
    assert_int_equal(access_at(rig, va, DMA_TO_MEMORY), -EFAULT);
}

static void reset_forgets_everything(void **state)
{
    struct rig *rig = *state;
    simple_tables(rig);
    assert_int_equal(access_at(rig, va, DMA_TO_MEMORY), 0);
    smmuv3_reset(rig->smmu);
    registers_after_reset(state);
    assert_int_equal(access_at(rig, va, DMA_TO_MEMORY), 0);
    assert_int_equal(translation.address.raw, va); /* it bypasses */
    rig->prod = rig->cons = 0;
    start(rig);
    set_ste(rig, SID, SMMU_STE0_V, 0);
    assert_int_equal(access_at(rig, va, DMA_TO_MEMORY), -EFAULT);
}

#define FRESH(test)   cmocka_unit_test_setup_teardown(test, rig_setup, rig_teardown)
#define STARTED(test) cmocka_unit_test_setup_teardown(test, rig_setup_started, rig_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FRESH(registers_after_reset),
        FRESH(updates_are_acknowledged),
        FRESH(a_64_bit_register_by_halves),
        FRESH(switched_off_it_bypasses_or_aborts),
        STARTED(commands_legal_and_illegal),
        STARTED(sync_interrupts_if_it_says_so),
        STARTED(a_queue_outside_ram_aborts),
        STARTED(events_of_the_stream_table),
        STARTED(an_ste_can_bypass),
        STARTED(tables_that_are_not_in_ram),
        STARTED(bad_context_descriptors),
        STARTED(faults_of_a_walk),
        STARTED(a_table_can_take_permissions_away),
        STARTED(faults_are_recorded_only_if_asked),
        STARTED(a_full_event_queue_overflows_once),
        STARTED(only_the_first_event_interrupts),
        STARTED(a_stream_table_in_two_levels),
        STARTED(ttbr1_tbi_and_epd),
        STARTED(invalidations_forget_what_they_name),
        STARTED(configuration_is_forgotten_by_stream),
        STARTED(reset_forgets_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

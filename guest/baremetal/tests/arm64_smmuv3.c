/* SPDX-License-Identifier: MIT */
/*
 * The SMMUv3, programmed from nothing: stream table, context descriptor, page tables, command and
 * event queue (Arm IHI 0070). Copies by the DMA engine go through it, and fail where they should.
 * Runs with --iommu; some tests need 256 MiB of RAM.
 *
 * One stream translates, with one table of each level:
 *
 *   stream_table[engine] -> cd -> level1 -> level2 -> level3 -> pages
 *                                              └─ blocks of 2 MiB
 *
 * Each test begins with all of it empty and the SMMU reset by hand.
 */
#include "arm64.h"
#include "devices/iommu/smmuv3_regs.h"
#include "engine.h"
#include "pci.h"
#include "test.h"

enum {
    FAILED = DMA_ENGINE_STATUS_DONE | DMA_ENGINE_STATUS_ERROR,
    PAGE = 4096,
    PAGES = 8,
    ENTRIES = PAGE / 8,
    STREAMS_LOG2 = 6,
    COMMANDS_LOG2 = 4,
    EVENTS_LOG2 = 3,
    EVENTS = 1 << EVENTS_LOG2,
    ASID = 5,
    INPUT_BITS = 39,
    IPS_44 = 4,
    CR0_QUEUES = SMMU_CR0_EVENTQEN | SMMU_CR0_CMDQEN,
    CR0_ON = CR0_QUEUES | SMMU_CR0_SMMUEN,
    CR2_RECORD = SMMU_CR2_RECINVSID,
    ILLEGAL_COMMAND = 0xff,
};

/* Where pages and blocks are for the engine: beyond all that is there physically. */
static const uint64_t VA = 0x7654200000;
static const uint64_t BLOCK_VA = 0x7600000000;
enum { BLOCK = 2 << 20, BLOCKS = 32 };

/* What a descriptor says besides its address: anybody may read and write. */
static const uint64_t LEAF = SMMU_TTD_VALID | SMMU_TTD_AF | SMMU_TTD_AP_UNPRIV | SMMU_TTD_NG;

static uint64_t stream_table[SMMU_STE_BYTES << STREAMS_LOG2 >> 3] __attribute__((aligned(4096)));
static uint64_t cd[SMMU_CD_BYTES / 8] __attribute__((aligned(64)));
static uint64_t commands[SMMU_COMMAND_BYTES << COMMANDS_LOG2 >> 3] __attribute__((aligned(4096)));
static uint64_t events[SMMU_EVENT_BYTES << EVENTS_LOG2 >> 3] __attribute__((aligned(4096)));
static uint64_t level1[ENTRIES] __attribute__((aligned(4096)));
static uint64_t level2[ENTRIES] __attribute__((aligned(4096)));
static uint64_t block_level2[ENTRIES] __attribute__((aligned(4096)));
static uint64_t level3[ENTRIES] __attribute__((aligned(4096)));
static uint8_t pages[PAGES][PAGE] __attribute__((aligned(4096)));

static struct engine engine;
static uint32_t command_index; /* with the wrap bit */
static uint32_t event_index;

/* ---- registers and queues */

static uint32_t reg(unsigned offset)
{
    return mmio_read32(device_tree.smmu + offset);
}

static void set_reg(unsigned offset, uint32_t value)
{
    mmio_write32(device_tree.smmu + offset, value);
}

static void set_address(unsigned offset, const void *address, uint64_t bits)
{
    mmio_write64(device_tree.smmu + offset, (uintptr_t)address | bits);
}

static bool set_cr0(uint32_t value)
{
    set_reg(SMMU_CR0, value);
    return WAIT_UNTIL(reg(SMMU_CR0ACK) == value);
}

/* Put a command into the queue, and do not wait. */
static void command(uint64_t word0, uint64_t word1)
{
    const unsigned slot = command_index & ((1 << COMMANDS_LOG2) - 1);

    commands[2 * slot] = word0;
    commands[2 * slot + 1] = word1;
    command_index = (command_index + 1) & ((2 << COMMANDS_LOG2) - 1);
    set_reg(SMMU_CMDQ_PROD, command_index);
}

/* All commands are complete. */
static bool sync(void)
{
    command(SMMU_CMD_SYNC, 0);
    return WAIT_UNTIL(reg(SMMU_CMDQ_CONS) == command_index);
}

static bool no_event(void)
{
    return reg(SMMU_EVENTQ_PROD) == event_index;
}

/* Take an event out of the queue; its place in memory, or NULL. */
static const uint64_t *take_event(void)
{
    if (reg(SMMU_EVENTQ_PROD) == event_index) {
        return NULL;
    }
    const uint64_t *event = &events[(event_index & (EVENTS - 1)) * SMMU_EVENT_BYTES / 8];
    event_index = (event_index + 1) & (2 * EVENTS - 1);
    set_reg(SMMU_EVENTQ_CONS, event_index);
    return event;
}

/* ---- tables */

static uint64_t physical(const void *address)
{
    return (uintptr_t)address;
}

static uint64_t table(const void *next)
{
    return physical(next) | SMMU_TTD_VALID | SMMU_TTD_TABLE;
}

static uint64_t page_at(unsigned index)
{
    return VA + (uint64_t)index * PAGE;
}

/* The page `index` of the engine's is the page `number` of ours. */
static void map_page(unsigned index, unsigned number, uint64_t attributes)
{
    level3[index] = physical(pages[number]) | attributes | SMMU_TTD_TABLE;
}

static uint64_t *ste(void)
{
    return &stream_table[engine.bdf * (SMMU_STE_BYTES / 8)];
}

static void make_tables(void)
{
    memset(stream_table, 0, sizeof(stream_table));
    memset(cd, 0, sizeof(cd));
    memset(level1, 0, sizeof(level1));
    memset(level2, 0, sizeof(level2));
    memset(block_level2, 0, sizeof(block_level2));
    memset(level3, 0, sizeof(level3));
    ste()[0] = physical(cd) | SMMU_STE_CONFIG_S1 << SMMU_STE0_CONFIG_SHIFT | SMMU_STE0_V;
    cd[0] = (64 - INPUT_BITS) | SMMU_CD0_EPD(1) | SMMU_CD0_V |
            (uint64_t)IPS_44 << SMMU_CD0_IPS_SHIFT | SMMU_CD0_AA64 | SMMU_CD0_R | SMMU_CD0_A |
            (uint64_t)ASID << SMMU_CD0_ASID_SHIFT;
    cd[1] = physical(level1);
    level1[VA >> 30] = table(level2);
    level1[BLOCK_VA >> 30] = table(block_level2);
    level2[VA >> 21 & (ENTRIES - 1)] = table(level3);
}

static void fill_pages(void)
{
    for (unsigned i = 0; i < PAGES; i++) {
        for (unsigned j = 0; j < PAGE; j += 8) {
            *(volatile uint64_t *)&pages[i][j] = (uint64_t)i << 32 | (PAGE - j);
        }
    }
}

/* ---- set-up */

static bool start_smmu(void)
{
    if (!set_cr0(0)) {
        return false;
    }
    command_index = event_index = 0;
    set_address(SMMU_STRTAB_BASE, stream_table, 0);
    set_reg(SMMU_STRTAB_BASE_CFG, STREAMS_LOG2);
    set_address(SMMU_CMDQ_BASE, commands, COMMANDS_LOG2);
    set_reg(SMMU_CMDQ_PROD, 0);
    set_reg(SMMU_CMDQ_CONS, 0);
    set_address(SMMU_EVENTQ_BASE, events, EVENTS_LOG2);
    set_reg(SMMU_EVENTQ_PROD, 0);
    set_reg(SMMU_EVENTQ_CONS, 0);
    set_reg(SMMU_CR2, CR2_RECORD);
    set_reg(SMMU_GERRORN, reg(SMMU_GERROR));
    if (!set_cr0(CR0_QUEUES)) {
        return false;
    }
    command(SMMU_CMD_CFGI_STE_RANGE, SMMU_CMD_RANGE_ALL);
    command(SMMU_CMD_TLBI_NSNH_ALL, 0);
    return sync() && set_cr0(CR0_ON);
}

/* False: the running test is over. */
static bool setup(void)
{
    if (!device_tree.smmu) {
        test_skip("no SMMU: needs --iommu");
        return false;
    }
    if (!engine_open(&engine, 0, 0)) {
        return false;
    }
    make_tables();
    fill_pages();
    map_page(0, 0, LEAF);
    map_page(1, 1, LEAF);
    return test_check(__FILE_NAME__, __LINE__, "the SMMU starts", start_smmu());
}

/* ---- copies */

/* Copy `length` bytes between the engine's addresses, and see whether it says what it should. */
static uint32_t copy(uint64_t from, uint64_t to, uint32_t length)
{
    engine_start(&engine, from, to, length);
    return engine_wait(&engine);
}

static bool refused_at(uint64_t address)
{
    return mmio_read32(engine.base + DMA_ENGINE_ERROR) == DMA_ENGINE_ERROR_TRANSLATION &&
           mmio_read64(engine.base + DMA_ENGINE_FAULT_ADDR) == address;
}

/* The copy fails, the engine says where, and the event queue says why: exactly one event. */
static void expect_event(uint64_t from, uint64_t to, uint64_t fault, unsigned type, uint64_t detail,
                         uint64_t input)
{
    CHECK_EQ(copy(from, to, 16), FAILED);
    CHECK(refused_at(fault));
    const uint64_t *event = take_event();
    CHECK(event);
    CHECK_EQ(event[0], (uint64_t)engine.bdf << SMMU_EVT_SID_SHIFT | type);
    CHECK_EQ(event[1], detail);
    CHECK_EQ(event[2], input);
    CHECK(no_event());
}

/* Of a copy to page 0 or from it; the other side is page 1. */
static void expect_fault(bool write, unsigned type)
{
    const uint64_t fault = page_at(0) + 0x120, other = page_at(1);
    const uint64_t class = SMMU_EVT_CLASS_IN << SMMU_EVT_CLASS_SHIFT;

    expect_event(write ? other : fault, write ? fault : other, fault, type,
                 class | (write ? 0 : SMMU_EVT_RNW), fault);
}

static uint64_t word_of(unsigned number)
{
    return *(volatile uint64_t *)pages[number];
}

/* ---- tests: where copies go */

static void identification(void)
{
    if (!setup()) {
        return;
    }
    const uint32_t features =
        SMMU_IDR0_S1P | SMMU_IDR0_TTF_AARCH64 | SMMU_IDR0_COHACC | SMMU_IDR0_ASID16;
    CHECK_EQ(reg(SMMU_IDR0) & features, features);
    CHECK(reg(SMMU_IDR5) & SMMU_IDR5_GRAN4K);
    CHECK((reg(SMMU_IDR1) & 0x3f) >= STREAMS_LOG2);
}

/* SMMUEN is 0: bus addresses are physical, unless GBPA says that there is nothing at all. */
static void switched_off(void)
{
    if (!setup()) {
        return;
    }
    CHECK(set_cr0(CR0_QUEUES));
    CHECK_EQ(copy(physical(pages[2]), physical(pages[3]), 16), DMA_ENGINE_STATUS_DONE);
    CHECK_EQ(word_of(3), word_of(2));
    set_reg(SMMU_GBPA, SMMU_GBPA_UPDATE | SMMU_GBPA_ABORT);
    CHECK(WAIT_UNTIL(!(reg(SMMU_GBPA) & SMMU_GBPA_UPDATE)));
    const uint32_t aborted = copy(physical(pages[2]), physical(pages[3]), 16);
    set_reg(SMMU_GBPA, SMMU_GBPA_UPDATE | SMMU_GBPA_RESET);
    CHECK_EQ(aborted, FAILED);
    CHECK(no_event());
}

/* Pages in another order than in memory, and a copy that begins and ends inside of them. */
static void translated_pages(void)
{
    static const uint8_t order[] = {5, 0, 3, 4, 1, 7};

    if (!setup()) {
        return;
    }
    for (unsigned i = 0; i < sizeof(order); i++) {
        map_page(10 + i, order[i], LEAF);
    }
    CHECK_EQ(copy(page_at(10) + 0x108, page_at(13) + 0x108, 2 * PAGE), DMA_ENGINE_STATUS_DONE);
    CHECK_EQ(memcmp(pages[4] + 0x108, pages[5] + 0x108, PAGE - 0x108), 0);
    CHECK_EQ(memcmp(pages[1], pages[0], PAGE), 0);
    CHECK_EQ(memcmp(pages[7], pages[3], 0x108), 0);
    CHECK_EQ(word_of(4), 4ULL << 32 | PAGE); /* before it and after it nothing has changed */
    CHECK_EQ(*(uint64_t *)(pages[7] + 0x108), 7ULL << 32 | (PAGE - 0x108));
    CHECK(no_event());
}

static void translated_blocks(void)
{
    if (!setup()) {
        return;
    }
    const uint64_t base = physical(pages) & ~(uint64_t)(BLOCK - 1);
    const uint64_t first = BLOCK_VA + (physical(pages[2]) - base);

    block_level2[0] = base | LEAF;
    block_level2[1] = (base + BLOCK) | LEAF; /* should the pages lie in both */
    CHECK_EQ(copy(first, first + PAGE, PAGE), DMA_ENGINE_STATUS_DONE);
    CHECK_EQ(memcmp(pages[3], pages[2], PAGE), 0);
}

static void streams_without_stage_1(void)
{
    if (!setup()) {
        return;
    }
    ste()[0] = SMMU_STE_CONFIG_BYPASS << SMMU_STE0_CONFIG_SHIFT | SMMU_STE0_V;
    CHECK_EQ(copy(physical(pages[2]), physical(pages[3]), 16), DMA_ENGINE_STATUS_DONE);
    CHECK_EQ(word_of(3), word_of(2));
    ste()[0] = SMMU_STE0_V; /* abort */
    command((uint64_t)engine.bdf << SMMU_CMD_SID_SHIFT | SMMU_CMD_CFGI_STE, SMMU_CMD_LEAF);
    CHECK(sync());
    CHECK_EQ(copy(physical(pages[2]), physical(pages[3]), 16), FAILED);
    CHECK(no_event());
}

/* ---- tests: faults */

static void translation_faults(void)
{
    if (!setup()) {
        return;
    }
    level3[0] = 0;
    expect_fault(false, SMMU_EVT_F_TRANSLATION);
    expect_fault(true, SMMU_EVT_F_TRANSLATION);
    level2[VA >> 21 & (ENTRIES - 1)] = 0;
    command(SMMU_CMD_TLBI_NH_ALL, 0);
    CHECK(sync());
    level3[0] = physical(pages[0]) | LEAF | SMMU_TTD_TABLE;
    expect_event(page_at(0), page_at(0), page_at(0), SMMU_EVT_F_TRANSLATION,
                 SMMU_EVT_CLASS_IN << SMMU_EVT_CLASS_SHIFT | SMMU_EVT_RNW, page_at(0));
    level2[VA >> 21 & (ENTRIES - 1)] = table(level3); /* was invalid: no command is needed */
    CHECK_EQ(copy(page_at(0), page_at(1), 16), DMA_ENGINE_STATUS_DONE);
}

static void permission_faults(void)
{
    if (!setup()) {
        return;
    }
    map_page(0, 0, LEAF | SMMU_TTD_AP_READ_ONLY);
    expect_fault(true, SMMU_EVT_F_PERMISSION);
    CHECK_EQ(word_of(0), PAGE);
    CHECK_EQ(copy(page_at(0), page_at(1), 16), DMA_ENGINE_STATUS_DONE);
    CHECK_EQ(word_of(1), PAGE);
    map_page(0, 0, LEAF & ~SMMU_TTD_AP_UNPRIV);
    command(SMMU_CMD_TLBI_NH_ALL, 0);
    CHECK(sync());
    expect_fault(false, SMMU_EVT_F_PERMISSION);
}

static void access_flag_faults(void)
{
    if (!setup()) {
        return;
    }
    map_page(0, 0, LEAF & ~SMMU_TTD_AF);
    expect_fault(false, SMMU_EVT_F_ACCESS);
    map_page(0, 0, LEAF); /* what has a fault is not cached */
    CHECK_EQ(copy(page_at(0), page_at(1), 16), DMA_ENGINE_STATUS_DONE);
}

static void address_size_faults(void)
{
    if (!setup()) {
        return;
    }
    level3[0] = 1ULL << 46 | LEAF | SMMU_TTD_TABLE;
    expect_fault(true, SMMU_EVT_F_ADDR_SIZE);
}

static void bad_configurations(void)
{
    if (!setup()) {
        return;
    }
    const uint64_t good = ste()[0];

    ste()[0] = good & ~SMMU_STE0_V; /* what is bad is not kept: no commands between */
    expect_event(page_at(0), page_at(1), page_at(0), SMMU_EVT_C_BAD_STE, 0, 0);
    ste()[0] = good;
    cd[0] &= ~SMMU_CD0_V;
    expect_event(page_at(0), page_at(1), page_at(0), SMMU_EVT_C_BAD_CD, 0, 0);
    cd[0] |= SMMU_CD0_V;
    CHECK_EQ(copy(page_at(0), page_at(1), 16), DMA_ENGINE_STATUS_DONE);
    CHECK(set_cr0(CR0_QUEUES));
    set_reg(SMMU_STRTAB_BASE_CFG, 2); /* four streams */
    command(SMMU_CMD_CFGI_STE_RANGE, SMMU_CMD_RANGE_ALL);
    CHECK(sync());
    CHECK(set_cr0(CR0_ON));
    expect_event(page_at(0), page_at(1), page_at(0), SMMU_EVT_C_BAD_STREAMID, 0, 0);
}

static void event_queue_overflow(void)
{
    if (!setup()) {
        return;
    }
    level3[0] = 0;
    for (unsigned i = 0; i < EVENTS + 3; i++) {
        CHECK_EQ(copy(page_at(0) + i, page_at(1), 1), FAILED);
    }
    CHECK_EQ(reg(SMMU_EVENTQ_PROD), SMMU_QUEUE_OVERFLOW | EVENTS);
    for (unsigned i = 0; i < EVENTS; i++) { /* the first ones; the others are lost */
        CHECK_EQ(events[i * SMMU_EVENT_BYTES / 8 + 2], page_at(0) + i);
    }
    set_reg(SMMU_EVENTQ_CONS, SMMU_QUEUE_OVERFLOW | EVENTS); /* read, and known */
    CHECK_EQ(copy(page_at(0) + 0x77, page_at(1), 1), FAILED);
    CHECK_EQ(events[2], page_at(0) + 0x77);
}

/* ---- tests: invalidation */

/* With a command that names it and CMD_SYNC, the new page; before that either, but nothing else. */
static void changed_mapping(uint64_t word0, uint64_t word1)
{
    map_page(1, 1, LEAF);
    command(SMMU_CMD_TLBI_NH_ALL, 0);
    CHECK(sync());
    fill_pages();
    CHECK_EQ(copy(page_at(0), page_at(1), 8), DMA_ENGINE_STATUS_DONE);
    CHECK_EQ(word_of(1), word_of(0));
    fill_pages();
    map_page(1, 2, LEAF);
    CHECK_EQ(copy(page_at(0), page_at(1), 8), DMA_ENGINE_STATUS_DONE);
    CHECK((word_of(1) == word_of(0)) != (word_of(2) == word_of(0)));
    command(word0, word1);
    CHECK(sync());
    fill_pages();
    CHECK_EQ(copy(page_at(0), page_at(1), 8), DMA_ENGINE_STATUS_DONE);
    CHECK_EQ(word_of(1), 1ULL << 32 | PAGE);
    CHECK_EQ(word_of(2), word_of(0));
}

static void invalidations(void)
{
    const uint64_t asid = (uint64_t)ASID << SMMU_CMD_ASID_SHIFT;
    const uint64_t range = 1 << SMMU_CMD_NUM_SHIFT, tg = 1 << SMMU_CMD_TG_SHIFT;

    if (!setup()) {
        return;
    }
    changed_mapping(SMMU_CMD_TLBI_NH_VA | asid, page_at(1) | SMMU_CMD_LEAF);
    changed_mapping(SMMU_CMD_TLBI_NH_VAA, page_at(1));
    changed_mapping(SMMU_CMD_TLBI_NH_VA | asid | range, page_at(0) | tg);
    changed_mapping(SMMU_CMD_TLBI_NH_ASID | asid, 0);
    changed_mapping(SMMU_CMD_TLBI_NH_ALL, 0);
    changed_mapping(SMMU_CMD_TLBI_NSNH_ALL, 0);
    CHECK(no_event());
}

static void configuration_invalidations(void)
{
    if (!setup()) {
        return;
    }
    const uint64_t sid = (uint64_t)engine.bdf << SMMU_CMD_SID_SHIFT;

    CHECK_EQ(copy(page_at(0), page_at(1), 8), DMA_ENGINE_STATUS_DONE);
    cd[0] &= ~SMMU_CD0_V;
    command(SMMU_CMD_CFGI_CD | sid, SMMU_CMD_LEAF);
    CHECK(sync());
    expect_event(page_at(0), page_at(1), page_at(0), SMMU_EVT_C_BAD_CD, 0, 0);
    cd[0] |= SMMU_CD0_V;
    CHECK_EQ(copy(page_at(0), page_at(1), 8), DMA_ENGINE_STATUS_DONE);
    ste()[0] = 0;
    command(SMMU_CMD_CFGI_STE | sid, SMMU_CMD_LEAF);
    CHECK(sync());
    expect_event(page_at(0), page_at(1), page_at(0), SMMU_EVT_C_BAD_STE, 0, 0);
}

#define FAR_SOURCE      (arch_memory_base + (64 << 20))
#define FAR_DESTINATION (arch_memory_base + (128 << 20))

static volatile uint64_t *destination_word(unsigned index)
{
    return (volatile uint64_t *)(FAR_DESTINATION + (uint64_t)index * PAGE);
}

/*
 * Take the destination away while the engine's thread copies: once CMD_SYNC is complete nothing
 * arrives any more. True: the copy was still under way, and was refused.
 */
static bool withdrawn_in_time(void)
{
    const unsigned words = BLOCKS * BLOCK / PAGE;

    for (unsigned i = 0; i < BLOCKS; i++) {
        block_level2[i] = (FAR_SOURCE + (uint64_t)i * BLOCK) | LEAF;
        block_level2[BLOCKS + i] = (FAR_DESTINATION + (uint64_t)i * BLOCK) | LEAF;
    }
    *(volatile uint64_t *)FAR_SOURCE = 1;
    *destination_word(0) = 0;
    engine_start(&engine, BLOCK_VA, BLOCK_VA + BLOCKS * (uint64_t)BLOCK, BLOCKS * BLOCK);
    (void)WAIT_UNTIL(*destination_word(0) == 1); /* it has begun */
    for (unsigned i = 0; i < BLOCKS; i++) {
        block_level2[BLOCKS + i] = 0;
    }
    command(SMMU_CMD_TLBI_NH_ALL, 0);
    if (!test_check(__FILE_NAME__, __LINE__, "CMD_SYNC completes", sync())) {
        return false;
    }
    for (unsigned i = 0; i < words; i++) {
        *destination_word(i) = 0xfeed0000 + i;
    }
    const bool refused = engine_wait(&engine) == FAILED;
    for (unsigned i = 0; i < words; i++) {
        if (!test_check_equal(__FILE_NAME__, __LINE__, "what was written after CMD_SYNC",
                              *destination_word(i), 0xfeed0000 + i)) {
            return false;
        }
    }
    return refused;
}

static void withdrawn_while_copying(void)
{
    bool in_time = false;

    if (!setup()) {
        return;
    }
    if (arch_memory_end() < FAR_DESTINATION + BLOCKS * (uint64_t)BLOCK) {
        SKIP("needs 256 MiB of RAM");
    }
    for (unsigned i = 0; i < 10 && !in_time && !test_over(); i++) {
        in_time = withdrawn_in_time();
    }
    CHECK(in_time);
    const uint64_t *event = take_event();
    CHECK(event);
    CHECK_EQ(event[0] & 0xff, SMMU_EVT_F_TRANSLATION);
    CHECK_EQ(event[1] & SMMU_EVT_RNW, 0);
    CHECK(event[2] >= BLOCK_VA + BLOCKS * (uint64_t)BLOCK);
}

/* ---- tests: errors and interrupts */

/* It stops at the command, says so in GERROR, and goes on with what is there then. */
static void illegal_command(void)
{
    if (!setup()) {
        return;
    }
    const uint32_t before = reg(SMMU_GERROR), index = command_index;
    const unsigned slot = index & ((1 << COMMANDS_LOG2) - 1);

    command(ILLEGAL_COMMAND, 0);
    command(SMMU_CMD_SYNC, 0);
    CHECK(WAIT_UNTIL((reg(SMMU_GERROR) ^ before) == SMMU_GERROR_CMDQ_ERR));
    CHECK_EQ(reg(SMMU_CMDQ_CONS), (uint32_t)SMMU_CERROR_ILL << SMMU_CMDQ_CONS_ERR_SHIFT | index);
    commands[2 * slot] = SMMU_CMD_SYNC;
    command(SMMU_CMD_SYNC, 0); /* stays where it is until the error is acknowledged */
    CHECK_EQ(reg(SMMU_CMDQ_CONS) & SMMU_QUEUE_INDEX, index);
    set_reg(SMMU_GERRORN, reg(SMMU_GERROR));
    CHECK(WAIT_UNTIL((reg(SMMU_CMDQ_CONS) & SMMU_QUEUE_INDEX) == command_index));
}

/* The SMMU's wires: SPIs 74 to 77, edges, for which it is enough to look at what is pending. */
enum { GICD_ISPENDR = 0x200, GICD_ICPENDR = 0x280, GICD_ICFGR = 0xc00 };
enum wire { WIRE_EVENTQ, WIRE_PRIQ, WIRE_SYNC, WIRE_GERROR, WIRE_INTID = 32 + 74 };

static void make_wires_edges(void)
{
    for (unsigned id = WIRE_INTID; id <= WIRE_INTID + WIRE_GERROR; id++) {
        const uint64_t at = device_tree.distributor + GICD_ICFGR + id / 16 * 4;
        mmio_write32(at, mmio_read32(at) | 2U << id % 16 * 2);
    }
}

/* It was pulsed since it was asked last. */
static bool pulsed(enum wire wire)
{
    const unsigned id = WIRE_INTID + wire;
    const uint32_t bit = 1U << id % 32;
    const bool pending = mmio_read32(device_tree.distributor + GICD_ISPENDR + id / 32 * 4) & bit;

    mmio_write32(device_tree.distributor + GICD_ICPENDR + id / 32 * 4, bit);
    return pending;
}

static void wires(void)
{
    if (!setup()) {
        return;
    }
    make_wires_edges();
    (void)pulsed(WIRE_EVENTQ), (void)pulsed(WIRE_SYNC), (void)pulsed(WIRE_GERROR);
    level3[0] = 0;
    expect_fault(false, SMMU_EVT_F_TRANSLATION);
    CHECK(!pulsed(WIRE_EVENTQ)); /* IRQ_CTRL is 0 */
    set_reg(SMMU_IRQ_CTRL, SMMU_IRQ_CTRL_EVENTQ | SMMU_IRQ_CTRL_GERROR);
    CHECK(WAIT_UNTIL(reg(SMMU_IRQ_CTRLACK) == (SMMU_IRQ_CTRL_EVENTQ | SMMU_IRQ_CTRL_GERROR)));
    expect_fault(false, SMMU_EVT_F_TRANSLATION);
    CHECK(WAIT_UNTIL(pulsed(WIRE_EVENTQ)));
    CHECK(sync());
    CHECK(!pulsed(WIRE_SYNC));
    command(SMMU_CMD_SYNC | SMMU_CMD_CS_IRQ << SMMU_CMD_CS_SHIFT, 0);
    CHECK(WAIT_UNTIL(pulsed(WIRE_SYNC)));
    CHECK(!pulsed(WIRE_GERROR));
    command(ILLEGAL_COMMAND, 0);
    CHECK(WAIT_UNTIL(pulsed(WIRE_GERROR)));
    CHECK(!pulsed(WIRE_EVENTQ) && !pulsed(WIRE_PRIQ));
    set_reg(SMMU_IRQ_CTRL, 0);
}

static volatile unsigned messages;

static void message_came(void *unused)
{
    (void)unused;
    messages++;
}

/* The engine's interrupt is a write to an address of its own: translated, or a fault. */
static void message_through_a_mapping(void)
{
    static unsigned number;

    if (!setup()) {
        return;
    }
    arch_interrupts(false);
    if (!number) {
        number = arch_interrupt_add(1, message_came, NULL, 0);
    }
    const struct interrupt_message to = arch_interrupt_message(engine.bdf, number, 0);
    const uint64_t doorbell = page_at(20) | (to.address & (PAGE - 1));

    level3[20] = (to.address & ~(uint64_t)(PAGE - 1)) | LEAF | SMMU_TTD_TABLE;
    pci_msi_enable(engine.bdf, doorbell, to.data, 0);
    arch_interrupts(true);
    CHECK_EQ(copy(page_at(0), page_at(1), 8), DMA_ENGINE_STATUS_DONE);
    CHECK(WAIT_UNTIL(messages == 1));
    level3[20] = 0;
    command(SMMU_CMD_TLBI_NH_ALL, 0);
    CHECK(sync());
    CHECK_EQ(copy(page_at(0), page_at(1), 8), DMA_ENGINE_STATUS_DONE);
    test_delay(2000);
    arch_interrupts(false);
    pci_msi_disable(engine.bdf);
    CHECK_EQ(messages, 1);
    const uint64_t *event = take_event();
    CHECK(event);
    CHECK_EQ(event[0], (uint64_t)engine.bdf << SMMU_EVT_SID_SHIFT | SMMU_EVT_F_TRANSLATION);
    CHECK_EQ(event[1], SMMU_EVT_CLASS_IN << SMMU_EVT_CLASS_SHIFT);
    CHECK_EQ(event[2], doorbell);
}

const struct test tests[] = {
    {"identification", identification},
    {"switched off", switched_off},
    {"pages", translated_pages},
    {"blocks", translated_blocks},
    {"bypass and abort", streams_without_stage_1},
    {"F_TRANSLATION", translation_faults},
    {"F_PERMISSION", permission_faults},
    {"F_ACCESS", access_flag_faults},
    {"F_ADDR_SIZE", address_size_faults},
    {"C_BAD_STE, C_BAD_CD, C_BAD_STREAMID", bad_configurations},
    {"event queue overflow", event_queue_overflow},
    {"translations are invalidated", invalidations},
    {"configurations are invalidated", configuration_invalidations},
    {"unmapped while the engine copies", withdrawn_while_copying},
    {"illegal command", illegal_command},
    {"interrupts by wire", wires},
    {"a message through a mapping", message_through_a_mapping},
    {0},
};

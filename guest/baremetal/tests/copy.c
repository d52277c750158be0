/* SPDX-License-Identifier: MIT */
/*
 * The DMA engine's copies: sizes and alignments, every error, long ones, resets in the middle, two
 * processors at once. Needs 256 MiB of RAM for the long ones.
 */
#include "engine.h"
#include "pci.h"
#include "test.h"

enum {
    FAILED = DMA_ENGINE_STATUS_DONE | DMA_ENGINE_STATUS_ERROR,
    BUFFER_SIZE = 1024,
};

#define FAR_SOURCE      (arch_memory_base + (64 << 20))
#define FAR_DESTINATION (arch_memory_base + (128 << 20))
static const uint32_t FAR_LENGTH = 64 << 20;

static struct engine engine;
static uint8_t from[BUFFER_SIZE] __attribute__((aligned(4096)));
static uint8_t to[BUFFER_SIZE] __attribute__((aligned(4096)));

static uint32_t status(void)
{
    return mmio_read32(engine.base + DMA_ENGINE_STATUS);
}

static uint32_t error_code(void)
{
    return mmio_read32(engine.base + DMA_ENGINE_ERROR);
}

static uint64_t fault_address(void)
{
    return mmio_read64(engine.base + DMA_ENGINE_FAULT_ADDR);
}

static bool has_far_memory(void)
{
    if (arch_memory_end() < FAR_DESTINATION + FAR_LENGTH) {
        test_skip("needs 256 MiB of RAM");
        return false;
    }
    return true;
}

/* Each byte is told from its neighbours; different at each call. */
static void fill_source(void)
{
    for (unsigned i = 0; i < BUFFER_SIZE; i += 8) {
        *(volatile uint64_t *)(from + i) = test_random();
    }
    memset(to, 0xee, BUFFER_SIZE);
}

/* Exactly [to + offset, + length) has changed. */
static void check_destination(unsigned from_offset, unsigned to_offset, unsigned length)
{
    CHECK_EQ(memcmp(to + to_offset, from + from_offset, length), 0);
    for (unsigned i = 0; i < 16 && i < to_offset; i++) {
        CHECK_EQ(to[to_offset - 1 - i], 0xee);
    }
    for (unsigned i = to_offset + length; i < to_offset + length + 16 && i < BUFFER_SIZE; i++) {
        CHECK_EQ(to[i], 0xee);
    }
}

static void copy_and_check(unsigned from_offset, unsigned to_offset, unsigned length)
{
    fill_source();
    CHECK_EQ(engine_copy(&engine, from + from_offset, to + to_offset, length),
             DMA_ENGINE_STATUS_DONE);
    CHECK_EQ(error_code(), DMA_ENGINE_ERROR_NONE);
    CHECK_EQ(fault_address(), 0);
    check_destination(from_offset, to_offset, length);
}

static void sizes(void)
{
    static const unsigned list[] = {1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 64, 255, BUFFER_SIZE};

    if (!engine_open(&engine, 0, 0)) {
        return;
    }
    for (unsigned i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
        copy_and_check(0, 0, list[i]);
    }
}

static void alignments(void)
{
    if (!engine_open(&engine, 0, 0)) {
        return;
    }
    for (unsigned i = 1; i < 16; i += 3) {
        copy_and_check(i, 32, 40);
        copy_and_check(32, 16 + i, 40);
        copy_and_check(i, 16 + i, 33);
    }
}

/* Source and destination overlap: as if there were a buffer between. */
static void overlapping(void)
{
    static uint8_t before[256];

    if (!engine_open(&engine, 0, 0)) {
        return;
    }
    for (unsigned shift = 1; shift < 64; shift += 31) {
        fill_source();
        memcpy(before, from, sizeof(before));
        CHECK_EQ(engine_copy(&engine, from, from + shift, 128), DMA_ENGINE_STATUS_DONE);
        CHECK_EQ(memcmp(from + shift, before, 128), 0);
        memcpy(before, from, sizeof(before));
        CHECK_EQ(engine_copy(&engine, from + shift, from, 128), DMA_ENGINE_STATUS_DONE);
        CHECK_EQ(memcmp(from, before + shift, 128), 0);
    }
}

/* The registers keep their values: a START alone does it again. By halves, in another order. */
static void registers_kept(void)
{
    if (!engine_open(&engine, 0, 0)) {
        return;
    }
    fill_source();
    mmio_write32(engine.base + DMA_ENGINE_LEN_BYTES, 64);
    mmio_write32(engine.base + DMA_ENGINE_DST + 4, 0);
    mmio_write32(engine.base + DMA_ENGINE_DST, (uint32_t)(uintptr_t)to);
    mmio_write32(engine.base + DMA_ENGINE_SRC + 4, 0);
    mmio_write32(engine.base + DMA_ENGINE_SRC, (uint32_t)(uintptr_t)from);
    mmio_write64(engine.base + DMA_ENGINE_CTRL, DMA_ENGINE_CTRL_START);
    CHECK_EQ(engine_wait(&engine), DMA_ENGINE_STATUS_DONE);
    check_destination(0, 0, 64);
    fill_source();
    mmio_write32(engine.base + DMA_ENGINE_CTRL, DMA_ENGINE_CTRL_START);
    CHECK_EQ(engine_wait(&engine), DMA_ENGINE_STATUS_DONE);
    check_destination(0, 0, 64);
    fill_source();
    mmio_write32(engine.base + DMA_ENGINE_CTRL, 0xfffffffe); /* no START in it */
    CHECK_EQ(to[0], 0xee);
}

/* Up to the threshold the copy is over when the START write is. */
static void inline_copies(void)
{
    if (!engine_open(&engine, 0, 0) || !has_far_memory()) {
        return;
    }
    const uint32_t most = mmio_read32(engine.base + DMA_ENGINE_INLINE_MAX);

    if (!most || most > FAR_LENGTH) {
        SKIP("the threshold was moved out of reach");
    }
    engine_start(&engine, FAR_SOURCE, FAR_DESTINATION, 1);
    CHECK_EQ(status(), DMA_ENGINE_STATUS_DONE);
    engine_start(&engine, FAR_SOURCE, FAR_DESTINATION, most);
    CHECK_EQ(status(), DMA_ENGINE_STATUS_DONE);
}

/* ---- errors */

static void expect_failure(uint64_t src, uint64_t dst, uint32_t length, unsigned code,
                           uint64_t fault)
{
    engine_start(&engine, src, dst, length);
    CHECK_EQ(engine_wait(&engine), FAILED);
    CHECK_EQ(error_code(), code);
    CHECK_EQ(fault_address(), fault);
}

static void no_memory(void)
{
    if (!engine_open(&engine, 0, 0)) {
        return;
    }
    const uint64_t ram = (uintptr_t)to;
    const uint64_t own = engine.base + DMA_ENGINE_CTRL;
    const uint64_t end = arch_memory_end();

    fill_source();
    expect_failure(own, ram, 8, DMA_ENGINE_ERROR_NO_MEMORY, own);
    expect_failure(ram, own, 8, DMA_ENGINE_ERROR_NO_MEMORY, own);
    expect_failure(arch_ecam_base(), ram, 8, DMA_ENGINE_ERROR_NO_MEMORY, arch_ecam_base());
    expect_failure(ram, arch_unclaimed, 8, DMA_ENGINE_ERROR_NO_MEMORY, arch_unclaimed);
    expect_failure(1ULL << 52, ram, 8, DMA_ENGINE_ERROR_NO_MEMORY, 1ULL << 52);
    expect_failure(UINT64_MAX - 7, ram, 8, DMA_ENGINE_ERROR_NO_MEMORY, UINT64_MAX - 7);
    CHECK_EQ(to[0], 0xee);
    CHECK(end != 0);
    expect_failure(end - 16, ram, 64, DMA_ENGINE_ERROR_NO_MEMORY, end);
    expect_failure(ram, end - 16, 64, DMA_ENGINE_ERROR_NO_MEMORY, end);
    copy_and_check(0, 0, 16); /* the next one is a clean start */
}

static void bad_length(void)
{
    if (!engine_open(&engine, 0, 0)) {
        return;
    }
    const uint64_t ram = (uintptr_t)to;

    expect_failure(ram, ram, 0, DMA_ENGINE_ERROR_LENGTH, 0);
    expect_failure(UINT64_MAX - 7, ram, 9, DMA_ENGINE_ERROR_LENGTH, 0);
    expect_failure(ram, UINT64_MAX - 7, 9, DMA_ENGINE_ERROR_LENGTH, 0);
    expect_failure(UINT64_MAX, UINT64_MAX, 0xffffffff, DMA_ENGINE_ERROR_LENGTH, 0);
    copy_and_check(0, 0, 16);
}

static void no_bus_master(void)
{
    if (!engine_open(&engine, 0, 0)) {
        return;
    }
    fill_source();
    pci_command(engine.bdf, 0, PCI_COMMAND_MASTER);
    CHECK_EQ(engine_copy(&engine, from, to, 16), FAILED);
    CHECK_EQ(error_code(), DMA_ENGINE_ERROR_BUS_MASTER);
    CHECK_EQ(to[0], 0xee);
    pci_command(engine.bdf, PCI_COMMAND_MASTER, 0);
    copy_and_check(0, 0, 16);
}

/* ---- long copies: on the engine's own thread */

static volatile uint64_t *far_word(uint64_t base, uint32_t offset)
{
    return (volatile uint64_t *)(base + offset);
}

/* A word here and there: filling and comparing all would take far longer than the copy. */
static void mark_far_memory(uint64_t seed)
{
    for (uint32_t i = 0; i < FAR_LENGTH; i += FAR_LENGTH / 64 - 8) {
        *far_word(FAR_SOURCE, i & ~7U) = seed + i;
        *far_word(FAR_DESTINATION, i & ~7U) = 0;
    }
    *far_word(FAR_SOURCE, FAR_LENGTH - 8) = seed;
    *far_word(FAR_DESTINATION, FAR_LENGTH - 8) = 0;
}

static void check_far_memory(uint64_t seed)
{
    for (uint32_t i = 0; i < FAR_LENGTH; i += FAR_LENGTH / 64 - 8) {
        CHECK_EQ(*far_word(FAR_DESTINATION, i & ~7U), seed + i);
    }
    CHECK_EQ(*far_word(FAR_DESTINATION, FAR_LENGTH - 8), seed);
}

static void long_copy(void)
{
    if (!engine_open(&engine, 0, 0) || !has_far_memory()) {
        return;
    }
    mark_far_memory(0x1000);
    engine_start(&engine, FAR_SOURCE, FAR_DESTINATION, FAR_LENGTH);
    const uint32_t first = status(); /* over by now only if this processor was kept waiting */
    CHECK(first == DMA_ENGINE_STATUS_BUSY || first == DMA_ENGINE_STATUS_DONE);
    CHECK_EQ(engine_wait(&engine), DMA_ENGINE_STATUS_DONE);
    check_far_memory(0x1000);
}

/*
 * Start the long copy, and two short ones while it runs. False: it was over before all three were
 * written, because this processor was kept waiting on a busy host.
 */
static bool start_three(void)
{
    fill_source();
    engine_start(&engine, FAR_SOURCE, FAR_DESTINATION, FAR_LENGTH);
    engine_start(&engine, (uintptr_t)from, (uintptr_t)to, 16);
    mmio_write32(engine.base + DMA_ENGINE_CTRL, DMA_ENGINE_CTRL_START);
    const uint32_t count = mmio_read32(engine.base + DMA_ENGINE_BUSY_COUNT);
    const bool busy = status() == DMA_ENGINE_STATUS_BUSY;
    (void)engine_wait(&engine);
    return busy && count == 2;
}

/* What is written while it runs is for the next one; another START is refused and counted. */
static void refused(void)
{
    bool in_time = false;

    if (!engine_open(&engine, 0, 0) || !has_far_memory()) {
        return;
    }
    mark_far_memory(0x2000);
    for (unsigned i = 0; i < 10 && !in_time; i++) {
        in_time = start_three();
    }
    CHECK(in_time);
    CHECK_EQ(status(), DMA_ENGINE_STATUS_DONE);
    CHECK_EQ(mmio_read32(engine.base + DMA_ENGINE_BUSY_COUNT), 2);
    check_far_memory(0x2000);
    CHECK_EQ(to[0], 0xee);
    mmio_write32(engine.base + DMA_ENGINE_CTRL, DMA_ENGINE_CTRL_START);
    CHECK_EQ(engine_wait(&engine), DMA_ENGINE_STATUS_DONE);
    CHECK_EQ(mmio_read32(engine.base + DMA_ENGINE_BUSY_COUNT), 0);
    check_destination(0, 0, 16);
}

/* Mastering switched off half-way: the copy ends early and says so, or was over before. */
static void bus_master_withdrawn(void)
{
    if (!engine_open(&engine, 0, 0) || !has_far_memory()) {
        return;
    }
    engine_start(&engine, FAR_SOURCE, FAR_DESTINATION, FAR_LENGTH);
    pci_command(engine.bdf, 0, PCI_COMMAND_MASTER);
    const uint32_t end = engine_wait(&engine);
    CHECK(end == FAILED || end == DMA_ENGINE_STATUS_DONE);
    CHECK_EQ(error_code(), end == FAILED ? DMA_ENGINE_ERROR_BUS_MASTER : 0);
    pci_command(engine.bdf, PCI_COMMAND_MASTER, 0);
    copy_and_check(0, 0, 16);
}

static void reset_in_the_middle(void)
{
    if (!engine_open(&engine, 0, 0) || !has_far_memory()) {
        return;
    }
    for (unsigned round = 0; round < 5; round++) {
        *far_word(FAR_SOURCE, FAR_LENGTH - 8) = 0x3000 + round;
        engine_start(&engine, FAR_SOURCE, FAR_DESTINATION, FAR_LENGTH);
        CHECK(pci_function_reset(engine.bdf));
        CHECK_EQ(pci_read(engine.bdf, PCI_COMMAND, 2), 0);
        CHECK_EQ(pci_read32(engine.bdf, PCI_BAR0), 0);
        engine_enable(&engine);
        CHECK_EQ(mmio_read64(engine.base + DMA_ENGINE_CTRL), 0);
        CHECK_EQ(mmio_read64(engine.base + DMA_ENGINE_ERROR), 0);
        CHECK_EQ(mmio_read32(engine.base + DMA_ENGINE_INT_STATUS), 0);
        /* Nothing moves any more: a word in what the copy had not reached yet stays. */
        *far_word(FAR_DESTINATION, FAR_LENGTH - 8) = 0x4000 + round;
        test_delay(3000);
        CHECK_EQ(*far_word(FAR_DESTINATION, FAR_LENGTH - 8), 0x4000 + round);
        copy_and_check(0, 0, 16);
    }
}

/* ---- two processors write START at the same time */

enum { ROUNDS = 20 };
static const uint32_t RACE_LENGTH = 32 << 20;
static _Atomic unsigned go;
static _Atomic unsigned gone;

static void start_again_and_again(void *unused)
{
    (void)unused;
    for (unsigned round = 1; round <= ROUNDS; round++) {
        while (go < round) {
            arch_relax();
        }
        mmio_write32(engine.base + DMA_ENGINE_CTRL, DMA_ENGINE_CTRL_START);
        gone = round;
    }
}

/* Of the two one is accepted; the other is refused, or accepted after the first was over. */
static void started_twice(void)
{
    unsigned refusals = 0;

    if (arch_cpu_count() < 2) {
        SKIP("one processor");
    }
    if (!engine_open(&engine, 0, 0) || !has_far_memory()) {
        return;
    }
    mmio_write64(engine.base + DMA_ENGINE_SRC, FAR_SOURCE);
    mmio_write64(engine.base + DMA_ENGINE_DST, FAR_DESTINATION);
    mmio_write32(engine.base + DMA_ENGINE_LEN_BYTES, RACE_LENGTH);
    go = gone = 0;
    CHECK(arch_cpu_start(1, start_again_and_again, NULL));
    for (unsigned round = 1; round <= ROUNDS; round++) {
        *far_word(FAR_SOURCE, RACE_LENGTH - 8) = round;
        go = round;
        mmio_write32(engine.base + DMA_ENGINE_CTRL, DMA_ENGINE_CTRL_START);
        CHECK(WAIT_UNTIL(gone == round));
        CHECK_EQ(engine_wait(&engine), DMA_ENGINE_STATUS_DONE);
        CHECK_EQ(*far_word(FAR_DESTINATION, RACE_LENGTH - 8), round);
        const uint32_t count = mmio_read32(engine.base + DMA_ENGINE_BUSY_COUNT);
        CHECK(count <= 1);
        refusals += count;
    }
    CHECK(arch_cpu_join(1));
    CHECK(refusals > 0);
}

const struct test tests[] = {
    {"sizes", sizes},
    {"alignments", alignments},
    {"overlapping", overlapping},
    {"registers by halves, kept", registers_kept},
    {"done when START returns", inline_copies},
    {"a BAR, the engine itself, a hole", no_memory},
    {"zero length, wrap", bad_length},
    {"no bus mastering", no_bus_master},
    {"64 MiB, polled", long_copy},
    {"START while busy", refused},
    {"bus mastering withdrawn", bus_master_withdrawn},
    {"function reset in the middle", reset_in_the_middle},
    {"started from two processors", started_twice},
    {0},
};

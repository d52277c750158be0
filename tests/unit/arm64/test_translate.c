/* SPDX-License-Identifier: MIT */
/*
 * The walk of a guest's page tables: tables are built here by the architecture manual's words, in
 * each granule, for both halves.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/arm64/translate.h"

enum { RAM = 4 << 20, VALID = 1, TABLE = 3, BLOCK = 1, PAGE = 3, MMU_ON = 1 };
#define BASE           0x40000000ull
#define TSZ(size_bits) (64ull - (size_bits))

static struct guest_memory memory;
static uint64_t next_table;

static int start(void **state)
{
    struct error err;
    (void)state;
    memset(&memory, 0, sizeof(memory));
    next_table = BASE + 0x100000;
    return guest_memory_add(&memory, gpa(BASE), RAM, false, &err);
}

static int stop(void **state)
{
    (void)state;
    guest_memory_destroy(&memory);
    return 0;
}

static uint64_t new_table(void)
{
    uint64_t table = next_table;
    next_table += 0x10000;
    return table;
}

static void set_entry(uint64_t table, uint64_t index, uint64_t entry)
{
    assert_int_equal(guest_memory_write(&memory, gpa(table + 8 * index), &entry, 8), 0);
}

/* Tables at the given indices, the last of which holds `entry`; returns the first table. */
static uint64_t build(unsigned levels, const uint64_t *indices, uint64_t entry)
{
    uint64_t first = new_table();
    uint64_t table = first;
    for (unsigned i = 0; i + 1 < levels; i++) {
        uint64_t below = new_table();
        set_entry(table, indices[i], below | TABLE);
        table = below;
    }
    set_entry(table, indices[levels - 1], entry);
    return first;
}

static void assert_maps(const struct arm64_translation *registers, uint64_t address,
                        uint64_t physical)
{
    gpa_t got;
    assert_int_equal(arm64_walk(&memory, registers, address, &got), 0);
    assert_true(got.raw == physical);
}

static void assert_unmapped(const struct arm64_translation *registers, uint64_t address)
{
    gpa_t got;
    assert_int_equal(arm64_walk(&memory, registers, address, &got), -EFAULT);
}

static void without_the_mmu_addresses_are_physical(void **state)
{
    (void)state;
    struct arm64_translation registers = {.sctlr = 0x30c50830};
    assert_maps(&registers, 0xffff800012345678, 0xffff800012345678);
}

static void pages_of_4k_in_four_levels_in_both_halves(void **state)
{
    (void)state;
    const uint64_t indices[] = {256, 2, 3, 4};
    struct arm64_translation registers = {.sctlr = MMU_ON,
                                          .tcr = TSZ(48) | TSZ(48) << 16 | 2ull << 30,
                                          .ttbr0 = build(4, indices, 0x40077000 | PAGE) | 1,
                                          .ttbr1 = build(4, indices, 0x40088000 | PAGE) |
                                                   0x1234ull << 48};
    uint64_t address = 256ull << 39 | 2ull << 30 | 3ull << 21 | 4ull << 12 | 0xabc;
    assert_maps(&registers, address, 0x40077abc);
    assert_maps(&registers, 0xffffull << 48 | address, 0x40088abc);
    assert_unmapped(&registers, address + 0x1000);
    assert_unmapped(&registers, 0x00ffull << 48 | address); /* no half */
    assert_unmapped(&registers, 0x0001ull << 48 | address);
    registers.tcr |= 1ull << 37 | 1ull << 38; /* the top byte is ignored */
    assert_maps(&registers, 0x5a00ull << 48 | address, 0x40077abc);
    assert_maps(&registers, 0x5affull << 48 | address, 0x40088abc);
    assert_unmapped(&registers, 0x5a01ull << 48 | address);
    registers.tcr |= 1ull << 7; /* EPD0 */
    assert_unmapped(&registers, address);
    assert_maps(&registers, 0xffffull << 48 | address, 0x40088abc);
    registers.tcr |= 1ull << 23; /* EPD1 */
    assert_unmapped(&registers, 0xffffull << 48 | address);
}

static void three_levels_of_39_bits_and_blocks(void **state)
{
    (void)state;
    const uint64_t gib[] = {5};
    const uint64_t mib[] = {5, 6};
    struct arm64_translation registers = {.sctlr = MMU_ON,
                                          .tcr = TSZ(39) | TSZ(39) << 16 | 2ull << 30,
                                          .ttbr0 = build(1, gib, 0xc0000000 | BLOCK),
                                          .ttbr1 = build(2, mib, 0x40200000 | BLOCK)};
    assert_maps(&registers, 5ull << 30 | 0x12345678, 0xd2345678);
    assert_maps(&registers, 0xffffff8000000000 | 5ull << 30 | 6ull << 21 | 0x12345, 0x40212345);
}

static void a_block_where_none_can_be_is_reserved(void **state)
{
    (void)state;
    const uint64_t top[] = {1};
    const uint64_t last[] = {0, 0, 0, 0};
    struct arm64_translation registers = {
        .sctlr = MMU_ON, .tcr = TSZ(48), .ttbr0 = build(1, top, 0x40000000 | BLOCK)};
    assert_unmapped(&registers, 1ull << 39);
    registers.ttbr0 = build(4, last, 0x40000000 | BLOCK);
    assert_unmapped(&registers, 0);
}

static void pages_and_blocks_of_16k(void **state)
{
    (void)state;
    const uint64_t page[] = {1, 2, 3, 4};
    const uint64_t block[] = {7, 8};
    struct arm64_translation registers = {
        .sctlr = MMU_ON,
        .tcr = TSZ(48) | 2ull << 14 | TSZ(47) << 16 | 1ull << 30,
        .ttbr0 = build(4, page, 0x40044000 | PAGE),
    };
    uint64_t address = 1ull << 47 | 2ull << 36 | 3ull << 25 | 4ull << 14;
    assert_maps(&registers, address | 0x3abc, 0x40047abc);
    registers.ttbr1 = build(2, block, 0x42000000 | BLOCK);
    registers.tcr = TSZ(47) << 16 | 1ull << 30;
    address = 0xffff800000000000 | 7ull << 36 | 8ull << 25;
    assert_maps(&registers, address | 0x1123456, 0x43123456);
}

static void pages_and_blocks_of_64k_and_52_bits(void **state)
{
    (void)state;
    const uint64_t page[] = {0x3f, 2, 3};
    const uint64_t block[] = {0x3f, 2};
    struct arm64_translation registers = {.sctlr = MMU_ON,
                                          .tcr = TSZ(48) | 1ull << 14 | TSZ(48) << 16 | 3ull << 30,
                                          .ttbr0 = build(3, page, 0x40050000 | PAGE),
                                          .ttbr1 = build(2, block, 0x60000000 | BLOCK)};
    uint64_t address = 0x3full << 42 | 2ull << 29 | 3ull << 16 | 0xcdef;
    assert_maps(&registers, address, 0x4005cdef);
    assert_maps(&registers, 0xffffull << 48 | address, 0x6003cdef);
    registers.tcr |= 6ull << 32; /* 52 bits: bits 12 to 15 of an entry are 48 to 51 */
    registers.ttbr0 = build(3, page, 0x40050000 | 0xa000 | PAGE);
    assert_maps(&registers, address, 0x000a00004005cdef);
}

static void tables_outside_ram_and_nonsense_end_the_walk(void **state)
{
    (void)state;
    const uint64_t indices[] = {0, 0};
    struct arm64_translation registers = {
        .sctlr = MMU_ON, .tcr = TSZ(39), .ttbr0 = build(2, indices, 0x7ffff000 | TABLE)};
    assert_unmapped(&registers, 0);
    registers.ttbr0 = UINT64_MAX;
    assert_unmapped(&registers, 0);
    for (uint64_t tcr = 0; tcr < 1 << 16; tcr++) {
        gpa_t got;
        registers.ttbr0 = BASE;
        registers.tcr = (tcr & 0x3f) | tcr >> 6 << 14 | tcr << 30;
        (void)arm64_walk(&memory, &registers, tcr << 44 | tcr << 12, &got);
        (void)arm64_walk(&memory, &registers, ~(tcr << 12), &got);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(without_the_mmu_addresses_are_physical),
        TEST(pages_of_4k_in_four_levels_in_both_halves),
        TEST(three_levels_of_39_bits_and_blocks),
        TEST(a_block_where_none_can_be_is_reserved),
        TEST(pages_and_blocks_of_16k),
        TEST(pages_and_blocks_of_64k_and_52_bits),
        TEST(tables_outside_ram_and_nonsense_end_the_walk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

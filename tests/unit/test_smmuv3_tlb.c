/* SPDX-License-Identifier: MIT */
/*
 * What the SMMUv3's IOTLB takes along: leaves beside the one that was asked for, and pages in a row
 * as one translation. Software must not be able to tell but by the time, and the commands' scopes
 * stay what they are. "Cached" is shown by clearing the tables: what is still translated was.
 */
#include "smmuv3_fixture.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { LINE = 16, OTHER_ASID = ASID + 1, OTHER_SID = SID + 1, OTHER_CD = CD + 0x40 };
static const uint64_t va = 0x7654300000, pa = 0x123400000;

static struct tables tables_in_use(struct rig *rig)
{
    struct tables tables = new_tables(rig, 12, 39);
    use(rig, &tables);
    return tables;
}

static uint64_t page(uint64_t index)
{
    return va + index * 0x1000;
}

/* Pages in a row, from page `first` on, in memory too. */
static void map_row(struct rig *rig, const struct tables *tables, unsigned first, unsigned count,
                    uint64_t attributes)
{
    for (unsigned i = first; i < first + count; i++) {
        map(rig, tables, page(i), pa + i * 0x1000, 3, attributes);
    }
}

static uint64_t *descriptor(struct rig *rig, const struct tables *tables, unsigned index)
{
    return word_at(rig, make_way(rig, tables, page(index), 3));
}

/* All from `address` on that comes as one translation. */
static void assert_translated(struct rig *rig, uint64_t address, uint64_t to, uint64_t length)
{
    struct iommu_translation row[1];
    assert_int_equal(access_row(rig, SID, address, 1ull << 40, DMA_TO_MEMORY, row, 1), 1);
    assert_int_equal(row[0].address.raw, to);
    assert_int_equal(row[0].length, length);
}

static void assert_not_translated(struct rig *rig, uint64_t address, uint64_t type)
{
    uint64_t event[4];
    assert_int_equal(access_at(rig, address, DMA_TO_MEMORY), -EFAULT);
    take_event(rig, event);
    assert_int_equal(event[0] & 0xff, type);
}

/* ---- pages in a row */

static void a_row_is_one_translation(void **state)
{
    struct rig *rig = *state;
    struct tables tables = tables_in_use(rig);
    map_row(rig, &tables, 0, 2 * LINE, full);
    for (unsigned again = 0; again < 2; again++) { /* from the walk, and from the IOTLB */
        assert_translated(rig, va, pa, LINE * 0x1000);
        assert_translated(rig, page(3) + 0x10, pa + 0x3010, (LINE - 3) * 0x1000 - 0x10);
        assert_translated(rig, page(LINE) - 1, pa + LINE * 0x1000 - 1, 1); /* lines end a row */
        assert_translated(rig, page(LINE), pa + LINE * 0x1000, LINE * 0x1000);
    }
}

/* What ends a row: each of these at page 4. */
static void a_row_ends_where_pages_differ(void **state)
{
    struct rig *rig = *state;
    const uint64_t next = pa + 0x4000;
    const uint64_t others[] = {
        0,                               /* nothing */
        (next + 0x1000) | full | 3,      /* not the next in memory */
        next | full | TTD_READ_ONLY | 3, /* other rights */
        (next | full | 3) & ~TTD_USER,
        (next | full | 3) & ~TTD_AF,  /* a fault */
        (next | full | 3) & ~TTD_NG,  /* global */
        next | full | 1,              /* reserved */
        next | full | 3 | 1ull << 47, /* beyond the output size */
    };
    for (unsigned i = 0; i < COUNT(others); i++) {
        struct tables tables = tables_in_use(rig);
        map_row(rig, &tables, 0, LINE, full);
        *descriptor(rig, &tables, 4) = others[i];
        assert_translated(rig, page(1), pa + 0x1000, 3 * 0x1000);
        assert_translated(rig, page(2), pa + 0x2000, 2 * 0x1000);
        assert_translated(rig, page(5), pa + 0x5000, (LINE - 5) * 0x1000);
    }
}

/* Pages that are not in a row in memory come as several translations, no more than are wanted. */
static void a_row_of_several_translations(void **state)
{
    struct rig *rig = *state;
    struct iommu_translation row[LINE];
    struct tables tables = tables_in_use(rig);
    map_row(rig, &tables, 0, LINE, full);
    *descriptor(rig, &tables, 6) = 0x400000 | full | 3;
    for (unsigned again = 0; again < 2; again++) {
        uint64_t from = page(4) + 0x30;
        assert_int_equal(access_row(rig, SID, from, 0x10000, DMA_TO_MEMORY, row, LINE), 3);
        assert_int_equal(row[0].address.raw, pa + 0x4030);
        assert_int_equal(row[0].length, 0x1fd0);
        assert_int_equal(row[1].address.raw, 0x400000);
        assert_int_equal(row[1].length, 0x1000);
        assert_int_equal(row[2].address.raw, pa + 0x7000);
        assert_int_equal(row[2].length, (LINE - 7) * 0x1000);
        assert_int_equal(access_row(rig, SID, from, 0x10000, DMA_TO_MEMORY, row, 2), 2);
        assert_int_equal(row[1].length, 0x1000);
        assert_int_equal(access_row(rig, SID, from, 0xfd0, DMA_TO_MEMORY, row, LINE), 1);
        assert_int_equal(row[0].length, 0xfd0);
        assert_int_equal(access_row(rig, SID, from, 0xfd1, DMA_TO_MEMORY, row, LINE), 1);
        assert_int_equal(row[0].length, 0x1fd0);
        assert_int_equal(access_row(rig, SID, from, 1, DMA_TO_MEMORY, row, LINE), 1);
        assert_int_equal(row[0].length, 0xfd0); /* to the page's end, at least */
    }
}

/* Blocks as well, and both halves; with 31 bits the first table has two entries only. */
static void rows_of_blocks(void **state)
{
    struct rig *rig = *state;
    struct tables tables = new_tables(rig, 12, 31);
    for (unsigned upper = 0; upper < 2; upper++) {
        uint64_t base = upper ? ~0ull << 31 : 0;
        for (unsigned i = 0; i < 2; i++) {
            map(rig, &tables, (uint64_t)i << 30, (uint64_t)(8 + i) << 30, 1, full);
        }
        *word_at(rig, tables.root + 16) = 10ull << 30 | full | 1; /* behind the table's end */
        use(rig, &tables);
        set_cd(rig, CD, upper ? cd_word_upper(&tables, ASID) : cd_word(&tables, ASID), tables.root);
        *word_at(rig, CD + 16) = tables.root;
        forget_configuration(rig);
        assert_translated(rig, base + 0x1000, (8ull << 30) + 0x1000, (2ull << 30) - 0x1000);
        assert_translated(rig, base + (1ull << 30), 9ull << 30, 1ull << 30);
        assert_not_translated(rig, base + (2ull << 30), F_TRANSLATION);
        assert_not_translated(rig, base - 1, F_TRANSLATION);
    }
}

/* ---- leaves beside the one that was asked for */

/* What was not valid is not cached: it needs no command once it is. */
static void what_is_invalid_is_not_taken_along(void **state)
{
    struct rig *rig = *state;
    struct tables tables = tables_in_use(rig);
    map_row(rig, &tables, 0, 1, full);
    map_row(rig, &tables, 2, 1, full & ~TTD_AF);
    *descriptor(rig, &tables, 3) = (pa + 0x3000) | full | 3 | 1ull << 47;
    assert_translated(rig, page(0), pa, 0x1000);
    assert_not_translated(rig, page(1), F_TRANSLATION);
    assert_not_translated(rig, page(2), F_ACCESS);
    assert_not_translated(rig, page(3), F_ADDR_SIZE);
    map_row(rig, &tables, 1, 3, full);
    for (unsigned i = 1; i < 4; i++) {
        assert_translated(rig, page(i), pa + i * 0x1000, (4 - i) * 0x1000);
    }
    assert_translated(rig, page(0), pa, 4 * 0x1000);
}

/* An invalidation names what was taken along as if it had been used, and nothing beside it. */
static void what_was_taken_along_is_invalidated(void **state)
{
    struct rig *rig = *state;
    const uint64_t mine = CMD_TLBI_NH_VA | CMD_ASID(ASID);
    const uint64_t commands[][2] = {
        {mine, page(5)},
        {mine, page(5) | CMD_TG(12) | CMD_TTL(3)},
        {CMD_TLBI_NH_VAA, page(5)},
    };
    for (unsigned i = 0; i < COUNT(commands); i++) {
        struct tables tables = tables_in_use(rig);
        map_row(rig, &tables, 0, LINE, full);
        assert_translated(rig, page(0), pa, LINE * 0x1000);
        for (unsigned j = 0; j < LINE; j++) {
            *descriptor(rig, &tables, j) = 0;
        }
        command(rig, commands[i][0], commands[i][1]);
        sync_commands(rig);
        assert_translated(rig, page(0), pa, 5 * 0x1000);
        assert_not_translated(rig, page(5), F_TRANSLATION);
        assert_translated(rig, page(6), pa + 0x6000, (LINE - 6) * 0x1000);
    }
}

/* Buffers that are read and buffers that are written lie side by side: all of them stay cached. */
static void unlike_neighbours_stay(void **state)
{
    struct rig *rig = *state;
    struct tables tables = tables_in_use(rig);
    for (unsigned i = 0; i < LINE; i++) {
        uint64_t global = i == 6 ? TTD_NG : 0;
        map_row(rig, &tables, i, 1, i % 2 ? full & ~global : full | TTD_READ_ONLY);
    }
    for (unsigned i = 0; i < LINE; i++) {
        assert_int_equal(access_at(rig, page(i), DMA_FROM_MEMORY), 0);
    }
    for (unsigned i = 0; i < LINE; i++) {
        *descriptor(rig, &tables, i) = 0;
    }
    for (unsigned i = 0; i < LINE; i++) {
        assert_int_equal(access_at(rig, page(i), DMA_FROM_MEMORY), 0);
        assert_int_equal(translation.address.raw, pa + i * 0x1000);
        assert_int_equal(translation.length, 0x1000);
    }
}

/* A line's pages are its address space's own, but for the global ones. */
static void other_spaces_see_global_pages_only(void **state)
{
    struct rig *rig = *state;
    struct tables tables = tables_in_use(rig), empty = new_tables(rig, 12, 39);
    set_cd(rig, OTHER_CD, cd_word(&empty, OTHER_ASID), empty.root);
    set_ste(rig, OTHER_SID, STE_S1(OTHER_CD), 0);
    map_row(rig, &tables, 0, 4, full);
    map_row(rig, &tables, 4, 2, full & ~TTD_NG);
    assert_translated(rig, page(0), pa, 4 * 0x1000);
    assert_translated(rig, page(4), pa + 0x4000, 2 * 0x1000);
    assert_int_equal(access_sid(rig, OTHER_SID, page(0), DMA_TO_MEMORY), -EFAULT);
    assert_int_equal(access_sid(rig, OTHER_SID, page(5), DMA_TO_MEMORY), 0);
    assert_int_equal(translation.address.raw, pa + 0x5000);
    command(rig, CMD_TLBI_NH_ASID | CMD_ASID(ASID), 0);
    sync_commands(rig);
    assert_int_equal(access_sid(rig, OTHER_SID, page(5), DMA_TO_MEMORY), 0);
}

/* ---- IDR3.BBML 2, 3.21.1.3: another size without a break between, then one invalidation */

enum { BLOCK_PAGES = 512 };

static void assert_all_translated(struct rig *rig, uint64_t from, uint64_t to)
{
    for (unsigned i = 0; i < BLOCK_PAGES; i += 7) { /* by a block or by pages */
        assert_int_equal(access_at(rig, from + i * 0x1000, DMA_TO_MEMORY), 0);
        assert_int_equal(translation.address.raw, to + i * 0x1000);
    }
}

/* Pages become a block, or the reverse, while some of what was there before is cached. */
static void sizes_change(void **state)
{
    struct rig *rig = *state;
    const uint64_t from = va >> 21 << 21, to = pa >> 21 << 21;
    const uint64_t all = CMD_TLBI_NH_VA | CMD_ASID(ASID) | CMD_NUM(15) | CMD_SCALE(5);
    for (unsigned to_pages = 0; to_pages < 2; to_pages++) {
        struct tables tables = tables_in_use(rig);
        uint64_t *word = word_at(rig, make_way(rig, &tables, from, 2));
        uint64_t table = new_table(rig, 12), block = to | full | 1;
        for (unsigned i = 0; i < BLOCK_PAGES; i++) {
            *word_at(rig, table + i * 8) = (to + i * 0x1000) | full | 3;
        }
        *word = to_pages ? block : table | 3;
        assert_int_equal(access_at(rig, from, DMA_TO_MEMORY), 0);
        *word = to_pages ? table | 3 : block;
        assert_all_translated(rig, from, to);
        *word = 0;
        command(rig, all, from | CMD_TG(12));
        sync_commands(rig);
        assert_not_translated(rig, from, F_TRANSLATION);
        assert_not_translated(rig, from + 0x100000, F_TRANSLATION);
    }
}

#define STARTED(test) cmocka_unit_test_setup_teardown(test, rig_setup_started, rig_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STARTED(a_row_is_one_translation),
        STARTED(a_row_ends_where_pages_differ),
        STARTED(a_row_of_several_translations),
        STARTED(rows_of_blocks),
        STARTED(what_is_invalid_is_not_taken_along),
        STARTED(what_was_taken_along_is_invalidated),
        STARTED(unlike_neighbours_stay),
        STARTED(other_spaces_see_global_pages_only),
        STARTED(sizes_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

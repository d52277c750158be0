/* SPDX-License-Identifier: MIT */
/*
 * vmm/dma_copy.c against memory in pieces: an IOMMU of this test's own stands in the place of
 * vmm/dma.c. It translates by a table of 4 KiB pages in random order, and extends a mapping over
 * neighbours only as far as it likes to.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/dma_copy.h"

enum { PAGE = 4096, PAGES = 96, SPACE = PAGE * PAGES };

static const uint64_t base = 0xfff0000000; /* bus address of page 0 */

static uint8_t ram[SPACE];
static unsigned page_table[PAGES]; /* bus page to page of ram, or NO_PAGE */
static unsigned longest;           /* a mapping never covers more bytes than this; 0: no limit */
static bool held;                  /* between dma_hold() and dma_release() */
enum { NO_PAGE = ~0u };

static uint32_t random_state = 0x2545f491;

static uint32_t below(uint32_t limit)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state % limit;
}

/* ---- in place of vmm/dma.c */

int dma_map_held(struct dma_space *space, iova_t address, uint64_t length,
                 enum dma_direction direction, struct dma_mapping *mapping)
{
    (void)space;
    (void)direction;
    assert_true(held && length > 0);
    assert_true(address.raw >= base && address.raw + length <= base + SPACE);
    uint64_t offset = address.raw - base;
    unsigned page = (unsigned)(offset / PAGE);
    if (page_table[page] == NO_PAGE) {
        return -EFAULT;
    }
    uint64_t available = PAGE - offset % PAGE;
    for (unsigned next = page + 1; next < PAGES; next++) {
        if (page_table[next] != page_table[page] + (next - page)) {
            break;
        }
        available += PAGE;
    }
    if (longest && available > longest) {
        available = 1 + below(longest);
    }
    mapping->host = ram + (uint64_t)page_table[page] * PAGE + offset % PAGE;
    mapping->length = available < length ? available : length;
    return 0;
}

/* Some of the pieces that come next, as long as they are there. */
int dma_map_row_held(struct dma_space *space, iova_t address, uint64_t length,
                     enum dma_direction direction, struct dma_row *row)
{
    int ret = dma_map_held(space, address, length, direction, &row->piece[0]);
    unsigned most = 1 + below(DMA_ROW);
    row->count = ret == 0;
    while (ret == 0 && row->count < most) {
        address.raw += row->piece[row->count - 1].length;
        length -= row->piece[row->count - 1].length;
        if (length == 0 ||
            dma_map_held(space, address, length, direction, &row->piece[row->count]) < 0) {
            break;
        }
        row->count++;
    }
    return ret;
}

unsigned dma_hold(struct dma_space *space)
{
    (void)space;
    assert_false(held);
    held = true;
    return 0;
}

void dma_release(struct dma_space *space, unsigned phase)
{
    (void)space;
    (void)phase;
    assert_true(held);
    held = false;
}

/* ---- helpers */

static void map_in_order(void)
{
    for (unsigned i = 0; i < PAGES; i++) {
        page_table[i] = i;
    }
}

/* Each page of RAM at one bus address, in random order; a swap now and then leaves some runs. */
static void map_shuffled(unsigned swaps)
{
    map_in_order();
    for (unsigned i = 0; i < swaps; i++) {
        unsigned a = below(PAGES);
        unsigned b = below(PAGES);
        unsigned page = page_table[a];
        page_table[a] = page_table[b];
        page_table[b] = page;
    }
}

static void bus_get(uint8_t *to)
{
    for (unsigned i = 0; i < PAGES; i++) {
        memcpy(to + i * PAGE, ram + (size_t)page_table[i] * PAGE, PAGE);
    }
}

/* Copy to the end in steps of `limit`. The first error, or 0. */
static int run(struct dma_copy *copy, uint64_t src, uint64_t dst, uint64_t length, uint64_t limit)
{
    int ret = dma_copy_begin(copy, NULL, iova(base + src), iova(base + dst), length);
    assert_int_equal(ret, 0);
    do {
        uint64_t before = copy->moved;
        ret = dma_copy_step(copy, limit);
        assert_false(held);
        if (ret >= 0) {
            uint64_t step = copy->moved - before;
            assert_true(step == limit || (ret == 0 && copy->moved == length && step <= limit));
        }
    } while (ret > 0);
    return ret;
}

static void check_random_copies(unsigned count)
{
    static uint8_t expected[SPACE];
    static uint8_t actual[SPACE];
    for (unsigned i = 0; i < SPACE; i++) {
        ram[i] = (uint8_t)below(256);
    }
    bus_get(expected);
    for (unsigned i = 0; i < count; i++) {
        uint32_t length = 1 + below(i % 3 ? SPACE / 2 : 2 * PAGE);
        uint32_t src = below(SPACE - length + 1);
        uint32_t dst = below(SPACE - length + 1);
        uint64_t limit = i % 2 ? 64 << 10 : 1 + below(3 * PAGE);
        struct dma_copy copy;
        memmove(expected + dst, expected + src, length);
        assert_int_equal(run(&copy, src, dst, length, limit), 0);
        bus_get(actual);
        if (memcmp(expected, actual, SPACE) != 0) {
            fail_msg("copy %u: 0x%x bytes from 0x%x to 0x%x by 0x%llx", i, length, src, dst,
                     (unsigned long long)limit);
        }
    }
}

/* ---- tests */

static void test_contiguous(void **state)
{
    (void)state;
    longest = 0;
    map_in_order();
    check_random_copies(300);
}

static void test_some_pages_elsewhere(void **state)
{
    (void)state;
    longest = 0;
    map_shuffled(8);
    check_random_copies(300);
}

static void test_every_page_elsewhere(void **state)
{
    (void)state;
    longest = 0;
    map_shuffled(4 * PAGES);
    check_random_copies(300);
}

/* No IOMMU gives pieces smaller than a page, but nothing in dma_map()'s contract forbids it. */
static void test_tiny_pieces(void **state)
{
    (void)state;
    longest = 100;
    map_shuffled(20);
    check_random_copies(60);
    longest = 0;
}

static void test_fault_address(void **state)
{
    (void)state;
    struct dma_copy copy;
    map_in_order();
    page_table[10] = NO_PAGE;
    assert_int_equal(run(&copy, 9 * PAGE + 5, 40 * PAGE, 3 * PAGE, SPACE), -EFAULT);
    assert_int_equal(copy.fault.raw, base + 10 * PAGE);
    assert_int_equal(copy.moved, PAGE - 5);
    assert_int_equal(run(&copy, 40 * PAGE + 7, 9 * PAGE + 5, 3 * PAGE, SPACE), -EFAULT);
    assert_int_equal(copy.fault.raw, base + 10 * PAGE);
    /* Backward, from page 12 down: what is above the fault has arrived. */
    memset(ram, 0, SPACE);
    memset(ram + 11 * PAGE, 0x77, PAGE);
    assert_int_equal(run(&copy, 9 * PAGE, 9 * PAGE + 100, 3 * PAGE, PAGE), -EFAULT);
    assert_int_equal(ram[12 * PAGE + 99], 0x77);
    assert_in_range(copy.fault.raw, base + 10 * PAGE, base + 11 * PAGE - 1);
    map_in_order();
}

/* The same RAM at two bus addresses: no order is right, but nothing outside may change. */
static void test_aliases(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 100; round++) {
        struct dma_copy copy;
        for (unsigned i = 0; i < PAGES; i++) {
            page_table[i] = 8 + below(8);
        }
        memset(ram, 0x5a, SPACE);
        memset(ram + 8 * PAGE, 0xa5, 8 * PAGE);
        assert_int_equal(run(&copy, below(40 * PAGE), below(40 * PAGE), 50 * PAGE, 64 << 10), 0);
        for (unsigned i = 0; i < SPACE; i++) {
            assert_int_equal(ram[i], i / PAGE >= 8 && i / PAGE < 16 ? 0xa5 : 0x5a);
        }
    }
}

static void test_invalid_ranges(void **state)
{
    (void)state;
    struct dma_copy copy;
    const uint64_t top = UINT64_MAX;
    assert_int_equal(dma_copy_begin(&copy, NULL, iova(0), iova(0), 0), -ERANGE);
    assert_int_equal(dma_copy_begin(&copy, NULL, iova(top), iova(0), 2), -ERANGE);
    assert_int_equal(dma_copy_begin(&copy, NULL, iova(0), iova(top), 2), -ERANGE);
    assert_int_equal(dma_copy_begin(&copy, NULL, iova(1), iova(0), top), 0);
    assert_int_equal(dma_copy_begin(&copy, NULL, iova(2), iova(0), top), -ERANGE);
    assert_int_equal(dma_copy_begin(&copy, NULL, iova(top), iova(0), 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_contiguous),           cmocka_unit_test(test_some_pages_elsewhere),
        cmocka_unit_test(test_every_page_elsewhere), cmocka_unit_test(test_tiny_pieces),
        cmocka_unit_test(test_fault_address),        cmocka_unit_test(test_aliases),
        cmocka_unit_test(test_invalid_ranges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

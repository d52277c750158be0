/* SPDX-License-Identifier: MIT */
/* Guest RAM and DMA: what is reached, what is refused, and every sum that could wrap. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/dma.h"
#include "vmm/guest_memory.h"

enum { MIB = 1 << 20 };
#define HIGH 0x100000000ull

/* 4 MiB at 0, 2 MiB right behind it, and 2 MiB at 4 GiB. */
static int setup(void **state)
{
    struct guest_memory *memory = calloc(1, sizeof(*memory));
    assert_int_equal(guest_memory_add(memory, gpa(0), 4 * MIB, false, NULL), 0);
    assert_int_equal(guest_memory_add(memory, gpa(4 * MIB), 2 * MIB, false, NULL), 0);
    assert_int_equal(guest_memory_add(memory, gpa(HIGH), 2 * MIB, false, NULL), 0);
    *state = memory;
    return 0;
}

static int teardown(void **state)
{
    guest_memory_destroy(*state);
    free(*state);
    return 0;
}

static void blocks_are_aligned_for_huge_pages(void **state)
{
    struct guest_memory *memory = *state;
    for (unsigned i = 0; i < memory->count; i++) {
        assert_int_equal((uintptr_t)memory->blocks[i].host % (2 * MIB), 0);
    }
}

static void bad_blocks_are_refused(void **state)
{
    struct guest_memory *memory = *state;
    struct error err;
    assert_int_equal(guest_memory_add(memory, gpa(MIB), MIB, false, &err), -EINVAL);
    assert_non_null(strstr(err.text, "out of order"));
    assert_int_equal(guest_memory_add(memory, gpa(2 * HIGH), 0, false, &err), -EINVAL);
    assert_int_equal(guest_memory_add(memory, gpa(UINT64_MAX - MIB), 2 * MIB, false, &err),
                     -EINVAL);
    assert_int_equal(guest_memory_add(memory, gpa(2 * HIGH), 3 * MIB, true, &err), -EINVAL);
    assert_string_equal(err.text, "--hugetlb: memory must be a multiple of 2M");
    assert_int_equal(guest_memory_add(memory, gpa(2 * HIGH), 1ull << 62, false, &err), -ENOMEM);
    assert_int_equal(guest_memory_add(memory, gpa(2 * HIGH), MIB, false, &err), 0);
    assert_int_equal(guest_memory_add(memory, gpa(3 * HIGH), MIB, false, &err), -ENOSPC);
}

static void pointers_stay_inside_a_block(void **state)
{
    struct guest_memory *memory = *state;
    uint64_t available;
    assert_ptr_equal(guest_memory_at(memory, gpa(0), 16, &available), memory->blocks[0].host);
    assert_int_equal(available, 16);
    assert_non_null(guest_memory_at(memory, gpa(4 * MIB - 3), 16, &available));
    assert_int_equal(available, 3);
    assert_ptr_equal(guest_memory_at(memory, gpa(HIGH + 2 * MIB - 1), UINT64_MAX, &available),
                     memory->blocks[2].host + 2 * MIB - 1);
    assert_int_equal(available, 1);
    assert_null(guest_memory_at(memory, gpa(6 * MIB), 1, &available));
    assert_null(guest_memory_at(memory, gpa(HIGH - 1), 1, &available));
    assert_null(guest_memory_at(memory, gpa(UINT64_MAX), UINT64_MAX, &available));
    assert_non_null(guest_memory_range(memory, gpa(0), 4 * MIB));
    assert_null(guest_memory_range(memory, gpa(0), 4 * MIB + 1)); /* RAM, but two blocks */
    assert_null(guest_memory_range(memory, gpa(1), UINT64_MAX));
}

static void copies_cross_blocks_and_stop_at_holes(void **state)
{
    struct guest_memory *memory = *state;
    uint8_t out[64], in[64] = {0};
    for (unsigned i = 0; i < sizeof(out); i++) {
        out[i] = (uint8_t)(i * 7 + 1);
    }
    assert_int_equal(guest_memory_write(memory, gpa(4 * MIB - 32), out, sizeof(out)), 0);
    assert_int_equal(guest_memory_read(memory, gpa(4 * MIB - 32), in, sizeof(in)), 0);
    assert_memory_equal(in, out, sizeof(in));
    assert_memory_equal(memory->blocks[1].host, out + 32, 32);
    assert_int_equal(guest_memory_write(memory, gpa(6 * MIB - 32), out, sizeof(out)), -EFAULT);
    assert_int_equal(guest_memory_read(memory, gpa(6 * MIB - 32), in, sizeof(in)), -EFAULT);
    assert_int_equal(guest_memory_read(memory, gpa(UINT64_MAX - 8), in, sizeof(in)), -EFAULT);
    assert_int_equal(guest_memory_read(memory, gpa(7 * MIB), in, 0), 0);
}

static void dma_says_why_it_fails(void **state)
{
    struct dma_space space = {.memory = *state};
    struct dma_mapping mapping;
    uint8_t byte = 1;
    assert_int_equal(dma_write(&space, iova(0), &byte, 1), -EACCES);
    assert_int_equal(dma_map(&space, iova(0), 1, DMA_FROM_MEMORY, &mapping), -EACCES);
    atomic_store(&space.bus_master, true);
    assert_int_equal(dma_write(&space, iova(0), &byte, 1), 0);
    assert_int_equal(dma_map(&space, iova(UINT64_MAX), 2, DMA_TO_MEMORY, &mapping), -ERANGE);
    assert_int_equal(dma_map(&space, iova(UINT64_MAX), 1, DMA_TO_MEMORY, &mapping), -ENXIO);
    assert_int_equal(dma_map(&space, iova(0xfebf0000), 4, DMA_TO_MEMORY, &mapping), -ENXIO);
    assert_int_equal(dma_read(&space, iova(6 * MIB - 1), &(uint16_t){0}, 2), -ENXIO);
}

static void dma_maps_and_copies(void **state)
{
    struct guest_memory *memory = *state;
    struct dma_space space = {.memory = memory};
    atomic_store(&space.bus_master, true);
    struct dma_mapping mapping;
    assert_int_equal(dma_map(&space, iova(4 * MIB - 5), 100, DMA_TO_MEMORY, &mapping), 0);
    assert_int_equal(mapping.length, 5);
    assert_ptr_equal(mapping.host, memory->blocks[0].host + 4 * MIB - 5);
    dma_unmap(&space, &mapping);
    assert_null(mapping.host);
    const char text[] = "across two blocks";
    char back[sizeof(text)] = {0};
    assert_int_equal(dma_write(&space, iova(4 * MIB - 8), text, sizeof(text)), 0);
    assert_int_equal(dma_read(&space, iova(4 * MIB - 8), back, sizeof(back)), 0);
    assert_string_equal(back, text);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(blocks_are_aligned_for_huge_pages),
        TEST(bad_blocks_are_refused),
        TEST(pointers_stay_inside_a_block),
        TEST(copies_cross_blocks_and_stop_at_holes),
        TEST(dma_says_why_it_fails),
        TEST(dma_maps_and_copies),
    };
    return cmocka_run_group_tests_name("guest_memory", tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* How RAM of any size is laid out around the hole below 4 GiB, and what the kernel is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "vmm/x86/memory_map.h"

#define MIB (1ull << 20)
#define GIB (1ull << 30)

static struct x86_memory_map map_of(uint64_t ram, unsigned bits)
{
    struct x86_memory_map map;
    struct error err = {""};
    assert_int_equal(x86_memory_map_init(&map, ram, bits, &err), 0);
    return map;
}

static void test_small_ram_is_all_low(void **state)
{
    (void)state;
    const uint64_t sizes[] = {2 * MIB, 64 * MIB, 256 * MIB, 2 * GIB, 0xb0000000 - MIB};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct x86_memory_map map = map_of(sizes[i], 40);
        assert_int_equal(map.low_ram, sizes[i]);
        assert_int_equal(map.high_ram, 0);
        assert_int_equal(map.pci64_base, 4 * GIB);
    }
}

static void test_large_ram_is_split_at_2g(void **state)
{
    (void)state;
    const uint64_t sizes[] = {0xb0000000, 3 * GIB, 4 * GIB, 64 * GIB, 512 * GIB};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct x86_memory_map map = map_of(sizes[i], 46);
        assert_int_equal(map.low_ram, 2 * GIB);
        assert_int_equal(map.high_ram, sizes[i] - 2 * GIB);
    }
}

static void test_pci64_window_is_above_ram_and_below_the_limit(void **state)
{
    (void)state;
    struct x86_memory_map map = map_of(3 * GIB + MIB, 46);
    assert_int_equal(map.pci64_base, 6 * GIB); /* RAM ends at 5 GiB + 1 MiB */
    assert_int_equal(map.pci64_size, 512 * GIB);
    map = map_of(256 * MIB, 36);
    assert_int_equal(map.pci64_base, 4 * GIB);
    assert_int_equal(map.pci64_size, 60 * GIB);
    map = map_of(62 * GIB, 36); /* RAM up to the last address */
    assert_int_equal(map.pci64_size, 0);
    assert_int_equal(map.pci64_base, 0);
    map = map_of(256 * MIB, 32);
    assert_int_equal(map.pci64_size, 0);
}

static void expect_refused(uint64_t ram, unsigned bits)
{
    struct x86_memory_map map;
    struct error err = {""};
    assert_int_equal(x86_memory_map_init(&map, ram, bits, &err), -EINVAL);
    assert_int_equal(strncmp(err.text, "--memory: ", 10), 0);
}

static void test_impossible_sizes_are_refused(void **state)
{
    (void)state;
    expect_refused(62 * GIB + MIB, 36);
    expect_refused(3 * GIB, 32);
    expect_refused(1 * MIB, 40);
    expect_refused(0, 40);
    expect_refused(UINT64_MAX, 52);
}

static void test_unknown_address_bits_mean_36(void **state)
{
    (void)state;
    assert_int_equal(map_of(62 * GIB, 0).high_ram, 60 * GIB);
    expect_refused(62 * GIB + MIB, 0);
}

static bool reserved(const struct x86_memory_range *ranges, unsigned count, uint64_t base,
                     uint64_t size)
{
    for (unsigned i = 0; i < count; i++) {
        if (ranges[i].type == X86_RANGE_RESERVED && base >= ranges[i].base &&
            base + size <= ranges[i].base + ranges[i].size) {
            return true;
        }
    }
    return false;
}

static void check_ranges(uint64_t ram)
{
    struct x86_memory_map map = map_of(ram, 46);
    struct x86_memory_range ranges[X86_MEMORY_RANGES_MAX];
    unsigned count = x86_memory_ranges(&map, ranges);
    uint64_t usable = 0, end = 0;
    assert_in_range(count, 1, X86_MEMORY_RANGES_MAX);
    for (unsigned i = 0; i < count; i++) {
        assert_true(ranges[i].base >= end); /* ascending, none overlaps another */
        assert_true(ranges[i].size > 0);
        end = ranges[i].base + ranges[i].size;
        usable += ranges[i].type == X86_RANGE_RAM ? ranges[i].size : 0;
    }
    assert_int_equal(usable, ram - (MIB - X86_EBDA_BASE));
    assert_true(reserved(ranges, count, X86_ECAM_BASE, X86_ECAM_SIZE));
    assert_true(reserved(ranges, count, X86_ACPI_BASE, X86_ACPI_SIZE));
    assert_true(reserved(ranges, count, X86_TSS_BASE, 0x3000));
}

static void test_ranges(void **state)
{
    (void)state;
    const uint64_t sizes[] = {2 * MIB, 64 * MIB, 0xb0000000 - MIB, 0xb0000000, 512 * GIB};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        check_ranges(sizes[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small_ram_is_all_low),
        cmocka_unit_test(test_large_ram_is_split_at_2g),
        cmocka_unit_test(test_pci64_window_is_above_ram_and_below_the_limit),
        cmocka_unit_test(test_impossible_sizes_are_refused),
        cmocka_unit_test(test_unknown_address_bits_mean_36),
        cmocka_unit_test(test_ranges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

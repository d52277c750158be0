/* SPDX-License-Identifier: MIT */
/* Where things are for RAM of any size and for hosts with few address bits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "vmm/arm64/memory_map.h"

#define MIB (1ull << 20)
#define GIB (1ull << 30)
#define TIB (1ull << 40)

static struct arm64_memory_map map_of(uint64_t ram, unsigned bits, bool high_ecam)
{
    struct arm64_memory_map map;
    struct error err = {""};
    assert_int_equal(arm64_memory_map_init(&map, ram, bits, high_ecam, &err), 0);
    return map;
}

static void test_the_usual_machine_is_at_virts_addresses(void **state)
{
    (void)state;
    const uint64_t sizes[] = {2 * MIB, 256 * MIB, 4 * GIB, 255 * GIB};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct arm64_memory_map map = map_of(sizes[i], 40, true);
        assert_int_equal(map.ram, sizes[i]);
        assert_int_equal(map.high_gicr_base, 0x4000000000);
        assert_int_equal(map.ecam_base, 0x4010000000);
        assert_int_equal(map.ecam_buses, 256);
        assert_int_equal(map.pci64_base, 0x8000000000);
        assert_int_equal(map.pci64_size, 0x8000000000);
        assert_int_equal(arm64_memory_map_bits(sizes[i]), 40);
    }
}

static void test_ecam_can_be_low(void **state)
{
    (void)state;
    struct arm64_memory_map map = map_of(256 * MIB, 40, false);
    assert_int_equal(map.ecam_base, 0x3f000000);
    assert_int_equal(map.ecam_buses, 16);
    assert_int_equal(map.pci64_base, 0x8000000000);
    assert_int_equal(map.ecam_base + map.ecam_buses * ARM64_ECAM_BUS_SIZE, ARM64_RAM_BASE);
}

static void test_what_does_not_fit_into_few_address_bits_is_left_out(void **state)
{
    (void)state;
    struct arm64_memory_map map = map_of(4 * GIB, 36, true);
    assert_int_equal(map.ecam_base, 0x3f000000);
    assert_int_equal(map.pci64_size, 0);
    assert_int_equal(map.pci64_base, 0);
    assert_int_equal(map.high_gicr_size, 0);
    map = map_of(4 * GIB, 39, true); /* ECAM fits, the window does not */
    assert_int_equal(map.ecam_base, 0x4010000000);
    assert_int_equal(map.pci64_size, 0);
}

static void test_more_ram_pushes_the_rest_up(void **state)
{
    (void)state;
    const uint64_t sizes[] = {255 * GIB + MIB, 256 * GIB, 511 * GIB, TIB, 5 * TIB + MIB};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        unsigned bits = arm64_memory_map_bits(sizes[i]);
        struct arm64_memory_map map = map_of(sizes[i], bits, true);
        uint64_t ram_end = ARM64_RAM_BASE + sizes[i];
        assert_true(bits > 40 || sizes[i] <= 511 * GIB);
        assert_true(map.high_gicr_base >= ram_end);
        assert_true(map.ecam_base >= map.high_gicr_base + map.high_gicr_size);
        assert_true(map.pci64_base >= map.ecam_base + 256 * MIB);
        assert_int_equal(map.ecam_base % (256 * MIB), 0);
        assert_int_equal(map.pci64_base % (512 * GIB), 0);
        assert_true(map.pci64_base + map.pci64_size <= 1ull << bits);
        assert_true(map.pci64_base + map.pci64_size > 1ull << (bits - 1));
    }
}

static void expect_refusal(uint64_t ram, unsigned bits, const char *reason)
{
    struct arm64_memory_map map;
    struct error err = {""};
    assert_int_equal(arm64_memory_map_init(&map, ram, bits, true, &err), -EINVAL);
    assert_non_null(strstr(err.text, "--memory"));
    assert_non_null(strstr(err.text, reason));
}

static void test_ram_beyond_the_address_bits_is_refused(void **state)
{
    (void)state;
    map_of(1023 * GIB, 40, true); /* up to the last address */
    expect_refusal(1023 * GIB + MIB, 40, "40 address bits");
    expect_refusal(64 * GIB, 36, "36 address bits");
    map_of(63 * GIB, 36, true);
    expect_refusal(UINT64_MAX - MIB, 48, "48 address bits");
    expect_refusal(MIB, 40, "too little");
    expect_refusal(0, 40, "too little");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_usual_machine_is_at_virts_addresses),
        cmocka_unit_test(test_ecam_can_be_low),
        cmocka_unit_test(test_what_does_not_fit_into_few_address_bits_is_left_out),
        cmocka_unit_test(test_more_ram_pushes_the_rest_up),
        cmocka_unit_test(test_ram_beyond_the_address_bits_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

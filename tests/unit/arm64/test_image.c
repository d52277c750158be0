/* SPDX-License-Identifier: MIT */
/*
 * The kernel loader against good, truncated, malformed and hostile files. The files are made here,
 * in memory; what is loaded is read back from guest RAM as a kernel would read it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include "vmm/arm64/boot.h"

#define MIB (1ull << 20)

enum { RAM = 32 << 20, IMAGE_SIZE = 8192, PE = 0x40, MAX_FILE = 40 << 20 };

/* ---- a machine with 32 MiB, and files in memory */

struct rig {
    struct guest_memory memory;
    struct arm64_memory_map map;
    struct boot_target target;
    struct boot boot;
    struct boot_entry entry;
    struct error err;
    int kernel_fd, initrd_fd;
    char kernel_path[32], initrd_path[32];
    uint8_t image[IMAGE_SIZE];
};

#include "tests/unit/boot_fixture.h"

static void put16(uint8_t *to, uint16_t value)
{
    memcpy(to, &value, sizeof(value));
}

static void put32(uint8_t *to, uint32_t value)
{
    memcpy(to, &value, sizeof(value));
}

static void put64(uint8_t *to, uint64_t value)
{
    memcpy(to, &value, sizeof(value));
}

/* A good Image with a PE header of one section, which ends with the file. */
static void make_image(struct rig *rig)
{
    uint8_t *image = rig->image;
    for (unsigned i = 0; i < IMAGE_SIZE; i++) {
        image[i] = (uint8_t)(i * 31 >> 3);
    }
    memset(image, 0, 0x100);
    memcpy(image, "MZ", 2);
    put64(image + 8, 0);
    put64(image + 16, 3 * MIB + 4096); /* with .bss */
    put64(image + 24, 0xa);
    memcpy(image + 56, "ARM\x64", 4);
    put32(image + 60, PE);
    memcpy(image + PE, "PE\0\0", 4);
    put16(image + PE + 6, 1);
    put16(image + PE + 20, 16);
    put32(image + PE + 24 + 16 + 16, IMAGE_SIZE - 4096);
    put32(image + PE + 24 + 16 + 20, 4096);
}

static int set_up(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    assert_non_null(rig);
    open_files(rig);
    assert_int_equal(arm64_memory_map_init(&rig->map, RAM, 40, true, &rig->err), 0);
    assert_int_equal(guest_memory_add(&rig->memory, gpa(ARM64_RAM_BASE), RAM, false, &rig->err), 0);
    rig->target = (struct boot_target){.memory = &rig->memory, .map = &rig->map};
    make_image(rig);
    *state = rig;
    return 0;
}

static int load_image(struct rig *rig)
{
    return load_kernel(rig, rig->image, IMAGE_SIZE);
}

static void *guest(struct rig *rig, uint64_t address, size_t length)
{
    void *host = guest_memory_range(&rig->memory, gpa(address), length);
    assert_non_null(host);
    return host;
}

static void expect_loaded_at(struct rig *rig, uint64_t address)
{
    assert_int_equal(rig->entry.pc, address);
    assert_memory_equal(guest(rig, address, IMAGE_SIZE), rig->image, IMAGE_SIZE);
}

/* ---- good ones */

static void test_image_goes_to_the_start_of_ram(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(load_image(rig), 0);
    expect_loaded_at(rig, 0x40000000);
    assert_int_equal(rig->entry.dtb, 0x40400000); /* behind 3 MiB + 4 KiB, at 2 MiB */
    assert_int_equal(rig->entry.initrd_end, 0);
}

static void test_text_offset_is_honoured(void **state)
{
    struct rig *rig = *state;
    put64(rig->image + 8, 0x80000);
    assert_int_equal(load_image(rig), 0);
    expect_loaded_at(rig, 0x40080000);
    put64(rig->image + 16, 0); /* before 3.17: 0x80000 whatever the field says */
    put64(rig->image + 8, 0x1234);
    assert_int_equal(load_image(rig), 0);
    expect_loaded_at(rig, 0x40080000);
    assert_int_equal(rig->entry.dtb, 0x40200000);
}

static void test_initrd_is_behind_the_device_tree(void **state)
{
    struct rig *rig = *state;
    char *initrd = malloc(5 * MIB + 1);
    memset(initrd, 'i', 5 * MIB + 1);
    put_file(rig->initrd_fd, initrd, 5 * MIB + 1);
    put_file(rig->kernel_fd, rig->image, IMAGE_SIZE);
    assert_int_equal(load(rig, rig->initrd_path, NULL), 0);
    assert_int_equal(rig->entry.initrd_start, rig->entry.dtb + BOOT_DTB_ROOM);
    assert_int_equal(rig->entry.initrd_end - rig->entry.initrd_start, 5 * MIB + 1);
    assert_memory_equal(guest(rig, rig->entry.initrd_start, 5 * MIB + 1), initrd, 5 * MIB + 1);
    free(initrd);
}

static void test_an_initrd_that_does_not_fit_is_refused(void **state)
{
    struct rig *rig = *state;
    put_file(rig->kernel_fd, rig->image, IMAGE_SIZE);
    uint64_t room = RAM - 4 * MIB - BOOT_DTB_ROOM;
    assert_int_equal(ftruncate(rig->initrd_fd, (off_t)room), 0);
    assert_int_equal(load(rig, rig->initrd_path, NULL), 0);
    assert_int_equal(rig->entry.initrd_end, ARM64_RAM_BASE + RAM);
    assert_int_equal(ftruncate(rig->initrd_fd, (off_t)room + 1), 0);
    assert_int_equal(load(rig, rig->initrd_path, NULL), -ENOMEM);
    assert_non_null(strstr(rig->err.text, "--initrd"));
}

static void test_it_loads_again_after_a_reset(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(load_image(rig), 0);
    memset(guest(rig, ARM64_RAM_BASE, RAM), 0xee, RAM);
    unlink(rig->kernel_path);
    assert_int_equal(boot_load(&rig->boot, &rig->target, &rig->entry, &rig->err), 0);
    expect_loaded_at(rig, 0x40000000);
    assert_int_equal(ftruncate(rig->kernel_fd, 100), 0);
    assert_true(boot_load(&rig->boot, &rig->target, &rig->entry, &rig->err) < 0);
}

static void test_command_line(void **state)
{
    struct rig *rig = *state;
    static const char *const cases[][2] = {{NULL, "console=ttyAMA0"},
                                           {"quiet", "quiet console=ttyAMA0"},
                                           {"console=ttyS1 x", "console=ttyS1 x"}};
    char line[BOOT_COMMAND_LINE_SIZE + 1];
    put_file(rig->kernel_fd, rig->image, IMAGE_SIZE);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(load(rig, NULL, cases[i][0]), 0);
        assert_string_equal(rig->boot.command_line, cases[i][1]);
    }
    memset(line, 'x', sizeof(line));
    line[BOOT_COMMAND_LINE_SIZE - 1 - strlen(" console=ttyAMA0")] = '\0';
    assert_int_equal(load(rig, NULL, line), 0); /* the longest that the kernel takes whole */
    strcat(line, "x");
    assert_int_equal(load(rig, NULL, line), -EINVAL);
    assert_non_null(strstr(rig->err.text, "--append"));
}

/* ---- bad ones */

static void test_other_files_are_named(void **state)
{
    struct rig *rig = *state;
    uint8_t file[IMAGE_SIZE] = {0};
    expect_error(rig, load_kernel(rig, file, sizeof(file)), "not a kernel in any known format");
    expect_error(rig, load_kernel(rig, "x", 1), "not a kernel");
    memcpy(file + 0x202, "HdrS", 4);
    expect_error(rig, load_kernel(rig, file, sizeof(file)), "an x86 bzImage");
    memcpy(file,
           "\x7f"
           "ELF\x02\x01",
           6);
    memcpy(file + 18, "\xb7\x00", 2);
    memset(file + 0x202, 0, 4);
    expect_error(rig, load_kernel(rig, file, sizeof(file)), "an ELF file for arm64");
}

static void test_big_endian_is_refused(void **state)
{
    struct rig *rig = *state;
    put64(rig->image + 24, 0xb);
    expect_error(rig, load_image(rig), "big-endian");
}

static void test_numbers_that_lie_are_refused(void **state)
{
    struct rig *rig = *state;
    static const struct {
        uint64_t text_offset, image_size;
        const char *reason;
    } cases[] = {
        {0, RAM + 1, "give the machine more --memory"},
        {0, UINT64_MAX, "give the machine more --memory"},
        {RAM, 4096, "give the machine more --memory"},
        {UINT64_MAX & ~3ull, 4096, "give the machine more --memory"},
        {UINT64_MAX & ~3ull, UINT64_MAX, "give the machine more --memory"},
        {RAM - 4096, 4096, "does not fit"}, /* it promises less than the file has */
        {2, 4096, "multiple of 4"},
        {0, RAM, "no room for the device tree"},
        {0, RAM - 2 * MIB + 1, "no room for the device tree"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        put64(rig->image + 8, cases[i].text_offset);
        put64(rig->image + 16, cases[i].image_size);
        expect_error(rig, load_image(rig), cases[i].reason);
    }
}

static void test_truncated_anywhere(void **state)
{
    struct rig *rig = *state;
    for (size_t length = 64; length < IMAGE_SIZE; length += 61) {
        put_file(rig->kernel_fd, rig->image, length);
        int ret = load(rig, NULL, NULL);
        if (length < PE + 24) {
            continue; /* the PE header itself is cut off: nothing says that there was one */
        }
        expect_error(rig, ret, "truncated Image");
    }
    expect_error(rig, load_kernel(rig, rig->image, 63), "truncated");
    expect_error(rig, load_kernel(rig, rig->image, 59), "EFI"); /* "MZ" is all there is to see */
}

static void test_hostile_pe_headers(void **state)
{
    struct rig *rig = *state;
    const uint32_t offsets[] = {0, 63, IMAGE_SIZE - 23, IMAGE_SIZE, UINT32_MAX};
    for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
        put32(rig->image + 60, offsets[i]); /* no PE header there: nothing to check */
        assert_int_equal(load_image(rig), 0);
    }
    put32(rig->image + 60, PE);
    put16(rig->image + PE + 6, 0xffff);
    expect_error(rig, load_image(rig), "truncated");
    put16(rig->image + PE + 6, 1);
    put16(rig->image + PE + 20, 0xffff);
    expect_error(rig, load_image(rig), "truncated");
    put16(rig->image + PE + 20, 16);
    put32(rig->image + PE + 24 + 16 + 16, UINT32_MAX);
    put32(rig->image + PE + 24 + 16 + 20, UINT32_MAX);
    expect_error(rig, load_image(rig), "8589934590");
}

/* ---- compressed */

static size_t compress_to(uint8_t *to, size_t room, const void *data, size_t length)
{
    z_stream stream = {.next_in = (void *)(uintptr_t)data,
                       .avail_in = (unsigned)length,
                       .next_out = to,
                       .avail_out = (unsigned)room};
    assert_int_equal(deflateInit2(&stream, 1, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY),
                     Z_OK);
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    deflateEnd(&stream);
    return stream.total_out;
}

static void test_gzip(void **state)
{
    struct rig *rig = *state;
    uint8_t file[2 * IMAGE_SIZE];
    put64(rig->image + 8, 0x80000);
    size_t size = compress_to(file, sizeof(file), rig->image, IMAGE_SIZE);
    assert_int_equal(load_kernel(rig, file, size), 0);
    assert_int_equal(rig->boot.format, BOOT_IMAGE_GZIP);
    expect_loaded_at(rig, 0x40080000);
    memset(file + size, 0, 100); /* what follows the end does not matter */
    assert_int_equal(load_kernel(rig, file, size + 100), 0);
}

static void test_gzip_truncated_anywhere(void **state)
{
    struct rig *rig = *state;
    uint8_t file[2 * IMAGE_SIZE];
    size_t size = compress_to(file, sizeof(file), rig->image, IMAGE_SIZE);
    for (size_t length = 3; length < size; length += 13) {
        expect_error(rig, load_kernel(rig, file, length), "truncated");
    }
    expect_error(rig, load_kernel(rig, file, size - 1), "truncated");
}

static void test_gzip_damaged(void **state)
{
    struct rig *rig = *state;
    uint8_t file[2 * IMAGE_SIZE];
    size_t size = compress_to(file, sizeof(file), rig->image, IMAGE_SIZE);
    file[size - 5] ^= 1; /* the checksum */
    expect_error(rig, load_kernel(rig, file, size), "damaged: incorrect data check");
    file[size - 5] ^= 1;
    unsigned seed = 1, damaged = 0;
    for (unsigned i = 0; i < 500; i++) { /* whatever comes, it is an error or a kernel */
        size_t at = 10 + rand_r(&seed) % (size - 10);
        uint8_t saved = file[at];
        file[at] ^= (uint8_t)(1u << rand_r(&seed) % 8);
        int ret = load_kernel(rig, file, size);
        assert_true(ret == 0 || rig->err.text[0] != '\0');
        damaged += ret < 0;
        file[at] = saved;
    }
    assert_true(damaged > 490); /* a few bits fill up the last byte and mean nothing */
}

static void test_gzip_of_something_else(void **state)
{
    struct rig *rig = *state;
    uint8_t file[512];
    size_t size = compress_to(file, sizeof(file), "hello", 5);
    expect_error(rig, load_kernel(rig, file, size), "no arm64 Image");
    uint8_t cpio[200] = "070701";
    size = compress_to(file, sizeof(file), cpio, sizeof(cpio));
    expect_error(rig, load_kernel(rig, file, size), "cpio");
    memcpy(rig->image + 16, "\0\0\1\0\0\0\0\0", 8); /* one that unpacks to its header alone */
    put32(rig->image + 60, 0);
    size = compress_to(file, sizeof(file), rig->image, 64);
    assert_int_equal(load_kernel(rig, file, size), 0);
}

static void test_gzip_bomb(void **state)
{
    struct rig *rig = *state;
    uint8_t *large = calloc(1, MAX_FILE), *file = malloc(MIB);
    assert_non_null(large);
    assert_non_null(file);
    memcpy(large, rig->image, IMAGE_SIZE);
    size_t size = compress_to(file, MIB, large, MAX_FILE); /* 40 MiB into 32 */
    expect_error(rig, load_kernel(rig, file, size), "does not fit into 32768 KiB");
    free(large);
    free(file);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_image_goes_to_the_start_of_ram),
        TEST(test_text_offset_is_honoured),
        TEST(test_initrd_is_behind_the_device_tree),
        TEST(test_an_initrd_that_does_not_fit_is_refused),
        TEST(test_it_loads_again_after_a_reset),
        TEST(test_command_line),
        TEST(test_other_files_are_named),
        TEST(test_big_endian_is_refused),
        TEST(test_numbers_that_lie_are_refused),
        TEST(test_truncated_anywhere),
        TEST(test_hostile_pe_headers),
        TEST(test_gzip),
        TEST(test_gzip_truncated_anywhere),
        TEST(test_gzip_damaged),
        TEST(test_gzip_of_something_else),
        TEST(test_gzip_bomb),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

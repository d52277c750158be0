/* SPDX-License-Identifier: MIT */
/* An arm64 Image, plain or compressed, that somebody made to do harm. */
#include "tests/fuzz/fuzz_boot.h"
#include "vmm/arm64/boot.h"

static struct boot_files files;
static struct guest_memory memory;
static struct arm64_memory_map map;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct error err;
    (void)argc;
    (void)argv;
    open_boot_files(&files);
    must(arm64_memory_map_init(&map, FUZZ_RAM, 40, true, &err) == 0);
    must(guest_memory_add(&memory, gpa(ARM64_RAM_BASE), FUZZ_RAM, false, &err) == 0);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    const uint8_t flags = data[0];
    const uint64_t end = ARM64_RAM_BASE + FUZZ_RAM;
    struct boot boot;
    struct boot_entry entry = {0};
    struct error err = {0};
    const struct boot_target target = {.memory = &memory, .map = &map};
    fill_boot_files(&files, flags, data + 1, size - 1);
    int ret = boot_open(&boot, files.kernel, flags & WITH_INITRD ? files.initrd : NULL,
                        flags & WITH_APPEND ? "quiet console=ttyAMA1" : NULL, &err);
    ret = ret < 0 ? ret : boot_load(&boot, &target, &entry, &err);
    if (ret < 0) {
        must_be_one_line(err.text);
    } else {
        must(entry.pc >= ARM64_RAM_BASE && entry.pc < end);
        must(entry.dtb > entry.pc && entry.dtb <= end - BOOT_DTB_ROOM);
        must(entry.initrd_end <= end && entry.initrd_start <= entry.initrd_end);
    }
    boot_close(&boot);
    return 0;
}

/* SPDX-License-Identifier: MIT */
/* A bzImage or an ELF file for PVH that somebody made to do harm. */
#include "tests/fuzz/fuzz_boot.h"
#include "vmm/x86/boot.h"

static struct boot_files files;
static struct guest_memory memory;
static struct x86_memory_map map;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct error err;
    (void)argc;
    (void)argv;
    open_boot_files(&files);
    must(x86_memory_map_init(&map, FUZZ_RAM, 40, &err) == 0);
    must(guest_memory_add(&memory, gpa(0), FUZZ_RAM, false, &err) == 0);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    const uint8_t flags = data[0];
    struct boot boot;
    struct boot_entry entry = {0};
    struct error err = {0};
    const struct boot_target target = {.memory = &memory,
                                       .map = &map,
                                       .rsdp = 0xe0000,
                                       .gigabyte_pages = flags & OTHER,
                                       .ram_is_zero = true};
    fill_boot_files(&files, flags, data + 1, size - 1);
    int ret = boot_open(&boot, files.kernel, flags & WITH_INITRD ? files.initrd : NULL,
                        flags & WITH_APPEND ? "quiet console=ttyS1" : NULL, &err);
    ret = ret < 0 ? ret : boot_load(&boot, &target, &entry, &err);
    if (ret < 0) {
        must_be_one_line(err.text);
    } else {
        must(entry.rip >= X86_HIGH_MEMORY_BASE && entry.rip < map.low_ram);
    }
    boot_close(&boot);
    return 0;
}

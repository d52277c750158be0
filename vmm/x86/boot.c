/* SPDX-License-Identifier: MIT */
#include "vmm/x86/boot.h"

#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { HEAD_SIZE = 1024, PAGE = 4096 };

/* ---- files */

int boot_read_to_guest(const struct boot_file *file, uint64_t offset, uint64_t length,
                       const struct boot_target *target, uint64_t address, struct error *err)
{
    if (length == 0) {
        return 0;
    }
    uint64_t end = target->map->low_ram;
    bool fits = address >= X86_HIGH_MEMORY_BASE && address < end && length <= end - address;
    void *host = fits ? guest_memory_range(target->memory, gpa(address), length) : NULL;
    if (!host) {
        return boot_error(err, -ENOMEM, file,
                          "0x%" PRIx64 " bytes at 0x%" PRIx64
                          " do not fit into RAM (0x100000 to 0x%" PRIx64 "); see --memory",
                          length, address, end);
    }
    return boot_read(file, offset, host, length, err);
}

/* ---- what is it? */

/* bzImage: "HdrS" in the setup header. ELF: of a kind that elf_pvh.c reads. */
static int identify(struct boot *boot, struct error *err)
{
    uint8_t head[HEAD_SIZE] = {0};
    size_t length = boot->kernel.size < HEAD_SIZE ? boot->kernel.size : HEAD_SIZE;
    int ret = boot_read(&boot->kernel, 0, head, length, err);
    if (ret < 0) {
        return ret;
    }
    if (length >= 0x206 && memcmp(head + 0x202, "HdrS", 4) == 0) {
        boot->protocol = BOOT_LINUX64;
        return 0;
    }
    uint16_t machine = boot_elf_machine(head, length);
    if (machine == EM_X86_64 || machine == EM_386) {
        boot->protocol = BOOT_PVH;
        return 0;
    }
    return boot_error(err, -EINVAL, &boot->kernel,
                      "this is %s; an x86-64 machine boots a bzImage or an ELF vmlinux",
                      boot_describe(head, length));
}

/* ---- opening */

char *boot_command_line(const char *append)
{
    return boot_add_console(append, "console=ttyS0");
}

int boot_open(struct boot *boot, const char *kernel, const char *initrd, const char *append,
              struct error *err)
{
    *boot = (struct boot){0};
    int ret = boot_file_open(&boot->kernel, "--kernel", kernel, err);
    if (ret == 0) {
        ret = identify(boot, err);
    }
    if (ret == 0 && initrd) {
        ret = boot_file_open(&boot->initrd, "--initrd", initrd, err);
    }
    if (ret < 0) {
        return ret;
    }
    boot->command_line = boot_command_line(append);
    return boot->command_line ? 0 : error_set(err, -ENOMEM, "--append: no memory");
}

void boot_close(struct boot *boot)
{
    boot_file_close(&boot->kernel);
    boot_file_close(&boot->initrd);
    free(boot->command_line);
    boot->command_line = NULL;
}

/* ---- loading */

int boot_load_initrd(const struct boot *boot, const struct boot_target *target, uint64_t kernel_end,
                     uint64_t limit, uint64_t *address, struct error *err)
{
    const struct boot_file *initrd = &boot->initrd;
    *address = 0;
    if (!initrd->path) {
        return 0;
    }
    uint64_t top = limit < target->map->low_ram ? limit : target->map->low_ram;
    uint64_t place = initrd->size <= top ? (top - initrd->size) & ~(uint64_t)(PAGE - 1) : 0;
    if (place < kernel_end || place == 0) {
        return boot_error(err, -ENOMEM, initrd,
                          "%" PRIu64 " KiB do not fit between the kernel's end at %" PRIu64
                          " KiB and %" PRIu64 " KiB; give the machine more --memory",
                          (initrd->size + 1023) >> 10, kernel_end >> 10, top >> 10);
    }
    int ret = boot_read_to_guest(initrd, 0, initrd->size, target, place, err);
    if (ret == 0) {
        *address = place;
    }
    return ret;
}

int boot_write_command_line(const struct boot *boot, const struct boot_target *target,
                            uint64_t limit, struct error *err)
{
    size_t length = strlen(boot->command_line);
    uint64_t most = limit < BOOT_COMMAND_LINE_SIZE ? limit : BOOT_COMMAND_LINE_SIZE - 1;
    if (length > most) {
        return error_set(err, -EINVAL,
                         "--append: the command line has %zu bytes, the kernel takes %" PRIu64,
                         length, most);
    }
    int ret =
        guest_memory_write(target->memory, gpa(BOOT_COMMAND_LINE), boot->command_line, length + 1);
    return ret < 0 ? error_set(err, ret, "--append: no RAM at 0x%llx", BOOT_COMMAND_LINE) : 0;
}

int boot_load(const struct boot *boot, const struct boot_target *target, struct boot_entry *entry,
              struct error *err)
{
    *entry = (struct boot_entry){.protocol = boot->protocol};
    switch (boot->protocol) {
    case BOOT_LINUX64:
        return bzimage_load(boot, target, entry, err);
    case BOOT_PVH:
        return elf_pvh_load(boot, target, entry, err);
    }
    return -EINVAL;
}

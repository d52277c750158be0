/* SPDX-License-Identifier: MIT */
#include "vmm/arm64/boot.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE = 4096 };

/* ---- files
 * --------------------------------------------------------------------------------------- */

uint8_t *boot_window(const struct boot_target *target, uint64_t *size)
{
    *size = target->map->ram < BOOT_WINDOW ? target->map->ram : BOOT_WINDOW;
    return guest_memory_range(target->memory, gpa(ARM64_RAM_BASE), *size);
}

/* ---- opening
 * ------------------------------------------------------------------------------------- */

char *boot_command_line(const char *append)
{
    return boot_add_console(append, "console=ttyAMA0");
}

static int make_command_line(struct boot *boot, const char *append, struct error *err)
{
    boot->command_line = boot_command_line(append);
    if (!boot->command_line) {
        return error_set(err, -ENOMEM, "--append: no memory");
    }
    size_t length = strlen(boot->command_line);
    if (length >= BOOT_COMMAND_LINE_SIZE) {
        return error_set(err, -EINVAL,
                         "--append: the command line has %zu bytes, the kernel takes %d", length,
                         BOOT_COMMAND_LINE_SIZE - 1);
    }
    return 0;
}

int boot_open(struct boot *boot, const char *kernel, const char *initrd, const char *append,
              struct error *err)
{
    *boot = (struct boot){0};
    int ret = boot_file_open(&boot->kernel, "--kernel", kernel, err);
    if (ret == 0) {
        ret = image_identify(boot, err);
    }
    if (ret == 0 && initrd) {
        ret = boot_file_open(&boot->initrd, "--initrd", initrd, err);
    }
    return ret < 0 ? ret : make_command_line(boot, append, err);
}

void boot_close(struct boot *boot)
{
    boot_file_close(&boot->kernel);
    boot_file_close(&boot->initrd);
    free(boot->command_line);
    boot->command_line = NULL;
}

/* ---- loading
 * ------------------------------------------------------------------------------------- */

static uint64_t align_up(uint64_t value, uint64_t alignment)
{
    return (value + alignment - 1) & ~(alignment - 1);
}

/* Room for the device tree behind the kernel. */
static int place_dtb(const struct boot *boot, const struct boot_target *target, uint64_t kernel_end,
                     uint64_t *address, struct error *err)
{
    uint64_t size;
    (void)boot_window(target, &size);
    uint64_t end = ARM64_RAM_BASE + size;
    *address = align_up(kernel_end, BOOT_DTB_ALIGNMENT);
    if (*address >= end || BOOT_DTB_ROOM > end - *address) {
        return boot_error(err, -ENOMEM, &boot->kernel,
                          "no room for the device tree behind the kernel, which ends %" PRIu64
                          " KiB into the RAM; give the machine more --memory",
                          (uint64_t)(kernel_end - ARM64_RAM_BASE) >> 10);
    }
    return 0;
}

/* The initrd behind the device tree. */
static int load_initrd(const struct boot *boot, const struct boot_target *target,
                       struct boot_entry *entry, struct error *err)
{
    const struct boot_file *initrd = &boot->initrd;
    if (!initrd->path) {
        return 0;
    }
    uint64_t size;
    uint8_t *window = boot_window(target, &size);
    uint64_t offset = align_up(entry->dtb + BOOT_DTB_ROOM, PAGE) - ARM64_RAM_BASE;
    if (!window || offset > size || initrd->size > size - offset) {
        return boot_error(err, -ENOMEM, initrd,
                          "%" PRIu64 " KiB do not fit between %" PRIu64 " KiB and %" PRIu64
                          " KiB of the RAM; give the machine more --memory",
                          (initrd->size + 1023) >> 10, offset >> 10, size >> 10);
    }
    entry->initrd_start = ARM64_RAM_BASE + offset;
    entry->initrd_end = entry->initrd_start + initrd->size;
    return boot_read(initrd, 0, window + offset, initrd->size, err);
}

int boot_load(const struct boot *boot, const struct boot_target *target, struct boot_entry *entry,
              struct error *err)
{
    uint64_t kernel_end = 0;
    *entry = (struct boot_entry){0};
    int ret = image_load(boot, target, entry, &kernel_end, err);
    if (ret == 0) {
        ret = place_dtb(boot, target, kernel_end, &entry->dtb, err);
    }
    return ret < 0 ? ret : load_initrd(boot, target, entry, err);
}

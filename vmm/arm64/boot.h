/* SPDX-License-Identifier: MIT */
/*
 * Loading a kernel and what belongs to it: boot.c opens the files, and loads the initrd and the
 * device tree; image.c knows Linux's Image and its boot protocol. Nothing here needs KVM.
 *
 * Files stay open for the life of the machine, and each reset loads them anew, by pread() straight
 * into guest RAM. Every number in a file is checked before it is used; a file that is not what it
 * says gives one line with the option, the file and the reason.
 *
 * In RAM, from its start: the kernel, up to where its header says that it ends; then, at the next
 * multiple of 2 MiB, room for the device tree; then the initrd. So all of it lies in one window of
 * 32 GiB and the device tree in one block of 2 MiB, as the boot protocol wants.
 */
#ifndef VMM_ARM64_BOOT_H
#define VMM_ARM64_BOOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/arm64/memory_map.h"
#include "vmm/boot_file.h"
#include "vmm/error.h"
#include "vmm/guest_memory.h"

#define BOOT_DTB_ALIGNMENT 0x200000ull
#define BOOT_DTB_ROOM      0x080000ull /* 512 KiB: 635 vCPUs take a quarter of it */
#define BOOT_WINDOW        (32ull << 30)
#define BOOT_COMMAND_LINE_SIZE                                                                     \
    2048 /* the kernel's COMMAND_LINE_SIZE; it cuts off what is longer                             \
          */

enum boot_format {
    BOOT_IMAGE,      /* Linux's Image as it is */
    BOOT_IMAGE_GZIP, /* gzip-compressed */
};

/* What to boot. Zeroed, it is closed. */
struct boot {
    struct boot_file kernel;
    struct boot_file initrd;
    enum boot_format format;
    char *command_line; /* owned */
};

/* The machine it is loaded into. */
struct boot_target {
    const struct guest_memory *memory;
    const struct arm64_memory_map *map;
};

/* Where the boot processor starts, and with what in its registers; see arm64_vcpu_enter(). */
struct boot_entry {
    uint64_t pc;
    uint64_t dtb;          /* guest address of the device tree, with BOOT_DTB_ROOM; for the caller
                              to fill */
    uint64_t initrd_start; /* both 0 without an initrd */
    uint64_t initrd_end;
};

/*
 * Open the files and see what the kernel is. `initrd` and `append` may be NULL. The strings must
 * outlive `boot`; boot_close() in any case. Errors: those of open(), -EINVAL for a file that is no
 * arm64 kernel, or a command line that is too long.
 */
int boot_open(struct boot *boot, const char *kernel, const char *initrd, const char *append,
              struct error *err);
void boot_close(struct boot *boot);

/*
 * Load kernel and initrd, and say where the device tree goes. Errors: -EINVAL (malformed), -ENOMEM
 * (does not fit), those of pread().
 */
int boot_load(const struct boot *boot, const struct boot_target *target, struct boot_entry *entry,
              struct error *err);

/*
 * The kernel's command line: the user's, and "console=ttyAMA0" behind it if it names no console.
 * For free(); NULL: no memory.
 */
char *boot_command_line(const char *append);

/* ---- for the format
 * ----------------------------------------------------------------------------- */

/*
 * The RAM that things may be loaded to, as a pointer to its first byte, and its size: all that lies
 * in the window that the boot protocol allows.
 */
uint8_t *boot_window(const struct boot_target *target, uint64_t *size);

/* Load the kernel. `*end` is the first address behind all that it needs before it knows its RAM. */
int image_load(const struct boot *boot, const struct boot_target *target, struct boot_entry *entry,
               uint64_t *end, struct error *err);

/* What the kernel is, from the beginning of its file. -EINVAL if it is no arm64 kernel. */
int image_identify(struct boot *boot, struct error *err);

#endif

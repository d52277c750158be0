/* SPDX-License-Identifier: MIT */
/*
 * Loading a kernel and what belongs to it: boot.c opens the files, finds out what the kernel is and
 * loads the initrd and the command line; bzimage.c and elf_pvh.c each know one format and its boot
 * protocol. Nothing here needs KVM.
 *
 * Files stay open for the life of the machine, and each reset loads them anew, by pread() straight
 * into guest RAM. Every number in a file is checked before it is used; a file that is not what it
 * says gives one line with the option, the file and the reason.
 */
#ifndef VMM_X86_BOOT_H
#define VMM_X86_BOOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/boot_file.h"
#include "vmm/error.h"
#include "vmm/guest_memory.h"
#include "vmm/x86/memory_map.h"

/* What the loaders put below 1 MiB for the kernel to read. It may use the memory afterwards. */
#define BOOT_GDT               0x1000ull
#define BOOT_PVH_INFO          0x6000ull /* one page: start info, module list, memory map */
#define BOOT_ZERO_PAGE         0x7000ull /* Linux's struct boot_params */
#define BOOT_PAGE_TABLES       0x9000ull /* at most six pages */
#define BOOT_COMMAND_LINE      0x20000ull
#define BOOT_COMMAND_LINE_SIZE 0x10000ull

enum boot_protocol {
    BOOT_LINUX64, /* bzImage: Linux's 64-bit boot protocol */
    BOOT_PVH,     /* ELF: the x86/HVM direct boot ABI */
};

/* What to boot. Zeroed, it is closed. */
struct boot {
    struct boot_file kernel;
    struct boot_file initrd;
    enum boot_protocol protocol;
    char *command_line; /* owned */
};

/* The machine it is loaded into. */
struct boot_target {
    const struct guest_memory *memory;
    const struct x86_memory_map *map;
    uint64_t rsdp;       /* guest address of the ACPI root pointer, 0: none */
    bool gigabyte_pages; /* the vCPU can use them */
    bool ram_is_zero;    /* nothing ran before: .bss needs no clearing */
};

/* Where the boot processor starts, and with what in its registers; see x86_vcpu_enter(). */
struct boot_entry {
    enum boot_protocol protocol;
    uint64_t rip;
    uint64_t info;        /* guest address of the zero page or the start info */
    uint64_t page_tables; /* BOOT_LINUX64: CR3 */
};

/*
 * Open the files and see what the kernel is. `initrd` and `append` may be NULL. The strings must
 * outlive `boot`; boot_close() in any case. Errors: those of open(), -EINVAL for a file that is no
 * x86 kernel.
 */
int boot_open(struct boot *boot, const char *kernel, const char *initrd, const char *append,
              struct error *err);
void boot_close(struct boot *boot);

/* Load everything. Errors: -EINVAL (malformed), -ENOMEM (does not fit), those of pread(). */
int boot_load(const struct boot *boot, const struct boot_target *target, struct boot_entry *entry,
              struct error *err);

/*
 * The kernel's command line: the user's, and "console=ttyS0" behind it if it names no console.
 * For free(); NULL: no memory.
 */
char *boot_command_line(const char *append);

/* ---- for the two formats */

/*
 * As boot_read(), into guest RAM at `address`. -ENOMEM unless all of it lies between 1 MiB and the
 * end of the RAM below 4 GiB.
 */
int boot_read_to_guest(const struct boot_file *file, uint64_t offset, uint64_t length,
                       const struct boot_target *target, uint64_t address, struct error *err);

/*
 * Load the initrd as high as it goes, ending at or below `limit` and starting at or above
 * `kernel_end`. `*address` is 0 without an initrd. -ENOMEM if it does not fit.
 */
int boot_load_initrd(const struct boot *boot, const struct boot_target *target, uint64_t kernel_end,
                     uint64_t limit, uint64_t *address, struct error *err);

/* Write the command line to BOOT_COMMAND_LINE. -EINVAL if it is longer than `limit` bytes. */
int boot_write_command_line(const struct boot *boot, const struct boot_target *target,
                            uint64_t limit, struct error *err);

int bzimage_load(const struct boot *boot, const struct boot_target *target,
                 struct boot_entry *entry, struct error *err);
int elf_pvh_load(const struct boot *boot, const struct boot_target *target,
                 struct boot_entry *entry, struct error *err);

#endif

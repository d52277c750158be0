/* SPDX-License-Identifier: MIT */
/*
 * The files a machine boots from, and the kernel's command line: what loaders of every architecture
 * need. Formats and boot protocols are the architectures' (vmm/x86/boot.h, vmm/arm64/boot.h).
 *
 * Files stay open for the life of the machine, and each reset loads them anew, by pread(). A file
 * that is not what it says gives one line with the option, the file and the reason.
 */
#ifndef VMM_BOOT_FILE_H
#define VMM_BOOT_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "vmm/error.h"

/* A file of the command line. `path` is NULL while it is not open. */
struct boot_file {
    const char *option; /* "--kernel" */
    const char *path;
    int fd;
    uint64_t size;
};

/* Start an error text with the option and the file. */
#define boot_error(err, code, file, format, ...)                                                   \
    error_set((err), (code), "%s %s: " format, (file)->option, (file)->path, ##__VA_ARGS__)

/*
 * Open a regular file that is not empty. The strings must outlive `file`. Errors: those of open(),
 * -EINVAL. boot_file_close() may be called on what was never opened, if zeroed.
 */
int boot_file_open(struct boot_file *file, const char *option, const char *path, struct error *err);
void boot_file_close(struct boot_file *file);

/* Read exactly `length` bytes at `offset`. -EINVAL if the file ends before that. */
int boot_read(const struct boot_file *file, uint64_t offset, void *buffer, uint64_t length,
              struct error *err);

/* What a file that begins with these bytes is, for an error text: "an arm64 Image". */
const char *boot_describe(const uint8_t *head, size_t length);

/* The e_machine of an ELF file; 0 (EM_NONE) if these bytes are not the beginning of one. */
uint16_t boot_elf_machine(const uint8_t *head, size_t length);

/*
 * The kernel's command line: the user's, which may be NULL, and `console` ("console=ttyS0") behind
 * it if it names no console. For free(); NULL: no memory.
 */
char *boot_add_console(const char *append, const char *console);

#endif

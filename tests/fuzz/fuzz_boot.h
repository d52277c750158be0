/* SPDX-License-Identifier: MIT */
/*
 * The kernel as a file in memory, for the loader of either architecture. The input's first byte
 * says what else there is, the rest is the kernel.
 */
#ifndef TESTS_FUZZ_FUZZ_BOOT_H
#define TESTS_FUZZ_FUZZ_BOOT_H

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"

enum { FUZZ_RAM = 32 << 20, WITH_INITRD = 1, WITH_APPEND = 2, LARGE_INITRD = 4, OTHER = 8 };

struct boot_files {
    int kernel_fd, initrd_fd;
    char kernel[32], initrd[32];
};

static inline void open_boot_files(struct boot_files *files)
{
    files->kernel_fd = memfd_create("kernel", 0);
    files->initrd_fd = memfd_create("initrd", 0);
    snprintf(files->kernel, sizeof(files->kernel), "/proc/self/fd/%d", files->kernel_fd);
    snprintf(files->initrd, sizeof(files->initrd), "/proc/self/fd/%d", files->initrd_fd);
}

static inline void fill_boot_files(const struct boot_files *files, uint8_t flags,
                                   const uint8_t *kernel, size_t size)
{
    off_t initrd = flags & LARGE_INITRD ? 20 << 20 : 5000;
    must(ftruncate(files->initrd_fd, initrd) == 0);
    must(ftruncate(files->kernel_fd, 0) == 0);
    must(pwrite(files->kernel_fd, kernel, size, 0) == (ssize_t)size);
}

#endif

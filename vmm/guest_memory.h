/* SPDX-License-Identifier: MIT */
/*
 * Guest RAM: host memory that appears at fixed guest physical addresses.
 *
 * A machine has one to a few blocks (x86: below the PCI hole and above 4 GiB). The set of blocks is
 * built before the first vCPU runs and never changes afterwards, so every function here that reads
 * it needs no lock. The *bytes* may change under our hands at any time, because vCPUs run while
 * devices read: copy what must be checked into a local variable first, then check and use the copy.
 */
#ifndef VMM_GUEST_MEMORY_H
#define VMM_GUEST_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/address.h"
#include "vmm/error.h"

enum { GUEST_MEMORY_MAX_BLOCKS = 4 };

struct ram_block {
    gpa_t base;
    uint64_t size; /* bytes, a multiple of the page size */
    uint8_t *host; /* 2 MiB-aligned, so that huge pages can back it */
};

struct guest_memory {
    struct ram_block blocks[GUEST_MEMORY_MAX_BLOCKS]; /* ascending, not overlapping */
    unsigned count;
    void *mapping[GUEST_MEMORY_MAX_BLOCKS]; /* what mmap() returned, to be unmapped */
    size_t mapping_size[GUEST_MEMORY_MAX_BLOCKS];
};

/*
 * Add `size` bytes of zeroed RAM at `base`, above every block added before. With `hugetlb` the
 * memory comes from the host's pool of reserved huge pages, else from anonymous memory that is
 * marked for transparent huge pages. Not yet known to KVM: see vm_add_ram(). Errors: -ENOMEM,
 * -EINVAL.
 */
int guest_memory_add(struct guest_memory *memory, gpa_t base, uint64_t size, bool hugetlb,
                     struct error *err);

/* Unmap every block. */
void guest_memory_destroy(struct guest_memory *memory);

/*
 * The one place where a guest address becomes a host pointer. Returns the pointer to `address` and
 * stores in `*available` how many of the `length` bytes asked for lie contiguously behind it (at
 * least 1), or NULL if no RAM is at `address`. `length` > 0; it may be anything, sums are checked.
 */
void *guest_memory_at(const struct guest_memory *memory, gpa_t address, uint64_t length,
                      uint64_t *available);

/* As above for all of [address, address + length) in one block, or NULL. */
void *guest_memory_range(const struct guest_memory *memory, gpa_t address, uint64_t length);

/*
 * Copy from or to guest RAM. 0, or -EFAULT if any byte of the range is not RAM (the bytes before
 * the first such byte may have been copied).
 */
int guest_memory_read(const struct guest_memory *memory, gpa_t address, void *buffer,
                      uint64_t length);
int guest_memory_write(const struct guest_memory *memory, gpa_t address, const void *buffer,
                       uint64_t length);

#endif

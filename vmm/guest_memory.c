/* SPDX-License-Identifier: MIT */
#include "vmm/guest_memory.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

enum { HUGE_PAGE = 2 << 20 };

/*
 * Reserve address space for `size` bytes aligned to a huge page. KVM can back a guest's 2 MiB with
 * one huge page only where guest and host addresses agree in their low 21 bits; under nested paging
 * that is the difference between 62 and 28,860 faults in a Linux boot.
 */
static uint8_t *map_aligned(struct guest_memory *memory, unsigned index, uint64_t size)
{
    size_t mapped = size + HUGE_PAGE;
    void *mapping = mmap(NULL, mapped, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapping == MAP_FAILED) {
        return NULL;
    }
    memory->mapping[index] = mapping;
    memory->mapping_size[index] = mapped;
    uint8_t *aligned = (uint8_t *)mapping + (-(uintptr_t)mapping & (HUGE_PAGE - 1));
    /*
     * All but the first 2 MiB of RAM, which hold little besides the tables for the boot, and would
     * cost a start the time to clear a huge page. Only a wish: kernels without huge pages refuse
     * it.
     */
    uint64_t small = index == 0 ? HUGE_PAGE : 0;
    if (size > small) {
        madvise(aligned + small, size - small, MADV_HUGEPAGE);
    }
    return aligned;
}

static uint8_t *map_hugetlb(struct guest_memory *memory, unsigned index, uint64_t size)
{
    void *mapping =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
    if (mapping == MAP_FAILED) {
        return NULL;
    }
    memory->mapping[index] = mapping;
    memory->mapping_size[index] = size;
    return mapping;
}

static int check_block(const struct guest_memory *memory, gpa_t base, uint64_t size, bool hugetlb,
                       struct error *err)
{
    if (memory->count == GUEST_MEMORY_MAX_BLOCKS) {
        return error_set(err, -ENOSPC, "guest RAM: more than %d blocks", GUEST_MEMORY_MAX_BLOCKS);
    }
    if (size == 0 || base.raw + size < base.raw || size > SIZE_MAX - HUGE_PAGE) {
        return error_set(err, -EINVAL, "guest RAM: no block of 0x%" PRIx64 " bytes at 0x%" PRIx64,
                         size, base.raw);
    }
    if (hugetlb && size % HUGE_PAGE != 0) {
        return error_set(err, -EINVAL, "--hugetlb: memory must be a multiple of 2M");
    }
    if (memory->count > 0) {
        const struct ram_block *below = &memory->blocks[memory->count - 1];
        if (base.raw < below->base.raw + below->size) {
            return error_set(err, -EINVAL, "guest RAM: block at 0x%" PRIx64 " is out of order",
                             base.raw);
        }
    }
    return 0;
}

int guest_memory_add(struct guest_memory *memory, gpa_t base, uint64_t size, bool hugetlb,
                     struct error *err)
{
    int ret = check_block(memory, base, size, hugetlb, err);
    if (ret < 0) {
        return ret;
    }
    unsigned index = memory->count;
    uint8_t *host = hugetlb ? map_hugetlb(memory, index, size) : map_aligned(memory, index, size);
    if (!host) {
        ret = -errno;
        return error_set(err, ret, "%s: cannot map %" PRIu64 " MiB of guest RAM: %s",
                         hugetlb ? "--hugetlb" : "--memory", size >> 20, strerror(-ret));
    }
    memory->blocks[index] = (struct ram_block){.base = base, .size = size, .host = host};
    memory->count++;
    return 0;
}

void guest_memory_destroy(struct guest_memory *memory)
{
    for (unsigned i = 0; i < memory->count; i++) {
        munmap(memory->mapping[i], memory->mapping_size[i]);
    }
    memory->count = 0;
}

void *guest_memory_at(const struct guest_memory *memory, gpa_t address, uint64_t length,
                      uint64_t *available)
{
    for (unsigned i = 0; i < memory->count; i++) {
        const struct ram_block *block = &memory->blocks[i];
        uint64_t offset =
            address.raw - block->base.raw; /* huge if the address is below the block */
        if (offset < block->size) {
            uint64_t rest = block->size - offset;
            *available = length < rest ? length : rest;
            return block->host + offset;
        }
    }
    return NULL;
}

void *guest_memory_range(const struct guest_memory *memory, gpa_t address, uint64_t length)
{
    uint64_t available;
    void *host = guest_memory_at(memory, address, length, &available);
    return host && available == length ? host : NULL;
}

int guest_memory_read(const struct guest_memory *memory, gpa_t address, void *buffer,
                      uint64_t length)
{
    uint8_t *to = buffer;
    while (length > 0) {
        uint64_t step;
        const void *host = guest_memory_at(memory, address, length, &step);
        if (!host) {
            return -EFAULT;
        }
        memcpy(to, host, step);
        to += step;
        address.raw += step;
        length -= step;
    }
    return 0;
}

int guest_memory_write(const struct guest_memory *memory, gpa_t address, const void *buffer,
                       uint64_t length)
{
    const uint8_t *from = buffer;
    while (length > 0) {
        uint64_t step;
        void *host = guest_memory_at(memory, address, length, &step);
        if (!host) {
            return -EFAULT;
        }
        memcpy(host, from, step);
        from += step;
        address.raw += step;
        length -= step;
    }
    return 0;
}

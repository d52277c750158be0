/* SPDX-License-Identifier: MIT */
#include "vmm/dma.h"

#include <errno.h>
#include <string.h>

int dma_map(struct dma_space *space, iova_t address, uint64_t length, enum dma_direction direction,
            struct dma_mapping *mapping)
{
    (void)direction; /* without an IOMMU nothing is read-only */
    if (!atomic_load_explicit(&space->bus_master, memory_order_acquire)) {
        return -EACCES;
    }
    if (address.raw + (length - 1) < address.raw) {
        return -ERANGE;
    }
    mapping->host = guest_memory_at(space->memory, gpa(address.raw), length, &mapping->length);
    return mapping->host ? 0 : -ENXIO;
}

void dma_unmap(struct dma_space *space, struct dma_mapping *mapping)
{
    (void)space; /* RAM stays where it is: there is nothing to release */
    mapping->host = NULL;
    mapping->length = 0;
}

int dma_read(struct dma_space *space, iova_t address, void *buffer, size_t length)
{
    uint8_t *to = buffer;
    while (length > 0) {
        struct dma_mapping mapping;
        int ret = dma_map(space, address, length, DMA_FROM_MEMORY, &mapping);
        if (ret < 0) {
            return ret;
        }
        uint64_t step = mapping.length;
        memcpy(to, mapping.host, step);
        dma_unmap(space, &mapping);
        to += step;
        address.raw += step;
        length -= step;
    }
    return 0;
}

int dma_write(struct dma_space *space, iova_t address, const void *buffer, size_t length)
{
    const uint8_t *from = buffer;
    while (length > 0) {
        struct dma_mapping mapping;
        int ret = dma_map(space, address, length, DMA_TO_MEMORY, &mapping);
        if (ret < 0) {
            return ret;
        }
        uint64_t step = mapping.length;
        memcpy(mapping.host, from, step);
        dma_unmap(space, &mapping);
        from += step;
        address.raw += step;
        length -= step;
    }
    return 0;
}

/* SPDX-License-Identifier: MIT */
#include "vmm/dma.h"

#include <errno.h>
#include <string.h>

unsigned dma_hold(struct dma_space *space)
{
    return space->iommu ? iommu_enter(space->iommu) : 0;
}

void dma_release(struct dma_space *space, unsigned phase)
{
    if (space->iommu) {
        iommu_leave(space->iommu, phase);
    }
}

/* Translate, and find the RAM that is there: up to `max` pieces. How many, or an error. */
static int map_translated(struct dma_space *space, iova_t address, uint64_t length,
                          enum dma_direction direction, struct dma_mapping *pieces, unsigned max)
{
    struct iommu_translation row[DMA_ROW];
    uint16_t requester = atomic_load_explicit(&space->requester_id, memory_order_relaxed);
    int count = iommu_translate_row(space->iommu, requester, address, length, direction, row, max);
    if (count <= 0) {
        return -EFAULT;
    }
    for (int i = 0; i < count; i++) {
        uint64_t wanted = length < row[i].length ? length : row[i].length;
        pieces[i].host = guest_memory_at(space->memory, row[i].address, wanted, &pieces[i].length);
        if (!pieces[i].host) {
            return i > 0 ? i : -ENXIO;
        }
        length -= wanted;
        if (pieces[i].length < wanted) {
            return i + 1;
        }
    }
    return count;
}

/* As the two below. Returns how many pieces, or an error. */
static int map_pieces(struct dma_space *space, iova_t address, uint64_t length,
                      enum dma_direction direction, struct dma_mapping *pieces, unsigned max)
{
    if (!atomic_load_explicit(&space->bus_master, memory_order_acquire)) {
        return -EACCES;
    }
    if (address.raw + (length - 1) < address.raw) {
        return -ERANGE;
    }
    if (space->iommu) {
        return map_translated(space, address, length, direction, pieces, max);
    }
    pieces->host = guest_memory_at(space->memory, gpa(address.raw), length, &pieces->length);
    return pieces->host ? 1 : -ENXIO;
}

int dma_map_held(struct dma_space *space, iova_t address, uint64_t length,
                 enum dma_direction direction, struct dma_mapping *mapping)
{
    int count = map_pieces(space, address, length, direction, mapping, 1);
    return count < 0 ? count : 0;
}

int dma_map_row_held(struct dma_space *space, iova_t address, uint64_t length,
                     enum dma_direction direction, struct dma_row *row)
{
    int count = map_pieces(space, address, length, direction, row->piece, DMA_ROW);
    row->count = count < 0 ? 0 : (unsigned)count;
    return count < 0 ? count : 0;
}

int dma_map(struct dma_space *space, iova_t address, uint64_t length, enum dma_direction direction,
            struct dma_mapping *mapping)
{
    mapping->phase = dma_hold(space);
    int ret = dma_map_held(space, address, length, direction, mapping);
    if (ret < 0) {
        dma_release(space, mapping->phase);
    }
    return ret;
}

void dma_unmap(struct dma_space *space, struct dma_mapping *mapping)
{
    dma_release(space, mapping->phase);
    mapping->host = NULL; /* RAM stays where it is: there is nothing else to release */
    mapping->length = 0;
}

int dma_translate(struct dma_space *space, iova_t address, enum dma_direction direction,
                  gpa_t *translated)
{
    struct iommu_translation translation = {.address = gpa(address.raw)};
    int ret = 0;
    if (!atomic_load_explicit(&space->bus_master, memory_order_acquire)) {
        return -EACCES;
    }
    if (space->iommu) {
        uint16_t requester = atomic_load_explicit(&space->requester_id, memory_order_relaxed);
        ret = iommu_translate(space->iommu, requester, address, direction, &translation);
    }
    *translated = translation.address;
    return ret;
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

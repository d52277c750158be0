/* SPDX-License-Identifier: MIT */
#include "vmm/dma.h"

#include <errno.h>
#include <string.h>

/* Translate between iommu_enter() and iommu_leave(), and find the RAM that is there. */
static int map_translated(struct dma_space *space, iova_t address, uint64_t length,
                          enum dma_direction direction, struct dma_mapping *mapping)
{
    struct iommu_translation translation;
    uint16_t requester = atomic_load_explicit(&space->requester_id, memory_order_relaxed);
    int ret = iommu_translate(space->iommu, requester, address, direction, &translation);
    if (ret < 0) {
        return ret;
    }
    length = length < translation.length ? length : translation.length;
    mapping->host = guest_memory_at(space->memory, translation.address, length, &mapping->length);
    return mapping->host ? 0 : -ENXIO;
}

static int map_behind_iommu(struct dma_space *space, iova_t address, uint64_t length,
                            enum dma_direction direction, struct dma_mapping *mapping)
{
    mapping->phase = iommu_enter(space->iommu);
    int ret = map_translated(space, address, length, direction, mapping);
    if (ret < 0) {
        iommu_leave(space->iommu, mapping->phase);
    }
    return ret;
}

int dma_map(struct dma_space *space, iova_t address, uint64_t length, enum dma_direction direction,
            struct dma_mapping *mapping)
{
    if (!atomic_load_explicit(&space->bus_master, memory_order_acquire)) {
        return -EACCES;
    }
    if (address.raw + (length - 1) < address.raw) {
        return -ERANGE;
    }
    if (space->iommu) {
        return map_behind_iommu(space, address, length, direction, mapping);
    }
    mapping->host = guest_memory_at(space->memory, gpa(address.raw), length, &mapping->length);
    return mapping->host ? 0 : -ENXIO;
}

void dma_unmap(struct dma_space *space, struct dma_mapping *mapping)
{
    if (space->iommu) {
        iommu_leave(space->iommu, mapping->phase);
    }
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
        unsigned phase = iommu_enter(space->iommu);
        ret = iommu_translate(space->iommu, requester, address, direction, &translation);
        iommu_leave(space->iommu, phase);
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

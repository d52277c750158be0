/* SPDX-License-Identifier: MIT */
/*
 * DMA: how a device reaches memory.
 *
 * Each device that can master the bus has a `struct dma_space`. It stands for everything that is
 * between the device and RAM: the bus master enables on the way up, the requester id, and an IOMMU
 * if there is one. These functions are the only way for a device to touch guest memory. They reach
 * RAM only: an address where a BAR or nothing is fails, and so no device can be driven by another
 * one's DMA.
 *
 * Errors of all functions, which a device turns into its own way of reporting:
 *
 *   -EACCES  bus mastering is off
 *   -EFAULT  no translation in the IOMMU, or one without the permission (an event is recorded)
 *   -ENXIO   there is no RAM at the (translated) address
 *   -ERANGE  address + length wraps
 *
 * All may be called on any thread without a lock.
 */
#ifndef VMM_DMA_H
#define VMM_DMA_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/address.h"
#include "vmm/guest_memory.h"
#include "vmm/iommu.h"

struct dma_space {
    const struct guest_memory *memory;
    struct iommu *iommu;           /* NULL: bus addresses are guest physical addresses */
    atomic_bool bus_master;        /* every bus master enable on the way up is set */
    _Atomic uint16_t requester_id; /* bus << 8 | device << 3 | function, as the guest numbered it */
};

/* A piece of guest RAM that a device may use until dma_unmap(). */
struct dma_mapping {
    void *host;
    uint64_t length;
    unsigned phase; /* dma_map()'s: the IOMMU waits for the end of mappings, see vmm/iommu.h */
};

/*
 * Map the beginning of [address, address + length) for `direction`: `mapping->length` is at least 1
 * and at most `length`; the caller loops. `length` > 0.
 */
int dma_map(struct dma_space *space, iova_t address, uint64_t length, enum dma_direction direction,
            struct dma_mapping *mapping);

/* Give a mapping back. */
void dma_unmap(struct dma_space *space, struct dma_mapping *mapping);

/*
 * For who maps many small pieces: what dma_map_held() maps between dma_hold() and dma_release() may
 * be used until the latter, and is not given back one by one. An IOMMU's invalidation waits that
 * long, so not for more than some microseconds. dma_hold() returns what dma_release() wants.
 */
unsigned dma_hold(struct dma_space *space);
void dma_release(struct dma_space *space, unsigned phase);
int dma_map_held(struct dma_space *space, iova_t address, uint64_t length,
                 enum dma_direction direction, struct dma_mapping *mapping);

/* The beginning of a range, piece by piece. */
enum { DMA_ROW = 16 };
struct dma_row {
    unsigned count;
    struct dma_mapping piece[DMA_ROW];
};

/*
 * dma_map_held() of several pieces, one after the other, at once: those that a translation brings
 * along, at least one. Together they are at most `length` long, and the caller loops.
 */
int dma_map_row_held(struct dma_space *space, iova_t address, uint64_t length,
                     enum dma_direction direction, struct dma_row *row);

/*
 * Where a write to `address`, or a read, would arrive, be there RAM or not: for messages to the
 * interrupt controller, which KVM has. Between dma_hold() and dma_release(), and to be used there.
 * -EACCES, -EFAULT.
 */
int dma_translate(struct dma_space *space, iova_t address, enum dma_direction direction,
                  gpa_t *translated);

/*
 * Copy `length` bytes from or to memory. When they fail, a part may have been copied. Data written
 * before a later interrupt of the same device is visible to the guest when it takes that interrupt.
 */
int dma_read(struct dma_space *space, iova_t address, void *buffer, size_t length);
int dma_write(struct dma_space *space, iova_t address, const void *buffer, size_t length);

#endif

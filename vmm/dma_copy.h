/* SPDX-License-Identifier: MIT */
/*
 * Copying from memory to memory as a device does it: both addresses are bus addresses of the same
 * requester, so each may be translated, may lie in pieces all over guest RAM, and may turn out not
 * to be there in the middle.
 *
 * The work is cut into steps, so that the caller decides between two steps whether to go on. A step
 * maps no more than it moves, and maps anew: the guest may have changed translations, or switched
 * bus mastering off, and that takes effect at the next step. An IOMMU's invalidation waits for the
 * end of a step, not of the copy.
 *
 * Overlap. The result is that of memmove() on *bus* addresses: where the destination begins inside
 * the source the copy runs from the last byte to the first, otherwise from the first to the last.
 * Without an IOMMU, or with translations that give each page of RAM one bus address, that is all
 * there is to it. A guest can also map the same RAM at two bus addresses; then memory overlaps
 * although the addresses do not, and no order that follows from the addresses helps. Each piece
 * that is contiguous is still moved correctly in itself; the pieces are moved in ascending order,
 * and how large they are is not promised. Real engines behave in the same way, as they see nothing
 * but bus addresses either.
 */
#ifndef VMM_DMA_COPY_H
#define VMM_DMA_COPY_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/address.h"
#include "vmm/dma.h"

struct dma_copy {
    struct dma_space *space;
    iova_t source;
    iova_t destination;
    uint64_t length;
    uint64_t moved; /* bytes done: from the front, or from the end if `backward` */
    bool backward;
    bool streaming; /* too large for any cache: do not fill it */
    iova_t fault;   /* after an error: the bus address that could not be reached */
};

/*
 * Prepare a copy. Nothing is accessed, nothing needs to be undone. -ERANGE if `length` is 0 or a
 * range ends above 2^64.
 */
int dma_copy_begin(struct dma_copy *copy, struct dma_space *space, iova_t source,
                   iova_t destination, uint64_t length);

/*
 * Move the next at most `limit` bytes (> 0). Returns 1 if more are left, 0 if the copy is complete,
 * or an error of dma_map(); then `fault` is set and a part of the step may have been done. Any
 * thread, one at a time; takes no lock.
 */
int dma_copy_step(struct dma_copy *copy, uint64_t limit);

#endif

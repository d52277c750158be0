/* SPDX-License-Identifier: MIT */
/*
 * What stands between a device and memory when the machine has an IOMMU: something that turns the
 * I/O virtual address (IOVA) of an access into a guest physical address, or refuses it.
 *
 * vmm/dma.c asks for every DMA access, pci/pci_msi.c and pci/pci_msix.c for every message. The
 * IOMMU itself is a device (devices/iommu/), which the guest programs.
 *
 * A translation is in use from iommu_enter() to iommu_leave(). When the guest has invalidated
 * translations and waits for completion (SMMUv3: CMD_SYNC), the IOMMU calls iommu_synchronize(),
 * which returns when every use that began before it has ended. So the guest may give a page to
 * somebody else as soon as the command is complete, although a copy runs on a thread of its own.
 */
#ifndef VMM_IOMMU_H
#define VMM_IOMMU_H

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>

#include "vmm/address.h"
#include "vmm/registers.h"

/* Seen from the device: DMA_FROM_MEMORY reads guest RAM, DMA_TO_MEMORY writes it. */
enum dma_direction { DMA_FROM_MEMORY = 1, DMA_TO_MEMORY = 2 };

/* [address, address + length) is where the bytes from the IOVA on are; length >= 1. */
struct iommu_translation {
    gpa_t address;
    uint64_t length; /* to the end of the page or block; UINT64_MAX - address: everything */
};

struct iommu;

struct iommu_ops {
    /*
     * Translate the access of `requester_id` (bus << 8 | devfn) to `address`. 0, or -EFAULT; then
     * the IOMMU has told the guest in its own way. Any thread, between iommu_enter() and
     * iommu_leave(); may take locks of the IOMMU's own, which are leaves.
     */
    int (*translate)(struct iommu *iommu, uint16_t requester_id, iova_t address,
                     enum dma_direction direction, struct iommu_translation *translation);
    /*
     * The same for [address, address + length), length > 0, which does not wrap: translations one
     * after the other, at most `max` and none that begins beyond the range, as far as they come at
     * no more cost than the first. Returns how many, at least 1. One that fails ends them; only if
     * it is the very first is that an error, and told to the guest. NULL: translate() is all there
     * is.
     */
    int (*translate_row)(struct iommu *iommu, uint16_t requester_id, iova_t address,
                         uint64_t length, enum dma_direction direction,
                         struct iommu_translation *row, unsigned max);
    /* Print how it is set up and what it keeps, for a person. Main thread. May be NULL. */
    void (*describe)(struct iommu *iommu, FILE *out);
    /* Its registers, and what is in one, without what a read does. May be NULL, together. */
    const struct register_block *registers;
    uint64_t (*peek)(const struct iommu *iommu, const struct register_desc *reg);
};

/* The part that all IOMMUs have; the first member of each one's own struct. */
struct iommu {
    const struct iommu_ops *ops;
    atomic_uint phase;    /* its lowest bit picks the counter that new uses count in */
    atomic_uint users[2]; /* uses under way */
};

static inline int iommu_translate(struct iommu *iommu, uint16_t requester_id, iova_t address,
                                  enum dma_direction direction,
                                  struct iommu_translation *translation)
{
    return iommu->ops->translate(iommu, requester_id, address, direction, translation);
}

static inline int iommu_translate_row(struct iommu *iommu, uint16_t requester_id, iova_t address,
                                      uint64_t length, enum dma_direction direction,
                                      struct iommu_translation *row, unsigned max)
{
    if (!iommu->ops->translate_row) {
        int ret = iommu_translate(iommu, requester_id, address, direction, row);
        return ret < 0 ? ret : 1;
    }
    return iommu->ops->translate_row(iommu, requester_id, address, length, direction, row, max);
}

/* Begin to use translations. Returns what iommu_leave() wants. Never waits. */
static inline unsigned iommu_enter(struct iommu *iommu)
{
    unsigned phase = atomic_load(&iommu->phase) & 1;
    atomic_fetch_add(&iommu->users[phase], 1);
    return phase;
}

static inline void iommu_leave(struct iommu *iommu, unsigned phase)
{
    atomic_fetch_sub_explicit(&iommu->users[phase], 1, memory_order_release);
}

/*
 * Wait until every use that began before this call has ended. One caller at a time, which holds no
 * lock that a translation takes, and is itself between no enter and leave.
 */
void iommu_synchronize(struct iommu *iommu);

#endif

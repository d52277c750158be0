/* SPDX-License-Identifier: MIT */
/* See vmm/iommu.h. */
#include "vmm/iommu.h"

#include <sched.h>

static void flip_and_wait(struct iommu *iommu)
{
    unsigned old = atomic_fetch_add(&iommu->phase, 1) & 1;
    while (atomic_load(&iommu->users[old]) != 0) {
        sched_yield(); /* a use is short: the map, move and unmap of one piece */
    }
}

/*
 * Twice, since a thread may have read the phase before the first flip and counted itself after the
 * wait: it is in the counter that the second flip waits for.
 */
void iommu_synchronize(struct iommu *iommu)
{
    flip_and_wait(iommu);
    flip_and_wait(iommu);
}

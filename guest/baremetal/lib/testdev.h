/* SPDX-License-Identifier: MIT */
/* The test device (devices/pci_testdev.c): 64-bit memory BAR, I/O BAR, INTx, MSI, MSI-X. */
#ifndef BAREMETAL_TESTDEV_H
#define BAREMETAL_TESTDEV_H

#include <stdbool.h>
#include <stdint.h>

#include "devices/pci_testdev_regs.h"

struct testdev {
    unsigned bdf;
    uint64_t base; /* of the memory BAR */
    uint64_t msix; /* of the BAR with the MSI-X table; valid after testdev_msix_enable() */
};

/*
 * The nth test device on `bus`, its memory BAR placed the first time, memory decoded, bus mastering
 * on. False, and the running test skipped, if there is none.
 */
bool testdev_open(struct testdev *testdev, unsigned bus, unsigned nth);

/* Place the MSI-X BAR and enable MSI-X, every vector masked as reset leaves it. */
void testdev_msix_enable(struct testdev *testdev);
void testdev_msix_disable(const struct testdev *testdev);

/* Write a table entry: address and data, unmasked. */
void testdev_msix_set(const struct testdev *testdev, unsigned vector, uint64_t address,
                      uint32_t data);
void testdev_msix_mask(const struct testdev *testdev, unsigned vector, bool masked);

/* Is the vector's pending bit set? */
bool testdev_msix_pending(const struct testdev *testdev, unsigned vector);

/* Send a vector. */
void testdev_ring(const struct testdev *testdev, unsigned vector);

#endif

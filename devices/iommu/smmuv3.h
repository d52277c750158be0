/* SPDX-License-Identifier: MIT */
/*
 * Arm SMMUv3, stage 1: the arm64 machine's IOMMU. Arm IHI 0070, System Memory Management Unit
 * architecture version 3. See devices/iommu/smmuv3.c.
 */
#ifndef DEVICES_IOMMU_SMMUV3_H
#define DEVICES_IOMMU_SMMUV3_H

#include <stdint.h>

#include "vmm/bus.h"
#include "vmm/error.h"
#include "vmm/guest_memory.h"
#include "vmm/iommu.h"
#include "vmm/irq.h"

/* Two register pages of 64 KiB, 6.1. */
enum { SMMUV3_SIZE = 0x20000 };

/* The wires, in the order of their GSIs and of the device tree's interrupts; pulsed, not held. */
enum smmuv3_irq { SMMUV3_IRQ_EVENTQ, SMMUV3_IRQ_PRIQ, SMMUV3_IRQ_CMD_SYNC, SMMUV3_IRQ_GERROR };
enum { SMMUV3_IRQ_COUNT = 4 };

struct smmuv3_config {
    struct bus *bus;
    uint64_t base;
    struct irq_chip *irq;
    uint32_t gsi; /* of SMMUV3_IRQ_EVENTQ; the others follow */
    const struct guest_memory *memory;
};

struct smmuv3;

/*
 * Make one and put it on the bus. The result's first member is the struct iommu that devices are
 * given. -ENOMEM, or what bus_add() says.
 */
int smmuv3_create(struct smmuv3 **smmu, const struct smmuv3_config *config, struct error *err);

/* Take it from the bus and free it; NULL is fine. No device uses it any more. */
void smmuv3_destroy(struct smmuv3 *smmu);

/* Power-on state: translation off, everything bypasses (SMMU_GBPA's reset value). vCPUs are parked.
 */
void smmuv3_reset(struct smmuv3 *smmu);

/* For devices. */
struct iommu *smmuv3_iommu(struct smmuv3 *smmu);

#endif

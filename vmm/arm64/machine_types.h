/* SPDX-License-Identifier: MIT */
/* The platform of an arm64 machine: what struct machine holds besides the VM and PCI. */
#ifndef VMM_ARM64_MACHINE_TYPES_H
#define VMM_ARM64_MACHINE_TYPES_H

#include <stdbool.h>
#include <stdint.h>

#include "devices/gicv2m.h"
#include "devices/iommu/smmuv3.h"
#include "devices/pl011.h"
#include "devices/pl031.h"
#include "devices/pl061.h"
#include "vmm/arm64/boot.h"
#include "vmm/arm64/irqchip.h"
#include "vmm/arm64/memory_map.h"

/* What --machine sets; the table is in machine.c. */
struct machine_properties {
    uint32_t gic; /* enum arm64_gic_choice */
    bool its;
    bool highmem_ecam;
};

struct arch_machine {
    struct machine_properties properties;
    struct arm64_memory_map map;
    struct boot boot;
    struct arm64_irqchip irqchip;
    struct gicv2m gicv2m;
    struct pl031 rtc;
    struct pl061 gpio;
    struct pl011 serial;
    struct smmuv3 *smmu; /* NULL: without --iommu */
};

#endif

/* SPDX-License-Identifier: MIT */
/*
 * The interrupt controller, in the kernel: a GICv3 with an ITS, which takes MSIs, or what the host
 * has of that. Without an ITS a GICv2m frame takes MSIs and turns them into SPIs; that one is ours
 * (devices/gicv2m.h, plugged in by machine.c), as KVM has none.
 */
#ifndef VMM_ARM64_IRQCHIP_H
#define VMM_ARM64_IRQCHIP_H

#include <stdbool.h>

#include "vmm/arm64/memory_map.h"
#include "vmm/error.h"

struct vm;

/* Which one; the values of the machine's property "gic". */
enum arm64_gic_choice { ARM64_GIC_AUTO, ARM64_GIC_2, ARM64_GIC_3 };

struct arm64_irqchip {
    unsigned version; /* 2 or 3; 0: not created */
    int fd;           /* KVM's device */
    bool has_its;
    int its_fd;
};

/*
 * Create it for the vCPUs there are, at the addresses of memory_map.h, and initialise vm->irq,
 * which kvm_irq_destroy() undoes. After the vCPUs, which it counts, and before they run.
 * `want_its`: a GICv3 shall have an ITS if the host offers one.
 */
int arm64_irqchip_create(struct arm64_irqchip *chip, struct vm *vm,
                         const struct arm64_memory_map *map, enum arm64_gic_choice choice,
                         bool want_its, struct error *err);

/* Nothing happens if it is all zeroes. */
void arm64_irqchip_destroy(struct arm64_irqchip *chip);

/* The state after power-on. vCPUs are parked. */
int arm64_irqchip_reset(struct arm64_irqchip *chip, struct vm *vm, struct error *err);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * The guest's own page tables: stage 1 of the EL1&0 translation regime, as a debugger needs it,
 * without permissions and attributes. Arm ARM, D8 "The AArch64 Virtual Memory System Architecture".
 */
#ifndef VMM_ARM64_TRANSLATE_H
#define VMM_ARM64_TRANSLATE_H

#include <stdint.h>

#include "vmm/address.h"
#include "vmm/guest_memory.h"

struct vcpu;

/* SCTLR_EL1, TCR_EL1, TTBR0_EL1, TTBR1_EL1 */
struct arm64_translation {
    uint64_t sctlr;
    uint64_t tcr;
    uint64_t ttbr0;
    uint64_t ttbr1;
};

/*
 * Virtual to guest physical. -EFAULT if the address is not mapped, is in neither half, or a table
 * is not in RAM.
 */
int arm64_walk(const struct guest_memory *memory, const struct arm64_translation *registers,
               uint64_t address, gpa_t *physical);

/* The same by the registers of a vCPU, which is parked or calls on its own thread. */
int arm64_translate(const struct vcpu *vcpu, uint64_t address, gpa_t *physical);

#endif

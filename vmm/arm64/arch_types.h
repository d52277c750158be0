/* SPDX-License-Identifier: MIT */
/* What arm64 keeps per VM and per vCPU. */
#ifndef VMM_ARM64_ARCH_TYPES_H
#define VMM_ARM64_ARCH_TYPES_H

#include <stdbool.h>
#include <stdint.h>

struct arch_vm {
    bool has_pmu; /* every vCPU has performance counters */
};

struct arch_vcpu {
    uint64_t mpidr; /* MPIDR_EL1, its affinity fields only: what the device tree and PSCI call it */
    bool finalized; /* KVM_ARM_VCPU_FINALIZE was done; once in a vCPU's life */
};

#endif

/* SPDX-License-Identifier: MIT */
/* What x86 keeps per VM and per vCPU. */
#ifndef VMM_X86_ARCH_TYPES_H
#define VMM_X86_ARCH_TYPES_H

#include <stdint.h>

struct kvm_cpuid2;

struct arch_vm {
    struct kvm_cpuid2 *cpuid; /* what every vCPU's CPUID says, but for APIC ids; owned */
};

struct arch_vcpu {
    uint32_t apic_id;
};

#endif

/* SPDX-License-Identifier: MIT */
/* What x86 keeps per vCPU. */
#ifndef VMM_X86_ARCH_TYPES_H
#define VMM_X86_ARCH_TYPES_H

struct x86_reset_state; /* vmm/x86/vcpu.c */

struct arch_vcpu {
    struct x86_reset_state *reset_state; /* what KVM gave at creation; owned */
};

#endif

/* SPDX-License-Identifier: MIT */
/* What arm64 does with vCPUs beyond vmm/arch.h. */
#ifndef VMM_ARM64_VCPU_ARM64_H
#define VMM_ARM64_VCPU_ARM64_H

#include "vmm/arm64/boot.h"
#include "vmm/error.h"
#include "vmm/vcpu.h"

/* The address bits of a VM with `ram` bytes on this host: what it would like, or what there is. */
unsigned arm64_address_bits(int kvm_fd, uint64_t ram);

/*
 * Switch the vCPU's performance counters on; their interrupt is a PPI, so the interrupt controller
 * must be there. Nothing happens if vm->arch.has_pmu is false.
 */
int arm64_vcpu_init_pmu(struct vcpu *vcpu, struct error *err);

/*
 * The state after power-on: the boot processor runnable, the others off until PSCI's CPU_ON. The
 * vCPU is parked.
 */
int arm64_vcpu_reset(struct vcpu *vcpu, struct error *err);

/* Put the boot processor at a kernel's entry, in the state that the boot protocol demands. */
int arm64_vcpu_enter(struct vcpu *vcpu, const struct boot_entry *entry, struct error *err);

#endif

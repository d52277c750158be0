/* SPDX-License-Identifier: MIT */
/* What x86 does with vCPUs beyond vmm/arch.h. */
#ifndef VMM_X86_VCPU_X86_H
#define VMM_X86_VCPU_X86_H

#include "vmm/error.h"
#include "vmm/vcpu.h"
#include "vmm/x86/boot.h"

/*
 * Do what a PC's firmware does on every CPU before the kernel starts: memory types. The vCPU is
 * parked and in its reset state.
 */
int x86_vcpu_prepare(struct vcpu *vcpu, struct error *err);

/* Write a model-specific register. -EINVAL if KVM refuses, or what the ioctl says. */
int x86_vcpu_set_msr(const struct vcpu *vcpu, uint32_t index, uint64_t value);

/* Put the boot processor at a kernel's entry, in the state that the boot protocol demands. */
int x86_vcpu_enter(struct vcpu *vcpu, const struct boot_entry *entry, struct error *err);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * What the core asks of an architecture. vmm/x86/ and vmm/arm64/ each implement all of it; the
 * build picks one folder, and no other file asks which.
 */
#ifndef VMM_ARCH_H
#define VMM_ARCH_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "arch_types.h" /* struct arch_vm, struct arch_vcpu: from the chosen folder */
#include "vmm/error.h"

struct vm;
struct vcpu;

/* A KVM capability that the architecture cannot do without. A table of these ends with name NULL.
 */
struct arch_capability {
    int capability;
    const char *name; /* "KVM_CAP_IRQCHIP" */
};
extern const struct arch_capability arch_required_capabilities[];

/* The `type` argument of KVM_CREATE_VM for a VM that will have `ram` bytes of RAM. */
unsigned long arch_vm_type(int kvm_fd, uint64_t ram);

/*
 * True when this KVM can run kernel code only by emulating it, instruction by instruction (no
 * virtualization extensions): bare-metal test guests run, but a stock kernel takes very long. */
bool arch_kvm_emulates_kernel_mode(int kvm_fd);

/* After KVM_CREATE_VCPU: CPU features. Resetting is machine_reset()'s, see vmm/machine.h. */
int arch_vcpu_init(struct vcpu *vcpu, struct error *err);

/* Undo it. */
void arch_vcpu_destroy(struct vcpu *vcpu);

/*
 * An exit that the common switch in vmm/vcpu.c does not know. True if handled; on false the vCPU
 * reports it as a crash.
 */
bool arch_vcpu_handle_exit(struct vcpu *vcpu);

/* Print registers, and the instruction bytes where they can be read. On the vCPU's thread or
 * parked. */
void arch_vcpu_dump(struct vcpu *vcpu, FILE *out);

#endif

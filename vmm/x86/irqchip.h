/* SPDX-License-Identifier: MIT */
/*
 * The interrupt controllers and the interval timer, all in the kernel: two 8259 PICs, an I/O APIC,
 * a local APIC for each vCPU, an 8254 PIT.
 */
#ifndef VMM_X86_IRQCHIP_H
#define VMM_X86_IRQCHIP_H

#include "vmm/error.h"

struct vm;

/*
 * Create them, wire the pins as memory_map.h says, and initialise vm->irq, which kvm_irq_destroy()
 * undoes. Before the first vCPU, whose local APIC comes with it.
 */
int x86_irqchip_create(struct vm *vm, struct error *err);

/* Only the controllers and the PIT, on the VM `vm_fd`, wired as KVM does it by itself. */
int x86_irqchip_create_bare(int vm_fd, struct error *err);

#endif

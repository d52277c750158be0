/* SPDX-License-Identifier: MIT */
/* The registers that gdb sees on x86. */
#ifndef VMM_X86_GDB_TYPES_H
#define VMM_X86_GDB_TYPES_H

#include <linux/kvm.h>
#include <stdint.h>

struct gdb_arch_state {
    struct kvm_regs regs;
    struct kvm_sregs sregs;
    struct kvm_fpu fpu;
    uint16_t tag_word; /* two bits a register, where FXSAVE and KVM have one */
};

#endif

/* SPDX-License-Identifier: MIT */
/* The registers that gdb sees on x86. */
#ifndef VMM_X86_GDB_TYPES_H
#define VMM_X86_GDB_TYPES_H

#include <linux/kvm.h>
#include <stdint.h>

/* What FXSAVE stores (SDM volume 1, 10.5.1), and the word of XSAVE's header that says what is in
 * use. */
struct gdb_x86_fpu {
    uint16_t fcw;
    uint16_t fsw;
    uint16_t ftw; /* 8 bits */
    uint16_t fop;
    uint64_t last_ip;
    uint64_t last_dp;
    uint32_t mxcsr;
    uint32_t mxcsr_mask;
    uint8_t fpr[8][16];
    uint8_t xmm[16][16];
    uint8_t reserved[96];
    uint64_t xstate_bv;
};

struct gdb_arch_state {
    struct kvm_regs regs;
    struct kvm_sregs sregs;
    union {
        struct gdb_x86_fpu fpu;
        uint8_t xsave[4096]; /* struct kvm_xsave; KVM_GET_FPU leaves MXCSR out */
    };
    uint16_t tag_word; /* two bits a register, where FXSAVE and KVM have one */
};

_Static_assert(sizeof(struct gdb_x86_fpu) == 520, "the header of XSAVE comes at 512");

#endif

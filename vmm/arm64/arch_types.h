/* SPDX-License-Identifier: MIT */
/* What arm64 keeps per VM and per vCPU. */
#ifndef VMM_ARM64_ARCH_TYPES_H
#define VMM_ARM64_ARCH_TYPES_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/ioctl.h>

struct arch_vm {
    bool has_pmu; /* every vCPU has performance counters */
};

struct arch_vcpu {
    uint64_t mpidr; /* MPIDR_EL1, its affinity fields only: what the device tree and PSCI call it */
    bool step_masked; /* gdb_arch_begin_step() has masked interrupts */
    uint64_t step_pc; /* the instruction that is stepped then */
    bool finalized;   /* KVM_ARM_VCPU_FINALIZE was done; once in a vCPU's life */
};

/* Here glibc's ioctl() is the system call and nothing else, unlike on x86. */
static inline long arch_kvm_run(int fd)
{
    return ioctl(fd, KVM_RUN, 0);
}

#endif

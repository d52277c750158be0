/* SPDX-License-Identifier: MIT */
/* A vCPU: one thread that runs KVM_RUN in a loop. See vmm/vcpu.c for the loop, vmm/vm.h for its
 * life. */
#ifndef VMM_VCPU_H
#define VMM_VCPU_H

#include <linux/kvm.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/arch.h"
#include "vmm/bus.h"
#include "vmm/exit_stats.h"
#include "vmm/vm.h"

struct vcpu {
    struct vm *vm;
    unsigned index; /* 0 is the boot processor */
    int fd;
    struct kvm_run *run; /* shared with KVM */
    pthread_t thread;
    bool thread_started;
    atomic_int thread_id;   /* the system's number of it, gettid(2); 0: not running yet */
    struct bus_cursor mmio; /* this thread's own */
    struct bus_cursor pio;
    struct exit_stats *stats;        /* of this vCPU, with --stats; else NULL */
    bool frozen;                     /* stays parked while others run; vm->lock */
    bool stepping;                   /* KVM steps it; changes while it is parked only */
    enum vm_debug_event debug_event; /* and its details in `debug`; vm->lock */
    struct kvm_debug_exit_arch debug;
    struct arch_vcpu arch; /* vmm/<arch>/arch_types.h */
};

/* Create vCPU `index` with its thread, parked. */
int vcpu_create(struct vm *vm, unsigned index, struct vcpu **out, struct error *err);

/* Free one whose thread has ended or never started. */
void vcpu_destroy(struct vcpu *vcpu);

/* Make it leave the guest, or not enter it: immediate_exit and a signal. Any thread. */
void vcpu_kick(struct vcpu *vcpu);

/*
 * The vCPU cannot go on: print `reason` and its registers, once, and stop the machine. On the
 * vCPU's thread.
 */
void vcpu_crash(struct vcpu *vcpu, const char *reason);

/* An ioctl on the vCPU. Negative errno, with `name` ("KVM_SET_REGS") and the vCPU in the text. */
int vcpu_ioctl(struct vcpu *vcpu, unsigned long request, void *argument, const char *name,
               struct error *err);

/* "running", "halted" (x86: waits for an interrupt) or "off". It is parked. */
const char *vcpu_state(const struct vcpu *vcpu);

/* The name of a KVM_EXIT_* value, "KVM_EXIT_IO". */
const char *vcpu_exit_name(uint32_t reason);

/* Install the (empty) handler of the signal that kicks vCPUs. Once, before the first vCPU. */
int vcpu_install_kick_signal(struct error *err);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * The virtual machine as the core sees it: KVM's file descriptors, guest RAM, the two buses,
 * interrupts, the vCPUs and the life of them all. It knows no device; machine.h puts those on top.
 *
 * Life cycle. vCPU threads run or are parked; the main thread decides. A device that wants the
 * machine to power off, reset or stop calls vm_request(), which may be on any thread: it records
 * the wish, wakes the main thread, and makes every vCPU leave the guest. The main thread waits
 * until all are parked and then acts. Until it has acted no vCPU executes another guest
 * instruction, so that a guest that asked to power off does not run on.
 */
#ifndef VMM_VM_H
#define VMM_VM_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "arch_types.h" /* struct arch_vm: from the chosen folder */
#include "vmm/bus.h"
#include "vmm/error.h"
#include "vmm/event_loop.h"
#include "vmm/guest_memory.h"
#include "vmm/kvm_irq.h"

struct vcpu;
struct kvm_debug_exit_arch;

/* What somebody wants of the machine, weakest first; a stronger wish replaces a weaker one. */
enum vm_request {
    VM_REQUEST_NONE,
    VM_REQUEST_RESET,    /* the guest asked for a reboot */
    VM_REQUEST_POWEROFF, /* the guest asked to be switched off */
    VM_REQUEST_CRASH,    /* the guest or its vCPU cannot go on; a report was printed */
    VM_REQUEST_QUIT,     /* the person at the console asked, or a signal came */
};

/* Who keeps the machine stopped: bits of vm->holders. */
enum vm_holder {
    VM_HOLDER_GDB = 1 << 0,     /* a debugger looks at it, or -S */
    VM_HOLDER_MONITOR = 1 << 1, /* the person said stop */
    VM_HOLDER_HOTPLUG = 1 << 2, /* a device comes or goes: for a moment */
};

struct vm {
    int kvm_fd;
    int fd;
    size_t run_size; /* bytes of the shared struct kvm_run */
    struct guest_memory memory;
    struct bus mmio;
    struct bus pio; /* I/O ports; arm64 has none */
    struct kvm_irq irq;
    struct event_loop loop;
    _Atomic unsigned request;   /* enum vm_request */
    _Atomic int request_signal; /* with VM_REQUEST_QUIT: the signal that asked, or 0 */

    struct arch_vm arch;

    struct vcpu **vcpus;
    unsigned vcpu_count;
    pthread_mutex_t lock;   /* guards what follows; a leaf */
    pthread_cond_t changed; /* signalled on each change of it */
    bool running;           /* vCPUs may enter the guest */
    unsigned holders;       /* enum vm_holder: vCPUs may not, whatever happens */
    int debug_fd;           /* eventfd, written after KVM_EXIT_DEBUG; -1: nobody debugs */
    bool shutting_down;     /* vCPU threads leave */
    unsigned parked;        /* vCPUs that wait for `running` */
};

/*
 * Open /dev/kvm, check the API version and every capability that minivmm needs (the text names the
 * missing one), create the VM and the two empty buses. No vCPU and no RAM yet; `ram` is how many
 * bytes of it there are going to be.
 */
int vm_init(struct vm *vm, uint64_t ram, struct error *err);

/*
 * The same without KVM, for a machine that is looked at and never runs: no vCPU can be created, RAM
 * is known to nobody else, and interrupts go nowhere.
 */
int vm_init_without_kvm(struct vm *vm, struct error *err);

/* False for such a machine. */
static inline bool vm_can_run(const struct vm *vm)
{
    return vm->fd >= 0;
}

/* Undo all of it; vCPUs must have been stopped by vm_stop_vcpus(). Safe after a failed vm_init().
 */
void vm_destroy(struct vm *vm);

/* Add guest RAM and make it known to KVM. See guest_memory_add(). */
int vm_add_ram(struct vm *vm, gpa_t base, uint64_t size, bool hugetlb, struct error *err);

/* KVM_CHECK_EXTENSION on the VM: the capability's value, 0 if absent. */
int vm_check_extension(const struct vm *vm, int capability);

/* Create `count` vCPUs, parked and in their reset state, their threads waiting. */
int vm_create_vcpus(struct vm *vm, unsigned count, struct error *err);

/* Let the vCPUs run, unless somebody holds the machine; see below. Main thread. */
void vm_resume(struct vm *vm);

/* Make all vCPUs leave the guest and wait until each is parked. Main thread; may be called twice.
 */
void vm_pause(struct vm *vm);

/*
 * Stop the machine, and let it go on; main thread.
 *
 * When vm_hold() returns, every vCPU is parked: outside KVM_RUN, the access that it had been making
 * completed, and its PC at the next instruction, so that its registers may be read and written, and
 * no guest instruction is executed until vm_release(). Devices' own threads and timers go on. A
 * reset, which the main thread makes, leaves the machine held; power-off ends it.
 *
 * Each holder has one hold, however often it asks. The machine runs on when the last has released
 * it, and not then if somebody has asked for something by vm_request().
 */
void vm_hold(struct vm *vm, enum vm_holder holder);
void vm_release(struct vm *vm, enum vm_holder holder);

/*
 * A debugger's business: how this vCPU is to run when the machine does. `frozen`: it stays parked.
 * `stepping`: KVM steps it. All vCPUs are parked.
 */
void vm_set_vcpu_debug(struct vcpu *vcpu, bool frozen, bool stepping);

/*
 * On the vCPU's thread: KVM_EXIT_DEBUG, whose details are kept in vcpu->debug. All vCPUs leave the
 * guest, and vm->debug_fd is written. False: nobody debugs.
 */
bool vm_debug_exit(struct vcpu *vcpu);

/*
 * On the vCPU's thread: an access to a device has been handled, and the vCPU steps. The instruction
 * is done with that, but KVM on x86 does not say so after a write, and executes another one. So
 * this stops the vCPU as soon as KVM has completed the access.
 */
void vm_debug_access(struct vcpu *vcpu);

enum vm_debug_event {
    VM_DEBUG_NONE,
    VM_DEBUG_EXIT,   /* KVM_EXIT_DEBUG */
    VM_DEBUG_ACCESS, /* vm_debug_access(): a step is done */
};

/* What has happened since this was last asked? The vCPU is parked. Main thread. */
enum vm_debug_event vm_take_debug_event(struct vcpu *vcpu, struct kvm_debug_exit_arch *exit);

/* Pause, end the threads and destroy the vCPUs. */
void vm_stop_vcpus(struct vm *vm);

/*
 * Ask for something; see above. Returns at once, on any thread; on a vCPU's own thread the vCPU
 * parks as soon as its present exit has been completed.
 */
void vm_request(struct vm *vm, enum vm_request request);

/* Say one line about the guest on stderr, whole even when threads speak at once. */
__attribute__((format(printf, 1, 2))) void vm_report(const char *format, ...);

#endif

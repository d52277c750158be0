/* SPDX-License-Identifier: MIT */
/*
 * What gdb's stub asks of an architecture: vmm/x86/gdb_arch.c and vmm/arm64/gdb_arch.c. All vCPUs
 * are parked (vm_hold()), and all functions are called on the main thread. Errors are negative
 * errno.
 */
#ifndef VMM_GDB_ARCH_H
#define VMM_GDB_ARCH_H

#include <stdbool.h>
#include <stdint.h>

#include "gdb_types.h" /* struct gdb_arch_state: from the chosen folder */
#include "vmm/address.h"
#include "vmm/gdb_stub.h"
#include "vmm/vcpu.h"

/* ---- registers */

/* A register as the client knows it, and where struct gdb_arch_state has it, little-endian. */
struct gdb_register {
    const char *name;
    const char *type;
    uint16_t bits;   /* on the wire */
    uint16_t offset; /* in the state */
    uint8_t held;    /* bytes there; the rest on the wire is zero */
};

/* A group of registers that gdb knows by its name, with the XML of types that are not gdb's own. */
struct gdb_feature {
    const char *name;
    const char *types;
    const struct gdb_register *registers;
    unsigned count;
};

/* Registers are numbered from 0 through all features. Ends with name NULL. */
extern const struct gdb_feature gdb_arch_features[];
extern const char gdb_arch_name[]; /* gdb's name of the architecture */

int gdb_arch_get_state(struct vcpu *vcpu, struct gdb_arch_state *state);
/* Write what differs between the two, the first of which is what was read. */
int gdb_arch_set_state(struct vcpu *vcpu, const struct gdb_arch_state *before,
                       const struct gdb_arch_state *after);
int gdb_arch_get_pc(struct vcpu *vcpu, uint64_t *pc);
int gdb_arch_set_pc(struct vcpu *vcpu, uint64_t pc);

/* ---- memory */

/* A virtual address of the vCPU, without permissions. -EFAULT: there is nothing. */
int gdb_arch_translate(struct vcpu *vcpu, uint64_t address, gpa_t *physical);

/* The instruction that a software breakpoint puts into memory. */
enum { GDB_TRAP_MAX = 4 };
extern const uint8_t gdb_arch_trap[GDB_TRAP_MAX];
extern const unsigned gdb_arch_trap_size;

/* ---- breakpoints and steps */

/* A watchpoint stops in front of the access, and must be stepped over; otherwise behind it. */
extern const bool gdb_arch_watches_before;

enum { GDB_HARDWARE_MAX = 32 };

/* What the processor itself watches for; `point` is not GDB_SOFTWARE. */
struct gdb_hardware {
    enum gdb_point point;
    uint64_t address;
    uint64_t length; /* of a watchpoint, bytes */
};

/* Do these fit into its registers? -ENOSPC, -EINVAL (alignment, length), -EOPNOTSUPP (kind). */
int gdb_arch_check_hardware(const struct vcpu *vcpu, const struct gdb_hardware *hardware,
                            unsigned count);

struct gdb_debug {
    bool on;
    bool step;
    const struct gdb_hardware *hardware;
    unsigned count;
};
int gdb_arch_set_debug(struct vcpu *vcpu, const struct gdb_debug *debug);

/*
 * Around a single step: interrupts that have been waiting while the machine was stopped do not come
 * in it. The second does nothing if the first was not called.
 */
void gdb_arch_begin_step(struct vcpu *vcpu);
void gdb_arch_end_step(struct vcpu *vcpu);

enum gdb_exit {
    GDB_EXIT_STEP,
    GDB_EXIT_TRAP,     /* a trap instruction at stop->address, somebody's */
    GDB_EXIT_HARDWARE, /* stop->point and stop->address are set */
    GDB_EXIT_FOREIGN,  /* the guest's own debugging */
};
enum gdb_exit gdb_arch_classify(struct vcpu *vcpu, const struct kvm_debug_exit_arch *exit,
                                const struct gdb_hardware *hardware, unsigned count,
                                struct gdb_stop *stop);

/* Let the guest have the exception that was caught. */
int gdb_arch_reinject(struct vcpu *vcpu, const struct kvm_debug_exit_arch *exit);

#endif

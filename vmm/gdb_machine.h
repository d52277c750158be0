/* SPDX-License-Identifier: MIT */
/*
 * The machine as gdb's stub sees it: the target of vmm/gdb_stub.h.
 *
 * While a client is attached the machine either runs, or is held (vm_hold()) and the client looks
 * at it. Software breakpoints are in the guest's memory only while it runs: so memory always reads
 * as the guest wrote it. A vCPU that goes on from a breakpoint first makes one step with no
 * breakpoint anywhere and the others frozen.
 *
 * Several vCPUs may stop at the same time. One stop is told to the client, the others are kept and
 * told when it resumes those vCPUs. Main thread.
 */
#ifndef VMM_GDB_MACHINE_H
#define VMM_GDB_MACHINE_H

#include <stdbool.h>

#include "vmm/error.h"
#include "vmm/event_loop.h"
#include "vmm/gdb_arch.h"
#include "vmm/gdb_stub.h"
#include "vmm/vm.h"

enum { GDB_BREAKPOINTS_MAX = 256 };

struct gdb_breakpoint {
    enum gdb_point point;
    uint64_t address;
    uint64_t kind;  /* of a watchpoint, its length */
    uint8_t *place; /* of a software breakpoint: the instruction in guest memory */
    uint8_t saved[GDB_TRAP_MAX];
    bool inserted;
};

struct gdb_cpu {
    enum gdb_action action; /* since it was last resumed */
    bool step_over;         /* it is at a breakpoint, to be passed before anything else */
    uint64_t stop_pc;       /* where it was when the machine was stopped */
    bool watched;           /* a watchpoint stopped it there */
    bool has_stop;          /* `stop` has not been told yet */
    struct gdb_stop stop;
};

struct gdb_machine {
    struct vm *vm;
    struct event_source source; /* vm->debug_fd */
    void (*stopped)(void *opaque, const struct gdb_stop *stop);
    void *opaque;
    bool attached;
    bool running; /* as the client sees it */
    bool crashed; /* the guest cannot go on */
    int passing;  /* the vCPU that steps over a breakpoint, or -1 */
    struct gdb_cpu *cpus;
    char *description;
    struct gdb_breakpoint points[GDB_BREAKPOINTS_MAX];
    unsigned count;
};

extern const struct gdb_target_ops gdb_machine_ops;

/* vCPUs must have been created. */
int gdb_machine_init(struct gdb_machine *machine, struct vm *vm, struct error *err);
void gdb_machine_destroy(struct gdb_machine *machine);

/* Stop the machine for a client. `stopped` is called at each further stop. */
void gdb_machine_attach(struct gdb_machine *machine,
                        void (*stopped)(void *opaque, const struct gdb_stop *stop), void *opaque);

/* The client is gone, whatever it was doing: no breakpoint remains, and the machine runs. */
void gdb_machine_detach(struct gdb_machine *machine);

/*
 * A reset is about to be made, vCPUs are paused. What was in memory will be overwritten: software
 * breakpoints go. Hardware ones stay, and the machine runs on if it did.
 */
void gdb_machine_reset(struct gdb_machine *machine);

/* The guest has crashed, vCPUs are paused: let the client look. False: there is none, or it has. */
bool gdb_machine_crash(struct gdb_machine *machine);

#endif

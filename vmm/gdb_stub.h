/* SPDX-License-Identifier: MIT */
/*
 * The commands of gdb's remote serial protocol, in QEMU gdbstub/: a client's bytes go in, bytes for
 * it come out, and what the commands do is the target's business (vmm/gdb_machine.h has the real
 * one). All on the main thread.
 *
 * A vCPU is a thread, number index + 1. All stop together ("all-stop mode"): between a command that
 * resumes and the reply that says why it stopped, the client can only interrupt.
 */
#ifndef VMM_GDB_STUB_H
#define VMM_GDB_STUB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/gdb_packet.h"

/* What a vCPU does while the machine runs. */
enum gdb_action { GDB_STAY, GDB_CONTINUE, GDB_STEP };

/* Kinds of breakpoints, with the numbers that the commands Z and z have. */
enum gdb_point {
    GDB_SOFTWARE,
    GDB_HARDWARE,
    GDB_WATCH_WRITE,
    GDB_WATCH_READ,
    GDB_WATCH_ACCESS,
};

enum gdb_reason {
    GDB_BY_POINT,     /* `point` and, of a watchpoint, `address` say which */
    GDB_BY_STEP,      /* a single step is done; also the answer after connecting */
    GDB_BY_INTERRUPT, /* the client's Ctrl-C */
    GDB_BY_CRASH,     /* the guest cannot go on */
};

struct gdb_stop {
    unsigned cpu;
    enum gdb_reason reason;
    enum gdb_point point;
    uint64_t address;
};

/*
 * What is debugged; its vCPUs are stopped at each of these calls. They return 0 or a negative
 * errno, which the client gets as "E" and its number; -EOPNOTSUPP says that there is no such thing.
 */
struct gdb_target_ops {
    unsigned (*cpu_count)(void *target);
    /* A text such as "CPU 1 [halted]". */
    void (*describe_cpu)(void *target, unsigned cpu, char *text, size_t size);
    /* Its registers' names and sizes, in XML ("Target Descriptions" in the manual). */
    const char *(*description)(void *target);
    /* All registers or, if `number` is not negative, that one. Returns the bytes it took. */
    int (*read_registers)(void *target, unsigned cpu, int number, void *bytes, size_t size);
    /* The same; bytes of registers that are not given stay. */
    int (*write_registers)(void *target, unsigned cpu, int number, const void *bytes, size_t size);
    /* By the virtual addresses of this vCPU. Reading returns how many bytes could be read. */
    int (*read_memory)(void *target, unsigned cpu, uint64_t address, void *bytes, size_t size);
    int (*write_memory)(void *target, unsigned cpu, uint64_t address, const void *bytes,
                        size_t size);
    int (*set_pc)(void *target, unsigned cpu, uint64_t pc);
    /* `kind` is the last argument of Z: a watchpoint's length. */
    int (*insert)(void *target, unsigned cpu, enum gdb_point point, uint64_t address,
                  uint64_t kind);
    int (*remove)(void *target, enum gdb_point point, uint64_t address, uint64_t kind);
    /*
     * One action a vCPU, at least one not GDB_STAY. The target calls gdb_stub_stopped() later, or
     * before it returns.
     */
    int (*resume)(void *target, const enum gdb_action *actions);
    void (*interrupt)(void *target); /* running; calls gdb_stub_stopped() before it returns */
    void (*detach)(void *target);    /* no breakpoints any more; everything runs */
    void (*kill)(void *target);
};

enum { GDB_REGISTERS_MAX = GDB_PACKET_MAX / 2 };

struct gdb_stub {
    const struct gdb_target_ops *ops;
    void *target;
    /* Bytes for the client. At most one frame and one acknowledgement for each byte fed, and
     * one frame for each gdb_stub_stopped(). */
    void (*send)(void *opaque, const void *bytes, size_t length);
    void *opaque;

    struct gdb_parser parser;
    struct gdb_writer reply;
    char frame[GDB_FRAME_MAX]; /* the last one, to be sent again */
    size_t frame_length;
    bool no_ack;
    bool knows_swbreak, knows_hwbreak;
    bool running;
    bool resumed;   /* by the present packet: its reply is the stop, which may have been sent */
    bool over;      /* detached or killed: the connection is to be closed */
    unsigned cpu;   /* that registers and memory are of: Hg */
    int resume_cpu; /* that c and s are for: Hc; -1: all */
    unsigned next_thread;     /* of qsThreadInfo */
    struct gdb_stop last;     /* what ? says */
    enum gdb_action *actions; /* one a vCPU, owned */
};

/* A client has connected, and the target is stopped. -ENOMEM. */
int gdb_stub_start(struct gdb_stub *stub, const struct gdb_target_ops *ops, void *target,
                   void (*send)(void *opaque, const void *bytes, size_t length), void *opaque);
void gdb_stub_destroy(struct gdb_stub *stub);

/* The client sent this byte. */
void gdb_stub_feed(struct gdb_stub *stub, uint8_t byte);

/* The target, which ran, has stopped. */
void gdb_stub_stopped(struct gdb_stub *stub, const struct gdb_stop *stop);

/* The target is gone: it ended with this status or, if `signal` is not 0, by that. */
void gdb_stub_ended(struct gdb_stub *stub, int status, int signal);

#endif

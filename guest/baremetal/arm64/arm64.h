/* SPDX-License-Identifier: MIT */
/* Between the files of this folder. */
#ifndef BAREMETAL_ARM64_ARM64_H
#define BAREMETAL_ARM64_ARM64_H

#include <stdbool.h>
#include <stdint.h>

#include "arch.h"

#define READ_SYSTEM_REGISTER(name)                                                                 \
    ({                                                                                             \
        uint64_t read_value;                                                                       \
        __asm__ volatile("mrs %0, " name : "=r"(read_value) : : "memory");                         \
        read_value;                                                                                \
    })
#define WRITE_SYSTEM_REGISTER(name, value)                                                         \
    __asm__ volatile("msr " name ", %0\n\tisb" : : "r"((uint64_t)(value)) : "memory")

/* What start.S pushes, lowest address first. */
struct exception_frame {
    uint64_t x[31];
    uint64_t elr, spsr, unused;
};
void exception_dispatch(unsigned vector, const struct exception_frame *frame);

_Noreturn void boot_main(const void *device_tree);
void secondary_start(void);
_Noreturn void secondary_main(uint64_t cpu);

/* fdt.c: what the device tree says. Addresses of 0: there is no such thing. */
struct device_tree {
    const char *command_line;
    uint64_t memory_base, memory_end;
    uint64_t ecam;
    uint64_t distributor;
    uint64_t cpu_interface;  /* GICv2 */
    uint64_t redistributors; /* GICv3 */
    uint64_t its;
    uint64_t v2m;
    uint64_t smmu;
    unsigned cpus;
    uint64_t mpidr[MAX_CPUS];
};
extern struct device_tree device_tree;

/* Fills it in. False: what is at `blob` is no device tree. */
bool device_tree_read(const void *blob);

/* gic.c: the distributor, once; this processor's interface, on each. */
void gic_init(void);
void gic_init_cpu(unsigned cpu);

/* its.c: an event of device `bdf` for `cpu`, mapped to the interrupt that gic.c knows it by. */
enum { FIRST_LPI = 8192, NUMBERS = 16 };
void its_init(void);
struct interrupt_message its_message(unsigned bdf, unsigned number, unsigned cpu);

/* The frame of `cpu` among the redistributors. */
uint64_t gic_redistributor(unsigned cpu);

/* There is no going on: without the RESULT line the run has failed. */
_Noreturn void die(const char *what);

#endif

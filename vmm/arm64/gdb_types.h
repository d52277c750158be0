/* SPDX-License-Identifier: MIT */
/* The registers that gdb sees on arm64. */
#ifndef VMM_ARM64_GDB_TYPES_H
#define VMM_ARM64_GDB_TYPES_H

#include <stdint.h>

enum { GDB_SYSTEM_REGISTERS = 14 };

struct gdb_arch_state {
    uint64_t x[31];
    uint64_t sp; /* SP_EL0 or SP_EL1, whichever is in use */
    uint64_t pc;
    uint64_t pstate;
    uint64_t v[32][2];
    uint64_t fpsr;
    uint64_t fpcr;
    uint64_t system[GDB_SYSTEM_REGISTERS]; /* as listed in gdb_arch.c */
};

#endif

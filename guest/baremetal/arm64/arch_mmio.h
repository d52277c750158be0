/* SPDX-License-Identifier: MIT */
/*
 * One instruction per access, of exactly the width that the name says, and of the plain form that
 * the processor describes to a hypervisor: base register only, no write-back.
 */
#ifndef BAREMETAL_ARCH_MMIO_H
#define BAREMETAL_ARCH_MMIO_H

#include <stdint.h>

#define DEFINE_MMIO(bits, suffix, width)                                                           \
    static inline uint##bits##_t mmio_read##bits(uint64_t address)                                 \
    {                                                                                              \
        uint##bits##_t value;                                                                      \
        __asm__ volatile("ldr" suffix " %" width "0, [%1]\n\tdsb ld"                               \
                         : "=r"(value)                                                             \
                         : "r"(address)                                                            \
                         : "memory");                                                              \
        return value;                                                                              \
    }                                                                                              \
    static inline void mmio_write##bits(uint64_t address, uint##bits##_t value)                    \
    {                                                                                              \
        __asm__ volatile("dsb st\n\tstr" suffix " %" width "0, [%1]"                               \
                         :                                                                         \
                         : "r"(value), "r"(address)                                                \
                         : "memory");                                                              \
    }
/* The barriers: what a device is told to read is in memory first, what it says is there is read
   after it has said so. */
DEFINE_MMIO(8, "b", "w")
DEFINE_MMIO(16, "h", "w")
DEFINE_MMIO(32, "", "w")
DEFINE_MMIO(64, "", "x")
#undef DEFINE_MMIO

#endif

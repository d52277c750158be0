/* SPDX-License-Identifier: MIT */
/* One instruction per access, of exactly the width that the name says. */
#ifndef BAREMETAL_ARCH_MMIO_H
#define BAREMETAL_ARCH_MMIO_H

#include <stdint.h>

#define DEFINE_MMIO(bits, suffix)                                                                  \
    static inline uint##bits##_t mmio_read##bits(uint64_t address)                                 \
    {                                                                                              \
        uint##bits##_t value;                                                                      \
        __asm__ volatile("mov" suffix " %1, %0"                                                    \
                         : "=r"(value)                                                             \
                         : "m"(*(const volatile uint##bits##_t *)address)                          \
                         : "memory");                                                              \
        return value;                                                                              \
    }                                                                                              \
    static inline void mmio_write##bits(uint64_t address, uint##bits##_t value)                    \
    {                                                                                              \
        __asm__ volatile("mov" suffix " %1, %0"                                                    \
                         : "=m"(*(volatile uint##bits##_t *)address)                               \
                         : "r"(value)                                                              \
                         : "memory");                                                              \
    }
DEFINE_MMIO(8, "b")
DEFINE_MMIO(16, "w")
DEFINE_MMIO(32, "l")
DEFINE_MMIO(64, "q")
#undef DEFINE_MMIO

#endif

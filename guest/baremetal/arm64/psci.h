/* SPDX-License-Identifier: MIT */
/* PSCI, Arm DEN0022: the calls that turn processors and the machine on and off. */
#ifndef BAREMETAL_ARM64_PSCI_H
#define BAREMETAL_ARM64_PSCI_H

#include <stdint.h>

enum psci_function {
    PSCI_VERSION = (int)0x84000000,
    PSCI_CPU_OFF = (int)0x84000002,
    PSCI_CPU_ON = (int)0xc4000003, /* the last two digits and 0xc4: 64-bit arguments */
    PSCI_AFFINITY_INFO = (int)0xc4000004,
    PSCI_SYSTEM_OFF = (int)0x84000008,
    PSCI_SYSTEM_RESET = (int)0x84000009,
    PSCI_FEATURES = (int)0x8400000a,
};

enum {
    PSCI_SUCCESS = 0,
    PSCI_NOT_SUPPORTED = -1,
    PSCI_INVALID_PARAMETERS = -2,
    PSCI_ALREADY_ON = -4,

    /* Of AFFINITY_INFO. */
    PSCI_ON = 0,
    PSCI_OFF = 1,
};

/* A call by HVC, as the device tree of a virtual machine asks for. What it returns, 32 bits of it.
 */
static inline int psci(enum psci_function function, uint64_t first, uint64_t second, uint64_t third)
{
    register uint64_t x0 __asm__("x0") = (uint32_t)function;
    register uint64_t x1 __asm__("x1") = first;
    register uint64_t x2 __asm__("x2") = second;
    register uint64_t x3 __asm__("x3") = third;

    __asm__ volatile("hvc #0"
                     : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)
                     :
                     : "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15",
                       "x16", "x17", "memory");
    return (int)x0;
}

#endif

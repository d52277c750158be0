/* SPDX-License-Identifier: MIT */
/*
 * A load of two registers from a device: the processor does not say in the syndrome what it was
 * (ISV is 0, Arm ARM D13.2.37), KVM cannot emulate it, and minivmm has to say what happened.
 * which=1 on the command line makes it a store with write-back, which has none either.
 */
#include "test.h"

static void no_syndrome(void)
{
    uint64_t address = arch_unclaimed;
    uint64_t first;
    uint64_t second;

    print("CRASH by an access without a syndrome\n");
    if (test_parameter("which", 0)) {
        __asm__ volatile("str wzr, [%0], #4" : "+r"(address) : : "memory");
    } else {
        __asm__ volatile("ldp %0, %1, [%2]"
                         : "=&r"(first), "=&r"(second)
                         : "r"(address)
                         : "memory");
    }
}

const struct test tests[] = {
    {"no syndrome", no_syndrome},
    {0},
};

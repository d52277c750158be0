/* SPDX-License-Identifier: MIT */
/* A fault without an IDT: the processor shuts down, and minivmm has to say that the guest crashed.
 */
#include "test.h"

static void triple_fault(void)
{
    static const struct __attribute__((packed)) {
        uint16_t limit;
        uint64_t base;
    } nothing = {0, 0};

    print("CRASH by triple fault\n");
    __asm__ volatile("lidt %0; ud2" : : "m"(nothing));
}

const struct test tests[] = {
    {"triple fault", triple_fault},
    {0},
};

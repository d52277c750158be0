/* SPDX-License-Identifier: MIT */
/* What a kernel does when it panics; minivmm has to say that the guest crashed. */
#include "ports.h"
#include "test.h"

static void panic(void)
{
    CHECK_EQ(inb(PORT_PVPANIC) & 1, 1); /* the event is offered */
    print("CRASH by pvpanic\n");
    outb(PORT_PVPANIC, 1);
    CHECK(!"the machine went on");
}

const struct test tests[] = {
    {"pvpanic", panic},
    {0},
};

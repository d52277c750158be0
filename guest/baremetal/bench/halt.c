/* SPDX-License-Identifier: MIT */
/* Benchmark: halt for good, for measuring what a machine at rest takes. Says when it is there. */
#include "bench.h"

static void run(void)
{
    print("HALTED\n");
    arch_halt();
}

const struct test tests[] = {{"halt", run}, {0}};

/* SPDX-License-Identifier: MIT */
/* Benchmark: power off at once; what is left is the cost of a machine's life. */
#include "bench.h"

static void run(void)
{
    arch_power_off();
}

const struct test tests[] = {{"exit", run}, {0}};

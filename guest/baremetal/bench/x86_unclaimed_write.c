/* SPDX-License-Identifier: MIT */
/* Benchmark: Port write where nobody is. */
#include "bench.h"
#include "ports.h"

static void run(void)
{
    BENCH_REPEAT(bench_count(), outb(0xa20, 0));
    bench_done();
}

const struct test tests[] = {{"unclaimed_write", run}, {0}};

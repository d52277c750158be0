/* SPDX-License-Identifier: MIT */
/* Benchmark: Port read of the serial port's line status register. */
#include "bench.h"
#include "ports.h"

static void run(void)
{
    BENCH_REPEAT(bench_count(), (void)inb(PORT_SERIAL + 5));
    bench_done();
}

const struct test tests[] = {{"lsr_read", run}, {0}};

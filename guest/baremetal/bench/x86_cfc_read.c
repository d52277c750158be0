/* SPDX-License-Identifier: MIT */
/* Benchmark: Configuration read through 0xCFC: the host bridge's ids. */
#include "bench.h"
#include "ports.h"

static void run(void)
{
    outl(PORT_CONFIG_ADDRESS, CONFIG_ENABLE);
    BENCH_REPEAT(bench_count(), (void)inl(PORT_CONFIG_DATA));
    bench_done();
}

const struct test tests[] = {{"cfc_read", run}, {0}};

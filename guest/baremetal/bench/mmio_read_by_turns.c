/* SPDX-License-Identifier: MIT */
/*
 * Benchmark: MMIO reads from two devices by turns, so that every access is to another place than
 * the one before and has to be looked up.
 */
#include "bench.h"

static void run(void)
{
    const uint64_t first = bench_register(0);
    const uint64_t second = bench_register(1);

    if (!second) {
        SKIP("needs two devices");
    }
    BENCH_REPEAT(bench_count() / 2, ((void)mmio_read32(first), (void)mmio_read32(second)));
    bench_done();
}

const struct test tests[] = {{"mmio_read_by_turns", run}, {0}};

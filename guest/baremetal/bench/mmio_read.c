/* SPDX-License-Identifier: MIT */
/* Benchmark: MMIO read of a device's register, 4 bytes. */
#include "bench.h"

static void run(void)
{
    const uint64_t address = bench_register(0);

    if (!address) {
        SKIP("no device");
    }
    BENCH_REPEAT(bench_count(), (void)mmio_read32(address));
    bench_done();
}

const struct test tests[] = {{"mmio_read", run}, {0}};

/* SPDX-License-Identifier: MIT */
/*
 * Benchmark: two processors, each reading n times from a device of its own. With processors=1 only
 * the first reads, for comparison; compare the ticks of time=1.
 */
#include "bench.h"

static uint64_t addresses[2];
static uint64_t count;
static _Atomic bool ready;

static void second(void *unused)
{
    (void)unused;
    ready = true;
    BENCH_REPEAT(count, (void)mmio_read32(addresses[1]));
}

static void run(void)
{
    const bool both = test_parameter("processors", 2) == 2;

    addresses[0] = bench_register(0);
    addresses[1] = bench_register(1);
    count = test_parameter("n", 1000);
    if (!addresses[1] || arch_cpu_count() < 2) {
        SKIP("needs two devices and two processors");
    }
    if (both && (!arch_cpu_start(1, second, NULL) || !WAIT_UNTIL(ready))) {
        SKIP("the second processor did not start");
    }
    BENCH_REPEAT(bench_count(), (void)mmio_read32(addresses[0]));
    if (both && !arch_cpu_join(1)) {
        SKIP("the second processor did not finish");
    }
    bench_done();
}

const struct test tests[] = {{"mmio_read_two", run}, {0}};

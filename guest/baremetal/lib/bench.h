/* SPDX-License-Identifier: MIT */
/*
 * Benchmark guests: loops of n=N exits (of the command line; 1000 by default), and nothing printed,
 * so that what is measured is the difference between two values of N. They find their device
 * through 0xCF8 or ECAM and place its BAR themselves if no firmware has: the same ELF runs on any
 * machine with a PVH loader and a q35's ports.
 */
#ifndef BAREMETAL_BENCH_H
#define BAREMETAL_BENCH_H

#include "arch.h"
#include "pci.h"
#include "test.h"

/* The n of the command line. With place=1 every known device on bus 0 gets its BAR first. */
uint64_t bench_count(void);

/* Print the ticks since bench_count() if the command line has time=1, and power off. */
_Noreturn void bench_done(void);

/* Evaluate `step` `count` times, four to a turn so that the loop itself weighs little. */
#define BENCH_REPEAT(count, step)                                                                  \
    for (uint64_t bench_turns = (count) / 4; bench_turns; bench_turns--) {                         \
        step;                                                                                      \
        step;                                                                                      \
        step;                                                                                      \
        step;                                                                                      \
    }

/*
 * A register whose reading has no effect, of the nth device that has one: DMA engine (status) or
 * test device (ID) on minivmm, edu (identification) on QEMU. 0: there is none.
 */
uint64_t bench_register(unsigned nth);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * --stats: how often the guest exited, why and to whom, and how long each was handled.
 *
 * Each vCPU counts on its own, without a lock; the counts are summed when they are printed. When
 * --stats is not given there are none, and nothing in the path of an exit asks for them: counting
 * is a part of handle_watched_exit() in vmm/vcpu.c, which trace_watch() switches on.
 *
 * The time of an exit is from KVM_RUN's return until it has been handled; neither the guest's time
 * nor KVM's is in it. What KVM does by itself (its interrupt controllers, ioeventfds) is no exit.
 */
#ifndef VMM_EXIT_STATS_H
#define VMM_EXIT_STATS_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/bus.h"

struct exit_stats;

/*
 * Count from now on, for vCPUs that are created later, and print the summary on stderr at
 * exit_stats_finish(), or before if the process dies (vmm/exit_hooks.h). Main thread, once.
 */
void exit_stats_start(void);

/* A new vCPU's counters, which live until the process ends; NULL: nobody counts, or no memory. */
struct exit_stats *exit_stats_of_vcpu(unsigned vcpu);

/* Count one exit. `range`: who answered, NULL if it was no access. The vCPU's thread. */
void exit_stats_count(struct exit_stats *stats, uint32_t reason, const struct bus_range *range,
                      uint64_t ns);

/* Print the summary of all vCPUs to `fd`. Async-signal-safe, but one at a time; vCPUs may run. */
void exit_stats_print(int fd);

/* Print it on stderr if it was started and has not been printed. Any thread. */
void exit_stats_finish(void);

#endif

/* SPDX-License-Identifier: MIT */
/* Other processors: on and off by PSCI. */
#include "arm64.h"
#include "psci.h"
#include "test.h"

enum { STACK_SIZE = 8192 };

static struct {
    void (*function)(void *);
    void *argument;
    _Atomic bool taken;
    _Atomic bool running;
} cpus[MAX_CPUS];

extern char cpu_stacks[MAX_CPUS][STACK_SIZE];
char cpu_stacks[MAX_CPUS][STACK_SIZE] __attribute__((aligned(16)));

unsigned arch_cpu_count(void)
{
    return device_tree.cpus ? device_tree.cpus : 1;
}

/* Called by start.S on the new processor's own stack. It is off again afterwards. */
void secondary_main(uint64_t cpu)
{
    gic_init_cpu((unsigned)cpu);
    cpus[cpu].taken = true; /* from here on messages for it arrive */
    cpus[cpu].function(cpus[cpu].argument);
    cpus[cpu].running = false;
    (void)psci(PSCI_CPU_OFF, 0, 0, 0);
    arch_halt();
}

static bool is_off(unsigned cpu)
{
    return psci(PSCI_AFFINITY_INFO, device_tree.mpidr[cpu], 0, 0) == PSCI_OFF;
}

/* One that has just returned from its function may not have turned itself off yet. */
bool arch_cpu_start(unsigned cpu, void (*function)(void *), void *argument)
{
    if (!WAIT_UNTIL(is_off(cpu))) {
        return false;
    }
    cpus[cpu].function = function;
    cpus[cpu].argument = argument;
    cpus[cpu].taken = false;
    cpus[cpu].running = true;
    if (psci(PSCI_CPU_ON, device_tree.mpidr[cpu], (uintptr_t)secondary_start, cpu) !=
        PSCI_SUCCESS) {
        return false;
    }
    return WAIT_UNTIL(cpus[cpu].taken);
}

bool arch_cpu_join(unsigned cpu)
{
    const uint64_t start = arch_ticks();

    /* Longer than WAIT_UNTIL: many virtual processors may share few real ones. */
    while (cpus[cpu].running && arch_ticks() - start < 20000 * arch_ticks_per_ms) {
        arch_relax();
    }
    return !cpus[cpu].running;
}

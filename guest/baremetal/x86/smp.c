/* SPDX-License-Identifier: MIT */
/* Application processors: INIT, then STARTUP (SDM volume 3, 8.4.4.1). */
#include "arch.h"
#include "print.h"
#include "test.h"
#include "x86.h"

enum {
    TRAMPOLINE = 0x8000, /* as in start.S */
    ICR_INIT = 0x4500,   /* INIT, assert, edge */
    ICR_STARTUP = 0x4600 | TRAMPOLINE >> 12,
    STACK_SIZE = 8192,
};

static struct {
    void (*function)(void *);
    void *argument;
    _Atomic bool running;
} cpus[MAX_CPUS];

static char stacks[MAX_CPUS][STACK_SIZE] __attribute__((aligned(16)));

/* One processor starts at a time: it takes its number and its stack from here. */
static unsigned starting;
static _Atomic bool taken;

unsigned cpu_apic_id(unsigned cpu)
{
    return acpi.cpus ? acpi.apic_ids[cpu] : mmio_read32(LAPIC_BASE + LAPIC_ID) >> 24;
}

unsigned arch_cpu_count(void)
{
    return acpi.cpus ? acpi.cpus : 1;
}

/* Called by start.S on the new processor's own stack. */
void ap_main(void)
{
    const unsigned cpu = starting;

    taken = true;
    interrupts_init();
    cpus[cpu].function(cpus[cpu].argument);
    cpus[cpu].running = false;
}

static void send_ipi(unsigned cpu, uint32_t command)
{
    mmio_write32(LAPIC_BASE + LAPIC_ICR_HIGH, cpu_apic_id(cpu) << 24);
    mmio_write32(LAPIC_BASE + LAPIC_ICR_LOW, command);
}

/* Hardware wants 10 ms after INIT; virtual processors need none, some time is left all the same. */
bool arch_cpu_start(unsigned cpu, void (*function)(void *), void *argument)
{
    memcpy((void *)(uintptr_t)TRAMPOLINE, ap_trampoline,
           (size_t)(ap_trampoline_end - ap_trampoline));
    cpus[cpu].function = function;
    cpus[cpu].argument = argument;
    cpus[cpu].running = true;
    ap_stack = stacks[cpu] + STACK_SIZE;
    starting = cpu;
    taken = false;
    send_ipi(cpu, ICR_INIT);
    test_delay(200);
    send_ipi(cpu, ICR_STARTUP);
    return WAIT_UNTIL(taken);
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

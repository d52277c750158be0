/* SPDX-License-Identifier: MIT */
/*
 * What the tests ask of an architecture. x86/ and arm64/ implement it; nothing outside these
 * folders knows ports, interrupt controllers or page tables, so that a test written against this
 * header runs anywhere.
 *
 * Guest code runs in the most privileged mode with an identity map: a physical address is a
 * pointer. Some KVMs emulate such code one instruction at a time (microseconds each), so it is
 * integer-only, and loops are short.
 */
#ifndef BAREMETAL_ARCH_H
#define BAREMETAL_ARCH_H

#include <stdbool.h>
#include <stdint.h>

#include "arch_mmio.h" /* mmio_read8() ... mmio_write64(): one load or store each */

enum { MAX_CPUS = 16 };

/* ---- console, power, time */

void arch_put_char(char c);
_Noreturn void arch_power_off(void);

/* Sleep for good, interrupts off. */
_Noreturn void arch_halt(void);

/* A counter that runs at about arch_ticks_per_ms; good for time-outs, not for measuring time. */
uint64_t arch_ticks(void);
extern const uint64_t arch_ticks_per_ms;

/* The command line; "" if there is none. At most 255 characters are kept. */
const char *arch_command_line(void);

/* Where RAM begins. */
extern const uint64_t arch_memory_base;

/* First address after the RAM that this program lies in. */
uint64_t arch_memory_end(void);

/* ---- PCI */

/* Where the firmware tables say that ECAM for bus 0 begins; 0: there is none. */
uint64_t arch_ecam_base(void);

/* Configuration access without ECAM (x86: 0xCF8/0xCFC). `reg` is aligned to `size` (1, 2, 4). */
uint32_t arch_config_read(unsigned bdf, unsigned reg, unsigned size);
void arch_config_write(unsigned bdf, unsigned reg, unsigned size, uint32_t value);

/* Addresses that a guest may give to BARs: 32-bit memory, memory above 4 GiB, I/O (0: none). */
extern const uint64_t arch_window32;
extern const uint64_t arch_window64;
extern const uint64_t arch_window_io;

/* A place in the 32-bit address space where the machine has nothing. */
extern const uint64_t arch_unclaimed;

/* ---- interrupts */

/* Called with interrupts off on the CPU that took it; its end is signalled afterwards. */
typedef void interrupt_handler(void *opaque);

struct interrupt_message {
    uint64_t address;
    uint32_t data;
};

/* Interrupts of the calling CPU on or off; they start off. */
void arch_interrupts(bool on);

/* Let time pass in a polling loop. */
void arch_relax(void);

/*
 * Reserve `count` (a power of two) interrupt numbers, aligned to it. `handler` is called for each,
 * with `opaque` plus its index times `stride` bytes. Returns the first. There are few: a test takes
 * what it needs once.
 */
unsigned arch_interrupt_add(unsigned count, interrupt_handler *handler, void *opaque,
                            unsigned stride);

/*
 * What the device `bdf` has to write to raise interrupt `number` on `cpu`. An interrupt controller
 * may tell devices apart: the message is for this one only. Those for the numbers that were
 * reserved together are set up together.
 */
struct interrupt_message arch_interrupt_message(unsigned bdf, unsigned number, unsigned cpu);

/*
 * Connect the wire of root bus device `slot`, pin 1 to 4, to interrupt `number` of the first CPU:
 * level-triggered, unmasked. arch_wire_mask() masks it and unmasks it again.
 */
void arch_wire_connect(unsigned slot, unsigned pin, unsigned number);
void arch_wire_mask(unsigned slot, unsigned pin, bool masked);

/* ---- processors */

/* How many there are; 0 is the one that booted. */
unsigned arch_cpu_count(void);

/*
 * Reset processor `cpu` and have it call function(argument) with interrupts off, its interrupt
 * controller ready; afterwards it sleeps until it is started again. False: it did not come up.
 */
bool arch_cpu_start(unsigned cpu, void (*function)(void *), void *argument);

/* Wait until it has returned from the function; false: not within 20 seconds. */
bool arch_cpu_join(unsigned cpu);

#endif

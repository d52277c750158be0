/* SPDX-License-Identifier: MIT */
/* Between the files of this folder; addresses and numbers from the SDM and the ACPI specification.
 */
#ifndef BAREMETAL_X86_X86_H
#define BAREMETAL_X86_X86_H

#include <stdbool.h>
#include <stdint.h>

enum {
    EXCEPTION_VECTORS = 32,
    FIRST_VECTOR = 0x30,
    VECTOR_COUNT = 48,
    SPURIOUS_VECTOR = 0xff,
};

/* start.S: a stub for each exception, then for each vector from FIRST_VECTOR, 16 bytes apart. */
extern const char interrupt_stubs[];
extern const char spurious_stub[];
extern const char ap_trampoline[];
extern const char ap_trampoline_end[];
extern void *ap_stack; /* where the next processor that starts finds its stack */

/* What start.S pushes, lowest address first. */
struct interrupt_frame {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
    uint64_t vector, error;
    uint64_t rip, cs, rflags, rsp, ss;
};
void interrupt_dispatch(struct interrupt_frame *frame);
void ap_main(void);
_Noreturn void boot_main(const void *start_info);

/* interrupts.c: this processor's IDT and local APIC. */
void interrupts_init(void);

enum {
    LAPIC_BASE = 0xfee00000,
    LAPIC_ID = 0x20,
    LAPIC_EOI = 0xb0,
    LAPIC_SPURIOUS = 0xf0,
    LAPIC_ICR_LOW = 0x300,
    LAPIC_ICR_HIGH = 0x310,
    IOAPIC_BASE = 0xfec00000,
};

/* The local APIC id of processor `cpu`. */
unsigned cpu_apic_id(unsigned cpu);

/* acpi.c: what the tables say. */
struct acpi_facts {
    uint64_t ecam;
    unsigned cpus;
    uint8_t apic_ids[16];
};
extern struct acpi_facts acpi;
void acpi_read(uint64_t rsdp);

#endif

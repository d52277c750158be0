/* SPDX-License-Identifier: MIT */
/* IDT, local APIC, I/O APIC. SDM volume 3, chapters 6 and 10; 82093AA data sheet. */
#include "arch.h"
#include "print.h"
#include "test.h"
#include "x86.h"

struct __attribute__((packed)) gate {
    uint16_t offset_low, selector;
    uint8_t ist, type;
    uint16_t offset_middle;
    uint32_t offset_high, reserved;
};

struct __attribute__((packed)) table_pointer {
    uint16_t limit;
    uint64_t base;
};

static struct gate idt[256];

/* By vector - FIRST_VECTOR. Written before the vector is used, read by handlers. */
static struct {
    interrupt_handler *handler;
    void *opaque;
} handlers[VECTOR_COUNT];
static unsigned handlers_used;

static void set_gate(unsigned vector, const void *stub)
{
    const uint64_t offset = (uintptr_t)stub;

    idt[vector] = (struct gate){
        .offset_low = (uint16_t)offset,
        .selector = 0x08,
        .type = 0x8e, /* present, interrupt gate */
        .offset_middle = (uint16_t)(offset >> 16),
        .offset_high = (uint32_t)(offset >> 32),
    };
}

/* Only gates that are used are filled in: an interrupt nobody asked for ends as an exception. */
void interrupts_init(void)
{
    const struct table_pointer pointer = {sizeof(idt) - 1, (uintptr_t)idt};

    if (!idt[0].type) {
        for (unsigned i = 0; i < EXCEPTION_VECTORS; i++) {
            set_gate(i, interrupt_stubs + (uint64_t)16 * i);
        }
        set_gate(SPURIOUS_VECTOR, spurious_stub);
    }
    __asm__ volatile("lidt %0" : : "m"(pointer));
    mmio_write32(LAPIC_BASE + LAPIC_SPURIOUS, 0x100 | SPURIOUS_VECTOR);
}

static uint64_t read_cr2(void)
{
    uint64_t value;

    __asm__ volatile("mov %%cr2, %0" : "=r"(value));
    return value;
}

/* There is no going on: without the RESULT line the run has failed. */
static _Noreturn void die(const struct interrupt_frame *frame)
{
    print("FAIL exception %u error %lx at %lx cr2 %lx\n", (unsigned)frame->vector, frame->error,
          frame->rip, read_cr2());
    arch_power_off();
}

void interrupt_dispatch(struct interrupt_frame *frame)
{
    if (frame->vector < FIRST_VECTOR) {
        die(frame);
    }
    const unsigned index = (unsigned)frame->vector - FIRST_VECTOR;
    handlers[index].handler(handlers[index].opaque);
    mmio_write32(LAPIC_BASE + LAPIC_EOI, 0);
}

void arch_interrupts(bool on)
{
    if (on) {
        __asm__ volatile("sti; nop" : : : "memory");
    } else {
        __asm__ volatile("cli" : : : "memory");
    }
}

unsigned arch_interrupt_add(unsigned count, interrupt_handler *handler, void *opaque,
                            unsigned stride)
{
    const unsigned first = (handlers_used + count - 1) & ~(count - 1);

    if (first + count > VECTOR_COUNT) {
        print("FAIL out of interrupt vectors\n");
        arch_power_off();
    }
    for (unsigned i = 0; i < count; i++) {
        handlers[first + i].handler = handler;
        handlers[first + i].opaque = (char *)opaque + (uint64_t)i * stride;
        set_gate(FIRST_VECTOR + first + i,
                 interrupt_stubs + (uint64_t)16 * (EXCEPTION_VECTORS + first + i));
    }
    handlers_used = first + count;
    return FIRST_VECTOR + first;
}

struct interrupt_message arch_interrupt_message(unsigned bdf, unsigned number, unsigned cpu)
{
    (void)bdf;
    return (struct interrupt_message){LAPIC_BASE | cpu_apic_id(cpu) << 12, number};
}

/* I/O APIC registers are reached through an index and a data window. */
static void ioapic_write(unsigned reg, uint32_t value)
{
    mmio_write32(IOAPIC_BASE, reg);
    mmio_write32(IOAPIC_BASE + 0x10, value);
}

static uint32_t ioapic_read(unsigned reg)
{
    mmio_write32(IOAPIC_BASE, reg);
    return mmio_read32(IOAPIC_BASE + 0x10);
}

/* A q35 in APIC mode has the four root bus wires at GSI 16 to 19, swizzled by slot. */
static unsigned wire_register(unsigned slot, unsigned pin)
{
    return 0x10 + 2 * (16 + (slot + pin - 1) % 4);
}

void arch_wire_connect(unsigned slot, unsigned pin, unsigned number)
{
    const unsigned reg = wire_register(slot, pin);

    ioapic_write(reg + 1, cpu_apic_id(0) << 24);
    ioapic_write(reg, number | 1U << 13 | 1U << 15); /* active low, level */
}

void arch_wire_mask(unsigned slot, unsigned pin, bool masked)
{
    const unsigned reg = wire_register(slot, pin);
    const uint32_t low = ioapic_read(reg);

    ioapic_write(reg, masked ? low | 1U << 16 : low & ~(1U << 16));
}

/* SPDX-License-Identifier: MIT */
/*
 * Exceptions and the interrupt controller: GICv2 (Arm IHI 0048) or GICv3 (IHI 0069), as the device
 * tree says. A test's "interrupt number" is an index into handlers[]; which of the controller's
 * interrupts (INTIDs) leads there depends on how it comes:
 *
 *   a wire of the root bus   SPI 3 to 6, INTIDs 35 to 38: by wires[]
 *   a message by GICv2m      INTID of the frame's first SPI + cpu * NUMBERS + number
 *   a message by the ITS     LPI FIRST_LPI + cpu * NUMBERS + number
 */
#include "arm64.h"
#include "print.h"
#include "test.h"

enum {
    SPURIOUS = 1020, /* and up to 1023: nothing to take */
    WIRE_INTID = 35,
    WIRES = 4,
    V2M_MAX_CPUS = 4,

    GICD_CTLR = 0x0000,
    GICD_IGROUPR = 0x0080,
    GICD_ISENABLER = 0x0100,
    GICD_ICENABLER = 0x0180,
    GICD_IPRIORITYR = 0x0400,
    GICD_ITARGETSR = 0x0800,
    GICD_ICFGR = 0x0c00,
    GICD_IROUTER = 0x6000,
    GICD_ENABLE_GROUPS = 3,
    GICD_AFFINITY_ROUTING = 1 << 4,

    GICC_CTLR = 0x00,
    GICC_PMR = 0x04,
    GICC_IAR = 0x0c,
    GICC_EOIR = 0x10,

    GICR_TYPER = 0x0008,
    GICR_WAKER = 0x0014,
    GICR_SLEEP = 1 << 1,
    GICR_ASLEEP = 1 << 2,
    GICR_STRIDE = 0x20000,

    V2M_TYPER = 0x008,
    V2M_SETSPI = 0x040,

    PRIORITY = 0xa0,
    INTERRUPT_VECTOR = 5, /* from here with SP_EL1, IRQ */
};

/* Written before the number is used, read by handlers. */
static struct {
    interrupt_handler *handler;
    void *opaque;
    unsigned first, count; /* of the numbers that it was reserved with */
} handlers[NUMBERS];
static unsigned handlers_used;

static unsigned wires[WIRES]; /* the number that each leads to */
static unsigned v2m_first;    /* INTID of the frame's first SPI */

static bool is_gicv3(void)
{
    return device_tree.redistributors;
}

/* ---- set-up */

uint64_t gic_redistributor(unsigned cpu)
{
    const uint64_t mpidr = device_tree.mpidr[cpu];
    const uint64_t affinity = (mpidr >> 8 & 0xff000000) | (mpidr & 0xffffff);

    for (unsigned i = 0; i < arch_cpu_count(); i++) {
        const uint64_t frame = device_tree.redistributors + (uint64_t)i * GICR_STRIDE;

        if (mmio_read64(frame + GICR_TYPER) >> 32 == affinity) {
            return frame;
        }
    }
    die("gic: a processor has no redistributor");
}

void gic_init(void)
{
    if (device_tree.v2m) {
        v2m_first = mmio_read32(device_tree.v2m + V2M_TYPER) >> 16 & 0x3ff;
    }
    mmio_write32(device_tree.distributor + GICD_CTLR,
                 is_gicv3() ? GICD_ENABLE_GROUPS | GICD_AFFINITY_ROUTING : 1);
    if (device_tree.its) {
        its_init();
    }
}

static void gicv3_init_cpu(unsigned cpu)
{
    const uint64_t frame = gic_redistributor(cpu);

    mmio_write32(frame + GICR_WAKER, mmio_read32(frame + GICR_WAKER) & ~(unsigned)GICR_SLEEP);
    while (mmio_read32(frame + GICR_WAKER) & GICR_ASLEEP) {
    }
    WRITE_SYSTEM_REGISTER("s3_0_c12_c12_5", 7);  /* ICC_SRE_EL1: system registers */
    WRITE_SYSTEM_REGISTER("s3_0_c4_c6_0", 0xff); /* ICC_PMR_EL1: all priorities */
    WRITE_SYSTEM_REGISTER("s3_0_c12_c12_7", 1);  /* ICC_IGRPEN1_EL1 */
}

void gic_init_cpu(unsigned cpu)
{
    if (is_gicv3()) {
        gicv3_init_cpu(cpu);
    } else {
        mmio_write32(device_tree.cpu_interface + GICC_PMR, 0xff);
        mmio_write32(device_tree.cpu_interface + GICC_CTLR, 1);
    }
}

/* One bit of a register that has one for each INTID. */
static void set_bit(unsigned reg, unsigned intid)
{
    mmio_write32(device_tree.distributor + reg + intid / 32 * 4, 1U << intid % 32);
}

static void set_target(unsigned intid, unsigned cpu)
{
    if (is_gicv3()) {
        const uint64_t group = device_tree.distributor + GICD_IGROUPR + intid / 32 * 4;

        mmio_write32(group, mmio_read32(group) | 1U << intid % 32);
        mmio_write64(device_tree.distributor + GICD_IROUTER + (uint64_t)intid * 8,
                     device_tree.mpidr[cpu] & 0xff00ffffff);
    } else {
        mmio_write8(device_tree.distributor + GICD_ITARGETSR + intid, (uint8_t)(1 << cpu));
    }
}

static void set_trigger(unsigned intid, bool edge)
{
    const uint64_t reg = device_tree.distributor + GICD_ICFGR + intid / 16 * 4;
    const uint32_t bit = 2U << intid % 16 * 2;
    const uint32_t others = mmio_read32(reg) & ~bit;

    mmio_write32(reg, edge ? others | bit : others);
}

static void enable(unsigned intid, unsigned cpu, bool edge)
{
    set_bit(GICD_ICENABLER, intid);
    set_trigger(intid, edge);
    set_target(intid, cpu);
    mmio_write8(device_tree.distributor + GICD_IPRIORITYR + intid, PRIORITY);
    set_bit(GICD_ISENABLER, intid);
}

/* ---- when it happens */

static unsigned acknowledge(void)
{
    if (is_gicv3()) {
        const uint64_t intid = READ_SYSTEM_REGISTER("s3_0_c12_c12_0"); /* ICC_IAR1_EL1 */
        __asm__ volatile("dsb sy" : : : "memory");
        return intid & 0xffffff;
    }
    return mmio_read32(device_tree.cpu_interface + GICC_IAR);
}

static void end_of_interrupt(unsigned intid)
{
    __asm__ volatile("dsb sy" : : : "memory");
    if (is_gicv3()) {
        WRITE_SYSTEM_REGISTER("s3_0_c12_c12_1", intid); /* ICC_EOIR1_EL1 */
    } else {
        mmio_write32(device_tree.cpu_interface + GICC_EOIR, intid);
    }
}

/* The number that an INTID leads to, NUMBERS or more if nobody has asked for it. */
static unsigned number_of(unsigned intid)
{
    if (intid >= FIRST_LPI) {
        return (intid - FIRST_LPI) % NUMBERS;
    }
    if (intid >= WIRE_INTID && intid < WIRE_INTID + WIRES) {
        return wires[intid - WIRE_INTID];
    }
    return v2m_first && intid >= v2m_first ? (intid - v2m_first) % NUMBERS : NUMBERS;
}

static void take_interrupt(void)
{
    const unsigned intid = acknowledge();

    if ((intid & 0xffffff) >= SPURIOUS && intid < FIRST_LPI) {
        return;
    }
    const unsigned number = number_of(intid);
    if (number >= handlers_used) {
        print("FAIL unexpected interrupt %u\n", intid);
        arch_power_off();
    }
    handlers[number].handler(handlers[number].opaque);
    end_of_interrupt(intid);
}

void exception_dispatch(unsigned vector, const struct exception_frame *frame)
{
    if (vector == INTERRUPT_VECTOR) {
        take_interrupt();
        return;
    }
    print("FAIL exception %u syndrome %lx at %lx address %lx\n", vector,
          READ_SYSTEM_REGISTER("esr_el1"), frame->elr, READ_SYSTEM_REGISTER("far_el1"));
    arch_power_off();
}

/* ---- arch.h */

void arch_interrupts(bool on)
{
    if (on) {
        __asm__ volatile("msr daifclr, #2" : : : "memory");
    } else {
        __asm__ volatile("msr daifset, #2" : : : "memory");
    }
}

unsigned arch_interrupt_add(unsigned count, interrupt_handler *handler, void *opaque,
                            unsigned stride)
{
    const unsigned start = handlers_used ? handlers_used : 1; /* tests take 0 for "none yet" */
    const unsigned first = (start + count - 1) & ~(count - 1);

    if (first + count > NUMBERS) {
        die("out of interrupt numbers");
    }
    for (unsigned i = 0; i < count; i++) {
        handlers[first + i].handler = handler;
        handlers[first + i].opaque = (char *)opaque + (uint64_t)i * stride;
        handlers[first + i].first = first;
        handlers[first + i].count = count;
    }
    handlers_used = first + count;
    return first;
}

static struct interrupt_message v2m_message(unsigned number, unsigned cpu)
{
    const unsigned intid = v2m_first + cpu * NUMBERS + number;

    if (!v2m_first || cpu >= V2M_MAX_CPUS) {
        die("no way to send that processor a message");
    }
    enable(intid, cpu, true);
    return (struct interrupt_message){device_tree.v2m + V2M_SETSPI, intid};
}

static struct interrupt_message message(unsigned bdf, unsigned number, unsigned cpu)
{
    return device_tree.its ? its_message(bdf, number, cpu) : v2m_message(number, cpu);
}

struct interrupt_message arch_interrupt_message(unsigned bdf, unsigned number, unsigned cpu)
{
    /* A device that has several vectors changes the message's low bits by itself. */
    for (unsigned i = 0; i < handlers[number].count; i++) {
        (void)message(bdf, handlers[number].first + i, cpu);
    }
    return message(bdf, number, cpu);
}

static unsigned wire_of(unsigned slot, unsigned pin)
{
    return (slot + pin - 1) % WIRES;
}

void arch_wire_connect(unsigned slot, unsigned pin, unsigned number)
{
    const unsigned wire = wire_of(slot, pin);

    wires[wire] = number;
    enable(WIRE_INTID + wire, 0, false);
}

void arch_wire_mask(unsigned slot, unsigned pin, bool masked)
{
    set_bit(masked ? GICD_ICENABLER : GICD_ISENABLER, WIRE_INTID + wire_of(slot, pin));
}

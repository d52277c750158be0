/* SPDX-License-Identifier: MIT */
/* What the boot loader handed over; console and power of a machine like QEMU's virt. */
#include "arm64.h"
#include "print.h"
#include "psci.h"
#include "test.h"

/* PL011, Arm DDI 0183, 3.2. */
enum {
    UART_BASE = 0x09000000,
    UART_DATA = 0x00,
    UART_FLAGS = 0x18,
    UART_TRANSMIT_FULL = 1 << 5,
    UART_LINE_CONTROL = 0x2c,
    UART_8BITS_FIFO = 0x70,
    UART_CONTROL = 0x30,
    UART_ENABLE_TRANSMIT = 0x101,
};

/* Nanoseconds: what the counter's frequency is differs from machine to machine. */
const uint64_t arch_ticks_per_ms = 1000000;

const uint64_t arch_memory_base = 0x40000000;
const uint64_t arch_window32 = 0x10000000;
const uint64_t arch_window64 = 0x8000000000;
const uint64_t arch_window_io = 0x1000;
const uint64_t arch_unclaimed = 0x30000000;

static char command_line[256];

void arch_put_char(char c)
{
    while (mmio_read32(UART_BASE + UART_FLAGS) & UART_TRANSMIT_FULL) {
    }
    mmio_write32(UART_BASE + UART_DATA, (uint8_t)c);
}

static void console_init(void)
{
    mmio_write32(UART_BASE + UART_LINE_CONTROL, UART_8BITS_FIFO);
    mmio_write32(UART_BASE + UART_CONTROL, UART_ENABLE_TRANSMIT);
}

void arch_halt(void)
{
    arch_interrupts(false);
    for (;;) {
        __asm__ volatile("wfi");
    }
}

void arch_power_off(void)
{
    (void)psci(PSCI_SYSTEM_OFF, 0, 0, 0);
    arch_halt();
}

uint64_t arch_ticks(void)
{
    const uint64_t second = 1000000000;
    const uint64_t frequency = READ_SYSTEM_REGISTER("cntfrq_el0");
    const uint64_t count = READ_SYSTEM_REGISTER("cntvct_el0");

    return count / frequency * second + count % frequency * second / frequency;
}

void arch_relax(void)
{
    __asm__ volatile("yield" : : : "memory");
}

const char *arch_command_line(void)
{
    return command_line;
}

uint64_t arch_memory_end(void)
{
    return device_tree.memory_end;
}

uint64_t arch_ecam_base(void)
{
    return device_tree.ecam;
}

/* There is no other way to it than ECAM. */
uint32_t arch_config_read(unsigned bdf, unsigned reg, unsigned size)
{
    (void)bdf, (void)reg, (void)size;
    return UINT32_MAX;
}

void arch_config_write(unsigned bdf, unsigned reg, unsigned size, uint32_t value)
{
    (void)bdf, (void)reg, (void)size, (void)value;
}

/* RAM that the device tree lies in is free once this has been copied. */
static void keep_command_line(const char *text)
{
    for (unsigned i = 0; text && text[i] && i < sizeof(command_line) - 1; i++) {
        command_line[i] = text[i];
    }
}

void die(const char *what)
{
    print("FAIL %s\n", what);
    arch_power_off();
}

void boot_main(const void *blob)
{
    console_init();
    if (!device_tree_read(blob)) {
        die("boot: no device tree");
    }
    keep_command_line(device_tree.command_line);
    gic_init();
    gic_init_cpu(0);
    test_main();
}

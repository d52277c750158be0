/* SPDX-License-Identifier: MIT */
/* What the boot loader handed over; console, power and configuration ports of a q35. */
#include "arch.h"
#include "ports.h"
#include "print.h"
#include "test.h"
#include "x86.h"

/* The x86/HVM direct boot ABI. */
struct hvm_start_info {
    uint32_t magic; /* 0x336ec578 */
    uint32_t version;
    uint32_t flags;
    uint32_t module_count;
    uint64_t modules;
    uint64_t command_line;
    uint64_t rsdp;
    uint64_t memory_map; /* version 1 and up */
    uint32_t memory_map_entries;
    uint32_t reserved;
};

struct hvm_memory_map_entry {
    uint64_t address;
    uint64_t size;
    uint32_t type; /* 1: RAM */
    uint32_t reserved;
};

/* 2 GHz to 4 GHz is near enough for time-outs. */
const uint64_t arch_ticks_per_ms = 3000000;

const uint64_t arch_memory_base = 0;
const uint64_t arch_window32 = 0xe0000000;
const uint64_t arch_window64 = 0x100000000;
const uint64_t arch_window_io = 0xc000;
const uint64_t arch_unclaimed = 0xf0000000;

static char command_line[256];
static uint64_t memory_end;

void arch_put_char(char c)
{
    while (!(inb(PORT_SERIAL + 5) & 0x20)) {
    }
    outb(PORT_SERIAL, (uint8_t)c);
}

void arch_halt(void)
{
    for (;;) {
        __asm__ volatile("cli; hlt");
    }
}

void arch_power_off(void)
{
    outw(PORT_PM1_CONTROL, PM1_SLEEP_S5);
    arch_halt();
}

uint64_t arch_ticks(void)
{
    uint32_t low;
    uint32_t high;

    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

void arch_relax(void)
{
    __asm__ volatile("pause" : : : "memory");
}

const char *arch_command_line(void)
{
    return command_line;
}

uint64_t arch_memory_end(void)
{
    return memory_end;
}

uint64_t arch_ecam_base(void)
{
    return acpi.ecam;
}

uint32_t arch_config_read(unsigned bdf, unsigned reg, unsigned size)
{
    const uint16_t data = (uint16_t)(PORT_CONFIG_DATA + reg % 4);

    outl(PORT_CONFIG_ADDRESS, CONFIG_ENABLE | bdf << 8 | (reg & 0xfc));
    return size == 1 ? inb(data) : size == 2 ? inw(data) : inl(data);
}

void arch_config_write(unsigned bdf, unsigned reg, unsigned size, uint32_t value)
{
    const uint16_t data = (uint16_t)(PORT_CONFIG_DATA + reg % 4);

    outl(PORT_CONFIG_ADDRESS, CONFIG_ENABLE | bdf << 8 | (reg & 0xfc));
    if (size == 1) {
        outb(data, (uint8_t)value);
    } else if (size == 2) {
        outw(data, (uint16_t)value);
    } else {
        outl(data, value);
    }
}

/* Low memory that the loader used is free once this has been copied. */
static void keep_command_line(const char *text)
{
    for (unsigned i = 0; text && text[i] && i < sizeof(command_line) - 1; i++) {
        command_line[i] = text[i];
    }
}

static void find_memory_end(const struct hvm_start_info *info)
{
    const struct hvm_memory_map_entry *map = (const void *)info->memory_map;
    const uint64_t here = (uintptr_t)&memory_end;

    for (unsigned i = 0; info->version >= 1 && i < info->memory_map_entries; i++) {
        const uint64_t end = map[i].address + map[i].size;

        if (map[i].type == 1 && map[i].address <= here && here < end) {
            memory_end = end;
        }
    }
}

void boot_main(const void *start_info)
{
    const struct hvm_start_info *info = start_info;

    if (info->magic != 0x336ec578) {
        print("FAIL boot: the start info has magic %x\n", info->magic);
        arch_power_off();
    }
    keep_command_line((const char *)info->command_line);
    find_memory_end(info);
    if (info->rsdp) {
        acpi_read(info->rsdp);
    }
    interrupts_init();
    test_main();
}

/* SPDX-License-Identifier: MIT */
/*
 * What is where in the x86 machine: the addresses of q35, which every guest knows.
 *
 *        0 -     9fbff  RAM; what the loader hands to the kernel lies here (see boot.h)
 *    9fc00 -     fffff  as in a PC: nothing for the kernel to use. ACPI tables from e0000
 *   100000 -  low_ram   RAM, at most 2 GiB if there is more than would fit below ECAM
 * b0000000 -  bfffffff  ECAM: PCI configuration space, 256 buses
 * c0000000 -  febfffff  memory BARs
 * fec00000              I/O APIC
 * fee00000              local APICs
 * feffc000 -  feffffff  four pages that KVM needs on Intel CPUs
 *  1 00000000 -         the rest of RAM, then the window for 64-bit BARs
 *
 * The ACPI tables describe the same to the guest; both sides take the numbers from here.
 */
#ifndef VMM_X86_MEMORY_MAP_H
#define VMM_X86_MEMORY_MAP_H

#include <stdint.h>

#include "vmm/error.h"

/* ---- guest physical addresses */
#define X86_EBDA_BASE         0x0009fc00ull /* end of the RAM below 1 MiB that a kernel may use */
#define X86_ACPI_BASE         0x000e0000ull /* RSDP and tables; where a PC's firmware has them */
#define X86_ACPI_SIZE         0x00020000ull
#define X86_HIGH_MEMORY_BASE  0x00100000ull
#define X86_LOW_RAM_SPLIT     0x80000000ull /* RAM below 4 GiB if not all of it fits there */
#define X86_ECAM_BASE         0xb0000000ull
#define X86_ECAM_SIZE         0x10000000ull
#define X86_ECAM_BUSES        256
#define X86_PCI32_BASE        0xc0000000ull
#define X86_PCI32_SIZE        (0xfec00000ull - X86_PCI32_BASE)
#define X86_IOAPIC_BASE       0xfec00000ull
#define X86_LAPIC_BASE        0xfee00000ull
#define X86_IDENTITY_MAP_BASE 0xfeffc000ull /* one page, KVM's */
#define X86_TSS_BASE          0xfeffd000ull /* three pages, KVM's */
#define X86_KVM_RESERVED_SIZE 0x4000ull     /* both together */
#define X86_HIGH_RAM_BASE     0x100000000ull

#define X86_RAM_MIN (2ull << 20) /* a kernel starts at 1 MiB */

/* The window for 64-bit BARs is as large as fits, up to this. */
#define X86_PCI64_MAX_SIZE  (512ull << 30)
#define X86_PCI64_ALIGNMENT (1ull << 30)

/* ---- interrupts: global system interrupts and what is wired to them */
enum {
    X86_GSI_SERIAL = 4,
    X86_GSI_RTC = 8,
    X86_GSI_SCI = 9,
    X86_GSI_PCI = 16, /* wire 0-3 of the root bus: 16-19. Wire = (slot + pin - 1) % 4, INTA = 1 */
    X86_IOAPIC_PINS = 24, /* GSI n is pin n */
};

/* APIC ids are vCPU numbers; 255 means "all" to an APIC that is not in x2APIC mode. */
enum { X86_MAX_VCPUS = 255 };

/* What depends on how much RAM there is. Sizes in bytes; a size of 0: there is none. */
struct x86_memory_map {
    uint64_t low_ram;    /* from 0 */
    uint64_t high_ram;   /* from X86_HIGH_RAM_BASE */
    uint64_t pci64_base; /* window for 64-bit BARs */
    uint64_t pci64_size;
};

/*
 * Lay out `ram` bytes on CPUs with `physical_bits` address bits (CPUID 80000008H). -EINVAL if that
 * is more RAM than these reach, or less than X86_RAM_MIN.
 */
int x86_memory_map_init(struct x86_memory_map *map, uint64_t ram, unsigned physical_bits,
                        struct error *err);

/* ---- the list of ranges that the kernel is given at its start */

enum x86_range_type { X86_RANGE_RAM = 1, X86_RANGE_RESERVED = 2 }; /* numbers of E820 and PVH */

struct x86_memory_range {
    uint64_t base;
    uint64_t size;
    enum x86_range_type type;
};

enum { X86_MEMORY_RANGES_MAX = 8 };

/* Fill `ranges`, ascending; returns how many. */
unsigned x86_memory_ranges(const struct x86_memory_map *map,
                           struct x86_memory_range ranges[X86_MEMORY_RANGES_MAX]);

#endif

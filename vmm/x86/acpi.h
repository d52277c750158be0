/* SPDX-License-Identifier: MIT */
/*
 * ACPI tables: how a PC tells its operating system what is there. vmm/x86/acpi.c describes which
 * tables there are and how they refer to each other; the DSDT is vmm/x86/dsdt.asl.
 */
#ifndef VMM_X86_ACPI_H
#define VMM_X86_ACPI_H

#include <stdint.h>

#include "vmm/address.h"
#include "vmm/error.h"
#include "vmm/guest_memory.h"

/* Bytes that are enough for `cpus` processors. */
#define ACPI_TABLES_SIZE(cpus) (16384 + 16 * (uint64_t)(cpus))

struct acpi_config {
    unsigned cpus;            /* >= 1 */
    const uint32_t *apic_ids; /* one a processor; NULL: 0, 1, 2... */
    uint8_t last_bus;         /* PCI buses 0 to this are the operating system's to number */
    uint64_t pci64_base;      /* where 64-bit BARs may go, above RAM; a multiple of 4 KiB */
    uint64_t pci64_size;      /* 0: nowhere */
};

/*
 * Write all tables into guest RAM, at most `size` bytes from `base` (a multiple of 64), and store
 * in `*rsdp` the address of the root pointer: it is `base` itself. A guest finds it through the
 * boot protocol's `acpi_rsdp_addr`, PVH's `rsdp_paddr`, or by searching 0xe0000-0xfffff, so `base`
 * had best be there. -ENOSPC if they do not fit, -EFAULT if there is no RAM. vCPUs are parked.
 */
int acpi_build(const struct acpi_config *config, struct guest_memory *memory, gpa_t base,
               uint64_t size, gpa_t *rsdp, struct error *err);

#endif

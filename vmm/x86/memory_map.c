/* SPDX-License-Identifier: MIT */
#include "vmm/x86/memory_map.h"

#include <errno.h>
#include <inttypes.h>

static uint64_t align_up(uint64_t value, uint64_t alignment)
{
    return (value + alignment - 1) & ~(alignment - 1);
}

static void place_pci64_window(struct x86_memory_map *map, uint64_t address_limit)
{
    uint64_t base = align_up(X86_HIGH_RAM_BASE + map->high_ram, X86_PCI64_ALIGNMENT);
    if (base >= address_limit) {
        return; /* BARs must do with the window below 4 GiB */
    }
    uint64_t room = address_limit - base;
    map->pci64_base = base;
    map->pci64_size = room < X86_PCI64_MAX_SIZE ? room : X86_PCI64_MAX_SIZE;
}

int x86_memory_map_init(struct x86_memory_map *map, uint64_t ram, unsigned physical_bits,
                        struct error *err)
{
    /* A CPU that does not say has 36 bits (SDM 4.1.4); 52 is the most that page tables hold. */
    unsigned bits = physical_bits < 32 ? 36 : physical_bits > 52 ? 52 : physical_bits;
    uint64_t address_limit = 1ull << bits;
    *map = (struct x86_memory_map){.low_ram = ram};
    if (ram < X86_RAM_MIN) {
        return error_set(err, -EINVAL, "--memory: %" PRIu64 " MiB is too little, at least %u MiB",
                         ram >> 20, (unsigned)(X86_RAM_MIN >> 20));
    }
    if (ram >= X86_ECAM_BASE) {
        map->low_ram = X86_LOW_RAM_SPLIT;
        map->high_ram = ram - X86_LOW_RAM_SPLIT;
    }
    if (map->high_ram > 0 &&
        (address_limit <= X86_HIGH_RAM_BASE || map->high_ram > address_limit - X86_HIGH_RAM_BASE)) {
        return error_set(err, -EINVAL,
                         "--memory: %" PRIu64 " MiB is more than the %u address bits of this "
                         "host's guests reach",
                         ram >> 20, bits);
    }
    place_pci64_window(map, address_limit);
    return 0;
}

unsigned x86_memory_ranges(const struct x86_memory_map *map,
                           struct x86_memory_range ranges[X86_MEMORY_RANGES_MAX])
{
    unsigned count = 0;
    ranges[count++] = (struct x86_memory_range){0, X86_EBDA_BASE, X86_RANGE_RAM};
    ranges[count++] =
        (struct x86_memory_range){X86_EBDA_BASE, 0xa0000 - X86_EBDA_BASE, X86_RANGE_RESERVED};
    ranges[count++] = (struct x86_memory_range){X86_ACPI_BASE, X86_ACPI_SIZE, X86_RANGE_RESERVED};
    ranges[count++] = (struct x86_memory_range){X86_HIGH_MEMORY_BASE,
                                                map->low_ram - X86_HIGH_MEMORY_BASE, X86_RANGE_RAM};
    /* PCI Firmware 3.2, 4.1.2: an OS uses ECAM only where the memory map has it reserved. */
    ranges[count++] = (struct x86_memory_range){X86_ECAM_BASE, X86_ECAM_SIZE, X86_RANGE_RESERVED};
    ranges[count++] =
        (struct x86_memory_range){X86_IDENTITY_MAP_BASE, X86_KVM_RESERVED_SIZE, X86_RANGE_RESERVED};
    if (map->high_ram > 0) {
        ranges[count++] =
            (struct x86_memory_range){X86_HIGH_RAM_BASE, map->high_ram, X86_RANGE_RAM};
    }
    return count;
}

/* SPDX-License-Identifier: MIT */
#include "vmm/arm64/memory_map.h"

#include <errno.h>
#include <inttypes.h>

static uint64_t align_up(uint64_t value, uint64_t alignment)
{
    return (value + alignment - 1) & ~(alignment - 1);
}

/* A range that takes the next `size` bytes, at a multiple of its size; 0 if it does not fit. */
static uint64_t place(uint64_t *next, uint64_t size, uint64_t address_limit)
{
    uint64_t base = align_up(*next, size);
    if (base >= address_limit || size > address_limit - base) {
        return 0;
    }
    *next = base + size;
    return base;
}

/* Where RAM ends, but not below the place that QEMU's virt has. */
static uint64_t high_base(uint64_t ram)
{
    uint64_t end = ARM64_RAM_BASE + ram;
    return end > ARM64_HIGH_BASE ? end : ARM64_HIGH_BASE;
}

static void place_high_ranges(struct arm64_memory_map *map, uint64_t address_limit, bool high_ecam)
{
    const uint64_t ecam_size = ARM64_HIGH_ECAM_BUSES * ARM64_ECAM_BUS_SIZE;
    uint64_t next = high_base(map->ram);
    map->high_gicr_base = place(&next, ARM64_HIGH_GICR_SIZE, address_limit);
    map->high_gicr_size = map->high_gicr_base ? ARM64_HIGH_GICR_SIZE : 0;
    uint64_t ecam = high_ecam ? place(&next, ecam_size, address_limit) : 0;
    if (ecam) {
        map->ecam_base = ecam;
        map->ecam_buses = ARM64_HIGH_ECAM_BUSES;
    }
    map->pci64_base = place(&next, ARM64_PCI64_SIZE, address_limit);
    map->pci64_size = map->pci64_base ? ARM64_PCI64_SIZE : 0;
}

unsigned arm64_memory_map_bits(uint64_t ram)
{
    struct arm64_memory_map map = {.ram = ram};
    place_high_ranges(&map, UINT64_MAX, true);
    return 64 - (unsigned)__builtin_clzll(map.pci64_base + map.pci64_size - 1);
}

int arm64_memory_map_init(struct arm64_memory_map *map, uint64_t ram, unsigned address_bits,
                          bool high_ecam, struct error *err)
{
    uint64_t address_limit = 1ull << address_bits;
    *map = (struct arm64_memory_map){
        .ram = ram, .ecam_base = ARM64_LOW_ECAM_BASE, .ecam_buses = ARM64_LOW_ECAM_BUSES};
    if (ram < ARM64_RAM_MIN) {
        return error_set(err, -EINVAL, "--memory: %" PRIu64 " MiB is too little, at least %u MiB",
                         ram >> 20, (unsigned)(ARM64_RAM_MIN >> 20));
    }
    if (address_limit <= ARM64_RAM_BASE || ram > address_limit - ARM64_RAM_BASE) {
        return error_set(err, -EINVAL,
                         "--memory: %" PRIu64 " MiB is more than the %u address bits of this "
                         "host's guests reach",
                         ram >> 20, address_bits);
    }
    place_high_ranges(map, address_limit, high_ecam);
    return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * What Arm's PrimeCell peripherals have in common: a page of 32-bit registers that ends in eight
 * identification registers, a byte each, and how an access that is not a whole register is split.
 */
#ifndef DEVICES_PRIMECELL_H
#define DEVICES_PRIMECELL_H

#include <stdint.h>

enum { PRIMECELL_SIZE = 0x1000, PRIMECELL_ID = 0xfe0 /* PeriphID0-3 and PCellID0-3 */ };

/*
 * The identification register at `offset`, PRIMECELL_ID or higher. `peripheral`: bits 11-0 part,
 * 19-12 designer (0x41: Arm), 23-20 revision, 31-24 configuration.
 */
static inline uint32_t primecell_id(uint32_t peripheral, unsigned offset)
{
    static const uint32_t primecell = 0xb105f00d;
    unsigned index = (offset - PRIMECELL_ID) / 4;
    return index < 4 ? peripheral >> 8 * index & 0xff : primecell >> 8 * (index - 4) & 0xff;
}

/* Read `size` bytes at `offset` through a function that reads one register at a multiple of 4. */
static inline uint64_t primecell_read(void *device, uint64_t offset, unsigned size,
                                      uint32_t (*read_register)(void *device, unsigned offset))
{
    unsigned first = (unsigned)offset & ~3u;
    unsigned shift = 8 * ((unsigned)offset & 3);
    uint64_t value = read_register(device, first) >> shift;
    if (shift + 8 * size > 32 && first + 4 < PRIMECELL_SIZE) {
        value |= (uint64_t)read_register(device, first + 4) << (32 - shift);
    }
    return value;
}

/*
 * The same for writes. A narrower write at the start of a register is a write of the register with
 * zeroes above, as the bus's lanes would have it; a write that starts inside one goes nowhere.
 */
static inline void primecell_write(void *device, uint64_t offset, unsigned size, uint64_t value,
                                   void (*write_register)(void *device, unsigned offset,
                                                          uint32_t value))
{
    if (offset & 3) {
        return;
    }
    write_register(device, (unsigned)offset, (uint32_t)value);
    if (size == 8) {
        write_register(device, (unsigned)offset + 4, (uint32_t)(value >> 32));
    }
}

#endif

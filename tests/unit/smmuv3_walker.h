/* SPDX-License-Identifier: MIT */
/*
 * Stage 1 once more, for tests: what VMSAv8-64 tables say about one access, from the CD's words and
 * the tables in RAM alone. It keeps nothing between two calls, and shares neither code nor
 * constants with the device and the builder of tables; bits are written as the specifications
 * number them.
 */
#ifndef TESTS_UNIT_SMMUV3_WALKER_H
#define TESTS_UNIT_SMMUV3_WALKER_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "vmm/guest_memory.h"

/* Event numbers, IHI 0070 7.3. */
enum reference_event {
    REFERENCE_OK = 0,
    REFERENCE_EABT = 0x0b,
    REFERENCE_TRANSLATION = 0x10,
    REFERENCE_ADDR_SIZE = 0x11,
    REFERENCE_ACCESS = 0x12,
    REFERENCE_PERMISSION = 0x13,
};

struct reference_access {
    uint64_t address;
    bool write;
    bool privileged;
};

struct reference_result {
    enum reference_event event;
    uint64_t address; /* REFERENCE_OK: where it goes */
    uint64_t length;  /* to the end of the page or block */
    uint64_t fetch;   /* REFERENCE_EABT: the descriptor's address */
};

/* One of the CD's two halves, and where the walk in it is. */
struct reference_walk {
    unsigned granule;
    unsigned input;  /* bits of address that the tables resolve */
    unsigned output; /* bits of address that may come out */
    uint64_t table;
    unsigned level;
    unsigned low; /* lowest bit of address that this level resolves */
    bool disabled;
    bool ignore_top;
    bool ignore_hierarchy;
    bool limit_user;  /* APTable[0] on the way */
    bool limit_write; /* APTable[1] on the way */
};

static inline uint64_t reference_bits(uint64_t word, unsigned high, unsigned low)
{
    return word << (63 - high) >> (63 - high + low);
}

static inline unsigned reference_output(uint64_t cd0)
{
    switch (reference_bits(cd0, 34, 32)) {
    case 0:
        return 32;
    case 1:
        return 36;
    case 2:
        return 40;
    case 3:
        return 42;
    default:
        return 44; /* IDR5.OAS is the limit */
    }
}

static inline unsigned reference_granule(uint64_t cd0, bool upper)
{
    unsigned tg = (unsigned)(upper ? reference_bits(cd0, 23, 22) : reference_bits(cd0, 7, 6));
    if (upper) {
        return tg == 1 ? 14 : tg == 2 ? 12 : 16;
    }
    return tg == 0 ? 12 : tg == 1 ? 16 : 14;
}

static inline struct reference_walk reference_begin(const uint64_t *cd, bool upper)
{
    uint64_t base = cd[upper ? 2 : 1];
    struct reference_walk walk = {
        .granule = reference_granule(cd[0], upper),
        .input =
            64 - (unsigned)(upper ? reference_bits(cd[0], 21, 16) : reference_bits(cd[0], 5, 0)),
        .output = reference_output(cd[0]),
        .disabled = cd[0] >> (upper ? 30 : 14) & 1,
        .ignore_top = cd[0] >> (upper ? 39 : 38) & 1,
        .ignore_hierarchy = base >> 1 & 1,
        .level = 3,
    };
    walk.low = walk.granule;
    while (walk.low + walk.granule - 3 < walk.input) { /* this level alone is not enough */
        walk.low += walk.granule - 3;
        walk.level--;
    }
    uint64_t table_bytes = 8ull << (walk.input - walk.low);
    walk.table = reference_bits(base, 51, 4) << 4 & ~(table_bytes - 1);
    return walk;
}

/* Bits above the input must all be as bit 55 is. */
static inline bool reference_in_range(const struct reference_walk *walk, uint64_t address)
{
    for (unsigned bit = walk->input; bit <= (walk->ignore_top ? 55u : 63u); bit++) {
        if ((address >> bit & 1) != (address >> 55 & 1)) {
            return false;
        }
    }
    return true;
}

static inline bool reference_has_block(const struct reference_walk *walk)
{
    return walk->level == 2 || (walk->level == 1 && walk->granule == 12);
}

static inline bool reference_permits(const struct reference_walk *walk, uint64_t cd0, uint64_t leaf,
                                     const struct reference_access *access)
{
    bool user = (leaf >> 6 & 1) && !walk->limit_user;
    bool writable = !(leaf >> 7 & 1) && !walk->limit_write;
    bool pan = cd0 >> 40 & 1;
    if (access->privileged ? pan && user : !user) {
        return false;
    }
    return writable || !access->write;
}

static inline struct reference_result reference_fault(enum reference_event event)
{
    return (struct reference_result){.event = event};
}

static inline struct reference_result reference_leaf(const struct reference_walk *walk,
                                                     uint64_t cd0, uint64_t leaf,
                                                     const struct reference_access *access)
{
    uint64_t page = reference_bits(leaf, 47, walk->low) << walk->low;
    uint64_t offset = reference_bits(access->address, walk->low - 1, 0);
    bool affd = cd0 >> 35 & 1;
    if (page >> walk->output) {
        return reference_fault(REFERENCE_ADDR_SIZE);
    }
    if (!(leaf >> 10 & 1) && !affd) {
        return reference_fault(REFERENCE_ACCESS);
    }
    if (!reference_permits(walk, cd0, leaf, access)) {
        return reference_fault(REFERENCE_PERMISSION);
    }
    return (struct reference_result){.address = page + offset,
                                     .length = (1ull << walk->low) - offset};
}

/* Into the table that this descriptor points to. False: beyond the output size. */
static inline bool reference_descend(struct reference_walk *walk, uint64_t descriptor)
{
    walk->table = reference_bits(descriptor, 47, walk->granule) << walk->granule;
    if (!walk->ignore_hierarchy) {
        walk->limit_user |= descriptor >> 61 & 1;
        walk->limit_write |= descriptor >> 62 & 1;
    }
    walk->level++;
    walk->low -= walk->granule - 3;
    return !(walk->table >> walk->output);
}

/* The descriptor's address. Bits above `input` do not count, nor those that are resolved already.
 */
static inline uint64_t reference_descriptor(const struct reference_walk *walk, uint64_t address)
{
    unsigned high = walk->low + walk->granule - 4;
    high = high < walk->input ? high : walk->input - 1;
    return walk->table + 8 * reference_bits(address, high, walk->low);
}

static inline struct reference_result reference_run(struct reference_walk *walk,
                                                    const struct guest_memory *ram, uint64_t cd0,
                                                    const struct reference_access *access)
{
    for (;;) {
        uint64_t at = reference_descriptor(walk, access->address);
        uint64_t descriptor;
        if (guest_memory_read(ram, gpa(at), &descriptor, sizeof(descriptor)) < 0) {
            return (struct reference_result){.event = REFERENCE_EABT, .fetch = at};
        }
        unsigned type = descriptor & 3;
        if (walk->level == 3 ? type == 3 : type == 1 && reference_has_block(walk)) {
            return reference_leaf(walk, cd0, descriptor, access);
        }
        if (type != 3 || walk->level == 3) {
            return reference_fault(REFERENCE_TRANSLATION);
        }
        if (!reference_descend(walk, descriptor)) {
            return reference_fault(REFERENCE_ADDR_SIZE);
        }
    }
}

/* `cd` is the first three words of a legal CD. */
static inline struct reference_result reference_translate(const struct guest_memory *ram,
                                                          const uint64_t *cd,
                                                          const struct reference_access *access)
{
    struct reference_walk walk = reference_begin(cd, access->address >> 55 & 1);
    if (walk.disabled || !reference_in_range(&walk, access->address)) {
        return reference_fault(REFERENCE_TRANSLATION);
    }
    return reference_run(&walk, ram, cd[0], access);
}

#endif

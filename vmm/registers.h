/* SPDX-License-Identifier: MIT */
/*
 * A device's registers as a table: what is where, how wide it is, and who may do what to it.
 *
 * The device's read and write stay a `switch (offset)` that anybody can set a breakpoint in. The
 * table beside it says the same as data, once, for everything else: which accesses are well formed,
 * the name in a trace line, the monitor's `info regs`, and the check that the reference page in
 * docs/ lists exactly these registers.
 */
#ifndef VMM_REGISTERS_H
#define VMM_REGISTERS_H

#include <stddef.h>
#include <stdint.h>

enum register_access {
    REGISTER_RO,   /* writes are ignored */
    REGISTER_WO,   /* reads as 0 */
    REGISTER_RW,   /* some bits may still be read-only: the page of the device says which */
    REGISTER_RW1C, /* writing a 1 clears that bit */
};

struct register_desc {
    const char *name; /* as in the reference page: "INT_STATUS" */
    uint32_t offset;  /* of its first byte in the region */
    uint8_t width;    /* in bytes */
    enum register_access access;
    /*
     * One line. Fields are told as "bit 0: START" or "bits 32-63: BUSY_COUNT", names in capitals:
     * so tools/gdb finds them, too.
     */
    const char *meaning;
};

struct register_block {
    const char *name;                      /* "dma-engine bar0" */
    const struct register_desc *registers; /* ascending by offset, without overlap */
    size_t count;                          /* > 0 */
    unsigned access_sizes;                 /* the sizes 1, 2, 4, 8 that are allowed, or-ed: 4 | 8 */
    unsigned stride; /* all registers are this wide and leave no gap; 0: not so */
};

/* The register that has the byte at `offset`, or NULL. O(log n). */
const struct register_desc *register_search(const struct register_block *block, uint64_t offset);

/*
 * The same, fast for a block with a stride: there the place in the table follows from the offset.
 * It matters because a trace line names its register at each access, also while the event is off: a
 * probe may be looking.
 */
static inline const struct register_desc *register_find(const struct register_block *block,
                                                        uint64_t offset)
{
    if (!block->stride) {
        return register_search(block, offset);
    }
    uint64_t index = (offset - block->registers[0].offset) / block->stride;
    return index < block->count ? &block->registers[index] : NULL;
}

/* Its name, or "reserved". */
static inline const char *register_name(const struct register_block *block, uint64_t offset)
{
    const struct register_desc *found = register_find(block, offset);
    return found ? found->name : "reserved";
}

/*
 * Why an access is not well formed, for a trace line: "size" or "misaligned". NULL if it is well
 * formed; that a register is there it does not say.
 */
static inline const char *register_malformed(const struct register_block *block, uint64_t offset,
                                             unsigned size)
{
    if (!(block->access_sizes & size)) {
        return "size";
    }
    return offset & (size - 1) ? "misaligned" : NULL;
}

/* "RO", "WO", "RW" or "RW1C". */
const char *register_access_name(enum register_access access);

#endif

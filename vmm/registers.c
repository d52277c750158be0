/* SPDX-License-Identifier: MIT */
/* See vmm/registers.h. */
#include "vmm/registers.h"

const struct register_desc *register_search(const struct register_block *block, uint64_t offset)
{
    size_t low = 0;
    size_t high = block->count;
    /* Registers before `low` end before `offset`; those from `high` on begin after it. */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct register_desc *candidate = &block->registers[middle];
        if (offset < candidate->offset) {
            high = middle;
        } else if (offset - candidate->offset < candidate->width) {
            return candidate;
        } else {
            low = middle + 1;
        }
    }
    return NULL;
}

const char *register_access_name(enum register_access access)
{
    switch (access) {
    case REGISTER_RO:
        return "RO";
    case REGISTER_WO:
        return "WO";
    case REGISTER_RW:
        return "RW";
    case REGISTER_RW1C:
        return "RW1C";
    }
    return "?";
}

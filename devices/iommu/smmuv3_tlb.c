/* SPDX-License-Identifier: MIT */
/*
 * The IOTLB: leaves of page tables that walks have found.
 *
 * Leaves that lie side by side in a table, 128 bytes of it, are kept together: a line. A miss takes
 * along those that are alike (smmuv3_walk.c), and a hit finds all that are wanted. So a copy costs
 * one walk, or one lookup, for 16 pages. SMMU_TLB_SETS sets of SMMU_TLB_WAYS lines:
 *
 *   tag    63-48 ASID   46-6 line number (VA[55:0] >> shift + 3)   5-0 shift; 0: the line is empty
 *   leaf   47-12 output address   6-2 permissions   1 global   0: valid; 0: this leaf is not known
 *
 * The shift is log2 of the size of a page or block; it tells granule and level, as no two granules
 * share one. A line's set follows from its number and its shift, so a lookup tries each size that
 * the table's granule has (three at most), and only sizes of which the IOTLB holds any:
 * `tlb_shifts`. The ASID takes no part in it: a global page, whoever's walk has found it, is in the
 * same set for every ASID, and so is an address for an invalidation that names no ASID.
 *
 * Who reads takes no lock. A line (and a stream's configuration, which works the same) has a
 * sequence number that is odd while somebody writes it; a reader that saw it odd, or changed, has
 * found nothing. Writers hold cache_lock. All words are atomics, stored with release and loaded
 * with acquire order: that keeps them between the two accesses to the sequence number, on both
 * sides, without a fence (which ThreadSanitizer does not know).
 *
 * A walk that began before an invalidation must not insert what it read after it. An invalidation
 * increments `generation` under cache_lock; who walks has read it before everything else, and
 * inserts only if it is the same then, under the same lock.
 */
#include "devices/iommu/smmuv3_internal.h"
#include "vmm/trace.h"

static const uint64_t va_mask = (1ull << SMMU_VA_BITS) - 1;
static const uint64_t tag_shift_mask = 0x3f;
static const uint64_t tag_asid_mask = 0xffffull << 48;
enum { TAG_ASID_SHIFT = 48, TAG_LINE_SHIFT = 6 };

static const uint64_t leaf_address = 0x0000fffffffff000ull;
enum { LEAF_VALID = 1, LEAF_GLOBAL = 2, LEAF_PERMISSIONS_SHIFT = 2, LEAF_PERMISSIONS_MASK = 0x1f };

/* ---- sizes */

/* VMSAv8-64: blocks are at level 1 and 2 with 4K, at level 2 with 16K and 64K. */
uint64_t smmu_leaf_shifts(unsigned granule, unsigned level)
{
    static const uint64_t shifts[][4] = {
        [12] = {1 << 12 | 1 << 21 | 1 << 30, 1 << 30, 1 << 21, 1 << 12},
        [14] = {1 << 14 | 1 << 25, 0, 1 << 25, 1 << 14},
        [16] = {1 << 16 | 1 << 29, 0, 1 << 29, 1 << 16},
    };
    return shifts[granule][level];
}

/* ---- lines */

static uint64_t line_tag(uint64_t address, unsigned shift)
{
    return (address & va_mask) >> shift >> SMMU_TLB_LINE_BITS << TAG_LINE_SHIFT | shift;
}

/* Fibonacci hashing: neighbours are spread, and so are lines at equal offsets in large regions. */
static unsigned set_of(uint64_t tag)
{
    const uint64_t golden = 0x9e3779b97f4a7c15ull;
    return (tag & ~tag_asid_mask) * golden >> 32 & (SMMU_TLB_SETS - 1);
}

static uint64_t load(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_acquire);
}

static void store(_Atomic uint64_t *word, uint64_t value)
{
    atomic_store_explicit(word, value, memory_order_release);
}

void smmu_tlb_line_init(struct tlb_line *line, uint64_t address, unsigned shift, uint16_t asid)
{
    store(&line->tag, line_tag(address, shift) | (uint64_t)asid << TAG_ASID_SHIFT);
    for (unsigned i = 0; i < SMMU_TLB_LINE; i++) {
        store(&line->leaf[i], 0);
    }
}

uint64_t smmu_tlb_leaf(uint64_t output, uint8_t permissions, bool global)
{
    return output | (uint64_t)permissions << LEAF_PERMISSIONS_SHIFT | (global ? LEAF_GLOBAL : 0) |
           LEAF_VALID;
}

/*
 * From the leaf of `address` on: a translation goes on over as many leaves as follow each other in
 * memory; a new one begins where one does not, unless it differs in more than the address.
 */
static void take_row(const struct tlb_line *line, uint64_t address, uint64_t length, unsigned shift,
                     bool only_global, struct tlb_row *row)
{
    const _Atomic uint64_t *at = &line->leaf[smmu_tlb_index(address, shift)];
    const _Atomic uint64_t *end = line->leaf + SMMU_TLB_LINE;
    uint64_t size = 1ull << shift, offset = address & (size - 1);
    uint64_t more = (offset + (length - 1)) >> shift; /* leaves after the first that are wanted */
    uint64_t leaf = load(at), first = leaf;
    row->count = leaf && (!only_global || leaf & LEAF_GLOBAL);
    row->permissions = leaf >> LEAF_PERMISSIONS_SHIFT & LEAF_PERMISSIONS_MASK;
    struct iommu_translation *last = row->translations;
    *last = (struct iommu_translation){.address = gpa((leaf & leaf_address) + offset),
                                       .length = size - offset};
    for (; row->count > 0 && more > 0 && ++at < end; more--) {
        uint64_t next = load(at);
        if (next == leaf + size) {
            last->length += size;
        } else if (((next ^ first) & ~leaf_address) == 0 && row->count < row->max) {
            *++last =
                (struct iommu_translation){.address = gpa(next & leaf_address), .length = size};
            row->count++;
        } else {
            break;
        }
        leaf = next;
    }
}

void smmu_tlb_row(const struct tlb_line *line, uint64_t address, uint64_t length,
                  struct tlb_row *row)
{
    take_row(line, address, length, load(&line->tag) & tag_shift_mask, false, row);
}

/* ---- lookup */

bool smmu_tlb_find(const struct smmuv3 *smmu, uint64_t address, uint64_t length, unsigned granule,
                   uint16_t asid, struct tlb_row *row)
{
    uint64_t shifts = atomic_load_explicit(&smmu->tlb_shifts, memory_order_relaxed) &
                      smmu_leaf_shifts(granule, 0);
    for (; shifts; shifts &= shifts - 1) {
        unsigned shift = (unsigned)__builtin_ctzll(shifts);
        uint64_t wanted = line_tag(address, shift);
        const struct tlb_line *line = smmu->tlb[set_of(wanted)];
        for (unsigned way = 0; way < SMMU_TLB_WAYS; way++, line++) {
            unsigned begun = smmu_read_begin(&line->sequence);
            uint64_t tag = load(&line->tag);
            if ((tag & ~tag_asid_mask) != wanted) {
                continue;
            }
            take_row(line, address, length, shift, tag >> TAG_ASID_SHIFT != asid, row);
            if (row->count && smmu_read_was_whole(&line->sequence, begun)) {
                return true;
            }
        }
    }
    return false;
}

/* ---- insertion; cache_lock is held */

/* The same line if there is one, else an empty one, else the next in turn. */
static struct tlb_line *line_for(struct smmuv3 *smmu, uint64_t tag)
{
    unsigned set = set_of(tag);
    struct tlb_line *empty = NULL;
    for (unsigned way = 0; way < SMMU_TLB_WAYS; way++) {
        struct tlb_line *line = &smmu->tlb[set][way];
        uint64_t there = load(&line->tag);
        if (there == tag) {
            return line;
        }
        if (!there && !empty) {
            empty = line;
        }
    }
    return empty ? empty : &smmu->tlb[set][smmu->tlb_next[set]++ % SMMU_TLB_WAYS];
}

/* What was known of the same line and is not in the new one stays: nobody has invalidated it. */
static void write_line(struct tlb_line *kept, const struct tlb_line *line, uint64_t tag)
{
    bool same = load(&kept->tag) == tag;
    smmu_write_begin(&kept->sequence);
    store(&kept->tag, tag);
    for (unsigned i = 0; i < SMMU_TLB_LINE; i++) {
        uint64_t leaf = load(&line->leaf[i]);
        if (leaf || !same) {
            store(&kept->leaf[i], leaf);
        }
    }
    smmu_write_end(&kept->sequence);
}

void smmu_tlb_insert(struct smmuv3 *smmu, uint64_t generation, const struct tlb_line *line)
{
    uint64_t tag = load(&line->tag);
    pthread_mutex_lock(&smmu->cache_lock);
    if (atomic_load(&smmu->generation) == generation) {
        write_line(line_for(smmu, tag), line, tag);
        atomic_fetch_or(&smmu->tlb_shifts, 1ull << (tag & tag_shift_mask));
    }
    pthread_mutex_unlock(&smmu->cache_lock);
}

/* ---- invalidation */

static bool range_has_leaf(const struct tlb_range *range, uint64_t tag, unsigned index)
{
    unsigned shift = tag & tag_shift_mask;
    uint64_t line = (tag & ~tag_asid_mask) >> TAG_LINE_SHIFT;
    uint64_t first = (line << SMMU_TLB_LINE_BITS | index) << shift;
    uint64_t last = first + (1ull << shift) - 1;
    return first <= range->last && last >= range->first;
}

/* Clear the leaves for which it says so, and the line with the last one. */
static void invalidate_line(struct tlb_line *line, const struct tlb_range *range)
{
    uint64_t tag = load(&line->tag);
    if (!tag || !(range->shifts >> (tag & tag_shift_mask) & 1)) {
        return;
    }
    bool its_asid = range->any_asid || tag >> TAG_ASID_SHIFT == range->asid;
    uint64_t left = 0;
    smmu_write_begin(&line->sequence);
    for (unsigned i = 0; i < SMMU_TLB_LINE; i++) {
        uint64_t leaf = load(&line->leaf[i]);
        bool global = leaf & LEAF_GLOBAL;
        bool meant = global ? !range->only_asid : its_asid;
        if (leaf && meant && range_has_leaf(range, tag, i)) {
            store(&line->leaf[i], 0);
        } else {
            left |= leaf;
        }
    }
    if (!left) {
        store(&line->tag, 0);
    }
    smmu_write_end(&line->sequence);
}

static void invalidate_set(struct smmuv3 *smmu, unsigned set, const struct tlb_range *range)
{
    for (unsigned way = 0; way < SMMU_TLB_WAYS; way++) {
        invalidate_line(&smmu->tlb[set][way], range);
    }
}

/* The sets that may have pages of one size; false if those are as many as there are. */
static bool invalidate_shift(struct smmuv3 *smmu, unsigned shift, const struct tlb_range *range)
{
    unsigned line_shift = shift + SMMU_TLB_LINE_BITS;
    uint64_t first = range->first >> line_shift;
    uint64_t count = (range->last >> line_shift) - first + 1;
    if (count >= SMMU_TLB_SETS) {
        return false;
    }
    for (uint64_t i = 0; i < count; i++) {
        invalidate_set(smmu, set_of(line_tag((first + i) << line_shift, shift)), range);
    }
    return true;
}

/* Size by size, or all at once: a guest that makes us do it a million times waits a second. */
static void invalidate_sets(struct smmuv3 *smmu, const struct tlb_range *range)
{
    uint64_t shifts = atomic_load(&smmu->tlb_shifts) & range->shifts;
    for (; shifts; shifts &= shifts - 1) {
        if (!invalidate_shift(smmu, (unsigned)__builtin_ctzll(shifts), range)) {
            for (unsigned set = 0; set < SMMU_TLB_SETS; set++) {
                invalidate_set(smmu, set, range);
            }
            return;
        }
    }
}

static void invalidate(struct smmuv3 *smmu, const struct tlb_range *range)
{
    pthread_mutex_lock(&smmu->cache_lock);
    atomic_fetch_add(&smmu->generation, 1);
    invalidate_sets(smmu, range);
    pthread_mutex_unlock(&smmu->cache_lock);
}

void smmu_tlb_invalidate_range(struct smmuv3 *smmu, const struct tlb_range *range)
{
    trace_smmu_iotlb_inv_iova(range->any_asid ? -1 : range->asid, range->first);
    invalidate(smmu, range);
}

void smmu_tlb_invalidate_asid(struct smmuv3 *smmu, uint16_t asid)
{
    const struct tlb_range range = {
        .last = va_mask, .shifts = UINT64_MAX, .asid = asid, .only_asid = true};
    trace_smmu_iotlb_inv_asid(asid);
    invalidate(smmu, &range);
}

void smmu_tlb_invalidate_all(struct smmuv3 *smmu)
{
    const struct tlb_range range = {.last = va_mask, .shifts = UINT64_MAX, .any_asid = true};
    trace_smmu_iotlb_inv_all("all");
    invalidate(smmu, &range);
}

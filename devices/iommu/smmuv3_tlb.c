/* SPDX-License-Identifier: MIT */
/*
 * The IOTLB: leaves of page tables that walks have found.
 *
 * SMMU_TLB_SETS sets of SMMU_TLB_WAYS slots. A page's set follows from its number and its size, so
 * a lookup tries each size that the table's granule has (three at most), and only sizes of which
 * the IOTLB holds any: `tlb_shifts`. The ASID takes no part in it, so that a global page is found
 * for every ASID in the same place, and an invalidation by address for all ASIDs too. A size tells
 * granule and level, as no two granules share one. A slot's two words:
 *
 *   word 0   63-8 page number (VA[55:0] >> shift)   6 global   5-0 shift; 0: the slot is empty
 *   word 1   63-48 ASID   47-12 output address   4-0 permissions
 *
 * Who reads takes no lock. A slot (and that of a stream's configuration, which works the same) has
 * a sequence number that is odd while somebody writes it; a reader that saw it odd, or changed,
 * has found nothing. Writers hold cache_lock. All words are atomics, stored with release and loaded
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
static const uint64_t word_shift_mask = 0x3f;
static const uint64_t word_global = 0x40;
static const uint64_t word_address = 0x0000fffffffff000ull;
static const uint64_t word_permissions = 0x1f;
enum { WORD_PAGE_SHIFT = 8, WORD_ASID_SHIFT = 48 };

/* ---- slots */

bool smmu_slot_read(const atomic_uint *sequence, const _Atomic uint64_t *words, size_t count,
                    uint64_t *copy)
{
    unsigned before = atomic_load_explicit(sequence, memory_order_acquire);
    for (size_t i = 0; i < count; i++) {
        copy[i] = atomic_load_explicit(&words[i], memory_order_acquire);
    }
    return !(before & 1) && atomic_load_explicit(sequence, memory_order_relaxed) == before;
}

void smmu_slot_write(atomic_uint *sequence, _Atomic uint64_t *words, size_t count,
                     const uint64_t *copy)
{
    unsigned before = atomic_load_explicit(sequence, memory_order_relaxed);
    atomic_store_explicit(sequence, before + 1, memory_order_relaxed);
    for (size_t i = 0; i < count; i++) {
        atomic_store_explicit(&words[i], copy[i], memory_order_release);
    }
    atomic_store_explicit(sequence, before + 2, memory_order_release);
}

static void clear_slot(struct tlb_slot *slot)
{
    static const uint64_t empty[TLB_WORDS];
    smmu_slot_write(&slot->sequence, slot->words, TLB_WORDS, empty);
}

/* For whoever holds cache_lock. */
static uint64_t slot_word(const struct tlb_slot *slot, unsigned index)
{
    return atomic_load_explicit(&slot->words[index], memory_order_relaxed);
}

/* ---- sizes */

/* VMSAv8-64: blocks are at level 1 and 2 with 4K, at level 2 with 16K and 64K. */
uint64_t smmu_leaf_shifts(unsigned granule, unsigned level)
{
    unsigned first_block_level = granule == 12 ? 1 : 2;
    uint64_t shifts = 0;
    for (unsigned l = first_block_level; l <= 3; l++) {
        if (level == 0 || level == l) {
            shifts |= 1ull << (granule + (3 - l) * (granule - 3));
        }
    }
    return shifts;
}

static uint64_t page_word(uint64_t address, unsigned shift)
{
    return (address & va_mask) >> shift << WORD_PAGE_SHIFT | shift;
}

/* Fibonacci hashing: neighbours are spread, and so are pages at equal offsets in large regions. */
static unsigned set_of(uint64_t word)
{
    const uint64_t golden = 0x9e3779b97f4a7c15ull;
    return (word & ~word_global) * golden >> 32 & (SMMU_TLB_SETS - 1);
}

/* ---- lookup */

static bool find_in_set(const struct smmuv3 *smmu, uint64_t wanted, uint16_t asid,
                        struct tlb_entry *entry)
{
    const struct tlb_slot *set = smmu->tlb[set_of(wanted)];
    for (unsigned way = 0; way < SMMU_TLB_WAYS; way++) {
        uint64_t words[TLB_WORDS];
        if (!smmu_slot_read(&set[way].sequence, set[way].words, TLB_WORDS, words) ||
            (words[0] & ~word_global) != wanted) {
            continue;
        }
        bool global = words[0] & word_global;
        if (global || words[1] >> WORD_ASID_SHIFT == asid) {
            *entry = (struct tlb_entry){.address = words[1] & word_address,
                                        .asid = asid,
                                        .shift = words[0] & word_shift_mask,
                                        .permissions = words[1] & word_permissions,
                                        .global = global};
            return true;
        }
    }
    return false;
}

bool smmu_tlb_find(const struct smmuv3 *smmu, uint64_t address, unsigned granule, uint16_t asid,
                   struct tlb_entry *entry)
{
    uint64_t shifts = atomic_load_explicit(&smmu->tlb_shifts, memory_order_relaxed) &
                      smmu_leaf_shifts(granule, 0);
    for (; shifts; shifts &= shifts - 1) {
        unsigned shift = (unsigned)__builtin_ctzll(shifts);
        if (find_in_set(smmu, page_word(address, shift), asid, entry)) {
            return true;
        }
    }
    return false;
}

/* ---- insertion */

/* The slot with the same page, else an empty one, else the next in turn. cache_lock is held. */
static struct tlb_slot *slot_for(struct smmuv3 *smmu, uint64_t page, const struct tlb_entry *entry)
{
    unsigned set = set_of(page);
    struct tlb_slot *empty = NULL;
    for (unsigned way = 0; way < SMMU_TLB_WAYS; way++) {
        struct tlb_slot *slot = &smmu->tlb[set][way];
        uint64_t word = slot_word(slot, 0);
        bool same_asid = slot_word(slot, 1) >> WORD_ASID_SHIFT == entry->asid;
        if ((word & ~word_global) == page && (same_asid || entry->global || word & word_global)) {
            return slot;
        }
        if (!word) {
            empty = slot;
        }
    }
    return empty ? empty : &smmu->tlb[set][smmu->tlb_next[set]++ % SMMU_TLB_WAYS];
}

void smmu_tlb_insert(struct smmuv3 *smmu, uint64_t generation, uint64_t address,
                     const struct tlb_entry *entry)
{
    uint64_t page = page_word(address, entry->shift);
    uint64_t words[TLB_WORDS] = {page | (entry->global ? word_global : 0),
                                 (uint64_t)entry->asid << WORD_ASID_SHIFT | entry->address |
                                     entry->permissions};
    pthread_mutex_lock(&smmu->cache_lock);
    if (atomic_load(&smmu->generation) == generation) {
        struct tlb_slot *slot = slot_for(smmu, page, entry);
        smmu_slot_write(&slot->sequence, slot->words, TLB_WORDS, words);
        atomic_fetch_or(&smmu->tlb_shifts, 1ull << entry->shift);
    }
    pthread_mutex_unlock(&smmu->cache_lock);
}

/* ---- invalidation */

static void invalidate_slot(struct tlb_slot *slot, const struct tlb_range *range)
{
    uint64_t word = slot_word(slot, 0);
    unsigned shift = word & word_shift_mask;
    if (!word || !(range->shifts >> shift & 1)) {
        return;
    }
    uint64_t first = word >> WORD_PAGE_SHIFT << shift;
    uint64_t last = first + (1ull << shift) - 1;
    bool asid_matches = range->any_asid || word & word_global ||
                        slot_word(slot, 1) >> WORD_ASID_SHIFT == range->asid;
    if (asid_matches && first <= range->last && last >= range->first) {
        clear_slot(slot);
    }
}

static void invalidate_set(struct smmuv3 *smmu, unsigned set, const struct tlb_range *range)
{
    for (unsigned way = 0; way < SMMU_TLB_WAYS; way++) {
        invalidate_slot(&smmu->tlb[set][way], range);
    }
}

/* The sets that may have pages of one size; false if those are as many as there are. */
static bool invalidate_shift(struct smmuv3 *smmu, unsigned shift, const struct tlb_range *range)
{
    uint64_t first = range->first >> shift;
    uint64_t count = (range->last >> shift) - first + 1;
    if (count >= SMMU_TLB_SETS) {
        return false;
    }
    for (uint64_t i = 0; i < count; i++) {
        invalidate_set(smmu, set_of(page_word((first + i) << shift, shift)), range);
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

void smmu_tlb_invalidate_range(struct smmuv3 *smmu, const struct tlb_range *range)
{
    trace_smmu_iotlb_inv_iova(range->any_asid ? -1 : range->asid, range->first);
    pthread_mutex_lock(&smmu->cache_lock);
    atomic_fetch_add(&smmu->generation, 1);
    invalidate_sets(smmu, range);
    pthread_mutex_unlock(&smmu->cache_lock);
}

/* Clear all slots for which it says so: those of an ASID that are not global, or with -1 all. */
static void invalidate_by_asid(struct smmuv3 *smmu, int asid)
{
    for (unsigned i = 0; i < SMMU_TLB_SETS * SMMU_TLB_WAYS; i++) {
        struct tlb_slot *slot = &smmu->tlb[i / SMMU_TLB_WAYS][i % SMMU_TLB_WAYS];
        uint64_t word = slot_word(slot, 0);
        bool matches = asid < 0 || (!(word & word_global) &&
                                    slot_word(slot, 1) >> WORD_ASID_SHIFT == (unsigned)asid);
        if (word && matches) {
            clear_slot(slot);
        }
    }
}

void smmu_tlb_invalidate_asid(struct smmuv3 *smmu, uint16_t asid)
{
    trace_smmu_iotlb_inv_asid(asid);
    pthread_mutex_lock(&smmu->cache_lock);
    atomic_fetch_add(&smmu->generation, 1);
    if (atomic_load(&smmu->tlb_shifts)) {
        invalidate_by_asid(smmu, asid);
    }
    pthread_mutex_unlock(&smmu->cache_lock);
}

void smmu_tlb_invalidate_all(struct smmuv3 *smmu)
{
    trace_smmu_iotlb_inv_all("all");
    pthread_mutex_lock(&smmu->cache_lock);
    atomic_fetch_add(&smmu->generation, 1);
    if (atomic_load(&smmu->tlb_shifts)) {
        invalidate_by_asid(smmu, -1);
    }
    atomic_store(&smmu->tlb_shifts, 0);
    pthread_mutex_unlock(&smmu->cache_lock);
}

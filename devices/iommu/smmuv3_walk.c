/* SPDX-License-Identifier: MIT */
/*
 * Stage 1: from a device's address to a guest physical one, by the tables of VMSAv8-64 (Arm ARM
 * D8) that a context descriptor points to.
 *
 * Bit 55 of the address picks TTBR0 or TTBR1; above the table's input size all bits must be equal
 * to it, but for the top byte where TBI says so. A level resolves granule - 3 bits of the address;
 * the first one what is left. Each descriptor is 8 bytes, read by one load. A walk ends after at
 * most four of them.
 *
 *   1-0   01 block (levels and granules that have them), 11 table, or page on level 3
 *   7-6   AP: read-only, unprivileged   10 AF   11 nG   53 PXN   54 UXN
 *   63-59 of a table: APTable, UXNTable, PXNTable, which only take rights away
 *
 * A walk takes neighbours of the leaf along, those of its line of the IOTLB. What is valid may be
 * cached before anybody uses it (IHI 0070 3.21.1), and software invalidates what it changes whether
 * it was used or not; so only the time tells. The contiguous bit is a hint, and ignored.
 */
#include <errno.h>

#include "devices/iommu/smmuv3_internal.h"
#include "vmm/trace.h"

enum { LAST_LEVEL = 3, SELECT_BIT = 55, TOP_BYTE_BITS = 8 };

struct walk {
    const struct stream_table *table;
    uint64_t va;
    uint64_t address; /* without what the table ignores of it: the low input_bits */
    uint64_t base;    /* of the table at `level` */
    uint64_t index;   /* of the descriptor in it */
    unsigned level;
    uint64_t table_attributes; /* what tables on the way take away */
    uint16_t asid;
    unsigned output_bits;
    bool affd;
    enum smmu_event_type fault;
    uint64_t fetch_address; /* with F_WALK_EABT */
};

static bool fault(struct walk *walk, enum smmu_event_type type)
{
    walk->fault = type;
    return false;
}

/* log2 of what one descriptor at `level` covers. */
static unsigned level_shift(const struct walk *walk, unsigned level)
{
    return walk->table->granule + (LAST_LEVEL - level) * (walk->table->granule - 3u);
}

/* ---- one descriptor */

static bool read_descriptor(const struct smmuv3 *smmu, struct walk *walk, uint64_t *descriptor)
{
    unsigned shift = level_shift(walk, walk->level);
    uint64_t mask = (1ull << (walk->table->granule - 3)) - 1;
    walk->index = walk->address >> shift & mask; /* bits above the input are 0 */
    uint64_t address = walk->base + walk->index * sizeof(uint64_t);
    const uint64_t *host = guest_memory_range(smmu->config.memory, gpa(address), sizeof(uint64_t));
    if (!host) {
        walk->fetch_address = address;
        return fault(walk, SMMU_EVT_F_WALK_EABT);
    }
    *descriptor = __atomic_load_n(host, __ATOMIC_ACQUIRE);
    trace_smmu_get_pte(walk->base, (unsigned)walk->index, address, *descriptor);
    return true;
}

/* The address in a descriptor: of a table, page or block that is aligned to 2^shift. */
static bool output_address(struct walk *walk, uint64_t descriptor, unsigned shift,
                           uint64_t *address)
{
    *address = descriptor & SMMU_TTD_ADDRESS & ~((1ull << shift) - 1);
    return !(*address >> walk->output_bits) || fault(walk, SMMU_EVT_F_ADDR_SIZE);
}

/* ---- a leaf */

static uint8_t permissions(uint64_t descriptor, uint64_t table_attributes)
{
    bool read_only = descriptor & SMMU_TTD_AP_READ_ONLY || table_attributes & SMMU_TTD_AP_TABLE_RO;
    bool unprivileged =
        descriptor & SMMU_TTD_AP_UNPRIV && !(table_attributes & SMMU_TTD_AP_TABLE_PRIV);
    bool pxn = descriptor & SMMU_TTD_PXN || table_attributes & SMMU_TTD_PXN_TABLE;
    bool uxn = descriptor & SMMU_TTD_UXN || table_attributes & SMMU_TTD_UXN_TABLE;
    uint8_t granted = 0;
    granted |= read_only ? 0 : TLB_PRIV_WRITE;
    granted |= unprivileged ? TLB_UNPRIV_READ : 0;
    granted |= unprivileged && !read_only ? TLB_UNPRIV_WRITE : 0;
    /* What unprivileged code can write, privileged code never executes. */
    granted |= pxn || (unprivileged && !read_only) ? 0 : TLB_PRIV_EXECUTE;
    granted |= uxn ? 0 : TLB_UNPRIV_EXECUTE;
    return granted;
}

/*
 * The leaf for the IOTLB, or 0 with walk->fault, in the order of priority: address size, access
 * flag; the permission comes after the IOTLB.
 */
static uint64_t leaf(struct walk *walk, uint64_t descriptor)
{
    uint64_t address;
    if (!output_address(walk, descriptor, level_shift(walk, walk->level), &address)) {
        return 0;
    }
    if (!(descriptor & SMMU_TTD_AF) && !walk->affd) {
        return fault(walk, SMMU_EVT_F_ACCESS);
    }
    return smmu_tlb_leaf(address, permissions(descriptor, walk->table_attributes),
                         !(descriptor & SMMU_TTD_NG));
}

static bool is_leaf(const struct walk *walk, uint64_t descriptor)
{
    bool is_last = walk->level == LAST_LEVEL;
    return descriptor & SMMU_TTD_VALID && is_last == ((descriptor & SMMU_TTD_TABLE) != 0);
}

static bool leaf_is_allowed(const struct walk *walk)
{
    return walk->level > 0 && smmu_leaf_shifts(walk->table->granule, walk->level);
}

/*
 * The line of a leaf and of those neighbours that differ from it in nothing but the address; others
 * wait for their own walk. The first table may be shorter than a line, and then be anywhere in it.
 */
static void fill_line(const struct smmuv3 *smmu, const struct walk *walk, uint64_t descriptor,
                      uint64_t leaf, struct tlb_line *line)
{
    unsigned shift = level_shift(walk, walk->level);
    unsigned table_bits = walk->table->input_bits - shift;
    unsigned count = table_bits < SMMU_TLB_LINE_BITS ? 1u << table_bits : SMMU_TLB_LINE;
    unsigned in_line = walk->index % SMMU_TLB_LINE;
    unsigned wanted = smmu_tlb_index(walk->va, shift);
    uint64_t start = walk->base + (walk->index - in_line) * sizeof(uint64_t);
    uint64_t may_differ =
        SMMU_TTD_ADDRESS & ~((1ull << shift) - 1) & ((1ull << walk->output_bits) - 1);
    const uint64_t *host =
        guest_memory_range(smmu->config.memory, gpa(start), count * sizeof(uint64_t));
    smmu_tlb_line_init(line, walk->va, shift, walk->asid);
    for (unsigned i = 0; host && i < count; i++) {
        uint64_t difference = __atomic_load_n(&host[i], __ATOMIC_RELAXED) ^ descriptor;
        if (!(difference & ~may_differ)) {
            smmu_tlb_set_leaf(line, wanted - in_line + i, leaf ^ difference);
        }
    }
    smmu_tlb_set_leaf(line, wanted, leaf);
}

/* ---- the walk */

static bool end_walk(const struct smmuv3 *smmu, struct walk *walk, uint64_t descriptor,
                     struct tlb_line *line)
{
    if (!leaf_is_allowed(walk)) {
        return fault(walk, SMMU_EVT_F_TRANSLATION);
    }
    uint64_t found = leaf(walk, descriptor);
    if (found) {
        fill_line(smmu, walk, descriptor, found, line);
    }
    return found;
}

/* The first level, and its table: aligned to its size, as it may be smaller than a granule. */
static void start(struct walk *walk)
{
    unsigned stride = walk->table->granule - 3u;
    unsigned bits = walk->table->input_bits - walk->table->granule;
    unsigned levels = (bits + stride - 1) / stride;
    unsigned size_bits = bits - (levels - 1) * stride + 3;
    walk->level = LAST_LEVEL + 1 - levels;
    walk->base = walk->table->base & ~((1ull << size_bits) - 1);
}

static bool run_walk(const struct smmuv3 *smmu, struct walk *walk, struct tlb_line *line)
{
    for (start(walk); walk->level <= LAST_LEVEL; walk->level++) {
        uint64_t descriptor;
        if (!read_descriptor(smmu, walk, &descriptor)) {
            return false;
        }
        if (is_leaf(walk, descriptor)) {
            return end_walk(smmu, walk, descriptor, line);
        }
        if (!(descriptor & SMMU_TTD_VALID) || walk->level == LAST_LEVEL) {
            break; /* 01 is reserved on the last level */
        }
        if (!output_address(walk, descriptor, walk->table->granule, &walk->base)) {
            return false;
        }
        walk->table_attributes |= walk->table->had ? 0 : descriptor;
    }
    return fault(walk, SMMU_EVT_F_TRANSLATION);
}

/* ---- from the access */

/* The table that translates the address, or NULL if none does. */
static const struct stream_table *select_table(const struct stream_config *config, uint64_t address)
{
    bool upper = address >> SELECT_BIT & 1;
    const struct stream_table *table = &config->table[upper];
    if (!table->enabled) {
        return NULL;
    }
    unsigned ignored = table->tbi ? TOP_BYTE_BITS : 0;
    uint64_t inverted = upper ? ~address : address;
    return inverted << ignored >> ignored >> table->input_bits ? NULL : table;
}

static bool is_permitted(const struct smmu_access *access, const struct stream_config *config,
                         uint8_t granted)
{
    uint8_t write = access->privileged ? TLB_PRIV_WRITE : TLB_UNPRIV_WRITE;
    if (access->instruction) {
        uint8_t execute = access->privileged ? TLB_PRIV_EXECUTE : TLB_UNPRIV_EXECUTE;
        return granted & execute && !(config->wxn && granted & write);
    }
    if (access->privileged) {
        bool never = config->pan && granted & TLB_UNPRIV_READ;
        return !never && (!access->write || granted & write);
    }
    return granted & (access->write ? TLB_UNPRIV_WRITE : TLB_UNPRIV_READ);
}

/* CD.R decides about faults of the translation, but not about walks that memory has refused. */
static int report(struct smmuv3 *smmu, const struct smmu_access *access,
                  const struct stream_config *config, enum smmu_event_type type,
                  uint64_t fetch_address)
{
    bool abort = type == SMMU_EVT_F_WALK_EABT;
    uint64_t class = abort ? SMMU_EVT_CLASS_TTD : SMMU_EVT_CLASS_IN;
    struct smmu_event event = {
        .type = type,
        .detail = class << SMMU_EVT_CLASS_SHIFT | (access->privileged ? SMMU_EVT_PNU : 0) |
                  (access->instruction ? SMMU_EVT_IND : 0) | (access->write ? 0 : SMMU_EVT_RNW),
        .input_address = access->address,
        .fetch_address = fetch_address,
    };
    if (abort || config->record) {
        smmu_record_event(smmu, access->sid, &event);
    }
    return -EFAULT;
}

static bool find_in_tlb(struct smmuv3 *smmu, const struct smmu_access *access,
                        const struct stream_config *config, unsigned granule, struct tlb_row *row)
{
    struct stream_slot *slot = &smmu->streams[access->sid];
    bool found = smmu_tlb_find(smmu, access->address, access->length, granule, config->asid, row);
    if (found) {
        unsigned hits = smmu_count(&slot->tlb_hits);
        unsigned misses = atomic_load_explicit(&slot->tlb_misses, memory_order_relaxed);
        trace_smmu_iotlb_lookup_hit(config->asid, access->address, hits, misses,
                                    smmu_hit_rate(TRACE_ID_smmu_iotlb_lookup_hit, hits, misses));
    } else {
        unsigned hits = atomic_load_explicit(&slot->tlb_hits, memory_order_relaxed);
        unsigned misses = smmu_count(&slot->tlb_misses);
        trace_smmu_iotlb_lookup_miss(config->asid, access->address, hits, misses,
                                     smmu_hit_rate(TRACE_ID_smmu_iotlb_lookup_miss, hits, misses));
    }
    return found;
}

static int walk_and_insert(struct smmuv3 *smmu, const struct smmu_access *access,
                           uint64_t generation, const struct stream_config *config,
                           const struct stream_table *table, struct tlb_row *row)
{
    struct tlb_line line;
    struct walk walk = {
        .table = table,
        .va = access->address,
        .address = access->address & ((1ull << table->input_bits) - 1),
        .asid = config->asid,
        .output_bits = config->output_bits,
        .affd = config->affd,
    };
    if (!run_walk(smmu, &walk, &line)) {
        return report(smmu, access, config, walk.fault, walk.fetch_address);
    }
    trace_smmu_iotlb_insert(config->asid, access->address, table->granule, walk.level);
    smmu_tlb_insert(smmu, generation, &line);
    smmu_tlb_row(&line, access->address, access->length, row);
    return 0;
}

int smmu_translate_stage1(struct smmuv3 *smmu, const struct smmu_access *access,
                          uint64_t generation, const struct stream_config *config,
                          struct iommu_translation *translations, unsigned max)
{
    const struct stream_table *table = select_table(config, access->address);
    struct tlb_row row = {.translations = translations, .max = max};
    if (!table) {
        return report(smmu, access, config, SMMU_EVT_F_TRANSLATION, 0);
    }
    if (!find_in_tlb(smmu, access, config, table->granule, &row)) {
        int ret = walk_and_insert(smmu, access, generation, config, table, &row);
        if (ret < 0) {
            return ret;
        }
    }
    if (!is_permitted(access, config, row.permissions)) {
        return report(smmu, access, config, SMMU_EVT_F_PERMISSION, 0);
    }
    return (int)row.count;
}

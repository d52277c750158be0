/* SPDX-License-Identifier: MIT */
/*
 * What the files of the SMMUv3 share. smmuv3.c says who takes which lock.
 */
#ifndef DEVICES_IOMMU_SMMUV3_INTERNAL_H
#define DEVICES_IOMMU_SMMUV3_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "devices/iommu/smmuv3.h"
#include "devices/iommu/smmuv3_regs.h"
#include "vmm/registers.h"
#include "vmm/trace.h"

enum {
    SMMU_SID_BITS = 16,
    SMMU_SID_COUNT = 1 << SMMU_SID_BITS,
    SMMU_QUEUE_BITS = 19, /* largest queue: 2^19 entries */
    SMMU_OAS_BITS = 44,
    SMMU_VA_BITS = 56, /* what identifies an address in the IOTLB: TBI may ignore the top byte */
    SMMU_TLB_SETS = 512,
    SMMU_TLB_WAYS = 4,
    SMMU_TLB_LINE_BITS = 4,
    SMMU_TLB_LINE = 1 << SMMU_TLB_LINE_BITS, /* leaves side by side that are kept together */
    SMMU_TABLES = 2,                         /* TTBR0 and TTBR1 */
};

/* ---- what a stream's STE and CD say, checked and in short */

enum stream_mode { STREAM_NONE, STREAM_ABORT, STREAM_BYPASS, STREAM_STAGE1 };

struct stream_table {
    uint64_t base;
    uint8_t input_bits; /* 64 - TnSZ */
    uint8_t granule;    /* 12, 14 or 16 */
    bool enabled;       /* EPDn is clear */
    bool had;           /* hierarchical attributes are disabled */
    bool tbi;           /* top byte ignored */
    uint8_t unused[3];
};

struct stream_config {
    struct stream_table table[SMMU_TABLES];
    uint16_t asid;
    uint8_t mode; /* enum stream_mode */
    uint8_t output_bits;
    bool record; /* CD.R: faults go to the event queue */
    bool affd;   /* a clear access flag is no fault */
    bool pan;
    bool wxn;
    bool privileged; /* accesses of this stream are */
    bool instruction;
    uint8_t unused[6];
};

/* ---- records that are read without a lock, see smmuv3_tlb.c */

enum { STREAM_CONFIG_WORDS = sizeof(struct stream_config) / sizeof(uint64_t) };
_Static_assert(sizeof(struct stream_config) % sizeof(uint64_t) == 0, "copied in words");

struct stream_slot {
    atomic_uint sequence;
    bool known; /* it is in smmuv3.known_streams; cache_lock */
    atomic_uint hits;
    atomic_uint misses;
    atomic_uint tlb_hits;
    atomic_uint tlb_misses;
    _Atomic uint64_t words[STREAM_CONFIG_WORDS]; /* struct stream_config; all 0: empty */
};

struct tlb_line {
    atomic_uint sequence;
    _Atomic uint64_t tag;
    _Atomic uint64_t leaf[SMMU_TLB_LINE];
};

/* What the IOTLB says of the beginning of a range. */
struct tlb_row {
    struct iommu_translation *translations; /* one after the other; set by who asks, as `max` */
    unsigned max;
    unsigned count;      /* 0: nothing */
    uint8_t permissions; /* enum tlb_permission, of all of them */
};

enum tlb_permission {
    TLB_PRIV_WRITE = 1,
    TLB_UNPRIV_READ = 2,
    TLB_UNPRIV_WRITE = 4,
    TLB_PRIV_EXECUTE = 8,
    TLB_UNPRIV_EXECUTE = 16,
};

/* ---- events */

struct smmu_event {
    enum smmu_event_type type;
    uint64_t detail; /* second doubleword: PnU, InD, RnW, CLASS */
    uint64_t input_address;
    uint64_t fetch_address;
};

/* One access of one device. */
struct smmu_access {
    uint16_t sid;
    bool write;
    bool privileged;  /* after STE.PRIVCFG */
    bool instruction; /* after STE.INSTCFG */
    uint64_t address;
    uint64_t length; /* > 0, and all of it can be addressed */
};

/* ---- the device */

struct smmuv3 {
    struct iommu iommu; /* first */
    struct smmuv3_config config;
    struct bus_region region;
    pthread_mutex_t lock;       /* register writes and the command queue */
    pthread_mutex_t event_lock; /* the event queue, GERROR */
    pthread_mutex_t cache_lock; /* changes of the caches */

    /* Registers. Written under `lock` (those marked, also under event_lock), read without. */
    _Atomic uint32_t cr0; /* event_lock */
    _Atomic uint32_t cr0ack;
    _Atomic uint32_t cr1;
    _Atomic uint32_t cr2;
    _Atomic uint32_t gbpa;
    _Atomic uint32_t irq_ctrl; /* event_lock */
    _Atomic uint32_t gerror;   /* event_lock alone */
    _Atomic uint32_t gerrorn;  /* event_lock */
    _Atomic uint64_t strtab_base;
    _Atomic uint32_t strtab_base_cfg;
    _Atomic uint64_t cmdq_base;
    _Atomic uint32_t cmdq_prod;
    _Atomic uint32_t cmdq_cons;
    _Atomic uint64_t eventq_base; /* event_lock */
    _Atomic uint32_t eventq_prod; /* event_lock alone */
    _Atomic uint32_t eventq_cons; /* event_lock */

    /* Caches. Changed under cache_lock, read without. */
    _Atomic uint64_t
        generation; /* of invalidations: what was read before one is not cached after */
    struct stream_slot *streams; /* SMMU_SID_COUNT; most are never touched, and take no memory */
    uint16_t *known_streams;     /* those that are, so that a range need not be searched */
    size_t known_count;
    _Atomic uint64_t tlb_shifts; /* bit n: pages of 2^n bytes may be in the IOTLB */
    struct tlb_line tlb[SMMU_TLB_SETS][SMMU_TLB_WAYS];
    uint8_t tlb_next[SMMU_TLB_SETS]; /* the way to replace */
};

extern const struct register_block smmuv3_registers;

/* ---- smmuv3_event.c */

/* Write an event, or lose it as 7.2 and 7.4 say. Any thread; takes event_lock. */
void smmu_record_event(struct smmuv3 *smmu, uint16_t sid, const struct smmu_event *event);
/* Make errors active. Takes event_lock. */
void smmu_raise_gerror(struct smmuv3 *smmu, uint32_t errors);
/* A write of GERRORN. Takes event_lock. */
void smmu_acknowledge_gerror(struct smmuv3 *smmu, uint32_t gerrorn);
void smmu_pulse_irq(struct smmuv3 *smmu, enum smmuv3_irq irq);

/* Errors that software has not acknowledged, 6.3.18. */
static inline uint32_t smmu_active_errors(const struct smmuv3 *smmu)
{
    return atomic_load(&smmu->gerror) ^ atomic_load(&smmu->gerrorn);
}

/* log2 of the number of entries of a queue: more than are offered count as those, 6.3.26. */
static inline unsigned smmu_queue_bits(uint64_t base)
{
    unsigned bits = base & SMMU_QUEUE_LOG2SIZE;
    return bits < SMMU_QUEUE_BITS ? bits : SMMU_QUEUE_BITS;
}

/*
 * The address of the entry at `index`. A queue is aligned to its size, and to 32 bytes; address
 * bits beyond the output size are ignored, 3.4.3.
 */
static inline gpa_t smmu_queue_entry(uint64_t base, uint32_t index, unsigned entry_bytes)
{
    uint64_t entries = 1ull << smmu_queue_bits(base);
    uint64_t in_range = base & SMMU_QUEUE_BASE_ADDRESS & ((1ull << SMMU_OAS_BITS) - 1);
    uint64_t start = in_range & ~(entries * entry_bytes - 1);
    return gpa(start + (index & (entries - 1)) * entry_bytes);
}

/* ---- smmuv3_cmdq.c: consume what is there. `lock` is held, and nothing else. */

void smmu_consume_commands(struct smmuv3 *smmu);

/* ---- smmuv3_describe.c */

/* As describe() of struct iommu_ops. Takes cache_lock. */
void smmu_describe(struct iommu *iommu, FILE *out);

/* ---- the stream table, 3.3.1 */

static inline bool smmu_has_two_levels(uint32_t cfg)
{
    return (cfg >> SMMU_STRTAB_FMT_SHIFT & SMMU_STRTAB_FMT) == SMMU_STRTAB_FMT_2LVL;
}

/* Bits of a StreamID: no more count than are offered. */
static inline unsigned smmu_stream_bits(uint32_t cfg)
{
    unsigned bits = cfg & SMMU_STRTAB_LOG2SIZE;
    return bits < SMMU_SID_BITS ? bits : SMMU_SID_BITS;
}

/* Bits of the StreamID that pick within the second level. Others than these are reserved: as 6. */
static inline unsigned smmu_split_of(uint32_t cfg)
{
    unsigned split = cfg >> SMMU_STRTAB_SPLIT_SHIFT & SMMU_STRTAB_SPLIT;
    return split == 8 || split == 10 ? split : 6;
}

/* Tables are aligned to their size; lower address bits are ignored. */
static inline uint64_t smmu_aligned(uint64_t base, unsigned size_bits)
{
    return base & ~((1ull << size_bits) - 1);
}

/* ---- smmuv3_config.c */

/*
 * The stream's configuration, from the cache or from memory. False: the access is to be aborted,
 * and what had to be recorded has been.
 */
bool smmu_stream_config(struct smmuv3 *smmu, const struct smmu_access *access, uint64_t generation,
                        struct stream_config *config);
/* Forget the configurations of the streams first..last. */
void smmu_invalidate_streams(struct smmuv3 *smmu, uint32_t first, uint32_t last);

/* ---- smmuv3_walk.c */

/* Translate with stage 1. As translate_row() of struct iommu_ops. */
int smmu_translate_stage1(struct smmuv3 *smmu, const struct smmu_access *access,
                          uint64_t generation, const struct stream_config *config,
                          struct iommu_translation *translations, unsigned max);

/* ---- smmuv3_tlb.c */

/*
 * Read a record: begin, load its words (with acquire order), and see whether they are those of one
 * time. Write one, with cache_lock held: begin, store words (with release order), end.
 */
static inline unsigned smmu_read_begin(const atomic_uint *sequence)
{
    return atomic_load_explicit(sequence, memory_order_acquire);
}

static inline bool smmu_read_was_whole(const atomic_uint *sequence, unsigned begun)
{
    return !(begun & 1) && atomic_load_explicit(sequence, memory_order_relaxed) == begun;
}

static inline void smmu_write_begin(atomic_uint *sequence)
{
    unsigned even = atomic_load_explicit(sequence, memory_order_relaxed);
    atomic_store_explicit(sequence, even + 1, memory_order_relaxed);
}

static inline void smmu_write_end(atomic_uint *sequence)
{
    unsigned odd = atomic_load_explicit(sequence, memory_order_relaxed);
    atomic_store_explicit(sequence, odd + 1, memory_order_release);
}

/*
 * Look up what a table of `granule` translates for `asid`: [address, address + length), or the
 * beginning of it. False: not even the first byte is there.
 */
bool smmu_tlb_find(const struct smmuv3 *smmu, uint64_t address, uint64_t length, unsigned granule,
                   uint16_t asid, struct tlb_row *row);

/*
 * What a walk makes, and inserts: the line that `address` is in if leaves have 2^shift bytes, with
 * none in it; a leaf, not 0, whose bits 47-12 are the output address; and which one in the line
 * `address` is in.
 */
void smmu_tlb_line_init(struct tlb_line *line, uint64_t address, unsigned shift, uint16_t asid);
uint64_t smmu_tlb_leaf(uint64_t output, uint8_t permissions, bool global);
static inline void smmu_tlb_set_leaf(struct tlb_line *line, unsigned index, uint64_t leaf)
{
    atomic_store_explicit(&line->leaf[index], leaf, memory_order_relaxed);
}
static inline unsigned smmu_tlb_index(uint64_t address, unsigned shift)
{
    return address >> shift & (SMMU_TLB_LINE - 1);
}
/* The same as smmu_tlb_find(), from a line that nobody else has and that has the address's leaf. */
void smmu_tlb_row(const struct tlb_line *line, uint64_t address, uint64_t length,
                  struct tlb_row *row);
/* Add the line of a walk that began in `generation`, in place of what there was of it. */
void smmu_tlb_insert(struct smmuv3 *smmu, uint64_t generation, const struct tlb_line *line);

void smmu_tlb_invalidate_all(struct smmuv3 *smmu);
void smmu_tlb_invalidate_asid(struct smmuv3 *smmu, uint16_t asid);

/* What TLBI_NH_VA and TLBI_NH_VAA name. */
struct tlb_range {
    uint64_t first; /* addresses */
    uint64_t last;
    uint64_t shifts; /* bit n: pages of 2^n bytes are meant */
    bool any_asid;
    bool only_asid; /* not the global pages, which belong to every ASID */
    uint16_t asid;
};
void smmu_tlb_invalidate_range(struct smmuv3 *smmu, const struct tlb_range *range);

/* Page and block sizes of a granule by level, as bits of a mask of shifts; level 0: all of them. */
uint64_t smmu_leaf_shifts(unsigned granule, unsigned level);

/* Percentage for the trace lines; not divided for when nobody sees the line. */
static inline unsigned smmu_hit_rate(enum trace_id line, unsigned hits, unsigned misses)
{
    uint64_t all = (uint64_t)hits + misses;
    return trace_on[line] && all ? (unsigned)(100ull * hits / all) : 0;
}

/* A statistic: exact while one thread at a time uses a device, and close otherwise. */
static inline unsigned smmu_count(atomic_uint *counter)
{
    unsigned value = atomic_load_explicit(counter, memory_order_relaxed) + 1;
    atomic_store_explicit(counter, value, memory_order_relaxed);
    return value;
}

#endif

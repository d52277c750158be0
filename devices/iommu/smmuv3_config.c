/* SPDX-License-Identifier: MIT */
/*
 * From a StreamID to what is to be done with its accesses: stream table, STE (5.2), CD (5.4). Both
 * are read once into a copy, checked, and boiled down to a struct stream_config, which the cache
 * keeps by StreamID until software invalidates it. What is found illegal is not kept.
 *
 *   STRTAB_BASE ─► [level 1: L1STD ─►] STE ─ S1ContextPtr ─► CD ─ TTB0, TTB1 ─► smmuv3_walk.c
 *
 * Not offered by the ID registers, and so illegal where an STE or a CD asks for it: stage 2,
 * stalls, hardware update of flags, big-endian tables, AArch32 tables.
 */
#include <string.h>

#include "devices/iommu/smmuv3_internal.h"
#include "vmm/trace.h"

enum { STE_WORDS = SMMU_STE_BYTES / 8, CD_WORDS = SMMU_CD_BYTES / 8 };
enum { TSZ_MIN = 16, TSZ_MAX = 39, FEATURE_2LVL_STE = 1 };

/* Where a lookup has ended early. */
static bool fail(struct smmuv3 *smmu, uint16_t sid, enum smmu_event_type type, uint64_t fetch)
{
    struct smmu_event event = {.type = type, .fetch_address = fetch};
    smmu_record_event(smmu, sid, &event);
    return false;
}

/* 6.3.12: recorded only if software wants it, as anything on the bus may use any StreamID. */
static bool bad_stream_id(struct smmuv3 *smmu, uint16_t sid)
{
    if (atomic_load(&smmu->cr2) & SMMU_CR2_RECINVSID) {
        return fail(smmu, sid, SMMU_EVT_C_BAD_STREAMID, 0);
    }
    return false;
}

static bool fetch(const struct smmuv3 *smmu, uint64_t address, void *copy, size_t length)
{
    return guest_memory_read(smmu->config.memory, gpa(address), copy, length) == 0;
}

static unsigned field(uint64_t word, unsigned shift, unsigned bits)
{
    return (unsigned)(word >> shift & ((1u << bits) - 1));
}

/* ---- the stream table, 3.3.1 */

static bool find_ste_2lvl(struct smmuv3 *smmu, uint16_t sid, uint32_t cfg, uint64_t base,
                          unsigned log2size, uint64_t *address)
{
    unsigned split = smmu_split_of(cfg);
    unsigned l1_bits = (log2size > split ? log2size - split : 0) + 3;
    unsigned l1_index = sid >> split;
    unsigned l2_index = sid & ((1u << split) - 1);
    uint64_t l1_address = smmu_aligned(base, l1_bits) + (uint64_t)l1_index * SMMU_L1STD_BYTES;
    uint64_t l1;
    if (!fetch(smmu, l1_address, &l1, sizeof(l1))) {
        return fail(smmu, sid, SMMU_EVT_F_STE_FETCH, l1_address);
    }
    unsigned span = l1 & SMMU_L1STD_SPAN;
    if (span == 0 || span > split + 1) { /* nothing there; reserved, or too much: the same */
        return bad_stream_id(smmu, sid);
    }
    unsigned count = 1u << (span - 1);
    uint64_t l2 = smmu_aligned(l1 & SMMU_L1STD_L2PTR, span - 1 + 6);
    trace_smmuv3_find_ste_2lvl(base, l1_address, l1_index, l2, l2_index, count - 1);
    *address = l2 + (uint64_t)l2_index * SMMU_STE_BYTES;
    return l2_index < count || bad_stream_id(smmu, sid);
}

static bool find_ste(struct smmuv3 *smmu, uint16_t sid, uint64_t *address)
{
    uint32_t cfg = atomic_load(&smmu->strtab_base_cfg);
    uint64_t base = atomic_load(&smmu->strtab_base) & SMMU_STRTAB_BASE_ADDRESS;
    unsigned log2size = smmu_stream_bits(cfg);
    bool two_levels = smmu_has_two_levels(cfg);
    trace_smmuv3_find_ste(sid, two_levels ? FEATURE_2LVL_STE : 0,
                          two_levels ? smmu_split_of(cfg) : 0);
    if (sid >> log2size) {
        return bad_stream_id(smmu, sid);
    }
    if (two_levels) {
        return find_ste_2lvl(smmu, sid, cfg, base, log2size, address);
    }
    *address = smmu_aligned(base, log2size + 6) + (uint64_t)sid * SMMU_STE_BYTES;
    return true;
}

/* ---- CD */

/* log2 of the granule; 0: reserved. The two tables count differently, 5.4 TG0 and TG1. */
static unsigned granule_of(unsigned table, unsigned tg)
{
    static const uint8_t granules[SMMU_TABLES][4] = {{12, 16, 14, 0}, {0, 14, 12, 16}};
    return granules[table][tg];
}

/* CD.IPS, but no more than IDR5.OAS; reserved values mean the latter as well. */
static unsigned output_bits(unsigned ips)
{
    static const uint8_t bits[] = {32, 36, 40, 42, 44};
    return ips < sizeof(bits) ? bits[ips] : SMMU_OAS_BITS;
}

/* One of the two tables. False if the CD is illegal for it. */
static bool decode_table(const uint64_t *cd, unsigned i, struct stream_config *config)
{
    struct stream_table *table = &config->table[i];
    unsigned tsz = field(cd[0], SMMU_CD0_TSZ_SHIFT(i), 6);
    table->enabled = !(cd[0] & SMMU_CD0_EPD(i));
    if (!table->enabled) {
        return true; /* its other fields are ignored */
    }
    table->input_bits = (uint8_t)(64 - tsz);
    table->granule = (uint8_t)granule_of(i, field(cd[0], SMMU_CD0_TG_SHIFT(i), 2));
    table->base = cd[1 + i] & SMMU_CD_TTB_ADDRESS;
    table->had = cd[1 + i] & SMMU_CD_TTB_HAD;
    table->tbi = cd[0] & SMMU_CD0_TBI(i);
    if (tsz < TSZ_MIN || tsz > TSZ_MAX || !table->granule || table->base >> config->output_bits) {
        return false;
    }
    trace_smmuv3_decode_cd_tt(i, tsz, table->base, table->granule, table->had);
    return true;
}

static bool decode_cd(const uint64_t *cd, struct stream_config *config)
{
    /* 5.5: as IDR0.TERM_MODEL is 1, every fault aborts, and a CD that asks for less is ILLEGAL. */
    const uint64_t needed = SMMU_CD0_V | SMMU_CD0_AA64 | SMMU_CD0_A;
    const uint64_t unsupported = SMMU_CD0_HD | SMMU_CD0_HA | SMMU_CD0_S;
    const uint64_t no_tables = SMMU_CD0_EPD(0) | SMMU_CD0_EPD(1); /* ENDI is ignored then */
    bool big_endian = cd[0] & SMMU_CD0_ENDI && (cd[0] & no_tables) != no_tables;
    if ((cd[0] & needed) != needed || cd[0] & unsupported || big_endian) {
        return false;
    }
    config->output_bits = (uint8_t)output_bits(field(cd[0], SMMU_CD0_IPS_SHIFT, 3));
    config->asid = (uint16_t)(cd[0] >> SMMU_CD0_ASID_SHIFT);
    config->record = cd[0] & SMMU_CD0_R;
    config->affd = cd[0] & SMMU_CD0_AFFD;
    config->pan = cd[0] & SMMU_CD0_PAN;
    config->wxn = cd[0] & SMMU_CD0_WXN;
    trace_smmuv3_decode_cd(config->output_bits);
    return decode_table(cd, 0, config) && decode_table(cd, 1, config);
}

static bool load_cd(struct smmuv3 *smmu, uint16_t sid, uint64_t address,
                    struct stream_config *config)
{
    uint64_t cd[CD_WORDS];
    trace_smmuv3_get_cd(address);
    if (!fetch(smmu, address, cd, sizeof(cd))) {
        return fail(smmu, sid, SMMU_EVT_F_CD_FETCH, address);
    }
    return decode_cd(cd, config) || fail(smmu, sid, SMMU_EVT_C_BAD_CD, 0);
}

/* ---- STE */

/* Of an STE that turns stage 1 on. As IDR1.SSIDSIZE is 0, S1CDMax and S1Fmt are ignored, 5.2.2. */
static bool stage1_is_legal(const uint64_t *ste)
{
    bool stall_disabled = ste[1] & SMMU_STE1_S1STALLD; /* 5.5: ILLEGAL if STALL_MODEL is not 0 */
    bool out_of_range = (ste[0] & SMMU_STE0_S1CONTEXTPTR) >> SMMU_OAS_BITS; /* 3.4.3 */
    return !stall_disabled && !out_of_range;
}

static void decode_overrides(const uint64_t *ste, struct stream_config *config)
{
    config->privileged = field(ste[1], SMMU_STE1_PRIVCFG_SHIFT, 2) == SMMU_STE_PRIVCFG_PRIVILEGED;
    config->instruction = field(ste[1], SMMU_STE1_INSTCFG_SHIFT, 2) == SMMU_STE_INSTCFG_INSTRUCTION;
}

static bool decode_ste(struct smmuv3 *smmu, uint16_t sid, const uint64_t *ste,
                       struct stream_config *config)
{
    if (!(ste[0] & SMMU_STE0_V)) {
        return fail(smmu, sid, SMMU_EVT_C_BAD_STE, 0);
    }
    decode_overrides(ste, config);
    switch (field(ste[0], SMMU_STE0_CONFIG_SHIFT, 3)) {
    case SMMU_STE_CONFIG_BYPASS:
        config->mode = STREAM_BYPASS;
        return true;
    case SMMU_STE_CONFIG_S1:
        config->mode = STREAM_STAGE1;
        if (!stage1_is_legal(ste)) {
            return fail(smmu, sid, SMMU_EVT_C_BAD_STE, 0);
        }
        return load_cd(smmu, sid, ste[0] & SMMU_STE0_S1CONTEXTPTR, config);
    case SMMU_STE_CONFIG_S2:
    case SMMU_STE_CONFIG_BOTH:
        return fail(smmu, sid, SMMU_EVT_C_BAD_STE, 0);
    default: /* 0, and reserved values, which behave as it */
        config->mode = STREAM_ABORT;
        return true;
    }
}

static bool load_config(struct smmuv3 *smmu, uint16_t sid, struct stream_config *config)
{
    uint64_t address;
    uint64_t ste[STE_WORDS];
    if (!find_ste(smmu, sid, &address)) {
        return false;
    }
    trace_smmuv3_get_ste(address);
    if (!fetch(smmu, address, ste, sizeof(ste))) {
        return fail(smmu, sid, SMMU_EVT_F_STE_FETCH, address);
    }
    return decode_ste(smmu, sid, ste, config);
}

/* ---- the cache */

/* Word by word, straight to where it belongs: a copy of the copy costs more than all the rest. */
static bool read_slot(const struct stream_slot *slot, struct stream_config *config)
{
    unsigned begun = smmu_read_begin(&slot->sequence);
    for (unsigned i = 0; i < STREAM_CONFIG_WORDS; i++) {
        uint64_t word = atomic_load_explicit(&slot->words[i], memory_order_acquire);
        memcpy((uint8_t *)config + i * sizeof(word), &word, sizeof(word));
    }
    return smmu_read_was_whole(&slot->sequence, begun) && config->mode != STREAM_NONE;
}

static void write_slot(struct stream_slot *slot, const struct stream_config *config)
{
    uint64_t words[STREAM_CONFIG_WORDS];
    memcpy(words, config, sizeof(words));
    smmu_write_begin(&slot->sequence);
    for (unsigned i = 0; i < STREAM_CONFIG_WORDS; i++) {
        atomic_store_explicit(&slot->words[i], words[i], memory_order_release);
    }
    smmu_write_end(&slot->sequence);
}

/* Only what no invalidation can have meant: see smmuv3_tlb.c. */
static void keep(struct smmuv3 *smmu, uint16_t sid, uint64_t generation,
                 const struct stream_config *config)
{
    struct stream_slot *slot = &smmu->streams[sid];
    pthread_mutex_lock(&smmu->cache_lock);
    if (atomic_load(&smmu->generation) == generation) {
        write_slot(slot, config);
        if (!slot->known) {
            slot->known = true;
            smmu->known_streams[smmu->known_count++] = sid;
        }
    }
    pthread_mutex_unlock(&smmu->cache_lock);
}

bool smmu_stream_config(struct smmuv3 *smmu, const struct smmu_access *access, uint64_t generation,
                        struct stream_config *config)
{
    uint16_t sid = access->sid;
    struct stream_slot *slot = &smmu->streams[sid];
    unsigned misses = atomic_load_explicit(&slot->misses, memory_order_relaxed);
    if (read_slot(slot, config)) {
        unsigned hits = smmu_count(&slot->hits);
        trace_smmuv3_config_cache_hit(
            sid, hits, misses, smmu_hit_rate(TRACE_ID_smmuv3_config_cache_hit, hits, misses));
        return true;
    }
    unsigned hits = atomic_load_explicit(&slot->hits, memory_order_relaxed);
    misses = smmu_count(&slot->misses);
    trace_smmuv3_config_cache_miss(sid, hits, misses,
                                   smmu_hit_rate(TRACE_ID_smmuv3_config_cache_miss, hits, misses));
    memset(config, 0, sizeof(*config));
    if (!load_config(smmu, sid, config)) {
        return false;
    }
    keep(smmu, sid, generation, config);
    return true;
}

void smmu_invalidate_streams(struct smmuv3 *smmu, uint32_t first, uint32_t last)
{
    static const struct stream_config none;
    pthread_mutex_lock(&smmu->cache_lock);
    atomic_fetch_add(&smmu->generation, 1);
    size_t left = 0;
    for (size_t i = 0; i < smmu->known_count; i++) {
        uint16_t sid = smmu->known_streams[i];
        if (sid >= first && sid <= last) {
            trace_smmuv3_config_cache_inv(sid);
            write_slot(&smmu->streams[sid], &none);
            smmu->streams[sid].known = false;
        } else {
            smmu->known_streams[left++] = sid;
        }
    }
    smmu->known_count = left;
    pthread_mutex_unlock(&smmu->cache_lock);
}

/* SPDX-License-Identifier: MIT */
/*
 * The SMMUv3 for a person: the monitor's `info iommu`. Tables are read from guest memory as they
 * are now, in copies; nothing is cached, recorded or traced by that.
 */
#include <inttypes.h>

#include "devices/iommu/smmuv3_internal.h"

static bool fetch(const struct smmuv3 *smmu, uint64_t address, void *copy, size_t length)
{
    return guest_memory_read(smmu->config.memory, gpa(address), copy, length) == 0;
}

/* ---- streams: 3.3.1, 5.2, 5.4 */

/* Where the stream's STE is, as smmuv3_config.c finds it. */
static bool find_ste(const struct smmuv3 *smmu, uint32_t sid, uint64_t *address)
{
    uint32_t cfg = atomic_load(&smmu->strtab_base_cfg);
    uint64_t base = atomic_load(&smmu->strtab_base) & SMMU_STRTAB_BASE_ADDRESS;
    unsigned log2size = smmu_stream_bits(cfg);
    if (!smmu_has_two_levels(cfg)) {
        *address = smmu_aligned(base, log2size + 6) + (uint64_t)sid * SMMU_STE_BYTES;
        return true;
    }
    unsigned split = smmu_split_of(cfg);
    unsigned l1_bits = (log2size > split ? log2size - split : 0) + 3;
    uint64_t l1;
    if (!fetch(smmu, smmu_aligned(base, l1_bits) + (uint64_t)(sid >> split) * SMMU_L1STD_BYTES, &l1,
               sizeof(l1))) {
        return false;
    }
    unsigned span = l1 & SMMU_L1STD_SPAN;
    unsigned index = sid & ((1u << split) - 1);
    if (span == 0 || span > split + 1 || index >= 1u << (span - 1)) {
        return false;
    }
    *address = smmu_aligned(l1 & SMMU_L1STD_L2PTR, span - 1 + 6) + (uint64_t)index * SMMU_STE_BYTES;
    return true;
}

static void print_table(const uint64_t *cd, unsigned i, FILE *out)
{
    static const char *const granules[SMMU_TABLES][4] = {{"4K", "64K", "16K", "?"},
                                                         {"?", "16K", "4K", "64K"}};
    if (cd[0] & SMMU_CD0_EPD(i)) {
        return;
    }
    fprintf(out, "    TTB%u 0x%llx: %" PRIu64 " bits, pages of %s\n", i,
            cd[1 + i] & SMMU_CD_TTB_ADDRESS, 64 - (cd[0] >> SMMU_CD0_TSZ_SHIFT(i) & 0x3f),
            granules[i][cd[0] >> SMMU_CD0_TG_SHIFT(i) & 3]);
}

static void print_cd(const struct smmuv3 *smmu, uint64_t address, FILE *out)
{
    uint64_t cd[SMMU_CD_BYTES / 8];
    fprintf(out, "    CD at 0x%" PRIx64, address);
    if (!fetch(smmu, address, cd, sizeof(cd))) {
        fprintf(out, ": no RAM there\n");
        return;
    }
    fprintf(out, "%s, ASID %u\n", cd[0] & SMMU_CD0_V ? "" : ", not valid",
            (unsigned)(uint16_t)(cd[0] >> SMMU_CD0_ASID_SHIFT));
    for (unsigned i = 0; i < SMMU_TABLES; i++) {
        print_table(cd, i, out);
    }
}

static void print_statistics(const struct stream_slot *slot, FILE *out)
{
    fprintf(out, "    configuration cache: hits %u, misses %u; IOTLB: hits %u, misses %u\n",
            atomic_load(&slot->hits), atomic_load(&slot->misses), atomic_load(&slot->tlb_hits),
            atomic_load(&slot->tlb_misses));
}

/* STE.Config, 5.2; counts[0] are streams that are not valid. */
enum stream_kind { KIND_INVALID, KIND_ABORT, KIND_BYPASS, KIND_TRANSLATED, KIND_COUNT };

static enum stream_kind print_stream(const struct smmuv3 *smmu, uint32_t sid, FILE *out)
{
    uint64_t address;
    uint64_t ste;
    if (!find_ste(smmu, sid, &address) || !fetch(smmu, address, &ste, sizeof(ste)) ||
        !(ste & SMMU_STE0_V)) {
        return KIND_INVALID;
    }
    unsigned config = ste >> SMMU_STE0_CONFIG_SHIFT & 7;
    if (config == SMMU_STE_CONFIG_BYPASS) {
        return KIND_BYPASS;
    }
    if (config != SMMU_STE_CONFIG_S1) {
        return KIND_ABORT;
    }
    fprintf(out, "  stream 0x%02x (%02x:%02x.%x): stage 1, STE at 0x%" PRIx64 "\n", sid, sid >> 8,
            sid >> 3 & 0x1f, sid & 7, address);
    print_cd(smmu, ste & SMMU_STE0_S1CONTEXTPTR, out);
    print_statistics(&smmu->streams[sid], out);
    return KIND_TRANSLATED;
}

static void print_streams(const struct smmuv3 *smmu, FILE *out)
{
    uint32_t cfg = atomic_load(&smmu->strtab_base_cfg);
    unsigned counts[KIND_COUNT] = {0};
    fprintf(out, "stream table at 0x%llx: %u levels, %u bits\n",
            atomic_load(&smmu->strtab_base) & SMMU_STRTAB_BASE_ADDRESS,
            smmu_has_two_levels(cfg) ? 2 : 1, smmu_stream_bits(cfg));
    for (uint32_t sid = 0; sid < 1u << smmu_stream_bits(cfg); sid++) {
        counts[print_stream(smmu, sid, out)]++;
    }
    fprintf(out, "  translated %u, bypass %u, abort %u; all others have no valid entry\n",
            counts[KIND_TRANSLATED], counts[KIND_BYPASS], counts[KIND_ABORT]);
}

/* ---- caches and queues */

static void print_caches(struct smmuv3 *smmu, FILE *out)
{
    unsigned lines = 0;
    pthread_mutex_lock(&smmu->cache_lock);
    for (unsigned set = 0; set < SMMU_TLB_SETS; set++) {
        for (unsigned way = 0; way < SMMU_TLB_WAYS; way++) {
            lines += atomic_load(&smmu->tlb[set][way].tag) != 0;
        }
    }
    fprintf(out, "caches: configurations of %zu streams, IOTLB lines %u of %u\n", smmu->known_count,
            lines, SMMU_TLB_SETS * SMMU_TLB_WAYS);
    pthread_mutex_unlock(&smmu->cache_lock);
}

static void print_queue(const char *name, bool on, uint64_t base, uint32_t prod, uint32_t cons,
                        FILE *out)
{
    uint32_t entries = 1u << smmu_queue_bits(base);
    fprintf(out, "%s: %s, %u entries, prod %u, cons %u, waiting %u\n", name, on ? "on" : "off",
            entries, prod & (entries - 1), cons & (entries - 1), (prod - cons) & (2 * entries - 1));
}

void smmu_describe(struct iommu *iommu, FILE *out)
{
    struct smmuv3 *smmu = (struct smmuv3 *)iommu;
    uint32_t cr0 = atomic_load(&smmu->cr0);
    bool on = cr0 & SMMU_CR0_SMMUEN;
    bool aborts = atomic_load(&smmu->gbpa) & SMMU_GBPA_ABORT;
    fprintf(out, "SMMUv3: %s\n",
            on       ? "on"
            : aborts ? "off, every access is aborted"
                     : "off, accesses pass untranslated");
    if (on) {
        print_streams(smmu, out);
    }
    print_caches(smmu, out);
    print_queue("command queue", cr0 & SMMU_CR0_CMDQEN, atomic_load(&smmu->cmdq_base),
                atomic_load(&smmu->cmdq_prod), atomic_load(&smmu->cmdq_cons), out);
    print_queue("event queue", cr0 & SMMU_CR0_EVENTQEN, atomic_load(&smmu->eventq_base),
                atomic_load(&smmu->eventq_prod), atomic_load(&smmu->eventq_cons), out);
    fprintf(out, "errors that are not acknowledged: 0x%x\n", smmu_active_errors(smmu));
}

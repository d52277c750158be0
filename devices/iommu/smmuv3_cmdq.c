/* SPDX-License-Identifier: MIT */
/*
 * The command queue, 3.5 and 4. Commands are 16 bytes, two little-endian doublewords; what they
 * have in common is the opcode in bits 7-0. They are executed at once, on the vCPU that writes
 * CMDQ_PROD, with smmuv3.lock held: each is a change of the caches, and none waits for anything,
 * but for CMD_SYNC, which waits until no translation is in use that is older than it (vmm/iommu.h).
 * Translations take no part of smmuv3.lock, and so cannot wait for us meanwhile.
 *
 * A command that is illegal, or cannot be read, stops the queue: CMDQ_CONS points to it and has the
 * reason, and GERROR.CMDQ_ERR is active until software acknowledges it (7.1). Indices have 20 bits,
 * so a write of CMDQ_PROD has no more than 2^20 commands executed, whatever it says.
 *
 * No command that belongs to what the ID registers do not offer is legal: EL2, EL3, stage 2, ATS,
 * PRI, stalls.
 */
#include "devices/iommu/smmuv3_internal.h"
#include "vmm/trace.h"

struct command {
    uint64_t word[SMMU_COMMAND_BYTES / sizeof(uint64_t)];
};

static unsigned field(uint64_t word, unsigned shift, unsigned bits)
{
    return (unsigned)(word >> shift & ((1u << bits) - 1));
}

static const char *opcode_name(unsigned opcode)
{
    static const char *const names[] = {
        [SMMU_CMD_PREFETCH_CONFIG] = "SMMU_CMD_PREFETCH_CONFIG",
        [SMMU_CMD_PREFETCH_ADDR] = "SMMU_CMD_PREFETCH_ADDR",
        [SMMU_CMD_CFGI_STE] = "SMMU_CMD_CFGI_STE",
        [SMMU_CMD_CFGI_STE_RANGE] = "SMMU_CMD_CFGI_STE_RANGE",
        [SMMU_CMD_CFGI_CD] = "SMMU_CMD_CFGI_CD",
        [SMMU_CMD_CFGI_CD_ALL] = "SMMU_CMD_CFGI_CD_ALL",
        [SMMU_CMD_TLBI_NH_ALL] = "SMMU_CMD_TLBI_NH_ALL",
        [SMMU_CMD_TLBI_NH_ASID] = "SMMU_CMD_TLBI_NH_ASID",
        [SMMU_CMD_TLBI_NH_VA] = "SMMU_CMD_TLBI_NH_VA",
        [SMMU_CMD_TLBI_NH_VAA] = "SMMU_CMD_TLBI_NH_VAA",
        [SMMU_CMD_TLBI_EL3_ALL] = "SMMU_CMD_TLBI_EL3_ALL",
        [SMMU_CMD_TLBI_EL3_VA] = "SMMU_CMD_TLBI_EL3_VA",
        [SMMU_CMD_TLBI_EL2_ALL] = "SMMU_CMD_TLBI_EL2_ALL",
        [SMMU_CMD_TLBI_EL2_ASID] = "SMMU_CMD_TLBI_EL2_ASID",
        [SMMU_CMD_TLBI_EL2_VA] = "SMMU_CMD_TLBI_EL2_VA",
        [SMMU_CMD_TLBI_EL2_VAA] = "SMMU_CMD_TLBI_EL2_VAA",
        [SMMU_CMD_TLBI_S12_VMALL] = "SMMU_CMD_TLBI_S12_VMALL",
        [SMMU_CMD_TLBI_S2_IPA] = "SMMU_CMD_TLBI_S2_IPA",
        [SMMU_CMD_TLBI_NSNH_ALL] = "SMMU_CMD_TLBI_NSNH_ALL",
        [SMMU_CMD_ATC_INV] = "SMMU_CMD_ATC_INV",
        [SMMU_CMD_PRI_RESP] = "SMMU_CMD_PRI_RESP",
        [SMMU_CMD_RESUME] = "SMMU_CMD_RESUME",
        [SMMU_CMD_STALL_TERM] = "SMMU_CMD_STALL_TERM",
        [SMMU_CMD_SYNC] = "SMMU_CMD_SYNC",
    };
    bool known = opcode < sizeof(names) / sizeof(names[0]) && names[opcode];
    return known ? names[opcode] : "reserved";
}

/* ---- configuration, 4.3 */

static uint32_t stream_id(const struct command *command)
{
    return (uint32_t)(command->word[0] >> SMMU_CMD_SID_SHIFT);
}

/* StreamIDs that differ in the low range + 1 bits only; 31 is all of them: CFGI_ALL. */
static void invalidate_ste_range(struct smmuv3 *smmu, const struct command *command)
{
    unsigned range = command->word[1] & SMMU_CMD_RANGE;
    uint32_t mask = range == SMMU_CMD_RANGE_ALL ? UINT32_MAX : (2u << range) - 1;
    uint32_t first = stream_id(command) & ~mask;
    trace_smmuv3_cmdq_cfgi_ste_range(first, first | mask);
    smmu_invalidate_streams(smmu, first, first | mask);
}

/* Commands of the non-secure queue may not name secure streams, 4.1.6. */
static enum smmu_command_error configuration(struct smmuv3 *smmu, unsigned opcode,
                                             const struct command *command)
{
    uint32_t sid = stream_id(command);
    if (command->word[0] & SMMU_CMD_SSEC) {
        return SMMU_CERROR_ILL;
    }
    switch (opcode) {
    case SMMU_CMD_CFGI_STE:
        trace_smmuv3_cmdq_cfgi_ste(sid);
        smmu_invalidate_streams(smmu, sid, sid);
        break;
    case SMMU_CMD_CFGI_STE_RANGE:
        invalidate_ste_range(smmu, command);
        break;
    case SMMU_CMD_CFGI_CD: /* a stream has one CD, and it is kept together with its STE */
    case SMMU_CMD_CFGI_CD_ALL:
        trace_smmuv3_cmdq_cfgi_cd(sid);
        smmu_invalidate_streams(smmu, sid, sid);
        break;
    default: /* PREFETCH_CONFIG, PREFETCH_ADDR: hints */
        break;
    }
    return SMMU_CERROR_NONE;
}

/* ---- IOTLB, 4.4 */

/*
 * With a granule (TG) the command names a range, and pages of this granule only; with TTL, those of
 * this level only. Without: one address, whatever page it is in. There is no cache of tables, and
 * so Leaf makes no difference.
 */
static enum smmu_command_error invalidate_va(struct smmuv3 *smmu, const struct command *command,
                                             bool any_asid)
{
    unsigned tg = field(command->word[1], SMMU_CMD_TG_SHIFT, 2);
    unsigned ttl = field(command->word[1], SMMU_CMD_TTL_SHIFT, 2);
    unsigned granule = tg ? 10 + 2 * tg : 12;
    bool ttl_is_reserved = granule == 14 && ttl == 1; /* the same as 0 */
    uint64_t pages = 1;
    if (tg) {
        pages = (uint64_t)(field(command->word[0], SMMU_CMD_NUM_SHIFT, 5) + 1)
                << field(command->word[0], SMMU_CMD_SCALE_SHIFT, 5);
    }
    if (tg && pages == 1 && (ttl == 0 || ttl_is_reserved)) {
        return SMMU_CERROR_ILL; /* 4.4.1.1: neither a range nor a level */
    }
    const uint64_t highest = (1ull << SMMU_VA_BITS) - 1;
    uint64_t address = command->word[1] & SMMU_CMD_ADDRESS;
    uint64_t first = address & highest & ~((1ull << granule) - 1);
    uint64_t length = pages << granule; /* at most 2^52 */
    struct tlb_range range = {
        .first = first,
        .last = length - 1 < highest - first ? first + length - 1 : highest,
        .shifts = tg ? smmu_leaf_shifts(granule, ttl_is_reserved ? 0 : ttl) : UINT64_MAX,
        .any_asid = any_asid,
        .asid = (uint16_t)(command->word[0] >> SMMU_CMD_ASID_SHIFT),
    };
    trace_smmuv3_s1_range_inval(field(command->word[0], SMMU_CMD_VMID_SHIFT, 16),
                                any_asid ? -1 : range.asid, address, tg, pages, ttl,
                                command->word[1] & SMMU_CMD_LEAF);
    smmu_tlb_invalidate_range(smmu, &range);
    return SMMU_CERROR_NONE;
}

static enum smmu_command_error invalidate_tlb(struct smmuv3 *smmu, unsigned opcode,
                                              const struct command *command)
{
    uint16_t asid = (uint16_t)(command->word[0] >> SMMU_CMD_ASID_SHIFT);
    switch (opcode) {
    case SMMU_CMD_TLBI_NH_ASID:
        trace_smmuv3_cmdq_tlbi_nh_asid(asid);
        smmu_tlb_invalidate_asid(smmu, asid);
        break;
    case SMMU_CMD_TLBI_NH_VA:
        return invalidate_va(smmu, command, false);
    case SMMU_CMD_TLBI_NH_VAA:
        return invalidate_va(smmu, command, true);
    default: /* NH_ALL, NSNH_ALL: there is one VMID, and nothing but NS-EL1 */
        trace_smmuv3_cmdq_tlbi_nh(opcode_name(opcode));
        smmu_tlb_invalidate_all(smmu);
        break;
    }
    return SMMU_CERROR_NONE;
}

/* ---- any command */

/* SEV is not offered (IDR0.SEV), and means the same as no signal then. 4.7.3. */
static enum smmu_command_error sync(struct smmuv3 *smmu, const struct command *command)
{
    if (field(command->word[0], SMMU_CMD_CS_SHIFT, 2) == SMMU_CMD_CS_RESERVED) {
        return SMMU_CERROR_ILL;
    }
    iommu_synchronize(&smmu->iommu);
    return SMMU_CERROR_NONE;
}

static bool wants_interrupt(const struct command *command)
{
    return (command->word[0] & SMMU_CMD_OPCODE) == SMMU_CMD_SYNC &&
           field(command->word[0], SMMU_CMD_CS_SHIFT, 2) == SMMU_CMD_CS_IRQ;
}

static enum smmu_command_error execute(struct smmuv3 *smmu, const struct command *command)
{
    unsigned opcode = command->word[0] & SMMU_CMD_OPCODE;
    trace_smmuv3_cmdq_opcode(opcode_name(opcode));
    switch (opcode) {
    case SMMU_CMD_PREFETCH_CONFIG:
    case SMMU_CMD_PREFETCH_ADDR:
    case SMMU_CMD_CFGI_STE:
    case SMMU_CMD_CFGI_STE_RANGE:
    case SMMU_CMD_CFGI_CD:
    case SMMU_CMD_CFGI_CD_ALL:
        return configuration(smmu, opcode, command);
    case SMMU_CMD_TLBI_NH_ALL:
    case SMMU_CMD_TLBI_NH_ASID:
    case SMMU_CMD_TLBI_NH_VA:
    case SMMU_CMD_TLBI_NH_VAA:
    case SMMU_CMD_TLBI_NSNH_ALL:
        return invalidate_tlb(smmu, opcode, command);
    case SMMU_CMD_SYNC:
        return sync(smmu, command);
    default:
        trace_smmuv3_unhandled_cmd(opcode);
        return SMMU_CERROR_ILL;
    }
}

/* ---- the queue */

static enum smmu_command_error run_one(struct smmuv3 *smmu, uint64_t base, uint32_t cons,
                                       struct command *command)
{
    gpa_t entry = smmu_queue_entry(base, cons, SMMU_COMMAND_BYTES);
    *command = (struct command){0};
    if (guest_memory_read(smmu->config.memory, entry, command, sizeof(*command)) < 0) {
        return SMMU_CERROR_ABT;
    }
    return execute(smmu, command);
}

static void stop(struct smmuv3 *smmu, uint32_t cons, enum smmu_command_error error,
                 const struct command *command)
{
    trace_smmuv3_cmdq_consume_error(opcode_name(command->word[0] & SMMU_CMD_OPCODE), error);
    atomic_store(&smmu->cmdq_cons, cons | (uint32_t)error << SMMU_CMDQ_CONS_ERR_SHIFT);
    smmu_raise_gerror(smmu, SMMU_GERROR_CMDQ_ERR);
}

static bool is_running(const struct smmuv3 *smmu)
{
    return atomic_load(&smmu->cr0) & SMMU_CR0_CMDQEN &&
           !(smmu_active_errors(smmu) & SMMU_GERROR_CMDQ_ERR);
}

/* From cons to prod. A command is consumed, and visibly so, before its interrupt. */
static uint32_t run(struct smmuv3 *smmu, uint64_t base, uint32_t prod, uint32_t cons)
{
    uint32_t mask = (2u << smmu_queue_bits(base)) - 1;
    while (cons != prod) {
        struct command command;
        enum smmu_command_error error = run_one(smmu, base, cons, &command);
        if (error) {
            stop(smmu, cons, error, &command);
            break;
        }
        cons = (cons + 1) & mask;
        atomic_store(&smmu->cmdq_cons, (atomic_load(&smmu->cmdq_cons) & SMMU_CMDQ_CONS_ERR) | cons);
        if (wants_interrupt(&command)) {
            smmu_pulse_irq(smmu, SMMUV3_IRQ_CMD_SYNC);
        }
    }
    return cons;
}

void smmu_consume_commands(struct smmuv3 *smmu)
{
    uint64_t base = atomic_load(&smmu->cmdq_base);
    unsigned bits = smmu_queue_bits(base);
    uint32_t wrap = 1u << bits;
    uint32_t prod = atomic_load(&smmu->cmdq_prod) & (2 * wrap - 1);
    uint32_t cons = atomic_load(&smmu->cmdq_cons) & (2 * wrap - 1);
    if (!is_running(smmu) || prod == cons) {
        return;
    }
    trace_smmuv3_cmdq_consume(prod & (wrap - 1), cons & (wrap - 1), prod >> bits, cons >> bits);
    cons = run(smmu, base, prod, cons);
    trace_smmuv3_cmdq_consume_out(prod & (wrap - 1), cons & (wrap - 1), prod >> bits, cons >> bits);
}

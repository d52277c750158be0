/* SPDX-License-Identifier: MIT */
/*
 * Arm SMMUv3: its registers, its life, and where a translation begins. Stage 1 only, as the ID
 * registers say; version 3.2, for range invalidation.
 *
 *   smmuv3.c          registers
 *   smmuv3_cmdq.c     the command queue
 *   smmuv3_event.c    the event queue, global errors, interrupts
 *   smmuv3_config.c   stream table, STE, CD, and their cache
 *   smmuv3_walk.c     page tables
 *   smmuv3_tlb.c      the IOTLB
 *   smmuv3_describe.c the monitor's `info iommu`
 *
 * Two kinds of threads meet here: vCPUs that access registers, and whoever does DMA, which may be a
 * vCPU as well. Locks:
 *
 *   lock         writes of registers, and the execution of commands. No translation takes it, so
 *                that it may be held while CMD_SYNC waits for translations to go out of use.
 *   event_lock   the event queue and GERROR. A leaf, but for the interrupt.
 *   cache_lock   changes of the caches. A leaf.
 *
 * Order: lock, then one of the others. All registers are atomics and are read without a lock, by
 * vCPUs and by translations: a hit in both caches takes no lock at all.
 *
 * Every change is complete when the write of its register returns, so each acknowledge register is
 * equal to its control register as soon as anybody can look. What may only be written while the
 * SMMU or a queue is off keeps its value otherwise (a choice of 6.2's CONSTRAINED UNPREDICTABLE
 * ones).
 *
 * Page 1 has the indices of the event queue. Both pages answer to all offsets, another such choice.
 */
#include "devices/iommu/smmuv3.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "devices/iommu/smmuv3_internal.h"
#include "vmm/trace.h"

static const uint32_t idr0 = SMMU_IDR0_S1P | SMMU_IDR0_TTF_AARCH64 | SMMU_IDR0_COHACC |
                             SMMU_IDR0_ASID16 | SMMU_IDR0_TTENDIAN_LITTLE | SMMU_IDR0_STALL_NONE |
                             SMMU_IDR0_TERM_MODEL | SMMU_IDR0_ST_LEVEL_2;
/* STE.PRIVCFG and INSTCFG override what a device says, and so ATTR_PERMS_OVR is set. */
static const uint32_t idr1 = SMMU_SID_BITS << SMMU_IDR1_SIDSIZE_SHIFT |
                             SMMU_QUEUE_BITS << SMMU_IDR1_EVENTQS_SHIFT |
                             SMMU_QUEUE_BITS << SMMU_IDR1_CMDQS_SHIFT | SMMU_IDR1_ATTR_PERMS_OVR;
/*
 * Version 3.2 has all of these (6.3.4), FWB even without the stage 2 that it is about. BBML 2: a
 * block may be replaced by pages, or the reverse, without being made invalid before (3.21.1.3). A
 * lookup takes one entry, whichever others there are, and an invalidation finds all of them.
 */
static const uint32_t idr3 = SMMU_IDR3_HAD | SMMU_IDR3_FWB | SMMU_IDR3_RIL | SMMU_IDR3_BBML_2;
static const uint32_t idr5 =
    SMMU_IDR5_OAS_44 | SMMU_IDR5_GRAN4K | SMMU_IDR5_GRAN16K | SMMU_IDR5_GRAN64K;

static const uint32_t cr0_writable = SMMU_CR0_SMMUEN | SMMU_CR0_EVENTQEN | SMMU_CR0_CMDQEN;
static const uint32_t irq_ctrl_writable = SMMU_IRQ_CTRL_GERROR | SMMU_IRQ_CTRL_EVENTQ;

static const char trace_name[] = "smmuv3";
enum { ACCESS_OK = 0, ACCESS_REFUSED = 2 }; /* in trace lines, as QEMU's MEMTX_DECODE_ERROR */

static const struct register_desc registers[] = {
    {"IDR0", SMMU_IDR0, 4, REGISTER_RO, "features"},
    {"IDR1", SMMU_IDR1, 4, REGISTER_RO, "sizes of StreamIDs and queues"},
    {"IDR2", SMMU_IDR2, 4, REGISTER_RO, "0"},
    {"IDR3", SMMU_IDR3, 4, REGISTER_RO, "features: HAD, FWB, RIL, BBML 2"},
    {"IDR4", SMMU_IDR4, 4, REGISTER_RO, "0"},
    {"IDR5", SMMU_IDR5, 4, REGISTER_RO, "output address size, granules"},
    {"IIDR", SMMU_IIDR, 4, REGISTER_RO, "0: no implementer"},
    {"AIDR", SMMU_AIDR, 4, REGISTER_RO, "2: SMMUv3.2"},
    {"CR0", SMMU_CR0, 4, REGISTER_RW, "bit 0: SMMUEN; 2: EVENTQEN; 3: CMDQEN"},
    {"CR0ACK", SMMU_CR0ACK, 4, REGISTER_RO, "CR0, once it has effect"},
    {"CR1", SMMU_CR1, 4, REGISTER_RW, "cacheability of tables and queues, without effect"},
    {"CR2", SMMU_CR2, 4, REGISTER_RW, "bit 1: RECINVSID"},
    {"STATUSR", SMMU_STATUSR, 4, REGISTER_RO, "0: not dormant"},
    {"GBPA", SMMU_GBPA, 4, REGISTER_RW, "bit 20: ABORT while SMMUEN is 0; 31: UPDATE"},
    {"AGBPA", SMMU_AGBPA, 4, REGISTER_RO, "0"},
    {"IRQ_CTRL", SMMU_IRQ_CTRL, 4, REGISTER_RW, "bit 0: GERROR; 2: EVENTQ"},
    {"IRQ_CTRLACK", SMMU_IRQ_CTRLACK, 4, REGISTER_RO, "IRQ_CTRL, once it has effect"},
    {"GERROR", SMMU_GERROR, 4, REGISTER_RO, "bit 0: CMDQ_ERR; 2: EVENTQ_ABT_ERR"},
    {"GERRORN", SMMU_GERRORN, 4, REGISTER_RW, "equal to GERROR where it is acknowledged"},
    {"GERROR_IRQ_CFG0", SMMU_GERROR_IRQ_CFG0, 8, REGISTER_RO, "0: no MSI"},
    {"GERROR_IRQ_CFG1", SMMU_GERROR_IRQ_CFG1, 4, REGISTER_RO, "0"},
    {"GERROR_IRQ_CFG2", SMMU_GERROR_IRQ_CFG2, 4, REGISTER_RO, "0"},
    {"STRTAB_BASE", SMMU_STRTAB_BASE, 8, REGISTER_RW, "stream table"},
    {"STRTAB_BASE_CFG", SMMU_STRTAB_BASE_CFG, 4, REGISTER_RW, "its format and size"},
    {"CMDQ_BASE", SMMU_CMDQ_BASE, 8, REGISTER_RW, "bits 4-0: log2 of its entries"},
    {"CMDQ_PROD", SMMU_CMDQ_PROD, 4, REGISTER_RW, "index that software writes next"},
    {"CMDQ_CONS", SMMU_CMDQ_CONS, 4, REGISTER_RW, "index to be read next; bits 30-24: ERR"},
    {"EVENTQ_BASE", SMMU_EVENTQ_BASE, 8, REGISTER_RW, "bits 4-0: log2 of its entries"},
    {"EVENTQ_IRQ_CFG0", SMMU_EVENTQ_IRQ_CFG0, 8, REGISTER_RO, "0: no MSI"},
    {"EVENTQ_IRQ_CFG1", SMMU_EVENTQ_IRQ_CFG1, 4, REGISTER_RO, "0"},
    {"EVENTQ_IRQ_CFG2", SMMU_EVENTQ_IRQ_CFG2, 4, REGISTER_RO, "0"},
    {"PIDR4", SMMU_ID_FIRST + 0x00, 4, REGISTER_RO, "identification"},
    {"PIDR5", SMMU_ID_FIRST + 0x04, 4, REGISTER_RO, "identification"},
    {"PIDR6", SMMU_ID_FIRST + 0x08, 4, REGISTER_RO, "identification"},
    {"PIDR7", SMMU_ID_FIRST + 0x0c, 4, REGISTER_RO, "identification"},
    {"PIDR0", SMMU_ID_FIRST + 0x10, 4, REGISTER_RO, "identification"},
    {"PIDR1", SMMU_ID_FIRST + 0x14, 4, REGISTER_RO, "identification"},
    {"PIDR2", SMMU_ID_FIRST + 0x18, 4, REGISTER_RO, "identification"},
    {"PIDR3", SMMU_ID_FIRST + 0x1c, 4, REGISTER_RO, "identification"},
    {"CIDR0", SMMU_ID_FIRST + 0x20, 4, REGISTER_RO, "identification"},
    {"CIDR1", SMMU_ID_FIRST + 0x24, 4, REGISTER_RO, "identification"},
    {"CIDR2", SMMU_ID_FIRST + 0x28, 4, REGISTER_RO, "identification"},
    {"CIDR3", SMMU_ID_FIRST + 0x2c, 4, REGISTER_RO, "identification"},
    {"EVENTQ_PROD", SMMU_EVENTQ_PROD, 4, REGISTER_RW, "index written next; bit 31: OVFLG"},
    {"EVENTQ_CONS", SMMU_EVENTQ_CONS, 4, REGISTER_RW, "index software reads; bit 31: OVACKFLG"},
};

const struct register_block smmuv3_registers = {
    .name = "smmuv3",
    .registers = registers,
    .count = sizeof(registers) / sizeof(registers[0]),
    .access_sizes = 4 | 8,
};

/* ---- registers, read */

static uint32_t id_register(uint32_t offset)
{
    static const uint8_t ids[] = {0x04, 0, 0, 0, 0x84, 0xb4, 0xf0, 0x10, 0x0d, 0xf0, 0x05, 0xb1};
    uint32_t index = (offset - SMMU_ID_FIRST) / 4;
    return offset >= SMMU_ID_FIRST && index < sizeof(ids) ? ids[index] : 0;
}

static uint64_t read_control(const struct smmuv3 *smmu, uint32_t offset)
{
    switch (offset) {
    case SMMU_CR0:
        return atomic_load(&smmu->cr0);
    case SMMU_CR0ACK:
        return atomic_load(&smmu->cr0ack);
    case SMMU_CR1:
        return atomic_load(&smmu->cr1);
    case SMMU_CR2:
        return atomic_load(&smmu->cr2);
    case SMMU_GBPA:
        return atomic_load(&smmu->gbpa);
    case SMMU_IRQ_CTRL:
    case SMMU_IRQ_CTRLACK:
        return atomic_load(&smmu->irq_ctrl);
    case SMMU_GERROR:
        return atomic_load(&smmu->gerror);
    case SMMU_GERRORN:
        return atomic_load(&smmu->gerrorn);
    default: /* identification; all others are 0 */
        return id_register(offset);
    }
}

static uint64_t read_register(const struct smmuv3 *smmu, uint32_t offset)
{
    switch (offset) {
    case SMMU_IDR0:
        return idr0;
    case SMMU_IDR1:
        return idr1;
    case SMMU_IDR3:
        return idr3;
    case SMMU_IDR5:
        return idr5;
    case SMMU_AIDR:
        return SMMU_AIDR_3_2;
    case SMMU_STRTAB_BASE:
        return atomic_load(&smmu->strtab_base);
    case SMMU_STRTAB_BASE_CFG:
        return atomic_load(&smmu->strtab_base_cfg);
    case SMMU_CMDQ_BASE:
        return atomic_load(&smmu->cmdq_base);
    case SMMU_CMDQ_PROD:
        return atomic_load(&smmu->cmdq_prod);
    case SMMU_CMDQ_CONS:
        return atomic_load(&smmu->cmdq_cons);
    case SMMU_EVENTQ_BASE:
        return atomic_load(&smmu->eventq_base);
    case SMMU_EVENTQ_PROD:
        return atomic_load(&smmu->eventq_prod);
    case SMMU_EVENTQ_CONS:
        return atomic_load(&smmu->eventq_cons);
    default:
        return read_control(smmu, offset);
    }
}

/* ---- registers, written; `lock` is held */

static bool is_on(const struct smmuv3 *smmu, uint32_t enables)
{
    return atomic_load(&smmu->cr0) & enables;
}

/* Store under event_lock, so that no event is being written by what was there before. */
static void store_for_events(struct smmuv3 *smmu, _Atomic uint32_t *reg, uint32_t value)
{
    pthread_mutex_lock(&smmu->event_lock);
    atomic_store(reg, value);
    pthread_mutex_unlock(&smmu->event_lock);
}

static void write_cr0(struct smmuv3 *smmu, uint32_t value)
{
    uint32_t changed = (atomic_load(&smmu->cr0) ^ value) & cr0_writable;
    store_for_events(smmu, &smmu->cr0, value & cr0_writable);
    if (changed & SMMU_CR0_SMMUEN) {
        iommu_synchronize(&smmu->iommu); /* 6.3.9: acknowledged when older accesses are over */
    }
    atomic_store(&smmu->cr0ack, value & cr0_writable);
    smmu_consume_commands(smmu);
}

static void write_cr1(struct smmuv3 *smmu, uint32_t value)
{
    uint32_t writable = is_on(smmu, SMMU_CR0_SMMUEN) ? 0 : SMMU_CR1_TABLE;
    writable |= is_on(smmu, SMMU_CR0_CMDQEN | SMMU_CR0_EVENTQEN) ? 0 : SMMU_CR1_QUEUE;
    atomic_store(&smmu->cr1, (atomic_load(&smmu->cr1) & ~writable) | (value & writable));
}

/* 6.3.14: ignored without UPDATE, which reads as 0 again when the rest has effect. */
static void write_gbpa(struct smmuv3 *smmu, uint32_t value)
{
    if (value & SMMU_GBPA_UPDATE) {
        atomic_store(&smmu->gbpa, value & SMMU_GBPA_WRITABLE);
        iommu_synchronize(&smmu->iommu);
    }
}

static void write_gerrorn(struct smmuv3 *smmu, uint32_t value)
{
    smmu_acknowledge_gerror(smmu, value);
    smmu_consume_commands(smmu); /* goes on if it had stopped, 7.1 */
}

static void write_cmdq_prod(struct smmuv3 *smmu, uint32_t value)
{
    atomic_store(&smmu->cmdq_prod, value & SMMU_QUEUE_INDEX);
    smmu_consume_commands(smmu);
}

static void write_cmdq_cons(struct smmuv3 *smmu, uint32_t value)
{
    if (!is_on(smmu, SMMU_CR0_CMDQEN)) {
        atomic_store(&smmu->cmdq_cons, value & (SMMU_CMDQ_CONS_ERR | SMMU_QUEUE_INDEX));
    }
}

static void write_eventq_prod(struct smmuv3 *smmu, uint32_t value)
{
    if (!is_on(smmu, SMMU_CR0_EVENTQEN)) {
        store_for_events(smmu, &smmu->eventq_prod,
                         value & (SMMU_QUEUE_OVERFLOW | SMMU_QUEUE_INDEX));
    }
}

static void write_register(struct smmuv3 *smmu, uint32_t offset, uint32_t value)
{
    switch (offset) {
    case SMMU_CR0:
        write_cr0(smmu, value);
        break;
    case SMMU_CR1:
        write_cr1(smmu, value);
        break;
    case SMMU_CR2:
        if (!is_on(smmu, SMMU_CR0_SMMUEN)) {
            atomic_store(&smmu->cr2, value & SMMU_CR2_RECINVSID);
        }
        break;
    case SMMU_GBPA:
        write_gbpa(smmu, value);
        break;
    case SMMU_IRQ_CTRL:
        store_for_events(smmu, &smmu->irq_ctrl, value & irq_ctrl_writable);
        break;
    case SMMU_GERRORN:
        write_gerrorn(smmu, value);
        break;
    case SMMU_STRTAB_BASE_CFG:
        if (!is_on(smmu, SMMU_CR0_SMMUEN)) {
            atomic_store(&smmu->strtab_base_cfg, value & SMMU_STRTAB_BASE_CFG_WRITABLE);
        }
        break;
    case SMMU_CMDQ_PROD:
        write_cmdq_prod(smmu, value);
        break;
    case SMMU_CMDQ_CONS:
        write_cmdq_cons(smmu, value);
        break;
    case SMMU_EVENTQ_PROD:
        write_eventq_prod(smmu, value);
        break;
    case SMMU_EVENTQ_CONS:
        store_for_events(smmu, &smmu->eventq_cons,
                         value & (SMMU_QUEUE_OVERFLOW | SMMU_QUEUE_INDEX));
        break;
    default: /* read-only */
        break;
    }
}

/* Replace the bits of `mask` in a 64-bit register, unless what it is for is on. */
static void write_base(struct smmuv3 *smmu, uint32_t offset, uint64_t mask, uint64_t value)
{
    struct {
        _Atomic uint64_t *reg;
        uint32_t enable;
        uint64_t writable;
    } base;
    switch (offset) {
    case SMMU_STRTAB_BASE:
        base.reg = &smmu->strtab_base;
        base.enable = SMMU_CR0_SMMUEN;
        base.writable = SMMU_STRTAB_BASE_WRITABLE;
        break;
    case SMMU_CMDQ_BASE:
        base.reg = &smmu->cmdq_base;
        base.enable = SMMU_CR0_CMDQEN;
        base.writable = SMMU_QUEUE_BASE_WRITABLE;
        break;
    case SMMU_EVENTQ_BASE:
        base.reg = &smmu->eventq_base;
        base.enable = SMMU_CR0_EVENTQEN;
        base.writable = SMMU_QUEUE_BASE_WRITABLE;
        break;
    default: /* read-only */
        return;
    }
    if (!is_on(smmu, base.enable)) {
        uint64_t kept = atomic_load(base.reg) & ~mask;
        atomic_store(base.reg, (kept | (value & mask)) & base.writable);
    }
}

/* ---- accesses */

/* Both pages to one set of offsets: that of the register table. */
static uint64_t table_offset(uint64_t offset)
{
    uint64_t in_page = offset & (SMMU_PAGE1 - 1);
    bool is_index =
        in_page >= SMMU_EVENTQ_PROD - SMMU_PAGE1 && in_page < SMMU_EVENTQ_CONS - SMMU_PAGE1 + 4;
    return is_index ? in_page + SMMU_PAGE1 : in_page;
}

/* The register, or NULL. A 64-bit one may be accessed whole or by halves, others whole. */
static const struct register_desc *accessed_register(uint64_t offset, unsigned size)
{
    if (register_malformed(&smmuv3_registers, offset, size)) {
        return NULL;
    }
    const struct register_desc *desc = register_find(&smmuv3_registers, offset);
    return desc && size <= desc->width ? desc : NULL;
}

static uint64_t region_read(void *opaque, uint64_t offset, unsigned size)
{
    const struct smmuv3 *smmu = opaque;
    uint64_t in_table = table_offset(offset);
    const struct register_desc *desc = accessed_register(in_table, size);
    uint64_t value = 0;
    if (desc) {
        value = read_register(smmu, desc->offset) >> 8 * (in_table - desc->offset);
        value = size == 4 ? (uint32_t)value : value;
    }
    trace_smmuv3_read_mmio(offset, value, size, desc ? ACCESS_OK : ACCESS_REFUSED);
    return value;
}

static void region_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    struct smmuv3 *smmu = opaque;
    uint64_t in_table = table_offset(offset);
    const struct register_desc *desc = accessed_register(in_table, size);
    trace_smmuv3_write_mmio(offset, value, size, desc ? ACCESS_OK : ACCESS_REFUSED);
    if (!desc) {
        return;
    }
    pthread_mutex_lock(&smmu->lock);
    if (desc->width == 8) {
        unsigned shift = 8 * (unsigned)(in_table - desc->offset);
        uint64_t mask = (size == 8 ? UINT64_MAX : UINT32_MAX) << shift;
        write_base(smmu, desc->offset, mask, value << shift);
    } else {
        write_register(smmu, desc->offset, (uint32_t)value);
    }
    pthread_mutex_unlock(&smmu->lock);
}

static const struct bus_ops region_ops = {.read = region_read, .write = region_write};

/* ---- translation */

/* Everything above is as far away, and there is no RAM beyond the output size. */
static int identity(const struct smmu_access *access, struct iommu_translation *translation)
{
    *translation = (struct iommu_translation){.address = gpa(access->address),
                                              .length = UINT64_MAX - access->address};
    return 1;
}

static int aborted(const struct smmu_access *access)
{
    trace_smmuv3_translate_abort(trace_name, access->sid, access->address, access->write);
    return -EFAULT;
}

static bool exceeds_output_size(const struct smmu_access *access)
{
    return access->address >> SMMU_OAS_BITS;
}

/* SMMUEN is 0: no tables, no events, 6.3.14. */
static int translate_disabled(const struct smmuv3 *smmu, const struct smmu_access *access,
                              struct iommu_translation *translation)
{
    if (atomic_load(&smmu->gbpa) & SMMU_GBPA_ABORT || exceeds_output_size(access)) {
        return aborted(access);
    }
    trace_smmuv3_translate_disable(trace_name, access->sid, access->address, access->write);
    return identity(access, translation);
}

/* An address beyond the output size is a stage 1 fault although there is no stage 1, 3.4. */
static int translate_bypass(struct smmuv3 *smmu, const struct smmu_access *access,
                            struct iommu_translation *translation)
{
    if (exceeds_output_size(access)) {
        struct smmu_event event = {
            .type = SMMU_EVT_F_ADDR_SIZE,
            .detail = SMMU_EVT_CLASS_IN << SMMU_EVT_CLASS_SHIFT |
                      (access->privileged ? SMMU_EVT_PNU : 0) |
                      (access->instruction ? SMMU_EVT_IND : 0) | (access->write ? 0 : SMMU_EVT_RNW),
            .input_address = access->address,
        };
        smmu_record_event(smmu, access->sid, &event);
        return -EFAULT;
    }
    trace_smmuv3_translate_bypass(trace_name, access->sid, access->address, access->write);
    return identity(access, translation);
}

static int translate_stage1(struct smmuv3 *smmu, const struct smmu_access *access,
                            uint64_t generation, const struct stream_config *config,
                            struct iommu_translation *row, unsigned max)
{
    uint64_t address = access->address;
    int count = smmu_translate_stage1(smmu, access, generation, config, row, max);
    for (int i = 0; i < count; i++) {
        trace_smmuv3_translate_success(trace_name, access->sid, address, row[i].address.raw,
                                       access->write ? DMA_TO_MEMORY : DMA_FROM_MEMORY);
        address += row[i].length;
    }
    return count;
}

static int translate_row(struct iommu *iommu, uint16_t requester_id, iova_t address,
                         uint64_t length, enum dma_direction direction,
                         struct iommu_translation *row, unsigned max)
{
    struct smmuv3 *smmu = (struct smmuv3 *)iommu;
    struct smmu_access access = {.sid = requester_id,
                                 .write = direction == DMA_TO_MEMORY,
                                 .address = address.raw,
                                 .length = length};
    if (!is_on(smmu, SMMU_CR0_SMMUEN)) {
        return translate_disabled(smmu, &access, row);
    }
    uint64_t generation = atomic_load(&smmu->generation); /* before anything it may invalidate */
    struct stream_config config;
    if (!smmu_stream_config(smmu, &access, generation, &config)) {
        return -EFAULT;
    }
    access.privileged = config.privileged;                    /* PCI says neither of its own */
    access.instruction = config.instruction && !access.write; /* INSTCFG is for reads, 5.2 */
    switch (config.mode) {
    case STREAM_BYPASS:
        return translate_bypass(smmu, &access, row);
    case STREAM_STAGE1:
        return translate_stage1(smmu, &access, generation, &config, row, max);
    default:
        return aborted(&access);
    }
}

static int translate(struct iommu *iommu, uint16_t requester_id, iova_t address,
                     enum dma_direction direction, struct iommu_translation *translation)
{
    int count = translate_row(iommu, requester_id, address, 1, direction, translation, 1);
    return count < 0 ? count : 0;
}

static uint64_t peek(const struct iommu *iommu, const struct register_desc *reg)
{
    return read_register((const struct smmuv3 *)iommu, reg->offset);
}

static const struct iommu_ops iommu_ops = {
    .translate = translate,
    .translate_row = translate_row,
    .describe = smmu_describe,
    .registers = &smmuv3_registers,
    .peek = peek,
};

struct iommu *smmuv3_iommu(struct smmuv3 *smmu)
{
    return &smmu->iommu;
}

/* ---- life */

static void reset_registers(struct smmuv3 *smmu)
{
    pthread_mutex_lock(&smmu->event_lock);
    atomic_store(&smmu->cr0, 0);
    atomic_store(&smmu->cr0ack, 0);
    atomic_store(&smmu->cr1, 0);
    atomic_store(&smmu->cr2, 0);
    atomic_store(&smmu->gbpa, SMMU_GBPA_RESET);
    atomic_store(&smmu->irq_ctrl, 0);
    atomic_store(&smmu->gerror, 0);
    atomic_store(&smmu->gerrorn, 0);
    atomic_store(&smmu->strtab_base, 0);
    atomic_store(&smmu->strtab_base_cfg, 0);
    atomic_store(&smmu->cmdq_base, 0);
    atomic_store(&smmu->cmdq_prod, 0);
    atomic_store(&smmu->cmdq_cons, 0);
    atomic_store(&smmu->eventq_base, 0);
    atomic_store(&smmu->eventq_prod, 0);
    atomic_store(&smmu->eventq_cons, 0);
    pthread_mutex_unlock(&smmu->event_lock);
}

void smmuv3_reset(struct smmuv3 *smmu)
{
    pthread_mutex_lock(&smmu->lock);
    reset_registers(smmu);
    smmu_invalidate_streams(smmu, 0, SMMU_SID_COUNT - 1);
    smmu_tlb_invalidate_all(smmu);
    pthread_mutex_unlock(&smmu->lock);
}

static void free_smmu(struct smmuv3 *smmu)
{
    if (smmu) {
        free(smmu->streams);
        free(smmu->known_streams);
        free(smmu);
    }
}

static struct smmuv3 *allocate(void)
{
    struct smmuv3 *smmu = calloc(1, sizeof(*smmu));
    if (!smmu) {
        return NULL;
    }
    smmu->streams = calloc(SMMU_SID_COUNT, sizeof(*smmu->streams));
    smmu->known_streams = calloc(SMMU_SID_COUNT, sizeof(*smmu->known_streams));
    if (!smmu->streams || !smmu->known_streams) {
        free_smmu(smmu);
        return NULL;
    }
    return smmu;
}

static void destroy_unmapped(struct smmuv3 *smmu)
{
    pthread_mutex_destroy(&smmu->lock);
    pthread_mutex_destroy(&smmu->event_lock);
    pthread_mutex_destroy(&smmu->cache_lock);
    free_smmu(smmu);
}

int smmuv3_create(struct smmuv3 **result, const struct smmuv3_config *config, struct error *err)
{
    struct smmuv3 *smmu = allocate();
    if (!smmu) {
        return error_set(err, -ENOMEM, "smmuv3: out of memory");
    }
    smmu->iommu.ops = &iommu_ops;
    smmu->config = *config;
    pthread_mutex_init(&smmu->lock, NULL);
    pthread_mutex_init(&smmu->event_lock, NULL);
    pthread_mutex_init(&smmu->cache_lock, NULL);
    reset_registers(smmu);
    smmu->region = (struct bus_region){.name = "smmuv3",
                                       .size = SMMUV3_SIZE,
                                       .priority = BUS_PRIORITY_FIXED,
                                       .ops = &region_ops,
                                       .opaque = smmu};
    int ret = bus_add(config->bus, &smmu->region, config->base, err);
    if (ret < 0) {
        destroy_unmapped(smmu);
        return ret;
    }
    *result = smmu;
    return 0;
}

void smmuv3_destroy(struct smmuv3 *smmu)
{
    if (smmu) {
        bus_remove(&smmu->region);
        destroy_unmapped(smmu);
    }
}

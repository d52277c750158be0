/* SPDX-License-Identifier: MIT */
/*
 * What the SMMU tells software of its own accord: events (7.3), global errors (6.3.18), and the
 * interrupts of both. An event is 32 bytes, four little-endian doublewords:
 *
 *   0   63-32 StreamID   7-0 type
 *   1   41-40 CLASS   39 S2   35 RnW   34 InD   33 PnU   31 Stall: only of faults
 *   2   InputAddr: only of faults
 *   3   FetchAddr, of the structure that could not be read
 *
 * Substreams (SSV, SubstreamID), stall and stage 2 do not exist here, and their fields are 0.
 *
 * event_lock is a leaf: records come from any thread that does DMA.
 */
#include <errno.h>

#include "devices/iommu/smmuv3_internal.h"
#include "vmm/trace.h"

static const char *event_name(enum smmu_event_type type)
{
    switch (type) {
    case SMMU_EVT_C_BAD_STREAMID:
        return "SMMU_EVT_C_BAD_STREAMID";
    case SMMU_EVT_F_STE_FETCH:
        return "SMMU_EVT_F_STE_FETCH";
    case SMMU_EVT_C_BAD_STE:
        return "SMMU_EVT_C_BAD_STE";
    case SMMU_EVT_F_CD_FETCH:
        return "SMMU_EVT_F_CD_FETCH";
    case SMMU_EVT_C_BAD_CD:
        return "SMMU_EVT_C_BAD_CD";
    case SMMU_EVT_F_WALK_EABT:
        return "SMMU_EVT_F_WALK_EABT";
    case SMMU_EVT_F_TRANSLATION:
        return "SMMU_EVT_F_TRANSLATION";
    case SMMU_EVT_F_ADDR_SIZE:
        return "SMMU_EVT_F_ADDR_SIZE";
    case SMMU_EVT_F_ACCESS:
        return "SMMU_EVT_F_ACCESS";
    case SMMU_EVT_F_PERMISSION:
        return "SMMU_EVT_F_PERMISSION";
    }
    return "?";
}

/* ---- interrupts: wires that are edges, 3.18 */

void smmu_pulse_irq(struct smmuv3 *smmu, enum smmuv3_irq irq)
{
    uint32_t gsi = smmu->config.gsi + irq;
    trace_smmuv3_trigger_irq(irq);
    (void)irq_set_level(smmu->config.irq, gsi, true);
    (void)irq_set_level(smmu->config.irq, gsi, false);
}

/* ---- global errors: one is active while its bits in GERROR and GERRORN differ */

static void raise_gerror_locked(struct smmuv3 *smmu, uint32_t errors)
{
    uint32_t toggled = errors & ~smmu_active_errors(smmu);
    if (!toggled) {
        return;
    }
    uint32_t gerror = atomic_load(&smmu->gerror) ^ toggled;
    atomic_store(&smmu->gerror, gerror);
    trace_smmuv3_write_gerror(toggled, gerror);
    if (atomic_load(&smmu->irq_ctrl) & SMMU_IRQ_CTRL_GERROR) {
        smmu_pulse_irq(smmu, SMMUV3_IRQ_GERROR);
    }
}

void smmu_raise_gerror(struct smmuv3 *smmu, uint32_t errors)
{
    pthread_mutex_lock(&smmu->event_lock);
    raise_gerror_locked(smmu, errors);
    pthread_mutex_unlock(&smmu->event_lock);
}

/* Toggling the bit of an error that is not active is CONSTRAINED UNPREDICTABLE: not done here. */
void smmu_acknowledge_gerror(struct smmuv3 *smmu, uint32_t gerrorn)
{
    pthread_mutex_lock(&smmu->event_lock);
    uint32_t old = atomic_load(&smmu->gerrorn);
    uint32_t acked = (old ^ gerrorn) & smmu_active_errors(smmu);
    atomic_store(&smmu->gerrorn, old ^ acked);
    trace_smmuv3_write_gerrorn(acked, old ^ acked);
    pthread_mutex_unlock(&smmu->event_lock);
}

/* ---- the event queue */

static bool queue_is_full(uint32_t prod, uint32_t cons, unsigned bits)
{
    uint32_t wrap = 1u << bits;
    return ((prod ^ cons) & (2 * wrap - 1)) == wrap;
}

static bool queue_is_empty(uint32_t prod, uint32_t cons, unsigned bits)
{
    return ((prod ^ cons) & ((2u << bits) - 1)) == 0;
}

/* One flag for all events that are lost until software acknowledges it, 7.4. */
static void overflow(struct smmuv3 *smmu, uint32_t prod, uint32_t cons)
{
    if (!((prod ^ cons) & SMMU_QUEUE_OVERFLOW)) {
        atomic_store(&smmu->eventq_prod, prod ^ SMMU_QUEUE_OVERFLOW);
    }
}

/* NULL, or why the event is lost. */
static const char *write_event(struct smmuv3 *smmu, const uint64_t *record)
{
    uint64_t base = atomic_load(&smmu->eventq_base);
    uint32_t prod = atomic_load(&smmu->eventq_prod);
    uint32_t cons = atomic_load(&smmu->eventq_cons);
    unsigned bits = smmu_queue_bits(base);
    if (!(atomic_load(&smmu->cr0) & SMMU_CR0_EVENTQEN)) {
        return "queue disabled";
    }
    if (smmu_active_errors(smmu) & SMMU_GERROR_EVENTQ_ABT_ERR) {
        return "EVENTQ_ABT_ERR is active";
    }
    if (queue_is_full(prod, cons, bits)) {
        overflow(smmu, prod, cons);
        return "queue full";
    }
    gpa_t entry = smmu_queue_entry(base, prod, SMMU_EVENT_BYTES);
    if (guest_memory_write(smmu->config.memory, entry, record, SMMU_EVENT_BYTES) < 0) {
        raise_gerror_locked(smmu, SMMU_GERROR_EVENTQ_ABT_ERR);
        return "no memory at the queue";
    }
    uint32_t index_mask = (2u << bits) - 1;
    atomic_store(&smmu->eventq_prod, (prod & SMMU_QUEUE_OVERFLOW) | ((prod + 1) & index_mask));
    if (queue_is_empty(prod, cons, bits) && atomic_load(&smmu->irq_ctrl) & SMMU_IRQ_CTRL_EVENTQ) {
        smmu_pulse_irq(smmu, SMMUV3_IRQ_EVENTQ);
    }
    return NULL;
}

void smmu_record_event(struct smmuv3 *smmu, uint16_t sid, const struct smmu_event *event)
{
    uint64_t record[SMMU_EVENT_BYTES / sizeof(uint64_t)] = {
        (uint64_t)sid << SMMU_EVT_SID_SHIFT | event->type, event->detail, event->input_address,
        event->fetch_address & SMMU_EVT_FETCH_ADDR};
    trace_smmuv3_record_event(event_name(event->type), sid);
    pthread_mutex_lock(&smmu->event_lock);
    const char *lost = write_event(smmu, record);
    pthread_mutex_unlock(&smmu->event_lock);
    if (lost) {
        trace_smmuv3_event_lost(event_name(event->type), sid, lost);
    }
}

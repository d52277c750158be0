/* SPDX-License-Identifier: MIT */
/*
 * The GICv2m frame, non-secure, version 0. 32-bit registers; all others read as 0.
 *
 *   offset  name           access
 *   0x008   MSI_TYPER      RO    bits 25-16 the number of the first interrupt, 9-0 how many
 *   0x040   MSI_SETSPI_NS  WO    bits 9-0: make this interrupt pending; others than ours: nothing
 *   0xfcc   MSI_IIDR       RO    31-20 product, 19-16 architecture, 15-12 revision, 11-0
 * implementer
 *
 * PCI devices' messages do not come this way: they go from an eventfd through KVM's routing table
 * straight to the interrupt (struct kvm_irq_frame in vmm/kvm_irq.h). What arrives here is a vCPU
 * that writes the register itself.
 */
#include "devices/gicv2m.h"

#include "vmm/trace.h"

enum {
    MSI_TYPER = 0x008,
    MSI_SETSPI_NS = GICV2M_SETSPI,
    MSI_IIDR = 0xfcc,
    INTERRUPT = 0x3ff,
    TYPER_FIRST_SHIFT = 16,
    IMPLEMENTER_NONE = 0,
};

static uint32_t read_register(const struct gicv2m *frame, uint64_t offset)
{
    switch (offset) {
    case MSI_TYPER:
        return frame->config.first << TYPER_FIRST_SHIFT | frame->config.count;
    case MSI_IIDR:
        return IMPLEMENTER_NONE;
    default:
        return 0;
    }
}

static uint64_t region_read(void *opaque, uint64_t offset, unsigned size)
{
    const struct gicv2m *frame = opaque;
    uint64_t value = read_register(frame, offset & ~3ull) >> 8 * (offset & 3);
    if (size == 8 && !(offset & 3)) {
        value |= (uint64_t)read_register(frame, offset + 4) << 32;
    }
    trace_gicv2m_read((unsigned)offset, size, value);
    return value;
}

/* An interrupt that is configured as an edge stays pending when its wire falls again. */
static void raise(struct gicv2m *frame, uint32_t interrupt)
{
    if (interrupt - frame->config.first < frame->config.count) {
        (void)irq_set_level(frame->config.irq, interrupt, true);
        (void)irq_set_level(frame->config.irq, interrupt, false);
    }
}

static void region_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    struct gicv2m *frame = opaque;
    trace_gicv2m_write((unsigned)offset, size, value);
    if (offset == MSI_SETSPI_NS && size >= 2) {
        raise(frame, value & INTERRUPT);
    }
}

static const struct bus_ops region_ops = {.read = region_read, .write = region_write};

int gicv2m_init(struct gicv2m *frame, const struct gicv2m_config *config, struct error *err)
{
    *frame = (struct gicv2m){.config = *config};
    frame->region = (struct bus_region){.name = "gicv2m",
                                        .size = GICV2M_SIZE,
                                        .priority = BUS_PRIORITY_FIXED,
                                        .ops = &region_ops,
                                        .opaque = frame};
    return bus_add(config->bus, &frame->region, config->base, err);
}

void gicv2m_destroy(struct gicv2m *frame)
{
    bus_remove(&frame->region);
}

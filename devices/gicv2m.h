/* SPDX-License-Identifier: MIT */
/*
 * A GICv2m frame: a page that devices write their MSIs to, each of which becomes an edge of one of
 * the interrupt controller's shared interrupts. Arm's "Server Base System Architecture" (DEN0029),
 * appendix E. devices/gicv2m.c describes its registers.
 */
#ifndef DEVICES_GICV2M_H
#define DEVICES_GICV2M_H

#include "vmm/bus.h"
#include "vmm/error.h"
#include "vmm/irq.h"

enum {
    GICV2M_SIZE = 0x1000,
    GICV2M_SETSPI = 0x040, /* where an MSI is written to; its data is the interrupt's number */
};

struct gicv2m_config {
    struct bus *bus;
    uint64_t base;
    struct irq_chip *irq;
    uint32_t first; /* the frame's interrupts: GSIs that are also their numbers in the GIC */
    uint32_t count;
};

struct gicv2m {
    struct bus_region region;
    struct gicv2m_config config;
};

/* Put the frame on its bus. It has no state, so no reset either. */
int gicv2m_init(struct gicv2m *frame, const struct gicv2m_config *config, struct error *err);

/* Nothing happens if it is all zeroes. */
void gicv2m_destroy(struct gicv2m *frame);

#endif

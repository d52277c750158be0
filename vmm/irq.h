/* SPDX-License-Identifier: MIT */
/*
 * Interrupts as devices see them: wires with a level, and messages.
 *
 * `struct irq_chip` is what PCI and the platform devices talk to. The real one stands in front of
 * KVM's in-kernel interrupt controllers (vmm/kvm_irq.c); unit tests bring one of their own that
 * records.
 *
 * A global system interrupt (GSI) is a number in KVM's routing table. On x86 GSIs 0-23 are the pins
 * of the I/O APIC (and 0-15 also those of the PICs), on arm64 they are SPIs. GSIs from
 * KVM_IRQ_MSI_FIRST up have no pin: each is one MSI or MSI-X vector in use.
 */
#ifndef VMM_IRQ_H
#define VMM_IRQ_H

#include <stdbool.h>
#include <stdint.h>

/* What an MSI writes and where. PCI Local Bus 3.0, 6.8.1. */
struct msi_message {
    uint64_t address;
    uint32_t data;
};

/*
 * One vector of one device. Owned and zeroed by the device; filled in by irq_msi_add(). Calls for
 * one route are serialised by its owner (the device's lock); different routes may be used at once.
 */
struct msi_route {
    uint32_t gsi;
    int event_fd;               /* written to raise it; bound to the GSI by an irqfd */
    uint32_t device_id;         /* requester id: bus << 8 | devfn, for an ITS */
    bool added;                 /* a GSI and an irqfd are reserved for it */
    bool routed;                /* it has an entry in the routing table */
    struct msi_message message; /* that entry */
};

struct irq_chip {
    const struct irq_chip_ops *ops;
};

struct irq_chip_ops {
    int (*set_level)(struct irq_chip *chip, uint32_t gsi, bool level);
    int (*msi_add)(struct irq_chip *chip, struct msi_route *route);
    void (*msi_remove)(struct irq_chip *chip, struct msi_route *route);
    int (*msi_route)(struct irq_chip *chip, struct msi_route *route,
                     const struct msi_message *message);
    void (*msi_raise)(struct irq_chip *chip, struct msi_route *route);
};

/* Drive the wire of a pin. Level, not edges: callers call on changes only. Negative errno from KVM.
 */
static inline int irq_set_level(struct irq_chip *chip, uint32_t gsi, bool level)
{
    return chip->ops->set_level(chip, gsi, level);
}

/* Reserve a GSI and an irqfd for a vector. -ENOSPC: no routes left; -EMFILE and others from the OS.
 */
static inline int irq_msi_add(struct irq_chip *chip, struct msi_route *route)
{
    return chip->ops->msi_add(chip, route);
}

/* Give both back, and its entry. Nothing happens if it was not added. */
static inline void irq_msi_remove(struct irq_chip *chip, struct msi_route *route)
{
    chip->ops->msi_remove(chip, route);
}

/*
 * Set the vector's entry in the routing table, or with `message` NULL take it out (a masked
 * vector). The table is not rewritten when nothing changes. Negative errno from KVM; then the entry
 * is out.
 */
static inline int irq_msi_route(struct irq_chip *chip, struct msi_route *route,
                                const struct msi_message *message)
{
    return chip->ops->msi_route(chip, route, message);
}

/* Raise it. It must be routed. */
static inline void irq_msi_raise(struct irq_chip *chip, struct msi_route *route)
{
    chip->ops->msi_raise(chip, route);
}

#endif

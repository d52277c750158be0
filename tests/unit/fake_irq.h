/* SPDX-License-Identifier: MIT */
/*
 * An irq_chip for tests: it keeps what it was told, in the way vmm/irq.h promises, and counts.
 * Routes can be made to run out, and any call to fail.
 */
#ifndef TESTS_UNIT_FAKE_IRQ_H
#define TESTS_UNIT_FAKE_IRQ_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/irq.h"

enum { FAKE_IRQ_GSIS = 4096, FAKE_IRQ_MSI_FIRST = 24 };

struct fake_irq {
    struct irq_chip chip;
    bool level[FAKE_IRQ_MSI_FIRST];
    unsigned level_calls;
    bool in_use[FAKE_IRQ_GSIS];
    unsigned reserved;               /* routes that are added now */
    unsigned capacity;               /* how many there can be */
    unsigned routed;                 /* entries in the table now */
    unsigned table_writes;           /* times the table changed */
    unsigned redundant;              /* times it was asked to change without need */
    unsigned raised;                 /* messages sent */
    struct msi_message last_message; /* the last one */
    uint32_t last_device;            /* and its requester id */
    unsigned raised_gsi[FAKE_IRQ_GSIS];
    int fail_route; /* what msi_route returns next time, if not 0 */
};

static inline int fake_irq_set_level(struct irq_chip *chip, uint32_t gsi, bool level)
{
    struct fake_irq *irq = (struct fake_irq *)chip;
    irq->level[gsi] = level;
    irq->level_calls++;
    return 0;
}

static inline int fake_irq_add(struct irq_chip *chip, struct msi_route *route)
{
    struct fake_irq *irq = (struct fake_irq *)chip;
    if (irq->reserved >= irq->capacity) {
        return -ENOSPC;
    }
    uint32_t gsi = FAKE_IRQ_MSI_FIRST;
    while (irq->in_use[gsi]) {
        gsi++;
    }
    irq->in_use[gsi] = true;
    irq->reserved++;
    *route = (struct msi_route){.gsi = gsi, .event_fd = -1, .added = true};
    return 0;
}

static inline void fake_irq_unroute(struct fake_irq *irq, struct msi_route *route)
{
    if (route->routed) {
        route->routed = false;
        irq->routed--;
        irq->table_writes++;
    }
}

static inline void fake_irq_remove(struct irq_chip *chip, struct msi_route *route)
{
    struct fake_irq *irq = (struct fake_irq *)chip;
    if (route->added) {
        fake_irq_unroute(irq, route);
        irq->in_use[route->gsi] = false;
        irq->reserved--;
        route->added = false;
    }
}

static inline int fake_irq_route(struct irq_chip *chip, struct msi_route *route,
                                 const struct msi_message *message)
{
    struct fake_irq *irq = (struct fake_irq *)chip;
    if (!message || irq->fail_route) {
        int ret = message ? irq->fail_route : 0;
        irq->redundant += !message && !route->routed;
        fake_irq_unroute(irq, route);
        return ret;
    }
    if (route->routed && route->message.address == message->address &&
        route->message.data == message->data) {
        irq->redundant++; /* as the real one: device_id is not looked at */
        return 0;
    }
    irq->routed += !route->routed;
    route->routed = true;
    route->message = *message;
    irq->table_writes++;
    return 0;
}

static inline void fake_irq_raise(struct irq_chip *chip, struct msi_route *route)
{
    struct fake_irq *irq = (struct fake_irq *)chip;
    if (!route->routed) {
        return;
    }
    irq->raised++;
    irq->raised_gsi[route->gsi]++;
    irq->last_message = route->message;
    irq->last_device = route->device_id;
}

static const struct irq_chip_ops fake_irq_ops = {
    .set_level = fake_irq_set_level,
    .msi_add = fake_irq_add,
    .msi_remove = fake_irq_remove,
    .msi_route = fake_irq_route,
    .msi_raise = fake_irq_raise,
};

static inline void fake_irq_init(struct fake_irq *irq)
{
    *irq = (struct fake_irq){.chip = {.ops = &fake_irq_ops},
                             .capacity = FAKE_IRQ_GSIS - FAKE_IRQ_MSI_FIRST};
}

#endif

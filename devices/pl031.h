/* SPDX-License-Identifier: MIT */
/*
 * The real-time clock of Arm machines: a PrimeCell PL031, which counts seconds since 1970.
 * devices/pl031.c describes its registers.
 *
 * Lock order: pl031.lock, then the interrupt chip's.
 */
#ifndef DEVICES_PL031_H
#define DEVICES_PL031_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/bus.h"
#include "vmm/error.h"
#include "vmm/event_loop.h"
#include "vmm/irq.h"

enum { PL031_SIZE = 0x1000 };

struct pl031_config {
    struct bus *bus;
    uint64_t base;
    struct irq_chip *irq; /* RTCINTR */
    uint32_t gsi;
    struct event_loop *loop; /* for the alarm */
    int64_t (*clock)(void);  /* CLOCK_REALTIME in nanoseconds; NULL: the host's */
};

struct pl031 {
    struct bus_region region;
    struct pl031_config config;
    struct event_timer timer;

    pthread_mutex_t lock; /* guards all that follows */
    int64_t offset_ns;    /* the guest's time is the host's clock plus this */
    uint32_t match;
    uint32_t load; /* what was last written to LR */
    bool armed;    /* the counter has not reached `match` since that was written */
    uint32_t seen; /* the counter when that was last looked at, while armed */
    bool imsc;
    bool ris;
    bool level; /* of the interrupt pin */
};

/* Create the clock, showing the host's time. Destroy it when vCPUs are stopped. */
int pl031_init(struct pl031 *rtc, const struct pl031_config *config, struct error *err);
void pl031_destroy(struct pl031 *rtc);

/*
 * The machine's reset: the interrupt is off and the alarm forgotten. The time goes on, and LR keeps
 * what was written to it: they have a battery. Any thread.
 */
void pl031_reset(struct pl031 *rtc);

/* See whether the alarm is due, and arm the timer if not (its handler; public for the unit test).
 */
void pl031_timer_expired(void *opaque);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * The general-purpose I/O of Arm machines: a PrimeCell PL061 with eight pins, to one of which a key
 * is wired. devices/pl061.c describes its registers.
 *
 * Lock order: pl061.lock, then the interrupt chip's.
 */
#ifndef DEVICES_PL061_H
#define DEVICES_PL061_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/bus.h"
#include "vmm/error.h"
#include "vmm/event_loop.h"
#include "vmm/irq.h"

enum {
    PL061_SIZE = 0x1000,
    PL061_KEY_MS = 100, /* for how long a key is held down, as in QEMU's gpio-key */
};

struct pl061_config {
    struct bus *bus;
    uint64_t base;
    struct irq_chip *irq; /* GPIOINTR */
    uint32_t gsi;
    struct event_loop *loop; /* for the release of the key */
    unsigned key;            /* the pin that the key pulls up, 0 to 7 */
};

struct pl061 {
    struct bus_region region;
    struct pl061_config config;
    struct event_timer timer;

    pthread_mutex_t lock; /* guards all that follows; a bit a pin */
    uint8_t inputs;       /* what is on the pins from outside */
    uint8_t seen;         /* all pins, when they were last looked at */
    uint8_t edges;        /* that have come and are not cleared */
    uint8_t data, direction, sense, both_edges, event, enable, alternate;
    bool level; /* of the interrupt pin */
};

/* Create it with the key released. Destroy it when vCPUs are stopped. */
int pl061_init(struct pl061 *gpio, const struct pl061_config *config, struct error *err);
void pl061_destroy(struct pl061 *gpio);

/* The machine's reset: registers as after power-on, the key released. Any thread. */
void pl061_reset(struct pl061 *gpio);

/* Somebody presses the key; it comes up again PL061_KEY_MS after the last press. Any thread. */
void pl061_press_key(struct pl061 *gpio);

/* The key comes up (the timer's handler; public for the unit test). */
void pl061_timer_expired(void *opaque);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * The PC's real-time clock and CMOS RAM: a Motorola MC146818 at ports 0x70 and 0x71.
 * devices/rtc_cmos.c describes its registers.
 *
 * Lock order: rtc_cmos.lock, then the interrupt chip's.
 */
#ifndef DEVICES_RTC_CMOS_H
#define DEVICES_RTC_CMOS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/bus.h"
#include "vmm/error.h"
#include "vmm/event_loop.h"
#include "vmm/irq.h"

enum {
    RTC_PORT = 0x70, /* index; data is the port after it */
    RTC_PORTS = 2,
    RTC_GSI = 8,
    RTC_CMOS_SIZE = 128,
    RTC_CENTURY = 0x32, /* register that FADT.CENTURY names */
};

/* CLOCK_REALTIME in nanoseconds; a unit test brings its own. */
typedef int64_t (*rtc_clock_fn)(void);

struct rtc_cmos_config {
    struct bus *bus; /* ports */
    struct irq_chip *irq;
    struct event_loop *loop; /* for alarms and periodic interrupts */
    uint64_t ram_below_4g;   /* bytes of guest RAM below 4 GiB; what CMOS RAM tells firmware */
    uint64_t ram_above_4g;   /* and from 4 GiB up */
    rtc_clock_fn clock;      /* NULL: the host's clock */
};

struct rtc_cmos {
    struct bus_region region;
    struct rtc_cmos_config config;
    struct event_timer timer;

    pthread_mutex_t lock;        /* guards all that follows */
    uint8_t index;               /* last write to port 0x70, with the NMI mask in bit 7 */
    uint8_t cmos[RTC_CMOS_SIZE]; /* registers A, B, C, alarm and RAM; time only while B.SET is 1 */
    int64_t offset_ns;           /* guest's clock = host's clock + offset */
    int64_t frozen_ns;           /* the guest's time when B.SET stopped it */
    int64_t update_seen;         /* second of the last update cycle accounted for */
    int64_t period_seen;         /* the same for the periodic interrupt, in periods */
    int64_t deadline_ns;         /* host's clock: when the timer is due; 0: not armed */
    bool level;                  /* of the interrupt pin */
};

/* Create the clock on its two ports. Destroy it when vCPUs are stopped. */
int rtc_cmos_init(struct rtc_cmos *rtc, const struct rtc_cmos_config *config, struct error *err);
void rtc_cmos_destroy(struct rtc_cmos *rtc);

/*
 * The machine's reset pin: interrupts are disabled and their flags cleared. Time and RAM are kept:
 * they have a battery. Any thread.
 */
void rtc_cmos_reset(struct rtc_cmos *rtc);

/*
 * Account for all that should have happened until now, and arm the timer for what comes next (the
 * timer's handler; public for the unit test).
 */
void rtc_cmos_timer_expired(void *opaque);

#endif

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
    uint8_t cmos[RTC_CMOS_SIZE]; /* all registers; the time's are valid only while it stands */
    int64_t phase_ns;            /* the divider chain counts the host's clock plus this */
    int64_t offset_s;            /* the guest's time = whole seconds of the chain plus this */
    int weekday_shift;           /* the guest's own idea of the first day of the week, 0 to 6 */
    int64_t update_seen;         /* the guest's time when flags UF and AF were last looked at */
    int64_t period_seen;         /* the same for PF, in periods */
    int64_t deadline_ns;         /* host's clock: when the timer is due; 0: not armed */
    bool level;                  /* of the interrupt pin */
};

/* Create the clock on its two ports. Destroy it when vCPUs are stopped. */
int rtc_cmos_init(struct rtc_cmos *rtc, const struct rtc_cmos_config *config, struct error *err);
void rtc_cmos_destroy(struct rtc_cmos *rtc);

/*
 * The machine's reset: interrupts are disabled and their flags cleared, and the clock runs in the
 * mode a BIOS sets up. Time and RAM are kept: they have a battery. Any thread.
 */
void rtc_cmos_reset(struct rtc_cmos *rtc);

/*
 * Account for all that should have happened until now, and arm the timer for what comes next (the
 * timer's handler; public for the unit test).
 */
void rtc_cmos_timer_expired(void *opaque);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * The PL031 real-time clock, from Arm's "PrimeCell Real Time Clock (PL031) Technical Reference
 * Manual" (DDI 0224).
 *
 *   offset  name   access
 *   0x000   DR     RO   the counter: seconds, since 1970 unless the guest set it otherwise
 *   0x004   MR     RW   match: the interrupt comes when the counter gets to it
 *   0x008   LR     RW   load: sets the counter; reads as last written
 *   0x00c   CR     RW   bit 0: the clock runs. It always does, and reads as 1
 *   0x010   IMSC   RW   bit 0: the interrupt reaches the pin
 *   0x014   RIS    RO   bit 0: there is one
 *   0x018   MIS    RO   RIS & IMSC
 *   0x01c   ICR    WO   bit 0: clears it
 *   0xfe0   PeriphID, PCellID
 *
 * The counter is not kept: it is the host's clock plus an offset, so it does not drift, and costs
 * nothing while nobody looks. A write of LR changes the offset so that the next second comes a
 * second later, as the part's divider restarts.
 *
 * Invariants while the lock is not held: `level` equals the pin; the timer is set if `armed`.
 */
#include "devices/pl031.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "devices/primecell.h"
#include "vmm/trace.h"

enum {
    DR = 0x000,
    MR = 0x004,
    LR = 0x008,
    CR = 0x00c,
    IMSC = 0x010,
    RIS = 0x014,
    MIS = 0x018,
    ICR = 0x01c,
    PERIPHERAL_ID = 0x00041031,
};

static const int64_t second = 1000000000;

static int64_t host_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * second + now.tv_nsec;
}

/* The guest's time in nanoseconds; its seconds modulo 2^32 are the counter. */
static int64_t guest_ns(const struct pl031 *rtc)
{
    return rtc->config.clock() + rtc->offset_ns;
}

static uint32_t counter(const struct pl031 *rtc)
{
    return (uint32_t)(guest_ns(rtc) / second);
}

/* ---- the alarm */

static void update_interrupt(struct pl031 *rtc)
{
    bool level = rtc->ris && rtc->imsc;
    if (level != rtc->level) {
        rtc->level = level;
        trace_pl031_irq(level);
        irq_set_level(rtc->config.irq, rtc->config.gsi, level);
    }
}

/*
 * Call back when the counter gets to `match`, which it may be beyond: then after it has wrapped,
 * in up to 136 years. The host's clock may be set meanwhile, so no longer than an hour at a time.
 */
static void arm_timer(struct pl031 *rtc)
{
    const int64_t hour = 3600 * second;
    uint32_t seconds = rtc->match - counter(rtc);
    int64_t wait = (int64_t)seconds * second - guest_ns(rtc) % second;
    wait = wait < 0 ? 0 : wait > hour ? hour : wait;
    event_timer_set(&rtc->timer, event_now_ns() + (uint64_t)wait);
}

/*
 * Has the counter come by `match` since `seen`? Whoever calls may be late, by the time for which
 * the process was stopped for instance. A host's clock that was set back has come by nothing.
 */
static bool has_reached_match(const struct pl031 *rtc)
{
    uint32_t passed = counter(rtc) - rtc->seen;
    bool went_back = passed > INT32_MAX;
    return counter(rtc) == rtc->match || (!went_back && rtc->match - rtc->seen <= passed);
}

static void check_alarm(struct pl031 *rtc)
{
    if (!rtc->armed) {
        return;
    }
    if (has_reached_match(rtc)) {
        rtc->armed = false;
        rtc->ris = true;
    } else {
        rtc->seen = counter(rtc);
        arm_timer(rtc);
    }
}

void pl031_timer_expired(void *opaque)
{
    struct pl031 *rtc = opaque;
    pthread_mutex_lock(&rtc->lock);
    check_alarm(rtc);
    update_interrupt(rtc);
    pthread_mutex_unlock(&rtc->lock);
}

/* ---- registers */

static uint32_t read_locked(struct pl031 *rtc, unsigned offset)
{
    switch (offset) {
    case DR:
        return counter(rtc);
    case MR:
        return rtc->match;
    case LR:
        return rtc->load;
    case CR:
        return 1;
    case IMSC:
        return rtc->imsc;
    case RIS:
        return rtc->ris;
    case MIS:
        return rtc->ris && rtc->imsc;
    default:
        return offset >= PRIMECELL_ID ? primecell_id(PERIPHERAL_ID, offset) : 0;
    }
}

static void write_lr(struct pl031 *rtc, uint32_t value)
{
    rtc->load = value;
    rtc->offset_ns = (int64_t)value * second - rtc->config.clock();
    rtc->seen = value; /* what was jumped over has not passed */
}

static void write_locked(struct pl031 *rtc, unsigned offset, uint32_t value)
{
    switch (offset) {
    case MR:
        rtc->match = value;
        rtc->armed = true;
        rtc->seen = counter(rtc);
        break;
    case LR:
        write_lr(rtc, value);
        break;
    case IMSC:
        rtc->imsc = value & 1;
        break;
    case ICR:
        rtc->ris = rtc->ris && !(value & 1);
        break;
    default: /* CR cannot be switched off again; the others are read-only or reserved */
        break;
    }
}

static uint32_t read_register(void *opaque, unsigned offset)
{
    struct pl031 *rtc = opaque;
    pthread_mutex_lock(&rtc->lock);
    uint32_t value = read_locked(rtc, offset);
    pthread_mutex_unlock(&rtc->lock);
    trace_pl031_read(offset, value);
    return value;
}

static void write_register(void *opaque, unsigned offset, uint32_t value)
{
    struct pl031 *rtc = opaque;
    trace_pl031_write(offset, value);
    pthread_mutex_lock(&rtc->lock);
    write_locked(rtc, offset, value);
    check_alarm(rtc);
    update_interrupt(rtc);
    pthread_mutex_unlock(&rtc->lock);
}

static uint64_t region_read(void *opaque, uint64_t offset, unsigned size)
{
    return primecell_read(opaque, offset, size, read_register);
}

static void region_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    primecell_write(opaque, offset, size, value, write_register);
}

static const struct bus_ops region_ops = {.read = region_read, .write = region_write};

/* ---- life */

void pl031_reset(struct pl031 *rtc)
{
    pthread_mutex_lock(&rtc->lock);
    rtc->match = 0;
    rtc->armed = false;
    rtc->imsc = false;
    rtc->ris = false;
    event_timer_cancel(&rtc->timer);
    update_interrupt(rtc);
    pthread_mutex_unlock(&rtc->lock);
}

int pl031_init(struct pl031 *rtc, const struct pl031_config *config, struct error *err)
{
    memset(rtc, 0, sizeof(*rtc));
    rtc->config = *config;
    if (!rtc->config.clock) {
        rtc->config.clock = host_clock;
    }
    int ret = event_timer_init(&rtc->timer, config->loop, pl031_timer_expired, rtc);
    if (ret < 0) {
        return error_set(err, ret, "pl031: cannot create a timer: %s", strerror(-ret));
    }
    pthread_mutex_init(&rtc->lock, NULL);
    rtc->region = (struct bus_region){.name = "pl031",
                                      .size = PL031_SIZE,
                                      .priority = BUS_PRIORITY_FIXED,
                                      .ops = &region_ops,
                                      .opaque = rtc};
    ret = bus_add(config->bus, &rtc->region, config->base, err);
    if (ret < 0) {
        pthread_mutex_destroy(&rtc->lock);
        event_timer_destroy(&rtc->timer);
    }
    return ret;
}

void pl031_destroy(struct pl031 *rtc)
{
    bus_remove(&rtc->region);
    event_timer_destroy(&rtc->timer);
    pthread_mutex_destroy(&rtc->lock);
}

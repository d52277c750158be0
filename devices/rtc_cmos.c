/* SPDX-License-Identifier: MIT */
/*
 * The real-time clock with CMOS RAM, from Motorola's MC146818 data sheet.
 *
 * Port 0x70 takes an index (bits 0-6; bit 7 masks NMI, of which this machine has none), port 0x71
 * reads and writes the register it names:
 *
 *   0x00 seconds  0x02 minutes  0x04 hours  0x06 day of week (1 Sunday)  0x07 day of month
 *   0x08 month    0x09 year     0x32 century
 *   0x01, 0x03, 0x05  alarm second, minute, hour; 0xc0 and above match anything
 *   0x0a A: UIP update in progress (read-only), DV divider control, RS periodic rate
 *   0x0b B: SET, PIE, AIE, UIE interrupt enables, SQWE, DM binary, 24/12, DSE
 *   0x0c C: IRQF, PF, AF, UF; read-only, reading clears it
 *   0x0d D: VRT, the battery is good; read-only
 *   others: RAM
 *
 * Time is not counted, it is computed. The divider chain of the real part becomes
 *
 *   chain = host's clock + phase_ns         (nanoseconds)
 *   guest's time = chain in whole seconds + offset_s    (seconds since 1970, UTC)
 *
 * so that a guest's clock is right from the start, follows the host, and costs nothing while
 * nobody looks. Setting the clock changes offset_s; resetting the divider changes phase_ns. While
 * B.SET is 1 or the divider is held in reset the time stands: the bytes in `cmos` are then the
 * guest's to write, and become the time when it runs again. The second ends at the end of the
 * update cycle, so that UIP shows in the last 2.2 ms of each.
 *
 * The flags of register C are found out when they matter: catch_up() compares the time now with
 * the time it looked last. A timer is armed only for what is enabled and has not yet been flagged.
 * IRQ 8 is high while a flag and its enable are both 1.
 *
 * DSE and SQWE are stored and have no effect: no operating system of today asks for the former, and
 * the square-wave pin is connected to nothing.
 */
#include "devices/rtc_cmos.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "vmm/trace.h"

enum {
    SECONDS = 0x00,
    SECONDS_ALARM = 0x01,
    MINUTES = 0x02,
    MINUTES_ALARM = 0x03,
    HOURS = 0x04,
    HOURS_ALARM = 0x05,
    DAY_OF_WEEK = 0x06,
    DAY_OF_MONTH = 0x07,
    MONTH = 0x08,
    YEAR = 0x09,
    REG_A = 0x0a,
    REG_B = 0x0b,
    REG_C = 0x0c,
    REG_D = 0x0d,

    A_UIP = 1 << 7,
    A_DV_RESET = 0x60, /* DV = 11x holds the divider in reset */
    A_RS = 0x0f,
    A_BIOS = 0x26, /* 32768 Hz crystal, periodic rate 1024 Hz */

    B_SET = 1 << 7,
    B_PIE = 1 << 6,
    B_AIE = 1 << 5,
    B_UIE = 1 << 4,
    B_SQWE = 1 << 3,
    B_DM = 1 << 2,
    B_24H = 1 << 1,
    B_BIOS = B_24H, /* and BCD */

    C_IRQF = 1 << 7,
    C_PF = 1 << 6,
    C_AF = 1 << 5,
    C_UF = 1 << 4,
    C_FLAGS = C_PF | C_AF | C_UF, /* each at its enable's place in B */

    D_VRT = 1 << 7,

    HOURS_PM = 1 << 7,
    ALARM_ANY = 0xc0,

    /* What a PC's BIOS keeps in the RAM. */
    CMOS_EQUIPMENT = 0x14,
    CMOS_BASE_KIB = 0x15,     /* 2 bytes: below 1 MiB */
    CMOS_EXTENDED_KIB = 0x17, /* 2 bytes: from 1 MiB up, again at 0x30 */
    CMOS_EXTENDED_KIB_2 = 0x30,
    CMOS_CHECKSUM = 0x2e,  /* 2 bytes, high one first: the sum of 0x10 to 0x2d */
    CMOS_ABOVE_16M = 0x34, /* 2 bytes: 64 KiB blocks from 16 MiB to 4 GiB */
    CMOS_ABOVE_4G = 0x5b,  /* 3 bytes: 64 KiB blocks from 4 GiB up */
    EQUIPMENT_FPU = 1 << 1,
    BASE_KIB = 640,
};

enum {
    NS_PER_S = 1000000000,
    UPDATE_CYCLE_NS = 244000 + 1984000, /* tBUC, the warning, and tUC, the cycle itself */
    DIVIDER_RELEASE_NS = 500000000,     /* the first update comes half a second after a release */
    SECONDS_PER_DAY = 86400,
};

struct rtc_date {
    int year, month, day;     /* month and day from 1 */
    int hour, minute, second; /* from 0 */
    int weekday;              /* 0 is Sunday */
};

/* ---- dates: the Gregorian calendar, counted from March so that leap days come last */

static int64_t floor_div(int64_t value, int64_t by)
{
    return value / by - (value % by < 0);
}

/* Days from 1970-01-01. Month and day may be out of range, as a guest may have written them. */
static int64_t days_of_date(int64_t year, int month, int day)
{
    int64_t months = year * 12 + (month - 1) - 2; /* months since March of year 0 */
    int64_t y = floor_div(months, 12);
    int64_t m = months - y * 12;
    int64_t leap_days = floor_div(y, 4) - floor_div(y, 100) + floor_div(y, 400);
    return y * 365 + leap_days + (153 * m + 2) / 5 + (day - 1) - 719468;
}

static void date_of_days(int64_t days, struct rtc_date *date)
{
    int64_t z = days + 719468; /* days since 0000-03-01 */
    int64_t era = floor_div(z, 146097);
    int64_t day_of_era = z - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t m = (5 * day_of_year + 2) / 153;
    date->day = day_of_year - (153 * m + 2) / 5 + 1;
    date->month = m < 10 ? m + 3 : m - 9;
    date->year = era * 400 + year_of_era + (date->month <= 2);
}

static struct rtc_date date_of_seconds(int64_t seconds)
{
    int64_t days = floor_div(seconds, SECONDS_PER_DAY);
    int in_day = seconds - days * SECONDS_PER_DAY;
    struct rtc_date date = {.hour = in_day / 3600,
                            .minute = in_day / 60 % 60,
                            .second = in_day % 60,
                            .weekday = ((days + 4) % 7 + 7) % 7}; /* 1970 began on a Thursday */
    date_of_days(days, &date);
    return date;
}

/* ---- the formats of the time registers */

static uint8_t encode(const struct rtc_cmos *rtc, int value)
{
    return rtc->cmos[REG_B] & B_DM ? value : value / 10 << 4 | value % 10;
}

static int decode(const struct rtc_cmos *rtc, uint8_t value)
{
    return rtc->cmos[REG_B] & B_DM ? value : (value >> 4) * 10 + (value & 0xf);
}

static uint8_t encode_hour(const struct rtc_cmos *rtc, int hour)
{
    if (rtc->cmos[REG_B] & B_24H) {
        return encode(rtc, hour);
    }
    int on_dial = hour % 12 ? hour % 12 : 12;
    return encode(rtc, on_dial) | (hour >= 12 ? HOURS_PM : 0);
}

static int decode_hour(const struct rtc_cmos *rtc, uint8_t value)
{
    if (rtc->cmos[REG_B] & B_24H) {
        return decode(rtc, value);
    }
    return decode(rtc, value & ~HOURS_PM) % 12 + (value & HOURS_PM ? 12 : 0);
}

/* ---- the clock */

static int64_t chain_ns(const struct rtc_cmos *rtc)
{
    return rtc->config.clock() + rtc->phase_ns;
}

static int64_t guest_seconds(const struct rtc_cmos *rtc)
{
    return floor_div(chain_ns(rtc), NS_PER_S) + rtc->offset_s;
}

static bool divider_held(const struct rtc_cmos *rtc)
{
    return (rtc->cmos[REG_A] & A_DV_RESET) == A_DV_RESET;
}

static bool stands(const struct rtc_cmos *rtc)
{
    return rtc->cmos[REG_B] & B_SET || divider_held(rtc);
}

/* Bring the bytes of the time registers up to date. */
static void time_to_registers(struct rtc_cmos *rtc)
{
    struct rtc_date date = date_of_seconds(guest_seconds(rtc));
    int year = (date.year % 10000 + 10000) % 10000; /* four digits, whatever the guest has set */
    rtc->cmos[SECONDS] = encode(rtc, date.second);
    rtc->cmos[MINUTES] = encode(rtc, date.minute);
    rtc->cmos[HOURS] = encode_hour(rtc, date.hour);
    rtc->cmos[DAY_OF_WEEK] = encode(rtc, (date.weekday + rtc->weekday_shift) % 7 + 1);
    rtc->cmos[DAY_OF_MONTH] = encode(rtc, date.day);
    rtc->cmos[MONTH] = encode(rtc, date.month);
    rtc->cmos[YEAR] = encode(rtc, year % 100);
    rtc->cmos[RTC_CENTURY] = encode(rtc, year / 100);
}

static int64_t seconds_of_registers(const struct rtc_cmos *rtc)
{
    const uint8_t *cmos = rtc->cmos;
    int64_t year = decode(rtc, cmos[RTC_CENTURY]) * 100 + decode(rtc, cmos[YEAR]);
    int64_t days = days_of_date(year, decode(rtc, cmos[MONTH]), decode(rtc, cmos[DAY_OF_MONTH]));
    int in_day = decode_hour(rtc, cmos[HOURS]) * 3600 + decode(rtc, cmos[MINUTES]) * 60 +
                 decode(rtc, cmos[SECONDS]);
    return days * SECONDS_PER_DAY + in_day;
}

/* What the registers say is the time now. The fraction of the second goes on as it was. */
static void registers_to_time(struct rtc_cmos *rtc)
{
    int64_t seconds = seconds_of_registers(rtc);
    rtc->offset_s = seconds - floor_div(chain_ns(rtc), NS_PER_S);
    int weekday = decode(rtc, rtc->cmos[DAY_OF_WEEK]) - 1;
    rtc->weekday_shift = ((weekday - date_of_seconds(seconds).weekday) % 7 + 7) % 7;
    rtc->update_seen = seconds;
}

static bool update_in_progress(const struct rtc_cmos *rtc)
{
    int64_t chain = chain_ns(rtc);
    int64_t fraction = chain - floor_div(chain, NS_PER_S) * NS_PER_S;
    return !stands(rtc) && fraction >= NS_PER_S - UPDATE_CYCLE_NS;
}

/* ---- the periodic interrupt */

/* In Hz; 0: off. MC146818, table 5, for a crystal of 32768 Hz. */
static int64_t periodic_rate(const struct rtc_cmos *rtc)
{
    unsigned rs = rtc->cmos[REG_A] & A_RS;
    if (rs == 0 || divider_held(rtc)) {
        return 0;
    }
    return rs <= 2 ? 256 >> (rs - 1) : 32768 >> (rs - 1);
}

/* How many periods the divider chain has counted. */
static int64_t period_now(const struct rtc_cmos *rtc)
{
    int64_t rate = periodic_rate(rtc);
    int64_t chain = chain_ns(rtc);
    int64_t seconds = floor_div(chain, NS_PER_S);
    return seconds * rate + (chain - seconds * NS_PER_S) * rate / NS_PER_S;
}

/* The host's clock at the end of the present period. */
static int64_t next_period_ns(const struct rtc_cmos *rtc)
{
    int64_t rate = periodic_rate(rtc);
    int64_t next = period_now(rtc) + 1;
    int64_t seconds = floor_div(next, rate);
    int64_t fraction = ((next - seconds * rate) * NS_PER_S + rate - 1) / rate;
    return seconds * NS_PER_S + fraction - rtc->phase_ns;
}

/* ---- the alarm */

static bool alarm_matches(uint8_t alarm, uint8_t now)
{
    return alarm >= ALARM_ANY || alarm == now;
}

static bool some_second_matches(const struct rtc_cmos *rtc, uint8_t alarm)
{
    for (int second = 0; second < 60; second++) {
        if (alarm_matches(alarm, encode(rtc, second))) {
            return true;
        }
    }
    return false;
}

/*
 * The first second after `after` at which the alarm goes off, or -1 if the bytes match no time of
 * day. What does not match is skipped by hours, then by minutes; once both match, a second is found
 * in that minute or the next that matches, if there is one at all. So the search is short whatever
 * a guest has written: it can ask for one at each access.
 */
static int64_t next_alarm(const struct rtc_cmos *rtc, int64_t after)
{
    const uint8_t *cmos = rtc->cmos;
    int64_t last = after + SECONDS_PER_DAY;
    if (!some_second_matches(rtc, cmos[SECONDS_ALARM])) {
        return -1;
    }
    for (int64_t t = after + 1; t <= last;) {
        int in_day = t - floor_div(t, SECONDS_PER_DAY) * SECONDS_PER_DAY;
        if (!alarm_matches(cmos[HOURS_ALARM], encode_hour(rtc, in_day / 3600))) {
            t += 3600 - in_day % 3600;
        } else if (!alarm_matches(cmos[MINUTES_ALARM], encode(rtc, in_day / 60 % 60))) {
            t += 60 - in_day % 60;
        } else if (!alarm_matches(cmos[SECONDS_ALARM], encode(rtc, in_day % 60))) {
            t++;
        } else {
            return t;
        }
    }
    return -1;
}

/* ---- flags, the interrupt pin and the timer */

static void catch_up_second(struct rtc_cmos *rtc)
{
    int64_t now = guest_seconds(rtc);
    if (now == rtc->update_seen) {
        return;
    }
    rtc->cmos[REG_C] |= C_UF;
    int64_t alarm = next_alarm(rtc, rtc->update_seen);
    if (alarm >= 0 && alarm <= now) {
        rtc->cmos[REG_C] |= C_AF;
    }
    rtc->update_seen = now; /* also when the host's clock went back */
}

/* Set the flags for all that has happened since it was last called. */
static void catch_up(struct rtc_cmos *rtc)
{
    if (!stands(rtc)) {
        catch_up_second(rtc);
    }
    if (periodic_rate(rtc) > 0 && period_now(rtc) != rtc->period_seen) {
        rtc->cmos[REG_C] |= C_PF;
        rtc->period_seen = period_now(rtc);
    }
}

/* The host's clock at the start of a second of the guest's. */
static int64_t host_ns(const struct rtc_cmos *rtc, int64_t seconds)
{
    return (seconds - rtc->offset_s) * NS_PER_S - rtc->phase_ns;
}

static int64_t earlier(int64_t deadline, int64_t other)
{
    return deadline == 0 || other < deadline ? other : deadline;
}

/* When the next enabled flag will be set that is not set already; 0: never. */
static int64_t next_deadline(const struct rtc_cmos *rtc)
{
    uint8_t wanted = rtc->cmos[REG_B] & ~rtc->cmos[REG_C];
    int64_t deadline = 0;
    if (wanted & B_PIE && periodic_rate(rtc) > 0) {
        deadline = next_period_ns(rtc);
    }
    if (stands(rtc)) {
        return deadline;
    }
    if (wanted & B_UIE) {
        deadline = earlier(deadline, host_ns(rtc, rtc->update_seen + 1));
    }
    int64_t alarm = wanted & B_AIE ? next_alarm(rtc, rtc->update_seen) : -1;
    return alarm >= 0 ? earlier(deadline, host_ns(rtc, alarm)) : deadline;
}

static void arm_timer(struct rtc_cmos *rtc)
{
    int64_t deadline = next_deadline(rtc);
    if (deadline == rtc->deadline_ns) {
        return;
    }
    rtc->deadline_ns = deadline;
    if (deadline == 0) {
        event_timer_cancel(&rtc->timer);
        return;
    }
    int64_t delay = deadline - rtc->config.clock();
    event_timer_set(&rtc->timer, event_now_ns() + (delay > 0 ? delay : 0));
}

static void update_interrupt(struct rtc_cmos *rtc)
{
    bool level = rtc->cmos[REG_C] & rtc->cmos[REG_B] & C_FLAGS;
    rtc->cmos[REG_C] = (rtc->cmos[REG_C] & C_FLAGS) | (level ? C_IRQF : 0);
    if (level != rtc->level) {
        rtc->level = level;
        trace_rtc_irq(rtc->cmos[REG_C]);
        irq_set_level(rtc->config.irq, RTC_GSI, level);
    }
}

/* After every change of state. */
static void update(struct rtc_cmos *rtc)
{
    update_interrupt(rtc);
    arm_timer(rtc);
}

void rtc_cmos_timer_expired(void *opaque)
{
    struct rtc_cmos *rtc = opaque;
    pthread_mutex_lock(&rtc->lock);
    rtc->deadline_ns = 0;
    catch_up(rtc);
    update(rtc);
    pthread_mutex_unlock(&rtc->lock);
}

/* ---- registers */

static bool is_time(unsigned index)
{
    return index == SECONDS || index == MINUTES || index == HOURS || index == RTC_CENTURY ||
           (index >= DAY_OF_WEEK && index <= YEAR);
}

static uint8_t read_c(struct rtc_cmos *rtc)
{
    catch_up(rtc);
    update_interrupt(rtc);
    uint8_t value = rtc->cmos[REG_C];
    rtc->cmos[REG_C] = 0;
    update(rtc);
    return value;
}

static uint8_t read_register(struct rtc_cmos *rtc, unsigned index)
{
    switch (index) {
    case REG_A:
        return rtc->cmos[REG_A] | (update_in_progress(rtc) ? A_UIP : 0);
    case REG_C:
        return read_c(rtc);
    default:
        if (is_time(index) && !stands(rtc)) {
            time_to_registers(rtc);
        }
        return rtc->cmos[index];
    }
}

/* Start or stop the time where a change of A or B asks for it. */
static void write_control(struct rtc_cmos *rtc, unsigned index, uint8_t value)
{
    catch_up(rtc);
    bool stood = stands(rtc);
    bool held = divider_held(rtc);
    if (!stood) {
        time_to_registers(rtc);
    }
    rtc->cmos[index] = value;
    if (held && !divider_held(rtc)) {
        int64_t fraction = chain_ns(rtc) - floor_div(chain_ns(rtc), NS_PER_S) * NS_PER_S;
        rtc->phase_ns += DIVIDER_RELEASE_NS - fraction;
    }
    if (stood && !stands(rtc)) {
        registers_to_time(rtc);
    }
    rtc->period_seen = period_now(rtc);
}

static void write_time(struct rtc_cmos *rtc, unsigned index, uint8_t value)
{
    if (stands(rtc)) {
        rtc->cmos[index] = value;
        return;
    }
    time_to_registers(rtc); /* the other fields go on */
    rtc->cmos[index] = value;
    registers_to_time(rtc);
}

static void write_register(struct rtc_cmos *rtc, unsigned index, uint8_t value)
{
    switch (index) {
    case REG_A:
        write_control(rtc, REG_A, value & ~A_UIP);
        break;
    case REG_B: /* SET clears UIE. MC146818, "Register B" */
        write_control(rtc, REG_B, value & B_SET ? value & ~B_UIE : value);
        break;
    case REG_C:
    case REG_D:
        return; /* read-only */
    default:
        catch_up(rtc); /* by the alarm as it was until now */
        if (is_time(index)) {
            write_time(rtc, index, value);
        } else {
            rtc->cmos[index] = value;
        }
        break;
    }
    update(rtc);
}

/* ---- the two ports */

static uint8_t read_port(struct rtc_cmos *rtc, uint64_t port)
{
    if (port == 0) {
        return 0xff; /* the index cannot be read back */
    }
    pthread_mutex_lock(&rtc->lock);
    unsigned index = rtc->index & (RTC_CMOS_SIZE - 1);
    uint8_t value = read_register(rtc, index);
    pthread_mutex_unlock(&rtc->lock);
    trace_rtc_read(index, value);
    return value;
}

static void write_port(struct rtc_cmos *rtc, uint64_t port, uint8_t value)
{
    pthread_mutex_lock(&rtc->lock);
    if (port == 0) {
        rtc->index = value;
    } else {
        unsigned index = rtc->index & (RTC_CMOS_SIZE - 1);
        trace_rtc_write(index, value);
        write_register(rtc, index, value);
    }
    pthread_mutex_unlock(&rtc->lock);
}

static uint64_t region_read(void *opaque, uint64_t offset, unsigned size)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < size; i++) {
        value |= (uint64_t)read_port(opaque, offset + i) << 8 * i;
    }
    return value;
}

static void region_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    for (unsigned i = 0; i < size; i++) {
        write_port(opaque, offset + i, value >> 8 * i);
    }
}

static const struct bus_ops region_ops = {.read = region_read, .write = region_write};

/* ---- life */

static void put_bytes(struct rtc_cmos *rtc, unsigned index, unsigned count, uint64_t value)
{
    uint64_t limit = (1ull << 8 * count) - 1;
    value = value < limit ? value : limit;
    for (unsigned i = 0; i < count; i++) {
        rtc->cmos[index + i] = value >> 8 * i;
    }
}

static uint64_t bytes_above(uint64_t end, uint64_t start)
{
    return end > start ? end - start : 0;
}

/* What a BIOS would have written for the operating system to read. */
static void fill_ram(struct rtc_cmos *rtc)
{
    uint64_t below_4g = rtc->config.ram_below_4g;
    uint64_t extended_kib = bytes_above(below_4g, 1 << 20) >> 10;
    rtc->cmos[CMOS_EQUIPMENT] = EQUIPMENT_FPU;
    put_bytes(rtc, CMOS_BASE_KIB, 2, BASE_KIB);
    put_bytes(rtc, CMOS_EXTENDED_KIB, 2, extended_kib);
    put_bytes(rtc, CMOS_EXTENDED_KIB_2, 2, extended_kib);
    put_bytes(rtc, CMOS_ABOVE_16M, 2, bytes_above(below_4g, 16 << 20) >> 16);
    put_bytes(rtc, CMOS_ABOVE_4G, 3, rtc->config.ram_above_4g >> 16);
    unsigned sum = 0;
    for (unsigned i = 0x10; i < CMOS_CHECKSUM; i++) {
        sum += rtc->cmos[i];
    }
    rtc->cmos[CMOS_CHECKSUM] = sum >> 8;
    rtc->cmos[CMOS_CHECKSUM + 1] = sum;
}

/*
 * The RESET pin leaves registers A and B's formats alone; firmware would set them, and start a
 * clock that the guest before left standing. There is none, so it is done here.
 */
void rtc_cmos_reset(struct rtc_cmos *rtc)
{
    pthread_mutex_lock(&rtc->lock);
    write_control(rtc, REG_A, A_BIOS);
    write_control(rtc, REG_B, rtc->cmos[REG_B] & ~(B_SET | B_PIE | B_AIE | B_UIE | B_SQWE));
    write_control(rtc, REG_B, B_BIOS);
    rtc->cmos[REG_C] = 0;
    rtc->index = 0;
    update(rtc);
    pthread_mutex_unlock(&rtc->lock);
}

static int64_t host_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

static void start(struct rtc_cmos *rtc)
{
    rtc->cmos[REG_A] = A_BIOS;
    rtc->cmos[REG_B] = B_BIOS;
    rtc->cmos[REG_D] = D_VRT;
    rtc->update_seen = guest_seconds(rtc);
    rtc->period_seen = period_now(rtc);
    fill_ram(rtc);
}

static int add_region(struct rtc_cmos *rtc, struct error *err)
{
    rtc->region = (struct bus_region){.name = "rtc",
                                      .size = RTC_PORTS,
                                      .priority = BUS_PRIORITY_FIXED,
                                      .ops = &region_ops,
                                      .opaque = rtc};
    return bus_add(rtc->config.bus, &rtc->region, RTC_PORT, err);
}

int rtc_cmos_init(struct rtc_cmos *rtc, const struct rtc_cmos_config *config, struct error *err)
{
    memset(rtc, 0, sizeof(*rtc));
    rtc->config = *config;
    if (!rtc->config.clock) {
        rtc->config.clock = host_clock;
    }
    int rc = event_timer_init(&rtc->timer, config->loop, rtc_cmos_timer_expired, rtc);
    if (rc < 0) {
        return error_set(err, rc, "rtc: cannot create a timer: %s", strerror(-rc));
    }
    pthread_mutex_init(&rtc->lock, NULL);
    start(rtc);
    rc = add_region(rtc, err);
    if (rc < 0) {
        pthread_mutex_destroy(&rtc->lock);
        event_timer_destroy(&rtc->timer);
    }
    return rc;
}

void rtc_cmos_destroy(struct rtc_cmos *rtc)
{
    bus_remove(&rtc->region);
    event_timer_destroy(&rtc->timer);
    pthread_mutex_destroy(&rtc->lock);
}

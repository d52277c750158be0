/* SPDX-License-Identifier: MIT */
/* The MC146818: formats, setting, update cycles, alarm, periodic interrupt, RAM. */
#include "platform_fixture.h"

#include <time.h>

#include "devices/rtc_cmos.h"

enum { SECONDS, SECONDS_ALARM, MINUTES, MINUTES_ALARM, HOURS, HOURS_ALARM, WEEKDAY, DAY, MONTH };
enum { YEAR = 9, A, B, C, D, SHUTDOWN = 0x0f, CENTURY = 0x32 };
enum { UIP = 0x80, SET = 0x80, PIE = 0x40, AIE = 0x20, UIE = 0x10, BINARY = 0x04, H24 = 0x02 };
enum { IRQF = 0x80, PF = 0x40, AF = 0x20, UF = 0x10 };

static const int64_t second = 1000000000;
static const int64_t millisecond = 1000000;
static const int64_t hour = 3600000000000;

struct rig {
    struct platform_fixture fixture; /* first */
    struct rtc_cmos rtc;
};

static int64_t now_ns;

static int64_t test_clock(void)
{
    return now_ns;
}

/* 2024-02-29 13:59:58 UTC, a Thursday. */
static int64_t leap_day(void)
{
    return 1709215198 * second;
}

static int setup(void **state)
{
    struct rig *rig = malloc(sizeof(*rig));
    struct error err = {0};
    fixture_init(&rig->fixture);
    struct rtc_cmos_config config = {.bus = &rig->fixture.vm.pio,
                                     .irq = &rig->fixture.irq.chip,
                                     .loop = &rig->fixture.vm.loop,
                                     .ram_below_4g = 2048ull << 20,
                                     .ram_above_4g = 0x123456ull << 16,
                                     .clock = test_clock};
    now_ns = leap_day();
    assert_int_equal(rtc_cmos_init(&rig->rtc, &config, &err), 0);
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    struct rig *rig = *state;
    rtc_cmos_destroy(&rig->rtc);
    fixture_destroy(&rig->fixture);
    free(rig);
    return 0;
}

static uint8_t get(struct rig *rig, uint8_t index)
{
    outb(&rig->fixture, 0x70, index);
    return inb(&rig->fixture, 0x71);
}

static void put(struct rig *rig, uint8_t index, uint8_t value)
{
    outb(&rig->fixture, 0x70, index);
    outb(&rig->fixture, 0x71, value);
}

static bool irq(struct rig *rig)
{
    return rig->fixture.irq.level[8];
}

static void assert_time(struct rig *rig, const uint8_t expected[8])
{
    static const uint8_t registers[8] = {CENTURY, YEAR,  MONTH,   DAY,
                                         WEEKDAY, HOURS, MINUTES, SECONDS};
    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal(get(rig, registers[i]), expected[i]);
    }
}

static void set_time(struct rig *rig, const uint8_t fields[8])
{
    static const uint8_t registers[8] = {CENTURY, YEAR,  MONTH,   DAY,
                                         WEEKDAY, HOURS, MINUTES, SECONDS};
    put(rig, B, get(rig, B) | SET);
    for (unsigned i = 0; i < 8; i++) {
        put(rig, registers[i], fields[i]);
    }
    put(rig, B, get(rig, B) & ~SET);
}

#define FIELDS(...) ((const uint8_t[8]){__VA_ARGS__})

/* Let time pass in the small steps that a running timer would see. */
static void pass(struct rig *rig, int64_t ns)
{
    int64_t end = now_ns + ns;
    while (rig->rtc.deadline_ns && rig->rtc.deadline_ns <= end) {
        now_ns = rig->rtc.deadline_ns > now_ns ? rig->rtc.deadline_ns : now_ns;
        rtc_cmos_timer_expired(&rig->rtc);
    }
    now_ns = end;
}

static void tells_the_hosts_time(void **state)
{
    struct rig *rig = *state;
    assert_time(rig, FIELDS(0x20, 0x24, 0x02, 0x29, 5, 0x13, 0x59, 0x58));
    now_ns += 2 * second;
    assert_time(rig, FIELDS(0x20, 0x24, 0x02, 0x29, 5, 0x14, 0x00, 0x00));
    now_ns += 10 * hour;
    assert_time(rig, FIELDS(0x20, 0x24, 0x03, 0x01, 6, 0x00, 0x00, 0x00));
}

static void binary_and_12_hours(void **state)
{
    struct rig *rig = *state;
    put(rig, B, BINARY | H24);
    assert_time(rig, FIELDS(20, 24, 2, 29, 5, 13, 59, 58));
    put(rig, B, BINARY);
    assert_int_equal(get(rig, HOURS), 0x80 | 1);
    put(rig, B, 0);
    assert_int_equal(get(rig, HOURS), 0x80 | 0x01);
    now_ns += 10 * hour; /* 23:59 */
    assert_int_equal(get(rig, HOURS), 0x80 | 0x11);
    now_ns += hour; /* 00:59 */
    assert_int_equal(get(rig, HOURS), 0x12);
    now_ns += 12 * hour; /* 12:59 */
    assert_int_equal(get(rig, HOURS), 0x80 | 0x12);
}

static void noon_and_midnight_on_the_dial(void **state)
{
    struct rig *rig = *state;
    put(rig, B, BINARY);
    put(rig, HOURS, 12);
    put(rig, B, BINARY | H24);
    assert_int_equal(get(rig, HOURS), 0);
    put(rig, B, BINARY);
    put(rig, HOURS, 0x80 | 12);
    put(rig, B, BINARY | H24);
    assert_int_equal(get(rig, HOURS), 12);
}

/* The calendar against the C library's, from year 1 to 9999. */
static void every_date(void **state)
{
    struct rig *rig = *state;
    put(rig, B, BINARY | H24);
    for (int64_t day = -719162; day < 2932896; day += 1231) {
        time_t when = day * 86400 + 10800; /* 3 o'clock */
        struct tm tm;
        assert_non_null(gmtime_r(&when, &tm));
        int year = tm.tm_year + 1900;
        const uint8_t fields[8] = {
            year / 100, year % 100, tm.tm_mon + 1, tm.tm_mday, tm.tm_wday + 1, 3, 0, 0};
        set_time(rig, fields);
        assert_int_equal(rig->rtc.weekday_shift, 0);
        assert_int_equal(rig->rtc.offset_s + now_ns / second, when);
        assert_time(rig, fields);
    }
}

static void setting_takes_effect_at_the_end(void **state)
{
    struct rig *rig = *state;
    now_ns += 300 * millisecond;
    put(rig, B, H24 | SET);
    now_ns += 5 * second; /* the clock stands */
    assert_time(rig, FIELDS(0x20, 0x24, 0x02, 0x29, 5, 0x13, 0x59, 0x58));
    put(rig, CENTURY, 0x19);
    put(rig, YEAR, 0x99);
    put(rig, MONTH, 0x12);
    put(rig, DAY, 0x31);
    put(rig, WEEKDAY, 0x06);
    put(rig, HOURS, 0x23);
    put(rig, MINUTES, 0x59);
    put(rig, SECONDS, 0x59);
    put(rig, B, H24);
    assert_time(rig, FIELDS(0x19, 0x99, 0x12, 0x31, 6, 0x23, 0x59, 0x59));
    now_ns += 700 * millisecond; /* the divider chain went on */
    assert_time(rig, FIELDS(0x20, 0x00, 0x01, 0x01, 7, 0x00, 0x00, 0x00));
}

/* Time that was jumped over has not passed: no update, no alarm. */
static void setting_sets_no_flags(void **state)
{
    struct rig *rig = *state;
    put(rig, HOURS_ALARM, 0x15);
    put(rig, MINUTES_ALARM, 0xff);
    put(rig, SECONDS_ALARM, 0xff);
    get(rig, C);
    put(rig, HOURS, 0x16);
    assert_int_equal(get(rig, C) & (UF | AF), 0);
    set_time(rig, FIELDS(0x20, 0x24, 0x02, 0x29, 5, 0x14, 0x00, 0x00));
    assert_int_equal(get(rig, C) & (UF | AF), 0);
}

static void a_running_clock_can_be_set(void **state)
{
    struct rig *rig = *state;
    put(rig, HOURS, 0x03);
    put(rig, SECONDS, 0x10);
    assert_time(rig, FIELDS(0x20, 0x24, 0x02, 0x29, 5, 0x03, 0x59, 0x10));
}

static void a_guest_may_number_its_weekdays(void **state)
{
    struct rig *rig = *state;
    put(rig, WEEKDAY, 1);
    assert_int_equal(get(rig, WEEKDAY), 1);
    now_ns += 86400 * second;
    assert_int_equal(get(rig, WEEKDAY), 2);
}

static void nonsense_is_survived(void **state)
{
    struct rig *rig = *state;
    for (unsigned value = 0; value < 256; value += 5) {
        const uint8_t fields[8] = {value, value, value, value, value, value, value, value};
        set_time(rig, fields);
        for (unsigned i = 0; i < 10; i++) {
            get(rig, i);
        }
        now_ns += second;
    }
    put(rig, B, SET | H24);
    put(rig, MONTH, 0xff);
    assert_int_equal(get(rig, MONTH), 0xff); /* while it stands, a byte is a byte */
}

static void update_in_progress(void **state)
{
    struct rig *rig = *state;
    now_ns += 997 * millisecond;
    assert_int_equal(get(rig, A), 0x26);
    now_ns += 2 * millisecond;
    assert_int_equal(get(rig, A), 0x26 | UIP);
    put(rig, B, H24 | SET);
    assert_int_equal(get(rig, A), 0x26);
    put(rig, B, H24);
    now_ns += millisecond;
    assert_int_equal(get(rig, A), 0x26);
    put(rig, A, 0xff);
    assert_int_equal(get(rig, A), 0x7f);
}

/* What Linux does: SET, hold the divider, write, release both. */
static void the_divider_restarts_half_a_second_before(void **state)
{
    struct rig *rig = *state;
    now_ns += 900 * millisecond;
    put(rig, B, H24 | SET);
    put(rig, A, 0x76);
    put(rig, SECONDS, 0x30);
    put(rig, B, H24);
    now_ns += 3 * second; /* still held */
    assert_int_equal(get(rig, SECONDS), 0x30);
    put(rig, A, 0x26);
    now_ns += 499 * millisecond;
    assert_int_equal(get(rig, SECONDS), 0x30);
    now_ns += 2 * millisecond;
    assert_int_equal(get(rig, SECONDS), 0x31);
}

static void update_ended_interrupt(void **state)
{
    struct rig *rig = *state;
    now_ns += 250 * millisecond;
    put(rig, B, H24 | UIE);
    assert_int_equal(rig->rtc.deadline_ns, leap_day() + second);
    pass(rig, 749 * millisecond);
    assert_false(irq(rig));
    pass(rig, millisecond);
    assert_true(irq(rig));
    assert_int_equal(rig->rtc.deadline_ns, 0); /* nothing to wait for until it is acknowledged */
    assert_int_equal(get(rig, C) & ~PF, IRQF | UF);
    assert_false(irq(rig));
    assert_int_equal(get(rig, C), 0);
    pass(rig, 5 * second);
    assert_int_equal(rig->fixture.irq.rises[8], 2);
    put(rig, B, H24 | SET | UIE); /* SET clears UIE */
    assert_int_equal(get(rig, B), H24 | SET);
    assert_false(irq(rig));
}

static void flags_without_interrupts(void **state)
{
    struct rig *rig = *state;
    get(rig, C);
    assert_int_equal(get(rig, C), 0);
    now_ns += second;
    assert_int_equal(get(rig, C) & (UF | PF | IRQF), UF | PF);
    assert_int_equal(rig->fixture.irq.rises[8], 0);
    now_ns += second;
    put(rig, B, H24 | UIE); /* the flag is older than its enable: the interrupt comes at once */
    assert_true(irq(rig));
}

static void alarm_at_a_time(void **state)
{
    struct rig *rig = *state;
    put(rig, HOURS_ALARM, 0x14);
    put(rig, MINUTES_ALARM, 0x01);
    put(rig, SECONDS_ALARM, 0x30);
    put(rig, B, H24 | AIE);
    assert_int_equal(rig->rtc.deadline_ns, leap_day() + 92 * second);
    pass(rig, 91 * second);
    assert_false(irq(rig));
    pass(rig, second);
    assert_true(irq(rig));
    assert_int_equal(get(rig, C) & (IRQF | AF), IRQF | AF);
    assert_int_equal(rig->rtc.deadline_ns, leap_day() + (92 + 86400) * second);
}

static void alarm_now_is_tomorrow(void **state)
{
    struct rig *rig = *state;
    put(rig, HOURS_ALARM, 0x13);
    put(rig, MINUTES_ALARM, 0x59);
    put(rig, SECONDS_ALARM, 0x58);
    put(rig, B, H24 | AIE);
    assert_int_equal(rig->rtc.deadline_ns, leap_day() + 86400 * second);
}

static void alarm_wildcards(void **state)
{
    struct rig *rig = *state;
    put(rig, HOURS_ALARM, 0xff);
    put(rig, MINUTES_ALARM, 0xc0);
    put(rig, SECONDS_ALARM, 0x15);
    put(rig, B, H24 | AIE);
    assert_int_equal(rig->rtc.deadline_ns, leap_day() + 17 * second);
    put(rig, SECONDS_ALARM, 0xc1); /* each second */
    assert_int_equal(rig->rtc.deadline_ns, leap_day() + second);
    put(rig, MINUTES_ALARM, 0x10);
    assert_int_equal(rig->rtc.deadline_ns, leap_day() + (2 + 600) * second);
    put(rig, MINUTES_ALARM, 0x7f); /* never */
    assert_int_equal(rig->rtc.deadline_ns, 0);
}

/* An alarm that no second matches must not be searched for through a whole day at each access. */
static void alarm_never_costs_little(void **state)
{
    struct rig *rig = *state;
    struct timespec before;
    struct timespec after;
    put(rig, HOURS_ALARM, 0xff);
    put(rig, MINUTES_ALARM, 0xff);
    put(rig, SECONDS_ALARM, 0x7f);
    put(rig, B, H24 | AIE);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
    for (unsigned i = 0; i < 5000; i++) {
        put(rig, 0x40, 0);
    }
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
    assert_int_equal(rig->rtc.deadline_ns, 0);
    assert_in_range(after.tv_sec - before.tv_sec, 0, 1);
}

static void alarm_in_12_hours(void **state)
{
    struct rig *rig = *state;
    put(rig, B, AIE | BINARY);
    put(rig, HOURS_ALARM, 0x80 | 2);
    put(rig, MINUTES_ALARM, 0);
    put(rig, SECONDS_ALARM, 0);
    assert_int_equal(rig->rtc.deadline_ns, leap_day() + 2 * second);
    put(rig, HOURS_ALARM, 2); /* in the morning */
    assert_int_equal(rig->rtc.deadline_ns, leap_day() + 12 * hour + 2 * second);
}

static void periodic_rates(void **state)
{
    struct rig *rig = *state;
    static const unsigned hz[16] = {0,   256, 128, 8192, 4096, 2048, 1024, 512,
                                    256, 128, 64,  32,   16,   8,    4,    2};
    for (unsigned rs = 0; rs < 16; rs++) {
        unsigned count = 0;
        put(rig, A, 0x20 | rs);
        get(rig, C);
        put(rig, B, H24 | PIE);
        for (int64_t end = now_ns + second; rig->rtc.deadline_ns;) {
            if (rig->rtc.deadline_ns > end) {
                break;
            }
            pass(rig, rig->rtc.deadline_ns - now_ns);
            assert_true(irq(rig));
            assert_int_equal(get(rig, C) & (IRQF | PF), IRQF | PF);
            count++;
        }
        put(rig, B, H24);
        assert_int_equal(count, hz[rs]);
    }
}

static void an_early_timer_is_set_again(void **state)
{
    struct rig *rig = *state;
    put(rig, B, H24 | UIE);
    int64_t deadline = rig->rtc.deadline_ns;
    rtc_cmos_timer_expired(&rig->rtc);
    assert_false(irq(rig));
    assert_int_equal(rig->rtc.deadline_ns, deadline);
}

static void the_hosts_clock_goes_back(void **state)
{
    struct rig *rig = *state;
    get(rig, C);
    now_ns -= hour;
    assert_time(rig, FIELDS(0x20, 0x24, 0x02, 0x29, 5, 0x12, 0x59, 0x58));
    put(rig, B, H24 | UIE);
    pass(rig, 2 * second);
    assert_true(irq(rig));
}

static void read_only_registers(void **state)
{
    struct rig *rig = *state;
    put(rig, D, 0);
    assert_int_equal(get(rig, D), 0x80);
    put(rig, C, 0xff);
    assert_int_equal(get(rig, C), 0);
}

static void ram_and_index(void **state)
{
    struct rig *rig = *state;
    for (unsigned i = 0x0e; i < 0x80; i++) {
        if (i != CENTURY) {
            put(rig, i, i ^ 0x5a);
        }
    }
    for (unsigned i = 0x0e; i < 0x80; i++) {
        if (i != CENTURY) {
            assert_int_equal(get(rig, 0x80 | i), i ^ 0x5a); /* bit 7 masks NMI, not more */
        }
    }
    assert_int_equal(inb(&rig->fixture, 0x70), 0xff);
    out(&rig->fixture, 0x70, 2, 0x330f); /* index and data in one access */
    assert_int_equal(get(rig, SHUTDOWN), 0x33);
    assert_int_equal(in(&rig->fixture, 0x70, 2), 0x33ff);
}

static void memory_sizes(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(get(rig, 0x15) | get(rig, 0x16) << 8, 640);
    assert_int_equal(get(rig, 0x17) | get(rig, 0x18) << 8, 0xffff); /* capped */
    assert_int_equal(get(rig, 0x30) | get(rig, 0x31) << 8, 0xffff);
    assert_int_equal(get(rig, 0x34) | get(rig, 0x35) << 8, (2048 - 16) * 16);
    assert_int_equal(get(rig, 0x5b) | get(rig, 0x5c) << 8 | get(rig, 0x5d) << 16, 0x123456);
    unsigned sum = 0;
    for (unsigned i = 0x10; i < 0x2e; i++) {
        sum += get(rig, i);
    }
    assert_int_equal(get(rig, 0x2e) << 8 | get(rig, 0x2f), sum);
}

static void reset_keeps_time_and_ram(void **state)
{
    struct rig *rig = *state;
    put(rig, SHUTDOWN, 0x99);
    put(rig, HOURS, 0x05);
    put(rig, B, H24 | UIE | BINARY);
    now_ns += second;
    rtc_cmos_timer_expired(&rig->rtc);
    assert_true(irq(rig));
    rtc_cmos_reset(&rig->rtc);
    assert_false(irq(rig));
    assert_int_equal(get(rig, B), H24);
    assert_int_equal(get(rig, C), 0);
    assert_int_equal(get(rig, SHUTDOWN), 0x99);
    assert_time(rig, FIELDS(0x20, 0x24, 0x02, 0x29, 5, 0x05, 0x59, 0x59));
    now_ns += 2 * second;
    assert_int_equal(rig->rtc.deadline_ns, 0);
}

static void reset_starts_a_clock_that_stands(void **state)
{
    struct rig *rig = *state;
    put(rig, B, H24 | BINARY);
    put(rig, B, H24 | BINARY | SET);
    put(rig, A, 0x76);
    put(rig, MINUTES, 17);
    rtc_cmos_reset(&rig->rtc);
    now_ns += second;
    assert_time(rig, FIELDS(0x20, 0x24, 0x02, 0x29, 5, 0x13, 0x17, 0x59));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(tells_the_hosts_time),
        TEST(binary_and_12_hours),
        TEST(noon_and_midnight_on_the_dial),
        TEST(every_date),
        TEST(setting_takes_effect_at_the_end),
        TEST(setting_sets_no_flags),
        TEST(a_running_clock_can_be_set),
        TEST(a_guest_may_number_its_weekdays),
        TEST(nonsense_is_survived),
        TEST(update_in_progress),
        TEST(the_divider_restarts_half_a_second_before),
        TEST(update_ended_interrupt),
        TEST(flags_without_interrupts),
        TEST(alarm_at_a_time),
        TEST(alarm_now_is_tomorrow),
        TEST(alarm_wildcards),
        TEST(alarm_never_costs_little),
        TEST(alarm_in_12_hours),
        TEST(periodic_rates),
        TEST(an_early_timer_is_set_again),
        TEST(the_hosts_clock_goes_back),
        TEST(read_only_registers),
        TEST(ram_and_index),
        TEST(memory_sizes),
        TEST(reset_keeps_time_and_ram),
        TEST(reset_starts_a_clock_that_stands),
    };
    return cmocka_run_group_tests_name("rtc_cmos", tests, NULL, NULL);
}

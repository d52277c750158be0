/* SPDX-License-Identifier: MIT */
/* The PL031: the time, setting it, the alarm. */
#include "platform_fixture.h"

#include <errno.h>
#include <sys/timerfd.h>
#include <time.h>

#include "devices/pl031.h"

enum { BASE = 0x9000, GSI = 2 };
enum {
    DR = BASE,
    MR = BASE + 0x04,
    LR = BASE + 0x08,
    CR = BASE + 0x0c,
    IMSC = BASE + 0x10,
    RIS = BASE + 0x14,
    MIS = BASE + 0x18,
    ICR = BASE + 0x1c,
    ID = BASE + 0xfe0,
};

static const int64_t second = 1000000000;
static const int64_t start_s = 1900000000;

struct rig {
    struct platform_fixture fixture; /* first */
    struct pl031 rtc;
};

static int64_t now_ns;

static int64_t test_clock(void)
{
    return now_ns;
}

static uint32_t get(struct rig *rig, uint64_t reg)
{
    return (uint32_t)in(&rig->fixture, reg, 4);
}

static void put(struct rig *rig, uint64_t reg, uint32_t value)
{
    out(&rig->fixture, reg, 4, value);
}

static bool pin(struct rig *rig)
{
    return rig->fixture.irq.level[GSI];
}

static int setup(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    struct pl031_config config = {.bus = &rig->fixture.vm.pio,
                                  .base = BASE,
                                  .irq = &rig->fixture.irq.chip,
                                  .gsi = GSI,
                                  .loop = &rig->fixture.vm.loop,
                                  .clock = test_clock};
    struct error err = {0};
    fixture_init(&rig->fixture);
    now_ns = start_s * second + second / 2;
    assert_int_equal(pl031_init(&rig->rtc, &config, &err), 0);
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    struct rig *rig = *state;
    pl031_destroy(&rig->rtc);
    fixture_destroy(&rig->fixture);
    free(rig);
    return 0;
}

static void shows_the_hosts_time(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(get(rig, DR), start_s);
    now_ns += second / 2 - 1;
    assert_int_equal(get(rig, DR), start_s);
    now_ns += 1;
    assert_int_equal(get(rig, DR), start_s + 1);
    assert_int_equal(get(rig, CR), 1);
    put(rig, CR, 0); /* cannot be stopped */
    put(rig, DR, 5); /* cannot be written */
    now_ns += second;
    assert_int_equal(get(rig, DR), start_s + 2);
    assert_int_equal(get(rig, CR), 1);
}

static void identification(void **state)
{
    struct rig *rig = *state;
    const uint8_t ids[] = {0x31, 0x10, 0x04, 0x00, 0x0d, 0xf0, 0x05, 0xb1};
    for (unsigned i = 0; i < sizeof(ids); i++) {
        assert_int_equal(get(rig, ID + 4 * i), ids[i]);
    }
    assert_int_equal(in(&rig->fixture, ID, 8), 0x1000000031);
}

static void can_be_set(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(get(rig, LR), 0);
    put(rig, LR, 1000);
    assert_int_equal(get(rig, LR), 1000);
    assert_int_equal(get(rig, DR), 1000);
    now_ns += second - 1; /* a whole second passes until the next */
    assert_int_equal(get(rig, DR), 1000);
    now_ns += 1;
    assert_int_equal(get(rig, DR), 1001);
    put(rig, LR, UINT32_MAX);
    assert_int_equal(get(rig, DR), UINT32_MAX);
    now_ns += second;
    assert_int_equal(get(rig, DR), 0);
}

static void the_time_survives_a_reset(void **state)
{
    struct rig *rig = *state;
    put(rig, LR, 1000);
    put(rig, IMSC, 1);
    put(rig, MR, 1000);
    assert_true(pin(rig));
    pl031_reset(&rig->rtc);
    assert_false(pin(rig));
    assert_int_equal(get(rig, DR), 1000);
    assert_int_equal(get(rig, LR), 1000);
    assert_int_equal(get(rig, MR), 0);
    assert_int_equal(get(rig, IMSC), 0);
    assert_int_equal(get(rig, RIS), 0);
}

static void the_alarm_comes_once(void **state)
{
    struct rig *rig = *state;
    put(rig, IMSC, 1);
    put(rig, MR, (uint32_t)start_s + 2);
    now_ns += second; /* half a second too early */
    pl031_timer_expired(&rig->rtc);
    assert_false(pin(rig));
    now_ns += second / 2;
    pl031_timer_expired(&rig->rtc);
    assert_true(pin(rig));
    assert_int_equal(get(rig, RIS), 1);
    assert_int_equal(get(rig, MIS), 1);
    put(rig, ICR, 0);
    assert_true(pin(rig));
    put(rig, ICR, 1);
    assert_false(pin(rig));
    pl031_timer_expired(&rig->rtc); /* still the same second */
    assert_false(pin(rig));
}

/* Nanoseconds until the timer calls back; 0: it is not set. */
static int64_t timer_left(struct rig *rig)
{
    struct itimerspec left;
    assert_int_equal(timerfd_gettime(rig->rtc.timer.source.fd, &left), 0);
    return left.it_value.tv_sec * second + left.it_value.tv_nsec;
}

static void expect_timer(struct rig *rig, int64_t expected)
{
    int64_t left = timer_left(rig);
    assert_true(left <= expected && left > expected - second / 4);
}

static void the_timer_is_set_for_the_alarm(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(timer_left(rig), 0);
    put(rig, MR, (uint32_t)start_s + 10);
    expect_timer(rig, 10 * second - second / 2);
    now_ns += 3 * second;
    put(rig, IMSC, 1); /* any write looks again */
    expect_timer(rig, 7 * second - second / 2);
    put(rig, MR, (uint32_t)start_s + 100000); /* far away: an hour at a time */
    expect_timer(rig, 3600 * second);
    put(rig, MR, (uint32_t)start_s - 1); /* in 136 years */
    expect_timer(rig, 3600 * second);
    pl031_reset(&rig->rtc);
    assert_int_equal(timer_left(rig), 0);
}

static void the_default_clock_is_the_hosts(void **state)
{
    struct rig *rig = *state;
    struct pl031 other;
    struct pl031_config config = rig->rtc.config;
    struct error err = {0};
    config.clock = NULL;
    config.base = BASE + 0x1000;
    assert_int_equal(pl031_init(&other, &config, &err), 0);
    int64_t shown = get(rig, config.base);
    assert_true(shown >= time(NULL) - 2 && shown <= time(NULL));
    pl031_destroy(&other);
}

static void two_at_one_place_are_refused(void **state)
{
    struct rig *rig = *state;
    struct pl031 other;
    struct error err = {0};
    assert_int_equal(pl031_init(&other, &rig->rtc.config, &err), -EEXIST);
    assert_non_null(strstr(err.text, "pl031"));
}

static void the_alarm_can_be_masked(void **state)
{
    struct rig *rig = *state;
    put(rig, MR, (uint32_t)start_s);
    assert_false(pin(rig));
    assert_int_equal(get(rig, RIS), 1);
    assert_int_equal(get(rig, MIS), 0);
    put(rig, IMSC, 0xff);
    assert_int_equal(get(rig, IMSC), 1);
    assert_true(pin(rig));
    put(rig, IMSC, 0);
    assert_false(pin(rig));
}

/* The process stood still while the alarm's second came and went: late is better than never. */
static void an_alarm_that_was_slept_through_comes(void **state)
{
    struct rig *rig = *state;
    put(rig, IMSC, 1);
    put(rig, MR, start_s + 5);
    now_ns += 7 * second;
    pl031_timer_expired(&rig->rtc);
    assert_true(pin(rig));
    put(rig, ICR, 1);
    put(rig, MR, start_s + 6); /* behind us: not before the counter has wrapped */
    now_ns += second;
    pl031_timer_expired(&rig->rtc);
    assert_false(pin(rig));
}

/* Time that was jumped over has not passed, by the guest's hand or the host's. */
static void an_alarm_that_was_jumped_over_does_not_come(void **state)
{
    struct rig *rig = *state;
    put(rig, IMSC, 1);
    put(rig, MR, start_s + 5);
    put(rig, LR, start_s + 10);
    assert_false(pin(rig));
    put(rig, LR, start_s);
    now_ns -= 100 * second; /* the host's clock is set back */
    pl031_timer_expired(&rig->rtc);
    assert_false(pin(rig));
    now_ns += 105 * second;
    pl031_timer_expired(&rig->rtc);
    assert_true(pin(rig));
}

static void setting_the_time_may_reach_the_alarm(void **state)
{
    struct rig *rig = *state;
    put(rig, IMSC, 1);
    put(rig, MR, 77);
    assert_false(pin(rig));
    put(rig, LR, 77);
    assert_true(pin(rig));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(shows_the_hosts_time),
        TEST(identification),
        TEST(can_be_set),
        TEST(the_time_survives_a_reset),
        TEST(the_alarm_comes_once),
        TEST(the_timer_is_set_for_the_alarm),
        TEST(the_default_clock_is_the_hosts),
        TEST(two_at_one_place_are_refused),
        TEST(the_alarm_can_be_masked),
        TEST(an_alarm_that_was_slept_through_comes),
        TEST(an_alarm_that_was_jumped_over_does_not_come),
        TEST(setting_the_time_may_reach_the_alarm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

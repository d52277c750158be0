/* SPDX-License-Identifier: MIT */
/* The PL061: its pins, what makes an interrupt, the key. */
#include "platform_fixture.h"

#include <errno.h>
#include <sys/timerfd.h>

#include "devices/pl061.h"

enum { BASE = 0x9000, GSI = 7, KEY = 3, KEY_BIT = 1 << KEY };
enum {
    DIR = BASE + 0x400,
    IS = BASE + 0x404,
    IBE = BASE + 0x408,
    IEV = BASE + 0x40c,
    IE = BASE + 0x410,
    RIS = BASE + 0x414,
    MIS = BASE + 0x418,
    IC = BASE + 0x41c,
    AFSEL = BASE + 0x420,
    ID = BASE + 0xfe0,
};

struct rig {
    struct platform_fixture fixture; /* first */
    struct pl061 gpio;
};

/* The DATA register under a mask. */
static uint64_t data(uint8_t mask)
{
    return BASE + ((uint64_t)mask << 2);
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

static void press(struct rig *rig)
{
    pl061_press_key(&rig->gpio);
}

static void release(struct rig *rig)
{
    pl061_timer_expired(&rig->gpio);
}

static int setup(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    struct pl061_config config = {.bus = &rig->fixture.vm.pio,
                                  .base = BASE,
                                  .irq = &rig->fixture.irq.chip,
                                  .gsi = GSI,
                                  .loop = &rig->fixture.vm.loop,
                                  .key = KEY};
    struct error err = {0};
    fixture_init(&rig->fixture);
    assert_int_equal(pl061_init(&rig->gpio, &config, &err), 0);
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    struct rig *rig = *state;
    pl061_destroy(&rig->gpio);
    fixture_destroy(&rig->fixture);
    free(rig);
    return 0;
}

static void identification(void **state)
{
    struct rig *rig = *state;
    const uint8_t ids[] = {0x61, 0x10, 0x04, 0x00, 0x0d, 0xf0, 0x05, 0xb1};
    for (unsigned i = 0; i < sizeof(ids); i++) {
        assert_int_equal(get(rig, ID + 4 * i), ids[i]);
    }
}

static void registers_have_eight_bits(void **state)
{
    struct rig *rig = *state;
    static const uint64_t stored[] = {DIR, IS, IBE, IEV, IE, AFSEL};
    for (unsigned i = 0; i < sizeof(stored) / sizeof(stored[0]); i++) {
        assert_int_equal(get(rig, stored[i]), 0);
        put(rig, stored[i], 0x1a5);
        assert_int_equal(get(rig, stored[i]), 0xa5);
        put(rig, stored[i], 0);
    }
    put(rig, IC, 0xff);  /* what stood there before may have looked like an edge */
    put(rig, RIS, 0xff); /* read-only */
    put(rig, MIS, 0xff);
    assert_int_equal(get(rig, RIS), 0);
    assert_int_equal(get(rig, MIS), 0);
    assert_int_equal(get(rig, BASE + 0x424), 0);
}

static void the_address_masks_the_data(void **state)
{
    struct rig *rig = *state;
    put(rig, DIR, 0xf0);
    put(rig, data(0x30), 0xff);
    assert_int_equal(get(rig, data(0xff)), 0x30);
    put(rig, data(0xf0), 0x90);
    assert_int_equal(get(rig, data(0xff)), 0x90);
    assert_int_equal(get(rig, data(0x1f)), 0x10);
    put(rig, data(0x0f), 0x0f); /* inputs: nobody sees it before they are outputs */
    assert_int_equal(get(rig, data(0xff)), 0x90);
    put(rig, DIR, 0xff);
    assert_int_equal(get(rig, data(0xff)), 0x9f);
    assert_int_equal(get(rig, data(0)), 0);
}

static void the_key_is_seen_at_its_pin(void **state)
{
    struct rig *rig = *state;
    struct itimerspec left;
    assert_int_equal(get(rig, data(0xff)), 0);
    press(rig);
    assert_int_equal(get(rig, data(0xff)), KEY_BIT);
    assert_int_equal(timerfd_gettime(rig->gpio.timer.source.fd, &left), 0);
    assert_true(left.it_value.tv_sec == 0 && left.it_value.tv_nsec > PL061_KEY_MS * 900000L / 2);
    press(rig); /* it is still down */
    assert_int_equal(get(rig, data(0xff)), KEY_BIT);
    release(rig);
    assert_int_equal(get(rig, data(0xff)), 0);
    assert_false(pin(rig)); /* nobody asked for an interrupt */
}

/* As Linux's gpio-keys has it. */
static void both_edges_of_the_key(void **state)
{
    struct rig *rig = *state;
    put(rig, IBE, KEY_BIT);
    put(rig, IE, KEY_BIT);
    press(rig);
    assert_true(pin(rig));
    assert_int_equal(get(rig, RIS), KEY_BIT);
    assert_int_equal(get(rig, MIS), KEY_BIT);
    put(rig, IC, (uint8_t)~KEY_BIT);
    assert_true(pin(rig));
    put(rig, IC, KEY_BIT);
    assert_false(pin(rig));
    release(rig);
    assert_true(pin(rig));
    put(rig, IC, KEY_BIT);
    assert_false(pin(rig));
}

static void one_edge(void **state)
{
    struct rig *rig = *state;
    put(rig, IE, KEY_BIT);
    press(rig); /* IEV 0: the falling one */
    assert_false(pin(rig));
    release(rig);
    assert_true(pin(rig));
    put(rig, IC, KEY_BIT);
    put(rig, IEV, KEY_BIT);
    press(rig);
    assert_true(pin(rig));
    put(rig, IC, KEY_BIT);
    release(rig);
    assert_false(pin(rig));
}

static void the_level(void **state)
{
    struct rig *rig = *state;
    put(rig, IS, KEY_BIT);
    put(rig, IEV, KEY_BIT);
    put(rig, IE, KEY_BIT);
    press(rig);
    assert_true(pin(rig));
    put(rig, IC, KEY_BIT); /* a level is not cleared */
    assert_true(pin(rig));
    release(rig);
    assert_false(pin(rig));
    press(rig);
    release(rig);
    put(rig, IEV, 0); /* low is the level now */
    assert_true(pin(rig));
    put(rig, IS, 0); /* and no edge is left over from it */
    assert_false(pin(rig));
}

static void an_edge_can_be_masked(void **state)
{
    struct rig *rig = *state;
    put(rig, IBE, 0xff);
    press(rig);
    assert_false(pin(rig));
    assert_int_equal(get(rig, RIS), KEY_BIT);
    assert_int_equal(get(rig, MIS), 0);
    put(rig, IE, KEY_BIT);
    assert_true(pin(rig));
    put(rig, IE, (uint8_t)~KEY_BIT);
    assert_false(pin(rig));
}

static void a_reset_releases_the_key(void **state)
{
    struct rig *rig = *state;
    struct itimerspec left;
    put(rig, IBE, 0xff);
    put(rig, IE, 0xff);
    put(rig, AFSEL, 1);
    press(rig);
    assert_true(pin(rig));
    pl061_reset(&rig->gpio);
    assert_false(pin(rig));
    assert_int_equal(get(rig, data(0xff)), 0);
    assert_int_equal(get(rig, RIS), 0);
    assert_int_equal(get(rig, IBE), 0);
    assert_int_equal(get(rig, IE), 0);
    assert_int_equal(get(rig, AFSEL), 0);
    assert_int_equal(timerfd_gettime(rig->gpio.timer.source.fd, &left), 0);
    assert_true(left.it_value.tv_sec == 0 && left.it_value.tv_nsec == 0);
}

static void two_at_one_place_are_refused(void **state)
{
    struct rig *rig = *state;
    struct pl061 other;
    struct error err = {0};
    assert_int_equal(pl061_init(&other, &rig->gpio.config, &err), -EEXIST);
    assert_non_null(strstr(err.text, "pl061"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(identification),
        TEST(registers_have_eight_bits),
        TEST(the_address_masks_the_data),
        TEST(the_key_is_seen_at_its_pin),
        TEST(both_edges_of_the_key),
        TEST(one_edge),
        TEST(the_level),
        TEST(an_edge_can_be_masked),
        TEST(a_reset_releases_the_key),
        TEST(two_at_one_place_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

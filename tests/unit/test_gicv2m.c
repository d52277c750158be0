/* SPDX-License-Identifier: MIT */
/* The GICv2m frame: what it says of itself, and that a write is an edge of the interrupt it names.
 */
#include "platform_fixture.h"

#include "devices/gicv2m.h"

enum { BASE = 0x8000, FIRST = 8, COUNT = 4, TYPER = BASE + 8, SETSPI = BASE + 0x40 };

struct rig {
    struct platform_fixture fixture; /* first */
    struct gicv2m frame;
};

static int setup(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    struct gicv2m_config config = {.bus = &rig->fixture.vm.pio,
                                   .base = BASE,
                                   .irq = &rig->fixture.irq.chip,
                                   .first = FIRST,
                                   .count = COUNT};
    struct error err = {0};
    fixture_init(&rig->fixture);
    assert_int_equal(gicv2m_init(&rig->frame, &config, &err), 0);
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    struct rig *rig = *state;
    gicv2m_destroy(&rig->frame);
    fixture_destroy(&rig->fixture);
    free(rig);
    return 0;
}

static unsigned edges(struct rig *rig)
{
    unsigned count = 0;
    for (unsigned pin = 0; pin < FAKE_PINS; pin++) {
        assert_false(rig->fixture.irq.level[pin]);
        assert_int_equal(rig->fixture.irq.rises[pin], rig->fixture.irq.falls[pin]);
        count += rig->fixture.irq.rises[pin];
    }
    return count;
}

static void says_which_interrupts_it_has(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(in(&rig->fixture, TYPER, 4), FIRST << 16 | COUNT);
    assert_int_equal(in(&rig->fixture, TYPER + 2, 2), FIRST);
    assert_int_equal(in(&rig->fixture, TYPER, 8), FIRST << 16 | COUNT);
    assert_int_equal(in(&rig->fixture, TYPER - 4, 8), (uint64_t)(FIRST << 16 | COUNT) << 32);
    assert_int_equal(in(&rig->fixture, TYPER - 3, 8), 0);
    out(&rig->fixture, TYPER, 4, 0);
    assert_int_equal(in(&rig->fixture, TYPER, 4), FIRST << 16 | COUNT);
    assert_int_equal(in(&rig->fixture, SETSPI, 4), 0);
    assert_int_equal(in(&rig->fixture, BASE + 0xfcc, 4), 0);
    assert_int_equal(edges(rig), 0);
}

static void a_write_is_an_edge(void **state)
{
    struct rig *rig = *state;
    for (unsigned i = 0; i < COUNT; i++) {
        out(&rig->fixture, SETSPI, 4, FIRST + i);
        assert_int_equal(rig->fixture.irq.rises[FIRST + i], 1);
    }
    out(&rig->fixture, SETSPI, 2, FIRST);
    out(&rig->fixture, SETSPI, 4, 0xfffffc00 | FIRST); /* ten bits count */
    assert_int_equal(rig->fixture.irq.rises[FIRST], 3);
    assert_int_equal(edges(rig), COUNT + 2);
}

static void others_interrupts_are_left_alone(void **state)
{
    struct rig *rig = *state;
    const uint32_t values[] = {0, FIRST - 1, FIRST + COUNT, 0x3ff, UINT32_MAX};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        out(&rig->fixture, SETSPI, 4, values[i]);
    }
    out(&rig->fixture, SETSPI, 1, FIRST);
    out(&rig->fixture, SETSPI + 2, 2, FIRST);
    out(&rig->fixture, SETSPI + 4, 4, FIRST);
    assert_int_equal(edges(rig), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(says_which_interrupts_it_has),
        TEST(a_write_is_an_edge),
        TEST(others_interrupts_are_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

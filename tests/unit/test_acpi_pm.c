/* SPDX-License-Identifier: MIT */
/* ACPI fixed hardware: events, power-off, the timer and its overflow, general-purpose events. */
#include "platform_fixture.h"

#include "devices/acpi_pm.h"

enum { STS = 0x600, EN = 0x602, CNT = 0x604, TMR = 0x608, GPE_STS = 0x620, GPE_EN = 0x628 };
enum { TMR_BIT = 0x1, GBL = 0x20, PWRBTN = 0x100, SCI_EN = 1, SLP_EN = 0x2000 };

struct rig {
    struct platform_fixture fixture; /* first */
    struct acpi_pm pm;
};

static uint64_t now_ns;

static uint64_t test_clock(void)
{
    return now_ns;
}

static int setup(void **state)
{
    struct rig *rig = malloc(sizeof(*rig));
    struct error err = {0};
    fixture_init(&rig->fixture);
    struct acpi_pm_config config = {.bus = &rig->fixture.vm.pio,
                                    .irq = &rig->fixture.irq.chip,
                                    .loop = &rig->fixture.vm.loop,
                                    .vm = &rig->fixture.vm,
                                    .clock = test_clock};
    now_ns = 5000000000;
    assert_int_equal(acpi_pm_init(&rig->pm, &config, &err), 0);
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    struct rig *rig = *state;
    acpi_pm_destroy(&rig->pm);
    fixture_destroy(&rig->fixture);
    free(rig);
    return 0;
}

static uint64_t get(struct rig *rig, uint64_t port, unsigned size)
{
    return in(&rig->fixture, port, size);
}

static void put(struct rig *rig, uint64_t port, unsigned size, uint64_t value)
{
    out(&rig->fixture, port, size, value);
}

static bool sci(struct rig *rig)
{
    return rig->fixture.irq.level[9];
}

static void reset_state(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(get(rig, STS, 4), 0);
    assert_int_equal(get(rig, CNT, 2), SCI_EN);
    assert_int_equal(get(rig, TMR, 4), 0);
    assert_int_equal(get(rig, GPE_STS, 8), 0);
    assert_int_equal(get(rig, GPE_EN, 8), 0);
    assert_int_equal(get(rig, 0x630, 4), 0);
    assert_int_equal(get(rig, 0x67f, 1), 0);
    assert_int_equal(get(rig, 0x680, 1), 0xff);
}

static void power_button(void **state)
{
    struct rig *rig = *state;
    acpi_pm_power_button(&rig->pm);
    assert_false(sci(rig)); /* not enabled yet */
    put(rig, EN, 2, PWRBTN);
    assert_true(sci(rig));
    acpi_pm_power_button(&rig->pm); /* twice is once */
    assert_int_equal(get(rig, STS, 2), PWRBTN);
    put(rig, STS, 2, GBL);
    assert_true(sci(rig));
    put(rig, STS, 2, PWRBTN);
    assert_false(sci(rig));
    assert_int_equal(get(rig, STS, 4), PWRBTN << 16);
    assert_int_equal(rig->fixture.irq.rises[9], 1);
}

static void bytes_and_wide_accesses(void **state)
{
    struct rig *rig = *state;
    acpi_pm_power_button(&rig->pm);
    put(rig, EN + 1, 1, PWRBTN >> 8);
    assert_true(sci(rig));
    assert_int_equal(get(rig, STS + 1, 1), PWRBTN >> 8);
    assert_int_equal(get(rig, STS + 1, 4), SCI_EN << 24 | PWRBTN << 8 | PWRBTN >> 8);
    put(rig, STS + 1, 1, PWRBTN >> 8);
    assert_false(sci(rig));
    put(rig, STS, 4, 0xffffffff); /* only the events that exist can be enabled */
    assert_int_equal(get(rig, EN, 2), 0x0721);
    put(rig, STS, 8, 0); /* both registers and PM1_CNT */
    assert_int_equal(get(rig, EN, 2), 0);
    assert_int_equal(taken_request(&rig->fixture), VM_REQUEST_NONE);
}

static void sleep_type_5_powers_off(void **state)
{
    struct rig *rig = *state;
    put(rig, CNT, 2, 5 << 10 | SLP_EN | SCI_EN); /* a sleeping state that there is not */
    assert_int_equal(taken_request(&rig->fixture), VM_REQUEST_NONE);
    put(rig, CNT, 2, 0 << 10 | SCI_EN);
    assert_int_equal(taken_request(&rig->fixture), VM_REQUEST_NONE);
    put(rig, CNT, 2, 0 << 10 | SLP_EN | SCI_EN);
    assert_int_equal(taken_request(&rig->fixture), VM_REQUEST_POWEROFF);
    assert_int_equal(get(rig, CNT, 2), SCI_EN);
    put(rig, CNT + 1, 1, SLP_EN >> 8);
    assert_int_equal(taken_request(&rig->fixture), VM_REQUEST_POWEROFF);
    put(rig, CNT, 1, 0xff); /* the low byte has no SLP_EN */
    assert_int_equal(taken_request(&rig->fixture), VM_REQUEST_NONE);
}

static void control_keeps_its_bits(void **state)
{
    struct rig *rig = *state;
    put(rig, CNT, 2, 0xdfff);
    assert_int_equal(get(rig, CNT, 2), 7 << 10 | 3); /* GBL_RLS and the rest read 0 */
    put(rig, CNT, 2, 0);
    assert_int_equal(get(rig, CNT, 2), SCI_EN);
}

static void timer_counts_at_its_rate(void **state)
{
    struct rig *rig = *state;
    now_ns += 1000000000;
    assert_int_equal(get(rig, TMR, 4), 3579545);
    put(rig, TMR, 4, 0);
    now_ns += 1;
    assert_int_equal(get(rig, TMR, 4), 3579545);
    now_ns += 9000000000;
    assert_int_equal(get(rig, TMR, 4), 35795450);
    assert_int_equal(get(rig, TMR + 1, 2), (35795450 >> 8) & 0xffff);
    now_ns += 1200ull * 1000000000; /* past 2^32 */
    assert_int_equal(get(rig, TMR, 4), (uint32_t)(1210ull * 3579545));
    now_ns += 3600ull * 24 * 365 * 20 * 1000000000; /* 20 years later */
    assert_int_equal(get(rig, TMR, 4), (uint32_t)((1210ull + 3600ull * 24 * 365 * 20) * 3579545));
}

/* 2^31 ticks are 599.9 s. */
static void timer_overflow(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(rig->pm.deadline_ns, 0);
    put(rig, EN, 2, TMR_BIT);
    uint64_t deadline = rig->pm.deadline_ns;
    assert_int_equal((deadline - now_ns) / 1000000, 599932);
    now_ns = deadline - 1000;
    acpi_pm_timer_expired(&rig->pm);
    assert_false(sci(rig)); /* early: set again */
    assert_int_equal(rig->pm.deadline_ns, deadline);
    now_ns = deadline;
    assert_int_equal(get(rig, TMR, 4), 0x80000000u);
    acpi_pm_timer_expired(&rig->pm);
    assert_true(sci(rig));
    assert_int_equal(get(rig, STS, 2), TMR_BIT);
    put(rig, STS, 2, TMR_BIT);
    assert_false(sci(rig));
    assert_true(rig->pm.deadline_ns > deadline); /* for the next toggle, to 0 */
    now_ns = rig->pm.deadline_ns;
    acpi_pm_timer_expired(&rig->pm);
    assert_true(sci(rig));
    put(rig, EN, 2, 0);
    assert_false(sci(rig));
    assert_int_equal(rig->pm.deadline_ns, 0);
}

static void overflow_is_seen_without_a_timer(void **state)
{
    struct rig *rig = *state;
    now_ns += 700ull * 1000000000;
    assert_int_equal(get(rig, STS, 2), TMR_BIT);
    put(rig, STS, 2, TMR_BIT);
    assert_int_equal(get(rig, STS, 2), 0);
    now_ns += 700ull * 1000000000;
    put(rig, EN, 2, TMR_BIT); /* it happened before: the interrupt comes at once */
    assert_true(sci(rig));
}

static void general_purpose_events(void **state)
{
    struct rig *rig = *state;
    acpi_pm_raise_gpe(&rig->pm, 33);
    assert_int_equal(get(rig, GPE_STS, 8), 1ull << 33);
    assert_false(sci(rig));
    put(rig, GPE_EN + 4, 1, 2);
    assert_int_equal(get(rig, GPE_EN, 8), 1ull << 33);
    assert_true(sci(rig));
    put(rig, GPE_STS, 4, 0xffffffff);
    assert_true(sci(rig));
    put(rig, GPE_STS + 4, 4, 2);
    assert_false(sci(rig));
    put(rig, GPE_EN, 8, UINT64_MAX);
    acpi_pm_raise_gpe(&rig->pm, 3);
    assert_true(sci(rig));
    put(rig, GPE_STS, 1, 8);
    assert_false(sci(rig));
    assert_int_equal(get(rig, GPE_EN, 8), UINT64_MAX);
}

static void accesses_cross_registers_and_the_end(void **state)
{
    struct rig *rig = *state;
    acpi_pm_raise_gpe(&rig->pm, 31);
    acpi_pm_raise_gpe(&rig->pm, 32);
    assert_int_equal(get(rig, GPE_STS + 3, 2), 0x180);
    put(rig, GPE_STS + 3, 2, 0x180);
    assert_int_equal(get(rig, GPE_STS, 8), 0);
    assert_int_equal(get(rig, 0x67e, 4), 0xffff0000); /* the bus splits it */
}

static void reset_forgets_events(void **state)
{
    struct rig *rig = *state;
    put(rig, EN, 2, PWRBTN);
    acpi_pm_power_button(&rig->pm);
    put(rig, CNT, 2, 7 << 10);
    assert_true(sci(rig));
    acpi_pm_reset(&rig->pm);
    assert_false(sci(rig));
    assert_int_equal(get(rig, STS, 4), 0);
    assert_int_equal(get(rig, CNT, 2), SCI_EN);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reset_state),
        TEST(power_button),
        TEST(bytes_and_wide_accesses),
        TEST(sleep_type_5_powers_off),
        TEST(control_keeps_its_bits),
        TEST(timer_counts_at_its_rate),
        TEST(timer_overflow),
        TEST(overflow_is_seen_without_a_timer),
        TEST(general_purpose_events),
        TEST(accesses_cross_registers_and_the_end),
        TEST(reset_forgets_events),
    };
    return cmocka_run_group_tests_name("acpi_pm", tests, NULL, NULL);
}

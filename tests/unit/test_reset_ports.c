/* SPDX-License-Identifier: MIT */
/* The three ways to reset a PC. */
#include "platform_fixture.h"

#include <errno.h>

#include "devices/reset_ports.h"

struct rig {
    struct platform_fixture fixture; /* first */
    struct reset_ports ports;
    struct bus_region cf9; /* stands for what the PCI host passes on */
};

static int setup(void **state)
{
    struct rig *rig = malloc(sizeof(*rig));
    struct error err = {0};
    fixture_init(&rig->fixture);
    struct reset_ports_config config = {.bus = &rig->fixture.vm.pio, .vm = &rig->fixture.vm};
    assert_int_equal(reset_ports_init(&rig->ports, &config, &err), 0);
    rig->cf9 = (struct bus_region){
        .name = "cf8", .size = 4, .ops = &reset_ports_cf9_ops, .opaque = &rig->ports};
    assert_int_equal(bus_add(&rig->fixture.vm.pio, &rig->cf9, 0xcf8, &err), 0);
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    struct rig *rig = *state;
    bus_remove(&rig->cf9);
    reset_ports_destroy(&rig->ports);
    fixture_destroy(&rig->fixture);
    free(rig);
    return 0;
}

static void assert_reset(struct rig *rig, bool expected)
{
    assert_int_equal(taken_request(&rig->fixture), expected ? VM_REQUEST_RESET : VM_REQUEST_NONE);
}

static void reset_control_needs_an_edge(void **state)
{
    struct rig *rig = *state;
    struct platform_fixture *fixture = &rig->fixture;
    assert_int_equal(inb(fixture, 0xcf9), 0);
    outb(fixture, 0xcf9, 0x02);
    assert_reset(rig, false);
    assert_int_equal(inb(fixture, 0xcf9), 0x02);
    outb(fixture, 0xcf9, 0x06);
    assert_reset(rig, true);
    outb(fixture, 0xcf9, 0x0e);
    assert_reset(rig, false);
    assert_int_equal(inb(fixture, 0xcf9), 0x0e);
    outb(fixture, 0xcf9, 0xf1);
    assert_int_equal(inb(fixture, 0xcf9), 0);
    outb(fixture, 0xcf9, 0x04);
    assert_reset(rig, true);
}

static void reset_control_in_wider_accesses(void **state)
{
    struct rig *rig = *state;
    struct platform_fixture *fixture = &rig->fixture;
    out(fixture, 0xcf8, 2, 0x0655);
    assert_reset(rig, true);
    assert_int_equal(in(fixture, 0xcf8, 2), 0x06ff);
    out(fixture, 0xcf9, 2, 0x0600); /* 6 is for 0xcfa, 0 for 0xcf9 */
    assert_reset(rig, false);
    assert_int_equal(in(fixture, 0xcf9, 2), 0xff00);
    outb(fixture, 0xcf8, 0x06);
    outb(fixture, 0xcfa, 0x06);
    outb(fixture, 0xcfb, 0x06);
    assert_reset(rig, false);
    assert_int_equal(inb(fixture, 0xcf8), 0xff);
    assert_int_equal(in(fixture, 0xcfa, 2), 0xffff);
}

static void port_92(void **state)
{
    struct rig *rig = *state;
    struct platform_fixture *fixture = &rig->fixture;
    assert_int_equal(inb(fixture, 0x92), 0x02); /* A20 is open */
    outb(fixture, 0x92, 0x00);
    assert_int_equal(inb(fixture, 0x92), 0x00);
    outb(fixture, 0x92, 0xfe);
    assert_int_equal(inb(fixture, 0x92), 0x02);
    assert_reset(rig, false);
    outb(fixture, 0x92, 0x03);
    assert_reset(rig, true);
    outb(fixture, 0x92, 0x03);
    assert_reset(rig, false);
}

static void keyboard_controller_pulses_reset(void **state)
{
    struct rig *rig = *state;
    struct platform_fixture *fixture = &rig->fixture;
    for (unsigned command = 0; command < 256; command++) {
        outb(fixture, 0x64, command);
        assert_reset(rig, command >= 0xf0 && !(command & 1));
    }
}

static void there_is_no_keyboard(void **state)
{
    struct rig *rig = *state;
    struct platform_fixture *fixture = &rig->fixture;
    outb(fixture, 0x64, 0xaa); /* self-test: no answer comes */
    assert_int_equal(inb(fixture, 0x64), 0);
    outb(fixture, 0x60, 0xfe);
    assert_int_equal(inb(fixture, 0x60), 0);
    assert_reset(rig, false);
}

static void reset_clears_the_latches(void **state)
{
    struct rig *rig = *state;
    struct platform_fixture *fixture = &rig->fixture;
    outb(fixture, 0xcf9, 0x06);
    outb(fixture, 0x92, 0x01);
    taken_request(fixture);
    reset_ports_reset(&rig->ports);
    assert_int_equal(inb(fixture, 0xcf9), 0);
    assert_int_equal(inb(fixture, 0x92), 0x02);
    outb(fixture, 0xcf9, 0x06); /* an edge again */
    assert_reset(rig, true);
}

static void a_taken_port_is_an_error(void **state)
{
    struct rig *rig = *state;
    struct reset_ports second;
    struct error err = {0};
    assert_int_equal(reset_ports_init(&second, &rig->ports.config, &err), -EEXIST);
    assert_true(strlen(err.text) > 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reset_control_needs_an_edge),
        TEST(reset_control_in_wider_accesses),
        TEST(port_92),
        TEST(keyboard_controller_pulses_reset),
        TEST(there_is_no_keyboard),
        TEST(reset_clears_the_latches),
        TEST(a_taken_port_is_an_error),
    };
    return cmocka_run_group_tests_name("reset_ports", tests, NULL, NULL);
}

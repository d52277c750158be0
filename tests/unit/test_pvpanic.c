/* SPDX-License-Identifier: MIT */
/* pvpanic: what a panicking guest writes, and what is said on stderr. */
#include "platform_fixture.h"

#include <unistd.h>

#include "devices/pvpanic.h"

struct rig {
    struct platform_fixture fixture; /* first */
    struct pvpanic pvpanic;
};

static int setup(void **state)
{
    struct rig *rig = malloc(sizeof(*rig));
    struct error err = {0};
    fixture_init(&rig->fixture);
    struct pvpanic_config config = {.bus = &rig->fixture.vm.pio, .vm = &rig->fixture.vm};
    assert_int_equal(pvpanic_init(&rig->pvpanic, &config, &err), 0);
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    struct rig *rig = *state;
    pvpanic_destroy(&rig->pvpanic);
    fixture_destroy(&rig->fixture);
    free(rig);
    return 0;
}

/* Write to the port; store what came out on stderr. */
static void put(struct rig *rig, uint8_t value, char *text, size_t size)
{
    int pipes[2];
    assert_int_equal(pipe(pipes), 0);
    int saved = dup(STDERR_FILENO);
    dup2(pipes[1], STDERR_FILENO);
    outb(&rig->fixture, 0x505, value);
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(pipes[1]);
    ssize_t length = read(pipes[0], text, size - 1);
    text[length > 0 ? length : 0] = '\0';
    close(pipes[0]);
}

static void says_what_it_understands(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(inb(&rig->fixture, 0x505), 3);
    assert_int_equal(inb(&rig->fixture, 0x504), 0xff);
    assert_int_equal(inb(&rig->fixture, 0x506), 0xff);
}

static void a_panic_is_a_crash(void **state)
{
    struct rig *rig = *state;
    char text[256];
    put(rig, 1, text, sizeof(text));
    assert_int_equal(taken_request(&rig->fixture), VM_REQUEST_CRASH);
    assert_non_null(strstr(text, "panic"));
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1); /* one line */
}

static void a_crash_kernel_may_run(void **state)
{
    struct rig *rig = *state;
    char text[256];
    put(rig, 2, text, sizeof(text));
    assert_int_equal(taken_request(&rig->fixture), VM_REQUEST_NONE);
    assert_non_null(strstr(text, "crash kernel"));
    put(rig, 3, text, sizeof(text));
    assert_int_equal(taken_request(&rig->fixture), VM_REQUEST_CRASH);
}

/* A guest that goes on and on fills neither a log nor a pipe that nobody reads. */
static void a_flood_is_cut_off(void **state)
{
    struct rig *rig = *state;
    char text[256];
    for (unsigned i = 0; i < PVPANIC_REPORTS_MAX; i++) {
        put(rig, 2, text, sizeof(text));
        assert_non_null(strstr(text, "crash kernel"));
    }
    put(rig, 2, text, sizeof(text));
    assert_string_equal(text, "");
    put(rig, 1, text, sizeof(text)); /* the end of the machine is always explained */
    assert_non_null(strstr(text, "panic"));
    assert_int_equal(taken_request(&rig->fixture), VM_REQUEST_CRASH);
}

static void other_bits_are_ignored(void **state)
{
    struct rig *rig = *state;
    char text[256];
    put(rig, 0xfc, text, sizeof(text));
    assert_int_equal(taken_request(&rig->fixture), VM_REQUEST_NONE);
    assert_string_equal(text, "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(says_what_it_understands), TEST(a_panic_is_a_crash),     TEST(a_crash_kernel_may_run),
        TEST(a_flood_is_cut_off),       TEST(other_bits_are_ignored),
    };
    return cmocka_run_group_tests_name("pvpanic", tests, NULL, NULL);
}

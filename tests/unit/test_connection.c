/* SPDX-License-Identifier: MIT */
/* A client on a socket: what comes is answered byte by byte, and one that does not read is no
 * burden. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "vmm/connection.h"

enum { LIMIT = 4 << 20, ANSWER = 1 << 20 };

struct fake {
    struct event_loop loop;
    struct connection connection;
    unsigned fed;
    unsigned closed;
    bool end_after; /* one byte */
    size_t answer;  /* bytes for each byte that comes */
    char *bytes;
    int other;
};

static void feed(void *opaque, uint8_t byte)
{
    struct fake *fake = opaque;
    fake->fed++;
    memset(fake->bytes, byte, fake->answer);
    connection_send(&fake->connection, fake->bytes, fake->answer);
    if (fake->end_after) {
        connection_end(&fake->connection);
    }
}

static void closed(void *opaque)
{
    struct fake *fake = opaque;
    fake->closed++;
}

static const struct connection_ops ops = {.feed = feed, .closed = closed};

static int set_up(void **state)
{
    struct fake *fake = calloc(1, sizeof(*fake));
    int ends[2];
    assert_int_equal(event_loop_init(&fake->loop, NULL), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    fake->bytes = malloc(2 * LIMIT);
    fake->other = ends[0];
    connection_init(&fake->connection, &fake->loop, &ops, fake, LIMIT);
    assert_false(connection_is_open(&fake->connection));
    connection_send(&fake->connection, "x", 1); /* to nobody */
    connection_close(&fake->connection);
    assert_int_equal(connection_start(&fake->connection, ends[1]), 0);
    *state = fake;
    return 0;
}

static int tear_down(void **state)
{
    struct fake *fake = *state;
    connection_close(&fake->connection);
    if (fake->other >= 0) {
        close(fake->other);
    }
    event_loop_destroy(&fake->loop);
    free(fake->bytes);
    free(fake);
    return 0;
}

static void stop_loop(void *opaque)
{
    event_loop_stop(opaque);
}

static void run(struct fake *fake)
{
    struct event_timer timer;
    assert_int_equal(event_timer_init(&timer, &fake->loop, stop_loop, &fake->loop), 0);
    event_timer_set(&timer, event_now_ns() + 20 * 1000 * 1000);
    event_loop_run(&fake->loop);
    event_timer_destroy(&timer);
}

static size_t read_all(struct fake *fake)
{
    static char text[65536];
    size_t all = 0;
    ssize_t got;
    do {
        run(fake);
        while ((got = recv(fake->other, text, sizeof(text), MSG_DONTWAIT)) > 0) {
            all += (size_t)got;
        }
    } while (got != 0 && connection_is_open(&fake->connection) && fake->connection.out_end > 0);
    return all;
}

static void answers(void **state)
{
    struct fake *fake = *state;
    fake->answer = 2;
    assert_int_equal(send(fake->other, "abc", 3, 0), 3);
    run(fake);
    assert_int_equal(fake->fed, 3);
    char text[16] = "";
    assert_int_equal(recv(fake->other, text, sizeof(text), MSG_DONTWAIT), 6);
    assert_string_equal(text, "aabbcc");
    close(fake->other);
    fake->other = -1;
    run(fake);
    assert_int_equal(fake->closed, 1);
    assert_false(connection_is_open(&fake->connection));
}

/* It is not listened to before it has read; then it gets everything. */
static void slow_reader(void **state)
{
    struct fake *fake = *state;
    fake->answer = ANSWER;
    assert_int_equal(send(fake->other, "abcd", 4, 0), 4);
    run(fake);
    assert_int_equal(fake->fed, 1);
    assert_int_equal(read_all(fake), 4 * ANSWER);
    assert_int_equal(fake->fed, 4);
    assert_int_equal(fake->closed, 0);
}

/* What is sent unasked is too much at some time. */
static void limit(void **state)
{
    struct fake *fake = *state;
    for (int i = 0; i < 3; i++) {
        connection_send(&fake->connection, fake->bytes, ANSWER);
    }
    run(fake);
    assert_int_equal(fake->closed, 0);
    connection_send(&fake->connection, fake->bytes, LIMIT);
    run(fake); /* the client reads nothing, and is dropped nevertheless */
    assert_int_equal(fake->closed, 1);
}

/* A client that never catches up, but reads as much as there comes, costs no more with time. */
static void always_behind(void **state)
{
    struct fake *fake = *state;
    connection_send(&fake->connection, fake->bytes, 2 * ANSWER);
    for (int i = 0; i < 12; i++) {
        connection_send(&fake->connection, fake->bytes, ANSWER);
        for (ssize_t taken = 0, got; taken < ANSWER; taken += got) {
            run(fake);
            got = recv(fake->other, fake->bytes, (size_t)(ANSWER - taken), MSG_DONTWAIT);
            assert_true(got > 0);
        }
    }
    assert_true(fake->connection.out_end > fake->connection.out_at);
    assert_true(fake->connection.out_room <= LIMIT);
    assert_int_equal(fake->closed, 0);
}

/* Who says nothing more gets the answers to what was said. */
static void half_closed(void **state)
{
    struct fake *fake = *state;
    fake->answer = ANSWER;
    assert_int_equal(send(fake->other, "ab", 2, 0), 2);
    assert_int_equal(shutdown(fake->other, SHUT_WR), 0);
    assert_int_equal(read_all(fake), 2 * ANSWER);
    run(fake);
    assert_int_equal(fake->closed, 1);
}

static void end(void **state)
{
    struct fake *fake = *state;
    fake->answer = ANSWER;
    fake->end_after = true;
    assert_int_equal(send(fake->other, "ab", 2, 0), 2);
    run(fake);
    assert_int_equal(fake->closed, 0); /* the answer has not been taken */
    assert_int_equal(read_all(fake), ANSWER);
    run(fake);
    assert_int_equal(fake->fed, 1);
    assert_int_equal(fake->closed, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(answers),       TEST(slow_reader), TEST(limit),
                                       TEST(always_behind), TEST(half_closed), TEST(end)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

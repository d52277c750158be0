/* SPDX-License-Identifier: MIT */
/* The event loop: sources, removal from within handlers, silence, stopping, timers. */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "vmm/event_loop.h"

static const uint64_t MILLISECOND = 1000000; /* in nanoseconds */

/* An eventfd as a source. Its handler counts, and may do more. */
struct probe {
    struct event_source source;
    struct event_loop *loop;
    unsigned calls;
    uint32_t events;
    void (*then)(struct probe *probe);
    struct probe *other;
};

static void probe_handler(void *opaque, uint32_t events)
{
    struct probe *probe = opaque;
    probe->calls++;
    probe->events = events;
    if (probe->then != NULL) {
        probe->then(probe);
    }
}

static void probe_init(struct probe *probe, struct event_loop *loop, int fd,
                       void (*then)(struct probe *probe))
{
    *probe = (struct probe){.source = {.fd = fd, .handler = probe_handler, .opaque = probe},
                            .loop = loop,
                            .then = then};
}

static struct probe *ready_probe(struct event_loop *loop, void (*then)(struct probe *probe))
{
    struct probe *probe = malloc(sizeof(*probe));
    probe_init(probe, loop, eventfd(1, EFD_CLOEXEC), then);
    assert_int_equal(event_loop_add(loop, &probe->source, EPOLLIN), 0);
    return probe;
}

static void probe_free(struct probe *probe)
{
    event_loop_remove(probe->loop, &probe->source);
    close(probe->source.fd);
    memset(probe, 0xee, sizeof(*probe));
    free(probe);
}

static void stop(struct probe *probe)
{
    event_loop_stop(probe->loop);
}

static void timer_stops(void *opaque)
{
    event_loop_stop(opaque);
}

/* Run the loop for so many milliseconds. */
static void run_for(struct event_loop *loop, uint64_t milliseconds)
{
    struct event_timer timer;
    assert_int_equal(event_timer_init(&timer, loop, timer_stops, loop), 0);
    event_timer_set(&timer, event_now_ns() + milliseconds * MILLISECOND);
    event_loop_run(loop);
    event_timer_destroy(&timer);
}

static int set_up(void **state)
{
    struct event_loop *loop = malloc(sizeof(*loop));
    *state = loop;
    return event_loop_init(loop, NULL);
}

static int tear_down(void **state)
{
    event_loop_destroy(*state);
    event_loop_destroy(*state);
    free(*state);
    return 0;
}

/* ---- sources */

static void handlers_get_their_events(void **state)
{
    struct event_loop *loop = *state;
    struct probe *probe = ready_probe(loop, stop);
    assert_int_equal(event_loop_modify(loop, &probe->source, EPOLLIN | EPOLLOUT), 0);
    event_loop_run(loop);
    assert_int_equal(probe->calls, 1);
    assert_int_equal(probe->events, EPOLLIN | EPOLLOUT);
    probe_free(probe);
}

static void regular_files_are_refused(void **state)
{
    struct event_loop *loop = *state;
    struct probe probe;
    probe_init(&probe, loop, open("/proc/self/exe", O_RDONLY | O_CLOEXEC), NULL);
    assert_int_equal(event_loop_add(loop, &probe.source, EPOLLIN), -EPERM);
    close(probe.source.fd);
    probe.source.fd = -1;
    assert_int_equal(event_loop_add(loop, &probe.source, 0), -EBADF);
    event_loop_remove(loop, &probe.source);
}

static void silent_sources_do_not_spin(void **state)
{
    struct event_loop *loop = *state;
    struct probe probe;
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    probe_init(&probe, loop, ends[0], stop);
    assert_int_equal(event_loop_add(loop, &probe.source, 0), 0);
    close(ends[1]); /* EPOLLHUP from now on */
    run_for(loop, 20);
    assert_int_equal(probe.calls, 0);
    assert_int_equal(event_loop_modify(loop, &probe.source, EPOLLIN), 0);
    event_loop_run(loop);
    assert_int_equal(probe.calls, 1);
    assert_true(probe.events & EPOLLHUP);
    assert_int_equal(event_loop_modify(loop, &probe.source, 0), 0);
    assert_int_equal(event_loop_modify(loop, &probe.source, 0), 0);
    run_for(loop, 20);
    assert_int_equal(probe.calls, 1);
    event_loop_remove(loop, &probe.source);
    close(ends[0]);
}

static void remove_other_and_self(struct probe *probe)
{
    struct event_loop *loop = probe->loop;
    if (probe->other != NULL) {
        probe->other->other = NULL;
        probe_free(probe->other);
    }
    probe_free(probe);
    event_loop_stop(loop);
}

/* Both are ready at once; whichever comes first frees both. */
static void a_handler_may_free_any_source(void **state)
{
    struct event_loop *loop = *state;
    for (int i = 0; i < 10; i++) {
        struct probe *first = ready_probe(loop, remove_other_and_self);
        struct probe *second = ready_probe(loop, remove_other_and_self);
        first->other = second;
        second->other = first;
        event_loop_run(loop);
        run_for(loop, 1); /* the other one does not come any more */
    }
}

static void no_source_starves(void **state)
{
    struct event_loop *loop = *state;
    struct probe *always[3];
    for (int i = 0; i < 3; i++) {
        always[i] = ready_probe(loop, NULL);
    }
    run_for(loop, 10);
    for (int i = 0; i < 3; i++) {
        assert_true(always[i]->calls > 10);
        probe_free(always[i]);
    }
}

static void *add_from_thread(void *opaque)
{
    struct probe *probe = opaque;
    assert_int_equal(event_loop_add(probe->loop, &probe->source, EPOLLIN), 0);
    return NULL;
}

static void sources_may_come_from_another_thread(void **state)
{
    struct event_loop *loop = *state;
    struct probe probe;
    pthread_t thread;
    probe_init(&probe, loop, eventfd(1, EFD_CLOEXEC), stop);
    assert_int_equal(pthread_create(&thread, NULL, add_from_thread, &probe), 0);
    event_loop_run(loop);
    pthread_join(thread, NULL);
    assert_int_equal(probe.calls, 1);
    event_loop_remove(loop, &probe.source);
    close(probe.source.fd);
}

/* ---- stopping */

static void a_stop_before_the_run_is_not_lost(void **state)
{
    struct event_loop *loop = *state;
    event_loop_stop(loop);
    event_loop_stop(loop);
    event_loop_run(loop);
    run_for(loop, 5);
}

static void *stop_soon(void *opaque)
{
    usleep(5000);
    event_loop_stop(opaque);
    return NULL;
}

static void stop_from_another_thread(void **state)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, stop_soon, *state), 0);
    event_loop_run(*state);
    pthread_join(thread, NULL);
}

static struct event_loop *signalled_loop;

static void on_alarm(int number)
{
    (void)number;
    event_loop_stop(signalled_loop);
}

static void stop_from_a_signal_handler(void **state)
{
    signalled_loop = *state;
    struct sigaction action = {.sa_handler = on_alarm};
    sigaction(SIGALRM, &action, NULL);
    ualarm(5000, 0);
    event_loop_run(signalled_loop);
    signal(SIGALRM, SIG_DFL);
}

/* Microseconds of processor time used so far, the kernel's on our behalf included. */
static int64_t cpu_time_us(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * INT64_C(1000000) +
           usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
}

static void a_stopped_loop_sleeps_when_run_again(void **state)
{
    struct event_loop *loop = *state;
    event_loop_stop(loop);
    event_loop_run(loop);
    int64_t before = cpu_time_us();
    run_for(loop, 200);
    assert_true(cpu_time_us() - before < 100000);
}

/* ---- timers */

struct alarm_clock {
    struct event_timer timer;
    struct event_loop *loop;
    uint64_t rang_ns;
    unsigned count;
};

static void ring(void *opaque)
{
    struct alarm_clock *clock = opaque;
    clock->rang_ns = event_now_ns();
    clock->count++;
    event_loop_stop(clock->loop);
}

static void clock_init(struct alarm_clock *clock, struct event_loop *loop)
{
    *clock = (struct alarm_clock){.loop = loop};
    assert_int_equal(event_timer_init(&clock->timer, loop, ring, clock), 0);
}

static void a_timer_rings_once_and_not_early(void **state)
{
    struct event_loop *loop = *state;
    struct alarm_clock clock;
    clock_init(&clock, loop);
    uint64_t when = event_now_ns() + 20 * MILLISECOND;
    event_timer_set(&clock.timer, when);
    event_loop_run(loop);
    assert_true(clock.rang_ns >= when);
    assert_true(clock.rang_ns - when < 500 * MILLISECOND);
    run_for(loop, 30);
    assert_int_equal(clock.count, 1);
    event_timer_destroy(&clock.timer);
    event_timer_destroy(&clock.timer);
}

static void times_past_ring_at_once(void **state)
{
    struct event_loop *loop = *state;
    struct alarm_clock clock;
    clock_init(&clock, loop);
    event_timer_set(&clock.timer, 0);
    event_loop_run(loop);
    event_timer_set(&clock.timer, event_now_ns() - MILLISECOND);
    event_loop_run(loop);
    assert_int_equal(clock.count, 2);
    event_timer_destroy(&clock.timer);
}

static void a_later_time_replaces_an_earlier_one(void **state)
{
    struct event_loop *loop = *state;
    struct alarm_clock clock;
    clock_init(&clock, loop);
    event_timer_set(&clock.timer, 1);
    uint64_t when = event_now_ns() + 30 * MILLISECOND;
    event_timer_set(&clock.timer, when);
    event_loop_run(loop);
    assert_true(clock.rang_ns >= when);
    assert_int_equal(clock.count, 1);
    event_timer_destroy(&clock.timer);
}

static void cancel_other(struct probe *probe)
{
    event_timer_cancel(&((struct alarm_clock *)probe->other)->timer);
    probe_free(probe);
}

/* The timer has expired and the event waits, but another handler cancels it first, or it was. */
static void cancelled_timers_do_not_ring(void **state)
{
    struct event_loop *loop = *state;
    struct alarm_clock clock;
    struct probe *probe = ready_probe(loop, cancel_other);
    clock_init(&clock, loop);
    probe->other = (struct probe *)&clock;
    event_timer_set(&clock.timer, event_now_ns() + MILLISECOND);
    usleep(3000);
    run_for(loop, 10);
    assert_int_equal(clock.count, 0);
    event_timer_set(&clock.timer, event_now_ns() + MILLISECOND);
    event_timer_cancel(&clock.timer);
    run_for(loop, 10);
    assert_int_equal(clock.count, 0);
    event_timer_destroy(&clock.timer);
}

static void a_zeroed_timer_can_be_destroyed(void **state)
{
    struct event_timer timer = {.loop = NULL};
    (void)state;
    event_timer_destroy(&timer);
    assert_true(fcntl(STDIN_FILENO, F_GETFD) >= 0); /* whose number is in a zeroed one */
}

/* ---- errors */

static void no_descriptors_left(void **state)
{
    struct rlimit saved;
    struct event_loop loop;
    struct event_timer timer;
    struct error err = {""};
    getrlimit(RLIMIT_NOFILE, &saved);
    struct rlimit none = {.rlim_cur = 0, .rlim_max = saved.rlim_max};
    setrlimit(RLIMIT_NOFILE, &none);
    int loop_result = event_loop_init(&loop, &err);
    int timer_result = event_timer_init(&timer, *state, timer_stops, NULL);
    setrlimit(RLIMIT_NOFILE, &saved);
    assert_int_equal(loop_result, -EMFILE);
    assert_string_equal(err.text, "event loop: Too many open files");
    assert_int_equal(timer_result, -EMFILE);
    event_loop_destroy(&loop);
    event_timer_destroy(&timer);
}

int main(void)
{
#define LOOP_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        LOOP_TEST(handlers_get_their_events),
        LOOP_TEST(regular_files_are_refused),
        LOOP_TEST(silent_sources_do_not_spin),
        LOOP_TEST(a_handler_may_free_any_source),
        LOOP_TEST(no_source_starves),
        LOOP_TEST(sources_may_come_from_another_thread),
        LOOP_TEST(a_stop_before_the_run_is_not_lost),
        LOOP_TEST(stop_from_another_thread),
        LOOP_TEST(stop_from_a_signal_handler),
        LOOP_TEST(a_stopped_loop_sleeps_when_run_again),
        LOOP_TEST(a_timer_rings_once_and_not_early),
        LOOP_TEST(times_past_ring_at_once),
        LOOP_TEST(a_later_time_replaces_an_earlier_one),
        LOOP_TEST(cancelled_timers_do_not_ring),
        LOOP_TEST(a_zeroed_timer_can_be_destroyed),
        LOOP_TEST(no_descriptors_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

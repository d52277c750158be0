/* SPDX-License-Identifier: MIT */
/*
 * The main thread's event loop over epoll: file descriptors and timers.
 *
 * Handlers run on the main thread, one at a time. Sources may be added and changed on any thread. A
 * source is removed on the main thread, from within any handler, its own too, or while the loop is
 * not running; from then on its handler is not called and its memory may go. The loop takes one
 * event at a time from the kernel, which is what makes that so: there is no list of events already
 * fetched in which a removed source could still stand.
 */
#ifndef VMM_EVENT_LOOP_H
#define VMM_EVENT_LOOP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/error.h"

struct event_loop {
    int epoll_fd;
    int wake_fd; /* eventfd that event_loop_stop() writes */
    atomic_bool stop;
};

/* One file descriptor. Embedded in its owner, who keeps it until event_loop_remove(). */
struct event_source {
    int fd;
    void (*handler)(void *opaque, uint32_t events); /* EPOLLIN, EPOLLOUT, EPOLLHUP, EPOLLERR */
    void *opaque;
};

/* A one-shot timer on CLOCK_MONOTONIC, from a timerfd. */
struct event_timer {
    struct event_source source;
    struct event_loop *loop;
    void (*expired)(void *opaque);
    void *opaque;
};

int event_loop_init(struct event_loop *loop, struct error *err);
void event_loop_destroy(struct event_loop *loop);

/*
 * Watch source->fd for `events` (level-triggered; EPOLLHUP and EPOLLERR are always among them). 0
 * keeps it silent, EPOLLHUP included; when another thread silences a source, one event may still be
 * under way. Negative errno: -EPERM for what cannot be watched, such as regular files.
 */
int event_loop_add(struct event_loop *loop, struct event_source *source, uint32_t events);
int event_loop_modify(struct event_loop *loop, struct event_source *source, uint32_t events);
void event_loop_remove(struct event_loop *loop, struct event_source *source);

/* Dispatch events until event_loop_stop(). May be run again after that. */
void event_loop_run(struct event_loop *loop);

/*
 * Make event_loop_run() return after the handler that is running; if the loop is not running, the
 * next event_loop_run() returns at once. Any thread, also from a handler; async-signal-safe.
 */
void event_loop_stop(struct event_loop *loop);

/* Nanoseconds on CLOCK_MONOTONIC. */
uint64_t event_now_ns(void);

/* A timer that is not set. Negative errno. */
int event_timer_init(struct event_timer *timer, struct event_loop *loop,
                     void (*expired)(void *opaque), void *opaque);
/* Main thread, also from within `expired`. Nothing happens if it is all zeroes or destroyed. */
void event_timer_destroy(struct event_timer *timer);
/*
 * Call `expired` on the main thread once at the absolute time `when_ns` on CLOCK_MONOTONIC, at once
 * if that has passed; replaces an earlier time. Any thread.
 */
void event_timer_set(struct event_timer *timer, uint64_t when_ns);
/* Any thread; on the main thread `expired` will not be called any more. */
void event_timer_cancel(struct event_timer *timer);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * The main thread's event loop over epoll: file descriptors and timers.
 *
 * Handlers run on the main thread, one at a time. Sources may be added, changed and removed on any
 * thread; a source is removed on the main thread, or while the loop is not running, so that its handler
 * is not running at that moment.
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

/* Watch source->fd for `events`; 0 keeps it registered but silent. Negative errno. */
int event_loop_add(struct event_loop *loop, struct event_source *source, uint32_t events);
int event_loop_modify(struct event_loop *loop, struct event_source *source, uint32_t events);
void event_loop_remove(struct event_loop *loop, struct event_source *source);

/* Dispatch events until event_loop_stop(). */
void event_loop_run(struct event_loop *loop);

/* Make event_loop_run() return. Any thread, also from a handler; async-signal-safe. */
void event_loop_stop(struct event_loop *loop);

/* Nanoseconds on CLOCK_MONOTONIC. */
uint64_t event_now_ns(void);

int event_timer_init(struct event_timer *timer, struct event_loop *loop,
                     void (*expired)(void *opaque), void *opaque);
void event_timer_destroy(struct event_timer *timer);
/* Call `expired` on the main thread once at the absolute time `when_ns`; replaces an earlier time. */
void event_timer_set(struct event_timer *timer, uint64_t when_ns);
void event_timer_cancel(struct event_timer *timer);

#endif

/* SPDX-License-Identifier: MIT */
#include "vmm/event_loop.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

/* ---- sources */

static int control(struct event_loop *loop, int operation, struct event_source *source,
                   uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = source};
    return epoll_ctl(loop->epoll_fd, operation, source->fd, &event) == 0 ? 0 : -errno;
}

/*
 * epoll reports EPOLLHUP and EPOLLERR whatever it was asked for, and goes on to as long as they
 * last. A silent source is therefore one that epoll does not know of.
 */
static int silence(struct event_loop *loop, struct event_source *source)
{
    int rc = control(loop, EPOLL_CTL_DEL, source, 0);
    return rc == -ENOENT ? 0 : rc;
}

int event_loop_add(struct event_loop *loop, struct event_source *source, uint32_t events)
{
    int rc = control(loop, EPOLL_CTL_ADD, source, events);
    return rc == 0 && events == 0 ? silence(loop, source) : rc;
}

int event_loop_modify(struct event_loop *loop, struct event_source *source, uint32_t events)
{
    if (events == 0) {
        return silence(loop, source);
    }
    int rc = control(loop, EPOLL_CTL_MOD, source, events);
    if (rc == -ENOENT) {
        rc = control(loop, EPOLL_CTL_ADD, source, events);
    }
    /* Two threads at once: the other was first to add it. */
    return rc == -EEXIST ? control(loop, EPOLL_CTL_MOD, source, events) : rc;
}

void event_loop_remove(struct event_loop *loop, struct event_source *source)
{
    silence(loop, source);
}

/* ---- the loop */

static int open_descriptors(struct event_loop *loop)
{
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll_fd < 0) {
        return -errno;
    }
    loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (loop->wake_fd < 0) {
        return -errno;
    }
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    return epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->wake_fd, &event) == 0 ? 0 : -errno;
}

int event_loop_init(struct event_loop *loop, struct error *err)
{
    loop->epoll_fd = -1;
    loop->wake_fd = -1;
    atomic_init(&loop->stop, false);
    int rc = open_descriptors(loop);
    if (rc < 0) {
        event_loop_destroy(loop);
        return error_set(err, rc, "event loop: %s", strerror(-rc));
    }
    return 0;
}

static void close_descriptor(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
    }
    *fd = -1;
}

void event_loop_destroy(struct event_loop *loop)
{
    close_descriptor(&loop->wake_fd);
    close_descriptor(&loop->epoll_fd);
}

static void drain(int event_fd)
{
    uint64_t count;
    (void)!read(event_fd, &count, sizeof(count));
}

static void dispatch_one(struct event_loop *loop)
{
    struct epoll_event event;
    if (epoll_wait(loop->epoll_fd, &event, 1, -1) != 1) {
        return; /* a signal: EINTR */
    }
    struct event_source *source = event.data.ptr;
    if (source == NULL) {
        drain(loop->wake_fd);
    } else {
        source->handler(source->opaque, event.events);
    }
}

void event_loop_run(struct event_loop *loop)
{
    while (!atomic_load(&loop->stop)) {
        dispatch_one(loop);
    }
    /* Only the flag says that the loop shall stop; a wake-up that is left over does no harm. */
    atomic_store(&loop->stop, false);
}

void event_loop_stop(struct event_loop *loop)
{
    int saved_errno = errno;
    uint64_t one = 1;
    atomic_store(&loop->stop, true);
    (void)!write(loop->wake_fd, &one, sizeof(one));
    errno = saved_errno;
}

/* ---- timers */

uint64_t event_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void timer_handler(void *opaque, uint32_t events)
{
    struct event_timer *timer = opaque;
    uint64_t expirations;
    (void)events;
    /* Setting or cancelling the timer withdraws an expiry that nobody has read yet. */
    if (read(timer->source.fd, &expirations, sizeof(expirations)) == sizeof(expirations)) {
        timer->expired(timer->opaque);
    }
}

int event_timer_init(struct event_timer *timer, struct event_loop *loop,
                     void (*expired)(void *opaque), void *opaque)
{
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (fd < 0) {
        timer->loop = NULL;
        return -errno;
    }
    timer->source = (struct event_source){.fd = fd, .handler = timer_handler, .opaque = timer};
    timer->loop = loop;
    timer->expired = expired;
    timer->opaque = opaque;
    int rc = event_loop_add(loop, &timer->source, EPOLLIN);
    if (rc < 0) {
        event_timer_destroy(timer);
    }
    return rc;
}

void event_timer_destroy(struct event_timer *timer)
{
    if (timer->loop == NULL) {
        return;
    }
    event_loop_remove(timer->loop, &timer->source);
    close(timer->source.fd);
    timer->source.fd = -1;
    timer->loop = NULL;
}

static void set_timer(struct event_timer *timer, uint64_t seconds, uint64_t nanoseconds)
{
    struct itimerspec when = {.it_value = {(time_t)seconds, (long)nanoseconds}};
    timerfd_settime(timer->source.fd, TFD_TIMER_ABSTIME, &when, NULL);
}

void event_timer_set(struct event_timer *timer, uint64_t when_ns)
{
    if (when_ns == 0) {
        when_ns = 1; /* 0 would switch the timer off */
    }
    set_timer(timer, when_ns / 1000000000, when_ns % 1000000000);
}

void event_timer_cancel(struct event_timer *timer)
{
    set_timer(timer, 0, 0);
}

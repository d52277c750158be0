/* SPDX-License-Identifier: MIT */
/*
 * A thread with an event loop of its own, for a device whose work should hold up neither a vCPU nor
 * the main thread. What vmm/event_loop.h says of the main thread holds for this one: handlers run
 * on it, and sources are added and removed there or while it does not run.
 */
#ifndef VMM_WORKER_H
#define VMM_WORKER_H

#include <pthread.h>
#include <stdbool.h>

#include "vmm/event_loop.h"

struct worker {
    struct event_loop loop;
    pthread_t thread;
    char name[16]; /* the thread's, see trace_name_thread() */
    bool has_loop, running;
};

/* Any thread that a device has: all signals are blocked in it. Negative errno. */
int worker_create_thread(pthread_t *thread, void *(*run)(void *opaque), void *opaque);

/* A loop without a thread. Negative errno; then nothing is left. */
int worker_init(struct worker *worker, const char *name, struct error *err);

/* Start the thread. Negative errno. */
int worker_start(struct worker *worker, struct error *err);

/* End the thread after the handler that is running; nothing happens if there is none. Not to be
 * called with a lock held that a handler takes. */
void worker_stop(struct worker *worker);

/* Stop, and destroy the loop. Its sources were removed. Nothing happens if all is zero. */
void worker_destroy(struct worker *worker);

#endif

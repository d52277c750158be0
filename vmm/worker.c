/* SPDX-License-Identifier: MIT */
/* See vmm/worker.h. */
#include "vmm/worker.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "vmm/trace.h"

static void *worker_thread(void *opaque)
{
    struct worker *worker = opaque;
    trace_name_thread(worker->name);
    event_loop_run(&worker->loop);
    return NULL;
}

int worker_init(struct worker *worker, const char *name, struct error *err)
{
    snprintf(worker->name, sizeof(worker->name), "%.15s", name);
    int ret = event_loop_init(&worker->loop, err);
    worker->has_loop = ret == 0;
    return ret;
}

int worker_create_thread(pthread_t *thread, void *(*run)(void *opaque), void *opaque)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* inherited; signals are for the main thread */
    int ret = pthread_create(thread, NULL, run, opaque);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -ret;
}

int worker_start(struct worker *worker, struct error *err)
{
    int ret = worker_create_thread(&worker->thread, worker_thread, worker);
    worker->running = ret == 0;
    return ret ? error_set(err, ret, "%s: no thread: %s", worker->name, strerror(-ret)) : 0;
}

void worker_stop(struct worker *worker)
{
    if (worker->running) {
        event_loop_stop(&worker->loop);
        pthread_join(worker->thread, NULL);
        worker->running = false;
    }
}

void worker_destroy(struct worker *worker)
{
    worker_stop(worker);
    if (worker->has_loop) {
        event_loop_destroy(&worker->loop);
        worker->has_loop = false;
    }
}

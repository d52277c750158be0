/* SPDX-License-Identifier: MIT */
/* Steps of disk requests by threads that wait for the host. See vmm/disk.h. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/disk.h"
#include "vmm/trace.h"
#include "vmm/worker.h"

enum { THREADS = 4 };

/* A list of requests, oldest first. */
struct request_list {
    struct disk_request *first, **end;
};

struct pool {
    struct disk *disk;
    pthread_mutex_t lock; /* guards the rest */
    pthread_cond_t more;  /* `todo` or `stop` changed */
    pthread_cond_t less;  /* `done` changed */
    struct request_list todo, done;
    bool stop;
    pthread_t threads[THREADS];
    unsigned thread_count;
};

static void list_init(struct request_list *list)
{
    list->first = NULL;
    list->end = &list->first;
}

static void list_add(struct request_list *list, struct disk_request *request)
{
    request->next = NULL;
    *list->end = request;
    list->end = &request->next;
}

static struct disk_request *list_take(struct request_list *list)
{
    struct disk_request *request = list->first;
    if (request) {
        list->first = request->next;
        if (!list->first) {
            list->end = &list->first;
        }
    }
    return request;
}

/* ---- the threads */

static int64_t carry_out(const struct disk *disk, const struct disk_request *request)
{
    int count = (int)disk_step_iov_count(request);
    off_t offset = (off_t)request->offset;
    int64_t ret = 0;
    switch (request->call) {
    case DISK_CALL_READ:
        ret = preadv(disk->fd, request->iov, count, offset);
        break;
    case DISK_CALL_WRITE:
        ret = pwritev2(disk->fd, request->iov, count, offset, request->durable ? RWF_DSYNC : 0);
        break;
    case DISK_CALL_SYNC:
        ret = fdatasync(disk->fd);
        break;
    case DISK_CALL_ALLOCATE:
        ret = fallocate(disk->fd, request->mode, offset, (off_t)request->length);
        break;
    }
    return ret < 0 ? -errno : ret;
}

static void *pool_thread(void *opaque)
{
    struct pool *pool = opaque;
    uint64_t one = 1;
    trace_name_thread("disk");
    pthread_mutex_lock(&pool->lock);
    while (!pool->stop) {
        struct disk_request *request = list_take(&pool->todo);
        if (!request) {
            pthread_cond_wait(&pool->more, &pool->lock);
            continue;
        }
        pthread_mutex_unlock(&pool->lock);
        request->returned = carry_out(pool->disk, request);
        pthread_mutex_lock(&pool->lock);
        list_add(&pool->done, request);
        pthread_cond_signal(&pool->less);
        (void)!write(pool->disk->event_fd, &one, sizeof(one));
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

/* ---- the engine */

static void threads_close(struct disk *disk)
{
    struct pool *pool = disk->engine_state;
    pthread_mutex_lock(&pool->lock);
    pool->stop = true;
    pthread_cond_broadcast(&pool->more);
    pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->thread_count; i++) {
        pthread_join(pool->threads[i], NULL);
    }
    pthread_mutex_destroy(&pool->lock);
    pthread_cond_destroy(&pool->more);
    pthread_cond_destroy(&pool->less);
    free(pool);
}

static int threads_open(struct disk *disk, unsigned depth, struct error *err)
{
    struct pool *pool = calloc(1, sizeof(*pool));
    (void)depth;
    if (!pool) {
        return error_set(err, -ENOMEM, "no memory for a disk");
    }
    pool->disk = disk;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->more, NULL);
    pthread_cond_init(&pool->less, NULL);
    list_init(&pool->todo);
    list_init(&pool->done);
    disk->engine_state = pool;
    for (; pool->thread_count < THREADS; pool->thread_count++) {
        int ret = worker_create_thread(&pool->threads[pool->thread_count], pool_thread, pool);
        if (ret < 0) {
            threads_close(disk);
            return error_set(err, ret, "no thread for a disk: %s", strerror(-ret));
        }
    }
    return 0;
}

static void threads_submit(struct disk *disk, struct disk_request *request)
{
    struct pool *pool = disk->engine_state;
    pthread_mutex_lock(&pool->lock);
    list_add(&pool->todo, request);
    pthread_cond_signal(&pool->more);
    pthread_mutex_unlock(&pool->lock);
}

static void threads_start(struct disk *disk)
{
    (void)disk; /* what was submitted has begun */
}

static struct disk_request *threads_reap(struct disk *disk, bool wait)
{
    struct pool *pool = disk->engine_state;
    pthread_mutex_lock(&pool->lock);
    while (wait && !pool->done.first) {
        pthread_cond_wait(&pool->less, &pool->lock);
    }
    struct disk_request *request = list_take(&pool->done);
    pthread_mutex_unlock(&pool->lock);
    return request;
}

const struct disk_engine disk_threads = {
    .name = "threads",
    .open = threads_open,
    .close = threads_close,
    .submit = threads_submit,
    .start = threads_start,
    .reap = threads_reap,
};

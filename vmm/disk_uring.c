/* SPDX-License-Identifier: MIT */
/* Steps of disk requests by io_uring. See vmm/disk.h, and io_uring(7). */
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/disk.h"

enum { SUBMISSIONS = 128, PAUSE_US = 1000 };

static struct io_uring *ring_of(struct disk *disk)
{
    return disk->engine_state;
}

/* A completion queue as long as requests can be under way never runs over. */
static int open_ring(struct io_uring *ring, unsigned depth, int event_fd)
{
    struct io_uring_params parameters = {.flags = IORING_SETUP_CQSIZE, .cq_entries = 2 * depth};
    if (parameters.cq_entries < SUBMISSIONS) {
        parameters.cq_entries = SUBMISSIONS;
    }
    int ret = io_uring_queue_init_params(SUBMISSIONS, ring, &parameters);
    if (ret < 0) {
        return ret;
    }
    ret = io_uring_register_eventfd(ring, event_fd);
    if (ret < 0) {
        io_uring_queue_exit(ring);
    }
    return ret;
}

static int uring_open(struct disk *disk, unsigned depth, struct error *err)
{
    struct io_uring *ring = calloc(1, sizeof(*ring));
    int ret = ring ? open_ring(ring, depth, disk->event_fd) : -ENOMEM;
    if (ret < 0) {
        free(ring);
        return error_set(err, ret, "io_uring: %s", strerror(-ret));
    }
    disk->engine_state = ring;
    return 0;
}

static void uring_close(struct disk *disk)
{
    io_uring_queue_exit(ring_of(disk));
    free(disk->engine_state);
}

/* The kernel takes all that was prepared, sooner or later: it can be short of memory. */
static void uring_start(struct disk *disk)
{
    struct io_uring *ring = ring_of(disk);
    io_uring_cq_eventfd_toggle(ring, false); /* the owner looks after this in any case */
    while (io_uring_sq_ready(ring) > 0) {
        if (io_uring_submit(ring) <= 0) {
            usleep(PAUSE_US);
        }
    }
    io_uring_cq_eventfd_toggle(ring, true);
    /* The flag is seen before the owner looks. */
    __sync_synchronize();
}

static void uring_submit(struct disk *disk, struct disk_request *request)
{
    struct io_uring *ring = ring_of(disk);
    struct io_uring_sqe *entry = io_uring_get_sqe(ring);
    while (!entry) {
        uring_start(disk);
        entry = io_uring_get_sqe(ring);
    }
    unsigned count = disk_step_iov_count(request);
    switch (request->call) {
    case DISK_CALL_READ:
        io_uring_prep_readv(entry, disk->fd, request->iov, count, request->offset);
        break;
    case DISK_CALL_WRITE:
        io_uring_prep_writev2(entry, disk->fd, request->iov, count, request->offset,
                              request->durable ? RWF_DSYNC : 0);
        break;
    case DISK_CALL_SYNC:
        io_uring_prep_fsync(entry, disk->fd, IORING_FSYNC_DATASYNC);
        break;
    case DISK_CALL_ALLOCATE:
        io_uring_prep_fallocate(entry, disk->fd, request->mode, (off_t)request->offset,
                                (off_t)request->length);
        break;
    }
    io_uring_sqe_set_data(entry, request);
}

static struct disk_request *uring_reap(struct disk *disk, bool wait)
{
    struct io_uring *ring = ring_of(disk);
    struct io_uring_cqe *entry = NULL;
    int ret = io_uring_peek_cqe(ring, &entry);
    while (ret < 0 && wait) {
        ret = io_uring_wait_cqe(ring, &entry); /* a signal may end it early */
    }
    if (ret < 0) {
        return NULL;
    }
    struct disk_request *request = io_uring_cqe_get_data(entry);
    request->returned = entry->res;
    io_uring_cqe_seen(ring, entry);
    return request;
}

const struct disk_engine disk_uring = {
    .name = "io_uring",
    .open = uring_open,
    .close = uring_close,
    .submit = uring_submit,
    .start = uring_start,
    .reap = uring_reap,
};

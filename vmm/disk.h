/* SPDX-License-Identifier: MIT */
/*
 * A disk that a file or a block device of the host holds, read and written without waiting.
 *
 *     disk_submit() ...  requests are handed over
 *     disk_start()       and begin
 *     disk_reap() ...    give back those that are done, in any order
 *
 * What completes while disk_start() runs, as reads do that find all in the host's page cache,
 * raises no event: call disk_reap() once after it. What completes later makes `event_fd` readable.
 *
 * A request is carried out in steps, each one system call: pread and pwrite may do less than they
 * were told, and what a file system cannot do at once is done otherwise. Which step is next, disk.c
 * knows; how a step is carried out, an engine: disk_uring.c by io_uring, disk_threads.c by a few
 * threads where the kernel has no io_uring or forbids it.
 *
 * The host's page cache is used. A write is done when it is there, so that it survives the end of
 * minivmm; what a DISK_FLUSH acknowledges, or a `durable` write, survives the end of the host too.
 *
 * All functions: one thread at a time; the owner has a lock.
 */
#ifndef VMM_DISK_H
#define VMM_DISK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "vmm/error.h"

enum { DISK_SECTOR = 512 }; /* bytes; all offsets and lengths are multiples */

enum disk_operation { DISK_READ, DISK_WRITE, DISK_FLUSH, DISK_DISCARD, DISK_WRITE_ZEROES };

/* The system calls that a step can be. */
enum disk_call { DISK_CALL_READ, DISK_CALL_WRITE, DISK_CALL_SYNC, DISK_CALL_ALLOCATE };

/* The owner sets the first part; the rest is the disk's from disk_submit() to disk_reap(). */
struct disk_request {
    enum disk_operation operation;
    bool durable;      /* DISK_WRITE, DISK_WRITE_ZEROES: on stable storage when done */
    bool may_unmap;    /* DISK_WRITE_ZEROES: the space may be given back to the file system */
    uint64_t offset;   /* bytes; offset + length lie within the disk */
    uint64_t length;   /* bytes; of DISK_READ and DISK_WRITE that of all of `iov` */
    struct iovec *iov; /* changed on the way */
    unsigned iov_count;

    int result; /* 0 or a negative errno */

    /* The step. */
    enum disk_call call;
    int mode;            /* of DISK_CALL_ALLOCATE: fallocate()'s */
    int64_t returned;    /* what the call returned, or a negative errno */
    struct iovec zeroes; /* of DISK_WRITE_ZEROES by hand */
    struct disk_request *next;
};

enum disk_aio { DISK_AIO_AUTO, DISK_AIO_URING, DISK_AIO_THREADS };

struct disk_settings {
    const char *path;
    bool read_only;
    enum disk_aio aio;
    unsigned depth; /* the most requests that will be under way at once */
};

struct disk;

/* How steps are carried out. */
struct disk_engine {
    const char *name;
    int (*open)(struct disk *disk, unsigned depth, struct error *err);
    void (*close)(struct disk *disk); /* nothing is under way */
    void (*submit)(struct disk *disk, struct disk_request *request);
    void (*start)(struct disk *disk);
    /* One whose step is done, `returned` is set; or NULL. `wait`: one is under way, wait for it. */
    struct disk_request *(*reap)(struct disk *disk, bool wait);
};

extern const struct disk_engine disk_uring;
extern const struct disk_engine disk_threads;

struct disk {
    int fd;       /* -1: not open */
    int event_fd; /* to be read by the owner */
    bool read_only;
    uint64_t size;                /* bytes */
    uint32_t logical_block_size;  /* bytes, as the host's device has it; files: 512 */
    uint32_t physical_block_size; /* bytes, >= logical_block_size */
    unsigned under_way;           /* requests */
    const struct disk_engine *engine;
    void *engine_state;
};

/*
 * Open settings->path, which nobody else who locks it may use meanwhile (others may read, if all
 * only read). Negative errno, and a text that names the file; then nothing is left.
 */
int disk_open(struct disk *disk, const struct disk_settings *settings, struct error *err);

/* Nothing is under way. Nothing happens if it is not open. */
void disk_close(struct disk *disk);

void disk_submit(struct disk *disk, struct disk_request *request);
void disk_start(struct disk *disk);

/* A request that is done, or NULL. With `wait`, NULL only if none is under way. */
struct disk_request *disk_reap(struct disk *disk, bool wait);

/* ---- for the engines */

enum { DISK_IOV_MAX = 1024 }; /* what one call takes: IOV_MAX */

/* How many pieces of `iov` the step takes. */
static inline unsigned disk_step_iov_count(const struct disk_request *request)
{
    return request->iov_count < DISK_IOV_MAX ? request->iov_count : DISK_IOV_MAX;
}

#endif

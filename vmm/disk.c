/* SPDX-License-Identifier: MIT */
/* See vmm/disk.h. */
#include "vmm/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/trace.h"

/* ---- opening */

static int open_file(struct disk *disk, const struct disk_settings *settings, struct error *err)
{
    disk->fd = open(settings->path, (settings->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
    if (disk->fd >= 0) {
        return 0;
    }
    int ret = -errno;
    bool denied = !settings->read_only && (ret == -EACCES || ret == -EROFS || ret == -EPERM);
    return error_set(err, ret, "%s: %s%s", settings->path, strerror(-ret),
                     denied ? " (readonly=on only reads)" : "");
}

static int find_size_of_device(struct disk *disk, const char *path, struct error *err)
{
    int logical;
    unsigned physical;
    if (ioctl(disk->fd, BLKGETSIZE64, &disk->size) < 0 ||
        ioctl(disk->fd, BLKSSZGET, &logical) < 0 || ioctl(disk->fd, BLKPBSZGET, &physical) < 0) {
        return error_set(err, -errno, "%s: its size is not known: %s", path, strerror(errno));
    }
    disk->logical_block_size = (uint32_t)logical;
    disk->physical_block_size = physical;
    return 0;
}

static int find_size(struct disk *disk, const char *path, struct error *err)
{
    struct stat status;
    if (fstat(disk->fd, &status) < 0) {
        return error_set(err, -errno, "%s: %s", path, strerror(errno));
    }
    if (S_ISBLK(status.st_mode)) {
        return find_size_of_device(disk, path, err);
    }
    if (!S_ISREG(status.st_mode)) {
        return error_set(err, -EINVAL, "%s: neither a file nor a block device", path);
    }
    if (status.st_size == 0 || status.st_size % DISK_SECTOR != 0) {
        return error_set(err, -EINVAL, "%s: %lld bytes are not a whole number of sectors (of 512)",
                         path, (long long)status.st_size);
    }
    disk->size = (uint64_t)status.st_size;
    disk->logical_block_size = DISK_SECTOR;
    disk->physical_block_size = DISK_SECTOR;
    return 0;
}

/* Two who write would destroy the file system in it. */
static int lock_file(struct disk *disk, const char *path, struct error *err)
{
    if (flock(disk->fd, (disk->read_only ? LOCK_SH : LOCK_EX) | LOCK_NB) < 0) {
        return errno == EWOULDBLOCK
                   ? error_set(err, -EBUSY, "%s: somebody else is using it", path)
                   : error_set(err, -errno, "%s: cannot be locked: %s", path, strerror(errno));
    }
    return 0;
}

static int try_engine(struct disk *disk, const struct disk_engine *engine, unsigned depth,
                      struct error *err)
{
    int ret = engine->open(disk, depth, err);
    disk->engine = ret < 0 ? NULL : engine;
    return ret;
}

static int open_engine(struct disk *disk, const struct disk_settings *settings, struct error *err)
{
    disk->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (disk->event_fd < 0) {
        return error_set(err, -errno, "%s: eventfd: %s", settings->path, strerror(errno));
    }
    int ret = -ENOSYS;
    if (settings->aio != DISK_AIO_THREADS) {
        ret = try_engine(disk, &disk_uring, settings->depth, err);
    }
    if (ret < 0 && settings->aio != DISK_AIO_URING) {
        ret = try_engine(disk, &disk_threads, settings->depth, err);
    }
    return ret;
}

int disk_open(struct disk *disk, const struct disk_settings *settings, struct error *err)
{
    *disk = (struct disk){.fd = -1, .event_fd = -1, .read_only = settings->read_only};
    int ret = open_file(disk, settings, err);
    if (ret == 0) {
        ret = find_size(disk, settings->path, err);
    }
    if (ret == 0) {
        ret = lock_file(disk, settings->path, err);
    }
    if (ret == 0) {
        ret = open_engine(disk, settings, err);
    }
    if (ret < 0) {
        disk_close(disk);
        return ret;
    }
    trace_disk_open(settings->path, disk->size, disk->engine->name);
    return 0;
}

void disk_close(struct disk *disk)
{
    if (disk->engine) {
        disk->engine->close(disk);
        disk->engine = NULL;
    }
    if (disk->event_fd >= 0) {
        close(disk->event_fd);
        disk->event_fd = -1;
    }
    if (disk->fd >= 0) {
        close(disk->fd);
        disk->fd = -1;
    }
}

/* ---- steps */

/* What is written, a piece a step, where a file system cannot make zeroes. */
enum { ZERO_PIECE = 1 << 18 };
static const uint8_t zeroes[ZERO_PIECE];

static void next_zeroes(struct disk_request *request)
{
    uint64_t left = request->length;
    request->zeroes = (struct iovec){.iov_base = (void *)zeroes,
                                     .iov_len = left < ZERO_PIECE ? (size_t)left : ZERO_PIECE};
    request->iov = &request->zeroes;
    request->iov_count = 1;
}

static void first_step(struct disk_request *request)
{
    switch (request->operation) {
    case DISK_READ:
        request->call = DISK_CALL_READ;
        break;
    case DISK_WRITE:
        request->call = DISK_CALL_WRITE;
        break;
    case DISK_FLUSH:
        request->call = DISK_CALL_SYNC;
        break;
    case DISK_DISCARD:
        request->call = DISK_CALL_ALLOCATE;
        request->mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
        break;
    case DISK_WRITE_ZEROES:
        request->call = DISK_CALL_ALLOCATE;
        request->mode = (request->may_unmap ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE) |
                        FALLOC_FL_KEEP_SIZE;
        break;
    }
}

static bool finished(struct disk_request *request, int result)
{
    request->result = result;
    return true;
}

/* `done` bytes were read or written. */
static void advance(struct disk_request *request, uint64_t done)
{
    request->offset += done;
    request->length -= done;
    while (request->iov_count > 0 && done >= request->iov->iov_len) {
        done -= request->iov->iov_len;
        request->iov++;
        request->iov_count--;
    }
    if (request->iov_count > 0) {
        request->iov->iov_base = (uint8_t *)request->iov->iov_base + done;
        request->iov->iov_len -= (size_t)done;
    }
}

static bool transfer_done(struct disk_request *request)
{
    if (request->returned <= 0) { /* 0: somebody made the file shorter */
        return finished(request, request->returned < 0 ? (int)request->returned : -EIO);
    }
    advance(request, (uint64_t)request->returned);
    return request->length == 0 && finished(request, 0);
}

static bool allocation_done(struct disk_request *request)
{
    bool unsupported = request->returned == -EOPNOTSUPP;
    if (request->operation == DISK_DISCARD) { /* a hint */
        return finished(request, unsupported ? 0 : (int)request->returned);
    }
    if (unsupported) {
        request->call = DISK_CALL_WRITE;
        return false;
    }
    if (request->returned < 0 || !request->durable) {
        return finished(request, (int)request->returned);
    }
    request->call = DISK_CALL_SYNC;
    return false;
}

/* A step is done. True: the request is; false: there is another step. */
static bool step_done(struct disk_request *request)
{
    if (request->returned == -EINTR || request->returned == -EAGAIN) {
        return false;
    }
    switch (request->call) {
    case DISK_CALL_READ:
    case DISK_CALL_WRITE:
        return transfer_done(request);
    case DISK_CALL_ALLOCATE:
        return allocation_done(request);
    case DISK_CALL_SYNC:
        break;
    }
    return finished(request, (int)request->returned);
}

static void begin_step(struct disk *disk, struct disk_request *request)
{
    if (request->operation == DISK_WRITE_ZEROES && request->call == DISK_CALL_WRITE) {
        next_zeroes(request);
    }
    disk->engine->submit(disk, request);
}

/* ---- requests */

void disk_submit(struct disk *disk, struct disk_request *request)
{
    first_step(request);
    disk->under_way++;
    begin_step(disk, request);
}

void disk_start(struct disk *disk)
{
    disk->engine->start(disk);
}

struct disk_request *disk_reap(struct disk *disk, bool wait)
{
    while (disk->under_way > 0) {
        struct disk_request *request = disk->engine->reap(disk, wait);
        if (!request) {
            return NULL;
        }
        if (step_done(request)) {
            disk->under_way--;
            return request;
        }
        begin_step(disk, request);
        disk->engine->start(disk);
    }
    return NULL;
}

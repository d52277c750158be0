/* SPDX-License-Identifier: MIT */
/*
 * virtio-blk: a disk. virtio 1.2, 5.2.
 *
 * Virtio id 2; PCI 1af4:1001, or 1af4:1042 without the legacy registers. A request is a header
 * (type, sector), data, and a byte that the device writes last: the status. How they lie in the
 * buffers is up to the driver (2.7.4).
 *
 *   IN, OUT        read, write `data` at `sector`
 *   FLUSH          what was done before is on stable storage when it is done
 *   DISCARD        the driver no longer needs these sectors; one range
 *   WRITE_ZEROES   these sectors read as zeroes; one range
 *   GET_ID         the serial number, 20 bytes
 *
 * A write is done when the host's page cache has it, and stable after FLUSH. A driver that has not
 * accepted FLUSH cannot ask, and one that sets `wce` to 0 does not want to: then every write is
 * stable when it is done (5.2.6.2).
 *
 * Requests are carried out by vmm/disk.c in any order; the device's own thread starts them and
 * hands them back, for all queues.
 */
#include "devices/virtio/virtio_blk.h"

#include <errno.h>
#include <linux/virtio_blk.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "devices/virtio/virtio.h"
#include "devices/virtio/virtio_pci.h"
#include "vmm/disk.h"
#include "vmm/trace.h"

enum {
    QUEUE_SIZE = 256,
    QUEUES_MAX = 16,
    SECTOR_SHIFT = 9,
    MAX_RANGE_SECTORS = 1 << 22, /* 2 GiB: of a discard, or of zeroes */
};

struct blk_request {
    struct virtio_request base;
    struct disk_request disk;
    uint32_t type;
    uint64_t sector;
    uint8_t *status; /* the last byte of `in` */
};

struct virtio_blk {
    struct virtio_device virtio;
    struct virtio_blk_config config;
    struct disk disk;
    struct event_source done; /* the disk's event */
    /* Properties. */
    const char *file, *serial;
    bool read_only, write_back, discard;
    uint32_t aio, queues, logical_block_size;
};

static const char *const aio_choices[] = {"auto", "io_uring", "threads", NULL};

static struct virtio_blk *blk_of(struct virtio_device *virtio)
{
    return (struct virtio_blk *)virtio;
}

static struct blk_request *request_of(struct disk_request *disk)
{
    return (struct blk_request *)((uint8_t *)disk - offsetof(struct blk_request, disk));
}

/* ---- the end of a request; lock held */

static void hand_back(struct blk_request *request, uint8_t status)
{
    struct virtio_request *base = &request->base;
    struct virtio_blk *blk = blk_of(base->queue->virtio);
    trace_virtio_blk_done(blk->virtio.pci.name, base->queue->index, base->id, status);
    *request->status = status;
    virtqueue_push(base, (uint32_t)base->in_length);
}

static void hand_back_done(struct disk_request *disk)
{
    struct blk_request *request = request_of(disk);
    if (disk->result < 0) {
        trace_virtio_blk_error(request->base.queue->virtio->pci.name, request->type,
                               request->sector, strerror(-disk->result));
    }
    hand_back(request, disk->result < 0 ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK);
}

static void refuse(struct blk_request *request, uint8_t status, const char *reason)
{
    trace_virtio_blk_error(request->base.queue->virtio->pci.name, request->type, request->sector,
                           reason);
    hand_back(request, status);
}

/* Hand back what is done; one interrupt a queue for all of it. */
static void finish_all(struct virtio_blk *blk)
{
    struct disk_request *disk;
    while ((disk = disk_reap(&blk->disk, false))) {
        hand_back_done(disk);
    }
    for (unsigned i = 0; i < blk->virtio.queue_count; i++) {
        virtqueue_notify(&blk->virtio.queues[i]);
    }
}

/* ---- the beginning of a request; lock held */

/* The pieces without their first `bytes`, and then only `length` of what is left. */
static unsigned cut(struct iovec **pieces, unsigned count, uint64_t bytes, uint64_t length)
{
    struct iovec *iov = *pieces;
    while (count > 0 && bytes >= iov->iov_len) {
        bytes -= iov->iov_len;
        iov++;
        count--;
    }
    *pieces = iov;
    if (count > 0) {
        iov->iov_base = (uint8_t *)iov->iov_base + bytes;
        iov->iov_len -= (size_t)bytes;
    }
    unsigned used = 0;
    for (; used < count && length > 0; used++) {
        if (iov[used].iov_len > length) {
            iov[used].iov_len = (size_t)length;
        }
        length -= iov[used].iov_len;
    }
    return used;
}

static bool inside(const struct virtio_blk *blk, uint64_t sector, uint64_t sectors)
{
    uint64_t capacity = blk->disk.size >> SECTOR_SHIFT;
    return sector <= capacity && sectors <= capacity - sector;
}

/* 5.2.6.2: whether a write must be stable when it is done. */
static bool write_through(const struct virtio_blk *blk)
{
    const struct virtio_device *virtio = &blk->virtio;
    return virtio_has(virtio, VIRTIO_BLK_F_CONFIG_WCE) ? !blk->config.wce
                                                       : !virtio_has(virtio, VIRTIO_BLK_F_FLUSH);
}

static void start(struct virtio_blk *blk, struct blk_request *request,
                  enum disk_operation operation, uint64_t sector, uint64_t length)
{
    request->disk.operation = operation;
    request->disk.offset = sector << SECTOR_SHIFT;
    request->disk.length = length;
    request->disk.durable = write_through(blk);
    disk_submit(&blk->disk, &request->disk);
}

/* IN and OUT. The status byte is not part of the data. */
static void transfer(struct virtio_blk *blk, struct blk_request *request, bool write)
{
    struct virtio_request *base = &request->base;
    uint64_t header = sizeof(struct virtio_blk_outhdr);
    uint64_t length = write ? base->out_length - header : base->in_length - 1;
    if (length % DISK_SECTOR || !inside(blk, request->sector, length >> SECTOR_SHIFT)) {
        refuse(request, VIRTIO_BLK_S_IOERR, "not whole sectors of this disk");
        return;
    }
    if (write && blk->read_only) {
        refuse(request, VIRTIO_BLK_S_IOERR, "a write to a disk that is only read"); /* 5.2.6.2 */
        return;
    }
    if (length == 0) {
        hand_back(request, VIRTIO_BLK_S_OK);
        return;
    }
    request->disk.iov = write ? base->out : base->in;
    request->disk.iov_count = write ? cut(&request->disk.iov, base->out_count, header, length)
                                    : cut(&request->disk.iov, base->in_count, 0, length);
    start(blk, request, write ? DISK_WRITE : DISK_READ, request->sector, length);
}

/* DISCARD and WRITE_ZEROES: the data is one range, as max_..._seg says. 5.2.6.2 */
static void change_range(struct virtio_blk *blk, struct blk_request *request, bool discard)
{
    struct virtio_request *base = &request->base;
    struct virtio_blk_discard_write_zeroes range;
    uint64_t header = sizeof(struct virtio_blk_outhdr);
    unsigned feature = discard ? VIRTIO_BLK_F_DISCARD : VIRTIO_BLK_F_WRITE_ZEROES;
    if (base->out_length != header + sizeof(range) ||
        virtio_request_read(base, header, &range, sizeof(range)) != sizeof(range)) {
        refuse(request, VIRTIO_BLK_S_IOERR, "not one range");
        return;
    }
    uint32_t known = discard ? 0 : VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
    if (!virtio_has(&blk->virtio, feature) || range.flags & ~known) {
        refuse(request, VIRTIO_BLK_S_UNSUPP, "a range with unknown flags");
        return;
    }
    request->sector = range.sector;
    if (blk->read_only || range.num_sectors > MAX_RANGE_SECTORS ||
        !inside(blk, range.sector, range.num_sectors)) {
        refuse(request, VIRTIO_BLK_S_IOERR, "a range that cannot be changed");
        return;
    }
    if (range.num_sectors == 0) {
        hand_back(request, VIRTIO_BLK_S_OK);
        return;
    }
    request->disk.may_unmap = range.flags & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
    start(blk, request, discard ? DISK_DISCARD : DISK_WRITE_ZEROES, range.sector,
          (uint64_t)range.num_sectors << SECTOR_SHIFT);
}

/* The serial number: not terminated if it fills all 20 bytes. */
static void get_id(struct virtio_blk *blk, struct blk_request *request)
{
    char id[VIRTIO_BLK_ID_BYTES] = "";
    size_t room = request->base.in_length - 1;
    if (blk->serial) {
        memcpy(id, blk->serial, strnlen(blk->serial, sizeof(id)));
    }
    (void)virtio_request_write(&request->base, 0, id, room < sizeof(id) ? room : sizeof(id));
    hand_back(request, VIRTIO_BLK_S_OK);
}

static void carry_out(struct virtio_blk *blk, struct blk_request *request)
{
    switch (request->type) {
    case VIRTIO_BLK_T_IN:
    case VIRTIO_BLK_T_OUT:
        transfer(blk, request, request->type == VIRTIO_BLK_T_OUT);
        break;
    case VIRTIO_BLK_T_FLUSH:
        start(blk, request, DISK_FLUSH, 0, 0);
        break;
    case VIRTIO_BLK_T_DISCARD:
    case VIRTIO_BLK_T_WRITE_ZEROES:
        change_range(blk, request, request->type == VIRTIO_BLK_T_DISCARD);
        break;
    case VIRTIO_BLK_T_GET_ID:
        get_id(blk, request);
        break;
    default:
        refuse(request, VIRTIO_BLK_S_UNSUPP, "a type that is not known");
        break;
    }
}

static void answer(struct virtio_request *base)
{
    struct blk_request *request = (struct blk_request *)base;
    struct virtio_blk *blk = blk_of(base->queue->virtio);
    struct virtio_blk_outhdr header;
    if (virtio_request_read(base, 0, &header, sizeof(header)) != sizeof(header) ||
        base->in_length == 0) {
        virtio_break(&blk->virtio, "a request without header or status");
        virtqueue_push(base, 0);
        return;
    }
    request->type = header.type & ~(uint32_t)VIRTIO_BLK_T_BARRIER; /* a legacy driver may set it */
    request->sector = header.sector;
    const struct iovec *last = &base->in[base->in_count - 1];
    request->status = (uint8_t *)last->iov_base + last->iov_len - 1;
    trace_virtio_blk_request(blk->virtio.pci.name, base->queue->index, base->id, request->type,
                             request->sector, base->out_length, base->in_length);
    carry_out(blk, request);
}

/* ---- the device */

/* virtqueue_serve() returns with its requests handed over; they begin all at once. */
static void kicked(struct virtio_device *virtio, struct virtqueue *queue)
{
    struct virtio_blk *blk = blk_of(virtio);
    virtqueue_serve(queue, answer);
    disk_start(&blk->disk);
    finish_all(blk);
}

static void disk_event(void *opaque, uint32_t events)
{
    struct virtio_blk *blk = opaque;
    uint64_t count;
    (void)events;
    (void)!read(blk->disk.event_fd, &count, sizeof(count));
    pthread_mutex_lock(&blk->virtio.pci.lock);
    finish_all(blk);
    pthread_mutex_unlock(&blk->virtio.pci.lock);
}

/* Wait for all that is under way; what belongs to `queue`, or with NULL everything, is dropped. */
static void drain(struct virtio_blk *blk, const struct virtqueue *queue)
{
    struct disk_request *disk;
    while ((disk = disk_reap(&blk->disk, true))) {
        struct blk_request *request = request_of(disk);
        if (!queue || request->base.queue == queue) {
            virtqueue_drop(&request->base);
        } else {
            hand_back_done(disk);
        }
    }
}

static void reset(struct virtio_device *virtio)
{
    struct virtio_blk *blk = blk_of(virtio);
    drain(blk, NULL);
    blk->config.wce = blk->write_back;
}

static void queue_reset(struct virtio_device *virtio, struct virtqueue *queue)
{
    drain(blk_of(virtio), queue);
    finish_all(blk_of(virtio)); /* of the others */
}

/* 5.2.4: the driver may choose between write-back and write-through, if it has accepted that. */
static void config_write(struct virtio_device *virtio, unsigned offset, unsigned size,
                         uint32_t value)
{
    struct virtio_blk *blk = blk_of(virtio);
    if (offset == offsetof(struct virtio_blk_config, wce) && size == 1 &&
        virtio_has(virtio, VIRTIO_BLK_F_CONFIG_WCE)) {
        blk->config.wce = value & 1;
    }
}

static const struct virtio_class class = {
    .name = "virtio-blk-device",
    .id = VIRTIO_ID_BLOCK,
    .legacy_id = 0x1001,
    .pci_class = 0x018000, /* mass storage, other */
    .request_size = sizeof(struct blk_request),
    .config_size = offsetof(struct virtio_blk_config, max_secure_erase_sectors),
    .long_requests = true,
    .own_thread = true,
    .kicked = kicked,
    .reset = reset,
    .queue_reset = queue_reset,
    .config_write = config_write,
};

static unsigned log2_of(uint32_t power)
{
    return 31 - (unsigned)__builtin_clz(power);
}

/* 5.2.4, 5.2.5. Fields of features that are not offered stay 0. */
static void describe(struct virtio_blk *blk)
{
    struct virtio_blk_config *config = &blk->config;
    uint32_t block = blk->logical_block_size;
    config->capacity = blk->disk.size >> SECTOR_SHIFT;
    config->blk_size = block;
    config->physical_block_exp =
        (uint8_t)(blk->disk.physical_block_size > block
                      ? log2_of(blk->disk.physical_block_size) - log2_of(block)
                      : 0);
    config->min_io_size = 1;
    config->wce = blk->write_back;
    config->num_queues = (uint16_t)blk->queues;
    blk->virtio.offered = VIRTIO_BIT(VIRTIO_BLK_F_SEG_MAX) | VIRTIO_BIT(VIRTIO_BLK_F_BLK_SIZE) |
                          VIRTIO_BIT(VIRTIO_BLK_F_TOPOLOGY) | VIRTIO_BIT(VIRTIO_BLK_F_FLUSH) |
                          VIRTIO_BIT(VIRTIO_BLK_F_CONFIG_WCE) |
                          (blk->queues > 1 ? VIRTIO_BIT(VIRTIO_BLK_F_MQ) : 0);
    if (blk->read_only) {
        blk->virtio.offered |= VIRTIO_BIT(VIRTIO_BLK_F_RO);
        return;
    }
    blk->virtio.offered |= VIRTIO_BIT(VIRTIO_BLK_F_WRITE_ZEROES);
    config->max_write_zeroes_sectors = MAX_RANGE_SECTORS;
    config->max_write_zeroes_seg = 1;
    config->write_zeroes_may_unmap = blk->discard;
    if (blk->discard) {
        blk->virtio.offered |= VIRTIO_BIT(VIRTIO_BLK_F_DISCARD);
        config->max_discard_sectors = MAX_RANGE_SECTORS;
        config->max_discard_seg = 1;
        config->discard_sector_alignment = block >> SECTOR_SHIFT;
    }
}

/* A request has a header and a status besides its data, and a queue of the driver's may be short.
 */
static void set_longest_request(struct virtio_blk *blk)
{
    unsigned size = blk->virtio.queues[0].max_size;
    blk->config.seg_max = size > 3 ? size - 2 : 1;
}

static int check_properties(struct virtio_blk *blk, struct error *err)
{
    if (!blk->file) {
        return error_set(err, -EINVAL, "file=FILE is missing");
    }
    if (blk->serial && strlen(blk->serial) > VIRTIO_BLK_ID_BYTES) {
        return error_set(err, -EINVAL, "serial=%s: longer than %d characters", blk->serial,
                         VIRTIO_BLK_ID_BYTES);
    }
    uint32_t block = blk->logical_block_size;
    if (block & (block - 1) || (block && block < DISK_SECTOR)) {
        return error_set(err, -EINVAL, "logical-block-size=%u: expected 512, 1024, ... 65536",
                         block);
    }
    return 0;
}

static int open_disk(struct virtio_blk *blk, struct error *err)
{
    unsigned queue_size = blk->virtio.settings.queue_size;
    const struct disk_settings settings = {
        .path = blk->file,
        .read_only = blk->read_only,
        .aio = (enum disk_aio)blk->aio,
        .depth = blk->queues * (queue_size ? queue_size : QUEUE_SIZE),
    };
    int ret = disk_open(&blk->disk, &settings, err);
    if (ret < 0) {
        return ret;
    }
    uint32_t wanted = blk->logical_block_size;
    if (!wanted) {
        blk->logical_block_size = blk->disk.logical_block_size;
    } else if (wanted < blk->disk.logical_block_size || blk->disk.size % wanted) {
        disk_close(&blk->disk);
        return error_set(err, -EINVAL, "logical-block-size=%u: %s cannot be divided so", wanted,
                         blk->file);
    }
    return 0;
}

static int watch_disk(struct virtio_blk *blk, struct error *err)
{
    blk->done =
        (struct event_source){.fd = blk->disk.event_fd, .handler = disk_event, .opaque = blk};
    int ret = event_loop_add(blk->virtio.loop, &blk->done, EPOLLIN);
    return ret < 0 ? error_set(err, ret, "%s: %s", blk->file, strerror(-ret)) : 0;
}

static int blk_realize(struct pci_device *device, struct error *err)
{
    struct virtio_blk *blk = (struct virtio_blk *)device;
    blk->disk.fd = blk->disk.event_fd = -1;
    int ret = check_properties(blk, err);
    if (ret == 0) {
        ret = open_disk(blk, err);
    }
    if (ret < 0) {
        return ret;
    }
    blk->virtio.config = (uint8_t *)&blk->config;
    describe(blk);
    ret = virtio_realize(&blk->virtio, &class, blk->queues, QUEUE_SIZE, err);
    if (ret == 0) {
        set_longest_request(blk);
        ret = watch_disk(blk, err);
        if (ret < 0) {
            virtio_unrealize(&blk->virtio);
        }
    }
    if (ret < 0) {
        disk_close(&blk->disk);
    }
    return ret;
}

static void blk_unrealize(struct pci_device *device)
{
    struct virtio_blk *blk = (struct virtio_blk *)device;
    virtio_unrealize(&blk->virtio); /* waits for requests, and ends the thread */
    disk_close(&blk->disk);
}

static const struct property properties[] = {
    {.name = "file",
     .type = PROPERTY_STRING,
     .offset = offsetof(struct virtio_blk, file),
     .meaning = "a file or a block device that holds the disk"},
    {.name = "readonly",
     .type = PROPERTY_BOOL,
     .offset = offsetof(struct virtio_blk, read_only),
     .meaning = "the guest may only read"},
    {.name = "serial",
     .type = PROPERTY_STRING,
     .offset = offsetof(struct virtio_blk, serial),
     .meaning = "serial number, up to 20 characters"},
    {.name = "queues",
     .type = PROPERTY_UINT32,
     .offset = offsetof(struct virtio_blk, queues),
     .default_value = 1,
     .minimum = 1,
     .maximum = QUEUES_MAX,
     .meaning = "virtqueues; one for each vCPU spares them a lock"},
    {.name = "writeback",
     .type = PROPERTY_BOOL,
     .offset = offsetof(struct virtio_blk, write_back),
     .default_value = 1,
     .meaning =
         "writes are stable after a flush; off: when they are done. The guest may change it"},
    {.name = "discard",
     .type = PROPERTY_BOOL,
     .offset = offsetof(struct virtio_blk, discard),
     .default_value = 1,
     .meaning = "give space that the guest discards back to the host"},
    {.name = "logical-block-size",
     .type = PROPERTY_UINT32,
     .offset = offsetof(struct virtio_blk, logical_block_size),
     .maximum = 65536,
     .meaning = "bytes, 512 to 65536; 0: as the host's device, 512 for a file"},
    {.name = "aio",
     .type = PROPERTY_ENUM,
     .offset = offsetof(struct virtio_blk, aio),
     .choices = aio_choices,
     .meaning = "how the file is accessed; auto: threads if the host has no io_uring"},
    VIRTIO_PROPERTIES,
    {.name = NULL},
};

const struct pci_device_type virtio_blk_type = {
    .name = "virtio-blk",
    .summary = "a disk from a file or a block device: vda",
    .size = sizeof(struct virtio_blk),
    .properties = properties,
    .default_slot = -1,
    .realize = blk_realize,
    .unrealize = blk_unrealize,
    .reset = virtio_pci_reset,
    .registers = virtio_register_views,
    .config_written = virtio_pci_config_written,
    .config_read = virtio_pci_config_read,
};

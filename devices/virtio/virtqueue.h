/* SPDX-License-Identifier: MIT */
/*
 * Virtqueues, the device's side. virtio 1.2, 2.6 to 2.8.
 *
 * All that a device does:
 *
 *     static void answer(struct virtio_request *request)
 *     {
 *         ... read request->out[], write request->in[] ...
 *         virtqueue_push(request, bytes_written);
 *     }
 *     static void kicked(struct virtio_device *virtio, struct virtqueue *queue)
 *     {
 *         virtqueue_serve(queue, answer);
 *     }
 *
 * A request may also be kept and pushed later, on the device's thread, followed by
 * virtqueue_notify().
 *
 * What the driver writes is not trusted. Each descriptor is read once, into a local copy that is
 * checked and then used. Ring memory is reached through vring_at() and nothing else, buffers
 * through the device's DMA space. A driver that breaks the rules breaks its device
 * (virtio_break()): the device stops, DEVICE_NEEDS_RESET is set, and nothing else happens.
 *
 * Two formats, one interface: virtqueue_split.c (2.7) and virtqueue_packed.c (2.8) know how
 * descriptors are found and handed back; virtqueue.c knows the rest.
 *
 * Everything here is called with the device's lock held.
 */
#ifndef DEVICES_VIRTIO_VIRTQUEUE_H
#define DEVICES_VIRTIO_VIRTQUEUE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "vmm/bus.h"
#include "vmm/dma.h"
#include "vmm/event_loop.h"

struct virtio_device;
struct virtqueue;

/* A buffer as a descriptor names it. */
struct virtio_segment {
    iova_t address;
    uint32_t length; /* > 0 */
};

/*
 * A request: one descriptor chain. `out` is what the driver sends, `in` is where the answer goes. A
 * device whose requests carry state of its own puts this first in a bigger struct and says its size
 * in struct virtio_class.
 *
 * The memory in `out` belongs to the guest, which may change it at any time: read what matters
 * once.
 */
struct virtio_request {
    struct virtqueue *queue;
    struct iovec *out;
    unsigned out_count;
    uint64_t out_length; /* bytes, all of `out` together */
    struct iovec *in;
    unsigned in_count;
    uint64_t in_length;

    /* ---- virtqueue's own */
    struct virtio_request *next; /* in the list of free ones, or of those that wait their turn */
    struct virtio_segment *segments; /* out_segments of `out`, then those of `in`; owned */
    unsigned segment_count, segment_capacity, out_segments;
    struct iovec *iov; /* what `out` and `in` point into; owned */
    unsigned iov_capacity;
    void *bounce;   /* see struct virtio_class; owned */
    unsigned phase; /* of the IOMMU, while `held` */
    bool held;
    bool done;            /* pushed, but those before it are not: VIRTIO_F_IN_ORDER */
    uint16_t id;          /* head of the chain, or the packed ring's buffer id */
    uint16_t descriptors; /* ring entries that it takes */
    uint32_t written;
};

/* One of the three parts of a queue's memory: 2.6. */
struct vring_part {
    iova_t address; /* as the driver wrote it */
    uint64_t size;  /* bytes */
    uint8_t *host;  /* where it is, when no IOMMU can change that; NULL: look each time */
};

/* How one of the two formats does it. */
struct vring_ops {
    /* The sizes of the parts, in bytes. */
    void (*layout)(struct virtqueue *queue);
    /* Fetch the next chain's segments into `request`. 1: there is one, 0: none, -1: broken. */
    int (*fetch)(struct virtqueue *queue, struct virtio_request *request);
    /* Forget that the last chain was fetched. */
    void (*unfetch)(struct virtqueue *queue, const struct virtio_request *request);
    /* Write used entry number `ahead` from the next one on; the guest sees it later. */
    void (*fill)(struct virtqueue *queue, const struct virtio_request *request, unsigned ahead);
    /* Let the guest see `count` entries that were filled. */
    void (*flush)(struct virtqueue *queue, unsigned count);
    /* Whether the driver wants an interrupt for the entries since it was last asked. */
    bool (*wants_interrupt)(struct virtqueue *queue);
    /* Ask for notifications, or ask to be left alone. */
    void (*set_kicks)(struct virtqueue *queue, bool on);
    /* Whether fetch() would find something. */
    bool (*has_more)(struct virtqueue *queue);
};

extern const struct vring_ops vring_split_ops;
extern const struct vring_ops vring_packed_ops;

struct virtqueue {
    struct virtio_device *virtio;
    uint16_t index;
    uint16_t max_size; /* entries, as the device offers; 0: no such queue */
    uint16_t size;     /* as the driver wants it: a power of two, or any number if packed */
    uint16_t vector;   /* MSI-X, or VIRTIO_MSI_NO_VECTOR */
    bool enabled;
    bool mapped; /* the parts have been looked up */
    const struct vring_ops *ops;
    struct vring_part descriptors; /* 2.7.5; the packed ring itself, 2.8.10 */
    struct vring_part driver;      /* available ring, 2.7.6; driver event suppression, 2.8.10.1 */
    struct vring_part device;      /* used ring, 2.7.8; device event suppression */

    uint16_t next_avail;        /* split: counts on; packed: place in the ring */
    uint16_t next_used;         /* the same */
    uint16_t avail_shadow;      /* split: the available index as last read */
    bool avail_wrap, used_wrap; /* packed: the wrap counters, 2.8.1 */
    bool kicks_off;             /* the driver was asked not to notify */
    uint32_t unsignalled;       /* ring entries used since the driver was last asked */
    uint32_t in_flight;         /* requests popped and not pushed */
    unsigned filled;            /* packed: entries between next_used and the next fill() */
    uint16_t first_flags;       /* packed: of the first of them, which flush() stores */

    struct virtio_request *free_requests;
    struct virtio_request *oldest, *newest; /* of those in flight, with VIRTIO_F_IN_ORDER */

    struct event_source kick; /* an eventfd that the notification writes */
    struct bus_doorbell modern_doorbell, legacy_doorbell;
};

/* ---- for device authors */

/*
 * The next request, or NULL: there is none, or the device is broken. It is the device's until it
 * pushes it (or until the device is reset, see struct virtio_class).
 */
struct virtio_request *virtqueue_pop(struct virtqueue *queue);

/* Undo the last pop; nothing was popped since. */
void virtqueue_unpop(struct virtio_request *request);

/*
 * Hand a request back, `written` bytes from the start of `in` having been written. The request is
 * gone then. The driver hears of it by virtqueue_notify().
 */
void virtqueue_push(struct virtio_request *request, uint32_t written);

/* The same for several of one queue, which the driver sees all at once. `count` > 0. */
void virtqueue_push_all(struct virtqueue *queue, struct virtio_request *const *requests,
                        const uint32_t *written, unsigned count);

/* Interrupt the driver, if it wants that for what was pushed since the last time. */
void virtqueue_notify(struct virtqueue *queue);

/*
 * Pop requests and hand each to `handle` until there are no more, with notifications switched off
 * meanwhile; then notify. After a queue's worth of requests it lets others run first.
 */
void virtqueue_serve(struct virtqueue *queue, void (*handle)(struct virtio_request *request));

/* Whether a request is waiting. If not, the driver will notify when it adds one. */
bool virtqueue_has_more(struct virtqueue *queue);

/* Ask for notifications, or ask to be left alone; a hint. */
void virtqueue_set_kicks(struct virtqueue *queue, bool on);

/* Copy from `out` at `offset`, or to `in`. Returns the bytes copied: less at the end. */
size_t virtio_request_read(const struct virtio_request *request, uint64_t offset, void *buffer,
                           size_t length);
size_t virtio_request_write(const struct virtio_request *request, uint64_t offset,
                            const void *buffer, size_t length);

/* Give back the memory of a request that was not pushed: the device was reset. */
void virtqueue_drop(struct virtio_request *request);

/* ---- for the transport and the two formats */

/* Set up and take down; the eventfd lives between. -errno. */
int virtqueue_init(struct virtqueue *queue, struct virtio_device *virtio, uint16_t index,
                   uint16_t max_size);
void virtqueue_destroy(struct virtqueue *queue);

/* Back to what it was after virtqueue_init(). Nothing is in flight. */
void virtqueue_reset(struct virtqueue *queue);

/* The driver enabled it: begin at the first entry, in the negotiated format. */
void virtqueue_start(struct virtqueue *queue);

/*
 * The memory of [offset, offset + size) of a part: between dma_hold() and dma_release() of the
 * device. NULL: broken, and said. `size` bytes at `offset` are aligned so as not to cross a page.
 */
void *vring_at(struct virtqueue *queue, struct vring_part *part, uint64_t offset, unsigned size,
               enum dma_direction direction);

/* Loads and stores of ring fields, little-endian; false: broken. */
bool vring_load16(struct virtqueue *queue, struct vring_part *part, uint64_t offset,
                  uint16_t *value);
bool vring_store16(struct virtqueue *queue, struct vring_part *part, uint64_t offset,
                   uint16_t value);

/*
 * Add a buffer to the chain. Checks its length, its direction (out before in) and that the chain is
 * not longer than the queue. false: broken.
 */
bool virtio_request_add(struct virtio_request *request, uint64_t address, uint32_t length,
                        bool device_writes);

/* Copy entry `index` of an indirect table (2.7.5.3, 2.8.7) at `table`. false: broken. */
bool virtqueue_read_indirect(struct virtqueue *queue, uint64_t table, unsigned index, void *entry);

#endif

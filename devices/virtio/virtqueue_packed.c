/* SPDX-License-Identifier: MIT */
/*
 * Packed virtqueues. virtio 1.2, 2.8.
 *
 * One ring of descriptors { address u64, length u32, id u16, flags u16 } that both sides write.
 * Each side goes round the ring and has a wrap counter, 1 at first, that flips at each end. A
 * descriptor is available when its AVAIL flag equals the driver's wrap counter and its USED flag
 * does not; the device marks it used by making both equal to its own counter. A chain takes
 * consecutive entries; the id of the buffer is in its last one. The device writes one used
 * descriptor for a chain and skips the rest.
 *
 * Beside the ring, each side has 4 bytes of event suppression { off_wrap u16, flags u16 }: whether,
 * or at which descriptor, it wants to be notified (2.8.10).
 *
 * Order. `flags` is loaded with acquire semantics before the rest of a descriptor, and stored with
 * release semantics after it. Of several descriptors handed back at once the first one's flags are
 * stored last, so that the driver sees all or none (2.8.8).
 */
#include <string.h>

#include "devices/virtio/virtio.h"
#include "vmm/trace.h"

#define FLAG_AVAIL (1u << VRING_PACKED_DESC_F_AVAIL)
#define FLAG_USED  (1u << VRING_PACKED_DESC_F_USED)

enum { DESCRIPTOR_BYTES = 16, FLAGS_OFFSET = 14, OFF_WRAP = 0, EVENT_FLAGS = 2 };

static void layout(struct virtqueue *queue)
{
    queue->descriptors.size = (uint64_t)DESCRIPTOR_BYTES * queue->size;
    queue->driver.size = 4;
    queue->device.size = 4;
}

/* A place in the ring, and the wrap counter there. */
struct position {
    uint16_t index;
    bool wrap;
};

static struct position advance(const struct virtqueue *queue, struct position from, unsigned count)
{
    unsigned index = from.index + count;
    while (index >= queue->size) {
        index -= queue->size;
        from.wrap = !from.wrap;
    }
    return (struct position){.index = (uint16_t)index, .wrap = from.wrap};
}

static struct position next_avail(const struct virtqueue *queue)
{
    return (struct position){.index = queue->next_avail, .wrap = queue->avail_wrap};
}

static struct position next_used(const struct virtqueue *queue)
{
    return (struct position){.index = queue->next_used, .wrap = queue->used_wrap};
}

static bool broken(struct virtqueue *queue, const char *why)
{
    virtio_break(queue->virtio, "queue %u: %s", queue->index, why);
    return false;
}

/* ---- available */

/* 1 and its flags if the descriptor there is available, 0 if not, -1: broken. */
static int available(struct virtqueue *queue, struct position at, uint16_t *flags)
{
    uint64_t offset = (uint64_t)at.index * DESCRIPTOR_BYTES + FLAGS_OFFSET;
    if (!vring_load16(queue, &queue->descriptors, offset, flags)) {
        return -1;
    }
    bool avail = *flags & FLAG_AVAIL;
    bool used = *flags & FLAG_USED;
    return avail == at.wrap && used != at.wrap;
}

/* The rest of a descriptor whose flags are known. */
static bool read_descriptor(struct virtqueue *queue, struct position at,
                            struct vring_packed_desc *copy)
{
    const struct vring_packed_desc *entry =
        vring_at(queue, &queue->descriptors, (uint64_t)at.index * DESCRIPTOR_BYTES,
                 DESCRIPTOR_BYTES, DMA_FROM_MEMORY);
    if (!entry) {
        return false;
    }
    copy->addr = __atomic_load_n(&entry->addr, __ATOMIC_RELAXED);
    copy->len = __atomic_load_n(&entry->len, __ATOMIC_RELAXED);
    copy->id = __atomic_load_n(&entry->id, __ATOMIC_RELAXED);
    return true;
}

static void show(const struct virtqueue *queue, const char *table, unsigned index,
                 const struct vring_packed_desc *descriptor, uint16_t flags)
{
    trace_vring_descriptor(queue->virtio->pci.name, queue->index, table, index, descriptor->addr,
                           descriptor->len, flags);
}

/* 2.8.7: the table holds the whole chain, one entry after the other. */
static bool follow_indirect(struct virtio_request *request, uint64_t table, uint32_t bytes)
{
    struct virtqueue *queue = request->queue;
    if (!virtio_has(queue->virtio, VIRTIO_RING_F_INDIRECT_DESC) || bytes % DESCRIPTOR_BYTES ||
        !bytes) {
        return broken(queue, "an indirect descriptor that is not legal");
    }
    for (unsigned i = 0; i < bytes / DESCRIPTOR_BYTES; i++) {
        struct vring_packed_desc entry;
        if (!virtqueue_read_indirect(queue, table, i, &entry)) {
            return false;
        }
        show(queue, "table", i, &entry, entry.flags);
        if (entry.flags & VRING_DESC_F_INDIRECT) {
            return broken(queue, "an indirect descriptor inside an indirect table");
        }
        if (!virtio_request_add(request, entry.addr, entry.len, entry.flags & VRING_DESC_F_WRITE)) {
            return false; /* too long a table as well */
        }
    }
    return true;
}

/* Take the descriptor at `at`, whose flags are `flags`, into the request. */
static bool add(struct virtio_request *request, struct position at, uint16_t flags)
{
    struct virtqueue *queue = request->queue;
    struct vring_packed_desc entry;
    if (!read_descriptor(queue, at, &entry)) {
        return false;
    }
    show(queue, "ring", at.index, &entry, flags);
    request->id = entry.id;
    if (!(flags & VRING_DESC_F_INDIRECT)) {
        return virtio_request_add(request, entry.addr, entry.len, flags & VRING_DESC_F_WRITE);
    }
    if (flags & VRING_DESC_F_NEXT || request->segment_count) {
        return broken(queue, "an indirect descriptor in a chain"); /* 2.8.7 */
    }
    return follow_indirect(request, entry.addr, entry.len);
}

static int fetch(struct virtqueue *queue, struct virtio_request *request)
{
    struct position at = next_avail(queue);
    uint16_t flags;
    int found = available(queue, at, &flags);
    if (found <= 0) {
        return found;
    }
    unsigned count = 0;
    for (;;) {
        if (!add(request, at, flags)) {
            return -1;
        }
        at = advance(queue, at, 1);
        count++;
        if (!(flags & VRING_DESC_F_NEXT)) {
            break;
        }
        /* 2.8.6: the driver makes the first one available last, so all must be there. */
        if (available(queue, at, &flags) <= 0) {
            (void)broken(queue, "a chain that ends in a descriptor that is not available");
            return -1;
        }
    }
    request->descriptors = (uint16_t)count;
    queue->next_avail = at.index;
    queue->avail_wrap = at.wrap;
    return 1;
}

static void unfetch(struct virtqueue *queue, const struct virtio_request *request)
{
    if (queue->next_avail < request->descriptors) {
        queue->next_avail = (uint16_t)(queue->next_avail + queue->size);
        queue->avail_wrap = !queue->avail_wrap;
    }
    queue->next_avail = (uint16_t)(queue->next_avail - request->descriptors);
}

static bool has_more(struct virtqueue *queue)
{
    uint16_t flags;
    return available(queue, next_avail(queue), &flags) > 0;
}

/* ---- used */

static uint16_t used_flags(const struct virtio_request *request, bool wrap)
{
    uint16_t flags = wrap ? FLAG_AVAIL | FLAG_USED : 0;
    return request->written ? flags | VRING_DESC_F_WRITE : flags;
}

static void store_flags(struct virtqueue *queue, struct position at, uint16_t flags)
{
    uint64_t offset = (uint64_t)at.index * DESCRIPTOR_BYTES + FLAGS_OFFSET;
    (void)vring_store16(queue, &queue->descriptors, offset, flags);
}

static void fill(struct virtqueue *queue, const struct virtio_request *request, unsigned ahead)
{
    struct position at = advance(queue, next_used(queue), queue->filled);
    struct vring_packed_desc *entry =
        vring_at(queue, &queue->descriptors, (uint64_t)at.index * DESCRIPTOR_BYTES,
                 DESCRIPTOR_BYTES, DMA_TO_MEMORY);
    if (!entry) {
        return;
    }
    __atomic_store_n(&entry->id, request->id, __ATOMIC_RELAXED);
    __atomic_store_n(&entry->len, request->written, __ATOMIC_RELAXED);
    uint16_t flags = used_flags(request, at.wrap);
    if (ahead == 0) {
        queue->first_flags = flags; /* flush() stores it */
    } else {
        store_flags(queue, at, flags);
    }
    queue->filled += request->descriptors;
}

static void flush(struct virtqueue *queue, unsigned count)
{
    struct position at = next_used(queue);
    (void)count;
    store_flags(queue, at, queue->first_flags);
    at = advance(queue, at, queue->filled);
    queue->next_used = at.index;
    queue->used_wrap = at.wrap;
    queue->unsignalled += queue->filled;
    queue->filled = 0;
}

/* 2.8.10 */
static bool wants_interrupt(struct virtqueue *queue)
{
    uint16_t flags;
    uint16_t off_wrap;
    if (!vring_load16(queue, &queue->driver, EVENT_FLAGS, &flags)) {
        return false;
    }
    if (flags != VRING_PACKED_EVENT_FLAG_DESC ||
        !virtio_has(queue->virtio, VIRTIO_RING_F_EVENT_IDX)) {
        return flags != VRING_PACKED_EVENT_FLAG_DISABLE;
    }
    if (!vring_load16(queue, &queue->driver, OFF_WRAP, &off_wrap)) {
        return false;
    }
    /* The descriptor that the driver waits for is among the last `unsignalled` ones. */
    int wanted = off_wrap & ~(1u << VRING_PACKED_EVENT_F_WRAP_CTR);
    bool wrap = off_wrap >> VRING_PACKED_EVENT_F_WRAP_CTR;
    int behind = queue->next_used - wanted + (wrap == queue->used_wrap ? 0 : queue->size);
    return behind > 0 && (uint32_t)behind <= queue->unsignalled;
}

static void set_kicks(struct virtqueue *queue, bool on)
{
    uint16_t flags = on ? VRING_PACKED_EVENT_FLAG_ENABLE : VRING_PACKED_EVENT_FLAG_DISABLE;
    if (on && virtio_has(queue->virtio, VIRTIO_RING_F_EVENT_IDX)) {
        uint16_t off_wrap = (uint16_t)(queue->next_avail | (unsigned)queue->avail_wrap
                                                               << VRING_PACKED_EVENT_F_WRAP_CTR);
        flags = VRING_PACKED_EVENT_FLAG_DESC;
        (void)vring_store16(queue, &queue->device, OFF_WRAP, off_wrap);
    }
    (void)vring_store16(queue, &queue->device, EVENT_FLAGS, flags);
}

const struct vring_ops vring_packed_ops = {
    .layout = layout,
    .fetch = fetch,
    .unfetch = unfetch,
    .fill = fill,
    .flush = flush,
    .wants_interrupt = wants_interrupt,
    .set_kicks = set_kicks,
    .has_more = has_more,
};

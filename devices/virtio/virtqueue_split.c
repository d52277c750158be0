/* SPDX-License-Identifier: MIT */
/*
 * Split virtqueues. virtio 1.2, 2.7.
 *
 *   descriptor table   size entries of { address u64, length u32, flags u16, next u16 }
 *   available ring     flags u16, idx u16, ring[size] u16, used_event u16
 *   used ring          flags u16, idx u16, ring[size] { id u32, length u32 }, avail_event u16
 *
 * The driver puts the head of a chain into available ring[idx % size] and then counts idx on; the
 * device answers in the same way in the used ring. Both indices count modulo 65536.
 *
 * Order. The index is loaded with acquire semantics before the entries that it vouches for, and
 * stored with release semantics after them. Between a store of the used index (or avail_event) and
 * the load of the driver's wish (or its index) stands a full fence in virtqueue.c, as stores may
 * otherwise pass loads and both sides could miss each other.
 */
#include "devices/virtio/virtio.h"
#include "vmm/trace.h"

enum {
    FLAGS = 0, /* in both rings */
    INDEX = 2,
    ENTRIES = 4,
    DESCRIPTOR_BYTES = 16,
    USED_BYTES = 8,
};

static void layout(struct virtqueue *queue)
{
    queue->descriptors.size = (uint64_t)DESCRIPTOR_BYTES * queue->size;
    queue->driver.size = 6 + 2ull * queue->size;
    queue->device.size = 6 + (uint64_t)USED_BYTES * queue->size;
}

/* ---- available */

/* How many chains the driver has made available that were not fetched. -1: broken. */
static int available(struct virtqueue *queue)
{
    if (queue->avail_shadow == queue->next_avail &&
        !vring_load16(queue, &queue->driver, INDEX, &queue->avail_shadow)) {
        return -1;
    }
    uint16_t count = (uint16_t)(queue->avail_shadow - queue->next_avail);
    if (count > queue->size) {
        virtio_break(queue->virtio, "queue %u: available index %u, %u ahead of the device",
                     queue->index, queue->avail_shadow, count);
        return -1;
    }
    return count;
}

static bool read_descriptor(struct virtqueue *queue, unsigned index, struct vring_desc *copy)
{
    const struct vring_desc *entry =
        vring_at(queue, &queue->descriptors, (uint64_t)index * DESCRIPTOR_BYTES, DESCRIPTOR_BYTES,
                 DMA_FROM_MEMORY);
    if (!entry) {
        return false;
    }
    copy->addr = __atomic_load_n(&entry->addr, __ATOMIC_RELAXED);
    copy->len = __atomic_load_n(&entry->len, __ATOMIC_RELAXED);
    copy->flags = __atomic_load_n(&entry->flags, __ATOMIC_RELAXED);
    copy->next = __atomic_load_n(&entry->next, __ATOMIC_RELAXED);
    return true;
}

static void show(const struct virtqueue *queue, const char *table, unsigned index,
                 const struct vring_desc *descriptor)
{
    trace_vring_descriptor(queue->virtio->pci.name, queue->index, table, index, descriptor->addr,
                           descriptor->len, descriptor->flags);
}

static bool broken(struct virtqueue *queue, const char *why, unsigned value)
{
    virtio_break(queue->virtio, "queue %u: %s %u", queue->index, why, value);
    return false;
}

static bool add(struct virtio_request *request, const struct vring_desc *descriptor)
{
    return virtio_request_add(request, descriptor->addr, descriptor->len,
                              descriptor->flags & VRING_DESC_F_WRITE);
}

/* 2.7.5.3: the rest of the chain is in a table elsewhere. */
static bool follow_indirect(struct virtio_request *request, const struct vring_desc *indirect)
{
    struct virtqueue *queue = request->queue;
    unsigned entries = indirect->len / DESCRIPTOR_BYTES;
    if (!virtio_has(queue->virtio, VIRTIO_RING_F_INDIRECT_DESC) ||
        indirect->flags & VRING_DESC_F_NEXT || indirect->len % DESCRIPTOR_BYTES || !entries) {
        return broken(queue, "an indirect descriptor that is not legal, of bytes", indirect->len);
    }
    struct vring_desc entry = {.flags = VRING_DESC_F_NEXT};
    for (unsigned next = 0; entry.flags & VRING_DESC_F_NEXT; next = entry.next) {
        if (next >= entries) {
            return broken(queue, "an index outside the indirect table:", next);
        }
        if (!virtqueue_read_indirect(queue, indirect->addr, next, &entry)) {
            return false;
        }
        show(queue, "table", next, &entry);
        if (entry.flags & VRING_DESC_F_INDIRECT) {
            return broken(queue, "an indirect descriptor inside an indirect table, entry", next);
        }
        if (!add(request, &entry)) {
            return false;
        }
    }
    return true;
}

static bool follow_chain(struct virtio_request *request, uint16_t head)
{
    struct virtqueue *queue = request->queue;
    struct vring_desc entry = {.flags = VRING_DESC_F_NEXT};
    for (unsigned next = head; entry.flags & VRING_DESC_F_NEXT; next = entry.next) {
        if (next >= queue->size) {
            return broken(queue, "an index outside the descriptor table:", next);
        }
        if (!read_descriptor(queue, next, &entry)) {
            return false;
        }
        show(queue, "ring", next, &entry);
        if (entry.flags & VRING_DESC_F_INDIRECT) {
            return follow_indirect(request, &entry);
        }
        if (!add(request, &entry)) {
            return false; /* a loop ends here as well: the chain is too long */
        }
    }
    return true;
}

static int fetch(struct virtqueue *queue, struct virtio_request *request)
{
    uint16_t head;
    int count = available(queue);
    if (count <= 0) {
        return count;
    }
    uint64_t offset = ENTRIES + 2ull * (queue->next_avail & (queue->size - 1));
    if (!vring_load16(queue, &queue->driver, offset, &head) || !follow_chain(request, head)) {
        return -1;
    }
    queue->next_avail++;
    request->id = head;
    request->descriptors = 1;
    return 1;
}

static void unfetch(struct virtqueue *queue, const struct virtio_request *request)
{
    (void)request;
    queue->next_avail--;
}

static bool has_more(struct virtqueue *queue)
{
    return available(queue) > 0;
}

/* ---- used */

static void fill(struct virtqueue *queue, const struct virtio_request *request, unsigned ahead)
{
    uint16_t place = (uint16_t)(queue->next_used + ahead) & (queue->size - 1);
    uint64_t offset = ENTRIES + (uint64_t)USED_BYTES * place;
    uint32_t *id = vring_at(queue, &queue->device, offset, 4, DMA_TO_MEMORY);
    if (id) {
        __atomic_store_n(id, request->id, __ATOMIC_RELAXED);
    }
    uint32_t *length = id ? vring_at(queue, &queue->device, offset + 4, 4, DMA_TO_MEMORY) : NULL;
    if (length) {
        __atomic_store_n(length, request->written, __ATOMIC_RELAXED);
    }
}

static void flush(struct virtqueue *queue, unsigned count)
{
    queue->next_used = (uint16_t)(queue->next_used + count);
    queue->unsignalled += count;
    (void)vring_store16(queue, &queue->device, INDEX, queue->next_used);
}

/* 2.7.7, 2.7.10.1 */
static bool wants_interrupt(struct virtqueue *queue)
{
    uint16_t wish;
    if (!virtio_has(queue->virtio, VIRTIO_RING_F_EVENT_IDX)) {
        return vring_load16(queue, &queue->driver, FLAGS, &wish) &&
               !(wish & VRING_AVAIL_F_NO_INTERRUPT);
    }
    if (!vring_load16(queue, &queue->driver, ENTRIES + 2ull * queue->size, &wish)) {
        return false;
    }
    /* The entry that the driver waits for is among the last `unsignalled` ones. */
    return (uint16_t)(queue->next_used - 1 - wish) < queue->unsignalled;
}

/* 2.7.10: with the event index, asking to be left alone means to leave it where it is. */
static void set_kicks(struct virtqueue *queue, bool on)
{
    if (!virtio_has(queue->virtio, VIRTIO_RING_F_EVENT_IDX)) {
        (void)vring_store16(queue, &queue->device, FLAGS, on ? 0 : VRING_USED_F_NO_NOTIFY);
    } else if (on) {
        (void)vring_store16(queue, &queue->device, ENTRIES + (uint64_t)USED_BYTES * queue->size,
                            queue->next_avail);
    }
}

const struct vring_ops vring_split_ops = {
    .layout = layout,
    .fetch = fetch,
    .unfetch = unfetch,
    .fill = fill,
    .flush = flush,
    .wants_interrupt = wants_interrupt,
    .set_kicks = set_kicks,
    .has_more = has_more,
};

/* SPDX-License-Identifier: MIT */
/* See devices/virtio/virtqueue.h. */
#include "devices/virtio/virtqueue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "devices/virtio/virtio.h"
#include "vmm/trace.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "rings are accessed as they are");

enum {
    INDIRECT_ENTRY = 16,         /* bytes of a descriptor, in both formats */
    BOUNCE_MAX = 64 << 20,       /* bytes of one request, see struct virtio_class's long_requests */
    IOV_MAX_PER_REQUEST = 16384, /* pieces of host memory */
};

/* ---- ring memory */

/*
 * Where nothing translates, a part is looked up once, as RAM does not move. It must then lie in one
 * piece.
 */
static bool map_part(struct virtqueue *queue, struct vring_part *part)
{
    struct dma_space *dma = &queue->virtio->pci.dma;
    struct dma_mapping mapping;
    int ret = dma_map_held(dma, part->address, part->size, DMA_TO_MEMORY, &mapping);
    if (ret < 0 || mapping.length < part->size) {
        virtio_break(queue->virtio, "queue %u: no RAM for the ring at 0x%" PRIx64, queue->index,
                     part->address.raw);
        return false;
    }
    part->host = mapping.host;
    return true;
}

static bool map_parts(struct virtqueue *queue)
{
    if (!queue->mapped && !queue->virtio->pci.dma.iommu) {
        queue->mapped = map_part(queue, &queue->descriptors) && map_part(queue, &queue->driver) &&
                        map_part(queue, &queue->device);
        return queue->mapped;
    }
    return true;
}

void *vring_at(struct virtqueue *queue, struct vring_part *part, uint64_t offset, unsigned size,
               enum dma_direction direction)
{
    if (part->host) {
        return part->host + offset;
    }
    struct dma_mapping mapping;
    iova_t address = iova(part->address.raw + offset);
    int ret = dma_map_held(&queue->virtio->pci.dma, address, size, direction, &mapping);
    if (ret < 0 || mapping.length < size) {
        virtio_break(queue->virtio, "queue %u: no access to the ring at 0x%" PRIx64, queue->index,
                     address.raw);
        return NULL;
    }
    return mapping.host;
}

bool vring_load16(struct virtqueue *queue, struct vring_part *part, uint64_t offset,
                  uint16_t *value)
{
    uint16_t *field = vring_at(queue, part, offset, sizeof(*field), DMA_FROM_MEMORY);
    if (!field) {
        return false;
    }
    *value = __atomic_load_n(field, __ATOMIC_ACQUIRE);
    return true;
}

bool vring_store16(struct virtqueue *queue, struct vring_part *part, uint64_t offset,
                   uint16_t value)
{
    uint16_t *field = vring_at(queue, part, offset, sizeof(*field), DMA_TO_MEMORY);
    if (!field) {
        return false;
    }
    __atomic_store_n(field, value, __ATOMIC_RELEASE);
    return true;
}

bool virtqueue_read_indirect(struct virtqueue *queue, uint64_t table, unsigned index, void *entry)
{
    uint64_t address = table + (uint64_t)index * INDIRECT_ENTRY;
    if (address < table ||
        dma_read(&queue->virtio->pci.dma, iova(address), entry, INDIRECT_ENTRY) < 0) {
        virtio_break(queue->virtio, "queue %u: no access to the indirect table at 0x%" PRIx64,
                     queue->index, table);
        return false;
    }
    return true;
}

/* ---- the memory of requests */

static void free_request(struct virtio_request *request)
{
    free(request->bounce);
    free(request->segments);
    free(request->iov);
    free(request);
}

static struct virtio_request *new_request(struct virtqueue *queue)
{
    struct virtio_request *request = queue->free_requests;
    if (request) {
        queue->free_requests = request->next;
    } else {
        size_t size = queue->virtio->class->request_size;
        request = calloc(1, size ? size : sizeof(*request));
        if (!request) {
            return NULL;
        }
    }
    request->queue = queue;
    request->next = NULL;
    request->segment_count = 0;
    request->out_segments = 0;
    request->out_count = 0;
    request->in_count = 0;
    request->out_length = 0;
    request->in_length = 0;
    request->done = false;
    return request;
}

/* Let go of the guest's memory, and keep the request for the next one. */
static void recycle(struct virtio_request *request)
{
    struct virtqueue *queue = request->queue;
    if (request->held) {
        dma_release(&queue->virtio->pci.dma, request->phase);
        request->held = false;
    }
    free(request->bounce);
    request->bounce = NULL;
    request->next = queue->free_requests;
    queue->free_requests = request;
}

/* Make room for one more. -ENOMEM. */
static int grow(void **array, unsigned *capacity, unsigned count, size_t size)
{
    if (count < *capacity) {
        return 0;
    }
    unsigned wanted = *capacity ? 2 * *capacity : 8;
    void *grown = reallocarray(*array, wanted, size);
    if (!grown) {
        return -ENOMEM;
    }
    *array = grown;
    *capacity = wanted;
    return 0;
}

/* ---- from descriptors to host memory */

static bool broken_chain(struct virtqueue *queue, const char *why)
{
    virtio_break(queue->virtio, "queue %u: %s", queue->index, why);
    return false;
}

bool virtio_request_add(struct virtio_request *request, uint64_t address, uint32_t length,
                        bool device_writes)
{
    struct virtqueue *queue = request->queue;
    if (length == 0) {
        return broken_chain(queue, "a buffer of no bytes");
    }
    if (request->segment_count >= queue->size) {
        return broken_chain(queue, "a chain longer than the queue"); /* or a loop: 2.7.5.1 */
    }
    if (!device_writes && request->segment_count != request->out_segments) {
        return broken_chain(queue, "a buffer to read after one to write"); /* 2.7.4.2 */
    }
    if (grow((void **)&request->segments, &request->segment_capacity, request->segment_count,
             sizeof(*request->segments)) < 0) {
        return broken_chain(queue, "no memory for a chain");
    }
    request->segments[request->segment_count++] =
        (struct virtio_segment){.address = iova(address), .length = length};
    if (device_writes) {
        request->in_length += length;
    } else {
        request->out_segments++;
        request->out_length += length;
    }
    return true;
}

/* Append host memory to the list; `mergeable` with what is right before it. */
static int add_piece(struct virtio_request *request, unsigned first, unsigned *count, void *host,
                     uint64_t length)
{
    if (*count > first) {
        struct iovec *last = &request->iov[*count - 1];
        if ((uint8_t *)last->iov_base + last->iov_len == host) {
            last->iov_len += length;
            return 0;
        }
    }
    if (*count >= IOV_MAX_PER_REQUEST ||
        grow((void **)&request->iov, &request->iov_capacity, *count, sizeof(struct iovec)) < 0) {
        return -ENOMEM;
    }
    request->iov[(*count)++] = (struct iovec){.iov_base = host, .iov_len = length};
    return 0;
}

static int map_segment(struct virtio_request *request, const struct virtio_segment *segment,
                       enum dma_direction direction, unsigned first, unsigned *count)
{
    struct dma_space *dma = &request->queue->virtio->pci.dma;
    for (uint64_t done = 0; done < segment->length;) {
        struct dma_mapping mapping;
        int ret = dma_map_held(dma, iova(segment->address.raw + done), segment->length - done,
                               direction, &mapping);
        if (ret == 0) {
            ret = add_piece(request, first, count, mapping.host, mapping.length);
        }
        if (ret < 0) {
            return ret;
        }
        done += mapping.length;
    }
    return 0;
}

/* All segments as host memory, between dma_hold() and dma_release(). */
static bool map_request(struct virtio_request *request)
{
    unsigned count = 0;
    unsigned first = 0;
    for (unsigned i = 0; i < request->segment_count; i++) {
        bool in = i >= request->out_segments;
        if (i == request->out_segments) {
            request->out_count = first = count;
        }
        const struct virtio_segment *segment = &request->segments[i];
        if (map_segment(request, segment, in ? DMA_TO_MEMORY : DMA_FROM_MEMORY, first, &count) <
            0) {
            virtio_break(request->queue->virtio, "queue %u: no RAM for the buffer at 0x%" PRIx64,
                         request->queue->index, segment->address.raw);
            return false;
        }
    }
    if (request->segment_count == request->out_segments) {
        request->out_count = count;
    }
    request->in_count = count - request->out_count;
    request->out = request->iov;
    request->in = request->iov + request->out_count;
    return true;
}

/* ---- requests that stay long, behind an IOMMU: see struct virtio_class */

static bool is_bounced(const struct virtqueue *queue)
{
    return queue->virtio->class->long_requests && queue->virtio->pci.dma.iommu;
}

static int copy_out(struct virtio_request *request)
{
    uint8_t *to = request->bounce;
    for (unsigned i = 0; i < request->out_segments; i++) {
        const struct virtio_segment *segment = &request->segments[i];
        int ret = dma_read(&request->queue->virtio->pci.dma, segment->address, to, segment->length);
        if (ret < 0) {
            return ret;
        }
        to += segment->length;
    }
    return 0;
}

/* The answer, as far as it goes. A fault here is the driver's; the IOMMU has told it. */
static void copy_in(struct virtio_request *request, uint64_t left)
{
    const uint8_t *from = (const uint8_t *)request->bounce + request->out_length;
    for (unsigned i = request->out_segments; i < request->segment_count && left > 0; i++) {
        const struct virtio_segment *segment = &request->segments[i];
        size_t length = segment->length < left ? segment->length : (size_t)left;
        (void)dma_write(&request->queue->virtio->pci.dma, segment->address, from, length);
        from += length;
        left -= length;
    }
}

static bool bounce_request(struct virtio_request *request)
{
    uint64_t length = request->out_length + request->in_length;
    request->bounce = length <= BOUNCE_MAX ? calloc(1, length) : NULL;
    unsigned count = 0;
    if (!request->bounce || (request->out_length && add_piece(request, 0, &count, request->bounce,
                                                              request->out_length) < 0)) {
        return broken_chain(request->queue, "no memory for a request of this size");
    }
    request->out_count = count;
    if (request->in_length &&
        add_piece(request, count, &count, (uint8_t *)request->bounce + request->out_length,
                  request->in_length) < 0) {
        return broken_chain(request->queue, "no memory for a request of this size");
    }
    request->in_count = count - request->out_count;
    request->out = request->iov;
    request->in = request->iov + request->out_count;
    return copy_out(request) == 0 || broken_chain(request->queue, "no RAM for a buffer");
}

/* ---- pop */

/* With VIRTIO_F_IN_ORDER requests are handed back in this order. */
static void append(struct virtqueue *queue, struct virtio_request *request)
{
    request->next = NULL;
    if (queue->newest) {
        queue->newest->next = request;
    } else {
        queue->oldest = request;
    }
    queue->newest = request;
}

/* Fetch and map, with translations held. */
static bool take(struct virtqueue *queue, struct virtio_request *request)
{
    if (!map_parts(queue) || queue->ops->fetch(queue, request) <= 0) {
        return false;
    }
    return is_bounced(queue) ? bounce_request(request) : map_request(request);
}

static bool is_ready(const struct virtqueue *queue)
{
    const struct virtio_device *virtio = queue->virtio;
    return queue->enabled && virtio_is_live(virtio) && atomic_load(&virtio->pci.dma.bus_master);
}

struct virtio_request *virtqueue_pop(struct virtqueue *queue)
{
    struct dma_space *dma = &queue->virtio->pci.dma;
    struct virtio_request *request = is_ready(queue) ? new_request(queue) : NULL;
    if (!request) {
        return NULL;
    }
    request->phase = dma_hold(dma);
    request->held = true;
    if (!take(queue, request)) {
        recycle(request);
        return NULL;
    }
    if (request->bounce) {
        dma_release(dma, request->phase);
        request->held = false;
    }
    queue->in_flight++;
    if (virtio_has(queue->virtio, VIRTIO_F_IN_ORDER)) {
        append(queue, request);
    }
    trace_virtqueue_pop(queue->virtio->pci.name, queue->index, request->id, request->out_length,
                        request->in_length);
    return request;
}

/* Take it out of the list of those in flight. */
static void detach(struct virtio_request *request)
{
    struct virtqueue *queue = request->queue;
    struct virtio_request **link = &queue->oldest;
    struct virtio_request *before = NULL;
    while (*link && *link != request) {
        before = *link;
        link = &before->next;
    }
    if (*link) {
        *link = request->next;
        if (queue->newest == request) {
            queue->newest = before;
        }
    }
}

void virtqueue_unpop(struct virtio_request *request)
{
    struct virtqueue *queue = request->queue;
    queue->ops->unfetch(queue, request);
    virtqueue_drop(request);
}

void virtqueue_drop(struct virtio_request *request)
{
    detach(request);
    request->queue->in_flight--;
    recycle(request);
}

/* ---- push */

/* Write used entry `ahead`, and give the request's memory back. */
static void finish(struct virtqueue *queue, struct virtio_request *request, unsigned ahead)
{
    trace_virtqueue_push(queue->virtio->pci.name, queue->index, request->id, request->written);
    queue->ops->fill(queue, request, ahead);
    queue->in_flight--;
    recycle(request);
}

/* Of those in flight, hand back what is done and has nothing before it that is not. */
static unsigned finish_in_order(struct virtqueue *queue)
{
    unsigned count = 0;
    while (queue->oldest && queue->oldest->done) {
        struct virtio_request *request = queue->oldest;
        queue->oldest = request->next;
        if (!queue->oldest) {
            queue->newest = NULL;
        }
        finish(queue, request, count++);
    }
    return count;
}

static void mark_done(struct virtio_request *request, uint32_t written)
{
    if (request->bounce) {
        copy_in(request, written < request->in_length ? written : request->in_length);
    }
    request->written = written;
    request->done = true;
}

void virtqueue_push_all(struct virtqueue *queue, struct virtio_request *const *requests,
                        const uint32_t *written, unsigned count)
{
    struct dma_space *dma = &queue->virtio->pci.dma;
    unsigned phase = dma_hold(dma);
    unsigned filled = 0;
    for (unsigned i = 0; i < count; i++) {
        mark_done(requests[i], written[i]);
    }
    if (virtio_has(queue->virtio, VIRTIO_F_IN_ORDER)) {
        filled = finish_in_order(queue);
    } else {
        for (; filled < count; filled++) {
            finish(queue, requests[filled], filled);
        }
    }
    if (filled) {
        queue->ops->flush(queue, filled);
    }
    dma_release(dma, phase);
}

void virtqueue_push(struct virtio_request *request, uint32_t written)
{
    virtqueue_push_all(request->queue, &request, &written, 1);
}

/* ---- notifications, both ways */

void virtqueue_notify(struct virtqueue *queue)
{
    if (!queue->unsignalled || !is_ready(queue)) {
        return;
    }
    struct dma_space *dma = &queue->virtio->pci.dma;
    /* 2.7.10: the used entries are visible before the driver's wish is read. */
    atomic_thread_fence(memory_order_seq_cst);
    unsigned phase = dma_hold(dma);
    bool wanted = queue->ops->wants_interrupt(queue);
    dma_release(dma, phase);
    queue->unsignalled = 0;
    trace_virtio_notify(queue->virtio->pci.name, queue->index, wanted ? "interrupt" : "unwanted");
    if (wanted) {
        virtio_interrupt(queue->virtio, queue->vector, VIRTIO_ISR_QUEUE);
    }
}

void virtqueue_set_kicks(struct virtqueue *queue, bool on)
{
    struct dma_space *dma = &queue->virtio->pci.dma;
    if (!is_ready(queue)) {
        return;
    }
    unsigned phase = dma_hold(dma);
    if (map_parts(queue)) {
        queue->ops->set_kicks(queue, on);
        queue->kicks_off = !on;
    }
    dma_release(dma, phase);
    atomic_thread_fence(memory_order_seq_cst); /* before somebody looks at the ring again */
}

bool virtqueue_has_more(struct virtqueue *queue)
{
    struct dma_space *dma = &queue->virtio->pci.dma;
    if (!is_ready(queue)) {
        return false;
    }
    unsigned phase = dma_hold(dma);
    bool more = map_parts(queue) && queue->ops->has_more(queue);
    dma_release(dma, phase);
    return more;
}

/* Come back to this queue after others had their turn. */
static void kick_again(struct virtqueue *queue)
{
    uint64_t one = 1;
    (void)!write(queue->kick.fd, &one, sizeof(one));
}

void virtqueue_serve(struct virtqueue *queue, void (*handle)(struct virtio_request *request))
{
    unsigned budget = queue->size;
    virtqueue_set_kicks(queue, false);
    do {
        struct virtio_request *request;
        while (budget && (request = virtqueue_pop(queue))) {
            handle(request);
            budget--;
        }
        virtqueue_set_kicks(queue, true);
    } while (budget && virtqueue_has_more(queue));
    if (!budget) {
        kick_again(queue);
    }
    virtqueue_notify(queue);
}

/* The eventfd was written: by KVM, by virtio_notified(), or by ourselves. Device's thread. */
static void on_kick(void *opaque, uint32_t events)
{
    struct virtqueue *queue = opaque;
    struct virtio_device *virtio = queue->virtio;
    uint64_t count;
    (void)events;
    (void)!read(queue->kick.fd, &count, sizeof(count));
    uint64_t begin = trace_begin(TRACE_ID_virtio_serve);
    pthread_mutex_lock(&virtio->pci.lock);
    if (queue->enabled && virtio_is_live(virtio)) {
        trace_virtio_queue_notify(virtio->pci.name, queue->index);
        virtio->class->kicked(virtio, queue);
    }
    pthread_mutex_unlock(&virtio->pci.lock);
    if (begin) {
        trace_end(&(struct trace_span){TRACE_ID_virtio_serve, begin, NULL, virtio->pci.name},
                  "vq=%u", queue->index);
    }
}

/* ---- life */

int virtqueue_init(struct virtqueue *queue, struct virtio_device *virtio, uint16_t index,
                   uint16_t max_size)
{
    *queue = (struct virtqueue){.virtio = virtio, .index = index, .max_size = max_size};
    virtqueue_reset(queue);
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    queue->kick = (struct event_source){.fd = fd, .handler = on_kick, .opaque = queue};
    if (fd < 0) {
        return -errno;
    }
    int ret = event_loop_add(virtio->loop, &queue->kick, EPOLLIN);
    if (ret < 0) {
        close(fd);
        queue->kick.fd = -1;
    }
    return ret;
}

void virtqueue_destroy(struct virtqueue *queue)
{
    if (queue->kick.fd < 0) {
        return;
    }
    event_loop_remove(queue->virtio->loop, &queue->kick);
    close(queue->kick.fd);
    queue->kick.fd = -1;
    while (queue->free_requests) {
        struct virtio_request *request = queue->free_requests;
        queue->free_requests = request->next;
        free_request(request);
    }
}

void virtqueue_reset(struct virtqueue *queue)
{
    while (queue->oldest) { /* pushed, and waiting for what will not come */
        virtqueue_drop(queue->oldest);
    }
    queue->enabled = false;
    queue->mapped = false;
    queue->size = queue->max_size;
    queue->vector = VIRTIO_MSI_NO_VECTOR;
    queue->descriptors = (struct vring_part){0};
    queue->driver = (struct vring_part){0};
    queue->device = (struct vring_part){0};
    queue->in_flight = 0;
    queue->filled = 0;
}

void virtqueue_start(struct virtqueue *queue)
{
    bool packed = virtio_has(queue->virtio, VIRTIO_F_RING_PACKED);
    queue->ops = packed ? &vring_packed_ops : &vring_split_ops;
    queue->ops->layout(queue);
    queue->next_avail = queue->next_used = queue->avail_shadow = 0;
    queue->avail_wrap = queue->used_wrap = true; /* 2.8.1: both counters begin with 1 */
    queue->unsignalled = 0;
    queue->kicks_off = false;
    queue->mapped = false;
    queue->enabled = true;
}

/* ---- copying */

/* The piece of `iov` that holds the byte at *offset, which becomes relative to it; NULL: none. */
static const struct iovec *find_piece(const struct iovec *iov, unsigned count, uint64_t *offset)
{
    const struct iovec *end = iov + count;
    while (iov < end && *offset >= iov->iov_len) {
        *offset -= iov->iov_len;
        iov++;
    }
    return iov < end ? iov : NULL;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

size_t virtio_request_read(const struct virtio_request *request, uint64_t offset, void *buffer,
                           size_t length)
{
    const struct iovec *end = request->out + request->out_count;
    const struct iovec *iov = find_piece(request->out, request->out_count, &offset);
    size_t done = 0;
    for (; iov && iov < end && done < length; iov++, offset = 0) {
        size_t piece = smaller(iov->iov_len - (size_t)offset, length - done);
        memcpy((uint8_t *)buffer + done, (const uint8_t *)iov->iov_base + offset, piece);
        done += piece;
    }
    return done;
}

size_t virtio_request_write(const struct virtio_request *request, uint64_t offset,
                            const void *buffer, size_t length)
{
    const struct iovec *end = request->in + request->in_count;
    const struct iovec *iov = find_piece(request->in, request->in_count, &offset);
    size_t done = 0;
    for (; iov && iov < end && done < length; iov++, offset = 0) {
        size_t piece = smaller(iov->iov_len - (size_t)offset, length - done);
        memcpy((uint8_t *)iov->iov_base + offset, (const uint8_t *)buffer + done, piece);
        done += piece;
    }
    return done;
}

/* SPDX-License-Identifier: MIT */
/*
 * virtio-net: a network device. virtio 1.2, 5.1.
 *
 * Virtio id 1; PCI 1af4:1000, or 1af4:1041 without the legacy registers. For each queue pair a
 * receive queue, where the driver puts empty buffers, and a transmit queue; after all pairs that
 * there are, the control queue (virtio_net_control.c):
 *
 *   0 receive 0, 1 transmit 0, 2 receive 1, 3 transmit 1, ... 2N control
 *
 * A driver that has not accepted MQ looks for it at 2 (5.1.2).
 *
 * Each frame has a header in front: what of its checksum and segmentation the one who sent it has
 * left undone. It has 12 bytes, of a legacy driver without MRG_RXBUF 10 (5.1.6.1). A backend with
 * a header (vmm/net.h: a tap) takes that work over, and is given a checked copy. To one without,
 * only whole frames go, as then none of those features is offered.
 *
 * A frame that the driver has no buffers for waits, and behind it those that the host still has. A
 * frame that the other end does not take is put back into its queue. So nothing is lost by haste,
 * no buffer of the guest is held while nothing happens, and a reset finds none.
 *
 * Everything is done on the device's own thread, for all pairs.
 */
#include "devices/virtio/virtio_net.h"
#include "devices/virtio/virtio_pci.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "devices/virtio/virtio_net_internal.h"
#include "vmm/trace.h"

enum {
    QUEUE_SIZE = 256,
    PIECES_MAX = 1024, /* of one frame: what a writev() takes */
    FRAMES_A_TURN = 64,
    SPEED_DEFAULT = 10000, /* Mbit/s */
};

static struct virtqueue *receive_queue(struct net_pair *pair)
{
    return &pair->net->virtio.queues[2 * (size_t)pair->index];
}

static struct virtqueue *transmit_queue(struct net_pair *pair)
{
    return &pair->net->virtio.queues[2 * (size_t)pair->index + 1];
}

/* 5.1.6.1 */
static unsigned header_length(const struct virtio_net *net)
{
    return virtio_has(&net->virtio, VIRTIO_F_VERSION_1) ||
                   virtio_has(&net->virtio, VIRTIO_NET_F_MRG_RXBUF)
               ? NET_HEADER
               : NET_LEGACY_HEADER;
}

static void lose(const struct net_pair *pair, bool transmit, const char *reason)
{
    trace_virtio_net_error(pair->net->virtio.pci.name, 2 * pair->index + transmit, reason);
}

/* ---- the other end */

/* Watch for what can be done. */
static void watch(struct net_pair *pair)
{
    struct virtio_net *net = pair->net;
    bool use = virtio_is_live(&net->virtio) && pair->index < net->active;
    if (pair->source.fd >= 0) {
        uint32_t events =
            use ? (pair->starved ? 0 : (uint32_t)EPOLLIN) | (pair->blocked ? (uint32_t)EPOLLOUT : 0)
                : 0;
        (void)event_loop_modify(net->virtio.loop, &pair->source, events);
    }
}

/* The driver hears of it by the link's state. Device's thread. */
static void hang_up(struct net_pair *pair)
{
    struct virtio_net *net = pair->net;
    if (pair->source.fd < 0) {
        return;
    }
    event_loop_remove(net->virtio.loop, &pair->source);
    pair->source.fd = -1;
    pair->blocked = false;
    if (net->config.status & VIRTIO_NET_S_LINK_UP) {
        net->config.status &= (uint16_t)~VIRTIO_NET_S_LINK_UP;
        trace_virtio_net_link(net->virtio.pci.name, "down: the other end is gone");
        virtio_config_changed(&net->virtio);
    }
}

/* ---- what a header may say */

/* The features that a frame of this header needs of who gets it; false: there is no such header. */
static bool needs(const struct virtio_net_hdr_v1 *header, bool host, uint64_t *features)
{
    *features = header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM
                    ? VIRTIO_BIT(host ? VIRTIO_NET_F_CSUM : VIRTIO_NET_F_GUEST_CSUM)
                    : 0;
    switch (header->gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
    case VIRTIO_NET_HDR_GSO_NONE:
        return !header->gso_type;
    case VIRTIO_NET_HDR_GSO_TCPV4:
        *features |= VIRTIO_BIT(host ? VIRTIO_NET_F_HOST_TSO4 : VIRTIO_NET_F_GUEST_TSO4);
        break;
    case VIRTIO_NET_HDR_GSO_TCPV6:
        *features |= VIRTIO_BIT(host ? VIRTIO_NET_F_HOST_TSO6 : VIRTIO_NET_F_GUEST_TSO6);
        break;
    case VIRTIO_NET_HDR_GSO_UDP:
        *features |= VIRTIO_BIT(host ? VIRTIO_NET_F_HOST_UFO : VIRTIO_NET_F_GUEST_UFO);
        break;
    default:
        return false;
    }
    if (header->gso_type & VIRTIO_NET_HDR_GSO_ECN) {
        *features |= VIRTIO_BIT(host ? VIRTIO_NET_F_HOST_ECN : VIRTIO_NET_F_GUEST_ECN);
    }
    return header->gso_size != 0;
}

static bool checksum_is_inside(const struct virtio_net_hdr_v1 *header, size_t length)
{
    return (size_t)header->csum_start + header->csum_offset + sizeof(uint16_t) <= length;
}

/*
 * 5.1.6.2: a header of the driver's, made such that whoever gets it need not check it again. NULL,
 * or what is wrong with it.
 */
static const char *check_sent(const struct virtio_net *net, struct virtio_net_hdr_v1 *header,
                              size_t length)
{
    uint64_t features;
    header->flags &= VIRTIO_NET_HDR_F_NEEDS_CSUM; /* the others are the device's to set */
    header->num_buffers = 0;
    if (!needs(header, true, &features)) {
        return "a header that cannot be";
    }
    if (features & ~net->virtio.accepted) {
        return "it needs what was not negotiated";
    }
    if (header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
        if (!checksum_is_inside(header, length)) {
            return "its checksum is outside";
        }
    } else {
        header->csum_start = header->csum_offset = 0;
    }
    if (!header->gso_type) {
        header->hdr_len = header->gso_size = 0;
    } else if (!header->flags) {
        return "segments without a checksum"; /* 5.1.6.2.1 */
    } else if (header->hdr_len > length) {
        header->hdr_len = 0; /* a hint: 5.1.6.2.2 */
    }
    return NULL;
}

/* ---- the driver sends; lock held */

/* The frame's pieces, without the header, from `iov` on. Returns how many; 0: too many. */
static unsigned frame_pieces(const struct virtio_request *request, size_t skip, struct iovec *iov,
                             unsigned room)
{
    unsigned count = 0;
    for (unsigned i = 0; i < request->out_count; i++) {
        struct iovec piece = request->out[i];
        if (skip >= piece.iov_len) {
            skip -= piece.iov_len;
            continue;
        }
        if (count == room) {
            return 0;
        }
        iov[count++] = (struct iovec){(uint8_t *)piece.iov_base + skip, piece.iov_len - skip};
        skip = 0;
    }
    return count;
}

/* False: not now. What is wrong loses the frame. */
static bool send_frame(struct net_pair *pair, const struct virtio_request *request, size_t skip,
                       struct virtio_net_hdr_v1 *header)
{
    struct net *backend = &pair->net->backend;
    struct iovec iov[PIECES_MAX];
    unsigned first = backend->has_header ? 1 : 0;
    unsigned count = frame_pieces(request, skip, iov + first, PIECES_MAX - first);
    if (!count) {
        lose(pair, true, "it is in too many pieces");
        return true;
    }
    iov[0] = first ? (struct iovec){header, sizeof(*header)} : iov[0];
    ssize_t ret = net_send(backend, pair->index, iov, first + count);
    if (ret == -EAGAIN) {
        return false;
    }
    if (ret < 0) {
        lose(pair, true, strerror((int)-ret));
    }
    if (ret == -ENOLINK) {
        hang_up(pair);
    }
    return true;
}

/* False: not now. */
static bool transmit(struct net_pair *pair, const struct virtio_request *request)
{
    struct virtio_net *net = pair->net;
    struct virtio_net_hdr_v1 header = {0};
    size_t skip = header_length(net);
    if (virtio_request_read(request, 0, &header, skip) != skip || request->in_count) {
        virtio_break(&net->virtio, "queue %u: a frame without header, or to be written",
                     request->queue->index);
        return true;
    }
    uint64_t length = request->out_length - skip;
    const char *wrong = length < ETHERNET_HEADER || length > NET_FRAME_MAX
                            ? "too short or too long"
                            : check_sent(net, &header, (size_t)length);
    if (wrong || pair->source.fd < 0) {
        lose(pair, true, wrong ? wrong : "the other end is gone");
        return true;
    }
    trace_virtio_net_send(net->virtio.pci.name, request->queue->index, (unsigned)length,
                          header.flags, header.gso_type);
    return send_frame(pair, request, skip, &header);
}

/* Send until there is no more, or the other end takes no more, or others want their turn. */
static bool transmit_some(struct net_pair *pair, unsigned *budget)
{
    struct virtio_request *request;
    while (*budget && (request = virtqueue_pop(transmit_queue(pair)))) {
        if (!transmit(pair, request)) {
            virtqueue_unpop(request);
            return false;
        }
        virtqueue_push(request, 0);
        (*budget)--;
    }
    return true;
}

static void transmit_all(struct net_pair *pair)
{
    struct virtqueue *queue = transmit_queue(pair);
    unsigned budget = queue->size;
    virtqueue_set_kicks(queue, false);
    do {
        pair->blocked = !transmit_some(pair, &budget);
        if (!pair->blocked) {
            virtqueue_set_kicks(queue, true);
        }
    } while (!pair->blocked && budget && virtqueue_has_more(queue));
    if (!budget) {
        virtio_notified(&pair->net->virtio, queue->index); /* go on after the others */
    }
    virtqueue_notify(queue);
}

/* ---- the driver receives; lock held */

/* 5.1.6.3.2: compute the checksum that a driver without GUEST_CSUM cannot. RFC 1071 */
static void finish_checksum(struct virtio_net_hdr_v1 *header, uint8_t *frame, size_t length)
{
    uint64_t sum = 0;
    size_t i = header->csum_start;
    for (; i + 1 < length; i += 2) {
        sum += (uint64_t)frame[i] << 8 | frame[i + 1];
    }
    sum += i < length ? (uint64_t)frame[i] << 8 : 0;
    while (sum >> 16) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    /* A UDP checksum of 0 would mean that there is none, and all ones is the same number. */
    uint16_t result = (uint16_t)~sum ? (uint16_t)~sum : 0xffff;
    size_t at = (size_t)header->csum_start + header->csum_offset;
    frame[at] = (uint8_t)(result >> 8);
    frame[at + 1] = (uint8_t)result;
    header->flags &= (uint8_t)~VIRTIO_NET_HDR_F_NEEDS_CSUM;
    header->csum_start = header->csum_offset = 0;
}

/* Make a frame from outside one that the driver has agreed to. NULL, or what is wrong. */
static const char *check_received(const struct virtio_net *net, struct virtio_net_hdr_v1 *header,
                                  uint8_t *frame, size_t length)
{
    const uint64_t checksum = VIRTIO_BIT(VIRTIO_NET_F_GUEST_CSUM);
    uint64_t features;
    header->flags &= VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID;
    if (!needs(header, false, &features) || features & ~checksum & ~net->offloads) {
        return "it needs what the driver has not agreed to";
    }
    if (header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM && !checksum_is_inside(header, length)) {
        return "its checksum is outside";
    }
    if (!(net->offloads & checksum)) {
        if (features & checksum) {
            finish_checksum(header, frame, length);
        }
        header->flags = 0;
    }
    return NULL;
}

/*
 * Pop buffers for `length` bytes into net->requests, with net->written how much goes into each.
 * Returns how many; 0: there are not enough yet, or (`never`) there never will be. Then the driver
 * was asked to notify of the next one, and while all that it has are popped: so that it is the next
 * one which it has not got yet (2.7.10).
 */
static unsigned take_buffers(struct virtio_net *net, struct virtqueue *queue, size_t length,
                             bool *never)
{
    bool merge = virtio_has(&net->virtio, VIRTIO_NET_F_MRG_RXBUF);
    unsigned limit = merge ? queue->size : 1;
    unsigned count = 0;
    unsigned entries = 0;
    size_t room = 0;
    bool asked = false;
    *never = false;
    while (room < length && count < limit) {
        struct virtio_request *request = virtqueue_pop(queue);
        if (!request && asked) {
            break;
        }
        if (!request) { /* one may have come before it was asked: look again */
            virtqueue_set_kicks(queue, true);
            asked = true;
            continue;
        }
        size_t left = length - room;
        net->requests[count] = request;
        net->written[count] = (uint32_t)(request->in_length < left ? request->in_length : left);
        room += net->written[count++];
        entries += request->descriptors;
    }
    if (room >= length) {
        return count;
    }
    *never = count == limit || entries >= queue->size; /* all that the driver can give */
    while (count > 0) {
        virtqueue_unpop(net->requests[--count]);
    }
    return 0;
}

/* The header and the frame, one after the other, into the buffers that were taken. */
static void fill_buffers(struct virtio_net *net, const uint8_t *data, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        (void)virtio_request_write(net->requests[i], 0, data, net->written[i]);
        data += net->written[i];
    }
}

/* 5.1.6.3.2: a buffer that takes not even the header, or is to be read, is no receive buffer. */
static bool usable(struct virtio_net *net, struct virtqueue *queue, unsigned count, size_t header)
{
    for (unsigned i = 0; i < count; i++) {
        if (net->requests[i]->out_count || (i == 0 && net->written[0] < header)) {
            virtio_break(&net->virtio, "queue %u: a buffer that is not for receiving",
                         queue->index);
            return false;
        }
    }
    return true;
}

/*
 * Hand over the frame in pair->frame: NET_HEADER, then `waiting` bytes. False: it must wait. A
 * header of 10 bytes lies right before the frame, so the first two of the 12 are moved over.
 */
static bool deliver(struct net_pair *pair)
{
    struct virtio_net *net = pair->net;
    struct virtqueue *queue = receive_queue(pair);
    unsigned header = header_length(net);
    size_t length = header + pair->waiting;
    bool never;
    unsigned count = take_buffers(net, queue, length, &never);
    if (!count) {
        if (never) {
            lose(pair, false, "it does not fit into what the driver has for it");
        }
        return never;
    }
    struct virtio_net_hdr_v1 copy;
    memcpy(&copy, pair->frame, sizeof(copy));
    copy.num_buffers = (uint16_t)count; /* 1 without MRG_RXBUF: 5.1.6.3.1 */
    uint8_t *data = pair->frame + NET_HEADER - header;
    memcpy(data, &copy, header);
    if (!usable(net, queue, count, header)) {
        memset(net->written, 0, count * sizeof(*net->written));
    } else {
        fill_buffers(net, data, count);
        trace_virtio_net_receive(net->virtio.pci.name, queue->index, pair->waiting, count,
                                 copy.flags, copy.gso_type);
    }
    virtqueue_push_all(queue, net->requests, net->written, count);
    return true;
}

/* Read a frame into pair->frame. Its bytes without header; 0: it is not for the driver; -errno. */
static ssize_t read_frame(struct net_pair *pair)
{
    struct virtio_net *net = pair->net;
    size_t header = net->backend.has_header ? NET_HEADER : 0;
    uint8_t *start = pair->frame + NET_HEADER;
    memset(pair->frame, 0, NET_HEADER);
    ssize_t ret =
        net_receive(&net->backend, pair->index, start - header, header + NET_FRAME_MAX + 1);
    if (ret < 0) {
        return ret;
    }
    if ((size_t)ret < header + ETHERNET_HEADER || (size_t)ret > header + NET_FRAME_MAX) {
        lose(pair, false, "too short or too long");
        return 0;
    }
    size_t length = (size_t)ret - header;
    struct virtio_net_hdr_v1 checked;
    memcpy(&checked, pair->frame, sizeof(checked));
    const char *wrong = check_received(net, &checked, start, length);
    memcpy(pair->frame, &checked, sizeof(checked));
    if (wrong) {
        lose(pair, false, wrong);
        return 0;
    }
    if (!net_filter_wants(net, start, length)) {
        trace_virtio_net_filtered(net->virtio.pci.name, 2 * pair->index, (unsigned)length);
        return 0;
    }
    return (ssize_t)length;
}

/* The frame that waits, if the driver has buffers now. */
static bool deliver_waiting(struct net_pair *pair)
{
    pair->starved = !deliver(pair);
    if (pair->starved) {
        return false;
    }
    pair->waiting = 0;
    return true;
}

static void receive_all(struct net_pair *pair)
{
    bool more = pair->source.fd >= 0 && pair->index < pair->net->active;
    for (unsigned i = 0; i < FRAMES_A_TURN && virtio_is_live(&pair->net->virtio); i++) {
        if (!pair->waiting) {
            ssize_t length = more ? read_frame(pair) : -EAGAIN;
            if (length == -ENOLINK) {
                hang_up(pair);
            }
            if (length < 0) {
                break;
            }
            pair->waiting = (unsigned)length;
        }
        if (pair->waiting && !deliver_waiting(pair)) {
            break;
        }
    }
    if (!pair->starved) {
        virtqueue_set_kicks(receive_queue(pair), false);
    }
    virtqueue_notify(receive_queue(pair));
}

/* Device's thread, without the lock. */
static void backend_ready(void *opaque, uint32_t events)
{
    struct net_pair *pair = opaque;
    struct virtio_net *net = pair->net;
    pthread_mutex_lock(&net->virtio.pci.lock);
    if (virtio_is_live(&net->virtio) && pair->index < net->active) {
        if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
            receive_all(pair);
        }
        if (events & EPOLLOUT) {
            transmit_all(pair);
        }
    }
    watch(pair);
    pthread_mutex_unlock(&net->virtio.pci.lock);
}

/* ---- the device */

static bool is_control(const struct virtio_net *net, const struct virtqueue *queue)
{
    unsigned pairs = virtio_has(&net->virtio, VIRTIO_NET_F_MQ) ? net->queues : 1;
    return queue->index == 2 * pairs && virtio_has(&net->virtio, VIRTIO_NET_F_CTRL_VQ);
}

static void kicked(struct virtio_device *virtio, struct virtqueue *queue)
{
    struct virtio_net *net = net_of(virtio);
    struct net_pair *pair = &net->pairs[queue->index / 2];
    if (is_control(net, queue)) {
        virtqueue_serve(queue, net_control);
        return;
    }
    if (queue->index / 2 >= net->active) {
        return; /* 5.1.6.5.5: it serves the others when it is told to */
    }
    if (queue->index & 1) {
        transmit_all(pair);
    } else if (pair->waiting) {
        receive_all(pair);
    } else {
        pair->starved = false;
        virtqueue_set_kicks(queue, false); /* a frame that finds no buffer asks again */
    }
    watch(pair);
}

void net_use_offloads(struct virtio_net *net, uint64_t offloads)
{
    static const struct {
        unsigned feature;
        enum net_offload offload;
    } table[] = {
        {VIRTIO_NET_F_GUEST_CSUM, NET_OFFLOAD_CSUM}, {VIRTIO_NET_F_GUEST_TSO4, NET_OFFLOAD_TSO4},
        {VIRTIO_NET_F_GUEST_TSO6, NET_OFFLOAD_TSO6}, {VIRTIO_NET_F_GUEST_ECN, NET_OFFLOAD_TSO_ECN},
        {VIRTIO_NET_F_GUEST_UFO, NET_OFFLOAD_UFO},
    };
    unsigned mask = 0;
    for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        mask |= offloads & VIRTIO_BIT(table[i].feature) ? (unsigned)table[i].offload : 0;
    }
    net->offloads = offloads;
    /* Without checksums there are no segments either. */
    net_set_offloads(&net->backend, mask & NET_OFFLOAD_CSUM ? mask : 0);
}

void net_use_pairs(struct virtio_net *net, unsigned count)
{
    net->active = count;
    net_set_queues(&net->backend, count);
    net_use_offloads(net, net->offloads); /* those that were off have missed it */
    for (unsigned i = 0; i < net->queues; i++) {
        if (i >= count) {
            net->pairs[i].waiting = 0;
            net->pairs[i].starved = net->pairs[i].blocked = false;
        } else if (virtio_is_live(&net->virtio)) {
            virtio_notified(&net->virtio, 2 * i);
            virtio_notified(&net->virtio, 2 * i + 1);
        }
        watch(&net->pairs[i]);
    }
}

static void started(struct virtio_device *virtio)
{
    struct virtio_net *net = net_of(virtio);
    net->offloads = virtio->accepted & NET_GUEST_OFFLOADS;
    net_use_pairs(net, 1); /* 5.1.6.5.5; with these offloads */
}

/* Nothing is in flight: a frame that waits is a copy. */
static void reset(struct virtio_device *virtio)
{
    struct virtio_net *net = net_of(virtio);
    net_use_offloads(net, 0);
    net_use_pairs(net, 0); /* no longer live: nothing is watched */
    net_filter_reset(&net->filter);
    memcpy(net->config.mac, net->mac, sizeof(net->mac));
}

static void queue_reset(struct virtio_device *virtio, struct virtqueue *queue)
{
    struct virtio_net *net = net_of(virtio);
    if (!is_control(net, queue) && queue->index / 2 < net->queues) {
        struct net_pair *pair = &net->pairs[queue->index / 2];
        if (queue->index & 1) {
            pair->blocked = false;
        } else {
            pair->waiting = 0;
            pair->starved = true; /* until the queue is back */
        }
        watch(pair);
    }
}

/* 5.1.4.2, 5.1.4.3: an old driver writes its address there. */
static void config_write(struct virtio_device *virtio, unsigned offset, unsigned size,
                         uint32_t value)
{
    struct virtio_net *net = net_of(virtio);
    if (!virtio_has(virtio, VIRTIO_F_VERSION_1) &&
        !virtio_has(virtio, VIRTIO_NET_F_CTRL_MAC_ADDR) &&
        offset + size <= sizeof(net->config.mac)) {
        memcpy(net->config.mac + offset, &value, size);
    }
}

/* 5.1.3.1: what needs what. */
static bool features_ok(struct virtio_device *virtio, uint64_t features)
{
    static const struct {
        uint64_t these, need_one_of;
    } table[] = {
#define BIT(name) VIRTIO_BIT(VIRTIO_NET_F_##name)
        {BIT(GUEST_TSO4) | BIT(GUEST_TSO6) | BIT(GUEST_UFO), BIT(GUEST_CSUM)},
        {BIT(GUEST_ECN), BIT(GUEST_TSO4) | BIT(GUEST_TSO6)},
        {BIT(HOST_TSO4) | BIT(HOST_TSO6) | BIT(HOST_UFO), BIT(CSUM)},
        {BIT(HOST_ECN), BIT(HOST_TSO4) | BIT(HOST_TSO6)},
        {BIT(CTRL_RX) | BIT(CTRL_VLAN) | BIT(CTRL_GUEST_OFFLOADS) | BIT(MQ) | BIT(CTRL_MAC_ADDR) |
             BIT(CTRL_RX_EXTRA),
         BIT(CTRL_VQ)},
    };
    (void)virtio;
    for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (features & table[i].these && !(features & table[i].need_one_of)) {
            return false;
        }
    }
    return true;
}

static const struct virtio_class class = {
    .name = "virtio-net-device",
    .id = VIRTIO_ID_NET,
    .legacy_id = 0x1000,
    .pci_class = 0x020000, /* network, Ethernet */
    .config_size = offsetof(struct virtio_net_config, rss_max_key_size),
    .own_thread = true,
    .kicked = kicked,
    .started = started,
    .features_ok = features_ok,
    .reset = reset,
    .queue_reset = queue_reset,
    .config_write = config_write,
};

static void describe(struct virtio_net *net)
{
    net->config.status = VIRTIO_NET_S_LINK_UP;
    net->config.max_virtqueue_pairs = (uint16_t)net->queues;
    net->config.mtu = (uint16_t)net->mtu;
    net->config.speed = net->speed;
    net->config.duplex = 1; /* full */
    uint64_t offered = BIT(MAC) | BIT(STATUS) | BIT(MRG_RXBUF) | BIT(CTRL_VQ) | BIT(CTRL_RX) |
                       BIT(CTRL_RX_EXTRA) | BIT(CTRL_VLAN) | BIT(CTRL_MAC_ADDR) | BIT(SPEED_DUPLEX);
    offered |= net->queues > 1 ? BIT(MQ) : 0;
    offered |= net->mtu ? BIT(MTU) : 0;
    if (net->backend.has_header) {
        offered |= BIT(CSUM) | BIT(GUEST_CSUM) | BIT(HOST_TSO4) | BIT(HOST_TSO6) | BIT(HOST_ECN) |
                   BIT(GUEST_TSO4) | BIT(GUEST_TSO6) | BIT(GUEST_ECN) | BIT(CTRL_GUEST_OFFLOADS);
        offered |= net->backend.has_ufo ? BIT(HOST_UFO) | BIT(GUEST_UFO) : 0;
    }
    net->virtio.offered = offered;
}

/* How many of these devices the machine has before this one. */
static unsigned count_earlier(const struct virtio_net *net)
{
    const struct pci_host *host = net->virtio.pci.host;
    unsigned count = 0;
    for (size_t i = 0; i < host->device_count; i++) {
        const struct pci_device *other = host->devices[i];
        count += other->type == &virtio_net_type && other != &net->virtio.pci;
    }
    return count;
}

/* Six bytes of two digits each, with colons between them. */
static bool parse_mac(const char *text, uint8_t *mac)
{
    static const char digits[] = "0123456789abcdefABCDEF";
    for (unsigned i = 0; i < ETHERNET_ADDRESS; i++, text += 3) {
        if (strspn(text, digits) != 2 || text[2] != (i + 1 < ETHERNET_ADDRESS ? ':' : '\0')) {
            return false;
        }
        mac[i] = (uint8_t)strtoul(text, NULL, 16);
    }
    return true;
}

/* Without mac= the last byte tells a machine's devices apart. */
static int choose_mac(struct virtio_net *net, struct error *err)
{
    const uint8_t usual[] = {0x52, 0x54, 0, 0x12, 0x34, (uint8_t)(0x56 + count_earlier(net))};
    const char *text = net->mac_text;
    memcpy(net->mac, usual, sizeof(usual));
    if (text && !parse_mac(text, net->mac)) {
        return error_set(err, -EINVAL, "mac=%s: expected six bytes such as 52:54:00:12:34:56",
                         text);
    }
    if (net->mac[0] & 1) {
        return error_set(err, -EINVAL, "mac=%s: a group's address, as its first byte is odd", text);
    }
    memcpy(net->config.mac, net->mac, sizeof(net->mac));
    return 0;
}

/* The frames' memory, and of one frame's buffers. */
static int allocate(struct virtio_net *net, struct error *err)
{
    unsigned size = net->virtio.settings.queue_size ? net->virtio.settings.queue_size : QUEUE_SIZE;
    net->requests = calloc(size, sizeof(void *));
    net->written = calloc(size, sizeof(*net->written));
    bool good = net->requests && net->written;
    for (unsigned i = 0; i < net->queues; i++) {
        struct net_pair *pair = &net->pairs[i];
        *pair = (struct net_pair){.net = net, .index = i};
        pair->frame = malloc(NET_HEADER + NET_FRAME_MAX + 1);
        pair->source = (struct event_source){
            .fd = net->backend.fds[i], .handler = backend_ready, .opaque = pair};
        good = good && pair->frame;
    }
    return good ? 0 : error_set(err, -ENOMEM, "no memory for %u queues", net->queues);
}

static void release(struct virtio_net *net)
{
    for (unsigned i = 0; i < NET_QUEUES_MAX; i++) {
        free(net->pairs[i].frame);
        net->pairs[i].frame = NULL;
    }
    free(net->requests);
    free(net->written);
    net->requests = NULL;
    net->written = NULL;
    net_close(&net->backend);
}

/* Watched for nothing until the driver is there. */
static int watch_all(struct virtio_net *net, struct error *err)
{
    for (unsigned i = 0; i < net->queues; i++) {
        int ret = event_loop_add(net->virtio.loop, &net->pairs[i].source, 0);
        if (ret < 0) {
            return error_set(err, ret, "%s: %s", net->backend.kind, strerror(-ret));
        }
    }
    return 0;
}

static int open_backend(struct virtio_net *net, struct error *err)
{
    net->settings.queues = net->queues;
    net->settings.mtu = net->mtu;
    if (net->mtu && net->mtu < 68) {
        return error_set(err, -ERANGE, "mtu=%u: expected 68 to 65521, or 0", net->mtu);
    }
    int ret = choose_mac(net, err);
    return ret < 0 ? ret : net_open(&net->backend, &net->settings, err);
}

static int net_realize(struct pci_device *device, struct error *err)
{
    struct virtio_net *net = (struct virtio_net *)device;
    int ret = open_backend(net, err);
    if (ret < 0) {
        return ret;
    }
    net->virtio.config = (uint8_t *)&net->config;
    net_filter_reset(&net->filter);
    describe(net);
    ret = allocate(net, err);
    if (ret == 0) {
        ret = virtio_realize(&net->virtio, &class, 2 * net->queues + 1, QUEUE_SIZE, err);
    }
    if (ret == 0) {
        ret = watch_all(net, err);
        if (ret < 0) {
            virtio_unrealize(&net->virtio);
        }
    }
    if (ret < 0) {
        release(net);
    }
    return ret;
}

static void net_unrealize(struct pci_device *device)
{
    struct virtio_net *net = (struct virtio_net *)device;
    virtio_unrealize(&net->virtio); /* ends the thread, and its loop with what it watches */
    release(net);
}

#define SETTING(field) offsetof(struct virtio_net, settings.field)
static const struct property properties[] = {
    {.name = "user",
     .type = PROPERTY_BOOL,
     .offset = SETTING(user),
     .meaning = "a network of minivmm's own, with a way out as the host has it"},
    {.name = "tap",
     .type = PROPERTY_STRING,
     .offset = SETTING(tap),
     .meaning = "a tap device of the host"},
    {.name = "fd",
     .type = PROPERTY_STRING,
     .offset = SETTING(fd),
     .meaning = "an open datagram or seqpacket socket, a frame a message; N:N:... one a queue"},
    {.name = "vnet-hdr",
     .type = PROPERTY_BOOL,
     .offset = SETTING(vnet_hdr),
     .meaning = "of fd: each frame begins with a struct virtio_net_hdr_v1"},
    {.name = "mac",
     .type = PROPERTY_STRING,
     .offset = offsetof(struct virtio_net, mac_text),
     .meaning = "the device's address; usually 52:54:00:12:34:56 and on"},
    {.name = "queues",
     .type = PROPERTY_UINT32,
     .offset = offsetof(struct virtio_net, queues),
     .default_value = 1,
     .minimum = 1,
     .maximum = NET_QUEUES_MAX,
     .meaning = "pairs of queues; with tap, or as many fd"},
    {.name = "mtu",
     .type = PROPERTY_UINT32,
     .offset = offsetof(struct virtio_net, mtu),
     .maximum = 65521,
     .meaning = "bytes of a packet that the driver is told to use, from 68 on; 0: the usual 1500"},
    {.name = "speed",
     .type = PROPERTY_UINT32,
     .offset = offsetof(struct virtio_net, speed),
     .default_value = SPEED_DEFAULT,
     .maximum = INT32_MAX,
     .meaning = "Mbit/s that the driver is told"},
    {.name = "net",
     .type = PROPERTY_STRING,
     .offset = SETTING(net),
     .meaning = "of user: the guest's network; usually 10.0.2.0/24, with the host at .2"},
    {.name = "dns",
     .type = PROPERTY_STRING,
     .offset = SETTING(dns),
     .meaning = "of user: the name server's address there; usually .3"},
    {.name = "dhcpstart",
     .type = PROPERTY_STRING,
     .offset = SETTING(dhcpstart),
     .meaning = "of user: the first address that DHCP gives; usually .15"},
    {.name = "hostname",
     .type = PROPERTY_STRING,
     .offset = SETTING(hostname),
     .meaning = "of user: the name that DHCP gives"},
    {.name = "hostfwd",
     .type = PROPERTY_STRING,
     .offset = SETTING(hostfwd),
     .meaning = "of user: tcp|udp:[ADDR]:PORT-[ADDR]:PORT, host's and guest's; several by +"},
    {.name = "restrict",
     .type = PROPERTY_BOOL,
     .offset = SETTING(restrict_),
     .meaning = "of user: there is no way out, but by hostfwd in"},
    VIRTIO_PROPERTIES,
    {.name = NULL},
};

const struct pci_device_type virtio_net_type = {
    .name = "virtio-net",
    .summary = "a network device: a tap, a socket, or a network of minivmm's own",
    .size = sizeof(struct virtio_net),
    .properties = properties,
    .default_slot = -1,
    .realize = net_realize,
    .unrealize = net_unrealize,
    .reset = virtio_pci_reset,
    .registers = virtio_register_views,
    .config_written = virtio_pci_config_written,
    .config_read = virtio_pci_config_read,
};

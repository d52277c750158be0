/* SPDX-License-Identifier: MIT */
/*
 * virtio-net's control queue and the filter that it sets. virtio 1.2, 5.1.6.5. See virtio_net.c.
 *
 * A request is class and command, a byte each, and data; the answer is one byte. Every command is
 * known by the feature that brings it, and by the length of its data: one that is not right is
 * answered VIRTIO_NET_ERR and changes nothing.
 */
#include <string.h>

#include "devices/virtio/virtio_net_internal.h"
#include "vmm/trace.h"

enum { HEADER = sizeof(struct virtio_net_ctrl_hdr) };

/* ---- the filter */

void net_filter_reset(struct net_filter *filter)
{
    *filter = (struct net_filter){.promiscuous = true};
}

static bool in_table(const uint8_t (*table)[ETHERNET_ADDRESS], unsigned count,
                     const uint8_t *address)
{
    for (unsigned i = 0; i < count; i++) {
        if (memcmp(table[i], address, ETHERNET_ADDRESS) == 0) {
            return true;
        }
    }
    return false;
}

/* 5.1.6.5.3: of tagged frames only those of VLANs that were added. */
static bool wants_vlan(const struct virtio_net *net, const uint8_t *frame, size_t length)
{
    bool tagged = frame[12] == 0x81 && frame[13] == 0x00;
    if (!tagged || length < ETHERNET_HEADER + VLAN_TAG ||
        !virtio_has(&net->virtio, VIRTIO_NET_F_CTRL_VLAN)) {
        return true;
    }
    unsigned vlan = (frame[14] & 0xfu) << 8 | frame[15];
    return net->filter.vlans[vlan / 8] >> vlan % 8 & 1;
}

static bool wants_multicast(const struct net_filter *filter, const uint8_t *address)
{
    static const uint8_t broadcast[ETHERNET_ADDRESS] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    if (memcmp(address, broadcast, ETHERNET_ADDRESS) == 0) {
        return !filter->no_broadcast;
    }
    return !filter->no_multicast && (filter->all_multicast || filter->multicast_overflow ||
                                     in_table(filter->multicast, filter->multicast_count, address));
}

bool net_filter_wants(const struct virtio_net *net, const uint8_t *frame, size_t length)
{
    const struct net_filter *filter = &net->filter;
    if (!wants_vlan(net, frame, length)) {
        return false;
    }
    if (filter->promiscuous) {
        return true;
    }
    if (frame[0] & 1) {
        return wants_multicast(filter, frame);
    }
    return !filter->no_unicast && (filter->all_unicast || filter->unicast_overflow ||
                                   memcmp(net->config.mac, frame, ETHERNET_ADDRESS) == 0 ||
                                   in_table(filter->unicast, filter->unicast_count, frame));
}

/* ---- commands. All read the data of a request, and say whether it was right */

/* The data is exactly this long. */
static bool read_data(const struct virtio_request *request, void *data, size_t length)
{
    return request->out_length == HEADER + length &&
           virtio_request_read(request, HEADER, data, length) == length;
}

static bool *mode_of(struct net_filter *filter, uint8_t command)
{
    switch (command) {
    case VIRTIO_NET_CTRL_RX_PROMISC:
        return &filter->promiscuous;
    case VIRTIO_NET_CTRL_RX_ALLMULTI:
        return &filter->all_multicast;
    case VIRTIO_NET_CTRL_RX_ALLUNI:
        return &filter->all_unicast;
    case VIRTIO_NET_CTRL_RX_NOMULTI:
        return &filter->no_multicast;
    case VIRTIO_NET_CTRL_RX_NOUNI:
        return &filter->no_unicast;
    case VIRTIO_NET_CTRL_RX_NOBCAST:
        return &filter->no_broadcast;
    default:
        return NULL;
    }
}

static bool set_mode(struct virtio_net *net, uint8_t command, const struct virtio_request *request)
{
    bool *mode = mode_of(&net->filter, command);
    bool extra = command > VIRTIO_NET_CTRL_RX_ALLMULTI;
    uint8_t on;
    if (!mode || !read_data(request, &on, sizeof(on)) || on > 1 ||
        !virtio_has(&net->virtio, extra ? VIRTIO_NET_F_CTRL_RX_EXTRA : VIRTIO_NET_F_CTRL_RX)) {
        return false;
    }
    *mode = on;
    return true;
}

/* One half of the table: a count and addresses. Returns where it ends, 0: not in the data. */
static uint64_t read_half(const struct virtio_request *request, uint64_t offset,
                          uint8_t (*table)[ETHERNET_ADDRESS], unsigned *count, bool *overflow)
{
    uint32_t entries;
    if (virtio_request_read(request, offset, &entries, sizeof(entries)) != sizeof(entries)) {
        return 0;
    }
    offset += sizeof(entries);
    uint64_t end = offset + (uint64_t)entries * ETHERNET_ADDRESS;
    if (end > request->out_length) {
        return 0;
    }
    *overflow = entries > MAC_TABLE_MAX;
    *count = *overflow ? 0 : entries;
    size_t length = (size_t)*count * ETHERNET_ADDRESS;
    return virtio_request_read(request, offset, table, length) == length ? end : 0;
}

/* 5.1.6.5.2: unicast addresses, then multicast ones. */
static bool set_table(struct virtio_net *net, const struct virtio_request *request)
{
    struct net_filter new = net->filter;
    uint64_t middle =
        read_half(request, HEADER, new.unicast, &new.unicast_count, &new.unicast_overflow);
    uint64_t end = middle ? read_half(request, middle, new.multicast, &new.multicast_count,
                                      &new.multicast_overflow)
                          : 0;
    if (!end || end != request->out_length || !virtio_has(&net->virtio, VIRTIO_NET_F_CTRL_RX)) {
        return false;
    }
    net->filter = new;
    return true;
}

static bool set_address(struct virtio_net *net, const struct virtio_request *request)
{
    uint8_t address[ETHERNET_ADDRESS];
    if (!virtio_has(&net->virtio, VIRTIO_NET_F_CTRL_MAC_ADDR) ||
        !read_data(request, address, sizeof(address))) {
        return false;
    }
    memcpy(net->config.mac, address, sizeof(address));
    return true;
}

static bool set_vlan(struct virtio_net *net, uint8_t command, const struct virtio_request *request)
{
    uint16_t vlan;
    if (command > VIRTIO_NET_CTRL_VLAN_DEL || !virtio_has(&net->virtio, VIRTIO_NET_F_CTRL_VLAN) ||
        !read_data(request, &vlan, sizeof(vlan)) || vlan >= VLANS) {
        return false;
    }
    uint8_t bit = (uint8_t)(1u << vlan % 8);
    uint8_t *byte = &net->filter.vlans[vlan / 8];
    *byte = command == VIRTIO_NET_CTRL_VLAN_ADD ? *byte | bit : *byte & (uint8_t)~bit;
    return true;
}

static bool set_pairs(struct virtio_net *net, const struct virtio_request *request)
{
    uint16_t pairs;
    if (!virtio_has(&net->virtio, VIRTIO_NET_F_MQ) || !read_data(request, &pairs, sizeof(pairs)) ||
        pairs < VIRTIO_NET_CTRL_MQ_VQ_PAIRS_MIN || pairs > net->queues) {
        return false;
    }
    net_use_pairs(net, pairs);
    return true;
}

static bool set_offloads(struct virtio_net *net, const struct virtio_request *request)
{
    uint64_t offloads;
    uint64_t possible = net->virtio.accepted & NET_GUEST_OFFLOADS;
    if (!virtio_has(&net->virtio, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) ||
        !read_data(request, &offloads, sizeof(offloads)) || offloads & ~possible) {
        return false;
    }
    net_use_offloads(net, offloads);
    return true;
}

static bool obey(struct virtio_net *net, const struct virtio_net_ctrl_hdr *header,
                 const struct virtio_request *request)
{
    switch (header->class) {
    case VIRTIO_NET_CTRL_RX:
        return set_mode(net, header->cmd, request);
    case VIRTIO_NET_CTRL_MAC:
        return header->cmd == VIRTIO_NET_CTRL_MAC_TABLE_SET  ? set_table(net, request)
               : header->cmd == VIRTIO_NET_CTRL_MAC_ADDR_SET ? set_address(net, request)
                                                             : false;
    case VIRTIO_NET_CTRL_VLAN:
        return set_vlan(net, header->cmd, request);
    case VIRTIO_NET_CTRL_MQ:
        return header->cmd == VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET && set_pairs(net, request);
    case VIRTIO_NET_CTRL_GUEST_OFFLOADS:
        return header->cmd == VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET && set_offloads(net, request);
    default:
        return false;
    }
}

void net_control(struct virtio_request *request)
{
    struct virtio_net *net = net_of(request->queue->virtio);
    struct virtio_net_ctrl_hdr header;
    if (virtio_request_read(request, 0, &header, sizeof(header)) != sizeof(header) ||
        request->in_length < sizeof(virtio_net_ctrl_ack)) {
        virtio_break(&net->virtio, "a control request without command or answer");
        virtqueue_push(request, 0);
        return;
    }
    bool good = obey(net, &header, request);
    trace_virtio_net_control(net->virtio.pci.name, header.class, header.cmd,
                             (unsigned)(request->out_length - HEADER), good ? "ok" : "refused");
    virtio_net_ctrl_ack answer = good ? VIRTIO_NET_OK : VIRTIO_NET_ERR;
    virtqueue_push(request, (uint32_t)virtio_request_write(request, 0, &answer, sizeof(answer)));
}

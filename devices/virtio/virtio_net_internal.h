/* SPDX-License-Identifier: MIT */
/* Between the files of the virtio network device: see virtio_net.c. */
#ifndef DEVICES_VIRTIO_VIRTIO_NET_INTERNAL_H
#define DEVICES_VIRTIO_VIRTIO_NET_INTERNAL_H

#include <linux/virtio_net.h>

#include "devices/virtio/virtio.h"
#include "vmm/net.h"

enum {
    NET_HEADER = sizeof(struct virtio_net_hdr_v1), /* 12 bytes; 10 without num_buffers */
    NET_LEGACY_HEADER = sizeof(struct virtio_net_hdr),
    ETHERNET_ADDRESS = 6,
    ETHERNET_HEADER = 14,
    VLAN_TAG = 4,
    VLANS = 4096,
    /* The longest frame: an IP packet of 65535 bytes with a tag. */
    NET_FRAME_MAX = 65535 + ETHERNET_HEADER + VLAN_TAG,
    /* Addresses that the driver's table may have of each kind; with more, all come. */
    MAC_TABLE_MAX = 64,
};

/* 5.1.6.5.1 to 5.1.6.5.3: which frames the driver wants. */
struct net_filter {
    bool promiscuous, all_multicast, all_unicast, no_multicast, no_unicast, no_broadcast;
    unsigned unicast_count, multicast_count;
    bool unicast_overflow, multicast_overflow; /* the table was longer than ours */
    uint8_t unicast[MAC_TABLE_MAX][ETHERNET_ADDRESS];
    uint8_t multicast[MAC_TABLE_MAX][ETHERNET_ADDRESS];
    uint8_t vlans[VLANS / 8]; /* bit N: VLAN N */
};

struct virtio_net;

/* A receive and a transmit queue with the backend's descriptor for both. */
struct net_pair {
    struct virtio_net *net;
    unsigned index;
    struct event_source source; /* fd -1: the other end is gone */
    bool starved;               /* a frame waits for buffers of the driver */
    bool blocked;               /* the other end does not take a frame now */
    unsigned waiting;           /* bytes of a frame in `frame` that waits; 0: none */
    uint8_t *frame;             /* NET_HEADER and NET_FRAME_MAX, and one to see that it is longer */
};

struct virtio_net {
    struct virtio_device virtio;
    struct virtio_net_config config;
    struct net backend;
    struct net_pair pairs[NET_QUEUES_MAX];
    unsigned active; /* pairs that the driver wants to use */
    struct net_filter filter;
    uint64_t offloads; /* features of VIRTIO_NET_F_GUEST_... in use */
    uint8_t mac[ETHERNET_ADDRESS];
    /* What one received frame takes: popped requests, and the bytes in each. */
    struct virtio_request **requests;
    uint32_t *written;
    /* Properties. */
    const char *mac_text;
    uint32_t queues, mtu, speed;
    struct net_settings settings;
};

static inline struct virtio_net *net_of(struct virtio_device *virtio)
{
    return (struct virtio_net *)virtio;
}

/* VIRTIO_NET_F_GUEST_...: what frames may leave undone that come to the driver. */
#define NET_GUEST_OFFLOADS                                                                         \
    (VIRTIO_BIT(VIRTIO_NET_F_GUEST_CSUM) | VIRTIO_BIT(VIRTIO_NET_F_GUEST_TSO4) |                   \
     VIRTIO_BIT(VIRTIO_NET_F_GUEST_TSO6) | VIRTIO_BIT(VIRTIO_NET_F_GUEST_ECN) |                    \
     VIRTIO_BIT(VIRTIO_NET_F_GUEST_UFO))

/* ---- virtio_net.c; lock held */

/* Use these of NET_GUEST_OFFLOADS, and the backend with them. */
void net_use_offloads(struct virtio_net *net, uint64_t offloads);

/* Use the first `count` pairs. */
void net_use_pairs(struct virtio_net *net, unsigned count);

/* ---- virtio_net_control.c; lock held */

/* One request of the control queue. */
void net_control(struct virtio_request *request);

/* As it is before the driver says anything: everything comes. */
void net_filter_reset(struct net_filter *filter);

/* Whether the driver wants this frame of ETHERNET_HEADER bytes or more. */
bool net_filter_wants(const struct virtio_net *net, const uint8_t *frame, size_t length);

#endif

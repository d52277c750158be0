/* SPDX-License-Identifier: MIT */
/*
 * A network of the host's that a guest's network device is connected to: one file descriptor for
 * each queue pair of the device, which never blocks. One read() or write() is one Ethernet frame,
 * without its checksum at the end.
 *
 *   net_tap.c    a tap device (Linux, Documentation/networking/tuntap.rst)
 *   net_user.c   a network of minivmm's own, by the program minivmm-net-user
 *   net.c        sockets that somebody else connected; and what all have in common
 *
 * With `has_header` each frame begins with a struct virtio_net_hdr_v1 (12 bytes, little-endian),
 * which says what of a frame's checksums and segmentation is still to be done. net_set_offloads()
 * says which of that may come to the guest.
 *
 * All functions: one thread at a time; the owner has a lock.
 */
#ifndef VMM_NET_H
#define VMM_NET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "vmm/error.h"

enum { NET_QUEUES_MAX = 16 };

/* What a person asked for. Exactly one of the first three. Strings may be NULL: the usual. */
struct net_settings {
    const char *tap; /* name of the device */
    const char *fd;  /* numbers of open sockets, one for each queue pair: "3", "3:4" */
    bool user;
    bool vnet_hdr; /* of `fd`: frames have the header */
    unsigned queues;
    uint32_t mtu; /* 0: 1500 */
    /* Of `user`. */
    const char *net, *dns, *dhcpstart, *hostname, *hostfwd;
    bool restrict_;
};

/* What may come to the guest undone; the numbers are TUNSETOFFLOAD's. */
enum net_offload {
    NET_OFFLOAD_CSUM = 0x01,
    NET_OFFLOAD_TSO4 = 0x02,
    NET_OFFLOAD_TSO6 = 0x04,
    NET_OFFLOAD_TSO_ECN = 0x08,
    NET_OFFLOAD_UFO = 0x10,
};

struct net {
    const char *kind; /* "tap", "fd", "user" */
    int fds[NET_QUEUES_MAX];
    unsigned count;
    bool has_header;
    bool has_ufo;    /* takes, and gives, UDP datagrams to be fragmented */
    bool has_end;    /* a read() of 0 bytes is the end of it, not an empty frame */
    bool has_queues; /* a tap's that can be switched off */
    bool off[NET_QUEUES_MAX];
    pid_t helper; /* 0: none */
};

/* Negative errno, and a text that names the property; then nothing is left. */
int net_open(struct net *net, const struct net_settings *settings, struct error *err);

/* Nothing happens if it is not open. */
void net_close(struct net *net);

/* What comes from now on may need any of these (enum net_offload) of the guest, and nothing else.
 */
void net_set_offloads(struct net *net, unsigned offloads);

/* Frames come to the first `count` queues only. */
void net_set_queues(struct net *net, unsigned count);

/* One frame. -EAGAIN: not now; -ENOLINK: the other end is gone for good; others: it is lost. */
ssize_t net_send(struct net *net, unsigned queue, const struct iovec *iov, unsigned count);
ssize_t net_receive(struct net *net, unsigned queue, void *frame, size_t size);

/* ---- for the files above */
int net_open_tap(struct net *net, const struct net_settings *settings, struct error *err);
int net_open_user(struct net *net, const struct net_settings *settings, struct error *err);
void net_set_tap_queue(struct net *net, unsigned queue, bool on);

#endif

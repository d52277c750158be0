/* SPDX-License-Identifier: MIT */
/* See vmm/net.h. */
#include "vmm/net.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/trace.h"

_Static_assert((int)NET_OFFLOAD_CSUM == TUN_F_CSUM && (int)NET_OFFLOAD_TSO4 == TUN_F_TSO4 &&
                   (int)NET_OFFLOAD_TSO6 == TUN_F_TSO6 &&
                   (int)NET_OFFLOAD_TSO_ECN == TUN_F_TSO_ECN && (int)NET_OFFLOAD_UFO == TUN_F_UFO,
               "the numbers are TUNSETOFFLOAD's");

/* ---- sockets that are open already */

/* A connected socket that keeps the borders of what is written to it. */
static int adopt(struct net *net, int fd, struct error *err)
{
    int type = 0;
    socklen_t size = sizeof(type);
    struct sockaddr_storage peer;
    socklen_t peer_size = sizeof(peer);
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0) {
        return error_set(err, -errno, "fd=%d: %s", fd,
                         errno == EBADF ? "not open" : "not a socket");
    }
    if (type != SOCK_DGRAM && type != SOCK_SEQPACKET) {
        return error_set(err, -EINVAL, "fd=%d: neither a datagram nor a seqpacket socket", fd);
    }
    if (getpeername(fd, (struct sockaddr *)&peer, &peer_size) < 0) {
        return error_set(err, -errno, "fd=%d: %s", fd, strerror(errno));
    }
    if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0 ||
        fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) {
        return error_set(err, -errno, "fd=%d: %s", fd, strerror(errno));
    }
    net->has_end = type == SOCK_SEQPACKET;
    net->fds[net->count++] = fd;
    return 0;
}

static int open_sockets(struct net *net, const struct net_settings *settings, struct error *err)
{
    const char *text = settings->fd;
    net->kind = "fd";
    net->has_header = settings->vnet_hdr;
    for (bool more = true; more;) {
        char *end;
        long fd = *text >= '0' && *text <= '9' ? strtol(text, &end, 10) : -1;
        if (fd < 0 || fd > INT16_MAX || (*end != '\0' && *end != ':')) {
            return error_set(err, -EINVAL, "fd=%s: expected a number, or several: 3:4",
                             settings->fd);
        }
        if (net->count == settings->queues) {
            return error_set(err, -EINVAL, "fd=%s: more than queues=%u", settings->fd,
                             settings->queues);
        }
        int ret = adopt(net, (int)fd, err);
        if (ret < 0) {
            return ret;
        }
        more = *end == ':';
        text = end + 1;
    }
    return net->count == settings->queues ? 0
                                          : error_set(err, -EINVAL, "fd=%s: fewer than queues=%u",
                                                      settings->fd, settings->queues);
}

/* ---- all of them */

static int check(const struct net_settings *settings, struct error *err)
{
    unsigned kinds = (settings->tap ? 1 : 0) + (settings->fd ? 1 : 0) + (settings->user ? 1 : 0);
    if (kinds != 1) {
        return error_set(err, -EINVAL, "%s",
                         kinds ? "tap=, fd= and user exclude each other"
                               : "tap=NAME, fd=NUMBER or user is missing");
    }
    if (settings->vnet_hdr && !settings->fd) {
        return error_set(err, -EINVAL, "vnet-hdr=on: only fd= can be with or without");
    }
    if (settings->user && settings->queues > 1) {
        return error_set(err, -EINVAL, "queues=%u: user has only one", settings->queues);
    }
    const char *of_user = settings->net         ? "net"
                          : settings->dns       ? "dns"
                          : settings->dhcpstart ? "dhcpstart"
                          : settings->hostname  ? "hostname"
                          : settings->hostfwd   ? "hostfwd"
                          : settings->restrict_ ? "restrict"
                                                : NULL;
    if (of_user && !settings->user) {
        return error_set(err, -EINVAL, "%s: only with user", of_user);
    }
    return 0;
}

int net_open(struct net *net, const struct net_settings *settings, struct error *err)
{
    *net = (struct net){.kind = "none"};
    int ret = check(settings, err);
    if (ret == 0) {
        ret = settings->tap  ? net_open_tap(net, settings, err)
              : settings->fd ? open_sockets(net, settings, err)
                             : net_open_user(net, settings, err);
    }
    if (ret < 0) {
        net_close(net);
        return ret;
    }
    trace_net_open(net->kind, net->count, net->has_header);
    return 0;
}

void net_close(struct net *net)
{
    while (net->count > 0) {
        close(net->fds[--net->count]);
    }
    if (net->helper > 0) { /* it has seen the end of its socket; it holds nothing worth a wait */
        kill(net->helper, SIGKILL);
        (void)waitpid(net->helper, NULL, 0);
        net->helper = 0;
    }
}

void net_set_offloads(struct net *net, unsigned offloads)
{
    for (unsigned i = 0; net->has_header && strcmp(net->kind, "tap") == 0 && i < net->count; i++) {
        if (!net->off[i] && ioctl(net->fds[i], TUNSETOFFLOAD, offloads) < 0) {
            trace_net_error(net->kind, "TUNSETOFFLOAD", strerror(errno));
        }
    }
}

void net_set_queues(struct net *net, unsigned count)
{
    for (unsigned i = 0; net->has_queues && i < net->count; i++) {
        net_set_tap_queue(net, i, i < count);
    }
}

/* Of the errors, those that no later frame will do without. */
static ssize_t failed(int error)
{
    switch (error) {
    case EAGAIN:
    case EINTR:
    case ENOBUFS: /* a datagram socket's peer that does not read */
        return -EAGAIN;
    case EPIPE:
    case ECONNRESET:
    case ENOTCONN:
    case EBADFD: /* the tap device was deleted */
        return -ENOLINK;
    default:
        return -error;
    }
}

ssize_t net_send(struct net *net, unsigned queue, const struct iovec *iov, unsigned count)
{
    ssize_t ret = writev(net->fds[queue], iov, (int)count);
    return ret < 0 ? failed(errno) : ret;
}

ssize_t net_receive(struct net *net, unsigned queue, void *frame, size_t size)
{
    ssize_t ret = read(net->fds[queue], frame, size);
    if (ret == 0 && net->has_end) {
        return -ENOLINK;
    }
    return ret < 0 ? failed(errno) : ret;
}

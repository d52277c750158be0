/* SPDX-License-Identifier: MIT */
/* A tap device of the host's. See vmm/net.h. */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vmm/net.h"
#include "vmm/trace.h"

enum { TAP_FLAGS = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };

static const char *reason(int error)
{
    switch (error) {
    case EBUSY:
        return "somebody else is using it";
    case EPERM:
        return "it is not there and may not be made, or belongs to somebody else";
    case EINVAL:
        return "not a tap device, or one without multi_queue";
    case E2BIG:
        return "it has no more queues";
    default:
        return strerror(error);
    }
}

/* One queue. Returns its descriptor. */
static int open_queue(const char *name, bool multi_queue)
{
    struct ifreq request = {
        .ifr_flags = (short)(TAP_FLAGS | (multi_queue ? IFF_MULTI_QUEUE : 0)),
    };
    int header = sizeof(struct virtio_net_hdr_v1);
    memcpy(request.ifr_name, name, strlen(name));
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return -errno;
    }
    if (ioctl(fd, TUNSETIFF, &request) < 0 || ioctl(fd, TUNSETVNETHDRSZ, &header) < 0 ||
        ioctl(fd, TUNSETOFFLOAD, 0) < 0) {
        int ret = -errno;
        close(fd);
        return ret;
    }
    return fd;
}

/* A device that was made with multi_queue wants to hear of it also for one. */
static int open_first(struct net *net, const struct net_settings *settings)
{
    net->has_queues = settings->queues > 1;
    int fd = open_queue(settings->tap, net->has_queues);
    return fd == -EINVAL && !net->has_queues ? open_queue(settings->tap, true) : fd;
}

int net_open_tap(struct net *net, const struct net_settings *settings, struct error *err)
{
    const char *name = settings->tap;
    net->kind = "tap";
    net->has_header = true;
    if (*name == '\0' || strlen(name) >= IFNAMSIZ || strpbrk(name, "/%: ")) {
        return error_set(err, -EINVAL, "tap=%s: not the name of a network device", name);
    }
    if (access("/dev/net/tun", F_OK) < 0) {
        return error_set(err, -errno, "tap=%s: /dev/net/tun: %s", name, strerror(errno));
    }
    while (net->count < settings->queues) {
        int fd = net->count ? open_queue(name, true) : open_first(net, settings);
        if (fd < 0) {
            return error_set(err, fd, "tap=%s: %s", name, reason(-fd));
        }
        net->fds[net->count++] = fd;
    }
    /* Kernels differ in whether they take UDP datagrams to be fragmented. */
    net->has_ufo = ioctl(net->fds[0], TUNSETOFFLOAD, NET_OFFLOAD_CSUM | NET_OFFLOAD_UFO) == 0;
    (void)ioctl(net->fds[0], TUNSETOFFLOAD, 0);
    return 0;
}

void net_set_tap_queue(struct net *net, unsigned queue, bool on)
{
    struct ifreq request = {.ifr_flags = (short)(on ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE)};
    if (net->off[queue] == !on) {
        return;
    }
    if (ioctl(net->fds[queue], TUNSETQUEUE, &request) < 0) {
        trace_net_error(net->kind, "TUNSETQUEUE", strerror(errno));
        return;
    }
    net->off[queue] = !on;
}

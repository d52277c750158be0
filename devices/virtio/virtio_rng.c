/* SPDX-License-Identifier: MIT */
/*
 * virtio-rng: random numbers. virtio 1.2, 5.4.
 *
 * Virtio id 4; PCI 1af4:1005, or 1af4:1044 without the legacy registers. One queue, no features, no
 * configuration. The driver hands over buffers to write; the device fills them with what the host's
 * getrandom() gives. It may fill less than there is room for (5.4.6.2): at most 4 KiB of a request,
 * so that nobody waits long behind it.
 */
#include "devices/virtio/virtio_rng.h"

#include <sys/random.h>

#include "devices/virtio/virtio.h"
#include "devices/virtio/virtio_pci.h"

enum { QUEUE_SIZE = 64, MOST_BYTES = 4096 };

struct virtio_rng {
    struct virtio_device virtio;
};

/* Returns the bytes that are random now: fewer only if the host has none yet, early after boot. */
static uint32_t fill(const struct virtio_request *request)
{
    uint32_t done = 0;
    for (unsigned i = 0; i < request->in_count && done < MOST_BYTES; i++) {
        const struct iovec *piece = &request->in[i];
        size_t room = MOST_BYTES - done;
        size_t wanted = piece->iov_len < room ? piece->iov_len : room;
        ssize_t got = getrandom(piece->iov_base, wanted, GRND_NONBLOCK);
        if (got < 0) {
            break;
        }
        done += (uint32_t)got;
        if ((size_t)got < piece->iov_len) {
            break;
        }
    }
    return done;
}

/* 5.4.6.1: the driver's buffers are to be written, all of them. */
static void answer(struct virtio_request *request)
{
    if (request->out_count || !request->in_count) {
        virtio_break(request->queue->virtio, "a buffer that cannot be filled");
    }
    virtqueue_push(request, fill(request));
}

static void kicked(struct virtio_device *virtio, struct virtqueue *queue)
{
    (void)virtio;
    virtqueue_serve(queue, answer);
}

static void queue_reset(struct virtio_device *virtio, struct virtqueue *queue)
{
    (void)virtio; /* requests are answered at once: none is kept */
    (void)queue;
}

static const struct virtio_class class = {
    .name = "virtio-rng-device",
    .id = VIRTIO_ID_RNG,
    .legacy_id = 0x1005,
    .pci_class = 0x00ff00,
    .kicked = kicked,
    .queue_reset = queue_reset,
};

static int rng_realize(struct pci_device *device, struct error *err)
{
    return virtio_realize((struct virtio_device *)device, &class, 1, QUEUE_SIZE, err);
}

static void rng_unrealize(struct pci_device *device)
{
    virtio_unrealize((struct virtio_device *)device);
}

static const struct property properties[] = {
    VIRTIO_PROPERTIES,
    {.name = NULL},
};

const struct pci_device_type virtio_rng_type = {
    .name = "virtio-rng",
    .summary = "random numbers for the guest",
    .size = sizeof(struct virtio_rng),
    .properties = properties,
    .default_slot = -1,
    .realize = rng_realize,
    .unrealize = rng_unrealize,
    .reset = virtio_pci_reset,
    .registers = virtio_register_views,
    .config_written = virtio_pci_config_written,
    .config_read = virtio_pci_config_read,
};

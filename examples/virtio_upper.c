/* SPDX-License-Identifier: MIT */
/*
 * virtio-upper: a virtio device that gives a text back in upper case. docs/write-a-device.md
 * explains it line by line; its driver is examples/drivers/virtio_upper/.
 *
 * Virtio id 63; PCI 1af4:103f, or 1af4:107f without the legacy registers. One queue of 16 entries.
 * A request is a text to read and as much memory to write the answer to; the used length is the
 * answer's. A text longer than max_length gets an answer of no bytes.
 *
 * Device configuration, little-endian and read-only:
 *
 *   0x0  max_length  u32  the longest text that is answered
 *   0x4  count       u32  requests since the reset; only with VIRTIO_UPPER_F_COUNT, feature bit 0
 */
#include "examples/virtio_upper.h"

#include "devices/virtio/virtio.h"
#include "devices/virtio/virtio_pci.h"
#include "vmm/trace.h"

enum { QUEUE_SIZE = 16 };

#define VIRTIO_ID_UPPER      63
#define VIRTIO_UPPER_F_COUNT 0

struct virtio_upper_config {
    uint32_t max_length, count;
};

struct virtio_upper {
    struct virtio_device virtio; /* comes first */
    struct virtio_upper_config config;
    bool offer_count; /* property */
};

static void make_upper(char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (text[i] >= 'a' && text[i] <= 'z') {
            text[i] = (char)(text[i] - 'a' + 'A');
        }
    }
}

/* Piece by piece, until the text ends or there is no more room. Returns the bytes written. */
static uint32_t write_answer(const struct virtio_request *request)
{
    char text[256];
    uint32_t done = 0;
    size_t length;
    do {
        length = virtio_request_read(request, done, text, sizeof(text));
        make_upper(text, length);
        length = virtio_request_write(request, done, text, length);
        done += (uint32_t)length;
    } while (length == sizeof(text));
    return done;
}

static void answer(struct virtio_request *request)
{
    struct virtio_upper *upper = (struct virtio_upper *)request->queue->virtio;
    uint32_t written = 0;
    if (!request->out_count || !request->in_count) {
        virtio_break(&upper->virtio, "a request without a text, or without room for the answer");
    } else if (request->out_length <= upper->config.max_length) {
        written = write_answer(request);
    }
    upper->config.count++;
    trace_virtio_upper_answer(upper->virtio.pci.name, request->out_length, written);
    virtqueue_push(request, written);
}

static void kicked(struct virtio_device *virtio, struct virtqueue *queue)
{
    (void)virtio;
    virtqueue_serve(queue, answer);
}

static void reset(struct virtio_device *virtio)
{
    ((struct virtio_upper *)virtio)->config.count = 0;
}

static const struct virtio_class class = {
    .name = "virtio-upper-device",
    .id = VIRTIO_ID_UPPER,
    .legacy_id = 0x103f,
    .pci_class = 0x00ff00,
    .config_size = sizeof(struct virtio_upper_config),
    .kicked = kicked,
    .reset = reset,
};

static int upper_realize(struct pci_device *device, struct error *err)
{
    struct virtio_upper *upper = (struct virtio_upper *)device;
    upper->virtio.config = (uint8_t *)&upper->config;
    upper->virtio.offered = upper->offer_count ? VIRTIO_BIT(VIRTIO_UPPER_F_COUNT) : 0;
    return virtio_realize(&upper->virtio, &class, 1, QUEUE_SIZE, err);
}

static void upper_unrealize(struct pci_device *device)
{
    virtio_unrealize((struct virtio_device *)device);
}

static const struct property properties[] = {
    {.name = "max-length",
     .type = PROPERTY_UINT32,
     .offset = offsetof(struct virtio_upper, config.max_length),
     .default_value = 4096,
     .minimum = 1,
     .maximum = 1 << 20,
     .meaning = "the longest text that is answered, in bytes"},
    {.name = "count",
     .type = PROPERTY_BOOL,
     .offset = offsetof(struct virtio_upper, offer_count),
     .default_value = 1,
     .meaning = "offer the feature that counts requests"},
    VIRTIO_PROPERTIES,
    {.name = NULL},
};

const struct pci_device_type virtio_upper_type = {
    .name = "virtio-upper",
    .summary = "gives texts back in upper case: the virtio device of docs/write-a-device.md",
    .size = sizeof(struct virtio_upper),
    .properties = properties,
    .default_slot = -1,
    .realize = upper_realize,
    .unrealize = upper_unrealize,
    .reset = virtio_pci_reset,
    .registers = virtio_register_views,
    .config_written = virtio_pci_config_written,
    .config_read = virtio_pci_config_read,
};

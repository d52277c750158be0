/* SPDX-License-Identifier: MIT */
/*
 * virtio-test: the smallest virtio device that uses all of the transport. (A smaller one, to copy,
 * is examples/virtio_upper.c.) Its driver is guest/drivers/virtio_test/.
 *
 * Virtio id 21; PCI 1af4:1013, or 1af4:1055 without the legacy registers. One queue of 128 entries.
 * Feature bit 0, VIRTIO_TEST_F_CAN_PRINT: the device prints what it is sent.
 *
 * Device configuration, little-endian:
 *
 *   0x0  num_pages  u32  RO  which interval it is, from 1 on
 *   0x4  actual     u32  RW  the driver's: kept until a reset
 *   0x8  event      u32  RO  how many buffers came since the reset
 *
 * From DRIVER_OK on, every interval the device counts num_pages up, logs "set config: N" and raises
 * a configuration change interrupt. The driver answers with a buffer of 4 bytes through the queue;
 * the device logs "get virtio num: N" and hands it back with nothing written.
 */
#include "devices/virtio/virtio_test.h"

#include "devices/virtio/virtio.h"
#include "devices/virtio/virtio_pci.h"
#include "vmm/trace.h"
#include "vmm/vm.h"

enum { QUEUE_SIZE = 128, ACTUAL_OFFSET = 4 };

#define VIRTIO_TEST_F_CAN_PRINT 0

struct virtio_test_config {
    uint32_t num_pages, actual, event;
};

struct virtio_test {
    struct virtio_device virtio;
    struct virtio_test_config config;
    struct event_timer timer;
    uint32_t interval; /* property: ms */
};

static struct virtio_test *test_of(struct virtio_device *virtio)
{
    return (struct virtio_test *)virtio;
}

static void start_interval(struct virtio_test *test)
{
    event_timer_set(&test->timer, event_now_ns() + test->interval * 1000000ull);
}

/* Main thread. A reset may have come first. */
static void interval_over(void *opaque)
{
    struct virtio_test *test = opaque;
    pthread_mutex_lock(&test->virtio.pci.lock);
    if (virtio_is_live(&test->virtio)) {
        test->config.num_pages++;
        vm_report("set config: %u", test->config.num_pages);
        virtio_config_changed(&test->virtio);
        start_interval(test);
    }
    pthread_mutex_unlock(&test->virtio.pci.lock);
}

static void answer(struct virtio_request *request)
{
    struct virtio_test *test = test_of(request->queue->virtio);
    uint32_t number;
    if (virtio_request_read(request, 0, &number, sizeof(number)) < sizeof(number)) {
        virtio_break(&test->virtio, "a buffer of %u bytes", (unsigned)request->out_length);
    } else {
        test->config.event++;
        if (virtio_has(&test->virtio, VIRTIO_TEST_F_CAN_PRINT)) {
            vm_report("get virtio num: %u", number);
        }
    }
    virtqueue_push(request, 0);
}

static void kicked(struct virtio_device *virtio, struct virtqueue *queue)
{
    (void)virtio;
    virtqueue_serve(queue, answer);
}

static void started(struct virtio_device *virtio)
{
    start_interval(test_of(virtio));
}

static void reset(struct virtio_device *virtio)
{
    struct virtio_test *test = test_of(virtio);
    event_timer_cancel(&test->timer);
    test->config = (struct virtio_test_config){0};
}

static void config_write(struct virtio_device *virtio, unsigned offset, unsigned size,
                         uint32_t value)
{
    if (offset == ACTUAL_OFFSET && size == sizeof(value)) {
        test_of(virtio)->config.actual = value;
    }
}

static void queue_reset(struct virtio_device *virtio, struct virtqueue *queue)
{
    (void)virtio; /* requests are answered at once: none is kept */
    (void)queue;
}

static const struct virtio_class class = {
    .name = "virtio-test-device",
    .id = VIRTIO_ID_TEST,
    .legacy_id = 0x1013,
    .pci_class = 0x00ff00,
    .config_size = sizeof(struct virtio_test_config),
    .kicked = kicked,
    .started = started,
    .reset = reset,
    .queue_reset = queue_reset,
    .config_write = config_write,
};

static int test_realize(struct pci_device *device, struct error *err)
{
    struct virtio_test *test = (struct virtio_test *)device;
    test->virtio.config = (uint8_t *)&test->config;
    test->virtio.offered = VIRTIO_BIT(VIRTIO_TEST_F_CAN_PRINT);
    int ret = event_timer_init(&test->timer, device->host->loop, interval_over, test);
    if (ret < 0) {
        return error_set(err, ret, "no timer");
    }
    ret = virtio_realize(&test->virtio, &class, 1, QUEUE_SIZE, err);
    if (ret < 0) {
        event_timer_destroy(&test->timer);
    }
    return ret;
}

static void test_unrealize(struct pci_device *device)
{
    struct virtio_test *test = (struct virtio_test *)device;
    virtio_unrealize(&test->virtio);
    event_timer_destroy(&test->timer);
}

static const struct property properties[] = {
    {.name = "interval",
     .type = PROPERTY_UINT32,
     .offset = offsetof(struct virtio_test, interval),
     .default_value = 5000,
     .minimum = 1,
     .maximum = 3600000,
     .meaning = "milliseconds between two configuration changes"},
    VIRTIO_PROPERTIES,
    {.name = NULL},
};

const struct pci_device_type virtio_test_type = {
    .name = "virtio-test",
    .summary = "a virtio device that counts, both halves of which are here",
    .size = sizeof(struct virtio_test),
    .properties = properties,
    .default_slot = -1,
    .realize = test_realize,
    .unrealize = test_unrealize,
    .reset = virtio_pci_reset,
    .registers = virtio_register_views,
    .config_written = virtio_pci_config_written,
    .config_read = virtio_pci_config_read,
};

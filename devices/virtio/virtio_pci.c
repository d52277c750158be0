/* SPDX-License-Identifier: MIT */
/*
 * The PCI function of a virtio device: identity, BARs, capabilities. virtio 1.2, 4.1. See virtio.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "devices/virtio/virtio.h"
#include "vmm/trace.h"

enum { LEGACY_HEADER_MAX = 24, MSIX_BAR_SIZE = 4096, MSIX_PBA = 2048, MODERN_BAR_SIZE = 0x4000 };

const char *const virtio_legacy_choices[] = {"auto", "off", "on", NULL};

/* ---- capabilities that lead to the registers, 4.1.4 */

static void add_vendor_capability(struct virtio_device *virtio, uint8_t type, uint32_t offset,
                                  uint32_t length, unsigned size)
{
    struct pci_device *pci = &virtio->pci;
    unsigned at = pci_add_capability(pci, PCI_CAP_ID_VNDR, 0, size);
    pci_config_set(pci, at + VIRTIO_PCI_CAP_LEN, 1, size);
    pci_config_set(pci, at + VIRTIO_PCI_CAP_CFG_TYPE, 1, type);
    pci_config_set(pci, at + VIRTIO_PCI_CAP_BAR, 1, VIRTIO_MODERN_BAR);
    pci_config_set(pci, at + VIRTIO_PCI_CAP_OFFSET, 4, offset);
    pci_config_set(pci, at + VIRTIO_PCI_CAP_LENGTH, 4, length);
    if (type == VIRTIO_PCI_CAP_NOTIFY_CFG) {
        pci_config_set(pci, at + VIRTIO_PCI_NOTIFY_CAP_MULT, 4, VIRTIO_NOTIFY_MULTIPLIER);
    } else if (type == VIRTIO_PCI_CAP_PCI_CFG) {
        virtio->pci_cfg = (uint8_t)at;
    }
}

/* 4.1.4.9: bar, offset and length are the driver's; writing or reading the data makes the access.
 */
static void add_pci_cfg_capability(struct virtio_device *virtio)
{
    add_vendor_capability(virtio, VIRTIO_PCI_CAP_PCI_CFG, 0, 0, VIRTIO_PCI_CFG_CAP_SIZE);
    struct pci_device *pci = &virtio->pci;
    unsigned at = virtio->pci_cfg;
    pci_config_set(pci, at + VIRTIO_PCI_CAP_BAR, 1, 0);
    pci_config_set_writable(pci, at + VIRTIO_PCI_CAP_BAR, 1, 0xff);
    pci_config_set_writable(pci, at + VIRTIO_PCI_CAP_OFFSET, 4, UINT32_MAX);
    pci_config_set_writable(pci, at + VIRTIO_PCI_CAP_LENGTH, 4, UINT32_MAX);
    pci_config_set_writable(pci, at + VIRTIO_PCI_CFG_DATA, 4, UINT32_MAX);
}

static void add_modern_registers(struct virtio_device *virtio)
{
    pci_add_bar(&virtio->pci, VIRTIO_MODERN_BAR, PCI_BAR_MEM64_PREFETCH, MODERN_BAR_SIZE,
                &virtio_modern_ops, virtio);
    add_pci_cfg_capability(virtio);
    add_vendor_capability(virtio, VIRTIO_PCI_CAP_NOTIFY_CFG, VIRTIO_NOTIFY_REGION,
                          VIRTIO_REGION_SIZE, 20);
    if (virtio->class->config_size) {
        add_vendor_capability(virtio, VIRTIO_PCI_CAP_DEVICE_CFG, VIRTIO_DEVICE_REGION,
                              virtio->class->config_size, 16);
    }
    add_vendor_capability(virtio, VIRTIO_PCI_CAP_ISR_CFG, VIRTIO_ISR_REGION, 1, 16);
    add_vendor_capability(virtio, VIRTIO_PCI_CAP_COMMON_CFG, VIRTIO_COMMON_REGION,
                          VIRTIO_COMMON_SIZE, 16);
}

/* The access that the capability describes, or 0: none that is legal. Lock held. */
static unsigned pci_cfg_access(struct virtio_device *virtio, uint64_t *offset)
{
    const struct pci_device *pci = &virtio->pci;
    unsigned at = virtio->pci_cfg;
    unsigned length = pci_config_get(pci, at + VIRTIO_PCI_CAP_LENGTH, 4);
    *offset = pci_config_get(pci, at + VIRTIO_PCI_CAP_OFFSET, 4);
    bool legal = (length == 1 || length == 2 || length == 4) && *offset % length == 0 &&
                 *offset + length <= MODERN_BAR_SIZE &&
                 pci_config_get(pci, at + VIRTIO_PCI_CAP_BAR, 1) == VIRTIO_MODERN_BAR;
    return legal ? length : 0;
}

static bool touches_data(const struct virtio_device *virtio, unsigned reg, unsigned size)
{
    unsigned data = virtio->pci_cfg + VIRTIO_PCI_CFG_DATA;
    return virtio->pci_cfg && reg < data + 4 && data < reg + size;
}

/* The registers take the lock that a configuration access holds: it is let go for that moment. */
uint32_t virtio_pci_config_read(struct pci_device *device, unsigned reg, unsigned size)
{
    struct virtio_device *virtio = (struct virtio_device *)device;
    uint64_t offset;
    unsigned length = touches_data(virtio, reg, size) ? pci_cfg_access(virtio, &offset) : 0;
    if (length) {
        pthread_mutex_unlock(&device->lock);
        uint64_t value = virtio_modern_ops.read(virtio, offset, length);
        pthread_mutex_lock(&device->lock);
        pci_config_set(device, virtio->pci_cfg + VIRTIO_PCI_CFG_DATA, length, (uint32_t)value);
    }
    return pci_config_read_default(device, reg, size);
}

void virtio_pci_config_written(struct pci_device *device, unsigned reg, unsigned size)
{
    struct virtio_device *virtio = (struct virtio_device *)device;
    uint64_t offset;
    unsigned length = touches_data(virtio, reg, size) ? pci_cfg_access(virtio, &offset) : 0;
    if (length) {
        uint32_t value = pci_config_get(device, virtio->pci_cfg + VIRTIO_PCI_CFG_DATA, length);
        pthread_mutex_unlock(&device->lock);
        virtio_modern_ops.write(virtio, offset, length, value);
        pthread_mutex_lock(&device->lock);
    }
}

const struct virtio_device *virtio_of_function(const struct pci_device *device)
{
    bool is_virtio = device->type->config_written == virtio_pci_config_written;
    return is_virtio ? (const struct virtio_device *)device : NULL;
}

/* ---- set-up */

static int check_settings(struct virtio_device *virtio, struct error *err)
{
    const struct virtio_settings *settings = &virtio->settings;
    bool behind_iommu = virtio->pci.dma.iommu != NULL;
    if (settings->legacy == VIRTIO_LEGACY_ON && behind_iommu) {
        return error_set(err, -EINVAL,
                         "legacy=on: a legacy driver knows nothing of the IOMMU's addresses");
    }
    virtio->legacy = settings->legacy == VIRTIO_LEGACY_ON ||
                     (settings->legacy == VIRTIO_LEGACY_AUTO && !behind_iommu);
    if (!virtio->legacy && !settings->modern) {
        return error_set(err, -EINVAL, "modern=off: there are no legacy registers either");
    }
    if (settings->queue_size & (settings->queue_size - 1)) {
        return error_set(err, -EINVAL, "queue-size=%u: not a power of two", settings->queue_size);
    }
    return 0;
}

static void set_identity(struct virtio_device *virtio)
{
    const struct virtio_class *class = virtio->class;
    bool transitional = virtio->legacy;
    const struct pci_identity identity = {
        .vendor = VIRTIO_PCI_VENDOR,
        .device = transitional ? class->legacy_id : VIRTIO_PCI_DEVICE_MODERN + class->id,
        .revision = transitional ? 0 : VIRTIO_PCI_REVISION_MODERN,
        .class_code = class->pci_class,
        .subsystem_vendor = VIRTIO_PCI_VENDOR,
        .subsystem = transitional ? class->id : VIRTIO_PCI_SUBSYSTEM,
    };
    pci_set_identity(&virtio->pci, &identity);
    pci_set_interrupt_pin(&virtio->pci, 1);
}

static void offer_features(struct virtio_device *virtio)
{
    const struct virtio_settings *settings = &virtio->settings;
    uint64_t modern = settings->modern ? UINT64_MAX : 0;
    virtio->offered |= VIRTIO_BIT(VIRTIO_F_ANY_LAYOUT);
    virtio->offered |= settings->indirect ? VIRTIO_BIT(VIRTIO_RING_F_INDIRECT_DESC) : 0;
    virtio->offered |= settings->event_idx ? VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX) : 0;
    virtio->offered |= modern & VIRTIO_BIT(VIRTIO_F_VERSION_1);
    virtio->offered |= settings->packed ? modern & VIRTIO_BIT(VIRTIO_F_RING_PACKED) : 0;
    virtio->offered |= settings->in_order ? modern & VIRTIO_BIT(VIRTIO_F_IN_ORDER) : 0;
    virtio->offered |= virtio->class->queue_reset ? modern & VIRTIO_BIT(VIRTIO_F_RING_RESET) : 0;
    virtio->offered |= virtio->pci.dma.iommu ? VIRTIO_BIT(VIRTIO_F_ACCESS_PLATFORM) : 0;
}

static void init_doorbells(struct virtqueue *queue)
{
    queue->modern_doorbell = (struct bus_doorbell){
        .offset = VIRTIO_NOTIFY_REGION + (uint64_t)queue->index * VIRTIO_NOTIFY_MULTIPLIER,
        .size = 2,
        .event_fd = queue->kick.fd,
    };
    queue->legacy_doorbell = (struct bus_doorbell){
        .offset = VIRTIO_PCI_QUEUE_NOTIFY,
        .size = 2,
        .has_value = true,
        .value = queue->index,
        .event_fd = queue->kick.fd,
    };
}

static int create_queues(struct virtio_device *virtio, unsigned count, uint16_t size,
                         struct error *err)
{
    if (virtio->settings.queue_size) {
        size = (uint16_t)virtio->settings.queue_size;
    }
    virtio->queues = calloc(count, sizeof(*virtio->queues));
    if (!virtio->queues) {
        return error_set(err, -ENOMEM, "no memory for %u queues", count);
    }
    for (unsigned i = 0; i < count; i++) {
        int ret = virtqueue_init(&virtio->queues[i], virtio, (uint16_t)i, size);
        if (ret < 0) {
            return error_set(err, ret, "queue %u: %s", i, strerror(-ret));
        }
        virtio->queue_count++;
        init_doorbells(&virtio->queues[i]);
    }
    return 0;
}

static int choose_loop(struct virtio_device *virtio, struct error *err)
{
    if (!virtio->class->own_thread) {
        virtio->loop = virtio->pci.host->loop;
        return 0;
    }
    virtio->loop = &virtio->worker.loop;
    return worker_init(&virtio->worker, virtio->pci.name, err);
}

static unsigned vector_count(const struct virtio_device *virtio)
{
    return virtio->settings.vectors ? virtio->settings.vectors : virtio->queue_count + 1;
}

static int add_registers(struct virtio_device *virtio, struct error *err)
{
    struct pci_device *pci = &virtio->pci;
    if (virtio->legacy) {
        uint64_t size = 32;
        while (size < LEGACY_HEADER_MAX + virtio->class->config_size) {
            size *= 2;
        }
        pci_add_bar(pci, VIRTIO_LEGACY_BAR, PCI_BAR_IO, size, &virtio_legacy_ops, virtio);
    }
    pci_add_bar(pci, VIRTIO_MSIX_BAR, PCI_BAR_MEM32, MSIX_BAR_SIZE, NULL, NULL);
    if (virtio->settings.modern) {
        add_modern_registers(virtio);
    }
    if (!virtio->legacy || pci->bus->parent) { /* a transitional one is a plain PCI function */
        pci_add_express(pci, PCI_EXPRESS_ENDPOINT, 0, true);
    }
    return pci_add_msix(pci, 0, vector_count(virtio), VIRTIO_MSIX_BAR, 0, MSIX_PBA, err);
}

static void release(struct virtio_device *virtio)
{
    worker_stop(&virtio->worker);
    for (unsigned i = 0; i < virtio->queue_count; i++) {
        virtqueue_destroy(&virtio->queues[i]);
    }
    free(virtio->queues);
    virtio->queues = NULL;
    virtio->queue_count = 0;
    worker_destroy(&virtio->worker);
}

int virtio_realize(struct virtio_device *virtio, const struct virtio_class *class,
                   unsigned queue_count, uint16_t queue_size, struct error *err)
{
    virtio->class = class;
    int ret = check_settings(virtio, err);
    if (ret < 0) {
        return ret;
    }
    set_identity(virtio);
    offer_features(virtio);
    ret = choose_loop(virtio, err);
    if (ret == 0) {
        ret = create_queues(virtio, queue_count, queue_size, err);
    }
    if (ret == 0) {
        ret = add_registers(virtio, err);
    }
    if (ret == 0 && class->own_thread) {
        ret = worker_start(&virtio->worker, err);
    }
    if (ret < 0) {
        release(virtio);
    }
    return ret;
}

void virtio_unrealize(struct virtio_device *virtio)
{
    pthread_mutex_lock(&virtio->pci.lock);
    virtio_reset(virtio);
    pthread_mutex_unlock(&virtio->pci.lock);
    release(virtio);
}

void virtio_pci_reset(struct pci_device *device)
{
    virtio_reset((struct virtio_device *)device);
}

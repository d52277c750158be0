/* SPDX-License-Identifier: MIT */
/* The registers of virtio 1.0 and later, in BAR4. virtio 1.2, 4.1.4. See virtio.h for the layout.
 */
#include "devices/virtio/virtio.h"
#include "devices/virtio/virtio_pci.h"
#include "vmm/registers.h"
#include "vmm/trace.h"

static const struct register_desc registers[] = {
    {"device_feature_select", VIRTIO_PCI_COMMON_DFSELECT, 4, REGISTER_RW, "which 32 feature bits"},
    {"device_feature", VIRTIO_PCI_COMMON_DF, 4, REGISTER_RO, "bits that the device offers"},
    {"driver_feature_select", VIRTIO_PCI_COMMON_GFSELECT, 4, REGISTER_RW, "which 32 feature bits"},
    {"driver_feature", VIRTIO_PCI_COMMON_GF, 4, REGISTER_RW, "bits that the driver accepts"},
    {"config_msix_vector", VIRTIO_PCI_COMMON_MSIX, 2, REGISTER_RW, "of the configuration"},
    {"num_queues", VIRTIO_PCI_COMMON_NUMQ, 2, REGISTER_RO, "how many queues there are"},
    {"device_status", VIRTIO_PCI_COMMON_STATUS, 1, REGISTER_RW, "2.1; writing 0 resets"},
    {"config_generation", VIRTIO_PCI_COMMON_CFGGENERATION, 1, REGISTER_RO,
     "changes with the device configuration"},
    {"queue_select", VIRTIO_PCI_COMMON_Q_SELECT, 2, REGISTER_RW, "the queue of what follows"},
    {"queue_size", VIRTIO_PCI_COMMON_Q_SIZE, 2, REGISTER_RW, "entries; 0: no such queue"},
    {"queue_msix_vector", VIRTIO_PCI_COMMON_Q_MSIX, 2, REGISTER_RW, "of the queue"},
    {"queue_enable", VIRTIO_PCI_COMMON_Q_ENABLE, 2, REGISTER_RW, "1: in use"},
    {"queue_notify_off", VIRTIO_PCI_COMMON_Q_NOFF, 2, REGISTER_RO, "its notification register"},
    {"queue_desc", VIRTIO_PCI_COMMON_Q_DESCLO, 8, REGISTER_RW, "address of the descriptors"},
    {"queue_driver", VIRTIO_PCI_COMMON_Q_AVAILLO, 8, REGISTER_RW, "address of the driver's part"},
    {"queue_device", VIRTIO_PCI_COMMON_Q_USEDLO, 8, REGISTER_RW, "address of the device's part"},
    {"queue_notify_data", VIRTIO_COMMON_Q_NOTIF_DATA, 2, REGISTER_RO, "not used"},
    {"queue_reset", VIRTIO_COMMON_Q_RESET, 2, REGISTER_RW, "1: reset the queue"},
};

const struct register_block virtio_common_registers = {
    .name = "virtio common configuration",
    .registers = registers,
    .count = sizeof(registers) / sizeof(registers[0]),
    .access_sizes = 1 | 2 | 4,
};

/* ---- common configuration, a register at a time */

static uint64_t read_queue(const struct virtqueue *queue, uint32_t reg)
{
    switch (reg) {
    case VIRTIO_PCI_COMMON_Q_SIZE:
        return queue->size;
    case VIRTIO_PCI_COMMON_Q_MSIX:
        return queue->vector;
    case VIRTIO_PCI_COMMON_Q_ENABLE:
        return queue->enabled;
    case VIRTIO_PCI_COMMON_Q_NOFF:
        return queue->index;
    case VIRTIO_PCI_COMMON_Q_DESCLO:
        return queue->descriptors.address.raw;
    case VIRTIO_PCI_COMMON_Q_AVAILLO:
        return queue->driver.address.raw;
    case VIRTIO_PCI_COMMON_Q_USEDLO:
        return queue->device.address.raw;
    default: /* queue_notify_data, queue_reset: a reset is over when its write returns */
        return 0;
    }
}

static uint64_t read_common(struct virtio_device *virtio, uint32_t reg)
{
    switch (reg) {
    case VIRTIO_PCI_COMMON_DFSELECT:
        return virtio->device_feature_select;
    case VIRTIO_PCI_COMMON_DF:
        return virtio_offered_word(virtio, virtio->device_feature_select);
    case VIRTIO_PCI_COMMON_GFSELECT:
        return virtio->driver_feature_select;
    case VIRTIO_PCI_COMMON_GF:
        return virtio->driver_feature_select < 2
                   ? (uint32_t)(virtio->accepted >> (32 * virtio->driver_feature_select))
                   : 0;
    case VIRTIO_PCI_COMMON_MSIX:
        return virtio->config_vector;
    case VIRTIO_PCI_COMMON_NUMQ:
        return virtio->queue_count;
    case VIRTIO_PCI_COMMON_STATUS:
        return virtio->status;
    case VIRTIO_PCI_COMMON_CFGGENERATION:
        return virtio->generation;
    case VIRTIO_PCI_COMMON_Q_SELECT:
        return virtio->queue_select;
    default: {
        const struct virtqueue *queue = virtio_selected_queue(virtio);
        return queue ? read_queue(queue, reg) : 0; /* 4.1.4.3.1: size 0 says there is none */
    }
    }
}

static uint64_t peek_common(struct pci_device *device, const struct register_desc *reg)
{
    return read_common((struct virtio_device *)device, reg->offset);
}

const struct pci_register_view virtio_register_views[] = {
    {&virtio_legacy_registers, VIRTIO_LEGACY_BAR, virtio_legacy_peek},
    {&virtio_common_registers, VIRTIO_MODERN_BAR, peek_common},
    {.block = NULL},
};

/* While the queue is enabled its driver must not touch these: 4.1.4.3.2. */
static void write_stopped_queue(struct virtqueue *queue, uint32_t reg, uint64_t value)
{
    switch (reg) {
    case VIRTIO_PCI_COMMON_Q_SIZE:
        /* 4.1.5.1.3: a driver asks for less only; anything else leaves it. */
        if (value && value <= queue->max_size) {
            queue->size = (uint16_t)value;
        }
        break;
    case VIRTIO_PCI_COMMON_Q_DESCLO:
        queue->descriptors.address = iova(value);
        break;
    case VIRTIO_PCI_COMMON_Q_AVAILLO:
        queue->driver.address = iova(value);
        break;
    case VIRTIO_PCI_COMMON_Q_USEDLO:
        queue->device.address = iova(value);
        break;
    case VIRTIO_PCI_COMMON_Q_ENABLE:
        if (value == 1) {
            virtio_enable_queue(queue);
        }
        break;
    }
}

static void write_queue(struct virtqueue *queue, uint32_t reg, uint64_t value)
{
    if (reg == VIRTIO_PCI_COMMON_Q_MSIX) {
        queue->vector = virtio_check_vector(queue->virtio, (uint32_t)value);
    } else if (reg == VIRTIO_COMMON_Q_RESET) {
        if (value == 1 && virtio_has(queue->virtio, VIRTIO_F_RING_RESET)) {
            virtio_reset_queue(queue);
        }
    } else if (!queue->enabled) {
        write_stopped_queue(queue, reg, value);
    }
}

static void write_common(struct virtio_device *virtio, uint32_t reg, uint64_t value)
{
    switch (reg) {
    case VIRTIO_PCI_COMMON_DFSELECT:
        virtio->device_feature_select = (uint32_t)value;
        break;
    case VIRTIO_PCI_COMMON_GFSELECT:
        virtio->driver_feature_select = (uint32_t)value;
        break;
    case VIRTIO_PCI_COMMON_GF:
        virtio_accept_word(virtio, virtio->driver_feature_select, (uint32_t)value);
        break;
    case VIRTIO_PCI_COMMON_MSIX:
        virtio->config_vector = virtio_check_vector(virtio, (uint32_t)value);
        break;
    case VIRTIO_PCI_COMMON_STATUS:
        virtio_set_status(virtio, (uint8_t)value);
        break;
    case VIRTIO_PCI_COMMON_Q_SELECT:
        virtio->queue_select = (uint16_t)value;
        break;
    default: {
        struct virtqueue *queue = virtio_selected_queue(virtio);
        if (queue) {
            write_queue(queue, reg, value);
        }
    }
    }
}

/*
 * 4.1.3.1: a field is accessed as a whole, a 64-bit one as two halves, the lower at the lower
 * address. Such a half is put together with the other one, which stays.
 */
static const struct register_desc *whole_register(uint64_t offset, unsigned size)
{
    const struct register_desc *found = register_find(&virtio_common_registers, offset);
    if (!found || (found->width == 8 ? size != 4 || offset & 3
                                     : offset != found->offset || size != found->width)) {
        return NULL;
    }
    return found;
}

static uint64_t common_read(struct virtio_device *virtio, uint64_t offset, unsigned size)
{
    const struct register_desc *found = whole_register(offset, size);
    if (!found) {
        return UINT64_MAX;
    }
    return read_common(virtio, found->offset) >> (8 * (offset - found->offset));
}

static void common_write(struct virtio_device *virtio, uint64_t offset, unsigned size,
                         uint64_t value)
{
    const struct register_desc *found = whole_register(offset, size);
    if (!found) {
        return;
    }
    if (found->width == 8) {
        unsigned shift = 8 * (unsigned)(offset - found->offset);
        uint64_t other = read_common(virtio, found->offset) & ~(0xffffffffull << shift);
        value = other | value << shift;
    }
    write_common(virtio, found->offset, value);
}

/* ---- the BAR */

static uint64_t modern_read(void *opaque, uint64_t offset, unsigned size)
{
    struct virtio_device *virtio = opaque;
    uint64_t place = offset % VIRTIO_REGION_SIZE;
    uint64_t value = 0;
    pthread_mutex_lock(&virtio->pci.lock);
    switch (offset - place) {
    case VIRTIO_COMMON_REGION:
        value = common_read(virtio, place, size);
        trace_virtio_pci_read(virtio->pci.name, register_name(&virtio_common_registers, place),
                              size, value);
        break;
    case VIRTIO_ISR_REGION:
        value = place == 0 ? virtio_read_isr(virtio) : 0;
        break;
    case VIRTIO_DEVICE_REGION:
        value = virtio_read_config(virtio, place, size);
        break;
    default: /* notification registers read as 0 */
        break;
    }
    pthread_mutex_unlock(&virtio->pci.lock);
    return value;
}

/* 4.1.4.4: the address says which queue. */
static void notify_write(struct virtio_device *virtio, uint64_t place)
{
    if (place % VIRTIO_NOTIFY_MULTIPLIER == 0) {
        virtio_notified(virtio, (uint32_t)(place / VIRTIO_NOTIFY_MULTIPLIER));
    }
}

static void modern_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    struct virtio_device *virtio = opaque;
    uint64_t place = offset % VIRTIO_REGION_SIZE;
    if (offset - place == VIRTIO_NOTIFY_REGION) {
        notify_write(virtio, place);
        return;
    }
    pthread_mutex_lock(&virtio->pci.lock);
    switch (offset - place) {
    case VIRTIO_COMMON_REGION:
        trace_virtio_pci_write(virtio->pci.name, register_name(&virtio_common_registers, place),
                               size, value);
        common_write(virtio, place, size, value);
        break;
    case VIRTIO_DEVICE_REGION:
        virtio_write_config(virtio, place, size, value);
        break;
    default: /* the ISR status is read-only */
        break;
    }
    pthread_mutex_unlock(&virtio->pci.lock);
}

const struct bus_ops virtio_modern_ops = {.read = modern_read, .write = modern_write};

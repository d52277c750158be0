/* SPDX-License-Identifier: MIT */
/*
 * The legacy registers, in BAR0. virtio 1.2, 4.1.4.10. Behind them lies the device configuration,
 * at 20, or at 24 while MSI-X is enabled. A legacy queue is split, of the size that the device
 * says, in one piece of memory whose page number is written: 2.7.2.
 */
#include "devices/virtio/virtio.h"
#include "devices/virtio/virtio_pci.h"
#include "vmm/registers.h"
#include "vmm/trace.h"

static const struct register_desc registers[] = {
    {"host_features", VIRTIO_PCI_HOST_FEATURES, 4, REGISTER_RO, "bits that the device offers"},
    {"guest_features", VIRTIO_PCI_GUEST_FEATURES, 4, REGISTER_RW, "bits that the driver accepts"},
    {"queue_pfn", VIRTIO_PCI_QUEUE_PFN, 4, REGISTER_RW, "page number of the queue; 0: stop it"},
    {"queue_num", VIRTIO_PCI_QUEUE_NUM, 2, REGISTER_RO, "entries; 0: no such queue"},
    {"queue_sel", VIRTIO_PCI_QUEUE_SEL, 2, REGISTER_RW, "the queue of the two before"},
    {"queue_notify", VIRTIO_PCI_QUEUE_NOTIFY, 2, REGISTER_WO, "the index of the queue"},
    {"status", VIRTIO_PCI_STATUS, 1, REGISTER_RW, "2.1; writing 0 resets"},
    {"isr", VIRTIO_PCI_ISR, 1, REGISTER_RO, "reading clears it"},
    {"config_vector", VIRTIO_MSI_CONFIG_VECTOR, 2, REGISTER_RW, "while MSI-X is enabled"},
    {"queue_vector", VIRTIO_MSI_QUEUE_VECTOR, 2, REGISTER_RW, "while MSI-X is enabled"},
};

const struct register_block virtio_legacy_registers = {
    .name = "virtio legacy header",
    .registers = registers,
    .count = sizeof(registers) / sizeof(registers[0]),
    .access_sizes = 1 | 2 | 4,
};

static unsigned config_offset(const struct virtio_device *virtio)
{
    return (unsigned)VIRTIO_PCI_CONFIG_OFF(pci_msix_enabled(&virtio->pci));
}

/* 2.7.2: the used ring begins on the page after the available ring. */
static void place_queue(struct virtqueue *queue, uint32_t page)
{
    uint64_t base = (uint64_t)page << VIRTIO_PCI_QUEUE_ADDR_SHIFT;
    uint64_t available = base + 16ull * queue->size;
    uint64_t end = available + 6 + 2ull * queue->size;
    queue->descriptors.address = iova(base);
    queue->driver.address = iova(available);
    queue->device.address =
        iova((end + VIRTIO_PCI_VRING_ALIGN - 1) & ~(uint64_t)(VIRTIO_PCI_VRING_ALIGN - 1));
}

static void write_page(struct virtqueue *queue, uint32_t page)
{
    if (page == 0) {
        virtio_reset_queue(queue);
    } else if (!queue->enabled) {
        place_queue(queue, page);
        virtio_enable_queue(queue);
    }
}

static uint64_t read_queue(const struct virtqueue *queue, uint64_t reg)
{
    switch (reg) {
    case VIRTIO_PCI_QUEUE_PFN:
        return queue->enabled ? queue->descriptors.address.raw >> VIRTIO_PCI_QUEUE_ADDR_SHIFT : 0;
    case VIRTIO_PCI_QUEUE_NUM:
        return queue->size;
    default:
        return queue->vector;
    }
}

static uint64_t read_register(struct virtio_device *virtio, uint64_t reg)
{
    switch (reg) {
    case VIRTIO_PCI_HOST_FEATURES:
        return virtio_offered_word(virtio, 0);
    case VIRTIO_PCI_GUEST_FEATURES:
        return (uint32_t)virtio->accepted;
    case VIRTIO_PCI_QUEUE_SEL:
        return virtio->queue_select;
    case VIRTIO_PCI_QUEUE_NOTIFY:
        return 0;
    case VIRTIO_PCI_STATUS:
        return virtio->status;
    case VIRTIO_PCI_ISR:
        return virtio_read_isr(virtio);
    case VIRTIO_MSI_CONFIG_VECTOR:
        return virtio->config_vector;
    default: {
        const struct virtqueue *queue = virtio_selected_queue(virtio);
        return queue ? read_queue(queue, reg) : 0;
    }
    }
}

uint64_t virtio_legacy_peek(struct pci_device *device, const struct register_desc *reg)
{
    struct virtio_device *virtio = (struct virtio_device *)device;
    return reg->offset == VIRTIO_PCI_ISR ? virtio->isr : read_register(virtio, reg->offset);
}

static void write_queue(struct virtqueue *queue, uint64_t reg, uint32_t value)
{
    if (reg == VIRTIO_PCI_QUEUE_PFN) {
        write_page(queue, value);
    } else if (reg == VIRTIO_MSI_QUEUE_VECTOR) {
        queue->vector = virtio_check_vector(queue->virtio, value);
    }
}

static void write_register(struct virtio_device *virtio, uint64_t reg, uint32_t value)
{
    switch (reg) {
    case VIRTIO_PCI_GUEST_FEATURES:
        virtio_accept_word(virtio, 0, value);
        break;
    case VIRTIO_PCI_QUEUE_SEL:
        virtio->queue_select = (uint16_t)value;
        break;
    case VIRTIO_PCI_QUEUE_NOTIFY:
        virtio_notified(virtio, value);
        break;
    case VIRTIO_PCI_STATUS:
        virtio_set_status(virtio, (uint8_t)value);
        break;
    case VIRTIO_MSI_CONFIG_VECTOR:
        virtio->config_vector = virtio_check_vector(virtio, value);
        break;
    default: {
        struct virtqueue *queue = virtio_selected_queue(virtio);
        if (queue) {
            write_queue(queue, reg, value);
        }
    }
    }
}

static bool is_register(uint64_t offset, unsigned size)
{
    const struct register_desc *found = register_find(&virtio_legacy_registers, offset);
    return found && found->offset == offset && found->width == size;
}

static uint64_t legacy_read(void *opaque, uint64_t offset, unsigned size)
{
    struct virtio_device *virtio = opaque;
    uint64_t value = UINT64_MAX;
    pthread_mutex_lock(&virtio->pci.lock);
    if (offset >= config_offset(virtio)) {
        value = virtio_read_config(virtio, offset - config_offset(virtio), size);
    } else if (is_register(offset, size)) {
        value = read_register(virtio, offset);
        trace_virtio_pci_read(virtio->pci.name, register_name(&virtio_legacy_registers, offset),
                              size, value);
    }
    pthread_mutex_unlock(&virtio->pci.lock);
    return value;
}

static void legacy_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    struct virtio_device *virtio = opaque;
    pthread_mutex_lock(&virtio->pci.lock);
    if (offset >= config_offset(virtio)) {
        virtio_write_config(virtio, offset - config_offset(virtio), size, value);
    } else if (is_register(offset, size)) {
        trace_virtio_pci_write(virtio->pci.name, register_name(&virtio_legacy_registers, offset),
                               size, value);
        write_register(virtio, offset, (uint32_t)value);
    }
    pthread_mutex_unlock(&virtio->pci.lock);
}

const struct bus_ops virtio_legacy_ops = {.read = legacy_read, .write = legacy_write};

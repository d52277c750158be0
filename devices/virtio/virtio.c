/* SPDX-License-Identifier: MIT */
/* What all virtio devices share: status, features, queues, configuration, interrupts. See virtio.h.
 */
#include "devices/virtio/virtio.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/trace.h"

enum { STATUS_BITS_OF_DRIVER = 0xff & ~VIRTIO_CONFIG_S_NEEDS_RESET };

/* ---- interrupts */

uint16_t virtio_check_vector(const struct virtio_device *virtio, uint32_t vector)
{
    return vector < virtio->pci.msix.vectors ? (uint16_t)vector : VIRTIO_MSI_NO_VECTOR;
}

void virtio_interrupt(struct virtio_device *virtio, uint16_t vector, uint8_t isr_bit)
{
    struct pci_device *pci = &virtio->pci;
    if (pci_msix_enabled(pci)) {
        if (vector != VIRTIO_MSI_NO_VECTOR) {
            pci_msix_notify(pci, vector);
        }
        return;
    }
    virtio->isr |= isr_bit;
    pci_set_intx(pci, true);
}

uint8_t virtio_read_isr(struct virtio_device *virtio)
{
    uint8_t isr = virtio->isr;
    virtio->isr = 0;
    pci_set_intx(&virtio->pci, false);
    return isr;
}

void virtio_config_changed(struct virtio_device *virtio)
{
    virtio->generation++;
    trace_virtio_notify_config(virtio->pci.name, virtio->generation);
    if (virtio->status & VIRTIO_CONFIG_S_DRIVER_OK) {
        virtio_interrupt(virtio, virtio->config_vector, VIRTIO_ISR_CONFIG);
    }
}

void virtio_break(struct virtio_device *virtio, const char *format, ...)
{
    char reason[160];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, sizeof(reason), format, arguments);
    va_end(arguments);
    trace_virtio_error(virtio->pci.name, reason);
    atomic_store(&virtio->live, false);
    if (!(virtio->status & VIRTIO_CONFIG_S_NEEDS_RESET)) {
        virtio->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
        virtio_config_changed(virtio); /* 2.1.2: with DRIVER_OK the driver must be told */
    }
}

/* ---- features */

uint32_t virtio_offered_word(const struct virtio_device *virtio, uint32_t select)
{
    return select < 2 ? (uint32_t)(virtio->offered >> (32 * select)) : 0;
}

void virtio_accept_word(struct virtio_device *virtio, uint32_t select, uint32_t bits)
{
    const uint8_t frozen = VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK;
    if (select >= 2 || virtio->status & frozen) {
        return; /* 3.1.1: not after FEATURES_OK, which a legacy driver leaves out */
    }
    unsigned shift = 32 * select;
    virtio->accepted &= ~(0xffffffffull << shift);
    virtio->accepted |= (uint64_t)bits << shift;
}

/* Why the accepted features cannot be, or NULL. */
static const char *refuse_features(struct virtio_device *virtio)
{
    if (virtio->accepted & ~virtio->offered) {
        return "a feature that was not offered";
    }
    if (!virtio_has(virtio, VIRTIO_F_VERSION_1)) {
        return "the new registers without VIRTIO_F_VERSION_1"; /* 6.1 */
    }
    if (virtio->offered & ~virtio->accepted & VIRTIO_BIT(VIRTIO_F_ACCESS_PLATFORM)) {
        return "behind an IOMMU without VIRTIO_F_ACCESS_PLATFORM"; /* 6.1 */
    }
    if (virtio->class->features_ok && !virtio->class->features_ok(virtio, virtio->accepted)) {
        return "the device cannot do that";
    }
    return NULL;
}

/* ---- queues */

struct virtqueue *virtio_selected_queue(struct virtio_device *virtio)
{
    unsigned index = virtio->queue_select;
    bool exists = index < virtio->queue_count && virtio->queues[index].max_size;
    return exists ? &virtio->queues[index] : NULL;
}

/* KVM catches notifications of a live device's queues, by the registers that its driver uses. */
static void set_doorbell(struct virtqueue *queue, bool on)
{
    struct virtio_device *virtio = queue->virtio;
    struct pci_host *host = virtio->pci.host;
    struct pci_bar *bars = virtio->pci.bars;
    bool modern = virtio_has(virtio, VIRTIO_F_VERSION_1);
    if (!virtio->settings.ioeventfd) {
        return;
    }
    if (virtio->settings.modern) {
        bus_set_doorbell(host->mmio, &bars[VIRTIO_MODERN_BAR].region, &queue->modern_doorbell,
                         on && modern);
    }
    if (virtio->legacy) {
        bus_set_doorbell(host->pio, &bars[VIRTIO_LEGACY_BAR].region, &queue->legacy_doorbell,
                         on && !modern);
    }
}

void virtio_enable_queue(struct virtqueue *queue)
{
    struct virtio_device *virtio = queue->virtio;
    bool packed = virtio_has(virtio, VIRTIO_F_RING_PACKED);
    if (!queue->size || (!packed && queue->size & (queue->size - 1))) {
        virtio_break(virtio, "queue %u: a split ring of %u entries", queue->index, queue->size);
        return;
    }
    bool aligned = !(queue->descriptors.address.raw & 15) && !(queue->driver.address.raw & 1) &&
                   !(queue->device.address.raw & 3);
    bool aligned_packed = !packed || !(queue->driver.address.raw & 3);
    if (!aligned || !aligned_packed) {
        virtio_break(virtio, "queue %u: a part of the ring is not aligned", queue->index);
        return;
    }
    virtqueue_start(queue);
    trace_virtio_queue_enable(virtio->pci.name, queue->index, queue->size,
                              queue->descriptors.address.raw, queue->driver.address.raw,
                              queue->device.address.raw);
    if (virtio_is_live(virtio)) { /* again, after a reset of the queue alone */
        set_doorbell(queue, true);
        virtio_notified(virtio, queue->index);
    }
}

void virtio_reset_queue(struct virtqueue *queue)
{
    struct virtio_device *virtio = queue->virtio;
    if (!virtio->class->queue_reset || !queue->enabled) {
        return;
    }
    virtio->class->queue_reset(virtio, queue);
    set_doorbell(queue, false);
    virtqueue_reset(queue);
    trace_virtio_queue_reset(virtio->pci.name, queue->index);
}

void virtio_notified(struct virtio_device *virtio, uint32_t index)
{
    uint64_t one = 1;
    if (index < virtio->queue_count) {
        (void)!write(virtio->queues[index].kick.fd, &one, sizeof(one));
    }
}

/* ---- status */

static void go_live(struct virtio_device *virtio)
{
    if (virtio->status & VIRTIO_CONFIG_S_NEEDS_RESET) {
        return;
    }
    atomic_store(&virtio->live, true);
    for (unsigned i = 0; i < virtio->queue_count; i++) {
        struct virtqueue *queue = &virtio->queues[i];
        if (queue->enabled) {
            set_doorbell(queue, true);
            virtio_notified(virtio, i); /* requests may be there already */
        }
    }
    if (virtio->class->started) {
        virtio->class->started(virtio);
    }
}

/* The driver sets FEATURES_OK and reads it back to see whether the device agrees: 3.1.1. */
static uint8_t check_features(struct virtio_device *virtio, uint8_t added)
{
    if (!(added & VIRTIO_CONFIG_S_FEATURES_OK)) {
        return added;
    }
    const char *why = refuse_features(virtio);
    trace_virtio_features(virtio->pci.name, virtio->offered, virtio->accepted, why ? why : "ok");
    return why ? added & (uint8_t)~VIRTIO_CONFIG_S_FEATURES_OK : added;
}

/* A driver of the legacy registers knows no FEATURES_OK. What it cannot have is taken away. */
static bool may_go_live(struct virtio_device *virtio)
{
    if (virtio->status & VIRTIO_CONFIG_S_FEATURES_OK) {
        return true;
    }
    virtio->accepted &= virtio->offered & 0xffffffffull;
    return virtio->legacy &&
           (!virtio->class->features_ok || virtio->class->features_ok(virtio, virtio->accepted));
}

void virtio_set_status(struct virtio_device *virtio, uint8_t status)
{
    if (status == 0) {
        virtio_reset(virtio);
        return;
    }
    /* 2.1.1: the driver adds bits, it does not take them back. */
    uint8_t added = status & STATUS_BITS_OF_DRIVER & (uint8_t)~virtio->status;
    added = check_features(virtio, added);
    if (added & VIRTIO_CONFIG_S_DRIVER_OK && !may_go_live(virtio)) {
        virtio_break(virtio, "DRIVER_OK without FEATURES_OK");
        added &= (uint8_t)~VIRTIO_CONFIG_S_DRIVER_OK;
    }
    virtio->status |= added;
    trace_virtio_set_status(virtio->pci.name, status, virtio->status);
    if (added & VIRTIO_CONFIG_S_DRIVER_OK) {
        go_live(virtio);
    }
}

void virtio_reset(struct virtio_device *virtio)
{
    trace_virtio_reset(virtio->pci.name);
    atomic_store(&virtio->live, false);
    if (virtio->class->reset) {
        virtio->class->reset(virtio);
    }
    for (unsigned i = 0; i < virtio->queue_count; i++) {
        set_doorbell(&virtio->queues[i], false);
        virtqueue_reset(&virtio->queues[i]);
    }
    virtio->accepted = 0;
    virtio->status = 0;
    virtio->generation = 0;
    virtio->config_vector = VIRTIO_MSI_NO_VECTOR;
    virtio->queue_select = 0;
    virtio->device_feature_select = virtio->driver_feature_select = 0;
    (void)virtio_read_isr(virtio);
}

/* ---- device configuration */

uint64_t virtio_read_config(struct virtio_device *virtio, uint64_t offset, unsigned size)
{
    const struct virtio_class *class = virtio->class;
    uint64_t value = 0;
    if (offset >= class->config_size || size > class->config_size - offset) {
        return UINT64_MAX;
    }
    if (class->config_read) {
        class->config_read(virtio);
    }
    memcpy(&value, virtio->config + offset, size);
    return value;
}

void virtio_write_config(struct virtio_device *virtio, uint64_t offset, unsigned size,
                         uint64_t value)
{
    const struct virtio_class *class = virtio->class;
    if (class->config_write && offset < class->config_size && size <= class->config_size - offset &&
        size <= 4) {
        class->config_write(virtio, (unsigned)offset, size, (uint32_t)value);
    }
}

/* SPDX-License-Identifier: MIT */
/*
 * A virtio device on PCI. virtio 1.2: what all devices share (2), and the transport (4.1).
 *
 *   PCI function   BAR0 (I/O)     legacy registers            virtio_pci_legacy.c, 4.1.4.10
 *                  BAR1 (32-bit)  MSI-X table                 pci/pci_msix.c
 *                  BAR4 (64-bit)  0x0000 common configuration virtio_pci_modern.c, 4.1.4.3
 *                                 0x1000 ISR status                                4.1.4.5
 *                                 0x2000 device configuration                      4.1.4.6
 *                                 0x3000 notification, 4 bytes a queue             4.1.4.4
 *   its virtio bus one device of a struct virtio_class: virtio_test.c, virtio_blk.c, ...
 *
 * A device is *transitional*: an old driver finds the legacy registers, a new one the capabilities
 * that lead to BAR4. `legacy=off` leaves BAR0 out, `modern=off` the capabilities. Behind an IOMMU a
 * legacy driver cannot work, as it knows nothing of DMA addresses: there `legacy=auto` is off, and
 * VIRTIO_F_ACCESS_PLATFORM is offered and must be accepted.
 *
 * Threads. A notification is an eventfd (KVM_IOEVENTFD) that an event loop watches: the device's
 * own thread's, or the main thread's. A vCPU thread only comes in for registers. Both take the PCI
 * device's lock; every callback of struct virtio_class is called with it.
 *
 * Reset may come at any moment, by status 0, by FLR or with the machine. The class's reset() must
 * leave no request in flight.
 */
#ifndef DEVICES_VIRTIO_VIRTIO_H
#define DEVICES_VIRTIO_VIRTIO_H

#include <stdbool.h>
#include <stdint.h>

#include "devices/virtio/virtio_regs.h"
#include "devices/virtio/virtqueue.h"
#include "pci/pci_host.h"
#include "vmm/worker.h"

/* What a kind of virtio device is. */
struct virtio_class {
    const char *name;     /* "virtio-blk": the device on the virtio bus */
    uint16_t id;          /* 5: 1 network, 2 block, ... */
    uint16_t legacy_id;   /* PCI device id of a transitional device, 4.1.2.1 */
    uint32_t pci_class;   /* 24 bits, as in struct pci_identity */
    size_t request_size;  /* of a request with the device's own state; 0: struct virtio_request */
    unsigned config_size; /* bytes of the device configuration */
    /*
     * Requests stay with the device for long, as with a disk. Behind an IOMMU they are then given
     * memory of the device's own and copied at both ends: a translation must not be in use for so
     * long, as its invalidation waits.
     */
    bool long_requests;
    bool own_thread; /* queues are served by the device's own thread, not the main one */

    /* The driver may have added requests to the queue. DRIVER_OK is set. Device's thread. */
    void (*kicked)(struct virtio_device *virtio, struct virtqueue *queue);
    /* DRIVER_OK was set: the device is live. Any thread. May be NULL. */
    void (*started)(struct virtio_device *virtio);
    /* The driver accepted features; return false to refuse them. May be NULL. */
    bool (*features_ok)(struct virtio_device *virtio, uint64_t features);
    /*
     * Drop everything under way: wait for what cannot be recalled, call virtqueue_drop() for every
     * request that is held, stop timers. Any thread. Afterwards the registers are reset. May be
     * NULL if no request is ever kept.
     */
    void (*reset)(struct virtio_device *virtio);
    /* The same for one queue (VIRTIO_F_RING_RESET). NULL: the feature is not offered. */
    void (*queue_reset)(struct virtio_device *virtio, struct virtqueue *queue);
    /* Bring the configuration up to date before the driver reads it. May be NULL. */
    void (*config_read)(struct virtio_device *virtio);
    /* The driver wrote [offset, offset + size) of the configuration. NULL: it is read-only. */
    void (*config_write)(struct virtio_device *virtio, unsigned offset, unsigned size,
                         uint32_t value);
};

/* The properties that all have; each type's table has them by VIRTIO_PROPERTIES. */
enum virtio_legacy { VIRTIO_LEGACY_AUTO, VIRTIO_LEGACY_OFF, VIRTIO_LEGACY_ON };
struct virtio_settings {
    uint32_t legacy; /* enum virtio_legacy */
    bool modern;
    bool packed;
    bool in_order;
    bool event_idx;
    bool indirect;
    bool ioeventfd;
    uint32_t queue_size; /* 0: the class's own */
    uint32_t vectors;    /* of MSI-X; 0: one a queue and one for the configuration */
};

/* The first member of every virtio device's state. */
struct virtio_device {
    struct pci_device pci;
    const struct virtio_class *class;
    struct virtio_settings settings;
    bool legacy;      /* has the legacy registers */
    uint8_t *config;  /* class->config_size bytes, little-endian; the device's own */
    uint64_t offered; /* feature bits */
    struct virtqueue *queues;
    unsigned queue_count;
    struct event_loop *loop; /* that serves the queues */
    struct worker worker;    /* if it is the device's own */
    atomic_bool live;        /* DRIVER_OK, and not broken */

    /* The registers, guarded by pci.lock. */
    uint64_t accepted; /* feature bits; frozen from FEATURES_OK on */
    uint8_t status;
    uint8_t isr;
    uint8_t generation;
    uint16_t config_vector;
    uint16_t queue_select;
    uint32_t device_feature_select, driver_feature_select;
    uint8_t pci_cfg; /* offset of the capability for access through configuration space */
};

/* ---- for device authors */

/*
 * In realize(), after the device has set `config`, `offered` (its own feature bits) and its
 * properties: identity, BARs, capabilities, `queue_count` queues of `queue_size` entries each
 * unless the property says otherwise. On failure nothing is left.
 */
int virtio_realize(struct virtio_device *virtio, const struct virtio_class *class,
                   unsigned queue_count, uint16_t queue_size, struct error *err);
void virtio_unrealize(struct virtio_device *virtio);

/* struct pci_device_type's reset, config_written and config_read. */
void virtio_pci_reset(struct pci_device *device);
void virtio_pci_config_written(struct pci_device *device, unsigned reg, unsigned size);
uint32_t virtio_pci_config_read(struct pci_device *device, unsigned reg, unsigned size);

/* The virtio device of a PCI function; NULL: it is no virtio function. Any thread. */
const struct virtio_device *virtio_of_function(const struct pci_device *device);

/* The driver accepted this feature. */
static inline bool virtio_has(const struct virtio_device *virtio, unsigned bit)
{
    return virtio->accepted & VIRTIO_BIT(bit);
}

/* True from DRIVER_OK until a reset or virtio_break(). */
static inline bool virtio_is_live(const struct virtio_device *virtio)
{
    return atomic_load_explicit(&virtio->live, memory_order_relaxed);
}

/* The device configuration has changed: tell the driver. Lock held. 2.5.2 */
void virtio_config_changed(struct virtio_device *virtio);

/*
 * The driver broke the rules: stop, and say so by DEVICE_NEEDS_RESET (2.1). Lock held. Printf-like
 * reason for the trace.
 */
__attribute__((format(printf, 2, 3))) void virtio_break(struct virtio_device *virtio,
                                                        const char *format, ...);

/* The common properties, for a device's own table; the virtio_device is its first member. */
#define VIRTIO_SETTING(setting) offsetof(struct virtio_device, settings.setting)
extern const char *const virtio_legacy_choices[];
#define VIRTIO_PROPERTIES                                                                          \
    {.name = "legacy",                                                                             \
     .type = PROPERTY_ENUM,                                                                        \
     .offset = VIRTIO_SETTING(legacy),                                                             \
     .choices = virtio_legacy_choices,                                                             \
     .meaning = "the legacy registers in BAR0; auto: unless behind an IOMMU"},                     \
        {.name = "modern",                                                                         \
         .type = PROPERTY_BOOL,                                                                    \
         .offset = VIRTIO_SETTING(modern),                                                         \
         .default_value = 1,                                                                       \
         .meaning = "the registers of virtio 1.0 and later in BAR4"},                              \
        {.name = "packed",                                                                         \
         .type = PROPERTY_BOOL,                                                                    \
         .offset = VIRTIO_SETTING(packed),                                                         \
         .meaning = "offer packed virtqueues"},                                                    \
        {.name = "in-order",                                                                       \
         .type = PROPERTY_BOOL,                                                                    \
         .offset = VIRTIO_SETTING(in_order),                                                       \
         .meaning = "offer to use buffers in the order they were made available"},                 \
        {.name = "event-idx",                                                                      \
         .type = PROPERTY_BOOL,                                                                    \
         .offset = VIRTIO_SETTING(event_idx),                                                      \
         .default_value = 1,                                                                       \
         .meaning = "offer the event index that spares notifications"},                            \
        {.name = "indirect",                                                                       \
         .type = PROPERTY_BOOL,                                                                    \
         .offset = VIRTIO_SETTING(indirect),                                                       \
         .default_value = 1,                                                                       \
         .meaning = "offer indirect descriptors"},                                                 \
        {.name = "ioeventfd",                                                                      \
         .type = PROPERTY_BOOL,                                                                    \
         .offset = VIRTIO_SETTING(ioeventfd),                                                      \
         .default_value = 1,                                                                       \
         .meaning = "let KVM turn notifications into events; off: each is an exit"},               \
        {.name = "queue-size",                                                                     \
         .type = PROPERTY_UINT32,                                                                  \
         .offset = VIRTIO_SETTING(queue_size),                                                     \
         .maximum = 1024,                                                                          \
         .meaning = "entries of each queue, a power of two; 0: the device's own"},                 \
    {                                                                                              \
        .name = "vectors", .type = PROPERTY_UINT32, .offset = VIRTIO_SETTING(vectors),             \
        .maximum = 128,                                                                            \
        .meaning = "MSI-X vectors; 0: one for each queue and one for the configuration"            \
    }

/* ---- between the files of the transport */

enum {
    VIRTIO_LEGACY_BAR = 0,
    VIRTIO_MSIX_BAR = 1,
    VIRTIO_MODERN_BAR = 4,
    VIRTIO_REGION_SIZE = 0x1000, /* each of the four of the modern BAR */
    VIRTIO_COMMON_REGION = 0x0000,
    VIRTIO_ISR_REGION = 0x1000,
    VIRTIO_DEVICE_REGION = 0x2000,
    VIRTIO_NOTIFY_REGION = 0x3000,
    VIRTIO_NOTIFY_MULTIPLIER = 4,
};

extern const struct bus_ops virtio_modern_ops;
extern const struct bus_ops virtio_legacy_ops;

/* The driver wrote the device status, 2.1. Lock held. */
void virtio_set_status(struct virtio_device *virtio, uint8_t status);

/* Everything back to how it was at power-on. Lock held. */
void virtio_reset(struct virtio_device *virtio);

/* Bits 0-31 or, with `select` 1, 32-63; others read 0 and are ignored. Lock held. */
uint32_t virtio_offered_word(const struct virtio_device *virtio, uint32_t select);
void virtio_accept_word(struct virtio_device *virtio, uint32_t select, uint32_t bits);

/* The queue that queue_select names; NULL: there is none. */
struct virtqueue *virtio_selected_queue(struct virtio_device *virtio);

/* Enable a queue whose addresses are set, or stop one. Lock held. */
void virtio_enable_queue(struct virtqueue *queue);
void virtio_reset_queue(struct virtqueue *queue);

/* The driver wrote `index` to a notification register that no doorbell caught. Lock not needed. */
void virtio_notified(struct virtio_device *virtio, uint32_t index);

/* Read the ISR status, which clears it and lowers INTx. Lock held. 4.1.4.5 */
uint8_t virtio_read_isr(struct virtio_device *virtio);

/* `vector` if MSI-X has it, else VIRTIO_MSI_NO_VECTOR. 4.1.5.1.2 */
uint16_t virtio_check_vector(const struct virtio_device *virtio, uint32_t vector);

/* Read and write the device configuration, [offset, offset + size). Lock held. */
uint64_t virtio_read_config(struct virtio_device *virtio, uint64_t offset, unsigned size);
void virtio_write_config(struct virtio_device *virtio, uint64_t offset, unsigned size,
                         uint64_t value);

/* Raise the interrupt of a queue (QUEUE) or of the configuration (CONFIG). Lock held. */
void virtio_interrupt(struct virtio_device *virtio, uint16_t vector, uint8_t isr_bit);

#endif

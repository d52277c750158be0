/* SPDX-License-Identifier: MIT */
/*
 * MSI, and what it shares with MSI-X: a vector's way to the interrupt controller. PCI 3.0, 6.8.1.
 *
 * The capability's registers move with its two options, hence the little functions that name them:
 *
 *   control    02
 *   address    04, upper half 08 if 64-bit
 *   data       08, or 0c if 64-bit
 *   mask bits  behind the data, if maskable; pending bits behind those
 *
 * A vector that software uses holds a route: an entry in KVM's table and an irqfd. It is reserved
 * when the vector is first unmasked with MSI enabled, changed when address, data or requester id
 * change, taken out of the table while masked, and given back when MSI is disabled. What the entry
 * already says is not written again.
 *
 * A message is a memory write by the device. Behind an IOMMU its address is translated like that of
 * any other, at each message, so that the route follows when the guest changes the translation; the
 * entry is not known, and not made, before the first one.
 *
 * All of it is guarded by device->lock.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pci/pci_internal.h"
#include "vmm/trace.h"

/* ---- a vector and its route, also for MSI-X */

/* The guest can bring this about at will, so it is said once a device; the trace has them all. */
static void report_route_error(struct pci_device *device, unsigned vector, int code)
{
    const char *reason = code == -ENOSPC ? "no interrupt routes left" : strerror(-code);
    trace_pci_msi_error(device->name, vector, reason);
    if (!device->msi_error_reported) {
        device->msi_error_reported = true;
        fprintf(stderr, "minivmm: %s: interrupt vector %u is lost: %s\n", device->name, vector,
                reason);
    }
}

/* Set the entry, which needs the route to be reserved. The requester id is part of the entry: when
 * it changed the old entry has to go, or an equal message would look like no change. */
static int set_route(struct pci_device *device, struct msi_route *route,
                     const struct msi_message *message)
{
    struct irq_chip *chip = device->host->irq;
    uint32_t requester = atomic_load(&device->dma.requester_id);
    if (!route->added) {
        int ret = irq_msi_add(chip, route);
        if (ret < 0) {
            return ret;
        }
    }
    if (route->routed && route->device_id != requester) {
        (void)irq_msi_route(chip, route, NULL);
    }
    route->device_id = requester;
    return irq_msi_route(chip, route, message);
}

static bool is_up_to_date(const struct pci_device *device, const struct msi_route *route,
                          const struct msi_message *message)
{
    if (!message) {
        return !route->routed;
    }
    return route->routed && route->message.address == message->address &&
           route->message.data == message->data &&
           route->device_id == atomic_load(&device->dma.requester_id);
}

/* Make the entry say this, or with NULL be away. */
static void update_route(struct pci_device *device, struct msi_route *route, unsigned vector,
                         const struct msi_message *message)
{
    if (is_up_to_date(device, route, message)) {
        return;
    }
    if (!message) {
        trace_pci_msi_update(device->name, vector, route->message.address, route->message.data,
                             "masked");
        (void)irq_msi_route(device->host->irq, route, NULL);
        return;
    }
    trace_pci_msi_update(device->name, vector, message->address, message->data, "routed");
    int ret = set_route(device, route, message);
    if (ret < 0) {
        report_route_error(device, vector, ret);
    }
}

void pci_vector_route(struct pci_device *device, struct msi_route *route, unsigned vector,
                      const struct msi_message *message)
{
    if (!message || !device->dma.iommu) {
        update_route(device, route, vector, message);
    }
}

/* Each of these sends the message, or returns why it gets nowhere. */
static const char *send_routed(struct pci_device *device, struct msi_route *route)
{
    if (!route->routed) {
        return "dropped: no route";
    }
    irq_msi_raise(device->host->irq, route);
    return NULL;
}

static const char *send_translated(struct pci_device *device, struct msi_route *route,
                                   unsigned vector, const struct msi_message *message)
{
    gpa_t address;
    if (dma_translate(&device->dma, iova(message->address), DMA_TO_MEMORY, &address) < 0) {
        return "dropped: the IOMMU does not translate its address";
    }
    const struct msi_message translated = {.address = address.raw, .data = message->data};
    update_route(device, route, vector, &translated);
    return send_routed(device, route);
}

/* The translation is in use until the message is sent: nothing arrives by one that the guest has
 * invalidated and seen the end of. */
static const char *send_behind_iommu(struct pci_device *device, struct msi_route *route,
                                     unsigned vector, const struct msi_message *message)
{
    unsigned phase = dma_hold(&device->dma);
    const char *fault = send_translated(device, route, vector, message);
    dma_release(&device->dma, phase);
    return fault;
}

void pci_vector_send(struct pci_device *device, struct msi_route *route, unsigned vector,
                     const struct msi_message *message)
{
    const char *fault;
    if (!atomic_load(&device->dma.bus_master)) {
        fault = "dropped: bus mastering is off";
    } else if (device->dma.iommu) {
        fault = send_behind_iommu(device, route, vector, message);
    } else {
        fault = send_routed(device, route);
    }
    trace_pci_msi_notify(device->name, vector, fault ? fault : "sent");
}

void pci_vectors_release(struct pci_device *device, struct msi_route *routes, unsigned first,
                         unsigned end)
{
    for (unsigned vector = first; vector < end; vector++) {
        if (routes[vector].added) {
            trace_pci_msi_update(device->name, vector, routes[vector].message.address,
                                 routes[vector].message.data, "released");
            irq_msi_remove(device->host->irq, &routes[vector]);
            routes[vector] = (struct msi_route){0};
        }
    }
}

/* ---- the capability's registers */

static unsigned data_register(const struct pci_msi *msi)
{
    return msi->offset + (msi->is_64bit ? PCI_MSI_DATA_64 : PCI_MSI_DATA_32);
}

static unsigned mask_register(const struct pci_msi *msi)
{
    return msi->offset + (msi->is_64bit ? PCI_MSI_MASK_64 : PCI_MSI_MASK_32);
}

static unsigned pending_register(const struct pci_msi *msi)
{
    return mask_register(msi) + 4;
}

static unsigned capability_size(const struct pci_msi *msi)
{
    if (msi->maskable) {
        return pending_register(msi) + 4 - msi->offset;
    }
    return data_register(msi) + 2 - msi->offset;
}

/* Vectors the device has. */
static unsigned vector_count(const struct pci_msi *msi)
{
    return 1u << msi->log2_vectors;
}

/* Vectors software granted: Multiple Message Enable, of which more than the device has, and the
 * reserved values, mean all. */
static unsigned granted_count(const struct pci_device *device)
{
    uint32_t control = pci_config_get(device, device->msi.offset + PCI_MSI_FLAGS, 2);
    unsigned log2_granted = (control & PCI_MSI_FLAGS_QSIZE) >> 4;
    if (log2_granted > device->msi.log2_vectors) {
        log2_granted = device->msi.log2_vectors;
    }
    return 1u << log2_granted;
}

static bool is_masked(const struct pci_device *device, unsigned vector)
{
    return device->msi.maskable &&
           pci_config_get(device, mask_register(&device->msi), 4) >> vector & 1;
}

/* Address and data as programmed; vector N of several replaces the low bits of the data. */
static struct msi_message message_of(const struct pci_device *device, unsigned vector)
{
    const struct pci_msi *msi = &device->msi;
    struct msi_message message = {
        .address = pci_config_get(device, msi->offset + PCI_MSI_ADDRESS_LO, 4),
        .data = pci_config_get(device, data_register(msi), 2),
    };
    if (msi->is_64bit) {
        message.address |= (uint64_t)pci_config_get(device, msi->offset + PCI_MSI_ADDRESS_HI, 4)
                           << 32;
    }
    message.data = (message.data & ~(granted_count(device) - 1)) | vector;
    return message;
}

/* ---- set-up */

static void init_registers(struct pci_device *device)
{
    const struct pci_msi *msi = &device->msi;
    uint32_t control = (uint32_t)msi->log2_vectors << 1;
    control |= msi->is_64bit ? PCI_MSI_FLAGS_64BIT : 0;
    control |= msi->maskable ? PCI_MSI_FLAGS_MASKBIT : 0;
    pci_config_set(device, msi->offset + PCI_MSI_FLAGS, 2, control);
    pci_config_set_writable(device, msi->offset + PCI_MSI_FLAGS, 2,
                            PCI_MSI_FLAGS_ENABLE | PCI_MSI_FLAGS_QSIZE);
    pci_config_set_writable(device, msi->offset + PCI_MSI_ADDRESS_LO, 4, 0xfffffffc);
    if (msi->is_64bit) {
        pci_config_set_writable(device, msi->offset + PCI_MSI_ADDRESS_HI, 4, UINT32_MAX);
    }
    pci_config_set_writable(device, data_register(msi), 2, 0xffff);
    if (msi->maskable) {
        pci_config_set_writable(device, mask_register(msi), 4,
                                UINT32_MAX >> (32 - vector_count(msi)));
    }
}

int pci_add_msi(struct pci_device *device, unsigned offset, unsigned log2_vectors, bool is_64bit,
                bool maskable, struct error *err)
{
    pci_require(device, !device->msi.offset, "it has two MSI capabilities");
    pci_require(device, log2_vectors <= 5, "MSI has 1 << 0 to 1 << 5 vectors");
    struct pci_msi *msi = &device->msi;
    struct msi_route *routes = calloc(1u << log2_vectors, sizeof(*routes));
    if (!routes) {
        return error_set(err, -ENOMEM, "no memory for MSI");
    }
    *msi = (struct pci_msi){.log2_vectors = (uint8_t)log2_vectors,
                            .is_64bit = is_64bit,
                            .maskable = maskable,
                            .routes = routes};
    msi->offset = (uint8_t)pci_add_capability(device, PCI_CAP_ID_MSI, offset, capability_size(msi));
    init_registers(device);
    return 0;
}

void pci_msi_destroy(struct pci_device *device)
{
    free(device->msi.routes);
    device->msi = (struct pci_msi){0};
}

/* ---- while it runs */

bool pci_msi_enabled(const struct pci_device *device)
{
    return device->msi.offset &&
           pci_config_get(device, device->msi.offset + PCI_MSI_FLAGS, 2) & PCI_MSI_FLAGS_ENABLE;
}

static void set_pending(struct pci_device *device, unsigned vector, bool pending)
{
    unsigned reg = pending_register(&device->msi);
    uint32_t bits = pci_config_get(device, reg, 4) & ~(1u << vector);
    pci_config_set(device, reg, 4, bits | (uint32_t)pending << vector);
}

static void update_vector(struct pci_device *device, unsigned vector)
{
    struct msi_route *route = &device->msi.routes[vector];
    if (is_masked(device, vector)) {
        pci_vector_route(device, route, vector, NULL);
        return;
    }
    struct msi_message message = message_of(device, vector);
    pci_vector_route(device, route, vector, &message);
    if (device->msi.maskable &&
        pci_config_get(device, pending_register(&device->msi), 4) >> vector & 1) {
        set_pending(device, vector, false);
        pci_vector_send(device, route, vector, &message);
    }
}

void pci_msi_update(struct pci_device *device)
{
    if (!device->msi.offset) {
        return;
    }
    unsigned in_use = pci_msi_enabled(device) ? granted_count(device) : 0;
    for (unsigned vector = 0; vector < in_use; vector++) {
        update_vector(device, vector);
    }
    pci_vectors_release(device, device->msi.routes, in_use, vector_count(&device->msi));
}

void pci_msi_config_written(struct pci_device *device, unsigned reg, unsigned size)
{
    if (device->msi.offset &&
        pci_touches(reg, size, device->msi.offset, capability_size(&device->msi))) {
        pci_msi_update(device);
    }
}

void pci_msi_notify(struct pci_device *device, unsigned vector)
{
    if (!pci_msi_enabled(device)) {
        trace_pci_msi_notify(device->name, vector, "dropped: disabled");
        return;
    }
    vector %= granted_count(device);
    if (is_masked(device, vector)) {
        set_pending(device, vector, true);
        trace_pci_msi_notify(device->name, vector, "pending");
        return;
    }
    struct msi_message message = message_of(device, vector);
    pci_vector_send(device, &device->msi.routes[vector], vector, &message);
}

/* SPDX-License-Identifier: MIT */
#include "pci/pci_walk.h"

#include <stdio.h>

#include "pci/pci_internal.h"

const char *pci_bar_kind_name(enum pci_bar_kind kind)
{
    static const char *const names[] = {
        [PCI_BAR_NONE] = "none",           [PCI_BAR_IO] = "I/O",
        [PCI_BAR_MEM32] = "32-bit memory", [PCI_BAR_MEM32_PREFETCH] = "32-bit memory, prefetchable",
        [PCI_BAR_MEM64] = "64-bit memory", [PCI_BAR_MEM64_PREFETCH] = "64-bit memory, prefetchable",
    };
    return names[kind];
}

static void describe_address(const struct pci_device *device, char *text, size_t size)
{
    unsigned bus = pci_bus_number(device->bus);
    unsigned slot = device->devfn >> 3;
    if (bus || !device->bus->parent) {
        snprintf(text, size, "%02x:%02x.%x", bus, slot, device->devfn & 7);
    } else {
        snprintf(text, size, "%s:%02x.%x", device->bus->parent->device->name, slot,
                 device->devfn & 7);
    }
}

static struct pci_bar_info describe_bar(const struct pci_bar *bar)
{
    if (bar->kind == PCI_BAR_NONE) {
        return (struct pci_bar_info){.kind = PCI_BAR_NONE};
    }
    return (struct pci_bar_info){.kind = bar->kind,
                                 .size = bar->region.size,
                                 .mapped = bar->mapped,
                                 .address = bar->mapped ? bar->region.base : 0};
}

/* The parts that others may change; map_lock is held. */
static void describe_placement(const struct pci_device *device, struct pci_function_info *info)
{
    describe_address(device, info->address, sizeof(info->address));
    for (unsigned i = 0; i < PCI_BAR_COUNT; i++) {
        info->bars[i] = describe_bar(&device->bars[i]);
    }
    if (device->bridge) {
        info->secondary = pci_config_get(device, PCI_SECONDARY_BUS, 1);
        info->subordinate = pci_config_get(device, PCI_SUBORDINATE_BUS, 1);
    }
}

static void describe_interrupts(const struct pci_device *device, struct pci_function_info *info)
{
    info->pin = pci_config_get(device, PCI_INTERRUPT_PIN, 1);
    if (info->pin) {
        info->wire = pci_intx_wire(device);
        info->gsi = device->host->intx_gsi[info->wire];
    }
    info->msi_vectors = device->msi.offset ? 1u << device->msi.log2_vectors : 0;
    info->msix_vectors = device->msix.offset ? device->msix.vectors : 0;
}

static void describe(struct pci_device *device, unsigned depth, struct pci_function_info *info)
{
    const struct pci_bridge *parent = device->bus->parent;
    *info = (struct pci_function_info){
        .device = device,
        .parent = parent ? parent->device : NULL,
        .depth = depth,
        .vendor_id = (uint16_t)pci_config_get(device, PCI_VENDOR_ID, 2),
        .device_id = (uint16_t)pci_config_get(device, PCI_DEVICE_ID, 2),
        .class_code = pci_config_get(device, PCI_CLASS_REVISION, 4) >> 8,
    };
    describe_interrupts(device, info);
    pthread_mutex_lock(&device->host->map_lock);
    describe_placement(device, info);
    pthread_mutex_unlock(&device->host->map_lock);
}

static void walk_bus(struct pci_bus *bus, unsigned depth,
                     void (*visit)(void *opaque, const struct pci_function_info *function),
                     void *opaque)
{
    for (unsigned devfn = 0; devfn < PCI_DEVFN_COUNT; devfn++) {
        struct pci_device *device = bus->devices[devfn];
        if (!device) {
            continue;
        }
        struct pci_function_info info;
        describe(device, depth, &info);
        visit(opaque, &info);
        if (device->bridge) {
            walk_bus(&device->bridge->secondary, depth + 1, visit, opaque);
        }
    }
}

void pci_walk(struct pci_host *host,
              void (*visit)(void *opaque, const struct pci_function_info *function), void *opaque)
{
    walk_bus(&host->root, 0, visit, opaque);
}

static void walk_routes(const struct msi_route *routes, unsigned count, bool msix,
                        void (*visit)(void *opaque, const struct pci_vector_info *vector),
                        void *opaque)
{
    for (unsigned i = 0; i < count; i++) {
        if (routes[i].added && routes[i].routed) {
            const struct pci_vector_info info = {
                .msix = msix, .vector = i, .gsi = routes[i].gsi, .message = routes[i].message};
            visit(opaque, &info);
        }
    }
}

void pci_walk_vectors(struct pci_device *device,
                      void (*visit)(void *opaque, const struct pci_vector_info *vector),
                      void *opaque)
{
    pthread_mutex_lock(&device->lock);
    if (device->msi.offset) {
        walk_routes(device->msi.routes, 1u << device->msi.log2_vectors, false, visit, opaque);
    }
    if (device->msix.offset) {
        walk_routes(device->msix.routes, device->msix.vectors, true, visit, opaque);
    }
    pthread_mutex_unlock(&device->lock);
}

/* SPDX-License-Identifier: MIT */
/*
 * Type 1 functions: what root ports and switch ports share. PCI-to-PCI Bridge 1.2,
 * PCIe 5.0 7.5.1.3.
 *
 * A bridge forwards configuration accesses to buses secondary..subordinate, and memory accesses
 * inside its windows, exactly as the guest programmed them. A BAR below it is decoded only if it
 * lies wholly in one window of every bridge above it, and a device below can master the bus only if
 * each may too.
 */
#ifndef PCI_PCI_BRIDGE_H
#define PCI_PCI_BRIDGE_H

#include "pci/pci_host.h"

/* The state of a port that is a bridge and nothing more. */
struct pci_port {
    struct pci_device device;
    struct pci_bridge bridge;
    uint32_t port;    /* property: port number in the Link Capabilities */
    uint32_t slot;    /* property: physical slot number, as printed on the case */
    uint32_t chassis; /* property: of the Slot Numbering capability */
    bool hotplug;     /* property: devices may come and go */
};

/* In realize(): header type 1, windows, bus numbers, bridge control, an empty secondary bus. */
void pci_bridge_init(struct pci_device *device, struct pci_bridge *bridge);

/* In unrealize(). */
void pci_bridge_destroy(struct pci_bridge *bridge);

/*
 * After a configuration write; acts on windows, bus numbers, secondary bus reset and Link Disable.
 * The core calls it, with the bridge's device->lock held.
 */
void pci_bridge_config_written(struct pci_bridge *bridge, unsigned reg, unsigned size);

#endif

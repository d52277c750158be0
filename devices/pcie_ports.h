/* SPDX-License-Identifier: MIT */
/* PCI Express ports: see devices/pcie_ports.c. */
#ifndef DEVICES_PCIE_PORTS_H
#define DEVICES_PCIE_PORTS_H

#include "pci/pci_device.h"

extern const struct pci_device_type root_port_type;
extern const struct pci_device_type switch_upstream_type;
extern const struct pci_device_type switch_downstream_type;

#endif

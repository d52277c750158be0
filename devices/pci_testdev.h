/* SPDX-License-Identifier: MIT */
/* The test device: see devices/pci_testdev.c. */
#ifndef DEVICES_PCI_TESTDEV_H
#define DEVICES_PCI_TESTDEV_H

#include "pci/pci_device.h"
#include "vmm/registers.h"

extern const struct pci_device_type pci_testdev_type;
extern const struct register_block pci_testdev_registers;

#endif

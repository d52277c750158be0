/* SPDX-License-Identifier: MIT */
/* An example of a PCI device: see adder.c and docs/write-a-device.md. */
#ifndef EXAMPLES_ADDER_H
#define EXAMPLES_ADDER_H

#include "pci/pci_device.h"

extern const struct pci_device_type adder_type;

#endif

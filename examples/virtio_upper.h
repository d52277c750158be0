/* SPDX-License-Identifier: MIT */
/* An example of a virtio device: see virtio_upper.c and docs/write-a-device.md. */
#ifndef EXAMPLES_VIRTIO_UPPER_H
#define EXAMPLES_VIRTIO_UPPER_H

#include "pci/pci_device.h"

extern const struct pci_device_type virtio_upper_type;

#endif

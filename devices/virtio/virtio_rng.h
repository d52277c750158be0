/* SPDX-License-Identifier: MIT */
/* The virtio entropy device: see virtio_rng.c. */
#ifndef DEVICES_VIRTIO_VIRTIO_RNG_H
#define DEVICES_VIRTIO_VIRTIO_RNG_H

#include "pci/pci_device.h"

extern const struct pci_device_type virtio_rng_type;

#endif

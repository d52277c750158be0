/* SPDX-License-Identifier: MIT */
/* The virtio block device: see virtio_blk.c. */
#ifndef DEVICES_VIRTIO_VIRTIO_BLK_H
#define DEVICES_VIRTIO_VIRTIO_BLK_H

#include "pci/pci_device.h"

extern const struct pci_device_type virtio_blk_type;

#endif

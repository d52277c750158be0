/* SPDX-License-Identifier: MIT */
/* The virtio network device: see virtio_net.c. */
#ifndef DEVICES_VIRTIO_VIRTIO_NET_H
#define DEVICES_VIRTIO_VIRTIO_NET_H

#include "pci/pci_device.h"

extern const struct pci_device_type virtio_net_type;

#endif

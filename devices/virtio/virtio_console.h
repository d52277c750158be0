/* SPDX-License-Identifier: MIT */
/* The virtio console: see virtio_console.c. */
#ifndef DEVICES_VIRTIO_VIRTIO_CONSOLE_H
#define DEVICES_VIRTIO_VIRTIO_CONSOLE_H

#include "pci/pci_device.h"

extern const struct pci_device_type virtio_console_type;

#endif

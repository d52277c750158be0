/* SPDX-License-Identifier: MIT */
/* The virtio test device: see virtio_test.c and docs/virtio.md. */
#ifndef DEVICES_VIRTIO_VIRTIO_TEST_H
#define DEVICES_VIRTIO_VIRTIO_TEST_H

#include "pci/pci_device.h"

extern const struct pci_device_type virtio_test_type;

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Numbers of virtio 1.2. The names and values are facts of the specification; those in the system's
 * kernel headers are used as they are, and what those of some distributions lack follows here.
 */
#ifndef DEVICES_VIRTIO_VIRTIO_REGS_H
#define DEVICES_VIRTIO_VIRTIO_REGS_H

#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>

#define VIRTIO_BIT(number) (1ull << (number))

#define VIRTIO_ID_TEST 21 /* docs/virtio.md */

/* 6: reserved feature bits */
#ifndef VIRTIO_F_IN_ORDER
#define VIRTIO_F_IN_ORDER 35
#endif
#ifndef VIRTIO_F_RING_RESET
#define VIRTIO_F_RING_RESET 40
#endif

/* 4.1.2: PCI identity */
#define VIRTIO_PCI_VENDOR          0x1af4
#define VIRTIO_PCI_DEVICE_MODERN   0x1040 /* plus the virtio device id */
#define VIRTIO_PCI_SUBSYSTEM       0x1100 /* of a modern device; a transitional one has its id */
#define VIRTIO_PCI_REVISION_MODERN 1      /* a transitional one has 0 */

/* 4.1.4.5: bits of the ISR status */
#define VIRTIO_ISR_QUEUE  1u
#define VIRTIO_ISR_CONFIG 2u

/* 4.1.4.3: the common configuration's last registers */
#define VIRTIO_COMMON_Q_NOTIF_DATA 56
#define VIRTIO_COMMON_Q_RESET      58
#define VIRTIO_COMMON_SIZE         60

/* 4.1.4.9: body of the capability for access through configuration space */
#define VIRTIO_PCI_CFG_CAP_SIZE 20
#define VIRTIO_PCI_CFG_DATA     16

/* 2.7: the largest split queue, and the largest packed one; powers of two here */
#define VIRTQUEUE_MAX_SIZE 32768

#endif

/* SPDX-License-Identifier: MIT */
/* The registers of the transport as tables, for `info regs`, documentation and tests. */
#ifndef DEVICES_VIRTIO_VIRTIO_PCI_H
#define DEVICES_VIRTIO_VIRTIO_PCI_H

#include "vmm/registers.h"

extern const struct register_block virtio_common_registers; /* BAR4 + 0 */
extern const struct register_block virtio_legacy_registers; /* BAR0 + 0 */

#endif

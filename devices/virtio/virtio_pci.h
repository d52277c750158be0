/* SPDX-License-Identifier: MIT */
/* The registers of the transport as tables, for `info regs`, documentation and tests. */
#ifndef DEVICES_VIRTIO_VIRTIO_PCI_H
#define DEVICES_VIRTIO_VIRTIO_PCI_H

#include "pci/pci_device.h"
#include "vmm/registers.h"

extern const struct register_block virtio_common_registers; /* BAR4 + 0 */
extern const struct register_block virtio_legacy_registers; /* BAR0 + 0 */

/* Both, as far as the device has them; the registers of a queue are those of the selected one. */
extern const struct pci_register_view virtio_register_views[];

/* What is in a register; reading the ISR status so clears nothing. pci.lock is held. */
uint64_t virtio_legacy_peek(struct pci_device *device, const struct register_desc *reg);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Register offsets and bits of PCI configuration space. The names and values are facts of the
 * specifications; the ones in the system's <linux/pci_regs.h> (kernel UAPI) are used as they are.
 */
#ifndef PCI_PCI_REGS_H
#define PCI_PCI_REGS_H

#include <linux/pci_regs.h>

#endif

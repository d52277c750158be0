/* SPDX-License-Identifier: MIT */
/*
 * The test device as a driver sees it; devices/pci_testdev.c describes it. Constants only: the
 * bare-metal guests share them.
 */
#ifndef DEVICES_PCI_TESTDEV_REGS_H
#define DEVICES_PCI_TESTDEV_REGS_H

#define PCI_TESTDEV_VENDOR_ID 0x1234
#define PCI_TESTDEV_DEVICE_ID 0x11e9

#define PCI_TESTDEV_MEMORY_BAR  0 /* and 1: 64-bit */
#define PCI_TESTDEV_MEMORY_SIZE 0x1000
#define PCI_TESTDEV_IO_BAR      2
#define PCI_TESTDEV_IO_SIZE     16
#define PCI_TESTDEV_MSIX_BAR    4
#define PCI_TESTDEV_MSIX_SIZE   0x1000
#define PCI_TESTDEV_MSIX_TABLE  0x000
#define PCI_TESTDEV_MSIX_PBA    0x800
#define PCI_TESTDEV_MSI_VECTORS 4

/* 32-bit registers, little-endian, in the memory BAR and at the same offsets in the I/O BAR. */
#define PCI_TESTDEV_ID       0x0
#define PCI_TESTDEV_SCRATCH  0x4
#define PCI_TESTDEV_INTX     0x8
#define PCI_TESTDEV_DOORBELL 0xc

#define PCI_TESTDEV_ID_VALUE 0x74736574
#define PCI_TESTDEV_INTX_SET 0x1

#endif

/* SPDX-License-Identifier: MIT */
/*
 * PCI as a guest uses it. A function is named by its BDF: bus << 8 | device << 3 | function. Names
 * of registers and bits as in PCI Local Bus 3.0, chapter 6, and PCI Express Base 5.0, chapter 7.
 */
#ifndef BAREMETAL_PCI_H
#define BAREMETAL_PCI_H

#include <stdbool.h>
#include <stdint.h>

#define BDF(bus, device, function) ((bus) << 8 | (device) << 3 | (function))

enum {
    PCI_NONE = 0xffffffff, /* no such function */

    PCI_VENDOR_ID = 0x00,
    PCI_DEVICE_ID = 0x02,
    PCI_COMMAND = 0x04,
    PCI_COMMAND_IO = 1 << 0,
    PCI_COMMAND_MEMORY = 1 << 1,
    PCI_COMMAND_MASTER = 1 << 2,
    PCI_COMMAND_INTX_DISABLE = 1 << 10,
    PCI_STATUS = 0x06,
    PCI_STATUS_INTERRUPT = 1 << 3,
    PCI_CLASS_REVISION = 0x08,
    PCI_CACHE_LINE_SIZE = 0x0c,
    PCI_HEADER_TYPE = 0x0e,
    PCI_BAR0 = 0x10,
    PCI_CAPABILITY_LIST = 0x34,
    PCI_INTERRUPT_LINE = 0x3c,
    PCI_INTERRUPT_PIN = 0x3d,

    /* Type 1 header. */
    PCI_PRIMARY_BUS = 0x18,
    PCI_SECONDARY_BUS = 0x19,
    PCI_SUBORDINATE_BUS = 0x1a,
    PCI_MEMORY_BASE = 0x20, /* and the limit in the upper 16 bits */
    PCI_BRIDGE_CONTROL = 0x3e,
    PCI_BRIDGE_BUS_RESET = 1 << 6,

    PCI_CAP_MSI = 0x05,
    PCI_CAP_EXPRESS = 0x10,
    PCI_CAP_MSIX = 0x11,

    EXPRESS_DEVICE_CAPABILITIES = 4,
    EXPRESS_CAN_FLR = 1 << 28,
    EXPRESS_DEVICE_CONTROL = 8,
    EXPRESS_FLR = 1 << 15,

    MSI_CONTROL = 2,
    MSI_ENABLE = 1 << 0,
    MSI_64BIT = 1 << 7,
    MSI_MASKABLE = 1 << 8,
    MSI_ADDRESS = 4,

    MSIX_CONTROL = 2,
    MSIX_FUNCTION_MASK = 1 << 14,
    MSIX_ENABLE = 1 << 15,
    MSIX_TABLE = 4,
    MSIX_PBA = 8,
    MSIX_ENTRY_SIZE = 16,
    MSIX_ENTRY_DATA = 8,
    MSIX_ENTRY_CONTROL = 12,
    MSIX_ENTRY_MASKED = 1 << 0,
};

uint32_t pci_read(unsigned bdf, unsigned reg, unsigned size);
void pci_write(unsigned bdf, unsigned reg, unsigned size, uint32_t value);

static inline uint32_t pci_read32(unsigned bdf, unsigned reg)
{
    return pci_read(bdf, reg, 4);
}

static inline void pci_write32(unsigned bdf, unsigned reg, uint32_t value)
{
    pci_write(bdf, reg, 4, value);
}

bool pci_present(unsigned bdf);

/* Call visit() for each function on `bus`, in order. */
void pci_for_each(unsigned bus, void (*visit)(unsigned bdf));

/* The nth function (from 0) with these ids on `bus`, or PCI_NONE. */
unsigned pci_find(unsigned bus, uint16_t vendor, uint16_t device, unsigned nth);

/* The nth bridge (header type 1) on `bus`, or PCI_NONE. */
unsigned pci_find_bridge(unsigned bus, unsigned nth);

/* Offset of a capability; 0: not there. */
unsigned pci_find_capability(unsigned bdf, unsigned capability);

/* Set and clear bits of the Command register. */
void pci_command(unsigned bdf, unsigned set, unsigned clear);

/* Write a memory BAR; a 64-bit one with its upper half. Decoding is left as it is. */
void pci_set_bar(unsigned bdf, unsigned index, uint64_t address);

/* Take `size` bytes (a power of two) of the 32-bit memory window for a BAR. */
uint64_t pci_allocate(uint64_t size);

/* Address and data into the MSI capability, multiple message enable, and the enable bit. */
void pci_msi_enable(unsigned bdf, uint64_t address, uint32_t data, unsigned log2_vectors);
void pci_msi_disable(unsigned bdf);

/* Start a Function Level Reset and wait as long as the function may take. False: it has none. */
bool pci_function_reset(unsigned bdf);

#endif

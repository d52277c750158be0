/* SPDX-License-Identifier: MIT */
#include "pci.h"

#include "arch.h"
#include "test.h"

uint32_t pci_read(unsigned bdf, unsigned reg, unsigned size)
{
    const uint64_t ecam = arch_ecam_base();
    const uint64_t address = ecam + ((uint64_t)bdf << 12) + reg;

    if (!ecam) {
        return arch_config_read(bdf, reg, size);
    }
    switch (size) {
    case 1:
        return mmio_read8(address);
    case 2:
        return mmio_read16(address);
    default:
        return mmio_read32(address);
    }
}

void pci_write(unsigned bdf, unsigned reg, unsigned size, uint32_t value)
{
    const uint64_t ecam = arch_ecam_base();
    const uint64_t address = ecam + ((uint64_t)bdf << 12) + reg;

    if (!ecam) {
        arch_config_write(bdf, reg, size, value);
    } else if (size == 1) {
        mmio_write8(address, (uint8_t)value);
    } else if (size == 2) {
        mmio_write16(address, (uint16_t)value);
    } else {
        mmio_write32(address, value);
    }
}

bool pci_present(unsigned bdf)
{
    return pci_read(bdf, PCI_VENDOR_ID, 2) != 0xffff;
}

/* Functions 1 to 7 are looked for only where function 0 says that there may be some. */
static unsigned functions_of(unsigned bdf)
{
    return pci_read(bdf, PCI_HEADER_TYPE, 1) & 0x80 ? 8 : 1;
}

/* The first present function after `bdf` on its bus; `bdf` is present or one before the bus. */
static unsigned next_function(unsigned bus, unsigned devfn)
{
    while (devfn < 256) {
        const unsigned bdf = bus << 8 | devfn;

        if (pci_present(bdf)) {
            return bdf;
        }
        const bool more = devfn % 8 && functions_of(bdf & ~7U) > 1;
        devfn = more ? devfn + 1 : (devfn | 7) + 1;
    }
    return PCI_NONE;
}

static unsigned after(unsigned bdf)
{
    const unsigned devfn = bdf & 0xff;
    const bool more = functions_of(bdf & ~7U) > 1;

    return next_function(bdf >> 8, more ? devfn + 1 : (devfn | 7) + 1);
}

void pci_for_each(unsigned bus, void (*visit)(unsigned bdf))
{
    for (unsigned bdf = next_function(bus, 0); bdf != PCI_NONE; bdf = after(bdf)) {
        visit(bdf);
    }
}

unsigned pci_find(unsigned bus, uint16_t vendor, uint16_t device, unsigned nth)
{
    const uint32_t ids = (uint32_t)device << 16 | vendor;

    for (unsigned bdf = next_function(bus, 0); bdf != PCI_NONE; bdf = after(bdf)) {
        if (pci_read32(bdf, PCI_VENDOR_ID) == ids && !nth--) {
            return bdf;
        }
    }
    return PCI_NONE;
}

unsigned pci_find_bridge(unsigned bus, unsigned nth)
{
    for (unsigned bdf = next_function(bus, 0); bdf != PCI_NONE; bdf = after(bdf)) {
        if ((pci_read(bdf, PCI_HEADER_TYPE, 1) & 0x7f) == 1 && !nth--) {
            return bdf;
        }
    }
    return PCI_NONE;
}

unsigned pci_find_capability(unsigned bdf, unsigned capability)
{
    unsigned offset = pci_read(bdf, PCI_CAPABILITY_LIST, 1);

    for (unsigned links = 0; offset && links < 48; links++) {
        const unsigned header = pci_read(bdf, offset, 2);

        if ((header & 0xff) == capability) {
            return offset;
        }
        offset = header >> 8;
    }
    return 0;
}

void pci_command(unsigned bdf, unsigned set, unsigned clear)
{
    const unsigned command = pci_read(bdf, PCI_COMMAND, 2);

    pci_write(bdf, PCI_COMMAND, 2, (command & ~clear) | set);
}

void pci_set_bar(unsigned bdf, unsigned index, uint64_t address)
{
    const unsigned reg = PCI_BAR0 + 4 * index;
    const bool is_64bit = (pci_read32(bdf, reg) & 7) == 4;

    pci_write32(bdf, reg, (uint32_t)address);
    if (is_64bit) {
        pci_write32(bdf, reg + 4, (uint32_t)(address >> 32));
    }
}

uint64_t pci_allocate(uint64_t size)
{
    static uint64_t used;

    used = (used + size - 1) & ~(size - 1);
    used += size;
    return arch_window32 + used - size;
}

void pci_msi_enable(unsigned bdf, uint64_t address, uint32_t data, unsigned log2_vectors)
{
    const unsigned msi = pci_find_capability(bdf, PCI_CAP_MSI);
    const unsigned control = pci_read(bdf, msi + MSI_CONTROL, 2);
    const bool is_64bit = control & MSI_64BIT;

    pci_write32(bdf, msi + MSI_ADDRESS, (uint32_t)address);
    if (is_64bit) {
        pci_write32(bdf, msi + MSI_ADDRESS + 4, (uint32_t)(address >> 32));
    }
    pci_write(bdf, msi + (is_64bit ? 12 : 8), 2, data);
    pci_write(bdf, msi + MSI_CONTROL, 2, (control & ~0x70U) | log2_vectors << 4 | MSI_ENABLE);
}

void pci_msi_disable(unsigned bdf)
{
    const unsigned msi = pci_find_capability(bdf, PCI_CAP_MSI);

    pci_write(bdf, msi + MSI_CONTROL, 2,
              pci_read(bdf, msi + MSI_CONTROL, 2) & ~(unsigned)MSI_ENABLE);
}

/* PCIe 5.0, 6.6.2: the function is not to be touched for 100 ms. Ours need none of them. */
bool pci_function_reset(unsigned bdf)
{
    const unsigned express = pci_find_capability(bdf, PCI_CAP_EXPRESS);

    if (!express || !(pci_read32(bdf, express + EXPRESS_DEVICE_CAPABILITIES) & EXPRESS_CAN_FLR)) {
        return false;
    }
    pci_write(bdf, express + EXPRESS_DEVICE_CONTROL, 2, EXPRESS_FLR);
    test_delay(1000);
    return true;
}

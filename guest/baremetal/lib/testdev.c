/* SPDX-License-Identifier: MIT */
#include "testdev.h"

#include "arch.h"
#include "pci.h"
#include "test.h"

bool testdev_open(struct testdev *testdev, unsigned bus, unsigned nth)
{
    testdev->bdf = pci_find(bus, PCI_TESTDEV_VENDOR_ID, PCI_TESTDEV_DEVICE_ID, nth);
    if (testdev->bdf == PCI_NONE) {
        test_skip("no test device");
        return false;
    }
    const unsigned reg = PCI_BAR0 + 4 * PCI_TESTDEV_MEMORY_BAR;
    testdev->base =
        (uint64_t)pci_read32(testdev->bdf, reg + 4) << 32 | (pci_read32(testdev->bdf, reg) & ~0xfU);
    if (!testdev->base) {
        testdev->base = pci_allocate(PCI_TESTDEV_MEMORY_SIZE);
    }
    testdev->msix = pci_read32(testdev->bdf, PCI_BAR0 + 4 * PCI_TESTDEV_MSIX_BAR) & ~0xfU;
    pci_set_bar(testdev->bdf, PCI_TESTDEV_MEMORY_BAR, testdev->base);
    pci_command(testdev->bdf, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, PCI_COMMAND_INTX_DISABLE);
    return true;
}

static void msix_control(const struct testdev *testdev, unsigned value)
{
    const unsigned msix = pci_find_capability(testdev->bdf, PCI_CAP_MSIX);

    pci_write(testdev->bdf, msix + MSIX_CONTROL, 2, value);
}

void testdev_msix_enable(struct testdev *testdev)
{
    if (!testdev->msix) {
        testdev->msix = pci_allocate(PCI_TESTDEV_MSIX_SIZE);
        pci_set_bar(testdev->bdf, PCI_TESTDEV_MSIX_BAR, testdev->msix);
    }
    msix_control(testdev, MSIX_ENABLE);
}

void testdev_msix_disable(const struct testdev *testdev)
{
    msix_control(testdev, 0);
}

static uint64_t entry(const struct testdev *testdev, unsigned vector)
{
    return testdev->msix + PCI_TESTDEV_MSIX_TABLE + (uint64_t)MSIX_ENTRY_SIZE * vector;
}

void testdev_msix_set(const struct testdev *testdev, unsigned vector, uint64_t address,
                      uint32_t data)
{
    mmio_write64(entry(testdev, vector), address);
    mmio_write32(entry(testdev, vector) + MSIX_ENTRY_DATA, data);
    testdev_msix_mask(testdev, vector, false);
}

void testdev_msix_mask(const struct testdev *testdev, unsigned vector, bool masked)
{
    mmio_write32(entry(testdev, vector) + MSIX_ENTRY_CONTROL, masked ? MSIX_ENTRY_MASKED : 0);
}

bool testdev_msix_pending(const struct testdev *testdev, unsigned vector)
{
    const uint64_t word = testdev->msix + PCI_TESTDEV_MSIX_PBA + vector / 64 * 8;

    return mmio_read64(word) >> vector % 64 & 1;
}

void testdev_ring(const struct testdev *testdev, unsigned vector)
{
    mmio_write32(testdev->base + PCI_TESTDEV_DOORBELL, vector);
}

/* SPDX-License-Identifier: MIT */
/*
 * A PCI function that does nothing of its own and has one of everything: a 64-bit memory BAR, an
 * I/O BAR, INTx, MSI with masking, MSI-X. Tests use what the DMA engine lacks. The file to copy
 * when you write a device of your own is examples/adder.c; look here for what that lacks.
 *
 * PCI 1234:11e9, class ff0000 (unassigned). Four registers of 32 bits, in BAR0 (memory, 4 KiB) and
 * at the same offsets in BAR2 (I/O, 16 bytes). Accesses are aligned and of 4 bytes; others, and
 * those to the rest of BAR0, read all ones and are ignored.
 *
 *   0x0  ID        RO  0x74736574
 *   0x4  SCRATCH   RW  keeps what was written, until a reset
 *   0x8  INTX      RW  bit 0: what the device drives its INTA# with
 *   0xc  DOORBELL  WO  writing n sends vector n: MSI-X if that is enabled, else MSI, else nothing
 *
 * BAR4 holds the MSI-X table (at 0x000) and the pending bits (at 0x800). pci.lock guards every
 * write; reads take no lock, so the registers are atomics.
 */
#include "devices/pci_testdev.h"

#include <stdatomic.h>

#include "devices/pci_testdev_regs.h"
#include "vmm/trace.h"

struct pci_testdev {
    struct pci_device pci;
    uint32_t vectors; /* property: of MSI-X */
    _Atomic uint32_t scratch;
    _Atomic uint32_t intx;
};

static const struct register_desc registers[] = {
    {"ID", PCI_TESTDEV_ID, 4, REGISTER_RO, "0x74736574"},
    {"SCRATCH", PCI_TESTDEV_SCRATCH, 4, REGISTER_RW, "keeps what was written"},
    {"INTX", PCI_TESTDEV_INTX, 4, REGISTER_RW, "bit 0: asserts INTx"},
    {"DOORBELL", PCI_TESTDEV_DOORBELL, 4, REGISTER_WO, "the MSI-X or MSI vector to send"},
};

const struct register_block pci_testdev_registers = {
    .name = "pci-testdev bar0",
    .registers = registers,
    .count = sizeof(registers) / sizeof(registers[0]),
    .access_sizes = 4,
    .stride = 4,
};

static uint64_t read_register(const struct pci_testdev *dev, uint64_t offset)
{
    switch (offset) {
    case PCI_TESTDEV_ID:
        return PCI_TESTDEV_ID_VALUE;
    case PCI_TESTDEV_SCRATCH:
        return atomic_load(&dev->scratch);
    case PCI_TESTDEV_INTX:
        return atomic_load(&dev->intx);
    default: /* DOORBELL is write-only, the rest reserved */
        return offset == PCI_TESTDEV_DOORBELL ? 0 : UINT64_MAX;
    }
}

static uint64_t peek(struct pci_device *device, const struct register_desc *reg)
{
    return read_register((const struct pci_testdev *)device, reg->offset);
}

static const struct pci_register_view views[] = {
    {&pci_testdev_registers, PCI_TESTDEV_MEMORY_BAR, peek},
    {.block = NULL},
};

static uint64_t testdev_read(void *opaque, uint64_t offset, unsigned size)
{
    struct pci_testdev *dev = opaque;
    trace_pci_testdev_read(dev->pci.name, register_name(&pci_testdev_registers, offset), size);
    if (register_malformed(&pci_testdev_registers, offset, size)) {
        return UINT64_MAX;
    }
    return read_register(dev, offset);
}

static void ring(struct pci_testdev *dev, uint32_t vector)
{
    if (pci_msix_enabled(&dev->pci) && vector < dev->vectors) {
        pci_msix_notify(&dev->pci, vector);
    } else if (pci_msi_enabled(&dev->pci)) {
        pci_msi_notify(&dev->pci, vector);
    }
}

static void testdev_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    struct pci_testdev *dev = opaque;
    trace_pci_testdev_write(dev->pci.name, register_name(&pci_testdev_registers, offset), value);
    if (register_malformed(&pci_testdev_registers, offset, size)) {
        return;
    }
    pthread_mutex_lock(&dev->pci.lock);
    switch (offset) {
    case PCI_TESTDEV_SCRATCH:
        atomic_store(&dev->scratch, (uint32_t)value);
        break;
    case PCI_TESTDEV_INTX:
        atomic_store(&dev->intx, value & PCI_TESTDEV_INTX_SET);
        pci_set_intx(&dev->pci, value & PCI_TESTDEV_INTX_SET);
        break;
    case PCI_TESTDEV_DOORBELL:
        ring(dev, (uint32_t)value);
        break;
    }
    pthread_mutex_unlock(&dev->pci.lock);
}

static const struct bus_ops register_ops = {.read = testdev_read, .write = testdev_write};

static void testdev_reset(struct pci_device *device)
{
    struct pci_testdev *dev = (struct pci_testdev *)device;
    atomic_store(&dev->scratch, 0);
    atomic_store(&dev->intx, 0);
    pci_set_intx(device, false);
}

static const struct pci_identity identity = {
    .vendor = PCI_TESTDEV_VENDOR_ID, .device = PCI_TESTDEV_DEVICE_ID, .class_code = 0xff0000};

static int testdev_realize(struct pci_device *device, struct error *err)
{
    struct pci_testdev *dev = (struct pci_testdev *)device;
    pci_set_identity(device, &identity);
    pci_set_interrupt_pin(device, 1);
    pci_add_bar(device, PCI_TESTDEV_MEMORY_BAR, PCI_BAR_MEM64, PCI_TESTDEV_MEMORY_SIZE,
                &register_ops, dev);
    pci_add_bar(device, PCI_TESTDEV_IO_BAR, PCI_BAR_IO, PCI_TESTDEV_IO_SIZE, &register_ops, dev);
    pci_add_bar(device, PCI_TESTDEV_MSIX_BAR, PCI_BAR_MEM32, PCI_TESTDEV_MSIX_SIZE, NULL, NULL);
    pci_add_express(device, PCI_EXPRESS_ENDPOINT, 0, true);
    int ret = pci_add_msi(device, 0, 2, true, true, err);
    if (ret < 0) {
        return ret;
    }
    return pci_add_msix(device, 0, dev->vectors, PCI_TESTDEV_MSIX_BAR, PCI_TESTDEV_MSIX_TABLE,
                        PCI_TESTDEV_MSIX_PBA, err);
}

static const struct property properties[] = {
    {.name = "vectors",
     .type = PROPERTY_UINT32,
     .offset = offsetof(struct pci_testdev, vectors),
     .default_value = 4,
     .minimum = 1,
     .maximum = 128,
     .meaning = "how many MSI-X vectors there are"},
    {.name = NULL},
};

const struct pci_device_type pci_testdev_type = {
    .name = "pci-testdev",
    .summary = "one of everything that a PCI function can have, for tests",
    .size = sizeof(struct pci_testdev),
    .properties = properties,
    .default_slot = -1,
    .realize = testdev_realize,
    .reset = testdev_reset,
    .registers = views,
};

/* SPDX-License-Identifier: MIT */
/* An I/O BAR: the same protocol as for memory, on the other bus. PCI 3.0, 6.2.5.1. */
#include "pci.h"
#include "ports.h"
#include "test.h"
#include "testdev.h"

static struct testdev testdev;

static void place(uint32_t port)
{
    pci_write32(testdev.bdf, PCI_BAR0 + 4 * PCI_TESTDEV_IO_BAR, port);
}

static void io_bar(void)
{
    if (!testdev_open(&testdev, 0, 0)) {
        return;
    }
    const uint16_t port = (uint16_t)arch_window_io;

    place(port);
    CHECK_EQ(inl(port), 0xffffffff); /* not decoded yet */
    pci_command(testdev.bdf, PCI_COMMAND_IO, 0);
    CHECK_EQ(inl(port + PCI_TESTDEV_ID), PCI_TESTDEV_ID_VALUE);
    CHECK_EQ(inb(port + PCI_TESTDEV_ID), 0xff);
    pci_command(testdev.bdf, 0, PCI_COMMAND_MEMORY); /* each enable is for its own BARs */
    CHECK_EQ(mmio_read32(testdev.base + PCI_TESTDEV_ID), 0xffffffff);
    CHECK_EQ(inl(port + PCI_TESTDEV_ID), PCI_TESTDEV_ID_VALUE);
    pci_command(testdev.bdf, PCI_COMMAND_MEMORY, 0);
    outl(port + PCI_TESTDEV_SCRATCH, 0xcafe1234);
    CHECK_EQ(mmio_read32(testdev.base + PCI_TESTDEV_SCRATCH), 0xcafe1234);
    outw(port + PCI_TESTDEV_SCRATCH, 0);
    CHECK_EQ(inl(port + PCI_TESTDEV_SCRATCH), 0xcafe1234);
    place(port + 0x100U);
    CHECK_EQ(inl(port), 0xffffffff);
    CHECK_EQ(inl(port + 0x100 + PCI_TESTDEV_SCRATCH), 0xcafe1234);
    pci_command(testdev.bdf, 0, PCI_COMMAND_IO);
    CHECK_EQ(inl(port + 0x100), 0xffffffff);
}

/* On the serial port, which is fixed: this line would not be read otherwise. */
static void io_bar_on_fixed(void)
{
    if (!testdev_open(&testdev, 0, 0)) {
        return;
    }
    outb(PORT_SERIAL + 7, 0x5a);
    place(PORT_SERIAL & ~0xfU);
    pci_command(testdev.bdf, PCI_COMMAND_IO, 0);
    const uint8_t scratch = inb(PORT_SERIAL + 7);
    const uint32_t beside = inl((PORT_SERIAL & ~0xf) + PCI_TESTDEV_ID);
    pci_command(testdev.bdf, 0, PCI_COMMAND_IO);
    CHECK_EQ(scratch, 0x5a);
    CHECK_EQ(beside, PCI_TESTDEV_ID_VALUE);
}

static void string_io(void)
{
    uint32_t values[3] = {1, 2, 3};

    if (!testdev_open(&testdev, 0, 0)) {
        return;
    }
    const uint16_t port = (uint16_t)arch_window_io;
    place(port);
    pci_command(testdev.bdf, PCI_COMMAND_IO, 0);
    rep_outsl(port + PCI_TESTDEV_SCRATCH, values, 3, false);
    CHECK_EQ(inl(port + PCI_TESTDEV_SCRATCH), 3);
    CHECK_EQ(mmio_read32(testdev.base + PCI_TESTDEV_INTX), 0); /* the port did not advance */
    rep_insl(port + PCI_TESTDEV_ID, values, 3, false);
    CHECK_EQ(values[2], PCI_TESTDEV_ID_VALUE);
    pci_command(testdev.bdf, 0, PCI_COMMAND_IO);
}

const struct test tests[] = {
    {"I/O BAR placed, moved, disabled", io_bar},
    {"I/O BAR on the serial port", io_bar_on_fixed},
    {"string I/O to a BAR", string_io},
    {0},
};

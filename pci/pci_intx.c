/* SPDX-License-Identifier: MIT */
/*
 * INTx: the four level-triggered interrupt wires. PCI 3.0, 2.2.6 and 6.2.4; Bridge 1.2, 9.1.
 *
 * Going up through a bridge a pin becomes another, by the device number on the bridge's secondary
 * side: (pin + device) mod 4. The root bus does the same on the way to the four wires of the
 * machine, so that INTA of devices 0, 4, 8... is wire 0. How a bridge swizzles depends on where it
 * is plugged and not on bus numbers, so a function keeps its wire for life.
 *
 * Many functions share a wire, so the host counts who asserts it and drives the machine's interrupt
 * when the count leaves or returns to 0.
 *
 *   Interrupt Status (Status bit 3)   what the device wants, always visible to software
 *   the wire                          the same, unless Interrupt Disable is set or MSI or MSI-X is
 *                                     enabled, which both forbid INTx (6.2.2, 6.8.1.3)
 */
#include "pci/pci_internal.h"
#include "vmm/trace.h"

unsigned pci_intx_wire(const struct pci_device *device)
{
    unsigned pin = pci_config_get(device, PCI_INTERRUPT_PIN, 1) - 1;
    for (;;) {
        pin = (pin + (device->devfn >> 3)) % PCI_PINS;
        if (!device->bus->parent) {
            return pin;
        }
        device = device->bus->parent->device;
    }
}

/* Count the function in or out. The level is changed under the lock, so that it ends as the count
 * says when two functions change at once. */
static void count_on_wire(struct pci_host *host, unsigned wire, bool level)
{
    pthread_mutex_lock(&host->intx_lock);
    unsigned before = host->intx_count[wire];
    unsigned after = level ? before + 1 : before - 1;
    host->intx_count[wire] = after;
    if ((before == 0) != (after == 0)) {
        (void)irq_set_level(host->irq, host->intx_gsi[wire], level);
    }
    pthread_mutex_unlock(&host->intx_lock);
}

static void show_status(struct pci_device *device)
{
    uint32_t status = pci_config_get(device, PCI_STATUS, 2) & ~PCI_STATUS_INTERRUPT;
    pci_config_set(device, PCI_STATUS, 2, status | (device->intx_level ? PCI_STATUS_INTERRUPT : 0));
}

void pci_intx_update(struct pci_device *device)
{
    bool disabled = pci_config_get(device, PCI_COMMAND, 2) & PCI_COMMAND_INTX_DISABLE;
    bool asserted =
        device->intx_level && !disabled && !pci_msi_enabled(device) && !pci_msix_enabled(device);
    if (asserted == device->intx_asserted) {
        return;
    }
    device->intx_asserted = asserted;
    trace_pci_intx(device->name, 'A' - 1 + (int)pci_config_get(device, PCI_INTERRUPT_PIN, 1),
                   asserted);
    count_on_wire(device->host, pci_intx_wire(device), asserted);
}

void pci_set_intx(struct pci_device *device, bool level)
{
    if (level == device->intx_level) {
        return;
    }
    pci_require(device, pci_config_get(device, PCI_INTERRUPT_PIN, 1) != 0, "it has no INTx pin");
    device->intx_level = level;
    show_status(device);
    pci_intx_update(device);
}

void pci_set_interrupt_pin(struct pci_device *device, unsigned pin)
{
    pci_require(device, pin >= 1 && pin <= PCI_PINS, "an interrupt pin is 1 (A) to 4 (D)");
    pci_config_set(device, PCI_INTERRUPT_PIN, 1, pin);
}

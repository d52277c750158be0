/* SPDX-License-Identifier: MIT */
/*
 * The whole machine: the VM, its platform devices, the PCI host and what was plugged into it. The
 * one struct at the top; vmm/x86/machine.c and vmm/arm64/machine.c build it from top to bottom.
 */
#ifndef VMM_MACHINE_H
#define VMM_MACHINE_H

#include "machine_types.h" /* struct arch_machine: the platform of the chosen architecture */
#include "pci/pci_host.h"
#include "vmm/console.h"
#include "vmm/options.h"
#include "vmm/property.h"
#include "vmm/vm.h"

struct machine {
    const struct options *options;
    struct vm vm;
    struct console console;
    struct pci_host pci;
    struct arch_machine arch;
};

/*
 * What --machine knows on this architecture: fields of machine.arch.properties, which the caller of
 * machine_build() has set. Ends with name NULL, perhaps at once.
 */
extern const struct property machine_properties[];

/*
 * In each architecture's machine.c: build everything in the order of the memory map: RAM, interrupt
 * controller, vCPUs, serial port, clock, PCI host; devices of the command line are plugged by the
 * caller afterwards. On failure machine_destroy() undoes what was built.
 */
int machine_build(struct machine *machine, struct error *err);
void machine_destroy(struct machine *machine);

/*
 * Where there is a device tree and options->dump_dtb is set, machine_reset() writes it there.
 *
 * Power-on state, also after a guest's reboot: reset the platform devices and the vCPUs, load
 * kernel, initrd and tables into RAM, and point the boot processor at the entry. vCPUs are parked.
 * PCI devices are reset by the caller.
 */
int machine_reset(struct machine *machine, struct error *err);

/* The person asks the guest to shut down: press its power button. */
void machine_power_button(struct machine *machine);

#endif

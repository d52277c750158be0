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
    unsigned parts_built; /* of machine_parts */
    bool has_run;         /* vCPUs have run since they were created */
    /* Who wants to know that a device is gone which machine_device_del() asked for; NULL: nobody.
     * On the main thread; the id is valid for the call. */
    void (*device_deleted)(void *opaque, const char *id);
    void *device_deleted_opaque;
};

/* A part is built after those before it and destroyed before them. NULL or false: nothing to do. */
struct machine_part {
    int (*build)(struct machine *machine, struct error *err); /* on failure nothing is left */
    void (*destroy)(struct machine *machine);                 /* called if build() succeeded */
    void (*reset)(struct machine *machine);
    bool to_run; /* left out of a machine that is only looked at: see vm_can_run() */
};

/*
 * In each architecture's machine.c: everything that is in the machine, in the order of its memory
 * map: RAM, interrupt controller, vCPUs, serial port, clock, PCI host. Ends with build NULL.
 */
extern const struct machine_part machine_parts[];

/*
 * What --machine knows on this architecture: fields of machine.arch.properties, which the caller of
 * machine_build() has set. Ends with name NULL, perhaps at once.
 */
extern const struct property machine_properties[];

/* ---- for whoever shows the machine; in each architecture's machine.c */

extern const char machine_architecture[]; /* "x86" */

/* Addresses at which KVM itself answers. */
struct machine_range {
    bool port;
    uint64_t first, last;
    const char *name;
};
enum { MACHINE_RANGES_MAX = 16 };

/* An interrupt that is not a PCI function's, and whose it is. */
struct machine_wire {
    uint32_t gsi;
    const char *name;
};
enum { MACHINE_WIRES_MAX = 16 };

/* Fill the array; return how many. */
unsigned machine_kvm_ranges(const struct machine *machine,
                            struct machine_range ranges[MACHINE_RANGES_MAX]);
unsigned machine_wires(const struct machine *machine, struct machine_wire wires[MACHINE_WIRES_MAX]);

/*
 * Build all parts; devices of the command line are plugged by the caller afterwards. On failure
 * machine_destroy() undoes what was built.
 */
int machine_build(struct machine *machine, struct error *err);
void machine_destroy(struct machine *machine);

/* Take the parts that have a reset of their own back to power-on. vCPUs are parked. */
void machine_reset_parts(struct machine *machine);

/* The part that all machines share. */
int machine_build_console(struct machine *machine, struct error *err);
void machine_destroy_console(struct machine *machine);

/*
 * In each architecture's machine.c: power-on state, also after a guest's reboot. Reset the parts
 * and the vCPUs, load kernel, initrd and tables into RAM, and point the boot processor at the
 * entry. vCPUs are parked. PCI devices are reset by the caller. With options->dump_dtb the device
 * tree is written to that file.
 */
int machine_reset(struct machine *machine, struct error *err);

/* ---- devices; vmm/hotplug.c */

/* Plug in a device before the machine runs. `context` starts error texts. */
int machine_create_device(struct machine *machine, const struct device_option *option,
                          const char *context, struct error *err);

/*
 * Plug in a device while the machine runs: "NAME,key=value..." as --device's, behind a port that
 * has hot-plug (bus=ID). The guest is told, and takes its time. Main thread. The text of an error
 * begins with "device_add NAME,...:".
 */
int machine_device_add(struct machine *machine, const char *spec, struct error *err);

/*
 * Ask the guest for the device with this id, which is behind such a port: the attention button of
 * its slot is pressed. 0: it was; the device is gone when device_deleted() is called, which may be
 * never (a guest may refuse), or before this returns. It may be asked again. A reset of the machine
 * takes it out. Main thread.
 */
int machine_device_del(struct machine *machine, const char *id, struct error *err);

/* What the PCI host wants of the machine. */
extern const struct pci_hotplug_ops machine_hotplug_ops;

/*
 * In each architecture's machine.c. The person asks the guest to shut down: press its power button.
 * Whether and when the guest does, is up to it. Any thread. 0.
 */
int machine_powerdown(struct machine *machine, struct error *err);

#endif

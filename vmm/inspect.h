/* SPDX-License-Identifier: MIT */
/*
 * What the machine is made of, as text: what --dump-machine - prints, and a monitor's info
 * commands. The walkers below them serve every other form (vmm/dump_machine.c).
 *
 * All on the main thread; vCPUs may run, and what they change meanwhile is seen before or after.
 */
#ifndef VMM_INSPECT_H
#define VMM_INSPECT_H

#include <stdio.h>

#include "vmm/machine.h"

/* ---- text, a section each */

void inspect_qtree(struct machine *machine, FILE *out); /* devices, their properties and buses */
void inspect_pci(struct machine *machine, FILE *out);   /* functions, BARs, bridges */
void inspect_mtree(struct machine *machine, FILE *out); /* who answers at which address */
void inspect_irq(struct machine *machine, FILE *out);   /* which interrupt ends where */

/* ---- walkers */

enum inspect_kind { INSPECT_RAM, INSPECT_DEVICE, INSPECT_KVM };

/* A range of addresses and who is there; those where nobody is are left out. */
struct inspect_range {
    enum inspect_kind kind;
    const char *bus; /* "mmio" or "pio" */
    uint64_t first, last;
    const char *name;
};

/* In ascending order, bus by bus. */
void inspect_ranges(struct machine *machine,
                    void (*visit)(void *opaque, const struct inspect_range *range), void *opaque);

/* "ram", "device", "kvm" */
const char *inspect_kind_name(enum inspect_kind kind);

#endif

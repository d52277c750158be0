/* SPDX-License-Identifier: MIT */
/*
 * From the text that describes a device to a device in its slot: at the start, and while the
 * machine runs. How that looks to the guest is in pci/pci_hotplug.c.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "devices/device_table.h"
#include "vmm/machine.h"

enum { CONTEXT_SIZE = 256 }; /* a longer text is cut in error lines */

static int find_type(const char *name, const char *context, const struct pci_device_type **type,
                     struct error *err)
{
    *type = device_table_find(name);
    return *type
               ? 0
               : error_set(err, -ENOENT, "%s: no such device (--device help lists them)", context);
}

int machine_create_device(struct machine *machine, const struct device_option *option,
                          const char *context, struct error *err)
{
    const struct pci_device_type *type;
    int ret = find_type(option->name, context, &type, err);
    return ret < 0 ? ret
                   : pci_host_create_device(&machine->pci, type, option->values, option->count,
                                            context, err);
}

int machine_device_add(struct machine *machine, const char *spec, struct error *err)
{
    char context[CONTEXT_SIZE];
    struct device_option option;
    const struct pci_device_type *type;
    char *strings;
    int ret = device_option_parse(&option, "device_add", spec, &strings, err);
    if (ret < 0) {
        return ret;
    }
    snprintf(context, sizeof(context), "device_add %s", spec);
    ret = find_type(option.name, context, &type, err);
    if (ret == 0) {
        ret =
            pci_host_plug(&machine->pci, type, option.values, option.count, strings, context, err);
    } else {
        free(strings);
    }
    free(option.values);
    return ret;
}

int machine_device_del(struct machine *machine, const char *id, struct error *err)
{
    char context[CONTEXT_SIZE];
    snprintf(context, sizeof(context), "device_del %s", id);
    return pci_host_unplug(&machine->pci, id, context, err);
}

/* ---- what the PCI host asks for */

static void hold(void *opaque)
{
    vm_hold(&((struct machine *)opaque)->vm, VM_HOLDER_HOTPLUG);
}

static void release(void *opaque)
{
    vm_release(&((struct machine *)opaque)->vm, VM_HOLDER_HOTPLUG);
}

static void removed(void *opaque, const char *id)
{
    struct machine *machine = opaque;
    if (machine->device_deleted) {
        machine->device_deleted(machine->device_deleted_opaque, id);
    }
}

const struct pci_hotplug_ops machine_hotplug_ops = {
    .hold = hold, .release = release, .removed = removed};

/* SPDX-License-Identifier: MIT */
#include "vmm/inspect.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "devices/virtio/virtio.h"
#include "pci/pci_walk.h"

const char *inspect_kind_name(enum inspect_kind kind)
{
    static const char *const names[] = {
        [INSPECT_RAM] = "ram", [INSPECT_DEVICE] = "device", [INSPECT_KVM] = "kvm"};
    return names[kind];
}

/* ---- the maps: what is on the buses, and what never comes there */

struct range_list {
    const struct bus *bus;
    struct inspect_range *ranges;
    size_t count;
};

/* Without memory for it a range is left out. */
static void append_range(struct range_list *list, enum inspect_kind kind, uint64_t first,
                         uint64_t last, const char *name)
{
    struct inspect_range *grown = realloc(list->ranges, (list->count + 1) * sizeof(*grown));
    if (grown) {
        list->ranges = grown;
        grown[list->count++] = (struct inspect_range){
            .kind = kind, .bus = list->bus->name, .first = first, .last = last, .name = name};
    }
}

static void collect_device(void *opaque, const struct bus_range *range)
{
    struct range_list *list = opaque;
    if (range->region != &list->bus->unassigned) {
        append_range(list, INSPECT_DEVICE, range->first, range->last, range->name);
    }
}

static int compare_ranges(const void *a, const void *b)
{
    const struct inspect_range *x = a;
    const struct inspect_range *y = b;
    return (x->first > y->first) - (x->first < y->first);
}

static void walk_map(struct machine *machine, struct bus *bus,
                     void (*visit)(void *opaque, const struct inspect_range *range), void *opaque)
{
    struct range_list list = {.bus = bus};
    const struct guest_memory *memory = &machine->vm.memory;
    struct machine_range kvm[MACHINE_RANGES_MAX];
    unsigned kvm_count = machine_kvm_ranges(machine, kvm);
    bus_for_each(bus, collect_device, &list);
    for (unsigned i = 0; bus == &machine->vm.mmio && i < memory->count; i++) {
        uint64_t first = memory->blocks[i].base.raw;
        append_range(&list, INSPECT_RAM, first, first + (memory->blocks[i].size - 1), "RAM");
    }
    for (unsigned i = 0; i < kvm_count; i++) {
        if (kvm[i].port == (bus == &machine->vm.pio)) {
            append_range(&list, INSPECT_KVM, kvm[i].first, kvm[i].last, kvm[i].name);
        }
    }
    if (list.count) {
        qsort(list.ranges, list.count, sizeof(*list.ranges), compare_ranges);
    }
    for (size_t i = 0; i < list.count; i++) {
        visit(opaque, &list.ranges[i]);
    }
    free(list.ranges);
}

void inspect_ranges(struct machine *machine,
                    void (*visit)(void *opaque, const struct inspect_range *range), void *opaque)
{
    walk_map(machine, &machine->vm.mmio, visit, opaque);
    walk_map(machine, &machine->vm.pio, visit, opaque);
}

static void print_range(void *opaque, const struct inspect_range *range)
{
    const char *where = range->kind == INSPECT_KVM ? " (in KVM)" : "";
    unsigned digits = strcmp(range->bus, "pio") == 0 ? 4 : 12;
    fprintf(opaque, "  %s %0*" PRIx64 "-%0*" PRIx64 "  %s%s\n", range->bus, (int)digits,
            range->first, (int)digits, range->last, range->name, where);
}

void inspect_mtree(struct machine *machine, FILE *out)
{
    fprintf(out, "addresses\n");
    inspect_ranges(machine, print_range, out);
}

/* ---- PCI */

static void print_size(FILE *out, uint64_t size)
{
    char text[32];
    fprintf(out, "%s", format_size(size, text, sizeof(text)));
}

static void print_bars(FILE *out, const struct pci_function_info *function, int indent)
{
    for (unsigned i = 0; i < PCI_BAR_COUNT; i++) {
        const struct pci_bar_info *bar = &function->bars[i];
        if (bar->kind == PCI_BAR_NONE) {
            continue;
        }
        fprintf(out, "%*sbar%u: ", indent, "", i);
        print_size(out, bar->size);
        fprintf(out, " of %s", pci_bar_kind_name(bar->kind));
        if (bar->mapped) {
            fprintf(out, ", at 0x%" PRIx64 "\n", bar->address);
        } else {
            fprintf(out, ", not mapped\n");
        }
    }
}

static void print_interrupts(FILE *out, const struct pci_function_info *function, int indent)
{
    if (function->pin) {
        fprintf(out, "%*sINT%c: GSI %" PRIu32 "\n", indent, "", 'A' - 1 + (int)function->pin,
                function->gsi);
    }
    if (function->msi_vectors) {
        fprintf(out, "%*sMSI: %u\n", indent, "", function->msi_vectors);
    }
    if (function->msix_vectors) {
        fprintf(out, "%*sMSI-X: %u\n", indent, "", function->msix_vectors);
    }
}

static void print_bridge(FILE *out, const struct pci_function_info *function, int indent)
{
    if (!function->device->bridge) {
        return;
    }
    fprintf(out, "%*sbridge to ", indent, "");
    if (function->secondary) {
        fprintf(out, "bus %02x, up to %02x\n", function->secondary, function->subordinate);
    } else {
        fprintf(out, "a bus without a number yet\n");
    }
}

/* What one sees of a function on the bus. */
static void print_function_registers(FILE *out, const struct pci_function_info *function,
                                     int indent)
{
    print_bridge(out, function, indent);
    print_bars(out, function, indent);
    print_interrupts(out, function, indent);
}

static void print_function_line(FILE *out, const struct pci_function_info *function, int indent)
{
    fprintf(out, "%*s%s %s", indent, "", function->address, function->device->type->name);
    if (function->device->id) {
        fprintf(out, ", id=%s", function->device->id);
    }
    fprintf(out, ", %04x:%04x, class %06x\n", function->vendor_id, function->device_id,
            function->class_code);
}

static void print_pci_function(void *opaque, const struct pci_function_info *function)
{
    int indent = 2 + 2 * (int)function->depth;
    print_function_line(opaque, function, indent);
    print_function_registers(opaque, function, indent + 4);
}

void inspect_pci(struct machine *machine, FILE *out)
{
    fprintf(out, "PCI functions\n");
    pci_walk(&machine->pci, print_pci_function, out);
}

/* ---- the tree of devices and buses */

static void print_properties(FILE *out, const struct pci_device *device, int indent)
{
    for (const struct property *p = device->type->properties; p && p->name; p++) {
        char value[128];
        property_format(p, device, value, sizeof(value));
        fprintf(out, "%*s%s = %s\n", indent, "", p->name, value);
    }
}

/* The virtio bus of a virtio function, and the device on it. */
static void print_virtio(FILE *out, const struct pci_device *device, int indent)
{
    const struct virtio_device *virtio = virtio_of_function(device);
    if (!virtio) {
        return;
    }
    fprintf(out, "%*sbus: virtio-bus\n", indent, "");
    fprintf(out, "%*sdev: %s, virtio device %u, queues: %u\n", indent + 2, "", virtio->class->name,
            virtio->class->id, virtio->queue_count);
    for (unsigned i = 0; i < virtio->queue_count; i++) {
        fprintf(out, "%*squeue %u: up to %u entries\n", indent + 6, "", i,
                virtio->queues[i].max_size);
    }
}

/* The bus behind a bridge is said here, so that what is on it can follow. */
static void print_tree_function(void *opaque, const struct pci_function_info *function)
{
    FILE *out = opaque;
    int indent = 6 + 4 * (int)function->depth;
    fprintf(out, "%*sdev: ", indent, "");
    print_function_line(out, function, 0);
    print_properties(out, function->device, indent + 4);
    print_function_registers(out, function, indent + 4);
    print_virtio(out, function->device, indent + 2);
    if (function->device->bridge) {
        fprintf(out, "%*sbus: %s\n", indent + 2, "", function->device->name);
    }
}

/* Devices that are no PCI functions: by their ranges, as they have no other list. */
static void print_platform_device(void *opaque, const struct inspect_range *range)
{
    bool is_bar = range->name[bus_device_name_length(range->name)] != '\0';
    if (range->kind == INSPECT_DEVICE && !is_bar) {
        fprintf(opaque, "  dev: %s, %s %" PRIx64 "-%" PRIx64 "\n", range->name, range->bus,
                range->first, range->last);
    }
}

void inspect_qtree(struct machine *machine, FILE *out)
{
    fprintf(out, "bus: machine (%s, vCPUs: %u, RAM: ", machine_architecture, machine->options->smp);
    print_size(out, machine->options->memory);
    fprintf(out, ")\n");
    inspect_ranges(machine, print_platform_device, out);
    fprintf(out, "  dev: pci host\n    bus: pcie.0\n");
    pci_walk(&machine->pci, print_tree_function, out);
}

/* ---- interrupts */

struct vector_context {
    FILE *out;
    const char *name;
};

static void print_vector(void *opaque, const struct pci_vector_info *vector)
{
    const struct vector_context *context = opaque;
    fprintf(context->out,
            "  GSI %" PRIu32 ": %s of %s, vector %u, address 0x%" PRIx64 " data 0x%" PRIx32 "\n",
            vector->gsi, vector->msix ? "MSI-X" : "MSI", context->name, vector->vector,
            vector->message.address, vector->message.data);
}

static void print_function_interrupts(void *opaque, const struct pci_function_info *function)
{
    const char *name = function->device->name;
    if (function->pin) {
        fprintf(opaque, "  GSI %" PRIu32 ": INT%c of %s, by wire %u of the root bus\n",
                function->gsi, 'A' - 1 + (int)function->pin, name, function->wire);
    }
    struct vector_context context = {.out = opaque, .name = name};
    pci_walk_vectors(function->device, print_vector, &context);
}

void inspect_irq(struct machine *machine, FILE *out)
{
    struct machine_wire wires[MACHINE_WIRES_MAX];
    unsigned count = machine_wires(machine, wires);
    fprintf(out, "interrupts\n");
    for (unsigned i = 0; i < count; i++) {
        fprintf(out, "  GSI %" PRIu32 ": %s\n", wires[i].gsi, wires[i].name);
    }
    pci_walk(&machine->pci, print_function_interrupts, out);
}

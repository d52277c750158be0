/* SPDX-License-Identifier: MIT */
/*
 * The JSON has this shape. Addresses are strings, "0x3f8", as numbers of JSON are often read as
 * floating point; what is counted is a number.
 *
 *   {"machine": {"architecture", "vcpus", "ram"},
 *    "ranges": [{"bus": "mmio"|"pio", "first", "last", "kind": "ram"|"device"|"kvm", "name"}],
 *    "pci": [{"name", "type", "id"|null, "address", "parent": name|null, "vendor", "device",
 *             "class", "properties": {name: text},
 *             "bars": [{"bar", "kind", "size", "address"|null}],
 *             "intx": {"pin", "wire", "gsi"}|null, "msi", "msix": vectors,
 *             "bridge": {"secondary", "subordinate"}|null,
 *             "virtio": {"name", "id", "queues": [entries]}|null}],
 *    "wires": [{"gsi", "name"}],
 *    "messages": [{"device": name, "kind": "msi"|"msix", "vector", "gsi", "address", "data"}]}
 *
 * A bridge stands before what is behind it.
 */
#include "vmm/dump_machine.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "devices/virtio/virtio.h"
#include "pci/pci_walk.h"
#include "vmm/inspect.h"
#include "vmm/json_text.h"

/* ---- JSON */

struct json {
    FILE *out;
    bool more; /* something stands in the present list */
    const char *device;
};

/* Between two items of a list. */
static void next_item(struct json *json)
{
    fputs(json->more ? ",\n    " : "\n    ", json->out);
    json->more = true;
}

static void open_list(struct json *json, const char *name)
{
    fprintf(json->out, ",\n  \"%s\": [", name);
    json->more = false;
}

static void print_text(FILE *out, const char *before, const char *text)
{
    fputs(before, out);
    json_print_string(out, text);
}

static void json_range(void *opaque, const struct inspect_range *range)
{
    struct json *json = opaque;
    next_item(json);
    fprintf(json->out,
            "{\"bus\": \"%s\", \"first\": \"0x%" PRIx64 "\", \"last\": \"0x%" PRIx64
            "\", \"kind\": \"%s\"",
            range->bus, range->first, range->last, inspect_kind_name(range->kind));
    print_text(json->out, ", \"name\": ", range->name);
    fputs("}", json->out);
}

static void json_properties(FILE *out, const struct pci_device *device)
{
    const char *between = "";
    fputs(", \"properties\": {", out);
    for (const struct property *p = device->type->properties; p && p->name; p++) {
        char value[128];
        property_format(p, device, value, sizeof(value));
        fprintf(out, "%s\"%s\": ", between, p->name);
        json_print_string(out, value);
        between = ", ";
    }
    fputs("}", out);
}

static void json_bars(FILE *out, const struct pci_function_info *function)
{
    const char *between = "";
    fputs(", \"bars\": [", out);
    for (unsigned i = 0; i < PCI_BAR_COUNT; i++) {
        const struct pci_bar_info *bar = &function->bars[i];
        if (bar->kind == PCI_BAR_NONE) {
            continue;
        }
        fprintf(out,
                "%s{\"bar\": %u, \"kind\": \"%s\", \"size\": %" PRIu64 ", \"address\": ", between,
                i, pci_bar_kind_name(bar->kind), bar->size);
        if (bar->mapped) {
            fprintf(out, "\"0x%" PRIx64 "\"}", bar->address);
        } else {
            fputs("null}", out);
        }
        between = ", ";
    }
    fputs("]", out);
}

static void json_interrupts(FILE *out, const struct pci_function_info *function)
{
    if (function->pin) {
        fprintf(out, ", \"intx\": {\"pin\": \"%c\", \"wire\": %u, \"gsi\": %" PRIu32 "}",
                'A' - 1 + (int)function->pin, function->wire, function->gsi);
    } else {
        fputs(", \"intx\": null", out);
    }
    fprintf(out, ", \"msi\": %u, \"msix\": %u", function->msi_vectors, function->msix_vectors);
}

static void json_bridge(FILE *out, const struct pci_function_info *function)
{
    if (function->device->bridge) {
        fprintf(out, ", \"bridge\": {\"secondary\": %u, \"subordinate\": %u}", function->secondary,
                function->subordinate);
    } else {
        fputs(", \"bridge\": null", out);
    }
}

static void json_virtio(FILE *out, const struct pci_device *device)
{
    const struct virtio_device *virtio = virtio_of_function(device);
    if (!virtio) {
        fputs(", \"virtio\": null", out);
        return;
    }
    fprintf(out, ", \"virtio\": {\"name\": \"%s\", \"id\": %u, \"queues\": [", virtio->class->name,
            virtio->class->id);
    for (unsigned i = 0; i < virtio->queue_count; i++) {
        fprintf(out, "%s%u", i ? ", " : "", virtio->queues[i].max_size);
    }
    fputs("]}", out);
}

static void json_function(void *opaque, const struct pci_function_info *function)
{
    struct json *json = opaque;
    const struct pci_device *device = function->device;
    FILE *out = json->out;
    next_item(json);
    print_text(out, "{\"name\": ", device->name);
    print_text(out, ", \"type\": ", device->type->name);
    print_text(out, ", \"id\": ", device->id);
    print_text(out, ", \"address\": ", function->address);
    print_text(out, ", \"parent\": ", function->parent ? function->parent->name : NULL);
    fprintf(out, ", \"vendor\": \"0x%04x\", \"device\": \"0x%04x\", \"class\": \"0x%06x\"",
            function->vendor_id, function->device_id, function->class_code);
    json_properties(out, device);
    json_bars(out, function);
    json_interrupts(out, function);
    json_bridge(out, function);
    json_virtio(out, device);
    fputs("}", out);
}

static void json_vector(void *opaque, const struct pci_vector_info *vector)
{
    struct json *json = opaque;
    next_item(json);
    print_text(json->out, "{\"device\": ", json->device);
    fprintf(json->out,
            ", \"kind\": \"%s\", \"vector\": %u, \"gsi\": %" PRIu32 ", \"address\": \"0x%" PRIx64
            "\", \"data\": \"0x%" PRIx32 "\"}",
            vector->msix ? "msix" : "msi", vector->vector, vector->gsi, vector->message.address,
            vector->message.data);
}

static void json_vectors(void *opaque, const struct pci_function_info *function)
{
    struct json *json = opaque;
    json->device = function->device->name;
    pci_walk_vectors(function->device, json_vector, json);
}

static void json_wires(struct json *json, struct machine *machine)
{
    struct machine_wire wires[MACHINE_WIRES_MAX];
    unsigned count = machine_wires(machine, wires);
    for (unsigned i = 0; i < count; i++) {
        next_item(json);
        fprintf(json->out, "{\"gsi\": %" PRIu32 ", \"name\": \"%s\"}", wires[i].gsi, wires[i].name);
    }
}

static void print_json(struct machine *machine, FILE *out)
{
    struct json json = {.out = out};
    fprintf(out,
            "{\n  \"machine\": {\"architecture\": \"%s\", \"vcpus\": %u, \"ram\": %" PRIu64 "}",
            machine_architecture, machine->options->smp, machine->options->memory);
    open_list(&json, "ranges");
    inspect_ranges(machine, json_range, &json);
    fputs("\n  ]", out);
    open_list(&json, "pci");
    pci_walk(&machine->pci, json_function, &json);
    fputs("\n  ]", out);
    open_list(&json, "wires");
    json_wires(&json, machine);
    fputs("\n  ]", out);
    open_list(&json, "messages");
    pci_walk(&machine->pci, json_vectors, &json);
    fputs("\n  ]\n}\n", out);
}

/* ---- DOT, graphviz's language */

/* A quoted string: only quotes and backslashes need care; "\l" ends a line on the left. */
static void dot_escape(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\') {
            putc('\\', out);
        }
        putc((unsigned char)*text < 0x20 ? ' ' : *text, out);
    }
}

static void dot_quote(FILE *out, const char *text)
{
    putc('"', out);
    dot_escape(out, text);
    putc('"', out);
}

static void dot_function(void *opaque, const struct pci_function_info *function)
{
    FILE *out = opaque;
    const struct pci_device *device = function->device;
    const struct virtio_device *virtio = virtio_of_function(device);
    fputs("  ", out);
    dot_quote(out, device->name);
    fputs(" [label=\"", out);
    dot_escape(out, device->id ? device->id : device->type->name);
    fprintf(out, "\\n%s", device->id ? device->type->name : "");
    fputs(device->id ? " " : "", out);
    dot_escape(out, function->address);
    fputs("\"];\n  ", out);
    dot_quote(out, function->parent ? function->parent->name : "pcie.0");
    fputs(" -> ", out);
    dot_quote(out, device->name);
    fputs(";\n", out);
    if (virtio) {
        fputs("  ", out);
        dot_quote(out, device->name);
        fprintf(out, " -> \"virtio: ");
        dot_escape(out, device->name);
        fprintf(out, "\" [label=\"virtio bus\"];\n  \"virtio: ");
        dot_escape(out, device->name);
        fprintf(out, "\" [label=\"%s\\nqueues: %u\", shape=ellipse];\n", virtio->class->name,
                virtio->queue_count);
    }
}

static void dot_function_interrupts(void *opaque, const struct pci_function_info *function)
{
    FILE *out = opaque;
    if (function->pin) {
        fputs("  ", out);
        dot_quote(out, function->device->name);
        fprintf(out, " -> \"GSI %" PRIu32 "\" [style=dashed, label=\"INT%c, wire %u\"];\n",
                function->gsi, 'A' - 1 + (int)function->pin, function->wire);
    }
    unsigned vectors = function->msi_vectors + function->msix_vectors;
    if (vectors) {
        fputs("  ", out);
        dot_quote(out, function->device->name);
        fprintf(out, " -> messages [style=dotted, label=\"%s, %u\"];\n",
                function->msix_vectors ? "MSI-X" : "MSI", vectors);
    }
}

static void dot_range(void *opaque, const struct inspect_range *range)
{
    fprintf(opaque, "%s %" PRIx64 "-%" PRIx64 "  ", range->bus, range->first, range->last);
    dot_escape(opaque, range->name);
    fprintf(opaque, "%s\\l", range->kind == INSPECT_KVM ? " (KVM)" : "");
}

static void print_dot(struct machine *machine, FILE *out)
{
    struct machine_wire wires[MACHINE_WIRES_MAX];
    unsigned count = machine_wires(machine, wires);
    fprintf(out, "digraph machine {\n  rankdir=LR;\n  node [shape=box, fontname=monospace];\n"
                 "  \"pcie.0\" [label=\"PCI host\\nbus pcie.0\"];\n"
                 "  messages [label=\"messages\", shape=ellipse];\n"
                 "  addresses [label=\"");
    inspect_ranges(machine, dot_range, out);
    fputs("\", shape=note];\n", out);
    pci_walk(&machine->pci, dot_function, out);
    pci_walk(&machine->pci, dot_function_interrupts, out);
    for (unsigned i = 0; i < count; i++) {
        fputs("  ", out);
        dot_quote(out, wires[i].name);
        fprintf(out, " -> \"GSI %" PRIu32 "\" [style=dashed];\n", wires[i].gsi);
    }
    fputs("}\n", out);
}

/* ---- text */

static void print_all_text(struct machine *machine, FILE *out)
{
    inspect_qtree(machine, out);
    inspect_mtree(machine, out);
    inspect_irq(machine, out);
}

/* ---- the file */

int dump_machine_form(const char *path, enum dump_form *form, struct error *err)
{
    static const struct {
        const char *end;
        enum dump_form form;
    } forms[] = {{".txt", DUMP_TEXT}, {".json", DUMP_JSON}, {".dot", DUMP_DOT}};
    size_t length = strlen(path);
    *form = DUMP_TEXT;
    if (strcmp(path, "-") == 0) {
        return 0;
    }
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        size_t end = strlen(forms[i].end);
        if (length > end && strcmp(path + length - end, forms[i].end) == 0) {
            *form = forms[i].form;
            return 0;
        }
    }
    return error_set(err, -EINVAL,
                     "--dump-machine %s: expected FILE.dot, FILE.json, FILE.txt, or - for stdout",
                     path);
}

int dump_machine(struct machine *machine, const char *path, enum dump_form form, struct error *err)
{
    static void (*const print[])(struct machine *, FILE *) = {
        [DUMP_TEXT] = print_all_text, [DUMP_JSON] = print_json, [DUMP_DOT] = print_dot};
    bool to_stdout = strcmp(path, "-") == 0;
    FILE *out = to_stdout ? stdout : fopen(path, "we");
    if (!out) {
        return error_set(err, -errno, "--dump-machine %s: %s", path, strerror(errno));
    }
    print[form](machine, out);
    bool failed = fflush(out) != 0;
    int code = failed ? errno : 0;
    if (!to_stdout && fclose(out) != 0 && !code) {
        code = errno;
    }
    return code ? error_set(err, -code, "--dump-machine %s: %s", path, strerror(code)) : 0;
}

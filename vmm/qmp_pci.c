/* SPDX-License-Identifier: MIT */
/* See vmm/qmp_pci.h. Names and nesting as in QEMU's qapi/pci.json. */
#include "vmm/qmp_pci.h"

#include "pci/pci_walk.h"
#include "vmm/qmp.h"

/* Where the devices behind a bridge go. */
struct bus_list {
    const struct pci_device *bridge; /* NULL: the root bus */
    json_t *devices;                 /* borrowed: it is in the tree */
};

struct tree {
    struct bus_list buses[PCI_BUS_COUNT];
    unsigned count;
};

static json_t *describe_class(uint32_t class_code)
{
    static const struct {
        unsigned code;
        const char *name;
    } names[] = {{0x0100, "SCSI controller"},
                 {0x0200, "Ethernet controller"},
                 {0x0600, "Host bridge"},
                 {0x0604, "PCI bridge"},
                 {0x0780, "Communication controller"}};
    unsigned code = class_code >> 8;
    json_t *class = json_pack("{s:i}", "class", (int)code);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (names[i].code == code) {
            json_object_set_new(class, "desc", json_string(names[i].name));
        }
    }
    return class;
}

static json_t *describe_id(const struct pci_function_info *function)
{
    json_t *id =
        json_pack("{s:i,s:i}", "vendor", function->vendor_id, "device", function->device_id);
    if (!function->device->bridge) {
        int vendor = (int)pci_config_get(function->device, PCI_SUBSYSTEM_VENDOR_ID, 2);
        int device = (int)pci_config_get(function->device, PCI_SUBSYSTEM_ID, 2);
        json_object_set_new(id, "subsystem-vendor", json_integer(vendor));
        json_object_set_new(id, "subsystem", json_integer(device));
    }
    return id;
}

/* The address of a BAR that is not decoded is -1, as QEMU says it. */
static json_t *describe_region(unsigned number, const struct pci_bar_info *bar)
{
    bool is_io = bar->kind == PCI_BAR_IO;
    json_t *region = json_pack(
        "{s:i,s:s,s:I,s:I}", "bar", (int)number, "type", is_io ? "io" : "memory", "address",
        bar->mapped ? (json_int_t)bar->address : (json_int_t)-1, "size", (json_int_t)bar->size);
    if (!is_io) {
        bool prefetch = bar->kind == PCI_BAR_MEM32_PREFETCH || bar->kind == PCI_BAR_MEM64_PREFETCH;
        bool is_64bit = bar->kind == PCI_BAR_MEM64 || bar->kind == PCI_BAR_MEM64_PREFETCH;
        json_object_set_new(region, "prefetch", json_boolean(prefetch));
        json_object_set_new(region, "mem_type_64", json_boolean(is_64bit));
    }
    return region;
}

static json_t *describe_regions(const struct pci_function_info *function)
{
    json_t *regions = json_array();
    for (unsigned i = 0; i < PCI_BAR_COUNT; i++) {
        if (function->bars[i].kind != PCI_BAR_NONE) {
            json_array_append_new(regions, describe_region(i, &function->bars[i]));
        }
    }
    return regions;
}

/* PCI-to-PCI Bridge 1.2, 3.2.5.6 to 3.2.5.10: `shift` makes an address of a register. */
static json_t *describe_window(const struct pci_device *bridge, unsigned base, unsigned limit,
                               unsigned size, unsigned shift)
{
    uint64_t mask = size == 1 ? 0xf0 : 0xfff0;
    uint64_t first = (pci_config_get(bridge, base, size) & mask) << shift;
    uint64_t last = ((pci_config_get(bridge, limit, size) & mask) << shift) |
                    ((UINT64_C(1) << (shift + 4)) - 1);
    return json_pack("{s:I,s:I}", "base", (json_int_t)first, "limit", (json_int_t)last);
}

static json_t *describe_prefetchable(const struct pci_device *bridge)
{
    json_t *window = describe_window(bridge, PCI_PREF_MEMORY_BASE, PCI_PREF_MEMORY_LIMIT, 2, 16);
    static const struct {
        const char *name;
        unsigned reg;
    } upper[] = {{"base", PCI_PREF_BASE_UPPER32}, {"limit", PCI_PREF_LIMIT_UPPER32}};
    for (unsigned i = 0; i < 2; i++) {
        uint64_t high = pci_config_get(bridge, upper[i].reg, 4);
        json_int_t low = json_integer_value(json_object_get(window, upper[i].name));
        json_object_set_new(window, upper[i].name,
                            json_integer((json_int_t)(high << 32 | (uint64_t)low)));
    }
    return window;
}

static json_t *describe_bridge(struct tree *tree, const struct pci_function_info *function)
{
    const struct pci_device *bridge = function->device;
    json_t *devices = json_array();
    if (tree->count < PCI_BUS_COUNT) {
        tree->buses[tree->count++] = (struct bus_list){.bridge = bridge, .devices = devices};
    }
    json_t *bus = json_pack(
        "{s:i,s:i,s:i,s:o,s:o,s:o}", "number", (int)pci_config_get(bridge, PCI_PRIMARY_BUS, 1),
        "secondary", (int)function->secondary, "subordinate", (int)function->subordinate,
        "io_range", describe_window(bridge, PCI_IO_BASE, PCI_IO_LIMIT, 1, 8), "memory_range",
        describe_window(bridge, PCI_MEMORY_BASE, PCI_MEMORY_LIMIT, 2, 16), "prefetchable_range",
        describe_prefetchable(bridge));
    return json_pack("{s:o,s:o}", "bus", bus, "devices", devices);
}

static json_t *bus_of(const struct tree *tree, const struct pci_device *bridge)
{
    for (unsigned i = 0; i < tree->count; i++) {
        if (tree->buses[i].bridge == bridge) {
            return tree->buses[i].devices;
        }
    }
    return tree->buses[0].devices; /* not reached: a bridge comes before what is behind it */
}

static int bus_number(const struct pci_function_info *function)
{
    return function->parent ? (int)pci_config_get(function->parent, PCI_SECONDARY_BUS, 1) : 0;
}

static void add_function(void *opaque, const struct pci_function_info *function)
{
    struct tree *tree = opaque;
    const struct pci_device *device = function->device;
    json_t *object =
        json_pack("{s:i,s:i,s:i,s:o,s:o,s:i,s:o,s:o}", "bus", bus_number(function), "slot",
                  device->devfn >> 3, "function", device->devfn & 7, "class_info",
                  describe_class(function->class_code), "id", describe_id(function), "irq_pin",
                  (int)function->pin, "qdev_id", qmp_string(device->id ? device->id : ""),
                  "regions", describe_regions(function));
    if (function->pin) {
        json_object_set_new(object, "irq", json_integer(function->gsi));
    }
    json_array_append_new(bus_of(tree, function->parent), object);
    if (device->bridge) {
        json_object_set_new(object, "pci_bridge", describe_bridge(tree, function));
    }
}

json_t *qmp_query_pci(struct pci_host *host)
{
    struct tree tree = {.count = 1};
    json_t *root = json_array();
    tree.buses[0] = (struct bus_list){.bridge = NULL, .devices = root};
    pci_walk(host, add_function, &tree);
    return json_pack("[{s:i,s:o}]", "bus", 0, "devices", root);
}

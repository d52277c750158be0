/* SPDX-License-Identifier: MIT */
/*
 * Creating devices and finding them a place: `--device NAME,bus=ID,addr=SLOT.FN,...`.
 *
 * Every failure is described once, starts with the option as the user typed it, and leaves nothing
 * behind. The order of checks is the order in which a person would want to hear of mistakes:
 * unknown properties, bad values, the bus, the slot, and then what the device itself finds.
 */
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pci/pci_internal.h"

#define ROOT_BUS_NAME "pcie.0" /* as in QEMU */

/* The properties that every device takes. */
struct placement {
    const char *id;
    const char *bus;
    const char *addr;
    bool multifunction;
};

const struct property pci_common_properties[] = {
    {.name = "id",
     .type = PROPERTY_STRING,
     .offset = offsetof(struct placement, id),
     .meaning = "a name of your own: for bus=ID, and in traces and errors"},
    {.name = "bus",
     .type = PROPERTY_STRING,
     .offset = offsetof(struct placement, bus),
     .default_text = ROOT_BUS_NAME,
     .meaning = "id of the port it is plugged into"},
    {.name = "addr",
     .type = PROPERTY_STRING,
     .offset = offsetof(struct placement, addr),
     .meaning = "SLOT or SLOT.FUNCTION in hexadecimal, as lspci prints it; a free one without it"},
    {.name = "multifunction",
     .type = PROPERTY_BOOL,
     .offset = offsetof(struct placement, multifunction),
     .meaning = "other functions may follow in this slot"},
    {.name = NULL},
};

/* ---- properties */

static int set_property(struct pci_device *device, struct placement *placement,
                        const struct property_value *value, const char *context, struct error *err)
{
    const struct property *common = property_find(pci_common_properties, value->key);
    if (common) {
        return property_set(common, placement, value->value, context, err);
    }
    const struct property *own = property_find(device->type->properties, value->key);
    if (own) {
        return property_set(own, device, value->value, context, err);
    }
    return error_set(err, -EINVAL, "%s: unknown property '%s' (see --device %s,help)", context,
                     value->key, device->type->name);
}

static int set_properties(struct pci_device *device, struct placement *placement,
                          const struct property_value *values, size_t count, const char *context,
                          struct error *err)
{
    property_set_defaults(pci_common_properties, placement);
    property_set_defaults(device->type->properties, device);
    for (size_t i = 0; i < count; i++) {
        int ret = set_property(device, placement, &values[i], context, err);
        if (ret < 0) {
            return ret;
        }
    }
    device->multifunction = placement->multifunction;
    return 0;
}

static int set_id(struct pci_host *host, struct pci_device *device, const char *id,
                  const char *context, struct error *err)
{
    if (!id) {
        return 0;
    }
    if (!*id || strcmp(id, ROOT_BUS_NAME) == 0) {
        return error_set(err, -EINVAL, "%s: id '%s' cannot be used", context, id);
    }
    const struct pci_device *other = pci_host_find_id(host, id);
    if (other) {
        return error_set(err, -EEXIST, "%s: id %s is already taken by a %s", context, id,
                         other->type->name);
    }
    device->id = id;
    return 0;
}

/* ---- the bus */

static int find_bus(struct pci_host *host, const char *name, struct pci_bus **bus,
                    const char *context, struct error *err)
{
    *bus = &host->root;
    if (!name || strcmp(name, ROOT_BUS_NAME) == 0) {
        return 0;
    }
    struct pci_device *device = pci_host_find_id(host, name);
    if (!device) {
        return error_set(err, -ENOENT,
                         "%s: there is no device with id=%s (ports come before what is plugged "
                         "into them)",
                         context, name);
    }
    if (!device->bridge) {
        return error_set(err, -EINVAL, "%s: %s is a %s, not a port", context, name,
                         device->type->name);
    }
    *bus = &device->bridge->secondary;
    return 0;
}

/* ---- the slot */

/* "00" for the root bus, else the id of the port: bus numbers are given by the guest. */
static const char *bus_label(const struct pci_bus *bus)
{
    return bus->parent ? bus->parent->device->id : "00";
}

/* One or two hexadecimal digits; moves *text behind them. -1: there are none. */
static int parse_hex(const char **text)
{
    char digits[3] = "";
    size_t length = strspn(*text, "0123456789abcdefABCDEF");
    if (length < 1 || length > 2) {
        return -1;
    }
    memcpy(digits, *text, length);
    *text += length;
    return (int)strtol(digits, NULL, 16);
}

/* SLOT[.FN]; returns the devfn or -EINVAL. */
static int parse_addr(const char *text)
{
    if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
        text += 2; /* what a QEMU user may write */
    }
    int slot = parse_hex(&text);
    int function = 0;
    if (*text == '.') {
        text++;
        function = parse_hex(&text);
    }
    if (slot < 0 || slot >= PCI_SLOT_COUNT || function < 0 || function > 7 || *text) {
        return -EINVAL;
    }
    return slot << 3 | function;
}

static int choose_free_slot(const struct pci_bus *bus, const struct pci_device_type *type,
                            const char *context, struct error *err)
{
    int wanted = type->default_slot;
    if (!bus->parent && wanted >= 0 && !bus->devices[wanted << 3]) {
        return wanted << 3;
    }
    unsigned slots = bus->one_device ? 1 : PCI_SLOT_COUNT;
    for (unsigned slot = 0; slot < slots; slot++) {
        if (!bus->devices[slot << 3]) {
            return (int)slot << 3;
        }
    }
    return error_set(err, -EBUSY, "%s: no slot is free on bus %s", context, bus_label(bus));
}

/* "dma-engine" or "dma-engine (id=x)". */
static const char *describe(const struct pci_device *device, char *text, size_t size)
{
    snprintf(text, size, device->id ? "%s (id=%s)" : "%s", device->type->name, device->id);
    return text;
}

/* Function 0 decides whether software looks at the others. PCI 3.0, 3.2.2.3.4. */
static int check_function_zero(const struct pci_bus *bus, unsigned devfn, const char *context,
                               struct error *err)
{
    const struct pci_device *zero = bus->devices[devfn & ~7u];
    unsigned slot = devfn >> 3;
    if (!(devfn & 7)) {
        return 0;
    }
    if (!zero) {
        return error_set(err, -EINVAL, "%s: slot %s:%02x has no function 0 yet; create that first",
                         context, bus_label(bus), slot);
    }
    if (!zero->multifunction) {
        return error_set(err, -EINVAL,
                         "%s: the %s at %s:%02x.0 is alone in its slot; give it multifunction=on",
                         context, zero->type->name, bus_label(bus), slot);
    }
    return 0;
}

static int check_slot(const struct pci_bus *bus, unsigned devfn, const char *context,
                      struct error *err)
{
    if (bus->one_device && devfn >> 3) {
        return error_set(err, -EINVAL, "%s: behind %s there is only slot 00 (it is a link)",
                         context, bus_label(bus));
    }
    if (bus->devices[devfn]) {
        char text[128];
        return error_set(err, -EBUSY, "%s: slot %s:%02x.%x is already taken by %s", context,
                         bus_label(bus), devfn >> 3, devfn & 7,
                         describe(bus->devices[devfn], text, sizeof(text)));
    }
    return check_function_zero(bus, devfn, context, err);
}

static int choose_slot(struct pci_device *device, const char *addr, const char *context,
                       struct error *err)
{
    int devfn = addr ? parse_addr(addr) : choose_free_slot(device->bus, device->type, context, err);
    if (devfn < 0 && addr) {
        return error_set(err, -EINVAL,
                         "%s: addr=%s: expected SLOT or SLOT.FUNCTION in hexadecimal, 0 to 1f.7",
                         context, addr);
    }
    if (devfn < 0) {
        return devfn;
    }
    device->devfn = (uint8_t)devfn;
    return check_slot(device->bus, device->devfn, context, err);
}

/* ---- plugging */

static void set_name(struct pci_device *device)
{
    if (device->id) {
        snprintf(device->name, sizeof(device->name), "%.31s", device->id);
    } else {
        snprintf(device->name, sizeof(device->name), "%.15s@%.7s:%02x.%x", device->type->name,
                 bus_label(device->bus), device->devfn >> 3, device->devfn & 7);
    }
    device->trace = (struct trace_device){.name = device->name, .type = device->type->name};
    if (!device->bus->parent) { /* other buses have no number yet */
        snprintf(device->trace.place, sizeof(device->trace.place), "00:%02x.%x", device->devfn >> 3,
                 device->devfn & 7);
    }
    trace_add_device(&device->trace);
}

static int append_device(struct pci_host *host, struct pci_device *device)
{
    struct pci_device **grown =
        realloc(host->devices, (host->device_count + 1) * sizeof(struct pci_device *));
    if (!grown) {
        return -ENOMEM;
    }
    host->devices = grown;
    host->devices[host->device_count++] = device;
    return 0;
}

static void plug(struct pci_device *device)
{
    struct pci_bus *bus = device->bus;
    memcpy(device->reset_config, device->config, PCI_CONFIG_SIZE);
    bus->devices[device->devfn] = device;
    bus->count++;
    if (device->bridge) {
        pci_bridge_link(device->bridge);
    }
    pci_device_reset(device, "power-on");
    if (bus->parent) {
        pci_slot_changed(bus->parent->device, device->hot_plugged);
    }
}

static void unplug(struct pci_device *device, bool hot)
{
    struct pci_bus *bus = device->bus;
    pci_device_quiesce(device);
    if (device->bridge) {
        pci_bridge_unlink(device->bridge);
    }
    bus->devices[device->devfn] = NULL;
    bus->count--;
    pci_bus_map_update(device->host);
    if (bus->parent) {
        pci_slot_changed(bus->parent->device, hot);
    }
}

static void unrealize(struct pci_device *device)
{
    if (device->type->unrealize) {
        device->type->unrealize(device);
    }
}

void pci_host_remove(struct pci_host *host, struct pci_device *device, bool hot)
{
    unsigned place = 0;
    while (host->devices[place] != device) {
        place++;
    }
    host->device_count--;
    memmove(&host->devices[place], &host->devices[place + 1],
            (host->device_count - place) * sizeof(struct pci_device *));
    unplug(device, hot);
    unrealize(device);
    pci_device_free(device);
}

/* What realize() found wrong is about this option: say so. */
static int in_context(const char *context, int code, const struct error *inner, struct error *err)
{
    return error_set(err, code, "%s: %s", context, inner->text);
}

static int realize(struct pci_device *device, const char *context, struct error *err)
{
    struct error inner = {0};
    pci_config_init_header(device);
    int ret = device->type->realize(device, &inner);
    if (ret < 0) {
        return in_context(context, ret, &inner, err);
    }
    ret = pci_express_check_place(device, &inner);
    if (ret == 0 && device->hot_plugged) {
        ret = pci_hotplug_check_device(device, &inner);
    }
    if (ret < 0) {
        in_context(context, ret, &inner, err);
        unrealize(device);
        return ret;
    }
    ret = append_device(device->host, device);
    if (ret < 0) {
        error_set(err, ret, "%s: no memory", context);
        unrealize(device);
    }
    return ret;
}

/* Everything up to, but not including, the moment at which others can see it. */
static int prepare(struct pci_device *device, const struct property_value *values, size_t count,
                   const char *context, struct error *err)
{
    struct placement placement = {0};
    struct pci_host *host = device->host;
    int ret = set_properties(device, &placement, values, count, context, err);
    if (ret == 0) {
        ret = set_id(host, device, placement.id, context, err);
    }
    if (ret == 0) {
        ret = find_bus(host, placement.bus, &device->bus, context, err);
    }
    if (ret == 0 && device->hot_plugged) {
        ret = pci_hotplug_check_bus(device->bus, context, err);
    }
    if (ret == 0) {
        ret = choose_slot(device, placement.addr, context, err);
    }
    if (ret < 0) {
        return ret;
    }
    set_name(device);
    return realize(device, context, err);
}

int pci_host_create_device(struct pci_host *host, const struct pci_device_type *type,
                           const struct property_value *values, size_t count, const char *context,
                           struct error *err)
{
    struct pci_device *device = pci_device_new(host, type);
    if (!device) {
        return error_set(err, -ENOMEM, "%s: no memory", context);
    }
    int ret = prepare(device, values, count, context, err);
    if (ret < 0) {
        pci_device_free(device);
        return ret;
    }
    plug(device);
    return 0;
}

int pci_host_plug(struct pci_host *host, const struct pci_device_type *type,
                  const struct property_value *values, size_t count, char *strings,
                  const char *context, struct error *err)
{
    struct pci_device *device = pci_device_new(host, type);
    if (!device) {
        free(strings);
        return error_set(err, -ENOMEM, "%s: no memory", context);
    }
    device->strings = strings;
    device->hot_plugged = true;
    int ret = prepare(device, values, count, context, err);
    if (ret < 0) {
        pci_device_free(device);
        return ret;
    }
    pci_hotplug_hold(host); /* from here on others can see it */
    plug(device);
    pci_hotplug_release(host);
    trace_pci_hotplug(device->name, "plugged");
    return 0;
}

struct pci_device *pci_host_find_id(struct pci_host *host, const char *id)
{
    for (unsigned i = 0; i < host->device_count; i++) {
        if (host->devices[i]->id && strcmp(host->devices[i]->id, id) == 0) {
            return host->devices[i];
        }
    }
    return NULL;
}

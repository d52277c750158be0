/* SPDX-License-Identifier: MIT */
/*
 * PCI Express ports: bridges between a link and a bus. What a bridge does is in pci/pci_bridge.c,
 * what a link is in pci/pci_express.c; here is only which of them have what.
 *
 *   root bus --- root-port --- link --- one device
 *   root bus --- root-port --- link --- switch-upstream --- bus inside the switch
 *                                          +--- switch-downstream --- link --- one device
 *                                          +--- switch-downstream --- link --- one device
 *
 *   --device root-port,id=rp0
 *   --device switch-upstream,id=up,bus=rp0
 *   --device switch-downstream,id=d0,bus=up --device dma-engine,bus=d0
 *
 * Devices behind a root port or a downstream port may come and go: pci/pci_hotplug.c.
 *
 * Identities are those of QEMU's generic root port and of the switch it models, a TI X3130.
 */
#include "devices/pcie_ports.h"

#include <errno.h>
#include <stddef.h>

#include "pci/pci_bridge.h"

enum {
    EXPRESS_OFFSET = 0x50, /* below it the small capabilities find their places */
    MSI_OFFSET = 0x90,
    SLOT_NUMBERING_SIZE = 4,
    SLOT_NUMBERING_CHASSIS = 3, /* its chassis number register; Bridge 1.2, 13 */
    BRIDGE_CLASS = 0x060400,
    SUBSYSTEM_VENDOR = 0x1af4,
    SUBSYSTEM = 0x1100,
};

static const struct pci_identity root_port_identity = {
    .vendor = 0x1b36,
    .device = 0x000c,
    .class_code = BRIDGE_CLASS,
    .subsystem_vendor = SUBSYSTEM_VENDOR,
    .subsystem = SUBSYSTEM,
};

static const struct pci_identity upstream_identity = {
    .vendor = 0x104c,
    .device = 0x8232,
    .revision = 2,
    .class_code = BRIDGE_CLASS,
    .subsystem_vendor = SUBSYSTEM_VENDOR,
    .subsystem = SUBSYSTEM,
};

static const struct pci_identity downstream_identity = {
    .vendor = 0x104c,
    .device = 0x8233,
    .revision = 1,
    .class_code = BRIDGE_CLASS,
    .subsystem_vendor = SUBSYSTEM_VENDOR,
    .subsystem = SUBSYSTEM,
};

#define PORT_PROPERTY                                                                              \
    {                                                                                              \
        .name = "port", .type = PROPERTY_UINT32, .offset = offsetof(struct pci_port, port),        \
        .maximum = 0xff, .meaning = "port number in the Link Capabilities"                         \
    }

static const struct property slot_port_properties[] = {
    PORT_PROPERTY,
    {.name = "slot",
     .type = PROPERTY_UINT32,
     .offset = offsetof(struct pci_port, slot),
     .maximum = 0x1fff,
     .meaning =
         "physical slot number in the Slot Capabilities; 0: with hotplug the first that is free "
         "in the chassis"},
    {.name = "chassis",
     .type = PROPERTY_UINT32,
     .offset = offsetof(struct pci_port, chassis),
     .maximum = 0xff,
     .meaning = "number of the chassis that the slot is in; 0: not said"},
    {.name = "hotplug",
     .type = PROPERTY_BOOL,
     .offset = offsetof(struct pci_port, hotplug),
     .default_value = true,
     .meaning = "a device may be plugged into the slot, and unplugged, while the machine runs"},
    {.name = NULL},
};

static const struct property upstream_properties[] = {
    PORT_PROPERTY,
    {.name = NULL},
};

/* The chassis number, which stays as it is through a reset: it is read-only here. */
static void add_slot_numbering(struct pci_port *port)
{
    struct pci_device *device = &port->device;
    if (port->chassis) {
        unsigned offset = pci_add_capability(device, PCI_CAP_ID_SLOTID, 0, SLOT_NUMBERING_SIZE);
        pci_config_set(device, offset + SLOT_NUMBERING_CHASSIS, 1, port->chassis);
    }
}

/* ---- slot numbers: no two of a chassis are the same. PCIe 5.0, 7.5.3.9 */

struct slot_search {
    const struct pci_port *port;
    uint32_t slot;
    const struct pci_device *taken_by;
};

static bool has_slot(const struct pci_device *device)
{
    return device->type == &root_port_type || device->type == &switch_downstream_type;
}

static void compare_slot(void *opaque, struct pci_device *device)
{
    struct slot_search *search = opaque;
    const struct pci_port *other = (const struct pci_port *)device;
    if (has_slot(device) && other->chassis == search->port->chassis &&
        other->slot == search->slot) {
        search->taken_by = device;
    }
}

/* The port whose slot has this number in the chassis of `port`; NULL: none. */
static const struct pci_device *slot_owner(const struct pci_port *port, uint32_t slot)
{
    struct slot_search search = {.port = port, .slot = slot};
    pci_host_for_each(port->device.host, compare_slot, &search);
    return search.taken_by;
}

/* 0, which stands for a slot that is none, may be there more than once. */
static int choose_slot_number(struct pci_port *port, struct error *err)
{
    const struct pci_device *owner = port->slot ? slot_owner(port, port->slot) : NULL;
    if (owner) {
        return error_set(err, -EEXIST, "slot=%u of chassis %u is already that of %s", port->slot,
                         port->chassis, owner->name);
    }
    if (port->slot == 0 && port->hotplug) {
        do {
            port->slot++;
        } while (slot_owner(port, port->slot));
    }
    return 0;
}

/* ---- ports */

/* What all ports have; the Express capability comes to the head of the list. */
static int realize_port(struct pci_device *device, const struct pci_identity *identity,
                        enum pci_express_role role, struct error *err)
{
    struct pci_port *port = (struct pci_port *)device;
    int ret = has_slot(device) ? choose_slot_number(port, err) : 0;
    if (ret < 0) {
        return ret;
    }
    pci_bridge_init(device, &port->bridge);
    pci_set_interrupt_pin(device, 1);
    ret = pci_add_msi(device, MSI_OFFSET, 0, true, false, err);
    if (ret < 0) {
        pci_bridge_destroy(&port->bridge);
        return ret;
    }
    pci_set_identity(device, identity);
    add_slot_numbering(port);
    pci_add_express(device, role, EXPRESS_OFFSET, false);
    pci_express_set_port(device, port->port, port->slot);
    if (port->hotplug) {
        pci_add_hotplug(device);
    }
    return 0;
}

static int realize_root_port(struct pci_device *device, struct error *err)
{
    return realize_port(device, &root_port_identity, PCI_EXPRESS_ROOT_PORT, err);
}

static int realize_upstream(struct pci_device *device, struct error *err)
{
    return realize_port(device, &upstream_identity, PCI_EXPRESS_UPSTREAM_PORT, err);
}

static int realize_downstream(struct pci_device *device, struct error *err)
{
    return realize_port(device, &downstream_identity, PCI_EXPRESS_DOWNSTREAM_PORT, err);
}

static void unrealize_port(struct pci_device *device)
{
    pci_bridge_destroy(&((struct pci_port *)device)->bridge);
}

const struct pci_device_type root_port_type = {
    .name = "root-port",
    .summary = "PCI Express root port: a slot for one device, or for a switch",
    .size = sizeof(struct pci_port),
    .properties = slot_port_properties,
    .default_slot = -1,
    .realize = realize_root_port,
    .unrealize = unrealize_port,
};

const struct pci_device_type switch_upstream_type = {
    .name = "switch-upstream",
    .summary = "Upstream port of a PCI Express switch; goes behind a root port",
    .size = sizeof(struct pci_port),
    .properties = upstream_properties,
    .default_slot = -1,
    .realize = realize_upstream,
    .unrealize = unrealize_port,
};

const struct pci_device_type switch_downstream_type = {
    .name = "switch-downstream",
    .summary = "Downstream port of a PCI Express switch; goes behind its upstream port",
    .size = sizeof(struct pci_port),
    .properties = slot_port_properties,
    .default_slot = -1,
    .realize = realize_downstream,
    .unrealize = unrealize_port,
};

/* SPDX-License-Identifier: MIT */
/*
 * The PCI Express capability, version 2: 0x3c bytes, the same layout for every kind of function, of
 * which each kind has some groups of registers and the others are wired to 0. PCIe 5.0, 7.5.3.
 *
 *   group               at         who has it
 *   Device  Cap/Ctl/Sta 04 08 0a   all
 *   Link    Cap/Ctl/Sta 0c 10 12   all that are on a link: not a Root Complex Integrated Endpoint
 *   Slot    Cap/Ctl/Sta 14 18 1a   root ports and downstream switch ports: see pci_hotplug.c
 *   Root    Ctl/Cap/Sta 1c 1e 20   root ports
 *   Device 2            24 28 2a   all
 *   Link 2              2c 30 32   as Link
 *   Slot 2              34 38 3a   nobody (reserved)
 *
 * What is modelled: 2.5 GT/s links of one lane that are up when something is plugged below and
 * software has neither disabled them nor switched the slot off; Function Level Reset; hot-plug, in
 * pci_hotplug.c; no power management, ARI or error reporting of this function's own. Registers that
 * could only matter to those are read-only 0 where the specification allows it.
 */
#include <errno.h>

#include "pci/pci_internal.h"

enum {
    EXPRESS_SIZE = 0x3c,
    EXPRESS_VERSION = 2,
    DEVSTA_CLEARABLE =
        PCI_EXP_DEVSTA_CED | PCI_EXP_DEVSTA_NFED | PCI_EXP_DEVSTA_FED | PCI_EXP_DEVSTA_URD,
    /* Relaxed Ordering, No Snoop, Extended Tag: never used, so wired to 0; Max_Payload_Size: only
     * 128 bytes are supported, so wired to 0. */
    DEVCTL_WRITABLE = PCI_EXP_DEVCTL_CERE | PCI_EXP_DEVCTL_NFERE | PCI_EXP_DEVCTL_FERE |
                      PCI_EXP_DEVCTL_URRE | PCI_EXP_DEVCTL_READRQ,
    LNKCAP_ASPM_OPTIONALITY = 0x00400000, /* must be 1 in functions of this version, 7.5.3.6 */
    LNKCTL_COMMON_WRITABLE = PCI_EXP_LNKCTL_ASPMC | PCI_EXP_LNKCTL_CCC | PCI_EXP_LNKCTL_ES,
    LNKCAP_PORT_SHIFT = 24,
    SLTCAP_SLOT_SHIFT = 19,
    RTCTL_WRITABLE =
        PCI_EXP_RTCTL_SECEE | PCI_EXP_RTCTL_SENFEE | PCI_EXP_RTCTL_SEFEE | PCI_EXP_RTCTL_PMEIE,
};

/* A register of the capability. */
static uint32_t get(const struct pci_device *device, unsigned reg, unsigned size)
{
    return pci_config_get(device, device->express + reg, size);
}

static void set(struct pci_device *device, unsigned reg, unsigned size, uint32_t value)
{
    pci_config_set(device, device->express + reg, size, value);
}

static void set_writable(struct pci_device *device, unsigned reg, unsigned size, uint32_t bits)
{
    pci_config_set_writable(device, device->express + reg, size, bits);
}

static void set_clearable(struct pci_device *device, unsigned reg, unsigned size, uint32_t bits)
{
    pci_config_set_clearable(device, device->express + reg, size, bits);
}

bool pci_express_has_slot(const struct pci_device *device)
{
    return device->express && (device->port_type == PCI_EXP_TYPE_ROOT_PORT ||
                               device->port_type == PCI_EXP_TYPE_DOWNSTREAM);
}

/* ---- set-up, a group of registers each */

static void add_device_registers(struct pci_device *device, bool flr)
{
    bool endpoint = !device->bridge;
    set(device, PCI_EXP_DEVCAP, 4, PCI_EXP_DEVCAP_RBER | (flr ? PCI_EXP_DEVCAP_FLR : 0));
    set(device, PCI_EXP_DEVCTL, 2, PCI_EXP_DEVCTL_READRQ_512B);
    set_writable(device, PCI_EXP_DEVCTL, 2, DEVCTL_WRITABLE | (flr ? PCI_EXP_DEVCTL_BCR_FLR : 0));
    set_clearable(device, PCI_EXP_DEVSTA, 2, DEVSTA_CLEARABLE);
    if (endpoint) { /* who makes requests must let software switch their time-out off */
        set(device, PCI_EXP_DEVCAP2, 4, PCI_EXP_DEVCAP2_COMP_TMOUT_DIS);
        set_writable(device, PCI_EXP_DEVCTL2, 2, PCI_EXP_DEVCTL2_COMP_TMOUT_DIS);
    }
}

static void add_link_registers(struct pci_device *device)
{
    bool downstream_facing = pci_express_has_slot(device);
    set(device, PCI_EXP_LNKCAP, 4,
        PCI_EXP_LNKCAP_SLS_2_5GB | PCI_EXP_LNKSTA_NLW_X1 | LNKCAP_ASPM_OPTIONALITY |
            (downstream_facing ? PCI_EXP_LNKCAP_DLLLARC : 0));
    set(device, PCI_EXP_LNKSTA, 2, PCI_EXP_LNKSTA_CLS_2_5GB | PCI_EXP_LNKSTA_NLW_X1);
    set(device, PCI_EXP_LNKCAP2, 4, PCI_EXP_LNKCAP2_SLS_2_5GB);
    set(device, PCI_EXP_LNKCTL2, 2, PCI_EXP_LNKCTL2_TLS_2_5GT);
    uint32_t writable = LNKCTL_COMMON_WRITABLE;
    if (device->port_type == PCI_EXP_TYPE_ENDPOINT) {
        writable |= PCI_EXP_LNKCTL_RCB;
    }
    if (downstream_facing) { /* Retrain Link always reads 0, and training takes no time here */
        writable |= PCI_EXP_LNKCTL_LD;
    }
    set_writable(device, PCI_EXP_LNKCTL, 2, writable);
}

static void add_slot_registers(struct pci_device *device)
{
    set(device, PCI_EXP_FLAGS, 2, get(device, PCI_EXP_FLAGS, 2) | PCI_EXP_FLAGS_SLOT);
    set(device, PCI_EXP_SLTCAP, 4, PCI_EXP_SLTCAP_NCCS);
    set_clearable(device, PCI_EXP_SLTSTA, 2, PCI_EXP_SLTSTA_PDC | PCI_EXP_SLTSTA_DLLSC);
}

static void add_root_registers(struct pci_device *device)
{
    set_writable(device, PCI_EXP_RTCTL, 2, RTCTL_WRITABLE);
    set_clearable(device, PCI_EXP_RTSTA, 4, PCI_EXP_RTSTA_PME);
}

static uint8_t port_type(const struct pci_device *device, enum pci_express_role role)
{
    switch (role) {
    case PCI_EXPRESS_ENDPOINT:
        return device->bus->parent ? PCI_EXP_TYPE_ENDPOINT : PCI_EXP_TYPE_RC_END;
    case PCI_EXPRESS_ROOT_PORT:
        return PCI_EXP_TYPE_ROOT_PORT;
    case PCI_EXPRESS_UPSTREAM_PORT:
        return PCI_EXP_TYPE_UPSTREAM;
    case PCI_EXPRESS_DOWNSTREAM_PORT:
        return PCI_EXP_TYPE_DOWNSTREAM;
    }
    return PCI_EXP_TYPE_ENDPOINT;
}

void pci_add_express(struct pci_device *device, enum pci_express_role role, unsigned offset,
                     bool flr)
{
    pci_require(device, (role == PCI_EXPRESS_ENDPOINT) == !device->bridge,
                "ports are bridges and endpoints are not");
    pci_require(device, !flr || !device->bridge, "Function Level Reset is for endpoints");
    device->express = (uint8_t)pci_add_capability_up_to(device, PCI_CAP_ID_EXP, offset,
                                                        EXPRESS_SIZE, 0x100 + EXPRESS_SIZE - 4);
    device->port_type = port_type(device, role);
    set(device, PCI_EXP_FLAGS, 2, EXPRESS_VERSION | device->port_type << 4);
    add_device_registers(device, flr);
    if (device->port_type != PCI_EXP_TYPE_RC_END) {
        add_link_registers(device);
    }
    if (pci_express_has_slot(device)) {
        add_slot_registers(device);
        device->bridge->secondary.one_device = true;
    }
    if (role == PCI_EXPRESS_ROOT_PORT) {
        add_root_registers(device);
    }
}

void pci_express_set_port(struct pci_device *device, unsigned port, unsigned slot)
{
    set(device, PCI_EXP_LNKCAP, 4, get(device, PCI_EXP_LNKCAP, 4) | port << LNKCAP_PORT_SHIFT);
    if (pci_express_has_slot(device)) {
        set(device, PCI_EXP_SLTCAP, 4, get(device, PCI_EXP_SLTCAP, 4) | slot << SLTCAP_SLOT_SHIFT);
    }
}

/* ---- places */

/* The kind of port whose secondary side the function is on; -1: the root bus. */
static int port_above(const struct pci_device *device)
{
    const struct pci_bridge *parent = device->bus->parent;
    return parent ? parent->device->port_type : -1;
}

int pci_express_check_place(const struct pci_device *device, struct error *err)
{
    int above = port_above(device);
    int type = device->express ? device->port_type : -1;
    if (type == PCI_EXP_TYPE_ROOT_PORT && above != -1) {
        return error_set(err, -EINVAL, "a root port can only be on the root bus");
    }
    if (type == PCI_EXP_TYPE_UPSTREAM && above != PCI_EXP_TYPE_ROOT_PORT &&
        above != PCI_EXP_TYPE_DOWNSTREAM) {
        return error_set(err, -EINVAL,
                         "a switch's upstream port must be behind a root port or a downstream "
                         "port (bus=ID)");
    }
    if (type == PCI_EXP_TYPE_DOWNSTREAM && above != PCI_EXP_TYPE_UPSTREAM) {
        return error_set(err, -EINVAL,
                         "a switch's downstream port must be behind an upstream port (bus=ID)");
    }
    if (type != PCI_EXP_TYPE_DOWNSTREAM && above == PCI_EXP_TYPE_UPSTREAM) {
        return error_set(err, -EINVAL,
                         "only downstream ports can be inside the switch %s: put a "
                         "switch-downstream there and this behind it",
                         device->bus->parent->device->name);
    }
    return 0;
}

/* ---- while it runs */

bool pci_express_link_disabled(const struct pci_device *device)
{
    return pci_express_has_slot(device) && get(device, PCI_EXP_LNKCTL, 2) & PCI_EXP_LNKCTL_LD;
}

void pci_express_update_link(struct pci_device *port)
{
    if (!pci_express_has_slot(port)) {
        return;
    }
    bool active = port->bridge->secondary.count > 0 && !port->bridge->down;
    uint32_t link = get(port, PCI_EXP_LNKSTA, 2);
    if (active == !!(link & PCI_EXP_LNKSTA_DLLLA)) {
        return;
    }
    set(port, PCI_EXP_LNKSTA, 2,
        (link & ~PCI_EXP_LNKSTA_DLLLA) | (active ? PCI_EXP_LNKSTA_DLLLA : 0));
    set(port, PCI_EXP_SLTSTA, 2, get(port, PCI_EXP_SLTSTA, 2) | PCI_EXP_SLTSTA_DLLSC);
    pci_slot_update_interrupt(port);
}

void pci_express_config_written(struct pci_device *device, unsigned reg, unsigned size)
{
    if (!device->express || !pci_touches(reg, size, device->express + PCI_EXP_DEVCTL, 2)) {
        return;
    }
    /* Initiate Function Level Reset can only have been written to 1 where it is offered. */
    if (!device->bridge && get(device, PCI_EXP_DEVCTL, 2) & PCI_EXP_DEVCTL_BCR_FLR) {
        pci_device_reset_locked(device, "flr");
    }
}

/* A function level reset does not touch the link: PCIe 5.0, 6.6.2. */
struct pci_express_kept pci_express_keep(const struct pci_device *device)
{
    if (!device->express) {
        return (struct pci_express_kept){0};
    }
    return (struct pci_express_kept){
        .link_control = get(device, PCI_EXP_LNKCTL, 2),
        .link_control2 = get(device, PCI_EXP_LNKCTL2, 2),
    };
}

void pci_express_restore(struct pci_device *device, struct pci_express_kept kept)
{
    if (device->express) {
        set(device, PCI_EXP_LNKCTL, 2, kept.link_control);
        set(device, PCI_EXP_LNKCTL2, 2, kept.link_control2);
    }
}

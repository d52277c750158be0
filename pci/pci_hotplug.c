/* SPDX-License-Identifier: MIT */
/*
 * Native PCI Express hot-plug: the slot of a root port or a switch's downstream port. PCIe 5.0,
 * 6.7 and 7.5.3.9 to 7.5.3.11. docs/hotplug.md follows a device on its way in and out.
 *
 *   Slot Capabilities 14   attention button, power controller, both indicators, Hot-Plug Capable
 *                          and Surprise; no latch, no interlock; the slot's number
 *   Slot Control      18   enables of the events below, indicators, Power Controller Control
 *   Slot Status       1a   ABP  button pressed           PDC  presence has changed (PDS: it is
 *                          CC   command completed        DLLSC  link has changed       there)
 *
 * An event is a bit of Slot Status that software clears by writing 1. The port interrupts while
 * Hot-Plug Interrupt Enable and the event's own enable are set: INTx as a level, MSI once at each
 * time at which that begins to hold (6.7.3.4). Every write of Slot Control is a command, and done
 * when it returns.
 *
 * Power Controller Control off (1) holds what is in the slot in reset, as Link Disable does: see
 * pci_bridge.c. An empty slot is without power after reset, and what comes into it waits for the
 * guest's driver to switch it on; the link comes up at once then.
 *
 * Devices come and go on the main thread, while the vCPUs are parked (struct pci_hotplug_ops): so
 * the lists of functions need no lock, and nobody is inside a function that is freed. The guest
 * gives a device back by a write of Slot Control on a vCPU's thread, which only wakes the main
 * thread.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "pci/pci_internal.h"
#include "vmm/event_loop.h"
#include "vmm/trace.h"

enum {
    EVENTS = PCI_EXP_SLTSTA_ABP | PCI_EXP_SLTSTA_PDC | PCI_EXP_SLTSTA_CC | PCI_EXP_SLTSTA_DLLSC,
    /* Those whose enable is at the same place in Slot Control. */
    EVENTS_IN_PLACE = PCI_EXP_SLTSTA_ABP | PCI_EXP_SLTSTA_PDC | PCI_EXP_SLTSTA_CC,
    SLTCTL_WRITABLE = PCI_EXP_SLTCTL_ABPE | PCI_EXP_SLTCTL_PDCE | PCI_EXP_SLTCTL_CCIE |
                      PCI_EXP_SLTCTL_HPIE | PCI_EXP_SLTCTL_AIC | PCI_EXP_SLTCTL_PIC |
                      PCI_EXP_SLTCTL_PCC | PCI_EXP_SLTCTL_DLLSCE,
    SLTCTL_EMPTY =
        PCI_EXP_SLTCTL_ATTN_IND_OFF | PCI_EXP_SLTCTL_PWR_IND_OFF | PCI_EXP_SLTCTL_PWR_OFF,
    SLTCTL_OCCUPIED =
        PCI_EXP_SLTCTL_ATTN_IND_OFF | PCI_EXP_SLTCTL_PWR_IND_ON | PCI_EXP_SLTCTL_PWR_ON,
};

static uint32_t get(const struct pci_device *port, unsigned reg)
{
    return pci_config_get(port, port->express + reg, 2);
}

static void set(struct pci_device *port, unsigned reg, uint32_t value)
{
    pci_config_set(port, port->express + reg, 2, value);
}

/* ---- set-up */

void pci_add_hotplug(struct pci_device *port)
{
    unsigned at = port->express;
    pci_require(port, pci_express_has_slot(port), "hot-plug is for ports with a slot");
    uint32_t slot = pci_config_get(port, at + PCI_EXP_SLTCAP, 4) & ~(uint32_t)PCI_EXP_SLTCAP_NCCS;
    pci_config_set(port, at + PCI_EXP_SLTCAP, 4,
                   slot | PCI_EXP_SLTCAP_ABP | PCI_EXP_SLTCAP_PCP | PCI_EXP_SLTCAP_AIP |
                       PCI_EXP_SLTCAP_PIP | PCI_EXP_SLTCAP_HPS | PCI_EXP_SLTCAP_HPC);
    set(port, PCI_EXP_SLTCTL, SLTCTL_EMPTY);
    pci_config_set_writable(port, at + PCI_EXP_SLTCTL, 2, SLTCTL_WRITABLE);
    pci_config_set_clearable(port, at + PCI_EXP_SLTSTA, 2, EVENTS);
    port->bridge->hotplug = true;
}

/* ---- events; the port's lock is held */

void pci_slot_update_interrupt(struct pci_device *port)
{
    uint32_t control = get(port, PCI_EXP_SLTCTL);
    uint32_t status = get(port, PCI_EXP_SLTSTA);
    bool wanted = status & control & EVENTS_IN_PLACE ||
                  (status & PCI_EXP_SLTSTA_DLLSC && control & PCI_EXP_SLTCTL_DLLSCE);
    bool interrupt = wanted && control & PCI_EXP_SLTCTL_HPIE;
    if (interrupt == port->bridge->slot_interrupt) {
        return;
    }
    trace_pci_slot_interrupt(port->name, status, control, interrupt);
    port->bridge->slot_interrupt = interrupt;
    pci_set_intx(port, interrupt);
    if (interrupt && pci_msi_enabled(port)) {
        pci_msi_notify(port, 0); /* Interrupt Message Number, 7.5.3.2, is 0 */
    }
}

static void raise_events(struct pci_device *port, uint32_t events)
{
    set(port, PCI_EXP_SLTSTA, get(port, PCI_EXP_SLTSTA) | events);
    pci_slot_update_interrupt(port);
}

bool pci_slot_is_off(const struct pci_device *port)
{
    return port->bridge->hotplug && get(port, PCI_EXP_SLTCTL) & PCI_EXP_SLTCTL_PCC;
}

/* The guest has let go of what is in the slot: without power, and the indicator says that it may be
 * taken out. */
static bool is_safe_to_open(const struct pci_device *port)
{
    return pci_slot_is_off(port) &&
           (get(port, PCI_EXP_SLTCTL) & PCI_EXP_SLTCTL_PIC) == PCI_EXP_SLTCTL_PWR_IND_OFF;
}

void pci_slot_config_written(struct pci_device *port, unsigned reg, unsigned size)
{
    if (!port->bridge->hotplug) {
        return;
    }
    if (pci_touches(reg, size, port->express + PCI_EXP_SLTCTL, 2)) {
        trace_pci_slot_control(port->name, get(port, PCI_EXP_SLTCTL));
        set(port, PCI_EXP_SLTSTA, get(port, PCI_EXP_SLTSTA) | PCI_EXP_SLTSTA_CC);
        if (port->bridge->unplug_wanted && is_safe_to_open(port)) {
            uint64_t one = 1;
            (void)!write(port->host->eject.fd, &one, sizeof(one)); /* full is as good */
        }
    }
    pci_slot_update_interrupt(port);
}

/* ---- what is in the slot */

/* The registers' power-on values follow it: a machine that starts finds its devices running. */
static void set_power_on_values(struct pci_device *port, bool present)
{
    unsigned at = port->express;
    uint8_t *config = port->reset_config;
    uint32_t link = pci_bytes_load(config, at + PCI_EXP_LNKSTA, 2) & ~PCI_EXP_LNKSTA_DLLLA;
    pci_bytes_store(config, at + PCI_EXP_LNKSTA, 2, link | (present ? PCI_EXP_LNKSTA_DLLLA : 0));
    pci_bytes_store(config, at + PCI_EXP_SLTSTA, 2, present ? PCI_EXP_SLTSTA_PDS : 0);
    if (port->bridge->hotplug) {
        pci_bytes_store(config, at + PCI_EXP_SLTCTL, 2, present ? SLTCTL_OCCUPIED : SLTCTL_EMPTY);
    }
}

/* Before the machine runs there is nobody to tell. */
static void take_power_on_values(struct pci_device *port)
{
    static const unsigned registers[] = {PCI_EXP_LNKSTA, PCI_EXP_SLTSTA, PCI_EXP_SLTCTL};
    for (unsigned i = 0; i < sizeof(registers) / sizeof(registers[0]); i++) {
        set(port, registers[i],
            pci_bytes_load(port->reset_config, port->express + registers[i], 2));
    }
}

/* While it runs; who plugs something in also presses the button, as a person would. */
static void tell_presence(struct pci_device *port, bool present)
{
    uint32_t status = get(port, PCI_EXP_SLTSTA) & ~PCI_EXP_SLTSTA_PDS;
    set(port, PCI_EXP_SLTSTA, status | (present ? PCI_EXP_SLTSTA_PDS : 0));
    raise_events(port, PCI_EXP_SLTSTA_PDC | (present ? PCI_EXP_SLTSTA_ABP : 0));
}

void pci_slot_changed(struct pci_device *port, bool hot)
{
    if (!pci_express_has_slot(port)) {
        return;
    }
    bool present = port->bridge->secondary.count > 0;
    pthread_mutex_lock(&port->lock);
    set_power_on_values(port, present);
    if (!hot) {
        take_power_on_values(port);
    }
    pci_bridge_update_down(port->bridge);
    if (hot) {
        pci_express_update_link(port);
        tell_presence(port, present);
    }
    pthread_mutex_unlock(&port->lock);
}

/* ---- who may come and go */

int pci_hotplug_check_bus(const struct pci_bus *bus, const char *context, struct error *err)
{
    if (!bus->parent) {
        return error_set(err, -ENOTSUP,
                         "%s: 'pcie.0' has no hot-plug; behind a root-port or a "
                         "switch-downstream (bus=ID) there is",
                         context);
    }
    const struct pci_device *port = bus->parent->device;
    if (!pci_express_has_slot(port)) {
        return error_set(err, -ENOTSUP,
                         "%s: inside the switch '%s' there is no hot-plug; behind its "
                         "switch-downstream ports there is",
                         context, port->id);
    }
    if (!bus->parent->hotplug) {
        return error_set(err, -ENOTSUP, "%s: '%s' has no hot-plug (it has hotplug=off)", context,
                         port->id);
    }
    return 0;
}

int pci_hotplug_check_device(const struct pci_device *device, struct error *err)
{
    if (device->bridge) {
        return error_set(err, -ENOTSUP, "a port cannot be hot-plugged");
    }
    if (device->devfn) {
        return error_set(err, -ENOTSUP, "only function 0 of a slot can be hot-plugged");
    }
    return 0;
}

static int check_unplug(const struct pci_device *device, const char *context, struct error *err)
{
    int ret = pci_hotplug_check_bus(device->bus, context, err);
    if (ret < 0) {
        return ret;
    }
    if (device->bridge) {
        return error_set(err, -ENOTSUP, "%s: a port cannot be unplugged", context);
    }
    if (device->bus->count > 1) {
        return error_set(err, -ENOTSUP, "%s: it shares its slot with other functions", context);
    }
    return 0;
}

/* ---- taking a device out, on the main thread */

void pci_hotplug_hold(const struct pci_host *host)
{
    if (host->hotplug) {
        host->hotplug->hold(host->hotplug_opaque);
    }
}

void pci_hotplug_release(const struct pci_host *host)
{
    if (host->hotplug) {
        host->hotplug->release(host->hotplug_opaque);
    }
}

/* A machine that is reset does not ask its guest any more. */
static bool is_to_be_ejected(struct pci_bridge *bridge, bool at_reset)
{
    pthread_mutex_lock(&bridge->device->lock);
    bool ready = bridge->unplug_wanted && (at_reset || is_safe_to_open(bridge->device));
    pthread_mutex_unlock(&bridge->device->lock);
    return ready;
}

static struct pci_bridge *find_to_be_ejected(struct pci_host *host, bool at_reset)
{
    for (unsigned i = 0; i < host->device_count; i++) {
        struct pci_bridge *bridge = host->devices[i]->bridge;
        if (bridge && is_to_be_ejected(bridge, at_reset)) {
            return bridge;
        }
    }
    return NULL;
}

/* The vCPUs are parked. */
static void take_out(struct pci_bridge *bridge)
{
    struct pci_device *device = bridge->secondary.devices[0];
    bridge->unplug_wanted = false;
    trace_pci_hotplug(device->name, "unplugged");
    pci_device_reset(device, "power-off"); /* its own threads stop, and pull no wire any more */
    pci_host_remove(bridge->device->host, device, true);
}

static void eject(struct pci_bridge *bridge, bool at_reset)
{
    struct pci_host *host = bridge->device->host;
    if (!at_reset) {
        pci_hotplug_hold(host);
    }
    struct pci_device *device = bridge->secondary.devices[0];
    const char *id = device->id;
    char *strings = device->strings; /* the id is in there */
    bool gone = is_to_be_ejected(bridge, at_reset);
    if (gone) {
        device->strings = NULL;
        take_out(bridge);
    }
    if (!at_reset) {
        pci_hotplug_release(host);
    }
    if (gone && host->hotplug) {
        host->hotplug->removed(host->hotplug_opaque, id);
    }
    if (gone) {
        free(strings);
    }
}

void pci_hotplug_eject_all(struct pci_host *host, bool at_reset)
{
    for (struct pci_bridge *bridge; (bridge = find_to_be_ejected(host, at_reset));) {
        eject(bridge, at_reset);
    }
}

static void slot_was_switched_off(void *opaque, uint32_t events)
{
    struct pci_host *host = opaque;
    uint64_t count;
    (void)events;
    (void)!read(host->eject.fd, &count, sizeof(count));
    pci_hotplug_eject_all(host, false);
}

/* How a vCPU's thread wakes the main one; there from the first request on. */
static int open_eject_event(struct pci_host *host, const char *context, struct error *err)
{
    if (host->eject.handler) {
        return 0;
    }
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0) {
        return error_set(err, -errno, "%s: %s", context, strerror(errno));
    }
    host->eject = (struct event_source){.fd = fd, .handler = slot_was_switched_off, .opaque = host};
    int ret = event_loop_add(host->loop, &host->eject, EPOLLIN);
    if (ret < 0) {
        close(fd);
        host->eject = (struct event_source){0};
        return error_set(err, ret, "%s: %s", context, strerror(-ret));
    }
    return 0;
}

void pci_hotplug_destroy(struct pci_host *host)
{
    if (host->eject.handler) {
        event_loop_remove(host->loop, &host->eject);
        close(host->eject.fd);
        host->eject = (struct event_source){0};
    }
}

/* Press the button, unless the guest is at it already or has let go of the device before. */
static int press_button(struct pci_device *port, const char *context, struct error *err)
{
    uint32_t indicator = get(port, PCI_EXP_SLTCTL) & PCI_EXP_SLTCTL_PIC;
    if (indicator == PCI_EXP_SLTCTL_PWR_IND_BLINK) { /* pressed again, it would call that off */
        return error_set(err, -EBUSY,
                         "%s: the guest is at work on this slot: its power indicator blinks",
                         context);
    }
    port->bridge->unplug_wanted = true;
    if (!is_safe_to_open(port)) {
        raise_events(port, PCI_EXP_SLTSTA_ABP);
    }
    return 0;
}

int pci_host_unplug(struct pci_host *host, const char *id, const char *context, struct error *err)
{
    const struct pci_device *device = pci_host_find_id(host, id);
    if (!device) {
        return error_set(err, -ENOENT, "%s: there is no device with this id", context);
    }
    int ret = check_unplug(device, context, err);
    if (ret == 0) {
        ret = open_eject_event(host, context, err);
    }
    if (ret < 0) {
        return ret;
    }
    struct pci_device *port = device->bus->parent->device;
    pthread_mutex_lock(&port->lock);
    ret = press_button(port, context, err);
    pthread_mutex_unlock(&port->lock);
    if (ret == 0) {
        trace_pci_hotplug(device->name, "unplug wanted");
        pci_hotplug_eject_all(host, false); /* if it had no power anyhow */
    }
    return ret;
}

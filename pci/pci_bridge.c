/* SPDX-License-Identifier: MIT */
/*
 * Type 1 headers: bus numbers, forwarding windows, and the reset of what is below.
 *
 * Bus numbers belong to the guest. It can give two bridges the same one, a range that ends before
 * it begins, or a range that contains the bridge's own bus. None of that can confuse the walk,
 * which descends along how the buses are plugged and uses numbers only to choose: each step goes
 * one bus down, so it ends. A bus that cannot be reached by the numbers is simply not there.
 *
 * Windows (PCI-to-PCI Bridge 1.2, 3.2.5): each is a base and a limit of which the low bits are not
 * stored, 4 KiB apart for I/O and 1 MiB for memory. base > limit closes a window.
 *
 * While Secondary Bus Reset or, on a PCI Express link, Link Disable is set, or a slot that has
 * hot-plug is switched off, everything below is held in reset: it is reset once when the bit is
 * set, and nothing below answers until it is cleared.
 */
#include "pci/pci_internal.h"
#include "vmm/trace.h"

enum {
    /* ISA Enable stops I/O to addresses with any of these bits set. Bridge 1.2, 3.2.5.18. */
    ISA_ALIAS_BITS = 0x300,
    BRIDGE_CTL_VGA_16BIT = 0x10,
    /* Master Abort Mode and the fast back-to-back and discard timer bits are 0 in PCI Express. VGA
     * bits are stored but there is no VGA. */
    BRIDGE_CTL_WRITABLE = PCI_BRIDGE_CTL_PARITY | PCI_BRIDGE_CTL_SERR | PCI_BRIDGE_CTL_ISA |
                          PCI_BRIDGE_CTL_VGA | BRIDGE_CTL_VGA_16BIT | PCI_BRIDGE_CTL_BUS_RESET,
};

/* ---- set-up */

static void init_windows(struct pci_device *device)
{
    pci_config_set_writable(device, PCI_IO_BASE, 1, 0xf0);
    pci_config_set_writable(device, PCI_IO_LIMIT, 1, 0xf0);
    pci_config_set_writable(device, PCI_MEMORY_BASE, 2, 0xfff0);
    pci_config_set_writable(device, PCI_MEMORY_LIMIT, 2, 0xfff0);
    pci_config_set(device, PCI_PREF_MEMORY_BASE, 2, PCI_PREF_RANGE_TYPE_64);
    pci_config_set(device, PCI_PREF_MEMORY_LIMIT, 2, PCI_PREF_RANGE_TYPE_64);
    pci_config_set_writable(device, PCI_PREF_MEMORY_BASE, 2, 0xfff0);
    pci_config_set_writable(device, PCI_PREF_MEMORY_LIMIT, 2, 0xfff0);
    pci_config_set_writable(device, PCI_PREF_BASE_UPPER32, 4, UINT32_MAX);
    pci_config_set_writable(device, PCI_PREF_LIMIT_UPPER32, 4, UINT32_MAX);
}

void pci_bridge_init(struct pci_device *device, struct pci_bridge *bridge)
{
    *bridge = (struct pci_bridge){.device = device};
    bridge->secondary.host = device->host;
    bridge->secondary.parent = bridge;
    device->bridge = bridge;
    pci_config_set(device, PCI_HEADER_TYPE, 1,
                   pci_config_get(device, PCI_HEADER_TYPE, 1) | PCI_HEADER_TYPE_BRIDGE);
    pci_config_set_writable(device, PCI_PRIMARY_BUS, 1, 0xff);
    pci_config_set_writable(device, PCI_SECONDARY_BUS, 1, 0xff);
    pci_config_set_writable(device, PCI_SUBORDINATE_BUS, 1, 0xff);
    pci_config_set_clearable(device, PCI_SEC_STATUS, 2,
                             pci_bytes_load(device->clear_mask, PCI_STATUS, 2));
    pci_config_set_writable(device, PCI_BRIDGE_CONTROL, 2, BRIDGE_CTL_WRITABLE);
    init_windows(device);
}

void pci_bridge_destroy(struct pci_bridge *bridge)
{
    if (bridge->device) {
        pci_require(bridge->device, bridge->secondary.count == 0, "a bridge goes before its bus");
        bridge->device->bridge = NULL;
        bridge->device = NULL;
    }
}

void pci_bridge_link(struct pci_bridge *bridge)
{
    struct pci_bridge **place = &bridge->device->bus->bridges;
    while (*place && (*place)->device->devfn > bridge->device->devfn) {
        place = &(*place)->next;
    }
    bridge->next = *place;
    *place = bridge;
}

void pci_bridge_unlink(struct pci_bridge *bridge)
{
    struct pci_bridge **place = &bridge->device->bus->bridges;
    while (*place != bridge) {
        place = &(*place)->next;
    }
    *place = bridge->next;
}

/* ---- windows */

/* Never true of a closed window (base > limit), as first <= last. */
static bool inside(uint64_t first, uint64_t last, uint64_t base, uint64_t limit)
{
    return first >= base && last <= limit;
}

static bool forwards_io(const struct pci_device *device, uint64_t first, uint64_t last)
{
    uint64_t base = (pci_config_get(device, PCI_IO_BASE, 1) & 0xf0) << 8;
    uint64_t limit = (pci_config_get(device, PCI_IO_LIMIT, 1) & 0xf0) << 8 | 0xfff;
    bool isa = pci_config_get(device, PCI_BRIDGE_CONTROL, 2) & PCI_BRIDGE_CTL_ISA;
    /* A BAR is at most 256 bytes and aligned, so all of it has these two bits in common. */
    return inside(first, last, base, limit) && !(isa && (first & ISA_ALIAS_BITS));
}

static bool forwards_memory(const struct pci_device *device, uint64_t first, uint64_t last)
{
    uint64_t base = (uint64_t)(pci_config_get(device, PCI_MEMORY_BASE, 2) & 0xfff0) << 16;
    uint64_t limit =
        (uint64_t)(pci_config_get(device, PCI_MEMORY_LIMIT, 2) & 0xfff0) << 16 | 0xfffff;
    return inside(first, last, base, limit);
}

static bool forwards_prefetchable(const struct pci_device *device, uint64_t first, uint64_t last)
{
    uint64_t base = (uint64_t)pci_config_get(device, PCI_PREF_BASE_UPPER32, 4) << 32 |
                    (uint64_t)(pci_config_get(device, PCI_PREF_MEMORY_BASE, 2) & 0xfff0) << 16;
    uint64_t limit = (uint64_t)pci_config_get(device, PCI_PREF_LIMIT_UPPER32, 4) << 32 |
                     (uint64_t)(pci_config_get(device, PCI_PREF_MEMORY_LIMIT, 2) & 0xfff0) << 16 |
                     0xfffff;
    return inside(first, last, base, limit);
}

bool pci_bridge_forwards(const struct pci_bridge *bridge, bool io, uint64_t first, uint64_t last)
{
    const struct pci_device *device = bridge->device;
    uint32_t command = pci_config_get(device, PCI_COMMAND, 2);
    if (bridge->down || !(command & (io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY))) {
        return false;
    }
    if (io) {
        return forwards_io(device, first, last);
    }
    return forwards_memory(device, first, last) || forwards_prefetchable(device, first, last);
}

/* ---- bus numbers */

unsigned pci_bus_number(const struct pci_bus *bus)
{
    return bus->parent ? pci_config_get(bus->parent->device, PCI_SECONDARY_BUS, 1) : 0;
}

/*
 * Enter into `map` all that is reached through the bridges of `bus` with numbers first..last. Where
 * two bridges claim a number the one with the lower devfn gets it, hence the list's order; and a
 * bus takes its own number before any bridge on it can.
 */
static void claim_numbers(struct pci_bus *bus, unsigned first, unsigned last, struct pci_bus **map)
{
    for (struct pci_bridge *bridge = bus->bridges; bridge; bridge = bridge->next) {
        unsigned secondary = pci_config_get(bridge->device, PCI_SECONDARY_BUS, 1);
        unsigned subordinate = pci_config_get(bridge->device, PCI_SUBORDINATE_BUS, 1);
        unsigned low = secondary > first ? secondary : first;
        unsigned high = subordinate < last ? subordinate : last;
        if (low > high) {
            continue;
        }
        for (unsigned number = low; number <= high; number++) {
            map[number] = NULL;
        }
        if (bridge->down) {
            continue;
        }
        claim_numbers(&bridge->secondary, low, high, map);
        if (low == secondary) {
            map[secondary] = &bridge->secondary;
        }
    }
}

void pci_bus_map_update(struct pci_host *host)
{
    struct pci_bus *map[PCI_BUS_COUNT] = {NULL};
    pthread_mutex_lock(&host->map_lock);
    claim_numbers(&host->root, 0, PCI_BUS_COUNT - 1, map);
    map[0] = &host->root;
    for (unsigned number = 0; number < PCI_BUS_COUNT; number++) {
        struct pci_bus *bus = map[number] ? map[number] : &host->nowhere;
        atomic_store_explicit(&host->bus_map[number], bus, memory_order_release);
    }
    pthread_mutex_unlock(&host->map_lock);
}

/* Routes carry the requester id (an ITS looks at it), and that has the bus number in it. The lock
 * of a bridge above is held, none of these. */
static void update_routes_below(struct pci_bus *bus)
{
    for (unsigned devfn = 0; bus->count && devfn < PCI_DEVFN_COUNT; devfn++) {
        struct pci_device *device = bus->devices[devfn];
        if (!device) {
            continue;
        }
        pthread_mutex_lock(&device->lock);
        pci_msi_update(device);
        pci_msix_update(device);
        pthread_mutex_unlock(&device->lock);
        if (device->bridge) {
            update_routes_below(&device->bridge->secondary);
        }
    }
}

static void renumber(struct pci_bridge *bridge)
{
    struct pci_device *device = bridge->device;
    trace_pci_bus_numbers(device->name, pci_config_get(device, PCI_SECONDARY_BUS, 1),
                          pci_config_get(device, PCI_SUBORDINATE_BUS, 1));
    pci_bus_map_update(device->host);
    pci_map_update(device); /* the requester ids below */
    update_routes_below(&bridge->secondary);
}

/* ---- reset of what is below */

static void reset_below(struct pci_bridge *bridge, const char *kind)
{
    struct pci_bus *bus = &bridge->secondary;
    for (unsigned devfn = 0; bus->count && devfn < PCI_DEVFN_COUNT; devfn++) {
        if (bus->devices[devfn]) {
            pci_device_reset(bus->devices[devfn], kind);
        }
    }
}

static void set_down(struct pci_bridge *bridge, bool down)
{
    struct pci_host *host = bridge->device->host;
    pthread_mutex_lock(&host->map_lock);
    bridge->down = down;
    pthread_mutex_unlock(&host->map_lock);
    trace_pci_link(bridge->device->name, down ? "down" : "up");
    pci_express_update_link(bridge->device);
    pci_bus_map_update(host);
}

void pci_bridge_update_down(struct pci_bridge *bridge)
{
    const struct pci_device *device = bridge->device;
    bool down = pci_config_get(device, PCI_BRIDGE_CONTROL, 2) & PCI_BRIDGE_CTL_BUS_RESET ||
                pci_express_link_disabled(device) || pci_slot_is_off(device);
    if (down == bridge->down) {
        return;
    }
    set_down(bridge, down); /* first nobody is reachable there, then they are reset */
    if (down) {
        reset_below(bridge, "bus");
    }
}

void pci_bridge_config_written(struct pci_bridge *bridge, unsigned reg, unsigned size)
{
    if (pci_touches(reg, size, PCI_IO_BASE, PCI_IO_LIMIT_UPPER16 + 2 - PCI_IO_BASE) ||
        pci_touches(reg, size, PCI_BRIDGE_CONTROL, 2)) {
        pci_map_update(bridge->device);
    }
    if (pci_touches(reg, size, PCI_SECONDARY_BUS, 2)) {
        renumber(bridge);
    }
    pci_bridge_update_down(bridge);
}

/* A reset of a bridge reaches all that is below it: PCIe 5.0, 6.6.1, and Bridge 1.2, 3.2.5.18. */
void pci_bridge_registers_reset(struct pci_bridge *bridge, const char *kind)
{
    bridge->slot_interrupt = false;
    pci_bridge_update_down(bridge);
    reset_below(bridge, kind);
    renumber(bridge);
}

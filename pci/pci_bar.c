/* SPDX-License-Identifier: MIT */
/*
 * Base address registers: which of a function's regions are decoded where. PCI 3.0, 6.2.5.
 *
 * A BAR of 2^n bytes has its low n bits wired to 0, so that software finds the size by writing all
 * ones and reading back. That needs no code: the write mask is the whole of it.
 *
 * Whether a BAR is on the machine's bus follows from registers alone: the Command register's
 * enables, the BAR's own address, and the windows of every bridge above. pci_map_update() looks at
 * all of them anew and moves what has to move; it is called after any of them was written, with
 * whatever order, width or value the guest chose. It runs under the host's map_lock: of two vCPUs
 * that write at once the second to get the lock sees both registers.
 *
 * Never decoded, though software can write them:
 *   - address 0, the value after reset, so that a decode enable set too early hides nothing
 *   - an address whose last byte is the last of 32-bit or of 64-bit space: that is what asking for
 *     the size looks like, which software may do with decode enabled
 *   - anything that ends above the top of the bus, such as a 64-bit BAR of which one half has been
 *     written
 * Anything else is decoded where the guest puts it, also on top of another BAR; the bus says who
 * wins, and what the machine has fixed always does.
 */
#include <stdio.h>

#include "pci/pci_internal.h"
#include "vmm/trace.h"

static const uint64_t NOT_DECODED = UINT64_MAX;

enum { IO_SPACE_LAST = 0xffff }; /* I/O addresses have 16 bits at most on the hosts there are */

static bool is_64bit(enum pci_bar_kind kind)
{
    return kind == PCI_BAR_MEM64 || kind == PCI_BAR_MEM64_PREFETCH;
}

static unsigned bar_register(unsigned index)
{
    return PCI_BASE_ADDRESS_0 + 4 * index;
}

/* The read-only low bits of a BAR, which say what it is. */
static uint32_t kind_bits(enum pci_bar_kind kind)
{
    switch (kind) {
    case PCI_BAR_IO:
        return PCI_BASE_ADDRESS_SPACE_IO;
    case PCI_BAR_MEM32_PREFETCH:
        return PCI_BASE_ADDRESS_MEM_PREFETCH;
    case PCI_BAR_MEM64:
        return PCI_BASE_ADDRESS_MEM_TYPE_64;
    case PCI_BAR_MEM64_PREFETCH:
        return PCI_BASE_ADDRESS_MEM_TYPE_64 | PCI_BASE_ADDRESS_MEM_PREFETCH;
    case PCI_BAR_NONE:
    case PCI_BAR_MEM32:
        break;
    }
    return 0;
}

/* ---- set-up */

/* What a BAR without ops of its own answers outside the MSI-X structures. */
static uint64_t read_nothing(void *opaque, uint64_t offset, unsigned size)
{
    (void)opaque;
    (void)offset;
    (void)size;
    return 0;
}

static void write_nothing(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    (void)opaque;
    (void)offset;
    (void)size;
    (void)value;
}

static const struct bus_ops nothing_ops = {.read = read_nothing, .write = write_nothing};

static void check_bar(const struct pci_device *device, unsigned index, enum pci_bar_kind kind,
                      uint64_t size)
{
    unsigned count = device->bridge ? 2 : PCI_BAR_COUNT;
    unsigned last = index + is_64bit(kind);
    bool io = kind == PCI_BAR_IO;
    pci_require(device, kind != PCI_BAR_NONE && last < count, "no such BAR");
    pci_require(device, device->bars[index].kind == PCI_BAR_NONE, "a BAR is taken");
    pci_require(device, device->bars[last].kind == PCI_BAR_NONE, "a BAR is taken");
    pci_require(device, index == 0 || !is_64bit(device->bars[index - 1].kind), "a BAR is taken");
    pci_require(device, size && !(size & (size - 1)), "a BAR's size is not a power of two");
    pci_require(device, size >= (io ? 4 : 16) && (!io || size <= 256), "a BAR's size is not legal");
    pci_require(device, is_64bit(kind) || size <= 1u << 31, "a BAR's size is not legal");
}

void pci_add_bar(struct pci_device *device, unsigned index, enum pci_bar_kind kind, uint64_t size,
                 const struct bus_ops *ops, void *opaque)
{
    check_bar(device, index, kind, size);
    struct pci_bar *bar = &device->bars[index];
    bar->kind = kind;
    snprintf(bar->name, sizeof(bar->name), "%s bar%u", device->name, index);
    bar->region = (struct bus_region){
        .name = bar->name,
        .size = size,
        .priority = BUS_PRIORITY_BAR,
        .ops = ops ? ops : &nothing_ops,
        .opaque = opaque,
    };
    uint64_t writable = ~(size - 1);
    pci_config_set(device, bar_register(index), 4, kind_bits(kind));
    pci_config_set_writable(device, bar_register(index), 4, (uint32_t)writable);
    if (is_64bit(kind)) {
        pci_config_set_writable(device, bar_register(index + 1), 4, (uint32_t)(writable >> 32));
    }
}

/* ---- decoding; host->map_lock is held */

/* The address software wrote, or NOT_DECODED if it is none; see above. */
static uint64_t programmed_address(const struct pci_device *device, unsigned index)
{
    const struct pci_bar *bar = &device->bars[index];
    uint32_t mask = pci_bytes_load(device->write_mask, bar_register(index), 4);
    uint32_t low = pci_config_get(device, bar_register(index), 4) & mask;
    uint64_t high = 0;
    if (is_64bit(bar->kind)) {
        high = pci_config_get(device, bar_register(index + 1), 4);
    }
    uint64_t address = high << 32 | low;
    uint64_t last = address + (bar->region.size - 1);
    bool sizing = last == UINT32_MAX || last == UINT64_MAX;
    return sizing || address == 0 || last < address ? NOT_DECODED : address;
}

static bool bridges_forward(const struct pci_bus *bus, bool io, uint64_t first, uint64_t last)
{
    for (; bus->parent; bus = bus->parent->device->bus) {
        if (!pci_bridge_forwards(bus->parent, io, first, last)) {
            return false;
        }
    }
    return true;
}

/* Where on the machine's bus the BAR belongs now. */
static uint64_t bar_place(const struct pci_device *device, unsigned index, const struct bus *bus)
{
    const struct pci_bar *bar = &device->bars[index];
    bool io = bar->kind == PCI_BAR_IO;
    uint32_t command = pci_config_get(device, PCI_COMMAND, 2);
    if (!bus || !(command & (io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY))) {
        return NOT_DECODED;
    }
    uint64_t first = programmed_address(device, index);
    uint64_t last = first + (bar->region.size - 1);
    if (first == NOT_DECODED || (io && last > IO_SPACE_LAST) ||
        !bridges_forward(device->bus, io, first, last)) {
        return NOT_DECODED;
    }
    uint64_t offset = io ? device->host->pio_base : 0;
    return last + offset < last || last + offset > bus->limit ? NOT_DECODED : first + offset;
}

static void unmap_bar(struct pci_device *device, unsigned index)
{
    struct pci_bar *bar = &device->bars[index];
    if (bar->mapped) {
        bar->mapped = false;
        trace_pci_bar_unmap(device->name, index);
    }
    bus_remove(&bar->region);
}

static void update_bar(struct pci_device *device, unsigned index)
{
    struct pci_bar *bar = &device->bars[index];
    struct pci_host *host = device->host;
    struct bus *bus = bar->kind == PCI_BAR_IO ? host->pio : host->mmio;
    uint64_t place = bar_place(device, index, bus);
    if (place == NOT_DECODED) {
        unmap_bar(device, index);
    } else if (!bar->mapped || bar->region.base != place) {
        /* Only memory can be missing here; then the BAR does not answer until it is written again.
         */
        bar->mapped = bus_move(bus, &bar->region, place, NULL) == 0;
        if (bar->mapped) {
            trace_pci_bar_map(device->name, index, place, bar->region.size);
        }
    }
}

/* ---- all that follows from the registers of a function and of the bridges above it */

static void update_bus_master(struct pci_device *device)
{
    bool enabled = pci_config_get(device, PCI_COMMAND, 2) & PCI_COMMAND_MASTER;
    const struct pci_bridge *parent = device->bus->parent;
    if (parent) {
        enabled = enabled && atomic_load(&parent->device->dma.bus_master);
    }
    atomic_store(&device->dma.bus_master, enabled);
}

/* Parents come before children, so that a child finds its parent's bus mastering up to date. */
static void update_function(struct pci_device *device)
{
    for (unsigned i = 0; i < PCI_BAR_COUNT; i++) {
        if (device->bars[i].kind != PCI_BAR_NONE) {
            update_bar(device, i);
        }
    }
    update_bus_master(device);
    atomic_store(&device->dma.requester_id,
                 (uint16_t)(pci_bus_number(device->bus) << 8 | device->devfn));
    if (!device->bridge) {
        return;
    }
    struct pci_bus *below = &device->bridge->secondary;
    for (unsigned devfn = 0; below->count && devfn < PCI_DEVFN_COUNT; devfn++) {
        if (below->devices[devfn]) {
            update_function(below->devices[devfn]);
        }
    }
}

void pci_map_update(struct pci_device *device)
{
    pthread_mutex_lock(&device->host->map_lock);
    update_function(device);
    pthread_mutex_unlock(&device->host->map_lock);
}

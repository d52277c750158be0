/* SPDX-License-Identifier: MIT */
/*
 * The PCI host bridge: two ways from an address to a configuration register, and the lists of what
 * there is. How devices are created and find their slots is in pci_slots.c.
 *
 *   CF8 (PCI 3.0, 3.2.2.3.2)    31 enable | 23-16 bus | 15-11 device | 10-8 function | 7-2 register
 *   CFC-CFF                     the register's four bytes; which of them, the port's low bits say
 *   ECAM (PCIe 5.0, 7.2.2)      offset 27-20 bus | 19-15 device | 14-12 function | 11-0 register
 *
 * So bus, device and function together are 16 bits, here called the routing id, at bit 8 of CF8 and
 * at bit 12 of an ECAM offset, and both ways end in
 * pci_config_read() or pci_config_write(). The address
 * latch is one register of the machine, not of a CPU: software that uses it from two CPUs needs a
 * lock of its own.
 *
 * A read costs two array look-ups (bus, then function) and a load, and takes no lock.
 */
#include <errno.h>
#include <stdlib.h>

#include "pci/pci_internal.h"
#include "vmm/trace.h"

enum {
    CF8_PORT = 0xcf8,
    CFC_PORT = 0xcfc,
    CF8_REGISTER = 0xfc,
    ECAM_BUS_SHIFT = 20,
    ECAM_FUNCTION_SHIFT = 12,
};
static const uint32_t CF8_ENABLE = 1u << 31;
static const uint32_t CF8_STORED = 0x80fffffc; /* the other bits are read-only 0 */

/* ---- configuration accesses */

static inline struct pci_device *find(struct pci_host *host, unsigned bus, unsigned devfn)
{
    return atomic_load_explicit(&host->bus_map[bus], memory_order_acquire)->devices[devfn];
}

struct pci_device *pci_host_find(struct pci_host *host, unsigned bus, unsigned devfn)
{
    return find(host, bus, devfn);
}

static bool is_whole_register(unsigned reg, unsigned size)
{
    return size <= 4 && !(reg & (size - 1));
}

/* The widest register access at the beginning of a misaligned or 8-byte access. */
static unsigned piece_of(unsigned reg, unsigned size)
{
    unsigned piece = 4;
    while (piece > size || reg % piece != 0) {
        piece /= 2;
    }
    return piece;
}

static uint32_t read_register(struct pci_host *host, unsigned routing_id, unsigned reg,
                              unsigned size)
{
    struct pci_device *device = find(host, routing_id >> 8, routing_id & 0xff);
    if (!device) {
        trace_pci_cfg_unassigned(routing_id >> 8, routing_id >> 3 & 0x1f, routing_id & 7, reg,
                                 size);
        return UINT32_MAX >> (32 - 8 * size);
    }
    uint32_t value = pci_config_read(device, reg, size);
    trace_pci_cfg_read(device->name, reg, size, value);
    return value;
}

static void write_register(struct pci_host *host, unsigned routing_id, unsigned reg, unsigned size,
                           uint32_t value)
{
    struct pci_device *device = find(host, routing_id >> 8, routing_id & 0xff);
    if (!device) {
        trace_pci_cfg_unassigned(routing_id >> 8, routing_id >> 3 & 0x1f, routing_id & 7, reg,
                                 size);
        return;
    }
    trace_pci_cfg_write(device->name, reg, size, value);
    pci_config_write(device, reg, size, value);
}

/* An access that is no whole register: one after another, the lowest address first. It ends inside
 * the host's window: the bus splits what leaves CFC-CFF or the ECAM. */
static uint64_t read_pieces(struct pci_host *host, unsigned routing_id, unsigned reg, unsigned size)
{
    uint64_t value = 0;
    for (unsigned done = 0; done < size && done < 8;) {
        unsigned piece = piece_of(reg + done, size - done);
        unsigned at = reg + done;
        uint64_t part =
            read_register(host, routing_id + at / PCI_CONFIG_SIZE, at % PCI_CONFIG_SIZE, piece);
        value |= part << (8 * done);
        done += piece;
    }
    return value;
}

static void write_pieces(struct pci_host *host, unsigned routing_id, unsigned reg, unsigned size,
                         uint64_t value)
{
    for (unsigned done = 0; done < size && done < 8;) {
        unsigned piece = piece_of(reg + done, size - done);
        unsigned at = reg + done;
        uint32_t part = (uint32_t)(value >> (8 * done)) & (UINT32_MAX >> (32 - 8 * piece));
        write_register(host, routing_id + at / PCI_CONFIG_SIZE, at % PCI_CONFIG_SIZE, piece, part);
        done += piece;
    }
}

__attribute__((noinline)) static uint64_t read_any(struct pci_host *host, unsigned routing_id,
                                                   unsigned reg, unsigned size)
{
    return is_whole_register(reg, size) ? read_register(host, routing_id, reg, size)
                                        : read_pieces(host, routing_id, reg, size);
}

/* The usual read, an aligned dword of a plain register, without a call. */
__attribute__((always_inline)) static inline uint64_t
read_dword(struct pci_host *host, unsigned bus, unsigned devfn, unsigned reg)
{
    struct pci_device *device = find(host, bus, devfn);
    if (__builtin_expect(!device || device->reads_have_effects, 0)) {
        return read_any(host, bus << 8 | devfn, reg, 4);
    }
    uint32_t value = pci_bytes_load(device->config, reg, 4);
    trace_pci_cfg_read(device->name, reg, 4, value);
    return value;
}

static void config_write(struct pci_host *host, unsigned routing_id, unsigned reg, unsigned size,
                         uint64_t value)
{
    if (!is_whole_register(reg, size)) {
        write_pieces(host, routing_id, reg, size, value);
    } else {
        write_register(host, routing_id, reg, size, (uint32_t)value);
    }
}

/* ---- ports 0xCF8 and 0xCFC */

static uint64_t cf8_read(void *opaque, uint64_t offset, unsigned size)
{
    struct pci_host *host = opaque;
    if (size == 4) {
        return atomic_load_explicit(&host->config_address, memory_order_relaxed);
    }
    if (host->cf9_ops) {
        return host->cf9_ops->read(host->cf9_opaque, offset, size);
    }
    trace_bus_unassigned_read("pio", CF8_PORT + offset, size);
    return UINT64_MAX;
}

static void cf8_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    struct pci_host *host = opaque;
    if (size == 4) {
        atomic_store_explicit(&host->config_address, (uint32_t)value & CF8_STORED,
                              memory_order_relaxed);
    } else if (host->cf9_ops) {
        host->cf9_ops->write(host->cf9_opaque, offset, size, value);
    } else {
        trace_bus_unassigned_write("pio", CF8_PORT + offset, size, value);
    }
}

static uint64_t cfc_read(void *opaque, uint64_t offset, unsigned size)
{
    struct pci_host *host = opaque;
    uint32_t address = atomic_load_explicit(&host->config_address, memory_order_relaxed);
    if (!(address & CF8_ENABLE)) {
        trace_bus_unassigned_read("pio", CFC_PORT + offset, size);
        return UINT64_MAX;
    }
    unsigned reg = address & CF8_REGISTER;
    if (__builtin_expect(size == 4, 1)) { /* the region is 4 bytes: the offset is 0 */
        return read_dword(host, address >> 16 & 0xff, address >> 8 & 0xff, reg);
    }
    return read_any(host, address >> 8 & 0xffff, reg + (unsigned)offset, size);
}

static void cfc_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    struct pci_host *host = opaque;
    uint32_t address = atomic_load_explicit(&host->config_address, memory_order_relaxed);
    if (!(address & CF8_ENABLE)) {
        trace_bus_unassigned_write("pio", CFC_PORT + offset, size, value);
        return;
    }
    config_write(host, address >> 8 & 0xffff, (address & CF8_REGISTER) + (unsigned)offset, size,
                 value);
}

static const struct bus_ops cf8_ops = {.read = cf8_read, .write = cf8_write};
static const struct bus_ops cfc_ops = {.read = cfc_read, .write = cfc_write};

/* ---- ECAM */

static uint64_t ecam_read(void *opaque, uint64_t offset, unsigned size)
{
    unsigned routing_id = (unsigned)(offset >> ECAM_FUNCTION_SHIFT);
    unsigned reg = (unsigned)offset % PCI_CONFIG_SIZE;
    if (__builtin_expect(size == 4 && !(reg & 3), 1)) {
        return read_dword(opaque, routing_id >> 8, routing_id & 0xff, reg);
    }
    return read_any(opaque, routing_id, reg, size);
}

static void ecam_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    config_write(opaque, (unsigned)(offset >> ECAM_FUNCTION_SHIFT),
                 (unsigned)offset % PCI_CONFIG_SIZE, size, value);
}

static const struct bus_ops ecam_ops = {.read = ecam_read, .write = ecam_write};

/* ---- the host bridge's own function, 00:00.0 */

static int host_bridge_realize(struct pci_device *device, struct error *err)
{
    (void)err;
    pci_set_identity(device, &(struct pci_identity){
                                 .vendor = 0x1b36,
                                 .device = 0x0008,
                                 .class_code = 0x060000,
                                 .subsystem_vendor = 0x1af4,
                                 .subsystem = 0x1100,
                             });
    return 0;
}

static const struct pci_device_type host_bridge_type = {
    .name = "host-bridge",
    .summary = "The function of the PCI host itself",
    .size = sizeof(struct pci_device),
    .default_slot = 0,
    .realize = host_bridge_realize,
};

/* ---- life */

static int add_region(struct pci_host *host, struct bus *bus, struct bus_region *region,
                      const char *name, uint64_t base, uint64_t size, const struct bus_ops *ops,
                      struct error *err)
{
    *region = (struct bus_region){
        .name = name,
        .size = size,
        .priority = BUS_PRIORITY_FIXED,
        .ops = ops,
        .opaque = host,
    };
    return bus_add(bus, region, base, err);
}

static int add_windows(struct pci_host *host, const struct pci_host_config *config,
                       struct error *err)
{
    int ret = add_region(host, host->mmio, &host->ecam_region, "pci ecam", config->ecam_base,
                         (uint64_t)config->ecam_buses << ECAM_BUS_SHIFT, &ecam_ops, err);
    if (ret < 0 || !config->has_cf8) {
        return ret;
    }
    ret = add_region(host, host->pio, &host->cf8_region, "pci address", CF8_PORT, 4, &cf8_ops, err);
    if (ret < 0) {
        return ret;
    }
    return add_region(host, host->pio, &host->cfc_region, "pci data", CFC_PORT, 4, &cfc_ops, err);
}

int pci_host_init(struct pci_host *host, const struct pci_host_config *config, struct error *err)
{
    *host = (struct pci_host){
        .mmio = config->mmio,
        .pio = config->pio,
        .pio_base = config->pio_base,
        .irq = config->irq,
        .memory = config->memory,
        .loop = config->loop,
        .console = config->console,
        .iommu = config->iommu,
        .hotplug = config->hotplug,
        .hotplug_opaque = config->hotplug_opaque,
        .cf9_ops = config->cf9_ops,
        .cf9_opaque = config->cf9_opaque,
    };
    for (unsigned wire = 0; wire < PCI_PINS; wire++) {
        host->intx_gsi[wire] = config->intx_gsi[wire];
    }
    host->root.host = host;
    pthread_mutex_init(&host->map_lock, NULL);
    pthread_mutex_init(&host->intx_lock, NULL);
    pci_bus_map_update(host);
    int ret = pci_host_create_device(host, &host_bridge_type, NULL, 0, "PCI host", err);
    if (ret == 0) {
        ret = add_windows(host, config, err);
    }
    if (ret < 0) {
        pci_host_destroy(host);
    }
    return ret;
}

void pci_host_destroy(struct pci_host *host)
{
    if (!host->mmio) {
        return; /* never set up */
    }
    pci_hotplug_destroy(host);
    bus_remove(&host->ecam_region);
    bus_remove(&host->cfc_region);
    bus_remove(&host->cf8_region);
    while (host->device_count > 0) {
        pci_host_remove(host, host->devices[host->device_count - 1], false);
    }
    free(host->devices);
    pthread_mutex_destroy(&host->map_lock);
    pthread_mutex_destroy(&host->intx_lock);
    *host = (struct pci_host){0};
}

/* A bridge resets what is below it, so the root bus is enough. */
void pci_host_reset(struct pci_host *host)
{
    pci_hotplug_eject_all(host, true);
    atomic_store(&host->config_address, 0);
    for (unsigned devfn = 0; devfn < PCI_DEVFN_COUNT; devfn++) {
        if (host->root.devices[devfn]) {
            pci_device_reset(host->root.devices[devfn], "power-on");
        }
    }
}

void pci_host_for_each(struct pci_host *host,
                       void (*visit)(void *opaque, struct pci_device *device), void *opaque)
{
    /* A bus has to exist before something is plugged into it: parents were created first. */
    for (unsigned i = 0; i < host->device_count; i++) {
        visit(opaque, host->devices[i]);
    }
}

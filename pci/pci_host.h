/* SPDX-License-Identifier: MIT */
/*
 * The PCI host bridge, the buses below it, and the two ways to configuration space: ports
 * 0xCF8/0xCFC and ECAM. Both end in pci_config_read() and pci_config_write() of the function they
 * name.
 */
#ifndef PCI_PCI_HOST_H
#define PCI_PCI_HOST_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "pci/pci_device.h"
#include "vmm/bus.h"
#include "vmm/dma.h"
#include "vmm/event_loop.h"
#include "vmm/irq.h"
#include "vmm/property.h"

struct console;

enum { PCI_BUS_COUNT = 256, PCI_DEVFN_COUNT = 256, PCI_SLOT_COUNT = 32, PCI_PINS = 4 };

/* One bus: up to 32 devices of 8 functions. The root bus has no bridge above it. */
struct pci_bus {
    struct pci_host *host;
    struct pci_bridge *parent; /* NULL: the root bus */
    bool one_device;           /* a PCIe link: only device 0 can be there */
    struct pci_device *devices[PCI_DEVFN_COUNT];
    unsigned count;
    struct pci_bridge *bridges; /* those on this bus, the highest devfn first */
};

/* The bridge part of a type 1 function: what its registers say, and the bus behind it. */
struct pci_bridge {
    struct pci_device *device; /* the function itself */
    struct pci_bus secondary;
    struct pci_bridge *next; /* in the list of the bus it is on */
    /* Secondary bus reset or Link Disable holds everything below in reset: nobody answers there. */
    bool down;    /* written with device->lock and host->map_lock held */
    bool hotplug; /* set by realize(): what is behind it may come and go; pci/pci_hotplug.c */
    /* Guarded by device->lock. */
    bool slot_interrupt; /* an event waits that software wants to be interrupted for */
    bool unplug_wanted;  /* somebody has asked for what is in the slot */
};

/* What hot-plug needs of the machine. Called on the main thread. */
struct pci_hotplug_ops {
    /* Park all vCPUs, and let them go on. */
    void (*hold)(void *opaque);
    void (*release)(void *opaque);
    /* The device with this id, which is not valid longer, is gone as pci_host_unplug() wanted. */
    void (*removed)(void *opaque, const char *id);
};

struct pci_host {
    struct bus *mmio;  /* where BARs go */
    struct bus *pio;   /* where I/O BARs go; NULL: the machine has no I/O space */
    uint64_t pio_base; /* what is added to an I/O BAR's address to get its place there (x86: 0) */
    struct irq_chip *irq;
    const struct guest_memory *memory;
    struct iommu *iommu;         /* between every device and memory; NULL: nothing is */
    struct event_loop *loop;     /* the main thread's, for devices that have no thread */
    struct console *console;     /* for a device that wants to be at its other end; may be NULL */
    uint32_t intx_gsi[PCI_PINS]; /* GSI of root bus wire 0-3 (INTA of slot 0, 4, 8...) */
    struct pci_bus root;
    /*
     * Who is bus N, as the guest numbered them; NULL: nobody. Found by descending through the
     * bridges once per change of a bus number instead of once per access. Written with map_lock
     * held.
     */
    _Atomic(struct pci_bus *) bus_map[PCI_BUS_COUNT]; /* `nowhere` where no bus has that number */
    struct pci_bus nowhere;                           /* an empty bus */
    struct pci_device **devices; /* all functions in the order of creation; owned */
    unsigned device_count;
    const struct pci_hotplug_ops *hotplug; /* NULL: no vCPU has to be parked, nobody is told */
    void *hotplug_opaque;
    struct event_source eject; /* written when a slot was switched off whose device is wanted */

    pthread_mutex_t map_lock;      /* see pci_device.h */
    pthread_mutex_t intx_lock;     /* guards intx_count; a leaf */
    unsigned intx_count[PCI_PINS]; /* functions that assert each wire */

    _Atomic uint32_t config_address; /* the latch at 0xCF8 */
    struct bus_region cf8_region;
    struct bus_region cfc_region;
    struct bus_region ecam_region;
    const struct bus_ops *cf9_ops; /* see struct pci_host_config */
    void *cf9_opaque;
};

struct pci_host_config {
    struct bus *mmio;
    struct bus *pio;   /* NULL: no I/O space */
    uint64_t pio_base; /* where I/O address 0 lies on `pio` */
    struct irq_chip *irq;
    const struct guest_memory *memory;
    struct iommu *iommu; /* that all devices' DMA and messages go through; NULL: none */
    struct event_loop *loop;
    struct console *console;
    const struct pci_hotplug_ops *hotplug;
    void *hotplug_opaque;
    uint32_t intx_gsi[PCI_PINS];
    uint64_t ecam_base;
    unsigned ecam_buses; /* 1 to 256; 1 MiB each */
    bool has_cf8;        /* x86: put CF8/CFC on `pio` */
    /*
     * Accesses at 0xCF8-0xCFB of less than 4 bytes are not for the latch: a PC has its reset
     * control register at 0xCF9. They go here, with the offset from 0xCF8. NULL: nobody is there,
     * they read as all ones.
     */
    const struct bus_ops *cf9_ops;
    void *cf9_opaque;
};

/* An empty root bus with a host bridge at 00:00.0 (1b36:0008, class 0600), and its windows on the
 * buses. */
int pci_host_init(struct pci_host *host, const struct pci_host_config *config, struct error *err);

/* Unrealize and free every device, last created first. vCPUs are stopped. Safe on a zeroed host. */
void pci_host_destroy(struct pci_host *host);

/*
 * Create a device of `type` with these properties and plug it in. Besides the type's own properties
 * every device takes id=NAME, bus=ID (of a root-port or switch port; default the root bus),
 * addr=SLOT[.FN] (hexadecimal, as lspci prints it; default the type's slot if free, else the first
 * free one) and multifunction=on|off. Function 0 of a slot comes first, and with multifunction=on
 * if more are to follow. `context` ("--device dma-engine,bus=x") starts every error: unknown
 * property, bad value, unknown bus, slot taken, slot outside the bus.
 */
int pci_host_create_device(struct pci_host *host, const struct pci_device_type *type,
                           const struct property_value *values, size_t count, const char *context,
                           struct error *err);

/*
 * The same while the machine runs, behind a port that has hot-plug: the guest is told, and the
 * device is there for it when it has switched its slot on. One function a slot, and no ports.
 * `strings`, which may be NULL, is a malloc()ed block that the values point into; it belongs to the
 * device from now on, and is freed with it or on failure. Main thread.
 */
int pci_host_plug(struct pci_host *host, const struct pci_device_type *type,
                  const struct property_value *values, size_t count, char *strings,
                  const char *context, struct error *err);

/*
 * Ask the guest for the device with this id back: the attention button of its slot is pressed. When
 * the guest has switched the slot off, the device is freed, and hotplug->removed() called; that may
 * be before this returns, at any time later, at the next pci_host_reset(), or never. It may be
 * asked again. -ENOENT, -ENOTSUP (no hot-plug there), -EBUSY (the guest is at work on the slot).
 * Main thread.
 */
int pci_host_unplug(struct pci_host *host, const char *id, const char *context, struct error *err);

/* The function that answers at bus, devfn as the guest numbered the buses; NULL: nobody. No lock.
 */
struct pci_device *pci_host_find(struct pci_host *host, unsigned bus, unsigned devfn);

/* The device with this id; NULL: none. */
struct pci_device *pci_host_find_id(struct pci_host *host, const char *id);

/* Power-on reset of every function, from the root down; those that pci_host_unplug() wants go
 * first. vCPUs are parked. Main thread. */
void pci_host_reset(struct pci_host *host);

/* Call `visit` for every function, parents before children. vCPUs parked, or set-up. */
void pci_host_for_each(struct pci_host *host,
                       void (*visit)(void *opaque, struct pci_device *device), void *opaque);

/* The list of common properties, for help. */
extern const struct property pci_common_properties[];

#endif

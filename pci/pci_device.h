/* SPDX-License-Identifier: MIT */
/*
 * A PCI function, and everything common to all of them: configuration space with its write masks,
 * base address registers, capabilities, interrupts and DMA. PCI Local Bus 3.0, PCI Express
 * Base 5.0.
 *
 * A device is a struct whose first member is `struct pci_device`, and a `struct pci_device_type`
 * that says how to make one. The life of a device: created zeroed, properties set, realize()
 * (identity, BARs, capabilities), plugged into its slot, reset(); unrealize() undoes realize().
 *
 * Locks, in this order (an inner one may be taken while an outer one is held, never the reverse):
 *   1. device->lock of a bridge, then of the devices below it (bus reset, power-on reset)
 *   2. device->lock: the device's registers, and writes to its configuration space
 *   3. host->map_lock: which BARs and bridge windows are decoded where, and the bus master enables
 *   4. leaves: bus->lock, host->intx_lock, the irq_chip's lock
 * Configuration reads take no lock: registers are read as aligned relaxed atomics, as software on
 * another CPU would see them. A type with a config_read() of its own is called with device->lock
 * held.
 */
#ifndef PCI_PCI_DEVICE_H
#define PCI_PCI_DEVICE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pci/pci_regs.h"
#include "vmm/bus.h"
#include "vmm/dma.h"
#include "vmm/error.h"
#include "vmm/irq.h"
#include "vmm/property.h"
#include "vmm/registers.h"
#include "vmm/trace.h"

struct pci_bus;
struct pci_device;
struct pci_host;

enum { PCI_BAR_COUNT = 6, PCI_CONFIG_SIZE = 4096 };

/* A table of registers, for whoever shows their contents; a list of these ends with block NULL. */
struct pci_register_view {
    const struct register_block *block;
    unsigned bar; /* where it is; left out if the device has not that BAR */
    /* What is in the register, without what a read does: nothing is cleared, and no trace event.
     * Called with device->lock held. */
    uint64_t (*peek)(struct pci_device *device, const struct register_desc *reg);
};

/* What a device is and how to make one; one constant per kind, listed in devices/device_table.c. */
struct pci_device_type {
    const char *name;                  /* "dma-engine" */
    const char *summary;               /* one line for --device help */
    size_t size;                       /* of its state, whose first member is struct pci_device */
    const struct property *properties; /* its own, besides id, bus, addr and multifunction */
    int default_slot; /* device number on the root bus, or -1: the first free one */

    /* Give the device its identity, BARs and capabilities. On failure nothing is left behind. */
    int (*realize)(struct pci_device *device, struct error *err);
    /* Undo realize(): stop threads, free memory. vCPUs are stopped or the device is unplugged. May
     * be NULL. */
    void (*unrealize)(struct pci_device *device);
    /*
     * Registers and work back to power-on: a copy under way stops. Called with device->lock held;
     * the configuration space is reset by the core. May be NULL.
     */
    void (*reset)(struct pci_device *device);
    /*
     * After a configuration write has been stored and the core has acted on it: for registers that
     * only this type has. Called with device->lock held. May be NULL.
     */
    void (*config_written)(struct pci_device *device, unsigned reg, unsigned size);
    const struct pci_register_view *registers; /* may be NULL */
    /* Replaces pci_config_read_default(), for registers whose reading does something. May be NULL.
     */
    uint32_t (*config_read)(struct pci_device *device, unsigned reg, unsigned size);
};

enum pci_bar_kind {
    PCI_BAR_NONE,
    PCI_BAR_IO,
    PCI_BAR_MEM32,
    PCI_BAR_MEM32_PREFETCH,
    PCI_BAR_MEM64, /* takes this register and the next */
    PCI_BAR_MEM64_PREFETCH,
};

struct pci_bar {
    enum pci_bar_kind kind;
    struct bus_region region; /* base as mapped; name "dma-engine bar0" (device id or type) */
    bool mapped;              /* guarded by host->map_lock */
    char name[48];
};

struct pci_msi {
    uint8_t offset; /* of the capability; 0: none */
    uint8_t log2_vectors;
    bool is_64bit;
    bool maskable;
    struct msi_route *routes; /* one a vector; owned */
};

struct pci_msix {
    uint8_t offset; /* of the capability; 0: none */
    uint8_t bar;
    uint16_t vectors;
    uint32_t table_offset; /* in the BAR */
    uint32_t pba_offset;
    uint32_t *table; /* 4 words a vector; owned; guarded by device->lock */
    uint32_t *pba;   /* pending bits; owned; guarded by device->lock */
    struct msi_route *routes;
    const struct bus_ops *bar_ops; /* the device's own, for the rest of the BAR */
    void *bar_opaque;
};

struct pci_device {
    const struct pci_device_type *type;
    const char *id;            /* id= property, or NULL */
    char name[32];             /* for traces and errors: the id, or the type's name with its slot */
    struct trace_device trace; /* what it is called in --trace 'GLOB@DEVICE' */
    struct pci_host *host;
    struct pci_bus *bus;     /* the bus it is on */
    uint8_t devfn;           /* device << 3 | function */
    bool reads_have_effects; /* its type has a config_read() */
    bool multifunction;      /* property: other functions may join this slot */
    bool hot_plugged;        /* it came while the machine ran */
    char *strings;           /* what its string properties point into, if it is to be freed */
    pthread_mutex_t lock;

    uint8_t *config;       /* PCI_CONFIG_SIZE bytes, 4-byte aligned: what software reads */
    uint8_t *write_mask;   /* bits that software may write */
    uint8_t *clear_mask;   /* bits that software clears by writing 1 */
    uint8_t *reset_config; /* config as realize() left it: the power-on values */
    uint32_t config_used[PCI_CONFIG_SIZE / 4 / 32]; /* a bit a dword that a capability occupies */
    uint16_t last_extended; /* offset of the last extended capability; 0: none */

    struct pci_bar bars[PCI_BAR_COUNT];
    uint8_t express;    /* offset of the PCI Express capability; 0: none */
    uint8_t port_type;  /* PCI_EXP_TYPE_*, when `express` is not 0 */
    bool intx_level;    /* what the device drives; guarded by device->lock */
    bool intx_asserted; /* what has reached the wire: level & ~Interrupt Disable */
    struct pci_msi msi;
    struct pci_msix msix;
    bool msi_error_reported; /* that a vector has no route was said once */
    struct dma_space dma;
    struct pci_bridge *bridge; /* of a type 1 function: its secondary side; owned by the type */
};

/* ---- for device authors, in realize() */

/*
 * Vendor, device, revision, class code (24 bits) and subsystem into the header. 3.0, 6.2.1. A type
 * 1 header has no place for the subsystem: a bridge gets the capability that says it (PCI-to-PCI
 * Bridge 1.2, 3.2.5.14), so call pci_bridge_init() first.
 */
struct pci_identity {
    uint16_t vendor, device;
    uint8_t revision;
    uint32_t class_code; /* base << 16 | sub << 8 | programming interface */
    uint16_t subsystem_vendor, subsystem;
};
void pci_set_identity(struct pci_device *device, const struct pci_identity *identity);

/* The function uses INTx pin 1 (A) to 4 (D). */
void pci_set_interrupt_pin(struct pci_device *device, unsigned pin);

/*
 * Give the device BAR `index` of `size` bytes, a power of two (memory: 16 B up, I/O: 4 to 256 B);
 * `ops` is called with `opaque`. It is on the bus while the guest has it decoded. A 64-bit one
 * takes two registers. `ops` may be NULL for a BAR that pci_add_msix() fills. Programming errors
 * (index taken, odd size) abort.
 */
void pci_add_bar(struct pci_device *device, unsigned index, enum pci_bar_kind kind, uint64_t size,
                 const struct bus_ops *ops, void *opaque);

/*
 * Add a capability (3.0, 6.7) of `size` bytes at `offset`, or at the next free place if 0, at the
 * head of the list. Its body is zero and read-only. Returns its offset. A place that is taken or
 * outside 0x40-0xff is a programming error and aborts.
 */
unsigned pci_add_capability(struct pci_device *device, uint8_t capability, unsigned offset,
                            unsigned size);

/* The same for an extended capability (PCIe 5.0, 7.6.3) from 0x100 on; list in order of addition.
 */
unsigned pci_add_extended_capability(struct pci_device *device, uint16_t capability,
                                     uint8_t version, unsigned offset, unsigned size);

/*
 * PCI Express capability, version 2 (PCIe 5.0, 7.5.3). An endpoint's port type follows from its
 * bus: Root Complex Integrated Endpoint on the root bus, Endpoint behind a port. With `flr`
 * Function Level Reset is offered and done by the core. The structure is 0x3c bytes long; placed
 * above 0xc4 it reaches into extended configuration space, and the device can have no extended
 * capabilities.
 */
enum pci_express_role {
    PCI_EXPRESS_ENDPOINT,
    PCI_EXPRESS_ROOT_PORT,
    PCI_EXPRESS_UPSTREAM_PORT,
    PCI_EXPRESS_DOWNSTREAM_PORT,
};
void pci_add_express(struct pci_device *device, enum pci_express_role role, unsigned offset,
                     bool flr);

/* For a port, after pci_add_express(): its number (8 bits) and the physical slot's (13 bits). */
void pci_express_set_port(struct pci_device *device, unsigned port, unsigned slot);

/* For a root port or a switch's downstream port, after pci_add_express(): devices may come and go
 * behind it. It needs an interrupt pin, and may have MSI. */
void pci_add_hotplug(struct pci_device *device);

/* MSI (3.0, 6.8.1) with 1 << log2_vectors vectors, 0 to 5. -ENOMEM. */
int pci_add_msi(struct pci_device *device, unsigned offset, unsigned log2_vectors, bool is_64bit,
                bool maskable, struct error *err);

/*
 * MSI-X (3.0, 6.8.2) with 1 to 2048 vectors, its table and pending bits at these offsets of a
 * memory BAR that was added before. The device's own BAR ops are not called for the table and the
 * PBA.
 */
int pci_add_msix(struct pci_device *device, unsigned offset, unsigned vectors, unsigned bar,
                 uint32_t table_offset, uint32_t pba_offset, struct error *err);

/* Little-endian access to the device's own configuration space without masks. */
uint32_t pci_config_get(const struct pci_device *device, unsigned reg, unsigned size);
void pci_config_set(struct pci_device *device, unsigned reg, unsigned size, uint32_t value);
/* Which bits software may write, and which it clears by writing 1. */
void pci_config_set_writable(struct pci_device *device, unsigned reg, unsigned size, uint32_t bits);
void pci_config_set_clearable(struct pci_device *device, unsigned reg, unsigned size,
                              uint32_t bits);

/* ---- for device authors, while it runs */

/* Drive the function's INTx wire. Called with device->lock held; only changes do anything. */
void pci_set_intx(struct pci_device *device, bool level);

/* True while the guest has MSI (or MSI-X) enabled: then no INTx is to be used. */
bool pci_msi_enabled(const struct pci_device *device);
bool pci_msix_enabled(const struct pci_device *device);

/*
 * Send MSI vector `vector` (modulo what the guest granted), or MSI-X vector. Masked: its pending
 * bit is set and it is sent when unmasked. Bus mastering off: dropped, as any write would be.
 * device->lock held.
 */
void pci_msi_notify(struct pci_device *device, unsigned vector);
void pci_msix_notify(struct pci_device *device, unsigned vector);

/* DMA goes through device->dma: see vmm/dma.h. */

/* ---- configuration access, from the host bridge */

/*
 * Read or write `size` 1, 2 or 4 bytes at `reg`, which is aligned to it and below PCI_CONFIG_SIZE.
 * A write applies the masks and then does what the register is for. Takes device->lock as needed.
 */
uint32_t pci_config_read(struct pci_device *device, unsigned reg, unsigned size);
void pci_config_write(struct pci_device *device, unsigned reg, unsigned size, uint32_t value);
uint32_t pci_config_read_default(struct pci_device *device, unsigned reg, unsigned size);

/* Reset one function: configuration space to power-on values, BARs unmapped, interrupts off,
 * type->reset(). `kind` is for the trace: "flr", "bus", "power-on". device->lock must not be held.
 */
void pci_device_reset(struct pci_device *device, const char *kind);

#endif

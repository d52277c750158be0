/* SPDX-License-Identifier: MIT */
/* What the files of pci/ share with each other and with nobody else. */
#ifndef PCI_PCI_INTERNAL_H
#define PCI_PCI_INTERNAL_H

#include "pci/pci_bridge.h"
#include "pci/pci_device.h"
#include "pci/pci_host.h"

/*
 * Configuration space is little-endian and so is every host that minivmm runs on. Registers are
 * read and written as aligned relaxed atomics of 1, 2 or 4 bytes (and 8 to copy it), which is why
 * these types may alias the bytes of the array.
 */
typedef uint16_t __attribute__((may_alias)) pci_config_u16;
typedef uint32_t __attribute__((may_alias)) pci_config_u32;
typedef uint64_t __attribute__((may_alias)) pci_config_u64;

static inline uint32_t pci_bytes_load(const uint8_t *bytes, unsigned reg, unsigned size)
{
    switch (size) {
    case 1:
        return __atomic_load_n(bytes + reg, __ATOMIC_RELAXED);
    case 2:
        return __atomic_load_n((const pci_config_u16 *)(bytes + reg), __ATOMIC_RELAXED);
    default:
        return __atomic_load_n((const pci_config_u32 *)(bytes + reg), __ATOMIC_RELAXED);
    }
}

static inline void pci_bytes_store(uint8_t *bytes, unsigned reg, unsigned size, uint32_t value)
{
    switch (size) {
    case 1:
        __atomic_store_n(bytes + reg, (uint8_t)value, __ATOMIC_RELAXED);
        break;
    case 2:
        __atomic_store_n((pci_config_u16 *)(bytes + reg), (uint16_t)value, __ATOMIC_RELAXED);
        break;
    default:
        __atomic_store_n((pci_config_u32 *)(bytes + reg), value, __ATOMIC_RELAXED);
        break;
    }
}

/* Does a write of `size` bytes at `reg` touch [start, start + length)? */
static inline bool pci_touches(unsigned reg, unsigned size, unsigned start, unsigned length)
{
    return reg < start + length && start < reg + size;
}

/* A mistake in a device's realize(), not of the guest or the user: say which and abort. */
_Noreturn void pci_rule_broken(const struct pci_device *device, const char *rule);

static inline void pci_require(const struct pci_device *device, bool condition, const char *rule)
{
    if (!condition) {
        pci_rule_broken(device, rule);
    }
}

/* ---- pci_config.c: the header and the capability lists */

/* The header that all functions have, before realize() fills it. */
void pci_config_init_header(struct pci_device *device);

/* Put bits of a register into both the present and the power-on values (set-up, and plugging). */
void pci_config_set_both(struct pci_device *device, unsigned reg, unsigned size, uint32_t value);

/* As pci_add_capability(), for a structure that may end at `limit` rather than at 0x100. */
unsigned pci_add_capability_up_to(struct pci_device *device, uint8_t capability, unsigned offset,
                                  unsigned size, unsigned limit);

/* ---- pci_device.c: life and reset */

/* A function of `type` without identity, on no bus. NULL: no memory. */
struct pci_device *pci_device_new(struct pci_host *host, const struct pci_device_type *type);

/* Free what pci_device_new() and the core's pci_add_*() made. It is unplugged and unrealized. */
void pci_device_free(struct pci_device *device);

/* Let go of BARs, routes and wires: it is about to be unrealized. */
void pci_device_quiesce(struct pci_device *device);

/* pci_device_reset() with device->lock held. */
void pci_device_reset_locked(struct pci_device *device, const char *kind);

/* ---- pci_slots.c */

/* Unplug, unrealize and free a device behind which there is nothing. `hot`: the guest is told. */
void pci_host_remove(struct pci_host *host, struct pci_device *device, bool hot);

/* ---- pci_hotplug.c */

/* -ENOTSUP: nothing can come or go there. -ENOTSUP: this one cannot. */
int pci_hotplug_check_bus(const struct pci_bus *bus, const char *context, struct error *err);
int pci_hotplug_check_device(const struct pci_device *device, struct error *err);

/* Something was put into the port's slot, or taken out. `hot`: while the machine runs; the vCPUs
 * are parked. */
void pci_slot_changed(struct pci_device *port, bool hot);

/* After a configuration write of a bridge. device->lock held. */
void pci_slot_config_written(struct pci_device *port, unsigned reg, unsigned size);

/* After a change of events or enables. device->lock held. */
void pci_slot_update_interrupt(struct pci_device *port);

/* True while what is in the port's slot is without power. */
bool pci_slot_is_off(const struct pci_device *port);

/* Park the vCPUs, and let them go on. */
void pci_hotplug_hold(const struct pci_host *host);
void pci_hotplug_release(const struct pci_host *host);

/* Take out the devices that somebody wants and the guest has let go of; at a reset all that
 * somebody wants. */
void pci_hotplug_eject_all(struct pci_host *host, bool at_reset);

void pci_hotplug_destroy(struct pci_host *host);

/* ---- pci_bar.c: what is decoded where, and who may master the bus */

/* Make BARs, bus mastering and requester ids of the function and of all below it what the registers
 * say. Takes map_lock. */
void pci_map_update(struct pci_device *device);

/* ---- pci_bridge.c */

/* Does the bridge forward [first, last] of I/O or memory space to its secondary bus? */
bool pci_bridge_forwards(const struct pci_bridge *bridge, bool io, uint64_t first, uint64_t last);

/* The number of a bus, as the guest gave it. */
unsigned pci_bus_number(const struct pci_bus *bus);

/* Plug the bridge into / out of the list of its bus. */
void pci_bridge_link(struct pci_bridge *bridge);
void pci_bridge_unlink(struct pci_bridge *bridge);

/* What is below follows Secondary Bus Reset, Link Disable and the slot's power. device->lock held.
 */
void pci_bridge_update_down(struct pci_bridge *bridge);

/* After the bridge's registers were reset: forget bus numbers, let the link come up, and reset all
 * that is below. */
void pci_bridge_registers_reset(struct pci_bridge *bridge, const char *kind);

/* Find out anew who is which bus. Takes map_lock. */
void pci_bus_map_update(struct pci_host *host);

/* ---- pci_express.c */
void pci_express_config_written(struct pci_device *device, unsigned reg, unsigned size);

/* A port at the upper end of a link, with a slot below. */
bool pci_express_has_slot(const struct pci_device *device);

/* True while software holds the link below the port disabled. */
bool pci_express_link_disabled(const struct pci_device *device);

/* Link Status and Slot Status of a port, after the link went down or up. device->lock held. */
void pci_express_update_link(struct pci_device *port);

/* May the function be on the bus it is on? -EINVAL. */
int pci_express_check_place(const struct pci_device *device, struct error *err);

/* Registers that a function level reset leaves alone, before and after it. */
struct pci_express_kept {
    uint32_t link_control;
    uint32_t link_control2;
};
struct pci_express_kept pci_express_keep(const struct pci_device *device);
void pci_express_restore(struct pci_device *device, struct pci_express_kept kept);

/* ---- pci_intx.c */

/* Which of the machine's four wires the function's pin, which it has, ends at. */
unsigned pci_intx_wire(const struct pci_device *device);

/* The wire's state from level, Interrupt Disable and MSI. device->lock held. */
void pci_intx_update(struct pci_device *device);

/* ---- pci_msi.c and pci_msix.c; all with device->lock held */

/*
 * Make one vector's route say `message`; NULL: the vector is masked. Behind an IOMMU only the
 * latter: there a message's way is found when it is sent.
 */
void pci_vector_route(struct pci_device *device, struct msi_route *route, unsigned vector,
                      const struct msi_message *message);

/* Send what a vector stands for, `message` as software wrote it, if the function may write at all.
 */
void pci_vector_send(struct pci_device *device, struct msi_route *route, unsigned vector,
                     const struct msi_message *message);

/* Give back the routes of vectors first to end - 1. */
void pci_vectors_release(struct pci_device *device, struct msi_route *routes, unsigned first,
                         unsigned end);

void pci_msi_config_written(struct pci_device *device, unsigned reg, unsigned size);
void pci_msi_update(struct pci_device *device);
void pci_msi_destroy(struct pci_device *device);

void pci_msix_config_written(struct pci_device *device, unsigned reg, unsigned size);
void pci_msix_update(struct pci_device *device);
void pci_msix_reset(struct pci_device *device);
void pci_msix_destroy(struct pci_device *device);

#endif

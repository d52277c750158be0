/* SPDX-License-Identifier: MIT */
/*
 * Configuration space: 4096 bytes of registers a function, and what software may do to each bit.
 *
 * Three arrays of the same layout say it all: `config` is what software reads, a bit of
 * `write_mask` lets it write that bit, a bit of `clear_mask` lets it clear that bit by writing 1. A
 * bit in neither is read-only. A write is thus the same few lines for every register, and what a
 * register is *for* happens afterwards: after_write() hands the write on to the part of the core
 * that owns it, and that part looks at what the registers now say. No part remembers an earlier
 * value, so two writes in any order end in the same state.
 *
 * Readers take no lock. Registers are stored with aligned relaxed atomics, so a reader sees each as
 * it was before or after a write, as on real hardware.
 */
#include <stdio.h>
#include <stdlib.h>

#include "pci/pci_internal.h"

/* ---- plain access */

uint32_t pci_config_get(const struct pci_device *device, unsigned reg, unsigned size)
{
    return pci_bytes_load(device->config, reg, size);
}

void pci_config_set(struct pci_device *device, unsigned reg, unsigned size, uint32_t value)
{
    pci_bytes_store(device->config, reg, size, value);
}

void pci_config_set_both(struct pci_device *device, unsigned reg, unsigned size, uint32_t value)
{
    pci_bytes_store(device->config, reg, size, value);
    pci_bytes_store(device->reset_config, reg, size, value);
}

void pci_config_set_writable(struct pci_device *device, unsigned reg, unsigned size, uint32_t bits)
{
    pci_bytes_store(device->write_mask, reg, size, bits);
}

void pci_config_set_clearable(struct pci_device *device, unsigned reg, unsigned size, uint32_t bits)
{
    pci_bytes_store(device->clear_mask, reg, size, bits);
}

/* ---- access by the guest */

uint32_t pci_config_read_default(struct pci_device *device, unsigned reg, unsigned size)
{
    return pci_bytes_load(device->config, reg, size);
}

uint32_t pci_config_read(struct pci_device *device, unsigned reg, unsigned size)
{
    if (!device->type->config_read) {
        return pci_bytes_load(device->config, reg, size);
    }
    pthread_mutex_lock(&device->lock);
    uint32_t value = device->type->config_read(device, reg, size);
    pthread_mutex_unlock(&device->lock);
    return value & (UINT32_MAX >> (32 - 8 * size));
}

/* Where the BARs end: a type 1 header has two. */
static unsigned bars_end(const struct pci_device *device)
{
    return device->bridge ? PCI_BASE_ADDRESS_2 : PCI_BASE_ADDRESS_5 + 4;
}

/* Do what the registers that were written are for. device->lock is held. */
static void after_write(struct pci_device *device, unsigned reg, unsigned size)
{
    bool command = pci_touches(reg, size, PCI_COMMAND, 2);
    if (command ||
        pci_touches(reg, size, PCI_BASE_ADDRESS_0, bars_end(device) - PCI_BASE_ADDRESS_0)) {
        pci_map_update(device);
    }
    if (device->bridge) {
        pci_bridge_config_written(device->bridge, reg, size);
        pci_slot_config_written(device, reg, size);
    }
    pci_express_config_written(device, reg, size);
    pci_msi_config_written(device, reg, size);
    pci_msix_config_written(device, reg, size);
    pci_intx_update(device); /* Interrupt Disable, and the enables of MSI and MSI-X */
    if (device->type->config_written) {
        device->type->config_written(device, reg, size);
    }
}

void pci_config_write(struct pci_device *device, unsigned reg, unsigned size, uint32_t value)
{
    pthread_mutex_lock(&device->lock);
    uint32_t old = pci_bytes_load(device->config, reg, size);
    uint32_t writable = pci_bytes_load(device->write_mask, reg, size);
    uint32_t cleared = pci_bytes_load(device->clear_mask, reg, size) & value;
    pci_bytes_store(device->config, reg, size, (old & ~writable & ~cleared) | (value & writable));
    after_write(device, reg, size);
    pthread_mutex_unlock(&device->lock);
}

/* ---- the header */

void pci_rule_broken(const struct pci_device *device, const char *rule)
{
    fprintf(stderr, "minivmm: device type %s is wrong: %s\n", device->type->name, rule);
    abort();
}

/* Status bits that software clears by writing 1, in the primary and the secondary status alike. */
enum {
    STATUS_CLEARABLE = PCI_STATUS_PARITY | PCI_STATUS_SIG_TARGET_ABORT |
                       PCI_STATUS_REC_TARGET_ABORT | PCI_STATUS_REC_MASTER_ABORT |
                       PCI_STATUS_SIG_SYSTEM_ERROR | PCI_STATUS_DETECTED_PARITY,
    /* The others are wired to 0 in PCI Express. PCIe 5.0, 7.5.1.1.3. */
    COMMAND_WRITABLE = PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER |
                       PCI_COMMAND_PARITY | PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE,
};

void pci_config_init_header(struct pci_device *device)
{
    pci_config_set_writable(device, PCI_COMMAND, 2, COMMAND_WRITABLE);
    pci_config_set_clearable(device, PCI_STATUS, 2, STATUS_CLEARABLE);
    pci_config_set_writable(device, PCI_CACHE_LINE_SIZE, 1, 0xff);
    pci_config_set_writable(device, PCI_INTERRUPT_LINE, 1, 0xff);
    bool joins = (device->devfn & 7) != 0;
    pci_config_set(device, PCI_HEADER_TYPE, 1, device->multifunction || joins ? 0x80 : 0);
}

static void set_bridge_subsystem(struct pci_device *device, const struct pci_identity *identity)
{
    unsigned offset = pci_add_capability(device, PCI_CAP_ID_SSVID, 0, 8);
    pci_config_set(device, offset + PCI_SSVID_VENDOR_ID, 2, identity->subsystem_vendor);
    pci_config_set(device, offset + PCI_SSVID_DEVICE_ID, 2, identity->subsystem);
}

void pci_set_identity(struct pci_device *device, const struct pci_identity *identity)
{
    pci_config_set(device, PCI_VENDOR_ID, 2, identity->vendor);
    pci_config_set(device, PCI_DEVICE_ID, 2, identity->device);
    pci_config_set(device, PCI_REVISION_ID, 1, identity->revision);
    pci_config_set(device, PCI_CLASS_PROG, 1, identity->class_code & 0xff);
    pci_config_set(device, PCI_CLASS_DEVICE, 2, identity->class_code >> 8);
    if (device->bridge) {
        set_bridge_subsystem(device, identity);
        return;
    }
    pci_config_set(device, PCI_SUBSYSTEM_VENDOR_ID, 2, identity->subsystem_vendor);
    pci_config_set(device, PCI_SUBSYSTEM_ID, 2, identity->subsystem);
}

/* ---- capabilities
 *
 * config_used has a bit for each dword that belongs to a capability: places are found and checked
 * there rather than by walking the lists.
 */

enum { FIRST_CAPABILITY = 0x40, FIRST_EXTENDED = 0x100 };

static bool is_free(const struct pci_device *device, unsigned offset, unsigned size)
{
    for (unsigned dword = offset / 4; dword < (offset + size + 3) / 4; dword++) {
        if (device->config_used[dword / 32] >> (dword % 32) & 1) {
            return false;
        }
    }
    return true;
}

static void mark_used(struct pci_device *device, unsigned offset, unsigned size)
{
    for (unsigned dword = offset / 4; dword < (offset + size + 3) / 4; dword++) {
        device->config_used[dword / 32] |= 1u << (dword % 32);
    }
}

/* The given place, or the first free one in [first, limit) if `offset` is 0; then it is taken. */
static unsigned take_place(struct pci_device *device, unsigned offset, unsigned size,
                           unsigned first, unsigned limit)
{
    if (offset == 0) {
        offset = first;
        while (offset + size <= limit && !is_free(device, offset, size)) {
            offset += 4;
        }
    }
    pci_require(device, offset >= first && offset + size <= limit && offset % 4 == 0,
                "a capability lies outside its part of configuration space");
    pci_require(device, is_free(device, offset, size), "two capabilities overlap");
    mark_used(device, offset, size);
    return offset;
}

unsigned pci_add_capability_up_to(struct pci_device *device, uint8_t capability, unsigned offset,
                                  unsigned size, unsigned limit)
{
    offset = take_place(device, offset, size, FIRST_CAPABILITY, limit);
    pci_config_set(device, offset + PCI_CAP_LIST_ID, 1, capability);
    pci_config_set(device, offset + PCI_CAP_LIST_NEXT, 1,
                   pci_config_get(device, PCI_CAPABILITY_LIST, 1));
    pci_config_set(device, PCI_CAPABILITY_LIST, 1, offset);
    pci_config_set(device, PCI_STATUS, 2,
                   pci_config_get(device, PCI_STATUS, 2) | PCI_STATUS_CAP_LIST);
    return offset;
}

unsigned pci_add_capability(struct pci_device *device, uint8_t capability, unsigned offset,
                            unsigned size)
{
    return pci_add_capability_up_to(device, capability, offset, size, FIRST_EXTENDED);
}

/* Its header: id in bits 0-15, version in 16-19, offset of the next one in 20-31. */
unsigned pci_add_extended_capability(struct pci_device *device, uint16_t capability,
                                     uint8_t version, unsigned offset, unsigned size)
{
    offset = take_place(device, offset, size, FIRST_EXTENDED, PCI_CONFIG_SIZE);
    pci_require(device, device->last_extended || offset == FIRST_EXTENDED,
                "the first extended capability is not at 0x100");
    pci_config_set(device, offset, 4, capability | (uint32_t)version << 16);
    if (device->last_extended) {
        uint32_t header = pci_config_get(device, device->last_extended, 4);
        pci_config_set(device, device->last_extended, 4, header | offset << 20);
    }
    device->last_extended = (uint16_t)offset;
    return offset;
}

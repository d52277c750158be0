/* SPDX-License-Identifier: MIT */
/*
 * The life of a function: made, reset, freed. What each kind of reset does (PCIe 5.0, 6.6):
 *
 *   power-on  every function of the machine, from the root down
 *   bus       the functions below a bridge whose Secondary Bus Reset or Link Disable was set; a
 *             bridge among them passes it on
 *   power-off one function that is taken out of its slot
 *   flr       one function, by Initiate Function Level Reset; its link stays as it was trained
 *
 * All of them put configuration space back to its power-on values, which by itself switches off
 * everything the core does for the function, because the core acts on what the registers say.
 */
#include <stdlib.h>
#include <string.h>

#include "pci/pci_internal.h"
#include "vmm/trace.h"

struct pci_device *pci_device_new(struct pci_host *host, const struct pci_device_type *type)
{
    struct pci_device *device = calloc(1, type->size);
    uint8_t *arrays = calloc(4, PCI_CONFIG_SIZE);
    if (!device || !arrays) {
        free(device);
        free(arrays);
        return NULL;
    }
    device->type = type;
    device->reads_have_effects = type->config_read != NULL;
    device->host = host;
    device->config = arrays;
    device->write_mask = arrays + PCI_CONFIG_SIZE;
    device->clear_mask = arrays + (size_t)2 * PCI_CONFIG_SIZE;
    device->reset_config = arrays + (size_t)3 * PCI_CONFIG_SIZE;
    device->dma.memory = host->memory;
    device->dma.iommu = host->iommu;
    pthread_mutex_init(&device->lock, NULL);
    return device;
}

void pci_device_free(struct pci_device *device)
{
    pci_msi_destroy(device);
    pci_msix_destroy(device);
    trace_remove_device(&device->trace);
    pthread_mutex_destroy(&device->lock);
    free(device->strings);
    free(device->config);
    free(device);
}

/* Every register back to its power-on value, in aligned stores: somebody may be reading. */
static void restore_config(struct pci_device *device)
{
    pci_config_u64 *to = (pci_config_u64 *)device->config;
    const pci_config_u64 *from = (const pci_config_u64 *)device->reset_config;
    for (unsigned i = 0; i < PCI_CONFIG_SIZE / 8; i++) {
        __atomic_store_n(&to[i], from[i], __ATOMIC_RELAXED);
    }
}

/* Make everything that the core does for the function follow its (reset) registers. */
static void follow_registers(struct pci_device *device, const char *kind)
{
    pci_map_update(device);
    device->intx_level = false;
    pci_intx_update(device);
    pci_msi_update(device);
    pci_msix_reset(device);
    if (device->bridge) {
        pci_bridge_registers_reset(device->bridge, kind);
    }
}

void pci_device_reset_locked(struct pci_device *device, const char *kind)
{
    trace_pci_reset(device->name, kind);
    bool function_level = strcmp(kind, "flr") == 0;
    struct pci_express_kept kept = pci_express_keep(device);
    restore_config(device);
    if (function_level) {
        pci_express_restore(device, kept);
    }
    follow_registers(device, kind);
    if (device->type->reset) {
        device->type->reset(device);
    }
}

void pci_device_reset(struct pci_device *device, const char *kind)
{
    pthread_mutex_lock(&device->lock);
    pci_device_reset_locked(device, kind);
    pthread_mutex_unlock(&device->lock);
}

void pci_device_quiesce(struct pci_device *device)
{
    pthread_mutex_lock(&device->lock);
    restore_config(device);
    follow_registers(device, "power-off");
    pthread_mutex_unlock(&device->lock);
}

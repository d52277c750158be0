/* SPDX-License-Identifier: MIT */
/* See vmm/monitor_info.h. A new item is a function and a line of the table. */
#include "vmm/monitor_info.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "vmm/arch.h"
#include "vmm/inspect.h"
#include "vmm/iommu.h"
#include "vmm/trace.h"
#include "vmm/vcpu.h"

/* ---- the machine as built */

static int info_qtree(struct control *control, const struct monitor_words *words, FILE *out,
                      struct error *err)
{
    (void)words;
    (void)err;
    inspect_qtree(control->machine, out);
    return 0;
}

static int info_pci(struct control *control, const struct monitor_words *words, FILE *out,
                    struct error *err)
{
    (void)words;
    (void)err;
    inspect_pci(control->machine, out);
    return 0;
}

static int info_mtree(struct control *control, const struct monitor_words *words, FILE *out,
                      struct error *err)
{
    (void)words;
    (void)err;
    inspect_mtree(control->machine, out);
    return 0;
}

static int info_irq(struct control *control, const struct monitor_words *words, FILE *out,
                    struct error *err)
{
    (void)words;
    (void)err;
    inspect_irq(control->machine, out);
    return 0;
}

static int info_iommu(struct control *control, const struct monitor_words *words, FILE *out,
                      struct error *err)
{
    struct iommu *iommu = control->machine->pci.iommu;
    (void)words;
    (void)err;
    if (iommu == NULL) {
        fprintf(out, "This machine has no IOMMU: devices address memory as the guest does.\n");
    } else if (iommu->ops->describe == NULL) {
        fprintf(out, "This IOMMU does not say more of itself.\n");
    } else {
        iommu->ops->describe(iommu, out);
    }
    return 0;
}

/* ---- registers */

static void print_register(const struct register_desc *reg, uint64_t value, FILE *out)
{
    fprintf(out, "  %-22s 0x%05" PRIx32 "  %u bytes  %-4s  0x%0*" PRIx64 "\n", reg->name,
            reg->offset, reg->width, register_access_name(reg->access), 2 * reg->width, value);
}

static void print_block(struct pci_device *device, const struct pci_register_view *view, FILE *out)
{
    fprintf(out, "%s: %s\n", device->name, view->block->name);
    pthread_mutex_lock(&device->lock);
    for (size_t i = 0; i < view->block->count; i++) {
        const struct register_desc *reg = &view->block->registers[i];
        print_register(reg, view->peek(device, reg), out);
    }
    pthread_mutex_unlock(&device->lock);
}

static int print_device(struct pci_device *device, FILE *out, struct error *err)
{
    const struct pci_register_view *view = device->type->registers;
    if (view == NULL) {
        return error_set(err, -ENOENT, "info regs %s: a %s has no table of registers", device->name,
                         device->type->name);
    }
    for (; view->block != NULL; view++) {
        if (device->bars[view->bar].kind != PCI_BAR_NONE) {
            print_block(device, view, out);
        }
    }
    return 0;
}

static void print_iommu(struct iommu *iommu, FILE *out)
{
    const struct register_block *block = iommu->ops->registers;
    fprintf(out, "%s\n", block->name);
    for (size_t i = 0; i < block->count; i++) {
        print_register(&block->registers[i], iommu->ops->peek(iommu, &block->registers[i]), out);
    }
}

/* By its id, its address, the name that it has in traces, or its type's where that is of one only.
 */
struct device_search {
    const char *name;
    struct pci_device *found;
    bool exactly;
    unsigned of_type;
};

static void match_device(void *opaque, struct pci_device *device)
{
    struct device_search *search = opaque;
    if (strcmp(device->name, search->name) == 0 || strcmp(device->trace.place, search->name) == 0) {
        search->found = device;
        search->exactly = true;
    } else if (!search->exactly && strcmp(device->type->name, search->name) == 0) {
        search->found = device;
        search->of_type++;
    }
}

static int info_regs(struct control *control, const struct monitor_words *words, FILE *out,
                     struct error *err)
{
    struct iommu *iommu = control->machine->pci.iommu;
    const char *name = words->word[1];
    if (iommu != NULL && iommu->ops->registers != NULL &&
        strcmp(iommu->ops->registers->name, name) == 0) {
        print_iommu(iommu, out);
        return 0;
    }
    struct device_search search = {.name = name};
    pci_host_for_each(&control->machine->pci, match_device, &search);
    if (!search.exactly && search.of_type > 1) {
        return error_set(err, -ENOENT, "info regs %s: there are %u; name one by id or address",
                         name, search.of_type);
    }
    if (search.found == NULL) {
        return error_set(err, -ENODEV, "info regs %s: no such device (info pci lists them)", name);
    }
    return print_device(search.found, out, err);
}

static void offer_device(void *opaque, struct pci_device *device)
{
    monitor_offer(opaque, device->name);
}

void monitor_offer_devices(struct control *control, const struct monitor_offers *offers)
{
    struct monitor_offers copy = *offers;
    pci_host_for_each(&control->machine->pci, offer_device, &copy);
}

static void complete_regs(struct control *control, unsigned index,
                          const struct monitor_offers *offers)
{
    struct iommu *iommu = control->machine->pci.iommu;
    if (index == 1) {
        monitor_offer_devices(control, offers);
        if (iommu != NULL && iommu->ops->registers != NULL) {
            monitor_offer(offers, iommu->ops->registers->name);
        }
    }
}

/* ---- vCPUs */

/* They stand still for the moment that it takes to look. */
static int info_vcpus(struct control *control, const struct monitor_words *words, FILE *out,
                      struct error *err)
{
    struct vm *vm = &control->machine->vm;
    bool running = strcmp(control_status(control), "paused") != 0;
    (void)words;
    (void)err;
    vm_hold(vm, VM_HOLDER_MONITOR);
    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        fprintf(out, "vCPU %u: %s%s\n", i, vcpu_state(vm->vcpus[i]),
                vm->vcpus[i]->frozen ? ", parked by gdb" : "");
        arch_vcpu_dump(vm->vcpus[i], out);
    }
    if (running) {
        vm_release(vm, VM_HOLDER_MONITOR);
    }
    return 0;
}

/* ---- minivmm */

static int info_trace(struct control *control, const struct monitor_words *words, FILE *out,
                      struct error *err)
{
    (void)control;
    (void)words;
    (void)err;
    trace_list(out);
    return 0;
}

static int info_status(struct control *control, const struct monitor_words *words, FILE *out,
                       struct error *err)
{
    const char *status = control_status(control);
    (void)words;
    (void)err;
    fprintf(out, "VM status: %s\n", strcmp(status, "debug") == 0 ? "paused (debug)" : status);
    return 0;
}

static int info_version(struct control *control, const struct monitor_words *words, FILE *out,
                        struct error *err)
{
    (void)control;
    (void)words;
    (void)err;
    fprintf(out, "minivmm %s\n", MINIVMM_VERSION);
    return 0;
}

/* ---- the table */

const struct monitor_command monitor_info_items[] = {
    {"iommu", NULL, "", "streams, caches and queues of the IOMMU", 0, 0, info_iommu, NULL, NULL},
    {"irq", NULL, "", "which interrupt ends where", 0, 0, info_irq, NULL, NULL},
    {"mtree", NULL, "", "who answers at which address", 0, 0, info_mtree, NULL, NULL},
    {"pci", NULL, "", "PCI functions and their BARs", 0, 0, info_pci, NULL, NULL},
    {"qtree", NULL, "", "devices, their properties and buses", 0, 0, info_qtree, NULL, NULL},
    {"regs", NULL, "DEVICE", "a device's registers; nothing happens as by reading", 1, 1, info_regs,
     complete_regs, NULL},
    {"status", NULL, "", "does the machine run?", 0, 0, info_status, NULL, NULL},
    {"trace", NULL, "", "trace events, and which are on", 0, 0, info_trace, NULL, NULL},
    {"vcpus", NULL, "", "state and registers of each vCPU", 0, 0, info_vcpus, NULL, NULL},
    {"version", NULL, "", "of minivmm", 0, 0, info_version, NULL, NULL},
    {.name = NULL},
};

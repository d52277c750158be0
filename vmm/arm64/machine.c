/* SPDX-License-Identifier: MIT */
/*
 * The whole arm64 machine on one page: at the addresses of QEMU's virt. `machine_parts` below lists
 * everything in it; each part is a few lines that say what it is, where, and on which interrupt.
 * The map of addresses is in memory_map.h.
 */
#include "vmm/machine.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "vmm/arch.h"
#include "vmm/arm64/device_tree.h"
#include "vmm/arm64/vcpu_arm64.h"
#include "vmm/trace.h"

const char machine_architecture[] = "arm64";

static const char *const gic_choices[] = {"auto", "2", "3", NULL};

const struct property machine_properties[] = {
    {.name = "gic",
     .type = PROPERTY_ENUM,
     .offset = offsetof(struct machine_properties, gic),
     .choices = gic_choices,
     .meaning = "version of the interrupt controller; auto: 3 where the host has it"},
    {.name = "its",
     .type = PROPERTY_BOOL,
     .offset = offsetof(struct machine_properties, its),
     .default_value = true,
     .meaning = "a GICv3 takes MSIs by an ITS; off: by a GICv2m frame"},
    {.name = "highmem-ecam",
     .type = PROPERTY_BOOL,
     .offset = offsetof(struct machine_properties, highmem_ecam),
     .default_value = true,
     .meaning = "configuration space of 256 buses above RAM; off: of 16 buses below it"},
    {.name = NULL},
};

/* ---- what to boot: opened first, so that a wrong file name costs nothing */

static int build_boot(struct machine *machine, struct error *err)
{
    const struct options *options = machine->options;
    return boot_open(&machine->arch.boot, options->kernel, options->initrd, options->append, err);
}

static void destroy_boot(struct machine *machine)
{
    boot_close(&machine->arch.boot);
}

/* ---- 40000000: RAM */

static int build_ram(struct machine *machine, struct error *err)
{
    struct arm64_memory_map *map = &machine->arch.map;
    const struct options *options = machine->options;
    unsigned bits = arm64_address_bits(machine->vm.kvm_fd, options->memory);
    int ret = arm64_memory_map_init(map, options->memory, bits,
                                    machine->arch.properties.highmem_ecam, err);
    if (ret == 0) {
        ret = vm_add_ram(&machine->vm, gpa(ARM64_RAM_BASE), map->ram, options->hugetlb, err);
    }
    return ret; /* vm_destroy() unmaps it, after KVM has let go of it */
}

/* ---- the vCPUs; then 8000000: their interrupt controller, in the kernel, which counts them */

static int build_vcpus(struct machine *machine, struct error *err)
{
    unsigned cpus = machine->options->smp;
    if (cpus > ARM64_MAX_VCPUS) {
        return error_set(err, -EINVAL, "--smp %u: an arm64 machine has at most %d vCPUs", cpus,
                         ARM64_MAX_VCPUS);
    }
    return vm_create_vcpus(&machine->vm, cpus, err);
}

/* Of a machine that never runs: what a host that has everything would give. */
static struct arm64_irqchip expected_irqchip(const struct machine_properties *properties)
{
    unsigned version = properties->gic == ARM64_GIC_2 ? 2 : 3;
    return (struct arm64_irqchip){
        .version = version, .fd = -1, .has_its = version == 3 && properties->its, .its_fd = -1};
}

static int build_irqchip(struct machine *machine, struct error *err)
{
    const struct machine_properties *properties = &machine->arch.properties;
    struct vm *vm = &machine->vm;
    if (!vm_can_run(vm)) {
        machine->arch.irqchip = expected_irqchip(properties);
        return 0;
    }
    int ret = arm64_irqchip_create(&machine->arch.irqchip, vm, &machine->arch.map,
                                   (enum arm64_gic_choice)properties->gic, properties->its, err);
    for (unsigned i = 0; ret == 0 && i < vm->vcpu_count; i++) {
        ret = arm64_vcpu_init_pmu(vm->vcpus[i], err);
    }
    return ret;
}

static void destroy_irqchip(struct machine *machine)
{
    arm64_irqchip_destroy(&machine->arch.irqchip);
}

/* ---- 8020000: where devices write their MSIs if no ITS takes them */

static int build_gicv2m(struct machine *machine, struct error *err)
{
    const uint32_t count = machine->options->iommu ? ARM64_MSI_COUNT_WITH_SMMU : ARM64_MSI_COUNT;
    const struct gicv2m_config config = {.bus = &machine->vm.mmio,
                                         .base = ARM64_GICV2M_BASE,
                                         .irq = &machine->vm.irq.chip,
                                         .first = ARM64_GSI_MSI,
                                         .count = count};
    if (machine->arch.irqchip.has_its) {
        return 0;
    }
    machine->vm.irq.frame = (struct kvm_irq_frame){.address = ARM64_GICV2M_BASE + GICV2M_SETSPI,
                                                   .first_data = ARM64_GSI_MSI,
                                                   .count = count,
                                                   .first_pin = ARM64_GSI_MSI - ARM64_SPI};
    return gicv2m_init(&machine->arch.gicv2m, &config, err);
}

static void destroy_gicv2m(struct machine *machine)
{
    gicv2m_destroy(&machine->arch.gicv2m);
}

/* ---- 9010000: the clock */

static int build_rtc(struct machine *machine, struct error *err)
{
    const struct pl031_config config = {.bus = &machine->vm.mmio,
                                        .base = ARM64_PL031_BASE,
                                        .irq = &machine->vm.irq.chip,
                                        .gsi = ARM64_GSI_PL031,
                                        .loop = &machine->vm.loop};
    return pl031_init(&machine->arch.rtc, &config, err);
}

static void destroy_rtc(struct machine *machine)
{
    pl031_destroy(&machine->arch.rtc);
}

static void reset_rtc(struct machine *machine)
{
    pl031_reset(&machine->arch.rtc);
}

/* ---- 9030000: general-purpose I/O, for the power button */

static int build_gpio(struct machine *machine, struct error *err)
{
    const struct pl061_config config = {.bus = &machine->vm.mmio,
                                        .base = ARM64_PL061_BASE,
                                        .irq = &machine->vm.irq.chip,
                                        .gsi = ARM64_GSI_PL061,
                                        .loop = &machine->vm.loop,
                                        .key = ARM64_POWER_BUTTON_PIN};
    return pl061_init(&machine->arch.gpio, &config, err);
}

static void destroy_gpio(struct machine *machine)
{
    pl061_destroy(&machine->arch.gpio);
}

static void reset_gpio(struct machine *machine)
{
    pl061_reset(&machine->arch.gpio);
}

/* ---- 9000000: the serial port, and minivmm's stdin and stdout behind it */

static int build_serial(struct machine *machine, struct error *err)
{
    const struct pl011_config config = {.bus = &machine->vm.mmio,
                                        .base = ARM64_PL011_BASE,
                                        .irq = &machine->vm.irq.chip,
                                        .gsi = ARM64_GSI_PL011,
                                        .loop = &machine->vm.loop};
    int ret = pl011_init(&machine->arch.serial, &config, err);
    if (ret == 0 && vm_can_run(&machine->vm)) {
        pl011_connect_console(&machine->arch.serial, &machine->console);
    }
    return ret;
}

static void destroy_serial(struct machine *machine)
{
    pl011_destroy(&machine->arch.serial);
}

static void reset_serial(struct machine *machine)
{
    pl011_reset(&machine->arch.serial);
}

/* ---- 9050000: the IOMMU, if one is asked for, in front of everything on PCI */

static int build_iommu(struct machine *machine, struct error *err)
{
    const struct smmuv3_config config = {.bus = &machine->vm.mmio,
                                         .base = ARM64_SMMU_BASE,
                                         .irq = &machine->vm.irq.chip,
                                         .gsi = ARM64_GSI_SMMU,
                                         .memory = &machine->vm.memory};
    const char *kind = machine->options->iommu;
    if (!kind) {
        return 0;
    }
    if (strcmp(kind, "auto") != 0 && strcmp(kind, "smmuv3") != 0) {
        return error_set(err, -EINVAL, "--iommu=%s: an arm64 machine has only smmuv3", kind);
    }
    return smmuv3_create(&machine->arch.smmu, &config, err);
}

static void destroy_iommu(struct machine *machine)
{
    smmuv3_destroy(machine->arch.smmu);
    machine->arch.smmu = NULL;
}

static void reset_iommu(struct machine *machine)
{
    if (machine->arch.smmu) {
        smmuv3_reset(machine->arch.smmu);
    }
}

/* ---- 10000000, and above RAM: PCI. Its devices come from the command line */

static int build_pci(struct machine *machine, struct error *err)
{
    const struct pci_host_config config = {
        .mmio = &machine->vm.mmio,
        .pio = &machine->vm.mmio, /* I/O space is a window of memory space here */
        .pio_base = ARM64_PCI_IO_BASE,
        .irq = &machine->vm.irq.chip,
        .memory = &machine->vm.memory,
        .loop = &machine->vm.loop,
        .console = &machine->console,
        .hotplug = &machine_hotplug_ops,
        .hotplug_opaque = machine,
        .iommu = machine->arch.smmu ? smmuv3_iommu(machine->arch.smmu) : NULL,
        .intx_gsi = {ARM64_GSI_PCI, ARM64_GSI_PCI + 1, ARM64_GSI_PCI + 2, ARM64_GSI_PCI + 3},
        .ecam_base = machine->arch.map.ecam_base,
        .ecam_buses = machine->arch.map.ecam_buses,
    };
    return pci_host_init(&machine->pci, &config, err);
}

static void destroy_pci(struct machine *machine)
{
    pci_host_destroy(&machine->pci);
}

/* ---- all of it */

const struct machine_part machine_parts[] = {
    {build_boot, destroy_boot, NULL, .to_run = true},
    {build_ram, NULL, NULL},                   /* vm_destroy() undoes it */
    {build_vcpus, NULL, NULL, .to_run = true}, /* vm_stop_vcpus(); reset by undo_last_run() */
    {build_irqchip, destroy_irqchip, NULL},    /* the same */
    {build_gicv2m, destroy_gicv2m, NULL},
    {build_rtc, destroy_rtc, reset_rtc},
    {build_gpio, destroy_gpio, reset_gpio},
    {machine_build_console, machine_destroy_console, NULL, .to_run = true},
    {build_serial, destroy_serial, reset_serial},
    {build_iommu, destroy_iommu, reset_iommu},
    {build_pci, destroy_pci, NULL}, /* reset by the caller of machine_reset() */
    {NULL, NULL, NULL},
};

/* ---- what of it is in KVM, and what is wired to its pins */

unsigned machine_kvm_ranges(const struct machine *machine,
                            struct machine_range ranges[MACHINE_RANGES_MAX])
{
    const struct arm64_irqchip *irqchip = &machine->arch.irqchip;
    unsigned count = 0;
    ranges[count++] = (struct machine_range){
        false, ARM64_GICD_BASE, ARM64_GICD_BASE + (ARM64_GICD_SIZE - 1), "GIC distributor"};
    if (irqchip->version == 2) {
        ranges[count++] = (struct machine_range){
            false, ARM64_GICC_BASE, ARM64_GICC_BASE + (ARM64_GICC_SIZE - 1), "GIC CPU interfaces"};
    } else {
        ranges[count++] = (struct machine_range){
            false, ARM64_GICR_BASE, ARM64_GICR_BASE + (ARM64_GICR_SIZE - 1), "GIC redistributors"};
    }
    if (irqchip->has_its) {
        ranges[count++] = (struct machine_range){
            false, ARM64_ITS_BASE, ARM64_ITS_BASE + (ARM64_ITS_SIZE - 1), "GIC ITS, messages"};
    }
    return count;
}

unsigned machine_wires(const struct machine *machine, struct machine_wire wires[MACHINE_WIRES_MAX])
{
    unsigned count = 0;
    wires[count++] = (struct machine_wire){ARM64_GSI_PL011, "pl011"};
    wires[count++] = (struct machine_wire){ARM64_GSI_PL031, "pl031"};
    wires[count++] = (struct machine_wire){ARM64_GSI_PL061, "pl061"};
    if (machine->arch.smmu) {
        wires[count++] = (struct machine_wire){ARM64_GSI_SMMU, "smmuv3, event queue"};
        wires[count++] = (struct machine_wire){ARM64_GSI_SMMU + 3, "smmuv3, global errors"};
    }
    return count;
}

/* ---- power-on */

/* Before the first run everything is as it was created: nothing to undo, and no time to lose. */
static int undo_last_run(struct machine *machine, struct error *err)
{
    struct vm *vm = &machine->vm;
    if (!machine->has_run) {
        return 0;
    }
    machine_reset_parts(machine);
    int ret = 0;
    for (unsigned i = 0; ret == 0 && i < vm->vcpu_count; i++) {
        ret = arm64_vcpu_reset(vm->vcpus[i], err);
    }
    return ret < 0 ? ret : arm64_irqchip_reset(&machine->arch.irqchip, vm, err);
}

static int write_device_tree(struct machine *machine, const struct boot_entry *entry,
                             const uint64_t *mpidr, struct error *err)
{
    const struct arm64_irqchip *irqchip = &machine->arch.irqchip;
    struct device_tree_config config = {.map = &machine->arch.map,
                                        .command_line = machine->arch.boot.command_line,
                                        .initrd_start = entry->initrd_start,
                                        .initrd_end = entry->initrd_end,
                                        .mpidr = mpidr,
                                        .cpus = machine->vm.vcpu_count,
                                        .gic_version = irqchip->version,
                                        .has_its = irqchip->has_its,
                                        .has_smmu = machine->arch.smmu != NULL,
                                        .has_pmu = machine->vm.arch.has_pmu};
    size_t used;
    if (getrandom(config.seed, sizeof(config.seed), 0) != (ssize_t)sizeof(config.seed)) {
        return error_set(err, -EIO, "no random numbers for the guest");
    }
    void *tree = guest_memory_range(&machine->vm.memory, gpa(entry->dtb), BOOT_DTB_ROOM);
    if (!tree) {
        return error_set(err, -EFAULT, "no RAM for the device tree");
    }
    int ret = device_tree_build(&config, tree, BOOT_DTB_ROOM, &used, err);
    if (ret == 0 && machine->options->dump_dtb) {
        ret = device_tree_dump(machine->options->dump_dtb, tree, used, err);
    }
    return ret;
}

static int load(struct machine *machine, struct boot_entry *entry, struct error *err)
{
    const struct vm *vm = &machine->vm;
    const struct boot_target target = {.memory = &vm->memory, .map = &machine->arch.map};
    int ret = boot_load(&machine->arch.boot, &target, entry, err);
    if (ret < 0) {
        return ret;
    }
    uint64_t *mpidr = calloc(vm->vcpu_count, sizeof(*mpidr));
    if (!mpidr) {
        return error_set(err, -ENOMEM, "no memory for the device tree");
    }
    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        mpidr[i] = vm->vcpus[i]->arch.mpidr;
    }
    ret = write_device_tree(machine, entry, mpidr, err);
    free(mpidr);
    trace_arm64_load(machine->options->kernel,
                     machine->arch.boot.format == BOOT_IMAGE ? "Image" : "gzip", entry->pc,
                     entry->dtb, entry->initrd_start);
    return ret;
}

int machine_reset(struct machine *machine, struct error *err)
{
    struct boot_entry entry;
    int ret = undo_last_run(machine, err);
    if (ret == 0) {
        ret = load(machine, &entry, err);
    }
    if (ret == 0) {
        ret = arm64_vcpu_enter(machine->vm.vcpus[0], &entry, err);
    }
    machine->has_run = true;
    return ret;
}

int machine_powerdown(struct machine *machine, struct error *err)
{
    (void)err; /* a key can always be pressed */
    pl061_press_key(&machine->arch.gpio);
    return 0;
}

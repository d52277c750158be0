/* SPDX-License-Identifier: MIT */
/*
 * The whole x86 machine on one page: a PC at q35's addresses, without the chips that no kernel of
 * this century needs. `machine_parts` below lists everything in it; each part is a few lines that
 * say what it is, where, and on which interrupt. The map of addresses is in memory_map.h.
 */
#include "vmm/machine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/arch.h"
#include "vmm/trace.h"
#include "vmm/x86/acpi.h"
#include "vmm/x86/guest_cpuid.h"
#include "vmm/x86/irqchip.h"
#include "vmm/x86/power_on.h"
#include "vmm/x86/vcpu_x86.h"

enum {
    SERIAL_PORT = 0x3f8,
    X86_ADDRESS_BITS_MAX = 52, /* of any processor: of a machine that never runs */
};

const char machine_architecture[] = "x86";

const struct property machine_properties[] = {
    {.name = NULL},
};

/* ---- what to boot: opened first, so that a wrong file name costs nothing */

static int build_boot(struct machine *machine, struct error *err)
{
    const struct options *options = machine->options;
    if (options->dump_dtb) {
        return error_set(err, -EINVAL, "--dump-dtb: an x86 machine has ACPI tables instead");
    }
    return boot_open(&machine->arch.boot, options->kernel, options->initrd, options->append, err);
}

static void destroy_boot(struct machine *machine)
{
    boot_close(&machine->arch.boot);
}

/* ---- the processors' identity, which also says how many address bits there are */

static int build_cpuid(struct machine *machine, struct error *err)
{
    unsigned cpus = machine->options->smp;
    if (cpus > X86_MAX_VCPUS) {
        return error_set(err, -EINVAL, "--smp %u: an x86 machine has at most %d vCPUs", cpus,
                         X86_MAX_VCPUS);
    }
    return x86_cpuid_create(machine->vm.kvm_fd, cpus, &machine->vm.arch.cpuid, err);
}

static void destroy_cpuid(struct machine *machine)
{
    free(machine->vm.arch.cpuid);
    machine->vm.arch.cpuid = NULL;
}

/* ---- 00000000: RAM, and 1 00000000: the rest of it */

static int build_ram(struct machine *machine, struct error *err)
{
    struct x86_memory_map *map = &machine->arch.map;
    const struct options *options = machine->options;
    unsigned bits = vm_can_run(&machine->vm) ? x86_cpuid_physical_bits(machine->vm.arch.cpuid)
                                             : X86_ADDRESS_BITS_MAX;
    int ret = x86_memory_map_init(map, options->memory, bits, err);
    if (ret == 0) {
        ret = vm_add_ram(&machine->vm, gpa(0), map->low_ram, options->hugetlb, err);
    }
    if (ret == 0 && map->high_ram > 0) {
        ret =
            vm_add_ram(&machine->vm, gpa(X86_HIGH_RAM_BASE), map->high_ram, options->hugetlb, err);
    }
    return ret; /* vm_destroy() unmaps it, after KVM has let go of it */
}

/* ---- fec00000, fee00000: interrupt controllers and PIT, in the kernel; then the vCPUs */

static int build_irqchip(struct machine *machine, struct error *err)
{
    return x86_irqchip_create(&machine->vm, err);
}

static int build_vcpus(struct machine *machine, struct error *err)
{
    return vm_create_vcpus(&machine->vm, machine->options->smp, err);
}

/* ---- ports 70-71: the clock, with CMOS RAM */

static int build_rtc(struct machine *machine, struct error *err)
{
    const struct rtc_cmos_config config = {.bus = &machine->vm.pio,
                                           .irq = &machine->vm.irq.chip,
                                           .loop = &machine->vm.loop,
                                           .ram_below_4g = machine->arch.map.low_ram,
                                           .ram_above_4g = machine->arch.map.high_ram};
    return rtc_cmos_init(&machine->arch.rtc, &config, err);
}

static void destroy_rtc(struct machine *machine)
{
    rtc_cmos_destroy(&machine->arch.rtc);
}

static void reset_rtc(struct machine *machine)
{
    rtc_cmos_reset(&machine->arch.rtc);
}

/* ---- ports 3f8-3ff: the serial port, and minivmm's stdin and stdout behind it */

static int build_serial(struct machine *machine, struct error *err)
{
    const struct serial_config config = {.name = "serial",
                                         .bus = &machine->vm.pio,
                                         .base = SERIAL_PORT,
                                         .stride = 1,
                                         .irq = &machine->vm.irq.chip,
                                         .gsi = X86_GSI_SERIAL,
                                         .loop = &machine->vm.loop};
    int ret = serial_init(&machine->arch.serial, &config, err);
    if (ret == 0 && vm_can_run(&machine->vm)) {
        serial_connect_console(&machine->arch.serial, &machine->console);
    }
    return ret;
}

static void destroy_serial(struct machine *machine)
{
    serial_destroy(&machine->arch.serial);
}

static void reset_serial(struct machine *machine)
{
    serial_reset(&machine->arch.serial);
}

/* ---- port 505: how a guest says that it panicked */

static int build_pvpanic(struct machine *machine, struct error *err)
{
    const struct pvpanic_config config = {.bus = &machine->vm.pio, .vm = &machine->vm};
    return pvpanic_init(&machine->arch.pvpanic, &config, err);
}

static void destroy_pvpanic(struct machine *machine)
{
    pvpanic_destroy(&machine->arch.pvpanic);
}

/* ---- ports 600-67f: ACPI's power management registers */

static int build_acpi_pm(struct machine *machine, struct error *err)
{
    const struct acpi_pm_config config = {.bus = &machine->vm.pio,
                                          .irq = &machine->vm.irq.chip,
                                          .loop = &machine->vm.loop,
                                          .vm = &machine->vm};
    return acpi_pm_init(&machine->arch.acpi_pm, &config, err);
}

static void destroy_acpi_pm(struct machine *machine)
{
    acpi_pm_destroy(&machine->arch.acpi_pm);
}

static void reset_acpi_pm(struct machine *machine)
{
    acpi_pm_reset(&machine->arch.acpi_pm);
}

/* ---- ports 60, 64, 92 and cf9: the ways to reset a PC */

static int build_reset_ports(struct machine *machine, struct error *err)
{
    const struct reset_ports_config config = {.bus = &machine->vm.pio, .vm = &machine->vm};
    return reset_ports_init(&machine->arch.reset_ports, &config, err);
}

static void destroy_reset_ports(struct machine *machine)
{
    reset_ports_destroy(&machine->arch.reset_ports);
}

static void reset_reset_ports(struct machine *machine)
{
    reset_ports_reset(&machine->arch.reset_ports);
}

/* ---- ports cf8-cff and b0000000: PCI. Its devices come from the command line */

static int build_pci(struct machine *machine, struct error *err)
{
    const struct pci_host_config config = {
        .mmio = &machine->vm.mmio,
        .pio = &machine->vm.pio,
        .irq = &machine->vm.irq.chip,
        .memory = &machine->vm.memory,
        .loop = &machine->vm.loop,
        .console = &machine->console,
        .hotplug = &machine_hotplug_ops,
        .hotplug_opaque = machine,
        .intx_gsi = {X86_GSI_PCI, X86_GSI_PCI + 1, X86_GSI_PCI + 2, X86_GSI_PCI + 3},
        .ecam_base = X86_ECAM_BASE,
        .ecam_buses = X86_ECAM_BUSES,
        .has_cf8 = true,
        .cf9_ops = &reset_ports_cf9_ops,
        .cf9_opaque = &machine->arch.reset_ports,
    };
    if (machine->options->iommu) {
        return error_set(err, -ENOTSUP, "--iommu: an x86 machine has no IOMMU yet, arm64 has");
    }
    return pci_host_init(&machine->pci, &config, err);
}

static void destroy_pci(struct machine *machine)
{
    pci_host_destroy(&machine->pci);
}

/* ---- all of it */

const struct machine_part machine_parts[] = {
    {build_boot, destroy_boot, NULL, .to_run = true},
    {build_cpuid, destroy_cpuid, NULL, .to_run = true},
    {build_ram, NULL, NULL},                     /* vm_destroy() undoes it */
    {build_irqchip, NULL, NULL, .to_run = true}, /* vm_destroy(); reset by x86_power_on_reset() */
    {build_vcpus, NULL, NULL, .to_run = true},   /* vm_stop_vcpus(); the same */
    {build_rtc, destroy_rtc, reset_rtc},
    {machine_build_console, machine_destroy_console, NULL, .to_run = true},
    {build_serial, destroy_serial, reset_serial},
    {build_pvpanic, destroy_pvpanic, NULL},
    {build_acpi_pm, destroy_acpi_pm, reset_acpi_pm},
    {build_reset_ports, destroy_reset_ports, reset_reset_ports},
    {build_pci, destroy_pci, NULL}, /* reset by the caller of machine_reset() */
    {NULL, NULL, NULL},
};

/* ---- what of it is in KVM, and what is wired to its pins */

unsigned machine_kvm_ranges(const struct machine *machine,
                            struct machine_range ranges[MACHINE_RANGES_MAX])
{
    static const struct machine_range list[] = {
        {false, X86_IOAPIC_BASE, X86_IOAPIC_BASE + 0xfff, "I/O APIC"},
        {false, X86_LAPIC_BASE, X86_LAPIC_BASE + 0xfffff, "local APICs, messages"},
        {true, 0x20, 0x21, "PIC"},
        {true, 0x40, 0x43, "PIT"},
        {true, 0x61, 0x61, "PIT's speaker gate"},
        {true, 0xa0, 0xa1, "second PIC"},
        {true, 0x4d0, 0x4d1, "PIC triggers"},
    };
    (void)machine;
    memcpy(ranges, list, sizeof(list));
    return sizeof(list) / sizeof(list[0]);
}

unsigned machine_wires(const struct machine *machine, struct machine_wire wires[MACHINE_WIRES_MAX])
{
    static const struct machine_wire list[] = {
        {0, "PIT (in KVM)"},
        {X86_GSI_SERIAL, "serial"},
        {X86_GSI_RTC, "rtc"},
        {X86_GSI_SCI, "acpi-pm"},
    };
    (void)machine;
    memcpy(wires, list, sizeof(list));
    return sizeof(list) / sizeof(list[0]);
}

/* ---- power-on */

/* Before the first run everything is as it was created: nothing to undo, and no time to lose. */
static int undo_last_run(struct machine *machine, struct error *err)
{
    if (!machine->has_run) {
        return 0;
    }
    machine_reset_parts(machine);
    return x86_power_on_reset(&machine->vm, err);
}

static void count_bridge(void *opaque, struct pci_device *device)
{
    unsigned *bridges = opaque;
    *bridges += device->bridge != NULL;
}

/*
 * How many buses the guest may number: a few for each bridge, and not the 256 that the host bridge
 * decodes, because Linux looks for a device in every slot of every bus that no bridge leads to,
 * with two exits a slot: 16,000 exits, a third of its boot where exits are slow.
 */
static uint8_t last_bus(struct machine *machine)
{
    enum { BUSES_A_BRIDGE = 4 };
    unsigned bridges = 0;
    pci_host_for_each(&machine->pci, count_bridge, &bridges);
    unsigned last = bridges * BUSES_A_BRIDGE;
    return last < X86_ECAM_BUSES ? last : X86_ECAM_BUSES - 1;
}

static int load(struct machine *machine, struct boot_entry *entry, struct error *err)
{
    const struct acpi_config tables = {.cpus = machine->vm.vcpu_count,
                                       .last_bus = last_bus(machine),
                                       .pci64_base = machine->arch.map.pci64_base,
                                       .pci64_size = machine->arch.map.pci64_size};
    gpa_t rsdp;
    int ret =
        acpi_build(&tables, &machine->vm.memory, gpa(X86_ACPI_BASE), X86_ACPI_SIZE, &rsdp, err);
    if (ret < 0) {
        return ret;
    }
    const struct boot_target target = {.memory = &machine->vm.memory,
                                       .map = &machine->arch.map,
                                       .rsdp = rsdp.raw,
                                       .gigabyte_pages =
                                           x86_cpuid_has_gigabyte_pages(machine->vm.arch.cpuid),
                                       .ram_is_zero = !machine->has_run};
    ret = boot_load(&machine->arch.boot, &target, entry, err);
    if (ret == 0) {
        trace_x86_load(machine->options->kernel,
                       entry->protocol == BOOT_PVH ? "PVH" : "Linux 64-bit", entry->rip,
                       machine->arch.boot.command_line);
    }
    return ret;
}

int machine_reset(struct machine *machine, struct error *err)
{
    struct vm *vm = &machine->vm;
    struct boot_entry entry;
    int ret = undo_last_run(machine, err);
    if (ret == 0) {
        ret = load(machine, &entry, err);
    }
    for (unsigned i = 0; ret == 0 && i < vm->vcpu_count; i++) {
        ret = x86_vcpu_prepare(vm->vcpus[i], err);
    }
    if (ret == 0) {
        ret = x86_vcpu_enter(vm->vcpus[0], &entry, err);
    }
    machine->has_run = true;
    return ret;
}

int machine_powerdown(struct machine *machine, struct error *err)
{
    (void)err; /* a button can always be pressed */
    acpi_pm_power_button(&machine->arch.acpi_pm);
    return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * KVM's GIC is a "device" with a file descriptor of its own. Everything about it is an attribute:
 * where it lies in the guest's address space, how many interrupts it has, and all its registers,
 * which is how it is reset. Register offsets and fields are those of the architecture
 * specifications, ARM IHI 0048 (GICv2) and IHI 0069 (GICv3).
 */
#include "vmm/arm64/irqchip.h"

#include <errno.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vmm/vcpu.h"
#include "vmm/vm.h"

static int refused(struct error *err, const char *what)
{
    int code = -errno;
    return error_set(err, code, "/dev/kvm: %s: %s", what, strerror(-code));
}

/* ---- KVM's devices and their attributes
 * ------------------------------------------------------------ */

static bool offers_device(int vm_fd, uint32_t type)
{
    struct kvm_create_device request = {.type = type, .flags = KVM_CREATE_DEVICE_TEST};
    return ioctl(vm_fd, KVM_CREATE_DEVICE, &request) == 0;
}

static int create_device(int vm_fd, uint32_t type, const char *name, int *fd, struct error *err)
{
    struct kvm_create_device request = {.type = type};
    if (ioctl(vm_fd, KVM_CREATE_DEVICE, &request) < 0) {
        return refused(err, name);
    }
    *fd = (int)request.fd;
    return 0;
}

static int set_attribute(int fd, uint32_t group, uint64_t attribute, const void *value,
                         const char *name, struct error *err)
{
    struct kvm_device_attr request = {
        .group = group, .attr = attribute, .addr = (uint64_t)(uintptr_t)value};
    return ioctl(fd, KVM_SET_DEVICE_ATTR, &request) < 0 ? refused(err, name) : 0;
}

static int set_address(int fd, uint64_t type, uint64_t address, const char *name, struct error *err)
{
    return set_attribute(fd, KVM_DEV_ARM_VGIC_GRP_ADDR, type, &address, name, err);
}

static int control(int fd, uint64_t what, const char *name, struct error *err)
{
    return set_attribute(fd, KVM_DEV_ARM_VGIC_GRP_CTRL, what, NULL, name, err);
}

/* ---- GICv3
 * --------------------------------------------------------------------------------------- */

/*
 * One region of redistributors needs no more than its address. For more vCPUs than the low one
 * holds there are two, each with its count: bits 63-52, and its index: bits 11-0.
 */
static int place_redistributors(int fd, const struct arm64_memory_map *map, unsigned vcpus,
                                struct error *err)
{
    static const char what[] = "address of the GICv3's redistributors";
    if (vcpus <= ARM64_LOW_GICR_VCPUS) {
        return set_address(fd, KVM_VGIC_V3_ADDR_TYPE_REDIST, ARM64_GICR_BASE, what, err);
    }
    uint64_t high = vcpus - ARM64_LOW_GICR_VCPUS;
    if (high * ARM64_GICR_STRIDE > map->high_gicr_size) {
        return error_set(err, -EINVAL,
                         "--smp %u: redistributors for more than %d vCPUs are beyond the address "
                         "bits of this host's guests",
                         vcpus, ARM64_LOW_GICR_VCPUS);
    }
    int ret = set_address(fd, KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION,
                          (uint64_t)ARM64_LOW_GICR_VCPUS << 52 | ARM64_GICR_BASE, what, err);
    return ret < 0 ? ret
                   : set_address(fd, KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION,
                                 high << 52 | map->high_gicr_base | 1, what, err);
}

static int create_gicv3(struct arm64_irqchip *chip, struct vm *vm,
                        const struct arm64_memory_map *map, struct error *err)
{
    int ret = create_device(vm->fd, KVM_DEV_TYPE_ARM_VGIC_V3, "GICv3", &chip->fd, err);
    if (ret < 0) {
        return ret;
    }
    chip->version = 3;
    ret = set_address(chip->fd, KVM_VGIC_V3_ADDR_TYPE_DIST, ARM64_GICD_BASE,
                      "address of the GICv3's distributor", err);
    return ret < 0 ? ret : place_redistributors(chip->fd, map, vm->vcpu_count, err);
}

static int create_its(struct arm64_irqchip *chip, struct vm *vm, struct error *err)
{
    int ret = create_device(vm->fd, KVM_DEV_TYPE_ARM_VGIC_ITS, "ITS", &chip->its_fd, err);
    if (ret < 0) {
        return ret;
    }
    chip->has_its = true;
    ret = set_address(chip->its_fd, KVM_VGIC_ITS_ADDR_TYPE, ARM64_ITS_BASE, "address of the ITS",
                      err);
    if (ret == 0) {
        ret = control(chip->its_fd, KVM_DEV_ARM_VGIC_CTRL_INIT, "ITS", err);
    }
    /* An ITS finds a device's table by its id. KVM has the capability since it has the ITS. */
    vm->irq.msi_device_ids = vm_check_extension(vm, KVM_CAP_MSI_DEVID) > 0;
    return ret;
}

/* ---- GICv2
 * --------------------------------------------------------------------------------------- */

static int create_gicv2(struct arm64_irqchip *chip, struct vm *vm, struct error *err)
{
    if (vm->vcpu_count > ARM64_GICV2_MAX_VCPUS) {
        return error_set(err, -EINVAL, "--smp %u: a GICv2 has at most %d vCPUs", vm->vcpu_count,
                         ARM64_GICV2_MAX_VCPUS);
    }
    int ret = create_device(vm->fd, KVM_DEV_TYPE_ARM_VGIC_V2, "GICv2", &chip->fd, err);
    if (ret < 0) {
        return ret;
    }
    chip->version = 2;
    ret = set_address(chip->fd, KVM_VGIC_V2_ADDR_TYPE_DIST, ARM64_GICD_BASE,
                      "address of the GICv2's distributor", err);
    return ret < 0 ? ret
                   : set_address(chip->fd, KVM_VGIC_V2_ADDR_TYPE_CPU, ARM64_GICC_BASE,
                                 "address of the GICv2's CPU interfaces", err);
}

/* ---- creation
 * ------------------------------------------------------------------------------------ */

static int create_chosen(struct arm64_irqchip *chip, struct vm *vm,
                         const struct arm64_memory_map *map, enum arm64_gic_choice choice,
                         struct error *err)
{
    bool has3 = offers_device(vm->fd, KVM_DEV_TYPE_ARM_VGIC_V3);
    bool has2 = offers_device(vm->fd, KVM_DEV_TYPE_ARM_VGIC_V2);
    const char *offered = has3   ? has2 ? "a GICv2 and a GICv3" : "a GICv3 only"
                          : has2 ? "a GICv2 only"
                                 : "no GIC at all";
    if (has3 && choice != ARM64_GIC_2) {
        return create_gicv3(chip, vm, map, err);
    }
    if (has2 && choice != ARM64_GIC_3) {
        return create_gicv2(chip, vm, err);
    }
    if (choice == ARM64_GIC_AUTO) {
        return error_set(err, -ENOTSUP, "/dev/kvm: this host's KVM offers %s", offered);
    }
    return error_set(err, -ENOTSUP, "--machine gic=%c: this host's KVM offers %s",
                     choice == ARM64_GIC_2 ? '2' : '3', offered);
}

static int initialise(struct arm64_irqchip *chip, struct error *err)
{
    uint32_t irqs = ARM64_GIC_IRQS;
    int ret = set_attribute(chip->fd, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, &irqs,
                            "the GIC's number of interrupts", err);
    return ret < 0 ? ret : control(chip->fd, KVM_DEV_ARM_VGIC_CTRL_INIT, "GIC", err);
}

/*
 * A pin's level is set by KVM_IRQ_LINE, which names the interrupt itself and needs no entry in the
 * routing table: that has MSIs only.
 */
int arm64_irqchip_create(struct arm64_irqchip *chip, struct vm *vm,
                         const struct arm64_memory_map *map, enum arm64_gic_choice choice,
                         bool want_its, struct error *err)
{
    *chip = (struct arm64_irqchip){0};
    int ret = create_chosen(chip, vm, map, choice, err);
    if (ret == 0) {
        ret = initialise(chip, err);
    }
    if (ret == 0) {
        ret = kvm_irq_init(&vm->irq, vm->fd, ARM64_GIC_IRQS, err);
    }
    if (ret == 0) {
        vm->irq.line_flags = (uint32_t)KVM_ARM_IRQ_TYPE_SPI << KVM_ARM_IRQ_TYPE_SHIFT;
    }
    if (ret == 0 && chip->version == 3 && want_its &&
        offers_device(vm->fd, KVM_DEV_TYPE_ARM_VGIC_ITS)) {
        ret = create_its(chip, vm, err);
    }
    if (ret < 0) {
        arm64_irqchip_destroy(chip);
    }
    return ret;
}

void arm64_irqchip_destroy(struct arm64_irqchip *chip)
{
    if (chip->has_its) {
        close(chip->its_fd);
    }
    if (chip->version) {
        close(chip->fd);
    }
    *chip = (struct arm64_irqchip){0};
}

/* ---- reset
 * --------------------------------------------------------------------------------------- */

/* Registers from `first` to `last`, 4 bytes each, that get `value`. */
struct reset_range {
    uint32_t first;
    uint32_t last;
    uint32_t value;
};

enum { ALL = -1, SGI_FRAME = 0x10000 };

/* Those of the shared interrupts, alike in both versions but for what is said. */
static const struct reset_range shared_registers[] = {
    {0x000, 0x000, 0},                                             /* CTLR */
    {0x184, 0x180 + (ARM64_GIC_IRQS / 32 - 1) * 4, (uint32_t)ALL}, /* ICENABLER */
    {0x384, 0x380 + (ARM64_GIC_IRQS / 32 - 1) * 4, (uint32_t)ALL}, /* ICACTIVER */
    {0x420, 0x400 + ARM64_GIC_IRQS - 4, 0},                        /* IPRIORITYR */
    {0xc08, 0xc00 + (ARM64_GIC_IRQS / 16 - 1) * 4, 0},             /* ICFGR */
};

static const struct reset_range gicv3_shared_registers[] = {
    {0x084, 0x080 + (ARM64_GIC_IRQS / 32 - 1) * 4, (uint32_t)ALL}, /* IGROUPR, as KVM creates it */
    {0x204, 0x200 + (ARM64_GIC_IRQS / 32 - 1) * 4,
     0},                                          /* ISPENDR: for KVM's user the state itself */
    {0x6100, 0x6000 + ARM64_GIC_IRQS * 8 - 4, 0}, /* IROUTER */
};

static const struct reset_range gicv3_redistributor_registers[] = {
    {0x0000, 0x0000, 0},                                   /* CTLR: no LPIs */
    {0x0070, 0x007c, 0},                                   /* PROPBASER, PENDBASER */
    {SGI_FRAME + 0x080, SGI_FRAME + 0x080, (uint32_t)ALL}, /* IGROUPR0 */
    {SGI_FRAME + 0x180, SGI_FRAME + 0x180, (uint32_t)ALL}, /* ICENABLER0 */
    {SGI_FRAME + 0x380, SGI_FRAME + 0x380, (uint32_t)ALL}, /* ICACTIVER0 */
    {SGI_FRAME + 0x200, SGI_FRAME + 0x200, 0},             /* ISPENDR0 */
    {SGI_FRAME + 0x400, SGI_FRAME + 0x41c, 0},             /* IPRIORITYR */
    {SGI_FRAME + 0xc04, SGI_FRAME + 0xc04, 0},             /* ICFGR1 */
};

static const struct reset_range gicv2_shared_registers[] = {
    {0x084, 0x080 + (ARM64_GIC_IRQS / 32 - 1) * 4, 0},             /* IGROUPR */
    {0x284, 0x280 + (ARM64_GIC_IRQS / 32 - 1) * 4, (uint32_t)ALL}, /* ICPENDR */
    {0x820, 0x800 + ARM64_GIC_IRQS - 4, 0},                        /* ITARGETSR */
};

static const struct reset_range gicv2_banked_registers[] = {
    {0x080, 0x080, 0},             /* IGROUPR0 */
    {0x180, 0x180, (uint32_t)ALL}, /* ICENABLER0 */
    {0x280, 0x280, (uint32_t)ALL}, /* ICPENDR0 */
    {0x380, 0x380, (uint32_t)ALL}, /* ICACTIVER0 */
    {0x400, 0x41c, 0},             /* IPRIORITYR */
    {0xc04, 0xc04, 0},             /* ICFGR1 */
    {0xf10, 0xf1c, (uint32_t)ALL}, /* CPENDSGIR */
};

static const struct reset_range gicv2_cpu_registers[] = {
    {0x00, 0x04, 0}, /* CTLR, PMR */
    {0x08, 0x08, 0}, /* BPR */
    {0xd0, 0xd0, 0}, /* APR0 */
};

static int reset_ranges(int fd, uint32_t group, uint64_t cpu, const struct reset_range *ranges,
                        size_t count, struct error *err)
{
    for (size_t i = 0; i < count; i++) {
        for (uint32_t offset = ranges[i].first; offset <= ranges[i].last; offset += 4) {
            int ret = set_attribute(fd, group, cpu << 32 | offset, &ranges[i].value,
                                    "cannot reset the GIC", err);
            if (ret < 0) {
                return ret;
            }
        }
    }
    return 0;
}

#define RESET(fd, group, cpu, ranges, err)                                                         \
    reset_ranges((fd), (group), (cpu), (ranges), sizeof(ranges) / sizeof((ranges)[0]), (err))

/* How the attribute of a system register names it: op0, op1, CRn, CRm, op2 as in MRS and MSR. */
#define ICC(crn, crm, op2) (3u << 14 | (crn) << 7 | (crm) << 3 | (op2))

/* Those that every implementation has; KVM keeps what is read-only in them. */
static const uint16_t gicv3_cpu_registers[] = {
    ICC(4, 6, 0),   /* ICC_PMR_EL1 */
    ICC(12, 8, 3),  /* ICC_BPR0_EL1 */
    ICC(12, 12, 3), /* ICC_BPR1_EL1 */
    ICC(12, 8, 4),  /* ICC_AP0R0_EL1 */
    ICC(12, 9, 0),  /* ICC_AP1R0_EL1 */
    ICC(12, 12, 6), /* ICC_IGRPEN0_EL1 */
    ICC(12, 12, 7), /* ICC_IGRPEN1_EL1 */
};

/* MPIDR_EL1's four fields side by side, Aff3 on top, as the attributes want them. */
static uint64_t packed_affinity(uint64_t mpidr)
{
    return (mpidr >> 8 & 0xff000000) | (mpidr & 0x00ffffff);
}

static int reset_gicv3_cpu(int fd, uint64_t cpu, struct error *err)
{
    const uint64_t zero = 0;
    int ret = RESET(fd, KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, cpu, gicv3_redistributor_registers, err);
    for (size_t i = 0; ret == 0 && i < sizeof(gicv3_cpu_registers) / sizeof(uint16_t); i++) {
        ret =
            set_attribute(fd, KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS, cpu << 32 | gicv3_cpu_registers[i],
                          &zero, "cannot reset a CPU interface", err);
    }
    return ret;
}

static int reset_gicv3(struct arm64_irqchip *chip, struct vm *vm, struct error *err)
{
    int ret = RESET(chip->fd, KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0, gicv3_shared_registers, err);
    for (unsigned i = 0; ret == 0 && i < vm->vcpu_count; i++) {
        ret = reset_gicv3_cpu(chip->fd, packed_affinity(vm->vcpus[i]->arch.mpidr), err);
    }
    if (ret == 0 && chip->has_its) {
        ret = control(chip->its_fd, KVM_DEV_ARM_ITS_CTRL_RESET, "cannot reset the ITS", err);
    }
    return ret;
}

static int reset_gicv2(struct arm64_irqchip *chip, struct vm *vm, struct error *err)
{
    int ret = RESET(chip->fd, KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0, gicv2_shared_registers, err);
    for (unsigned i = 0; ret == 0 && i < vm->vcpu_count; i++) {
        ret = RESET(chip->fd, KVM_DEV_ARM_VGIC_GRP_DIST_REGS, i, gicv2_banked_registers, err);
        if (ret == 0) {
            ret = RESET(chip->fd, KVM_DEV_ARM_VGIC_GRP_CPU_REGS, i, gicv2_cpu_registers, err);
        }
    }
    return ret;
}

int arm64_irqchip_reset(struct arm64_irqchip *chip, struct vm *vm, struct error *err)
{
    int ret = RESET(chip->fd, KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0, shared_registers, err);
    if (ret < 0) {
        return ret;
    }
    return chip->version == 3 ? reset_gicv3(chip, vm, err) : reset_gicv2(chip, vm, err);
}

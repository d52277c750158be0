/* SPDX-License-Identifier: MIT */
/*
 * How a reset works when there is no "reset" ioctl.
 *
 * KVM has no call that takes a VM back to power-on; every register must be written. What to write,
 * KVM knows best, and it depends on the host's CPU and kernel. So when a guest reboots we create a
 * second, bare VM with the same CPUID and one or two vCPUs that never run, read *their* state, and
 * write it into ours. A reset costs a millisecond for this; a start, which is more frequent, costs
 * nothing.
 *
 * vCPU 0 of that VM stands for the boot processor, vCPU 1 for all others: they differ in the BSP
 * bit of the APIC base, in LINT0, and in that the others wait for a start-up interrupt.
 */
#include "vmm/x86/power_on.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vmm/arch.h"
#include "vmm/trace.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"
#include "vmm/x86/guest_cpuid.h"
#include "vmm/x86/irqchip.h"
#include "vmm/x86/vcpu_x86.h"

enum { CHIPS = 3, KINDS = 2, MSRS_MAX = 1024, APIC_ID_REGISTER = 0x20 };

/* All the state of a vCPU that a guest can change. */
struct cpu_state {
    struct kvm_regs regs;
    struct kvm_sregs sregs;
    uint32_t xsave[1024]; /* struct kvm_xsave */
    struct kvm_xcrs xcrs;
    struct kvm_debugregs debugregs;
    struct kvm_lapic_state lapic;
    struct kvm_vcpu_events events;
    struct kvm_mp_state mp_state;
};

/* The MSRs of one vCPU: struct kvm_msrs with room for its array. */
union msr_list {
    struct kvm_msrs msrs;
    uint8_t room[sizeof(struct kvm_msrs) + MSRS_MAX * sizeof(struct kvm_msr_entry)];
};

struct power_on {
    int vm_fd;
    int vcpu_fd[KINDS];
    struct kvm_irqchip chips[CHIPS];
    struct kvm_pit_state2 pit;
    struct cpu_state cpu[KINDS]; /* boot processor, others */
    union msr_list msrs[KINDS];
};

static int call(int fd, unsigned long request, void *argument, const char *name, struct error *err)
{
    if (ioctl(fd, request, argument) >= 0) {
        return 0;
    }
    int code = -errno;
    return error_set(err, code, "cannot reset the machine: %s: %s", name, strerror(-code));
}

#define CALL(fd, request, argument, err) call(fd, request, argument, #request, err)

/* ---- MSRs */

enum {
    MSR_TSC = 0x10,
    MSR_MTRR_PHYS_BASE0 = 0x200, /* eight pairs of base and mask */
    MSR_MTRR_PHYS_LAST = 0x20f,
    MSR_MTRR_DEF_TYPE = 0x2ff,
    /* Hyper-V's, which our CPUID does not offer; some of them count and so always differ. */
    MSR_HYPERV_FIRST = 0x40000000,
    MSR_HYPERV_LAST = 0x400001ff,
};

static const uint32_t fixed_mtrrs[] = {0x250, 0x258, 0x259, 0x268, 0x269, 0x26a,
                                       0x26b, 0x26c, 0x26d, 0x26e, 0x26f};

static void list_msr(union msr_list *list, uint32_t index)
{
    if (list->msrs.nmsrs < MSRS_MAX) {
        list->msrs.entries[list->msrs.nmsrs++] = (struct kvm_msr_entry){.index = index};
    }
}

/* KVM names the MSRs it keeps, but for the memory type ranges (in most kernels). */
static int list_msrs(int kvm_fd, union msr_list *list, struct error *err)
{
    union {
        struct kvm_msr_list list;
        uint8_t room[sizeof(struct kvm_msr_list) + MSRS_MAX * sizeof(uint32_t)];
    } known = {.list.nmsrs = MSRS_MAX};
    int ret = CALL(kvm_fd, KVM_GET_MSR_INDEX_LIST, &known, err);
    if (ret < 0) {
        return ret;
    }
    list->msrs.nmsrs = 0;
    for (uint32_t i = 0; i < known.list.nmsrs; i++) {
        if (known.list.indices[i] < MSR_HYPERV_FIRST || known.list.indices[i] > MSR_HYPERV_LAST) {
            list_msr(list, known.list.indices[i]);
        }
    }
    for (uint32_t index = MSR_MTRR_PHYS_BASE0; index <= MSR_MTRR_PHYS_LAST; index++) {
        list_msr(list, index);
    }
    for (size_t i = 0; i < sizeof(fixed_mtrrs) / sizeof(fixed_mtrrs[0]); i++) {
        list_msr(list, fixed_mtrrs[i]);
    }
    list_msr(list, MSR_MTRR_DEF_TYPE);
    return 0;
}

/* Read all MSRs of the list; take those out that this vCPU does not have. */
static int read_msrs(int vcpu_fd, union msr_list *list, struct error *err)
{
    while (list->msrs.nmsrs > 0) {
        int done = ioctl(vcpu_fd, KVM_GET_MSRS, &list->msrs);
        if (done < 0) {
            return call(vcpu_fd, KVM_GET_MSRS, &list->msrs, "KVM_GET_MSRS", err);
        }
        if ((uint32_t)done >= list->msrs.nmsrs) {
            return 0;
        }
        /* KVM stopped at number `done`. */
        list->msrs.entries[done] = list->msrs.entries[--list->msrs.nmsrs];
    }
    return 0;
}

/*
 * Write them one by one. One that KVM does not let us write is only traced: a read-only register
 * that a newer kernel has put on its list must not end a guest's reboot.
 */
static void write_msrs(const struct vcpu *vcpu, const union msr_list *list)
{
    for (uint32_t i = 0; i < list->msrs.nmsrs; i++) {
        const struct kvm_msr_entry *msr = &list->msrs.entries[i];
        /* A zero on all vCPUs tells KVM that their time stamp counters start together. */
        uint64_t value = msr->index == MSR_TSC ? 0 : msr->data;
        if (x86_vcpu_set_msr(vcpu, msr->index, value) < 0) {
            trace_x86_reset_msr_refused(vcpu->index, msr->index, value);
        }
    }
}

/* ---- the second VM */

static int create_cpu(struct vm *vm, struct power_on *on, unsigned kind, struct error *err)
{
    on->vcpu_fd[kind] = ioctl(on->vm_fd, KVM_CREATE_VCPU, (unsigned long)kind);
    if (on->vcpu_fd[kind] < 0) {
        int code = -errno;
        return error_set(err, code, "cannot reset the machine: KVM_CREATE_VCPU: %s",
                         strerror(-code));
    }
    x86_cpuid_set_apic_id(vm->arch.cpuid, kind);
    return CALL(on->vcpu_fd[kind], KVM_SET_CPUID2, vm->arch.cpuid, err);
}

static int create(struct vm *vm, struct power_on *on, unsigned kinds, struct error *err)
{
    do {
        on->vm_fd = ioctl(vm->kvm_fd, KVM_CREATE_VM, arch_vm_type(vm->kvm_fd, 0));
    } while (on->vm_fd < 0 && errno == EINTR);
    if (on->vm_fd < 0) {
        int code = -errno;
        return error_set(err, code, "cannot reset the machine: KVM_CREATE_VM: %s", strerror(-code));
    }
    int ret = x86_irqchip_create_bare(on->vm_fd, err);
    for (unsigned kind = 0; ret == 0 && kind < kinds; kind++) {
        ret = create_cpu(vm, on, kind, err);
    }
    return ret;
}

static void destroy(struct power_on *on)
{
    for (unsigned kind = 0; kind < KINDS; kind++) {
        if (on->vcpu_fd[kind] >= 0) {
            close(on->vcpu_fd[kind]);
        }
    }
    if (on->vm_fd >= 0) {
        close(on->vm_fd);
    }
    free(on);
}

/* ---- reading it */

static int read_chips(struct power_on *on, struct error *err)
{
    int ret = 0;
    for (uint32_t i = 0; ret == 0 && i < CHIPS; i++) {
        on->chips[i].chip_id = i; /* KVM_IRQCHIP_PIC_MASTER, _PIC_SLAVE, _IOAPIC */
        ret = CALL(on->vm_fd, KVM_GET_IRQCHIP, &on->chips[i], err);
    }
    return ret < 0 ? ret : CALL(on->vm_fd, KVM_GET_PIT2, &on->pit, err);
}

static int read_cpu(int fd, struct cpu_state *cpu, struct error *err)
{
    int ret = CALL(fd, KVM_GET_REGS, &cpu->regs, err);
    ret = ret < 0 ? ret : CALL(fd, KVM_GET_SREGS, &cpu->sregs, err);
    ret = ret < 0 ? ret : CALL(fd, KVM_GET_XSAVE, cpu->xsave, err);
    ret = ret < 0 ? ret : CALL(fd, KVM_GET_DEBUGREGS, &cpu->debugregs, err);
    ret = ret < 0 ? ret : CALL(fd, KVM_GET_LAPIC, &cpu->lapic, err);
    ret = ret < 0 ? ret : CALL(fd, KVM_GET_VCPU_EVENTS, &cpu->events, err);
    ret = ret < 0 ? ret : CALL(fd, KVM_GET_MP_STATE, &cpu->mp_state, err);
    return ret;
}

static int read_all(struct vm *vm, struct power_on *on, unsigned kinds, struct error *err)
{
    int ret = read_chips(on, err);
    bool has_xcrs = vm_check_extension(vm, KVM_CAP_XCRS) > 0;
    for (unsigned kind = 0; ret == 0 && kind < kinds; kind++) {
        ret = read_cpu(on->vcpu_fd[kind], &on->cpu[kind], err);
        if (ret == 0 && has_xcrs) {
            ret = CALL(on->vcpu_fd[kind], KVM_GET_XCRS, &on->cpu[kind].xcrs, err);
        }
        if (ret == 0) {
            ret = list_msrs(vm->kvm_fd, &on->msrs[kind], err);
        }
        if (ret == 0) {
            ret = read_msrs(on->vcpu_fd[kind], &on->msrs[kind], err);
        }
    }
    return ret;
}

/* ---- writing it */

static int reset_chips(struct vm *vm, struct power_on *on, struct error *err)
{
    int ret = 0;
    for (uint32_t i = 0; ret == 0 && i < CHIPS; i++) {
        ret = CALL(vm->fd, KVM_SET_IRQCHIP, &on->chips[i], err);
    }
    return ret < 0 ? ret : CALL(vm->fd, KVM_SET_PIT2, &on->pit, err);
}

/*
 * The order matters: the APIC base (in sregs) decides which form the local APIC's registers have,
 * and the extended state comes before XCR0, which says what of it is in use.
 */
static int reset_cpu(struct vcpu *vcpu, struct power_on *on, unsigned kind, struct error *err)
{
    struct cpu_state *cpu = &on->cpu[kind];
    struct kvm_mp_state pending;
    uint32_t id = vcpu->arch.apic_id << 24;
    memcpy(cpu->lapic.regs + APIC_ID_REGISTER, &id, sizeof(id));
    /* Reading makes KVM act on INIT and start-up interrupts that have arrived: none is left. */
    int ret = CALL(vcpu->fd, KVM_GET_MP_STATE, &pending, err);
    ret = ret < 0 ? ret : CALL(vcpu->fd, KVM_SET_REGS, &cpu->regs, err);
    ret = ret < 0 ? ret : CALL(vcpu->fd, KVM_SET_SREGS, &cpu->sregs, err);
    ret = ret < 0 ? ret : CALL(vcpu->fd, KVM_SET_XSAVE, cpu->xsave, err);
    if (ret == 0 && cpu->xcrs.nr_xcrs > 0) {
        ret = CALL(vcpu->fd, KVM_SET_XCRS, &cpu->xcrs, err);
    }
    ret = ret < 0 ? ret : CALL(vcpu->fd, KVM_SET_DEBUGREGS, &cpu->debugregs, err);
    if (ret == 0) {
        write_msrs(vcpu, &on->msrs[kind]);
    }
    ret = ret < 0 ? ret : CALL(vcpu->fd, KVM_SET_LAPIC, &cpu->lapic, err);
    ret = ret < 0 ? ret : CALL(vcpu->fd, KVM_SET_VCPU_EVENTS, &cpu->events, err);
    ret = ret < 0 ? ret : CALL(vcpu->fd, KVM_SET_MP_STATE, &cpu->mp_state, err);
    return ret;
}

int x86_power_on_reset(struct vm *vm, struct error *err)
{
    unsigned kinds = vm->vcpu_count > 1 ? 2 : 1;
    struct power_on *on = calloc(1, sizeof(*on));
    if (!on) {
        return error_set(err, -ENOMEM, "cannot reset the machine: no memory");
    }
    on->vm_fd = on->vcpu_fd[0] = on->vcpu_fd[1] = -1;
    int ret = create(vm, on, kinds, err);
    ret = ret < 0 ? ret : read_all(vm, on, kinds, err);
    ret = ret < 0 ? ret : reset_chips(vm, on, err);
    for (unsigned i = 0; ret == 0 && i < vm->vcpu_count; i++) {
        ret = reset_cpu(vm->vcpus[i], on, i == 0 ? 0 : 1, err);
    }
    destroy(on);
    return ret;
}

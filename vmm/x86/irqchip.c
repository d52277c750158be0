/* SPDX-License-Identifier: MIT */
#include "vmm/x86/irqchip.h"

#include <errno.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vmm/vm.h"
#include "vmm/x86/memory_map.h"

enum { PIC_PINS = 8, PIC_CASCADE = 2 };

static int refused(struct error *err, const char *what)
{
    int code = -errno;
    return error_set(err, code, "/dev/kvm: %s: %s", what, strerror(-code));
}

/*
 * Intel CPUs without "unrestricted guest" run real mode as virtual-8086 mode inside protected mode,
 * for which KVM needs a task state segment and a page table in the guest's address space.
 */
static int reserve_pages_for_real_mode(int vm_fd, struct error *err)
{
    uint64_t identity_map = X86_IDENTITY_MAP_BASE;
    if (ioctl(vm_fd, KVM_SET_IDENTITY_MAP_ADDR, &identity_map) < 0) {
        return refused(err, "KVM_SET_IDENTITY_MAP_ADDR");
    }
    if (ioctl(vm_fd, KVM_SET_TSS_ADDR, (unsigned long)X86_TSS_BASE) < 0) {
        return refused(err, "KVM_SET_TSS_ADDR");
    }
    return 0;
}

int x86_irqchip_create_bare(int vm_fd, struct error *err)
{
    if (ioctl(vm_fd, KVM_CREATE_IRQCHIP, 0) < 0) {
        return refused(err, "KVM_CREATE_IRQCHIP");
    }
    /* Port 0x61, through which software gates and reads the PIT's third channel, comes with it. */
    struct kvm_pit_config pit = {.flags = KVM_PIT_SPEAKER_DUMMY};
    if (ioctl(vm_fd, KVM_CREATE_PIT2, &pit) < 0) {
        return refused(err, "KVM_CREATE_PIT2");
    }
    return 0;
}

/* GSIs 0-15 reach a PIC and the I/O APIC, as in a PC; the guest chooses which of them it uses. */
static int wire_gsi(struct kvm_irq *irq, uint32_t gsi)
{
    int ret = 0;
    if (gsi == PIC_CASCADE) {
        return 0; /* the second PIC hangs there, and the PIT has the I/O APIC's pin */
    }
    if (gsi < 2 * PIC_PINS) {
        uint32_t chip = gsi < PIC_PINS ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE;
        ret = kvm_irq_add_pin(irq, gsi, chip, gsi % PIC_PINS);
    }
    if (ret == 0) {
        uint32_t pin = gsi == 0 ? X86_PIT_IOAPIC_PIN : gsi;
        ret = kvm_irq_add_pin(irq, gsi, KVM_IRQCHIP_IOAPIC, pin);
    }
    return ret;
}

static int wire_pins(struct kvm_irq *irq)
{
    for (uint32_t gsi = 0; gsi < X86_IOAPIC_PINS; gsi++) {
        int ret = wire_gsi(irq, gsi);
        if (ret < 0) {
            return ret;
        }
    }
    return kvm_irq_commit(irq);
}

int x86_irqchip_create(struct vm *vm, struct error *err)
{
    int ret = reserve_pages_for_real_mode(vm->fd, err);
    if (ret == 0) {
        ret = x86_irqchip_create_bare(vm->fd, err);
    }
    if (ret == 0) {
        ret = kvm_irq_init(&vm->irq, vm->fd, X86_IOAPIC_PINS, err);
    }
    if (ret < 0) {
        return ret;
    }
    ret = wire_pins(&vm->irq);
    return ret < 0 ? error_set(err, ret, "/dev/kvm: KVM_SET_GSI_ROUTING: %s", strerror(-ret)) : 0;
}

/* SPDX-License-Identifier: MIT */
#include "vmm/x86/irqchip.h"

#include <errno.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vmm/vm.h"
#include "vmm/x86/memory_map.h"

enum { PIC_PINS = 8 };

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

/*
 * Note in our copy of the routing table how KVM wired the pins when it made the controllers: GSI n
 * is pin n of the I/O APIC, and GSIs 0-15 reach the PICs too; the guest chooses which of them it
 * uses. KVM is handed the table with the first MSI: to tell it now what it did itself could cost a
 * start a millisecond.
 */
static int note_pins(struct kvm_irq *irq)
{
    int ret = 0;
    for (uint32_t gsi = 0; ret == 0 && gsi < X86_IOAPIC_PINS; gsi++) {
        if (gsi < 2 * PIC_PINS) {
            uint32_t chip = gsi < PIC_PINS ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE;
            ret = kvm_irq_add_pin(irq, gsi, chip, gsi % PIC_PINS);
        }
        if (ret == 0) {
            ret = kvm_irq_add_pin(irq, gsi, KVM_IRQCHIP_IOAPIC, gsi);
        }
    }
    return ret;
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
    ret = note_pins(&vm->irq);
    return ret < 0 ? error_set(err, ret, "no memory for the interrupt routing table") : 0;
}

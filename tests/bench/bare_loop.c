/* SPDX-License-Identifier: MIT */
/*
 * The least that runs a guest: what every other figure is measured against. Creates a VM with one
 * vCPU and RAM, lets the guest make N port reads, answers each with a constant, and ends when it
 * halts.
 *
 *   bare_loop MEBIBYTES N
 */
#include <err.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

enum { ENTRY = 0x1000 };

/* 32-bit code: read port DX ECX times, then halt. */
static const uint8_t guest[] = {
    0xe3, 0x04, /* jecxz done */
    0xec,       /* again: in al, dx */
    0x49,       /* dec ecx */
    0x75, 0xfc, /* jnz again */
    0xf4,       /* done: hlt */
};

static void set_state(int vcpu, uint32_t count)
{
    struct kvm_sregs sregs;
    if (ioctl(vcpu, KVM_GET_SREGS, &sregs) < 0) {
        err(1, "KVM_GET_SREGS");
    }
    struct kvm_segment flat = {
        .limit = 0xffffffff, .present = 1, .type = 3, .s = 1, .db = 1, .g = 1, .selector = 0x10};
    sregs.ds = sregs.es = sregs.ss = flat;
    flat.type = 11;
    flat.selector = 0x8;
    sregs.cs = flat;
    sregs.cr0 |= 1;
    struct kvm_regs regs = {.rip = ENTRY, .rflags = 2, .rcx = count, .rdx = 0x3fd};
    if (ioctl(vcpu, KVM_SET_SREGS, &sregs) < 0 || ioctl(vcpu, KVM_SET_REGS, &regs) < 0) {
        err(1, "cannot set registers");
    }
}

static void loop(int vcpu, struct kvm_run *run)
{
    for (;;) {
        if (ioctl(vcpu, KVM_RUN, 0) < 0) {
            err(1, "KVM_RUN");
        }
        switch (run->exit_reason) {
        case KVM_EXIT_IO:
            *((uint8_t *)run + run->io.data_offset) = 0x60;
            break;
        case KVM_EXIT_HLT:
            return;
        default:
            errx(1, "exit reason %u", run->exit_reason);
        }
    }
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        errx(1, "usage: bare_loop MEBIBYTES N");
    }
    size_t size = strtoull(argv[1], NULL, 0) << 20;
    int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    int vm = ioctl(kvm, KVM_CREATE_VM, 0);
    uint8_t *ram = mmap(NULL, size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    struct kvm_userspace_memory_region region = {.memory_size = size,
                                                 .userspace_addr = (uintptr_t)ram};
    if (kvm < 0 || vm < 0 || ram == MAP_FAILED ||
        ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) < 0) {
        err(1, "cannot create the VM");
    }
    memcpy(ram + ENTRY, guest, sizeof(guest));
    int vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
    int run_size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
    struct kvm_run *run = mmap(NULL, (size_t)run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
    if (vcpu < 0 || run == MAP_FAILED) {
        err(1, "cannot create the vCPU");
    }
    set_state(vcpu, (uint32_t)strtoul(argv[2], NULL, 0));
    loop(vcpu, run);
    return 0;
}

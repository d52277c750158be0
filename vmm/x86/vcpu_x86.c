/* SPDX-License-Identifier: MIT */
/*
 * vCPUs of x86: vmm/arch.h, and the state in which a kernel is entered. Resetting is in power_on.c.
 */
#include "vmm/x86/vcpu_x86.h"

#include <cpuid.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vmm/arch.h"
#include "vmm/x86/guest_cpuid.h"

const struct arch_capability arch_required_capabilities[] = {
    {KVM_CAP_IRQCHIP, "KVM_CAP_IRQCHIP"},
    {KVM_CAP_PIT2, "KVM_CAP_PIT2"},
    {KVM_CAP_PIT_STATE2, "KVM_CAP_PIT_STATE2"},
    {KVM_CAP_SET_TSS_ADDR, "KVM_CAP_SET_TSS_ADDR"},
    {KVM_CAP_SET_IDENTITY_MAP_ADDR, "KVM_CAP_SET_IDENTITY_MAP_ADDR"},
    {KVM_CAP_EXT_CPUID, "KVM_CAP_EXT_CPUID"},
    {KVM_CAP_MP_STATE, "KVM_CAP_MP_STATE"},
    {KVM_CAP_VCPU_EVENTS, "KVM_CAP_VCPU_EVENTS"},
    {KVM_CAP_DEBUGREGS, "KVM_CAP_DEBUGREGS"},
    {KVM_CAP_XSAVE, "KVM_CAP_XSAVE"},
    {0, NULL},
};

unsigned long arch_vm_type(int kvm_fd, uint64_t ram)
{
    (void)kvm_fd;
    (void)ram;
    return 0; /* the ordinary kind */
}

bool arch_kvm_emulates_kernel_mode(int kvm_fd)
{
    enum { LEAF1_ECX_VMX = 1 << 5, EXT1_ECX_SVM = 1 << 2 };
    unsigned eax, ebx, vmx, svm, edx;
    (void)kvm_fd; /* no capability tells; but without VMX and SVM there is no other way */
    __cpuid(1, eax, ebx, vmx, edx);
    __cpuid(0x80000001, eax, ebx, svm, edx); /* every 64-bit processor has both leaves */
    return !(vmx & LEAF1_ECX_VMX) && !(svm & EXT1_ECX_SVM);
}

/* ---- life */

int arch_vcpu_init(struct vcpu *vcpu, struct error *err)
{
    struct kvm_cpuid2 *cpuid = vcpu->vm->arch.cpuid;
    vcpu->arch.apic_id = vcpu->index; /* KVM gives the local APIC the number of the vCPU */
    x86_cpuid_set_apic_id(cpuid, vcpu->arch.apic_id);
    return vcpu_ioctl(vcpu, KVM_SET_CPUID2, cpuid, "KVM_SET_CPUID2", err);
}

void arch_vcpu_destroy(struct vcpu *vcpu)
{
    (void)vcpu; /* nothing is allocated */
}

bool arch_vcpu_handle_exit(struct vcpu *vcpu)
{
    /*
     * HLT, TPR accesses and MSRs stay in the kernel with the in-kernel APIC, and of the exits that
     * must be asked for by KVM_ENABLE_CAP (hypercalls, filtered MSRs, bus locks...) none is.
     */
    (void)vcpu;
    return false;
}

/* ---- entering a kernel */

enum {
    /* Selectors that the 64-bit boot protocol names: __BOOT_CS and __BOOT_DS. */
    SELECTOR_CODE = 0x10,
    SELECTOR_DATA = 0x18,
    SELECTOR_TASK = 0x20,
    /* Segment types, SDM volume 3, 3.4.5.1 and 3.5 */
    TYPE_DATA = 0x3, /* read, write, accessed */
    TYPE_CODE = 0xb, /* execute, read, accessed */
    TYPE_TSS = 0xb,  /* busy */
    CR0_PE = 1 << 0,
    CR0_ET = 1 << 4,
    CR4_PAE = 1 << 5,
    EFER_LME = 1 << 8,
    EFER_LMA = 1 << 10,
    RFLAGS_ALWAYS_1 = 1 << 1,
    GDT_ENTRIES = 6, /* up to the 64-bit task segment's second half */
};
#define CR0_PG 0x80000000u

static struct kvm_segment flat_segment(uint16_t selector, uint8_t type)
{
    return (struct kvm_segment){.limit = 0xffffffff,
                                .selector = selector,
                                .type = type,
                                .present = 1,
                                .db = 1,
                                .s = 1,
                                .g = 1};
}

static uint64_t descriptor(const struct kvm_segment *segment)
{
    uint64_t limit = segment->g ? segment->limit >> 12 : segment->limit;
    uint64_t attributes = segment->type | segment->s << 4 | segment->dpl << 5 |
                          segment->present << 7 | segment->l << 13 | segment->db << 14 |
                          segment->g << 15;
    return (limit & 0xffff) | (segment->base & 0xffffff) << 16 | attributes << 40 |
           (limit >> 16 & 0xf) << 48 | segment->base >> 24 << 56;
}

/* Flat segments, both in the registers and in a table in RAM, so that a far jump works too. */
static int set_segments(struct vcpu *vcpu, struct kvm_sregs *sregs, bool code64)
{
    struct kvm_segment code = flat_segment(SELECTOR_CODE, TYPE_CODE);
    struct kvm_segment data = flat_segment(SELECTOR_DATA, TYPE_DATA);
    struct kvm_segment task = {
        .limit = 0x67, .selector = SELECTOR_TASK, .type = TYPE_TSS, .present = 1};
    code.l = code64;
    code.db = !code64;
    sregs->cs = code;
    sregs->ds = sregs->es = sregs->fs = sregs->gs = sregs->ss = data;
    sregs->tr = task;
    sregs->ldt = (struct kvm_segment){.unusable = 1};
    uint64_t gdt[GDT_ENTRIES] = {[SELECTOR_CODE / 8] = descriptor(&code),
                                 [SELECTOR_DATA / 8] = descriptor(&data),
                                 [SELECTOR_TASK / 8] = descriptor(&task)};
    sregs->gdt = (struct kvm_dtable){.base = BOOT_GDT, .limit = sizeof(gdt) - 1};
    sregs->idt = (struct kvm_dtable){.base = 0, .limit = 0};
    return guest_memory_write(&vcpu->vm->memory, gpa(BOOT_GDT), gdt, sizeof(gdt));
}

/* Linux's "64-bit BOOT PROTOCOL": long mode, paging on with an identity map, RSI the zero page. */
static void set_linux64(struct kvm_sregs *sregs, struct kvm_regs *regs,
                        const struct boot_entry *entry)
{
    sregs->cr0 = CR0_PG | CR0_ET | CR0_PE;
    sregs->cr3 = entry->page_tables;
    sregs->cr4 = CR4_PAE;
    sregs->efer = EFER_LMA | EFER_LME;
    regs->rsi = entry->info;
}

/* PVH: 32-bit protected mode without paging, EBX the start info. */
static void set_pvh(struct kvm_sregs *sregs, struct kvm_regs *regs, const struct boot_entry *entry)
{
    sregs->cr0 = CR0_ET | CR0_PE;
    sregs->cr3 = 0;
    sregs->cr4 = 0;
    sregs->efer = 0;
    regs->rbx = entry->info;
}

int x86_vcpu_enter(struct vcpu *vcpu, const struct boot_entry *entry, struct error *err)
{
    struct kvm_sregs sregs;
    struct kvm_regs regs = {.rip = entry->rip, .rflags = RFLAGS_ALWAYS_1};
    int ret = vcpu_ioctl(vcpu, KVM_GET_SREGS, &sregs, "KVM_GET_SREGS", err);
    if (ret < 0) {
        return ret;
    }
    ret = set_segments(vcpu, &sregs, entry->protocol == BOOT_LINUX64);
    if (ret < 0) {
        return error_set(err, ret, "no RAM for the boot processor's segments");
    }
    switch (entry->protocol) {
    case BOOT_LINUX64:
        set_linux64(&sregs, &regs, entry);
        break;
    case BOOT_PVH:
        set_pvh(&sregs, &regs, entry);
        break;
    }
    ret = vcpu_ioctl(vcpu, KVM_SET_SREGS, &sregs, "KVM_SET_SREGS", err);
    return ret < 0 ? ret : vcpu_ioctl(vcpu, KVM_SET_REGS, &regs, "KVM_SET_REGS", err);
}

int x86_vcpu_set_msr(const struct vcpu *vcpu, uint32_t index, uint64_t value)
{
    union {
        struct kvm_msrs msrs;
        uint8_t room[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)];
    } list = {.msrs.nmsrs = 1};
    list.msrs.entries[0] = (struct kvm_msr_entry){.index = index, .data = value};
    int written = ioctl(vcpu->fd, KVM_SET_MSRS, &list);
    return written < 0 ? -errno : written == 1 ? 0 : -EINVAL;
}

int x86_vcpu_prepare(struct vcpu *vcpu, struct error *err)
{
    enum { MSR_MTRR_DEF_TYPE = 0x2ff, MTRR_ENABLE = 1 << 11, MTRR_WRITE_BACK = 6 };
    /* After power-on all memory is uncached. Device memory is up to the kernel's page tables. */
    int ret = x86_vcpu_set_msr(vcpu, MSR_MTRR_DEF_TYPE, MTRR_ENABLE | MTRR_WRITE_BACK);
    return ret < 0 ? error_set(err, ret, "vCPU %u: cannot set MTRRdefType: %s", vcpu->index,
                               strerror(-ret))
                   : 0;
}

/* ---- the report of a crash */

static void dump_registers(const struct kvm_regs *r, FILE *out)
{
    fprintf(out, "RIP=%016llx RFLAGS=%08llx\n", r->rip, r->rflags);
    fprintf(out, "RAX=%016llx RBX=%016llx RCX=%016llx RDX=%016llx\n", r->rax, r->rbx, r->rcx,
            r->rdx);
    fprintf(out, "RSI=%016llx RDI=%016llx RBP=%016llx RSP=%016llx\n", r->rsi, r->rdi, r->rbp,
            r->rsp);
    fprintf(out, "R8 =%016llx R9 =%016llx R10=%016llx R11=%016llx\n", r->r8, r->r9, r->r10, r->r11);
    fprintf(out, "R12=%016llx R13=%016llx R14=%016llx R15=%016llx\n", r->r12, r->r13, r->r14,
            r->r15);
}

static void dump_segment(const char *name, const struct kvm_segment *s, FILE *out)
{
    fprintf(out, "%-3s=%04x base=%016llx limit=%08x type=%x dpl=%u %s%s%s%s\n", name, s->selector,
            s->base, s->limit, s->type, s->dpl, s->present ? "present" : "not-present",
            s->l    ? " 64-bit"
            : s->db ? " 32-bit"
                    : "",
            s->s ? "" : " system", s->unusable ? " unusable" : "");
}

static void dump_system_registers(const struct kvm_sregs *s, FILE *out)
{
    dump_segment("CS", &s->cs, out);
    dump_segment("DS", &s->ds, out);
    dump_segment("ES", &s->es, out);
    dump_segment("FS", &s->fs, out);
    dump_segment("GS", &s->gs, out);
    dump_segment("SS", &s->ss, out);
    dump_segment("TR", &s->tr, out);
    dump_segment("LDT", &s->ldt, out);
    fprintf(out, "GDT base=%016llx limit=%04x  IDT base=%016llx limit=%04x\n", s->gdt.base,
            s->gdt.limit, s->idt.base, s->idt.limit);
    fprintf(out, "CR0=%08llx CR2=%016llx CR3=%016llx CR4=%08llx EFER=%llx\n", s->cr0, s->cr2,
            s->cr3, s->cr4, s->efer);
    fprintf(out, "CR8=%llx APIC_BASE=%llx\n", s->cr8, s->apic_base);
}

/* One byte at a linear address, through the guest's page tables; -1 if it cannot be read. */
static int read_linear(struct vcpu *vcpu, uint64_t address)
{
    struct kvm_translation translation = {.linear_address = address};
    uint8_t byte;
    if (ioctl(vcpu->fd, KVM_TRANSLATE, &translation) < 0 || !translation.valid) {
        return -1;
    }
    gpa_t where = gpa(translation.physical_address);
    return guest_memory_read(&vcpu->vm->memory, where, &byte, 1) < 0 ? -1 : byte;
}

/* The bytes around the instruction, which is at <>. */
static void dump_code(struct vcpu *vcpu, uint64_t address, FILE *out)
{
    enum { BEFORE = 16, AFTER = 24 };
    fprintf(out, "Code:");
    for (int i = -BEFORE; i < AFTER; i++) {
        int byte = read_linear(vcpu, address + (uint64_t)(int64_t)i);
        if (byte < 0) {
            fputs(i == 0 ? " <-->" : " --", out);
        } else {
            fprintf(out, i == 0 ? " <%02x>" : " %02x", (unsigned)byte);
        }
    }
    fprintf(out, "\n");
}

void arch_vcpu_dump(struct vcpu *vcpu, FILE *out)
{
    struct kvm_regs regs;
    struct kvm_sregs sregs;
    if (ioctl(vcpu->fd, KVM_GET_REGS, &regs) < 0 || ioctl(vcpu->fd, KVM_GET_SREGS, &sregs) < 0) {
        fprintf(out, "registers cannot be read: %s\n", strerror(errno));
        return;
    }
    if (regs.rip == 0xfff0 && sregs.cs.base == 0xffff0000) {
        fprintf(out, "These are the registers after a reset: on AMD, KVM resets a CPU that shuts "
                     "down before it says so.\n");
    }
    dump_registers(&regs, out);
    dump_system_registers(&sregs, out);
    dump_code(vcpu, sregs.cs.base + regs.rip, out);
}

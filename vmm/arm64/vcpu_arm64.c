/* SPDX-License-Identifier: MIT */
/*
 * vCPUs of arm64: vmm/arch.h, their reset, and the state in which a kernel is entered.
 *
 * KVM implements PSCI, Arm's interface for CPU_ON, SYSTEM_OFF and SYSTEM_RESET, by itself: only the
 * last two are exits, KVM_EXIT_SYSTEM_EVENT. KVM_ARM_VCPU_INIT creates a vCPU's state, and resets
 * it when called again.
 */
#include "vmm/arm64/vcpu_arm64.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vmm/arch.h"
#include "vmm/arm64/memory_map.h"
#include "vmm/arm64/translate.h"

const struct arch_capability arch_required_capabilities[] = {
    {KVM_CAP_ARM_PSCI_0_2, "KVM_CAP_ARM_PSCI_0_2"},
    {KVM_CAP_ONE_REG, "KVM_CAP_ONE_REG"},
    {KVM_CAP_DEVICE_CTRL, "KVM_CAP_DEVICE_CTRL"},
    {0, NULL},
};

unsigned arm64_address_bits(int kvm_fd, uint64_t ram)
{
    enum { DEFAULT_BITS = 40 }; /* of a KVM that cannot be asked for another number */
    int most = ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_ARM_VM_IPA_SIZE);
    unsigned limit = most > 0 ? (unsigned)most : DEFAULT_BITS;
    unsigned wanted = arm64_memory_map_bits(ram);
    return wanted < limit ? wanted : limit;
}

unsigned long arch_vm_type(int kvm_fd, uint64_t ram)
{
    if (ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_ARM_VM_IPA_SIZE) <= 0) {
        return 0;
    }
    return KVM_VM_TYPE_ARM_IPA_SIZE(arm64_address_bits(kvm_fd, ram));
}

bool arch_kvm_emulates_kernel_mode(int kvm_fd)
{
    (void)
        kvm_fd; /* KVM on arm64 needs EL2, and says that it is not there by the lack of /dev/kvm */
    return false;
}

/* ---- life
 * ---------------------------------------------------------------------------------------- */

/* The CPU features that a guest gets where the host has them. */
static const struct {
    int capability;
    unsigned feature;
} optional_features[] = {
    {KVM_CAP_ARM_PMU_V3, KVM_ARM_VCPU_PMU_V3},
    {KVM_CAP_ARM_SVE, KVM_ARM_VCPU_SVE},
    {KVM_CAP_ARM_PTRAUTH_ADDRESS, KVM_ARM_VCPU_PTRAUTH_ADDRESS},
    {KVM_CAP_ARM_PTRAUTH_GENERIC, KVM_ARM_VCPU_PTRAUTH_GENERIC},
};

static void add_feature(struct kvm_vcpu_init *init, unsigned feature)
{
    init->features[feature / 32] |= 1u << feature % 32;
}

static bool has_feature(const struct kvm_vcpu_init *init, unsigned feature)
{
    return init->features[feature / 32] >> feature % 32 & 1;
}

/* What KVM_ARM_VCPU_INIT is given, the same each time. */
static int describe(const struct vcpu *vcpu, struct kvm_vcpu_init *init, struct error *err)
{
    *init = (struct kvm_vcpu_init){0};
    if (ioctl(vcpu->vm->fd, KVM_ARM_PREFERRED_TARGET, init) < 0) {
        int code = -errno;
        return error_set(err, code, "/dev/kvm: KVM_ARM_PREFERRED_TARGET: %s", strerror(-code));
    }
    add_feature(init, KVM_ARM_VCPU_PSCI_0_2); /* 0.2 or any later one: the newest KVM knows */
    if (vcpu->index > 0) {
        add_feature(init, KVM_ARM_VCPU_POWER_OFF);
    }
    for (size_t i = 0; i < sizeof(optional_features) / sizeof(optional_features[0]); i++) {
        if (vm_check_extension(vcpu->vm, optional_features[i].capability) > 0) {
            add_feature(init, optional_features[i].feature);
        }
    }
    return 0;
}

static int init_vcpu(struct vcpu *vcpu, struct error *err)
{
    struct kvm_vcpu_init init;
    int ret = describe(vcpu, &init, err);
    if (ret == 0) {
        ret = vcpu_ioctl(vcpu, KVM_ARM_VCPU_INIT, &init, "KVM_ARM_VCPU_INIT", err);
    }
    vcpu->vm->arch.has_pmu = has_feature(&init, KVM_ARM_VCPU_PMU_V3);
    if (ret == 0 && has_feature(&init, KVM_ARM_VCPU_SVE) && !vcpu->arch.finalized) {
        int feature = KVM_ARM_VCPU_SVE; /* its vector lengths stay as the host's */
        ret = vcpu_ioctl(vcpu, KVM_ARM_VCPU_FINALIZE, &feature, "KVM_ARM_VCPU_FINALIZE", err);
        vcpu->arch.finalized = true;
    }
    return ret;
}

/* ---- registers */

#define CORE(field)                                                                                \
    (KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(field))

/* op0, op1, CRn, CRm, op2 as in MRS and MSR. ARM64_SYS_REG() is the kernel's. */
#define SYS_MPIDR_EL1 ARM64_SYS_REG(3, 0, 0, 0, 5)
#define SYS_SCTLR_EL1 ARM64_SYS_REG(3, 0, 1, 0, 0)
#define SYS_TTBR0_EL1 ARM64_SYS_REG(3, 0, 2, 0, 0)
#define SYS_TTBR1_EL1 ARM64_SYS_REG(3, 0, 2, 0, 1)
#define SYS_TCR_EL1   ARM64_SYS_REG(3, 0, 2, 0, 2)
#define SYS_ESR_EL1   ARM64_SYS_REG(3, 0, 5, 2, 0)
#define SYS_FAR_EL1   ARM64_SYS_REG(3, 0, 6, 0, 0)
#define SYS_MAIR_EL1  ARM64_SYS_REG(3, 0, 10, 2, 0)
#define SYS_VBAR_EL1  ARM64_SYS_REG(3, 0, 12, 0, 0)

static int get_register(const struct vcpu *vcpu, uint64_t id, uint64_t *value)
{
    struct kvm_one_reg request = {.id = id, .addr = (uint64_t)(uintptr_t)value};
    *value = 0;
    return ioctl(vcpu->fd, KVM_GET_ONE_REG, &request) < 0 ? -errno : 0;
}

static int set_register(struct vcpu *vcpu, uint64_t id, uint64_t value, const char *name,
                        struct error *err)
{
    struct kvm_one_reg request = {.id = id, .addr = (uint64_t)(uintptr_t)&value};
    return vcpu_ioctl(vcpu, KVM_SET_ONE_REG, &request, name, err);
}

/* A register for the report of a crash: what cannot be read shows as 0. */
static uint64_t peek(const struct vcpu *vcpu, uint64_t id)
{
    uint64_t value;
    (void)get_register(vcpu, id, &value);
    return value;
}

int arch_vcpu_init(struct vcpu *vcpu, struct error *err)
{
    const uint64_t affinity_fields = 0xff00ffffff;
    /* Without it, an access that the CPU did not describe ends KVM_RUN with an error. */
    struct kvm_enable_cap nisv = {.cap = KVM_CAP_ARM_NISV_TO_USER};
    if (vcpu->index == 0 && vm_check_extension(vcpu->vm, KVM_CAP_ARM_NISV_TO_USER) > 0) {
        (void)ioctl(vcpu->vm->fd, KVM_ENABLE_CAP, &nisv);
    }
    int ret = init_vcpu(vcpu, err);
    if (ret < 0) {
        return ret;
    }
    ret = get_register(vcpu, SYS_MPIDR_EL1, &vcpu->arch.mpidr);
    vcpu->arch.mpidr &= affinity_fields;
    return ret < 0 ? error_set(err, ret, "vCPU %u: cannot read MPIDR_EL1: %s", vcpu->index,
                               strerror(-ret))
                   : 0;
}

void arch_vcpu_destroy(struct vcpu *vcpu)
{
    (void)vcpu; /* nothing is allocated */
}

int arm64_vcpu_init_pmu(struct vcpu *vcpu, struct error *err)
{
    int interrupt = ARM64_PPI + ARM64_PPI_PMU;
    struct kvm_device_attr wire = {.group = KVM_ARM_VCPU_PMU_V3_CTRL,
                                   .attr = KVM_ARM_VCPU_PMU_V3_IRQ,
                                   .addr = (uint64_t)(uintptr_t)&interrupt};
    struct kvm_device_attr init = {.group = KVM_ARM_VCPU_PMU_V3_CTRL,
                                   .attr = KVM_ARM_VCPU_PMU_V3_INIT};
    if (!vcpu->vm->arch.has_pmu) {
        return 0;
    }
    int ret = vcpu_ioctl(vcpu, KVM_SET_DEVICE_ATTR, &wire, "the PMU's interrupt", err);
    return ret < 0 ? ret : vcpu_ioctl(vcpu, KVM_SET_DEVICE_ATTR, &init, "the PMU", err);
}

int arm64_vcpu_reset(struct vcpu *vcpu, struct error *err)
{
    return init_vcpu(vcpu, err);
}

/*
 * A load or store that takes more than one register, or writes its address back, is not described
 * by the CPU (ESR_EL2.ISV = 0), and KVM does not decode instructions.
 */
static bool crash_no_syndrome(struct vcpu *vcpu)
{
    char text[256];
    const struct kvm_run *run = vcpu->run;
    snprintf(text, sizeof(text),
             "KVM_EXIT_ARM_NISV: the instruction at 0x%" PRIx64
             " accesses the device address 0x%llx in a way that the CPU does not describe "
             "(a pair, write-back or vector access), syndrome 0x%llx",
             peek(vcpu, CORE(regs.pc)), run->arm_nisv.fault_ipa, run->arm_nisv.esr_iss);
    vcpu_crash(vcpu, text);
    return true;
}

bool arch_vcpu_handle_exit(struct vcpu *vcpu)
{
    switch (vcpu->run->exit_reason) {
    case KVM_EXIT_ARM_NISV:
        return crash_no_syndrome(vcpu);
    default:
        return false;
    }
}

/* ---- entering a kernel
 * --------------------------------------------------------------------------- */

/*
 * Linux's Documentation/arch/arm64/booting.rst: X0 the device tree, X1-X3 zero; MMU and caches off,
 * interrupts masked, EL1: all of that, and zeroes, is the state after reset.
 */
int arm64_vcpu_enter(struct vcpu *vcpu, const struct boot_entry *entry, struct error *err)
{
    int ret = set_register(vcpu, CORE(regs.regs[0]), entry->dtb, "set X0", err);
    return ret < 0 ? ret : set_register(vcpu, CORE(regs.pc), entry->pc, "set PC", err);
}

/* ---- the report of a crash
 * ----------------------------------------------------------------------- */

static void dump_registers(const struct vcpu *vcpu, FILE *out)
{
    fprintf(out, "PC =%016" PRIx64 " PSTATE=%08" PRIx64 "\n", peek(vcpu, CORE(regs.pc)),
            peek(vcpu, CORE(regs.pstate)));
    for (unsigned i = 0; i < 31; i++) {
        /* The macro wants a constant index: registers lie 2 units of 4 bytes apart. */
        fprintf(out, "X%-2u=%016" PRIx64 "%s", i, peek(vcpu, CORE(regs.regs[0]) + 2ull * i),
                i % 4 == 3 ? "\n" : " ");
    }
    fprintf(out, "\nSP_EL0=%016" PRIx64 " SP_EL1=%016" PRIx64 "\n", peek(vcpu, CORE(regs.sp)),
            peek(vcpu, CORE(sp_el1)));
}

/* Exception classes that say what ended a guest; ESR_ELx.EC in the architecture manual. */
static const char *exception_class(uint64_t esr)
{
    switch (esr >> 26 & 0x3f) {
    case 0x00:
        return "unknown";
    case 0x15:
        return "SVC";
    case 0x16:
        return "HVC";
    case 0x18:
        return "system register";
    case 0x20:
    case 0x21:
        return (esr & 0x3f) == 0x10 ? "instruction: external abort" : "instruction abort";
    case 0x22:
        return "PC alignment";
    case 0x24:
    case 0x25:
        return (esr & 0x3f) == 0x10 ? "data: external abort" : "data abort";
    case 0x26:
        return "SP alignment";
    case 0x2f:
        return "SError";
    case 0x3c:
        return "BRK";
    default:
        return "other";
    }
}

static void dump_system_registers(const struct vcpu *vcpu, FILE *out)
{
    uint64_t esr = peek(vcpu, SYS_ESR_EL1);
    fprintf(out, "ESR_EL1=%08" PRIx64 " (%s) FAR_EL1=%016" PRIx64 "\n", esr, exception_class(esr),
            peek(vcpu, SYS_FAR_EL1));
    fprintf(out, "ELR_EL1=%016" PRIx64 " SPSR_EL1=%08" PRIx64 " VBAR_EL1=%016" PRIx64 "\n",
            peek(vcpu, CORE(elr_el1)), peek(vcpu, CORE(spsr[0])), peek(vcpu, SYS_VBAR_EL1));
    fprintf(out, "SCTLR_EL1=%08" PRIx64 " TCR_EL1=%016" PRIx64 " MAIR_EL1=%016" PRIx64 "\n",
            peek(vcpu, SYS_SCTLR_EL1), peek(vcpu, SYS_TCR_EL1), peek(vcpu, SYS_MAIR_EL1));
    fprintf(out, "TTBR0_EL1=%016" PRIx64 " TTBR1_EL1=%016" PRIx64 " MPIDR_EL1=%010" PRIx64 "\n",
            peek(vcpu, SYS_TTBR0_EL1), peek(vcpu, SYS_TTBR1_EL1), vcpu->arch.mpidr);
}

/* The instructions around the one at <>. */
static void dump_code(const struct vcpu *vcpu, uint64_t address, FILE *out)
{
    enum { BEFORE = 4, AFTER = 4 };
    fprintf(out, "Code:");
    for (int i = -BEFORE; i <= AFTER; i++) {
        gpa_t physical;
        uint32_t word;
        uint64_t at = address + (uint64_t)(int64_t)i * sizeof(word);
        if (arm64_translate(vcpu, at, &physical) < 0 ||
            guest_memory_read(&vcpu->vm->memory, physical, &word, sizeof(word)) < 0) {
            fputs(i == 0 ? " <-------->" : " --------", out);
        } else {
            fprintf(out, i == 0 ? " <%08x>" : " %08x", word);
        }
    }
    fprintf(out, "\n");
}

void arch_vcpu_dump(struct vcpu *vcpu, FILE *out)
{
    uint64_t pc;
    int ret = get_register(vcpu, CORE(regs.pc), &pc);
    if (ret < 0) {
        fprintf(out, "registers cannot be read: %s\n", strerror(-ret));
        return;
    }
    dump_registers(vcpu, out);
    dump_system_registers(vcpu, out);
    dump_code(vcpu, pc, out);
}

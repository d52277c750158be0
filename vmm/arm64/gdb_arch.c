/* SPDX-License-Identifier: MIT */
/*
 * vmm/gdb_arch.h on arm64: registers by KVM_GET_ONE_REG, breakpoints in the contents of the debug
 * registers that KVM_SET_GUEST_DEBUG takes (Arm ARM, D2 "AArch64 Self-hosted Debug").
 */
#include "vmm/gdb_arch.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vmm/arm64/translate.h"

const char gdb_arch_name[] = "aarch64";
const uint8_t gdb_arch_trap[GDB_TRAP_MAX] = {0x00, 0x00, 0x20, 0xd4}; /* BRK #0 */
const unsigned gdb_arch_trap_size = 4;
const bool gdb_arch_watches_before = true;

/* ---- registers: names and order as in gdb's "AArch64 Features" */

#define STATE(field) offsetof(struct gdb_arch_state, field)
#define R(name, bits, type, field)                                                                 \
    {                                                                                              \
        name, type, bits, STATE(field), (bits) / 8                                                 \
    }
#define X(n)            R("x" #n, 64, "int64", x[n])
#define V(n)            R("v" #n, 128, "vec128", v[n])
#define SYSTEM(name, n) R(name, 64, "int64", system[n])

static const struct gdb_register core[] = {
    X(0),
    X(1),
    X(2),
    X(3),
    X(4),
    X(5),
    X(6),
    X(7),
    X(8),
    X(9),
    X(10),
    X(11),
    X(12),
    X(13),
    X(14),
    X(15),
    X(16),
    X(17),
    X(18),
    X(19),
    X(20),
    X(21),
    X(22),
    X(23),
    X(24),
    X(25),
    X(26),
    X(27),
    X(28),
    X(29),
    X(30),
    R("sp", 64, "data_ptr", sp),
    R("pc", 64, "code_ptr", pc),
    R("cpsr", 32, "cpsr_flags", pstate),
};

static const struct gdb_register fpu[] = {
    V(0),
    V(1),
    V(2),
    V(3),
    V(4),
    V(5),
    V(6),
    V(7),
    V(8),
    V(9),
    V(10),
    V(11),
    V(12),
    V(13),
    V(14),
    V(15),
    V(16),
    V(17),
    V(18),
    V(19),
    V(20),
    V(21),
    V(22),
    V(23),
    V(24),
    V(25),
    V(26),
    V(27),
    V(28),
    V(29),
    V(30),
    V(31),
    R("fpsr", 32, "int", fpsr),
    R("fpcr", 32, "int", fpcr),
};

static const struct gdb_register sys[] = {
    SYSTEM("SCTLR_EL1", 0),  SYSTEM("TCR_EL1", 1),    SYSTEM("TTBR0_EL1", 2),
    SYSTEM("TTBR1_EL1", 3),  SYSTEM("MAIR_EL1", 4),   SYSTEM("VBAR_EL1", 5),
    SYSTEM("ESR_EL1", 6),    SYSTEM("FAR_EL1", 7),    SYSTEM("ELR_EL1", 8),
    SYSTEM("SPSR_EL1", 9),   SYSTEM("SP_EL0", 10),    SYSTEM("SP_EL1", 11),
    SYSTEM("TPIDR_EL0", 12), SYSTEM("TPIDR_EL1", 13),
};

static const char flags_type[] =
    "<flags id=\"cpsr_flags\" size=\"4\">"
    "<field name=\"SP\" start=\"0\" end=\"0\"/><field name=\"EL\" start=\"2\" end=\"3\"/>"
    "<field name=\"nRW\" start=\"4\" end=\"4\"/><field name=\"F\" start=\"6\" end=\"6\"/>"
    "<field name=\"I\" start=\"7\" end=\"7\"/><field name=\"A\" start=\"8\" end=\"8\"/>"
    "<field name=\"D\" start=\"9\" end=\"9\"/><field name=\"V\" start=\"28\" end=\"28\"/>"
    "<field name=\"C\" start=\"29\" end=\"29\"/><field name=\"Z\" start=\"30\" end=\"30\"/>"
    "<field name=\"N\" start=\"31\" end=\"31\"/></flags>";

static const char vector_type[] =
    "<vector id=\"v2d\" type=\"ieee_double\" count=\"2\"/>"
    "<vector id=\"v4s\" type=\"ieee_single\" count=\"4\"/>"
    "<vector id=\"v16b\" type=\"uint8\" count=\"16\"/>"
    "<union id=\"vec128\"><field name=\"d\" type=\"v2d\"/><field name=\"s\" type=\"v4s\"/>"
    "<field name=\"b\" type=\"v16b\"/><field name=\"q\" type=\"uint128\"/></union>";

#define FEATURE(name, types, table)                                                                \
    {                                                                                              \
        name, types, table, sizeof(table) / sizeof((table)[0])                                     \
    }
const struct gdb_feature gdb_arch_features[] = {
    FEATURE("org.gnu.gdb.aarch64.core", flags_type, core),
    FEATURE("org.gnu.gdb.aarch64.fpu", vector_type, fpu),
    FEATURE("minivmm.arm64.system", "", sys),
    {NULL, NULL, NULL, 0},
};

/* ---- KVM's names of them */

#define CORE_OF(size, field)                                                                       \
    (KVM_REG_ARM64 | (size) | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(field))
#define CORE(field) CORE_OF(KVM_REG_SIZE_U64, field)

enum {
    SYSTEM_SCTLR,
    SYSTEM_VBAR = 5,
    SYSTEM_ESR,
    SYSTEM_ELR = 8,
    SYSTEM_SPSR,
    SYSTEM_SP_EL0,
    SYSTEM_SP_EL1
};

/* In the order of `sys`. */
static const uint64_t system_ids[GDB_SYSTEM_REGISTERS] = {
    ARM64_SYS_REG(3, 0, 1, 0, 0),
    ARM64_SYS_REG(3, 0, 2, 0, 2),
    ARM64_SYS_REG(3, 0, 2, 0, 0),
    ARM64_SYS_REG(3, 0, 2, 0, 1),
    ARM64_SYS_REG(3, 0, 10, 2, 0),
    ARM64_SYS_REG(3, 0, 12, 0, 0),
    ARM64_SYS_REG(3, 0, 5, 2, 0),
    ARM64_SYS_REG(3, 0, 6, 0, 0),
    CORE(elr_el1),
    CORE(spsr[0]),
    CORE(regs.sp),
    CORE(sp_el1),
    ARM64_SYS_REG(3, 3, 13, 0, 2),
    ARM64_SYS_REG(3, 0, 13, 0, 4),
};

enum { PSTATE_SP = 1, PSTATE_EL = 0xc, PSTATE_I = 1 << 7 };

static int get(const struct vcpu *vcpu, uint64_t id, void *value)
{
    struct kvm_one_reg request = {.id = id, .addr = (uintptr_t)value};
    return ioctl(vcpu->fd, KVM_GET_ONE_REG, &request) < 0 ? -errno : 0;
}

static int set(const struct vcpu *vcpu, uint64_t id, const void *value)
{
    struct kvm_one_reg request = {.id = id, .addr = (uintptr_t)value};
    return ioctl(vcpu->fd, KVM_SET_ONE_REG, &request) < 0 ? -errno : 0;
}

/* SP_EL0 is the stack of EL0, and of EL1 where it says so. */
static unsigned stack_in_use(uint64_t pstate)
{
    return (pstate & PSTATE_EL) == 0 || !(pstate & PSTATE_SP) ? SYSTEM_SP_EL0 : SYSTEM_SP_EL1;
}

/* ---- vectors: with SVE they are the lower parts of its registers, and KVM wants those */

static uint64_t vector_id(unsigned n)
{
    return CORE_OF(KVM_REG_SIZE_U128, fp_regs.vregs[0]) + 4ull * n;
}

static int get_vector(const struct vcpu *vcpu, unsigned n, uint64_t value[2])
{
    uint64_t scalable[32]; /* KVM_REG_SIZE_U2048 */
    int ret = get(vcpu, vector_id(n), value);
    if (ret < 0) {
        ret = get(vcpu, KVM_REG_ARM64_SVE_ZREG(n, 0), scalable);
        memcpy(value, scalable, ret < 0 ? 0 : 16);
    }
    return ret;
}

static int set_vector(const struct vcpu *vcpu, unsigned n, const uint64_t value[2])
{
    uint64_t scalable[32];
    if (set(vcpu, vector_id(n), value) == 0) {
        return 0;
    }
    int ret = get(vcpu, KVM_REG_ARM64_SVE_ZREG(n, 0), scalable);
    memcpy(scalable, value, 16);
    return ret < 0 ? ret : set(vcpu, KVM_REG_ARM64_SVE_ZREG(n, 0), scalable);
}

/* ---- the whole state */

static int get_fpu(const struct vcpu *vcpu, struct gdb_arch_state *state)
{
    int ret = get(vcpu, CORE_OF(KVM_REG_SIZE_U32, fp_regs.fpsr), &state->fpsr);
    ret = ret < 0 ? ret : get(vcpu, CORE_OF(KVM_REG_SIZE_U32, fp_regs.fpcr), &state->fpcr);
    for (unsigned i = 0; ret == 0 && i < 32; i++) {
        ret = get_vector(vcpu, i, state->v[i]);
    }
    return ret;
}

int gdb_arch_get_state(struct vcpu *vcpu, struct gdb_arch_state *state)
{
    memset(state, 0, sizeof(*state));
    int ret = get(vcpu, CORE(regs.pc), &state->pc);
    ret = ret < 0 ? ret : get(vcpu, CORE(regs.pstate), &state->pstate);
    for (unsigned i = 0; ret == 0 && i < 31; i++) {
        ret = get(vcpu, CORE(regs.regs[0]) + 2ull * i, &state->x[i]); /* in units of 4 bytes */
    }
    for (unsigned i = 0; ret == 0 && i < GDB_SYSTEM_REGISTERS; i++) {
        ret = get(vcpu, system_ids[i], &state->system[i]);
    }
    state->sp = state->system[stack_in_use(state->pstate)];
    return ret < 0 ? ret : get_fpu(vcpu, state);
}

static int set_if_changed(const struct vcpu *vcpu, uint64_t id, const uint64_t *before,
                          const uint64_t *after)
{
    return *before == *after ? 0 : set(vcpu, id, after);
}

static int set_fpu(const struct vcpu *vcpu, const struct gdb_arch_state *before,
                   const struct gdb_arch_state *after)
{
    int ret =
        set_if_changed(vcpu, CORE_OF(KVM_REG_SIZE_U32, fp_regs.fpsr), &before->fpsr, &after->fpsr);
    if (ret == 0) {
        ret = set_if_changed(vcpu, CORE_OF(KVM_REG_SIZE_U32, fp_regs.fpcr), &before->fpcr,
                             &after->fpcr);
    }
    for (unsigned i = 0; ret == 0 && i < 32; i++) {
        bool same = memcmp(before->v[i], after->v[i], sizeof(after->v[i])) == 0;
        ret = same ? 0 : set_vector(vcpu, i, after->v[i]);
    }
    return ret;
}

int gdb_arch_set_state(struct vcpu *vcpu, const struct gdb_arch_state *before,
                       const struct gdb_arch_state *after)
{
    unsigned stack = stack_in_use(before->pstate);
    struct gdb_arch_state state = *after;
    if (state.sp != before->sp) {
        state.system[stack] = state.sp;
    }
    int ret = set_if_changed(vcpu, CORE(regs.pc), &before->pc, &state.pc);
    if (ret == 0) {
        ret = set_if_changed(vcpu, CORE(regs.pstate), &before->pstate, &state.pstate);
    }
    for (unsigned i = 0; ret == 0 && i < 31; i++) {
        ret = set_if_changed(vcpu, CORE(regs.regs[0]) + 2ull * i, &before->x[i], &state.x[i]);
    }
    for (unsigned i = 0; ret == 0 && i < GDB_SYSTEM_REGISTERS; i++) {
        ret = set_if_changed(vcpu, system_ids[i], &before->system[i], &state.system[i]);
    }
    return ret < 0 ? ret : set_fpu(vcpu, before, &state);
}

int gdb_arch_get_pc(struct vcpu *vcpu, uint64_t *pc)
{
    *pc = 0;
    return get(vcpu, CORE(regs.pc), pc);
}

int gdb_arch_set_pc(struct vcpu *vcpu, uint64_t pc)
{
    return set(vcpu, CORE(regs.pc), &pc);
}

int gdb_arch_translate(struct vcpu *vcpu, uint64_t address, gpa_t *physical)
{
    return arm64_translate(vcpu, address, physical);
}

/* ---- debug registers */

/* Which bytes of how large a piece a watchpoint is for: DBGWCR_EL1.BAS and .MASK. */
static bool encode_watch(const struct gdb_hardware *watch, uint64_t *value, uint64_t *control)
{
    enum { ENABLE = 1, EL0_AND_EL1 = 3 << 1, MASK = 24, BAS = 5, LSC = 3 };
    static const uint8_t loads_stores[] = {
        [GDB_WATCH_WRITE] = 2, [GDB_WATCH_READ] = 1, [GDB_WATCH_ACCESS] = 3};
    uint64_t length = watch->length;
    uint64_t offset = watch->address & 7;
    uint64_t select = 0xff;
    uint64_t mask = 0;
    *value = watch->address & ~7ull;
    if (length >= 1 && offset + length <= 8) {
        select = ((1ull << length) - 1) << offset;
    } else if (length > 8 && length <= 1ull << 31 && (length & (length - 1)) == 0 &&
               (watch->address & (length - 1)) == 0) {
        mask = (uint64_t)__builtin_ctzll(length);
    } else {
        return false;
    }
    *control = mask << MASK | select << BAS | (uint64_t)loads_stores[watch->point] << LSC |
               EL0_AND_EL1 | ENABLE;
    return true;
}

int gdb_arch_check_hardware(const struct vcpu *vcpu, const struct gdb_hardware *hardware,
                            unsigned count)
{
    int breakpoints = 0;
    int watchpoints = 0;
    for (unsigned i = 0; i < count; i++) {
        uint64_t value;
        uint64_t control;
        bool is_watch = hardware[i].point != GDB_HARDWARE;
        if (is_watch ? !encode_watch(&hardware[i], &value, &control) : hardware[i].address & 3) {
            return -EINVAL;
        }
        watchpoints += is_watch;
        breakpoints += !is_watch;
    }
    bool fits = breakpoints <= vm_check_extension(vcpu->vm, KVM_CAP_GUEST_DEBUG_HW_BPS) &&
                watchpoints <= vm_check_extension(vcpu->vm, KVM_CAP_GUEST_DEBUG_HW_WPS);
    return fits ? 0 : -ENOSPC;
}

static void fill_registers(const struct gdb_debug *debug, struct kvm_guest_debug_arch *registers)
{
    enum { ENABLE = 1, EL0_AND_EL1 = 3 << 1, WHOLE_INSTRUCTION = 0xf << 5 }; /* DBGBCR_EL1 */
    unsigned breakpoints = 0;
    unsigned watchpoints = 0;
    for (unsigned i = 0; i < debug->count; i++) {
        const struct gdb_hardware *hardware = &debug->hardware[i];
        if (hardware->point == GDB_HARDWARE && breakpoints < KVM_ARM_MAX_DBG_REGS) {
            registers->dbg_bvr[breakpoints] = hardware->address;
            registers->dbg_bcr[breakpoints++] = WHOLE_INSTRUCTION | EL0_AND_EL1 | ENABLE;
        } else if (hardware->point != GDB_HARDWARE && watchpoints < KVM_ARM_MAX_DBG_REGS) {
            uint64_t value;
            uint64_t control;
            if (encode_watch(hardware, &value, &control)) {
                registers->dbg_wvr[watchpoints] = value;
                registers->dbg_wcr[watchpoints++] = control;
            }
        }
    }
}

int gdb_arch_set_debug(struct vcpu *vcpu, const struct gdb_debug *debug)
{
    struct kvm_guest_debug request = {0};
    if (debug->on) {
        request.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP;
        request.control |= debug->step ? KVM_GUESTDBG_SINGLESTEP : 0;
    }
    if (debug->on && debug->count > 0) {
        request.control |= KVM_GUESTDBG_USE_HW;
        fill_registers(debug, &request.arch);
    }
    return ioctl(vcpu->fd, KVM_SET_GUEST_DEBUG, &request) < 0 ? -errno : 0;
}

/* ---- steps without interrupts, by PSTATE.I */

/* Instructions that look at PSTATE or change it: exceptions, system instructions, ERET. */
static bool touches_pstate(uint32_t instruction)
{
    return (instruction & 0xff000000) == 0xd4000000 || (instruction & 0xffc00000) == 0xd5000000 ||
           (instruction & 0xfffff3ff) == 0xd69f03e0; /* also authenticated */
}

void gdb_arch_begin_step(struct vcpu *vcpu)
{
    uint64_t pstate;
    uint32_t instruction;
    gpa_t physical;
    if (get(vcpu, CORE(regs.pc), &vcpu->arch.step_pc) < 0 ||
        get(vcpu, CORE(regs.pstate), &pstate) < 0 || pstate & PSTATE_I ||
        arm64_translate(vcpu, vcpu->arch.step_pc, &physical) < 0 ||
        guest_memory_read(&vcpu->vm->memory, physical, &instruction, sizeof(instruction)) < 0 ||
        touches_pstate(instruction)) {
        return;
    }
    pstate |= PSTATE_I;
    vcpu->arch.step_masked = set(vcpu, CORE(regs.pstate), &pstate) == 0;
}

/* If the instruction made an exception, the mask went into SPSR_EL1. */
void gdb_arch_end_step(struct vcpu *vcpu)
{
    enum { VECTORS_SIZE = 0x800 };
    uint64_t pc;
    uint64_t vectors;
    uint64_t return_to;
    uint64_t flags;
    if (!vcpu->arch.step_masked) {
        return;
    }
    vcpu->arch.step_masked = false;
    if (get(vcpu, CORE(regs.pc), &pc) < 0 || get(vcpu, system_ids[SYSTEM_VBAR], &vectors) < 0 ||
        get(vcpu, system_ids[SYSTEM_ELR], &return_to) < 0) {
        return;
    }
    bool excepted = pc - vectors < VECTORS_SIZE && return_to == vcpu->arch.step_pc;
    uint64_t id = excepted ? system_ids[SYSTEM_SPSR] : CORE(regs.pstate);
    if (get(vcpu, id, &flags) == 0) {
        flags &= ~(uint64_t)PSTATE_I;
        (void)set(vcpu, id, &flags);
    }
}

/* ---- what stopped it: ESR_ELx.EC */

enum { EC_BREAKPOINT = 0x30, EC_STEP = 0x32, EC_WATCHPOINT = 0x34, EC_BRK = 0x3c };

static enum gdb_exit classify_watch(uint64_t address, const struct gdb_hardware *hardware,
                                    unsigned count, struct gdb_stop *stop)
{
    const struct gdb_hardware *nearest = NULL;
    for (unsigned i = 0; i < count; i++) {
        if (hardware[i].point == GDB_HARDWARE) {
            continue;
        }
        nearest = &hardware[i];
        if (address - hardware[i].address < hardware[i].length) {
            break;
        }
    }
    if (nearest == NULL) {
        return GDB_EXIT_FOREIGN;
    }
    /* FAR may be of the beginning of a wide access that only ends in the watched bytes. */
    stop->point = nearest->point;
    stop->address = address - nearest->address < nearest->length ? address : nearest->address;
    return GDB_EXIT_HARDWARE;
}

enum gdb_exit gdb_arch_classify(struct vcpu *vcpu, const struct kvm_debug_exit_arch *exit,
                                const struct gdb_hardware *hardware, unsigned count,
                                struct gdb_stop *stop)
{
    (void)gdb_arch_get_pc(vcpu, &stop->address);
    switch (exit->hsr >> 26) {
    case EC_STEP:
        return GDB_EXIT_STEP;
    case EC_BRK:
        return GDB_EXIT_TRAP;
    case EC_BREAKPOINT:
        stop->point = GDB_HARDWARE;
        return GDB_EXIT_HARDWARE;
    case EC_WATCHPOINT:
        return classify_watch(exit->far, hardware, count, stop);
    default:
        return GDB_EXIT_FOREIGN;
    }
}

/* Enter the guest's handler as the processor would have: Arm ARM, D1.3 "Exceptions". */
int gdb_arch_reinject(struct vcpu *vcpu, const struct kvm_debug_exit_arch *exit)
{
    enum { FROM_EL1_SP0 = 0, FROM_EL1 = 0x200, FROM_EL0 = 0x400, ALL_MASKED_EL1H = 0x3c5 };
    uint64_t pc;
    uint64_t pstate;
    uint64_t vectors;
    uint64_t syndrome = exit->hsr;
    const uint64_t masked = ALL_MASKED_EL1H;
    int ret = get(vcpu, CORE(regs.pc), &pc);
    ret = ret < 0 ? ret : get(vcpu, CORE(regs.pstate), &pstate);
    ret = ret < 0 ? ret : get(vcpu, system_ids[SYSTEM_VBAR], &vectors);
    if (ret < 0) {
        return ret;
    }
    bool from_el0 = (pstate & PSTATE_EL) == 0;
    vectors += from_el0 ? FROM_EL0 : pstate & PSTATE_SP ? FROM_EL1 : FROM_EL1_SP0;
    ret = set(vcpu, system_ids[SYSTEM_ELR], &pc);
    ret = ret < 0 ? ret : set(vcpu, system_ids[SYSTEM_SPSR], &pstate);
    ret = ret < 0 ? ret : set(vcpu, system_ids[SYSTEM_ESR], &syndrome);
    ret = ret < 0 ? ret : set(vcpu, CORE(regs.pstate), &masked);
    return ret < 0 ? ret : set(vcpu, CORE(regs.pc), &vectors);
}

/* SPDX-License-Identifier: MIT */
/*
 * vmm/gdb_arch.h on x86. KVM does most: KVM_TRANSLATE walks page tables, and KVM_SET_GUEST_DEBUG
 * takes the contents of the debug registers (SDM volume 3, 18.2) while the guest keeps its own.
 */
#include "vmm/gdb_arch.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>

const char gdb_arch_name[] = "i386:x86-64";
const uint8_t gdb_arch_trap[GDB_TRAP_MAX] = {0xcc}; /* INT3 */
const unsigned gdb_arch_trap_size = 1;
const bool gdb_arch_watches_before = false;

/* ---- registers: names and order as in gdb's "i386 Features" */

#define STATE(field) offsetof(struct gdb_arch_state, field)
#define R(name, bits, type, field)                                                                 \
    {                                                                                              \
        name, type, bits, STATE(field), (bits) / 8                                                 \
    }
#define HALF(name, field, bytes, from)                                                             \
    {                                                                                              \
        name, "int32", 32, (uint16_t)(STATE(field) + (from)), bytes                                \
    }
#define SEGMENT(name) HALF(#name, sregs.name.selector, 2, 0)
#define G(name)       R(#name, 64, "int64", regs.name)
#define ST(n)                                                                                      \
    {                                                                                              \
        "st" #n, "i387_ext", 80, STATE(fpu.fpr[n]), 10                                             \
    }
#define XMM(n)                                                                                     \
    {                                                                                              \
        "xmm" #n, "vec128", 128, STATE(fpu.xmm[n]), 16                                             \
    }
#define SYSTEM(name, bits) R(#name, bits, "int64", sregs.name)

static const struct gdb_register core[] = {
    G(rax),
    G(rbx),
    G(rcx),
    G(rdx),
    G(rsi),
    G(rdi),
    R("rbp", 64, "data_ptr", regs.rbp),
    R("rsp", 64, "data_ptr", regs.rsp),
    G(r8),
    G(r9),
    G(r10),
    G(r11),
    G(r12),
    G(r13),
    G(r14),
    G(r15),
    R("rip", 64, "code_ptr", regs.rip),
    R("eflags", 32, "i386_eflags", regs.rflags),
    SEGMENT(cs),
    SEGMENT(ss),
    SEGMENT(ds),
    SEGMENT(es),
    SEGMENT(fs),
    SEGMENT(gs),
    ST(0),
    ST(1),
    ST(2),
    ST(3),
    ST(4),
    ST(5),
    ST(6),
    ST(7),
    HALF("fctrl", fpu.fcw, 2, 0),
    HALF("fstat", fpu.fsw, 2, 0),
    HALF("ftag", tag_word, 2, 0),
    HALF("fiseg", fpu.last_ip, 4, 4),
    HALF("fioff", fpu.last_ip, 4, 0),
    HALF("foseg", fpu.last_dp, 4, 4),
    HALF("fooff", fpu.last_dp, 4, 0),
    HALF("fop", fpu.fop, 2, 0),
};

static const struct gdb_register sse[] = {
    XMM(0),
    XMM(1),
    XMM(2),
    XMM(3),
    XMM(4),
    XMM(5),
    XMM(6),
    XMM(7),
    XMM(8),
    XMM(9),
    XMM(10),
    XMM(11),
    XMM(12),
    XMM(13),
    XMM(14),
    XMM(15),
    R("mxcsr", 32, "int32", fpu.mxcsr),
};

static const struct gdb_register segments[] = {
    R("fs_base", 64, "int64", sregs.fs.base),
    R("gs_base", 64, "int64", sregs.gs.base),
};

static const struct gdb_register control[] = {
    SYSTEM(cr0, 64), SYSTEM(cr2, 64), SYSTEM(cr3, 64),
    SYSTEM(cr4, 64), SYSTEM(cr8, 64), SYSTEM(efer, 64),
};

static const char flags_type[] =
    "<flags id=\"i386_eflags\" size=\"4\">"
    "<field name=\"CF\" start=\"0\" end=\"0\"/><field name=\"PF\" start=\"2\" end=\"2\"/>"
    "<field name=\"AF\" start=\"4\" end=\"4\"/><field name=\"ZF\" start=\"6\" end=\"6\"/>"
    "<field name=\"SF\" start=\"7\" end=\"7\"/><field name=\"TF\" start=\"8\" end=\"8\"/>"
    "<field name=\"IF\" start=\"9\" end=\"9\"/><field name=\"DF\" start=\"10\" end=\"10\"/>"
    "<field name=\"OF\" start=\"11\" end=\"11\"/><field name=\"AC\" start=\"18\" end=\"18\"/>"
    "</flags>";

static const char vector_type[] =
    "<vector id=\"v4_float\" type=\"ieee_single\" count=\"4\"/>"
    "<vector id=\"v2_double\" type=\"ieee_double\" count=\"2\"/>"
    "<vector id=\"v16_int8\" type=\"int8\" count=\"16\"/>"
    "<vector id=\"v4_int32\" type=\"int32\" count=\"4\"/>"
    "<union id=\"vec128\"><field name=\"v4_float\" type=\"v4_float\"/>"
    "<field name=\"v2_double\" type=\"v2_double\"/><field name=\"v16_int8\" type=\"v16_int8\"/>"
    "<field name=\"v4_int32\" type=\"v4_int32\"/><field name=\"uint128\" "
    "type=\"uint128\"/></union>";

#define FEATURE(name, types, table)                                                                \
    {                                                                                              \
        name, types, table, sizeof(table) / sizeof((table)[0])                                     \
    }
const struct gdb_feature gdb_arch_features[] = {
    FEATURE("org.gnu.gdb.i386.core", flags_type, core),
    FEATURE("org.gnu.gdb.i386.sse", vector_type, sse),
    FEATURE("org.gnu.gdb.i386.segments", "", segments),
    FEATURE("minivmm.x86.control", "", control),
    {NULL, NULL, NULL, 0},
};

/* SDM volume 1, 10.5.1.1: in FXSAVE a bit is set where the register is not empty (3). */
static uint16_t full_tags(uint8_t valid)
{
    uint16_t tags = 0;
    for (unsigned i = 0; i < 8; i++) {
        tags |= (uint16_t)((valid >> i & 1 ? 0 : 3) << 2 * i);
    }
    return tags;
}

static uint8_t short_tags(uint16_t tags)
{
    uint8_t valid = 0;
    for (unsigned i = 0; i < 8; i++) {
        valid |= (uint8_t)(((tags >> 2 * i & 3) != 3) << i);
    }
    return valid;
}

static int call(const struct vcpu *vcpu, unsigned long request, void *argument)
{
    return ioctl(vcpu->fd, request, argument) < 0 ? -errno : 0;
}

int gdb_arch_get_state(struct vcpu *vcpu, struct gdb_arch_state *state)
{
    memset(state, 0, sizeof(*state));
    int ret = call(vcpu, KVM_GET_REGS, &state->regs);
    ret = ret < 0 ? ret : call(vcpu, KVM_GET_SREGS, &state->sregs);
    ret = ret < 0 ? ret : call(vcpu, KVM_GET_XSAVE, state->xsave);
    state->tag_word = full_tags((uint8_t)state->fpu.ftw);
    return ret;
}

/* Writing the system registers drops what KVM has cached of the guest: not without need. */
int gdb_arch_set_state(struct vcpu *vcpu, const struct gdb_arch_state *before,
                       const struct gdb_arch_state *after)
{
    enum { X87_AND_SSE = 3 };
    struct gdb_arch_state state = *after;
    int ret = 0;
    if (state.tag_word != before->tag_word) {
        state.fpu.ftw = short_tags(state.tag_word);
    }
    if (memcmp(&state.sregs, &before->sregs, sizeof(state.sregs)) != 0) {
        ret = call(vcpu, KVM_SET_SREGS, &state.sregs);
    }
    if (ret == 0 && memcmp(&state.regs, &before->regs, sizeof(state.regs)) != 0) {
        ret = call(vcpu, KVM_SET_REGS, &state.regs);
    }
    if (ret == 0 && memcmp(&state.fpu, &before->fpu, sizeof(state.fpu)) != 0) {
        state.fpu.xstate_bv |= X87_AND_SSE; /* or they would be set to their power-on values */
        ret = call(vcpu, KVM_SET_XSAVE, state.xsave);
    }
    return ret;
}

int gdb_arch_get_pc(struct vcpu *vcpu, uint64_t *pc)
{
    struct kvm_regs regs;
    int ret = call(vcpu, KVM_GET_REGS, &regs);
    *pc = ret < 0 ? 0 : regs.rip;
    return ret;
}

int gdb_arch_set_pc(struct vcpu *vcpu, uint64_t pc)
{
    struct kvm_regs regs;
    int ret = call(vcpu, KVM_GET_REGS, &regs);
    regs.rip = pc;
    return ret < 0 ? ret : call(vcpu, KVM_SET_REGS, &regs);
}

int gdb_arch_translate(struct vcpu *vcpu, uint64_t address, gpa_t *physical)
{
    struct kvm_translation translation = {.linear_address = address};
    int ret = call(vcpu, KVM_TRANSLATE, &translation);
    *physical = gpa(translation.physical_address);
    return ret < 0 ? ret : translation.valid ? 0 : -EFAULT;
}

/* ---- debug registers */

enum {
    DEBUG_REGISTERS = 4,
    DR6_STEP = 1 << 14,
    DR7_RESERVED_1 = 1 << 10,
    DR7_EXACT = 3 << 8, /* LE and GE */
    EXCEPTION_DB = 1,
    EXCEPTION_BP = 3,
};

int gdb_arch_check_hardware(const struct vcpu *vcpu, const struct gdb_hardware *hardware,
                            unsigned count)
{
    (void)vcpu;
    for (unsigned i = 0; i < count; i++) {
        uint64_t length = hardware[i].length;
        if (hardware[i].point == GDB_WATCH_READ) {
            return -EOPNOTSUPP; /* there is no such kind: only writes, or both */
        }
        bool has_size = length == 1 || length == 2 || length == 4 || length == 8;
        if (hardware[i].point != GDB_HARDWARE &&
            (!has_size || (hardware[i].address & (length - 1)) != 0)) {
            return -EINVAL;
        }
    }
    return count > DEBUG_REGISTERS ? -ENOSPC : 0;
}

/* DR7's fields R/W and LEN of one, SDM volume 3, 18.2.4. */
static uint64_t conditions(const struct gdb_hardware *hardware)
{
    enum { EXECUTE = 0, WRITE = 1, READ_OR_WRITE = 3 };
    if (hardware->point == GDB_HARDWARE) {
        return EXECUTE; /* and LEN must be 0 */
    }
    uint64_t length_code = hardware->length == 8 ? 2 : hardware->length - 1;
    return length_code << 2 | (hardware->point == GDB_WATCH_WRITE ? WRITE : READ_OR_WRITE);
}

/* Steps without interrupts, where this KVM can. */
static uint32_t step_flags(const struct vcpu *vcpu)
{
    int flags = vm_check_extension(vcpu->vm, KVM_CAP_SET_GUEST_DEBUG2);
    return KVM_GUESTDBG_SINGLESTEP | ((uint32_t)flags & KVM_GUESTDBG_BLOCKIRQ);
}

int gdb_arch_set_debug(struct vcpu *vcpu, const struct gdb_debug *debug)
{
    struct kvm_guest_debug request = {0};
    if (debug->on) {
        request.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP;
        request.control |= debug->step ? step_flags(vcpu) : 0;
    }
    if (debug->on && debug->count > 0) {
        request.control |= KVM_GUESTDBG_USE_HW_BP;
        request.arch.debugreg[7] = DR7_RESERVED_1 | DR7_EXACT;
    }
    for (unsigned i = 0; debug->on && i < debug->count && i < DEBUG_REGISTERS; i++) {
        request.arch.debugreg[i] = debug->hardware[i].address;
        request.arch.debugreg[7] |= 2ull << 2 * i | conditions(&debug->hardware[i]) << (16 + 4 * i);
    }
    return call(vcpu, KVM_SET_GUEST_DEBUG, &request);
}

void gdb_arch_begin_step(struct vcpu *vcpu)
{
    (void)vcpu; /* KVM_GUESTDBG_BLOCKIRQ does it */
}

void gdb_arch_end_step(struct vcpu *vcpu)
{
    (void)vcpu;
}

enum gdb_exit gdb_arch_classify(struct vcpu *vcpu, const struct kvm_debug_exit_arch *exit,
                                const struct gdb_hardware *hardware, unsigned count,
                                struct gdb_stop *stop)
{
    (void)vcpu;
    if (exit->exception == EXCEPTION_BP) {
        stop->address = exit->pc;
        return GDB_EXIT_TRAP;
    }
    for (unsigned i = 0; i < count && i < DEBUG_REGISTERS; i++) {
        if (exit->dr6 >> i & 1) {
            stop->point = hardware[i].point;
            stop->address = hardware[i].address;
            return GDB_EXIT_HARDWARE;
        }
    }
    return exit->dr6 & DR6_STEP ? GDB_EXIT_STEP : GDB_EXIT_FOREIGN;
}

int gdb_arch_reinject(struct vcpu *vcpu, const struct kvm_debug_exit_arch *exit)
{
    bool is_trap = exit->exception == EXCEPTION_BP;
    struct kvm_guest_debug request = {
        .control = KVM_GUESTDBG_ENABLE | (is_trap ? KVM_GUESTDBG_USE_SW_BP | KVM_GUESTDBG_INJECT_BP
                                                  : KVM_GUESTDBG_INJECT_DB)};
    return call(vcpu, KVM_SET_GUEST_DEBUG, &request);
}

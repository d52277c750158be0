/* SPDX-License-Identifier: MIT */
/*
 * The vCPU loop: QEMU's kvm_cpu_exec(), on one page.
 *
 * KVM_RUN executes guest code until the guest does something that KVM does not do itself. It then
 * returns, and struct kvm_run, which is shared memory, says what: exit_reason and a union of
 * details. The switch in vcpu_run() handles it on this thread, before the next KVM_RUN; that call
 * first completes the instruction (a read gets the value we put into kvm_run) and then goes on.
 *
 * Leaving on request. Whoever wants a vCPU out of the guest clears vm->running under vm->lock, then
 * sets kvm_run.immediate_exit and sends a signal (vcpu_kick). If the thread is in KVM_RUN, the
 * signal ends it; if it is not, the next KVM_RUN completes the pending instruction and returns at
 * once because of immediate_exit. Either way it fails with EINTR, and that is the only place where
 * this thread looks at vm->running. The thread clears immediate_exit only under vm->lock and only
 * while vm->running is set, so no request is lost; one that comes late costs one extra turn.
 */
#include "vmm/vcpu.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/trace.h"

#define KICK_SIGNAL SIGUSR1

/* ---- life */

static void kicked(int signal_number)
{
    (void)signal_number; /* its only purpose is to interrupt KVM_RUN */
}

int vcpu_install_kick_signal(struct error *err)
{
    struct sigaction action = {.sa_handler = kicked}; /* no SA_RESTART: the ioctl must return */
    sigemptyset(&action.sa_mask);
    if (sigaction(KICK_SIGNAL, &action, NULL) < 0) {
        return error_set(err, -errno, "cannot install a signal handler: %s", strerror(errno));
    }
    return 0;
}

static void set_immediate_exit(struct vcpu *vcpu, uint8_t value)
{
    __atomic_store_n(&vcpu->run->immediate_exit, value, __ATOMIC_RELEASE);
}

void vcpu_kick(struct vcpu *vcpu)
{
    set_immediate_exit(vcpu, 1);
    if (!pthread_equal(vcpu->thread, pthread_self())) {
        pthread_kill(vcpu->thread, KICK_SIGNAL);
    }
}

/* Under vm->lock. */
static bool must_park(const struct vcpu *vcpu)
{
    const struct vm *vm = vcpu->vm;
    return (!vm->running || vcpu->frozen) && !vm->shutting_down;
}

/*
 * Called when KVM_RUN was interrupted, and before it is first called. Park until the machine runs.
 * False when the thread is to end.
 */
static bool wait_until_running(struct vcpu *vcpu)
{
    struct vm *vm = vcpu->vm;
    pthread_mutex_lock(&vm->lock);
    if (must_park(vcpu)) {
        trace_vcpu_park(vcpu->index);
        vm->parked++;
        pthread_cond_broadcast(&vm->changed);
        while (must_park(vcpu)) {
            pthread_cond_wait(&vm->changed, &vm->lock);
        }
        vm->parked--;
        trace_vcpu_resume(vcpu->index);
    }
    bool run = !vm->shutting_down;
    set_immediate_exit(vcpu, 0);
    pthread_mutex_unlock(&vm->lock);
    return run;
}

/* ---- exits */

/*
 * Data lies in the shared page in the guest's byte order, which on both architectures is ours.
 * Eight bytes are always there, so that one access of the full width serves every size.
 */
static inline uint64_t load_data(const void *data, unsigned size)
{
    uint64_t value;
    memcpy(&value, data, sizeof(value));
    return value & UINT64_MAX >> (64 - 8 * size);
}

static inline void store_data(void *data, uint64_t value)
{
    memcpy(data, &value, sizeof(value));
}

/* Who answered the cursor's last access, for traces. */
static inline const char *answered(const struct bus_cursor *cursor)
{
    return cursor->last->name;
}

__attribute__((always_inline)) static inline void port_out(struct vcpu *vcpu, uint16_t port,
                                                           unsigned size, uint64_t value)
{
    bus_write(&vcpu->pio, port, size, value);
    trace_pio_write(answered(&vcpu->pio), port, size, value);
}

__attribute__((always_inline)) static inline uint64_t port_in(struct vcpu *vcpu, uint16_t port,
                                                              unsigned size)
{
    uint64_t value = bus_read(&vcpu->pio, port, size);
    trace_pio_read(answered(&vcpu->pio), port, size, value);
    return value;
}

/*
 * INS, OUTS: `count` elements of `size` bytes, all from or to the one port; they lie behind one
 * another in the shared page.
 */
__attribute__((noinline)) static void handle_string_io(struct vcpu *vcpu)
{
    struct kvm_run *run = vcpu->run;
    uint8_t *data = (uint8_t *)run + run->io.data_offset;
    unsigned size = run->io.size;
    for (uint32_t left = run->io.count; left > 0; left--, data += size) {
        uint64_t value = 0;
        if (run->io.direction == KVM_EXIT_IO_OUT) {
            memcpy(&value, data, size);
            port_out(vcpu, run->io.port, size, value);
        } else {
            value = port_in(vcpu, run->io.port, size);
            memcpy(data, &value, size);
        }
    }
}

/* IN, OUT and their string forms. `size` is 1, 2 or 4. */
__attribute__((always_inline)) static inline void handle_io(struct vcpu *vcpu, struct kvm_run *run)
{
    uint8_t *data = (uint8_t *)run + run->io.data_offset;
    unsigned size = run->io.size;
    if (__builtin_expect(run->io.count != 1, 0)) {
        handle_string_io(vcpu);
    } else if (run->io.direction == KVM_EXIT_IO_OUT) {
        port_out(vcpu, run->io.port, size, load_data(data, size));
    } else {
        store_data(data, port_in(vcpu, run->io.port, size));
    }
}

/*
 * KVM makes two accesses of one that crosses a page, and they need not have a size that an
 * instruction has: 3 and 1 bytes, 5 and 3. The bus makes whole pieces of those.
 */
static inline bool has_odd_size(unsigned size)
{
    return __builtin_expect(size & (size - 1), 0);
}

/* A load or store to an address where there is no RAM. `len` is 1 to 8. */
__attribute__((always_inline)) static inline void handle_mmio(struct vcpu *vcpu,
                                                              struct kvm_run *run)
{
    uint64_t address = run->mmio.phys_addr;
    unsigned size = run->mmio.len;
    struct bus_cursor *mmio = &vcpu->mmio;
    if (run->mmio.is_write) {
        uint64_t value = load_data(run->mmio.data, size);
        (has_odd_size(size) ? bus_write_slowly : bus_write)(mmio, address, size, value);
        trace_mmio_write(answered(&vcpu->mmio), address, size, value);
    } else {
        uint64_t value = (has_odd_size(size) ? bus_read_slowly : bus_read)(mmio, address, size);
        store_data(run->mmio.data, value);
        trace_mmio_read(answered(&vcpu->mmio), address, size, value);
    }
}

/* The guest used its architecture's own way (PSCI) to ask for power-off or reset, or says it
 * crashed. */
static void handle_system_event(struct vcpu *vcpu)
{
    uint32_t type = vcpu->run->system_event.type;
    switch (type) {
    case KVM_SYSTEM_EVENT_SHUTDOWN:
        vm_request(vcpu->vm, VM_REQUEST_POWEROFF);
        break;
    case KVM_SYSTEM_EVENT_RESET:
        vm_request(vcpu->vm, VM_REQUEST_RESET);
        break;
    default:
        vm_report("minivmm: vCPU %u: KVM_EXIT_SYSTEM_EVENT of type %u", vcpu->index, type);
        vm_request(vcpu->vm, VM_REQUEST_CRASH);
        break;
    }
}

void vcpu_crash(struct vcpu *vcpu, const char *reason)
{
    static pthread_mutex_t one_report = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&one_report); /* the reports of two vCPUs do not mix */
    fprintf(stderr, "minivmm: vCPU %u: %s\n", vcpu->index, reason);
    arch_vcpu_dump(vcpu, stderr);
    fflush(stderr);
    pthread_mutex_unlock(&one_report);
    vm_request(vcpu->vm, VM_REQUEST_CRASH);
}

static void crash_internal_error(struct vcpu *vcpu)
{
    static const char *const names[] = {
        [KVM_INTERNAL_ERROR_EMULATION] = "emulation failure",
        [KVM_INTERNAL_ERROR_SIMUL_EX] = "simultaneous exceptions",
        [KVM_INTERNAL_ERROR_DELIVERY_EV] = "exit while delivering an event",
        [KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON] = "unexpected exit reason",
    };
    const struct kvm_run *run = vcpu->run;
    uint32_t suberror = run->internal.suberror;
    bool known = suberror < sizeof(names) / sizeof(names[0]) && names[suberror];
    char text[512];
    int used = snprintf(text, sizeof(text), "KVM_EXIT_INTERNAL_ERROR: %s (suberror %u)",
                        known ? names[suberror] : "unknown", suberror);
    for (uint32_t i = 0; i < run->internal.ndata && i < 8; i++) {
        used +=
            snprintf(text + used, sizeof(text) - (size_t)used, " 0x%llx", run->internal.data[i]);
    }
    vcpu_crash(vcpu, text);
}

static void crash_fail_entry(struct vcpu *vcpu)
{
    char text[128];
    snprintf(text, sizeof(text), "KVM_EXIT_FAIL_ENTRY: hardware reason 0x%llx",
             vcpu->run->fail_entry.hardware_entry_failure_reason);
    vcpu_crash(vcpu, text);
}

static void crash_unknown(struct vcpu *vcpu)
{
    char text[128];
    snprintf(text, sizeof(text), "exit reason %u (%s) is not handled", vcpu->run->exit_reason,
             vcpu_exit_name(vcpu->run->exit_reason));
    vcpu_crash(vcpu, text);
}

static void crash_run_failed(struct vcpu *vcpu, int code)
{
    char text[128];
    snprintf(text, sizeof(text), "KVM_RUN failed: %s", strerror(code));
    vcpu_crash(vcpu, text);
}

/* ---- the loop */

/* What the guest's exit asks for, by its reason. */
__attribute__((always_inline)) static inline void handle_exit(struct vcpu *vcpu,
                                                              struct kvm_run *run, uint32_t reason)
{
    switch (reason) {
    case KVM_EXIT_IO: /* port I/O: x86 only */
        handle_io(vcpu, run);
        break;
    case KVM_EXIT_MMIO: /* a load or store outside RAM */
        handle_mmio(vcpu, run);
        break;
    case KVM_EXIT_IRQ_WINDOW_OPEN: /* asked for by nobody here; harmless */
    case KVM_EXIT_INTR:
        break;
    case KVM_EXIT_SYSTEM_EVENT: /* PSCI */
        handle_system_event(vcpu);
        break;
    case KVM_EXIT_DEBUG: /* a breakpoint or a single step of --gdb */
        if (!vm_debug_exit(vcpu)) {
            crash_unknown(vcpu);
        }
        break;
    case KVM_EXIT_SHUTDOWN: /* x86: triple fault */
        vcpu_crash(vcpu, "KVM_EXIT_SHUTDOWN: the guest's CPU shut down (triple fault)");
        break;
    case KVM_EXIT_INTERNAL_ERROR:
        crash_internal_error(vcpu);
        break;
    case KVM_EXIT_FAIL_ENTRY:
        crash_fail_entry(vcpu);
        break;
    default:
        if (!arch_vcpu_handle_exit(vcpu)) {
            crash_unknown(vcpu);
        }
        break;
    }
}

/* Who answered the exit that was just handled; NULL: it was no access. */
static const struct bus_range *answering_range(const struct vcpu *vcpu, uint32_t reason)
{
    return reason == KVM_EXIT_MMIO ? vcpu->mmio.last
           : reason == KVM_EXIT_IO ? vcpu->pio.last
                                   : NULL;
}

/* What a timeline says of an exit, besides its reason. */
static void describe_exit(const struct kvm_run *run, char *text, size_t size)
{
    if (run->exit_reason == KVM_EXIT_MMIO) {
        snprintf(text, size, "%s addr=0x%llx size=%u", run->mmio.is_write ? "write" : "read",
                 run->mmio.phys_addr, run->mmio.len);
    } else if (run->exit_reason == KVM_EXIT_IO) {
        snprintf(text, size, "%s port=0x%x size=%u count=%u",
                 run->io.direction == KVM_EXIT_IO_OUT ? "write" : "read", run->io.port,
                 run->io.size, run->io.count);
    } else {
        snprintf(text, size, "reason=%u", run->exit_reason);
    }
}

/* The same exit, when somebody wants to know of it and how long it took: a trace, --stats;
 * or when a debugger steps some vCPU. */
__attribute__((noinline, cold)) static void
handle_watched_exit(struct vcpu *vcpu, struct kvm_run *run, uint32_t reason)
{
    char text[96];
    uint64_t begin = trace_clock_ns();
    trace_emit(TRACE_ID_vcpu_exit, "reason=%u", reason);
    describe_exit(run, text, sizeof(text));
    handle_exit(vcpu, run, reason);
    const struct bus_range *range = answering_range(vcpu, reason);
    if (vcpu->stats) {
        exit_stats_count(vcpu->stats, reason, range, trace_clock_ns() - begin);
    }
    const struct trace_span span = {.id = TRACE_ID_vcpu_exit,
                                    .begin_ns = begin,
                                    .name = vcpu_exit_name(reason),
                                    .device = range ? range->name : NULL};
    trace_end(&span, "%s", text);
    if (vcpu->stepping && (reason == KVM_EXIT_MMIO || reason == KVM_EXIT_IO)) {
        vm_debug_access(vcpu);
    }
}

/* Run guest code until the machine stops. */
static void vcpu_run(struct vcpu *vcpu)
{
    struct kvm_run *run = vcpu->run;
    for (;;) {
        if (arch_kvm_run(vcpu->fd) < 0) {
            if (errno != EINTR && errno != EAGAIN) {
                crash_run_failed(vcpu, errno);
            }
            if (!wait_until_running(vcpu)) {
                return;
            }
            continue;
        }
        uint32_t reason = run->exit_reason;
        STAP_PROBEV(minivmm, vcpu_exit, reason);
        if (TRACE_IS_ON(TRACE_ID_vcpu_exit)) {
            handle_watched_exit(vcpu, run, reason);
        } else {
            handle_exit(vcpu, run, reason);
        }
    }
}

static void *vcpu_thread(void *opaque)
{
    struct vcpu *vcpu = opaque;
    char name[16];
    snprintf(name, sizeof(name), "vcpu%u", vcpu->index);
    trace_name_thread(name);
    atomic_store(&vcpu->thread_id, gettid());
    if (wait_until_running(vcpu)) {
        vcpu_run(vcpu);
    }
    return NULL;
}

/* ---- creation */

static int open_vcpu(struct vcpu *vcpu, struct error *err)
{
    vcpu->fd = ioctl(vcpu->vm->fd, KVM_CREATE_VCPU, vcpu->index);
    if (vcpu->fd < 0) {
        int code = -errno;
        return error_set(err, code, "cannot create vCPU %u: %s", vcpu->index, strerror(-code));
    }
    void *run = mmap(NULL, vcpu->vm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
    if (run == MAP_FAILED) {
        int code = -errno;
        return error_set(err, code, "cannot map vCPU %u: %s", vcpu->index, strerror(-code));
    }
    vcpu->run = run;
    return 0;
}

int vcpu_ioctl(struct vcpu *vcpu, unsigned long request, void *argument, const char *name,
               struct error *err)
{
    if (ioctl(vcpu->fd, request, argument) >= 0) {
        return 0;
    }
    int code = -errno;
    return error_set(err, code, "vCPU %u: %s: %s", vcpu->index, name, strerror(-code));
}

static int start_thread(struct vcpu *vcpu, struct error *err)
{
    int ret = pthread_create(&vcpu->thread, NULL, vcpu_thread, vcpu);
    if (ret != 0) {
        return error_set(err, -ret, "cannot start vCPU %u's thread: %s", vcpu->index,
                         strerror(ret));
    }
    vcpu->thread_started = true;
    return 0;
}

int vcpu_create(struct vm *vm, unsigned index, struct vcpu **out, struct error *err)
{
    struct vcpu *vcpu = calloc(1, sizeof(*vcpu));
    if (!vcpu) {
        return error_set(err, -ENOMEM, "no memory for vCPU %u", index);
    }
    vcpu->vm = vm;
    vcpu->index = index;
    vcpu->fd = -1;
    vcpu->stats = exit_stats_of_vcpu(index);
    bus_cursor_init(&vcpu->mmio, &vm->mmio);
    bus_cursor_init(&vcpu->pio, &vm->pio);
    int ret = open_vcpu(vcpu, err);
    if (ret == 0) {
        ret = arch_vcpu_init(vcpu, err);
    }
    if (ret == 0) {
        ret = start_thread(vcpu, err);
    }
    if (ret < 0) {
        vcpu_destroy(vcpu);
        return ret;
    }
    *out = vcpu;
    return 0;
}

void vcpu_destroy(struct vcpu *vcpu)
{
    if (vcpu->thread_started) {
        pthread_join(vcpu->thread, NULL);
    }
    arch_vcpu_destroy(vcpu);
    bus_cursor_destroy(&vcpu->mmio);
    bus_cursor_destroy(&vcpu->pio);
    if (vcpu->run) {
        munmap(vcpu->run, vcpu->vm->run_size);
    }
    if (vcpu->fd >= 0) {
        close(vcpu->fd);
    }
    free(vcpu);
}

const char *vcpu_state(const struct vcpu *vcpu)
{
    struct kvm_mp_state state;
    if (ioctl(vcpu->fd, KVM_GET_MP_STATE, &state) < 0) {
        return "running"; /* an architecture without it has no other */
    }
    switch (state.mp_state) {
    case KVM_MP_STATE_UNINITIALIZED:
    case KVM_MP_STATE_INIT_RECEIVED:
    case KVM_MP_STATE_STOPPED:
        return "off";
    case KVM_MP_STATE_HALTED:
        return "halted";
    default:
        return "running";
    }
}

const char *vcpu_exit_name(uint32_t reason)
{
#define NAME(exit) [exit] = #exit
    static const char *const names[] = {
        NAME(KVM_EXIT_UNKNOWN),
        NAME(KVM_EXIT_EXCEPTION),
        NAME(KVM_EXIT_IO),
        NAME(KVM_EXIT_HYPERCALL),
        NAME(KVM_EXIT_DEBUG),
        NAME(KVM_EXIT_HLT),
        NAME(KVM_EXIT_MMIO),
        NAME(KVM_EXIT_IRQ_WINDOW_OPEN),
        NAME(KVM_EXIT_SHUTDOWN),
        NAME(KVM_EXIT_FAIL_ENTRY),
        NAME(KVM_EXIT_INTR),
        NAME(KVM_EXIT_SET_TPR),
        NAME(KVM_EXIT_TPR_ACCESS),
        NAME(KVM_EXIT_NMI),
        NAME(KVM_EXIT_INTERNAL_ERROR),
        NAME(KVM_EXIT_OSI),
        NAME(KVM_EXIT_WATCHDOG),
        NAME(KVM_EXIT_SYSTEM_EVENT),
        NAME(KVM_EXIT_IOAPIC_EOI),
        NAME(KVM_EXIT_HYPERV),
        NAME(KVM_EXIT_ARM_NISV),
        NAME(KVM_EXIT_X86_RDMSR),
        NAME(KVM_EXIT_X86_WRMSR),
        NAME(KVM_EXIT_DIRTY_RING_FULL),
        NAME(KVM_EXIT_AP_RESET_HOLD),
        NAME(KVM_EXIT_X86_BUS_LOCK),
        NAME(KVM_EXIT_XEN),
        NAME(KVM_EXIT_NOTIFY),
    };
#undef NAME
    bool known = reason < sizeof(names) / sizeof(names[0]) && names[reason];
    return known ? names[reason] : "KVM_EXIT_?";
}

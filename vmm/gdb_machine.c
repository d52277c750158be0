/* SPDX-License-Identifier: MIT */
/* See vmm/gdb_machine.h. */
#include "vmm/gdb_machine.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vmm/gdb_registers.h"
#include "vmm/vcpu.h"

static struct vcpu *vcpu_at(struct gdb_machine *machine, unsigned cpu)
{
    return machine->vm->vcpus[cpu];
}

/* ---- breakpoints */

static struct gdb_breakpoint *find_point(struct gdb_machine *machine, enum gdb_point point,
                                         uint64_t address)
{
    for (unsigned i = 0; i < machine->count; i++) {
        if (machine->points[i].point == point && machine->points[i].address == address) {
            return &machine->points[i];
        }
    }
    return NULL;
}

static bool stops_at(struct gdb_machine *machine, uint64_t pc)
{
    return find_point(machine, GDB_SOFTWARE, pc) || find_point(machine, GDB_HARDWARE, pc);
}

/* Is there still a watchpoint, of this kind, that this address lies in? */
static bool is_watched(struct gdb_machine *machine, enum gdb_point point, uint64_t address)
{
    for (unsigned i = 0; i < machine->count; i++) {
        const struct gdb_breakpoint *watch = &machine->points[i];
        if (watch->point == point && address - watch->address < watch->kind) {
            return true;
        }
    }
    return false;
}

/* What the processor has to know, in the order of the list. */
static unsigned list_hardware(const struct gdb_machine *machine,
                              struct gdb_hardware list[GDB_HARDWARE_MAX])
{
    unsigned count = 0;
    for (unsigned i = 0; i < machine->count && count < GDB_HARDWARE_MAX; i++) {
        const struct gdb_breakpoint *point = &machine->points[i];
        if (point->point != GDB_SOFTWARE) {
            list[count++] = (struct gdb_hardware){point->point, point->address, point->kind};
        }
    }
    return count;
}

/* The guest's processors may have the old instruction in their caches. */
static void write_instruction(uint8_t *place, const uint8_t *instruction)
{
    memcpy(place, instruction, gdb_arch_trap_size);
    __builtin___clear_cache((char *)place, (char *)place + gdb_arch_trap_size);
}

static void insert_traps(struct gdb_machine *machine)
{
    for (unsigned i = 0; i < machine->count; i++) {
        struct gdb_breakpoint *point = &machine->points[i];
        if (point->point == GDB_SOFTWARE) {
            memcpy(point->saved, point->place, gdb_arch_trap_size);
            write_instruction(point->place, gdb_arch_trap);
            point->inserted = true;
        }
    }
}

/* What the guest has overwritten meanwhile is left as it is. The last one first: places may
 * overlap. */
static void remove_traps(struct gdb_machine *machine)
{
    for (unsigned i = machine->count; i-- > 0;) {
        struct gdb_breakpoint *point = &machine->points[i];
        if (point->inserted && memcmp(point->place, gdb_arch_trap, gdb_arch_trap_size) == 0) {
            write_instruction(point->place, point->saved);
        }
        point->inserted = false;
    }
}

static int place_trap(struct gdb_machine *machine, unsigned cpu, struct gdb_breakpoint *point)
{
    gpa_t physical;
    int ret = gdb_arch_translate(vcpu_at(machine, cpu), point->address, &physical);
    if (ret < 0) {
        return ret;
    }
    point->place = guest_memory_range(&machine->vm->memory, physical, gdb_arch_trap_size);
    bool aligned = point->address % gdb_arch_trap_size == 0;
    return point->place == NULL ? -EFAULT : aligned ? 0 : -EINVAL;
}

static int insert_point(void *opaque, unsigned cpu, enum gdb_point point, uint64_t address,
                        uint64_t kind)
{
    struct gdb_machine *machine = opaque;
    struct gdb_hardware list[GDB_HARDWARE_MAX];
    struct gdb_breakpoint new = {.point = point, .address = address, .kind = kind};
    struct gdb_breakpoint *old = find_point(machine, point, address);
    if (old != NULL && old->kind == kind) {
        return 0; /* the manual: inserting twice is the same as once */
    }
    if (machine->count == GDB_BREAKPOINTS_MAX) {
        return -ENOSPC;
    }
    if (point == GDB_SOFTWARE) {
        int ret = place_trap(machine, cpu, &new);
        machine->points[machine->count] = new;
        machine->count += ret == 0;
        return ret;
    }
    unsigned count = list_hardware(machine, list);
    if (count == GDB_HARDWARE_MAX) {
        return -ENOSPC;
    }
    list[count] = (struct gdb_hardware){point, address, kind};
    int ret = gdb_arch_check_hardware(vcpu_at(machine, cpu), list, count + 1);
    machine->points[machine->count] = new;
    machine->count += ret == 0;
    return ret;
}

/* One that is not there is no error: a reset may have taken it. */
static int remove_point(void *opaque, enum gdb_point point, uint64_t address, uint64_t kind)
{
    struct gdb_machine *machine = opaque;
    struct gdb_breakpoint *found = find_point(machine, point, address);
    (void)kind;
    if (found != NULL) {
        size_t behind = (size_t)(machine->points + --machine->count - found);
        memmove(found, found + 1, behind * sizeof(*found));
    }
    return point == GDB_WATCH_READ && found == NULL ? -EOPNOTSUPP : 0;
}

/* ---- stopping */

/* Keep what has stopped this vCPU, if anything has. */
static void take_stop(struct gdb_machine *machine, unsigned cpu)
{
    struct gdb_hardware list[GDB_HARDWARE_MAX];
    struct kvm_debug_exit_arch exit;
    struct vcpu *vcpu = vcpu_at(machine, cpu);
    struct gdb_stop stop = {.cpu = cpu};
    enum gdb_exit kind = GDB_EXIT_STEP;
    switch (vm_take_debug_event(vcpu, &exit)) {
    case VM_DEBUG_NONE:
        return;
    case VM_DEBUG_EXIT:
        kind = gdb_arch_classify(vcpu, &exit, list, list_hardware(machine, list), &stop);
        break;
    case VM_DEBUG_ACCESS:
        break;
    }
    bool is_ours = true;
    switch (kind) {
    case GDB_EXIT_STEP:
        stop.reason = GDB_BY_STEP;
        break;
    case GDB_EXIT_TRAP:
        stop.reason = GDB_BY_POINT;
        stop.point = GDB_SOFTWARE;
        is_ours = find_point(machine, GDB_SOFTWARE, stop.address) != NULL;
        break;
    case GDB_EXIT_HARDWARE:
        stop.reason = GDB_BY_POINT;
        break;
    case GDB_EXIT_FOREIGN:
        is_ours = false;
        break;
    }
    if (!is_ours) {
        (void)gdb_arch_reinject(vcpu, &exit);
        return;
    }
    machine->cpus[cpu].has_stop = true;
    machine->cpus[cpu].stop = stop;
}

/* The machine stands still, with nothing of ours in its memory. */
static void stand_still(struct gdb_machine *machine)
{
    vm_hold(machine->vm, VM_HOLDER_GDB);
    for (unsigned i = 0; i < machine->vm->vcpu_count; i++) {
        gdb_arch_end_step(vcpu_at(machine, i));
        take_stop(machine, i);
    }
    remove_traps(machine);
}

/* A stop that was kept may be of a breakpoint that is not there any more. */
static bool is_still_true(struct gdb_machine *machine, unsigned cpu)
{
    const struct gdb_stop *stop = &machine->cpus[cpu].stop;
    if (stop->reason != GDB_BY_POINT) {
        return machine->cpus[cpu].action == GDB_STEP;
    }
    if (stop->point >= GDB_WATCH_WRITE) {
        return is_watched(machine, stop->point, stop->address);
    }
    return find_point(machine, stop->point, stop->address) != NULL;
}

static void tell(struct gdb_machine *machine, const struct gdb_stop *stop)
{
    machine->running = false;
    machine->passing = -1;
    for (unsigned i = 0; i < machine->vm->vcpu_count; i++) {
        struct gdb_cpu *cpu = &machine->cpus[i];
        (void)gdb_arch_get_pc(vcpu_at(machine, i), &cpu->stop_pc);
        cpu->watched = false;
    }
    machine->cpus[stop->cpu].watched =
        stop->reason == GDB_BY_POINT && stop->point >= GDB_WATCH_WRITE;
    machine->stopped(machine->opaque, stop);
}

/* Tell the client of one vCPU that has stopped, if there is one among those that ran. */
static bool tell_one(struct gdb_machine *machine)
{
    for (unsigned i = 0; i < machine->vm->vcpu_count; i++) {
        struct gdb_cpu *cpu = &machine->cpus[i];
        if (!cpu->has_stop || cpu->action == GDB_STAY) {
            continue;
        }
        cpu->has_stop = false;
        if (is_still_true(machine, i)) {
            struct gdb_stop stop = cpu->stop;
            tell(machine, &stop);
            return true;
        }
    }
    return false;
}

/* ---- running */

/* Let the vCPU do what it is to do; `passing`: it, or another one, steps over a breakpoint. */
static int prepare(struct gdb_machine *machine, unsigned cpu)
{
    struct gdb_hardware list[GDB_HARDWARE_MAX];
    struct vcpu *vcpu = vcpu_at(machine, cpu);
    enum gdb_action action = machine->cpus[cpu].action;
    bool passes = machine->passing >= 0;
    bool frozen = passes ? (unsigned)machine->passing != cpu : action == GDB_STAY;
    struct gdb_debug debug = {.on = true,
                              .step = !frozen && (passes || action == GDB_STEP),
                              .hardware = list,
                              .count = passes ? 0 : list_hardware(machine, list)};
    int ret = gdb_arch_set_debug(vcpu, &debug);
    vm_set_vcpu_debug(vcpu, frozen, debug.step);
    if (debug.step) {
        gdb_arch_begin_step(vcpu);
    }
    return ret;
}

static int go(struct gdb_machine *machine)
{
    int ret = 0;
    machine->passing = -1;
    for (unsigned i = 0; i < machine->vm->vcpu_count && machine->passing < 0; i++) {
        const struct gdb_cpu *cpu = &machine->cpus[i];
        machine->passing = cpu->step_over && cpu->action != GDB_STAY ? (int)i : -1;
    }
    for (unsigned i = 0; ret == 0 && i < machine->vm->vcpu_count; i++) {
        ret = prepare(machine, i);
    }
    if (ret < 0) {
        return ret;
    }
    if (machine->passing < 0) {
        insert_traps(machine);
    }
    vm_release(machine->vm, VM_HOLDER_GDB);
    return 0;
}

/* A vCPU has passed its breakpoint. If it was only to make a step, this was it. */
static void has_passed(struct gdb_machine *machine)
{
    struct gdb_cpu *cpu = &machine->cpus[machine->passing];
    bool is_step = cpu->stop.reason == GDB_BY_STEP;
    cpu->step_over = false;
    if (is_step && cpu->action != GDB_STEP) {
        cpu->has_stop = false;
    }
}

/* Something may have stopped while the machine ran. */
static void look(struct gdb_machine *machine)
{
    stand_still(machine);
    if (machine->passing >= 0 && machine->cpus[machine->passing].has_stop) {
        has_passed(machine);
    }
    if (tell_one(machine)) {
        return;
    }
    if (go(machine) < 0) {
        struct gdb_stop stop = {.reason = GDB_BY_INTERRUPT};
        tell(machine, &stop);
    }
}

static void debug_event(void *opaque, uint32_t events)
{
    struct gdb_machine *machine = opaque;
    uint64_t count;
    (void)events;
    (void)!read(machine->source.fd, &count, sizeof(count));
    if (machine->attached && machine->running) {
        look(machine);
    }
}

static bool must_step_over(struct gdb_machine *machine, unsigned i)
{
    const struct gdb_cpu *cpu = &machine->cpus[i];
    uint64_t pc;
    if (cpu->has_stop || gdb_arch_get_pc(vcpu_at(machine, i), &pc) < 0 || pc != cpu->stop_pc) {
        return false;
    }
    return stops_at(machine, pc) || (gdb_arch_watches_before && cpu->watched);
}

static int resume(void *opaque, const enum gdb_action *actions)
{
    struct gdb_machine *machine = opaque;
    if (machine->crashed) {
        vm_request(machine->vm, VM_REQUEST_CRASH); /* it ends, and the client hears that */
        return 0;
    }
    for (unsigned i = 0; i < machine->vm->vcpu_count; i++) {
        machine->cpus[i].action = actions[i];
    }
    machine->running = true;
    if (tell_one(machine)) {
        return 0;
    }
    for (unsigned i = 0; i < machine->vm->vcpu_count; i++) {
        machine->cpus[i].step_over = must_step_over(machine, i);
    }
    int ret = go(machine);
    machine->running = ret == 0;
    return ret;
}

static void interrupt(void *opaque)
{
    struct gdb_machine *machine = opaque;
    struct gdb_stop stop = {.reason = GDB_BY_INTERRUPT};
    if (!machine->running) {
        return; /* a crash is being reported */
    }
    stand_still(machine);
    while (stop.cpu + 1 < machine->vm->vcpu_count && machine->cpus[stop.cpu].action == GDB_STAY) {
        stop.cpu++;
    }
    tell(machine, &stop);
}

/* ---- registers and memory */

static int read_registers(void *opaque, unsigned cpu, int number, void *bytes, size_t size)
{
    struct gdb_arch_state state;
    int ret = gdb_arch_get_state(vcpu_at(opaque, cpu), &state);
    return ret < 0 ? ret : gdb_registers_pack(&state, number, bytes, size);
}

static int write_registers(void *opaque, unsigned cpu, int number, const void *bytes, size_t size)
{
    struct vcpu *vcpu = vcpu_at(opaque, cpu);
    struct gdb_arch_state before;
    int ret = gdb_arch_get_state(vcpu, &before);
    struct gdb_arch_state after = before;
    ret = ret < 0 ? ret : gdb_registers_unpack(&after, number, bytes, size);
    return ret < 0 ? ret : gdb_arch_set_state(vcpu, &before, &after);
}

static int set_pc(void *opaque, unsigned cpu, uint64_t pc)
{
    return gdb_arch_set_pc(vcpu_at(opaque, cpu), pc);
}

/*
 * The RAM behind a virtual address, up to the end of the smallest page there is. Devices' registers
 * are not read: that would have effects.
 */
static void *memory_at(struct gdb_machine *machine, unsigned cpu, uint64_t address, size_t size,
                       uint64_t *available)
{
    enum { PAGE = 4096 };
    uint64_t rest = PAGE - address % PAGE;
    gpa_t physical;
    if (gdb_arch_translate(vcpu_at(machine, cpu), address, &physical) < 0) {
        return NULL;
    }
    return guest_memory_at(&machine->vm->memory, physical, size < rest ? size : rest, available);
}

static int read_memory(void *opaque, unsigned cpu, uint64_t address, void *bytes, size_t size)
{
    uint8_t *to = bytes;
    size_t done = 0;
    while (done < size) {
        uint64_t step;
        const void *from = memory_at(opaque, cpu, address + done, size - done, &step);
        if (from == NULL) {
            break;
        }
        memcpy(to + done, from, step);
        done += step;
    }
    return (int)done;
}

static int write_memory(void *opaque, unsigned cpu, uint64_t address, const void *bytes,
                        size_t size)
{
    const uint8_t *from = bytes;
    while (size > 0) {
        uint64_t step;
        char *to = memory_at(opaque, cpu, address, size, &step);
        if (to == NULL) {
            return -EFAULT;
        }
        memcpy(to, from, step);
        __builtin___clear_cache(to, to + step);
        from += step;
        address += step;
        size -= step;
    }
    return 0;
}

/* ---- vCPUs */

static unsigned cpu_count(void *opaque)
{
    const struct gdb_machine *machine = opaque;
    return machine->vm->vcpu_count;
}

static void describe_cpu(void *opaque, unsigned cpu, char *text, size_t size)
{
    snprintf(text, size, "CPU %u [%s]", cpu, vcpu_state(vcpu_at(opaque, cpu)));
}

static const char *description(void *opaque)
{
    const struct gdb_machine *machine = opaque;
    return machine->description;
}

/* ---- life */

void gdb_machine_detach(struct gdb_machine *machine)
{
    static const struct gdb_debug off = {.on = false};
    if (!machine->attached) {
        return;
    }
    stand_still(machine);
    machine->attached = machine->running = false;
    machine->passing = -1;
    machine->count = 0;
    for (unsigned i = 0; i < machine->vm->vcpu_count; i++) {
        (void)gdb_arch_set_debug(vcpu_at(machine, i), &off);
        vm_set_vcpu_debug(vcpu_at(machine, i), false, false);
        machine->cpus[i] = (struct gdb_cpu){0};
    }
    if (machine->crashed) {
        vm_request(machine->vm, VM_REQUEST_CRASH);
    }
    vm_release(machine->vm, VM_HOLDER_GDB);
}

static void detach(void *opaque)
{
    gdb_machine_detach(opaque);
}

static void kill_machine(void *opaque)
{
    struct gdb_machine *machine = opaque;
    vm_request(machine->vm, VM_REQUEST_QUIT);
}

const struct gdb_target_ops gdb_machine_ops = {
    .cpu_count = cpu_count,
    .describe_cpu = describe_cpu,
    .description = description,
    .read_registers = read_registers,
    .write_registers = write_registers,
    .read_memory = read_memory,
    .write_memory = write_memory,
    .set_pc = set_pc,
    .insert = insert_point,
    .remove = remove_point,
    .resume = resume,
    .interrupt = interrupt,
    .detach = detach,
    .kill = kill_machine,
};

void gdb_machine_attach(struct gdb_machine *machine,
                        void (*stopped)(void *opaque, const struct gdb_stop *stop), void *opaque)
{
    machine->attached = true;
    machine->running = false;
    machine->stopped = stopped;
    machine->opaque = opaque;
    stand_still(machine);
}

void gdb_machine_reset(struct gdb_machine *machine)
{
    if (!machine->attached) {
        return;
    }
    remove_traps(machine);
    unsigned kept = 0;
    for (unsigned i = 0; i < machine->count; i++) {
        if (machine->points[i].point != GDB_SOFTWARE) {
            machine->points[kept++] = machine->points[i];
        }
    }
    machine->count = kept;
    machine->passing = -1;
    for (unsigned i = 0; i < machine->vm->vcpu_count; i++) {
        struct kvm_debug_exit_arch exit;
        gdb_arch_end_step(vcpu_at(machine, i));
        (void)vm_take_debug_event(vcpu_at(machine, i), &exit);
        machine->cpus[i].has_stop = machine->cpus[i].step_over = false;
        if (machine->running) {
            (void)prepare(machine, i);
            gdb_arch_end_step(vcpu_at(machine, i)); /* it will have other registers */
        }
    }
}

bool gdb_machine_crash(struct gdb_machine *machine)
{
    struct gdb_stop stop = {.reason = GDB_BY_CRASH};
    if (!machine->attached || machine->crashed) {
        return false;
    }
    machine->crashed = true;
    stand_still(machine);
    if (machine->running) {
        tell(machine, &stop);
    }
    return true;
}

int gdb_machine_init(struct gdb_machine *machine, struct vm *vm, struct error *err)
{
    *machine = (struct gdb_machine){.vm = vm, .passing = -1};
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    machine->source = (struct event_source){.fd = fd, .handler = debug_event, .opaque = machine};
    machine->cpus = calloc(vm->vcpu_count, sizeof(*machine->cpus));
    machine->description = gdb_registers_describe();
    int ret = fd < 0 ? -errno : machine->cpus && machine->description ? 0 : -ENOMEM;
    ret = ret < 0 ? ret : event_loop_add(&vm->loop, &machine->source, EPOLLIN);
    if (ret < 0) {
        gdb_machine_destroy(machine);
        return error_set(err, ret, "--gdb: %s", strerror(-ret));
    }
    vm->debug_fd = fd; /* vCPUs have not run yet */
    return 0;
}

void gdb_machine_destroy(struct gdb_machine *machine)
{
    if (machine->source.fd >= 0) {
        event_loop_remove(&machine->vm->loop, &machine->source);
        pthread_mutex_lock(&machine->vm->lock);
        machine->vm->debug_fd = -1;
        pthread_mutex_unlock(&machine->vm->lock);
        close(machine->source.fd);
    }
    free(machine->cpus);
    free(machine->description);
}

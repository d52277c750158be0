/* SPDX-License-Identifier: MIT */
/* See vmm/vm.h. */
#include "vmm/vm.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vmm/arch.h"
#include "vmm/trace.h"
#include "vmm/vcpu.h"

enum { KVM_API = 12 }; /* the stable version; has not changed since 2007 */

static const struct arch_capability required_capabilities[] = {
    {KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY"},
    {KVM_CAP_IRQFD, "KVM_CAP_IRQFD"},
    {KVM_CAP_IRQ_ROUTING, "KVM_CAP_IRQ_ROUTING"},
    {KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT"},
    {0, NULL},
};

/* ---- set-up */

static int open_kvm(struct vm *vm, struct error *err)
{
    vm->kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (vm->kvm_fd < 0) {
        int code = -errno;
        const char *hint = code == -EACCES   ? " (is this user in the group kvm?)"
                           : code == -ENOENT ? " (no KVM on this machine; tools/nested brings one)"
                                             : "";
        return error_set(err, code, "/dev/kvm: %s%s", strerror(-code), hint);
    }
    int version = ioctl(vm->kvm_fd, KVM_GET_API_VERSION, 0);
    if (version != KVM_API) {
        return error_set(err, -ENOTSUP, "/dev/kvm: API version %d, minivmm needs %d", version,
                         KVM_API);
    }
    return 0;
}

static int check_capabilities(const struct vm *vm, const struct arch_capability *table,
                              struct error *err)
{
    for (; table->name; table++) {
        if (ioctl(vm->kvm_fd, KVM_CHECK_EXTENSION, table->capability) <= 0) {
            return error_set(err, -ENOTSUP, "/dev/kvm: this kernel's KVM lacks %s", table->name);
        }
    }
    return 0;
}

static int create_vm(struct vm *vm, uint64_t ram, struct error *err)
{
    do {
        vm->fd = ioctl(vm->kvm_fd, KVM_CREATE_VM, arch_vm_type(vm->kvm_fd, ram));
    } while (vm->fd < 0 && errno == EINTR);
    if (vm->fd < 0) {
        int code = -errno;
        return error_set(err, code, "/dev/kvm: cannot create a VM: %s", strerror(-code));
    }
    int size = ioctl(vm->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (size < (int)sizeof(struct kvm_run)) {
        return error_set(err, -ENOTSUP, "/dev/kvm: KVM_GET_VCPU_MMAP_SIZE gave %d", size);
    }
    vm->run_size = (size_t)size;
    return 0;
}

/* ---- doorbells: writes that KVM turns into events */

static int set_ioeventfd(const struct vm *vm, const struct bus_doorbell *doorbell, uint32_t flags)
{
    struct kvm_ioeventfd request = {
        .addr = doorbell->address,
        .len = doorbell->size,
        .fd = doorbell->event_fd,
        .datamatch = doorbell->value,
        .flags = flags | (doorbell->has_value ? KVM_IOEVENTFD_FLAG_DATAMATCH : 0),
    };
    return ioctl(vm->fd, KVM_IOEVENTFD, &request) < 0 ? -errno : 0;
}

static int arm_mmio(void *vm, const struct bus_doorbell *doorbell)
{
    return set_ioeventfd(vm, doorbell, 0);
}

static void disarm_mmio(void *vm, const struct bus_doorbell *doorbell)
{
    (void)set_ioeventfd(vm, doorbell, KVM_IOEVENTFD_FLAG_DEASSIGN);
}

static int arm_pio(void *vm, const struct bus_doorbell *doorbell)
{
    return set_ioeventfd(vm, doorbell, KVM_IOEVENTFD_FLAG_PIO);
}

static void disarm_pio(void *vm, const struct bus_doorbell *doorbell)
{
    (void)set_ioeventfd(vm, doorbell, KVM_IOEVENTFD_FLAG_PIO | KVM_IOEVENTFD_FLAG_DEASSIGN);
}

static const struct bus_doorbell_ops mmio_doorbells = {arm_mmio, disarm_mmio};
static const struct bus_doorbell_ops pio_doorbells = {arm_pio, disarm_pio};

static int init_buses(struct vm *vm, struct error *err)
{
    int ret = bus_init(&vm->mmio, "mmio", UINT64_MAX);
    if (ret == 0) {
        ret = bus_init(&vm->pio, "pio", 0xffff);
    }
    if (vm_check_extension(vm, KVM_CAP_IOEVENTFD) > 0) {
        vm->mmio.doorbell_ops = &mmio_doorbells;
        vm->pio.doorbell_ops = &pio_doorbells;
        vm->mmio.doorbell_opaque = vm->pio.doorbell_opaque = vm;
    }
    return ret < 0 ? error_set(err, ret, "no memory for the buses") : 0;
}

int vm_init_without_kvm(struct vm *vm, struct error *err)
{
    *vm = (struct vm){.kvm_fd = -1, .fd = -1, .debug_fd = -1};
    pthread_mutex_init(&vm->lock, NULL);
    pthread_cond_init(&vm->changed, NULL);
    kvm_irq_init_without_kvm(&vm->irq);
    int ret = event_loop_init(&vm->loop, err);
    return ret < 0 ? ret : init_buses(vm, err);
}

int vm_init(struct vm *vm, uint64_t ram, struct error *err)
{
    *vm = (struct vm){.kvm_fd = -1, .fd = -1, .debug_fd = -1};
    pthread_mutex_init(&vm->lock, NULL);
    pthread_cond_init(&vm->changed, NULL);
    int ret = event_loop_init(&vm->loop, err);
    if (ret == 0) {
        ret = open_kvm(vm, err);
    }
    if (ret == 0) {
        ret = check_capabilities(vm, required_capabilities, err);
    }
    if (ret == 0) {
        ret = check_capabilities(vm, arch_required_capabilities, err);
    }
    if (ret == 0) {
        ret = create_vm(vm, ram, err);
    }
    return ret < 0 ? ret : init_buses(vm, err);
}

void vm_destroy(struct vm *vm)
{
    kvm_irq_destroy(&vm->irq);
    bus_destroy(&vm->pio);
    bus_destroy(&vm->mmio);
    if (vm->fd >= 0) {
        close(vm->fd);
    }
    if (vm->kvm_fd >= 0) {
        close(vm->kvm_fd);
    }
    guest_memory_destroy(&vm->memory); /* after KVM has let go of it */
    event_loop_destroy(&vm->loop);
    pthread_cond_destroy(&vm->changed);
    pthread_mutex_destroy(&vm->lock);
}

int vm_add_ram(struct vm *vm, gpa_t base, uint64_t size, bool hugetlb, struct error *err)
{
    int ret = guest_memory_add(&vm->memory, base, size, hugetlb, err);
    if (ret < 0 || !vm_can_run(vm)) {
        return ret;
    }
    unsigned slot = vm->memory.count - 1;
    struct kvm_userspace_memory_region region = {
        .slot = slot,
        .guest_phys_addr = base.raw,
        .memory_size = size,
        .userspace_addr = (uintptr_t)vm->memory.blocks[slot].host,
    };
    if (ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region) < 0) {
        ret = -errno;
        return error_set(err, ret, "--memory: KVM refuses %llu MiB of RAM at 0x%llx: %s",
                         region.memory_size >> 20, region.guest_phys_addr, strerror(-ret));
    }
    return 0;
}

int vm_check_extension(const struct vm *vm, int capability)
{
    int value = ioctl(vm->fd, KVM_CHECK_EXTENSION, capability);
    return value < 0 ? 0 : value;
}

/* ---- vCPUs */

int vm_create_vcpus(struct vm *vm, unsigned count, struct error *err)
{
    int most = vm_check_extension(vm, KVM_CAP_MAX_VCPUS);
    if (most > 0 && count > (unsigned)most) {
        return error_set(err, -EINVAL, "--smp %u: this host's KVM allows at most %d vCPUs", count,
                         most);
    }
    int ret = vcpu_install_kick_signal(err);
    if (ret < 0) {
        return ret;
    }
    vm->vcpus = calloc(count, sizeof(struct vcpu *));
    if (!vm->vcpus) {
        return error_set(err, -ENOMEM, "--smp %u: no memory", count);
    }
    for (unsigned i = 0; i < count; i++) {
        ret = vcpu_create(vm, i, &vm->vcpus[i], err);
        if (ret < 0) {
            return ret;
        }
        vm->vcpu_count = i + 1;
    }
    return 0;
}

void vm_resume(struct vm *vm)
{
    pthread_mutex_lock(&vm->lock);
    vm->running = vm->holders == 0;
    pthread_cond_broadcast(&vm->changed);
    pthread_mutex_unlock(&vm->lock);
}

/* From now on vCPUs that leave the guest park; make them leave. */
static void stop_running(struct vm *vm)
{
    pthread_mutex_lock(&vm->lock);
    vm->running = false;
    pthread_mutex_unlock(&vm->lock);
    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        vcpu_kick(vm->vcpus[i]);
    }
}

void vm_pause(struct vm *vm)
{
    stop_running(vm);
    pthread_mutex_lock(&vm->lock);
    while (vm->parked < vm->vcpu_count) {
        pthread_cond_wait(&vm->changed, &vm->lock);
    }
    pthread_mutex_unlock(&vm->lock);
}

void vm_hold(struct vm *vm, enum vm_holder holder)
{
    pthread_mutex_lock(&vm->lock);
    vm->holders |= holder;
    pthread_mutex_unlock(&vm->lock);
    vm_pause(vm);
}

void vm_release(struct vm *vm, enum vm_holder holder)
{
    pthread_mutex_lock(&vm->lock);
    vm->holders &= ~(unsigned)holder;
    /* Who asks for something records that first and stops the vCPUs, under this lock, then. */
    if (vm->holders == 0 && atomic_load(&vm->request) == VM_REQUEST_NONE) {
        vm->running = true;
        pthread_cond_broadcast(&vm->changed);
    }
    pthread_mutex_unlock(&vm->lock);
}

/* ---- debugging */

void vm_set_vcpu_debug(struct vcpu *vcpu, bool frozen, bool stepping)
{
    pthread_mutex_lock(&vcpu->vm->lock);
    vcpu->frozen = frozen;
    bool changes = vcpu->stepping != stepping;
    vcpu->stepping = stepping;
    pthread_mutex_unlock(&vcpu->vm->lock);
    if (changes) {
        trace_watch(TRACE_ID_vcpu_exit, stepping); /* where vm_debug_access() is called */
    }
}

/* Something for the main thread to look at. False: nobody debugs. */
static bool post_debug_event(struct vcpu *vcpu, enum vm_debug_event event)
{
    struct vm *vm = vcpu->vm;
    uint64_t one = 1;
    pthread_mutex_lock(&vm->lock);
    int fd = vm->debug_fd;
    if (fd >= 0) {
        vcpu->debug = vcpu->run->debug.arch;
        vcpu->debug_event = event;
    }
    pthread_mutex_unlock(&vm->lock);
    if (fd < 0) {
        return false;
    }
    stop_running(vm);
    (void)!write(fd, &one, sizeof(one)); /* its counter cannot be full */
    return true;
}

bool vm_debug_exit(struct vcpu *vcpu)
{
    return post_debug_event(vcpu, VM_DEBUG_EXIT);
}

void vm_debug_access(struct vcpu *vcpu)
{
    (void)post_debug_event(vcpu, VM_DEBUG_ACCESS);
}

enum vm_debug_event vm_take_debug_event(struct vcpu *vcpu, struct kvm_debug_exit_arch *exit)
{
    pthread_mutex_lock(&vcpu->vm->lock);
    enum vm_debug_event event = vcpu->debug_event;
    *exit = vcpu->debug;
    vcpu->debug_event = VM_DEBUG_NONE;
    pthread_mutex_unlock(&vcpu->vm->lock);
    return event;
}

void vm_stop_vcpus(struct vm *vm)
{
    vm_pause(vm); /* a vCPU that still handled an exit could kick another, which may be gone */
    pthread_mutex_lock(&vm->lock);
    vm->shutting_down = true;
    pthread_cond_broadcast(&vm->changed);
    pthread_mutex_unlock(&vm->lock);
    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        vcpu_destroy(vm->vcpus[i]);
    }
    free(vm->vcpus);
    vm->vcpus = NULL;
    vm->vcpu_count = 0;
}

/* ---- requests */

static const char *const request_names[] = {
    [VM_REQUEST_NONE] = "none",   [VM_REQUEST_RESET] = "reset", [VM_REQUEST_POWEROFF] = "poweroff",
    [VM_REQUEST_CRASH] = "crash", [VM_REQUEST_QUIT] = "quit",
};

void vm_request(struct vm *vm, enum vm_request request)
{
    trace_vm_request(request_names[request]);
    unsigned now = atomic_load(&vm->request);
    while (now < (unsigned)request && !atomic_compare_exchange_weak(&vm->request, &now, request)) {
        /* `now` was updated: somebody else asked at the same time; the stronger wish stays */
    }
    stop_running(vm);
    event_loop_stop(&vm->loop);
}

void vm_report(const char *format, ...)
{
    char line[1024];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof(line) - 1, format, arguments);
    va_end(arguments);
    if (length < 0) {
        return;
    }
    size_t used = (size_t)length < sizeof(line) - 1 ? (size_t)length : sizeof(line) - 2;
    line[used] = '\n';
    if (write(STDERR_FILENO, line, used + 1) < 0) {
        return; /* nowhere to say that nothing can be said */
    }
}

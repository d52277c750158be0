/* SPDX-License-Identifier: MIT */
/*
 * minivmm: from the command line to an exit status.
 *
 * The main thread builds the machine, lets the vCPUs run, and serves the event loop until something
 * is asked of it: a reset, power-off, a crash, the person's wish to quit. See docs/architecture.md.
 */
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "devices/device_table.h"
#include "vmm/control.h"
#include "vmm/dump_machine.h"
#include "vmm/exit_stats.h"
#include "vmm/gdb_server.h"
#include "vmm/inspect.h"
#include "vmm/machine.h"
#include "vmm/monitor_console.h"
#include "vmm/monitor_server.h"
#include "vmm/qmp.h"
#include "vmm/trace.h"
#include "vmm/vcpu.h"

/* What the shell sees; documented in README.md. A signal that ends minivmm is passed on as such. */
enum exit_status { STATUS_POWEROFF = 0, STATUS_ERROR = 1, STATUS_CRASH = 3 };

/* ---- signals */

/* Signals that end minivmm in an orderly way: they arrive as a file descriptor of the event loop.
 */
static void ending_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGHUP);
    sigaddset(set, SIGQUIT);
}

struct signal_watch {
    struct event_source source;
    struct vm *vm;
};

static void signal_arrived(void *opaque, uint32_t events)
{
    struct signal_watch *watch = opaque;
    struct signalfd_siginfo info;
    (void)events;
    if (read(watch->source.fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        atomic_store(&watch->vm->request_signal, (int)info.ssi_signo);
        vm_request(watch->vm, VM_REQUEST_QUIT);
    }
}

/* Before any thread is created, so that all inherit the mask. */
static int watch_signals(struct signal_watch *watch, struct vm *vm, struct error *err)
{
    sigset_t set;
    ending_signals(&set);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN); /* a closed stdout is not the guest's fault */
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0) {
        return error_set(err, -errno, "signalfd: %s", strerror(errno));
    }
    *watch = (struct signal_watch){.source = {.fd = fd, .handler = signal_arrived, .opaque = watch},
                                   .vm = vm};
    int ret = event_loop_add(&vm->loop, &watch->source, EPOLLIN);
    return ret < 0 ? error_set(err, ret, "signalfd: %s", strerror(-ret)) : 0;
}

/* End as the signal would have ended us, so that a shell or a supervisor can tell. */
static void die_of(int signal_number)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal_number);
    signal(signal_number, SIG_DFL);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    raise(signal_number);
}

/* ---- the machine */

/*
 * One a process, and zeroed, so that machine_destroy() knows what was built. Everybody is handed a
 * pointer; the name is for debuggers (tools/gdb), which begin here.
 */
static struct machine the_machine;

static int set_machine_properties(struct machine *machine, struct error *err)
{
    const struct device_option *option = &machine->options->machine;
    struct machine_properties *properties = &machine->arch.properties;
    property_set_defaults(machine_properties, properties);
    for (size_t i = 0; i < option->count; i++) {
        const struct property_value *value = &option->values[i];
        const struct property *property = property_find(machine_properties, value->key);
        if (!property) {
            return error_set(err, -ENOENT,
                             "--machine %s: this machine has no such property (--machine help "
                             "lists them)",
                             value->key);
        }
        int ret = property_set(property, properties, value->value, "--machine", err);
        if (ret < 0) {
            return ret;
        }
    }
    return 0;
}

static int plug_devices(struct machine *machine, struct error *err)
{
    const struct options *options = machine->options;
    for (size_t i = 0; i < options->device_count; i++) {
        const struct device_option *option = &options->devices[i];
        char context[256];
        snprintf(context, sizeof(context), "--device %s", option->text);
        int ret = machine_create_device(machine, option, context, err);
        if (ret < 0) {
            return ret;
        }
    }
    return 0;
}

/* The machine as after power-on, vCPUs parked at the kernel's entry. */
static int power_on(struct machine *machine, struct error *err)
{
    pci_host_reset(&machine->pci);
    return machine_reset(machine, err);
}

/* ---- who looks at it from outside */

struct servers {
    struct control control;
    struct gdb_server *gdb;
    struct monitor_server *monitor;
    struct monitor_console *console;
    struct qmp_server *qmp;
};

static int open_servers(struct servers *servers, struct machine *machine, struct error *err)
{
    const struct options *options = machine->options;
    bool gdb_starts = options->stopped && options->gdb;
    int ret = 0;
    *servers = (struct servers){.gdb = NULL};
    control_init(&servers->control, machine);
    if (options->stopped && !gdb_starts) {
        vm_hold(&machine->vm, VM_HOLDER_MONITOR);
    }
    if (options->gdb) {
        ret = gdb_server_start(&servers->gdb, &machine->vm, options->gdb, gdb_starts, err);
    }
    if (ret == 0 && options->monitor) {
        ret = monitor_server_start(&servers->monitor, &servers->control, options->monitor, err);
    }
    if (ret == 0 && options->qmp) {
        ret = qmp_server_start(&servers->qmp, &servers->control, options->qmp, err);
    }
    if (ret == 0) {
        ret = monitor_console_start(&servers->console, &servers->control, &machine->console, err);
    }
    return ret;
}

/* ---- its life */

static void tell_of_reset(struct control *control)
{
    bool asked = control->reset_asked;
    control->reset_asked = false;
    control_tell(control, &(struct control_event){.kind = CONTROL_RESET,
                                                  .guest = !asked,
                                                  .reason = asked ? "host-qmp-system-reset"
                                                                  : "guest-reset"});
}

/*
 * Run until the machine ends. Returns the request that ended it: power-off, crash or quit, or an
 * error if a reset failed (the kernel file became unreadable).
 */
static int run(struct machine *machine, struct servers *servers, struct error *err)
{
    struct vm *vm = &machine->vm;
    for (;;) {
        vm_resume(vm);
        while (atomic_load(&vm->request) == VM_REQUEST_NONE) {
            event_loop_run(&vm->loop);
        }
        vm_pause(vm);
        enum vm_request request = atomic_exchange(&vm->request, VM_REQUEST_NONE);
        if (request == VM_REQUEST_CRASH && gdb_server_crash(servers->gdb)) {
            continue; /* gdb holds the machine */
        }
        if (request != VM_REQUEST_RESET) {
            return (int)request;
        }
        if (machine->options->no_reboot) {
            servers->control.no_reboot = true;
            return VM_REQUEST_POWEROFF;
        }
        gdb_server_reset(servers->gdb);
        tell_of_reset(&servers->control);
        int ret = power_on(machine, err);
        if (ret < 0) {
            return ret;
        }
    }
}

/* The status that the shell sees, but for signals. */
static int status_of(int ended_by)
{
    return ended_by < 0                   ? STATUS_ERROR
           : ended_by == VM_REQUEST_CRASH ? STATUS_CRASH
                                          : STATUS_POWEROFF;
}

/* Why minivmm ends, in QAPI's words. */
static void tell_of_the_end(struct control *control, int ended_by)
{
    const struct machine *machine = control->machine;
    struct control_event event = {.kind = CONTROL_SHUTDOWN, .guest = true};
    if (ended_by == VM_REQUEST_CRASH) {
        control_tell(control, &(struct control_event){.kind = CONTROL_GUEST_PANICKED});
        event.reason = "guest-panic";
    } else if (ended_by == VM_REQUEST_POWEROFF) {
        event.reason = control->no_reboot ? "guest-reset" : "guest-shutdown";
    } else {
        event.guest = false;
        event.reason = atomic_load(&machine->vm.request_signal) ? "host-signal"
                       : control->quit_reason                   ? control->quit_reason
                       : ended_by < 0                           ? "host-error"
                                                                : "host-ui";
    }
    control_tell(control, &event);
}

static int run_served(struct machine *machine, struct error *err)
{
    struct servers servers;
    int ended_by = open_servers(&servers, machine, err);
    if (ended_by == 0) {
        ended_by = run(machine, &servers, err);
    }
    gdb_server_finish(servers.gdb, status_of(ended_by), atomic_load(&machine->vm.request_signal));
    tell_of_the_end(&servers.control, ended_by);
    monitor_server_finish(servers.monitor);
    qmp_server_finish(servers.qmp);
    monitor_console_finish(servers.console);
    return ended_by;
}

static void note_range(void *opaque, const struct inspect_range *range)
{
    (void)opaque;
    trace_note_region(range->name);
}

/* No error: a device of that name may be plugged in later. */
static void warn_of_unknown_devices(struct machine *machine)
{
    const char *device;
    inspect_ranges(machine, note_range, NULL);
    while ((device = trace_next_unknown_device()) != NULL) {
        fprintf(stderr, "minivmm: --trace: no device is called '%s' yet\n", device);
    }
}

/* The machine and what the command line plugs into it. */
static int assemble(struct machine *machine, struct error *err)
{
    int ret = machine_build(machine, err);
    if (ret == 0) {
        ret = plug_devices(machine, err);
    }
    if (ret == 0 && machine->options->trace) {
        warn_of_unknown_devices(machine);
    }
    return ret;
}

static int run_machine(struct machine *machine, struct error *err)
{
    struct signal_watch signals;
    int ret = vm_init(&machine->vm, machine->options->memory, err);
    if (ret == 0) {
        ret = watch_signals(&signals, &machine->vm, err);
    }
    if (ret == 0) {
        ret = assemble(machine, err);
    }
    if (ret == 0) {
        ret = power_on(machine, err);
    }
    if (ret == 0 && machine->options->dump_dtb) {
        return VM_REQUEST_POWEROFF; /* it has been written */
    }
    return ret < 0 ? ret : run_served(machine, err);
}

/* Build the machine without KVM, draw it, and end. */
static int draw_machine(struct machine *machine, struct error *err)
{
    enum dump_form form;
    int ret = dump_machine_form(machine->options->dump_machine, &form, err);
    if (ret == 0) {
        ret = vm_init_without_kvm(&machine->vm, err);
    }
    if (ret == 0) {
        ret = assemble(machine, err);
    }
    return ret < 0 ? ret : dump_machine(machine, machine->options->dump_machine, form, err);
}

static int main_draw(const struct options *options)
{
    struct machine *machine = &the_machine;
    struct error err = {""};
    machine->options = options;
    int ret = set_machine_properties(machine, &err);
    if (ret == 0) {
        machine->vm.fd = machine->vm.kvm_fd = -1;
        ret = draw_machine(machine, &err);
        machine_destroy(machine);
        vm_destroy(&machine->vm);
        trace_finish();
    }
    if (ret < 0) {
        fprintf(stderr, "minivmm: %s\n", err.text);
    }
    return ret < 0 ? STATUS_ERROR : STATUS_POWEROFF;
}

static int main_run(const struct options *options)
{
    struct machine *machine = &the_machine;
    struct error err = {""};
    machine->options = options;
    if (options->stats) {
        exit_stats_start();
    }
    if (set_machine_properties(machine, &err) < 0) {
        fprintf(stderr, "minivmm: %s\n", err.text);
        return STATUS_ERROR; /* nothing is there yet that could be destroyed */
    }
    int ended_by = run_machine(machine, &err);
    int signal_number = atomic_load(&machine->vm.request_signal);
    vm_stop_vcpus(&machine->vm);
    exit_stats_finish();
    machine_destroy(machine);
    vm_destroy(&machine->vm);
    trace_finish();
    if (ended_by < 0) {
        fprintf(stderr, "minivmm: %s\n", err.text);
        return STATUS_ERROR;
    }
    if (ended_by == VM_REQUEST_QUIT && signal_number != 0) {
        die_of(signal_number);
    }
    return status_of(ended_by);
}

/* ---- the command line */

static int main_device_help(const char *name, struct error *err)
{
    if (!name) {
        device_table_print(stdout);
        return 0;
    }
    const struct pci_device_type *type = device_table_find(name);
    if (!type) {
        return error_set(err, -ENOENT, "--device %s: no such device (--device help lists them)",
                         name);
    }
    device_type_print_help(type, stdout);
    return 0;
}

static int main_machine_help(void)
{
    if (machine_properties->name) {
        property_print_help(machine_properties, stdout);
    } else {
        printf("This machine has no properties.\n");
    }
    return 0;
}

static int start_tracing(const struct options *options, struct error *err)
{
    trace_set_format(options->trace_json ? TRACE_JSON : TRACE_TEXT);
    int ret = options->trace_file ? trace_set_file(options->trace_file, err) : 0;
    if (ret == 0 && options->trace) {
        ret = trace_enable(options->trace, true, err);
    }
    return ret;
}

static int act(const struct options *options, struct error *err)
{
    switch (options->action) {
    case OPTIONS_HELP:
        options_print_help(stdout);
        return 0;
    case OPTIONS_VERSION:
        printf("minivmm %s\n", MINIVMM_VERSION);
        return 0;
    case OPTIONS_MACHINE_HELP:
        return main_machine_help();
    case OPTIONS_TRACE_HELP:
        trace_list(stdout);
        trace_print_syntax(stdout);
        return 0;
    case OPTIONS_DEVICE_HELP:
        return main_device_help(options->help_device, err);
    case OPTIONS_RUN:
        break;
    }
    int ret = start_tracing(options, err);
    if (ret < 0) {
        return ret;
    }
    return options->dump_machine ? main_draw(options) : main_run(options);
}

int main(int argc, char **argv)
{
    struct options options;
    struct error err = {""};
    console_reserve_descriptors();
    mallopt(M_ARENA_MAX, 1); /* a heap a thread would cost each vCPU a mapping, and is not needed */
    trace_name_thread("main");
    int status = options_parse(&options, argc, argv, &err);
    if (status == 0) {
        status = act(&options, &err);
    }
    if (status < 0) {
        fprintf(stderr, "minivmm: %s\n", err.text);
        status = STATUS_ERROR;
    }
    options_destroy(&options);
    return status;
}

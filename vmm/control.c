/* SPDX-License-Identifier: MIT */
/* See vmm/control.h. */
#include "vmm/control.h"

#include <errno.h>

static unsigned holders(const struct control *control)
{
    struct vm *vm = &control->machine->vm;
    pthread_mutex_lock(&vm->lock);
    unsigned now = vm->holders;
    pthread_mutex_unlock(&vm->lock);
    return now;
}

static void device_deleted(void *opaque, const char *id)
{
    control_tell(opaque, &(struct control_event){.kind = CONTROL_DEVICE_DELETED, .id = id});
}

void control_init(struct control *control, struct machine *machine)
{
    *control = (struct control){.machine = machine};
    machine->device_deleted = device_deleted;
    machine->device_deleted_opaque = control;
}

void control_watch(struct control *control, struct control_watcher *watcher)
{
    watcher->next = control->watchers;
    control->watchers = watcher;
}

void control_tell(struct control *control, const struct control_event *event)
{
    for (struct control_watcher *watcher = control->watchers; watcher; watcher = watcher->next) {
        watcher->happened(watcher->opaque, event);
    }
}

void control_stop(struct control *control)
{
    if (!(holders(control) & VM_HOLDER_MONITOR)) {
        vm_hold(&control->machine->vm, VM_HOLDER_MONITOR);
        control_tell(control, &(struct control_event){.kind = CONTROL_STOP});
    }
}

int control_cont(struct control *control, struct error *err)
{
    if (holders(control) & VM_HOLDER_MONITOR) {
        vm_release(&control->machine->vm, VM_HOLDER_MONITOR);
        control_tell(control, &(struct control_event){.kind = CONTROL_RESUME});
    }
    if (holders(control) & VM_HOLDER_GDB) {
        return error_set(err, -EBUSY, "gdb holds the machine: it goes on when gdb lets it");
    }
    return 0;
}

const char *control_status(const struct control *control)
{
    unsigned now = holders(control);
    return now & VM_HOLDER_MONITOR ? "paused" : now & VM_HOLDER_GDB ? "debug" : "running";
}

void control_reset(struct control *control)
{
    control->reset_asked = true;
    vm_request(&control->machine->vm, VM_REQUEST_RESET);
}

void control_quit(struct control *control, const char *reason)
{
    control->quit_reason = reason;
    vm_request(&control->machine->vm, VM_REQUEST_QUIT);
}

int control_powerdown(struct control *control, struct error *err)
{
    int ret = machine_powerdown(control->machine, err);
    if (ret == 0) {
        control_tell(control, &(struct control_event){.kind = CONTROL_POWERDOWN});
    }
    return ret;
}

int control_device_add(struct control *control, const char *spec, struct error *err)
{
    return machine_device_add(control->machine, spec, err);
}

int control_device_del(struct control *control, const char *id, struct error *err)
{
    return machine_device_del(control->machine, id, err);
}

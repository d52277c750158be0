/* SPDX-License-Identifier: MIT */
/*
 * What a person, or a program in a person's place, does with the machine from outside, whichever
 * way it is asked for: the monitor (vmm/monitor.h) and QMP (vmm/qmp.h) call these. And who wants to
 * hear what has become of the machine hears it from here. Main thread.
 */
#ifndef VMM_CONTROL_H
#define VMM_CONTROL_H

#include <stdbool.h>

#include "vmm/error.h"
#include "vmm/machine.h"

enum control_event_kind {
    CONTROL_STOP,           /* vCPUs do not run any more */
    CONTROL_RESUME,         /* and run again */
    CONTROL_RESET,          /* `guest`, `reason` */
    CONTROL_SHUTDOWN,       /* minivmm ends: `guest`, `reason` */
    CONTROL_POWERDOWN,      /* the guest was asked to switch off */
    CONTROL_DEVICE_DELETED, /* `id` */
    CONTROL_GUEST_PANICKED,
};

struct control_event {
    enum control_event_kind kind;
    bool guest;         /* the guest asked for it, not the person */
    const char *reason; /* QAPI's ShutdownCause: "guest-reset" */
    const char *id;
};

/* Somebody who wants to hear. In a list that it stays in as long as the control is used. */
struct control_watcher {
    void (*happened)(void *opaque, const struct control_event *event);
    void *opaque;
    struct control_watcher *next;
};

struct control {
    struct machine *machine;
    struct control_watcher *watchers;
    const char *quit_reason; /* who asked for the end; NULL: nobody has, from here */
    bool reset_asked;
    bool no_reboot; /* a reset has become the end */
};

void control_init(struct control *control, struct machine *machine);
void control_watch(struct control *control, struct control_watcher *watcher);
void control_tell(struct control *control, const struct control_event *event);

/* Stop the vCPUs. Nothing happens if the person has stopped them already. */
void control_stop(struct control *control);

/* Let them go on. -EBUSY: a gdb still holds the machine, and it runs when that lets it. */
int control_cont(struct control *control, struct error *err);

/* "running", "paused" (by the person), or "debug" (by gdb): QAPI's RunState. */
const char *control_status(const struct control *control);

/* As soon as the event loop goes on. */
void control_reset(struct control *control);
void control_quit(struct control *control, const char *reason);

/* As machine_device_add() and machine_device_del(). */
int control_device_add(struct control *control, const char *spec, struct error *err);
int control_device_del(struct control *control, const char *id, struct error *err);

/* Press the machine's power button; what comes of it is up to the guest. */
int control_powerdown(struct control *control, struct error *err);

#endif

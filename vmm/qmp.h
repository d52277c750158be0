/* SPDX-License-Identifier: MIT */
/*
 * --qmp: the QEMU Machine Protocol, for programs. JSON objects go both ways: a greeting, commands
 * and what they return, events. docs/interop/qmp-spec of QEMU says how; vmm/qmp_commands.c what
 * there is. One client at a time. Main thread.
 */
#ifndef VMM_QMP_H
#define VMM_QMP_H

#include <jansson.h>

#include "vmm/control.h"

struct qmp_server;

/* Listen. Errors name --qmp, the address and the reason. */
int qmp_server_start(struct qmp_server **server, struct control *control, const char *address,
                     struct error *err);

/* Close and free everything; nothing if there is no server (NULL). */
void qmp_server_finish(struct qmp_server *server);

/* ---- commands */

/* A command that is being carried out. */
struct qmp_call {
    struct control *control;
    json_t *arguments; /* an object; borrowed */
    const char *error_class;
    struct error err; /* what went wrong */
};

/*
 * Carry out a command. Returns what it returns, to be released; NULL: it failed, and the call says
 * why.
 */
json_t *qmp_execute(struct qmp_call *call, const char *command);

/* Set the call's error. Returns NULL. */
__attribute__((format(printf, 3, 4))) json_t *
qmp_fail(struct qmp_call *call, const char *error_class, const char *format, ...);

#define QMP_GENERIC_ERROR     "GenericError"
#define QMP_COMMAND_NOT_FOUND "CommandNotFound"
#define QMP_DEVICE_NOT_FOUND  "DeviceNotFound"

/* {"qemu": {"major", "minor", "micro"}, "package"}: whose version that is, the package says. */
json_t *qmp_version(void);

/* A string of any bytes: what is not UTF-8 is replaced. */
json_t *qmp_string(const char *text);

/* The event as the protocol has it, without its timestamp. */
json_t *qmp_event(const struct control_event *event);

#endif

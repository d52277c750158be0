/* SPDX-License-Identifier: MIT */
/*
 * QMP's commands and events. Names, arguments and what is returned are those of QEMU's QAPI schema
 * (qapi/ in its source); a new command is a function and a line of the table.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/monitor.h"
#include "vmm/qmp.h"
#include "vmm/qmp_pci.h"
#include "vmm/vcpu.h"

struct qmp_command {
    const char *name;
    json_t *(*run)(struct qmp_call *call);
    const char *arguments[3]; /* those that it knows; ANY: all */
};
#define ANY "*"

/* ---- values */

json_t *qmp_string(const char *text)
{
    json_t *string = json_string(text);
    if (string != NULL) {
        return string;
    }
    char *copy = strdup(text);
    for (char *c = copy; c != NULL && *c != '\0'; c++) {
        *c = (unsigned char)*c < 0x80 ? *c : '?';
    }
    string = json_string(copy != NULL ? copy : "");
    free(copy);
    return string;
}

json_t *qmp_version(void)
{
    json_int_t number[3] = {0};
    const char *at = MINIVMM_VERSION;
    for (unsigned i = 0; i < 3 && *at != '\0'; i++) {
        char *end;
        number[i] = strtol(at, &end, 10);
        at = *end != '\0' ? end + 1 : end;
    }
    return json_pack("{s:{s:I,s:I,s:I},s:s}", "qemu", "major", number[0], "minor", number[1],
                     "micro", number[2], "package", "minivmm " MINIVMM_VERSION);
}

/* ---- events */

static const char *const event_names[] = {
    [CONTROL_STOP] = "STOP",
    [CONTROL_RESUME] = "RESUME",
    [CONTROL_RESET] = "RESET",
    [CONTROL_SHUTDOWN] = "SHUTDOWN",
    [CONTROL_POWERDOWN] = "POWERDOWN",
    [CONTROL_DEVICE_DELETED] = "DEVICE_DELETED",
    [CONTROL_GUEST_PANICKED] = "GUEST_PANICKED",
};
enum { EVENT_COUNT = sizeof(event_names) / sizeof(event_names[0]) };

static json_t *device_data(const char *id)
{
    char path[128];
    snprintf(path, sizeof(path), "/machine/peripheral/%s", id);
    return json_pack("{s:o,s:o}", "device", qmp_string(id), "path", qmp_string(path));
}

json_t *qmp_event(const struct control_event *event)
{
    json_t *data = NULL;
    switch (event->kind) {
    case CONTROL_RESET:
    case CONTROL_SHUTDOWN:
        data = json_pack("{s:b,s:s}", "guest", event->guest, "reason", event->reason);
        break;
    case CONTROL_DEVICE_DELETED:
        data = device_data(event->id);
        break;
    case CONTROL_GUEST_PANICKED:
        data = json_pack("{s:s}", "action", "poweroff");
        break;
    case CONTROL_STOP:
    case CONTROL_RESUME:
    case CONTROL_POWERDOWN:
        break;
    }
    return json_pack("{s:s,s:o*}", "event", event_names[event->kind], "data", data);
}

static json_t *run_query_events(struct qmp_call *call)
{
    json_t *list = json_array();
    (void)call;
    for (unsigned i = 0; i < EVENT_COUNT; i++) {
        json_array_append_new(list, json_pack("{s:s}", "name", event_names[i]));
    }
    return list;
}

/* ---- queries */

static json_t *run_query_version(struct qmp_call *call)
{
    (void)call;
    return qmp_version();
}

static json_t *run_query_status(struct qmp_call *call)
{
    const char *status = control_status(call->control);
    return json_pack("{s:b,s:b,s:s}", "running", strcmp(status, "running") == 0, "singlestep", 0,
                     "status", status);
}

/* A machine of minivmm's has no name. */
static json_t *run_query_name(struct qmp_call *call)
{
    (void)call;
    return json_object();
}

static json_t *run_query_kvm(struct qmp_call *call)
{
    bool enabled = vm_can_run(&call->control->machine->vm);
    return json_pack("{s:b,s:b}", "enabled", enabled, "present", enabled);
}

/* Architectures have other names there. */
static const char *target_name(void)
{
    return strcmp(machine_architecture, "arm64") == 0 ? "aarch64" : "x86_64";
}

static json_t *run_query_cpus_fast(struct qmp_call *call)
{
    const struct vm *vm = &call->control->machine->vm;
    json_t *list = json_array();
    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        char path[64];
        snprintf(path, sizeof(path), "/machine/unattached/device[%u]", i);
        json_array_append_new(
            list, json_pack("{s:i,s:s,s:i,s:s}", "cpu-index", (int)i, "qom-path", path, "thread-id",
                            (int)atomic_load(&vm->vcpus[i]->thread_id), "target", target_name()));
    }
    return list;
}

static json_t *run_query_pci(struct qmp_call *call)
{
    return qmp_query_pci(&call->control->machine->pci);
}

/* ---- what runs */

static json_t *generic_failure(struct qmp_call *call)
{
    call->error_class = QMP_GENERIC_ERROR;
    return NULL;
}

static json_t *run_stop(struct qmp_call *call)
{
    control_stop(call->control);
    return json_object();
}

static json_t *run_cont(struct qmp_call *call)
{
    return control_cont(call->control, &call->err) < 0 ? generic_failure(call) : json_object();
}

static json_t *run_reset(struct qmp_call *call)
{
    control_reset(call->control);
    return json_object();
}

static json_t *run_powerdown(struct qmp_call *call)
{
    int ret = control_powerdown(call->control, &call->err);
    return ret < 0 ? generic_failure(call) : json_object();
}

static json_t *run_quit(struct qmp_call *call)
{
    control_quit(call->control, "host-qmp-quit");
    return json_object();
}

/* ---- devices that come and go */

/* Values of --device are text; a comma in one is written twice. False: it cannot be said so. */
static bool print_value(FILE *out, const json_t *value)
{
    if (json_is_boolean(value)) {
        fputs(json_is_true(value) ? "on" : "off", out);
    } else if (json_is_integer(value)) {
        fprintf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    } else if (json_is_string(value)) {
        for (const char *c = json_string_value(value); *c != '\0'; c++) {
            fprintf(out, *c == ',' ? "%c," : "%c", *c);
        }
    } else {
        return false;
    }
    return true;
}

/* "NAME,key=value..." of {"driver": "NAME", "key": value...}, to be freed; NULL: the call says why.
 */
static char *device_spec(struct qmp_call *call, const char *driver)
{
    char *text = NULL;
    size_t size;
    const char *key;
    json_t *value;
    const char *wrong = NULL;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL) {
        qmp_fail(call, QMP_GENERIC_ERROR, "no memory");
        return NULL;
    }
    fputs(driver, out);
    json_object_foreach(call->arguments, key, value)
    {
        if (strcmp(key, "driver") != 0) {
            fprintf(out, ",%s=", key);
            wrong = strpbrk(key, ",=") != NULL || !print_value(out, value) ? key : wrong;
        }
    }
    if (fclose(out) != 0 || wrong != NULL) {
        free(text);
        qmp_fail(call, QMP_GENERIC_ERROR, "Invalid parameter '%s'", wrong != NULL ? wrong : "");
        return NULL;
    }
    return text;
}

static json_t *run_device_add(struct qmp_call *call)
{
    const char *driver = json_string_value(json_object_get(call->arguments, "driver"));
    if (driver == NULL || strpbrk(driver, ",=") != NULL) {
        return qmp_fail(call, QMP_GENERIC_ERROR, "Parameter 'driver' is missing");
    }
    char *spec = device_spec(call, driver);
    if (spec == NULL) {
        return NULL;
    }
    int ret = control_device_add(call->control, spec, &call->err);
    free(spec);
    return ret < 0 ? generic_failure(call) : json_object();
}

static json_t *run_device_del(struct qmp_call *call)
{
    const char *id = json_string_value(json_object_get(call->arguments, "id"));
    if (id == NULL) {
        return qmp_fail(call, QMP_GENERIC_ERROR, "Parameter 'id' is missing");
    }
    if (pci_host_find_id(&call->control->machine->pci, id) == NULL) {
        return qmp_fail(call, QMP_DEVICE_NOT_FOUND, "Device '%s' not found", id);
    }
    int ret = control_device_del(call->control, id, &call->err);
    return ret < 0 ? generic_failure(call) : json_object();
}

/* ---- the monitor */

static json_t *run_human_monitor_command(struct qmp_call *call)
{
    const char *typed = json_string_value(json_object_get(call->arguments, "command-line"));
    char line[MONITOR_LINE_MAX];
    if (typed == NULL) {
        return qmp_fail(call, QMP_GENERIC_ERROR, "Parameter 'command-line' is missing");
    }
    if (strlen(typed) >= sizeof(line) || strchr(typed, '\n') != NULL) {
        return qmp_fail(call, QMP_GENERIC_ERROR, "one line of at most %zu bytes is expected",
                        sizeof(line) - 1);
    }
    memcpy(line, typed, strlen(typed) + 1);
    char *text = monitor_answer(call->control, line);
    json_t *result = qmp_string(text != NULL ? text : "error: no memory\n");
    free(text);
    return result;
}

/* ---- the table */

static json_t *run_query_commands(struct qmp_call *call);

static const struct qmp_command commands[] = {
    {"cont", run_cont, {NULL}},
    {"device_add", run_device_add, {ANY, NULL}},
    {"device_del", run_device_del, {"id", NULL}},
    {"human-monitor-command", run_human_monitor_command, {"command-line", "cpu-index", NULL}},
    {"query-commands", run_query_commands, {NULL}},
    {"query-cpus-fast", run_query_cpus_fast, {NULL}},
    {"query-events", run_query_events, {NULL}},
    {"query-kvm", run_query_kvm, {NULL}},
    {"query-name", run_query_name, {NULL}},
    {"query-pci", run_query_pci, {NULL}},
    {"query-status", run_query_status, {NULL}},
    {"query-version", run_query_version, {NULL}},
    {"quit", run_quit, {NULL}},
    {"stop", run_stop, {NULL}},
    {"system_powerdown", run_powerdown, {NULL}},
    {"system_reset", run_reset, {NULL}},
};
enum { COMMAND_COUNT = sizeof(commands) / sizeof(commands[0]) };

static json_t *run_query_commands(struct qmp_call *call)
{
    json_t *list = json_pack("[{s:s}]", "name", "qmp_capabilities");
    (void)call;
    for (unsigned i = 0; i < COMMAND_COUNT; i++) {
        json_array_append_new(list, json_pack("{s:s}", "name", commands[i].name));
    }
    return list;
}

static bool knows_argument(const struct qmp_command *command, const char *name)
{
    for (const char *const *known = command->arguments; *known != NULL; known++) {
        if (strcmp(*known, name) == 0 || strcmp(*known, ANY) == 0) {
            return true;
        }
    }
    return false;
}

json_t *qmp_execute(struct qmp_call *call, const char *name)
{
    const struct qmp_command *command = NULL;
    const char *key;
    json_t *value;
    for (unsigned i = 0; i < COMMAND_COUNT && command == NULL; i++) {
        command = strcmp(commands[i].name, name) == 0 ? &commands[i] : NULL;
    }
    if (command == NULL) {
        return qmp_fail(call, QMP_COMMAND_NOT_FOUND, "The command %s has not been found", name);
    }
    json_object_foreach(call->arguments, key, value)
    {
        if (!knows_argument(command, key)) {
            return qmp_fail(call, QMP_GENERIC_ERROR, "Parameter '%s' is unexpected", key);
        }
    }
    return command->run(call);
}

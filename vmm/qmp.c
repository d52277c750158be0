/* SPDX-License-Identifier: MIT */
/* See vmm/qmp.h: the connection, and what goes over it. */
#include "vmm/qmp.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "vmm/connection.h"
#include "vmm/listener.h"
#include "vmm/qmp_stream.h"
#include "vmm/trace.h"

enum { OUTPUT_LIMIT = 16 << 20 }; /* bytes; events to a client that does not read are among them */

struct qmp_server {
    struct control *control;
    struct listener listener;
    struct connection client;
    struct control_watcher watcher;
    struct qmp_stream stream;
    bool negotiated; /* the client has said qmp_capabilities */
};

json_t *qmp_fail(struct qmp_call *call, const char *error_class, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(call->err.text, sizeof(call->err.text), format, arguments);
    va_end(arguments);
    call->error_class = error_class;
    return NULL;
}

/* ---- out */

/* Send and release. */
static void send_object(struct qmp_server *server, json_t *object)
{
    char *text = json_dumps(object, 0);
    if (text != NULL) {
        connection_send(&server->client, text, strlen(text));
        connection_send(&server->client, "\r\n", 2);
    }
    free(text);
    json_decref(object);
}

/* `id` is borrowed and may be NULL. */
static void send_error(struct qmp_server *server, const struct qmp_call *call, json_t *id)
{
    json_t *object = json_pack("{s:{s:s,s:o},s:O*}", "error", "class", call->error_class, "desc",
                               qmp_string(call->err.text), "id", id);
    send_object(server, object);
}

static void send_event(void *opaque, const struct control_event *event)
{
    struct qmp_server *server = opaque;
    struct timeval now;
    if (!server->negotiated) {
        return;
    }
    gettimeofday(&now, NULL);
    json_t *object = qmp_event(event);
    json_object_set_new(object, "timestamp",
                        json_pack("{s:I,s:I}", "seconds", (json_int_t)now.tv_sec, "microseconds",
                                  (json_int_t)now.tv_usec));
    send_object(server, object);
}

/* ---- in */

/* The only command before negotiation, and none after it. */
static json_t *negotiate(struct qmp_server *server, struct qmp_call *call)
{
    if (server->negotiated) {
        return qmp_fail(call, QMP_COMMAND_NOT_FOUND,
                        "Capabilities negotiation is already complete, command ignored");
    }
    const json_t *wanted = json_object_get(call->arguments, "enable");
    if (json_array_size(wanted) > 0) {
        return qmp_fail(call, QMP_GENERIC_ERROR, "there are no capabilities to enable");
    }
    server->negotiated = true;
    return json_object();
}

static json_t *execute(struct qmp_server *server, struct qmp_call *call, const char *command)
{
    trace_qmp_command(command);
    if (strcmp(command, "qmp_capabilities") == 0) {
        return negotiate(server, call);
    }
    if (!server->negotiated) {
        return qmp_fail(call, QMP_COMMAND_NOT_FOUND,
                        "Expecting capabilities negotiation with 'qmp_capabilities'");
    }
    return qmp_execute(call, command);
}

/* Is it {"execute": text, "arguments": object, "id": anything}? */
static json_t *check_request(struct qmp_call *call, json_t *request)
{
    const char *key;
    json_t *value;
    json_object_foreach(request, key, value)
    {
        if (strcmp(key, "execute") != 0 && strcmp(key, "arguments") != 0 &&
            strcmp(key, "id") != 0) {
            return qmp_fail(call, QMP_GENERIC_ERROR, "QMP input member '%s' is unexpected", key);
        }
    }
    json_t *command = json_object_get(request, "execute");
    if (command == NULL) {
        return qmp_fail(call, QMP_GENERIC_ERROR, "QMP input lacks member 'execute'");
    }
    if (!json_is_string(command)) {
        return qmp_fail(call, QMP_GENERIC_ERROR, "QMP input member 'execute' must be a string");
    }
    if (call->arguments != NULL && !json_is_object(call->arguments)) {
        return qmp_fail(call, QMP_GENERIC_ERROR, "QMP input member 'arguments' must be an object");
    }
    return command;
}

static void answer(struct qmp_server *server, json_t *request)
{
    json_t *none = json_object();
    json_t *id = json_object_get(request, "id");
    struct qmp_call call = {.control = server->control,
                            .arguments = json_object_get(request, "arguments"),
                            .error_class = QMP_GENERIC_ERROR};
    const json_t *command = check_request(&call, request);
    if (call.arguments == NULL) {
        call.arguments = none;
    }
    json_t *result = command ? execute(server, &call, json_string_value(command)) : NULL;
    if (result != NULL) {
        send_object(server, json_pack("{s:o,s:O*}", "return", result, "id", id));
    } else {
        send_error(server, &call, id);
    }
    json_decref(none);
}

static void refuse(struct qmp_server *server, const char *text)
{
    struct qmp_call call = {.control = NULL};
    (void)qmp_fail(&call, QMP_GENERIC_ERROR, "JSON parse error: %s", text);
    send_error(server, &call, NULL);
}

static void take_object(struct qmp_server *server)
{
    json_error_t error;
    json_t *request = json_loadb(server->stream.text, server->stream.length, 0, &error);
    if (request == NULL) {
        refuse(server, error.text);
        return;
    }
    answer(server, request);
    json_decref(request);
}

static void feed(void *opaque, uint8_t byte)
{
    struct qmp_server *server = opaque;
    switch (qmp_stream_add(&server->stream, (char)byte)) {
    case QMP_STREAM_MORE:
        break;
    case QMP_STREAM_OBJECT:
        take_object(server);
        break;
    case QMP_STREAM_JUNK:
        refuse(server, "an object is expected");
        break;
    case QMP_STREAM_TOO_LONG:
        refuse(server, "the object is too long");
        break;
    }
}

/* ---- life */

static void client_gone(void *opaque)
{
    struct qmp_server *server = opaque;
    server->negotiated = false;
    qmp_stream_reset(&server->stream);
}

static const struct connection_ops client_ops = {.feed = feed, .closed = client_gone};

static void client_came(void *opaque)
{
    struct qmp_server *server = opaque;
    send_object(server,
                json_pack("{s:{s:o,s:[]}}", "QMP", "version", qmp_version(), "capabilities"));
}

int qmp_server_start(struct qmp_server **out, struct control *control, const char *address,
                     struct error *err)
{
    struct qmp_server *server = calloc(1, sizeof(*server));
    if (server == NULL) {
        return error_set(err, -ENOMEM, "--qmp: no memory");
    }
    const struct listener_config config = {.option = "--qmp",
                                           .address = address,
                                           .client = &server->client,
                                           .connected = client_came,
                                           .opaque = server};
    server->control = control;
    connection_init(&server->client, &control->machine->vm.loop, &client_ops, server, OUTPUT_LIMIT);
    int ret = listener_open(&server->listener, &config, err);
    if (ret < 0) {
        free(server);
        return ret;
    }
    server->watcher = (struct control_watcher){.happened = send_event, .opaque = server};
    control_watch(control, &server->watcher);
    *out = server;
    return 0;
}

void qmp_server_finish(struct qmp_server *server)
{
    if (server != NULL) {
        listener_close(&server->listener);
        free(server);
    }
}

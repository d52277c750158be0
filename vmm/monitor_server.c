/* SPDX-License-Identifier: MIT */
/* See vmm/monitor_server.h. */
#include "vmm/monitor_server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/connection.h"
#include "vmm/listener.h"
#include "vmm/monitor.h"

enum { OUTPUT_LIMIT = 16 << 20 }; /* bytes; what the longest command prints is far less */

struct monitor_server {
    struct control *control;
    struct listener listener;
    struct connection client;
    struct monitor_line line;
};

static void say(struct monitor_server *server, const char *text)
{
    connection_send(&server->client, text, strlen(text));
}

static void answer(struct monitor_server *server)
{
    char *text = monitor_answer(server->control, server->line.text);
    say(server, text != NULL ? text : "error: no memory\n");
    free(text);
}

static void feed(void *opaque, uint8_t byte)
{
    struct monitor_server *server = opaque;
    switch (monitor_line_add(&server->line, (char)byte)) {
    case MONITOR_LINE_MORE:
        return;
    case MONITOR_LINE_WHOLE:
        answer(server);
        break;
    case MONITOR_LINE_TOO_LONG:
        say(server, "error: the line is too long\n");
        break;
    }
    say(server, MONITOR_PROMPT);
}

static void client_gone(void *opaque)
{
    (void)opaque;
}

static const struct connection_ops client_ops = {.feed = feed, .closed = client_gone};

static void client_came(void *opaque)
{
    struct monitor_server *server = opaque;
    server->line = (struct monitor_line){.length = 0};
    say(server, "minivmm " MINIVMM_VERSION " monitor: 'help' lists the commands\n");
    say(server, MONITOR_PROMPT);
}

int monitor_server_start(struct monitor_server **out, struct control *control, const char *address,
                         struct error *err)
{
    struct monitor_server *server = calloc(1, sizeof(*server));
    if (server == NULL) {
        return error_set(err, -ENOMEM, "--monitor: no memory");
    }
    const struct listener_config config = {.option = "--monitor",
                                           .address = address,
                                           .client = &server->client,
                                           .busy = "somebody else is at this monitor\n",
                                           .connected = client_came,
                                           .opaque = server};
    server->control = control;
    connection_init(&server->client, &control->machine->vm.loop, &client_ops, server, OUTPUT_LIMIT);
    int ret = listener_open(&server->listener, &config, err);
    if (ret < 0) {
        free(server);
        return ret;
    }
    *out = server;
    return 0;
}

void monitor_server_finish(struct monitor_server *server)
{
    if (server != NULL) {
        listener_close(&server->listener);
        free(server);
    }
}

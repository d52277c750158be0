/* SPDX-License-Identifier: MIT */
/* See vmm/gdb_server.h. */
#include "vmm/gdb_server.h"

#include <errno.h>
#include <stdlib.h>

#include "vmm/connection.h"
#include "vmm/gdb_machine.h"
#include "vmm/gdb_stub.h"
#include "vmm/listener.h"

/* A stop and the answer to one packet are all that can wait. */
enum { OUTPUT_LIMIT = 4 * GDB_FRAME_MAX };

struct gdb_server {
    struct gdb_machine machine;
    struct listener listener;
    struct connection client;
    struct gdb_stub stub;
};

/* ---- the client */

/* What the stub sends. */
static void queue_output(void *opaque, const void *bytes, size_t length)
{
    struct gdb_server *server = opaque;
    connection_send(&server->client, bytes, length);
}

static void feed(void *opaque, uint8_t byte)
{
    struct gdb_server *server = opaque;
    gdb_stub_feed(&server->stub, byte);
    if (server->stub.over) {
        connection_end(&server->client);
    }
}

static void client_gone(void *opaque)
{
    struct gdb_server *server = opaque;
    gdb_stub_destroy(&server->stub);
    gdb_machine_detach(&server->machine);
}

static const struct connection_ops client_ops = {.feed = feed, .closed = client_gone};

static void machine_stopped(void *opaque, const struct gdb_stop *stop)
{
    struct gdb_server *server = opaque;
    gdb_stub_stopped(&server->stub, stop);
}

static void client_came(void *opaque)
{
    struct gdb_server *server = opaque;
    if (gdb_stub_start(&server->stub, &gdb_machine_ops, &server->machine, queue_output, server) <
        0) {
        connection_close(&server->client);
        return;
    }
    gdb_machine_attach(&server->machine, machine_stopped, server);
}

/* ---- life */

static void destroy(struct gdb_server *server)
{
    listener_close(&server->listener);
    gdb_machine_destroy(&server->machine);
    free(server);
}

int gdb_server_start(struct gdb_server **out, struct vm *vm, const char *address, bool stopped,
                     struct error *err)
{
    struct gdb_server *server = calloc(1, sizeof(*server));
    if (server == NULL) {
        return error_set(err, -ENOMEM, "--gdb: no memory");
    }
    connection_init(&server->client, &vm->loop, &client_ops, server, OUTPUT_LIMIT);
    int ret = gdb_machine_init(&server->machine, vm, err);
    if (ret < 0) {
        free(server);
        return ret;
    }
    const struct listener_config config = {.option = "--gdb",
                                           .address = address,
                                           .client = &server->client,
                                           .connected = client_came,
                                           .opaque = server};
    ret = listener_open(&server->listener, &config, err);
    if (ret < 0) {
        destroy(server);
        return ret;
    }
    if (stopped) {
        vm_hold(vm, VM_HOLDER_GDB);
    }
    *out = server;
    return 0;
}

void gdb_server_reset(struct gdb_server *server)
{
    if (server != NULL) {
        gdb_machine_reset(&server->machine);
    }
}

bool gdb_server_crash(struct gdb_server *server)
{
    return server != NULL && gdb_machine_crash(&server->machine);
}

void gdb_server_finish(struct gdb_server *server, int status, int signal)
{
    if (server == NULL) {
        return;
    }
    if (connection_is_open(&server->client) && !server->stub.over) {
        gdb_stub_ended(&server->stub, status, signal);
    }
    destroy(server); /* what the client's socket does not take now is lost */
}

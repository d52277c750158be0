/* SPDX-License-Identifier: MIT */
/*
 * See vmm/gdb_server.h. A client that does not read what it asked for is not listened to until it
 * has: so there is never more than a few replies in memory.
 */
#include "vmm/gdb_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "vmm/gdb_machine.h"
#include "vmm/gdb_stub.h"
#include "vmm/property.h"

struct gdb_server {
    struct gdb_machine machine;
    struct vm *vm;
    struct event_source listener; /* fd -1: none */
    struct event_source client;   /* fd -1: none */
    struct sockaddr_un path;      /* of the socket's file, to be removed; empty: TCP */
    struct gdb_stub stub;
    size_t in_at, in_end; /* what has come and is not yet looked at */
    size_t out_at, out_end;
    bool broken; /* the connection */
    uint8_t in[4096];
    uint8_t out[4 * GDB_FRAME_MAX];
};

/* ---- the client */

static void drop_client(struct gdb_server *server)
{
    event_loop_remove(&server->vm->loop, &server->client);
    close(server->client.fd);
    server->client.fd = -1;
    gdb_stub_destroy(&server->stub);
    gdb_machine_detach(&server->machine);
}

static void flush(struct gdb_server *server)
{
    while (server->out_at < server->out_end && !server->broken) {
        ssize_t sent = send(server->client.fd, server->out + server->out_at,
                            server->out_end - server->out_at, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && (errno == EAGAIN || errno == EINTR)) {
            return;
        }
        server->broken = sent < 0;
        server->out_at += sent < 0 ? 0 : (size_t)sent;
    }
    server->out_at = server->out_end = 0;
}

/* What the stub sends. */
static void queue_output(void *opaque, const void *bytes, size_t length)
{
    struct gdb_server *server = opaque;
    if (length > sizeof(server->out) - server->out_end) {
        server->broken = true; /* more stops than were asked for: cannot be */
        return;
    }
    memcpy(server->out + server->out_end, bytes, length);
    server->out_end += length;
}

/* Go on with what has come, reply by reply; then wait for what is needed next. */
static void serve(struct gdb_server *server)
{
    flush(server);
    while (server->in_at < server->in_end && server->out_end == 0 && !server->stub.over) {
        gdb_stub_feed(&server->stub, server->in[server->in_at++]);
        flush(server);
    }
    if (server->broken || (server->stub.over && server->out_end == 0)) {
        drop_client(server);
        return;
    }
    (void)event_loop_modify(&server->vm->loop, &server->client,
                            server->out_end > 0 ? EPOLLOUT : EPOLLIN);
}

static void receive(struct gdb_server *server)
{
    if (server->in_at < server->in_end) {
        return;
    }
    ssize_t got = recv(server->client.fd, server->in, sizeof(server->in), MSG_DONTWAIT);
    server->broken |= got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
    server->in_at = 0;
    server->in_end = got > 0 ? (size_t)got : 0;
}

static void client_event(void *opaque, uint32_t events)
{
    struct gdb_server *server = opaque;
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        receive(server);
    }
    serve(server);
}

static void machine_stopped(void *opaque, const struct gdb_stop *stop)
{
    struct gdb_server *server = opaque;
    gdb_stub_stopped(&server->stub, stop);
    flush(server);
    if (server->out_end > 0) {
        (void)event_loop_modify(&server->vm->loop, &server->client, EPOLLOUT);
    }
}

static void attach(struct gdb_server *server, int fd)
{
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* fails on a Unix socket */
    server->client = (struct event_source){.fd = fd, .handler = client_event, .opaque = server};
    server->in_at = server->in_end = server->out_at = server->out_end = 0;
    server->broken = false;
    if (gdb_stub_start(&server->stub, &gdb_machine_ops, &server->machine, queue_output, server) <
            0 ||
        event_loop_add(&server->vm->loop, &server->client, EPOLLIN) < 0) {
        gdb_stub_destroy(&server->stub);
        close(fd);
        server->client.fd = -1;
        return;
    }
    gdb_machine_attach(&server->machine, machine_stopped, server);
}

/* A second client is sent away. */
static void listener_event(void *opaque, uint32_t events)
{
    struct gdb_server *server = opaque;
    (void)events;
    int fd = accept4(server->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
        return;
    }
    if (server->client.fd >= 0) {
        close(fd);
    } else {
        attach(server, fd);
    }
}

/* ---- addresses */

union address {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    struct sockaddr_un un;
};

static bool parse_host(const char *host, uint16_t port, union address *address, socklen_t *size)
{
    size_t length = strlen(host);
    char name[64];
    if (length >= 2 && host[0] == '[' && host[length - 1] == ']' && length < sizeof(name)) {
        snprintf(name, sizeof(name), "%.*s", (int)length - 2, host + 1);
        address->in6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(port)};
        *size = sizeof(address->in6);
        return inet_pton(AF_INET6, name, &address->in6.sin6_addr) == 1;
    }
    address->in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
    *size = sizeof(address->in);
    return inet_pton(AF_INET, length > 0 ? host : "127.0.0.1", &address->in.sin_addr) == 1;
}

/* HOST:PORT */
static bool parse_tcp(const char *text, union address *address, socklen_t *size)
{
    char host[64];
    uint64_t port;
    const char *colon = strrchr(text, ':');
    if (colon == NULL || (size_t)(colon - text) >= sizeof(host) ||
        parse_number(colon + 1, &port) < 0 || port == 0 || port > UINT16_MAX) {
        return false;
    }
    snprintf(host, sizeof(host), "%.*s", (int)(colon - text), text);
    return parse_host(host, (uint16_t)port, address, size);
}

static int parse_address(const char *text, union address *address, socklen_t *size,
                         struct error *err)
{
    memset(address, 0, sizeof(*address));
    if (strncmp(text, "unix:", 5) == 0) {
        address->un.sun_family = AF_UNIX;
        *size = sizeof(address->un);
        if (text[5] == '\0' || strlen(text + 5) >= sizeof(address->un.sun_path)) {
            return error_set(err, -EINVAL, "--gdb %s: a path of 1 to %zu characters is needed",
                             text, sizeof(address->un.sun_path) - 1);
        }
        memcpy(address->un.sun_path, text + 5, strlen(text + 5)); /* zeroes follow */
        return 0;
    }
    if (strncmp(text, "tcp:", 4) != 0 || !parse_tcp(text + 4, address, size)) {
        return error_set(
            err, -EINVAL,
            "--gdb %s: not an address; tcp::1234, tcp:127.0.0.1:1234 and unix:PATH are", text);
    }
    return 0;
}

/* ---- listening */

/* A socket that a minivmm left which was killed: nobody listens at it. */
static bool is_left_over(const struct sockaddr_un *path)
{
    struct stat info;
    if (stat(path->sun_path, &info) < 0 || !S_ISSOCK(info.st_mode)) {
        return false;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool refused = fd >= 0 && connect(fd, (const struct sockaddr *)path, sizeof(*path)) < 0 &&
                   errno == ECONNREFUSED;
    if (fd >= 0) {
        close(fd);
    }
    return refused;
}

/* Negative errno; `*bound` as soon as there is a file of ours. */
static int listen_at(int fd, const union address *address, socklen_t size, bool *bound)
{
    int on = 1;
    bool is_path = address->any.sa_family == AF_UNIX;
    if (is_path && is_left_over(&address->un)) {
        (void)unlink(address->un.sun_path);
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, &address->any, size) < 0) {
        return -errno;
    }
    *bound = is_path;
    return listen(fd, 1) < 0 ? -errno : 0;
}

static int open_listener(struct gdb_server *server, const char *text, struct error *err)
{
    union address address;
    socklen_t size = 0;
    bool bound = false;
    int ret = parse_address(text, &address, &size, err);
    if (ret < 0) {
        return ret;
    }
    int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    server->listener = (struct event_source){.fd = fd, .handler = listener_event, .opaque = server};
    ret = fd < 0 ? -errno : listen_at(fd, &address, size, &bound);
    if (bound) {
        server->path = address.un;
    }
    if (ret == 0) {
        ret = event_loop_add(&server->vm->loop, &server->listener, EPOLLIN);
    }
    return ret < 0 ? error_set(err, ret, "--gdb %s: %s", text, strerror(-ret)) : 0;
}

static void destroy(struct gdb_server *server)
{
    if (server->listener.fd >= 0) {
        event_loop_remove(&server->vm->loop, &server->listener);
        close(server->listener.fd);
    }
    if (server->path.sun_path[0] != '\0') {
        (void)unlink(server->path.sun_path);
    }
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
    server->vm = vm;
    server->listener.fd = server->client.fd = -1;
    int ret = gdb_machine_init(&server->machine, vm, err);
    if (ret < 0) {
        free(server);
        return ret;
    }
    ret = open_listener(server, address, err);
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
    if (server->client.fd >= 0) {
        if (!server->stub.over) {
            gdb_stub_ended(&server->stub, status, signal);
        }
        flush(server); /* what the socket does not take now is lost */
        drop_client(server);
    }
    destroy(server);
}

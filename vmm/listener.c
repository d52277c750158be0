/* SPDX-License-Identifier: MIT */
/* See vmm/listener.h. */
#include "vmm/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/property.h"

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

static int parse_address(const struct listener_config *config, union address *address,
                         socklen_t *size, struct error *err)
{
    const char *text = config->address;
    memset(address, 0, sizeof(*address));
    if (strncmp(text, "unix:", 5) == 0) {
        address->un.sun_family = AF_UNIX;
        *size = sizeof(address->un);
        if (text[5] == '\0' || strlen(text + 5) >= sizeof(address->un.sun_path)) {
            return error_set(err, -EINVAL, "%s %s: a path of 1 to %zu characters is needed",
                             config->option, text, sizeof(address->un.sun_path) - 1);
        }
        memcpy(address->un.sun_path, text + 5, strlen(text + 5)); /* zeroes follow */
        return 0;
    }
    if (strncmp(text, "tcp:", 4) != 0 || !parse_tcp(text + 4, address, size)) {
        return error_set(err, -EINVAL,
                         "%s %s: not an address; unix:PATH, tcp::1234 and tcp:127.0.0.1:1234 are",
                         config->option, text);
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

/* Negative errno; the path is kept as soon as there is a file of ours. */
static int listen_at(struct listener *listener, const union address *address, socklen_t size)
{
    int on = 1;
    int fd = listener->source.fd;
    bool is_path = address->any.sa_family == AF_UNIX;
    if (is_path && is_left_over(&address->un)) {
        (void)unlink(address->un.sun_path);
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, &address->any, size) < 0) {
        return -errno;
    }
    if (is_path) {
        listener->path = address->un;
    }
    return listen(fd, 1) < 0 ? -errno : 0;
}

static void send_away(const struct listener *listener, int fd)
{
    if (listener->busy != NULL) {
        (void)!send(fd, listener->busy, strlen(listener->busy), MSG_NOSIGNAL | MSG_DONTWAIT);
    }
    close(fd);
}

static void client_came(void *opaque, uint32_t events)
{
    struct listener *listener = opaque;
    int on = 1;
    (void)events;
    int fd = accept4(listener->source.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
        return;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* fails on a Unix socket */
    if (connection_is_open(listener->client)) {
        send_away(listener, fd);
    } else if (connection_start(listener->client, fd) == 0) {
        listener->connected(listener->opaque);
    }
}

static void close_socket(struct listener *listener)
{
    if (listener->source.fd >= 0) {
        close(listener->source.fd);
    }
    if (listener->path.sun_path[0] != '\0') {
        (void)unlink(listener->path.sun_path);
    }
    *listener = (struct listener){.source = {.fd = -1}};
}

int listener_open(struct listener *listener, const struct listener_config *config,
                  struct error *err)
{
    union address address;
    socklen_t size = 0;
    *listener = (struct listener){.client = config->client,
                                  .busy = config->busy,
                                  .connected = config->connected,
                                  .opaque = config->opaque};
    int ret = parse_address(config, &address, &size, err);
    if (ret < 0) {
        return ret;
    }
    int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    listener->source = (struct event_source){.fd = fd, .handler = client_came, .opaque = listener};
    ret = fd < 0 ? -errno : listen_at(listener, &address, size);
    if (ret == 0) {
        ret = event_loop_add(config->client->loop, &listener->source, EPOLLIN);
    }
    if (ret < 0) {
        close_socket(listener);
        return error_set(err, ret, "%s %s: %s", config->option, config->address, strerror(-ret));
    }
    listener->open = true;
    return 0;
}

void listener_close(struct listener *listener)
{
    if (listener->open) {
        connection_close(listener->client);
        event_loop_remove(listener->client->loop, &listener->source);
        close_socket(listener);
    }
}

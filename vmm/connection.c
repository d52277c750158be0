/* SPDX-License-Identifier: MIT */
/* See vmm/connection.h. */
#include "vmm/connection.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

void connection_init(struct connection *connection, struct event_loop *loop,
                     const struct connection_ops *ops, void *opaque, size_t limit)
{
    *connection = (struct connection){
        .loop = loop, .source = {.fd = -1}, .ops = ops, .opaque = opaque, .limit = limit};
}

/* ---- out */

static bool has_output(const struct connection *connection)
{
    return connection->out_at < connection->out_end;
}

static void flush(struct connection *connection)
{
    while (has_output(connection) && !connection->broken) {
        ssize_t sent = send(connection->source.fd, connection->out + connection->out_at,
                            connection->out_end - connection->out_at, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && (errno == EAGAIN || errno == EINTR)) {
            return;
        }
        connection->broken = sent < 0;
        connection->out_at += sent < 0 ? 0 : (size_t)sent;
    }
    connection->out_at = connection->out_end = 0;
}

/* From now on it is only to be dropped: the loop hears of a socket that is shut down. */
static void break_off(struct connection *connection)
{
    connection->broken = true;
    (void)shutdown(connection->source.fd, SHUT_RDWR);
}

static bool make_room(struct connection *connection, size_t length)
{
    size_t waiting = connection->out_end - connection->out_at;
    size_t wanted = waiting + length;
    if (wanted > connection->limit) {
        return false;
    }
    if (connection->out_at > 0) { /* a client that is always a bit behind takes no more room */
        memmove(connection->out, connection->out + connection->out_at, waiting);
        connection->out_at = 0;
        connection->out_end = waiting;
    }
    if (wanted > connection->out_room) {
        char *grown = realloc(connection->out, wanted);
        if (grown == NULL) {
            return false;
        }
        connection->out = grown;
        connection->out_room = wanted;
    }
    return true;
}

void connection_send(struct connection *connection, const void *bytes, size_t length)
{
    if (!connection_is_open(connection) || connection->broken || length == 0) {
        return;
    }
    if (!make_room(connection, length)) {
        break_off(connection);
        return;
    }
    memcpy(connection->out + connection->out_end, bytes, length);
    connection->out_end += length;
    (void)event_loop_modify(connection->loop, &connection->source, EPOLLOUT);
}

/* ---- in */

static void receive(struct connection *connection)
{
    if (connection->in_at < connection->in_end) {
        return;
    }
    ssize_t got = recv(connection->source.fd, connection->in, sizeof(connection->in), MSG_DONTWAIT);
    connection->broken |= got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
    connection->in_at = 0;
    connection->in_end = got > 0 ? (size_t)got : 0;
}

/* Go on with what has come, answer by answer; then wait for what is needed next. */
static void serve(struct connection *connection)
{
    flush(connection);
    while (connection->in_at < connection->in_end && !has_output(connection) &&
           !connection->ending && !connection->broken) {
        connection->ops->feed(connection->opaque, connection->in[connection->in_at++]);
        flush(connection);
    }
    if (connection->broken || (connection->ending && !has_output(connection))) {
        connection_close(connection);
        return;
    }
    (void)event_loop_modify(connection->loop, &connection->source,
                            has_output(connection) ? EPOLLOUT : EPOLLIN);
}

static void client_event(void *opaque, uint32_t events)
{
    struct connection *connection = opaque;
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        receive(connection);
    }
    serve(connection);
}

/* ---- life */

int connection_start(struct connection *connection, int fd)
{
    connection->source =
        (struct event_source){.fd = fd, .handler = client_event, .opaque = connection};
    connection->in_at = connection->in_end = connection->out_at = connection->out_end = 0;
    connection->broken = connection->ending = false;
    int ret = event_loop_add(connection->loop, &connection->source, EPOLLIN);
    if (ret < 0) {
        close(fd);
        connection->source.fd = -1;
    }
    return ret;
}

void connection_end(struct connection *connection)
{
    if (connection_is_open(connection)) {
        connection->ending = true;
        (void)event_loop_modify(connection->loop, &connection->source, EPOLLOUT);
    }
}

void connection_close(struct connection *connection)
{
    if (!connection_is_open(connection)) {
        return;
    }
    flush(connection);
    event_loop_remove(connection->loop, &connection->source);
    close(connection->source.fd);
    connection->source.fd = -1;
    free(connection->out);
    connection->out = NULL;
    connection->out_room = connection->out_at = connection->out_end = 0;
    connection->ops->closed(connection->opaque);
}

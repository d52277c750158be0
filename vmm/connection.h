/* SPDX-License-Identifier: MIT */
/*
 * A client on a socket: bytes that come, one after the other, and bytes that are sent to it.
 *
 * Nothing here ever waits. A client that does not read what it asked for is not listened to until
 * it has, so there is no more in memory than the answers to a byte, and what is sent unasked; if
 * that is more than `limit` bytes, the client is dropped. Main thread.
 */
#ifndef VMM_CONNECTION_H
#define VMM_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/event_loop.h"

struct connection_ops {
    /* A byte has come, and everything sent before has been taken. */
    void (*feed)(void *opaque, uint8_t byte);
    /* The client is gone, or has been dropped, and can be forgotten. */
    void (*closed)(void *opaque);
};

struct connection {
    struct event_loop *loop;
    struct event_source source; /* fd -1: nobody is connected */
    const struct connection_ops *ops;
    void *opaque;
    size_t limit; /* bytes that may wait to be sent */
    bool ending;  /* closes when everything is sent */
    bool broken;
    char *out;
    size_t out_at, out_end, out_room;
    size_t in_at, in_end;
    uint8_t in[4096];
};

/* Nobody is connected yet. */
void connection_init(struct connection *connection, struct event_loop *loop,
                     const struct connection_ops *ops, void *opaque, size_t limit);

static inline bool connection_is_open(const struct connection *connection)
{
    return connection->source.fd >= 0;
}

/* A client is there; nobody was. On failure, a negative errno, the descriptor is closed. */
int connection_start(struct connection *connection, int fd);

/* Send, as soon as it can be taken. Nothing happens if nobody is connected. */
void connection_send(struct connection *connection, const void *bytes, size_t length);

/* Close when everything has been sent; what comes until then is not looked at. */
void connection_end(struct connection *connection);

/*
 * Close now; what the socket does not take at once is lost. ops->closed() is called, if somebody
 * was connected. Not from within ops->feed().
 */
void connection_close(struct connection *connection);

#endif

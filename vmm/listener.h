/* SPDX-License-Identifier: MIT */
/*
 * A socket at which clients connect, one at a time: that of --gdb, --monitor, --qmp. Main thread.
 */
#ifndef VMM_LISTENER_H
#define VMM_LISTENER_H

#include <sys/un.h>

#include "vmm/connection.h"
#include "vmm/error.h"

struct listener {
    bool open; /* it listens */
    struct event_source source;
    struct sockaddr_un path; /* of the socket's file, to be removed; empty: TCP */
    struct connection *client;
    const char *busy;
    void (*connected)(void *opaque);
    void *opaque;
};

struct listener_config {
    const char *option;  /* "--gdb", for error texts */
    const char *address; /* "unix:PATH", "tcp::PORT" (127.0.0.1) or "tcp:ADDRESS:PORT" */
    /* The one client's, initialised; its loop is the listener's, too. */
    struct connection *client;
    /* What others hear, before they are sent away, while it is there; NULL: nothing. */
    const char *busy;
    void (*connected)(void *opaque); /* the client is there */
    void *opaque;
};

/*
 * Listen. ADDRESS is a numeric IPv4 address, or an IPv6 one in brackets. The file of a socket that
 * nobody listens at is replaced. Errors, which name the option, the address and the reason: -EINVAL
 * for what is no address, else what the system says.
 */
int listener_open(struct listener *listener, const struct listener_config *config,
                  struct error *err);

/*
 * Stop, close the client's connection, and remove the socket's file. Nothing happens if it is all
 * zeroes, or twice.
 */
void listener_close(struct listener *listener);

#endif

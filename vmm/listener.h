/* SPDX-License-Identifier: MIT */
/*
 * A socket at which clients connect: that of --gdb, --monitor, --qmp. Main thread.
 */
#ifndef VMM_LISTENER_H
#define VMM_LISTENER_H

#include <sys/un.h>

#include "vmm/error.h"
#include "vmm/event_loop.h"

struct listener {
    struct event_loop *loop; /* NULL: it does not listen */
    struct event_source source;
    struct sockaddr_un path; /* of the socket's file, to be removed; empty: TCP */
    void (*connected)(void *opaque, int fd);
    void *opaque;
};

struct listener_config {
    const char *option;  /* "--gdb", for error texts */
    const char *address; /* "unix:PATH", "tcp::PORT" (127.0.0.1) or "tcp:ADDRESS:PORT" */
    /* A client is there; the descriptor, which does not block, is the callee's. */
    void (*connected)(void *opaque, int fd);
    void *opaque;
};

/*
 * Listen. ADDRESS is a numeric IPv4 address, or an IPv6 one in brackets. The file of a socket that
 * nobody listens at is replaced. Errors, which name the option, the address and the reason: -EINVAL
 * for what is no address, else what the system says.
 */
int listener_open(struct listener *listener, struct event_loop *loop,
                  const struct listener_config *config, struct error *err);

/* Stop, and remove the socket's file. Nothing happens if it is all zeroes, or twice. */
void listener_close(struct listener *listener);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * --gdb: a socket on which one gdb at a time can attach to the machine. It stops when a client
 * connects, and runs on when the client detaches or is gone. Main thread.
 */
#ifndef VMM_GDB_SERVER_H
#define VMM_GDB_SERVER_H

#include <stdbool.h>

#include "vmm/error.h"
#include "vmm/vm.h"

struct gdb_server;

/*
 * Listen at `address`: "tcp::PORT" (127.0.0.1 only), "tcp:ADDRESS:PORT" with a numeric IPv4 address
 * or an IPv6 one in brackets, or "unix:PATH". `stopped`: vCPUs do not run before a client says so.
 * Errors name --gdb, the address and the reason. vCPUs have been created and have not run.
 */
int gdb_server_start(struct gdb_server **server, struct vm *vm, const char *address, bool stopped,
                     struct error *err);

/* All these do nothing if there is no server (NULL). vCPUs are paused. */

/* A reset is about to be made. */
void gdb_server_reset(struct gdb_server *server);

/* The guest has crashed. True: a client is looking at it, and asks for the end later. */
bool gdb_server_crash(struct gdb_server *server);

/* The machine ends with this status; tell the client, close and free everything. */
void gdb_server_finish(struct gdb_server *server, int status, int signal);

#endif

/* SPDX-License-Identifier: MIT */
/* --monitor: a socket at which one person at a time types commands. See vmm/monitor.h. */
#ifndef VMM_MONITOR_SERVER_H
#define VMM_MONITOR_SERVER_H

#include "vmm/control.h"

struct monitor_server;

/* Listen. Errors name --monitor, the address and the reason. Main thread. */
int monitor_server_start(struct monitor_server **server, struct control *control,
                         const char *address, struct error *err);

/* Close and free everything; nothing if there is no server (NULL). */
void monitor_server_finish(struct monitor_server *server);

#endif

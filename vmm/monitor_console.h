/* SPDX-License-Identifier: MIT */
/*
 * The monitor on the console, behind Ctrl-A c: with a line editor, history and completion
 * (libedit) if stdin is a terminal, line by line if not. Main thread.
 */
#ifndef VMM_MONITOR_CONSOLE_H
#define VMM_MONITOR_CONSOLE_H

#include "vmm/console.h"
#include "vmm/control.h"

struct monitor_console;

/* Be at Ctrl-A c. -ENOMEM. */
int monitor_console_start(struct monitor_console **monitor, struct control *control,
                          struct console *console, struct error *err);

/* Undo it; nothing if there is none (NULL). */
void monitor_console_finish(struct monitor_console *monitor);

#endif

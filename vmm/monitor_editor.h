/* SPDX-License-Identifier: MIT */
/*
 * A line editor for the monitor: libedit, fed key by key, so that nothing waits for the next one.
 *
 * libedit wants a terminal whose modes it can set, and a file to read from. It gets a
 * pseudo-terminal of its own, which nobody is at, so that minivmm's (vmm/terminal.h) stays as it
 * is; keys come to it by a function, and what it shows goes to another. Main thread.
 */
#ifndef VMM_MONITOR_EDITOR_H
#define VMM_MONITOR_EDITOR_H

#include <stddef.h>

#include "vmm/error.h"

struct monitor_editor;

struct monitor_editor_config {
    const char *prompt;
    void (*show)(void *opaque, const char *bytes, size_t length);
    /* A line has been typed; it may be changed. */
    void (*line)(void *opaque, char *line);
    /* As monitor_complete(). */
    void (*complete)(void *opaque, const char *line, size_t *start,
                     void (*offer)(void *opaque, const char *candidate), void *offer_opaque);
    void *opaque;
};

/* Errors say what the system says: no pseudo-terminal, no memory. */
int monitor_editor_create(struct monitor_editor **editor,
                          const struct monitor_editor_config *config, struct error *err);
void monitor_editor_destroy(struct monitor_editor *editor);

/* Show the prompt and an empty line; ask how wide the terminal `fd` is now. */
void monitor_editor_begin(struct monitor_editor *editor, int fd);

/* A key has been typed. */
void monitor_editor_key(struct monitor_editor *editor, unsigned char key);

#endif

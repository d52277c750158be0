/* SPDX-License-Identifier: MIT */
/*
 * The terminal on stdin: raw mode, and giving it back.
 *
 * A process has one terminal on stdin, hence no struct here. In raw mode the guest gets every key,
 * those that would make a signal included. The terminal's own modes come back with
 * terminal_restore(), which exit(), fatal signals (vmm/exit_hooks.h) and SIGTSTP call too.
 *
 * Job control: raw mode is a property of the terminal, not of the process, so that only a process
 * in the terminal's foreground may set it (termios(3), "SIGTTOU"); one started with `&` waits until
 * `fg` brings it there. Where stdin is a terminal but not the one that controls the session, there
 * is no job control and minivmm counts as in the foreground.
 */
#ifndef VMM_TERMINAL_H
#define VMM_TERMINAL_H

#include <stdbool.h>

/*
 * Is stdin a terminal? If so, prepare for its restoration on every way out, and write `wake_fd` (an
 * eventfd) whenever the process is continued after a stop. Main thread.
 */
bool terminal_prepare(int wake_fd);

/* Undo it, restoring the terminal. Main thread; may be called twice. */
void terminal_destroy(void);

/* May this process read the terminal and change its modes now? */
bool terminal_is_foreground(void);

/*
 * Set raw mode, again if the shell has changed it meanwhile. False, and nothing done, in the
 * background. Main thread.
 */
bool terminal_enter_raw(void);

/* Back to the modes before terminal_enter_raw(). Any thread; async-signal-safe. */
void terminal_restore(void);

/* Was the process continued since the last call? */
bool terminal_was_continued(void);

#endif

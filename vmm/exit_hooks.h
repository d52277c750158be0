/* SPDX-License-Identifier: MIT */
/*
 * What must still be done when the process ends without warning: restore the terminal, write out
 * buffered trace lines.
 *
 * Hooks run at exit() and before a signal that ends the process: those of a crash (SIGSEGV, SIGBUS,
 * SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGTRAP) and those that ask it to end (SIGHUP, SIGINT, SIGQUIT,
 * SIGTERM and others), unless the program handles or ignores these itself. The signal then has its
 * usual effect, core dump included. Nothing can be done before SIGKILL.
 */
#ifndef VMM_EXIT_HOOKS_H
#define VMM_EXIT_HOOKS_H

enum { EXIT_HOOKS_MAX = 4 };

/*
 * Run `hook` on every way out. It must be async-signal-safe, must do nothing the second time, and
 * must be able to run on any thread while the others still run. Adding a hook twice adds it once.
 * Main thread. More than EXIT_HOOKS_MAX hooks are a programming error and abort.
 */
void exit_hook_add(void (*hook)(void));

#endif

/* SPDX-License-Identifier: MIT */
#include "vmm/exit_hooks.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

/* A slot is written once and then only read, by whichever thread the signal interrupts. */
static void (*_Atomic hooks[EXIT_HOOKS_MAX])(void);

/*
 * Signals that end a process. A crash is always caught; the rest only while they have their default
 * action, so that neither nohup nor a handler of main() is undone.
 */
static const struct fatal_signal {
    int number;
    bool crash;
} fatal_signals[] = {
    {SIGSEGV, true},  {SIGBUS, true},   {SIGILL, true},   {SIGFPE, true},   {SIGABRT, true},
    {SIGSYS, true},   {SIGTRAP, true},  {SIGHUP, false},  {SIGINT, false},  {SIGQUIT, false},
    {SIGTERM, false}, {SIGALRM, false}, {SIGXCPU, false}, {SIGXFSZ, false},
};
enum { FATAL_SIGNALS = sizeof(fatal_signals) / sizeof(fatal_signals[0]) };

/* What was there before, for instance a sanitizer's handler. */
static struct sigaction previous[FATAL_SIGNALS];

static void run_hooks(void)
{
    for (size_t i = 0; i < EXIT_HOOKS_MAX; i++) {
        void (*hook)(void) = atomic_load(&hooks[i]);
        if (hook != NULL) {
            hook();
        }
    }
}

/*
 * Run the hooks and let the signal have the effect that it would have had. A fault recurs when the
 * handler returns to the instruction that made it; a signal that somebody sent must be sent again.
 */
static void on_fatal_signal(int number, siginfo_t *info, void *context)
{
    (void)context;
    run_hooks();
    for (size_t i = 0; i < FATAL_SIGNALS; i++) {
        if (fatal_signals[i].number == number) {
            sigaction(number, &previous[i], NULL);
        }
    }
    bool recurs = info->si_code > 0 && number != SIGSYS && number != SIGTRAP;
    if (!recurs) {
        raise(number); /* blocked until this handler returns */
    }
}

static void catch_signal(size_t index)
{
    const struct fatal_signal *signal_to_catch = &fatal_signals[index];
    struct sigaction *before = &previous[index];
    struct sigaction action = {.sa_sigaction = on_fatal_signal, .sa_flags = SA_SIGINFO};
    sigfillset(&action.sa_mask);
    sigaction(signal_to_catch->number, NULL, before);
    bool is_default = !(before->sa_flags & SA_SIGINFO) && before->sa_handler == SIG_DFL;
    if (signal_to_catch->crash || is_default) {
        sigaction(signal_to_catch->number, &action, NULL);
    }
}

static void install_once(void)
{
    static bool installed;
    if (installed) {
        return;
    }
    installed = true;
    atexit(run_hooks);
    for (size_t i = 0; i < FATAL_SIGNALS; i++) {
        catch_signal(i);
    }
}

void exit_hook_add(void (*hook)(void))
{
    install_once();
    for (size_t i = 0; i < EXIT_HOOKS_MAX; i++) {
        void (*present)(void) = atomic_load(&hooks[i]);
        if (present == hook) {
            return;
        }
        if (present == NULL) {
            atomic_store(&hooks[i], hook);
            return;
        }
    }
    abort();
}

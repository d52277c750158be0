/* SPDX-License-Identifier: MIT */
#include "vmm/terminal.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <termios.h>
#include <unistd.h>

#include "vmm/exit_hooks.h"

static struct termios saved_modes; /* valid once `saved` is set */
static bool saved;
static atomic_bool raw; /* `saved_modes` must be restored */

static atomic_int continue_fd = -1;
static atomic_bool continued;
static struct sigaction previous_stop;
static struct sigaction previous_continue;

bool terminal_is_foreground(void)
{
    pid_t foreground = tcgetpgrp(STDIN_FILENO);
    return foreground < 0 || foreground == getpgrp();
}

/*
 * Every key as it is typed, nothing echoed, nothing made a signal. Output processing stays on: the
 * guest's own carriage returns do no harm, and minivmm's messages and trace lines need it.
 */
static void make_raw(struct termios *modes)
{
    modes->c_iflag &=
        (tcflag_t) ~(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
    modes->c_lflag &= (tcflag_t) ~(ECHO | ECHONL | ICANON | ISIG | IEXTEN);
    modes->c_cflag &= (tcflag_t) ~(CSIZE | PARENB);
    modes->c_cflag |= CS8;
    modes->c_cc[VMIN] = 1;
    modes->c_cc[VTIME] = 0;
}

bool terminal_enter_raw(void)
{
    if (!terminal_is_foreground()) {
        return false;
    }
    /* Not earlier: while we were in the background the modes were the shell's line editor's. */
    if (!saved && tcgetattr(STDIN_FILENO, &saved_modes) != 0) {
        return true; /* hung up: reading will tell */
    }
    saved = true;
    struct termios modes = saved_modes;
    make_raw(&modes);
    atomic_store(&raw, true); /* first, so that no signal can come between */
    tcsetattr(STDIN_FILENO, TCSANOW, &modes);
    return true;
}

void terminal_restore(void)
{
    /* TCSANOW: waiting for the output to drain could take for ever. */
    if (atomic_exchange(&raw, false) && terminal_is_foreground()) {
        tcsetattr(STDIN_FILENO, TCSANOW, &saved_modes);
    }
}

bool terminal_was_continued(void)
{
    return atomic_exchange(&continued, false);
}

/* ---- stop and continue */

static void on_continue(int number)
{
    int saved_errno = errno;
    uint64_t one = 1;
    (void)number;
    atomic_store(&continued, true);
    (void)!write(atomic_load(&continue_fd), &one, sizeof(one));
    errno = saved_errno;
}

/* Restore the terminal, then stop as if there had been no handler. */
static void on_stop(int number)
{
    int saved_errno = errno;
    struct sigaction ours;
    struct sigaction stop = {.sa_handler = SIG_DFL};
    sigset_t only_this;
    sigset_t before;
    terminal_restore();
    sigaction(number, &stop, &ours);
    raise(number);
    sigemptyset(&only_this);
    sigaddset(&only_this, number);
    pthread_sigmask(SIG_UNBLOCK, &only_this, &before); /* here it stops, and later goes on */
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    sigaction(number, &ours, NULL);
    errno = saved_errno;
}

/* Leave a signal alone that the program's parent wants ignored. */
static void handle(int number, void (*handler)(int), struct sigaction *previous)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(number, NULL, previous);
    if (previous->sa_handler == SIG_DFL) {
        sigaction(number, &action, NULL);
    }
}

/* ---- life */

bool terminal_prepare(int wake_fd)
{
    if (!isatty(STDIN_FILENO)) {
        return false;
    }
    saved = false;
    atomic_store(&continue_fd, wake_fd);
    handle(SIGTSTP, on_stop, &previous_stop);
    handle(SIGCONT, on_continue, &previous_continue);
    exit_hook_add(terminal_restore);
    return true;
}

void terminal_destroy(void)
{
    terminal_restore();
    if (atomic_exchange(&continue_fd, -1) >= 0) {
        sigaction(SIGTSTP, &previous_stop, NULL);
        sigaction(SIGCONT, &previous_continue, NULL);
    }
}

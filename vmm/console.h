/* SPDX-License-Identifier: MIT */
/*
 * The console: stdin and stdout of minivmm, in front of the machine's serial port.
 *
 * When stdin is a terminal it is put in raw mode, so that the guest gets every key, Ctrl-C included; the
 * escape key Ctrl-A reaches minivmm itself (h help, x quit, c monitor, Ctrl-A twice sends one). The
 * terminal is restored by console_destroy() and on every other way out: exit() and fatal signals.
 *
 * Output never blocks a vCPU: what stdout does not take is refused, and the serial port is told when
 * there is room again. One lock inside; it is a leaf and never held while a receiver's callback runs.
 */
#ifndef VMM_CONSOLE_H
#define VMM_CONSOLE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <termios.h>

#include "vmm/error.h"
#include "vmm/event_loop.h"

/* The machine's end of the console. Callbacks run on the main thread, without the console's lock. */
struct console_receiver {
    size_t (*room)(void *opaque);                                      /* bytes it can take now */
    void (*input)(void *opaque, const uint8_t *data, size_t length);   /* length <= room() */
    void (*writable)(void *opaque);                                    /* after a refused write */
    void *opaque;
};

/* What the escape keys do. Main thread. */
struct console_keys {
    void (*quit)(void *opaque);    /* Ctrl-A x */
    void (*monitor)(void *opaque); /* Ctrl-A c; NULL: no monitor, the key says so */
    void *opaque;
};

struct console {
    struct event_loop *loop;
    struct event_source input_source;
    struct event_source output_source;
    struct console_receiver receiver;
    struct console_keys keys;
    pthread_mutex_t lock;
    bool raw; /* the terminal is in raw mode; `saved` says what it was */
    struct termios saved;
    bool escape; /* Ctrl-A was the last key */
    bool input_paused; /* the receiver had no room */
    bool output_refused;
    bool input_eof;
    /* implementation detail may be added below */
    int saved_output_flags;
    bool output_registered;
    bool input_registered;
};

/* Set up the console and the terminal. stdin may be a terminal, a pipe, a file or /dev/null. */
int console_init(struct console *console, struct event_loop *loop, const struct console_keys *keys,
                 struct error *err);

/* Restore the terminal. May be called twice. */
void console_destroy(struct console *console);

/* Connect the serial port. Before the event loop runs. */
void console_set_receiver(struct console *console, const struct console_receiver *receiver);

/*
 * Write to stdout. Returns how many bytes were taken, 0 to `length`; if not all, receiver.writable is
 * called when there is room again. Output to a closed stdout is taken and dropped. Any thread.
 */
size_t console_write(struct console *console, const uint8_t *data, size_t length);

/* The receiver has room again after it had none. Any thread. */
void console_receiver_ready(struct console *console);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * The console: stdin and stdout of minivmm, in front of the machine's serial port.
 *
 * When stdin is a terminal it is put in raw mode (vmm/terminal.h), so that the guest gets every
 * key, Ctrl-C included. The escape key Ctrl-A reaches minivmm itself (h help, x quit, c monitor,
 * Ctrl-A twice sends one; any other key after it is dropped), from a terminal and from anything
 * else that stdin may be. After Ctrl-A c keys go to the monitor until the next Ctrl-A c; what the
 * guest says is still shown. What the guest does not take yet is kept, in order; from a terminal
 * the escape keys work nevertheless, and keys that find the buffer full are dropped. The end of
 * stdin ends nothing but the input.
 *
 * Output never blocks a vCPU: what stdout does not take is refused, and the serial port is told
 * when there is room again. One lock inside, for output; it is a leaf and never held while a
 * receiver's callback runs. Input belongs to the main thread.
 */
#ifndef VMM_CONSOLE_H
#define VMM_CONSOLE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/error.h"
#include "vmm/event_loop.h"

/* The machine's end of the console. Callbacks run on the main thread, without the console's lock.
 */
struct console_receiver {
    size_t (*room)(void *opaque);                                    /* bytes it can take now */
    void (*input)(void *opaque, const uint8_t *data, size_t length); /* length <= room() */
    void (*writable)(void *opaque);                                  /* after a refused write */
    void *opaque;
};

/* What the escape keys do. Main thread. */
struct console_keys {
    void (*quit)(void *opaque); /* Ctrl-A x */
    void *opaque;
};

/* Who has the keys after Ctrl-A c. Main thread, without the console's lock. */
struct console_monitor {
    void (*toggled)(void *opaque, bool on);   /* the keys are its own from now on, or no more */
    void (*input)(void *opaque, uint8_t key); /* NULL: there is no monitor, Ctrl-A c says so */
    void (*writable)(void *opaque);           /* after a refused write */
    void *opaque;
};

enum { CONSOLE_PENDING = 4096 }; /* bytes of input kept; a power of two */

/* How stdout is written without ever waiting. */
enum console_output {
    CONSOLE_OUTPUT_NONE,   /* nobody there: drop */
    CONSOLE_OUTPUT_PLAIN,  /* a file or /dev/null never makes anybody wait */
    CONSOLE_OUTPUT_OWN,    /* a terminal or pipe, opened again with O_NONBLOCK of its own */
    CONSOLE_OUTPUT_SOCKET, /* send() with MSG_DONTWAIT */
    CONSOLE_OUTPUT_POLLED, /* none of these: ask poll() first, write little */
};

struct console {
    struct event_loop *loop;
    struct console_receiver receiver;
    struct console_keys keys;
    struct console_monitor monitor;

    /* Input: main thread. */
    struct event_source input_source; /* stdin, or an eventfd that is always ready in its place */
    bool input_watched;
    bool input_eof;
    bool is_terminal;
    bool background; /* the terminal is somebody else's now */
    bool escape;     /* Ctrl-A was the last key */
    bool to_monitor; /* keys go there, not to the guest */
    struct event_timer foreground_timer;
    uint8_t pending[CONSOLE_PENDING]; /* a ring */
    size_t pending_first;
    size_t pending_count;

    struct event_source wake_source; /* an eventfd: there is room, or the process was continued */
    atomic_bool receiver_full;       /* a wake-up is wanted when there is room */

    pthread_mutex_t lock; /* guards what follows; a leaf */
    struct event_source output_source;
    enum console_output output;
    size_t output_chunk; /* POLLED: bytes that can be written after poll() said yes */
    bool output_refused; /* and the output source is watched until there is room */
};

/*
 * Give descriptors 0, 1 and 2 to /dev/null where they are closed, lest another file get such a
 * number and be taken for the console. First thing in main().
 */
void console_reserve_descriptors(void);

/*
 * Set up the console and the terminal. stdin and stdout may be terminals, pipes, sockets, files or
 * /dev/null, but not closed (console_reserve_descriptors()). SIGPIPE must be ignored by the
 * program. Main thread; on failure nothing is left behind.
 */
int console_init(struct console *console, struct event_loop *loop, const struct console_keys *keys,
                 struct error *err);

/* Restore the terminal and close what was opened. May be called twice, and when all zeroes. */
void console_destroy(struct console *console);

/* Connect the serial port. Before the event loop runs. */
void console_set_receiver(struct console *console, const struct console_receiver *receiver);

/* Connect the monitor; all zeroes disconnects it. Main thread. */
void console_set_monitor(struct console *console, const struct console_monitor *monitor);

/*
 * Write to stdout. Returns how many bytes were taken, 0 to `length`; if not all, receiver.writable
 * and monitor.writable are called when there is room again. Output to a closed stdout is taken and
 * dropped. Any thread.
 */
size_t console_write(struct console *console, const uint8_t *data, size_t length);

/* The receiver has room again after it had none. Any thread. */
void console_receiver_ready(struct console *console);

#endif

/* SPDX-License-Identifier: MIT */
/* See devices/serial_line.h. */
#include "devices/serial_line.h"

#include <time.h>

enum { FLUSH_TRIES = 50, FLUSH_PAUSE_NS = 2000000 };

size_t serial_backend_write(const struct serial_backend *backend, const uint8_t *data,
                            size_t length)
{
    return backend->write ? backend->write(backend->opaque, data, length) : length;
}

bool serial_backend_drain(const struct serial_backend *backend, struct serial_fifo *tx)
{
    while (tx->count > 0) {
        unsigned to_end = SERIAL_LINE_FIFO - tx->head;
        unsigned length = tx->count < to_end ? tx->count : to_end;
        size_t taken = serial_backend_write(backend, &tx->data[tx->head], length);
        serial_fifo_drop(tx, (unsigned)taken);
        if (taken < length) {
            return false;
        }
    }
    return true;
}

void serial_backend_flush(const struct serial_backend *backend, struct serial_fifo *tx)
{
    const struct timespec pause = {.tv_nsec = FLUSH_PAUSE_NS};
    for (unsigned tries = 0; tries < FLUSH_TRIES && !serial_backend_drain(backend, tx); tries++) {
        nanosleep(&pause, NULL);
    }
}

/* ---- the console as the other end */

static size_t console_backend_write(void *opaque, const uint8_t *data, size_t length)
{
    return console_write(opaque, data, length);
}

static void console_backend_ready(void *opaque)
{
    console_receiver_ready(opaque);
}

void serial_backend_console(struct serial_backend *backend, struct console *console,
                            const struct console_receiver *port)
{
    *backend = (struct serial_backend){
        .write = console_backend_write, .ready = console_backend_ready, .opaque = console};
    console_set_receiver(console, port);
}

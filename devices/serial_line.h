/* SPDX-License-Identifier: MIT */
/*
 * What every serial port has, whatever its registers look like: a queue of characters in each
 * direction, and somebody at the other end of the line.
 *
 * A port offers its backend each byte at once and keeps only what that refuses, so that its
 * transmitter is empty but for the time in which the backend takes nothing.
 */
#ifndef DEVICES_SERIAL_LINE_H
#define DEVICES_SERIAL_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/console.h"

enum { SERIAL_LINE_FIFO = 32 }; /* the deepest that a port here has; it may use less */

/* The other end of the line. Called on any thread; must not block. */
struct serial_backend {
    /*
     * Take bytes that the guest sent. Returns how many were taken; if not all, the backend calls
     * the port's writable() later. Called with the port's lock held, which keeps the bytes in
     * order. NULL: nobody is there; what is sent is dropped.
     */
    size_t (*write)(void *opaque, const uint8_t *data, size_t length);
    /* The port's room() had answered 0, and there is room again. Called without the lock. */
    void (*ready)(void *opaque);
    void *opaque;
};

/* A queue of characters: `count` of them from `head` on. */
struct serial_fifo {
    uint8_t data[SERIAL_LINE_FIFO];
    uint8_t errors[SERIAL_LINE_FIFO]; /* the port's error bits that came with each; receiver only */
    unsigned head;
    unsigned count;
};

static inline void serial_fifo_push(struct serial_fifo *fifo, uint8_t value, uint8_t errors)
{
    unsigned tail = (fifo->head + fifo->count) % SERIAL_LINE_FIFO;
    fifo->data[tail] = value;
    fifo->errors[tail] = errors;
    fifo->count++;
}

static inline void serial_fifo_drop(struct serial_fifo *fifo, unsigned count)
{
    fifo->head = (fifo->head + count) % SERIAL_LINE_FIFO;
    fifo->count -= count;
}

static inline void serial_fifo_clear(struct serial_fifo *fifo)
{
    fifo->head = 0;
    fifo->count = 0;
}

/* Offer bytes to the other end; returns how many it took. */
size_t serial_backend_write(const struct serial_backend *backend, const uint8_t *data,
                            size_t length);

/* Offer the backend what it has refused so far. True if nothing is left. */
bool serial_backend_drain(const struct serial_backend *backend, struct serial_fifo *tx);

/* The same, trying for up to 100 ms: for the end of the machine. */
void serial_backend_flush(const struct serial_backend *backend, struct serial_fifo *tx);

/* Make `console` the other end, and `port` what it talks to. Before vCPUs run. */
void serial_backend_console(struct serial_backend *backend, struct console *console,
                            const struct console_receiver *port);

#endif

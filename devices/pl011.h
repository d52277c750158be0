/* SPDX-License-Identifier: MIT */
/*
 * The serial port of Arm machines: a PrimeCell PL011 UART, revision r1p5 with its 32-byte FIFOs.
 * devices/pl011.c describes its registers.
 *
 * Lock order: pl011.lock, then the backend's own (the console's), then the interrupt chip's.
 */
#ifndef DEVICES_PL011_H
#define DEVICES_PL011_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "devices/serial_line.h"
#include "vmm/bus.h"
#include "vmm/console.h"
#include "vmm/error.h"
#include "vmm/event_loop.h"
#include "vmm/irq.h"

enum {
    PL011_FIFO_SIZE = SERIAL_LINE_FIFO,
    PL011_SIZE = 0x1000,
    PL011_CLOCK_HZ = 24000000, /* UARTCLK; baud rate = clock / (16 * divisor) */
};

struct pl011_config {
    struct bus *bus;
    uint64_t base;
    struct irq_chip *irq; /* UARTINTR, the OR of all its interrupts */
    uint32_t gsi;
    struct event_loop *loop; /* for the receive timeout */
    uint64_t (*clock)(void); /* nanoseconds, monotonic; NULL: event_now_ns() */
};

struct pl011 {
    struct bus_region region;
    struct pl011_config config;
    struct serial_backend backend;
    struct event_timer timeout; /* 32 bit times without a character */

    /* A copy of the flag register, for the read without the lock. Changed under the lock. */
    _Atomic uint32_t flags;

    pthread_mutex_t lock; /* guards all that follows */
    struct serial_fifo rx;
    struct serial_fifo tx; /* what the backend has refused so far */
    uint8_t last;          /* the character read last: what an empty receiver shows */
    uint32_t rsr;          /* receive status */
    uint32_t ilpr;         /* IrDA low-power divisor; stored only */
    uint32_t ibrd;         /* baud rate divisor, whole part and 64ths; effective after LCR_H */
    uint32_t fbrd;
    uint32_t lcr_h;
    uint32_t cr;
    uint32_t ifls; /* FIFO levels */
    uint32_t imsc; /* interrupt mask: 1 lets it through */
    uint32_t ris;  /* raw interrupts */
    uint32_t dmacr;
    uint32_t modem; /* CTS, DSR, DCD, RI as last seen, bits of FR */
    bool timeout_armed;
    uint64_t activity_ns; /* when a character last came or was read, while the timer is armed */
    bool backend_waits;   /* the backend was told that there is no room */
    bool level;           /* of the interrupt pin */
};

/*
 * Create the port on its bus, reset, with no backend: what the guest sends is dropped. `uart` and
 * the bus must outlive each other's use; destroy it when vCPUs are stopped.
 */
int pl011_init(struct pl011 *uart, const struct pl011_config *config, struct error *err);

/* Hand out what is left in the transmitter and take the port off its bus. */
void pl011_destroy(struct pl011 *uart);

/* Back to the state after power-on. Bytes on their way to the backend are kept. Any thread. */
void pl011_reset(struct pl011 *uart);

/* Connect to the console, both directions. Before vCPUs run. */
void pl011_connect_console(struct pl011 *uart, struct console *console);

/* Connect to something else. Before vCPUs run. */
void pl011_set_backend(struct pl011 *uart, const struct serial_backend *backend);

/* How many bytes pl011_input() can take now; 0 while the receiver is disabled. Any thread. */
size_t pl011_room(struct pl011 *uart);

/*
 * Bytes arrive on the line. More than pl011_room() overrun the receiver, as on the real part.
 * Any thread.
 */
void pl011_input(struct pl011 *uart, const uint8_t *data, size_t length);

/* A break condition arrives on the line. Any thread. */
void pl011_input_break(struct pl011 *uart);

/* The backend has room again after it refused bytes. Any thread. */
void pl011_writable(struct pl011 *uart);

/* The line was idle for 32 bit times (the timer's handler; public for the unit test). */
void pl011_timeout_expired(void *opaque);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * The serial port: a 16550A UART with its 16-byte FIFOs. devices/serial.c describes its registers.
 *
 * Lock order: serial.lock, then the backend's own (the console's), then the interrupt chip's.
 */
#ifndef DEVICES_SERIAL_H
#define DEVICES_SERIAL_H

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
    SERIAL_FIFO_SIZE = 16,
    SERIAL_REGISTERS = 8,
    SERIAL_CLOCK_HZ = 1843200, /* the PC's crystal; baud rate = clock / (16 * divisor) */
};

struct serial_config {
    const char *name;        /* for `info mtree`: "serial" */
    struct bus *bus;         /* port or MMIO bus */
    uint64_t base;           /* address of the first register: 0x3f8 on a PC */
    unsigned stride;         /* bytes from one register to the next: 1, 2, 4 or 8; 1 on a PC */
    struct irq_chip *irq;    /* the interrupt pin, active high */
    uint32_t gsi;            /* its GSI: 4 on a PC */
    struct event_loop *loop; /* for the character timeout */
    uint64_t (*clock)(void); /* nanoseconds, monotonic; NULL: event_now_ns() */
};

struct serial {
    struct bus_region region;
    struct serial_config config;
    struct serial_backend backend;
    unsigned shift;             /* log2 of the stride */
    struct event_timer timeout; /* four character times without a character */

    /* A copy of the line status register, for the read without the lock. Changed under the lock. */
    _Atomic uint8_t line_status;

    pthread_mutex_t lock; /* guards all that follows */
    struct serial_fifo rx;
    struct serial_fifo tx; /* what the backend has refused so far */
    uint8_t ier;           /* interrupt enable */
    uint8_t fcr;           /* FIFO control: enable and trigger level */
    uint8_t lcr;           /* line control */
    uint8_t mcr;           /* modem control */
    uint8_t msr;           /* modem status */
    uint8_t scr;           /* scratch */
    uint8_t errors;        /* the error bits of LSR: OE, PE, FE, BI */
    uint16_t divisor;
    bool thre_pending;    /* the transmitter became empty, and no IIR read has said so yet */
    bool timeout_pending; /* characters wait and the line is idle */
    bool timeout_armed;
    uint64_t activity_ns; /* when a character last came or was read, while the timer is armed */
    bool backend_waits;   /* the backend was told that there is no room */
    bool level;           /* of the interrupt pin */
};

/*
 * Create the port on its bus, reset, with no backend: what the guest sends is dropped. `serial`
 * and the bus must outlive each other's use; destroy it when vCPUs are stopped.
 */
int serial_init(struct serial *serial, const struct serial_config *config, struct error *err);

/* Hand out what is left in the transmitter (see serial_flush()) and take the port off its bus. */
void serial_destroy(struct serial *serial);

/* Back to the state after power-on. Bytes on their way to the backend are kept. Any thread. */
void serial_reset(struct serial *serial);

/* Connect to the console, both directions. Before vCPUs run. */
void serial_connect_console(struct serial *serial, struct console *console);

/* Connect to something else. Before vCPUs run. */
void serial_set_backend(struct serial *serial, const struct serial_backend *backend);

/* How many bytes serial_input() can take now. Any thread. */
size_t serial_room(struct serial *serial);

/*
 * Bytes arrive on the line. More than serial_room() overrun the receiver, as on the real part: the
 * rest is lost and LSR says so. Any thread.
 */
void serial_input(struct serial *serial, const uint8_t *data, size_t length);

/* A break condition arrives on the line. Any thread. */
void serial_input_break(struct serial *serial);

/* The backend has room again after it refused bytes. Any thread. */
void serial_writable(struct serial *serial);

/* The line was idle for four character times (the timer's handler; public for the unit test). */
void serial_timeout_expired(void *opaque);

/* Try for up to 100 ms to hand out what the backend has refused so far. vCPUs are stopped. */
void serial_flush(struct serial *serial);

#endif

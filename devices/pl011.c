/* SPDX-License-Identifier: MIT */
/*
 * The PL011 UART, from Arm's "PrimeCell UART (PL011) Technical Reference Manual" (DDI 0183).
 *
 *   offset  name        access
 *   0x000   DR          RW   data; a read has the character's errors in bits 11-8
 *   0x004   RSR / ECR   RW   errors of the character read last; a write clears them
 *   0x018   FR          RO   flags: FIFOs full and empty, busy, modem inputs
 *   0x020   ILPR        RW   IrDA's divisor; kept, without effect
 *   0x024   IBRD        RW   baud rate divisor, 16 bits
 *   0x028   FBRD        RW   and 64ths of it, 6 bits
 *   0x02c   LCR_H       RW   line control; a write makes a new divisor effective
 *   0x030   CR          RW   control
 *   0x034   IFLS        RW   at which levels of the FIFOs there are interrupts
 *   0x038   IMSC        RW   which interrupts reach the pin
 *   0x03c   RIS         RO   which there are
 *   0x040   MIS         RO   RIS & IMSC
 *   0x044   ICR         WO   clears those of RIS that are written as 1
 *   0x048   DMACR       RW   kept; nobody answers DMA requests
 *   0xfe0   PeriphID, PCellID
 *
 * Sending. A byte written to DR goes to the backend at once: the line takes no time. Only what the
 * backend refuses stays in the transmit FIFO, and TXFF tells the guest to wait when that is full.
 * Characters are sent whether or not the transmitter is enabled: early consoles expect that
 * firmware has done that, and there is none here.
 *
 * Receiving needs the receiver enabled. The backend asks for the room first, so that a fast sender
 * does not overrun the FIFO; who does not ask overruns it, and OE says so.
 *
 * Interrupts (2.4 of the manual). RX: the FIFO has reached its level; cleared by reading below it.
 * TX: the FIFO has *fallen* to its level, which takes a character first; cleared by filling it
 * above. RT: something is in the FIFO and nothing more came for 32 bit times; cleared by emptying
 * it. Errors and modem changes: until cleared. ICR clears each of them. The pin is the OR of the
 * unmasked ones, a level.
 *
 * Invariants while the lock is not held: `flags` equals flags_of(); `level` equals the pin;
 * `timeout_armed` implies that the timer is set; tx is empty unless the backend refused bytes and
 * owes a call to pl011_writable().
 */
#include "devices/pl011.h"

#include <errno.h>
#include <string.h>

#include "devices/primecell.h"
#include "vmm/trace.h"

enum {
    DR = 0x000,
    RSR = 0x004,
    FR = 0x018,
    ILPR = 0x020,
    IBRD = 0x024,
    FBRD = 0x028,
    LCR_H = 0x02c,
    CR = 0x030,
    IFLS = 0x034,
    IMSC = 0x038,
    RIS = 0x03c,
    MIS = 0x040,
    ICR = 0x044,
    DMACR = 0x048,
};

enum {
    ERROR_FE = 1 << 0, /* in RSR, and 8 bits higher in DR and, from there, among the interrupts */
    ERROR_PE = 1 << 1,
    ERROR_BE = 1 << 2,
    ERROR_OE = 1 << 3,
    ERROR_BITS = 0xf,
    DR_ERROR_SHIFT = 8,

    FR_CTS = 1 << 0,
    FR_DSR = 1 << 1,
    FR_DCD = 1 << 2,
    FR_BUSY = 1 << 3,
    FR_RXFE = 1 << 4,
    FR_TXFF = 1 << 5,
    FR_RXFF = 1 << 6,
    FR_TXFE = 1 << 7,
    FR_RI = 1 << 8,
    FR_MODEM = FR_CTS | FR_DSR | FR_DCD | FR_RI,

    LCR_H_STP2 = 1 << 3,
    LCR_H_FEN = 1 << 4,
    LCR_H_BITS = 0xff,

    CR_UARTEN = 1 << 0,
    CR_LBE = 1 << 7,
    CR_TXE = 1 << 8,
    CR_RXE = 1 << 9,
    CR_DTR = 1 << 10,
    CR_RTS = 1 << 11,
    CR_OUT1 = 1 << 12,
    CR_OUT2 = 1 << 13,
    CR_BITS = 0xff87,
    CR_RESET = CR_TXE | CR_RXE,

    IFLS_BITS = 0x3f,
    IFLS_RX_SHIFT = 3,
    IFLS_LEVEL = 0x7,
    IFLS_RESET = 0x12, /* both half full */

    INT_RI = 1 << 0,
    INT_CTS = 1 << 1,
    INT_DCD = 1 << 2,
    INT_DSR = 1 << 3,
    INT_RX = 1 << 4,
    INT_TX = 1 << 5,
    INT_RT = 1 << 6,
    INT_ERROR_SHIFT = 7,
    INT_BITS = 0x7ff,

    DMACR_BITS = 0x7,
    ILPR_BITS = 0xff,
    IBRD_BITS = 0xffff,
    FBRD_BITS = 0x3f,

    PERIPHERAL_ID = 0x00341011, /* r1p5: 32 characters in each FIFO */
};

/* ---- levels of the FIFOs */

static bool fifos_enabled(const struct pl011 *uart)
{
    return uart->lcr_h & LCR_H_FEN;
}

/* Without FIFOs each direction holds one character. */
static unsigned capacity(const struct pl011 *uart)
{
    return fifos_enabled(uart) ? PL011_FIFO_SIZE : 1;
}

/* A field of IFLS in characters: 1/8, 1/4, 1/2, 3/4, 7/8 of the FIFO; the rest is reserved. */
static unsigned level_of(unsigned field)
{
    static const uint8_t eighths[] = {1, 2, 4, 6, 7, 7, 7, 7};
    return PL011_FIFO_SIZE * eighths[field & IFLS_LEVEL] / 8;
}

static unsigned rx_level(const struct pl011 *uart)
{
    return fifos_enabled(uart) ? level_of(uart->ifls >> IFLS_RX_SHIFT) : 1;
}

static unsigned tx_level(const struct pl011 *uart)
{
    return fifos_enabled(uart) ? level_of(uart->ifls) : 0;
}

/* ---- what follows from the state: FR and the interrupt pin */

static uint32_t flags_of(const struct pl011 *uart)
{
    uint32_t flags = uart->modem;
    flags |= uart->rx.count == 0 ? FR_RXFE : 0;
    flags |= uart->rx.count >= capacity(uart) ? FR_RXFF : 0;
    flags |= uart->tx.count == 0 ? FR_TXFE : FR_BUSY;
    flags |= uart->tx.count >= capacity(uart) ? FR_TXFF : 0;
    return flags;
}

static void update_interrupt(struct pl011 *uart)
{
    bool level = uart->ris & uart->imsc;
    if (level != uart->level) {
        uart->level = level;
        trace_pl011_irq(level);
        irq_set_level(uart->config.irq, uart->config.gsi, level);
    }
}

static void lock(struct pl011 *uart)
{
    pthread_mutex_lock(&uart->lock);
}

static bool receives(const struct pl011 *uart)
{
    const uint32_t wanted = CR_UARTEN | CR_RXE;
    return (uart->cr & (wanted | CR_LBE)) == wanted;
}

/* End a change: bring what others see up to date, and let the backend go on if it may. */
static void unlock(struct pl011 *uart)
{
    atomic_store_explicit(&uart->flags, flags_of(uart), memory_order_release);
    update_interrupt(uart);
    /* Waiting for an empty FIFO lets a long paste come in whole FIFOs, not byte by byte. */
    bool ready = uart->backend_waits && uart->rx.count == 0 && receives(uart);
    uart->backend_waits &= !ready;
    pthread_mutex_unlock(&uart->lock);
    if (ready && uart->backend.ready) {
        uart->backend.ready(uart->backend.opaque);
    }
}

/* ---- the receive timeout */

/* 32 bit times; a bit takes 16 clocks times the divisor, which counts 64ths. */
static uint64_t timeout_ns(const struct pl011 *uart)
{
    uint64_t divisor = (uint64_t)uart->ibrd << 6 | uart->fbrd;
    return 32ull * 16 * (divisor ? divisor : 1) * 1000000000 / 64 / PL011_CLOCK_HZ;
}

/*
 * A character came or was read. Restarting the timer each time would cost a system call a
 * character, so a timer that is already set stays; when it expires it looks at `activity_ns`.
 */
static void restart_timeout(struct pl011 *uart)
{
    if (uart->rx.count == 0) {
        uart->ris &= ~INT_RT;
    } else if (fifos_enabled(uart) && uart->imsc & INT_RT) {
        uart->activity_ns = uart->config.clock();
        if (!uart->timeout_armed) {
            uart->timeout_armed = true;
            event_timer_set(&uart->timeout, uart->activity_ns + timeout_ns(uart));
        }
    }
}

void pl011_timeout_expired(void *opaque)
{
    struct pl011 *uart = opaque;
    lock(uart);
    uart->timeout_armed = false;
    uint64_t due = uart->activity_ns + timeout_ns(uart);
    if (uart->rx.count > 0 && uart->config.clock() >= due) {
        uart->ris |= INT_RT;
    } else if (uart->rx.count > 0) {
        uart->timeout_armed = true;
        event_timer_set(&uart->timeout, due);
    }
    unlock(uart);
}

/* ---- receiving */

static void overrun(struct pl011 *uart, uint8_t value)
{
    uart->rsr |= ERROR_OE;
    uart->ris |= ERROR_OE << INT_ERROR_SHIFT;
    trace_pl011_overrun(value);
}

static void receive(struct pl011 *uart, uint8_t value, uint8_t errors)
{
    if (uart->rx.count >= capacity(uart)) {
        overrun(uart, value); /* what is in the FIFO stays; the character is lost */
        return;
    }
    serial_fifo_push(&uart->rx, value, errors);
    uart->ris |= (uint32_t)errors << INT_ERROR_SHIFT;
    if (uart->rx.count >= rx_level(uart)) {
        uart->ris |= INT_RX;
    }
}

static uint32_t read_dr(struct pl011 *uart)
{
    uint32_t overrun_bit = uart->rsr & ERROR_OE;
    uint32_t errors = 0;
    if (uart->rx.count > 0) {
        uart->last = uart->rx.data[uart->rx.head];
        errors = uart->rx.errors[uart->rx.head];
        serial_fifo_drop(&uart->rx, 1);
    }
    uart->rsr = errors | overrun_bit;
    if (uart->rx.count < rx_level(uart)) {
        uart->ris &= ~INT_RX;
    }
    restart_timeout(uart);
    return uart->last | uart->rsr << DR_ERROR_SHIFT;
}

size_t pl011_room(struct pl011 *uart)
{
    lock(uart);
    unsigned most = capacity(uart);
    size_t bytes = receives(uart) && uart->rx.count < most ? most - uart->rx.count : 0;
    uart->backend_waits = bytes == 0;
    pthread_mutex_unlock(&uart->lock);
    return bytes;
}

void pl011_input(struct pl011 *uart, const uint8_t *data, size_t length)
{
    lock(uart);
    for (size_t i = 0; i < length && receives(uart); i++) {
        receive(uart, data[i], 0);
    }
    restart_timeout(uart);
    unlock(uart);
}

void pl011_input_break(struct pl011 *uart)
{
    lock(uart);
    if (receives(uart)) {
        receive(uart, 0, ERROR_BE | ERROR_FE); /* no stop bit arrived either */
        restart_timeout(uart);
    }
    unlock(uart);
}

/* ---- sending */

void pl011_writable(struct pl011 *uart)
{
    lock(uart);
    unsigned before = uart->tx.count;
    (void)serial_backend_drain(&uart->backend, &uart->tx);
    if (before > tx_level(uart) && uart->tx.count <= tx_level(uart)) {
        uart->ris |= INT_TX;
    }
    unlock(uart);
}

/* Keep a byte that the backend did not take. A guest that did not wait for TXFF loses it. */
static void hold_back(struct pl011 *uart, uint8_t value)
{
    if (uart->tx.count >= capacity(uart)) {
        trace_pl011_overrun(value);
        return;
    }
    serial_fifo_push(&uart->tx, value, 0);
}

static void write_dr(struct pl011 *uart, uint8_t value)
{
    if (uart->cr & CR_LBE) {
        receive(uart, value, 0);
        restart_timeout(uart);
    } else if (uart->tx.count > 0 || serial_backend_write(&uart->backend, &value, 1) == 0) {
        hold_back(uart, value);
    }
    /* What was taken has gone through the FIFO: up by one and down again. */
    if (uart->tx.count <= tx_level(uart)) {
        uart->ris |= INT_TX;
    } else {
        uart->ris &= ~INT_TX;
    }
}

/* ---- modem lines */

/*
 * The four inputs. Outside loopback the other end is always there and ready; in loopback they are
 * wired to the outputs (3.3.8 of the manual).
 */
static uint32_t modem_inputs(const struct pl011 *uart)
{
    if (!(uart->cr & CR_LBE)) {
        return FR_CTS | FR_DSR | FR_DCD;
    }
    return (uart->cr & CR_RTS ? FR_CTS : 0) | (uart->cr & CR_DTR ? FR_DSR : 0) |
           (uart->cr & CR_OUT1 ? FR_DCD : 0) | (uart->cr & CR_OUT2 ? FR_RI : 0);
}

static void update_modem_status(struct pl011 *uart)
{
    uint32_t inputs = modem_inputs(uart);
    uint32_t changed = inputs ^ uart->modem;
    uart->modem = inputs;
    uart->ris |= (changed & FR_CTS ? INT_CTS : 0) | (changed & FR_DSR ? INT_DSR : 0) |
                 (changed & FR_DCD ? INT_DCD : 0) | (changed & FR_RI ? INT_RI : 0);
}

/* ---- registers */

static uint32_t read_locked(struct pl011 *uart, unsigned offset)
{
    switch (offset) {
    case DR:
        return read_dr(uart);
    case RSR:
        return uart->rsr;
    case FR:
        return flags_of(uart);
    case ILPR:
        return uart->ilpr;
    case IBRD:
        return uart->ibrd;
    case FBRD:
        return uart->fbrd;
    case LCR_H:
        return uart->lcr_h;
    case CR:
        return uart->cr;
    case IFLS:
        return uart->ifls;
    case IMSC:
        return uart->imsc;
    case RIS:
        return uart->ris;
    case MIS:
        return uart->ris & uart->imsc;
    case DMACR:
        return uart->dmacr;
    default:
        return offset >= PRIMECELL_ID ? primecell_id(PERIPHERAL_ID, offset) : 0;
    }
}

/* Switching the FIFOs on or off empties the receiver; what the backend refused is kept for it. */
static void write_lcr_h(struct pl011 *uart, uint32_t value)
{
    if ((uart->lcr_h ^ value) & LCR_H_FEN) {
        serial_fifo_clear(&uart->rx);
        uart->ris &= ~(INT_RX | INT_RT);
    }
    uart->lcr_h = value & LCR_H_BITS;
}

static void write_cr(struct pl011 *uart, uint32_t value)
{
    uart->cr = value & CR_BITS;
    update_modem_status(uart);
}

/* A new level may already have been reached. */
static void write_ifls(struct pl011 *uart, uint32_t value)
{
    uart->ifls = value & IFLS_BITS;
    if (uart->rx.count >= rx_level(uart)) {
        uart->ris |= INT_RX;
    } else {
        uart->ris &= ~INT_RX;
    }
}

static void write_imsc(struct pl011 *uart, uint32_t value)
{
    uart->imsc = value & INT_BITS;
    restart_timeout(uart);
}

static void write_locked(struct pl011 *uart, unsigned offset, uint32_t value)
{
    switch (offset) {
    case DR:
        write_dr(uart, (uint8_t)value);
        break;
    case RSR:
        uart->rsr = 0;
        break;
    case ILPR:
        uart->ilpr = value & ILPR_BITS;
        break;
    case IBRD:
        uart->ibrd = value & IBRD_BITS;
        break;
    case FBRD:
        uart->fbrd = value & FBRD_BITS;
        break;
    case LCR_H:
        write_lcr_h(uart, value);
        break;
    case CR:
        write_cr(uart, value);
        break;
    case IFLS:
        write_ifls(uart, value);
        break;
    case IMSC:
        write_imsc(uart, value);
        break;
    case ICR:
        uart->ris &= ~value;
        break;
    case DMACR:
        uart->dmacr = value & DMACR_BITS;
        break;
    default: /* read-only or reserved: nothing happens */
        break;
    }
}

static uint32_t read_register(void *opaque, unsigned offset)
{
    struct pl011 *uart = opaque;
    lock(uart);
    uint32_t value = read_locked(uart, offset);
    unlock(uart);
    trace_pl011_read(offset, value);
    return value;
}

static void write_register(void *opaque, unsigned offset, uint32_t value)
{
    struct pl011 *uart = opaque;
    trace_pl011_write(offset, value);
    lock(uart);
    write_locked(uart, offset, value);
    unlock(uart);
}

/* ---- the bus */

/* FR is what a guest polls before each byte: it takes no lock. */
static uint64_t region_read(void *opaque, uint64_t offset, unsigned size)
{
    struct pl011 *uart = opaque;
    if (offset == FR && size <= 4) {
        uint32_t flags = atomic_load_explicit(&uart->flags, memory_order_acquire);
        trace_pl011_read(FR, flags);
        return flags;
    }
    return primecell_read(uart, offset, size, read_register);
}

static void region_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    primecell_write(opaque, offset, size, value, write_register);
}

static const struct bus_ops region_ops = {.read = region_read, .write = region_write};

/* ---- the backend */

static size_t console_room(void *opaque)
{
    return pl011_room(opaque);
}

static void console_input(void *opaque, const uint8_t *data, size_t length)
{
    pl011_input(opaque, data, length);
}

static void console_writable(void *opaque)
{
    pl011_writable(opaque);
}

void pl011_connect_console(struct pl011 *uart, struct console *console)
{
    const struct console_receiver receiver = {
        .room = console_room, .input = console_input, .writable = console_writable, .opaque = uart};
    serial_backend_console(&uart->backend, console, &receiver);
}

void pl011_set_backend(struct pl011 *uart, const struct serial_backend *backend)
{
    uart->backend = *backend;
}

/* ---- life */

void pl011_reset(struct pl011 *uart)
{
    lock(uart);
    serial_fifo_clear(&uart->rx);
    uart->last = 0;
    uart->rsr = 0;
    uart->ilpr = 0;
    uart->ibrd = 0;
    uart->fbrd = 0;
    uart->lcr_h = 0;
    uart->cr = CR_RESET;
    uart->ifls = IFLS_RESET;
    uart->imsc = 0;
    uart->ris = 0;
    uart->dmacr = 0;
    uart->modem = modem_inputs(uart);
    unlock(uart);
}

static int add_region(struct pl011 *uart, struct error *err)
{
    uart->region = (struct bus_region){.name = "pl011",
                                       .size = PL011_SIZE,
                                       .priority = BUS_PRIORITY_FIXED,
                                       .ops = &region_ops,
                                       .opaque = uart};
    return bus_add(uart->config.bus, &uart->region, uart->config.base, err);
}

int pl011_init(struct pl011 *uart, const struct pl011_config *config, struct error *err)
{
    memset(uart, 0, sizeof(*uart));
    uart->config = *config;
    if (!uart->config.clock) {
        uart->config.clock = event_now_ns;
    }
    int rc = event_timer_init(&uart->timeout, config->loop, pl011_timeout_expired, uart);
    if (rc < 0) {
        return error_set(err, rc, "pl011: cannot create a timer: %s", strerror(-rc));
    }
    pthread_mutex_init(&uart->lock, NULL);
    pl011_reset(uart);
    rc = add_region(uart, err);
    if (rc < 0) {
        pthread_mutex_destroy(&uart->lock);
        event_timer_destroy(&uart->timeout);
    }
    return rc;
}

void pl011_destroy(struct pl011 *uart)
{
    lock(uart);
    serial_backend_flush(&uart->backend, &uart->tx);
    unlock(uart);
    bus_remove(&uart->region);
    event_timer_destroy(&uart->timeout);
    pthread_mutex_destroy(&uart->lock);
}

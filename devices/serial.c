/* SPDX-License-Identifier: MIT */
/*
 * The 16550A UART, from National Semiconductor's PC16550D data sheet.
 *
 *   offset  read                    write                   with LCR.DLAB set
 *   0       RBR receiver buffer     THR transmitter holding DLL divisor, low byte
 *   1       IER interrupt enable    IER                     DLM divisor, high byte
 *   2       IIR interrupt identity  FCR FIFO control        (as without)
 *   3       LCR line control        LCR
 *   4       MCR modem control       MCR
 *   5       LSR line status         nothing
 *   6       MSR modem status        nothing
 *   7       SCR scratch             SCR
 *
 * Registers are a byte wide and `stride` bytes apart. An access of several bytes is made of
 * accesses to each register in it, the lowest first, as an 8-bit bus would split it; bytes between
 * two registers read as 0.
 *
 * Sending. A byte written to THR goes to the backend at once: the line takes no time. Only what the
 * backend refuses stays in the transmitter; THRE and TEMT are then 0 until all of it is gone, which
 * is how the guest is told to wait, with no vCPU ever blocked.
 *
 * Receiving. The backend asks for the room first, so that a fast sender does not overrun the FIFO;
 * who does not ask overruns it, and LSR.OE says so. The divisor matters in one place: "the line is
 * idle" means four character times without a character, which the interrupt for a FIFO filled below
 * its trigger level waits for.
 *
 * Interrupts, by priority: line status (an error), received data, character timeout, transmitter
 * empty, modem status. Each has its own condition and its own acknowledge; the pin is the OR of the
 * enabled ones, a level. The data sheet's transmitter condition is a latch (`thre_pending`): set
 * when THR becomes empty or when its interrupt is enabled while THR is empty, cleared by reading an
 * IIR that reports it or by writing THR. A PC's serial card gates the pin with MCR.OUT2; the chip
 * itself does not, and neither do we.
 *
 * Invariants while the lock is not held: `line_status` equals line_status_of(); `level` equals the
 * pin; `timeout_armed` implies that the timer is set; tx is empty unless the backend refused bytes
 * and owes a call to serial_writable().
 */
#include "devices/serial.h"

#include <errno.h>
#include <string.h>

#include "vmm/trace.h"

enum { RBR = 0, THR = 0, DLL = 0, IER = 1, DLM = 1, IIR = 2, FCR = 2, LCR, MCR, LSR, MSR, SCR };

enum {
    IER_RECEIVED = 1 << 0,
    IER_THRE = 1 << 1,
    IER_LINE_STATUS = 1 << 2,
    IER_MODEM_STATUS = 1 << 3,
    IER_BITS = 0x0f,

    IIR_NONE = 0x1,
    IIR_MODEM_STATUS = 0x0,
    IIR_THRE = 0x2,
    IIR_RECEIVED = 0x4,
    IIR_LINE_STATUS = 0x6,
    IIR_TIMEOUT = 0xc,
    IIR_FIFOS = 0xc0,

    FCR_ENABLE = 1 << 0,
    FCR_CLEAR_RX = 1 << 1,
    FCR_CLEAR_TX = 1 << 2,
    FCR_TRIGGER_SHIFT = 6,

    LCR_LENGTH = 0x03, /* 5 bits plus this */
    LCR_STOP = 1 << 2,
    LCR_PARITY = 1 << 3,
    LCR_DLAB = 1 << 7,

    MCR_DTR = 1 << 0,
    MCR_RTS = 1 << 1,
    MCR_OUT1 = 1 << 2,
    MCR_OUT2 = 1 << 3,
    MCR_LOOP = 1 << 4,
    MCR_BITS = 0x1f,

    LSR_DR = 1 << 0,
    LSR_OE = 1 << 1,
    LSR_PE = 1 << 2,
    LSR_FE = 1 << 3,
    LSR_BI = 1 << 4,
    LSR_THRE = 1 << 5,
    LSR_TEMT = 1 << 6,
    LSR_FIFO_ERROR = 1 << 7,
    LSR_ERRORS = LSR_OE | LSR_PE | LSR_FE | LSR_BI,
    LSR_CHARACTER_ERRORS = LSR_PE | LSR_FE | LSR_BI,

    MSR_DCTS = 1 << 0,
    MSR_DDSR = 1 << 1,
    MSR_TERI = 1 << 2,
    MSR_DDCD = 1 << 3,
    MSR_CTS = 1 << 4,
    MSR_DSR = 1 << 5,
    MSR_RI = 1 << 6,
    MSR_DCD = 1 << 7,
    MSR_DELTAS = 0x0f,
};

enum { RESET_DIVISOR = 12 /* 9600 baud */ };

/* ---- queues of characters */

/* True if a character that has not reached the head yet has an error. */
static bool fifo_has_errors(const struct serial_fifo *fifo)
{
    for (unsigned i = 0; i < fifo->count; i++) {
        if (fifo->errors[(fifo->head + i) % SERIAL_LINE_FIFO]) {
            return true;
        }
    }
    return false;
}

static bool fifos_enabled(const struct serial *serial)
{
    return serial->fcr & FCR_ENABLE;
}

/* Without FIFOs each direction holds one character. */
static unsigned capacity(const struct serial *serial)
{
    return fifos_enabled(serial) ? SERIAL_FIFO_SIZE : 1;
}

static unsigned trigger_level(const struct serial *serial)
{
    static const uint8_t levels[] = {1, 4, 8, 14};
    return fifos_enabled(serial) ? levels[serial->fcr >> FCR_TRIGGER_SHIFT] : 1;
}

/* ---- what follows from the state: LSR, IIR, the interrupt pin */

static uint8_t line_status_of(const struct serial *serial)
{
    uint8_t status = serial->errors;
    if (serial->rx.count > 0) {
        status |= LSR_DR;
    }
    if (serial->tx.count == 0) {
        status |= LSR_THRE | LSR_TEMT;
    }
    if (fifos_enabled(serial) &&
        (serial->errors & LSR_CHARACTER_ERRORS || fifo_has_errors(&serial->rx))) {
        status |= LSR_FIFO_ERROR;
    }
    return status;
}

/* The enabled interrupt of the highest priority. PC16550D, table 4. */
static uint8_t pending_interrupt(const struct serial *serial)
{
    if (serial->ier & IER_LINE_STATUS && serial->errors) {
        return IIR_LINE_STATUS;
    }
    if (serial->ier & IER_RECEIVED && serial->rx.count >= trigger_level(serial)) {
        return IIR_RECEIVED;
    }
    if (serial->ier & IER_RECEIVED && serial->timeout_pending) {
        return IIR_TIMEOUT;
    }
    if (serial->ier & IER_THRE && serial->thre_pending) {
        return IIR_THRE;
    }
    if (serial->ier & IER_MODEM_STATUS && serial->msr & MSR_DELTAS) {
        return IIR_MODEM_STATUS;
    }
    return IIR_NONE;
}

static void update_interrupt(struct serial *serial)
{
    bool level = pending_interrupt(serial) != IIR_NONE;
    if (level != serial->level) {
        serial->level = level;
        trace_serial_irq(level);
        irq_set_level(serial->config.irq, serial->config.gsi, level);
    }
}

static void lock(struct serial *serial)
{
    pthread_mutex_lock(&serial->lock);
}

/* End a change: bring what others see up to date, and let the backend go on if it may. */
static void unlock(struct serial *serial)
{
    atomic_store_explicit(&serial->line_status, line_status_of(serial), memory_order_release);
    update_interrupt(serial);
    /* Waiting for an empty FIFO lets a long paste come in whole FIFOs, not byte by byte. */
    bool ready = serial->backend_waits && serial->rx.count == 0 && !(serial->mcr & MCR_LOOP);
    serial->backend_waits &= !ready;
    pthread_mutex_unlock(&serial->lock);
    if (ready && serial->backend.ready) {
        serial->backend.ready(serial->backend.opaque);
    }
}

/* ---- the character timeout */

static uint64_t now_ns(const struct serial *serial)
{
    return serial->config.clock();
}

/* Four characters: start bit, data, parity, stop bits, at 16 clocks a bit. */
static uint64_t four_characters_ns(const struct serial *serial)
{
    unsigned stop = serial->lcr & LCR_STOP ? 2 : 1;
    unsigned bits = 1 + 5 + (serial->lcr & LCR_LENGTH) + !!(serial->lcr & LCR_PARITY) + stop;
    uint64_t divisor = serial->divisor ? serial->divisor : 1;
    return 64 * divisor * bits * 1000000000 / SERIAL_CLOCK_HZ;
}

/*
 * A character came or was read. Restarting the timer each time would cost a system call a
 * character, so a timer that is already set stays; when it expires it looks at `activity_ns`.
 */
static void restart_timeout(struct serial *serial)
{
    serial->timeout_pending = false;
    if (!fifos_enabled(serial) || !(serial->ier & IER_RECEIVED) || serial->rx.count == 0) {
        return;
    }
    serial->activity_ns = now_ns(serial);
    if (!serial->timeout_armed) {
        serial->timeout_armed = true;
        event_timer_set(&serial->timeout, serial->activity_ns + four_characters_ns(serial));
    }
}

void serial_timeout_expired(void *opaque)
{
    struct serial *serial = opaque;
    lock(serial);
    serial->timeout_armed = false;
    uint64_t due = serial->activity_ns + four_characters_ns(serial);
    if (!fifos_enabled(serial) || serial->rx.count == 0) {
        serial->timeout_pending = false;
    } else if (now_ns(serial) >= due) {
        serial->timeout_pending = true;
    } else {
        serial->timeout_armed = true;
        event_timer_set(&serial->timeout, due);
    }
    unlock(serial);
}

/* ---- receiving */

/* The errors of a character show in LSR when it reaches the head of the queue. */
static void reveal_errors(struct serial *serial)
{
    if (serial->rx.count > 0) {
        serial->errors |= serial->rx.errors[serial->rx.head];
        serial->rx.errors[serial->rx.head] = 0;
    }
}

static void receive(struct serial *serial, uint8_t value, uint8_t errors)
{
    if (serial->rx.count == capacity(serial)) {
        serial->errors |= LSR_OE;
        trace_serial_overrun(value);
        if (fifos_enabled(serial)) {
            return; /* the FIFO keeps what it has; without it the new character wins */
        }
        serial_fifo_clear(&serial->rx);
    }
    serial_fifo_push(&serial->rx, value, errors);
    reveal_errors(serial);
}

static uint8_t read_rbr(struct serial *serial)
{
    uint8_t value = serial->rx.data[serial->rx.head]; /* an empty receiver repeats the last one */
    if (serial->rx.count > 0) {
        serial_fifo_drop(&serial->rx, 1);
        reveal_errors(serial);
    }
    restart_timeout(serial);
    return value;
}

/* In loopback the line is cut off: what arrives there waits outside. */
static size_t room(const struct serial *serial)
{
    return serial->mcr & MCR_LOOP ? 0 : capacity(serial) - serial->rx.count;
}

size_t serial_room(struct serial *serial)
{
    lock(serial);
    size_t bytes = room(serial);
    serial->backend_waits = bytes == 0;
    pthread_mutex_unlock(&serial->lock);
    return bytes;
}

void serial_input(struct serial *serial, const uint8_t *data, size_t length)
{
    lock(serial);
    for (size_t i = 0; i < length && !(serial->mcr & MCR_LOOP); i++) {
        receive(serial, data[i], 0);
    }
    restart_timeout(serial);
    unlock(serial);
}

void serial_input_break(struct serial *serial)
{
    lock(serial);
    if (!(serial->mcr & MCR_LOOP)) {
        receive(serial, 0, LSR_BI | LSR_FE); /* no stop bit arrived either */
        restart_timeout(serial);
    }
    unlock(serial);
}

/* ---- sending */

void serial_writable(struct serial *serial)
{
    lock(serial);
    if (serial->tx.count > 0 && serial_backend_drain(&serial->backend, &serial->tx)) {
        serial->thre_pending = true;
    }
    unlock(serial);
}

/* Keep a byte that the backend did not take. A guest that did not wait for THRE loses one. */
static void hold_back(struct serial *serial, uint8_t value)
{
    if (serial->tx.count == capacity(serial)) {
        trace_serial_overrun(value);
        if (fifos_enabled(serial)) {
            return;
        }
        serial_fifo_clear(&serial->tx);
    }
    serial_fifo_push(&serial->tx, value, 0);
}

static void write_thr(struct serial *serial, uint8_t value)
{
    serial->thre_pending = false;
    if (serial->mcr & MCR_LOOP) {
        receive(serial, value, 0);
        restart_timeout(serial);
    } else if (serial->tx.count > 0 || serial_backend_write(&serial->backend, &value, 1) == 0) {
        hold_back(serial, value);
    }
    serial->thre_pending = serial->tx.count == 0;
}

void serial_flush(struct serial *serial)
{
    lock(serial);
    serial_backend_flush(&serial->backend, &serial->tx);
    unlock(serial);
}

/* ---- modem lines */

/*
 * The four inputs. Outside loopback the other end is always there and ready; in loopback they are
 * wired to the outputs. PC16550D, 8.6.
 */
static uint8_t modem_inputs(const struct serial *serial)
{
    if (!(serial->mcr & MCR_LOOP)) {
        return MSR_DCD | MSR_DSR | MSR_CTS;
    }
    return (serial->mcr & MCR_RTS ? MSR_CTS : 0) | (serial->mcr & MCR_DTR ? MSR_DSR : 0) |
           (serial->mcr & MCR_OUT1 ? MSR_RI : 0) | (serial->mcr & MCR_OUT2 ? MSR_DCD : 0);
}

static void update_modem_status(struct serial *serial)
{
    uint8_t inputs = modem_inputs(serial);
    uint8_t changed = (serial->msr ^ inputs) & ~MSR_DELTAS;
    uint8_t deltas = (changed >> 4) & (MSR_DCTS | MSR_DDSR | MSR_DDCD);
    if (changed & MSR_RI && !(inputs & MSR_RI)) {
        deltas |= MSR_TERI; /* only the trailing edge of the ring counts */
    }
    serial->msr = inputs | (serial->msr & MSR_DELTAS) | deltas;
}

static uint8_t read_msr(struct serial *serial)
{
    uint8_t value = serial->msr;
    serial->msr &= ~MSR_DELTAS;
    return value;
}

/* ---- registers */

static uint8_t read_iir(struct serial *serial)
{
    uint8_t id = pending_interrupt(serial);
    if (id == IIR_THRE) {
        serial->thre_pending = false;
    }
    return id | (fifos_enabled(serial) ? IIR_FIFOS : 0);
}

static uint8_t read_lsr(struct serial *serial)
{
    uint8_t value = line_status_of(serial);
    serial->errors = 0;
    return value;
}

static uint8_t read_locked(struct serial *serial, unsigned reg)
{
    bool dlab = serial->lcr & LCR_DLAB;
    switch (reg) {
    case RBR:
        return dlab ? serial->divisor & 0xff : read_rbr(serial);
    case IER:
        return dlab ? serial->divisor >> 8 : serial->ier;
    case IIR:
        return read_iir(serial);
    case LCR:
        return serial->lcr;
    case MCR:
        return serial->mcr;
    case LSR:
        return read_lsr(serial);
    case MSR:
        return read_msr(serial);
    default:
        return serial->scr;
    }
}

static void write_ier(struct serial *serial, uint8_t value)
{
    uint8_t enabled = value & ~serial->ier;
    serial->ier = value & IER_BITS;
    if (enabled & IER_THRE && serial->tx.count == 0) {
        serial->thre_pending = true;
    }
    if (enabled & IER_RECEIVED) {
        restart_timeout(serial);
    }
}

/* The other bits count only when the enable bit is written as 1. PC16550D, 8.5. */
static void write_fcr(struct serial *serial, uint8_t value)
{
    bool toggled = (serial->fcr ^ value) & FCR_ENABLE;
    if (!(value & FCR_ENABLE)) {
        value = 0;
    }
    if (toggled || value & FCR_CLEAR_RX) {
        serial_fifo_clear(&serial->rx);
        serial->timeout_pending = false;
    }
    if ((toggled || value & FCR_CLEAR_TX) && serial->tx.count > 0) {
        serial_fifo_clear(&serial->tx);
        serial->thre_pending = true;
    }
    serial->fcr = value & ~(FCR_CLEAR_RX | FCR_CLEAR_TX);
}

static void write_mcr(struct serial *serial, uint8_t value)
{
    serial->mcr = value & MCR_BITS;
    update_modem_status(serial);
}

static void write_locked(struct serial *serial, unsigned reg, uint8_t value)
{
    bool dlab = serial->lcr & LCR_DLAB;
    switch (reg) {
    case THR:
        if (dlab) {
            serial->divisor = (serial->divisor & 0xff00) | value;
        } else {
            write_thr(serial, value);
        }
        break;
    case IER:
        if (dlab) {
            serial->divisor = (serial->divisor & 0x00ff) | value << 8;
        } else {
            write_ier(serial, value);
        }
        break;
    case FCR:
        write_fcr(serial, value);
        break;
    case LCR:
        serial->lcr = value;
        break;
    case MCR:
        write_mcr(serial, value);
        break;
    case SCR:
        serial->scr = value;
        break;
    default: /* LSR and MSR: the data sheet forbids writing them; nothing happens */
        break;
    }
}

static uint8_t read_register(struct serial *serial, unsigned reg)
{
    lock(serial);
    uint8_t value = read_locked(serial, reg);
    unlock(serial);
    trace_serial_read(reg, value);
    return value;
}

static void write_register(struct serial *serial, unsigned reg, uint8_t value)
{
    trace_serial_write(reg, value);
    lock(serial);
    write_locked(serial, reg, value);
    unlock(serial);
}

/* ---- the bus */

static bool is_register(const struct serial *serial, uint64_t offset)
{
    return !(offset & (serial->config.stride - 1));
}

static unsigned register_at(const struct serial *serial, uint64_t offset)
{
    return offset >> serial->shift;
}

__attribute__((noinline)) static uint64_t read_lanes(struct serial *serial, uint64_t offset,
                                                     unsigned size)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < size; i++) {
        if (is_register(serial, offset + i)) {
            value |= (uint64_t)read_register(serial, register_at(serial, offset + i)) << 8 * i;
        }
    }
    return value;
}

/* LSR is what a guest polls before each byte: without an error to clear it takes no lock. */
static uint64_t region_read(void *opaque, uint64_t offset, unsigned size)
{
    struct serial *serial = opaque;
    if (size == 1 && offset == (uint64_t)LSR << serial->shift) {
        uint8_t status = atomic_load_explicit(&serial->line_status, memory_order_acquire);
        if (!(status & LSR_ERRORS)) {
            trace_serial_read(LSR, status);
            return status;
        }
    }
    return read_lanes(serial, offset, size);
}

static void region_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    struct serial *serial = opaque;
    for (unsigned i = 0; i < size; i++) {
        if (is_register(serial, offset + i)) {
            write_register(serial, register_at(serial, offset + i), value >> 8 * i);
        }
    }
}

static const struct bus_ops region_ops = {.read = region_read, .write = region_write};

/* ---- the backend */

static size_t console_room(void *opaque)
{
    return serial_room(opaque);
}

static void console_input(void *opaque, const uint8_t *data, size_t length)
{
    serial_input(opaque, data, length);
}

static void console_writable(void *opaque)
{
    serial_writable(opaque);
}

void serial_connect_console(struct serial *serial, struct console *console)
{
    const struct console_receiver receiver = {.room = console_room,
                                              .input = console_input,
                                              .writable = console_writable,
                                              .opaque = serial};
    serial_backend_console(&serial->backend, console, &receiver);
}

void serial_set_backend(struct serial *serial, const struct serial_backend *backend)
{
    serial->backend = *backend;
}

/* ---- life */

void serial_reset(struct serial *serial)
{
    lock(serial);
    serial_fifo_clear(&serial->rx);
    serial->ier = 0;
    serial->fcr = 0;
    serial->lcr = 0;
    serial->mcr = 0;
    serial->msr = modem_inputs(serial);
    serial->scr = 0;
    serial->errors = 0;
    serial->divisor = RESET_DIVISOR;
    serial->thre_pending = false;
    serial->timeout_pending = false;
    unlock(serial);
}

static int add_region(struct serial *serial, struct error *err)
{
    serial->region = (struct bus_region){.name = serial->config.name,
                                         .size = (uint64_t)SERIAL_REGISTERS * serial->config.stride,
                                         .priority = BUS_PRIORITY_FIXED,
                                         .ops = &region_ops,
                                         .opaque = serial};
    return bus_add(serial->config.bus, &serial->region, serial->config.base, err);
}

int serial_init(struct serial *serial, const struct serial_config *config, struct error *err)
{
    memset(serial, 0, sizeof(*serial));
    serial->config = *config;
    if (!serial->config.clock) {
        serial->config.clock = event_now_ns;
    }
    serial->shift = __builtin_ctz(config->stride);
    int rc = event_timer_init(&serial->timeout, config->loop, serial_timeout_expired, serial);
    if (rc < 0) {
        return error_set(err, rc, "%s: cannot create a timer: %s", config->name, strerror(-rc));
    }
    pthread_mutex_init(&serial->lock, NULL);
    serial_reset(serial);
    rc = add_region(serial, err);
    if (rc < 0) {
        pthread_mutex_destroy(&serial->lock);
        event_timer_destroy(&serial->timeout);
    }
    return rc;
}

void serial_destroy(struct serial *serial)
{
    serial_flush(serial);
    bus_remove(&serial->region);
    event_timer_destroy(&serial->timeout);
    pthread_mutex_destroy(&serial->lock);
}

/* SPDX-License-Identifier: MIT */
/* The 16550A: every register, the FIFOs, interrupt priorities, loopback, flow control. */
#include "platform_fixture.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "devices/serial.h"

enum { COM1 = 0x3f8, GSI = 4, MMIO_BASE = 0x9000 };
enum { RBR, IER, IIR, LCR, MCR, LSR, MSR, SCR, THR = 0, FCR = 2 };
enum { DLAB = 0x80, FIFO = 0x01, CLEAR_RX = 0x02, CLEAR_TX = 0x04 };
enum { DR = 0x01, OE = 0x02, FE = 0x08, BI = 0x10, IDLE = 0x60, FIFO_ERROR = 0x80 };
enum { IER_RX = 1, IER_TX = 2, IER_LINE = 4, IER_MODEM = 8 };
enum { NONE = 1, ID_MODEM = 0, ID_TX = 2, ID_RX = 4, ID_LINE = 6, ID_TIMEOUT = 0xc, FIFOS = 0xc0 };

/* The other end of the line. */
struct peer {
    char sent[256];
    size_t length;
    size_t room; /* how much it takes before it refuses */
    unsigned ready_calls;
};

struct rig {
    struct platform_fixture fixture; /* first */
    struct serial serial;
    struct peer peer;
};

static uint64_t now_ns;

static uint64_t test_clock(void)
{
    return now_ns;
}

static size_t peer_write(void *opaque, const uint8_t *data, size_t length)
{
    struct peer *peer = opaque;
    size_t taken = length < peer->room ? length : peer->room;
    assert_true(peer->length + taken < sizeof(peer->sent));
    memcpy(peer->sent + peer->length, data, taken);
    peer->length += taken;
    peer->room -= taken;
    return taken;
}

static void peer_ready(void *opaque)
{
    struct peer *peer = opaque;
    peer->ready_calls++;
}

static void rig_init(struct rig *rig, uint64_t base, unsigned stride)
{
    struct serial_config config = {.name = "serial",
                                   .bus = &rig->fixture.vm.pio,
                                   .base = base,
                                   .stride = stride,
                                   .irq = &rig->fixture.irq.chip,
                                   .gsi = GSI,
                                   .loop = &rig->fixture.vm.loop,
                                   .clock = test_clock};
    const struct serial_backend backend = {
        .write = peer_write, .ready = peer_ready, .opaque = &rig->peer};
    struct error err = {0};
    fixture_init(&rig->fixture);
    now_ns = 1000000000;
    rig->peer = (struct peer){.room = SIZE_MAX};
    assert_int_equal(serial_init(&rig->serial, &config, &err), 0);
    serial_set_backend(&rig->serial, &backend);
}

static int setup(void **state)
{
    struct rig *rig = malloc(sizeof(*rig));
    rig_init(rig, COM1, 1);
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    struct rig *rig = *state;
    rig->peer.room = SIZE_MAX;
    serial_destroy(&rig->serial);
    fixture_destroy(&rig->fixture);
    free(rig);
    return 0;
}

static uint8_t get(struct rig *rig, unsigned reg)
{
    return inb(&rig->fixture, COM1 + reg);
}

static void put(struct rig *rig, unsigned reg, uint8_t value)
{
    outb(&rig->fixture, COM1 + reg, value);
}

static bool irq(struct rig *rig)
{
    return rig->fixture.irq.level[GSI];
}

static void type(struct rig *rig, const char *text)
{
    serial_input(&rig->serial, (const uint8_t *)text, strlen(text));
}

static void assert_sent(struct rig *rig, const char *text)
{
    assert_int_equal(rig->peer.length, strlen(text));
    assert_memory_equal(rig->peer.sent, text, strlen(text));
}

static void reset_state(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(get(rig, IER), 0);
    assert_int_equal(get(rig, IIR), NONE);
    assert_int_equal(get(rig, LCR), 0);
    assert_int_equal(get(rig, MCR), 0);
    assert_int_equal(get(rig, LSR), IDLE);
    assert_int_equal(get(rig, MSR), 0xb0);
    assert_false(irq(rig));
}

static void registers_keep_their_bits(void **state)
{
    struct rig *rig = *state;
    put(rig, SCR, 0xa5);
    put(rig, LCR, 0x7f);
    put(rig, IER, 0xf8);
    put(rig, MCR, 0xef);
    put(rig, LSR, 0xff);
    put(rig, MSR, 0xff);
    assert_int_equal(get(rig, SCR), 0xa5);
    assert_int_equal(get(rig, LCR), 0x7f);
    assert_int_equal(get(rig, IER), 0x08);
    assert_int_equal(get(rig, MCR), 0x0f);
    assert_int_equal(get(rig, LSR), IDLE);
    assert_int_equal(get(rig, MSR), 0xb0);
}

static void dlab_selects_the_divisor(void **state)
{
    struct rig *rig = *state;
    put(rig, IER, IER_RX);
    put(rig, LCR, DLAB | 3);
    put(rig, 0, 0x34);
    put(rig, 1, 0x12);
    assert_int_equal(get(rig, 0), 0x34);
    assert_int_equal(get(rig, 1), 0x12);
    put(rig, LCR, 3);
    assert_int_equal(get(rig, IER), IER_RX);
    assert_int_equal(rig->serial.divisor, 0x1234);
    assert_sent(rig, "");
}

static void wide_accesses_reach_several_registers(void **state)
{
    struct rig *rig = *state;
    out(&rig->fixture, COM1 + LCR, 2, 0x0503); /* LCR and MCR */
    assert_int_equal(get(rig, LCR), 0x03);
    assert_int_equal(get(rig, MCR), 0x05);
    put(rig, SCR, 0x77);
    assert_int_equal(in(&rig->fixture, COM1 + LCR, 4), 0xb0u << 24 | IDLE << 16 | 0x0503);
    assert_int_equal(in(&rig->fixture, COM1 + MSR, 2), 0x77b0);
}

static void stride_spreads_the_registers(void **state)
{
    (void)state;
    struct rig *rig = malloc(sizeof(*rig));
    rig_init(rig, MMIO_BASE, 4);
    outb(&rig->fixture, MMIO_BASE + 4 * SCR, 0x5a);
    out(&rig->fixture, MMIO_BASE, 4, 'x');
    assert_int_equal(in(&rig->fixture, MMIO_BASE + 4 * SCR, 4), 0x5a);
    assert_int_equal(in(&rig->fixture, MMIO_BASE + 4 * SCR + 1, 1), 0);
    assert_int_equal(in(&rig->fixture, MMIO_BASE + 4 * LSR, 8), IDLE | 0xb0ull << 32);
    assert_int_equal(inb(&rig->fixture, MMIO_BASE + 4 * LSR), IDLE);
    assert_int_equal(inb(&rig->fixture, MMIO_BASE + 32), 0xff);
    assert_sent(rig, "x");
    void *own = rig;
    teardown(&own);
}

static void sends_at_once(void **state)
{
    struct rig *rig = *state;
    for (const char *c = "hello"; *c; c++) {
        assert_int_equal(get(rig, LSR), IDLE);
        put(rig, THR, *c);
    }
    assert_sent(rig, "hello");
}

static void without_a_backend_output_is_dropped(void **state)
{
    struct rig *rig = *state;
    serial_set_backend(&rig->serial, &(struct serial_backend){0});
    put(rig, THR, 'x');
    assert_int_equal(get(rig, LSR), IDLE);
}

static void refused_bytes_wait_in_order(void **state)
{
    struct rig *rig = *state;
    put(rig, FCR, FIFO);
    rig->peer.room = 1;
    put(rig, THR, 'a');
    assert_int_equal(get(rig, LSR), IDLE);
    put(rig, THR, 'b');
    assert_int_equal(get(rig, LSR), 0);
    rig->peer.room = 1; /* there is room again, but nobody has said so: 'c' must not overtake */
    put(rig, THR, 'c');
    put(rig, THR, 'd');
    assert_sent(rig, "a");
    serial_writable(&rig->serial);
    assert_sent(rig, "ab");
    assert_int_equal(get(rig, LSR), 0);
    rig->peer.room = 100;
    serial_writable(&rig->serial);
    assert_sent(rig, "abcd");
    assert_int_equal(get(rig, LSR), IDLE);
}

static void a_full_transmitter_loses_the_newest(void **state)
{
    struct rig *rig = *state;
    put(rig, FCR, FIFO);
    rig->peer.room = 0;
    for (unsigned i = 0; i < 18; i++) {
        put(rig, THR, 'a' + i);
    }
    rig->peer.room = 100;
    serial_writable(&rig->serial);
    assert_sent(rig, "abcdefghijklmnop");
}

static void without_fifos_the_newest_replaces(void **state)
{
    struct rig *rig = *state;
    rig->peer.room = 0;
    put(rig, THR, 'a');
    put(rig, THR, 'b');
    rig->peer.room = 100;
    serial_writable(&rig->serial);
    assert_sent(rig, "b");
}

static void flush_hands_out_the_rest(void **state)
{
    struct rig *rig = *state;
    put(rig, FCR, FIFO);
    rig->peer.room = 0;
    put(rig, THR, 'x');
    put(rig, THR, 'y');
    rig->peer.room = 100;
    serial_flush(&rig->serial);
    assert_sent(rig, "xy");
    assert_int_equal(get(rig, LSR), IDLE);
}

static void flush_gives_up_on_a_stuck_backend(void **state)
{
    struct rig *rig = *state;
    struct timespec start;
    struct timespec end;
    rig->peer.room = 0;
    put(rig, THR, 'x');
    clock_gettime(CLOCK_MONOTONIC, &start);
    serial_flush(&rig->serial);
    clock_gettime(CLOCK_MONOTONIC, &end);
    assert_true(end.tv_sec - start.tv_sec <= 2);
    assert_sent(rig, "");
}

static void reset_keeps_bytes_on_their_way(void **state)
{
    struct rig *rig = *state;
    rig->peer.room = 0;
    put(rig, THR, 'x');
    serial_reset(&rig->serial);
    assert_int_equal(get(rig, LSR), 0);
    rig->peer.room = 1;
    serial_writable(&rig->serial);
    assert_sent(rig, "x");
}

static void thre_interrupt(void **state)
{
    struct rig *rig = *state;
    put(rig, IER, IER_TX); /* enabling it while the transmitter is empty raises it */
    assert_true(irq(rig));
    assert_int_equal(get(rig, IIR), ID_TX);
    assert_false(irq(rig)); /* reading IIR acknowledges */
    assert_int_equal(get(rig, IIR), NONE);
    put(rig, IER, IER_TX); /* no change: nothing */
    assert_false(irq(rig));
    put(rig, THR, 'x'); /* sent at once: empty again */
    assert_true(irq(rig));
    put(rig, IER, 0);
    assert_false(irq(rig));
    put(rig, IER, IER_TX);
    assert_true(irq(rig));
}

static void thre_interrupt_waits_for_the_backend(void **state)
{
    struct rig *rig = *state;
    put(rig, FCR, FIFO);
    put(rig, IER, IER_TX);
    rig->peer.room = 0;
    put(rig, THR, 'x'); /* writing THR acknowledges too */
    assert_false(irq(rig));
    assert_int_equal(get(rig, IIR), FIFOS | NONE);
    put(rig, IER, 0);
    put(rig, IER, IER_TX); /* not empty: enabling raises nothing */
    assert_false(irq(rig));
    rig->peer.room = 1;
    serial_writable(&rig->serial);
    assert_true(irq(rig));
    assert_int_equal(get(rig, IIR), FIFOS | ID_TX);
}

static void clearing_the_transmitter_empties_it(void **state)
{
    struct rig *rig = *state;
    put(rig, FCR, FIFO);
    put(rig, IER, IER_TX);
    rig->peer.room = 0;
    put(rig, THR, 'x');
    put(rig, FCR, FIFO | CLEAR_TX);
    assert_int_equal(get(rig, LSR), IDLE);
    assert_true(irq(rig));
    rig->peer.room = 100;
    serial_writable(&rig->serial);
    assert_sent(rig, "");
}

static void receives_one_byte_without_fifos(void **state)
{
    struct rig *rig = *state;
    put(rig, IER, IER_RX);
    assert_int_equal(serial_room(&rig->serial), 1);
    type(rig, "a");
    assert_int_equal(serial_room(&rig->serial), 0);
    assert_int_equal(get(rig, LSR), IDLE | DR);
    assert_true(irq(rig));
    assert_int_equal(get(rig, IIR), ID_RX);
    assert_int_equal(get(rig, RBR), 'a');
    assert_false(irq(rig));
    assert_int_equal(get(rig, LSR), IDLE);
    assert_int_equal(get(rig, IIR), NONE);
}

static void trigger_levels(void **state)
{
    struct rig *rig = *state;
    static const unsigned levels[] = {1, 4, 8, 14};
    put(rig, IER, IER_RX);
    for (unsigned i = 0; i < 4; i++) {
        put(rig, FCR, i << 6 | FIFO | CLEAR_RX);
        for (unsigned n = 1; n < levels[i]; n++) {
            type(rig, "x");
            assert_false(irq(rig));
        }
        type(rig, "x");
        assert_true(irq(rig));
        assert_int_equal(get(rig, IIR), FIFOS | ID_RX);
        get(rig, RBR);
        assert_false(irq(rig)); /* below the level again */
    }
}

/* 9600 baud, 8N1: 10 bits of 104.17 us; four characters are 4.17 ms. */
static void character_timeout(void **state)
{
    struct rig *rig = *state;
    put(rig, LCR, 3);
    put(rig, FCR, 0xc0 | FIFO);
    put(rig, IER, IER_RX);
    type(rig, "ab");
    assert_true(rig->serial.timeout_armed);
    now_ns += 4000000;
    serial_timeout_expired(&rig->serial);
    assert_false(irq(rig)); /* too early: the timer is set again */
    assert_true(rig->serial.timeout_armed);
    now_ns += 200000;
    serial_timeout_expired(&rig->serial);
    assert_true(irq(rig));
    assert_int_equal(get(rig, IIR), FIFOS | ID_TIMEOUT);
    assert_int_equal(get(rig, IIR), FIFOS | ID_TIMEOUT);
    assert_int_equal(get(rig, RBR), 'a');
    assert_false(irq(rig)); /* reading restarts the wait */
    now_ns += 4200000;
    serial_timeout_expired(&rig->serial);
    assert_true(irq(rig));
    assert_int_equal(get(rig, RBR), 'b');
    now_ns += 4200000;
    serial_timeout_expired(&rig->serial);
    assert_false(irq(rig)); /* nothing waits */
    assert_int_equal(get(rig, IIR), FIFOS | NONE);
}

static void timeout_starts_when_it_is_enabled(void **state)
{
    struct rig *rig = *state;
    put(rig, FCR, 0xc0 | FIFO);
    type(rig, "a");
    assert_false(rig->serial.timeout_armed);
    put(rig, IER, IER_RX);
    assert_true(rig->serial.timeout_armed);
    now_ns += 10000000;
    serial_timeout_expired(&rig->serial);
    assert_true(irq(rig));
    put(rig, FCR, 0xc0 | FIFO | CLEAR_RX);
    assert_false(irq(rig));
}

static void overrun_with_fifos_keeps_the_old(void **state)
{
    struct rig *rig = *state;
    put(rig, FCR, FIFO);
    put(rig, IER, IER_LINE);
    type(rig, "0123456789abcdef");
    assert_int_equal(serial_room(&rig->serial), 0);
    assert_false(irq(rig));
    type(rig, "X");
    assert_true(irq(rig));
    assert_int_equal(get(rig, IIR), FIFOS | ID_LINE);
    assert_int_equal(get(rig, LSR), IDLE | DR | OE); /* OE is no character's: not FIFO_ERROR */
    assert_false(irq(rig));
    assert_int_equal(get(rig, LSR), IDLE | DR);
    for (const char *c = "0123456789abcdef"; *c; c++) {
        assert_int_equal(get(rig, RBR), *c);
    }
    assert_int_equal(get(rig, LSR), IDLE);
}

static void overrun_without_fifos_keeps_the_new(void **state)
{
    struct rig *rig = *state;
    type(rig, "ab");
    assert_int_equal(get(rig, LSR), IDLE | DR | OE);
    assert_int_equal(get(rig, RBR), 'b');
    assert_int_equal(get(rig, LSR), IDLE);
}

static void a_break_shows_at_the_head(void **state)
{
    struct rig *rig = *state;
    put(rig, FCR, FIFO);
    put(rig, IER, IER_LINE);
    type(rig, "a");
    serial_input_break(&rig->serial);
    type(rig, "b");
    assert_false(irq(rig));
    assert_int_equal(get(rig, LSR), IDLE | DR | FIFO_ERROR); /* in the FIFO, not at its head */
    assert_int_equal(get(rig, RBR), 'a');
    assert_true(irq(rig));
    assert_int_equal(get(rig, LSR), IDLE | DR | BI | FE | FIFO_ERROR);
    assert_false(irq(rig));
    assert_int_equal(get(rig, LSR), IDLE | DR);
    assert_int_equal(get(rig, RBR), 0);
    assert_int_equal(get(rig, RBR), 'b');
}

static void interrupts_by_priority(void **state)
{
    struct rig *rig = *state;
    put(rig, IER, 0x0f);
    put(rig, MCR, 0x10); /* loopback drops the modem lines: four changes, RI was off */
    put(rig, MCR, 0x00);
    type(rig, "ab"); /* overruns */
    assert_int_equal(get(rig, IIR), ID_LINE);
    get(rig, LSR);
    assert_int_equal(get(rig, IIR), ID_RX);
    get(rig, RBR);
    assert_int_equal(get(rig, IIR), ID_TX);
    assert_int_equal(get(rig, IIR), ID_MODEM);
    assert_int_equal(get(rig, MSR), 0xbb);
    assert_false(irq(rig));
    assert_int_equal(get(rig, IIR), NONE);
    assert_int_equal(rig->fixture.irq.rises[GSI], 1); /* one level all the time */
}

static void loopback_wires_outputs_to_inputs(void **state)
{
    struct rig *rig = *state;
    static const struct {
        uint8_t mcr, msr;
    } lines[] = {{0x10, 0x00}, {0x11, 0x20}, {0x12, 0x10}, {0x14, 0x40},
                 {0x18, 0x80}, {0x1a, 0x90}, {0x1f, 0xf0}};
    for (unsigned i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        put(rig, MCR, lines[i].mcr);
        assert_int_equal(get(rig, MSR) & 0xf0, lines[i].msr);
        assert_int_equal(get(rig, MSR), lines[i].msr); /* the deltas are gone */
    }
}

static void ring_counts_at_its_end(void **state)
{
    struct rig *rig = *state;
    put(rig, MCR, 0x10);
    get(rig, MSR);
    put(rig, MCR, 0x14); /* RI on */
    assert_int_equal(get(rig, MSR), 0x40);
    put(rig, MCR, 0x10); /* and off */
    assert_int_equal(get(rig, MSR), 0x04);
}

static void loopback_returns_what_is_sent(void **state)
{
    struct rig *rig = *state;
    put(rig, FCR, FIFO);
    put(rig, MCR, 0x10);
    for (unsigned i = 0; i < 16; i++) {
        put(rig, THR, i);
    }
    for (unsigned i = 0; i < 16; i++) {
        assert_int_equal(get(rig, LSR), IDLE | DR);
        assert_int_equal(get(rig, RBR), i);
    }
    assert_int_equal(get(rig, LSR), IDLE);
    assert_sent(rig, "");
}

static void loopback_cuts_the_line(void **state)
{
    struct rig *rig = *state;
    put(rig, MCR, 0x10);
    assert_int_equal(serial_room(&rig->serial), 0);
    type(rig, "x");
    assert_int_equal(get(rig, LSR), IDLE);
    assert_int_equal(rig->peer.ready_calls, 0);
    put(rig, MCR, 0);
    assert_int_equal(rig->peer.ready_calls, 1);
    assert_int_equal(serial_room(&rig->serial), 1);
}

static void fcr_bits_need_the_enable_bit(void **state)
{
    struct rig *rig = *state;
    type(rig, "z");
    put(rig, FCR, 0xc0 | CLEAR_RX); /* without bit 0: ignored */
    assert_int_equal(get(rig, IIR), NONE);
    assert_int_equal(get(rig, LSR), IDLE | DR);
    put(rig, FCR, 0xc0 | FIFO);
    assert_int_equal(get(rig, IIR), FIFOS | NONE);
    assert_int_equal(serial_room(&rig->serial), 16);
    type(rig, "abc");
    put(rig, FCR, 0); /* off: both FIFOs are cleared */
    assert_int_equal(get(rig, IIR), NONE);
    assert_int_equal(get(rig, LSR), IDLE);
    type(rig, "d");
    put(rig, FCR, FIFO); /* on: the same */
    assert_int_equal(get(rig, LSR), IDLE);
    type(rig, "e");
    put(rig, FCR, FIFO); /* no change: kept */
    assert_int_equal(get(rig, LSR), IDLE | DR);
    put(rig, FCR, FIFO | CLEAR_RX);
    assert_int_equal(get(rig, LSR), IDLE);
}

static void the_backend_hears_of_room(void **state)
{
    struct rig *rig = *state;
    put(rig, FCR, FIFO);
    type(rig, "0123456789abcdef");
    assert_int_equal(serial_room(&rig->serial), 0);
    for (unsigned i = 0; i < 15; i++) {
        get(rig, RBR);
        assert_int_equal(rig->peer.ready_calls, 0);
    }
    get(rig, RBR);
    assert_int_equal(rig->peer.ready_calls, 1);
    type(rig, "x");
    get(rig, RBR);
    assert_int_equal(rig->peer.ready_calls, 1); /* it was not waiting */
    assert_int_equal(serial_room(&rig->serial), 16);
}

static void base_is_checked(void **state)
{
    struct rig *rig = *state;
    struct serial second;
    struct error err = {0};
    struct serial_config config = rig->serial.config;
    config.name = "second";
    assert_int_equal(serial_init(&second, &config, &err), -EEXIST);
    assert_non_null(strstr(err.text, "second"));
}

/* ---- threads: a vCPU sends while another end takes only some, and types at the same time */

enum { STREAM = 20000 };

struct stream {
    struct rig *rig;
    unsigned received;
    unsigned wrong;  /* bytes that came out of order */
    unsigned offers; /* every third is refused */
    atomic_bool stop;
};

static size_t stream_write(void *opaque, const uint8_t *data, size_t length)
{
    struct stream *stream = opaque;
    if (stream->offers++ % 3 == 0) {
        return 0;
    }
    for (size_t i = 0; i < length; i++) {
        stream->wrong += data[i] != (uint8_t)stream->received;
        stream->received++;
    }
    return length;
}

static void *main_thread(void *opaque)
{
    struct stream *stream = opaque;
    while (!atomic_load(&stream->stop)) {
        serial_writable(&stream->rig->serial);
        if (serial_room(&stream->rig->serial) > 0) {
            serial_input(&stream->rig->serial, (const uint8_t *)"k", 1);
        }
    }
    return NULL;
}

static void two_threads(void **state)
{
    struct rig *rig = *state;
    struct stream stream = {.rig = rig};
    const struct serial_backend backend = {.write = stream_write, .opaque = &stream};
    pthread_t thread;
    serial_set_backend(&rig->serial, &backend);
    put(rig, FCR, FIFO);
    pthread_create(&thread, NULL, main_thread, &stream);
    for (unsigned i = 0; i < STREAM;) {
        uint8_t status = get(rig, LSR);
        if (status & DR) {
            assert_int_equal(get(rig, RBR), 'k');
        }
        if (status & 0x20) {
            put(rig, THR, i++);
        }
    }
    while (!(get(rig, LSR) & 0x40)) {
    }
    atomic_store(&stream.stop, true);
    pthread_join(thread, NULL);
    assert_int_equal(stream.received, STREAM);
    assert_int_equal(stream.wrong, 0);
    serial_set_backend(&rig->serial, &(struct serial_backend){0});
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reset_state),
        TEST(registers_keep_their_bits),
        TEST(dlab_selects_the_divisor),
        TEST(wide_accesses_reach_several_registers),
        cmocka_unit_test(stride_spreads_the_registers),
        TEST(sends_at_once),
        TEST(without_a_backend_output_is_dropped),
        TEST(refused_bytes_wait_in_order),
        TEST(a_full_transmitter_loses_the_newest),
        TEST(without_fifos_the_newest_replaces),
        TEST(flush_hands_out_the_rest),
        TEST(flush_gives_up_on_a_stuck_backend),
        TEST(reset_keeps_bytes_on_their_way),
        TEST(thre_interrupt),
        TEST(thre_interrupt_waits_for_the_backend),
        TEST(clearing_the_transmitter_empties_it),
        TEST(receives_one_byte_without_fifos),
        TEST(trigger_levels),
        TEST(character_timeout),
        TEST(timeout_starts_when_it_is_enabled),
        TEST(overrun_with_fifos_keeps_the_old),
        TEST(overrun_without_fifos_keeps_the_new),
        TEST(a_break_shows_at_the_head),
        TEST(interrupts_by_priority),
        TEST(loopback_wires_outputs_to_inputs),
        TEST(ring_counts_at_its_end),
        TEST(loopback_returns_what_is_sent),
        TEST(loopback_cuts_the_line),
        TEST(fcr_bits_need_the_enable_bit),
        TEST(the_backend_hears_of_room),
        TEST(base_is_checked),
        TEST(two_threads),
    };
    return cmocka_run_group_tests_name("serial", tests, NULL, NULL);
}

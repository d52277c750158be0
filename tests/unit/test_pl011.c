/* SPDX-License-Identifier: MIT */
/* The PL011: every register, the FIFOs and their levels, interrupts, loopback, flow control. */
#include "platform_fixture.h"

#include <sys/timerfd.h>

#include "devices/pl011.h"

enum { BASE = 0x9000, GSI = 1 };
enum {
    DR = BASE,
    RSR = BASE + 0x04,
    FR = BASE + 0x18,
    ILPR = BASE + 0x20,
    IBRD = BASE + 0x24,
    FBRD = BASE + 0x28,
    LCR_H = BASE + 0x2c,
    CR = BASE + 0x30,
    IFLS = BASE + 0x34,
    IMSC = BASE + 0x38,
    RIS = BASE + 0x3c,
    MIS = BASE + 0x40,
    ICR = BASE + 0x44,
    DMACR = BASE + 0x48,
    ID = BASE + 0xfe0,
};
enum { CTS = 1, DSR = 2, DCD = 4, BUSY = 8, RXFE = 0x10, TXFF = 0x20, RXFF = 0x40, TXFE = 0x80 };
enum { ONLINE = CTS | DSR | DCD, RI = 0x100, FEN = 0x10, ON = 0x301, LOOP = 0x80 };
enum { INT_MODEM = 0xf, INT_RX = 0x10, INT_TX = 0x20, INT_RT = 0x40, INT_OE = 0x400 };
enum { INT_BREAK = 0x280, ALL = 0x7ff };

/* The other end of the line. */
struct peer {
    char sent[256];
    size_t length;
    size_t room; /* how much it takes before it refuses */
    unsigned ready_calls;
};

struct rig {
    struct platform_fixture fixture; /* first */
    struct pl011 uart;
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

static uint32_t get(struct rig *rig, uint64_t reg)
{
    return (uint32_t)in(&rig->fixture, reg, 4);
}

static void put(struct rig *rig, uint64_t reg, uint32_t value)
{
    out(&rig->fixture, reg, 4, value);
}

static bool pin(struct rig *rig)
{
    return rig->fixture.irq.level[GSI];
}

static void type(struct rig *rig, const char *text)
{
    pl011_input(&rig->uart, (const uint8_t *)text, strlen(text));
}

static void type_many(struct rig *rig, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        type(rig, "x");
    }
}

static int setup(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    struct pl011_config config = {.bus = &rig->fixture.vm.pio,
                                  .base = BASE,
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
    assert_int_equal(pl011_init(&rig->uart, &config, &err), 0);
    pl011_set_backend(&rig->uart, &backend);
    *state = rig;
    return 0;
}

/* As Linux leaves it: enabled, with FIFOs. */
static int setup_on(void **state)
{
    setup(state);
    put(*state, LCR_H, FEN | 0x60);
    put(*state, CR, ON);
    return 0;
}

static int teardown(void **state)
{
    struct rig *rig = *state;
    pl011_destroy(&rig->uart);
    fixture_destroy(&rig->fixture);
    free(rig);
    return 0;
}

/* ---- registers */

static void reset_values(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(get(rig, FR), TXFE | RXFE | ONLINE);
    assert_int_equal(get(rig, CR), 0x300);
    assert_int_equal(get(rig, IFLS), 0x12);
    const uint64_t zeroes[] = {DR, RSR, ILPR, IBRD, FBRD, LCR_H, IMSC, RIS, MIS, ICR, DMACR};
    for (size_t i = 0; i < sizeof(zeroes) / sizeof(zeroes[0]); i++) {
        assert_int_equal(get(rig, zeroes[i]), 0);
    }
}

static void identification(void **state)
{
    struct rig *rig = *state;
    const uint8_t ids[] = {0x11, 0x10, 0x34, 0x00, 0x0d, 0xf0, 0x05, 0xb1};
    for (unsigned i = 0; i < sizeof(ids); i++) {
        assert_int_equal(get(rig, ID + 4 * i), ids[i]);
        put(rig, ID + 4 * i, 0xff);
        assert_int_equal(get(rig, ID + 4 * i), ids[i]);
    }
}

static void writable_bits(void **state)
{
    struct rig *rig = *state;
    static const struct {
        uint64_t reg;
        uint32_t bits;
    } registers[] = {{ILPR, 0xff}, {IBRD, 0xffff}, {FBRD, 0x3f},    {LCR_H, 0xff}, {CR, 0xff87},
                     {IFLS, 0x3f}, {IMSC, 0x7ff},  {DMACR, 0x07},   {FR, 0},       {RIS, 0},
                     {MIS, 0},     {BASE + 8, 0},  {BASE + 0x80, 0}};
    for (size_t i = 0; i < sizeof(registers) / sizeof(registers[0]); i++) {
        uint32_t before = get(rig, registers[i].reg);
        put(rig, registers[i].reg, UINT32_MAX);
        uint32_t after = get(rig, registers[i].reg);
        if (registers[i].bits != 0) {
            assert_int_equal(after, registers[i].bits);
        } else {
            assert_int_equal(after & ~(uint32_t)INT_MODEM & ~(RI | ONLINE),
                             before & ~(RI | ONLINE) & ~(uint32_t)INT_MODEM);
        }
    }
}

static void widths(void **state)
{
    struct rig *rig = *state;
    put(rig, IBRD, 0x1234);
    put(rig, FBRD, 0x15);
    assert_int_equal(in(&rig->fixture, IBRD, 1), 0x34);
    assert_int_equal(in(&rig->fixture, IBRD + 1, 1), 0x12);
    assert_int_equal(in(&rig->fixture, IBRD, 2), 0x1234);
    assert_int_equal(in(&rig->fixture, IBRD + 2, 4), 0x00150000);
    assert_int_equal(in(&rig->fixture, IBRD, 8), 0x1500001234);
    out(&rig->fixture, IBRD, 1, 0x77);
    assert_int_equal(get(rig, IBRD), 0x77);
    out(&rig->fixture, IBRD + 1, 1, 0x55); /* starts inside a register */
    assert_int_equal(get(rig, IBRD), 0x77);
    out(&rig->fixture, IBRD, 8, 0x2a00000011);
    assert_int_equal(get(rig, IBRD), 0x11);
    assert_int_equal(get(rig, FBRD), 0x2a);
    assert_int_equal(in(&rig->fixture, BASE + 0xffc, 4), 0xb1); /* at the very end */
    assert_int_equal(in(&rig->fixture, BASE + 0xffd, 2), 0);
}

/* ---- sending */

static void sends_at_once(void **state)
{
    struct rig *rig = *state;
    outb(&rig->fixture, DR, 'a'); /* not enabled: as early consoles have it */
    put(rig, DR, 'b');
    assert_string_equal(rig->peer.sent, "ab");
    assert_int_equal(get(rig, FR) & (TXFE | TXFF | BUSY), TXFE);
}

static void refused_bytes_wait(void **state)
{
    struct rig *rig = *state;
    rig->peer.room = 0;
    for (unsigned i = 0; i < PL011_FIFO_SIZE; i++) {
        assert_int_equal(get(rig, FR) & TXFF, 0);
        put(rig, DR, 'a' + i % 26);
        assert_int_equal(get(rig, FR) & (BUSY | TXFE), BUSY);
    }
    assert_int_equal(get(rig, FR) & TXFF, TXFF);
    put(rig, DR, '!'); /* the guest did not look: lost */
    rig->peer.room = 5;
    pl011_writable(&rig->uart);
    assert_string_equal(rig->peer.sent, "abcde");
    rig->peer.room = SIZE_MAX;
    pl011_writable(&rig->uart);
    assert_int_equal(rig->peer.length, PL011_FIFO_SIZE);
    assert_null(strchr(rig->peer.sent, '!'));
    assert_int_equal(get(rig, FR) & (TXFE | TXFF | BUSY), TXFE);
}

static void transmit_interrupt_comes_when_the_fifo_falls_to_its_level(void **state)
{
    struct rig *rig = *state;
    put(rig, IMSC, INT_TX);
    assert_false(pin(rig)); /* an empty FIFO alone is not enough */
    put(rig, DR, 'a');
    assert_true(pin(rig));
    put(rig, ICR, INT_TX);
    assert_false(pin(rig));
    rig->peer.room = 0;
    for (unsigned i = 0; i < PL011_FIFO_SIZE; i++) {
        put(rig, DR, 'x');
    }
    assert_false(pin(rig)); /* above its level, half */
    rig->peer.room = PL011_FIFO_SIZE / 2 - 1;
    pl011_writable(&rig->uart);
    assert_false(pin(rig));
    rig->peer.room = 1;
    pl011_writable(&rig->uart);
    assert_true(pin(rig));
    assert_int_equal(get(rig, MIS), INT_TX);
}

static void without_fifos_one_byte_waits(void **state)
{
    struct rig *rig = *state;
    put(rig, LCR_H, 0x60);
    rig->peer.room = 0;
    put(rig, DR, 'a');
    assert_int_equal(get(rig, FR) & (TXFF | BUSY), TXFF | BUSY);
    put(rig, DR, 'b');
    rig->peer.room = SIZE_MAX;
    pl011_writable(&rig->uart);
    assert_string_equal(rig->peer.sent, "a");
    assert_int_equal(get(rig, RIS) & INT_TX, INT_TX);
}

/* ---- receiving */

static void receives(void **state)
{
    struct rig *rig = *state;
    type(rig, "hi");
    assert_int_equal(pl011_room(&rig->uart), PL011_FIFO_SIZE - 2);
    assert_int_equal(get(rig, FR) & (RXFE | RXFF), 0);
    assert_int_equal(get(rig, DR), 'h');
    assert_int_equal(get(rig, DR), 'i');
    assert_int_equal(get(rig, FR) & RXFE, RXFE);
    assert_int_equal(get(rig, DR), 'i'); /* nothing new */
}

static void a_disabled_receiver_takes_nothing(void **state)
{
    struct rig *rig = *state;
    const uint32_t off[] = {0x300, 0x101, ON | LOOP};
    for (size_t i = 0; i < sizeof(off) / sizeof(off[0]); i++) {
        put(rig, CR, off[i]);
        unsigned before = rig->peer.ready_calls;
        assert_int_equal(pl011_room(&rig->uart), 0);
        type(rig, "x");
        pl011_input_break(&rig->uart);
        assert_int_equal(get(rig, FR) & RXFE, RXFE);
        put(rig, CR, ON);
        assert_int_equal(rig->peer.ready_calls, before + 1);
        assert_int_equal(pl011_room(&rig->uart), PL011_FIFO_SIZE);
    }
}

static void receive_levels(void **state)
{
    struct rig *rig = *state;
    const unsigned levels[] = {4, 8, 16, 24, 28};
    put(rig, IMSC, INT_RX);
    for (unsigned field = 0; field < 5; field++) {
        put(rig, IFLS, field << 3);
        type_many(rig, levels[field] - 1);
        assert_false(pin(rig));
        type(rig, "yz");
        assert_true(pin(rig));
        get(rig, DR);
        assert_true(pin(rig)); /* at its level */
        get(rig, DR);
        assert_false(pin(rig)); /* below it again */
        while (!(get(rig, FR) & RXFE)) {
            get(rig, DR);
        }
    }
}

static void a_lower_level_may_be_reached_already(void **state)
{
    struct rig *rig = *state;
    put(rig, IMSC, INT_RX);
    type_many(rig, 10);
    assert_false(pin(rig));
    put(rig, IFLS, 0);
    assert_true(pin(rig));
    put(rig, IFLS, 4 << 3);
    assert_false(pin(rig));
}

static void overrun_keeps_the_old(void **state)
{
    struct rig *rig = *state;
    put(rig, IMSC, INT_OE);
    type_many(rig, PL011_FIFO_SIZE);
    assert_int_equal(get(rig, FR) & RXFF, RXFF);
    assert_int_equal(pl011_room(&rig->uart), 0);
    assert_false(pin(rig));
    type(rig, "y");
    assert_true(pin(rig));
    assert_int_equal(get(rig, RSR), 8);
    assert_int_equal(get(rig, DR), 'x' | 0x800);
    put(rig, RSR, 0);
    for (unsigned i = 1; i < PL011_FIFO_SIZE; i++) {
        assert_int_equal(get(rig, DR), 'x');
    }
    put(rig, ICR, INT_OE);
    assert_false(pin(rig));
    assert_int_equal(rig->peer.ready_calls, 1);
}

static void a_break_has_its_errors_with_it(void **state)
{
    struct rig *rig = *state;
    put(rig, IMSC, ALL & ~INT_TX);
    type(rig, "a");
    pl011_input_break(&rig->uart);
    type(rig, "b");
    assert_int_equal(get(rig, RIS) & INT_BREAK, INT_BREAK);
    assert_int_equal(get(rig, DR), 'a');
    assert_int_equal(get(rig, DR), 0x500);
    assert_int_equal(get(rig, RSR), 5);
    assert_int_equal(get(rig, DR), 'b');
    assert_int_equal(get(rig, RSR), 0);
    put(rig, ICR, INT_BREAK);
    assert_false(pin(rig));
}

static void timeout(void **state)
{
    struct rig *rig = *state;
    put(rig, IBRD, 13); /* 115200 baud at 24 MHz */
    put(rig, FBRD, 1);
    put(rig, IMSC, INT_RT);
    type(rig, "ab");
    now_ns += 200000;
    pl011_timeout_expired(&rig->uart);
    assert_false(pin(rig)); /* 32 bits take 278 us */
    now_ns += 100000;
    pl011_timeout_expired(&rig->uart);
    assert_true(pin(rig));
    get(rig, DR);
    assert_true(pin(rig)); /* one is left */
    get(rig, DR);
    assert_false(pin(rig));
    now_ns += 1000000000;
    pl011_timeout_expired(&rig->uart); /* late: nothing there */
    assert_false(pin(rig));
}

static bool timer_is_set(struct rig *rig)
{
    struct itimerspec left;
    assert_int_equal(timerfd_gettime(rig->uart.timeout.source.fd, &left), 0);
    return left.it_value.tv_sec || left.it_value.tv_nsec;
}

static void the_timer_runs_only_when_somebody_waits(void **state)
{
    struct rig *rig = *state;
    now_ns = event_now_ns();
    put(rig, IBRD, 0xffff); /* slow, 1.4 s: the timer does not run out meanwhile */
    type(rig, "a");
    assert_false(timer_is_set(rig)); /* masked */
    put(rig, IMSC, INT_RT);
    assert_true(timer_is_set(rig));
    event_timer_cancel(&rig->uart.timeout);
    pl011_timeout_expired(&rig->uart); /* too early: set again */
    assert_true(timer_is_set(rig));
    assert_false(pin(rig));
    get(rig, DR);
    event_timer_cancel(&rig->uart.timeout);
    pl011_timeout_expired(&rig->uart); /* nothing there */
    assert_false(timer_is_set(rig));
    put(rig, LCR_H, 0x60);
    type(rig, "a");
    assert_false(timer_is_set(rig)); /* without FIFOs there is no timeout */
}

static void timeout_can_be_cleared(void **state)
{
    struct rig *rig = *state;
    put(rig, IMSC, INT_RT);
    type(rig, "a");
    now_ns += 1000000000;
    pl011_timeout_expired(&rig->uart);
    assert_true(pin(rig));
    put(rig, ICR, INT_RT);
    assert_false(pin(rig));
}

static void switching_fifos_empties_the_receiver(void **state)
{
    struct rig *rig = *state;
    type_many(rig, 20);
    put(rig, LCR_H, FEN); /* on as before */
    assert_int_equal(get(rig, FR) & RXFE, 0);
    assert_int_equal(get(rig, RIS) & INT_RX, INT_RX);
    put(rig, LCR_H, 0x60);
    assert_int_equal(get(rig, FR) & RXFE, RXFE);
    assert_int_equal(get(rig, RIS) & INT_RX, 0);
    type(rig, "a");
    assert_int_equal(get(rig, RIS) & INT_RX, INT_RX); /* one character is the level now */
    assert_int_equal(get(rig, FR) & RXFF, RXFF);
    assert_int_equal(pl011_room(&rig->uart), 0);
}

/* ---- the rest */

static void loopback(void **state)
{
    struct rig *rig = *state;
    put(rig, CR, ON | LOOP);
    assert_int_equal(get(rig, FR) & (ONLINE | RI), 0);
    assert_int_equal(get(rig, RIS) & INT_MODEM, 0xe); /* CTS, DCD, DSR went away */
    put(rig, ICR, ALL);
    put(rig, CR, ON | LOOP | 0x3c00); /* DTR, RTS, Out1, Out2 */
    assert_int_equal(get(rig, FR) & (ONLINE | RI), ONLINE | RI);
    assert_int_equal(get(rig, RIS) & INT_MODEM, 0xf);
    put(rig, DR, 'q');
    assert_int_equal(rig->peer.length, 0);
    assert_int_equal(get(rig, DR), 'q');
}

static void mask_and_pin(void **state)
{
    struct rig *rig = *state;
    put(rig, DR, 'a');
    assert_int_equal(get(rig, RIS), INT_TX);
    assert_int_equal(get(rig, MIS), 0);
    assert_false(pin(rig));
    put(rig, IMSC, INT_TX);
    assert_true(pin(rig));
    put(rig, IMSC, ALL & ~INT_TX);
    assert_false(pin(rig));
    assert_int_equal(get(rig, RIS), INT_TX);
}

static void reset(void **state)
{
    struct rig *rig = *state;
    put(rig, IMSC, ALL);
    type(rig, "abc");
    put(rig, DR, 'x');
    assert_true(pin(rig));
    pl011_reset(&rig->uart);
    assert_false(pin(rig));
    reset_values(state);
}

static void what_was_refused_survives_a_reset(void **state)
{
    struct rig *rig = *state;
    rig->peer.room = 0;
    put(rig, DR, 'z');
    pl011_reset(&rig->uart);
    rig->peer.room = SIZE_MAX;
    pl011_writable(&rig->uart);
    assert_string_equal(rig->peer.sent, "z");
}

/* Whatever a guest writes: no crash, and the pin is what MIS says. */
static void random_accesses(void **state)
{
    struct rig *rig = *state;
    unsigned seed = 7;
    for (unsigned i = 0; i < 200000; i++) {
        uint64_t reg = BASE + (rand_r(&seed) % 0x50);
        unsigned size = 1u << rand_r(&seed) % 4;
        rig->peer.room = rand_r(&seed) % 3;
        rig->peer.length = 0;
        now_ns += 100000;
        switch (rand_r(&seed) % 5) {
        case 0:
            in(&rig->fixture, reg, size);
            break;
        case 1:
            type(rig, "random");
            break;
        case 2:
            pl011_timeout_expired(&rig->uart);
            break;
        default:
            out(&rig->fixture, reg, size, (uint64_t)rand_r(&seed) << 16 ^ (uint64_t)rand_r(&seed));
            break;
        }
        assert_int_equal(pin(rig), get(rig, MIS) != 0);
        assert_true(rig->uart.rx.count <= PL011_FIFO_SIZE && rig->uart.tx.count <= PL011_FIFO_SIZE);
    }
}

#define TEST(name)    cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_ON(name) cmocka_unit_test_setup_teardown(name, setup_on, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reset_values),
        TEST(identification),
        TEST(writable_bits),
        TEST(widths),
        TEST(sends_at_once),
        TEST_ON(refused_bytes_wait),
        TEST_ON(transmit_interrupt_comes_when_the_fifo_falls_to_its_level),
        TEST_ON(without_fifos_one_byte_waits),
        TEST_ON(receives),
        TEST_ON(a_disabled_receiver_takes_nothing),
        TEST_ON(receive_levels),
        TEST_ON(a_lower_level_may_be_reached_already),
        TEST_ON(overrun_keeps_the_old),
        TEST_ON(a_break_has_its_errors_with_it),
        TEST_ON(timeout),
        TEST_ON(the_timer_runs_only_when_somebody_waits),
        TEST_ON(timeout_can_be_cleared),
        TEST_ON(switching_fifos_empties_the_receiver),
        TEST_ON(loopback),
        TEST_ON(mask_and_pin),
        TEST_ON(reset),
        TEST_ON(what_was_refused_survives_a_reset),
        TEST_ON(random_accesses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

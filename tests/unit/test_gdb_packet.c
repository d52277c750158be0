/* SPDX-License-Identifier: MIT */
/* gdb's packets: sums, escapes, lengths, and what stands between them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/gdb_packet.h"

static struct gdb_parser parser;

/* Feed all bytes; the last event that is one. */
static enum gdb_event feed(const char *bytes, size_t length)
{
    enum gdb_event last = GDB_EVENT_NONE;
    for (size_t i = 0; i < length; i++) {
        enum gdb_event event = gdb_parser_feed(&parser, (uint8_t)bytes[i]);
        last = event != GDB_EVENT_NONE ? event : last;
    }
    return last;
}

static enum gdb_event feed_text(const char *text)
{
    return feed(text, strlen(text));
}

static int start(void **state)
{
    (void)state;
    memset(&parser, 0, sizeof(parser));
    return 0;
}

static void a_packet_has_a_sum(void **state)
{
    (void)state;
    assert_int_equal(feed_text("$m0,4#fd"), GDB_EVENT_PACKET);
    assert_string_equal(parser.data, "m0,4");
    assert_int_equal(feed_text("$m0,4#FD"), GDB_EVENT_PACKET);
    assert_int_equal(feed_text("$m0,4#fc"), GDB_EVENT_BAD_PACKET);
    assert_int_equal(feed_text("$m0,4#zz"), GDB_EVENT_BAD_PACKET);
    assert_int_equal(feed_text("$#00"), GDB_EVENT_PACKET);
    assert_int_equal(parser.length, 0);
}

static void escapes_are_undone_and_the_sum_is_of_what_came(void **state)
{
    (void)state;
    static const char packet[] = "$X}\x03}]\0#3b";
    assert_int_equal(feed(packet, sizeof(packet) - 1), GDB_EVENT_BAD_PACKET);
    uint8_t sum = 0;
    for (const char *byte = "X}\x03}]"; *byte; byte++) {
        sum += (uint8_t)*byte;
    }
    char text[32];
    snprintf(text, sizeof(text), "$X}\x03}]#%02x", sum);
    assert_int_equal(feed_text(text), GDB_EVENT_PACKET);
    assert_int_equal(parser.length, 3);
    assert_memory_equal(parser.data, "X#}", 3);
}

static void what_is_between_packets(void **state)
{
    (void)state;
    assert_int_equal(feed_text("\x03"), GDB_EVENT_INTERRUPT);
    assert_int_equal(feed_text("+"), GDB_EVENT_ACK);
    assert_int_equal(feed_text("-"), GDB_EVENT_NAK);
    assert_int_equal(feed_text("junk #00"), GDB_EVENT_NONE);
    assert_int_equal(feed_text("$a\x03#64"), GDB_EVENT_PACKET); /* no interrupt in a packet */
}

static void a_new_packet_ends_one_whose_end_was_lost(void **state)
{
    (void)state;
    assert_int_equal(feed_text("$m0,4$g#67"), GDB_EVENT_PACKET);
    assert_string_equal(parser.data, "g");
}

static void what_is_too_long_is_skipped_to_its_end(void **state)
{
    (void)state;
    assert_int_equal(feed_text("$"), GDB_EVENT_NONE);
    uint8_t sum = 0;
    for (unsigned i = 0; i < GDB_PACKET_MAX; i++) {
        assert_int_equal(feed_text("x"), GDB_EVENT_NONE);
        sum += 'x';
    }
    char end[8];
    snprintf(end, sizeof(end), "#%02x", sum);
    assert_int_equal(feed_text(end), GDB_EVENT_PACKET);
    assert_int_equal(parser.length, GDB_PACKET_MAX);
    feed_text("$");
    for (unsigned i = 0; i < 3 * GDB_PACKET_MAX; i++) {
        feed_text("x");
    }
    snprintf(end, sizeof(end), "#%02x", (uint8_t)(3 * GDB_PACKET_MAX * 'x'));
    assert_int_equal(feed_text(end), GDB_EVENT_BAD_PACKET);
    assert_int_equal(feed_text("$g#67"), GDB_EVENT_PACKET);
}

static void replies_are_framed_and_escaped(void **state)
{
    (void)state;
    static struct gdb_writer writer;
    char frame[GDB_FRAME_MAX];
    gdb_put(&writer, "OK");
    assert_int_equal(gdb_frame(&writer, frame), 6);
    assert_memory_equal(frame, "$OK#9a", 6);
    writer.length = 0;
    gdb_put_binary(&writer, "a#$}*b\0", 7);
    assert_int_equal(writer.length, 11);
    assert_memory_equal(writer.data, "a}\x03}\x04}]}\nb\0", 11);
    writer.length = 0;
    gdb_put_hex(&writer, "\x00\xa5\xff", 3);
    assert_memory_equal(writer.data, "00a5ff", 6);
}

static void a_reply_that_is_too_long_says_so(void **state)
{
    (void)state;
    static struct gdb_writer writer;
    static uint8_t bytes[GDB_PACKET_MAX];
    gdb_put_hex(&writer, bytes, GDB_PACKET_MAX / 2);
    assert_false(writer.overflow);
    gdb_put(&writer, "x");
    assert_true(writer.overflow);
    assert_int_equal(writer.length, GDB_PACKET_MAX);
}

static struct gdb_reader read_text(const char *text)
{
    return (struct gdb_reader){text, text + strlen(text)};
}

static void numbers_and_bytes_are_checked(void **state)
{
    (void)state;
    uint64_t value;
    uint8_t bytes[4];
    struct gdb_reader reader = read_text("ffffffffffffffff,1f");
    assert_true(gdb_take_number(&reader, &value));
    assert_true(value == UINT64_MAX);
    assert_true(gdb_skip(&reader, ','));
    assert_true(gdb_take_number(&reader, &value));
    assert_int_equal(value, 0x1f);
    assert_true(gdb_at_end(&reader));
    assert_false(gdb_take_number(&reader, &value));
    assert_false(gdb_skip(&reader, ','));
    reader = read_text("10000000000000000");
    assert_false(gdb_take_number(&reader, &value));
    reader = read_text("g");
    assert_false(gdb_take_number(&reader, &value));
    reader = read_text("0aFf1");
    assert_true(gdb_take_hex(&reader, bytes, 2));
    assert_memory_equal(bytes, "\x0a\xff", 2);
    assert_false(gdb_take_hex(&reader, bytes, 1));
    reader = read_text("0x");
    assert_false(gdb_take_hex(&reader, bytes, 1));
    assert_false(gdb_skip_text(&reader, "0xx"));
    assert_true(gdb_skip_text(&reader, "0x"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_packet_has_a_sum, start),
        cmocka_unit_test_setup(escapes_are_undone_and_the_sum_is_of_what_came, start),
        cmocka_unit_test_setup(what_is_between_packets, start),
        cmocka_unit_test_setup(a_new_packet_ends_one_whose_end_was_lost, start),
        cmocka_unit_test_setup(what_is_too_long_is_skipped_to_its_end, start),
        cmocka_unit_test(replies_are_framed_and_escaped),
        cmocka_unit_test(a_reply_that_is_too_long_says_so),
        cmocka_unit_test(numbers_and_bytes_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

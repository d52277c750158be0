/* SPDX-License-Identifier: MIT */
/* See vmm/gdb_packet.h. */
#include "vmm/gdb_packet.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { CTRL_C = 3, ESCAPE = '}', ESCAPE_XOR = 0x20 };

static int digit(char character)
{
    if (character >= '0' && character <= '9') {
        return character - '0';
    }
    int letter = character | 0x20;
    return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
}

/* ---- the client's bytes */

static enum gdb_event start(struct gdb_parser *parser)
{
    parser->state = GDB_DATA;
    parser->too_long = false;
    parser->sum = 0;
    parser->length = 0;
    return GDB_EVENT_NONE;
}

static enum gdb_event idle(struct gdb_parser *parser, uint8_t byte)
{
    switch (byte) {
    case '$':
        return start(parser);
    case CTRL_C:
        return GDB_EVENT_INTERRUPT;
    case '+':
        return GDB_EVENT_ACK;
    case '-':
        return GDB_EVENT_NAK;
    default:
        return GDB_EVENT_NONE;
    }
}

static void store(struct gdb_parser *parser, uint8_t byte)
{
    if (parser->length < GDB_PACKET_MAX) {
        parser->data[parser->length++] = (char)byte;
    } else {
        parser->too_long = true; /* the rest is read, so that the next packet is found */
    }
}

static enum gdb_event in_data(struct gdb_parser *parser, uint8_t byte)
{
    if (byte == '$') {
        return start(parser); /* the end of the last one was lost */
    }
    if (byte == '#') {
        parser->state = GDB_SUM_HIGH;
        return GDB_EVENT_NONE;
    }
    parser->sum += byte;
    if (parser->state == GDB_ESCAPE) {
        store(parser, byte ^ ESCAPE_XOR);
        parser->state = GDB_DATA;
    } else if (byte == ESCAPE) {
        parser->state = GDB_ESCAPE;
    } else {
        store(parser, byte);
    }
    return GDB_EVENT_NONE;
}

static enum gdb_event complete(struct gdb_parser *parser, uint8_t byte)
{
    int low = digit((char)byte);
    bool right = parser->sum_high >= 0 && low >= 0 && parser->sum == parser->sum_high * 16 + low;
    parser->state = GDB_IDLE;
    parser->data[parser->length] = '\0';
    return right && !parser->too_long ? GDB_EVENT_PACKET : GDB_EVENT_BAD_PACKET;
}

enum gdb_event gdb_parser_feed(struct gdb_parser *parser, uint8_t byte)
{
    switch (parser->state) {
    case GDB_IDLE:
        return idle(parser, byte);
    case GDB_DATA:
    case GDB_ESCAPE:
        return in_data(parser, byte);
    case GDB_SUM_HIGH:
        parser->sum_high = digit((char)byte);
        parser->state = GDB_SUM_LOW;
        return GDB_EVENT_NONE;
    case GDB_SUM_LOW:
        return complete(parser, byte);
    }
    return GDB_EVENT_NONE;
}

/* ---- what is sent */

static void put_byte(struct gdb_writer *writer, char byte)
{
    if (writer->length < sizeof(writer->data)) {
        writer->data[writer->length++] = byte;
    } else {
        writer->overflow = true;
    }
}

void gdb_put(struct gdb_writer *writer, const char *text)
{
    for (; *text != '\0'; text++) {
        put_byte(writer, *text);
    }
}

void gdb_printf(struct gdb_writer *writer, const char *format, ...)
{
    char text[128];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    writer->overflow |= length < 0 || (size_t)length >= sizeof(text);
    gdb_put(writer, text);
}

void gdb_put_hex(struct gdb_writer *writer, const void *bytes, size_t length)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *from = bytes;
    for (size_t i = 0; i < length; i++) {
        put_byte(writer, digits[from[i] >> 4]);
        put_byte(writer, digits[from[i] & 15]);
    }
}

void gdb_put_binary(struct gdb_writer *writer, const void *bytes, size_t length)
{
    const char *from = bytes;
    for (size_t i = 0; i < length; i++) {
        bool has_meaning = from[i] != '\0' && strchr("#$}*", from[i]) != NULL;
        if (has_meaning) {
            put_byte(writer, ESCAPE);
        }
        put_byte(writer, (char)(has_meaning ? from[i] ^ ESCAPE_XOR : from[i]));
    }
}

size_t gdb_frame(const struct gdb_writer *writer, char *out)
{
    uint8_t sum = 0;
    char end[4];
    for (size_t i = 0; i < writer->length; i++) {
        sum += (uint8_t)writer->data[i];
    }
    snprintf(end, sizeof(end), "#%02x", sum);
    out[0] = '$';
    memcpy(out + 1, writer->data, writer->length);
    memcpy(out + 1 + writer->length, end, 3);
    return writer->length + 4;
}

/* ---- what is read out of a packet */

bool gdb_skip(struct gdb_reader *reader, char character)
{
    bool is_there = reader->at < reader->end && *reader->at == character;
    reader->at += is_there;
    return is_there;
}

bool gdb_skip_text(struct gdb_reader *reader, const char *text)
{
    size_t length = strlen(text);
    if ((size_t)(reader->end - reader->at) < length || memcmp(reader->at, text, length) != 0) {
        return false;
    }
    reader->at += length;
    return true;
}

bool gdb_take_number(struct gdb_reader *reader, uint64_t *value)
{
    const char *first = reader->at;
    *value = 0;
    while (reader->at < reader->end && digit(*reader->at) >= 0) {
        if (reader->at - first == 16) {
            return false;
        }
        *value = *value << 4 | (uint64_t)digit(*reader->at++);
    }
    return reader->at > first;
}

bool gdb_take_hex(struct gdb_reader *reader, void *bytes, size_t length)
{
    uint8_t *to = bytes;
    if ((size_t)(reader->end - reader->at) / 2 < length) {
        return false;
    }
    for (size_t i = 0; i < length; i++, reader->at += 2) {
        int high = digit(reader->at[0]);
        int low = digit(reader->at[1]);
        if (high < 0 || low < 0) {
            return false;
        }
        to[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

bool gdb_at_end(const struct gdb_reader *reader)
{
    return reader->at == reader->end;
}

/* SPDX-License-Identifier: MIT */
/*
 * Packets of gdb's remote serial protocol: "$DATA#CC", where CC is the sum of DATA's bytes, modulo
 * 256, in hexadecimal ("Overview" in the appendix "gdb Remote Serial Protocol" of gdb's manual).
 * Here is how bytes become packets and back; what packets mean is in gdb_stub.c.
 */
#ifndef VMM_GDB_PACKET_H
#define VMM_GDB_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    GDB_PACKET_MAX = 0x4000,            /* bytes of DATA, either way; the client is told */
    GDB_FRAME_MAX = GDB_PACKET_MAX + 4, /* with $, # and the sum */
};

enum gdb_event {
    GDB_EVENT_NONE,       /* more bytes are needed */
    GDB_EVENT_PACKET,     /* parser->data holds one */
    GDB_EVENT_BAD_PACKET, /* its sum is wrong, or it is too long */
    GDB_EVENT_INTERRUPT,  /* Ctrl-C, between packets */
    GDB_EVENT_ACK,        /* + */
    GDB_EVENT_NAK,        /* -: the last packet is wanted again */
};

enum gdb_parser_state { GDB_IDLE, GDB_DATA, GDB_ESCAPE, GDB_SUM_HIGH, GDB_SUM_LOW };

struct gdb_parser {
    enum gdb_parser_state state; /* all zeroes is the start */
    bool too_long;
    uint8_t sum;                   /* of the bytes as they came */
    int sum_high;                  /* the first digit, or -1 if it is none */
    size_t length;                 /* of what is in data */
    char data[GDB_PACKET_MAX + 1]; /* without escapes; a zero behind it when it is complete */
};

/* Take one byte from the client. Bytes that belong to no packet are skipped. */
enum gdb_event gdb_parser_feed(struct gdb_parser *parser, uint8_t byte);

/* ---- what is sent */

/* DATA being put together. What does not fit is left out, and `overflow` says so. */
struct gdb_writer {
    char data[GDB_PACKET_MAX];
    size_t length;
    bool overflow;
};

void gdb_put(struct gdb_writer *writer, const char *text);
__attribute__((format(printf, 2, 3))) void gdb_printf(struct gdb_writer *writer, const char *format,
                                                      ...);
/* Two digits a byte. */
void gdb_put_hex(struct gdb_writer *writer, const void *bytes, size_t length);
/* As they are, but for those that have a meaning: "Binary Data" in the manual. */
void gdb_put_binary(struct gdb_writer *writer, const void *bytes, size_t length);

/* The frame around DATA; returns its length. `out` has room for GDB_FRAME_MAX. */
size_t gdb_frame(const struct gdb_writer *writer, char *out);

/* ---- what is read out of a packet */

/* A packet's text from a place on. Each function moves `at` behind what it took. */
struct gdb_reader {
    const char *at;
    const char *end;
};

/* The character is there, and is skipped. */
bool gdb_skip(struct gdb_reader *reader, char character);
/* The text is there, and is skipped. */
bool gdb_skip_text(struct gdb_reader *reader, const char *text);
/* A hexadecimal number of 1 to 16 digits. */
bool gdb_take_number(struct gdb_reader *reader, uint64_t *value);
/* `length` bytes of two digits each. */
bool gdb_take_hex(struct gdb_reader *reader, void *bytes, size_t length);
bool gdb_at_end(const struct gdb_reader *reader);

#endif

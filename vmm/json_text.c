/* SPDX-License-Identifier: MIT */
#include "vmm/json_text.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { LONGEST = 6 }; /* of one character in its escaped form: \u001f */

/* How many bytes follow a first byte of a UTF-8 sequence (RFC 3629, 4); -1: it is none. */
static int bytes_that_follow(uint8_t first)
{
    return first < 0x80                     ? 0
           : first >= 0xc2 && first <= 0xdf ? 1
           : first >= 0xe0 && first <= 0xef ? 2
           : first >= 0xf0 && first <= 0xf4 ? 3
                                            : -1;
}

/* The second byte also decides: no overlong form, no surrogate, nothing above U+10FFFF. */
static bool second_is_legal(uint8_t first, uint8_t second)
{
    uint8_t low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    uint8_t high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    return second >= low && second <= high;
}

/* Bytes of the UTF-8 sequence that starts at `text`, which is not its end; 0: it is none. */
static size_t sequence_length(const char *text)
{
    const uint8_t *bytes = (const uint8_t *)text;
    int follow = bytes_that_follow(bytes[0]);
    if (follow < 0 || (follow > 0 && !second_is_legal(bytes[0], bytes[1]))) {
        return 0;
    }
    for (int i = 2; i <= follow; i++) {
        if ((bytes[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return (size_t)follow + 1;
}

/* A control character, of which five have a short form. */
static size_t escape_control(char *out, uint8_t byte)
{
    static const char digits[] = "0123456789abcdef";
    static const char letters[] = {
        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
    out[0] = '\\';
    if (byte < sizeof(letters) && letters[byte]) {
        out[1] = letters[byte];
        return 2;
    }
    out[1] = 'u';
    out[2] = out[3] = '0';
    out[4] = digits[byte >> 4];
    out[5] = digits[byte & 0xf];
    return 6;
}

/* The character at `*text` in at most LONGEST bytes; moves behind it. */
static size_t escape_character(char *out, const char **text)
{
    uint8_t byte = (uint8_t) * *text;
    size_t length = sequence_length(*text);
    const char *from = *text;
    *text += length > 0 ? length : 1;
    if (length == 0) {
        memcpy(out, "\\ufffd", LONGEST);
        return LONGEST;
    }
    if (byte < 0x20 || byte == 0x7f) {
        return escape_control(out, byte);
    }
    size_t used = 0;
    if (byte == '"' || byte == '\\') {
        out[used++] = '\\';
    }
    memcpy(out + used, from, length);
    return used + length;
}

size_t json_escape(char *out, size_t room, const char *text)
{
    size_t used = 0;
    while (*text != '\0') {
        char character[LONGEST];
        size_t length = escape_character(character, &text);
        if (used + length >= room) {
            break;
        }
        memcpy(out + used, character, length);
        used += length;
    }
    out[used] = '\0';
    return used;
}

void json_print_string(FILE *out, const char *text)
{
    if (!text) {
        fputs("null", out);
        return;
    }
    putc('"', out);
    while (*text != '\0') {
        char character[LONGEST];
        fwrite(character, 1, escape_character(character, &text), out);
    }
    putc('"', out);
}

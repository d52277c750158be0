/* SPDX-License-Identifier: MIT */
/* See vmm/monitor_xp.h. */
#include "vmm/monitor_xp.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* ---- the format */

static unsigned size_of(char letter)
{
    switch (letter) {
    case 'b':
        return 1;
    case 'h':
        return 2;
    case 'w':
        return 4;
    case 'g':
        return 8;
    default:
        return 0;
    }
}

static int parse_count(const char **text, struct monitor_format *format, struct error *err)
{
    if (!isdigit((unsigned char)**text)) {
        return 0;
    }
    char *end;
    unsigned long count = strtoul(*text, &end, 10);
    if (count == 0 || count > MONITOR_XP_MOST) {
        return error_set(err, -ERANGE, "a count of 1 to %d is expected", MONITOR_XP_MOST);
    }
    format->count = (unsigned)count;
    *text = end;
    return 0;
}

int monitor_parse_format(const char *text, struct monitor_format *format, struct error *err)
{
    const char *whole = text;
    unsigned size = 0;
    *format = (struct monitor_format){.count = 1, .letter = 'x'};
    if (*text++ != '/') {
        return error_set(err, -EINVAL, "%s: a format begins with a slash: /8xw", whole);
    }
    int ret = parse_count(&text, format, err);
    for (; ret == 0 && *text != '\0'; text++) {
        if (strchr("xduoc", *text) != NULL) {
            format->letter = *text;
        } else if (size_of(*text) != 0) {
            size = size_of(*text);
        } else {
            ret = error_set(err, -EINVAL, "%s: '%c' is none of x, d, u, o, c; b, h, w, g", whole,
                            *text);
        }
    }
    format->size = size != 0 ? size : format->letter == 'c' ? 1 : 4;
    return ret;
}

/* ---- numbers */

static int64_t sign_extended(uint64_t value, unsigned size)
{
    unsigned shift = 64 - 8 * size;
    return (int64_t)(value << shift) >> shift;
}

static void print_character(uint64_t value, FILE *out)
{
    char c = (char)value;
    if (isprint((unsigned char)c)) {
        fprintf(out, c == '\'' || c == '\\' ? "'\\%c'" : "'%c'", c);
    } else {
        fprintf(out, "'\\x%02x'", (unsigned char)c);
    }
}

/* As wide as the widest of its size, so that columns stand below each other. */
static void print_item(uint64_t value, const struct monitor_format *format, FILE *out)
{
    unsigned bits = 8 * format->size;
    int decimal = (int)(bits * 10 + 32) / 33;
    fputc(' ', out);
    switch (format->letter) {
    case 'd':
        fprintf(out, "%*" PRId64, decimal + 1, sign_extended(value, format->size));
        break;
    case 'u':
        fprintf(out, "%*" PRIu64, decimal, value);
        break;
    case 'o':
        fprintf(out, "0%0*" PRIo64, (int)(bits + 2) / 3, value);
        break;
    case 'c':
        print_character(value, out);
        break;
    default:
        fprintf(out, "0x%0*" PRIx64, (int)bits / 4, value);
        break;
    }
}

int monitor_print_memory(const struct guest_memory *memory, uint64_t address,
                         const struct monitor_format *format, FILE *out, struct error *err)
{
    unsigned in_line = format->size == 1 ? 8 : 16 / format->size;
    for (unsigned i = 0; i < format->count; i++) {
        uint64_t value = 0; /* the guest's memory is little-endian, and so are we */
        uint64_t at = address + (uint64_t)i * format->size;
        if (guest_memory_read(memory, gpa(at), &value, format->size) < 0) {
            fputs(i % in_line ? "\n" : "", out);
            return error_set(err, -EFAULT, "0x%" PRIx64 ": no RAM there", at);
        }
        if (i % in_line == 0) {
            fprintf(out, "%016" PRIx64 ":", at);
        }
        print_item(value, format, out);
        fputs(i % in_line == in_line - 1 || i + 1 == format->count ? "\n" : "", out);
    }
    return 0;
}

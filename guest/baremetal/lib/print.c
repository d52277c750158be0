/* SPDX-License-Identifier: MIT */
#include "print.h"

#include <stdarg.h>
#include <stdint.h>

#include "arch.h"

static void print_string(const char *text)
{
    while (*text) {
        arch_put_char(*text++);
    }
}

static void print_number(uint64_t value, unsigned base)
{
    char digits[24];
    unsigned count = 0;

    do {
        digits[count++] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value);
    if (base == 16) {
        print_string("0x");
    }
    while (count) {
        arch_put_char(digits[--count]);
    }
}

void print(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    for (; *format; format++) {
        if (*format != '%') {
            arch_put_char(*format);
            continue;
        }
        const bool is_long = *++format == 'l';
        format += is_long;
        switch (*format) {
        case 's':
            print_string(va_arg(arguments, const char *));
            break;
        case 'c':
            arch_put_char((char)va_arg(arguments, int));
            break;
        default:
            print_number(is_long ? va_arg(arguments, uint64_t) : va_arg(arguments, uint32_t),
                         *format == 'x' ? 16 : 10);
        }
    }
    va_end(arguments);
}

/* Eight bytes at a time where it can: an emulated instruction costs microseconds. */
void *memcpy(void *restrict to, const void *restrict from, size_t length)
{
    size_t i = 0;

    for (; i + 8 <= length; i += 8) {
        *(volatile uint64_t *)((char *)to + i) = *(const uint64_t *)((const char *)from + i);
    }
    for (; i < length; i++) {
        ((volatile char *)to)[i] = ((const char *)from)[i];
    }
    return to;
}

void *memset(void *to, int value, size_t length)
{
    const uint64_t pattern = 0x0101010101010101U * (uint8_t)value;
    size_t i = 0;

    for (; i + 8 <= length; i += 8) {
        *(volatile uint64_t *)((char *)to + i) = pattern;
    }
    for (; i < length; i++) {
        ((volatile char *)to)[i] = (char)value;
    }
    return to;
}

int memcmp(const void *a, const void *b, size_t length)
{
    const volatile uint8_t *x = a;
    const volatile uint8_t *y = b;

    for (size_t i = 0; i < length; i++) {
        if (x[i] != y[i]) {
            return x[i] < y[i] ? -1 : 1;
        }
    }
    return 0;
}

int strcmp(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return (uint8_t)*a - (uint8_t)*b;
}

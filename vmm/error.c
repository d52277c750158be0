/* SPDX-License-Identifier: MIT */
#include "vmm/error.h"

#include <stdarg.h>
#include <stdio.h>

/*
 * A file name or a property may hold anything; a newline in one would make two lines of the
 * message, and an escape sequence would reach the terminal.
 */
static void replace_control_characters(char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c < 0x20 || c == 0x7f) {
            *text = '?';
        }
    }
}

int error_set(struct error *err, int code, const char *format, ...)
{
    if (err == NULL) {
        return code;
    }
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(err->text, sizeof(err->text), format, arguments);
    va_end(arguments);
    replace_control_characters(err->text);
    return code;
}

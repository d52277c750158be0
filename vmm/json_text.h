/* SPDX-License-Identifier: MIT */
/* Strings as JSON has them: RFC 8259, 7. */
#ifndef VMM_JSON_TEXT_H
#define VMM_JSON_TEXT_H

#include <stddef.h>
#include <stdio.h>

/*
 * Write `text` as what stands between the quotes of a JSON string into `out`, at most `room` - 1
 * bytes and a terminating zero, so `room` > 0; what does not fit is left out as whole characters.
 * Bytes that are not UTF-8 become U+FFFD. Returns the length. Async-signal-safe.
 */
size_t json_escape(char *out, size_t room, const char *text);

/* Print `text` as a JSON string with its quotes; NULL is printed as null. */
void json_print_string(FILE *out, const char *text);

#endif

/* SPDX-License-Identifier: MIT */
/* Output on the console, and the few functions that the compiler takes for granted. */
#ifndef BAREMETAL_PRINT_H
#define BAREMETAL_PRINT_H

#include <stddef.h>

/* %s %c %u %x, with l for 64 bits; %x prints 0x first. Not atomic between processors. */
__attribute__((format(printf, 1, 2))) void print(const char *format, ...);

void *memcpy(void *restrict to, const void *restrict from, size_t length);
void *memset(void *to, int value, size_t length);
int memcmp(const void *a, const void *b, size_t length);
int strcmp(const char *a, const char *b);

#endif

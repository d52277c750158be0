/* SPDX-License-Identifier: MIT */
/*
 * Properties: what `--device NAME,key=value` sets. Each device has a table of them; a table drives
 * parsing, defaults, range checks and `--device NAME,help`.
 */
#ifndef VMM_PROPERTY_H
#define VMM_PROPERTY_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "vmm/error.h"

enum property_type {
    PROPERTY_BOOL,   /* bool: on|off, yes|no, true|false, 1|0 */
    PROPERTY_UINT32, /* uint32_t, decimal or 0x hexadecimal */
    PROPERTY_SIZE,   /* uint64_t with a K, M, G or T suffix */
    PROPERTY_STRING, /* const char *, points into the options, which outlive the device; may be NULL
                      */
    PROPERTY_ENUM,   /* uint32_t, an index into `choices` */
};

struct property {
    const char *name; /* NULL ends a table */
    enum property_type type;
    size_t offset;            /* of the field in the object */
    uint64_t default_value;   /* numbers, bools, enums */
    const char *default_text; /* strings */
    uint64_t minimum;         /* numbers and sizes; both 0: any value */
    uint64_t maximum;
    const char *const *choices; /* enums, NULL-terminated */
    const char *meaning;        /* one line for help */
};

/* One `key=value` of an option. */
struct property_value {
    const char *key;
    const char *value; /* "on" for a key without a value */
};

/* Give every field of `object` in `table` its default. `table` may be NULL. */
void property_set_defaults(const struct property *table, void *object);

/* Find `key`; NULL if `table` (may be NULL) has none. */
const struct property *property_find(const struct property *table, const char *key);

/*
 * Parse `value` and store it. -EINVAL (not of the type), -ERANGE (outside minimum..maximum); the
 * text names the key, the value and what was expected. `context` ("--device dma-engine") starts the
 * text.
 */
int property_set(const struct property *property, void *object, const char *value,
                 const char *context, struct error *err);

/* A line for each property: name, type, default, meaning. */
void property_print_help(const struct property *table, FILE *out);

/* The field's present value as text, cut to `size`; a string that is not set is "". */
void property_format(const struct property *property, const void *object, char *text, size_t size);

/* The shortest way to write a size: 65536 is "64K". Returns `text`. */
const char *format_size(uint64_t size, char *text, size_t length);

/* "64K", "1G", "0x1000": 0 or -EINVAL, -ERANGE. Whole string. */
int parse_size(const char *text, uint64_t *value);

/* A decimal or 0x number up to 2^64 - 1. Whole string. */
int parse_number(const char *text, uint64_t *value);

#endif

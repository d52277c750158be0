/* SPDX-License-Identifier: MIT */
/*
 * Properties are plain fields of a device's state. A table says where in the struct each one is and
 * of what type; everything here goes through such a table.
 */
#include "vmm/property.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

/* ---- numbers */

static int digit_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : 16;
}

/*
 * Read the number at the start of `text` and leave `*end` behind it. strtoull() would also take
 * white space, signs and octal, none of which a person means here.
 */
static int scan_number(const char *text, const char **end, uint64_t *value)
{
    unsigned base = 10;
    if (text[0] == '0' && (text[1] | 0x20) == 'x') {
        base = 16;
        text += 2;
    }
    const char *first = text;
    uint64_t number = 0;
    bool overflow = false;
    for (; *text != '\0' && digit_value(*text) < (int)base; text++) {
        overflow |= __builtin_mul_overflow(number, base, &number);
        overflow |= __builtin_add_overflow(number, (unsigned)digit_value(*text), &number);
    }
    if (text == first) {
        return -EINVAL;
    }
    *end = text;
    *value = number;
    return overflow ? -ERANGE : 0;
}

int parse_number(const char *text, uint64_t *value)
{
    const char *end = text;
    uint64_t number = 0;
    int rc = scan_number(text, &end, &number);
    if (rc == -EINVAL || *end != '\0') {
        return -EINVAL;
    }
    if (rc == 0) {
        *value = number;
    }
    return rc;
}

static const char size_suffixes[] = "KMGT"; /* 2^10, 2^20, ... */

int parse_size(const char *text, uint64_t *value)
{
    const char *end = text;
    uint64_t number = 0;
    unsigned shift = 0;
    int rc = scan_number(text, &end, &number);
    if (rc == -EINVAL) {
        return rc;
    }
    if (*end != '\0') {
        const char *suffix = strchr(size_suffixes, toupper((unsigned char)*end));
        if (suffix == NULL || end[1] != '\0') {
            return -EINVAL;
        }
        shift = 10 * (unsigned)(suffix - size_suffixes + 1);
    }
    if (rc != 0 || number > UINT64_MAX >> shift) {
        return -ERANGE;
    }
    *value = number << shift;
    return 0;
}

const char *format_size(uint64_t size, char *buffer, size_t length)
{
    unsigned unit = 0;
    while (size != 0 && size % 1024 == 0 && size_suffixes[unit] != '\0') {
        size /= 1024;
        unit++;
    }
    const char suffix[2] = {unit > 0 ? size_suffixes[unit - 1] : '\0', '\0'};
    snprintf(buffer, length, "%" PRIu64 "%s", size, suffix);
    return buffer;
}

/* ---- tables */

static void *field_of(const struct property *property, void *object)
{
    return (char *)object + property->offset;
}

static void store_number(const struct property *property, void *object, uint64_t value)
{
    void *field = field_of(property, object);
    switch (property->type) {
    case PROPERTY_BOOL:
        *(bool *)field = value != 0;
        break;
    case PROPERTY_UINT32:
    case PROPERTY_ENUM:
        *(uint32_t *)field = (uint32_t)value;
        break;
    case PROPERTY_SIZE:
        *(uint64_t *)field = value;
        break;
    case PROPERTY_STRING:
        break;
    }
}

void property_set_defaults(const struct property *table, void *object)
{
    for (; table != NULL && table->name != NULL; table++) {
        if (table->type == PROPERTY_STRING) {
            *(const char **)field_of(table, object) = table->default_text;
        } else {
            store_number(table, object, table->default_value);
        }
    }
}

const struct property *property_find(const struct property *table, const char *key)
{
    for (; table != NULL && table->name != NULL; table++) {
        if (strcmp(table->name, key) == 0) {
            return table;
        }
    }
    return NULL;
}

/* ---- values */

static bool has_range(const struct property *property)
{
    return property->minimum != 0 || property->maximum != 0;
}

static uint64_t lowest(const struct property *property)
{
    return has_range(property) ? property->minimum : 0;
}

static uint64_t highest(const struct property *property)
{
    uint64_t type_limit = property->type == PROPERTY_UINT32 ? UINT32_MAX : UINT64_MAX;
    return has_range(property) && property->maximum < type_limit ? property->maximum : type_limit;
}

static const char *format_value(const struct property *property, uint64_t value, char *buffer,
                                size_t length)
{
    if (property->type == PROPERTY_SIZE) {
        return format_size(value, buffer, length);
    }
    snprintf(buffer, length, "%" PRIu64, value);
    return buffer;
}

/* "on|off|auto" */
static void join_choices(const char *const *choices, char *buffer, size_t length)
{
    size_t used = 0;
    buffer[0] = '\0';
    for (size_t i = 0; choices[i] != NULL && used < length; i++) {
        int n = snprintf(buffer + used, length - used, "%s%s", i > 0 ? "|" : "", choices[i]);
        used += (size_t)n;
    }
}

static int parse_bool(const char *text, uint64_t *value)
{
    static const char *const words[][2] = {
        {"off", "on"}, {"no", "yes"}, {"false", "true"}, {"0", "1"}};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        for (unsigned truth = 0; truth < 2; truth++) {
            if (strcmp(text, words[i][truth]) == 0) {
                *value = truth;
                return 0;
            }
        }
    }
    return -EINVAL;
}

static int parse_choice(const struct property *property, const char *text, uint64_t *value)
{
    for (unsigned i = 0; property->choices[i] != NULL; i++) {
        if (strcmp(text, property->choices[i]) == 0) {
            *value = i;
            return 0;
        }
    }
    return -EINVAL;
}

static int parse_value(const struct property *property, const char *text, uint64_t *value)
{
    switch (property->type) {
    case PROPERTY_BOOL:
        return parse_bool(text, value);
    case PROPERTY_UINT32:
        return parse_number(text, value);
    case PROPERTY_SIZE:
        return parse_size(text, value);
    case PROPERTY_ENUM:
        return parse_choice(property, text, value);
    case PROPERTY_STRING:
        break;
    }
    return -EINVAL;
}

static int refuse_type(const struct property *property, const char *value, const char *context,
                       struct error *err)
{
    static const char *const expected[] = {
        [PROPERTY_BOOL] = "on or off",
        [PROPERTY_UINT32] = "a number",
        [PROPERTY_SIZE] = "a size, a number with K, M, G or T behind it or none",
        [PROPERTY_STRING] = "text",
    };
    char choices[128];
    const char *what = choices;
    if (property->type == PROPERTY_ENUM) {
        join_choices(property->choices, choices, sizeof(choices));
    } else {
        what = expected[property->type];
    }
    return error_set(err, -EINVAL, "%s: %s=%s: expected %s", context, property->name, value, what);
}

static int refuse_range(const struct property *property, const char *value, const char *context,
                        struct error *err)
{
    char from[32];
    char to[32];
    return error_set(err, -ERANGE, "%s: %s=%s: expected %s to %s", context, property->name, value,
                     format_value(property, lowest(property), from, sizeof(from)),
                     format_value(property, highest(property), to, sizeof(to)));
}

int property_set(const struct property *property, void *object, const char *value,
                 const char *context, struct error *err)
{
    if (property->type == PROPERTY_STRING) {
        *(const char **)field_of(property, object) = value;
        return 0;
    }
    uint64_t number = 0;
    int rc = parse_value(property, value, &number);
    if (rc == -EINVAL) {
        return refuse_type(property, value, context, err);
    }
    bool ranged = property->type == PROPERTY_UINT32 || property->type == PROPERTY_SIZE;
    if (rc != 0 || (ranged && (number < lowest(property) || number > highest(property)))) {
        return refuse_range(property, value, context, err);
    }
    store_number(property, object, number);
    return 0;
}

void property_format(const struct property *property, const void *object, char *text, size_t size)
{
    const void *field = (const char *)object + property->offset;
    switch (property->type) {
    case PROPERTY_BOOL:
        snprintf(text, size, "%s", *(const bool *)field ? "on" : "off");
        break;
    case PROPERTY_UINT32:
        snprintf(text, size, "%" PRIu32, *(const uint32_t *)field);
        break;
    case PROPERTY_SIZE:
        format_size(*(const uint64_t *)field, text, size);
        break;
    case PROPERTY_ENUM:
        snprintf(text, size, "%s", property->choices[*(const uint32_t *)field]);
        break;
    case PROPERTY_STRING: {
        const char *string = *(const char *const *)field;
        snprintf(text, size, "%s", string ? string : "");
        break;
    }
    }
}

/* ---- help */

/* "threshold=SIZE", "mode=fast|slow" */
static void format_usage(const struct property *property, char *buffer, size_t length)
{
    static const char *const kinds[] = {
        [PROPERTY_BOOL] = "on|off",
        [PROPERTY_UINT32] = "NUMBER",
        [PROPERTY_SIZE] = "SIZE",
        [PROPERTY_STRING] = "TEXT",
    };
    char choices[128];
    const char *kind = choices;
    if (property->type == PROPERTY_ENUM) {
        join_choices(property->choices, choices, sizeof(choices));
    } else {
        kind = kinds[property->type];
    }
    snprintf(buffer, length, "%s=%s", property->name, kind);
}

static const char *format_default(const struct property *property, char *buffer, size_t length)
{
    switch (property->type) {
    case PROPERTY_BOOL:
        return property->default_value != 0 ? "on" : "off";
    case PROPERTY_ENUM:
        return property->choices[property->default_value];
    case PROPERTY_STRING:
        return property->default_text != NULL ? property->default_text : "none";
    case PROPERTY_UINT32:
    case PROPERTY_SIZE:
        break;
    }
    return format_value(property, property->default_value, buffer, length);
}

void property_print_help(const struct property *table, FILE *out)
{
    for (; table != NULL && table->name != NULL; table++) {
        char usage[192];
        char text[32];
        format_usage(table, usage, sizeof(usage));
        fprintf(out, "  %-28s %s (default %s", usage, table->meaning,
                format_default(table, text, sizeof(text)));
        if (has_range(table)) {
            fprintf(out, ", from %s", format_value(table, lowest(table), text, sizeof(text)));
            fprintf(out, " to %s", format_value(table, highest(table), text, sizeof(text)));
        }
        fprintf(out, ")\n");
    }
}

/* SPDX-License-Identifier: MIT */
/* Numbers, sizes and property tables: what is taken, what is refused, and in which words. */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/error.h"
#include "vmm/property.h"

struct thing {
    uint32_t before;
    bool flag;
    uint32_t number;
    uint64_t size;
    const char *text;
    uint32_t mode;
    uint32_t free_number;
    uint32_t after;
};

static const char *const modes[] = {"fast", "slow", "auto", NULL};

static const struct property table[] = {
    {"flag", PROPERTY_BOOL, offsetof(struct thing, flag), .default_value = 1, .meaning = "a flag"},
    {"number", PROPERTY_UINT32, offsetof(struct thing, number), .default_value = 7, .minimum = 2,
     .maximum = 64, .meaning = "a number"},
    {"size", PROPERTY_SIZE, offsetof(struct thing, size), .default_value = 65536,
     .maximum = 1 << 20, .meaning = "a size"},
    {"text", PROPERTY_STRING, offsetof(struct thing, text), .meaning = "some text"},
    {"mode", PROPERTY_ENUM, offsetof(struct thing, mode), .default_value = 2, .choices = modes,
     .meaning = "how"},
    {"free", PROPERTY_UINT32, offsetof(struct thing, free_number), .meaning = "any number"},
    {NULL},
};

static void error_text_is_one_clean_line(void **state)
{
    (void)state;
    struct error err = {""};
    assert_int_equal(error_set(&err, -EINVAL, "a\nb\x1b[31m %d", 5), -EINVAL);
    assert_string_equal(err.text, "a?b?[31m 5");
    assert_int_equal(error_set(NULL, -ENOENT, "%s", "dropped"), -ENOENT);

    char *longest = malloc(4096);
    memset(longest, 'x', 4095);
    longest[4095] = '\0';
    error_set(&err, -1, "%s", longest);
    assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
    free(longest);
}

static void numbers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int result;
        uint64_t value;
    } cases[] = {
        {"0", 0, 0},
        {"10", 0, 10},
        {"010", 0, 10}, /* not octal */
        {"0x1F", 0, 31},
        {"0X1f", 0, 31},
        {"18446744073709551615", 0, UINT64_MAX},
        {"0xffffffffffffffff", 0, UINT64_MAX},
        {"18446744073709551616", -ERANGE, 0},
        {"0x10000000000000000", -ERANGE, 0},
        {"99999999999999999999999", -ERANGE, 0},
        {"", -EINVAL, 0},
        {"0x", -EINVAL, 0},
        {"x1", -EINVAL, 0},
        {"-1", -EINVAL, 0},
        {"+1", -EINVAL, 0},
        {" 1", -EINVAL, 0},
        {"1 ", -EINVAL, 0},
        {"1a", -EINVAL, 0},
        {"1:", -EINVAL, 0},
        {"0x1g", -EINVAL, 0},
        {"1K", -EINVAL, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t value = 0x5a;
        assert_int_equal(parse_number(cases[i].text, &value), cases[i].result);
        assert_int_equal(value, cases[i].result == 0 ? cases[i].value : 0x5a);
    }
}

static void sizes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int result;
        uint64_t value;
    } cases[] = {
        {"0", 0, 0},
        {"512", 0, 512},
        {"64K", 0, 65536},
        {"64k", 0, 65536},
        {"3M", 0, 3 << 20},
        {"1G", 0, 1 << 30},
        {"5t", 0, UINT64_C(5) << 40},
        {"0x10K", 0, 16384},
        {"0x1000", 0, 4096},
        {"16777215T", 0, UINT64_C(16777215) << 40},
        {"16777216T", -ERANGE, 0},
        {"18446744073709551616", -ERANGE, 0},
        {"18446744073709551616K", -ERANGE, 0},
        {"K", -EINVAL, 0},
        {"", -EINVAL, 0},
        {"1KB", -EINVAL, 0},
        {"1KK", -EINVAL, 0},
        {"1P", -EINVAL, 0},
        {"1.5G", -EINVAL, 0},
        {"-1K", -EINVAL, 0},
        {"1 K", -EINVAL, 0},
        {"99999999999999999999X", -EINVAL, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t value = 0x5a;
        assert_int_equal(parse_size(cases[i].text, &value), cases[i].result);
        assert_int_equal(value, cases[i].result == 0 ? cases[i].value : 0x5a);
    }
}

static struct thing defaults(void)
{
    struct thing thing;
    memset(&thing, 0xee, sizeof(thing));
    property_set_defaults(table, &thing);
    return thing;
}

static void defaults_fill_every_field_and_no_other(void **state)
{
    (void)state;
    struct thing thing = defaults();
    assert_true(thing.flag);
    assert_int_equal(thing.number, 7);
    assert_int_equal(thing.size, 65536);
    assert_null(thing.text);
    assert_int_equal(thing.mode, 2);
    assert_int_equal(thing.free_number, 0);
    assert_int_equal(thing.before, 0xeeeeeeee);
    assert_int_equal(thing.after, 0xeeeeeeee);
    property_set_defaults(NULL, &thing);
}

static void find_by_whole_name(void **state)
{
    (void)state;
    assert_ptr_equal(property_find(table, "size"), &table[2]);
    assert_null(property_find(table, "siz"));
    assert_null(property_find(table, "sizes"));
    assert_null(property_find(table, ""));
    assert_null(property_find(NULL, "size"));
}

static int set(struct thing *thing, const char *key, const char *value, struct error *err)
{
    const struct property *property = property_find(table, key);
    assert_non_null(property);
    return property_set(property, thing, value, "--device thing", err);
}

static void values_reach_their_fields(void **state)
{
    (void)state;
    static const char *const yes[] = {"on", "yes", "true", "1"};
    static const char *const no[] = {"off", "no", "false", "0"};
    struct thing thing = defaults();
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(set(&thing, "flag", no[i], NULL), 0);
        assert_false(thing.flag);
        assert_int_equal(set(&thing, "flag", yes[i], NULL), 0);
        assert_true(thing.flag);
    }
    assert_int_equal(set(&thing, "number", "0x40", NULL), 0);
    assert_int_equal(thing.number, 64);
    assert_int_equal(set(&thing, "size", "1M", NULL), 0);
    assert_int_equal(thing.size, 1 << 20);
    assert_int_equal(set(&thing, "size", "0", NULL), 0);
    assert_int_equal(thing.size, 0);
    assert_int_equal(set(&thing, "text", "a=b", NULL), 0);
    assert_string_equal(thing.text, "a=b");
    assert_int_equal(set(&thing, "mode", "slow", NULL), 0);
    assert_int_equal(thing.mode, 1);
    assert_int_equal(set(&thing, "free", "4294967295", NULL), 0);
    assert_int_equal(thing.free_number, UINT32_MAX);
    assert_int_equal(thing.before, 0xeeeeeeee);
    assert_int_equal(thing.after, 0xeeeeeeee);
}

static void bad_values_are_refused_in_clear_words(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        const char *value;
        int result;
        const char *text;
    } cases[] = {
        {"flag", "maybe", -EINVAL, "--device thing: flag=maybe: expected on or off"},
        {"flag", "", -EINVAL, "--device thing: flag=: expected on or off"},
        {"number", "many", -EINVAL, "--device thing: number=many: expected a number"},
        {"number", "on", -EINVAL, "--device thing: number=on: expected a number"},
        {"number", "1", -ERANGE, "--device thing: number=1: expected 2 to 64"},
        {"number", "65", -ERANGE, "--device thing: number=65: expected 2 to 64"},
        {"number", "99999999999999999999", -ERANGE,
         "--device thing: number=99999999999999999999: expected 2 to 64"},
        {"size", "2M", -ERANGE, "--device thing: size=2M: expected 0 to 1M"},
        {"size", "1Q", -EINVAL,
         "--device thing: size=1Q: expected a size, a number with K, M, G or T behind it or none"},
        {"mode", "Fast", -EINVAL, "--device thing: mode=Fast: expected fast|slow|auto"},
        {"free", "4294967296", -ERANGE,
         "--device thing: free=4294967296: expected 0 to 4294967295"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct thing thing = defaults();
        struct thing before = thing;
        struct error err = {""};
        assert_int_equal(set(&thing, cases[i].key, cases[i].value, &err), cases[i].result);
        assert_string_equal(err.text, cases[i].text);
        assert_memory_equal(&thing, &before, sizeof(thing));
    }
}

static void help_shows_type_default_range_and_meaning(void **state)
{
    (void)state;
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    property_print_help(table, out);
    property_print_help(NULL, out);
    fclose(out);
    assert_string_equal(text, "  flag=on|off                  a flag (default on)\n"
                              "  number=NUMBER                a number (default 7, from 2 to 64)\n"
                              "  size=SIZE                    a size (default 64K, from 0 to 1M)\n"
                              "  text=TEXT                    some text (default none)\n"
                              "  mode=fast|slow|auto          how (default auto)\n"
                              "  free=NUMBER                  any number (default 0)\n");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(error_text_is_one_clean_line),
        cmocka_unit_test(numbers),
        cmocka_unit_test(sizes),
        cmocka_unit_test(defaults_fill_every_field_and_no_other),
        cmocka_unit_test(find_by_whole_name),
        cmocka_unit_test(values_reach_their_fields),
        cmocka_unit_test(bad_values_are_refused_in_clear_words),
        cmocka_unit_test(help_shows_type_default_range_and_meaning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

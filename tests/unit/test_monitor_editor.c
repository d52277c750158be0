/* SPDX-License-Identifier: MIT */
/* The monitor's line editor: keys that come one by one, history, completion. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/monitor_editor.h"

struct fake {
    struct monitor_editor *editor;
    char lines[1024]; /* each with a bar behind it */
    char shown[65536];
};

static void show(void *opaque, const char *bytes, size_t length)
{
    struct fake *fake = opaque;
    size_t used = strlen(fake->shown);
    assert_true(used + length < sizeof(fake->shown));
    memcpy(fake->shown + used, bytes, length);
    fake->shown[used + length] = '\0';
}

static void take_line(void *opaque, char *line)
{
    struct fake *fake = opaque;
    strcat(strcat(fake->lines, line), "|");
}

/* Words are one, onset and two. */
static void complete(void *opaque, const char *line, size_t *start,
                     void (*offer)(void *opaque, const char *candidate), void *offer_opaque)
{
    static const char *const all[] = {"one", "onset", "two"};
    const char *space = strrchr(line, ' ');
    (void)opaque;
    *start = space != NULL ? (size_t)(space + 1 - line) : 0;
    for (size_t i = 0; i < 3; i++) {
        if (strncmp(all[i], line + *start, strlen(line + *start)) == 0) {
            offer(offer_opaque, all[i]);
        }
    }
}

static int set_up(void **state)
{
    struct fake *fake = calloc(1, sizeof(*fake));
    const struct monitor_editor_config config = {
        .prompt = "> ", .show = show, .line = take_line, .complete = complete, .opaque = fake};
    struct error err = {""};
    *state = fake;
    setenv("TERM", "dumb", 1);
    assert_int_equal(monitor_editor_create(&fake->editor, &config, &err), 0);
    monitor_editor_begin(fake->editor, -1);
    return 0;
}

static int tear_down(void **state)
{
    struct fake *fake = *state;
    monitor_editor_destroy(fake->editor);
    free(fake);
    return 0;
}

static const char *type(struct fake *fake, const char *keys)
{
    fake->lines[0] = fake->shown[0] = '\0';
    for (; *keys != '\0'; keys++) {
        monitor_editor_key(fake->editor, (unsigned char)*keys);
    }
    return fake->lines;
}

#define TYPES(keys, expected) assert_string_equal(type(*state, keys), expected)

static void lines(void **state)
{
    struct fake *fake = *state;
    assert_non_null(strstr(fake->shown, "> "));
    TYPES("stop", "");
    TYPES("\r", "stop|");
    assert_non_null(strstr(fake->shown, "> "));
    TYPES("\r\n", "||");
    TYPES("abc\177\177x\r", "ax|");
    TYPES("abc\025z\r", "z|");          /* Ctrl-U */
    TYPES("abc\001x\005y\r", "xabcy|"); /* Ctrl-A, Ctrl-E */
    TYPES("abc\003z\r", "z|");          /* Ctrl-C */
}

static void sequences(void **state)
{
    TYPES("ab\033[Dx\r", "axb|");
    TYPES("ab\033", "");
    TYPES("[", "");
    TYPES("D", "");
    TYPES("x\r", "axb|");
    TYPES("ab\033OHx\033[Fy\033[5~\r", "xaby|"); /* home, end, page up */
    TYPES("ab\033[D\033[3~\r", "a|");            /* delete */
    TYPES("a\033[1;5Zb\r", "ab|");
}

static void history(void **state)
{
    TYPES("first\rsecond\r \r", "first|second| |");
    TYPES("\033[A\r", "second|");
    TYPES("\033[A\033[A\r", "first|");
    TYPES("\020\r", "first|"); /* Ctrl-P */
}

/* Commands of the editor that would wait for a key are not there. */
static void nothing_waits(void **state)
{
    TYPES("a\026\022\030b\r", "ab|");
    TYPES("a\033xb\r", "ab|");
    TYPES("a\004\r", "a|");
    TYPES("\004ok\r", "ok|");
    TYPES("\303\251ok\r", "ok|");
}

static void completion(void **state)
{
    struct fake *fake = *state;
    TYPES("t\t\r", "two |");
    TYPES("o\t\r", "on|");
    TYPES("o\t\t", "");
    assert_non_null(strstr(fake->shown, "one  onset"));
    TYPES("e\t\r", "one |");
    TYPES("x t\ty\r", "x two y|");
    TYPES("z\t\r", "z|");
}

/* Whatever is typed. */
static void noise(void **state)
{
    struct fake *fake = *state;
    srand(1);
    for (int i = 0; i < 20000; i++) {
        monitor_editor_key(fake->editor, (unsigned char)(rand() & 0xff));
        fake->shown[0] = '\0';
        fake->lines[0] = '\0';
    }
}

#define EDITOR_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EDITOR_TEST(lines),         EDITOR_TEST(sequences),  EDITOR_TEST(history),
        EDITOR_TEST(nothing_waits), EDITOR_TEST(completion), EDITOR_TEST(noise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* See vmm/monitor_console.h. */
#include "vmm/monitor_console.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/monitor.h"
#include "vmm/monitor_editor.h"

enum { OUTPUT_LIMIT = 1 << 20 }; /* bytes that wait for a terminal that takes nothing */

struct monitor_console {
    struct control *control;
    struct console *console;
    struct monitor_editor *editor; /* made when it is first used; NULL: line by line */
    bool no_editor;
    struct monitor_line line; /* without an editor */
    char *out;                /* what the console has not taken yet */
    size_t out_at, out_end;
};

/* ---- out */

static void flush(void *opaque)
{
    struct monitor_console *monitor = opaque;
    while (monitor->out_at < monitor->out_end) {
        size_t taken =
            console_write(monitor->console, (const uint8_t *)monitor->out + monitor->out_at,
                          monitor->out_end - monitor->out_at);
        if (taken == 0) {
            return; /* it calls when there is room */
        }
        monitor->out_at += taken;
    }
    monitor->out_at = monitor->out_end = 0;
}

/* What is too much for a terminal that takes nothing is lost. */
static void show(void *opaque, const char *bytes, size_t length)
{
    struct monitor_console *monitor = opaque;
    if (length == 0 || monitor->out_end + length > OUTPUT_LIMIT) {
        return;
    }
    char *grown = realloc(monitor->out, monitor->out_end + length);
    if (grown == NULL) {
        return;
    }
    monitor->out = grown;
    memcpy(grown + monitor->out_end, bytes, length);
    monitor->out_end += length;
    flush(monitor);
}

static void say(struct monitor_console *monitor, const char *text)
{
    show(monitor, text, strlen(text));
}

/* ---- in */

static void take_line(void *opaque, char *line)
{
    struct monitor_console *monitor = opaque;
    char *text = monitor_answer(monitor->control, line);
    say(monitor, text != NULL ? text : "error: no memory\n");
    free(text);
}

static void complete(void *opaque, const char *line, size_t *start,
                     void (*offer)(void *opaque, const char *candidate), void *offer_opaque)
{
    struct monitor_console *monitor = opaque;
    monitor_complete(monitor->control, line, start, offer, offer_opaque);
}

static void input(void *opaque, uint8_t key)
{
    struct monitor_console *monitor = opaque;
    if (monitor->editor != NULL) {
        monitor_editor_key(monitor->editor, key);
        return;
    }
    switch (monitor_line_add(&monitor->line, key == '\r' ? '\n' : (char)key)) {
    case MONITOR_LINE_MORE:
        return;
    case MONITOR_LINE_WHOLE:
        take_line(monitor, monitor->line.text);
        break;
    case MONITOR_LINE_TOO_LONG:
        say(monitor, "error: the line is too long\n");
        break;
    }
    say(monitor, MONITOR_PROMPT);
}

/* ---- Ctrl-A c */

static void make_editor(struct monitor_console *monitor)
{
    const struct monitor_editor_config config = {.prompt = MONITOR_PROMPT,
                                                 .show = show,
                                                 .line = take_line,
                                                 .complete = complete,
                                                 .opaque = monitor};
    struct error err = {""};
    if (monitor->editor != NULL || monitor->no_editor) {
        return;
    }
    monitor->no_editor = !monitor->console->is_terminal;
    if (!monitor->no_editor && monitor_editor_create(&monitor->editor, &config, &err) < 0) {
        monitor->no_editor = true;
        say(monitor, "no line editor, and keys are not shown: ");
        say(monitor, err.text);
        say(monitor, "\n");
    }
}

static void toggled(void *opaque, bool on)
{
    struct monitor_console *monitor = opaque;
    if (!on) {
        say(monitor, "\n");
        return;
    }
    say(monitor, "\nminivmm " MINIVMM_VERSION
                 " monitor: 'help' lists the commands, Ctrl-A c leads back to the guest\n");
    make_editor(monitor);
    if (monitor->editor != NULL) {
        monitor_editor_begin(monitor->editor, STDOUT_FILENO);
    } else {
        monitor->line = (struct monitor_line){.length = 0};
        say(monitor, MONITOR_PROMPT);
    }
}

/* ---- life */

int monitor_console_start(struct monitor_console **out, struct control *control,
                          struct console *console, struct error *err)
{
    struct monitor_console *monitor = calloc(1, sizeof(*monitor));
    if (monitor == NULL) {
        return error_set(err, -ENOMEM, "monitor: no memory");
    }
    monitor->control = control;
    monitor->console = console;
    const struct console_monitor keys = {
        .toggled = toggled, .input = input, .writable = flush, .opaque = monitor};
    console_set_monitor(console, &keys);
    *out = monitor;
    return 0;
}

void monitor_console_finish(struct monitor_console *monitor)
{
    static const struct console_monitor none;
    if (monitor == NULL) {
        return;
    }
    if (monitor->console->to_monitor) {
        say(monitor, "\n"); /* a shell's prompt is not to stand behind ours */
    }
    console_set_monitor(monitor->console, &none);
    monitor_editor_destroy(monitor->editor);
    free(monitor->out);
    free(monitor);
}

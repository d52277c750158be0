/* SPDX-License-Identifier: MIT */
/*
 * The trace as a timeline: Chrome's trace-event format, in the form that is one JSON array, which
 * Perfetto (ui.perfetto.dev) and chrome://tracing show. Of its phases ("ph") these are used:
 *
 *   X  something with a beginning and a duration: an exit, a copy, the service of a queue
 *   i  an instant, with the scope "t": of its thread; every other event
 *   M  metadata: the names of the process and of each thread, before its first event
 *
 * Times ("ts", "dur") are in microseconds, here with three digits behind the point. X events of one
 * thread nest by their times. An array that is not closed is legal in this format, since a process
 * may die; minivmm closes it on every way out on which it can (vmm/exit_hooks.h).
 */
#include <string.h>
#include <unistd.h>

#include "vmm/json_text.h"
#include "vmm/trace_internal.h"

/* What is before and behind the strings of an item takes less. */
enum { ROOM_FOR_TEXT = 2600, ROOM_FOR_NAME = 400 };

size_t trace_json_start(char *line)
{
    return (size_t)snprintf(line, TRACE_JSON_LINE,
                            "[\n{\"name\":\"process_name\",\"ph\":\"M\",\"pid\":%d,\"tid\":%d,"
                            "\"args\":{\"name\":\"minivmm\"}}",
                            (int)getpid(), (int)getpid());
}

size_t trace_json_thread(char *line, int thread, const char *name)
{
    char escaped[ROOM_FOR_NAME];
    json_escape(escaped, sizeof(escaped), name);
    return (size_t)snprintf(line, TRACE_JSON_LINE,
                            ",\n{\"name\":\"thread_name\",\"ph\":\"M\",\"pid\":%d,\"tid\":%d,"
                            "\"args\":{\"name\":\"%s\"}}",
                            (int)getpid(), thread, escaped);
}

/* "virtio" of "virtio_reset": what can be filtered by in a viewer. */
static int category_length(const char *name)
{
    return (int)strcspn(name, "_");
}

/* `"ts":1.234,` and, of a span, `"dur":0.567,`. */
static void format_times(char *out, size_t size, const struct trace_json_event *event)
{
    int used = snprintf(out, size, "\"ts\":%" PRIu64 ".%03u,", event->begin_ns / 1000,
                        (unsigned)(event->begin_ns % 1000));
    if (event->is_span) {
        snprintf(out + used, size - (size_t)used, "\"dur\":%" PRIu64 ".%03u,",
                 event->duration_ns / 1000, (unsigned)(event->duration_ns % 1000));
    }
}

/* `{"device":"d","text":"t"}` without what is not there. */
static void format_arguments(char *out, size_t size, const struct trace_json_event *event)
{
    char device[ROOM_FOR_NAME];
    char text[ROOM_FOR_TEXT];
    json_escape(device, sizeof(device), event->device ? event->device : "");
    json_escape(text, sizeof(text), event->text);
    if (event->device) {
        snprintf(out, size, "{\"device\":\"%s\",\"text\":\"%s\"}", device, text);
    } else {
        snprintf(out, size, "{\"text\":\"%s\"}", text);
    }
}

size_t trace_json_event(char *line, const struct trace_json_event *event)
{
    const char *own = trace_event_names[event->id];
    char times[96];
    char arguments[ROOM_FOR_TEXT + ROOM_FOR_NAME + 32];
    format_times(times, sizeof(times), event);
    format_arguments(arguments, sizeof(arguments), event);
    return (size_t)snprintf(
        line, TRACE_JSON_LINE,
        ",\n{\"name\":\"%s\",\"cat\":\"%.*s\",%s,%s\"pid\":%d,\"tid\":%d,\"args\":%s}",
        event->name ? event->name : own, category_length(own), own,
        event->is_span ? "\"ph\":\"X\"" : "\"ph\":\"i\",\"s\":\"t\"", times, (int)getpid(),
        event->thread, arguments);
}

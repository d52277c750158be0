/* SPDX-License-Identifier: MIT */
/* What the files of the trace share: trace.c (lines and the file), trace_choice.c (which events are
 * on, and of which devices), trace_json.c (the other form of a line). */
#ifndef VMM_TRACE_INTERNAL_H
#define VMM_TRACE_INTERNAL_H

#include "vmm/trace.h"

extern const char *const trace_event_names[TRACE_COUNT];

/* ---- trace_choice.c */

/*
 * Does anybody want lines of this event, of this device? `device` may be NULL: the event names
 * none. Any thread; takes a lock, a leaf, only for an event that was chosen by device.
 */
bool trace_wants(enum trace_id id, const char *device);

/* Is the event's first argument a string that names a device or a region of one? */
bool trace_names_device(enum trace_id id);

/* ---- trace_json.c */

/* One event; the strings are escaped here. `device` may be NULL. */
struct trace_json_event {
    enum trace_id id;
    const char *name;     /* NULL: the event's own */
    bool is_span;         /* has a duration, and is no instant */
    uint64_t begin_ns;    /* since the trace began */
    uint64_t duration_ns; /* of a span */
    int thread;           /* its id */
    const char *device;
    const char *text;
};

/* What is longest: a line of a text that needs escaping. */
enum { TRACE_JSON_LINE = 4096 };

/*
 * Each writes one item into `line`, which has TRACE_JSON_LINE bytes, and returns its length. All
 * but the first item of a file begin with the comma that ends the one before, so that a file that
 * was cut off between two items lacks no more than its closing bracket.
 */
size_t trace_json_start(char *line);
size_t trace_json_thread(char *line, int thread, const char *name);
size_t trace_json_event(char *line, const struct trace_json_event *event);

#define TRACE_JSON_END "\n]\n"

#endif

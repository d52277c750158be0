/* SPDX-License-Identifier: MIT */
/*
 * Trace events. They are declared in one list, vmm/trace_events.h; each line there gives a function
 * trace_NAME() with the arguments named there.
 *
 * An event that is off costs a byte compared with zero and a branch that is never taken. The same
 * events are USDT probes (provider "minivmm"), a no-op instruction each, which perf, bpftrace and
 * gdb can attach to whether or not the event is on.
 */
#ifndef VMM_TRACE_H
#define VMM_TRACE_H

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define SDT_USE_VARIADIC
#include <sys/sdt.h>

#include "vmm/error.h"
#include "vmm/trace_events.h"

/* Events, and behind them the spans: work with a beginning and an end. */
enum trace_id {
#define TRACE_ID(name, format, parameters, ...) TRACE_ID_##name,
    TRACE_EVENTS(TRACE_ID)
#undef TRACE_ID
#define TRACE_SPAN_ID(name) TRACE_ID_##name,
        TRACE_SPANS(TRACE_SPAN_ID)
#undef TRACE_SPAN_ID
            TRACE_COUNT
};
/* How many of them are events. */
enum {
#define TRACE_NUMBER(name, format, parameters, ...) TRACE_NUMBER_##name,
    TRACE_EVENTS(TRACE_NUMBER)
#undef TRACE_NUMBER
        TRACE_EVENT_COUNT
};

/*
 * Which events are on, for any device or watcher. Written by trace_enable() and trace_watch(), also
 * while vCPUs run; read without a lock. Hidden, so that position-independent code reads it directly
 * and not through the global offset table.
 */
extern __attribute__((visibility("hidden"))) bool trace_on[TRACE_COUNT];

/*
 * A plain load of a byte, which no compiler can tear, as compilers make two instructions of an
 * atomic one and its compare. The thread sanitizer is shown the atomic one.
 */
#ifdef __SANITIZE_THREAD__
#define TRACE_IS_ON(id) __builtin_expect(__atomic_load_n(&trace_on[id], __ATOMIC_RELAXED), 0)
#else
#define TRACE_IS_ON(id) __builtin_expect(trace_on[id], 0)
#endif

/*
 * Write one line: seconds since the start, the thread's name, the event's name, the text; or, with
 * TRACE_JSON, an instant. Lines of different threads do not mix. Any thread.
 */
__attribute__((cold, format(printf, 2, 3))) void trace_emit(enum trace_id id, const char *format,
                                                            ...);

#define TRACE_DEFINE(name, format, parameters, ...)                                                \
    static inline __attribute__((always_inline)) void trace_##name parameters                      \
    {                                                                                              \
        STAP_PROBEV(minivmm, name, __VA_ARGS__);                                                   \
        if (TRACE_IS_ON(TRACE_ID_##name)) {                                                        \
            trace_emit(TRACE_ID_##name, format, __VA_ARGS__);                                      \
        }                                                                                          \
    }
TRACE_EVENTS(TRACE_DEFINE)
#undef TRACE_DEFINE

/* ---- spans: only TRACE_JSON shows them, as bars on the thread's line */

struct trace_span {
    enum trace_id id;
    uint64_t begin_ns;  /* what trace_begin() returned; 0: there is nothing to show */
    const char *name;   /* NULL: that of `id` */
    const char *device; /* a device or a region of one; NULL: none */
};

/* Nanoseconds since the trace began, never 0. Any thread. */
uint64_t trace_clock_ns(void);

/* Work begins. Costs what an event costs while it is off, and then returns 0. */
static inline uint64_t trace_begin(enum trace_id id)
{
    return TRACE_IS_ON(id) ? trace_clock_ns() : 0;
}

/* The work of a span with begin_ns has ended; the text says what it was. Same thread. */
__attribute__((cold, format(printf, 2, 3))) void trace_end(const struct trace_span *span,
                                                           const char *format, ...);

/* ---- choosing */

/*
 * Turn on (or off) every event whose name matches a shell pattern of the comma-separated list
 * `globs`, from left to right; a pattern with a minus sign in front does the opposite, so that
 * "bus_*,-bus_read" is all of bus but one. With @DEVICE behind the pattern that holds for one
 * device (see trace_print_syntax()) and for events that name one. -ENOENT if a pattern matches no
 * event, -EINVAL if one is empty, -ENOMEM; the text names it, and the patterns before it have been
 * applied.
 *
 * Any thread, at any time: a monitor may call it while vCPUs run. A thread that is just passing an
 * event may still take it as it was before.
 */
int trace_enable(const char *globs, bool on, struct error *err);

/*
 * Keep trace_on[id] set for somebody who looks at it and writes no lines; `watched` false undoes
 * one call with true. Any thread.
 */
void trace_watch(enum trace_id id, bool watched);

/* What a device is called besides its name, for patterns. `name` is what its events say. */
struct trace_device {
    const char *name;
    const char *type;
    char place[16]; /* "00:04.0"; "" if it is not known */
    struct trace_device *next;
};

/* Make it known, until it is removed; its owner keeps it meanwhile. Any thread. */
void trace_add_device(struct trace_device *device);
void trace_remove_device(struct trace_device *device);

/*
 * Has the machine what patterns name? When its devices are known, tell the names of the regions of
 * its buses; then ask for the DEVICE of a pattern that means none of all, until NULL. The text is
 * good until the patterns change. Main thread.
 */
void trace_note_region(const char *region);
const char *trace_next_unknown_device(void);

/* Print the name of every event and "on" or "off", and the devices for which it is not so, a line
 * each. Any thread. */
void trace_list(FILE *out);

/* Print how patterns are written, for --trace help. */
void trace_print_syntax(FILE *out);

/* ---- where to */

enum trace_format {
    TRACE_TEXT,
    TRACE_JSON, /* Chrome's trace events: see vmm/trace_json.c. Only in a file */
};

/* For the file that is set next. Main thread. */
void trace_set_format(enum trace_format format);

/*
 * Send lines to `path`, emptied first, instead of stderr. They are gathered; they are written
 * within moments while events come, and on every way out. Negative errno. Main thread.
 */
int trace_set_file(const char *path, struct error *err);

/* The name trace lines show for the calling thread, at most 15 bytes; also the thread's name in gdb
 * and ps. */
void trace_name_thread(const char *name);

/* Write out what is gathered. Any thread. */
void trace_flush(void);

/* The same, and close the file; lines then go to stderr. Says on stderr if lines were lost. */
void trace_finish(void);

#endif

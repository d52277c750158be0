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

enum trace_id {
#define TRACE_ID(name, format, parameters, ...) TRACE_ID_##name,
    TRACE_EVENTS(TRACE_ID)
#undef TRACE_ID
        TRACE_COUNT
};

/*
 * Which events are on. Written before vCPUs run, and by the monitor; read without a lock. Hidden,
 * so that position-independent code reads it directly and not through the global offset table.
 */
extern __attribute__((visibility("hidden"))) bool trace_on[TRACE_COUNT];

/*
 * Write one line: seconds since the start, the thread's name, the event's name, the text.
 * Lines of different threads do not mix. Any thread.
 */
__attribute__((cold, format(printf, 2, 3))) void trace_emit(enum trace_id id, const char *format,
                                                            ...);

#define TRACE_DEFINE(name, format, parameters, ...)                                                \
    static inline __attribute__((always_inline)) void trace_##name parameters                      \
    {                                                                                              \
        STAP_PROBEV(minivmm, name, __VA_ARGS__);                                                   \
        if (__builtin_expect(trace_on[TRACE_ID_##name], 0)) {                                      \
            trace_emit(TRACE_ID_##name, format, __VA_ARGS__);                                      \
        }                                                                                          \
    }
TRACE_EVENTS(TRACE_DEFINE)
#undef TRACE_DEFINE

/*
 * Turn on (or off) every event whose name matches a shell pattern of the comma-separated list
 * `globs`, from left to right; a pattern with a minus sign in front does the opposite, so that
 * "bus_*,-bus_read" is all of bus but one. -ENOENT if a pattern matches no event, -EINVAL if one is
 * empty; the text names it, and the patterns before it have been applied.
 */
int trace_enable(const char *globs, bool on, struct error *err);

/*
 * Send lines to `path`, emptied first, instead of stderr. They are gathered; they are written
 * within moments while events come, and on every way out. Negative errno. Main thread.
 */
int trace_set_file(const char *path, struct error *err);

/* Print the name of every event and "on" or "off", a line each. */
void trace_list(FILE *out);

/* The name trace lines show for the calling thread, at most 15 bytes; also the thread's name in gdb
 * and ps. */
void trace_name_thread(const char *name);

/* Write out what is gathered. Any thread. */
void trace_flush(void);

/* The same, and close the file; lines then go to stderr. Says on stderr if lines were lost. */
void trace_finish(void);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Bytes that become JSON objects: where each one ends, by its brackets. QMP has no other border
 * between them: clients send a newline behind each, or nothing.
 */
#ifndef VMM_QMP_STREAM_H
#define VMM_QMP_STREAM_H

#include <stdbool.h>
#include <stddef.h>

enum { QMP_OBJECT_MAX = 1 << 20 }; /* bytes */

struct qmp_stream {
    char *text; /* of the object so far */
    size_t length, room;
    size_t depth; /* brackets that are open */
    bool in_string, escaped;
    bool junk;     /* what stands before the next newline is no object */
    bool too_long; /* counted to its end, but not kept */
};

enum qmp_stream_state {
    QMP_STREAM_MORE,
    QMP_STREAM_OBJECT, /* text[0..length-1], until the next call; nobody has looked into it */
    QMP_STREAM_JUNK,   /* something that was no object has ended */
    QMP_STREAM_TOO_LONG,
};

enum qmp_stream_state qmp_stream_add(struct qmp_stream *stream, char byte);

/* Forget what has come, and free it. All zeroes is the beginning. */
void qmp_stream_reset(struct qmp_stream *stream);

#endif

/* SPDX-License-Identifier: MIT */
/* See vmm/qmp_stream.h. */
#include "vmm/qmp_stream.h"

#include <stdlib.h>
#include <string.h>

void qmp_stream_reset(struct qmp_stream *stream)
{
    free(stream->text);
    *stream = (struct qmp_stream){.text = NULL};
}

static void keep(struct qmp_stream *stream, char byte)
{
    if (stream->length == stream->room && !stream->too_long) {
        size_t room = stream->room > 0 ? 2 * stream->room : 1024;
        char *grown = room <= QMP_OBJECT_MAX ? realloc(stream->text, room) : NULL;
        stream->too_long = grown == NULL;
        stream->text = grown != NULL ? grown : stream->text;
        stream->room = grown != NULL ? room : stream->room;
    }
    if (!stream->too_long) {
        stream->text[stream->length++] = byte;
    }
}

/* Between objects. */
static enum qmp_stream_state add_outside(struct qmp_stream *stream, char byte)
{
    if (stream->junk && byte == '\n') {
        stream->junk = false;
        return QMP_STREAM_JUNK;
    }
    if (stream->junk || strchr(" \t\r\n", byte) != NULL) {
        return QMP_STREAM_MORE;
    }
    if (byte != '{') {
        stream->junk = true;
        return QMP_STREAM_MORE;
    }
    stream->length = 0;
    stream->too_long = stream->in_string = stream->escaped = false;
    stream->depth = 1;
    keep(stream, byte);
    return QMP_STREAM_MORE;
}

/* RFC 8259, 7: a quote that no backslash stands before ends a string, and no newline is in one. */
static void add_to_string(struct qmp_stream *stream, char byte)
{
    if (byte == '\n') {
        stream->depth = 0; /* it can be no object any more: begin anew */
    } else if (stream->escaped) {
        stream->escaped = false;
    } else if (byte == '\\') {
        stream->escaped = true;
    } else if (byte == '"') {
        stream->in_string = false;
    }
}

enum qmp_stream_state qmp_stream_add(struct qmp_stream *stream, char byte)
{
    if (stream->depth == 0) {
        return add_outside(stream, byte);
    }
    keep(stream, byte);
    if (stream->in_string) {
        add_to_string(stream, byte);
    } else if (byte == '"') {
        stream->in_string = true;
    } else if (byte == '{' || byte == '[') {
        stream->depth++;
    } else if (byte == '}' || byte == ']') {
        stream->depth--;
    }
    if (stream->depth > 0) {
        return QMP_STREAM_MORE;
    }
    return stream->too_long ? QMP_STREAM_TOO_LONG : QMP_STREAM_OBJECT;
}

/* SPDX-License-Identifier: MIT */
/*
 * Trace lines: `SECONDS.MICROSECONDS THREAD EVENT TEXT`, for instance
 *
 *     0.012345 vcpu0 bus_read mmio dma-engine bar0 addr=0xfebf101c size=4 value=0x1
 *
 * Each thread makes its line in a buffer of its own. To stderr it goes with one write(2), which the
 * kernel keeps whole. With --trace-file lines are gathered, since a write per line would slow the
 * traced guest several times: they go out when the buffer is full, when a line comes a tenth of a
 * second after the last time, at trace_finish(), and on every other way out (vmm/exit_hooks.h), so
 * that a crash does not take along the lines that would explain it.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "vmm/exit_hooks.h"
#include "vmm/trace_internal.h"

const char *const trace_event_names[TRACE_COUNT] = {
#define TRACE_NAME(name, format, parameters, ...) #name,
    TRACE_EVENTS(TRACE_NAME)
#undef TRACE_NAME
#define TRACE_SPAN_NAME(name) #name,
        TRACE_SPANS(TRACE_SPAN_NAME)
#undef TRACE_SPAN_NAME
};

enum {
    LINE_MAX_BYTES = 1024,
    BUFFER_BYTES = 64 * 1024,
    FLUSH_INTERVAL_US = 100 * 1000,
    LOCK_ATTEMPTS = 100, /* of a dying process, a millisecond apart */
};

/* The trace file. `fd` is -1 while lines go to stderr. */
static struct {
    pthread_mutex_t lock; /* guards the rest; a leaf */
    atomic_int fd;        /* may be looked at without the lock */
    atomic_bool json;     /* the same; the form of what goes there */
    bool ended;           /* its closing bracket is written: nothing may follow */
    size_t used;
    uint64_t flushed_us; /* when the buffer was last written */
    uint64_t lost;       /* lines that could not be written */
    int lost_errno;
    char path[256];
    char buffer[BUFFER_BYTES];
} file = {.lock = PTHREAD_MUTEX_INITIALIZER, .fd = -1};

static enum trace_format next_format; /* of the file that is set next */
static atomic_uint files;             /* set so far */
static _Atomic uint64_t start_ns;
static _Thread_local char thread_name[16];
static _Thread_local unsigned named_in; /* the number of the file that has this thread's name */

/* ---- time and threads */

/* Nanoseconds since the first time that this was called. */
static uint64_t elapsed_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    uint64_t now_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
    uint64_t start = 0;
    if (atomic_compare_exchange_strong(&start_ns, &start, now_ns)) {
        return 0;
    }
    return now_ns > start ? now_ns - start : 0;
}

static uint64_t elapsed_us(void)
{
    return elapsed_ns() / 1000;
}

uint64_t trace_clock_ns(void)
{
    uint64_t now = elapsed_ns();
    return now ? now : 1;
}

void trace_name_thread(const char *name)
{
    elapsed_us(); /* time starts with the first thread that has a name */
    snprintf(thread_name, sizeof(thread_name), "%s", name);
    named_in = 0;
    /* The main thread's name is the process's: ps and pkill shall go on finding minivmm. */
    if (gettid() != getpid()) {
        prctl(PR_SET_NAME, thread_name);
    }
}

static const char *current_thread_name(void)
{
    if (thread_name[0] == '\0') {
        prctl(PR_GET_NAME, thread_name);
    }
    return thread_name;
}

/* ---- output */

/* Write all of it. Somebody else may have made the descriptor non-blocking: wait then. */
static int write_all(int fd, const char *data, size_t length)
{
    while (length > 0) {
        ssize_t n = write(fd, data, length);
        if (n >= 0) {
            data += n;
            length -= (size_t)n;
        } else if (errno == EAGAIN) {
            poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, -1);
        } else if (errno != EINTR) {
            return -errno;
        }
    }
    return 0;
}

static uint64_t count_lines(const char *data, size_t length)
{
    uint64_t lines = 0;
    for (size_t i = 0; i < length; i++) {
        lines += data[i] == '\n';
    }
    return lines;
}

/* Write the buffer out. Lock held. */
static void flush_locked(uint64_t now_us)
{
    size_t length = file.used;
    file.used = 0;
    file.flushed_us = now_us;
    if (length == 0) {
        return;
    }
    int rc = write_all(file.fd, file.buffer, length);
    if (rc < 0) {
        file.lost += count_lines(file.buffer, length);
        file.lost_errno = -rc;
    }
}

static void append_to_file(const char *line, size_t length, uint64_t now_us)
{
    pthread_mutex_lock(&file.lock);
    if (file.fd >= 0 && !file.ended) {
        if (file.used + length > sizeof(file.buffer)) {
            flush_locked(now_us);
        }
        memcpy(file.buffer + file.used, line, length);
        file.used += length;
        if (now_us - file.flushed_us >= FLUSH_INTERVAL_US) {
            flush_locked(now_us);
        }
    }
    pthread_mutex_unlock(&file.lock);
}

/* ---- lines of text */

/* Start a line in `buffer`; returns its length so far. */
static size_t format_prefix(char *buffer, size_t size, uint64_t now_us, enum trace_id id)
{
    int n = snprintf(buffer, size, "%" PRIu64 ".%06u %s %s ", now_us / 1000000,
                     (unsigned)(now_us % 1000000), current_thread_name(), trace_event_names[id]);
    return (size_t)n;
}

__attribute__((format(printf, 2, 0))) static void emit_text(enum trace_id id, const char *format,
                                                            va_list arguments)
{
    char line[LINE_MAX_BYTES];
    uint64_t now_us = elapsed_us();
    size_t length = format_prefix(line, sizeof(line), now_us, id);
    int n = vsnprintf(line + length, sizeof(line) - length, format, arguments);
    length += n > 0 ? (size_t)n : 0;
    if (length > sizeof(line) - 1) {
        length = sizeof(line) - 1;
    }
    line[length++] = '\n'; /* in the place of the terminating zero */
    if (atomic_load_explicit(&file.fd, memory_order_relaxed) >= 0) {
        append_to_file(line, length, now_us);
    } else {
        write_all(STDERR_FILENO, line, length);
    }
}

/* ---- the timeline */

static bool in_json(void)
{
    return atomic_load_explicit(&file.fd, memory_order_relaxed) >= 0 && atomic_load(&file.json);
}

/* Before a thread's first event in a file comes its name. */
static void name_thread_in_file(char *line, int thread)
{
    unsigned number = atomic_load(&files);
    if (named_in != number) {
        named_in = number;
        append_to_file(line, trace_json_thread(line, thread, current_thread_name()), elapsed_us());
    }
}

__attribute__((format(printf, 2, 0))) static void emit_json(const struct trace_json_event *event,
                                                            const char *format, va_list arguments)
{
    char text[LINE_MAX_BYTES];
    char line[TRACE_JSON_LINE];
    struct trace_json_event whole = *event;
    vsnprintf(text, sizeof(text), format, arguments);
    whole.text = text;
    whole.thread = (int)gettid();
    name_thread_in_file(line, whole.thread);
    append_to_file(line, trace_json_event(line, &whole), elapsed_us());
}

/* ---- events */

void trace_emit(enum trace_id id, const char *format, ...)
{
    int saved_errno = errno; /* an event may stand between a system call and the look at errno */
    const char *device = NULL;
    va_list arguments;
    if (trace_names_device(id)) {
        va_start(arguments, format);
        device = va_arg(arguments, const char *);
        va_end(arguments);
    }
    va_start(arguments, format);
    if (!trace_wants(id, device)) {
        /* of another device, or only watched */
    } else if (!in_json()) {
        emit_text(id, format, arguments);
    } else if (id != TRACE_ID_vcpu_exit) { /* that comes as a span, when it is over */
        emit_json(&(struct trace_json_event){.id = id, .begin_ns = elapsed_ns(), .device = device},
                  format, arguments);
    }
    va_end(arguments);
    errno = saved_errno;
}

void trace_end(const struct trace_span *span, const char *format, ...)
{
    int saved_errno = errno;
    if (span->begin_ns && in_json() && trace_wants(span->id, span->device)) {
        const struct trace_json_event event = {.id = span->id,
                                               .name = span->name,
                                               .is_span = true,
                                               .begin_ns = span->begin_ns,
                                               .duration_ns = trace_clock_ns() - span->begin_ns,
                                               .device = span->device};
        va_list arguments;
        va_start(arguments, format);
        emit_json(&event, format, arguments);
        va_end(arguments);
    }
    errno = saved_errno;
}

/* ---- the trace file */

/* Close the array, if it is one. Lock held, the buffer flushed. */
static void end_json(void)
{
    if (atomic_load(&file.json) && !file.ended) {
        file.ended = true;
        (void)write_all(file.fd, TRACE_JSON_END, strlen(TRACE_JSON_END));
    }
}

/*
 * The process dies, perhaps inside a signal handler: what is in the buffer goes out. The lock may
 * be held by a thread that will never release it; after a while the buffer is written regardless.
 */
static void flush_on_exit(void)
{
    if (file.fd < 0 || file.ended) {
        return;
    }
    int held = pthread_mutex_trylock(&file.lock);
    for (int i = 0; held != 0 && i < LOCK_ATTEMPTS; i++) {
        poll(NULL, 0, 1);
        held = pthread_mutex_trylock(&file.lock);
    }
    flush_locked(file.flushed_us);
    end_json();
    if (held == 0) {
        pthread_mutex_unlock(&file.lock);
    }
}

void trace_flush(void)
{
    pthread_mutex_lock(&file.lock);
    if (file.fd >= 0) {
        flush_locked(elapsed_us());
    }
    pthread_mutex_unlock(&file.lock);
}

void trace_set_format(enum trace_format format)
{
    next_format = format;
}

int trace_set_file(const char *path, struct error *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOCTTY, 0666);
    if (fd < 0) {
        int code = -errno;
        return error_set(err, code, "--trace-file %s: %s", path, strerror(-code));
    }
    trace_finish();
    exit_hook_add(flush_on_exit);
    pthread_mutex_lock(&file.lock);
    snprintf(file.path, sizeof(file.path), "%s", path);
    file.flushed_us = elapsed_us();
    file.json = next_format == TRACE_JSON;
    file.ended = false;
    file.used = file.json ? trace_json_start(file.buffer) : 0;
    atomic_fetch_add(&files, 1);
    file.fd = fd;
    flush_locked(file.flushed_us); /* even of a run that is killed at once it is a trace */
    pthread_mutex_unlock(&file.lock);
    return 0;
}

void trace_finish(void)
{
    pthread_mutex_lock(&file.lock);
    int fd = file.fd;
    if (fd >= 0) {
        flush_locked(elapsed_us());
        end_json();
        file.fd = -1;
        close(fd);
    }
    uint64_t lost = file.lost;
    file.lost = 0;
    pthread_mutex_unlock(&file.lock);
    if (lost > 0) {
        dprintf(STDERR_FILENO, "minivmm: --trace-file %s: %" PRIu64 " lines lost: %s\n", file.path,
                lost, strerror(file.lost_errno));
    }
}

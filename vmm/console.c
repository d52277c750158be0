/* SPDX-License-Identifier: MIT */
/*
 * Input takes this way: stdin -> escape keys -> `pending` -> the receiver, as far as it has room.
 * When the receiver is full, it calls console_receiver_ready() once it is not any more, on a vCPU's
 * thread; an eventfd brings that to the main thread.
 *
 * Output must not block, but O_NONBLOCK belongs to the open file description, which is shared with
 * the shell and whatever else has inherited the terminal or the pipe; programs that do not expect
 * it there fail. So stdout is opened a second time where that is possible.
 */
#include "vmm/console.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/terminal.h"

enum {
    CTRL_A = 0x01,
    READ_CHUNK = 256,
    FOREGROUND_INTERVAL_NS = 500 * 1000 * 1000,
};

/* ---- output */

static ssize_t write_polled(const struct console *console, const uint8_t *data, size_t length)
{
    struct pollfd fd = {.fd = console->output_source.fd, .events = POLLOUT};
    if (poll(&fd, 1, 0) == 0) {
        errno = EAGAIN;
        return -1;
    }
    return write(fd.fd, data, length < console->output_chunk ? length : console->output_chunk);
}

static ssize_t write_once(const struct console *console, const uint8_t *data, size_t length)
{
    switch (console->output) {
    case CONSOLE_OUTPUT_NONE:
        break;
    case CONSOLE_OUTPUT_PLAIN:
    case CONSOLE_OUTPUT_OWN:
        return write(console->output_source.fd, data, length);
    case CONSOLE_OUTPUT_SOCKET:
        return send(console->output_source.fd, data, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    case CONSOLE_OUTPUT_POLLED:
        return write_polled(console, data, length);
    }
    return (ssize_t)length;
}

/* Have output_ready() called when stdout takes something again. Lock held. */
static void await_room(struct console *console)
{
    console->output_refused = true;
    if (event_loop_add(console->loop, &console->output_source, EPOLLOUT) < 0) {
        console->output_refused = false; /* no way to learn of it: rather lose output than hang */
        console->output = CONSOLE_OUTPUT_NONE;
    }
}

/* What happened instead of writing. Returns true if it is worth another try. Lock held. */
static bool write_failed(struct console *console)
{
    if (errno == EINTR) {
        return true;
    }
    if (errno == EAGAIN) {
        await_room(console);
        return !console->output_refused;
    }
    if (errno == EPIPE || errno == EIO || errno == ECONNRESET || errno == EBADF) {
        console->output = CONSOLE_OUTPUT_NONE; /* the reader is gone and will not come back */
        return true;
    }
    return false; /* a full disk, for instance */
}

size_t console_write(struct console *console, const uint8_t *data, size_t length)
{
    size_t done = 0;
    bool going = true;
    pthread_mutex_lock(&console->lock);
    while (done < length && going && !console->output_refused) {
        ssize_t n = write_once(console, data + done, length - done);
        if (n >= 0) {
            done += (size_t)n;
        } else {
            going = write_failed(console);
        }
    }
    if (!going && !console->output_refused) {
        done = length; /* dropped */
    }
    pthread_mutex_unlock(&console->lock);
    return done;
}

static void output_ready(void *opaque, uint32_t events)
{
    struct console *console = opaque;
    (void)events;
    pthread_mutex_lock(&console->lock);
    bool was_refused = console->output_refused;
    console->output_refused = false;
    event_loop_remove(console->loop, &console->output_source);
    pthread_mutex_unlock(&console->lock);
    if (was_refused && console->receiver.writable != NULL) {
        console->receiver.writable(console->receiver.opaque);
    }
    if (was_refused && console->monitor.writable != NULL) {
        console->monitor.writable(console->monitor.opaque);
    }
}

/*
 * A further description of what stdout is, or -errno. Not of the master side of a pseudo-terminal:
 * opening that makes a new one.
 */
static int open_again(void)
{
    unsigned number;
    if (ioctl(STDOUT_FILENO, TIOCGPTN, &number) == 0) {
        return -ENXIO;
    }
    int fd = open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    return fd >= 0 ? fd : -errno;
}

static void set_output(struct console *console, enum console_output output, int fd)
{
    console->output = output;
    console->output_source.fd = fd;
}

static void open_output(struct console *console)
{
    struct stat status;
    bool is_terminal = isatty(STDOUT_FILENO);
    if (fstat(STDOUT_FILENO, &status) != 0) {
        set_output(console, CONSOLE_OUTPUT_NONE, -1);
    } else if (S_ISSOCK(status.st_mode)) {
        set_output(console, CONSOLE_OUTPUT_SOCKET, STDOUT_FILENO);
    } else if (!is_terminal && !S_ISFIFO(status.st_mode)) {
        set_output(console, CONSOLE_OUTPUT_PLAIN, STDOUT_FILENO);
    } else {
        int fd = open_again();
        set_output(console, fd >= 0 ? CONSOLE_OUTPUT_OWN : CONSOLE_OUTPUT_POLLED,
                   fd >= 0 ? fd : STDOUT_FILENO);
        /* poll() promises PIPE_BUF bytes on a pipe (pipe(7)) and just something on a terminal. */
        console->output_chunk = is_terminal ? 1 : PIPE_BUF;
    }
}

static void close_output(struct console *console)
{
    if (console->output_refused) {
        event_loop_remove(console->loop, &console->output_source);
        console->output_refused = false;
    }
    if (console->output_source.fd > STDERR_FILENO) {
        close(console->output_source.fd);
    }
    set_output(console, CONSOLE_OUTPUT_NONE, -1);
}

/* ---- messages to the person */

static void say(struct console *console, const char *text)
{
    console_write(console, (const uint8_t *)text, strlen(text));
}

static void say_help(struct console *console)
{
    say(console, "\r\n"
                 "Ctrl-A h       this help\r\n"
                 "Ctrl-A x       quit minivmm\r\n");
    if (console->monitor.input != NULL) {
        say(console, "Ctrl-A c       the monitor, and back to the guest\r\n");
    }
    say(console, "Ctrl-A Ctrl-A  send Ctrl-A to the guest\r\n");
}

/* ---- input */

static size_t pending_room(const struct console *console)
{
    return CONSOLE_PENDING - console->pending_count;
}

/* Keep a byte for the guest. From a terminal there may be no room: the key is lost. */
static void keep(struct console *console, uint8_t byte)
{
    if (pending_room(console) > 0) {
        size_t at = (console->pending_first + console->pending_count) % CONSOLE_PENDING;
        console->pending[at] = byte;
        console->pending_count++;
    }
}

static void give_key(struct console *console, uint8_t key)
{
    if (console->to_monitor) {
        console->monitor.input(console->monitor.opaque, key);
    } else {
        keep(console, key);
    }
}

static void toggle_monitor(struct console *console)
{
    if (console->monitor.input == NULL) {
        say(console, "\r\nminivmm: there is no monitor\r\n");
        return;
    }
    console->to_monitor = !console->to_monitor;
    console->monitor.toggled(console->monitor.opaque, console->to_monitor);
}

/* The key after Ctrl-A. */
static void escape_key(struct console *console, uint8_t key)
{
    switch (key) {
    case 'x':
        console->keys.quit(console->keys.opaque);
        break;
    case 'c':
        toggle_monitor(console);
        break;
    case 'h':
    case '?':
        say_help(console);
        break;
    case CTRL_A:
        give_key(console, CTRL_A);
        break;
    default:
        break;
    }
}

static void take_key(struct console *console, uint8_t key)
{
    if (console->escape) {
        console->escape = false;
        escape_key(console, key);
    } else if (key == CTRL_A) {
        console->escape = true;
    } else {
        give_key(console, key);
    }
}

/*
 * Bytes the receiver can take. If none, it will call console_receiver_ready(); as it may have made
 * room between the question and our wish to be told, it is asked again after that.
 */
static size_t receiver_room(struct console *console)
{
    const struct console_receiver *receiver = &console->receiver;
    size_t room = receiver->room(receiver->opaque);
    if (room == 0) {
        atomic_store(&console->receiver_full, true);
        room = receiver->room(receiver->opaque);
    }
    if (room > 0) {
        atomic_store(&console->receiver_full, false);
    }
    return room;
}

static size_t minimum(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Hand over what the receiver can take. */
static void deliver(struct console *console)
{
    const struct console_receiver *receiver = &console->receiver;
    while (console->pending_count > 0 && receiver->input != NULL) {
        size_t length = minimum(receiver_room(console), console->pending_count);
        length = minimum(length, CONSOLE_PENDING - console->pending_first);
        if (length == 0) {
            return;
        }
        receiver->input(receiver->opaque, console->pending + console->pending_first, length);
        console->pending_first = (console->pending_first + length) % CONSOLE_PENDING;
        console->pending_count -= length;
    }
}

/* Watch stdin while there is a use for what it gives. */
static void update_watch(struct console *console)
{
    bool has_use = console->is_terminal ? !console->background : pending_room(console) > 0;
    bool wanted = has_use && !console->input_eof;
    if (wanted != console->input_watched) {
        event_loop_modify(console->loop, &console->input_source, wanted ? EPOLLIN : 0);
        console->input_watched = wanted;
    }
}

/* Raw mode and input in the foreground; in the background neither, and look again later. */
static void update_terminal(struct console *console)
{
    console->background = !terminal_enter_raw();
    if (console->background) {
        event_timer_set(&console->foreground_timer, event_now_ns() + FOREGROUND_INTERVAL_NS);
    }
}

static void foreground_timer_expired(void *opaque)
{
    update_terminal(opaque);
    update_watch(opaque);
}

static void read_input(struct console *console)
{
    uint8_t chunk[READ_CHUNK];
    size_t wanted = sizeof(chunk);
    if (!console->is_terminal) {
        wanted = minimum(wanted, pending_room(console));
    }
    ssize_t n = read(STDIN_FILENO, chunk, wanted);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        console->input_eof = true;
    }
    for (ssize_t i = 0; i < n; i++) {
        take_key(console, chunk[i]);
    }
}

static void input_ready(void *opaque, uint32_t events)
{
    struct console *console = opaque;
    (void)events;
    /* Reading in the background would stop the whole process (SIGTTIN). */
    if (console->is_terminal && !terminal_is_foreground()) {
        update_terminal(console);
    } else {
        read_input(console);
        deliver(console);
    }
    update_watch(console);
}

static void woken(void *opaque, uint32_t events)
{
    struct console *console = opaque;
    uint64_t count;
    (void)events;
    (void)!read(console->wake_source.fd, &count, sizeof(count));
    if (console->is_terminal && terminal_was_continued()) {
        update_terminal(console);
    }
    deliver(console);
    update_watch(console);
}

void console_receiver_ready(struct console *console)
{
    uint64_t one = 1;
    if (atomic_exchange(&console->receiver_full, false)) {
        (void)!write(console->wake_source.fd, &one, sizeof(one));
    }
}

void console_set_receiver(struct console *console, const struct console_receiver *receiver)
{
    console->receiver = *receiver;
}

void console_set_monitor(struct console *console, const struct console_monitor *monitor)
{
    console->monitor = *monitor;
    console->to_monitor = false;
}

/* ---- life */

void console_reserve_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0) {
            (void)!open("/dev/null", O_RDWR); /* gets the lowest free number: this one */
        }
    }
}

/* epoll refuses files and /dev/null, which are always ready: let an eventfd be so for them. */
static int watch_stdin(struct console *console)
{
    console->input_source.fd = STDIN_FILENO;
    int rc = event_loop_add(console->loop, &console->input_source, EPOLLIN);
    if (rc == -EPERM) {
        int fd = eventfd(1, EFD_CLOEXEC);
        if (fd < 0) {
            return -errno;
        }
        console->input_source.fd = fd;
        rc = event_loop_add(console->loop, &console->input_source, EPOLLIN);
    }
    console->input_watched = rc == 0;
    return rc;
}

static int open_wake(struct console *console)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0) {
        return -errno;
    }
    console->wake_source.fd = fd;
    return event_loop_add(console->loop, &console->wake_source, EPOLLIN);
}

static int open_terminal(struct console *console)
{
    console->is_terminal = terminal_prepare(console->wake_source.fd);
    if (!console->is_terminal) {
        return 0;
    }
    int rc = event_timer_init(&console->foreground_timer, console->loop, foreground_timer_expired,
                              console);
    if (rc == 0) {
        update_terminal(console);
        update_watch(console);
    }
    return rc;
}

static int open_all(struct console *console)
{
    int rc = open_wake(console);
    if (rc == 0) {
        rc = watch_stdin(console);
    }
    if (rc == 0) {
        rc = open_terminal(console);
    }
    if (rc == 0) {
        open_output(console);
    }
    return rc;
}

int console_init(struct console *console, struct event_loop *loop, const struct console_keys *keys,
                 struct error *err)
{
    /* Member by member: clearing the whole struct would touch its buffer. */
    console->loop = loop;
    console->receiver = (struct console_receiver){.opaque = NULL};
    console->monitor = (struct console_monitor){.opaque = NULL};
    console->to_monitor = false;
    console->keys = *keys;
    console->input_source = (struct event_source){-1, input_ready, console};
    console->wake_source = (struct event_source){-1, woken, console};
    console->output_source = (struct event_source){-1, output_ready, console};
    console->foreground_timer.loop = NULL;
    console->input_watched = console->input_eof = console->is_terminal = false;
    console->background = console->escape = console->output_refused = false;
    console->pending_first = console->pending_count = 0;
    atomic_init(&console->receiver_full, false);
    pthread_mutex_init(&console->lock, NULL);
    int rc = open_all(console);
    if (rc < 0) {
        console_destroy(console);
        return error_set(err, rc, "console: %s", strerror(-rc));
    }
    return 0;
}

/* Forget a source, and close its descriptor if it is not one of the standard ones. */
static void drop_source(struct console *console, struct event_source *source)
{
    if (source->fd < 0) {
        return;
    }
    event_loop_remove(console->loop, source);
    if (source->fd > STDERR_FILENO) {
        close(source->fd);
    }
    source->fd = -1;
}

void console_destroy(struct console *console)
{
    if (console->loop == NULL) {
        return;
    }
    terminal_destroy();
    event_timer_destroy(&console->foreground_timer);
    drop_source(console, &console->input_source);
    drop_source(console, &console->wake_source);
    close_output(console);
    pthread_mutex_destroy(&console->lock);
    console->loop = NULL;
}

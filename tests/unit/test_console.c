/* SPDX-License-Identifier: MIT */
/*
 * The console on pseudo-terminals, pipes, sockets, files and nothing at all.
 *
 * What can be seen from within is tested in this process, with descriptors 0 and 1 replaced. What
 * needs a process that dies, stops or has a terminal of its own is done by this program started
 * again as a "machine": its console echoes to a pipe what the guest would get, and some keys make
 * it die in a certain way.
 */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "emulated.h"
#include "vmm/console.h"

/* ---- a guest's serial port, and the machine round it */

struct fake {
    struct event_loop loop;
    struct console console;
    bool console_made;
    uint8_t got[16384];
    size_t count;
    _Atomic size_t capacity; /* what it can take before it is full */
    bool room_comes_late;
    size_t stop_at; /* stop the loop when so much has come */
    unsigned writable_calls;
    unsigned quits;
    unsigned monitors;
    bool monitor_on;
    char monitor_keys[16];
    size_t monitor_key_count;
    int saved_in; /* the test program's own stdin and stdout */
    int saved_out;
    int other_in; /* the test's ends */
    int other_out;
};

static size_t fake_room(void *opaque)
{
    struct fake *fake = opaque;
    size_t capacity = atomic_load(&fake->capacity);
    if (fake->room_comes_late) { /* another thread, just after we have looked */
        fake->room_comes_late = false;
        atomic_store(&fake->capacity, sizeof(fake->got));
        console_receiver_ready(&fake->console);
    }
    return capacity > fake->count ? capacity - fake->count : 0;
}

static void fake_input(void *opaque, const uint8_t *data, size_t length)
{
    struct fake *fake = opaque;
    assert_true(length > 0 && length <= fake_room(fake));
    memcpy(fake->got + fake->count, data, length);
    fake->count += length;
    if (fake->count >= fake->stop_at) {
        event_loop_stop(&fake->loop);
    }
}

static void fake_writable(void *opaque)
{
    struct fake *fake = opaque;
    fake->writable_calls++;
    event_loop_stop(&fake->loop);
}

static void fake_quit(void *opaque)
{
    struct fake *fake = opaque;
    fake->quits++;
    event_loop_stop(&fake->loop);
}

static void fake_toggled(void *opaque, bool on)
{
    struct fake *fake = opaque;
    fake->monitors++;
    fake->monitor_on = on;
}

static void fake_monitor_input(void *opaque, uint8_t key)
{
    struct fake *fake = opaque;
    fake->monitor_keys[fake->monitor_key_count++] = (char)key;
}

static int set_up(void **state)
{
    struct fake *fake = calloc(1, sizeof(*fake));
    fake->capacity = sizeof(fake->got);
    fake->stop_at = SIZE_MAX;
    fake->saved_in = dup(STDIN_FILENO);
    fake->saved_out = dup(STDOUT_FILENO);
    fake->other_in = fake->other_out = -1;
    *state = fake;
    return event_loop_init(&fake->loop, NULL);
}

static void replace(int *saved, int fd)
{
    if (*saved >= 0) {
        dup2(*saved, fd);
        close(*saved);
        *saved = -1;
    }
}

static void close_end(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
    }
    *fd = -1;
}

static int tear_down(void **state)
{
    struct fake *fake = *state;
    if (fake->console_made) {
        console_destroy(&fake->console);
        console_destroy(&fake->console);
    }
    event_loop_destroy(&fake->loop);
    replace(&fake->saved_in, STDIN_FILENO);
    replace(&fake->saved_out, STDOUT_FILENO);
    close_end(&fake->other_in);
    close_end(&fake->other_out);
    free(fake);
    return 0;
}

/* Make the console on these descriptors, which are used up. */
static void start(struct fake *fake, int in, int out, bool with_monitor)
{
    const struct console_receiver receiver = {fake_room, fake_input, fake_writable, fake};
    const struct console_keys keys = {fake_quit, fake};
    const struct console_monitor monitor = {fake_toggled, fake_monitor_input, NULL, fake};
    fflush(stdout);
    dup2(in, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    close(in);
    if (out != in) {
        close(out);
    }
    struct error err = {""};
    int rc = console_init(&fake->console, &fake->loop, &keys, &err);
    fake->console_made = rc == 0;
    assert_int_equal(rc, 0);
    console_set_receiver(&fake->console, &receiver);
    if (with_monitor) {
        console_set_monitor(&fake->console, &monitor);
    }
}

static void start_on_pipes(struct fake *fake, bool with_monitor)
{
    int in[2];
    int out[2];
    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    fake->other_in = in[1];
    fake->other_out = out[0];
    start(fake, in[0], out[1], with_monitor);
}

static void start_on_terminal(struct fake *fake)
{
    int slave;
    assert_int_equal(openpty(&fake->other_in, &slave, NULL, NULL, NULL), 0);
    fake->other_out = dup(fake->other_in);
    start(fake, slave, slave, false);
}

static void stop_loop(void *opaque)
{
    event_loop_stop(opaque);
}

static void run_for(struct fake *fake, uint64_t milliseconds)
{
    struct event_timer timer;
    assert_int_equal(event_timer_init(&timer, &fake->loop, stop_loop, &fake->loop), 0);
    event_timer_set(&timer, event_now_ns() + milliseconds * 1000000);
    event_loop_run(&fake->loop);
    event_timer_destroy(&timer);
}

/* Type, and run until the guest has `count` bytes in all. */
static void type_until(struct fake *fake, const char *keys, size_t length, size_t count)
{
    assert_int_equal(write(fake->other_in, keys, length), length);
    fake->stop_at = count;
    if (fake->count < count) {
        run_for(fake, 2000);
    }
    assert_int_equal(fake->count, count);
    fake->stop_at = SIZE_MAX;
}

/* What has come out, as a string. */
static const char *output(struct fake *fake)
{
    static char text[1024];
    size_t used = 0;
    struct pollfd fd = {.fd = fake->other_out, .events = POLLIN};
    while (used < sizeof(text) - 1 && poll(&fd, 1, 20) > 0 && (fd.revents & POLLIN)) {
        ssize_t n = read(fd.fd, text + used, sizeof(text) - 1 - used);
        used += n > 0 ? (size_t)n : 0;
    }
    text[used] = '\0';
    return text;
}

static size_t say(struct fake *fake, const char *text)
{
    return console_write(&fake->console, (const uint8_t *)text, strlen(text));
}

static bool is_raw(int terminal)
{
    struct termios modes;
    assert_int_equal(tcgetattr(terminal, &modes), 0);
    return (modes.c_lflag & (ICANON | ECHO | ISIG)) == 0;
}

static bool is_cooked(int terminal)
{
    struct termios modes;
    assert_int_equal(tcgetattr(terminal, &modes), 0);
    return (modes.c_lflag & (ICANON | ECHO | ISIG)) == (ICANON | ECHO | ISIG);
}

/* ---- the escape keys */

static void input_reaches_the_guest(void **state)
{
    struct fake *fake = *state;
    start_on_pipes(fake, false);
    type_until(fake, "hello\n\0\xff", 8, 8);
    assert_memory_equal(fake->got, "hello\n\0\xff", 8);
}

static void escape_keys(void **state)
{
    struct fake *fake = *state;
    start_on_pipes(fake, false);
    type_until(fake, "a\x01qb\x01\x01x\x01xc", 10, 5);
    assert_memory_equal(fake->got, "ab\x01xc", 5);
    assert_int_equal(fake->quits, 1);
    type_until(fake, "\x01", 1, 5);
    run_for(fake, 10);
    assert_int_equal(fake->quits, 1);
    assert_int_equal(write(fake->other_in, "x", 1), 1); /* the second key comes on its own */
    run_for(fake, 1000);
    assert_int_equal(fake->quits, 2);
}

static void help_and_monitor(void **state)
{
    struct fake *fake = *state;
    start_on_pipes(fake, false);
    type_until(fake, "\x01hz", 3, 1);
    assert_non_null(strstr(output(fake), "Ctrl-A x       quit minivmm\r\n"));
    type_until(fake, "\x01?z", 3, 2);
    assert_null(strstr(output(fake), "the monitor"));
    type_until(fake,
               "\x01"
               "cz",
               3, 3);
    assert_string_equal(output(fake), "\r\nminivmm: there is no monitor\r\n");
    assert_int_equal(fake->monitors, 0);
}

static void monitor_key(void **state)
{
    struct fake *fake = *state;
    start_on_pipes(fake, true);
    type_until(fake,
               "a\x01"
               "cxy\x01\x01\x01h\x01"
               "cz",
               12, 2);
    assert_int_equal(fake->monitors, 2);
    assert_false(fake->monitor_on);
    assert_non_null(strstr(output(fake), "the monitor"));
    assert_memory_equal(fake->got, "az", 2);
    assert_memory_equal(fake->monitor_keys, "xy\x01", 3);
    assert_int_equal(fake->monitor_key_count, 3);
}

/* ---- a guest that is slow to read */

static void *make_room(void *opaque)
{
    struct fake *fake = opaque;
    for (unsigned i = 0; i < 10000; i++) {
        atomic_fetch_add(&fake->capacity, 1);
        console_receiver_ready(&fake->console);
        if (i % 100 == 0) {
            usleep(100);
        }
    }
    return NULL;
}

/* Room comes byte by byte from another thread; a lost wake-up would end in the time-out. */
static void nothing_is_lost_when_the_guest_is_slow(void **state)
{
    struct fake *fake = *state;
    pthread_t thread;
    char text[10000];
    for (size_t i = 0; i < sizeof(text); i++) {
        text[i] = (char)('a' + i % 26);
    }
    start_on_pipes(fake, false);
    fake->capacity = 0;
    assert_int_equal(pthread_create(&thread, NULL, make_room, fake), 0);
    type_until(fake, text, sizeof(text), sizeof(text));
    pthread_join(thread, NULL);
    assert_memory_equal(fake->got, text, sizeof(text));
}

static void room_that_comes_while_we_look_is_not_missed(void **state)
{
    struct fake *fake = *state;
    start_on_pipes(fake, false);
    fake->capacity = 0;
    fake->room_comes_late = true;
    type_until(fake, "now", 3, 3);
}

/* Microseconds of processor time used so far, the kernel's on our behalf included. */
static int64_t cpu_time_us(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * INT64_C(1000000) +
           usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
}

static void a_full_guest_costs_no_time(void **state)
{
    struct fake *fake = *state;
    char text[8192] = {0};
    start_on_pipes(fake, false);
    fake->capacity = 0;
    assert_int_equal(write(fake->other_in, text, sizeof(text)), sizeof(text));
    close_end(&fake->other_in); /* EPOLLHUP */
    int64_t before = cpu_time_us();
    run_for(fake, 200);
    assert_true(cpu_time_us() - before < 100000);
    fake->capacity = sizeof(fake->got);
    fake->stop_at = sizeof(text);
    console_receiver_ready(&fake->console);
    run_for(fake, 2000);
    assert_int_equal(fake->count, sizeof(text));
}

/* On a terminal quitting works however much the guest has left unread. */
static void quit_works_when_the_guest_reads_nothing(void **state)
{
    struct fake *fake = *state;
    char text[1024];
    memset(text, 'k', sizeof(text));
    start_on_terminal(fake);
    fake->capacity = 0;
    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal(write(fake->other_in, text, sizeof(text)), sizeof(text));
        run_for(fake, 5);
    }
    assert_int_equal(write(fake->other_in, "\x01x", 2), 2);
    run_for(fake, 2000);
    assert_int_equal(fake->quits, 1);
    fake->capacity = sizeof(fake->got);
    console_receiver_ready(&fake->console);
    run_for(fake, 20);
    assert_int_equal(fake->count, CONSOLE_PENDING);
}

/* ---- kinds of stdin */

static void end_of_a_pipe_ends_nothing(void **state)
{
    struct fake *fake = *state;
    start_on_pipes(fake, false);
    type_until(fake, "end", 3, 3);
    close_end(&fake->other_in);
    run_for(fake, 20);
    assert_true(fake->console.input_eof);
    assert_int_equal(fake->quits, 0);
    assert_int_equal(say(fake, "alive"), 5);
    assert_string_equal(output(fake), "alive");
}

static void start_with_stdin(struct fake *fake, int in)
{
    int out[2];
    assert_true(in >= 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    fake->other_out = out[0];
    start(fake, in, out[1], false);
}

static void stdin_from_dev_null(void **state)
{
    struct fake *fake = *state;
    start_with_stdin(fake, open("/dev/null", O_RDONLY | O_CLOEXEC));
    run_for(fake, 20);
    assert_true(fake->console.input_eof);
    assert_int_equal(fake->count, 0);
}

static void stdin_from_a_directory(void **state)
{
    struct fake *fake = *state;
    start_with_stdin(fake, open("/tmp", O_RDONLY | O_CLOEXEC));
    run_for(fake, 20);
    assert_true(fake->console.input_eof);
}

static void stdin_from_a_file(void **state)
{
    struct fake *fake = *state;
    char text[10000];
    memset(text, 'f', sizeof(text));
    int file = memfd_create("input", MFD_CLOEXEC);
    assert_int_equal(write(file, text, sizeof(text)), sizeof(text));
    lseek(file, 0, SEEK_SET);
    start_with_stdin(fake, file);
    fake->capacity = 100;
    run_for(fake, 20);
    assert_int_equal(fake->count, 100);
    fake->capacity = sizeof(fake->got);
    fake->stop_at = sizeof(text);
    console_receiver_ready(&fake->console);
    run_for(fake, 2000);
    assert_int_equal(fake->count, sizeof(text));
    assert_memory_equal(fake->got, text, sizeof(text));
    run_for(fake, 20);
    assert_true(fake->console.input_eof);
}

/* No assertions while stdout is closed: their text would go astray. */
static void closed_descriptors(void **state)
{
    struct fake *fake = *state;
    const struct console_keys keys = {fake_quit, fake};
    fflush(stdout);
    close(STDIN_FILENO);
    close(STDOUT_FILENO);
    console_reserve_descriptors();
    int next = open("/dev/null", O_RDONLY | O_CLOEXEC);
    close(next);
    int rc = console_init(&fake->console, &fake->loop, &keys, NULL);
    fake->console_made = rc == 0;
    size_t taken = rc == 0 ? say(fake, "into the void") : 0;
    run_for(fake, 10);
    replace(&fake->saved_in, STDIN_FILENO);
    replace(&fake->saved_out, STDOUT_FILENO);
    assert_int_equal(rc, 0);
    assert_true(next > STDERR_FILENO);
    assert_int_equal(taken, 13);
    assert_true(fake->console.input_eof);
}

/* ---- kinds of stdout */

/* Write until stdout refuses; returns how much it took. */
static size_t fill(struct fake *fake)
{
    static uint8_t text[10000];
    size_t written = 0;
    size_t taken;
    memset(text, 'o', sizeof(text));
    do {
        taken = console_write(&fake->console, text, sizeof(text));
        written += taken;
        assert_true(written < 16 << 20);
    } while (taken == sizeof(text));
    assert_int_equal(console_write(&fake->console, text, 1), 0);
    return written;
}

/* Read all that has come out; returns how much. */
static size_t drain(struct fake *fake)
{
    static uint8_t sink[65536];
    size_t drained = 0;
    struct pollfd fd = {.fd = fake->other_out, .events = POLLIN};
    while (poll(&fd, 1, 50) > 0) {
        ssize_t n = read(fd.fd, sink, sizeof(sink));
        assert_true(n > 0);
        drained += (size_t)n;
    }
    return drained;
}

/*
 * Until there is no room for good: the kernel moves a terminal's output along a little later, which
 * makes room once more.
 */
static size_t fill_for_good(struct fake *fake)
{
    size_t written = 0;
    unsigned calls;
    do {
        calls = fake->writable_calls;
        written += fill(fake);
        run_for(fake, 50);
    } while (fake->writable_calls != calls);
    return written;
}

/* What is refused is told, once, when there is room again, and nothing is lost. Twice over. */
static void fill_and_drain(struct fake *fake)
{
    for (unsigned round = 0; round < 2; round++) {
        size_t written = fill_for_good(fake);
        unsigned calls = fake->writable_calls;
        assert_int_equal(drain(fake), written);
        run_for(fake, 1000);
        assert_int_equal(fake->writable_calls, calls + 1);
        run_for(fake, 20);
        assert_int_equal(fake->writable_calls, calls + 1);
        assert_int_equal(say(fake, "again"), 5);
        assert_string_equal(output(fake), "again");
    }
}

static void a_full_pipe_refuses(void **state)
{
    struct fake *fake = *state;
    start_on_pipes(fake, false);
    assert_int_equal(fake->console.output, CONSOLE_OUTPUT_OWN);
    assert_false(fcntl(STDOUT_FILENO, F_GETFL) & O_NONBLOCK); /* others share this one */
    fill_and_drain(fake);
}

static void a_full_terminal_refuses(void **state)
{
    struct fake *fake = *state;
    start_on_terminal(fake);
    assert_int_equal(fake->console.output, CONSOLE_OUTPUT_OWN);
    assert_false(fcntl(STDOUT_FILENO, F_GETFL) & O_NONBLOCK);
    fill_and_drain(fake);
}

static void a_full_socket_refuses(void **state)
{
    struct fake *fake = *state;
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    fake->other_out = ends[1];
    start(fake, open("/dev/null", O_RDONLY | O_CLOEXEC), ends[0], false);
    assert_int_equal(fake->console.output, CONSOLE_OUTPUT_SOCKET);
    fill_and_drain(fake);
}

/* Where stdout cannot be opened a second time. */
static void polled_output_refuses_too(void **state)
{
    struct fake *fake = *state;
    start_on_pipes(fake, false);
    close(fake->console.output_source.fd);
    fake->console.output_source.fd = STDOUT_FILENO;
    fake->console.output = CONSOLE_OUTPUT_POLLED;
    fill_and_drain(fake);
}

static void polled_terminal_refuses_too(void **state)
{
    struct fake *fake = *state;
    start_on_terminal(fake);
    close(fake->console.output_source.fd);
    fake->console.output_source.fd = STDOUT_FILENO;
    fake->console.output = CONSOLE_OUTPUT_POLLED;
    fill_and_drain(fake);
}

static void a_master_side_is_not_opened_again(void **state)
{
    struct fake *fake = *state;
    int master;
    int slave;
    assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
    struct termios modes;
    tcgetattr(slave, &modes);
    cfmakeraw(&modes);
    tcsetattr(slave, TCSANOW, &modes);
    fake->other_out = slave;
    start(fake, open("/dev/null", O_RDONLY | O_CLOEXEC), master, false);
    assert_int_equal(fake->console.output, CONSOLE_OUTPUT_POLLED);
    assert_int_equal(say(fake, "to the slave"), 12);
    assert_string_equal(output(fake), "to the slave");
}

static void output_after_the_reader_has_gone_is_dropped(void **state)
{
    struct fake *fake = *state;
    start_on_pipes(fake, false);
    close_end(&fake->other_out);
    assert_int_equal(say(fake, "lost"), 4);
    assert_int_equal(say(fake, "lost"), 4);
    assert_int_equal(fake->console.output, CONSOLE_OUTPUT_NONE);
}

static void a_reader_that_goes_while_output_waits(void **state)
{
    struct fake *fake = *state;
    start_on_pipes(fake, false);
    fill(fake);
    close_end(&fake->other_out);
    run_for(fake, 1000);
    assert_int_equal(fake->writable_calls, 1);
    assert_int_equal(say(fake, "lost"), 4);
}

static void files_and_full_disks(void **state)
{
    struct fake *fake = *state;
    int file = memfd_create("output", MFD_CLOEXEC);
    fake->other_out = dup(file);
    start(fake, open("/dev/null", O_RDONLY | O_CLOEXEC), file, false);
    assert_int_equal(fake->console.output, CONSOLE_OUTPUT_PLAIN);
    assert_int_equal(say(fake, "kept"), 4);
    char text[8] = "";
    assert_int_equal(pread(fake->other_out, text, sizeof(text) - 1, 0), 4);
    assert_string_equal(text, "kept");
    console_destroy(&fake->console);
    start(fake, open("/dev/null", O_RDONLY | O_CLOEXEC), open("/dev/full", O_WRONLY | O_CLOEXEC),
          false);
    assert_int_equal(say(fake, "dropped"), 7);
    assert_int_equal(fake->writable_calls, 0);
}

/* ---- raw mode */

static void a_terminal_is_raw_until_the_end(void **state)
{
    struct fake *fake = *state;
    start_on_terminal(fake);
    assert_true(is_raw(fake->other_in));
    type_until(fake, "\x03\r\x1a\x11", 4, 4); /* Ctrl-C, Enter, Ctrl-Z, Ctrl-Q: keys like others */
    assert_memory_equal(fake->got, "\x03\r\x1a\x11", 4);
    assert_string_equal(output(fake), ""); /* no echo */
    console_destroy(&fake->console);
    assert_true(is_cooked(fake->other_in));
}

static void a_terminal_that_hangs_up_is_the_end_of_input(void **state)
{
    struct fake *fake = *state;
    start_on_terminal(fake);
    close_end(&fake->other_in);
    close_end(&fake->other_out);
    run_for(fake, 50);
    assert_true(fake->console.input_eof);
    assert_int_equal(say(fake, "nobody"), 6);
}

/* ---- the machine: this program, started again */

static void *fault(void *opaque)
{
    volatile int *page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *page = 1;
    return opaque;
}

static void fault_on_a_thread(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, fault, NULL);
    pause();
}

/* What the guest gets goes to stderr, a pipe of the test; capital letters kill. */
static void machine_input(void *opaque, const uint8_t *data, size_t length)
{
    (void)opaque;
    for (size_t i = 0; i < length; i++) {
        switch (data[i]) {
        case 'E':
            exit(5);
        case 'A':
            abort();
        case 'F':
            fault(NULL);
            break;
        case 'P':
            fault_on_a_thread();
            break;
        default:
            (void)!write(STDERR_FILENO, &data[i], 1);
        }
    }
}

static size_t machine_room(void *opaque)
{
    (void)opaque;
    return 16;
}

static void machine_quit(void *opaque)
{
    event_loop_stop(opaque);
}

static int machine_main(void)
{
    static struct event_loop loop;
    static struct console console;
    const struct console_receiver receiver = {machine_room, machine_input, NULL, NULL};
    const struct console_keys keys = {machine_quit, &loop};
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    for (int number = 1; number < NSIG; number++) {
        signal(number, SIG_DFL); /* a sanitizer's would print and exit */
    }
    if (event_loop_init(&loop, NULL) < 0 || console_init(&console, &loop, &keys, NULL) < 0) {
        return 1;
    }
    console_set_receiver(&console, &receiver);
    (void)!write(STDERR_FILENO, "!", 1); /* ready */
    event_loop_run(&loop);
    console_destroy(&console);
    event_loop_destroy(&loop);
    return 0;
}

/* A machine, and the terminal it is on. */
struct machine {
    int master;
    int slave; /* held open, so that the terminal outlives the machine */
    int report;
    pid_t pid;
};

/* In the child: the terminal on 0 and 1, the report on 2, and this program again. */
static void become_machine(int slave, int report)
{
    dup2(slave, STDIN_FILENO);
    dup2(slave, STDOUT_FILENO);
    dup2(report, STDERR_FILENO);
    execl("/proc/self/exe", "test_console", "machine", (char *)NULL);
    _exit(127);
}

/* Does `wanted` come from the machine within two seconds? */
static bool reports(const struct machine *machine, char wanted)
{
    struct pollfd fd = {.fd = machine->report, .events = POLLIN};
    char c = 0;
    while (poll(&fd, 1, 2000) > 0 && read(fd.fd, &c, 1) == 1) {
        if (c == wanted) {
            return true;
        }
    }
    return false;
}

static void machine_start(struct machine *machine)
{
    int report[2];
    assert_int_equal(pipe2(report, O_CLOEXEC), 0);
    assert_int_equal(openpty(&machine->master, &machine->slave, NULL, NULL, NULL), 0);
    fcntl(machine->master, F_SETFD, FD_CLOEXEC);
    fcntl(machine->slave, F_SETFD, FD_CLOEXEC);
    machine->report = report[0];
    machine->pid = fork();
    assert_true(machine->pid >= 0);
    if (machine->pid == 0) {
        setsid();
        ioctl(machine->slave, TIOCSCTTY, 0);
        become_machine(machine->slave, report[1]);
    }
    close(report[1]);
    assert_true(reports(machine, '!'));
    assert_true(is_raw(machine->slave));
}

static int machine_end(struct machine *machine)
{
    int status = 0;
    assert_int_equal(waitpid(machine->pid, &status, 0), machine->pid);
    return status;
}

static void machine_close(struct machine *machine)
{
    close(machine->master);
    close(machine->slave);
    close(machine->report);
}

static void the_terminal_is_restored_on_every_way_out(void **state)
{
    static const struct {
        const char *keys;
        int kill;
        int signal_number; /* how it ended, 0: by itself */
        int exit_status;
    } cases[] = {
        {"\x01x", 0, 0, 0},        {"E", 0, 0, 5},          {"A", 0, SIGABRT, 0},
        {"F", 0, SIGSEGV, 0},      {"P", 0, SIGSEGV, 0},    {"", SIGTERM, SIGTERM, 0},
        {"", SIGHUP, SIGHUP, 0},   {"", SIGINT, SIGINT, 0}, {"", SIGQUIT, SIGQUIT, 0},
        {"", SIGSEGV, SIGSEGV, 0}, {"", SIGBUS, SIGBUS, 0}, {"", SIGFPE, SIGFPE, 0},
        {"", SIGILL, SIGILL, 0},
    };
    (void)state;
    skip_if_emulated();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct machine machine;
        machine_start(&machine);
        assert_true(write(machine.master, cases[i].keys, strlen(cases[i].keys)) >= 0);
        if (cases[i].kill != 0) {
            kill(machine.pid, cases[i].kill);
        }
        int status = machine_end(&machine);
        if (cases[i].signal_number != 0) {
            assert_true(WIFSIGNALED(status));
            assert_int_equal(WTERMSIG(status), cases[i].signal_number);
        } else {
            assert_true(WIFEXITED(status));
            assert_int_equal(WEXITSTATUS(status), cases[i].exit_status);
        }
        assert_true(is_cooked(machine.slave));
        machine_close(&machine);
    }
}

/* ---- job control */

/* The shell below runs in a process of its own and cannot use cmocka's assertions. */
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            dprintf(STDERR_FILENO, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                 \
            kill(machine->pid, SIGKILL);                                                           \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

static bool becomes(bool (*condition)(int), int terminal)
{
    for (unsigned i = 0; i < 200; i++) {
        if (condition(terminal)) {
            return true;
        }
        usleep(10000);
    }
    return false;
}

static void shell_start_in_background(struct machine *machine)
{
    int report[2];
    signal(SIGTTOU, SIG_IGN); /* as shells do */
    setsid();
    ioctl(machine->slave, TIOCSCTTY, 0);
    if (pipe2(report, O_CLOEXEC) != 0) {
        _exit(1);
    }
    machine->report = report[0];
    machine->pid = fork();
    if (machine->pid == 0) {
        setpgid(0, 0);
        become_machine(machine->slave, report[1]);
    }
    setpgid(machine->pid, machine->pid);
    close(report[1]);
}

static bool stops(const struct machine *machine)
{
    int status = 0;
    return waitpid(machine->pid, &status, WUNTRACED) == machine->pid && WIFSTOPPED(status);
}

/* machine & : it runs, and leaves terminal and keys to the shell. */
static void check_background(struct machine *machine)
{
    char line[8];
    CHECK(reports(machine, '!'));
    CHECK(is_cooked(machine->slave));
    CHECK(write(machine->master, "ls\n", 3) == 3);
    usleep(100 * 1000);
    CHECK(waitpid(machine->pid, NULL, WUNTRACED | WNOHANG) == 0);
    CHECK(read(machine->slave, line, sizeof(line)) == 3);
}

/* fg */
static void check_foreground(struct machine *machine)
{
    CHECK(tcsetpgrp(machine->slave, machine->pid) == 0);
    CHECK(becomes(is_raw, machine->slave));
    CHECK(write(machine->master, "k", 1) == 1);
    CHECK(reports(machine, 'k'));
}

/* The terminal goes to another process while the machine runs, and comes back. */
static void check_terminal_taken_away(struct machine *machine)
{
    CHECK(tcsetpgrp(machine->slave, getpgrp()) == 0);
    CHECK(write(machine->master, "n", 1) == 1);
    usleep(100 * 1000);
    CHECK(waitpid(machine->pid, NULL, WUNTRACED | WNOHANG) == 0);
    CHECK(tcsetpgrp(machine->slave, machine->pid) == 0);
    CHECK(reports(machine, 'n'));
}

/* kill -TSTP, then bg */
static void check_stop(struct machine *machine)
{
    kill(machine->pid, SIGTSTP);
    CHECK(stops(machine));
    CHECK(is_cooked(machine->slave));
    CHECK(tcsetpgrp(machine->slave, getpgrp()) == 0);
    kill(machine->pid, SIGCONT);
    usleep(100 * 1000);
    CHECK(is_cooked(machine->slave));
}

/* kill -STOP, which nobody can prepare for, then fg; first from the background. */
static void check_sudden_stop(struct machine *machine)
{
    kill(machine->pid, SIGSTOP);
    CHECK(stops(machine));
    CHECK(tcsetpgrp(machine->slave, machine->pid) == 0);
    kill(machine->pid, SIGCONT);
    CHECK(becomes(is_raw, machine->slave));
    CHECK(write(machine->master, "m", 1) == 1);
    CHECK(reports(machine, 'm'));
    kill(machine->pid, SIGSTOP); /* and raw mode stays, as with a shell that does not care */
    CHECK(stops(machine));
    kill(machine->pid, SIGCONT);
    usleep(100 * 1000);
}

static void check_quit(struct machine *machine)
{
    int status = 1;
    CHECK(write(machine->master, "\x01x", 2) == 2);
    CHECK(waitpid(machine->pid, &status, 0) == machine->pid && status == 0);
    CHECK(is_cooked(machine->slave));
}

static void shell_main(struct machine *machine)
{
    shell_start_in_background(machine);
    check_background(machine);
    check_foreground(machine);
    check_terminal_taken_away(machine);
    check_stop(machine);
    check_sudden_stop(machine);
    check_quit(machine);
    _exit(0);
}

static void job_control(void **state)
{
    struct machine machine = {.report = -1};
    int status = 1;
    (void)state;
    skip_if_emulated();
    assert_int_equal(openpty(&machine.master, &machine.slave, NULL, NULL, NULL), 0);
    pid_t shell = fork();
    assert_true(shell >= 0);
    if (shell == 0) {
        shell_main(&machine);
    }
    assert_int_equal(waitpid(shell, &status, 0), shell);
    assert_int_equal(status, 0);
    close(machine.master);
    close(machine.slave);
}

/* ---- errors */

static void no_descriptors_left(void **state)
{
    struct fake *fake = *state;
    struct rlimit saved;
    struct error err = {""};
    const struct console_keys keys = {fake_quit, fake};
    getrlimit(RLIMIT_NOFILE, &saved);
    struct rlimit none = {.rlim_cur = 0, .rlim_max = saved.rlim_max};
    setrlimit(RLIMIT_NOFILE, &none);
    int rc = console_init(&fake->console, &fake->loop, &keys, &err);
    setrlimit(RLIMIT_NOFILE, &saved);
    assert_int_equal(rc, -EMFILE);
    assert_string_equal(err.text, "console: Too many open files");
    console_destroy(&fake->console);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "machine") == 0) {
        return machine_main();
    }
    signal(SIGPIPE, SIG_IGN);
#define CONSOLE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CONSOLE_TEST(input_reaches_the_guest),
        CONSOLE_TEST(escape_keys),
        CONSOLE_TEST(help_and_monitor),
        CONSOLE_TEST(monitor_key),
        CONSOLE_TEST(nothing_is_lost_when_the_guest_is_slow),
        CONSOLE_TEST(room_that_comes_while_we_look_is_not_missed),
        CONSOLE_TEST(a_full_guest_costs_no_time),
        CONSOLE_TEST(quit_works_when_the_guest_reads_nothing),
        CONSOLE_TEST(end_of_a_pipe_ends_nothing),
        CONSOLE_TEST(stdin_from_dev_null),
        CONSOLE_TEST(stdin_from_a_directory),
        CONSOLE_TEST(stdin_from_a_file),
        CONSOLE_TEST(closed_descriptors),
        CONSOLE_TEST(a_full_pipe_refuses),
        CONSOLE_TEST(a_full_terminal_refuses),
        CONSOLE_TEST(a_full_socket_refuses),
        CONSOLE_TEST(polled_output_refuses_too),
        CONSOLE_TEST(polled_terminal_refuses_too),
        CONSOLE_TEST(a_master_side_is_not_opened_again),
        CONSOLE_TEST(output_after_the_reader_has_gone_is_dropped),
        CONSOLE_TEST(a_reader_that_goes_while_output_waits),
        CONSOLE_TEST(files_and_full_disks),
        CONSOLE_TEST(a_terminal_is_raw_until_the_end),
        CONSOLE_TEST(a_terminal_that_hangs_up_is_the_end_of_input),
        cmocka_unit_test(the_terminal_is_restored_on_every_way_out),
        cmocka_unit_test(job_control),
        CONSOLE_TEST(no_descriptors_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/*
 * Trace lines: their form, choosing events, threads, the trace file, and that a process that
 * crashes leaves none behind. The crashing is done by this program itself, started again with the
 * name of a way to die and of a trace file.
 */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <regex.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "emulated.h"
#include "vmm/trace.h"

/* ---- helpers */

static char trace_path[64];

static int set_up(void **state)
{
    (void)state;
    snprintf(trace_path, sizeof(trace_path), "/tmp/test_trace.%d", (int)getpid());
    return trace_enable("*", false, NULL);
}

static int tear_down(void **state)
{
    (void)state;
    trace_finish();
    unlink(trace_path);
    return 0;
}

/* The whole of a file, to be freed. */
static char *read_file(const char *path)
{
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    FILE *in = fopen(path, "re");
    assert_non_null(in);
    for (int c = getc(in); c != EOF; c = getc(in)) {
        putc(c, out);
    }
    fclose(in);
    fclose(out);
    return text;
}

static void assert_matches(const char *text, const char *pattern)
{
    regex_t regex;
    assert_int_equal(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB), 0);
    if (regexec(&regex, text, 0, NULL, 0) != 0) {
        fail_msg("'%s' does not match '%s'", text, pattern);
    }
    regfree(&regex);
}

/* Run `body` with stderr going to the trace path. */
static void with_stderr_in_file(void (*body)(void))
{
    int saved = dup(STDERR_FILENO);
    int fd = open(trace_path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    dup2(fd, STDERR_FILENO);
    body();
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(fd);
}

static unsigned events_on(void)
{
    unsigned count = 0;
    for (size_t i = 0; i < TRACE_COUNT; i++) {
        count += trace_on[i];
    }
    return count;
}

/* ---- choosing */

static void globs_choose_events(void **state)
{
    (void)state;
    assert_int_equal(events_on(), 0);
    assert_int_equal(trace_enable("irq_level", true, NULL), 0);
    assert_true(trace_on[TRACE_ID_irq_level]);
    assert_int_equal(events_on(), 1);
    assert_int_equal(trace_enable("bus_*,-bus_unassigned*,vcpu_par[kx]", true, NULL), 0);
    assert_true(trace_on[TRACE_ID_bus_unmap]);
    assert_true(trace_on[TRACE_ID_bus_map]);
    assert_false(trace_on[TRACE_ID_bus_unassigned_read]);
    assert_true(trace_on[TRACE_ID_vcpu_park]);
    assert_false(trace_on[TRACE_ID_vcpu_resume]);
    assert_int_equal(trace_enable("bus_*", false, NULL), 0);
    assert_false(trace_on[TRACE_ID_bus_unmap]);
    assert_int_equal(trace_enable("-bus_unmap", false, NULL), 0);
    assert_true(trace_on[TRACE_ID_bus_unmap]);
    assert_int_equal(trace_enable("*", true, NULL), 0);
    assert_int_equal(events_on(), TRACE_COUNT);
}

static void bad_globs_are_named(void **state)
{
    (void)state;
    struct error err = {""};
    assert_int_equal(trace_enable("irq_level,nosuch*", true, &err), -ENOENT);
    assert_string_equal(err.text, "--trace: no event matches 'nosuch*' (--trace help lists them)");
    assert_int_equal(trace_enable("irq_level,,bus_*", true, &err), -EINVAL);
    assert_string_equal(err.text, "--trace: '' is not a pattern of event names");
    assert_int_equal(trace_enable("", true, &err), -EINVAL);
    assert_int_equal(trace_enable("-", true, &err), -EINVAL);
    char longest[300];
    memset(longest, 'x', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    assert_int_equal(trace_enable(longest, true, &err), -EINVAL);
}

static void list_shows_every_event(void **state)
{
    (void)state;
    char *text = NULL;
    size_t length = 0;
    assert_int_equal(trace_enable("mmio_read", true, NULL), 0);
    FILE *out = open_memstream(&text, &length);
    trace_list(out);
    fclose(out);
    unsigned lines = 0;
    for (const char *p = text; *p != '\0'; p++) {
        lines += *p == '\n';
    }
    assert_int_equal(lines, TRACE_COUNT);
    assert_matches(text, "(^|\n)mmio_read +on\n");
    assert_matches(text, "(^|\n)mmio_write +off\n");
    free(text);
}

/* ---- lines */

static void *emit_as_vcpu(void *opaque)
{
    char comm[32] = "";
    trace_name_thread(opaque);
    pthread_getname_np(pthread_self(), comm, sizeof(comm));
    assert_string_equal(comm, "vcpu0-name-that"); /* 15 bytes of it */
    errno = ENOTTY;
    trace_mmio_read("dma-engine bar0", 0xfebf101c, 4, 1);
    trace_mmio_write("dma-engine bar0", 0xfebf1018, 4, 1); /* off */
    assert_int_equal(errno, ENOTTY);
    return NULL;
}

static void emit_some(void)
{
    pthread_t thread;
    trace_irq_level(5, 1);
    assert_int_equal(pthread_create(&thread, NULL, emit_as_vcpu, (void *)"vcpu0-name-that-is-long"),
                     0);
    pthread_join(thread, NULL);
}

static void lines_on_stderr(void **state)
{
    (void)state;
    char before[32];
    char after[32];
    pthread_getname_np(pthread_self(), before, sizeof(before));
    trace_name_thread("main");
    pthread_getname_np(pthread_self(), after, sizeof(after));
    assert_string_equal(before, after); /* the process keeps its name */
    assert_int_equal(trace_enable("irq_*,mmio_read", true, NULL), 0);
    with_stderr_in_file(emit_some);
    char *text = read_file(trace_path);
    assert_matches(text, "^[0-9]+\\.[0-9]{6} main irq_level gsi=5 level=1\n"
                         "[0-9]+\\.[0-9]{6} vcpu0-name-that mmio_read dma-engine bar0 "
                         "addr=0xfebf101c size=4 value=0x1\n$");
    free(text);
}

static void fail_to_emit(void)
{
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    dup2(full, STDERR_FILENO);
    close(full);
    errno = ENOTTY;
    trace_irq_level(1, 1);
}

/* An event may stand between a system call and the look at errno. */
static void errno_survives(void **state)
{
    (void)state;
    assert_int_equal(trace_enable("irq_level", true, NULL), 0);
    with_stderr_in_file(fail_to_emit);
    assert_int_equal(errno, ENOTTY);
}

static void long_lines_are_cut(void **state)
{
    (void)state;
    char *longest = malloc(5000);
    memset(longest, 'x', 4999);
    longest[4999] = '\0';
    assert_int_equal(trace_enable("vm_request", true, NULL), 0);
    assert_int_equal(trace_set_file(trace_path, NULL), 0);
    trace_vm_request(longest);
    trace_vm_request("next");
    trace_finish();
    char *text = read_file(trace_path);
    assert_matches(text, "^[0-9.]+ [^ ]+ vm_request x+\n[0-9.]+ [^ ]+ vm_request next\n$");
    assert_true(strlen(text) < 1200);
    free(text);
    free(longest);
}

/* ---- threads */

enum { THREADS = 4, LINES = 5000 };

static void *emit_many(void *opaque)
{
    unsigned number = *(const unsigned *)opaque;
    char name[16];
    snprintf(name, sizeof(name), "worker%u", number);
    trace_name_thread(name);
    for (unsigned i = 0; i < LINES; i++) {
        trace_irq_level(number, i);
    }
    return NULL;
}

static void emit_from_threads(void)
{
    pthread_t threads[THREADS];
    unsigned numbers[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        numbers[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, emit_many, &numbers[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
}

/* The number behind `label` in `line`. */
static unsigned number_after(const char *line, const char *label)
{
    const char *found = strstr(line, label);
    assert_non_null(found);
    return (unsigned)strtoul(found + strlen(label), NULL, 10);
}

/* Every line of every thread is there, whole and in the thread's order. */
static void check_lines_of_threads(void)
{
    unsigned next[THREADS] = {0};
    FILE *in = fopen(trace_path, "re");
    char line[256];
    while (fgets(line, sizeof(line), in) != NULL) {
        char expected[64];
        unsigned thread = number_after(line, " worker");
        assert_true(thread < THREADS);
        snprintf(expected, sizeof(expected), " worker%u irq_level gsi=%u level=%u\n", thread,
                 thread, next[thread]++);
        assert_string_equal(strchr(line, ' '), expected);
    }
    fclose(in);
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(next[i], LINES);
    }
}

static void threads_do_not_mix_on_stderr(void **state)
{
    (void)state;
    assert_int_equal(trace_enable("irq_level", true, NULL), 0);
    with_stderr_in_file(emit_from_threads);
    check_lines_of_threads();
}

static void threads_do_not_mix_in_a_file(void **state)
{
    (void)state;
    assert_int_equal(trace_enable("irq_level", true, NULL), 0);
    assert_int_equal(trace_set_file(trace_path, NULL), 0);
    emit_from_threads();
    trace_finish();
    check_lines_of_threads();
}

/* ---- the trace file */

static void file_is_written_by_flush_and_by_time(void **state)
{
    (void)state;
    assert_int_equal(trace_enable("irq_level", true, NULL), 0);
    assert_int_equal(trace_set_file(trace_path, NULL), 0);
    trace_irq_level(1, 1);
    trace_flush();
    char *text = read_file(trace_path);
    assert_matches(text, "gsi=1 level=1\n$");
    free(text);
    usleep(150 * 1000);
    trace_irq_level(2, 1); /* nobody flushes: it is the time that has passed */
    text = read_file(trace_path);
    assert_matches(text, "gsi=2 level=1\n$");
    free(text);
}

static void file_that_cannot_be_opened(void **state)
{
    (void)state;
    struct error err = {""};
    assert_int_equal(trace_set_file("/nonexistent/x", &err), -ENOENT);
    assert_string_equal(err.text, "--trace-file /nonexistent/x: No such file or directory");
}

static void lose_three_lines(void)
{
    assert_int_equal(trace_set_file("/dev/full", NULL), 0);
    trace_irq_level(1, 1);
    trace_irq_level(1, 0);
    trace_irq_level(1, 1);
    trace_finish();
    trace_finish();
}

static void lost_lines_are_told_once(void **state)
{
    (void)state;
    assert_int_equal(trace_enable("irq_level", true, NULL), 0);
    with_stderr_in_file(lose_three_lines);
    char *text = read_file(trace_path);
    assert_string_equal(text,
                        "minivmm: --trace-file /dev/full: 3 lines lost: No space left on device\n");
    free(text);
}

/* ---- dying */

/* Write where nothing may be written. */
static void *fault(void *opaque)
{
    volatile int *page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *page = 1;
    return opaque;
}

static void die(const char *way)
{
    pthread_t thread;
    if (strcmp(way, "fault") == 0) {
        fault(NULL);
    } else if (strcmp(way, "thread-fault") == 0) {
        pthread_create(&thread, NULL, fault, NULL);
        pause();
    } else if (strcmp(way, "abort") == 0) {
        abort();
    } else if (strcmp(way, "term") == 0) {
        kill(getpid(), SIGTERM);
    } else if (strcmp(way, "trap") == 0) {
        raise(SIGTRAP);
    } else if (strcmp(way, "ignored-hup") == 0) {
        struct sigaction action;
        sigaction(SIGHUP, NULL, &action);
        exit(action.sa_handler == SIG_IGN ? 3 : 4);
    }
    exit(3);
}

/* The second life of this program. */
static int live_and_die(const char *way, const char *path)
{
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    for (int number = 1; number < NSIG; number++) {
        signal(number, SIG_DFL); /* a sanitizer's would print and exit */
    }
    if (strcmp(way, "ignored-hup") == 0) {
        signal(SIGHUP, SIG_IGN);
    }
    trace_set_format(getenv("TRACE_FORMAT") ? TRACE_JSON : TRACE_TEXT);
    if (trace_set_file(path, NULL) < 0 || trace_enable("irq_level", true, NULL) < 0) {
        return 1;
    }
    trace_irq_level(1, 1);
    trace_irq_level(2, 1);
    die(way);
    return 1;
}

static int status_after(const char *way)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        execl("/proc/self/exe", "test_trace", way, trace_path, (char *)NULL);
        _exit(127);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void no_line_is_lost_when_the_process_dies(void **state)
{
    (void)state;
    static const struct {
        const char *way;
        int signal_number; /* 0: exit status 3 */
    } cases[] = {
        {"exit", 0},       {"fault", SIGSEGV}, {"thread-fault", SIGSEGV}, {"abort", SIGABRT},
        {"term", SIGTERM}, {"trap", SIGTRAP},  {"ignored-hup", 0},
    };
    skip_if_emulated();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int status = status_after(cases[i].way);
        if (cases[i].signal_number == 0) {
            assert_true(WIFEXITED(status));
            assert_int_equal(WEXITSTATUS(status), 3);
        } else {
            assert_true(WIFSIGNALED(status));
            assert_int_equal(WTERMSIG(status), cases[i].signal_number);
        }
        char *text = read_file(trace_path);
        assert_matches(text, "^[^\n]*gsi=1 level=1\n[^\n]*gsi=2 level=1\n$");
        free(text);
    }
}

/* ---- one device's events */

static void emit_of_devices(void)
{
    trace_pci_reset("disk0", "flr");
    trace_pci_reset("dma-engine@00:04.0", "flr");
    trace_mmio_read("disk0 bar4", 0x1000, 4, 1);
    trace_mmio_read("dma-engine@00:04.0 bar0", 0x2000, 4, 1);
    trace_irq_level(1, 1);
}

/* Which of those lines `globs` lets through, by the letters of "abcde". */
static void assert_lines(const char *globs, const char *expected)
{
    static const char *const lines[] = {" pci_reset disk0 ", " pci_reset dma-engine@00:04.0 ",
                                        " mmio_read disk0 bar4 ",
                                        " mmio_read dma-engine@00:04.0 bar0 ", " irq_level "};
    char found[8] = "";
    assert_int_equal(trace_enable("*", false, NULL), 0);
    assert_int_equal(trace_enable(globs, true, NULL), 0);
    with_stderr_in_file(emit_of_devices);
    char *text = read_file(trace_path);
    for (size_t i = 0; i < 5; i++) {
        if (strstr(text, lines[i]) != NULL) {
            found[strlen(found)] = (char)('a' + i);
        }
    }
    free(text);
    assert_string_equal(found, expected);
}

static void events_of_one_device(void **state)
{
    (void)state;
    static struct trace_device disk = {"disk0", "virtio-blk", "00:05.0", NULL};
    static struct trace_device engine = {"dma-engine@00:04.0", "dma-engine", "00:04.0", NULL};
    trace_add_device(&disk);
    trace_add_device(&engine);
    assert_lines("*@disk0", "ac");
    assert_lines("*@virtio-blk", "ac");
    assert_lines("*@00:05.0", "ac");
    assert_lines("*@dma-engine", "bd");
    assert_lines("*@00:0?.0", "abcd");
    assert_lines("*@disk0 bar4", "c");
    assert_lines("*@disk0 bar5", "");
    assert_lines("*@disk", "");
    assert_lines("mmio_*@disk0,irq_level", "ce");
    assert_lines("*,-*@disk0", "bde");
    assert_lines("*,-*@disk0,mmio_read@disk0", "bcde");
    assert_lines("*@disk0,-*", "");
    assert_lines("-*@disk0,*", "abcde");
    trace_remove_device(&disk);
    assert_lines("*@virtio-blk", "");
    assert_lines("*@disk0", "ac");
    trace_remove_device(&engine);
    trace_remove_device(&engine);
}

static void bad_devices_are_named(void **state)
{
    (void)state;
    struct error err = {""};
    assert_int_equal(trace_enable("irq_level@disk0", true, &err), -ENOENT);
    assert_string_equal(err.text, "--trace: no event matches 'irq_level' and names a device "
                                  "(--trace help lists them)");
    assert_int_equal(trace_enable("mmio_*@", true, &err), -EINVAL);
    assert_string_equal(err.text, "--trace: 'mmio_*@' names no device");
}

static void list_shows_devices(void **state)
{
    (void)state;
    char *text = NULL;
    size_t length = 0;
    assert_int_equal(trace_enable("mmio_read@a,-mmio_read@b,mmio_read@a", true, NULL), 0);
    FILE *out = open_memstream(&text, &length);
    trace_list(out);
    fclose(out);
    assert_matches(text, "(^|\n)mmio_read +off but -@b @a\n");
    assert_matches(text, "(^|\n)dma_engine_copy +off \\(in --trace-format json\\)\n");
    free(text);
}

static void emit_a_level(void)
{
    trace_irq_level(1, 1);
}

/* Somebody who watches an event wants no lines of it. */
static void watched_events_give_no_lines(void **state)
{
    (void)state;
    trace_watch(TRACE_ID_irq_level, true);
    assert_true(trace_on[TRACE_ID_irq_level]);
    with_stderr_in_file(emit_a_level);
    char *text = read_file(trace_path);
    assert_string_equal(text, "");
    free(text);
    assert_int_equal(trace_enable("irq_level", true, NULL), 0);
    assert_int_equal(trace_enable("irq_level", false, NULL), 0);
    assert_true(trace_on[TRACE_ID_irq_level]);
    trace_watch(TRACE_ID_irq_level, false);
    assert_false(trace_on[TRACE_ID_irq_level]);
}

static atomic_bool threads_leave;

static void *emit_until_told(void *opaque)
{
    (void)opaque;
    while (!atomic_load(&threads_leave)) {
        emit_of_devices();
        uint64_t begin = trace_begin(TRACE_ID_dma_engine_copy);
        if (begin) {
            trace_end(&(struct trace_span){TRACE_ID_dma_engine_copy, begin, NULL, "disk0"}, "x");
        }
    }
    return NULL;
}

/* What a monitor does while vCPUs run. The file remains one of whole items. */
static void choosing_while_threads_trace(void **state)
{
    (void)state;
    pthread_t threads[2];
    atomic_store(&threads_leave, false);
    trace_set_format(TRACE_JSON);
    assert_int_equal(trace_set_file(trace_path, NULL), 0);
    trace_set_format(TRACE_TEXT);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, emit_until_told, NULL), 0);
    }
    for (unsigned i = 0; i < 300; i++) {
        assert_int_equal(trace_enable("*@disk0", i % 2, NULL), 0);
        assert_int_equal(trace_enable("irq_level,mmio_*,-mmio_*@disk?", true, NULL), 0);
        assert_int_equal(trace_enable("*", i % 3, NULL), 0);
    }
    atomic_store(&threads_leave, true);
    for (size_t i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
    }
    trace_finish();
    char *text = read_file(trace_path);
    assert_matches(text, "^\\[\n\\{.*\\}\n\\]\n$");
    free(text);
}

/* ---- the timeline */

/* Fails with what Python's parser says if the file is no JSON; skipped where there is no Python. */
static void assert_json(const char *check)
{
    char command[1024];
    if (system("python3 -c '' 2>/dev/null") != 0) {
        print_message("no python3: the JSON is not parsed\n");
        return;
    }
    snprintf(command, sizeof(command), "python3 -c \"import json; t = json.load(open('%s')); %s\"",
             trace_path, check);
    assert_int_equal(system(command), 0);
}

static void emit_work(void)
{
    trace_name_thread("worker \"1\"");
    uint64_t outer = trace_begin(TRACE_ID_virtio_serve);
    uint64_t inner = trace_begin(TRACE_ID_dma_engine_copy);
    trace_vm_request("a \"quoted\" \\ back\nslash \x01 \xff \xc3\xa9");
    trace_end(&(struct trace_span){TRACE_ID_dma_engine_copy, inner, "a copy", "disk0"}, "n=%d", 1);
    trace_end(&(struct trace_span){TRACE_ID_virtio_serve, outer, NULL, NULL}, "vq=0");
    trace_vcpu_exit(6); /* comes as a span */
}

static void *emit_work_in_a_thread(void *opaque)
{
    emit_work();
    return opaque;
}

static void json_has_spans_instants_and_names(void **state)
{
    (void)state;
    pthread_t thread;
    assert_int_equal(trace_enable("*", true, NULL), 0);
    trace_set_format(TRACE_JSON);
    assert_int_equal(trace_set_file(trace_path, NULL), 0);
    trace_set_format(TRACE_TEXT);
    assert_int_equal(pthread_create(&thread, NULL, emit_work_in_a_thread, NULL), 0);
    pthread_join(thread, NULL);
    trace_finish();
    assert_json("process, thread, request, copy, serve = t;"
                "assert process['args']['name'] == 'minivmm' and process['ph'] == 'M';"
                "assert thread['args']['name'] == 'worker ' + chr(34) + '1' + chr(34);"
                "assert request['ph'] == 'i' and request['s'] == 't';"
                "assert request['args']['text'] == 'a ' + chr(34) + 'quoted' + chr(34) + ' ' +"
                " chr(92) + ' back' + chr(10) + 'slash ' + chr(1) + ' ' + chr(0xfffd) + ' ' +"
                " chr(0xe9);");
    assert_json("_, thread, request, copy, serve = t;"
                "assert copy['ph'] == serve['ph'] == 'X';"
                "assert copy['name'] == 'a copy' and serve['name'] == 'virtio_serve';"
                "assert copy['args'] == dict(device='disk0', text='n=1');"
                "assert serve['ts'] <= copy['ts'] <= request['ts'];"
                "assert request['ts'] <= copy['ts'] + copy['dur'];"
                "assert copy['ts'] + copy['dur'] <= serve['ts'] + serve['dur'];"
                "assert thread['tid'] == copy['tid'] == serve['tid'] == request['tid']");
}

/* The longest text there is, every byte of which needs escaping. */
static void json_lines_are_cut_whole(void **state)
{
    (void)state;
    char *longest = malloc(5000);
    memset(longest, 1, 4999);
    longest[4999] = '\0';
    assert_int_equal(trace_enable("*", true, NULL), 0);
    trace_set_format(TRACE_JSON);
    assert_int_equal(trace_set_file(trace_path, NULL), 0);
    trace_set_format(TRACE_TEXT);
    trace_vm_request(longest);
    trace_pci_reset(longest, "flr");
    trace_finish();
    assert_json("assert len(t) == 4");
    free(longest);
}

static void json_is_closed_when_the_process_dies(void **state)
{
    (void)state;
    static const char *const ways[] = {"exit", "fault", "thread-fault", "abort", "term"};
    skip_if_emulated();
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        setenv("TRACE_FORMAT", "json", 1);
        status_after(ways[i]);
        unsetenv("TRACE_FORMAT");
        char *text = read_file(trace_path);
        assert_matches(text, "gsi=2 level=1\"\\}\\}\n\\]\n$");
        free(text);
        assert_json("assert len(t) == 4");
    }
}

int main(int argc, char **argv)
{
    if (argc == 3) {
        return live_and_die(argv[1], argv[2]);
    }
#define TRACE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TRACE_TEST(globs_choose_events),
        TRACE_TEST(bad_globs_are_named),
        TRACE_TEST(list_shows_every_event),
        TRACE_TEST(lines_on_stderr),
        TRACE_TEST(errno_survives),
        TRACE_TEST(long_lines_are_cut),
        TRACE_TEST(threads_do_not_mix_on_stderr),
        TRACE_TEST(threads_do_not_mix_in_a_file),
        TRACE_TEST(file_is_written_by_flush_and_by_time),
        TRACE_TEST(file_that_cannot_be_opened),
        TRACE_TEST(lost_lines_are_told_once),
        TRACE_TEST(no_line_is_lost_when_the_process_dies),
        TRACE_TEST(events_of_one_device),
        TRACE_TEST(bad_devices_are_named),
        TRACE_TEST(list_shows_devices),
        TRACE_TEST(watched_events_give_no_lines),
        TRACE_TEST(choosing_while_threads_trace),
        TRACE_TEST(json_has_spans_instants_and_names),
        TRACE_TEST(json_lines_are_cut_whole),
        TRACE_TEST(json_is_closed_when_the_process_dies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

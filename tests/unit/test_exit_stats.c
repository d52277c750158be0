/* SPDX-License-Identifier: MIT */
/* --stats: exact counts, the sums over vCPUs, hottest first, the form of the lines, and its end. */
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
#include <linux/kvm.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/exit_stats.h"
#include "vmm/trace.h"

static char *printed(void)
{
    int fd = memfd_create("stats", MFD_CLOEXEC);
    exit_stats_print(fd);
    off_t length = lseek(fd, 0, SEEK_CUR);
    char *text = calloc(1, (size_t)length + 1);
    assert_int_equal(pread(fd, text, (size_t)length, 0), length);
    close(fd);
    return text;
}

/* The lines from `title` to the next title, without what is in front of it. */
static char *section(const char *text, const char *title)
{
    const char *start = strstr(text, title);
    assert_non_null(start);
    start = strchr(start, '\n') + 1;
    size_t length = 0;
    while (strncmp(start + length, "  ", 2) == 0) {
        length += strcspn(start + length, "\n") + 1;
    }
    return strndup(start, length);
}

static void nobody_counts_without_the_option(void **state)
{
    (void)state;
    assert_null(exit_stats_of_vcpu(0));
    assert_false(trace_on[TRACE_ID_vcpu_exit]);
    exit_stats_finish();
}

static const struct bus_range engine0 = {.first = 0xe0000000, .last = 0xe0003fff, .name = "e bar0"};
static const struct bus_range engine2 = {.first = 0xe1000000, .last = 0xe1000fff, .name = "e bar2"};
static const struct bus_range serial = {.first = 0x3f8, .last = 0x3ff, .name = "serial"};

static void *count_many(void *opaque)
{
    for (unsigned i = 0; i < 1000; i++) {
        exit_stats_count(opaque, KVM_EXIT_MMIO, &engine0, 2);
    }
    return NULL;
}

static void counts_of_all_vcpus_hottest_first(void **state)
{
    (void)state;
    pthread_t threads[2];
    exit_stats_start();
    assert_true(trace_on[TRACE_ID_vcpu_exit]);
    struct exit_stats *stats[2] = {exit_stats_of_vcpu(0), exit_stats_of_vcpu(1)};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, count_many, stats[i]), 0);
    }
    free(printed()); /* while they count: nothing but whole numbers */
    for (size_t i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
    }
    exit_stats_count(stats[0], KVM_EXIT_MMIO, &engine2, 1000);
    exit_stats_count(stats[1], KVM_EXIT_IO, &serial, 15000);
    exit_stats_count(stats[1], 1000, NULL, 0);
    char *text = printed();
    assert_non_null(strstr(text, "minivmm: 2003 exits, handled in 20.000 us, within "));
    char *reasons = section(text, "by reason");
    char *regions = section(text, "by region");
    char *devices = section(text, "by device");
    assert_string_equal(
        reasons,
        "  KVM_EXIT_IO                                                1           15.000        "
        "15.000   75%\n"
        "  KVM_EXIT_MMIO                                           2001            5.000         "
        "0.002   25%\n"
        "  KVM_EXIT_?                                                 1            0.000         "
        "0.000    0%\n");
    assert_string_equal(
        regions,
        "  serial                     port 3f8-3ff                    1           15.000        "
        "15.000   75%\n"
        "  e bar0                     mmio e0000000-e0003fff       2000            4.000         "
        "0.002   20%\n"
        "  e bar2                     mmio e1000000-e1000fff          1            1.000         "
        "1.000    5%\n");
    assert_string_equal(
        devices,
        "  serial                                                     1           15.000        "
        "15.000   75%\n"
        "  e                                                       2001            5.000         "
        "0.002   25%\n");
    free(reasons);
    free(regions);
    free(devices);
    free(text);
}

/* The fourth number from the end of a line. */
static uint64_t count_of(const char *line)
{
    const char *at = line + strcspn(line, "\n");
    for (unsigned number = 0; number < 4; number++) {
        while (at[-1] != ' ') {
            at--;
        }
        while (number < 3 && at[-1] == ' ') {
            at--;
        }
    }
    return strtoull(at, NULL, 10);
}

/* More regions than there is room for are counted all the same, together. */
static void more_regions_than_there_is_room_for(void **state)
{
    (void)state;
    struct exit_stats *stats = exit_stats_of_vcpu(2);
    for (unsigned i = 0; i < 2000; i++) {
        char name[64];
        snprintf(name, sizeof(name), "a-name-that-is-longer-than-the-room-for-it-%03u-xxxxxxx", i);
        const struct bus_range range = {.first = i, .last = i + 1, .name = name};
        exit_stats_count(stats, KVM_EXIT_HLT, &range, 1);
    }
    char *text = printed();
    char *reasons = section(text, "by reason");
    char *regions = section(text, "by region");
    assert_non_null(
        strstr(reasons, "  KVM_EXIT_HLT                                            2000 "));
    assert_non_null(strstr(regions, "  others "));
    uint64_t sum = 0;
    for (const char *line = regions; *line != '\0'; line += strcspn(line, "\n") + 1) {
        sum += count_of(line);
    }
    assert_int_equal(sum, 2002 + 2000);
    free(reasons);
    free(regions);
    free(text);
}

static void it_is_printed_once(void **state)
{
    (void)state;
    int saved = dup(STDERR_FILENO);
    int fd = memfd_create("stats", MFD_CLOEXEC);
    dup2(fd, STDERR_FILENO);
    exit_stats_finish();
    off_t once = lseek(fd, 0, SEEK_CUR);
    exit_stats_finish();
    off_t twice = lseek(fd, 0, SEEK_CUR);
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(fd);
    assert_true(once > 0);
    assert_int_equal(once, twice);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_counts_without_the_option),
        cmocka_unit_test(counts_of_all_vcpus_hottest_first),
        cmocka_unit_test(more_regions_than_there_is_room_for),
        cmocka_unit_test(it_is_printed_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

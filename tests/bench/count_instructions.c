/* SPDX-License-Identifier: MIT */
/*
 * Counts the user-space instructions of a program and all its threads with the processor's counter,
 * as `perf stat -e instructions:u` does: for where there is no callgrind. Prints the number on the
 * last line. Under QEMU's TCG the counter is there with -icount, and exact.
 *
 *   count_instructions PROGRAM [ARGUMENT]...
 *
 * Ends with the program's own status.
 */
#include <err.h>
#include <linux/perf_event.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* A counter of the calling process and of what it will start, off until it calls execve(). */
static int open_counter(void)
{
    struct perf_event_attr attributes = {
        .type = PERF_TYPE_HARDWARE,
        .size = sizeof(attributes),
        .config = PERF_COUNT_HW_INSTRUCTIONS,
        .disabled = 1,
        .enable_on_exec = 1,
        .inherit = 1,
        .exclude_kernel = 1,
        .exclude_hv = 1,
        .exclude_guest = 1,
    };
    return (int)syscall(SYS_perf_event_open, &attributes, getpid(), -1, -1, 0);
}

int main(int argc, char **argv)
{
    int counter = open_counter();
    int status;
    uint64_t count;
    if (argc < 2) {
        errx(1, "usage: count_instructions PROGRAM [ARGUMENT]...");
    }
    if (counter < 0) {
        err(1, "no counter of instructions");
    }
    pid_t child = fork();
    if (child == 0) {
        execvp(argv[1], argv + 1);
        err(127, "%s", argv[1]);
    }
    if (child < 0 || waitpid(child, &status, 0) != child ||
        read(counter, &count, sizeof(count)) != sizeof(count)) {
        err(1, "%s", argv[1]);
    }
    printf("%llu\n", (unsigned long long)count);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

/* SPDX-License-Identifier: MIT */
/*
 * Measures the time from the start of a program to a text in its output, and prints it in
 * milliseconds.
 *
 *   time_to_text SECONDS TEXT COMMAND [ARGUMENT]...
 *
 * Then waits for the program to end by itself. Status 1 if it ended, or SECONDS passed, without
 * the text: what it printed then goes to stderr. A program that has not ended by then is killed.
 */
#include <err.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char output[1 << 16]; /* ends with a zero; what comes after it is full is read and dropped */
static size_t used;

static double now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static pid_t start(char **command, int *out)
{
    int ends[2];
    if (pipe(ends) < 0) {
        err(2, "pipe");
    }
    pid_t pid = fork();
    if (pid == 0) {
        dup2(open("/dev/null", O_RDONLY), 0);
        dup2(ends[1], 1);
        close(ends[0]);
        close(ends[1]);
        execvp(command[0], command);
        err(2, "%s", command[0]);
    }
    if (pid < 0) {
        err(2, "fork");
    }
    close(ends[1]);
    *out = ends[0];
    return pid;
}

/* Reads what is there, or waits for it until `deadline`. False: nothing will come any more. */
static int read_some(int fd, double deadline)
{
    char dropped[4096];
    double left = deadline - now_ms();
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    if (left <= 0 || poll(&poll_fd, 1, (int)left + 1) <= 0) {
        return 0;
    }
    size_t room = sizeof(output) - 1 - used;
    ssize_t got = room ? read(fd, output + used, room) : read(fd, dropped, sizeof(dropped));
    if (got > 0 && room) {
        used += (size_t)got;
    }
    return got > 0;
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        errx(2, "usage: time_to_text SECONDS TEXT COMMAND...");
    }
    int out;
    double begin = now_ms();
    double deadline = begin + strtod(argv[1], NULL) * 1e3;
    double found = 0;
    pid_t pid = start(argv + 3, &out);
    while (read_some(out, deadline)) {
        if (!found && strstr(output, argv[2])) {
            found = now_ms();
        }
    }
    kill(pid, SIGKILL); /* has no effect if it ended */
    waitpid(pid, NULL, 0);
    if (!found) {
        errx(1, "%s did not print '%s' but:\n%s", argv[3], argv[2], output);
    }
    printf("%.1f\n", found - begin);
    return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * Measures the time from exec() of a program to its first KVM_RUN, and prints it in microseconds.
 *
 *   time_to_run COMMAND [ARGUMENT]...
 *
 * A seccomp filter stops the program at ioctl(KVM_RUN) and at nothing else, so that the program
 * runs at full speed up to there. It is then killed.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/kvm.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static void install_filter(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, KVM_RUN, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof(code) / sizeof(code[0]), code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0) {
        err(2, "seccomp");
    }
}

static void child(char **command)
{
    int null = open("/dev/null", O_RDWR);
    dup2(null, 0);
    dup2(null, 1);
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    raise(SIGSTOP); /* the parent sets its options */
    install_filter();
    execvp(command[0], command);
    err(2, "%s", command[0]);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        errx(2, "usage: time_to_run COMMAND...");
    }
    pid_t pid = fork();
    if (pid == 0) {
        child(argv + 1);
    }
    int status;
    waitpid(pid, &status, 0);
    ptrace(PTRACE_SETOPTIONS, pid, 0,
           PTRACE_O_TRACESECCOMP | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL);
    ptrace(PTRACE_CONT, pid, 0, 0);
    double start = 0;
    for (;;) {
        pid_t who = waitpid(-1, &status, __WALL);
        if (who < 0 || WIFEXITED(status) || WIFSIGNALED(status)) {
            errx(1, "%s ended before it called KVM_RUN", argv[1]);
        }
        int event = status >> 16;
        if (event == PTRACE_EVENT_EXEC) {
            start = now_us();
        } else if (event == PTRACE_EVENT_SECCOMP) {
            printf("%.0f\n", now_us() - start);
            return 0; /* PTRACE_O_EXITKILL ends the program */
        }
        int signal_number = event || WSTOPSIG(status) == SIGSTOP ? 0 : WSTOPSIG(status);
        ptrace(PTRACE_CONT, who, 0, signal_number);
    }
}

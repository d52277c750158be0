/* SPDX-License-Identifier: MIT */
/*
 * A network of minivmm's own: the guest is behind a router that the program minivmm-net-user plays,
 * with libslirp. See vmm/net.h, and net_user/main.c for the program.
 *
 * It is a program apart so that minivmm has nothing of libslirp and what that pulls in: no memory,
 * no time, no code that a guest's frames could attack. The two have a seqpacket socket, which is
 * number 3 there. Its first message is "" when all is well, or says what is wrong; every other one
 * is a frame. The program ends when the socket does.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/net.h"

enum { PROGRAM_FD = 3, WORDS_MAX = 16, SOCKET_BUFFER = 1 << 20 };
#define PROGRAM "minivmm-net-user"

/* Beside minivmm itself, where the build leaves it, or where it was installed. */
static int find_program(char *path, size_t size, struct error *err)
{
    static const char *const places[] = {"", "../libexec/minivmm/"};
    char self[3072];
    ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (length <= 0) {
        return error_set(err, -errno, "user: /proc/self/exe: %s", strerror(errno));
    }
    self[length] = '\0';
    char *slash = strrchr(self, '/');
    *(slash ? slash + 1 : self) = '\0';
    for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        snprintf(path, size, "%s%s%s", self, places[i], PROGRAM);
        if (access(path, X_OK) == 0) {
            return 0;
        }
    }
    return error_set(err, -ENOENT,
                     "user: there is no %s in %s (it is built where libslirp is; Debian's package "
                     "libslirp-dev)",
                     PROGRAM, self);
}

struct words {
    char text[WORDS_MAX][512];
    char *argv[WORDS_MAX + 1];
    unsigned count;
};

/* `value` NULL: the program's own default. */
static int add_word(struct words *words, const char *name, const char *value, struct error *err)
{
    char *text = words->text[words->count];
    if (!value) {
        return 0;
    }
    if (snprintf(text, sizeof(words->text[0]), "%s%s", name, value) >=
        (int)sizeof(words->text[0])) {
        return error_set(err, -EINVAL, "%s...: too long", name);
    }
    words->argv[words->count++] = text;
    words->argv[words->count] = NULL;
    return 0;
}

static int make_words(struct words *words, const struct net_settings *settings, struct error *err)
{
    char mtu[16];
    snprintf(mtu, sizeof(mtu), "%u", settings->mtu);
    const char *const pairs[][2] = {
        {"net=", settings->net},
        {"dns=", settings->dns},
        {"dhcpstart=", settings->dhcpstart},
        {"hostname=", settings->hostname},
        {"hostfwd=", settings->hostfwd},
        {"restrict=", settings->restrict_ ? "on" : NULL},
        {"mtu=", settings->mtu ? mtu : NULL},
    };
    int ret = add_word(words, PROGRAM, "", err);
    for (unsigned i = 0; ret == 0 && i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        ret = add_word(words, pairs[i][0], pairs[i][1], err);
    }
    return ret;
}

/* With its own signals and process group, and no descriptor of ours but the one. -errno. */
static int spawn(pid_t *pid, const char *path, char *const *argv, int fd)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    sigset_t standard;
    char *environment[] = {NULL};
    sigemptyset(&none);
    sigemptyset(&standard);
    sigaddset(&standard, SIGPIPE);
    int ret = posix_spawn_file_actions_init(&actions);
    if (ret) {
        return -ret;
    }
    ret = posix_spawnattr_init(&attributes);
    if (ret == 0) {
        posix_spawnattr_setsigmask(&attributes, &none);
        posix_spawnattr_setsigdefault(&attributes, &standard);
        posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                                  POSIX_SPAWN_SETPGROUP);
        posix_spawn_file_actions_adddup2(&actions, fd, PROGRAM_FD);
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDWR, 0);
        posix_spawn_file_actions_adddup2(&actions, STDIN_FILENO, STDOUT_FILENO);
        ret = posix_spawn(pid, path, &actions, &attributes, argv, environment);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return -ret;
}

/* The first message: what is wrong, or that nothing is. */
static int await(int fd, struct error *err)
{
    char text[400];
    ssize_t length;
    do {
        length = recv(fd, text, sizeof(text) - 1, 0);
    } while (length < 0 && errno == EINTR);
    if (length <= 0) {
        return error_set(err, -EIO, "user: %s ended at once", PROGRAM);
    }
    text[length - 1] = '\0'; /* its own end */
    return text[0] ? error_set(err, -EINVAL, "%s", text) : 0;
}

int net_open_user(struct net *net, const struct net_settings *settings, struct error *err)
{
    struct words words = {.count = 0};
    char path[4096];
    int ends[2];
    net->kind = "user";
    net->has_end = true;
    int ret = find_program(path, sizeof(path), err);
    if (ret == 0) {
        ret = make_words(&words, settings, err);
    }
    if (ret < 0) {
        return ret;
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
        return error_set(err, -errno, "user: no socket: %s", strerror(errno));
    }
    for (unsigned i = 0; i < 2; i++) { /* as much of it as the host allows */
        (void)setsockopt(ends[i], SOL_SOCKET, SO_SNDBUF, &(int){SOCKET_BUFFER}, sizeof(int));
    }
    net->fds[net->count++] = ends[0];
    ret = spawn(&net->helper, path, words.argv, ends[1]);
    close(ends[1]);
    if (ret < 0) {
        net->helper = 0;
        return error_set(err, ret, "user: %s: %s", path, strerror(-ret));
    }
    ret = await(ends[0], err);
    if (ret == 0 && fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0) {
        ret = error_set(err, -errno, "user: %s", strerror(errno));
    }
    return ret;
}

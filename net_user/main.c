/* SPDX-License-Identifier: MIT */
/*
 * minivmm-net-user: the network behind `minivmm --net user`, played by libslirp.
 *
 * minivmm starts it (vmm/net_user.c), with words NAME=VALUE and a seqpacket socket as descriptor 3.
 * The first message that it sends is a text that ends in a NUL: empty, or what is wrong with the
 * words. After that a message is an Ethernet frame, in both directions. It ends with the socket,
 * and with minivmm.
 *
 * In the guest's view the network is 10.0.2.0/24 unless net= says otherwise: .2 is the router and
 * stands for the host, .3 answers DNS as the host's does, and DHCP gives addresses from .15 on.
 *
 * One thread. A frame for the guest waits until minivmm takes it: what is dropped here would be
 * sent again by libslirp only after half a second.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <slirp/libslirp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    MINIVMM_FD = 3,
    FRAME_MAX = 65536 + 64,
    FRAMES_A_TURN = 64,
    POLLS_MAX = 4096,
    MTU_MAX = 65521, /* libslirp's IF_MTU_MAX */
    TIMERS_MAX = 8,
};

struct timer {
    SlirpTimerCb expired;
    void *opaque;
    int64_t when; /* ms; 0: not set */
};

struct router {
    Slirp *slirp;
    struct pollfd polls[POLLS_MAX]; /* the first is minivmm's socket */
    unsigned poll_count;
    struct timer timers[TIMERS_MAX];
    uint8_t frame[FRAME_MAX];
};

struct words {
    const char *net, *dns, *dhcpstart, *hostname, *hostfwd, *mtu, *restrict_;
};

/* ---- the first message */

static void say(const char *text)
{
    (void)!send(MINIVMM_FD, text, strlen(text) + 1, MSG_NOSIGNAL);
}

static _Noreturn void refuse(const char *format, ...) __attribute__((format(printf, 1, 2)));
static _Noreturn void refuse(const char *format, ...)
{
    char text[380];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    say(text);
    exit(1);
}

/* ---- words */

static struct in_addr parse_address(const char *name, const char *text)
{
    struct in_addr address;
    if (inet_pton(AF_INET, text, &address) != 1) {
        refuse("%s=%s: not an IPv4 address", name, text);
    }
    return address;
}

/* All of it a number from 1 to `maximum`. */
static unsigned parse_number(const char *name, const char *text, unsigned long maximum)
{
    char *end;
    unsigned long number = *text >= '0' && *text <= '9' ? strtoul(text, &end, 10) : 0;
    if (number < 1 || number > maximum || *end) {
        refuse("%s: '%s' is not a number from 1 to %lu", name, text, maximum);
    }
    return (unsigned)number;
}

/* "10.0.2.0/24" */
static void parse_net(const char *text, SlirpConfig *config)
{
    char copy[64];
    snprintf(copy, sizeof(copy), "%s", text);
    char *slash = strchr(copy, '/');
    unsigned bits = 24;
    if (slash) {
        *slash = '\0';
        bits = parse_number("net", slash + 1, 28); /* 16 addresses at least */
    }
    struct in_addr address = parse_address("net", copy);
    uint32_t mask = UINT32_MAX << (32 - bits);
    config->vnetmask.s_addr = htonl(mask);
    config->vnetwork.s_addr = address.s_addr & htonl(mask);
}

static struct in_addr inside(const SlirpConfig *config, uint32_t host)
{
    return (struct in_addr){.s_addr = config->vnetwork.s_addr | htonl(host)};
}

static struct in_addr parse_inside(const char *name, const char *text, const SlirpConfig *config)
{
    struct in_addr address = parse_address(name, text);
    uint32_t host = address.s_addr & ~config->vnetmask.s_addr;
    if ((address.s_addr & config->vnetmask.s_addr) != config->vnetwork.s_addr || host == 0 ||
        host == ~config->vnetmask.s_addr) {
        refuse("%s=%s: not an address of the guest's network", name, text);
    }
    return address;
}

static void configure(const struct words *words, SlirpConfig *config)
{
    parse_net(words->net ? words->net : "10.0.2.0/24", config);
    uint32_t last = ~ntohl(config->vnetmask.s_addr) - 1;
    config->vhost = inside(config, 2);
    config->vnameserver = words->dns ? parse_inside("dns", words->dns, config) : inside(config, 3);
    config->vdhcp_start = words->dhcpstart ? parse_inside("dhcpstart", words->dhcpstart, config)
                                           : inside(config, last < 15 ? 4 : 15);
    if (config->vnameserver.s_addr == config->vhost.s_addr) {
        refuse("dns=%s: that is the router's address", words->dns);
    }
    config->vhostname = words->hostname;
    config->restricted = words->restrict_ != NULL;
    if (words->mtu) {
        config->if_mtu = config->if_mru = parse_number("mtu", words->mtu, MTU_MAX);
    }
}

/* The next part of a rule, up to `end`; NULL: it is not there. */
static char *part(char **rest, char end)
{
    char *begin = *rest;
    char *found = begin ? strchr(begin, end) : NULL;
    if (!found) {
        return NULL;
    }
    *found = '\0';
    *rest = found + 1;
    return begin;
}

/* "tcp:[ADDR]:PORT-[ADDR]:PORT" */
static void forward(Slirp *slirp, const char *rule, const SlirpConfig *config)
{
    char copy[128];
    snprintf(copy, sizeof(copy), "%s", rule);
    char *rest = copy;
    char *protocol = part(&rest, ':');
    char *host = part(&rest, ':');
    char *host_port = part(&rest, '-');
    char *guest = part(&rest, ':');
    if (!guest || !host || !host_port || strlen(rule) >= sizeof(copy) ||
        (*protocol && strcmp(protocol, "tcp") != 0 && strcmp(protocol, "udp") != 0)) {
        refuse("hostfwd=%s: expected tcp|udp:[ADDRESS]:PORT-[ADDRESS]:PORT", rule);
    }
    struct in_addr any = {.s_addr = INADDR_ANY};
    struct in_addr host_address = *host ? parse_address("hostfwd", host) : any;
    struct in_addr guest_address =
        *guest ? parse_inside("hostfwd", guest, config) : config->vdhcp_start;
    unsigned from = parse_number("hostfwd", host_port, UINT16_MAX);
    unsigned to = parse_number("hostfwd", rest, UINT16_MAX);
    if (slirp_add_hostfwd(slirp, strcmp(protocol, "udp") == 0, host_address, (int)from,
                          guest_address, (int)to) < 0) {
        refuse("hostfwd=%s: %s", rule, strerror(errno));
    }
}

/* Several are joined by '+'. */
static void forward_all(Slirp *slirp, const char *rules, const SlirpConfig *config)
{
    char *copy = strdup(rules);
    char *rest = copy;
    if (!copy) {
        refuse("hostfwd=%s: no memory", rules);
    }
    while (rest) {
        forward(slirp, strsep(&rest, "+"), config);
    }
    free(copy);
}

static void parse_words(int argc, char **argv, struct words *words)
{
    const struct {
        const char *name;
        const char **value;
    } table[] = {
        {"net=", &words->net},
        {"dns=", &words->dns},
        {"dhcpstart=", &words->dhcpstart},
        {"hostname=", &words->hostname},
        {"hostfwd=", &words->hostfwd},
        {"mtu=", &words->mtu},
        {"restrict=", &words->restrict_},
    };
    for (int i = 1; i < argc; i++) {
        unsigned k = 0;
        while (k < sizeof(table) / sizeof(table[0]) &&
               strncmp(argv[i], table[k].name, strlen(table[k].name)) != 0) {
            k++;
        }
        if (k == sizeof(table) / sizeof(table[0])) {
            refuse("%s: not known to minivmm-net-user: is it of another version?", argv[i]);
        }
        *table[k].value = argv[i] + strlen(table[k].name);
    }
}

/* ---- what libslirp calls */

static ssize_t send_frame(const void *frame, size_t length, void *opaque)
{
    ssize_t ret;
    (void)opaque;
    do {
        ret = send(MINIVMM_FD, frame, length, MSG_NOSIGNAL);
    } while (ret < 0 && errno == EINTR);
    if (ret < 0 && errno != EMSGSIZE) {
        exit(0); /* minivmm has ended */
    }
    return ret;
}

static void guest_error(const char *message, void *opaque)
{
    (void)message; /* the guest's fault, and the guest may have many */
    (void)opaque;
}

static int64_t clock_ns(void *opaque)
{
    struct timespec now;
    (void)opaque;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void *timer_new(SlirpTimerCb expired, void *timer_opaque, void *opaque)
{
    struct router *router = opaque;
    for (unsigned i = 0; i < TIMERS_MAX; i++) {
        if (!router->timers[i].expired) {
            router->timers[i] = (struct timer){.expired = expired, .opaque = timer_opaque};
            return &router->timers[i];
        }
    }
    abort(); /* libslirp has two */
}

static void timer_free(void *timer, void *opaque)
{
    (void)opaque;
    *(struct timer *)timer = (struct timer){0};
}

static void timer_mod(void *timer, int64_t when, void *opaque)
{
    (void)opaque;
    ((struct timer *)timer)->when = when;
}

static void nothing_fd(int fd, void *opaque)
{
    (void)fd;
    (void)opaque;
}

static void nothing(void *opaque)
{
    (void)opaque;
}

static const SlirpCb callbacks = {
    .send_packet = send_frame,
    .guest_error = guest_error,
    .clock_get_ns = clock_ns,
    .timer_new = timer_new,
    .timer_free = timer_free,
    .timer_mod = timer_mod,
    .register_poll_fd = nothing_fd,
    .unregister_poll_fd = nothing_fd,
    .notify = nothing,
};

/* ---- waiting */

static const struct {
    int slirp;
    short host;
} events[] = {
    {SLIRP_POLL_IN, POLLIN},   {SLIRP_POLL_OUT, POLLOUT}, {SLIRP_POLL_PRI, POLLPRI},
    {SLIRP_POLL_ERR, POLLERR}, {SLIRP_POLL_HUP, POLLHUP},
};

static int add_poll(int fd, int wanted, void *opaque)
{
    struct router *router = opaque;
    if (router->poll_count == POLLS_MAX) {
        return -1;
    }
    struct pollfd *poll_fd = &router->polls[router->poll_count];
    *poll_fd = (struct pollfd){.fd = fd};
    for (unsigned i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
        poll_fd->events |= wanted & events[i].slirp ? events[i].host : 0;
    }
    return (int)router->poll_count++;
}

static int get_events(int index, void *opaque)
{
    const struct router *router = opaque;
    int found = 0;
    for (unsigned i = 0; index >= 0 && i < sizeof(events) / sizeof(events[0]); i++) {
        found |= router->polls[index].revents & events[i].host ? events[i].slirp : 0;
    }
    return found;
}

/* Call those whose time has come; `timeout` (ms) becomes short enough for the others. */
static void run_timers(struct router *router, uint32_t *timeout)
{
    int64_t now = clock_ns(NULL) / 1000000;
    for (unsigned i = 0; i < TIMERS_MAX; i++) {
        struct timer *timer = &router->timers[i];
        if (timer->when && timer->when <= now) {
            timer->when = 0;
            timer->expired(timer->opaque);
        }
        if (timer->when && timer->when - now < *timeout) {
            *timeout = (uint32_t)(timer->when - now);
        }
    }
}

static void take_frames(struct router *router)
{
    for (unsigned i = 0; i < FRAMES_A_TURN; i++) {
        ssize_t length = recv(MINIVMM_FD, router->frame, sizeof(router->frame), MSG_DONTWAIT);
        if (length < 0 && (errno == EAGAIN || errno == EINTR)) {
            return;
        }
        if (length <= 0) {
            exit(0); /* minivmm has ended */
        }
        slirp_input(router->slirp, router->frame, (int)length);
    }
}

static void run(struct router *router)
{
    for (;;) {
        uint32_t timeout = UINT32_MAX;
        router->polls[0] = (struct pollfd){.fd = MINIVMM_FD, .events = POLLIN};
        router->poll_count = 1;
        slirp_pollfds_fill(router->slirp, &timeout, add_poll, router);
        run_timers(router, &timeout);
        int ret = poll(router->polls, router->poll_count, timeout > INT32_MAX ? -1 : (int)timeout);
        if (ret > 0 && router->polls[0].revents) {
            take_frames(router);
        }
        slirp_pollfds_poll(router->slirp, ret < 0, get_events, router);
    }
}

int main(int argc, char **argv)
{
    static struct router router;
    static struct words words;
    SlirpConfig config = {.version = 1, .in_enabled = true};
    int type = 0;
    socklen_t size = sizeof(type);
    if (getsockopt(MINIVMM_FD, SOL_SOCKET, SO_TYPE, &type, &size) < 0 || type != SOCK_SEQPACKET) {
        fprintf(stderr, "minivmm-net-user: minivmm starts this, for --net user\n");
        return 1;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* for when minivmm is killed while we wait to send */
    signal(SIGPIPE, SIG_IGN);
    parse_words(argc, argv, &words);
    configure(&words, &config);
    router.slirp = slirp_new(&config, &callbacks, &router);
    if (!router.slirp) {
        refuse("user: libslirp %s refuses", slirp_version_string());
    }
    if (words.hostfwd) {
        forward_all(router.slirp, words.hostfwd, &config);
    }
    say("");
    run(&router);
}

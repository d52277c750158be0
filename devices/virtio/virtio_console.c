/* SPDX-License-Identifier: MIT */
/*
 * virtio-console: one port. virtio 1.2, 5.3.
 *
 * Virtio id 3; PCI 1af4:1003, or 1af4:1043 without the legacy registers. Queue 0 receives (the
 * driver puts empty buffers there), queue 1 transmits. Features: SIZE (columns and rows of the
 * terminal, if it is one) and EMERG_WRITE (a byte written to the configuration is output at once,
 * without a queue: for a kernel that cannot do better).
 *
 * At the other end is minivmm's console, whose input then goes here and not to the serial port, or
 * with socket=PATH a Unix socket that one program at a time may connect to.
 *
 * What the other end does not take stays in the queue: the request is put back (virtqueue_unpop())
 * and `sent` remembers how far it got. So no buffer of the guest is held while nothing happens.
 * All is done on the main thread, as the console's input is.
 */
#include "devices/virtio/virtio_console.h"

#include <errno.h>
#include <linux/virtio_console.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "devices/virtio/virtio.h"
#include "devices/virtio/virtio_pci.h"
#include "vmm/console.h"

enum { QUEUE_SIZE = 64, RECEIVE = 0, TRANSMIT = 1, QUEUES = 2, INPUT_CHUNK = 4096 };

struct virtio_console {
    struct virtio_device virtio;
    struct virtio_console_config config;
    const char *socket_path;      /* property; NULL: minivmm's console */
    struct console *console;      /* the other end, or NULL */
    struct event_source listener; /* the other end is a socket: fd -1 if not */
    struct event_source client;   /* who has connected: fd -1 if nobody */
    uint64_t sent;                /* bytes of the first request in TRANSMIT that are out */
    bool starved;                 /* input waits for a buffer in RECEIVE */
};

static struct virtio_console *console_of(struct virtio_device *virtio)
{
    return (struct virtio_console *)virtio;
}

/* ---- the other end. Nobody there: what is sent is dropped, as on a serial line */

static size_t write_out(struct virtio_console *con, const void *data, size_t length)
{
    if (con->console) {
        return console_write(con->console, data, length);
    }
    if (con->client.fd < 0) {
        return length;
    }
    ssize_t ret = send(con->client.fd, data, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (ret < 0) {
        return errno == EAGAIN || errno == EINTR ? 0 : length; /* gone: its hang-up follows */
    }
    return (size_t)ret;
}

/* Watch the client for what can be done: input if the guest has room, output if it was refused. */
static void watch_client(struct virtio_console *con, bool output_refused)
{
    if (con->client.fd >= 0) {
        uint32_t events = EPOLLRDHUP | (con->starved ? 0 : (uint32_t)EPOLLIN) |
                          (output_refused ? (uint32_t)EPOLLOUT : 0);
        (void)event_loop_modify(con->virtio.loop, &con->client, events);
    }
}

/* ---- guest to the other end; lock held */

/* True if all of the request is out. */
static bool transmit(struct virtio_console *con, const struct virtio_request *request)
{
    uint64_t start = 0;
    for (unsigned i = 0; i < request->out_count; i++) {
        const struct iovec *piece = &request->out[i];
        if (con->sent < start + piece->iov_len) {
            size_t skip = (size_t)(con->sent - start);
            size_t length = piece->iov_len - skip;
            size_t taken = write_out(con, (const uint8_t *)piece->iov_base + skip, length);
            con->sent += taken;
            if (taken < length) {
                return false;
            }
        }
        start += piece->iov_len;
    }
    con->sent = 0;
    return true;
}

/* Send requests until there are none, or the other end takes no more, or others want their turn. */
static bool transmit_some(struct virtio_console *con, unsigned *budget)
{
    struct virtio_request *request;
    while (*budget && (request = virtqueue_pop(&con->virtio.queues[TRANSMIT]))) {
        if (!transmit(con, request)) {
            virtqueue_unpop(request);
            return false;
        }
        virtqueue_push(request, 0);
        (*budget)--;
    }
    return true;
}

static void transmit_all(struct virtio_console *con)
{
    struct virtqueue *queue = &con->virtio.queues[TRANSMIT];
    unsigned budget = QUEUE_SIZE;
    bool taken;
    do {
        taken = transmit_some(con, &budget);
        virtqueue_set_kicks(queue, true);
    } while (taken && budget && virtqueue_has_more(queue));
    if (!budget) {
        virtio_notified(&con->virtio, TRANSMIT); /* go on after the others */
    }
    watch_client(con, !taken);
    virtqueue_notify(queue);
}

/* ---- the other end to guest; lock held */

/* How many bytes the guest's first buffer takes. Without one, the next makes it `ready` again. */
static size_t receive_room(struct virtio_console *con)
{
    struct virtqueue *queue = &con->virtio.queues[RECEIVE];
    virtqueue_set_kicks(queue, true);
    struct virtio_request *request = virtqueue_pop(queue);
    con->starved = !request;
    if (!request) {
        return 0;
    }
    size_t room = request->in_length < INPUT_CHUNK ? (size_t)request->in_length : INPUT_CHUNK;
    virtqueue_unpop(request);
    return room ? room : 1; /* a buffer without room is handed back empty by receive() */
}

static void receive(struct virtio_console *con, const uint8_t *data, size_t length)
{
    struct virtqueue *queue = &con->virtio.queues[RECEIVE];
    size_t done = 0;
    struct virtio_request *request;
    /* As many buffers as the queue has: a driver that keeps adding ones without room gets no more.
     */
    for (unsigned left = queue->size; left && done < length && (request = virtqueue_pop(queue));
         left--) {
        size_t written = virtio_request_write(request, 0, data + done, length - done);
        virtqueue_push(request, (uint32_t)written);
        done += written;
    }
    virtqueue_notify(queue);
}

/* ---- minivmm's console as the other end; main thread, without the lock */

static size_t console_room(void *opaque)
{
    struct virtio_console *con = opaque;
    pthread_mutex_lock(&con->virtio.pci.lock);
    size_t room = receive_room(con);
    pthread_mutex_unlock(&con->virtio.pci.lock);
    return room;
}

static void console_input(void *opaque, const uint8_t *data, size_t length)
{
    struct virtio_console *con = opaque;
    pthread_mutex_lock(&con->virtio.pci.lock);
    receive(con, data, length);
    pthread_mutex_unlock(&con->virtio.pci.lock);
}

static void console_writable(void *opaque)
{
    struct virtio_console *con = opaque;
    pthread_mutex_lock(&con->virtio.pci.lock);
    transmit_all(con);
    pthread_mutex_unlock(&con->virtio.pci.lock);
}

/* ---- a socket as the other end; main thread */

static void hang_up(struct virtio_console *con)
{
    event_loop_remove(con->virtio.loop, &con->client);
    close(con->client.fd);
    con->client.fd = -1;
}

static void read_client(struct virtio_console *con)
{
    uint8_t data[INPUT_CHUNK];
    size_t room = receive_room(con);
    ssize_t length = room ? recv(con->client.fd, data, room, MSG_DONTWAIT) : -1;
    if (length > 0) {
        receive(con, data, (size_t)length);
    } else if (room && (length == 0 || (errno != EAGAIN && errno != EINTR))) {
        hang_up(con);
    }
}

static void client_ready(void *opaque, uint32_t events)
{
    struct virtio_console *con = opaque;
    pthread_mutex_lock(&con->virtio.pci.lock);
    if (events & EPOLLIN) {
        read_client(con);
    } else if (events & (EPOLLHUP | EPOLLERR | EPOLLRDHUP)) {
        hang_up(con);
    }
    transmit_all(con); /* watches for what is possible now */
    pthread_mutex_unlock(&con->virtio.pci.lock);
}

/* Somebody connects. One at a time: who comes second is turned away. */
static void accept_client(void *opaque, uint32_t events)
{
    struct virtio_console *con = opaque;
    int fd = accept4(con->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    (void)events;
    pthread_mutex_lock(&con->virtio.pci.lock);
    if (fd >= 0 && con->client.fd < 0) {
        con->client = (struct event_source){.fd = fd, .handler = client_ready, .opaque = con};
        if (event_loop_add(con->virtio.loop, &con->client, EPOLLRDHUP) < 0) {
            con->client.fd = -1;
        } else {
            fd = -1;
            con->starved = false;
            watch_client(con, false);
        }
    }
    pthread_mutex_unlock(&con->virtio.pci.lock);
    if (fd >= 0) {
        close(fd);
    }
}

static int listen_on(struct virtio_console *con, struct error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(con->socket_path);
    if (length >= sizeof(address.sun_path)) {
        return error_set(err, -ENAMETOOLONG, "socket=%s: too long for a socket", con->socket_path);
    }
    memcpy(address.sun_path, con->socket_path, length);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 1) < 0) {
        int ret = -errno;
        if (fd >= 0) {
            close(fd);
        }
        return error_set(err, ret, "socket=%s: %s", con->socket_path, strerror(-ret));
    }
    con->listener = (struct event_source){.fd = fd, .handler = accept_client, .opaque = con};
    return 0;
}

static void close_socket(struct virtio_console *con)
{
    if (con->client.fd >= 0) {
        hang_up(con);
    }
    if (con->listener.fd >= 0) {
        close(con->listener.fd);
        con->listener.fd = -1;
        unlink(con->socket_path);
    }
}

/* ---- the device */

static void kicked(struct virtio_device *virtio, struct virtqueue *queue)
{
    struct virtio_console *con = console_of(virtio);
    if (queue->index == TRANSMIT) {
        transmit_all(con);
    } else if (con->starved && virtqueue_has_more(queue)) {
        con->starved = false;
        if (con->console) {
            console_receiver_ready(con->console);
        }
        watch_client(con, false);
    }
}

static void reset(struct virtio_device *virtio)
{
    console_of(virtio)->sent = 0;
}

static void queue_reset(struct virtio_device *virtio, struct virtqueue *queue)
{
    if (queue->index == TRANSMIT) {
        console_of(virtio)->sent = 0;
    }
}

/* 5.3.5: emerg_wr */
static void config_write(struct virtio_device *virtio, unsigned offset, unsigned size,
                         uint32_t value)
{
    uint8_t byte = (uint8_t)value;
    if (offset == offsetof(struct virtio_console_config, emerg_wr) && size == 4) {
        (void)write_out(console_of(virtio), &byte, 1);
    }
}

static void config_read(struct virtio_device *virtio)
{
    struct virtio_console *con = console_of(virtio);
    struct winsize window;
    if (con->console && ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0) {
        con->config.cols = window.ws_col;
        con->config.rows = window.ws_row;
    }
}

static const struct virtio_class class = {
    .name = "virtio-console-device",
    .id = VIRTIO_ID_CONSOLE,
    .legacy_id = 0x1003,
    .pci_class = 0x078000, /* communication controller, other */
    .config_size = sizeof(struct virtio_console_config),
    .kicked = kicked,
    .reset = reset,
    .queue_reset = queue_reset,
    .config_read = config_read,
    .config_write = config_write,
};

static int connect_other_end(struct virtio_console *con, struct error *err)
{
    if (con->socket_path) {
        return event_loop_add(con->virtio.loop, &con->listener, EPOLLIN) < 0
                   ? error_set(err, -ENOMEM, "socket=%s: cannot be watched", con->socket_path)
                   : 0;
    }
    const struct console_receiver receiver = {
        .room = console_room, .input = console_input, .writable = console_writable, .opaque = con};
    con->console = con->virtio.pci.host->console;
    if (con->console) {
        console_set_receiver(con->console, &receiver);
    }
    return 0;
}

static int console_realize(struct pci_device *device, struct error *err)
{
    struct virtio_console *con = (struct virtio_console *)device;
    con->virtio.config = (uint8_t *)&con->config;
    con->virtio.offered =
        VIRTIO_BIT(VIRTIO_CONSOLE_F_EMERG_WRITE) |
        (!con->socket_path && isatty(STDOUT_FILENO) ? VIRTIO_BIT(VIRTIO_CONSOLE_F_SIZE) : 0);
    con->listener.fd = con->client.fd = -1;
    con->starved = true; /* there is no buffer yet */
    int ret = con->socket_path ? listen_on(con, err) : 0;
    if (ret == 0) {
        ret = virtio_realize(&con->virtio, &class, QUEUES, QUEUE_SIZE, err);
    }
    if (ret == 0) {
        ret = connect_other_end(con, err);
        if (ret < 0) {
            virtio_unrealize(&con->virtio);
        }
    }
    if (ret < 0) {
        close_socket(con);
    }
    return ret;
}

static void console_unrealize(struct pci_device *device)
{
    struct virtio_console *con = (struct virtio_console *)device;
    if (con->listener.fd >= 0) {
        event_loop_remove(con->virtio.loop, &con->listener);
    }
    close_socket(con);
    virtio_unrealize(&con->virtio);
}

static const struct property properties[] = {
    {.name = "socket",
     .type = PROPERTY_STRING,
     .offset = offsetof(struct virtio_console, socket_path),
     .meaning = "a Unix socket to listen on; without it minivmm's own console"},
    VIRTIO_PROPERTIES,
    {.name = NULL},
};

const struct pci_device_type virtio_console_type = {
    .name = "virtio-console",
    .summary = "a console without a serial port's cost: hvc0",
    .size = sizeof(struct virtio_console),
    .properties = properties,
    .default_slot = -1,
    .realize = console_realize,
    .unrealize = console_unrealize,
    .reset = virtio_pci_reset,
    .registers = virtio_register_views,
    .config_written = virtio_pci_config_written,
    .config_read = virtio_pci_config_read,
};

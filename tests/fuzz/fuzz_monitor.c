/* SPDX-License-Identifier: MIT */
/*
 * Clients of the monitor and of QMP, each on a socket of its own: whatever they say, they get their
 * answers to its end, and what is answered is text, or JSON. The first byte of an input chooses;
 * QMP's client has negotiated.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/fuzz/fuzz.h"
#include "tests/unit/machine_fixture.h"
#include "vmm/monitor.h"
#include "vmm/monitor_server.h"
#include "vmm/qmp.h"
#include "vmm/trace.h"

enum { ANSWER_MAX = 64 << 20 };

static struct drawn *drawn;
static struct monitor_server *monitor;
static struct qmp_server *qmp;
static char folder[] = "/tmp/minivmm-fuzz-XXXXXX";

static void place_of(const char *name, char *path, size_t size)
{
    snprintf(path, size, "%s/%s", folder, name);
}

static void remove_all(void)
{
    monitor_server_finish(monitor);
    qmp_server_finish(qmp);
    drawn_free(drawn);
    rmdir(folder);
}

/* Trace events that an input turns on go nowhere. */
static void start_servers(void)
{
    char address[128];
    struct error err = {""};
    must(mkdtemp(folder));
    must(trace_set_file("/dev/null", &err) == 0);
    snprintf(address, sizeof(address), "unix:%s/monitor", folder);
    must(monitor_server_start(&monitor, &drawn->control, address, &err) == 0);
    snprintf(address, sizeof(address), "unix:%s/qmp", folder);
    must(qmp_server_start(&qmp, &drawn->control, address, &err) == 0);
    atexit(remove_all);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static char *words[] = {(char *)"minivmm", (char *)"--dump-machine=-",
                            (char *)"--dma-engine=id=e", (char *)"--memory=2M",
                            (char *)"--device=virtio-rng,id=r"};
    (void)argc;
    (void)argv;
    setenv("CMOCKA_TEST_ABORT", "1", 1);
    drawn = drawn_new(sizeof(words) / sizeof(words[0]), words);
    start_servers();
    return 0;
}

/* ---- a client that reads until the end */

struct client {
    struct event_source source;
    char *text;
    size_t length;
    bool over;
};

static void readable(void *opaque, uint32_t events)
{
    struct client *client = opaque;
    char part[65536];
    (void)events;
    ssize_t got = recv(client->source.fd, part, sizeof(part), MSG_DONTWAIT);
    if (got <= 0) {
        client->over = true;
        event_loop_stop(&drawn->machine.vm.loop);
        return;
    }
    client->text = realloc(client->text, client->length + (size_t)got + 1);
    memcpy(client->text + client->length, part, (size_t)got);
    client->length += (size_t)got;
    client->text[client->length] = '\0';
    must(client->length < ANSWER_MAX);
}

static void start_client(struct client *client, const char *name)
{
    struct sockaddr_un place = {.sun_family = AF_UNIX};
    *client = (struct client){.text = calloc(1, 1)};
    client->source = (struct event_source){
        .fd = socket(AF_UNIX, SOCK_STREAM, 0), .handler = readable, .opaque = client};
    place_of(name, place.sun_path, sizeof(place.sun_path));
    must(connect(client->source.fd, (struct sockaddr *)&place, sizeof(place)) == 0);
    must(event_loop_add(&drawn->machine.vm.loop, &client->source, EPOLLIN) == 0);
}

static void say(const struct client *client, const void *bytes, size_t size)
{
    must(send(client->source.fd, bytes, size, MSG_NOSIGNAL) == (ssize_t)size);
}

/* Requests, too, end the loop. */
static void finish_client(struct client *client)
{
    shutdown(client->source.fd, SHUT_WR);
    while (!client->over) {
        event_loop_run(&drawn->machine.vm.loop);
    }
    event_loop_remove(&drawn->machine.vm.loop, &client->source);
    close(client->source.fd);
}

static void check_json(char *text)
{
    char *rest = text;
    while (rest && *rest) {
        const char *line = strsep(&rest, "\n");
        json_t *object = json_loads(line, 0, NULL);
        must(json_is_object(object));
        json_decref(object);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char negotiation[] = "{\"execute\": \"qmp_capabilities\"}";
    struct client client;
    bool is_qmp = size > 0 && data[0] & 1;
    if (size == 0) {
        return 0;
    }
    start_client(&client, is_qmp ? "qmp" : "monitor");
    say(&client, negotiation, is_qmp ? strlen(negotiation) : 0);
    say(&client, data + 1, size - 1);
    finish_client(&client);
    if (is_qmp) {
        check_json(client.text);
    } else {
        must(strstr(client.text, MONITOR_PROMPT) && strlen(client.text) == client.length);
    }
    free(client.text);
    return 0;
}

/* SPDX-License-Identifier: MIT */
/* QMP: where objects end, what commands return, and a client on a socket. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/machine_fixture.h"
#include "vmm/qmp.h"
#include "vmm/qmp_stream.h"

/* ---- the stream */

static void expect_stream(struct qmp_stream *stream, const char *text,
                          enum qmp_stream_state expected)
{
    for (size_t i = 0; text[i] != '\0'; i++) {
        enum qmp_stream_state state = qmp_stream_add(stream, text[i]);
        assert_int_equal(state, text[i + 1] != '\0' ? QMP_STREAM_MORE : expected);
    }
}

static void objects(void **state)
{
    struct qmp_stream stream = {.text = NULL};
    (void)state;
    expect_stream(&stream, " \r\n{\"a\": [{}, \"}\\\"]\\\\\"]\n}", QMP_STREAM_OBJECT);
    assert_int_equal(stream.length, strlen("{\"a\": [{}, \"}\\\"]\\\\\"]\n}"));
    expect_stream(&stream, "{}", QMP_STREAM_OBJECT);
    assert_memory_equal(stream.text, "{}", 2);
    expect_stream(&stream, "hello {}\n", QMP_STREAM_JUNK);
    expect_stream(&stream, "{]", QMP_STREAM_OBJECT);
    expect_stream(&stream, "{\"a\\\n", QMP_STREAM_OBJECT); /* no string goes over lines */
    expect_stream(&stream, "{\"a", QMP_STREAM_MORE);
    qmp_stream_reset(&stream);
    expect_stream(&stream, "{}", QMP_STREAM_OBJECT);
    qmp_stream_reset(&stream);
}

static void too_long(void **state)
{
    struct qmp_stream stream = {.text = NULL};
    (void)state;
    expect_stream(&stream, "{\"", QMP_STREAM_MORE);
    for (int i = 0; i < 3 * QMP_OBJECT_MAX; i++) {
        assert_int_equal(qmp_stream_add(&stream, 'x'), QMP_STREAM_MORE);
    }
    assert_true(stream.room <= QMP_OBJECT_MAX);
    expect_stream(&stream, "\"}", QMP_STREAM_TOO_LONG);
    expect_stream(&stream, "{}", QMP_STREAM_OBJECT);
    qmp_stream_reset(&stream);
}

/* ---- commands */

static int set_up(void **state)
{
    static char *argv[] = {
        "minivmm",          "--dump-machine=-", "--dma-engine=id=dma0", "--device",
        "root-port,id=rp0", "--device",         "pci-testdev,bus=rp0"};
    *state = drawn_new(sizeof(argv) / sizeof(argv[0]), argv);
    return 0;
}

static int tear_down(void **state)
{
    drawn_free(*state);
    return 0;
}

/* What the command returns, as text; or the error's class and text. */
static const char *execute(struct drawn *drawn, const char *command, const char *arguments)
{
    static char text[16384];
    json_t *parsed = json_loads(arguments, 0, NULL);
    struct qmp_call call = {.control = &drawn->control, .arguments = parsed};
    json_t *result = qmp_execute(&call, command);
    if (result != NULL) {
        char *dumped = json_dumps(result, JSON_SORT_KEYS | JSON_ENCODE_ANY);
        snprintf(text, sizeof(text), "%s", dumped);
        free(dumped);
        json_decref(result);
    } else {
        snprintf(text, sizeof(text), "%s: %s", call.error_class, call.err.text);
    }
    json_decref(parsed);
    return text;
}

#define RETURNS(command, arguments, expected)                                                      \
    assert_string_equal(execute(*state, command, arguments), expected)
#define HAS(command, part) assert_non_null(strstr(execute(*state, command, "{}"), part))

static void commands(void **state)
{
    RETURNS("query-status", "{}",
            "{\"running\": true, \"singlestep\": false, \"status\": \"running\"}");
    RETURNS("stop", "{}", "{}");
    RETURNS("query-status", "{}",
            "{\"running\": false, \"singlestep\": false, \"status\": \"paused\"}");
    RETURNS("cont", "{}", "{}");
    RETURNS("query-name", "{}", "{}");
    RETURNS("query-kvm", "{}", "{\"enabled\": false, \"present\": false}");
    RETURNS("query-cpus-fast", "{}", "[]");
    HAS("query-version", "\"package\": \"minivmm " MINIVMM_VERSION "\"");
    HAS("query-commands", "{\"name\": \"human-monitor-command\"}");
    HAS("query-commands", "{\"name\": \"qmp_capabilities\"}");
    HAS("query-events", "{\"name\": \"GUEST_PANICKED\"}");
    RETURNS("human-monitor-command", "{\"command-line\": \"info status\"}",
            "\"VM status: running\\n\"");
    RETURNS("human-monitor-command", "{\"command-line\": \"wonder\", \"cpu-index\": 0}",
            "\"error: wonder: no such command ('help' lists them)\\n\"");
}

static void refused(void **state)
{
    RETURNS("wonder", "{}", "CommandNotFound: The command wonder has not been found");
    RETURNS("stop", "{\"now\": 1}", "GenericError: Parameter 'now' is unexpected");
    RETURNS("human-monitor-command", "{}", "GenericError: Parameter 'command-line' is missing");
    RETURNS("human-monitor-command", "{\"command-line\": 5}",
            "GenericError: Parameter 'command-line' is missing");
    RETURNS("human-monitor-command", "{\"command-line\": \"stop\\ncont\"}",
            "GenericError: one line of at most 4095 bytes is expected");
}

static void pci(void **state)
{
    HAS("query-pci", "\"class_info\": {\"class\": 1536, \"desc\": \"Host bridge\"}");
    HAS("query-pci", "\"qdev_id\": \"dma0\", \"regions\": [{\"address\": -1, \"bar\": 0, "
                     "\"mem_type_64\": false, \"prefetch\": false, \"size\": 16384, "
                     "\"type\": \"memory\"}], \"slot\": 4}");
    /* What is behind the port is in it. */
    struct drawn *drawn = *state;
    json_t *tree =
        qmp_execute(&(struct qmp_call){.control = &drawn->control, .arguments = NULL}, "query-pci");
    json_t *devices = json_object_get(json_array_get(tree, 0), "devices");
    assert_int_equal(json_array_size(tree), 1);
    assert_int_equal(json_array_size(devices), 3);
    json_t *port = json_array_get(devices, 1);
    assert_string_equal(json_string_value(json_object_get(port, "qdev_id")), "rp0");
    json_t *behind = json_object_get(json_object_get(port, "pci_bridge"), "devices");
    assert_int_equal(json_array_size(behind), 1);
    assert_int_equal(json_integer_value(json_object_get(
                         json_object_get(json_array_get(behind, 0), "id"), "device")),
                     0x11e9);
    json_decref(tree);
}

static void strings(void **state)
{
    (void)state;
    json_t *string = qmp_string("caf\xc3\xa9");
    assert_string_equal(json_string_value(string), "caf\xc3\xa9");
    json_decref(string);
    string = qmp_string("a\xff\xfe"
                        "b");
    assert_string_equal(json_string_value(string), "a??b");
    json_decref(string);
}

/* ---- a client */

#define STARTS(text, expected) assert_memory_equal(text, expected, sizeof(expected) - 1)

struct client {
    struct qmp_server *server;
    char path[64];
    int fd;
};

static void connect_client(struct drawn *drawn, struct client *client)
{
    char address[80];
    struct error err = {""};
    struct sockaddr_un place = {.sun_family = AF_UNIX};
    snprintf(client->path, sizeof(client->path), "/tmp/minivmm-test-qmp-%d", getpid());
    snprintf(address, sizeof(address), "unix:%s", client->path);
    assert_int_equal(qmp_server_start(&client->server, &drawn->control, address, &err), 0);
    strcpy(place.sun_path, client->path);
    client->fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(connect(client->fd, (struct sockaddr *)&place, sizeof(place)), 0);
}

static void stop_loop(void *opaque)
{
    event_loop_stop(opaque);
}

/* Say something, let the server work for a moment, and give what it says. */
static const char *talk(struct drawn *drawn, struct client *client, const char *words)
{
    static char text[65536];
    struct event_loop *loop = &drawn->machine.vm.loop;
    struct event_timer timer;
    assert_int_equal(send(client->fd, words, strlen(words), 0), strlen(words));
    assert_int_equal(event_timer_init(&timer, loop, stop_loop, loop), 0);
    event_timer_set(&timer, event_now_ns() + 30 * 1000 * 1000);
    event_loop_run(loop);
    event_timer_destroy(&timer);
    ssize_t got = recv(client->fd, text, sizeof(text) - 1, MSG_DONTWAIT);
    text[got > 0 ? got : 0] = '\0';
    return text;
}

static void conversation(void **state)
{
    struct drawn *drawn = *state;
    struct client client;
    connect_client(drawn, &client);
    const char *text = talk(drawn, &client, "\n");
    STARTS(text, "{\"QMP\": {\"version\": {\"qemu\": {\"major\": ");
    assert_non_null(strstr(text, "\"capabilities\": []}}\r\n"));
    text = talk(drawn, &client, "{\"execute\": \"query-status\", \"id\": 7}");
    assert_string_equal(text,
                        "{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"Expecting "
                        "capabilities negotiation with 'qmp_capabilities'\"}, \"id\": 7}\r\n");
    control_stop(&drawn->control); /* nobody is told before the negotiation */
    text = talk(drawn, &client, "{\"execute\": \"qmp_capabilities\"}");
    assert_string_equal(text, "{\"return\": {}}\r\n");
    text = talk(drawn, &client, "{\"execute\": \"cont\", \"id\": [null]}");
    STARTS(text, "{\"event\": \"RESUME\", \"timestamp\": {\"seconds\": ");
    assert_non_null(strstr(text, "}}\r\n{\"return\": {}, \"id\": [null]}\r\n"));
    static const char *const wrong[][2] = {
        {"nonsense\n", "JSON parse error"},
        {"{\"execute\": \"\xff\"}", "JSON parse error"},
        {"{}", "lacks member 'execute'"},
        {"{\"execute\": 5}", "must be a string"},
        {"{\"execute\": \"stop\", \"arguments\": []}", "must be an object"},
        {"{\"execute\": \"stop\", \"exec\": 1}", "'exec' is unexpected"},
        {"{\"execute\": \"qmp_capabilities\"}", "already complete"},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        text = talk(drawn, &client, wrong[i][0]);
        STARTS(text, "{\"error\": {\"class\": \"");
        assert_non_null(strstr(text, wrong[i][1]));
    }
    close(client.fd);
    qmp_server_finish(client.server);
    assert_int_equal(access(client.path, F_OK), -1);
}

static const char *event_text(struct drawn *drawn, struct client *client,
                              const struct control_event *event)
{
    control_tell(&drawn->control, event);
    return talk(drawn, client, "\n");
}

static void events(void **state)
{
    struct drawn *drawn = *state;
    struct client client;
    connect_client(drawn, &client);
    (void)talk(drawn, &client, "{\"execute\": \"qmp_capabilities\"}");
    const struct control_event deleted = {.kind = CONTROL_DEVICE_DELETED, .id = "dma0"};
    STARTS(event_text(drawn, &client, &deleted),
           "{\"event\": \"DEVICE_DELETED\", \"data\": {\"device\": \"dma0\", "
           "\"path\": \"/machine/peripheral/dma0\"}, \"timestamp\"");
    const struct control_event reset = {
        .kind = CONTROL_RESET, .guest = true, .reason = "guest-reset"};
    STARTS(event_text(drawn, &client, &reset),
           "{\"event\": \"RESET\", \"data\": {\"guest\": true, \"reason\": "
           "\"guest-reset\"}, ");
    const struct control_event panic = {.kind = CONTROL_GUEST_PANICKED};
    assert_non_null(strstr(event_text(drawn, &client, &panic), "{\"action\": \"poweroff\"}"));
    close(client.fd);
    qmp_server_finish(client.server);
}

#define MACHINE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects),  cmocka_unit_test(too_long), MACHINE_TEST(commands),
        MACHINE_TEST(refused),      MACHINE_TEST(pci),          cmocka_unit_test(strings),
        MACHINE_TEST(conversation), MACHINE_TEST(events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

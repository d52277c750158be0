/* SPDX-License-Identifier: MIT */
/*
 * See vmm/gdb_stub.h. `commands` is the list of all commands; each takes what follows its name and
 * writes DATA of the reply. What the stub does not know gets an empty reply, by which the client
 * knows that ("Standard Replies" in the manual).
 */
#include "vmm/gdb_stub.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { SIGNAL_INT = 2, SIGNAL_TRAP = 5, SIGNAL_ABORT = 6 }; /* gdb's numbers of them */

/* ---- replies */

static void put_error(struct gdb_stub *stub, int error)
{
    gdb_printf(&stub->reply, "E%02x", (unsigned)-error & 0xff);
}

/* "OK", an error, or nothing for what is not supported. */
static void put_result(struct gdb_stub *stub, int result)
{
    if (result >= 0) {
        gdb_put(&stub->reply, "OK");
    } else if (result != -EOPNOTSUPP) {
        put_error(stub, result);
    }
}

static void send_reply(struct gdb_stub *stub)
{
    if (stub->reply.overflow) {
        stub->reply = (struct gdb_writer){.length = 0};
        put_error(stub, -EMSGSIZE);
    }
    stub->frame_length = gdb_frame(&stub->reply, stub->frame);
    stub->send(stub->opaque, stub->frame, stub->frame_length);
}

static void clear_reply(struct gdb_stub *stub)
{
    stub->reply.length = 0;
    stub->reply.overflow = false;
}

/* "Stop Reply Packets" in the manual. */
static void put_stop(struct gdb_stub *stub)
{
    static const char *const watches[] = {
        [GDB_WATCH_WRITE] = "watch",
        [GDB_WATCH_READ] = "rwatch",
        [GDB_WATCH_ACCESS] = "awatch",
    };
    const struct gdb_stop *stop = &stub->last;
    int signal = stop->reason == GDB_BY_INTERRUPT ? SIGNAL_INT
                 : stop->reason == GDB_BY_CRASH   ? SIGNAL_ABORT
                                                  : SIGNAL_TRAP;
    gdb_printf(&stub->reply, "T%02xthread:%x;", (unsigned)signal, stop->cpu + 1);
    if (stop->reason != GDB_BY_POINT) {
        return;
    }
    if (stop->point >= GDB_WATCH_WRITE) {
        gdb_printf(&stub->reply, "%s:%" PRIx64 ";", watches[stop->point], stop->address);
    } else if (stop->point == GDB_SOFTWARE && stub->knows_swbreak) {
        gdb_put(&stub->reply, "swbreak:;");
    } else if (stop->point == GDB_HARDWARE && stub->knows_hwbreak) {
        gdb_put(&stub->reply, "hwbreak:;");
    }
}

void gdb_stub_stopped(struct gdb_stub *stub, const struct gdb_stop *stop)
{
    if (!stub->running) {
        return;
    }
    stub->running = false;
    stub->last = *stop;
    stub->cpu = stop->cpu;
    clear_reply(stub);
    put_stop(stub);
    send_reply(stub);
}

void gdb_stub_ended(struct gdb_stub *stub, int status, int signal)
{
    clear_reply(stub);
    if (signal != 0) {
        gdb_printf(&stub->reply, "X%02x", (unsigned)signal & 0xff);
    } else {
        gdb_printf(&stub->reply, "W%02x", (unsigned)status & 0xff);
    }
    stub->over = true;
    send_reply(stub);
}

/* ---- threads */

/* A thread's number, -1 for all, 0 for any: *cpu is an index, or -1 for the latter two. */
static bool take_thread(struct gdb_stub *stub, struct gdb_reader *args, int *cpu)
{
    uint64_t number;
    *cpu = -1;
    if (gdb_skip_text(args, "-1")) {
        return true;
    }
    if (!gdb_take_number(args, &number) || number > stub->ops->cpu_count(stub->target)) {
        return false;
    }
    *cpu = (int)number - 1;
    return true;
}

/* H g THREAD, H c THREAD */
static void set_thread(struct gdb_stub *stub, struct gdb_reader *args)
{
    int cpu;
    bool general = gdb_skip(args, 'g');
    if ((!general && !gdb_skip(args, 'c')) || !take_thread(stub, args, &cpu)) {
        put_error(stub, -EINVAL);
        return;
    }
    if (!general) {
        stub->resume_cpu = cpu;
    } else if (cpu >= 0) {
        stub->cpu = (unsigned)cpu;
    }
    put_result(stub, 0);
}

static void is_thread_alive(struct gdb_stub *stub, struct gdb_reader *args)
{
    int cpu;
    put_result(stub, take_thread(stub, args, &cpu) && cpu >= 0 ? 0 : -ESRCH);
}

static void current_thread(struct gdb_stub *stub, struct gdb_reader *args)
{
    (void)args;
    gdb_printf(&stub->reply, "QC%x", stub->cpu + 1);
}

/* As many as a reply comfortably holds; "l" when there are no more. */
static void more_threads(struct gdb_stub *stub, struct gdb_reader *args)
{
    enum { AT_ONCE = 64 };
    unsigned count = stub->ops->cpu_count(stub->target);
    (void)args;
    if (stub->next_thread >= count) {
        gdb_put(&stub->reply, "l");
        return;
    }
    for (unsigned i = 0; i < AT_ONCE && stub->next_thread < count; i++) {
        gdb_printf(&stub->reply, "%s%x", i == 0 ? "m" : ",", ++stub->next_thread);
    }
}

static void first_threads(struct gdb_stub *stub, struct gdb_reader *args)
{
    stub->next_thread = 0;
    more_threads(stub, args);
}

static void thread_info(struct gdb_stub *stub, struct gdb_reader *args)
{
    char text[64] = "";
    int cpu;
    if (!take_thread(stub, args, &cpu) || cpu < 0) {
        put_error(stub, -ESRCH);
        return;
    }
    stub->ops->describe_cpu(stub->target, (unsigned)cpu, text, sizeof(text));
    gdb_put_hex(&stub->reply, text, strlen(text));
}

/* ---- registers and memory */

static void read_some_registers(struct gdb_stub *stub, int number)
{
    uint8_t bytes[GDB_REGISTERS_MAX];
    int length = stub->ops->read_registers(stub->target, stub->cpu, number, bytes, sizeof(bytes));
    if (length < 0) {
        put_error(stub, length);
    } else {
        gdb_put_hex(&stub->reply, bytes, (size_t)length);
    }
}

static void write_some_registers(struct gdb_stub *stub, int number, struct gdb_reader *args)
{
    uint8_t bytes[GDB_REGISTERS_MAX];
    size_t length = (size_t)(args->end - args->at) / 2;
    if (length > sizeof(bytes) || !gdb_take_hex(args, bytes, length) || !gdb_at_end(args)) {
        put_error(stub, -EINVAL);
        return;
    }
    put_result(stub, stub->ops->write_registers(stub->target, stub->cpu, number, bytes, length));
}

static void read_registers(struct gdb_stub *stub, struct gdb_reader *args)
{
    (void)args;
    read_some_registers(stub, -1);
}

static void write_registers(struct gdb_stub *stub, struct gdb_reader *args)
{
    write_some_registers(stub, -1, args);
}

static bool take_register_number(struct gdb_reader *args, int *number)
{
    uint64_t value;
    if (!gdb_take_number(args, &value) || value > INT16_MAX) {
        return false;
    }
    *number = (int)value;
    return true;
}

static void read_register(struct gdb_stub *stub, struct gdb_reader *args)
{
    int number;
    if (take_register_number(args, &number)) {
        read_some_registers(stub, number);
    } else {
        put_error(stub, -EINVAL);
    }
}

static void write_register(struct gdb_stub *stub, struct gdb_reader *args)
{
    int number;
    if (take_register_number(args, &number) && gdb_skip(args, '=')) {
        write_some_registers(stub, number, args);
    } else {
        put_error(stub, -EINVAL);
    }
}

/* ADDRESS,LENGTH */
static bool take_range(struct gdb_reader *args, uint64_t *address, uint64_t *length)
{
    return gdb_take_number(args, address) && gdb_skip(args, ',') && gdb_take_number(args, length);
}

/* What can be read of it; an error if that is nothing. */
static void read_memory(struct gdb_stub *stub, struct gdb_reader *args)
{
    uint8_t bytes[GDB_PACKET_MAX / 2];
    uint64_t address;
    uint64_t length;
    if (!take_range(args, &address, &length) || !gdb_at_end(args)) {
        put_error(stub, -EINVAL);
        return;
    }
    size_t size = length < sizeof(bytes) ? length : sizeof(bytes);
    int got = stub->ops->read_memory(stub->target, stub->cpu, address, bytes, size);
    if (got < 0 || (got == 0 && length > 0)) {
        put_error(stub, got < 0 ? got : -EFAULT);
    } else {
        gdb_put_hex(&stub->reply, bytes, (size_t)got);
    }
}

/* M ADDRESS,LENGTH:DIGITS */
static void write_memory(struct gdb_stub *stub, struct gdb_reader *args)
{
    uint8_t bytes[GDB_PACKET_MAX / 2];
    uint64_t address;
    uint64_t length;
    if (!take_range(args, &address, &length) || !gdb_skip(args, ':') || length > sizeof(bytes) ||
        !gdb_take_hex(args, bytes, length) || !gdb_at_end(args)) {
        put_error(stub, -EINVAL);
        return;
    }
    put_result(stub,
               stub->ops->write_memory(stub->target, stub->cpu, address, bytes, (size_t)length));
}

/* X ADDRESS,LENGTH:BYTES; with no bytes the client asks whether there is this command. */
static void write_binary(struct gdb_stub *stub, struct gdb_reader *args)
{
    uint64_t address;
    uint64_t length;
    if (!take_range(args, &address, &length) || !gdb_skip(args, ':') ||
        length != (uint64_t)(args->end - args->at)) {
        put_error(stub, -EINVAL);
        return;
    }
    put_result(stub,
               stub->ops->write_memory(stub->target, stub->cpu, address, args->at, (size_t)length));
}

/* ---- breakpoints */

/* TYPE,ADDRESS,KIND; conditions and commands after a semicolon were not offered. */
static bool take_point(struct gdb_reader *args, enum gdb_point *point, uint64_t *address,
                       uint64_t *kind)
{
    uint64_t type;
    if (!gdb_take_number(args, &type) || type > GDB_WATCH_ACCESS || !gdb_skip(args, ',')) {
        return false;
    }
    *point = (enum gdb_point)type;
    return take_range(args, address, kind) && gdb_at_end(args);
}

static void change_point(struct gdb_stub *stub, struct gdb_reader *args, bool insert)
{
    const struct gdb_target_ops *ops = stub->ops;
    enum gdb_point point;
    uint64_t address;
    uint64_t kind;
    if (!take_point(args, &point, &address, &kind)) {
        put_error(stub, -EINVAL);
    } else if (insert) {
        put_result(stub, ops->insert(stub->target, stub->cpu, point, address, kind));
    } else {
        put_result(stub, ops->remove(stub->target, point, address, kind));
    }
}

static void insert_point(struct gdb_stub *stub, struct gdb_reader *args)
{
    change_point(stub, args, true);
}

static void remove_point(struct gdb_stub *stub, struct gdb_reader *args)
{
    change_point(stub, args, false);
}

/* ---- running */

/* The reply to these is the stop, when it comes. */
static void resume(struct gdb_stub *stub)
{
    stub->running = stub->resumed = true;
    int ret = stub->ops->resume(stub->target, stub->actions);
    if (ret < 0) {
        stub->running = stub->resumed = false;
        put_error(stub, ret);
    }
}

/* c [ADDRESS], s [ADDRESS]: the vCPU of Hc, or all; one that steps leaves the others alone. */
static void resume_with(struct gdb_stub *stub, struct gdb_reader *args, enum gdb_action action)
{
    unsigned count = stub->ops->cpu_count(stub->target);
    unsigned chosen = stub->resume_cpu >= 0 ? (unsigned)stub->resume_cpu : stub->cpu;
    bool all = stub->resume_cpu < 0 && action == GDB_CONTINUE;
    uint64_t pc;
    if (!gdb_at_end(args)) {
        int ret = gdb_take_number(args, &pc) && gdb_at_end(args)
                      ? stub->ops->set_pc(stub->target, chosen, pc)
                      : -EINVAL;
        if (ret < 0) {
            put_error(stub, ret);
            return;
        }
    }
    for (unsigned i = 0; i < count; i++) {
        stub->actions[i] = all || i == chosen ? action : GDB_STAY;
    }
    resume(stub);
}

static void do_continue(struct gdb_stub *stub, struct gdb_reader *args)
{
    resume_with(stub, args, GDB_CONTINUE);
}

static void do_step(struct gdb_stub *stub, struct gdb_reader *args)
{
    resume_with(stub, args, GDB_STEP);
}

/* c, s, or C and S with the number of a signal, which a machine has none of. */
static bool take_action(struct gdb_reader *args, enum gdb_action *action)
{
    uint64_t signal;
    bool with_signal = gdb_skip(args, 'C');
    if (with_signal || gdb_skip(args, 'c')) {
        *action = GDB_CONTINUE;
    } else if ((with_signal = gdb_skip(args, 'S')) || gdb_skip(args, 's')) {
        *action = GDB_STEP;
    } else {
        return false;
    }
    return !with_signal || gdb_take_number(args, &signal);
}

/* vCont;ACTION[:THREAD]...: for each vCPU the first that names it, or names none. */
static bool take_actions(struct gdb_stub *stub, struct gdb_reader *args)
{
    unsigned count = stub->ops->cpu_count(stub->target);
    bool any = false;
    for (unsigned i = 0; i < count; i++) {
        stub->actions[i] = GDB_STAY;
    }
    while (gdb_skip(args, ';')) {
        enum gdb_action action;
        int cpu = -1;
        if (!take_action(args, &action) ||
            (gdb_skip(args, ':') && !take_thread(stub, args, &cpu))) {
            return false;
        }
        for (unsigned i = 0; i < count; i++) {
            if ((cpu < 0 || (unsigned)cpu == i) && stub->actions[i] == GDB_STAY) {
                stub->actions[i] = action;
                any = true;
            }
        }
    }
    return any && gdb_at_end(args);
}

static void continue_each(struct gdb_stub *stub, struct gdb_reader *args)
{
    if (gdb_skip(args, '?')) {
        gdb_put(&stub->reply, "vCont;c;C;s;S");
    } else if (take_actions(stub, args)) {
        resume(stub);
    } else {
        put_error(stub, -EINVAL);
    }
}

static void why_stopped(struct gdb_stub *stub, struct gdb_reader *args)
{
    (void)args;
    put_stop(stub);
}

static void detach(struct gdb_stub *stub, struct gdb_reader *args)
{
    (void)args;
    stub->over = true;
    stub->ops->detach(stub->target);
    put_result(stub, 0);
}

static void kill_target(struct gdb_stub *stub)
{
    stub->over = true;
    stub->ops->kill(stub->target);
}

static void kill_with_reply(struct gdb_stub *stub, struct gdb_reader *args)
{
    (void)args;
    kill_target(stub);
    put_result(stub, 0);
}

/* ---- questions */

static void supported(struct gdb_stub *stub, struct gdb_reader *args)
{
    stub->knows_swbreak = strstr(args->at, "swbreak+") != NULL;
    stub->knows_hwbreak = strstr(args->at, "hwbreak+") != NULL;
    gdb_printf(&stub->reply, "PacketSize=%x;QStartNoAckMode+;qXfer:features:read+", GDB_PACKET_MAX);
    gdb_put(&stub->reply, ";vContSupported+;swbreak+;hwbreak+");
}

static void stop_acknowledging(struct gdb_stub *stub, struct gdb_reader *args)
{
    (void)args;
    stub->no_ack = true; /* the reply is the first for which none is expected */
    put_result(stub, 0);
}

static void was_attached(struct gdb_stub *stub, struct gdb_reader *args)
{
    (void)args;
    gdb_put(&stub->reply, "1"); /* so that leaving detaches and does not kill */
}

/* OFFSET,LENGTH of target.xml: "m" and a part, "l" and the last one. */
static void read_description(struct gdb_stub *stub, struct gdb_reader *args)
{
    enum { MOST = GDB_PACKET_MAX / 2 - 1 }; /* each byte may need an escape */
    const char *text = stub->ops->description(stub->target);
    uint64_t offset;
    uint64_t length;
    if (!take_range(args, &offset, &length) || !gdb_at_end(args) || offset > strlen(text)) {
        put_error(stub, -EINVAL);
        return;
    }
    size_t left = strlen(text + offset);
    size_t most = length < MOST ? length : MOST;
    gdb_put(&stub->reply, left > most ? "m" : "l");
    gdb_put_binary(&stub->reply, text + offset, left > most ? most : left);
}

/* ---- the list of commands; a longer name stands before its beginning */

static const struct {
    const char *name;
    void (*run)(struct gdb_stub *stub, struct gdb_reader *args);
} commands[] = {
    {"?", why_stopped},
    {"c", do_continue},
    {"D", detach},
    {"g", read_registers},
    {"G", write_registers},
    {"H", set_thread},
    {"m", read_memory},
    {"M", write_memory},
    {"p", read_register},
    {"P", write_register},
    {"qAttached", was_attached},
    {"qC", current_thread},
    {"qfThreadInfo", first_threads},
    {"qsThreadInfo", more_threads},
    {"QStartNoAckMode", stop_acknowledging},
    {"qSupported", supported},
    {"qThreadExtraInfo,", thread_info},
    {"qXfer:features:read:target.xml:", read_description},
    {"s", do_step},
    {"T", is_thread_alive},
    {"vCont", continue_each},
    {"vKill", kill_with_reply},
    {"X", write_binary},
    {"z", remove_point},
    {"Z", insert_point},
};

static void run_packet(struct gdb_stub *stub)
{
    const struct gdb_parser *parser = &stub->parser;
    struct gdb_reader reader = {parser->data, parser->data + parser->length};
    clear_reply(stub);
    stub->resumed = false;
    if (parser->length == 1 && parser->data[0] == 'k') {
        kill_target(stub);
        return; /* it has no reply */
    }
    if (stub->running) {
        put_error(stub, -EBUSY);
        send_reply(stub);
        return;
    }
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (gdb_skip_text(&reader, commands[i].name)) {
            commands[i].run(stub, &reader);
            break;
        }
    }
    if (!stub->resumed) {
        send_reply(stub);
    }
}

static void acknowledge(struct gdb_stub *stub, bool good)
{
    if (!stub->no_ack) {
        stub->send(stub->opaque, good ? "+" : "-", 1);
    }
}

void gdb_stub_feed(struct gdb_stub *stub, uint8_t byte)
{
    if (stub->over) {
        return;
    }
    switch (gdb_parser_feed(&stub->parser, byte)) {
    case GDB_EVENT_PACKET:
        acknowledge(stub, true);
        run_packet(stub);
        break;
    case GDB_EVENT_BAD_PACKET:
        acknowledge(stub, false);
        break;
    case GDB_EVENT_INTERRUPT:
        if (stub->running) {
            stub->ops->interrupt(stub->target);
        }
        break;
    case GDB_EVENT_NAK:
        if (!stub->no_ack) {
            stub->send(stub->opaque, stub->frame, stub->frame_length);
        }
        break;
    case GDB_EVENT_ACK:
    case GDB_EVENT_NONE:
        break;
    }
}

int gdb_stub_start(struct gdb_stub *stub, const struct gdb_target_ops *ops, void *target,
                   void (*send)(void *opaque, const void *bytes, size_t length), void *opaque)
{
    unsigned count = ops->cpu_count(target);
    *stub = (struct gdb_stub){.ops = ops,
                              .target = target,
                              .send = send,
                              .opaque = opaque,
                              .resume_cpu = -1,
                              .last = {.reason = GDB_BY_STEP}};
    stub->actions = calloc(count, sizeof(*stub->actions));
    return stub->actions != NULL ? 0 : -ENOMEM;
}

void gdb_stub_destroy(struct gdb_stub *stub)
{
    free(stub->actions);
    stub->actions = NULL;
}

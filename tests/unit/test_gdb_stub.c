/* SPDX-License-Identifier: MIT */
/* The commands of gdb's remote protocol, against a machine of three vCPUs that only remembers. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/gdb_stub.h"

enum { CPUS = 3, MEMORY = 0x9000, REGISTERS = 12 };

struct fake {
    struct gdb_stub stub;
    uint8_t registers[CPUS][REGISTERS];
    uint8_t memory[MEMORY];
    uint64_t pc[CPUS];
    enum gdb_action actions[CPUS];
    struct gdb_stop stop; /* what happens at once when it is resumed */
    bool stops_at_once;
    int resume_result;
    unsigned resumed, interrupted, detached, killed;
    char points[256];
    char sent[4 * GDB_FRAME_MAX];
    size_t sent_length;
};

static struct fake fake;

static unsigned cpu_count(void *target)
{
    (void)target;
    return CPUS;
}

static void describe_cpu(void *target, unsigned cpu, char *text, size_t size)
{
    (void)target;
    snprintf(text, size, "cpu %u", cpu);
}

static const char *description(void *target)
{
    (void)target;
    return "<target>*#</target>";
}

static int read_registers(void *target, unsigned cpu, int number, void *bytes, size_t size)
{
    (void)target;
    assert_true(size >= REGISTERS);
    if (number > 2) {
        return -EINVAL;
    }
    size_t length = number < 0 ? REGISTERS : 4;
    memcpy(bytes, fake.registers[cpu] + (number < 0 ? 0 : 4 * number), length);
    return (int)length;
}

static int write_registers(void *target, unsigned cpu, int number, const void *bytes, size_t size)
{
    (void)target;
    if (number > 2 || size > (number < 0 ? REGISTERS : 4)) {
        return -EINVAL;
    }
    memcpy(fake.registers[cpu] + (number < 0 ? 0 : 4 * number), bytes, size);
    return 0;
}

static int read_memory(void *target, unsigned cpu, uint64_t address, void *bytes, size_t size)
{
    (void)target;
    (void)cpu;
    size_t there = address < MEMORY ? MEMORY - address : 0;
    size_t length = size < there ? size : there;
    memcpy(bytes, fake.memory + (length ? address : 0), length);
    return (int)length;
}

static int write_memory(void *target, unsigned cpu, uint64_t address, const void *bytes,
                        size_t size)
{
    (void)target;
    (void)cpu;
    if (address >= MEMORY || size > MEMORY - address) {
        return -EFAULT;
    }
    memcpy(fake.memory + address, bytes, size);
    return 0;
}

static int set_pc(void *target, unsigned cpu, uint64_t pc)
{
    (void)target;
    fake.pc[cpu] = pc;
    return 0;
}

static int insert_point(void *target, unsigned cpu, enum gdb_point point, uint64_t address,
                        uint64_t kind)
{
    (void)target;
    snprintf(fake.points, sizeof(fake.points), "+%u,%llx,%llx on %u", point,
             (unsigned long long)address, (unsigned long long)kind, cpu);
    return point == GDB_WATCH_READ ? -EOPNOTSUPP : point == GDB_HARDWARE ? -ENOSPC : 0;
}

static int remove_point(void *target, enum gdb_point point, uint64_t address, uint64_t kind)
{
    (void)target;
    snprintf(fake.points, sizeof(fake.points), "-%u,%llx,%llx", point, (unsigned long long)address,
             (unsigned long long)kind);
    return 0;
}

static int resume(void *target, const enum gdb_action *actions)
{
    (void)target;
    memcpy(fake.actions, actions, sizeof(fake.actions));
    fake.resumed++;
    if (fake.stops_at_once) {
        gdb_stub_stopped(&fake.stub, &fake.stop);
    }
    return fake.resume_result;
}

static void interrupt(void *target)
{
    (void)target;
    const struct gdb_stop stop = {.cpu = 1, .reason = GDB_BY_INTERRUPT};
    fake.interrupted++;
    gdb_stub_stopped(&fake.stub, &stop);
}

static void detach(void *target)
{
    (void)target;
    fake.detached++;
}

static void kill_it(void *target)
{
    (void)target;
    fake.killed++;
}

static const struct gdb_target_ops ops = {
    .cpu_count = cpu_count,
    .describe_cpu = describe_cpu,
    .description = description,
    .read_registers = read_registers,
    .write_registers = write_registers,
    .read_memory = read_memory,
    .write_memory = write_memory,
    .set_pc = set_pc,
    .insert = insert_point,
    .remove = remove_point,
    .resume = resume,
    .interrupt = interrupt,
    .detach = detach,
    .kill = kill_it,
};

static void take_output(void *opaque, const void *bytes, size_t length)
{
    (void)opaque;
    assert_true(length <= sizeof(fake.sent) - fake.sent_length);
    memcpy(fake.sent + fake.sent_length, bytes, length);
    fake.sent_length += length;
}

static int start(void **state)
{
    (void)state;
    memset(&fake, 0, sizeof(fake));
    return gdb_stub_start(&fake.stub, &ops, &fake, take_output, &fake);
}

static int stop(void **state)
{
    (void)state;
    gdb_stub_destroy(&fake.stub);
    return 0;
}

static void feed(const char *text)
{
    for (; *text; text++) {
        gdb_stub_feed(&fake.stub, (uint8_t)*text);
    }
}

/* What has been sent since the last time. */
static const char *output(void)
{
    static char text[sizeof(fake.sent) + 1];
    memcpy(text, fake.sent, fake.sent_length);
    text[fake.sent_length] = '\0';
    fake.sent_length = 0;
    return text;
}

/* Send a packet; DATA of the one reply, without its frame and the acknowledgement. */
static const char *ask(const char *data)
{
    static char reply[sizeof(fake.sent) + 1];
    uint8_t sum = 0;
    char end[8];
    for (const char *at = data; *at; at++) {
        sum += (uint8_t)*at;
    }
    snprintf(end, sizeof(end), "#%02x", sum);
    feed("$");
    feed(data);
    feed(end);
    const char *text = output();
    size_t length = strlen(text);
    if (!fake.stub.no_ack) {
        assert_int_equal(text[0], '+');
        text++;
        length--;
    }
    if (length == 0) {
        return "(none)";
    }
    assert_int_equal(text[0], '$');
    assert_true(length >= 4 && text[length - 3] == '#' && strchr(text, '#') == text + length - 3);
    snprintf(reply, sizeof(reply), "%.*s", (int)length - 4, text + 1);
    return reply;
}

#define ASSERT_REPLY(packet, reply) assert_string_equal(ask(packet), reply)

static void bad_packets_are_asked_for_again_and_so_are_ours(void **state)
{
    (void)state;
    feed("$qC#00");
    assert_string_equal(output(), "-");
    feed("$qC#b4");
    assert_string_equal(output(), "+$QC1#c5");
    feed("-");
    assert_string_equal(output(), "$QC1#c5");
    feed("$QStartNoAckMode#b0");
    assert_string_equal(output(), "+$OK#9a"); /* the last one */
    feed("$qC#00-$qC#b4");
    assert_string_equal(output(), "$QC1#c5");
}

static void unknown_commands_get_the_empty_reply(void **state)
{
    (void)state;
    ASSERT_REPLY("vMustReplyEmpty", "");
    ASSERT_REPLY("!", "");
    ASSERT_REPLY("", "");
    ASSERT_REPLY("qXfer:auxv:read::0,100", "");
}

static void threads(void **state)
{
    (void)state;
    ASSERT_REPLY("qfThreadInfo", "m1,2,3");
    ASSERT_REPLY("qsThreadInfo", "l");
    ASSERT_REPLY("qThreadExtraInfo,3", "6370752032");
    ASSERT_REPLY("qThreadExtraInfo,4", "E03");
    ASSERT_REPLY("T3", "OK");
    ASSERT_REPLY("T4", "E03");
    ASSERT_REPLY("T0", "E03");
    ASSERT_REPLY("Hg3", "OK");
    ASSERT_REPLY("qC", "QC3");
    ASSERT_REPLY("Hg0", "OK");
    ASSERT_REPLY("qC", "QC3");
    ASSERT_REPLY("Hgffffffffffffffff", "E16");
    ASSERT_REPLY("Hx1", "E16");
}

static void registers_are_of_the_chosen_vcpu(void **state)
{
    (void)state;
    memcpy(fake.registers[1], "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c", REGISTERS);
    ASSERT_REPLY("Hg2", "OK");
    ASSERT_REPLY("g", "0102030405060708090a0b0c");
    ASSERT_REPLY("p1", "05060708");
    ASSERT_REPLY("p3", "E16");
    ASSERT_REPLY("p", "E16");
    ASSERT_REPLY("P2=aabbccdd", "OK");
    ASSERT_REPLY("p2", "aabbccdd");
    ASSERT_REPLY("P2=aabbccddee", "E16");
    ASSERT_REPLY("P2", "E16");
    ASSERT_REPLY("P2=aabbccd", "E16");
    ASSERT_REPLY("Gffff", "OK");
    ASSERT_REPLY("g", "ffff030405060708aabbccdd");
    ASSERT_REPLY("Hg1", "OK");
    ASSERT_REPLY("p0", "00000000");
}

static void memory(void **state)
{
    (void)state;
    ASSERT_REPLY("M10,3:010203", "OK");
    ASSERT_REPLY("mf,5", "0001020300");
    ASSERT_REPLY("X10,2:az", "OK");
    ASSERT_REPLY("m10,3", "617a03");
    ASSERT_REPLY("X0,0:", "OK");
    ASSERT_REPLY("m8fff,4", "00"); /* what there is of it */
    ASSERT_REPLY("m9000,4", "E0e");
    ASSERT_REPLY("M8fff,2:0102", "E0e");
    ASSERT_REPLY("m0,0", "");
    ASSERT_REPLY("m0", "E16");
    ASSERT_REPLY("m0,1,", "E16");
    ASSERT_REPLY("M0,2:01", "E16");
    ASSERT_REPLY("M0,1:0102", "E16");
    ASSERT_REPLY("M0,ffffffffffffffff:01", "E16");
    ASSERT_REPLY("X0,3:ab", "E16");
    assert_int_equal(strlen(ask("m0,ffffffffffffffff")), GDB_PACKET_MAX); /* as much as fits */
}

static void breakpoints(void **state)
{
    (void)state;
    ASSERT_REPLY("Hg2", "OK");
    ASSERT_REPLY("Z0,1000,1", "OK");
    assert_string_equal(fake.points, "+0,1000,1 on 1");
    ASSERT_REPLY("Z1,1000,1", "E1c");
    ASSERT_REPLY("Z3,1000,4", "");
    ASSERT_REPLY("z4,ff,8", "OK");
    assert_string_equal(fake.points, "-4,ff,8");
    ASSERT_REPLY("Z5,0,1", "E16");
    ASSERT_REPLY("Z0,1000", "E16");
    ASSERT_REPLY("Z0,1000,1;X1,00", "E16");
}

static void vcont_gives_each_vcpu_the_first_action_that_is_for_it(void **state)
{
    (void)state;
    ASSERT_REPLY("vCont?", "vCont;c;C;s;S");
    ASSERT_REPLY("vCont;s:2;c", "(none)");
    assert_int_equal(fake.actions[0], GDB_CONTINUE);
    assert_int_equal(fake.actions[1], GDB_STEP);
    assert_int_equal(fake.actions[2], GDB_CONTINUE);
    feed("\x03");
    assert_string_equal(output(), "$T02thread:2;#d5");
    ASSERT_REPLY("vCont;S05:3", "(none)");
    assert_int_equal(fake.actions[0], GDB_STAY);
    assert_int_equal(fake.actions[2], GDB_STEP);
    feed("\x03");
    output();
    ASSERT_REPLY("vCont", "E16");
    ASSERT_REPLY("vCont;", "E16");
    ASSERT_REPLY("vCont;t", "E16");
    ASSERT_REPLY("vCont;c:4", "E16");
    ASSERT_REPLY("vCont;c:1:2", "E16");
    assert_int_equal(fake.resumed, 2);
}

static void the_old_commands_run_too(void **state)
{
    (void)state;
    ASSERT_REPLY("c", "(none)");
    assert_int_equal(fake.actions[0] + fake.actions[1] + fake.actions[2], 3 * GDB_CONTINUE);
    feed("\x03");
    output();
    ASSERT_REPLY("Hc3", "OK");
    ASSERT_REPLY("s1234", "(none)");
    assert_int_equal(fake.actions[1], GDB_STAY);
    assert_int_equal(fake.actions[2], GDB_STEP);
    assert_int_equal(fake.pc[2], 0x1234);
    feed("\x03");
    output();
    ASSERT_REPLY("czz", "E16");
}

static void while_it_runs_only_an_interrupt_is_heard(void **state)
{
    (void)state;
    ASSERT_REPLY("c", "(none)");
    ASSERT_REPLY("g", "E10");
    ASSERT_REPLY("c", "E10");
    assert_int_equal(fake.resumed, 1);
    feed("\x03\x03");
    assert_int_equal(fake.interrupted, 1);
    assert_string_equal(output(), "$T02thread:2;#d5");
    ASSERT_REPLY("?", "T02thread:2;");
    ASSERT_REPLY("qC", "QC2");
}

static void stop_replies(void **state)
{
    (void)state;
    fake.stops_at_once = true;
    fake.stop = (struct gdb_stop){.cpu = 2, .reason = GDB_BY_STEP};
    ASSERT_REPLY("s", "T05thread:3;");
    fake.stop = (struct gdb_stop){2, GDB_BY_POINT, GDB_SOFTWARE, 0x10};
    ASSERT_REPLY("c", "T05thread:3;");
    assert_non_null(strstr(ask("qSupported:swbreak+;hwbreak+"), "PacketSize=4000"));
    ASSERT_REPLY("c", "T05thread:3;swbreak:;");
    fake.stop.point = GDB_HARDWARE;
    ASSERT_REPLY("c", "T05thread:3;hwbreak:;");
    fake.stop.point = GDB_WATCH_WRITE;
    ASSERT_REPLY("c", "T05thread:3;watch:10;");
    fake.stop.point = GDB_WATCH_READ;
    ASSERT_REPLY("c", "T05thread:3;rwatch:10;");
    fake.stop.point = GDB_WATCH_ACCESS;
    ASSERT_REPLY("c", "T05thread:3;awatch:10;");
    fake.stop.reason = GDB_BY_CRASH;
    ASSERT_REPLY("c", "T06thread:3;");
    fake.stops_at_once = false;
    fake.resume_result = -EIO;
    ASSERT_REPLY("c", "E05");
    ASSERT_REPLY("qAttached", "1");
}

static void a_stop_that_nobody_waits_for_is_not_sent(void **state)
{
    (void)state;
    const struct gdb_stop stop_now = {.reason = GDB_BY_STEP};
    gdb_stub_stopped(&fake.stub, &stop_now);
    assert_string_equal(output(), "");
}

static void the_description_comes_in_parts(void **state)
{
    (void)state;
    ASSERT_REPLY("qXfer:features:read:target.xml:0,8", "m<target>");
    feed("$qXfer:features:read:target.xml:8,2#7a");
    output();
    ASSERT_REPLY("qXfer:features:read:target.xml:a,ffff", "l</target>");
    ASSERT_REPLY("qXfer:features:read:target.xml:13,8", "l");
    ASSERT_REPLY("qXfer:features:read:target.xml:14,8", "E16");
    ASSERT_REPLY("qXfer:features:read:other.xml:0,8", "");
}

static void the_end(void **state)
{
    (void)state;
    ASSERT_REPLY("D", "OK");
    assert_int_equal(fake.detached, 1);
    assert_true(fake.stub.over);
    feed("$g#67");
    assert_string_equal(output(), "");
    stop(NULL);
    start(NULL);
    ASSERT_REPLY("c", "(none)");
    ASSERT_REPLY("k", "(none)"); /* also while it runs */
    assert_int_equal(fake.killed, 1);
    stop(NULL);
    start(NULL);
    ASSERT_REPLY("vKill;1", "OK");
    assert_true(fake.stub.over);
    stop(NULL);
    start(NULL);
    gdb_stub_ended(&fake.stub, 3, 0);
    assert_string_equal(output(), "$W03#ba");
    gdb_stub_ended(&fake.stub, 0, 15);
    assert_string_equal(output(), "$X0f#ee");
}

static void any_bytes_at_all(void **state)
{
    (void)state;
    static const char names[] = "?cDgGHmMpPqQsTvXzZ";
    unsigned seed = 1;
    for (unsigned turn = 0; turn < 20000; turn++) {
        char data[64] = {0};
        unsigned length = (unsigned)rand_r(&seed) % 40;
        data[0] = names[(unsigned)rand_r(&seed) % (sizeof(names) - 1)];
        for (unsigned i = 1; i < length; i++) {
            data[i] = "0123456789abcdef,:;=-"[(unsigned)rand_r(&seed) % 21];
        }
        if (fake.stub.running) {
            feed("\x03");
        }
        fake.sent_length = 0;
        const char *reply = ask(data);
        assert_true(strlen(reply) <= GDB_PACKET_MAX);
        if (fake.stub.over) {
            stop(NULL);
            start(NULL);
        }
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(bad_packets_are_asked_for_again_and_so_are_ours),
        TEST(unknown_commands_get_the_empty_reply),
        TEST(threads),
        TEST(registers_are_of_the_chosen_vcpu),
        TEST(memory),
        TEST(breakpoints),
        TEST(vcont_gives_each_vcpu_the_first_action_that_is_for_it),
        TEST(the_old_commands_run_too),
        TEST(while_it_runs_only_an_interrupt_is_heard),
        TEST(stop_replies),
        TEST(a_stop_that_nobody_waits_for_is_not_sent),
        TEST(the_description_comes_in_parts),
        TEST(the_end),
        TEST(any_bytes_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

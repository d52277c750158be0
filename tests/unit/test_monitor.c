/* SPDX-License-Identifier: MIT */
/* The monitor: how lines are read, completed and carried out, and what commands print. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "devices/virtio/virtio.h"
#include "tests/unit/machine_fixture.h"
#include "vmm/monitor.h"
#include "vmm/monitor_info.h"
#include "vmm/monitor_xp.h"
#include "vmm/trace.h"

static int set_up(void **state)
{
    static char *argv[] = {"minivmm",     "--dump-machine=-", "--dma-engine=id=dma0",
                           "--device",    "virtio-rng,id=r0", "--device",
                           "pci-testdev", "--device",         "pci-testdev",
                           "--memory=2M"};
    *state = drawn_new(sizeof(argv) / sizeof(argv[0]), argv);
    return 0;
}

static int tear_down(void **state)
{
    drawn_free(*state);
    return 0;
}

static char *answer(struct drawn *drawn, const char *line)
{
    static char text[65536];
    char copy[MONITOR_LINE_MAX];
    snprintf(copy, sizeof(copy), "%s", line);
    char *got = monitor_answer(&drawn->control, copy);
    snprintf(text, sizeof(text), "%s", got);
    free(got);
    return text;
}

#define ANSWERS(line, expected) assert_string_equal(answer(*state, line), expected)
#define SAYS(line, part)        assert_non_null(strstr(answer(*state, line), part))

/* ---- lines */

static void words(void **state)
{
    struct monitor_words words;
    struct error err = {""};
    char line[] = "  trace  \"a b\"c  on ";
    (void)state;
    assert_int_equal(monitor_split(line, &words, &err), 0);
    assert_int_equal(words.count, 3);
    assert_string_equal(words.word[0], "trace");
    assert_string_equal(words.word[1], "a bc");
    assert_string_equal(words.word[2], "on");
    char nothing[] = "   ";
    assert_int_equal(monitor_split(nothing, &words, &err), 0);
    assert_int_equal(words.count, 0);
    char open[] = "a \"b";
    assert_int_equal(monitor_split(open, &words, &err), -EINVAL);
    char eight[] = "1 2 3 4 5 6 7 8";
    assert_int_equal(monitor_split(eight, &words, &err), 0);
    char nine[] = "1 2 3 4 5 6 7 8 9";
    assert_int_equal(monitor_split(nine, &words, &err), -E2BIG);
}

static enum monitor_line_state add_all(struct monitor_line *line, const char *text)
{
    enum monitor_line_state last = MONITOR_LINE_MORE;
    for (; *text != '\0'; text++) {
        assert_int_equal(last, MONITOR_LINE_MORE);
        last = monitor_line_add(line, *text);
    }
    return last;
}

static void bytes(void **state)
{
    static struct monitor_line line;
    (void)state;
    assert_int_equal(add_all(&line, "in"), MONITOR_LINE_MORE);
    assert_int_equal(add_all(&line, "fo\tpci\r\n"), MONITOR_LINE_WHOLE);
    assert_string_equal(line.text, "info pci");
    assert_int_equal(monitor_line_add(&line, '\0'), MONITOR_LINE_MORE);
    assert_int_equal(monitor_line_add(&line, '\n'), MONITOR_LINE_WHOLE);
    assert_string_equal(line.text, " ");
    for (int i = 0; i < 3 * MONITOR_LINE_MAX; i++) {
        assert_int_equal(monitor_line_add(&line, 'x'), MONITOR_LINE_MORE);
    }
    assert_int_equal(monitor_line_add(&line, '\n'), MONITOR_LINE_TOO_LONG);
    assert_int_equal(strlen(line.text), MONITOR_LINE_MAX - 1);
    assert_int_equal(add_all(&line, "stop\n"), MONITOR_LINE_WHOLE);
    assert_string_equal(line.text, "stop");
}

/* ---- the table */

static void check_table(const struct monitor_command *table)
{
    for (const struct monitor_command *command = table; command->name != NULL; command++) {
        assert_true(strlen(command->help) > 0);
        assert_true(command->least <= command->most && command->most < MONITOR_WORDS_MAX);
        assert_true((command->run == NULL) == (command->items != NULL));
        assert_true((command->most == 0) == (command->arguments[0] == '\0'));
        if (command != table) {
            assert_true(strcmp(command[-1].name, command->name) < 0);
        }
        if (command->items != NULL) {
            check_table(command->items);
        }
    }
}

static void table(void **state)
{
    (void)state;
    check_table(monitor_commands);
}

static void help(void **state)
{
    for (const struct monitor_command *command = monitor_commands; command->name; command++) {
        SAYS("help", command->help);
        char line[64];
        snprintf(line, sizeof(line), "help %s", command->name);
        SAYS(line, command->items != NULL ? command->items->help : command->help);
    }
    SAYS("? info regs", "info regs DEVICE");
    assert_null(strstr(answer(*state, "help stop"), "system_reset"));
    ANSWERS("help nothing", "error: nothing: no such command ('help' lists them)\n");
    ANSWERS("help info nothing", "error: info nothing: no such command ('help info' lists them)\n");
    SAYS("info", "info regs DEVICE");
}

static void refused(void **state)
{
    ANSWERS("", "");
    ANSWERS("   ", "");
    ANSWERS("wonder", "error: wonder: no such command ('help' lists them)\n");
    ANSWERS("info wonder", "error: info wonder: no such command ('help info' lists them)\n");
    ANSWERS("stop now", "error: usage: stop \n");
    ANSWERS("info regs", "error: usage: info regs DEVICE\n");
    ANSWERS("trace a", "error: usage: trace GLOB on|off\n");
    ANSWERS("trace a \"b", "error: a quote without its end\n");
}

/* ---- completion */

static void collect(void *opaque, const char *candidate)
{
    char *all = opaque;
    strcat(strcat(all, candidate), " ");
}

static const char *completions(struct drawn *drawn, const char *line, size_t *start)
{
    static char all[65536];
    all[0] = '\0';
    monitor_complete(&drawn->control, line, start, collect, all);
    return all;
}

#define COMPLETES(line, expected, at)                                                              \
    do {                                                                                           \
        size_t start;                                                                              \
        assert_string_equal(completions(*state, line, &start), expected);                          \
        assert_int_equal(start, at);                                                               \
    } while (0)

static void complete(void **state)
{
    COMPLETES("s", "stop system_powerdown system_reset ", 0);
    COMPLETES("info v", "vcpus version ", 5);
    COMPLETES("  info  v", "vcpus version ", 8);
    COMPLETES("info regs d", "dma0 ", 10);
    COMPLETES("info regs dma0 d", "", 15);
    COMPLETES("trace irq_le", "irq_level ", 6);
    COMPLETES("trace irq_level o", "on off ", 16);
    COMPLETES("device_add dma", "dma-engine ", 11);
    COMPLETES("device_add pci-testdev,id=a,v", "pci-testdev,id=a,vectors= ", 11);
    COMPLETES("device_add pci-testdev,ad", "pci-testdev,addr= ", 11);
    COMPLETES("device_del d", "dma0 ", 11);
    COMPLETES("help info st", "status ", 10);
    COMPLETES("wonder ", "", 7);
    COMPLETES("\"", "", 0);
    COMPLETES("a b c d e f g h i", "", 16);
}

/* ---- memory */

static void format(void **state)
{
    static const struct {
        const char *text;
        struct monitor_format format;
    } good[] = {
        {"/", {1, 'x', 4}},           {"/8xw", {8, 'x', 4}},  {"/3d", {3, 'd', 4}},
        {"/gu", {1, 'u', 8}},         {"/12c", {12, 'c', 1}}, {"/2ch", {2, 'c', 2}},
        {"/65536b", {65536, 'x', 1}}, {"/4oh", {4, 'o', 2}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct monitor_format got;
        assert_int_equal(monitor_parse_format(good[i].text, &got, NULL), 0);
        assert_int_equal(got.count, good[i].format.count);
        assert_int_equal(got.letter, good[i].format.letter);
        assert_int_equal(got.size, good[i].format.size);
    }
    static const char *const bad[] = {"8xw", "/0x", "/65537x", "/99999999999999999999x",
                                      "/x8", "/i",  "/-1x"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct monitor_format got;
        struct error err = {""};
        assert_true(monitor_parse_format(bad[i], &got, &err) < 0);
        assert_true(strlen(err.text) > 0);
    }
}

/* RAM begins at 0 on x86 and at 1 GiB on arm64. */
static void memory(void **state)
{
    static const uint8_t data[] = {0x41, 0x27, 0xff, 0x80, 0x01, 0x02, 0x03, 0x84,
                                   0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0xf0};
    struct drawn *drawn = *state;
    struct guest_memory *ram = &drawn->machine.vm.memory;
    uint64_t base = ram->blocks[0].base.raw;
    char line[64];
    char expected[512];
    assert_int_equal(guest_memory_write(ram, gpa(base + 16), data, sizeof(data)), 0);
    static const struct {
        const char *format;
        const char *text;
    } cases[] = {
        {"", " 0x80ff2741\n"},
        {"/2xg ", " 0x8403020180ff2741 0xf070605040302010\n"},
        {"/4xb ", " 0x41 0x27 0xff 0x80\n"},
        {"/2xh ", " 0x2741 0x80ff\n"},
        {"/4db ", "   65   39   -1 -128\n"},
        {"/1dw ", " -2130761919\n"},
        {"/2uh ", " 10049 33023\n"},
        {"/1ug ", "  9512449043419047745\n"},
        {"/2ob ", " 0101 0047\n"},
        {"/4c ", " 'A' '\\'' '\\xff' '\\x80'\n"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        snprintf(line, sizeof(line), "xp %s0x%llx", cases[i].format, (unsigned long long)base + 16);
        snprintf(expected, sizeof(expected), "%016llx:%s", (unsigned long long)base + 16,
                 cases[i].text);
        ANSWERS(line, expected);
    }
    snprintf(line, sizeof(line), "xp /9xb %llu", (unsigned long long)base + 16);
    snprintf(expected, sizeof(expected), "\n%016llx: 0x10\n", (unsigned long long)base + 24);
    SAYS(line, expected);
}

static void no_memory(void **state)
{
    struct drawn *drawn = *state;
    const struct ram_block *block = &drawn->machine.vm.memory.blocks[0];
    unsigned long long end = block->base.raw + block->size;
    char line[64];
    char expected[128];
    snprintf(line, sizeof(line), "xp /4xw 0x%llx", end - 8);
    snprintf(expected, sizeof(expected),
             "%016llx: 0x00000000 0x00000000\nerror: 0x%llx: no RAM there\n", end - 8, end);
    ANSWERS(line, expected);
    SAYS("xp /2xg 0xfffffffffffffff8", "error: 0xfffffffffffffff8: no RAM there");
    SAYS("xp zero", "error: xp: zero is no address");
    SAYS("xp /q 0", "'q' is none of");
}

/* ---- the machine */

static void infos(void **state)
{
    SAYS("info pci", "dma-engine, id=dma0, 1234:3456");
    SAYS("info qtree", "inline-max = 4M");
    SAYS("info mtree", "RAM");
    SAYS("info irq", "INTA of dma0");
    SAYS("info iommu", "no IOMMU");
    SAYS("info trace", "irq_level");
    ANSWERS("info status", "VM status: running\n");
    ANSWERS("info version", "minivmm " MINIVMM_VERSION "\n");
    ANSWERS("info vcpus", "");
    ANSWERS("stop", "");
    ANSWERS("info status", "VM status: paused\n");
    ANSWERS("info vcpus", "");
    ANSWERS("info status", "VM status: paused\n");
    ANSWERS("c", "");
    ANSWERS("info status", "VM status: running\n");
}

static void registers(void **state)
{
    struct drawn *drawn = *state;
    struct virtio_device *rng = (struct virtio_device *)pci_host_find_id(&drawn->machine.pci, "r0");
    rng->isr = 3; /* a read by the guest would clear it */
    SAYS("info regs r0", "  isr                    0x00013  1 bytes  RO    0x03\n");
    assert_int_equal(rng->isr, 3);
    SAYS("info regs dma0", "  VERSION                0x01040  8 bytes  RO    0x0040000000000001\n");
    SAYS("info regs virtio-rng", "device_status");
    SAYS("info regs 00:04.0", "INT_STATUS");
    ANSWERS("info regs pci-testdev",
            "error: info regs pci-testdev: there are 2; name one by id or address\n");
    SAYS("info regs pci-testdev@00:02.0", "SCRATCH");
    ANSWERS("info regs dma1", "error: info regs dma1: no such device (info pci lists them)\n");
    SAYS("info regs host-bridge", "has no table of registers");
}

static void trace(void **state)
{
    ANSWERS("trace irq_level on", "");
    assert_true(trace_on[TRACE_ID_irq_level]);
    ANSWERS("trace irq_le* off", "");
    assert_false(trace_on[TRACE_ID_irq_level]);
    ANSWERS("trace irq_level maybe", "error: trace irq_level maybe: on or off is expected\n");
    SAYS("trace wonder on", "error: trace: no event matches 'wonder'");
}

static void requests(void **state)
{
    struct drawn *drawn = *state;
    ANSWERS("system_reset", "");
    assert_int_equal(atomic_load(&drawn->machine.vm.request), VM_REQUEST_RESET);
    assert_true(drawn->control.reset_asked);
    ANSWERS("q", "");
    assert_int_equal(atomic_load(&drawn->machine.vm.request), VM_REQUEST_QUIT);
    assert_string_equal(drawn->control.quit_reason, "host-qmp-quit");
}

#define MACHINE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words),  cmocka_unit_test(bytes), cmocka_unit_test(table),
        MACHINE_TEST(help),       MACHINE_TEST(refused),   MACHINE_TEST(complete),
        cmocka_unit_test(format), MACHINE_TEST(memory),    MACHINE_TEST(no_memory),
        MACHINE_TEST(infos),      MACHINE_TEST(registers), MACHINE_TEST(trace),
        MACHINE_TEST(requests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* The command line: every option in both forms, defaults, help, and each error's one line. */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/options.h"

enum { MAX_ARGUMENTS = 24 };

/* Parse what stands between argv[0] and the NULL that ends the list. */
static int parse(struct options *options, struct error *err, ...)
{
    char *argv[MAX_ARGUMENTS] = {(char *)"minivmm"};
    int argc = 1;
    va_list arguments;
    va_start(arguments, err);
    while ((argv[argc] = va_arg(arguments, char *)) != NULL) {
        argc++;
        assert_true(argc < MAX_ARGUMENTS);
    }
    va_end(arguments);
    err->text[0] = '\0';
    return options_parse(options, argc, argv, err);
}

#define PARSE(...) parse(&options, &err, __VA_ARGS__, NULL)

#define ASSERT_PARSES(...) assert_int_equal(PARSE(__VA_ARGS__), 0)

/* Parsing fails with exactly this text; nothing leaks. */
#define ASSERT_REFUSED(expected_text, ...)                                                         \
    do {                                                                                           \
        assert_true(PARSE(__VA_ARGS__) < 0);                                                       \
        assert_string_equal(err.text, expected_text);                                              \
        options_destroy(&options);                                                                 \
    } while (0)

static void an_iommu_has_a_kind_or_is_the_machines_own(void **state)
{
    (void)state;
    struct options options;
    struct error err;
    ASSERT_PARSES("--kernel", "Image");
    assert_null(options.iommu);
    options_destroy(&options);
    ASSERT_PARSES("--kernel", "Image", "--iommu");
    assert_string_equal(options.iommu, "auto");
    options_destroy(&options);
    ASSERT_PARSES("--kernel", "Image", "--iommu=smmuv3");
    assert_string_equal(options.iommu, "smmuv3");
    options_destroy(&options);
}

static void gdb_has_an_address_and_short_forms(void **state)
{
    (void)state;
    struct options options;
    struct error err;
    ASSERT_PARSES("--kernel", "Image", "--gdb", "unix:/tmp/gdb");
    assert_string_equal(options.gdb, "unix:/tmp/gdb");
    assert_false(options.stopped);
    options_destroy(&options);
    ASSERT_PARSES("--kernel", "Image", "-s", "-S");
    assert_string_equal(options.gdb, "tcp::1234");
    assert_true(options.stopped);
    options_destroy(&options);
    ASSERT_REFUSED("--stopped: needs --gdb, --monitor or --qmp, by which the guest can be started",
                   "--kernel=k", "-S");
}

static void the_one_line_that_everything_serves(void **state)
{
    (void)state;
    struct options options;
    struct error err;
    ASSERT_PARSES("--kernel", "Image", "--initrd", "rootfs.cpio", "--dma-engine");
    assert_int_equal(options.action, OPTIONS_RUN);
    assert_string_equal(options.kernel, "Image");
    assert_string_equal(options.initrd, "rootfs.cpio");
    assert_int_equal(options.device_count, 1);
    assert_string_equal(options.devices[0].name, "dma-engine");
    assert_string_equal(options.devices[0].text, "dma-engine");
    assert_int_equal(options.devices[0].count, 0);
    options_destroy(&options);
}

static void defaults(void **state)
{
    (void)state;
    struct options options;
    struct error err;
    memset(&options, 0xee, sizeof(options));
    ASSERT_PARSES("--kernel=k");
    assert_int_equal(options.memory, 256 << 20);
    assert_int_equal(options.smp, 1);
    assert_null(options.initrd);
    assert_null(options.append);
    assert_null(options.trace);
    assert_null(options.trace_file);
    assert_false(options.hugetlb);
    assert_false(options.no_reboot);
    assert_int_equal(options.device_count, 0);
    options_destroy(&options);
    options_destroy(&options);
}

static void both_forms_of_every_option(void **state)
{
    (void)state;
    struct options options;
    struct error err;
    ASSERT_PARSES("--kernel", "k", "--initrd=i", "--append=a=b c", "-m", "64M", "--smp=2",
                  "--hugetlb", "--no-reboot", "--trace", "pci_*", "--trace-file=t", "--device",
                  "x,id=1");
    assert_string_equal(options.append, "a=b c");
    assert_int_equal(options.memory, 64 << 20);
    assert_int_equal(options.smp, 2);
    assert_true(options.hugetlb);
    assert_true(options.no_reboot);
    assert_string_equal(options.trace, "pci_*");
    assert_string_equal(options.trace_file, "t");
    options_destroy(&options);
}

static void repeated_options(void **state)
{
    (void)state;
    struct options options;
    struct error err;
    ASSERT_PARSES("--kernel", "a", "--kernel", "b", "--append", "x", "--append", "y=1",
                  "--append=z", "--trace", "a*", "--trace=-ab", "--memory=1G", "-m", "2G");
    assert_string_equal(options.kernel, "b");
    assert_string_equal(options.append, "x y=1 z");
    assert_string_equal(options.trace, "a*,-ab");
    assert_int_equal(options.memory, UINT64_C(2) << 30);
    options_destroy(&options);
}

static void memory_sizes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t mib;
    } cases[] = {
        {"64M", 64},  {"1G", 1024},      {"1024K", 1},   {"2T", 2 << 20},
        {"512", 512}, {"64T", 64 << 20}, {"0x100", 256}, {"300m", 300},
    };
    struct options options;
    struct error err;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ASSERT_PARSES("--kernel=k", "--memory", cases[i].text);
        assert_int_equal(options.memory, cases[i].mib << 20);
        options_destroy(&options);
    }
    ASSERT_REFUSED("--memory lots: expected a size such as 512M or 4G", "--memory", "lots");
    ASSERT_REFUSED("--memory : expected a size such as 512M or 4G", "--memory=");
    ASSERT_REFUSED("--memory 0: expected 1M to 64T (a number alone is in MiB)", "-m", "0");
    ASSERT_REFUSED("--memory 65T: expected 1M to 64T (a number alone is in MiB)", "-m", "65T");
    ASSERT_REFUSED("--memory 18446744073709551615: expected 1M to 64T (a number alone is in MiB)",
                   "-m", "18446744073709551615");
    ASSERT_REFUSED("--memory 1025K: not a multiple of 1M", "-m", "1025K");
    ASSERT_REFUSED("--memory 4K: not a multiple of 1M", "-m", "4K");
}

static void the_form_of_a_trace(void **state)
{
    (void)state;
    struct options options;
    struct error err;
    ASSERT_PARSES("--kernel=k", "--trace-file=a.txt");
    assert_false(options.trace_json);
    options_destroy(&options);
    ASSERT_PARSES("--kernel=k", "--trace-file=a.json");
    assert_true(options.trace_json);
    options_destroy(&options);
    ASSERT_PARSES("--kernel=k", "--trace-format=text", "--trace-file=a.json");
    assert_false(options.trace_json);
    options_destroy(&options);
    ASSERT_PARSES("--kernel=k", "--trace-format=json", "--trace-file=a");
    assert_true(options.trace_json);
    options_destroy(&options);
    ASSERT_REFUSED("--trace-format json: needs a --trace-file FILE", "--kernel=k",
                   "--trace-format=json");
    ASSERT_REFUSED("--trace-format xml: expected text or json", "--trace-format", "xml");
}

static void drawing_the_machine_needs_no_kernel(void **state)
{
    (void)state;
    struct options options;
    struct error err;
    ASSERT_PARSES("--dump-machine", "-", "--stats");
    assert_string_equal(options.dump_machine, "-");
    assert_true(options.stats);
    options_destroy(&options);
    ASSERT_REFUSED("--dump-machine: the file name is empty", "--dump-machine=");
}

static void vcpu_counts(void **state)
{
    (void)state;
    struct options options;
    struct error err;
    ASSERT_PARSES("--kernel=k", "--smp", "256");
    assert_int_equal(options.smp, OPTIONS_MAX_VCPUS);
    options_destroy(&options);
    ASSERT_REFUSED("--smp 0: expected 1 to 256 vCPUs", "--smp", "0");
    ASSERT_REFUSED("--smp 257: expected 1 to 256 vCPUs", "--smp", "257");
    ASSERT_REFUSED("--smp 4294967297: expected 1 to 256 vCPUs", "--smp", "4294967297");
    ASSERT_REFUSED("--smp two: expected a number of vCPUs", "--smp", "two");
}

static void devices_keep_their_order_and_properties(void **state)
{
    (void)state;
    struct options options;
    struct error err;
    ASSERT_PARSES("--kernel=k", "--device", "root-port,id=rp0,multifunction", "--device=x",
                  "--dma-engine=bus=rp0,name=a,,b=c,empty=");
    assert_int_equal(options.device_count, 3);
    const struct device_option *port = &options.devices[0];
    assert_string_equal(port->text, "root-port,id=rp0,multifunction");
    assert_string_equal(port->name, "root-port");
    assert_int_equal(port->count, 2);
    assert_string_equal(port->values[0].key, "id");
    assert_string_equal(port->values[0].value, "rp0");
    assert_string_equal(port->values[1].key, "multifunction");
    assert_string_equal(port->values[1].value, "on");
    assert_string_equal(options.devices[1].name, "x");
    const struct device_option *engine = &options.devices[2];
    assert_string_equal(engine->text, "dma-engine,bus=rp0,name=a,,b=c,empty=");
    assert_string_equal(engine->name, "dma-engine");
    assert_int_equal(engine->count, 3);
    assert_string_equal(engine->values[1].key, "name");
    assert_string_equal(engine->values[1].value, "a,b=c");
    assert_string_equal(engine->values[2].value, "");
    options_destroy(&options);
}

static void bad_devices(void **state)
{
    (void)state;
    struct options options;
    struct error err;
    ASSERT_REFUSED("--device : the name of a device comes first", "--device=");
    ASSERT_REFUSED("--device ,id=1: the name of a device comes first", "--device", ",id=1");
    ASSERT_REFUSED("--device id=1: the name of a device comes first", "--device", "id=1");
    ASSERT_REFUSED("--device x,: a property without a name", "--device", "x,");
    ASSERT_REFUSED("--device x,=5: a property without a name", "--device", "x,=5");
    ASSERT_REFUSED("--device x,a=1,b=2,a=3: a is given twice", "--device", "x,a=1,b=2,a=3");
    ASSERT_REFUSED("--device dma-engine,: a property without a name", "--dma-engine=");
}

static void help_and_version_need_no_kernel(void **state)
{
    (void)state;
    struct options options;
    struct error err;
    static const struct {
        const char *argument;
        const char *value;
        enum options_action action;
        const char *device;
    } cases[] = {
        {"--help", NULL, OPTIONS_HELP, NULL},
        {"-h", NULL, OPTIONS_HELP, NULL},
        {"--version", NULL, OPTIONS_VERSION, NULL},
        {"--trace", "help", OPTIONS_TRACE_HELP, NULL},
        {"--trace=help", NULL, OPTIONS_TRACE_HELP, NULL},
        {"--device", "help", OPTIONS_DEVICE_HELP, NULL},
        {"--device", "root-port,help", OPTIONS_DEVICE_HELP, "root-port"},
        {"--device=x,a=1,help", NULL, OPTIONS_DEVICE_HELP, "x"},
        {"--dma-engine=help", NULL, OPTIONS_DEVICE_HELP, "dma-engine"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ASSERT_PARSES(cases[i].argument, cases[i].value);
        assert_int_equal(options.action, cases[i].action);
        if (cases[i].device == NULL) {
            assert_null(options.help_device);
        } else {
            assert_string_equal(options.help_device, cases[i].device);
        }
        options_destroy(&options);
    }
    ASSERT_PARSES("--help", "--nonsense");
    options_destroy(&options);
}

static void usage_errors_name_the_option_and_the_reason(void **state)
{
    (void)state;
    struct options options;
    struct error err;
    ASSERT_REFUSED("--kernel FILE is missing (--help explains)", NULL);
    ASSERT_REFUSED("--kernel FILE is missing (--help explains)", "--initrd", "i");
    ASSERT_REFUSED("--kernel: needs an argument: FILE", "--kernel");
    ASSERT_REFUSED("--kernel: needs an argument: FILE (if it is '--initrd', write "
                   "--kernel=--initrd)",
                   "--kernel", "--initrd", "i");
    ASSERT_REFUSED("--kernel: the file name is empty", "--kernel=");
    ASSERT_REFUSED("--initrd: the file name is empty", "--initrd", "");
    ASSERT_REFUSED("--trace-file: the file name is empty", "--trace-file", "");
    ASSERT_REFUSED("--memory: needs an argument: SIZE", "-m");
    ASSERT_REFUSED("--hugetlb: takes no argument", "--hugetlb=yes");
    ASSERT_REFUSED("--help: takes no argument", "--help=");
    ASSERT_REFUSED("'bzImage': not an option (--help lists them)", "--kernel=k", "bzImage");
    ASSERT_REFUSED("'-': not an option (--help lists them)", "-");
    ASSERT_REFUSED("'--': not an option (--help lists them)", "--");
    ASSERT_REFUSED("'': not an option (--help lists them)", "");
}

static void unknown_options_suggest_a_near_one(void **state)
{
    (void)state;
    struct options options;
    struct error err;
    ASSERT_REFUSED("--kernle: unknown option; did you mean --kernel?", "--kernle", "k");
    ASSERT_REFUSED("-kernel: unknown option; did you mean --kernel?", "-kernel", "k");
    ASSERT_REFUSED("--mem: unknown option; did you mean --memory?", "--mem=1G");
    ASSERT_REFUSED("--dmaengine: unknown option; did you mean --dma-engine?", "--dmaengine");
    ASSERT_REFUSED("--spm: unknown option (--help lists them)", "--spm", "2");
    ASSERT_REFUSED("--virtio: unknown option (--help lists them)", "--virtio");
    ASSERT_REFUSED("--wonder: unknown option (--help lists them)", "--wonder=x");
    ASSERT_REFUSED("--qdb: unknown option; did you mean --gdb?", "--qdb", ":1234");
    ASSERT_REFUSED("-x: unknown option (--help lists them)", "-x");
    ASSERT_REFUSED("--a-name-longer-than-any-option-has-ever-been: unknown option (--help lists "
                   "them)",
                   "--a-name-longer-than-any-option-has-ever-been");
}

static void what_options_start_with_a_dash_may_be_values(void **state)
{
    (void)state;
    struct options options;
    struct error err;
    ASSERT_PARSES("--kernel=k", "--append=--verbose", "--trace", "-pci_*");
    assert_string_equal(options.append, "--verbose");
    assert_string_equal(options.trace, "-pci_*");
    options_destroy(&options);
}

static void shorthands(void **state)
{
    (void)state;
    struct options options;
    struct error err;
    ASSERT_PARSES("--kernel", "k", "--net", "user,hostfwd=tcp::1-:2", "--net=tap=t0", "--net=fd=3");
    assert_int_equal(options.device_count, 3);
    assert_string_equal(options.devices[0].name, "virtio-net");
    assert_string_equal(options.devices[0].values[0].key, "user");
    assert_string_equal(options.devices[0].values[0].value, "on");
    assert_string_equal(options.devices[0].values[1].value, "tcp::1-:2");
    assert_string_equal(options.devices[1].values[0].key, "tap");
    assert_string_equal(options.devices[2].values[0].value, "3");
    options_destroy(&options);
    ASSERT_REFUSED("--net users: expected user, tap=NAME or fd=NUMBER", "--net", "users");
    ASSERT_REFUSED("--net tap: expected user, tap=NAME or fd=NUMBER", "--net", "tap");
    ASSERT_REFUSED("--net : expected user, tap=NAME or fd=NUMBER", "--net=");
}

/* Every option is in the help, and no line is wider than a terminal. */
static void help_text(void **state)
{
    (void)state;
    static const char *const expected[] = {
        "  --kernel FILE ",
        "  --initrd FILE ",
        "  --append STRING ",
        "  -m, --memory SIZE ",
        "  --smp N ",
        "  --dma-engine[=PROPS] ",
        "  --device NAME[,PROP=VALUE...]\n",
        "  --hugetlb ",
        "  --no-reboot ",
        "  --trace GLOB[,GLOB...] ",
        "  --trace-file FILE ",
        "  --trace-format text|json ",
        "  --stats ",
        "  --dump-machine FILE ",
        "  -h, --help ",
        "  --version ",
    };
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    options_print_help(out);
    fclose(out);
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        assert_non_null(strstr(text, expected[i]));
    }
    for (const char *line = text; *line != '\0'; line += strcspn(line, "\n") + 1) {
        assert_true(strcspn(line, "\n") <= 80);
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gdb_has_an_address_and_short_forms),
        cmocka_unit_test(the_one_line_that_everything_serves),
        cmocka_unit_test(an_iommu_has_a_kind_or_is_the_machines_own),
        cmocka_unit_test(defaults),
        cmocka_unit_test(both_forms_of_every_option),
        cmocka_unit_test(repeated_options),
        cmocka_unit_test(memory_sizes),
        cmocka_unit_test(the_form_of_a_trace),
        cmocka_unit_test(drawing_the_machine_needs_no_kernel),
        cmocka_unit_test(vcpu_counts),
        cmocka_unit_test(devices_keep_their_order_and_properties),
        cmocka_unit_test(bad_devices),
        cmocka_unit_test(help_and_version_need_no_kernel),
        cmocka_unit_test(usage_errors_name_the_option_and_the_reason),
        cmocka_unit_test(unknown_options_suggest_a_near_one),
        cmocka_unit_test(what_options_start_with_a_dash_may_be_values),
        cmocka_unit_test(shorthands),
        cmocka_unit_test(help_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

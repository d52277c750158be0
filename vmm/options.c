/* SPDX-License-Identifier: MIT */
/*
 * The command line. The table `option_table` is all there is to know about each option; everything
 * else is how to walk it. An option is written `--name value` or `--name=value`; names are not
 * abbreviated, so that a new option never changes the meaning of an old command line.
 */
#include "vmm/options.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    MEMORY_UNIT = 1 << 20,
    DEFAULT_MEMORY = 256 * MEMORY_UNIT,
};
static const uint64_t max_memory = UINT64_C(64) << 40;

enum argument_kind { NO_ARGUMENT, NEEDS_ARGUMENT, MAY_HAVE_ARGUMENT /* only as --name=value */ };

struct option_spec {
    const char *name;
    char letter; /* -m; 0: none */
    enum argument_kind kind;
    const char *argument; /* for help */
    const char *help;     /* lines after the first are indented when printed */
    /* `value` is NULL if there is none. The text of an error starts with the option's name. */
    int (*take)(struct options *options, const char *value, struct error *err);
};

/* ---- memory */

static int out_of_memory(struct error *err)
{
    return error_set(err, -ENOMEM, "command line: out of memory");
}

/* Make `string` belong to `options`; NULL, or if that fails, is freed and gives NULL. */
static char *keep_string(struct options *options, char *string)
{
    char **grown = realloc(options->strings, (options->string_count + 1) * sizeof(*grown));
    if (grown == NULL || string == NULL) {
        options->strings = grown != NULL ? grown : options->strings;
        free(string);
        return NULL;
    }
    options->strings = grown;
    options->strings[options->string_count++] = string;
    return string;
}

/* `*list` and `value` with `separator` between them become the new `*list`. */
static int join(struct options *options, const char **list, char separator, const char *value,
                struct error *err)
{
    char *joined = NULL;
    if (*list == NULL) {
        *list = value;
        return 0;
    }
    if (asprintf(&joined, "%s%c%s", *list, separator, value) < 0) {
        joined = NULL;
    }
    *list = keep_string(options, joined);
    return *list != NULL ? 0 : out_of_memory(err);
}

/* ---- single values */

static int take_path(const char **path, const char *option, const char *value, struct error *err)
{
    if (value[0] == '\0') {
        return error_set(err, -EINVAL, "%s: the file name is empty", option);
    }
    *path = value;
    return 0;
}

static int take_kernel(struct options *options, const char *value, struct error *err)
{
    return take_path(&options->kernel, "--kernel", value, err);
}

static int take_initrd(struct options *options, const char *value, struct error *err)
{
    return take_path(&options->initrd, "--initrd", value, err);
}

static int take_append(struct options *options, const char *value, struct error *err)
{
    return join(options, &options->append, ' ', value, err);
}

/* A number alone counts MiB. */
static int parse_memory(const char *value, uint64_t *size)
{
    int rc = parse_number(value, size);
    if (rc == -EINVAL) {
        return parse_size(value, size);
    }
    return rc == 0 && __builtin_mul_overflow(*size, MEMORY_UNIT, size) ? -ERANGE : rc;
}

static int take_memory(struct options *options, const char *value, struct error *err)
{
    uint64_t size = 0;
    int rc = parse_memory(value, &size);
    if (rc == -EINVAL) {
        return error_set(err, rc, "--memory %s: expected a size such as 512M or 4G", value);
    }
    if (rc != 0 || size == 0 || size > max_memory) {
        return error_set(err, -ERANGE, "--memory %s: expected 1M to 64T (a number alone is in MiB)",
                         value);
    }
    if (size % MEMORY_UNIT != 0) {
        return error_set(err, -EINVAL, "--memory %s: not a multiple of 1M", value);
    }
    options->memory = size;
    return 0;
}

static int take_smp(struct options *options, const char *value, struct error *err)
{
    uint64_t count = 0;
    int rc = parse_number(value, &count);
    if (rc == -EINVAL) {
        return error_set(err, rc, "--smp %s: expected a number of vCPUs", value);
    }
    if (rc != 0 || count < 1 || count > OPTIONS_MAX_VCPUS) {
        return error_set(err, -ERANGE, "--smp %s: expected 1 to %d vCPUs", value,
                         OPTIONS_MAX_VCPUS);
    }
    options->smp = (unsigned)count;
    return 0;
}

static int take_hugetlb(struct options *options, const char *value, struct error *err)
{
    (void)value;
    (void)err;
    options->hugetlb = true;
    return 0;
}

static int take_no_reboot(struct options *options, const char *value, struct error *err)
{
    (void)value;
    (void)err;
    options->no_reboot = true;
    return 0;
}

static int take_trace(struct options *options, const char *value, struct error *err)
{
    if (strcmp(value, "help") == 0) {
        options->action = OPTIONS_TRACE_HELP;
        return 0;
    }
    return join(options, &options->trace, ',', value, err);
}

static int take_trace_file(struct options *options, const char *value, struct error *err)
{
    return take_path(&options->trace_file, "--trace-file", value, err);
}

static int take_trace_format(struct options *options, const char *value, struct error *err)
{
    if (strcmp(value, "text") != 0 && strcmp(value, "json") != 0) {
        return error_set(err, -EINVAL, "--trace-format %s: expected text or json", value);
    }
    options->trace_format = value;
    return 0;
}

static int take_stats(struct options *options, const char *value, struct error *err)
{
    (void)value;
    (void)err;
    options->stats = true;
    return 0;
}

static int take_help(struct options *options, const char *value, struct error *err)
{
    (void)value;
    (void)err;
    options->action = OPTIONS_HELP;
    return 0;
}

static int take_version(struct options *options, const char *value, struct error *err)
{
    (void)value;
    (void)err;
    options->action = OPTIONS_VERSION;
    return 0;
}

/* ---- devices */

/*
 * Cut the field at the start of `*rest` off, in place: up to a comma that stands alone; two commas
 * are one that belongs to the field. `*rest` becomes what follows the comma, NULL after the last.
 */
static char *cut_field(char **rest)
{
    char *field = *rest;
    char *out = field;
    char *in = field;
    while (*in != '\0' && (*in != ',' || in[1] == ',')) {
        in += *in == ',' ? 1 : 0;
        *out++ = *in++;
    }
    *rest = *in == ',' ? in + 1 : NULL;
    *out = '\0';
    return field;
}

static size_t count_commas(const char *text)
{
    size_t count = 0;
    for (; *text != '\0'; text++) {
        count += *text == ',';
    }
    return count;
}

static bool has_key(const struct device_option *device, const char *key)
{
    for (size_t i = 0; i < device->count; i++) {
        if (strcmp(device->values[i].key, key) == 0) {
            return true;
        }
    }
    return false;
}

static int add_property(struct device_option *device, char *field, struct error *err)
{
    char *equals = strchr(field, '=');
    if (equals != NULL) {
        *equals = '\0';
    }
    if (field[0] == '\0') {
        return error_set(err, -EINVAL, "%s %s: a property without a name", device->option,
                         device->text);
    }
    if (has_key(device, field)) {
        return error_set(err, -EINVAL, "%s %s: %s is given twice", device->option, device->text,
                         field);
    }
    const char *value = equals != NULL ? equals + 1 : "on";
    device->values[device->count++] = (struct property_value){.key = field, .value = value};
    return 0;
}

/* `fields` is a copy of device->text that may be cut up. `*help`: that is what was asked for. */
static int parse_fields(struct device_option *device, char *fields, bool *help, struct error *err)
{
    *help = false;
    device->name = cut_field(&fields);
    if (device->name[0] == '\0' || strchr(device->name, '=') != NULL) {
        return error_set(err, -EINVAL, "%s %s: the name of a device comes first", device->option,
                         device->text);
    }
    while (fields != NULL) {
        char *field = cut_field(&fields);
        *help = strcmp(field, "help") == 0;
        if (*help) {
            return 0;
        }
        int rc = add_property(device, field, err);
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

/* Parse `text` into the next element of the list of devices, which has room for it. */
static int append_device(struct options *options, const char *text, struct error *err)
{
    struct device_option device = {.option = "--device", .text = text};
    char *fields = keep_string(options, strdup(text));
    device.values = calloc(count_commas(text) + 1, sizeof(*device.values));
    if (fields == NULL || device.values == NULL) {
        free(device.values);
        return out_of_memory(err);
    }
    bool help;
    int rc = parse_fields(&device, fields, &help, err);
    options->devices[options->device_count++] = device; /* on failure too: it owns memory */
    if (help) {
        options->action = OPTIONS_DEVICE_HELP;
        options->help_device = device.name;
    }
    return rc;
}

int device_option_parse(struct device_option *device, const char *option, const char *text,
                        char **strings, struct error *err)
{
    *device = (struct device_option){.option = option, .text = text};
    *strings = strdup(text);
    device->values = calloc(count_commas(text) + 1, sizeof(*device->values));
    bool help = false;
    int rc = *strings != NULL && device->values != NULL ? parse_fields(device, *strings, &help, err)
                                                        : out_of_memory(err);
    if (help) {
        rc = error_set(err, -EINVAL, "%s %s: help is for --device", option, text);
    }
    if (rc < 0) {
        free(*strings);
        free(device->values);
    }
    return rc;
}

static int take_device(struct options *options, const char *value, struct error *err)
{
    if (strcmp(value, "help") == 0) {
        options->action = OPTIONS_DEVICE_HELP;
        return 0;
    }
    size_t size = (options->device_count + 1) * sizeof(*options->devices);
    struct device_option *grown = realloc(options->devices, size);
    if (grown == NULL) {
        return out_of_memory(err);
    }
    options->devices = grown;
    return append_device(options, value, err);
}

/* `--device` with this and then `value`. */
static int take_shorthand(struct options *options, const char *start, const char *value,
                          struct error *err)
{
    char *text = NULL;
    if (asprintf(&text, "%s%s", start, value) < 0) {
        text = NULL;
    }
    text = keep_string(options, text);
    return text != NULL ? take_device(options, text, err) : out_of_memory(err);
}

static int take_dma_engine(struct options *options, const char *value, struct error *err)
{
    return value == NULL ? take_device(options, "dma-engine", err)
                         : take_shorthand(options, "dma-engine,", value, err);
}

static int take_disk(struct options *options, const char *value, struct error *err)
{
    const char *file;
    int ret = take_path(&file, "--disk", value, err);
    return ret < 0 ? ret : take_shorthand(options, "virtio-blk,file=", value, err);
}

/* What it is connected to comes first, and is a property as the others are. */
static int take_net(struct options *options, const char *value, struct error *err)
{
    size_t length = strcspn(value, "=,");
    bool user = length == 4 && strncmp(value, "user", length) == 0;
    bool named =
        value[length] == '=' && (strncmp(value, "tap=", 4) == 0 || strncmp(value, "fd=", 3) == 0);
    if (strcmp(value, "help") != 0 && !user && !named) {
        return error_set(err, -EINVAL, "--net %s: expected user, tap=NAME or fd=NUMBER", value);
    }
    return take_shorthand(options, "virtio-net,", value, err);
}

/* ---- the machine */

/* Which kinds there are, the machine knows. */
static int take_iommu(struct options *options, const char *value, struct error *err)
{
    (void)err;
    options->iommu = value != NULL ? value : "auto";
    return 0;
}

/* The address is looked at when it is opened. */
static int take_gdb(struct options *options, const char *value, struct error *err)
{
    (void)err;
    options->gdb = value;
    return 0;
}

static int take_gdb_default(struct options *options, const char *value, struct error *err)
{
    (void)value;
    return take_gdb(options, "tcp::1234", err);
}

static int take_monitor(struct options *options, const char *value, struct error *err)
{
    (void)err;
    options->monitor = value;
    return 0;
}

static int take_qmp(struct options *options, const char *value, struct error *err)
{
    (void)err;
    options->qmp = value;
    return 0;
}

static int take_stopped(struct options *options, const char *value, struct error *err)
{
    (void)value;
    (void)err;
    options->stopped = true;
    return 0;
}

/* Several --machine are one list. */
static int take_machine(struct options *options, const char *value, struct error *err)
{
    struct device_option *machine = &options->machine;
    if (strcmp(value, "help") == 0) {
        options->action = OPTIONS_MACHINE_HELP;
        return 0;
    }
    char *fields = keep_string(options, strdup(value));
    size_t most = machine->count + count_commas(value) + 1;
    struct property_value *grown = realloc(machine->values, most * sizeof(*grown));
    machine->values = grown != NULL ? grown : machine->values;
    if (fields == NULL || grown == NULL) {
        return out_of_memory(err);
    }
    machine->option = "--machine";
    machine->text = value;
    int rc = 0;
    while (rc == 0 && fields != NULL) {
        rc = add_property(machine, cut_field(&fields), err);
    }
    return rc;
}

static int take_dump_machine(struct options *options, const char *value, struct error *err)
{
    return take_path(&options->dump_machine, "--dump-machine", value, err);
}

static int take_dump_dtb(struct options *options, const char *value, struct error *err)
{
    return take_path(&options->dump_dtb, "--dump-dtb", value, err);
}

/* ---- the table */

static const struct option_spec option_table[] = {
    {"kernel", 0, NEEDS_ARGUMENT, "FILE", "the kernel to boot", take_kernel},
    {"initrd", 0, NEEDS_ARGUMENT, "FILE", "initial RAM file system", take_initrd},
    {"append", 0, NEEDS_ARGUMENT, "STRING",
     "kernel command line; if given more than once,\njoined by spaces", take_append},
    {"memory", 'm', NEEDS_ARGUMENT, "SIZE",
     "guest RAM, a multiple of 1M: 512M, 4G; a number\nalone is in MiB (default 256M)",
     take_memory},
    {"smp", 0, NEEDS_ARGUMENT, "N", "number of vCPUs, 1 to 256 (default 1)", take_smp},
    {"dma-engine", 0, MAY_HAVE_ARGUMENT, "PROPS", "the same as --device dma-engine[,PROPS]",
     take_dma_engine},
    {"disk", 0, NEEDS_ARGUMENT, "FILE[,PROPS]", "short for --device virtio-blk,file=FILE[,PROPS]",
     take_disk},
    {"net", 0, NEEDS_ARGUMENT, "user|tap=NAME[,PROPS]",
     "short for --device virtio-net,user|tap=...", take_net},
    {"device", 0, NEEDS_ARGUMENT, "NAME[,PROP=VALUE...]",
     "plug in a PCI device; may be repeated;\n--device help lists the devices, --device\nNAME,help "
     "the properties of one; a comma in a\nvalue is written twice",
     take_device},
    {"iommu", 0, MAY_HAVE_ARGUMENT, "KIND",
     "an IOMMU between PCI devices and memory; KIND:\nsmmuv3, arm64's own (x86 has none yet)",
     take_iommu},
    {"machine", 0, NEEDS_ARGUMENT, "PROP=VALUE[,...]",
     "set properties of the machine itself;\n--machine help lists them", take_machine},
    {"hugetlb", 0, NO_ARGUMENT, NULL, "guest RAM from the reserved huge pages", take_hugetlb},
    {"no-reboot", 0, NO_ARGUMENT, NULL, "end when the guest reboots", take_no_reboot},
    {"gdb", 0, NEEDS_ARGUMENT, "ADDR",
     "let gdb attach to the guest at tcp::PORT,\ntcp:ADDR:PORT or unix:PATH", take_gdb},
    {"gdb-default", 's', NO_ARGUMENT, NULL, "the same as --gdb tcp::1234", take_gdb_default},
    {"stopped", 'S', NO_ARGUMENT, NULL, "wait for gdb's, or the monitor's, word to start",
     take_stopped},
    {"monitor", 0, NEEDS_ARGUMENT, "ADDR",
     "commands to minivmm itself at unix:PATH or\ntcp:ADDR:PORT; on the console Ctrl-A c",
     take_monitor},
    {"qmp", 0, NEEDS_ARGUMENT, "ADDR", "the same for programs, by QEMU's protocol", take_qmp},
    {"trace", 0, NEEDS_ARGUMENT, "GLOB[,GLOB...]",
     "print the events whose names match, from left to\nright, '-GLOB' taking events out again;\n"
     "GLOB@DEVICE: of one device; may be repeated;\n--trace help explains, and lists the events",
     take_trace},
    {"trace-file", 0, NEEDS_ARGUMENT, "FILE", "print them to FILE, not to stderr", take_trace_file},
    {"trace-format", 0, NEEDS_ARGUMENT, "text|json",
     "json: a timeline for ui.perfetto.dev (default\ntext, or json if FILE ends in .json)",
     take_trace_format},
    {"stats", 0, NO_ARGUMENT, NULL, "at the end, say what the guest's exits were for", take_stats},
    {"dump-machine", 0, NEEDS_ARGUMENT, "FILE",
     "draw the machine and end: FILE.dot, FILE.json,\nFILE.txt, or - for text to stdout; needs no\n"
     "kernel and no KVM",
     take_dump_machine},
    {"dump-dtb", 0, NEEDS_ARGUMENT, "FILE", "arm64: write the device tree to FILE and end",
     take_dump_dtb},
    {"help", 'h', NO_ARGUMENT, NULL, "this text", take_help},
    {"version", 0, NO_ARGUMENT, NULL, "the version of minivmm", take_version},
};
enum { OPTION_COUNT = sizeof(option_table) / sizeof(option_table[0]) };

/* ---- suggestions */

enum { LONGEST_NAME = 32, CLOSE = 2 };

static size_t minimum(size_t a, size_t b)
{
    return a < b ? a : b;
}

/*
 * How many characters must be inserted, removed or replaced to turn one name into the other
 * (Levenshtein's distance), row by row: row[j] is the distance of a's first i to b's first j.
 */
static size_t distance(const char *a, const char *b)
{
    size_t row[LONGEST_NAME + 1];
    size_t length = strlen(b);
    if (length > LONGEST_NAME) {
        return SIZE_MAX;
    }
    for (size_t j = 0; j <= length; j++) {
        row[j] = j;
    }
    for (size_t i = 1; a[i - 1] != '\0'; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= length; j++) {
            size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = minimum(replaced, minimum(row[j], row[j - 1]) + 1);
        }
    }
    return row[length];
}

/* The option that was probably meant: one that starts so, or one within two typing errors. */
static const char *nearest_option(const char *name)
{
    const char *best = NULL;
    size_t best_distance = CLOSE + 1;
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const char *candidate = option_table[i].name;
        if (strlen(name) >= CLOSE && strncmp(candidate, name, strlen(name)) == 0) {
            return candidate;
        }
        size_t d = distance(candidate, name);
        if (d < best_distance && d < strlen(candidate) - 1) {
            best = candidate;
            best_distance = d;
        }
    }
    return best;
}

static int refuse_unknown(const char *argument, size_t length, struct error *err)
{
    char name[LONGEST_NAME + 1];
    const char *bare = argument + strspn(argument, "-");
    size_t bare_length = length - (size_t)(bare - argument);
    snprintf(name, sizeof(name), "%.*s", (int)bare_length, bare);
    const char *nearest = nearest_option(name);
    if (nearest != NULL) {
        return error_set(err, -EINVAL, "%.*s: unknown option; did you mean --%s?", (int)length,
                         argument, nearest);
    }
    return error_set(err, -EINVAL, "%.*s: unknown option (--help lists them)", (int)length,
                     argument);
}

/* ---- parsing */

static const struct option_spec *find_option(const char *argument, size_t length)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option_spec *spec = &option_table[i];
        bool is_long = length == strlen(spec->name) + 2 && strncmp(argument, "--", 2) == 0 &&
                       strncmp(argument + 2, spec->name, length - 2) == 0;
        bool is_letter = length == 2 && argument[0] == '-' && argument[1] == spec->letter;
        if (is_long || (is_letter && spec->letter != 0)) {
            return spec;
        }
    }
    return NULL;
}

/*
 * The value of a NEEDS_ARGUMENT option that stands in the next argument. One that looks like an
 * option was almost certainly forgotten, and `--kernel --initrd x` is better refused than a file
 * "--initrd" searched for.
 */
static int next_argument(const struct option_spec *spec, const char *next, const char **value,
                         struct error *err)
{
    if (next == NULL) {
        return error_set(err, -EINVAL, "--%s: needs an argument: %s", spec->name, spec->argument);
    }
    if (strncmp(next, "--", 2) == 0) {
        return error_set(err, -EINVAL, "--%s: needs an argument: %s (if it is '%s', write --%s=%s)",
                         spec->name, spec->argument, next, spec->name, next);
    }
    *value = next;
    return 0;
}

/* One option at argv[0] and perhaps its value. Returns how many arguments were used. */
static int parse_one(struct options *options, char **argv, struct error *err)
{
    const char *argument = argv[0];
    size_t length = strcspn(argument, "=");
    const char *value = argument[length] == '=' ? argument + length + 1 : NULL;
    int used = 1;
    if (argument[0] != '-' || argument[1] == '\0' || strcmp(argument, "--") == 0) {
        return error_set(err, -EINVAL, "'%s': not an option (--help lists them)", argument);
    }
    const struct option_spec *spec = find_option(argument, length);
    if (spec == NULL) {
        return refuse_unknown(argument, length, err);
    }
    if (spec->kind == NO_ARGUMENT && value != NULL) {
        return error_set(err, -EINVAL, "--%s: takes no argument", spec->name);
    }
    if (spec->kind == NEEDS_ARGUMENT && value == NULL) {
        int rc = next_argument(spec, argv[1], &value, err);
        if (rc < 0) {
            return rc;
        }
        used = 2;
    }
    int rc = spec->take(options, value, err);
    return rc < 0 ? rc : used;
}

static bool ends_in(const char *text, const char *end)
{
    return strlen(text) >= strlen(end) && strcmp(text + strlen(text) - strlen(end), end) == 0;
}

/* Which form the trace has follows from two options, in whatever order they stand. */
static int settle_trace_format(struct options *options, struct error *err)
{
    const char *file = options->trace_file;
    const char *format = options->trace_format;
    if (format == NULL) {
        format = file != NULL && ends_in(file, ".json") ? "json" : "text";
    }
    options->trace_json = strcmp(format, "json") == 0;
    if (options->trace_json && file == NULL) {
        return error_set(err, -EINVAL, "--trace-format json: needs a --trace-file FILE");
    }
    return 0;
}

static bool can_be_started(const struct options *options)
{
    return options->gdb != NULL || options->monitor != NULL || options->qmp != NULL;
}

int options_parse(struct options *options, int argc, char **argv, struct error *err)
{
    *options = (struct options){.action = OPTIONS_RUN, .memory = DEFAULT_MEMORY, .smp = 1};
    for (int i = 1; i < argc && options->action == OPTIONS_RUN;) {
        int used = parse_one(options, argv + i, err);
        if (used < 0) {
            return used;
        }
        i += used;
    }
    int ret = options->action == OPTIONS_RUN ? settle_trace_format(options, err) : 0;
    if (ret < 0) {
        return ret;
    }
    if (options->action == OPTIONS_RUN && options->kernel == NULL &&
        options->dump_machine == NULL) {
        return error_set(err, -EINVAL, "--kernel FILE is missing (--help explains)");
    }
    if (options->action == OPTIONS_RUN && options->stopped && !can_be_started(options)) {
        return error_set(err, -EINVAL,
                         "--stopped: needs --gdb, --monitor or --qmp, by which the guest can be "
                         "started");
    }
    return 0;
}

void options_destroy(struct options *options)
{
    for (size_t i = 0; i < options->device_count; i++) {
        free(options->devices[i].values);
    }
    free(options->devices);
    free(options->machine.values);
    for (size_t i = 0; i < options->string_count; i++) {
        free(options->strings[i]);
    }
    free(options->strings);
    *options = (struct options){.action = OPTIONS_RUN};
}

/* ---- help */

enum { HELP_COLUMN = 32 };

static void format_usage(const struct option_spec *spec, char *buffer, size_t size)
{
    char letter[8] = "";
    if (spec->letter != 0) {
        snprintf(letter, sizeof(letter), "-%c, ", spec->letter);
    }
    static const char *const before[] = {"", " ", "[="};
    static const char *const after[] = {"", "", "]"};
    snprintf(buffer, size, "  %s--%s%s%s%s", letter, spec->name, before[spec->kind],
             spec->argument != NULL ? spec->argument : "", after[spec->kind]);
}

static void print_option(const struct option_spec *spec, FILE *out)
{
    char usage[80];
    format_usage(spec, usage, sizeof(usage));
    fprintf(out, "%-*s", HELP_COLUMN - 1, usage);
    if (strlen(usage) >= HELP_COLUMN - 1) {
        fprintf(out, "\n%*s", HELP_COLUMN - 1, "");
    }
    for (const char *line = spec->help; line != NULL;) {
        size_t length = strcspn(line, "\n");
        fprintf(out, " %.*s\n", (int)length, line);
        line = line[length] == '\n' ? line + length + 1 : NULL;
        if (line != NULL) {
            fprintf(out, "%*s", HELP_COLUMN - 1, "");
        }
    }
}

void options_print_help(FILE *out)
{
    fprintf(out, "Usage: minivmm --kernel FILE [--initrd FILE] [OPTION...]\n"
                 "Boot a kernel in a virtual machine; its serial port is stdin and stdout.\n"
                 "\n");
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        print_option(&option_table[i], out);
    }
    fprintf(out,
            "\n"
            "--NAME VALUE and --NAME=VALUE are the same. Of an option with one value that is\n"
            "given twice the last one counts.\n"
            "\n"
            "Keys: Ctrl-A h help, Ctrl-A x quit, Ctrl-A c the monitor and back, Ctrl-A Ctrl-A\n"
            "sends Ctrl-A to the guest.\n"
            "\n"
            "Status: 0 after the guest's power-off, 1 after an error in the set-up, 3 after a\n"
            "crash of the guest.\n");
}

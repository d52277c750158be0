/* SPDX-License-Identifier: MIT */
/* Command lines, an argument a line; and the properties in them, set as the machine does it. */
#include "devices/device_table.h"
#include "pci/pci_host.h"
#include "tests/fuzz/fuzz.h"
#include "vmm/options.h"

enum { TEXT_MAX = 4096, ARGUMENTS_MAX = 64 };

/* All are set that the device has, in a copy of what it begins with. */
static void set_properties(const struct device_option *option)
{
    const struct pci_device_type *type = option->name ? device_table_find(option->name) : NULL;
    void *object = type ? calloc(1, type->size) : NULL;
    if (!object) {
        return;
    }
    property_set_defaults(type->properties, object);
    for (size_t i = 0; i < option->count; i++) {
        const struct property_value *value = &option->values[i];
        const struct property *property = property_find(type->properties, value->key);
        struct error err = {0};
        if (property && property_set(property, object, value->value, option->text, &err) < 0) {
            must_be_one_line(err.text);
        }
    }
    free(object);
}

static void check(int argc, char **argv)
{
    struct options options;
    struct error err = {0};
    int ret = options_parse(&options, argc, argv, &err);
    if (ret < 0) {
        must_be_one_line(err.text);
    } else if (options.action == OPTIONS_RUN) {
        must(options.kernel || options.dump_machine);
        must(options.smp >= 1 && options.smp <= OPTIONS_MAX_VCPUS);
        must(options.memory > 0 && options.memory % (1 << 20) == 0);
    }
    for (size_t i = 0; ret == 0 && i < options.device_count; i++) {
        set_properties(&options.devices[i]);
    }
    options_destroy(&options);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[TEXT_MAX + 1];
    char *argv[ARGUMENTS_MAX + 2] = {(char *)"minivmm"};
    char *rest = text;
    int argc = 1;
    if (size > TEXT_MAX) {
        return 0;
    }
    memcpy(text, data, size);
    text[size] = '\0';
    while (rest && argc <= ARGUMENTS_MAX) {
        argv[argc++] = strsep(&rest, "\n");
    }
    argv[argc] = NULL;
    check(argc, argv);
    return 0;
}

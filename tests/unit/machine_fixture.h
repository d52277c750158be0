/* SPDX-License-Identifier: MIT */
/* A whole machine as --dump-machine has it, without KVM, for tests of who looks at it. */
#ifndef TESTS_UNIT_MACHINE_FIXTURE_H
#define TESTS_UNIT_MACHINE_FIXTURE_H

#include <stdlib.h>

#include "devices/device_table.h"
#include "vmm/control.h"

struct drawn {
    struct options options;
    struct machine machine;
    struct control control;
};

/* The options are those of the command line; "--dump-machine=-" is among them. */
static struct drawn *drawn_new(int argc, char **argv)
{
    struct error err = {""};
    struct drawn *drawn = calloc(1, sizeof(*drawn));
    assert_int_equal(options_parse(&drawn->options, argc, argv, &err), 0);
    struct machine *machine = &drawn->machine;
    machine->options = &drawn->options;
    property_set_defaults(machine_properties, &machine->arch.properties);
    assert_int_equal(vm_init_without_kvm(&machine->vm, &err), 0);
    assert_int_equal(machine_build(machine, &err), 0);
    for (size_t i = 0; i < drawn->options.device_count; i++) {
        const struct device_option *option = &drawn->options.devices[i];
        assert_int_equal(pci_host_create_device(&machine->pci, device_table_find(option->name),
                                                option->values, option->count, "test", &err),
                         0);
    }
    control_init(&drawn->control, machine);
    return drawn;
}

static void drawn_free(struct drawn *drawn)
{
    machine_destroy(&drawn->machine);
    vm_destroy(&drawn->machine.vm);
    options_destroy(&drawn->options);
    free(drawn);
}

#endif

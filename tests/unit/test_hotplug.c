/* SPDX-License-Identifier: MIT */
/*
 * machine_device_add() and machine_device_del(): from a line of text to a device, and back, on a
 * machine without KVM. What the guest sees of it is in test_pci_hotplug.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "devices/pcie_ports.h"
#include "fake_irq.h"
#include "vmm/machine.h"

enum { ECAM = 0xb0000000, ON = PCI_EXP_SLTCTL_PWR_IND_ON };

struct rig {
    struct machine machine; /* of which there is the VM and the PCI host */
    struct fake_irq irq;
    unsigned deleted;
    char last[32];
};

static void device_deleted(void *opaque, const char *id)
{
    struct rig *rig = opaque;
    rig->deleted++;
    strncpy(rig->last, id, sizeof(rig->last) - 1);
    event_loop_stop(&rig->machine.vm.loop);
}

static int setup(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    struct error err = {0};
    assert_non_null(rig);
    struct vm *vm = &rig->machine.vm;
    assert_int_equal(vm_init_without_kvm(vm, &err), 0);
    fake_irq_init(&rig->irq);
    const struct pci_host_config config = {.mmio = &vm->mmio,
                                           .pio = &vm->pio,
                                           .irq = &rig->irq.chip,
                                           .memory = &vm->memory,
                                           .loop = &vm->loop,
                                           .hotplug = &machine_hotplug_ops,
                                           .hotplug_opaque = &rig->machine,
                                           .intx_gsi = {16, 17, 18, 19},
                                           .ecam_base = ECAM,
                                           .ecam_buses = 16};
    assert_int_equal(pci_host_init(&rig->machine.pci, &config, &err), 0);
    struct property_value id = {"id", "rp"};
    assert_int_equal(
        pci_host_create_device(&rig->machine.pci, &root_port_type, &id, 1, "port", &err), 0);
    rig->machine.device_deleted = device_deleted;
    rig->machine.device_deleted_opaque = rig;
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    struct rig *rig = *state;
    pci_host_destroy(&rig->machine.pci);
    vm_destroy(&rig->machine.vm);
    free(rig);
    return 0;
}

static void set_power(struct rig *rig, uint32_t control)
{
    struct pci_device *port = pci_host_find_id(&rig->machine.pci, "rp");
    pci_config_write(port, port->express + PCI_EXP_SLTCTL, 2, control);
}

static void add(struct rig *rig, const char *spec)
{
    struct error err = {0};
    if (machine_device_add(&rig->machine, spec, &err) < 0) {
        fail_msg("%s", err.text);
    }
}

static void expect_error(struct rig *rig, const char *spec, int code, const char *text)
{
    struct error err = {0};
    assert_int_equal(machine_device_add(&rig->machine, spec, &err), code);
    assert_string_equal(err.text, text);
}

/* Its strings are its own: the text that it was made from is gone. */
static void test_there_and_back(void **state)
{
    struct rig *rig = *state;
    struct error err = {0};
    for (unsigned i = 1; i <= 3; i++) {
        char spec[] = "dma-engine,id=hot,bus=rp,inline-max=64K";
        add(rig, spec);
        memset(spec, 'x', sizeof(spec) - 1);
        const struct pci_device *device = pci_host_find_id(&rig->machine.pci, "hot");
        assert_non_null(device);
        assert_string_equal(device->name, "hot");
        set_power(rig, ON);
        assert_int_equal(machine_device_del(&rig->machine, "hot", &err), 0);
        assert_int_equal(rig->deleted, i - 1);
        set_power(rig, PCI_EXP_SLTCTL_PWR_OFF | PCI_EXP_SLTCTL_PWR_IND_OFF);
        event_loop_run(&rig->machine.vm.loop);
        assert_int_equal(rig->deleted, i);
        assert_string_equal(rig->last, "hot");
        assert_null(pci_host_find_id(&rig->machine.pci, "hot"));
    }
    assert_int_equal(rig->machine.vm.holders, 0);
}

static void test_nobody_needs_to_listen(void **state)
{
    struct rig *rig = *state;
    struct error err = {0};
    rig->machine.device_deleted = NULL;
    add(rig, "virtio-rng,id=r,bus=rp");
    assert_int_equal(machine_device_del(&rig->machine, "r", &err), 0); /* it had no power */
    assert_null(pci_host_find_id(&rig->machine.pci, "r"));
}

static void test_errors_name_the_command(void **state)
{
    struct rig *rig = *state;
    struct error err = {0};
    expect_error(rig, "", -EINVAL, "device_add : the name of a device comes first");
    expect_error(rig, "id=x", -EINVAL, "device_add id=x: the name of a device comes first");
    expect_error(rig, "nosuch,bus=rp", -ENOENT,
                 "device_add nosuch,bus=rp: no such device (--device help lists them)");
    expect_error(rig, "dma-engine,help", -EINVAL,
                 "device_add dma-engine,help: help is for --device");
    expect_error(rig, "dma-engine,bus=rp,bus=rp", -EINVAL,
                 "device_add dma-engine,bus=rp,bus=rp: bus is given twice");
    expect_error(rig, "dma-engine,bus=rp,colour=red", -EINVAL,
                 "device_add dma-engine,bus=rp,colour=red: unknown property 'colour' (see "
                 "--device dma-engine,help)");
    expect_error(rig, "dma-engine", -ENOTSUP,
                 "device_add dma-engine: 'pcie.0' has no hot-plug; behind a root-port or a "
                 "switch-downstream (bus=ID) there is");
    assert_int_equal(machine_device_del(&rig->machine, "nobody", &err), -ENOENT);
    assert_string_equal(err.text, "device_del nobody: there is no device with this id");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_there_and_back),
        TEST(test_nobody_needs_to_listen),
        TEST(test_errors_name_the_command),
    };
    alarm(60); /* a loop that nobody stops is a failure, too */
    return cmocka_run_group_tests_name("hotplug", tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* INTx: the wire of each slot, swizzling, sharing, Interrupt Disable and Interrupt Status. */
#include "pci_fixture.h"

static void drive(struct test_device *test, bool level)
{
    pthread_mutex_lock(&test->device.lock);
    pci_set_intx(&test->device, level);
    pthread_mutex_unlock(&test->device.lock);
}

/* The only wire that is asserted; -1: none; -2: several. */
static int asserted_wire(const struct fixture *f)
{
    int found = -1;
    for (int wire = 0; wire < PCI_PINS; wire++) {
        if (f->irq.level[TEST_GSI + wire]) {
            found = found == -1 ? wire : -2;
        }
    }
    return found;
}

static void test_wire_of_each_slot(void **state)
{
    struct fixture *f = *state;
    for (unsigned slot = 1; slot < PCI_SLOT_COUNT; slot++) {
        char where[16];
        snprintf(where, sizeof(where), "addr=%x", slot);
        struct test_device *test = plug_test(f, where);
        drive(test, true);
        assert_int_equal(asserted_wire(f), slot % 4);
        drive(test, false);
        assert_int_equal(asserted_wire(f), -1);
    }
}

static int pin_d_realize(struct pci_device *device, struct error *err)
{
    (void)err;
    pci_set_interrupt_pin(device, 4);
    return 0;
}

static void test_other_pins(void **state)
{
    struct fixture *f = *state;
    struct pci_device_type type = test_type;
    type.realize = pin_d_realize;
    struct test_device *test = (struct test_device *)plug(f, &type, "addr=2");
    drive(test, true);
    assert_int_equal(asserted_wire(f), (3 + 2) % 4);
    drive(test, false);
    test->device.type = &test_type; /* `type` goes out of scope */
}

/* Behind root port 5, switch, downstream port 3: each bridge adds its device number. */
static void test_swizzle(void **state)
{
    struct fixture *f = *state;
    plug(f, &root_port_type, "id=rp,addr=5");
    plug(f, &switch_upstream_type, "id=up,bus=rp");
    plug(f, &switch_downstream_type, "id=down,bus=up,addr=3");
    struct test_device *direct = plug_test(f, "addr=6");
    struct test_device *deep = plug_test(f, "bus=down");
    drive(deep, true);
    assert_int_equal(asserted_wire(f), (0 + 3 + 0 + 5) % 4);
    drive(deep, false);
    drive(direct, true);
    assert_int_equal(asserted_wire(f), 2);
    drive(direct, false);
}

static void test_shared_wire(void **state)
{
    struct fixture *f = *state;
    struct test_device *first = plug_test(f, "addr=3");
    struct test_device *second = plug_test(f, "addr=7");
    drive(first, true);
    drive(second, true);
    drive(second, true); /* no change */
    assert_int_equal(f->irq.level_calls, 1);
    drive(first, false);
    assert_int_equal(asserted_wire(f), 3);
    drive(second, false);
    assert_int_equal(asserted_wire(f), -1);
    assert_int_equal(f->irq.level_calls, 2);
}

static void test_interrupt_status_and_disable(void **state)
{
    struct fixture *f = *state;
    struct test_device *test = plug_test(f, "addr=3");
    drive(test, true);
    assert_int_equal(cfg_read(f, 0, 3, 0, PCI_STATUS, 2), 0x18);
    cfg_write(f, 0, 3, 0, PCI_COMMAND, 2, PCI_COMMAND_INTX_DISABLE);
    assert_int_equal(asserted_wire(f), -1);
    assert_int_equal(cfg_read(f, 0, 3, 0, PCI_STATUS, 2), 0x18); /* still wants one */
    cfg_write(f, 0, 3, 0, PCI_STATUS, 2, 0xffff);                /* read-only */
    assert_int_equal(cfg_read(f, 0, 3, 0, PCI_STATUS, 2), 0x18);
    cfg_write(f, 0, 3, 0, PCI_COMMAND, 2, 0);
    assert_int_equal(asserted_wire(f), 3);
    drive(test, false);
    assert_int_equal(cfg_read(f, 0, 3, 0, PCI_STATUS, 2), 0x10);
    cfg_write(f, 0, 3, 0, PCI_COMMAND, 2, PCI_COMMAND_INTX_DISABLE);
    drive(test, true);
    assert_int_equal(asserted_wire(f), -1);
    cfg_write(f, 0, 3, 0, PCI_COMMAND, 2, 0);
    assert_int_equal(asserted_wire(f), 3);
    drive(test, false);
}

/* A function with MSI or MSI-X enabled uses no wire. */
static void test_msi_takes_the_wire_away(void **state)
{
    struct fixture *f = *state;
    struct test_device *test = plug_test(f, "addr=3");
    drive(test, true);
    cfg_write(f, 0, 3, 0, TEST_MSI + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE);
    assert_int_equal(asserted_wire(f), -1);
    cfg_write(f, 0, 3, 0, TEST_MSI + PCI_MSI_FLAGS, 2, 0);
    assert_int_equal(asserted_wire(f), 3);
    cfg_write(f, 0, 3, 0, TEST_MSIX + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
    assert_int_equal(asserted_wire(f), -1);
    cfg_write(f, 0, 3, 0, TEST_MSIX + PCI_MSIX_FLAGS, 2, 0);
    assert_int_equal(asserted_wire(f), 3);
    drive(test, false);
}

static void test_resets_lower_it(void **state)
{
    struct fixture *f = *state;
    struct pci_device *port = plug(f, &root_port_type, "id=rp,addr=2");
    struct test_device *test = plug_test(f, "bus=rp");
    drive(test, true);
    pci_config_write(&test->device, TEST_EXPRESS + PCI_EXP_DEVCTL, 2, PCI_EXP_DEVCTL_BCR_FLR);
    assert_int_equal(asserted_wire(f), -1);
    assert_int_equal(pci_config_read(&test->device, PCI_STATUS, 2), 0x10);
    drive(test, true);
    pci_config_write(port, PCI_BRIDGE_CONTROL, 2, PCI_BRIDGE_CTL_BUS_RESET);
    assert_int_equal(asserted_wire(f), -1);
    drive(test, true);
    pci_host_reset(&f->host);
    assert_int_equal(asserted_wire(f), -1);
}

static void test_removal_lowers_it(void **state)
{
    struct fixture *f = *state;
    struct test_device *test = plug_test(f, "addr=3");
    drive(test, true);
    pci_host_destroy(&f->host);
    assert_int_equal(asserted_wire(f), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pci_unit_test(test_wire_of_each_slot),
        pci_unit_test(test_other_pins),
        pci_unit_test(test_swizzle),
        pci_unit_test(test_shared_wire),
        pci_unit_test(test_interrupt_status_and_disable),
        pci_unit_test(test_msi_takes_the_wire_away),
        pci_unit_test(test_resets_lower_it),
        pci_unit_test(test_removal_lowers_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* The walk over PCI that monitors and pictures use: order, addresses, wires, BARs, vectors. */
#include "pci/pci_walk.h"
#include "pci_fixture.h"

enum { MOST = 8 };

struct seen {
    struct pci_function_info functions[MOST];
    unsigned count;
};

static void remember(void *opaque, const struct pci_function_info *function)
{
    struct seen *seen = opaque;
    assert_true(seen->count < MOST);
    seen->functions[seen->count++] = *function;
}

static struct seen walk(struct fixture *f)
{
    struct seen seen = {.count = 0};
    pci_walk(&f->host, remember, &seen);
    return seen;
}

static void parents_come_first_by_slots(void **state)
{
    struct fixture *f = *state;
    plug_test(f, "addr=5,id=late");
    struct pci_device *port = plug(f, &root_port_type, "id=rp,addr=2");
    plug_test(f, "bus=rp,id=behind");
    struct seen seen = walk(f);
    static const char *const names[] = {"host-bridge@00:00.0", "rp", "behind", "late"};
    static const char *const addresses[] = {"00:00.0", "00:02.0", "rp:00.0", "00:05.0"};
    assert_int_equal(seen.count, 4);
    for (unsigned i = 0; i < 4; i++) {
        assert_string_equal(seen.functions[i].device->name, names[i]);
        assert_string_equal(seen.functions[i].address, addresses[i]);
        assert_int_equal(seen.functions[i].depth, i == 2);
        assert_ptr_equal(seen.functions[i].parent, i == 2 ? port : NULL);
    }
    number_bridge(port, 7, 9);
    seen = walk(f);
    assert_string_equal(seen.functions[2].address, "07:00.0");
    assert_int_equal(seen.functions[1].secondary, 7);
    assert_int_equal(seen.functions[1].subordinate, 9);
}

/* Through a bridge in slot 2 the pin of slot 0 behind it ends where the bridge's own does. */
static void pins_are_followed_to_their_wires(void **state)
{
    struct fixture *f = *state;
    plug(f, &root_port_type, "id=rp,addr=2");
    plug_test(f, "bus=rp");
    plug_test(f, "addr=5");
    struct seen seen = walk(f);
    assert_int_equal(seen.functions[0].pin, 0); /* the host bridge */
    assert_int_equal(seen.functions[2].pin, 1);
    assert_int_equal(seen.functions[2].wire, 2);
    assert_int_equal(seen.functions[2].gsi, TEST_GSI + 2);
    assert_int_equal(seen.functions[3].wire, 1);
    assert_int_equal(seen.functions[3].gsi, TEST_GSI + 1);
    assert_int_equal(seen.functions[3].msi_vectors, 8);
    assert_int_equal(seen.functions[3].msix_vectors, TEST_VECTORS);
}

static void bars_are_where_the_guest_has_put_them(void **state)
{
    struct fixture *f = *state;
    struct pci_device *device = &plug_test(f, "addr=5")->device;
    struct pci_function_info info = walk(f).functions[1];
    assert_int_equal(info.bars[TEST_BAR_MEM].kind, PCI_BAR_MEM32);
    assert_int_equal(info.bars[TEST_BAR_MEM].size, 0x1000);
    assert_false(info.bars[TEST_BAR_MEM].mapped);
    assert_int_equal(info.bars[TEST_BAR_MEM64 + 1].kind, PCI_BAR_NONE);
    assert_string_equal(pci_bar_kind_name(info.bars[TEST_BAR_MEM64].kind),
                        "64-bit memory, prefetchable");
    pci_config_write(device, PCI_BASE_ADDRESS_0, 4, 0xe0001000);
    set_command(f, device, PCI_COMMAND_MEMORY);
    info = walk(f).functions[1];
    assert_true(info.bars[TEST_BAR_MEM].mapped);
    assert_int_equal(info.bars[TEST_BAR_MEM].address, 0xe0001000);
    assert_false(info.bars[TEST_BAR_IO].mapped);
}

static struct pci_vector_info last_vector;
static unsigned vectors;

static void remember_vector(void *opaque, const struct pci_vector_info *vector)
{
    (void)opaque;
    last_vector = *vector;
    vectors++;
}

static void vectors_that_are_routed(void **state)
{
    struct fixture *f = *state;
    struct pci_device *device = &plug_test(f, "addr=5")->device;
    pci_walk_vectors(device, remember_vector, NULL);
    assert_int_equal(vectors, 0);
    pci_config_write(device, TEST_MSI + PCI_MSI_ADDRESS_LO, 4, 0xfee00000);
    pci_config_write(device, TEST_MSI + PCI_MSI_DATA_64, 2, 0x4321);
    pci_config_write(device, TEST_MSI + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE);
    pci_walk_vectors(device, remember_vector, NULL);
    assert_int_equal(vectors, 1);
    assert_false(last_vector.msix);
    assert_int_equal(last_vector.vector, 0);
    assert_int_equal(last_vector.gsi, FAKE_IRQ_MSI_FIRST);
    assert_int_equal(last_vector.message.address, 0xfee00000);
    assert_int_equal(last_vector.message.data, 0x4321);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pci_unit_test(parents_come_first_by_slots),
        pci_unit_test(pins_are_followed_to_their_wires),
        pci_unit_test(bars_are_where_the_guest_has_put_them),
        pci_unit_test(vectors_that_are_routed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* Capability lists, and the PCI Express capability of each kind of function. */
#include "pci_fixture.h"

/* ---- lists */

static int list_realize(struct pci_device *device, struct error *err)
{
    (void)err;
    assert_int_equal(pci_add_capability(device, 0x09, 0, 10), 0x40);
    assert_int_equal(pci_add_capability(device, 0x01, 0x50, 8), 0x50);
    assert_int_equal(pci_add_capability(device, 0x03, 0, 4), 0x4c); /* the gap between them */
    assert_int_equal(pci_add_capability(device, 0x03, 0, 4), 0x58);
    assert_int_equal(pci_add_capability(device, 0x12, 0xfc, 4), 0xfc);
    assert_int_equal(pci_add_extended_capability(device, 0x000b, 1, 0, 0x10), 0x100);
    assert_int_equal(pci_add_extended_capability(device, 0x0003, 2, 0x200, 12), 0x200);
    assert_int_equal(pci_add_extended_capability(device, 0x0019, 3, 0, 0x10), 0x110);
    return 0;
}

static const struct pci_device_type list_type = {
    .name = "list", .size = sizeof(struct pci_device), .default_slot = -1, .realize = list_realize};

static void test_list(void **state)
{
    struct fixture *f = *state;
    plug(f, &list_type, "addr=5");
    static const unsigned order[][2] = {
        {0xfc, 0x12}, {0x58, 0x03}, {0x4c, 0x03}, {0x50, 0x01}, {0x40, 0x09}};
    assert_true(cfg_read(f, 0, 5, 0, PCI_STATUS, 2) & PCI_STATUS_CAP_LIST);
    unsigned at = (unsigned)cfg_read(f, 0, 5, 0, PCI_CAPABILITY_LIST, 1);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(at, order[i][0]);
        assert_int_equal(cfg_read(f, 0, 5, 0, at, 1), order[i][1]);
        at = (unsigned)cfg_read(f, 0, 5, 0, at + 1, 1);
    }
    assert_int_equal(at, 0);
}

static void test_extended_list(void **state)
{
    struct fixture *f = *state;
    plug(f, &list_type, "addr=5");
    assert_int_equal(cfg_read(f, 0, 5, 0, 0x100, 4), 0x2001000b);
    assert_int_equal(cfg_read(f, 0, 5, 0, 0x200, 4), 0x11020003);
    assert_int_equal(cfg_read(f, 0, 5, 0, 0x110, 4), 0x00030019);
}

static void test_no_list(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(cfg_read(f, 0, 0, 0, PCI_CAPABILITY_LIST, 1), 0);
    assert_false(cfg_read(f, 0, 0, 0, PCI_STATUS, 2) & PCI_STATUS_CAP_LIST);
    assert_int_equal(cfg_read(f, 0, 0, 0, 0x100, 4), 0);
}

/* ---- programming errors */

static int overlap_realize(struct pci_device *device, struct error *err)
{
    (void)err;
    pci_add_capability(device, 1, 0x40, 8);
    pci_add_capability(device, 1, 0x44, 8);
    return 0;
}

static int outside_realize(struct pci_device *device, struct error *err)
{
    (void)err;
    pci_add_capability(device, 1, 0xf8, 12);
    return 0;
}

static int header_realize(struct pci_device *device, struct error *err)
{
    (void)err;
    pci_add_capability(device, 1, 0x3c, 4);
    return 0;
}

static int extended_realize(struct pci_device *device, struct error *err)
{
    (void)err;
    pci_add_extended_capability(device, 1, 1, 0x200, 4); /* nothing at 0x100 */
    return 0;
}

/* Express that reaches into extended space leaves no room at 0x100. */
static int express_overlap_realize(struct pci_device *device, struct error *err)
{
    (void)err;
    pci_add_express(device, PCI_EXPRESS_ENDPOINT, 0xe0, false);
    pci_add_extended_capability(device, 1, 1, 0x100, 4);
    return 0;
}

static int port_realize(struct pci_device *device, struct error *err)
{
    (void)err;
    pci_add_express(device, PCI_EXPRESS_ROOT_PORT, 0x40, false); /* is no bridge */
    return 0;
}

static int fine_realize(struct pci_device *device, struct error *err)
{
    (void)err;
    pci_add_capability(device, 1, 0xf8, 8);
    return 0;
}

static void test_programming_errors_abort(void **state)
{
    struct fixture *f = *state;
    int (*wrong[])(struct pci_device *,
                   struct error *) = {overlap_realize,  outside_realize,         header_realize,
                                      extended_realize, express_overlap_realize, port_realize};
    struct pci_device_type type = list_type;
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        type.realize = wrong[i];
        assert_true(aborts(f, &type));
    }
    type.realize = fine_realize;
    assert_false(aborts(f, &type));
}

/* ---- PCI Express */

/* The engine's layout: MSI at 0x40, then Express at 0xe0, 0x1c bytes of it in extended space. */
static int engine_like_realize(struct pci_device *device, struct error *err)
{
    int ret = pci_add_msi(device, 0x40, 0, true, false, err);
    pci_add_express(device, PCI_EXPRESS_ENDPOINT, 0xe0, true);
    return ret;
}

static const struct pci_device_type engine_like = {.name = "engine-like",
                                                   .size = sizeof(struct pci_device),
                                                   .default_slot = 4,
                                                   .realize = engine_like_realize};

static void test_order_of_the_engine(void **state)
{
    struct fixture *f = *state;
    plug(f, &engine_like, "");
    assert_int_equal(cfg_read(f, 0, 4, 0, PCI_CAPABILITY_LIST, 1), 0xe0);
    assert_int_equal(cfg_read(f, 0, 4, 0, 0xe0, 4), 0x00924010); /* v2, RCiEP, next 40 */
    assert_int_equal(cfg_read(f, 0, 4, 0, 0x40, 4), 0x00800005); /* 64-bit, one vector, the last */
    assert_int_equal(cfg_read(f, 0, 4, 0, 0x100, 4), 0);         /* no extended capabilities */
    assert_int_equal(cfg_read(f, 0, 4, 0, 0xe0 + PCI_EXP_DEVCAP2, 4), 0x10);
}

/* All 0x3c bytes of the capability at `offset` of a function, read and then after writing ones. */
struct express_image {
    uint32_t value[15];
    uint32_t after_ones[15];
};

static struct express_image probe(struct pci_device *device, unsigned offset)
{
    struct express_image image;
    for (unsigned i = 0; i < 15; i++) {
        image.value[i] = pci_config_read(device, offset + 4 * i, 4);
    }
    for (unsigned i = 0; i < 15; i++) {
        uint32_t ones = UINT32_MAX;
        if (4 * i == PCI_EXP_DEVCTL) {
            ones &= ~PCI_EXP_DEVCTL_BCR_FLR;
        }
        if (4 * i == PCI_EXP_LNKCTL) {
            ones &= ~PCI_EXP_LNKCTL_LD;
        }
        pci_config_write(device, offset + 4 * i, 4, ones);
        image.after_ones[i] = pci_config_read(device, offset + 4 * i, 4);
    }
    return image;
}

static void assert_registers(const uint32_t *image, const uint32_t *expected)
{
    for (unsigned i = 1; i < 15; i++) { /* the header differs by place */
        if (image[i] != expected[i]) {
            fail_msg("register 0x%02x is 0x%08x, expected 0x%08x", 4 * i, image[i], expected[i]);
        }
    }
}

static void test_root_complex_endpoint(void **state)
{
    struct fixture *f = *state;
    struct pci_device *device = &plug_test(f, "addr=3")->device;
    struct express_image image = probe(device, TEST_EXPRESS);
    static const uint32_t reset[15] = {[1] = 0x10008000, [2] = 0x2000, [9] = 0x10};
    static const uint32_t ones[15] = {[1] = 0x10008000, [2] = 0x700f, [9] = 0x10, [10] = 0x10};
    assert_int_equal(image.value[0] >> 16, 0x0092);
    assert_registers(image.value, reset);
    assert_registers(image.after_ones, ones);
}

static void test_endpoint(void **state)
{
    struct fixture *f = *state;
    plug(f, &root_port_type, "id=rp,addr=2");
    struct pci_device *device = &plug_test(f, "bus=rp")->device;
    struct express_image image = probe(device, TEST_EXPRESS);
    static const uint32_t reset[15] = {
        [1] = 0x10008000, [2] = 0x2000, [3] = 0x00400011, [4] = 0x00110000,
        [9] = 0x10,       [11] = 2,     [12] = 1};
    static const uint32_t ones[15] = {
        [1] = 0x10008000, [2] = 0x700f, [3] = 0x00400011, [4] = 0x001100cb,
        [9] = 0x10,       [10] = 0x10,  [11] = 2,         [12] = 1};
    assert_int_equal(image.value[0] >> 16, 0x0002);
    assert_registers(image.value, reset);
    assert_registers(image.after_ones, ones);
}

static void test_root_port(void **state)
{
    struct fixture *f = *state;
    struct pci_device *port =
        plug(f, &root_port_type, "id=rp,port=0x12,slot=5,chassis=7,hotplug=off");
    static const uint32_t empty[15] = {
        [1] = 0x8000,     [2] = 0x2000, [3] = 0x12500011, [4] = 0x00110000,
        [5] = 0x002c0000, [11] = 2,     [12] = 1};
    struct express_image image = probe(port, port->express);
    assert_int_equal(image.value[0] >> 16, 0x0142); /* slot implemented */
    assert_registers(image.value, empty);
    static const uint32_t ones[15] = {
        [1] = 0x8000,     [2] = 0x700f, [3] = 0x12500011, [4] = 0x001100c3,
        [5] = 0x002c0000, [7] = 0x000f, [11] = 2,         [12] = 1};
    assert_registers(image.after_ones, ones);
}

static void test_port_sees_its_device(void **state)
{
    struct fixture *f = *state;
    struct pci_device *port = plug(f, &root_port_type, "id=rp");
    unsigned link = port->express + PCI_EXP_LNKSTA;
    unsigned slot = port->express + PCI_EXP_SLTSTA;
    assert_false(pci_config_read(port, link, 2) & PCI_EXP_LNKSTA_DLLLA);
    assert_false(pci_config_read(port, slot, 2) & PCI_EXP_SLTSTA_PDS);
    plug_test(f, "bus=rp");
    assert_int_equal(pci_config_read(port, link, 2), 0x2011);
    assert_int_equal(pci_config_read(port, slot, 2), PCI_EXP_SLTSTA_PDS); /* and no event */
    pci_host_reset(&f->host);
    assert_int_equal(pci_config_read(port, link, 2), 0x2011);
    assert_int_equal(pci_config_read(port, slot, 2), PCI_EXP_SLTSTA_PDS);
}

static void test_switch_ports(void **state)
{
    struct fixture *f = *state;
    plug(f, &root_port_type, "id=rp");
    struct pci_device *up = plug(f, &switch_upstream_type, "id=up,bus=rp,port=1");
    struct pci_device *down = plug(f, &switch_downstream_type, "id=down,bus=up,slot=3,hotplug=off");
    static const uint32_t upstream[15] = {
        [1] = 0x8000, [2] = 0x2000, [3] = 0x01400011, [4] = 0x00110000, [11] = 2, [12] = 1};
    static const uint32_t downstream[15] = {
        [1] = 0x8000,     [2] = 0x2000, [3] = 0x00500011, [4] = 0x00110000,
        [5] = 0x001c0000, [11] = 2,     [12] = 1};
    struct express_image image = probe(up, up->express);
    assert_int_equal(image.value[0] >> 16, 0x0052);
    assert_registers(image.value, upstream);
    assert_int_equal(image.after_ones[4], 0x001100c3);
    assert_int_equal(image.after_ones[7], 0); /* no root registers */
    image = probe(down, down->express);
    assert_int_equal(image.value[0] >> 16, 0x0162);
    assert_registers(image.value, downstream);
    assert_int_equal(image.after_ones[7], 0);
}

static void test_device_status_is_cleared_by_ones(void **state)
{
    struct fixture *f = *state;
    struct pci_device *device = &plug_test(f, "addr=3")->device;
    pci_config_set(device, TEST_EXPRESS + PCI_EXP_DEVSTA, 2, 0x2f);
    pci_config_write(device, TEST_EXPRESS + PCI_EXP_DEVSTA, 2, 0x05);
    assert_int_equal(pci_config_read(device, TEST_EXPRESS + PCI_EXP_DEVSTA, 2), 0x2a);
}

/* ---- function level reset */

static void test_flr(void **state)
{
    struct fixture *f = *state;
    plug(f, &root_port_type, "id=rp");
    struct test_device *test = plug_test(f, "bus=rp");
    struct pci_device *device = &test->device;
    unsigned resets = test->resets;
    pci_config_write(device, PCI_COMMAND, 2, 7);
    pci_config_write(device, PCI_INTERRUPT_LINE, 1, 11);
    pci_config_write(device, TEST_EXPRESS + PCI_EXP_LNKCTL, 2, PCI_EXP_LNKCTL_CCC);
    pci_config_write(device, TEST_EXPRESS + PCI_EXP_DEVCTL, 2, 0x5000);
    assert_int_equal(test->resets, resets);
    pci_config_write(device, TEST_EXPRESS + PCI_EXP_DEVCTL, 2, 0x5000 | PCI_EXP_DEVCTL_BCR_FLR);
    assert_int_equal(test->resets, resets + 1);
    assert_int_equal(pci_config_read(device, PCI_COMMAND, 2), 0);
    assert_int_equal(pci_config_read(device, PCI_INTERRUPT_LINE, 1), 0);
    assert_int_equal(pci_config_read(device, TEST_EXPRESS + PCI_EXP_DEVCTL, 2), 0x2000);
    /* The link was not part of it. */
    assert_int_equal(pci_config_read(device, TEST_EXPRESS + PCI_EXP_LNKCTL, 2), PCI_EXP_LNKCTL_CCC);
    pci_host_reset(&f->host);
    assert_int_equal(pci_config_read(device, TEST_EXPRESS + PCI_EXP_LNKCTL, 2), 0);
}

static void test_flr_by_any_width(void **state)
{
    struct fixture *f = *state;
    struct test_device *test = plug_test(f, "addr=3");
    unsigned resets = test->resets;
    cfg_write(f, 0, 3, 0, TEST_EXPRESS + PCI_EXP_DEVCTL + 1, 1, 0x80);
    assert_int_equal(test->resets, resets + 1);
    cfg_write(f, 0, 3, 0, TEST_EXPRESS + PCI_EXP_DEVCTL, 4, 0x8000);
    assert_int_equal(test->resets, resets + 2);
    cfg_write(f, 0, 3, 0, TEST_EXPRESS, 8, 0xffffffffffffffff); /* Device Capabilities: nothing */
    assert_int_equal(test->resets, resets + 2);
}

/* Bridges do not offer it: the bit is something else there, and not implemented. */
static void test_no_flr_in_ports(void **state)
{
    struct fixture *f = *state;
    struct pci_device *port = plug(f, &root_port_type, "id=rp");
    struct test_device *test = plug_test(f, "bus=rp");
    unsigned resets = test->resets;
    number_bridge(port, 1, 1);
    pci_config_write(port, port->express + PCI_EXP_DEVCTL, 2, 0x8000);
    assert_int_equal(test->resets, resets);
    assert_int_equal(pci_config_read(port, PCI_SECONDARY_BUS, 1), 1);
}

/* ---- ports' other capabilities */

static void test_subsystem_and_chassis(void **state)
{
    struct fixture *f = *state;
    struct pci_device *port = plug(f, &root_port_type, "id=rp,chassis=7");
    bool subsystem = false;
    bool chassis = false;
    for (unsigned at = pci_config_read(port, PCI_CAPABILITY_LIST, 1); at;
         at = pci_config_read(port, at + 1, 1)) {
        if (pci_config_read(port, at, 1) == PCI_CAP_ID_SSVID) {
            subsystem = pci_config_read(port, at + 4, 4) == 0x11001af4;
        }
        if (pci_config_read(port, at, 1) == PCI_CAP_ID_SLOTID) {
            chassis = pci_config_read(port, at + 3, 1) == 7;
        }
    }
    assert_true(subsystem);
    assert_true(chassis);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pci_unit_test(test_list),
        pci_unit_test(test_extended_list),
        pci_unit_test(test_no_list),
        pci_unit_test(test_programming_errors_abort),
        pci_unit_test(test_order_of_the_engine),
        pci_unit_test(test_root_complex_endpoint),
        pci_unit_test(test_endpoint),
        pci_unit_test(test_root_port),
        pci_unit_test(test_port_sees_its_device),
        pci_unit_test(test_switch_ports),
        pci_unit_test(test_device_status_is_cleared_by_ones),
        pci_unit_test(test_flr),
        pci_unit_test(test_flr_by_any_width),
        pci_unit_test(test_no_flr_in_ports),
        pci_unit_test(test_subsystem_and_chassis),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* The host bridge: CF8/CFC and ECAM in every width and lane; creating devices and their errors. */
#include <errno.h>

#include "pci_fixture.h"

enum { PATTERN = 0x800 }; /* in extended space; 0x80 for both ways */

static uint64_t mask(unsigned size)
{
    return UINT64_MAX >> (64 - 8 * size);
}

/* Slot 3 with bytes 00 01 02... that are all writable at 0x80-0xbf and 0x800-0x83f. */
static struct pci_device *plug_pattern(struct fixture *f)
{
    struct pci_device *device = &plug_test(f, "addr=3")->device;
    static const unsigned places[] = {0x80, PATTERN};
    for (unsigned i = 0; i < 2; i++) {
        for (unsigned byte = 0; byte < 0x40; byte++) {
            pci_config_set(device, places[i] + byte, 1, byte);
            pci_config_set_writable(device, places[i] + byte, 1, 0xff);
        }
    }
    return device;
}

/* What `size` bytes of the pattern from byte `at` on read as. */
static uint64_t pattern(unsigned at, unsigned size)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < size; i++) {
        value |= (uint64_t)(at + i) << (8 * i);
    }
    return value;
}

static void latch(struct fixture *f, uint32_t value)
{
    bus_write(&f->ports, 0xcf8, 4, value);
}

static uint32_t address_of(unsigned bus, unsigned dev, unsigned fn, unsigned reg)
{
    return 0x80000000u | bus << 16 | dev << 11 | fn << 8 | reg;
}

static uint64_t cfc_read(struct fixture *f, unsigned lane, unsigned size)
{
    return bus_read(&f->ports, 0xcfc + lane, size) & mask(size);
}

/* ---- 00:00.0 */

static void test_host_bridge(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(cfg_read(f, 0, 0, 0, 0, 4), 0x00081b36);
    assert_int_equal(cfg_read(f, 0, 0, 0, 8, 4), 0x06000000);
    assert_int_equal(cfg_read(f, 0, 0, 0, PCI_HEADER_TYPE, 1), 0);
    assert_string_equal(f->host.devices[0]->name, "host-bridge@00:00.0");
}

/* ---- CF8 */

static void test_latch(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(bus_read(&f->ports, 0xcf8, 4), 0);
    latch(f, 0xffffffff);
    assert_int_equal(bus_read(&f->ports, 0xcf8, 4), 0x80fffffc);
    latch(f, 0x80000000);
    assert_int_equal(bus_read(&f->ports, 0xcf8, 4), 0x80000000);
    pci_host_reset(&f->host);
    assert_int_equal(bus_read(&f->ports, 0xcf8, 4), 0);
}

/* Bytes and words at CF8 are not the latch. */
static void test_narrow_accesses_to_the_latch(void **state)
{
    struct fixture *f = *state;
    latch(f, 0x80001804);
    for (unsigned size = 1; size <= 2; size *= 2) {
        for (unsigned at = 0; at + size <= 4; at++) {
            bus_write(&f->ports, 0xcf8 + at, size, 0);
            assert_int_equal(bus_read(&f->ports, 0xcf8 + at, size) & mask(size), mask(size));
        }
    }
    assert_int_equal(bus_read(&f->ports, 0xcf8, 4), 0x80001804);
}

static uint64_t narrow_last;

static uint64_t narrow_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)opaque;
    return offset << 4 | size;
}

static void narrow_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    (void)opaque;
    narrow_last = value << 8 | offset << 4 | size;
}

/* A machine's reset register at CF9. */
static void test_register_inside_the_latch(void **state)
{
    struct fixture *f = *state;
    static const struct bus_ops ops = {.read = narrow_read, .write = narrow_write};
    f->host.cf9_ops = &ops;
    latch(f, 0x80001804);
    assert_int_equal(bus_read(&f->ports, 0xcf9, 1) & 0xff, 0x11);
    bus_write(&f->ports, 0xcf9, 1, 0x06);
    assert_int_equal(narrow_last, 0x611);
    assert_int_equal(bus_read(&f->ports, 0xcf8, 4), 0x80001804);
}

static void test_cfc_lanes(void **state)
{
    struct fixture *f = *state;
    plug_pattern(f);
    for (unsigned reg = 0x80; reg < 0x90; reg += 4) {
        latch(f, address_of(0, 3, 0, reg));
        for (unsigned size = 1; size <= 4; size *= 2) {
            for (unsigned lane = 0; lane + size <= 4; lane++) {
                assert_int_equal(cfc_read(f, lane, size), pattern(reg - 0x80 + lane, size));
            }
        }
    }
}

static void test_cfc_writes(void **state)
{
    struct fixture *f = *state;
    struct pci_device *device = plug_pattern(f);
    for (unsigned size = 1; size <= 4; size *= 2) {
        for (unsigned lane = 0; lane + size <= 4; lane++) {
            latch(f, address_of(0, 3, 0, 0x90));
            bus_write(&f->ports, 0xcfc, 4, 0xaaaaaaaa);
            bus_write(&f->ports, 0xcfc + lane, size, 0x44332211 & mask(size));
            uint32_t expected = 0xaaaaaaaa;
            memcpy((uint8_t *)&expected + lane, (uint8_t[]){0x11, 0x22, 0x33, 0x44}, size);
            assert_int_equal(pci_config_get(device, 0x90, 4), expected);
            assert_int_equal(pci_config_get(device, 0x94, 4), pattern(0x14, 4));
        }
    }
}

static void test_cfc_disabled(void **state)
{
    struct fixture *f = *state;
    struct pci_device *device = plug_pattern(f);
    latch(f, address_of(0, 3, 0, 0x80) & ~0x80000000u);
    assert_int_equal(cfc_read(f, 0, 4), 0xffffffff);
    assert_int_equal(cfc_read(f, 1, 1), 0xff);
    bus_write(&f->ports, 0xcfc, 4, 0);
    assert_int_equal(pci_config_get(device, 0x80, 4), pattern(0, 4));
}

/* An access that begins below CFC or ends behind CFF: each byte goes where it belongs. */
static void test_cfc_borders(void **state)
{
    struct fixture *f = *state;
    plug_pattern(f);
    latch(f, address_of(0, 3, 0, 0x80));
    assert_int_equal(bus_read(&f->ports, 0xcfe, 4) & UINT32_MAX, 0xffff0302);
    assert_int_equal(bus_read(&f->ports, 0xcff, 2) & 0xffff, 0xff03);
    assert_int_equal(bus_read(&f->ports, 0xcfa, 4) & UINT32_MAX, 0x0100ffff);
}

/* ---- ECAM */

static void test_ecam_widths(void **state)
{
    struct fixture *f = *state;
    plug_pattern(f);
    for (unsigned size = 1; size <= 8; size *= 2) {
        for (unsigned at = 0; at < 16; at++) { /* misaligned ones included */
            assert_int_equal(cfg_read(f, 0, 3, 0, PATTERN + at, size), pattern(at, size));
            assert_int_equal(cfg_read(f, 0, 3, 0, 0x80 + at, size), pattern(at, size));
        }
    }
}

static void test_ecam_writes(void **state)
{
    struct fixture *f = *state;
    struct pci_device *device = plug_pattern(f);
    for (unsigned size = 1; size <= 8; size *= 2) {
        for (unsigned at = 0; at < 16; at++) {
            for (unsigned byte = 0; byte < 0x20; byte++) {
                pci_config_set(device, PATTERN + byte, 1, 0xaa);
            }
            cfg_write(f, 0, 3, 0, PATTERN + at, size, pattern(0x11, size));
            for (unsigned byte = 0; byte < 0x20; byte++) {
                bool written = byte >= at && byte < at + size;
                assert_int_equal(pci_config_get(device, PATTERN + byte, 1),
                                 written ? 0x11 + byte - at : 0xaa);
            }
        }
    }
}

/* An access over the end of a function goes on in the next one, here one that is not there. */
static void test_ecam_borders(void **state)
{
    struct fixture *f = *state;
    struct pci_device *device = plug_pattern(f);
    pci_config_set(device, 0xffc, 4, 0x44332211);
    assert_int_equal(cfg_read(f, 0, 3, 0, 0xffe, 4), 0xffff4433);
    assert_int_equal(cfg_read(f, 0, 3, 0, 0xffd, 8), 0xffffffffff443322);
    cfg_write(f, 0, 3, 0, 0xffd, 8, 0);
    uint64_t end = TEST_ECAM + (256ull << 20); /* the last function's last byte, and beyond */
    assert_int_equal(bus_read(&f->memory, end - 2, 4) & UINT32_MAX, UINT32_MAX);
}

static void test_both_ways_agree(void **state)
{
    struct fixture *f = *state;
    plug_test(f, "addr=3");
    struct pci_device *port = plug(f, &root_port_type, "id=rp,addr=1f,multifunction=on");
    plug(f, &root_port_type, "addr=1f.7");
    plug_test(f, "bus=rp");
    number_bridge(port, 0xff, 0xff);
    static const unsigned functions[][3] = {{0, 0, 0}, {0, 3, 0},  {0, 0x1f, 0}, {0, 0x1f, 7},
                                            {0, 3, 1}, {0, 30, 0}, {0xff, 0, 0}, {0xfe, 0, 0}};
    for (unsigned i = 0; i < 8; i++) {
        const unsigned *bdf = functions[i];
        for (unsigned reg = 0; reg < 256; reg += 4) {
            latch(f, address_of(bdf[0], bdf[1], bdf[2], reg));
            assert_int_equal(cfc_read(f, 0, 4), cfg_read(f, bdf[0], bdf[1], bdf[2], reg, 4));
        }
    }
    assert_int_equal(cfg_read(f, 0xff, 0, 0, 0, 4), 0x56781234);
    assert_int_equal(cfg_read(f, 0, 0x1f, 7, 0, 4), 0x000c1b36);
}

static void test_nobody_there(void **state)
{
    struct fixture *f = *state;
    for (unsigned size = 1; size <= 8; size *= 2) {
        assert_int_equal(cfg_read(f, 0, 17, 5, 0, size), mask(size));
        assert_int_equal(cfg_read(f, 200, 0, 0, 0x804, size), mask(size));
        cfg_write(f, 0, 17, 5, 0, size, 0);
    }
}

/* ---- creating devices */

static void assert_refused(struct fixture *f, const struct pci_device_type *type, const char *text,
                           int code, const char *message)
{
    struct error err = {0};
    unsigned count = f->host.device_count;
    assert_int_equal(create(f, type, text, &err), code);
    assert_string_equal(err.text, message);
    assert_null(strchr(err.text, '\n'));
    assert_int_equal(f->host.device_count, count);
}

static void test_slots(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(plug_test(f, "")->device.devfn, 1 << 3); /* 0 is the host bridge */
    assert_int_equal(plug_test(f, "addr=1f")->device.devfn, 0x1f << 3);
    assert_int_equal(plug_test(f, "addr=0x02")->device.devfn, 2 << 3);
    assert_int_equal(plug_test(f, "addr=05.0")->device.devfn, 5 << 3);
    static const struct pci_device_type preferring = {.name = "preferring",
                                                      .size = sizeof(struct test_device),
                                                      .default_slot = 9,
                                                      .realize = test_realize};
    assert_int_equal(plug(f, &preferring, "")->devfn, 9 << 3);
    assert_int_equal(plug(f, &preferring, "")->devfn, 3 << 3); /* taken: the first free one */
    assert_int_equal(plug_test(f, "bus=pcie.0")->device.devfn, 4 << 3);
}

static void test_slot_errors(void **state)
{
    struct fixture *f = *state;
    plug_test(f, "addr=4");
    plug_test(f, "addr=5,id=x");
    assert_refused(f, &test_type, "addr=4", -EBUSY,
                   "--device test-device: slot 00:04.0 is already taken by test-device");
    assert_refused(f, &test_type, "addr=5", -EBUSY,
                   "--device test-device: slot 00:05.0 is already taken by test-device (id=x)");
    assert_refused(f, &test_type, "addr=0", -EBUSY,
                   "--device test-device: slot 00:00.0 is already taken by host-bridge");
    static const char *const wrong[] = {"20",  "4.8",   "",   "x",  "4.", ".1",
                                        "123", "4.0.0", "4 ", "-1", "0x", "1f.77"};
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        char text[32];
        char message[160];
        snprintf(text, sizeof(text), "addr=%s", wrong[i]);
        snprintf(message, sizeof(message),
                 "--device test-device: addr=%s: expected SLOT or SLOT.FUNCTION in hexadecimal, "
                 "0 to 1f.7",
                 wrong[i]);
        assert_refused(f, &test_type, text, -EINVAL, message);
    }
}

static void test_full_bus(void **state)
{
    struct fixture *f = *state;
    for (unsigned slot = 1; slot < PCI_SLOT_COUNT; slot++) {
        plug_test(f, "");
    }
    assert_refused(f, &test_type, "", -EBUSY, "--device test-device: no slot is free on bus 00");
}

static void test_multifunction(void **state)
{
    struct fixture *f = *state;
    plug_test(f, "addr=4");
    assert_refused(f, &test_type, "addr=4.1", -EINVAL,
                   "--device test-device: the test-device at 00:04.0 is alone in its slot; give it "
                   "multifunction=on");
    assert_refused(f, &test_type, "addr=6.1", -EINVAL,
                   "--device test-device: slot 00:06 has no function 0 yet; create that first");
    plug_test(f, "addr=6,multifunction=on");
    struct pci_device *second = &plug_test(f, "addr=6.3")->device;
    assert_int_equal(cfg_read(f, 0, 6, 0, PCI_HEADER_TYPE, 1), 0x80);
    assert_int_equal(cfg_read(f, 0, 6, 3, PCI_HEADER_TYPE, 1), 0x80);
    assert_int_equal(cfg_read(f, 0, 4, 0, PCI_HEADER_TYPE, 1), 0);
    assert_int_equal(cfg_read(f, 0, 6, 1, 0, 4), UINT32_MAX);
    assert_int_equal(atomic_load(&second->dma.requester_id), 0x33);
    assert_refused(f, &test_type, "addr=7,multifunction=perhaps", -EINVAL,
                   "--device test-device: multifunction=perhaps: expected on or off");
}

static void test_ids(void **state)
{
    struct fixture *f = *state;
    struct pci_device *device = &plug_test(f, "id=one")->device;
    assert_ptr_equal(pci_host_find_id(&f->host, "one"), device);
    assert_null(pci_host_find_id(&f->host, "two"));
    assert_string_equal(device->name, "one");
    assert_refused(f, &test_type, "id=one", -EEXIST,
                   "--device test-device: id one is already taken by a test-device");
    assert_refused(f, &test_type, "id=pcie.0", -EINVAL,
                   "--device test-device: id 'pcie.0' cannot be used");
    assert_refused(f, &test_type, "id=", -EINVAL, "--device test-device: id '' cannot be used");
    char long_id[100] = "id=";
    memset(long_id + 3, 'x', 90);
    assert_int_equal(strlen(plug_test(f, long_id)->device.name), 31);
}

static void test_property_errors(void **state)
{
    struct fixture *f = *state;
    assert_refused(f, &test_type, "colour=red", -EINVAL,
                   "--device test-device: unknown property 'colour' (see --device "
                   "test-device,help)");
    assert_refused(f, &test_type, "bus=nowhere", -ENOENT,
                   "--device test-device: there is no device with id=nowhere (ports come before "
                   "what is plugged into them)");
    plug_test(f, "id=leaf");
    assert_refused(f, &test_type, "bus=leaf", -EINVAL,
                   "--device test-device: leaf is a test-device, not a port");
    assert_refused(f, &test_type, "fail=1", -EIO, "--device test-device: it was told to fail");
    plug_test(f, ""); /* and nothing was left behind in the slot */
    assert_refused(f, &root_port_type, "port=256", -ERANGE,
                   "--device root-port: port=256: expected 0 to 255");
}

static void test_link_errors(void **state)
{
    struct fixture *f = *state;
    plug(f, &root_port_type, "id=rp");
    assert_refused(f, &test_type, "bus=rp,addr=1", -EINVAL,
                   "--device test-device: behind rp there is only slot 00 (it is a link)");
    plug_test(f, "bus=rp");
    assert_refused(f, &test_type, "bus=rp", -EBUSY,
                   "--device test-device: no slot is free on bus rp");
    assert_refused(f, &test_type, "bus=rp,addr=0", -EBUSY,
                   "--device test-device: slot rp:00.0 is already taken by test-device");
}

static void test_places_of_ports(void **state)
{
    struct fixture *f = *state;
    assert_refused(f, &switch_upstream_type, "", -EINVAL,
                   "--device switch-upstream: a switch's upstream port must be behind a root port "
                   "or a downstream port (bus=ID)");
    assert_refused(f, &switch_downstream_type, "", -EINVAL,
                   "--device switch-downstream: a switch's downstream port must be behind an "
                   "upstream port (bus=ID)");
    plug(f, &root_port_type, "id=rp");
    assert_refused(f, &switch_downstream_type, "bus=rp", -EINVAL,
                   "--device switch-downstream: a switch's downstream port must be behind an "
                   "upstream port (bus=ID)");
    assert_refused(f, &root_port_type, "bus=rp", -EINVAL,
                   "--device root-port: a root port can only be on the root bus");
    plug(f, &switch_upstream_type, "id=up,bus=rp");
    assert_refused(f, &test_type, "bus=up", -EINVAL,
                   "--device test-device: only downstream ports can be inside the switch up: put a "
                   "switch-downstream there and this behind it");
    plug(f, &switch_downstream_type, "id=d1,bus=up,addr=1f");
    plug(f, &switch_upstream_type, "id=up2,bus=d1"); /* switches can be cascaded */
    plug(f, &switch_downstream_type, "id=d2,bus=up2");
    plug_test(f, "bus=d2,id=deep");
}

/* ---- life */

static unsigned destroyed;

static void count_unrealize(struct pci_device *device)
{
    assert_int_equal(device->devfn >> 3, 10 - destroyed);
    assert_null(device->bars[0].region.bus); /* off the bus before */
    destroyed++;
}

static void test_destroyed_last_first(void **state)
{
    struct fixture *f = *state;
    static struct pci_device_type type;
    type = test_type;
    type.unrealize = count_unrealize;
    destroyed = 0;
    for (unsigned slot = 8; slot <= 10; slot++) {
        char where[16];
        snprintf(where, sizeof(where), "addr=%x", slot);
        struct pci_device *device = plug(f, &type, where);
        cfg_write(f, 0, slot, 0, PCI_BASE_ADDRESS_0, 4, 0xe0000000 + slot * 0x1000);
        pci_config_write(device, PCI_COMMAND, 2, 7);
        pci_config_write(device, TEST_MSI + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE);
    }
    assert_int_equal(f->irq.reserved, 3);
    pci_host_destroy(&f->host);
    assert_int_equal(destroyed, 3);
    pci_host_destroy(&f->host); /* twice is allowed */
    assert_int_equal(f->mmio.count, 0);
    assert_int_equal(f->pio.count, 0);
}

static void count_device(void *opaque, struct pci_device *device)
{
    struct pci_device **seen = opaque;
    unsigned i = 0;
    while (seen[i]) {
        i++;
    }
    if (device->bus->parent) { /* its parent came before */
        bool found = false;
        for (unsigned j = 0; j < i; j++) {
            found |= seen[j] == device->bus->parent->device;
        }
        assert_true(found);
    }
    seen[i] = device;
}

static void test_for_each(void **state)
{
    struct fixture *f = *state;
    plug(f, &root_port_type, "id=rp,addr=9");
    plug_test(f, "addr=1");
    plug_test(f, "bus=rp");
    struct pci_device *seen[8] = {NULL};
    pci_host_for_each(&f->host, count_device, seen);
    assert_non_null(seen[3]);
    assert_null(seen[4]);
}

static void test_init_errors(void **state)
{
    struct fixture *f = *state;
    struct pci_host other;
    struct error err = {0};
    struct pci_host_config config = fixture_config(f);
    assert_int_equal(pci_host_init(&other, &config, &err), -EEXIST); /* the ECAM is taken */
    assert_string_equal(err.text, "pci ecam at 0xb0000000 overlaps pci ecam at 0xb0000000");
    config.ecam_base = 0x10000000;
    assert_int_equal(pci_host_init(&other, &config, &err), -EEXIST); /* CF8 is taken */
    assert_int_equal(f->mmio.count, 1);
    config.has_cf8 = false;
    config.pio = NULL;
    assert_int_equal(pci_host_init(&other, &config, &err), 0); /* as on a machine without ports */
    pci_host_destroy(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pci_unit_test(test_host_bridge),
        pci_unit_test(test_latch),
        pci_unit_test(test_narrow_accesses_to_the_latch),
        pci_unit_test(test_register_inside_the_latch),
        pci_unit_test(test_cfc_lanes),
        pci_unit_test(test_cfc_writes),
        pci_unit_test(test_cfc_disabled),
        pci_unit_test(test_cfc_borders),
        pci_unit_test(test_ecam_widths),
        pci_unit_test(test_ecam_writes),
        pci_unit_test(test_ecam_borders),
        pci_unit_test(test_both_ways_agree),
        pci_unit_test(test_nobody_there),
        pci_unit_test(test_slots),
        pci_unit_test(test_slot_errors),
        pci_unit_test(test_full_bus),
        pci_unit_test(test_multifunction),
        pci_unit_test(test_ids),
        pci_unit_test(test_property_errors),
        pci_unit_test(test_link_errors),
        pci_unit_test(test_places_of_ports),
        pci_unit_test(test_destroyed_last_first),
        pci_unit_test(test_for_each),
        pci_unit_test(test_init_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/*
 * A guest that means harm on a tree of bridges, engines and test devices: configuration space by
 * ECAM and by the two ports, whatever BARs answer, copies, resets. In the end a power-on reset
 * leaves no trace of it, as in tests/unit/test_hostile_guest.c, where chance takes the steps.
 */
#include "tests/fuzz/fuzz.h"
#include "tests/unit/hostile_fixture.h"

#define WINDOW 0xd0000000ull /* where BARs are put by a guest that knows how */

enum { BUSES = 7, STEPS_MAX = 200, PLACE = 0x4000 };

static struct fixture *f;

static struct pci_device *take_device(struct input *in)
{
    return f->host.devices[take8(in) % f->host.device_count];
}

/* ---- steps */

static uint64_t take_config_address(struct input *in)
{
    unsigned bus = take8(in) % BUSES;
    unsigned devfn = take8(in);
    return TEST_ECAM + ((uint64_t)bus << 20 | devfn << 12 | (take16(in) & 0xfff));
}

static void write_ecam(struct input *in)
{
    uint64_t address = take_config_address(in);
    unsigned size = take_width(in);
    bus_write(&f->memory, address, size, take(in, size));
}

static void read_ecam(struct input *in)
{
    uint64_t address = take_config_address(in);
    bus_read(&f->memory, address, take_width(in));
}

static void use_ports(struct input *in)
{
    uint32_t address = (uint32_t)take(in, 4);
    bus_write(&f->ports, 0xcf8, 4, address);
    unsigned place = 0xcf8 + take8(in) % 8;
    unsigned size = take_width(in) & 7;
    if (take8(in) & 1) {
        bus_write(&f->ports, place, size ? size : 1, take(in, 4));
    } else {
        bus_read(&f->ports, place, size ? size : 1);
    }
}

/* A register of a function that is there, wherever it is. */
static void write_register(struct input *in)
{
    struct pci_device *device = take_device(in);
    unsigned size = 1u << take8(in) % 3;
    unsigned reg = take16(in) % PCI_CONFIG_SIZE & ~(size - 1);
    pci_config_write(device, reg, size, (uint32_t)take(in, size));
}

static void use_window(struct input *in)
{
    uint64_t address = WINDOW + take(in, 3) % 0x20000;
    unsigned size = take_width(in);
    if (take8(in) & 1) {
        bus_write(&f->memory, address, size, take(in, size));
    } else {
        bus_read(&f->memory, address, size);
    }
}

static void use_io(struct input *in)
{
    unsigned place = take16(in);
    if (place < 0xcf8 || place > 0xcff) {
        bus_write(&f->ports, place, 1u << take8(in) % 3, take(in, 4));
    }
}

/* What a guest that knows how does: numbers, windows, BARs, interrupts. */
static void set_up(struct input *in)
{
    struct pci_device *device = take_device(in);
    unsigned what = take8(in);
    uint32_t msi = take8(in) & (PCI_MSI_FLAGS_ENABLE | PCI_MSI_FLAGS_QSIZE);
    if (device->bridge) {
        unsigned bus = atomic_load(&device->dma.requester_id) >> 8;
        number_bridge(device, bus + 1 + (what & 1), BUSES);
        set_window(device, 0xd0000000, 0xdff00000);
    } else {
        uint32_t place = (uint32_t)WINDOW + (what & 7) * PLACE;
        pci_config_write(device, PCI_BASE_ADDRESS_0, 4, place);
        pci_config_write(device, PCI_BASE_ADDRESS_4, 4, place ^ 0x10000);
        pci_config_write(device, device->msi.offset + PCI_MSI_FLAGS, 2, msi);
        if (device->msix.offset) {
            pci_config_write(device, device->msix.offset + PCI_MSIX_FLAGS, 2,
                             (uint32_t)(what >> 3 & 3) << 14);
        }
    }
    set_command(f, device, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

static void start_copy(struct input *in)
{
    uint64_t bar = WINDOW + (take8(in) & 7) * PLACE;
    bus_write(&f->memory, bar + DMA_ENGINE_SRC, 8, take(in, 3));
    bus_write(&f->memory, bar + DMA_ENGINE_DST, 8, take(in, 3));
    bus_write(&f->memory, bar + DMA_ENGINE_LEN_BYTES, 4, take(in, 3));
    bus_write(&f->memory, bar + DMA_ENGINE_INTX_ENABLE, 4, 1);
    bus_write(&f->memory, bar + DMA_ENGINE_CTRL, 4, 1);
}

/* A device for the empty port, the wish to have it back, the guest's answer, the main thread's
 * work. */
static void hot_plug(struct input *in)
{
    static const struct property_value values[] = {{"id", "hot"}, {"bus", "rp2"}};
    struct pci_device *port = pci_host_find_id(&f->host, "rp2");
    struct error err;
    switch (take8(in) % 4) {
    case 0: {
        const struct pci_device_type *type = take8(in) & 1 ? &dma_engine_type : &pci_testdev_type;
        (void)pci_host_plug(&f->host, type, values, 2, NULL, "device_add", &err);
        break;
    }
    case 1:
        (void)pci_host_unplug(&f->host, "hot", "device_del", &err);
        break;
    case 2:
        pci_config_write(port, port->express + PCI_EXP_SLTCTL, 2, (uint32_t)take(in, 2));
        break;
    default:
        if (f->host.eject.handler) {
            f->host.eject.handler(f->host.eject.opaque, 0);
        }
    }
}

static void reset(struct input *in)
{
    if (take8(in) % 8 == 0) {
        pci_host_reset(&f->host);
        assert_at_rest(f);
    }
}

static const step steps[] = {
    write_ecam, read_ecam, use_ports, write_register, write_register, use_window, use_window,
    use_io,     set_up,    set_up,    start_copy,     reset,          hot_plug,   hot_plug,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {.data = data, .left = size};
    void *state = NULL;
    hostile_setup(&state);
    f = state;
    run_steps(&in, steps, sizeof(steps) / sizeof(steps[0]), STEPS_MAX);
    pci_host_reset(&f->host);
    assert_at_rest(f);
    hostile_teardown(&state);
    forget_properties();
    return 0;
}

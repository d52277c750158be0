/* SPDX-License-Identifier: MIT */
#include "bench.h"

#include "devices/dma_engine_regs.h"
#include "devices/pci_testdev_regs.h"

static const struct {
    uint16_t vendor, device;
    uint32_t size, offset;
} known[] = {
    {DMA_ENGINE_VENDOR_ID, DMA_ENGINE_DEVICE_ID, DMA_ENGINE_BAR0_SIZE, DMA_ENGINE_STATUS},
    {PCI_TESTDEV_VENDOR_ID, PCI_TESTDEV_DEVICE_ID, PCI_TESTDEV_MEMORY_SIZE, PCI_TESTDEV_ID},
    {0x1234, 0x11e8, 0x100000, 0},
};

/* Where BAR0 is; placed and decoded. */
static uint64_t bar_of(unsigned bdf, uint32_t size)
{
    uint64_t base = pci_read32(bdf, PCI_BAR0) & ~0xfU;

    if (!base) {
        base = pci_allocate(size);
        pci_set_bar(bdf, 0, base);
    }
    pci_command(bdf, PCI_COMMAND_MEMORY, 0);
    return base;
}

uint64_t bench_register(unsigned nth)
{
    for (unsigned i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        for (unsigned n = 0;; n++) {
            const unsigned bdf = pci_find(0, known[i].vendor, known[i].device, n);

            if (bdf == PCI_NONE) {
                break;
            }
            if (!nth--) {
                return bar_of(bdf, known[i].size) + known[i].offset;
            }
        }
    }
    return 0;
}

/* Place and decode what is known, so that the bus is as full as its devices are many. */
static void place(unsigned bdf)
{
    const uint32_t ids = pci_read32(bdf, PCI_VENDOR_ID);

    for (unsigned i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (ids == ((uint32_t)known[i].device << 16 | known[i].vendor)) {
            bar_of(bdf, known[i].size);
        }
    }
}

static uint64_t started;

uint64_t bench_count(void)
{
    if (test_parameter("place", 0)) {
        pci_for_each(0, place);
    }
    started = arch_ticks();
    return test_parameter("n", 1000);
}

void bench_done(void)
{
    const uint64_t ticks = arch_ticks() - started;

    if (test_parameter("time", 0)) {
        print("BENCH n %lu ticks %lu\n", test_parameter("n", 1000), ticks);
    }
    arch_power_off();
}

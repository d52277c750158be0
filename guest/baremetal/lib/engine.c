/* SPDX-License-Identifier: MIT */
#include "engine.h"

#include "arch.h"
#include "pci.h"
#include "test.h"

bool engine_open(struct engine *engine, unsigned bus, unsigned nth)
{
    engine->bdf = pci_find(bus, DMA_ENGINE_VENDOR_ID, DMA_ENGINE_DEVICE_ID, nth);
    if (engine->bdf == PCI_NONE) {
        test_skip("no DMA engine");
        return false;
    }
    engine->base = pci_read32(engine->bdf, PCI_BAR0) & ~0xfU;
    if (!engine->base) {
        engine->base = pci_allocate(DMA_ENGINE_BAR0_SIZE);
    }
    engine_enable(engine);
    return true;
}

void engine_enable(struct engine *engine)
{
    pci_set_bar(engine->bdf, 0, engine->base);
    pci_command(engine->bdf, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, PCI_COMMAND_INTX_DISABLE);
    pci_msi_disable(engine->bdf);
    mmio_write32(engine->base + DMA_ENGINE_INTX_ENABLE, 0);
    mmio_write32(engine->base + DMA_ENGINE_INT_STATUS, 1);
}

void engine_start(const struct engine *engine, uint64_t src, uint64_t dst, uint32_t length)
{
    mmio_write64(engine->base + DMA_ENGINE_SRC, src);
    mmio_write64(engine->base + DMA_ENGINE_DST, dst);
    mmio_write32(engine->base + DMA_ENGINE_LEN_BYTES, length);
    mmio_write32(engine->base + DMA_ENGINE_CTRL, 1);
}

uint32_t engine_wait(const struct engine *engine)
{
    const uint64_t start = arch_ticks();
    uint32_t status;

    do {
        status = mmio_read32(engine->base + DMA_ENGINE_STATUS);
    } while (status & DMA_ENGINE_STATUS_BUSY && arch_ticks() - start < 20000 * arch_ticks_per_ms);
    return status;
}

uint32_t engine_copy(const struct engine *engine, const void *src, void *dst, uint32_t length)
{
    engine_start(engine, (uintptr_t)src, (uintptr_t)dst, length);
    return engine_wait(engine);
}

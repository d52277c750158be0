/* SPDX-License-Identifier: MIT */
/* The DMA engine: see devices/dma_engine.c, and docs/dma-engine.md for its registers. */
#ifndef DEVICES_DMA_ENGINE_H
#define DEVICES_DMA_ENGINE_H

#include "pci/pci_device.h"
#include "vmm/registers.h"

extern const struct pci_device_type dma_engine_type;

/* What is in BAR0. */
extern const struct register_block dma_engine_registers;

#endif

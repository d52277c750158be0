/* SPDX-License-Identifier: MIT */
/*
 * The DMA engine as a driver sees it: identity, register offsets in BAR0, bits. Constants only, so
 * that the device, its tests and bare-metal guests share them. The page for driver authors:
 * docs/dma-engine.md.
 */
#ifndef DEVICES_DMA_ENGINE_REGS_H
#define DEVICES_DMA_ENGINE_REGS_H

#define DMA_ENGINE_VENDOR_ID   0x1234
#define DMA_ENGINE_DEVICE_ID   0x3456
#define DMA_ENGINE_REVISION    0x10
#define DMA_ENGINE_CLASS       0x00ff00 /* base class 00: from before there were class codes */
#define DMA_ENGINE_BAR0_SIZE   0x4000
#define DMA_ENGINE_MSI_CAP     0x40
#define DMA_ENGINE_EXPRESS_CAP 0xe0

/* 64-bit registers, little-endian. Each may be accessed whole, or either half of it alone. */
#define DMA_ENGINE_SRC         0x1000
#define DMA_ENGINE_DST         0x1008
#define DMA_ENGINE_LEN         0x1010 /* the length is the upper half */
#define DMA_ENGINE_CTRL        0x1018 /* the status is the upper half */
#define DMA_ENGINE_ERROR       0x1020
#define DMA_ENGINE_FAULT_ADDR  0x1028
#define DMA_ENGINE_INTX_ENABLE 0x1030
#define DMA_ENGINE_INT_STATUS  0x1038
#define DMA_ENGINE_VERSION     0x1040

/* What a driver that accesses halves uses. */
#define DMA_ENGINE_LEN_BYTES     0x1014
#define DMA_ENGINE_STATUS        0x101c
#define DMA_ENGINE_BUSY_COUNT    0x1024
#define DMA_ENGINE_INLINE_MAX    0x1044
#define DMA_ENGINE_CTRL_START    0x1
#define DMA_ENGINE_STATUS_DONE   0x1
#define DMA_ENGINE_STATUS_ERROR  0x2
#define DMA_ENGINE_STATUS_BUSY   0x4
#define DMA_ENGINE_INTX_ENABLED  0x1
#define DMA_ENGINE_INT_PENDING   0x1
#define DMA_ENGINE_VERSION_VALUE 1

/* ERROR, lower half: why the last copy failed. */
enum dma_engine_error {
    DMA_ENGINE_ERROR_NONE = 0,
    DMA_ENGINE_ERROR_BUS_MASTER = 1,  /* bus mastering is switched off, here or in a bridge above */
    DMA_ENGINE_ERROR_TRANSLATION = 2, /* the IOMMU refused */
    DMA_ENGINE_ERROR_NO_MEMORY = 3,   /* no RAM there: a BAR, the engine itself, a hole */
    DMA_ENGINE_ERROR_LENGTH = 4,      /* 0, or an address + length beyond 2^64 */
};

#endif

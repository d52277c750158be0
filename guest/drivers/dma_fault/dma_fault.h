/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * dma_fault - a test driver for minivmm's DMA engine that copies between any bus addresses.
 *
 *	fault.c	binds to the engine; the sysfs files map, unmap, slots and copy
 *	soak.c	the sysfs file soak: random copies and faults, each of them verified
 */
#ifndef DMA_FAULT_H
#define DMA_FAULT_H

#include <linux/dma-direction.h>
#include <linux/mutex.h>
#include <linux/pci.h>

#define DMA_FAULT_SLOTS 4

/* A buffer of the tests. It keeps its memory and its address when it has been unmapped. */
struct dma_fault_slot {
	void *cpu;	/* NULL: never used */
	size_t bytes;
	dma_addr_t bus;
	enum dma_data_direction direction;
	bool mapped;
};

/* What the last soak did. */
struct dma_fault_soak {
	u64 copies;	/* all of them, the faults included */
	u64 faults;	/* copies that were made to fail */
	u64 bytes;	/* of the copies that were to succeed */
	u64 wrong;	/* copies whose outcome was not the intended one */
};

struct dma_fault {
	struct pci_dev *pdev;
	void __iomem *regs;
	struct mutex lock; /* guards all below, and the engine: one user at a time */
	struct dma_fault_slot slots[DMA_FAULT_SLOTS];
	u32 code;	/* of the last copy; enum dma_engine_error */
	u64 fault_addr;
	bool lost;	/* a copy did not end: its memory is never freed, no other is started */
	struct dma_fault_soak soak;
};

/* fault.c */
int dma_fault_copy(struct dma_fault *fault, dma_addr_t src, dma_addr_t dst, u32 len);

/* soak.c */
int dma_fault_soak(struct dma_fault *fault, unsigned int ms, u32 seed);

#endif

/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * dma_engine - guest driver of minivmm's DMA engine (PCI 1234:3456).
 *
 *	pci.c		finds the device: probe, interrupt, reset, removal
 *	engine.c	the registers and the queue of copies
 *	test.c		the sysfs file copy_size, a user of the queue
 *	provider.c	a dmaengine DMA_MEMCPY channel, the other user of the queue
 *
 * The engine does one copy at a time. Every copy, whoever wants it, is a struct dma_engine_job that
 * passes through one queue:
 *
 *	dma_engine_submit() -> queue -> running -> ended -> job->done()
 *
 * The hard interrupt handler moves the job whose copy has ended to "ended" and starts the next
 * copy at once; the interrupt's thread then calls done(), which may take its time.
 *
 * Invariants:
 *   - A job that was accepted ends: by the device, by the watchdog that resets a device which takes
 *     too long, or by removal. Nobody needs a time limit of their own.
 *   - Jobs end in the order in which they were submitted, and done() is called in that order, once.
 *   - No register is touched unless engine->state is UP, or by the one who made it PAUSED.
 *   - When done() is called the device no longer accesses the job's memory, unless job->unstopped.
 *
 * Locks, outermost first: the PCI core's configuration access lock (it serialises resets),
 * engine->deliver_lock, the provider's lock, engine->lock (taken in the hard interrupt handler).
 */
#ifndef DMA_ENGINE_H
#define DMA_ENGINE_H

#include <linux/bits.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

/* Offsets in BAR0, little-endian. The 64-bit registers may be accessed by halves. */
#define DMA_ENGINE_SRC		0x1000	/* 64 bits: bus address to read from */
#define DMA_ENGINE_DST		0x1008	/* 64 bits: bus address to write to */
#define DMA_ENGINE_LEN		0x1014	/* high half of 0x1010: bytes to copy */
#define DMA_ENGINE_CTRL		0x1018	/* low half: control */
#define   DMA_ENGINE_START	BIT(0)
#define DMA_ENGINE_STATUS	0x101c	/* high half of 0x1018: status */
#define   DMA_ENGINE_DONE	BIT(0)
#define   DMA_ENGINE_ERROR	BIT(1)
#define   DMA_ENGINE_BUSY	BIT(2)
#define DMA_ENGINE_ERROR_CODE	0x1020	/* enum dma_engine_error */
#define DMA_ENGINE_FAULT_ADDR	0x1028	/* 64 bits: where the last copy failed */
#define DMA_ENGINE_INTX_CTRL	0x1030
#define   DMA_ENGINE_INTX_ENABLE	BIT(0)
#define DMA_ENGINE_INTR		0x1038	/* write 1 to clear */
#define   DMA_ENGINE_PENDING	BIT(0)
#define DMA_ENGINE_VERSION	0x1040
#define DMA_ENGINE_INLINE_SIZE	0x1044	/* copies up to this end within the START write */
#define DMA_ENGINE_BAR_SIZE	0x4000

/* What a read returns where no device answers: removed, or memory decoding is off. */
#define DMA_ENGINE_NO_ANSWER	0xffffffffU

/* Values of DMA_ENGINE_ERROR_CODE. */
enum dma_engine_error {
	DMA_ENGINE_ERR_NONE = 0,
	DMA_ENGINE_ERR_BUS_MASTER = 1,	/* bus mastering is off */
	DMA_ENGINE_ERR_TRANSLATION = 2,	/* the IOMMU has no mapping or permission */
	DMA_ENGINE_ERR_NO_MEMORY = 3,	/* no RAM at that address */
	DMA_ENGINE_ERR_LENGTH = 4,	/* zero, or address plus length wraps */
};

enum dma_engine_state {
	DMA_ENGINE_DOWN,	/* before probe, after removal, broken: jobs are refused */
	DMA_ENGINE_PAUSED,	/* being reset: jobs are queued, none is started */
	DMA_ENGINE_UP,
};

/*
 * One copy. The submitter fills the first group and owns the memory of the struct; from a
 * successful dma_engine_submit() until done() is called it belongs to the queue.
 */
struct dma_engine_job {
	dma_addr_t src;		/* bus addresses, as the DMA API gave them */
	dma_addr_t dst;
	u32 len;		/* bytes, not 0 */
	void (*done)(struct dma_engine_job *job);	/* process context, no lock held */

	int status;		/* -EINPROGRESS, then 0, -EIO, -ETIMEDOUT, -ENODEV: device gone */
	bool unstopped;		/* the device may still access the memory: never free it */
	const char *reason;	/* the status in words */
	u64 fault_addr;		/* where the device says that it failed, or 0 */

	struct list_head node;	/* in engine->queue or engine->ended */
};

/* True when the outcome is known. Orders the reads of the copied data after it. Any context. */
static inline bool dma_engine_job_ended(const struct dma_engine_job *job)
{
	/* Pairs with the store in engine.c's end_job(). */
	return smp_load_acquire(&job->status) != -EINPROGRESS;
}

struct dma_engine_provider;

struct dma_engine {
	struct kref ref;	/* one of the bound driver, one of the provider */
	struct pci_dev *pdev;
	void __iomem *regs;	/* BAR0; unmapped after removal */
	bool poll;		/* no interrupt: the watch work looks for the end of a copy */

	spinlock_t lock;	/* guards the next five */
	enum dma_engine_state state;
	struct list_head queue;
	struct dma_engine_job *running;
	unsigned long deadline;	/* of the running job, in jiffies */
	struct list_head ended;

	struct mutex deliver_lock; /* held while done() is called: keeps the order */
	struct delayed_work watch;
	struct mutex test_lock;	/* one copy_size test at a time */
	struct dma_engine_provider *provider;
};

/* engine.c */
struct dma_engine *dma_engine_alloc(struct pci_dev *pdev);
void dma_engine_put(struct dma_engine *engine);
void dma_engine_up(struct dma_engine *engine);
void dma_engine_down(struct dma_engine *engine);
void dma_engine_pause(struct dma_engine *engine);
void dma_engine_resume(struct dma_engine *engine);
int dma_engine_reset(struct dma_engine *engine);
int dma_engine_submit(struct dma_engine *engine, struct dma_engine_job *job);
bool dma_engine_cancel(struct dma_engine *engine, struct dma_engine_job *job);
bool dma_engine_interrupt(struct dma_engine *engine);
bool dma_engine_harvest(struct dma_engine *engine);
void dma_engine_deliver(struct dma_engine *engine);

/* test.c */
int dma_engine_test(struct dma_engine *engine, size_t size);

/* provider.c */
#ifdef CONFIG_DMA_ENGINE
int dma_engine_provider_register(struct dma_engine *engine);
void dma_engine_provider_unregister(struct dma_engine *engine);
#else
static inline int dma_engine_provider_register(struct dma_engine *engine)
{
	return 0;
}

static inline void dma_engine_provider_unregister(struct dma_engine *engine)
{
}
#endif

#endif

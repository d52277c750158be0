// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The registers of the DMA engine, and the queue of copies in front of them.
 *
 * The life of a copy, and why nothing in it can be seen out of order:
 *
 *  1. The submitter fills its buffers and hands them over with dma_map_*(), which writes caches
 *     back where the device does not snoop them.
 *  2. start_copy() writes SRC, DST, LEN and then START. writel() and writeq() order all earlier
 *     stores to memory before the store to the device, so the engine finds the data in memory;
 *     stores to one device stay in order, so START is the last one that it sees.
 *  3. The engine copies, and sets DONE as its very last action, when all the data is visible.
 *     Were DONE set earlier, a driver that polls would read old bytes. The MSI is a memory write
 *     that the device sends after the data and that cannot overtake it.
 *  4. The driver reads STATUS, in the interrupt handler or by polling. readl() orders the read
 *     before all later loads, so no byte of the destination can have been fetched before DONE was
 *     seen. The read is needed with an interrupt too: INTx is a wire beside the bus and may come
 *     before the last data, which the answer to a read cannot.
 *  5. dma_unmap_*() hands the buffers back to the CPU; only now may the submitter look at them.
 */
#include <linux/delay.h>
#include <linux/io.h>
#include <linux/io-64-nonatomic-lo-hi.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "dma_engine.h"

/* Pause between two looks at STATUS, in microseconds, when polling. */
#define POLL_MIN_US 10
#define POLL_MAX_US 50
/* Time allowed on top of timeout_ms: a millisecond for each 4 KiB, a slow emulator's speed. */
#define TIMEOUT_BYTES_PER_MS 4096

static unsigned int timeout_ms = 10000;
module_param(timeout_ms, uint, 0644);
MODULE_PARM_DESC(timeout_ms, "Time limit of a copy, plus 1 ms for each 4 KiB (default 10000)");

static const char out_of_use[] = "the device is out of use";

/* ---- The registers ---- */

static u32 read_status(struct dma_engine *engine)
{
	return readl(engine->regs + DMA_ENGINE_STATUS);
}

static bool is_copying(struct dma_engine *engine)
{
	u32 status = read_status(engine);

	return status != DMA_ENGINE_NO_ANSWER && (status & DMA_ENGINE_BUSY);
}

static void start_copy(struct dma_engine *engine, const struct dma_engine_job *job)
{
	writeq(job->src, engine->regs + DMA_ENGINE_SRC);
	writeq(job->dst, engine->regs + DMA_ENGINE_DST);
	writel(job->len, engine->regs + DMA_ENGINE_LEN);
	writel(DMA_ENGINE_START, engine->regs + DMA_ENGINE_CTRL);
}

/*
 * INTx is a level, and it is off out of reset. With MSI it stays off; while polling or in a reset
 * nobody would lower it.
 */
static void set_intx(struct dma_engine *engine, bool on)
{
	bool wanted = on && !engine->poll && !engine->pdev->msi_enabled;

	writel(wanted ? DMA_ENGINE_INTX_ENABLE : 0, engine->regs + DMA_ENGINE_INTX_CTRL);
}

static const char *error_text(u32 code)
{
	switch (code) {
	case DMA_ENGINE_ERR_BUS_MASTER:
		return "bus mastering is off";
	case DMA_ENGINE_ERR_TRANSLATION:
		return "the IOMMU refused the address";
	case DMA_ENGINE_ERR_NO_MEMORY:
		return "there is no memory at the address";
	case DMA_ENGINE_ERR_LENGTH:
		return "the length is zero or wraps";
	case DMA_ENGINE_ERR_NONE:
		return "an error without a code";
	default:
		return "an error of an unknown code";
	}
}

/* Clears PENDING, which lowers INTx; true if it was set. */
static bool acknowledge(struct dma_engine *engine)
{
	u32 intr = readl(engine->regs + DMA_ENGINE_INTR);

	if (intr == DMA_ENGINE_NO_ANSWER || !(intr & DMA_ENGINE_PENDING))
		return false;
	writel(DMA_ENGINE_PENDING, engine->regs + DMA_ENGINE_INTR);
	return true;
}

/* ---- The queue ---- */

/*
 * Gives a job its outcome. The status is written last and with release semantics: who reads it
 * without the lock finds the rest. Caller holds the lock, and has dma_engine_deliver() called.
 */
static void end_job(struct dma_engine *engine, struct dma_engine_job *job, int status,
		    const char *reason)
{
	lockdep_assert_held(&engine->lock);
	job->reason = reason;
	list_move_tail(&job->node, &engine->ended);
	/* Pairs with the load in dma_engine_job_ended(). */
	smp_store_release(&job->status, status);
}

static void end_running(struct dma_engine *engine, int status, const char *reason)
{
	end_job(engine, engine->running, status, reason);
	engine->running = NULL;
}

/* Ends the running job if the device says that its copy has ended. Caller holds the lock. */
static bool end_if_done(struct dma_engine *engine)
{
	u32 status = read_status(engine);

	if (status == DMA_ENGINE_NO_ANSWER || !(status & DMA_ENGINE_DONE))
		return false;
	if (status == DMA_ENGINE_DONE) {
		end_running(engine, 0, "no error");
		return true;
	}
	engine->running->fault_addr = readq(engine->regs + DMA_ENGINE_FAULT_ADDR);
	end_running(engine, -EIO, error_text(readl(engine->regs + DMA_ENGINE_ERROR_CODE)));
	return true;
}

/* Gives the running copy its full time from now. Caller holds the lock. */
static void arm_watch(struct dma_engine *engine)
{
	unsigned long limit = msecs_to_jiffies(READ_ONCE(timeout_ms)) +
			      msecs_to_jiffies(engine->running->len / TIMEOUT_BYTES_PER_MS);

	engine->deadline = jiffies + limit;
	mod_delayed_work(system_long_wq, &engine->watch, engine->poll ? 0 : limit);
}

/* Starts the first job of the queue if the engine is free. Caller holds the lock. */
static void start_next(struct dma_engine *engine)
{
	struct dma_engine_job *job;

	lockdep_assert_held(&engine->lock);
	if (engine->state != DMA_ENGINE_UP || engine->running || list_empty(&engine->queue))
		return;
	job = list_first_entry(&engine->queue, struct dma_engine_job, node);
	list_del_init(&job->node);
	engine->running = job;
	start_copy(engine, job);
	arm_watch(engine);
}

/*
 * Queues a copy and starts it if the engine is free. Any context; takes engine->lock.
 * 0: job->done() will be called once. -ENODEV: the device is gone, done() will not be called.
 */
int dma_engine_submit(struct dma_engine *engine, struct dma_engine_job *job)
{
	unsigned long flags;
	int err = 0;

	job->unstopped = false;
	job->fault_addr = 0;
	job->status = -EINPROGRESS;
	INIT_LIST_HEAD(&job->node);
	spin_lock_irqsave(&engine->lock, flags);
	if (engine->state == DMA_ENGINE_DOWN) {
		job->reason = out_of_use;
		job->status = -ENODEV;
		err = -ENODEV;
	} else {
		list_add_tail(&job->node, &engine->queue);
		start_next(engine);
	}
	spin_unlock_irqrestore(&engine->lock, flags);
	return err;
}

/*
 * Takes back a submitted job that has not been started; true means that it is the caller's again
 * and that done() will not be called. Any context; takes engine->lock.
 */
bool dma_engine_cancel(struct dma_engine *engine, struct dma_engine_job *job)
{
	unsigned long flags;
	bool queued;

	spin_lock_irqsave(&engine->lock, flags);
	queued = !list_empty(&job->node) && job->status == -EINPROGRESS;
	if (queued)
		list_del_init(&job->node);
	spin_unlock_irqrestore(&engine->lock, flags);
	return queued;
}

/* Caller holds the lock. */
static bool harvest_locked(struct dma_engine *engine)
{
	bool ended = engine->state == DMA_ENGINE_UP && engine->running && end_if_done(engine);

	if (ended)
		start_next(engine);
	return ended;
}

/*
 * Looks whether the running copy has ended; if so starts the next one and returns true. Does not
 * call done(): the interrupt's thread does, or the watch. Any context; takes engine->lock.
 */
bool dma_engine_harvest(struct dma_engine *engine)
{
	unsigned long flags;
	bool ended;

	spin_lock_irqsave(&engine->lock, flags);
	ended = harvest_locked(engine);
	spin_unlock_irqrestore(&engine->lock, flags);
	return ended;
}

/*
 * The hard interrupt handler's work; true if the interrupt was this device's. PENDING is cleared
 * before STATUS is read, so that the interrupt of a copy that ends in between is not lost.
 */
bool dma_engine_interrupt(struct dma_engine *engine)
{
	unsigned long flags;
	bool ours;

	spin_lock_irqsave(&engine->lock, flags);
	ours = engine->state == DMA_ENGINE_UP && acknowledge(engine);
	if (ours)
		harvest_locked(engine);
	spin_unlock_irqrestore(&engine->lock, flags);
	return ours;
}

static struct dma_engine_job *take_ended(struct dma_engine *engine)
{
	struct dma_engine_job *job;
	unsigned long flags;

	spin_lock_irqsave(&engine->lock, flags);
	job = list_first_entry_or_null(&engine->ended, struct dma_engine_job, node);
	if (job)
		list_del_init(&job->node);
	spin_unlock_irqrestore(&engine->lock, flags);
	return job;
}

/* Calls done() of all jobs that have ended. Sleeps. */
void dma_engine_deliver(struct dma_engine *engine)
{
	struct dma_engine_job *job;

	mutex_lock(&engine->deliver_lock);
	while ((job = take_ended(engine)))
		job->done(job);
	mutex_unlock(&engine->deliver_lock);
}

/* ---- Stopping: time limits, resets, removal ---- */

/* Accepts jobs from now on. The device must be idle, the interrupt requested. */
void dma_engine_up(struct dma_engine *engine)
{
	unsigned long flags;

	spin_lock_irqsave(&engine->lock, flags);
	writel(DMA_ENGINE_PENDING, engine->regs + DMA_ENGINE_INTR);
	engine->state = DMA_ENGINE_UP;
	set_intx(engine, true);
	spin_unlock_irqrestore(&engine->lock, flags);
}

/* True when the running copy has used up its time. Caller holds the lock. */
static bool is_late(struct dma_engine *engine)
{
	return engine->state == DMA_ENGINE_UP && engine->running &&
	       time_after_eq(jiffies, engine->deadline);
}

/* Caller holds the lock. */
static void pause_up_engine(struct dma_engine *engine)
{
	set_intx(engine, false);
	engine->state = DMA_ENGINE_PAUSED;
}

/* Keeps everyone off the registers while the device is being reset. Jobs go on being queued. */
void dma_engine_pause(struct dma_engine *engine)
{
	unsigned long flags;

	spin_lock_irqsave(&engine->lock, flags);
	if (engine->state == DMA_ENGINE_UP)
		pause_up_engine(engine);
	spin_unlock_irqrestore(&engine->lock, flags);
}

/* The same if the running copy is late; says whether it is. Nobody can harvest it any more. */
static bool pause_if_late(struct dma_engine *engine)
{
	unsigned long flags;
	bool late;

	spin_lock_irqsave(&engine->lock, flags);
	late = is_late(engine);
	if (late)
		pause_up_engine(engine);
	spin_unlock_irqrestore(&engine->lock, flags);
	return late;
}

/*
 * Undoes dma_engine_pause(). A reset returns all registers to 0, so a copy that left no trace in
 * STATUS was stopped by it. A trace means that the reset did not happen: the copy runs on.
 */
void dma_engine_resume(struct dma_engine *engine)
{
	unsigned long flags;

	spin_lock_irqsave(&engine->lock, flags);
	if (engine->state == DMA_ENGINE_PAUSED) {
		engine->state = DMA_ENGINE_UP;
		set_intx(engine, true);
		if (engine->running && !read_status(engine))
			end_running(engine, -EIO, "a reset of the device stopped the copy");
		if (engine->running)
			arm_watch(engine); /* its time may have run out during the pause */
		start_next(engine);
		harvest_locked(engine);
	}
	spin_unlock_irqrestore(&engine->lock, flags);
	dma_engine_deliver(engine);
}

/*
 * Stops the device by a function level reset and restores its configuration. 0: it is idle and
 * accesses no memory. Otherwise an errno, and bus mastering is left off as the last resort.
 *
 * Not pci_reset_function(): that takes the device lock, which removal holds while it waits for the
 * very copy that is to be stopped here. Caller holds the configuration access lock instead, which
 * serialises with the PCI core's own resets, and keeps others off the registers. Sleeps 100 ms.
 */
int dma_engine_reset(struct dma_engine *engine)
{
	struct pci_dev *pdev = engine->pdev;
	int err;

	if (!pci_device_is_present(pdev))
		return 0; /* pulled out: it stopped */
	pci_save_state(pdev);
	pci_clear_master(pdev);
	err = pcie_reset_flr(pdev, PCI_RESET_DO_RESET);
	pci_restore_state(pdev);
	if (!err && is_copying(engine))
		err = -EIO;
	if (err) {
		pci_clear_master(pdev);
		pci_err(pdev, "the device cannot be stopped (%d)\n", err);
	}
	return err;
}

/* Refuses jobs from now on. */
static void set_down(struct dma_engine *engine)
{
	unsigned long flags;

	spin_lock_irqsave(&engine->lock, flags);
	if (engine->state == DMA_ENGINE_UP)
		set_intx(engine, false);
	engine->state = DMA_ENGINE_DOWN;
	spin_unlock_irqrestore(&engine->lock, flags);
}

/* Ends the running job, if there is one, whose copy is no longer under way. */
static void fail_running(struct dma_engine *engine, int status, const char *reason)
{
	unsigned long flags;

	spin_lock_irqsave(&engine->lock, flags);
	if (engine->running)
		end_running(engine, status, reason);
	spin_unlock_irqrestore(&engine->lock, flags);
}

/* Ends all jobs of an engine that is DOWN. */
static void fail_all(struct dma_engine *engine, int status, const char *reason)
{
	struct dma_engine_job *job, *next;
	unsigned long flags;

	fail_running(engine, status, reason);
	spin_lock_irqsave(&engine->lock, flags);
	list_for_each_entry_safe(job, next, &engine->queue, node)
		end_job(engine, job, -ENODEV, out_of_use);
	spin_unlock_irqrestore(&engine->lock, flags);
}

/* True while there is a copy to wait for, or a pause to sit out. */
static bool is_worth_polling(struct dma_engine *engine)
{
	unsigned long flags;
	bool worth;

	spin_lock_irqsave(&engine->lock, flags);
	worth = engine->state != DMA_ENGINE_DOWN && engine->running && !is_late(engine);
	spin_unlock_irqrestore(&engine->lock, flags);
	return worth;
}

/*
 * Ends the running job of a paused engine if its copy has ended, unseen until it was late. A copy
 * without an interrupt has failed, however good the data, or a broken interrupt would never be
 * noticed. An error is reported as itself: with bus mastering off there is no MSI either.
 */
static bool end_unseen(struct dma_engine *engine)
{
	unsigned long flags;
	bool ended = true;

	spin_lock_irqsave(&engine->lock, flags);
	if (read_status(engine) == DMA_ENGINE_DONE && !engine->poll)
		end_running(engine, -ETIMEDOUT, "the copy ended without an interrupt");
	else
		ended = end_if_done(engine);
	spin_unlock_irqrestore(&engine->lock, flags);
	return ended;
}

/*
 * The running copy is late. If it is still under way the device is reset, because the memory must
 * not go back to its owner while a copy may still write to it.
 */
static void recover(struct dma_engine *engine)
{
	if (!pci_device_is_present(engine->pdev)) {
		set_down(engine);
		fail_all(engine, -ENODEV, out_of_use);
	} else if (end_unseen(engine)) {
		return;
	} else if (!dma_engine_reset(engine)) {
		fail_running(engine, -ETIMEDOUT, "the device took too long and was reset");
	} else {
		set_down(engine);
		engine->running->unstopped = true;
		fail_all(engine, -ETIMEDOUT, "the device does not stop");
	}
}

/*
 * The watch work: runs once a copy is late or, where there is no interrupt, as soon as it was
 * started, and then polls. start_next() puts it off for every new copy.
 */
static void watch_work(struct work_struct *work)
{
	struct dma_engine *engine = container_of(to_delayed_work(work), struct dma_engine, watch);

	while (engine->poll && is_worth_polling(engine)) {
		if (dma_engine_harvest(engine))
			dma_engine_deliver(engine);
		else
			usleep_range(POLL_MIN_US, POLL_MAX_US);
	}
	/* Not during a reset by somebody else, which may end the copy too. */
	pci_cfg_access_lock(engine->pdev);
	if (pause_if_late(engine)) {
		recover(engine);
		dma_engine_resume(engine);
	}
	pci_cfg_access_unlock(engine->pdev);
	dma_engine_deliver(engine);
}

/*
 * Refuses jobs from now on, stops the device and ends all jobs as failed. Afterwards no register
 * is accessed again. Sleeps. The caller frees the interrupt after it.
 */
void dma_engine_down(struct dma_engine *engine)
{
	set_down(engine);
	cancel_delayed_work_sync(&engine->watch);
	/* The state keeps everybody else off the running job now. */
	if (engine->running) {
		pci_cfg_access_lock(engine->pdev);
		engine->running->unstopped = dma_engine_reset(engine);
		pci_cfg_access_unlock(engine->pdev);
	}
	fail_all(engine, -ENODEV, out_of_use);
	dma_engine_deliver(engine);
}

/* ---- Allocation ---- */

/*
 * Allocates an engine that is DOWN, with one reference. The struct outlives the driver's binding
 * while a dmaengine client still holds the channel. NULL when there is no memory.
 */
struct dma_engine *dma_engine_alloc(struct pci_dev *pdev)
{
	struct dma_engine *engine = kzalloc(sizeof(*engine), GFP_KERNEL);

	if (!engine)
		return NULL;
	kref_init(&engine->ref);
	engine->pdev = pci_dev_get(pdev);
	spin_lock_init(&engine->lock);
	engine->state = DMA_ENGINE_DOWN;
	INIT_LIST_HEAD(&engine->queue);
	INIT_LIST_HEAD(&engine->ended);
	INIT_DELAYED_WORK(&engine->watch, watch_work);
	mutex_init(&engine->deliver_lock);
	mutex_init(&engine->test_lock);
	return engine;
}

static void engine_release(struct kref *ref)
{
	struct dma_engine *engine = container_of(ref, struct dma_engine, ref);

	pci_dev_put(engine->pdev);
	kfree(engine);
}

/* Drops one reference. */
void dma_engine_put(struct dma_engine *engine)
{
	kref_put(&engine->ref, engine_release);
}

// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The DMA engine as a provider of the kernel's dmaengine framework: one channel that can do
 * DMA_MEMCPY at any alignment. The kernel's own dmatest module can run against it.
 *
 * A descriptor wraps one job of the engine's queue and is in one of three lists:
 *
 *	prep_dma_memcpy() -> prepared -> tx_submit() -> submitted -> issue_pending() -> issued
 *
 * "submitted" has a cookie, a number that grows; "issued" is in the engine's queue. The queue is
 * first in, first out, so that "the last completed cookie" says all about the older ones too.
 * After the job's end the client's callback is called and the descriptor freed: the client may
 * use the cookie after that, not the descriptor.
 *
 * The channel is private (DMA_PRIVATE): used by who asks for it by name or filter, not by the
 * network or RAID code on its own account.
 *
 * Removal while a client holds the channel: the engine refuses all work, prep_dma_memcpy() and
 * tx_submit() fail, and the structs live until the client lets go (device_release).
 */
#include <linux/dmaengine.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/wait.h>

#include "dma_engine.h"

struct provider_desc {
	struct dma_async_tx_descriptor tx;
	struct dma_engine_job job;
	struct list_head node;
	bool terminated; /* ends without a callback */
};

struct dma_engine_provider {
	struct dma_device dma;
	struct dma_chan chan;
	struct dma_engine *engine; /* holds a reference */

	spinlock_t lock; /* guards the rest, and the channel's cookies; outside engine->lock */
	struct list_head prepared;
	struct list_head submitted;
	struct list_head issued;
	unsigned int in_flight; /* issued, until the callback has returned */
	dma_cookie_t failed;	/* the last cookie that ended with an error */
	wait_queue_head_t idle; /* in_flight became 0 */
};

static struct dma_engine_provider *to_provider(struct dma_chan *chan)
{
	return container_of(chan, struct dma_engine_provider, chan);
}

static struct provider_desc *to_desc(struct dma_async_tx_descriptor *tx)
{
	return container_of(tx, struct provider_desc, tx);
}

static void free_list(struct list_head *list)
{
	struct provider_desc *desc, *next;

	list_for_each_entry_safe(desc, next, list, node) {
		dma_descriptor_unmap(&desc->tx);
		kfree(desc);
	}
}

/* ---- The end of a job ---- */

static bool is_within(u64 addr, dma_addr_t start, u32 len)
{
	return addr >= start && addr - start < len;
}

static enum dmaengine_tx_result to_result(const struct dma_engine_job *job)
{
	if (!job->status)
		return DMA_TRANS_NOERROR;
	if (job->status == -EIO && is_within(job->fault_addr, job->src, job->len))
		return DMA_TRANS_READ_FAILED;
	if (job->status == -EIO && is_within(job->fault_addr, job->dst, job->len))
		return DMA_TRANS_WRITE_FAILED;
	return DMA_TRANS_ABORTED;
}

static void call_back(struct dma_async_tx_descriptor *tx, const struct dma_engine_job *job)
{
	struct dmaengine_result result = {
		.result = to_result(job),
		.residue = job->status ? job->len : 0,
	};

	if (tx->callback_result)
		tx->callback_result(tx->callback_param, &result);
	else if (tx->callback)
		tx->callback(tx->callback_param);
}

/* Caller holds the lock. */
static void complete_cookie(struct dma_engine_provider *provider, const struct provider_desc *desc)
{
	provider->chan.completed_cookie = desc->tx.cookie;
	if (desc->job.status)
		provider->failed = desc->tx.cookie;
}

static void desc_done(struct dma_engine_job *job)
{
	struct provider_desc *desc = container_of(job, struct provider_desc, job);
	struct dma_engine_provider *provider = to_provider(desc->tx.chan);
	bool terminated;
	unsigned long flags;

	spin_lock_irqsave(&provider->lock, flags);
	list_del(&desc->node);
	terminated = desc->terminated;
	if (!terminated)
		complete_cookie(provider, desc);
	spin_unlock_irqrestore(&provider->lock, flags);

	dma_descriptor_unmap(&desc->tx);
	if (!terminated)
		call_back(&desc->tx, job);
	kfree(desc);

	/* Within the lock: once this is seen the provider may be freed. */
	spin_lock_irqsave(&provider->lock, flags);
	if (!--provider->in_flight)
		wake_up_all(&provider->idle);
	spin_unlock_irqrestore(&provider->lock, flags);
}

/* ---- Operations of the channel ---- */

static dma_cookie_t desc_submit(struct dma_async_tx_descriptor *tx)
{
	struct dma_engine_provider *provider = to_provider(tx->chan);
	unsigned long flags;
	dma_cookie_t cookie;

	spin_lock_irqsave(&provider->lock, flags);
	cookie = tx->chan->cookie;
	cookie = cookie < DMA_MIN_COOKIE || cookie == S32_MAX ? DMA_MIN_COOKIE : cookie + 1;
	tx->cookie = cookie;
	tx->chan->cookie = cookie;
	list_move_tail(&to_desc(tx)->node, &provider->submitted);
	spin_unlock_irqrestore(&provider->lock, flags);
	return cookie;
}

/* A copy of @len bytes. NULL if the engine cannot do it or is gone. Any context. */
static struct dma_async_tx_descriptor *prep_memcpy(struct dma_chan *chan, dma_addr_t dst,
						   dma_addr_t src, size_t len, unsigned long flags)
{
	struct dma_engine_provider *provider = to_provider(chan);
	struct provider_desc *desc;
	unsigned long irq_flags;

	if (!len || len > U32_MAX || READ_ONCE(provider->engine->state) == DMA_ENGINE_DOWN)
		return NULL;
	desc = kzalloc(sizeof(*desc), GFP_NOWAIT);
	if (!desc)
		return NULL;
	dma_async_tx_descriptor_init(&desc->tx, chan);
	desc->tx.flags = flags;
	desc->tx.tx_submit = desc_submit;
	desc->job.src = src;
	desc->job.dst = dst;
	desc->job.len = len;
	desc->job.done = desc_done;
	spin_lock_irqsave(&provider->lock, irq_flags);
	list_add_tail(&desc->node, &provider->prepared);
	spin_unlock_irqrestore(&provider->lock, irq_flags);
	return &desc->tx;
}

/*
 * Hands one descriptor to the engine. When the engine is gone it ends at once, as failed and
 * without a callback, for which there is no context here. Caller holds the lock.
 */
static void issue(struct dma_engine_provider *provider, struct provider_desc *desc)
{
	list_move_tail(&desc->node, &provider->issued);
	provider->in_flight++;
	if (!dma_engine_submit(provider->engine, &desc->job))
		return;
	provider->in_flight--;
	complete_cookie(provider, desc);
	list_move_tail(&desc->node, &provider->prepared); /* freed with the channel */
}

static void issue_pending(struct dma_chan *chan)
{
	struct dma_engine_provider *provider = to_provider(chan);
	struct provider_desc *desc, *next;
	unsigned long flags;

	spin_lock_irqsave(&provider->lock, flags);
	list_for_each_entry_safe(desc, next, &provider->submitted, node)
		issue(provider, desc);
	spin_unlock_irqrestore(&provider->lock, flags);
}

static const struct provider_desc *find_desc(const struct list_head *list, dma_cookie_t cookie)
{
	const struct provider_desc *desc;

	list_for_each_entry(desc, list, node) {
		if (desc->tx.cookie == cookie)
			return desc;
	}
	return NULL;
}

/* The status of a cookie that is not completed yet. Caller holds the lock. */
static enum dma_status pending_status(struct dma_engine_provider *provider, dma_cookie_t cookie,
				      u32 *residue)
{
	const struct provider_desc *desc = find_desc(&provider->issued, cookie);

	if (desc && dma_engine_job_ended(&desc->job))
		return desc->job.status ? DMA_ERROR : DMA_COMPLETE;
	if (!desc)
		desc = find_desc(&provider->submitted, cookie);
	if (desc)
		*residue = desc->job.len; /* the engine does not tell its progress */
	return DMA_IN_PROGRESS;
}

/*
 * Looks at the device too: a client that waits in a loop around this, on the only CPU or with
 * interrupts off, would wait in vain for an interrupt. Callbacks are not called from here.
 */
static enum dma_status tx_status(struct dma_chan *chan, dma_cookie_t cookie,
				 struct dma_tx_state *state)
{
	struct dma_engine_provider *provider = to_provider(chan);
	enum dma_status status;
	unsigned long flags;
	u32 residue = 0;

	dma_engine_harvest(provider->engine);
	spin_lock_irqsave(&provider->lock, flags);
	status = dma_async_is_complete(cookie, chan->completed_cookie, chan->cookie);
	if (status == DMA_IN_PROGRESS)
		status = pending_status(provider, cookie, &residue);
	else if (cookie == provider->failed)
		status = DMA_ERROR;
	dma_set_tx_state(state, chan->completed_cookie, chan->cookie, residue);
	spin_unlock_irqrestore(&provider->lock, flags);
	return status;
}

/*
 * Forgets all descriptors. The running copy ends in its own time, or its watchdog's, without a
 * callback: until synchronize() the device may access its memory. Any context.
 */
static int terminate_all(struct dma_chan *chan)
{
	struct dma_engine_provider *provider = to_provider(chan);
	struct provider_desc *desc, *next;
	unsigned long flags;
	LIST_HEAD(dropped);

	spin_lock_irqsave(&provider->lock, flags);
	list_splice_tail_init(&provider->prepared, &dropped);
	list_splice_tail_init(&provider->submitted, &dropped);
	list_for_each_entry_safe(desc, next, &provider->issued, node) {
		desc->terminated = true;
		if (dma_engine_cancel(provider->engine, &desc->job)) {
			list_move_tail(&desc->node, &dropped);
			provider->in_flight--;
		}
	}
	if (!provider->in_flight)
		wake_up_all(&provider->idle);
	spin_unlock_irqrestore(&provider->lock, flags);
	free_list(&dropped);
	return 0;
}

static bool is_idle(struct dma_engine_provider *provider)
{
	unsigned long flags;
	bool idle;

	spin_lock_irqsave(&provider->lock, flags);
	idle = !provider->in_flight;
	spin_unlock_irqrestore(&provider->lock, flags);
	return idle;
}

/* Waits until nothing that was issued is under way and no callback runs. Sleeps. */
static void synchronize(struct dma_chan *chan)
{
	struct dma_engine_provider *provider = to_provider(chan);

	wait_event(provider->idle, is_idle(provider));
}

static int alloc_chan_resources(struct dma_chan *chan)
{
	struct dma_engine_provider *provider = to_provider(chan);

	if (READ_ONCE(provider->engine->state) == DMA_ENGINE_DOWN)
		return -ENODEV;
	chan->cookie = DMA_MIN_COOKIE;
	chan->completed_cookie = DMA_MIN_COOKIE;
	provider->failed = 0;
	return 0;
}

static void free_chan_resources(struct dma_chan *chan)
{
	terminate_all(chan);
	synchronize(chan);
}

/* ---- Registration ---- */

static void provider_free(struct dma_engine_provider *provider)
{
	dma_engine_put(provider->engine);
	kfree(provider);
}

/* The framework's last reference is gone: no client has the channel any more. */
static void provider_release(struct dma_device *dma)
{
	provider_free(container_of(dma, struct dma_engine_provider, dma));
}

static void set_up_dma_device(struct dma_device *dma, struct device *dev)
{
	INIT_LIST_HEAD(&dma->channels);
	dma->dev = dev;
	dma_cap_set(DMA_MEMCPY, dma->cap_mask);
	dma_cap_set(DMA_PRIVATE, dma->cap_mask);
	dma->copy_align = DMAENGINE_ALIGN_1_BYTE;
	dma->directions = BIT(DMA_MEM_TO_MEM);
	dma->residue_granularity = DMA_RESIDUE_GRANULARITY_DESCRIPTOR;
	dma->device_alloc_chan_resources = alloc_chan_resources;
	dma->device_free_chan_resources = free_chan_resources;
	dma->device_prep_dma_memcpy = prep_memcpy;
	dma->device_issue_pending = issue_pending;
	dma->device_tx_status = tx_status;
	dma->device_terminate_all = terminate_all;
	dma->device_synchronize = synchronize;
	dma->device_release = provider_release;
}

static struct dma_engine_provider *provider_alloc(struct dma_engine *engine)
{
	struct dma_engine_provider *provider = kzalloc(sizeof(*provider), GFP_KERNEL);

	if (!provider)
		return NULL;
	kref_get(&engine->ref);
	provider->engine = engine;
	spin_lock_init(&provider->lock);
	INIT_LIST_HEAD(&provider->prepared);
	INIT_LIST_HEAD(&provider->submitted);
	INIT_LIST_HEAD(&provider->issued);
	init_waitqueue_head(&provider->idle);
	set_up_dma_device(&provider->dma, &engine->pdev->dev);
	provider->chan.device = &provider->dma;
	list_add_tail(&provider->chan.device_node, &provider->dma.channels);
	return provider;
}

/* Offers the engine, which is UP, to the framework. 0 or -errno. */
int dma_engine_provider_register(struct dma_engine *engine)
{
	struct dma_engine_provider *provider = provider_alloc(engine);
	int err;

	if (!provider)
		return -ENOMEM;
	err = dma_async_device_register(&provider->dma);
	if (err) {
		provider_free(provider);
		return err;
	}
	engine->provider = provider;
	return 0;
}

/* Withdraws it. The engine is DOWN already. A client's channel keeps the structs alive. */
void dma_engine_provider_unregister(struct dma_engine *engine)
{
	dma_async_device_unregister(&engine->provider->dma);
}

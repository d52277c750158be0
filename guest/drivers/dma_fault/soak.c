// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Random copies for a given time. Each has a length (1 byte to 4 MiB, each power of two as often as
 * the next), places and mappings of its own. One in four is made to fail at its first byte, in one
 * of three ways. Of each the engine's answer is checked, and every byte that it might have written.
 */
#include <linux/dma-mapping.h>
#include <linux/gfp.h>
#include <linux/minmax.h>
#include <linux/prandom.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>

#include "../dma_engine/dma_engine.h"
#include "dma_fault.h"

#define BUFFER_BYTES SZ_4M
#define GUARD 64
#define GUARD_BYTE 0x5a

enum soak_kind {
	SOAK_GOOD,
	SOAK_STALE_SOURCE,	/* unmapped just before the copy */
	SOAK_STALE_DESTINATION,
	SOAK_READ_ONLY,		/* a destination mapped for reading */
};

struct soak_run {
	struct dma_fault *fault;
	struct device *dev;
	struct rnd_state random;
	u8 *src_buffer, *dst_buffer; /* BUFFER_BYTES each */
};

struct soak_copy {
	enum soak_kind kind;
	u32 len;
	u8 *src, *dst;
	u8 *low, *high; /* what is looked at: dst, and up to GUARD bytes at both sides */
	dma_addr_t src_bus, dst_bus;
	enum dma_data_direction dst_direction;
};

static void fill_source(struct soak_copy *copy, u32 seed)
{
	u32 i, word;

	for (i = 0; i < copy->len; i += sizeof(word)) {
		word = (seed + i) * 0x9e3779b1U;
		word ^= word >> 15;
		memcpy(copy->src + i, &word, min_t(u32, copy->len - i, sizeof(word)));
	}
}

static void choose(struct soak_run *run, struct soak_copy *copy)
{
	struct rnd_state *random = &run->random;
	u32 kind = prandom_u32_state(random) % 12;

	copy->kind = kind <= SOAK_READ_ONLY ? kind : SOAK_GOOD;
	copy->len = 1 + prandom_u32_state(random) % (1U << (prandom_u32_state(random) % 23));
	copy->src = run->src_buffer + prandom_u32_state(random) % (BUFFER_BYTES - copy->len + 1);
	copy->dst = run->dst_buffer + prandom_u32_state(random) % (BUFFER_BYTES - copy->len + 1);
	copy->low = max(copy->dst - GUARD, run->dst_buffer);
	copy->high = min(copy->dst + copy->len + GUARD, run->dst_buffer + BUFFER_BYTES);
	fill_source(copy, prandom_u32_state(random));
	memset(copy->low, GUARD_BYTE, copy->high - copy->low);
}

static int map_both(struct soak_run *run, struct soak_copy *copy)
{
	bool read_only = copy->kind == SOAK_READ_ONLY;

	copy->dst_direction = read_only ? DMA_TO_DEVICE : DMA_FROM_DEVICE;
	copy->src_bus = dma_map_single(run->dev, copy->src, copy->len, DMA_TO_DEVICE);
	if (dma_mapping_error(run->dev, copy->src_bus))
		return -ENOMEM;
	copy->dst_bus = dma_map_single(run->dev, copy->dst, copy->len, copy->dst_direction);
	if (!dma_mapping_error(run->dev, copy->dst_bus))
		return 0;
	dma_unmap_single(run->dev, copy->src_bus, copy->len, DMA_TO_DEVICE);
	return -ENOMEM;
}

static void unmap_source(struct soak_run *run, struct soak_copy *copy)
{
	dma_unmap_single(run->dev, copy->src_bus, copy->len, DMA_TO_DEVICE);
}

static void unmap_destination(struct soak_run *run, struct soak_copy *copy)
{
	dma_unmap_single(run->dev, copy->dst_bus, copy->len, copy->dst_direction);
}

/* Maps, copies, unmaps: in the order that makes the copy fail, if it is to. */
static int copy_once(struct soak_run *run, struct soak_copy *copy)
{
	int err = map_both(run, copy);

	if (err)
		return err;
	if (copy->kind == SOAK_STALE_SOURCE)
		unmap_source(run, copy);
	if (copy->kind == SOAK_STALE_DESTINATION)
		unmap_destination(run, copy);
	err = dma_fault_copy(run->fault, copy->src_bus, copy->dst_bus, copy->len);
	if (err)
		return err;
	if (copy->kind != SOAK_STALE_SOURCE)
		unmap_source(run, copy);
	if (copy->kind != SOAK_STALE_DESTINATION)
		unmap_destination(run, copy);
	return 0;
}

static bool good_as_intended(struct soak_run *run, struct soak_copy *copy)
{
	u8 *end = copy->dst + copy->len;

	return run->fault->code == DMA_ENGINE_ERR_NONE && !memcmp(copy->dst, copy->src, copy->len) &&
	       !memchr_inv(copy->low, GUARD_BYTE, copy->dst - copy->low) &&
	       !memchr_inv(end, GUARD_BYTE, copy->high - end);
}

static bool failed_as_intended(struct soak_run *run, struct soak_copy *copy)
{
	u64 address = copy->kind == SOAK_STALE_SOURCE ? copy->src_bus : copy->dst_bus;

	return run->fault->code == DMA_ENGINE_ERR_TRANSLATION && run->fault->fault_addr == address &&
	       !memchr_inv(copy->low, GUARD_BYTE, copy->high - copy->low);
}

static int soak_step(struct soak_run *run)
{
	struct dma_fault *fault = run->fault;
	struct soak_copy copy;
	bool right;
	int err;

	choose(run, &copy);
	err = copy_once(run, &copy);
	if (err)
		return err;
	fault->soak.copies++;
	if (copy.kind == SOAK_GOOD)
		fault->soak.bytes += copy.len;
	else
		fault->soak.faults++;
	right = copy.kind == SOAK_GOOD ? good_as_intended(run, &copy) :
					 failed_as_intended(run, &copy);
	if (right)
		return 0;
	fault->soak.wrong++;
	dev_err_ratelimited(run->dev, "soak: kind %d, %u bytes, %pad to %pad: code %u at %#llx\n",
			    copy.kind, copy.len, &copy.src_bus, &copy.dst_bus, fault->code,
			    fault->fault_addr);
	return 0;
}

static int soak_loop(struct soak_run *run, unsigned int ms)
{
	unsigned long end = jiffies + msecs_to_jiffies(ms);
	int err = 0;

	while (!err && time_before(jiffies, end)) {
		err = fatal_signal_pending(current) ? -EINTR : soak_step(run);
		cond_resched();
	}
	return err;
}

/*
 * Copies for @ms milliseconds; fault->soak says what came of it. 0, -ENOMEM, -EINTR, or as
 * dma_fault_copy(). Caller holds the lock.
 */
int dma_fault_soak(struct dma_fault *fault, unsigned int ms, u32 seed)
{
	struct soak_run run = { .fault = fault, .dev = &fault->pdev->dev };
	int err = -ENOMEM;

	memset(&fault->soak, 0, sizeof(fault->soak));
	prandom_seed_state(&run.random, seed);
	run.src_buffer = alloc_pages_exact(BUFFER_BYTES, GFP_KERNEL);
	run.dst_buffer = alloc_pages_exact(BUFFER_BYTES, GFP_KERNEL);
	if (run.src_buffer && run.dst_buffer)
		err = soak_loop(&run, ms);
	if (fault->lost)
		return err;
	if (run.src_buffer)
		free_pages_exact(run.src_buffer, BUFFER_BYTES);
	if (run.dst_buffer)
		free_pages_exact(run.dst_buffer, BUFFER_BYTES);
	return err;
}

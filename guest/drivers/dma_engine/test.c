// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The test behind the sysfs file copy_size.
 *
 * One buffer holds all that the test looks at:
 *
 *	| source: size bytes | destination: size bytes | guard: GUARD bytes |
 *
 * It is mapped once, in both directions, so the engine's two addresses are next to each other (an
 * odd size makes the destination unaligned). Before the copy the source holds a pattern that no
 * other run had, and the destination its complement: not one byte is right by chance. Afterwards
 * all three parts are checked: the destination was written, the source and the guard were not.
 *
 * The buffer is made of separate pages (in the largest blocks that are free, for few pieces), so
 * that it can be larger than any block of contiguous memory. vmap() makes one range of it for the
 * CPU; for the device an IOMMU makes one, or there are several pieces and one copy for each.
 */
#include <linux/dma-mapping.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/random.h>
#include <linux/scatterlist.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "dma_engine.h"

#define GUARD 64
#define GUARD_BYTE 0x5a
/* The CPU's loops look round this often: lets others run, and sees SIGKILL. */
#define STRIDE SZ_64K

struct test_buffer {
	struct device *dev;
	struct page **pages;
	size_t nr_pages; /* those in pages[] that are allocated */
	u8 *cpu;
	struct sg_table sgt;
	bool mapped;
};

/* A place in the mapped buffer as the device sees it. */
struct bus_cursor {
	struct scatterlist *sg; /* NULL past the end */
	size_t offset;		/* in *sg */
};

struct test_job {
	struct dma_engine_job job;
	struct completion ended;
};

/* ---- The buffer ---- */

/* One block of 2^*order pages, or of fewer when there is none so large. No OOM killer. */
static struct page *alloc_block(unsigned int *order)
{
	struct page *block;

	for (; *order; (*order)--) {
		block = alloc_pages(GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN, *order);
		if (block) {
			split_page(block, *order);
			return block;
		}
	}
	return alloc_page(GFP_KERNEL | __GFP_RETRY_MAYFAIL | __GFP_NOWARN);
}

/* Adds the pages of a block to the buffer, and frees those that are too many. */
static void add_block(struct test_buffer *buf, size_t wanted, struct page *block, size_t nr)
{
	for (; nr; nr--, block++) {
		if (buf->nr_pages < wanted)
			buf->pages[buf->nr_pages++] = block;
		else
			__free_page(block);
	}
}

static int alloc_buffer_pages(struct test_buffer *buf, size_t wanted)
{
	unsigned int order = get_order(SZ_4M);
	struct page *block;

	buf->pages = kvmalloc_array(wanted, sizeof(*buf->pages), GFP_KERNEL | __GFP_NOWARN);
	if (!buf->pages)
		return -ENOMEM;
	while (buf->nr_pages < wanted) {
		order = min_t(unsigned int, order, order_base_2(wanted - buf->nr_pages));
		block = alloc_block(&order);
		if (!block)
			return -ENOMEM;
		add_block(buf, wanted, block, 1UL << order);
		if (fatal_signal_pending(current))
			return -EINTR;
	}
	return 0;
}

static void free_buffer(struct test_buffer *buf)
{
	if (buf->mapped)
		dma_unmap_sgtable(buf->dev, &buf->sgt, DMA_BIDIRECTIONAL, 0);
	sg_free_table(&buf->sgt);
	if (buf->cpu)
		vunmap(buf->cpu);
	while (buf->nr_pages)
		__free_page(buf->pages[--buf->nr_pages]);
	kvfree(buf->pages);
}

/* @bytes of memory, for the CPU at buf->cpu. 0 or -ENOMEM, -EINTR; free_buffer() either way. */
static int alloc_buffer(struct test_buffer *buf, size_t bytes)
{
	size_t wanted = PFN_UP(bytes);
	int err;

	if (wanted > si_mem_available())
		return -ENOMEM; /* rather than push everyone else out first */
	err = alloc_buffer_pages(buf, wanted);
	if (err)
		return err;
	buf->cpu = vmap(buf->pages, wanted, VM_MAP, PAGE_KERNEL);
	return buf->cpu ? 0 : -ENOMEM;
}

/* Hands the buffer over to the device. Pieces are no larger than the DMA API can map. */
static int map_buffer(struct test_buffer *buf, size_t bytes)
{
	size_t limit = min_t(size_t, dma_max_mapping_size(buf->dev),
			     dma_get_max_seg_size(buf->dev));
	int err;

	limit = max_t(size_t, limit, PAGE_SIZE); /* the least that can be asked for */
	err = sg_alloc_table_from_pages_segment(&buf->sgt, buf->pages, buf->nr_pages, 0, bytes,
						limit, GFP_KERNEL | __GFP_NOWARN);
	if (err)
		return -ENOMEM;
	err = dma_map_sgtable(buf->dev, &buf->sgt, DMA_BIDIRECTIONAL, 0);
	if (err)
		return -ENOMEM;
	buf->mapped = true;
	return 0;
}

static void unmap_buffer(struct test_buffer *buf)
{
	dma_unmap_sgtable(buf->dev, &buf->sgt, DMA_BIDIRECTIONAL, 0);
	buf->mapped = false;
}

/* ---- The pattern ---- */

/* The pattern's word at @index: a bijection, so that no two places of a run hold the same word. */
static u64 pattern_word(u64 seed, size_t index)
{
	u64 word = (seed + index) * 0x9e3779b97f4a7c15ULL;

	return word ^ (word >> 32);
}

/* Called in every step of a long loop; nonzero when the caller should give up. */
static int breathe(size_t offset)
{
	if (offset % STRIDE)
		return 0;
	cond_resched();
	return fatal_signal_pending(current) ? -EINTR : 0;
}

/* Fills @bytes at @to, of any alignment, with the pattern; each bit inverted if @invert is ~0. */
static int fill(u8 *to, size_t bytes, u64 seed, u64 invert)
{
	size_t i;
	int err;

	for (i = 0; i < bytes; i += sizeof(u64)) {
		u64 word = pattern_word(seed, i / sizeof(u64)) ^ invert;

		err = breathe(i);
		if (err)
			return err;
		if (bytes - i >= sizeof(word))
			memcpy(to + i, &word, sizeof(word)); /* one store */
		else
			memcpy(to + i, &word, bytes - i);
	}
	return 0;
}

/* Verifies every byte of what fill() wrote; -EIO and a line in the log at the first wrong one. */
static int check(struct test_buffer *buf, const char *what, const u8 *from, size_t bytes, u64 seed)
{
	size_t i, left;
	int err;

	for (i = 0; i < bytes; i += sizeof(u64)) {
		u64 word = pattern_word(seed, i / sizeof(u64));

		err = breathe(i);
		if (err)
			return err;
		left = min(bytes - i, sizeof(word));
		if (!memcmp(from + i, &word, left))
			continue;
		dev_err(buf->dev, "%s is wrong near byte %zu: %*ph, not %*ph\n", what, i,
			(int)left, from + i, (int)left, &word);
		return -EIO;
	}
	return 0;
}

static int prepare(struct test_buffer *buf, size_t size, u64 seed)
{
	int err = fill(buf->cpu, size, seed, 0);

	if (!err)
		err = fill(buf->cpu + size, size, seed, ~0ULL);
	memset(buf->cpu + 2 * size, GUARD_BYTE, GUARD);
	return err;
}

static int verify(struct test_buffer *buf, size_t size, u64 seed)
{
	int err = check(buf, "the source", buf->cpu, size, seed);

	if (!err)
		err = check(buf, "the destination", buf->cpu + size, size, seed);
	if (!err && memchr_inv(buf->cpu + 2 * size, GUARD_BYTE, GUARD)) {
		dev_err(buf->dev, "bytes after the destination were changed\n");
		err = -EIO;
	}
	return err;
}

/* ---- The copy ---- */

static void advance(struct bus_cursor *at, size_t bytes)
{
	at->offset += bytes;
	while (at->sg && at->offset >= sg_dma_len(at->sg)) {
		at->offset -= sg_dma_len(at->sg);
		at->sg = sg_next(at->sg);
	}
}

static size_t contiguous(const struct bus_cursor *at)
{
	return at->sg ? sg_dma_len(at->sg) - at->offset : 0;
}

static void test_job_done(struct dma_engine_job *job)
{
	complete(&container_of(job, struct test_job, job)->ended);
}

/* Does one copy and waits for it; the engine sees to it that the wait ends. */
static int copy_piece(struct dma_engine *engine, struct test_job *test)
{
	int err;

	reinit_completion(&test->ended);
	err = dma_engine_submit(engine, &test->job);
	if (err)
		return err;
	wait_for_completion(&test->ended);
	return test->job.status;
}

/* Copies the first @size bytes of the mapped buffer to the next @size. Counts pieces in @copies. */
static int copy_all(struct dma_engine *engine, struct test_buffer *buf, size_t size,
		    struct test_job *test, unsigned int *copies)
{
	struct bus_cursor src = { .sg = buf->sgt.sgl }, dst = src;
	size_t piece;
	int err;

	for (advance(&dst, size); size; size -= piece) {
		piece = min3(size, contiguous(&src), contiguous(&dst));
		if (!piece)
			return -EIO; /* never: the mapping covers the buffer */
		test->job.src = sg_dma_address(src.sg) + src.offset;
		test->job.dst = sg_dma_address(dst.sg) + dst.offset;
		test->job.len = piece;
		err = copy_piece(engine, test);
		if (err)
			return err;
		++*copies;
		if (fatal_signal_pending(current))
			return -EINTR;
		advance(&src, piece);
		advance(&dst, piece);
	}
	return 0;
}

/* Fills, maps, copies, unmaps, verifies. Time of the copies alone in @ns. */
static int run(struct dma_engine *engine, struct test_buffer *buf, size_t size,
	       struct test_job *test, unsigned int *copies, u64 *ns)
{
	u64 seed = get_random_u64();
	u64 start;
	int err = alloc_buffer(buf, 2 * size + GUARD);

	if (!err)
		err = prepare(buf, size, seed);
	if (!err)
		err = map_buffer(buf, 2 * size + GUARD);
	if (err)
		return err;
	start = ktime_get_ns();
	err = copy_all(engine, buf, size, test, copies);
	*ns = ktime_get_ns() - start;
	if (err)
		return err;
	unmap_buffer(buf); /* from here on the CPU may look at it */
	return verify(buf, size, seed);
}

/* A source and a destination cannot both fit if each is more than half of the memory. */
static bool is_possible(size_t size)
{
	return size && size <= ((u64)totalram_pages() << PAGE_SHIFT) / 2 &&
	       PFN_UP((u64)size * 2 + GUARD) <= INT_MAX;
}

static const char *failure_text(const struct test_job *test, int err)
{
	if (test->job.status)
		return test->job.reason;
	if (err == -ENOMEM)
		return "not enough memory that can be mapped";
	if (err == -EINTR)
		return "interrupted";
	return "the data is wrong";
}

static void log_failure(struct dma_engine *engine, size_t size, const struct test_job *test,
			int err)
{
	const struct dma_engine_job *job = &test->job;

	pci_err(engine->pdev, "dma engine test failed! %zu bytes: %s (%d)\n", size,
		failure_text(test, err), err);
	if (job->status)
		pci_err(engine->pdev, "the copy: %u bytes from %pad to %pad, fault address %#llx\n",
			job->len, &job->src, &job->dst, job->fault_addr);
}

/*
 * Copies @size bytes with the engine, verifies them, logs the outcome and returns it:
 * 0, -EINVAL (no usable size), -ENOMEM (also when the DMA API cannot map it), -EIO (the device
 * failed, or the data is wrong), -ETIMEDOUT, -ENODEV (the device went away), -EINTR (SIGKILL).
 * Sleeps; caller holds engine->test_lock and keeps the driver bound.
 */
int dma_engine_test(struct dma_engine *engine, size_t size)
{
	struct test_buffer buf = { .dev = &engine->pdev->dev };
	struct test_job test = { .job = { .done = test_job_done } };
	unsigned int copies = 0;
	u64 ns = 0;
	int err;

	if (!is_possible(size))
		return -EINVAL;
	init_completion(&test.ended);
	err = run(engine, &buf, size, &test, &copies, &ns);
	if (err)
		log_failure(engine, size, &test, err);
	else
		pci_info(engine->pdev, "dma engine test succeeded! %zu bytes in %llu ns, %u %s\n",
			 size, ns, copies, copies == 1 ? "copy" : "copies");
	if (test.job.unstopped)
		pci_err(engine->pdev, "%zu bytes are lost: the device may still write to them\n",
			2 * size);
	else
		free_buffer(&buf);
	return err;
}

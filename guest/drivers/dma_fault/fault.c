// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The driver and its buffers. It has no table of devices: no engine becomes its own unless somebody
 * writes "dma_fault" to the engine's driver_override. What the files take and show is in README.md.
 *
 * It polls. So the device sends no message, and all that an IOMMU sees of it are its copies.
 */
#include <linux/crc32.h>
#include <linux/dma-mapping.h>
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/io-64-nonatomic-lo-hi.h>
#include <linux/module.h>
#include <linux/random.h>
#include <linux/sizes.h>

#include "../dma_engine/dma_engine.h"
#include "dma_fault.h"

#define COPY_LIMIT (60 * HZ)

/* ---- The engine ---- */

static int wait_until_done(struct dma_fault *fault)
{
	unsigned long limit = jiffies + COPY_LIMIT;

	while (!(readl(fault->regs + DMA_ENGINE_STATUS) & DMA_ENGINE_DONE)) {
		if (time_after(jiffies, limit)) {
			fault->lost = true;
			pci_err(fault->pdev, "a copy does not end\n");
			return -ETIMEDOUT;
		}
		cond_resched();
	}
	return 0;
}

/*
 * Copies @len bytes between any two bus addresses. 0: the copy has ended, well or badly, as
 * fault->code says. -ETIMEDOUT, -EIO: it has not, or an earlier one has not. Caller holds the lock.
 */
int dma_fault_copy(struct dma_fault *fault, dma_addr_t src, dma_addr_t dst, u32 len)
{
	int err;

	if (fault->lost)
		return -EIO;
	writeq(src, fault->regs + DMA_ENGINE_SRC);
	writeq(dst, fault->regs + DMA_ENGINE_DST);
	writel(len, fault->regs + DMA_ENGINE_LEN);
	writel(DMA_ENGINE_START, fault->regs + DMA_ENGINE_CTRL);
	err = wait_until_done(fault);
	fault->code = readl(fault->regs + DMA_ENGINE_ERROR_CODE);
	fault->fault_addr = readq(fault->regs + DMA_ENGINE_FAULT_ADDR);
	return err;
}

/* ---- The slots ---- */

static void unmap_slot(struct dma_fault *fault, struct dma_fault_slot *slot)
{
	if (slot->mapped)
		dma_unmap_single(&fault->pdev->dev, slot->bus, slot->bytes, slot->direction);
	slot->mapped = false;
}

static void free_slot(struct dma_fault *fault, struct dma_fault_slot *slot)
{
	unmap_slot(fault, slot);
	free_pages_exact(slot->cpu, slot->bytes);
	slot->cpu = NULL;
}

static int map_slot(struct dma_fault *fault, struct dma_fault_slot *slot, size_t bytes,
		    enum dma_data_direction direction)
{
	struct device *dev = &fault->pdev->dev;

	if (slot->cpu)
		free_slot(fault, slot);
	slot->cpu = alloc_pages_exact(bytes, GFP_KERNEL);
	if (!slot->cpu)
		return -ENOMEM;
	slot->bytes = bytes;
	get_random_bytes(slot->cpu, bytes);
	slot->direction = direction;
	slot->bus = dma_map_single(dev, slot->cpu, bytes, direction);
	slot->mapped = !dma_mapping_error(dev, slot->bus);
	return slot->mapped ? 0 : -ENOMEM;
}

/* A checksum of what is in memory now, also if the device may not write there. */
static u32 slot_checksum(struct dma_fault *fault, struct dma_fault_slot *slot)
{
	struct device *dev = &fault->pdev->dev;
	u32 sum;

	if (slot->mapped)
		dma_sync_single_for_cpu(dev, slot->bus, slot->bytes, slot->direction);
	sum = crc32_le(~0, slot->cpu, slot->bytes);
	if (slot->mapped)
		dma_sync_single_for_device(dev, slot->bus, slot->bytes, slot->direction);
	return sum;
}

/* ---- The sysfs files ---- */

static bool parse_direction(const char *word, enum dma_data_direction *direction)
{
	if (!strcmp(word, "to"))
		*direction = DMA_TO_DEVICE;
	else if (!strcmp(word, "from"))
		*direction = DMA_FROM_DEVICE;
	else if (!strcmp(word, "both"))
		*direction = DMA_BIDIRECTIONAL;
	else
		return false;
	return true;
}

static ssize_t map_store(struct device *dev, struct device_attribute *attr, const char *text,
			 size_t count)
{
	struct dma_fault *fault = dev_get_drvdata(dev);
	enum dma_data_direction direction;
	unsigned int number, bytes;
	char word[8];
	int err = -EIO;

	if (sscanf(text, "%u %u %7s", &number, &bytes, word) != 3 || number >= DMA_FAULT_SLOTS ||
	    !bytes || bytes > SZ_4M || !parse_direction(word, &direction))
		return -EINVAL;
	mutex_lock(&fault->lock);
	if (!fault->lost)
		err = map_slot(fault, &fault->slots[number], bytes, direction);
	mutex_unlock(&fault->lock);
	return err ? err : count;
}
static DEVICE_ATTR_WO(map);

static ssize_t unmap_store(struct device *dev, struct device_attribute *attr, const char *text,
			   size_t count)
{
	struct dma_fault *fault = dev_get_drvdata(dev);
	unsigned int number;

	if (kstrtouint(text, 10, &number) || number >= DMA_FAULT_SLOTS)
		return -EINVAL;
	mutex_lock(&fault->lock);
	unmap_slot(fault, &fault->slots[number]);
	mutex_unlock(&fault->lock);
	return count;
}
static DEVICE_ATTR_WO(unmap);

static ssize_t slots_show(struct device *dev, struct device_attribute *attr, char *text)
{
	struct dma_fault *fault = dev_get_drvdata(dev);
	int i, length = 0;

	mutex_lock(&fault->lock);
	for (i = 0; i < DMA_FAULT_SLOTS; i++) {
		struct dma_fault_slot *slot = &fault->slots[i];

		if (slot->cpu)
			length += sysfs_emit_at(text, length, "%d %#llx %zu %s %08x\n", i,
						(u64)slot->bus, slot->bytes,
						slot->mapped ? "mapped" : "unmapped",
						slot_checksum(fault, slot));
	}
	mutex_unlock(&fault->lock);
	return length;
}
static DEVICE_ATTR_RO(slots);

static ssize_t copy_store(struct device *dev, struct device_attribute *attr, const char *text,
			  size_t count)
{
	struct dma_fault *fault = dev_get_drvdata(dev);
	u64 src, dst;
	u32 len;
	int err;

	if (sscanf(text, "%lli %lli %i", &src, &dst, &len) != 3)
		return -EINVAL;
	mutex_lock(&fault->lock);
	err = dma_fault_copy(fault, src, dst, len);
	mutex_unlock(&fault->lock);
	return err ? err : count;
}

static ssize_t copy_show(struct device *dev, struct device_attribute *attr, char *text)
{
	struct dma_fault *fault = dev_get_drvdata(dev);

	return sysfs_emit(text, "%u %#llx\n", fault->code, fault->fault_addr);
}
static DEVICE_ATTR_RW(copy);

static ssize_t soak_store(struct device *dev, struct device_attribute *attr, const char *text,
			  size_t count)
{
	struct dma_fault *fault = dev_get_drvdata(dev);
	unsigned int ms, seed;
	int err;

	if (sscanf(text, "%u %u", &ms, &seed) != 2)
		return -EINVAL;
	mutex_lock(&fault->lock);
	err = dma_fault_soak(fault, ms, seed);
	mutex_unlock(&fault->lock);
	return err ? err : count;
}

static ssize_t soak_show(struct device *dev, struct device_attribute *attr, char *text)
{
	struct dma_fault_soak *soak = &((struct dma_fault *)dev_get_drvdata(dev))->soak;

	return sysfs_emit(text, "%llu %llu %llu %llu\n", soak->copies, soak->faults, soak->bytes,
			  soak->wrong);
}
static DEVICE_ATTR_RW(soak);

static struct attribute *dma_fault_attrs[] = {
	&dev_attr_map.attr,
	&dev_attr_unmap.attr,
	&dev_attr_slots.attr,
	&dev_attr_copy.attr,
	&dev_attr_soak.attr,
	NULL,
};
ATTRIBUTE_GROUPS(dma_fault);

/* ---- Coming and going ---- */

static int dma_fault_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct dma_fault *fault = devm_kzalloc(&pdev->dev, sizeof(*fault), GFP_KERNEL);
	int err;

	if (!fault)
		return -ENOMEM;
	if (pci_resource_len(pdev, 0) < DMA_ENGINE_BAR_SIZE)
		return -ENODEV;
	err = pcim_enable_device(pdev);
	if (err)
		return err;
	fault->regs = devm_ioremap_resource(&pdev->dev, &pdev->resource[0]);
	if (IS_ERR(fault->regs))
		return PTR_ERR(fault->regs);
	err = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));
	if (err)
		return err;
	fault->pdev = pdev;
	mutex_init(&fault->lock);
	pci_set_drvdata(pdev, fault);
	pci_set_master(pdev);
	return 0;
}

/* The files are gone already. The memory of a copy that did not end is left to it. */
static void dma_fault_remove(struct pci_dev *pdev)
{
	struct dma_fault *fault = pci_get_drvdata(pdev);
	int i;

	pci_clear_master(pdev);
	for (i = 0; !fault->lost && i < DMA_FAULT_SLOTS; i++)
		if (fault->slots[i].cpu)
			free_slot(fault, &fault->slots[i]);
}

static struct pci_driver dma_fault_driver = {
	.name = "dma_fault",
	.probe = dma_fault_probe,
	.remove = dma_fault_remove,
	.dev_groups = dma_fault_groups,
};
module_pci_driver(dma_fault_driver);

MODULE_DESCRIPTION("minivmm DMA engine: copies that fail on purpose");
MODULE_LICENSE("Dual MIT/GPL");

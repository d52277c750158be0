// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The PCI side of the driver: finds the device, gets its registers and its interrupt, and lets
 * go of them again.
 *
 * What is acquired through pcim_ and devm_ functions is released by the driver core after
 * dma_engine_remove(), or when probe fails, in the opposite order.
 */
#include <linux/dma-mapping.h>
#include <linux/interrupt.h>
#include <linux/kstrtox.h>
#include <linux/module.h>
#include <linux/pci.h>

#include "dma_engine.h"

#define DMA_ENGINE_VENDOR 0x1234
#define DMA_ENGINE_DEVICE 0x3456

static bool poll;
module_param(poll, bool, 0644);
MODULE_PARM_DESC(poll, "Poll for the end of a copy, do not use an interrupt (devices bound later)");

/* ---- The sysfs file copy_size ---- */

/*
 * Writing a number (any base that C knows) copies as many bytes with the engine and verifies them.
 * The write fails with -EINVAL for what is not a usable size, and as dma_engine_test() does.
 */
static ssize_t copy_size_store(struct device *dev, struct device_attribute *attr, const char *text,
			       size_t count)
{
	struct dma_engine *engine = dev_get_drvdata(dev);
	unsigned long size;
	int err;

	if (kstrtoul(text, 0, &size))
		return -EINVAL; /* -ERANGE too: a size that no type can hold is a bad size */
	err = mutex_lock_interruptible(&engine->test_lock);
	if (err)
		return err;
	err = dma_engine_test(engine, size);
	mutex_unlock(&engine->test_lock);
	return err ? err : count;
}
static DEVICE_ATTR_WO(copy_size);

/* Made by the driver core after probe; removed, after waiting for writers, before remove. */
static struct attribute *dma_engine_attrs[] = {
	&dev_attr_copy_size.attr,
	NULL,
};
ATTRIBUTE_GROUPS(dma_engine);

/* ---- Interrupt ---- */

/* Hard interrupt. INTx is a line that other devices may share: it may not be ours at all. */
static irqreturn_t dma_engine_irq(int irq, void *data)
{
	return dma_engine_interrupt(data) ? IRQ_WAKE_THREAD : IRQ_NONE;
}

/* Its thread: tells the submitters. */
static irqreturn_t dma_engine_irq_thread(int irq, void *data)
{
	dma_engine_deliver(data);
	return IRQ_HANDLED;
}

/* Takes one vector: MSI, else INTx (the device has no MSI-X). A machine without either: poll. */
static int request_interrupt(struct dma_engine *engine)
{
	struct pci_dev *pdev = engine->pdev;
	int ret;

	engine->poll = READ_ONCE(poll);
	if (engine->poll)
		return 0;
	ret = pci_alloc_irq_vectors(pdev, 1, 1, PCI_IRQ_ALL_TYPES);
	if (ret < 0) {
		pci_warn(pdev, "no interrupt (%d), polling instead\n", ret);
		engine->poll = true;
		return 0;
	}
	ret = pci_request_irq(pdev, 0, dma_engine_irq, dma_engine_irq_thread, engine,
			      "dma_engine:%s", pci_name(pdev));
	if (ret)
		pci_free_irq_vectors(pdev);
	return ret;
}

static void free_interrupt(struct dma_engine *engine)
{
	if (engine->poll)
		return;
	pci_free_irq(engine->pdev, 0, engine);
	pci_free_irq_vectors(engine->pdev);
}

/* ---- Probe and remove ---- */

/* 64 bits of bus address, or what the platform can do with 32. */
static int set_dma_mask(struct pci_dev *pdev)
{
	int err = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));

	if (err)
		err = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(32));
	if (err)
		return dev_err_probe(&pdev->dev, err, "no usable DMA addressing\n");
	/* LEN has 32 bits: an IOMMU may merge a scattered buffer into pieces of up to that. */
	dma_set_max_seg_size(&pdev->dev, UINT_MAX);
	return 0;
}

static int map_registers(struct dma_engine *engine)
{
	struct pci_dev *pdev = engine->pdev;
	u32 version;

	if (pci_resource_len(pdev, 0) < DMA_ENGINE_BAR_SIZE)
		return dev_err_probe(&pdev->dev, -ENODEV, "BAR 0 is too small\n");
	engine->regs = devm_ioremap_resource(&pdev->dev, &pdev->resource[0]);
	if (IS_ERR(engine->regs))
		return PTR_ERR(engine->regs);
	version = readl(engine->regs + DMA_ENGINE_VERSION);
	if (!version || version == DMA_ENGINE_NO_ANSWER)
		return dev_err_probe(&pdev->dev, -ENODEV, "register version %#x\n", version);
	return 0;
}

/*
 * Whoever had the device before, firmware or a kernel that started this one by kexec, may have left
 * a copy under way, into memory that is somebody else's now. Stop it before bus mastering is on.
 */
static int stop_left_over(struct dma_engine *engine)
{
	int err;

	if (!(readl(engine->regs + DMA_ENGINE_STATUS) & DMA_ENGINE_BUSY))
		return 0;
	pci_cfg_access_lock(engine->pdev);
	err = dma_engine_reset(engine);
	pci_cfg_access_unlock(engine->pdev);
	return err ? -EBUSY : 0;
}

static int set_up_device(struct dma_engine *engine)
{
	struct pci_dev *pdev = engine->pdev;
	int err = pcim_enable_device(pdev);

	if (!err)
		err = map_registers(engine);
	if (!err)
		err = set_dma_mask(pdev);
	if (!err)
		err = stop_left_over(engine);
	if (!err)
		pci_set_master(pdev);
	return err;
}

static const char *interrupt_kind(const struct dma_engine *engine)
{
	if (engine->poll)
		return "polling";
	return engine->pdev->msi_enabled ? "MSI" : "INTx";
}

static int start(struct dma_engine *engine)
{
	int err = request_interrupt(engine);

	if (err)
		return err;
	dma_engine_up(engine);
	err = dma_engine_provider_register(engine);
	if (err) {
		dma_engine_down(engine);
		free_interrupt(engine);
	}
	return err;
}

static int dma_engine_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct dma_engine *engine = dma_engine_alloc(pdev);
	int err;

	if (!engine)
		return -ENOMEM;
	pci_set_drvdata(pdev, engine);
	err = set_up_device(engine);
	if (!err)
		err = start(engine);
	if (err) {
		dma_engine_put(engine);
		return err;
	}
	pci_info(pdev, "registers version %u, copies up to %u bytes at once, %s\n",
		 readl(engine->regs + DMA_ENGINE_VERSION),
		 readl(engine->regs + DMA_ENGINE_INLINE_SIZE), interrupt_kind(engine));
	return 0;
}

static void dma_engine_remove(struct pci_dev *pdev)
{
	struct dma_engine *engine = pci_get_drvdata(pdev);

	dma_engine_down(engine);
	free_interrupt(engine);
	dma_engine_provider_unregister(engine);
	dma_engine_put(engine);
}

/* Before a reboot or kexec: no copy may run into the next kernel's memory. */
static void dma_engine_shutdown(struct pci_dev *pdev)
{
	dma_engine_down(pci_get_drvdata(pdev));
	pci_clear_master(pdev);
}

/* ---- Resets by the PCI core, such as a write to the device's sysfs file "reset" ---- */

static void dma_engine_reset_prepare(struct pci_dev *pdev)
{
	dma_engine_pause(pci_get_drvdata(pdev));
}

static void dma_engine_reset_done(struct pci_dev *pdev)
{
	dma_engine_resume(pci_get_drvdata(pdev));
}

static const struct pci_error_handlers dma_engine_resets = {
	.reset_prepare = dma_engine_reset_prepare,
	.reset_done = dma_engine_reset_done,
};

static const struct pci_device_id dma_engine_ids[] = {
	{ PCI_DEVICE(DMA_ENGINE_VENDOR, DMA_ENGINE_DEVICE) },
	{}
};
MODULE_DEVICE_TABLE(pci, dma_engine_ids);

static struct pci_driver dma_engine_driver = {
	.name = "dma_engine",
	.id_table = dma_engine_ids,
	.probe = dma_engine_probe,
	.remove = dma_engine_remove,
	.shutdown = dma_engine_shutdown,
	.err_handler = &dma_engine_resets,
	.dev_groups = dma_engine_groups,
};
module_pci_driver(dma_engine_driver);

MODULE_DESCRIPTION("minivmm DMA engine");
MODULE_LICENSE("Dual MIT/GPL");

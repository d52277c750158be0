// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Driver of the example device adder (examples/adder.c, which lists the registers). The device gets
 * a file `sum`: write two numbers to it, and read their sum.
 */
#include <linux/completion.h>
#include <linux/interrupt.h>
#include <linux/io.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pci.h>

#define ADDER_ID 0x00
#define ADDER_A 0x04
#define ADDER_B 0x08
#define ADDER_START 0x0c
#define ADDER_SUM 0x10
#define ADDER_STATUS 0x14
#define ADDER_INT_ENABLE 0x18

#define ADDER_ID_VALUE 0xadde0001
#define ADDER_STATUS_DONE 0x1
#define ADDER_STATUS_OVERFLOW 0x2
#define ADDER_INT_DONE 0x1

struct adder {
	struct pci_dev *pdev;
	void __iomem *regs;
	struct mutex lock; /* one sum at a time */
	struct completion done; /* the interrupt came */
};

/* ---- One sum ---- */

/* The interrupt. An INTx line may be shared: if DONE is not set, it was another device's. */
static irqreturn_t adder_interrupt(int irq, void *data)
{
	struct adder *adder = data;

	if (!(readl(adder->regs + ADDER_STATUS) & ADDER_STATUS_DONE))
		return IRQ_NONE;
	writel(ADDER_STATUS_DONE, adder->regs + ADDER_STATUS); /* this lowers INTx */
	complete(&adder->done);
	return IRQ_HANDLED;
}

/* Caller holds the lock. INT_ENABLE is written each time: a reset of the device clears it. */
static int adder_add(struct adder *adder, u32 a, u32 b)
{
	reinit_completion(&adder->done);
	writel(ADDER_INT_DONE, adder->regs + ADDER_INT_ENABLE);
	writel(a, adder->regs + ADDER_A);
	writel(b, adder->regs + ADDER_B);
	writel(1, adder->regs + ADDER_START);
	if (!wait_for_completion_timeout(&adder->done, HZ))
		return -ETIMEDOUT;
	if (readl(adder->regs + ADDER_STATUS) & ADDER_STATUS_OVERFLOW)
		return -EOVERFLOW;
	return 0;
}

/* ---- The file ---- */

static ssize_t sum_store(struct device *dev, struct device_attribute *attr, const char *text,
			 size_t count)
{
	struct adder *adder = dev_get_drvdata(dev);
	u64 a, b;
	int err;

	if (sscanf(text, "%llu %llu", &a, &b) != 2 || a > U32_MAX || b > U32_MAX)
		return -EINVAL;
	mutex_lock(&adder->lock);
	err = adder_add(adder, a, b);
	mutex_unlock(&adder->lock);
	return err ? err : count;
}

static ssize_t sum_show(struct device *dev, struct device_attribute *attr, char *text)
{
	struct adder *adder = dev_get_drvdata(dev);

	return sysfs_emit(text, "%u\n", readl(adder->regs + ADDER_SUM));
}
static DEVICE_ATTR_RW(sum);

static struct attribute *adder_attrs[] = {
	&dev_attr_sum.attr,
	NULL,
};
ATTRIBUTE_GROUPS(adder);

/* ---- Coming and going ---- */

/* One vector: MSI if it can be had, else INTx. */
static int adder_request_interrupt(struct adder *adder)
{
	struct pci_dev *pdev = adder->pdev;
	int err;

	err = pci_alloc_irq_vectors(pdev, 1, 1, PCI_IRQ_ALL_TYPES);
	if (err < 0)
		return err;
	err = pci_request_irq(pdev, 0, adder_interrupt, NULL, adder, "adder:%s", pci_name(pdev));
	if (err)
		pci_free_irq_vectors(pdev);
	return err;
}

/* What pcim_ and devm_ functions acquire is released when probe fails, and after remove. */
static int adder_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct adder *adder;
	int err;

	adder = devm_kzalloc(&pdev->dev, sizeof(*adder), GFP_KERNEL);
	if (!adder)
		return -ENOMEM;
	adder->pdev = pdev;
	mutex_init(&adder->lock);
	init_completion(&adder->done);
	pci_set_drvdata(pdev, adder);
	err = pcim_enable_device(pdev);
	if (err)
		return err;
	adder->regs = devm_ioremap_resource(&pdev->dev, &pdev->resource[0]);
	if (IS_ERR(adder->regs))
		return PTR_ERR(adder->regs);
	if (readl(adder->regs + ADDER_ID) != ADDER_ID_VALUE)
		return -ENODEV;
	pci_set_master(pdev); /* an MSI is a write to memory */
	err = adder_request_interrupt(adder);
	if (err)
		return err;
	pci_info(pdev, "adder with %s\n", pdev->msi_enabled ? "MSI" : "INTx");
	return 0;
}

/* The file is gone already, so no sum is under way. */
static void adder_remove(struct pci_dev *pdev)
{
	struct adder *adder = pci_get_drvdata(pdev);

	writel(0, adder->regs + ADDER_INT_ENABLE);
	pci_free_irq(pdev, 0, adder);
	pci_free_irq_vectors(pdev);
}

static const struct pci_device_id adder_ids[] = {
	{ PCI_DEVICE(0x1234, 0xadd1) },
	{}
};
MODULE_DEVICE_TABLE(pci, adder_ids);

static struct pci_driver adder_driver = {
	.name = "adder",
	.id_table = adder_ids,
	.probe = adder_probe,
	.remove = adder_remove,
	.dev_groups = adder_groups,
};
module_pci_driver(adder_driver);

MODULE_DESCRIPTION("minivmm example: adds two numbers");
MODULE_LICENSE("Dual MIT/GPL");

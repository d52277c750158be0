// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Driver of minivmm's virtio-test device (devices/virtio/virtio_test.c): virtio id 21, one queue,
 * three 32-bit numbers of configuration.
 *
 *   configuration change interrupt -> virtio_test_changed()   counts
 *                                     virtio_test_send()      sends the number through the queue
 *   queue interrupt                -> virtio_test_done()      frees what the device is done with
 *
 * A buffer belongs to the device from virtqueue_add_outbuf() until virtqueue_get_buf() returns it.
 * Each number has a buffer of its own, so none is written while the device may read it.
 *
 * The queue is guarded by `lock`: virtio leaves that to its users.
 */
#include <linux/module.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/virtio.h>
#include <linux/virtio_config.h>
#include <linux/workqueue.h>

#define VIRTIO_ID_TEST 21
#define VIRTIO_TEST_F_CAN_PRINT 0

/* The device configuration, little-endian. */
struct virtio_test_config {
	__le32 num_pages; /* which interval it is */
	__le32 actual; /* ours: the number sent last */
	__le32 event; /* how many numbers the device got */
};

struct virtio_test {
	struct virtio_device *vdev;
	struct virtqueue *vq;
	spinlock_t lock; /* the queue */
	atomic_t counter; /* configuration changes */
	u32 sent; /* the last of them that was sent; the work's own */
	struct work_struct work;
};

/* ---- The queue ---- */

/* Send one number. -ENOSPC: the queue is full. */
static int virtio_test_add(struct virtio_test *test, u32 number)
{
	struct scatterlist sg;
	unsigned long flags;
	__le32 *buffer;
	int err;

	buffer = kmalloc(sizeof(*buffer), GFP_KERNEL);
	if (!buffer)
		return -ENOMEM;
	*buffer = cpu_to_le32(number);
	sg_init_one(&sg, buffer, sizeof(*buffer));
	spin_lock_irqsave(&test->lock, flags);
	err = virtqueue_add_outbuf(test->vq, &sg, 1, buffer, GFP_ATOMIC);
	if (!err)
		virtqueue_kick(test->vq);
	spin_unlock_irqrestore(&test->lock, flags);
	if (err)
		kfree(buffer);
	return err;
}

/* Process context: what was counted since the last time goes out, a buffer a number. */
static void virtio_test_send(struct work_struct *work)
{
	struct virtio_test *test = container_of(work, struct virtio_test, work);

	while (test->sent != (u32)atomic_read(&test->counter)) {
		int err = virtio_test_add(test, test->sent + 1);

		if (err) {
			dev_warn_ratelimited(&test->vdev->dev, "number %u not sent: %d\n",
					     test->sent + 1, err);
			return; /* the next change, or a buffer that comes back, tries again */
		}
		test->sent++;
		virtio_cwrite_le(test->vdev, struct virtio_test_config, actual, &test->sent);
	}
}

/* Interrupt: the device is done with buffers. */
static void virtio_test_done(struct virtqueue *vq)
{
	struct virtio_test *test = vq->vdev->priv;
	unsigned long flags;
	unsigned int length;
	void *buffer;

	spin_lock_irqsave(&test->lock, flags);
	do {
		virtqueue_disable_cb(vq);
		while ((buffer = virtqueue_get_buf(vq, &length)) != NULL)
			kfree(buffer);
	} while (!virtqueue_enable_cb(vq));
	spin_unlock_irqrestore(&test->lock, flags);
	if (READ_ONCE(test->sent) != (u32)atomic_read(&test->counter))
		schedule_work(&test->work);
}

/* Interrupt: the device configuration has changed. */
static void virtio_test_changed(struct virtio_device *vdev)
{
	struct virtio_test *test = vdev->priv;

	atomic_inc(&test->counter);
	schedule_work(&test->work);
}

/* ---- What /sys shows of it ---- */

static ssize_t interval_number_show(struct device *dev, struct device_attribute *attr, char *text)
{
	u32 number;

	virtio_cread_le(dev_to_virtio(dev), struct virtio_test_config, num_pages, &number);
	return sysfs_emit(text, "%u\n", number);
}
static DEVICE_ATTR_RO(interval_number);

static ssize_t counter_show(struct device *dev, struct device_attribute *attr, char *text)
{
	struct virtio_test *test = dev_to_virtio(dev)->priv;

	return sysfs_emit(text, "%u\n", (u32)atomic_read(&test->counter));
}
static DEVICE_ATTR_RO(counter);

static ssize_t received_show(struct device *dev, struct device_attribute *attr, char *text)
{
	u32 number;

	virtio_cread_le(dev_to_virtio(dev), struct virtio_test_config, event, &number);
	return sysfs_emit(text, "%u\n", number);
}
static DEVICE_ATTR_RO(received);

static struct attribute *virtio_test_attrs[] = {
	&dev_attr_interval_number.attr,
	&dev_attr_counter.attr,
	&dev_attr_received.attr,
	NULL,
};
ATTRIBUTE_GROUPS(virtio_test);

/* ---- Coming and going ---- */

static int virtio_test_probe(struct virtio_device *vdev)
{
	struct virtio_test *test;

	test = kzalloc(sizeof(*test), GFP_KERNEL);
	if (!test)
		return -ENOMEM;
	test->vdev = vdev;
	spin_lock_init(&test->lock);
	INIT_WORK(&test->work, virtio_test_send);
	vdev->priv = test;
	test->vq = virtio_find_single_vq(vdev, virtio_test_done, "numbers");
	if (IS_ERR(test->vq)) {
		int err = PTR_ERR(test->vq);

		kfree(test);
		return err;
	}
	/* From here on the device counts its intervals. */
	virtio_device_ready(vdev);
	dev_info(&vdev->dev, "the device %s\n",
		 virtio_has_feature(vdev, VIRTIO_TEST_F_CAN_PRINT) ? "prints" : "does not print");
	return 0;
}

static void virtio_test_remove(struct virtio_device *vdev)
{
	struct virtio_test *test = vdev->priv;
	void *buffer;

	virtio_reset_device(vdev); /* no interrupt after this, and no buffer is the device's */
	cancel_work_sync(&test->work);
	while ((buffer = virtqueue_detach_unused_buf(test->vq)) != NULL)
		kfree(buffer);
	vdev->config->del_vqs(vdev);
	kfree(test);
}

static const struct virtio_device_id virtio_test_ids[] = {
	{ VIRTIO_ID_TEST, VIRTIO_DEV_ANY_ID },
	{ 0 },
};
MODULE_DEVICE_TABLE(virtio, virtio_test_ids);

static const unsigned int virtio_test_features[] = { VIRTIO_TEST_F_CAN_PRINT };

static struct virtio_driver virtio_test_driver = {
	.driver.name = KBUILD_MODNAME,
	.driver.owner = THIS_MODULE,
	.driver.dev_groups = virtio_test_groups,
	.feature_table = virtio_test_features,
	.feature_table_size = ARRAY_SIZE(virtio_test_features),
	.id_table = virtio_test_ids,
	.probe = virtio_test_probe,
	.remove = virtio_test_remove,
	.config_changed = virtio_test_changed,
};
module_virtio_driver(virtio_test_driver);

MODULE_DESCRIPTION("minivmm virtio test device");
MODULE_LICENSE("Dual MIT/GPL");

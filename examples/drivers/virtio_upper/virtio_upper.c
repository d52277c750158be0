// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Driver of the example device virtio-upper (examples/virtio_upper.c). The device gets two files:
 * `text`: write a text to it, and read it in upper case; and `count`, how many requests it had.
 *
 * The buffers belong to the device from virtqueue_add_sgs() until virtqueue_get_buf() returns them.
 * If they do not come back in time, they stay the device's until it has been reset.
 */
#include <linux/minmax.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/virtio.h>
#include <linux/virtio_config.h>
#include <linux/wait.h>

#define VIRTIO_ID_UPPER 63
#define VIRTIO_UPPER_F_COUNT 0

#define UPPER_TEXT_SIZE (PAGE_SIZE - 1) /* what a file of sysfs can show */

/* The device configuration, little-endian. */
struct virtio_upper_config {
	__le32 max_length;
	__le32 count; /* only with VIRTIO_UPPER_F_COUNT */
};

struct upper {
	struct virtio_device *vdev;
	struct virtqueue *vq;
	wait_queue_head_t wait; /* for the queue's interrupt */
	struct mutex lock; /* guards all below, and the queue: one request at a time */
	char *text; /* to the device */
	char *answer; /* from it; both UPPER_TEXT_SIZE */
	u32 length; /* of the answer */
	bool lost; /* a request did not come back: no other is made */
};

/* ---- One request ---- */

/* The interrupt. It only wakes up: the queue is touched under the lock, and that may sleep. */
static void upper_done(struct virtqueue *vq)
{
	struct upper *upper = vq->vdev->priv;

	wake_up(&upper->wait);
}

/* Sends a text, waits for upper->answer. Caller holds the lock. */
static int upper_request(struct upper *upper, const char *text, u32 length)
{
	struct scatterlist out, in, *sgs[] = { &out, &in };
	u32 written;
	int err;

	if (upper->lost)
		return -EIO;
	memcpy(upper->text, text, length);
	sg_init_one(&out, upper->text, length);
	sg_init_one(&in, upper->answer, length);
	err = virtqueue_add_sgs(upper->vq, sgs, 1, 1, upper, GFP_KERNEL);
	if (err)
		return err;
	virtqueue_kick(upper->vq);
	if (!wait_event_timeout(upper->wait, virtqueue_get_buf(upper->vq, &written), HZ)) {
		upper->lost = true;
		return -ETIMEDOUT;
	}
	upper->length = min(written, length);
	return 0;
}

/* ---- The files ---- */

static ssize_t text_store(struct device *dev, struct device_attribute *attr, const char *text,
			  size_t count)
{
	struct virtio_device *vdev = dev_to_virtio(dev);
	struct upper *upper = vdev->priv;
	u32 max_length;
	int err;

	virtio_cread_le(vdev, struct virtio_upper_config, max_length, &max_length);
	if (count > min_t(size_t, max_length, UPPER_TEXT_SIZE))
		return -EMSGSIZE;
	mutex_lock(&upper->lock);
	err = upper_request(upper, text, count);
	mutex_unlock(&upper->lock);
	return err ? err : count;
}

static ssize_t text_show(struct device *dev, struct device_attribute *attr, char *text)
{
	struct upper *upper = dev_to_virtio(dev)->priv;
	u32 length;

	mutex_lock(&upper->lock);
	length = upper->length;
	memcpy(text, upper->answer, length);
	mutex_unlock(&upper->lock);
	return length;
}
static DEVICE_ATTR_RW(text);

static ssize_t count_show(struct device *dev, struct device_attribute *attr, char *text)
{
	struct virtio_device *vdev = dev_to_virtio(dev);
	u32 count;

	if (!virtio_has_feature(vdev, VIRTIO_UPPER_F_COUNT))
		return -EOPNOTSUPP;
	virtio_cread_le(vdev, struct virtio_upper_config, count, &count);
	return sysfs_emit(text, "%u\n", count);
}
static DEVICE_ATTR_RO(count);

static struct attribute *upper_attrs[] = {
	&dev_attr_text.attr,
	&dev_attr_count.attr,
	NULL,
};
ATTRIBUTE_GROUPS(upper);

/* ---- Coming and going ---- */

static void upper_free(struct upper *upper)
{
	kfree(upper->text);
	kfree(upper->answer);
	kfree(upper);
}

/* A buffer that the device writes has memory of its own, as kmalloc() gives it. */
static struct upper *upper_alloc(struct virtio_device *vdev)
{
	struct upper *upper = kzalloc(sizeof(*upper), GFP_KERNEL);

	if (!upper)
		return NULL;
	upper->vdev = vdev;
	init_waitqueue_head(&upper->wait);
	mutex_init(&upper->lock);
	upper->text = kmalloc(UPPER_TEXT_SIZE, GFP_KERNEL);
	upper->answer = kmalloc(UPPER_TEXT_SIZE, GFP_KERNEL);
	if (!upper->text || !upper->answer) {
		upper_free(upper);
		return NULL;
	}
	return upper;
}

static int upper_probe(struct virtio_device *vdev)
{
	struct upper *upper = upper_alloc(vdev);
	int err;

	if (!upper)
		return -ENOMEM;
	vdev->priv = upper;
	upper->vq = virtio_find_single_vq(vdev, upper_done, "texts");
	if (IS_ERR(upper->vq)) {
		err = PTR_ERR(upper->vq);
		upper_free(upper);
		return err;
	}
	virtio_device_ready(vdev); /* DRIVER_OK */
	return 0;
}

/* The files are gone already. After the reset no buffer is the device's. */
static void upper_remove(struct virtio_device *vdev)
{
	struct upper *upper = vdev->priv;

	virtio_reset_device(vdev);
	virtqueue_detach_unused_buf(upper->vq);
	vdev->config->del_vqs(vdev);
	upper_free(upper);
}

static const struct virtio_device_id upper_ids[] = {
	{ VIRTIO_ID_UPPER, VIRTIO_DEV_ANY_ID },
	{ 0 },
};
MODULE_DEVICE_TABLE(virtio, upper_ids);

static const unsigned int upper_features[] = { VIRTIO_UPPER_F_COUNT };

static struct virtio_driver upper_driver = {
	.driver.name = KBUILD_MODNAME,
	.driver.owner = THIS_MODULE,
	.driver.dev_groups = upper_groups,
	.feature_table = upper_features,
	.feature_table_size = ARRAY_SIZE(upper_features),
	.id_table = upper_ids,
	.probe = upper_probe,
	.remove = upper_remove,
};
module_virtio_driver(upper_driver);

MODULE_DESCRIPTION("minivmm example: texts in upper case");
MODULE_LICENSE("Dual MIT/GPL");

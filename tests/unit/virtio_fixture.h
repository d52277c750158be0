/* SPDX-License-Identifier: MIT */
/*
 * A virtio device for tests, whose class is up to the test, and drivers for it that share no code
 * with the device's side: written from virtio 1.2 (2.7, 2.8, 3.1, 4.1) alone.
 *
 * Memory is one block from 1 MiB on. There is no KVM, so notifications are register writes; what
 * waits for the event loop is run by pump().
 */
#ifndef TESTS_UNIT_VIRTIO_FIXTURE_H
#define TESTS_UNIT_VIRTIO_FIXTURE_H

#include "pci_fixture.h"

#include <poll.h>
#include <sys/epoll.h>

#include "devices/virtio/virtio.h"

#define RAM_BASE 0x100000ull
#define RAM_SIZE 0x800000ull
#define MODERN   0xc0000000ull /* where the test puts BAR4 */
#define MSIX_AT  0xc1000000ull /* BAR1 */
#define LEGACY   0xc000ull     /* BAR0 */

enum { QUEUE_MAX = 64, QUEUES = 2 };

/* ---- the device: keeps requests, or answers at once */

struct vdev {
    struct virtio_device virtio;
    uint8_t config[12];
    struct virtio_request *held[QUEUE_MAX * QUEUES];
    unsigned held_count;
    bool keep; /* requests, until the test completes them */
    unsigned kicks, starts, resets;
};

static struct virtio_class vdev_class; /* the test may change it before it plugs the device */

/* What the answer to a request is: a byte that depends on all that was sent. */
static UNUSED uint8_t digest_of(const uint8_t *data, size_t length)
{
    uint8_t digest = (uint8_t)length;
    for (size_t i = 0; i < length; i++) {
        digest = (uint8_t)(digest * 31 + data[i]);
    }
    return digest;
}

/* Fill `in` with the digest of `out`. Returns the bytes written. */
static UNUSED uint32_t vdev_answer(struct virtio_request *request)
{
    uint8_t data[65536];
    size_t length = virtio_request_read(request, 0, data, sizeof(data));
    assert_int_equal(length, request->out_length);
    memset(data, digest_of(data, length), sizeof(data));
    size_t written = virtio_request_write(request, 0, data, sizeof(data));
    assert_int_equal(written, request->in_length);
    return (uint32_t)written;
}

static UNUSED void vdev_handle(struct virtio_request *request)
{
    struct vdev *vdev = (struct vdev *)request->queue->virtio;
    if (vdev->keep) {
        vdev->held[vdev->held_count++] = request;
    } else {
        virtqueue_push(request, vdev_answer(request));
    }
}

static UNUSED void vdev_kicked(struct virtio_device *virtio, struct virtqueue *queue)
{
    ((struct vdev *)virtio)->kicks++;
    virtqueue_serve(queue, vdev_handle);
}

static UNUSED void vdev_started(struct virtio_device *virtio)
{
    ((struct vdev *)virtio)->starts++;
}

static UNUSED void vdev_drop(struct vdev *vdev, const struct virtqueue *queue)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < vdev->held_count; i++) {
        if (!queue || vdev->held[i]->queue == queue) {
            virtqueue_drop(vdev->held[i]);
        } else {
            vdev->held[kept++] = vdev->held[i];
        }
    }
    vdev->held_count = kept;
}

static UNUSED void vdev_reset(struct virtio_device *virtio)
{
    ((struct vdev *)virtio)->resets++;
    vdev_drop((struct vdev *)virtio, NULL);
}

static UNUSED void vdev_queue_reset(struct virtio_device *virtio, struct virtqueue *queue)
{
    vdev_drop((struct vdev *)virtio, queue);
}

static UNUSED void vdev_config_write(struct virtio_device *virtio, unsigned offset, unsigned size,
                                     uint32_t value)
{
    memcpy(virtio->config + offset, &value, size);
}

static UNUSED const struct virtio_class vdev_usual = {
    .name = "test-device",
    .id = 21,
    .legacy_id = 0x1013,
    .pci_class = 0x00ff00,
    .config_size = 12,
    .kicked = vdev_kicked,
    .started = vdev_started,
    .reset = vdev_reset,
    .queue_reset = vdev_queue_reset,
    .config_write = vdev_config_write,
};

static UNUSED int vdev_realize(struct pci_device *device, struct error *err)
{
    struct vdev *vdev = (struct vdev *)device;
    vdev->virtio.config = vdev->config;
    vdev->virtio.offered = 1;
    return virtio_realize(&vdev->virtio, &vdev_class, QUEUES, QUEUE_MAX, err);
}

static UNUSED void vdev_unrealize(struct pci_device *device)
{
    virtio_unrealize((struct virtio_device *)device);
}

static UNUSED const struct property vdev_properties[] = {
    VIRTIO_PROPERTIES,
    {.name = NULL},
};

static UNUSED const struct pci_device_type vdev_type = {
    .name = "virtio-unit",
    .summary = "for tests",
    .size = sizeof(struct vdev),
    .properties = vdev_properties,
    .default_slot = -1,
    .realize = vdev_realize,
    .unrealize = vdev_unrealize,
    .reset = virtio_pci_reset,
    .config_written = virtio_pci_config_written,
    .config_read = virtio_pci_config_read,
};

/* ---- an IOMMU that moves each page to elsewhere */

static UNUSED uint64_t fake_page(uint64_t page)
{
    uint64_t index = page - (RAM_BASE >> 12);
    return (RAM_BASE >> 12) + (index ^ 0x2a5); /* of 2048 pages */
}

static UNUSED uint64_t denied_page; /* an access there is a fault; 0: none */

static UNUSED int fake_translate(struct iommu *iommu, uint16_t requester, iova_t address,
                                 enum dma_direction direction,
                                 struct iommu_translation *translation)
{
    uint64_t page = address.raw >> 12;
    (void)iommu;
    (void)requester;
    (void)direction;
    if (page < RAM_BASE >> 12 || page >= (RAM_BASE + RAM_SIZE) >> 12 || page == denied_page) {
        return -EFAULT;
    }
    translation->address = gpa(fake_page(page) << 12 | (address.raw & 0xfff));
    translation->length = 4096 - (address.raw & 0xfff);
    return 0;
}

static UNUSED const struct iommu_ops fake_iommu_ops = {.translate = fake_translate};

/* ---- the rig: a host, memory, the device with its BARs placed */

struct rig {
    struct fixture f;
    struct iommu iommu;
    struct vdev *vdev; /* of rig_with(): only its virtio */
    unsigned slot;
    bool behind_iommu;
};

/* The byte at a bus address, as the driver sees it. */
static UNUSED uint8_t *at(struct rig *rig, uint64_t address)
{
    uint64_t place = address;
    if (rig->behind_iommu) {
        place = fake_page(address >> 12) << 12 | (address & 0xfff);
    }
    assert_in_range(place, RAM_BASE, RAM_BASE + RAM_SIZE - 1);
    return (uint8_t *)rig->f.ram.blocks[0].host + (place - RAM_BASE);
}

/* Byte by byte, each in order: the device may look at any time. */
static UNUSED void poke(struct rig *rig, uint64_t address, const void *data, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        __atomic_store_n(at(rig, address + i), ((const uint8_t *)data)[i], __ATOMIC_RELEASE);
    }
}

static UNUSED void peek(struct rig *rig, uint64_t address, void *data, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        ((uint8_t *)data)[i] = __atomic_load_n(at(rig, address + i), __ATOMIC_ACQUIRE);
    }
}

static UNUSED uint16_t peek16(struct rig *rig, uint64_t address)
{
    return __atomic_load_n((uint16_t *)(void *)at(rig, address), __ATOMIC_ACQUIRE);
}

static UNUSED void poke16(struct rig *rig, uint64_t address, uint16_t value)
{
    __atomic_store_n((uint16_t *)(void *)at(rig, address), value, __ATOMIC_RELEASE);
}

static UNUSED struct rig *rig_with(const struct pci_device_type *type, bool behind_iommu,
                                   const char *properties)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    struct error err = {0};
    assert_non_null(rig);
    struct fixture *f = &rig->f;
    denied_page = 0;
    rig->behind_iommu = behind_iommu;
    rig->iommu.ops = &fake_iommu_ops;
    assert_int_equal(bus_init(&f->mmio, "mmio", UINT64_MAX), 0);
    assert_int_equal(bus_init(&f->pio, "pio", 0xffff), 0);
    bus_cursor_init(&f->memory, &f->mmio);
    bus_cursor_init(&f->ports, &f->pio);
    fake_irq_init(&f->irq);
    assert_int_equal(event_loop_init(&f->loop, &err), 0);
    assert_int_equal(guest_memory_add(&f->ram, gpa(RAM_BASE), RAM_SIZE, false, &err), 0);
    struct pci_host_config config = fixture_config(f);
    config.iommu = behind_iommu ? &rig->iommu : NULL;
    assert_int_equal(pci_host_init(&f->host, &config, &err), 0);
    rig->vdev = (struct vdev *)plug(f, type, properties);
    pci_host_reset(&f->host);
    struct pci_device *pci = &rig->vdev->virtio.pci;
    pci_config_write(pci, PCI_BASE_ADDRESS_0, 4, LEGACY);
    pci_config_write(pci, PCI_BASE_ADDRESS_1, 4, MSIX_AT);
    pci_config_write(pci, PCI_BASE_ADDRESS_4, 4, MODERN);
    pci_config_write(pci, PCI_BASE_ADDRESS_5, 4, 0);
    set_command(f, pci, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    return rig;
}

/* The same with the device above, of this class. */
static UNUSED struct rig *rig_new(bool behind_iommu, const struct virtio_class *class,
                                  const char *properties)
{
    vdev_class = *class;
    return rig_with(&vdev_type, behind_iommu, properties);
}

static UNUSED void rig_free(struct rig *rig)
{
    struct fixture *f = &rig->f;
    pci_host_destroy(&f->host);
    assert_int_equal(f->irq.reserved, 0);
    assert_int_equal(rig->iommu.users[0] + rig->iommu.users[1], 0); /* no translation is held */
    event_loop_destroy(&f->loop);
    bus_cursor_destroy(&f->memory);
    bus_cursor_destroy(&f->ports);
    bus_destroy(&f->mmio);
    bus_destroy(&f->pio);
    guest_memory_destroy(&f->ram);
    free(rig);
}

/* Registers of BAR4 and BAR0. */
static UNUSED uint64_t get(struct rig *rig, uint64_t offset, unsigned size)
{
    return mem_read(&rig->f, MODERN + offset, size);
}

static UNUSED void put(struct rig *rig, uint64_t offset, unsigned size, uint64_t value)
{
    bus_write(&rig->f.memory, MODERN + offset, size, value);
}

static UNUSED uint64_t port_get(struct rig *rig, unsigned offset, unsigned size)
{
    return bus_read(&rig->f.ports, LEGACY + offset, size) & ((1ull << 8 * size) - 1);
}

static UNUSED void port_put(struct rig *rig, unsigned offset, unsigned size, uint64_t value)
{
    bus_write(&rig->f.ports, LEGACY + offset, size, value);
}

static UNUSED uint8_t status_of(struct rig *rig)
{
    return (uint8_t)get(rig, VIRTIO_PCI_COMMON_STATUS, 1);
}

/* Run what waits for the event loop. Returns whether there was something. */
static UNUSED bool pump(struct rig *rig)
{
    bool any = false;
    for (unsigned i = 0; i < rig->vdev->virtio.queue_count; i++) {
        struct event_source *kick = &rig->vdev->virtio.queues[i].kick;
        struct pollfd fd = {.fd = kick->fd, .events = POLLIN};
        if (poll(&fd, 1, 0) == 1) {
            kick->handler(kick->opaque, EPOLLIN);
            any = true;
        }
    }
    return any;
}

/* 3.1.1 up to FEATURES_OK. Returns whether the device agreed. */
static UNUSED bool negotiate(struct rig *rig, uint64_t features)
{
    put(rig, VIRTIO_PCI_COMMON_STATUS, 1, 0);
    put(rig, VIRTIO_PCI_COMMON_STATUS, 1, VIRTIO_CONFIG_S_ACKNOWLEDGE);
    put(rig, VIRTIO_PCI_COMMON_STATUS, 1, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
    for (unsigned i = 0; i < 2; i++) {
        put(rig, VIRTIO_PCI_COMMON_GFSELECT, 4, i);
        put(rig, VIRTIO_PCI_COMMON_GF, 4, (uint32_t)(features >> 32 * i));
    }
    put(rig, VIRTIO_PCI_COMMON_STATUS, 1,
        VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK);
    return status_of(rig) & VIRTIO_CONFIG_S_FEATURES_OK;
}

static UNUSED void set_driver_ok(struct rig *rig)
{
    put(rig, VIRTIO_PCI_COMMON_STATUS, 1,
        VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK |
            VIRTIO_CONFIG_S_DRIVER_OK);
}

static UNUSED void set_up_queue(struct rig *rig, unsigned index, unsigned size, uint64_t desc,
                                uint64_t driver, uint64_t device)
{
    put(rig, VIRTIO_PCI_COMMON_Q_SELECT, 2, index);
    put(rig, VIRTIO_PCI_COMMON_Q_SIZE, 2, size);
    put(rig, VIRTIO_PCI_COMMON_Q_DESCLO, 4, (uint32_t)desc);
    put(rig, VIRTIO_PCI_COMMON_Q_DESCHI, 4, desc >> 32);
    put(rig, VIRTIO_PCI_COMMON_Q_AVAILLO, 4, (uint32_t)driver);
    put(rig, VIRTIO_PCI_COMMON_Q_AVAILHI, 4, driver >> 32);
    put(rig, VIRTIO_PCI_COMMON_Q_USEDLO, 4, (uint32_t)device);
    put(rig, VIRTIO_PCI_COMMON_Q_USEDHI, 4, device >> 32);
    put(rig, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
}

/* ---- the driver: one queue, either format */

struct buffer {
    uint64_t address;
    uint32_t length;
    bool device_writes;
};

struct chain {
    bool in_flight;
    unsigned entries; /* in the ring */
    uint8_t digest;
    struct buffer buffers[16];
    unsigned count;
};

struct driver {
    struct rig *rig;
    bool packed, event_idx, indirect;
    unsigned index, size;
    uint64_t desc, drv, dev; /* the three parts */
    uint64_t tables;         /* for indirect tables, one page a chain */
    unsigned free_entries;
    uint16_t avail, used; /* split: counting on; packed: places */
    bool avail_wrap, used_wrap;
    unsigned added; /* ring entries since then */
    struct chain chains[QUEUE_MAX];
    bool entry_taken[QUEUE_MAX]; /* split: descriptors */
    unsigned kicks, completed;
    unsigned last_id; /* of those completed, and the length that came with it */
    uint32_t last_length;
    uint64_t last; /* what makes the prepared chain available: this value there */
    uint16_t last_value;
};

static UNUSED void driver_start(struct driver *d, struct rig *rig, unsigned size, uint64_t features)
{
    *d = (struct driver){
        .rig = rig,
        .packed = features & VIRTIO_BIT(VIRTIO_F_RING_PACKED),
        .event_idx = features & VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX),
        .indirect = features & VIRTIO_BIT(VIRTIO_RING_F_INDIRECT_DESC),
        .size = size,
        .desc = RAM_BASE + 0x1000,
        .drv = RAM_BASE + 0x3000,
        .dev = RAM_BASE + 0x5000,
        .tables = RAM_BASE + 0x10000,
        .free_entries = size,
        .avail_wrap = true,
        .used_wrap = true,
    };
    put(rig, VIRTIO_PCI_COMMON_STATUS, 1, 0); /* until then the rings are the device's too */
    for (uint64_t i = 0; i < 0x6000; i++) {
        *at(rig, RAM_BASE + 0x1000 + i) = 0;
    }
    assert_true(negotiate(rig, features));
    set_up_queue(rig, 0, size, d->desc, d->drv, d->dev);
    assert_int_equal(get(rig, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 1);
    set_driver_ok(rig);
}

static UNUSED void write_desc(struct driver *d, uint64_t where, const struct buffer *b,
                              uint16_t flags, uint16_t next_or_id, bool packed)
{
    uint16_t first = packed ? next_or_id : flags;
    uint16_t second = packed ? flags : next_or_id;
    poke(d->rig, where, &b->address, 8);
    poke(d->rig, where + 8, &b->length, 4);
    poke16(d->rig, where + 12, first);
    poke16(d->rig, where + 14, second);
}

static UNUSED uint16_t flags_of(const struct chain *chain, unsigned i)
{
    return (uint16_t)((i + 1 < chain->count ? 1 : 0) | (chain->buffers[i].device_writes ? 2 : 0));
}

static UNUSED struct buffer table_of(struct driver *d, unsigned id, const struct chain *chain)
{
    uint64_t table = d->tables + 0x1000ull * id;
    for (unsigned i = 0; i < chain->count; i++) {
        uint16_t flags = flags_of(chain, i);
        /* In a packed queue's table NEXT means nothing, and the id neither: 2.8.7. */
        write_desc(d, table + 16 * i, &chain->buffers[i], d->packed ? flags & 2 : flags,
                   (uint16_t)(d->packed ? 0x5a5a : i + 1), d->packed);
    }
    return (struct buffer){.address = table, .length = 16 * chain->count};
}

static UNUSED unsigned take_entry(struct driver *d, unsigned from)
{
    while (d->entry_taken[from % d->size]) {
        from++;
    }
    d->entry_taken[from % d->size] = true;
    return from % d->size;
}

/* Make chain `id` available. 2.7.13, 2.8.21 */
static UNUSED void add_split(struct driver *d, struct chain *chain, bool indirect, unsigned salt,
                             unsigned *head)
{
    struct buffer table;
    unsigned count = indirect ? 1 : chain->count;
    unsigned entries[16] = {0};
    for (unsigned i = 0; i < count; i++) {
        entries[i] = take_entry(d, salt + 7 * i);
    }
    *head = entries[0];
    if (indirect) {
        table = table_of(d, entries[0], chain);
        write_desc(d, d->desc + 16ull * entries[0], &table, 4, 0, false);
    }
    for (unsigned i = 0; !indirect && i < count; i++) {
        write_desc(d, d->desc + 16ull * entries[i], &chain->buffers[i], flags_of(chain, i),
                   (uint16_t)(i + 1 < count ? entries[i + 1] : 0xffff), false);
    }
    poke16(d->rig, d->drv + 4 + 2 * (d->avail % d->size), (uint16_t)entries[0]);
    d->avail++;
    d->last = d->drv + 2;
    d->last_value = d->avail;
    d->added++;
    chain->entries = count;
}

static UNUSED void add_packed(struct driver *d, struct chain *chain, bool indirect, unsigned id)
{
    struct buffer table = {0};
    unsigned count = indirect ? 1 : chain->count;
    uint16_t first_flags = 0;
    uint64_t first = d->desc + 16ull * d->avail;
    if (indirect) {
        table = table_of(d, id, chain);
    }
    for (unsigned i = 0; i < count; i++) {
        uint16_t flags = indirect ? 4 : flags_of(chain, i);
        flags |= d->avail_wrap ? 1u << 7 : 1u << 15;
        uint64_t where = d->desc + 16ull * d->avail;
        uint16_t place = peek16(d->rig, where + 14);
        write_desc(d, where, indirect ? &table : &chain->buffers[i], i ? flags : place,
                   (uint16_t)(i + 1 < count ? 0x1234 : id), true);
        if (i == 0) {
            first_flags = flags; /* the first becomes available last */
        }
        if (++d->avail == d->size) {
            d->avail = 0;
            d->avail_wrap = !d->avail_wrap;
        }
    }
    d->last = first + 14;
    d->last_value = first_flags;
    d->added += count;
    chain->entries = count;
}

/* Whether the device wants to hear of the entries added since the last time. 2.7.10, 2.8.10 */
static UNUSED bool device_wants_kick(struct driver *d)
{
    unsigned added = d->added;
    d->added = 0;
    if (!added) {
        return false;
    }
    if (!d->packed) {
        if (!d->event_idx) {
            return !(peek16(d->rig, d->dev) & 1);
        }
        uint16_t event = peek16(d->rig, d->dev + 4 + 8 * d->size);
        return (uint16_t)(d->avail - 1 - event) < added;
    }
    uint16_t flags = peek16(d->rig, d->dev + 2);
    if (flags != 2) {
        return flags == 0;
    }
    uint16_t off_wrap = peek16(d->rig, d->dev);
    int wanted = off_wrap & 0x7fff;
    int now = d->avail + ((off_wrap >> 15) == d->avail_wrap ? 0 : (int)d->size);
    return now - wanted > 0 && (unsigned)(now - wanted) <= added;
}

static UNUSED void driver_kick(struct driver *d)
{
    if (device_wants_kick(d)) {
        d->kicks++;
        put(d->rig, VIRTIO_NOTIFY_REGION + 4 * d->index, 2, d->index);
    }
}

/* Ask for an interrupt for the next used entry, or for `ahead` ones later; or for none. */
static UNUSED void want_interrupt(struct driver *d, bool wanted, unsigned ahead)
{
    if (!d->packed) {
        if (d->event_idx) {
            poke16(d->rig, d->drv + 4 + 2 * d->size,
                   (uint16_t)(wanted ? d->used + ahead : d->used - 1000u));
        } else {
            poke16(d->rig, d->drv, !wanted);
        }
        return;
    }
    unsigned place = d->used + ahead;
    bool wrap = d->used_wrap ^ (place >= d->size);
    poke16(d->rig, d->drv, (uint16_t)(place % d->size | (unsigned)wrap << 15));
    poke16(d->rig, d->drv + 2, !wanted ? 1 : d->event_idx ? 2 : 0);
}

/* The next used chain's id and length; false: there is none. */
static UNUSED bool next_used(struct driver *d, unsigned *id, uint32_t *length)
{
    if (!d->packed) {
        if (peek16(d->rig, d->dev + 2) == d->used) {
            return false;
        }
        uint32_t entry[2];
        peek(d->rig, d->dev + 4 + 8 * (d->used % d->size), entry, sizeof(entry));
        d->used++;
        *id = entry[0];
        *length = entry[1];
        return true;
    }
    uint64_t where = d->desc + 16ull * d->used;
    uint16_t flags = peek16(d->rig, where + 14);
    bool avail = flags >> 7 & 1;
    bool used = flags >> 15 & 1;
    if (avail != d->used_wrap || used != d->used_wrap) {
        return false;
    }
    *id = peek16(d->rig, where + 12);
    peek(d->rig, where + 8, length, 4);
    assert_in_range(*id, 0, d->size - 1);
    d->used = (uint16_t)(d->used + d->chains[*id].entries);
    if (d->used >= d->size) {
        d->used = (uint16_t)(d->used - d->size);
        d->used_wrap = !d->used_wrap;
    }
    return true;
}

/* Take back what the device is done with, and look whether it did it right. */
static UNUSED unsigned collect(struct driver *d, bool answered)
{
    unsigned id;
    uint32_t length;
    unsigned count = 0;
    while (next_used(d, &id, &length)) {
        assert_in_range(id, 0, d->size - 1);
        struct chain *chain = &d->chains[id];
        assert_true(chain->in_flight);
        uint32_t expected = 0;
        for (unsigned i = 0; i < chain->count; i++) {
            const struct buffer *b = &chain->buffers[i];
            for (uint32_t k = 0; answered && b->device_writes && k < b->length; k++) {
                assert_int_equal(*at(d->rig, b->address + k), chain->digest);
            }
            expected += b->device_writes ? b->length : 0;
        }
        if (answered) {
            assert_int_equal(length, expected);
        }
        chain->in_flight = false;
        d->free_entries += chain->entries;
        if (!d->packed) { /* free its descriptors: follow the chain */
            unsigned entry = id;
            for (unsigned i = 0; i < chain->entries; i++) {
                d->entry_taken[entry] = false;
                entry = peek16(d->rig, d->desc + 16ull * entry + 14) % d->size;
            }
        }
        d->completed++;
        d->last_id = id;
        d->last_length = length;
        count++;
    }
    return count;
}

/* An id that no chain in flight has. */
static UNUSED unsigned free_id(const struct driver *d)
{
    unsigned id = 0;
    while (d->chains[id].in_flight) {
        id++;
    }
    return id;
}

/* Write what makes the prepared chain available. */
static UNUSED void driver_publish(struct driver *d)
{
    poke16(d->rig, d->last, d->last_value);
}

/* Prepare a chain of these buffers; its data must be in memory already. Returns its id. */
static UNUSED unsigned driver_prepare(struct driver *d, const struct buffer *buffers,
                                      unsigned count, bool indirect, unsigned salt)
{
    struct chain chain = {.in_flight = true, .count = count};
    uint8_t data[65536];
    size_t length = 0;
    memcpy(chain.buffers, buffers, count * sizeof(*buffers));
    for (unsigned i = 0; i < count; i++) {
        if (!buffers[i].device_writes && length + buffers[i].length <= sizeof(data)) {
            peek(d->rig, buffers[i].address, data + length, buffers[i].length);
            length += buffers[i].length;
        }
    }
    chain.digest = digest_of(data, length);
    unsigned id = free_id(d);
    if (d->packed) {
        add_packed(d, &chain, indirect, id);
    } else {
        add_split(d, &chain, indirect, salt, &id);
    }
    d->free_entries -= chain.entries;
    d->chains[id] = chain;
    return id;
}

/* The same, and make it available. */
static UNUSED unsigned driver_add(struct driver *d, const struct buffer *buffers, unsigned count,
                                  bool indirect, unsigned salt)
{
    unsigned id = driver_prepare(d, buffers, count, indirect, salt);
    driver_publish(d);
    return id;
}

#endif

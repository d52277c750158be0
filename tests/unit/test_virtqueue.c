/* SPDX-License-Identifier: MIT */
/*
 * Virtqueues of both formats against the fixture's driver: random chains, completions in any order,
 * notifications suppressed in every way there is; and what becomes of a driver that breaks the
 * rules.
 */
#include "virtio_fixture.h"

#define V1        VIRTIO_BIT(VIRTIO_F_VERSION_1)
#define PACKED    VIRTIO_BIT(VIRTIO_F_RING_PACKED)
#define EVENT_IDX VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX)
#define INDIRECT  VIRTIO_BIT(VIRTIO_RING_F_INDIRECT_DESC)
#define IN_ORDER  VIRTIO_BIT(VIRTIO_F_IN_ORDER)
#define PLATFORM  VIRTIO_BIT(VIRTIO_F_ACCESS_PLATFORM)

static const struct buffer good_out = {.address = RAM_BASE + 0x100000, .length = 16};
static const struct buffer good_in = {
    .address = RAM_BASE + 0x101000, .length = 16, .device_writes = true};

static uint32_t seed;

static unsigned roll(unsigned below)
{
    seed = seed * 1664525 + 1013904223;
    return (seed >> 8) % below;
}

/* Buffers have 16 KiB each, by chain and place; some cross pages. */
static struct buffer random_buffer(struct rig *rig, unsigned chain, unsigned place, bool in)
{
    struct buffer b = {
        .address = RAM_BASE + 0x100000 + 0x1000ull * (chain * 8 + place) + roll(4000),
        .length = 1 + roll(roll(4) ? 100 : 3000),
        .device_writes = in,
    };
    for (uint32_t i = 0; i < b.length; i++) {
        *at(rig, b.address + i) = (uint8_t)roll(256);
    }
    return b;
}

static void add_random_chain(struct driver *d)
{
    struct buffer buffers[6];
    static unsigned turn; /* neighbours in flight never share memory */
    turn = (turn + 1) % 128;
    unsigned outs = roll(3);
    unsigned count = outs + roll(4);
    count = count ? count : 1;
    for (unsigned i = 0; i < count; i++) {
        buffers[i] = random_buffer(d->rig, turn, i, i >= outs);
    }
    bool indirect = d->indirect && roll(2);
    if ((indirect ? 1 : count) <= d->free_entries) {
        (void)driver_add(d, buffers, count, indirect, roll(QUEUE_MAX));
    }
}

/* Answer some of the requests that the device keeps, in any order, in batches. */
static void complete_some(struct vdev *vdev)
{
    struct virtio_request *batch[8];
    uint32_t written[8];
    unsigned count = 0;
    unsigned wanted = 1 + roll(8);
    pthread_mutex_lock(&vdev->virtio.pci.lock);
    while (vdev->held_count && count < wanted) {
        unsigned pick = roll(vdev->held_count);
        batch[count] = vdev->held[pick];
        written[count] = vdev_answer(batch[count]);
        vdev->held[pick] = vdev->held[--vdev->held_count];
        count++;
    }
    if (count) {
        virtqueue_push_all(&vdev->virtio.queues[0], batch, written, count);
        virtqueue_notify(&vdev->virtio.queues[0]);
    }
    pthread_mutex_unlock(&vdev->virtio.pci.lock);
}

/*
 * The driver looks at the ring only after an interrupt, and the device only after a notification:
 * if either loses one, both wait for each other and the test ends short of its number.
 */
static void run_random(uint64_t features, bool behind_iommu, bool keep, bool bounced,
                       unsigned chains)
{
    struct virtio_class class = vdev_usual;
    class.long_requests = bounced;
    struct rig *rig = rig_new(behind_iommu, &class, "packed=on,in-order=on");
    struct driver d;
    unsigned added = 0;
    unsigned interrupts = 0;
    rig->vdev->keep = keep;
    driver_start(&d, rig, QUEUE_MAX, features | V1 | (behind_iommu ? PLATFORM : 0));
    want_interrupt(&d, true, 0);
    for (unsigned idle = 0; d.completed < chains && idle < 200;) {
        unsigned before = d.completed + added;
        if (added < chains && roll(3)) {
            unsigned free_before = d.free_entries;
            add_random_chain(&d);
            added += d.free_entries != free_before;
            if (roll(2) || d.free_entries < 6 || added == chains) {
                driver_kick(&d);
            }
        }
        if (roll(2)) {
            pump(rig);
        }
        if (keep && roll(2)) {
            complete_some(rig->vdev);
        }
        if (get(rig, VIRTIO_ISR_REGION, 1) & VIRTIO_ISR_QUEUE) {
            interrupts++;
            do { /* the race of 2.7.10: what came while it was asking */
                collect(&d, true);
                want_interrupt(&d, true, 0);
            } while (collect(&d, true));
        }
        driver_kick(&d);
        idle = d.completed + added == before ? idle + 1 : 0;
    }
    assert_int_equal(d.completed, chains);
    assert_int_equal(status_of(rig) & VIRTIO_CONFIG_S_NEEDS_RESET, 0);
    assert_true(interrupts > 0 && interrupts <= chains);
    assert_true(d.kicks <= chains + 1);
    assert_int_equal(rig->vdev->virtio.queues[0].in_flight, 0);
    rig_free(rig);
}

static void test_random(void **state)
{
    (void)state;
    const uint64_t options[] = {
        0, EVENT_IDX, INDIRECT, EVENT_IDX | INDIRECT, IN_ORDER, IN_ORDER | EVENT_IDX | INDIRECT};
    seed = 1;
    for (unsigned i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        for (unsigned mode = 0; mode < 8; mode++) {
            uint64_t features = options[i] | (mode & 1 ? PACKED : 0);
            run_random(features, mode & 2, mode & 4, false, 2000);
        }
    }
}

/* Long requests behind an IOMMU have memory of the device's own, and hold no translation. */
static void test_bounced(void **state)
{
    (void)state;
    seed = 7;
    run_random(EVENT_IDX | INDIRECT, true, true, true, 2000);
    run_random(PACKED | INDIRECT, true, true, true, 2000);
}

static void test_bounced_holds_nothing(void **state)
{
    (void)state;
    struct virtio_class class = vdev_usual;
    class.long_requests = true;
    struct rig *rig = rig_new(true, &class, "");
    struct driver d;
    rig->vdev->keep = true;
    driver_start(&d, rig, 16, V1 | PLATFORM);
    struct buffer in = {.address = RAM_BASE + 0x200ff0, .length = 64, .device_writes = true};
    driver_add(&d, &in, 1, false, 0);
    driver_kick(&d);
    pump(rig);
    assert_int_equal(rig->vdev->held_count, 1);
    assert_int_equal(rig->iommu.users[0] + rig->iommu.users[1], 0);
    for (unsigned i = 0; i < 64; i++) {
        assert_int_equal(((uint8_t *)rig->vdev->held[0]->in[0].iov_base)[i], 0); /* nobody's data */
    }
    complete_some(rig->vdev);
    assert_int_equal(collect(&d, true), 1);
    rig_free(rig);
}

/* ---- notifications one by one */

/* Complete `count` of 8 kept requests, and tell how often the driver was interrupted. */
static bool interrupted_after(uint64_t features, bool wanted, unsigned ahead, unsigned count)
{
    struct rig *rig = rig_new(false, &vdev_usual, "packed=on");
    struct driver d;
    struct vdev *vdev = rig->vdev;
    vdev->keep = true;
    driver_start(&d, rig, 16, features | V1);
    want_interrupt(&d, wanted, ahead);
    for (unsigned i = 0; i < 8; i++) {
        struct buffer b = {.address = RAM_BASE + 0x100000 + 64 * i, .length = 8};
        driver_add(&d, &b, 1, false, i);
    }
    driver_kick(&d);
    pump(rig);
    assert_int_equal(vdev->held_count, 8);
    pthread_mutex_lock(&vdev->virtio.pci.lock);
    for (unsigned i = 0; i < count; i++) {
        virtqueue_push(vdev->held[i], 0);
    }
    virtqueue_notify(&vdev->virtio.queues[0]);
    memmove(vdev->held, vdev->held + count, (8 - count) * sizeof(vdev->held[0]));
    vdev->held_count -= count;
    pthread_mutex_unlock(&vdev->virtio.pci.lock);
    bool interrupted = get(rig, VIRTIO_ISR_REGION, 1) & VIRTIO_ISR_QUEUE;
    assert_int_equal(collect(&d, false), count);
    rig_free(rig);
    return interrupted;
}

static void test_interrupt_suppression(void **state)
{
    (void)state;
    for (unsigned packed = 0; packed < 2; packed++) {
        uint64_t base = packed ? PACKED : 0;
        assert_true(interrupted_after(base, true, 0, 1));
        assert_false(interrupted_after(base, false, 0, 8));
        assert_true(interrupted_after(base | EVENT_IDX, true, 0, 1));
        assert_true(interrupted_after(base | EVENT_IDX, true, 0, 8));
        assert_false(interrupted_after(base | EVENT_IDX, true, 4, 4)); /* the fifth was asked for */
        assert_true(interrupted_after(base | EVENT_IDX, true, 4, 5));
        assert_false(interrupted_after(base | EVENT_IDX, false, 0, 8));
    }
}

/* Where there is work, the device asks to be left alone; where there is none, to be told. */
static void test_kick_suppression(void **state)
{
    (void)state;
    for (unsigned mode = 0; mode < 4; mode++) {
        uint64_t features = V1 | (mode & 1 ? PACKED : 0) | (mode & 2 ? EVENT_IDX : 0);
        struct rig *rig = rig_new(false, &vdev_usual, "packed=on");
        struct driver d;
        struct virtqueue *queue = &rig->vdev->virtio.queues[0];
        driver_start(&d, rig, 16, features);
        pump(rig);
        struct buffer b = {.address = RAM_BASE + 0x100000, .length = 8};
        driver_add(&d, &b, 1, false, 0);
        assert_true(device_wants_kick(&d));
        pthread_mutex_lock(&rig->vdev->virtio.pci.lock);
        virtqueue_set_kicks(queue, false);
        assert_true(virtqueue_has_more(queue));
        struct virtio_request *request = virtqueue_pop(queue);
        assert_non_null(request);
        virtqueue_unpop(request);
        request = virtqueue_pop(queue); /* the same again */
        assert_int_equal(request->out_length, 8);
        virtqueue_push(request, 0);
        assert_false(virtqueue_has_more(queue));
        assert_null(virtqueue_pop(queue));
        pthread_mutex_unlock(&rig->vdev->virtio.pci.lock);
        driver_add(&d, &b, 1, false, 1);
        assert_false(device_wants_kick(&d));
        pthread_mutex_lock(&rig->vdev->virtio.pci.lock);
        virtqueue_set_kicks(queue, true);
        assert_true(virtqueue_has_more(queue));
        pthread_mutex_unlock(&rig->vdev->virtio.pci.lock);
        assert_int_equal(collect(&d, false), 1);
        rig_free(rig);
    }
}

/* A chain that goes round the end of the ring is put back and taken again. */
static void test_unpop_at_the_end(void **state)
{
    (void)state;
    for (unsigned packed = 0; packed < 2; packed++) {
        struct rig *rig = rig_new(false, &vdev_usual, "packed=on");
        struct driver d;
        struct virtqueue *queue = &rig->vdev->virtio.queues[0];
        const struct buffer three[3] = {good_out, good_in, good_in};
        driver_start(&d, rig, 16, V1 | (packed ? PACKED : 0));
        for (unsigned i = 0; i < 14; i++) {
            driver_add(&d, &good_out, 1, false, i);
        }
        driver_kick(&d);
        pump(rig);
        assert_int_equal(collect(&d, true), 14);
        driver_add(&d, three, 3, false, 0);
        for (unsigned i = 0; i < 3; i++) {
            struct virtio_request *request = virtqueue_pop(queue);
            assert_non_null(request);
            assert_int_equal(request->in_length, 32);
            if (i < 2) {
                virtqueue_unpop(request);
            } else {
                virtqueue_push(request, vdev_answer(request));
            }
        }
        assert_null(virtqueue_pop(queue));
        assert_int_equal(collect(&d, false), 1);
        rig_free(rig);
    }
}

/*
 * Driver and device on threads of their own: the driver adds at any moment, the one between the
 * device's last look at the ring and its wish to be notified among them, and notifies only if that
 * is wanted.
 */
static void test_no_kick_is_lost(void **state)
{
    static atomic_uint fence;
    (void)state;
    for (unsigned mode = 0; mode < 4; mode++) {
        struct virtio_class class = vdev_usual;
        class.own_thread = true;
        struct rig *rig = rig_new(false, &class, "packed=on");
        struct driver d;
        driver_start(&d, rig, 16, V1 | (mode & 1 ? PACKED : 0) | (mode & 2 ? EVENT_IDX : 0));
        want_interrupt(&d, false, 0);
        driver_prepare(&d, &good_out, 1, false, 0);
        for (unsigned i = 1; i < 20000; i++) {
            driver_publish(&d);
            (void)atomic_fetch_add(&fence, 1); /* 2.7.13.4.1: then look whether to kick */
            driver_kick(&d);
            driver_prepare(&d, &good_out, 1, false, i);
            d.added--; /* not yet */
            uint64_t deadline = event_now_ns() + 10000000000ull;
            while (!collect(&d, false)) {
                assert_true(event_now_ns() < deadline);
            }
            for (volatile unsigned wait = roll(30); wait; wait--) {
            }
            d.added++;
        }
        rig_free(rig);
    }
}

/* ---- broken rules: the device stops and says so, and nothing else */

/* A driver with one chain that the test may damage before the device sees it. */
struct trial {
    struct rig *rig;
    struct driver d;
};

static void begin(struct trial *t, uint64_t features, bool behind_iommu)
{
    t->rig = rig_new(behind_iommu, &vdev_usual, "packed=on");
    driver_start(&t->d, t->rig, 16, features | V1 | (behind_iommu ? PLATFORM : 0));
    pump(t->rig);
    memset(t->rig->f.ram.blocks[0].host, 0xee, 0x1000); /* nobody has a reason to write here */
}

static void expect_broken(struct trial *t, bool broken)
{
    struct rig *rig = t->rig;
    (void)get(rig, VIRTIO_ISR_REGION, 1);
    put(rig, VIRTIO_NOTIFY_REGION, 2, 0);
    while (pump(rig)) {
    }
    assert_int_equal(!!(status_of(rig) & VIRTIO_CONFIG_S_NEEDS_RESET), broken);
    if (broken) { /* 2.1.2: with DRIVER_OK the driver is told by a configuration change */
        assert_int_equal(get(rig, VIRTIO_ISR_REGION, 1) & VIRTIO_ISR_CONFIG, VIRTIO_ISR_CONFIG);
        assert_false(virtio_is_live(&rig->vdev->virtio));
    }
    for (unsigned i = 0; i < 0x1000; i++) {
        assert_int_equal(((uint8_t *)rig->f.ram.blocks[0].host)[i], 0xee);
    }
    /* After a reset it works. */
    struct driver again;
    driver_start(&again, rig, 16, V1 | (rig->behind_iommu ? PLATFORM : 0));
    struct buffer b = {.address = RAM_BASE + 0x100000, .length = 8};
    driver_add(&again, &b, 1, false, 0);
    driver_kick(&again);
    pump(rig);
    assert_int_equal(collect(&again, true), 1);
    rig_free(rig);
}

/* One chain of two buffers, as they are. */
static void try_buffers(uint64_t features, struct buffer a, struct buffer b, bool broken)
{
    for (unsigned mode = 0; mode < 4; mode++) {
        struct trial t;
        const struct buffer buffers[2] = {a, b};
        begin(&t, features | (mode & 1 ? PACKED : 0) | INDIRECT, false);
        /* driver_add() looks at what is sent: hence harmless ones first. */
        const struct buffer harmless[2] = {good_out, good_in};
        unsigned id = driver_add(&t.d, harmless, 2, mode & 2, 0);
        uint64_t table = mode & 2 ? t.d.tables + 0x1000ull * id : t.d.desc;
        for (unsigned i = 0; i < 2; i++) {
            uint64_t where = mode & 2 || mode & 1 ? table + 16 * i : t.d.desc + 16ull * (i ? 7 : 0);
            uint16_t old = peek16(t.rig, where + (mode & 1 ? 14 : 12));
            uint16_t flags = (uint16_t)((old & ~2u) | (buffers[i].device_writes ? 2 : 0));
            poke(t.rig, where, &buffers[i].address, 8);
            poke(t.rig, where + 8, &buffers[i].length, 4);
            poke16(t.rig, where + (mode & 1 ? 14 : 12), flags);
        }
        expect_broken(&t, broken);
    }
}

static struct buffer changed(struct buffer b, uint64_t address, uint32_t length)
{
    b.address = address;
    b.length = length;
    return b;
}

static void test_bad_buffers(void **state)
{
    (void)state;
    try_buffers(0, good_out, good_in, false);
    try_buffers(0, good_out, good_out, false);
    try_buffers(0, good_in, good_in, false);
    try_buffers(0, good_in, good_out, true); /* 2.7.4.2 */
    try_buffers(0, changed(good_out, RAM_BASE + 0x100000, 0), good_in, true);
    try_buffers(0, good_out, changed(good_in, RAM_BASE + 0x100000, 0), true);
    try_buffers(0, changed(good_out, RAM_BASE + 0x100000, 0xffffffff), good_in, true);
    try_buffers(0, good_out, changed(good_in, RAM_BASE + RAM_SIZE - 8, 16), true);
    try_buffers(0, good_out, changed(good_in, RAM_BASE - 8, 16), true);
    try_buffers(0, changed(good_out, 0, 16), good_in, true);
    try_buffers(0, changed(good_out, UINT64_MAX - 7, 16), good_in, true);
    try_buffers(0, changed(good_out, MODERN, 16), good_in, true); /* a device's register */
}

/* A split queue whose descriptor 0 gets these flags and this link. */
static void try_split(uint16_t flags, uint16_t next, uint32_t length, uint64_t features,
                      bool broken)
{
    struct trial t;
    begin(&t, features, false);
    driver_add(&t.d, &good_out, 1, false, 0);
    /* A good descriptor behind the table, and one in the buffer, should it be taken for a table. */
    write_desc(&t.d, t.d.desc + 16 * 16, &good_in, 0, 0, false);
    write_desc(&t.d, good_out.address, &good_in, 0, 0, false);
    poke16(t.rig, t.d.desc + 12, flags);
    poke16(t.rig, t.d.desc + 14, next);
    poke(t.rig, t.d.desc + 8, &length, 4);
    expect_broken(&t, broken);
}

static void test_bad_split_chains(void **state)
{
    (void)state;
    try_split(0, 0, 16, 0, false);
    try_split(1, 0, 16, 0, true);      /* a loop */
    try_split(1, 16, 16, 0, true);     /* outside the table */
    try_split(1, 0xffff, 16, 0, true); /* far outside */
    try_split(4, 0, 16, 0, true);      /* indirect without the feature */
    try_split(4, 0, 0, INDIRECT, true);
    try_split(4, 0, 16, INDIRECT, false);
    try_split(4, 0, 24, INDIRECT, true); /* no multiple of 16 */
    try_split(5, 1, 16, INDIRECT, true); /* 2.7.5.3.1: with NEXT */
}

static void test_bad_tables(void **state)
{
    (void)state;
    for (unsigned mode = 0; mode < 2; mode++) {
        for (unsigned what = 0; what < 4; what++) {
            struct trial t;
            const struct buffer buffers[2] = {good_out, good_in};
            begin(&t, INDIRECT | (mode ? PACKED : 0), false);
            unsigned id = driver_add(&t.d, buffers, 2, true, 0);
            uint64_t table = t.d.tables + 0x1000ull * id;
            unsigned flags_at = mode ? 14 : 12;
            bool broken = true;
            if (what == 0) { /* a table in a table */
                poke16(t.rig, table + flags_at, (uint16_t)(peek16(t.rig, table + flags_at) | 4));
            } else if (what == 1) { /* a table where there is no RAM */
                uint64_t nowhere = RAM_BASE + RAM_SIZE;
                poke(t.rig, t.d.desc, &nowhere, 8);
            } else if (what == 2) { /* split: an index outside the table; packed: means nothing */
                poke16(t.rig, table + (mode ? 12 : 14), 2);
                write_desc(&t.d, table + 16 * 2, &good_in, 0, 0, false);
                broken = !mode;
            } else { /* more entries than the queue has */
                uint32_t length = 16 * 17;
                poke(t.rig, t.d.desc + 8, &length, 4);
                for (unsigned i = 0; i < 17; i++) {
                    write_desc(&t.d, table + 16 * i, &good_out, mode ? 0 : 1, (uint16_t)(i + 1),
                               mode);
                }
            }
            expect_broken(&t, broken);
        }
    }
}

static void test_bad_indices(void **state)
{
    (void)state;
    for (unsigned ahead = 16; ahead <= 17; ahead++) { /* 17 of a queue of 16 */
        struct trial t;
        begin(&t, 0, false);
        for (unsigned i = 0; i < 16; i++) {
            driver_add(&t.d, &good_out, 1, false, i);
        }
        poke16(t.rig, t.d.drv + 2, (uint16_t)ahead);
        expect_broken(&t, ahead > 16);
    }
    struct trial t;
    begin(&t, 0, false);
    driver_add(&t.d, &good_out, 1, false, 0);
    poke16(t.rig, t.d.drv + 4, 16); /* a head outside the table */
    expect_broken(&t, true);
    begin(&t, PACKED, false); /* a chain whose second descriptor is not available */
    driver_add(&t.d, &good_out, 1, false, 0);
    poke16(t.rig, t.d.desc + 14, (uint16_t)(peek16(t.rig, t.d.desc + 14) | 1));
    expect_broken(&t, true);
}

static void test_bad_rings(void **state)
{
    (void)state;
    const struct {
        uint64_t desc, drv, dev;
        unsigned size;
        bool packed;
    } bad[] = {
        {RAM_BASE + 0x1008, RAM_BASE + 0x3000, RAM_BASE + 0x5000, 16, false},
        {RAM_BASE + 0x1000, RAM_BASE + 0x3001, RAM_BASE + 0x5000, 16, false},
        {RAM_BASE + 0x1000, RAM_BASE + 0x3000, RAM_BASE + 0x5002, 16, false},
        {RAM_BASE + 0x1000, RAM_BASE + 0x3002, RAM_BASE + 0x5000, 16, true},
        {RAM_BASE + 0x1000, RAM_BASE + 0x3000, RAM_BASE + 0x5000, 15, false},
        {RAM_BASE + RAM_SIZE - 16, RAM_BASE + 0x3000, RAM_BASE + 0x5000, 16, false},
        {RAM_BASE + 0x1000, RAM_BASE + RAM_SIZE - 8, RAM_BASE + 0x5000, 16, false},
        {RAM_BASE + 0x1000, RAM_BASE + 0x3000, MODERN, 16, false},
    };
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct rig *rig = rig_new(false, &vdev_usual, "packed=on");
        assert_true(negotiate(rig, V1 | (bad[i].packed ? PACKED : 0)));
        set_up_queue(rig, 0, bad[i].size, bad[i].desc, bad[i].drv, bad[i].dev);
        set_driver_ok(rig);
        pump(rig);
        assert_true(status_of(rig) & VIRTIO_CONFIG_S_NEEDS_RESET);
        rig_free(rig);
    }
}

/* A page that the IOMMU does not let through, for the ring or for a buffer. */
static void test_iommu_faults(void **state)
{
    (void)state;
    const uint64_t pages[] = {good_out.address, RAM_BASE + 0x1000, RAM_BASE + 0x3000,
                              RAM_BASE + 0x5000};
    for (unsigned i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
        struct rig *rig = rig_new(true, &vdev_usual, "");
        struct driver d;
        driver_start(&d, rig, 16, V1 | PLATFORM);
        driver_add(&d, &good_out, 1, false, 0);
        denied_page = pages[i] >> 12;
        put(rig, VIRTIO_NOTIFY_REGION, 2, 0);
        pump(rig);
        assert_true(status_of(rig) & VIRTIO_CONFIG_S_NEEDS_RESET);
        denied_page = 0;
        rig_free(rig);
    }
}

static void test_bus_master_off(void **state)
{
    (void)state;
    struct rig *rig = rig_new(false, &vdev_usual, "");
    struct driver d;
    driver_start(&d, rig, 16, V1);
    pump(rig);
    set_command(&rig->f, &rig->vdev->virtio.pci, PCI_COMMAND_MEMORY);
    driver_add(&d, &good_out, 1, false, 0);
    driver_kick(&d);
    pump(rig);
    assert_int_equal(collect(&d, true), 0);
    assert_int_equal(status_of(rig) & VIRTIO_CONFIG_S_NEEDS_RESET, 0);
    set_command(&rig->f, &rig->vdev->virtio.pci, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    put(rig, VIRTIO_NOTIFY_REGION, 2, 0);
    pump(rig);
    assert_int_equal(collect(&d, true), 1);
    rig_free(rig);
}

/* ---- resets with requests under way */

static void test_resets(void **state)
{
    (void)state;
    for (unsigned mode = 0; mode < 8; mode++) {
        uint64_t features = V1 | (mode & 1 ? PACKED : 0) | (mode & 2 ? IN_ORDER : 0) |
                            (mode & 4 ? PLATFORM : 0) | VIRTIO_BIT(VIRTIO_F_RING_RESET);
        struct rig *rig = rig_new(mode & 4, &vdev_usual, "packed=on,in-order=on");
        struct vdev *vdev = rig->vdev;
        struct driver d;
        for (unsigned round = 0; round < 3; round++) {
            driver_start(&d, rig, 16, features);
            vdev->keep = true;
            for (unsigned i = 0; i < 4; i++) {
                driver_add(&d, &good_out, 1, false, i);
            }
            driver_kick(&d);
            pump(rig);
            assert_int_equal(vdev->held_count, 4);
            pthread_mutex_lock(&vdev->virtio.pci.lock);
            virtqueue_push(vdev->held[3], 0); /* with IN_ORDER it waits for the others */
            vdev->held_count = 3;
            pthread_mutex_unlock(&vdev->virtio.pci.lock);
            if (round == 0) {
                put(rig, VIRTIO_PCI_COMMON_STATUS, 1, 0);
            } else if (round == 1) {
                pci_device_reset(&vdev->virtio.pci, "flr");
                pci_config_write(&vdev->virtio.pci, PCI_BASE_ADDRESS_4, 4, MODERN);
                set_command(&rig->f, &vdev->virtio.pci, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
            } else {
                put(rig, VIRTIO_PCI_COMMON_Q_SELECT, 2, 0);
                put(rig, VIRTIO_COMMON_Q_RESET, 2, 1);
                assert_int_equal(get(rig, VIRTIO_COMMON_Q_RESET, 2), 0);
                assert_int_equal(get(rig, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
            }
            assert_int_equal(vdev->held_count, 0);
            assert_int_equal(vdev->virtio.queues[0].in_flight, 0);
            assert_int_equal(rig->iommu.users[0] + rig->iommu.users[1], 0);
        }
        /* The other queue lived on, and this one can be used again. */
        assert_true(virtio_is_live(&vdev->virtio));
        vdev->keep = false;
        memset(at(rig, RAM_BASE + 0x1000), 0, 0x1000);
        memset(at(rig, RAM_BASE + 0x3000), 0, 0x1000);
        memset(at(rig, RAM_BASE + 0x5000), 0, 0x1000);
        d.avail = d.used = 0;
        d.avail_wrap = d.used_wrap = true;
        memset(d.chains, 0, sizeof(d.chains));
        memset(d.entry_taken, 0, sizeof(d.entry_taken));
        set_up_queue(rig, 0, 16, d.desc, d.drv, d.dev);
        driver_add(&d, &good_out, 1, false, 0);
        driver_kick(&d);
        pump(rig);
        assert_int_equal(collect(&d, true), 1);
        rig_free(rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_bounced),
        cmocka_unit_test(test_bounced_holds_nothing),
        cmocka_unit_test(test_interrupt_suppression),
        cmocka_unit_test(test_kick_suppression),
        cmocka_unit_test(test_unpop_at_the_end),
        cmocka_unit_test(test_no_kick_is_lost),
        cmocka_unit_test(test_bad_buffers),
        cmocka_unit_test(test_bad_split_chains),
        cmocka_unit_test(test_bad_tables),
        cmocka_unit_test(test_bad_indices),
        cmocka_unit_test(test_bad_rings),
        cmocka_unit_test(test_iommu_faults),
        cmocka_unit_test(test_bus_master_off),
        cmocka_unit_test(test_resets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

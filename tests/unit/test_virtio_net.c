/* SPDX-License-Identifier: MIT */
/* virtio-net through the fixture's driver, with sockets of the test as the other end. */
#include "virtio_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <linux/virtio_net.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>

#include "devices/virtio/virtio_net.h"
#include "vmm/net.h"

#define V1           VIRTIO_BIT(VIRTIO_F_VERSION_1)
#define NET(feature) VIRTIO_BIT(VIRTIO_NET_F_##feature)

enum {
    PAIRS_MAX = 2,
    RING = 64,
    BUFFERS = 0x100000, /* in RAM: where the driver's buffers begin */
    SLOT = 0x10000,     /* bytes between them, by queue and turn */
    CONTROL_DATA = 0x3f0000,
    LONGEST = 65535 + 18,
    STATUS_AT = VIRTIO_DEVICE_REGION + 6,
};

struct bed {
    struct rig *rig;
    int host[PAIRS_MAX]; /* the test's ends */
    unsigned pairs, header, turn, control;
    bool vnet, legacy;
    uint64_t features;
    struct driver q[2 * PAIRS_MAX + 1];
};

static void wait_a_little(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
}

/* ---- set-up */

/* Where queue `index` is, and what it begins with. A legacy ring is in one piece: 2.7.2. */
static void lay_out(struct bed *bed, unsigned index)
{
    uint64_t base = RAM_BASE + 0x8000 * (index + 1);
    bed->q[index] = (struct driver){
        .rig = bed->rig,
        .index = index,
        .size = RING,
        .packed = bed->features & VIRTIO_BIT(VIRTIO_F_RING_PACKED),
        .event_idx = bed->features & VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX),
        .indirect = bed->features & VIRTIO_BIT(VIRTIO_RING_F_INDIRECT_DESC),
        .desc = base,
        .drv = base + 16 * RING,
        .dev = base + 0x1000,
        .tables = RAM_BASE + 0x400000 + 0x40000 * index,
        .free_entries = RING,
        .avail_wrap = true,
        .used_wrap = true,
    };
    for (uint64_t i = 0; i < 0x3000; i++) {
        *at(bed->rig, base + i) = 0;
    }
}

static void start(struct bed *bed, uint64_t features)
{
    bed->features =
        features | V1 | (bed->rig->behind_iommu ? VIRTIO_BIT(VIRTIO_F_ACCESS_PLATFORM) : 0);
    bed->header = 12;
    bed->control = features & NET(MQ) ? 2 * bed->pairs : 2;
    assert_true(negotiate(bed->rig, bed->features));
    for (unsigned i = 0; i <= 2 * bed->pairs; i++) {
        lay_out(bed, i);
        set_up_queue(bed->rig, i, RING, bed->q[i].desc, bed->q[i].drv, bed->q[i].dev);
    }
    set_driver_ok(bed->rig);
}

/* 3.1.2: the way of a driver that knows only the registers of BAR0. */
static void start_legacy(struct bed *bed, uint64_t features)
{
    bed->features = features;
    bed->header = features & NET(MRG_RXBUF) ? 12 : 10;
    bed->legacy = true;
    port_put(bed->rig, VIRTIO_PCI_STATUS, 1, 0);
    port_put(bed->rig, VIRTIO_PCI_STATUS, 1, 3);
    port_put(bed->rig, VIRTIO_PCI_GUEST_FEATURES, 4, features);
    for (unsigned i = 0; i <= 2 * bed->pairs; i++) {
        lay_out(bed, i);
        port_put(bed->rig, VIRTIO_PCI_QUEUE_SEL, 2, i);
        assert_int_equal(port_get(bed->rig, VIRTIO_PCI_QUEUE_NUM, 2), RING);
        port_put(bed->rig, VIRTIO_PCI_QUEUE_PFN, 4, bed->q[i].desc >> 12);
    }
    port_put(bed->rig, VIRTIO_PCI_STATUS, 1, 7);
}

static struct bed *bed_new(const char *properties, bool iommu, unsigned pairs, bool vnet)
{
    struct bed *bed = calloc(1, sizeof(*bed));
    char all[256];
    size_t length = 0;
    assert_non_null(bed);
    bed->pairs = pairs;
    bed->vnet = vnet;
    for (unsigned i = 0; i < pairs; i++) {
        int ends[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
        bed->host[i] = ends[0];
        length +=
            (size_t)snprintf(all + length, sizeof(all) - length, "%s%d", i ? ":" : "fd=", ends[1]);
    }
    snprintf(all + length, sizeof(all) - length, ",queues=%u,queue-size=%d%s%s", pairs, RING,
             vnet ? ",vnet-hdr=on" : "", properties);
    bed->rig = rig_with(&virtio_net_type, iommu, all);
    return bed;
}

static void bed_free(struct bed *bed)
{
    rig_free(bed->rig);
    for (unsigned i = 0; i < bed->pairs; i++) {
        if (bed->host[i] >= 0) {
            close(bed->host[i]);
        }
    }
    free(bed);
}

static void kick(struct bed *bed, struct driver *d)
{
    if (bed->legacy) {
        port_put(bed->rig, VIRTIO_PCI_QUEUE_NOTIFY, 2, d->index);
    } else {
        driver_kick(d);
    }
}

/* ---- the driver's side */

/* One used chain; its descriptors are free again. */
static bool take_used(struct driver *d, struct chain *chain, uint32_t *length)
{
    unsigned id;
    if (!next_used(d, &id, length)) {
        return false;
    }
    assert_true(d->chains[id].in_flight);
    d->chains[id].in_flight = false;
    *chain = d->chains[id];
    d->free_entries += chain->entries;
    for (unsigned i = 0, entry = id; !d->packed && i < chain->entries; i++) {
        d->entry_taken[entry] = false;
        entry = peek16(d->rig, d->desc + 16ull * entry + 14) % d->size;
    }
    return true;
}

static bool wait_used(struct driver *d, struct chain *chain, uint32_t *length)
{
    for (unsigned tries = 0; !take_used(d, chain, length); tries++) {
        if (tries > 25000 || status_of(d->rig) & VIRTIO_CONFIG_S_NEEDS_RESET) {
            return false;
        }
        wait_a_little();
    }
    return true;
}

static uint64_t buffer_for(struct bed *bed)
{
    return RAM_BASE + BUFFERS + SLOT * (uint64_t)(bed->turn++ % 32);
}

/* Put a frame with its header into the transmit queue, in up to four pieces. */
static void put_frame(struct bed *bed, unsigned pair, const struct virtio_net_hdr_v1 *header,
                      const uint8_t *frame, size_t length)
{
    struct driver *d = &bed->q[2 * pair + 1];
    uint64_t address = buffer_for(bed);
    uint32_t all = (uint32_t)(bed->header + length);
    uint32_t cuts[] = {0, bed->turn & 1 ? 4 : bed->header, bed->header + (uint32_t)length / 3, all};
    struct buffer buffers[4];
    unsigned count = 0;
    poke(bed->rig, address, header, bed->header);
    poke(bed->rig, address + bed->header, frame, length);
    for (unsigned i = 0; i < 3; i++) {
        if (cuts[i + 1] > cuts[i]) {
            buffers[count++] =
                (struct buffer){.address = address + cuts[i], .length = cuts[i + 1] - cuts[i]};
        }
    }
    driver_add(d, buffers, count, d->indirect, bed->turn);
    kick(bed, d);
}

/* The same, and see it handed back. */
static void send_frame(struct bed *bed, unsigned pair, const struct virtio_net_hdr_v1 *header,
                       const uint8_t *frame, size_t length)
{
    struct chain chain;
    uint32_t used;
    put_frame(bed, pair, header, frame, length);
    assert_true(wait_used(&bed->q[2 * pair + 1], &chain, &used));
    assert_int_equal(used, 0);
}

static void post(struct bed *bed, unsigned pair, uint32_t size, unsigned count)
{
    struct driver *d = &bed->q[2 * pair];
    while (count--) {
        struct buffer buffer = {.address = buffer_for(bed), .length = size, .device_writes = true};
        driver_add(d, &buffer, 1, d->indirect, bed->turn);
    }
    kick(bed, d);
}

/* A received frame and its header; 0: none in `tries` times 0.2 ms. */
static size_t receive(struct bed *bed, unsigned pair, struct virtio_net_hdr_v1 *header,
                      uint8_t *frame, unsigned *buffers)
{
    static uint8_t all[LONGEST + 12];
    struct driver *d = &bed->q[2 * pair];
    struct chain chain;
    uint32_t length;
    size_t done = 0;
    unsigned count = 1;
    for (unsigned i = 0; i < count; i++) {
        if (!wait_used(d, &chain, &length)) {
            return 0;
        }
        assert_true(length <= chain.buffers[0].length);
        peek(bed->rig, chain.buffers[0].address, all + done, length);
        done += length;
        if (i == 0) {
            memset(header, 0, sizeof(*header));
            memcpy(header, all, bed->header);
            count = bed->header == 12 ? header->num_buffers : 1;
            assert_in_range(count, 1, RING);
        }
    }
    *buffers = count;
    assert_true(done > bed->header);
    memcpy(frame, all + bed->header, done - bed->header);
    return done - bed->header;
}

static bool nothing_received(struct bed *bed, unsigned pair)
{
    struct chain chain;
    uint32_t length;
    for (unsigned i = 0; i < 50; i++) {
        wait_a_little();
    }
    return !take_used(&bed->q[2 * pair], &chain, &length);
}

/* ---- the host's side */

static void host_send(struct bed *bed, unsigned pair, const struct virtio_net_hdr_v1 *header,
                      const void *frame, size_t length)
{
    struct virtio_net_hdr_v1 copy = header ? *header : (struct virtio_net_hdr_v1){0};
    struct iovec iov[] = {{&copy, bed->vnet ? sizeof(copy) : 0}, {(void *)frame, length}};
    ssize_t all = (ssize_t)(iov[0].iov_len + length);
    assert_int_equal(writev(bed->host[pair], iov, 2), all);
}

/* 0: nothing in a while. */
static size_t host_receive(struct bed *bed, unsigned pair, struct virtio_net_hdr_v1 *header,
                           uint8_t *frame, int timeout)
{
    struct pollfd fd = {.fd = bed->host[pair], .events = POLLIN};
    struct iovec iov[] = {{header, bed->vnet ? sizeof(*header) : 0}, {frame, LONGEST}};
    if (poll(&fd, 1, timeout) != 1) {
        return 0;
    }
    ssize_t ret = readv(bed->host[pair], iov, 2);
    assert_true(ret > (ssize_t)iov[0].iov_len);
    return (size_t)ret - iov[0].iov_len;
}

static uint8_t frame[LONGEST + 64], found[LONGEST + 64];

/* For the test's own address, of the length, with bytes that depend on `salt`. */
static void make_frame(size_t length, unsigned salt)
{
    for (size_t i = 0; i < length; i++) {
        frame[i] = (uint8_t)(i * 7 + i / 256 + salt);
    }
    memcpy(frame, (uint8_t[]){0x52, 0x54, 0, 0x12, 0x34, 0x56, 2, 0, 0, 0, 0, 1, 8, 0}, 14);
}

static void expect_from_guest(struct bed *bed, unsigned pair, size_t length)
{
    struct virtio_net_hdr_v1 header;
    assert_int_equal(host_receive(bed, pair, &header, found, 5000), length);
    assert_memory_equal(found, frame, length);
}

static void expect_in_guest(struct bed *bed, unsigned pair, size_t length)
{
    struct virtio_net_hdr_v1 header;
    unsigned buffers;
    assert_int_equal(receive(bed, pair, &header, found, &buffers), length);
    assert_memory_equal(found, frame, length);
}

static const struct virtio_net_hdr_v1 plain = {0};

/* It still works in both directions. */
static void exchange(struct bed *bed)
{
    make_frame(100, 77);
    send_frame(bed, 0, &plain, frame, 100);
    expect_from_guest(bed, 0, 100);
    post(bed, 0, 2000, 1);
    host_send(bed, 0, NULL, frame, 100);
    expect_in_guest(bed, 0, 100);
}

/* ---- frames of all lengths, in every kind of ring */

static void both_ways(struct bed *bed, unsigned turns)
{
    for (unsigned i = 0; i < turns; i++) {
        size_t length = i == 0 ? 14 : i == 1 ? 1514 : 14 + (size_t)rand() % 3000;
        make_frame(length, i);
        send_frame(bed, 0, &plain, frame, length);
        expect_from_guest(bed, 0, length);
        post(bed, 0, 4000, 1);
        host_send(bed, 0, NULL, frame, length);
        expect_in_guest(bed, 0, length);
    }
}

static void test_both_ways(void **state)
{
    (void)state;
    static const uint64_t rings[] = {
        0, VIRTIO_BIT(VIRTIO_F_RING_PACKED),
        VIRTIO_BIT(VIRTIO_RING_F_INDIRECT_DESC) | VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX),
        VIRTIO_BIT(VIRTIO_F_RING_PACKED) | VIRTIO_BIT(VIRTIO_F_IN_ORDER) |
            VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX)};
    srand(7);
    for (unsigned i = 0; i < 16; i++) {
        struct bed *bed = bed_new(",packed=on,in-order=on", i & 1, 1, i & 2);
        start(bed, rings[i / 4] | (i & 2 ? NET(MRG_RXBUF) : 0));
        both_ways(bed, 100);
        bed_free(bed);
    }
}

/* 5.1.6.1: 10 bytes, and 12 with MRG_RXBUF. */
static void test_legacy(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        struct bed *bed = bed_new("", false, 1, i & 1);
        start_legacy(bed, i & 2 ? NET(MRG_RXBUF) : 0);
        both_ways(bed, 100);
        bed_free(bed);
    }
    struct bed *bed = bed_new(",mac=52:54:00:00:00:01", false, 1, false);
    start_legacy(bed, NET(CTRL_VQ) | NET(CTRL_RX));
    for (unsigned i = 0; i < 6; i++) { /* 5.1.4.3 */
        port_put(bed->rig, 20 + i, 1, 0x10 + i);
    }
    assert_int_equal(port_get(bed->rig, 20, 4), 0x13121110);
    port_put(bed->rig, VIRTIO_PCI_STATUS, 1, 0);
    assert_int_equal(port_get(bed->rig, 20, 4), 0x00005452);
    bed_free(bed);
}

/* ---- buffers that are merged, too small, or missing */

static void test_merged(void **state)
{
    (void)state;
    static const size_t lengths[] = {14, 988, 989, 5000, 30000};
    struct virtio_net_hdr_v1 header;
    unsigned buffers;
    for (unsigned round = 0; round < 4; round++) {
        bool packed = round & 1;
        struct bed *bed = bed_new(",packed=on", packed, 1, true);
        start(bed, NET(MRG_RXBUF) | (packed ? VIRTIO_BIT(VIRTIO_F_RING_PACKED) : 0) |
                       (round & 2 ? VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX) : 0));
        for (unsigned i = 0; i < 5; i++) {
            unsigned needed = (unsigned)((lengths[i] + 12 + 999) / 1000);
            make_frame(lengths[i], i);
            post(bed, 0, 1000, needed - 1);
            host_send(bed, 0, NULL, frame, lengths[i]);
            assert_true(nothing_received(bed, 0)); /* it waits for the last */
            post(bed, 0, 1000, 1);
            assert_int_equal(receive(bed, 0, &header, found, &buffers), lengths[i]);
            assert_memory_equal(found, frame, lengths[i]);
            assert_int_equal(buffers, needed);
        }
        post(bed, 0, 100, RING); /* the whole queue is not enough: it is lost */
        host_send(bed, 0, NULL, frame, 30000);
        make_frame(1000, 9);
        host_send(bed, 0, NULL, frame, 1000);
        expect_in_guest(bed, 0, 1000);
        bed_free(bed);
    }
}

static void test_not_merged(void **state)
{
    (void)state;
    struct virtio_net_hdr_v1 header;
    unsigned buffers;
    struct bed *bed = bed_new("", false, 1, true);
    start(bed, 0);
    make_frame(2000, 1);
    host_send(bed, 0, NULL, frame, 2000); /* before there is a buffer */
    host_send(bed, 0, NULL, frame, 1999);
    assert_true(nothing_received(bed, 0));
    post(bed, 0, 2011, 2); /* a byte too short for the first */
    assert_int_equal(receive(bed, 0, &header, found, &buffers), 1999);
    assert_int_equal(header.num_buffers, 1); /* 5.1.6.3.1 */
    assert_true(nothing_received(bed, 0));
    host_send(bed, 0, NULL, frame, 13); /* no frame */
    host_send(bed, 0, NULL, frame, LONGEST + 1);
    host_send(bed, 0, NULL, frame, 500);
    expect_in_guest(bed, 0, 500);
    bed_free(bed);
}

/* More than a turn's worth at once: none is forgotten, and they keep their order. */
static void test_many(void **state)
{
    (void)state;
    struct bed *bed = bed_new("", false, 1, false);
    start(bed, 0);
    assert_int_equal(fcntl(bed->host[0], F_SETFL, O_NONBLOCK), 0);
    unsigned sent = 0;
    unsigned got = 0;
    struct chain chain;
    uint32_t length;
    for (unsigned tries = 0; got < 1000; tries++) {
        assert_true(tries < 200000);
        make_frame(60, 0);
        memcpy(frame + 20, &sent, sizeof(sent));
        bool more = sent < 1000 && write(bed->host[0], frame, 60) == 60;
        sent += more;
        if (bed->q[0].free_entries > RING - 16) {
            post(bed, 0, 100, 16);
        }
        while (take_used(&bed->q[0], &chain, &length)) {
            unsigned number;
            assert_int_equal(length, 72);
            peek(bed->rig, chain.buffers[0].address + 32, &number, sizeof(number));
            assert_int_equal(number, got++);
        }
        if (!more) {
            wait_a_little();
        }
    }
    bed_free(bed);
}

/* ---- what is left undone, and may be */

#define ALL_OFFLOADS                                                                               \
    (NET(CSUM) | NET(HOST_TSO4) | NET(HOST_TSO6) | NET(HOST_ECN) | NET(GUEST_CSUM) |               \
     NET(GUEST_TSO4) | NET(GUEST_TSO6) | NET(GUEST_ECN))

struct header_case {
    struct virtio_net_hdr_v1 header;
    uint64_t host, guest; /* what must have been accepted */
    bool bad;             /* always */
};

#define HEADER(flags_, gso, length, size, start_, offset)                                          \
    {                                                                                              \
        .flags = (flags_), .gso_type = (gso), .hdr_len = (length), .gso_size = (size),             \
        .csum_start = (start_), .csum_offset = (offset)                                            \
    }

static const struct header_case headers[] = {
    {HEADER(1, 0, 0, 0, 34, 16), NET(CSUM), NET(GUEST_CSUM), false},
    {HEADER(1, 0, 0, 0, 100, 98), NET(CSUM), NET(GUEST_CSUM), false},
    {HEADER(1, 0, 0, 0, 100, 99), 0, 0, true},
    {HEADER(1, 0, 0, 0, 65535, 65535), 0, 0, true},
    {HEADER(1, 1, 54, 100, 34, 16), NET(HOST_TSO4), NET(GUEST_TSO4), false},
    {HEADER(1, 4, 54, 100, 34, 16), NET(HOST_TSO6), NET(GUEST_TSO6), false},
    {HEADER(1, 0x81, 54, 100, 34, 16), NET(HOST_TSO4) | NET(HOST_ECN),
     NET(GUEST_TSO4) | NET(GUEST_ECN), false},
    {HEADER(1, 1, 54, 0, 34, 16), 0, 0, true},   /* segments of no size */
    {HEADER(1, 2, 54, 100, 34, 16), 0, 0, true}, /* no such type */
    {HEADER(1, 3, 54, 100, 34, 6), 0, 0, true},  /* UFO, not offered */
    {HEADER(1, 0x80, 54, 100, 34, 16), 0, 0, true},
};
enum { HEADERS = sizeof(headers) / sizeof(headers[0]) };

static void test_headers_sent(void **state)
{
    (void)state;
    struct virtio_net_hdr_v1 header;
    for (unsigned round = 0; round < 3; round++) {
        struct bed *bed = bed_new("", false, 1, round < 2);
        uint64_t accepted = round == 0 ? ALL_OFFLOADS : 0;
        start(bed, accepted);
        make_frame(200, round);
        for (unsigned i = 0; i < HEADERS; i++) {
            const struct header_case *this = &headers[i];
            send_frame(bed, 0, &this->header, frame, 200);
            if (!this->bad && !(this->host & ~accepted)) {
                assert_int_equal(host_receive(bed, 0, &header, found, 5000), 200);
                assert_memory_equal(&header, &this->header, 10);
                assert_memory_equal(found, frame, 200);
            }
        }
        exchange(bed); /* and no other one came */
        if (round == 0) {
            struct virtio_net_hdr_v1 odd = {.flags = 0xfe,
                                            .hdr_len = 9,
                                            .gso_size = 8,
                                            .csum_start = 7,
                                            .csum_offset = 6,
                                            .num_buffers = 5};
            send_frame(bed, 0, &odd, frame, 100);
            assert_int_equal(host_receive(bed, 0, &header, found, 5000), 100);
            assert_memory_equal(&header, &plain, 12);
            odd = (struct virtio_net_hdr_v1){.gso_type = 1, .gso_size = 100};
            send_frame(bed, 0, &odd, frame, 100); /* segments without a checksum */
            odd = headers[4].header;
            odd.hdr_len = 201; /* a hint that is wrong */
            send_frame(bed, 0, &odd, frame, 200);
            assert_int_equal(host_receive(bed, 0, &header, found, 5000), 200);
            assert_int_equal(header.hdr_len, 0);
            assert_int_equal(header.gso_size, 100);
        }
        bed_free(bed);
    }
}

static uint16_t checksum_of(const uint8_t *data, size_t length)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < length; i++) {
        sum += i & 1 ? data[i] : (uint32_t)data[i] << 8;
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return (uint16_t)sum;
}

static bool control(struct bed *bed, uint8_t class, uint8_t command, const void *data,
                    size_t length);

static void test_headers_received(void **state)
{
    (void)state;
    struct virtio_net_hdr_v1 header;
    unsigned buffers;
    for (unsigned round = 0; round < 3; round++) {
        struct bed *bed = bed_new("", false, 1, true);
        start(bed, round ? ALL_OFFLOADS | NET(CTRL_VQ) | NET(CTRL_GUEST_OFFLOADS) : 0);
        uint64_t accepted = round == 1 ? ALL_OFFLOADS : 0;
        if (round == 2) { /* switched off by the driver */
            assert_true(control(bed, VIRTIO_NET_CTRL_GUEST_OFFLOADS, 0, &(uint64_t){0}, 8));
        }
        for (unsigned i = 0; i < HEADERS; i++) {
            const struct header_case *this = &headers[i];
            make_frame(200, i);
            if (!this->bad && (!(this->guest & ~accepted) || this->guest == NET(GUEST_CSUM))) {
                post(bed, 0, 300, 1);
                host_send(bed, 0, &this->header, frame, 200);
                assert_int_equal(receive(bed, 0, &header, found, &buffers), 200);
                bool done = !(accepted & NET(GUEST_CSUM));
                assert_int_equal(header.flags, done ? 0 : 1);
                assert_int_equal(header.gso_type, this->header.gso_type);
                assert_int_equal(header.csum_start, done ? 0 : this->header.csum_start);
                size_t from = this->header.csum_start;
                size_t field = from + this->header.csum_offset;
                if (done) { /* RFC 1071: over all, the field's part of the sum included */
                    uint16_t sum = (uint16_t)~checksum_of(frame + from, 200 - from);
                    assert_int_equal(found[field] << 8 | found[field + 1], sum);
                    found[field] = frame[field];
                    found[field + 1] = frame[field + 1];
                }
                assert_memory_equal(found, frame, 200);
            } else {
                host_send(bed, 0, &this->header, frame, 200);
            }
        }
        exchange(bed);
        bed_free(bed);
    }
}

/* ---- the control queue */

/* Whether the device agrees. */
static bool control(struct bed *bed, uint8_t class, uint8_t command, const void *data,
                    size_t length)
{
    struct driver *d = &bed->q[bed->control];
    const uint8_t header[2] = {class, command};
    const uint64_t place = RAM_BASE + CONTROL_DATA;
    uint8_t answer = 0xee;
    struct chain chain;
    uint32_t used;
    poke(bed->rig, place, header, 2);
    poke(bed->rig, place + 16, data, length);
    poke(bed->rig, place + 0x8000, &answer, 1);
    struct buffer buffers[] = {
        {.address = place, .length = 2},
        {.address = place + 16, .length = (uint32_t)length},
        {.address = place + 0x8000, .length = 1, .device_writes = true},
    };
    if (!length) {
        buffers[1] = buffers[2];
    }
    driver_add(d, buffers, length ? 3 : 2, d->indirect, bed->turn++);
    driver_kick(d);
    assert_true(wait_used(d, &chain, &used));
    assert_int_equal(used, 1);
    peek(bed->rig, place + 0x8000, &answer, 1);
    assert_in_range(answer, VIRTIO_NET_OK, VIRTIO_NET_ERR);
    return answer == VIRTIO_NET_OK;
}

#define CONTROL_ALL                                                                                \
    (NET(CTRL_VQ) | NET(CTRL_RX) | NET(CTRL_RX_EXTRA) | NET(CTRL_VLAN) | NET(CTRL_MAC_ADDR) |      \
     NET(MQ) | NET(CTRL_GUEST_OFFLOADS) | NET(GUEST_CSUM) | NET(GUEST_TSO4))

struct command {
    uint8_t class, command;
    uint8_t data[20];
    size_t length;
    bool good;
};

static const struct command commands[] = {
    {0, 0, {0}, 1, true},
    {0, 0, {1}, 1, true},
    {0, 0, {2}, 1, false},
    {0, 0, {0}, 0, false},
    {0, 0, {0}, 2, false},
    {0, 1, {1}, 1, true},
    {0, 5, {0}, 1, true},
    {0, 6, {0}, 1, false},
    {1, 0, {0}, 8, true},
    {1, 0, {1, 0, 0, 0, 1, 2, 3, 4, 5, 6}, 14, true},
    {1, 0, {1, 0, 0, 0, 1, 2, 3, 4, 5, 6}, 15, false},
    {1, 0, {1, 0, 0, 0, 1, 2, 3, 4, 5, 6}, 13, false},
    {1, 0, {0xff, 0xff, 0xff, 0xff}, 20, false},
    {1, 0, {0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}, 20, false},
    {1, 0, {0}, 7, false},
    {1, 0, {0}, 0, false},
    {1, 1, {2, 2, 3, 4, 5, 6}, 6, true},
    {1, 1, {2, 2, 3, 4, 5, 6}, 5, false},
    {1, 2, {0}, 6, false},
    {2, 0, {5, 0}, 2, true},
    {2, 1, {5, 0}, 2, true},
    {2, 0, {0, 16}, 2, false}, /* VLAN 4096 */
    {2, 0, {0xff, 15}, 2, true},
    {2, 2, {5, 0}, 2, false},
    {2, 0, {5}, 1, false},
    {3, 0, {0}, 0, false}, /* ANNOUNCE: not offered */
    {4, 0, {2, 0}, 2, true},
    {4, 0, {1, 0}, 2, true},
    {4, 0, {0, 0}, 2, false},
    {4, 0, {3, 0}, 2, false},
    {4, 0, {1}, 1, false},
    {4, 1, {1, 0}, 2, false}, /* RSS */
    {5, 0, {0x82, 0}, 8, true},
    {5, 0, {0x02, 1}, 8, false}, /* TSO6 was not accepted */
    {5, 0, {0x03, 0}, 8, false}, /* CSUM is not the guest's */
    {5, 0, {0x02, 0}, 4, false},
    {5, 1, {0x02, 0}, 8, false},
    {77, 0, {0}, 1, false},
};
enum { COMMANDS = sizeof(commands) / sizeof(commands[0]) };

static void test_control(void **state)
{
    (void)state;
    struct bed *bed = bed_new(",packed=on", false, 2, true);
    for (unsigned round = 0; round < 3; round++) {
        start(bed, round < 2 ? CONTROL_ALL | (round ? VIRTIO_BIT(VIRTIO_F_RING_PACKED) : 0)
                             : NET(CTRL_VQ));
        for (unsigned i = 0; i < COMMANDS; i++) {
            const struct command *this = &commands[i];
            bool good = control(bed, this->class, this->command, this->data, this->length);
            assert_int_equal(good, this->good && round < 2); /* without its feature: never */
        }
        exchange(bed);
    }
    assert_false(negotiate(bed->rig, V1 | NET(CTRL_RX))); /* 5.1.3.1 */
    assert_false(negotiate(bed->rig, V1 | NET(GUEST_TSO4)));
    assert_false(negotiate(bed->rig, V1 | NET(HOST_ECN) | NET(CSUM)));
    assert_true(negotiate(bed->rig, V1 | NET(HOST_TSO6) | NET(CSUM)));
    bed_free(bed);
}

/* ---- the filter */

static void send_to(struct bed *bed, const uint8_t *address, int vlan)
{
    make_frame(100, 3);
    memcpy(frame, address, 6);
    if (vlan >= 0) {
        memcpy(frame + 12, (uint8_t[]){0x81, 0, (uint8_t)(0xe0 | vlan >> 8), (uint8_t)vlan}, 4);
    }
    host_send(bed, 0, NULL, frame, 100);
}

static const uint8_t own[] = {0x52, 0x54, 0, 0x12, 0x34, 0x56};
static const uint8_t other[] = {2, 0, 0, 0, 0, 9};
static const uint8_t group[] = {1, 0, 0x5e, 0, 0, 9};
static const uint8_t everybody[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

/* The device has taken all that was sent, and is done with it: it reads with its lock held. */
static void wait_taken(struct bed *bed)
{
    int left = 0;
    for (unsigned tries = 0; ioctl(bed->host[0], SIOCOUTQ, &left) < 0 || left > 0; tries++) {
        assert_true(tries < 25000);
        wait_a_little();
    }
    (void)status_of(bed->rig); /* takes the lock */
}

/* Which of own, other, group, everybody come, as bits. */
static unsigned coming(struct bed *bed, int vlan)
{
    const uint8_t *const addresses[] = {own, other, group, everybody};
    struct virtio_net_hdr_v1 header;
    unsigned buffers;
    unsigned bits = 0;
    post(bed, 0, 200, RING - 40 < bed->q[0].free_entries ? 4 : 0);
    for (unsigned i = 0; i < 4; i++) {
        send_to(bed, addresses[i], vlan);
        wait_taken(bed);
        if (peek16(bed->rig, bed->q[0].dev + 2) != bed->q[0].used) {
            assert_int_equal(receive(bed, 0, &header, found, &buffers), 100);
            assert_memory_equal(found, addresses[i], 6);
            bits |= 1u << i;
        }
    }
    return bits;
}

static bool mode(struct bed *bed, uint8_t command, uint8_t on)
{
    return control(bed, VIRTIO_NET_CTRL_RX, command, &on, 1);
}

static void test_filter(void **state)
{
    (void)state;
    struct bed *bed = bed_new("", false, 1, false);
    start(bed, NET(CTRL_VQ) | NET(CTRL_RX) | NET(CTRL_RX_EXTRA) | NET(CTRL_MAC_ADDR));
    assert_int_equal(coming(bed, -1), 0xf); /* until the driver says otherwise */
    assert_true(mode(bed, VIRTIO_NET_CTRL_RX_PROMISC, 0));
    assert_int_equal(coming(bed, -1), 0x9);
    assert_true(mode(bed, VIRTIO_NET_CTRL_RX_ALLMULTI, 1));
    assert_int_equal(coming(bed, -1), 0xd);
    assert_true(mode(bed, VIRTIO_NET_CTRL_RX_ALLUNI, 1));
    assert_int_equal(coming(bed, -1), 0xf);
    assert_true(mode(bed, VIRTIO_NET_CTRL_RX_NOMULTI, 1));
    assert_int_equal(coming(bed, -1), 0xb);
    assert_true(mode(bed, VIRTIO_NET_CTRL_RX_NOUNI, 1));
    assert_int_equal(coming(bed, -1), 0x8);
    assert_true(mode(bed, VIRTIO_NET_CTRL_RX_NOBCAST, 1));
    assert_int_equal(coming(bed, -1), 0);
    for (uint8_t i = VIRTIO_NET_CTRL_RX_ALLMULTI; i <= VIRTIO_NET_CTRL_RX_NOBCAST; i++) {
        assert_true(mode(bed, i, 0));
    }
    uint8_t table[20] = {1};
    memcpy(table + 4, other, 6);
    table[10] = 1;
    memcpy(table + 14, group, 6);
    assert_true(control(bed, VIRTIO_NET_CTRL_MAC, 0, table, 20));
    assert_int_equal(coming(bed, -1), 0xf);
    table[5] ^= 1;
    table[15] ^= 1;
    assert_true(control(bed, VIRTIO_NET_CTRL_MAC, 0, table, 20));
    assert_int_equal(coming(bed, -1), 0x9);
    static uint8_t many[8 + 65 * 6] = {0, 0, 0, 0, 65}; /* more than the device remembers */
    assert_true(control(bed, VIRTIO_NET_CTRL_MAC, 0, many, sizeof(many)));
    assert_int_equal(coming(bed, -1), 0xd);
    assert_true(control(bed, VIRTIO_NET_CTRL_MAC, 0, many + 100, 8)); /* nothing in it */
    assert_true(control(bed, VIRTIO_NET_CTRL_MAC, 1, other, 6));
    assert_int_equal(coming(bed, -1), 0xa);
    assert_int_equal(get(bed->rig, VIRTIO_DEVICE_REGION + 5, 1), 9);
    bed_free(bed);
}

static void test_vlans(void **state)
{
    (void)state;
    struct bed *bed = bed_new("", false, 1, false);
    uint16_t vlan = 0x123;
    start(bed, NET(CTRL_VQ) | NET(CTRL_RX) | NET(CTRL_VLAN));
    assert_int_equal(coming(bed, -1), 0xf); /* no tag */
    assert_int_equal(coming(bed, 0x123), 0);
    assert_true(control(bed, VIRTIO_NET_CTRL_VLAN, 0, &vlan, 2));
    assert_int_equal(coming(bed, 0x123), 0xf);
    assert_int_equal(coming(bed, 0x122), 0);
    assert_true(control(bed, VIRTIO_NET_CTRL_VLAN, 1, &vlan, 2));
    assert_int_equal(coming(bed, 0x123), 0);
    start(bed, NET(CTRL_VQ) | NET(CTRL_RX));
    assert_int_equal(coming(bed, 0x123), 0xf);
    bed_free(bed);
}

/* ---- several pairs */

static void test_pairs(void **state)
{
    (void)state;
    struct virtio_net_hdr_v1 header;
    struct bed *bed = bed_new("", false, 2, true);
    assert_int_equal(get(bed->rig, VIRTIO_DEVICE_REGION + 8, 2), 2); /* max_virtqueue_pairs */
    start(bed, NET(CTRL_VQ) | NET(MQ));
    make_frame(100, 1);
    post(bed, 1, 200, 4);
    host_send(bed, 1, NULL, frame, 100);
    put_frame(bed, 1, &plain, frame, 100);
    assert_true(nothing_received(bed, 1)); /* only the first pair is used */
    assert_int_equal(host_receive(bed, 1, &header, found, 0), 0);
    assert_true(control(bed, VIRTIO_NET_CTRL_MQ, 0, &(uint16_t){2}, 2));
    expect_in_guest(bed, 1, 100);
    expect_from_guest(bed, 1, 100);
    for (unsigned i = 0; i < 20; i++) {
        make_frame(100 + i, i);
        put_frame(bed, i & 1, &plain, frame, 100 + i);
        expect_from_guest(bed, i & 1, 100 + i);
        post(bed, i & 1, 200, 1);
        host_send(bed, i & 1, NULL, frame, 100 + i);
        expect_in_guest(bed, i & 1, 100 + i);
    }
    assert_true(control(bed, VIRTIO_NET_CTRL_MQ, 0, &(uint16_t){1}, 2));
    host_send(bed, 1, NULL, frame, 100);
    assert_true(nothing_received(bed, 1));
    start(bed, NET(CTRL_VQ) | NET(CTRL_RX)); /* without MQ: the control queue is number 2 */
    assert_true(mode(bed, VIRTIO_NET_CTRL_RX_PROMISC, 1));
    exchange(bed);
    bed_free(bed);
}

/* ---- the other end is slow, or goes */

static void test_slow(void **state)
{
    (void)state;
    struct chain chain;
    uint32_t used;
    for (unsigned packed = 0; packed < 2; packed++) {
        struct bed *bed = bed_new(",packed=on", packed, 1, false);
        start(bed, packed ? VIRTIO_BIT(VIRTIO_F_RING_PACKED) : 0);
        unsigned sent = 0;
        unsigned got = 0;
        while (sent < 20) { /* more than the socket takes */
            make_frame(20000, 0);
            memcpy(frame + 20, &sent, sizeof(sent));
            put_frame(bed, 0, &plain, frame, 20000);
            sent++;
        }
        for (; got < 20; got++) {
            unsigned number;
            struct virtio_net_hdr_v1 header;
            assert_int_equal(host_receive(bed, 0, &header, found, 5000), 20000);
            memcpy(&number, found + 20, sizeof(number));
            assert_int_equal(number, got);
            assert_true(wait_used(&bed->q[1], &chain, &used));
        }
        exchange(bed);
        bed_free(bed);
    }
}

static void wait_link_down(struct bed *bed)
{
    for (unsigned tries = 0; get(bed->rig, STATUS_AT, 2) & VIRTIO_NET_S_LINK_UP; tries++) {
        assert_true(tries < 25000);
        wait_a_little();
    }
}

static void test_gone(void **state)
{
    (void)state;
    struct bed *bed = bed_new("", false, 1, false);
    start(bed, NET(STATUS));
    assert_int_equal(get(bed->rig, STATUS_AT, 2), VIRTIO_NET_S_LINK_UP);
    uint8_t before = (uint8_t)get(bed->rig, VIRTIO_PCI_COMMON_CFGGENERATION, 1);
    close(bed->host[0]);
    bed->host[0] = -1;
    wait_link_down(bed);
    assert_int_not_equal(get(bed->rig, VIRTIO_PCI_COMMON_CFGGENERATION, 1), before);
    make_frame(100, 0);
    send_frame(bed, 0, &plain, frame, 100); /* into nothing */
    start(bed, NET(STATUS));
    assert_int_equal(get(bed->rig, STATUS_AT, 2), 0);
    send_frame(bed, 0, &plain, frame, 100);
    bed_free(bed);
}

/* ---- reset with frames that wait in both directions */

static void test_reset_in_flight(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 30; round++) {
        struct bed *bed = bed_new("", round & 1, 1, false);
        start(bed, round & 2 ? NET(MRG_RXBUF) : 0);
        make_frame(30000, round);
        for (unsigned i = 0; i < 20; i++) { /* nobody reads them */
            put_frame(bed, 0, &plain, frame, 30000);
        }
        host_send(bed, 0, NULL, frame, 1000); /* and nothing to receive it */
        for (unsigned i = 0; i < round; i++) {
            sched_yield();
        }
        if (round % 3 == 0) {
            post(bed, 0, 100, 30);
        }
        put(bed->rig, VIRTIO_PCI_COMMON_STATUS, 1, 0);
        uint16_t used = peek16(bed->rig, bed->q[1].dev + 2);
        struct virtio_net_hdr_v1 header;
        while (host_receive(bed, 0, &header, found, 0)) {
        }
        wait_a_little();
        assert_int_equal(peek16(bed->rig, bed->q[1].dev + 2), used);
        start(bed, 0);
        if (round % 2) { /* the frame from before may come still, or be lost */
            post(bed, 0, 4000, 1);
            host_send(bed, 0, NULL, frame, 1000);
            expect_in_guest(bed, 0, 1000);
        }
        make_frame(500, 1);
        send_frame(bed, 0, &plain, frame, 500);
        expect_from_guest(bed, 0, 500);
        bed_free(bed);
    }
}

static void test_queue_reset(void **state)
{
    (void)state;
    struct bed *bed = bed_new("", false, 1, false);
    start(bed, VIRTIO_BIT(VIRTIO_F_RING_RESET));
    exchange(bed);
    make_frame(300, 1);
    host_send(bed, 0, NULL, frame, 300); /* waits in the device, and is lost with the queue */
    for (unsigned i = 0; i < 50; i++) {
        wait_a_little();
    }
    for (unsigned i = 0; i < 2; i++) {
        put(bed->rig, VIRTIO_PCI_COMMON_Q_SELECT, 2, i);
        put(bed->rig, VIRTIO_COMMON_Q_RESET, 2, 1);
        lay_out(bed, i);
        set_up_queue(bed->rig, i, RING, bed->q[i].desc, bed->q[i].drv, bed->q[i].dev);
    }
    exchange(bed);
    bed_free(bed);
}

/* ---- what a driver may not do */

static void test_hostile(void **state)
{
    (void)state;
    const uint64_t place = RAM_BASE + BUFFERS;
    const struct {
        unsigned queue, count;
        struct buffer buffers[2];
    } wrong[] = {
        {1, 1, {{.address = place, .length = 11}}},
        {1, 1, {{.address = place, .length = 100, .device_writes = true}}},
        {1, 2, {{.address = place, .length = 100}, {place + 4096, 100, true}}},
        {0, 1, {{.address = place, .length = 2000}}},
        {0, 2, {{.address = place, .length = 20}, {place + 4096, 2000, true}}},
        {0, 1, {{.address = place, .length = 11, .device_writes = true}}},
        {2, 1, {{.address = place, .length = 3}}},
        {2, 2, {{.address = place, .length = 1}, {place + 4096, 1, true}}},
    };
    make_frame(100, 0);
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct bed *bed = bed_new("", false, 1, true);
        start(bed, NET(CTRL_VQ) | NET(MRG_RXBUF));
        unsigned queue = wrong[i].queue;
        struct driver *d = &bed->q[queue];
        driver_add(d, wrong[i].buffers, wrong[i].count, false, 0);
        if (queue == 0) { /* enough for the frame in the buffers after it */
            struct buffer more = {place + 0x8000, 2000, true};
            driver_add(d, &more, 1, false, 9);
            host_send(bed, 0, NULL, frame, 100);
        }
        driver_kick(d);
        for (unsigned tries = 0; !(status_of(bed->rig) & VIRTIO_CONFIG_S_NEEDS_RESET); tries++) {
            assert_true(tries < 25000);
            wait_a_little();
        }
        start(bed, 0);
        exchange(bed);
        bed_free(bed);
    }
    struct bed *bed = bed_new("", false, 1, true); /* frames that are none are only lost */
    start(bed, 0);
    send_frame(bed, 0, &plain, frame, 13);
    exchange(bed);
    bed_free(bed);
}

/* ---- identity, configuration, and what a person may do wrong */

static void test_configuration(void **state)
{
    (void)state;
    struct bed *bed = bed_new(",mac=02:00:5E:10:00:fF,mtu=9000,speed=2500", false, 2, false);
    static const uint8_t expected[] = {2, 0,    0x5e, 0x10, 0, 0xff, 1, 0, 2,
                                       0, 0x28, 0x23, 0xc4, 9, 0,    0, 1};
    for (unsigned i = 0; i < sizeof(expected); i++) {
        assert_int_equal(get(bed->rig, VIRTIO_DEVICE_REGION + i, 1), expected[i]);
    }
    assert_int_equal(get(bed->rig, VIRTIO_PCI_COMMON_NUMQ, 2), 5);
    put(bed->rig, VIRTIO_PCI_COMMON_DFSELECT, 4, 0);
    uint32_t offered = (uint32_t)get(bed->rig, VIRTIO_PCI_COMMON_DF, 4);
    assert_int_equal(offered & (NET(CSUM) | NET(GUEST_CSUM) | NET(HOST_TSO4)), 0); /* no header */
    assert_true(offered & NET(MTU) && offered & NET(MQ));
    start(bed, 0);
    put(bed->rig, VIRTIO_DEVICE_REGION, 1, 0x77); /* only a legacy driver may */
    assert_int_equal(get(bed->rig, VIRTIO_DEVICE_REGION, 1), 2);
    bed_free(bed);
}

static void refused(struct fixture *f, const char *properties, const char *reason)
{
    struct error err = {0};
    assert_true(create(f, &virtio_net_type, properties, &err) < 0);
    if (!strstr(err.text, reason)) {
        fail_msg("'%s' is not in '%s'", reason, err.text);
    }
}

static void test_options(void **state)
{
    struct fixture *f = *state;
    char text[128];
    int ends[2];
    refused(f, "", "tap=NAME, fd=NUMBER or user is missing");
    refused(f, "tap=x,user=on", "exclude each other");
    refused(f, "tap=x,vnet-hdr=on", "vnet-hdr=on: only fd=");
    refused(f, "tap=x,hostfwd=y", "hostfwd: only with user");
    refused(f, "tap=a-name-that-is-too-long", "not the name of a network device");
    refused(f, "user=on,queues=2", "queues=2: user has only one");
    refused(f, "fd=three", "fd=three: expected a number");
    refused(f, "fd=3:", "fd=3:");
    refused(f, "fd=999", "fd=999: not open");
    refused(f, "fd=3,mac=1", "mac=1: expected six bytes");
    refused(f, "fd=3,mac=01:00:00:00:00:00", "a group's address");
    refused(f, "fd=3,mac=00:00:00:00:00:0g", "expected six bytes");
    refused(f, "fd=3,mtu=67", "mtu=67");
    assert_int_equal(pipe(ends), 0);
    snprintf(text, sizeof(text), "fd=%d", ends[0]);
    refused(f, text, "not a socket");
    close(ends[0]);
    close(ends[1]);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    snprintf(text, sizeof(text), "fd=%d", ends[0]);
    refused(f, text, "neither a datagram nor a seqpacket");
    close(ends[0]);
    close(ends[1]);
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends), 0);
    snprintf(text, sizeof(text), "fd=%d,queues=2", ends[0]);
    refused(f, text, "fewer than queues=2");
    snprintf(text, sizeof(text), "fd=%d:%d", ends[1], ends[1]);
    refused(f, text, "more than queues=1");
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN); /* as minivmm does */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_ways),
        cmocka_unit_test(test_legacy),
        cmocka_unit_test(test_merged),
        cmocka_unit_test(test_not_merged),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_headers_sent),
        cmocka_unit_test(test_headers_received),
        cmocka_unit_test(test_control),
        cmocka_unit_test(test_filter),
        cmocka_unit_test(test_vlans),
        cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_slow),
        cmocka_unit_test(test_gone),
        cmocka_unit_test(test_reset_in_flight),
        cmocka_unit_test(test_queue_reset),
        cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_configuration),
        pci_unit_test(test_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

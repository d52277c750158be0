/* SPDX-License-Identifier: MIT */
/* virtio-test, virtio-rng and virtio-console, each through the fixture's driver. */
#include "virtio_fixture.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <linux/virtio_console.h>
#include <signal.h>

#include "devices/virtio/virtio_console.h"
#include "devices/virtio/virtio_rng.h"
#include "devices/virtio/virtio_test.h"

#define V1 VIRTIO_BIT(VIRTIO_F_VERSION_1)

/* ---- running the event loop for some milliseconds */

static void time_is_up(void *opaque)
{
    event_loop_stop(opaque);
}

static void run_loop(struct rig *rig, unsigned ms)
{
    struct event_timer timer;
    assert_int_equal(event_timer_init(&timer, &rig->f.loop, time_is_up, &rig->f.loop), 0);
    event_timer_set(&timer, event_now_ns() + ms * 1000000ull);
    event_loop_run(&rig->f.loop);
    event_timer_destroy(&timer);
}

/* ---- virtio-rng */

static void test_rng(void **state)
{
    (void)state;
    for (unsigned iommu = 0; iommu < 2; iommu++) {
        struct rig *rig = rig_with(&virtio_rng_type, iommu, "");
        struct driver d;
        driver_start(&d, rig, 16, V1 | (iommu ? VIRTIO_BIT(VIRTIO_F_ACCESS_PLATFORM) : 0));
        const struct buffer in[2] = {
            {.address = RAM_BASE + 0x100ff0, .length = 64, .device_writes = true},
            {.address = RAM_BASE + 0x102000, .length = 8000, .device_writes = true}};
        memset(at(rig, RAM_BASE + 0x100ff0), 0, 16);
        unsigned id = driver_add(&d, in, 2, false, 0);
        driver_kick(&d);
        run_loop(rig, 20);
        unsigned used;
        uint32_t length;
        assert_true(next_used(&d, &used, &length));
        assert_int_equal(used, id);
        assert_int_equal(length, 4096); /* no more at once */
        unsigned zeroes = 0;
        for (unsigned i = 0; i < 64; i++) {
            zeroes += *at(rig, RAM_BASE + 0x100ff0 + i) == 0;
        }
        assert_true(zeroes < 16);
        assert_int_equal(*at(rig, RAM_BASE + 0x102000 + 4032), 0); /* not touched */
        assert_int_equal(*at(rig, RAM_BASE + 0x102000 + 5000), 0);
        rig_free(rig);
    }
}

static void test_rng_wants_room(void **state)
{
    (void)state;
    struct rig *rig = rig_with(&virtio_rng_type, false, "");
    struct driver d;
    driver_start(&d, rig, 16, V1);
    const struct buffer out = {.address = RAM_BASE + 0x100000, .length = 16};
    driver_add(&d, &out, 1, false, 0);
    driver_kick(&d);
    run_loop(rig, 20);
    assert_true(status_of(rig) & VIRTIO_CONFIG_S_NEEDS_RESET);
    rig_free(rig);
}

/* ---- virtio-test */

static void test_counts(void **state)
{
    (void)state;
    struct rig *rig = rig_with(&virtio_test_type, false, "interval=5");
    struct driver d;
    run_loop(rig, 30);
    assert_int_equal(get(rig, VIRTIO_DEVICE_REGION, 4), 0); /* not before DRIVER_OK */
    driver_start(&d, rig, 128, V1 | 1);
    for (unsigned tries = 0; tries < 1000 && get(rig, VIRTIO_DEVICE_REGION, 4) < 3; tries++) {
        run_loop(rig, 5);
    }
    assert_true(get(rig, VIRTIO_DEVICE_REGION, 4) >= 3);
    assert_true(get(rig, VIRTIO_ISR_REGION, 1) & VIRTIO_ISR_CONFIG);
    const struct buffer out = {.address = RAM_BASE + 0x100000, .length = 4};
    driver_add(&d, &out, 1, false, 0);
    driver_kick(&d);
    run_loop(rig, 20);
    assert_int_equal(collect(&d, true), 1);
    assert_int_equal(get(rig, VIRTIO_DEVICE_REGION + 8, 4), 1);
    put(rig, VIRTIO_DEVICE_REGION + 4, 4, 99); /* actual is the driver's, the others are not */
    put(rig, VIRTIO_DEVICE_REGION + 8, 4, 99);
    assert_int_equal(get(rig, VIRTIO_DEVICE_REGION + 4, 4), 99);
    assert_int_equal(get(rig, VIRTIO_DEVICE_REGION + 8, 4), 1);
    put(rig, VIRTIO_PCI_COMMON_STATUS, 1, 0);
    run_loop(rig, 30);
    for (unsigned i = 0; i < 12; i += 4) {
        assert_int_equal(get(rig, VIRTIO_DEVICE_REGION + i, 4), 0);
    }
    driver_start(&d, rig, 128, V1);
    const struct buffer small = {.address = RAM_BASE + 0x100000, .length = 3};
    driver_add(&d, &small, 1, false, 0);
    driver_kick(&d);
    run_loop(rig, 20);
    assert_true(status_of(rig) & VIRTIO_CONFIG_S_NEEDS_RESET);
    rig_free(rig);
}

/* ---- virtio-console, with a socket at the other end */

struct line {
    struct rig *rig;
    struct driver in, out; /* queues 0 and 1 */
    int fd;
    char path[64];
};

/* A second driver of the same device, for queue 1. */
static void add_queue(struct driver *d, struct rig *rig)
{
    *d = (struct driver){.rig = rig,
                         .index = 1,
                         .size = 16,
                         .free_entries = 16,
                         .desc = RAM_BASE + 0x8000,
                         .drv = RAM_BASE + 0x9000,
                         .dev = RAM_BASE + 0xa000,
                         .avail_wrap = true,
                         .used_wrap = true};
    set_up_queue(rig, 1, 16, d->desc, d->drv, d->dev);
}

static void line_open(struct line *line)
{
    char properties[96];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(line->path, sizeof(line->path), "/tmp/minivmm-test-%d", getpid());
    snprintf(properties, sizeof(properties), "socket=%s", line->path);
    line->rig = rig_with(&virtio_console_type, false, properties);
    struct rig *rig = line->rig;
    line->in = (struct driver){.rig = rig,
                               .size = 16,
                               .free_entries = 16,
                               .desc = RAM_BASE + 0x1000,
                               .drv = RAM_BASE + 0x3000,
                               .dev = RAM_BASE + 0x5000,
                               .avail_wrap = true,
                               .used_wrap = true};
    assert_true(negotiate(rig, V1 | VIRTIO_BIT(VIRTIO_CONSOLE_F_EMERG_WRITE)));
    set_up_queue(rig, 0, 16, line->in.desc, line->in.drv, line->in.dev);
    add_queue(&line->out, rig);
    set_driver_ok(rig);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", line->path);
    line->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(connect(line->fd, (struct sockaddr *)&address, sizeof(address)), 0);
    run_loop(rig, 10);
}

static void line_close(struct line *line)
{
    close(line->fd);
    run_loop(line->rig, 10);
    rig_free(line->rig);
    assert_int_equal(access(line->path, F_OK), -1); /* it takes its socket away */
}

static void test_console_out(void **state)
{
    (void)state;
    struct line line;
    line_open(&line);
    /* More than the socket takes while nobody reads: 16 times 60000 bytes. */
    const struct buffer out = {.address = RAM_BASE + 0x100000, .length = 60000};
    unsigned long sent = 0;
    unsigned long received = 0;
    for (unsigned round = 0; round < 400 && received < 16 * 60000; round++) {
        if (sent < 16) {
            for (unsigned i = 0; i < out.length; i++) {
                *at(line.rig, out.address + 0x10000 * sent + i) = (uint8_t)(sent * 7 + i % 251);
            }
            struct buffer next = out;
            next.address += 0x10000 * sent++;
            driver_add(&line.out, &next, 1, false, (unsigned)sent);
            driver_kick(&line.out);
        }
        run_loop(line.rig, 1);
        if (round < 20) {
            continue; /* nobody reads yet */
        }
        uint8_t data[50000];
        ssize_t got = read(line.fd, data, sizeof(data));
        for (ssize_t i = 0; i < got; i++, received++) {
            assert_int_equal(data[i], (uint8_t)(received / 60000 * 7 + received % 60000 % 251));
        }
    }
    assert_int_equal(received, 16 * 60000);
    run_loop(line.rig, 5);
    assert_int_equal(collect(&line.out, false), 16);
    put(line.rig, VIRTIO_DEVICE_REGION + 8, 4, '!'); /* emerg_wr */
    char byte = 0;
    assert_int_equal(read(line.fd, &byte, 1), 1);
    assert_int_equal(byte, '!');
    line_close(&line);
}

static void test_console_in(void **state)
{
    (void)state;
    struct line line;
    line_open(&line);
    assert_int_equal(write(line.fd, "hello, world", 12), 12);
    run_loop(line.rig, 10); /* there is no buffer yet */
    const struct buffer in = {.address = RAM_BASE + 0x100000, .length = 5, .device_writes = true};
    char text[13] = {0};
    unsigned id;
    uint32_t length;
    unsigned total = 0;
    for (unsigned i = 0; i < 3; i++) {
        line.in.chains[0].in_flight = false;
        driver_add(&line.in, &in, 1, false, i);
        driver_kick(&line.in);
        run_loop(line.rig, 10);
        assert_true(next_used(&line.in, &id, &length));
        assert_int_equal(length, i < 2 ? 5 : 2);
        peek(line.rig, in.address, text + total, length);
        total += length;
    }
    assert_string_equal(text, "hello, world");
    line_close(&line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rng),        cmocka_unit_test(test_rng_wants_room),
        cmocka_unit_test(test_counts),     cmocka_unit_test(test_console_out),
        cmocka_unit_test(test_console_in),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

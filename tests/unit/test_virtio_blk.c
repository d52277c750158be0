/* SPDX-License-Identifier: MIT */
/* virtio-blk through the fixture's driver, and vmm/disk.c below it, with files of the host. */
#include "virtio_fixture.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/virtio_blk.h>
#include <sys/file.h>
#include <time.h>

#include "devices/virtio/virtio_blk.h"
#include "tests/unit/emulated.h"
#include "vmm/disk.h"

#define V1           VIRTIO_BIT(VIRTIO_F_VERSION_1)
#define BLK(feature) VIRTIO_BIT(VIRTIO_BLK_F_##feature)

enum {
    SECTORS = 512,
    DISK_BYTES = SECTORS * 512,
    HEADER = 0x100000, /* in RAM, from RAM_BASE on: a page for each chain */
    DATA = 0x140000,
    STATUS = 0x1f0000,
};

/* ---- calls that tell whether data is made stable; the linker puts these in front of the real */

static atomic_uint durable_writes, syncs, allocations;
static atomic_int refuse_allocation; /* errno that fallocate() fails with */

ssize_t __real_pwritev2(int fd, const struct iovec *iov, int count, off_t offset, int flags);
ssize_t __wrap_pwritev2(int fd, const struct iovec *iov, int count, off_t offset, int flags);
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __real_fallocate(int fd, int mode, off_t offset, off_t length);
int __wrap_fallocate(int fd, int mode, off_t offset, off_t length);

ssize_t __wrap_pwritev2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
    atomic_fetch_add(&durable_writes, flags & RWF_DSYNC ? 1 : 0);
    /* Less than was asked for, as the kernel may. */
    struct iovec first = iov[0];
    if (first.iov_len > 1024) {
        first.iov_len = 700;
        return __real_pwritev2(fd, &first, 1, offset, flags);
    }
    return __real_pwritev2(fd, iov, count, offset, flags);
}

int __wrap_fdatasync(int fd)
{
    atomic_fetch_add(&syncs, 1);
    return __real_fdatasync(fd);
}

int __wrap_fallocate(int fd, int mode, off_t offset, off_t length)
{
    int refuse = atomic_load(&refuse_allocation);
    atomic_fetch_add(&allocations, 1);
    if (refuse) {
        errno = refuse;
        return -1;
    }
    return __real_fallocate(fd, mode, offset, length);
}

/* ---- a disk, its driver, and what should be on it */

struct bed {
    struct rig *rig;
    struct driver d;
    char path[64];
    uint8_t model[DISK_BYTES];
};

static bool uring_works(void)
{
    struct disk disk;
    struct error err;
    char path[] = "/tmp/minivmm-disk-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, 4096), 0);
    const struct disk_settings settings = {.path = path, .aio = DISK_AIO_URING, .depth = 4};
    int ret = disk_open(&disk, &settings, &err);
    if (ret == 0) {
        disk_close(&disk);
    }
    close(fd);
    unlink(path);
    return ret == 0;
}

static struct bed *bed_new(const char *properties, bool iommu, uint64_t features)
{
    struct bed *bed = calloc(1, sizeof(*bed));
    char all[256];
    assert_non_null(bed);
    snprintf(bed->path, sizeof(bed->path), "/tmp/minivmm-disk-XXXXXX");
    int fd = mkstemp(bed->path);
    assert_true(fd >= 0);
    for (unsigned i = 0; i < DISK_BYTES; i++) {
        bed->model[i] = (uint8_t)(i / 512 * 7 + i);
    }
    assert_int_equal(pwrite(fd, bed->model, DISK_BYTES, 0), DISK_BYTES);
    close(fd);
    snprintf(all, sizeof(all), "file=%s%s", bed->path, properties);
    bed->rig = rig_with(&virtio_blk_type, iommu, all);
    if (features) {
        driver_start(&bed->d, bed->rig, 32,
                     V1 | features | (iommu ? VIRTIO_BIT(VIRTIO_F_ACCESS_PLATFORM) : 0));
    }
    return bed;
}

/* The file holds what it should. */
static void bed_free(struct bed *bed)
{
    static uint8_t found[DISK_BYTES];
    rig_free(bed->rig);
    int fd = open(bed->path, O_RDONLY);
    assert_int_equal(read(fd, found, DISK_BYTES), DISK_BYTES);
    assert_memory_equal(found, bed->model, DISK_BYTES);
    close(fd);
    unlink(bed->path);
    free(bed);
}

static void wait_a_little(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
}

/* The request that the device is done with. */
static unsigned wait_used(struct bed *bed, uint32_t *length)
{
    for (unsigned tries = 0; collect(&bed->d, false) == 0; tries++) {
        assert_true(tries < 50000);
        wait_a_little();
    }
    *length = bed->d.last_length;
    return bed->d.last_id;
}

/* How header, data and status lie in buffers: 2.7.4. */
enum layout { PLAIN, JOINED, SCATTERED, LAYOUTS };

static unsigned lay_out(enum layout layout, uint32_t length, bool write, struct buffer *buffers)
{
    unsigned count = 0;
    uint64_t header = RAM_BASE + HEADER;
    uint64_t data = RAM_BASE + DATA;
    uint64_t status = RAM_BASE + STATUS;
    if (layout == JOINED && write) { /* data right after the header, in one buffer */
        buffers[count++] = (struct buffer){.address = data - 16, .length = 16 + length};
    } else if (layout == JOINED) { /* the status is the last byte of the data */
        buffers[count++] = (struct buffer){.address = header, .length = 16};
        buffers[count++] =
            (struct buffer){.address = data, .length = length + 1, .device_writes = true};
        return count;
    } else {
        unsigned parts = layout == SCATTERED ? 2 : 1;
        for (unsigned i = 0; i < parts; i++) {
            buffers[count++] =
                (struct buffer){.address = header + i * (16 / parts), .length = 16 / parts};
        }
        uint32_t cut = layout == SCATTERED && length > 100 ? 100 : length;
        if (cut) {
            buffers[count++] =
                (struct buffer){.address = data, .length = cut, .device_writes = !write};
        }
        if (length > cut) {
            buffers[count++] = (struct buffer){
                .address = data + cut, .length = length - cut, .device_writes = !write};
        }
    }
    buffers[count++] = (struct buffer){.address = status, .length = 1, .device_writes = true};
    return count;
}

/* One request, from data at DATA or to there. Returns its status. */
static uint8_t request(struct bed *bed, enum layout layout, uint32_t type, uint64_t sector,
                       uint32_t length, bool write)
{
    struct rig *rig = bed->rig;
    struct buffer buffers[6];
    const struct virtio_blk_outhdr header = {.type = type, .sector = sector};
    bool joined_write = layout == JOINED && write;
    uint64_t status = layout == JOINED && !write ? DATA + length : STATUS;
    poke(rig, RAM_BASE + (joined_write ? DATA - 16 : HEADER), &header, sizeof(header));
    poke(rig, RAM_BASE + status, &(uint8_t){0xee}, 1);
    unsigned count = lay_out(layout, length, write, buffers);
    unsigned id = driver_add(&bed->d, buffers, count, bed->d.indirect, sector & 7);
    driver_kick(&bed->d);
    uint32_t used;
    assert_int_equal(wait_used(bed, &used), id);
    assert_int_equal(used, 1 + (write ? 0 : length));
    uint8_t result;
    peek(rig, RAM_BASE + status, &result, 1);
    assert_int_not_equal(result, 0xee);
    return result;
}

static uint8_t flush(struct bed *bed)
{
    return request(bed, PLAIN, VIRTIO_BLK_T_FLUSH, 0, 0, true);
}

static uint8_t range(struct bed *bed, uint32_t type, uint64_t sector, uint32_t sectors,
                     uint32_t flags)
{
    const struct virtio_blk_discard_write_zeroes what = {
        .sector = sector, .num_sectors = sectors, .flags = flags};
    poke(bed->rig, RAM_BASE + DATA, &what, sizeof(what));
    return request(bed, PLAIN, type, 0, sizeof(what), true);
}

/* ---- what a driver may do, at random, against a model */

static void random_write(struct bed *bed, uint64_t sector, uint32_t sectors)
{
    for (uint32_t i = 0; i < sectors * 512; i++) {
        bed->model[sector * 512 + i] = (uint8_t)rand();
    }
    poke(bed->rig, RAM_BASE + DATA, bed->model + sector * 512, sectors * 512);
    assert_int_equal(request(bed, (enum layout)(rand() % LAYOUTS), VIRTIO_BLK_T_OUT, sector,
                             sectors * 512, true),
                     VIRTIO_BLK_S_OK);
}

static void random_read(struct bed *bed, uint64_t sector, uint32_t sectors)
{
    static uint8_t found[64 * 512];
    assert_int_equal(request(bed, (enum layout)(rand() % LAYOUTS), VIRTIO_BLK_T_IN, sector,
                             sectors * 512, false),
                     VIRTIO_BLK_S_OK);
    peek(bed->rig, RAM_BASE + DATA, found, sectors * 512);
    assert_memory_equal(found, bed->model + sector * 512, sectors * 512);
}

static void random_zeroes(struct bed *bed, uint64_t sector, uint32_t sectors)
{
    memset(bed->model + sector * 512, 0, sectors * 512);
    assert_int_equal(range(bed, VIRTIO_BLK_T_WRITE_ZEROES, sector, sectors, rand() & 1),
                     VIRTIO_BLK_S_OK);
}

static void random_requests(struct bed *bed, unsigned count)
{
    while (count--) {
        uint64_t sector = (uint64_t)rand() % SECTORS;
        uint32_t most = SECTORS - sector < 64 ? (uint32_t)(SECTORS - sector) : 64;
        uint32_t sectors = 1 + (uint32_t)rand() % most;
        switch (rand() % 8) {
        case 0:
            assert_int_equal(flush(bed), VIRTIO_BLK_S_OK);
            break;
        case 1:
            random_zeroes(bed, sector, sectors);
            break;
        case 2: /* a file's hole reads as zeroes, as the driver cannot expect */
            memset(bed->model + sector * 512, 0, sectors * 512);
            assert_int_equal(range(bed, VIRTIO_BLK_T_DISCARD, sector, sectors, 0), VIRTIO_BLK_S_OK);
            break;
        case 3:
        case 4:
        case 5:
            random_write(bed, sector, sectors);
            break;
        default:
            random_read(bed, sector, sectors);
        }
    }
}

static void test_random(void **state)
{
    (void)state;
    const uint64_t all = BLK(FLUSH) | BLK(DISCARD) | BLK(WRITE_ZEROES) | BLK(CONFIG_WCE);
    static const uint64_t rings[] = {0, VIRTIO_BIT(VIRTIO_F_RING_PACKED),
                                     VIRTIO_BIT(VIRTIO_RING_F_INDIRECT_DESC) |
                                         VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX)};
    const char *const engines[] = {",packed=on,aio=threads", ",packed=on,aio=io_uring"};
    unsigned engine_count = uring_works() ? 2 : 1;
    if (engine_count == 1) {
        print_message("skipped: with io_uring, which this kernel does not have\n");
    }
    srand(5);
    for (unsigned i = 0; i < engine_count * 6; i++) {
        struct bed *bed = bed_new(engines[i / 6], i & 1, all | rings[i / 2 % 3]);
        random_requests(bed, 150);
        bed_free(bed);
    }
}

/* Where the file system can make no zeroes, they are written. */
static void test_zeroes_by_hand(void **state)
{
    (void)state;
    struct bed *bed = bed_new(",aio=threads", false, BLK(FLUSH) | BLK(DISCARD) | BLK(WRITE_ZEROES));
    atomic_store(&refuse_allocation, EOPNOTSUPP);
    random_zeroes(bed, 3, 400);
    random_zeroes(bed, 500, 1);
    assert_int_equal(range(bed, VIRTIO_BLK_T_DISCARD, 450, 5, 0), VIRTIO_BLK_S_OK); /* a hint */
    atomic_store(&refuse_allocation, ENOSPC);
    assert_int_equal(range(bed, VIRTIO_BLK_T_WRITE_ZEROES, 0, 1, 0), VIRTIO_BLK_S_IOERR);
    atomic_store(&refuse_allocation, 0);
    bed_free(bed);
}

/* ---- what is stable when */

static void write_one(struct bed *bed, uint64_t sector)
{
    random_write(bed, sector, 1);
}

/* Writes that are stable when done, by one call: user-mode emulation of arm64 may not have it. */
static bool has_durable_writes(void)
{
    char path[] = "/tmp/minivmm-disk-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    const struct iovec iov = {.iov_base = path, .iov_len = 1};
    bool has = __real_pwritev2(fd, &iov, 1, 0, RWF_DSYNC) == 1;
    close(fd);
    unlink(path);
    return has;
}

static void test_durability(void **state)
{
    (void)state;
    if (!has_durable_writes()) {
        print_message("skipped: this kernel has no pwritev2() with RWF_DSYNC\n");
        skip();
    }
    struct bed *bed = bed_new(",aio=threads", false, BLK(FLUSH) | BLK(CONFIG_WCE));
    atomic_store(&durable_writes, 0);
    atomic_store(&syncs, 0);
    write_one(bed, 1);
    assert_int_equal(atomic_load(&durable_writes), 0);
    assert_int_equal(atomic_load(&syncs), 0);
    assert_int_equal(flush(bed), VIRTIO_BLK_S_OK);
    assert_int_equal(atomic_load(&syncs), 1);
    uint64_t wce = VIRTIO_DEVICE_REGION + offsetof(struct virtio_blk_config, wce);
    assert_int_equal(get(bed->rig, wce, 1), 1);
    put(bed->rig, wce, 1, 0);
    assert_int_equal(get(bed->rig, wce, 1), 0);
    write_one(bed, 2);
    assert_int_equal(atomic_load(&durable_writes), 1);
    put(bed->rig, VIRTIO_PCI_COMMON_STATUS, 1, 0);
    assert_int_equal(get(bed->rig, wce, 1), 1); /* as it was */

    driver_start(&bed->d, bed->rig, 32, V1 | BLK(FLUSH) | BLK(WRITE_ZEROES));
    put(bed->rig, wce, 1, 0); /* the feature was not accepted */
    assert_int_equal(get(bed->rig, wce, 1), 1);

    driver_start(&bed->d, bed->rig, 32, V1 | BLK(WRITE_ZEROES)); /* cannot flush */
    write_one(bed, 3);
    assert_int_equal(atomic_load(&durable_writes), 2);
    random_zeroes(bed, 4, 2);
    assert_int_equal(atomic_load(&syncs), 2);
    bed_free(bed);

    bed = bed_new(",aio=threads,writeback=off", false, BLK(FLUSH) | BLK(CONFIG_WCE));
    write_one(bed, 1);
    assert_int_equal(atomic_load(&durable_writes), 3);
    bed_free(bed);
}

/* ---- what a driver may not do */

static void test_refused(void **state)
{
    (void)state;
    struct bed *bed = bed_new(",discard=off", false, BLK(FLUSH) | BLK(WRITE_ZEROES));
    const uint8_t error = VIRTIO_BLK_S_IOERR;
    const uint8_t unsupported = VIRTIO_BLK_S_UNSUPP;
    assert_int_equal(request(bed, PLAIN, VIRTIO_BLK_T_IN, SECTORS, 512, false), error);
    assert_int_equal(request(bed, PLAIN, VIRTIO_BLK_T_IN, SECTORS - 1, 1024, false), error);
    assert_int_equal(request(bed, PLAIN, VIRTIO_BLK_T_IN, UINT64_MAX, 512, false), error);
    assert_int_equal(request(bed, PLAIN, VIRTIO_BLK_T_IN, 1ull << 55, 512, false), error);
    assert_int_equal(request(bed, PLAIN, VIRTIO_BLK_T_OUT, SECTORS, 512, true), error);
    assert_int_equal(request(bed, PLAIN, VIRTIO_BLK_T_OUT, 0, 100, true), error);
    assert_int_equal(request(bed, PLAIN, VIRTIO_BLK_T_IN, 0, 513, false), error);
    assert_int_equal(request(bed, PLAIN, VIRTIO_BLK_T_IN, 0, 0, false), VIRTIO_BLK_S_OK);
    assert_int_equal(request(bed, PLAIN, VIRTIO_BLK_T_SCSI_CMD, 0, 16, true), unsupported);
    assert_int_equal(request(bed, PLAIN, 12345, 0, 0, true), unsupported);
    assert_int_equal(range(bed, VIRTIO_BLK_T_DISCARD, 0, 1, 0), unsupported); /* not offered */
    assert_int_equal(range(bed, VIRTIO_BLK_T_WRITE_ZEROES, 0, 1, 2), unsupported);
    assert_int_equal(range(bed, VIRTIO_BLK_T_WRITE_ZEROES, SECTORS, 1, 0), error);
    assert_int_equal(range(bed, VIRTIO_BLK_T_WRITE_ZEROES, 0, UINT32_MAX, 0), error);
    assert_int_equal(range(bed, VIRTIO_BLK_T_WRITE_ZEROES, SECTORS, 0, 0), VIRTIO_BLK_S_OK);
    assert_int_equal(request(bed, PLAIN, VIRTIO_BLK_T_WRITE_ZEROES, 0, 15, true), error);
    assert_int_equal(request(bed, PLAIN, VIRTIO_BLK_T_WRITE_ZEROES, 0, 32, true), error);
    assert_int_equal(status_of(bed->rig) & VIRTIO_CONFIG_S_NEEDS_RESET, 0);
    bed_free(bed);
}

static void test_read_only(void **state)
{
    (void)state;
    struct bed *bed = bed_new(",readonly=on", false, BLK(FLUSH) | BLK(RO));
    put(bed->rig, VIRTIO_PCI_COMMON_DFSELECT, 4, 0);
    uint32_t offered = (uint32_t)get(bed->rig, VIRTIO_PCI_COMMON_DF, 4);
    assert_int_equal(offered & (BLK(DISCARD) | BLK(WRITE_ZEROES)), 0);
    assert_int_equal(request(bed, PLAIN, VIRTIO_BLK_T_OUT, 0, 512, true), VIRTIO_BLK_S_IOERR);
    random_read(bed, 5, 9);
    assert_int_equal(flush(bed), VIRTIO_BLK_S_OK);
    bed_free(bed);
}

static void test_broken(void **state)
{
    (void)state;
    const struct buffer wrong[][2] = {
        {{.address = RAM_BASE + HEADER, .length = 15},
         {.address = RAM_BASE + STATUS, .length = 1, .device_writes = true}},
        {{.address = RAM_BASE + HEADER, .length = 16}, {.address = RAM_BASE + DATA, .length = 1}},
    };
    for (unsigned i = 0; i < 2; i++) {
        struct bed *bed = bed_new("", false, BLK(FLUSH));
        driver_add(&bed->d, wrong[i], 2, false, 0);
        driver_kick(&bed->d);
        for (unsigned tries = 0; !(status_of(bed->rig) & VIRTIO_CONFIG_S_NEEDS_RESET); tries++) {
            assert_true(tries < 50000);
            wait_a_little();
        }
        driver_start(&bed->d, bed->rig, 32, V1 | BLK(FLUSH)); /* and it works again */
        random_read(bed, 7, 2);
        bed_free(bed);
    }
}

/* ---- identity and configuration */

static void test_configuration(void **state)
{
    (void)state;
    struct bed *bed =
        bed_new(",queues=3,serial=abcdefghijklmnopqrst,logical-block-size=4096,queue-size=64",
                false, BLK(MQ));
    struct virtio_blk_config config = {0};
    for (unsigned i = 0; i < offsetof(struct virtio_blk_config, max_secure_erase_sectors); i++) {
        ((uint8_t *)&config)[i] = (uint8_t)get(bed->rig, VIRTIO_DEVICE_REGION + i, 1);
    }
    assert_int_equal(config.capacity, SECTORS);
    assert_int_equal(config.seg_max, 62);
    assert_int_equal(config.blk_size, 4096);
    assert_int_equal(config.num_queues, 3);
    assert_int_equal(config.max_discard_seg, 1);
    assert_int_equal(config.discard_sector_alignment, 8);
    assert_int_equal(config.max_write_zeroes_seg, 1);
    assert_int_equal(config.write_zeroes_may_unmap, 1);
    assert_int_equal(get(bed->rig, VIRTIO_PCI_COMMON_NUMQ, 2), 3);
    assert_int_equal(request(bed, PLAIN, VIRTIO_BLK_T_GET_ID, 0, 20, false), VIRTIO_BLK_S_OK);
    char id[20];
    peek(bed->rig, RAM_BASE + DATA, id, sizeof(id));
    assert_memory_equal(id, "abcdefghijklmnopqrst", 20);
    assert_int_equal(request(bed, PLAIN, VIRTIO_BLK_T_GET_ID, 0, 8, false), VIRTIO_BLK_S_OK);
    bed_free(bed);
}

/* ---- reset with requests under way: none comes back, and the memory is nobody's */

static void test_reset_in_flight(void **state)
{
    (void)state;
    unsigned engine_count = uring_works() ? 2 : 1;
    for (unsigned round = 0; round < 40; round++) {
        bool threads = round % 2 || engine_count == 1;
        uint64_t features =
            V1 | BLK(FLUSH) | (round & 2 ? VIRTIO_BIT(VIRTIO_F_ACCESS_PLATFORM) : 0);
        struct bed *bed =
            bed_new(threads ? ",aio=threads" : ",aio=io_uring", round & 2, BLK(FLUSH));
        struct buffer buffers[6];
        const struct virtio_blk_outhdr header = {.type = VIRTIO_BLK_T_OUT, .sector = 0};
        poke(bed->rig, RAM_BASE + HEADER, &header, sizeof(header));
        poke(bed->rig, RAM_BASE + DATA, bed->model, 8192);
        for (unsigned i = 0; i < 10; i++) { /* all write the same to the same place */
            driver_add(&bed->d, buffers, lay_out(PLAIN, 8192, true, buffers), false, i);
        }
        driver_kick(&bed->d);
        for (unsigned i = 0; i < round; i++) {
            sched_yield();
        }
        put(bed->rig, VIRTIO_PCI_COMMON_STATUS, 1, 0);
        uint16_t used = peek16(bed->rig, bed->d.dev + 2);
        wait_a_little();
        assert_int_equal(peek16(bed->rig, bed->d.dev + 2), used);
        driver_start(&bed->d, bed->rig, 32, features);
        random_write(bed, 9, 3);
        random_read(bed, 0, 20);
        bed_free(bed);
    }
}

/* ---- what a person may do wrong */

static void test_options(void **state)
{
    (void)state;
    struct disk disk;
    struct disk other;
    struct error err;
    char path[] = "/tmp/minivmm-disk-XXXXXX";
    int fd = mkstemp(path);
    struct disk_settings settings = {.path = path, .aio = DISK_AIO_THREADS, .depth = 4};
    assert_int_equal(disk_open(&disk, &settings, &err), -EINVAL); /* empty */
    assert_int_equal(ftruncate(fd, 1000), 0);
    assert_int_equal(disk_open(&disk, &settings, &err), -EINVAL);
    assert_non_null(strstr(err.text, "1000 bytes are not a whole number of sectors"));
    assert_int_equal(ftruncate(fd, 1024), 0);
    assert_int_equal(disk_open(&disk, &settings, &err), 0);
    assert_int_equal(disk_open(&other, &settings, &err), -EBUSY);
    assert_non_null(strstr(err.text, "somebody else is using it"));
    disk_close(&disk);
    settings.read_only = true;
    assert_int_equal(disk_open(&disk, &settings, &err), 0);
    assert_int_equal(disk_open(&other, &settings, &err), 0); /* several may read */
    disk_close(&disk);
    disk_close(&other);
    settings.path = "/";
    assert_int_equal(disk_open(&disk, &settings, &err), -EINVAL);
    settings.path = "/nowhere/disk";
    assert_int_equal(disk_open(&disk, &settings, &err), -ENOENT);
    close(fd);
    unlink(path);
}

/* A file that became shorter meanwhile. */
static void test_truncated(void **state)
{
    (void)state;
    struct bed *bed = bed_new(",aio=threads", false, BLK(FLUSH));
    assert_int_equal(truncate(bed->path, 4096), 0);
    assert_int_equal(request(bed, PLAIN, VIRTIO_BLK_T_IN, 4, 8192, false), VIRTIO_BLK_S_IOERR);
    assert_int_equal(truncate(bed->path, DISK_BYTES), 0);
    memset(bed->model + 4096, 0, DISK_BYTES - 4096);
    bed_free(bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),        cmocka_unit_test(test_zeroes_by_hand),
        cmocka_unit_test(test_durability),    cmocka_unit_test(test_refused),
        cmocka_unit_test(test_read_only),     cmocka_unit_test(test_broken),
        cmocka_unit_test(test_configuration), cmocka_unit_test(test_reset_in_flight),
        cmocka_unit_test(test_options),       cmocka_unit_test(test_truncated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

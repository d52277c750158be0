/* SPDX-License-Identifier: MIT */
/* The bus: lookup, overlaps, accesses across borders, changes of the map under readers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/bus.h"

/* A device of bytes: reads give them, writes store them; the last access is remembered. */
struct bytes {
    struct bus_region region;
    uint8_t data[64];
    uint64_t offset;
    unsigned size;
    unsigned accesses;
};

static uint64_t bytes_read(void *opaque, uint64_t offset, unsigned size)
{
    struct bytes *bytes = opaque;
    uint64_t value = 0;
    assert_true(offset + size <= bytes->region.size);
    memcpy(&value, bytes->data + offset, size);
    bytes->offset = offset;
    bytes->size = size;
    bytes->accesses++;
    return value;
}

static void bytes_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    struct bytes *bytes = opaque;
    assert_true(offset + size <= bytes->region.size);
    memcpy(bytes->data + offset, &value, size);
    bytes->offset = offset;
    bytes->size = size;
    bytes->accesses++;
}

static const struct bus_ops bytes_ops = {bytes_read, bytes_write};

static void bytes_init(struct bytes *bytes, const char *name, uint64_t size,
                       enum bus_priority priority)
{
    *bytes = (struct bytes){
        .region = {
            .name = name, .size = size, .priority = priority, .ops = &bytes_ops, .opaque = bytes}};
    for (unsigned i = 0; i < sizeof(bytes->data); i++) {
        bytes->data[i] = (uint8_t)(i + (uint8_t)name[0]);
    }
}

/* No memory, while this is set. */
static bool malloc_fails;
void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
    return malloc_fails ? NULL : __real_malloc(size);
}

struct fixture {
    struct bus bus;
    struct bus_cursor cursor;
    struct bytes a, b, c;
    struct error err;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_int_equal(bus_init(&f->bus, "mmio", UINT64_MAX), 0);
    bus_cursor_init(&f->cursor, &f->bus);
    bytes_init(&f->a, "A", 16, BUS_PRIORITY_BAR);
    bytes_init(&f->b, "B", 16, BUS_PRIORITY_BAR);
    bytes_init(&f->c, "C", 32, BUS_PRIORITY_FIXED);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    bus_cursor_destroy(&f->cursor);
    bus_destroy(&f->bus);
    free(f);
    return 0;
}

static void empty_bus_reads_all_ones(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(bus_read(&f->cursor, 0, 1), 0xff);
    assert_int_equal(bus_read(&f->cursor, 0x1234, 2), 0xffff);
    assert_int_equal(bus_read(&f->cursor, 0xfee00000, 4), 0xffffffff);
    assert_true(bus_read(&f->cursor, UINT64_MAX - 7, 8) == UINT64_MAX);
    bus_write(&f->cursor, 0x1234, 4, 5); /* dropped */
    assert_int_equal(bus_read(&f->cursor, 0x1234, 4), 0xffffffff);
}

static void every_width_reaches_the_region(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(bus_add(&f->bus, &f->a.region, 0x1000, &f->err), 0);
    for (unsigned size = 1; size <= 8; size *= 2) {
        for (unsigned offset = 0; offset + size <= 16; offset++) {
            uint64_t expected = 0;
            memcpy(&expected, f->a.data + offset, size);
            assert_true(bus_read(&f->cursor, 0x1000 + offset, size) == expected);
            assert_int_equal(f->a.offset, offset);
            assert_int_equal(f->a.size, size);
        }
    }
    bus_write(&f->cursor, 0x1008, 4, 0xdeadbeef);
    assert_int_equal(bus_read(&f->cursor, 0x1008, 4), 0xdeadbeef);
    assert_int_equal(bus_read(&f->cursor, 0x0fff, 1), 0xff);
    assert_int_equal(bus_read(&f->cursor, 0x1010, 1), 0xff);
}

/* A region that is removed may be freed, also if there is no memory for the view without it. */
static void removed_without_memory(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(bus_add(&f->bus, &f->a.region, 0x1000, &f->err), 0);
    assert_int_equal(bus_add(&f->bus, &f->b.region, 0x1010, &f->err), 0);
    assert_int_equal(bus_read(&f->cursor, 0x1000, 1), 'A'); /* the cursor remembers it */
    malloc_fails = true;
    bus_remove(&f->a.region);
    malloc_fails = false;
    memset(&f->a.region, 0xee, sizeof(f->a.region));
    assert_int_equal(bus_read(&f->cursor, 0x1000, 1), 0xff);
    bus_write(&f->cursor, 0x1008, 4, 5);
    assert_int_equal(bus_read(&f->cursor, 0x100f, 2), 'B' << 8 | 0xff);
    assert_int_equal(f->a.accesses, 1);
    assert_int_equal(bus_add(&f->bus, &f->c.region, 0x1000, &f->err), 0);
    assert_int_equal(bus_read(&f->cursor, 0x1000, 1), 'C');
}

static void regions_at_both_ends_of_the_space(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(bus_add(&f->bus, &f->a.region, 0, &f->err), 0);
    assert_int_equal(bus_add(&f->bus, &f->b.region, UINT64_MAX - 15, &f->err), 0);
    assert_int_equal(bus_read(&f->cursor, 0, 1), 'A');
    assert_int_equal(bus_read(&f->cursor, UINT64_MAX, 1), 'B' + 15);
    /* The byte behind the last address does not exist, and certainly is not address 0. */
    assert_int_equal(bus_read(&f->cursor, UINT64_MAX, 2), 0xff00 | ('B' + 15));
    unsigned before = f->a.accesses;
    bus_write(&f->cursor, UINT64_MAX, 2, 0x5566);
    assert_int_equal(f->b.data[15], 0x66);
    assert_int_equal(f->a.accesses, before);
}

static void access_across_a_border_is_split(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(bus_add(&f->bus, &f->a.region, 0x1000, &f->err), 0);
    assert_int_equal(bus_add(&f->bus, &f->b.region, 0x1010, &f->err), 0);
    assert_int_equal(bus_read(&f->cursor, 0x100f, 2), ('B' << 8) | ('A' + 15));
    assert_int_equal(bus_read(&f->cursor, 0x100d, 4),
                     ('A' + 13) | ('A' + 14) << 8 | ('A' + 15) << 16 | ('B' << 24));
    uint64_t value = bus_read(&f->cursor, 0x1019, 8); /* seven bytes of B, one of nothing */
    for (unsigned i = 0; i < 7; i++) {
        assert_int_equal(value >> (8 * i) & 0xff, 'B' + 9 + i);
    }
    assert_int_equal(value >> 56, 0xff);
    bus_write(&f->cursor, 0x100e, 4, 0x44332211);
    assert_int_equal(f->a.data[14], 0x11);
    assert_int_equal(f->a.data[15], 0x22);
    assert_int_equal(f->b.data[0], 0x33);
    assert_int_equal(f->b.data[1], 0x44);
    assert_int_equal(bus_read(&f->cursor, 0x0ffe, 4), 0x0000ffff | 'A' << 16 | ('A' + 1) << 24);
}

/* KVM gives an access that crosses a page as its two parts, which may be of 3, 5, 6 or 7 bytes. */
static void odd_sizes_reach_regions_in_whole_pieces(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(bus_add(&f->bus, &f->a.region, 0x1000, &f->err), 0);
    for (unsigned size = 1; size <= 8; size++) {
        uint64_t expected = 0;
        memcpy(&expected, f->a.data + 1, size);
        assert_true(bus_read_slowly(&f->cursor, 0x1001, size) == expected);
        assert_true(f->a.size == 1 || f->a.size == 2 || f->a.size == 4 || f->a.size == 8);
    }
    bus_write_slowly(&f->cursor, 0x1001, 7, 0x77665544332211);
    assert_memory_equal(f->a.data, "A\x11\x22\x33\x44\x55\x66\x77I", 9);
    assert_int_equal(f->a.size, 1);
}

static void fixed_regions_must_not_overlap(void **state)
{
    struct fixture *f = *state;
    struct bytes d;
    bytes_init(&d, "D", 16, BUS_PRIORITY_FIXED);
    assert_int_equal(bus_add(&f->bus, &f->c.region, 0x1000, &f->err), 0);
    assert_int_equal(bus_add(&f->bus, &d.region, 0x101f, &f->err), -EEXIST);
    assert_string_equal(f->err.text, "D at 0x101f overlaps C at 0x1000");
    assert_int_equal(bus_add(&f->bus, &d.region, 0xff1, &f->err), -EEXIST);
    assert_null(d.region.bus);
    assert_int_equal(bus_add(&f->bus, &d.region, 0xff0, &f->err), 0); /* just below */
    bus_remove(&d.region);
    assert_int_equal(bus_add(&f->bus, &d.region, 0x1020, &f->err), 0); /* just above */
    bus_remove(&d.region);
}

static void region_must_fit(void **state)
{
    struct fixture *f = *state;
    struct bus small;
    assert_int_equal(bus_init(&small, "pio", 0xffff), 0);
    assert_int_equal(bus_add(&small, &f->a.region, 0xfff0, &f->err), 0);
    assert_int_equal(bus_add(&small, &f->b.region, 0xfff1, &f->err), -ERANGE);
    assert_non_null(strstr(f->err.text, "B: 0x10 bytes at 0xfff1"));
    bus_destroy(&small);
    assert_int_equal(bus_add(&f->bus, &f->b.region, UINT64_MAX - 14, &f->err), -ERANGE);
}

static void fixed_hides_bar_in_any_order(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(bus_add(&f->bus, &f->a.region, 0x1018, &f->err), 0);
    assert_int_equal(bus_add(&f->bus, &f->c.region, 0x1000, &f->err), 0);
    assert_int_equal(bus_add(&f->bus, &f->b.region, 0x0ff8, &f->err), 0);
    assert_int_equal(bus_read(&f->cursor, 0x0fff, 1), 'B' + 7);
    assert_int_equal(bus_read(&f->cursor, 0x1000, 1), 'C');
    assert_int_equal(bus_read(&f->cursor, 0x101f, 1), 'C' + 31);
    assert_int_equal(bus_read(&f->cursor, 0x1020, 1), 'A' + 8); /* the part that shows */
    bus_remove(&f->c.region);
    assert_int_equal(bus_read(&f->cursor, 0x1000, 1), 'B' + 8);
    assert_int_equal(bus_read(&f->cursor, 0x1018, 1), 'A');
    assert_int_equal(bus_read(&f->cursor, 0x1010, 1), 0xff);
}

static void first_of_two_bars_wins(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(bus_add(&f->bus, &f->a.region, 0x1000, &f->err), 0);
    assert_int_equal(bus_add(&f->bus, &f->b.region, 0x1008, &f->err), 0);
    assert_int_equal(bus_read(&f->cursor, 0x1008, 1), 'A' + 8);
    assert_int_equal(bus_read(&f->cursor, 0x1010, 1), 'B' + 8);
    assert_int_equal(bus_add(&f->bus, &f->a.region, 0x2000, &f->err), 0); /* moved away */
    assert_int_equal(bus_read(&f->cursor, 0x1008, 1), 'B');
    assert_int_equal(bus_read(&f->cursor, 0x2000, 1), 'A');
    assert_int_equal(bus_read(&f->cursor, 0x1000, 1), 0xff);
}

static void failed_move_takes_it_off(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(bus_add(&f->bus, &f->a.region, 0x1000, &f->err), 0);
    assert_int_equal(bus_move(&f->bus, &f->a.region, UINT64_MAX, &f->err), -ERANGE);
    assert_null(f->a.region.bus);
    assert_int_equal(bus_read(&f->cursor, 0x1000, 1), 0xff);
    bus_remove(&f->a.region); /* harmless */
}

static void check_partition(void *opaque, const struct bus_range *range)
{
    uint64_t *next = opaque;
    assert_true(range->first == *next);
    assert_true(range->last >= range->first);
    *next = range->last + 1;
}

/* Many regions at random places: every byte answers as a slow search over all regions says. */
static void random_maps_agree_with_a_search(void **state)
{
    struct fixture *f = *state;
    enum { COUNT = 24, SPACE = 512 };
    static struct bytes devices[COUNT];
    srand(20260501);
    for (unsigned round = 0; round < 300; round++) {
        for (unsigned i = 0; i < COUNT; i++) {
            if (!devices[i].region.bus && rand() % 2) {
                bytes_init(&devices[i], "r", 1 + (unsigned)rand() % 64, BUS_PRIORITY_BAR);
                memset(devices[i].data, (int)i, sizeof(devices[i].data));
                assert_int_equal(
                    bus_add(&f->bus, &devices[i].region, (unsigned)rand() % SPACE, NULL), 0);
            } else if (rand() % 3 == 0) {
                bus_remove(&devices[i].region);
            }
        }
        uint64_t next = 0;
        bus_for_each(&f->bus, check_partition, &next);
        assert_true(next == 0); /* the last range ended at 2^64 - 1 */
        for (uint64_t address = 0; address < SPACE + 64; address++) {
            uint64_t expected = 0xff;
            for (size_t i = 0; i < f->bus.count && expected == 0xff; i++) {
                const struct bus_region *region = f->bus.regions[i];
                if (address >= region->base && address - region->base < region->size) {
                    expected = ((struct bytes *)region->opaque)->data[0];
                }
            }
            assert_int_equal(bus_read(&f->cursor, address, 1), expected);
        }
    }
    for (unsigned i = 0; i < COUNT; i++) {
        bus_remove(&devices[i].region);
    }
}

/* ---- readers while the map changes */

static uint64_t constant_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)offset;
    (void)size;
    return (uintptr_t)opaque;
}

static void constant_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    (void)opaque;
    (void)offset;
    (void)size;
    (void)value;
}

static const struct bus_ops constant_ops = {constant_read, constant_write};

struct reader {
    struct bus *bus;
    atomic_bool stop;
    atomic_ulong reads;
    unsigned long wrong;
};

static void *reader_thread(void *opaque)
{
    struct reader *reader = opaque;
    struct bus_cursor cursor;
    bus_cursor_init(&cursor, reader->bus);
    while (!atomic_load(&reader->stop)) {
        uint64_t fixed = bus_read(&cursor, 0x5000, 4);
        uint64_t moving = bus_read(&cursor, 0x1000 + 0x1000 * (reader->reads % 3), 4);
        reader->wrong += fixed != 0x55 || (moving != 0x77 && moving != 0xffffffff);
        reader->reads++;
    }
    bus_cursor_destroy(&cursor);
    return NULL;
}

static void map_changes_under_readers(void **state)
{
    struct fixture *f = *state;
    struct bus_region fixed = {.name = "fixed",
                               .size = 0x100,
                               .priority = BUS_PRIORITY_FIXED,
                               .ops = &constant_ops,
                               .opaque = (void *)0x55};
    struct bus_region moving = {
        .name = "moving", .size = 0x100, .ops = &constant_ops, .opaque = (void *)0x77};
    assert_int_equal(bus_add(&f->bus, &fixed, 0x5000, NULL), 0);
    struct reader readers[2] = {{.bus = &f->bus}, {.bus = &f->bus}};
    pthread_t threads[2];
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, reader_thread, &readers[i]), 0);
    }
    while (atomic_load(&readers[0].reads) == 0 || atomic_load(&readers[1].reads) == 0) {
        sched_yield();
    }
    for (unsigned i = 0; i < 20000; i++) {
        assert_int_equal(bus_move(&f->bus, &moving, 0x1000 + 0x1000 * (i % 3), NULL), 0);
        if (i % 7 == 0) {
            bus_remove(&moving);
        }
    }
    for (unsigned i = 0; i < 2; i++) {
        atomic_store(&readers[i].stop, true);
        pthread_join(threads[i], NULL);
        assert_int_equal(readers[i].wrong, 0);
    }
    bus_remove(&moving);
    bus_remove(&fixed);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(empty_bus_reads_all_ones),        TEST(every_width_reaches_the_region),
        TEST(removed_without_memory),          TEST(regions_at_both_ends_of_the_space),
        TEST(access_across_a_border_is_split), TEST(odd_sizes_reach_regions_in_whole_pieces),
        TEST(fixed_regions_must_not_overlap),  TEST(region_must_fit),
        TEST(fixed_hides_bar_in_any_order),    TEST(first_of_two_bars_wins),
        TEST(failed_move_takes_it_off),        TEST(random_maps_agree_with_a_search),
        TEST(map_changes_under_readers),
    };
    return cmocka_run_group_tests_name("bus", tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/*
 * The DMA engine as a driver sees it: everything goes through the bus, configuration space and
 * guest memory, and the interrupt controller is one that counts. docs/dma-engine.md is what is
 * tested here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "devices/dma_engine.h"
#include "devices/dma_engine_regs.h"
#include "pci/pci_host.h"
#include "vmm/dma_copy.h"

#define MIB     ((uint64_t)1 << 20)
#define BAR     0xe0000000u
#define SLOT    (4 << 3)
#define INTA_0  16u /* GSI of root bus wire 0: slot 4, pin A */
#define MSI_CAP DMA_ENGINE_MSI_CAP

#define STATUS_OK      1u
#define STATUS_FAILED  3u
#define STATUS_RUNNING 4u

/*
 * Guest RAM: two blocks that are neighbours on the bus but not in the host, and then nothing. Small
 * under ThreadSanitizer's and everybody's memory, large enough for a copy to be caught in the
 * middle.
 */
enum { LOW_SIZE = 160 << 20, HIGH_SIZE = 4 << 20 };
static const uint64_t border = LOW_SIZE;           /* between the blocks */
static const uint64_t hole = LOW_SIZE + HIGH_SIZE; /* behind the second */

/* ---- an interrupt controller that counts */

struct counting_chip {
    struct irq_chip chip;
    atomic_int level[32];
    atomic_uint raised;
    _Atomic uint64_t address; /* of the last MSI */
    _Atomic uint32_t data;
};

static int chip_set_level(struct irq_chip *chip, uint32_t gsi, bool level)
{
    struct counting_chip *counting = (struct counting_chip *)chip;
    assert_true(gsi < 32);
    atomic_store(&counting->level[gsi], level);
    return 0;
}

static int chip_msi_add(struct irq_chip *chip, struct msi_route *route)
{
    (void)chip;
    route->added = true;
    return 0;
}

static void chip_msi_remove(struct irq_chip *chip, struct msi_route *route)
{
    (void)chip;
    route->added = false;
    route->routed = false;
}

static int chip_msi_route(struct irq_chip *chip, struct msi_route *route,
                          const struct msi_message *message)
{
    (void)chip;
    route->routed = message != NULL;
    if (message) {
        route->message = *message;
    }
    return 0;
}

static void chip_msi_raise(struct irq_chip *chip, struct msi_route *route)
{
    struct counting_chip *counting = (struct counting_chip *)chip;
    assert_true(route->routed);
    atomic_store(&counting->address, route->message.address);
    atomic_store(&counting->data, route->message.data);
    atomic_fetch_add(&counting->raised, 1);
}

static const struct irq_chip_ops counting_ops = {
    .set_level = chip_set_level,
    .msi_add = chip_msi_add,
    .msi_remove = chip_msi_remove,
    .msi_route = chip_msi_route,
    .msi_raise = chip_msi_raise,
};

/* ---- a thread that cannot be created */

static atomic_bool threads_fail;

/* Stands in front of the C library's, for the device as well. */
int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *),
                   void *argument)
{
    static int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    if (atomic_load(&threads_fail)) {
        return EAGAIN;
    }
    if (!real) {
        *(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
    }
    return real(thread, attributes, start, argument);
}

static unsigned count_threads(void)
{
    unsigned count = 0;
    DIR *dir = opendir("/proc/self/task");
    assert_non_null(dir);
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        count += entry->d_name[0] != '.';
    }
    closedir(dir);
    return count;
}

/* A thread that has been told to leave is gone soon: wait for at most five seconds. */
static void wait_for_threads(unsigned expected)
{
    for (int i = 0; i < 5000 && count_threads() != expected; i++) {
        usleep(1000);
    }
    assert_int_equal(count_threads(), expected);
}

/* ---- a machine with one engine */

struct machine {
    struct guest_memory memory;
    struct bus mmio;
    struct bus pio;
    struct bus_cursor cursor;
    struct counting_chip irq;
    struct pci_host host;
    struct pci_device *device;
    unsigned threads; /* before the engine had one */
};

static void config_write(struct machine *machine, unsigned reg, unsigned size, uint32_t value)
{
    pci_config_write(machine->device, reg, size, value);
}

static void set_command(struct machine *machine, uint16_t command)
{
    config_write(machine, PCI_COMMAND, 2, command);
}

/* What firmware and pci_enable_device() do; again after a reset. */
static void enable_device(struct machine *machine)
{
    config_write(machine, PCI_BASE_ADDRESS_0, 4, BAR);
    set_command(machine, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

static struct machine *new_machine(const char *inline_max)
{
    struct error err = {0};
    struct machine *machine = calloc(1, sizeof(*machine));
    assert_non_null(machine);
    machine->threads = count_threads();
    machine->irq.chip.ops = &counting_ops;
    assert_int_equal(guest_memory_add(&machine->memory, gpa(0), LOW_SIZE, false, &err), 0);
    assert_int_equal(guest_memory_add(&machine->memory, gpa(border), HIGH_SIZE, false, &err), 0);
    assert_int_equal(bus_init(&machine->mmio, "mmio", UINT64_MAX), 0);
    assert_int_equal(bus_init(&machine->pio, "pio", 0xffff), 0);
    struct pci_host_config config = {
        .mmio = &machine->mmio,
        .pio = &machine->pio,
        .irq = &machine->irq.chip,
        .memory = &machine->memory,
        .intx_gsi = {INTA_0, INTA_0 + 1, INTA_0 + 2, INTA_0 + 3},
        .ecam_base = 0xb0000000,
        .ecam_buses = 256,
        .has_cf8 = true,
    };
    assert_int_equal(pci_host_init(&machine->host, &config, &err), 0);
    struct property_value values[] = {{"inline-max", inline_max}};
    if (pci_host_create_device(&machine->host, &dma_engine_type, values, inline_max ? 1 : 0,
                               "--dma-engine", &err) < 0) {
        fail_msg("%s", err.text);
    }
    pci_host_reset(&machine->host);
    machine->device = pci_host_find(&machine->host, 0, SLOT);
    assert_non_null(machine->device);
    bus_cursor_init(&machine->cursor, &machine->mmio);
    enable_device(machine);
    return machine;
}

static void free_machine(struct machine *machine)
{
    pci_host_destroy(&machine->host);
    wait_for_threads(machine->threads);
    bus_cursor_destroy(&machine->cursor);
    bus_destroy(&machine->mmio);
    bus_destroy(&machine->pio);
    guest_memory_destroy(&machine->memory);
    free(machine);
}

static int setup(void **state)
{
    *state = new_machine(NULL);
    return 0;
}

/* All copies on the engine's thread. */
static int setup_thread(void **state)
{
    *state = new_machine("0");
    return 0;
}

static int teardown(void **state)
{
    free_machine(*state);
    return 0;
}

static uint64_t reg_read(struct machine *machine, unsigned offset, unsigned size)
{
    uint64_t value = bus_read(&machine->cursor, BAR + offset, size);
    return size == 8 ? value : value & (((uint64_t)1 << size * 8) - 1);
}

static void reg_write(struct machine *machine, unsigned offset, unsigned size, uint64_t value)
{
    bus_write(&machine->cursor, BAR + offset, size, value);
}

static uint32_t status(struct machine *machine)
{
    return (uint32_t)reg_read(machine, DMA_ENGINE_STATUS, 4);
}

static uint32_t error_code(struct machine *machine)
{
    return (uint32_t)reg_read(machine, DMA_ENGINE_ERROR, 4);
}

static void start(struct machine *machine, uint64_t src, uint64_t dst, uint32_t length)
{
    reg_write(machine, DMA_ENGINE_SRC, 8, src);
    reg_write(machine, DMA_ENGINE_DST, 8, dst);
    reg_write(machine, DMA_ENGINE_LEN_BYTES, 4, length);
    reg_write(machine, DMA_ENGINE_CTRL, 4, DMA_ENGINE_CTRL_START);
}

/* Poll until the copy has ended; fails after half a minute. */
static uint32_t wait_done(struct machine *machine)
{
    for (int i = 0; i < 300000; i++) {
        uint32_t now = status(machine);
        if (now & DMA_ENGINE_STATUS_DONE) {
            return now;
        }
        usleep(100);
    }
    fail_msg("the copy never ended");
    return 0;
}

static uint32_t copy(struct machine *machine, uint64_t src, uint64_t dst, uint32_t length)
{
    start(machine, src, dst, length);
    return wait_done(machine);
}

/* RAM at a guest physical address; the range must lie in one block. */
static uint8_t *ram(struct machine *machine, uint64_t address, uint64_t length)
{
    uint8_t *host = guest_memory_range(&machine->memory, gpa(address), length);
    assert_non_null(host);
    return host;
}

/* A small generator with a seed, so that a failure can be repeated. */
static uint32_t random_state = 1;

static uint32_t random_u32(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state;
}

static void fill(uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        bytes[i] = (uint8_t)random_u32();
    }
}

/* ---- registers */

static void test_identity(void **state)
{
    struct machine *machine = *state;
    struct pci_device *device = machine->device;
    assert_int_equal(pci_config_read(device, 0x00, 4), 0x34561234);
    assert_int_equal(pci_config_read(device, 0x08, 4), 0x00ff0010);
    assert_int_equal(pci_config_read(device, 0x2c, 4), 0x11001af4);
    assert_int_equal(pci_config_read(device, 0x3d, 1), 1);
    assert_int_equal(pci_config_read(device, 0x34, 1), 0xe0);        /* Express first */
    assert_int_equal(pci_config_read(device, 0xe0, 2), 0x4010);      /* then MSI at 0x40 */
    assert_int_equal(pci_config_read(device, 0xe2, 2) & 0xff, 0x92); /* v2, RC integrated */
    assert_int_equal(pci_config_read(device, 0x40, 4),
                     0x00800005); /* 64-bit, one vector, no mask */
    set_command(machine, 0);
    config_write(machine, PCI_BASE_ADDRESS_0, 4, 0xffffffff);
    assert_int_equal(pci_config_read(device, PCI_BASE_ADDRESS_0, 4), 0xffffc000);
}

static void test_registers_after_reset(void **state)
{
    struct machine *machine = *state;
    for (unsigned offset = 0x1000; offset < 0x1048; offset += 8) {
        uint64_t expected = offset == DMA_ENGINE_VERSION ? 0x0040000000000001 : 0;
        assert_int_equal(reg_read(machine, offset, 8), expected);
        assert_int_equal(reg_read(machine, offset, 4), (uint32_t)expected);
        assert_int_equal(reg_read(machine, offset + 4, 4), expected >> 32);
    }
}

static void test_malformed_accesses(void **state)
{
    struct machine *machine = *state;
    for (unsigned offset = 0xff8; offset < 0x1050; offset++) {
        assert_int_equal(reg_read(machine, offset, 1), 0xff);
        assert_int_equal(reg_read(machine, offset, 2), 0xffff);
        if (offset % 4) {
            assert_int_equal(reg_read(machine, offset, 4), 0xffffffff);
        }
        if (offset % 8) {
            assert_int_equal(reg_read(machine, offset, 8), UINT64_MAX);
        }
        reg_write(machine, offset, 1, 1);
        reg_write(machine, offset, 2, 1);
        if (offset % 4) {
            reg_write(machine, offset, 4, 0x01010101);
        }
        if (offset % 8) {
            reg_write(machine, offset, 8, 0x0101010101010101);
        }
    }
    assert_int_equal(status(machine), 0);
    assert_int_equal(reg_read(machine, DMA_ENGINE_INTX_ENABLE, 8), 0);
    assert_int_equal(copy(machine, 0, 4096, 16), STATUS_OK); /* and the engine is none the worse */
}

static void test_reserved_offsets(void **state)
{
    struct machine *machine = *state;
    for (unsigned offset = 0; offset < DMA_ENGINE_BAR0_SIZE; offset += 8) {
        if (offset >= 0x1000 && offset < 0x1048) {
            continue;
        }
        reg_write(machine, offset, 8, UINT64_MAX);
        reg_write(machine, offset + 4, 4, UINT32_MAX);
        assert_int_equal(reg_read(machine, offset, 8), 0);
        assert_int_equal(reg_read(machine, offset + 4, 4), 0);
    }
    assert_int_equal(status(machine), 0);
}

static void test_read_only_registers(void **state)
{
    struct machine *machine = *state;
    reg_write(machine, DMA_ENGINE_ERROR, 8, UINT64_MAX);
    reg_write(machine, DMA_ENGINE_FAULT_ADDR, 8, UINT64_MAX);
    reg_write(machine, DMA_ENGINE_VERSION, 8, UINT64_MAX);
    reg_write(machine, DMA_ENGINE_STATUS, 4, UINT32_MAX);
    reg_write(machine, DMA_ENGINE_CTRL, 8, UINT64_MAX << 1); /* every bit but START */
    reg_write(machine, DMA_ENGINE_INT_STATUS, 8, UINT64_MAX);
    test_registers_after_reset(state);
    reg_write(machine, DMA_ENGINE_INTX_ENABLE, 4, UINT32_MAX);
    assert_int_equal(reg_read(machine, DMA_ENGINE_INTX_ENABLE, 8), 1);
    reg_write(machine, DMA_ENGINE_INTX_ENABLE + 4, 4, 0); /* the other half changes nothing */
    assert_int_equal(reg_read(machine, DMA_ENGINE_INTX_ENABLE, 8), 1);
    reg_write(machine, DMA_ENGINE_INTX_ENABLE, 8, 0);
    assert_int_equal(reg_read(machine, DMA_ENGINE_INTX_ENABLE, 8), 0);
}

/* One way to write the four registers. `wide` bit n: register n by 8 bytes, else by halves. */
static void program(struct machine *machine, unsigned wide, bool high_first, uint64_t src,
                    uint64_t dst, uint32_t length)
{
    const uint64_t values[] = {src, dst, (uint64_t)length << 32 | 0xdeadbeef, 1};
    for (unsigned i = 0; i < 4; i++) {
        unsigned offset = DMA_ENGINE_SRC + 8 * i;
        if (wide & 1u << i) {
            reg_write(machine, offset, 8, values[i]);
            continue;
        }
        reg_write(machine, offset + (high_first ? 4 : 0), 4,
                  high_first ? values[i] >> 32 : (uint32_t)values[i]);
        reg_write(machine, offset + (high_first ? 0 : 4), 4,
                  high_first ? (uint32_t)values[i] : values[i] >> 32);
    }
}

static void test_every_width_and_order(void **state)
{
    struct machine *machine = *state;
    uint8_t *src = ram(machine, 0x1000, 256);
    uint8_t *dst = ram(machine, 0x2000, 256);
    for (unsigned way = 0; way < 32; way++) {
        fill(src, 256);
        uint8_t filler = src[0] ^ 0xff;
        memset(dst, filler, 256);
        program(machine, way & 15, way & 16, 0x1000, 0x2000, 100 + way);
        assert_int_equal(status(machine), STATUS_OK);
        assert_memory_equal(dst, src, 100 + way);
        assert_int_equal(dst[100 + way], filler);
    }
}

static void test_halves_keep_the_other_half(void **state)
{
    struct machine *machine = *state;
    reg_write(machine, DMA_ENGINE_SRC, 8, 0x1111111122222222);
    reg_write(machine, DMA_ENGINE_SRC, 4, 0x33333333);
    reg_write(machine, DMA_ENGINE_DST, 8, 0);
    reg_write(machine, DMA_ENGINE_LEN, 8, (uint64_t)1 << 32);
    reg_write(machine, DMA_ENGINE_CTRL, 8, 1);
    assert_int_equal(reg_read(machine, DMA_ENGINE_FAULT_ADDR, 8), 0x1111111133333333);
    reg_write(machine, DMA_ENGINE_SRC + 4, 4, 0x44444444);
    reg_write(machine, DMA_ENGINE_CTRL, 8, 1);
    assert_int_equal(reg_read(machine, DMA_ENGINE_FAULT_ADDR, 8), 0x4444444433333333);
    assert_int_equal(reg_read(machine, DMA_ENGINE_FAULT_ADDR + 4, 4), 0x44444444);
}

/* The page's table and the code's table say the same. */
static void test_reference_page(void **state)
{
    (void)state;
    const struct register_block *block = &dma_engine_registers;
    FILE *page = fopen(SOURCE_DIR "/docs/dma-engine.md", "r");
    assert_non_null(page);
    char line[1024];
    size_t found = 0;
    while (fgets(line, sizeof(line), page)) {
        unsigned offset;
        char name[32];
        char access[8];
        unsigned bits;
        if (sscanf(line, "| 0x%x | `%31[A-Z_]` | %7s %u |", &offset, name, access, &bits) != 4) {
            continue;
        }
        assert_true(found < block->count);
        const struct register_desc *desc = &block->registers[found++];
        assert_string_equal(name, desc->name);
        assert_int_equal(offset, desc->offset);
        assert_int_equal(bits, desc->width * 8);
        assert_string_equal(access, register_access_name(desc->access));
    }
    fclose(page);
    assert_int_equal(found, block->count);
}

static void test_register_table(void **state)
{
    (void)state;
    const struct register_block *block = &dma_engine_registers;
    for (uint64_t offset = 0; offset < DMA_ENGINE_BAR0_SIZE; offset++) {
        const struct register_desc *expected = NULL;
        for (size_t i = 0; i < block->count; i++) {
            const struct register_desc *desc = &block->registers[i];
            if (offset >= desc->offset && offset < desc->offset + desc->width) {
                expected = desc;
            }
        }
        assert_ptr_equal(register_find(block, offset), expected);
        assert_ptr_equal(register_search(block, offset), expected);
        assert_string_equal(register_name(block, offset), expected ? expected->name : "reserved");
    }
}

/* ---- copies */

/* Reference: guest RAM from 0 to the hole as one array. */
static void snapshot(struct machine *machine, uint64_t base, uint8_t *to, size_t length)
{
    assert_int_equal(guest_memory_read(&machine->memory, gpa(base), to, length), 0);
}

static uint32_t below(uint32_t limit)
{
    return random_u32() % limit;
}

/* Random copies inside a window across the border of the two RAM blocks, half of them overlapping.
 */
static void random_copies(struct machine *machine, unsigned count, uint32_t largest)
{
    uint32_t window = 4 * largest;
    uint64_t base = border - window / 2;
    uint8_t *expected = malloc(window);
    uint8_t *actual = malloc(window);
    assert_non_null(expected);
    assert_non_null(actual);
    fill(expected, window);
    assert_int_equal(guest_memory_write(&machine->memory, gpa(base), expected, window), 0);
    for (unsigned i = 0; i < count; i++) {
        uint32_t length = 1 + below(largest);
        uint32_t src = below(window - length + 1);
        uint32_t dst = below(window - length + 1);
        if (i % 2) { /* near the source, on either side */
            uint32_t near = src + below(2 * 64) - 64;
            dst = near <= window - length ? near : src;
        }
        memmove(expected + dst, expected + src, length);
        assert_int_equal(copy(machine, base + src, base + dst, length), STATUS_OK);
        snapshot(machine, base, actual, window);
        if (memcmp(expected, actual, window) != 0) {
            fail_msg("copy %u: 0x%x bytes from 0x%x to 0x%x", i, length, src, dst);
        }
    }
    free(expected);
    free(actual);
}

static void test_random_small_copies(void **state)
{
    random_copies(*state, 600, 16 << 10);
}

static void test_random_large_copies(void **state)
{
    random_copies(*state, 40, 700 << 10); /* several chunks, and the border within them */
}

static void test_overlap(void **state)
{
    struct machine *machine = *state;
    static const int distances[] = {-300000, -4097, -4096, -63, -1, 0, 1, 63, 4096, 4097, 300000};
    enum { LENGTH = 600000, WINDOW = LENGTH + 600000 };
    uint8_t *expected = malloc(WINDOW);
    assert_non_null(expected);
    for (size_t i = 0; i < sizeof(distances) / sizeof(distances[0]); i++) {
        uint8_t *window = ram(machine, 16 * MIB, WINDOW);
        fill(window, WINDOW);
        memcpy(expected, window, WINDOW);
        memmove(expected + 300000 + distances[i], expected + 300000, LENGTH);
        assert_int_equal(copy(machine, 16 * MIB + 300000,
                              16 * MIB + 300000 + (uint64_t)(int64_t)distances[i], LENGTH),
                         STATUS_OK);
        assert_memory_equal(window, expected, WINDOW);
    }
    free(expected);
}

/* Large enough to be streamed past the cache, at odd addresses, overlapping or not. */
static void test_streamed_copy(void **state)
{
    struct machine *machine = *state;
    enum { LENGTH = (17 << 20) + 5 };
    uint8_t *src = ram(machine, MIB + 3, LENGTH);
    uint8_t *expected = malloc(LENGTH);
    assert_non_null(expected);
    fill(src, LENGTH);
    memcpy(expected, src, LENGTH);
    assert_int_equal(copy(machine, MIB + 3, 32 * MIB + 1, LENGTH), STATUS_OK);
    assert_memory_equal(ram(machine, 32 * MIB + 1, LENGTH), expected, LENGTH);
    assert_int_equal(copy(machine, MIB + 3, MIB, LENGTH), STATUS_OK);
    assert_memory_equal(ram(machine, MIB, LENGTH), expected, LENGTH);
    free(expected);
}

static void test_large_copy_is_asynchronous(void **state)
{
    struct machine *machine = *state;
    enum { LENGTH = 64 << 20 };
    uint8_t *src = ram(machine, 0, LENGTH);
    uint8_t *dst = ram(machine, LENGTH, LENGTH);
    fill(src, MIB);
    fill(src + LENGTH - MIB, MIB);
    start(machine, 0, LENGTH, LENGTH);
    assert_int_equal(status(machine), STATUS_RUNNING);
    assert_int_equal(reg_read(machine, DMA_ENGINE_CTRL, 8), (uint64_t)STATUS_RUNNING << 32);
    assert_int_equal(wait_done(machine), STATUS_OK);
    assert_int_equal(error_code(machine), DMA_ENGINE_ERROR_NONE);
    assert_int_equal(memcmp(src, dst, LENGTH), 0);
}

static void test_small_copy_is_done_at_once(void **state)
{
    struct machine *machine = *state;
    start(machine, 0, 8 * MIB, 4 << 20); /* exactly the threshold */
    assert_int_equal(status(machine), STATUS_OK);
    assert_int_equal(count_threads(), machine->threads); /* and no thread was made for it */
    start(machine, 0, 8 * MIB, (4 << 20) + 1);
    wait_done(machine);
    assert_int_equal(count_threads(), machine->threads + 1);
}

static void test_latched_at_start(void **state)
{
    struct machine *machine = *state;
    enum { LENGTH = 48 << 20 };
    fill(ram(machine, 0, MIB), MIB);
    memset(ram(machine, LENGTH, LENGTH), 0, LENGTH);
    start(machine, 0, LENGTH, LENGTH);
    reg_write(machine, DMA_ENGINE_SRC, 8, hole);
    reg_write(machine, DMA_ENGINE_DST, 8, hole);
    reg_write(machine, DMA_ENGINE_LEN, 8, 0);
    assert_int_equal(wait_done(machine), STATUS_OK);
    assert_int_equal(memcmp(ram(machine, 0, LENGTH), ram(machine, LENGTH, LENGTH), LENGTH), 0);
    reg_write(machine, DMA_ENGINE_CTRL, 4, 1); /* what was written meanwhile is for this one */
    assert_int_equal(wait_done(machine), STATUS_FAILED);
    assert_int_equal(error_code(machine), DMA_ENGINE_ERROR_LENGTH);
}

static void test_busy(void **state)
{
    struct machine *machine = *state;
    enum { LENGTH = 64 << 20 };
    memset(ram(machine, 150 * MIB, 16), 0x5a, 16);
    start(machine, 0, LENGTH, LENGTH);
    for (unsigned i = 1; i <= 3; i++) {
        start(machine, 0, 150 * MIB, 16);
        assert_int_equal(reg_read(machine, DMA_ENGINE_BUSY_COUNT, 4), i);
    }
    assert_int_equal(status(machine), STATUS_RUNNING);
    assert_int_equal(wait_done(machine), STATUS_OK);
    assert_int_equal(reg_read(machine, DMA_ENGINE_ERROR, 8), (uint64_t)3 << 32);
    assert_int_equal(ram(machine, 150 * MIB, 16)[0], 0x5a);
    assert_int_equal(copy(machine, 0, 150 * MIB, 16), STATUS_OK);
    assert_int_equal(reg_read(machine, DMA_ENGINE_ERROR, 8), 0); /* counted since the last start */
}

static void enable_msi(struct machine *machine, bool on)
{
    config_write(machine, MSI_CAP + PCI_MSI_ADDRESS_LO, 4, 0xfee01000);
    config_write(machine, MSI_CAP + PCI_MSI_ADDRESS_HI, 4, 0);
    config_write(machine, MSI_CAP + PCI_MSI_DATA_64, 2, 0x4021);
    config_write(machine, MSI_CAP + PCI_MSI_FLAGS, 2, on ? PCI_MSI_FLAGS_ENABLE : 0);
}

struct racer {
    struct machine *machine;
    pthread_barrier_t barrier;
};

static void *press_start(void *opaque)
{
    struct racer *racer = opaque;
    struct bus_cursor cursor;
    bus_cursor_init(&cursor, &racer->machine->mmio);
    pthread_barrier_wait(&racer->barrier);
    bus_write(&cursor, BAR + DMA_ENGINE_CTRL, 4, 1);
    bus_cursor_destroy(&cursor);
    return NULL;
}

/* Wait until `count` MSIs have come: DONE is seen before the MSI is sent. */
static void wait_for_msi(struct machine *machine, unsigned count)
{
    for (int i = 0; i < 5000 && atomic_load(&machine->irq.raised) < count; i++) {
        usleep(1000);
    }
    assert_int_equal(atomic_load(&machine->irq.raised), count);
}

/*
 * Two vCPUs press START in the same moment. Each start is either refused and counted, or ends in
 * one MSI; on a busy machine the second may come so late that the first copy has ended.
 */
static void test_two_starts_at_once(void **state)
{
    struct machine *machine = *state;
    struct racer racer = {.machine = machine};
    unsigned all_refused = 0;
    enable_msi(machine, true);
    pthread_barrier_init(&racer.barrier, NULL, 2);
    for (unsigned round = 1; round <= 20; round++) {
        reg_write(machine, DMA_ENGINE_SRC, 8, 0);
        reg_write(machine, DMA_ENGINE_DST, 8, 80 * MIB);
        reg_write(machine, DMA_ENGINE_LEN_BYTES, 4, 64 << 20);
        pthread_t threads[2];
        for (int i = 0; i < 2; i++) {
            assert_int_equal(pthread_create(&threads[i], NULL, press_start, &racer), 0);
        }
        for (int i = 0; i < 2; i++) {
            pthread_join(threads[i], NULL);
        }
        assert_int_equal(wait_done(machine), STATUS_OK);
        all_refused += (unsigned)reg_read(machine, DMA_ENGINE_BUSY_COUNT, 4);
        wait_for_msi(machine, 2 * round - all_refused);
    }
    pthread_barrier_destroy(&racer.barrier);
    assert_in_range(all_refused, 1, 20);
}

/* ---- errors */

struct bad_copy {
    uint64_t src;
    uint64_t dst;
    uint32_t length;
    enum dma_engine_error error;
    uint64_t fault_addr;
};

static void check_bad_copies(struct machine *machine, const struct bad_copy *copies, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(copy(machine, copies[i].src, copies[i].dst, copies[i].length),
                         STATUS_FAILED);
        assert_int_equal(error_code(machine), copies[i].error);
        assert_int_equal(reg_read(machine, DMA_ENGINE_FAULT_ADDR, 8), copies[i].fault_addr);
        assert_int_equal(reg_read(machine, DMA_ENGINE_INT_STATUS, 8), 1);
    }
    assert_int_equal(copy(machine, 0, MIB, 4096), STATUS_OK); /* a good one wipes it all */
    assert_int_equal(reg_read(machine, DMA_ENGINE_ERROR, 8), 0);
    assert_int_equal(reg_read(machine, DMA_ENGINE_FAULT_ADDR, 8), 0);
}

static void test_no_memory(void **state)
{
    const uint64_t start_reg = BAR + DMA_ENGINE_CTRL;
    const struct bad_copy copies[] = {
        {hole, 0, 16, DMA_ENGINE_ERROR_NO_MEMORY, hole},
        {0, hole, 16, DMA_ENGINE_ERROR_NO_MEMORY, hole},
        {hole - 100, 0, 200, DMA_ENGINE_ERROR_NO_MEMORY, hole}, /* runs out of RAM on the way */
        {0, hole - 100, 200, DMA_ENGINE_ERROR_NO_MEMORY, hole},
        {hole - MIB, 0, 2 << 20, DMA_ENGINE_ERROR_NO_MEMORY, hole},
        {BAR, 0, 8, DMA_ENGINE_ERROR_NO_MEMORY, BAR},               /* from a BAR */
        {0, start_reg, 8, DMA_ENGINE_ERROR_NO_MEMORY, start_reg},   /* to its own START */
        {0xb0000000, 0, 4, DMA_ENGINE_ERROR_NO_MEMORY, 0xb0000000}, /* from ECAM */
        {UINT64_MAX, 0, 1, DMA_ENGINE_ERROR_NO_MEMORY, UINT64_MAX}, /* the last byte there is */
    };
    memset(ram(*state, 0, 4096), 1, 4096); /* START, if it were written */
    check_bad_copies(*state, copies, sizeof(copies) / sizeof(copies[0]));
}

static void test_length(void **state)
{
    const struct bad_copy copies[] = {
        {0, MIB, 0, DMA_ENGINE_ERROR_LENGTH, 0},
        {UINT64_MAX, 0, 2, DMA_ENGINE_ERROR_LENGTH, 0},
        {0, UINT64_MAX, 2, DMA_ENGINE_ERROR_LENGTH, 0},
        {UINT64_MAX - 0xfffffffd, 0, UINT32_MAX, DMA_ENGINE_ERROR_LENGTH, 0},
    };
    check_bad_copies(*state, copies, sizeof(copies) / sizeof(copies[0]));
}

static void test_bytes_before_the_fault_are_copied(void **state)
{
    struct machine *machine = *state;
    uint8_t *src = ram(machine, hole - 5000, 5000);
    uint8_t *dst = ram(machine, 4096, 8192);
    fill(src, 5000);
    memset(dst, 0, 8192);
    assert_int_equal(copy(machine, hole - 5000, 4096, 8192), STATUS_FAILED);
    assert_memory_equal(dst, src, 5000);
    assert_int_equal(dst[5000], 0);
}

static void test_bus_master_off(void **state)
{
    struct machine *machine = *state;
    uint8_t *dst = ram(machine, MIB, 4096);
    memset(dst, 0x5a, 4096);
    memset(ram(machine, 0, 4096), 1, 4096);
    set_command(machine, PCI_COMMAND_MEMORY);
    assert_int_equal(copy(machine, 0, MIB, 4096), STATUS_FAILED);
    assert_int_equal(error_code(machine), DMA_ENGINE_ERROR_BUS_MASTER);
    assert_int_equal(dst[0], 0x5a);
    set_command(machine, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    assert_int_equal(copy(machine, 0, MIB, 4096), STATUS_OK);
}

/*
 * Look at a byte that the engine is about to write, as a guest may: that is a data race, on
 * purpose, which ThreadSanitizer is not to report.
 */
__attribute__((no_sanitize_thread)) static void wait_for_byte(const volatile uint8_t *byte,
                                                              uint8_t value)
{
    for (long i = 0; *byte != value; i++) {
        if (i == 2000000000) {
            fail_msg("the copy never began");
        }
    }
}

enum { LONG_COPY = 76 << 20 };

/* Start a long copy and return when its first bytes have arrived: the destination's RAM. */
static uint8_t *start_long_copy(struct machine *machine)
{
    uint8_t *dst = ram(machine, LONG_COPY, LONG_COPY);
    memset(ram(machine, 0, LONG_COPY), 0xa5, LONG_COPY);
    memset(dst, 0, LONG_COPY);
    start(machine, 0, LONG_COPY, LONG_COPY);
    wait_for_byte(dst, 0xa5);
    return dst;
}

/* How many bytes from the start are `value`; all behind them must be 0. */
static size_t copied_bytes(const uint8_t *dst)
{
    size_t count = 0;
    while (count < LONG_COPY && dst[count] == 0xa5) {
        count++;
    }
    for (size_t i = count; i < LONG_COPY; i++) {
        assert_int_equal(dst[i], 0);
    }
    return count;
}

/*
 * Start a long copy and stop it midway by `stop`. On a busy machine the copy may have ended before
 * this thread runs again: then once more. Returns how many bytes had been copied.
 */
static size_t stop_midway(struct machine *machine, void (*stop)(struct machine *machine))
{
    for (int attempt = 0; attempt < 100; attempt++) {
        uint8_t *dst = start_long_copy(machine);
        stop(machine);
        size_t copied = copied_bytes(dst);
        if (copied < LONG_COPY) {
            assert_true(copied > 0);
            return copied;
        }
        enable_device(machine);
    }
    fail_msg("the copy could not be stopped in 100 attempts");
    return 0;
}

/* Nothing moves any more, also after the time that a thread would have needed. */
static void check_stopped(struct machine *machine, size_t copied)
{
    wait_for_threads(machine->threads);
    usleep(10000);
    assert_int_equal(copied_bytes(ram(machine, LONG_COPY, LONG_COPY)), copied);
}

static void switch_bus_master_off(struct machine *machine)
{
    set_command(machine, PCI_COMMAND_MEMORY);
    wait_done(machine);
}

static void test_bus_master_off_midway(void **state)
{
    struct machine *machine = *state;
    size_t copied = stop_midway(machine, switch_bus_master_off);
    assert_int_equal(status(machine), STATUS_FAILED);
    assert_int_equal(error_code(machine), DMA_ENGINE_ERROR_BUS_MASTER);
    assert_int_equal(reg_read(machine, DMA_ENGINE_FAULT_ADDR, 8), copied);
}

/* ---- reset and the thread */

static void reset_device(struct machine *machine)
{
    pci_device_reset(machine->device, "test");
}

static void test_reset_stops_a_copy(void **state)
{
    struct machine *machine = *state;
    for (int round = 0; round < 3; round++) {
        check_stopped(machine, stop_midway(machine, reset_device));
        enable_device(machine);
        assert_int_equal(reg_read(machine, DMA_ENGINE_CTRL, 8), 0);
        test_registers_after_reset(state);
        assert_int_equal(copy(machine, 0, 16 * MIB, 5 << 20), STATUS_OK); /* as good as new */
    }
}

/* Function Level Reset by the guest, PCIe 5.0 7.5.3.4: bit 15 of Device Control. */
static void function_level_reset(struct machine *machine)
{
    config_write(machine, DMA_ENGINE_EXPRESS_CAP + PCI_EXP_DEVCTL, 2, PCI_EXP_DEVCTL_BCR_FLR);
}

static void test_flr_stops_a_copy(void **state)
{
    struct machine *machine = *state;
    assert_true(pci_config_read(machine->device, DMA_ENGINE_EXPRESS_CAP + PCI_EXP_DEVCAP, 4) &
                PCI_EXP_DEVCAP_FLR);
    check_stopped(machine, stop_midway(machine, function_level_reset));
    enable_device(machine);
    assert_int_equal(status(machine), 0);
}

/* The thread has been told to leave, and a new copy comes before or after it has. */
static void test_start_after_reset_at_once(void **state)
{
    struct machine *machine = *state;
    uint8_t *src = ram(machine, 0, MIB);
    for (unsigned round = 0; round < 200; round++) {
        start(machine, 0, LONG_COPY, LONG_COPY);
        pci_device_reset(machine->device, "test");
        enable_device(machine);
        memset(src, (int)round, MIB);
        assert_int_equal(copy(machine, 0, 2 * MIB, MIB), STATUS_OK);
        assert_memory_equal(ram(machine, 2 * MIB, MIB), src, MIB);
        assert_true(count_threads() <= machine->threads + 1);
        if (round % 8 == 0) {
            pci_device_reset(machine->device, "test");
            enable_device(machine);
            wait_for_threads(machine->threads);
        }
    }
}

static void test_destroy_during_copy(void **state)
{
    (void)state;
    for (int round = 0; round < 3; round++) {
        struct machine *machine = new_machine(NULL);
        start_long_copy(machine);
        free_machine(machine); /* checks that no thread is left */
    }
}

static void test_no_thread_to_be_had(void **state)
{
    struct machine *machine = *state;
    uint8_t *src = ram(machine, 0, 8 * MIB);
    fill(src, MIB);
    atomic_store(&threads_fail, true);
    start(machine, 0, 16 * MIB, 8 << 20);
    atomic_store(&threads_fail, false);
    assert_int_equal(status(machine), STATUS_OK); /* done by the vCPU */
    assert_int_equal(count_threads(), machine->threads);
    assert_int_equal(memcmp(ram(machine, 16 * MIB, 8 * MIB), src, 8 * MIB), 0);
    assert_int_equal(copy(machine, 0, 32 * MIB, 8 << 20),
                     STATUS_OK); /* and next time by a thread */
    assert_int_equal(count_threads(), machine->threads + 1);
}

/* ---- interrupts */

static int inta(struct machine *machine)
{
    return atomic_load(&machine->irq.level[INTA_0]);
}

static void test_no_interrupt_unless_asked(void **state)
{
    struct machine *machine = *state;
    assert_int_equal(copy(machine, 0, MIB, 64), STATUS_OK);
    assert_int_equal(reg_read(machine, DMA_ENGINE_INT_STATUS, 4), 1);
    assert_int_equal(inta(machine), 0);
    assert_int_equal(atomic_load(&machine->irq.raised), 0);
}

static void test_msi(void **state)
{
    struct machine *machine = *state;
    enable_msi(machine, true);
    reg_write(machine, DMA_ENGINE_INTX_ENABLE, 4, 1); /* makes no difference */
    for (unsigned i = 1; i <= 5; i++) {               /* also without an acknowledge */
        assert_int_equal(copy(machine, 0, i % 2 ? MIB : hole, 64),
                         i % 2 ? STATUS_OK : STATUS_FAILED);
        assert_int_equal(atomic_load(&machine->irq.raised), i);
        assert_int_equal(inta(machine), 0);
    }
    assert_int_equal(atomic_load(&machine->irq.address), 0xfee01000);
    assert_int_equal(atomic_load(&machine->irq.data), 0x4021);
}

static void test_msi_from_the_thread(void **state)
{
    struct machine *machine = *state;
    enable_msi(machine, true);
    assert_int_equal(copy(machine, 0, 8 * MIB, 8 << 20), STATUS_OK);
    wait_for_msi(machine, 1);
}

static void test_intx(void **state)
{
    struct machine *machine = *state;
    reg_write(machine, DMA_ENGINE_INTX_ENABLE, 4, 1);
    assert_int_equal(inta(machine), 0);
    copy(machine, 0, MIB, 64);
    assert_int_equal(inta(machine), 1);
    assert_true(pci_config_read(machine->device, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
    reg_write(machine, DMA_ENGINE_INT_STATUS, 4, 0); /* writing 0 acknowledges nothing */
    reg_write(machine, DMA_ENGINE_INT_STATUS + 4, 4, 1);
    assert_int_equal(inta(machine), 1);
    copy(machine, hole, MIB, 64); /* a second, failed copy: the level stays */
    assert_int_equal(inta(machine), 1);
    reg_write(machine, DMA_ENGINE_INT_STATUS, 4, 1);
    assert_int_equal(inta(machine), 0);
    assert_int_equal(reg_read(machine, DMA_ENGINE_INT_STATUS, 8), 0);
    assert_int_equal(atomic_load(&machine->irq.raised), 0);
}

static void test_intx_enable_is_a_gate(void **state)
{
    struct machine *machine = *state;
    copy(machine, 0, MIB, 64);
    assert_int_equal(inta(machine), 0);
    reg_write(machine, DMA_ENGINE_INTX_ENABLE, 8, 1); /* PENDING was there already */
    assert_int_equal(inta(machine), 1);
    reg_write(machine, DMA_ENGINE_INTX_ENABLE, 4, 0);
    assert_int_equal(inta(machine), 0);
    reg_write(machine, DMA_ENGINE_INTX_ENABLE, 4, 1);
    set_command(machine, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE);
    assert_int_equal(inta(machine), 0);
    set_command(machine, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    assert_int_equal(inta(machine), 1);
}

static void test_msi_enable_takes_intx_down(void **state)
{
    struct machine *machine = *state;
    reg_write(machine, DMA_ENGINE_INTX_ENABLE, 4, 1);
    copy(machine, 0, MIB, 64);
    assert_int_equal(inta(machine), 1);
    enable_msi(machine, true);
    assert_int_equal(inta(machine), 0);
    enable_msi(machine, false); /* still pending */
    assert_int_equal(inta(machine), 1);
    pci_device_reset(machine->device, "test");
    assert_int_equal(inta(machine), 0);
}

/* Every register has something in it, the wire is up, and then there is a reset. */
static void test_reset_clears_everything(void **state)
{
    struct machine *machine = *state;
    reg_write(machine, DMA_ENGINE_INTX_ENABLE, 4, 1);
    assert_int_equal(copy(machine, hole, MIB, 64), STATUS_FAILED);
    assert_int_equal(reg_read(machine, DMA_ENGINE_FAULT_ADDR, 8), hole);
    assert_int_equal(inta(machine), 1);
    pci_device_reset(machine->device, "test");
    assert_int_equal(inta(machine), 0);
    enable_device(machine);
    test_registers_after_reset(state);
    reg_write(machine, DMA_ENGINE_CTRL, 4, 1); /* source, destination and length are 0 as well */
    assert_int_equal(error_code(machine), DMA_ENGINE_ERROR_LENGTH);
    reg_write(machine, DMA_ENGINE_LEN_BYTES, 4, 1);
    reg_write(machine, DMA_ENGINE_CTRL, 4, 1);
    assert_int_equal(status(machine), STATUS_OK);
}

static void test_property_errors(void **state)
{
    struct machine *machine = *state;
    static const char *const bad[] = {"4G", "-1", "lots", ""};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct error err = {0};
        struct property_value values[] = {{"addr", "5"}, {"inline-max", bad[i]}};
        assert_true(pci_host_create_device(&machine->host, &dma_engine_type, values, 2,
                                           "--device dma-engine", &err) < 0);
        assert_non_null(strstr(err.text, "inline-max"));
    }
}

#define TEST(name)        cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
#define TEST_THREAD(name) cmocka_unit_test_setup_teardown(test_##name, setup_thread, teardown)
#define TEST_ALONE(name)  cmocka_unit_test(test_##name)

static void *do_nothing(void *opaque)
{
    return opaque;
}

/* A sanitizer's runtime starts a thread of its own with the program's first one: before we count.
 */
static int start_first_thread(void **state)
{
    (void)state;
    pthread_t thread;
    if (pthread_create(&thread, NULL, do_nothing, NULL) != 0) {
        return -1;
    }
    return pthread_join(thread, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(identity),
        TEST(registers_after_reset),
        TEST(malformed_accesses),
        TEST(reserved_offsets),
        TEST(read_only_registers),
        TEST(every_width_and_order),
        TEST(halves_keep_the_other_half),
        TEST_ALONE(register_table),
        TEST_ALONE(reference_page),
        TEST(random_small_copies),
        TEST(random_large_copies),
        TEST_THREAD(random_small_copies),
        TEST_THREAD(random_large_copies),
        TEST(overlap),
        TEST_THREAD(overlap),
        TEST(streamed_copy),
        TEST(large_copy_is_asynchronous),
        TEST(small_copy_is_done_at_once),
        TEST(latched_at_start),
        TEST(busy),
        TEST(two_starts_at_once),
        TEST(no_memory),
        TEST_THREAD(no_memory),
        TEST(length),
        TEST_THREAD(length),
        TEST(bytes_before_the_fault_are_copied),
        TEST(bus_master_off),
        TEST_THREAD(bus_master_off),
        TEST(bus_master_off_midway),
        TEST(reset_stops_a_copy),
        TEST(flr_stops_a_copy),
        TEST(start_after_reset_at_once),
        TEST_THREAD(start_after_reset_at_once),
        TEST_ALONE(destroy_during_copy),
        TEST(no_thread_to_be_had),
        TEST(no_interrupt_unless_asked),
        TEST(msi),
        TEST(msi_from_the_thread),
        TEST(intx),
        TEST(intx_enable_is_a_gate),
        TEST(msi_enable_takes_intx_down),
        TEST(reset_clears_everything),
        TEST(property_errors),
    };
    return cmocka_run_group_tests(tests, start_first_thread, NULL);
}

/* SPDX-License-Identifier: MIT */
/*
 * How fast the DMA engine copies, in process and without KVM: from the START write on the bus until
 * the status reads done, against memcpy() between the same places.
 *
 * Engine and memcpy() take turns, and what counts is the median of the ratios of neighbours: so a
 * change of clock frequency, or a busy neighbour, falls on both. `best` is the ratio of the
 * shortest times: on a machine that does other things, too, the long copies' median says more of
 * those. `engine-handover` lines compare the two ways to copy, by the vCPU and by the engine's
 * thread; where they meet is where the property inline-max should be. With an argument only sizes
 * up to it (bytes, or with K, M, G) are measured.
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "devices/dma_engine.h"
#include "devices/dma_engine_regs.h"
#include "pci/pci_host.h"
#include "tests/unit/fake_irq.h"

enum { MAX_PAIRS = 2001 };
static const uint64_t largest = 256 << 20;

/* Slots, and where their BARs are put. */
enum { ENGINE, ENGINE_INLINE, ENGINE_THREAD, ENGINE_COUNT };
static const char *const slots[ENGINE_COUNT] = {"4", "5", "6"};
static const char *const inline_max[ENGINE_COUNT] = {NULL, "4095M", "0"};

struct machine {
    struct guest_memory memory;
    struct bus mmio;
    struct bus_cursor cursor;
    struct fake_irq irq; /* nothing enables an interrupt */
    struct pci_host host;
};

/* ---- the machine */

static void check(int ret, const struct error *err)
{
    if (ret < 0) {
        fprintf(stderr, "bench_engine: %s\n", err->text);
        exit(1);
    }
}

static uint64_t bar_of(int engine)
{
    return 0xe0000000 + (uint64_t)engine * DMA_ENGINE_BAR0_SIZE;
}

static void add_engine(struct machine *machine, int engine)
{
    struct error err = {0};
    struct property_value values[] = {{"addr", slots[engine]}, {"inline-max", inline_max[engine]}};
    check(pci_host_create_device(&machine->host, &dma_engine_type, values,
                                 inline_max[engine] ? 2 : 1, "dma-engine", &err),
          &err);
}

static void enable_engine(struct machine *machine, int engine)
{
    struct pci_device *device = pci_host_find(&machine->host, 0, (4 + engine) << 3);
    pci_config_write(device, PCI_BASE_ADDRESS_0, 4, bar_of(engine));
    pci_config_write(device, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

static void set_up(struct machine *machine)
{
    struct error err = {0};
    fake_irq_init(&machine->irq);
    check(guest_memory_add(&machine->memory, gpa(0), 2 * largest, false, &err), &err);
    memset(guest_memory_range(&machine->memory, gpa(0), 2 * largest), 0x5a, 2 * largest);
    check(bus_init(&machine->mmio, "mmio", UINT64_MAX), &err);
    struct pci_host_config config = {
        .mmio = &machine->mmio,
        .irq = &machine->irq.chip,
        .memory = &machine->memory,
        .ecam_base = 0xb0000000,
        .ecam_buses = 1,
    };
    check(pci_host_init(&machine->host, &config, &err), &err);
    for (int engine = 0; engine < ENGINE_COUNT; engine++) {
        add_engine(machine, engine);
    }
    pci_host_reset(&machine->host);
    for (int engine = 0; engine < ENGINE_COUNT; engine++) {
        enable_engine(machine, engine);
    }
    bus_cursor_init(&machine->cursor, &machine->mmio);
}

static void tear_down(struct machine *machine)
{
    pci_host_destroy(&machine->host);
    bus_cursor_destroy(&machine->cursor);
    bus_destroy(&machine->mmio);
    guest_memory_destroy(&machine->memory);
}

/* ---- measuring */

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/* Seconds from START to done. */
static double time_engine(struct machine *machine, int engine, uint64_t size)
{
    uint64_t bar = bar_of(engine);
    bus_write(&machine->cursor, bar + DMA_ENGINE_SRC, 8, 0);
    bus_write(&machine->cursor, bar + DMA_ENGINE_DST, 8, largest);
    bus_write(&machine->cursor, bar + DMA_ENGINE_LEN_BYTES, 4, size);
    double begin = now();
    bus_write(&machine->cursor, bar + DMA_ENGINE_CTRL, 4, DMA_ENGINE_CTRL_START);
    while ((uint32_t)bus_read(&machine->cursor, bar + DMA_ENGINE_STATUS, 4) ==
           DMA_ENGINE_STATUS_BUSY) {
        sched_yield(); /* where CPUs are short, to the engine's thread */
    }
    double taken = now() - begin;
    if ((uint32_t)bus_read(&machine->cursor, bar + DMA_ENGINE_STATUS, 4) != 1) {
        fprintf(stderr, "bench_engine: a copy of %llu bytes failed\n", (unsigned long long)size);
        exit(1);
    }
    return taken;
}

/* Seconds for memcpy() between the same places. */
static double time_memcpy(struct machine *machine, uint64_t size)
{
    uint8_t *ram = guest_memory_range(&machine->memory, gpa(0), 2 * largest);
    double begin = now();
    memcpy(ram + largest, ram, size);
    __asm__ volatile("" : : "r"(ram) : "memory"); /* or it might be left out */
    return now() - begin;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, unsigned count)
{
    qsort(values, count, sizeof(*values), compare);
    return values[count / 2];
}

/* An odd number of pairs that takes about half a second. */
static unsigned pairs_for(uint64_t size)
{
    uint64_t pairs = ((uint64_t)2 << 30) / size;
    return (unsigned)(pairs < 11 ? 11 : pairs > MAX_PAIRS ? MAX_PAIRS : pairs | 1);
}

static const char *size_name(uint64_t size)
{
    static char name[32];
    bool mib = size >= 1 << 20;
    snprintf(name, sizeof(name), "%llu%c", (unsigned long long)size >> (mib ? 20 : 10),
             mib ? 'M' : 'K');
    return name;
}

static void measure_throughput(struct machine *machine, uint64_t size)
{
    static double engine[MAX_PAIRS];
    static double copy[MAX_PAIRS];
    static double ratio[MAX_PAIRS];
    unsigned pairs = pairs_for(size);
    for (unsigned i = 0; i < pairs; i++) {
        engine[i] = time_engine(machine, ENGINE, size);
        copy[i] = time_memcpy(machine, size);
        ratio[i] = copy[i] / engine[i];
    }
    double engine_median = median(engine, pairs); /* sorts: the shortest is first */
    double copy_median = median(copy, pairs);
    printf("engine-throughput size=%s engine=%.2f GB/s memcpy=%.2f GB/s ratio=%.2f best=%.2f\n",
           size_name(size), (double)size / engine_median * 1e-9, (double)size / copy_median * 1e-9,
           median(ratio, pairs), copy[0] / engine[0]);
}

static void measure_handover(struct machine *machine, uint64_t size)
{
    static double here[MAX_PAIRS];
    static double thread[MAX_PAIRS];
    unsigned pairs = pairs_for(size);
    for (unsigned i = 0; i < pairs; i++) {
        here[i] = time_engine(machine, ENGINE_INLINE, size);
        thread[i] = time_engine(machine, ENGINE_THREAD, size);
    }
    printf("engine-handover size=%s inline=%.1f us thread=%.1f us\n", size_name(size),
           median(here, pairs) * 1e6, median(thread, pairs) * 1e6);
}

int main(int argc, char **argv)
{
    uint64_t limit = largest;
    if (argc > 2 || (argc == 2 && parse_size(argv[1], &limit) < 0)) {
        fprintf(stderr, "usage: bench_engine [LARGEST-SIZE]\n");
        return 1;
    }
    static struct machine machine;
    set_up(&machine);
    for (uint64_t size = 4 << 10; size <= limit && size <= largest; size *= 2) {
        measure_throughput(&machine, size);
    }
    for (uint64_t size = 4 << 10; size <= limit && size <= 4 << 20; size *= 2) {
        measure_handover(&machine, size);
    }
    tear_down(&machine);
    return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * What the SMMUv3 costs the device behind it, in process and without KVM.
 *
 *   bench_iommu [LARGEST-SIZE]     figures; copies of up to that size
 *   bench_iommu hit|miss COUNT     so many translations and no clock, for who counts instructions
 *
 * `iommu-translate` lines: the time of one translation by iommu_translate(), alone on its thread.
 * A miss walks four levels.
 *
 * `iommu-copy` lines: dma_copy_step() by the engine's steps, through mappings of 4 KiB, and the
 * same bytes without an IOMMU, by turns; the ratio is the median of those of neighbours. Pages are
 * `in-order`, as of a buffer that is contiguous in memory, or `scattered`, no two of them
 * neighbours; then the copy without an IOMMU is of one page after the other, too. `cold`: both
 * buffers were invalidated before the copy, as when a driver unmaps them; `warm`: they were not.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "devices/iommu/smmuv3.h"
#include "devices/iommu/smmuv3_regs.h"
#include "vmm/copy.h"
#include "vmm/dma_copy.h"
#include "vmm/property.h"

#define LARGEST (64ull << 20)
#define PAGE    4096ull

/* Guest physical: source, destination, then what the SMMU reads. */
#define SOURCE      0ull
#define DESTINATION LARGEST
#define TABLES      (2 * LARGEST)
#define TABLES_SIZE (8ull << 20)

/* I/O virtual: each layout has its source and its destination, neighbours as the others are. */
enum layout { IN_ORDER, SCATTERED, LAYOUTS };
static const char *const layout_names[LAYOUTS] = {"in-order", "scattered"};
#define IOVA_BASE           0x123400000000ull
#define IOVA_SOURCE(layout) (IOVA_BASE + 2 * (uint64_t)(layout)*LARGEST)

#define STREAMED (8ull << 20) /* copies from here on do not fill the cache, vmm/dma_copy.c */

enum { SID = 0x20, SMMU_AT = 0x9050000, STEP = 256 << 10, MAX_PAIRS = 401 };

struct machine {
    struct guest_memory memory;
    struct bus mmio;
    struct bus_cursor cursor;
    struct smmuv3 *smmu;
    struct dma_space plain;
    struct dma_space translated;
    uint64_t root;
    uint64_t queue; /* two commands */
    uint64_t next_table;
    uint32_t prod;
};

/* ---- the guest's part */

static void check(int ret, const struct error *err)
{
    if (ret < 0) {
        fprintf(stderr, "bench_iommu: %s\n", err->text);
        exit(1);
    }
}

static uint64_t *word_at(struct machine *machine, uint64_t address)
{
    return guest_memory_range(&machine->memory, gpa(address), sizeof(uint64_t));
}

static uint64_t new_table(struct machine *machine)
{
    uint64_t table = machine->next_table;
    machine->next_table += PAGE;
    if (machine->next_table > TABLES + TABLES_SIZE) {
        fprintf(stderr, "bench_iommu: too few pages for tables\n");
        exit(1);
    }
    return table;
}

static void map_page(struct machine *machine, uint64_t from, uint64_t to)
{
    uint64_t table = machine->root;
    for (unsigned shift = 39; shift > 12; shift -= 9) {
        uint64_t *word = word_at(machine, table + (from >> shift & 511) * 8);
        if (!*word) {
            *word = new_table(machine) | SMMU_TTD_VALID | SMMU_TTD_TABLE;
        }
        table = *word & SMMU_TTD_ADDRESS;
    }
    *word_at(machine, table + (from >> 12 & 511) * 8) =
        to | SMMU_TTD_VALID | SMMU_TTD_TABLE | SMMU_TTD_AF | SMMU_TTD_AP_UNPRIV | SMMU_TTD_NG;
}

/* Neither this page's neighbour nor the one after it comes next. 997 has no factor with 2^n. */
static uint64_t place(enum layout layout, uint64_t index)
{
    return layout == IN_ORDER ? index : index * 997 % (LARGEST / PAGE);
}

static void map_everything(struct machine *machine)
{
    for (int layout = 0; layout < LAYOUTS; layout++) {
        for (uint64_t i = 0; i < LARGEST / PAGE; i++) {
            uint64_t from = IOVA_SOURCE(layout) + i * PAGE;
            uint64_t to = place((enum layout)layout, i) * PAGE;
            map_page(machine, from, SOURCE + to);
            map_page(machine, from + LARGEST, DESTINATION + to);
        }
    }
}

static void set_reg(struct machine *machine, uint32_t offset, unsigned size, uint64_t value)
{
    bus_write(&machine->cursor, SMMU_AT + offset, size, value);
}

static void start_smmu(struct machine *machine)
{
    uint64_t stream_table = new_table(machine), cd = new_table(machine);
    machine->queue = new_table(machine);
    machine->root = new_table(machine);
    *word_at(machine, stream_table + SID * SMMU_STE_BYTES) =
        cd | SMMU_STE0_V | SMMU_STE_CONFIG_S1 << SMMU_STE0_CONFIG_SHIFT;
    *word_at(machine, cd) = 16 | SMMU_CD0_EPD(1) | SMMU_CD0_V | 4ull << SMMU_CD0_IPS_SHIFT |
                            SMMU_CD0_AA64 | SMMU_CD0_R | SMMU_CD0_A | 1ull << SMMU_CD0_ASID_SHIFT;
    *word_at(machine, cd + 8) = machine->root;
    set_reg(machine, SMMU_STRTAB_BASE, 8, stream_table);
    set_reg(machine, SMMU_STRTAB_BASE_CFG, 4, 6);
    set_reg(machine, SMMU_CMDQ_BASE, 8, machine->queue | 1);
    set_reg(machine, SMMU_CR0, 4, SMMU_CR0_SMMUEN | SMMU_CR0_CMDQEN);
}

/* A range of 2^n pages, at least 16: (15 + 1) << (n - 4). */
static void invalidate(struct machine *machine, uint64_t address, uint64_t size)
{
    uint64_t *command = word_at(machine, machine->queue + (machine->prod & 1) * SMMU_COMMAND_BYTES);
    uint64_t scale = (uint64_t)__builtin_ctzll(size / PAGE) - 4;
    command[0] = SMMU_CMD_TLBI_NH_VA | 15 << SMMU_CMD_NUM_SHIFT | scale << SMMU_CMD_SCALE_SHIFT |
                 1ull << SMMU_CMD_ASID_SHIFT;
    command[1] = address | 1 << SMMU_CMD_TG_SHIFT;
    machine->prod = (machine->prod + 1) & 3;
    set_reg(machine, SMMU_CMDQ_PROD, 4, machine->prod);
}

/* ---- the machine */

static void set_up(struct machine *machine)
{
    struct error err = {0};
    uint64_t size = TABLES + TABLES_SIZE;
    check(guest_memory_add(&machine->memory, gpa(0), size, false, &err), &err);
    memset(guest_memory_range(&machine->memory, gpa(0), TABLES), 0x5a, TABLES);
    check(bus_init(&machine->mmio, "mmio", UINT64_MAX), &err);
    bus_cursor_init(&machine->cursor, &machine->mmio);
    struct smmuv3_config config = {
        .bus = &machine->mmio, .base = SMMU_AT, .memory = &machine->memory};
    check(smmuv3_create(&machine->smmu, &config, &err), &err);
    machine->plain =
        (struct dma_space){.memory = &machine->memory, .bus_master = true, .requester_id = SID};
    machine->translated = (struct dma_space){.memory = &machine->memory,
                                             .iommu = smmuv3_iommu(machine->smmu),
                                             .bus_master = true,
                                             .requester_id = SID};
    machine->next_table = TABLES;
    start_smmu(machine);
    map_everything(machine);
}

static void tear_down(struct machine *machine)
{
    smmuv3_destroy(machine->smmu);
    bus_cursor_destroy(&machine->cursor);
    bus_destroy(&machine->mmio);
    guest_memory_destroy(&machine->memory);
}

/* ---- translations */

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static void translate(struct machine *machine, uint64_t address)
{
    struct iommu_translation translation;
    struct iommu *iommu = machine->translated.iommu;
    if (iommu_translate(iommu, SID, iova(address), DMA_FROM_MEMORY, &translation) < 0) {
        fprintf(stderr, "bench_iommu: no translation of 0x%llx\n", (unsigned long long)address);
        exit(1);
    }
}

/* One page again and again. */
static void hits(struct machine *machine, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        translate(machine, IOVA_SOURCE(SCATTERED) + i % 2 * 64);
    }
}

/* Pages far from each other, and so many that none is still known when its turn comes again. */
static void misses(struct machine *machine, unsigned count)
{
    const uint64_t distance = 9 * PAGE, places = 2 * LAYOUTS * LARGEST / distance;
    for (unsigned i = 0; i < count; i++) {
        translate(machine, IOVA_BASE + i % places * distance);
    }
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

static void measure_translations(struct machine *machine, const char *name,
                                 void (*run)(struct machine *, unsigned))
{
    enum { ROUNDS = 51, COUNT = 20000 };
    double times[ROUNDS];
    run(machine, COUNT);
    for (unsigned i = 0; i < ROUNDS; i++) {
        double begin = now();
        run(machine, COUNT);
        times[i] = (now() - begin) / COUNT * 1e9;
    }
    printf("iommu-translate what=%s time=%.1f ns\n", name, median(times, ROUNDS));
}

/* ---- copies */

static void copy_cached(void *restrict to, const void *restrict from, size_t length)
{
    memcpy(to, from, length);
}

static double time_copy(struct dma_space *space, uint64_t source, uint64_t destination,
                        uint64_t size)
{
    struct dma_copy copy;
    double begin = now();
    int ret = dma_copy_begin(&copy, space, iova(source), iova(destination), size);
    for (ret = ret < 0 ? ret : 1; ret > 0;) {
        ret = dma_copy_step(&copy, STEP);
    }
    if (ret < 0) {
        fprintf(stderr, "bench_iommu: a copy of %llu bytes failed\n", (unsigned long long)size);
        exit(1);
    }
    return now() - begin;
}

/* Without an IOMMU: the same pages in the same order, or all at once where they are in a row. */
static double time_plain_copy(struct machine *machine, enum layout layout, uint64_t size)
{
    if (layout == IN_ORDER) {
        return time_copy(&machine->plain, SOURCE, DESTINATION, size);
    }
    uint8_t *ram = guest_memory_range(&machine->memory, gpa(0), TABLES);
    double begin = now();
    for (uint64_t i = 0; i < size / PAGE; i++) {
        uint64_t at = place(layout, i) * PAGE;
        (size >= STREAMED ? copy_streaming : copy_cached)(ram + DESTINATION + at, ram + SOURCE + at,
                                                          PAGE);
    }
    copy_streaming_end();
    return now() - begin;
}

/* An odd number of pairs that takes about half a second. */
static unsigned pairs_for(uint64_t size)
{
    uint64_t pairs = (2ull << 30) / size;
    return (unsigned)(pairs < 15 ? 15 : pairs > MAX_PAIRS ? MAX_PAIRS : pairs | 1);
}

static void measure_copies(struct machine *machine, uint64_t size, enum layout layout, bool cold)
{
    static double with[MAX_PAIRS];
    static double without[MAX_PAIRS];
    static double ratio[MAX_PAIRS];
    unsigned pairs = pairs_for(size);
    uint64_t source = IOVA_SOURCE(layout);
    for (unsigned i = 0; i < pairs; i++) {
        if (cold) {
            invalidate(machine, source, size);
            invalidate(machine, source + LARGEST, size);
        }
        with[i] = time_copy(&machine->translated, source, source + LARGEST, size);
        without[i] = time_plain_copy(machine, layout, size);
        ratio[i] = without[i] / with[i];
    }
    printf("iommu-copy size=%lluK pages=%s iotlb=%s with=%.2f GB/s without=%.2f GB/s ratio=%.2f\n",
           (unsigned long long)size >> 10, layout_names[layout], cold ? "cold" : "warm",
           (double)size / median(with, pairs) * 1e-9, (double)size / median(without, pairs) * 1e-9,
           median(ratio, pairs));
}

static void measure(struct machine *machine, uint64_t limit)
{
    static const uint64_t sizes[] = {64 << 10, 1 << 20, 8 << 20, 64 << 20};
    measure_translations(machine, "hit", hits);
    measure_translations(machine, "miss", misses);
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]) && sizes[i] <= limit; i++) {
        for (int layout = 0; layout < LAYOUTS; layout++) {
            measure_copies(machine, sizes[i], (enum layout)layout, true);
            measure_copies(machine, sizes[i], (enum layout)layout, false);
        }
    }
}

int main(int argc, char **argv)
{
    static struct machine machine;
    uint64_t limit = LARGEST;
    if (argc == 3 && (!strcmp(argv[1], "hit") || !strcmp(argv[1], "miss"))) {
        set_up(&machine);
        (*argv[1] == 'h' ? hits : misses)(&machine, (unsigned)strtoul(argv[2], NULL, 0));
    } else if (argc == 1 || (argc == 2 && parse_size(argv[1], &limit) == 0)) {
        set_up(&machine);
        measure(&machine, limit);
    } else {
        fprintf(stderr, "usage: bench_iommu [LARGEST-SIZE]\n       bench_iommu hit|miss COUNT\n");
        return 1;
    }
    tear_down(&machine);
    return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * Printing may happen in a signal handler, so it uses no heap and no stdio: fixed tables, numbers
 * by hand, and a sort of its own.
 */
#include "vmm/exit_stats.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/exit_hooks.h"
#include "vmm/trace.h"
#include "vmm/vcpu.h"

enum {
    REASONS = 64, /* KVM_EXIT_* are below 45 today; what is above is counted together */
    REGIONS = 512,
    NAME_SIZE = 48,
};

/* Written by one thread, read by another when it prints. */
struct counter {
    _Atomic uint64_t count;
    _Atomic uint64_t ns;
};

struct region {
    atomic_bool used; /* the name is there */
    bool pio;
    char name[NAME_SIZE];
    _Atomic uint64_t first; /* where it was last */
    _Atomic uint64_t last;
    struct counter counter;
};

struct exit_stats {
    struct exit_stats *next;
    unsigned vcpu;
    struct counter reasons[REASONS];
    struct region regions[REGIONS + 1]; /* by a hash of the name; the last: all that found none */
};

static _Atomic(struct exit_stats *) all_stats;
static atomic_bool counting;
static atomic_bool printed;
static uint64_t started_ns;

/* ---- counting */

/* Only this thread writes: no read-modify-write is needed. */
static void add(struct counter *counter, uint64_t count, uint64_t ns)
{
    uint64_t old_count = atomic_load_explicit(&counter->count, memory_order_relaxed);
    uint64_t old_ns = atomic_load_explicit(&counter->ns, memory_order_relaxed);
    atomic_store_explicit(&counter->count, old_count + count, memory_order_relaxed);
    atomic_store_explicit(&counter->ns, old_ns + ns, memory_order_relaxed);
}

static unsigned hash(const char *name)
{
    unsigned value = 2166136261u; /* FNV-1a */
    for (; *name != '\0'; name++) {
        value = (value ^ (uint8_t)*name) * 16777619u;
    }
    return value;
}

static void name_region(struct region *region, const char *name, bool pio)
{
    strncpy(region->name, name, NAME_SIZE - 1);
    region->pio = pio;
    atomic_store_explicit(&region->used, true, memory_order_release);
}

/* The place of this name, taken now if it is new. */
static struct region *find_region(struct exit_stats *stats, const char *name, bool pio)
{
    unsigned start = hash(name);
    for (unsigned i = 0; i < REGIONS; i++) {
        struct region *region = &stats->regions[(start + i) % REGIONS];
        if (!atomic_load_explicit(&region->used, memory_order_acquire)) {
            name_region(region, name, pio);
            return region;
        }
        if (region->pio == pio && strncmp(region->name, name, NAME_SIZE - 1) == 0) {
            return region;
        }
    }
    struct region *others = &stats->regions[REGIONS];
    name_region(others, "others", pio);
    return others;
}

void exit_stats_count(struct exit_stats *stats, uint32_t reason, const struct bus_range *range,
                      uint64_t ns)
{
    add(&stats->reasons[reason < REASONS ? reason : REASONS - 1], 1, ns);
    if (!range) {
        return;
    }
    struct region *region = find_region(stats, range->name, reason == KVM_EXIT_IO);
    add(&region->counter, 1, ns);
    atomic_store_explicit(&region->first, range->first, memory_order_relaxed);
    atomic_store_explicit(&region->last, range->last, memory_order_relaxed);
}

struct exit_stats *exit_stats_of_vcpu(unsigned vcpu)
{
    struct exit_stats *stats = atomic_load(&counting) ? calloc(1, sizeof(*stats)) : NULL;
    if (stats) {
        stats->vcpu = vcpu;
        stats->next = atomic_load(&all_stats);
        while (!atomic_compare_exchange_weak(&all_stats, &stats->next, stats)) {
            /* stats->next is now what somebody else has put there */
        }
    }
    return stats;
}

/* ---- the summary: all vCPUs' counts together */

struct row {
    char name[NAME_SIZE];
    bool pio;
    uint64_t first, last; /* of a region */
    uint64_t count, ns;
};

struct table {
    unsigned used;
    struct row rows[REGIONS + 1];
};

static struct table regions, devices, reasons;

static struct row *find_row(struct table *table, const char *name, size_t length, bool pio)
{
    if (length > NAME_SIZE - 1) {
        length = NAME_SIZE - 1;
    }
    for (unsigned i = 0; i < table->used; i++) {
        struct row *row = &table->rows[i];
        if (row->pio == pio && strlen(row->name) == length &&
            memcmp(row->name, name, length) == 0) {
            return row;
        }
    }
    if (table->used == REGIONS + 1) {
        return &table->rows[REGIONS];
    }
    struct row *row = &table->rows[table->used++];
    memset(row, 0, sizeof(*row));
    memcpy(row->name, name, length);
    row->pio = pio;
    return row;
}

static void add_to_row(struct row *row, const struct counter *counter)
{
    row->count += atomic_load_explicit(&counter->count, memory_order_relaxed);
    row->ns += atomic_load_explicit(&counter->ns, memory_order_relaxed);
}

static void sum_region(const struct region *region)
{
    if (!atomic_load_explicit(&region->used, memory_order_acquire)) {
        return;
    }
    struct row *row = find_row(&regions, region->name, strlen(region->name), region->pio);
    row->first = atomic_load_explicit(&region->first, memory_order_relaxed);
    row->last = atomic_load_explicit(&region->last, memory_order_relaxed);
    add_to_row(row, &region->counter);
    add_to_row(find_row(&devices, region->name, bus_device_name_length(region->name), false),
               &region->counter);
}

static void sum(const struct exit_stats *stats)
{
    for (unsigned reason = 0; reason < REASONS; reason++) {
        if (atomic_load_explicit(&stats->reasons[reason].count, memory_order_relaxed)) {
            const char *name = vcpu_exit_name(reason);
            add_to_row(find_row(&reasons, name, strlen(name), false), &stats->reasons[reason]);
        }
    }
    for (unsigned i = 0; i <= REGIONS; i++) {
        sum_region(&stats->regions[i]);
    }
}

/* Hottest first: by time, then by count, then by name. */
static bool comes_before(const struct row *a, const struct row *b)
{
    return a->ns != b->ns         ? a->ns > b->ns
           : a->count != b->count ? a->count > b->count
                                  : strcmp(a->name, b->name) < 0;
}

/* By insertion: qsort() may use the heap. */
static void sort(struct table *table)
{
    for (unsigned i = 1; i < table->used; i++) {
        struct row row = table->rows[i];
        unsigned at = i;
        for (; at > 0 && comes_before(&row, &table->rows[at - 1]); at--) {
            table->rows[at] = table->rows[at - 1];
        }
        table->rows[at] = row;
    }
}

/* ---- writing */

struct line {
    char text[160];
    size_t used;
};

static void put(struct line *line, const char *text, size_t length)
{
    for (size_t i = 0; i < length && line->used < sizeof(line->text); i++) {
        line->text[line->used++] = text[i];
    }
}

static void put_text(struct line *line, const char *text)
{
    put(line, text, strlen(text));
}

/* Blanks up to a column. */
static void put_blanks(struct line *line, size_t column)
{
    while (line->used < column && line->used < sizeof(line->text)) {
        line->text[line->used++] = ' ';
    }
}

/* `number` in `base`, at least `digits` long, so that it ends at `column` (0: just here). */
static void put_number(struct line *line, uint64_t number, unsigned base, unsigned digits,
                       size_t column)
{
    char text[24];
    unsigned at = sizeof(text);
    do {
        text[--at] = "0123456789abcdef"[number % base];
        number /= base;
    } while (number || sizeof(text) - at < digits);
    size_t length = sizeof(text) - at;
    put_blanks(line, column > length ? column - length : 0);
    put(line, text + at, length);
}

/* Microseconds with three digits behind the point, so that the point is before `column`. */
static void put_us(struct line *line, uint64_t ns, size_t column)
{
    put_number(line, ns / 1000, 10, 1, column);
    put_text(line, ".");
    put_number(line, ns % 1000, 10, 3, 0);
}

static void write_line(struct line *line, int fd)
{
    put_text(line, "\n");
    for (size_t done = 0; done < line->used;) {
        ssize_t n = write(fd, line->text + done, line->used - done);
        if (n <= 0) {
            break; /* nowhere to say it */
        }
        done += (size_t)n;
    }
    line->used = 0;
}

enum { COUNT_COLUMN = 62, TOTAL_COLUMN = 75, MEAN_COLUMN = 89, SHARE_COLUMN = 99 };

static void write_head(const char *title, int fd)
{
    struct line line = {.used = 0};
    put_text(&line, title);
    put_blanks(&line, COUNT_COLUMN - 5);
    put_text(&line, "exits");
    put_blanks(&line, TOTAL_COLUMN + 4 - 8);
    put_text(&line, "total us");
    put_blanks(&line, MEAN_COLUMN + 4 - 7);
    put_text(&line, "mean us");
    put_blanks(&line, SHARE_COLUMN - 4);
    put_text(&line, "time");
    write_line(&line, fd);
}

static void put_range(struct line *line, const struct row *row)
{
    put_blanks(line, 28);
    put_text(line, row->pio ? " port " : " mmio ");
    put_number(line, row->first, 16, 1, 0);
    put_text(line, "-");
    put_number(line, row->last, 16, 1, 0);
}

/* "unassigned" is not one range. */
static bool has_range(const struct row *row)
{
    return row->last != 0 && strcmp(row->name, "unassigned") != 0 &&
           strcmp(row->name, "others") != 0;
}

static void write_row(const struct row *row, uint64_t whole_ns, int fd)
{
    struct line line = {.used = 0};
    put_text(&line, "  ");
    put_text(&line, row->name);
    if (has_range(row)) {
        put_range(&line, row);
    }
    put_text(&line, " ");
    put_number(&line, row->count, 10, 1, COUNT_COLUMN);
    put_us(&line, row->ns, TOTAL_COLUMN);
    put_us(&line, row->count ? row->ns / row->count : 0, MEAN_COLUMN);
    put_number(&line, whole_ns ? row->ns * 100 / whole_ns : 0, 10, 1, SHARE_COLUMN - 1);
    put_text(&line, "%");
    write_line(&line, fd);
}

static void write_table(const char *title, struct table *table, uint64_t whole_ns, int fd)
{
    sort(table);
    write_head(title, fd);
    for (unsigned i = 0; i < table->used; i++) {
        write_row(&table->rows[i], whole_ns, fd);
    }
}

static void write_whole(uint64_t count, uint64_t ns, int fd)
{
    struct line line = {.used = 0};
    put_text(&line, "minivmm: ");
    put_number(&line, count, 10, 1, 0);
    put_text(&line, " exits, handled in ");
    put_us(&line, ns, 0);
    put_text(&line, " us, within ");
    put_us(&line, trace_clock_ns() - started_ns, 0);
    put_text(&line, " us; hottest first:");
    write_line(&line, fd);
}

void exit_stats_print(int fd)
{
    uint64_t count = 0;
    uint64_t ns = 0;
    regions.used = devices.used = reasons.used = 0;
    for (const struct exit_stats *s = atomic_load(&all_stats); s; s = s->next) {
        sum(s);
    }
    for (unsigned i = 0; i < reasons.used; i++) {
        count += reasons.rows[i].count;
        ns += reasons.rows[i].ns;
    }
    write_whole(count, ns, fd);
    write_table("by reason", &reasons, ns, fd);
    write_table("by region", &regions, ns, fd);
    write_table("by device", &devices, ns, fd);
}

/* ---- life */

void exit_stats_finish(void)
{
    if (atomic_load(&counting) && !atomic_exchange(&printed, true)) {
        exit_stats_print(STDERR_FILENO);
    }
}

void exit_stats_start(void)
{
    started_ns = trace_clock_ns();
    atomic_store(&counting, true);
    trace_watch(TRACE_ID_vcpu_exit, true);
    exit_hook_add(exit_stats_finish);
}

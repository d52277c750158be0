/* SPDX-License-Identifier: MIT */
/* See vmm/bus.h for how regions, views and cursors work together. */
#include "vmm/bus.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/trace.h"

/* ---- views */

static uint64_t region_last(const struct bus_region *region)
{
    return region->base + (region->size - 1);
}

static int compare_addresses(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* The region that answers at `address`: highest priority first, then the one added first. */
static const struct bus_region *winner_at(const struct bus *bus, uint64_t address)
{
    const struct bus_region *winner = &bus->unassigned;
    for (size_t i = 0; i < bus->count; i++) {
        const struct bus_region *region = bus->regions[i];
        if (address >= region->base && address <= region_last(region) &&
            (winner == &bus->unassigned || region->priority > winner->priority)) {
            winner = region;
        }
    }
    return winner;
}

/*
 * Collect where a range can begin: at 0, where a region starts, and just behind where one ends.
 * Returns their number, ascending, with repetitions.
 */
static size_t collect_borders(const struct bus *bus, uint64_t *borders)
{
    size_t count = 0;
    borders[count++] = 0;
    for (size_t i = 0; i < bus->count; i++) {
        borders[count++] = bus->regions[i]->base;
        uint64_t last = region_last(bus->regions[i]);
        if (last < bus->limit) {
            borders[count++] = last + 1;
        }
    }
    qsort(borders, count, sizeof(*borders), compare_addresses);
    return count;
}

/* Append a range from `first` on, unless it continues the one before. The end is filled in later.
 */
static void append_range(struct bus_view *view, uint64_t first, const struct bus_region *region)
{
    if (view->count > 0 && view->ranges[view->count - 1].region == region) {
        return;
    }
    if (view->count > 0) {
        view->ranges[view->count - 1].last = first - 1;
    }
    view->ranges[view->count++] = (struct bus_range){
        .first = first, .region = region, .base = region->base, .name = region->name};
}

/*
 * Build the view of the present regions. O(n^2), which is paid when the map changes so that an
 * access pays O(log n). NULL if there is no memory.
 */
static struct bus_view *build_view(const struct bus *bus)
{
    size_t most = 2 * bus->count + 1;
    struct bus_view *view = malloc(sizeof(*view) + most * sizeof(view->ranges[0]));
    uint64_t *borders = malloc(most * sizeof(*borders));
    if (!view || !borders) {
        free(view);
        free(borders);
        return NULL;
    }
    atomic_init(&view->references, 1);
    view->count = 0;
    size_t count = collect_borders(bus, borders);
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || borders[i] != borders[i - 1]) {
            append_range(view, borders[i], winner_at(bus, borders[i]));
        }
    }
    view->ranges[view->count - 1].last = bus->limit;
    free(borders);
    return view;
}

static void view_release(struct bus_view *view)
{
    if (view && atomic_fetch_sub_explicit(&view->references, 1, memory_order_acq_rel) == 1) {
        free(view);
    }
}

/* ---- doorbells; bus->lock is held */

static void disarm(struct bus *bus, struct bus_doorbell *doorbell)
{
    if (doorbell->armed) {
        bus->doorbell_ops->disarm(bus->doorbell_opaque, doorbell);
        doorbell->armed = false;
        trace_bus_doorbell(bus->name, doorbell->address, "off");
    }
}

/* Refused (another one may be there): the write exits and comes to the region, as ever. */
static void arm(struct bus *bus, struct bus_doorbell *doorbell)
{
    int ret = bus->doorbell_ops->arm(bus->doorbell_opaque, doorbell);
    doorbell->armed = ret == 0;
    trace_bus_doorbell(bus->name, doorbell->address, ret == 0 ? "on" : "refused");
}

static void update_doorbell(struct bus *bus, const struct bus_region *region,
                            struct bus_doorbell *doorbell)
{
    uint64_t address = region->base + doorbell->offset;
    bool wanted = doorbell->on && region->bus == bus && winner_at(bus, address) == region;
    if (!wanted) {
        disarm(bus, doorbell); /* also of a region that moves: it leaves its old place first */
    } else if (!doorbell->armed) {
        doorbell->address = address;
        arm(bus, doorbell);
    }
}

static void update_doorbells(struct bus *bus, const struct bus_region *region)
{
    for (struct bus_doorbell *d = region->doorbells; d; d = d->next) {
        update_doorbell(bus, region, d);
    }
}

/* Build and publish a view of the regions as they are now. bus->lock is held. */
static int publish(struct bus *bus)
{
    struct bus_view *view = build_view(bus);
    if (!view) {
        return -ENOMEM;
    }
    struct bus_view *old = atomic_load_explicit(&bus->view, memory_order_relaxed);
    atomic_store_explicit(&bus->view, view, memory_order_release);
    view_release(old);
    for (size_t i = 0; i < bus->count; i++) {
        update_doorbells(bus, bus->regions[i]);
    }
    return 0;
}

/* ---- where nobody is */

static uint64_t all_ones(unsigned size)
{
    return UINT64_MAX >> (64 - 8 * size);
}

static uint64_t unassigned_read(void *opaque, uint64_t address, unsigned size)
{
    const struct bus *bus = opaque;
    trace_bus_unassigned_read(bus->name, address, size);
    return all_ones(size);
}

static void unassigned_write(void *opaque, uint64_t address, unsigned size, uint64_t value)
{
    const struct bus *bus = opaque;
    trace_bus_unassigned_write(bus->name, address, size, value);
}

static const struct bus_ops unassigned_ops = {.read = unassigned_read, .write = unassigned_write};

/* ---- the map */

int bus_init(struct bus *bus, const char *name, uint64_t limit)
{
    *bus =
        (struct bus){.name = name,
                     .limit = limit,
                     .unassigned = {.name = "unassigned", .ops = &unassigned_ops, .opaque = bus}};
    pthread_mutex_init(&bus->lock, NULL);
    return publish(bus);
}

void bus_destroy(struct bus *bus)
{
    if (!bus->name) {
        return; /* never set up */
    }
    for (size_t i = 0; i < bus->count; i++) {
        bus->regions[i]->bus = NULL;
    }
    view_release(atomic_load(&bus->view));
    free(bus->regions);
    pthread_mutex_destroy(&bus->lock);
    *bus = (struct bus){0};
}

static int check_place(const struct bus *bus, const struct bus_region *region, uint64_t base,
                       struct error *err)
{
    uint64_t last = base + (region->size - 1);
    if (last < base || last > bus->limit) {
        return error_set(err, -ERANGE,
                         "%s: 0x%" PRIx64 " bytes at 0x%" PRIx64 " end above the %s bus",
                         region->name, region->size, base, bus->name);
    }
    if (region->priority != BUS_PRIORITY_FIXED) {
        return 0;
    }
    for (size_t i = 0; i < bus->count; i++) {
        const struct bus_region *other = bus->regions[i];
        if (other->priority == BUS_PRIORITY_FIXED && base <= region_last(other) &&
            other->base <= last) {
            return error_set(err, -EEXIST, "%s at 0x%" PRIx64 " overlaps %s at 0x%" PRIx64,
                             region->name, base, other->name, other->base);
        }
    }
    return 0;
}

/* Put the region into the list. bus->lock is held; the view is not yet changed. */
static int insert_region(struct bus *bus, struct bus_region *region, uint64_t base,
                         struct error *err)
{
    int ret = check_place(bus, region, base, err);
    if (ret < 0) {
        return ret;
    }
    struct bus_region **grown =
        realloc(bus->regions, (bus->count + 1) * sizeof(struct bus_region *));
    if (!grown) {
        return error_set(err, -ENOMEM, "%s: no memory", region->name);
    }
    bus->regions = grown;
    bus->regions[bus->count++] = region;
    region->base = base;
    region->bus = bus;
    return 0;
}

/* Take the region out of the list. bus->lock is held; the view is not yet changed. */
static void delete_region(struct bus *bus, struct bus_region *region)
{
    size_t i = 0;
    while (bus->regions[i] != region) {
        i++;
    }
    memmove(&bus->regions[i], &bus->regions[i + 1],
            (bus->count - i - 1) * sizeof(struct bus_region *));
    bus->count--;
    region->bus = NULL;
    update_doorbells(bus, region);
}

int bus_move(struct bus *bus, struct bus_region *region, uint64_t base, struct error *err)
{
    pthread_mutex_lock(&bus->lock);
    bool was_mapped = region->bus != NULL;
    if (was_mapped) {
        delete_region(bus, region);
    }
    int ret = insert_region(bus, region, base, err);
    if ((ret == 0 || was_mapped) && publish(bus) < 0) {
        ret = error_set(err, -ENOMEM, "%s: no memory", region->name);
    }
    pthread_mutex_unlock(&bus->lock);
    if (ret == 0) {
        trace_bus_map(bus->name, region->name, base, base + (region->size - 1));
    }
    return ret;
}

int bus_add(struct bus *bus, struct bus_region *region, uint64_t base, struct error *err)
{
    return bus_move(bus, region, base, err);
}

/*
 * Without memory for a new view the old one goes on, and must not name what may be freed. A reader
 * takes `region` from a range once; whichever it finds, both are there until bus_remove() returns.
 */
static void take_out_of_view(struct bus *bus, const struct bus_region *region)
{
    struct bus_view *view = atomic_load_explicit(&bus->view, memory_order_relaxed);
    for (size_t i = 0; i < view->count; i++) {
        struct bus_range *range = &view->ranges[i];
        if (range->region == region) {
            __atomic_store_n(&range->name, bus->unassigned.name, __ATOMIC_RELAXED);
            __atomic_store_n(&range->base, 0, __ATOMIC_RELAXED); /* its offsets are addresses */
            __atomic_store_n(&range->region, &bus->unassigned, __ATOMIC_RELAXED);
        }
    }
}

void bus_remove(struct bus_region *region)
{
    struct bus *bus = region->bus;
    if (!bus) {
        return;
    }
    pthread_mutex_lock(&bus->lock);
    delete_region(bus, region);
    if (publish(bus) < 0) {
        take_out_of_view(bus, region);
    }
    pthread_mutex_unlock(&bus->lock);
    trace_bus_unmap(bus->name, region->name);
}

void bus_set_doorbell(struct bus *bus, struct bus_region *region, struct bus_doorbell *doorbell,
                      bool on)
{
    if (!bus->doorbell_ops) {
        return;
    }
    pthread_mutex_lock(&bus->lock);
    if (on && !doorbell->on) {
        doorbell->next = region->doorbells;
        region->doorbells = doorbell;
    } else if (!on && doorbell->on) {
        struct bus_doorbell **link = &region->doorbells;
        while (*link != doorbell) {
            link = &(*link)->next;
        }
        *link = doorbell->next;
    }
    doorbell->on = on;
    update_doorbell(bus, region, doorbell);
    pthread_mutex_unlock(&bus->lock);
}

void bus_for_each(struct bus *bus, void (*visit)(void *opaque, const struct bus_range *range),
                  void *opaque)
{
    struct bus_cursor cursor;
    bus_cursor_init(&cursor, bus);
    for (size_t i = 0; i < cursor.view->count; i++) {
        visit(opaque, &cursor.view->ranges[i]);
    }
    bus_cursor_destroy(&cursor);
}

/* ---- accesses */

/* Let go of the cursor's view and take the published one. Under the lock nobody can free it first.
 */
static void cursor_refresh(struct bus_cursor *cursor)
{
    struct bus *bus = cursor->bus;
    pthread_mutex_lock(&bus->lock);
    struct bus_view *view = atomic_load_explicit(&bus->view, memory_order_relaxed);
    atomic_fetch_add_explicit(&view->references, 1, memory_order_relaxed);
    pthread_mutex_unlock(&bus->lock);
    view_release((struct bus_view *)cursor->view);
    cursor->view = view;
    cursor->last = &view->ranges[0];
}

void bus_cursor_init(struct bus_cursor *cursor, struct bus *bus)
{
    *cursor = (struct bus_cursor){.bus = bus};
    cursor_refresh(cursor);
}

void bus_cursor_destroy(struct bus_cursor *cursor)
{
    view_release((struct bus_view *)cursor->view);
    *cursor = (struct bus_cursor){0};
}

/* Binary search for the range that holds `address`; there always is one, as ranges leave no gap. */
static const struct bus_range *find_range(const struct bus_view *view, uint64_t address)
{
    size_t low = 0;
    size_t high = view->count - 1;
    while (low < high) {
        size_t middle = (low + high + 1) / 2;
        if (address < view->ranges[middle].first) {
            high = middle - 1;
        } else {
            low = middle;
        }
    }
    return &view->ranges[low];
}

/* The range that holds `address`, in the newest view; remembered for the next access. */
static const struct bus_range *lookup(struct bus_cursor *cursor, uint64_t address)
{
    if (cursor->view != atomic_load_explicit(&cursor->bus->view, memory_order_acquire)) {
        cursor_refresh(cursor);
    }
    cursor->last = find_range(cursor->view, address);
    return cursor->last;
}

/* No access is wider than this, and shifts by more would mean nothing. */
static unsigned bounded_size(unsigned size)
{
    return size < sizeof(uint64_t) ? size : sizeof(uint64_t);
}

/* How many of `size` bytes at `address` the range gets at once: up to its end, a power of two. */
static unsigned piece_size(const struct bus_range *range, uint64_t address, unsigned size)
{
    uint64_t room = range->last - address;
    unsigned piece = 8;
    while (piece > size || piece - 1 > room) {
        piece /= 2;
    }
    return piece;
}

/*
 * What is not the usual case. An access that crosses a border is split, and each side gets its
 * bytes; above the last address there is nothing.
 */
uint64_t bus_read_slowly(struct bus_cursor *cursor, uint64_t address, unsigned size)
{
    uint64_t value = 0;
    size = bounded_size(size);
    for (unsigned done = 0; done < size;) {
        uint64_t at = address + done;
        if (at < address || at > cursor->bus->limit) {
            return value | (all_ones(size) & all_ones(size) << (8 * done));
        }
        const struct bus_range *range = lookup(cursor, at);
        unsigned piece = piece_size(range, at, size - done);
        value |= (bus_read_range(range, at, piece) & all_ones(piece)) << (8 * done);
        done += piece;
    }
    return value;
}

void bus_write_slowly(struct bus_cursor *cursor, uint64_t address, unsigned size, uint64_t value)
{
    size = bounded_size(size);
    for (unsigned done = 0; done < size;) {
        uint64_t at = address + done;
        if (at < address || at > cursor->bus->limit) {
            return;
        }
        const struct bus_range *range = lookup(cursor, at);
        unsigned piece = piece_size(range, at, size - done);
        bus_write_range(range, at, piece, value >> (8 * done) & all_ones(piece));
        done += piece;
    }
}

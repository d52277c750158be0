/* SPDX-License-Identifier: MIT */
/*
 * A bus: which device answers at which address. One instance serves guest physical addresses
 * (MMIO), on x86 a second one serves I/O ports. QEMU's counterpart is an AddressSpace with its
 * FlatView.
 *
 * Devices own `struct bus_region`s and put them on a bus. From all its regions the bus builds a
 * *view*: a sorted array of ranges that covers the whole address space without a gap or an overlap;
 * where no region is, a range with no region stands. A view is immutable. When a region comes, goes
 * or moves (a guest moves a PCI BAR), a new view is built and published with one atomic store.
 *
 * A thread that makes accesses does so through a cursor of its own. The cursor holds a reference to
 * the view it used last and remembers the range it hit last, so that the usual access costs two
 * comparisons and no lock; otherwise the range is found by binary search. A cursor whose view is no
 * longer the published one exchanges it under the bus's lock, which happens once per change of the
 * map. The last cursor to let go of an old view frees it.
 *
 * An access that was looked up just before the map changed may still reach the region's old place;
 * it is as if it had been made a moment earlier. A region must therefore stay alive until vCPUs are
 * stopped, or for as long as its device.
 */
#ifndef VMM_BUS_H
#define VMM_BUS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "vmm/error.h"

/*
 * How a region is accessed. `offset` is relative to the region, [offset, offset + size) lies inside
 * it, `size` is 1, 2, 4 or 8 and says nothing of alignment. Called on any thread, several at once;
 * the device takes its own lock. Values are little-endian numbers: bits above `size` bytes are
 * ignored on return from read and are 0 on write.
 */
struct bus_ops {
    uint64_t (*read)(void *opaque, uint64_t offset, unsigned size);
    void (*write)(void *opaque, uint64_t offset, unsigned size, uint64_t value);
};

/*
 * Which region wins where two overlap: the higher priority, then the one that was added first.
 * Fixed regions are placed by the machine and must not overlap each other; BARs are placed by the
 * guest, which may put them anywhere, and never hide what is fixed.
 */
enum bus_priority { BUS_PRIORITY_BAR, BUS_PRIORITY_FIXED };

/*
 * A doorbell: a register of a region that is written only to wake its device. While it is on, and
 * its address belongs to its region, KVM signals an eventfd at each such write and the guest does
 * not exit (KVM_IOEVENTFD). At other times, and should KVM refuse, the write comes to the region.
 */
struct bus_doorbell {
    uint64_t offset; /* in the region */
    unsigned size;   /* of the write, in bytes */
    bool has_value;  /* only this value is caught; otherwise any */
    uint64_t value;
    int event_fd;
    /* The bus's own. */
    struct bus_doorbell *next; /* of the region's that are on */
    bool on;
    bool armed; /* KVM has it, at: */
    uint64_t address;
};

/* How a bus's doorbells are given to KVM; NULL: there is none. */
struct bus_doorbell_ops {
    int (*arm)(void *opaque, const struct bus_doorbell *doorbell); /* negative errno */
    void (*disarm)(void *opaque, const struct bus_doorbell *doorbell);
};

struct bus_region {
    const char *name; /* for traces and `info mtree`; lives as long as the region */
    uint64_t base;    /* set by bus_add() */
    uint64_t size;    /* bytes, > 0 */
    enum bus_priority priority;
    const struct bus_ops *ops;
    void *opaque;
    struct bus *bus; /* the bus it is on, or NULL; maintained by bus_add() and bus_remove() */
    struct bus_doorbell *doorbells; /* those that are on; maintained by bus_set_doorbell() */
};

/* A part of the address space, and who answers there. */
struct bus_range {
    uint64_t first;
    uint64_t last;                   /* inclusive, so that a range may end at 2^64 - 1 */
    const struct bus_region *region; /* the bus's `unassigned` where nobody is; never NULL */
    uint64_t base;                   /* region->base when the view was built */
    const char *name;                /* region->name */
};

/* How much of a range's name is its device's: in front of a BAR's number (pci/pci_bar.c), or all.
 */
static inline size_t bus_device_name_length(const char *range_name)
{
    const char *bar = strstr(range_name, " bar");
    return bar ? (size_t)(bar - range_name) : strlen(range_name);
}

struct bus_view {
    atomic_uint references; /* the bus's own, and one a cursor */
    size_t count;
    struct bus_range ranges[];
};

struct bus {
    const char *name;             /* "mmio" or "pio" */
    uint64_t limit;               /* highest address */
    struct bus_region unassigned; /* stands where no region is; its offsets are addresses */
    _Atomic(struct bus_view *) view;
    pthread_mutex_t lock;        /* guards `regions` and the exchange of views; a leaf */
    struct bus_region **regions; /* in the order of addition */
    size_t count;
    const struct bus_doorbell_ops *doorbell_ops; /* set before the first region comes */
    void *doorbell_opaque;
};

struct bus_cursor {
    struct bus *bus;
    const struct bus_view *view;
    const struct bus_range *last;
};

/* An empty bus of addresses 0..limit. -ENOMEM. */
int bus_init(struct bus *bus, const char *name, uint64_t limit);

/* Forget all regions (they belong to their devices). No cursor may be left. */
void bus_destroy(struct bus *bus);

/*
 * Put `region` at `base`. The bus keeps the pointer. Errors: -EEXIST if both this and a region
 * already there are fixed and overlap (the text names both), -ERANGE if it does not fit below the
 * limit, -ENOMEM. Any thread.
 */
int bus_add(struct bus *bus, struct bus_region *region, uint64_t base, struct error *err);

/* Take `region` off its bus; nothing happens if it is on none. Any thread. */
void bus_remove(struct bus_region *region);

/*
 * Move a region, or put it on `bus` for the first time; equal to remove and add in one change of
 * the map, so that no access in between misses it. Errors as bus_add(); then the region is on no
 * bus.
 */
int bus_move(struct bus *bus, struct bus_region *region, uint64_t base, struct error *err);

/*
 * Switch a doorbell of `region` on or off; its owner keeps it meanwhile. `bus` is where the region
 * is or is going to be. Any thread.
 */
void bus_set_doorbell(struct bus *bus, struct bus_region *region, struct bus_doorbell *doorbell,
                      bool on);

/* A cursor for the calling thread. Destroy it before the bus. */
void bus_cursor_init(struct bus_cursor *cursor, struct bus *bus);
void bus_cursor_destroy(struct bus_cursor *cursor);

/* Call `visit` for every range of the present view, in ascending order (`info mtree`, tests). */
void bus_for_each(struct bus *bus, void (*visit)(void *opaque, const struct bus_range *range),
                  void *opaque);

/* ---- accesses */

/*
 * The usual case, in which nothing needs to be looked up: the map is the one of last time, and the
 * access lies in the range of last time as a whole.
 */
static inline bool bus_cursor_hits(const struct bus_cursor *cursor, uint64_t address, unsigned size)
{
    const struct bus_range *range = cursor->last;
    return cursor->view == atomic_load_explicit(&cursor->bus->view, memory_order_acquire) &&
           address >= range->first && address <= range->last && size - 1 <= range->last - address;
}

static inline uint64_t bus_read_range(const struct bus_range *range, uint64_t address,
                                      unsigned size)
{
    const struct bus_region *region = range->region;
    return region->ops->read(region->opaque, address - range->base, size);
}

static inline void bus_write_range(const struct bus_range *range, uint64_t address, unsigned size,
                                   uint64_t value)
{
    const struct bus_region *region = range->region;
    region->ops->write(region->opaque, address - range->base, size, value);
}

/*
 * Any access of 1 to 8 bytes: looks the range up, and splits where ranges meet, and where the size
 * is none that a device knows.
 */
uint64_t bus_read_slowly(struct bus_cursor *cursor, uint64_t address, unsigned size);
void bus_write_slowly(struct bus_cursor *cursor, uint64_t address, unsigned size, uint64_t value);

/*
 * Make an access of `size` 1, 2, 4 or 8 bytes. Where no region is, reads are all ones, writes are
 * dropped, and a trace event says so. An access across the border of two ranges is split. Bits of
 * the value read that are above `size` bytes mean nothing. Inline, as every exit comes through
 * here; a debugger shows them as frames all the same.
 */
static inline uint64_t bus_read(struct bus_cursor *cursor, uint64_t address, unsigned size)
{
    if (__builtin_expect(!bus_cursor_hits(cursor, address, size), 0)) {
        return bus_read_slowly(cursor, address, size);
    }
    return bus_read_range(cursor->last, address, size);
}

static inline void bus_write(struct bus_cursor *cursor, uint64_t address, unsigned size,
                             uint64_t value)
{
    if (__builtin_expect(!bus_cursor_hits(cursor, address, size), 0)) {
        bus_write_slowly(cursor, address, size, value);
        return;
    }
    bus_write_range(cursor->last, address, size, value);
}

#endif

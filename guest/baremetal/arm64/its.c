/* SPDX-License-Identifier: MIT */
/*
 * The ITS, Arm IHI 0069, chapter 5: it turns (device, event) into an interrupt (LPI) and a
 * processor. A message is a write of the event to GITS_TRANSLATER; which device wrote it the bus
 * says, not the message. Tables lie in memory that software hands over and does not look at again;
 * they are changed by commands in a ring:
 *
 *   MAPD   a device's table of events      MAPC   a collection, here one for each processor
 *   MAPTI  event -> LPI and collection     INV    read the LPI's priority and enable bit again
 *   SYNC   wait for the effect on a processor
 *
 * Event `cpu * NUMBERS + number` of every device is the LPI of that index: an LPI of one processor
 * has one collection, as it must.
 */
#include "arm64.h"
#include "test.h"

enum {
    GITS_CTLR = 0x0000,
    GITS_TYPER = 0x0008,
    GITS_TYPER_PTA = 1 << 19,
    GITS_CBASER = 0x0080,
    GITS_CWRITER = 0x0088,
    GITS_CREADR = 0x0090,
    GITS_BASER = 0x0100,
    GITS_TRANSLATER = 0x10040,
    BASER_COUNT = 8,
    BASER_DEVICES = 1,
    BASER_COLLECTIONS = 4,
    COMMAND_SIZE = 32,
    QUEUE_SIZE = 4096,

    GICR_CTLR = 0x0000,
    GICR_TYPER = 0x0008,
    GICR_PROPBASER = 0x0070,
    GICR_PENDBASER = 0x0078,
    GICR_ENABLE_LPIS = 1 << 0,

    ID_BITS = 14, /* of LPIs, the least that there can be */
    EVENTS = MAX_CPUS * NUMBERS,
    EVENT_BITS = 8,
    MAX_DEVICES = 8,
    MAX_ENTRY_SIZE = 16, /* of an event in a device's table */
    TABLE_SIZE = 65536,
    LPI_ENABLED = 0xa0 | 3, /* priority; bit 1 is 1, bit 0 enables */
};

enum command {
    SYNC = 0x05,
    MAPD = 0x08,
    MAPC = 0x09,
    MAPTI = 0x0a,
    INV = 0x0c,
};

static const uint64_t VALID = 1ULL << 63;

/* How a table in memory is reached: through the caches, inner shareable. */
static const uint64_t CBASER_CACHED = 7ULL << 59 | 1 << 10;
static const uint64_t GICR_CACHED = 7 << 7 | 1 << 10;
static const uint64_t PENDING_IS_ZERO = 1ULL << 62;

static uint64_t queue[QUEUE_SIZE / 8] __attribute__((aligned(TABLE_SIZE)));
static char device_table[TABLE_SIZE] __attribute__((aligned(TABLE_SIZE)));
static char collection_table[TABLE_SIZE] __attribute__((aligned(TABLE_SIZE)));
static char pending_tables[MAX_CPUS][TABLE_SIZE] __attribute__((aligned(TABLE_SIZE)));
static uint8_t properties[1 << ID_BITS] __attribute__((aligned(4096)));
static char event_tables[MAX_DEVICES][EVENTS * MAX_ENTRY_SIZE] __attribute__((aligned(256)));

static struct {
    unsigned bdf;
    bool mapped[EVENTS];
} devices[MAX_DEVICES];
static unsigned device_count;
static bool collections[MAX_CPUS];

/* ---- commands */

static void command(enum command what, uint64_t device, uint64_t second, uint64_t third)
{
    const uint64_t at = mmio_read64(device_tree.its + GITS_CWRITER) % QUEUE_SIZE;
    const uint64_t next = (at + COMMAND_SIZE) % QUEUE_SIZE;
    volatile uint64_t *const slot = queue + at / 8;

    slot[0] = device << 32 | (unsigned)what;
    slot[1] = second;
    slot[2] = third;
    slot[3] = 0;
    mmio_write64(device_tree.its + GITS_CWRITER, next);
    if (!WAIT_UNTIL(mmio_read64(device_tree.its + GITS_CREADR) == next)) {
        die("its: a command does not end");
    }
}

/* A processor, as MAPC and SYNC name it. */
static uint64_t target(unsigned cpu)
{
    const uint64_t redistributor = gic_redistributor(cpu);

    if (mmio_read64(device_tree.its + GITS_TYPER) & GITS_TYPER_PTA) {
        return redistributor;
    }
    return (mmio_read64(redistributor + GICR_TYPER) >> 8 & 0xffff) << 16;
}

/* ---- set-up */

/* Pages are of 64 KiB, or of 4 KiB if the ITS insists. */
static void set_table(uint64_t reg, const void *table)
{
    const uint64_t fields =
        VALID | 7ULL << 59 | 1 << 10 | (uintptr_t)table; /* cached, inner shareable */

    mmio_write64(reg, fields | 2 << 8);
    if ((mmio_read64(reg) >> 8 & 3) == 0) {
        mmio_write64(reg, fields | (TABLE_SIZE / 4096 - 1));
    }
}

static void set_tables(void)
{
    for (unsigned i = 0; i < BASER_COUNT; i++) {
        const uint64_t reg = device_tree.its + GITS_BASER + (uint64_t)i * 8;

        switch (mmio_read64(reg) >> 56 & 7) {
        case BASER_DEVICES:
            set_table(reg, device_table);
            break;
        case BASER_COLLECTIONS:
            set_table(reg, collection_table);
            break;
        }
    }
}

/* Its tables must not change any more once LPIs are enabled. */
static void enable_lpis(unsigned cpu)
{
    const uint64_t redistributor = gic_redistributor(cpu);

    mmio_write64(redistributor + GICR_PROPBASER,
                 (uintptr_t)properties | GICR_CACHED | (ID_BITS - 1));
    mmio_write64(redistributor + GICR_PENDBASER,
                 (uintptr_t)pending_tables[cpu] | GICR_CACHED | PENDING_IS_ZERO);
    mmio_write32(redistributor + GICR_CTLR, GICR_ENABLE_LPIS);
}

/*
 * For all processors, also those that have not started yet: an LPI can only be mapped to one that
 * has its pending table.
 */
void its_init(void)
{
    for (unsigned i = 0; i < EVENTS; i++) {
        properties[i] = LPI_ENABLED;
    }
    for (unsigned cpu = 0; cpu < arch_cpu_count(); cpu++) {
        enable_lpis(cpu);
    }
    set_tables();
    mmio_write64(device_tree.its + GITS_CBASER, VALID | CBASER_CACHED | (uintptr_t)queue);
    mmio_write64(device_tree.its + GITS_CWRITER, 0);
    mmio_write32(device_tree.its + GITS_CTLR, 1);
}

/* ---- messages */

static unsigned device_index(unsigned bdf)
{
    for (unsigned i = 0; i < device_count; i++) {
        if (devices[i].bdf == bdf) {
            return i;
        }
    }
    if (device_count == MAX_DEVICES) {
        die("its: too many devices");
    }
    devices[device_count].bdf = bdf;
    command(MAPD, bdf, EVENT_BITS - 1, VALID | (uintptr_t)event_tables[device_count]);
    return device_count++;
}

static void map_collection(unsigned cpu)
{
    if (!collections[cpu]) {
        collections[cpu] = true;
        command(MAPC, 0, 0, VALID | target(cpu) | cpu);
    }
}

struct interrupt_message its_message(unsigned bdf, unsigned number, unsigned cpu)
{
    const unsigned event = cpu * NUMBERS + number;
    const unsigned index = device_index(bdf);

    map_collection(cpu);
    if (!devices[index].mapped[event]) {
        devices[index].mapped[event] = true;
        command(MAPTI, bdf, (uint64_t)(FIRST_LPI + event) << 32 | event, cpu);
        command(INV, bdf, event, 0);
        command(SYNC, 0, 0, target(cpu));
    }
    return (struct interrupt_message){device_tree.its + GITS_TRANSLATER, event};
}

/* SPDX-License-Identifier: MIT */
/*
 * SYSTEM_RESET, from the first processor and from the second. RAM below the program outlives a
 * reset and says which one it was; devices and processors must be as after power-on.
 */
#include "arm64.h"
#include "engine.h"
#include "pci.h"
#include "psci.h"
#include "test.h"

static const uint64_t MAGIC = 0x7265736574206f6e;

static volatile struct {
    uint64_t magic;
    uint64_t stage;
    uint64_t ran_on; /* an instruction ran after the one that asked */
} *const kept = (void *)0x40001000;

static void reset(void *unused)
{
    (void)unused;
    (void)psci(PSCI_SYSTEM_RESET, 0, 0, 0);
    kept->ran_on = 1;
}

static void reset_by_other(void)
{
    if (arch_cpu_start(1, reset, NULL)) {
        (void)arch_cpu_join(1);
    }
}

static const char *const causes[] = {"power-on", "reset", "reset by the other processor"};
enum { LAST = sizeof(causes) / sizeof(causes[0]) - 1 };

/* Things that a reset has to undo: a copy on its way, an interrupt enabled, a processor running. */
static void leave_traces(void)
{
    struct engine engine;

    if (engine_open(&engine, 0, 0)) {
        mmio_write32(engine.base + DMA_ENGINE_INTX_ENABLE, DMA_ENGINE_INTX_ENABLED);
        engine_start(&engine, arch_memory_base + (64 << 20), arch_memory_base + (96 << 20),
                     32 << 20);
    }
}

static void check_traces(void)
{
    const unsigned bdf = pci_find(0, DMA_ENGINE_VENDOR_ID, DMA_ENGINE_DEVICE_ID, 0);

    CHECK(bdf != PCI_NONE);
    CHECK_EQ(pci_read32(bdf, PCI_BAR0), 0);
    CHECK_EQ(pci_read(bdf, PCI_COMMAND, 2), 0);
    struct engine engine;
    CHECK(engine_open(&engine, 0, 0));
    CHECK_EQ(mmio_read64(engine.base + DMA_ENGINE_CTRL), 0);
    CHECK_EQ(kept->ran_on, 0);
    for (unsigned cpu = 1; cpu < arch_cpu_count(); cpu++) {
        CHECK_EQ(psci(PSCI_AFFINITY_INFO, device_tree.mpidr[cpu], 0, 0), PSCI_OFF);
    }
}

/* Says what brought us here, then does the next; the machine comes back to this function. */
static void resets(void)
{
    const uint64_t now = kept->magic == MAGIC ? kept->stage : 0;

    CHECK(now <= LAST);
    print("BOOT after %s\n", causes[now]);
    if (now) {
        check_traces();
    }
    if (now == LAST || test_over()) {
        return;
    }
    if (now && arch_cpu_count() < 2) {
        SKIP("one processor");
    }
    kept->magic = MAGIC;
    kept->stage = now + 1;
    kept->ran_on = 0;
    leave_traces();
    if (now) {
        reset_by_other();
    } else {
        reset(NULL);
    }
    CHECK(WAIT_UNTIL(false)); /* reset did not happen */
}

const struct test tests[] = {
    {"reset", resets},
    {0},
};

/* SPDX-License-Identifier: MIT */
/*
 * A guest that writes rubbish everywhere, the same rubbish in each run. Passed if the machine is
 * still there afterwards, and the engine can be reset and copies.
 */
#include "engine.h"
#include "pci.h"
#include "test.h"
#include "testdev.h"

enum { MAX_FUNCTIONS = 32 };

static unsigned functions[MAX_FUNCTIONS];
static unsigned function_count;

static void remember(unsigned bdf)
{
    if (function_count < MAX_FUNCTIONS) {
        functions[function_count++] = bdf;
    }
}

static void find_functions(void)
{
    if (!function_count) {
        pci_for_each(0, remember);
    }
}

static void write_rubbish(unsigned bdf, unsigned reg)
{
    static const unsigned sizes[] = {4, 4, 2, 1};
    const uint64_t random = test_random();
    const unsigned size = sizes[random >> 60 & 3];

    pci_write(bdf, reg & ~(size - 1), size, (uint32_t)random);
    (void)pci_read(bdf, reg & ~(size - 1), size);
}

/* In order, so that each register is hit; then anywhere. */
static void config_space(void)
{
    find_functions();
    for (unsigned i = 0; i < function_count; i++) {
        for (unsigned reg = 0; reg < 0x100; reg += 4) {
            write_rubbish(functions[i], reg);
        }
    }
    for (unsigned i = 0; i < 2000; i++) {
        const uint64_t random = test_random();

        write_rubbish(functions[random % function_count], random >> 32 & 0xfff);
    }
    for (unsigned i = 0; i < function_count; i++) {
        CHECK(pci_present(functions[i]));
        pci_write(functions[i], PCI_COMMAND, 2, 0);
    }
}

/* Bus numbers out of the air may lead anywhere or nowhere, but must lead. */
static void anywhere_in_ecam(void)
{
    find_functions();
    for (unsigned i = 0; i < 1000; i++) {
        const uint64_t random = test_random();

        (void)pci_read(random & 0xffff, random >> 16 & 0xffc, 4);
    }
}

static void reset_function(unsigned bdf)
{
    (void)pci_function_reset(bdf);
}

/* A reset makes any function usable again. */
static bool recover(struct engine *engine)
{
    const unsigned bdf = pci_find(0, DMA_ENGINE_VENDOR_ID, DMA_ENGINE_DEVICE_ID, 0);

    if (bdf == PCI_NONE || !pci_function_reset(bdf)) {
        test_skip("no DMA engine");
        return false;
    }
    return engine_open(engine, 0, 0);
}

static void check_engine(const struct engine *engine)
{
    static uint64_t from;
    static uint64_t to;

    from = test_random();
    CHECK_EQ(engine_copy(engine, &from, &to, sizeof(to)), DMA_ENGINE_STATUS_DONE);
    CHECK_EQ(to, from);
}

static void engine_usable(void)
{
    struct engine engine;

    if (recover(&engine)) {
        check_engine(&engine);
    }
}

static void write_any_width(uint64_t address, uint64_t random)
{
    switch (random >> 56 & 7) {
    case 0:
        mmio_write8(address, (uint8_t)random);
        break;
    case 1:
        mmio_write16(address, (uint16_t)random);
        break;
    case 2:
    case 3:
    case 4:
        mmio_write32(address, (uint32_t)random);
        break;
    default:
        mmio_write64(address, random);
    }
}

/* Rubbish into all of the BAR. Bus mastering is off: a copy that is started fails. */
static void engine_registers(void)
{
    struct engine engine;

    if (!recover(&engine)) {
        return;
    }
    pci_command(engine.bdf, 0, PCI_COMMAND_MASTER);
    for (unsigned i = 0; i < 2000; i++) {
        const uint64_t random = test_random();
        const uint64_t offset = i % 4 ? DMA_ENGINE_SRC + (random >> 40 & 0x4f)
                                      : random >> 40 & (DMA_ENGINE_BAR0_SIZE - 1);
        const uint64_t address = engine.base + (offset & ~(uint64_t)7);

        write_any_width(address, test_random());
        (void)mmio_read32(address);
    }
    if (recover(&engine)) {
        check_engine(&engine);
    }
}

/* Copies between random addresses of 64 bits. None of them is RAM, or nearly none. */
static void engine_copies(void)
{
    struct engine engine;

    if (!recover(&engine)) {
        return;
    }
    for (unsigned i = 0; i < 300; i++) {
        const uint64_t high = 1ULL << (40 + i % 24);

        engine_start(&engine, test_random(), test_random() | high, (uint32_t)test_random());
    }
    CHECK(!(engine_wait(&engine) & DMA_ENGINE_STATUS_BUSY));
    if (recover(&engine)) {
        check_engine(&engine);
    }
}

/* MSI-X tables full of rubbish, rung while they change. */
static void msix_table(void)
{
    struct testdev testdev;

    pci_for_each(0, reset_function);
    if (!testdev_open(&testdev, 0, 0)) {
        return;
    }
    testdev_msix_enable(&testdev);
    for (unsigned i = 0; i < 1000; i++) {
        const uint64_t random = test_random();
        /* Not at interrupt addresses: the upper half is never 0. */
        const uint64_t address = testdev.msix + (random >> 32 & 0xffc);

        mmio_write32(address, address & 4 ? (uint32_t)random | 0x100 : (uint32_t)random);
        testdev_ring(&testdev, (uint32_t)i % 8);
    }
    testdev_msix_disable(&testdev);
    CHECK_EQ(mmio_read32(testdev.base + PCI_TESTDEV_ID), PCI_TESTDEV_ID_VALUE);
}

/* ---- two processors: one turns the configuration over, the other uses the devices meanwhile */

enum { TURNS = 2000 };
static _Atomic bool stop;

static void turn_over(void *unused)
{
    (void)unused;
    for (uint64_t state = 1; !stop;) {
        state = state * 6364136223846793005 + 1442695040888963407; /* Knuth's MMIX generator */
        const unsigned bdf = functions[(state >> 33) % function_count];
        /* The header up to the BARs and bus numbers, as these move most. */
        pci_write(bdf, state >> 40 & 0x3c, 4, (uint32_t)(state >> 20));
    }
}

static void both_at_once(void)
{
    struct engine engine;

    if (arch_cpu_count() < 2) {
        SKIP("one processor");
    }
    find_functions();
    if (!recover(&engine)) {
        return;
    }
    stop = false;
    CHECK(arch_cpu_start(1, turn_over, NULL));
    for (unsigned i = 0; i < TURNS; i++) {
        const uint64_t offset = DMA_ENGINE_INTX_ENABLE + (test_random() >> 40 & 0xf);

        mmio_write32(engine.base + (offset & ~(uint64_t)3), (uint32_t)test_random());
        (void)mmio_read32(engine.base + DMA_ENGINE_STATUS);
        (void)pci_read(test_random() & 0xffff, 0, 4);
    }
    stop = true;
    CHECK(arch_cpu_join(1));
    if (recover(&engine)) {
        check_engine(&engine);
    }
}

const struct test tests[] = {
    {"configuration space", config_space},     {"anywhere in ECAM", anywhere_in_ecam},
    {"the engine survives", engine_usable},    {"the engine's registers", engine_registers},
    {"the engine's addresses", engine_copies}, {"an MSI-X table", msix_table},
    {"two processors at once", both_at_once},  {0},
};

/* SPDX-License-Identifier: MIT */
/* All processors come up and use devices at the same time, each its own and all the same. */
#include "pci.h"
#include "test.h"
#include "testdev.h"

enum { ACCESSES = 100 };

static struct testdev testdevs[MAX_CPUS];
static struct testdev shared;
static unsigned errors[MAX_CPUS];
static unsigned done[MAX_CPUS];
static _Atomic bool go;

static unsigned cpus(void)
{
    return arch_cpu_count() < MAX_CPUS ? arch_cpu_count() : MAX_CPUS;
}

static unsigned index_of(const unsigned *error)
{
    return (unsigned)(error - errors);
}

static void say_hello(void *argument)
{
    done[index_of(argument)] = 1;
}

/* Run `function` on all processors but this one, and wait. Its argument is its place in errors[].
 */
static void on_all_others(void (*function)(void *))
{
    for (unsigned cpu = 1; cpu < cpus(); cpu++) {
        errors[cpu] = 0;
        done[cpu] = 0;
        CHECK(arch_cpu_start(cpu, function, &errors[cpu]));
    }
    go = true;
    for (unsigned cpu = 1; cpu < cpus(); cpu++) {
        CHECK(arch_cpu_join(cpu));
        CHECK_EQ(errors[cpu], 0);
        CHECK_EQ(done[cpu], 1);
    }
}

static void come_up(void)
{
    CHECK_EQ(arch_cpu_count(), test_parameter("smp", arch_cpu_count()));
    if (cpus() < 2) {
        SKIP("one processor");
    }
    on_all_others(say_hello);
}

static void come_up_again(void)
{
    if (cpus() < 2) {
        SKIP("one processor");
    }
    on_all_others(say_hello);
    on_all_others(say_hello);
}

/* What one processor wrote to its device no other has changed. */
static void use_own(void *argument)
{
    unsigned *const error = argument;
    const unsigned cpu = index_of(error);
    const uint64_t scratch = testdevs[cpu].base + PCI_TESTDEV_SCRATCH;

    while (!go) {
        arch_relax();
    }
    for (uint32_t i = 0; i < ACCESSES; i++) {
        mmio_write32(scratch, cpu << 16 | i);
        *error += mmio_read32(scratch) != (cpu << 16 | i);
    }
    done[cpu] = 1;
}

static void own_devices(void)
{
    if (cpus() < 2) {
        SKIP("one processor");
    }
    for (unsigned cpu = 0; cpu < cpus(); cpu++) {
        if (!testdev_open(&testdevs[cpu], 0, cpu)) {
            return;
        }
    }
    go = false;
    on_all_others(use_own);
}

static void use_shared(void *argument)
{
    unsigned *const error = argument;
    const unsigned cpu = index_of(error);
    const uint64_t scratch = shared.base + PCI_TESTDEV_SCRATCH;

    while (!go) {
        arch_relax();
    }
    for (uint32_t i = 0; i < ACCESSES; i++) {
        mmio_write32(scratch, 0x01010101 * cpu);
        const uint32_t seen = mmio_read32(scratch);
        *error += seen != (seen & 0xff) * 0x01010101U || (seen & 0xff) >= MAX_CPUS;
        *error += mmio_read32(shared.base + PCI_TESTDEV_ID) != PCI_TESTDEV_ID_VALUE;
    }
    done[cpu] = 1;
}

static void one_device(void)
{
    if (cpus() < 2) {
        SKIP("one processor");
    }
    if (!testdev_open(&shared, 0, 0)) {
        return;
    }
    go = false;
    on_all_others(use_shared);
}

/* Configuration space through ECAM, which needs no turn-taking. */
static void use_config(void *argument)
{
    unsigned *const error = argument;

    while (!go) {
        arch_relax();
    }
    for (unsigned i = 0; i < ACCESSES; i++) {
        pci_write(shared.bdf, PCI_INTERRUPT_LINE, 1, 0x55);
        *error += pci_read(shared.bdf, PCI_INTERRUPT_LINE, 1) != 0x55;
        *error += pci_read(shared.bdf, PCI_DEVICE_ID, 2) != PCI_TESTDEV_DEVICE_ID;
    }
    done[index_of(error)] = 1;
}

static void config_space(void)
{
    if (cpus() < 2) {
        SKIP("one processor");
    }
    if (!testdev_open(&shared, 0, 0)) {
        return;
    }
    go = false;
    on_all_others(use_config);
}

const struct test tests[] = {
    {"processors come up", come_up},
    {"and again", come_up_again},
    {"each on its own device", own_devices},
    {"all on one device", one_device},
    {"all in configuration space", config_space},
    {0},
};

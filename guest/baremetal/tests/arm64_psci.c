/* SPDX-License-Identifier: MIT */
/* PSCI (Arm DEN0022): processors on and off, and what each call answers when it cannot. */
#include "arm64.h"
#include "psci.h"
#include "test.h"

enum { ROUNDS = 10 };

static const uint64_t NOBODY = 0xff00ffffff;

static _Atomic bool stop;
static _Atomic unsigned seen;

static void wait_for_stop(void *unused)
{
    (void)unused;
    while (!stop) {
        arch_relax();
    }
}

static void count(void *unused)
{
    (void)unused;
    seen++;
}

static int state_of(unsigned cpu)
{
    return psci(PSCI_AFFINITY_INFO, device_tree.mpidr[cpu], 0, 0);
}

static int turn_on(uint64_t mpidr)
{
    return psci(PSCI_CPU_ON, mpidr, (uintptr_t)secondary_start, 1);
}

static bool one_processor(void)
{
    if (arch_cpu_count() < 2) {
        test_skip("one processor");
        return true;
    }
    return false;
}

static void version(void)
{
    CHECK(psci(PSCI_VERSION, 0, 0, 0) >= 0x10000);
    CHECK_EQ(psci(PSCI_FEATURES, (uint32_t)PSCI_CPU_ON, 0, 0), PSCI_SUCCESS);
    CHECK_EQ(psci(PSCI_FEATURES, (uint32_t)PSCI_SYSTEM_RESET, 0, 0), PSCI_SUCCESS);
    CHECK_EQ(psci(PSCI_FEATURES, 0x8400001f, 0, 0), PSCI_NOT_SUPPORTED);
}

/* Each knows which one it is, and is in the tree under that name. */
static void own_name(void)
{
    CHECK_EQ(READ_SYSTEM_REGISTER("mpidr_el1") & 0xff00ffffff, device_tree.mpidr[0]);
    CHECK_EQ(state_of(0), PSCI_ON);
}

static void on_and_off(void)
{
    if (one_processor()) {
        return;
    }
    stop = false;
    CHECK_EQ(state_of(1), PSCI_OFF);
    CHECK(arch_cpu_start(1, wait_for_stop, NULL));
    CHECK_EQ(state_of(1), PSCI_ON);
    CHECK_EQ(turn_on(device_tree.mpidr[1]), PSCI_ALREADY_ON);
    stop = true;
    CHECK(arch_cpu_join(1));
    CHECK(WAIT_UNTIL(state_of(1) == PSCI_OFF));
}

static void on_again(void)
{
    if (one_processor()) {
        return;
    }
    seen = 0;
    for (unsigned i = 1; i <= ROUNDS; i++) {
        CHECK(arch_cpu_start(1, count, NULL));
        CHECK(arch_cpu_join(1));
        CHECK_EQ(seen, i);
    }
}

static void refused(void)
{
    CHECK_EQ(turn_on(NOBODY), PSCI_INVALID_PARAMETERS);
    CHECK_EQ(psci(PSCI_AFFINITY_INFO, NOBODY, 0, 0), PSCI_INVALID_PARAMETERS);
    CHECK_EQ(turn_on(device_tree.mpidr[0]), PSCI_ALREADY_ON);
    CHECK_EQ(psci((enum psci_function)0x840000ff, 0, 0, 0), PSCI_NOT_SUPPORTED);
}

const struct test tests[] = {
    {"version and features", version}, {"its own name", own_name},
    {"on and off", on_and_off},        {"on again", on_again},
    {"what is refused", refused},      {0},
};

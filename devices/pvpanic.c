/* SPDX-License-Identifier: MIT */
/*
 * pvpanic, from QEMU's specification of the device: a byte at port 0x505, found through the ACPI
 * device QEMU0001. Reading it says which events are understood; writing reports them:
 *
 *   bit 0  the kernel has panicked and will not go on: the machine ends with the crash status
 *   bit 1  it has panicked and is about to start its crash kernel, which may save a dump: say so,
 *          and let it
 *
 * Other bits are reserved and ignored. The device has no state that a guest could see, but a guest
 * that says the latter without end is not repeated without end.
 */
#include "devices/pvpanic.h"

#include <stdbool.h>
#include <string.h>

#include "vmm/trace.h"
#include "vmm/vm.h"

static uint64_t region_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)opaque;
    (void)offset;
    (void)size; /* the region is one byte */
    return PVPANIC_PANICKED | PVPANIC_CRASH_LOADED;
}

/* Looks first, so that the count stays far from wrapping. */
static bool may_report(struct pvpanic *pvpanic)
{
    return atomic_load(&pvpanic->reports) < PVPANIC_REPORTS_MAX &&
           atomic_fetch_add(&pvpanic->reports, 1) < PVPANIC_REPORTS_MAX;
}

static void region_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    struct pvpanic *pvpanic = opaque;
    (void)offset;
    (void)size;
    trace_pvpanic_event(value);
    if (value & PVPANIC_PANICKED) {
        vm_report("guest panic: its kernel told pvpanic that it cannot go on");
        vm_request(pvpanic->config.vm, VM_REQUEST_CRASH);
    } else if (value & PVPANIC_CRASH_LOADED && may_report(pvpanic)) {
        vm_report("guest panic: its kernel told pvpanic that a crash kernel takes over");
    }
}

static const struct bus_ops region_ops = {.read = region_read, .write = region_write};

int pvpanic_init(struct pvpanic *pvpanic, const struct pvpanic_config *config, struct error *err)
{
    memset(pvpanic, 0, sizeof(*pvpanic));
    pvpanic->config = *config;
    pvpanic->region = (struct bus_region){.name = "pvpanic",
                                          .size = 1,
                                          .priority = BUS_PRIORITY_FIXED,
                                          .ops = &region_ops,
                                          .opaque = pvpanic};
    return bus_add(config->bus, &pvpanic->region, PVPANIC_PORT, err);
}

void pvpanic_destroy(struct pvpanic *pvpanic)
{
    bus_remove(&pvpanic->region);
}

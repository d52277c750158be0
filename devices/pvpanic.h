/* SPDX-License-Identifier: MIT */
/*
 * pvpanic: one port through which a guest says that its kernel has panicked. devices/pvpanic.c
 * describes it.
 */
#ifndef DEVICES_PVPANIC_H
#define DEVICES_PVPANIC_H

#include <stdatomic.h>
#include <stdint.h>

#include "vmm/bus.h"
#include "vmm/error.h"

struct vm;

enum {
    PVPANIC_PORT = 0x505,
    PVPANIC_PANICKED = 1 << 0,     /* the guest cannot go on */
    PVPANIC_CRASH_LOADED = 1 << 1, /* it panicked, and a crash kernel takes over */
    PVPANIC_REPORTS_MAX = 8,       /* how often the latter is said on stderr */
};

struct pvpanic_config {
    struct bus *bus; /* ports */
    struct vm *vm;   /* who is told */
};

struct pvpanic {
    struct bus_region region;
    struct pvpanic_config config;
    atomic_uint reports; /* of crash kernels so far, also those that were not said */
};

/* Create the device on its port. It has no state to reset. Destroy when vCPUs are stopped. */
int pvpanic_init(struct pvpanic *pvpanic, const struct pvpanic_config *config, struct error *err);
void pvpanic_destroy(struct pvpanic *pvpanic);

#endif

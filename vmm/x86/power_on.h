/* SPDX-License-Identifier: MIT */
/* Back to power-on: all that KVM keeps of a VM and its vCPUs. See power_on.c. */
#ifndef VMM_X86_POWER_ON_H
#define VMM_X86_POWER_ON_H

#include "vmm/error.h"

struct vm;

/*
 * Reset the interrupt controllers, the PIT and every vCPU. Device interrupt lines are low already
 * (their devices were reset before); vCPUs are parked. Main thread.
 */
int x86_power_on_reset(struct vm *vm, struct error *err);

#endif

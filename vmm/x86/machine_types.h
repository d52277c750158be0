/* SPDX-License-Identifier: MIT */
/* The platform of an x86 machine: what struct machine holds besides the VM and PCI. */
#ifndef VMM_X86_MACHINE_TYPES_H
#define VMM_X86_MACHINE_TYPES_H

#include "devices/acpi_pm.h"
#include "devices/pvpanic.h"
#include "devices/reset_ports.h"
#include "devices/rtc_cmos.h"
#include "devices/serial.h"
#include "vmm/x86/boot.h"
#include "vmm/x86/memory_map.h"

/* What --machine sets: nothing. */
struct machine_properties {
    char none;
};

struct arch_machine {
    struct machine_properties properties;
    struct x86_memory_map map;
    struct boot boot;
    struct rtc_cmos rtc;
    struct serial serial;
    struct pvpanic pvpanic;
    struct acpi_pm acpi_pm;
    struct reset_ports reset_ports;
};

#endif

/* SPDX-License-Identifier: MIT */
/*
 * The three ways in which a PC's processor pulls its own reset line: the reset control register at
 * port 0xcf9, "fast reset" in system control port A at 0x92, and the keyboard controller's pulse
 * command at 0x64. devices/reset_ports.c describes their bits.
 *
 * Port 0xcf9 lies inside the PCI address latch at 0xcf8, which takes 4-byte accesses only. The PCI
 * host owns 0xcf8-0xcfb and passes smaller accesses on: put reset_ports_cf9_ops, with the struct
 * reset_ports as its opaque, into struct pci_host_config.
 */
#ifndef DEVICES_RESET_PORTS_H
#define DEVICES_RESET_PORTS_H

#include <stdatomic.h>
#include <stdint.h>

#include "vmm/bus.h"
#include "vmm/error.h"

struct vm;

enum {
    RESET_CONTROL_PORT = 0xcf9,
    RESET_CONTROL_SYSTEM = 1 << 1, /* SYS_RST: a hard reset rather than INIT of the processor */
    RESET_CONTROL_CPU = 1 << 2,    /* RST_CPU: a change from 0 to 1 resets */
    RESET_CONTROL_FULL = 1 << 3,   /* FULL_RST: power-cycle */
    RESET_CONTROL_VALUE = 0x06,    /* what the FADT tells the guest to write */
    SYSTEM_CONTROL_A_PORT = 0x92,
    KEYBOARD_DATA_PORT = 0x60,
    KEYBOARD_COMMAND_PORT = 0x64,
};

struct reset_ports_config {
    struct bus *bus; /* ports */
    struct vm *vm;   /* who is asked to reset */
};

struct reset_ports {
    struct bus_region system_control_region;
    struct bus_region keyboard_data_region;
    struct bus_region keyboard_command_region;
    struct reset_ports_config config;
    _Atomic uint8_t reset_control;  /* 0xcf9 */
    _Atomic uint8_t system_control; /* 0x92 */
};

/* Create the ports 0x60, 0x64 and 0x92; for 0xcf9 see above. Destroy when vCPUs are stopped. */
int reset_ports_init(struct reset_ports *ports, const struct reset_ports_config *config,
                     struct error *err);
void reset_ports_destroy(struct reset_ports *ports);

/* Back to the state after power-on. Any thread. */
void reset_ports_reset(struct reset_ports *ports);

/* Accesses of less than 4 bytes at 0xcf8 + offset; the opaque is a struct reset_ports. */
extern const struct bus_ops reset_ports_cf9_ops;

#endif

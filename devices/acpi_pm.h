/* SPDX-License-Identifier: MIT */
/*
 * ACPI fixed hardware (ACPI 6.5, chapter 4.8) at the ports of Intel's ICH9, as on QEMU's q35:
 * PM1 event and control registers, the power management timer, one general-purpose event block.
 *
 * Lock order: acpi_pm.lock, then the interrupt chip's.
 */
#ifndef DEVICES_ACPI_PM_H
#define DEVICES_ACPI_PM_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/bus.h"
#include "vmm/error.h"
#include "vmm/event_loop.h"
#include "vmm/irq.h"

struct vm;

/* Where the registers are; the FADT and the DSDT say the same to the guest. */
enum {
    ACPI_PM_PORT = 0x600,
    ACPI_PM_PORTS = 0x80,
    ACPI_PM1_EVENT_PORT = ACPI_PM_PORT,         /* PM1_STS, PM1_EN: 2 bytes each */
    ACPI_PM1_CONTROL_PORT = ACPI_PM_PORT + 0x4, /* PM1_CNT: 2 bytes */
    ACPI_PM_TIMER_PORT = ACPI_PM_PORT + 0x8,    /* PM_TMR: 4 bytes */
    ACPI_GPE0_PORT = ACPI_PM_PORT + 0x20,       /* GPE0_STS, GPE0_EN: 8 bytes each */
    ACPI_GPE0_LENGTH = 16,
    ACPI_PM_TIMER_HZ = 3579545,
    ACPI_PM_TIMER_BITS = 32,
    ACPI_SCI_GSI = 9,    /* level-triggered, active high: the MADT says so */
    ACPI_S5_SLP_TYP = 0, /* what \_S5 in the DSDT puts into PM1_CNT.SLP_TYP; as on QEMU's q35 */
};

struct acpi_pm_config {
    struct bus *bus; /* ports */
    struct irq_chip *irq;
    struct event_loop *loop; /* for the timer's overflow */
    struct vm *vm;           /* who is asked to power off */
    uint64_t (*clock)(void); /* nanoseconds, monotonic; NULL: event_now_ns() */
};

struct acpi_pm {
    struct bus_region region;
    struct acpi_pm_config config;
    struct event_timer timer;
    uint64_t start_ns; /* the timer counts from here; set once */

    pthread_mutex_t lock; /* guards all that follows */
    uint16_t pm1_status;
    uint16_t pm1_enable;
    uint16_t pm1_control;
    uint64_t gpe_status;
    uint64_t gpe_enable;
    uint64_t toggles_seen; /* toggles of the timer's top bit accounted for in TMR_STS */
    uint64_t deadline_ns;  /* when the overflow timer is due; 0: not armed */
    bool level;            /* of the SCI */
};

/* Create the block on its ports. Destroy it when vCPUs are stopped. */
int acpi_pm_init(struct acpi_pm *pm, const struct acpi_pm_config *config, struct error *err);
void acpi_pm_destroy(struct acpi_pm *pm);

/* Back to the state after power-on: no events, none enabled, ACPI mode. Any thread. */
void acpi_pm_reset(struct acpi_pm *pm);

/* Somebody presses the power button: the guest gets an SCI if it wants to know. Any thread. */
void acpi_pm_power_button(struct acpi_pm *pm);

/* A general-purpose event `gpe` (0 to 63) happens. The DSDT's \_GPE names them. Any thread. */
void acpi_pm_raise_gpe(struct acpi_pm *pm, unsigned gpe);

/* The top bit of the timer may have changed (the timer's handler; public for the unit test). */
void acpi_pm_timer_expired(void *opaque);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * ACPI fixed hardware, from ACPI 6.5, chapter 4.8. Offsets from port 0x600:
 *
 *   0x00  PM1_STS  2 bytes: TMR, GBL, PWRBTN, SLPBTN, RTC, WAK; writing a 1 clears that bit
 *   0x02  PM1_EN   2 bytes: the enables, at the same places
 *   0x04  PM1_CNT  2 bytes: SCI_EN (always 1), BM_RLD, SLP_TYP, SLP_EN (reads 0)
 *   0x08  PM_TMR   4 bytes: a counter at 3.579545 MHz; read-only
 *   0x20  GPE0_STS 8 bytes: general-purpose events; writing a 1 clears that bit
 *   0x28  GPE0_EN  8 bytes
 *   the rest of 0x80 bytes reads as 0 and ignores writes
 *
 * Registers may be accessed in any width; a wider access reaches its neighbours too.
 *
 * There is no legacy mode and so no SMI to leave it: the FADT's SMI_CMD is 0 and SCI_EN is
 * always 1. The only sleeping state is S5, off: SLP_EN with the SLP_TYP that \_S5 names asks the
 * machine to power off; with any other it does nothing.
 *
 * The timer is computed from the host's monotonic clock. TMR_STS is set each time the counter's top
 * bit toggles; it is found out when the status is looked at, and a timer is armed for the next
 * toggle only while TMR_EN asks for an interrupt.
 *
 * Invariant while the lock is not held: `level` equals sci_level().
 */
#include "devices/acpi_pm.h"

#include <string.h>

#include "vmm/trace.h"
#include "vmm/vm.h"

enum {
    PM1_EVENT = 0x00,
    PM1_CONTROL = 0x04,
    PM_TIMER = 0x08,
    GPE0_STATUS = 0x20,
    GPE0_ENABLE = 0x28,

    PM1_TMR = 1 << 0,
    PM1_GBL = 1 << 5,
    PM1_PWRBTN = 1 << 8,
    PM1_SLPBTN = 1 << 9,
    PM1_RTC = 1 << 10,
    PM1_WAK = 1 << 15,
    PM1_EVENTS = PM1_TMR | PM1_GBL | PM1_PWRBTN | PM1_SLPBTN | PM1_RTC,

    PM1_SCI_EN = 1 << 0,
    PM1_BM_RLD = 1 << 1,
    PM1_SLP_TYP_SHIFT = 10,
    PM1_SLP_TYP = 7 << PM1_SLP_TYP_SHIFT,
    PM1_SLP_EN = 1 << 13,
};

static const uint64_t ns_per_s = 1000000000;

/* ---- the timer */

static uint64_t elapsed_ns(const struct acpi_pm *pm)
{
    return pm->config.clock() - pm->start_ns;
}

static uint64_t timer_ticks(const struct acpi_pm *pm)
{
    return (unsigned __int128)elapsed_ns(pm) * ACPI_PM_TIMER_HZ / ns_per_s;
}

/* How often the top bit has changed. */
static uint64_t timer_toggles(const struct acpi_pm *pm)
{
    return timer_ticks(pm) >> (ACPI_PM_TIMER_BITS - 1);
}

/* The clock at the change number `toggle`, rounded up. */
static uint64_t toggle_ns(const struct acpi_pm *pm, uint64_t toggle)
{
    unsigned __int128 ticks = (unsigned __int128)toggle << (ACPI_PM_TIMER_BITS - 1);
    return pm->start_ns + (ticks * ns_per_s + ACPI_PM_TIMER_HZ - 1) / ACPI_PM_TIMER_HZ;
}

static void catch_up(struct acpi_pm *pm)
{
    uint64_t toggles = timer_toggles(pm);
    if (toggles != pm->toggles_seen) {
        pm->toggles_seen = toggles;
        pm->pm1_status |= PM1_TMR;
    }
}

static void arm_timer(struct acpi_pm *pm)
{
    bool wanted = pm->pm1_enable & ~pm->pm1_status & PM1_TMR;
    uint64_t deadline = wanted ? toggle_ns(pm, pm->toggles_seen + 1) : 0;
    if (deadline == pm->deadline_ns) {
        return;
    }
    pm->deadline_ns = deadline;
    if (wanted) {
        event_timer_set(&pm->timer, deadline);
    } else {
        event_timer_cancel(&pm->timer);
    }
}

/* ---- the interrupt */

static bool sci_level(const struct acpi_pm *pm)
{
    return pm->pm1_status & pm->pm1_enable & PM1_EVENTS || pm->gpe_status & pm->gpe_enable;
}

/* After every change of state. */
static void update(struct acpi_pm *pm)
{
    bool level = sci_level(pm);
    if (level != pm->level) {
        pm->level = level;
        trace_acpi_pm_sci(level);
        irq_set_level(pm->config.irq, ACPI_SCI_GSI, level);
    }
    arm_timer(pm);
}

void acpi_pm_timer_expired(void *opaque)
{
    struct acpi_pm *pm = opaque;
    pthread_mutex_lock(&pm->lock);
    pm->deadline_ns = 0;
    catch_up(pm);
    update(pm);
    pthread_mutex_unlock(&pm->lock);
}

void acpi_pm_power_button(struct acpi_pm *pm)
{
    pthread_mutex_lock(&pm->lock);
    pm->pm1_status |= PM1_PWRBTN;
    update(pm);
    pthread_mutex_unlock(&pm->lock);
}

void acpi_pm_raise_gpe(struct acpi_pm *pm, unsigned gpe)
{
    pthread_mutex_lock(&pm->lock);
    pm->gpe_status |= 1ull << (gpe & 63);
    update(pm);
    pthread_mutex_unlock(&pm->lock);
}

/* ---- registers, as aligned groups of 4 bytes */

static uint32_t read_group(struct acpi_pm *pm, unsigned group)
{
    switch (group) {
    case PM1_EVENT:
        catch_up(pm);
        update(pm);
        return pm->pm1_status | (uint32_t)pm->pm1_enable << 16;
    case PM1_CONTROL:
        return pm->pm1_control;
    case PM_TIMER:
        return timer_ticks(pm);
    case GPE0_STATUS:
        return pm->gpe_status;
    case GPE0_STATUS + 4:
        return pm->gpe_status >> 32;
    case GPE0_ENABLE:
        return pm->gpe_enable;
    case GPE0_ENABLE + 4:
        return pm->gpe_enable >> 32;
    default:
        return 0;
    }
}

static void write_pm1_event(struct acpi_pm *pm, uint32_t value, uint32_t mask)
{
    catch_up(pm);
    pm->pm1_status &= ~(value & mask);
    uint16_t enable_mask = (mask >> 16) & PM1_EVENTS;
    pm->pm1_enable = (pm->pm1_enable & ~enable_mask) | (value >> 16 & enable_mask);
}

/* True if the guest asks to be switched off. */
static bool write_pm1_control(struct acpi_pm *pm, uint32_t value, uint32_t mask)
{
    uint16_t writable = (PM1_BM_RLD | PM1_SLP_TYP) & mask;
    pm->pm1_control = (pm->pm1_control & ~writable) | (value & writable);
    unsigned type = (pm->pm1_control & PM1_SLP_TYP) >> PM1_SLP_TYP_SHIFT;
    return value & mask & PM1_SLP_EN && type == ACPI_S5_SLP_TYP;
}

static void write_enable(uint64_t *enable, uint64_t value, uint64_t mask)
{
    *enable = (*enable & ~mask) | (value & mask);
}

/* `mask` has ones at the bytes that are written. True if the guest asks to be switched off. */
static bool write_group(struct acpi_pm *pm, unsigned group, uint32_t value, uint32_t mask)
{
    switch (group) {
    case PM1_EVENT:
        write_pm1_event(pm, value, mask);
        break;
    case PM1_CONTROL:
        return write_pm1_control(pm, value, mask);
    case GPE0_STATUS:
        pm->gpe_status &= ~(uint64_t)(value & mask);
        break;
    case GPE0_STATUS + 4:
        pm->gpe_status &= ~((uint64_t)(value & mask) << 32);
        break;
    case GPE0_ENABLE:
        write_enable(&pm->gpe_enable, value, mask);
        break;
    case GPE0_ENABLE + 4:
        write_enable(&pm->gpe_enable, (uint64_t)value << 32, (uint64_t)mask << 32);
        break;
    default: /* PM_TMR is read-only; the rest is reserved */
        break;
    }
    return false;
}

/* ---- the bus: an access touches one group of 4 bytes, or two or three */

static uint64_t region_read(void *opaque, uint64_t offset, unsigned size)
{
    struct acpi_pm *pm = opaque;
    uint64_t value = 0;
    pthread_mutex_lock(&pm->lock);
    for (unsigned i = 0; i < size;) {
        unsigned byte = (offset + i) % 4;
        uint64_t group = read_group(pm, (offset + i) & ~3ull) >> 8 * byte;
        value |= group << 8 * i;
        i += 4 - byte;
    }
    pthread_mutex_unlock(&pm->lock);
    return value;
}

static void region_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    struct acpi_pm *pm = opaque;
    uint64_t written = size == 8 ? UINT64_MAX : (1ull << 8 * size) - 1;
    bool power_off = false;
    trace_acpi_pm_write(offset, value);
    pthread_mutex_lock(&pm->lock);
    for (unsigned i = 0; i < size;) {
        unsigned byte = (offset + i) % 4;
        uint32_t group_value = value >> 8 * i << 8 * byte;
        uint32_t group_mask = written >> 8 * i << 8 * byte;
        power_off |= write_group(pm, (offset + i) & ~3ull, group_value, group_mask);
        i += 4 - byte;
    }
    update(pm);
    pthread_mutex_unlock(&pm->lock);
    if (power_off) {
        vm_request(pm->config.vm, VM_REQUEST_POWEROFF);
    }
}

static const struct bus_ops region_ops = {.read = region_read, .write = region_write};

/* ---- life */

void acpi_pm_reset(struct acpi_pm *pm)
{
    pthread_mutex_lock(&pm->lock);
    pm->pm1_status = 0;
    pm->pm1_enable = 0;
    pm->pm1_control = PM1_SCI_EN;
    pm->gpe_status = 0;
    pm->gpe_enable = 0;
    pm->toggles_seen = timer_toggles(pm);
    update(pm);
    pthread_mutex_unlock(&pm->lock);
}

static int add_region(struct acpi_pm *pm, struct error *err)
{
    pm->region = (struct bus_region){.name = "acpi-pm",
                                     .size = ACPI_PM_PORTS,
                                     .priority = BUS_PRIORITY_FIXED,
                                     .ops = &region_ops,
                                     .opaque = pm};
    return bus_add(pm->config.bus, &pm->region, ACPI_PM_PORT, err);
}

int acpi_pm_init(struct acpi_pm *pm, const struct acpi_pm_config *config, struct error *err)
{
    memset(pm, 0, sizeof(*pm));
    pm->config = *config;
    if (!pm->config.clock) {
        pm->config.clock = event_now_ns;
    }
    pm->start_ns = pm->config.clock();
    int rc = event_timer_init(&pm->timer, config->loop, acpi_pm_timer_expired, pm);
    if (rc < 0) {
        return error_set(err, rc, "acpi-pm: cannot create a timer: %s", strerror(-rc));
    }
    pthread_mutex_init(&pm->lock, NULL);
    acpi_pm_reset(pm);
    rc = add_region(pm, err);
    if (rc < 0) {
        pthread_mutex_destroy(&pm->lock);
        event_timer_destroy(&pm->timer);
    }
    return rc;
}

void acpi_pm_destroy(struct acpi_pm *pm)
{
    bus_remove(&pm->region);
    event_timer_destroy(&pm->timer);
    pthread_mutex_destroy(&pm->lock);
}

/* SPDX-License-Identifier: MIT */
/*
 * How a PC resets itself. Three registers, each a byte:
 *
 *   0xcf9  reset control (Intel ICH9 data sheet, 13.7.5): bit 1 SYS_RST, a hard reset rather than
 *          INIT; bit 2 RST_CPU, whose change from 0 to 1 resets; bit 3 FULL_RST, power-cycle. All
 *          three read back. The FADT names this register and the value 6.
 *   0x92   system control port A: bit 0 fast reset, on a change from 0 to 1; bit 1 the A20 gate,
 *          which is remembered and, as on every chipset of today, gates nothing.
 *   0x64   the command port of a keyboard controller (8042). Commands 0xf0-0xff pulse output lines,
 *          of which line 0, active low, is the processor's reset: 0xfe pulses just that one.
 *
 * INIT and a hard reset are the same here: the whole machine resets.
 *
 * There is no keyboard controller otherwise. Its status register (0x64) and data port (0x60) read
 * as 0, "nothing in the input buffer, nothing in the output buffer": a guest that waits for its
 * input buffer to empty before it sends the reset command does not wait in vain, and one that looks
 * for a keyboard gets no answer to any command and concludes that there is none.
 *
 * State is two atomic bytes; there is no lock.
 */
#include "devices/reset_ports.h"

#include <stdbool.h>
#include <string.h>

#include "vmm/trace.h"
#include "vmm/vm.h"

enum {
    RESET_CONTROL_BITS = RESET_CONTROL_SYSTEM | RESET_CONTROL_CPU | RESET_CONTROL_FULL,
    RESET_CONTROL_OFFSET = 1, /* of 0xcf9 in the accesses the PCI host passes on, from 0xcf8 */

    SYSTEM_CONTROL_RESET = 1 << 0,
    SYSTEM_CONTROL_A20 = 1 << 1,

    KEYBOARD_PULSE = 0xf0, /* commands 0xf0-0xff; a 0 in bits 0-3 pulses that line */
    KEYBOARD_RESET_LINE = 1 << 0,
};

static void reset_machine(struct reset_ports *ports)
{
    vm_request(ports->config.vm, VM_REQUEST_RESET);
}

/* ---- 0xcf9 */

static void write_reset_control(struct reset_ports *ports, uint8_t value)
{
    trace_reset_port(RESET_CONTROL_PORT, value);
    uint8_t old = atomic_exchange(&ports->reset_control, value & RESET_CONTROL_BITS);
    if (value & ~old & RESET_CONTROL_CPU) {
        reset_machine(ports);
    }
}

/* Bytes at 0xcf8, 0xcfa and 0xcfb are nobody's and read as ones. */
static uint64_t cf9_read(void *opaque, uint64_t offset, unsigned size)
{
    struct reset_ports *ports = opaque;
    uint64_t value = UINT64_MAX;
    if (offset <= RESET_CONTROL_OFFSET && RESET_CONTROL_OFFSET < offset + size) {
        unsigned shift = 8 * (RESET_CONTROL_OFFSET - offset);
        value &= ~(0xffull << shift);
        value |= (uint64_t)atomic_load(&ports->reset_control) << shift;
    }
    return value;
}

static void cf9_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    if (offset <= RESET_CONTROL_OFFSET && RESET_CONTROL_OFFSET < offset + size) {
        write_reset_control(opaque, value >> 8 * (RESET_CONTROL_OFFSET - offset));
    }
}

const struct bus_ops reset_ports_cf9_ops = {.read = cf9_read, .write = cf9_write};

/* ---- 0x92 */

static uint64_t system_control_read(void *opaque, uint64_t offset, unsigned size)
{
    struct reset_ports *ports = opaque;
    (void)offset;
    (void)size; /* the region is one byte */
    return atomic_load(&ports->system_control);
}

static void system_control_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    struct reset_ports *ports = opaque;
    (void)offset;
    (void)size;
    trace_reset_port(SYSTEM_CONTROL_A_PORT, value);
    uint8_t old = atomic_exchange(&ports->system_control,
                                  value & (SYSTEM_CONTROL_RESET | SYSTEM_CONTROL_A20));
    if (value & ~old & SYSTEM_CONTROL_RESET) {
        reset_machine(ports);
    }
}

static const struct bus_ops system_control_ops = {.read = system_control_read,
                                                  .write = system_control_write};

/* ---- 0x60 and 0x64 */

static uint64_t keyboard_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)opaque;
    (void)offset;
    (void)size;
    return 0;
}

static void keyboard_data_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    (void)opaque;
    (void)offset;
    (void)size;
    trace_reset_port(KEYBOARD_DATA_PORT, value);
}

static void keyboard_command_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    (void)offset;
    (void)size;
    trace_reset_port(KEYBOARD_COMMAND_PORT, value);
    if ((value & KEYBOARD_PULSE) == KEYBOARD_PULSE && !(value & KEYBOARD_RESET_LINE)) {
        reset_machine(opaque);
    }
}

static const struct bus_ops keyboard_data_ops = {.read = keyboard_read,
                                                 .write = keyboard_data_write};
static const struct bus_ops keyboard_command_ops = {.read = keyboard_read,
                                                    .write = keyboard_command_write};

/* ---- life */

void reset_ports_reset(struct reset_ports *ports)
{
    atomic_store(&ports->reset_control, 0);
    atomic_store(&ports->system_control, SYSTEM_CONTROL_A20);
}

static int add_port(struct reset_ports *ports, struct bus_region *region, uint64_t port,
                    const char *name, const struct bus_ops *ops, struct error *err)
{
    *region = (struct bus_region){
        .name = name, .size = 1, .priority = BUS_PRIORITY_FIXED, .ops = ops, .opaque = ports};
    return bus_add(ports->config.bus, region, port, err);
}

static int add_ports(struct reset_ports *ports, struct error *err)
{
    int rc = add_port(ports, &ports->system_control_region, SYSTEM_CONTROL_A_PORT, "port92",
                      &system_control_ops, err);
    if (rc < 0) {
        return rc;
    }
    rc = add_port(ports, &ports->keyboard_data_region, KEYBOARD_DATA_PORT, "i8042-data",
                  &keyboard_data_ops, err);
    if (rc < 0) {
        return rc;
    }
    return add_port(ports, &ports->keyboard_command_region, KEYBOARD_COMMAND_PORT, "i8042-command",
                    &keyboard_command_ops, err);
}

int reset_ports_init(struct reset_ports *ports, const struct reset_ports_config *config,
                     struct error *err)
{
    memset(ports, 0, sizeof(*ports));
    ports->config = *config;
    reset_ports_reset(ports);
    int rc = add_ports(ports, err);
    if (rc < 0) {
        reset_ports_destroy(ports);
    }
    return rc;
}

void reset_ports_destroy(struct reset_ports *ports)
{
    bus_remove(&ports->keyboard_command_region);
    bus_remove(&ports->keyboard_data_region);
    bus_remove(&ports->system_control_region);
}

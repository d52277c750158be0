/* SPDX-License-Identifier: MIT */
/*
 * Rubbish into every port but those that end the run by their nature: reset, power-off, panic, and
 * those of the configuration space, which hostile.c does. Passed if the console still works.
 */
#include "ports.h"
#include "test.h"

static bool spared(uint32_t port)
{
    return port == PORT_KEYBOARD_COMMAND || port == 0x92 || port == PORT_PVPANIC ||
           (port >= PORT_PM1_CONTROL - 3 && port <= PORT_PM1_CONTROL + 1) ||
           (port >= PORT_CONFIG_ADDRESS - 3 && port < PORT_CONFIG_DATA + 4);
}

/* An access that is wide reaches the ports above, too: those are spared as far down. */
static bool spared_from(uint32_t port)
{
    for (uint32_t i = 0; i < 4; i++) {
        if (spared(port + i)) {
            return true;
        }
    }
    return false;
}

static void poke(uint16_t port, uint32_t random)
{
    switch (random >> 30) {
    case 0:
        outw(port, (uint16_t)random);
        (void)inw(port);
        break;
    case 1:
        outl(port, random);
        (void)inl(port);
        break;
    default:
        outb(port, (uint8_t)random);
        (void)inb(port);
    }
}

/* The console as it was: no loopback, no divisor latch, no interrupts, FIFOs empty, a new line. */
static void restore_console(void)
{
    outb(PORT_SERIAL + 3, 0x03);
    outb(PORT_SERIAL + 1, 0);
    outb(PORT_SERIAL + 4, 0);
    outb(PORT_SERIAL + 2, 0x07);
    print("\n"); /* the rubbish that went out ends here */
}

/* `step` ports apart: with 1 every port there is. */
static void all_ports(void)
{
    const unsigned step = (unsigned)test_parameter("step", 1);

    for (uint32_t port = 0; port <= 0xffff; port += port < 0x1000 ? 1 : step) {
        if (!spared_from(port)) {
            poke((uint16_t)port, (uint32_t)test_random());
        }
    }
    restore_console();
    CHECK_EQ(inb(PORT_SERIAL + 5) & 0x60, 0x60);
}

/* Where the devices are, again and again. */
static void device_ports(void)
{
    static const struct {
        uint16_t first, count;
    } ranges[] = {{0x20, 2}, {0x40, 4}, {0x61, 1}, {0x70, 2}, {0xa0, 2}, {0x600, 1}, {0x608, 0x78}};

    for (unsigned i = 0; i < 1500; i++) {
        const uint64_t random = test_random();
        const unsigned which = random >> 32 & 7;

        if (which < 7) {
            poke((uint16_t)(ranges[which].first + (random >> 40) % ranges[which].count),
                 (uint32_t)random & 0xbfffffff);
        } else {
            outb((uint16_t)(PORT_SERIAL + (random >> 40) % 8), (uint8_t)random);
        }
    }
    restore_console();
    CHECK_EQ(inb(PORT_SERIAL + 5) & 0x60, 0x60);
}

const struct test tests[] = {
    {"every port", all_ports},
    {"the devices' ports", device_ports},
    {0},
};

/* SPDX-License-Identifier: MIT */
/*
 * Every way to reboot, one after the other. CMOS RAM has a battery and says after each reset which
 * one it was; devices and processors must be as after power-on.
 */
#include "engine.h"
#include "pci.h"
#include "ports.h"
#include "test.h"

enum {
    CMOS_MAGIC = 0x60, /* free bytes of CMOS RAM */
    CMOS_STAGE = 0x61,
    CMOS_RAN_ON = 0x62,
    MAGIC = 0x5a,
};

static uint8_t cmos_read(uint8_t index)
{
    outb(PORT_CMOS_INDEX, index);
    return inb(PORT_CMOS_DATA);
}

static void cmos_write(uint8_t index, uint8_t value)
{
    outb(PORT_CMOS_INDEX, index);
    outb(PORT_CMOS_DATA, value);
}

static void by_reset_control(void)
{
    outb(PORT_RESET_CONTROL, 0x02);
    outb(PORT_RESET_CONTROL, RESET_FULL);
}

static void by_keyboard_controller(void)
{
    outb(PORT_KEYBOARD_COMMAND, KEYBOARD_PULSE_RESET);
}

static void by_port_92(void)
{
    outb(0x92, (uint8_t)(inb(0x92) & ~1));
    outb(0x92, (uint8_t)(inb(0x92) | 1));
}

static void on_other_processor(void *unused)
{
    (void)unused;
    by_reset_control();
    cmos_write(CMOS_RAN_ON, 1);
}

static void by_other_processor(void)
{
    if (arch_cpu_start(1, on_other_processor, NULL)) {
        (void)arch_cpu_join(1);
    }
}

static const struct {
    const char *name;
    void (*reset)(void);
    unsigned cpus;
} stages[] = {
    {"port 0xcf9", by_reset_control, 1},
    {"keyboard controller", by_keyboard_controller, 1},
    {"port 0x92", by_port_92, 1},
    {"0xcf9 on the other processor", by_other_processor, 2},
};
enum { STAGES = sizeof(stages) / sizeof(stages[0]) };

static unsigned stage(void)
{
    return cmos_read(CMOS_MAGIC) == MAGIC ? cmos_read(CMOS_STAGE) : 0;
}

/* Things that a reset has to undo. */
static void leave_traces(void)
{
    struct engine engine;

    if (engine_open(&engine, 0, 0)) {
        mmio_write32(engine.base + DMA_ENGINE_INTX_ENABLE, DMA_ENGINE_INTX_ENABLED);
        engine_start(&engine, 64 << 20, 96 << 20, 32 << 20);
    }
    outb(PORT_SERIAL + 7, 0x77);
    outl(PORT_CONFIG_ADDRESS, CONFIG_ENABLE | 0x1234);
}

static void check_traces(void)
{
    const unsigned bdf = pci_find(0, DMA_ENGINE_VENDOR_ID, DMA_ENGINE_DEVICE_ID, 0);

    CHECK(bdf != PCI_NONE);
    CHECK_EQ(pci_read32(bdf, PCI_BAR0), 0);
    CHECK_EQ(pci_read(bdf, PCI_COMMAND, 2), 0);
    CHECK_EQ(inb(PORT_RESET_CONTROL) & 6, 0);
    struct engine engine;
    CHECK(engine_open(&engine, 0, 0));
    CHECK_EQ(mmio_read64(engine.base + DMA_ENGINE_CTRL), 0);
    CHECK_EQ(cmos_read(CMOS_RAN_ON), 0); /* no instruction ran after the one that asked */
}

/* Says what brought us here, then does the next; the machine comes back to this function. */
static void resets(void)
{
    const unsigned now = stage();

    CHECK(now <= STAGES);
    print("BOOT after %s\n", now ? stages[now - 1].name : "power-on");
    if (now) {
        check_traces();
    }
    if (now == STAGES || test_over()) {
        return;
    }
    if (arch_cpu_count() < stages[now].cpus) {
        SKIP("one processor");
    }
    cmos_write(CMOS_MAGIC, MAGIC);
    cmos_write(CMOS_STAGE, (uint8_t)(now + 1));
    cmos_write(CMOS_RAN_ON, 0);
    leave_traces();
    stages[now].reset();
    cmos_write(CMOS_RAN_ON, 1);
    CHECK(WAIT_UNTIL(false)); /* reset did not happen */
}

const struct test tests[] = {
    {"every way to reset", resets},
    {0},
};

/* SPDX-License-Identifier: MIT */
/*
 * Port I/O of every width, and string I/O. A port stays where it is while a string instruction
 * walks through memory, whatever the width and the direction.
 */
#include "pci.h"
#include "ports.h"
#include "test.h"

enum {
    UART_DATA = PORT_SERIAL,
    UART_FIFO = PORT_SERIAL + 2,
    UART_FIFO_ENABLE_AND_CLEAR = 0x07,
    UART_MODEM_CONTROL = PORT_SERIAL + 4,
    UART_LOOPBACK = 0x10,
    UART_LINE_STATUS = PORT_SERIAL + 5,
    UART_DATA_READY = 0x01,
    UART_SCRATCH = PORT_SERIAL + 7,
    UNCLAIMED = 0xa20,
};

static uint8_t bytes[16] __attribute__((aligned(16)));
static uint32_t longs[1024] __attribute__((aligned(4096)));

static void single_byte(void)
{
    outb(UART_SCRATCH, 0x5a);
    CHECK_EQ(inb(UART_SCRATCH), 0x5a);
    outb(UART_SCRATCH, 0xa5);
    CHECK_EQ(inb(UART_SCRATCH), 0xa5);
}

/* The three widths at a register of 32 bits. */
static void widths(void)
{
    outl(PORT_CONFIG_ADDRESS, CONFIG_ENABLE);
    const uint32_t id = inl(PORT_CONFIG_DATA);

    CHECK(id != 0xffffffff);
    CHECK_EQ(inw(PORT_CONFIG_DATA), id & 0xffff);
    CHECK_EQ(inw(PORT_CONFIG_DATA + 2), id >> 16);
    CHECK_EQ(inb(PORT_CONFIG_DATA), id & 0xff);
    CHECK_EQ(inb(PORT_CONFIG_DATA + 3), id >> 24);
}

/* A narrow read leaves the rest of RAX as it was; a 32-bit one clears the upper half. */
static void upper_bits(void)
{
    uint64_t rax = 0x1122334455667788;

    __asm__ volatile("inb %%dx, %%al" : "+a"(rax) : "d"(UNCLAIMED));
    CHECK_EQ(rax, 0x11223344556677ff);
    __asm__ volatile("inw %%dx, %%ax" : "+a"(rax) : "d"(UNCLAIMED));
    CHECK_EQ(rax, 0x112233445566ffff);
    __asm__ volatile("inl %%dx, %%eax" : "+a"(rax) : "d"(UNCLAIMED));
    CHECK_EQ(rax, 0xffffffff);
}

static void unclaimed(void)
{
    static const uint16_t ports[] = {UNCLAIMED, 0x5001, 0xfffc};

    for (unsigned i = 0; i < 3; i++) {
        outb(ports[i], 0);
        outw(ports[i], 0);
        outl(ports[i], 0);
        CHECK_EQ(inb(ports[i]), 0xff);
        CHECK_EQ(inw(ports[i]), 0xffff);
        CHECK_EQ(inl(ports[i]), 0xffffffff);
    }
    CHECK_EQ(inb(0xffff), 0xff);
}

/* What is written in loopback comes back through the FIFO, in the order it was written. */
static void loopback(bool on)
{
    outb(UART_FIFO, UART_FIFO_ENABLE_AND_CLEAR);
    outb(UART_MODEM_CONTROL, on ? UART_LOOPBACK : 0);
}

static void fill_bytes(void)
{
    for (uint8_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)('A' + i);
    }
}

static void string_bytes(void)
{
    uint8_t back[16];

    fill_bytes();
    loopback(true);
    const void *end = rep_outsb(UART_DATA, bytes, 8, false);
    const bool ready = inb(UART_LINE_STATUS) & UART_DATA_READY;
    void *back_end = rep_insb(UART_DATA, back, 8, false);
    const bool still_ready = inb(UART_LINE_STATUS) & UART_DATA_READY;
    loopback(false);
    CHECK(ready);
    CHECK(!still_ready);
    CHECK(end == bytes + 8);
    CHECK(back_end == back + 8);
    CHECK_EQ(memcmp(back, bytes, 8), 0);
}

/* With the direction flag set memory is walked downwards, out of it and into it. */
static void string_bytes_down(void)
{
    uint8_t back[16];

    fill_bytes();
    loopback(true);
    const void *end = rep_outsb(UART_DATA, bytes + 8, 8, true);
    void *back_end = rep_insb(UART_DATA, back + 8, 8, true);
    loopback(false);
    CHECK(end == bytes);
    CHECK(back_end == back);
    CHECK_EQ(memcmp(back + 1, bytes + 1, 8), 0);
}

static void string_words(void)
{
    uint16_t words[6] = {0, 0, 0, 0, 0, 0x1234};

    outl(PORT_CONFIG_ADDRESS, CONFIG_ENABLE);
    const uint32_t id = inl(PORT_CONFIG_DATA);
    rep_insw(PORT_CONFIG_DATA, words, 5, false);
    for (unsigned i = 0; i < 5; i++) {
        CHECK_EQ(words[i], id & 0xffff);
    }
    CHECK_EQ(words[5], 0x1234);
    rep_insw(PORT_CONFIG_DATA + 2, words + 4, 5, true);
    for (unsigned i = 0; i < 5; i++) {
        CHECK_EQ(words[i], id >> 16);
    }
}

/* More than one piece for KVM: across a page border, and longer than one exit carries. */
static void string_longs(void)
{
    uint32_t *const first = longs + 1;
    enum { COUNT = 1022 };

    longs[0] = longs[COUNT + 1] = 0xdeadbeef;
    outl(PORT_CONFIG_ADDRESS, CONFIG_ENABLE);
    const uint32_t id = inl(PORT_CONFIG_DATA);
    CHECK(rep_insl(PORT_CONFIG_DATA, first, COUNT, false) == first + COUNT);
    for (unsigned i = 0; i < COUNT; i++) {
        CHECK_EQ(first[i], id);
    }
    CHECK_EQ(longs[0], 0xdeadbeef);
    CHECK_EQ(longs[COUNT + 1], 0xdeadbeef);
}

/* Into registers: each element is a write of its own, the last one stays. */
static void string_out_longs(void)
{
    const uint32_t addresses[4] = {0, CONFIG_ENABLE | 0x10, CONFIG_ENABLE, CONFIG_ENABLE | 8};

    rep_outsl(PORT_CONFIG_ADDRESS, addresses, 4, false);
    CHECK_EQ(inl(PORT_CONFIG_ADDRESS), CONFIG_ENABLE | 8);
    rep_outsl(PORT_CONFIG_ADDRESS, addresses + 3, 3, true);
    CHECK_EQ(inl(PORT_CONFIG_ADDRESS), CONFIG_ENABLE | 0x10);
    rep_outsl(PORT_CONFIG_ADDRESS, addresses, 0, false);
    CHECK_EQ(inl(PORT_CONFIG_ADDRESS), CONFIG_ENABLE | 0x10);
}

static void string_out_words(void)
{
    const uint16_t words[3] = {0x1111, 0x2222, 0x3333};

    rep_outsw(UNCLAIMED, words, 3, false);
    CHECK_EQ(inw(UNCLAIMED), 0xffff);
}

static void string_unclaimed(void)
{
    memset(bytes, 0, sizeof(bytes));
    rep_insb(UNCLAIMED, bytes, 15, false);
    for (unsigned i = 0; i < 15; i++) {
        CHECK_EQ(bytes[i], 0xff);
    }
    CHECK_EQ(bytes[15], 0);
    rep_insb(UNCLAIMED, bytes + 15, 0, false);
    CHECK_EQ(bytes[15], 0);
}

/* A line of its own on the console by one instruction; the harness looks for it. */
static void string_console(void)
{
    static const char text[] = "STRING outsb to the console\n";

    rep_outsb(UART_DATA, text, sizeof(text) - 1, false);
}

const struct test tests[] = {
    {"byte in and out", single_byte},
    {"every width in", widths},
    {"bits above the width", upper_bits},
    {"unclaimed ports", unclaimed},
    {"outsb and insb", string_bytes},
    {"outsb and insb downwards", string_bytes_down},
    {"insw", string_words},
    {"insl over pages", string_longs},
    {"outsl", string_out_longs},
    {"outsw", string_out_words},
    {"insb of nothing", string_unclaimed},
    {"outsb to the console", string_console},
    {0},
};

/* SPDX-License-Identifier: MIT */
/*
 * The PL061 general-purpose I/O, from Arm's "PrimeCell General Purpose Input/Output (PL061)
 * Technical Reference Manual" (DDI 0190). Every register has a bit for each of the eight pins.
 *
 *   offset       name     access
 *   0x000-0x3fc  DATA     RW   the pins; bits 9-2 of the address are a mask: the others read as 0
 *                              and keep what they are
 *   0x400        DIR      RW   1: an output, which shows what was written to DATA
 *   0x404        IS       RW   1: the interrupt is sensitive to the level, 0: to edges
 *   0x408        IBE      RW   1: to both edges, 0: to the one that IEV says
 *   0x40c        IEV      RW   1: rising edge or high level, 0: falling edge or low level
 *   0x410        IE       RW   1: the interrupt reaches the pin GPIOINTR, which all share
 *   0x414        RIS      RO   1: there is one
 *   0x418        MIS      RO   RIS & IE
 *   0x41c        IC       WO   writing a 1 clears an edge
 *   0x420        AFSEL    RW   hardware control; nothing here has any, so it is stored and no more
 *   0xfe0        PeriphID, PCellID
 *
 * Nothing is on the pins but one key, which is up (0) or held down (1) for a moment.
 *
 * Invariants while the lock is not held: `level` equals the pin GPIOINTR; `seen` equals pins().
 */
#include "devices/pl061.h"

#include <string.h>

#include "devices/primecell.h"
#include "vmm/trace.h"

enum {
    DATA_END = 0x400,
    DIR = 0x400,
    IS = 0x404,
    IBE = 0x408,
    IEV = 0x40c,
    IE = 0x410,
    RIS = 0x414,
    MIS = 0x418,
    IC = 0x41c,
    AFSEL = 0x420,
    PERIPHERAL_ID = 0x00041061,
};

/* ---- pins and the interrupt */

static uint8_t pins(const struct pl061 *gpio)
{
    return (gpio->direction & gpio->data) | (~gpio->direction & gpio->inputs);
}

static uint8_t raw_status(const struct pl061 *gpio)
{
    uint8_t active = ~(pins(gpio) ^ gpio->event);
    return (gpio->sense & active) | (~gpio->sense & gpio->edges);
}

/* After every change of state. */
static void update(struct pl061 *gpio)
{
    uint8_t now = pins(gpio);
    uint8_t rose = now & ~gpio->seen;
    uint8_t fell = ~now & gpio->seen;
    gpio->seen = now;
    gpio->edges |=
        (rose & (gpio->event | gpio->both_edges)) | (fell & (~gpio->event | gpio->both_edges));
    gpio->edges &= ~gpio->sense; /* a pin that is sensitive to its level has none */
    bool level = raw_status(gpio) & gpio->enable;
    if (level != gpio->level) {
        gpio->level = level;
        trace_pl061_irq(level);
        irq_set_level(gpio->config.irq, gpio->config.gsi, level);
    }
}

/* ---- the key */

/* The lock is held. */
static void set_key(struct pl061 *gpio, bool down)
{
    uint8_t bit = 1u << gpio->config.key;
    trace_pl061_key(gpio->config.key, down);
    gpio->inputs = down ? gpio->inputs | bit : gpio->inputs & ~bit;
    update(gpio);
}

void pl061_press_key(struct pl061 *gpio)
{
    const uint64_t ns_per_ms = 1000000;
    pthread_mutex_lock(&gpio->lock);
    set_key(gpio, true);
    event_timer_set(&gpio->timer, event_now_ns() + PL061_KEY_MS * ns_per_ms);
    pthread_mutex_unlock(&gpio->lock);
}

void pl061_timer_expired(void *opaque)
{
    struct pl061 *gpio = opaque;
    pthread_mutex_lock(&gpio->lock);
    set_key(gpio, false);
    pthread_mutex_unlock(&gpio->lock);
}

/* ---- registers */

/* Where a register that software reads and writes is kept; NULL: `offset` is none of these. */
static uint8_t *stored(struct pl061 *gpio, unsigned offset)
{
    switch (offset) {
    case DIR:
        return &gpio->direction;
    case IS:
        return &gpio->sense;
    case IBE:
        return &gpio->both_edges;
    case IEV:
        return &gpio->event;
    case IE:
        return &gpio->enable;
    case AFSEL:
        return &gpio->alternate;
    default:
        return NULL;
    }
}

/* The mask that a DATA address stands for. */
static uint8_t mask_of(unsigned offset)
{
    return offset >> 2 & 0xff;
}

static uint32_t read_locked(struct pl061 *gpio, unsigned offset)
{
    const uint8_t *value = stored(gpio, offset);
    if (value) {
        return *value;
    }
    if (offset < DATA_END) {
        return pins(gpio) & mask_of(offset);
    }
    switch (offset) {
    case RIS:
        return raw_status(gpio);
    case MIS:
        return raw_status(gpio) & gpio->enable;
    default:
        return offset >= PRIMECELL_ID ? primecell_id(PERIPHERAL_ID, offset) : 0;
    }
}

static void write_locked(struct pl061 *gpio, unsigned offset, uint8_t value)
{
    uint8_t *to = stored(gpio, offset);
    if (to) {
        *to = value;
    } else if (offset < DATA_END) {
        uint8_t mask = mask_of(offset);
        gpio->data = (gpio->data & ~mask) | (value & mask);
    } else if (offset == IC) {
        gpio->edges &= ~value;
    } /* the others are read-only or reserved */
}

static uint32_t read_register(void *opaque, unsigned offset)
{
    struct pl061 *gpio = opaque;
    pthread_mutex_lock(&gpio->lock);
    uint32_t value = read_locked(gpio, offset);
    pthread_mutex_unlock(&gpio->lock);
    trace_pl061_read(offset, value);
    return value;
}

static void write_register(void *opaque, unsigned offset, uint32_t value)
{
    struct pl061 *gpio = opaque;
    trace_pl061_write(offset, value);
    pthread_mutex_lock(&gpio->lock);
    write_locked(gpio, offset, (uint8_t)value);
    update(gpio);
    pthread_mutex_unlock(&gpio->lock);
}

static uint64_t region_read(void *opaque, uint64_t offset, unsigned size)
{
    return primecell_read(opaque, offset, size, read_register);
}

static void region_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    primecell_write(opaque, offset, size, value, write_register);
}

static const struct bus_ops region_ops = {.read = region_read, .write = region_write};

/* ---- life */

void pl061_reset(struct pl061 *gpio)
{
    pthread_mutex_lock(&gpio->lock);
    event_timer_cancel(&gpio->timer);
    gpio->data = gpio->direction = gpio->sense = gpio->both_edges = gpio->event = 0;
    gpio->enable = gpio->alternate = 0;
    gpio->inputs = gpio->seen = 0; /* and the key's coming up is no edge */
    gpio->edges = 0;
    update(gpio);
    pthread_mutex_unlock(&gpio->lock);
}

int pl061_init(struct pl061 *gpio, const struct pl061_config *config, struct error *err)
{
    memset(gpio, 0, sizeof(*gpio));
    gpio->config = *config;
    int ret = event_timer_init(&gpio->timer, config->loop, pl061_timer_expired, gpio);
    if (ret < 0) {
        return error_set(err, ret, "pl061: cannot create a timer: %s", strerror(-ret));
    }
    pthread_mutex_init(&gpio->lock, NULL);
    gpio->region = (struct bus_region){.name = "pl061",
                                       .size = PL061_SIZE,
                                       .priority = BUS_PRIORITY_FIXED,
                                       .ops = &region_ops,
                                       .opaque = gpio};
    ret = bus_add(config->bus, &gpio->region, config->base, err);
    if (ret < 0) {
        pthread_mutex_destroy(&gpio->lock);
        event_timer_destroy(&gpio->timer);
    }
    return ret;
}

void pl061_destroy(struct pl061 *gpio)
{
    bus_remove(&gpio->region);
    event_timer_destroy(&gpio->timer);
    pthread_mutex_destroy(&gpio->lock);
}

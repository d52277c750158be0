/* SPDX-License-Identifier: MIT */
/*
 * What the tests of the platform devices stand on: two buses, an interrupt chip that records, an
 * event loop whose timers never run by themselves, a clock that only the test moves, and a VM of
 * which only the part behind vm_request() is there.
 *
 * A test reaches its device as a guest does, by addresses on a bus.
 */
#ifndef TESTS_UNIT_PLATFORM_FIXTURE_H
#define TESTS_UNIT_PLATFORM_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/bus.h"
#include "vmm/event_loop.h"
#include "vmm/irq.h"
#include "vmm/vm.h"

enum { FAKE_PINS = 24 };

struct fake_irq {
    struct irq_chip chip; /* first */
    bool level[FAKE_PINS];
    unsigned rises[FAKE_PINS];
    unsigned falls[FAKE_PINS];
};

struct platform_fixture {
    struct vm vm; /* its pio bus, its loop, and `request` */
    struct fake_irq irq;
    struct bus_cursor cursor;
    void *device; /* the test's own */
};

/* A device has to call on changes only: the same level twice is a failure. */
static inline int fake_set_level(struct irq_chip *chip, uint32_t gsi, bool level)
{
    struct fake_irq *irq = (struct fake_irq *)chip;
    assert_true(gsi < FAKE_PINS);
    assert_int_not_equal(irq->level[gsi], level);
    irq->level[gsi] = level;
    irq->rises[gsi] += level;
    irq->falls[gsi] += !level;
    return 0;
}

static const struct irq_chip_ops fake_irq_ops = {.set_level = fake_set_level};

static inline void fixture_init(struct platform_fixture *fixture)
{
    struct error err = {0};
    memset(fixture, 0, sizeof(*fixture));
    fixture->irq.chip.ops = &fake_irq_ops;
    assert_int_equal(event_loop_init(&fixture->vm.loop, &err), 0);
    assert_int_equal(bus_init(&fixture->vm.pio, "pio", 0xffff), 0);
    pthread_mutex_init(&fixture->vm.lock, NULL);
    pthread_cond_init(&fixture->vm.changed, NULL);
    bus_cursor_init(&fixture->cursor, &fixture->vm.pio);
}

static inline void fixture_destroy(struct platform_fixture *fixture)
{
    bus_cursor_destroy(&fixture->cursor);
    bus_destroy(&fixture->vm.pio);
    event_loop_destroy(&fixture->vm.loop);
    pthread_mutex_destroy(&fixture->vm.lock);
    pthread_cond_destroy(&fixture->vm.changed);
}

static inline uint64_t in(struct platform_fixture *fixture, uint64_t port, unsigned size)
{
    uint64_t value = bus_read(&fixture->cursor, port, size);
    return size == 8 ? value : value & ((1ull << 8 * size) - 1); /* as a vCPU takes it */
}

static inline uint8_t inb(struct platform_fixture *fixture, uint64_t port)
{
    return bus_read(&fixture->cursor, port, 1);
}

static inline void out(struct platform_fixture *fixture, uint64_t port, unsigned size,
                       uint64_t value)
{
    bus_write(&fixture->cursor, port, size, value);
}

static inline void outb(struct platform_fixture *fixture, uint64_t port, uint8_t value)
{
    bus_write(&fixture->cursor, port, 1, value);
}

/* What was asked of the machine since the last call. */
static inline enum vm_request taken_request(struct platform_fixture *fixture)
{
    return atomic_exchange(&fixture->vm.request, VM_REQUEST_NONE);
}

#endif

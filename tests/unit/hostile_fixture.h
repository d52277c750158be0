/* SPDX-License-Identifier: MIT */
/*
 * What a guest that means harm is let loose on: a tree of bridges, engines and test devices, and an
 * interrupt controller that threads may share.
 */
#ifndef TESTS_UNIT_HOSTILE_FIXTURE_H
#define TESTS_UNIT_HOSTILE_FIXTURE_H

#include "pci_fixture.h"

#include <pthread.h>

#include "devices/dma_engine.h"
#include "devices/dma_engine_regs.h"
#include "devices/pci_testdev.h"
#include "devices/pci_testdev_regs.h"

enum { HOSTILE_RAM = 4 << 20 };

/* ---- the fake interrupt controller with a lock, as KVM has one */

static pthread_mutex_t chip_lock = PTHREAD_MUTEX_INITIALIZER;

static int locked_set_level(struct irq_chip *chip, uint32_t gsi, bool level)
{
    pthread_mutex_lock(&chip_lock);
    int ret = fake_irq_set_level(chip, gsi, level);
    pthread_mutex_unlock(&chip_lock);
    return ret;
}

static int locked_add(struct irq_chip *chip, struct msi_route *route)
{
    pthread_mutex_lock(&chip_lock);
    int ret = fake_irq_add(chip, route);
    pthread_mutex_unlock(&chip_lock);
    return ret;
}

static void locked_remove(struct irq_chip *chip, struct msi_route *route)
{
    pthread_mutex_lock(&chip_lock);
    fake_irq_remove(chip, route);
    pthread_mutex_unlock(&chip_lock);
}

static int locked_route(struct irq_chip *chip, struct msi_route *route,
                        const struct msi_message *message)
{
    pthread_mutex_lock(&chip_lock);
    int ret = fake_irq_route(chip, route, message);
    pthread_mutex_unlock(&chip_lock);
    return ret;
}

static void locked_raise(struct irq_chip *chip, struct msi_route *route)
{
    pthread_mutex_lock(&chip_lock);
    fake_irq_raise(chip, route);
    pthread_mutex_unlock(&chip_lock);
}

static const struct irq_chip_ops locked_ops = {
    .set_level = locked_set_level,
    .msi_add = locked_add,
    .msi_remove = locked_remove,
    .msi_route = locked_route,
    .msi_raise = locked_raise,
};

/* ---- the machine */

static UNUSED int hostile_setup(void **state)
{
    struct error err = {0};
    assert_int_equal(fixture_setup(state), 0);
    struct fixture *f = *state;
    f->irq.chip.ops = &locked_ops;
    assert_int_equal(guest_memory_add(&f->ram, gpa(0), HOSTILE_RAM, false, &err), 0);
    plug(f, &root_port_type, "id=rp,addr=1");
    plug(f, &switch_upstream_type, "id=up,bus=rp");
    plug(f, &switch_downstream_type, "id=d0,bus=up,addr=0");
    plug(f, &switch_downstream_type, "id=d1,bus=up,addr=1");
    plug(f, &dma_engine_type, "bus=d0,inline-max=4096");
    plug(f, &pci_testdev_type, "bus=d1,vectors=8");
    plug(f, &dma_engine_type, "addr=4,inline-max=65536");
    plug(f, &pci_testdev_type, "addr=5");
    plug(f, &root_port_type, "id=rp2,addr=6");
    return 0;
}

static UNUSED int hostile_teardown(void **state)
{
    struct guest_memory ram = ((struct fixture *)*state)->ram;
    int ret = fixture_teardown(state);
    guest_memory_destroy(&ram);
    return ret;
}

/* ---- what is left after a reset */

static UNUSED void assert_at_rest(struct fixture *f)
{
    for (unsigned gsi = 0; gsi < FAKE_IRQ_MSI_FIRST; gsi++) {
        assert_false(f->irq.level[gsi]);
    }
    assert_int_equal(f->irq.reserved, 0);
    for (unsigned i = 0; i < f->host.device_count; i++) {
        struct pci_device *device = f->host.devices[i];
        assert_memory_equal(device->config, device->reset_config, PCI_CONFIG_SIZE);
        assert_false(atomic_load(&device->dma.bus_master));
        for (unsigned bar = 0; bar < PCI_BAR_COUNT; bar++) {
            assert_false(device->bars[bar].mapped);
            assert_null(device->bars[bar].region.bus);
        }
    }
    for (unsigned bus = 1; bus < PCI_BUS_COUNT; bus++) {
        assert_null(pci_host_find(&f->host, bus, 0));
    }
}

#endif

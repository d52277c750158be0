/* SPDX-License-Identifier: MIT */
/*
 * A root port with hot-plug, on the fixture of the other PCI tests, and who parks vCPUs: here it
 * counts, and keeps what it was told.
 */
#ifndef TESTS_UNIT_HOTPLUG_FIXTURE_H
#define TESTS_UNIT_HOTPLUG_FIXTURE_H

#include "pci_fixture.h"

#include <poll.h>

enum {
    OFF = PCI_EXP_SLTCTL_PWR_OFF | PCI_EXP_SLTCTL_PWR_IND_OFF | PCI_EXP_SLTCTL_ATTN_IND_OFF,
    ON = PCI_EXP_SLTCTL_PWR_IND_ON | PCI_EXP_SLTCTL_ATTN_IND_OFF,
    BLINKING = PCI_EXP_SLTCTL_PWR_IND_BLINK | PCI_EXP_SLTCTL_ATTN_IND_OFF,
};

struct holder {
    struct fixture *fixture;
    unsigned holds, releases, removals;
    bool held;
    char last[32]; /* who was removed */
};

static struct holder holder;

static void test_hold(void *opaque)
{
    struct holder *h = opaque;
    assert_false(h->held);
    h->held = true;
    h->holds++;
}

static void test_release(void *opaque)
{
    struct holder *h = opaque;
    assert_true(h->held);
    h->held = false;
    h->releases++;
}

static void test_removed(void *opaque, const char *id)
{
    struct holder *h = opaque;
    assert_false(h->held); /* whoever is told may plug something in at once */
    assert_null(pci_host_find_id(&h->fixture->host, id));
    h->removals++;
    snprintf(h->last, sizeof(h->last), "%s", id);
    event_loop_stop(&h->fixture->loop);
}

static const struct pci_hotplug_ops test_hotplug_ops = {
    .hold = test_hold, .release = test_release, .removed = test_removed};

static UNUSED int hotplug_setup(void **state)
{
    int ret = fixture_setup(state);
    struct fixture *f = *state;
    holder = (struct holder){.fixture = f};
    f->host.hotplug = &test_hotplug_ops;
    f->host.hotplug_opaque = &holder;
    return ret;
}

static UNUSED int hotplug_teardown(void **state)
{
    int ret = fixture_teardown(state);
    assert_false(holder.held);
    assert_int_equal(holder.holds, holder.releases);
    forget_properties();
    return ret;
}

/* ---- the port's registers, as the guest has them */

static UNUSED uint32_t control(struct pci_device *port)
{
    return pci_config_read(port, port->express + PCI_EXP_SLTCTL, 2);
}

static UNUSED uint32_t status(struct pci_device *port)
{
    return pci_config_read(port, port->express + PCI_EXP_SLTSTA, 2);
}

static UNUSED bool link_is_up(struct pci_device *port)
{
    return pci_config_read(port, port->express + PCI_EXP_LNKSTA, 2) & PCI_EXP_LNKSTA_DLLLA;
}

static UNUSED void command(struct pci_device *port, uint32_t value)
{
    pci_config_write(port, port->express + PCI_EXP_SLTCTL, 2, value);
}

static UNUSED void acknowledge(struct pci_device *port, uint32_t events)
{
    pci_config_write(port, port->express + PCI_EXP_SLTSTA, 2, events);
}

static UNUSED void acknowledge_all(struct pci_device *port)
{
    acknowledge(port, 0xffff);
}

/* ---- the person */

/* As create(), while the machine runs. */
static UNUSED int try_plug(struct fixture *f, const struct pci_device_type *type, const char *text,
                           struct error *err)
{
    struct property_value values[16];
    size_t count = 0;
    char *strings = strdup(text); /* the device's, whatever comes of it */
    char *rest = strings;
    assert_non_null(strings);
    for (char *item; (item = strsep(&rest, ",")) && *item;) {
        char *value = strchr(item, '=');
        assert_non_null(value);
        *value = '\0';
        values[count++] = (struct property_value){.key = item, .value = value + 1};
    }
    return pci_host_plug(&f->host, type, values, count, strings, "device_add", err);
}

static UNUSED void hot_plug(struct fixture *f, const struct pci_device_type *type, const char *text)
{
    struct error err = {0};
    if (try_plug(f, type, text, &err) < 0) {
        fail_msg("%s", err.text);
    }
}

static UNUSED void unplug(struct fixture *f, const char *id)
{
    struct error err = {0};
    if (pci_host_unplug(&f->host, id, "device_del", &err) < 0) {
        fail_msg("%s", err.text);
    }
}

/* The main thread works until so many devices have gone. */
static UNUSED void run_until_removed(struct fixture *f, unsigned removals)
{
    while (holder.removals < removals) {
        event_loop_run(&f->loop);
    }
    assert_int_equal(holder.removals, removals);
}

/* Has the guest woken the main thread? */
static UNUSED bool main_is_woken(struct fixture *f)
{
    struct pollfd poll_fd = {.fd = f->host.eject.fd, .events = POLLIN};
    return f->host.eject.handler && poll(&poll_fd, 1, 0) == 1;
}

#endif

/* SPDX-License-Identifier: MIT */
/*
 * A PCI host on real buses with a fake interrupt controller, accessed as a guest would: through
 * ECAM, CF8/CFC, memory and ports.
 */
#ifndef TESTS_UNIT_PCI_FIXTURE_H
#define TESTS_UNIT_PCI_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "devices/pcie_ports.h"
#include "fake_irq.h"
#include "pci/pci_bridge.h"
#include "pci/pci_device.h"
#include "pci/pci_host.h"
#include "vmm/event_loop.h"

#define UNUSED __attribute__((unused))

enum { TEST_ECAM = 0xb0000000, TEST_ECAM_BUSES = 256, TEST_GSI = 16 };

struct fixture {
    struct bus mmio;
    struct bus pio;
    struct bus_cursor memory; /* the test's own "CPU" */
    struct bus_cursor ports;
    struct fake_irq irq;
    struct guest_memory ram;
    struct event_loop loop;
    struct pci_host host;
};

static UNUSED struct pci_host_config fixture_config(struct fixture *f)
{
    return (struct pci_host_config){
        .mmio = &f->mmio,
        .pio = &f->pio,
        .irq = &f->irq.chip,
        .memory = &f->ram,
        .loop = &f->loop,
        .intx_gsi = {TEST_GSI, TEST_GSI + 1, TEST_GSI + 2, TEST_GSI + 3},
        .ecam_base = TEST_ECAM,
        .ecam_buses = TEST_ECAM_BUSES,
        .has_cf8 = true,
    };
}

static UNUSED int fixture_setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct error err = {0};
    assert_non_null(f);
    assert_int_equal(bus_init(&f->mmio, "mmio", UINT64_MAX), 0);
    assert_int_equal(bus_init(&f->pio, "pio", 0xffff), 0);
    bus_cursor_init(&f->memory, &f->mmio);
    bus_cursor_init(&f->ports, &f->pio);
    fake_irq_init(&f->irq);
    assert_int_equal(event_loop_init(&f->loop, &err), 0);
    struct pci_host_config config = fixture_config(f);
    assert_int_equal(pci_host_init(&f->host, &config, &err), 0);
    *state = f;
    return 0;
}

static UNUSED int fixture_teardown(void **state)
{
    struct fixture *f = *state;
    pci_host_destroy(&f->host);
    event_loop_destroy(&f->loop);
    assert_int_equal(f->irq.reserved, 0); /* every route was given back */
    assert_int_equal(f->irq.routed, 0);
    assert_int_equal(f->irq.redundant, 0); /* and none was asked to change without need */
    bus_cursor_destroy(&f->memory);
    bus_cursor_destroy(&f->ports);
    bus_destroy(&f->mmio);
    bus_destroy(&f->pio);
    free(f);
    return 0;
}

/* ---- creating devices: "id=x,bus=y" */

static UNUSED char *property_text[256]; /* property strings outlive their devices */
static UNUSED unsigned property_text_count;

/* Give the strings back; all devices are gone. */
static UNUSED void forget_properties(void)
{
    while (property_text_count > 0) {
        free(property_text[--property_text_count]);
    }
}

static UNUSED int create(struct fixture *f, const struct pci_device_type *type, const char *text,
                         struct error *err)
{
    struct property_value values[16];
    size_t count = 0;
    char *copy = strdup(text);
    char *rest = copy;
    assert_non_null(copy);
    property_text[property_text_count++ % 256] = copy;
    for (char *item; (item = strsep(&rest, ",")) && *item;) {
        char *value = strchr(item, '=');
        assert_non_null(value);
        *value = '\0';
        values[count++] = (struct property_value){.key = item, .value = value + 1};
    }
    char context[128];
    snprintf(context, sizeof(context), "--device %s", type->name);
    return pci_host_create_device(&f->host, type, values, count, context, err);
}

static UNUSED struct pci_device *plug(struct fixture *f, const struct pci_device_type *type,
                                      const char *text)
{
    struct error err = {0};
    int ret = create(f, type, text, &err);
    if (ret < 0) {
        fail_msg("%s", err.text);
    }
    return f->host.devices[f->host.device_count - 1];
}

/* ---- as a guest */

static UNUSED uint64_t ecam_address(unsigned bus, unsigned dev, unsigned fn, unsigned reg)
{
    return TEST_ECAM + ((uint64_t)bus << 20 | dev << 15 | fn << 12 | reg);
}

static UNUSED uint64_t cfg_read(struct fixture *f, unsigned bus, unsigned dev, unsigned fn,
                                unsigned reg, unsigned size)
{
    uint64_t value = bus_read(&f->memory, ecam_address(bus, dev, fn, reg), size);
    return size == 8 ? value : value & ((1ull << 8 * size) - 1);
}

static UNUSED void cfg_write(struct fixture *f, unsigned bus, unsigned dev, unsigned fn,
                             unsigned reg, unsigned size, uint64_t value)
{
    bus_write(&f->memory, ecam_address(bus, dev, fn, reg), size, value);
}

/* Set bits of a device's Command register through its own bus number. */
static UNUSED void set_command(struct fixture *f, const struct pci_device *device, uint32_t bits)
{
    (void)f;
    pci_config_write((struct pci_device *)device, PCI_COMMAND, 2, bits);
}

static UNUSED uint64_t mem_read(struct fixture *f, uint64_t address, unsigned size)
{
    uint64_t value = bus_read(&f->memory, address, size);
    return size == 8 ? value : value & ((1ull << 8 * size) - 1);
}

/* Give a bridge its bus numbers and open its windows wide. */
static UNUSED void number_bridge(struct pci_device *bridge, unsigned secondary, unsigned last)
{
    pci_config_write(bridge, PCI_SECONDARY_BUS, 1, secondary);
    pci_config_write(bridge, PCI_SUBORDINATE_BUS, 1, last);
}

static UNUSED void set_window(struct pci_device *bridge, uint32_t base, uint32_t limit)
{
    pci_config_write(bridge, PCI_MEMORY_BASE, 2, base >> 16);
    pci_config_write(bridge, PCI_MEMORY_LIMIT, 2, limit >> 16);
}

/* ---- a device with one of each BAR, whose registers remember */

struct test_device {
    struct pci_device device;
    uint64_t registers[8192];
    unsigned reads;
    unsigned writes;
    unsigned resets;
    unsigned config_writes;
    uint32_t fail; /* property: realize() fails */
};

static UNUSED uint64_t test_read(void *opaque, uint64_t offset, unsigned size)
{
    struct test_device *test = opaque;
    (void)size;
    __atomic_add_fetch(&test->reads, 1, __ATOMIC_RELAXED);
    return test->registers[offset / 8] >> (offset % 8 * 8);
}

static UNUSED void test_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    struct test_device *test = opaque;
    (void)size;
    test->writes++;
    test->registers[offset / 8] = value;
}

static UNUSED const struct bus_ops test_ops = {.read = test_read, .write = test_write};

enum {
    TEST_BAR_MEM = 0,   /* 4 KiB */
    TEST_BAR_IO = 1,    /* 16 bytes */
    TEST_BAR_MEM64 = 2, /* 64 KiB, prefetchable */
    TEST_BAR_MSIX = 4,  /* 16 KiB: registers, table at 0x1000, pending bits at 0x2000 */
    TEST_MSI = 0x50,
    TEST_MSIX = 0x70,
    TEST_EXPRESS = 0xc0,
    TEST_VECTORS = 70,
};

static UNUSED int test_realize(struct pci_device *device, struct error *err)
{
    struct test_device *test = (struct test_device *)device;
    pci_set_identity(device, &(struct pci_identity){.vendor = 0x1234,
                                                    .device = 0x5678,
                                                    .revision = 0x9a,
                                                    .class_code = 0x010203,
                                                    .subsystem_vendor = 0xabcd,
                                                    .subsystem = 0xef01});
    pci_set_interrupt_pin(device, 1);
    pci_add_bar(device, TEST_BAR_MEM, PCI_BAR_MEM32, 0x1000, &test_ops, test);
    pci_add_bar(device, TEST_BAR_IO, PCI_BAR_IO, 16, &test_ops, test);
    pci_add_bar(device, TEST_BAR_MEM64, PCI_BAR_MEM64_PREFETCH, 0x10000, &test_ops, test);
    pci_add_bar(device, TEST_BAR_MSIX, PCI_BAR_MEM32, 0x4000, &test_ops, test);
    int ret = pci_add_msi(device, TEST_MSI, 3, true, true, err);
    if (ret == 0) {
        ret = pci_add_msix(device, TEST_MSIX, TEST_VECTORS, TEST_BAR_MSIX, 0x1000, 0x2000, err);
    }
    pci_add_express(device, PCI_EXPRESS_ENDPOINT, TEST_EXPRESS, true);
    if (ret == 0 && test->fail) {
        return error_set(err, -EIO, "it was told to fail");
    }
    return ret;
}

static UNUSED void test_reset(struct pci_device *device)
{
    ((struct test_device *)device)->resets++;
}

static UNUSED void test_config_written(struct pci_device *device, unsigned reg, unsigned size)
{
    (void)reg;
    (void)size;
    ((struct test_device *)device)->config_writes++;
}

static UNUSED const struct property test_properties[] = {
    {.name = "fail",
     .type = PROPERTY_UINT32,
     .offset = offsetof(struct test_device, fail),
     .meaning = "let realize fail"},
    {.name = NULL},
};

static UNUSED const struct pci_device_type test_type = {
    .name = "test-device",
    .summary = "For tests",
    .size = sizeof(struct test_device),
    .properties = test_properties,
    .default_slot = -1,
    .realize = test_realize,
    .reset = test_reset,
    .config_written = test_config_written,
};

static UNUSED struct test_device *plug_test(struct fixture *f, const char *text)
{
    return (struct test_device *)plug(f, &test_type, text);
}

/* ---- programming errors */

/* True if realize() of `type` ends in abort(). */
static UNUSED bool aborts(struct fixture *f, const struct pci_device_type *type)
{
    pid_t child = fork();
    if (child == 0) {
        struct error err;
        if (!freopen("/dev/null", "w", stderr)) {
            _exit(2);
        }
        signal(SIGABRT, SIG_DFL);
        (void)create(f, type, "", &err);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

#define pci_unit_test(function)                                                                    \
    cmocka_unit_test_setup_teardown(function, fixture_setup, fixture_teardown)

#endif

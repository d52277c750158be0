/* SPDX-License-Identifier: MIT */
/*
 * Native PCI Express hot-plug: the slot's registers, its interrupts, devices that come and go.
 */
#include "hotplug_fixture.h"

#include <dirent.h>
#include <errno.h>

#include "devices/device_table.h"
#include "devices/dma_engine.h"
#include "devices/pci_testdev.h"
#include "devices/pci_testdev_regs.h"

#define NOBODY 0xffffffff

enum { MSI = 0x90, PORT_GSI = TEST_GSI + 1, MSI_ADDRESS = 0xfee01000, MSI_DATA = 0x41 };
enum {
    ALL_ENABLES = PCI_EXP_SLTCTL_ABPE | PCI_EXP_SLTCTL_PDCE | PCI_EXP_SLTCTL_CCIE |
                  PCI_EXP_SLTCTL_DLLSCE | PCI_EXP_SLTCTL_HPIE
};

/* In slot 1, so that INTA is wire 1; bus 1 behind it. */
static struct pci_device *add_port(struct fixture *f)
{
    struct pci_device *port = plug(f, &root_port_type, "id=rp,addr=1");
    number_bridge(port, 1, 1);
    set_window(port, 0xe0000000, 0xe0000000);
    set_command(f, port, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_IO);
    return port;
}

static uint32_t id_behind(struct fixture *f)
{
    return (uint32_t)cfg_read(f, 1, 0, 0, PCI_VENDOR_ID, 4);
}

/* ---- registers */

static void test_an_empty_slot(void **state)
{
    struct fixture *f = *state;
    struct pci_device *port = add_port(f);
    uint32_t slot = pci_config_read(port, port->express + PCI_EXP_SLTCAP, 4);
    assert_int_equal(slot, 1 << 19 | PCI_EXP_SLTCAP_ABP | PCI_EXP_SLTCAP_PCP | PCI_EXP_SLTCAP_AIP |
                               PCI_EXP_SLTCAP_PIP | PCI_EXP_SLTCAP_HPS | PCI_EXP_SLTCAP_HPC);
    assert_int_equal(control(port), OFF);
    assert_int_equal(status(port), 0);
    assert_false(link_is_up(port));
    command(port, 0xffff);
    assert_int_equal(control(port), 0x17f9); /* no latch, no power fault, no interlock */
    command(port, 0);
    assert_int_equal(control(port), 0);
    assert_int_equal(status(port), PCI_EXP_SLTSTA_CC); /* no link: there is nobody */
    pci_host_reset(&f->host);
    assert_int_equal(control(port), OFF);
    assert_int_equal(status(port), 0);
}

static void test_an_occupied_slot(void **state)
{
    struct fixture *f = *state;
    struct pci_device *port = add_port(f);
    plug_test(f, "bus=rp");
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(control(port), ON);
        assert_int_equal(status(port), PCI_EXP_SLTSTA_PDS);
        assert_true(link_is_up(port));
        command(port, OFF);
        assert_false(link_is_up(port));
        pci_host_reset(&f->host);
    }
    number_bridge(port, 1, 1);
    assert_int_equal(id_behind(f), 0x56781234);
    assert_int_equal(holder.holds, 0);
}

static void test_without_hotplug(void **state)
{
    struct fixture *f = *state;
    struct pci_device *port = plug(f, &root_port_type, "id=rp,hotplug=off");
    assert_int_equal(pci_config_read(port, port->express + PCI_EXP_SLTCAP, 4), PCI_EXP_SLTCAP_NCCS);
    command(port, 0xffff);
    assert_int_equal(control(port), 0);
    assert_int_equal(status(port), 0);
}

static uint32_t slot_number(struct fixture *f, const char *text)
{
    struct pci_device *port = plug(f, &root_port_type, text);
    return pci_config_read(port, port->express + PCI_EXP_SLTCAP, 4) >> 19;
}

static void test_slot_numbers(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    assert_int_equal(slot_number(f, "id=a"), 1);
    assert_int_equal(slot_number(f, "id=b,slot=3"), 3);
    assert_int_equal(slot_number(f, "id=c"), 2);
    assert_int_equal(slot_number(f, "id=d"), 4);
    assert_int_equal(slot_number(f, "id=e,chassis=1,slot=3"), 3);
    assert_int_equal(slot_number(f, "hotplug=off"), 0);
    assert_int_equal(slot_number(f, "hotplug=off"), 0);
    assert_int_equal(create(f, &root_port_type, "slot=3", &err), -EEXIST);
    assert_string_equal(err.text, "--device root-port: slot=3 of chassis 0 is already that of b");
    assert_int_equal(create(f, &root_port_type, "slot=3,hotplug=off,chassis=1", &err), -EEXIST);
}

/* ---- a device comes */

static void test_plug(void **state)
{
    struct fixture *f = *state;
    struct pci_device *port = add_port(f);
    hot_plug(f, &test_type, "id=x,bus=rp");
    assert_int_equal(holder.holds, 1);
    assert_int_equal(status(port), PCI_EXP_SLTSTA_PDS | PCI_EXP_SLTSTA_PDC | PCI_EXP_SLTSTA_ABP);
    assert_false(link_is_up(port)); /* it has no power yet */
    assert_int_equal(id_behind(f), NOBODY);
    acknowledge(port, PCI_EXP_SLTSTA_ABP);
    assert_int_equal(status(port), PCI_EXP_SLTSTA_PDS | PCI_EXP_SLTSTA_PDC);
    acknowledge(port, PCI_EXP_SLTSTA_PDC | PCI_EXP_SLTSTA_PDS);
    assert_int_equal(status(port), PCI_EXP_SLTSTA_PDS);
    command(port, BLINKING); /* power on */
    assert_true(link_is_up(port));
    assert_int_equal(status(port), PCI_EXP_SLTSTA_PDS | PCI_EXP_SLTSTA_DLLSC | PCI_EXP_SLTSTA_CC);
    assert_int_equal(id_behind(f), 0x56781234);
    cfg_write(f, 1, 0, 0, PCI_BASE_ADDRESS_0, 4, 0xe0000000);
    cfg_write(f, 1, 0, 0, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    struct test_device *test = (struct test_device *)pci_host_find_id(&f->host, "x");
    test->registers[0] = 0x1234;
    assert_int_equal(mem_read(f, 0xe0000000, 4), 0x1234);
    assert_int_equal(atomic_load(&test->device.dma.requester_id), 0x100);
    assert_true(atomic_load(&test->device.dma.bus_master));
}

/* A guest without a driver for the slot may have left it on. */
static void test_plug_where_there_is_power(void **state)
{
    struct fixture *f = *state;
    struct pci_device *port = add_port(f);
    command(port, ON);
    acknowledge_all(port);
    hot_plug(f, &test_type, "id=x,bus=rp");
    assert_int_equal(status(port), PCI_EXP_SLTSTA_PDS | PCI_EXP_SLTSTA_PDC | PCI_EXP_SLTSTA_ABP |
                                       PCI_EXP_SLTSTA_DLLSC);
    assert_true(link_is_up(port));
    assert_int_equal(id_behind(f), 0x56781234);
}

static void test_the_guest_switches_off_unasked(void **state)
{
    struct fixture *f = *state;
    struct pci_device *port = add_port(f);
    hot_plug(f, &test_type, "id=other,bus=rp");
    unplug(f, "other"); /* that was another one */
    acknowledge_all(port);
    struct test_device *test = plug_test(f, "id=x,bus=rp");
    cfg_write(f, 1, 0, 0, PCI_INTERRUPT_LINE, 1, 7);
    unsigned resets = test->resets;
    command(port, OFF);
    assert_int_equal(id_behind(f), NOBODY);
    assert_int_equal(test->resets, resets + 1);
    assert_int_equal(status(port), PCI_EXP_SLTSTA_PDS | PCI_EXP_SLTSTA_DLLSC | PCI_EXP_SLTSTA_CC);
    assert_false(main_is_woken(f));
    command(port, ON);
    assert_int_equal(id_behind(f), 0x56781234); /* it is still there, fresh */
    assert_int_equal(cfg_read(f, 1, 0, 0, PCI_INTERRUPT_LINE, 1), 0);
    assert_int_equal(holder.removals, 1);
}

/* ---- interrupts */

static void set_msi(struct pci_device *port, bool on)
{
    pci_config_write(port, MSI + PCI_MSI_ADDRESS_LO, 4, MSI_ADDRESS);
    pci_config_write(port, MSI + PCI_MSI_DATA_64, 2, MSI_DATA);
    pci_config_write(port, MSI + PCI_MSI_FLAGS, 2, on ? PCI_MSI_FLAGS_ENABLE : 0);
}

/* Each event with its own enable, and Hot-Plug Interrupt Enable. */
static void test_enables(void **state)
{
    struct fixture *f = *state;
    struct pci_device *port = add_port(f);
    static const struct {
        uint32_t event, enable;
    } pairs[] = {
        {PCI_EXP_SLTSTA_ABP, PCI_EXP_SLTCTL_ABPE},
        {PCI_EXP_SLTSTA_PDC, PCI_EXP_SLTCTL_PDCE},
        {PCI_EXP_SLTSTA_CC, PCI_EXP_SLTCTL_CCIE},
        {PCI_EXP_SLTSTA_DLLSC, PCI_EXP_SLTCTL_DLLSCE},
    };
    hot_plug(f, &test_type, "id=x,bus=rp");
    command(port, ON); /* now all four are there */
    for (unsigned i = 0; i < 4; i++) {
        assert_true(status(port) & pairs[i].event);
        command(port, ON | PCI_EXP_SLTCTL_HPIE);
        assert_false(f->irq.level[PORT_GSI]);
        command(port, ON | pairs[i].enable);
        assert_false(f->irq.level[PORT_GSI]);
        command(port, ON | pairs[i].enable | PCI_EXP_SLTCTL_HPIE);
        assert_true(f->irq.level[PORT_GSI]);
        assert_true(pci_config_read(port, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
        acknowledge(port, 0xffff & ~pairs[i].event); /* the others */
        assert_true(f->irq.level[PORT_GSI]);
        acknowledge(port, pairs[i].event);
        assert_false(f->irq.level[PORT_GSI]);
        command(port, OFF); /* and all four again */
        unplug(f, "x");
        hot_plug(f, &test_type, "id=x,bus=rp");
        command(port, ON);
    }
}

static void test_a_command_is_completed(void **state)
{
    struct fixture *f = *state;
    struct pci_device *port = add_port(f);
    unsigned reg = port->express + PCI_EXP_SLTCTL;
    command(port, OFF | PCI_EXP_SLTCTL_CCIE | PCI_EXP_SLTCTL_HPIE);
    assert_true(f->irq.level[PORT_GSI]);
    acknowledge(port, PCI_EXP_SLTSTA_CC);
    assert_false(f->irq.level[PORT_GSI]);
    acknowledge(port, 0); /* is none */
    assert_false(f->irq.level[PORT_GSI]);
    pci_config_write(port, reg + 1, 1, 0x07); /* half of one is */
    assert_true(f->irq.level[PORT_GSI]);
    /* Both registers at once: acknowledged first, and then completed. */
    pci_config_write(port, reg, 4, (uint32_t)PCI_EXP_SLTSTA_CC << 16 | OFF);
    assert_int_equal(status(port), PCI_EXP_SLTSTA_CC);
    assert_false(f->irq.level[PORT_GSI]); /* nobody wants to know any more */
    pci_host_reset(&f->host);
    command(port, OFF | PCI_EXP_SLTCTL_CCIE | PCI_EXP_SLTCTL_HPIE);
    assert_true(f->irq.level[PORT_GSI]);
    pci_host_reset(&f->host);
    assert_false(f->irq.level[PORT_GSI]);
    command(port, OFF | PCI_EXP_SLTCTL_CCIE | PCI_EXP_SLTCTL_HPIE); /* and it can come again */
    assert_true(f->irq.level[PORT_GSI]);
}

/* One message whenever the condition begins to hold. */
static void test_msi(void **state)
{
    struct fixture *f = *state;
    struct pci_device *port = add_port(f);
    set_msi(port, true);
    command(port, OFF | PCI_EXP_SLTCTL_ABPE | PCI_EXP_SLTCTL_PDCE | PCI_EXP_SLTCTL_HPIE);
    acknowledge_all(port);
    assert_int_equal(f->irq.raised, 0);
    hot_plug(f, &test_type, "id=x,bus=rp");
    assert_int_equal(f->irq.raised, 1);
    assert_int_equal(f->irq.last_message.address, MSI_ADDRESS);
    assert_int_equal(f->irq.last_message.data, MSI_DATA);
    acknowledge(port, PCI_EXP_SLTSTA_ABP); /* PDC is still there */
    unplug(f, "x");                        /* the slot is off: gone at once, with another PDC */
    assert_int_equal(f->irq.raised, 1);
    acknowledge_all(port);
    hot_plug(f, &test_type, "id=x,bus=rp");
    assert_int_equal(f->irq.raised, 2);
    assert_false(f->irq.level[PORT_GSI]);
    set_msi(port, false); /* the wire takes over */
    assert_true(f->irq.level[PORT_GSI]);
}

/* ---- a device goes */

static void test_unplug(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    struct pci_device *port = add_port(f);
    plug_test(f, "id=x,bus=rp");
    command(port, ON | ALL_ENABLES);
    acknowledge_all(port);
    unplug(f, "x");
    assert_int_equal(status(port), PCI_EXP_SLTSTA_PDS | PCI_EXP_SLTSTA_ABP);
    assert_true(f->irq.level[PORT_GSI]);
    command(port, BLINKING);
    assert_int_equal(pci_host_unplug(&f->host, "x", "device_del x", &err), -EBUSY);
    assert_string_equal(
        err.text, "device_del x: the guest is at work on this slot: its power indicator blinks");
    command(port, PCI_EXP_SLTCTL_PWR_IND_OFF); /* a lamp alone says nothing */
    assert_false(main_is_woken(f));
    command(port, BLINKING | PCI_EXP_SLTCTL_PWR_OFF);
    assert_int_equal(id_behind(f), NOBODY);
    assert_false(main_is_woken(f));
    assert_int_equal(holder.removals, 0);
    acknowledge_all(port);
    command(port, OFF);
    assert_true(main_is_woken(f));
    assert_non_null(pci_host_find_id(&f->host, "x")); /* not in the vCPU's own access */
    run_until_removed(f, 1);
    assert_string_equal(holder.last, "x");
    assert_int_equal(holder.removals, 1);
    assert_int_equal(holder.holds, 1);
    assert_int_equal(status(port), PCI_EXP_SLTSTA_PDC | PCI_EXP_SLTSTA_CC);
    assert_int_equal(control(port), OFF);
    assert_false(main_is_woken(f));
    hot_plug(f, &test_type, "id=x,bus=rp");
    command(port, ON);
    assert_int_equal(id_behind(f), 0x56781234);
    pci_host_reset(&f->host); /* it stays */
    number_bridge(port, 1, 1);
    assert_int_equal(id_behind(f), 0x56781234);
    assert_int_equal(control(port), ON);
    assert_int_equal(holder.removals, 1);
}

/* It changes its mind before the main thread has looked. */
static void test_switched_on_again_in_time(void **state)
{
    struct fixture *f = *state;
    struct pci_device *port = add_port(f);
    plug_test(f, "id=x,bus=rp");
    unplug(f, "x");
    command(port, OFF);
    command(port, ON);
    assert_true(main_is_woken(f));
    f->host.eject.handler(f->host.eject.opaque, POLLIN);
    assert_int_equal(holder.removals, 0);
    assert_int_equal(id_behind(f), 0x56781234);
    command(port, OFF); /* the wish is not forgotten */
    run_until_removed(f, 1);
}

static void test_a_guest_that_does_not_answer(void **state)
{
    struct fixture *f = *state;
    struct pci_device *port = add_port(f);
    plug_test(f, "id=x,bus=rp");
    unplug(f, "x");
    acknowledge_all(port);
    unplug(f, "x");
    assert_int_equal(status(port), PCI_EXP_SLTSTA_PDS | PCI_EXP_SLTSTA_ABP);
    assert_int_equal(id_behind(f), 0x56781234);
    holder.holds = holder.releases = 0;
    pci_host_reset(&f->host); /* it is not asked any more */
    assert_int_equal(holder.removals, 1);
    assert_int_equal(holder.holds, 0); /* at a reset vCPUs are parked */
    assert_null(pci_host_find_id(&f->host, "x"));
    assert_int_equal(status(port), 0);
    assert_int_equal(control(port), OFF);
}

static void test_gone_at_once_without_power(void **state)
{
    struct fixture *f = *state;
    struct pci_device *port = add_port(f);
    hot_plug(f, &test_type, "id=x,bus=rp");
    acknowledge_all(port);
    unplug(f, "x");
    assert_int_equal(holder.removals, 1);
    assert_int_equal(status(port), PCI_EXP_SLTSTA_PDC);
}

/* What a device holds is given back, also when nobody has stopped it before. */
static void test_what_it_held(void **state)
{
    struct fixture *f = *state;
    struct pci_device *port = add_port(f);
    plug(f, &pci_testdev_type, "id=x,bus=rp");
    cfg_write(f, 1, 0, 0, PCI_BASE_ADDRESS_0, 4, 0xe0000000);
    cfg_write(f, 1, 0, 0, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
    bus_write(&f->memory, 0xe0000000 + PCI_TESTDEV_INTX, 4, PCI_TESTDEV_INTX_SET);
    assert_true(f->irq.level[TEST_GSI + 1]);
    unplug(f, "x");
    pci_host_reset(&f->host);
    assert_int_equal(holder.removals, 1);
    assert_false(f->irq.level[TEST_GSI + 1]);
    set_command(f, port, PCI_COMMAND_MEMORY);
    assert_int_equal(mem_read(f, 0xe0000000, 4), NOBODY);
}

static unsigned entries(const char *folder)
{
    unsigned count = 0;
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    while (readdir(dir)) {
        count++;
    }
    closedir(dir);
    return count;
}

static char disk[] = "/tmp/minivmm-hotplug-XXXXXX";

/* A line that makes it; NULL: it needs a network, and is not made here. */
static const char *line_for(const struct pci_device_type *type)
{
    static char line[128];
    bool is_disk = strcmp(type->name, "virtio-blk") == 0;
    snprintf(line, sizeof(line), "id=x,bus=rp%s%s", is_disk ? ",file=" : "", is_disk ? disk : "");
    return strcmp(type->name, "virtio-net") == 0 ? NULL : line;
}

static void *do_nothing(void *opaque)
{
    return opaque;
}

/* A sanitizer has a thread of its own from the first one on. */
static void bring_the_sanitizers_thread(void)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, do_nothing, NULL), 0);
    pthread_join(thread, NULL);
}

static void make_disk(void)
{
    int fd = mkstemp(disk);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, 1 << 20), 0);
    close(fd);
}

/* Every kind can come and go, and leaves neither a descriptor nor a thread. */
static void test_every_device(void **state)
{
    struct fixture *f = *state;
    struct pci_device *port = add_port(f);
    make_disk();
    bring_the_sanitizers_thread();
    hot_plug(f, &test_type, "id=x,bus=rp"); /* what is made at the first time is there now */
    unplug(f, "x");
    unsigned descriptors = entries("/proc/self/fd");
    unsigned threads = entries("/proc/self/task");
    unsigned kinds = 0;
    for (const struct pci_device_type *const *type = device_table; *type; type++) {
        const char *text = line_for(*type);
        if (!text || strstr((*type)->name, "port") || strstr((*type)->name, "switch")) {
            continue;
        }
        hot_plug(f, *type, text);
        command(port, ON);
        assert_int_not_equal(id_behind(f), NOBODY);
        cfg_write(f, 1, 0, 0, PCI_COMMAND, 2, 7);
        unplug(f, "x");
        command(port, OFF);
        run_until_removed(f, 2 + kinds);
        assert_int_equal(entries("/proc/self/fd"), descriptors);
        assert_int_equal(entries("/proc/self/task"), threads);
        kinds++;
    }
    assert_true(kinds >= 6);
    unlink(disk);
}

static void test_two_at_once(void **state)
{
    struct fixture *f = *state;
    struct pci_device *ports[] = {plug(f, &root_port_type, "id=a"),
                                  plug(f, &root_port_type, "id=b")};
    hot_plug(f, &test_type, "id=x,bus=a");
    hot_plug(f, &test_type, "id=y,bus=b");
    for (unsigned i = 0; i < 2; i++) {
        command(ports[i], ON);
    }
    unplug(f, "y");
    unplug(f, "x");
    for (unsigned i = 0; i < 2; i++) {
        command(ports[i], OFF);
    }
    run_until_removed(f, 2);
    assert_null(pci_host_find_id(&f->host, "x"));
    assert_null(pci_host_find_id(&f->host, "y"));
}

/* ---- what is refused */

static void expect_no_plug(struct fixture *f, const struct pci_device_type *type, const char *text,
                           int code, const char *reason)
{
    struct error err = {0};
    unsigned count = f->host.device_count;
    assert_int_equal(try_plug(f, type, text, &err), code);
    assert_string_equal(err.text, reason);
    assert_int_equal(f->host.device_count, count);
}

static void expect_no_unplug(struct fixture *f, const char *id, int code, const char *reason)
{
    struct error err = {0};
    assert_int_equal(pci_host_unplug(&f->host, id, "device_del", &err), code);
    assert_string_equal(err.text, reason);
}

/* A port with hot-plug, one without, and a switch. */
static void add_ports(struct fixture *f)
{
    add_port(f);
    plug(f, &root_port_type, "id=fixed,hotplug=off");
    plug(f, &root_port_type, "id=sw");
    plug(f, &switch_upstream_type, "id=up,bus=sw");
    plug(f, &switch_downstream_type, "id=down,bus=up");
}

static void test_refused(void **state)
{
    struct fixture *f = *state;
    add_ports(f);
    expect_no_plug(f, &test_type, "id=x", -ENOTSUP,
                   "device_add: 'pcie.0' has no hot-plug; behind a root-port or a "
                   "switch-downstream (bus=ID) there is");
    expect_no_plug(f, &test_type, "id=x,bus=fixed", -ENOTSUP,
                   "device_add: 'fixed' has no hot-plug (it has hotplug=off)");
    expect_no_plug(f, &test_type, "id=x,bus=up", -ENOTSUP,
                   "device_add: inside the switch 'up' there is no hot-plug; behind its "
                   "switch-downstream ports there is");
    expect_no_plug(f, &switch_upstream_type, "id=x,bus=rp", -ENOTSUP,
                   "device_add: a port cannot be hot-plugged");
    expect_no_plug(f, &test_type, "id=x,bus=nowhere", -ENOENT,
                   "device_add: there is no device with id=nowhere (ports come before what is "
                   "plugged into them)");
    expect_no_plug(f, &test_type, "id=x,bus=rp,fail=1", -EIO, "device_add: it was told to fail");
    expect_no_plug(f, &test_type, "id=rp,bus=rp", -EEXIST,
                   "device_add: id rp is already taken by a root-port");
    assert_int_equal(holder.holds, 0);
    hot_plug(f, &test_type, "id=x,bus=rp,multifunction=on");
    expect_no_plug(f, &test_type, "id=y,bus=rp,addr=0.1", -ENOTSUP,
                   "device_add: only function 0 of a slot can be hot-plugged");
    expect_no_plug(f, &test_type, "id=y,bus=rp", -EBUSY, "device_add: no slot is free on bus rp");
    hot_plug(f, &test_type, "id=y,bus=down"); /* there it can be */
}

static void test_unplug_refused(void **state)
{
    struct fixture *f = *state;
    add_ports(f);
    plug_test(f, "id=a,bus=fixed");
    plug_test(f, "id=b");
    plug_test(f, "id=c,bus=rp,multifunction=on");
    plug_test(f, "id=d,bus=rp,addr=0.1");
    expect_no_unplug(f, "nobody", -ENOENT, "device_del: there is no device with this id");
    expect_no_unplug(f, "a", -ENOTSUP, "device_del: 'fixed' has no hot-plug (it has hotplug=off)");
    expect_no_unplug(f, "b", -ENOTSUP,
                     "device_del: 'pcie.0' has no hot-plug; behind a root-port or a "
                     "switch-downstream (bus=ID) there is");
    expect_no_unplug(f, "c", -ENOTSUP, "device_del: it shares its slot with other functions");
    expect_no_unplug(f, "d", -ENOTSUP, "device_del: it shares its slot with other functions");
    expect_no_unplug(f, "up", -ENOTSUP, "device_del: a port cannot be unplugged");
    expect_no_unplug(f, "down", -ENOTSUP,
                     "device_del: inside the switch 'up' there is no hot-plug; behind its "
                     "switch-downstream ports there is");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, hotplug_setup, hotplug_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_an_empty_slot),
        TEST(test_an_occupied_slot),
        TEST(test_without_hotplug),
        TEST(test_slot_numbers),
        TEST(test_plug),
        TEST(test_plug_where_there_is_power),
        TEST(test_the_guest_switches_off_unasked),
        TEST(test_enables),
        TEST(test_a_command_is_completed),
        TEST(test_msi),
        TEST(test_unplug),
        TEST(test_switched_on_again_in_time),
        TEST(test_a_guest_that_does_not_answer),
        TEST(test_gone_at_once_without_power),
        TEST(test_what_it_held),
        TEST(test_every_device),
        TEST(test_two_at_once),
        TEST(test_refused),
        TEST(test_unplug_refused),
    };
    alarm(60); /* a loop that nobody stops is a failure, too */
    return cmocka_run_group_tests_name("pci_hotplug", tests, NULL, NULL);
}

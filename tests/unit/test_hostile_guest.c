/* SPDX-License-Identifier: MIT */
/*
 * Three CPUs of a guest that means harm, all at once, on a tree of bridges, engines and test
 * devices: random configuration writes, BARs moved while they are read, interrupts enabled and
 * disabled, copies started, functions and buses reset. Now and then one CPU repairs what it can
 * reach, or soon nothing would answer any more.
 *
 * In a second run a person plugs devices in meanwhile, and asks for them back, as often as it goes.
 *
 * Nothing is expected but that it ends, and that a power-on reset leaves no trace of it: no wire
 * up, no route, no bus number, no BAR. The sanitizers' builds look for the rest.
 */
#include "hostile_fixture.h"

enum {
    CPUS = 3,
    STEPS = 20000,
    SECONDS_MAX = 120,
    BUSES = 7,
    SLOT_CONTROL = 0x50 + PCI_EXP_SLTCTL
};
static const uint64_t WINDOW = 0xd0000000; /* where BARs are put when somebody repairs */

/* Should two engines copy over the same bytes at once, that is the guest's own affair. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "race:move_piece\n";
}

/* ---- a CPU */

struct cpu {
    struct fixture *fixture;
    struct bus_cursor memory;
    struct bus_cursor ports;
    uint64_t random;
    pthread_t thread;
};

/* Who reads it is a vCPU that runs; who writes it has parked them. */
static pthread_rwlock_t running;

static uint32_t any(struct cpu *cpu, uint32_t below)
{
    cpu->random = cpu->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((cpu->random >> 33) % below);
}

static uint32_t any_word(struct cpu *cpu)
{
    return any(cpu, 1u << 16) << 16 | any(cpu, 1u << 16);
}

/* Those that stay; the others belong to the main thread, and are reached as a guest does. */
static struct pci_device *residents[16];
static unsigned resident_count;

static void note_residents(struct fixture *f)
{
    resident_count = f->host.device_count;
    assert_true(resident_count <= sizeof(residents) / sizeof(residents[0]));
    memcpy(residents, f->host.devices, resident_count * sizeof(residents[0]));
}

static struct pci_device *any_device(struct cpu *cpu)
{
    return residents[any(cpu, resident_count)];
}

static void write_config(struct cpu *cpu, unsigned bus, unsigned devfn, unsigned reg, unsigned size,
                         uint32_t value)
{
    bus_write(&cpu->memory, TEST_ECAM + ((uint64_t)bus << 20 | devfn << 12 | reg), size, value);
}

/* A register in which much can be broken, of any function, reachable or not. */
static void break_something(struct cpu *cpu)
{
    static const uint16_t registers[] = {0x04, 0x06, 0x10, 0x14, 0x18, 0x19, 0x1a, 0x1c, 0x20,
                                         0x24, 0x28, 0x2c, 0x3c, 0x3e, 0x40, 0x42, 0x44, 0x48,
                                         0x4c, 0x60, 0x68, 0x69, 0x6a, 0x90, 0xe8, 0xf0, 0xffc};
    enum { COUNT = sizeof(registers) / sizeof(registers[0]) };
    unsigned size = 1u << any(cpu, 3);
    unsigned reg = any(cpu, 3) ? registers[any(cpu, COUNT)] : any(cpu, 0x100);
    uint32_t value = any(cpu, 2) ? any_word(cpu) : any(cpu, 8);
    write_config(cpu, any(cpu, BUSES), any(cpu, 8) << 3, reg & ~(size - 1), size, value);
}

/* The same through the two ports. */
static void use_ports(struct cpu *cpu)
{
    bus_write(&cpu->ports, 0xcf8, 4, 0x80000000 | any(cpu, BUSES) << 16 | any(cpu, 1u << 16));
    bus_read(&cpu->ports, 0xcfc + any(cpu, 4), 1u << any(cpu, 3));
    bus_write(&cpu->ports, 0xcfc + any(cpu, 4), 1u << any(cpu, 3), any_word(cpu));
}

/* Whatever is behind the port that somebody plugs devices into. */
static void repair_behind(struct cpu *cpu, const struct pci_device *port)
{
    unsigned bus = pci_config_get(port, PCI_SECONDARY_BUS, 1);
    write_config(cpu, bus, 0, PCI_BASE_ADDRESS_0, 4, (uint32_t)WINDOW + any(cpu, 4) * 0x4000);
    write_config(cpu, bus, 0, PCI_COMMAND, 2, 7);
}

/* Number a bridge, open its windows; give a BAR a place, and MSI or MSI-X a message. */
static void repair(struct cpu *cpu)
{
    struct pci_device *device = any_device(cpu);
    unsigned bus = atomic_load(&device->dma.requester_id) >> 8;
    if (device->bridge) {
        write_config(cpu, bus, device->devfn, PCI_BRIDGE_CONTROL, 2, 0);
        write_config(cpu, bus, device->devfn, SLOT_CONTROL, 2,
                     any(cpu, 4) ? PCI_EXP_SLTCTL_PWR_IND_ON | any(cpu, 0x40)
                                 : PCI_EXP_SLTCTL_PWR_OFF | PCI_EXP_SLTCTL_PWR_IND_OFF);
        write_config(cpu, bus, device->devfn, PCI_SECONDARY_BUS, 1, bus + 1 + any(cpu, 2));
        write_config(cpu, bus, device->devfn, PCI_SUBORDINATE_BUS, 1, BUSES);
        write_config(cpu, bus, device->devfn, PCI_MEMORY_BASE, 4, 0xdff0d000);
        repair_behind(cpu, device);
    } else {
        write_config(cpu, bus, device->devfn, PCI_BASE_ADDRESS_0, 4,
                     (uint32_t)WINDOW + any(cpu, 4) * 0x4000);
        write_config(cpu, bus, device->devfn, PCI_BASE_ADDRESS_1, 4, 0);
        write_config(cpu, bus, device->devfn, PCI_BASE_ADDRESS_4, 4,
                     (uint32_t)WINDOW + 0x10000 + any(cpu, 4) * 0x1000);
        write_config(cpu, bus, device->devfn, device->msi.offset + PCI_MSI_FLAGS, 2, any(cpu, 2));
        if (device->msix.offset) {
            write_config(cpu, bus, device->devfn, device->msix.offset + PCI_MSIX_FLAGS, 2,
                         any(cpu, 4) << 14);
        }
    }
    write_config(cpu, bus, device->devfn, PCI_COMMAND, 2, 7);
}

/* Whatever is in the window just now: registers, tables, or nothing. */
static void use_window(struct cpu *cpu)
{
    uint64_t address = WINDOW + any(cpu, 0x14000);
    unsigned size = 1u << any(cpu, 4);
    if (any(cpu, 4)) {
        address &= ~(uint64_t)(size - 1);
    }
    if (any(cpu, 2)) {
        bus_read(&cpu->memory, address, size);
    } else {
        bus_write(&cpu->memory, address, size, (uint64_t)any_word(cpu) << 32 | any(cpu, 4));
    }
}

/*
 * Each place of a BAR has a part of RAM to itself, so that two engines seldom copy over the same
 * bytes: ThreadSanitizer takes minutes over what it then has to suppress.
 */
static void start_copy(struct cpu *cpu)
{
    enum { PART = HOSTILE_RAM / 4, MOST = PART / 4 };
    uint32_t place = any(cpu, 4);
    uint64_t bar = WINDOW + place * 0x4000;
    uint64_t part = (uint64_t)place * PART;
    bus_write(&cpu->memory, bar + DMA_ENGINE_SRC, 8, part + any(cpu, PART - MOST));
    bus_write(&cpu->memory, bar + DMA_ENGINE_DST, 8, part + any(cpu, PART - MOST));
    bus_write(&cpu->memory, bar + DMA_ENGINE_LEN_BYTES, 4, any(cpu, MOST));
    bus_write(&cpu->memory, bar + DMA_ENGINE_INTX_ENABLE, 4, 1);
    bus_write(&cpu->memory, bar + DMA_ENGINE_CTRL, 4, 1);
    bus_write(&cpu->memory, bar + DMA_ENGINE_INT_STATUS, 4, any(cpu, 2));
}

static void open_cpu(struct cpu *cpu)
{
    bus_cursor_init(&cpu->memory, &cpu->fixture->mmio);
    bus_cursor_init(&cpu->ports, &cpu->fixture->pio);
}

static void close_cpu(struct cpu *cpu)
{
    bus_cursor_destroy(&cpu->memory);
    bus_cursor_destroy(&cpu->ports);
}

static void *run_cpu(void *opaque)
{
    struct cpu *cpu = opaque;
    void (*const steps[])(struct cpu *) = {break_something, use_ports,  repair,     repair,
                                           repair,          use_window, use_window, start_copy};
    open_cpu(cpu);
    for (unsigned i = 0; i < STEPS; i++) {
        pthread_rwlock_rdlock(&running);
        steps[any(cpu, sizeof(steps) / sizeof(steps[0]))](cpu);
        pthread_rwlock_unlock(&running);
    }
    close_cpu(cpu);
    return NULL;
}

/* Leave everything in use, so that the reset has something to undo. */
static void use_everything(struct fixture *f, uint64_t seed)
{
    struct cpu cpu = {.fixture = f, .random = seed};
    open_cpu(&cpu);
    for (unsigned i = 0; i < 200; i++) {
        repair(&cpu);
        bus_write(&cpu.memory, WINDOW + any(&cpu, 4) * 0x4000 + PCI_TESTDEV_INTX, 4, 1);
        start_copy(&cpu);
    }
    for (unsigned i = 0; i < f->host.device_count; i++) {
        struct pci_device *device = f->host.devices[i];
        if (device->type == &dma_engine_type) { /* the test devices pull their wires */
            pci_config_write(device, device->msi.offset + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE);
        }
    }
    close_cpu(&cpu);
}

/* ---- the person */

static void park(void *opaque)
{
    (void)opaque;
    pthread_rwlock_wrlock(&running);
}

static void resume(void *opaque)
{
    (void)opaque;
    pthread_rwlock_unlock(&running);
}

static void count_removal(void *opaque, const char *id)
{
    (void)id;
    (*(unsigned *)opaque)++;
}

static const struct pci_hotplug_ops parking_ops = {
    .hold = park, .release = resume, .removed = count_removal};

/* A device for the empty port, or the wish to have it back; then what the main thread's loop does.
 */
static void plug_or_unplug(struct fixture *f, unsigned round)
{
    static const struct property_value values[] = {{"id", "hot"}, {"bus", "rp2"}};
    const struct pci_device_type *type = round % 2 ? &dma_engine_type : &pci_testdev_type;
    struct error err;
    if (pci_host_find_id(&f->host, "hot")) {
        (void)pci_host_unplug(&f->host, "hot", "device_del", &err);
    } else {
        assert_int_equal(pci_host_plug(&f->host, type, values, 2, NULL, "device_add", &err), 0);
    }
    if (f->host.eject.handler) {
        f->host.eject.handler(f->host.eject.opaque, 0);
    }
}

static unsigned removals;

/* Until the CPUs have had enough. */
static void plug_meanwhile(struct fixture *f, atomic_uint *left)
{
    f->host.hotplug = &parking_ops;
    f->host.hotplug_opaque = &removals;
    for (unsigned round = 0; atomic_load(left) > 0; round++) {
        plug_or_unplug(f, round);
        usleep(100);
    }
}

static atomic_uint cpus_left;

static void *run_and_leave(void *opaque)
{
    run_cpu(opaque);
    atomic_fetch_sub(&cpus_left, 1);
    return NULL;
}

/* ---- both */

static uint64_t run_cpus(struct fixture *f, bool hotplug)
{
    struct cpu cpus[CPUS];
    const char *seed = getenv("HOSTILE_SEED"); /* for a longer hunt than a test's */
    uint64_t first = seed ? strtoull(seed, NULL, 0) : 0;
    pthread_rwlockattr_t attributes;
    pthread_rwlockattr_init(&attributes);
    pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&running, &attributes);
    atomic_store(&cpus_left, CPUS);
    note_residents(f);
    for (unsigned i = 0; i < CPUS; i++) {
        cpus[i] = (struct cpu){.fixture = f, .random = first + i};
        assert_int_equal(pthread_create(&cpus[i].thread, NULL, run_and_leave, &cpus[i]), 0);
    }
    if (hotplug) {
        plug_meanwhile(f, &cpus_left);
    }
    for (unsigned i = 0; i < CPUS; i++) {
        pthread_join(cpus[i].thread, NULL);
    }
    pthread_rwlock_destroy(&running);
    return first;
}

static void a_person_plugs_meanwhile(void **state)
{
    struct fixture *f = *state;
    alarm(SECONDS_MAX);
    run_cpus(f, true);
    pci_host_reset(&f->host);
    assert_at_rest(f);
    assert_true(removals > 10); /* the guest has let go of it now and then */
    alarm(0);
}

static void three_cpus_at_once(void **state)
{
    struct fixture *f = *state;
    alarm(SECONDS_MAX); /* a deadlock is a failure, too */
    uint64_t first = run_cpus(f, false);
    use_everything(f, first);
    pci_host_reset(&f->host); /* waits for copies that are under way */
    assert_at_rest(f);
    assert_true(f->irq.raised > 0 && f->irq.level_calls > 0); /* it had reached that far */
    alarm(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(three_cpus_at_once, hostile_setup, hostile_teardown),
        cmocka_unit_test_setup_teardown(a_person_plugs_meanwhile, hostile_setup, hostile_teardown),
    };
    return cmocka_run_group_tests_name("hostile_guest", tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/*
 * adder: a PCI function that adds two numbers. docs/write-a-device.md explains it line by line; its
 * driver is examples/drivers/adder/.
 *
 * PCI 1234:add1, class ff0000 (unassigned). Registers of 32 bits in BAR0 (memory, 4 KiB). Accesses
 * are aligned and of 4 bytes; others read all ones and are ignored. Reserved offsets read 0.
 *
 *   0x00  ID          RO    0xadde0001
 *   0x04  A           RW    the numbers
 *   0x08  B           RW
 *   0x0c  START       WO    writing anything adds
 *   0x10  SUM         RO    A + B, as many bits of it as the property `bits` says
 *   0x14  STATUS      RW1C  bit 0 DONE: a sum is there; bit 1 OVERFLOW: it has more bits than SUM
 *   0x18  INT_ENABLE  RW    bit 0: DONE interrupts
 *
 * The interrupt is an MSI for each sum, or INTx for as long as DONE is set. pci.lock guards all.
 */
#include "examples/adder.h"

#include "vmm/registers.h"
#include "vmm/trace.h"

enum adder_register {
    ADDER_ID = 0x00,
    ADDER_A = 0x04,
    ADDER_B = 0x08,
    ADDER_START = 0x0c,
    ADDER_SUM = 0x10,
    ADDER_STATUS = 0x14,
    ADDER_INT_ENABLE = 0x18,
};

enum { ADDER_BAR_SIZE = 0x1000 };

#define ADDER_ID_VALUE        0xadde0001u
#define ADDER_STATUS_DONE     0x1u
#define ADDER_STATUS_OVERFLOW 0x2u
#define ADDER_INT_DONE        0x1u

struct adder {
    struct pci_device pci; /* comes first */
    uint32_t bits;         /* property */
    uint32_t a, b, sum;
    uint32_t status;
    uint32_t int_enable;
};

static const struct register_desc registers[] = {
    {"ID", ADDER_ID, 4, REGISTER_RO, "0xadde0001"},
    {"A", ADDER_A, 4, REGISTER_RW, "the first number"},
    {"B", ADDER_B, 4, REGISTER_RW, "the second number"},
    {"START", ADDER_START, 4, REGISTER_WO, "any value: add"},
    {"SUM", ADDER_SUM, 4, REGISTER_RO, "the sum"},
    {"STATUS", ADDER_STATUS, 4, REGISTER_RW1C, "bit 0: DONE; bit 1: OVERFLOW"},
    {"INT_ENABLE", ADDER_INT_ENABLE, 4, REGISTER_RW, "bit 0: DONE interrupts"},
};

static const struct register_block adder_registers = {
    .name = "adder bar0",
    .registers = registers,
    .count = sizeof(registers) / sizeof(registers[0]),
    .access_sizes = 4,
    .stride = 4,
};

/* INTx is a level: call this whenever something that it follows from has changed. */
static void update_intx(struct adder *adder)
{
    bool done = adder->status & ADDER_STATUS_DONE;
    bool enabled = adder->int_enable & ADDER_INT_DONE;
    pci_set_intx(&adder->pci, done && enabled);
}

static void add(struct adder *adder)
{
    uint64_t sum = (uint64_t)adder->a + adder->b;
    adder->sum = (uint32_t)(sum & ((1ull << adder->bits) - 1));
    adder->status = ADDER_STATUS_DONE | (adder->sum == sum ? 0 : ADDER_STATUS_OVERFLOW);
    if ((adder->int_enable & ADDER_INT_DONE) && pci_msi_enabled(&adder->pci)) {
        pci_msi_notify(&adder->pci, 0);
    }
    update_intx(adder);
}

static uint32_t read_register(const struct adder *adder, uint64_t offset)
{
    switch (offset) {
    case ADDER_ID:
        return ADDER_ID_VALUE;
    case ADDER_A:
        return adder->a;
    case ADDER_B:
        return adder->b;
    case ADDER_SUM:
        return adder->sum;
    case ADDER_STATUS:
        return adder->status;
    case ADDER_INT_ENABLE:
        return adder->int_enable;
    default:
        return 0; /* START is write-only, the rest reserved */
    }
}

static void write_register(struct adder *adder, uint64_t offset, uint32_t value)
{
    switch (offset) {
    case ADDER_A:
        adder->a = value;
        break;
    case ADDER_B:
        adder->b = value;
        break;
    case ADDER_START:
        add(adder);
        break;
    case ADDER_STATUS:
        adder->status &= ~value;
        update_intx(adder);
        break;
    case ADDER_INT_ENABLE:
        adder->int_enable = value & ADDER_INT_DONE;
        update_intx(adder);
        break;
    default:
        break; /* read-only or reserved */
    }
}

/* For the monitor's `info regs`. Called with pci.lock held. */
static uint64_t peek(struct pci_device *device, const struct register_desc *reg)
{
    return read_register((const struct adder *)device, reg->offset);
}

static const struct pci_register_view views[] = {
    {&adder_registers, 0, peek},
    {.block = NULL},
};

static uint64_t adder_read(void *opaque, uint64_t offset, unsigned size)
{
    struct adder *adder = opaque;
    uint64_t value = UINT64_MAX;
    if (!register_malformed(&adder_registers, offset, size)) {
        pthread_mutex_lock(&adder->pci.lock);
        value = read_register(adder, offset);
        pthread_mutex_unlock(&adder->pci.lock);
    }
    trace_adder_read(adder->pci.name, register_name(&adder_registers, offset), size, value);
    return value;
}

static void adder_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    struct adder *adder = opaque;
    trace_adder_write(adder->pci.name, register_name(&adder_registers, offset), size, value);
    if (!register_malformed(&adder_registers, offset, size)) {
        pthread_mutex_lock(&adder->pci.lock);
        write_register(adder, offset, (uint32_t)value);
        pthread_mutex_unlock(&adder->pci.lock);
    }
}

static const struct bus_ops register_ops = {.read = adder_read, .write = adder_write};

/* Called with pci.lock held. What is a property stays. */
static void adder_reset(struct pci_device *device)
{
    struct adder *adder = (struct adder *)device;
    adder->a = adder->b = adder->sum = 0;
    adder->status = 0;
    adder->int_enable = 0;
    update_intx(adder);
}

static const struct pci_identity identity = {
    .vendor = 0x1234, .device = 0xadd1, .revision = 1, .class_code = 0xff0000};

static int adder_realize(struct pci_device *device, struct error *err)
{
    pci_set_identity(device, &identity);
    pci_set_interrupt_pin(device, 1);
    pci_add_bar(device, 0, PCI_BAR_MEM32, ADDER_BAR_SIZE, &register_ops, device);
    pci_add_express(device, PCI_EXPRESS_ENDPOINT, 0, true);
    return pci_add_msi(device, 0, 0, true, false, err); /* one vector, 64-bit, no mask bit */
}

static const struct property properties[] = {
    {.name = "bits",
     .type = PROPERTY_UINT32,
     .offset = offsetof(struct adder, bits),
     .default_value = 32,
     .minimum = 1,
     .maximum = 32,
     .meaning = "how many bits a sum has"},
    {.name = NULL},
};

const struct pci_device_type adder_type = {
    .name = "adder",
    .summary = "adds two numbers: the PCI device of docs/write-a-device.md",
    .size = sizeof(struct adder),
    .properties = properties,
    .default_slot = -1,
    .realize = adder_realize,
    .reset = adder_reset,
    .registers = views,
};

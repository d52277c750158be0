/* SPDX-License-Identifier: MIT */
/*
 * ACPI tables (ACPI 6.5, chapter 5). In guest RAM, from the address that acpi_build() is given:
 *
 *   RSDP ---> XSDT ---> FADT ---> FACS
 *                  |         `--> DSDT   compiled from dsdt.asl: devices, _PRT, _S5
 *                  |---> SSDT   the window for 64-bit BARs, if there is one
 *                  |---> MADT   local APICs, the I/O APIC, how ISA interrupts reach it
 *                  `---> MCFG   where ECAM is
 *
 * The RSDP is first. Every table but the FACS starts with the same header, whose checksum makes
 * the sum of all the table's bytes 0; iasl has computed the DSDT's. Tables are written as packed
 * structs, which on this little-endian machine are the tables. Addresses are all below 4 GiB, so
 * that fields of 32 bits can hold them; where a table has a field of 32 and one of 64 bits for the
 * same thing, both are filled in and agree, except for the FACS, of which ACPI allows one.
 */
#include "acpi.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "devices/acpi_pm.h"
#include "devices/reset_ports.h"
#include "devices/rtc_cmos.h"
#include "memory_map.h"

#define OEM_ID       "MINVMM"
#define OEM_TABLE_ID "MINIVMM " /* the space is part of it: 8 bytes without a terminator */
#define CREATOR_ID   "MVMM"

/* vmm/x86/dsdt.S */
extern const uint8_t acpi_dsdt[];
extern const uint8_t acpi_dsdt_end[];

/* ---- the tables as structs */

#define PACKED __attribute__((packed))

struct PACKED acpi_rsdp { /* 5.2.5.3 */
    char signature[8];
    uint8_t checksum; /* of the first 20 bytes */
    char oem_id[6];
    uint8_t revision;
    uint32_t rsdt_address;
    uint32_t length;
    uint64_t xsdt_address;
    uint8_t extended_checksum; /* of all */
    uint8_t reserved[3];
};

struct PACKED acpi_header { /* 5.2.6 */
    char signature[4];
    uint32_t length;
    uint8_t revision;
    uint8_t checksum;
    char oem_id[6];
    char oem_table_id[8];
    uint32_t oem_revision;
    char creator_id[4];
    uint32_t creator_revision;
};

enum { XSDT_ENTRIES_MAX = 4 };

struct PACKED acpi_xsdt {
    struct acpi_header header;
    uint64_t tables[XSDT_ENTRIES_MAX];
};

struct PACKED acpi_gas { /* generic address structure, 5.2.3.2 */
    uint8_t space;       /* 1: I/O ports */
    uint8_t bit_width;
    uint8_t bit_offset;
    uint8_t access_size; /* 0: any, 1: byte, 2: 16 bits, 3: 32 bits */
    uint64_t address;
};

struct PACKED acpi_fadt { /* 5.2.9 */
    struct acpi_header header;
    uint32_t facs;
    uint32_t dsdt;
    uint8_t reserved0;
    uint8_t preferred_pm_profile;
    uint16_t sci_interrupt;
    uint32_t smi_command; /* 0: always in ACPI mode */
    uint8_t acpi_enable;
    uint8_t acpi_disable;
    uint8_t s4bios_request;
    uint8_t pstate_control;
    uint32_t pm1a_event;
    uint32_t pm1b_event;
    uint32_t pm1a_control;
    uint32_t pm1b_control;
    uint32_t pm2_control;
    uint32_t pm_timer;
    uint32_t gpe0;
    uint32_t gpe1;
    uint8_t pm1_event_length;
    uint8_t pm1_control_length;
    uint8_t pm2_control_length;
    uint8_t pm_timer_length;
    uint8_t gpe0_length;
    uint8_t gpe1_length;
    uint8_t gpe1_base;
    uint8_t cstate_control;
    uint16_t c2_latency; /* microseconds; over 100: there is no C2 */
    uint16_t c3_latency; /* over 1000: no C3 */
    uint16_t flush_size;
    uint16_t flush_stride;
    uint8_t duty_offset;
    uint8_t duty_width;
    uint8_t day_alarm;
    uint8_t month_alarm;
    uint8_t century; /* the RTC register */
    uint16_t iapc_boot_arch;
    uint8_t reserved1;
    uint32_t flags;
    struct acpi_gas reset_register;
    uint8_t reset_value;
    uint16_t arm_boot_arch;
    uint8_t minor_revision;
    uint64_t x_facs;
    uint64_t x_dsdt;
    struct acpi_gas x_pm1a_event;
    struct acpi_gas x_pm1b_event;
    struct acpi_gas x_pm1a_control;
    struct acpi_gas x_pm1b_control;
    struct acpi_gas x_pm2_control;
    struct acpi_gas x_pm_timer;
    struct acpi_gas x_gpe0;
    struct acpi_gas x_gpe1;
    struct acpi_gas sleep_control;
    struct acpi_gas sleep_status;
    char hypervisor_vendor[8];
};
_Static_assert(sizeof(struct acpi_fadt) == 276, "FADT of ACPI 6");

struct PACKED acpi_facs { /* 5.2.10 */
    char signature[4];
    uint32_t length;
    uint32_t hardware_signature;
    uint32_t waking_vector;
    uint32_t global_lock;
    uint32_t flags;
    uint64_t x_waking_vector;
    uint8_t version;
    uint8_t reserved[31];
};
_Static_assert(sizeof(struct acpi_facs) == 64, "FACS");

struct PACKED acpi_madt { /* 5.2.12; its entries follow */
    struct acpi_header header;
    uint32_t local_apic_address;
    uint32_t flags;
};

struct PACKED madt_local_apic {
    uint8_t type, length;
    uint8_t processor_uid;
    uint8_t apic_id;
    uint32_t flags;
};

struct PACKED madt_io_apic {
    uint8_t type, length;
    uint8_t io_apic_id;
    uint8_t reserved;
    uint32_t address;
    uint32_t gsi_base;
};

struct PACKED madt_source_override {
    uint8_t type, length;
    uint8_t bus;
    uint8_t source; /* ISA IRQ */
    uint32_t gsi;
    uint16_t flags;
};

struct PACKED madt_local_apic_nmi {
    uint8_t type, length;
    uint8_t processor_uid;
    uint16_t flags;
    uint8_t lint;
};

struct PACKED madt_local_x2apic {
    uint8_t type, length;
    uint16_t reserved;
    uint32_t apic_id;
    uint32_t flags;
    uint32_t processor_uid;
};

struct PACKED madt_local_x2apic_nmi {
    uint8_t type, length;
    uint16_t flags;
    uint32_t processor_uid;
    uint8_t lint;
    uint8_t reserved[3];
};

struct PACKED acpi_mcfg { /* PCI Firmware Specification 3.2, 4.1.2 */
    struct acpi_header header;
    uint8_t reserved0[8];
    uint64_t ecam_base;
    uint16_t segment;
    uint8_t start_bus;
    uint8_t end_bus;
    uint8_t reserved1[4];
};

/*
 * Resources that depend on the machine, as Name (\NAME, ResourceTemplate () { ... }) in AML (ACPI
 * 6.5, 20.2, 6.4.3.5.1 and 6.4.3.5.3). The root prefix is left out: the table's outermost scope is
 * the root.
 */
struct PACKED aml_template {
    uint8_t name_op;
    char name[4];
    uint8_t buffer_op;
    uint8_t package_length; /* of the buffer object, from this byte on */
    uint8_t byte_prefix;
    uint8_t buffer_size; /* bytes that follow, the end included */
};

struct PACKED aml_end {
    uint8_t tag;
    uint8_t checksum; /* 0: not computed */
};

struct PACKED acpi_ssdt {
    struct acpi_header header;
    struct aml_template bus_template; /* PBUS: WordBusNumber (...) */
    struct PACKED {
        uint8_t type;
        uint16_t length; /* of what follows */
        uint8_t resource_type;
        uint8_t general_flags;
        uint8_t type_flags;
        uint16_t granularity;
        uint16_t minimum;
        uint16_t maximum;
        uint16_t translation;
        uint16_t range_length;
    } bus;
    struct aml_end bus_end;
    /* The table may end here. */
    struct aml_template window_template; /* P64W: QWordMemory (...) */
    struct PACKED {
        uint8_t type;
        uint16_t length;
        uint8_t resource_type;
        uint8_t general_flags;
        uint8_t type_flags;
        uint64_t granularity;
        uint64_t minimum;
        uint64_t maximum;
        uint64_t translation;
        uint64_t range_length;
    } window;
    struct aml_end window_end;
};

enum {
    GAS_IO = 1,

    FADT_REVISION = 6,
    FADT_MINOR = 5,
    FADT_NO_C2 = 0xfff,
    FADT_NO_C3 = 0xfff,
    BOOT_LEGACY_DEVICES = 1 << 0, /* there is a serial port; without bit 1: no 8042 */
    BOOT_VGA_NOT_PRESENT = 1 << 2,
    FADT_WBINVD = 1 << 0,
    FADT_PROC_C1 = 1 << 2,
    FADT_NO_SLEEP_BUTTON = 1 << 5, /* the power button is fixed hardware: its bit (4) is 0 */
    FADT_NO_FIXED_RTC = 1 << 6,    /* the RTC does not set PM1_STS.RTC_STS */
    FADT_TIMER_32BIT = 1 << 8,
    FADT_RESET_REGISTER = 1 << 10,
    FADT_HEADLESS = 1 << 12,

    FACS_VERSION = 2,

    MADT_REVISION = 5,
    MADT_PCAT_COMPAT = 1 << 0, /* there are two 8259s as well */
    MADT_LOCAL_APIC = 0,
    MADT_IO_APIC = 1,
    MADT_SOURCE_OVERRIDE = 2,
    MADT_LOCAL_APIC_NMI = 4,
    MADT_LOCAL_X2APIC = 9,
    MADT_LOCAL_X2APIC_NMI = 10,
    MADT_ENABLED = 1 << 0,
    MADT_ACTIVE_HIGH = 1 << 0,
    MADT_LEVEL = 3 << 2,
    LINT_NMI = 1,
    APIC_ID_BROADCAST = 0xff, /* ids from here up need an x2APIC entry */

    AML_NAME_OP = 0x08,
    AML_BUFFER_OP = 0x11,
    AML_BYTE_PREFIX = 0x0a,
    WORD_ADDRESS_SPACE = 0x88,
    QWORD_ADDRESS_SPACE = 0x8a,
    ADDRESS_MEMORY = 0,
    ADDRESS_BUS = 2,
    ADDRESS_MIN_MAX_FIXED = 3 << 2,
    ADDRESS_READ_WRITE = 1,
    END_TAG = 0x79,
};

/* ---- writing */

/* The region that is being filled. */
struct builder {
    uint8_t *host; /* its first byte */
    uint64_t base; /* its guest physical address */
    uint64_t size;
    uint64_t used;
    bool full; /* something did not fit */
};

/* Take `length` zeroed bytes at a multiple of `alignment`; NULL if they do not fit. */
static void *take(struct builder *builder, uint64_t length, uint64_t alignment)
{
    uint64_t start = (builder->used + alignment - 1) & ~(alignment - 1);
    if (start > builder->size || length > builder->size - start) {
        builder->full = true;
        return NULL;
    }
    builder->used = start + length;
    return memset(builder->host + start, 0, length);
}

static uint64_t address_of(const struct builder *builder, const void *table)
{
    return builder->base + ((const uint8_t *)table - builder->host);
}

/* What makes the sum of the bytes 0. */
static uint8_t checksum(const void *table, size_t length)
{
    const uint8_t *bytes = table;
    uint8_t sum = 0;
    for (size_t i = 0; i < length; i++) {
        sum += bytes[i];
    }
    return -sum;
}

/* Fill in the header of a table whose other bytes are in place. */
static void finish(struct acpi_header *header, const char *signature, uint8_t revision,
                   size_t length)
{
    memcpy(header->signature, signature, sizeof(header->signature));
    header->length = length;
    header->revision = revision;
    header->checksum = 0;
    memcpy(header->oem_id, OEM_ID, sizeof(header->oem_id));
    memcpy(header->oem_table_id, OEM_TABLE_ID, sizeof(header->oem_table_id));
    header->oem_revision = 1;
    memcpy(header->creator_id, CREATOR_ID, sizeof(header->creator_id));
    header->creator_revision = 1;
    header->checksum = checksum(header, length);
}

/* Take a table, copy it there and finish it. Returns its address, 0 if it does not fit. */
static uint64_t add_table(struct builder *builder, const void *table, size_t length,
                          const char *signature, uint8_t revision)
{
    void *place = take(builder, length, 16);
    if (!place) {
        return 0;
    }
    memcpy(place, table, length);
    finish(place, signature, revision, length);
    return address_of(builder, place);
}

/* ---- FACS, DSDT and FADT */

static uint64_t add_facs(struct builder *builder)
{
    struct acpi_facs *facs = take(builder, sizeof(*facs), 64);
    if (!facs) {
        return 0;
    }
    memcpy(facs->signature, "FACS", 4);
    facs->length = sizeof(*facs);
    facs->version = FACS_VERSION;
    return address_of(builder, facs);
}

static uint64_t add_dsdt(struct builder *builder)
{
    size_t length = acpi_dsdt_end - acpi_dsdt;
    void *dsdt = take(builder, length, 16);
    return dsdt ? address_of(builder, memcpy(dsdt, acpi_dsdt, length)) : 0;
}

static struct acpi_gas io_port(uint16_t port, unsigned bytes, uint8_t access_size)
{
    return (struct acpi_gas){
        .space = GAS_IO, .bit_width = 8 * bytes, .access_size = access_size, .address = port};
}

/* One entry a line, in the order of the table. */
static uint64_t add_fadt(struct builder *builder, uint64_t facs, uint64_t dsdt)
{
    const struct acpi_fadt fadt = {
        .facs = facs,
        .dsdt = dsdt,
        .sci_interrupt = ACPI_SCI_GSI,
        .pm1a_event = ACPI_PM1_EVENT_PORT,
        .pm1a_control = ACPI_PM1_CONTROL_PORT,
        .pm_timer = ACPI_PM_TIMER_PORT,
        .gpe0 = ACPI_GPE0_PORT,
        .pm1_event_length = 4,
        .pm1_control_length = 2,
        .pm_timer_length = 4,
        .gpe0_length = ACPI_GPE0_LENGTH,
        .c2_latency = FADT_NO_C2,
        .c3_latency = FADT_NO_C3,
        .century = RTC_CENTURY,
        .iapc_boot_arch = BOOT_LEGACY_DEVICES | BOOT_VGA_NOT_PRESENT,
        .flags = FADT_WBINVD | FADT_PROC_C1 | FADT_NO_SLEEP_BUTTON | FADT_NO_FIXED_RTC |
                 FADT_TIMER_32BIT | FADT_RESET_REGISTER | FADT_HEADLESS,
        .reset_register = io_port(RESET_CONTROL_PORT, 1, 1),
        .reset_value = RESET_CONTROL_VALUE,
        .minor_revision = FADT_MINOR,
        .x_dsdt = dsdt,
        .x_pm1a_event = io_port(ACPI_PM1_EVENT_PORT, 4, 2),
        .x_pm1a_control = io_port(ACPI_PM1_CONTROL_PORT, 2, 2),
        .x_pm_timer = io_port(ACPI_PM_TIMER_PORT, 4, 3),
        .x_gpe0 = io_port(ACPI_GPE0_PORT, ACPI_GPE0_LENGTH, 1),
        .hypervisor_vendor = "minivmm",
    };
    return add_table(builder, &fadt, sizeof(fadt), "FACP", FADT_REVISION);
}

/* ---- SSDT */

static struct aml_template template_head(const char *name, uint8_t bytes)
{
    struct aml_template head = {
        .name_op = AML_NAME_OP,
        .buffer_op = AML_BUFFER_OP,
        .package_length = 3 + bytes,
        .byte_prefix = AML_BYTE_PREFIX,
        .buffer_size = bytes,
    };
    memcpy(head.name, name, sizeof(head.name));
    return head;
}

static uint64_t add_ssdt(struct builder *builder, const struct acpi_config *config)
{
    struct acpi_ssdt ssdt = {
        .bus_template = template_head("PBUS", sizeof(ssdt.bus) + sizeof(ssdt.bus_end)),
        .bus.type = WORD_ADDRESS_SPACE,
        .bus.length = sizeof(ssdt.bus) - 3,
        .bus.resource_type = ADDRESS_BUS,
        .bus.general_flags = ADDRESS_MIN_MAX_FIXED,
        .bus.maximum = config->last_bus,
        .bus.range_length = config->last_bus + 1,
        .bus_end.tag = END_TAG,
        .window_template = template_head("P64W", sizeof(ssdt.window) + sizeof(ssdt.window_end)),
        .window.type = QWORD_ADDRESS_SPACE,
        .window.length = sizeof(ssdt.window) - 3,
        .window.resource_type = ADDRESS_MEMORY,
        .window.general_flags = ADDRESS_MIN_MAX_FIXED,
        .window.type_flags = ADDRESS_READ_WRITE, /* not "prefetchable": for any 64-bit BAR */
        .window.minimum = config->pci64_base,
        .window.maximum = config->pci64_base + (config->pci64_size - 1),
        .window.range_length = config->pci64_size,
        .window_end.tag = END_TAG,
    };
    bool window = config->pci64_size > 0;
    size_t length = window ? sizeof(ssdt) : offsetof(struct acpi_ssdt, window_template);
    return add_table(builder, &ssdt, length, "SSDT", 2);
}

/* ---- MADT */

/* Append an entry to the table that was begun last. */
#define MADT_ADD(builder, entry_type, code, ...)                                                   \
    do {                                                                                           \
        entry_type entry = {.type = (code), .length = sizeof(entry), __VA_ARGS__};                 \
        void *place = take(builder, sizeof(entry), 1);                                             \
        if (place) {                                                                               \
            memcpy(place, &entry, sizeof(entry));                                                  \
        }                                                                                          \
    } while (0)

static bool needs_x2apic(uint32_t apic_id)
{
    return apic_id >= APIC_ID_BROADCAST;
}

static uint32_t apic_id_of(const struct acpi_config *config, unsigned cpu)
{
    return config->apic_ids ? config->apic_ids[cpu] : cpu;
}

static void add_processor(struct builder *builder, unsigned cpu, uint32_t apic_id)
{
    if (needs_x2apic(apic_id)) {
        MADT_ADD(builder, struct madt_local_x2apic, MADT_LOCAL_X2APIC, .apic_id = apic_id,
                 .flags = MADT_ENABLED, .processor_uid = cpu);
    } else {
        MADT_ADD(builder, struct madt_local_apic, MADT_LOCAL_APIC, .processor_uid = cpu,
                 .apic_id = apic_id, .flags = MADT_ENABLED);
    }
}

/* Every processor's LINT1 is NMI. */
static void add_nmi(struct builder *builder, const struct acpi_config *config)
{
    bool x2apic = false;
    for (unsigned cpu = 0; cpu < config->cpus; cpu++) {
        x2apic |= needs_x2apic(apic_id_of(config, cpu));
    }
    MADT_ADD(builder, struct madt_local_apic_nmi, MADT_LOCAL_APIC_NMI, .processor_uid = 0xff,
             .lint = LINT_NMI);
    if (x2apic) {
        MADT_ADD(builder, struct madt_local_x2apic_nmi, MADT_LOCAL_X2APIC_NMI,
                 .processor_uid = UINT32_MAX, .lint = LINT_NMI);
    }
}

/* ISA IRQ n is GSI n, rising edge, but for the SCI, which is a level. */
static void add_interrupts(struct builder *builder)
{
    MADT_ADD(builder, struct madt_io_apic, MADT_IO_APIC, .address = X86_IOAPIC_BASE);
    MADT_ADD(builder, struct madt_source_override, MADT_SOURCE_OVERRIDE, .source = ACPI_SCI_GSI,
             .gsi = ACPI_SCI_GSI, .flags = MADT_ACTIVE_HIGH | MADT_LEVEL);
}

static uint64_t add_madt(struct builder *builder, const struct acpi_config *config)
{
    struct acpi_madt *madt = take(builder, sizeof(*madt), 16);
    if (!madt) {
        return 0;
    }
    madt->local_apic_address = X86_LAPIC_BASE;
    madt->flags = MADT_PCAT_COMPAT;
    for (unsigned cpu = 0; cpu < config->cpus; cpu++) {
        add_processor(builder, cpu, apic_id_of(config, cpu));
    }
    add_interrupts(builder);
    add_nmi(builder, config);
    finish(&madt->header, "APIC", MADT_REVISION, builder->host + builder->used - (uint8_t *)madt);
    return address_of(builder, madt);
}

/* ---- MCFG, XSDT and RSDP */

static uint64_t add_mcfg(struct builder *builder, const struct acpi_config *config)
{
    const struct acpi_mcfg mcfg = {.ecam_base = X86_ECAM_BASE, .end_bus = config->last_bus};
    return add_table(builder, &mcfg, sizeof(mcfg), "MCFG", 1);
}

/* All that the XSDT lists, in its order, and the XSDT. */
static uint64_t add_xsdt(struct builder *builder, const struct acpi_config *config)
{
    struct acpi_xsdt xsdt = {0};
    unsigned count = 0;
    uint64_t facs = add_facs(builder);
    uint64_t dsdt = add_dsdt(builder);
    xsdt.tables[count++] = add_fadt(builder, facs, dsdt);
    xsdt.tables[count++] = add_ssdt(builder, config);
    xsdt.tables[count++] = add_madt(builder, config);
    xsdt.tables[count++] = add_mcfg(builder, config);
    size_t length = sizeof(struct acpi_header) + count * sizeof(xsdt.tables[0]);
    return add_table(builder, &xsdt, length, "XSDT", 1);
}

static void fill_rsdp(struct acpi_rsdp *rsdp, uint64_t xsdt)
{
    memcpy(rsdp->signature, "RSD PTR ", sizeof(rsdp->signature));
    memcpy(rsdp->oem_id, OEM_ID, sizeof(rsdp->oem_id));
    rsdp->revision = 2;
    rsdp->length = sizeof(*rsdp);
    rsdp->xsdt_address = xsdt;
    rsdp->checksum = checksum(rsdp, offsetof(struct acpi_rsdp, length));
    rsdp->extended_checksum = checksum(rsdp, sizeof(*rsdp));
}

int acpi_build(const struct acpi_config *config, struct guest_memory *memory, gpa_t base,
               uint64_t size, gpa_t *rsdp, struct error *err)
{
    struct builder builder = {.base = base.raw, .size = size};
    builder.host = guest_memory_range(memory, base, size);
    if (!builder.host) {
        return error_set(err, -EFAULT, "ACPI tables: no guest RAM at 0x%llx, 0x%llx bytes",
                         (unsigned long long)base.raw, (unsigned long long)size);
    }
    struct acpi_rsdp *root = take(&builder, sizeof(*root), 16);
    uint64_t xsdt = root ? add_xsdt(&builder, config) : 0;
    if (builder.full) {
        return error_set(err, -ENOSPC, "ACPI tables: 0x%llx bytes are not enough for %u CPUs",
                         (unsigned long long)size, config->cpus);
    }
    fill_rsdp(root, xsdt);
    *rsdp = base;
    return 0;
}

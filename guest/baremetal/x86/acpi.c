/* SPDX-License-Identifier: MIT */
/* The little that tests need of ACPI 6.3, chapter 5: where ECAM is, and which processors there are.
 */
#include "print.h"
#include "x86.h"

struct acpi_facts acpi;

struct __attribute__((packed)) rsdp {
    char signature[8];
    uint8_t checksum;
    char oem[6];
    uint8_t revision;
    uint32_t rsdt;
    uint32_t length;
    uint64_t xsdt;
};

struct __attribute__((packed)) table {
    char signature[4];
    uint32_t length;
    uint8_t revision, checksum;
    char oem[28 - 2];
};

static bool is(const struct table *table, const char *signature)
{
    return memcmp(table->signature, signature, 4) == 0;
}

static void read_mcfg(const struct table *table)
{
    acpi.ecam = *(const uint64_t *)((const char *)table + 44);
}

/* Entries of type 0 are local APICs: type, length, UID, APIC id, flags (bit 0: enabled). */
static void read_madt(const struct table *table)
{
    const uint8_t *end = (const uint8_t *)table + table->length;

    for (const uint8_t *at = (const uint8_t *)table + 44; at < end && at[1]; at += at[1]) {
        if (at[0] == 0 && at[4] & 1 && acpi.cpus < sizeof(acpi.apic_ids)) {
            acpi.apic_ids[acpi.cpus++] = at[3];
        }
    }
}

static void read_table(uint64_t address)
{
    const struct table *table = (const struct table *)address;

    if (is(table, "MCFG")) {
        read_mcfg(table);
    } else if (is(table, "APIC")) {
        read_madt(table);
    }
}

void acpi_read(uint64_t address)
{
    const struct rsdp *rsdp = (const struct rsdp *)address;
    const bool wide = rsdp->revision >= 2;
    const struct table *root = (const struct table *)(wide ? rsdp->xsdt : rsdp->rsdt);
    const unsigned step = wide ? 8 : 4;

    for (uint32_t at = sizeof(*root); at + step <= root->length; at += step) {
        const char *entry = (const char *)root + at;

        read_table(wide ? *(const uint64_t *)entry : *(const uint32_t *)entry);
    }
}

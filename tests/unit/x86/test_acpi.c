/* SPDX-License-Identifier: MIT */
/*
 * ACPI tables, read back as a guest reads them: from the RSDP on, with every checksum, length and
 * address checked. The DSDT must say what the machine's headers say. Then ACPICA's tools: iasl must
 * disassemble each table and compile the AML ones again without a warning, and acpiexec, which has
 * the interpreter that Linux uses, must get the right answers from the methods.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <unistd.h>

#include "acpi.h"
#include "devices/acpi_pm.h"
#include "devices/pvpanic.h"
#include "devices/rtc_cmos.h"
#include "memory_map.h"

enum { RAM = 1 << 20, HEADER = 36 };

struct rig {
    struct guest_memory memory;
    uint64_t rsdp;
};

static int setup(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    struct error err = {0};
    assert_int_equal(guest_memory_add(&rig->memory, gpa(0), RAM, false, &err), 0);
    uint8_t *bytes = guest_memory_range(&rig->memory, gpa(0), RAM);
    memset(bytes, 0xa5, RAM); /* what a guest before a reboot has left behind */
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    struct rig *rig = *state;
    guest_memory_destroy(&rig->memory);
    free(rig);
    return 0;
}

/* ---- reading tables */

static const uint8_t *at(struct rig *rig, uint64_t address, uint64_t length)
{
    const uint8_t *bytes = guest_memory_range(&rig->memory, gpa(address), length);
    assert_non_null(bytes);
    return bytes;
}

static uint64_t field(const uint8_t *table, unsigned offset, unsigned bytes)
{
    uint64_t value = 0;
    memcpy(&value, table + offset, bytes);
    return value;
}

static uint8_t sum(const uint8_t *bytes, uint64_t length)
{
    uint8_t total = 0;
    for (uint64_t i = 0; i < length; i++) {
        total += bytes[i];
    }
    return total;
}

static uint32_t length_of(const uint8_t *table)
{
    return field(table, 4, 4);
}

/* The table at `address`, whose signature must be this and whose sum must be 0. */
static const uint8_t *table_at(struct rig *rig, uint64_t address, const char *signature)
{
    uint32_t length = length_of(at(rig, address, HEADER));
    assert_true(address >= X86_ACPI_BASE);
    assert_true(address + length <= X86_ACPI_BASE + X86_ACPI_SIZE);
    assert_true(length >= HEADER);
    const uint8_t *table = at(rig, address, length);
    assert_memory_equal(table, signature, 4);
    assert_int_equal(sum(table, length), 0);
    return table;
}

static const uint8_t *rsdp(struct rig *rig)
{
    const uint8_t *root = at(rig, rig->rsdp, 36);
    assert_memory_equal(root, "RSD PTR ", 8);
    assert_int_equal(sum(root, 20), 0);
    assert_int_equal(sum(root, 36), 0);
    assert_int_equal(root[15], 2);
    assert_int_equal(field(root, 20, 4), 36);
    return root;
}

static const uint8_t *xsdt(struct rig *rig)
{
    return table_at(rig, field(rsdp(rig), 24, 8), "XSDT");
}

static unsigned xsdt_count(struct rig *rig)
{
    assert_int_equal((length_of(xsdt(rig)) - HEADER) % 8, 0);
    return (length_of(xsdt(rig)) - HEADER) / 8;
}

/* The table with this signature, or NULL. The DSDT hangs off the FADT. */
static const uint8_t *find(struct rig *rig, const char *signature)
{
    for (unsigned i = 0; i < xsdt_count(rig); i++) {
        uint64_t address = field(xsdt(rig), HEADER + 8 * i, 8);
        if (!memcmp(at(rig, address, 4), signature, 4)) {
            return table_at(rig, address, signature);
        }
    }
    if (!strcmp(signature, "DSDT")) {
        return table_at(rig, field(find(rig, "FACP"), 140, 8), "DSDT");
    }
    return NULL;
}

static void build(struct rig *rig, const struct acpi_config *config)
{
    struct error err = {0};
    gpa_t root = gpa(0);
    assert_int_equal(
        acpi_build(config, &rig->memory, gpa(X86_ACPI_BASE), X86_ACPI_SIZE, &root, &err), 0);
    assert_int_equal(root.raw, X86_ACPI_BASE);
    assert_int_equal(root.raw % 16, 0); /* or nobody finds it by searching */
    rig->rsdp = root.raw;
}

static const struct acpi_config small = {.cpus = 1};
static const struct acpi_config usual = {
    .cpus = 4, .last_bus = 12, .pci64_base = 0x8000000000, .pci64_size = 0x8000000000};

/* ---- what the tables say */

static void the_root_lists_the_tables(void **state)
{
    struct rig *rig = *state;
    build(rig, &usual);
    assert_int_equal(xsdt_count(rig), 4);
    static const char *const signatures[] = {"FACP", "SSDT", "APIC", "MCFG"};
    for (unsigned i = 0; i < 4; i++) {
        table_at(rig, field(xsdt(rig), HEADER + 8 * i, 8), signatures[i]);
    }
    build(rig, &small);
    assert_int_equal(xsdt_count(rig), 4);
}

static void assert_port(const uint8_t *fadt, unsigned old, unsigned gas, uint32_t port,
                        unsigned bytes)
{
    if (old) {
        assert_int_equal(field(fadt, old, 4), port);
    }
    assert_int_equal(fadt[gas], 1);
    assert_int_equal(fadt[gas + 1], 8 * bytes);
    assert_int_equal(fadt[gas + 2], 0);
    assert_int_equal(field(fadt, gas + 4, 8), port);
}

static void fadt(void **state)
{
    struct rig *rig = *state;
    build(rig, &usual);
    const uint8_t *table = find(rig, "FACP");
    assert_int_equal(length_of(table), 276);
    assert_int_equal(table[8], 6);
    assert_int_equal(field(table, 40, 4), field(table, 140, 8)); /* DSDT, X_DSDT */
    assert_int_equal(field(table, 46, 2), 9);                    /* SCI */
    assert_int_equal(field(table, 48, 4), 0);                    /* SMI_CMD */
    assert_port(table, 56, 148, 0x600, 4);
    assert_port(table, 64, 172, 0x604, 2);
    assert_port(table, 76, 208, 0x608, 4);
    assert_port(table, 80, 220, 0x620, 16);
    assert_port(table, 0, 116, 0xcf9, 1);
    assert_int_equal(table[128], 6);
    assert_int_equal(table[88], 4);
    assert_int_equal(table[89], 2);
    assert_int_equal(table[91], 4);
    assert_int_equal(table[92], 16);
    assert_int_equal(table[108], 0x32);
    assert_int_equal(field(table, 109, 2), 1 << 2 | 1 << 0);        /* no 8042, no VGA, CMOS RTC */
    assert_int_equal(field(table, 112, 4) & (1 << 10), 1 << 10);    /* reset register */
    assert_int_equal(field(table, 112, 4) & (1 << 8), 1 << 8);      /* 32-bit timer */
    assert_int_equal(field(table, 112, 4) & (1 << 4 | 1 << 20), 0); /* fixed button; not reduced */
}

static void facs(void **state)
{
    struct rig *rig = *state;
    build(rig, &usual);
    uint64_t address = field(find(rig, "FACP"), 36, 4);
    assert_int_equal(field(find(rig, "FACP"), 132, 8), 0);
    assert_int_equal(address % 64, 0);
    const uint8_t *table = at(rig, address, 64);
    assert_memory_equal(table, "FACS", 4);
    assert_int_equal(length_of(table), 64);
    assert_int_equal(table[32], 2);
    assert_int_equal(sum(table + 8, 24) | sum(table + 33, 31),
                     0); /* and not what was there before */
}

static void mcfg(void **state)
{
    struct rig *rig = *state;
    build(rig, &usual);
    const uint8_t *table = find(rig, "MCFG");
    assert_int_equal(length_of(table), 60);
    assert_int_equal(field(table, 44, 8), 0xb0000000);
    assert_int_equal(field(table, 52, 2), 0);
    assert_int_equal(table[54], 0);
    assert_int_equal(table[55], 12);
    build(rig, &small);
    assert_int_equal(find(rig, "MCFG")[55], 0);
}

/* Count the MADT's entries of a type; store the last. */
static unsigned madt_entries(const uint8_t *madt, unsigned type, const uint8_t **last)
{
    unsigned count = 0;
    unsigned offset = 44;
    while (offset < length_of(madt)) {
        assert_true(madt[offset + 1] >= 6);
        if (madt[offset] == type) {
            *last = madt + offset;
            count++;
        }
        offset += madt[offset + 1];
    }
    assert_int_equal(offset, length_of(madt));
    return count;
}

static void madt(void **state)
{
    struct rig *rig = *state;
    build(rig, &usual);
    const uint8_t *table = find(rig, "APIC");
    const uint8_t *entry = NULL;
    assert_int_equal(field(table, 36, 4), 0xfee00000);
    assert_int_equal(field(table, 40, 4), 1);
    assert_int_equal(madt_entries(table, 0, &entry), 4);
    assert_memory_equal(entry, ((uint8_t[]){0, 8, 3, 3, 1, 0, 0, 0}), 8);
    assert_int_equal(madt_entries(table, 1, &entry), 1);
    assert_memory_equal(entry, ((uint8_t[]){1, 12, 0, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0}), 12);
    assert_int_equal(madt_entries(table, 2, &entry), 1);
    assert_memory_equal(entry, ((uint8_t[]){2, 10, 0, 9, 9, 0, 0, 0, 0x0d, 0}), 10);
    assert_int_equal(madt_entries(table, 4, &entry), 1);
    assert_memory_equal(entry, ((uint8_t[]){4, 6, 0xff, 0, 0, 1}), 6);
    assert_int_equal(madt_entries(table, 9, &entry) + madt_entries(table, 10, &entry), 0);
}

static void large_apic_ids_are_x2apic(void **state)
{
    struct rig *rig = *state;
    static const uint32_t ids[] = {0, 254, 255, 0x12345};
    build(rig, &(struct acpi_config){.cpus = 4, .apic_ids = ids});
    const uint8_t *table = find(rig, "APIC");
    const uint8_t *entry = NULL;
    assert_int_equal(madt_entries(table, 0, &entry), 2);
    assert_int_equal(entry[3], 254);
    assert_int_equal(madt_entries(table, 9, &entry), 2);
    assert_int_equal(field(entry, 4, 4), 0x12345);
    assert_int_equal(field(entry, 8, 4), 1);
    assert_int_equal(field(entry, 12, 4), 3);
    assert_int_equal(madt_entries(table, 10, &entry), 1);
}

static void many_processors(void **state)
{
    struct rig *rig = *state;
    const uint8_t *entry = NULL;
    build(rig, &(struct acpi_config){.cpus = X86_MAX_VCPUS});
    assert_int_equal(madt_entries(find(rig, "APIC"), 0, &entry), X86_MAX_VCPUS);
    build(rig, &small); /* and smaller again, over the old bytes */
    assert_int_equal(madt_entries(find(rig, "APIC"), 0, &entry), 1);
}

/* ---- errors */

/* However little room there is, nothing behind it is touched. */
static void too_little_room(void **state)
{
    struct rig *rig = *state;
    struct error err = {0};
    gpa_t root = gpa(0);
    uint8_t *base = guest_memory_range(&rig->memory, gpa(X86_ACPI_BASE), X86_ACPI_SIZE);
    uint64_t size = 0;
    int rc = -ENOSPC;
    while (rc != 0) {
        size += 16;
        memset(base + size, 0xa5, 16);
        rc = acpi_build(&usual, &rig->memory, gpa(X86_ACPI_BASE), size, &root, &err);
        assert_true(rc == 0 || rc == -ENOSPC);
        assert_int_equal(base[size], 0xa5);
    }
    assert_non_null(strstr(err.text, "4 CPUs"));
    assert_true(size > 2048);
    assert_true(size < ACPI_TABLES_SIZE(usual.cpus));
}

static void no_memory_there(void **state)
{
    struct rig *rig = *state;
    struct error err = {0};
    gpa_t root = gpa(0);
    assert_int_equal(acpi_build(&usual, &rig->memory, gpa(RAM - 4096), 8192, &root, &err), -EFAULT);
    assert_true(strlen(err.text) > 0);
}

/* ---- the DSDT against the headers: the resources it must contain, byte by byte */

static bool contains(const uint8_t *table, const void *bytes, size_t length)
{
    return memmem(table, length_of(table), bytes, length) != NULL;
}

static void assert_io(const uint8_t *dsdt, uint16_t port, uint8_t count)
{
    for (unsigned alignment = 0; alignment < 2; alignment++) {
        const uint8_t bytes[] = {0x47, 1, port, port >> 8, port, port >> 8, alignment, count};
        if (contains(dsdt, bytes, sizeof(bytes))) {
            return;
        }
    }
    fail_msg("the DSDT does not mention port 0x%x, %u bytes", port, count);
}

static void assert_irq(const uint8_t *dsdt, unsigned irq)
{
    const uint8_t bytes[] = {0x22, 1 << irq, 1 << irq >> 8};
    assert_true(contains(dsdt, bytes, sizeof(bytes)));
}

static void dsdt_has_the_machines_ports(void **state)
{
    struct rig *rig = *state;
    build(rig, &usual);
    const uint8_t *dsdt = find(rig, "DSDT");
    assert_io(dsdt, 0xcf8, 8);
    assert_io(dsdt, ACPI_PM_PORT, ACPI_PM_PORTS);
    assert_io(dsdt, RTC_PORT, RTC_PORTS);
    assert_io(dsdt, PVPANIC_PORT, 1);
    assert_io(dsdt, 0x3f8, 8);
    assert_irq(dsdt, X86_GSI_SERIAL);
    assert_irq(dsdt, X86_GSI_RTC);
    assert_int_equal(X86_GSI_RTC, RTC_GSI);
    assert_int_equal(X86_GSI_SCI, ACPI_SCI_GSI);
}

static void dsdt_has_the_memory_map(void **state)
{
    struct rig *rig = *state;
    build(rig, &usual);
    const uint8_t *dsdt = find(rig, "DSDT");
    struct __attribute__((packed)) {
        uint8_t tag[4];
        uint32_t base, size;
    } ecam = {{0x86, 9, 0, 1}, X86_ECAM_BASE, X86_ECAM_SIZE};
    assert_true(contains(dsdt, &ecam, sizeof(ecam)));
    struct __attribute__((packed)) {
        uint8_t tag[6];
        uint32_t granularity, first, last, translation, size;
    } window = {{0x87, 23, 0, 0, 0x0c, 1},           0, X86_PCI32_BASE,
                X86_PCI32_BASE + X86_PCI32_SIZE - 1, 0, X86_PCI32_SIZE};
    assert_true(contains(dsdt, &window, sizeof(window)));
}

/* _S5's package: its first element is SLP_TYPa. */
static void dsdt_powers_off_with_the_right_type(void **state)
{
    struct rig *rig = *state;
    build(rig, &usual);
    const uint8_t *dsdt = find(rig, "DSDT");
    const uint8_t *s5 = memmem(dsdt, length_of(dsdt), "_S5_\x12", 5);
    assert_non_null(s5);
    assert_int_equal(s5[6], 4);
    assert_int_equal(s5[7], ACPI_S5_SLP_TYP); /* ZeroOp is 0 */
}

/* Every _PRT entry: Package () { slot << 16 | 0xffff, pin, 0, gsi } */
static void dsdt_routes_every_pin(void **state)
{
    struct rig *rig = *state;
    build(rig, &usual);
    const uint8_t *dsdt = find(rig, "DSDT");
    for (unsigned slot = 0; slot < 32; slot++) {
        for (unsigned pin = 0; pin < 4; pin++) {
            uint8_t gsi = X86_GSI_PCI + (slot + pin) % 4;
            uint8_t tail[] = {0x00, 0x0a, gsi};
            uint8_t bytes[16] = {0x04}; /* four elements */
            size_t length = 1;
            if (slot == 0) {
                memcpy(bytes + length, (uint8_t[]){0x0b, 0xff, 0xff}, 3);
                length += 3;
            } else {
                memcpy(bytes + length, (uint8_t[]){0x0c, 0xff, 0xff, slot, 0}, 5);
                length += 5;
            }
            if (pin > 1) {
                bytes[length++] = 0x0a; /* BytePrefix; 0 and 1 are opcodes */
            }
            bytes[length++] = pin;
            memcpy(bytes + length, tail, sizeof(tail));
            assert_true(contains(dsdt, bytes, length + sizeof(tail)));
        }
    }
}

/* ---- ACPICA's tools: iasl takes the tables apart, acpiexec runs the AML */

struct workshop {
    char directory[32];
};

/* True if the command ends with 0. */
static bool shell(const char *command)
{
    return system(command) == 0; /* NOLINT(cert-env33-c): nothing in it comes from outside */
}

static bool have(const char *tool)
{
    char command[64];
    snprintf(command, sizeof(command), "command -v %s >/dev/null 2>&1", tool);
    return shell(command);
}

static void open_workshop(struct workshop *shop)
{
    strcpy(shop->directory, "/tmp/minivmm-acpi-XXXXXX");
    assert_non_null(mkdtemp(shop->directory));
}

static void close_workshop(struct workshop *shop)
{
    char command[64];
    snprintf(command, sizeof(command), "rm -r %s", shop->directory);
    assert_true(shell(command));
}

/* Write the table to NAME.aml. */
static void save(const struct workshop *shop, const char *name, const uint8_t *table)
{
    char path[64];
    snprintf(path, sizeof(path), "%s/%s.aml", shop->directory, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(table, 1, length_of(table), file), length_of(table));
    assert_int_equal(fclose(file), 0);
}

/* Run a command there; if it fails show what it printed. */
__attribute__((format(printf, 2, 3))) static void run(const struct workshop *shop,
                                                      const char *format, ...)
{
    char command[768];
    char line[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(command, sizeof(command), format, arguments);
    va_end(arguments);
    snprintf(line, sizeof(line), "cd %s && { %s; } </dev/null >log 2>&1 || { cat log; false; }",
             shop->directory, command);
    if (!shell(line)) {
        fail_msg("failed: %s", command);
    }
}

/* iasl ends with 0 even when it finds a table wrong; what it prints then has these words in it. */
static void disassemble(const struct workshop *shop, const char *name, const char *options)
{
    run(shop, "iasl %s -d %s.aml && ! grep -iE 'checksum|invalid|error|warning|unknown' log",
        options, name);
}

/* The same bytes again, but for the header, in which iasl puts its own name. */
static void recompile(const struct workshop *shop, const char *name)
{
    run(shop, "iasl -we -p again %s.dsl && cmp -i 36 again.aml %s.aml", name, name);
}

static void check_with_iasl(struct rig *rig, const struct acpi_config *config)
{
    static const char *const names[] = {"FACP", "APIC", "MCFG"};
    struct workshop shop;
    open_workshop(&shop);
    build(rig, config);
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        save(&shop, names[i], find(rig, names[i]));
        disassemble(&shop, names[i], "");
    }
    save(&shop, "XSDT", xsdt(rig));
    disassemble(&shop, "XSDT", "");
    save(&shop, "SSDT", find(rig, "SSDT"));
    disassemble(&shop, "SSDT", "");
    recompile(&shop, "SSDT");
    save(&shop, "DSDT", find(rig, "DSDT"));
    disassemble(&shop, "DSDT", "-e SSDT.aml");
    recompile(&shop, "DSDT");
    close_workshop(&shop);
}

static void iasl_reads_them(void **state)
{
    if (!have("iasl")) {
        print_message("skipped: iasl is not installed\n");
        skip();
    }
    check_with_iasl(*state, &small);
    check_with_iasl(*state, &usual);
    check_with_iasl(
        *state, &(struct acpi_config){
                    .cpus = 200, .last_bus = 255, .pci64_base = 0x140000000, .pci64_size = 0x1000});
}

#define OSC_UUID "(5B 4D DB 33 F7 1F 1C 40 96 57 74 41 C0 3D D7 66)"

/* Run a command of acpiexec's; its output must contain every one of `texts`, up to a NULL. */
static void execute(const struct workshop *shop, const char *tables, const char *command,
                    const char *const *texts)
{
    run(shop, "timeout 30 acpiexec -b '%s;quit' %s >output 2>&1 || { cat output; false; }", command,
        tables);
    for (; *texts; texts++) {
        run(shop, "grep -F '%s' output || { cat output; false; }", *texts);
    }
}

static void acpica_runs_the_methods(void **state)
{
    struct rig *rig = *state;
    struct workshop shop;
    if (!have("acpiexec")) {
        print_message("skipped: acpiexec is not installed\n");
        skip();
    }
    open_workshop(&shop);
    build(rig, &usual);
    save(&shop, "DSDT", find(rig, "DSDT"));
    save(&shop, "SSDT", find(rig, "SSDT"));
    execute(&shop, "DSDT.aml SSDT.aml", "resources \\_SB.PCI0",
            (const char *const[]){
                "Address Minimum : C0000000", "Address Maximum : FEBFFFFF",
                "Address Minimum : 0000008000000000", "Address Maximum : 000000FFFFFFFFFF",
                "Address Length : 0000008000000000", "Resource Type : Bus Number Range",
                "Address Minimum : 0000", "Address Maximum : 000C", "Address Length : 000D", NULL});
    build(rig, &small);
    save(&shop, "SMALL", find(rig, "SSDT"));
    execute(&shop, "DSDT.aml SMALL.aml", "execute \\_SB.PCI0._CRS",
            (const char *const[]){"Length 54 =", NULL}); /* without the 64-bit window */
    execute(&shop, "DSDT.aml",
            "execute \\_SB.PCI0._OSC " OSC_UUID " 1 3 (00 00 00 00 00 00 00 00 1F 00 00 00)",
            (const char *const[]){"10 00 00 00 00 00 00 00 1D 00 00 00", NULL});
    execute(&shop, "DSDT.aml",
            "execute \\_SB.PCI0._OSC " OSC_UUID " 1 3 (00 00 00 00 00 00 00 00 19 00 00 00)",
            (const char *const[]){"00 00 00 00 00 00 00 00 19 00 00 00", NULL});
    execute(&shop, "DSDT.aml",
            "execute \\_SB.PCI0._OSC " OSC_UUID " 2 3 (00 00 00 00 00 00 00 00 1F 00 00 00)",
            (const char *const[]){"08 00 00 00 00 00 00 00 1F 00 00 00", NULL});
    close_workshop(&shop);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_root_lists_the_tables),
        TEST(fadt),
        TEST(facs),
        TEST(mcfg),
        TEST(madt),
        TEST(large_apic_ids_are_x2apic),
        TEST(many_processors),
        TEST(too_little_room),
        TEST(no_memory_there),
        TEST(dsdt_has_the_machines_ports),
        TEST(dsdt_has_the_memory_map),
        TEST(dsdt_powers_off_with_the_right_type),
        TEST(dsdt_routes_every_pin),
        TEST(iasl_reads_them),
        TEST(acpica_runs_the_methods),
    };
    return cmocka_run_group_tests_name("acpi", tests, NULL, NULL);
}

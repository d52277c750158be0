/* SPDX-License-Identifier: MIT */
/*
 * The device tree: dtc reads it without a warning and writes it back the same; and what a kernel
 * looks for is there, for every kind of interrupt controller and number of vCPUs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <libfdt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/arm64/device_tree.h"

#define MIB (1ull << 20)
#define GIB (1ull << 30)

enum { ROOM = 512 << 10, MAX_CPUS = 200 };

struct rig {
    struct arm64_memory_map map;
    struct device_tree_config config;
    uint64_t mpidr[MAX_CPUS];
    uint8_t tree[ROOM];
    size_t used;
    struct error err;
};

static int set_up(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    assert_non_null(rig);
    assert_int_equal(arm64_memory_map_init(&rig->map, 256 * MIB, 40, true, &rig->err), 0);
    for (unsigned i = 0; i < MAX_CPUS; i++) {
        rig->mpidr[i] = (i / 16) << 8 | i % 16; /* as KVM numbers them */
    }
    rig->config = (struct device_tree_config){.map = &rig->map,
                                              .command_line = "quiet console=ttyAMA0",
                                              .initrd_start = 0x42280000,
                                              .initrd_end = 0x42281234,
                                              .mpidr = rig->mpidr,
                                              .cpus = 1,
                                              .gic_version = 3,
                                              .has_its = true,
                                              .has_pmu = true};
    *state = rig;
    return 0;
}

static int tear_down(void **state)
{
    free(*state);
    return 0;
}

static void build(struct rig *rig)
{
    int ret = device_tree_build(&rig->config, rig->tree, sizeof(rig->tree), &rig->used, &rig->err);
    if (ret < 0) {
        fail_msg("%s", rig->err.text);
    }
    assert_int_equal(fdt_check_full(rig->tree, rig->used), 0);
}

static int node(struct rig *rig, const char *path)
{
    int offset = fdt_path_offset(rig->tree, path);
    if (offset < 0) {
        fail_msg("no %s: %s", path, fdt_strerror(offset));
    }
    return offset;
}

/* Cell `index` of a property. */
static uint32_t cell(struct rig *rig, const char *path, const char *name, int index)
{
    int length;
    const fdt32_t *cells = fdt_getprop(rig->tree, node(rig, path), name, &length);
    assert_non_null(cells);
    assert_true(length >= (index + 1) * 4);
    return fdt32_ld(cells + index);
}

static int length_of(struct rig *rig, const char *path, const char *name)
{
    int length = -1;
    (void)fdt_getprop(rig->tree, node(rig, path), name, &length);
    return length;
}

static uint64_t pair(struct rig *rig, const char *path, const char *name, int index)
{
    return (uint64_t)cell(rig, path, name, index) << 32 | cell(rig, path, name, index + 1);
}

static void expect_text(struct rig *rig, const char *path, const char *name, const char *text)
{
    const char *value = fdt_getprop(rig->tree, node(rig, path), name, NULL);
    assert_non_null(value);
    assert_string_equal(value, text);
}

/* ---- dtc */

/* Run a command; what it wrote to stderr must be nothing. */
static void run_silently(const char *command, const char *errors)
{
    char text[512] = "";
    int status = system(command);
    FILE *file = fopen(errors, "r");
    assert_non_null(file);
    size_t length = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    if (status != 0 || length > 0) {
        fail_msg("%s: status %d: %s", command, status, text);
    }
}

static void expect_dtc_is_content(struct rig *rig)
{
    char folder[] = "/tmp/minivmm-dtb-XXXXXX";
    char path[64], errors[64], command[256];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/dtb", folder);
    snprintf(errors, sizeof(errors), "%s/errors", folder);
    assert_int_equal(device_tree_dump(path, rig->tree, rig->used, &rig->err), 0);
    snprintf(command, sizeof(command), "dtc -I dtb -O dts -o %s/dts %s 2>%s", folder, path, errors);
    run_silently(command, errors);
    /* In the text phandles are mere numbers, about which the way back would complain: -q. */
    snprintf(command, sizeof(command), "dtc -q -I dts -O dtb -o %s/again %s/dts 2>%s", folder,
             folder, errors);
    run_silently(command, errors);
    snprintf(command, sizeof(command),
             "dtc -I dtb -O dts -o %s/dts2 %s/again && cmp %s/dts %s/dts2 2>%s", folder, folder,
             folder, folder, errors);
    run_silently(command, errors);
    snprintf(command, sizeof(command), "rm -r %s", folder);
    assert_int_equal(system(command), 0);
}

static void test_dtc_reads_it_back_without_a_warning(void **state)
{
    struct rig *rig = *state;
    const unsigned cpus[] = {1, 2, 16, MAX_CPUS};
    if (system("dtc --version >/dev/null 2>&1") != 0) {
        print_message("skipped: dtc is not installed (Debian's device-tree-compiler)\n");
        skip();
    }
    for (size_t i = 0; i < sizeof(cpus) / sizeof(cpus[0]); i++) {
        rig->config.cpus = cpus[i];
        build(rig);
        expect_dtc_is_content(rig);
    }
    rig->config.has_smmu = true;
    build(rig);
    expect_dtc_is_content(rig);
    rig->config.has_its = false;
    build(rig);
    expect_dtc_is_content(rig);
    rig->config.gic_version = 2;
    rig->config.cpus = 8;
    rig->config.has_pmu = false;
    rig->config.initrd_end = 0;
    assert_int_equal(arm64_memory_map_init(&rig->map, 4 * GIB, 36, true, &rig->err), 0);
    build(rig);
    expect_dtc_is_content(rig);
}

/* ---- what is in it */

static void test_memory_command_line_and_initrd(void **state)
{
    struct rig *rig = *state;
    build(rig);
    expect_text(rig, "/chosen", "bootargs", "quiet console=ttyAMA0");
    expect_text(rig, "/chosen", "stdout-path", "/pl011@9000000");
    assert_int_equal(pair(rig, "/chosen", "linux,initrd-start", 0), 0x42280000);
    assert_int_equal(pair(rig, "/chosen", "linux,initrd-end", 0), 0x42281234);
    assert_int_equal(pair(rig, "/memory@40000000", "reg", 0), 0x40000000);
    assert_int_equal(pair(rig, "/memory@40000000", "reg", 2), 256 * MIB);
    rig->config.initrd_end = 0;
    build(rig);
    assert_true(length_of(rig, "/chosen", "linux,initrd-start") < 0);
}

static void test_seeds_are_the_callers(void **state)
{
    struct rig *rig = *state;
    memset(rig->config.seed, 0x5a, sizeof(rig->config.seed));
    build(rig);
    assert_int_equal(length_of(rig, "/chosen", "kaslr-seed"), 8);
    assert_int_equal(pair(rig, "/chosen", "kaslr-seed", 0), 0x5a5a5a5a5a5a5a5a);
    assert_int_equal(length_of(rig, "/chosen", "rng-seed"), 56);
}

static void test_gicv3_with_its(void **state)
{
    struct rig *rig = *state;
    static const char gic[] = "/interrupt-controller@8000000";
    rig->config.cpus = 4;
    build(rig);
    expect_text(rig, gic, "compatible", "arm,gic-v3");
    assert_int_equal(pair(rig, gic, "reg", 0), 0x08000000);
    assert_int_equal(pair(rig, gic, "reg", 4), 0x080a0000);
    assert_int_equal(pair(rig, gic, "reg", 6), 4 * 0x20000);
    expect_text(rig, "/interrupt-controller@8000000/msi-controller@8080000", "compatible",
                "arm,gic-v3-its");
    assert_int_equal(length_of(rig, "/pcie@4010000000", "msi-map"), 16);
    assert_true(length_of(rig, "/pcie@4010000000", "msi-parent") < 0);
    assert_int_equal(cell(rig, "/timer", "interrupts", 2), 4);
}

static void test_many_vcpus_have_two_regions_of_redistributors(void **state)
{
    struct rig *rig = *state;
    static const char gic[] = "/interrupt-controller@8000000";
    rig->config.cpus = ARM64_LOW_GICR_VCPUS;
    build(rig);
    assert_int_equal(length_of(rig, gic, "reg"), 32);
    assert_int_equal(pair(rig, gic, "reg", 4) + pair(rig, gic, "reg", 6), 0x09000000);
    rig->config.cpus = ARM64_LOW_GICR_VCPUS + 2;
    build(rig);
    assert_int_equal(cell(rig, gic, "#redistributor-regions", 0), 2);
    assert_int_equal(length_of(rig, gic, "reg"), 48);
    assert_int_equal(pair(rig, gic, "reg", 8), 0x4000000000);
    assert_int_equal(pair(rig, gic, "reg", 10), 2 * 0x20000);
}

static void test_gicv2_with_a_frame(void **state)
{
    struct rig *rig = *state;
    static const char gic[] = "/interrupt-controller@8000000";
    rig->config.cpus = 3;
    rig->config.gic_version = 2;
    rig->config.has_its = false;
    build(rig);
    expect_text(rig, gic, "compatible", "arm,cortex-a15-gic");
    assert_int_equal(pair(rig, gic, "reg", 4), 0x08010000);
    expect_text(rig, "/interrupt-controller@8000000/v2m@8020000", "compatible",
                "arm,gic-v2m-frame");
    assert_int_equal(cell(rig, "/pcie@4010000000", "msi-parent", 0),
                     cell(rig, "/interrupt-controller@8000000/v2m@8020000", "phandle", 0));
    assert_int_equal(cell(rig, "/timer", "interrupts", 2), 0x704); /* three CPUs */
}

static void test_smmu_is_in_front_of_every_requester(void **state)
{
    struct rig *rig = *state;
    static const char smmu[] = "/smmuv3@9050000";
    static const uint32_t first_spi = 74;
    build(rig);
    assert_true(fdt_path_offset(rig->tree, smmu) < 0); /* only if there is one */
    assert_null(fdt_getprop(rig->tree, node(rig, "/pcie@4010000000"), "iommu-map", NULL));
    rig->config.has_smmu = true;
    build(rig);
    expect_text(rig, smmu, "compatible", "arm,smmu-v3");
    assert_int_equal(pair(rig, smmu, "reg", 0), 0x9050000);
    assert_int_equal(pair(rig, smmu, "reg", 2), 0x20000);
    static const char *const names[] = {"eventq", "priq", "cmdq-sync", "gerror"};
    for (uint32_t i = 0; i < 4; i++) {
        int index = fdt_stringlist_search(rig->tree, node(rig, smmu), "interrupt-names", names[i]);
        assert_int_equal(index, i);
        assert_int_equal(cell(rig, smmu, "interrupts", 3 * (int)i), 0); /* an SPI */
        assert_int_equal(cell(rig, smmu, "interrupts", 3 * (int)i + 1), first_spi + i);
        assert_int_equal(cell(rig, smmu, "interrupts", 3 * (int)i + 2), 1); /* rising edge */
    }
    assert_non_null(fdt_getprop(rig->tree, node(rig, smmu), "dma-coherent", NULL));
    assert_int_equal(cell(rig, smmu, "#iommu-cells", 0), 1);
    assert_int_equal(cell(rig, "/pcie@4010000000", "iommu-map", 0), 0);
    assert_int_equal(cell(rig, "/pcie@4010000000", "iommu-map", 1), cell(rig, smmu, "phandle", 0));
    assert_int_equal(cell(rig, "/pcie@4010000000", "iommu-map", 2), 0);
    assert_int_equal(cell(rig, "/pcie@4010000000", "iommu-map", 3), 0x10000);
}

static void test_every_vcpu_is_there(void **state)
{
    struct rig *rig = *state;
    rig->config.cpus = 18;
    build(rig);
    for (unsigned i = 0; i < 18; i++) {
        char path[64];
        snprintf(path, sizeof(path), "/cpus/cpu@%llx", (unsigned long long)rig->mpidr[i]);
        assert_int_equal(pair(rig, path, "reg", 0), rig->mpidr[i]);
        expect_text(rig, path, "enable-method", "psci");
        uint32_t phandle = cell(rig, path, "phandle", 0);
        snprintf(path, sizeof(path), "/cpus/cpu-map/socket0/cluster0/core%u", i);
        assert_int_equal(cell(rig, path, "cpu", 0), phandle);
    }
}

/* The wire that each slot and pin ends at, as pci/pci_intx.c has it: (slot + pin - 1) mod 4. */
static void test_interrupt_map_swizzles(void **state)
{
    struct rig *rig = *state;
    build(rig);
    assert_int_equal(length_of(rig, "/pcie@4010000000", "interrupt-map"), 16 * 10 * 4);
    for (int entry = 0; entry < 16; entry++) {
        int slot = entry / 4, pin = entry % 4 + 1;
        static const char pcie[] = "/pcie@4010000000";
        assert_int_equal(cell(rig, pcie, "interrupt-map", entry * 10), slot << 11);
        assert_int_equal(cell(rig, pcie, "interrupt-map", entry * 10 + 3), pin);
        assert_int_equal(cell(rig, pcie, "interrupt-map", entry * 10 + 8),
                         3 + (slot + pin - 1) % 4);
    }
    assert_int_equal(cell(rig, "/pcie@4010000000", "interrupt-map-mask", 0), 0x1800);
}

static void test_the_power_button_is_a_key_at_a_pin(void **state)
{
    struct rig *rig = *state;
    build(rig);
    expect_text(rig, "/pl061@9030000", "compatible", "arm,pl061");
    assert_int_equal(cell(rig, "/pl061@9030000", "interrupts", 0), 0); /* SPI */
    assert_int_equal(cell(rig, "/pl061@9030000", "interrupts", 1), 7);
    assert_int_equal(cell(rig, "/pl061@9030000", "interrupts", 2), 4); /* level, high */
    expect_text(rig, "/gpio-keys", "compatible", "gpio-keys");
    assert_int_equal(cell(rig, "/gpio-keys/poweroff", "linux,code", 0), 116); /* KEY_POWER */
    uint32_t chip = cell(rig, "/gpio-keys/poweroff", "gpios", 0);
    assert_int_equal(fdt_node_offset_by_phandle(rig->tree, chip), node(rig, "/pl061@9030000"));
    assert_int_equal(cell(rig, "/gpio-keys/poweroff", "gpios", 1), 3);
    assert_int_equal(cell(rig, "/gpio-keys/poweroff", "gpios", 2), 0); /* high while it is down */
}

static void test_windows(void **state)
{
    struct rig *rig = *state;
    build(rig);
    assert_int_equal(length_of(rig, "/pcie@4010000000", "ranges"), 3 * 7 * 4);
    assert_int_equal(pair(rig, "/pcie@4010000000", "ranges", 3), 0x3eff0000);
    assert_int_equal(pair(rig, "/pcie@4010000000", "ranges", 12), 0x2eff0000);
    assert_int_equal(cell(rig, "/pcie@4010000000", "ranges", 14), 0x43000000);
    assert_int_equal(arm64_memory_map_init(&rig->map, 256 * MIB, 36, true, &rig->err), 0);
    build(rig);
    assert_int_equal(length_of(rig, "/pcie@3f000000", "ranges"), 2 * 7 * 4);
    assert_int_equal(cell(rig, "/pcie@3f000000", "bus-range", 1), 15);
}

static void test_too_little_room_is_an_error(void **state)
{
    struct rig *rig = *state;
    build(rig);
    size_t needed = rig->used;
    for (size_t room = 0; room < needed; room += 7) {
        rig->err.text[0] = '\0';
        assert_int_equal(device_tree_build(&rig->config, rig->tree, room, &rig->used, &rig->err),
                         -ENOSPC);
        assert_true(rig->err.text[0] != '\0');
    }
}

static void test_a_file_that_cannot_be_written_is_named(void **state)
{
    struct rig *rig = *state;
    build(rig);
    assert_int_equal(device_tree_dump("/nowhere/tree", rig->tree, rig->used, &rig->err), -ENOENT);
    assert_non_null(strstr(rig->err.text, "--dump-dtb /nowhere/tree"));
    assert_int_equal(device_tree_dump("/dev/full", rig->tree, rig->used, &rig->err), -ENOSPC);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_dtc_reads_it_back_without_a_warning),
        TEST(test_memory_command_line_and_initrd),
        TEST(test_seeds_are_the_callers),
        TEST(test_gicv3_with_its),
        TEST(test_many_vcpus_have_two_regions_of_redistributors),
        TEST(test_gicv2_with_a_frame),
        TEST(test_smmu_is_in_front_of_every_requester),
        TEST(test_every_vcpu_is_there),
        TEST(test_interrupt_map_swizzles),
        TEST(test_the_power_button_is_a_key_at_a_pin),
        TEST(test_windows),
        TEST(test_too_little_room_is_an_error),
        TEST(test_a_file_that_cannot_be_written_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/*
 * The device tree is written from front to back by libfdt's sequential functions (fdt_begin_node()
 * to fdt_end_node()). Each of them returns 0 or a negative FDT_ERR_*; rather than test forty of
 * them one by one, `struct tree` keeps the first failure, and everything after it does nothing.
 */
#include "vmm/arm64/device_tree.h"

#include <errno.h>
#include <fcntl.h>
#include <libfdt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Nodes that others refer to. */
enum {
    PHANDLE_GIC = 1,
    PHANDLE_MSI = 2,
    PHANDLE_CLOCK = 3,
    PHANDLE_SMMU = 4,
    PHANDLE_GPIO = 5,
    PHANDLE_CPU0 = 0x100
};

/* An interrupt's kind and trigger in three cells; Arm's GIC binding. */
enum { SPI = 0, PPI = 1, EDGE_RISING = 1, LEVEL_HIGH = 4, PPI_CPUS_SHIFT = 8 };

struct tree {
    void *fdt;
    int failure; /* the first FDT_ERR_*, negative; 0: none */
};

/* ---- nodes and properties
 * ------------------------------------------------------------------------ */

static void note(struct tree *tree, int result)
{
    if (tree->failure == 0) {
        tree->failure = result;
    }
}

static void begin(struct tree *tree, const char *name)
{
    note(tree, fdt_begin_node(tree->fdt, name));
}

/* A node whose name ends in an address. */
static void begin_at(struct tree *tree, const char *name, uint64_t address)
{
    char full[64];
    snprintf(full, sizeof(full), "%s@%llx", name, (unsigned long long)address);
    begin(tree, full);
}

static void end(struct tree *tree)
{
    note(tree, fdt_end_node(tree->fdt));
}

static void add_bytes(struct tree *tree, const char *name, const void *bytes, size_t length)
{
    note(tree, fdt_property(tree->fdt, name, bytes, (int)length));
}

static void add_empty(struct tree *tree, const char *name)
{
    add_bytes(tree, name, NULL, 0);
}

static void add_text(struct tree *tree, const char *name, const char *text)
{
    add_bytes(tree, name, text, strlen(text) + 1);
}

static void add_u64(struct tree *tree, const char *name, uint64_t value)
{
    note(tree, fdt_property_u64(tree->fdt, name, value));
}

static void add_cells(struct tree *tree, const char *name, const uint32_t *cells, size_t count)
{
    void *to = NULL;
    note(tree, fdt_property_placeholder(tree->fdt, name, (int)(count * sizeof(fdt32_t)), &to));
    for (size_t i = 0; tree->failure == 0 && i < count; i++) {
        fdt32_st((uint8_t *)to + i * sizeof(fdt32_t), cells[i]);
    }
}

#define ADD_CELLS(tree, name, ...)                                                                 \
    add_cells((tree), (name), (const uint32_t[]){__VA_ARGS__},                                     \
              sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

/* Several strings, one behind the other. */
#define ADD_TEXTS(tree, name, texts) add_bytes((tree), (name), (texts), sizeof(texts))

/* An address or size in two cells. */
#define CELLS(value) (uint32_t)((uint64_t)(value) >> 32), (uint32_t)(value)

/* ---- the CPUs
 * ------------------------------------------------------------------------------------ */

/* Every vCPU is a core of one cluster of one socket. */
static void add_cpu_map(struct tree *tree, unsigned cpus)
{
    begin(tree, "cpu-map");
    begin(tree, "socket0");
    begin(tree, "cluster0");
    for (unsigned i = 0; i < cpus; i++) {
        char name[16];
        snprintf(name, sizeof(name), "core%u", i);
        begin(tree, name);
        ADD_CELLS(tree, "cpu", PHANDLE_CPU0 + i);
        end(tree);
    }
    end(tree);
    end(tree);
    end(tree);
}

static void add_cpus(struct tree *tree, const struct device_tree_config *config)
{
    begin(tree, "cpus");
    ADD_CELLS(tree, "#address-cells", 2);
    ADD_CELLS(tree, "#size-cells", 0);
    add_cpu_map(tree, config->cpus);
    for (unsigned i = 0; i < config->cpus; i++) {
        begin_at(tree, "cpu", config->mpidr[i]);
        add_text(tree, "device_type", "cpu");
        add_text(tree, "compatible", "arm,armv8");
        ADD_CELLS(tree, "reg", CELLS(config->mpidr[i]));
        add_text(tree, "enable-method", "psci");
        ADD_CELLS(tree, "phandle", PHANDLE_CPU0 + i);
        end(tree);
    }
    end(tree);
}

static void add_psci(struct tree *tree)
{
    begin(tree, "psci");
    ADD_TEXTS(tree, "compatible", "arm,psci-1.0\0arm,psci-0.2");
    add_text(tree, "method", "hvc");
    end(tree);
}

/* A GICv2 wants to know which CPUs a private interrupt belongs to: all of them. */
static uint32_t ppi_flags(const struct device_tree_config *config)
{
    uint32_t cpus = config->gic_version == 2 ? (1u << config->cpus) - 1 : 0;
    return cpus << PPI_CPUS_SHIFT | LEVEL_HIGH;
}

static void add_timer(struct tree *tree, const struct device_tree_config *config)
{
    uint32_t flags = ppi_flags(config);
    begin(tree, "timer");
    add_text(tree, "compatible", "arm,armv8-timer");
    ADD_CELLS(tree, "interrupts", PPI, ARM64_PPI_TIMER_SECURE, flags, PPI, ARM64_PPI_TIMER_PHYSICAL,
              flags, PPI, ARM64_PPI_TIMER_VIRTUAL, flags, PPI, ARM64_PPI_TIMER_HYPERVISOR, flags);
    add_empty(tree, "always-on");
    end(tree);
}

static void add_pmu(struct tree *tree, const struct device_tree_config *config)
{
    if (config->has_pmu) {
        begin(tree, "pmu");
        add_text(tree, "compatible", "arm,armv8-pmuv3");
        ADD_CELLS(tree, "interrupts", PPI, ARM64_PPI_PMU, ppi_flags(config));
        end(tree);
    }
}

/* ---- memory
 * -------------------------------------------------------------------------------------- */

static void add_chosen(struct tree *tree, const struct device_tree_config *config)
{
    enum { KASLR_SEED = 8 };
    char console[32];
    begin(tree, "chosen");
    add_text(tree, "bootargs", config->command_line);
    snprintf(console, sizeof(console), "/pl011@%llx", ARM64_PL011_BASE);
    add_text(tree, "stdout-path", console);
    if (config->initrd_end > 0) {
        add_u64(tree, "linux,initrd-start", config->initrd_start);
        add_u64(tree, "linux,initrd-end", config->initrd_end);
    }
    add_bytes(tree, "kaslr-seed", config->seed, KASLR_SEED);
    add_bytes(tree, "rng-seed", config->seed + KASLR_SEED, sizeof(config->seed) - KASLR_SEED);
    end(tree);
}

static void add_memory(struct tree *tree, const struct device_tree_config *config)
{
    begin_at(tree, "memory", ARM64_RAM_BASE);
    add_text(tree, "device_type", "memory");
    ADD_CELLS(tree, "reg", CELLS(ARM64_RAM_BASE), CELLS(config->map->ram));
    end(tree);
}

/* ---- interrupts
 * ---------------------------------------------------------------------------------- */

static void add_its(struct tree *tree)
{
    begin_at(tree, "msi-controller", ARM64_ITS_BASE);
    add_text(tree, "compatible", "arm,gic-v3-its");
    add_empty(tree, "msi-controller");
    ADD_CELLS(tree, "#msi-cells", 1);
    ADD_CELLS(tree, "reg", CELLS(ARM64_ITS_BASE), CELLS(ARM64_ITS_SIZE));
    ADD_CELLS(tree, "phandle", PHANDLE_MSI);
    end(tree);
}

static void add_v2m(struct tree *tree)
{
    begin_at(tree, "v2m", ARM64_GICV2M_BASE);
    add_text(tree, "compatible", "arm,gic-v2m-frame");
    add_empty(tree, "msi-controller");
    ADD_CELLS(tree, "reg", CELLS(ARM64_GICV2M_BASE), CELLS(ARM64_GICV2M_SIZE));
    ADD_CELLS(tree, "phandle", PHANDLE_MSI);
    end(tree);
}

static void add_gicv3_registers(struct tree *tree, const struct device_tree_config *config)
{
    add_text(tree, "compatible", "arm,gic-v3");
    if (config->cpus <= ARM64_LOW_GICR_VCPUS) {
        ADD_CELLS(tree, "#redistributor-regions", 1);
        ADD_CELLS(tree, "reg", CELLS(ARM64_GICD_BASE), CELLS(ARM64_GICD_SIZE),
                  CELLS(ARM64_GICR_BASE), CELLS(ARM64_GICR_STRIDE * config->cpus));
        return;
    }
    uint64_t high_size = (config->cpus - ARM64_LOW_GICR_VCPUS) * ARM64_GICR_STRIDE;
    ADD_CELLS(tree, "#redistributor-regions", 2);
    ADD_CELLS(tree, "reg", CELLS(ARM64_GICD_BASE), CELLS(ARM64_GICD_SIZE), CELLS(ARM64_GICR_BASE),
              CELLS(ARM64_GICR_SIZE), CELLS(config->map->high_gicr_base), CELLS(high_size));
}

static void add_gicv2_registers(struct tree *tree)
{
    add_text(tree, "compatible", "arm,cortex-a15-gic");
    ADD_CELLS(tree, "reg", CELLS(ARM64_GICD_BASE), CELLS(ARM64_GICD_SIZE), CELLS(ARM64_GICC_BASE),
              CELLS(ARM64_GICC_SIZE));
}

static void add_gic(struct tree *tree, const struct device_tree_config *config)
{
    begin_at(tree, "interrupt-controller", ARM64_GICD_BASE);
    if (config->gic_version == 3) {
        add_gicv3_registers(tree, config);
    } else {
        add_gicv2_registers(tree);
    }
    add_empty(tree, "interrupt-controller");
    ADD_CELLS(tree, "#interrupt-cells", 3);
    ADD_CELLS(tree, "#address-cells", 2);
    ADD_CELLS(tree, "#size-cells", 2);
    add_empty(tree, "ranges");
    ADD_CELLS(tree, "phandle", PHANDLE_GIC);
    if (config->has_its) {
        add_its(tree);
    } else {
        add_v2m(tree);
    }
    end(tree);
}

/* ---- platform devices
 * ---------------------------------------------------------------------------- */

static void add_clock(struct tree *tree)
{
    begin(tree, "apb-pclk");
    add_text(tree, "compatible", "fixed-clock");
    ADD_CELLS(tree, "#clock-cells", 0);
    ADD_CELLS(tree, "clock-frequency", ARM64_APB_CLOCK_HZ);
    ADD_CELLS(tree, "phandle", PHANDLE_CLOCK);
    end(tree);
}

static void add_pl011(struct tree *tree)
{
    begin_at(tree, "pl011", ARM64_PL011_BASE);
    ADD_TEXTS(tree, "compatible", "arm,pl011\0arm,primecell");
    ADD_CELLS(tree, "reg", CELLS(ARM64_PL011_BASE), CELLS(0x1000));
    ADD_CELLS(tree, "interrupts", SPI, ARM64_GSI_PL011 - ARM64_SPI, LEVEL_HIGH);
    ADD_CELLS(tree, "clocks", PHANDLE_CLOCK, PHANDLE_CLOCK);
    ADD_TEXTS(tree, "clock-names", "uartclk\0apb_pclk");
    end(tree);
}

static void add_pl031(struct tree *tree)
{
    begin_at(tree, "pl031", ARM64_PL031_BASE);
    ADD_TEXTS(tree, "compatible", "arm,pl031\0arm,primecell");
    ADD_CELLS(tree, "reg", CELLS(ARM64_PL031_BASE), CELLS(0x1000));
    ADD_CELLS(tree, "interrupts", SPI, ARM64_GSI_PL031 - ARM64_SPI, LEVEL_HIGH);
    ADD_CELLS(tree, "clocks", PHANDLE_CLOCK);
    add_text(tree, "clock-names", "apb_pclk");
    end(tree);
}

static void add_pl061(struct tree *tree)
{
    begin_at(tree, "pl061", ARM64_PL061_BASE);
    ADD_TEXTS(tree, "compatible", "arm,pl061\0arm,primecell");
    ADD_CELLS(tree, "reg", CELLS(ARM64_PL061_BASE), CELLS(0x1000));
    ADD_CELLS(tree, "interrupts", SPI, ARM64_GSI_PL061 - ARM64_SPI, LEVEL_HIGH);
    ADD_CELLS(tree, "clocks", PHANDLE_CLOCK);
    add_text(tree, "clock-names", "apb_pclk");
    add_empty(tree, "gpio-controller");
    ADD_CELLS(tree, "#gpio-cells", 2);
    ADD_CELLS(tree, "phandle", PHANDLE_GPIO);
    end(tree);
}

/* The power button: a key at a pin of the PL061, high while it is down. */
static void add_gpio_keys(struct tree *tree)
{
    enum { KEY_POWER = 116, ACTIVE_HIGH = 0 };
    begin(tree, "gpio-keys");
    add_text(tree, "compatible", "gpio-keys");
    begin(tree, "poweroff");
    add_text(tree, "label", "GPIO Key Poweroff");
    ADD_CELLS(tree, "linux,code", KEY_POWER);
    ADD_CELLS(tree, "gpios", PHANDLE_GPIO, ARM64_POWER_BUTTON_PIN, ACTIVE_HIGH);
    end(tree);
    end(tree);
}

/* Its interrupts are pulses. One cell says who asks: a StreamID. */
static void add_smmu(struct tree *tree, const struct device_tree_config *config)
{
    const uint32_t spi = ARM64_GSI_SMMU - ARM64_SPI;
    if (!config->has_smmu) {
        return;
    }
    begin_at(tree, "smmuv3", ARM64_SMMU_BASE);
    add_text(tree, "compatible", "arm,smmu-v3");
    ADD_CELLS(tree, "reg", CELLS(ARM64_SMMU_BASE), CELLS(ARM64_SMMU_SIZE));
    ADD_CELLS(tree, "interrupts", SPI, spi, EDGE_RISING, SPI, spi + 1, EDGE_RISING, SPI, spi + 2,
              EDGE_RISING, SPI, spi + 3, EDGE_RISING);
    ADD_TEXTS(tree, "interrupt-names", "eventq\0priq\0cmdq-sync\0gerror");
    add_empty(tree, "dma-coherent");
    ADD_CELLS(tree, "#iommu-cells", 1);
    ADD_CELLS(tree, "phandle", PHANDLE_SMMU);
    end(tree);
}

/* ---- PCI
 * ----------------------------------------------------------------------------------------- */

/* The windows for BARs; the first cell says of which kind, the address is the same on both sides.
 */
static void add_windows(struct tree *tree, const struct arm64_memory_map *map)
{
    enum { IO = 0x01000000, MEMORY32 = 0x02000000, MEMORY64_PREFETCHABLE = 0x43000000 };
    const uint32_t ranges[] = {
        IO,
        CELLS(0),
        CELLS(ARM64_PCI_IO_BASE),
        CELLS(ARM64_PCI_IO_SIZE),
        MEMORY32,
        CELLS(ARM64_PCI32_BASE),
        CELLS(ARM64_PCI32_BASE),
        CELLS(ARM64_PCI32_SIZE),
        MEMORY64_PREFETCHABLE,
        CELLS(map->pci64_base),
        CELLS(map->pci64_base),
        CELLS(map->pci64_size),
    };
    size_t count = sizeof(ranges) / sizeof(ranges[0]);
    add_cells(tree, "ranges", ranges, map->pci64_size ? count : count - 7);
}

/*
 * INTx of the root bus: for the low two bits of the slot and each pin the wire that pci/pci_intx.c
 * counts on, which is (slot + pin - 1) mod 4 with INTA = 1. Ten cells an entry: the device (3), its
 * pin, the interrupt controller, its address (2 cells without meaning) and the interrupt (3).
 */
static void add_interrupt_map(struct tree *tree)
{
    enum { SLOTS = 4, PINS = 4, CELLS_EACH = 10, SLOT_SHIFT = 11 };
    uint32_t map[SLOTS * PINS * CELLS_EACH];
    uint32_t *entry = map;
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        for (uint32_t pin = 1; pin <= PINS; pin++, entry += CELLS_EACH) {
            uint32_t wire = (slot + pin - 1) % PINS;
            const uint32_t cells[CELLS_EACH] = {slot << SLOT_SHIFT,
                                                0,
                                                0,
                                                pin,
                                                PHANDLE_GIC,
                                                0,
                                                0,
                                                SPI,
                                                ARM64_GSI_PCI - ARM64_SPI + wire,
                                                LEVEL_HIGH};
            memcpy(entry, cells, sizeof(cells));
        }
    }
    add_cells(tree, "interrupt-map", map, sizeof(map) / sizeof(map[0]));
    ADD_CELLS(tree, "interrupt-map-mask", (SLOTS - 1) << SLOT_SHIFT, 0, 0, 7);
}

static void add_pcie(struct tree *tree, const struct device_tree_config *config)
{
    const struct arm64_memory_map *map = config->map;
    begin_at(tree, "pcie", map->ecam_base);
    add_text(tree, "compatible", "pci-host-ecam-generic");
    add_text(tree, "device_type", "pci");
    ADD_CELLS(tree, "#address-cells", 3);
    ADD_CELLS(tree, "#size-cells", 2);
    ADD_CELLS(tree, "#interrupt-cells", 1);
    ADD_CELLS(tree, "linux,pci-domain", 0);
    ADD_CELLS(tree, "bus-range", 0, map->ecam_buses - 1);
    add_empty(tree, "dma-coherent");
    ADD_CELLS(tree, "reg", CELLS(map->ecam_base), CELLS(map->ecam_buses * ARM64_ECAM_BUS_SIZE));
    add_windows(tree, map);
    add_interrupt_map(tree);
    if (config->has_its) {
        ADD_CELLS(tree, "msi-map", 0, PHANDLE_MSI, 0, 0x10000);
    } else {
        ADD_CELLS(tree, "msi-parent", PHANDLE_MSI);
    }
    if (config->has_smmu) { /* a function's StreamID is its requester id */
        ADD_CELLS(tree, "iommu-map", 0, PHANDLE_SMMU, 0, 0x10000);
    }
    end(tree);
}

/* ---- all of it
 * ----------------------------------------------------------------------------------- */

static void add_root(struct tree *tree, const struct device_tree_config *config)
{
    begin(tree, "");
    ADD_CELLS(tree, "#address-cells", 2);
    ADD_CELLS(tree, "#size-cells", 2);
    ADD_CELLS(tree, "interrupt-parent", PHANDLE_GIC);
    add_text(tree, "model", "minivmm");
    add_text(tree, "compatible", "linux,dummy-virt");
    add_chosen(tree, config);
    add_memory(tree, config);
    add_cpus(tree, config);
    add_psci(tree);
    add_timer(tree, config);
    add_pmu(tree, config);
    add_gic(tree, config);
    add_clock(tree);
    add_pl011(tree);
    add_pl031(tree);
    add_pl061(tree);
    add_gpio_keys(tree);
    add_smmu(tree, config);
    add_pcie(tree, config);
    end(tree);
}

int device_tree_build(const struct device_tree_config *config, void *buffer, size_t size,
                      size_t *used, struct error *err)
{
    struct tree tree = {.fdt = buffer};
    note(&tree, fdt_create(buffer, (int)size));
    note(&tree, fdt_finish_reservemap(buffer));
    add_root(&tree, config);
    note(&tree, fdt_finish(buffer));
    if (tree.failure < 0) {
        return error_set(err, tree.failure == -FDT_ERR_NOSPACE ? -ENOSPC : -EINVAL,
                         "cannot make the device tree: %s", fdt_strerror(tree.failure));
    }
    *used = fdt_totalsize(buffer);
    return 0;
}

static int write_all(int fd, const uint8_t *bytes, size_t size)
{
    while (size > 0) {
        ssize_t written = write(fd, bytes, size);
        if (written < 0 && errno != EINTR) {
            return -errno;
        }
        bytes += written > 0 ? written : 0;
        size -= written > 0 ? (size_t)written : 0;
    }
    return 0;
}

int device_tree_dump(const char *path, const void *buffer, size_t size, struct error *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    int ret = fd < 0 ? -errno : write_all(fd, buffer, size);
    if (fd >= 0 && close(fd) < 0 && ret == 0) {
        ret = -errno;
    }
    return ret < 0 ? error_set(err, ret, "--dump-dtb %s: %s", path, strerror(-ret)) : 0;
}

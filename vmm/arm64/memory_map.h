/* SPDX-License-Identifier: MIT */
/*
 * What is where in the arm64 machine: the addresses of QEMU's virt, which every guest knows.
 *
 *  8000000               GIC: distributor; 8010000 CPU interfaces (GICv2)
 *  8020000               GICv2m frame, where there is no ITS
 *  8080000               ITS (GICv3)
 *  80a0000 -   8ffffff   redistributors of the first 123 vCPUs (GICv3)
 *  9000000               PL011, the serial port
 *  9010000               PL031, the clock
 *  9030000               PL061, general-purpose I/O: the power button
 *  9050000 -   906ffff   SMMUv3, if there is an IOMMU
 * 10000000 -  3efeffff   memory BARs
 * 3eff0000 -  3effffff   I/O BARs: the PCI bus's I/O space
 * 3f000000 -  3fffffff   ECAM for 16 buses, if it is wanted low
 * 40000000 -             RAM
 *
 * and from 256 GiB, or where RAM ends if there is more than 255 GiB of it, in this order:
 *
 * 4000000000 (64 MiB)    redistributors of the other vCPUs
 * 4010000000 (256 MiB)   ECAM: PCI configuration space, 256 buses
 * 8000000000 (512 GiB)   window for 64-bit BARs
 *
 * The device tree describes the same to the guest; both sides take the numbers from here.
 */
#ifndef VMM_ARM64_MEMORY_MAP_H
#define VMM_ARM64_MEMORY_MAP_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/error.h"

/* What clocks the serial port and the clock. */
enum { ARM64_APB_CLOCK_HZ = 24000000 };

/* Which pin of the PL061 the power button is on. */
enum { ARM64_POWER_BUTTON_PIN = 3 };

/* ---- guest physical addresses */
#define ARM64_GICD_BASE       0x08000000ull
#define ARM64_GICD_SIZE       0x00010000ull
#define ARM64_GICC_BASE       0x08010000ull
#define ARM64_GICC_SIZE       0x00010000ull
#define ARM64_GICV2M_BASE     0x08020000ull
#define ARM64_GICV2M_SIZE     0x00001000ull
#define ARM64_ITS_BASE        0x08080000ull
#define ARM64_ITS_SIZE        0x00020000ull
#define ARM64_GICR_BASE       0x080a0000ull
#define ARM64_GICR_SIZE       0x00f60000ull
#define ARM64_GICR_STRIDE     0x00020000ull /* a vCPU's two frames */
#define ARM64_PL011_BASE      0x09000000ull
#define ARM64_PL031_BASE      0x09010000ull
#define ARM64_PL061_BASE      0x09030000ull
#define ARM64_SMMU_BASE       0x09050000ull
#define ARM64_SMMU_SIZE       0x00020000ull
#define ARM64_PCI32_BASE      0x10000000ull
#define ARM64_PCI32_SIZE      (ARM64_PCI_IO_BASE - ARM64_PCI32_BASE)
#define ARM64_PCI_IO_BASE     0x3eff0000ull
#define ARM64_PCI_IO_SIZE     0x00010000ull
#define ARM64_LOW_ECAM_BASE   0x3f000000ull
#define ARM64_LOW_ECAM_BUSES  16
#define ARM64_RAM_BASE        0x40000000ull
#define ARM64_HIGH_BASE       0x4000000000ull
#define ARM64_HIGH_GICR_SIZE  0x04000000ull
#define ARM64_HIGH_ECAM_BUSES 256
#define ARM64_ECAM_BUS_SIZE   0x00100000ull
#define ARM64_PCI64_SIZE      (512ull << 30)

#define ARM64_RAM_MIN (2ull << 20) /* a kernel is loaded at a multiple of this */

/*
 * ---- interrupts. A GSI of this machine is the interrupt's number in the GIC (INTID): 0-15 are
 * software's, 16-31 private to a CPU (PPI n is 16 + n), from 32 on shared ones (SPI n is 32 + n).
 */
enum {
    ARM64_SPI = 32,
    ARM64_PPI = 16,
    ARM64_GSI_PL011 = ARM64_SPI + 1,
    ARM64_GSI_PL031 = ARM64_SPI + 2,
    ARM64_GSI_PCI = ARM64_SPI + 3, /* wire 0-3 of the root bus: SPIs 3-6 */
    ARM64_GSI_PL061 = ARM64_SPI + 7,
    ARM64_GSI_MSI = ARM64_SPI + 48, /* those of the GICv2m frame */
    ARM64_MSI_COUNT = 64,
    ARM64_GSI_SMMU = ARM64_SPI + 74, /* 74-77: eventq, priq, cmdq-sync, gerror; where they are the
                                        frame has but those below */
    ARM64_MSI_COUNT_WITH_SMMU = ARM64_GSI_SMMU - ARM64_GSI_MSI,
    ARM64_GIC_IRQS = 288, /* 256 SPIs */
    ARM64_PPI_PMU = 7,
    /* The timer's, in the order of the device tree */
    ARM64_PPI_TIMER_SECURE = 13,
    ARM64_PPI_TIMER_PHYSICAL = 14,
    ARM64_PPI_TIMER_VIRTUAL = 11,
    ARM64_PPI_TIMER_HYPERVISOR = 10,
};

/* GICR_SIZE and HIGH_GICR_SIZE by GICR_STRIDE; a GICv2 has eight CPU interfaces. */
enum { ARM64_LOW_GICR_VCPUS = 123, ARM64_MAX_VCPUS = 123 + 512, ARM64_GICV2_MAX_VCPUS = 8 };

/* What depends on how much RAM there is. Sizes in bytes; a size of 0: there is none. */
struct arm64_memory_map {
    uint64_t ram; /* from ARM64_RAM_BASE */
    uint64_t high_gicr_base;
    uint64_t high_gicr_size;
    uint64_t ecam_base;
    unsigned ecam_buses;
    uint64_t pci64_base; /* window for 64-bit BARs */
    uint64_t pci64_size;
};

/* How many address bits a machine with `ram` bytes would like to have. */
unsigned arm64_memory_map_bits(uint64_t ram);

/*
 * Lay out `ram` bytes on vCPUs with `address_bits` address bits; ECAM above RAM if `high_ecam` and
 * if it fits there, else below. -EINVAL if that is more RAM than these reach, or less than
 * ARM64_RAM_MIN.
 */
int arm64_memory_map_init(struct arm64_memory_map *map, uint64_t ram, unsigned address_bits,
                          bool high_ecam, struct error *err);

#endif

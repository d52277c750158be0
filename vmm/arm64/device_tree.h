/* SPDX-License-Identifier: MIT */
/*
 * The device tree: what tells an arm64 kernel which machine it is on. The counterpart of x86's ACPI
 * tables. Made by libfdt, after the Devicetree Specification and the kernel's bindings.
 */
#ifndef VMM_ARM64_DEVICE_TREE_H
#define VMM_ARM64_DEVICE_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/arm64/memory_map.h"
#include "vmm/error.h"

struct device_tree_config {
    const struct arm64_memory_map *map;
    const char *command_line;
    uint64_t initrd_start; /* both 0: there is none */
    uint64_t initrd_end;
    const uint64_t *mpidr; /* of each vCPU, affinity fields only */
    unsigned cpus;
    unsigned gic_version; /* 2 or 3 */
    bool has_its;         /* otherwise there is a GICv2m frame */
    bool has_pmu;
    bool has_smmu;
    uint8_t seed[64]; /* random; for the kernel's random number generator and its own address */
};

/*
 * Write the tree into `buffer`, and its size, in bytes, into `*used`. -ENOSPC if `size` does not
 * suffice.
 */
int device_tree_build(const struct device_tree_config *config, void *buffer, size_t size,
                      size_t *used, struct error *err);

/* Write the `size` bytes at `buffer` to the file at `path`, for --dump-dtb. */
int device_tree_dump(const char *path, const void *buffer, size_t size, struct error *err);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Addresses that are not host pointers, each kind a type of its own.
 *
 * A guest physical address (GPA) indexes guest RAM. An I/O virtual address (IOVA) is what a device
 * puts on the bus: it equals a GPA unless an IOMMU stands between. Wrapping them in structs lets
 * the compiler reject a device that hands an untranslated IOVA to guest memory, or either to
 * memcpy().
 */
#ifndef VMM_ADDRESS_H
#define VMM_ADDRESS_H

#include <stdint.h>

typedef struct {
    uint64_t raw;
} gpa_t;

typedef struct {
    uint64_t raw;
} iova_t;

static inline gpa_t gpa(uint64_t raw)
{
    return (gpa_t){raw};
}

static inline iova_t iova(uint64_t raw)
{
    return (iova_t){raw};
}

#endif

/* SPDX-License-Identifier: MIT */
/* See vmm/arm64/translate.h. */
#include "vmm/arm64/translate.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdbool.h>
#include <sys/ioctl.h>

#include "vmm/vcpu.h"

/* One half of the virtual addresses: what a walk starts from. */
struct half {
    uint64_t table;        /* physical address of the first table */
    unsigned granule_bits; /* 12, 14 or 16 */
    unsigned size_bits;    /* bits of a virtual address that are translated */
    unsigned block_shift;  /* the largest block that an entry can describe */
    bool wide_64k;         /* 64 KiB granule: bits 48 to 51 of an address are in 12 to 15 */
    bool wide_4k;          /* the others, TCR_EL1.DS: bits 50 and 51 are in 8 and 9 */
};

static uint64_t bits(uint64_t value, unsigned low, unsigned count)
{
    return value >> low & ((1ull << count) - 1);
}

enum { TCR_EPD0 = 7, TCR_EPD1 = 23, TCR_IPS = 32, TCR_TBI0 = 37, TCR_TBI1 = 38, TCR_DS = 59 };

/* Are the bits above the translated ones what this half wants, all zeroes or all ones? */
static bool is_in_half(uint64_t address, unsigned size_bits, bool high, bool ignores_top_byte)
{
    unsigned top = ignores_top_byte ? 56 : 64;
    uint64_t rest = bits(address, size_bits, top - size_bits);
    return rest == (high ? (1ull << (top - size_bits)) - 1 : 0);
}

static void find_sizes(struct half *half, uint64_t tcr)
{
    bool wide = bits(tcr, TCR_IPS, 3) == 6; /* 52 bits */
    half->wide_64k = half->granule_bits == 16 && wide;
    half->wide_4k = half->granule_bits != 16 && bits(tcr, TCR_DS, 1);
    switch (half->granule_bits) {
    case 12:
        half->block_shift = half->wide_4k ? 39 : 30;
        break;
    case 14:
        half->block_shift = half->wide_4k ? 36 : 25;
        break;
    default:
        half->block_shift = half->wide_64k ? 42 : 29;
        break;
    }
}

static int choose_half(const struct arm64_translation *registers, uint64_t address,
                       struct half *half)
{
    static const uint8_t granules[2][4] = {{12, 16, 14, 0}, {0, 14, 12, 16}}; /* TG0, TG1 */
    uint64_t tcr = registers->tcr;
    bool high = address >> 55 & 1;
    uint64_t ttbr = high ? registers->ttbr1 : registers->ttbr0;
    bool off = bits(tcr, high ? TCR_EPD1 : TCR_EPD0, 1);
    *half = (struct half){.granule_bits = granules[high][bits(tcr, high ? 30 : 14, 2)],
                          .size_bits = 64 - (unsigned)bits(tcr, high ? 16 : 0, 6)};
    if (off || half->granule_bits == 0 || half->size_bits > 52 ||
        half->size_bits <= half->granule_bits ||
        !is_in_half(address, half->size_bits, high, bits(tcr, high ? TCR_TBI1 : TCR_TBI0, 1))) {
        return -EFAULT;
    }
    find_sizes(half, tcr);
    half->table = ttbr & 0x0000fffffffffffe; /* without ASID and CnP */
    if (half->wide_64k || half->wide_4k) {
        half->table = (ttbr & 0x0000ffffffffffc0) | bits(ttbr, 2, 4) << 48;
    }
    return 0;
}

/* The address in an entry, down to the granule. */
static uint64_t output(const struct half *half, uint64_t entry)
{
    uint64_t low = entry & 0x0000ffffffffffff;
    if (half->wide_64k) {
        low |= bits(entry, 12, 4) << 48;
    } else if (half->wide_4k) {
        low = (entry & 0x0003ffffffffffff) | bits(entry, 8, 2) << 50;
    }
    return low & ~((1ull << half->granule_bits) - 1);
}

static int walk(const struct guest_memory *memory, const struct half *half, uint64_t address,
                gpa_t *physical)
{
    enum { VALID = 1, TABLE_OR_PAGE = 2 };
    unsigned index_bits = half->granule_bits - 3;
    unsigned levels = (half->size_bits - half->granule_bits + index_bits - 1) / index_bits;
    uint64_t table = half->table;
    for (unsigned shift = half->granule_bits + (levels - 1) * index_bits;; shift -= index_bits) {
        unsigned top = half->size_bits - shift;
        uint64_t index = bits(address, shift, top < index_bits ? top : index_bits);
        uint64_t entry;
        if (guest_memory_read(memory, gpa(table + index * 8), &entry, sizeof(entry)) < 0 ||
            !(entry & VALID)) {
            return -EFAULT;
        }
        bool last = shift == half->granule_bits;
        bool block = !(entry & TABLE_OR_PAGE);
        if (block && (last || shift > half->block_shift)) {
            return -EFAULT; /* reserved */
        }
        table = output(half, entry);
        if (last || block) {
            uint64_t inside = (1ull << shift) - 1;
            *physical = gpa((table & ~inside) | (address & inside));
            return 0;
        }
    }
}

int arm64_walk(const struct guest_memory *memory, const struct arm64_translation *registers,
               uint64_t address, gpa_t *physical)
{
    enum { MMU_ON = 1 };
    struct half half;
    *physical = gpa(address);
    if (!(registers->sctlr & MMU_ON)) {
        return 0;
    }
    int ret = choose_half(registers, address, &half);
    return ret < 0 ? ret : walk(memory, &half, address, physical);
}

int arm64_translate(const struct vcpu *vcpu, uint64_t address, gpa_t *physical)
{
    struct arm64_translation registers;
    struct kvm_one_reg requests[] = {
        {ARM64_SYS_REG(3, 0, 1, 0, 0), (uintptr_t)&registers.sctlr},
        {ARM64_SYS_REG(3, 0, 2, 0, 2), (uintptr_t)&registers.tcr},
        {ARM64_SYS_REG(3, 0, 2, 0, 0), (uintptr_t)&registers.ttbr0},
        {ARM64_SYS_REG(3, 0, 2, 0, 1), (uintptr_t)&registers.ttbr1},
    };
    for (unsigned i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        if (ioctl(vcpu->fd, KVM_GET_ONE_REG, &requests[i]) < 0) {
            return -errno;
        }
    }
    return arm64_walk(&vcpu->vm->memory, &registers, address, physical);
}

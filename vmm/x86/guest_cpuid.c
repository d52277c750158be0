/* SPDX-License-Identifier: MIT */
/*
 * Topology, as operating systems read it (Intel SDM volume 2 "CPUID" and volume 3 10.9; AMD APM
 * volume 3 appendix E):
 *
 *   leaf          says                                                 who reads it
 *   1             APIC id, logical processors in the package, HTT      both, old systems
 *   4             caches: sharers; cores in the package                Intel
 *   0BH, 1FH      x2APIC id; how many of its bits number threads,      Intel, newer AMD
 *                 how many cores
 *   80000001H     CmpLegacy: the logical processors of leaf 1 are      AMD
 *                 cores, not threads
 *   80000008H     number of cores, APIC id bits for them               AMD
 *   8000001DH     caches: sharers                                      AMD with TopologyExtensions
 *   8000001EH     APIC id, core id, threads of a core, node            AMD with TopologyExtensions
 *
 * All of them must tell one story or guests believe in half of it. Ours: one socket, one node,
 * `cpus` cores of one thread; level 1 and 2 caches belong to a core, level 3 to all.
 */
#include "vmm/x86/guest_cpuid.h"

#include <cpuid.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

/* Bits of leaf 1. */
#define LEAF1_ECX_MONITOR      (1u << 3)
#define LEAF1_ECX_VMX          (1u << 5)
#define LEAF1_ECX_X2APIC       (1u << 21)
#define LEAF1_ECX_TSC_DEADLINE (1u << 24)
#define LEAF1_ECX_HYPERVISOR   (1u << 31)
#define LEAF1_EDX_HTT          (1u << 28)
/* Leaf 7: Software Guard Extensions, which would need enclave memory in the machine. */
#define LEAF7_EBX_SGX   (1u << 2)
#define LEAF7_ECX_SGXLC (1u << 30)
/* Leaf 80000001H. */
#define EXT1_ECX_CMP_LEGACY (1u << 1)
#define EXT1_ECX_SVM        (1u << 2)
#define EXT1_ECX_TOPOEXT    (1u << 22)
#define EXT1_EDX_1GB_PAGES  (1u << 26)
/* Leaves 0BH and 1FH: ECX 15-8. */
enum { LEVEL_SMT = 1, LEVEL_CORE = 2 };
/* Leaves 4 and 8000001DH: EAX 4-0 the type, 0 behind the last cache; 7-5 the level. */
#define CACHE_TYPE(eax)  ((eax)&0x1f)
#define CACHE_LEVEL(eax) (((eax) >> 5) & 7)
enum { LAST_LEVEL = 3, CACHES_MAX = 8 };

/* ---- the table */

struct kvm_cpuid2 *x86_cpuid_alloc(void)
{
    struct kvm_cpuid2 *cpuid;
    return calloc(1, sizeof(*cpuid) + X86_CPUID_ENTRIES_MAX * sizeof(cpuid->entries[0]));
}

struct kvm_cpuid_entry2 *x86_cpuid_find(struct kvm_cpuid2 *cpuid, uint32_t leaf, uint32_t subleaf)
{
    for (uint32_t i = 0; i < cpuid->nent; i++) {
        struct kvm_cpuid_entry2 *entry = &cpuid->entries[i];
        bool indexed = entry->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
        if (entry->function == leaf && (!indexed || entry->index == subleaf)) {
            return entry;
        }
    }
    return NULL;
}

static void remove_leaf(struct kvm_cpuid2 *cpuid, uint32_t leaf)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < cpuid->nent; i++) {
        if (cpuid->entries[i].function != leaf) {
            cpuid->entries[kept++] = cpuid->entries[i];
        }
    }
    cpuid->nent = kept;
}

/* Add an entry. A full table drops it: hosts use about a fifth of the room. */
static void add(struct kvm_cpuid2 *cpuid, struct kvm_cpuid_entry2 entry)
{
    if (cpuid->nent < X86_CPUID_ENTRIES_MAX) {
        cpuid->entries[cpuid->nent++] = entry;
    }
}

static bool has_leaf(struct kvm_cpuid2 *cpuid, uint32_t leaf)
{
    const struct kvm_cpuid_entry2 *first = x86_cpuid_find(cpuid, leaf & 0x80000000, 0);
    return first && first->eax >= leaf;
}

static bool is_amd(struct kvm_cpuid2 *cpuid)
{
    const struct kvm_cpuid_entry2 *vendor = x86_cpuid_find(cpuid, 0, 0);
    if (!vendor) {
        return false;
    }
    uint32_t name[3] = {vendor->ebx, vendor->edx, vendor->ecx};
    return memcmp(name, "AuthenticAMD", 12) == 0 || memcmp(name, "HygonGenuine", 12) == 0;
}

static bool has_topology_extensions(struct kvm_cpuid2 *cpuid)
{
    const struct kvm_cpuid_entry2 *ext1 = x86_cpuid_find(cpuid, 0x80000001, 0);
    return is_amd(cpuid) && ext1 && (ext1->ecx & EXT1_ECX_TOPOEXT);
}

unsigned x86_cpuid_physical_bits(struct kvm_cpuid2 *cpuid)
{
    const struct kvm_cpuid_entry2 *sizes = x86_cpuid_find(cpuid, 0x80000008, 0);
    return sizes ? sizes->eax & 0xff : 0;
}

bool x86_cpuid_has_gigabyte_pages(struct kvm_cpuid2 *cpuid)
{
    const struct kvm_cpuid_entry2 *ext1 = x86_cpuid_find(cpuid, 0x80000001, 0);
    return ext1 && (ext1->edx & EXT1_EDX_1GB_PAGES);
}

/* ---- features */

static void complete_features(struct kvm_cpuid2 *cpuid, bool tsc_deadline)
{
    struct kvm_cpuid_entry2 *leaf1 = x86_cpuid_find(cpuid, 1, 0);
    if (leaf1) {
        /* No virtual machines inside: a smaller door to the host, and less for reset to undo. */
        leaf1->ecx &= ~(LEAF1_ECX_MONITOR | LEAF1_ECX_VMX | LEAF1_ECX_TSC_DEADLINE);
        leaf1->ecx |=
            LEAF1_ECX_HYPERVISOR | LEAF1_ECX_X2APIC; /* KVM's local APIC has x2APIC mode */
        leaf1->ecx |= tsc_deadline ? LEAF1_ECX_TSC_DEADLINE : 0;
    }
    struct kvm_cpuid_entry2 *leaf7 = x86_cpuid_find(cpuid, 7, 0);
    if (leaf7) {
        leaf7->ebx &= ~LEAF7_EBX_SGX;
        leaf7->ecx &= ~LEAF7_ECX_SGXLC;
    }
    struct kvm_cpuid_entry2 *ext1 = x86_cpuid_find(cpuid, 0x80000001, 0);
    if (ext1) {
        ext1->ecx &= ~EXT1_ECX_SVM;
    }
    remove_leaf(cpuid, 5);          /* MONITOR/MWAIT: an absent leaf reads as zero */
    remove_leaf(cpuid, 0x12);       /* SGX */
    remove_leaf(cpuid, 0x8000000a); /* SVM */
}

/* ---- topology */

/* How many bits number `cpus` cores: 0 for one, 4 for 16, 5 for 17. */
static unsigned id_bits(unsigned cpus)
{
    unsigned bits = 0;
    while (1u << bits < cpus) {
        bits++;
    }
    return bits;
}

static void set_field(uint32_t *reg, unsigned shift, unsigned width, uint32_t value)
{
    uint32_t mask = ((1u << width) - 1) << shift;
    *reg = (*reg & ~mask) | (value << shift & mask);
}

static unsigned at_most(unsigned value, unsigned limit)
{
    return value < limit ? value : limit;
}

static void set_logical_processors(struct kvm_cpuid2 *cpuid, unsigned cpus)
{
    struct kvm_cpuid_entry2 *leaf1 = x86_cpuid_find(cpuid, 1, 0);
    if (!leaf1) {
        return;
    }
    /* Intel: how many ids are set aside, a power of two; AMD: how many there are. */
    unsigned count = is_amd(cpuid) ? cpus : 1u << id_bits(cpus);
    set_field(&leaf1->ebx, 16, 8, at_most(count, 255));
    leaf1->edx &= ~LEAF1_EDX_HTT; /* "more than one logical processor", whatever it is called */
    leaf1->edx |= cpus > 1 ? LEAF1_EDX_HTT : 0;
}

/* Leaf 4 counts ids that are set aside (powers of two), minus one. */
static void set_intel_caches(struct kvm_cpuid2 *cpuid, unsigned cpus)
{
    unsigned ids = 1u << id_bits(cpus);
    for (uint32_t i = 0; i < cpuid->nent; i++) {
        struct kvm_cpuid_entry2 *entry = &cpuid->entries[i];
        if (entry->function != 4 || CACHE_TYPE(entry->eax) == 0) {
            continue;
        }
        bool shared = CACHE_LEVEL(entry->eax) >= LAST_LEVEL;
        set_field(&entry->eax, 14, 12, shared ? ids - 1 : 0);
        set_field(&entry->eax, 26, 6, at_most(ids - 1, 63));
    }
}

/* Leaf 8000001DH counts the processors themselves, minus one. */
static void set_amd_caches(struct kvm_cpuid2 *cpuid, unsigned cpus)
{
    for (uint32_t i = 0; i < cpuid->nent; i++) {
        struct kvm_cpuid_entry2 *entry = &cpuid->entries[i];
        if (entry->function == 0x8000001d && CACHE_TYPE(entry->eax) != 0) {
            bool shared = CACHE_LEVEL(entry->eax) >= LAST_LEVEL;
            set_field(&entry->eax, 14, 12, shared ? cpus - 1 : 0);
        }
    }
}

/* Leaves 0BH and 1FH: a level a subleaf; the first without a type ends the list. */
static void set_levels(struct kvm_cpuid2 *cpuid, uint32_t leaf, unsigned cpus)
{
    remove_leaf(cpuid, leaf);
    if (!has_leaf(cpuid, leaf)) {
        return;
    }
    struct kvm_cpuid_entry2 level = {.function = leaf, .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX};
    level.eax = 0; /* no bit of the id numbers threads */
    level.ebx = 1; /* logical processors at this level */
    level.ecx = LEVEL_SMT << 8 | 0;
    add(cpuid, level);
    level.index = 1;
    level.eax = id_bits(cpus);
    level.ebx = cpus;
    level.ecx = LEVEL_CORE << 8 | 1;
    add(cpuid, level);
    level.index = 2;
    level.eax = 0;
    level.ebx = 0;
    level.ecx = 2;
    add(cpuid, level);
}

static void set_amd_cores(struct kvm_cpuid2 *cpuid, unsigned cpus)
{
    struct kvm_cpuid_entry2 *ext1 = x86_cpuid_find(cpuid, 0x80000001, 0);
    if (ext1) {
        ext1->ecx &= ~EXT1_ECX_CMP_LEGACY;
        ext1->ecx |= cpus > 1 ? EXT1_ECX_CMP_LEGACY : 0;
    }
    struct kvm_cpuid_entry2 *sizes = x86_cpuid_find(cpuid, 0x80000008, 0);
    if (sizes) {
        set_field(&sizes->ecx, 0, 8, cpus - 1);
        set_field(&sizes->ecx, 12, 4, id_bits(cpus));
    }
}

/* Leaf 8000001EH; the ids in it are x86_cpuid_set_apic_id()'s. */
static void set_amd_extended_topology(struct kvm_cpuid2 *cpuid, unsigned cpus)
{
    remove_leaf(cpuid, 0x8000001e);
    remove_leaf(cpuid, 0x80000026); /* the same once more, in the newest processors */
    if (!has_topology_extensions(cpuid)) {
        remove_leaf(cpuid, 0x8000001d);
        return;
    }
    add(cpuid, (struct kvm_cpuid_entry2){.function = 0x8000001e});
    set_amd_caches(cpuid, cpus);
}

void x86_cpuid_complete(struct kvm_cpuid2 *cpuid, unsigned cpus, bool tsc_deadline)
{
    complete_features(cpuid, tsc_deadline);
    set_logical_processors(cpuid, cpus);
    set_intel_caches(cpuid, cpus);
    set_levels(cpuid, 0x0b, cpus);
    set_levels(cpuid, 0x1f, cpus);
    if (is_amd(cpuid)) {
        set_amd_cores(cpuid, cpus);
        set_amd_extended_topology(cpuid, cpus);
    }
    x86_cpuid_set_apic_id(cpuid, 0);
}

void x86_cpuid_set_apic_id(struct kvm_cpuid2 *cpuid, uint32_t apic_id)
{
    for (uint32_t i = 0; i < cpuid->nent; i++) {
        struct kvm_cpuid_entry2 *entry = &cpuid->entries[i];
        switch (entry->function) {
        case 1:
            set_field(&entry->ebx, 24, 8, apic_id);
            break;
        case 0x0b:
        case 0x1f:
            entry->edx = apic_id;
            break;
        case 0x8000001e:
            entry->eax = apic_id;
            set_field(&entry->ebx, 0, 8, apic_id); /* core id; 15-8: threads of a core, minus one */
            break;
        }
    }
}

/* ---- asking KVM */

static struct kvm_cpuid_entry2 host_leaf(uint32_t leaf, uint32_t subleaf, uint32_t flags)
{
    struct kvm_cpuid_entry2 entry = {.function = leaf, .index = subleaf, .flags = flags};
    __cpuid_count(leaf, subleaf, entry.eax, entry.ebx, entry.ecx, entry.edx);
    return entry;
}

/* The processor's name, 80000002H to 80000004H, is for the user to read; KVM leaves it empty. */
static void add_host_name(struct kvm_cpuid2 *cpuid)
{
    for (uint32_t leaf = 0x80000002; leaf <= 0x80000004 && has_leaf(cpuid, leaf); leaf++) {
        remove_leaf(cpuid, leaf);
        add(cpuid, host_leaf(leaf, 0, 0));
    }
}

/* Not every KVM passes AMD's cache leaf on, though each says with TOPOEXT that it is there. */
static void add_host_amd_caches(struct kvm_cpuid2 *cpuid)
{
    const struct kvm_cpuid_entry2 *first = x86_cpuid_find(cpuid, 0x8000001d, 0);
    if (!has_topology_extensions(cpuid) || (first && CACHE_TYPE(first->eax) != 0)) {
        return;
    }
    remove_leaf(cpuid, 0x8000001d);
    for (uint32_t i = 0; i < CACHES_MAX; i++) {
        struct kvm_cpuid_entry2 entry = host_leaf(0x8000001d, i, KVM_CPUID_FLAG_SIGNIFCANT_INDEX);
        add(cpuid, entry);
        if (CACHE_TYPE(entry.eax) == 0) {
            return;
        }
    }
}

int x86_cpuid_create(int kvm_fd, unsigned cpus, struct kvm_cpuid2 **cpuid, struct error *err)
{
    struct kvm_cpuid2 *table = x86_cpuid_alloc();
    if (!table) {
        return error_set(err, -ENOMEM, "no memory for the CPUID table");
    }
    table->nent = X86_CPUID_ENTRIES_MAX;
    if (ioctl(kvm_fd, KVM_GET_SUPPORTED_CPUID, table) < 0) {
        int code = -errno;
        free(table);
        return error_set(err, code, "/dev/kvm: KVM_GET_SUPPORTED_CPUID: %s", strerror(-code));
    }
    add_host_name(table);
    add_host_amd_caches(table);
    bool tsc_deadline = ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_TSC_DEADLINE_TIMER) > 0;
    x86_cpuid_complete(table, cpus, tsc_deadline);
    *cpuid = table;
    return 0;
}

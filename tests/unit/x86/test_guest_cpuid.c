/* SPDX-License-Identifier: MIT */
/*
 * CPUID's topology for 1 to 255 vCPUs, read back the way the manuals tell an operating system to
 * read it, on an Intel and on an AMD host.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/x86/guest_cpuid.h"

static const unsigned counts[] = {1, 2, 3, 4, 8, 16, 17, 64, 128, 255};
enum { COUNTS = sizeof(counts) / sizeof(counts[0]) };

static void add(struct kvm_cpuid2 *cpuid, uint32_t leaf, uint32_t index, uint32_t eax, uint32_t ebx,
                uint32_t ecx, uint32_t edx)
{
    bool indexed = leaf == 4 || leaf == 7 || leaf == 0xb || leaf == 0x1f || leaf == 0x8000001d;
    cpuid->entries[cpuid->nent++] = (struct kvm_cpuid_entry2){
        .function = leaf,
        .index = index,
        .flags = indexed ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0,
        .eax = eax,
        .ebx = ebx,
        .ecx = ecx,
        .edx = edx,
    };
}

static void add_vendor(struct kvm_cpuid2 *cpuid, uint32_t highest, const char *name)
{
    uint32_t text[3];
    memcpy(text, name, sizeof(text));
    add(cpuid, 0, 0, highest, text[0], text[2], text[1]);
}

/* As an Intel server has it: 16 threads a package, two a core, all said in its leaves. */
static struct kvm_cpuid2 *intel(void)
{
    struct kvm_cpuid2 *cpuid = x86_cpuid_alloc();
    assert_non_null(cpuid);
    add_vendor(cpuid, 0x1f, "GenuineIntel");
    add(cpuid, 1, 0, 0x606a6, 0x05100800, 0xfffa3223 | 1 << 5 | 1 << 3, 0x1f8bfbff);
    add(cpuid, 4, 0, 0x1c004121, 0x02c0003f, 0x3f, 0);
    add(cpuid, 4, 1, 0x1c004122, 0x01c0003f, 0x3f, 0);
    add(cpuid, 4, 2, 0x1c004143, 0x04c0003f, 0x3ff, 0);
    add(cpuid, 4, 3, 0x1c03c163, 0x02c0003f, 0xdfff, 4);
    add(cpuid, 4, 4, 0, 0, 0, 0);
    add(cpuid, 5, 0, 0x40, 0x40, 3, 0x2020);
    add(cpuid, 7, 0, 2, 0xf3bfbfff, 0x40415f5e | 1u << 30, 0x14);
    add(cpuid, 0xb, 0, 1, 2, 0x100, 5);
    add(cpuid, 0xb, 1, 4, 16, 0x201, 5);
    add(cpuid, 0x12, 0, 0x63, 0, 0, 0x361f);
    add(cpuid, 0x1f, 0, 1, 2, 0x100, 5);
    add(cpuid, 0x40000000, 0, 0x40000001, 0x4b4d564b, 0x564b4d56, 0x4d);
    add(cpuid, 0x40000001, 0, 0x1007afb, 0, 0, 0);
    add(cpuid, 0x80000000, 0, 0x80000008, 0, 0, 0);
    add(cpuid, 0x80000001, 0, 0, 0, 0x121, 0x2c100800);
    add(cpuid, 0x80000008, 0, 0x392e, 0, 0, 0);
    return cpuid;
}

static struct kvm_cpuid2 *amd(void)
{
    struct kvm_cpuid2 *cpuid = x86_cpuid_alloc();
    assert_non_null(cpuid);
    add_vendor(cpuid, 0x10, "AuthenticAMD");
    add(cpuid, 1, 0, 0x830f10, 0x07200800, 0x7eda320b, 0x178bfbff);
    add(cpuid, 7, 0, 0, 0x219c91a9, 0x400004, 0);
    add(cpuid, 0xb, 0, 1, 2, 0x100, 7);
    add(cpuid, 0x80000000, 0, 0x8000001f, 0x68747541, 0x444d4163, 0x69746e65);
    add(cpuid, 0x80000001, 0, 0x830f10, 0x40000000, 0x75c237ff, 0x2fd3fbff);
    add(cpuid, 0x80000008, 0, 0x3030, 0x108b205, 0x701f, 0);
    add(cpuid, 0x8000000a, 0, 1, 0x8000, 0, 0x13bcff);
    add(cpuid, 0x8000001d, 0, 0x4121, 0x1c0003f, 0x3f, 0);
    add(cpuid, 0x8000001d, 1, 0x4122, 0x1c0003f, 0x3f, 0);
    add(cpuid, 0x8000001d, 2, 0x4143, 0x1c0003f, 0x3ff, 2);
    add(cpuid, 0x8000001d, 3, 0x1c163, 0x3c0003f, 0x3fff, 1);
    add(cpuid, 0x8000001d, 4, 0, 0, 0, 0);
    add(cpuid, 0x8000001e, 0, 7, 0x103, 0x303, 0);
    return cpuid;
}

static struct kvm_cpuid_entry2 get(struct kvm_cpuid2 *cpuid, uint32_t leaf, uint32_t subleaf)
{
    const struct kvm_cpuid_entry2 *entry = x86_cpuid_find(cpuid, leaf, subleaf);
    return entry ? *entry : (struct kvm_cpuid_entry2){0}; /* as hardware: zero */
}

static uint32_t bits(uint32_t reg, unsigned high, unsigned low)
{
    return reg << (31 - high) >> (31 - high + low);
}

static unsigned width(unsigned count)
{
    unsigned shift = 0;
    while (1u << shift < count) {
        shift++;
    }
    return shift;
}

/* Leaves 0BH and 1FH: SDM volume 3, example 8-18. */
static void check_levels(struct kvm_cpuid2 *cpuid, uint32_t leaf, unsigned cpus, uint32_t id)
{
    struct kvm_cpuid_entry2 smt = get(cpuid, leaf, 0), core = get(cpuid, leaf, 1);
    struct kvm_cpuid_entry2 end = get(cpuid, leaf, 2);
    assert_int_equal(bits(smt.ecx, 15, 8), 1);
    assert_int_equal(bits(smt.ecx, 7, 0), 0);
    assert_int_equal(smt.eax, 0); /* id >> 0: every logical processor is a core */
    assert_int_equal(smt.ebx, 1);
    assert_int_equal(bits(core.ecx, 15, 8), 2);
    assert_int_equal(bits(core.ecx, 7, 0), 1);
    assert_int_equal(core.ebx, cpus);
    assert_int_equal(core.eax, width(cpus)); /* id >> eax is the package: 0 for all */
    assert_int_equal(id >> core.eax, 0);
    assert_int_equal(bits(end.ecx, 15, 8), 0);
    assert_int_equal(end.ebx, 0);
    assert_int_equal(smt.edx, id);
    assert_int_equal(core.edx, id);
    assert_int_equal(end.edx, id);
}

static void check_leaf1(struct kvm_cpuid2 *cpuid, unsigned count, unsigned cpus, uint32_t id)
{
    struct kvm_cpuid_entry2 leaf1 = get(cpuid, 1, 0);
    assert_int_equal(bits(leaf1.ebx, 31, 24), id);
    assert_int_equal(bits(leaf1.ebx, 23, 16), count);
    assert_int_equal(bits(leaf1.ebx, 15, 8), 8); /* CLFLUSH size: the host's */
    assert_int_equal(bits(leaf1.edx, 28, 28), cpus > 1);
    assert_int_equal(bits(leaf1.ecx, 31, 31), 1); /* hypervisor */
    assert_int_equal(bits(leaf1.ecx, 21, 21), 1); /* x2APIC */
    assert_int_equal(bits(leaf1.ecx, 3, 3), 0);   /* MONITOR */
    assert_int_equal(bits(leaf1.ecx, 5, 5), 0);   /* VMX */
}

static void check_intel(unsigned cpus, uint32_t id)
{
    struct kvm_cpuid2 *cpuid = intel();
    x86_cpuid_complete(cpuid, cpus, true);
    x86_cpuid_set_apic_id(cpuid, id);
    unsigned ids = 1u << width(cpus);
    check_leaf1(cpuid, ids < 255 ? ids : 255, cpus, id);
    check_levels(cpuid, 0xb, cpus, id);
    check_levels(cpuid, 0x1f, cpus, id);
    for (uint32_t cache = 0; cache < 4; cache++) {
        uint32_t eax = get(cpuid, 4, cache).eax;
        assert_int_equal(bits(eax, 25, 14), cache < 3 ? 0 : ids - 1);
        assert_int_equal(bits(eax, 31, 26), ids < 64 ? ids - 1 : 63);
    }
    assert_int_equal(get(cpuid, 4, 4).eax, 0);
    assert_int_equal(get(cpuid, 0x80000008, 0).ecx, 0); /* reserved on Intel */
    assert_int_equal(get(cpuid, 0x80000001, 0).ecx, 0x121);
    free(cpuid);
}

static void check_amd(unsigned cpus, uint32_t id)
{
    struct kvm_cpuid2 *cpuid = amd();
    x86_cpuid_complete(cpuid, cpus, true);
    x86_cpuid_set_apic_id(cpuid, id);
    check_leaf1(cpuid, cpus, cpus, id);
    check_levels(cpuid, 0xb, cpus, id);
    assert_null(x86_cpuid_find(cpuid, 0x1f, 0)); /* above this processor's highest leaf */
    struct kvm_cpuid_entry2 sizes = get(cpuid, 0x80000008, 0);
    assert_int_equal(bits(sizes.ecx, 7, 0), cpus - 1);
    assert_int_equal(bits(sizes.ecx, 15, 12), width(cpus));
    assert_int_equal(bits(get(cpuid, 0x80000001, 0).ecx, 1, 1), cpus > 1); /* CmpLegacy */
    struct kvm_cpuid_entry2 unit = get(cpuid, 0x8000001e, 0);
    assert_int_equal(unit.eax, id);
    assert_int_equal(bits(unit.ebx, 7, 0), id);
    assert_int_equal(bits(unit.ebx, 15, 8), 0); /* one thread a core */
    assert_int_equal(unit.ecx, 0);              /* node 0 of one */
    for (uint32_t cache = 0; cache < 4; cache++) {
        uint32_t eax = get(cpuid, 0x8000001d, cache).eax;
        assert_int_equal(bits(eax, 25, 14), cache < 3 ? 0 : cpus - 1);
    }
    assert_int_equal(get(cpuid, 0x8000001d, 4).eax, 0);
    free(cpuid);
}

static void test_intel_topology(void **state)
{
    (void)state;
    for (unsigned i = 0; i < COUNTS; i++) {
        check_intel(counts[i], 0);
        check_intel(counts[i], counts[i] - 1);
    }
}

static void test_amd_topology(void **state)
{
    (void)state;
    for (unsigned i = 0; i < COUNTS; i++) {
        check_amd(counts[i], 0);
        check_amd(counts[i], counts[i] - 1);
    }
}

static void test_features_that_are_not_emulated_are_hidden(void **state)
{
    (void)state;
    struct kvm_cpuid2 *cpuid = intel();
    x86_cpuid_complete(cpuid, 2, false);
    assert_int_equal(bits(get(cpuid, 7, 0).ebx, 2, 2), 0);   /* SGX */
    assert_int_equal(bits(get(cpuid, 7, 0).ecx, 30, 30), 0); /* SGX_LC */
    assert_null(x86_cpuid_find(cpuid, 5, 0));
    assert_null(x86_cpuid_find(cpuid, 0x12, 0));
    assert_non_null(x86_cpuid_find(cpuid, 0x40000001, 0)); /* KVM's own stay: kvmclock */
    free(cpuid);
    cpuid = amd();
    x86_cpuid_complete(cpuid, 2, false);
    assert_int_equal(bits(get(cpuid, 0x80000001, 0).ecx, 2, 2), 0); /* SVM */
    assert_null(x86_cpuid_find(cpuid, 0x8000000a, 0));
    free(cpuid);
}

static void test_tsc_deadline_follows_the_capability(void **state)
{
    (void)state;
    for (unsigned offered = 0; offered < 2; offered++) {
        struct kvm_cpuid2 *cpuid = intel();
        x86_cpuid_complete(cpuid, 1, offered);
        assert_int_equal(bits(get(cpuid, 1, 0).ecx, 24, 24), offered);
        free(cpuid);
    }
}

/* An old AMD processor: no TopologyExtensions, no leaf 0BH. */
static void test_leaves_the_host_lacks_are_not_invented(void **state)
{
    (void)state;
    struct kvm_cpuid2 *cpuid = amd();
    x86_cpuid_find(cpuid, 0, 0)->eax = 0xa;
    x86_cpuid_find(cpuid, 0x80000001, 0)->ecx &= ~(1u << 22);
    x86_cpuid_complete(cpuid, 4, false);
    assert_null(x86_cpuid_find(cpuid, 0xb, 0));
    assert_null(x86_cpuid_find(cpuid, 0x8000001d, 0));
    assert_null(x86_cpuid_find(cpuid, 0x8000001e, 0));
    assert_int_equal(bits(get(cpuid, 0x80000008, 0).ecx, 7, 0), 3);
    free(cpuid);
}

static void test_a_full_or_empty_table_is_harmless(void **state)
{
    (void)state;
    struct kvm_cpuid2 *cpuid = x86_cpuid_alloc();
    assert_non_null(cpuid);
    x86_cpuid_complete(cpuid, 16, true);
    assert_int_equal(cpuid->nent, 0);
    assert_int_equal(x86_cpuid_physical_bits(cpuid), 0);
    assert_false(x86_cpuid_has_gigabyte_pages(cpuid));
    free(cpuid);
    cpuid = amd();
    while (cpuid->nent < X86_CPUID_ENTRIES_MAX) {
        add(cpuid, 0x80000100 + cpuid->nent, 0, 0, 0, 0, 0);
    }
    x86_cpuid_complete(cpuid, 16, true);
    assert_in_range(cpuid->nent, 1, X86_CPUID_ENTRIES_MAX);
    free(cpuid);
}

static void test_address_bits_and_page_sizes(void **state)
{
    (void)state;
    struct kvm_cpuid2 *cpuid = intel();
    assert_int_equal(x86_cpuid_physical_bits(cpuid), 46);
    assert_true(x86_cpuid_has_gigabyte_pages(cpuid));
    x86_cpuid_find(cpuid, 0x80000001, 0)->edx = 0;
    assert_false(x86_cpuid_has_gigabyte_pages(cpuid));
    free(cpuid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_intel_topology),
        cmocka_unit_test(test_amd_topology),
        cmocka_unit_test(test_features_that_are_not_emulated_are_hidden),
        cmocka_unit_test(test_tsc_deadline_follows_the_capability),
        cmocka_unit_test(test_leaves_the_host_lacks_are_not_invented),
        cmocka_unit_test(test_a_full_or_empty_table_is_harmless),
        cmocka_unit_test(test_address_bits_and_page_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/*
 * CPUID: which processor the guest sees. It is the host's, as far as KVM can offer it, in one
 * socket with as many cores as there are vCPUs, one thread each. APIC ids are vCPU numbers.
 */
#ifndef VMM_X86_GUEST_CPUID_H
#define VMM_X86_GUEST_CPUID_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/error.h"

/* KVM takes no longer table (KVM_MAX_CPUID_ENTRIES). */
enum { X86_CPUID_ENTRIES_MAX = 256 };

/* An empty table with room for X86_CPUID_ENTRIES_MAX entries, for free(). NULL: no memory. */
struct kvm_cpuid2 *x86_cpuid_alloc(void);

/*
 * What this KVM supports, completed for a machine of `cpus` vCPUs. The caller owns `*cpuid` and
 * frees it with free(). -ENOMEM, or what KVM says.
 */
int x86_cpuid_create(int kvm_fd, unsigned cpus, struct kvm_cpuid2 **cpuid, struct error *err);

/*
 * Turn a table of what the host supports into the machine's: without what is not emulated, with
 * the topology of `cpus` vCPUs, 1 to 255. Needs no KVM. `tsc_deadline`: the local APIC's timer has
 * that mode.
 */
void x86_cpuid_complete(struct kvm_cpuid2 *cpuid, unsigned cpus, bool tsc_deadline);

/* Write an APIC id to all the places that tell it. */
void x86_cpuid_set_apic_id(struct kvm_cpuid2 *cpuid, uint32_t apic_id);

/* The entry of a leaf (and subleaf, for leaves that have some); NULL if absent. */
struct kvm_cpuid_entry2 *x86_cpuid_find(struct kvm_cpuid2 *cpuid, uint32_t leaf, uint32_t subleaf);

/* How many bits a guest physical address has, and whether 1 GiB pages can map them. */
unsigned x86_cpuid_physical_bits(struct kvm_cpuid2 *cpuid);
bool x86_cpuid_has_gigabyte_pages(struct kvm_cpuid2 *cpuid);

#endif

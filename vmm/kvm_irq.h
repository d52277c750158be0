/* SPDX-License-Identifier: MIT */
/*
 * The irq_chip in front of KVM's in-kernel interrupt controllers: pins by KVM_IRQ_LINE, messages by
 * KVM_SET_GSI_ROUTING and irqfds. See vmm/irq.h for the interface.
 *
 * KVM has one routing table for the whole VM and replaces it as a whole. `entries` is our copy of
 * it, in the order in which it was built: first what the architecture put there for its pins, then
 * the vectors.
 */
#ifndef VMM_KVM_IRQ_H
#define VMM_KVM_IRQ_H

#include <linux/kvm.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/error.h"
#include "vmm/irq.h"

/*
 * Where messages raise pins of the interrupt controller (arm64's GICv2m): data first_data, written
 * to `address`, is the pin first_pin, and so on for `count` of them.
 */
struct kvm_irq_frame {
    uint64_t address; /* 0: there is none; messages are KVM's own to understand */
    uint32_t first_data;
    uint32_t count;
    uint32_t first_pin;
};

struct kvm_irq {
    struct irq_chip chip;
    int vm_fd;
    uint32_t line_flags; /* added to the GSI in KVM_IRQ_LINE (arm64: the kind of interrupt) */
    bool msi_device_ids; /* entries carry the requester id (KVM_CAP_MSI_DEVID) */
    struct kvm_irq_frame frame;
    uint32_t capacity;             /* how many entries KVM takes */
    pthread_mutex_t lock;          /* guards what follows; a leaf */
    struct kvm_irq_routing *table; /* room for `allocated` entries */
    uint32_t allocated;
    uint32_t *gsi_in_use; /* a bit a GSI; the pins' are set for good */
};

/*
 * Prepare the table, empty. `pins` GSIs starting at 0 belong to the interrupt controllers; vectors
 * get those above. -ENOMEM, -ENOTSUP without KVM_CAP_IRQ_ROUTING.
 */
int kvm_irq_init(struct kvm_irq *irq, int vm_fd, uint32_t pins, struct error *err);
void kvm_irq_destroy(struct kvm_irq *irq);

/* The interrupts of a machine that is only looked at: wires go nowhere, vectors get no route. */
void kvm_irq_init_without_kvm(struct kvm_irq *irq);

/* Add the entry of a pin (set-up only); KVM gets it with the first vector. -ENOSPC. */
int kvm_irq_add_pin(struct kvm_irq *irq, uint32_t gsi, uint32_t chip, uint32_t pin);

#endif

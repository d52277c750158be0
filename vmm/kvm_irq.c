/* SPDX-License-Identifier: MIT */
/*
 * Messages on their way: device -> irq_msi_raise() -> write to an eventfd -> irqfd -> GSI -> the
 * GSI's entry in KVM's routing table -> the local APIC or ITS that the entry's address names. Only
 * the first two steps run in this process.
 */
#include "vmm/kvm_irq.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vmm/trace.h"

static struct kvm_irq *kvm_irq_of(struct irq_chip *chip)
{
    return (struct kvm_irq *)chip; /* its first member */
}

static int set_level(struct irq_chip *chip, uint32_t gsi, bool level)
{
    struct kvm_irq *irq = kvm_irq_of(chip);
    struct kvm_irq_level request = {.irq = gsi | irq->line_flags, .level = level};
    trace_irq_level(gsi, level);
    return ioctl(irq->vm_fd, KVM_IRQ_LINE, &request) < 0 ? -errno : 0;
}

/* ---- the table
 * ----------------------------------------------------------------------------------- */

static int commit(struct kvm_irq *irq)
{
    return ioctl(irq->vm_fd, KVM_SET_GSI_ROUTING, irq->table) < 0 ? -errno : 0;
}

/* A zeroed entry at the end of the table, or NULL if it is full or there is no memory. */
static struct kvm_irq_routing_entry *append_entry(struct kvm_irq *irq)
{
    if (irq->table->nr == irq->capacity) {
        return NULL;
    }
    if (irq->table->nr == irq->allocated) {
        uint32_t wanted = irq->allocated * 2;
        struct kvm_irq_routing *grown =
            realloc(irq->table, sizeof(*grown) + wanted * sizeof(grown->entries[0]));
        if (!grown) {
            return NULL;
        }
        irq->table = grown;
        irq->allocated = wanted;
    }
    struct kvm_irq_routing_entry *entry = &irq->table->entries[irq->table->nr++];
    memset(entry, 0, sizeof(*entry));
    return entry;
}

static struct kvm_irq_routing_entry *find_message_entry(struct kvm_irq *irq, uint32_t gsi)
{
    for (uint32_t i = 0; i < irq->table->nr; i++) {
        struct kvm_irq_routing_entry *entry = &irq->table->entries[i];
        if (entry->gsi == gsi) { /* its alone: pins have lower numbers */
            return entry;
        }
    }
    return NULL;
}

int kvm_irq_add_pin(struct kvm_irq *irq, uint32_t gsi, uint32_t chip, uint32_t pin)
{
    struct kvm_irq_routing_entry *entry = append_entry(irq);
    if (!entry) {
        return -ENOSPC;
    }
    entry->gsi = gsi;
    entry->type = KVM_IRQ_ROUTING_IRQCHIP;
    entry->u.irqchip.irqchip = chip;
    entry->u.irqchip.pin = pin;
    return 0;
}

/* ---- GSI numbers for vectors
 * --------------------------------------------------------------------- */

static int take_gsi(struct kvm_irq *irq, uint32_t *gsi)
{
    for (uint32_t word = 0; word * 32 < irq->capacity; word++) {
        uint32_t taken = irq->gsi_in_use[word];
        if (taken != UINT32_MAX) {
            uint32_t bit = (uint32_t)__builtin_ctz(~taken);
            irq->gsi_in_use[word] |= 1u << bit;
            *gsi = word * 32 + bit;
            return 0;
        }
    }
    return -ENOSPC;
}

static void give_gsi(struct kvm_irq *irq, uint32_t gsi)
{
    irq->gsi_in_use[gsi / 32] &= ~(1u << gsi % 32);
}

/* ---- vectors
 * ------------------------------------------------------------------------------------- */

static int bind_irqfd(struct kvm_irq *irq, const struct msi_route *route, uint32_t flags)
{
    struct kvm_irqfd request = {.fd = (uint32_t)route->event_fd, .gsi = route->gsi, .flags = flags};
    return ioctl(irq->vm_fd, KVM_IRQFD, &request) < 0 ? -errno : 0;
}

static int msi_add_locked(struct kvm_irq *irq, struct msi_route *route)
{
    int ret = take_gsi(irq, &route->gsi);
    if (ret < 0) {
        return ret;
    }
    route->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (route->event_fd < 0) {
        ret = -errno;
        give_gsi(irq, route->gsi);
        return ret;
    }
    ret = bind_irqfd(irq, route, 0);
    if (ret < 0) {
        close(route->event_fd);
        give_gsi(irq, route->gsi);
        return ret;
    }
    route->added = true;
    route->routed = false;
    return 0;
}

static int msi_add(struct irq_chip *chip, struct msi_route *route)
{
    struct kvm_irq *irq = kvm_irq_of(chip);
    if (route->added) {
        return 0;
    }
    pthread_mutex_lock(&irq->lock);
    int ret = msi_add_locked(irq, route);
    pthread_mutex_unlock(&irq->lock);
    return ret;
}

/* Take the vector's entry out: the last one fills the gap, as order means nothing to KVM. */
static int unroute_locked(struct kvm_irq *irq, struct msi_route *route)
{
    if (!route->routed) {
        return 0;
    }
    struct kvm_irq_routing_entry *entry = find_message_entry(irq, route->gsi);
    *entry = irq->table->entries[--irq->table->nr];
    route->routed = false;
    trace_irq_msi_unroute(route->gsi);
    return commit(irq);
}

static void msi_remove(struct irq_chip *chip, struct msi_route *route)
{
    struct kvm_irq *irq = kvm_irq_of(chip);
    if (!route->added) {
        return;
    }
    pthread_mutex_lock(&irq->lock);
    (void)bind_irqfd(irq, route, KVM_IRQFD_FLAG_DEASSIGN);
    close(route->event_fd);
    (void)unroute_locked(irq, route);
    give_gsi(irq, route->gsi);
    route->added = false;
    pthread_mutex_unlock(&irq->lock);
}

/* A message to the frame raises a pin; any other is a write that reaches nobody. */
static int make_frame_entry(const struct kvm_irq_frame *frame, const struct msi_message *message,
                            struct kvm_irq_routing_entry *entry)
{
    uint32_t index = message->data - frame->first_data;
    if (message->address != frame->address || index >= frame->count) {
        return -ENXIO;
    }
    entry->type = KVM_IRQ_ROUTING_IRQCHIP;
    entry->u.irqchip.pin = frame->first_pin + index;
    return 0;
}

static int make_entry(const struct kvm_irq *irq, const struct msi_route *route,
                      const struct msi_message *message, struct kvm_irq_routing_entry *entry)
{
    memset(entry, 0, sizeof(*entry));
    entry->gsi = route->gsi;
    if (irq->frame.address) {
        return make_frame_entry(&irq->frame, message, entry);
    }
    entry->type = KVM_IRQ_ROUTING_MSI;
    entry->u.msi.address_lo = (uint32_t)message->address;
    entry->u.msi.address_hi = (uint32_t)(message->address >> 32);
    entry->u.msi.data = message->data;
    if (irq->msi_device_ids) {
        entry->flags = KVM_MSI_VALID_DEVID;
        entry->u.msi.devid = route->device_id;
    }
    return 0;
}

/* The four fields of a message cover all that either kind of entry has. */
static bool same_entry(const struct kvm_irq_routing_entry *a, const struct kvm_irq_routing_entry *b)
{
    return a->type == b->type && a->flags == b->flags &&
           a->u.msi.address_lo == b->u.msi.address_lo &&
           a->u.msi.address_hi == b->u.msi.address_hi && a->u.msi.data == b->u.msi.data &&
           a->u.msi.devid == b->u.msi.devid;
}

static int route_locked(struct kvm_irq *irq, struct msi_route *route,
                        const struct msi_message *message)
{
    struct kvm_irq_routing_entry wanted;
    int ret = make_entry(irq, route, message, &wanted);
    if (ret < 0) {
        (void)unroute_locked(irq, route);
        return ret;
    }
    struct kvm_irq_routing_entry *entry =
        route->routed ? find_message_entry(irq, route->gsi) : append_entry(irq);
    if (!entry) {
        return -ENOSPC;
    }
    route->message = *message;
    if (route->routed && same_entry(entry, &wanted)) {
        return 0; /* as KVM has it */
    }
    *entry = wanted;
    route->routed = true;
    trace_irq_msi_route(route->gsi, message->address, message->data, route->device_id);
    ret = commit(irq);
    if (ret < 0) {
        (void)unroute_locked(irq, route); /* KVM refused the message: keep the rest of the table */
    }
    return ret;
}

static int msi_route(struct irq_chip *chip, struct msi_route *route,
                     const struct msi_message *message)
{
    struct kvm_irq *irq = kvm_irq_of(chip);
    if (!route->added) {
        return -EINVAL;
    }
    pthread_mutex_lock(&irq->lock);
    int ret = message ? route_locked(irq, route, message) : unroute_locked(irq, route);
    pthread_mutex_unlock(&irq->lock);
    return ret;
}

static void msi_raise(struct irq_chip *chip, struct msi_route *route)
{
    (void)chip;
    uint64_t one = 1;
    trace_irq_msi_raise(route->gsi);
    /* EAGAIN means that the counter is full, so that an interrupt is already on its way. */
    if (write(route->event_fd, &one, sizeof(one)) < 0) {
        return;
    }
}

static const struct irq_chip_ops kvm_irq_ops = {
    .set_level = set_level,
    .msi_add = msi_add,
    .msi_remove = msi_remove,
    .msi_route = msi_route,
    .msi_raise = msi_raise,
};

/* ---- life
 * ---------------------------------------------------------------------------------------- */

int kvm_irq_init(struct kvm_irq *irq, int vm_fd, uint32_t pins, struct error *err)
{
    int capacity = ioctl(vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_IRQ_ROUTING);
    if (capacity <= 0) {
        return error_set(err, -ENOTSUP, "/dev/kvm: no interrupt routing (KVM_CAP_IRQ_ROUTING)");
    }
    *irq = (struct kvm_irq){
        .chip.ops = &kvm_irq_ops, .vm_fd = vm_fd, .capacity = (uint32_t)capacity, .allocated = 64};
    pthread_mutex_init(&irq->lock, NULL);
    irq->table = calloc(1, sizeof(*irq->table) + irq->allocated * sizeof(irq->table->entries[0]));
    irq->gsi_in_use = calloc((irq->capacity + 31) / 32, sizeof(uint32_t));
    if (!irq->table || !irq->gsi_in_use) {
        kvm_irq_destroy(irq);
        return error_set(err, -ENOMEM, "no memory for the interrupt routing table");
    }
    for (uint32_t gsi = 0; gsi < pins; gsi++) {
        irq->gsi_in_use[gsi / 32] |= 1u << gsi % 32;
    }
    for (uint32_t gsi = irq->capacity; gsi % 32 != 0; gsi++) { /* beyond KVM's last GSI */
        irq->gsi_in_use[gsi / 32] |= 1u << gsi % 32;
    }
    return 0;
}

static int set_no_level(struct irq_chip *chip, uint32_t gsi, bool level)
{
    (void)chip;
    (void)gsi;
    (void)level;
    return 0;
}

static int add_no_msi(struct irq_chip *chip, struct msi_route *route)
{
    (void)chip;
    (void)route;
    return -ENOTSUP;
}

static void ignore_msi(struct irq_chip *chip, struct msi_route *route)
{
    (void)chip;
    (void)route;
}

static int route_no_msi(struct irq_chip *chip, struct msi_route *route,
                        const struct msi_message *message)
{
    (void)chip;
    (void)route;
    (void)message;
    return -ENOTSUP;
}

static const struct irq_chip_ops no_irq_ops = {
    .set_level = set_no_level,
    .msi_add = add_no_msi,
    .msi_remove = ignore_msi,
    .msi_route = route_no_msi,
    .msi_raise = ignore_msi,
};

void kvm_irq_init_without_kvm(struct kvm_irq *irq)
{
    *irq = (struct kvm_irq){.chip.ops = &no_irq_ops, .vm_fd = -1};
    pthread_mutex_init(&irq->lock, NULL);
}

void kvm_irq_destroy(struct kvm_irq *irq)
{
    if (!irq->chip.ops) {
        return;
    }
    free(irq->table);
    free(irq->gsi_in_use);
    pthread_mutex_destroy(&irq->lock);
    *irq = (struct kvm_irq){0};
}

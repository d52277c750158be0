/* SPDX-License-Identifier: MIT */
/*
 * MSI-X: up to 2048 vectors, each with a message of its own. PCI 3.0, 6.8.2.
 *
 * The capability only says where to look; table and pending bits are in a memory BAR:
 *
 *   table, 16 bytes a vector   address (8), data (4), vector control (4; bit 0: masked)
 *   pending bits (PBA)         a bit a vector, in words of 64; software only reads it
 *
 * Software accesses both by aligned words of 4 or 8 bytes; what else does is undefined by the
 * specification, and here it reads all ones, writes nothing and is a trace event. Accesses to the
 * rest of the BAR go on to the device.
 *
 * A vector's route follows its table entry as MSI's do its registers; see pci_msi.c. device->lock
 * guards table and pending bits.
 */
#include <errno.h>
#include <stdlib.h>

#include "pci/pci_internal.h"
#include "vmm/trace.h"

enum {
    ENTRY_WORDS = PCI_MSIX_ENTRY_SIZE / 4,
    WORD_ADDRESS_LOW = PCI_MSIX_ENTRY_LOWER_ADDR / 4,
    WORD_ADDRESS_HIGH = PCI_MSIX_ENTRY_UPPER_ADDR / 4,
    WORD_DATA = PCI_MSIX_ENTRY_DATA / 4,
    WORD_CONTROL = PCI_MSIX_ENTRY_VECTOR_CTRL / 4,
    MAX_VECTORS = 2048,
};

static uint64_t table_bytes(const struct pci_msix *msix)
{
    return (uint64_t)msix->vectors * PCI_MSIX_ENTRY_SIZE;
}

static unsigned pba_words(const struct pci_msix *msix)
{
    return (msix->vectors + 63u) / 64 * 2;
}

/* ---- vectors */

static uint32_t control(const struct pci_device *device)
{
    return device->msix.offset ? pci_config_get(device, device->msix.offset + PCI_MSIX_FLAGS, 2)
                               : 0;
}

bool pci_msix_enabled(const struct pci_device *device)
{
    return control(device) & PCI_MSIX_FLAGS_ENABLE;
}

static bool is_masked(const struct pci_device *device, unsigned vector)
{
    uint32_t entry_control = device->msix.table[(size_t)vector * ENTRY_WORDS + WORD_CONTROL];
    return control(device) & PCI_MSIX_FLAGS_MASKALL || entry_control & PCI_MSIX_ENTRY_CTRL_MASKBIT;
}

static struct msi_message message_of(const struct pci_device *device, unsigned vector)
{
    const uint32_t *entry = &device->msix.table[(size_t)vector * ENTRY_WORDS];
    return (struct msi_message){
        .address = (uint64_t)entry[WORD_ADDRESS_HIGH] << 32 | entry[WORD_ADDRESS_LOW],
        .data = entry[WORD_DATA],
    };
}

/* Take the vector's pending bit. */
static bool take_pending(struct pci_device *device, unsigned vector)
{
    uint32_t *word = &device->msix.pba[vector / 32];
    uint32_t bit = 1u << (vector % 32);
    bool was_pending = *word & bit;
    *word &= ~bit;
    return was_pending;
}

/* MSI-X is enabled. */
static void update_vector(struct pci_device *device, unsigned vector)
{
    struct msi_route *route = &device->msix.routes[vector];
    if (is_masked(device, vector)) {
        pci_vector_route(device, route, vector, NULL);
        return;
    }
    struct msi_message message = message_of(device, vector);
    pci_vector_route(device, route, vector, &message);
    if (take_pending(device, vector)) {
        pci_vector_send(device, route, vector, &message);
    }
}

void pci_msix_update(struct pci_device *device)
{
    if (!device->msix.offset) {
        return;
    }
    if (!pci_msix_enabled(device)) {
        pci_vectors_release(device, device->msix.routes, 0, device->msix.vectors);
        return;
    }
    for (unsigned vector = 0; vector < device->msix.vectors; vector++) {
        update_vector(device, vector);
    }
}

void pci_msix_config_written(struct pci_device *device, unsigned reg, unsigned size)
{
    if (device->msix.offset && pci_touches(reg, size, device->msix.offset + PCI_MSIX_FLAGS, 2)) {
        pci_msix_update(device);
    }
}

void pci_msix_notify(struct pci_device *device, unsigned vector)
{
    if (!pci_msix_enabled(device) || vector >= device->msix.vectors) {
        trace_pci_msi_notify(device->name, vector, "dropped: disabled");
        return;
    }
    if (is_masked(device, vector)) {
        device->msix.pba[vector / 32] |= 1u << (vector % 32);
        trace_pci_msi_notify(device->name, vector, "pending");
        return;
    }
    struct msi_message message = message_of(device, vector);
    pci_vector_send(device, &device->msix.routes[vector], vector, &message);
}

/* ---- accesses to the BAR */

static bool is_table(const struct pci_msix *msix, uint64_t offset, unsigned size)
{
    return offset < msix->table_offset + table_bytes(msix) && msix->table_offset < offset + size;
}

static bool is_pba(const struct pci_msix *msix, uint64_t offset, unsigned size)
{
    return offset < msix->pba_offset + 4ull * pba_words(msix) && msix->pba_offset < offset + size;
}

/* Both structures start and end at multiples of 8 bytes, so that an aligned access that touches one
 * lies inside it. */
static bool is_legal(uint64_t offset, unsigned size)
{
    return (size == 4 || size == 8) && offset % size == 0;
}

static uint64_t read_words(const uint32_t *words, uint64_t offset, unsigned size)
{
    uint64_t value = words[offset / 4];
    return size == 8 ? value | (uint64_t)words[offset / 4 + 1] << 32 : value;
}

static uint64_t bar_read(void *opaque, uint64_t offset, unsigned size)
{
    struct pci_device *device = opaque;
    const struct pci_msix *msix = &device->msix;
    bool table = is_table(msix, offset, size);
    if (!table && !is_pba(msix, offset, size)) {
        return msix->bar_ops->read(msix->bar_opaque, offset, size);
    }
    if (!is_legal(offset, size)) {
        trace_pci_msix_bad_access(device->name, "read", offset, size);
        return UINT64_MAX;
    }
    pthread_mutex_lock(&device->lock);
    uint64_t value = table ? read_words(msix->table, offset - msix->table_offset, size)
                           : read_words(msix->pba, offset - msix->pba_offset, size);
    pthread_mutex_unlock(&device->lock);
    return value;
}

/* A word of the table, without the bits that are read-only 0. */
static uint32_t writable_bits(unsigned word)
{
    switch (word % ENTRY_WORDS) {
    case WORD_ADDRESS_LOW:
        return 0xfffffffc;
    case WORD_CONTROL:
        return PCI_MSIX_ENTRY_CTRL_MASKBIT;
    default:
        return UINT32_MAX;
    }
}

static void write_table(struct pci_device *device, uint64_t offset, unsigned size, uint64_t value)
{
    struct pci_msix *msix = &device->msix;
    pthread_mutex_lock(&device->lock);
    unsigned first = (unsigned)(offset / 4);
    for (unsigned word = first; word < first + size / 4; word++) {
        msix->table[word] = (uint32_t)value & writable_bits(word);
        value >>= 32;
    }
    if (pci_msix_enabled(device)) {
        update_vector(device, first / ENTRY_WORDS);
    }
    pthread_mutex_unlock(&device->lock);
}

static void bar_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    struct pci_device *device = opaque;
    const struct pci_msix *msix = &device->msix;
    bool table = is_table(msix, offset, size);
    bool pba = is_pba(msix, offset, size);
    if (!table && !pba) {
        msix->bar_ops->write(msix->bar_opaque, offset, size, value);
    } else if (!is_legal(offset, size)) {
        trace_pci_msix_bad_access(device->name, "write", offset, size);
    } else if (table) {
        write_table(device, offset - msix->table_offset, size, value);
    }
}

static const struct bus_ops bar_ops = {.read = bar_read, .write = bar_write};

/* ---- set-up and reset */

/* The structures lie in the BAR, aligned and apart: PCI 3.0, 6.8.2.4 and 6.8.2.5. */
static void check_layout(const struct pci_device *device, const struct pci_msix *msix)
{
    enum pci_bar_kind kind = device->bars[msix->bar].kind;
    uint64_t size = device->bars[msix->bar].region.size;
    uint64_t table_end = msix->table_offset + table_bytes(msix);
    uint64_t pba_end = msix->pba_offset + 4ull * pba_words(msix);
    pci_require(device, kind != PCI_BAR_NONE && kind != PCI_BAR_IO, "MSI-X needs a memory BAR");
    pci_require(device, msix->table_offset % 8 == 0 && msix->pba_offset % 8 == 0,
                "MSI-X structures are aligned to 8 bytes");
    pci_require(device, table_end <= size && pba_end <= size, "MSI-X structures leave their BAR");
    pci_require(device, table_end <= msix->pba_offset || pba_end <= msix->table_offset,
                "MSI-X table and pending bits overlap");
}

static int allocate(struct pci_msix *msix)
{
    msix->table = calloc(msix->vectors, PCI_MSIX_ENTRY_SIZE);
    msix->pba = calloc(pba_words(msix), sizeof(*msix->pba));
    msix->routes = calloc(msix->vectors, sizeof(*msix->routes));
    return msix->table && msix->pba && msix->routes ? 0 : -ENOMEM;
}

static void init_registers(struct pci_device *device, unsigned offset)
{
    struct pci_msix *msix = &device->msix;
    msix->offset =
        (uint8_t)pci_add_capability(device, PCI_CAP_ID_MSIX, offset, PCI_CAP_MSIX_SIZEOF);
    pci_config_set(device, msix->offset + PCI_MSIX_FLAGS, 2, msix->vectors - 1u);
    pci_config_set_writable(device, msix->offset + PCI_MSIX_FLAGS, 2,
                            PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
    pci_config_set(device, msix->offset + PCI_MSIX_TABLE, 4, msix->table_offset | msix->bar);
    pci_config_set(device, msix->offset + PCI_MSIX_PBA, 4, msix->pba_offset | msix->bar);
}

int pci_add_msix(struct pci_device *device, unsigned offset, unsigned vectors, unsigned bar,
                 uint32_t table_offset, uint32_t pba_offset, struct error *err)
{
    pci_require(device, !device->msix.offset, "it has two MSI-X capabilities");
    pci_require(device, vectors >= 1 && vectors <= MAX_VECTORS, "MSI-X has 1 to 2048 vectors");
    pci_require(device, bar < PCI_BAR_COUNT, "no such BAR");
    struct pci_msix *msix = &device->msix;
    struct bus_region *region = &device->bars[bar].region;
    *msix = (struct pci_msix){.bar = (uint8_t)bar,
                              .vectors = (uint16_t)vectors,
                              .table_offset = table_offset,
                              .pba_offset = pba_offset,
                              .bar_ops = region->ops,
                              .bar_opaque = region->opaque};
    check_layout(device, msix);
    if (allocate(msix) < 0) {
        pci_msix_destroy(device);
        return error_set(err, -ENOMEM, "no memory for MSI-X");
    }
    init_registers(device, offset);
    region->ops = &bar_ops;
    region->opaque = device;
    pci_msix_reset(device);
    return 0;
}

/* After reset every vector is masked: PCI 3.0, 6.8.2.9. */
void pci_msix_reset(struct pci_device *device)
{
    struct pci_msix *msix = &device->msix;
    if (!msix->offset) {
        return;
    }
    pci_vectors_release(device, msix->routes, 0, msix->vectors);
    for (unsigned word = 0; word < msix->vectors * (unsigned)ENTRY_WORDS; word++) {
        msix->table[word] = word % ENTRY_WORDS == WORD_CONTROL ? PCI_MSIX_ENTRY_CTRL_MASKBIT : 0;
    }
    for (unsigned word = 0; word < pba_words(msix); word++) {
        msix->pba[word] = 0;
    }
}

void pci_msix_destroy(struct pci_device *device)
{
    free(device->msix.table);
    free(device->msix.pba);
    free(device->msix.routes);
    device->msix = (struct pci_msix){0};
}

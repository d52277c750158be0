/* SPDX-License-Identifier: MIT */
/*
 * DMA and messages of a PCI function behind an IOMMU: a fake one that moves pages of 4 KiB about,
 * knows read-only ones, and lets nobody in from other requesters.
 */
#include "pci_fixture.h"
#include "vmm/dma_copy.h"

enum {
    PAGE = 4096,
    PAGES = 8,
    RAM_SIZE = 2 << 20,
    DOORBELL_PAGE = 7, /* where the IOVA of the interrupt controller is */
    SID = 3 << 3,
};

static const uint64_t iova_base = 0xffff0000;
static const uint64_t doorbell = 0xfee00000;

struct fake_iommu {
    struct iommu iommu;
    uint64_t page[PAGES]; /* guest physical; 0: not mapped */
    bool read_only[PAGES];
    unsigned translations; /* asked for */
};

static struct fake_iommu iommu;

static int fake_translate(struct iommu *self, uint16_t requester_id, iova_t address,
                          enum dma_direction direction, struct iommu_translation *translation)
{
    uint64_t page = (address.raw - iova_base) / PAGE;
    assert_int_not_equal(atomic_load(&self->users[0]) + atomic_load(&self->users[1]), 0);
    iommu.translations++;
    if (requester_id != SID || page >= PAGES || !iommu.page[page] ||
        (iommu.read_only[page] && direction == DMA_TO_MEMORY)) {
        return -EFAULT;
    }
    translation->address = gpa(iommu.page[page] + address.raw % PAGE);
    translation->length = PAGE - address.raw % PAGE;
    return 0;
}

static const struct iommu_ops fake_ops = {.translate = fake_translate};

/* The pages after the first as well, as far as the range goes. */
static int fake_translate_row(struct iommu *self, uint16_t requester_id, iova_t address,
                              uint64_t length, enum dma_direction direction,
                              struct iommu_translation *row, unsigned max)
{
    int count = 0;
    uint64_t done = 0;
    while (done < length && count < (int)max &&
           fake_translate(self, requester_id, iova(address.raw + done), direction, &row[count]) ==
               0) {
        done += row[count++].length;
    }
    return count > 0 ? count : -EFAULT;
}

static const struct iommu_ops row_ops = {.translate = fake_translate,
                                         .translate_row = fake_translate_row};

/* A device at 00:03.0 behind the IOMMU; its pages are in RAM in reverse order. */
static struct pci_device *plug_behind(struct fixture *f)
{
    struct error err = {0};
    assert_int_equal(guest_memory_add(&f->ram, gpa(0x100000), RAM_SIZE, false, &err), 0);
    iommu = (struct fake_iommu){.iommu.ops = &fake_ops};
    for (unsigned i = 0; i < PAGES; i++) {
        iommu.page[i] = 0x100000 + (uint64_t)(PAGES - i) * PAGE;
    }
    iommu.page[DOORBELL_PAGE] = doorbell;
    f->host.iommu = &iommu.iommu;
    struct pci_device *device = &plug_test(f, "addr=3")->device;
    pci_config_write(device, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
    return device;
}

static void assert_nothing_in_use(void)
{
    assert_int_equal(atomic_load(&iommu.iommu.users[0]), 0);
    assert_int_equal(atomic_load(&iommu.iommu.users[1]), 0);
}

static int teardown(void **state)
{
    struct guest_memory ram = ((struct fixture *)*state)->ram;
    fixture_teardown(state);
    guest_memory_destroy(&ram);
    return 0;
}

/* ---- DMA */

static void writes_land_where_the_iommu_says(void **state)
{
    struct fixture *f = *state;
    struct pci_device *device = plug_behind(f);
    uint8_t data[2 * PAGE], back[2 * PAGE];
    for (unsigned i = 0; i < sizeof(data); i++) {
        data[i] = (uint8_t)(i * 7 + i / PAGE);
    }
    assert_int_equal(dma_write(&device->dma, iova(iova_base + 100), data, sizeof(data)), 0);
    const uint8_t *page1 = guest_memory_range(&f->ram, gpa(iommu.page[1]), PAGE);
    assert_memory_equal(page1, data + PAGE - 100, PAGE);
    assert_int_equal(dma_read(&device->dma, iova(iova_base + 100), back, sizeof(back)), 0);
    assert_memory_equal(back, data, sizeof(data));
    assert_nothing_in_use();
}

static void a_mapping_ends_with_its_page(void **state)
{
    struct pci_device *device = plug_behind(*state);
    struct dma_mapping mapping;
    assert_int_equal(
        dma_map(&device->dma, iova(iova_base + 10), 3 * PAGE, DMA_FROM_MEMORY, &mapping), 0);
    assert_int_equal(mapping.length, PAGE - 10);
    assert_int_equal(iommu.iommu.users[0] + iommu.iommu.users[1], 1);
    dma_unmap(&device->dma, &mapping);
    assert_nothing_in_use();
}

static void errors_leave_nothing_in_use(void **state)
{
    struct pci_device *device = plug_behind(*state);
    uint32_t value = 0;
    iommu.page[2] = 0;
    iommu.read_only[3] = true;
    iommu.page[4] = 0x70000000; /* no RAM there */
    struct dma_space *dma = &device->dma;
    assert_int_equal(dma_read(dma, iova(iova_base + 2 * PAGE), &value, 4), -EFAULT);
    assert_int_equal(dma_write(dma, iova(iova_base + 3 * PAGE), &value, 4), -EFAULT);
    assert_int_equal(dma_read(dma, iova(iova_base + 3 * PAGE), &value, 4), 0);
    assert_int_equal(dma_read(dma, iova(iova_base + 4 * PAGE), &value, 4), -ENXIO);
    assert_int_equal(dma_read(dma, iova(UINT64_MAX - 1), &value, 4), -ERANGE);
    pci_config_write(device, PCI_COMMAND, 2, 0);
    assert_int_equal(dma_read(dma, iova(iova_base), &value, 4), -EACCES);
    assert_nothing_in_use();
}

static void assert_row(struct pci_device *device, uint64_t offset, uint64_t length, int ret,
                       unsigned count)
{
    struct dma_row row = {.count = 99};
    unsigned phase = dma_hold(&device->dma);
    iova_t address = iova(iova_base + offset);
    assert_int_equal(dma_map_row_held(&device->dma, address, length, DMA_TO_MEMORY, &row), ret);
    dma_release(&device->dma, phase);
    assert_int_equal(row.count, count);
    for (unsigned i = 0; i < count; i++) {
        uint64_t at = offset % PAGE, page = offset / PAGE;
        uint64_t expected = length < PAGE - at ? length : PAGE - at;
        assert_int_equal(row.piece[i].length, expected);
        assert_ptr_equal(row.piece[i].host,
                         guest_memory_range(device->dma.memory, gpa(iommu.page[page] + at), 1));
        offset += expected;
        length -= expected;
    }
}

/* As much as the translations bring, to the end of the range or to the first that cannot be. */
static void a_row_of_pieces(void **state)
{
    struct pci_device *device = plug_behind(*state);
    assert_row(device, 10, 3 * PAGE, 0, 1); /* an IOMMU that translates one at a time */
    iommu.iommu.ops = &row_ops;
    assert_row(device, 10, 3 * PAGE, 0, 4);
    assert_row(device, 0, 3 * PAGE, 0, 3);
    assert_row(device, PAGE + 100, 7, 0, 1);
    iommu.page[4] = 0x70000000; /* no RAM there */
    iommu.read_only[6] = true;
    assert_row(device, 2 * PAGE, 3 * PAGE, 0, 2);
    assert_row(device, 4 * PAGE, 3 * PAGE, -ENXIO, 0);
    assert_row(device, 5 * PAGE, 2 * PAGE, 0, 1);
    assert_row(device, 6 * PAGE, PAGE, -EFAULT, 0);
    assert_row(device, UINT64_MAX - iova_base, 2, -ERANGE, 0);
    assert_nothing_in_use();
}

/* ---- copies, piece by piece */

enum { DATA = DOORBELL_PAGE * PAGE };

/* What a device sees at the first bus addresses. */
static void bus_get(struct fixture *f, uint8_t *to)
{
    for (unsigned i = 0; i < DOORBELL_PAGE; i++) {
        memcpy(to + i * PAGE, guest_memory_range(&f->ram, gpa(iommu.page[i]), PAGE), PAGE);
    }
}

static void bus_fill(struct fixture *f)
{
    for (unsigned i = 0; i < DATA; i++) {
        uint8_t *at = guest_memory_range(&f->ram, gpa(iommu.page[i / PAGE] + i % PAGE), 1);
        *at = (uint8_t)(i * 7 + i / PAGE * 31);
    }
}

/* In steps of `limit`. Between two of them nothing is in use: an invalidation need not wait. */
static int run_copy(struct dma_copy *copy, struct dma_space *dma, uint64_t source,
                    uint64_t destination, uint64_t length, uint64_t limit)
{
    int ret =
        dma_copy_begin(copy, dma, iova(iova_base + source), iova(iova_base + destination), length);
    assert_int_equal(ret, 0);
    do {
        ret = dma_copy_step(copy, limit);
        assert_nothing_in_use();
    } while (ret > 0);
    return ret;
}

static void compare_copies(struct fixture *f, const struct iommu_ops *ops)
{
    static const struct {
        uint32_t source, destination, length;
    } copies[] = {
        {0, 4 * PAGE, 128},
        {0, 4 * PAGE, 3 * PAGE},              /* page by page */
        {100, 3 * PAGE + 900, 3 * PAGE + 17}, /* ends of pages fall apart */
        {PAGE - 1, 5 * PAGE - 1, 2},          /* both cross a page at the first byte */
        {2 * PAGE, PAGE / 2, 4 * PAGE},       /* overlap, downwards */
        {PAGE / 2, 2 * PAGE, 4 * PAGE},       /* overlap, upwards: from the end */
        {10, 11, 6 * PAGE},                   /* by a byte */
        {11, 10, 6 * PAGE},
        {0, PAGE, 6 * PAGE},
        {3, 3, 5 * PAGE}, /* to itself */
    };
    static const uint64_t limits[] = {UINT64_MAX, 2 * PAGE, 1000, 1};
    struct pci_device *device = plug_behind(f);
    static uint8_t expected[DATA], actual[DATA];
    iommu.iommu.ops = ops;
    for (size_t i = 0; i < 4 * sizeof(copies) / sizeof(copies[0]); i++) {
        struct dma_copy copy;
        uint32_t source = copies[i / 4].source, destination = copies[i / 4].destination;
        uint32_t length = copies[i / 4].length;
        bus_fill(f);
        bus_get(f, expected);
        memmove(expected + destination, expected + source, length);
        assert_int_equal(run_copy(&copy, &device->dma, source, destination, length, limits[i % 4]),
                         0);
        bus_get(f, actual);
        assert_memory_equal(actual, expected, DATA);
    }
}

static void copies_are_those_of_memmove_on_bus_addresses(void **state)
{
    compare_copies(*state, &fake_ops);
}

static void copies_in_rows(void **state)
{
    compare_copies(*state, &row_ops);
}

/* A copy that goes by pages asks for each page once on both sides, whichever way it runs. */
static void a_copy_translates_no_more_than_it_must(void **state)
{
    struct fixture *f = *state;
    struct pci_device *device = plug_behind(f);
    struct dma_copy copy;
    iommu.translations = 0;
    assert_int_equal(run_copy(&copy, &device->dma, 0, 3 * PAGE, 3 * PAGE, UINT64_MAX), 0);
    assert_int_equal(iommu.translations, 2 * 3);
    iommu.translations = 0;
    assert_int_equal(run_copy(&copy, &device->dma, 0, PAGE, 6 * PAGE, UINT64_MAX), 0);
    assert_int_equal(iommu.translations, 2 + 2 * 6); /* the whole is tried first */
}

static void a_copy_stops_where_the_iommu_refuses(void **state)
{
    struct pci_device *device = plug_behind(*state);
    struct dma_space *dma = &device->dma;
    struct dma_copy copy;
    iommu.page[2] = 0;
    iommu.read_only[5] = true;
    assert_int_equal(run_copy(&copy, dma, PAGE + 8, 4 * PAGE, PAGE, UINT64_MAX), -EFAULT);
    assert_int_equal(copy.fault.raw, iova_base + 2 * PAGE); /* the source's second page */
    assert_int_equal(copy.moved, PAGE - 8);
    assert_int_equal(run_copy(&copy, dma, 0, 4 * PAGE + 8, PAGE, UINT64_MAX), -EFAULT);
    assert_int_equal(copy.fault.raw, iova_base + 5 * PAGE); /* the destination's */
    assert_int_equal(copy.moved, PAGE - 8);
    assert_int_equal(run_copy(&copy, dma, 5 * PAGE, 0, PAGE, UINT64_MAX), 0); /* it may be read */
    /* From the end: page 6 to page 6, then page 5, which may not be written. */
    assert_int_equal(run_copy(&copy, dma, 5 * PAGE, 5 * PAGE + 8, 2 * PAGE - 8, PAGE), -EFAULT);
    assert_int_equal(copy.moved, PAGE);
    assert_in_range(copy.fault.raw, iova_base + 5 * PAGE, iova_base + 6 * PAGE - 1);
}

/* ---- iommu_synchronize() */

static void *synchronize(void *opaque)
{
    iommu_synchronize(&iommu.iommu);
    atomic_store((atomic_bool *)opaque, true);
    return NULL;
}

static void synchronize_waits_for_a_mapping(void **state)
{
    struct pci_device *device = plug_behind(*state);
    struct dma_mapping old, young;
    atomic_bool done = false;
    pthread_t thread;
    assert_int_equal(dma_map(&device->dma, iova(iova_base), 8, DMA_FROM_MEMORY, &old), 0);
    assert_int_equal(pthread_create(&thread, NULL, synchronize, &done), 0);
    while (atomic_load(&iommu.iommu.phase) == 0) {
        sched_yield(); /* it has begun */
    }
    assert_int_equal(dma_map(&device->dma, iova(iova_base), 8, DMA_FROM_MEMORY, &young), 0);
    usleep(20000);
    assert_false(atomic_load(&done));
    dma_unmap(&device->dma, &old);
    dma_unmap(&device->dma, &young);
    pthread_join(thread, NULL);
    assert_true(done);
}

/* ---- messages */

static void notify_msi(struct pci_device *device)
{
    pthread_mutex_lock(&device->lock);
    pci_msi_notify(device, 0);
    pthread_mutex_unlock(&device->lock);
}

static void enable_msi(struct pci_device *device)
{
    pci_config_write(device, TEST_MSI + PCI_MSI_ADDRESS_LO, 4,
                     (uint32_t)(iova_base + DOORBELL_PAGE * PAGE + 0x40));
    pci_config_write(device, TEST_MSI + PCI_MSI_DATA_64, 2, 0x21);
    pci_config_write(device, TEST_MSI + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE);
}

static void a_message_is_translated_when_it_is_sent(void **state)
{
    struct fixture *f = *state;
    struct pci_device *device = plug_behind(f);
    enable_msi(device);
    assert_int_equal(f->irq.routed, 0); /* not before */
    notify_msi(device);
    assert_int_equal(f->irq.raised, 1);
    assert_int_equal(f->irq.last_message.address, doorbell + 0x40);
    assert_int_equal(f->irq.last_message.data, 0x21);
    assert_int_equal(f->irq.last_device, SID);
    unsigned writes = f->irq.table_writes;
    notify_msi(device);
    assert_int_equal(f->irq.raised, 2);
    assert_int_equal(f->irq.table_writes, writes); /* nothing changed */
    iommu.page[DOORBELL_PAGE] = doorbell + PAGE;
    notify_msi(device);
    assert_int_equal(f->irq.last_message.address, doorbell + PAGE + 0x40);
    assert_nothing_in_use();
}

static void a_message_that_is_not_translated_is_dropped(void **state)
{
    struct fixture *f = *state;
    struct pci_device *device = plug_behind(f);
    enable_msi(device);
    notify_msi(device);
    iommu.read_only[DOORBELL_PAGE] = true; /* a message is a write */
    notify_msi(device);
    iommu.page[DOORBELL_PAGE] = 0;
    notify_msi(device);
    assert_int_equal(f->irq.raised, 1);
    assert_nothing_in_use();
}

/* As fake_irq's, and the translation that led here is still in use. */
static void raise_in_use(struct irq_chip *chip, struct msi_route *route)
{
    assert_int_not_equal(iommu.iommu.users[0] + iommu.iommu.users[1], 0);
    fake_irq_raise(chip, route);
}

static void a_translation_is_in_use_until_the_message_is_sent(void **state)
{
    struct fixture *f = *state;
    struct pci_device *device = plug_behind(f);
    struct irq_chip_ops ops = fake_irq_ops;
    ops.msi_raise = raise_in_use;
    f->irq.chip.ops = &ops;
    enable_msi(device);
    notify_msi(device);
    notify_msi(device);
    assert_int_equal(f->irq.raised, 2);
    assert_nothing_in_use();
    f->irq.chip.ops = &fake_irq_ops;
}

static void a_pending_message_is_translated_when_unmasked(void **state)
{
    struct fixture *f = *state;
    struct pci_device *device = plug_behind(f);
    enable_msi(device);
    pci_config_write(device, TEST_MSI + PCI_MSI_MASK_64, 4, 1);
    notify_msi(device);
    assert_int_equal(f->irq.raised, 0);
    pci_config_write(device, TEST_MSI + PCI_MSI_MASK_64, 4, 0);
    assert_int_equal(f->irq.raised, 1);
    assert_int_equal(f->irq.last_message.address, doorbell + 0x40);
}

enum { VECTOR = 5, TABLE = 0x1000, MSIX_BAR = 0xc0000000u };

static void notify_msix(struct pci_device *device)
{
    pthread_mutex_lock(&device->lock);
    pci_msix_notify(device, VECTOR);
    pthread_mutex_unlock(&device->lock);
}

/* One vector whose message goes to the doorbell's page. */
static struct pci_device *plug_with_msix(struct fixture *f)
{
    struct pci_device *device = plug_behind(f);
    const uint64_t entry = MSIX_BAR + TABLE + 16 * VECTOR;
    pci_config_write(device, PCI_BASE_ADDRESS_0 + 4 * TEST_BAR_MSIX, 4, MSIX_BAR);
    pci_config_write(device, PCI_COMMAND, 2, PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY);
    pci_config_write(device, TEST_MSIX + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
    bus_write(&f->memory, entry, 8, iova_base + DOORBELL_PAGE * PAGE + 0x40);
    bus_write(&f->memory, entry + 8, 8, 0x35); /* data; not masked */
    return device;
}

static void msix_is_translated_when_it_is_sent(void **state)
{
    struct fixture *f = *state;
    struct pci_device *device = plug_with_msix(f);
    assert_int_equal(f->irq.routed, 0);
    notify_msix(device);
    assert_int_equal(f->irq.raised, 1);
    assert_int_equal(f->irq.last_message.address, doorbell + 0x40);
    assert_int_equal(f->irq.last_message.data, 0x35);
    assert_int_equal(f->irq.last_device, SID);
    iommu.page[DOORBELL_PAGE] = doorbell + PAGE;
    notify_msix(device);
    assert_int_equal(f->irq.raised, 2);
    assert_int_equal(f->irq.last_message.address, doorbell + PAGE + 0x40);
    assert_nothing_in_use();
}

static void msix_that_is_not_translated_is_dropped(void **state)
{
    struct fixture *f = *state;
    struct pci_device *device = plug_with_msix(f);
    const uint64_t control = MSIX_BAR + TABLE + 16 * VECTOR + 12;
    iommu.page[DOORBELL_PAGE] = 0;
    notify_msix(device);
    assert_int_equal(f->irq.raised, 0);
    assert_int_equal(f->irq.routed, 0);
    bus_write(&f->memory, control, 4, PCI_MSIX_ENTRY_CTRL_MASKBIT);
    notify_msix(device);
    bus_write(&f->memory, control, 4, 0); /* what was pending is sent, and lost */
    assert_int_equal(f->irq.raised, 0);
    iommu.page[DOORBELL_PAGE] = doorbell;
    notify_msix(device);
    assert_int_equal(f->irq.raised, 1);
    assert_nothing_in_use();
}

static void a_renumbered_function_asks_by_its_new_id(void **state)
{
    struct fixture *f = *state;
    struct pci_device *device = plug_behind(f);
    enable_msi(device);
    notify_msi(device);
    atomic_store(&device->dma.requester_id, SID + 8); /* as when its bus gets another number */
    notify_msi(device);
    assert_int_equal(f->irq.raised, 1); /* nothing is mapped for that one */
    atomic_store(&device->dma.requester_id, SID);
    notify_msi(device);
    assert_int_equal(f->irq.raised, 2);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(writes_land_where_the_iommu_says),
        TEST(a_mapping_ends_with_its_page),
        TEST(errors_leave_nothing_in_use),
        TEST(a_row_of_pieces),
        TEST(copies_in_rows),
        TEST(copies_are_those_of_memmove_on_bus_addresses),
        TEST(a_copy_translates_no_more_than_it_must),
        TEST(a_copy_stops_where_the_iommu_refuses),
        TEST(synchronize_waits_for_a_mapping),
        TEST(a_message_is_translated_when_it_is_sent),
        TEST(a_message_that_is_not_translated_is_dropped),
        TEST(a_translation_is_in_use_until_the_message_is_sent),
        TEST(a_pending_message_is_translated_when_unmasked),
        TEST(msix_is_translated_when_it_is_sent),
        TEST(msix_that_is_not_translated_is_dropped),
        TEST(a_renumbered_function_asks_by_its_new_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

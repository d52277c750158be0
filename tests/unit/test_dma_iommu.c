/* SPDX-License-Identifier: MIT */
/*
 * DMA and messages of a PCI function behind an IOMMU: a fake one that moves pages of 4 KiB about,
 * knows read-only ones, and lets nobody in from other requesters.
 */
#include "pci_fixture.h"
#include "vmm/dma.h"

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
};

static struct fake_iommu iommu;

static int fake_translate(struct iommu *self, uint16_t requester_id, iova_t address,
                          enum dma_direction direction, struct iommu_translation *translation)
{
    uint64_t page = (address.raw - iova_base) / PAGE;
    assert_int_not_equal(atomic_load(&self->users[0]) + atomic_load(&self->users[1]), 0);
    if (requester_id != SID || page >= PAGES || !iommu.page[page] ||
        (iommu.read_only[page] && direction == DMA_TO_MEMORY)) {
        return -EFAULT;
    }
    translation->address = gpa(iommu.page[page] + address.raw % PAGE);
    translation->length = PAGE - address.raw % PAGE;
    return 0;
}

static const struct iommu_ops fake_ops = {.translate = fake_translate};

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

static void msix_too(void **state)
{
    struct fixture *f = *state;
    struct pci_device *device = plug_behind(f);
    const uint64_t bar = 0xc0000000;
    pci_config_write(device, PCI_BASE_ADDRESS_0 + 4 * TEST_BAR_MSIX, 4, (uint32_t)bar);
    pci_config_write(device, PCI_COMMAND, 2, PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY);
    pci_config_write(device, TEST_MSIX + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
    bus_write(&f->memory, bar + 0x1000 + 16 * 5, 8, iova_base + DOORBELL_PAGE * PAGE + 0x40);
    bus_write(&f->memory, bar + 0x1000 + 16 * 5 + 8, 8, 0x35); /* data; not masked */
    assert_int_equal(f->irq.routed, 0);
    pthread_mutex_lock(&device->lock);
    pci_msix_notify(device, 5);
    pthread_mutex_unlock(&device->lock);
    assert_int_equal(f->irq.raised, 1);
    assert_int_equal(f->irq.last_message.address, doorbell + 0x40);
    assert_int_equal(f->irq.last_message.data, 0x35);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(writes_land_where_the_iommu_says),
        TEST(a_mapping_ends_with_its_page),
        TEST(errors_leave_nothing_in_use),
        TEST(synchronize_waits_for_a_mapping),
        TEST(a_message_is_translated_when_it_is_sent),
        TEST(a_message_that_is_not_translated_is_dropped),
        TEST(a_pending_message_is_translated_when_unmasked),
        TEST(msix_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

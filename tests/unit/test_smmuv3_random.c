/* SPDX-License-Identifier: MIT */
/*
 * The SMMUv3 with random tables against a walker without caches, for every granule: pages and
 * blocks come and go, each change followed by one of the commands that cover it. And with threads:
 * once CMD_SYNC is complete nobody uses a translation from before it.
 */
#include <pthread.h>
#include <stdio.h>

#include "smmuv3_fixture.h"

static uint64_t random_state = 0x9e3779b97f4a7c15;

static uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

/* Few enough places that they are met again, in regions that share tables or do not. */
static uint64_t random_va(const struct tables *tables)
{
    uint64_t region = (next_random() % 4) << (tables->bits - 3);
    uint64_t block = (next_random() % 3) << level_shift(tables, 2);
    uint64_t page = (next_random() % 8) << tables->granule;
    return region | block | page;
}

static uint64_t random_pa(unsigned shift)
{
    return next_random() % (1ull << 44) >> shift << shift;
}

/* Change the page or block at a random address; returns the address and size of what changed. */
static uint64_t change(struct rig *rig, const struct tables *tables, unsigned *level)
{
    uint64_t va = random_va(tables);
    *level = next_random() % 4 ? 3 : 2;
    uint64_t at = make_way(rig, tables, va, *level);
    if (at == 0) { /* under a block: that one goes */
        *level = 2;
        at = make_way(rig, tables, va, 2);
    }
    uint64_t *word = word_at(rig, at);
    bool is_table = *level == 2 && (*word & 3) == 3;
    if (is_table) { /* its pages stay as they are; take one away instead */
        *level = 3;
        word = word_at(rig, make_way(rig, tables, va, 3));
    }
    uint64_t leaf = random_pa(level_shift(tables, *level)) | full | 1 | (*level == 3 ? 2 : 0);
    *word = next_random() % 3 ? leaf : 0;
    return va;
}

/* One of the commands that name a leaf at this address. */
static void invalidate(struct rig *rig, const struct tables *tables, uint64_t va, unsigned level)
{
    const uint64_t asid = (uint64_t)ASID << 48;
    const uint64_t tg = (uint64_t)(tables->granule - 10) / 2 << 10;
    const uint64_t address = va & ~0xfffull;
    switch (next_random() % 7) {
    case 0:
        command(rig, SMMU_CMD_TLBI_NH_ALL, 0);
        break;
    case 1:
        command(rig, SMMU_CMD_TLBI_NH_ASID | asid, 0);
        break;
    case 2:
        command(rig, SMMU_CMD_TLBI_NH_VAA, address);
        break;
    case 3: /* a range of this level, which starts one before */
        command(rig, SMMU_CMD_TLBI_NH_VA | asid | 2ull << 12, address | tg | (uint64_t)level << 8);
        break;
    case 4: /* a range of any level */
        command(rig, SMMU_CMD_TLBI_NH_VA | asid | next_random() % 32 << 12, address | tg);
        break;
    default:
        command(rig, SMMU_CMD_TLBI_NH_VA | asid, address | 1);
        break;
    }
    sync_commands(rig);
}

static void compare(struct rig *rig, const struct tables *tables, uint64_t va)
{
    uint64_t expected = 0;
    enum dma_direction direction = next_random() % 2 ? DMA_TO_MEMORY : DMA_FROM_MEMORY;
    bool mapped = walk(rig, tables, va, &expected);
    assert_int_equal(access_at(rig, va, direction), mapped ? 0 : -EFAULT);
    if (mapped) {
        assert_int_equal(translation.address.raw, expected);
        assert_true(translation.length >= 1);
    } else {
        uint64_t event[4];
        take_event(rig, event);
        assert_int_equal(event[0] & 0xff, SMMU_EVT_F_TRANSLATION);
        assert_int_equal(event[2], va);
    }
}

static void run_random(struct rig *rig, unsigned granule, unsigned bits, unsigned rounds)
{
    struct tables tables = new_tables(rig, granule, bits);
    use(rig, &tables);
    for (unsigned round = 0; round < rounds; round++) {
        unsigned level;
        uint64_t va = change(rig, &tables, &level);
        invalidate(rig, &tables, va, level);
        for (unsigned i = 0; i < 8; i++) {
            compare(rig, &tables, random_va(&tables) + next_random() % (1ull << granule));
        }
        compare(rig, &tables, va);
    }
}

static unsigned scaled(unsigned rounds)
{
    return getenv("MINIVMM_EMULATED") ? rounds / 10 : rounds;
}

static void random_tables_4k(void **state)
{
    run_random(*state, 12, 39, scaled(4000));
    run_random(*state, 12, 48, scaled(4000));
    run_random(*state, 12, 32, scaled(1000));
}

static void random_tables_16k(void **state)
{
    run_random(*state, 14, 47, scaled(3000));
    run_random(*state, 14, 36, scaled(1000));
}

static void random_tables_64k(void **state)
{
    run_random(*state, 16, 48, scaled(3000));
    run_random(*state, 16, 42, scaled(1000));
}

/* A block of 1 GiB, with the 4K granule the only one at level 1. */
static void a_gigabyte_at_once(void **state)
{
    struct rig *rig = *state;
    struct tables tables = new_tables(rig, 12, 39);
    map(rig, &tables, 5ull << 30, 3ull << 30, 1, full);
    use(rig, &tables);
    assert_int_equal(access_at(rig, (5ull << 30) + 0x12345678, DMA_TO_MEMORY), 0);
    assert_int_equal(translation.address.raw, (3ull << 30) + 0x12345678);
    assert_int_equal(translation.length, (1ull << 30) - 0x12345678);
}

/* ---- threads */

enum { THREAD_VA = 0x7000, VERSIONS = 2000 };

struct shared {
    struct rig *rig;
    _Atomic uint64_t oldest; /* versions before this one are forgotten: CMD_SYNC says so */
    atomic_bool stop;
    atomic_uint stale;
    atomic_uint used;
};

/* A device: what it uses must not be older than what was forgotten when it began. */
static void *device_thread(void *opaque)
{
    struct shared *shared = opaque;
    struct iommu *iommu = smmuv3_iommu(shared->rig->smmu);
    while (!atomic_load(&shared->stop)) {
        struct iommu_translation found;
        unsigned phase = iommu_enter(iommu);
        if (iommu_translate(iommu, SID, iova(THREAD_VA), DMA_TO_MEMORY, &found) == 0) {
            /* still in use: the guest cannot have been told that it is gone */
            bool stale = found.address.raw >> 12 < atomic_load(&shared->oldest);
            atomic_fetch_add(&shared->stale, stale);
            atomic_fetch_add(&shared->used, 1);
        }
        iommu_leave(iommu, phase);
    }
    return NULL;
}

static void nothing_old_is_used_after_a_sync(void **state)
{
    struct rig *rig = *state;
    struct tables tables = new_tables(rig, 12, 39);
    _Atomic uint64_t *word =
        (_Atomic uint64_t *)word_at(rig, map(rig, &tables, THREAD_VA, 1 << 12, 3, full));
    struct shared shared = {.rig = rig};
    pthread_t threads[2];
    use(rig, &tables);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, device_thread, &shared), 0);
    }
    for (uint64_t version = 2; version < scaled(VERSIONS) || atomic_load(&shared.used) == 0;
         version++) {
        atomic_store(word, version << 12 | full | 3);
        command(rig, SMMU_CMD_TLBI_NH_VA | (uint64_t)ASID << 48, THREAD_VA);
        sync_commands(rig);
        atomic_store(&shared.oldest, version);
    }
    atomic_store(&shared.stop, true);
    for (unsigned i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(shared.stale, 0);
}

#define STARTED(test) cmocka_unit_test_setup_teardown(test, rig_setup_started, rig_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STARTED(random_tables_4k),
        STARTED(random_tables_16k),
        STARTED(random_tables_64k),
        STARTED(a_gigabyte_at_once),
        STARTED(nothing_old_is_used_after_a_sync),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

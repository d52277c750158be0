/* SPDX-License-Identifier: MIT */
/*
 * The SMMUv3 with random tables against a walker without caches: streams, address spaces and the
 * leaves and tables in them come, change and go, each change followed by one of the commands that
 * cover it. And with threads: once CMD_SYNC is complete nobody uses a translation from before it.
 *
 * A world is a few streams and address spaces that live for some changes. Its lower half is each
 * space's own. The upper one is shared by all, and the only place of global pages.
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>

#include "smmuv3_fixture.h"
#include "smmuv3_walker.h"

enum { SPACES = 3, STREAMS = 4, UPPER = SPACES, TREES = SPACES + 1, FIRST_ASID = 0x1200 };
enum { WORLDS = 300, CHANGES = 80, ACCESSES = 12 };

/* A tree of tables, and the size and granule that its users' CDs give it. */
struct tree {
    struct tables tables;
    bool had;
};

enum stream_kind { STREAM_TRANSLATES, STREAM_BYPASSES, STREAM_ABORTS, STREAM_IS_BAD, STREAM_KINDS };

struct stream {
    enum stream_kind kind;
    unsigned space;
    bool privileged;
};

struct world {
    struct rig *rig;
    struct tree tree[TREES];
    uint64_t cd[SPACES][3];
    struct stream stream[STREAMS];
    unsigned outcomes[F_PERMISSION + 1]; /* of accesses, by event; 0: translated */
    unsigned pages_in_rows;              /* after the first one of a row */
};

/* ---- chance: the same in each run */

static uint64_t random_state = 0x9e3779b97f4a7c15;

static uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state * 0x2545f4914f6cdd1dull >> 11;
}

static bool one_in(unsigned n)
{
    return next_random() % n == 0;
}

static unsigned scaled(unsigned rounds)
{
    return getenv("MINIVMM_EMULATED") ? rounds / 10 : rounds;
}

/* ---- places */

/* Few enough that they are met again, in regions that share tables or do not. */
static uint64_t random_offset(const struct tables *tables)
{
    uint64_t region = (next_random() % 2) << (tables->bits - 1);
    uint64_t large = (next_random() % 2) << level_shift(tables, 1);
    uint64_t block = (next_random() % 2) << level_shift(tables, 2);
    uint64_t page = (next_random() % 4) << tables->granule;
    return (region | large | block | page) & ((1ull << tables->bits) - 1);
}

static uint64_t address_in(const struct world *world, unsigned tree, uint64_t offset)
{
    return tree == UPPER ? ~0ull << world->tree[tree].tables.bits | offset : offset;
}

static bool is_block_level(const struct tables *tables, unsigned level)
{
    return level >= start_level(tables) && (level == 2 || (level == 1 && tables->granule == 12));
}

/* ---- what goes into tables */

/* Often in a row with those whose neighbour it is. */
static uint64_t random_output(unsigned shift, uint64_t offset)
{
    if (one_in(2)) {
        return (0x10000000 + offset % 0x10000000) >> shift << shift;
    }
    unsigned bits = one_in(6) ? 48 : 30; /* beyond the output size, sometimes */
    return (next_random() & ((1ull << bits) - 1)) >> shift << shift;
}

static uint64_t random_leaf(const struct tables *tables, unsigned level, bool upper,
                            uint64_t offset)
{
    uint64_t leaf = random_output(level_shift(tables, level), offset) | TTD_VALID;
    leaf |= level == 3 ? TTD_TABLE : 0;
    leaf |= one_in(8) ? 0 : TTD_AF;
    leaf |= one_in(5) ? 0 : TTD_USER;
    leaf |= one_in(4) ? TTD_READ_ONLY : 0;
    leaf |= upper && one_in(2) ? 0 : TTD_NG;
    return leaf;
}

static uint64_t random_descriptor(const struct tables *tables, unsigned level, bool upper,
                                  uint64_t offset)
{
    if (one_in(5)) {
        return next_random() & ~TTD_VALID;
    }
    uint64_t leaf = random_leaf(tables, level, upper, offset);
    if (level == 3 && one_in(10)) {
        return leaf & ~TTD_TABLE; /* reserved */
    }
    return leaf;
}

/* Of a table that is there: other rights, or one that cannot be read; rarely none. */
static uint64_t random_table(uint64_t descriptor)
{
    descriptor &= ~(TTD_TABLE_NO_USER | TTD_TABLE_RO);
    descriptor |= one_in(4) ? TTD_TABLE_NO_USER : 0;
    descriptor |= one_in(4) ? TTD_TABLE_RO : 0;
    return descriptor;
}

/* ---- invalidation: one of the commands that name what has changed */

struct changed {
    unsigned tree;
    uint64_t address; /* where it begins */
    unsigned shift;   /* log2 of its size */
    unsigned level;   /* of the old leaf; 0: leaves of any level */
    bool any_space;   /* it may have been cached for several ASIDs, and not as global */
};

static uint64_t random_asid(void)
{
    return CMD_ASID(FIRST_ASID + next_random() % SPACES);
}

/* By address, without a range: of a single leaf, by any address in it. */
static void invalidate_one(struct world *world, const struct changed *changed, uint64_t word0)
{
    uint64_t inside = next_random() & ((1ull << changed->shift) - 1);
    command(world->rig, word0, ((changed->address | inside) & ~0xfffull) | (next_random() & 1));
}

/* A range that ends where the changed thing ends, and starts there or some of its sizes before. */
static void invalidate_range(struct world *world, const struct changed *changed, uint64_t word0)
{
    unsigned granule = world->tree[changed->tree].tables.granule;
    uint64_t before = next_random() % 4;
    uint64_t first = changed->address - (before << changed->shift);
    if (changed->address << 8 >> 8 < before << changed->shift) {
        first = changed->address;
        before = 0;
    }
    uint64_t ttl = one_in(2) ? CMD_TTL(changed->level) : 0;
    unsigned size = changed->shift - granule, scale = size < 31 ? size : 31;
    uint64_t count = (before + 1) << (size - scale);
    count += ttl == 0 && scale == 0; /* one without a level is reserved */
    word0 |= CMD_NUM(count - 1) | CMD_SCALE(scale);
    command(world->rig, word0, first | CMD_TG(granule) | ttl | (next_random() & 1));
}

static void invalidate_everything(struct world *world)
{
    command(world->rig, one_in(2) ? CMD_TLBI_NH_ALL : CMD_TLBI_NSNH_ALL, 0);
}

static void invalidate(struct world *world, const struct changed *changed)
{
    bool own = changed->tree != UPPER;
    uint64_t asid = own ? CMD_ASID(FIRST_ASID + changed->tree) : random_asid();
    uint64_t any = CMD_TLBI_NH_VAA | random_asid();
    uint64_t by_address = changed->any_space || one_in(3) ? any : CMD_TLBI_NH_VA | asid;
    if (one_in(10)) {
        invalidate_everything(world);
    } else if (own && one_in(6)) {
        command(world->rig, CMD_TLBI_NH_ASID | asid, 0);
    } else if (changed->level && one_in(2)) {
        invalidate_one(world, changed, by_address);
    } else {
        invalidate_range(world, changed, by_address);
    }
    sync_commands(world->rig);
}

/* Commands that have nothing to do with it must not hide that one is missing, nor break anything.
 */
static void send_noise(struct world *world)
{
    if (one_in(4)) {
        command(world->rig, CMD_PREFETCH_ADDR | CMD_SID(SID), next_random() & ~0xfffull);
        command(world->rig, CMD_TLBI_NH_ASID | CMD_ASID(9), 0);
        command(world->rig, CMD_CFGI_STE | CMD_SID(SID + STREAMS), CMD_LEAF);
    }
}

/* ---- changes */

static bool memory_is_left(const struct world *world)
{
    return world->rig->next_table < RAM + RAM_SIZE - (1 << 20);
}

/* A leaf where there is a leaf, another one, or nothing. */
static void change_leaf(struct world *world, unsigned index, uint64_t offset, unsigned level)
{
    const struct tables *tables = &world->tree[index].tables;
    uint64_t at = make_way(world->rig, tables, offset, level);
    if (at == 0) { /* under a block */
        return;
    }
    uint64_t *word = word_at(world->rig, at), old = *word;
    bool is_table = level < 3 && (old & 3) == 3;
    unsigned shift = level_shift(tables, level);
    struct changed changed = {.tree = index,
                              .address = address_in(world, index, offset >> shift << shift),
                              .shift = shift,
                              .level = is_table ? 0 : level,
                              .any_space = index == UPPER && (is_table || (old & TTD_NG))};
    *word = is_table && !one_in(20) ? random_table(old)
                                    : random_descriptor(tables, level, index == UPPER, offset);
    invalidate(world, &changed);
}

/* A table that cannot be read, or whose address is too large; then it is back. */
static void lose_table(struct world *world, unsigned index, uint64_t offset,
                       void (*meanwhile)(struct world *))
{
    const struct tables *tables = &world->tree[index].tables;
    unsigned level = start_level(tables), shift = level_shift(tables, level);
    uint64_t *word = word_at(world->rig, descriptor_at(tables, tables->root, level, offset));
    if (level == 3 || (*word & 3) != 3) {
        return;
    }
    uint64_t old = *word;
    struct changed changed = {.tree = index,
                              .address = address_in(world, index, offset >> shift << shift),
                              .shift = shift,
                              .any_space = true};
    *word = (one_in(2) ? 1ull << 20 : 1ull << 46) | 3;
    invalidate(world, &changed);
    meanwhile(world);
    *word = old; /* what it hid was cached by nobody */
}

static void write_stream(struct world *world, unsigned index)
{
    const struct stream *stream = &world->stream[index];
    uint64_t cd = CD + stream->space * 0x40;
    const uint64_t words[STREAM_KINDS] = {STE_S1(cd), STE_BYPASS, STE_ABORT, STE_S1(cd) & ~STE_V};
    set_ste(world->rig, SID + index, words[stream->kind], stream->privileged ? STE1_PRIVCFG_P : 0);
}

/* One call of next_random() a statement: the order is the same with every compiler. */
static struct stream random_stream(enum stream_kind kind)
{
    unsigned space = next_random() % SPACES;
    bool privileged = one_in(3);
    return (struct stream){.kind = kind, .space = space, .privileged = privileged};
}

static void change_stream(struct world *world)
{
    unsigned index = next_random() % STREAMS;
    world->stream[index] =
        random_stream(one_in(3) ? next_random() % STREAM_KINDS : STREAM_TRANSLATES);
    write_stream(world, index);
    uint64_t sid = CMD_SID(SID + index);
    if (one_in(2)) {
        command(world->rig, CMD_CFGI_STE | sid, next_random() & 1);
    } else { /* a range of at least two, or all */
        command(world->rig, CMD_CFGI_STE_RANGE | sid, next_random() % 32);
    }
    sync_commands(world->rig);
}

static void write_cd(struct world *world, unsigned space)
{
    for (unsigned i = 0; i < 3; i++) {
        *word_at(world->rig, CD + space * 0x40 + i * 8) = world->cd[space][i];
    }
}

/* Whether faults are recorded: no translation depends on it. */
static void change_cd(struct world *world)
{
    unsigned space = next_random() % SPACES;
    world->cd[space][0] ^= CD_R;
    write_cd(world, space);
    for (unsigned i = 0; i < STREAMS; i++) { /* a CD is cached stream by stream */
        command(world->rig, (one_in(2) ? CMD_CFGI_CD : CMD_CFGI_CD_ALL) | CMD_SID(SID + i), 0);
    }
    sync_commands(world->rig);
}

/* ---- accesses */

static void assert_recorded(struct world *world, unsigned stream, uint64_t type, uint64_t detail,
                            uint64_t address, uint64_t fetch)
{
    world->outcomes[type]++;
    assert_event(world->rig, CMD_SID(SID + stream) | type, detail, address, fetch);
}

/*
 * A range, of which the first byte is translated as expected: each page that comes with it is
 * where it should be.
 */
static void compare_row(struct world *world, unsigned index, const struct reference_access *access)
{
    struct iommu_translation row[8];
    struct reference_access next = *access;
    const uint64_t *cd = world->cd[world->stream[index].space];
    uint64_t most = access->address << 8 ? -(access->address << 8) >> 8 : 1;
    uint64_t length = 1 + next_random() % 0x40000;
    length = length < most ? length : most;
    int count =
        access_row(world->rig, (uint16_t)(SID + index), access->address, length,
                   access->write ? DMA_TO_MEMORY : DMA_FROM_MEMORY, row, 1 + next_random() % 8);
    assert_true(count > 0 && count <= 8);
    for (int i = 0; i < count; i++) {
        for (uint64_t done = 0; done < row[i].length;) {
            struct reference_result page = reference_translate(&world->rig->ram, cd, &next);
            assert_int_equal(page.event, REFERENCE_OK);
            assert_int_equal(page.address, row[i].address.raw + done);
            next.address += page.length;
            done += page.length;
            world->pages_in_rows += done < row[i].length || i > 0;
            assert_true(done <= row[i].length);
        }
    }
}

static void compare_translated(struct world *world, unsigned index,
                               const struct reference_access *access, int ret)
{
    const struct stream *stream = &world->stream[index];
    const uint64_t *cd = world->cd[stream->space];
    struct reference_result expected = reference_translate(&world->rig->ram, cd, access);
    uint64_t detail = (access->write ? 0 : EVENT_RNW) | (access->privileged ? EVENT_PNU : 0);
    assert_int_equal(ret, expected.event == REFERENCE_OK ? 0 : -EFAULT);
    if (expected.event == REFERENCE_OK) {
        world->outcomes[0]++;
        assert_int_equal(translation.address.raw, expected.address);
        assert_int_equal(translation.length, expected.length);
        compare_row(world, index, access);
        assert_no_event(world->rig);
    } else if (expected.event == REFERENCE_EABT) {
        assert_recorded(world, index, expected.event, detail | EVENT_CLASS_TTD, access->address,
                        expected.fetch);
    } else if (cd[0] & CD_R) {
        assert_recorded(world, index, expected.event, detail | EVENT_CLASS_IN, access->address, 0);
    } else {
        assert_no_event(world->rig);
    }
}

static void compare_bypassed(struct world *world, unsigned index,
                             const struct reference_access *access, int ret)
{
    uint64_t detail = (access->write ? 0 : EVENT_RNW) | (access->privileged ? EVENT_PNU : 0);
    if (access->address >> 44) {
        assert_int_equal(ret, -EFAULT);
        assert_recorded(world, index, F_ADDR_SIZE, detail | EVENT_CLASS_IN, access->address, 0);
    } else {
        assert_int_equal(ret, 0);
        assert_int_equal(translation.address.raw, access->address);
    }
}

static void compare(struct world *world, unsigned index, const struct reference_access *access)
{
    enum dma_direction direction = access->write ? DMA_TO_MEMORY : DMA_FROM_MEMORY;
    int ret = access_sid(world->rig, (uint16_t)(SID + index), access->address, direction);
    switch (world->stream[index].kind) {
    case STREAM_TRANSLATES:
        compare_translated(world, index, access, ret);
        break;
    case STREAM_BYPASSES:
        compare_bypassed(world, index, access, ret);
        break;
    case STREAM_IS_BAD:
        assert_int_equal(ret, -EFAULT);
        assert_recorded(world, index, C_BAD_STE, 0, 0, 0);
        break;
    default:
        assert_int_equal(ret, -EFAULT);
        assert_no_event(world->rig);
        break;
    }
}

static uint64_t random_address(const struct world *world, unsigned stream)
{
    unsigned tree = one_in(3) ? UPPER : world->stream[stream].space;
    const struct tables *tables = &world->tree[tree].tables;
    uint64_t offset = random_offset(tables);
    offset += next_random() % (1ull << tables->granule);
    uint64_t address = address_in(world, tree, offset);
    if (one_in(10)) {
        address ^= next_random() << 56; /* TBI may ignore it */
    } else if (one_in(20)) {
        address ^= 1ull << (tables->bits + next_random() % (56 - tables->bits));
    }
    return address;
}

static void access_some(struct world *world)
{
    for (unsigned i = 0; i < ACCESSES; i++) {
        unsigned stream = next_random() % STREAMS;
        uint64_t address = random_address(world, stream);
        struct reference_access access = {
            .address = address, .write = one_in(2), .privileged = world->stream[stream].privileged};
        compare(world, stream, &access);
    }
}

/* ---- worlds */

static const uint8_t granules[] = {12, 14, 16};

static struct tree random_tree(struct rig *rig)
{
    unsigned granule = granules[next_random() % 3];
    unsigned bits = one_in(2) ? 48 : 25 + next_random() % 24;
    bool had = one_in(4);
    return (struct tree){.tables = new_tables(rig, granule, bits), .had = had};
}

/* Before anything is cached. */
static void plant(struct world *world, unsigned index)
{
    const struct tables *tables = &world->tree[index].tables;
    for (unsigned i = 0; i < 60; i++) {
        uint64_t offset = random_offset(tables);
        uint64_t at = make_way(world->rig, tables, offset, 3);
        *word_at(world->rig, at) = random_descriptor(tables, 3, index == UPPER, offset);
    }
}

/* What the spaces have in common: all that is cached with translations of the upper half. */
static uint64_t random_common(const struct tree *upper)
{
    uint64_t word = CD_V | CD_AA64 | CD_A | CD_R;
    word |= CD_TSZ(1, 64 - upper->tables.bits) | tg1(upper->tables.granule);
    word |= CD_IPS(next_random() % 8);
    word |= one_in(6) ? CD_EPD(1) : 0;
    word |= one_in(3) ? CD_TBI(1) : 0;
    word |= one_in(4) ? CD_PAN : 0;
    word |= one_in(4) ? CD_AFFD : 0;
    return word;
}

static void begin_space(struct world *world, unsigned space, uint64_t common)
{
    const struct tree *lower = &world->tree[space], *upper = &world->tree[UPPER];
    uint64_t word = common | CD_ASID(FIRST_ASID + space);
    word |= CD_TSZ(0, 64 - lower->tables.bits) | tg0(lower->tables.granule);
    word |= one_in(8) ? CD_EPD(0) : 0;
    word |= one_in(3) ? CD_TBI(0) : 0;
    world->cd[space][0] = word;
    world->cd[space][1] = lower->tables.root | (lower->had ? CD_HAD : 0);
    world->cd[space][2] = upper->tables.root | (upper->had ? CD_HAD : 0);
    write_cd(world, space);
}

static void begin_world(struct world *world)
{
    world->rig->next_table = TABLES;
    for (unsigned i = 0; i < TREES; i++) {
        world->tree[i] = random_tree(world->rig);
        plant(world, i);
    }
    uint64_t common = random_common(&world->tree[UPPER]);
    for (unsigned i = 0; i < SPACES; i++) {
        begin_space(world, i, common);
    }
    for (unsigned i = 0; i < STREAMS; i++) {
        world->stream[i] = random_stream(STREAM_TRANSLATES);
        write_stream(world, i);
    }
    invalidate_everything(world);
    forget_configuration(world->rig);
}

static void change_something(struct world *world)
{
    unsigned index = next_random() % TREES;
    const struct tables *tables = &world->tree[index].tables;
    uint64_t offset = random_offset(tables);
    unsigned level = one_in(3) ? 1 + next_random() % 2 : 3;
    if (one_in(12)) {
        change_stream(world);
    } else if (one_in(16)) {
        change_cd(world);
    } else if (one_in(10)) {
        lose_table(world, index, offset, access_some);
    } else if (level == 3 || is_block_level(tables, level)) {
        change_leaf(world, index, offset, level);
    }
}

static void random_tables_and_invalidations(void **state)
{
    struct world world = {.rig = *state};
    for (unsigned i = 0; i < scaled(WORLDS); i++) {
        begin_world(&world);
        for (unsigned j = 0; j < CHANGES && memory_is_left(&world); j++) {
            send_noise(&world);
            change_something(&world);
            access_some(&world);
        }
    }
    static const uint8_t met[] = {0,        C_BAD_STE,   F_WALK_EABT, F_TRANSLATION,
                                  F_ACCESS, F_ADDR_SIZE, F_PERMISSION};
    for (unsigned i = 0; i < sizeof(met); i++) { /* chance has made all that is compared */
        print_message("event 0x%02x: %u accesses\n", met[i], world.outcomes[met[i]]);
        assert_true(world.outcomes[met[i]] > scaled(WORLDS) / 2);
    }
    print_message("pages that came with others: %u\n", world.pages_in_rows);
    assert_true(world.pages_in_rows > scaled(WORLDS));
}

/* ---- many pages: more than the IOTLB may hold */

static void more_pages_than_are_cached(void **state)
{
    struct rig *rig = *state;
    struct tables tables = new_tables(rig, 12, 39);
    const unsigned pages = scaled(40000);
    use(rig, &tables);
    for (unsigned i = 0; i < pages; i++) {
        map(rig, &tables, (uint64_t)i << 12, (uint64_t)(i ^ 0x5555) << 12, 3, full);
    }
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < pages; i++) {
            assert_int_equal(access_at(rig, (uint64_t)i << 12 | 0x10, DMA_TO_MEMORY), 0);
            assert_int_equal(translation.address.raw, (uint64_t)(i ^ 0x5555) << 12 | 0x10);
        }
    }
    memset(guest_memory_range(&rig->ram, gpa(tables.root), 0x1000), 0, 0x1000);
    command(rig, CMD_TLBI_NH_VA | CMD_ASID(ASID) | CMD_NUM(9) | CMD_SCALE(12), CMD_TG(12));
    sync_commands(rig);
    set_reg(rig, SMMU_CR0, CR0_SMMUEN | CR0_CMDQEN); /* their events are of no interest */
    for (unsigned i = 0; i < pages; i++) {
        assert_int_equal(access_at(rig, (uint64_t)i << 12, DMA_TO_MEMORY), -EFAULT);
    }
}

/* ---- threads */

enum { THREAD_VA = 0x7000, VERSIONS = 20000, DEVICES = 2 };

struct shared {
    struct rig *rig;
    _Atomic uint64_t oldest; /* versions before this one are forgotten: CMD_SYNC says so */
    atomic_bool stop;
    atomic_uint stale;
    atomic_uint used;
};

/* What is in use now must not be older than what the guest was told is gone. */
static void use_once(struct shared *shared, struct iommu *iommu, unsigned round)
{
    struct iommu_translation found;
    unsigned phase = iommu_enter(iommu);
    if (iommu_translate(iommu, SID, iova(THREAD_VA), DMA_TO_MEMORY, &found) == 0) {
        if (round % 4 == 0) {
            sched_yield(); /* a long use */
        }
        bool stale = found.address.raw >> 12 < atomic_load(&shared->oldest);
        atomic_fetch_add(&shared->stale, stale);
        atomic_fetch_add(&shared->used, 1);
    }
    iommu_leave(iommu, phase);
}

static void *device_thread(void *opaque)
{
    struct shared *shared = opaque;
    for (unsigned round = 0; !atomic_load(&shared->stop); round++) {
        use_once(shared, smmuv3_iommu(shared->rig->smmu), round);
    }
    return NULL;
}

/* One of the commands that name the page. */
static void forget_page(struct rig *rig, unsigned how)
{
    const uint64_t mine = CMD_ASID(ASID);
    const uint64_t words[][2] = {
        {CMD_TLBI_NH_VA | mine, THREAD_VA | CMD_LEAF},
        {CMD_TLBI_NH_VAA, THREAD_VA},
        {CMD_TLBI_NH_ASID | mine, 0},
        {CMD_TLBI_NH_VA | mine | CMD_NUM(7), CMD_TG(12)},
        {CMD_TLBI_NH_ALL, 0},
    };
    how %= sizeof(words) / sizeof(words[0]);
    command(rig, words[how][0], words[how][1]);
}

/*
 * It is forgotten before the change too, so that walks are under way while it is made: what they
 * have read must not be cached after.
 */
static void run_versions(struct shared *shared, _Atomic uint64_t *word)
{
    const uint64_t leaf = full | TTD_VALID | TTD_TABLE;
    for (uint64_t version = 2; version < scaled(VERSIONS) || atomic_load(&shared->used) < 100;
         version++) {
        forget_page(shared->rig, 0);
        for (unsigned i = next_random() % 64; i > 0; i--) {
            atomic_load(&shared->stop); /* some time, never the same */
        }
        atomic_store(word, version << 12 | leaf);
        forget_page(shared->rig, (unsigned)version);
        command(shared->rig, CMD_SYNC, 0);
        atomic_store(&shared->oldest, version);
        /* no assertion while threads run: one that fails would free the rig under them */
        bool good = access_at(shared->rig, THREAD_VA, DMA_TO_MEMORY) == 0 &&
                    translation.address.raw >> 12 == version;
        atomic_fetch_add(&shared->stale, !good);
    }
}

static void nothing_old_is_used_after_a_sync(void **state)
{
    struct rig *rig = *state;
    struct tables tables = new_tables(rig, 12, 39);
    uint64_t at = map(rig, &tables, THREAD_VA, 1 << 12, 3, full);
    struct shared shared = {.rig = rig};
    pthread_t threads[DEVICES];
    use(rig, &tables);
    for (unsigned i = 0; i < DEVICES; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, device_thread, &shared), 0);
    }
    run_versions(&shared, (_Atomic uint64_t *)word_at(rig, at));
    atomic_store(&shared.stop, true);
    for (unsigned i = 0; i < DEVICES; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(shared.stale, 0);
    assert_int_equal(reg(rig, SMMU_CMDQ_CONS), rig->prod); /* each command was taken */
    assert_no_event(rig);
}

#define STARTED(test) cmocka_unit_test_setup_teardown(test, rig_setup_started, rig_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STARTED(random_tables_and_invalidations),
        STARTED(more_pages_than_are_cached),
        STARTED(nothing_old_is_used_after_a_sync),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

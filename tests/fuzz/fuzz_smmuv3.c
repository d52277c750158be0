/* SPDX-License-Identifier: MIT */
/* A guest that means harm and an SMMUv3: registers, commands, everything that it reads from RAM. */
#include "tests/fuzz/fuzz.h"
#include "tests/unit/smmuv3_fixture.h"

enum { STEPS_MAX = 300 };

static struct rig *rig;

static const uint32_t registers[] = {
    SMMU_CR0,         SMMU_CR1,         SMMU_CR2,         SMMU_GBPA,
    SMMU_IRQ_CTRL,    SMMU_GERRORN,     SMMU_STRTAB_BASE, SMMU_STRTAB_BASE_CFG,
    SMMU_CMDQ_BASE,   SMMU_CMDQ_PROD,   SMMU_CMDQ_CONS,   SMMU_EVENTQ_BASE,
    SMMU_EVENTQ_PROD, SMMU_EVENTQ_CONS,
};

/* Where things are in RAM, and around: few enough to point to each other. */
static uint64_t take_address(struct input *in)
{
    static const uint64_t places[] = {
        CMDQ,   EVENTQ,          STRTAB,           STRTAB + SID * 64,   CD,
        TABLES, TABLES + 0x1000, TABLES + 0x10000, RAM + RAM_SIZE - 64, RAM + RAM_SIZE,
        0,      1ull << 47};
    return places[take8(in) % (sizeof(places) / sizeof(places[0]))] + take16(in);
}

/* A word of a structure: flags in the input, and perhaps an address. */
static uint64_t take_word(struct input *in)
{
    switch (take8(in) & 3) {
    case 0:
        return take(in, 8);
    case 1:
        return (take_address(in) & ~0xfffull) | take16(in);
    case 2:
        return (take_address(in) & ~0x3full) | (take(in, 2) << 48) | take8(in);
    default:
        return take16(in);
    }
}

static void write_register(struct input *in)
{
    uint32_t offset = take16(in);
    offset = offset & 0x8000 ? registers[offset % (sizeof(registers) / sizeof(registers[0]))]
                             : (uint32_t)take(in, 3) % SMMUV3_SIZE;
    unsigned size = take8(in) & 1 ? 8 : 4;
    bus_write(&rig->cursor, BASE + offset, size, take_word(in));
}

static void write_register_while_off(struct input *in)
{
    uint32_t offset = registers[take8(in) % (sizeof(registers) / sizeof(registers[0]))];
    set_while_off(rig, offset, (uint32_t)take_word(in));
}

static void read_register(struct input *in)
{
    uint32_t offset = (uint32_t)take(in, 3) % SMMUV3_SIZE;
    bus_read(&rig->cursor, BASE + offset, take_width(in));
}

static void write_memory(struct input *in)
{
    uint64_t address = take_address(in) & ~7ull;
    uint64_t word = take_word(in);
    guest_memory_write(&rig->ram, gpa(address), &word, sizeof(word));
}

static void send_command(struct input *in)
{
    uint64_t word0 = take(in, 8);
    command(rig, word0, take_word(in));
}

static void access_memory(struct input *in)
{
    struct iommu_translation row[8];
    uint16_t sid = take8(in) & 1 ? take16(in) : SID;
    uint64_t address = take_word(in);
    uint8_t how = take8(in);
    enum dma_direction direction = how & 1 ? DMA_TO_MEMORY : DMA_FROM_MEMORY;
    if (how & 2) {
        int count = access_row(rig, sid, address, (uint64_t)take16(in) + 1, direction, row, 8);
        must(count <= 8);
    } else if (access_sid(rig, sid, address, direction) == 0) {
        must(translation.length > 0);
    }
}

/* Tables that translate, to be broken afterwards. */
static void build(struct input *in)
{
    static const uint8_t granules[] = {12, 14, 16};
    struct tables tables = {.granule = granules[take8(in) % 3], .root = TABLES};
    tables.bits = take8(in) & 63; /* 16 to 48 are legal, mostly */
    set_cd(rig, CD, cd_word(&tables, ASID), tables.root);
    set_ste(rig, SID, STE_S1(CD), 0);
    *word_at(rig, TABLES) = (TABLES + 0x10000) | TTD_VALID | TTD_TABLE;
    *word_at(rig, TABLES + 0x10000) = RAM | TTD_VALID | TTD_AF | TTD_USER | TTD_NG;
    command(rig, CMD_TLBI_NH_ALL, 0);
    command(rig, CMD_CFGI_STE_RANGE, CMD_RANGE_ALL);
}

static void reset(struct input *in)
{
    if (take8(in) % 8 == 0) {
        smmuv3_reset(rig->smmu);
        rig->prod = rig->cons = 0;
        start(rig);
    }
}

static const step steps[] = {
    write_register, read_register, write_memory,  write_memory,
    send_command,   send_command,  access_memory, access_memory,
    access_memory,  build,         reset,         write_register_while_off,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {.data = data, .left = size};
    void *state = NULL;
    rig_setup_started(&state);
    rig = state;
    run_steps(&in, steps, sizeof(steps) / sizeof(steps[0]), STEPS_MAX);
    rig_teardown(&state);
    return 0;
}

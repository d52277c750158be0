/* SPDX-License-Identifier: MIT */
/* See vmm/gdb_registers.h. */
#include "vmm/gdb_registers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct gdb_register *find(int number)
{
    unsigned left = (unsigned)number;
    for (const struct gdb_feature *feature = gdb_arch_features; feature->name; feature++) {
        if (left < feature->count) {
            return &feature->registers[left];
        }
        left -= feature->count;
    }
    return NULL;
}

static size_t wire_size(const struct gdb_register *reg)
{
    return reg->bits / 8;
}

static int pack_one(const struct gdb_arch_state *state, const struct gdb_register *reg,
                    uint8_t *bytes, size_t size)
{
    if (reg == NULL || wire_size(reg) > size) {
        return -EINVAL;
    }
    memset(bytes, 0, wire_size(reg));
    memcpy(bytes, (const uint8_t *)state + reg->offset, reg->held);
    return (int)wire_size(reg);
}

int gdb_registers_pack(const struct gdb_arch_state *state, int number, void *bytes, size_t size)
{
    uint8_t *to = bytes;
    size_t used = 0;
    if (number >= 0) {
        return pack_one(state, find(number), to, size);
    }
    const struct gdb_register *reg;
    for (int i = 0; (reg = find(i)) != NULL; i++) {
        int length = pack_one(state, reg, to + used, size - used);
        if (length < 0) {
            return length;
        }
        used += (size_t)length;
    }
    return (int)used;
}

static void unpack_one(struct gdb_arch_state *state, const struct gdb_register *reg,
                       const uint8_t *bytes)
{
    memcpy((uint8_t *)state + reg->offset, bytes, reg->held);
}

int gdb_registers_unpack(struct gdb_arch_state *state, int number, const void *bytes, size_t size)
{
    const uint8_t *from = bytes;
    const struct gdb_register *reg = number >= 0 ? find(number) : NULL;
    if (number >= 0) {
        if (reg == NULL || wire_size(reg) != size) {
            return -EINVAL;
        }
        unpack_one(state, reg, from);
        return 0;
    }
    for (int i = 0; size > 0; i++) {
        reg = find(i);
        if (reg == NULL || wire_size(reg) > size) {
            return -EINVAL;
        }
        unpack_one(state, reg, from);
        from += wire_size(reg);
        size -= wire_size(reg);
    }
    return 0;
}

char *gdb_registers_describe(void)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL) {
        return NULL;
    }
    fprintf(out,
            "<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\">"
            "<target version=\"1.0\"><architecture>%s</architecture>",
            gdb_arch_name);
    for (const struct gdb_feature *feature = gdb_arch_features; feature->name; feature++) {
        fprintf(out, "<feature name=\"%s\">%s", feature->name, feature->types);
        for (unsigned i = 0; i < feature->count; i++) {
            const struct gdb_register *reg = &feature->registers[i];
            fprintf(out, "<reg name=\"%s\" bitsize=\"%u\" type=\"%s\"/>", reg->name, reg->bits,
                    reg->type);
        }
        fprintf(out, "</feature>");
    }
    fprintf(out, "</target>");
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

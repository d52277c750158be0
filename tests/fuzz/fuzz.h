/* SPDX-License-Identifier: MIT */
/*
 * What the fuzz targets share: reading the input as a program of steps. Behind its end all is 0, so
 * that any prefix of an input is one, too.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* libFuzzer calls these. */
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const uint8_t *data;
    size_t left;
};

/* `bytes` of the input, little-endian. */
static inline uint64_t take(struct input *input, size_t bytes)
{
    uint64_t value = 0;
    size_t there = bytes < input->left ? bytes : input->left;
    memcpy(&value, input->data, there);
    input->data += there;
    input->left -= there;
    return value;
}

static inline uint8_t take8(struct input *input)
{
    return (uint8_t)take(input, 1);
}

static inline uint16_t take16(struct input *input)
{
    return (uint16_t)take(input, 2);
}

/* 1, 2, 4 or 8. */
static inline unsigned take_width(struct input *input)
{
    return 1u << (take8(input) & 3);
}

/* What must hold whatever the input is: libFuzzer keeps the input of a program that aborts. */
#define must(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: must be: %s\n", __FILE__, __LINE__, #condition);               \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* An error has exactly one line. */
static inline void must_be_one_line(const char *text)
{
    must(text[0] != '\0' && !strchr(text, '\n'));
}

/* One thing that a guest does; it takes from the input how. */
typedef void (*step)(struct input *input);

/* The input says which of `steps` come, until it ends or there were `most`. */
static inline void run_steps(struct input *input, const step *steps, size_t count, unsigned most)
{
    for (unsigned i = 0; i < most && input->left; i++) {
        steps[take8(input) % count](input);
    }
}

#endif

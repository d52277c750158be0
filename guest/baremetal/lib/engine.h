/* SPDX-License-Identifier: MIT */
/* The DMA engine as a guest uses it: docs/dma-engine.md has its registers. */
#ifndef BAREMETAL_ENGINE_H
#define BAREMETAL_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

enum {
    ENGINE_VENDOR = 0x1234,
    ENGINE_DEVICE = 0x3456,
    ENGINE_BAR_SIZE = 0x4000,

    ENGINE_SRC = 0x1000,
    ENGINE_DST = 0x1008,
    ENGINE_LEN = 0x1014,
    ENGINE_CTRL = 0x1018,
    ENGINE_STATUS = 0x101c,
    ENGINE_DONE = 1 << 0, /* of STATUS */
    ENGINE_ERROR = 1 << 1,
    ENGINE_BUSY = 1 << 2,
    ENGINE_ERROR_CODE = 0x1020,
    ENGINE_BUSY_COUNT = 0x1024,
    ENGINE_FAULT_ADDRESS = 0x1028,
    ENGINE_INTX_ENABLE = 0x1030,
    ENGINE_PENDING = 0x1038,
    ENGINE_VERSION = 0x1040,
    ENGINE_INLINE_MAX = 0x1044,
};

enum engine_error {
    ENGINE_ERROR_NONE,
    ENGINE_ERROR_BUS_MASTER,
    ENGINE_ERROR_TRANSLATION,
    ENGINE_ERROR_NO_MEMORY,
    ENGINE_ERROR_LENGTH,
};

struct engine {
    unsigned bdf;
    uint64_t base; /* of BAR0 */
};

/*
 * The nth engine on `bus`, its BAR placed the first time and decoded, bus mastering on, MSI off.
 * False, and the running test skipped, if there is none.
 */
bool engine_open(struct engine *engine, unsigned bus, unsigned nth);

/* Place BAR0 (anew, after a reset) and enable decoding and bus mastering. */
void engine_enable(struct engine *engine);

/* Program a copy and start it. */
void engine_start(const struct engine *engine, uint64_t src, uint64_t dst, uint32_t length);

/* Poll until it is no longer running (some seconds at most): the status word. */
uint32_t engine_wait(const struct engine *engine);

/* Both. */
uint32_t engine_copy(const struct engine *engine, const void *src, void *dst, uint32_t length);

#endif

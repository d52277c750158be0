/* SPDX-License-Identifier: MIT */
/* The DMA engine as a guest uses it: docs/dma-engine.md describes it. */
#ifndef BAREMETAL_ENGINE_H
#define BAREMETAL_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "devices/dma_engine_regs.h"

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

/* Poll until it is no longer running (20 seconds at most): the status word. */
uint32_t engine_wait(const struct engine *engine);

/* Both. */
uint32_t engine_copy(const struct engine *engine, const void *src, void *dst, uint32_t length);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * See vmm/copy.h. An ordinary store first reads the line that it is about to overwrite; a
 * non-temporal one (Intel SDM volume 1, 10.4.6.2) does not, which saves a third of the memory
 * traffic of a copy. glibc's memcpy() does this too, but only for copies so large (three quarters
 * of the shared cache, hundreds of MiB on a big server) that the pieces a device copies never
 * qualify.
 */
#include "vmm/copy.h"

#include <emmintrin.h>
#include <stdint.h>
#include <string.h>

enum { CACHE_LINE = 64, VECTORS = CACHE_LINE / sizeof(__m128i) };

static void stream_line(__m128i *to, const __m128i *from)
{
    for (int i = 0; i < VECTORS; i++) {
        _mm_stream_si128(to + i, _mm_loadu_si128(from + i));
    }
}

void copy_streaming(void *restrict destination, const void *restrict source, size_t length)
{
    uint8_t *to = destination;
    const uint8_t *from = source;
    size_t head = -(uintptr_t)to % CACHE_LINE; /* streaming stores must be aligned */
    if (head > length) {
        head = length;
    }
    memcpy(to, from, head);
    size_t body = (length - head) / CACHE_LINE * CACHE_LINE;
    for (size_t done = 0; done < body; done += CACHE_LINE) {
        stream_line((__m128i *)(to + head + done), (const __m128i *)(from + head + done));
    }
    memcpy(to + head + body, from + head + body, length - head - body);
}

/*
 * Streaming stores are weakly ordered, unlike all other stores on x86: without this fence a "done"
 * that is written next could be seen before the data.
 */
void copy_streaming_end(void)
{
    _mm_sfence();
}

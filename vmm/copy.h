/* SPDX-License-Identifier: MIT */
/*
 * Copying memory that is far larger than the caches. Each architecture brings its own
 * (vmm/x86/copy.c, vmm/arm64/copy.c).
 */
#ifndef VMM_COPY_H
#define VMM_COPY_H

#include <stddef.h>

/*
 * As memcpy(), but without reading the destination into the cache first and without leaving it
 * there: worth it where source and destination together do not fit into the cache anyway, and a
 * loss where they do. Other threads may see the stores after later ones of this thread, until it
 * calls copy_streaming_end(): that waits for the stores, so once after many pieces is enough.
 */
void copy_streaming(void *restrict destination, const void *restrict source, size_t length);
void copy_streaming_end(void);

#endif

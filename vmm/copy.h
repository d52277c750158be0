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
 * loss where they do. On return the stores are ordered before every later store of this thread.
 */
void copy_streaming(void *restrict destination, const void *restrict source, size_t length);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * See vmm/copy.h. An Arm core notices a long run of stores by itself and stops reading the lines
 * that it overwrites in full ("write streaming" in the cores' manuals), so memcpy() is as good
 * here.
 */
#include "vmm/copy.h"

#include <stdatomic.h>
#include <string.h>

void copy_streaming(void *restrict destination, const void *restrict source, size_t length)
{
    memcpy(destination, source, length);
}

void copy_streaming_end(void)
{
    atomic_thread_fence(memory_order_release);
}

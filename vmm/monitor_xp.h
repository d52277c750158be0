/* SPDX-License-Identifier: MIT */
/* Guest memory as numbers: the monitor's `xp`, with the formats of gdb's and QEMU's. */
#ifndef VMM_MONITOR_XP_H
#define VMM_MONITOR_XP_H

#include <stdint.h>
#include <stdio.h>

#include "vmm/error.h"
#include "vmm/guest_memory.h"

enum { MONITOR_XP_MOST = 65536 }; /* items */

struct monitor_format {
    unsigned count;
    char letter;   /* x, d, u, o or c */
    unsigned size; /* bytes of an item: 1, 2, 4, 8 */
};

/*
 * "/8xw": count, letter and size, each of which may be missing (1, x, w; of characters b). -EINVAL,
 * -ERANGE for a count that is 0 or more than MONITOR_XP_MOST.
 */
int monitor_parse_format(const char *text, struct monitor_format *format, struct error *err);

/* Print that much from the guest physical address. -EFAULT: it is not all RAM; what is, is printed.
 */
int monitor_print_memory(const struct guest_memory *memory, uint64_t address,
                         const struct monitor_format *format, FILE *out, struct error *err);

#endif

/* SPDX-License-Identifier: MIT */
/* The tables of vmm/gdb_arch.h: registers on the wire, and their description. */
#ifndef VMM_GDB_REGISTERS_H
#define VMM_GDB_REGISTERS_H

#include <stddef.h>

#include "vmm/gdb_arch.h"

/* Copy one register, or all if `number` is -1, out of the state. Bytes, or -EINVAL. */
int gdb_registers_pack(const struct gdb_arch_state *state, int number, void *bytes, size_t size);

/* The opposite. Fewer bytes than there are registers leave the rest. 0 or -EINVAL. */
int gdb_registers_unpack(struct gdb_arch_state *state, int number, const void *bytes, size_t size);

/* target.xml, allocated. NULL if there is no memory. */
char *gdb_registers_describe(void);

#endif

/* SPDX-License-Identifier: MIT */
/* --dump-machine: the machine as it was built, drawn into a file. */
#ifndef VMM_DUMP_MACHINE_H
#define VMM_DUMP_MACHINE_H

#include "vmm/machine.h"

/* Which form the name asks for; -EINVAL if it is none, and the text says which there are. */
enum dump_form { DUMP_TEXT, DUMP_JSON, DUMP_DOT };
int dump_machine_form(const char *path, enum dump_form *form, struct error *err);

/* In this form into the file, or to stdout if it is "-". Main thread. Negative errno. */
int dump_machine(struct machine *machine, const char *path, enum dump_form form, struct error *err);

#endif

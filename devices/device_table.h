/* SPDX-License-Identifier: MIT */
/* Every device that --device knows, in one visible table: devices/device_table.c. */
#ifndef DEVICES_DEVICE_TABLE_H
#define DEVICES_DEVICE_TABLE_H

#include <stdio.h>

#include "pci/pci_device.h"

/* Ends with NULL. */
extern const struct pci_device_type *const device_table[];

/* The type with this name; NULL: there is none. */
const struct pci_device_type *device_table_find(const char *name);

/* What `--device help` prints: a line for each device. */
void device_table_print(FILE *out);

/* What `--device NAME,help` prints: the device's own properties, and those that all devices have.
 */
void device_type_print_help(const struct pci_device_type *type, FILE *out);

#endif

/* SPDX-License-Identifier: MIT */
#include "devices/device_table.h"

#include <string.h>

#include "devices/dma_engine.h"
#include "devices/pci_testdev.h"
#include "devices/pcie_ports.h"
#include "devices/virtio/virtio_blk.h"
#include "devices/virtio/virtio_console.h"
#include "devices/virtio/virtio_net.h"
#include "devices/virtio/virtio_rng.h"
#include "devices/virtio/virtio_test.h"
#include "pci/pci_host.h"

#ifdef MINIVMM_EXAMPLES /* only in the program minivmm-examples */
#include "examples/adder.h"
#include "examples/virtio_upper.h"
#endif

/* A device of your own: write devices/NAME.c, and add its type here. */
const struct pci_device_type *const device_table[] = {
    &dma_engine_type,
    &pci_testdev_type,
    &root_port_type,
    &switch_upstream_type,
    &switch_downstream_type,
    &virtio_test_type,
    &virtio_rng_type,
    &virtio_console_type,
    &virtio_blk_type,
    &virtio_net_type,
#ifdef MINIVMM_EXAMPLES
    &adder_type,
    &virtio_upper_type,
#endif
    NULL,
};

const struct pci_device_type *device_table_find(const char *name)
{
    for (const struct pci_device_type *const *type = device_table; *type; type++) {
        if (strcmp((*type)->name, name) == 0) {
            return *type;
        }
    }
    return NULL;
}

void device_table_print(FILE *out)
{
    for (const struct pci_device_type *const *type = device_table; *type; type++) {
        fprintf(out, "  %-20s %s\n", (*type)->name, (*type)->summary);
    }
    fprintf(out, "--dump-machine - shows the tree that the devices of a command line make.\n");
}

void device_type_print_help(const struct pci_device_type *type, FILE *out)
{
    fprintf(out, "%s: %s\n", type->name, type->summary);
    if (type->properties && type->properties->name) {
        fprintf(out, "Its properties:\n");
        property_print_help(type->properties, out);
    }
    fprintf(out, "Properties of every device:\n");
    property_print_help(pci_common_properties, out);
}

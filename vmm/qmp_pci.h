/* SPDX-License-Identifier: MIT */
/* PCI as QMP shows it. */
#ifndef VMM_QMP_PCI_H
#define VMM_QMP_PCI_H

#include <jansson.h>

#include "pci/pci_host.h"

/* What `query-pci` returns: QAPI's [PciInfo], buses within the bridges that lead to them. */
json_t *qmp_query_pci(struct pci_host *host);

#endif

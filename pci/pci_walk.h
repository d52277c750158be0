/* SPDX-License-Identifier: MIT */
/* What there is on PCI and how it is set up now, for whoever shows it: `--dump-machine`, `info
 * pci`. */
#ifndef PCI_PCI_WALK_H
#define PCI_PCI_WALK_H

#include "pci/pci_host.h"

/* A BAR; kind PCI_BAR_NONE: there is none, or it is the upper half of the one before. */
struct pci_bar_info {
    enum pci_bar_kind kind;
    uint64_t size;
    bool mapped;      /* it is decoded now, at: */
    uint64_t address; /* on the machine's bus */
};

/* A function as it is at one moment. */
struct pci_function_info {
    struct pci_device *device;
    const struct pci_device *parent; /* the bridge it is behind; NULL: on the root bus */
    unsigned depth;                  /* bridges above it */
    char address[48]; /* "00:04.0"; behind a bridge without a bus number "rp0:00.0" */
    uint16_t vendor_id, device_id;
    uint32_t class_code; /* 24 bits */
    struct pci_bar_info bars[PCI_BAR_COUNT];
    unsigned pin;  /* of INTx: 1 (A) to 4 (D); 0: it has none */
    unsigned wire; /* of the root bus that the pin ends at, through all bridges */
    uint32_t gsi;  /* which that is in the machine */
    unsigned msi_vectors, msix_vectors; /* 0: it has not that capability */
    unsigned secondary, subordinate;    /* buses of a bridge; 0: no number yet */
};

/*
 * Call `visit` for every function, a bridge before what is behind it, by slots. The set of
 * functions must not change meanwhile; registers may, and each function is consistent in itself.
 * Takes map_lock for a moment a function, not while it calls. Main thread.
 */
void pci_walk(struct pci_host *host,
              void (*visit)(void *opaque, const struct pci_function_info *function), void *opaque);

/* A vector of MSI or MSI-X whose message KVM has. */
struct pci_vector_info {
    bool msix;
    unsigned vector;
    uint32_t gsi;
    struct msi_message message;
};

/* Call `visit` for each vector of the function that is routed. Takes device->lock throughout. */
void pci_walk_vectors(struct pci_device *device,
                      void (*visit)(void *opaque, const struct pci_vector_info *vector),
                      void *opaque);

/* "64-bit memory, prefetchable" */
const char *pci_bar_kind_name(enum pci_bar_kind kind);

#endif

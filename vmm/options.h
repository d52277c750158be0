/* SPDX-License-Identifier: MIT */
/*
 * The command line. One table of options drives parsing, --help and what the documentation is
 * checked against. Parsing opens no file and touches no KVM.
 */
#ifndef VMM_OPTIONS_H
#define VMM_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "vmm/error.h"
#include "vmm/property.h"

/*
 * --device NAME[,key=value...], in the order of the command line, or all --machine key=value[,...]
 * together. A comma in a value is written twice. A key stands at most once.
 */
struct device_option {
    const char *option; /* "--device", for error texts */
    const char *text;   /* as it was typed, for error texts; NULL: the option was not given */
    const char *name;   /* NULL for --machine */
    struct property_value *values;
    size_t count;
};

enum options_action {
    OPTIONS_RUN,
    OPTIONS_HELP,         /* --help */
    OPTIONS_VERSION,      /* --version */
    OPTIONS_DEVICE_HELP,  /* --device help, or --device NAME,help: help_device */
    OPTIONS_MACHINE_HELP, /* --machine help */
    OPTIONS_TRACE_HELP,   /* --trace help */
};

struct options {
    enum options_action action;
    const char *help_device; /* NULL: all devices */
    const char *kernel;
    const char *initrd;
    const char *append; /* several are joined by a space; NULL: none given */
    uint64_t memory;    /* bytes, a multiple of 1 MiB */
    unsigned smp;
    bool hugetlb;
    bool no_reboot;
    const char *trace; /* globs; several are joined by a comma */
    const char *trace_file;
    const char *trace_format; /* "text" or "json"; NULL: as the file's name says */
    bool trace_json;          /* what follows from the two */
    bool stats;
    const char *dump_machine; /* file to draw the machine into, instead of running; NULL: run */
    const char *dump_dtb;     /* file to write the device tree to, instead of running; NULL: run */
    const char *iommu;        /* its kind, "auto" for the machine's own; NULL: none */
    const char *gdb;          /* where gdb may attach; NULL: nowhere */
    const char *monitor;      /* where the monitor listens; NULL: nowhere */
    const char *qmp;          /* where QMP does; NULL: nowhere */
    bool stopped;             /* vCPUs wait for gdb, or for `cont` */
    struct device_option machine;
    struct device_option *devices;
    size_t device_count;
    char **strings; /* copies that the pointers above may point into, otherwise into argv */
    size_t string_count;
};

enum { OPTIONS_MAX_VCPUS = 256 };

/*
 * Parse argv into `options`, which is overwritten. argv[0] is skipped; the strings must outlive
 * `options`. An option that asks for help or the version ends parsing: what follows is not looked
 * at and --kernel may be missing. Of an option with one value that is given twice the last wins.
 * -EINVAL, -ERANGE or -ENOMEM with one line that names the option and the reason. Call
 * options_destroy() in any case.
 */
int options_parse(struct options *options, int argc, char **argv, struct error *err);
void options_destroy(struct options *options);

/*
 * Parse one device, written as --device has it, for who adds it later; `option` ("device_add")
 * starts error texts. On success `device->values` and `*strings`, which name, keys and values point
 * into, are the caller's to free. -EINVAL, -ENOMEM.
 */
int device_option_parse(struct device_option *device, const char *option, const char *text,
                        char **strings, struct error *err);

/* What --help prints. */
void options_print_help(FILE *out);

#endif

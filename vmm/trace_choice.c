/* SPDX-License-Identifier: MIT */
/*
 * Which events are on: of all devices, of some, or only watched by somebody who wants no lines.
 *
 * An event has a base state and a list of exceptions by device, of which the last that matches
 * counts; a pattern without a device sets the base state and forgets the exceptions. trace_on[],
 * which is all that the code that traces looks at, is on if any device's lines could be wanted;
 * trace_wants() decides in the slow path.
 */
#include <errno.h>
#include <fnmatch.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/bus.h"
#include "vmm/trace_internal.h"

bool trace_on[TRACE_COUNT];

enum { PATTERN_MAX = 128 };

struct exception {
    struct exception *next;
    bool on;
    bool known; /* there is such a device, or it has been said that there is none */
    char device[PATTERN_MAX];
};

static struct choice {
    atomic_bool on;                         /* for devices without an exception */
    unsigned watchers;                      /* trace_watch() */
    _Atomic(struct exception *) exceptions; /* oldest first */
} choices[TRACE_COUNT];

static struct trace_device *devices;

/* Guards all of the above against writers; a leaf. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* ---- which events name a device */

/* The parameters of an event as text: "(const char *device, unsigned vq)". */
static const char *const event_parameters[TRACE_COUNT] = {
#define TRACE_PARAMETERS(name, format, parameters, ...) #parameters,
    TRACE_EVENTS(TRACE_PARAMETERS)
#undef TRACE_PARAMETERS
#define TRACE_SPAN_PARAMETERS(name) "(const char *device)",
        TRACE_SPANS(TRACE_SPAN_PARAMETERS)
#undef TRACE_SPAN_PARAMETERS
};

static bool starts_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

bool trace_names_device(enum trace_id id)
{
    const char *parameters = event_parameters[id];
    return starts_with(parameters, "(const char *device") ||
           starts_with(parameters, "(const char *region") ||
           starts_with(parameters, "(const char *name");
}

/* An exit to a device's region names it, though its line of text does not. */
static bool can_name_device(enum trace_id id)
{
    return trace_names_device(id) || id == TRACE_ID_vcpu_exit;
}

/* ---- which device is meant */

void trace_add_device(struct trace_device *device)
{
    pthread_mutex_lock(&lock);
    device->next = devices;
    devices = device;
    pthread_mutex_unlock(&lock);
}

void trace_remove_device(struct trace_device *device)
{
    pthread_mutex_lock(&lock);
    for (struct trace_device **link = &devices; *link; link = &(*link)->next) {
        if (*link == device) {
            *link = device->next;
            break;
        }
    }
    pthread_mutex_unlock(&lock);
}

/* Lock held. `name` is a device's, without what follows it in a region's. */
static bool matches_name(const char *pattern, const char *name)
{
    if (fnmatch(pattern, name, 0) == 0) {
        return true;
    }
    for (const struct trace_device *d = devices; d; d = d->next) {
        if (strcmp(d->name, name) == 0) {
            return fnmatch(pattern, d->type, 0) == 0 || fnmatch(pattern, d->place, 0) == 0;
        }
    }
    return false;
}

/* "dma0" is meant by "dma0", "dma-engine", "00:04.0" and a region "dma0 bar0". Lock held. */
static bool matches_device(const char *pattern, const char *device)
{
    char name[PATTERN_MAX];
    size_t length = bus_device_name_length(device);
    bool is_bar = device[length] != '\0';
    snprintf(name, sizeof(name), "%.*s", (int)length, device);
    return matches_name(pattern, name) || (is_bar && fnmatch(pattern, device, 0) == 0);
}

/* Call `visit` for every exception until it says true. Lock held. */
static struct exception *find_exception(bool (*visit)(struct exception *e, const char *name),
                                        const char *name)
{
    for (unsigned id = 0; id < TRACE_COUNT; id++) {
        for (struct exception *e = atomic_load(&choices[id].exceptions); e; e = e->next) {
            if (visit(e, name)) {
                return e;
            }
        }
    }
    return NULL;
}

static bool note(struct exception *e, const char *region)
{
    e->known |= matches_device(e->device, region);
    return false;
}

void trace_note_region(const char *region)
{
    pthread_mutex_lock(&lock);
    (void)find_exception(note, region);
    pthread_mutex_unlock(&lock);
}

/* A pattern of a BAR can mean one that has no address yet. */
static bool is_unknown(struct exception *e, const char *name)
{
    char pattern[PATTERN_MAX];
    (void)name;
    snprintf(pattern, sizeof(pattern), "%.*s", (int)bus_device_name_length(e->device), e->device);
    for (const struct trace_device *d = devices; d && !e->known; d = d->next) {
        e->known = matches_name(pattern, d->name);
    }
    return !e->known;
}

static bool is_of_device(struct exception *e, const char *device)
{
    e->known |= strcmp(e->device, device) == 0;
    return false;
}

const char *trace_next_unknown_device(void)
{
    pthread_mutex_lock(&lock);
    struct exception *e = find_exception(is_unknown, NULL);
    if (e) {
        (void)find_exception(is_of_device, e->device); /* said once, not once an event */
    }
    pthread_mutex_unlock(&lock);
    return e ? e->device : NULL;
}

bool trace_wants(enum trace_id id, const char *device)
{
    struct choice *choice = &choices[id];
    if (!atomic_load(&choice->exceptions)) {
        return atomic_load(&choice->on);
    }
    pthread_mutex_lock(&lock);
    bool wanted = atomic_load(&choice->on);
    for (const struct exception *e = atomic_load(&choice->exceptions); e; e = e->next) {
        if (device && matches_device(e->device, device)) {
            wanted = e->on;
        }
    }
    pthread_mutex_unlock(&lock);
    return wanted;
}

/* ---- changes; lock held */

static void update_on(enum trace_id id)
{
    const struct choice *choice = &choices[id];
    bool on = atomic_load(&choice->on) || choice->watchers > 0;
    for (const struct exception *e = atomic_load(&choice->exceptions); e; e = e->next) {
        on |= e->on;
    }
    __atomic_store_n(&trace_on[id], on, __ATOMIC_RELAXED);
}

static void choose_for_all(struct choice *choice, bool on)
{
    struct exception *e = atomic_exchange(&choice->exceptions, NULL);
    while (e) {
        struct exception *next = e->next;
        free(e);
        e = next;
    }
    atomic_store(&choice->on, on);
}

/* The exception for this pattern becomes the last one. */
static int choose_for_device(struct choice *choice, const char *device, bool on)
{
    struct exception *list = atomic_load(&choice->exceptions);
    struct exception **link = &list;
    while (*link && strcmp((*link)->device, device) != 0) {
        link = &(*link)->next;
    }
    struct exception *e = *link;
    if (e) {
        *link = e->next;
    } else {
        e = calloc(1, sizeof(*e));
    }
    if (!e) {
        return -ENOMEM;
    }
    snprintf(e->device, sizeof(e->device), "%s", device);
    e->on = on;
    e->next = NULL;
    while (*link) {
        link = &(*link)->next;
    }
    *link = e;
    atomic_store(&choice->exceptions, list);
    return 0;
}

/* How many events match: with `device` those that name one. Negative errno. */
static int choose(const char *glob, const char *device, bool on)
{
    int found = 0;
    for (unsigned id = 0; id < TRACE_COUNT; id++) {
        if (fnmatch(glob, trace_event_names[id], 0) != 0 || (device && !can_name_device(id))) {
            continue;
        }
        found++;
        if (!device) {
            choose_for_all(&choices[id], on);
        } else if (choose_for_device(&choices[id], device, on) < 0) {
            return -ENOMEM;
        }
        update_on(id);
    }
    return found;
}

/* ---- patterns */

static int choose_pattern(char *pattern, bool on, struct error *err)
{
    char *device = strchr(pattern, '@');
    if (device) {
        *device++ = '\0';
    }
    if (device && !*device) {
        return error_set(err, -EINVAL, "--trace: '%s@' names no device", pattern);
    }
    pthread_mutex_lock(&lock);
    int found = choose(pattern, device, on);
    pthread_mutex_unlock(&lock);
    if (found < 0) {
        return error_set(err, found, "--trace: no memory");
    }
    if (found == 0) {
        return error_set(err, -ENOENT, "--trace: no event matches '%s'%s (--trace help lists them)",
                         pattern, device ? " and names a device" : "");
    }
    return 0;
}

/* One pattern of the list; a minus sign in front turns its meaning round. */
static int apply_pattern(const char *pattern, size_t length, bool on, struct error *err)
{
    char copy[PATTERN_MAX];
    if (length > 0 && pattern[0] == '-') {
        pattern++;
        length--;
        on = !on;
    }
    if (length == 0 || length >= sizeof(copy)) {
        return error_set(err, -EINVAL, "--trace: '%.*s' is not a pattern of event names",
                         (int)length, pattern);
    }
    memcpy(copy, pattern, length);
    copy[length] = '\0';
    return choose_pattern(copy, on, err);
}

int trace_enable(const char *globs, bool on, struct error *err)
{
    for (;;) {
        size_t length = strcspn(globs, ",");
        int rc = apply_pattern(globs, length, on, err);
        if (rc < 0 || globs[length] == '\0') {
            return rc;
        }
        globs += length + 1;
    }
}

void trace_watch(enum trace_id id, bool watched)
{
    pthread_mutex_lock(&lock);
    choices[id].watchers += watched ? 1 : -1u;
    update_on(id);
    pthread_mutex_unlock(&lock);
}

/* ---- the list */

static const char *describe(const struct choice *choice)
{
    if (atomic_load(&choice->exceptions)) {
        return atomic_load(&choice->on) ? "on but" : "off but";
    }
    return atomic_load(&choice->on) ? "on" : "off";
}

void trace_list(FILE *out)
{
    pthread_mutex_lock(&lock);
    for (unsigned id = 0; id < TRACE_COUNT; id++) {
        const struct choice *choice = &choices[id];
        fprintf(out, "%-28s %s", trace_event_names[id], describe(choice));
        for (const struct exception *e = atomic_load(&choice->exceptions); e; e = e->next) {
            fprintf(out, " %s@%s", e->on ? "" : "-", e->device);
        }
        fputs(id >= TRACE_EVENT_COUNT ? " (in --trace-format json)\n" : "\n", out);
    }
    pthread_mutex_unlock(&lock);
}

void trace_print_syntax(FILE *out)
{
    fputs("\n"
          "--trace GLOB[,GLOB...] turns on the events whose names match, from left to\n"
          "right; -GLOB turns them off. GLOB@DEVICE and -GLOB@DEVICE do so for one device:\n"
          "an id= (disk0), a type (dma-engine), a PCI function of the root bus (00:04.0),\n"
          "a platform device (serial), a BAR (disk0 bar4), or a pattern of one of these:\n"
          "  --trace 'virtio_*@disk0'           one device's\n"
          "  --trace 'pci_*,-pci_*@00:1f.0'     all but one device's\n"
          "  --trace '*' --trace-file t.json    a timeline to open in ui.perfetto.dev\n",
          out);
}

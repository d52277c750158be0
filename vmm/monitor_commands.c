/* SPDX-License-Identifier: MIT */
/* The monitor's commands. A new one is a function and a line of the table; see vmm/monitor.h. */
#include <errno.h>
#include <string.h>

#include "devices/device_table.h"
#include "vmm/monitor.h"
#include "vmm/monitor_info.h"
#include "vmm/monitor_xp.h"
#include "vmm/property.h"
#include "vmm/trace.h"
#include "vmm/trace_internal.h"

static int run_help(struct control *control, const struct monitor_words *words, FILE *out,
                    struct error *err)
{
    (void)control;
    return monitor_help(words, out, err);
}

static void complete_help(struct control *control, unsigned index,
                          const struct monitor_offers *offers)
{
    const struct monitor_command *table = index == 1 ? monitor_commands : monitor_info_items;
    (void)control;
    for (; index <= 2 && table->name != NULL; table++) {
        monitor_offer(offers, table->name);
    }
}

/* ---- what runs */

static int run_stop(struct control *control, const struct monitor_words *words, FILE *out,
                    struct error *err)
{
    (void)words;
    (void)out;
    (void)err;
    control_stop(control);
    return 0;
}

static int run_cont(struct control *control, const struct monitor_words *words, FILE *out,
                    struct error *err)
{
    (void)words;
    (void)out;
    return control_cont(control, err);
}

static int run_reset(struct control *control, const struct monitor_words *words, FILE *out,
                     struct error *err)
{
    (void)words;
    (void)out;
    (void)err;
    control_reset(control);
    return 0;
}

static int run_powerdown(struct control *control, const struct monitor_words *words, FILE *out,
                         struct error *err)
{
    (void)words;
    (void)out;
    return control_powerdown(control, err);
}

static int run_quit(struct control *control, const struct monitor_words *words, FILE *out,
                    struct error *err)
{
    (void)words;
    (void)out;
    (void)err;
    control_quit(control, "host-qmp-quit");
    return 0;
}

/* ---- devices that come and go */

static int run_device_add(struct control *control, const struct monitor_words *words, FILE *out,
                          struct error *err)
{
    (void)out;
    return control_device_add(control, words->word[1], err);
}

static int run_device_del(struct control *control, const struct monitor_words *words, FILE *out,
                          struct error *err)
{
    (void)out;
    return control_device_del(control, words->word[1], err);
}

/* "NAME," and each property; what has been typed of the list before it stays. */
static void offer_properties(const struct property *table, const char *before, int length,
                             const struct monitor_offers *offers)
{
    for (; table != NULL && table->name != NULL; table++) {
        char candidate[256];
        snprintf(candidate, sizeof(candidate), "%.*s%s=", length, before, table->name);
        monitor_offer(offers, candidate);
    }
}

static void complete_device_add(struct control *control, unsigned index,
                                const struct monitor_offers *offers)
{
    const char *comma = strrchr(offers->word, ',');
    size_t name = strcspn(offers->word, ",");
    (void)control;
    for (const struct pci_device_type *const *type = device_table; index == 1 && *type; type++) {
        if (comma == NULL) {
            monitor_offer(offers, (*type)->name);
        } else if (strlen((*type)->name) == name &&
                   strncmp((*type)->name, offers->word, name) == 0) {
            int length = (int)(comma + 1 - offers->word);
            offer_properties((*type)->properties, offers->word, length, offers);
            offer_properties(pci_common_properties, offers->word, length, offers);
        }
    }
}

static void complete_device_del(struct control *control, unsigned index,
                                const struct monitor_offers *offers)
{
    if (index == 1) {
        monitor_offer_devices(control, offers);
    }
}

/* ---- trace */

/* What trace_enable() says begins with the option that it was made for. */
static int run_trace(struct control *control, const struct monitor_words *words, FILE *out,
                     struct error *err)
{
    static const char option[] = "--trace: ";
    struct error said = {""};
    bool on = strcmp(words->word[2], "on") == 0;
    (void)control;
    (void)out;
    if (!on && strcmp(words->word[2], "off") != 0) {
        return error_set(err, -EINVAL, "trace %s %s: on or off is expected", words->word[1],
                         words->word[2]);
    }
    int ret = trace_enable(words->word[1], on, &said);
    const char *text =
        said.text + (strncmp(said.text, option, strlen(option)) == 0 ? strlen(option) : 0);
    return ret < 0 ? error_set(err, ret, "trace: %s", text) : 0;
}

static void complete_trace(struct control *control, unsigned index,
                           const struct monitor_offers *offers)
{
    (void)control;
    for (unsigned id = 0; index == 1 && id < TRACE_EVENT_COUNT; id++) {
        monitor_offer(offers, trace_event_names[id]);
    }
    if (index == 2) {
        monitor_offer(offers, "on");
        monitor_offer(offers, "off");
    }
}

/* ---- memory */

static int run_xp(struct control *control, const struct monitor_words *words, FILE *out,
                  struct error *err)
{
    const char *last = words->word[words->count - 1];
    struct monitor_format format;
    uint64_t address;
    int ret = monitor_parse_format(words->count == 3 ? words->word[1] : "/", &format, err);
    if (ret < 0) {
        return ret;
    }
    if (parse_number(last, &address) < 0) {
        return error_set(err, -EINVAL, "xp: %s is no address: 0x1000, 4096", last);
    }
    return monitor_print_memory(&control->machine->vm.memory, address, &format, out, err);
}

/* ---- the table */

const struct monitor_command monitor_commands[] = {
    {"cont", "c", "", "let the machine go on", 0, 0, run_cont, NULL, NULL},
    {"device_add", NULL, "NAME,PROP=VALUE,...", "plug in a device, behind a port with hotplug", 1,
     1, run_device_add, complete_device_add, NULL},
    {"device_del", NULL, "ID", "ask the guest to let a device go", 1, 1, run_device_del,
     complete_device_del, NULL},
    {"help", "?", "[COMMAND]", "what there is; help info lists its items", 0, 2, run_help,
     complete_help, NULL},
    {"info", NULL, "ITEM", "show something of the machine", 1, 2, NULL, NULL, monitor_info_items},
    {"quit", "q", "", "end minivmm", 0, 0, run_quit, NULL, NULL},
    {"stop", "s", "", "stop the vCPUs", 0, 0, run_stop, NULL, NULL},
    {"system_powerdown", NULL, "", "press the power button", 0, 0, run_powerdown, NULL, NULL},
    {"system_reset", NULL, "", "reset the machine", 0, 0, run_reset, NULL, NULL},
    {"trace", NULL, "GLOB on|off", "turn trace events on or off", 2, 2, run_trace, complete_trace,
     NULL},
    {"xp", NULL, "[/FMT] ADDR", "guest memory; FMT: count, x|d|u|o|c, b|h|w|g", 1, 2, run_xp, NULL,
     NULL},
    {.name = NULL},
};

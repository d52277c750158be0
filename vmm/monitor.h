/* SPDX-License-Identifier: MIT */
/*
 * The monitor: commands that a person types at minivmm itself. Here is how a line is read,
 * completed and carried out; the commands are a table in vmm/monitor_commands.c, and lines come
 * from a socket (vmm/monitor_server.c), from the console (vmm/monitor_console.c) or by QMP. Main
 * thread.
 */
#ifndef VMM_MONITOR_H
#define VMM_MONITOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "vmm/control.h"

#define MONITOR_PROMPT "(minivmm) "

enum { MONITOR_LINE_MAX = 4096, MONITOR_WORDS_MAX = 8 };

/* ---- commands */

/* A line cut up: words[0] is the command; the words are the caller's. */
struct monitor_words {
    unsigned count;
    const char *word[MONITOR_WORDS_MAX];
};

/* Where completion finds its candidates; whatever does not begin as the word does is left out. */
struct monitor_offers {
    const char *word; /* as far as it has been typed */
    void (*offer)(void *opaque, const char *candidate);
    void *opaque;
};
void monitor_offer(const struct monitor_offers *offers, const char *candidate);

struct monitor_command {
    const char *name;      /* NULL ends a table */
    const char *alias;     /* or NULL */
    const char *arguments; /* "GLOB on|off"; "" */
    const char *help;
    unsigned least, most; /* words behind the command */
    /* Print what there is to say. Negative errno with a text. */
    int (*run)(struct control *control, const struct monitor_words *words, FILE *out,
               struct error *err);
    /* Offer what word `index` (the first behind the command is 1) can be. May be NULL. */
    void (*complete)(struct control *control, unsigned index, const struct monitor_offers *offers);
    const struct monitor_command *items; /* its first word is one of these; then run is NULL */
};

extern const struct monitor_command monitor_commands[];

/* ---- lines */

/*
 * Cut a line up, in place: words stand between spaces, and double quotes keep spaces. -E2BIG,
 * -EINVAL (a quote without its end).
 */
int monitor_split(char *line, struct monitor_words *words, struct error *err);

/* Carry out a line, which is cut up, and print to `out` what comes of it, errors included. */
void monitor_execute(struct control *control, char *line, FILE *out);

/* The same as a text to be freed; NULL without memory for it. */
char *monitor_answer(struct control *control, char *line);

/*
 * Call `offer` for everything that the last word of `line`, which may be empty, can become, without
 * the words before it. `*start` is where in the line the offers begin.
 */
void monitor_complete(struct control *control, const char *line, size_t *start,
                      void (*offer)(void *opaque, const char *candidate), void *opaque);

/* help [COMMAND [ITEM]] */
int monitor_help(const struct monitor_words *words, FILE *out, struct error *err);

/* ---- bytes that become lines */

struct monitor_line {
    size_t length;
    bool too_long;
    char text[MONITOR_LINE_MAX];
};

enum monitor_line_state { MONITOR_LINE_MORE, MONITOR_LINE_WHOLE, MONITOR_LINE_TOO_LONG };

/* Add a byte. A whole line is in `text`, as a string, until the next call. */
enum monitor_line_state monitor_line_add(struct monitor_line *line, char byte);

#endif

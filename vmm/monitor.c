/* SPDX-License-Identifier: MIT */
/* See vmm/monitor.h. */
#include "vmm/monitor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/trace.h"

/* ---- words */

/* The end of the word at `text`, whose quotes are taken out; NULL: a quote has no end. */
static char *cut_word(char *text)
{
    char *out = text;
    bool quoted = false;
    for (; *text != '\0' && (quoted || *text != ' '); text++) {
        if (*text == '"') {
            quoted = !quoted;
        } else {
            *out++ = *text;
        }
    }
    char *end = *text == ' ' ? text + 1 : text;
    *out = '\0';
    return quoted ? NULL : end;
}

int monitor_split(char *line, struct monitor_words *words, struct error *err)
{
    words->count = 0;
    for (char *at = line + strspn(line, " "); *at != '\0'; at += strspn(at, " ")) {
        if (words->count >= MONITOR_WORDS_MAX) {
            return error_set(err, -E2BIG, "more than %d words", MONITOR_WORDS_MAX);
        }
        char *word = at;
        at = cut_word(at);
        if (at == NULL) {
            return error_set(err, -EINVAL, "a quote without its end");
        }
        words->word[words->count++] = word;
    }
    return 0;
}

/* ---- the table */

static const struct monitor_command *find(const struct monitor_command *table, const char *name)
{
    for (; table->name != NULL; table++) {
        if (strcmp(table->name, name) == 0 ||
            (table->alias != NULL && strcmp(table->alias, name) == 0)) {
            return table;
        }
    }
    return NULL;
}

/* The command that the words name, and by which of them. NULL with a text. */
static const struct monitor_command *find_command(const struct monitor_words *words,
                                                  unsigned *index, struct error *err)
{
    const struct monitor_command *table = monitor_commands;
    const struct monitor_command *found = NULL;
    for (unsigned i = 0; table != NULL && i < words->count; i++) {
        found = find(table, words->word[i]);
        if (found == NULL) {
            error_set(err, -ENOENT, "%s%s%s: no such command ('help%s%s' lists them)",
                      i > 0 ? words->word[0] : "", i > 0 ? " " : "", words->word[i],
                      i > 0 ? " " : "", i > 0 ? words->word[0] : "");
            return NULL;
        }
        *index = i;
        table = found->items;
    }
    return found;
}

static void print_command(const struct monitor_command *command, const char *before, FILE *out)
{
    char usage[64];
    snprintf(usage, sizeof(usage), "%s%s%s%s%s%s", before, command->name,
             command->alias != NULL ? "|" : "", command->alias != NULL ? command->alias : "",
             command->arguments[0] != '\0' ? " " : "", command->arguments);
    fprintf(out, "%-30s %s\n", usage, command->help);
}

static void print_table(const struct monitor_command *table, const char *before, FILE *out)
{
    for (; table->name != NULL; table++) {
        print_command(table, before, out);
    }
}

int monitor_help(const struct monitor_words *words, FILE *out, struct error *err)
{
    struct monitor_words asked = {.count = words->count - 1};
    memcpy(asked.word, words->word + 1, asked.count * sizeof(words->word[0]));
    if (asked.count == 0) {
        print_table(monitor_commands, "", out);
        return 0;
    }
    unsigned index;
    const struct monitor_command *found = find_command(&asked, &index, err);
    if (found == NULL) {
        return -ENOENT;
    }
    if (found->items != NULL) {
        print_table(found->items, "info ", out);
    } else {
        print_command(found, index > 0 ? "info " : "", out);
    }
    return 0;
}

/* ---- carrying out */

static int run(struct control *control, const struct monitor_words *words, FILE *out,
               struct error *err)
{
    unsigned index = 0;
    const struct monitor_command *command = find_command(words, &index, err);
    if (command == NULL) {
        return -ENOENT;
    }
    if (command->items != NULL) {
        print_table(command->items, "info ", out);
        return 0;
    }
    struct monitor_words own = {.count = words->count - index};
    memcpy(own.word, words->word + index, own.count * sizeof(words->word[0]));
    if (own.count - 1 < command->least || own.count - 1 > command->most) {
        return error_set(err, -EINVAL, "usage: %s%s%s %s", index > 0 ? words->word[0] : "",
                         index > 0 ? " " : "", command->name, command->arguments);
    }
    return command->run(control, &own, out, err);
}

void monitor_execute(struct control *control, char *line, FILE *out)
{
    struct monitor_words words;
    struct error err = {""};
    trace_monitor_command(line);
    int ret = monitor_split(line, &words, &err);
    if (ret == 0 && words.count > 0) {
        ret = run(control, &words, out, &err);
    }
    if (ret < 0) {
        fprintf(out, "error: %s\n", err.text);
    }
}

char *monitor_answer(struct control *control, char *line)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL) {
        return NULL;
    }
    monitor_execute(control, line, out);
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

/* ---- completion */

void monitor_offer(const struct monitor_offers *offers, const char *candidate)
{
    if (strncmp(candidate, offers->word, strlen(offers->word)) == 0) {
        offers->offer(offers->opaque, candidate);
    }
}

static void offer_commands(const struct monitor_command *table, const struct monitor_offers *offers)
{
    for (; table->name != NULL; table++) {
        monitor_offer(offers, table->name);
    }
}

/* Words 0 to count - 1 are whole, and offers->word is the one behind them. */
static void complete_word(struct control *control, const struct monitor_words *words,
                          const struct monitor_offers *offers)
{
    const struct monitor_command *table = monitor_commands;
    for (unsigned i = 0; i < words->count; i++) {
        const struct monitor_command *command = find(table, words->word[i]);
        if (command == NULL) {
            return;
        }
        if (command->items == NULL) {
            if (command->complete != NULL) {
                command->complete(control, words->count - i, offers);
            }
            return;
        }
        table = command->items;
    }
    offer_commands(table, offers);
}

static size_t last_word(const char *line)
{
    size_t start = strlen(line);
    while (start > 0 && line[start - 1] != ' ') {
        start--;
    }
    return start;
}

void monitor_complete(struct control *control, const char *line, size_t *start,
                      void (*offer)(void *opaque, const char *candidate), void *opaque)
{
    char before[MONITOR_LINE_MAX];
    struct monitor_words words;
    *start = last_word(line);
    if (*start >= sizeof(before)) {
        return;
    }
    memcpy(before, line, *start);
    before[*start] = '\0';
    const struct monitor_offers offers = {.word = line + *start, .offer = offer, .opaque = opaque};
    if (monitor_split(before, &words, NULL) == 0) {
        complete_word(control, &words, &offers);
    }
}

/* ---- lines */

enum monitor_line_state monitor_line_add(struct monitor_line *line, char byte)
{
    if (byte == '\n') {
        bool too_long = line->too_long;
        line->text[line->length] = '\0';
        line->length = 0;
        line->too_long = false;
        return too_long ? MONITOR_LINE_TOO_LONG : MONITOR_LINE_WHOLE;
    }
    if (line->length + 1 >= sizeof(line->text)) {
        line->too_long = true;
    } else if (byte != '\r') {
        line->text[line->length++] = (unsigned char)byte < ' ' ? ' ' : byte;
    }
    return MONITOR_LINE_MORE;
}

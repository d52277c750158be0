/* SPDX-License-Identifier: MIT */
/*
 * See vmm/monitor_editor.h. With EL_UNBUFFERED el_gets() returns after each command of the editor.
 * A command that reads keys on its own (quoting, searching, an escape sequence) must find them all:
 * sequences are kept until they are whole, and the other such commands are not bound.
 */
#include "vmm/monitor_editor.h"

#include <errno.h>
#include <fcntl.h>
#include <histedit.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum {
    ESCAPE = 0x1b,
    SEQUENCE_BOUND = 4,
    KEYS_MAX = 32,
    HISTORY_SIZE = 200,
    LINE_MAX_SHOWN = 4096
};

struct monitor_editor {
    struct monitor_editor_config config;
    char prompt[32];   /* libedit wants one that it could write to */
    int master, slave; /* of the pseudo-terminal */
    FILE *screen;
    EditLine *edit;
    History *history;
    unsigned char keys[KEYS_MAX];
    size_t key_count, key_at;
};

/* ---- keys */

/* Does more belong to it? ESC letter; ESC O letter; ESC [ parameters letter (ECMA-48, 5.4). */
static bool is_partial(const unsigned char *keys, size_t count)
{
    if (count == 0 || keys[0] != ESCAPE || count == KEYS_MAX) {
        return false;
    }
    if (count == 1 || (count == 2 && (keys[1] == '[' || keys[1] == 'O'))) {
        return true;
    }
    return keys[1] == '[' && keys[count - 1] >= ' ' && keys[count - 1] < '@';
}

static int next_key(EditLine *edit, wchar_t *key)
{
    struct monitor_editor *editor;
    el_get(edit, EL_CLIENTDATA, &editor);
    if (editor->key_at == editor->key_count) {
        return 0;
    }
    *key = (wchar_t)editor->keys[editor->key_at++];
    return 1;
}

static ssize_t show(void *opaque, const char *bytes, size_t length)
{
    const struct monitor_editor *editor = opaque;
    editor->config.show(editor->config.opaque, bytes, length);
    return (ssize_t)length;
}

static char *prompt_of(EditLine *edit)
{
    struct monitor_editor *editor;
    el_get(edit, EL_CLIENTDATA, &editor);
    return editor->prompt;
}

/* ---- completion */

struct candidates {
    struct monitor_editor *editor;
    bool list; /* show each */
    unsigned count;
    char common[256]; /* what all begin with */
};

static void take_candidate(void *opaque, const char *candidate)
{
    struct candidates *found = opaque;
    if (found->list) {
        fprintf(found->editor->screen, "%s%s", found->count > 0 ? "  " : "\n", candidate);
    }
    if (found->count++ == 0) {
        snprintf(found->common, sizeof(found->common), "%s", candidate);
        return;
    }
    size_t same = 0;
    while (found->common[same] != '\0' && found->common[same] == candidate[same]) {
        same++;
    }
    found->common[same] = '\0';
}

static size_t look_up(struct candidates *found, const char *line)
{
    const struct monitor_editor_config *config = &found->editor->config;
    size_t start = 0;
    config->complete(config->opaque, line, &start, take_candidate, found);
    return strlen(line + start);
}

/* Does a space follow? Not where a value is wanted. */
static bool is_whole(const struct candidates *found)
{
    size_t length = strlen(found->common);
    return found->count == 1 && (length == 0 || found->common[length - 1] != '=');
}

/* Add what all candidates share; if that is nothing new, list them. */
static unsigned char complete(EditLine *edit, int key)
{
    struct candidates found = {.list = false};
    char line[LINE_MAX_SHOWN];
    (void)key;
    el_get(edit, EL_CLIENTDATA, &found.editor);
    const LineInfo *info = el_line(edit);
    snprintf(line, sizeof(line), "%.*s", (int)(info->cursor - info->buffer), info->buffer);
    size_t typed = look_up(&found, line);
    if (found.count == 0) {
        return CC_REFRESH_BEEP;
    }
    if (found.count == 1 || strlen(found.common) > typed) {
        char more[sizeof(found.common) + 1];
        snprintf(more, sizeof(more), "%s%s", found.common + typed, is_whole(&found) ? " " : "");
        return el_insertstr(edit, more) == 0 ? CC_REFRESH : CC_REFRESH_BEEP;
    }
    found = (struct candidates){.editor = found.editor, .list = true};
    (void)look_up(&found, line);
    fputc('\n', found.editor->screen);
    return CC_REDISPLAY;
}

/* ---- life */

static int open_terminal(struct monitor_editor *editor)
{
    char name[64];
    editor->master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (editor->master < 0 || grantpt(editor->master) < 0 || unlockpt(editor->master) < 0) {
        return -errno;
    }
    int ret = ptsname_r(editor->master, name, sizeof(name));
    editor->slave = ret == 0 ? open(name, O_RDWR | O_NOCTTY | O_CLOEXEC) : -1;
    return ret != 0 ? -ret : editor->slave < 0 ? -errno : 0;
}

static void bind_keys(EditLine *edit)
{
    static const char *const ignored[] = {"^@",   "^V",     "^R",     "^X",    "\\ex",
                                          "\\eX", "\\e[2~", "\\e[5~", "\\e[6~"};
    el_set(edit, EL_EDITOR, "emacs");
    el_wset(edit, EL_ADDFN, L"complete-word", L"Complete the word", complete); /* not copied */
    el_set(edit, EL_BIND, "^I", "complete-word", NULL);
    el_set(edit, EL_BIND, "^C", "ed-start-over", NULL);
    el_set(edit, EL_BIND, "^D", "ed-delete-next-char", NULL); /* not the end of the input, too */
    el_set(edit, EL_BIND, "\\e[3~", "ed-delete-next-char", NULL);
    el_set(edit, EL_BIND, "\\e[H", "ed-move-to-beg", NULL);
    el_set(edit, EL_BIND, "\\e[F", "ed-move-to-end", NULL);
    for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++) {
        el_set(edit, EL_BIND, ignored[i], "ed-ignore", NULL);
    }
}

static int open_editor(struct monitor_editor *editor)
{
    const cookie_io_functions_t functions = {.write = show};
    HistEvent event;
    editor->screen = fopencookie(editor, "w", functions);
    if (editor->screen == NULL) {
        return -ENOMEM;
    }
    /* The file to read from is never read: its descriptor is asked for terminal modes. */
    editor->edit = el_init_fd("minivmm", editor->screen, editor->screen, editor->screen,
                              editor->slave, editor->slave, editor->slave);
    editor->history = history_init();
    if (editor->edit == NULL || editor->history == NULL) {
        return -ENOMEM;
    }
    history(editor->history, &event, H_SETSIZE, HISTORY_SIZE);
    history(editor->history, &event, H_SETUNIQUE, 1);
    el_set(editor->edit, EL_CLIENTDATA, editor);
    el_set(editor->edit, EL_GETCFN, next_key);
    el_set(editor->edit, EL_PROMPT, prompt_of);
    el_set(editor->edit, EL_HIST, history, editor->history);
    el_set(editor->edit, EL_SIGNAL, 0);
    bind_keys(editor->edit);
    return 0;
}

int monitor_editor_create(struct monitor_editor **out, const struct monitor_editor_config *config,
                          struct error *err)
{
    struct monitor_editor *editor = calloc(1, sizeof(*editor));
    if (editor == NULL) {
        return error_set(err, -ENOMEM, "no memory");
    }
    editor->config = *config;
    snprintf(editor->prompt, sizeof(editor->prompt), "%s", config->prompt);
    editor->master = editor->slave = -1;
    int ret = open_terminal(editor);
    if (ret == 0) {
        ret = open_editor(editor);
    }
    if (ret < 0) {
        monitor_editor_destroy(editor);
        return error_set(err, ret, "%s", strerror(-ret));
    }
    *out = editor;
    return 0;
}

void monitor_editor_destroy(struct monitor_editor *editor)
{
    if (editor == NULL) {
        return;
    }
    if (editor->history != NULL) {
        history_end(editor->history);
    }
    if (editor->edit != NULL) {
        el_end(editor->edit);
    }
    if (editor->screen != NULL) {
        fclose(editor->screen);
    }
    if (editor->slave >= 0) {
        close(editor->slave);
    }
    if (editor->master >= 0) {
        close(editor->master);
    }
    free(editor);
}

/* ---- lines */

/* libedit shows the prompt when it enters the unbuffered mode. */
static void show_prompt(struct monitor_editor *editor)
{
    el_set(editor->edit, EL_UNBUFFERED, 0);
    el_set(editor->edit, EL_UNBUFFERED, 1);
    fflush(editor->screen);
}

void monitor_editor_begin(struct monitor_editor *editor, int fd)
{
    struct winsize size;
    if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
        (void)ioctl(editor->slave, TIOCSWINSZ, &size);
        el_resize(editor->edit);
    }
    editor->key_count = editor->key_at = 0;
    show_prompt(editor);
}

static void take_line(struct monitor_editor *editor, const char *text)
{
    HistEvent event;
    char line[LINE_MAX_SHOWN];
    snprintf(line, sizeof(line), "%.*s", (int)strcspn(text, "\n"), text);
    if (line[strspn(line, " ")] != '\0') {
        history(editor->history, &event, H_ENTER, line);
    }
    fflush(editor->screen);
    editor->config.line(editor->config.opaque, line);
    show_prompt(editor);
}

void monitor_editor_key(struct monitor_editor *editor, unsigned char key)
{
    if (key >= 0x80) {
        return; /* commands are ASCII */
    }
    editor->keys[editor->key_count++] = key;
    if (is_partial(editor->keys, editor->key_count)) {
        return;
    }
    if (editor->keys[0] == ESCAPE && editor->key_count > SEQUENCE_BOUND) {
        editor->key_count = 0; /* a key with Ctrl or Alt, which nothing is bound to */
    }
    while (editor->key_at < editor->key_count) {
        int count = 0;
        const char *text = el_gets(editor->edit, &count);
        if (text != NULL && count > 0 && text[count - 1] == '\n') {
            take_line(editor, text);
        }
    }
    editor->key_count = editor->key_at = 0;
    fflush(editor->screen);
}

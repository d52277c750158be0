/* SPDX-License-Identifier: MIT */
/*
 * A libkmod that knows no module, for the guest's lspci.
 *
 * lspci asks libkmod one thing: which modules could drive a device, for its line "Kernel modules:".
 * The line "Kernel driver in use:" comes from sysfs and does not need it. The real library brings
 * OpenSSL, zstd and xz along, 6 MB of a root file system that is loaded at every boot of every
 * test. So lspci is given this one, which holds the functions it imports and finds nothing.
 *
 * The version script beside this file gives them the symbol version that lspci asks for.
 */
#include <stddef.h>

/* lspci gives up on modules, quietly only if it gets a context: any address but NULL will do. */
static char context;

void *kmod_new(const char *dirname, const char *const *config_paths);
void *kmod_unref(void *ctx);
int kmod_load_resources(void *ctx);
int kmod_module_new_from_lookup(void *ctx, const char *alias, void **list);
void *kmod_list_next(const void *list, const void *entry);
void *kmod_module_get_module(const void *entry);
const char *kmod_module_get_name(const void *module);
void *kmod_module_unref(void *module);
int kmod_module_unref_list(void *list);

void *kmod_new(const char *dirname, const char *const *config_paths)
{
    (void)dirname;
    (void)config_paths;
    return &context;
}

void *kmod_unref(void *ctx)
{
    (void)ctx;
    return NULL;
}

int kmod_load_resources(void *ctx)
{
    (void)ctx;
    return 0;
}

int kmod_module_new_from_lookup(void *ctx, const char *alias, void **list)
{
    (void)ctx;
    (void)alias;
    *list = NULL;
    return 0;
}

void *kmod_list_next(const void *list, const void *entry)
{
    (void)list;
    (void)entry;
    return NULL;
}

void *kmod_module_get_module(const void *entry)
{
    (void)entry;
    return NULL;
}

const char *kmod_module_get_name(const void *module)
{
    (void)module;
    return "";
}

void *kmod_module_unref(void *module)
{
    (void)module;
    return NULL;
}

int kmod_module_unref_list(void *list)
{
    (void)list;
    return 0;
}

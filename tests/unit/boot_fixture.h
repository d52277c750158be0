/* SPDX-License-Identifier: MIT */
/*
 * What the loader tests of every architecture share: kernel and initrd as files in memory, and
 * loading them. Included behind the test's own `struct rig`, whose members it uses; the memory map
 * and what else a machine has differ by architecture.
 */
#ifndef TESTS_UNIT_BOOT_FIXTURE_H
#define TESTS_UNIT_BOOT_FIXTURE_H

static void open_files(struct rig *rig)
{
    rig->kernel_fd = memfd_create("kernel", 0);
    rig->initrd_fd = memfd_create("initrd", 0);
    snprintf(rig->kernel_path, sizeof(rig->kernel_path), "/proc/self/fd/%d", rig->kernel_fd);
    snprintf(rig->initrd_path, sizeof(rig->initrd_path), "/proc/self/fd/%d", rig->initrd_fd);
}

static int tear_down(void **state)
{
    struct rig *rig = *state;
    boot_close(&rig->boot);
    guest_memory_destroy(&rig->memory);
    close(rig->kernel_fd);
    close(rig->initrd_fd);
    free(rig);
    return 0;
}

static void put_file(int fd, const void *data, size_t length)
{
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(pwrite(fd, data, length, 0), (ssize_t)length);
}

/* Open and load; 0 or the error. */
static int load(struct rig *rig, const char *initrd, const char *append)
{
    boot_close(&rig->boot);
    rig->err.text[0] = '\0';
    int ret = boot_open(&rig->boot, rig->kernel_path, initrd, append, &rig->err);
    return ret < 0 ? ret : boot_load(&rig->boot, &rig->target, &rig->entry, &rig->err);
}

static int load_kernel(struct rig *rig, const void *data, size_t length)
{
    put_file(rig->kernel_fd, data, length);
    return load(rig, NULL, NULL);
}

/* The error is one line that begins with option and file and contains `reason`. */
static void expect_error(struct rig *rig, int ret, const char *reason)
{
    char start[64];
    snprintf(start, sizeof(start), "--kernel %s: ", rig->kernel_path);
    assert_true(ret < 0);
    if (strncmp(rig->err.text, start, strlen(start)) != 0 || !strstr(rig->err.text, reason) ||
        strchr(rig->err.text, '\n')) {
        fail_msg("\"%s\" does not say \"%s\"", rig->err.text, reason);
    }
}

#endif

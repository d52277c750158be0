/* SPDX-License-Identifier: MIT */
/* The table of devices: each is complete and can be created, and the help shows all there is. */
#include "pci_fixture.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "devices/device_table.h"

static void test_find(void **state)
{
    (void)state;
    assert_non_null(device_table_find("dma-engine"));
    assert_ptr_equal(device_table_find("root-port"), &root_port_type);
    assert_null(device_table_find("dma"));
    assert_null(device_table_find("dma-engine2"));
    assert_null(device_table_find(""));
}

static void test_entries_are_complete(void **state)
{
    (void)state;
    for (const struct pci_device_type *const *type = device_table; *type; type++) {
        assert_ptr_equal(device_table_find((*type)->name), *type); /* no name twice */
        assert_true((*type)->summary && *(*type)->summary);
        assert_true((*type)->size >= sizeof(struct pci_device));
        assert_non_null((*type)->realize);
        const struct property *property = (*type)->properties;
        for (; property && property->name; property++) {
            assert_non_null(property->meaning);
            assert_true(property->offset < (*type)->size);
            assert_null(property_find(pci_common_properties, property->name));
        }
    }
}

/* What a device cannot be without; each call is for one device. It keeps what it is given. */
static const char *required(const struct pci_device_type *type, char *text, size_t size)
{
    *text = '\0';
    if (strcmp(type->name, "virtio-blk") == 0) {
        char path[] = "/tmp/minivmm-table-XXXXXX";
        int fd = mkstemp(path);
        assert_true(fd >= 0);
        assert_int_equal(ftruncate(fd, 4096), 0);
        close(fd);
        snprintf(text, size, "file=%s", path);
    } else if (strcmp(type->name, "virtio-net") == 0) {
        int ends[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
        close(ends[1]);
        snprintf(text, size, "fd=%d", ends[0]);
    }
    return text;
}

/* Every device twice, in the one topology where each has its place. */
static void test_each_can_be_created(void **state)
{
    struct fixture *f = *state;
    plug(f, &root_port_type, "id=rp");
    plug(f, &switch_upstream_type, "id=up,bus=rp");
    for (const struct pci_device_type *const *type = device_table; *type; type++) {
        char text[64];
        const char *where =
            *type == &switch_downstream_type ? "bus=up" : required(*type, text, sizeof(text));
        if (*type == &switch_upstream_type) {
            plug(f, &root_port_type, "id=rp2");
            where = "bus=rp2";
        }
        struct pci_device *device = plug(f, *type, where);
        assert_int_not_equal(pci_config_get(device, PCI_VENDOR_ID, 2), 0);
        assert_string_equal(device->type->name, (*type)->name);
        if (strncmp(where, "file=", 5) == 0) {
            unlink(where + 5);
        }
    }
    pci_host_reset(&f->host);
}

static char *capture(void (*print)(FILE *out, const void *argument), const void *argument)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    print(out, argument);
    fclose(out);
    return text;
}

static void print_list(FILE *out, const void *argument)
{
    (void)argument;
    device_table_print(out);
}

static void print_type(FILE *out, const void *argument)
{
    device_type_print_help(argument, out);
}

static void test_list(void **state)
{
    (void)state;
    char *text = capture(print_list, NULL);
    unsigned lines = 0;
    for (const char *c = text; *c; c++) {
        lines += *c == '\n';
    }
    for (const struct pci_device_type *const *type = device_table; *type; type++) {
        assert_non_null(strstr(text, (*type)->name));
        assert_non_null(strstr(text, (*type)->summary));
        lines--;
    }
    assert_non_null(strstr(text, "--dump-machine"));
    assert_int_equal(lines, 1);
    free(text);
}

static void test_help(void **state)
{
    (void)state;
    for (const struct pci_device_type *const *type = device_table; *type; type++) {
        char *text = capture(print_type, *type);
        assert_non_null(strstr(text, (*type)->name));
        const struct property *own = (*type)->properties;
        for (; own && own->name; own++) {
            assert_non_null(strstr(text, own->name));
            assert_non_null(strstr(text, own->meaning));
        }
        for (const struct property *all = pci_common_properties; all->name; all++) {
            assert_non_null(strstr(text, all->meaning));
        }
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_entries_are_complete),
        pci_unit_test(test_each_can_be_created),
        cmocka_unit_test(test_list),
        cmocka_unit_test(test_help),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

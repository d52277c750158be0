/* SPDX-License-Identifier: MIT */
/*
 * The kernel loaders against good, truncated, malformed and hostile files. The files are made here,
 * in memory; what is loaded is read back from guest RAM as a kernel would read it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <asm/bootparam.h>
#include <cmocka.h>
#include <elf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/x86/boot.h"

#define MIB (1ull << 20)

enum { RAM = 32 << 20, FILE_MAX = 16384, RSDP = 0xe0000, TABLES_SIZE = 0x6000 };

/* ---- a machine with 32 MiB, and files in memory */

struct rig {
    struct guest_memory memory;
    struct x86_memory_map map;
    struct boot_target target;
    struct boot boot;
    struct boot_entry entry;
    struct error err;
    int kernel_fd, initrd_fd;
    char kernel_path[32], initrd_path[32];
};

#include "tests/unit/boot_fixture.h"

static int set_up(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    assert_non_null(rig);
    open_files(rig);
    assert_int_equal(x86_memory_map_init(&rig->map, RAM, 40, &rig->err), 0);
    assert_int_equal(guest_memory_add(&rig->memory, gpa(0), RAM, false, &rig->err), 0);
    rig->target = (struct boot_target){
        .memory = &rig->memory, .map = &rig->map, .rsdp = RSDP, .gigabyte_pages = true};
    *state = rig;
    return 0;
}

static void *guest(struct rig *rig, uint64_t address, size_t length)
{
    void *host = guest_memory_range(&rig->memory, gpa(address), length);
    assert_non_null(host);
    return host;
}

/* ---- bzImage */

enum {
    SETUP_SECTORS = 2,
    IMAGE_OFFSET = (SETUP_SECTORS + 1) * 512,
    PARAGRAPHS = 256,
    IMAGE_SIZE = PARAGRAPHS * 16,
    BZIMAGE_SIZE = IMAGE_OFFSET + IMAGE_SIZE,
    PREFERRED = 16 << 20,
    INIT_SIZE = 4 << 20,
    HEADER_END = 0x26c,
};

struct bzimage_file {
    union {
        struct boot_params params; /* its header is at the file's place */
        uint8_t bytes[FILE_MAX];
    };
    size_t size;
};

static struct setup_header good_header(void)
{
    return (struct setup_header){
        .setup_sects = SETUP_SECTORS,
        .syssize = PARAGRAPHS,
        .boot_flag = 0xaa55,
        .jump = (HEADER_END - 0x202) << 8 | 0xeb,
        .header = 0x53726448,
        .version = 0x020f,
        .loadflags = LOADED_HIGH,
        .initrd_addr_max = 0x7fffffff,
        .kernel_alignment = 2 << 20,
        .relocatable_kernel = 1,
        .xloadflags = XLF_KERNEL_64,
        .cmdline_size = 2047,
        .pref_address = PREFERRED,
        .init_size = INIT_SIZE,
    };
}

static void make_bzimage(struct bzimage_file *file)
{
    memset(file, 0, sizeof(*file));
    memset(file->bytes, 0xff, 0x1f1); /* a boot sector that must not reach the zero page */
    file->params.hdr = good_header();
    for (size_t i = 0; i < IMAGE_SIZE; i++) {
        file->bytes[IMAGE_OFFSET + i] = (uint8_t)(i * 7 + 1);
    }
    file->size = BZIMAGE_SIZE;
}

static void test_bzimage_loads(void **state)
{
    struct rig *rig = *state;
    struct bzimage_file file;
    make_bzimage(&file);
    assert_int_equal(load_kernel(rig, file.bytes, file.size), 0);
    assert_int_equal(rig->entry.protocol, BOOT_LINUX64);
    assert_int_equal(rig->entry.rip, PREFERRED + 0x200);
    assert_memory_equal(guest(rig, PREFERRED, IMAGE_SIZE), file.bytes + IMAGE_OFFSET, IMAGE_SIZE);
    const struct boot_params *zero_page = guest(rig, rig->entry.info, sizeof(*zero_page));
    assert_int_equal(zero_page->sentinel, 0);
    assert_int_equal(zero_page->acpi_rsdp_addr, RSDP);
    assert_int_equal(zero_page->hdr.type_of_loader, 0xff);
    assert_int_equal(zero_page->hdr.code32_start, PREFERRED);
    assert_int_equal(zero_page->hdr.version, 0x020f);
    assert_int_equal(zero_page->hdr.init_size, INIT_SIZE);
    assert_int_equal(zero_page->hdr.ramdisk_size, 0);
    assert_string_equal(guest(rig, zero_page->hdr.cmd_line_ptr, 32), "console=ttyS0");
}

static void test_bzimage_memory_map(void **state)
{
    struct rig *rig = *state;
    struct bzimage_file file;
    struct x86_memory_range ranges[X86_MEMORY_RANGES_MAX];
    make_bzimage(&file);
    assert_int_equal(load_kernel(rig, file.bytes, file.size), 0);
    const struct boot_params *zero_page = guest(rig, rig->entry.info, sizeof(*zero_page));
    assert_int_equal(zero_page->e820_entries, x86_memory_ranges(&rig->map, ranges));
    for (unsigned i = 0; i < zero_page->e820_entries; i++) {
        assert_int_equal(zero_page->e820_table[i].addr, ranges[i].base);
        assert_int_equal(zero_page->e820_table[i].size, ranges[i].size);
        assert_int_equal(zero_page->e820_table[i].type, ranges[i].type);
    }
}

/* Walk the tables as the processor does; UINT64_MAX: not mapped. SDM volume 3, 4.5. */
static uint64_t translate(struct rig *rig, uint64_t address)
{
    uint64_t table = rig->entry.page_tables;
    for (unsigned shift = 39; shift >= 21; shift -= 9) {
        const uint64_t *entries = guest(rig, table, 4096);
        uint64_t entry = entries[address >> shift & 511];
        if ((entry & 3) != 3) {
            return UINT64_MAX;
        }
        table = entry & 0x000ffffffffff000;
        if (entry & 0x80) {
            uint64_t offset = address & ((1ull << shift) - 1);
            return shift == 39 ? UINT64_MAX : (table & ~((1ull << shift) - 1)) + offset;
        }
    }
    return UINT64_MAX;
}

static void check_identity_map(struct rig *rig)
{
    const uint64_t needed[] = {rig->entry.info, BOOT_COMMAND_LINE,         RSDP,
                               PREFERRED,       PREFERRED + INIT_SIZE - 1, RAM - 1};
    for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
        assert_int_equal(translate(rig, needed[i]), needed[i]);
    }
}

static void test_bzimage_page_tables(void **state)
{
    struct rig *rig = *state;
    struct bzimage_file file;
    make_bzimage(&file);
    memset(guest(rig, BOOT_PAGE_TABLES, TABLES_SIZE), 0xff, TABLES_SIZE); /* a guest ran before */
    assert_int_equal(load_kernel(rig, file.bytes, file.size), 0);
    check_identity_map(rig);
    assert_int_equal(translate(rig, 0xfee00000), 0xfee00000);
    assert_int_equal(translate(rig, 4ull << 30), UINT64_MAX);
    memset(guest(rig, BOOT_PAGE_TABLES, TABLES_SIZE), 0xff, TABLES_SIZE);
    rig->target.gigabyte_pages = false;
    assert_int_equal(load(rig, NULL, NULL), 0);
    check_identity_map(rig);
    assert_int_equal(translate(rig, 4ull << 30), UINT64_MAX);
}

static void test_bzimage_setup_sectors_0_means_4(void **state)
{
    struct rig *rig = *state;
    struct bzimage_file file;
    make_bzimage(&file);
    file.params.hdr.setup_sects = 0;
    const size_t image = 2560; /* a boot sector and four more */
    file.bytes[image] = 0x5a;
    assert_int_equal(load_kernel(rig, file.bytes, image + IMAGE_SIZE), 0);
    assert_int_equal(*(uint8_t *)guest(rig, PREFERRED, 1), 0x5a);
}

static void test_bzimage_trailing_signature_is_not_loaded(void **state)
{
    struct rig *rig = *state;
    struct bzimage_file file;
    make_bzimage(&file);
    memset(file.bytes + file.size, 0xee, 64);
    assert_int_equal(load_kernel(rig, file.bytes, file.size + 64), 0);
    assert_int_equal(*(uint8_t *)guest(rig, PREFERRED + IMAGE_SIZE, 1), 0);
    /* the last paragraph need not be full, but must have begun */
    assert_int_equal(load_kernel(rig, file.bytes, file.size - 15), 0);
    expect_error(rig, load_kernel(rig, file.bytes, file.size - 16), "truncated");
}

static void test_bzimage_truncated_anywhere(void **state)
{
    struct rig *rig = *state;
    struct bzimage_file file;
    make_bzimage(&file);
    for (size_t size = 1; size <= file.size - 16; size++) {
        expect_error(rig, load_kernel(rig, file.bytes, size), "");
    }
    assert_int_equal(load_kernel(rig, "", 0), -EINVAL);
    assert_non_null(strstr(rig->err.text, "the file is empty"));
}

/* One field of a good file is replaced by this value; the error must give the reason. */
struct damage {
    size_t offset;
    size_t size;
    uint64_t value;
    const char *reason;
};

#define FIELD(type, member) offsetof(type, member), sizeof(((type *)0)->member)
#define HEADER(member)      FIELD(struct boot_params, hdr.member)

static const struct damage bad_headers[] = {
    {HEADER(boot_flag), 0x55aa, "boot flag 0x55aa"},
    {HEADER(version), 0x020b, "boot protocol is 2.11"},
    {HEADER(loadflags), 0, "zImage"},
    {HEADER(xloadflags), 0, "32-bit kernel"},
    {HEADER(kernel_alignment), 0, "alignment"},
    {HEADER(kernel_alignment), 3 << 20, "alignment"},
    {HEADER(jump), 0x10 << 8, "setup header of"},
    {HEADER(jump), 0xff << 8, "setup header of"},
    {HEADER(syssize), 0, "malformed"},
    {HEADER(syssize), 0x20, "malformed"}, /* ends before its own 64-bit entry */
    {HEADER(syssize), PARAGRAPHS + 1, "truncated"},
    {HEADER(syssize), 0xffffffff, "truncated"},
    {HEADER(setup_sects), 255, "truncated"},
    {HEADER(pref_address), 0, "below 1 MiB"},
    {HEADER(pref_address), RAM, "--memory"},
    {HEADER(pref_address), RAM - 4096, "--memory"},
    {HEADER(pref_address), UINT64_MAX - 4096, "--memory"},
    {HEADER(init_size), RAM - PREFERRED + 1, "--memory"},
    {HEADER(init_size), 0xffffffff, "--memory"},
    {HEADER(kernel_alignment), 1u << 31, "--memory"},
};

static void test_bzimage_header_checks(void **state)
{
    struct rig *rig = *state;
    for (size_t i = 0; i < sizeof(bad_headers) / sizeof(bad_headers[0]); i++) {
        const struct damage *bad = &bad_headers[i];
        struct bzimage_file file;
        make_bzimage(&file);
        memcpy(file.bytes + bad->offset, &bad->value, bad->size);
        expect_error(rig, load_kernel(rig, file.bytes, file.size), bad->reason);
    }
}

static void test_bzimage_fills_ram_to_the_last_byte(void **state)
{
    struct rig *rig = *state;
    struct bzimage_file file;
    make_bzimage(&file);
    file.params.hdr.init_size = RAM - PREFERRED;
    assert_int_equal(load_kernel(rig, file.bytes, file.size), 0);
    file.params.hdr.pref_address = RAM - IMAGE_SIZE;
    file.params.hdr.relocatable_kernel = 0; /* then the alignment means nothing */
    file.params.hdr.init_size = IMAGE_SIZE;
    assert_int_equal(load_kernel(rig, file.bytes, file.size), 0);
}

/* ---- initrd and command line */

static void test_initrd_is_as_high_as_it_goes(void **state)
{
    struct rig *rig = *state;
    struct bzimage_file file;
    uint8_t initrd[5000];
    memset(initrd, 0x42, sizeof(initrd));
    make_bzimage(&file);
    put_file(rig->initrd_fd, initrd, sizeof(initrd));
    put_file(rig->kernel_fd, file.bytes, file.size);
    assert_int_equal(load(rig, rig->initrd_path, NULL), 0);
    const struct setup_header *header =
        &((struct boot_params *)guest(rig, rig->entry.info, 4096))->hdr;
    assert_int_equal(header->ramdisk_image, RAM - 8192);
    assert_int_equal(header->ramdisk_size, sizeof(initrd));
    assert_memory_equal(guest(rig, header->ramdisk_image, sizeof(initrd)), initrd, sizeof(initrd));
    file.params.hdr.initrd_addr_max = 24 * MIB - 1;
    put_file(rig->kernel_fd, file.bytes, file.size);
    assert_int_equal(ftruncate(rig->initrd_fd, 8192), 0);
    assert_int_equal(load(rig, rig->initrd_path, NULL), 0);
    assert_int_equal(header->ramdisk_image, 24 * MIB - 8192);
}

static void test_initrd_that_does_not_fit(void **state)
{
    struct rig *rig = *state;
    struct bzimage_file file;
    const uint64_t room = RAM - PREFERRED - INIT_SIZE;
    make_bzimage(&file);
    put_file(rig->kernel_fd, file.bytes, file.size);
    assert_int_equal(ftruncate(rig->initrd_fd, (off_t)room), 0);
    assert_int_equal(load(rig, rig->initrd_path, NULL), 0);
    const uint64_t sizes[] = {room + 1, RAM, RAM + 1ull, 1ull << 40};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        assert_int_equal(ftruncate(rig->initrd_fd, (off_t)sizes[i]), 0);
        assert_int_equal(load(rig, rig->initrd_path, NULL), -ENOMEM);
        assert_int_equal(strncmp(rig->err.text, "--initrd /proc", 14), 0);
        assert_non_null(strstr(rig->err.text, "--memory"));
    }
}

static void test_files_that_cannot_be_read(void **state)
{
    struct rig *rig = *state;
    struct bzimage_file file;
    make_bzimage(&file);
    put_file(rig->kernel_fd, file.bytes, file.size);
    assert_int_equal(load(rig, "/nonexistent/initrd", NULL), -ENOENT);
    assert_string_equal(rig->err.text, "--initrd /nonexistent/initrd: No such file or directory");
    assert_int_equal(load(rig, "/proc", NULL), -EINVAL);
    assert_string_equal(rig->err.text, "--initrd /proc: not a regular file");
    assert_int_equal(boot_open(&rig->boot, "/dev/null", NULL, NULL, &rig->err), -EINVAL);
    assert_string_equal(rig->err.text, "--kernel /dev/null: not a regular file");
}

static void test_file_that_shrinks_before_a_reboot(void **state)
{
    struct rig *rig = *state;
    struct bzimage_file file;
    make_bzimage(&file);
    assert_int_equal(load_kernel(rig, file.bytes, file.size), 0);
    assert_int_equal(ftruncate(rig->kernel_fd, 3000), 0);
    expect_error(rig, boot_load(&rig->boot, &rig->target, &rig->entry, &rig->err), "shorter");
    put_file(rig->kernel_fd, file.bytes, file.size);
    assert_int_equal(boot_load(&rig->boot, &rig->target, &rig->entry, &rig->err), 0);
}

static void test_command_line_length(void **state)
{
    struct rig *rig = *state;
    struct bzimage_file file;
    char words[2049];
    make_bzimage(&file);
    put_file(rig->kernel_fd, file.bytes, file.size);
    memset(words, 'x', sizeof(words));
    memcpy(words, "console=x ", 10);
    words[2047] = '\0';
    assert_int_equal(load(rig, NULL, words), 0);
    assert_string_equal(guest(rig, BOOT_COMMAND_LINE, 2048), words);
    words[2047] = 'x';
    words[2048] = '\0';
    assert_int_equal(load(rig, NULL, words), -EINVAL);
    assert_string_equal(rig->err.text,
                        "--append: the command line has 2048 bytes, the kernel takes 2047");
    file.params.hdr.cmdline_size = 0xffffffff; /* the room we have is the limit */
    put_file(rig->kernel_fd, file.bytes, file.size);
    assert_int_equal(load(rig, NULL, words), 0);
}

static void expect_command_line(const char *append, const char *expected)
{
    char *line = boot_command_line(append);
    assert_string_equal(line, expected);
    free(line);
}

static void test_default_console(void **state)
{
    (void)state;
    expect_command_line(NULL, "console=ttyS0");
    expect_command_line("", "console=ttyS0");
    expect_command_line("quiet root=/dev/vda", "quiet root=/dev/vda console=ttyS0");
    expect_command_line("console=hvc0", "console=hvc0");
    expect_command_line("quiet console=hvc0 x", "quiet console=hvc0 x");
    expect_command_line("netconsole=a", "netconsole=a console=ttyS0");
    expect_command_line("netconsole=a console=b", "netconsole=a console=b");
}

/* ---- ELF */

enum {
    SEGMENT_OFFSET = 0x1000,
    SEGMENT_SIZE = 0x800,
    SEGMENT_ADDRESS = 0x200000,
    BSS_SIZE = 0x3000,
    NOTE_OFFSET = 0x400,
    ELF_ENTRY = SEGMENT_ADDRESS + 0x10,
    ELF_FILE_SIZE = SEGMENT_OFFSET + SEGMENT_SIZE,
};

struct elf_file {
    union {
        struct {
            Elf64_Ehdr header;
            Elf64_Phdr segments[3];
        };
        struct {
            Elf32_Ehdr header32;
            Elf32_Phdr segments32[3];
        };
        uint8_t bytes[FILE_MAX];
    };
};

static size_t put_note(uint8_t *to, uint32_t type, const char *name, const void *descriptor,
                       uint32_t size, size_t alignment)
{
    Elf32_Nhdr note = {.n_namesz = (uint32_t)strlen(name) + 1, .n_descsz = size, .n_type = type};
    size_t at = sizeof(note);
    memcpy(to, &note, sizeof(note));
    memcpy(to + at, name, note.n_namesz);
    at = (at + note.n_namesz + alignment - 1) & ~(alignment - 1);
    memcpy(to + at, descriptor, size);
    return (at + size + alignment - 1) & ~(alignment - 1);
}

/* A build id first, as the linker puts it there, then Xen's. Returns the size of both. */
static size_t put_notes(uint8_t *to, uint64_t entry, uint32_t entry_size, size_t alignment)
{
    size_t size = put_note(to, 3, "GNU", "0123456789abcdefghi", 20, alignment);
    return size + put_note(to + size, 18, "Xen", &entry, entry_size, alignment);
}

static void fill_segment(struct elf_file *file)
{
    for (size_t i = 0; i < SEGMENT_SIZE; i++) {
        file->bytes[SEGMENT_OFFSET + i] = (uint8_t)(i * 3 + 5);
    }
}

static void make_elf64(struct elf_file *file)
{
    memset(file, 0, sizeof(*file));
    size_t notes = put_notes(file->bytes + NOTE_OFFSET, ELF_ENTRY, 4, 4);
    fill_segment(file);
    memcpy(file->header.e_ident, ELFMAG, SELFMAG);
    file->header.e_ident[EI_CLASS] = ELFCLASS64;
    file->header.e_ident[EI_DATA] = ELFDATA2LSB;
    file->header.e_machine = EM_X86_64;
    file->header.e_phoff = offsetof(struct elf_file, segments);
    file->header.e_phentsize = sizeof(Elf64_Phdr);
    file->header.e_phnum = 3;
    file->segments[0] = (Elf64_Phdr){.p_type = PT_LOAD,
                                     .p_offset = SEGMENT_OFFSET,
                                     .p_vaddr = 0xffffffff81000000,
                                     .p_paddr = SEGMENT_ADDRESS,
                                     .p_filesz = SEGMENT_SIZE,
                                     .p_memsz = SEGMENT_SIZE + BSS_SIZE};
    file->segments[1] = (Elf64_Phdr){.p_type = PT_GNU_STACK, .p_offset = UINT64_MAX};
    file->segments[2] =
        (Elf64_Phdr){.p_type = PT_NOTE, .p_offset = NOTE_OFFSET, .p_filesz = notes, .p_align = 4};
}

static void make_elf32(struct elf_file *file)
{
    memset(file, 0, sizeof(*file));
    size_t notes = put_notes(file->bytes + NOTE_OFFSET, ELF_ENTRY, 4, 4);
    fill_segment(file);
    memcpy(file->header32.e_ident, ELFMAG, SELFMAG);
    file->header32.e_ident[EI_CLASS] = ELFCLASS32;
    file->header32.e_ident[EI_DATA] = ELFDATA2LSB;
    file->header32.e_machine = EM_386;
    file->header32.e_phoff = offsetof(struct elf_file, segments32);
    file->header32.e_phentsize = sizeof(Elf32_Phdr);
    file->header32.e_phnum = 2;
    file->segments32[0] = (Elf32_Phdr){
        .p_type = PT_NOTE, .p_offset = NOTE_OFFSET, .p_filesz = (Elf32_Word)notes, .p_align = 4};
    file->segments32[1] = (Elf32_Phdr){.p_type = PT_LOAD,
                                       .p_offset = SEGMENT_OFFSET,
                                       .p_paddr = SEGMENT_ADDRESS,
                                       .p_filesz = SEGMENT_SIZE,
                                       .p_memsz = SEGMENT_SIZE + BSS_SIZE};
}

static void check_elf_loaded(struct rig *rig, const struct elf_file *file)
{
    static const uint8_t zero[BSS_SIZE];
    assert_int_equal(rig->entry.protocol, BOOT_PVH);
    assert_int_equal(rig->entry.rip, ELF_ENTRY);
    assert_memory_equal(guest(rig, SEGMENT_ADDRESS, SEGMENT_SIZE), file->bytes + SEGMENT_OFFSET,
                        SEGMENT_SIZE);
    assert_memory_equal(guest(rig, SEGMENT_ADDRESS + SEGMENT_SIZE, BSS_SIZE), zero, BSS_SIZE);
    assert_int_equal(*(uint8_t *)guest(rig, SEGMENT_ADDRESS + SEGMENT_SIZE + BSS_SIZE, 1), 0xcc);
}

static void test_elf_loads(void **state)
{
    struct rig *rig = *state;
    struct elf_file file;
    memset(guest(rig, MIB, 4 * MIB), 0xcc, 4 * MIB); /* a guest ran before: .bss must be cleared */
    make_elf64(&file);
    assert_int_equal(load_kernel(rig, file.bytes, ELF_FILE_SIZE), 0);
    check_elf_loaded(rig, &file);
    memset(guest(rig, MIB, 4 * MIB), 0xcc, 4 * MIB);
    make_elf32(&file);
    assert_int_equal(load_kernel(rig, file.bytes, ELF_FILE_SIZE), 0);
    check_elf_loaded(rig, &file);
}

static uint64_t field(struct rig *rig, uint64_t address, size_t size)
{
    uint64_t value = 0;
    memcpy(&value, guest(rig, address, size), size);
    return value;
}

/* Offsets from Xen's public header start_info.h. */
static void test_pvh_start_info(void **state)
{
    struct rig *rig = *state;
    struct elf_file file;
    struct x86_memory_range ranges[X86_MEMORY_RANGES_MAX];
    make_elf64(&file);
    put_file(rig->kernel_fd, file.bytes, ELF_FILE_SIZE);
    put_file(rig->initrd_fd, "initrd", 6);
    assert_int_equal(load(rig, rig->initrd_path, "console=x a b"), 0);
    uint64_t info = rig->entry.info;
    assert_int_equal(field(rig, info, 4), 0x336ec578);
    assert_int_equal(field(rig, info + 4, 4), 1);
    assert_int_equal(field(rig, info + 8, 4), 0);
    assert_int_equal(field(rig, info + 12, 4), 1);
    uint64_t module = field(rig, info + 16, 8);
    assert_string_equal(guest(rig, field(rig, info + 24, 8), 32), "console=x a b");
    assert_int_equal(field(rig, info + 32, 8), RSDP);
    uint64_t memory_map = field(rig, info + 40, 8);
    unsigned count = x86_memory_ranges(&rig->map, ranges);
    assert_int_equal(field(rig, info + 48, 4), count);
    assert_int_equal(field(rig, module, 8), RAM - 4096);
    assert_int_equal(field(rig, module + 8, 8), 6);
    assert_memory_equal(guest(rig, RAM - 4096, 6), "initrd", 6);
    for (unsigned i = 0; i < count; i++) {
        uint64_t range = memory_map + 24ull * i;
        assert_int_equal(field(rig, range, 8), ranges[i].base);
        assert_int_equal(field(rig, range + 8, 8), ranges[i].size);
        assert_int_equal(field(rig, range + 16, 4), ranges[i].type);
    }
}

static void test_elf_truncated_anywhere(void **state)
{
    struct rig *rig = *state;
    struct elf_file file;
    make_elf64(&file);
    for (size_t size = 1; size < ELF_FILE_SIZE; size++) {
        expect_error(rig, load_kernel(rig, file.bytes, size), "");
    }
    make_elf32(&file);
    for (size_t size = 1; size < ELF_FILE_SIZE; size++) {
        expect_error(rig, load_kernel(rig, file.bytes, size), "");
    }
}

static void expect_bad_elf(struct rig *rig, const struct elf_file *file, const char *reason)
{
    expect_error(rig, load_kernel(rig, file->bytes, FILE_MAX), reason);
}

#define ELF(member) FIELD(struct elf_file, member)

static void expect_bad_elfs(struct rig *rig, const struct damage *bad, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct elf_file file;
        make_elf64(&file);
        memcpy(file.bytes + bad[i].offset, &bad[i].value, bad[i].size);
        expect_bad_elf(rig, &file, bad[i].reason);
    }
}

static const struct damage bad_elf_headers[] = {
    {ELF(header.e_ident[EI_CLASS]), 0, "class 0"},
    {ELF(header.e_phentsize), 32, "program headers of 32 bytes"},
    {ELF(header.e_phnum), 0, "0 program headers"},
    {ELF(header.e_phnum), 65, "65 program headers"},
    {ELF(header.e_phnum), 0xffff, "65535 program headers"},
    {ELF(header.e_phoff), FILE_MAX - 10, "truncated"},
    {ELF(header.e_phoff), UINT64_MAX - 10, "truncated"},
};

static void test_elf_header_checks(void **state)
{
    struct rig *rig = *state;
    expect_bad_elfs(rig, bad_elf_headers, sizeof(bad_elf_headers) / sizeof(bad_elf_headers[0]));
}

static const struct damage bad_segments[] = {
    {ELF(segments[0].p_offset), FILE_MAX, "truncated"},
    {ELF(segments[0].p_offset), UINT64_MAX - 16, "truncated"},
    {ELF(segments[0].p_memsz), SEGMENT_SIZE - 1, "in memory"},
    {ELF(segments[0].p_memsz), 0, "in memory"}, /* not skipped: the entry is in it */
    {ELF(segments[0].p_memsz), RAM, "does not fit"},
    {ELF(segments[0].p_memsz), UINT64_MAX, "does not fit"},
    {ELF(segments[0].p_paddr), 0, "in no segment"},
    {ELF(segments[0].p_type), PT_NULL, "in no segment"},
};

static void test_elf_segment_checks(void **state)
{
    struct rig *rig = *state;
    expect_bad_elfs(rig, bad_segments, sizeof(bad_segments) / sizeof(bad_segments[0]));
    struct elf_file file;
    make_elf64(&file);
    file.segments[1] = file.segments[0]; /* the entry's segment is fine, this one is not */
    const uint64_t addresses[] = {0, MIB - 1, RAM - SEGMENT_SIZE, RAM, UINT64_MAX - SEGMENT_SIZE};
    for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
        file.segments[1].p_paddr = addresses[i];
        expect_bad_elf(rig, &file, "does not fit");
    }
}

static const struct damage bad_notes[] = {
    {ELF(segments[2].p_type), PT_NULL, "no PVH entry"},
    {ELF(segments[2].p_filesz), 0, "no PVH entry"},
    {ELF(segments[2].p_filesz), 40, "no PVH entry"}, /* ends in the second note */
    {ELF(segments[2].p_filesz), 65537, "notes of"},
    {ELF(segments[2].p_filesz), UINT64_MAX, "notes of"},
    {ELF(segments[2].p_offset), FILE_MAX, "truncated"},
};

static void test_elf_notes(void **state)
{
    struct rig *rig = *state;
    struct elf_file file;
    expect_bad_elfs(rig, bad_notes, sizeof(bad_notes) / sizeof(bad_notes[0]));
    make_elf64(&file);
    file.segments[2].p_filesz = put_notes(file.bytes + NOTE_OFFSET, ELF_ENTRY, 8, 8);
    file.segments[2].p_align = 8;
    assert_int_equal(load_kernel(rig, file.bytes, FILE_MAX), 0);
    assert_int_equal(rig->entry.rip, ELF_ENTRY);
    put_notes(file.bytes + NOTE_OFFSET, 0x500000000, 8, 8);
    expect_bad_elf(rig, &file, "in no segment");
    put_notes(file.bytes + NOTE_OFFSET, SEGMENT_ADDRESS + SEGMENT_SIZE, 8, 8); /* in .bss */
    expect_bad_elf(rig, &file, "in no segment");
    put_notes(file.bytes + NOTE_OFFSET, ELF_ENTRY, 2, 8);
    expect_bad_elf(rig, &file, "no PVH entry");
}

static void test_elf_hostile_note_sizes(void **state)
{
    struct rig *rig = *state;
    struct elf_file file;
    const uint32_t sizes[] = {0x7fffffff, 0x80000000, 0xfffffff0, 0xffffffff};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        make_elf64(&file);
        ((Elf32_Nhdr *)(file.bytes + NOTE_OFFSET))->n_namesz = sizes[i];
        expect_bad_elf(rig, &file, "no PVH entry");
        make_elf64(&file);
        ((Elf32_Nhdr *)(file.bytes + NOTE_OFFSET))->n_descsz = sizes[i];
        expect_bad_elf(rig, &file, "no PVH entry");
    }
}

/* ---- what is it? */

static void expect_described(struct rig *rig, size_t offset, const char *bytes, size_t length,
                             const char *name)
{
    uint8_t file[1024] = {0};
    memcpy(file + offset, bytes, length);
    expect_error(rig, load_kernel(rig, file, sizeof(file)), name);
}

static void test_other_files_are_recognised(void **state)
{
    struct rig *rig = *state;
    expect_described(rig, 56, "ARM\x64", 4, "this is an arm64 Image; an x86-64 machine boots");
    expect_described(rig, 0, "\x1f\x8b\x08", 3, "gzip");
    expect_described(rig, 0, "\x28\xb5\x2f\xfd", 4, "zstd");
    expect_described(rig, 0, "070701", 6, "cpio archive");
    expect_described(rig, 0,
                     "\x7f"
                     "ELF\2\1\1\0\0\0\0\0\0\0\0\0\2\0\xb7\0",
                     20, "an ELF file for arm64");
    expect_described(rig, 0,
                     "\x7f"
                     "ELF\2\2\1\0\0\0\0\0\0\0\0\0\0\2\0\x16",
                     20, "an ELF file for s390"); /* big-endian */
    expect_described(rig, 0, "hello", 5, "not a kernel in any known format");
    char efi[0x46] = "MZ";
    static const char pe_arm64[6] = {'P', 'E', 0, 0, 0x64, (char)0xaa};
    efi[0x3c] = 0x40;
    memcpy(efi + 0x40, pe_arm64, sizeof(pe_arm64));
    expect_described(rig, 0, efi, sizeof(efi), "an EFI program for arm64");
    efi[0x3f] = 0x7f; /* points far behind the end */
    expect_described(rig, 0, efi, sizeof(efi), "an EFI or DOS program");
}

/* ---- random damage */

static uint32_t random_state;

static uint32_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state;
}

/* Whatever the damage: one line that names the option, or an entry that lies in RAM. */
static void check_damaged(struct rig *rig, const uint8_t *good, size_t size, size_t interesting)
{
    uint8_t bytes[FILE_MAX];
    memcpy(bytes, good, size);
    for (unsigned flips = 1 + next_random() % 4; flips > 0; flips--) {
        static const uint8_t extremes[] = {0, 1, 0x7f, 0x80, 0xff};
        size_t at = next_random() % interesting;
        uint32_t kind = next_random() % 8;
        bytes[at] = kind < 5 ? extremes[kind] : (uint8_t)(bytes[at] ^ 1u << next_random() % 8);
    }
    int ret = load_kernel(rig, bytes, size);
    if (ret < 0) {
        bool named = strncmp(rig->err.text, "--kernel ", 9) == 0 ||
                     strncmp(rig->err.text, "--append: ", 10) == 0;
        assert_true(named);
    } else {
        assert_in_range(rig->entry.rip, MIB, RAM - 1);
    }
}

static void test_random_damage(void **state)
{
    enum { ROUNDS = 4000, SEED = 20240 };
    struct rig *rig = *state;
    struct bzimage_file bzimage;
    struct elf_file elf64, elf32;
    make_bzimage(&bzimage);
    make_elf64(&elf64);
    make_elf32(&elf32);
    random_state = SEED;
    for (unsigned round = 0; round < ROUNDS; round++) {
        check_damaged(rig, bzimage.bytes + 0, bzimage.size, 0x26c);
        check_damaged(rig, elf64.bytes, ELF_FILE_SIZE, NOTE_OFFSET + 64);
        check_damaged(rig, elf32.bytes, ELF_FILE_SIZE, NOTE_OFFSET + 64);
    }
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_bzimage_loads),
        TEST(test_bzimage_memory_map),
        TEST(test_bzimage_page_tables),
        TEST(test_bzimage_setup_sectors_0_means_4),
        TEST(test_bzimage_trailing_signature_is_not_loaded),
        TEST(test_bzimage_truncated_anywhere),
        TEST(test_bzimage_header_checks),
        TEST(test_bzimage_fills_ram_to_the_last_byte),
        TEST(test_initrd_is_as_high_as_it_goes),
        TEST(test_initrd_that_does_not_fit),
        TEST(test_files_that_cannot_be_read),
        TEST(test_file_that_shrinks_before_a_reboot),
        TEST(test_command_line_length),
        cmocka_unit_test(test_default_console),
        TEST(test_elf_loads),
        TEST(test_pvh_start_info),
        TEST(test_elf_truncated_anywhere),
        TEST(test_elf_header_checks),
        TEST(test_elf_segment_checks),
        TEST(test_elf_notes),
        TEST(test_elf_hostile_note_sizes),
        TEST(test_other_files_are_recognised),
        TEST(test_random_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/*
 * bzImage, by Linux's 64-bit boot protocol (Documentation/arch/x86/boot.rst).
 *
 *   file      0  boot sector; from 0x1f1 on the setup header, which says what the kernel needs
 *           512  setup_sects sectors of real-mode code, which we do not run
 *             :  the protected-mode kernel, syssize * 16 bytes; its 64-bit entry is 0x200 in it
 *
 * The kernel goes to its preferred address. From there it needs init_size bytes to unpack itself
 * (rounded up to kernel_alignment if it is relocatable); a lower place would not help, as it moves
 * up. The setup header is copied into the zero page, struct boot_params, where the kernel also
 * finds the memory map, the initrd and the command line. It is entered in long mode with the first
 * gigabytes mapped one to one.
 */
#include <asm/bootparam.h>
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "vmm/x86/boot.h"

enum {
    HEADER_OFFSET = offsetof(struct boot_params, hdr),
    HEADER_ROOM = offsetof(struct boot_params, edd_mbr_sig_buffer) - HEADER_OFFSET,
    HEADER_MAGIC = 0x53726448, /* "HdrS" */
    BOOT_FLAG = 0xaa55,
    PROTOCOL_2_12 = 0x020c, /* the first with xloadflags */
    SECTOR = 512,
    PARAGRAPH = 16,
    DEFAULT_SETUP_SECTORS = 4,
    ENTRY_64 = 0x200,
    LOADER_UNDEFINED = 0xff, /* type_of_loader: none of the registered ones */
    VIDEO_NORMAL = 0xffff,
};

/* The header as it is in the file, and what follows from it. All of it was checked. */
struct bzimage {
    struct setup_header header;
    uint8_t header_bytes[HEADER_ROOM]; /* as copied to the zero page */
    uint64_t image_offset;             /* of the protected-mode kernel in the file */
    uint64_t image_size;
    uint64_t address; /* where it is loaded */
    uint64_t end;     /* of all that it needs before it knows the memory map */
};

/* ---- reading and checking */

/* The header ends where the jump instruction at 0x200 goes to: 0x202 + its operand. */
static int read_header(const struct boot_file *kernel, struct bzimage *image, struct error *err)
{
    enum { JUMP_OPERAND = 0x201, JUMP_END = 0x202 };
    uint8_t operand;
    int ret = boot_read(kernel, JUMP_OPERAND, &operand, 1, err);
    if (ret < 0) {
        return ret;
    }
    size_t length = JUMP_END + operand - HEADER_OFFSET;
    size_t needed = offsetof(struct setup_header, handover_offset);
    if (length < needed || length > HEADER_ROOM) {
        return boot_error(err, -EINVAL, kernel,
                          "malformed bzImage: a setup header of %zu bytes (%zu to %d are possible)",
                          length, needed, HEADER_ROOM);
    }
    ret = boot_read(kernel, HEADER_OFFSET, image->header_bytes, length, err);
    memcpy(&image->header, image->header_bytes, sizeof(image->header));
    return ret;
}

static int check_header(const struct boot_file *kernel, const struct setup_header *header,
                        struct error *err)
{
    if (header->boot_flag != BOOT_FLAG || header->header != HEADER_MAGIC) {
        return boot_error(err, -EINVAL, kernel,
                          "malformed bzImage: boot flag 0x%04x, header magic 0x%08x",
                          header->boot_flag, header->header);
    }
    if (header->version < PROTOCOL_2_12) {
        return boot_error(err, -EINVAL, kernel,
                          "its boot protocol is %u.%02u, minivmm needs 2.12 (Linux 3.8) or later",
                          header->version >> 8, header->version & 0xff);
    }
    if (!(header->loadflags & LOADED_HIGH)) {
        return boot_error(err, -EINVAL, kernel, "a zImage, which loads below 1 MiB; use a bzImage");
    }
    if (!(header->xloadflags & XLF_KERNEL_64)) {
        return boot_error(err, -EINVAL, kernel, "a 32-bit kernel; minivmm boots 64-bit ones");
    }
    uint32_t alignment = header->kernel_alignment;
    if (header->relocatable_kernel && (alignment == 0 || (alignment & (alignment - 1)) != 0)) {
        return boot_error(err, -EINVAL, kernel,
                          "malformed bzImage: an alignment of 0x%x is no power of 2", alignment);
    }
    return 0;
}

static int find_image(const struct boot_file *kernel, struct bzimage *image, struct error *err)
{
    const struct setup_header *header = &image->header;
    unsigned sectors = header->setup_sects ? header->setup_sects : DEFAULT_SETUP_SECTORS;
    uint64_t promised = (uint64_t)header->syssize * PARAGRAPH;
    image->image_offset = (sectors + 1ull) * SECTOR;
    if (image->image_offset >= kernel->size || promised <= ENTRY_64) {
        return boot_error(err, -EINVAL, kernel,
                          "truncated or malformed bzImage: %" PRIu64 " bytes of kernel at %" PRIu64
                          ", the file has %" PRIu64,
                          promised, image->image_offset, kernel->size);
    }
    uint64_t rest = kernel->size - image->image_offset;
    if (rest + PARAGRAPH <= promised) { /* the last paragraph need not be full */
        return boot_error(err, -EINVAL, kernel,
                          "truncated bzImage: its header promises %" PRIu64
                          " bytes of kernel, the file has %" PRIu64,
                          promised, rest);
    }
    image->image_size = rest < promised ? rest : promised; /* a signature may follow */
    return 0;
}

static int place_image(const struct boot_file *kernel, const struct boot_target *target,
                       struct bzimage *image, struct error *err)
{
    const struct setup_header *header = &image->header;
    uint64_t address = header->pref_address;
    uint64_t low_ram = target->map->low_ram;
    if (address < X86_HIGH_MEMORY_BASE) {
        return boot_error(err, -EINVAL, kernel,
                          "malformed bzImage: its preferred address 0x%" PRIx64 " is below 1 MiB",
                          address);
    }
    uint64_t mask = header->relocatable_kernel ? header->kernel_alignment - 1ull : 0;
    bool in_ram = address < low_ram;
    uint64_t runtime = in_ram ? (address + mask) & ~mask : 0; /* both below 2^32: no overflow */
    uint64_t loaded_end = address + image->image_size;
    uint64_t unpacked_end = runtime + header->init_size;
    image->address = address;
    image->end = loaded_end > unpacked_end ? loaded_end : unpacked_end;
    if (!in_ram || image->end > low_ram) {
        uint64_t needed = in_ram ? image->end - address : header->init_size;
        return boot_error(err, -ENOMEM, kernel,
                          "needs %" PRIu64 " KiB of RAM from %" PRIu64
                          " KiB on, but RAM ends at %" PRIu64
                          " KiB; give the machine more --memory",
                          needed >> 10, address >> 10, low_ram >> 10);
    }
    return 0;
}

static int examine(const struct boot_file *kernel, const struct boot_target *target,
                   struct bzimage *image, struct error *err)
{
    int ret = read_header(kernel, image, err);
    ret = ret < 0 ? ret : check_header(kernel, &image->header, err);
    ret = ret < 0 ? ret : find_image(kernel, image, err);
    ret = ret < 0 ? ret : place_image(kernel, target, image, err);
    return ret;
}

/* ---- what the kernel is given */

static void fill_memory_map(struct boot_params *zero_page, const struct x86_memory_map *map)
{
    struct x86_memory_range ranges[X86_MEMORY_RANGES_MAX];
    unsigned count = x86_memory_ranges(map, ranges);
    for (unsigned i = 0; i < count; i++) {
        zero_page->e820_table[i] = (struct boot_e820_entry){
            .addr = ranges[i].base, .size = ranges[i].size, .type = ranges[i].type};
    }
    zero_page->e820_entries = (uint8_t)count;
}

static int write_zero_page(const struct boot *boot, const struct boot_target *target,
                           const struct bzimage *image, uint64_t initrd, struct error *err)
{
    struct boot_params *zero_page =
        guest_memory_range(target->memory, gpa(BOOT_ZERO_PAGE), sizeof(*zero_page));
    if (!zero_page) {
        return error_set(err, -EFAULT, "no RAM at 0x%llx for the zero page", BOOT_ZERO_PAGE);
    }
    memset(zero_page, 0, sizeof(*zero_page));
    memcpy((uint8_t *)zero_page + HEADER_OFFSET, image->header_bytes, HEADER_ROOM);
    struct setup_header *header = &zero_page->hdr;
    header->type_of_loader = LOADER_UNDEFINED;
    header->vid_mode = VIDEO_NORMAL;
    header->code32_start = (uint32_t)image->address;
    header->cmd_line_ptr = BOOT_COMMAND_LINE;
    header->ramdisk_image = (uint32_t)initrd;
    header->ramdisk_size = initrd ? (uint32_t)boot->initrd.size : 0;
    header->setup_data = 0;
    zero_page->acpi_rsdp_addr = target->rsdp;
    fill_memory_map(zero_page, target->map);
    return 0;
}

/*
 * Map [0, end) one to one, at least the first 4 GiB where that is one entry a gigabyte. SDM volume
 * 3, 4.5: level 4 at BOOT_PAGE_TABLES, level 3 behind it, then as many of level 2 as it takes.
 */
static int write_page_tables(const struct boot_target *target, uint64_t end, struct error *err)
{
    enum { PRESENT = 1, WRITABLE = 2, LARGE = 1 << 7, ENTRIES = 512, TABLES = 6 };
    const unsigned gigabytes =
        target->gigabyte_pages ? 4 : (unsigned)((end + (1u << 30) - 1) >> 30);
    const unsigned used = target->gigabyte_pages ? 2 : 2 + gigabytes;
    const uint64_t size = (uint64_t)used * sizeof(uint64_t[ENTRIES]);
    uint64_t *tables = guest_memory_range(target->memory, gpa(BOOT_PAGE_TABLES), size);
    if (!tables || used > TABLES) {
        return error_set(err, -EFAULT, "no room for the boot processor's page tables");
    }
    memset(tables, 0, size);
    uint64_t *level3 = tables + ENTRIES;
    uint64_t *level2 = level3 + ENTRIES;
    tables[0] = (BOOT_PAGE_TABLES + sizeof(uint64_t[ENTRIES])) | PRESENT | WRITABLE;
    for (uint64_t i = 0; i < gigabytes; i++) {
        uint64_t table = BOOT_PAGE_TABLES + (2 + i) * sizeof(uint64_t[ENTRIES]);
        level3[i] = (target->gigabyte_pages ? i << 30 | LARGE : table) | PRESENT | WRITABLE;
    }
    for (uint64_t i = 0; !target->gigabyte_pages && i < (uint64_t)gigabytes * ENTRIES; i++) {
        level2[i] = i << 21 | LARGE | PRESENT | WRITABLE;
    }
    return 0;
}

int bzimage_load(const struct boot *boot, const struct boot_target *target,
                 struct boot_entry *entry, struct error *err)
{
    const struct boot_file *kernel = &boot->kernel;
    struct bzimage image = {0};
    uint64_t initrd = 0;
    int ret = examine(kernel, target, &image, err);
    if (ret < 0) {
        return ret;
    }
    uint64_t initrd_limit = image.header.initrd_addr_max + 1ull; /* of its last byte */
    ret = boot_read_to_guest(kernel, image.image_offset, image.image_size, target, image.address,
                             err);
    ret = ret < 0 ? ret : boot_load_initrd(boot, target, image.end, initrd_limit, &initrd, err);
    ret = ret < 0 ? ret : boot_write_command_line(boot, target, image.header.cmdline_size, err);
    ret = ret < 0 ? ret : write_zero_page(boot, target, &image, initrd, err);
    ret = ret < 0 ? ret : write_page_tables(target, image.end, err);
    entry->rip = image.address + ENTRY_64;
    entry->info = BOOT_ZERO_PAGE;
    entry->page_tables = BOOT_PAGE_TABLES;
    return ret;
}

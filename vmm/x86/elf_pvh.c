/* SPDX-License-Identifier: MIT */
/*
 * ELF kernels, by PVH: the x86/HVM direct boot ABI (Xen's docs/misc/pvh.pandoc), which Linux's
 * vmlinux has with CONFIG_PVH and small test kernels can have with one note.
 *
 * The program headers say which parts of the file go to which physical addresses. A note of name
 * "Xen" and type 18 holds the entry point. It is entered in 32-bit protected mode without paging;
 * EBX points to a struct start_info, which points to the command line, the initrd ("module"), the
 * memory map and the ACPI root pointer.
 */
#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/x86/boot.h"

/* ---- the ABI: xen/include/public/arch-x86/hvm/start_info.h; little-endian, no padding */

enum {
    START_INFO_MAGIC = 0x336ec578,
    START_INFO_VERSION = 1, /* with the memory map */
    NOTE_PHYS32_ENTRY = 18, /* XEN_ELFNOTE_PHYS32_ENTRY */
};

struct start_info {
    uint32_t magic;
    uint32_t version;
    uint32_t flags;
    uint32_t module_count;
    uint64_t module_list;
    uint64_t command_line;
    uint64_t rsdp;
    uint64_t memory_map;
    uint32_t memory_map_entries;
    uint32_t reserved;
};

struct start_info_module {
    uint64_t address;
    uint64_t size;
    uint64_t command_line;
    uint64_t reserved;
};

struct start_info_range {
    uint64_t base;
    uint64_t size;
    uint32_t type;
    uint32_t reserved;
};

/* The page at BOOT_PVH_INFO. */
struct pvh_page {
    struct start_info info;
    struct start_info_module module;
    struct start_info_range ranges[X86_MEMORY_RANGES_MAX];
};

_Static_assert(sizeof(struct start_info) == 56, "as the ABI has it");
_Static_assert(sizeof(struct start_info_module) == 32, "as the ABI has it");
_Static_assert(sizeof(struct start_info_range) == 24, "as the ABI has it");

/* ---- program headers of either class */

enum { SEGMENTS_MAX = 64, NOTES_SIZE_MAX = 64 << 10, ADDRESS_NONE = 0 };

struct segment {
    uint32_t type;
    uint64_t offset; /* in the file */
    uint64_t file_size;
    uint64_t address; /* physical */
    uint64_t memory_size;
    uint64_t alignment;
};

struct elf {
    const struct boot_file *file;
    unsigned count;
    struct segment segments[SEGMENTS_MAX];
    uint64_t end; /* behind the last loaded byte */
};

static void take_segment64(struct segment *segment, const void *bytes)
{
    Elf64_Phdr header;
    memcpy(&header, bytes, sizeof(header));
    *segment = (struct segment){.type = header.p_type,
                                .offset = header.p_offset,
                                .file_size = header.p_filesz,
                                .address = header.p_paddr,
                                .memory_size = header.p_memsz,
                                .alignment = header.p_align};
}

static void take_segment32(struct segment *segment, const void *bytes)
{
    Elf32_Phdr header;
    memcpy(&header, bytes, sizeof(header));
    *segment = (struct segment){.type = header.p_type,
                                .offset = header.p_offset,
                                .file_size = header.p_filesz,
                                .address = header.p_paddr,
                                .memory_size = header.p_memsz,
                                .alignment = header.p_align};
}

/* Where the program headers are, how large each is and how many there are. */
static int check_table(struct elf *elf, unsigned entry_size, unsigned expected, unsigned count,
                       struct error *err)
{
    if (entry_size != expected) {
        return boot_error(err, -EINVAL, elf->file,
                          "malformed ELF file: program headers of %u bytes instead of %u",
                          entry_size, expected);
    }
    if (count == 0 || count > SEGMENTS_MAX) {
        return boot_error(err, -EINVAL, elf->file,
                          "malformed ELF file: %u program headers (1 to %d are possible)", count,
                          SEGMENTS_MAX);
    }
    elf->count = count;
    return 0;
}

/* Read the program headers at `offset`; `take` knows their class. */
static int read_segments(struct elf *elf, uint64_t offset, unsigned entry_size,
                         void (*take)(struct segment *segment, const void *bytes),
                         struct error *err)
{
    uint8_t table[SEGMENTS_MAX * sizeof(Elf64_Phdr)]; /* the larger of the two */
    int ret = boot_read(elf->file, offset, table, (uint64_t)elf->count * entry_size, err);
    for (unsigned i = 0; ret == 0 && i < elf->count; i++) {
        take(&elf->segments[i], table + (size_t)i * entry_size);
    }
    return ret;
}

static int read_table64(struct elf *elf, struct error *err)
{
    const unsigned size = sizeof(Elf64_Phdr);
    Elf64_Ehdr header;
    int ret = boot_read(elf->file, 0, &header, sizeof(header), err);
    ret = ret < 0 ? ret : check_table(elf, header.e_phentsize, size, header.e_phnum, err);
    return ret < 0 ? ret : read_segments(elf, header.e_phoff, size, take_segment64, err);
}

static int read_table32(struct elf *elf, struct error *err)
{
    const unsigned size = sizeof(Elf32_Phdr);
    Elf32_Ehdr header;
    int ret = boot_read(elf->file, 0, &header, sizeof(header), err);
    ret = ret < 0 ? ret : check_table(elf, header.e_phentsize, size, header.e_phnum, err);
    return ret < 0 ? ret : read_segments(elf, header.e_phoff, size, take_segment32, err);
}

static int read_table(struct elf *elf, struct error *err)
{
    uint8_t ident[EI_NIDENT];
    int ret = boot_read(elf->file, 0, ident, sizeof(ident), err);
    if (ret < 0) {
        return ret;
    }
    if (ident[EI_DATA] == ELFDATA2LSB && ident[EI_CLASS] == ELFCLASS64) {
        return read_table64(elf, err);
    }
    if (ident[EI_DATA] == ELFDATA2LSB && ident[EI_CLASS] == ELFCLASS32) {
        return read_table32(elf, err);
    }
    return boot_error(err, -EINVAL, elf->file, "malformed ELF file: class %u, data encoding %u",
                      ident[EI_CLASS], ident[EI_DATA]);
}

/* ---- the entry point */

/*
 * Look for Xen's note in the `size` bytes of a note segment. ELF gABI, "Note Section": three words,
 * then the name and the descriptor, each padded. The descriptor has 4 or 8 bytes.
 */
static uint64_t find_entry_note(const uint8_t *notes, uint64_t size, uint64_t alignment)
{
    const uint64_t padding = alignment == 8 ? 7 : 3;
    uint64_t at = 0;
    while (size - at >= sizeof(Elf32_Nhdr)) {
        Elf32_Nhdr note;
        memcpy(&note, notes + at, sizeof(note));
        uint64_t name = at + sizeof(note); /* the lengths are of 32 bits: no sum overflows */
        uint64_t descriptor = (name + note.n_namesz + padding) & ~padding;
        uint64_t end = descriptor + note.n_descsz;
        if (end > size) {
            return ADDRESS_NONE;
        }
        bool wanted = note.n_type == NOTE_PHYS32_ENTRY && note.n_namesz == 4 &&
                      memcmp(notes + name, "Xen", 4) == 0;
        if (wanted && (note.n_descsz == 4 || note.n_descsz == 8)) {
            uint64_t entry = 0;
            memcpy(&entry, notes + descriptor, note.n_descsz);
            return entry;
        }
        at = (end + padding) & ~padding;
        if (at > size) {
            return ADDRESS_NONE;
        }
    }
    return ADDRESS_NONE;
}

static int read_notes(const struct elf *elf, const struct segment *segment, uint64_t *entry,
                      struct error *err)
{
    if (segment->file_size > NOTES_SIZE_MAX) {
        return boot_error(err, -EINVAL, elf->file, "malformed ELF file: notes of %" PRIu64 " bytes",
                          segment->file_size);
    }
    uint8_t *notes = malloc(segment->file_size + 1);
    if (!notes) {
        return boot_error(err, -ENOMEM, elf->file, "no memory for its notes");
    }
    int ret = boot_read(elf->file, segment->offset, notes, segment->file_size, err);
    if (ret == 0) {
        *entry = find_entry_note(notes, segment->file_size, segment->alignment);
    }
    free(notes);
    return ret;
}

static int find_entry(const struct elf *elf, uint64_t *entry, struct error *err)
{
    *entry = ADDRESS_NONE;
    for (unsigned i = 0; i < elf->count && *entry == ADDRESS_NONE; i++) {
        if (elf->segments[i].type == PT_NOTE) {
            int ret = read_notes(elf, &elf->segments[i], entry, err);
            if (ret < 0) {
                return ret;
            }
        }
    }
    if (*entry == ADDRESS_NONE) {
        return boot_error(err, -EINVAL, elf->file,
                          "no PVH entry point (note XEN_ELFNOTE_PHYS32_ENTRY); Linux needs "
                          "CONFIG_PVH, or use its bzImage");
    }
    return 0;
}

/* ---- loading */

static int load_segment(struct elf *elf, const struct segment *segment,
                        const struct boot_target *target, struct error *err)
{
    uint64_t address = segment->address;
    uint64_t size = segment->memory_size;
    uint64_t low_ram = target->map->low_ram;
    if (segment->file_size > size) {
        return boot_error(err, -EINVAL, elf->file,
                          "malformed ELF file: a segment has 0x%" PRIx64
                          " bytes in the file and 0x%" PRIx64 " in memory",
                          segment->file_size, size);
    }
    if (address < X86_HIGH_MEMORY_BASE || address >= low_ram || size > low_ram - address) {
        return boot_error(err, -ENOMEM, elf->file,
                          "a segment of 0x%" PRIx64 " bytes at 0x%" PRIx64
                          " does not fit into RAM (0x100000 to 0x%" PRIx64 "); see --memory",
                          size, address, low_ram);
    }
    int ret =
        boot_read_to_guest(elf->file, segment->offset, segment->file_size, target, address, err);
    uint64_t rest = size - segment->file_size;
    if (ret == 0 && rest > 0 && !target->ram_is_zero) {
        memset(guest_memory_range(target->memory, gpa(address + segment->file_size), rest), 0,
               rest);
    }
    if (address + size > elf->end) {
        elf->end = address + size;
    }
    return ret;
}

static int load_segments(struct elf *elf, const struct boot_target *target, struct error *err)
{
    for (unsigned i = 0; i < elf->count; i++) {
        const struct segment *segment = &elf->segments[i];
        bool empty = segment->memory_size == 0 && segment->file_size == 0;
        if (segment->type == PT_LOAD && !empty) {
            int ret = load_segment(elf, segment, target, err);
            if (ret < 0) {
                return ret;
            }
        }
    }
    return 0;
}

static int check_entry(const struct elf *elf, uint64_t entry, struct error *err)
{
    for (unsigned i = 0; i < elf->count; i++) {
        const struct segment *segment = &elf->segments[i];
        if (segment->type == PT_LOAD && entry - segment->address < segment->file_size) {
            return 0;
        }
    }
    return boot_error(err, -EINVAL, elf->file,
                      "malformed ELF file: its PVH entry point 0x%" PRIx64 " is in no segment",
                      entry);
}

static int write_info(const struct boot *boot, const struct boot_target *target, uint64_t initrd,
                      struct error *err)
{
    struct pvh_page page = {
        .info = {.magic = START_INFO_MAGIC,
                 .version = START_INFO_VERSION,
                 .command_line = BOOT_COMMAND_LINE,
                 .rsdp = target->rsdp,
                 .memory_map = BOOT_PVH_INFO + offsetof(struct pvh_page, ranges)},
    };
    struct x86_memory_range ranges[X86_MEMORY_RANGES_MAX];
    page.info.memory_map_entries = x86_memory_ranges(target->map, ranges);
    for (unsigned i = 0; i < page.info.memory_map_entries; i++) {
        page.ranges[i] = (struct start_info_range){
            .base = ranges[i].base, .size = ranges[i].size, .type = ranges[i].type};
    }
    if (initrd != 0) {
        page.info.module_count = 1;
        page.info.module_list = BOOT_PVH_INFO + offsetof(struct pvh_page, module);
        page.module = (struct start_info_module){.address = initrd, .size = boot->initrd.size};
    }
    int ret = guest_memory_write(target->memory, gpa(BOOT_PVH_INFO), &page, sizeof(page));
    return ret < 0 ? error_set(err, ret, "no RAM at 0x%llx for the start info", BOOT_PVH_INFO) : 0;
}

int elf_pvh_load(const struct boot *boot, const struct boot_target *target,
                 struct boot_entry *entry, struct error *err)
{
    struct elf elf = {.file = &boot->kernel};
    uint64_t initrd = 0;
    int ret = read_table(&elf, err);
    ret = ret < 0 ? ret : find_entry(&elf, &entry->rip, err);
    ret = ret < 0 ? ret : check_entry(&elf, entry->rip, err);
    ret = ret < 0 ? ret : load_segments(&elf, target, err);
    ret = ret < 0 ? ret : boot_load_initrd(boot, target, elf.end, UINT64_MAX, &initrd, err);
    ret = ret < 0 ? ret : boot_write_command_line(boot, target, UINT64_MAX, err);
    ret = ret < 0 ? ret : write_info(boot, target, initrd, err);
    entry->info = BOOT_PVH_INFO;
    return ret;
}

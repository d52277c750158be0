/* SPDX-License-Identifier: MIT */
#include "vmm/boot_file.h"

#include <elf.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- files */

int boot_file_open(struct boot_file *file, const char *option, const char *path, struct error *err)
{
    /* O_NONBLOCK: opening a pipe must end in the error below rather than wait for a writer. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        int code = -errno;
        return error_set(err, code, "%s %s: %s", option, path, strerror(-code));
    }
    struct stat status;
    if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode)) {
        close(fd);
        return error_set(err, -EINVAL, "%s %s: not a regular file", option, path);
    }
    if (status.st_size == 0) {
        close(fd);
        return error_set(err, -EINVAL, "%s %s: the file is empty", option, path);
    }
    *file = (struct boot_file){
        .option = option, .path = path, .fd = fd, .size = (uint64_t)status.st_size};
    return 0;
}

void boot_file_close(struct boot_file *file)
{
    if (file->path) {
        close(file->fd);
        file->path = NULL;
    }
}

int boot_read(const struct boot_file *file, uint64_t offset, void *buffer, uint64_t length,
              struct error *err)
{
    if (offset > file->size || length > file->size - offset) {
        return boot_error(err, -EINVAL, file,
                          "truncated: needs %" PRIu64 " bytes at %" PRIu64
                          ", the file has %" PRIu64,
                          length, offset, file->size);
    }
    uint8_t *to = buffer;
    while (length > 0) {
        ssize_t got = pread(file->fd, to, length, (off_t)offset);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            int code = -errno;
            return boot_error(err, code, file, "%s", strerror(-code));
        }
        if (got == 0) {
            return boot_error(err, -EINVAL, file, "became shorter since minivmm opened it");
        }
        to += got;
        offset += (uint64_t)got;
        length -= (uint64_t)got;
    }
    return 0;
}

/* ---- what is it? */

struct signature {
    size_t offset;
    size_t length;
    const char *bytes;
    const char *name;
};

/* First match wins. */
static const struct signature signatures[] = {
    {56, 4, "ARMd", "an arm64 Image"},
    {0x202, 4, "HdrS", "an x86 bzImage"},
    {4, 4, "zimg", "a compressed EFI kernel of another architecture (arm64, RISC-V, LoongArch)"},
    {56, 4, "RSC\x05", "a RISC-V Image"},
    {36, 4, "\x18\x28\x6f\x01", "a 32-bit Arm zImage"},
    {0, 3, "\x1f\x8b\x08", "gzip-compressed data (an arm64 kernel perhaps; decompress it first)"},
    {0, 6,
     "\xfd"
     "7zXZ\0",
     "xz-compressed data"},
    {0, 4, "\x28\xb5\x2f\xfd", "zstd-compressed data"},
    {0, 3, "BZh", "bzip2-compressed data"},
    {0, 4, "\x02\x21\x4c\x18", "lz4-compressed data"},
    {0, 4, "\x04\x22\x4d\x18", "lz4-compressed data"},
    {0, 4, "\x27\x05\x19\x56", "a U-Boot image"},
    {0, 4, "\xd0\x0d\xfe\xed", "a device tree or FIT image"},
    {0, 6, "070701", "a cpio archive (the --initrd?)"},
    {0, 6, "070702", "a cpio archive (the --initrd?)"},
    {0, 4, "QFI\xfb", "a qcow2 disk image"},
    {0, 8, "!<arch>\n", "an ar archive or Debian package"},
    {0, 2, "#!", "a script"},
};

uint16_t boot_elf_machine(const uint8_t *head, size_t length)
{
    uint16_t machine;
    if (length < offsetof(Elf64_Ehdr, e_machine) + sizeof(machine) ||
        memcmp(head, ELFMAG, SELFMAG) != 0) {
        return EM_NONE;
    }
    memcpy(&machine, head + offsetof(Elf64_Ehdr, e_machine), sizeof(machine));
    return head[EI_DATA] == ELFDATA2MSB ? be16toh(machine) : le16toh(machine);
}

static const char *describe_elf(uint16_t machine)
{
    static const struct {
        uint16_t machine;
        const char *name;
    } machines[] = {
        {EM_AARCH64, "an ELF file for arm64"}, {EM_ARM, "an ELF file for 32-bit Arm"},
        {EM_RISCV, "an ELF file for RISC-V"},  {EM_PPC64, "an ELF file for POWER"},
        {EM_S390, "an ELF file for s390"},     {EM_MIPS, "an ELF file for MIPS"},
        {EM_X86_64, "an ELF file for x86-64"}, {EM_386, "an ELF file for 32-bit x86"},
    };
    for (size_t i = 0; i < sizeof(machines) / sizeof(machines[0]); i++) {
        if (machine == machines[i].machine) {
            return machines[i].name;
        }
    }
    return "an ELF file for another architecture";
}

/* An EFI program: the machine stands behind the "PE" signature that offset 0x3c points to. */
static const char *describe_efi(const uint8_t *head, size_t length)
{
    uint32_t offset = 0;
    uint16_t machine = 0;
    if (length >= 0x40) {
        memcpy(&offset, head + 0x3c, sizeof(offset));
    }
    if (offset >= 0x40 && offset < length && length - offset >= 6 &&
        memcmp(head + offset, "PE\0\0", 4) == 0) {
        memcpy(&machine, head + offset + 4, sizeof(machine));
    }
    switch (machine) {
    case 0xaa64:
        return "an EFI program for arm64";
    case 0x01c2:
    case 0x01c4:
        return "an EFI program for 32-bit Arm";
    case 0x8664:
        return "an EFI program for x86-64, but not a bzImage";
    default:
        return "an EFI or DOS program, but not a bzImage";
    }
}

const char *boot_describe(const uint8_t *head, size_t length)
{
    for (size_t i = 0; i < sizeof(signatures) / sizeof(signatures[0]); i++) {
        const struct signature *s = &signatures[i];
        if (length >= s->offset + s->length && memcmp(head + s->offset, s->bytes, s->length) == 0) {
            return s->name;
        }
    }
    if (length >= SELFMAG && memcmp(head, ELFMAG, SELFMAG) == 0) {
        return describe_elf(boot_elf_machine(head, length));
    }
    if (length >= 2 && memcmp(head, "MZ", 2) == 0) {
        return describe_efi(head, length);
    }
    return "not a kernel in any known format";
}

/* ---- the command line */

/* True if one of the words begins with "console=". */
static bool names_console(const char *words)
{
    static const char key[] = "console=";
    for (const char *at = words; (at = strstr(at, key)); at += sizeof(key) - 1) {
        if (at == words || at[-1] == ' ') {
            return true;
        }
    }
    return false;
}

char *boot_add_console(const char *append, const char *console)
{
    char *line;
    if (!append || append[0] == '\0') {
        return strdup(console);
    }
    if (names_console(append)) {
        return strdup(append);
    }
    return asprintf(&line, "%s %s", append, console) < 0 ? NULL : line;
}

/* SPDX-License-Identifier: MIT */
/*
 * Linux's arm64 Image (Documentation/arch/arm64/booting.rst), as it is or gzip-compressed.
 *
 *   image     0  two instructions: the entry
 *             8  text_offset: where to load it, from a multiple of 2 MiB
 *            16  image_size: how much RAM it needs from there, its .bss included
 *            24  flags: bit 0 big-endian, bits 2-1 page size, bit 3 may lie anywhere in RAM
 *            56  "ARM\x64"
 *            60  offset of a PE header, if the kernel is also an EFI program
 *
 * It goes text_offset behind the start of RAM, where a kernel of any age may be. A file is shorter
 * than image_size by its .bss, so that one which was cut off cannot be told from that; where there
 * is a PE header, its sections say how long the file must be.
 *
 * A compressed one is inflated straight into RAM: first the header alone, to learn the place.
 */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "vmm/arm64/boot.h"

/* All little-endian, even if the kernel is not. */
struct image_header {
    uint32_t code[2];
    uint64_t text_offset;
    uint64_t image_size;
    uint64_t flags;
    uint64_t reserved[3];
    uint32_t magic;
    uint32_t pe_offset;
};
_Static_assert(sizeof(struct image_header) == 64, "as in booting.rst");

enum {
    MAGIC = 0x644d5241, /* "ARM\x64" */
    FLAG_BIG_ENDIAN = 1 << 0,
    OLD_TEXT_OFFSET = 0x80000, /* of kernels before 3.17, which have an image_size of 0 */
    HEAD_SIZE = 1024,
};

/* Where it goes; offsets are from the start of the window, which is the start of RAM. */
struct image {
    uint8_t *window;
    uint64_t window_size;
    uint64_t offset;
    uint64_t end; /* of all that it needs before it knows its RAM */
};

/* ---- what is it?
 * --------------------------------------------------------------------------------- */

/* The magic number is enough, so that a file which ends behind it is called truncated. */
static bool is_image(const uint8_t *head, size_t length)
{
    const size_t offset = offsetof(struct image_header, magic);
    uint32_t magic;
    if (length < offset + sizeof(magic)) {
        return false;
    }
    memcpy(&magic, head + offset, sizeof(magic));
    return le32toh(magic) == MAGIC;
}

static bool is_gzip(const uint8_t *head, size_t length)
{
    return length >= 3 && memcmp(head, "\x1f\x8b\x08", 3) == 0;
}

int image_identify(struct boot *boot, struct error *err)
{
    uint8_t head[HEAD_SIZE] = {0};
    size_t length = boot->kernel.size < HEAD_SIZE ? boot->kernel.size : HEAD_SIZE;
    int ret = boot_read(&boot->kernel, 0, head, length, err);
    if (ret < 0) {
        return ret;
    }
    if (is_image(head, length)) {
        boot->format = BOOT_IMAGE;
        return 0;
    }
    if (is_gzip(head, length)) {
        boot->format = BOOT_IMAGE_GZIP;
        return 0;
    }
    return boot_error(err, -EINVAL, &boot->kernel,
                      "this is %s; an arm64 machine boots an arm64 Image, which may be "
                      "gzip-compressed",
                      boot_describe(head, length));
}

/* ---- checking
 * ------------------------------------------------------------------------------------ */

static int check_header(const struct boot_file *kernel, const struct image_header *header,
                        struct error *err)
{
    if (le32toh(header->magic) != MAGIC) {
        return boot_error(err, -EINVAL, kernel, "what is compressed in it is %s, no arm64 Image",
                          boot_describe((const uint8_t *)header, sizeof(*header)));
    }
    if (le64toh(header->flags) & FLAG_BIG_ENDIAN) {
        return boot_error(err, -EINVAL, kernel,
                          "a big-endian kernel; minivmm's devices are little-endian");
    }
    return 0;
}

static int place_image(const struct boot_file *kernel, const struct boot_target *target,
                       const struct image_header *header, struct image *image, struct error *err)
{
    uint64_t size = le64toh(header->image_size);
    uint64_t offset = size ? le64toh(header->text_offset) : OLD_TEXT_OFFSET;
    image->window = boot_window(target, &image->window_size);
    image->offset = offset;
    image->end = offset + size;
    if (!image->window) {
        return boot_error(err, -EFAULT, kernel, "no RAM at 0x%llx", ARM64_RAM_BASE);
    }
    if (offset % 4 != 0) {
        return boot_error(err, -EINVAL, kernel,
                          "malformed Image: its text offset 0x%" PRIx64 " is no multiple of 4",
                          offset);
    }
    if (offset >= image->window_size || size > image->window_size - offset) {
        return boot_error(err, -ENOMEM, kernel,
                          "needs %" PRIu64 " KiB of RAM 0x%" PRIx64
                          " bytes from its start, there are %" PRIu64
                          " KiB; give the machine more --memory",
                          size >> 10, offset, image->window_size >> 10);
    }
    return 0;
}

static int too_large(const struct boot_file *kernel, const struct image *image, struct error *err)
{
    return boot_error(err, -ENOMEM, kernel,
                      "the kernel does not fit into %" PRIu64
                      " KiB of RAM; give the machine more --memory",
                      image->window_size >> 10);
}

static uint16_t load16(const uint8_t *from)
{
    return (uint16_t)(from[0] | from[1] << 8);
}

static uint32_t load32(const uint8_t *from)
{
    return (uint32_t)load16(from) | (uint32_t)load16(from + 2) << 16;
}

/*
 * How long the file must be by its PE header: the end of the last section's data. 0 if it has none.
 * PE: "PE\0\0", 20 bytes of file header with the number of sections at 6 and the size of the
 * optional header at 20, that, and 40 bytes a section with size and offset of its data at 16.
 */
static uint64_t promised_size(const uint8_t *image, uint64_t length)
{
    enum { PE_HEADER = 24, SECTION = 40 };
    uint64_t at = load32(image + offsetof(struct image_header, pe_offset));
    if (at < sizeof(struct image_header) || at > length || length - at < PE_HEADER ||
        memcmp(image + at, "PE\0\0", 4) != 0) {
        return 0;
    }
    unsigned sections = load16(image + at + 6);
    uint64_t table = at + PE_HEADER + load16(image + at + 20);
    uint64_t end = 0;
    for (unsigned i = 0; i < sections; i++, table += SECTION) {
        if (table > length || length - table < SECTION) {
            return table + SECTION;
        }
        uint64_t section_end = (uint64_t)load32(image + table + 16) + load32(image + table + 20);
        end = section_end > end ? section_end : end;
    }
    return end;
}

/* `length` bytes were loaded. Was that all? */
static int check_length(const struct boot_file *kernel, const struct image *image, uint64_t length,
                        struct error *err)
{
    uint64_t promised = promised_size(image->window + image->offset, length);
    if (length < promised) {
        return boot_error(err, -EINVAL, kernel,
                          "truncated Image: its header promises %" PRIu64
                          " bytes, there are %" PRIu64,
                          promised, length);
    }
    return 0;
}

/* ---- as it is
 * ------------------------------------------------------------------------------------ */

static int load_plain(const struct boot_file *kernel, const struct boot_target *target,
                      struct image *image, uint64_t *length, struct error *err)
{
    struct image_header header;
    int ret = boot_read(kernel, 0, &header, sizeof(header), err);
    ret = ret < 0 ? ret : check_header(kernel, &header, err);
    ret = ret < 0 ? ret : place_image(kernel, target, &header, image, err);
    if (ret < 0) {
        return ret;
    }
    if (kernel->size > image->window_size - image->offset) {
        return too_large(kernel, image, err);
    }
    *length = kernel->size;
    return boot_read(kernel, 0, image->window + image->offset, kernel->size, err);
}

/* ---- compressed
 * ---------------------------------------------------------------------------------- */

struct gzip {
    z_stream stream;
    uint64_t position; /* in the file */
    bool ended;        /* the stream's end mark was there, and its checksum right */
    uint8_t buffer[65536];
};

static int refill(const struct boot_file *kernel, struct gzip *gzip, struct error *err)
{
    uint64_t left = kernel->size - gzip->position;
    uint64_t length = left < sizeof(gzip->buffer) ? left : sizeof(gzip->buffer);
    if (length == 0) {
        return boot_error(err, -EINVAL, kernel, "truncated: the compressed data has no end");
    }
    int ret = boot_read(kernel, gzip->position, gzip->buffer, length, err);
    gzip->position += length;
    gzip->stream.next_in = gzip->buffer;
    gzip->stream.avail_in = (unsigned)length;
    return ret;
}

/* Inflate until `length` bytes are there or the data ends; `*done` is how many there are. */
static int inflate_some(const struct boot_file *kernel, struct gzip *gzip, uint8_t *to,
                        uint64_t length, uint64_t *done, struct error *err)
{
    const uint64_t piece = 1u << 30; /* zlib counts in 32 bits */
    *done = 0;
    while (*done < length && !gzip->ended) {
        if (gzip->stream.avail_in == 0) {
            int ret = refill(kernel, gzip, err);
            if (ret < 0) {
                return ret;
            }
        }
        uint64_t room = length - *done < piece ? length - *done : piece;
        gzip->stream.next_out = to + *done;
        gzip->stream.avail_out = (unsigned)room;
        int result = inflate(&gzip->stream, Z_NO_FLUSH);
        *done += room - gzip->stream.avail_out;
        gzip->ended = result == Z_STREAM_END;
        if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR) {
            return boot_error(err, -EINVAL, kernel, "the compressed data is damaged: %s",
                              gzip->stream.msg ? gzip->stream.msg : zError(result));
        }
    }
    return 0;
}

/* The header is inflated first, as it says where everything goes. */
static int inflate_image(const struct boot_file *kernel, const struct boot_target *target,
                         struct gzip *gzip, struct image *image, uint64_t *length,
                         struct error *err)
{
    union {
        struct image_header header;
        uint8_t bytes[sizeof(struct image_header)];
    } head = {0};
    uint64_t got;
    int ret = inflate_some(kernel, gzip, head.bytes, sizeof(head), &got, err);
    ret = ret < 0 ? ret : check_header(kernel, &head.header, err);
    ret = ret < 0 ? ret : place_image(kernel, target, &head.header, image, err);
    if (ret < 0) {
        return ret;
    }
    uint64_t room = image->window_size - image->offset;
    if (room < sizeof(head)) {
        return too_large(kernel, image, err);
    }
    uint8_t *to = image->window + image->offset;
    memcpy(to, head.bytes, sizeof(head));
    ret = inflate_some(kernel, gzip, to + sizeof(head), room - sizeof(head), &got, err);
    *length = sizeof(head) + got;
    return ret == 0 && !gzip->ended ? too_large(kernel, image, err) : ret;
}

static int load_gzip(const struct boot_file *kernel, const struct boot_target *target,
                     struct image *image, uint64_t *length, struct error *err)
{
    enum { GZIP_WINDOW_BITS = 16 + MAX_WBITS }; /* zlib's way to say "with a gzip header" */
    struct gzip *gzip = calloc(1, sizeof(*gzip));
    if (!gzip || inflateInit2(&gzip->stream, GZIP_WINDOW_BITS) != Z_OK) {
        free(gzip);
        return boot_error(err, -ENOMEM, kernel, "no memory to decompress it");
    }
    int ret = inflate_image(kernel, target, gzip, image, length, err);
    inflateEnd(&gzip->stream);
    free(gzip);
    return ret;
}

int image_load(const struct boot *boot, const struct boot_target *target, struct boot_entry *entry,
               uint64_t *end, struct error *err)
{
    struct image image = {0};
    uint64_t length = 0;
    int ret = boot->format == BOOT_IMAGE_GZIP
                  ? load_gzip(&boot->kernel, target, &image, &length, err)
                  : load_plain(&boot->kernel, target, &image, &length, err);
    if (ret < 0 || !image.window) {
        return ret;
    }
    ret = check_length(&boot->kernel, &image, length, err);
    uint64_t loaded_end = image.offset + length;
    entry->pc = ARM64_RAM_BASE + image.offset;
    *end = ARM64_RAM_BASE + (image.end > loaded_end ? image.end : loaded_end);
    return ret;
}

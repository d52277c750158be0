/* SPDX-License-Identifier: MIT */
/* See vmm/dma_copy.h. */
#include "vmm/dma_copy.h"

#include <errno.h>
#include <string.h>

#include "vmm/copy.h"

enum {
    /* The smallest page of any IOMMU; RAM blocks begin and end on one, too. */
    SMALLEST_PAGE = 4096,
    /*
     * From here on copies are streamed. Source and destination are then 16 MiB together: half of
     * what a large shared cache has, and it is shared with everybody else on the machine. Not
     * where they are closer together than that: what is written is soon read as the source.
     */
    STREAMING_MIN = 8 << 20,
};

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Two host ranges of the same length share a byte: the distance either way is below the length. */
static bool overlap(const uint8_t *a, const uint8_t *b, uint64_t length)
{
    uint64_t distance = (uintptr_t)a - (uintptr_t)b;
    return distance < length || -distance < length;
}

static void move_piece(struct dma_copy *copy, void *to, const void *from, uint64_t length)
{
    if (copy->streaming && !overlap(to, from, length)) {
        copy_streaming(to, from, length);
    } else {
        memmove(to, from, length);
    }
    copy->moved += length;
}

/* ---- forward: pieces of both sides come in rows */

struct side {
    iova_t start; /* of the whole copy, on this side */
    enum dma_direction direction;
    struct dma_row row;
    unsigned next; /* in the row */
};

/* What is mapped at the copy's present place. Or an error. */
static int present_piece(struct dma_copy *copy, struct side *side, uint64_t length,
                         struct dma_mapping **piece)
{
    if (side->next == side->row.count) {
        copy->fault = iova(side->start.raw + copy->moved);
        int ret = dma_map_row_held(copy->space, copy->fault, length, side->direction, &side->row);
        side->next = 0;
        if (ret < 0) {
            return ret;
        }
    }
    *piece = &side->row.piece[side->next];
    return 0;
}

static void advance(struct side *side, uint64_t length)
{
    struct dma_mapping *piece = &side->row.piece[side->next];
    piece->host = (uint8_t *)piece->host + length;
    piece->length -= length;
    side->next += piece->length == 0;
}

static int step_forward(struct dma_copy *copy, uint64_t length)
{
    struct side source, destination;
    source.start = copy->source;
    source.direction = DMA_FROM_MEMORY;
    source.next = source.row.count = 0;
    destination.start = copy->destination;
    destination.direction = DMA_TO_MEMORY;
    destination.next = destination.row.count = 0;
    while (length > 0) {
        struct dma_mapping *from, *to;
        int ret = present_piece(copy, &source, length, &from);
        if (ret == 0) {
            ret = present_piece(copy, &destination, length, &to);
        }
        if (ret < 0) {
            return ret;
        }
        uint64_t moved = min_u64(from->length, to->length);
        move_piece(copy, to->host, from->host, moved);
        advance(&source, moved);
        advance(&destination, moved);
        length -= moved;
    }
    return 0;
}

/* ---- backward: piece by piece */

/* A piece of the copy that is contiguous on both sides. */
struct piece {
    struct dma_mapping source;
    struct dma_mapping destination; /* never longer than `source` */
};

/* Map the beginning of [offset, offset + length) of the copy on both sides, until the step ends. */
static int map_piece(struct dma_copy *copy, uint64_t offset, uint64_t length, struct piece *piece)
{
    copy->fault = iova(copy->source.raw + offset);
    int ret = dma_map_held(copy->space, copy->fault, length, DMA_FROM_MEMORY, &piece->source);
    if (ret < 0) {
        return ret;
    }
    copy->fault = iova(copy->destination.raw + offset);
    return dma_map_held(copy->space, copy->fault, piece->source.length, DMA_TO_MEMORY,
                        &piece->destination);
}

/* How many of the bytes before `end` share its page, on the side where they are fewer. */
static uint64_t page_tail(const struct dma_copy *copy, uint64_t end)
{
    uint64_t source = (copy->source.raw + end - 1) % SMALLEST_PAGE + 1;
    uint64_t destination = (copy->destination.raw + end - 1) % SMALLEST_PAGE + 1;
    return min_u64(source, destination);
}

/*
 * Map a piece of at most `length` bytes that *ends* at `end`. dma_map_held() extends forward from
 * an address, so try the whole; if that falls into pieces, what lies on the last page; and should
 * even that be in pieces, leave out the first one until the rest reaches the end.
 */
static int map_last_piece(struct dma_copy *copy, uint64_t end, uint64_t length, struct piece *piece)
{
    for (;;) {
        int ret = map_piece(copy, end - length, length, piece);
        if (ret < 0 || piece->destination.length == length) {
            return ret;
        }
        uint64_t tail = page_tail(copy, end);
        length = tail < length ? tail : length - piece->destination.length;
    }
}

/* Once a whole has turned out to be in pieces, the rest of the step goes by pages right away: each
 * try costs two translations. */
static int step_backward(struct dma_copy *copy, uint64_t length)
{
    bool by_page = false;
    while (length > 0) {
        struct piece piece;
        uint64_t end = copy->length - copy->moved;
        uint64_t wanted = by_page ? min_u64(page_tail(copy, end), length) : length;
        int ret = map_last_piece(copy, end, wanted, &piece);
        if (ret < 0) {
            return ret;
        }
        by_page = by_page || piece.destination.length < length;
        move_piece(copy, piece.destination.host, piece.source.host, piece.destination.length);
        length -= piece.destination.length;
    }
    return 0;
}

static bool range_is_valid(iova_t address, uint64_t length)
{
    return length > 0 && address.raw + (length - 1) >= address.raw;
}

int dma_copy_begin(struct dma_copy *copy, struct dma_space *space, iova_t source,
                   iova_t destination, uint64_t length)
{
    if (!range_is_valid(source, length) || !range_is_valid(destination, length)) {
        return -ERANGE;
    }
    uint64_t distance = destination.raw - source.raw;
    *copy = (struct dma_copy){
        .space = space,
        .source = source,
        .destination = destination,
        .length = length,
        .backward = distance > 0 && distance < length,
        .streaming = min_u64(length, min_u64(distance, -distance)) >= STREAMING_MIN,
    };
    return 0;
}

int dma_copy_step(struct dma_copy *copy, uint64_t limit)
{
    uint64_t length = min_u64(copy->length - copy->moved, limit);
    unsigned phase = dma_hold(copy->space);
    int ret = copy->backward ? step_backward(copy, length) : step_forward(copy, length);
    if (copy->streaming) {
        copy_streaming_end(); /* before anybody is told, and before the memory is let go of */
    }
    dma_release(copy->space, phase);
    if (ret < 0) {
        return ret;
    }
    return copy->moved < copy->length;
}

/* SPDX-License-Identifier: MIT */
/*
 * What the device tree says (Devicetree Specification, chapter 5). A blob is a header, a block of
 * big-endian tokens that nest, and a block of the properties' names. Nodes are told apart by
 * `compatible` or `device_type`, so that it does not matter what they are called. Every address
 * that is wanted has two cells.
 */
#include "arm64.h"
#include "print.h"

enum {
    MAGIC = (int)0xd00dfeed,
    BEGIN_NODE = 1,
    END_NODE = 2,
    PROPERTY = 3,
    NOTHING = 4,
    MAX_DEPTH = 8,
};

struct device_tree device_tree;

/* What is remembered of a node until its end. */
struct node {
    const char *compatible; /* its first string */
    const char *type;
    const uint32_t *reg;
    unsigned reg_cells;
};

static uint32_t cell(const uint32_t *at)
{
    return __builtin_bswap32(*at);
}

/* The nth 64-bit number of the node's `reg`; 0 if it has fewer. */
static uint64_t reg64(const struct node *node, unsigned nth)
{
    if (node->reg_cells < 2 * nth + 2) {
        return 0;
    }
    return (uint64_t)cell(node->reg + (size_t)2 * nth) << 32 | cell(node->reg + 2 * nth + 1);
}

static void add_cpu(const struct node *node)
{
    if (device_tree.cpus < MAX_CPUS) {
        device_tree.mpidr[device_tree.cpus++] =
            node->reg_cells == 1 ? cell(node->reg) : reg64(node, 0);
    }
}

static void take_interrupt_controller(const struct node *node)
{
    if (strcmp(node->compatible, "arm,gic-v3") == 0) {
        device_tree.distributor = reg64(node, 0);
        device_tree.redistributors = reg64(node, 2);
    } else if (strcmp(node->compatible, "arm,cortex-a15-gic") == 0) {
        device_tree.distributor = reg64(node, 0);
        device_tree.cpu_interface = reg64(node, 2);
    } else if (strcmp(node->compatible, "arm,gic-v3-its") == 0) {
        device_tree.its = reg64(node, 0);
    } else if (strcmp(node->compatible, "arm,gic-v2m-frame") == 0) {
        device_tree.v2m = reg64(node, 0);
    }
}

static void take_node(const struct node *node)
{
    if (strcmp(node->type, "cpu") == 0) {
        add_cpu(node);
    } else if (strcmp(node->type, "memory") == 0) {
        device_tree.memory_base = reg64(node, 0);
        device_tree.memory_end = reg64(node, 0) + reg64(node, 1);
    } else if (strcmp(node->compatible, "pci-host-ecam-generic") == 0) {
        device_tree.ecam = reg64(node, 0);
    } else if (strcmp(node->compatible, "arm,smmu-v3") == 0) {
        device_tree.smmu = reg64(node, 0);
    } else {
        take_interrupt_controller(node);
    }
}

static void take_property(struct node *node, const char *name, const uint32_t *value,
                          uint32_t length)
{
    if (strcmp(name, "compatible") == 0) {
        node->compatible = (const char *)value;
    } else if (strcmp(name, "device_type") == 0) {
        node->type = (const char *)value;
    } else if (strcmp(name, "reg") == 0) {
        node->reg = value;
        node->reg_cells = length / 4;
    } else if (strcmp(name, "bootargs") == 0) {
        device_tree.command_line = (const char *)value;
    }
}

static const uint32_t *skip(const uint32_t *at, uint32_t bytes)
{
    return at + (bytes + 3) / 4;
}

static uint32_t text_size(const uint32_t *at)
{
    const char *text = (const char *)at;
    uint32_t length = 0;

    while (text[length]) {
        length++;
    }
    return length + 1;
}

static void walk(const uint32_t *at, const char *names)
{
    struct node nodes[MAX_DEPTH];
    unsigned depth = 0;

    for (;;) {
        switch (cell(at++)) {
        case BEGIN_NODE:
            if (depth == MAX_DEPTH) {
                return;
            }
            nodes[depth++] = (struct node){.compatible = "", .type = ""};
            at = skip(at, text_size(at));
            break;
        case END_NODE:
            take_node(&nodes[--depth]);
            break;
        case PROPERTY:
            take_property(&nodes[depth - 1], names + cell(at + 1), at + 2, cell(at));
            at = skip(at + 2, cell(at));
            break;
        case NOTHING:
            break;
        default:
            return;
        }
    }
}

bool device_tree_read(const void *blob)
{
    const uint32_t *header = blob;

    if (cell(header) != (uint32_t)MAGIC) {
        return false;
    }
    walk(header + cell(header + 2) / 4, (const char *)blob + cell(header + 3));
    return true;
}

/* SPDX-License-Identifier: MIT */
/*
 * A hostile driver against each virtio device. The input is a program: its first byte chooses the
 * device, the second whether there is an IOMMU, then come steps, each a byte and what it needs.
 * START, LEGACY and CHAIN do what a good driver does, so that the others have something to break.
 *
 * All runs on this thread: a device's own is stopped and its event loop's sources are served by the
 * step RUN, until nothing is left to be done. A disk's requests are carried out by the host, and
 * waited for. To have a new device fuzzed, add it to the table.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "devices/virtio/virtio_blk.h"
#include "devices/virtio/virtio_console.h"
#include "devices/virtio/virtio_rng.h"
#include "devices/virtio/virtio_test.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/virtio_fixture.h"
#include "vmm/vm.h"

/* %s: a file of DISK_BYTES, or a socket that the peer connects to. */
enum backend { ALONE, FILE_BEHIND, SOCKET_BEHIND };

static const struct entry {
    const struct pci_device_type *type;
    const char *properties;
    enum backend backend;
    bool keeps; /* requests stay with the device, perhaps for ever */
} table[] = {
    {&virtio_test_type, "interval=3600000"},
    {&virtio_rng_type, "queue-size=16"},
    {&virtio_console_type, "queue-size=8"},
    {&virtio_console_type, "socket=%s", SOCKET_BEHIND},
    {&virtio_blk_type, "file=%s,aio=threads", FILE_BEHIND},
    {&virtio_blk_type, "file=%s,aio=auto,queues=2,queue-size=16", FILE_BEHIND},
    {&virtio_blk_type, "file=%s,aio=threads,readonly=on,vectors=1", FILE_BEHIND},
};

enum {
    STEPS_MAX = 150,
    DISK_BYTES = 64 * 512,
    QUEUE_SPACE = 0x10000, /* of each queue's ring */
    PART_SPACE = 0x5000,   /* of each of its parts */
    TABLES_AT = 0x300000,  /* indirect tables and data, in RAM */
    DATA_AT = 0x400000,
    WAIT_MS = 10000, /* for the host, before that is called a hang */
};

static struct rig *rig;
static const struct entry *entry;
static int peer = -1;

/* ---- chance and noise; the linker puts these in front of the real ones */

ssize_t __wrap_getrandom(void *buffer, size_t length, unsigned flags);
void __wrap_vm_report(const char *format, ...);

ssize_t __wrap_getrandom(void *buffer, size_t length, unsigned flags)
{
    (void)flags;
    memset(buffer, 0x5a, length);
    return (ssize_t)length;
}

void __wrap_vm_report(const char *format, ...)
{
    (void)format;
}

/* ---- memory */

static void store(uint64_t address, const void *data, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        uint64_t place = address + i;
        if (place >= RAM_BASE && place < RAM_BASE + RAM_SIZE) {
            poke(rig, place, (const uint8_t *)data + i, 1);
        }
    }
}

static void store16(uint64_t address, uint16_t value)
{
    store(address, &value, sizeof(value));
}

static uint16_t load16(uint64_t address)
{
    uint16_t value = 0;
    if (address >= RAM_BASE && address < RAM_BASE + RAM_SIZE - 1) {
        peek(rig, address, &value, sizeof(value));
    }
    return value;
}

/* Plausible ones: data, tables, the rings, the last bytes of RAM, what is no RAM. */
static uint64_t take_address(struct input *in)
{
    unsigned which = take8(in);
    uint64_t fine = (which >> 4) * 0x1000ull;
    switch (which & 15) {
    case 8:
        return RAM_BASE + TABLES_AT + fine;
    case 9:
        return RAM_BASE + 0x1000 + fine * (PART_SPACE / 0x1000);
    case 10:
        return RAM_BASE + RAM_SIZE - take8(in);
    case 11:
        return MODERN + fine;
    case 12:
        return UINT64_MAX - take8(in);
    case 13:
        return take(in, 8);
    case 14:
        return RAM_BASE + take(in, 3);
    default:
        return RAM_BASE + DATA_AT + (which & 7) * 0x20000 + fine;
    }
}

static uint32_t take_length(struct input *in)
{
    static const uint32_t lengths[] = {1,    4, 16,     512,      4096,       513,
                                       8192, 0, 0x8000, RAM_SIZE, 0xffffffff, 17};
    unsigned which = take8(in);
    return which < 0x80 ? lengths[which % 12] : which == 0xff ? (uint32_t)take(in, 4) : which & 127;
}

/* ---- the device as a driver sees it */

static struct virtio_device *device(void)
{
    return &rig->vdev->virtio;
}

static struct virtqueue *take_queue(struct input *in)
{
    return &device()->queues[take8(in) % device()->queue_count];
}

static bool is_packed(void)
{
    return virtio_has(device(), VIRTIO_F_RING_PACKED);
}

/* As firmware leaves it, and rig_with(). */
static void place_bars(void)
{
    struct pci_device *pci = &device()->pci;
    pci_config_write(pci, PCI_BASE_ADDRESS_0, 4, LEGACY);
    pci_config_write(pci, PCI_BASE_ADDRESS_1, 4, MSIX_AT);
    pci_config_write(pci, PCI_BASE_ADDRESS_4, 4, MODERN);
    pci_config_write(pci, PCI_BASE_ADDRESS_5, 4, 0);
    set_command(&rig->f, pci, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

/* Serve one source of this loop if it becomes ready in `ms`. */
static bool serve(struct event_loop *loop, int ms)
{
    struct epoll_event event;
    uint64_t count;
    int ready;
    do { /* io_uring interrupts who submitted */
        ready = epoll_wait(loop->epoll_fd, &event, 1, ms);
    } while (ready < 0 && errno == EINTR);
    if (ready != 1) {
        return false;
    }
    struct event_source *source = event.data.ptr;
    if (source) {
        source->handler(source->opaque, event.events);
    } else {
        (void)!read(loop->wake_fd, &count, sizeof(count)); /* left over from worker_stop() */
    }
    return true;
}

static bool is_busy(void)
{
    unsigned in_flight = 0;
    for (unsigned i = 0; i < device()->queue_count; i++) {
        in_flight += device()->queues[i].in_flight;
    }
    return in_flight && !entry->keeps;
}

/* Bounded, as a driver may give a device more to do all the time (a ring that names itself). */
static void run_until_idle(void)
{
    for (unsigned i = 0; i < 200; i++) {
        bool any = serve(&rig->f.loop, 0);
        if (device()->loop != &rig->f.loop) {
            any |= serve(device()->loop, 0);
        }
        if (!any && !is_busy()) {
            return;
        }
        if (!any) {
            must(serve(device()->loop, WAIT_MS)); /* the host's turn */
        }
    }
}

/* ---- steps of a good driver */

static void clear_rings(void)
{
    for (uint64_t page = 0; page < device()->queue_count * (uint64_t)QUEUE_SPACE; page += 0x1000) {
        memset(at(rig, RAM_BASE + 0x1000 + page), 0, 0x1000);
    }
}

static uint64_t take_features(struct input *in)
{
    unsigned choice = take8(in);
    uint64_t features = device()->offered;
    features &= ~(choice & 1 ? 0 : VIRTIO_BIT(VIRTIO_F_RING_PACKED));
    features &= ~(choice & 2 ? 0 : VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX));
    features &= ~(choice & 4 ? 0 : VIRTIO_BIT(VIRTIO_RING_F_INDIRECT_DESC));
    features &= ~(choice & 8 ? 0 : VIRTIO_BIT(VIRTIO_F_IN_ORDER));
    return choice & 16 ? features ^ VIRTIO_BIT(take8(in) & 63) : features;
}

static void start(struct input *in)
{
    uint64_t features = take_features(in);
    unsigned log2 = take8(in) % 6;
    place_bars();
    clear_rings();
    negotiate(rig, features);
    for (unsigned i = 0; i < device()->queue_count; i++) {
        uint64_t base = RAM_BASE + 0x1000 + i * (uint64_t)QUEUE_SPACE;
        set_up_queue(rig, i, 1u << log2, base, base + PART_SPACE, base + 2 * PART_SPACE);
    }
    set_driver_ok(rig);
}

static void start_legacy(struct input *in)
{
    uint64_t features = take_features(in);
    take8(in);
    place_bars();
    clear_rings();
    port_put(rig, VIRTIO_PCI_STATUS, 1, 0);
    port_put(rig, VIRTIO_PCI_STATUS, 1, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
    port_put(rig, VIRTIO_PCI_GUEST_FEATURES, 4, (uint32_t)features);
    for (unsigned i = 0; i < device()->queue_count; i++) {
        uint64_t base = RAM_BASE + 0x1000 + i * (uint64_t)QUEUE_SPACE;
        port_put(rig, VIRTIO_PCI_QUEUE_SEL, 2, i);
        port_put(rig, VIRTIO_PCI_QUEUE_PFN, 4, base >> 12);
    }
    port_put(rig, VIRTIO_PCI_STATUS, 1, 7);
}

struct desc {
    uint64_t address;
    uint32_t length;
    uint16_t flags, next; /* packed: the id, and then the flags */
};

static void store_desc(uint64_t where, const struct desc *desc, bool packed)
{
    store(where, &desc->address, 8);
    store(where + 8, &desc->length, 4);
    store16(where + 12, packed ? desc->next : desc->flags);
    store16(where + 14, packed ? desc->flags : desc->next);
}

/* Flags of an available descriptor `ahead` of the next one that the device looks at. */
static uint16_t available_flags(const struct virtqueue *queue, unsigned ahead)
{
    bool wrap = queue->avail_wrap ^ (queue->next_avail + ahead >= queue->size);
    return (uint16_t)(wrap ? 1u << 7 : 1u << 15);
}

static void notify(const struct virtqueue *queue)
{
    if (virtio_has(device(), VIRTIO_F_VERSION_1)) {
        put(rig, VIRTIO_NOTIFY_REGION + 4 * queue->index, 2, queue->index);
    } else {
        port_put(rig, VIRTIO_PCI_QUEUE_NOTIFY, 2, queue->index);
    }
}

static void publish_split(const struct virtqueue *queue, uint16_t head, unsigned more)
{
    uint64_t ring = queue->driver.address.raw;
    uint16_t index = load16(ring + 2);
    store16(ring + 4 + 2ull * (index % queue->size), head);
    store16(ring + 2, (uint16_t)(index + more));
}

/* Of `out` buffers to read and `in` to write. The first begins with what a device wants to know. */
static void add_chain(struct input *in)
{
    struct virtqueue *queue = take_queue(in);
    unsigned parts = take8(in);
    unsigned out = parts & 7;
    unsigned count = out + (parts >> 4 & 7);
    unsigned first = is_packed() ? queue->next_avail : take8(in);
    uint64_t header = RAM_BASE + DATA_AT;
    if (queue->size == 0 || count == 0) {
        return;
    }
    for (unsigned i = 0; i < count; i++) {
        struct desc desc = {.address = header + 0x20000 * (i & 7)};
        desc.length = i == 0 && out ? 16 : i + 1 == count && count > 2 ? 1 : take_length(in);
        desc.flags = (uint16_t)((i + 1 < count ? 1 : 0) | (i >= out ? 2 : 0));
        desc.flags |= is_packed() ? available_flags(queue, i) : 0;
        desc.next = (uint16_t)(is_packed() ? first : (first + i + 1) % queue->size);
        store_desc(queue->descriptors.address.raw + 16ull * ((first + i) % queue->size), &desc,
                   is_packed());
    }
    uint64_t words[2] = {take(in, 4), take(in, 4)};
    store(header, words, sizeof(words));
    if (!is_packed()) {
        publish_split(queue, (uint16_t)(first % queue->size), 1);
    }
    notify(queue);
}

/* ---- steps of a bad one */

static void run(struct input *in)
{
    (void)in;
    run_until_idle();
}

/* The device begins; what it began is under way when the next step comes. */
static void run_one(struct input *in)
{
    serve(take8(in) & 1 ? &rig->f.loop : device()->loop, 0);
}

static void reset(struct input *in)
{
    unsigned how = take8(in) & 7;
    if (how == 0) {
        put(rig, VIRTIO_PCI_COMMON_STATUS, 1, 0);
    } else if (how == 1) {
        put(rig, VIRTIO_PCI_COMMON_Q_SELECT, 2, take8(in));
        put(rig, VIRTIO_COMMON_Q_RESET, 2, 1);
    } else if (how == 2) {
        pci_host_reset(&rig->f.host);
    } else {
        place_bars();
    }
}

/* The other end of a socket sends, and takes what was sent; or hangs up, and comes again. */
static void use_peer(struct input *in)
{
    char data[4096];
    size_t length = take8(in) * 8;
    if (peer < 0) {
        return;
    }
    memset(data, 'p', sizeof(data));
    (void)!send(peer, data, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)!recv(peer, data, sizeof(data), MSG_DONTWAIT);
    if (length > 2000) {
        close(peer);
        peer = -1;
    }
}

static uint64_t take_value(struct input *in, unsigned size)
{
    return take8(in) & 1 ? take_address(in) >> (take8(in) & 1 ? 12 : 0) : take(in, size);
}

static void write_register(struct input *in)
{
    unsigned offset = take16(in);
    unsigned size = take_width(in);
    uint64_t base = offset & 0x8000 ? MSIX_AT : MODERN;
    bus_write(&rig->f.memory, base + offset % 0x4000, size, take_value(in, size));
}

/* The common configuration and the device's own, which are small. */
static void write_near_register(struct input *in)
{
    unsigned offset = take8(in);
    unsigned size = take_width(in);
    put(rig, offset & 0x80 ? VIRTIO_DEVICE_REGION + (offset & 0x7f) : offset & 0x3f, size,
        take_value(in, size));
}

static void read_register(struct input *in)
{
    unsigned offset = take16(in) % 0x4000;
    get(rig, offset, take_width(in));
}

static void write_port(struct input *in)
{
    unsigned offset = take8(in) & 63;
    unsigned size = 1u << take8(in) % 3;
    port_put(rig, offset, size, take_value(in, size));
}

static void read_port(struct input *in)
{
    unsigned offset = take8(in) & 63;
    port_get(rig, offset, 1u << take8(in) % 3);
}

static void write_config(struct input *in)
{
    unsigned size = 1u << take8(in) % 3;
    unsigned reg = take8(in) & ~(size - 1);
    pci_config_write(&device()->pci, reg, size, (uint32_t)take_value(in, size));
    if (take8(in) & 1) {
        pci_config_read(&device()->pci, reg, size);
    }
}

static struct desc take_desc(struct input *in)
{
    struct desc desc = {.address = take_address(in)};
    desc.length = take_length(in);
    desc.flags = take8(in) & 7;
    desc.next = take8(in);
    if (desc.next >= 0xf0) {
        desc.next = take16(in);
    }
    return desc;
}

/* A descriptor of the ring: available, if packed, unless the input says otherwise. */
static void write_desc_of_ring(struct input *in)
{
    struct virtqueue *queue = take_queue(in);
    unsigned place = take8(in);
    struct desc desc = take_desc(in);
    if (queue->size == 0) {
        return;
    }
    if (is_packed()) {
        desc.flags |= place & 0x80 ? take16(in) : available_flags(queue, place & 15);
        place = queue->next_avail + (place & 15);
    }
    store_desc(queue->descriptors.address.raw + 16ull * (place % queue->size), &desc, is_packed());
}

static void write_desc_of_table(struct input *in)
{
    unsigned place = take8(in);
    struct desc desc = take_desc(in);
    uint64_t where = RAM_BASE + TABLES_AT + (place >> 4) * 0x1000ull + 16ull * (place & 15);
    store_desc(where, &desc, is_packed());
}

static void publish(struct input *in)
{
    struct virtqueue *queue = take_queue(in);
    unsigned head = take8(in);
    unsigned more = take8(in);
    if (queue->size) {
        publish_split(queue, head >= 0xf0 ? take16(in) : (uint16_t)head,
                      more < 0xf0 ? 1 + more % 3 : take16(in));
        notify(queue);
    }
}

static void write_ring(struct input *in)
{
    struct virtqueue *queue = take_queue(in);
    const uint64_t parts[] = {queue->descriptors.address.raw, queue->driver.address.raw,
                              queue->device.address.raw};
    uint64_t where = parts[take8(in) % 3] + take16(in) % 0x1200;
    store16(where, take16(in));
}

static void write_data(struct input *in)
{
    uint64_t where = take_address(in);
    uint64_t word = take(in, 8);
    store(where, &word, sizeof(word));
}

static const step steps[] = {
    start,         start_legacy,
    add_chain,     run,
    reset,         use_peer,
    run,           write_register,
    write_ring,    write_near_register,
    read_register, write_port,
    read_port,     write_config,
    write_data,    write_desc_of_ring,
    publish,       write_desc_of_table,
    add_chain,     write_desc_of_ring,
    run_one,
};

/* ---- one run */

static void open_rig(bool iommu)
{
    static int disk = -1;
    char path[64] = "";
    char properties[256];
    if (disk < 0) {
        disk = memfd_create("disk", 0);
    }
    must(ftruncate(disk, 0) == 0 && ftruncate(disk, DISK_BYTES) == 0); /* as new */
    if (entry->backend == SOCKET_BEHIND) {
        snprintf(path, sizeof(path), "/tmp/minivmm-fuzz-%d", getpid());
    } else if (entry->backend == FILE_BEHIND) {
        snprintf(path, sizeof(path), "/proc/self/fd/%d", disk);
    }
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    int length = snprintf(properties, sizeof(properties), entry->properties, path);
#pragma GCC diagnostic pop
    snprintf(properties + length, sizeof(properties) - (size_t)length, ",packed=on,in-order=on");
    rig = rig_with(entry->type, iommu, properties);
    worker_stop(&device()->worker);
    if (entry->backend == SOCKET_BEHIND) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        memcpy(address.sun_path, path, strlen(path));
        peer = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        must(connect(peer, (struct sockaddr *)&address, sizeof(address)) == 0);
    }
}

/* Whatever happened, after a reset it works again. */
static void must_work_after_reset(void)
{
    struct input nothing = {.data = (const uint8_t *)"", .left = 0};
    pci_host_reset(&rig->f.host);
    place_bars();
    must(status_of(rig) == 0);
    start(&nothing);
    must((status_of(rig) & 0xcf) == 0xf);
    run_until_idle();
    must((status_of(rig) & 0xcf) == 0xf); /* an empty ring breaks nothing */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {.data = data, .left = size};
    entry = &table[take8(&in) % (sizeof(table) / sizeof(table[0]))];
    open_rig(take8(&in) & 1);
    run_steps(&in, steps, sizeof(steps) / sizeof(steps[0]), STEPS_MAX);
    run_until_idle();
    must_work_after_reset();
    if (peer >= 0) {
        close(peer);
        peer = -1;
    }
    rig_free(rig);
    forget_properties();
    return 0;
}

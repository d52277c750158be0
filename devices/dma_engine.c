/* SPDX-License-Identifier: MIT */
/*
 * The DMA engine: a PCI function that copies memory to memory. docs/dma-engine.md is its data
 * sheet.
 *
 * A driver writes source, destination and length, writes START, and waits for an interrupt or polls
 * the status until it reads exactly DONE. What happens here:
 *
 *   1. engine_write(CTRL) -> start_copy(): the three registers are latched into a `struct job`, and
 *      the status becomes BUSY. From here on the job belongs to one thread, and no other START is
 *      accepted.
 *   2. Up to `inline-max` bytes that thread is the vCPU that wrote START: when the write is over,
 *      so is the copy. More bytes go to the engine's own thread, and the vCPU returns to its guest
 *      at once.
 *   3. run_job(): the copy, a chunk at a time, through the device's DMA address space.
 *   4. finish_job(): ERROR and FAULT_ADDR, then PENDING, then DONE, then the interrupt. In this
 *      order, because whoever sees one of them relies on those before it.
 *
 * Who may touch what:
 *
 *   - pci.lock guards every register that is written, and the hand-over to the thread. It is never
 *     held while bytes move, so that a vCPU that writes a register waits for no copy.
 *   - A register that software can read is one 64-bit atomic, changed under pci.lock and read
 *     without it: a driver that polls the status costs the machine a load, and disturbs nobody.
 *   - copy_lock is held for the time of one chunk by the thread that moves it, and for a moment by
 *     a reset. A job carries the `epoch` in which it was started. A reset first begins a new epoch,
 *     so that no further chunk is begun, and then takes and releases copy_lock, which waits for
 *     the one that was. After that no byte of an old copy moves any more. (The number must change
 *     before the lock is taken: mutexes are not fair, and the thread that moves chunks would win
 *     the lock again and again.) Order: pci.lock, then copy_lock, then whatever an IOMMU takes
 *     in dma_map(), where it may not wait for a PCI function's lock.
 *   - The thread exists from the first long copy to the next reset or unrealize: an engine that has
 *     only made small copies since its reset has none.
 */
#include "devices/dma_engine.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>

#include "devices/dma_engine_regs.h"
#include "vmm/dma_copy.h"
#include "vmm/trace.h"

enum {
    CHUNK_SIZE = 256 << 10, /* what a reset waits for: 10 to 50 us */
    /*
     * How long a vCPU may be held up: 0.1 ms in warm memory, and even in memory that must be
     * allocated first below 1 ms. To wake a thread takes 10 to 20 us, and it begins with cold
     * caches, so that shorter copies lose by it.
     */
    INLINE_MAX_DEFAULT = 4 << 20,
    THREAD_STACK_SIZE = 128 << 10,
};

/* The status as it stands in the upper half of CTRL. */
#define STATUS_DONE  ((uint64_t)DMA_ENGINE_STATUS_DONE << 32)
#define STATUS_ERROR ((uint64_t)DMA_ENGINE_STATUS_ERROR << 32)
#define STATUS_BUSY  ((uint64_t)DMA_ENGINE_STATUS_BUSY << 32)

/* One accepted START. */
struct job {
    iova_t source;
    iova_t destination;
    uint32_t length;
    uint64_t epoch;
};

struct dma_engine {
    struct pci_device pci;
    uint64_t inline_max; /* property: bytes */

    /* Registers that can be read; see the top of the file. */
    _Atomic uint64_t status; /* CTRL */
    _Atomic uint64_t error;  /* code, and BUSY_COUNT in the upper half */
    _Atomic uint64_t fault_addr;
    _Atomic uint64_t intx_enable;
    _Atomic uint64_t int_status;

    /* Registers that cannot; under pci.lock. */
    uint64_t source;
    uint64_t destination;
    uint64_t length; /* as written: bytes in the upper half */

    pthread_mutex_t copy_lock;
    _Atomic uint64_t epoch; /* resets so far; changed under pci.lock */

    /* The thread; all under pci.lock. */
    pthread_t thread;
    bool thread_exists; /* is to be joined */
    bool thread_ended;  /* has left its loop; joining takes no time */
    bool thread_leave;  /* is asked to leave */
    bool queued;        /* `next` is to be done */
    struct job next;
    pthread_cond_t wake; /* signalled when `queued` or `thread_leave` becomes true */
};

static const struct register_desc registers[] = {
    {"SRC", DMA_ENGINE_SRC, 8, REGISTER_WO, "bus address to copy from"},
    {"DST", DMA_ENGINE_DST, 8, REGISTER_WO, "bus address to copy to"},
    {"LEN", DMA_ENGINE_LEN, 8, REGISTER_WO, "bits 32-63: bytes to copy"},
    {"CTRL", DMA_ENGINE_CTRL, 8, REGISTER_RW, "bit 0: START; bit 32: DONE; 33: ERROR; 34: BUSY"},
    {"ERROR", DMA_ENGINE_ERROR, 8, REGISTER_RO,
     "bits 0-31: why the last copy failed; bits 32-63: BUSY_COUNT"},
    {"FAULT_ADDR", DMA_ENGINE_FAULT_ADDR, 8, REGISTER_RO,
     "bus address at which the last copy failed"},
    {"INTX_ENABLE", DMA_ENGINE_INTX_ENABLE, 8, REGISTER_RW, "bit 0: PENDING asserts INTx"},
    {"INT_STATUS", DMA_ENGINE_INT_STATUS, 8, REGISTER_RW1C, "bit 0: PENDING, a copy has ended"},
    {"VERSION", DMA_ENGINE_VERSION, 8, REGISTER_RO,
     "bits 0-31: 1; bits 32-63: largest copy that START completes"},
};

const struct register_block dma_engine_registers = {
    .name = "dma-engine bar0",
    .registers = registers,
    .count = sizeof(registers) / sizeof(registers[0]),
    .access_sizes = 4 | 8,
    .stride = 8,
};

/* ---- interrupts */

/*
 * INTx is a level: it follows from the registers, and this is called whenever one of them has
 * changed. Interrupt Disable, and MSI Enable, keep it off the wire: that is the PCI core's
 * business.
 */
static void update_intx(struct dma_engine *engine)
{
    bool pending = atomic_load(&engine->int_status) & DMA_ENGINE_INT_PENDING;
    bool enabled = atomic_load(&engine->intx_enable) & DMA_ENGINE_INTX_ENABLED;
    pci_set_intx(&engine->pci, pending && enabled);
}

/* A copy has ended: an MSI is an event, sent for each; INTx stays until it is acknowledged. */
static void interrupt(struct dma_engine *engine)
{
    if (pci_msi_enabled(&engine->pci)) {
        pci_msi_notify(&engine->pci, 0);
    }
    update_intx(engine);
}

/* ---- copying */

static enum dma_engine_error error_code(int dma_error)
{
    switch (dma_error) {
    case 0:
        return DMA_ENGINE_ERROR_NONE;
    case -EACCES:
        return DMA_ENGINE_ERROR_BUS_MASTER;
    case -EFAULT:
        return DMA_ENGINE_ERROR_TRANSLATION;
    case -ERANGE:
        return DMA_ENGINE_ERROR_LENGTH;
    default: /* -ENXIO */
        return DMA_ENGINE_ERROR_NO_MEMORY;
    }
}

/* How a job ended: 0 or an error of vmm/dma.h, and where. */
struct outcome {
    int dma_error;
    uint64_t fault_addr; /* 0: none */
};

/* Move the next chunk. As dma_copy_step(), or -ECANCELED if there was a reset since the START. */
static int run_chunk(struct dma_engine *engine, const struct job *job, struct dma_copy *copy)
{
    pthread_mutex_lock(&engine->copy_lock);
    int ret = -ECANCELED;
    if (job->epoch == atomic_load(&engine->epoch)) {
        ret = dma_copy_step(copy, CHUNK_SIZE);
    }
    pthread_mutex_unlock(&engine->copy_lock);
    return ret;
}

/* The whole copy, on the thread that the job belongs to. No lock is held. */
static struct outcome run_chunks(struct dma_engine *engine, const struct job *job)
{
    struct dma_copy copy;
    int ret = dma_copy_begin(&copy, &engine->pci.dma, job->source, job->destination, job->length);
    if (ret < 0) {
        return (struct outcome){.dma_error = ret};
    }
    do {
        ret = run_chunk(engine, job, &copy);
    } while (ret > 0);
    return (struct outcome){.dma_error = ret, .fault_addr = ret < 0 ? copy.fault.raw : 0};
}

static struct outcome run_job(struct dma_engine *engine, const struct job *job)
{
    uint64_t begin = trace_begin(TRACE_ID_dma_engine_copy);
    struct outcome outcome = run_chunks(engine, job);
    if (begin) {
        trace_end(&(struct trace_span){TRACE_ID_dma_engine_copy, begin, NULL, engine->pci.name},
                  "length=0x%x error=%d", job->length, outcome.dma_error);
    }
    return outcome;
}

/*
 * Tell the guest. pci.lock is held. If there was a reset since the START, the registers speak of
 * what came after it and are left alone.
 */
static void finish_job(struct dma_engine *engine, const struct job *job, struct outcome outcome)
{
    if (job->epoch != atomic_load(&engine->epoch)) {
        return;
    }
    enum dma_engine_error code = error_code(outcome.dma_error);
    uint64_t refused = atomic_load(&engine->error) & ~(uint64_t)UINT32_MAX;
    atomic_store(&engine->error, refused | code);
    atomic_store(&engine->fault_addr, outcome.fault_addr);
    atomic_store(&engine->int_status, DMA_ENGINE_INT_PENDING);
    /*
     * Release: everything this thread has written, the data above all, is visible to whoever reads
     * DONE with acquire, as engine_read() does. The vCPU that read it then runs its guest on the
     * same CPU, so the guest, too, finds the data once it has seen DONE.
     */
    atomic_store_explicit(&engine->status, STATUS_DONE | (code ? STATUS_ERROR : 0),
                          memory_order_release);
    trace_dma_engine_done(engine->pci.name, code, outcome.fault_addr);
    interrupt(engine);
}

/* ---- the thread */

static void *thread_main(void *opaque)
{
    struct dma_engine *engine = opaque;
    trace_name_thread("dma-engine");
    pthread_mutex_lock(&engine->pci.lock);
    while (!engine->thread_leave) {
        if (!engine->queued) {
            pthread_cond_wait(&engine->wake, &engine->pci.lock);
            continue;
        }
        struct job job = engine->next;
        engine->queued = false;
        pthread_mutex_unlock(&engine->pci.lock);
        struct outcome outcome = run_job(engine, &job);
        pthread_mutex_lock(&engine->pci.lock);
        finish_job(engine, &job, outcome);
    }
    engine->thread_ended = true;
    pthread_mutex_unlock(&engine->pci.lock);
    return NULL;
}

/* Small, and with every signal blocked: those are for the main thread and for vCPUs. */
static int create_thread(struct dma_engine *engine)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, THREAD_STACK_SIZE);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int ret = -pthread_create(&engine->thread, &attributes, thread_main, engine);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return ret;
}

/*
 * See to it that there is a thread that takes the next job. pci.lock is held. One that has been
 * asked to leave but has not got round to it stays; one that has left is replaced.
 */
static int ensure_thread(struct dma_engine *engine)
{
    engine->thread_leave = false;
    if (engine->thread_exists && !engine->thread_ended) {
        return 0;
    }
    if (engine->thread_exists) {
        pthread_join(engine->thread, NULL);
    }
    engine->thread_ended = false;
    int ret = create_thread(engine);
    engine->thread_exists = ret == 0;
    return ret;
}

/* Give the job to the thread. False if there can be none. pci.lock is held. */
static bool hand_over(struct dma_engine *engine, const struct job *job)
{
    if (ensure_thread(engine) < 0) {
        return false;
    }
    engine->next = *job;
    engine->queued = true;
    pthread_cond_signal(&engine->wake);
    return true;
}

/* Stop whatever copy is under way, and ask the thread to leave. pci.lock is held. */
static void stop_work(struct dma_engine *engine)
{
    atomic_fetch_add(&engine->epoch, 1);    /* no further chunk is begun */
    pthread_mutex_lock(&engine->copy_lock); /* waits for the one that was */
    pthread_mutex_unlock(&engine->copy_lock);
    engine->queued = false;
    engine->thread_leave = true;
    pthread_cond_signal(&engine->wake);
}

/* ---- START */

static void refuse_start(struct dma_engine *engine)
{
    uint64_t error = atomic_load(&engine->error);
    if (error >> 32 < UINT32_MAX) {
        error += (uint64_t)1 << 32;
        atomic_store(&engine->error, error);
    }
    trace_dma_engine_refused(engine->pci.name, error >> 32);
}

/*
 * START was written. pci.lock is held. Returns true if the caller is to run `job` itself once it
 * has let go of the lock. If there can be no thread it does so, too: late is better than never.
 */
static bool start_copy(struct dma_engine *engine, struct job *job)
{
    if (atomic_load(&engine->status) & STATUS_BUSY) {
        refuse_start(engine);
        return false;
    }
    *job = (struct job){
        .source = iova(engine->source),
        .destination = iova(engine->destination),
        .length = engine->length >> 32,
        .epoch = atomic_load(&engine->epoch),
    };
    atomic_store(&engine->status, STATUS_BUSY);
    atomic_store(&engine->error, (uint32_t)atomic_load(&engine->error)); /* BUSY_COUNT to 0 */
    bool here = job->length <= engine->inline_max || !hand_over(engine, job);
    trace_dma_engine_start(engine->pci.name, job->source.raw, job->destination.raw, job->length,
                           here ? "inline" : "thread");
    return here;
}

/* The vCPU's own copy; it holds no lock. */
static void run_here(struct dma_engine *engine, const struct job *job)
{
    struct outcome outcome = run_job(engine, job);
    pthread_mutex_lock(&engine->pci.lock);
    finish_job(engine, job, outcome);
    pthread_mutex_unlock(&engine->pci.lock);
}

/* ---- registers */

/*
 * All registers are 64 bits wide, so the handlers know nothing else. An access of 4 bytes is one to
 * a half of the register at `offset & ~7`; these say which, and get the value there and back.
 */
static uint64_t half_mask(uint64_t offset, unsigned size)
{
    return size == 8 ? UINT64_MAX : offset & 4 ? UINT64_MAX << 32 : UINT32_MAX;
}

static uint64_t to_half(uint64_t value, uint64_t offset)
{
    return offset & 4 ? value << 32 : value;
}

static uint64_t from_half(uint64_t value, uint64_t offset, unsigned size)
{
    if (size == 8) {
        return value;
    }
    return (uint32_t)(offset & 4 ? value >> 32 : value);
}

/* Acquire: who sees DONE sees what was stored before it. See finish_job(). */
static uint64_t load_status(const struct dma_engine *engine)
{
    return atomic_load_explicit(&engine->status, memory_order_acquire);
}

static uint64_t read_register(const struct dma_engine *engine, uint64_t offset)
{
    switch (offset) {
    case DMA_ENGINE_SRC:
    case DMA_ENGINE_DST:
    case DMA_ENGINE_LEN:
        return 0; /* write-only */
    case DMA_ENGINE_CTRL:
        return load_status(engine);
    case DMA_ENGINE_ERROR:
        return atomic_load(&engine->error);
    case DMA_ENGINE_FAULT_ADDR:
        return atomic_load(&engine->fault_addr);
    case DMA_ENGINE_INTX_ENABLE:
        return atomic_load(&engine->intx_enable);
    case DMA_ENGINE_INT_STATUS:
        return atomic_load(&engine->int_status);
    case DMA_ENGINE_VERSION:
        return engine->inline_max << 32 | DMA_ENGINE_VERSION_VALUE;
    default:
        return 0; /* reserved */
    }
}

/*
 * Either half of CTRL: what drivers poll, thousands of times a copy, each time at the price of an
 * exit. So this one read goes by the shortest way; the others take the one that all could.
 */
static uint64_t read_status_half(const struct dma_engine *engine, uint64_t offset)
{
    uint64_t value = from_half(load_status(engine), offset, 4);
    trace_dma_engine_read(engine->pci.name, "CTRL", offset, 4, value);
    return value;
}

static uint64_t engine_read(void *opaque, uint64_t offset, unsigned size)
{
    const struct dma_engine *engine = opaque;
    if (size == 4 && (offset | 4) == DMA_ENGINE_STATUS) {
        return read_status_half(engine, offset);
    }
    const char *malformed = register_malformed(&dma_engine_registers, offset, size);
    if (malformed) {
        trace_dma_engine_bad_access(engine->pci.name, "read", offset, size, malformed);
        return UINT64_MAX;
    }
    const struct register_desc *desc = register_find(&dma_engine_registers, offset);
    if (!desc) {
        trace_dma_engine_bad_access(engine->pci.name, "read", offset, size, "reserved");
        return 0;
    }
    uint64_t value = from_half(read_register(engine, offset & ~(uint64_t)7), offset, size);
    trace_dma_engine_read(engine->pci.name, desc->name, offset, size, value);
    return value;
}

/* Write the bits in `mask`. pci.lock is held. Returns true if the caller is to run `job`. */
static bool write_register(struct dma_engine *engine, uint64_t offset, uint64_t mask,
                           uint64_t value, struct job *job)
{
    switch (offset) {
    case DMA_ENGINE_SRC:
        engine->source = (engine->source & ~mask) | value;
        return false;
    case DMA_ENGINE_DST:
        engine->destination = (engine->destination & ~mask) | value;
        return false;
    case DMA_ENGINE_LEN:
        engine->length = (engine->length & ~mask) | value;
        return false;
    case DMA_ENGINE_CTRL:
        return value & DMA_ENGINE_CTRL_START && start_copy(engine, job);
    case DMA_ENGINE_INTX_ENABLE:
        if (mask & DMA_ENGINE_INTX_ENABLED) {
            atomic_store(&engine->intx_enable, value & DMA_ENGINE_INTX_ENABLED);
            update_intx(engine);
        }
        return false;
    case DMA_ENGINE_INT_STATUS:
        atomic_fetch_and(&engine->int_status, ~value);
        update_intx(engine);
        return false;
    default: /* read-only; reserved ones have been turned away */
        return false;
    }
}

/* Why a write reaches no register, for the trace; NULL if it does. */
static const char *write_refusal(uint64_t offset, unsigned size)
{
    const char *malformed = register_malformed(&dma_engine_registers, offset, size);
    if (malformed) {
        return malformed;
    }
    const struct register_desc *desc = register_find(&dma_engine_registers, offset);
    if (!desc) {
        return "reserved";
    }
    return desc->access == REGISTER_RO ? "read-only" : NULL;
}

static void engine_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    struct dma_engine *engine = opaque;
    const char *refusal = write_refusal(offset, size);
    if (refusal) {
        trace_dma_engine_bad_access(engine->pci.name, "write", offset, size, refusal);
        return;
    }
    trace_dma_engine_write(engine->pci.name, register_name(&dma_engine_registers, offset), offset,
                           size, value);
    struct job job;
    pthread_mutex_lock(&engine->pci.lock);
    bool run = write_register(engine, offset & ~(uint64_t)7, half_mask(offset, size),
                              to_half(value, offset), &job);
    pthread_mutex_unlock(&engine->pci.lock);
    if (run) {
        run_here(engine, &job);
    }
}

/* What was written to a register that reads as 0 is shown, too. pci.lock is held. */
static uint64_t peek(struct pci_device *device, const struct register_desc *reg)
{
    const struct dma_engine *engine = (const struct dma_engine *)device;
    switch (reg->offset) {
    case DMA_ENGINE_SRC:
        return engine->source;
    case DMA_ENGINE_DST:
        return engine->destination;
    case DMA_ENGINE_LEN:
        return engine->length;
    default:
        return read_register(engine, reg->offset);
    }
}

static const struct pci_register_view views[] = {
    {&dma_engine_registers, 0, peek},
    {.block = NULL},
};

static const struct bus_ops register_ops = {.read = engine_read, .write = engine_write};

/* ---- the PCI function */

/* pci.lock is held. */
static void engine_reset(struct pci_device *device)
{
    struct dma_engine *engine = (struct dma_engine *)device;
    stop_work(engine);
    engine->source = 0;
    engine->destination = 0;
    engine->length = 0;
    atomic_store(&engine->status, 0);
    atomic_store(&engine->error, 0);
    atomic_store(&engine->fault_addr, 0);
    atomic_store(&engine->intx_enable, 0);
    atomic_store(&engine->int_status, 0);
    update_intx(engine);
}

static const struct pci_identity identity = {
    .vendor = DMA_ENGINE_VENDOR_ID,
    .device = DMA_ENGINE_DEVICE_ID,
    .revision = DMA_ENGINE_REVISION,
    .class_code = DMA_ENGINE_CLASS,
    .subsystem_vendor = 0x1af4,
    .subsystem = 0x1100,
};

static int engine_realize(struct pci_device *device, struct error *err)
{
    struct dma_engine *engine = (struct dma_engine *)device;
    pci_set_identity(device, &identity);
    pci_set_interrupt_pin(device, 1);
    pci_add_bar(device, 0, PCI_BAR_MEM32, DMA_ENGINE_BAR0_SIZE, &register_ops, engine);
    int ret = pci_add_msi(device, DMA_ENGINE_MSI_CAP, 0, true, false, err);
    if (ret < 0) {
        return ret;
    }
    pci_add_express(device, PCI_EXPRESS_ENDPOINT, DMA_ENGINE_EXPRESS_CAP, true);
    pthread_mutex_init(&engine->copy_lock, NULL);
    pthread_cond_init(&engine->wake, NULL);
    return 0;
}

static void engine_unrealize(struct pci_device *device)
{
    struct dma_engine *engine = (struct dma_engine *)device;
    pthread_mutex_lock(&device->lock);
    stop_work(engine);
    pthread_mutex_unlock(&device->lock);
    if (engine->thread_exists) {
        pthread_join(engine->thread, NULL);
    }
    pthread_cond_destroy(&engine->wake);
    pthread_mutex_destroy(&engine->copy_lock);
}

static const struct property properties[] = {
    {
        .name = "inline-max",
        .type = PROPERTY_SIZE,
        .offset = offsetof(struct dma_engine, inline_max),
        .default_value = INLINE_MAX_DEFAULT,
        .minimum = 0,
        .maximum = UINT32_MAX,
        .meaning = "copies up to this size are finished before the start write returns",
    },
    {.name = NULL},
};

const struct pci_device_type dma_engine_type = {
    .name = "dma-engine",
    .summary = "copies memory to memory; the example device",
    .size = sizeof(struct dma_engine),
    .properties = properties,
    .default_slot = 4,
    .realize = engine_realize,
    .unrealize = engine_unrealize,
    .reset = engine_reset,
    .registers = views,
};

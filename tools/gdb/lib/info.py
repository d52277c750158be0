# SPDX-License-Identifier: MIT
"""info machine, pci, mtree, irq, iommu, vcpus.

pci, mtree and irq print what inspect_pci(), inspect_mtree() and inspect_irq() of vmm/inspect.h do, but from
outside: they take no lock, and work on a core dump. If a lock was held when the program stopped, they say so.

Two things are not in the program's memory. Which addresses KVM itself answers is said by functions without
side effects. A guest's registers are in KVM: an ioctl() made by a stopped thread reads them, while all other
threads stay stopped (scheduler-locking). A vCPU's thread that gdb stops has left KVM_RUN, as a signal always ends
it, so nobody holds that vCPU's lock in the kernel, and the ioctl() does not wait. A core dump has neither.
"""

import gdb

from lib import program
from lib.program import Error

INTERRUPT_PIN, CLASS_REVISION, SUBORDINATE_BUS = 0x3D, 0x08, 0x1A
# Below the stack pointer, beyond what the called function uses: nothing that lives is there.
BUFFER_BELOW_STACK = 16384

BAR_KINDS = {
    "PCI_BAR_IO": "I/O", "PCI_BAR_MEM32": "32-bit memory", "PCI_BAR_MEM32_PREFETCH": "32-bit memory, prefetchable",
    "PCI_BAR_MEM64": "64-bit memory", "PCI_BAR_MEM64_PREFETCH": "64-bit memory, prefetchable",
}


def out(line=""):
    gdb.write(f"{line}\n")


def size_text(size):
    """As format_size() of vmm/property.c."""
    for shift, suffix in ((40, "T"), (30, "G"), (20, "M"), (10, "K")):
        if size and size % (1 << shift) == 0:
            return f"{size >> shift}{suffix}"
    return str(size)


def tell_lock(mutex, name):
    """Who looks must know if what is seen may be half-way."""
    owner = int(mutex["__data"]["__owner"])
    if owner:
        out(f"note: {name} is held by thread LWP {owner}: what it guards may be half-way between two states")


# ---- calls into the stopped program


class OnlyThisThread:
    """Other threads stay as they are while the program is called."""

    def __enter__(self):
        self.before = gdb.parameter("scheduler-locking")
        gdb.execute("set scheduler-locking on", to_string=True)

    def __exit__(self, *_):
        gdb.execute(f"set scheduler-locking {self.before}", to_string=True)


def can_call():
    thread = gdb.selected_thread()
    return thread is not None and thread.is_valid() and thread.is_stopped() and not program.is_core()


def buffer():
    pointer = int(gdb.parse_and_eval("(unsigned long)$sp"))
    return (pointer - BUFFER_BELOW_STACK) & ~63


def call_for_list(function, kind, most):
    """The list that a function of machine.h fills in; None where nothing can be called."""
    if not can_call():
        return None
    element = gdb.lookup_type(f"struct {kind}")
    place = buffer() - most * element.sizeof
    with OnlyThisThread():
        count = int(gdb.parse_and_eval(f"{function}(&the_machine, (struct {kind} *){place})"))
    pointer = gdb.Value(place).cast(element.pointer())
    return [pointer[i] for i in range(count)]


def kvm_ranges(bus):
    """(name, first, last) of what KVM answers itself; None if that cannot be asked."""
    found = call_for_list("machine_kvm_ranges", "machine_range", 16)
    if found is None:
        return None
    return [(program.text(r["name"]), int(r["first"]), int(r["last"]))
            for r in found if bool(r["port"]) == (bus == "pio")]


# ---- info pci


def depth(function):
    above = program.parent(function)
    return 0 if above is None else depth(above) + 1


def in_order():
    """A bridge before what is behind it, by slots."""
    def key(function):
        above = program.parent(function)
        return (key(above) if above is not None else ()) + (int(function["devfn"]),)

    return sorted(program.functions(), key=key)


def wire_of(function):
    """Which wire of the root bus its pin ends at, as pci_intx_wire()."""
    pin = program.config(function, INTERRUPT_PIN, 1) - 1
    while function is not None:
        pin = (pin + (int(function["devfn"]) >> 3)) % 4
        function = program.parent(function)
    return pin


def gsi_of(function):
    return int(program.machine()["pci"]["intx_gsi"][wire_of(function)])


def vectors(function):
    """("MSI", vectors), ("MSI-X", vectors) of what it has, with its struct msi_route."""
    msi, msix = function["msi"], function["msix"]
    if int(msi["offset"]):
        yield "MSI", 1 << int(msi["log2_vectors"]), msi["routes"]
    if int(msix["offset"]):
        yield "MSI-X", int(msix["vectors"]), msix["routes"]


def show_function(function):
    indent = " " * (2 + 2 * depth(function))
    more = indent + "    "
    identity = program.text(function["id"])
    out(f"{indent}{program.address_of(function)} {program.text(function['type']['name'])}"
        + (f", id={identity}" if identity else "")
        + f", {program.config(function, 0, 2):04x}:{program.config(function, 2, 2):04x}"
        f", class {program.config(function, CLASS_REVISION, 4) >> 8:06x}")
    if int(function["bridge"]):
        secondary = program.config(function, program.PCI_SECONDARY_BUS, 1)
        out(f"{more}bridge to bus {secondary:02x}, up to {program.config(function, SUBORDINATE_BUS, 1):02x}"
            if secondary else f"{more}bridge to a bus without a number yet")
    for index, bar in program.bars(function):
        region = bar["region"]
        where = f"at {int(region['base']):#x}" if bar["mapped"] else "not mapped"
        kind = BAR_KINDS[program.enumerator(bar["kind"])]
        out(f"{more}bar{index}: {size_text(int(region['size']))} of {kind}, {where}")
    pin = program.config(function, INTERRUPT_PIN, 1)
    if pin:
        out(f"{more}INT{'?ABCD'[pin]}: GSI {gsi_of(function)}")
    for kind, count, _ in vectors(function):
        out(f"{more}{kind}: {count}")


def info_pci():
    out("PCI functions")
    for function in in_order():
        show_function(function)
    tell_lock(program.machine()["pci"]["map_lock"], "pci_host.map_lock")


# ---- info mtree


def info_mtree():
    out("addresses")
    unknown = False
    for bus in program.buses():
        name = program.text(bus["name"])
        found = [(int(r["first"]), int(r["last"]), program.text(r["name"]))
                 for r in program.ranges(bus) if not program.is_unassigned(bus, r)]
        if name == "mmio":
            blocks = ((int(block["base"]["raw"]), int(block["size"])) for block in program.ram_blocks())
            found += [(base, base + size - 1, "RAM") for base, size in blocks]
        inside = kvm_ranges(name)
        unknown = unknown or inside is None
        found += [(first, last, f"{what} (in KVM)") for what, first, last in inside or ()]
        digits = 4 if name == "pio" else 12
        for first, last, what in sorted(found):
            out(f"  {name} {first:0{digits}x}-{last:0{digits}x}  {what}")
    if unknown:
        out("note: what KVM answers itself is left out: there is no process to ask")


# ---- info irq


def info_irq():
    out("interrupts")
    wires = call_for_list("machine_wires", "machine_wire", 16)
    for wire in wires or ():
        out(f"  GSI {int(wire['gsi'])}: {program.text(wire['name'])}")
    for function in in_order():
        name, pin = program.name_of(function), program.config(function, INTERRUPT_PIN, 1)
        if pin:
            out(f"  GSI {gsi_of(function)}: INT{'?ABCD'[pin]} of {name}, by wire {wire_of(function)} of the "
                "root bus")
        for kind, count, routes in vectors(function):
            for vector, route in enumerate(program.elements(routes, count)):
                if route["added"] and route["routed"]:
                    message = route["message"]
                    out(f"  GSI {int(route['gsi'])}: {kind} of {name}, vector {vector}, address "
                        f"{int(message['address']):#x} data {int(message['data']):#x}")
    if wires is None:
        out("note: interrupts of other devices are left out: there is no process to ask")
    tell_lock(program.machine()["vm"]["irq"]["lock"], "kvm_irq.lock")


# ---- info machine


def set_flags(value, names):
    return ", ".join(name for bit, name in names if value & bit)


def info_machine():
    machine = program.machine()
    vm, options = machine["vm"], machine["options"]
    name = gdb.lookup_global_symbol("machine_architecture").value()
    architecture = program.text(name.address.cast(program.char_pointer()))
    out(f"{architecture}, vCPUs: {int(vm['vcpu_count'])}, RAM: {size_text(int(options['memory']))}")
    for block in program.ram_blocks():
        first, host = int(block["base"]["raw"]), int(block["host"])
        out(f"  RAM {first:#x}-{first + int(block['size']) - 1:#x}, in this process at {host:#x}")
    out(f"kernel: {program.text(options['kernel'])}, initrd: {program.text(options['initrd']) or 'none'}")
    holders = set_flags(int(vm["holders"]), ((1, "gdb"), (2, "a person")))
    state = "running" if vm["running"] else f"stopped{f', held by {holders}' if holders else ''}"
    request = program.enumerator(gdb.Value(int(vm["request"])).cast(gdb.lookup_type("enum vm_request")))
    out(f"{state}, parked vCPUs: {int(vm['parked'])}, asked of it: {request}")
    pci = machine["pci"]
    out(f"PCI functions: {int(pci['device_count'])}, IOMMU: {'yes' if int(pci['iommu']) else 'no'}")
    tell_lock(vm["lock"], "vm.lock")


# ---- info iommu

CR0_SMMUEN, CR0_EVENTQEN, CR0_CMDQEN = 1, 4, 8
GBPA_ABORT = 1 << 20
BASE_ADDRESS = 0x000FFFFFFFFFFFC0


def show_queue(name, smmu, queue, enabled):
    entries = 1 << min(int(smmu[f"{queue}_base"]) & 0x1F, 19)
    prod, cons = int(smmu[f"{queue}_prod"]), int(smmu[f"{queue}_cons"])
    out(f"{name}: {'on' if enabled else 'off'}, {entries} entries, prod {prod & entries - 1}, "
        f"cons {cons & entries - 1}, waiting {prod - cons & 2 * entries - 1}")


def show_stream(smmu, sid):
    """What the configuration cache says of a stream."""
    slot = smmu["streams"][sid]
    kind = gdb.lookup_type("struct stream_config")
    stream = gdb.Value(int(slot["words"].address)).cast(kind.pointer()).dereference()
    mode = ("no configuration", "abort", "bypass", "stage 1")[int(stream["mode"]) & 3]
    tables = ""
    for i in range(2) if mode == "stage 1" else ():
        table = stream["table"][i]
        if table["enabled"]:
            pages = {12: "4K", 14: "16K", 16: "64K"}.get(int(table["granule"]), "?")
            tables += f", TTB{i} {int(table['base']):#x}: {int(table['input_bits'])} bits, pages of {pages}"
    asid = f", ASID {int(stream['asid'])}" if mode == "stage 1" else ""
    out(f"  stream {sid:#04x} ({sid >> 8:02x}:{sid >> 3 & 31:02x}.{sid & 7}): {mode}{asid}{tables}")
    out(f"    configuration cache: hits {int(slot['hits'])}, misses {int(slot['misses'])}; "
        f"IOTLB: hits {int(slot['tlb_hits'])}, misses {int(slot['tlb_misses'])}")


def info_iommu():
    iommu = program.machine()["pci"]["iommu"]
    if not int(iommu):
        out("This machine has no IOMMU: devices address memory as the guest does.")
        return
    smmu = iommu.cast(gdb.lookup_type("struct smmuv3").pointer()).dereference()
    cr0 = int(smmu["cr0"])
    on = cr0 & CR0_SMMUEN
    off = "off, every access is aborted" if int(smmu["gbpa"]) & GBPA_ABORT else "off, accesses pass untranslated"
    out(f"SMMUv3: {'on' if on else off}")
    if on:
        cfg = int(smmu["strtab_base_cfg"])
        out(f"stream table at {int(smmu['strtab_base']) & BASE_ADDRESS:#x}: {2 if cfg >> 16 & 3 == 1 else 1} levels, "
            f"{min(cfg & 0x3F, 16)} bits; streams in the configuration cache:")
    for sid in sorted(int(n) for n in program.elements(smmu["known_streams"], smmu["known_count"])):
        show_stream(smmu, sid)
    show_queue("command queue", smmu, "cmdq", cr0 & CR0_CMDQEN)
    show_queue("event queue", smmu, "eventq", cr0 & CR0_EVENTQEN)
    out(f"errors that are not acknowledged: {int(smmu['gerror']) ^ int(smmu['gerrorn']):#x}")
    for name in ("lock", "event_lock", "cache_lock"):
        tell_lock(smmu[name], f"smmuv3.{name}")


# ---- info vcpus

KVM_GET_REGS, KVM_GET_SREGS, KVM_GET_ONE_REG = 0x8090AE81, 0x8138AE83, 0x4010AEAB
ARM64_CORE_U64 = 0x6030_0000_0010_0000
# struct kvm_regs of arm64: x0-x30, SP_EL0, PC, PSTATE, SP_EL1, ELR_EL1; numbered in words of 4 bytes.
ARM64_CORE = [(f"x{i}", 2 * i) for i in range(31)]
ARM64_CORE += [("sp_el0", 62), ("pc", 64), ("pstate", 66), ("sp_el1", 68), ("elr", 70)]


def ioctl(vcpu, request, argument):
    result = int(gdb.parse_and_eval(
        f"((int (*)(int, unsigned long, unsigned long))ioctl)({int(vcpu['fd'])}, {request}, {argument})"))
    if result < 0:
        raise Error(f"KVM does not tell the registers of vCPU {int(vcpu['index'])}")


def fetch(vcpu, request, kind):
    element, place = gdb.lookup_type(f"struct {kind}"), buffer()
    ioctl(vcpu, request, place)
    return gdb.Value(place).cast(element.pointer()).dereference()


def x86_registers(vcpu):
    regs = fetch(vcpu, KVM_GET_REGS, "kvm_regs")
    found = [(name, int(regs[name])) for name in
             "rip rflags rax rbx rcx rdx rsi rdi rbp rsp r8 r9 r10 r11 r12 r13 r14 r15".split()]
    sregs = fetch(vcpu, KVM_GET_SREGS, "kvm_sregs")
    return found + [(name, int(sregs[name])) for name in "cr0 cr2 cr3 cr4 efer".split()]


def arm64_registers(vcpu):
    place, memory, found = buffer(), gdb.selected_inferior(), []
    for name, index in ARM64_CORE:
        one_reg = (ARM64_CORE_U64 | index, place + 64)  # struct kvm_one_reg: which, and where to
        memory.write_memory(place, b"".join(word.to_bytes(8, "little") for word in one_reg))
        ioctl(vcpu, KVM_GET_ONE_REG, place)
        found.append((name, int.from_bytes(bytes(memory.read_memory(place + 64, 8)), "little")))
    return found


def guest_registers(vcpu):
    is_arm64 = gdb.selected_frame().architecture().name() == "aarch64"
    with OnlyThisThread():
        return arm64_registers(vcpu) if is_arm64 else x86_registers(vcpu)


def show_registers(registers):
    for i in range(0, len(registers), 4):
        out("    " + "  ".join(f"{name:<6} {value:016x}" for name, value in registers[i : i + 4]))


def thread_of(vcpu):
    """The gdb thread that runs a vCPU."""
    before = gdb.selected_thread()
    try:
        for thread in gdb.selected_inferior().threads():
            thread.switch()
            found = program.vcpu_of_thread(thread)
            if found is not None and int(found["index"]) == int(vcpu["index"]):
                return thread
    finally:
        if before is not None and before.is_valid():
            before.switch()
    return None


def what_it_does(thread):
    """From its frames; `thread` gets selected."""
    thread.switch()
    names, frame = set(), gdb.newest_frame()
    while frame is not None:
        names.add(frame.name())
        frame = frame.older()
    if "handle_exit" in names:
        return "handles an exit"
    if "wait_until_running" in names:
        return "parked"
    return "in the guest (KVM_RUN)" if "vcpu_run" in names else "not started"


def show_vcpu(vcpu):
    before, frame = gdb.selected_thread(), gdb.selected_frame()
    thread = thread_of(vcpu)
    state = "its thread is not known"
    if thread is not None:
        state = f"thread {thread.num}, {what_it_does(thread)}"
    before.switch()
    frame.select()
    run, reason = vcpu["run"].dereference(), ""
    try:
        reason = f", last exit: {program.exit_name(int(run['exit_reason']))}"
    except gdb.MemoryError:
        reason = ", struct kvm_run is not in this core dump"
    out(f"vCPU {int(vcpu['index'])}: {state}{reason}")
    if "handles" in state:
        out("    its PC is still at the instruction whose access is handled: KVM moves it by the next KVM_RUN")
    if can_call():
        show_registers(guest_registers(vcpu))
    else:
        out("    registers are KVM's own: there is no process to ask for them")


def info_vcpus():
    if gdb.selected_thread() is None:
        raise Error("no thread is selected")
    if any(thread.is_running() for thread in gdb.selected_inferior().threads()):
        raise Error("info vcpus: a thread is running (non-stop mode): its vCPU would be waited for")
    for vcpu in program.vcpus():
        show_vcpu(vcpu)


# ---- the commands


class Info(gdb.Command):
    def __init__(self, name, function, about):
        self.__doc__, self.function = about, function
        super().__init__(f"info {name}", gdb.COMMAND_STATUS)

    def invoke(self, argument, from_tty):
        program.built_machine()
        self.function()


Info("machine", info_machine, "minivmm's machine: architecture, RAM, and whether it runs.")
Info("pci", info_pci, "The machine's PCI functions, as --dump-machine and a monitor print them.")
Info("mtree", info_mtree, "Who answers at which address and port of the machine.")
Info("irq", info_irq, "Which interrupt of the machine ends where.")
Info("iommu", info_iommu, "The machine's IOMMU: streams, caches and queues.")
Info("vcpus", info_vcpus, "What each vCPU does, and its guest registers.\n\n"
     "KVM is asked for the registers by a call in the stopped program, all other threads staying stopped.")

# SPDX-License-Identifier: MIT
"""minivmm's own data, walked from outside: in a process or in a core dump. Nothing here runs code of
the program, and so nothing can wait for a lock that a stopped thread holds."""

import re

import gdb

PCI_SECONDARY_BUS, PCI_CAPABILITY_LIST = 0x19, 0x34
BAR_KIND_IO = "PCI_BAR_IO"


class Error(gdb.GdbError):
    """Something a person can do something about: gdb prints the text and no traceback."""


# ---- the machine


def machine():
    symbol = gdb.lookup_static_symbol("the_machine")
    if symbol is None:
        raise Error("this program is not minivmm, or has no debug information")
    return symbol.value()


def is_built():
    """Whether there is a machine yet, with all devices that the command line asked for."""
    try:
        return int(machine()["vm"]["vcpu_count"]) > 0 and int(machine()["pci"]["device_count"]) > 0
    except gdb.MemoryError:
        return False


def built_machine():
    if not is_built():
        raise Error("there is no machine yet: the program is not running, or is still building it")
    return machine()


def is_core():
    target = gdb.selected_inferior().connection
    return target is not None and target.type == "core"


def text(pointer):
    """A C string; None if the pointer is NULL."""
    return pointer.string(errors="replace") if int(pointer) else None


def elements(pointer, count):
    return (pointer[i] for i in range(int(count)))


def enumerator(value):
    """An enum's value by its name."""
    return str(value).split("(")[0].strip()


# ---- buses


def buses():
    vm = machine()["vm"]
    return [bus for bus in (vm["mmio"], vm["pio"]) if int(bus["name"])]


def bus_named(name):
    for bus in buses():
        if text(bus["name"]) == name:
            return bus
    raise Error(f"this machine has no {name} bus")


def ranges(bus):
    """The bus's struct bus_range of the published view, ascending."""
    view = bus["view"].cast(gdb.lookup_type("struct bus_view").pointer()).dereference()
    first = view["ranges"].address.cast(gdb.lookup_type("struct bus_range").pointer())
    return elements(first, view["count"])


def is_unassigned(bus, bus_range):
    return int(bus_range["region"]) == int(bus["unassigned"].address)


def range_at(bus, address):
    for bus_range in ranges(bus):
        if int(bus_range["first"]) <= address <= int(bus_range["last"]):
            return bus_range
    raise Error(f"{address:#x} is beyond the end of the {text(bus['name'])} bus")


def doorbells(region):
    """The struct bus_doorbell of a region that KVM has taken over."""
    doorbell = region["doorbells"]
    while int(doorbell):
        if doorbell["armed"]:
            yield doorbell.dereference()
        doorbell = doorbell["next"]


# ---- RAM


def ram_blocks():
    memory = machine()["vm"]["memory"]
    return [memory["blocks"][i] for i in range(int(memory["count"]))]


def is_ram(address):
    return any(0 <= address - int(block["base"]["raw"]) < int(block["size"]) for block in ram_blocks())


# ---- PCI


def functions():
    host = machine()["pci"]
    return [pointer.dereference() for pointer in elements(host["devices"], host["device_count"])]


def config(function, reg, size):
    raw = gdb.selected_inferior().read_memory(int(function["config"]) + reg, size)
    return int.from_bytes(bytes(raw), "little")


def parent(function):
    """The function of the bridge above; None on the root bus."""
    bridge = function["bus"]["parent"]
    return bridge["device"].dereference() if int(bridge) else None


def address_of(function):
    """As lspci writes it; behind a bridge that has no bus number yet, with the bridge's name."""
    above, devfn = parent(function), int(function["devfn"])
    number = config(above, PCI_SECONDARY_BUS, 1) if above is not None else 0
    bus = f"{number:02x}" if number or above is None else name_of(above)
    return f"{bus}:{devfn >> 3:02x}.{devfn & 7:x}"


def char_pointer():
    return gdb.lookup_type("char").pointer()


def name_of(function):
    return function["name"].string()


def find_function(name):
    """By id, by name or address, or by type where there is one of it only."""
    exact = [f for f in functions() if name in (text(f["id"]), name_of(f), address_of(f))]
    by_type = [f for f in functions() if text(f["type"]["name"]) == name]
    found = exact or by_type
    if len(found) > 1:
        raise Error(f"there are {len(found)} of '{name}': name one by id or address: "
                    + ", ".join(name_of(f) for f in found))
    return found[0] if found else None


def capabilities(function):
    """(id, offset) of each, in the order of the list; a broken list ends it."""
    offset, seen = config(function, PCI_CAPABILITY_LIST, 1), set()
    while offset and offset not in seen:
        seen.add(offset)
        yield config(function, offset, 1), offset
        offset = config(function, offset + 1, 1)


def bars(function):
    """(index, struct pci_bar) of those that there are."""
    found = ((i, function["bars"][i]) for i in range(6))
    return [(i, bar) for i, bar in found if enumerator(bar["kind"]) != "PCI_BAR_NONE"]


def is_io(bar):
    return enumerator(bar["kind"]) == BAR_KIND_IO


# ---- tables of registers


class Register:
    """A register, or a field of one, as bits of bytes that an access may touch."""

    def __init__(self, name, first, last, meaning=""):
        self.name, self.first, self.last, self.meaning = name, first, last, meaning


def function_symbol(pc):
    block = gdb.block_for_pc(pc)
    while block is not None and block.function is None:
        block = block.superblock
    return block.function if block is not None else None


def tables_beside(pc):
    """The register tables in the source file of the function at `pc`: a handler's own."""
    symbol = function_symbol(pc)
    if symbol is None or symbol.symtab is None:
        return []
    found = []
    for block in (symbol.symtab.static_block(), symbol.symtab.global_block()):
        for candidate in block:
            if candidate.is_variable and candidate.type.strip_typedefs().tag == "register_block":
                table = candidate.value()
                if not table.is_optimized_out:
                    found.append(table)
    return found


def fields(descriptor):
    """What a register's line of the table says of its bits: "bit 0: START; bit 32: DONE; 33: ERROR"."""
    base, meaning = int(descriptor["offset"]), text(descriptor["meaning"]) or ""
    for low, high, name in re.findall(r"(\d+)(?:-(\d+))?: ([A-Z][A-Z0-9_]+)\b", meaning):
        yield Register(name, base + int(low) // 8, base + int(high or low) // 8)


def registers(pc):
    """Every register that the table beside the handler at `pc` names, then every field by its name alone,
    then by register and field."""
    whole, parts = [], []
    for table in tables_beside(pc):
        for descriptor in elements(table["registers"], table["count"]):
            first = int(descriptor["offset"])
            name = text(descriptor["name"])
            whole.append(Register(name, first, first + int(descriptor["width"]) - 1,
                                  text(descriptor["meaning"])))
            parts += [(name, field) for field in fields(descriptor)]
    qualified = [Register(f"{name}.{field.name}", field.first, field.last) for name, field in parts]
    return whole + [field for _, field in parts] + qualified


def register_at(pc, offset):
    """The name of the register at an offset, or None."""
    for table in tables_beside(pc):
        for descriptor in elements(table["registers"], table["count"]):
            if 0 <= offset - int(descriptor["offset"]) < int(descriptor["width"]):
                return text(descriptor["name"])
    return None


# ---- vCPUs


def vcpus():
    vm = machine()["vm"]
    return [pointer.dereference() for pointer in elements(vm["vcpus"], vm["vcpu_count"])]


def thread_register():
    """pthread_self() of the selected thread, or None."""
    for name in ("fs_base", "tpidr"):
        value = gdb.parse_and_eval(f"${name}")
        if value.type.code != gdb.TYPE_CODE_VOID:
            return int(value) & (1 << 64) - 1
    return None


def vcpu_of_thread(thread):
    """The vCPU that a thread runs, or None. `thread` is the selected one."""
    match = re.fullmatch(r"vcpu(\d+)", thread.name or "")
    for vcpu in vcpus():
        if match and int(match[1]) == int(vcpu["index"]):
            return vcpu
    pthread = thread_register()
    for vcpu in vcpus():
        if int(vcpu["thread"]) == pthread:
            return vcpu
    return None


def exit_name(reason):
    """KVM_EXIT_..., from the table in vcpu_exit_name()."""
    function = gdb.lookup_global_symbol("vcpu_exit_name")
    block = gdb.block_for_pc(int(function.value().address)) if function else None
    for symbol in block or ():
        if symbol.name == "names" and symbol.is_variable:
            names = symbol.value()
            if reason <= names.type.range()[1]:
                return text(names[reason]) or f"KVM_EXIT_? ({reason})"
    return f"exit reason {reason}"

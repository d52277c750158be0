# SPDX-License-Identifier: MIT
"""mmio-break, pio-break, config-break.

A register has no function of its own: a device has one read and one write for each of its regions, with
a switch inside. So a breakpoint is at the beginning of that function, which the region's bus_ops name, and
stops only if the access is to the bytes that were asked for. The function is called through a pointer, so
its arguments are where the ABI puts them, however the program was optimised; in code that was not, gdb
knows better where they are.

A guest places its BARs itself. A breakpoint on an address follows: when the map of a bus changes, which two
probes of the program tell, it is found anew who answers there.
"""

import re

import gdb

from lib import info, program
from lib.program import Error

DIRECTIONS = {"read": (False,), "write": (True,), None: (False, True)}
ARGUMENTS = {"i386:x86-64": ("rdi", "rsi", "rdx", "rcx"), "aarch64": ("x0", "x1", "x2", "x3")}
MASK = (1 << 64) - 1

rules = []  # those that follow the map, or are made anew when the machine starts once more


def say(line):
    gdb.write(f"{line}\n")


# ---- at the beginning of a handler


class Place:
    """Bytes of a region, as its handler sees them: who it is called for, and which offsets."""

    def __init__(self, region, is_write, first, last, name):
        self.function = int(region["ops"]["write" if is_write else "read"])
        self.opaque, self.region = int(region["opaque"]), region
        self.first, self.last, self.name = first, last, name


def is_optimised(function):
    symbol = program.function_symbol(function)
    producer = (symbol.symtab.producer if symbol and symbol.symtab else None) or "-O2"
    return re.search(r" -O[1-9sgf]", producer) is not None


class HandlerStop(gdb.Breakpoint):
    def __init__(self, rule, function, is_write):
        self.rule, self.function, self.is_write = rule, function, is_write
        symbol = program.function_symbol(function)
        self.by_name = symbol is not None and not is_optimised(function)
        if self.by_name:
            super().__init__(function=symbol.name, source=symbol.symtab.fullname())
        else:
            super().__init__(f"*{function:#x}")

    def arguments(self):
        """opaque, offset, size, value as unsigned numbers; value is 0 for a read."""
        frame = gdb.newest_frame()
        if self.by_name:
            values = [frame.read_var(symbol) for symbol in frame.block() if symbol.is_argument]
        else:
            values = [frame.read_register(name) for name in ARGUMENTS[frame.architecture().name()]]
        opaque, offset, size, value = ([int(v) & MASK for v in values] + [0])[:4]
        return opaque, offset, size & 0xFFFFFFFF, value

    def stop(self):
        opaque, offset, size, value = self.arguments()
        for place in self.rule.places:
            if (place.function == self.function and place.opaque == opaque
                    and offset <= place.last and place.first < offset + size):
                say(f"{self.rule.title}: {describe(place, offset, size, value, self.is_write)}")
                return True
        return False


def describe(place, offset, size, value, is_write):
    register = program.register_at(place.function, offset)
    where = f"{place.name}+{offset:#x}" + (f" ({register})" if register else "")
    if int(place.region["bus"]):
        where += f", address {int(place.region['base']) + offset:#x}"
    elif place.name == "unassigned":
        where += f", address {offset:#x}"
    bits = f", value {value & (1 << 8 * size) - 1:#x}" if is_write else ""
    return f"{'write' if is_write else 'read'} of {size} bytes, {where}{bits}"


class Rule:
    """What was asked for. find() says where that is now."""

    def __init__(self, title, direction):
        self.title, self.writes = title, DIRECTIONS[direction]
        self.places, self.stops, self.told = [], {}, set()

    def set_places(self, found):
        """`found`: (Place, is_write) of all directions."""
        self.places = [place for place, _ in found]
        for place, is_write in found:
            if (place.function, is_write) not in self.stops:
                stop = HandlerStop(self, place.function, is_write)
                self.stops[place.function, is_write] = stop

    def is_gone(self):
        """The person has deleted all that there was of it."""
        return bool(self.stops) and not any(stop.is_valid() for stop in self.stops.values())

    def resolve(self):
        self.set_places(self.find())

    def places_in(self, region, first, last, name):
        return [(Place(region, is_write, first, last, name), is_write) for is_write in self.writes]

    def tell_of_doorbells(self, region):
        """Say which writes never come here, once each."""
        if True not in self.writes:
            return
        for doorbell in program.doorbells(region):
            self.tell_of_doorbell(region, doorbell)

    def tell_of_doorbell(self, region, doorbell):
        offset, size = int(doorbell["offset"]), max(1, int(doorbell["size"]))
        mine = [p for p in self.places if p.opaque == int(region["opaque"])]
        if offset in self.told or not any(p.first < offset + size and offset <= p.last for p in mine):
            return
        self.told.add(offset)
        only = f" of {int(doorbell['value']):#x}" if doorbell["has_value"] else ""
        say(f"{self.title}: note: a write{only} to {program.text(region['name'])}+{offset:#x} rings a doorbell in "
            "KVM (ioeventfd): it makes no exit, and is not seen here. The device's ioeventfd=off changes that")


class RegisterRule(Rule):
    """A register of a device, wherever its BAR is, or before it is anywhere."""

    def __init__(self, title, device, register, direction):
        super().__init__(title, direction)
        self.device, self.register = device, register

    def find(self):
        found = []
        for name, region in regions_of(self.device):
            register = find_register(name, region, self.register)
            if register:
                found += self.places_in(region, register.first, register.last, name)
        if not found:
            raise Error(f"{self.device} has no register '{self.register}'; " + known_registers(self.device))
        return found

    def resolve(self):
        super().resolve()
        for _, region in regions_of(self.device):
            self.tell_of_doorbells(region)


class AddressRule(Rule):
    """Addresses of a bus, whoever answers there."""

    def __init__(self, title, bus, first, last, direction):
        super().__init__(title, direction)
        self.bus, self.first, self.last = bus, first, last

    def find(self):
        found = []
        for bus_range in program.ranges(program.bus_named(self.bus)):
            first, last = int(bus_range["first"]), int(bus_range["last"])
            if first <= self.last and self.first <= last:
                base = int(bus_range["base"])
                low, high = max(first, self.first) - base, min(last, self.last) - base
                found += self.places_in(bus_range["region"].dereference(), low, high, program.text(bus_range["name"]))
        return found

    def resolve(self):
        super().resolve()
        for bus_range in program.ranges(program.bus_named(self.bus)):
            if int(bus_range["first"]) <= self.last and self.first <= int(bus_range["last"]):
                self.tell_of_doorbells(bus_range["region"].dereference())


# ---- names


def regions_of(name):
    """(what to call it, struct bus_region) of a device: a PCI function's BARs, or what is on a bus by that
    name."""
    function = program.find_function(name)
    if function is not None:
        own = program.name_of(function)
        return [(f"{own} bar{index}", bar["region"]) for index, bar in program.bars(function)]
    found = []
    for bus in program.buses():
        for bus_range in program.ranges(bus):
            if not program.is_unassigned(bus, bus_range) and program.text(bus_range["name"]) == name:
                found.append((name, bus_range["region"].dereference()))
    if not found:
        raise Error(f"no device '{name}'; there are {', '.join(device_names())}")
    return found


def device_names():
    names = [program.name_of(f) for f in program.functions()]
    for bus in program.buses():
        for bus_range in program.ranges(bus):
            name = program.text(bus_range["name"])
            if not program.is_unassigned(bus, bus_range) and not re.search(r" bar\d$", name):
                names.append(name)
    return list(dict.fromkeys(names))


def handlers(region):
    return {int(region["ops"]["read"]), int(region["ops"]["write"])} if int(region["ops"]) else set()


def registers_of(region):
    named = {}
    for handler in sorted(handlers(region)):
        for register in program.registers(handler):
            named.setdefault(register.name.lower(), register)
    return named


def find_register(region_name, region, name):
    """By the table that is beside the region's handlers, or as an offset in the region: 0x1018, or bar0+0x1018."""
    bar, plus, number = name.rpartition("+")
    register, offset = registers_of(region).get(name.lower()), parse_address(number)
    if plus and not region_name.endswith(f" {bar}"):
        return None
    if register is None and offset and handlers(region):
        register = program.Register(name, *offset)
    return register


def known_registers(device):
    names = names_of_registers(device)
    return f"there are {', '.join(names)}, or an offset" if names else "it has no table of registers: say an offset"


# ---- configuration space

# PCI Local Bus 3.0, 6.1; PCI-to-PCI Bridge 1.2, 3.2: the name, the offset, the width in bytes.
CONFIG = [
    ("VENDOR_ID", 0x00, 2), ("DEVICE_ID", 0x02, 2), ("COMMAND", 0x04, 2), ("STATUS", 0x06, 2),
    ("REVISION", 0x08, 1), ("CLASS", 0x09, 3), ("CACHE_LINE_SIZE", 0x0C, 1), ("LATENCY_TIMER", 0x0D, 1),
    ("HEADER_TYPE", 0x0E, 1), ("BIST", 0x0F, 1), ("BAR0", 0x10, 4), ("BAR1", 0x14, 4),
]
CONFIG_TYPE0 = [
    ("BAR2", 0x18, 4), ("BAR3", 0x1C, 4), ("BAR4", 0x20, 4), ("BAR5", 0x24, 4),
    ("SUBSYSTEM_VENDOR_ID", 0x2C, 2), ("SUBSYSTEM_ID", 0x2E, 2), ("ROM_ADDRESS", 0x30, 4),
    ("CAPABILITY_LIST", 0x34, 1), ("INTERRUPT_LINE", 0x3C, 1), ("INTERRUPT_PIN", 0x3D, 1),
]
CONFIG_TYPE1 = [
    ("PRIMARY_BUS", 0x18, 1), ("SECONDARY_BUS", 0x19, 1), ("SUBORDINATE_BUS", 0x1A, 1), ("IO_BASE", 0x1C, 1),
    ("IO_LIMIT", 0x1D, 1), ("SEC_STATUS", 0x1E, 2), ("MEMORY_BASE", 0x20, 2), ("MEMORY_LIMIT", 0x22, 2),
    ("PREF_MEMORY_BASE", 0x24, 2), ("PREF_MEMORY_LIMIT", 0x26, 2), ("PREF_BASE_UPPER32", 0x28, 4),
    ("PREF_LIMIT_UPPER32", 0x2C, 4), ("CAPABILITY_LIST", 0x34, 1), ("INTERRUPT_LINE", 0x3C, 1),
    ("INTERRUPT_PIN", 0x3D, 1), ("BRIDGE_CONTROL", 0x3E, 2),
]
# A capability's control register, two bytes behind its beginning in all of these.
CAPABILITIES = {0x05: "MSI", 0x11: "MSIX", 0x10: "EXPRESS"}


def config_registers(function):
    named = CONFIG + (CONFIG_TYPE1 if int(function["bridge"]) else CONFIG_TYPE0)
    found = [program.Register(name, offset, offset + width - 1) for name, offset, width in named]
    for identity, offset in program.capabilities(function):
        if identity in CAPABILITIES:
            found.append(program.Register(CAPABILITIES[identity], offset + 2, offset + 3))
    return found


def config_name(function, reg):
    for register in config_registers(function):
        if register.first <= reg <= register.last:
            return f" ({register.name})"
    return ""


class ConfigStop(gdb.Breakpoint):
    """At the probes that every access to configuration space passes, by ECAM or CF8/CFC, before a write and
    behind a read. Their arguments are there however the program was optimised."""

    def __init__(self, rule, is_write):
        self.rule, self.is_write = rule, is_write
        super().__init__(f"-probe-stap minivmm:pci_cfg_{'write' if is_write else 'read'}")

    def stop(self):
        device, reg, size, value = (int(gdb.parse_and_eval(f"$_probe_arg{i}")) & MASK for i in range(4))
        rule = self.rule
        if device != rule.name_address or not (reg <= rule.last and rule.first < reg + size):
            return False
        verb = "write" if self.is_write else "read"
        function = rule.function
        say(f"{rule.title}: {verb} of {size} bytes, {program.name_of(function)}, register {reg:#05x}"
            f"{config_name(function, reg)}, value {value & (1 << 8 * size) - 1:#x}")
        return True


class ConfigRule:
    def __init__(self, title, device, register, direction):
        self.title, self.device, self.register = title, device, register
        self.writes, self.stops = DIRECTIONS[direction], []

    def resolve(self):
        self.function = program.find_function(self.device)
        if self.function is None:
            there = (f"{program.address_of(f)} ({program.name_of(f)})" for f in program.functions())
            raise Error(f"no PCI function '{self.device}'; there are {', '.join(there)}")
        known = {r.name.lower(): r for r in config_registers(self.function)}
        found, offset = known.get(self.register.lower()), parse_address(self.register)
        if found is None and offset and offset[1] < 4096:
            found = program.Register(self.register, *offset)
        if found is None:
            raise Error(f"no register '{self.register}': an offset below 4096, or one of "
                        + ", ".join(r.name for r in known.values()))
        self.first, self.last = found.first, found.last
        self.name_address = int(self.function["name"].address)
        if not self.stops:
            self.stops = [ConfigStop(self, is_write) for is_write in self.writes]

    def is_gone(self):
        return bool(self.stops) and not any(stop.is_valid() for stop in self.stops)


# ---- when the machine is built, and when the map changes


class MachineStarts(gdb.Breakpoint):
    """vm_resume(): all devices are there, and no guest instruction has been executed. Also after a reset."""

    def __init__(self):
        super().__init__("vm_resume", internal=True)
        self.silent = True

    def stop(self):
        return not all([resolve(rule) for rule in living_rules()])


class MapChanges(gdb.Breakpoint):
    def __init__(self, probe):
        super().__init__(f"-probe-stap minivmm:{probe}", internal=True)

    def stop(self):
        for rule in living_rules() if program.is_built() else ():
            if isinstance(rule, AddressRule):
                resolve(rule)
        return False


class DoorbellChanges(gdb.Breakpoint):
    def __init__(self):
        super().__init__("-probe-stap minivmm:bus_doorbell", internal=True)

    def stop(self):
        for rule in living_rules():
            try:
                if isinstance(rule, Rule) and rule.places:
                    rule.resolve()
            except (Error, gdb.error):
                pass  # its device has been unplugged
        return False


watchers = []


def watch_machine():
    if not watchers:
        watchers.extend([MachineStarts(), MapChanges("bus_map"), MapChanges("bus_unmap"), DoorbellChanges()])


def living_rules():
    rules[:] = [rule for rule in rules if not rule.is_gone()]
    return list(rules)


def resolve(rule):
    """Inside a breakpoint's stop(): an error must not be lost, and gdb stops for it if it is the first."""
    try:
        rule.resolve()
        return True
    except (Error, gdb.error) as why:
        say(f"{rule.title}: {why}")
        return False


def add(rule):
    """Now, or when there is a machine."""
    if program.is_built():
        rule.resolve()
    else:
        say(f"{rule.title}: as soon as there is a machine")
    rules.append(rule)
    watch_machine()


# ---- the commands


def pop_direction(words):
    return words.pop() if words and words[-1] in ("read", "write") else None


def parse_address(word):
    """ADDRESS[,SIZE] as (first, last); None if it is no number."""
    match = re.fullmatch(r"(0x[0-9a-fA-F]+|\d+)(?:,(0x[0-9a-fA-F]+|\d+))?", word)
    if not match:
        return None
    first, size = int(match[1], 0), int(match[2] or "1", 0)
    if size == 0 or first + size - 1 > MASK:
        raise Error(f"'{word}': a size is at least 1, and the end an address")
    return first, first + size - 1


def matching(candidates, text, word):
    """What completes the last word of `text`. gdb takes a part of it for a word of its own: `word`."""
    token = text.rpartition(" ")[2]
    done = len(token) - len(word)
    return [c[done:] for c in candidates if c.lower().startswith(token.lower())]


def complete(text, word, first, second):
    """Of commands that take a device, a register and a direction."""
    try:
        before = text.split()[: len(text.split()) - (0 if text.endswith(" ") or not text else 1)]
        lists = [first, lambda: second(before[0]), lambda: ["read", "write"]]
        offered = lists[len(before)]() if len(before) < 3 else []
        return matching([name for name in offered if " " not in name], text, word)
    except gdb.error:
        return []


def names_of_registers(device):
    names = [r.name for _, region in regions_of(device) for r in registers_of(region).values() if "." not in r.name]
    return list(dict.fromkeys(names))


class MmioBreak(gdb.Command):
    """Stop where a device handles an access to a register, before it is done.

mmio-break DEVICE REGISTER [read|write]
mmio-break ADDRESS[,SIZE] [read|write]

DEVICE is an id, a name as `info pci` and traces have it, an address such as 00:04.0, a type if there is one
of it only, or a region of `info mtree`. REGISTER is a register or a field of the device's table (CTRL, START),
or an offset in its region, such as 0x1018 or bar0+0x1018. ADDRESS is a guest physical one; whoever answers
there when it is accessed.
Before `run` it is remembered until there is a machine. `delete N` removes it."""

    def __init__(self):
        super().__init__("mmio-break", gdb.COMMAND_BREAKPOINTS)

    def invoke(self, argument, from_tty):
        self.dont_repeat()
        words = gdb.string_to_argv(argument)
        title = " ".join(["mmio-break", *words])
        direction = pop_direction(words)
        place = parse_address(words[0]) if len(words) == 1 else None
        if place:
            add(AddressRule(title, "mmio", *place, direction))
            tell_who_is_there("mmio", *place)
        elif len(words) == 2:
            add(RegisterRule(title, *words, direction))
        else:
            raise Error("mmio-break wants DEVICE REGISTER or ADDRESS[,SIZE], and perhaps read or write")

    def complete(self, text, word):
        return complete(text, word, device_names, names_of_registers)


def tell_who_is_there(bus, first, last):
    """What will never come to a device."""
    if not program.is_built():
        return
    if bus == "mmio" and program.is_ram(first):
        say(f"note: {first:#x} is RAM: the guest reaches it without an exit, and nothing stops. Watchpoints of a gdb "
            "on the guest do: --gdb")
    for name, low, high in info.kvm_ranges(bus) or ():
        if low <= last and first <= high:
            say(f"note: {first:#x} is answered inside KVM ({name}): there is no exit, and nothing stops")


class PioBreak(gdb.Command):
    """Stop where a device handles an access to an I/O port, before it is done.

pio-break PORT[,SIZE] [read|write]"""

    def __init__(self):
        super().__init__("pio-break", gdb.COMMAND_BREAKPOINTS)

    def invoke(self, argument, from_tty):
        self.dont_repeat()
        words = gdb.string_to_argv(argument)
        title = " ".join(["pio-break", *words])
        direction = pop_direction(words)
        place = parse_address(words[0]) if len(words) == 1 else None
        if not place or place[1] > 0xFFFF:
            raise Error("pio-break wants a port from 0 to 0xffff, perhaps ,SIZE, and perhaps read or write")
        if program.is_built():
            program.bus_named("pio")
        add(AddressRule(title, "pio", *place, direction))
        tell_who_is_there("pio", *place)

    def complete(self, text, word):
        return matching(["read", "write"], text, word) if " " in text else []


class ConfigBreak(gdb.Command):
    """Stop at an access to a register of a PCI function's configuration space, by ECAM or ports CF8/CFC.

config-break BDF|ID OFFSET|NAME [read|write]

A write stops before it is done, a read behind it. NAME is one of the header's (COMMAND, BAR0, ...), or MSI,
MSIX, EXPRESS: the control register of that capability."""

    def __init__(self):
        super().__init__("config-break", gdb.COMMAND_BREAKPOINTS)

    def invoke(self, argument, from_tty):
        self.dont_repeat()
        words = gdb.string_to_argv(argument)
        title = " ".join(["config-break", *words])
        direction = pop_direction(words)
        if len(words) != 2:
            raise Error("config-break wants a function (00:04.0, or an id), a register, and perhaps read or write")
        add(ConfigRule(title, *words, direction))

    def complete(self, text, word):
        def names():
            return [n for f in program.functions() for n in (program.name_of(f), program.address_of(f))]

        def known(device):
            function = program.find_function(device)
            return [r.name for r in config_registers(function)] if function is not None else []

        return complete(text, word, names, known)


MmioBreak()
PioBreak()
ConfigBreak()

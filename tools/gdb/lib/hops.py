# SPDX-License-Identifier: MIT
"""hops: what happened to an access since KVM_RUN returned, a line a hop. Where the compiler left no frame,
the line is made from what the program knows: struct kvm_run, and the bus."""

import gdb

from lib import program
from lib.program import Error

ACCESSES = {"handle_mmio", "handle_io", "handle_string_io"}
BUS = ("bus_read", "bus_write")
# The PCI host's handlers, with QEMU's; and their parts, of which the compiler leaves one or another.
CONFIG_HANDLERS = {"ecam_read": "pcie_mmcfg_data_read", "ecam_write": "pcie_mmcfg_data_write",
                   "cfc_read": "pci_host_data_read", "cfc_write": "pci_host_data_write"}
CONFIG_PARTS = ("config_write", "write_register", "read_any", "read_register", "read_dword")


def frames():
    """(level, name) of the selected thread, innermost first."""
    frame, found = gdb.newest_frame(), []
    while frame is not None and frame.is_valid():
        found.append((len(found), frame.name() or "?"))
        if frame.name() in ("vcpu_thread", "main"):
            break
        frame = frame.older()
    return found


class Access:
    """What struct kvm_run says that the guest does."""

    def __init__(self, run):
        self.reason = int(run["exit_reason"])
        self.name = program.exit_name(self.reason)
        self.bus = {"KVM_EXIT_MMIO": "mmio", "KVM_EXIT_IO": "pio"}.get(self.name)
        self.count = 1
        if self.bus == "mmio":
            mmio = run["mmio"]
            self.address, self.size = int(mmio["phys_addr"]), int(mmio["len"])
            self.is_write = bool(mmio["is_write"])
            data = int(mmio["data"].address)
        elif self.bus == "pio":
            io = run["io"]
            self.address, self.size, self.count = int(io["port"]), int(io["size"]), int(io["count"])
            self.is_write = int(io["direction"]) == 1  # KVM_EXIT_IO_OUT
            data = int(run.address) + int(io["data_offset"])
        if self.bus:
            raw = gdb.selected_inferior().read_memory(data, self.size)
            self.value = int.from_bytes(bytes(raw), "little")

    def describe(self):
        many = f", {self.count} times (a string instruction)" if self.count > 1 else ""
        value = f" of {self.value:#x}" if self.is_write else ""
        return f"{'write' if self.is_write else 'read'}{value}, {self.size} bytes at {self.address:#x}{many}"


def line(number, level, function, meaning, qemu):
    place = f"#{level}" if level is not None else "--"
    return f"{number}  {place:<3}  {function + '()':<18} {meaning}\n{'':<27}QEMU: {qemu}\n"


def level_of(found, wanted):
    """The innermost frame of a function that `wanted` takes; None if there is none."""
    return next((level for level, name in found if wanted(name)), None)


def handler_of(access, bus_range):
    region = bus_range["region"].dereference()
    return int(region["ops"]["write" if access.is_write else "read"])


def explain_device(access, bus_range, found):
    """The last hop: the device's own function."""
    handler = handler_of(access, bus_range)
    symbol = program.function_symbol(handler)
    name = symbol.name if symbol is not None else f"{handler:#x}"
    offset = access.address - int(bus_range["base"])
    register = program.register_at(handler, offset)
    what = f"register {register}, offset {offset:#x}" if register else f"offset {offset:#x}"
    verb = "write" if access.is_write else "read"
    if name in CONFIG_HANDLERS:
        level = level_of(found, lambda n: n == name or n in CONFIG_PARTS)
        return line(5, level, name, f"the PCI host: a register of a function's configuration, {what}",
                    f"{CONFIG_HANDLERS[name]}(), pci_host_config_{verb}_common()")
    return line(5, level_of(found, lambda n: n == name), name, f"the device: {what}",
                f"the {verb} of a MemoryRegionOps, as edu_mmio_{verb}()")


class Hops(gdb.Command):
    """Name each hop of the access that the selected vCPU thread makes: from KVM_RUN to the device, and QEMU's
counterparts. "--" instead of a frame's number: the compiler left no frame for it."""

    def __init__(self):
        super().__init__("hops", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        program.built_machine()
        thread = gdb.selected_thread()
        vcpu = program.vcpu_of_thread(thread) if thread is not None else None
        if vcpu is None:
            raise Error("hops: the selected thread is no vCPU's (info threads; thread N)")
        found = frames()
        if level_of(found, lambda name: name == "handle_exit") is None:
            raise Error(f"hops: vCPU {int(vcpu['index'])} handles no exit now: it is in the guest, or parked")
        try:
            access = Access(vcpu["run"].dereference())
        except gdb.MemoryError:
            raise Error("hops: struct kvm_run cannot be read: it is KVM's, and not in a core dump") from None
        show_loop(access, found)
        if access.bus:
            show_access(access, found)


def innermost(found, wanted, default):
    """(level, name) of the innermost frame that `wanted` takes; (None, default) if the compiler left none."""
    return next(((level, name) for level, name in found if wanted(name)), (None, default))


def show_loop(access, found):
    level = level_of(found, lambda name: name == "vcpu_run")
    gdb.write(line(1, level, "vcpu_run", f"KVM_RUN has returned: {access.name}", "kvm_cpu_exec()"))
    watched = ", by way of handle_watched_exit()" if any(n == "handle_watched_exit" for _, n in found) else ""
    level = level_of(found, lambda name: name == "handle_exit")
    gdb.write(line(2, level, "handle_exit", f"the switch over exit_reason{watched}", "the same, in kvm_cpu_exec()"))


def show_access(access, found):
    is_mmio = access.bus == "mmio"
    level, name = innermost(found, lambda name: name in ACCESSES, "handle_mmio" if is_mmio else "handle_io")
    qemu = "address_space_rw()" if is_mmio else "kvm_handle_io(), address_space_rw()"
    gdb.write(line(3, level, name, f"struct kvm_run says: {access.describe()}", qemu))
    verb = "write" if access.is_write else "read"
    bus_range = program.range_at(program.bus_named(access.bus), access.address)
    level, name = innermost(found, lambda name: name.startswith(BUS), f"bus_{verb}")
    first, last, owner = int(bus_range["first"]), int(bus_range["last"]), program.text(bus_range["name"])
    gdb.write(line(4, level, name, f"{access.address:#x} is in {first:#x}-{last:#x}: {owner}",
                   f"flatview_translate(), memory_region_dispatch_{verb}()"))
    gdb.write(explain_device(access, bus_range, found))


Hops()

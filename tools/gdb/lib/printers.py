# SPDX-License-Identifier: MIT
"""How print, backtrace and the like show minivmm's own types: one line that says what matters. `print/r`
shows all members."""

import gdb
import gdb.printing

from lib import hops, program

PRINTERS = {}


def of(*names):
    """Declares a function that makes text of a value a printer of types."""
    def declare(function):
        PRINTERS.update({name: function for name in names})
        return function

    return declare


@of("gpa_t")
def guest_address(value):
    return f"guest physical {int(value['raw']):#x}"


@of("iova_t")
def bus_address(value):
    return f"bus address {int(value['raw']):#x}"


@of("bus_range")
def bus_range(value):
    return f"{int(value['first']):#x}-{int(value['last']):#x}: {program.text(value['name'])}"


@of("bus_region")
def bus_region(value):
    size = int(value["size"])
    where = "on no bus"
    if int(value["bus"]):
        where = f"at {int(value['base']):#x} of bus {program.text(value['bus']['name'])}"
    return f"{program.text(value['name'])}: {size:#x} bytes {where}"


@of("pci_device")
def pci_device(value):
    if not int(value["config"]):
        return "a PCI function that is not set up"
    return (f"{program.name_of(value)} at {program.address_of(value)}, "
            f"{program.config(value, 0, 2):04x}:{program.config(value, 2, 2):04x}")


@of("msi_message")
def msi_message(value):
    return f"write of {int(value['data']):#x} to {int(value['address']):#x}"


@of("register_desc")
def register_desc(value):
    access = program.enumerator(value["access"]).replace("REGISTER_", "")
    return f"{program.text(value['name'])} at {int(value['offset']):#x}, {int(value['width'])} bytes, {access}"


@of("kvm_run")
def kvm_run(value):
    access = hops.Access(value)
    if access.bus:
        return f"{access.name}: {access.describe()}"
    members = {"KVM_EXIT_SYSTEM_EVENT": "system_event", "KVM_EXIT_INTERNAL_ERROR": "internal",
               "KVM_EXIT_DEBUG": "debug", "KVM_EXIT_FAIL_ENTRY": "fail_entry", "KVM_EXIT_ARM_NISV": "arm_nisv"}
    member = members.get(access.name)
    return f"{access.name}: {value[member].format_string()}" if member else access.name


@of("virtqueue")
def virtqueue(value):
    if not int(value["size"]):
        return f"queue {int(value['index'])}: not there"
    state = "enabled" if value["enabled"] else "not enabled"
    parts = ", ".join(f"{p} {int(value[p]['address']['raw']):#x}" for p in ("descriptors", "driver", "device"))
    return (f"queue {int(value['index'])}: {state}, {int(value['size'])} of {int(value['max_size'])} entries, "
            f"next avail {int(value['next_avail'])}, next used {int(value['next_used'])}, "
            f"in flight {int(value['in_flight'])}; bus addresses: {parts}")


class Printer:
    def __init__(self, value, function):
        self.value, self.function = value, function

    def to_string(self):
        try:
            return self.function(self.value)
        except (gdb.error, UnicodeDecodeError):
            return "<not readable>"  # rubbish that a pointer led to, or a core dump without it


class Printers(gdb.printing.PrettyPrinter):
    def __init__(self):
        names = sorted(PRINTERS)
        super().__init__("minivmm", [gdb.printing.SubPrettyPrinter(name) for name in names])

    def __call__(self, value):
        kind = value.type
        name = kind.unqualified().strip_typedefs().tag or kind.name
        enabled = {printer.name for printer in self.subprinters if printer.enabled}
        return Printer(value, PRINTERS[name]) if name in enabled else None


def register():
    gdb.printing.register_pretty_printer(gdb.current_objfile(), Printers(), replace=True)

# SPDX-License-Identifier: MIT
"""What all benchmarks share: how figures are reported, how programs are run, what a process has in memory."""

import array
import os
import platform
import re
import shlex
import subprocess
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent.parent
MEBIBYTE = 1 << 20
HUGE_PAGE = 2 * MEBIBYTE
HOST = {"x86_64": "x86", "aarch64": "arm64"}.get(platform.machine())
RAM = 256  # MiB, of every guest
LIMIT = 120  # seconds that one run of a program may take
EXIT_GOAL = 100  # instructions
PAGE, PAGEMAP_ENTRY = 4096, 8  # bytes

QEMU = ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
        "-M", "q35", "-accel", "kvm", "-m", str(RAM)]
# A firmware that goes straight to the kernel. SeaBIOS takes seconds where ring 0 is emulated.
QBOOT = ["-bios", "qboot.rom"]


class CannotMeasure(Exception):
    """Why a section has no figures on this machine."""


class Failure(Exception):
    """Something that should have worked did not."""


class Bench:
    """What all sections need: where programs are, how much to do, and what was found."""

    def __init__(self, arguments):
        self.arch = arguments.arch
        self.build = arguments.build.resolve()
        self.smoke = arguments.smoke
        self.section = None
        self.figures = 0
        self.missed = []  # goals that do not depend on the machine

    def minivmm(self, *options):
        return [str(self.build / "minivmm"), "--memory", f"{RAM}M", *map(str, options)]

    def guest(self, name):
        suffix = "elf" if self.arch == "x86" else "img"
        path = self.build / "guest/baremetal" / f"{name}.{suffix}"
        if not path.exists():
            raise Failure(f"{path} is not there: build first (cmake --build {self.build})")
        return str(path)

    def tool(self, name):
        path = self.build / "tests/bench" / name
        if not path.exists():
            raise Failure(f"{path} is not there: build first (cmake --build {self.build})")
        return str(path)

    def few(self, usual, smoke):
        return smoke if self.smoke else usual

    def report(self, what, ours, unit, peer=None, peer_name=None, goal=None, digits=0, ratio=None):
        """One figure. goal: what it must be, as text; ratio: ours to the peer's unless given."""
        self.figures += 1
        text = f"{self.section}: {what}: {ours:,.{digits}f} {unit}"
        if peer is not None:
            ratio = ours / peer if ratio is None else ratio
            text += f"; {peer_name} {peer:,.{digits}f}; ratio {ratio:.2f}"
        print(text + (f"; goal {goal}" if goal else ""), flush=True)


def run(command, status=0, limit=LIMIT):
    """Standard output of a program that must end with this status."""
    try:
        result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                timeout=limit, errors="replace")
    except FileNotFoundError:
        raise CannotMeasure(f"{command[0]} is not installed") from None
    except subprocess.TimeoutExpired:
        raise Failure(f"{shlex.join(command)} took more than {limit} seconds") from None
    if result.returncode != status:
        raise Failure(f"{shlex.join(command)} ended with status {result.returncode}: "
                      f"{result.stderr.strip()[-500:]}")
    return result.stdout


def have_qemu(program=QEMU[0]):
    """QEMU as a peer: is it there?"""
    try:
        run([program, "--version"])
        return True
    except CannotMeasure as reason:
        print(f"(no figures of QEMU: {reason})")
        return False


# ---- memory


def mappings(smaps):
    """(start, end, resident bytes, file) of each mapping; smaps: the text of /proc/PID/smaps."""
    pattern = r"^([0-9a-f]+)-([0-9a-f]+) \S+ \S+ \S+ \S+ *(.*)\n(?:\w.*\n)*?Rss: *(\d+) kB"
    return [(int(start, 16), int(end, 16), int(rss) * 1024, name)
            for start, end, name, rss in re.findall(pattern, smaps, re.M)]


def guest_ram(maps):
    """Where the guest's RAM is: it ends where the largest mapping does.

    What is before that mapping may belong to it: minivmm's first 2 MiB are a mapping of their own. Less
    than a huge page at its end may not: the kernel makes one mapping of what happens to lie side by side.
    """
    start, end, *_ = max(maps, key=lambda m: m[1] - m[0])
    end -= end % HUGE_PAGE
    if not RAM * MEBIBYTE - HUGE_PAGE <= end - start <= RAM * MEBIBYTE:
        raise Failure(f"the largest mapping is {end - start} bytes, not the guest's {RAM} MiB")
    return end - RAM * MEBIBYTE, end


def beyond_ram(maps, pagemap):
    """KiB resident without guest RAM: (all, those in no file). pagemap: the entries of guest RAM."""
    entries = array.array("Q")
    entries.frombytes(pagemap)
    ram = PAGE * sum(value >> 63 for value in entries)
    of_files = sum(rss for *_, rss, name in maps if name.startswith("/"))
    everything = sum(m[2] for m in maps) - ram
    return [everything / 1024, (everything - of_files) / 1024]

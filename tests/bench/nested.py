# SPDX-License-Identifier: MIT
"""What is measured in L1, a virtual machine under emulation (tools/nested): boots of Linux, and all
figures of an architecture that is not this machine's. The peer is in the same L1, and takes turns.
"""

import os
import re
import shlex
import statistics
import subprocess
import tempfile
from pathlib import Path

import image
from common import (
    EXIT_GOAL, HOST, LIMIT, PAGE, PAGEMAP_ENTRY, PROJECT, QEMU, RAM, CannotMeasure, Failure, beyond_ram,
    guest_ram, have_qemu, mappings, run)

# Without the words before it: what an emulated L1 would spend most of its time on.
LINUX_APPEND = "quiet cryptomgr.notests mitigations=off random.trust_cpu=on panic=-1"


class Peer:
    """QEMU as it runs in L1, by architecture."""

    def __init__(self, arch):
        self.arch = arch
        if arch == "x86":
            self.name, self.kernel, self.console = "QEMU q35", "bzImage", "ttyS0"
            self.command, firmware = QEMU, ["seabios/bios-256k.bin", "qemu/kvmvapic.bin",
                                            "qemu/linuxboot_dma.bin"]
        else:
            self.name, self.kernel, self.console = "QEMU virt", "Image", "ttyAMA0"
            self.command, firmware = ["qemu-system-aarch64", *QEMU[1:QEMU.index("-M")], "-M",
                                      "virt,gic-version=host", *QEMU[QEMU.index("-accel"):]], []
        self.firmware = {f"/usr/share/{name}": f"firmware/{os.path.basename(name)}"
                         for name in firmware}

    def shell(self, *options):
        """The command as L1's shell takes it, up to these options."""
        return " ".join([f"./{shlex.join(self.command)} -L firmware -cpu host -serial stdio", *options])

    def carried(self):
        """What tools/nested is to carry for it, in this order: {file: path in L1}."""
        program = run(["which", self.command[0]]).strip()
        if self.arch == HOST:
            return {program: self.command[0], **self.firmware}
        # The other architecture's program: the same packages as this machine's own needs.
        root = PROJECT / "build/peer" / self.arch
        run([PROJECT / "tools/fetch-packages", "--arch", self.arch, root, *packages_of(program)],
            limit=600)
        program = root / "usr/bin" / self.command[0]
        libraries = libraries_of(program, image.library_folders(root, self.arch))
        return {**{path: f"/lib/{name}" for name, path in libraries.items()},
                program: self.command[0], **self.firmware}


def packages_of(program):
    """The Debian packages that hold a program of this machine and its libraries."""
    libraries = re.findall(r"=> (/\S+)", run(["ldd", program]))
    packages = set()
    for path in [program, *libraries]:
        path = os.path.realpath(path)
        for name in path, path.removeprefix("/usr"):
            found = subprocess.run(["dpkg", "-S", name], capture_output=True, text=True)
            packages.update(found.stdout.split(":")[:1] if not found.returncode else [])
    return sorted(packages)


def libraries_of(program, folders):
    """{name: path} of all libraries below the folders that a program needs, its libraries' first."""
    found = {}
    for name in image.elf_needs(program)[1]:
        path = next((folder / name for folder in folders if (folder / name).exists()), None)
        if path and name not in found and not name.startswith("ld-linux"):
            found = {**libraries_of(path, folders), **found, name: path}
    return found


class Job:
    """A shell script for L1, the files it wants there, and those that it leaves."""

    def __init__(self, bench, peer):
        self.bench, self.peer = bench, peer
        self.lines = ["set -e"]
        self.carried = {bench.build / "minivmm": "minivmm"}
        self.wanted = []

    def carry(self, path, name=None):
        self.carried[path] = name or os.path.basename(path)

    def carry_peer(self):
        self.carried.update(self.peer.carried())

    def run(self, folder, seconds, *qemu_arguments):
        """Runs the script; returns what it printed. Wanted files are in the folder then."""
        (folder / "script").write_text("\n".join(self.lines) + "\n")
        self.carry(folder / "script")
        options = [word for source, target in self.carried.items()
                   for word in ("--carry", f"{source}:{target}")]
        options += [f"--qemu-arg={argument}" for argument in qemu_arguments]
        options += [word for name in self.wanted for word in ("--get", f"{name}:{folder / name}")]
        result = subprocess.run([PROJECT / "tools/nested", "--arch", self.bench.arch, "--memory", "2048",
                                 "--timeout", str(seconds), *options, "--", "sh", "script"],
                                stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                errors="replace")
        if result.returncode:
            raise Failure(f"tools/nested: status {result.returncode}: {result.stdout}{result.stderr}")
        return result.stdout.replace("\r", "")


def minivmm_shell(*options):
    return " ".join([f"./minivmm --memory {RAM}M", *options])


# ---- instructions


def exit_instructions(bench):
    """The difference between guests that make 1,000 and 11,000 exits, for one exit.

    Counted by L1's processor, whose counter is exact when the emulator counts instructions.
    """
    low, high = 1000, 11000
    job = Job(bench, Peer(bench.arch))
    job.carry(bench.guest("mmio_read"), "guest")
    job.carry(bench.tool("count_instructions"))
    for count in low, high:
        job.lines.append(f"./count_instructions {minivmm_shell()} --dma-engine --kernel guest"
                         f" --append n={count} | tail -n 1")
    with tempfile.TemporaryDirectory() as folder:
        text = job.run(Path(folder), 300, "-icount", "shift=0")
    totals = [int(line) for line in text.split() if line.isdigit()]
    if len(totals) != 2:
        raise Failure(f"no figures in:\n{text}")
    one = (totals[1] - totals[0]) / (high - low)
    bench.report("MMIO read, device register", one, "instructions an exit",
                 goal=f"{EXIT_GOAL} or fewer", digits=1)
    if round(one) > EXIT_GOAL:
        bench.missed.append(f"MMIO read: {one:.1f} instructions")


# ---- exits a second


def exits_per_second(bench):
    """The same register, by the guest's clock, which counts nanoseconds."""
    peer = Peer(bench.arch)
    count, rounds = bench.few((20000, 3), (2000, 1))
    job = Job(bench, peer)
    job.carry(bench.guest("mmio_read"), "guest")
    append = f"'n={count} time=1'"
    commands = {"minivmm": minivmm_shell("--dma-engine --kernel guest --append", append)}
    if have_qemu(peer.command[0]):
        job.carry_peer()
        commands["qemu"] = peer.shell("-device edu -kernel guest -append", append)
    job.lines += [f"echo {who} $({command} 2>&1 </dev/null | grep BENCH)"
                  for who, command in commands.items()] * rounds
    with tempfile.TemporaryDirectory() as folder:
        text = job.run(Path(folder), 600)
    rates = {}
    for who in commands:
        taken = [int(ns) for ns in re.findall(rf"^{who} BENCH n {count} ticks (\d+)$", text, re.M)]
        if len(taken) != rounds:
            raise Failure(f"no figures of {who} in:\n{text}")
        rates[who] = count / statistics.median(taken) * 1e9
    bench.report("MMIO read, device register, nested", rates["minivmm"], "exits/s",
                 *([rates["qemu"], peer.name] if "qemu" in rates else []))


# ---- memory


def memory(bench):
    peer = Peer(bench.arch)
    job = Job(bench, peer)
    job.carry(bench.guest("halt"), "guest")
    job.carry(PROJECT / "tests/bench/resident.sh")
    commands = {"bare": minivmm_shell("--kernel guest"),
                "devices": minivmm_shell("--kernel guest --dma-engine")}
    if have_qemu(peer.command[0]):
        job.carry_peer()
        commands["qemu"] = peer.shell("-device edu -kernel guest")
    for who, command in commands.items():
        job.lines.append(f"sh resident.sh {who} {command}")
        job.wanted += [f"{who}.smaps", f"{who}.pagemap"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        job.run(folder, 300)
        found = {who: beyond_ram_of(folder / who) for who in commands}
    for what, who in ("no device", "bare"), ("the demo's devices", "devices"):
        for index, part in enumerate(("resident beyond guest RAM", "of it anonymous")):
            bench.report(f"{part}, {what}, nested", found[who][index], "KiB",
                         *([found["qemu"][index], peer.name] if "qemu" in found else []),
                         goal="under 2,048" if who == "devices" and not index else None)


def beyond_ram_of(path):
    """beyond_ram() of what resident.sh left: entries up to the last page of the largest mapping."""
    maps = mappings(path.with_suffix(".smaps").read_text())
    start, end = guest_ram(maps)
    last = max(maps, key=lambda m: m[1] - m[0])[1]
    entries = path.with_suffix(".pagemap").read_bytes()
    first = len(entries) - (last - start) // PAGE * PAGEMAP_ENTRY
    return beyond_ram(maps, entries[first:first + (end - start) // PAGE * PAGEMAP_ENTRY])


# ---- Linux


def linux_boot(bench):
    peer = Peer(bench.arch)
    kernel = bench.build / peer.kernel
    if not kernel.exists():
        raise CannotMeasure(f"{kernel} is not there: tools/demo --arch {bench.arch} --prepare "
                            f"fetches it")
    qemu = have_qemu(peer.command[0])
    with tempfile.TemporaryDirectory() as folder:
        text = boots(bench, Path(folder), kernel, peer, qemu)
    taken = {who: [float(ms) for ms in re.findall(rf"^{who} (\S+)$", text, re.M)]
             for who in ("minivmm", "qemu")}
    if not taken["minivmm"] or (qemu and not taken["qemu"]):
        raise Failure(f"no figures in:\n{text}")
    seconds = {who: statistics.median(values) / 1000 for who, values in taken.items() if values}
    bench.report("stock kernel from start to init, nested", seconds["minivmm"], "s",
                 *([seconds["qemu"], peer.name] if qemu else []), digits=2,
                 goal="0.5 of QEMU's or less")


def boots(bench, folder, kernel, peer, qemu):
    """Boots by turns on both, in one L1. Returns lines "minivmm MS" and "qemu MS"."""
    initrd = image.Archive()
    initrd.copy(bench.tool("init"), "init")
    initrd.write(folder / "initrd")
    job = Job(bench, peer)
    append = f"console={peer.console} {LINUX_APPEND}"
    commands = {"minivmm": minivmm_shell("--kernel kernel --initrd initrd --no-reboot --append",
                                         f"'{append}'")}
    job.carry(bench.tool("time_to_text"))
    job.carry(kernel, "kernel")
    job.carry(folder / "initrd")
    if qemu:
        commands["qemu"] = peer.shell(f"-kernel kernel -initrd initrd -append '{append}'")
        job.carry_peer()
    job.lines += [f"echo {who} $(./time_to_text {LIMIT} 'INIT REACHED' {command})"
                  for who, command in commands.items()] * bench.few(3, 1)
    return job.run(folder, 600)


# ---- stock guests that load a device


def make_initrd(bench, folder, *files):
    """The guest's root file system and these files in its /tests."""
    overlay = image.Archive()
    overlay.folder("tests")
    for path in map(Path, files):
        overlay.copy(path, f"tests/{path.name}")
    overlay.write(folder / "overlay")
    base = (bench.build / "rootfs.cpio").read_bytes()
    padding = bytes(-len(base) % 512)
    (folder / "initrd").write_bytes(base + padding + (folder / "overlay").read_bytes())


# Prints what a guest says about loads, and how many exits KVM had counted at each of its marks.
WATCH = """while read -r line; do
    case $line in
        *MARK*) echo "exits $(cat /sys/kernel/debug/kvm/exits)" ;;
        *LOAD*) echo "$line" ;;
    esac
done"""


class Loads:
    """A stock guest of ours and one of the peer's, with the same device and the same script, by turns."""

    def __init__(self, bench):
        self.bench, self.peer = bench, Peer(bench.arch)
        self.qemu = have_qemu(self.peer.command[0])
        self.rounds = bench.few(3, 1)

    def run(self, files, words, prepare, ours, theirs):
        """files: for the guest, the script first. words: its kernel command line's. prepare: lines for L1.

        Yields of each turn who it was, what it printed, and the exits between its two marks.
        """
        bench, peer = self.bench, self.peer
        append = f"'console={peer.console} {LINUX_APPEND} run={files[0].name} {words}'"
        commands = {"minivmm": minivmm_shell(ours, f"--kernel kernel --initrd initrd --append {append}")}
        job = Job(bench, peer)
        job.carry(bench.build / peer.kernel, "kernel")
        if self.qemu:
            commands["qemu"] = peer.shell(f"-kernel kernel -initrd initrd -append {append}", theirs)
            job.carry_peer()
        job.lines += ["mount -t debugfs debugfs /sys/kernel/debug 2>/dev/null || true", *prepare]
        job.lines += [f"echo turn {who}; {command} 2>&1 </dev/null | {WATCH}"
                      for who, command in commands.items()] * self.rounds
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            make_initrd(bench, folder, *files)
            job.carry(folder / "initrd")
            text = job.run(folder, 1200)
        for who, part in re.findall(r"^turn (\w+)$(.*?)(?=^turn|\Z)", text, re.M | re.S):
            marks = [int(count) for count in re.findall(r"^exits (\d+)$", part, re.M)]
            if len(marks) != 2:
                raise Failure(f"no exits of {who} in:\n{text}")
            yield who, part, marks[1] - marks[0]

    def report(self, what, found, index, unit, factor=1.0, **more):
        """Column `index` of the rows that each of the two has in `found`: the median."""
        ours, theirs = ([row[index] * factor for row in found[who]] for who in ("minivmm", "qemu"))
        self.bench.report(f"{what}, nested", statistics.median(ours), unit,
                          *([statistics.median(theirs), self.peer.name] if self.qemu else []), **more)


# ---- a disk

DISK_SIZE = 64  # MiB
DISK_LOADS = [(kind, size, depth) for size in (4096, 262144) for depth in (1, 32)
              for kind in ("read", "write")]
EXITS_COUNTED = 2000  # requests, of disk_load.sh


def disk_behind_iommu(bench):
    """Each request's memory is mapped, reached through the IOMMU, and unmapped."""
    disk(bench, iommu=True)


def disk(bench, iommu=False):
    """A disk of a file in L1's memory."""
    loads, found = Loads(bench), {"minivmm": [], "qemu": []}
    list_of_loads = ",".join(":".join(map(str, load)) for load in DISK_LOADS)
    turns = loads.run(
        [PROJECT / "tests/bench/disk_load.sh", Path(bench.tool("disk_load"))],
        f"seconds={bench.few(4, 1)} loads={list_of_loads}",
        [f"dd if=/dev/zero of=disk bs=1M count={DISK_SIZE} 2>/dev/null"],
        ("--iommu " if iommu else "") + "--disk disk",
        "-drive file=disk,if=none,id=d,format=raw,cache=writeback -device virtio-blk-pci,drive=d"
        + (",iommu_platform=on,disable-legacy=on -machine iommu=smmuv3" if iommu else ""))
    for who, text, exits in turns:
        done = re.findall(r"LOAD \w+ \d+ \d+ requests (\d+) ns (\d+)", text)
        if len(done) != len(DISK_LOADS) + 1:
            raise Failure(f"no figures of {who} in:\n{text}")
        found[who].append([*[int(count) / int(ns) * 1e9 for count, ns in done[:-1]],
                           exits / EXITS_COUNTED])
    what = "virtio-blk behind an IOMMU" if iommu else "virtio-blk"
    for index, (kind, size, depth) in enumerate(DISK_LOADS):
        unit, factor = ("IOPS", 1) if size == 4096 else ("MB/s", size / 1e6)
        loads.report(f"{what}, {kind}s of {size // 1024} KiB, queue depth {depth}", found, index, unit,
                     factor, goal="QEMU's or more")
    loads.report(f"{what}, reads of 4 KiB, queue depth 1", found, len(DISK_LOADS), "exits a request",
                 goal="QEMU's or fewer", digits=2)


# ---- a network

NET_BYTES, NET_ECHOES = 64 << 20, 500


def network(bench):
    """A tap of L1's: both directions, and the round trip of an echo."""
    loads, found = Loads(bench), {"minivmm": [], "qemu": []}
    count, echoes = bench.few((NET_BYTES, NET_ECHOES), (NET_BYTES // 16, 50))
    turns = loads.run(
        [PROJECT / "tests/bench/net_load.sh"], f"bytes={count} echoes={echoes}",
        ["modprobe tun; tunctl -t tap9 >/dev/null; ip addr add 192.168.77.1/24 dev tap9",
         "ip link set tap9 up; mkdir www",
         f"head -c {count} /dev/zero >www/down; httpd -p 8080 -h www",
         "(while nc -l -p 9000 </dev/null >/dev/null; do :; done) &"],
        "--net tap=tap9",
        "-netdev tap,id=n,ifname=tap9,script=no,downscript=no,vhost=off"
        " -device virtio-net-pci,netdev=n,romfile=")
    for who, text, exits in turns:
        times = re.findall(rf"LOAD (?:up|down) {count} (\d+)", text)
        echo = re.search(r"LOAD echo .* = [\d.]+/([\d.]+)/", text)
        if len(times) != 2 or not echo:
            raise Failure(f"no figures of {who} in:\n{text}")
        found[who].append([*[count / int(time) / 1e4 for time in times], float(echo[1]) * 1000,
                           exits / echoes])
    for index, (what, unit, goal) in enumerate([
            ("guest to host, TCP", "MB/s", "more"), ("host to guest, TCP", "MB/s", "more"),
            ("round trip of an echo", "us", "less"), ("an echo", "exits", "fewer")]):
        loads.report(f"virtio-net on a tap, {what}", found, index, unit, goal=f"QEMU's or {goal}",
                     digits=1)

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes inputs for a fuzz target to begin with.   tests/fuzz/seeds.py TARGET DIRECTORY"""

import gzip
import struct
import sys
from pathlib import Path


# ---- files to boot

def bzimage():
    """By the 64-bit protocol: a setup sector, little of a kernel, to 16 MiB."""
    data = bytearray(1024 + 33 * 16)
    for offset, form, value in ((0x1f1, "B", 1), (0x1f4, "<I", 33), (0x1fe, "<H", 0xaa55),
                                (0x200, "<H", 0x6aeb), (0x202, "4s", b"HdrS"), (0x206, "<H", 0x20f),
                                (0x211, "B", 1), (0x22c, "<I", 0x7fffffff), (0x230, "<I", 2 << 20),
                                (0x234, "B", 1), (0x236, "<H", 1), (0x238, "<I", 2047),
                                (0x258, "<Q", 16 << 20), (0x260, "<I", 4 << 20)):
        struct.pack_into(form, data, offset, value)
    return bytes(data)


def pvh(bits):
    """An ELF file with one segment at 2 MiB and the note that PVH wants."""
    note = struct.pack("<III4sI", 4, 4, 18, b"Xen\0", 0x200008)
    if bits == 64:
        header = struct.pack("<4sBBB9xHHIQQQIHHHHHH", b"\x7fELF", 2, 1, 1, 2, 62, 1, 0, 64, 0, 0,
                             64, 56, 2, 0, 0, 0)
        load = struct.pack("<IIQQQQQQ", 1, 5, 200, 0, 0x200000, 16, 4096, 0)
        notes = struct.pack("<IIQQQQQQ", 4, 4, 176, 0, 0, len(note), len(note), 4)
    else:
        header = struct.pack("<4sBBB9xHHIIIIIHHHHHH", b"\x7fELF", 1, 1, 1, 2, 3, 1, 0, 52, 0, 0,
                             52, 32, 2, 0, 0, 0)
        load = struct.pack("<IIIIIIII", 1, 200, 0, 0x200000, 16, 4096, 5, 0)
        notes = struct.pack("<IIIIIIII", 4, 176, 0, 0, len(note), len(note), 4, 4)
    return (header + load + notes).ljust(176, b"\0") + note.ljust(24, b"\0") + bytes(16)


def image():
    """An arm64 Image with a PE header that has one section."""
    head = struct.pack("<IIQQQQQQ4sI", 0x91005a4d, 0, 0, 0x10000, 10, 0, 0, 0, b"ARM\x64", 64)
    pe = struct.pack("<4sHHIIIHH", b"PE\0\0", 0xaa64, 1, 0, 0, 0, 0, 0)
    return head + pe + struct.pack("<8sIIII16x", b".text", 64, 0, 64, 128) + bytes(64)


# ---- programs of steps: see the target for what the bytes mean

def words(*values):
    """Bytes; (value, size) for longer numbers."""
    return b"".join(v[0].to_bytes(v[1], "little") if isinstance(v, tuple) else bytes([v])
                    for v in values)


START, LEGACY, CHAIN, RUN, RESET, PEER, RUN_ONE = 0, 1, 2, 3, 4, 5, 20
WELL_FORMED = [(0, 0x11), (0, 0x21), (0, 0x12), (1, 0x11), (0, 0x10), (0, 0x01)]


def driver(device, flags, legacy, features, header):
    """Start, chains with `header` in their first buffer, and once more after a reset."""
    program = words(device, flags)
    for _ in range(2):
        program += words(LEGACY if legacy else START, features, 4)
        for queue, parts in WELL_FORMED:
            program += words(CHAIN, queue, parts, 0, 3, (header, 4), (1, 4), RUN)
        program += words(PEER, 20, RUN, CHAIN, 0, 0x21, 0, 3, (header, 4), (0, 4), RUN_ONE, 0, RUN_ONE, 0,
                         RESET, 0)
    return program


DESC, TABLE, PUBLISH = 15, 17, 16


def hostile(device, features, flags, address, length):
    """One descriptor, whose next is itself, and the same as the first of a table."""
    desc = words(address, length, flags, 0)
    return (words(device, 0, START, features, 4) + words(TABLE, 0) + desc + words(DESC, 0, 0) + desc
            + words(PUBLISH, 0, 0, 0, RUN, CHAIN, 0, 0x11, 0, 3, (0, 4), (0, 4), RUN, RESET, 2))


def virtqueue():
    return [hostile(device, features, flags, address, length)
            for device in range(7) for features in (4, 5)
            for flags, address, length in ((1, 0, 2), (4, 8, 2), (5, 8, 11), (2, 10, 4), (0, 11, 1))
            ] + [driver(device, flags, legacy, features, header) for device in range(7)
            for flags, legacy, features in ((0, 0, 0), (0, 0, 7), (1, 0, 3), (0, 1, 6), (0, 0, 15))
            for header in (0, 1, 4, 8, 11, 13)]


def pci():
    set_up = b"".join(words(8, device, device, msi) for device in range(9) for msi in (0, 1, 0x31))
    window = words(5, (0x1000, 3), 2, 1, (1, 4), 5, (0x10000, 3), 3, 1, (5, 8), 6, (8, 3), 2, 0)
    copy = words(10, 6, (0, 3), (0x8000, 3), (0x100, 3), 10, 1, (0x10, 3), (0x9000, 3), (0x20000, 3))
    config = words(0, 0, 0x20, (4, 2), 1, (7, 2), 1, 0, 8, (0, 2), 2, 2, (0x80002810, 4), 4, 2, 1,
                   (0xffffffff, 4), 3, 5, 1, (0x44, 2), (1, 2), 7, (0x1000, 2), 2, (1, 4))
    return [set_up, config, set_up + window, set_up + copy, set_up + config + copy + words(11, 0)]


def smmuv3():
    register = words(0, (0x8000, 2), 0, 3, (13, 2))
    access = b"".join(words(6, 0, 1, place, (0x1000, 2), 0, how, (0x2000, 2))
                      for place in (0, 5, 10) for how in range(4))
    ste = words(2, 3, (0, 2), 2, 4, (0, 2), (0, 2), 0xb, 2, 5, (0, 2), 1, 6, (0, 2), (3, 2))
    commands = b"".join(words(4, (code, 8), 3, (0, 2))
                        for code in (1, 3, 4, 5, 6, 0x10, 0x11, 0x12, 0x13, 0x30, 0x46))
    build = words(9, 0, 39)
    off = words(11, 7, 3, (8, 2)) + words(11, 6, 1, 2, (0, 2), (4, 2))
    return [build + access, off + build + access, ste + access, register + commands, build + ste + commands + access]


LINES = [
    "--kernel\nbzImage\n--initrd\nrootfs.cpio\n--dma-engine",
    "--kernel=k\n-m\n64M\n--smp=2\n--hugetlb\n--no-reboot\n--trace\npci_*\n--trace-file=t",
    "--device\nroot-port,id=rp0\n--device\nswitch-upstream,id=up,bus=rp0\n--dma-engine=bus=up",
    "--kernel\nk\n--machine\nits=off,gic=3\n--iommu=smmuv3\n--append\na\n--append\nb,,c",
    "--device\nvirtio-blk,file=a,,b,aio=threads,queue-size=64\n--device\nvirtio-blk,help\n--help",
    "--kernel\nk\n--device\ndma-engine,inline-max=4K,addr=1f.7,multifunction=on\n--memory\n0x100000",
]


MONITOR = [
    "help\ninfo pci\ninfo regs e\ninfo regs r\ninfo mtree\ninfo trace\ninfo vcpus\n",
    "xp /8xw 0\nxp /3dg 0x1fffff\nxp/c 0x100000\nstop\ncont\nsystem_reset\nquit\ninfo status\n",
    "trace pci_*,-pci_link@r on\ntrace a off\nhelp info regs\n\"a b\"\n",
]
QMP = [
    '{"execute": "query-pci", "id": [1, {"a": null}]}{"execute": "query-commands"}{"execute": "stop"}{"execute": "cont"}',
    '{"execute": "human-monitor-command", "arguments": {"command-line": "info qtree", "cpu-index": 0}}{"execute": "quit"}',
    '{"execute": "device_add", "arguments": {"driver": "virtio-rng", "id": "x", "bus": "e", "n": 1.5, "b": true}}\n[]\n',
    '{"execute": "device_del", "arguments": {"id": "e"}}{"execute": "\\u0000\\ud800"}{"execute": 1, "arguments": []}',
]


def seeds(target):
    if target == "fuzz_monitor":
        return [bytes([kind]) + text.encode() for kind, texts in ((0, MONITOR), (1, QMP)) for text in texts]
    if target == "fuzz_boot_x86":
        return [bytes([flags]) + file for flags in (0, 3, 15)
                for file in (bzimage(), pvh(64), pvh(32))]
    if target == "fuzz_boot_arm64":
        return [bytes([flags]) + file for flags in (0, 3, 7)
                for file in (image(), gzip.compress(image(), mtime=0))]
    if target == "fuzz_options":
        return [line.encode() for line in LINES]
    return {"fuzz_virtqueue": virtqueue, "fuzz_pci": pci, "fuzz_smmuv3": smmuv3}[target]()


# Words for libFuzzer to put together, where an input is text.
WORDS = """--kernel k --device --machine --smp=0 --smp=257 -m --memory=0 --memory=16E --trace --append --help
    id= bus= addr= addr=1f.7 inline-max= queue-size=0 multifunction=on 4294967296 18446744073709551616 -1
    0x , ,, = help dma-engine virtio-blk root-port pci-testdev"""


def main():
    target, folder = sys.argv[1], Path(sys.argv[2])
    for number, seed in enumerate(seeds(target)):
        (folder / f"{number:03}").write_bytes(seed)
    words_of_target = WORDS.split() if target == "fuzz_options" else []
    folder.with_suffix(".dict").write_text("# words\n" + "".join(
        '"' + word.replace("--", "\\x0a--") + '"\n' for word in words_of_target))


if __name__ == "__main__":
    main()

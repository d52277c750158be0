# SPDX-License-Identifier: MIT
"""An arm64 Image of a few instructions: it turns the MMU on and reads a pair of registers' worth from
the serial port, an access that the CPU gives KVM no syndrome for."""

import struct

TABLE = 0x1000  # of the page table, from the Image's start; where ADR below points to

CODE = [
    0x10007E01,  # adr  x1, table
    0xD28080A0,  # mov  x0, #0x405            entry 0: device memory, accessed, a block of 1 GiB
    0xF9000020,  # str  x0, [x1]
    0xD2808020,  # mov  x0, #0x401            entry 1: RAM at 1 GiB
    0xF2A80000,  # movk x0, #0x4000, lsl #16
    0xF9000420,  # str  x0, [x1, #8]
    0xD2800880,  # mov  x0, #0x44             attribute 0: uncached memory, attribute 1: device
    0xD518A200,  # msr  mair_el1, x0
    0xD2800320,  # mov  x0, #25               39 address bits, 4 KiB pages
    0xF2A01000,  # movk x0, #0x80, lsl #16    no second table
    0xD5182040,  # msr  tcr_el1, x0
    0xD5182001,  # msr  ttbr0_el1, x1
    0xD5033FDF,  # isb
    0xD5381000,  # mrs  x0, sctlr_el1
    0xB2400000,  # orr  x0, x0, #1
    0xD5181000,  # msr  sctlr_el1, x0
    0xD5033FDF,  # isb
    0xD2A12002,  # mov  x2, #0x9000000
    0xA9401043,  # ldp  x3, x4, [x2]          at 0x88
    0x14000000,  # b    .
]


def image():
    # b over the header; text offset; size in RAM; flags; magic; no PE header
    header = struct.pack("<IIQQQ24x4sI", 0x14000010, 0, 0, 0x10000, 0xA, b"ARM\x64", 0)
    return header + struct.pack(f"<{len(CODE)}I", *CODE)

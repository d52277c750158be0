#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks docs/qemu-map.md.

  tests/static/qemu_map.py              what it says of minivmm
  tests/static/qemu_map.py DIRECTORY    and of QEMU, whose source is in DIRECTORY

A cell is a list of files and what is in them: "`vmm/bus.c`: `bus_add()`, `bus_move()`; `vmm/bus.h`: ...". Each
file has to be there, and to have the functions behind it. Every .c file of the folders in COVERED has to be in
a first cell. Prints a line a finding; status 1 if there was one.
"""

import re
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent.parent
MAP = PROJECT / "docs/qemu-map.md"
COVERED = ("vmm", "pci", "devices")
NAME = re.compile(r"`([^`]+)`")


def rows():
    """(line, cells) of each row of the map's tables of three columns."""
    for number, line in enumerate(MAP.read_text().splitlines(), 1):
        if line.startswith("| `"):
            yield number, [cell.strip() for cell in line.strip("|").split("|")]


def has_function(text, name):
    """Defined or declared: the name is on a line that begins with its type, or it is a macro."""
    name = re.escape(name)
    return re.search(rf"^(?:[A-Za-z_][^;\n=]*[ *])?{name}\(|^ *#define {name}\(", text, re.M) is not None


def check_cell(cell, tree):
    """What is wrong with a cell, whose files are in `tree`."""
    found, text, path = [], None, None
    for word in NAME.findall(cell):
        function = re.fullmatch(r"(\w+)\(\)", word)
        if "/" in word or re.fullmatch(r"[\w-]+\.(c|h|hx)", word):
            path, file = word, tree / word
            text = file.read_text(errors="replace") if file.is_file() else None
            found += [] if text else [f"there is no {word}"]
        elif text is None:
            found += [] if path else [f"{word} is behind no file"]
        elif function and not has_function(text, function[1]):
            found.append(f"{path} has no {word}")
        elif not function and not re.search(rf"\b{re.escape(word)}\b", text):
            found.append(f"{path} does not say {word}")
    return found


def check_coverage(first_cells):
    named = {word for cell in first_cells for word in NAME.findall(cell)}
    files = [str(path.relative_to(PROJECT)) for top in COVERED for path in sorted((PROJECT / top).rglob("*.c"))]
    return [f"{MAP.relative_to(PROJECT)}: {name} is not in it" for name in files if name not in named]


def check(qemu=None):
    """Findings, a line each."""
    found, first_cells = [], []
    for number, cells in rows():
        place = f"{MAP.relative_to(PROJECT)}:{number}"
        if len(cells) != 3:
            found.append(f"{place}: {len(cells)} columns, not 3")
            continue
        first_cells.append(cells[0])
        found += [f"{place}: {text}" for text in check_cell(cells[0], PROJECT)]
        if qemu:
            found += [f"{place}: QEMU: {text}" for text in check_cell(cells[1], qemu)]
    return found + check_coverage(first_cells)


if __name__ == "__main__":
    findings = check(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
    print(*findings, sep="\n", end="\n" if findings else "")
    sys.exit(1 if findings else 0)

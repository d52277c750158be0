# SPDX-License-Identifier: MIT
"""Cases made from docs/write-a-device.md: what the page says to type is typed, and what it shows must come.

A block "```console NAME" is a session, or the next part of the session NAME:

  $ tools/demo --examples --shell -- OPTIONS     minivmm's options
  / # COMMAND                                    typed in the guest
  $ build/release/COMMAND                        typed on the host: a session of its own
  12.345678 vcpu0 EVENT ...                      a trace line: on stderr, in this order
  ...                                            lines that are left out
  anything else                                  the command's output

Times, addresses and interrupt numbers may differ.
"""

import re
import shlex
from pathlib import Path

PAGE = Path(__file__).resolve().parent.parent.parent / "docs/write-a-device.md"
START = "$ tools/demo --examples --shell -- "
PROMPT = re.compile(r"^(/ # |\$ build/release/)")
DIFFER = [
    (r"^(sh|\S+: line \d+): ", "sh: "),
    (r"^\d+\.\d{6} ", "TIME "),
    (r"\[ *\d+\.\d{6}\]", "[TIME]"),
    (r"\b0x[0-9a-f]{16}\b", "ADDRESS"),
    (r"\b(Memory|I/O ports) at [0-9a-f]+", r"\1 at ADDRESS"),
    (r"\b(desc|driver|device)=0x[0-9a-f]+", r"\1=ADDRESS"),
    (r"\bIRQ \d+", "IRQ"),
]


class Session:
    """What the page types and shows, from one start of minivmm on."""

    def __init__(self, name):
        self.name, self.options, self.on_host = name, "", False
        self.steps = []  # (command, lines of output)
        self.trace = []

    def add(self, line):
        if line.startswith(START):
            self.options = line.removeprefix(START)
        elif PROMPT.match(line):
            self.on_host = line.startswith("$")
            self.steps.append((PROMPT.sub("", line).replace("bzImage", "kernel"), []))
        elif re.match(r"\d+\.\d{6} ", line):
            self.trace.append(line)
        else:
            self.steps[-1][1].append(line)

    def script(self):
        lines = ["exec 2>&1"]
        for number, (command, _) in enumerate(self.steps):
            lines += [f"echo begin step {number}", command, f"echo; echo end step {number}"]
        if self.on_host:
            return "\n".join([*lines, "echo check: done"])
        return "\n".join([". ./lib.sh", *lines, "finish"]) + "\n"

    def check(self, result):
        for number, (command, shown) in enumerate(self.steps):
            got = result.section(f"step {number}").rstrip().splitlines()
            good = re.fullmatch(pattern(shown), "".join(f"{normal(line)}\n" for line in got))
            yield command, None if good else f"got {got}, the page shows {shown}"
        traced = iter([normal(line) for line in result.err.splitlines()])
        for line in self.trace:
            yield line, None if normal(line) in traced else "not in the trace, or not in this order"
        yield "the session came to its end", None if "check: done" in result.out else "it did not"


def normal(line):
    """A line without what may differ."""
    for regex, replacement in DIFFER:
        line = re.sub(regex, replacement, line)
    return line.rstrip()


def pattern(shown):
    """A regular expression for a command's output, each line with its end."""
    return "".join(r"(.*\n)*" if line == "..." else re.escape(normal(line)) + "\n" for line in shown)


def sessions():
    """The page's sessions, by name and in its order."""
    found = {}
    for name, text in re.findall(r"^```console (\S+)\n(.*?)^```$", PAGE.read_text(), re.M | re.S):
        session = found.setdefault(name, Session(name))
        for line in text.splitlines():
            session.add(line)
    return list(found.values())


def scripts():
    """(name, text) of each session's script in the guest."""
    return [(f"page_{session.name}.sh", session.script()) for session in sessions()]


def cases(Case, append):
    """The parent's Case, and words for the guest's command line."""
    found = []
    for session in sessions():
        line = shlex.quote(f"{append} run=page_{session.name}.sh")
        command = ("minivmm-examples --kernel kernel --initrd initrd --dma-engine"
                   f" --append {line} {session.options}")
        if session.on_host:
            command = session.script()
        found.append(Case(f"example-{session.name}", command=command, check=session.check))
    return found

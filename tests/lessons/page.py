# SPDX-License-Identifier: MIT
"""Reads a lesson, and compares what it shows with what a terminal said. See docs/lessons/README.md for
how a page is written."""

import difflib
import re
from dataclasses import dataclass, field

ANYTHING = "..."  # a line of a page that stands for any lines, or none
PROMPT = r"\$ |(?:~|/\S*) # |\(gdb\) |\(minivmm\) "
COMMAND = re.compile(rf"({PROMPT})(.*)")
DIRECTIVE = re.compile(r"<!-- (arch|window|copy|status|varies): (.+?) -->|<!-- (runs on) -->")
KEYS = {"Ctrl-A c": "\x01c", "Ctrl-A c, Enter": "\x01c\r", "Ctrl-A x": "\x01x", "Ctrl-A h": "\x01h", "Ctrl-C": "\x03", "Ctrl-D": "\x04"}

# What differs from one run to the next, and how it is shown to the comparison. Nothing that a lesson is
# about is in here: not an offset, an address of a BAR, a bus or an interrupt's number.
MASKS = [(re.compile(pattern), shown) for pattern, shown in (
    (r"^\d+\.\d{6}(?= )", "TIME"),                                  # a trace line's
    (r"\[ *\d+\.\d{6}\]", "[TIME]"),                                # the kernel's log
    (r" *\b\d+(\.\d+)? ?(ns|us|µs|ms|s|sec|seconds)\b", " TIME"),   # with the column's padding
    (r"\b\d\d:\d\d:\d\d\b", "TIME"),
    (r"\bThread 0x[0-9a-f]+ \(LWP \d+\)", "Thread ID"),
    (r"\bThread \d+\.\d+", "Thread ID"),                            # the same, by gdbserver
    (r"\bLWP \d+\b", "LWP ID"),
    (r"\b(process|pid) \d+\b", r"\1 ID"),
    (r"\b0x(0000)?(55|56|7[ef]|aa|ff)[0-9a-f]{10}\b", "HOST-ADDRESS"),  # of a 64-bit program
    (r"\bffff[0-9a-f]{12}\b", "KERNEL-ADDRESS"),
    (r"(?<=\.[chS]):\d+\b", ":LINE"),                               # each edit of a source moves it
    (r"(?<=, line )\d+\b", "LINE"),
    (r"^\d+\t(?= *\S)", "LINE "),                                    # the same, of a line that gdb shows
    (r"(?<= )/\S*/(?=(vmm|pci|devices|guest)/\S+\.[chS]\b)", ""),   # where the clone is
)]


@dataclass
class Step:
    """A command, and what the page shows before the next. `prompt` is None for output of what still runs
    from an earlier block."""

    line: int  # where in the page
    prompt: str | None
    command: str
    output: list = field(default_factory=list)
    status: int = 0  # of a command of the host
    runs_on: bool = False  # no prompt comes after it, in this block


@dataclass
class Block:
    line: int
    arch: str | None = None  # None: x86
    window: str = ""
    copy: str | None = None
    steps: list = field(default_factory=list)


class PageError(Exception):
    """A page that is not written as pages are."""


@dataclass
class Page:
    name: str
    blocks: list = field(default_factory=list)
    varies: list = field(default_factory=list)  # compiled patterns

    def cases(self):
        """The blocks by what has to be run on its own: {"": x86's, "arm64": arm64's, "copy NAME": a
        solution's}."""
        cases = {}
        for block in self.blocks:
            name = f"copy {block.copy}" if block.copy else block.arch or ""
            cases.setdefault(name, []).append(block)
        return cases


def parse_block(number, lines, directives):
    block = Block(number, directives.get("arch"), directives.get("window", ""), directives.get("copy"))
    for offset, line in enumerate(lines):
        last = block.steps[-1] if block.steps else None
        match = COMMAND.fullmatch(line)
        if last and not last.output and last.command.endswith("\\") and line.startswith("> "):
            last.command = last.command[:-1] + line[2:].lstrip()
        elif match:
            block.steps.append(Step(number + offset, match[1], match[2]))
        else:
            if not last:
                last = Step(number + offset, None, "")
                block.steps.append(last)
            last.output.append(line)
    if not block.steps:
        raise PageError(f"{number}: an empty block")
    block.steps[-1].status = int(directives.get("status", 0))
    block.steps[-1].runs_on = "runs on" in directives
    return block


def parse(name, text):
    """The page's ```console blocks; all other text is for people. Raises PageError."""
    page, directives, block = Page(name), {}, None
    for number, line in enumerate(text.split("\n"), 1):
        if block is not None:
            if line == "```":
                page.blocks.append(parse_block(start, block, directives))
                block, directives = None, {}
            else:
                block.append(line)
        elif line.startswith("```console"):
            block, start = [], number + 1
        elif line.startswith("<!-- "):
            match = DIRECTIVE.fullmatch(line)
            if not match:
                raise PageError(f"{name}:{number}: an unknown comment: {line}")
            if match[1] == "varies":
                page.varies.append(re.compile(match[2]))
            else:
                directives[match[1] or match[3]] = match[2]
        elif line.strip() and directives:
            raise PageError(f"{name}:{number}: a comment is to be followed by its ```console block")
    if block is not None:
        raise PageError(f"{name}: a block has no end")
    return page


# ---- comparison


def mask(line, varies=()):
    for pattern in varies:
        line = pattern.sub(hide_group, line)
    for pattern, shown in MASKS:
        line = pattern.sub(shown, line)
    return line.expandtabs().rstrip()


def hide_group(match):
    """The match with VARIES instead of its first group, or of all of it."""
    if not match.re.groups or match[1] is None:
        return match[0] if match.re.groups else "VARIES"
    start, end = match.start(1) - match.start(), match.end(1) - match.start()
    return match[0][:start] + "VARIES" + match[0][end:]


def split_at_gaps(lines):
    parts = [[]]
    for line in lines:
        if line == ANYTHING:
            parts.append([])
        else:
            parts[-1].append(line)
    return parts


def find(part, lines, start):
    """The first place from `start` on where all lines of the part are, or -1."""
    for at in range(start, len(lines) - len(part) + 1):
        if lines[at:at + len(part)] == part:
            return at
    return -1


def matched(expected, actual):
    """(None, 0) if the masked lines are what the page says; or the part of the page that is not there, and
    from which line on it was looked for."""
    parts = split_at_gaps(expected)
    if len(parts) == 1:
        return (None, 0) if parts[0] == actual else (parts[0], 0)
    first, last = parts[0], parts[-1]
    if actual[:len(first)] != first:
        return first, 0
    at = len(first)
    for part in parts[1:-1]:
        place = find(part, actual, at)
        if place < 0:
            return part, at
        at = place + len(part)
    if len(actual) - len(last) < at or (last and actual[-len(last):] != last):
        return last, max(at, len(actual) - len(last) - 3)
    return None, 0


def compare(expected, actual, varies=()):
    """None if the lines are what the page says; or what differs, as text."""
    expected = [line if line == ANYTHING else mask(line, varies) for line in expected]
    actual = [mask(line, varies) for line in actual]
    missing, start = matched(expected, actual)
    if missing is None:
        return None
    seen = actual[start:start + max(60, 2 * len(missing))]
    return "\n".join(difflib.unified_diff(missing, seen, "the page", "the terminal", lineterm="", n=5))

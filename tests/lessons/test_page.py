#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The comparison of pages with terminals can fail, and a terminal is read as a person reads it."""

import sys
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))
import page as pages  # noqa: E402 - found by the path above
import terminal  # noqa: E402

PAGE = """\
# A lesson

<!-- varies: src=(0x[0-9a-f]+) -->
```console
$ tools/demo --shell -- \\
>     --dma-engine
...
/ # lspci -n
00:04.0 00ff: 1234:3456 (rev 10)
```

Some words.

<!-- arch: arm64 -->
<!-- window: second -->
<!-- runs on -->
```console
/ # tail -f log
one
```

```c
$ not a command
```
"""

REAL = ["first", "[    1.234567] dma_engine 0000:00:04.0: 4096 bytes in 81 ns", "  Region 0: Memory at e0000000"]


class Comparison(unittest.TestCase):
    def same(self, page, real, varies=()):
        self.assertIsNone(pages.compare(page, real, varies))

    def differs(self, page, real, *words):
        difference = pages.compare(page, real)
        self.assertIsNotNone(difference)
        for word in words:
            self.assertIn(word, difference)

    def test_equal(self):
        self.same(REAL, REAL)
        self.same([], [])

    def test_wrong_line(self):
        self.differs(["second", *REAL[1:]], REAL, "-second", "+first")

    def test_missing_line(self):
        self.differs(REAL[:2], REAL, "+  Region 0")
        self.differs([], REAL)

    def test_extra_line(self):
        self.differs([*REAL, "more"], REAL, "-more")
        self.differs([*REAL, ""], REAL)

    def test_wrong_number(self):
        self.differs([*REAL[:2], "  Region 0: Memory at e0004000"], REAL, "-  Region 0: Memory at e0004000")
        self.differs(["first", REAL[1].replace("4096", "4097"), REAL[2]], REAL)
        self.differs(["0.1 vcpu0 mmio_read addr=0xe000101c value=0x1"],
                     ["0.1 vcpu0 mmio_read addr=0xe000101c value=0x5"])
        self.differs(["pci 0000:01:00.0"], ["pci 0000:02:00.0"])

    def test_order(self):
        self.differs(["a", "b"], ["b", "a"])
        self.differs(["...", "a", "...", "b", "..."], ["b", "a"])

    def test_masks(self):
        self.same(["[   17.000001] x 5.21 ms, 3 s"], ["[    1.999999] x 721 us, 10 s"])
        self.same(["0.012345 vcpu0 a"], ["123.000000 vcpu0 a"])
        self.same(["total  9.1 ms"], ["total 12.7 ms"])
        self.same(["#0 f (o=0x55558c6cdb90) at a/b.c:17"], ["#0 f (o=0x5617aabbccd0) at a/b.c:190"])
        self.same(["[New Thread 0x7f5e9c7d36c0 (LWP 17)]"], ["[New Thread 0x7fffaa7d36c0 (LWP 21)]"])
        self.same(["#1  0x00007ffff7e1cf1c in g () at /home/me/mv/vmm/vcpu.c:186"],
                  ["#1  0x00007ff1a7e1c000 in g () at /tmp/x/vmm/vcpu.c:18"])
        self.same(["490\t{"], ["17\t{"])
        self.differs(["490\t{"], ["17\t}"])
        self.differs(["#1 g () at /x/vmm/vcpu.c:1"], ["#1 g () at /x/vmm/vm.c:1"])
        self.differs(["0x1018"], ["0x101c"])
        self.differs(["0xe0001018"], ["0xe000101c"])
        self.differs(["17 exits"], ["18 exits"])

    def test_varies(self):
        page = pages.parse("x", PAGE)
        self.same(["start src=0x1000 len=0x10"], ["start src=0x2fe000 len=0x10"], page.varies)
        self.assertIsNotNone(pages.compare(["src=0x1 len=0x10"], ["src=0x1 len=0x11"], page.varies))
        self.assertIsNotNone(pages.compare(["src=0x1 len=0x10"], ["src=0x1 len=0x11"]))

    def test_gaps(self):
        self.same(["..."], REAL)
        self.same(["..."], [])
        self.same(["first", "..."], REAL)
        self.same(["...", REAL[2]], REAL)
        self.same(["...", REAL[1], "..."], REAL)
        self.same(["...", *REAL, "..."], REAL)
        self.differs(["...", "first"], REAL)
        self.differs(["...", REAL[1]], REAL)
        self.differs([REAL[1], "..."], REAL)
        self.differs(["...", "nowhere", "..."], REAL, "-nowhere")
        self.differs(["first", "...", "first"], REAL)
        self.differs(["a", "...", "a"], ["a"])


class Parsing(unittest.TestCase):
    def test_page(self):
        first, second = pages.parse("x", PAGE).blocks
        self.assertEqual([step.command for step in first.steps], ["tools/demo --shell -- --dma-engine", "lspci -n"])
        self.assertEqual(first.steps[0].output, ["..."])
        self.assertEqual((first.arch, first.steps[1].prompt), (None, "/ # "))
        self.assertEqual((second.arch, second.window, second.steps[0].runs_on), ("arm64", "second", True))

    def test_cases(self):
        self.assertEqual(list(pages.parse("x", PAGE).cases()), ["", "arm64"])

    def test_errors(self):
        for text in ("<!-- arhc: x86 -->\n```console\n$ x\n```", "```console\n$ x", "```console\n```",
                     "<!-- arch: arm64 -->\nwords\n"):
            with self.assertRaises(pages.PageError, msg=text):
                pages.parse("x", text)


class Reading(unittest.TestCase):
    def test_plain(self):
        self.assertEqual(terminal.plain("\x1b[6n/ # ab\b \bc\r\n"), "/ # ac\n")

    def test_echo(self):
        for text in ("echo one\none\n/ # ", "echo o\nne\none\n/ # ", "echo\n one\none\n/ # "):
            self.assertEqual(text[terminal.echo_end(text, "echo one"):], "one\n/ # ", text)

    def test_commands(self):
        with terminal.Terminal("/") as bash:
            bash.type("echo one; echo; echo two")
            self.assertEqual(bash.wait_prompt(10), ("$ ", ["one", "", "two"]))
            bash.type("true")
            self.assertEqual(bash.wait_prompt(10), ("$ ", []))
            bash.type("(exit 3)")
            bash.wait_prompt(10)
            self.assertEqual(bash.status, 3)
            bash.type("printf 'a\\n/ # '; sleep 60")
            self.assertEqual(bash.wait_prompt(10), ("/ # ", ["a"]))
            bash.type("Ctrl-C")
            self.assertEqual(bash.wait_prompt(10)[0], "$ ")
            bash.type("cat")
            with self.assertRaises(terminal.Stuck):
                bash.wait_prompt(1)


if __name__ == "__main__":
    unittest.main()

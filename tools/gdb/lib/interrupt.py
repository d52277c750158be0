# SPDX-License-Identifier: MIT
"""Ctrl-C in gdb stops the program, as everywhere.

gdb stops a program by SIGINT. minivmm blocks that signal and reads it from a signalfd, to end in good order: gdb
would not see it, and the machine would be gone. So SIGINT is taken out of the set while minivmm sets it up, which
is once, by pthread_sigmask(SIG_BLOCK, &set) and then signalfd(-1, &set). A gdb that attaches later is too late."""

import signal

import gdb

REGISTERS = {"i386:x86-64": ("rdi", "rsi"), "aarch64": ("x0", "x1")}
ENDING = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT}  # ending_signals() of vmm/main.c
SIG_BLOCK = 0


class KeepInterrupt(gdb.Breakpoint):
    def __init__(self):
        super().__init__("*pthread_sigmask", internal=True)

    def stop(self):
        frame, memory = gdb.newest_frame(), gdb.selected_inferior()
        how, pointer = (int(frame.read_register(name)) for name in REGISTERS[frame.architecture().name()])
        mask = sum(1 << number - 1 for number in ENDING)
        if how & 0xFFFFFFFF == SIG_BLOCK and pointer:
            if int.from_bytes(bytes(memory.read_memory(pointer, 8)), "little") == mask:
                memory.write_memory(pointer, (mask & ~(1 << signal.SIGINT - 1)).to_bytes(8, "little"))
        return False


keepers = []


def watch(_event=None):
    """As soon as the program is known."""
    if not keepers and gdb.lookup_static_symbol("the_machine") is not None:
        keepers.append(KeepInterrupt())


gdb.events.new_objfile.connect(watch)
watch()

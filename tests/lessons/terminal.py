# SPDX-License-Identifier: MIT
"""A terminal with a shell in it, at which a test types what a page says."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time

from page import KEYS, PROMPT

ROWS, COLUMNS = 1000, 300
# Bash says the last status in a sequence that no terminal shows.
HOST_PROMPT = re.compile(r"\x1b\]7;(\d+)\x07\$ $")
ESCAPES = re.compile(r"\x1b\][^\x07]*\x07|\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>78]|\x07")
GUEST_PROMPT = re.compile(rf"(?:^|(?<=\n))({PROMPT})$")
QUIET = 0.15  # seconds without output that make sure that a prompt is one


class Stuck(Exception):
    """No prompt came."""

    def __init__(self, what, output):
        super().__init__(what)
        self.output = output


def plain(text):
    """As it stands on the terminal: no sequences, no carriage returns, backspaces carried out."""
    text = ESCAPES.sub("", text).replace("\r", "")
    while "\b" in text:
        text = re.sub(r"[^\n]\b|^\b|(?<=\n)\b".replace(r"\b", "\x08"), "", text, count=1)
    return text


def echo_end(text, command):
    """Where the output begins: behind the command's echo and the end of its line. A guest's shell takes its
    terminal for one of 80 columns, and breaks the echo of a longer line."""
    at = 0
    for character in command:
        while text[at:at + 1] == "\n":
            at += 1
        if text[at:at + 1] != character:
            at = 0
            break
        at += 1
    return text.find("\n", at) + 1 or len(text)


class Terminal:
    """To be used in a with statement."""

    def __init__(self, folder):
        self.raw = ""
        self.status = 0
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            for number in signal.SIGINT, signal.SIGQUIT:
                signal.signal(number, signal.SIG_DFL)  # a background job ignores them, a terminal's shell does not
            os.chdir(folder)
            environment = {**os.environ, "TERM": "dumb", "PS1": r"\[\e]7;$?\a\]$ ", "LC_ALL": "C.UTF-8",
                           "BASH_SILENCE_DEPRECATION_WARNING": "1", "HISTFILE": ""}
            environment.pop("DEBUGINFOD_URLS", None)
            os.execvpe("bash", ["bash", "--norc", "--noprofile", "-i"], environment)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self.prompt, _ = self.wait_prompt(20, typed=False)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        """What runs in it gets SIGHUP, as when a person closes the window."""
        os.close(self.fd)
        deadline = time.monotonic() + 5
        while os.waitpid(self.pid, os.WNOHANG)[0] == 0:
            if time.monotonic() > deadline:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                return
            time.sleep(0.05)

    def read(self, seconds):
        """Takes what comes within that time. False: nothing."""
        if not select.select([self.fd], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            raise Stuck("the shell has ended", plain(self.raw)) from None
        self.raw += data.decode(errors="replace")
        return True

    def prompt_at_end(self, anywhere=False):
        """The prompt that the output ends with, or None."""
        match = HOST_PROMPT.search(self.raw[-200:])
        if match:
            self.status = int(match[1])
            return "$ "
        text = plain(self.raw[-200:])
        match = re.search(rf"({PROMPT})$", text) if anywhere else GUEST_PROMPT.search(text)
        return match[1] if match else None

    def type(self, command):
        self.keys, self.command = command in KEYS, command
        os.write(self.fd, (KEYS[command] if self.keys else command + "\r").encode())

    def wait_prompt(self, seconds, typed=True):
        """Waits for a prompt; returns (it, the lines before it). Raises Stuck."""
        deadline = time.monotonic() + seconds
        while True:
            came = self.read(QUIET)
            echoed = not typed or self.keys or "\n" in self.raw
            prompt = self.prompt_at_end(typed and self.keys) if echoed and not came else None
            if prompt:
                lines = self.lines(typed)
                self.raw = ""
                self.prompt = prompt
                return prompt, lines[:-1] if lines[-1] == prompt.rstrip(" ") or lines[-1] == prompt else lines
            if time.monotonic() > deadline:
                raise Stuck(f"no prompt within {seconds} s", "\n".join(self.lines(typed)))

    def lines(self, typed=True):
        """The lines so far, without the one that echoes the command."""
        text = plain(self.raw)
        return (text[echo_end(text, self.command):] if typed and not self.keys else text).split("\n")

    def wait_lines(self, seconds, enough, typed=True):
        """Waits until enough(lines), of a program that runs on. Raises Stuck."""
        deadline = time.monotonic() + seconds
        while not enough([line for line in self.lines(typed) if line] or []):
            if not self.read(QUIET) and time.monotonic() > deadline:
                raise Stuck(f"not what the page shows, within {seconds} s", "\n".join(self.lines(typed)))
        lines = self.lines(typed)
        self.raw = ""
        return lines

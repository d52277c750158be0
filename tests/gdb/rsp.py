# SPDX-License-Identifier: MIT
"""A client of gdb's remote serial protocol, for tests: what is sent and what comes back, packet by packet."""

import re
import select
import socket
import time


class Gone(Exception):
    """The other end closed the connection."""


class Client:
    def __init__(self, path, timeout=20):
        self.timeout, self.buffer = timeout, b""
        self.socket = socket.socket(socket.AF_UNIX)
        deadline = time.monotonic() + timeout
        while True:
            try:
                self.socket.connect(str(path))
                return
            except (FileNotFoundError, ConnectionRefusedError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def close(self):
        self.socket.close()

    def raw(self, data):
        self.socket.sendall(data)

    def send(self, body):
        body = body.encode() if isinstance(body, str) else body
        self.raw(b"$" + body + b"#%02x" % (sum(body) % 256))

    def byte(self, timeout=None):
        if not self.buffer:
            if not select.select([self.socket], [], [], self.timeout if timeout is None else timeout)[0]:
                raise TimeoutError
            self.buffer = self.socket.recv(65536)
            if not self.buffer:
                raise Gone
        first, self.buffer = self.buffer[:1], self.buffer[1:]
        return first

    def receive(self, timeout=None):
        """The next packet's text, acknowledged; what stands before it is skipped."""
        while self.byte(timeout) != b"$":
            pass
        body = b""
        while (byte := self.byte(timeout)) != b"#":
            body += byte
        told = int(self.byte() + self.byte(), 16)
        assert told == sum(body) % 256, f"{body}: the sum is wrong"
        try:
            self.raw(b"+")
        except BrokenPipeError:
            pass  # that was its last word
        return re.sub(rb"}(.)", lambda m: bytes([m[1][0] ^ 0x20]), body, flags=re.S).decode("latin-1")

    def ask(self, body, timeout=None):
        self.send(body)
        return self.receive(timeout)

    def interrupt(self):
        self.raw(b"\x03")
        return self.receive()

    # ---- what commands mean

    def registers(self):
        """The description's (name, bytes), in order."""
        if not hasattr(self, "description"):
            self.description = ""
            while True:
                part = self.ask(f"qXfer:features:read:target.xml:{len(self.description):x},400")
                self.description += part[1:]
                if part[0] == "l":
                    break
        found = re.findall(r'<reg name="([^"]*)" bitsize="(\d+)"', self.description)
        return [(name, int(bits) // 8) for name, bits in found]

    def number(self, name):
        return [known for known, _ in self.registers()].index(name)

    def register(self, name):
        return int.from_bytes(bytes.fromhex(self.ask(f"p{self.number(name):x}")), "little")

    def set_register(self, name, value):
        size = self.registers()[self.number(name)][1]
        return self.ask(f"P{self.number(name):x}={value.to_bytes(size, 'little').hex()}")

    def memory(self, address, length):
        return bytes.fromhex(self.ask(f"m{address:x},{length:x}"))

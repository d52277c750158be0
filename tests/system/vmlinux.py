# SPDX-License-Identifier: MIT
"""The ELF kernel inside a bzImage: for booting the same stock kernel by PVH.

The setup header (Linux boot protocol 2.08 on) says where the compressed payload lies, relative to the
protected-mode code; what compressed it is told by its first bytes. The last 4 bytes are its size.
"""

import gzip
import io
import lzma
import struct
import subprocess


def extract(bzimage):
    """Returns the vmlinux that `bzimage` (bytes) unpacks to."""
    if bzimage[0x202:0x206] != b"HdrS":
        raise ValueError("not a bzImage")
    setup_sectors = bzimage[0x1F1] or 4
    offset, length = struct.unpack_from("<II", bzimage, 0x248)
    start = (setup_sectors + 1) * 512 + offset
    payload = bzimage[start : start + length]
    if payload[:6] == b"\xfd7zXZ\0":
        return lzma.LZMADecompressor(lzma.FORMAT_XZ).decompress(payload)
    if payload[:2] == b"\x1f\x8b":
        return gzip.GzipFile(fileobj=io.BytesIO(payload)).read()
    for magic, command in ((b"\x28\xb5\x2f\xfd", ["zstd", "-dc"]), (b"\x02\x21\x4c\x18", ["lz4", "-dc"])):
        if payload.startswith(magic):
            return subprocess.run(command, input=payload, capture_output=True).stdout
    raise ValueError(f"unknown compression: {payload[:6].hex()}")

# SPDX-License-Identifier: MIT
"""What the tools that make guest images share: cpio archives, ELF dependencies, kernel modules.

The kernel unpacks an initial root file system from one or more "newc" cpio archives (kernel
documentation, driver-api/early-userspace/buffer-format). An archive is a sequence of entries, each
a 110-byte header in hexadecimal text, the name with its NUL, and the data; header plus name, and
data, are padded to 4 bytes. An entry named TRAILER!!! ends it. What follows may be another archive,
which adds to and replaces what the first one made.

Archives made here are reproducible: entries are sorted by name, owned by root, dated 1970, and
inodes are counted from 1. So the bytes depend on names, modes and contents only, and no privilege
is needed to put a device node into one.
"""

import os
import stat
import struct
import subprocess
from pathlib import Path


class Error(Exception):
    """Something a person must put right; the text says what."""


class Archive:
    """A file tree in memory, written as one newc archive.

    Names are given without a leading slash. Folders that a name needs are added by themselves.
    """

    def __init__(self):
        self._entries = {}  # name -> (mode, data, rdev)

    def folder(self, name, mode=0o755):
        self._add(name, stat.S_IFDIR | mode, b"")

    def file(self, name, data, mode=0o644):
        self._add(name, stat.S_IFREG | mode, data)

    def symlink(self, name, target):
        self._add(name, stat.S_IFLNK | 0o777, target.encode())

    def character_device(self, name, major, minor, mode=0o600):
        self._add(name, stat.S_IFCHR | mode, b"", (major, minor))

    def copy(self, source, name):
        """Adds a host file, what a symbolic link points to, or a whole folder, under a name."""
        source = Path(source)
        if source.is_dir():
            self.folder(name)
            for child in source.iterdir():
                self.copy(child, f"{name}/{child.name}")
        else:
            executable = os.access(source, os.X_OK)
            self.file(name, source.read_bytes(), 0o755 if executable else 0o644)

    def __contains__(self, name):
        return _normal(name) in self._entries

    def _add(self, name, mode, data, rdev=(0, 0)):
        name = _normal(name)
        parent = os.path.dirname(name)
        if parent and parent not in self._entries:
            self.folder(parent)
        self._entries[name] = (mode, data, rdev)

    def write(self, path):
        """Writes the archive, padded to 512 bytes so that another one may follow it."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        with open(part, "wb") as out:
            for inode, name in enumerate(sorted(self._entries), 1):
                mode, data, rdev = self._entries[name]
                _write_entry(out, inode, name, mode, data, rdev)
            _write_entry(out, 0, "TRAILER!!!", 0, b"", (0, 0))
            out.write(bytes(-out.tell() % 512))
        part.replace(path)


def _normal(name):
    return os.path.normpath(name).lstrip("/")


def _write_entry(out, inode, name, mode, data, rdev):
    encoded = os.fsencode(name) + b"\0"
    links = 2 if stat.S_ISDIR(mode) else 1
    fields = (inode, mode, 0, 0, links, 0, len(data), 0, 0, *rdev, len(encoded), 0)
    header = b"070701" + b"".join(b"%08X" % field for field in fields)
    out.write(header + encoded + bytes(-(len(header) + len(encoded)) % 4))
    out.write(data + bytes(-len(data) % 4))


# ---- ELF files: which interpreter and libraries a program needs

SHT_DYNAMIC, PT_INTERP, DT_NULL, DT_NEEDED = 6, 3, 0, 1


def elf_needs(path):
    """Returns (interpreter or None, [library, ...]) of a 64-bit little-endian ELF file.

    Returns None for any other file.
    """
    data = Path(path).read_bytes()
    if data[:6] != b"\x7fELF\x02\x01":
        return None
    try:
        return _elf_interpreter(data), _elf_libraries(data)
    except (struct.error, IndexError, ValueError) as cause:
        raise Error(f"{path} is a damaged ELF file") from cause


def _elf_interpreter(data):
    (phoff,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    for index in range(count):
        kind, _, offset, _, _, length = struct.unpack_from("<IIQQQQ", data, phoff + index * size)
        if kind == PT_INTERP:
            return data[offset : offset + length].rstrip(b"\0").decode()
    return None


def _elf_libraries(data):
    (shoff,) = struct.unpack_from("<Q", data, 40)
    size, count = struct.unpack_from("<HH", data, 58)
    sections = [struct.unpack_from("<IIQQQQII", data, shoff + i * size) for i in range(count)]
    libraries = []
    for _, kind, _, _, offset, length, link, _ in sections:
        if kind != SHT_DYNAMIC:
            continue
        strings = sections[link][4]
        for tag, value in struct.iter_unpack("<qQ", data[offset : offset + length]):
            if tag == DT_NEEDED:
                start = strings + value
                libraries.append(data[start : data.index(b"\0", start)].decode())
    return libraries


def copy_with_libraries(archive, source, name, search):
    """Adds a host file and, if it is a dynamic ELF program, its interpreter and libraries.

    The interpreter keeps its path; libraries go to lib/, where every loader looks. They are looked
    for in the folders of `search`, in order. Libraries already in the archive are not added again,
    so that a stand-in for one may be added first.
    """
    archive.copy(source, name)
    needs = elf_needs(source) if Path(source).is_file() else None
    if needs is None:
        return
    interpreter, libraries = needs
    if interpreter and interpreter not in archive:
        archive.copy(_find(os.path.basename(interpreter), search, source), interpreter)
    for library in libraries:
        if interpreter and library == os.path.basename(interpreter):
            continue
        target = f"lib/{library}"
        if target not in archive and not library.startswith("ld-linux"):
            copy_with_libraries(archive, _find(library, search, source), target, search)


def _find(library, search, user):
    for folder in search:
        candidate = Path(folder) / library
        if candidate.exists():
            return candidate
    raise Error(f"{user} needs {library}, which is in none of {', '.join(map(str, search))}")


def library_folders(root, arch):
    """Where Debian keeps libraries of an architecture below a root folder."""
    triplet = {"x86": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}[arch]
    root = Path(root)
    return [root / "lib" / triplet, root / "usr/lib" / triplet, root / "lib64", root / "lib"]


# ---- kernel modules


class Modules:
    """The stock modules of a kernel folder that guest/fetch-kernel made."""

    def __init__(self, kernel_folder):
        self.kernel_folder = Path(kernel_folder)
        self.release = (self.kernel_folder / "release").read_text().strip()
        self.folder = self.kernel_folder / "modules"
        self._needs = {}  # path below the folder -> [path, ...]
        self._paths = {}  # name -> path
        for line in (self.folder / "modules.dep").read_text().splitlines():
            path, _, needs = line.partition(":")
            self._needs[path] = needs.split()
            self._paths[_module_name(path)] = path
        builtin = (self.folder / "modules.builtin").read_text().split()
        self._builtin = {_module_name(path) for path in builtin}

    def known(self, name):
        """Whether the kernel has it, as a module or built in."""
        return name.replace("-", "_") in self._paths or name.replace("-", "_") in self._builtin

    def closure(self, names):
        """The paths, below the folder, of modules and of all they need; built-in ones have none."""
        paths = set()
        for name in names:
            if not self.known(name):
                raise Error(f"Linux {self.release} has no module {name}")
            path = self._paths.get(name.replace("-", "_"))
            if path:
                paths.update([path, *self._needs[path]])
        return sorted(paths)


def _module_name(path):
    return os.path.basename(path).split(".ko")[0].replace("-", "_")


# What the kernel's build left for depmod.
KBUILD_INDICES = ("modules.order", "modules.builtin", "modules.builtin.modinfo")


def add_modules(archive, modules, names, own, stage):
    """Adds lib/modules/RELEASE with stock modules, modules of our own, and the indices of modprobe.

    names: stock modules, which bring what they need. own: module files, put into extra/.
    stage: an empty folder for depmod to work in.
    """
    base = f"lib/modules/{modules.release}"
    staged = Path(stage) / base
    files = {path: modules.folder / path for path in modules.closure(names)}
    files.update({f"extra/{os.path.basename(path)}": Path(path) for path in own})
    files.update({name: modules.folder / name for name in KBUILD_INDICES})
    for path, source in files.items():
        (staged / path).parent.mkdir(parents=True, exist_ok=True)
        (staged / path).write_bytes(source.read_bytes())
        if not path.startswith("modules."):
            archive.file(f"{base}/{path}", source.read_bytes())
    environment = {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"}
    subprocess.run(["depmod", "-b", stage, modules.release], check=True, env=environment)
    for index in ("modules.dep", "modules.alias", "modules.softdep", "modules.builtin"):
        if (staged / index).exists():
            archive.copy(staged / index, f"{base}/{index}")

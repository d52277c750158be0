#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""--dump-machine in all its forms, without KVM: is it JSON, is it DOT, does it say what is plugged in?

  tests/unit/dump_machine.py MINIVMM...        the program, perhaps behind an emulator

Prints a line a test and "N passed, N failed, N skipped".
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

MINIVMM = [*sys.argv[1:-1], os.path.abspath(sys.argv[-1])]
DEVICES = ["--device", "root-port,id=rp0,addr=3", "--device", 'dma-engine,bus=rp0,id=a"b\\c',
           "--device", "virtio-rng,id=rng0,addr=5,packed=on", "--dma-engine=addr=6,inline-max=64K"]
results = {"PASS": 0, "FAIL": 0, "SKIP": 0}


def say(outcome, name, why=""):
    print(f"{outcome} {name}{': ' if why else ''}{why}", flush=True)
    results[outcome] += 1


def check(name, good, why=""):
    say("PASS" if good else "FAIL", name, "" if good else why)


def run(*options, **more):
    return subprocess.run([*MINIVMM, *options], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=120, **more)


def overlap(ranges):
    """Two ranges of one bus that share an address; KVM's and RAM's are checked like the devices'."""
    for bus in "mmio", "pio":
        spans = sorted((int(r["first"], 16), int(r["last"], 16)) for r in ranges if r["bus"] == bus)
        for (_, last), (first, _) in zip(spans, spans[1:]):
            if first <= last:
                return hex(first)
    return None


def json_says_what_there_is(folder):
    path = folder / "m.json"
    ended = run("--dump-machine", path, "--memory", "5G", "--smp", "2", *DEVICES)
    check("status 0, and nothing said", (ended.returncode, ended.stdout, ended.stderr) == (0, "", ""),
          ended)
    drawn = json.loads(path.read_text())
    check("the shape", set(drawn) == {"machine", "ranges", "pci", "wires", "messages"}, list(drawn))
    check("the machine", drawn["machine"]["vcpus"] == 2 and drawn["machine"]["ram"] == 5 << 30)
    ram = sum(int(r["last"], 16) - int(r["first"], 16) + 1 for r in drawn["ranges"]
              if r["kind"] == "ram")
    check("all RAM is on the map", ram == 5 << 30, hex(ram))
    check("no two answer at one address", overlap(drawn["ranges"]) is None, overlap(drawn["ranges"]))
    functions = {f["name"]: f for f in drawn["pci"]}
    behind, rng, engine = functions['a"b\\c'], functions["rng0"], functions["dma-engine@00:06.0"]
    check("the tree", behind["parent"] == "rp0" and rng["parent"] is None)
    check("addresses", (behind["address"], rng["address"]) == ("rp0:00.0", "00:05.0"))
    check("properties", rng["properties"]["packed"] == "on" and
          engine["properties"]["inline-max"] == "64K")
    check("virtio", rng["virtio"]["name"] == "virtio-rng-device" and rng["virtio"]["id"] == 4 and
          len(rng["virtio"]["queues"]) == 1 and engine["virtio"] is None)
    check("BARs", engine["bars"] == [
        {"bar": 0, "kind": "32-bit memory", "size": 16384, "address": None}], engine["bars"])
    base = functions["rp0"]["intx"]["gsi"] - 3
    check("the swizzle", [behind["intx"]["gsi"] - base, rng["intx"]["gsi"] - base,
                          engine["intx"]["gsi"] - base] == [3, 1, 2])
    check("vectors", (engine["msi"], rng["msix"], rng["msi"]) == (1, 2, 0))


def dot_is_dot(folder):
    path = folder / "m.dot"
    ended = run("--dump-machine", path, *DEVICES)
    text = path.read_text()
    check("DOT is written", ended.returncode == 0 and text.startswith("digraph machine {"))
    check("an edge from the port", '"rp0" -> "a\\"b\\\\c";' in text, text)
    if not shutil.which("dot"):
        say("SKIP", "graphviz reads it", "graphviz is not installed")
        return
    drawn = subprocess.run(["dot", "-Tsvg", path], capture_output=True, text=True)
    check("graphviz reads it", drawn.returncode == 0 and "rng0" in drawn.stdout, drawn.stderr)


def text_is_a_tree(folder):
    path = folder / "m.txt"
    run("--dump-machine", path, *DEVICES)
    ended = run("--dump-machine", "-", *DEVICES)
    check("text, to a file and to stdout alike", path.read_text() == ended.stdout and ended.stdout)
    lines = [line.strip() for line in ended.stdout.splitlines()]
    rng = lines.index("dev: 00:05.0 virtio-rng, id=rng0, 1af4:1005, class 00ff00")
    bus = lines.index("bus: virtio-bus")
    check("a virtio device below its function", rng < bus and
          lines[bus + 1] == "dev: virtio-rng-device, virtio device 4, queues: 1", ended.stdout)
    check("--device help says how to see it", "--dump-machine" in
          run("--device", "help").stdout.splitlines()[-1])


def one_line_for_a_mistake(folder):
    for options, line in [
            (["x.png"], "--dump-machine x.png: expected FILE.dot, FILE.json, FILE.txt, or - for stdout"),
            ([".json"], "--dump-machine .json: expected FILE.dot, FILE.json, FILE.txt, or - for stdout"),
            (["/nonexistent/x.dot"], "--dump-machine /nonexistent/x.dot: No such file or directory"),
            (["-", "--device", "nosuch"], "--device nosuch: no such device (--device help lists them)")]:
        ended = run("--dump-machine", *options, cwd=folder)
        check(line, (ended.returncode, ended.stderr) == (1, f"minivmm: {line}\n"), ended)
    (folder / "full.txt").symlink_to("/dev/full")
    ended = run("--dump-machine", folder / "full.txt")
    check("a full disk", ended.returncode == 1 and "No space left on device" in ended.stderr, ended)


def pattern_of_no_device(folder):
    """--trace GLOB@DEVICE: names, types, places and regions are known; of others it is said, once each."""
    known = "mmio_*@dma-engine,pci_*@00:04.0,mmio_read@dma0 bar0,pio_*@pci*"
    for pattern, unknown in [(known, []), (f"mmio_*@nosuch,{known},*@00:09.*", ["00:09.*", "nosuch"])]:
        ended = run("--dump-machine", "x.txt", "--dma-engine=id=dma0", "--trace", pattern,
                    "--trace-file", "trace", cwd=folder)
        lines = [f"minivmm: --trace: no device is called '{device}' yet" for device in unknown]
        check(f"--trace {pattern}", (ended.returncode, sorted(ended.stderr.splitlines())) == (0, lines), ended)


def kvm_is_not_asked(folder):
    del folder
    if os.geteuid() != 0 or os.access("/dev/kvm", os.F_OK) and os.stat("/dev/kvm").st_mode & 0o6:
        say("SKIP", "a user without /dev/kvm", "only root can become one here")
        return
    try:
        ended = run("--dump-machine", "-", user=65534, group=65534, extra_groups=[])
    except PermissionError:
        say("SKIP", "a user without /dev/kvm", "such a user cannot start the program here")
        return
    check("a user without /dev/kvm", ended.returncode == 0 and "bus: pcie.0" in ended.stdout, ended)


with tempfile.TemporaryDirectory() as name:
    for test in (json_says_what_there_is, dot_is_dot, text_is_a_tree, one_line_for_a_mistake,
                 pattern_of_no_device, kvm_is_not_asked):
        test(Path(name))
print(f"{results['PASS']} passed, {results['FAIL']} failed, {results['SKIP']} skipped")
sys.exit(1 if results["FAIL"] else 0)

# SPDX-License-Identifier: MIT
"""Cases of the virtio devices."""

import re
import shlex


def counting_check(result):
    """What minivmm says: each interval, and each number, which counts up from 1 after each start."""
    intervals = [int(n) for n in re.findall(r"^set config: (\d+)$", result.err, re.M)]
    numbers = [int(n) for n in re.findall(r"^get virtio num: (\d+)$", result.err, re.M)]
    for name, seen in (("set config", intervals), ("get virtio num", numbers)):
        starts = [i for i, n in enumerate(seen) if n == 1] + [len(seen)]
        runs = [seen[a:b] for a, b in zip(starts, starts[1:])]
        good = len(runs) == 3 and all(run == list(range(1, len(run) + 1)) for run in runs)
        yield f"{name}: three runs from 1 up", None if good else f"got {seen}"
        long = bool(runs) and len(runs[0]) >= 20
        yield f"{name}: 20 at least in the first", None if long else f"got {seen}"


def console_check(result):
    found = "through hvc0: 42" in result.out
    yield "a line through hvc0", None if found else f"got {result.out[:300]!r}"
    lines = [int(n) for n in re.findall(r"^line (\d+)$", result.out, re.M)]
    good = lines == list(range(1, 5001))
    yield "5000 lines, each once", None if good else f"{len(lines)} lines, to {lines[-1:]}"


def console_command(append, options):
    """The answer is typed when the guest has said that it is ready."""
    line = shlex.quote(f"{append} run=virtio_console.sh")
    return ("mkfifo keys; (while ! grep -q ^ready said 2>/dev/null; do sleep 0.3; done;"
            " echo 'typed on the host') >keys & "
            f"minivmm --kernel kernel --initrd initrd {options} --append {line} <keys >said;"
            " status=$?; cat said; rm -f keys said; exit $status")


# A disk of 64 MiB in a file with holes.
MAKE_DISK = "rm -f disk; truncate -s 64M disk;"


def boots_check(result):
    """Both boots came, the second one to its end."""
    boots = re.findall(r"^boot: (\w+)", result.out, re.M)
    yield "two boots", None if boots == ["first", "second"] else f"got {boots}"
    bad = re.findall(r"virtio_(?:blk_)?error.*", result.err)
    yield "no error of the device", None if not bad else f"got {bad[:3]}"


def disk_command(append, options, words=""):
    line = shlex.quote(f"{append} run=disk.sh {words}")
    return (f"{MAKE_DISK} minivmm --kernel kernel --initrd initrd --append {line}"
            f" --trace virtio_blk_error,virtio_error {options}")


def killed_command(append, options):
    """A guest that writes and flushes is killed; what it had flushed by then must be there."""
    write, look = (shlex.quote(f"{append} run=disk_kill.sh {word}") for word in ("", "look"))
    start = f"minivmm --kernel kernel --initrd initrd {options} --disk disk"
    return (f"{MAKE_DISK} {start} --append {write} >said & pid=$!;"
            " until grep -q '^flushed 25' said; do sleep 0.2; done; kill -9 $pid; wait $pid;"
            " last=$(grep -c ^flushed said); echo killed after $last; rm said;"
            f" {start} --append {look}\" flushed=$last\"")


def disks(Case, architecture, append):
    serial = "--disk disk,serial=minivmm\\ 42"
    variants = [("", "", 1), ("-legacy", ",modern=off", 1),
                ("-packed", ",legacy=off,packed=on,queues=4", 1), ("-threads", ",aio=threads", 1),
                ("-queues", ",queues=2 --smp 2", 2)]
    found = [Case(f"disk{name}", command=disk_command(append, f"{serial}{options}", f"queues={smp}"),
                  check=boots_check, smp=smp, timeout=160)
             for name, options, smp in variants]
    found.append(Case("disk-killed", command=killed_command(append, ""), timeout=160,
                      check=looked_check))
    found.append(Case("disk-readonly", command="head -c 65536 /dev/zero >ro;"
                      " printf 'read only 1' | dd of=ro conv=notrunc 2>/dev/null;"
                      " minivmm --kernel kernel --initrd initrd --append "
                      + shlex.quote(f"{append} run=disk_readonly.sh")
                      + " --disk ro,readonly=on,logical-block-size=4096"))
    if architecture == "arm64":
        found.append(Case("disk-iommu", command=disk_command(append, f"--iommu {serial}"),
                          check=boots_check, timeout=160))
    return found


def looked_check(result):
    yield "looked for what was flushed", (None if "check: ok lost of" in result.out
                                          else "no such check")


def others(Case, architecture, append):
    """Devices with stock drivers."""
    variants = [("", ""), ("-legacy", ",modern=off"), ("-packed", ",legacy=off,packed=on")]
    found = [Case(f"virtio-rng{name}", f"--device virtio-rng{options}", script="virtio_rng.sh")
             for name, options in variants]
    found += [Case(f"virtio-console{name}", command=console_command(append,
                                                                    f"--device virtio-console{options}"),
                   check=console_check) for name, options in variants]
    if architecture == "arm64":
        found.append(Case("virtio-rng-iommu", "--iommu --device virtio-rng", script="virtio_rng.sh"))
        found.append(Case("virtio-console-iommu", check=console_check,
                          command=console_command(append, "--iommu --device virtio-console")))
    return found


def cases(Case, architecture, append):
    """The parent's Case, the architecture, and words for the guest's command line."""
    base = "--device virtio-test,interval=100"
    variants = [
        ("virtio-test", base, ""),
        ("virtio-test-legacy", f"{base},modern=off", "legacy"),
        ("virtio-test-modern", f"{base},legacy=off", ""),
        ("virtio-test-packed", f"{base},packed=on", "packed"),
        ("virtio-test-intx", base, "pci=nomsi"),
        ("virtio-test-exits", f"{base},ioeventfd=off,event-idx=off,indirect=off", ""),
        ("virtio-test-root-port", f"--device root-port,id=rp0 {base},bus=rp0", ""),
    ]
    if architecture == "arm64":
        variants += [
            ("virtio-test-iommu", f"--iommu {base}", ""),
            ("virtio-test-iommu-packed", f"--iommu {base},packed=on", "packed"),
        ]
    return [Case(name, options, script="virtio_test.sh", append=words, check=counting_check)
            for name, options, words in variants] + others(Case, architecture, append) \
        + disks(Case, architecture, append)

# SPDX-License-Identifier: MIT
"""Cases of the virtio-test device."""

import re


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


def cases(Case, architecture):
    """The parent's Case, and the architecture."""
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
    return [Case(name, options, script="virtio_test.sh", append=append, check=counting_check)
            for name, options, append in variants]

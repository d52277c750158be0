# SPDX-License-Identifier: MIT
"""Cases of copies that fail on purpose, by the guest's driver dma_fault.

SOAK_SECONDS in the environment is the time of iommu-soak:
  SOAK_SECONDS=3600 tests/system/run --arch arm64 iommu-soak
"""

import os
import re


def soak_check(result):
    """That the soak had something to find: copies and faults enough for its time, both kinds."""
    found = re.search(r"^soak: (\d+) copies in .*, (\d+) faults; ", result.out, re.M)
    copies, faults = (int(found[1]), int(found[2])) if found else (0, 0)
    good = faults >= 10 and copies >= 2 * faults
    yield "copies and faults", None if good else f"{copies} and {faults}"
    if found:
        print(f"iommu-soak: {result.out[found.start() :].splitlines()[0]}")


def cases(Case):
    seconds = int(os.environ.get("SOAK_SECONDS", "12"))
    ports = "--device root-port,id=rp0 --device root-port,id=rp1"
    return [
        Case(name, options, script=script, append=append, check=check, timeout=timeout, arch="arm64")
        for name, options, script, append, check, timeout in [
            ("iommu-faults", "--iommu --dma-engine", "iommu_faults.sh", "", None, 100),
            ("iommu-isolation", "--iommu --dma-engine --dma-engine", "iommu_isolation.sh", "", None,
             100),
            ("iommu-isolation-root-ports",
             f"--iommu {ports} --dma-engine=bus=rp0 --dma-engine=bus=rp1", "iommu_isolation.sh", "",
             None, 100),
            ("iommu-faults-passthrough", "--iommu --dma-engine", "dma_identity.sh",
             "iommu.passthrough=1", None, 100),
            ("no-iommu-faults", "--dma-engine", "dma_identity.sh", "", None, 100),
            # Copies of more than 64 KiB are the engine's thread's.
            ("iommu-soak", "--iommu --dma-engine=inline-max=64K", "iommu_soak.sh",
             f"soak={seconds}", soak_check, 100 + 2 * seconds),
        ]
    ]

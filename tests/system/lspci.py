# SPDX-License-Identifier: MIT
"""What `lspci -vvv` must say of a DMA engine, field by field."""

import re


# Where MSIs are written: to the local APICs, or the ITS or GICv2m frame. `arch` is set by the caller.
# Behind an IOMMU, in a domain of the device's own, Linux maps the frame at the top of the first 4 GiB.
MSI_TARGETS = {"x86": "fee[0-9a-f]{5}", "arm64": "(08090040|08020040)"}
MSI_IOVA = "ffff[0-9a-f]040"
arch = "x86"


def block_of(text, slot):
    """The paragraph of one function."""
    for block in re.split(r"\n(?=[0-9a-f]{2}:[0-9a-f]{2}\.[0-7] )|\n\n", text):
        if block.lstrip().startswith(f"{slot} "):
            return block.strip("\n")
    return ""


def fields(integrated, msi_target):
    """(what, regular expression) for each field; from the device's reference page."""
    express = r"Root Complex Integrated Endpoint" if integrated else r"Endpoint"
    yield "identity", r"^\S+ Class 00ff: Device 1234:3456 \(rev 10\)$"
    yield "subsystem", r"^\tSubsystem: Device 1af4:1100$"
    yield "control", r"^\tControl: I/O- Mem\+ BusMaster\+ .*DisINTx\+$"
    yield "status", r"^\tStatus: Cap\+ .*INTx-$"
    yield "latency", r"^\tLatency: 0"
    yield "interrupt", r"^\tInterrupt: pin A routed to IRQ \d+$"
    yield "BAR 0", r"^\tRegion 0: Memory at [0-9a-f]{8} \(32-bit, non-prefetchable\) \[size=16K\]$"
    yield "Express", rf"^\tCapabilities: \[e0\] Express \(v2\) {express}, MSI 00$"
    yield "device capabilities", r"^\t\tDevCap:\tMaxPayload \d+ bytes, PhantFunc 0"
    yield "function level reset", r"FLReset\+"
    yield "MSI", r"^\tCapabilities: \[40\] MSI: Enable\+ Count=1/1 Maskable- 64bit\+$"
    yield "MSI address", rf"^\t\tAddress: 00000000{msi_target}  Data: [0-9a-f]{{4}}$"
    yield "driver", r"^\tKernel driver in use: dma_engine$"


def check_engine(text, slot, integrated, iommu=None):
    """Yields (name, why-not-or-None) for each field of the engine at `slot`.

    iommu: None, "translated" or "passthrough".
    """
    block = block_of(text, slot)
    yield f"lspci shows {slot}", None if block else f"no {slot} in {text[:300]!r}"
    for name, pattern in fields(integrated, MSI_IOVA if iommu == "translated" else MSI_TARGETS[arch]):
        found = re.search(pattern, block, re.M)
        yield f"lspci {slot}: {name}", None if found else f"{pattern!r} is not in {block!r}"
    # The first function with a driver has the first group: an engine, but behind a port the port.
    groups = re.findall(r"^\tIOMMU group: (\d+)$", block, re.M)
    good = len(groups) == (iommu is not None) and (not integrated or groups in ([], ["0"]))
    yield f"lspci {slot}: IOMMU group", None if good else f"{groups} in {block!r}"
    regions = re.findall(r"^\tRegion (\d)", block, re.M)
    yield f"lspci {slot}: one BAR", None if regions == ["0"] else f"regions {regions}"
    capabilities = re.findall(r"^\tCapabilities: \[([0-9a-f]+)", block, re.M)
    yield f"lspci {slot}: capabilities", None if capabilities == ["e0", "40"] else f"{capabilities}"
    bad = re.search(r"<unknown|ignored|disabled|virtual|!!!", block)
    yield f"lspci {slot}: nothing odd", None if not bad else f"{bad[0]} in {block!r}"

# SPDX-License-Identifier: MIT
"""info machine, pci, mtree, irq, iommu, vcpus: as the functions in vmm/inspect.h print it."""

import gdb

from lib import program


def kvm_ranges(bus):
    return []

# SPDX-License-Identifier: MIT
"""gdb's commands and printers for minivmm itself. In gdb:

  source tools/gdb/minivmm.py

  mmio-break DEVICE REGISTER [read|write]   stop where a device handles a register
  mmio-break ADDRESS[,SIZE] [read|write]    the same for a guest physical address
  pio-break PORT[,SIZE] [read|write]        the same for I/O ports
  config-break BDF|ID REGISTER [read|write] stop at a register of a PCI function's configuration
  hops                                      what happened since KVM_RUN returned
  info machine|pci|mtree|irq|iommu|vcpus    the machine as it is now

docs/gdb.md explains them, `help COMMAND` says more.
"""

import os
import sys

import gdb

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
sys.dont_write_bytecode = True

for _name in [name for name in sys.modules if name.split(".")[0] == "lib" and "tools/gdb" in str(sys.modules[name])]:
    del sys.modules[_name]  # sourced once more: read anew what may have changed

from lib import breaks, hops, info, interrupt, printers  # noqa: E402,F401 - found by the path above

printers.register()

# A vCPU is called out of the guest by this signal.
gdb.execute("handle SIGUSR1 nostop noprint pass", to_string=True)

# SPDX-License-Identifier: MIT
"""The parts of tools/gdb/minivmm.py."""

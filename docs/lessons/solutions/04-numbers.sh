#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Numbers the buses behind bridges as Linux will: depth first, each bridge the next free number.
# Arguments: the options of minivmm. --dump-machine shows buses in that order, the deeper the further
# to the right; a bus of virtio is none of PCI's.

build/release/minivmm --dump-machine - "$@" | awk '
    function close_to(indent) {
        while (depth > 0 && indents[depth] >= indent) {
            subordinate[depth_bus[depth--]] = count
        }
    }
    /^addresses/ { exit }
    /^ +bus: / && $2 != "pcie.0" && $2 != "virtio-bus" {
        match($0, /bus:/)
        close_to(RSTART)
        name[++count] = $2
        indents[++depth] = RSTART
        depth_bus[depth] = count
    }
    END {
        close_to(0)
        for (bus = 1; bus <= count; bus++) {
            printf "%s secondary=%02x subordinate=%02x\n", name[bus], bus, subordinate[bus]
        }
    }'

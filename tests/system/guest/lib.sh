# SPDX-License-Identifier: MIT
# What the guest's test scripts share. They run in /tests of the guest's root file system.

DEVICES=/sys/bus/pci/devices

# Each check prints "ok NAME" or "not ok NAME: why"; the host counts them and wants "done" at the end.
ok() {
    echo "check: ok $1"
}
not_ok() {
    echo "check: not ok $1: $2"
}
# equal NAME GOT EXPECTED
equal() {
    if [ "$2" = "$3" ]; then ok "$1"; else not_ok "$1" "got '$2', expected '$3'"; fi
}
# succeeds NAME COMMAND...
succeeds() {
    local name=$1 output status
    shift
    output=$("$@" 2>&1)
    status=$?
    if [ $status = 0 ]; then ok "$name"; else not_ok "$name" "status $status: $output"; fi
}
# The PCI address of the Nth (from 1) function with the engine's identity.
engine() {
    grep -lx 0x3456 $DEVICES/*/device | sed -n "${1:-1}p" | sed 's|.*/\([^/]*\)/device|\1|'
}
# copy DEVICE SIZE: status of the driver's write.
copy() {
    echo "$2" 2>/dev/null >"$DEVICES/$1/copy_size"
}
# How often the interrupt of DEVICE came, on all processors together. The driver names it by the device.
interrupts() {
    awk -v name="$1" '$0 ~ name { for (i = 2; i <= NF && $i ~ /^[0-9]+$/; i++) n += $i } END { print n + 0 }' /proc/interrupts
}
# No warning, oops or stuck task in the kernel's log.
clean_log() {
    local bad
    bad=$(dmesg | grep -E 'WARNING: CPU|BUG:|Oops|Call Trace|blocked for more than|nobody cared|irq .*: Affinity broken' | head -n 3)
    if [ -z "$bad" ]; then ok "$1"; else not_ok "$1" "$bad"; fi
}
finish() {
    clean_log "nothing bad in the kernel's log"
    echo "check: done"
}

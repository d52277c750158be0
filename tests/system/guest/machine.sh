# SPDX-License-Identifier: MIT
# What the machine is beside PCI: clock, serial, ACPI or device tree, clocksource, memory.
. ./lib.sh
x86_machine() {
    equal "clocksource" "$(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)" kvm-clock
    dmesg | grep -q 'rtc_cmos.*registered as rtc0' && ok "rtc_cmos" || not_ok "rtc_cmos" "$(dmesg | grep -i rtc)"
    dmesg | grep -qE 'ttyS0 at I/O 0x3f8 .* is a 16550A' && ok "16550A" || not_ok "16550A" "$(dmesg | grep ttyS0)"
    dmesg | grep -qi 'ACPI.*\(error\|warning\|exception\)' && not_ok "ACPI is content" "$(dmesg | grep -i 'ACPI.*\(error\|warning\|exception\)' | head -n 3)" || ok "ACPI is content"
    dmesg | grep -q 'ECAM\|MMCONFIG.*b0000000' && ok "ECAM is used" || not_ok "ECAM is used" "$(dmesg | grep -i mmconfig)"
    [ -e /sys/bus/platform/drivers/pvpanic-mmio/QEMU0001:00 ] && ok "pvpanic" || not_ok "pvpanic" "$(ls /sys/bus/platform/devices)"
}
arm64_machine() {
    equal "clocksource" "$(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)" arch_sys_counter
    dmesg | grep -q 'rtc-pl031.*registered as rtc0' && ok "pl031" || not_ok "pl031" "$(dmesg | grep -i rtc)"
    dmesg | grep -qE 'ttyAMA0 at MMIO 0x9000000 .* is a PL011' && ok "PL011" || not_ok "PL011" "$(dmesg | grep ttyAMA0)"
    dmesg | grep -q 'ECAM at \[mem 0x4010000000' && ok "ECAM is high" || not_ok "ECAM is high" "$(dmesg | grep -i ecam)"
    dmesg | grep -q 'psci: PSCIv1' && ok "PSCI 1.x" || not_ok "PSCI 1.x" "$(dmesg | grep psci)"
    dmesg | grep -q 'hw perfevents: enabled with armv8_pmuv3' && ok "PMU" || not_ok "PMU" "$(dmesg | grep -i pmu)"
    [ -e /proc/device-tree/pl011@9000000 ] && ok "device tree" || not_ok "device tree" "$(ls /proc/device-tree)"
}
case $(uname -m) in
x86_64) x86_machine ;;
aarch64) arm64_machine ;;
esac
echo "epoch: $(date +%s)"
hwclock -r >/dev/null 2>&1 && ok "hwclock reads" || not_ok "hwclock reads" "$(hwclock -r 2>&1)"
echo "memory: $(awk '/MemTotal/ { print int($2 / 1024) }' /proc/meminfo) MiB"
succeeds "extended configuration space" sh -c "[ \$(wc -c <$DEVICES/$(engine)/config) = 4096 ]"
succeeds "copy" copy "$(engine)" 1000000
finish

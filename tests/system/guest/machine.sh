# SPDX-License-Identifier: MIT
# What the machine is beside PCI: clock, serial, ACPI, clocksource, memory.
. ./lib.sh
equal "clocksource" "$(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)" kvm-clock
dmesg | grep -q 'rtc_cmos.*registered as rtc0' && ok "rtc_cmos" || not_ok "rtc_cmos" "$(dmesg | grep -i rtc)"
echo "epoch: $(date +%s)"
hwclock -r >/dev/null 2>&1 && ok "hwclock reads" || not_ok "hwclock reads" "$(hwclock -r 2>&1)"
dmesg | grep -qE 'ttyS0 at I/O 0x3f8 .* is a 16550A' && ok "16550A" || not_ok "16550A" "$(dmesg | grep ttyS0)"
dmesg | grep -qi 'ACPI.*\(error\|warning\|exception\)' && not_ok "ACPI is content" "$(dmesg | grep -i 'ACPI.*\(error\|warning\|exception\)' | head -n 3)" || ok "ACPI is content"
dmesg | grep -q 'ECAM\|MMCONFIG.*b0000000' && ok "ECAM is used" || not_ok "ECAM is used" "$(dmesg | grep -i mmconfig)"
[ -e /sys/bus/platform/drivers/pvpanic-mmio/QEMU0001:00 ] && ok "pvpanic" || not_ok "pvpanic" "$(ls /sys/bus/platform/devices)"
echo "memory: $(awk '/MemTotal/ { print int($2 / 1024) }' /proc/meminfo) MiB"
succeeds "extended configuration space" sh -c "[ \$(wc -c <$DEVICES/$(engine)/config) = 4096 ]"
succeeds "copy" copy "$(engine)" 1000000
finish

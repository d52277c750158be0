# SPDX-License-Identifier: MIT
# The host presses the power button: the kernel tells input devices, acpid hears
# of it, and powers off. Nothing else here does.
. ./lib.sh
succeeds "evdev" modprobe evdev
grep -qE 'Name="(Power Button|gpio-keys)"' /proc/bus/input/devices && ok "a button" || not_ok "a button" "$(grep Name /proc/bus/input/devices)"
succeeds "acpid" acpid
sleep 1 # it opens its devices on its own time
finish
echo "host: system_powerdown"
sleep 60
echo "check: not ok power-off: nobody powered off"

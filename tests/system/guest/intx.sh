# SPDX-License-Identifier: MIT
# pci=nomsi: the level-triggered wire is raised, acknowledged and lowered; no storm, no lost copy.
. ./lib.sh
e=$(engine)
line=$(grep "$e" /proc/interrupts)
case $line in
*fasteoi* | *Level*) ok "the interrupt is a level-triggered pin" ;;
*) not_ok "the interrupt is a level-triggered pin" "$line" ;;
esac
before=$(interrupts "$e")
for i in 1 2 3 4 5 6 7 8 9 10; do
    succeeds "copy $i" copy "$e" $((i * 30000))
done
after=$(interrupts "$e")
# The driver makes one copy of the engine for each piece of memory that is contiguous, and logs how many.
copies=$(dmesg | sed -n 's/.*dma engine test succeeded!.*, \([0-9]*\) cop.*/\1/p' | awk '{ n += $1 } END { print n }')
equal "one interrupt a copy of the engine" $((after - before)) "$copies"
sleep 1
equal "none comes later" "$(interrupts "$e")" "$after"
lspci -vvv -s "$e" | grep -q 'INTx-' && ok "the wire is low" || not_ok "the wire is low" "$(lspci -vvv -s "$e" | grep Status)"
lspci -vvv -s "$e" | grep -q 'MSI: Enable-' && ok "MSI is off" || not_ok "MSI is off" "it is on"
finish

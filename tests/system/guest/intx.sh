# SPDX-License-Identifier: MIT
# pci=nomsi: the level-triggered wire is raised, acknowledged and lowered; no storm, no lost copy.
. ./lib.sh
e=$(engine)
line=$(grep dma_engine /proc/interrupts)
case $line in
*fasteoi*) ok "the interrupt is a level-triggered pin" ;;
*) not_ok "the interrupt is a level-triggered pin" "$line" ;;
esac
before=$(interrupts)
for i in 1 2 3 4 5 6 7 8 9 10; do
    succeeds "copy $i" copy "$e" $((i * 30000))
done
after=$(interrupts)
equal "one interrupt a copy" $((after - before)) 10
sleep 1
equal "none comes later" "$(interrupts)" "$after"
lspci -vvv -s "$e" | grep -q 'INTx-' && ok "the wire is low" || not_ok "the wire is low" "$(lspci -vvv -s "$e" | grep Status)"
lspci -vvv -s "$e" | grep -q 'MSI: Enable-' && ok "MSI is off" || not_ok "MSI is off" "it is on"
finish

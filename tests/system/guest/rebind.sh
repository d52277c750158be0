# SPDX-License-Identifier: MIT
# The driver leaves and comes back, the device leaves and comes back, the module too, with copies between.
. ./lib.sh
e=$(engine)
driver=/sys/bus/pci/drivers/dma_engine
for round in 1 2 3; do
    succeeds "round $round: unbind" sh -c "echo $e >$driver/unbind"
    [ ! -e $DEVICES/$e/copy_size ] && ok "round $round: no copy_size" || not_ok "round $round: no copy_size" "there"
    equal "round $round: its interrupt is gone" "$(grep -c "$e" /proc/interrupts)" 0
    succeeds "round $round: bind" sh -c "echo $e >$driver/bind"
    succeeds "round $round: copy" copy "$e" 100000
done
for round in 1 2; do
    echo 1 >$DEVICES/$e/remove
    [ ! -e $DEVICES/$e ] && ok "removed $round" || not_ok "removed $round" "still there"
    echo 1 >/sys/bus/pci/rescan
    equal "rescanned $round" "$(engine)" "$e"
    succeeds "copy after rescan $round" copy "$e" 100000
done
succeeds "function level reset" sh -c "echo 1 >$DEVICES/$e/reset"
succeeds "copy after the reset" copy "$e" 5000
succeeds "rmmod" rmmod dma_engine
succeeds "modprobe poll=1" modprobe dma_engine poll=1
succeeds "polled copy, small" copy "$e" 4096
succeeds "polled copy, large" copy "$e" 4194304
finish

# SPDX-License-Identifier: MIT
# Wherever the engine is plugged in, its driver finds it and copies; lspci is for the host to compare.
. ./lib.sh
echo "begin lspci"
lspci -vvv -d 1234:3456
echo "end lspci"
echo "begin tree"
lspci -t
echo "end tree"
n=1
while e=$(engine $n) && [ -n "$e" ]; do
    equal "driver of $e" "$(basename "$(readlink -f $DEVICES/$e/driver)")" dma_engine
    before=$(interrupts "$e")
    for size in 1 4096 1048576; do
        succeeds "copy of $size bytes by $e" copy "$e" $size
    done
    after=$(interrupts "$e")
    [ $((after - before)) -ge 3 ] && ok "interrupts of $e" || not_ok "interrupts of $e" "$before then $after"
    n=$((n + 1))
done
echo "engines: $((n - 1))"
finish

# SPDX-License-Identifier: MIT
# Copies from 1 byte to 64 MiB, around every border there is; and sizes that must be refused.
. ./lib.sh
e=$(engine)
for size in 1 2 3 4 5 7 8 9 15 31 63 64 65 127 511 4095 4096 4097 8191 65535 65536 65537 \
    131071 262144 262145 1048575 1048576 1048577 4194304 16777216 16777217 33554432 67108864; do
    succeeds "copy of $size bytes" copy "$e" $size
done
for size in 0 -1 x 4x "" 1.5 18446744073709551615 18446744073709551616 99999999999999999999; do
    echo "$size" 2>/tmp/error >"$DEVICES/$e/copy_size" && not_ok "size '$size' is refused" "it was taken" ||
        { grep -q 'Invalid argument' /tmp/error && ok "size '$size' is refused" || not_ok "size '$size' is refused" "$(cat /tmp/error)"; }
done 2>/tmp/error
equal "the log counts successes" "$(dmesg | grep -c 'dma engine test succeeded!')" 33
equal "the log counts failures" "$(dmesg | grep -c 'dma engine test failed!')" 0
finish

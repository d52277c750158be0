# SPDX-License-Identifier: MIT
. ./lib.sh
equal "read-only" "$(cat /sys/block/vda/ro)" 1
equal "block size" "$(cat /sys/block/vda/queue/logical_block_size)" 4096
dd if=/dev/zero of=/dev/vda bs=4096 count=1 2>/dev/null && not_ok "no writing" "it was written" || ok "no writing"
equal "what is there" "$(dd if=/dev/vda bs=4096 count=1 2>/dev/null | head -c 11)" "read only 1"
finish

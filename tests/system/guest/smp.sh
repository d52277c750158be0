# SPDX-License-Identifier: MIT
# Several processors: all are up, and copies started from each at once all succeed.
. ./lib.sh
e=$(engine)
echo "processors: $(nproc)"
n=$(nproc)
equal "processors are online" "$(cat /sys/devices/system/cpu/online)" "0-$((n - 1))"
equal "one socket" "$(sort -u /sys/devices/system/cpu/cpu*/topology/physical_package_id | wc -l)" 1
equal "one core each" "$(sort -u /sys/devices/system/cpu/cpu*/topology/core_id | wc -l)" "$n"
i=0
while [ $i -lt "$n" ]; do
    for size in 100 4096 200000 1048576; do
        taskset -p $((1 << i)) $$ >/dev/null
        copy "$e" $size || echo "$size" >>/tmp/failed
    done &
    i=$((i + 1))
done
wait
equal "no copy failed" "$(cat /tmp/failed 2>/dev/null)" ""
equal "all copies are in the log" "$(dmesg | grep -c 'dma engine test succeeded!')" $((4 * n))
finish

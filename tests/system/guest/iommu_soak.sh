# SPDX-License-Identifier: MIT
# Random copies and faults for soak=SECONDS of the kernel's command line (guest/drivers/dma_fault/soak.c).
# At the end the kernel's log holds the events of these faults and nothing else.
#
# Exact in spite of the rate limit: after its 5 seconds, the next event makes the kernel print how many
# it did not print. So one last fault after a pause makes the account complete: events printed, plus
# events said to be left out, are the faults. The log is taken away in each round, before it is full.
. ./lib.sh
. ./fault_lib.sh
seconds=$(sed -n 's/.*soak=\([0-9]*\).*/\1/p' /proc/cmdline)
e=$(engine)
take "$e"
copies=0 faults=0 bytes=0 wrong=0
: >/tmp/log.soak
up() {
    cut -d. -f1 /proc/uptime
}
end=$(($(up) + seconds))
round=0
while [ "$(up)" -lt $end ]; do
    left=$((end - $(up)))
    round=$((round + 1))
    echo "$((left < 15 ? left * 1000 : 15000)) $round" >"$DEVICES/$e/soak" || {
        not_ok "round $round" "it failed"
        break
    }
    read -r c f b w <"$DEVICES/$e/soak"
    copies=$((copies + c)) faults=$((faults + f)) bytes=$((bytes + b)) wrong=$((wrong + w))
    dmesg -c | parse_events >>/tmp/log.soak
done
sleep 6
map "$e" 0 4096 both
echo "0x12345678 $(address "$e" 0) 64" >"$DEVICES/$e/copy"
sleep 1
dmesg -c | parse_events >>/tmp/log.soak
printed=$(grep -c "^event 1[03] stream $(stream "$e") [a-z]* [0-9a-f]*$" /tmp/log.soak)
left_out=$(awk '/arm_smmu_evtq_thread: [0-9]* callbacks suppressed$/ { n += $(NF - 2) } END { print n + 0 }' /tmp/log.soak)
echo "soak: $copies copies in $round rounds, $bytes bytes, $faults faults; $printed events printed, $left_out not"
equal "copies with another outcome than intended" $wrong 0
equal "events" $((printed + left_out)) $((faults + 1))
equal "the last one" "$(grep '^event' /tmp/log.soak | tail -n 1)" "event 10 stream $(stream "$e") read $(hex 0x12345678)"
equal "other lines in the kernel's log" \
    "$(grep -vE "^event 1[03] stream $(stream "$e") |arm_smmu_evtq_thread: [0-9]* callbacks suppressed$" /tmp/log.soak)" ""
finish

# SPDX-License-Identifier: MIT
# For tests with the driver dma_fault (guest/drivers/dma_fault): engines that copy between any addresses.
#
# The kernel prints at most 10 events in 5 seconds (a rate limit of arm-smmu-v3), and then how many it
# left out. So a script either causes fewer than 10, or adds up both: see iommu_soak.sh.

# take DEVICE...: from the driver dma_engine to dma_fault. After it the log is empty.
take() {
    local e
    modprobe dma_fault
    for e; do
        echo "$e" >"$DEVICES/$e/driver/unbind"
        echo dma_fault >"$DEVICES/$e/driver_override"
        echo "$e" >/sys/bus/pci/drivers_probe
        equal "driver of $e" "$(basename "$(readlink "$DEVICES/$e/driver")")" dma_fault
    done
    clean_log "nothing bad in the kernel's log so far"
    dmesg -c >/dev/null
}
# map DEVICE SLOT BYTES to|from|both
map() {
    echo "$2 $3 $4" >"$DEVICES/$1/map"
}
unmap() {
    echo "$2" >"$DEVICES/$1/unmap"
}
# address DEVICE SLOT, checksum DEVICE SLOT
address() {
    awk -v slot="$2" '$1 == slot { print $2 }' "$DEVICES/$1/slots"
}
checksum() {
    awk -v slot="$2" '$1 == slot { print $5 }' "$DEVICES/$1/slots"
}
# The StreamID of DEVICE, 8 digits: its bus, slot and function.
stream() {
    echo "$1" | sed 's/^[0-9a-f]*://; s/[:.]/ /g' | {
        read -r bus slot function
        printf '%08x' $((0x$bus << 8 | 0x$slot << 3 | function))
    }
}
# hex N: as the kernel prints the words of an event, without 0x.
hex() {
    printf '%016x' "$1"
}
# Reads a log, prints each event record as one line (IHI 0070, 7.3: word 0 has the number and the
# StreamID, bit 35 of word 1 is RnW, word 2 is the address), and every other line as it is.
parse_events() {
    awk '
        /arm-smmu-v3 .* event 0x[0-9a-f]* received:/ { word = 1; next }
        word && /arm-smmu-v3 .*0x[0-9a-f]*$/ {
            words[word] = substr($NF, length($NF) - 15)
            if (word++ == 4) {
                how = substr(words[2], 8, 1) ~ /[89a-f]/ ? "read" : "write"
                print "event", substr(words[1], 15), "stream", substr(words[1], 1, 8), how, words[3]
                word = 0
            }
            next
        }
        { word = 0; print "other: " $0 }'
}
# Moves the log to stdout, events as one line. The kernel prints them from a thread of its own: waits for
# one, and a little for what should not come.
new_events() {
    local try
    dmesg -c >/tmp/log.new
    for try in $(seq 20); do
        [ "$(wc -l </tmp/log.new)" -lt 5 ] || break
        [ "$try" -le 3 ] || [ "$1" = wait ] || break
        sleep 0.1
        dmesg -c >>/tmp/log.new
    done
    parse_events </tmp/log.new
}
# fault NAME DEVICE SRC DST LEN EVENT read|write ADDRESS: this copy fails there, and is told twice.
fault() {
    echo "$3 $4 $5" >"$DEVICES/$2/copy"
    equal "$1: the engine" "$(cat "$DEVICES/$2/copy")" "2 $(printf '%#x' "$8")"
    equal "$1: the kernel's log" "$(new_events wait)" "event $6 stream $(stream "$2") $7 $(hex "$8")"
}
# ends NAME DEVICE SRC DST LEN RESULT: this copy ends like that, and the log stays empty.
ends() {
    echo "$3 $4 $5" >"$DEVICES/$2/copy"
    equal "$1" "$(cat "$DEVICES/$2/copy")" "$6"
    equal "$1: nothing in the kernel's log" "$(new_events)" ""
}

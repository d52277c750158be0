# SPDX-License-Identifier: MIT
# What comes and goes while Linux runs: an engine behind a root port, and a source of randomness behind
# a switch. A line "host: COMMAND" is a command for minivmm's monitor.
. ./lib.sh
# wait_for NAME SECONDS COMMAND...: until it succeeds.
wait_for() {
    local name=$1 left=$(($2 * 5))
    shift 2
    until "$@"; do
        left=$((left - 1))
        if [ $left = 0 ]; then
            not_ok "$name" "not in time"
            return 1
        fi
        usleep 200000
    done
    ok "$name"
}
host() {
    echo "host: $*"
}
driven() {
    [ -e "$DEVICES/$(engine)/copy_size" ]
}
# The slots' numbers: rp0, rp1, and behind the switch down0, in the order of the command line.
HOT=1 RNG=3
# Linux has removed the device, and nothing is in the slot any more.
empty() {
    [ "$(cat /sys/bus/pci/slots/$1/adapter)" = 0 ]
}
has_rng() {
    grep -q virtio_rng /sys/class/misc/hw_random/rng_available
}
# use_engine ROUND: copies, with interrupts.
use_engine() {
    local e before after
    e=$(engine)
    before=$(interrupts "$e")
    for size in 1 4096 1048576; do
        succeeds "$1: copy of $size bytes" copy "$e" $size
    done
    after=$(interrupts "$e")
    [ $((after - before)) -ge 3 ] && ok "$1: interrupts" || not_ok "$1: interrupts" "$before then $after"
}

modprobe dma_engine
modprobe -a virtio_pci virtio-rng
equal "slots" "$(ls /sys/bus/pci/slots | tr '\n' ' ')" "1 2 3 "
for round in first second; do
    equal "$round: no engine yet" "$(engine)" ""
    succeeds "$round: the slots are empty" eval "empty $HOT && empty $RNG"
    host device_add dma-engine,id=hot,bus=rp0
    host device_add virtio-rng,id=rng,bus=down0
    wait_for "$round: the engine came, and has its driver" 20 driven || break
    wait_for "$round: so has the other" 20 has_rng
    if [ $round = first ]; then
        echo "begin lspci"
        lspci -vvv -d 1234:3456
        echo "end lspci"
    fi
    use_engine "$round"
    succeeds "$round: random bytes" dd if=/dev/hwrng of=/dev/null bs=64 count=1
    host device_del hot
    host device_del rng
    wait_for "$round: the engine went" 30 empty $HOT
    wait_for "$round: so did the other" 30 empty $RNG
    has_rng && not_ok "$round: no randomness" "it is still there" || ok "$round: no randomness"
done
# What is there at the end is there after a reset, too: the guest does not have to ask.
host device_add dma-engine,id=hot,bus=rp0
wait_for "third: the engine came" 20 driven
finish

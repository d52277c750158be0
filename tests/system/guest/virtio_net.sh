# SPDX-License-Identifier: MIT
# The stock driver of the network device: up, and bytes in both directions; and all again after rmmod.
. ./lib.sh
net=10.0.2 name='' mtu=1500 queues=1 mac='' size=0 user='' offloads='' kind=''
for word in $(cat /proc/cmdline); do
    case $word in
        net=* | name=* | mtu=* | queues=* | mac=* | size=*) eval "${word%%=*}=\${word#*=}" ;;
        user | offloads) eval "$word=yes" ;;
        legacy | modern | packed) kind="$kind $word" ;;
    esac
done
DEVICE=/sys/class/net/eth0
feature() {
    cut -c $(($1 + 1)) $DEVICE/device/features
}
look() {
    for what in $kind; do
        case $what in
            legacy) equal "VERSION_1" "$(feature 32)" 0 ;;
            modern) equal "VERSION_1" "$(feature 32)" 1 ;;
            packed) equal "packed" "$(feature 34)" 1 ;;
        esac
    done
    equal "mergeable buffers" "$(feature 15)" 1
    [ -z "$offloads" ] || equal "CSUM, HOST_TSO4, GUEST_TSO4" "$(feature 0)$(feature 11)$(feature 7)" 111
    equal "queues" "$(ls $DEVICE/queues | grep -c rx)" "$queues"
    equal "mtu" "$(cat $DEVICE/mtu)" "$mtu"
    [ -z "$mac" ] || equal "address" "$(cat $DEVICE/address)" "$mac"
}
up() {
    if [ -n "$user" ]; then
        host=$net.2
        ip link set eth0 up
        succeeds "DHCP" udhcpc -i eth0 -s /tests/udhcpc.sh -q -n -t 10 -T 2
        equal "lease" "$(cat /tmp/lease)" "$net.15 $net.2 $net.3 $name"
    else
        host=192.168.77.1
        ip addr add 192.168.77.2/24 dev eth0
        ip link set eth0 up
    fi
    equal "link" "$(cat $DEVICE/carrier)" 1
    succeeds "ping" ping -c 3 -W 5 $host
}
fetch() {
    rm -f /tmp/down
    succeeds "fetch $1" wget -q -O /tmp/down http://$host:8080/down
    wget -q -O /tmp/sum http://$host:8080/sum
    equal "what came $1" "$(sha256sum </tmp/down | cut -c 1-64)" "$(cat /tmp/sum)"
    equal "bytes $1" "$(stat -c %s /tmp/down)" "$size"
}
look
up
fetch "at first"
head -c "$size" /dev/urandom >/tmp/up
echo "guest: up $(sha256sum </tmp/up | cut -c 1-64)"
succeeds "send" nc -w 30 $host 9000 </tmp/up
if [ -n "$user" ]; then
    echo "through hostfwd" | nc -l -p 7000 -w 30
fi
modprobe -r virtio_net # and what it brought, as far as nobody else uses that
[ -e $DEVICE ] && not_ok "no device" "it is there" || ok "no device"
succeeds "modprobe" modprobe virtio_net
look
up
fetch "again"
finish

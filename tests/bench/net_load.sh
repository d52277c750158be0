# SPDX-License-Identifier: MIT
# Runs in the guest: bytes in both directions, and echoes. The host serves BYTES at port 8080, takes bytes at 9000,
# and looks at its count of exits when it sees each mark. Times are in hundredths of a second.
host=192.168.77.1
bytes=$(sed 's/.*bytes=\([0-9]*\).*/\1/' /proc/cmdline)
echoes=$(sed 's/.*echoes=\([0-9]*\).*/\1/' /proc/cmdline)
now() {
    sed 's/ .*//; s/\.//' /proc/uptime
}
ip addr add 192.168.77.2/24 dev eth0
ip link set eth0 up
ping -q -c 2 $host >/dev/null
begin=$(now)
head -c "$bytes" /dev/zero | nc $host 9000
echo "LOAD up $bytes $(($(now) - begin))"
begin=$(now)
got=$(wget -q -O - http://$host:8080/down | wc -c)
echo "LOAD down $got $(($(now) - begin))"
echo MARK
sleep 1
echo "LOAD echo $(ping -q -A -c "$echoes" $host | grep min/avg)"
echo MARK
sleep 1

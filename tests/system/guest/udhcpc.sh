#!/bin/sh
# SPDX-License-Identifier: MIT
# What udhcpc calls: the lease becomes the interface's.
# shellcheck disable=SC2154 # it is in the environment
[ "$1" = bound ] || [ "$1" = renew ] || exit 0
ifconfig "$interface" "$ip" netmask "$subnet" up
for to in $router; do
    route add default gw "$to" dev "$interface"
done
for server in $dns; do
    echo "nameserver $server"
done >/etc/resolv.conf
echo "$ip $router $dns $hostname" >/tmp/lease

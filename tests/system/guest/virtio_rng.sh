# SPDX-License-Identifier: MIT
# The stock driver of the entropy device.
. ./lib.sh
equal "the kernel's source" "$(cat /sys/class/misc/hw_random/rng_current)" virtio_rng.0
dd if=/dev/hwrng of=/tmp/a bs=4096 count=16 2>/dev/null
dd if=/dev/hwrng of=/tmp/b bs=4096 count=16 2>/dev/null
equal "bytes" "$(cat /tmp/a /tmp/b | wc -c)" 131072
cmp -s /tmp/a /tmp/b && not_ok "they differ" "they are the same" || ok "they differ"
# Random data does not shrink; zeroes or a repeated block would.
[ "$(gzip -c /tmp/a | wc -c)" -gt 65536 ] && ok "they do not shrink" || not_ok "they do not shrink" "$(gzip -c /tmp/a | wc -c)"
succeeds "rmmod" rmmod virtio_rng
equal "no source" "$(cat /sys/class/misc/hw_random/rng_current)" none
succeeds "modprobe" modprobe virtio_rng
equal "bytes again" "$(dd if=/dev/hwrng bs=512 count=4 2>/dev/null | wc -c)" 2048
finish

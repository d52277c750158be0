# SPDX-License-Identifier: MIT
# The stock driver of the block device: a file system made and filled, and all there after a reboot.
# Programs by their paths: the shell would take those that BusyBox has in itself.
. ./lib.sh
DISK=/dev/vda
modprobe ext4
mkdir -p /mnt
queues() {
    ls /sys/block/vda/mq | wc -l
}
if ! mount -t ext4 $DISK /mnt 2>/dev/null; then
    echo "boot: first"
    equal "size" "$(cat /sys/block/vda/size)" 131072
    equal "serial number" "$(cat /sys/block/vda/serial)" "minivmm 42"
    equal "cache" "$(cat /sys/block/vda/queue/write_cache)" "write back"
    for word in $(cat /proc/cmdline); do
        case $word in queues=*) equal "queues" "$(queues)" "${word#queues=}" ;; esac
    done
    succeeds "mke2fs" /sbin/mke2fs -q -t ext4 $DISK
    mount -t ext4 -o discard $DISK /mnt || { not_ok "mount" "see above"; finish; exit; }
    for i in $(seq 40); do
        dd if=/dev/urandom of=/mnt/file$i bs=4096 count=$((i * 3)) 2>/dev/null
    done
    rm /mnt/file7 /mnt/file8
    (cd /mnt && sha256sum file* >sums)
    sync
    succeeds "fstrim" fstrim /mnt
    succeeds "umount" umount /mnt
    succeeds "fsck before" /sbin/e2fsck -fn $DISK
    reboot -f
    sleep 100
fi
echo "boot: second"
succeeds "sums" sh -c 'cd /mnt && sha256sum -c sums >/dev/null'
equal "files" "$(ls /mnt | grep -c '^file')" 38
succeeds "umount" umount /mnt
succeeds "fsck" /sbin/e2fsck -fn $DISK
succeeds "rmmod" rmmod virtio_blk
[ -e $DISK ] && not_ok "no disk" "it is there" || ok "no disk"
succeeds "modprobe" modprobe virtio_blk
succeeds "fsck again" /sbin/e2fsck -fn $DISK
echo "second boot: done"
finish

# SPDX-License-Identifier: MIT
# Files are made and synced until minivmm is killed from outside; the next start looks at what is there.
. ./lib.sh
DISK=/dev/vda
modprobe ext4
mkdir -p /mnt
if ! grep -q look /proc/cmdline; then
    /sbin/mke2fs -q -t ext4 $DISK && mount -t ext4 $DISK /mnt || exit
    for i in $(seq 5000); do
        dd if=/dev/urandom of=/mnt/part bs=1024 count=$((1 + i % 37)) 2>/dev/null
        mv /mnt/part /mnt/file$i
        (cd /mnt && sha256sum file$i >sum$i)
        sync
        echo "flushed $i"
    done
fi
succeeds "mount, journal replayed" mount -t ext4 $DISK /mnt
last=$(sed 's/.*flushed=\([0-9]*\).*/\1/' /proc/cmdline)
bad=0
for i in $(seq "$last"); do
    (cd /mnt && sha256sum -cs sum$i) || bad=$((bad + 1))
done
equal "lost of $last" $bad 0
succeeds "umount" umount /mnt
succeeds "fsck" /sbin/e2fsck -fn $DISK
finish

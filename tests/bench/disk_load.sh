# SPDX-License-Identifier: MIT
# Runs in the guest: loads of its disk. LOADS of the kernel's command line: kind:size:depth, commas between.
seconds=$(sed 's/.*seconds=\([0-9]*\).*/\1/' /proc/cmdline)
loads=$(sed 's/.*loads=\([^ ]*\).*/\1/' /proc/cmdline)
for load in $(echo "$loads" | tr , ' '); do
    /tests/disk_load /dev/vda $(echo "$load" | tr : ' ') "$seconds"
done
# The host looks at its count of exits when it sees each mark.
echo MARK
sleep 1
/tests/disk_load /dev/vda read 4096 1 x2000
echo MARK
sleep 1

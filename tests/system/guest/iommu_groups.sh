# SPDX-License-Identifier: MIT
# Engines on the root bus are strangers to each other: each has a group, a domain and page tables of its own.
. ./lib.sh
for n in 1 2; do
    e=$(engine $n)
    equal "domain of $e" "$(cat "$DEVICES/$e/iommu_group/type")" DMA
    equal "devices in the group of $e" "$(ls "$DEVICES/$e/iommu_group/devices")" "$e"
    succeeds "copy of 4096 bytes by $e" copy "$e" 4096
done
finish

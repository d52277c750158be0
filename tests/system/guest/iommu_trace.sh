# SPDX-License-Identifier: MIT
# One copy, of which the host looks at every step of the IOMMU. Polled, so that no message is translated.
. ./lib.sh
e=$(engine)
[ -e "$DEVICES/$e/iommu_group" ] && ok "$e has an IOMMU group" || not_ok "$e has an IOMMU group" "it has none"
rmmod dma_engine
modprobe dma_engine poll=1
succeeds "copy of 128 bytes" copy "$e" 128
finish

# SPDX-License-Identifier: MIT
# Two engines in two domains: what is mapped for one is out of the other's reach.
. ./lib.sh
. ./fault_lib.sh
first=$(engine 1) second=$(engine 2)
take "$first" "$second"
# reach A B: buffers of A, copies by B. Of the two addresses of A at least one is not B's.
reach() {
    local src only before mine=1
    map "$1" 0 4096 both
    map "$1" 1 4096 both
    map "$1" 2 4096 both
    map "$2" 0 4096 both
    src=$(address "$2" 0)
    [ "$src" != "$(address "$1" 1)" ] || mine=0
    only=$(address "$1" $mine)
    # First: a translation that the SMMU keeps in its IOTLB must not help the other either.
    ends "$1 may" "$1" "$only" "$(address "$1" 2)" 4096 "0 0x0"
    equal "its data" "$(checksum "$1" 2)" "$(checksum "$1" $mine)"
    before="$(checksum "$1" 0) $(checksum "$1" 1)"
    fault "$2 writes to what is mapped for $1" "$2" "$src" "$only" 4096 10 write "$only"
    fault "$2 reads what is mapped for $1" "$2" "$only" "$src" 4096 10 read "$only"
    equal "memory of $1 is unchanged" "$(checksum "$1" 0) $(checksum "$1" 1)" "$before"
    for slot in 0 1 2; do unmap "$1" $slot; done
    unmap "$2" 0
}
reach "$first" "$second"
reach "$second" "$first"
# The same address in both domains is different memory.
for e in "$first" "$second"; do
    map "$e" 0 4096 both
    map "$e" 1 4096 both
done
same=$(address "$first" 0)
equal "both use the address" "$(address "$second" 0)" "$same"
ends "$second copies to $same" "$second" "$(address "$second" 1)" "$same" 4096 "0 0x0"
before=$(checksum "$second" 0)
ends "$first copies to $same" "$first" "$(address "$first" 1)" "$same" 4096 "0 0x0"
equal "memory of $first has changed" "$(checksum "$first" 0)" "$(checksum "$first" 1)"
equal "memory of $second has not" "$(checksum "$second" 0)" "$before"
finish

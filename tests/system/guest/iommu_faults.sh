# SPDX-License-Identifier: MIT
# Copies that the IOMMU must refuse, and what the engine and the kernel say of each.
. ./lib.sh
. ./fault_lib.sh
e=$(engine)
take "$e"
map "$e" 0 4096 to
map "$e" 1 4096 from
map "$e" 2 8192 both
map "$e" 3 8192 both
src=$(address "$e" 0) dst=$(address "$e" 1) page=$(address "$e" 2) stale=$(address "$e" 3)
ends "a good copy" "$e" "$src" "$dst" 4096 "0 0x0"
equal "its data" "$(checksum "$e" 1)" "$(checksum "$e" 0)"
ends "a copy to and from what is unmapped then" "$e" "$stale" $((stale + 4096)) 4096 "0 0x0"
unmap "$e" 3
before=$(checksum "$e" 3)
fault "never mapped, source" "$e" 0x12345678 "$dst" 64 10 read 0x12345678
fault "never mapped, destination" "$e" "$src" 0x123456789abc 64 10 write 0x123456789abc
fault "just unmapped, source" "$e" $((stale + 8)) "$dst" 64 10 read $((stale + 8))
fault "just unmapped, destination" "$e" "$src" $((stale + 4096)) 64 10 write $((stale + 4096))
equal "what was unmapped is unchanged" "$(checksum "$e" 3)" "$before"
before=$(checksum "$e" 0)
fault "mapped to be read, destination" "$e" "$page" $((src + 16)) 64 13 write $((src + 16))
equal "what is to be read is unchanged" "$(checksum "$e" 0)" "$before"
# Three pages mapped, the highest taken away again: nothing is mapped behind the one below it.
for slot in 0 1 2 3; do unmap "$e" $slot; done
for slot in 1 2 3; do map "$e" $slot 4096 both; done
set -- $(sort -r -k 2 "$DEVICES/$e/slots" | awk '$4 == "mapped" { print $1 }')
unmap "$e" "$1"
page=$(address "$e" "$2") other=$(address "$e" "$3")
fault "over the end, source" "$e" $((page + 4000)) "$other" 200 10 read $((page + 4096))
fault "over the end, destination" "$e" "$other" $((page + 4000)) 200 10 write $((page + 4096))
map "$e" 0 4096 to
map "$e" 1 4096 from
ends "a good copy after all" "$e" "$(address "$e" 0)" "$(address "$e" 1)" 4096 "0 0x0"
equal "its data" "$(checksum "$e" 1)" "$(checksum "$e" 0)"
finish

# SPDX-License-Identifier: MIT
# No translation (no IOMMU, or one that lets through): bus addresses are physical ones. All RAM is within
# the device's reach, what dma_unmap() took back too; where there is no RAM the copy fails.
. ./lib.sh
. ./fault_lib.sh
e=$(engine)
take "$e"
map "$e" 0 4096 to
map "$e" 1 4096 from
src=$(address "$e" 0) dst=$(address "$e" 1)
ends "a good copy" "$e" "$src" "$dst" 4096 "0 0x0"
equal "its data" "$(checksum "$e" 1)" "$(checksum "$e" 0)"
unmap "$e" 1
ends "to what was unmapped" "$e" $((src + 1)) "$dst" 1024 "0 0x0"
[ "$(checksum "$e" 1)" != "$(checksum "$e" 0)" ] && ok "it has changed" || not_ok "it has changed" "no"
map "$e" 1 4096 both
ends "to what is mapped to be read" "$e" "$(address "$e" 1)" "$src" 4096 "0 0x0"
equal "its data too" "$(checksum "$e" 1)" "$(checksum "$e" 0)"
ends "over the end of what is mapped" "$e" $((src + 4000)) "$(address "$e" 1)" 200 "0 0x0"
ends "no RAM, source" "$e" 0xffffe008 "$dst" 64 "3 0xffffe008"
ends "no RAM, destination" "$e" "$src" 0xffffe008 64 "3 0xffffe008"
ends "a good copy after all" "$e" "$src" "$(address "$e" 1)" 4096 "0 0x0"
equal "its data after all" "$(checksum "$e" 1)" "$(checksum "$e" 0)"
finish

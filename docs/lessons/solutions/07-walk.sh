#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Where an SMMUv3 looks for a stream and an address: indices and offsets, as a two-level stream table
# and page tables with a granule of 4 KiB and four levels have them (IHI 0070, 3.3; Arm ARM, D8.3).
#
#   07-walk.sh STREAMID ADDRESS        for instance 0x20 0xffffe000

stream=$(($1)) address=$(($2))

printf 'StreamID 0x%x: level 1 entry 0x%x, level 2 entry 0x%x, 0x%x bytes into its table\n' \
    "$stream" $((stream >> 8)) $((stream & 0xff)) $(((stream & 0xff) * 64))
for level in 0 1 2 3; do
    low=$((12 + 9 * (3 - level)))
    index=$((address >> low & 0x1ff))
    printf 'level %d: bits %d-%d: entry 0x%x, 0x%x bytes into its table\n' \
        $level $((low + 8)) $low $index $((index * 8))
done
printf 'in the page: 0x%x\n' $((address & 0xfff))

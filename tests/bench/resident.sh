# SPDX-License-Identifier: MIT
# Starts a guest that says HALTED, and keeps what /proc knows of the program's memory then.
#
#   sh resident.sh NAME COMMAND...
#
# Leaves NAME.smaps, and in NAME.pagemap the entries of its largest mapping and of the 2 MiB before that.
name=$1
shift
"$@" >$name.out 2>&1 </dev/null &
pid=$!
for try in $(seq 300); do
    grep -q HALTED $name.out && break
    sleep 0.2
done
grep -q HALTED $name.out || { echo "$name: did not halt"; cat $name.out; exit 1; }
sleep 1
cp /proc/$pid/smaps $name.smaps
largest=0
while read -r range rest; do
    case $range in
        *-*) ;;
        *) continue ;;
    esac
    start=$((0x${range%-*})) end=$((0x${range#*-}))
    [ $((end - start)) -le $largest ] || { largest=$((end - start)); last=$end; }
done <$name.smaps
count=$(((largest + 0x200000) / 4096))
dd if=/proc/$pid/pagemap of=$name.pagemap bs=8 skip=$((last / 4096 - count)) count=$count 2>/dev/null
kill -9 $pid

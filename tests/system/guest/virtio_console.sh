# SPDX-License-Identifier: MIT
# The stock driver of the virtio console: what is written to hvc0 comes out, what is typed comes in.
. ./lib.sh
[ -c /dev/hvc0 ] && ok "hvc0" || not_ok "hvc0" "not there"
stty raw -echo -F /dev/hvc0
echo "through hvc0: $((6 * 7))" >/dev/hvc0
# 50 KiB in lines that count, so that a lost or repeated byte shows.
seq 1 5000 | sed 's/^/line /' >/dev/hvc0
echo "ready" >/dev/hvc0
# The host answers with a line.
read -r answer </dev/hvc0
equal "what was typed" "$answer" "typed on the host"
finish

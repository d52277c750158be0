# SPDX-License-Identifier: MIT
# Something to look at from outside: a copy, and then ticks without an end.
. ./lib.sh
succeeds "copy" copy "$(engine)" 4096
echo "ready"
while true; do
    echo "tick"
    sleep 0.5
done

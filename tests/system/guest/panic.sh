# SPDX-License-Identifier: MIT
# A kernel panic reaches minivmm through pvpanic.
. ./lib.sh
echo "check: done"
sync
echo c >/proc/sysrq-trigger

# SPDX-License-Identifier: MIT
# A reboot under --no-reboot ends minivmm.
echo "check: done"
reboot -f
sleep 100

# SPDX-License-Identifier: MIT
# The kernel's own test of DMA engines runs against the driver's DMA_MEMCPY channel.
. ./lib.sh
if ! modprobe -D dmatest >/dev/null 2>&1; then
    not_ok "there is a module dmatest" "no"
fi
modprobe dmatest iterations=200 threads_per_chan=2 timeout=20000 run=1 wait=1 dmatest=0 noverify=0 test_buf_size=65536
cat /sys/module/dmatest/parameters/wait >/dev/null
dmesg | grep dmatest | tail -n 5
summaries=$(dmesg | grep -c 'dmatest: .*summary 200 tests, 0 failures')
equal "two threads of dmatest, no failure" "$summaries" 2
succeeds "copy beside it" copy "$(engine)" 4096
finish

# SPDX-License-Identifier: MIT
"""Cases of the monitor and QMP: a stock Linux that ticks is looked at, stopped, and reset from outside."""

import shlex

# L1's nc knows no Unix sockets. What is said to the monitor is in a file, as it is not to end before the answers.
SCRIPT = r"""
[ ! -e pid ] || kill -9 $(cat pid) 2>/dev/null
rm -f keys; mkfifo keys
minivmm --kernel kernel --initrd initrd --append {line} {options} \
    --monitor tcp::4444 --qmp tcp::4445 <keys >said & pid=$!
echo $pid >pid
exec 3>keys
ask() {{
    printf "$1\n" | nc 127.0.0.1 4444
}}
ticks() {{
    grep -c '^tick' said
}}
booted() {{
    until [ "$(grep -c '^ready' said)" = "$1" ]; do sleep 0.3; kill -0 $pid || exit 99; done
}}
booted 1
ask 'info regs dma0\ninfo pci\ninfo iommu\nstop\ninfo status\ninfo vcpus'
sleep 0.5; before=$(ticks); sleep 3; after=$(ticks)
[ $before = $after ] && echo "check: ok it stands still" || echo "check: not ok it stands still: $before, $after"
ask 'cont\ninfo status'
sleep 5; after=$(ticks)
[ $before -lt $after ] && echo "check: ok it goes on" || echo "check: not ok it goes on: $before, $after"
printf '\001cinfo status\n' >&3; sleep 0.5; printf '\001c' >&3
ask 'trace dma_engine_* on'
printf '{{"execute": "qmp_capabilities"}}{{"execute": "system_reset"}}' | nc 127.0.0.1 4445
booted 2
ask 'xp /2xg {ram}\nquit'
wait $pid; status=$?
sed 's/^/console: /' said
rm -f keys said pid
exit $status
"""


def contains(result, *texts):
    for text in texts:
        yield f"says {text!r}", None if text in result.out else f"not in {result.out[-1500:]!r}"


def check(arch):
    def judge(result):
        yield from contains(
            result, "dma0: dma-engine bar0", "dma-engine, id=dma0, 1234:3456", "VM status: paused", "VM status: running",
            "vCPU 0: ", '{"return": {}}', "console: (minivmm) VM status: running",
            "no IOMMU" if arch == "x86" else "(00:04.0): stage 1, STE at 0x")
        done = "  CTRL                   0x01018  8 bytes  RW    0x0000000100000000" in result.out
        yield "the engine's registers say that its copy is done", None if done else result.out[:3000]
        traced = " dma_engine_start dma0 " in result.err
        yield "trace events that were turned on", None if traced else f"got {result.err[-500:]!r}"
    return judge


def cases(Case, arch, append):
    options, ram = ("", "0x100000") if arch == "x86" else ("--iommu", "0x40000000")
    script = SCRIPT.format(line=shlex.quote(f"{append} run=monitor.sh"), options=f"--dma-engine=id=dma0 {options}", ram=ram)
    return [Case("monitor", command=script, check=check(arch), timeout=200)]

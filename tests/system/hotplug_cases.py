# SPDX-License-Identifier: MIT
"""Cases in which the guest has the host do something: devices come and go, the power button is pressed.

A line "host: COMMAND" of the guest's console goes to minivmm's monitor.
"""

import shlex

import lspci

# L1's nc knows no Unix sockets.
SCRIPT = r"""
[ ! -e pid ] || kill -9 $(cat pid) 2>/dev/null
cr=$(printf '\r')
(sh -c 'echo $$ >pid; exec minivmm "$@"' minivmm --kernel kernel --initrd initrd --monitor tcp::4446 \
    --append {line} {options}; echo $? >status) |
while IFS= read -r line; do
    line=${{line%$cr}}
    echo "$line"
    case $line in
        "host: "*) echo "${{line#host: }}" | nc 127.0.0.1 4446 ;;
    esac
done
status=$(cat status)
rm -f status pid
exit $status
"""

PORTS = ("--device root-port,id=rp0 --device root-port,id=rp1 --device switch-upstream,id=up,bus=rp1"
         " --device switch-downstream,id=down0,bus=up --trace pci_hotplug")


def count(result, text, times):
    found = result.err.count(text)
    return f"{times} times {text!r}", None if found == times else f"{found} times"


def hotplug_check(rounds, iommu=None):
    def check(result):
        yield "the guest's script came to its end", None if "check: done" in result.out else "it did not"
        yield from lspci.check_engine(result.section("lspci"), "01:00.0", False, iommu)
        yield count(result, " pci_hotplug hot plugged", rounds + 1)
        yield count(result, " pci_hotplug rng plugged", rounds)
        yield count(result, " pci_hotplug hot unplugged", rounds)
        yield count(result, " pci_hotplug rng unplugged", rounds)
    return check


def powerdown_check(result):
    yield "the guest's script came to its end", None if "check: done" in result.out else "it did not"
    heard = "minivmm-guest: the power button was pressed" in result.out
    yield "acpid heard of the button", None if heard else f"got {result.out[-300:]!r}"


def cases(Case, arch, append):
    def command(script, options):
        return SCRIPT.format(line=shlex.quote(f"{append} run={script}"), options=options)

    hotplug = [("hotplug", "", "", hotplug_check(2))]
    if arch == "arm64":
        hotplug.append(("hotplug-iommu", "--iommu", "", hotplug_check(2, iommu="translated")))
    return [Case(name, command=command(f"hotplug.sh{words}", f"{options} {PORTS}"), check=check, timeout=150)
            for name, options, words, check in hotplug] + [
        # Debian's cloud kernel for arm64 has no driver for the button.
        Case("powerdown", command=command("powerdown.sh", ""), check=powerdown_check,
             flavour="generic" if arch == "arm64" else "cloud")]

# SPDX-License-Identifier: MIT
"""Cases of virtio-net, with the stock driver: a network of minivmm's own, and a tap."""

import re
import shlex

# A server beside minivmm: a file to fetch by HTTP, and a port that keeps what is sent to it.
# What a first try left that was killed for its time is ended before the second.
SERVE = """
[ ! -e pids ] || kill -9 $(cat pids) 2>/dev/null
rm -rf www up got hold; mkdir www; mkfifo hold
head -c {size} /dev/urandom >www/down; sha256sum <www/down | cut -c 1-64 >www/sum
httpd -f -p 8080 -h www & http=$!
nc -l -p 9000 <>hold >up & sink=$!
"""
# Its end. What was sent has all come when minivmm has ended.
JUDGE = """
status=$?; kill $http $sink {more} 2>/dev/null
echo "host: up $(sha256sum <up | cut -c 1-64)"
rm -rf www up got hold pids; exit $status
"""
# Somebody who connects to the guest by hostfwd, when it listens.
CALL = """
(until [ -s got ]; do sleep 0.5; nc -w 20 127.0.0.1 5555 </dev/null >got; done; sed 's/^/host: /' got) & call=$!
"""
# A tap device that is there before minivmm is, or that minivmm makes: then it has several queues.
TAP = """
modprobe tun; {make}
(until ip link set tap9 up 2>/dev/null; do sleep 0.2; done; ip addr add 192.168.77.1/24 dev tap9) & tap=$!
"""


def check(result):
    sent = re.findall(r"^guest: up (\w{64})$", result.out, re.M)
    kept = re.findall(r"^host: up (\w{64})$", result.out, re.M)
    good = len(sent) == 1 and sent == kept
    yield "what the host got is what the guest sent", None if good else f"{sent} and {kept}"
    bad = re.findall(r"virtio_error.*|virtio_net_error.*", result.err)
    yield "no error of the device", None if not bad else f"got {bad[:3]}"


def check_call(result):
    yield from check(result)
    good = "host: through hostfwd" in result.out
    yield "connected to the guest from outside", None if good else f"got {result.out[-300:]!r}"


def start(append, options, words):
    line = shlex.quote(f"{append} run=virtio_net.sh {words}")
    return (f"minivmm --kernel kernel --initrd initrd {options} --append {line}"
            " --trace virtio_error,virtio_net_error,virtio_net_link &\n"
            "echo $! $http $sink $call $tap >pids; wait $!\n")


def user(append, options, words, size):
    """size: bytes that go in each direction."""
    return (SERVE.format(size=size) + CALL
            + start(append, f"{options},hostfwd=tcp:127.0.0.1:5555-:7000", f"user size={size} {words}")
            + JUDGE.format(more="$call"))


def tap(append, options, words, size, make):
    return (SERVE.format(size=size) + TAP.format(make=make)
            + start(append, options, f"size={size} {words}")
            + JUDGE.format(more="$tap" + ("; tunctl -d tap9 >/dev/null" if make else "")))


def cases(Case, architecture, append):
    size = 3000000
    variants = [
        ("net-user", "--net user", ""),
        ("net-user-legacy", "--net user,modern=off", "legacy"),
        ("net-user-modern", "--net user,legacy=off,mtu=9000,net=10.9.8.0/24,hostname=inside",
         "modern mtu=9000 net=10.9.8 name=inside"),
        ("net-user-packed", "--net user,legacy=off,packed=on", "modern packed"),
    ]
    taps = [
        ("net-tap", "--net tap=tap9,mac=52:54:00:aa:bb:cc", "offloads mac=52:54:00:aa:bb:cc",
         "tunctl -t tap9 >/dev/null", 1),
        ("net-tap-legacy", "--net tap=tap9,modern=off", "offloads legacy", "", 1),
        ("net-tap-packed", "--net tap=tap9,legacy=off,packed=on", "offloads modern packed", "", 1),
        ("net-tap-queues", "--smp 2 --net tap=tap9,queues=2", "offloads queues=2", "", 2),
    ]
    if architecture == "arm64":
        variants.append(("net-user-iommu", "--iommu --net user", "modern"))
        taps.append(("net-tap-iommu", "--iommu --net tap=tap9", "offloads modern", "", 1))
    found = [Case(name, command=user(append, options, words, size), check=check_call, timeout=160)
             for name, options, words in variants]
    found += [Case(name, command=tap(append, options, words, size, make), check=check, smp=smp,
                   timeout=160) for name, options, words, make, smp in taps]
    return found

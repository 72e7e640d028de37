#!/bin/bash
# The network of a machine: a tap in the box's gateway, or QEMU's own where there may be none. In the network of
# network.sh, with its probes. What a machine could send that no program in a box can is unit test gatewaytap's.
here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
if ! command -v qemu-system-x86_64 >/dev/null; then
	echo "1..1"
	echo "ok 1 - a machine's network # SKIP qemu-system-x86_64"
	exit
elif [[ -z ${IGLOO_TEST_KERNEL-} ]]; then
	echo "1..1"
	echo "ok 1 - a machine's network # SKIP an unpacked kernel package in IGLOO_TEST_KERNEL (docs/kernels.md)"
	exit
fi
[[ ${NETWORK_WORLD-} ]] || exec "$here/network/world.sh" bash "$here/vmnet.sh"
. "$here/lib.sh"
. "$here/network/lib.sh"

mkproject project bash coreutils curl python3
vm=(igloo run --in vm --kernel "$IGLOO_TEST_KERNEL" --accel tcg --memory 512M --cpus 1)
ok "an environment" igloo run -- true
in_box() { igloo exec net -- "$@"; }
# probe_there NAME...: a probe in the machine.
probe_there()
{
	in_box python3 "$P/probe.py" "$@" >"$T/out" 2>"$T/err" </dev/null
	results "$1" "$T/out"
}
served() { [[ $(curl -sS -m 20 --noproxy '*' "http://127.0.0.1:$port/word" 2>/dev/null) == word ]]; }
echo word >word

says "IGLOO_VM_NET" 125 '*IGLOO_VM_NET*auto, tap, user*' env IGLOO_VM_NET=both "${vm[@]}" -- true

# -- QEMU's own: the same grants -----------------------------------------------------------------------

IGLOO_VM_NET=user ends "QEMU's own network" 6 "${vm[@]}" --allow allowed.test -- bash -c '
	curl -sS -m 60 http://allowed.test/ >first; curl -sS -m 20 http://9.9.9.20/ && echo reached >>first
	cut -f 1,3 /proc/net/route >routes; curl -sS -m 60 http://forbidden.test/'
is "an allowed name, and no address" "$(<first)" "served by 9.9.9.10"
like "by QEMU's gateway" "$(<routes)" "*eth0*0202000A*"

if ! [[ -r /dev/net/tun && -w /dev/net/tun ]]; then
	says "no tap where there must be one" 125 '*/dev/net/tun*hint:*doctor*' env IGLOO_VM_NET=tap "${vm[@]}" -- true
	like "igloo doctor" "$(igloo doctor)" "*machines' network: QEMU's own*/dev/net/tun*"
	like "-v" "$("${vm[@]}" -v -- true 2>&1)" "*QEMU's own, because /dev/net/tun*"
	skip "a tap" "/dev/net/tun"
	exit
fi

# -- a tap: nothing is granted -------------------------------------------------------------------------

like "igloo doctor" "$(igloo doctor)" "*machines' network: a tap*"
port=$((20000 + RANDOM % 20000))
ok "a machine with a tap" env IGLOO_VM_NET=tap "${vm[@]}" --share-ro "$P:$P" --detach --name net -p "$port:8000" -- \
	python3 -m http.server --bind 127.0.0.1 8000
from_now
probe_there closed
nothing_came "closed"
like "igloo why" "$(igloo why net 2>&1)" "*allowed.test*igloo allow*allowed.test*"
prints "its links and routes are a sandbox's, IPv6 on its loopback only" \
	"eth0 lo 000000C0 000012C6 Destination IPv6 lo" in_box python3 -c '
import os
print(*sorted(os.listdir("/sys/class/net")), *sorted(l.split()[1] for l in open("/proc/net/route")), "IPv6",
      *{l.split()[5] for l in open("/proc/net/if_inet6")})'
ok "a forwarded port" within 90 served

# -- what is granted while it runs ---------------------------------------------------------------------

try in_box curl -sS -m 20 http://10.0.0.5/
like "an address has no route" "$code $err" "7 *"
igloo allow --box net allowed.test 10.0.0.5:80 '*.wild.test' 2>/dev/null
prints "an allowed name" "served by 9.9.9.10" in_box curl -sS -m 60 http://allowed.test/
prints "with TLS" "served by 9.9.9.10" in_box curl -sS -m 60 --cacert "$CA" https://allowed.test/
prints "a granted address: the machine has a route to it now" "served by 10.0.0.5" in_box curl -sS -m 60 http://10.0.0.5/
ends "not its other ports" 7 in_box curl -sS -m 20 http://10.0.0.5:8000/
ends "nor its neighbour" 7 in_box curl -sS -m 20 http://10.0.0.6/
is "20 MB arrive whole" "$(in_box bash -c 'curl -sS -m 120 http://allowed.test/big | sha256sum')" "$(sha256sum <"$W/www/big")"
igloo deny --box net allowed.test 2>/dev/null
ends "what is denied again" 6 in_box curl -sS -m 20 http://allowed.test/
nothing_came "in the end" 10.0.0.5
like "its clock is the host's" "$(python3 -c '
import subprocess, sys, time
before = time.time()
there = float(subprocess.run(sys.argv[1:], stdout=subprocess.PIPE).stdout)
print("ok" if before - 0.2 < there < time.time() + 0.2 else ("not ok", before, there, time.time()))' \
	igloo exec net -- date +%s.%N)" ok

# Without its engine there is nothing behind the tap, and the machine lives on.
supervisor=$(igloo inspect net | grep -oE '"supervisor": ?[0-9]+' | grep -oE '[0-9]+$')
for pid in $(pgrep -P "$supervisor" -x igloo-net); do
	kill -KILL "$pid"
done
gone() { ! in_box curl -sS -m 10 http://10.0.0.5/ >/dev/null 2>&1; }
ok "the engine is killed: no network" within 20 gone
prints "and the machine lives on" here in_box echo here
ok "igloo stop" igloo stop net
ok "igloo rm" igloo rm net

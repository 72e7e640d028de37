#!/bin/bash
# A box's supervisor and its engine under load: floods of names and connections, commands that come and go, transfers, ports
# whose clients reset, and grants that change all the time. Both must live on, and end. `tests/run sanitizers` runs it, too.
here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
[[ ${NETWORK_WORLD-} ]] || exec "$here/network/world.sh" bash "$here/netload.sh"
. "$here/lib.sh"
. "$here/network/lib.sh"

# What sanitizers say, in detached processes too. The engine is shut in and writes nothing: it would be missed.
if [[ ${ASAN_OPTIONS-} ]]; then
	export ASAN_OPTIONS=$ASAN_OPTIONS:log_path=$T/report UBSAN_OPTIONS=${UBSAN_OPTIONS-}:log_path=$T/report
fi
mkproject project bash coreutils python3
igloo run -- true 2>/dev/null
ok "a box" igloo run --detach --name loaded "${box_options[@]}" --allow allowed.test --allow allowed.test:5432 \
	--allow allowed.test:2222 -p 0:8000 -- python3 -m http.server --bind 127.0.0.1 8000
port=$(igloo ports loaded | sed -n 's/->.*//p')
in_box() { igloo exec loaded -- "$@"; }
serves() { [[ $(curl -s -m 5 "http://127.0.0.1:$port/flake.nix" | wc -c) -gt 100 ]]; }
reaches() { [[ $(in_box python3 "$P/probe.py" get allowed.test 2>/dev/null) == "served by 9.9.9.10" ]]; }
ok "it serves a port" within 20 serves
ok "it reaches a host" reaches
supervisor=$(igloo inspect loaded | grep -oE '"supervisor": ?[0-9]+' | grep -oE '[0-9]+$')
# The engine, and the one that relays for the port.
engines() { pgrep -P "$supervisor" -x igloo-net | xargs; }
engine=$(engines)
descriptors() { find "/proc/$supervisor/fd" -mindepth 1 2>/dev/null | wc -l; }
before=$(descriptors)

load=()
beside() { "$@" >>"$T/load" 2>&1 & load+=($!); }
forever() { while [[ ! -e $T/enough ]]; do "$@"; done; }
change()
{
	igloo allow --box loaded "name-$RANDOM.test" "*.wild-$RANDOM.test" && igloo allow allowed.test:7777 &&
		igloo deny allowed.test:7777
}
# 200 clients of the port: they read a part, or nothing, and reset.
clients()
{
	python3 - "$port" <<-'END'
		import random, socket, struct, sys
		socks = []
		for i in range(200):
		    sock = socket.socket()
		    sock.settimeout(0.5)
		    try:
		        sock.connect(("127.0.0.1", int(sys.argv[1])))
		        if i % 3:
		            sock.sendall(b"GET /flake.nix HTTP/1.0\r\n\r\n"[:random.randrange(1, 40)])
		        if i % 5 == 0:
		            sock.recv(100)
		    except OSError:
		        pass
		    if i % 2:
		        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
		    socks.append(sock)
		for sock in socks:
		    sock.close()
	END
}
beside in_box python3 "$P/probe.py" flood_names 20000
beside in_box python3 "$P/probe.py" flood_connections allowed.test 5432 8000
beside forever clients
beside forever change
beside forever in_box bash -c 'head -c 300000 /dev/zero | tr "\0" x; exit 3'
beside forever in_box python3 -c '
import socket, struct
for i in range(100):
    with socket.create_connection(("allowed.test", 2222), 5) as s:
        s.sendall(bytes(100000))
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))'
beside forever bash -c 'head -c 3000000 /dev/urandom >"$0" && igloo exec loaded -- cat <"$0" | cmp - "$0" && echo same' "$T/random"
beside forever bash -c 'timeout -s KILL 0.2 igloo exec loaded -- sleep 60; igloo why; igloo ls --json; igloo ports loaded' >/dev/null
if [[ ${ASAN_OPTIONS-} ]]; then sleep 12; else sleep 5; fi
touch "$T/enough"
wait "${load[@]}"

is "what was sent through came back" "$(grep -c 'differ\|EOF on' "$T/load") $(grep -q '^same' "$T/load" && echo same)" "0 same"
ok "it serves still" within 20 serves
ok "it reaches still" within 20 reaches
ok "the supervisor is the same" kill -0 "$supervisor"
is "so are its engines" "$(engines)" "$engine"
few() { (($(descriptors) <= before + 16)); }
if within 30 few; then
	pass "descriptors of the supervisor: $before before"
else
	fail "descriptors of the supervisor: $before before" "$(ls -l "/proc/$supervisor/fd")"
fi
if [[ ! ${ASAN_OPTIONS-} ]]; then
	size=$(awk '$1 == "VmRSS:" { print $2 }' "/proc/$supervisor/status")
	if ((size < 32 << 10)); then pass "its memory"; else fail "its memory" "$size KiB"; fi
fi
ok "it ends" igloo stop loaded
ok "and so do its engines" within 10 bash -c "! kill -0 $engine 2>/dev/null"
is "sanitizers found nothing" "$(cat "$T"/report* 2>/dev/null | head -n 100)" ""

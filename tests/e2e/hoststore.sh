#!/bin/bash
# The host's store as a binary cache of the Nix in a box: docs/host-store.md. Real Nix, and requests that no Nix sends.
. "$(dirname "$0")/lib.sh"

host() { NIX_CONFIG=$HOST_NIX "$@" 2>>"$T/host.log"; }
added=()
add()
{
	echo "$2 $RANDOM$RANDOM $T" >"$T/$1"
	if path=$(host nix-store --add "$T/$1"); then
		added+=("$path")
	else
		fail "nix-store --add $1 on the host" "$(<"$T/host.log")"
	fi
}
forget()
{
	local status=$? path
	# One after the other: what refers to another came first.
	for path in "${added[@]}"; do
		host nix-store --delete "$path" >/dev/null
	done
	(exit $status)
	finish
}
trap forget EXIT

mkproject project bash coreutils python3
ends "an environment" 0 igloo run -- true

# --- Nix --------------------------------------------------------------------------------------------------------------

add a first
hash=$(sha256sum <"$path")
says "not in the box, and not asked for" 1 "*" igloo run -- cat "$path"
says "--no-host-cache: not to be had" 1 "*" igloo run --no-host-cache -- nix-store -r "$path"
says "--offline: not to be had" 1 "*" igloo run --offline -- nix-store -r "$path"
begin=$SECONDS
prints "nix-store -r" "$hash" igloo run -- sh -c "nix-store -r $path >/dev/null && sha256sum <$path"
if ((SECONDS - begin < 4)); then pass "without waiting for caches that are out of reach"; else fail "it took $((SECONDS - begin)) s"; fi
prints "it is the slot's own then" "$(<"$path")" igloo run --no-host-cache -- cat "$path"
add b second
prints "nix build, behind a gateway" "$(<"$path")" igloo run --allow nix -- sh -c "nix build --no-link $path && cat $path"

# What the host built, a box does not build again: this would be another text.
cat >"$T/once.nix" <<END
derivation { name = "once-$RANDOM$RANDOM"; system = "$SYSTEM"; builder = "/bin/sh";
	args = [ "-c" "read x </proc/sys/kernel/random/uuid; echo \$x >\$out" ]; }
END
HOST_NIX+=$'\nsandbox = false\nsubstitute = false'
if built=$(host nix-build --no-out-link "$T/once.nix"); then
	added+=("$built" "$(host nix-store -q --deriver "$built")")
	cp "$T/once.nix" . && git add -A && git commit -qm once
	prints "nix-build of what the host has built" "$(<"$built")" \
		igloo run -- sh -c 'cat "$(nix-build --no-out-link once.nix)"'
else
	skip "what the host has built" "the host's Nix builds nothing here: $(tail -n 1 "$T/host.log")"
fi

top=$(host nix-instantiate --read-write-mode --eval --strict --expr \
	"builtins.toFile \"top\" \"\${builtins.toFile \"leaf\" \"$RANDOM$RANDOM$T\"}\"" | tr -d '"')
mapfile -t closure < <(host nix-store -qR "$top")
added+=("$top" "${closure[@]}")
prints "with what it refers to" "$(printf '%s\n' "${closure[@]}" | sort)" \
	igloo run -- sh -c "nix-store -r $top >/dev/null && nix-store -qR $top | sort"
prints "and verified by the box's Nix" "" igloo run -- nix-store --verify-path "$top" "$path"

drv=$(host nix-instantiate --expr "derivation { name = \"never-$RANDOM$RANDOM\"; system = \"$SYSTEM\"; builder = \"/bin/sh\"; }")
added+=("$drv")
says "no derivations" 1 "*" igloo run -- nix-store -r "$drv"
if [[ $EUID == 0 ]]; then
	add private secret
	chmod 0440 "$path"
	says "what not everybody may read is not there" 1 "*" igloo run -- nix-store -r "$path"
	chmod 0444 "$path"
else
	skip "what not everybody may read" "root, who owns the store"
fi

# --- requests ---------------------------------------------------------------------------------------------------------

cat >forge.py <<'END'
import socket, sys, threading
path = sys.argv[1]
hash = path.removeprefix("/nix/store/")[:32]
def ask(data, wait=5):
    s = socket.create_connection(("192.0.0.1", 1009), wait)
    got = b""
    try:
        s.sendall(data)
        while more := s.recv(65536):
            got += more
    except OSError:
        pass
    return got.split(b" ", 2)[1].decode() if got.startswith(b"HTTP/1.1 ") else "none"
def get(target, more=""):
    return ask(f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{more}\r\n".encode())
print("there", get(f"/1/{hash}.narinfo"))
print("not there", *(get(t) for t in ("/1/" + "0" * 32 + ".narinfo", "/1/../../etc/passwd", "/1/nar/../../etc/passwd", "/",
    "/1/", "/nix/store", f"/1/{path[11:]}", f"/1/nar/{hash}-{'0' * 52}.nar", f"/1/{hash[:31]}.narinfo", "/1/%2e%2e/nix-cache-info")))
print("refused", ask(b"POST /1/nix-cache-info HTTP/1.1\r\n\r\n"), get("/1/nix-cache-info", "Transfer-Encoding: chunked\r\n"),
    get("/1/nix-cache-info", "Content-Length: 3\r\n"), ask(b"\x16\x03\x01\x02\x00\r\n\r\n"), ask(b"GET /1/" + b"a" * 100000))
one = f"GET /1/{hash}.narinfo HTTP/1.1\r\n\r\n".encode()
s = socket.create_connection(("192.0.0.1", 1009), 5)
s.sendall(one * 50 + b"GET /1/nix-cache-info HTTP/1.0\r\n\r\n")
got = b""
while more := s.recv(65536):
    got += more
print("pipelined", got.count(b"HTTP/1.1 200 OK"))
idle = [socket.create_connection(("192.0.0.1", 1009), 20) for i in range(100)]
busy = [socket.create_connection(("192.0.0.1", 1009), 20) for i in range(100)]
for s in busy:
    s.sendall(one)
print("at once", sum(s.recv(12) == b"HTTP/1.1 200" for s in busy))
END
git add -A && git commit -qm forge
add c third
prints "forged, pipelined and many requests" "there 200
not there 404 404 404 404 404 404 404 404 404 404
refused 405 400 400 400 431
pipelined 51
at once 100" igloo run -- python3 forge.py "$path"

# --- the server -------------------------------------------------------------------------------------------------------

# server SUPERVISOR: prints its pid.
server()
{
	local pid
	for pid in $(pgrep -P "$1"); do
		[[ $(<"/proc/$pid/comm") != igloo-store ]] || echo "$pid"
	done
}
supervisor_of() { igloo ls --json | python3 -c 'import json, sys
for b in json.load(sys.stdin)["boxes"]: print(b["supervisor"]) if b["name"] == sys.argv[1] else None' "$1"; }

name=$(igloo run -d --name stays -- sleep 600)
supervisor=$(supervisor_of "$name")
is "no server before it is asked for" "$(server "$supervisor")" ""
add d fourth
ends "in a box that stays" 0 igloo exec "$name" -- nix-store -r "$path"
first=$(server "$supervisor")
like "one server" "$first" "[1-9]*"
status=$(grep -E '^(CapEff|NoNewPrivs|Seccomp):' "/proc/$first/status" | tr -d '\n')
like "which is shut in" "$status" "*CapEff:*0000000000000000*NoNewPrivs:*1*Seccomp:*2*"
# As root it is nobody's, so that it reads what everybody may read.
[[ $EUID != 0 ]] || is "and nobody's" "$(stat -c %u "/proc/$first")" 65534
kill -KILL "$first"
add e fifth
ends "killed, there is another one" 0 igloo exec "$name" -- nix-store -r "$path"
second=$(server "$supervisor")
if [[ $second && $second != "$first" ]]; then pass "indeed"; else fail "indeed" "$first $second"; fi
head -c 300000000 /dev/urandom >"$T/big"
big=$(host nix-store --add "$T/big") && added+=("$big")
prints "300 MB" "$(sha256sum <"$T/big")" igloo exec "$name" -- sh -c "nix-store -r $big >/dev/null && sha256sum <$big"
peak=$(awk '/^VmHWM:/ { print $2 }' "/proc/$(server "$supervisor")/status")
if ((peak > 0 && peak < 40000)); then pass "in bounded memory"; else fail "in bounded memory" "$peak kB"; fi
add f sixth
ends "the box is granted something: it gets a gateway" 0 igloo allow example.invalid
ends "and has the host's store there, too" 0 igloo exec "$name" -- nix-store -r "$path"
ends "it ends" 0 igloo stop "$name"
igloo rm "$name" >/dev/null 2>&1
ok "and its server with it" within 5 test ! -e "/proc/$second"

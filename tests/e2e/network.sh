#!/bin/bash
# The network of a box: closed, opened by name. In a network of two hosts that network/world.sh makes: an allowed server, a
# forbidden one, private addresses, and a DNS server that lies; what tries to get there is network/probe.py, curl, git,
# node and Nix in boxes. What came to the servers is in their log, whatever the box believes. See docs/security.md.
here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
[[ ${NETWORK_WORLD-} ]] || exec "$here/network/world.sh" bash "$here/network.sh"
. "$here/lib.sh"
. "$here/network/lib.sh"

mkproject project bash coreutils git python3 nodejs curl
ends "an environment that needs no network" 0 igloo run -- true
is "the servers are there" "$(curl -s http://allowed.test/ http://forbidden.test/ http://10.0.0.5/ http://169.254.169.254/ \
	http://127.0.0.1:8000/ 'http://[2620:fe::20]/'; curl -s --cacert "$CA" https://forbidden.test/)" \
	"served by 9.9.9.10
served by 9.9.9.20
served by 10.0.0.5
served by 169.254.169.254
served by 127.0.0.1
served by 2620:fe::20
served by 9.9.9.20"

# Slow ones, beside all others.
for name in silent.test garbage.test loop-a.test missing.test many.test rebind-{loop,meta,private,own}.test; do
	allow+=(--allow "$name")
done
aside hopeless
aside rebind rebind-loop.test,rebind-meta.test,rebind-private.test,rebind-own.test
allow=()

# --- nothing allowed --------------------------------------------------------------------------------------------------

from_now
probe closed
nothing_came "closed"
is "closed: no name was asked for" "$(came '"name": "allowed.test"' '"name": "forbidden.test"' '"name": "wild.test"' example deadbeef)" 0
like "closed: the end names what was denied, and the command" "$(<"$T/err")" \
	"*denied: allowed.test: *igloo allow allowed.test*"
abstract=igloo-network-$$
python3 -c 'import socket, sys, time
s = socket.socket(socket.AF_UNIX); s.bind("\0" + sys.argv[1]); s.listen(1); time.sleep(600)' "$abstract" &
listener=$!
within 5 grep -q "@$abstract" /proc/net/unix
probe local "$abstract"
kill "$listener"
like "igloo why has them" "$(igloo why 2>&1)" "*allowed.test*igloo allow allowed.test*"
like "igloo why --json" "$(igloo why --json 2>/dev/null | grep -F '"host":"forbidden.test"' | head -1)" '*"igloo.denial/1"*'
try igloo --json run -- curl -s http://forbidden.test/
like "--json: the denial is an event" "$err" '*"host":"forbidden.test"*'
for host in 9.9.9.20 0x09090914 151587092 '[2620:fe::20]' '[::ffff:9.9.9.20]' forbidden.test. FORBIDDEN.test 'forbidden%2etest' \
	127.0.0.1:8000 localhost:8000 169.254.169.254/latest/meta-data; do
	try igloo run -- curl -sg -m 5 "http://$host/"
	if [[ $code != 0 && ! $out ]]; then pass "curl http://$host"; else fail "curl http://$host" "$code $out $err"; fi
done
allow=(--allow none)
try igloo run --allow none -- curl -s -m 5 http://allowed.test/
is "--allow none" "$code$out" 6
try igloo run --offline -- sh -c 'curl -s -m 5 http://allowed.test/; ls /sys/class/net 2>/dev/null; cat /proc/net/dev'
if [[ $out != *eth0* && $out != *served* ]]; then pass "--offline: a loopback only"; else fail "--offline" "$out"; fi
says "--offline and --allow exclude each other" 125 '*--allow*--offline*' igloo run --offline --allow allowed.test -- true
nothing_came "still closed"

# --- allowed by name --------------------------------------------------------------------------------------------------

from_now
allow=()
for entry in allowed.test allowed.test:{8080,8443,2222,2525,2601,2602} '*.wild.test' other.test:8080 raw.test:2222 \
	bücher.test Alias.TEST. v6.test under_score.test hosts.test; do
	allow+=(--allow "$entry")
done
probe names
probe traffic
like "a port that is not allowed is named" "$(<"$T/err")" "*denied: raw.test:80: port not allowed*igloo allow raw.test*"
try igloo run "${box_options[@]}" --allow raw.test:2222 -- python3 "$P/probe.py" get raw.test 22
like "nor is it forgotten that Git uses one more" "$err" "*denied: raw.test:22: port not allowed*igloo allow raw.test:22*"
probe wrong_names
like "another name in TLS is named" "$(<"$T/err")" "*denied: allowed.test:443: *forbidden.test*"
nothing_came "open"
is "no other name got to a server" \
	"$(came '"sni": "forbidden.test"' '"sni": null' '["forbidden.test"]' '"method": "CONNECT"' '"path": "http')" 0
is "names that are not allowed were not asked for" \
	"$(came '"name": "forbidden.test"' '"name": "wild.test"' 'evil' 'notwild' 'deadbeef')" 0

# --- clients ----------------------------------------------------------------------------------------------------------

in_box() { igloo run "${box_options[@]}" --allow allowed.test --allow allowed.test:8443 --env "CURL_CA_BUNDLE=$CA" \
	--env "NODE_EXTRA_CA_CERTS=$CA" --env "GIT_SSL_CAINFO=$CA" --env "SSL_CERT_FILE=$CA" -- "$@"; }
for url in http://allowed.test/ https://allowed.test/ https://allowed.test:8443/; do
	prints "curl $url" "served by 9.9.9.10" in_box curl -sS -m 10 "$url"
done
prints "curl: a connection kept alive" "1 0 " in_box curl -sS -m 10 -w '%{num_connects} ' \
	-o /dev/null http://allowed.test/ -o /dev/null http://allowed.test/
prints "node, https" "served by 9.9.9.10" in_box node -e '
	require("https").get("https://allowed.test/", r => r.pipe(process.stdout)).on("error", e => console.log(e.code))'
try in_box node -e 'require("http").get("http://forbidden.test/", r => r.pipe(process.stdout)).on("error", e => console.log(e.code))'
is "node: a name that is not allowed" "$out" ENOTFOUND
prints "python, https" "served by 9.9.9.10" in_box python3 -c '
import urllib.request; print(urllib.request.urlopen("https://allowed.test/", timeout=10).read().decode().strip())'
prints "git clone over https" "from afar" in_box sh -c \
	'git clone -q https://allowed.test/repo.git /tmp/clone && cat /tmp/clone/hello'
try in_box git ls-remote https://forbidden.test/repo.git
like "git: a name that is not allowed" "$code $err" "128 *forbidden.test*igloo allow forbidden.test*"
address=$(in_box python3 -c 'import socket; print(socket.gethostbyname("allowed.test"))')
try in_box curl -sk -m 5 --resolve "forbidden.test:443:$address" https://forbidden.test/
is "curl --resolve of another name to the address of an allowed one" "$((code != 0))$out" 1
try in_box curl -sk -m 5 --connect-to forbidden.test::allowed.test: https://forbidden.test/ http://forbidden.test/
is "curl --connect-to" "$((code != 0))$out" 1
try in_box curl -s -m 5 -x http://allowed.test:80 http://forbidden.test/
is "the allowed server as a proxy, http" "$out" ""
try in_box curl -sk -m 5 -p -x http://allowed.test:80 https://forbidden.test/
is "the allowed server as a proxy, CONNECT" "$((code != 0))$out" 1
nothing_came "clients"

# --- names that lead elsewhere ------------------------------------------------------------------------------------------

from_now
allow=(--allow all)
probe refused_addresses
like "the address is named, and what would allow it" "$(<"$T/err")" "*denied: private.test:80: *10.0.0.5*igloo allow 10.0.0.5:80*"
nothing_came "private addresses by name"
prints "all: a public name" "served by 9.9.9.20" igloo run --allow all -- curl -s -m 5 http://forbidden.test/
from_now
try igloo run --allow all -- sh -c 'curl -s -m 5 http://9.9.9.20/; curl -s -m 5 http://forbidden.test:8080/'
is "all: no literal, no other port" "$out$(came "$(at 9.9.9.20)")" 0
allow=(--allow private.test --allow private6.test --allow 10.0.0.5:80 --allow '[fd00::5]:80' --allow 127.0.0.1:8000)
box_get() { igloo run "${box_options[@]}" "${allow[@]}" -- curl -sg -m 5 "$@" 2>/dev/null; }
is "an address granted as such, by name" "$(box_get http://private.test/)" "served by 10.0.0.5"
is "and by itself" "$(box_get http://10.0.0.5/)" "served by 10.0.0.5"
is "an IPv6 address granted as such, by name" "$(box_get http://private6.test/)" "served by fd00::5"
is "not on another port, not its neighbour" "$(box_get http://10.0.0.5:8080/ http://10.0.0.6/ http://private.test:8080/)" ""
allow=(--allow 10.0.0.0/24:8080)
is "a network" "$(box_get http://10.0.0.6:8080/)" "served by 10.0.0.6"
is "a network: another port, another name" "$(box_get http://10.0.0.6/ http://private.test/)" ""
nothing_came "granted addresses" 10.0.0.5 10.0.0.6 fd00::5

# --- a running box ------------------------------------------------------------------------------------------------------

say_get() { igloo exec "$1" -- python3 "$P/probe.py" get "${@:2}" 2>/dev/null; }
box=net-$$
other=other-$$
igloo run --detach --name "$box" "${box_options[@]}" -- sleep 600 >/dev/null </dev/null
igloo run --detach --name "$other" --slot other "${box_options[@]}" --allow other.test -- sleep 600 >/dev/null </dev/null
is "a running box: nothing allowed" "$(say_get "$box" allowed.test)" ""
ok "igloo allow" igloo allow allowed.test
is "igloo allow: at once" "$(say_get "$box" allowed.test)" "served by 9.9.9.10"
like "igloo allow --ls" "$(igloo allow --ls)" "repository*allowed.test"
is "igloo allow --ls --json" "$(igloo allow --ls --json | python3 -c '
import json, sys; j = json.load(sys.stdin); print(j["schema"], j["repository"], j["always"])')" "igloo.grants/1 ['allowed.test'] []"
is "igloo allow: the next box has it, too" "$(igloo run -- curl -s -m 5 http://allowed.test/)" "served by 9.9.9.10"
like "igloo why --host: by which grant" "$(igloo why --host allowed.test)" "allowed.test:443 is allowed by 'allowed.test'*"
like "igloo why --host: what would allow it" "$(igloo why --host forbidden.test:8443)" "*not allowed*igloo allow forbidden.test:8443"
ok "igloo allow: the same again" igloo allow ALLOWED.test.
is "igloo allow: once in the list" "$(igloo allow --ls | wc -l)" 1
ok "igloo allow, a port" igloo allow allowed.test:2222
igloo exec "$box" -- python3 "$P/probe.py" wait_end allowed.test 2222 "$PWD/opened" >"$T/end" 2>&1 &
waiter=$!
appears opened $waiter
ok "igloo deny" igloo deny allowed.test:2222
wait $waiter
is "igloo deny closes what is open" "$(<"$T/end")" end
is "igloo deny: another entry of the name stays" "$(say_get "$box" allowed.test)" "served by 9.9.9.10"
ok "igloo deny, the name" igloo deny allowed.test
is "igloo deny: nothing new, though the address is known" "$(say_get "$box" allowed.test)" ""
says "igloo deny: what was not allowed" '125' "*forbidden.test*not allowed*" igloo deny forbidden.test
ok "igloo allow --box" igloo allow --box "$box" allowed.test
is "--box: the box has it" "$(say_get "$box" allowed.test)" "served by 9.9.9.10"
is "--box: no other has it, nor the list" "$(say_get "$other" allowed.test; igloo run -- curl -s -m 5 http://allowed.test/; igloo allow --ls 2>/dev/null)" ""
ok "igloo deny --box" igloo deny --box "$box" allowed.test
is "deny --box" "$(say_get "$box" allowed.test)" ""
says "--box of a box that does not exist" 125 "*nosuchbox*" igloo allow --box nosuchbox allowed.test
is "two boxes, two policies" "$(say_get "$other" other.test; say_get "$box" other.test)" "served by 9.9.9.10"
ok "igloo allow --repo" igloo allow --repo allowed.test
is "--repo: what is the default" "$(say_get "$box" allowed.test; igloo allow --ls)" "served by 9.9.9.10
repository  allowed.test"
ok "igloo deny --repo" igloo deny --repo allowed.test
ok "igloo allow --always" igloo allow --always allowed.test
is "--ls --repo: not what is allowed always" "$(igloo allow --ls --repo 2>/dev/null)" ""
is "--always: both have it" "$(say_get "$other" allowed.test; say_get "$box" allowed.test)" "served by 9.9.9.10
served by 9.9.9.10"
like "--always in the list" "$(igloo allow --ls)" "always*allowed.test"
ok "igloo deny --always" igloo deny --always allowed.test
is "deny --always" "$(say_get "$other" allowed.test; say_get "$box" allowed.test)" ""
like "igloo why of a detached box" "$(igloo why "$box")" "*$box*allowed.test*"
igloo run --detach --name "off-$$" --offline -- sleep 600 >/dev/null </dev/null
says "igloo allow --box of an offline box" 125 "*without a network*--offline*" igloo allow --box "off-$$" allowed.test
igloo stop "off-$$" >/dev/null 2>&1

# --- grants racing with denials ----------------------------------------------------------------------------------------

igloo exec "$box" -- python3 "$P/probe.py" hammer flip.test 7777 "$PWD/stop" >"$T/through" 2>&1 &
hammer=$!
from_now
python3 - "$box" >"$T/times" <<'EOT'
import subprocess, sys, time
def igloo(verb):
    subprocess.run(["igloo", verb, "--box", sys.argv[1], "flip.test:7777"], check=True, stdin=subprocess.DEVNULL)
for _ in range(15):
    start = time.monotonic()
    igloo("allow")
    time.sleep(0.02)
    igloo("deny")
    print(start, time.monotonic(), flush=True)
    time.sleep(0.2)
EOT
is "the list changed 15 times" "$(wc -l <"$T/times")" 15
touch stop
wait $hammer
rm -f stop
# The server may be late with writing it down.
is "no connection between a denial and the next grant ($(<"$T/through") were through)" "$(tail -n "+$log_from" "$W/log" | python3 -c '
import json, sys
times = [tuple(map(float, line.split())) for line in open(sys.argv[1])]
for line in sys.stdin:
    j = json.loads(line)
    if j["at"] == "9.9.9.20" and not any(a <= j["t"] <= b + 0.1 for a, b in times):
        print(j)' "$T/times" | head -n 5)" ""
if [[ $(<"$T/through") -gt 0 ]]; then pass "and some were let through"; else fail "and some were let through" "$(<"$T/through")"; fi
igloo allow --box "$box" allowed.test
is "the box works after that" "$(say_get "$box" allowed.test)" "served by 9.9.9.10"

# --- floods ---------------------------------------------------------------------------------------------------------------

supervisor() { igloo inspect "$1" | grep -oE '"supervisor": ?[0-9]+' | grep -oE '[0-9]+$'; }
igloo allow --box "$box" allowed.test:5432
for flood in "flood_names 10000" "flood_connections allowed.test 5432 20000"; do
	# shellcheck disable=SC2086 # words
	igloo exec "$box" -- python3 "$P/probe.py" $flood >"$T/flood" 2>"$T/err" &
	flooder=$!
	sleep 0.5
	is "${flood%% *}: another box works meanwhile" "$(say_get "$other" other.test)" "served by 9.9.9.10"
	wait $flooder
	results "${flood%% *}" "$T/flood"
	ok "${flood%% *}: the box works again" within 10 bash -c "[[ \$(igloo exec '$box' -- python3 '$P/probe.py' get allowed.test) == served* ]]"
done
size=$(($(stat -c %s "$XDG_STATE_HOME"/igloo/slots/*/denials* | paste -sd+)))
if ((size < 4 << 20)); then pass "what is kept of denials is bounded"; else fail "what is kept of denials is bounded" "$size"; fi
like "igloo why after a flood" "$(igloo why 2>&1 | tail -n 1)" "*evil.test*"

# --- the end of the engine, and of the supervisor ------------------------------------------------------------------------

engine_of() { pgrep -P "$1" -x igloo-net; }
supervisor=$(supervisor "$box")
engine=$(engine_of "$supervisor")
if [[ $engine ]]; then pass "the engine is a process of the supervisor's"; else fail "the engine is a process of the supervisor's" "$(ps -ef)"; fi
status=$(cat "/proc/$engine/status")
is "the engine has no capability, a filter, and cannot gain anything" \
	"$(grep -E '^(CapEff|CapPrm|CapBnd|NoNewPrivs|Seccomp):' <<<"$status" | tr -d '\t\n')" \
	"CapPrm:0000000000000000CapEff:0000000000000000CapBnd:0000000000000000NoNewPrivs:1Seccomp:2"
from_now
kill -KILL "$engine"
ok "a killed engine goes" within 5 bash -c "! kill -0 $engine"
is "without its engine the box has no network" "$(say_get "$box" allowed.test; say_get "$box" forbidden.test)" ""
is "nobody came" "$(came "$(at 9.9.9.10)" "$(at 9.9.9.20)")" 0
is "the box itself lives" "$(igloo exec "$box" -- echo alive)" alive
is "and others have theirs" "$(say_get "$other" other.test)" "served by 9.9.9.10"
supervisor=$(supervisor "$other")
engine=$(engine_of "$supervisor")
kill -KILL "$supervisor"
ok "a killed supervisor takes the engine along" within 5 bash -c "! kill -0 $engine"
ok "and the box" within 5 bash -c "! igloo exec '$other' -- true"
igloo stop "$box" >/dev/null 2>&1

# --- making an environment --------------------------------------------------------------------------------------------------

# environment NAME URL: a flake with such an input, which is not locked; nixpkgs is.
environment()
{
	mkdir "$T/$1" && cd "$T/$1" || exit 1
	cat >flake.nix <<-EOT
	{
	  inputs.nixpkgs.url = "path:$IGLOO_E2E_PKGS";
	  inputs.afar = { url = "$2"; flake = false; };
	  outputs = { self, nixpkgs, afar }: let pkgs = nixpkgs.legacyPackages.$SYSTEM; in {
	    devShells.$SYSTEM.default = pkgs.mkShell { packages = [ pkgs.bash pkgs.coreutils ]; AFAR = builtins.readFile (afar + "/hello"); };
	  };
	}
	EOT
	cp "$T/project/flake.lock" .
	git init -q . && git add -A
}
from_now
environment env-denied http://forbidden.test/input.tar.gz
says "an environment with an input that is not allowed: the denial is named" 125 "*forbidden.test*igloo allow forbidden.test*" \
	igloo run --allow allowed.test -- true
like "and igloo why has it" "$(igloo why)" "*forbidden.test*"
environment env-tarball http://allowed.test/input.tar.gz
prints "an environment with a tarball that is allowed" "from afar" igloo run --allow allowed.test -- sh -c 'echo "$AFAR"'
environment env-git "git+http://allowed.test/repo.git?ref=main"
prints "an environment with a git input that is allowed" "from afar" igloo run --allow allowed.test -- sh -c 'echo "$AFAR"'
environment env-private http://private.test/input.tar.gz
ends "an environment with an input at a private address" 125 igloo run --allow private.test -- true
environment env-literal http://9.9.9.20/input.tar.gz
ends "an environment with an input at an address" 125 igloo run --allow allowed.test -- true
environment env-host http://127.0.0.1:8000/input.tar.gz
ends "an environment with an input of the host's own" 125 igloo run --allow allowed.test -- true
nothing_came "environments"
cd "$T/project" || exit 1

# --- entries that are none ---------------------------------------------------------------------------------------------

while IFS= read -r line; do
	entry=${line%% => *}
	for how in run allow; do
		if [[ $how == run ]]; then
			try igloo run --allow "$entry" -- true
		else
			try igloo allow -- "$entry"
		fi
		# shellcheck disable=SC2053 # a pattern
		if [[ ($code == 125 || $code == 2) && $err == *${line#* => }* ]]; then
			pass "igloo $how: '$entry' is refused"
		else
			fail "igloo $how: '$entry' is refused" "$code: $err
wanted: ${line#* => }"
		fi
	done
done <<'EOT'
 => empty
exa mple.org => position 4
example..org => position
.example.org => position 1
-example.org => position 1
example%2eorg => position 8
example.org: => port is missing
example.org:0 => 1 to 65535
example.org:65536 => 1 to 65535
example.org:http => position 13
example.org:080 => begin with 0
example.org:80:81 => second ':'
* => 'all' is every name
*example.org => position 1
a.*.org => position 3
http://example.org => URL
example.org/path => position 12
10.0.0.1 => needs a port
10.0.0.0/8:* => an address with one
10.0.0.1/8:80 => network is 10.0.0.0/8
10.0.0.0/33:80 => 0 to 32 bits
0.0.0.0:80 => nothing to connect to
0x7f000001 => position
127.1 => position
1.2.3.4.5 => position
fd00::1:80 => brackets
[fd00::1:80 => ']' is missing
[nope]:80 => not an IPv6 address
nix:80 => nothing stands behind
EOT
try igloo run --allow $'new\nline.test' -- true
is "a newline in an entry" "$code$(grep -c $'line.test' <<<"$err")" 1251
try igloo run --allow "$(printf 'a%.0s' {1..64}).test" -- true
is "a label of 64 bytes" "$code" 125
is "none of them is kept" "$(igloo allow --ls 2>/dev/null)" ""

joined rebind
joined hopeless

#!/bin/bash
# Every port of a name; and what changes while a box runs: addresses that are granted, the host's name servers. In the
# network of network/world.sh.
here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
[[ ${NETWORK_WORLD-} ]] || exec "$here/network/world.sh" bash "$here/netlive.sh"
. "$here/lib.sh"
. "$here/network/lib.sh"

mkproject project bash coreutils python3 curl
get() { igloo exec "$1" -- python3 "$P/probe.py" get "${@:2}" 2>/dev/null; }
box=live-$$
start() { igloo run --detach --name "$box" "${box_options[@]}" "$@" -- sleep 600 >/dev/null </dev/null; }
stop() { igloo stop "$box" && igloo rm "$box"; } >/dev/null 2>&1

# --- addresses --------------------------------------------------------------------------------------------------------

# The gateway is there, and its engine or not; each box without a route to what comes.
for first in allowed.test 10.0.0.6:80; do
	start --allow "$first"
	is "$first: not granted yet" "$(get "$box" 10.0.0.5)" ""
	ok "$first: an address is granted" igloo allow --box "$box" 10.0.0.5:80
	is "$first: at once" "$(get "$box" 10.0.0.5)" "served by 10.0.0.5"
	is "$first: not another" "$(get "$box" 10.0.0.5 8080)" ""
	ok "$first: and taken back" igloo deny --box "$box" 10.0.0.5:80
	is "$first: at once, too" "$(get "$box" 10.0.0.5)" ""
	ok "$first: a network" igloo allow 10.0.0.0/24:8080
	is "$first: by the repository's list" "$(get "$box" 10.0.0.5 8080)$(get "$box" 10.0.0.6 8080)" "served by 10.0.0.5served by 10.0.0.6"
	ok "$first: denied" igloo deny 10.0.0.0/24:8080
	is "$first: nothing is left of it" "$(get "$box" 10.0.0.5 8080)$(get "$box" 10.0.0.6 8080)" ""
	stop
done

# --- every port -------------------------------------------------------------------------------------------------------

if igloo doctor --json | grep -q '"every_port"[^}]*"state":"yes"'; then
	from_now
	get_many='for p in 80 8080; do curl -s -m 5 http://allowed.test:$p/; done
		for p in 22 5432 7777; do python3 -c "
import socket, sys
s = socket.create_connection((\"allowed.test\", int(sys.argv[1])), 5); s.sendall(b\"here\"); print(s.recv(9).decode(), sys.argv[1])" $p; done'
	prints "every port of a name" "served by 9.9.9.10
served by 9.9.9.10
here 22
here 5432
here 7777" igloo run --allow 'allowed.test:*' -- sh -c "$get_many"
	is "every port of a name: that one alone" \
		"$(igloo run --allow 'allowed.test:*' -- sh -c 'curl -s -m 5 http://forbidden.test/; curl -s -m 5 http://a.wild.test/' 2>/dev/null)" ""
	is "every port below a name" \
		"$(igloo run --allow '*.wild.test:*' -- sh -c 'curl -s -m 5 http://a.wild.test:8080/; curl -s -m 5 http://wild.test:8080/' 2>/dev/null)" \
		"served by 9.9.9.10"
	try igloo run "${box_options[@]}" --allow 'allowed.test:*' --allow other.test:8443 -- sh -c \
		"curl -s -m 5 --cacert '$CA' https://allowed.test:8443/; curl -sk -m 5 --connect-to forbidden.test:8443:allowed.test:8443 https://forbidden.test:8443/
		curl -s -m 5 http://other.test/; curl -sk -m 5 https://other.test:8443/"
	is "every port: TLS names are checked on each, and another name keeps its own" "$out" "served by 9.9.9.10
served by 9.9.9.10"
	like "every port: and said" "$err" "*allowed.test:8443: *forbidden.test*other.test:80: port not allowed*"
	try igloo run --allow 'private.test:*' -- curl -s -m 5 http://private.test:8080/
	like "every port: not of a private address" "$out$err" "*denied: private.test:8080: *10.0.0.5*"
	is "every port: unless that is granted, too" \
		"$(igloo run --allow 'private.test:*' --allow 10.0.0.5:8080 -- sh -c 'curl -s -m 5 http://private.test:8080/ http://10.0.0.5:8080/ http://private.test/' 2>/dev/null)" \
		"served by 10.0.0.5
served by 10.0.0.5"
	nothing_came "every port" 10.0.0.5
	for first in allowed.test:80 10.0.0.6:80; do
		start --allow "$first"
		is "a running box: not yet" "$(get "$box" allowed.test 8080)" ""
		ok "a running box: every port is granted" igloo allow --box "$box" 'allowed.test:*'
		is "a running box: at once" "$(get "$box" allowed.test 8080)$(get "$box" allowed.test)" "served by 9.9.9.10served by 9.9.9.10"
		is "what it had stays" "$(get "$box" 10.0.0.6)" "$([[ $first == 10* ]] && echo "served by 10.0.0.6")"
		ok "a running box: and a port" igloo allow --box "$box" other.test:8080
		is "a running box: that, too" "$(get "$box" other.test 8080)" "served by 9.9.9.10"
		ok "a running box: taken back" igloo deny --box "$box" 'allowed.test:*'
		is "a running box: denied at once" "$(get "$box" allowed.test 8080)" ""
		stop
	done
	start
	ok "a box with nothing: every port is granted" igloo allow --box "$box" 'allowed.test:*'
	is "a box with nothing: at once" "$(get "$box" allowed.test 8080)" "served by 9.9.9.10"
	stop
else
	skip "every port of a name" "nf_tables with tproxy in a user namespace"
fi

if cc -o "$T/enosys" "$here/enosys.c" -lseccomp 2>"$T/cc.log"; then
	without() { "$T/enosys" nfnetlink igloo "$@"; }
	like "without nf_tables: igloo doctor says what helps" "$(without doctor | grep -A2 'every port')" "*no *HOST:*modprobe*nft_tproxy*"
	says "without nf_tables: every port of a name is refused, with what helps" 125 "*HOST:\**nf_tables*modprobe*nft_tproxy*" \
		without run --allow 'allowed.test:*' -- true
	without run --detach --name "$box" "${box_options[@]}" --allow allowed.test -- sleep 600 >/dev/null </dev/null
	says "without nf_tables: so it is of a running box" 125 "*nf_tables*modprobe*nft_tproxy*" igloo allow --box "$box" 'allowed.test:*'
	is "which keeps what it has" "$(get "$box" allowed.test)$(get "$box" allowed.test 8080)" "served by 9.9.9.10"
	ok "and takes other entries" igloo allow --box "$box" allowed.test:8080
	is "as ever" "$(get "$box" allowed.test 8080)" "served by 9.9.9.10"
	stop
else
	skip "without nf_tables" "a compiler and libseccomp's headers"
fi

# --- the host's name servers ------------------------------------------------------------------------------------------

# Nobody answers at 9.9.9.54. The file is a mount here, which can be written and not replaced; test-hostdns has the rest.
start --allow allowed.test --allow other.test --allow a.wild.test --allow flip.test
is "with a server that answers" "$(get "$box" allowed.test)" "served by 9.9.9.10"
echo "nameserver 9.9.9.54" >"$W/resolv.conf"
sleep 1
is "no answer once the host has another" "$(get "$box" a.wild.test)" ""
get "$box" other.test >"$T/pending" &
sleep 1
from_now
echo "nameserver 9.9.9.53" >"$W/resolv.conf"
wait $!
is "a question that waited is asked again" "$(<"$T/pending")" "served by 9.9.9.10"
is "and new ones are answered" "$(get "$box" flip.test)" "served by 9.9.9.20"
if (($(came '"name": "flip.test"') > 0)); then pass "by the new server"; else fail "by the new server" "$(tail -n 5 "$W/log")"; fi
: >"$W/resolv.conf"
sleep 0.5
is "an empty file changes nothing" "$(get "$box" allowed.test)" "served by 9.9.9.10"
echo "nameserver 9.9.9.53" >"$W/resolv.conf"
stop

# --- TLS without a name -----------------------------------------------------------------------------------------------

unnamed='import socket, ssl, sys
c = ssl.create_default_context(); c.check_hostname = False; c.verify_mode = ssl.CERT_NONE
try:
    s = c.wrap_socket(socket.create_connection(("allowed.test", int(sys.argv[1])), 5), server_hostname=sys.argv[2] if len(sys.argv) > 2 else None)
    s.sendall(b"GET / HTTP/1.0\r\n\r\n"); print(s.makefile().read().split("\n")[-2])
except (OSError, IndexError) as e: print("refused")'
for port in 443 8443; do
	try igloo run --allow allowed.test --allow "allowed.test:$port" -- python3 -c "$unnamed" $port
	like "TLS without a name on $port: refused, with what helps" "$out$err" "refused*denied: allowed.test:$port: *without a server name*--allow-unnamed-tls*"
	prints "TLS without a name on $port: --allow-unnamed-tls" "served by 9.9.9.10" \
		igloo run --allow allowed.test --allow "allowed.test:$port" --allow-unnamed-tls -- python3 -c "$unnamed" $port
	prints "TLS with another name on $port: refused all the same" refused \
		igloo run --allow allowed.test --allow "allowed.test:$port" --allow-unnamed-tls -- python3 -c "$unnamed" $port forbidden.test
done
try igloo run --allow allowed.test --allow-unnamed-tls -- python3 -c 'import socket
s = socket.create_connection(("allowed.test", 443), 5); s.sendall(b"GET / HTTP/1.0\r\n\r\n")
try: print(s.recv(99))
except OSError: print("refused")'
if [[ $out == refused && $err != *--allow-unnamed-tls* ]]; then pass "what is no TLS: refused all the same"; else fail "what is no TLS: refused all the same" "$out$err"; fi
like "igloo why names the option" "$(igloo why)" "*without a server name*--allow-unnamed-tls*"
like "igloo why --json, too" "$(igloo why --json | grep -F tls-none | head -n 1)" '*"option":"--allow-unnamed-tls"*'
start --allow-unnamed-tls
like "igloo inspect shows it" "$(igloo inspect "$box" | tr -d ' \n')" '*"unnamedTls":true*'
stop

# --- the host's proxy ---------------------------------------------------------------------------------------------------

mkdir "$T/proxied" && cd "$T/proxied" || exit 1
cat >flake.nix <<EOT
{
  inputs.nixpkgs.url = "path:$IGLOO_E2E_PKGS";
  inputs.afar = { url = "http://allowed.test/input.tar.gz"; flake = false; };
  outputs = { self, nixpkgs, afar }: let pkgs = nixpkgs.legacyPackages.$SYSTEM; in {
    devShells.$SYSTEM.default = pkgs.mkShell { packages = [ pkgs.bash pkgs.coreutils ]; AFAR = builtins.readFile (afar + "/hello"); };
  };
}
EOT
cp "$T/project/flake.lock" .
git init -q . && git add -A
proxies="http_proxy=http://127.0.0.1:9 https_proxy=http://127.0.0.1:9 ALL_PROXY=http://127.0.0.1:9"
# shellcheck disable=SC2086,SC2016 # words; the box's
prints "a proxy of the host's is nobody's in a box, nor while its environment is made" "from afar" \
	env $proxies igloo run --allow allowed.test -- sh -c 'echo "$AFAR$http_proxy$ALL_PROXY"'
cd "$T/project" || exit 1

# --- what the flake asked for -------------------------------------------------------------------------------------------

if python3 -c 'import pexpect' 2>/dev/null; then
	sed -i 's|^    devShells\.|    igloo = { allow = [ "allowed.test" "other.test" ]; };\n&|' flake.nix
	python3 -c 'import pexpect, sys
child = pexpect.spawn(sys.argv[1], sys.argv[2:], timeout=60)
child.expect(r"\[y/N\] "); child.sendline("y"); child.expect(pexpect.EOF)' igloo run -- true
	start --allow a.wild.test
	is "what was asked for and granted" "$(get "$box" allowed.test)$(get "$box" other.test)" "served by 9.9.9.10served by 9.9.9.10"
	ok "one host of it is denied" igloo deny allowed.test
	is "at once for a box that runs" "$(get "$box" allowed.test)" ""
	is "the others stay" "$(get "$box" other.test)$(get "$box" a.wild.test)" "served by 9.9.9.10served by 9.9.9.10"
	ok "all of it is taken back" igloo deny --requests
	is "that, too" "$(get "$box" other.test)" ""
	is "what the user gave stays" "$(get "$box" a.wild.test)" "served by 9.9.9.10"
	stop
	start --grant-requests
	ok "something else is allowed" igloo allow a.wild.test
	is "--grant-requests: kept" "$(get "$box" allowed.test)$(get "$box" a.wild.test)" "served by 9.9.9.10served by 9.9.9.10"
	ok "and denied for the box" igloo deny --box "$box" allowed.test
	is "--grant-requests: denied" "$(get "$box" allowed.test)" ""
	igloo deny a.wild.test
	stop
else
	skip "what the flake asked for" "python3-pexpect"
fi

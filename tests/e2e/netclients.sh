#!/bin/bash
# Real clients in a box: curl, wget, git over https and ssh, node, Python, Nix, DNS tools, and one of QUIC; each to a host
# that is allowed and to one that is not. Real servers answer (network/services.py), and a look at every frame that came
# to their host judges.
here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
[[ ${NETWORK_WORLD-} ]] || NETWORK_SERVICES=1 exec "$here/network/world.sh" bash "$here/netclients.sh"
. "$here/lib.sh"
. "$here/network/lib.sh"

cp "$W/ssh/client" "$W/ssh/known_hosts" "$P/"
# ssh takes no key that others can read.
cat >"$P/ssh" <<EOT
#!/usr/bin/env bash
install -m 600 $P/client ~/key
exec ssh -i ~/key -o UserKnownHostsFile=$P/known_hosts -o StrictHostKeyChecking=yes -o BatchMode=yes \\
	-o ConnectTimeout=10 "\$@"
EOT
cp "$here/network/"{clients.mjs,clients.py,tlsprobe.py} "$P/"
chmod +x "$P/ssh"
mkproject project bash coreutils libc-bin git python3 python3-requests nodejs curl wget bind9-dnsutils openssh-client \
	ngtcp2-client nix-bin
for variable in CURL_CA_BUNDLE NODE_EXTRA_CA_CERTS GIT_SSL_CAINFO SSL_CERT_FILE REQUESTS_CA_BUNDLE; do
	box_options+=(--env "$variable=$CA")
done
box_options+=(--env "GIT_SSH_COMMAND=$P/ssh" --env GIT_TERMINAL_PROMPT=0 --env "GIT_CONFIG_GLOBAL=/dev/null"
	--env GIT_AUTHOR_NAME=t --env GIT_AUTHOR_EMAIL=t@example.org --env GIT_COMMITTER_NAME=t --env GIT_COMMITTER_EMAIL=t@example.org)
in_box() { igloo run "${box_options[@]}" --allow code.test --allow code.test:22 -- "$@"; }

try in_box gtlsclient --help
is "an environment with clients" "$code" 0
is "the servers are there" "$(curl -s http://code.test/ http://closed.test/; curl -s --cacert "$CA" https://closed.test/)" \
	"served by 9.9.9.11
served by 9.9.9.21
served by 9.9.9.21"
quic=$(sed -n 's/^.* -> //p' < <(readlink -f "$(in_box bash -c 'command -v gtlsclient')" | sed 's/^/ -> /'))
is "and QUIC's" "$("$quic" -q --exit-on-all-streams-close --download="$T" 9.9.9.21 443 https://closed.test/hello >/dev/null 2>&1
	cat "$T/hello")" "from afar"

# --- each client, both hosts ------------------------------------------------------------------------------------------

# both NAME WANTED COMMAND: the command, with HOST in it, prints WANTED (a pattern) for the allowed host; for the other
# one it fails, and nobody comes there.
both()
{
	from_now
	try in_box bash -c "${3//HOST/code.test}"
	# shellcheck disable=SC2053 # a pattern
	if [[ $code == 0 && $out == $2 ]]; then
		pass "$1"
	else
		fail "$1" "exit code $code, stdout: $out
stderr: $err
$(tail -n "+$log_from" "$W/log")"
	fi
	try in_box bash -c "${3//HOST/closed.test}"
	# shellcheck disable=SC2053 # a pattern
	if [[ $code != 0 && $out != $2 && $err == *closed.test*igloo\ allow\ closed.test* ]]; then
		pass "$1: not to another host"
	else
		fail "$1: not to another host" "exit code $code, stdout: $out
stderr: $err"
	fi
	nothing_came "$1"
	is "$1: nothing but TCP" "$(came '"what": "packet"')" 0
}

served="served by 9.9.9.11"
both "curl, HTTP/1.1" "$served*1.1" 'curl -sS -m 10 --http1.1 -w "%{http_version}" https://HOST/'
both "curl, HTTP/2" "$served*2" 'curl -sS -m 10 -w "%{http_version}" https://HOST/'
is "curl: ALPN was its own" "$(came '"alpn": "h2"')" 1
both "curl, http" "$served" 'curl -sS -m 10 http://HOST/'
both "curl, a large upload and answer" "20000000 took 20000000" 'curl -sS -m 60 https://HOST/big -o /tmp/big &&
	echo $(stat -c %s /tmp/big) $(curl -sS -m 60 --data-binary @/tmp/big https://HOST/)'
both "wget" "$served" 'wget -q -T 10 -t 1 --ca-certificate="$SSL_CERT_FILE" -O - https://HOST/'
both "git over https" "from afar" 'git clone -q https://HOST/git/repo.git /tmp/clone && cat /tmp/clone/hello'
both "git over https: fetch" "*refs/heads/main" 'cd /tmp && git init -q fetched && cd fetched &&
	git fetch -q https://HOST/git/repo.git main:main && git for-each-ref --format="%(objectname) %(refname)"'
both "git over https: push" pushed 'cd /tmp && git clone -q https://HOST/git/repo.git pushing && cd pushing &&
	head -c 3000000 /dev/urandom >large && git add -A && git commit -qm https && git push -q origin HEAD:refs/heads/by-https && echo pushed'
is "which arrived" "$(git -c safe.directory='*' -C "$W/git/repo.git" log -1 --format=%s by-https 2>&1)" https
both "git over ssh" "from afar" 'git clone -q git@HOST:repo.git /tmp/clone && cat /tmp/clone/hello'
both "git over ssh: push" pushed 'cd /tmp && git clone -q git@HOST:repo.git pushing && cd pushing &&
	echo more >hello && git commit -qam ssh && git push -q origin HEAD:refs/heads/by-ssh && echo pushed'
is "which arrived, by ssh" "$(git -c safe.directory='*' -C "$W/git/repo.git" log -1 --format=%s by-ssh 2>&1)" ssh
both "ssh" "hello from afar" "$P/ssh git@HOST echo hello from afar"
both "scp" "from afar" "scp -q -S $P/ssh git@HOST:repo.git/description /tmp/d && test -s /tmp/d && echo from afar"
for how in fetch http https http2 websocket; do
	both "node, $how" "*9.9.9.11*" "node $P/clients.mjs $how HOST"
done
for how in urllib requests asyncio http_client; do
	both "python, $how" "*9.9.9.11*" "python3 $P/clients.py $how HOST"
done
both "getent" "198.1[89].*" "getent ahosts HOST"
both "getent, IPv4" "198.1[89].*" "getent ahostsv4 HOST"
both "dig" "198.1[89].*" "dig +short HOST | grep ."
both "dig over TCP" "198.1[89].*" "dig +tcp +short HOST | grep ."
both "nslookup" "*Address*198.1[89].*" "nslookup HOST"
try in_box getent ahostsv6 code.test
is "getent: no IPv6" "$(grep -v '^::ffff:' <<<"$out")" ""
try in_box dig +short +time=1 +tries=1 @9.9.9.53 code.test
is "dig @another server" "$((code != 0)) $(grep -x '[0-9.]*' <<<"$out")" "1 "
try in_box dig +tls +time=1 +tries=1 @9.9.9.53 code.test
is "dig +tls" "$((code != 0))" 1
try in_box dig +https +time=1 +tries=1 @9.9.9.53 code.test
is "dig +https" "$((code != 0))" 1
from_now
ends "git over ssh: a port that is not allowed" 128 igloo run "${box_options[@]}" --allow code.test -- git ls-remote git@code.test:repo.git
is "nobody came there" "$(came '"port": 22')" 0

# --- Nix in a box: a binary cache -------------------------------------------------------------------------------------

hello=$(in_box bash -c 'readlink -f "$(command -v wget)"')
hello=$(cut -d / -f 1-4 <<<"$hello")
export NIX_CONFIG=$HOST_NIX
ok "a binary cache" nix copy --to "file://$W/www/cache" "$hello"
unset NIX_CONFIG
both "nix copy from a binary cache" "Usage: wget*" "nix --extra-experimental-features nix-command --option build-users-group '' copy \\
	--no-check-sigs --from http://HOST/cache --to /tmp/store $hello 2>/tmp/err || { cat /tmp/err >&2; exit 1; }
	test -x /tmp/store$hello/bin/wget && echo Usage: wget"

# --- HTTP/2: a connection for one name is not used for another ----------------------------------------------------------

from_now
try in_box node "$P/clients.mjs" coalesce code.test closed.test
like "HTTP/2: another :authority in the connection is answered by the allowed host, if by any" "$out" "*9.9.9.11*"
try in_box node "$P/clients.mjs" misdirect code.test closed.test
is "HTTP/2: another server name to the same address" "$((code != 0)) $out" "1 "
nothing_came "HTTP/2"

# --- TLS of odd shapes --------------------------------------------------------------------------------------------------

from_now
in_box python3 "$P/tlsprobe.py" code.test clos.test >"$T/out" 2>"$T/err" </dev/null
results "TLS" "$T/out"
is "TLS: as many connections came as were let through" "$(came '"what": "connect"') $(came '"sni": "clos.test"' '"sni": null')" "10 0"
like "TLS: another name is named" "$(<"$T/err")" "*denied: code.test:443: TLS for another name (clos.test)*"
like "TLS: none is named" "$(<"$T/err")" "*denied: code.test:443: no TLS with a readable name*"
nothing_came "TLS"

# --- QUIC ---------------------------------------------------------------------------------------------------------------

from_now
start=$SECONDS
try in_box bash -c 'gtlsclient -q --handshake-timeout=3s --timeout=3s --exit-on-all-streams-close --download=/tmp code.test 443 \
	https://code.test/hello; [[ ! -e /tmp/hello ]] && curl -sS -m 10 --alt-svc /tmp/alt https://code.test/ https://code.test/; cat /tmp/alt'
like "QUIC goes nowhere, TCP does" "$out" "$served
$served*h2 code.test 443 h3 *"
if ((SECONDS - start < 15)); then pass "soon"; else fail "soon" "$((SECONDS - start)) s"; fi
for to in 9.9.9.11 9.9.9.21 closed.test; do
	try in_box gtlsclient -q --handshake-timeout=1s --timeout=1s --exit-on-all-streams-close --download=/tmp $to 443 https://closed.test/hello
	is "QUIC to $to" "$out" ""
done
is "not a datagram came" "$(came '"what": "packet"' '"what": "udp"')" 0
is "and over TCP" "$(came '"alpn": "h2"')" 1
nothing_came "QUIC"

#!/bin/bash
# Secrets bound to hosts: the server gets the value, the box never has it. The servers are network/bound.py, which note
# down what they were sent; the clients are the usual ones. See docs/secrets.md.
here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
[[ ${NETWORK_WORLD-} ]] || NETWORK_BOUND=1 exec "$here/network/world.sh" bash "$here/bound.sh"
. "$here/lib.sh"

W=$NETWORK_WORLD
real=$(<"$W/token-30")
second=$(<"$W/token-31")
# What the broker verifies servers by; boxes trust it no more than anybody.
export SSL_CERT_FILE=$W/ca.pem

mkproject project bash coreutils git python3 nodejs curl
ends "an environment" 0 igloo run -- true
igloo secret set TOKEN <"$W/token-30"
igloo secret set SECOND <"$W/token-31"

bind=(--secret TOKEN@api.test)
in_box() { igloo run "${bind[@]}" -- "$@"; }
# sent FILTER: what the servers got, by a Python expression over `r`, one request a line.
sent() { python3 -c 'import json, sys
for line in open(sys.argv[1]):
    r = json.loads(line); h = {k.lower(): v for k, v in r["headers"]}
    if eval(sys.argv[2]): print(eval(sys.argv[3]))' "$W/bound.log" "$1" "$2"; }

# --- the placeholder --------------------------------------------------------------------------------------------------

try in_box sh -c 'echo $TOKEN'
if [[ $out =~ ^igloo_TOKEN_[0-9a-f]{32}$ ]]; then pass "the box has a placeholder"; else fail "the box has a placeholder" "$out $err"; fi
first=$out
try in_box sh -c 'echo $TOKEN'
is "another in each box" "$([[ $out != "$first" ]]; echo $?)" 0
bind=(--secret TOKEN@api.test=API_TOKEN --env API_TOKEN=mine)
like "of another name, in the place of --env" "$(in_box sh -c 'echo $TOKEN$API_TOKEN')" "igloo_TOKEN_*"
bind=(--secret TOKEN@api.test)
says "an address" 125 "*TOKEN*9.9.9.30*" igloo run --secret TOKEN@9.9.9.30 -- true
says "a wildcard" 125 "*TOKEN*bound to '*.test'*" igloo run --secret 'TOKEN@*.test' -- true
says "port 80" 125 "*port 80 is not encrypted*" igloo run --secret TOKEN@api.test:80 -- true
says "a secret that does not exist" 125 "*NOPE*" igloo run --secret NOPE@api.test -- true
says "bound and not bound" 125 "*two secrets for the variable TOKEN*" igloo run --secret TOKEN --secret TOKEN@api.test -- true
says "a file" 125 "*file cannot be bound*" igloo run --secret-file TOKEN@api.test -- true
says "without a network" 125 "*--offline*" igloo run --offline "${bind[@]}" -- true
printf 'two\nlines\n' | igloo secret set LINES2
says "a value that no header can hold" 125 "*'LINES2' can stand in no header*" igloo run --secret LINES2@api.test -- true
SSL_CERT_FILE=$W/nothing says "no authorities" 125 "*$W/nothing*" igloo run "${bind[@]}" -- true

# --- clients ----------------------------------------------------------------------------------------------------------

# shellcheck disable=SC2016 # expanded in the box
{
	prints "curl, a bearer token" "good token for 9.9.9.30" in_box sh -c \
		'curl -sS -m 10 -H "Authorization: Bearer $TOKEN" https://api.test/who'
	prints "curl, an API key" "good token for 9.9.9.30" in_box sh -c 'curl -sS -m 10 -H "x-api-key: $TOKEN" https://api.test/who'
	prints "curl, Basic" "good token for 9.9.9.30" in_box sh -c 'curl -sS -m 10 -u "me:$TOKEN" https://api.test/who'
	prints "curl, HTTP/1.0" "good token for 9.9.9.30" in_box sh -c 'curl -0sS -m 10 -u "me:$TOKEN" https://api.test/who'
	prints "curl, a connection kept alive" "1 0 0 " in_box sh -c \
		'curl -sS -m 10 -w "%{num_connects} " -u "me:$TOKEN" -o /dev/null https://api.test/who -o /dev/null https://api.test/who -o /dev/null https://api.test/show'
	prints "curl, HEAD" "200" in_box sh -c 'curl -sSI -m 10 -o /dev/null -w "%{http_code}\n" -u "me:$TOKEN" https://api.test/who'
	prints "curl, the version" "1.1" in_box sh -c 'curl -sS -m 10 -o /dev/null -w "%{http_version}\n" https://api.test/who'
	prints "curl, a certificate of the box's own" "igloo box" in_box sh -c \
		'curl -svm 10 https://api.test/who 2>&1 | grep -o "issuer: CN=igloo box" | cut -d= -f2'
	prints "without the placeholder" "no good token" in_box sh -c 'curl -sS -m 10 https://api.test/who'
	prints "python" "good token for 9.9.9.30" in_box python3 -c '
import os, urllib.request
r = urllib.request.Request("https://api.test/who", headers={"Authorization": "Bearer " + os.environ["TOKEN"]})
print(urllib.request.urlopen(r, timeout=10).read().decode().strip())'
	prints "node" "good token for 9.9.9.30" in_box node -e '
require("https").get("https://api.test/who", {headers: {authorization: "Bearer " + process.env.TOKEN}},
	r => r.pipe(process.stdout)).on("error", e => console.log(e))'
	prints "node, fetch" "good token for 9.9.9.30" in_box node -e '
fetch("https://api.test/who", {headers: {"X-Api-Key": process.env.TOKEN}}).then(r => r.text()).then(console.log, console.log)' \
		|| true
	prints "git clone with the placeholder as password" "from afar" in_box sh -c \
		'git clone -q "https://box:$TOKEN@api.test/git/repo.git" /tmp/r && cat /tmp/r/hello'
	prints "git push" "pushed" in_box sh -c 'git clone -q "https://box:$TOKEN@api.test/git/repo.git" /tmp/r && cd /tmp/r &&
		head -c 3000000 /dev/urandom >big && git add big && git -c user.name=t -c user.email=t@t commit -qm big &&
		git push -q origin HEAD:refs/heads/pushed && echo pushed'
	is "what was pushed is there" "$(git -c safe.directory='*' -C "$W/bound-git/repo.git" log -1 --format=%s pushed)" big
	try in_box sh -c 'GIT_TERMINAL_PROMPT=0 git ls-remote https://box:wrong@api.test/git/repo.git'
	is "git with another password" "$code" 128
}

# --- bodies, and what HTTP has beside them ------------------------------------------------------------------------------

# shellcheck disable=SC2016
{
	try in_box sh -c 'head -c 30000000 /dev/urandom >/tmp/up; sha256sum </tmp/up
		curl -sS -m 60 -T /tmp/up -u "me:$TOKEN" https://api.test/take
		curl -sS -m 60 -T - -u "me:$TOKEN" https://api.test/take </tmp/up
		curl -sS -m 60 --data-binary @/tmp/up -H "Expect: 100-continue" https://api.test/take'
	sum=${out%%  -*}
	is "30 MB with a length, chunked, after 100 Continue" "${out#*$'\n'}" "PUT 30000000 $sum
PUT 30000000 $sum
POST 30000000 $sum"
	prints "20 MB down" 20971520 in_box sh -c 'curl -sS -m 60 https://api.test/big | wc -c'
	prints "a slow reader" 20971520 in_box sh -c 'curl -sS -m 60 --limit-rate 8M https://api.test/big | wc -c'
	prints "an answer in drops" 20 in_box sh -c 'curl -sSN -m 60 https://api.test/drip | grep -c drip'
	prints "pipelined" "3 good" in_box python3 -c '
import os, socket, ssl
s = ssl.create_default_context().wrap_socket(socket.create_connection(("api.test", 443)), server_hostname="api.test")
head = "GET /who HTTP/1.1\r\nHost: api.test\r\nX-Api-Key: %s\r\n%%s\r\n" % os.environ["TOKEN"]
s.sendall((head % "" + head % "" + head % "Connection: close\r\n").encode())
data = b"".join(iter(lambda: s.recv(65536), b""))
print(data.count(b"good token"), "good")'
	prints "64 connections at once" 64 in_box sh -c 'seq 64 | xargs -P 64 -I_ curl -sS -m 60 -u "me:$TOKEN" https://api.test/who | grep -c good'
}

# --- where it is replaced -----------------------------------------------------------------------------------------------

# shellcheck disable=SC2016
{
	try in_box sh -c 'echo "$TOKEN"; curl -sS -m 10 -H "Authorization: Bearer $TOKEN" -A "$TOKEN" -b "c=$TOKEN" -H "Proxy-Authorization: $TOKEN" \
		-d "body=$TOKEN" "https://api.test/take?$TOKEN" >/dev/null'
	holder=$out
	is "in a credential's header only" "$(sent 'r["path"].startswith("/take?")' 'h["authorization"], h["user-agent"], h["cookie"], h["proxy-authorization"], r["path"]')" \
		"('Bearer $real', '$holder', 'c=$holder', '$holder', '/take?$holder')"
	try in_box sh -c 'curl -sS -m 10 -X TRACE -H "Authorization: $TOKEN" https://api.test/show'
	like "not in TRACE" "$out" "*cannot pass: TRACE*"
	try in_box sh -c 'curl -sS -m 10 -H "Host: second.test" -H "Authorization: $TOKEN" https://api.test/show'
	like "not for another Host" "$out" "*cannot pass: second.test*"
	try in_box sh -c 'curl -sS -m 10 -H "Upgrade: websocket" -H "Connection: Upgrade" -H "Authorization: $TOKEN" https://api.test/show'
	like "no upgrade" "$out" "*cannot pass: an Upgrade*"
	is "the server saw none of them" "$(sent 'r["path"] == "/show" and h.get("authorization") == "'"$real"'"' 'h')" ""
	bind=(--secret TOKEN@api.test --allow second.test)
	prints "at another host it means nothing" "no good token" in_box sh -c 'curl -skS -m 10 -H "X-Api-Key: $TOKEN" https://second.test/who'
	try in_box sh -c 'curl -sS -m 10 https://second.test/who'
	is "whose TLS is untouched" "$code" 60
	try in_box sh -c 'curl -skS -m 10 -H "X-Api-Key: $TOKEN" https://api.test:8443/who; curl -sS -m 10 -H "X-Api-Key: $TOKEN" http://api.test/who'
	is "nor on another port, nor without TLS" "$out" ""
	bind=(--secret TOKEN@api.test --allow api.test --allow api.test:8443)
	try in_box sh -c 'curl -skS -m 10 -H "X-Api-Key: $TOKEN" https://api.test:8443/who; curl -sS -m 10 -H "X-Api-Key: $TOKEN" http://api.test/who'
	is "and not where that is allowed" "$out" "no good token
no good token"
	is "what came there" "$(sent 'r["port"] in (80, 8443) or r["at"] == "9.9.9.31"' 'h["x-api-key"][:12]' | sort -u)" igloo_TOKEN_
	bind=(--secret TOKEN@api.test:8443)
	prints "a port of its own" "good token for 9.9.9.30" in_box sh -c 'curl -sS -m 10 -H "X-Api-Key: $TOKEN" https://api.test:8443/who'
	bind=(--secret TOKEN@api.test --secret SECOND@second.test)
	prints "two hosts, two secrets" "good token for 9.9.9.30
good token for 9.9.9.31
no good token
no good token" in_box sh -c 'for t in "$TOKEN api" "$SECOND second" "$SECOND api" "$TOKEN second"; do
		curl -sS -m 10 -H "Authorization: Bearer ${t% *}" https://${t#* }.test/who; done'
	bind=(--secret TOKEN@api.test --secret TOKEN@second.test)
	try in_box sh -c 'for h in api second; do curl -sS -m 10 -H "X-Api-Key: $TOKEN" https://$h.test/who; done'
	is "one secret, two hosts" "$(sent 'r["path"] == "/who" and h.get("x-api-key") == "'"$real"'"' 'r["at"]' | tail -n 2)" "9.9.9.30
9.9.9.31"
}

# --- servers that are not who they should be ------------------------------------------------------------------------------

# shellcheck disable=SC2016
for bad in "api.test:8441 certificate has expired" "api.test:8442 unable to get local issuer certificate" "mis.match.test:443 hostname mismatch"; do
	bind=(--secret "TOKEN@${bad%% *}")
	try in_box sh -c 'curl -sS -m 10 -w "%{http_code}" -H "X-Api-Key: $TOKEN" https://'"${bad%% *}/who"
	like "${bad#* }: said in the box" "$out" "igloo: ${bad%% *}: nothing was sent to it, its certificate is not trusted: *${bad#* }*502"
	like "${bad#* }: and afterwards" "$err" "*denied: ${bad%% *}: *${bad#* }*"
done
is "nothing came to them" "$(sent 'r["port"] in (8441, 8442)' 'h')" ""
like "igloo why" "$(igloo why)" "*api.test:8441*certificate*"

# --- where the value is not ---------------------------------------------------------------------------------------------

bind=(--secret TOKEN@api.test)
box=bound-$$
igloo run --detach --name $box "${bind[@]}" -- bash -c '
	echo "placeholder $TOKEN"; while :; do curl -s -m 10 -H "X-Api-Key: $TOKEN" https://api.test/show; sleep 0.2; done' >/dev/null
ok "a box whose server shows the value" within 20 bash -c 'igloo logs "$1" | grep -q "^X-Api-Key: "' - $box
is "its log has the name instead" "$(igloo logs $box | grep '^X-Api-Key: ' | sort -u | tr -d '\r')" "X-Api-Key: [secret TOKEN]"
inspected=$(igloo inspect $box)
like "inspect names it, and the host" "$inspected" '*"api.test:443"*"name":*"TOKEN"*'
is "the variable is there for igloo exec" "$(igloo exec $box -- sh -c 'echo ${#TOKEN}')" 44
says "igloo exec binds nothing" 125 "*when the box is made*" igloo exec --secret SECOND@second.test $box -- true
# Of the box's processes, what the test may read: their environment, and all their memory.
cat >"$T/look.py" <<'EOT'
import os, sys
needle = sys.argv[1].encode()
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        if needle in open(f"/proc/{pid}/environ", "rb").read():
            print("environ", pid, open(f"/proc/{pid}/comm").read())
        if int(pid) == os.getpid():
            continue
        for line in open(f"/proc/{pid}/maps"):
            place, mode, *_ = line.split()
            if mode[0] == "r" and "[v" not in line:
                start, end = (int(x, 16) for x in place.split("-"))
                with open(f"/proc/{pid}/mem", "rb", 0) as f:
                    f.seek(start)
                    if needle in f.read(end - start):
                        print("memory", pid, open(f"/proc/{pid}/comm").read(), line)
    except (OSError, ValueError):
        pass
EOT
igloo exec $box -- mkdir -p /tmp/look
igloo exec $box -- tee /tmp/look/look.py <"$T/look.py" >/dev/null
# The needle is given in two halves, so that it is in nobody's arguments.
is "no process of the box has it (but what the server showed curl)" "$(igloo exec $box -- sh -c \
	'python3 - "$@" <<EOT
import sys
sys.argv = ["look", sys.argv[1] + sys.argv[2]]
exec(open("/tmp/look/look.py").read())
EOT' - "${real:0:12}" "${real:12}" | grep -v curl)" ""
is "no file of the box has it" "$(igloo exec $box -- sh -c 'grep -rlsF "$1$2" /etc /run /tmp /home "$PWD" | head' - "${real:0:12}" "${real:12}")" ""
found() { grep -rlsaF -e "$real" "$XDG_STATE_HOME" "$XDG_CACHE_HOME" "$XDG_RUNTIME_DIR" "$T/project" /dev/shm "$T/tmp"; }
is "nothing that igloo wrote has it" "$(found)" ""
brokers() { pgrep -x igloo-secrets; }
broker=$(brokers)
is "one broker" "$(wc -w <<<"$broker")" 1
is "the broker: no root, no privilege, a filter" "$(sed -n 's/^\(CapEff\|CapBnd\|NoNewPrivs\|Seccomp\):\s*//p' "/proc/$broker/status" | tr '\n' ' ')" \
	"0000000000000000 0000000000000000 1 2 "
is "the broker is not dumped" "$(tr '\0' '\n' 2>/dev/null <"/proc/$broker/environ" | grep -c =)" 0
authority=$(igloo exec $box -- cat /etc/box/ca-bundle.crt | awk '/BEGIN CERT/ { text = "" } { text = text $0 "\n" } END { printf "%s", text }' |
	openssl x509 -noout -text)
like "the authority is for this host alone" "$authority" "*Name Constraints: critical*DNS:api.test*IP:0.0.0.0/0.0.0.0*"
like "and for no other authority" "$authority" "*CA:TRUE, pathlen:0*"

# Java wants a file of its own, and finds it by a variable.
like "JAVA_TOOL_OPTIONS" "$(igloo exec $box -- sh -c 'echo $JAVA_TOOL_OPTIONS')" "-Djavax.net.ssl.trustStore=/etc/box/ca-bundle.jks *"
igloo exec $box -- cat /etc/box/ca-bundle.jks >"$T/ca.jks"
if command -v keytool >/dev/null; then
	is "the file for Java has all of them" "$(keytool -list -keystore "$T/ca.jks" -storetype JKS </dev/null 2>/dev/null | grep -c trustedCertEntry)" \
		"$(igloo exec $box -- grep -c BEGIN /etc/ssl/certs/ca-certificates.crt)"
else
	skip "the file for Java has all of them" "Java's keytool"
fi
is "other variables" "$(igloo exec $box -- sh -c 'for v in SSL_CERT_FILE NODE_EXTRA_CA_CERTS GIT_SSL_CAINFO CURL_CA_BUNDLE REQUESTS_CA_BUNDLE PIP_CERT; do
	eval echo \$$v; done' | sort -u)" /etc/ssl/certs/ca-certificates.crt
bind+=(--env PIP_CERT=/mine)
is "what the user set stays" "$(in_box sh -c 'echo $PIP_CERT')" /mine
is "a box without such a secret has none of this" "$(igloo run -- sh -c 'echo "$JAVA_TOOL_OPTIONS$CURL_CA_BUNDLE"; ls /etc/box; cat /etc/ssl/certs/ca-certificates.crt' | grep -c 'ca-bundle\|igloo box\|/etc/ssl')" 0

# --- a policy that changes, a broker that ends ------------------------------------------------------------------------------

# shellcheck disable=SC2016
hold='
import os, socket, ssl, sys, time
s = ssl.create_default_context().wrap_socket(socket.create_connection(("api.test", 443)), server_hostname="api.test")
s.sendall(("GET /who HTTP/1.1\r\nHost: api.test\r\nX-Api-Key: %s\r\n\r\n" % os.environ["TOKEN"]).encode())
data = b""
while b"good token for" not in data:
    data += s.recv(65536)
print(data.decode().split("\r\n")[0], flush=True)
s.recv(65536) if not data.endswith(b"\n") else None
s.settimeout(20)
try:
    print("end" if s.recv(1) == b"" else "more")
except ssl.SSLError:
    print("end")
except OSError as e:
    print(type(e).__name__)'
held() { igloo exec "$box" -- python3 -c "$hold" >"$T/held" 2>&1 & }
held
ok "a connection stays open" within 20 grep -q "200 OK" "$T/held"
ok "igloo deny --box" igloo deny --box $box api.test:443
wait $!
is "what is open is closed" "$(tail -n 1 "$T/held")" end
is "and nothing new" "$(igloo exec $box -- curl -s -m 5 https://api.test/who)" ""
ok "igloo allow --box" igloo allow --box $box api.test
is "allowed again: the secret is put in again" "$(igloo exec $box -- sh -c 'curl -sS -m 10 -H "X-Api-Key: $TOKEN" https://api.test/who')" "good token for 9.9.9.30"
held
ok "a connection stays open" within 20 grep -q "200 OK" "$T/held"
kill -KILL "$broker"
wait $!
is "a killed broker ends its connections" "$(tail -n 1 "$T/held")" end
is "nothing goes there without it" "$(igloo exec $box -- curl -s -m 5 https://api.test/who)" ""
igloo allow --box $box second.test
is "other hosts are reached" "$(igloo exec $box -- curl -sk -m 10 https://second.test/who)" "no good token"
like "igloo why says so" "$(igloo why $box)" "*api.test:443*the process that has its secret has ended*"
igloo stop $box >/dev/null 2>&1
igloo rm $box >/dev/null 2>&1
ok "no broker is left" within 10 bash -c '! pgrep -x igloo-secrets'
is "nothing that igloo wrote has it" "$(found)" ""

# --- a flake that asks ------------------------------------------------------------------------------------------------------

cat >>flake.nix <<'EOT'
EOT
sed -i 's/^  }/  }/; s/^  outputs = { self, nixpkgs }: let$/&/; s/^  in {$/  in { igloo = { secrets = [ "TOKEN@api.test" ]; };/' flake.nix
git commit -qam 'asks'
says "it is asked for" 125 "*secret   TOKEN@api.test (in requests to that host*--secret TOKEN@api.test*" igloo run -- true
# shellcheck disable=SC2016
prints "granted" "good token for 9.9.9.30" igloo run --grant-requests -- sh -c 'curl -sS -m 10 -H "X-Api-Key: $TOKEN" https://api.test/who'
# shellcheck disable=SC2016
like "what the user says of the secret is the answer" "$(igloo run --secret TOKEN@second.test -- sh -c 'echo $TOKEN')" "igloo_TOKEN_*"
hidden=$(cat "$T/stderr")
is "no error had the value" "$(grep -cF -e "$real" -e "$second" <<<"$hidden")" 0

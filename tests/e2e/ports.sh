#!/bin/bash
# Forwarded ports: from this machine's loopback to the box's. --publish, igloo ports, and what becomes of them.
. "$(dirname "$0")/lib.sh"

mkproject project coreutils python3
# Two ports that nobody has; more come from here.
next_port=$((20000 + RANDOM % 20000))
free_port()
{
	until ! (exec 3<>"/dev/tcp/127.0.0.1/$next_port") 2>/dev/null; do next_port=$((next_port + 1)); done
	port=$next_port
	next_port=$((next_port + 1))
}
get() { curl -sS -g -m 20 --noproxy '*' "$@"; }
answers() { [[ $(get "http://$1/word" 2>/dev/null) == word ]]; }
closed() { ! (exec 3<>"/dev/tcp/$1/$2") 2>/dev/null; }
# serve NAME ARGUMENT...: a box that serves the project's folder on its 127.0.0.1:8000.
serve()
{
	local name=$1
	shift
	igloo run -d --name "$name" "$@" -- python3 -m http.server --bind 127.0.0.1 8000
}
echo -n word >word
ok "an environment" igloo run -- true

# --- from start to end ------------------------------------------------------------------------------------------------

free_port
a=$port
free_port
b=$port
ok "a box with ports" serve one -p "$a:8000" --publish "127.0.0.1:$b:8000"
if within 10 answers "127.0.0.1:$a"; then pass "127.0.0.1 of the host"; else fail "127.0.0.1 of the host" "$(get "http://127.0.0.1:$a/word" 2>&1; igloo logs one)"; fi
if [[ -e /proc/net/if_inet6 ]]; then
	ok "[::1] of the host" answers "[::1]:$a"
	ok "only the address that is spelled out" closed ::1 "$b"
else
	skip "[::1] of the host" "a kernel with IPv6"
fi
ok "an address that is spelled out" answers "127.0.0.1:$b"
ok "not another address of the loopback" closed 127.0.0.2 "$a"
own=$(hostname -I 2>/dev/null | tr ' ' '\n' | grep -m 1 -F .)
if [[ $own ]]; then
	ok "not another address of the host" closed "$own" "$a"
else
	skip "not another address of the host" "an address that is not the loopback's"
fi
like "igloo ls" "$(igloo ls)" "*PORTS*$a->8000, $b->8000*"
is "igloo inspect" "$(igloo inspect one | python3 -c 'import json, sys
for p in json.load(sys.stdin)["ports"]: print(p["addresses"][0], p["host"], p["guest"])')" "127.0.0.1 $a 8000
127.0.0.1 $b 8000"
prints "igloo ports" "$a->8000
$b->8000" igloo ports one
like "igloo ports ls --json" "$(igloo ports one ls --json)" '{"box":"one","ports":\[{"addresses":\["127.0.0.1"*"schema":"igloo.ports/1"}'
says "a port that another box has" 125 "*port 127.0.0.1:$a is in use by box 'one'*hint:*0:9*" igloo run -p "$a:9" -- true

# --- much -------------------------------------------------------------------------------------------------------------

head -c $((96 << 20)) /dev/urandom >big
is "96 MiB come whole" "$(get "http://127.0.0.1:$a/big" | sha256sum)" "$(sha256sum <big)"
seq 200 | sed "s|.*|url = \"http://127.0.0.1:$a/word?&\"\noutput = \"$T/got-&\"|" >"$T/urls"
ok "200 connections at once" curl -sS --noproxy '*' -m 60 --no-keepalive -Z --parallel-immediate --parallel-max 200 -K "$T/urls"
is "and each has its answer" "$(cat "$T"/got-* | wc -c)" 800

# --- run time ---------------------------------------------------------------------------------------------------------

free_port
c=$port
ok "igloo ports add" igloo ports one add "$c:8000"
ok "it leads there" answers "127.0.0.1:$c"
says "the same again" 125 "*port $c: the box forwards it already*" igloo ports one add "$c:7"
says "a port of another program" 125 "*in use by box 'one'*" igloo run -p "127.0.0.1:$c:7" -- true
ok "igloo ports rm" igloo ports one rm "$c"
ok "it is closed" closed 127.0.0.1 "$c"
like "and no longer shown" "$(igloo ports one)" "$a->8000*$b->8000"
says "rm of what is not there" 125 "*does not forward '$c'*" igloo ports one rm "$c"
try igloo ports one add 0:8000
like "any port" "$out" "*[0-9]->8000"
any=$(tail -n 1 <<<"$out")
any=${any%->*}
ok "it leads there, too" answers "127.0.0.1:$any"
ok "nobody is there in the box: add" igloo ports one add "$c:7"
# Accepted and then reset; curl may see that while it connects (7), or later (56).
try get "http://127.0.0.1:$c/word"
like "nobody is there in the box: refused" "$code" "@(7|56)"
for spec in 0 80:0 a:1 1.2.3.4:80 localhost:1:2 ::1:1:2 1:2:3 ''; do
	says "bad input: '$spec'" 125 "*port '$spec': *hint: *" igloo ports one add "$spec"
done
free_port
d=$port
says "several, one of which the box has: none" 125 "*port $a: the box forwards it already*" igloo ports one add "$d:8000" 0:8000 "$a:1"
is "none of them" "$(igloo ports one | grep -c .)" 4
ok "the first is closed" closed 127.0.0.1 "$d"
ok "several at once" igloo ports one add "$d:8000" 0:8000
is "both are there" "$(igloo ports one | grep -c .)" 6
ok "the first answers" answers "127.0.0.1:$d"
says "rm of several, one of which is not there: none" 125 "*does not forward '1'*" igloo ports one rm "$d" 1
is "all are there" "$(igloo ports one | grep -c .)" 6
ok "rm of several" igloo ports one rm "$d" "$any"
ok "they are closed" closed 127.0.0.1 "$d"
says "which verb" 2 "*hint: say: igloo ports BOX*" igloo ports one go
says "which port" 2 "*which port?*" igloo ports one rm

# --- the ends ---------------------------------------------------------------------------------------------------------

exec 4<>"/dev/tcp/127.0.0.1/$a"
ok "stopped" igloo stop one
ok "its ports are closed" closed 127.0.0.1 "$a"
if read -r -t 10 -u 4; [[ $? -le 128 ]]; then pass "its connections end"; else fail "its connections end"; fi
exec 4<&-
like "and are not shown" "$(igloo inspect one)" '*"ports":\[\]*'
ok "removed" igloo rm one
ok "the ports are free for another box" serve two -p "$a:8000"
ok "it answers" within 10 answers "127.0.0.1:$a"
supervisor=$(igloo inspect two | python3 -c 'import json, sys; print(json.load(sys.stdin)["supervisor"])')
kill -KILL "$supervisor"
ok "the supervisor was killed: closed" within 10 closed 127.0.0.1 "$a"
igloo rm two >/dev/null 2>&1

# One answer, and the box ends with it: nothing of it is lost.
cat >once.py <<'END'
import socket
s = socket.create_server(("127.0.0.1", 8000))
c, _ = s.accept()
c.sendall(open("big", "rb").read())
END
igloo run -p "$a:8000" -- python3 once.py 2>"$T/once.err" &
once=$!
for _ in {1..200}; do
	(exec 5<>"/dev/tcp/127.0.0.1/$a" && cat <&5 >"$T/once") 2>/dev/null
	[[ ! -s $T/once ]] || break
	sleep 0.05
done
wait "$once"
is "what a server sent before it ended arrives" "$(sha256sum <"$T/once")" "$(sha256sum <big)"

# --- other ways -------------------------------------------------------------------------------------------------------

cat >six.py <<'END'
import socket
s = socket.create_server(("::1", 8000), family=socket.AF_INET6)
while True:
    c, _ = s.accept()
    c.recv(1000)
    c.sendall(b"HTTP/1.0 200 OK\r\n\r\nword")
    c.close()
END
try igloo --json run -d --offline --name six -p 0:8000 -- python3 six.py
any=$(python3 -c 'import json, sys; print(json.load(sys.stdin)["ports"][0]["host"])' <<<"$out")
if within 10 answers "127.0.0.1:$any"; then pass "--offline, and a server of [::1]"; else fail "--offline, and a server of [::1]" "$out $err"; fi
igloo stop six >/dev/null && igloo rm six >/dev/null
try igloo run -p 0:8000 -- true
like "any port is said" "$err" "*port [1-9]*->8000*"
try igloo --json run -p 0:8000 -- true
like "and with --json" "$err" '*"box":*"ports":\[{*"guest":8000,"host":[1-9]*'

python3 -c 'import socket, sys, time
s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1], flush=True); time.sleep(600)' >"$T/other" &
other=$!
within 10 test -s "$T/other"
taken=$(<"$T/other")
says "a port of another program" 125 "*port 127.0.0.1:$taken is in use by python3* (pid $other)*" igloo run -p "$taken:1" -- true
kill "$other"
wait "$other" 2>/dev/null
says "twice" 125 "*the same port of the host twice*" igloo run -p "$a:1" -p "[::1]:$a:2" -- true
says "an address that the host lacks" 125 "*192.0.2.77:$a: this host has no such address*" igloo run -p "192.0.2.77:$a:1" -- true
if python3 -c 'import socket; socket.create_server(("127.0.0.1", 81))' 2>&1 | grep -q '^PermissionError'; then
	says "a port that needs a privilege" 125 "*needs a privilege*hint:*8081:80*ip_unprivileged_port_start=81*" \
		igloo run -p 81:80 -- true
else
	skip "a port that needs a privilege" "a user who may not bind port 81"
fi

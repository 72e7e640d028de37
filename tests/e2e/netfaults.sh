#!/bin/bash
# Faults around a box's network: few descriptors, a resolver that answers with noise, servers that refuse, floods, grants
# that race with denials. In the network of network/world.sh.
here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
[[ ${NETWORK_WORLD-} ]] || exec "$here/network/world.sh" bash "$here/netfaults.sh"
. "$here/lib.sh"
. "$here/network/lib.sh"

mkproject project bash coreutils python3 curl
get() { igloo exec "$1" -- python3 "$P/probe.py" get "${@:2}" 2>/dev/null; }
box=faults-$$
start() { igloo run --detach --name "$box" "${box_options[@]}" "$@" -- sleep 600 >/dev/null </dev/null; }
stop() { igloo stop "$box" && igloo rm "$box"; } >/dev/null 2>&1
supervisor() { igloo inspect "$1" | grep -oE '"supervisor": ?[0-9]+' | grep -oE '[0-9]+$'; }
engine() { pgrep -P "$(supervisor "$1")" -x igloo-net; }
# high PID: the most memory it ever had, in MiB.
high() { awk '/^VmHWM:/ {print int($2 / 1024)}' "/proc/$1/status"; }
ends "the environment" 0 igloo run -- true

# --- few descriptors --------------------------------------------------------------------------------------------------

many='for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do curl -s -m 20 http://allowed.test/ & done; wait'
for limit in 64 256 1024; do
	try bash -c "ulimit -n $limit; exec igloo run --allow allowed.test -- sh -c '$many'" </dev/null
	is "at most $limit descriptors: a box's network works" "$code $(grep -c "served by 9.9.9.10" <<<"$out")" "0 20"
done
# The forwarded port is reached while the box runs.
for limit in 64 256; do
	bash -c "ulimit -n $limit; exec igloo run --detach --name $box -p 0:8000 -- python3 -m http.server 8000" >/dev/null 2>"$T/err" </dev/null
	port=$(igloo ports "$box" | grep -oE '[0-9]+->' | head -n 1 | tr -d '>-')
	ok "at most $limit descriptors: a forwarded port works" within 20 curl -s -m 5 --noproxy '*' "http://127.0.0.1:$port/"
	n=$((limit / 6))
	seq $n | sed "s|.*|url = \"http://127.0.0.1:$port/?&\"\noutput = /dev/null|" >"$T/urls"
	ok "at most $limit descriptors: $n connections at once" curl -sS --noproxy '*' -m 60 -Z --parallel-immediate --parallel-max $n -K "$T/urls"
	stop
done
try bash -c "ulimit -n 24; exec igloo run --allow allowed.test -- curl -s -m 20 http://allowed.test/" </dev/null
if [[ ($code == 0 && $out == *served*) || $err == *"open files"* || $err == *descriptors* ]]; then
	pass "24 descriptors: it works, or says why not"
else
	fail "24 descriptors: it works, or says why not" "$code: $out$err"
fi

# --- names and servers ------------------------------------------------------------------------------------------------

start --allow '*.noise.test:7' --allow allowed.test --allow allowed.test:81 --allow allowed.test:5432 --allow closed.test \
	--allow allowed.test:2601 --allow many.test
is "the box has a network" "$(get "$box" allowed.test)" "served by 9.9.9.10"
igloo exec "$box" -- python3 "$P/probe.py" noise >"$T/noise" 2>"$T/err"
results noise "$T/noise"
is "and it still has after noise" "$(get "$box" allowed.test)" "served by 9.9.9.10"
is "a server that refuses" "$(get "$box" allowed.test 81)" ""
is "a server that is not there" "$(get "$box" closed.test)" ""
is "a server that resets" "$(get "$box" allowed.test 2601)" ""
is "10 000 addresses" "$(get "$box" many.test)" "served by 9.9.9.10"
like "igloo why tells them apart" "$(igloo why "$box")" "*allowed.test:81: cannot be reached (Connection refused)*"

# --- floods -----------------------------------------------------------------------------------------------------------

engine=$(engine "$box")
for flood in "flood_names 20000" "flood_connections allowed.test 5432 50000"; do
	# shellcheck disable=SC2086 # words
	igloo exec "$box" -- python3 "$P/probe.py" $flood >"$T/flood" 2>"$T/err"
	results "${flood%% *}" "$T/flood"
	ok "${flood%% *}: the box's network works again" within 15 bash -c "[[ \$(igloo exec '$box' -- python3 '$P/probe.py' get allowed.test) == served* ]]"
	mib=$(high "$engine")
	if ((mib < 96)); then pass "${flood%% *}: the engine stays small ($mib MiB)"; else fail "${flood%% *}: the engine stays small" "$mib MiB"; fi
	is "${flood%% *}: it is the same engine" "$(engine "$box")" "$engine"
done
mib=$(high "$(supervisor "$box")")
if ((mib < 64)); then pass "and its supervisor ($mib MiB)"; else fail "and its supervisor" "$mib MiB"; fi
stop

# --- grants racing with denials ---------------------------------------------------------------------------------------

start --allow other.test
igloo exec "$box" -- python3 "$P/probe.py" hammer flip.test 7777 "$PWD/stop" >"$T/through" 2>&1 &
hammer=$!
racers=()
# Each several times at once, of the box and of the repository, and entries that need routes or a listener, too.
for entry in flip.test:7777 10.0.0.5:80 allowed.test flip.test:7777; do
	{
		for _ in {1..12}; do
			igloo allow --box "$box" "$entry" || echo "allow --box $entry: $?"
			igloo deny --box "$box" "$entry" || echo "deny --box $entry: $?"
		done 2>&1
	} >>"$T/racers" &
	racers+=($!)
done
{
	for _ in {1..12}; do
		igloo allow wild.test || echo "allow: $?"
		igloo deny wild.test || echo "deny: $?"
	done 2>&1
} >>"$T/racers" &
racers+=($!)
wait "${racers[@]}"
touch stop
wait $hammer
rm -f stop
# One loop's denial may find that another's has taken the entry back already.
is "no loop failed" "$(grep -vE 'not allowed|: 125$|hint|added|removed|^$' "$T/racers" | head -n 5)" ""
is "what was denied last is closed" "$(get "$box" flip.test 80)$(get "$box" 10.0.0.5)$(get "$box" allowed.test)" ""
is "what nobody touched is open" "$(get "$box" other.test)" "served by 9.9.9.10"
ok "and it can be granted again" igloo allow --box "$box" allowed.test
is "it is" "$(get "$box" allowed.test)" "served by 9.9.9.10"

# --- the end of the engine, with work under way -----------------------------------------------------------------------

engine=$(engine "$box")
igloo exec "$box" -- python3 "$P/probe.py" wait_end allowed.test 80 "$PWD/opened" >"$T/end" 2>&1 &
waiter=$!
appears opened $waiter
kill -KILL "$engine"
wait $waiter
like "a killed engine: its connections end" "$(<"$T/end")" "*@(end|ConnectionResetError*)"
says "a killed engine: a grant says that there is no network" 125 "*no network any more*" igloo allow --box "$box" other.test:8080
stop
start --allow allowed.test
get "$box" allowed.test >/dev/null
engine=$(engine "$box")
guest=$(igloo inspect "$box" | grep -oE '"guest": ?[0-9]+' | grep -oE '[0-9]+$')
kill -KILL "$(supervisor "$box")"
ok "a killed supervisor: engine and box end" within 5 bash -c "! kill -0 $engine && ! kill -0 $guest"

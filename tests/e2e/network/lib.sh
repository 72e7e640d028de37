# shellcheck shell=bash
# What tests in the network of world.sh share, on top of ../lib.sh. What came to the servers is in their log, whatever the
# box believes. A test begins with
#
#     here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
#     [[ ${NETWORK_WORLD-} ]] || exec "$here/network/world.sh" bash "$here/NAME.sh"
#     . "$here/lib.sh"
#     . "$here/network/lib.sh"
#
# and has $W, the folder of world.sh; $P, a folder with probe.py and ca.pem that boxes get by box_options; $CA in it.

W=$NETWORK_WORLD
P=$T/probe
# shellcheck disable=SC2034 # the tests use it
CA=$P/ca.pem
mkdir "$P"
cp "${BASH_SOURCE[0]%/*}/probe.py" "$W/ca.pem" "$P/"
box_options=(--share-ro "$P")

# probe NAME [ARGUMENT...]: a probe in a box with the options in `allow`; its lines become this test's.
allow=()
probe()
{
	igloo run "${box_options[@]}" "${allow[@]}" -- python3 "$P/probe.py" "$@" >"$T/out" 2>"$T/err" </dev/null
	results "$1" "$T/out"
}
results()
{
	local line n=0
	while IFS= read -r line; do
		case $line in
		"ok "*) pass "$1: ${line#ok }" ;;
		"not ok "*) fail "$1: ${line#not ok }" ;;
		*) continue ;;
		esac
		n=$((n + 1))
	done <"$2"
	# The last words of a program that died.
	if ((n == 0)) || grep -q '^Traceback' "$T/err"; then
		fail "$1: the probe ended early" "$(tail -n 20 "$2" "$T/err")"
	fi
}

# aside NAME [ARGUMENT...] / joined NAME: the same beside what follows, and its end.
aside()
{
	igloo run "${box_options[@]}" "${allow[@]}" -- python3 "$P/probe.py" "$@" >"$T/$1.out" 2>"$T/$1.err" </dev/null &
	eval "pid_$1=$!"
}
joined()
{
	local pid=pid_$1
	wait "${!pid}"
	cp "$T/$1.err" "$T/err"
	results "$1" "$T/$1.out"
}

# from_now / came WHERE...: how many lines of the servers' log since then have one of these.
# What is on its way to the servers is of before: their log is quiet by then.
log_from=1
from_now()
{
	local before
	for _ in {1..30}; do
		before=$(wc -l <"$W/log")
		sleep 0.3
		[[ $before != "$(wc -l <"$W/log")" ]] || break
	done
	log_from=$(($(wc -l <"$W/log") + 1))
}
came()
{
	local pattern words=()
	for pattern; do words+=(-e "$pattern"); done
	tail -n "+$log_from" "$W/log" | grep -cF "${words[@]}"
}
at() { printf '"at": "%s"' "$1"; }
# nothing_came NAME [EXCEPT...]: nobody was where no box may go, since from_now.
nothing_came()
{
	local a found=
	for a in 9.9.9.20 9.9.9.21 2620:fe::20 10.0.0.5 10.0.0.6 169.254.169.254 fd00::5 127.0.0.1 ::1 9.9.9.1 2620:fe::1 8.8.8.8; do
		[[ " ${*:2} " == *" $a "* || $(came "$(at $a)") == 0 ]] || found+=" $a"
	done
	if [[ $found ]]; then
		fail "$1: nobody came to a forbidden place" "to$found:
$(tail -n "+$log_from" "$W/log" | grep -vE '"what": "dns"|"at": "9.9.9.1[01]"' | tail -n 20)"
	else
		pass "$1: nobody came to a forbidden place"
	fi
}

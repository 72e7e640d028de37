#!/bin/bash
# The canary, through the network: a command that has a secret tries to send it where it may not, by every way there is. No
# frame that reached the far host has it, nobody was asked for it, and igloo wrote it nowhere.
here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
[[ ${NETWORK_WORLD-} ]] || NETWORK_SERVICES=1 exec "$here/network/world.sh" bash "$here/netcanary.sh"
. "$here/lib.sh"
. "$here/network/lib.sh"

mkproject project bash coreutils python3 curl bind9-dnsutils
project=$PWD
canary=canary$RANDOM$RANDOM$RANDOM
cp "$here/network/leak.py" "$P/"
printf %s "$canary" | igloo secret set TOKEN
ends "an environment" 0 igloo run -- true

# forms: what the canary looks like when it is sent, one a line.
forms()
{
	printf '%s\n' "$canary" "${canary^^}" "$(printf %s "$canary" | od -An -tx1 | tr -d ' \n')"
	# base64, at each of the three ways to begin in the middle of a text.
	python3 -c '
import base64, sys
for n in range(3):
    print(base64.b64encode(bytes(n) + sys.argv[1].encode()).decode()[4 if n else 0:-4])' "$canary"
}
forms >"$T/forms"
# has FILE...: the files with the canary in them, in any form; shows: as it is, which is all that igloo promises of texts.
has() { grep -laiF -f "$T/forms" -r "$@" 2>/dev/null; }
shows() { grep -laiF -e "$canary" -r "$@" 2>/dev/null; }
# written: what igloo wrote, and what processes of the host show.
written()
{
	shows --exclude-dir=secrets --exclude-dir=tmp "$XDG_STATE_HOME" "$XDG_CACHE_HOME" "$XDG_RUNTIME_DIR" "$XDG_CONFIG_HOME" \
		"$project" /dev/shm
	shows /proc/[0-9]*/cmdline
	return 0
}
is "the test sees what is sent" "$(curl -s -m 5 "http://code.test/$canary" -o /dev/null; has "$W/frames" "$W/log" | wc -l)" 2

# Both were the test's own doing.
: >"$W/frames"
: >"$W/log"
from_now
igloo run "${box_options[@]}" --name leak --allow code.test --allow allowed.test:7777 --secret TOKEN -- python3 "$P/leak.py" \
	>"$T/leak.out" 2>"$T/leak.err" </dev/null
is "every way was tried" "$(grep -c '^tried ' "$T/leak.out") $(tail -n 1 "$T/leak.out")" "$(grep -c '^def way_' "$P/leak.py") done"
is "not a frame on the wire has it" "$(has "$W/frames")" ""
is "no server was asked for it" "$(has "$W/log")" ""
is "no datagram came" "$(came '"what": "packet"' '"what": "udp"')" 0
nothing_came "leaks"
is "igloo wrote it nowhere" "$(written)" ""
is "nor does it say it: the end of the box" "$(shows "$T/leak.err")" ""
for command in "why" "why --json" "why leak" "ls" "ls --json" "allow --ls"; do
	# shellcheck disable=SC2086 # words
	igloo $command >"$T/said" 2>&1
	is "igloo $command" "$(shows "$T/said")" ""
done

# A detached box: its state, logs and denials are read while it runs.
igloo run --detach --name leaks "${box_options[@]}" --allow code.test --secret TOKEN -- \
	bash -c 'python3 "$0"; echo "$TOKEN"; sleep 600' "$P/leak.py" >/dev/null </dev/null
ok "a detached box" within 60 bash -c 'igloo logs leaks | grep -q "^done"'
is "igloo wrote it nowhere, while it runs" "$(written)" ""
igloo why leaks >"$T/said" 2>&1
igloo logs leaks >>"$T/said" 2>&1
igloo inspect leaks --json >>"$T/said" 2>&1
is "nor says it" "$(shows "$T/said")" ""
like "but what was denied is there" "$(<"$T/said")" "*closed.test*"
like "a name that had it is there without" "$(<"$T/said")" "*[[]secret TOKEN].closed.test: name not allowed*"
igloo stop leaks >/dev/null 2>&1
is "not a frame on the wire has it, still" "$(has "$W/frames")" ""
is "igloo wrote it nowhere, after it" "$(written)" ""

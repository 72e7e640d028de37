#!/bin/bash
# Secrets: `igloo secret`, --secret and --secret-file; and the canary: a value is found nowhere but where it belongs.
. "$(dirname "$0")/lib.sh"

mkproject project jq hello
project=$PWD
secrets=$XDG_CONFIG_HOME/igloo/secrets
canary=canary-$RANDOM$RANDOM$RANDOM-egassem
# hides NAME TEXT: the canary is not in the text.
hides()
{
	if [[ $2 == *"$canary"* ]]; then
		fail "$1" "$2"
	else
		pass "$1"
	fi
}

ok "the environment is resolved" igloo run -- true

# -- igloo secret ------------------------------------------------------------------------------------

set_to() # NAME VALUE
{
	printf %s "$2" | igloo secret set "$1"
}

prints "none yet" '{"schema":"igloo.secrets/1","secrets":[]}' igloo secret ls --json
says "a secret that is not there, and none is" 125 "*no secret 'TOKEN'*there is none yet*" igloo run --secret TOKEN -- true
ok "a value from stdin" set_to TOKEN "$canary"
is "modes" "$(stat -c '%a %U' "$secrets" "$secrets/TOKEN" | xargs)" "700 $(id -un) 600 $(id -un)"
says "a value is no argument" 125 '*not taken as an argument*' igloo secret set TOKEN "arg-$canary"
hides "and is not repeated" "$err"
says "an empty value" 125 '*empty*' igloo secret set TOKEN
says "a name" 125 "*'A-B' is no name*" igloo secret set A-B
ends "64 KiB" 0 bash -c "head -c 65536 /dev/zero | tr '\\0' a | igloo secret set LARGE"
says "more" 125 '*larger than*' bash -c "head -c 65537 /dev/zero | tr '\\0' a | igloo secret set LARGE"
ok "a command" igloo secret set FROM_COMMAND --command -- printf '%s\n' "from a command"
ok "one that fails" igloo secret set FAILS --command -- bash -c 'echo reason >&2; exit 3'
ok "one that says nothing" igloo secret set SILENT --command -- true
says "no such program" 125 "*no program 'no-such-program'*" igloo secret set OTHER --command -- no-such-program
says "no command" 125 '*which command*' igloo secret set OTHER --command
is "the list" "$(igloo secret ls -q | xargs)" "FAILS FROM_COMMAND LARGE SILENT TOKEN"
try igloo secret ls
like "the list for people" "$out" '*TOKEN * kept value*'
hides "without values" "$out"
is "where from" "$(igloo secret ls --json | python3 -c '
import json, sys
print(*[(s["name"], s["from"], s["command"] and s["command"][0]) for s in json.load(sys.stdin)["secrets"]][1:3])')" \
	"('FROM_COMMAND', 'command', 'printf') ('LARGE', 'value', None)"
is "completion" "$(igloo __complete secrets | xargs)" "FAILS FROM_COMMAND LARGE SILENT TOKEN"
chmod 640 "$secrets/TOKEN"
says "a file that is open to others" 125 '*open to other users*chmod 600*' igloo run --secret TOKEN -- true
like "the list says so" "$(igloo secret ls)" '*TOKEN *refused: *'
chmod 600 "$secrets/TOKEN"
chmod 755 "$secrets"
says "a folder that is open to others" 125 '*open to other users*chmod 700*' igloo run --secret TOKEN -- true
chmod 700 "$secrets"
mv "$secrets/TOKEN" "$T/elsewhere" && ln -s "$T/elsewhere" "$secrets/TOKEN"
says "a link" 125 '*TOKEN*' igloo run --secret TOKEN -- true
rm "$secrets/TOKEN" && mv "$T/elsewhere" "$secrets/TOKEN"

# -- the prompt --------------------------------------------------------------------------------------

# prompt NAME ACTION...: `igloo secret set NAME` on a pty. Actions: text to type; ^C. Prints what the terminal showed,
# whether it echoes at the end, and how igloo ended.
prompt()
{
	python3 - "$@" <<'END'
import os, pty, select, subprocess, sys, termios
master, slave = pty.openpty()
child = subprocess.Popen(["igloo", "secret", "set", sys.argv[1]], stdin=slave, stdout=slave, stderr=slave,
                         start_new_session=True, preexec_fn=lambda: __import__("fcntl").ioctl(0, termios.TIOCSCTTY, 0))
shown = b""
for action in sys.argv[2:]:
    seen = len(shown)
    while b"(not shown): " not in shown[seen:] and select.select([master], [], [], 20)[0]:
        shown += os.read(master, 4096)
    os.write(master, b"\x03" if action == "^C" else action.encode() + b"\n")
status = child.wait(20)
while select.select([master], [], [], 0.2)[0]:
    shown += os.read(master, 4096)
echo = bool(termios.tcgetattr(slave)[3] & termios.ECHO)
print(f"echo={echo} status={status} {shown!r}")
END
}
out=$(prompt PROMPTED "typed-$canary" "typed-$canary")
like "a prompt, twice" "$out" 'echo=True status=0 *Value of PROMPTED (not shown)*again (not shown)*'
hides "what is typed is not shown" "$out"
like "two that differ" "$(prompt OTHER one two)" 'echo=True status=125 *differ*'
like "SIGINT at the prompt restores the terminal" "$(prompt OTHER ^C)" 'echo=True status=-2 *'
prints "what was typed" "typed-$canary" igloo run --secret PROMPTED -- bash -c 'echo "$PROMPTED"'
says "what differed or was interrupted is not kept" 125 "*no secret 'OTHER'*" igloo secret rm OTHER

# -- what a box gets ---------------------------------------------------------------------------------

prints "a variable" "$canary" igloo run --secret TOKEN -- bash -c 'echo "$TOKEN"'
prints "of another name" "$canary " igloo run --secret TOKEN=GH_TOKEN -- bash -c 'echo "$GH_TOKEN $TOKEN"'
prints "in place of one that --env sets" "$canary" igloo run --env TOKEN=other --secret TOKEN -- printenv TOKEN
prints "of a command" "from a command" igloo run --secret FROM_COMMAND -- printenv FROM_COMMAND
prints "of 64 KiB" 65536 igloo run --secret LARGE -- bash -c 'echo ${#LARGE}'
prints "nothing without being asked" "" igloo run -- bash -c 'echo "${TOKEN-}"; ls /run/secrets 2>/dev/null; :'
prints "from the caller's environment" "mine" env ONLY_HERE=mine igloo run --secret ONLY_HERE -- printenv ONLY_HERE
says "one that is not there" 125 "*no secret 'TOKN'*there are:*TOKEN*" igloo run --secret TOKN -- true
says "a command that fails" 125 "*secret 'FAILS'*reason*" igloo run --secret FAILS -- true
says "a command that says nothing" 125 "*secret 'SILENT'*printed nothing*" igloo run --secret SILENT -- true
says "two for a variable" 125 '*two secrets for the variable X*' igloo run --secret TOKEN=X --secret LARGE=X -- true
says "no name of a variable" 125 "*no name of a variable*--secret-file*" igloo run --secret TOKEN=/tmp/x -- true

prints "a file" "$canary" igloo run --secret-file TOKEN -- cat /run/secrets/TOKEN
prints "of the box's user alone" "700 igloo 400 igloo" igloo run --secret-file TOKEN -- \
	bash -c 'stat -c "%a %U" /run/secrets /run/secrets/TOKEN | xargs'
prints "which nobody changes" "no no no no" igloo run --secret-file TOKEN -- bash -c '
	for c in "echo x >/run/secrets/TOKEN" "rm -f /run/secrets/TOKEN" "chmod 644 /run/secrets/TOKEN" "mv /run/secrets /run/x"; do
		(eval "$c") 2>/dev/null && echo yes || echo no
	done | xargs'
prints "at another place" "$canary no" igloo run --secret-file TOKEN=~/.config/tool/token -- \
	bash -c 'echo "$(cat ~/.config/tool/token) $(rm -f ~/.config/tool/token 2>/dev/null && echo yes || echo no)"' 
printf '\0\1\n\n' | igloo secret set BYTES
prints "any bytes" "00010a0a" igloo run --secret-file BYTES -- bash -c 'od -An -tx1 /run/secrets/BYTES | tr -d " "'
says "but not in a variable" 125 '*zero byte*--secret-file BYTES*' igloo run --secret BYTES -- true
printf 'one\ntwo\n' | igloo secret set LINES2
prints "lines stay" "8" igloo run --secret-file LINES2 -- bash -c 'wc -c </run/secrets/LINES2'
says "not in the workspace" 125 '*no file of a secret can be at*' igloo run --secret-file TOKEN="$HOME/x/../y" -- true
says "nor elsewhere" 125 '*below /run, /tmp or the home*' igloo run --secret-file TOKEN=/etc/token -- true
mkdir -p /tmp/e2e-share-$$
says "nor in a share" 125 '*a folder of the host that the box shares*' \
	igloo run --share-rw /tmp/e2e-share-$$ --secret-file TOKEN=/tmp/e2e-share-$$/x -- true
rmdir /tmp/e2e-share-$$
prints "as a file by =file" "$canary -" igloo run --secret TOKEN=file -- bash -c 'echo "$(cat /run/secrets/TOKEN) ${TOKEN--}${file-}"'
prints "of a command, by =file" "from a command" igloo run --secret FROM_COMMAND=file -- cat /run/secrets/FROM_COMMAND
prints "of a command, as a file" "from a command" igloo run --secret-file FROM_COMMAND=/tmp/c -- cat /tmp/c
prints "FILE is a variable" "$canary" igloo run --secret TOKEN=FILE -- printenv FILE
says "by =file, one that is not there" 125 "*no secret 'TOKN'*" igloo run --secret TOKN=file -- true
says "a command that fails, by =file" 125 "*secret 'FAILS'*reason*" igloo run --secret FAILS=file -- true
prints "both" "$canary $canary" igloo run --secret TOKEN --secret-file TOKEN --secret-file TOKEN=/tmp/t -- \
	bash -c 'echo "$TOKEN $(cat /tmp/t)"'

# -- the canary --------------------------------------------------------------------------------------

# found: everything that igloo can have written, and what processes show, with the canary in it.
found()
{
	local place
	for place in "$XDG_STATE_HOME" "$XDG_CACHE_HOME" "$XDG_RUNTIME_DIR" "$TMPDIR" "$project" "$T"/*.log /dev/shm \
		"$XDG_CONFIG_HOME"; do
		grep -rlaF --exclude-dir=secrets -e "$canary" "$place" 2>/dev/null
	done
	grep -laF -e "$canary" /proc/[0-9]*/cmdline 2>/dev/null
	return 0
}

# environs: processes outside of the box that have the canary in their environment.
environs()
{
	local file
	for file in /proc/[0-9]*/environ; do
		[[ $(readlink "${file%environ}ns/pid" 2>/dev/null) != "$(readlink /proc/self/ns/pid)" ]] ||
			! grep -qaF -e "$canary" "$file" 2>/dev/null || echo "$file"
	done
}

# The box's command has both, and waits; it shows what it has without writing it anywhere.
name=canary
ok "a box that stays" igloo run --detach --name $name --secret TOKEN --secret-file TOKEN=~/.token --env PLAIN=plain -- \
	bash -c 'trap "exit 0" TERM; [[ $TOKEN == canary-* && $(cat ~/.token) == "$TOKEN" ]] && echo both; while :; do sleep 0.1; done'
ok "has both" within 20 bash -c "igloo logs $name | grep -qx both"
is "nothing on the host has it" "$(found)" ""
is "no process of the host has it" "$(environs)" ""
hides "inspect does not" "$(igloo inspect $name --json)"
like "inspect names it" "$(igloo inspect $name --json)" '*"secrets":*{"name":"TOKEN","variable":"TOKEN"}*'
hides "nor do ls and env" "$(igloo ls; igloo ls --json; igloo env; igloo env --json)"
prints "a further command has --env's, not the variable" "plain " igloo exec $name -- bash -c 'echo "$PLAIN ${TOKEN-}"'
prints "unless it is given it" "$canary" igloo exec --secret TOKEN $name -- printenv TOKEN
says "one that is not there" 125 "*no secret 'TOKN'*" igloo exec --secret TOKN $name -- true
says "no more files" 125 "*a box that runs gets no more files*igloo run --secret-file TOKEN*" igloo exec --secret TOKEN=file $name -- true
says "nor by an option" 125 "*unknown option*" igloo exec --secret-file TOKEN $name -- true
core_limit() { grep '^Max core file size' "/proc/$1/limits" | awk '{print $5}'; }
supervisor=$(igloo inspect $name | python3 -c 'import json, sys; print(json.load(sys.stdin)["supervisor"])')
like "the supervisor leaves no core" "$(core_limit "$supervisor")" "[01]"
like "nothing in the box does" "$(igloo exec $name -- bash -c 'ulimit -c unlimited 2>/dev/null; cat /proc/self/limits' |
	awk '/^Max core/ {print $5, $6}')" "[01] [01]"
is "nothing on the host has it after exec" "$(found)" ""
# In the box: the command's environment (and that of the shell it waits in), the file, and nowhere else.
is "inside: the file, the command's environment, nothing else" "$(igloo exec $name -- bash -c '
	grep -rlaF -e "'"${canary%-*}"'-""egassem" / --exclude-dir=proc --exclude-dir=nix --exclude-dir=dev 2>/dev/null
	for f in /proc/[0-9]*/environ; do
		[[ $f == /proc/$$/* ]] || ! grep -qaF -e "'"${canary%-*}"'-""egassem" "$f" 2>/dev/null || cat "${f%environ}comm"
	done' | grep -vx sleep | sort | xargs)" \
	"/home/igloo/.token /run/secrets/TOKEN bash"
descriptors=$(for pid in $(igloo ls --json | python3 -c '
import json, sys
print(*[b["supervisor"] for b in json.load(sys.stdin)["boxes"]])'); do ls -l "/proc/$pid/fd"; done 2>/dev/null)
like "the supervisor has its descriptors" "$descriptors" '*socket*'
is "none of them the secret" "$(grep -c igloo-secret <<<"$descriptors")" 0
ok "it ends" igloo stop $name
is "nothing on the host has it after the box" "$(found)" ""
ok "the file's name may stay, its content does not" bash -c '! grep -rlaF -e "$1" "$2"' - "$canary" "$XDG_STATE_HOME"
igloo rm $name >/dev/null 2>&1

# A command that prints what it should not, in pieces too: the log has its name instead, who is attached sees it.
printf '%s\n' first-line-of-it second-line-of-it | igloo secret set LINES3
ok "a box that prints its secrets" igloo run --detach --name prints --secret TOKEN --secret LINES3 -- \
	bash -c 'echo "a $TOKEN b"; printf "c %s" "${TOKEN:0:9}"; sleep 0.3; echo "${TOKEN:9} d ${TOKEN:0:9} e"; echo "$LINES3"; echo -n "${TOKEN:0:9}"'
ok "ends" within 20 bash -c '[[ $(igloo ls --json) != *\"prints\"*\"running\"* ]] && igloo logs prints | grep -q "^.secret LINES3.$"'
ok "its end is written" within 20 bash -c '[[ $(igloo logs prints | tail -n 1) == "$1" ]]' - "${canary:0:9}"
is "its log names them" "$(igloo logs prints)" "a [secret TOKEN] b
c [secret TOKEN] d ${canary:0:9} e
[secret LINES3]
[secret LINES3]

${canary:0:9}"
is "nothing on the host has it" "$(found)" ""
igloo rm prints >/dev/null 2>&1

# In the foreground, beside the box's own life.
igloo run --name fore --secret TOKEN --secret-file TOKEN -- bash -c 'touch ready; while [[ ! -e go ]]; do sleep 0.05; done' \
	</dev/null >"$T/fore.log" 2>&1 &
pid=$!
ok "a box in the foreground" appears ready $pid
is "nothing on the host has it" "$(found)" ""
is "no process of the host has it" "$(environs)" ""
touch go && wait $pid
is "and afterwards" "$(found)" ""

# Crashes, with core files wanted: of the command, of igloo.
(
	ulimit -c unlimited 2>/dev/null
	igloo run --secret TOKEN --secret-file TOKEN -- bash -c 'ulimit -c unlimited; kill -SEGV $$' </dev/null >/dev/null 2>&1
	rm -f ready
	igloo run --secret TOKEN --secret-file TOKEN -- bash -c 'touch ready; sleep 600' </dev/null >/dev/null 2>&1 &
	appears ready $!
	kill -SEGV $!
	wait $!
	echo $?
) >"$T/crashed" 2>/dev/null
is "igloo crashed" "$(<"$T/crashed")" 139
is "and left no core file, nor did the command" "$(find "$project" "$T" -name 'core*' -type f -not -path '*/nix/*' -size +0)" ""
is "nothing on the host has it" "$(found)" ""

# A box that fails.
try igloo run -vv --secret TOKEN --secret-file TOKEN -- no-such-command
is "a command that is not there" "$code" 127
hides "not in errors nor in -vv" "$out$err"
is "nothing on the host has it" "$(found)" ""

prints "removed" $'TOKEN\nLARGE' igloo secret rm TOKEN LARGE
ok "its file is gone" test ! -e "$secrets/TOKEN"
says "and no more" 125 "*no secret 'TOKEN'*" igloo secret rm TOKEN

#!/bin/bash
# Boxes that stay: create, start, stop, shell; what is left when something is killed; definitions that are no good.
# Sandboxes, since they are fast; one machine at the end, where there is a kernel (see vm.sh).
. "$(dirname "$0")/lib.sh"

boxes=$XDG_STATE_HOME/igloo/boxes
status_of() { igloo ls -a | awk -v name="$1" '$1 == name {print ($2 ~ /^(sandbox|vm)$/) ? $3 : $2}'; }
supervisor() { igloo inspect "$1" | python3 -c 'import json, sys; print(json.load(sys.stdin)["supervisor"])'; }
gone() { ! kill -0 "$1" 2>/dev/null || [[ $(ps -o stat= -p "$1") == Z* ]]; }

mkproject project bash coreutils
mkdir sub data
project=$PWD

# -- what create refuses ------------------------------------------------------------------------------

says "no name" 125 '*what is the box to be called*igloo create NAME*' igloo create
says "no name of a box" 125 "*'A b' is not a name*" igloo create 'A b'
says "no such share" 125 "*share 'nowhere'*No such file*" igloo create x --share-ro nowhere
says "a port that is none" 125 '*port*' igloo create x -p 99999
says "--detach" 125 '*--detach*always*background*' igloo create x -d
says "what is a machine's" 125 '*--kernel*--in vm*' igloo create x --in sandbox --kernel /dev/null
says "what no machine has" 125 '*mirror*window*vnc*' igloo create x --in vm --display mirror
says "not in a repository" 125 '*flake.nix*' igloo create x -C "$HOME"
says "no such secret" 125 '*NOBODY*' igloo create x --secret NOBODY
says "two names" 125 '*two names*' igloo create x --name y
prints "nothing was made" "" igloo ls -aq

# -- created ------------------------------------------------------------------------------------------

prints "igloo create" web igloo create web --share-ro data --timeout 3600 -p 0:8000 --env GREETING=hello --env FROM_OUTSIDE -- \
	bash -c 'echo "$GREETING $FROM_OUTSIDE in $PWD"; sleep 1000'
prints "nothing runs" "" igloo ls -q
is "igloo ls -a" "$(status_of web)" created
is "the definition is the user's own" "$(stat -c %a "$boxes/web/definition.json")" 600
like "igloo inspect" "$(igloo inspect web)" '*"definition":{"command":\["bash","-c",*"options":\["--share-ro='"$project"'/data","--timeout=1h","--publish=0:8000","--env=GREETING=hello","--env=FROM_OUTSIDE"\]*"exitCode":null*'
like "igloo ls --json" "$(igloo ls -a --json)" '*"name":"web"*"running":false*"stays":true*'
prints "igloo logs: nothing yet" "" igloo logs web
says "exec: not running, and what to do" 125 "*'web' is not running*igloo start web*" igloo exec web -- true
says "attach: not running" 125 "*'web' is not running*igloo start web*" igloo attach web
says "the name is taken" 125 "*already a box called 'web'*igloo start web*igloo rm web*" igloo create web
says "for run, too" 125 "*already a box called 'web'*" igloo run --name web -- true
says "and for run --detach" 125 "*already a box called 'web'*" igloo run -d --name web -- true
prints "igloo rm --all leaves it" "" igloo rm --all
says "a box of igloo run is none that stays" 125 "*'once' is none that stays*igloo create*" bash -c 'igloo run -d --name once -- true; igloo start once'
igloo rm -f once >/dev/null
says "start: no such box" 125 "*no box called 'wep'*did you mean 'web'*" igloo start wep

# -- runs ---------------------------------------------------------------------------------------------

cd sub || exit 1
FROM_OUTSIDE=there prints "igloo start, from anywhere" web igloo start web
cd "$project" || exit 1
is "it runs" "$(status_of web)" running
ok "igloo logs" within 10 bash -c '[[ $(igloo logs web) == "hello there in '"$project"'" ]]'
prints "igloo exec" "$project" igloo exec web -- pwd
like "its ports" "$(igloo ports web)" '*->8000*'
says "igloo start again" 0 "*'web' runs already" igloo start web
says "igloo rm: it runs" 125 "*'web' is running*igloo stop web*" igloo rm web
says "igloo shell with options" 125 "*'web'*options*" igloo shell --memory 2G web
is "igloo shell in it" "$(igloo shell web 2>/dev/null <<<'echo "at $PWD"')" "at $project"
prints "igloo stop" "web stopped" igloo stop web
is "and it is there" "$(status_of web)" stopped
like "with what it wrote" "$(igloo logs web)" 'hello there*'
prints "igloo stop again" "web was not running" igloo stop web
slot_of() { igloo inspect web | python3 -c 'import json, sys; print(json.load(sys.stdin)["slot"])'; }
slot=$(slot_of)
prints "a second start" web igloo start web
is "returns to its slot" "$(slot_of)" "$slot"
prints "igloo rm --force" web igloo rm -f web
prints "igloo rm: nothing is left" "" ls -A "$boxes"

# -- without a command ----------------------------------------------------------------------------------

igloo create idle >/dev/null
says "igloo shell starts it, and says so" 0 "*starting box 'idle'*igloo stop idle*" bash -c "igloo shell idle <<<'exit 0'"
is "it runs on" "$(status_of idle)" running
prints "igloo exec" "bash" igloo exec idle -- bash -c 'echo bash'
prints "igloo logs: nothing" "" igloo logs idle
says "attach: it has nothing to attach to" 125 "*'idle' runs no command of its own*igloo shell idle*" igloo attach idle
prints "its end is no failure" "idle stopped" igloo stop idle
is "stopped" "$(status_of idle)" stopped
igloo start idle >/dev/null
pid=$(supervisor idle)
kill -TERM "$pid"
ok "the supervisor is told to end" within 10 gone "$pid"
is "stopped, too" "$(status_of idle)" stopped
igloo rm idle >/dev/null
igloo create brief --timeout 1s >/dev/null
igloo start brief >/dev/null
ok "--timeout" within 15 bash -c '[[ -z $(igloo ls -q) ]]'
igloo rm brief >/dev/null

# -- several, and at once -------------------------------------------------------------------------------

for box in one two three; do igloo create $box >/dev/null; done
prints "igloo start of several" $'one\ntwo' igloo start one two
says "one of them is not there" 125 "*no box called 'nine'*" igloo start nine three
is "the others run" "$(igloo ls -q | xargs)" "one three two"
prints "igloo stop of several" $'one stopped\ntwo stopped\nthree stopped' igloo stop one two three
for _ in 1 2 3 4 5; do igloo start one 2>>"$T/at-once" & done
wait
is "started five times at once: it runs once, the others say so" "$(grep -cE "'one' (runs already|is being started)" "$T/at-once")" 4
is "and runs" "$(igloo ls -q)" one
igloo rm -f one two three >/dev/null

# -- killed ---------------------------------------------------------------------------------------------

igloo create fragile -- sleep 1000 >/dev/null
igloo start fragile >/dev/null
pid=$(supervisor fragile)
kill -KILL "$pid"
ok "its supervisor is killed" within 10 gone "$pid"
is "it is stopped" "$(status_of fragile)" stopped
prints "and starts again" fragile igloo start fragile
igloo stop fragile >/dev/null
printf x >"$boxes/fragile/spec.json"
is "its state is damaged: it is still there" "$(status_of fragile)" stopped
prints "and starts" fragile igloo start fragile
igloo stop fragile >/dev/null
# A start that has to wait: the environment is new, and somebody else is evaluating.
begin_start()
{
	echo "# $1" >>flake.nix
	exec 5>>"$(echo "$XDG_STATE_HOME"/igloo/slots/project-*/resolve.lock)"
	flock 5
	igloo start fragile >"$T/start" 2>&1 5>&- &
	pid=$!
	ok "a start that takes long" within 10 bash -c '[[ $(igloo ls) == *fragile*starting* ]]'
}
begin_start 1
says "another says so" 0 "*'fragile' is being started by process $pid*" igloo start fragile
says "igloo rm: it is being started" 125 "*'fragile' is being started*" igloo rm fragile
prints "igloo stop ends it" "fragile stopped while it started" igloo stop fragile
wait $pid
is "by SIGTERM" $? 143
exec 5>&-
is "it is stopped" "$(status_of fragile)" stopped
begin_start 2
kill -KILL $pid
wait $pid 2>/dev/null
exec 5>&-
# A process that it forked may be there for a moment.
ok "a start that was killed left nothing" within 10 bash -c '[[ $(igloo stop fragile) == "fragile was not running" ]]'
prints "it can be started" fragile igloo start fragile
igloo rm -f fragile >/dev/null
git checkout -q flake.nix
# What create leaves when it is killed in the middle: a folder without a definition.
mkdir -m 700 "$boxes/half"
igloo ls -a >/dev/null
ok "a half-made box goes" test ! -e "$boxes/half"
mkdir -m 700 "$boxes/half"
prints "or is made" half igloo create half
igloo rm half >/dev/null

# -- definitions that are no good -----------------------------------------------------------------------

# spoiled WHAT PATTERN: after the function `spoil` was at the definition.
spoiled()
{
	igloo create spoilt -- true >/dev/null
	spoil "$boxes/spoilt/definition.json"
	says "$1" 125 "$2" igloo start spoilt
	is "$1: one message" "$(grep -c '^igloo:' <<<"$err")" 1
	is "$1: it is listed" "$(igloo ls -aq)" spoilt
	prints "$1: igloo rm" spoilt igloo rm spoilt
}
spoil() { : >"$1"; }
spoiled "an empty definition" "*box 'spoilt': its definition is damaged: the file is empty*hint: make it anew: igloo rm spoilt*"
spoil() { truncate -s 50 "$1"; }
spoiled "one that is cut off" "*'spoilt'*damaged*igloo rm spoilt*"
spoil() { head -c 3000 /dev/urandom >"$1"; }
spoiled "noise" "*'spoilt'*damaged*igloo rm spoilt*"
spoil() { sed -i 's,definition/1,definition/7,' "$1"; }
spoiled "a newer igloo's" "*'spoilt': a newer igloo defined it (version 7, and this igloo knows 1)*use that igloo*"
spoil() { sed -i 's/"options":\[\]/"options":["--no-such"]/' "$1"; }
spoiled "an option that is none" "*'spoilt'*'--no-such'*igloo rm spoilt*"
spoil() { truncate -s 2M "$1"; }
spoiled "a large one" "*'spoilt'*damaged: it is larger*"
spoil() { rm "$1"; mkdir "$1"; }
spoiled "a folder" "*'spoilt'*not a regular file*"
says "more than it may hold" 125 '*at most 4096*' igloo create many -- true {1..5000}
prints "nothing is left of that" "" igloo ls -aq

# -- paths that lead elsewhere by now ---------------------------------------------------------------------

mkdir -p "$HOME/private" moving
igloo create follows --share-rw data -- true >/dev/null
rmdir data && ln -s "$HOME/private" data
says "a share that became a link" 125 "*'follows': --share-rw: '$project/data' leads elsewhere now*igloo rm follows*" igloo start follows
rm data && mkdir data
prints "and is what it was" follows igloo start follows
igloo rm -f follows >/dev/null
mkproject other bash
cd "$project/moving" && igloo create wanders -- true >/dev/null
cd "$project" && rmdir moving && ln -s "$T/other" moving
says "the folder became a link" 125 "*'wanders': its folder '$project/moving' leads to another place*" igloo start wanders
rm moving
says "the folder is gone" 125 "*'wanders': its folder '$project/moving' cannot be opened*" igloo start wanders
igloo rm wanders >/dev/null

# -- names ----------------------------------------------------------------------------------------------

odd=$T/$'odd "name\' \n\xff'
mkdir "$odd" && cd "$odd" && cp "$project"/flake.* . && git init -q . && git add -A && git commit -qm x
prints "quotes, a newline and what is no UTF-8 in a path" odd igloo create odd -- printf '%s\n' $'\xfe'
prints "and in the command: it starts" odd igloo start odd
ok "it wrote what was meant" within 10 bash -c '[[ $(igloo logs odd) == $'"'\\xfe'"' ]]'
igloo stop odd >/dev/null
like "igloo ls shows it" "$(igloo ls -a)" '*odd*odd?"name*xff*'
prints "igloo rm" odd igloo rm odd
cd "$project" || exit 1

# -- start scripts ----------------------------------------------------------------------------------------

scripts=$HOME/.local/share/igloo
cd "$odd" || exit 1
says "igloo create --script: not where a box could write" 0 "*$scripts/start-scripted.sh starts it" \
	igloo create scripted --script --share-ro "$project/data" --env HIDDEN=value
ok "in a repository" test ! -e start-scripted.sh
mkdir "$T/here" && cd "$T/here" || exit 1
says "elsewhere: in the current folder" 0 "*$T/here/start-scripted.sh starts it" igloo create --script scripted
like "its header" "$(<start-scripted.sh)" "*repository: *read-only:*$project/data*--env=HIDDEN=...*"
ok "without values of variables" bash -c '! grep -q value start-scripted.sh'
cd / || exit 1
prints "it starts the box from anywhere" scripted "$T/here/start-scripted.sh"
says "and again" 0 "*'scripted' runs already" "$T/here/start-scripted.sh"
igloo stop scripted >/dev/null
cd "$T/here" || exit 1
says "of a box that is there: ours is replaced" 0 '*start-scripted.sh*' igloo create --script scripted
echo 'echo mine' >start-scripted.sh
says "another's is not" 125 "*start-scripted.sh' that igloo did not write*--yes*" igloo create --script scripted
is "and is as it was" "$(<start-scripted.sh)" 'echo mine'
says "but with --yes" 0 '*start-scripted.sh*' igloo create --script --yes scripted
like "it is written" "$(<start-scripted.sh)" '*exec "$igloo" start scripted "$@"'
rm start-scripted.sh && ln -s "$HOME/victim" start-scripted.sh
says "a link is not followed" 125 "*igloo did not write*" igloo create --script scripted
ok "it leads nowhere still" test ! -e "$HOME/victim"
says "a share that it can write is no place" 0 "*$scripts/start-writes.sh starts it" igloo create writes --script -C "$project" --share-rw "$T/here"
igloo rm scripted writes >/dev/null
cd "$project" || exit 1

# -- with the machine -------------------------------------------------------------------------------------

igloo create early >/dev/null
units=$XDG_CONFIG_HOME/systemd/user
says "igloo autostart" 0 '*from*' igloo autostart early
prints "igloo autostart: which do" early igloo autostart
prints "as JSON" '{"boxes":["early"],"schema":"igloo.autostart/1"}' igloo autostart --json
is "it is enabled" "$(readlink "$units/default.target.wants/igloo-early.service")" "$units/igloo-early.service"
if command -v systemd-analyze >/dev/null; then
	is "systemd has nothing to say" "$(systemd-analyze verify --user --man=no "$units/igloo-early.service" 2>&1 | grep igloo-early)" ""
else
	skip "systemd has nothing to say" systemd-analyze
fi
start=$(sed -n 's/^ExecStart="\(.*\)" \(.*\)$/\1 \2/p' "$units/igloo-early.service")
prints "what it would start" early bash -c "env -i HOME='$HOME' XDG_RUNTIME_DIR='$XDG_RUNTIME_DIR' $(sed -n 's/^Environment=//p' "$units/igloo-early.service" | xargs -d '\n') IGLOO_E2E_FILE='$IGLOO_E2E_FILE' $start"
is "runs" "$(status_of early)" running
says "no such box" 125 "*no box called 'nobody'*" igloo autostart nobody
prints "igloo autostart --off" "" igloo autostart --off early
ok "leaves nothing" bash -c "! ls '$units'/igloo-* '$units'/default.target.wants/* 2>/dev/null"
igloo autostart early 2>/dev/null
prints "igloo rm" early igloo rm -f early
ok "takes it along" bash -c "! ls '$units'/igloo-* '$units'/default.target.wants/* 2>/dev/null"

# -- secrets --------------------------------------------------------------------------------------------

printf secret-value | igloo secret set TOKEN
igloo create knows --secret TOKEN -- bash -c 'echo "${#TOKEN}"' >/dev/null
ok "a secret is kept by its name alone" bash -c '! grep -q secret-value '"$boxes"'/knows/definition.json'
igloo start knows >/dev/null
ok "its value is there when it starts" within 10 bash -c '[[ $(igloo logs knows) == 12 ]]'
ok "a command that ended by itself" within 10 bash -c '[[ $(igloo ls -a) == *"exited (0)"* ]]'
igloo rm knows >/dev/null

# -- a machine --------------------------------------------------------------------------------------------

if ! command -v qemu-system-x86_64 >/dev/null; then
	skip "a machine that stays" qemu-system-x86_64
	exit
elif [[ -z ${IGLOO_TEST_KERNEL-} ]]; then
	skip "a machine that stays" "an unpacked kernel package in IGLOO_TEST_KERNEL (docs/kernels.md)"
	exit
fi
prints "a machine" machine igloo create machine --in vm --kernel "$IGLOO_TEST_KERNEL" --accel tcg --cpus 1 --memory 512M
is "its kind" "$(igloo ls -a | awk '$1 == "machine" {print $2, $3}')" "vm created"
igloo start machine >"$T/start" 2>&1 &
pid=$!
boots() { [[ $(status_of machine) == running ]]; }
ok "it boots" within 60 boots
ok "igloo stop while it boots" igloo stop -t 1 machine
wait $pid
is "ends its start" $? 125
like "which says so" "$(<"$T/start")" "*'machine' was stopped while it started"
is "it is stopped" "$(status_of machine)" stopped
igloo start machine >"$T/start" 2>&1 &
pid=$!
igloo start machine >"$T/start2" 2>&1
wait $pid
is "two starts at once: one of them starts it" "$(cat "$T/start" "$T/start2" | grep -cx machine)" 1
is "the other says so" "$(cat "$T/start" "$T/start2" | grep -cE "'machine' (runs already|is being started)")" 1
ok "it runs" within 60 boots
prints "igloo exec" "$(basename "$(find "$IGLOO_TEST_KERNEL/lib/modules" -mindepth 1 -maxdepth 1 | head -n 1)")" \
	igloo exec machine -- cat /proc/sys/kernel/osrelease
try igloo stop --json machine
like "igloo stop: the machine has switched itself off" "$code $out" '0 *"how":"stopped","machine":{"ended":"itself","ms":*'
prints "igloo rm" machine igloo rm machine

#!/bin/bash
# igloo run: the command's streams, status, signals, environment and folder; and what it says when it
# cannot run anything.
. "$(dirname "$0")/lib.sh"

shell_attrs='
  GREETING = "hello from the shell";
  shellHook = "export HOOKED=yes; hook_function() { echo \"hooked $1\"; }; export -f hook_function";
' shells="other = pkgs.mkShell { OTHER = \"1\"; };" mkproject project jq hello
project=$PWD

# -- streams and status ------------------------------------------------------------------------------

prints "a command's output" hello igloo run -- echo hello
prints "igloo's options end at the command" "-l --json" igloo run echo -l --json
ends "exit status 0" 0 igloo run -- true
ends "exit status 1" 1 igloo run -- false
ends "exit status 42" 42 igloo run -- bash -c 'exit 42'
ends "exit status 125 of the command's own" 125 igloo run -- bash -c 'exit 125'
ends "exit status 255" 255 igloo run -- bash -c 'exit 255'
is "nothing on stderr but the command's" "$(igloo run -- bash -c 'echo out; echo err >&2' 2>&1 >/dev/null </dev/null)" err
is "stdin reaches the command" "$(echo from outside | igloo run -- cat)" "from outside"
is "an empty stdin ends" "$(igloo run -- cat </dev/null | wc -c)" 0
ends "a closed stdin" 0 bash -c 'igloo run -- true <&-'
ends "a closed stdout" 0 bash -c 'igloo run -- true >&-'
ends "a closed stderr" 0 bash -c 'igloo run -- true 2>&-'
ends "all of them closed" 3 bash -c 'igloo run -- bash -c "exit 3" <&- >&- 2>&-'
is "100 MB through two pipes" "$(head -c 100000000 /dev/zero | igloo run -- cat | wc -c)" 100000000
is "a reader that goes away" "$(igloo run -- bash -c 'while echo y; do :; done' 2>/dev/null | head -n 1)" y
is "a pipeline has the same bytes" "$(head -c 300000 /dev/urandom | tee "$T/bytes" | igloo run -- cat | sha256sum)" \
	"$(sha256sum <"$T/bytes")"

# -- what cannot be executed -------------------------------------------------------------------------

says "no such command: 127" 127 '*no-such-command*' igloo run -- no-such-command
echo plain >plain && echo '#!/no/interpreter' >script && chmod +x script
says "not executable: 126" 126 '*plain*' igloo run -- ./plain
try igloo run -- ./script
like "no such interpreter: 126 or 127" "$code $err" '12[67] *script*'
says "a folder: 126" 126 '*' igloo run -- ./.
says "no command" 125 '*COMMAND*' igloo run
rm -f plain script

# -- signals -----------------------------------------------------------------------------------------

# status COMMAND...: how a process ended, as wait() tells it: "exit N" or "signal N".
status()
{
	python3 -c '
import subprocess, sys
code = subprocess.run(sys.argv[1:], stdin=subprocess.DEVNULL).returncode
print(f"exit {code}" if code >= 0 else f"signal {-code}")' "$@"
}
is "killed by SIGTERM inside" "$(status igloo run -- bash -c 'kill -TERM $$')" "signal 15"
is "killed by SIGKILL inside" "$(status igloo run -- bash -c 'kill -KILL $$')" "signal 9"
is "killed by SIGSEGV inside" "$(ulimit -c 0; status igloo run -- bash -c 'kill -SEGV $$' 2>/dev/null)" "signal 11"
is "a shell tells 128 + n" "$(igloo run -- bash -c 'bash -c "kill -TERM \$\$"; echo $?' 2>/dev/null)" 143

# passes SIGNAL CODE: igloo gets the signal, the command's trap ends with the code.
passes()
{
	local signal=$1 wanted=$2 pid
	rm -f ready
	igloo run -- bash -c "trap 'exit $wanted' $signal; touch ready; while :; do sleep 0.1; done" </dev/null >/dev/null 2>&1 &
	pid=$!
	appears ready $pid || return 1
	kill -"$signal" $pid
	wait $pid
	[[ $? == "$wanted" ]]
}
for signal in TERM HUP USR1 USR2; do
	ok "SIG$signal is passed on" passes $signal 7
done
rm -f ready

killed_outside()
{
	rm -f ready
	igloo run -- bash -c 'touch ready; exec sleep 1000.'$$ </dev/null >/dev/null 2>&1 &
	local pid=$!
	appears ready $pid || return 1
	kill -KILL $pid
	wait $pid
	within 10 no_sleeper
}
no_sleeper()
{
	! pgrep -f "^sleep 1000.$$\$"
}
ok "nothing of a box outlives igloo, killed by SIGKILL" killed_outside
rm -f ready

# -- the environment ---------------------------------------------------------------------------------

prints "the shell's packages" "$(printf '%s\n' 1)" igloo run -- bash -c 'jq -n 1'
prints "its variables" "hello from the shell" igloo run -- printenv GREETING
prints "variables of the shellHook" yes igloo run -- printenv HOOKED
prints "functions that the shellHook exports" "hooked x" igloo run -- bash -c 'hook_function x'
SECRET_OF_MINE=1 prints "the caller's variables stay outside" "" igloo run -- bash -c 'echo $SECRET_OF_MINE'
MINE=passed prints "--env NAME passes one" passed igloo run --env MINE -- printenv MINE
prints "--env NAME=VALUE sets one" "a b" igloo run -e "MINE=a b" -- printenv MINE
prints "another shell" 1 igloo run --shell other -- printenv OTHER
says "an unknown shell: those that exist are named" 125 '*nope*default*other*' igloo run --shell nope -- true
prints "inside, the home is not the caller's" no \
	igloo run -- bash -c "[[ -e '$HOME/.cache' && \$HOME == '$HOME' ]] && echo yes || echo no"
sleep "98765.$$" &
prints "the host's processes are not visible" 0 igloo run -- \
	bash -c "cat /proc/[0-9]*/cmdline | tr '\\0' '\\n' | grep -c '^[9]8765.$$' || :"
kill $! && wait $! 2>/dev/null
ok "warm: the record is used" igloo run -- true

# -- folders -----------------------------------------------------------------------------------------

prints "the workspace is at its own path" "$project" igloo run -- pwd
mkdir -p sub/deep
cd sub/deep || exit 1
prints "a folder below it" "$project/sub/deep" igloo run -- pwd
cd / || exit 1
prints "-C" "$project/sub" igloo run -C "$project/sub" -- pwd
cd "$project" || exit 1
igloo run -- bash -c 'echo written >from-inside' </dev/null
is "what is written inside is there outside" "$(cat from-inside)" written
is "and belongs to the caller" "$(stat -c %u:%g from-inside)" "$(id -u):$(id -g)"
rm -f from-inside
says "--read-only" 1 '*' igloo run --read-only -- bash -c 'echo x >file'
ok "--read-only: nothing was written" test ! -e file

# in_workspace NAME: igloo in a copy of the project that is called so.
in_workspace()
{
	# igloo takes its placeholders away a moment after the box has ended: one may vanish under cp.
	mkdir -p "$T/names" && { cp -r "$project" "$T/names/$1" || { rm -rf "$T/names/$1" && sleep 1 &&
		cp -r "$project" "$T/names/$1"; }; } 2>/dev/null && cd "$T/names/$1" || return 1
	echo "$(wc -c <flake.nix) $PWD." >"$T/wanted"
	igloo run -- bash -c 'echo "$(wc -c <flake.nix) $PWD."' </dev/null >"$T/got" && cmp "$T/got" "$T/wanted"
}
for name in 'with blank' $'new\nline' "quo'te\"d" $'not-utf8-\xff\xfe' '$dollar`tick`' '-dash' 'ünïcode' 'back\slash' 'per%cent#hash?q'; do
	ok "a workspace called $(printf %q "$name")" in_workspace "$name"
done

# -- mistakes ----------------------------------------------------------------------------------------

mkdir "$T/empty" && cd "$T/empty" || exit 1
says "no flake" 125 '*flake.nix*' igloo run -- true
mkdir "$T/broken" && cd "$T/broken" && git init -q .
echo '{ outputs = { self }: { devShells = ; }; }' >flake.nix && git add -A
says "a syntax error: the file and line are named" 125 '*flake.nix*1*' igloo run -- true
echo '{ outputs = { self }: { packages = { }; }; }' >flake.nix
says "no devShells" 125 '*devShells*' igloo run -- true
echo "{ outputs = { self }: { devShells.$SYSTEM.default = throw \"thrown by me\"; }; }" >flake.nix
says "an error of the flake's own" 125 '*thrown by me*' igloo run -- true
cd "$project" || exit 1
says "an unknown option: the nearest is named" 125 '*--read-onyl*--read-only*' igloo run --read-onyl -- true
says "options that exclude each other" 125 '*--clone*--read-only*' igloo run --read-only --clone -- true
says "an unknown kind: those that exist are named" 125 '*balloon*sandbox*' igloo run --in balloon -- true
says "-C to a folder that does not exist" 125 '*/no/such*' igloo run -C /no/such -- true

# -- a machine that refuses ---------------------------------------------------------------------------

# A user namespace has a limit of its own for those within it.
refused()
{
	unshare -Ur bash -c 'echo 0 >/proc/sys/user/max_user_namespaces && exec "$@"' - "$@"
}
if refused true 2>/dev/null; then
	says "no user namespaces: the setting and the command that changes it" 125 \
		'*user.max_user_namespaces is 0*hint: sudo sysctl -w user.max_user_namespaces=*' \
		refused igloo run --slot refused -- true
else
	skip "no user namespaces" "a /proc/sys/user that can be written to in a user namespace"
fi

# -- homes -------------------------------------------------------------------------------------------

prints "no XDG variables" x env -u XDG_STATE_HOME -u XDG_CACHE_HOME -u XDG_CONFIG_HOME -u XDG_RUNTIME_DIR \
	igloo run -- echo x
try env -u HOME igloo run -- echo x
is "no HOME, but XDG folders" "$code: $out" "0: x"
try env -u HOME -u XDG_STATE_HOME -u XDG_CACHE_HOME -u XDG_CONFIG_HOME -u XDG_RUNTIME_DIR igloo run -- echo x
like "no HOME and no XDG folders: a message, or the password file's home" "$code $err" '@(0 *|125 *HOME*)'
# That home is not the test's own: nothing of ours stays in it.
[[ $code == 125 ]] || ok "what it kept there goes" env -u HOME -u XDG_STATE_HOME -u XDG_CACHE_HOME -u XDG_CONFIG_HOME \
	-u XDG_RUNTIME_DIR igloo slot rm --yes "$(basename "$XDG_STATE_HOME"/igloo/slots/project-*)"
if [[ $EUID == 0 ]]; then
	skip "a HOME that cannot be written to" "an ordinary user (root writes everywhere)"
else
	mkdir "$T/readonly" && chmod 500 "$T/readonly"
	says "a HOME that cannot be written to" 125 "*$T/readonly*" env -u XDG_STATE_HOME -u XDG_CACHE_HOME \
		-u XDG_CONFIG_HOME HOME="$T/readonly" igloo run -- true
fi
env PATH=/nonexistent "$(command -v igloo)" run -- true </dev/null >"$T/log" 2>&1
is "an empty PATH, warm" "$?" 0

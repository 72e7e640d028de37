#!/bin/bash
# Escape tests: what runs in a box tries to get out, or to leave something that has power outside. The table in
# docs/security.md says which test of the field each one is. The attempts themselves are C programs, probes/*.c.
# The hostile flakes are in escape_flakes.sh.
. "$(dirname "$0")/lib.sh"
here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
P=$T/probes
mkdir "$P"

cc_static()
{
	local cc
	for cc in musl-gcc gcc cc; do
		"$cc" -static -O1 -D_GNU_SOURCE -idirafter /usr/include -idirafter "/usr/include/$(gcc -dumpmachine)" \
			-o "$P/$1" "$here/probes/$1.c" 2>"$T/cc.log" && return
	done
	cat "$T/cc.log" >&2
	return 1
}
for probe in kernel files processes terminal; do
	cc_static "$probe" || {
		echo "Bail out! cannot build probes/$probe.c"
		exit 1
	}
done

# results PREFIX FILE: a probe's lines become this test's.
results()
{
	local line n=0
	while IFS= read -r line; do
		line=${line%$'\r'}
		case $line in
		"ok "*) pass "$1: ${line#ok }" ;;
		"not ok "*) fail "$1: ${line#not ok }" ;;
		*) continue ;;
		esac
		n=$((n + 1))
	done <"$2"
	((n)) || fail "$1: the probe said nothing" "$(<"$2")"
}

mkproject project bash coreutils jq git
ends "a box runs at all" 0 igloo run -- true
store_program=$(igloo run -- sh -c 'readlink -f "$(command -v jq)"')
in_box() { igloo run --share-ro "$P" -- "$@"; }

# --- the kernel, files, processes ------------------------------------------------------------------------------------

in_box "$P/kernel" >"$T/out" 2>&1 </dev/null
results kernel "$T/out"

# Descriptors that the caller has open are not the box's.
in_box "$P/files" "$PWD" "$store_program" >"$T/out" 2>&1 </dev/null \
	7</etc/passwd 8<"$HOME" 9<>"$T/nine" 63</proc/self/ns/mnt
results files "$T/out"

# An abstract socket of the host's, to be missed from inside.
abstract=igloo-escape-$$
python3 -c 'import socket, sys, time
s = socket.socket(socket.AF_UNIX); s.bind("\0" + sys.argv[1]); s.listen(1); time.sleep(600)' "$abstract" &
listener=$!
within 5 grep -q "@$abstract" /proc/net/unix
in_box "$P/processes" "$abstract" >"$T/out" 2>&1 </dev/null
results processes "$T/out"

# --- signals --------------------------------------------------------------------------------------------------------

# kill(0) goes to the process group, past pid namespaces; only Landlock's scopes (Linux 6.12) stop it.
if python3 -c 'import ctypes, sys
sys.exit(ctypes.CDLL(None).syscall(444, None, 0, 1) < 6)'; then
	out=$(setsid -w bash -c 'trap "echo hit" USR1; igloo run --share-ro "$0" -- "$0/processes" group >/dev/null; echo end' "$P" 2>&1)
	is "kill(0) from inside stays inside" "$out" end
	out=$(setsid -w bash -c 'igloo run -- sh -c "kill -KILL 0"; echo "survived $?"' 2>/dev/null)
	is "kill -KILL 0 from inside leaves the caller's group alone" "$out" "survived 137"
else
	skip "kill(0) from inside stays inside" "landlock scopes: Linux 6.12"
	skip "kill -KILL 0 from inside leaves the caller's group alone" "landlock scopes: Linux 6.12"
fi
out=$(igloo run -- sh -c 'for p in $(seq 2 200); do [ $p = $$ ] || kill -9 $p 2>/dev/null; done; kill -9 -1; echo alive' 2>/dev/null)
is "kill -9 of every number reaches no process of the host" "$out:$(kill -0 $listener && echo listener)" "alive:listener"

# --- the terminal ---------------------------------------------------------------------------------------------------

python3 - "$P/terminal" "$P" >"$T/out" 2>"$T/err" <<'END'
import fcntl, os, pty, sys, termios, time
pid, master = pty.fork()
if pid == 0:
    # A shell that will read what was typed: what the box could inject stays in the terminal's queue.
    status = os.spawnvp(os.P_WAIT, "igloo", ["igloo", "run", "--share-ro", sys.argv[2], "--", sys.argv[1]])
    left = fcntl.ioctl(0, termios.FIONREAD, b"\0\0\0\0")
    print("%s nothing was typed into the terminal: %r" % ("ok" if left == b"\0\0\0\0" else "not ok", left))
    sys.stdout.flush()
    time.sleep(0.2)
    os._exit(status & 255)
while True:
    try:
        data = os.read(master, 4096)
    except OSError:
        break
    if not data:
        break
    sys.stdout.write(data.decode("latin1"))
os.waitpid(pid, 0)
END
results terminal "$T/out"

# --- standard streams ----------------------------------------------------------------------------------------------

for stream in 0 1 2; do
	try bash -c "igloo run -- true $stream<$HOME"
	is "a folder as descriptor $stream is refused" "$code" 125
done

# A file opened for reading is not to be written by way of /proc/self/fd, nor its mode to be changed.
echo original >"$T/input"
chmod 600 "$T/input"
out=$(igloo run -- sh -c 'cat; echo changed >/proc/self/fd/0; chmod 777 /proc/self/fd/0' <"$T/input" 2>/dev/null)
is "a file as stdin can be read" "$out" original
is "a file as stdin cannot be changed" "$(cat "$T/input"; stat -c %a "$T/input")" "original
600"

# The same for a command in a box that stays, where what is handed in outlives the command.
if name=$(igloo run --detach --name "escape-$$" -- sleep 600 </dev/null 2>"$T/err"); then
	ends "igloo exec works" 0 igloo exec "$name" -- true
	for stream in 0 1 2; do
		try bash -c "igloo exec '$name' -- true $stream<$HOME"
		is "a folder as descriptor $stream of exec is refused" "$code" 125
	done
	# Only stdin is a terminal, so no pty is made: it must not be the user's own.
	tty=$(python3 - "$name" <<'END'
import os, pty, subprocess, sys
master, slave = pty.openpty()
r = subprocess.run(["igloo", "exec", sys.argv[1], "--", "sh", "-c", "test -t 0 && echo terminal || echo none"], stdin=slave,
                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=20)
r2 = subprocess.run(["igloo", "exec", sys.argv[1], "--", "sh", "-c", "test -t 2 && echo terminal || echo none"], stderr=slave,
                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=20)
print(r.stdout.decode().strip(), r2.stdout.decode().strip())
END
)
	is "the user's terminal does not stay in a box by exec" "$tty" "none none"
	out=$(igloo ls 2>&1)
	igloo stop "$name" >/dev/null 2>&1
	igloo rm "$name" >/dev/null 2>&1
	case $out in
	*$'\033'*) fail "igloo ls prints no escape sequences" "$(cat -v <<<"$out")" ;;
	*) pass "igloo ls prints no escape sequences" ;;
	esac
else
	fail "a detached box" "$(<"$T/err")"
fi
if name=$(igloo run --detach --name "ansi-$$" -- sh -c $'printf "\033]0;pwned\007"; : \033]0;pwned\007; sleep 600' </dev/null 2>"$T/err"); then
	sleep 0.3
	for command in ls "inspect $name" "ls --json"; do
		# shellcheck disable=SC2086 # words
		out=$(igloo $command 2>&1)
		case $out in
		*$'\033'* | *$'\007'*) fail "igloo $command prints no escape sequences of a command's" "$(cat -v <<<"$out")" ;;
		*) pass "igloo ${command/$name/NAME} prints no escape sequences of a command's" ;;
		esac
	done
	out=$(python3 -c 'import pty, sys; pty.spawn(["igloo", "logs", sys.argv[1]])' "$name" </dev/null 2>&1)
	case $out in
	*$'\033'* | *$'\007'*) fail "igloo logs on a terminal prints no escape sequences" "$(cat -v <<<"$out")" ;;
	*) pass "igloo logs on a terminal prints no escape sequences" ;;
	esac
	igloo stop "$name" >/dev/null 2>&1
	igloo rm "$name" >/dev/null 2>&1
fi

# --- what the caller has must not be the box's --------------------------------------------------------------------

export IGLOO_CANARY=canary-of-the-caller SSH_AUTH_SOCK=$T/agent DOCKER_HOST=unix://$T/docker DBUS_SESSION_BUS_ADDRESS=unix:path=$T/bus \
	GITHUB_TOKEN=canary-token AWS_SECRET_ACCESS_KEY=canary-key DISPLAY=:0 WAYLAND_DISPLAY=w0 TMUX=$T/tmux,1,0
out=$(igloo run -- sh -c 'cat /proc/self/environ /proc/1/environ 2>/dev/null | tr "\0" "\n"; env')
like "the caller's variables stay outside" "$out" "*PATH=*"
for word in canary SSH_AUTH_SOCK DOCKER_HOST DBUS_SESSION DISPLAY TMUX GITHUB_TOKEN "$HOME"; do
	case $out in
	*"$word"*) fail "no '$word' in the box's environment" "$(grep -- "$word" <<<"$out")" ;;
	*) pass "no '$word' in the box's environment" ;;
	esac
done
unset SSH_AUTH_SOCK DOCKER_HOST DBUS_SESSION_BUS_ADDRESS GITHUB_TOKEN AWS_SECRET_ACCESS_KEY DISPLAY WAYLAND_DISPLAY TMUX

echo secret >"$HOME/secret"
out=$(igloo run -- sh -c 'for f in "$@"; do [ -e "$f" ] && echo "$f"; done; ls -A /run /run/user/1000 /tmp' - \
	"$HOME" "$HOME/secret" "$XDG_STATE_HOME" "$XDG_RUNTIME_DIR" /var/run/docker.sock /run/docker.sock /run/podman/podman.sock \
	/run/containerd/containerd.sock /nix/var/nix/daemon-socket/socket /run/dbus/system_bus_socket /run/user/0 \
	/tmp/.X11-unix /run/systemd /etc/shadow /etc/ssh /root /home/root /sys /var /boot)
below=${T#/tmp/}
is "no socket, home or state of the host's" "$out" "/run:
user

/run/user/1000:

/tmp:
${below%%/*}"
out=$(igloo run -- sh -c 'ls -A "$1"' - "$T")
is "beside the workspace there is nothing" "$out" project
outside=$(mktemp -d /nix/store/igloo-escape-XXXXXX 2>/dev/null || echo)
if [[ $outside ]]; then
	like "a path of the host's store outside the set is not there" "$(igloo run -- sh -c '[ -e "$1" ] || echo gone' - "$outside")" gone
	rmdir "$outside"
else
	other=$(comm -23 <(ls /nix/store) <(igloo run -- ls /nix/store) | head -1)
	is "a path of the host's store outside the set is not there" "$(igloo run -- sh -c '[ -e "/nix/store/$1" ] || echo gone' - "$other")" gone
fi
is "hard links out of the workspace" "$(igloo run -- sh -c 'ln /etc/passwd link 2>/dev/null && echo linked; ln /nix/var/nix/db/db.sqlite db 2>/dev/null && echo linked; ln /dev/null null 2>/dev/null && echo linked')" ""

# --- what the host mounts later ------------------------------------------------------------------------------------

if ((EUID == 0)) && unshare -m true 2>/dev/null; then
	mkdir -p "$T/ro/mnt" mnt
	# A view of its own, made in that namespace.
	out=$(IGLOO_VIEW_KEEP=0 unshare -m --propagation shared bash -c '
		(until [[ -e started ]]; do sleep 0.02; done
		mount -t tmpfs none mnt; echo secret >mnt/secret; mount -t tmpfs none "$0/ro/mnt"; touch mounted) &
		igloo run --slot mounts --share-ro "$0/ro" -- sh -c "touch started; until [ -e mounted ]; do sleep 0.02; done
			cat mnt/secret; touch $0/ro/mnt/written && echo written"; wait' "$T" 2>/dev/null)
	is "what the host mounts later does not appear in a box" "$out" ""
	rm -rf mnt started mounted
else
	skip "what the host mounts later does not appear in a box" "root"
fi

# --- two boxes, and the end of one -----------------------------------------------------------------------------------

box_processes() { pgrep -f "sleep 7[0-9]$1\$" | wc -l; }
igloo run -- sleep "71$$" &
first=$!
within 10 test "$(box_processes $$)" -ge 1
within 10 pgrep -f "sleep 71$$"
out=$(igloo run -- sh -c 'cat /proc/[0-9]*/cmdline | tr "\0" " "; for n in ipc net pid mnt uts user; do readlink /proc/self/ns/$n; done')
case $out in
*"71$$"*) fail "a second box of the slot does not see the first one's processes" "$out" ;;
*) pass "a second box of the slot does not see the first one's processes" ;;
esac
kill -KILL "$first"
wait "$first" 2>/dev/null
ok "a killed supervisor takes the box along" within 5 bash -c "! pgrep -f 'sleep 71$$\$'"

igloo run -- sleep "72$$" 2>"$T/err" &
first=$!
# By its name: the first child of igloo is one that helps to make the box.
within 10 pgrep -P "$first" -x igloo-guest
kill -KILL "$(pgrep -P "$first" -x igloo-guest)"
wait "$first"
code=$?
is "a killed guest is an error of igloo's" "$code" 125
ok "and leaves no process" within 5 bash -c "! pgrep -f 'sleep 72$$\$'"
like "and says so" "$(<"$T/err")" "*guest*killed*"

igloo run -- sh -c 'setsid sleep 73'"$$"' >/dev/null 2>&1 & exit 0' </dev/null
ok "a daemon does not outlive its box" within 5 bash -c "! pgrep -f 'sleep 73$$\$'"

# --- bombs ---------------------------------------------------------------------------------------------------------

if igloo run --pids 64 -- true 2>"$T/err"; then
	out=$(timeout 60 igloo run --pids 64 -- bash -c 'n=0; for i in {1..200}; do sleep 5 & n=$((n+1)); done 2>/dev/null; jobs -p | wc -l' 2>/dev/null)
	if [[ ${out:-0} -lt 64 ]]; then pass "a fork bomb ends at --pids"; else fail "a fork bomb ends at --pids" "$out processes"; fi
else
	skip "a fork bomb ends at --pids" "a cgroup with pids: $(head -1 "$T/err")"
fi
if igloo run --memory 64M -- true 2>"$T/err"; then
	try timeout 60 igloo run --memory 64M -- bash -c 'x=$(head -c 300000000 /dev/zero | tr "\0" x); echo ${#x}'
	if [[ $out == 300000000 ]]; then fail "a memory hog ends at --memory" "$out"; else pass "a memory hog ends at --memory"; fi
else
	skip "a memory hog ends at --memory" "a cgroup with memory: $(head -1 "$T/err")"
fi
read -r _ total _ </proc/meminfo
size=$(igloo run -- sh -c 'stat -f -c "%b %S" /tmp')
size=$((${size% *} * ${size#* } / 1024))
if ((size <= total * 6 / 10)); then pass "/tmp of a box is bounded"; else fail "/tmp of a box is bounded" "$size KiB of $total"; fi
is "a box's root and /dev hold nothing" "$(igloo run -- sh -c 'head -c 1000 /dev/zero 2>/dev/null >/x || head -c 1000 /dev/zero 2>/dev/null >/dev/x || echo full' 2>/dev/null)" full
out=$(igloo run -- head -c 300000000 /dev/zero | wc -c)
is "huge output passes and ends" "$out" 300000000

# --- names and races -----------------------------------------------------------------------------------------------

for name in $'new\nline' 'glob*[x]?' 'sp ace' $'tab\there' '-rf' $'not\xffutf8' '$(touch pwned)'; do
	mkdir -p -- "$T/names/$name"
	cp flake.nix flake.lock "$T/names/$name/"
	try bash -c 'cd -- "$0" && igloo run -- pwd' "$T/names/$name"
	shown=$(printf '%q' "$name")
	if [[ $code == 0 && $out == "$T/names/$name" ]] || [[ $code == 125 && $err ]]; then
		pass "a workspace called $shown"
	else
		fail "a workspace called $shown" "exit code $code: $out $err"
	fi
done

# A parent of the workspace that is swapped for a link while boxes start: never another folder's content.
mkdir -p "$T/race/a/ws" "$T/race/b/ws"
cp flake.nix flake.lock "$T/race/a/ws/"
cp flake.nix flake.lock "$T/race/b/ws/"
echo public >"$T/race/a/ws/file"
echo secret >"$T/race/b/ws/file"
igloo run -C "$T/race/a/ws" --slot race -- true 2>/dev/null
python3 - "$T/race" <<'END' &
import os, sys
os.chdir(sys.argv[1])
while not os.path.exists("stop"):
    try:
        os.rename("a", "real"); os.symlink("b", "a"); os.unlink("a"); os.rename("real", "a")
    except OSError:
        pass
END
racer=$!
bad=0 good=0
for _ in {1..150}; do
	out=$(igloo run -C "$T/race/a/ws" --slot race -- sh -c 'pwd; cat file' 2>/dev/null)
	case $out in
	"$T/race/a/ws"$'\n'secret) bad=$((bad + 1)) ;;
	"$T/race/a/ws"$'\n'public) good=$((good + 1)) ;;
	esac
done
touch "$T/race/stop"
wait $racer
is "a parent swapped for a link while boxes start ($good of 150 started)" "$bad" 0

kill "$listener"

#!/bin/bash
# Machines: --in vm, with the kernel package unpacked in IGLOO_TEST_KERNEL. Emulated ones start slowly: all that can be is
# tried in few of them.
here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
if ! command -v qemu-system-x86_64 >/dev/null; then
	echo "1..1"
	echo "ok 1 - machines # SKIP qemu-system-x86_64"
	exit
elif [[ -z ${IGLOO_TEST_KERNEL-} ]]; then
	echo "1..1"
	echo "ok 1 - machines # SKIP an unpacked kernel package in IGLOO_TEST_KERNEL (docs/kernels.md)"
	exit
fi
[[ ${NETWORK_WORLD-} ]] || exec "$here/network/world.sh" bash "$here/vm.sh"
. "$here/lib.sh"
. "$here/network/lib.sh"
# The first makes what the others go on from (vmwarm.sh).
export IGLOO_VM_START=warm

mkproject project bash coreutils curl python3
project=$PWD
echo "of the host" >"$HOME/mine"
kernel=$IGLOO_TEST_KERNEL
accel=(--accel tcg)
vm=(igloo run --in vm --kernel "$kernel" "${accel[@]}" --memory 512M --cpus 1)
# status COMMAND...: how a process ended, as wait() tells it: "exit N" or "signal N".
status()
{
	python3 -c '
import subprocess, sys
code = subprocess.run(sys.argv[1:], stdin=subprocess.DEVNULL).returncode
print(f"exit {code}" if code >= 0 else f"signal {-code}")' "$@"
}
# supervisor BOX / first BOX / qemu BOX: processes of a box, as the host numbers them.
supervisor() { igloo inspect "$1" | python3 -c 'import json, sys; print(json.load(sys.stdin)["supervisor"])'; }
# of SUPERVISOR: its QEMU.
of()
{
	local p
	for p in $(pgrep -P "$1"); do pgrep -P "$p" -f '^/.*qemu-system'; done | head -n 1
}
# ours: QEMUs of this test, by the project that is mounted for them. Only root may look.
ours() { local f; for f in $(pgrep -f '^/.*qemu-system'); do ! grep -qsF "$T" "/proc/$f/mountinfo" || echo "$f"; done; }
gone() { ! kill -0 "$1" 2>/dev/null || [[ $(ps -o stat= -p "$1") == Z* ]]; }
running() { [[ $(igloo ls --json) == *"\"$1\""*'"running"'* ]]; }

# -- what is refused before anything starts ----------------------------------------------------------

ok "an environment" igloo run -- true
ok "no machine has been started" test -z "$(ours)"
says "--kernel is a machine's" 125 '*--kernel*--in vm*' igloo run --kernel "$kernel" -- true
says "--accel is a machine's" 125 '*--accel*--in vm*' igloo run --accel tcg -- true
says "--ssh-agent" 125 '*SSH*agent*' "${vm[@]}" --ssh-agent -- true
says "no such kernel" 125 '*/nonexistent*' igloo run --in vm --kernel /nonexistent -- true
says "no such accelerator: those that exist are named" 125 '*warp*auto*kvm*tcg*' igloo run --in vm --kernel "$kernel" --accel warp -- true
says "too little memory: the limits are named" 125 '*100 MiB*128*' igloo run --in vm --kernel "$kernel" --memory 100M -- true
says "too much memory" 125 '*1048576 MiB*128 to *' igloo run --in vm --kernel "$kernel" --memory 1T -- true
mkdir "$T/bin"
for tool in git bash nix nix-store tar nft ip; do
	! path=$(command -v $tool) || ln -s "$path" "$T/bin/$tool"
done
says "no QEMU" 125 '*QEMU*PATH*hint:*qemu-system-x86*' env PATH="$T/bin" "$(command -v igloo)" run --in vm --kernel "$kernel" -- true
like "igloo doctor" "$(igloo doctor)" "*QEMU: $(realpath "$(command -v qemu-system-x86_64)")*"
usable='"id":"accel"[^{}]*"state":"yes"'
if [[ $(igloo doctor --json) =~ $usable ]]; then
	skip "--accel kvm where there is none" "a machine without KVM"
else
	says "--accel kvm where there is none: the reason is named" 125 '*KVM*hint:*--accel*' \
		igloo run --in vm --kernel "$kernel" --accel kvm -- true
fi
ok "no machine was started" test -z "$(ours)"

# A kernel that is no kernel, where one was.
mkdir -p "$T/broken/boot" "$T/broken/lib"
release=$(basename "$(find "$kernel/lib/modules" -mindepth 1 -maxdepth 1 | head -n 1)")
ln -s "$(realpath "$kernel/lib/modules")" "$T/broken/lib/modules"
image=$(find "$XDG_CACHE_HOME/igloo/kernels" "$kernel/boot" -name 'vmlinu[xz]-*' -type f -size +1M | head -n 1)
head -c 3000000 "$image" >"$T/broken/boot/vmlinuz-$release"
begin=$SECONDS
says "a truncated kernel" 125 '*kernel*' igloo run --in vm --kernel "$T/broken" "${accel[@]}" -- true
ok "is found soon" test $((SECONDS - begin)) -lt 60

# -- one that ends by itself, two at once ---------------------------------------------------------------

head -c 1000000 /dev/urandom >"$T/bytes"
# As many processes as there may be, then more memory than there is.
cat >crowd.py <<'END'
import os, signal, time
children = []
try:
    while len(children) < 100:
        children.append(os.fork())
        if not children[-1]:
            time.sleep(1000)
except OSError as e:
    print(len(children) in range(30, 39), e)
for pid in children:
    os.kill(pid, signal.SIGKILL)
    os.wait()
if not os.fork():
    memory = []
    while True:
        memory.append(b"x" * (10 << 20))
print("out of memory:", os.wait()[1])
END
IGLOO_VM_START=cold "${vm[@]}" --overlay --read-only --name second --pids 40 -- bash -c 'echo x >file; python3 crowd.py; kill -TERM $$' </dev/null >"$T/second" 2>&1 &
second=$!
"${vm[@]}" -- bash -c 'cat; echo words >&2; exit 42' <"$T/bytes" >"$T/got" 2>"$T/err"
is "exit status" $? 42
ok "1 MB through stdin and stdout" cmp "$T/bytes" "$T/got"
is "stderr is apart" "$(<"$T/err")" words
wait $second
is "killed by a signal, at the same time" $? 143
like "--read-only" "$(<"$T/second")" '*Read-only file system*'
like "--pids: no more processes than that" "$(<"$T/second")" '*True*Resource temporarily unavailable*'
like "and the note on it" "$(<"$T/second")" "*limit of processes was reached (--pids)*"
like "what takes more memory than there is is killed, and that is a note, too" "$(<"$T/second")" "*out of memory: 9*memory limit was reached: 1 processes killed (--memory)*"
rm crowd.py
ok "--read-only: nothing was written" test ! -e file

# -- one that stays -------------------------------------------------------------------------------------

printf secret-value | igloo secret set TOKEN
port=$((20000 + RANDOM % 20000))
ok "--detach" "${vm[@]}" --detach --name stays -p "$port:8000" --allow allowed.test --secret TOKEN --secret-file TOKEN \
	--secret-file TOKEN=/tmp/token -- \
	bash -c 'echo "begun $TOKEN $(cat /run/secrets/TOKEN)" >&2; read -r line; echo "read $line"; exec python3 -m http.server --bind 127.0.0.1 8000'
exec_() { igloo exec stays -- "$@"; }
((EUID != 0)) || ok "it is found among the processes" test -n "$(ours)"
prints "igloo exec" "$release $project" exec_ bash -c 'echo "$(</proc/sys/kernel/osrelease) $PWD"'
ends "its exit status" 7 exec_ bash -c 'exit 7'
is "killed by a signal" "$(status igloo exec stays -- bash -c 'kill -KILL $$')" "signal 9"
says "no such command" 127 '*no-such-command*' exec_ no-such-command
is "stdin" "$(echo from outside | exec_ cat)" "from outside"
is "stdout without stderr" "$(exec_ bash -c 'echo out; echo err >&2' 2>/dev/null)" out
(exec_ bash -c 'for i in {1..200}; do [[ ! -e other ]] || exit 5; sleep 0.1; done; exit 6') &
ends "another at the same time" 0 exec_ touch other
wait $!
is "and it sees it" $? 5
rm -f other

exec_ bash -c 'echo written >from-inside'
is "the workspace is the host's" "$(cat from-inside) $(stat -c %u:%g from-inside)" "written $(id -u):$(id -g)"
rm -f from-inside
says "protected files are not writable" 1 '*.git/config*Read-only*.git/hooks/x*Read-only*' \
	exec_ bash -c 'echo x >>.git/config; echo x >.git/hooks/x'
ok "and are as they were" bash -c '! grep -qx x .git/config && test ! -e .git/hooks/x'
says "no set-user-id file can be left" 1 '*not permitted*' exec_ bash -c 'touch set; chmod u+s set'
like "and none is" "$(stat -c %a set; rm -f set)" 644
prints "sockets and pipes, in the user's run-time folder" 0 exec_ python3 -c '
import os, socket
os.chdir(os.environ["XDG_RUNTIME_DIR"])
os.mkfifo("pipe"); s = socket.socket(socket.AF_UNIX); s.bind("socket"); s.listen(); socket.socket(socket.AF_UNIX).connect("socket")
os.unlink("pipe"); os.unlink("socket"); print(len(os.listdir()))'
says "nor is the root" 1 '*Read-only*' exec_ bash -c 'echo x >/x'
says "the host's home is not there" 1 '' exec_ bash -c "[[ -e '$HOME/mine' || -e '$HOME/.local' || -e '$T/tmp' ]]"
prints "nor its processes" "" exec_ bash -c "cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -aoE '[q]emu-system|[i]gloo run' || :"
prints "nor its devices" "" exec_ bash -c 'ls -d /dev/kvm /dev/vd* /dev/sd* 2>/dev/null || :'
prints "who it is" "1000 1000" exec_ bash -c 'echo $(id -u) $(id -g)'

prints "a secret in a file" secret-value exec_ cat /run/secrets/TOKEN
prints "below /tmp, too" secret-value exec_ cat /tmp/token
prints "its variable is the first command's alone" - exec_ bash -c 'echo "${TOKEN--}"'
prints "an allowed name" "served by 9.9.9.10" exec_ curl -sS -m 60 http://allowed.test/
ends "another name" 6 exec_ curl -sS -m 60 http://forbidden.test/
like "igloo why" "$(igloo why stays 2>&1)" "*forbidden.test*igloo allow*forbidden.test*"
ends "a private address" 7 exec_ curl -sS -m 20 http://10.0.0.5/
from_now
exec_ curl -sS -m 20 http://9.9.9.20/ >/dev/null 2>&1
nothing_came "in a machine"

# Its first command waits for a line.
mkfifo "$T/line"
igloo attach stays <"$T/line" >"$T/attached" 2>/dev/null &
pid=$!
exec 3>"$T/line"
echo "a line" >&3
ok "igloo attach" within 20 grep -qx "read a line" "$T/attached"
kill -TERM $pid
exec 3>&-
wait $pid
within 20 bash -c 'igloo logs stays | grep -q "^begun"'
like "igloo logs, without the secret" "$(igloo logs stays)" 'begun \[secret TOKEN\] \[secret TOKEN\]*'
echo word >word
answers() { [[ $(curl -sS -m 20 --noproxy '*' "http://127.0.0.1:$port/word" 2>/dev/null) == word ]]; }
ok "a forwarded port" within 90 answers

# QEMU, in the box.
pid=$(supervisor stays)
qemu=$(of "$pid")
ok "QEMU is there" test -n "$qemu"
is "no capability" "$(grep -E '^Cap' "/proc/$qemu/status" | awk '{print $2}' | sort -u)" 0000000000000000
like "no_new_privs and the filter" "$(grep -E '^(NoNewPrivs|Seccomp):' "/proc/$qemu/status" | xargs)" "NoNewPrivs: 1 Seccomp: 2"
if qemu-system-x86_64 -sandbox on -version >/dev/null 2>&1; then
	like "and its own" "$(grep -E '^Seccomp_filters:' "/proc/$qemu/status" | xargs)" "Seccomp_filters: [2-9]"
else
	skip "and its own" "a QEMU with -sandbox"
fi
inside() { nsenter -t "$qemu" ${nsenter_options[@]+"${nsenter_options[@]}"} "$@"; }
nsenter_options=(-n)
[[ $EUID == 0 ]] || nsenter_options=(-U --preserve-credentials -n)
links=lo
[[ -r /dev/net/tun && -w /dev/net/tun ]] || links="lo eth0"
is "its network is empty beside a tap, else the gateway of the box" "$(inside cat /proc/net/dev | awk -F: 'NR > 2 {print $1}' | xargs)" "$links"
# shown FOLDER [EXCEPT]: names in a folder as QEMU has it.
shown() { find "/proc/$qemu/root$1" -mindepth 1 -maxdepth 1 -printf '%f\n' 2>&1 | grep -vxE "${2:--}" | sort | xargs; }
if [[ $EUID == 0 ]]; then
	is "its files are the box's" "$(shown / 'usr|lib|lib32|lib64|libx32|bin|nix')" "box dev etc proc vm"
	is "its devices" "$(shown /dev)" "null random urandom zero"
	is "its /proc has processes only" "$(shown /proc '[0-9]+')" "self thread-self"
else
	skip "its files" "root (nobody else may look into a process that leaves no core)"
fi

try igloo stop --json stays
like "igloo stop: the command ended, and with it the machine" "$code $out" '0 *"name":"stays","how":"stopped","machine":{"ended":"command","ms":*'
ok "ends QEMU" within 10 gone "$qemu"
ok "igloo rm" igloo rm stays

# -- how it ends otherwise ------------------------------------------------------------------------------

begin=$SECONDS
ends "--timeout" 124 "${vm[@]}" --timeout 20s -- sleep 1000
ok "--timeout: not much later" test $((SECONDS - begin)) -lt 50

"${vm[@]}" --name killed -- bash -c 'touch ready; exec sleep 1000' </dev/null >"$T/killed" 2>&1 &
pid=$!
ok "a machine in the foreground" appears ready $pid
rm -f ready
qemu=$(of "$(supervisor killed)")
kill -KILL "$qemu"
wait $pid
like "QEMU is killed: the status" "$?" "@(125|137)"
like "QEMU is killed: one message" "$(<"$T/killed")" "*machine*signal 9*"
is "of one line" "$(grep -c '^igloo' "$T/killed")" 1

"${vm[@]}" --detach --name orphan -- bash -c 'exec sleep 1000' </dev/null >/dev/null 2>&1
pid=$(supervisor orphan)
qemu=$(of "$pid")
ok "a machine in the background" test -n "$qemu"
kill -KILL "$pid"
ok "the supervisor is killed: QEMU ends" within 10 gone "$qemu"
ok "and is not running any more" bash -c '[[ $(igloo ls --json) != *"\"orphan\""*"\"running\""* ]]'
igloo rm orphan killed >/dev/null 2>&1

# A kernel that dies at its entry (PVH: the note XEN_ELFNOTE_PHYS32_ENTRY): ud2, without anybody who handles it.
mkdir -p "$T/dies/lib" && ln -s "$(realpath "$kernel/lib/modules")" "$T/dies/lib/modules"
cat "$XDG_CACHE_HOME"/igloo/kernels/vmlinux-* >"$T/dies/vmlinux"
python3 - "$T/dies/vmlinux" <<-'END'
	import re, struct, sys
	f = open(sys.argv[1], "r+b")
	image = f.read()
	note = re.search(rb"\x04\0\0\0[\x04\x08]\0\0\0\x12\0\0\0Xen\0", image)
	entry = struct.unpack_from("<I", image, note.end())[0]
	start, size, n = struct.unpack_from("<Q", image, 32)[0], *struct.unpack_from("<HH", image, 54)
	for i in range(n):
	    kind, _, offset, _, at, length = struct.unpack_from("<IIQQQQ", image, start + i * size)
	    if kind == 1 and at <= entry < at + length:
	        f.seek(offset + entry - at)
	        f.write(b"\x0f\x0b")
	END
begin=$SECONDS
says "a kernel that dies" 125 "*machine: its kernel came to an end*" env IGLOO_VM_START=cold "${vm[@]}" --kernel "$T/dies" -- true
ok "is told at once" test $((SECONDS - begin)) -lt 60
is "in one line" "$(grep -c . <<<"$err")" 1

# -- a terminal -----------------------------------------------------------------------------------------

if python3 -c 'import pexpect' 2>/dev/null; then
	python3 - "${vm[@]}" >"$T/terminal" 2>"$T/err" <<-'END'
		import pexpect, signal, sys
		# A job in the background has it ignored, and so would all that comes of it.
		signal.signal(signal.SIGINT, signal.default_int_handler)
		child = pexpect.spawn(sys.argv[1], sys.argv[2:] + ["--", "bash", "-c", """
		trap 'echo interrupted; exit 9' INT; trap 'set -- $(stty size); echo size-$1-$2' WINCH
		test -t 0 && test -t 1 && test -t 2 && tty >/dev/null && set -- $(stty size) && echo at-$1-$2
		read -r line; echo "read: $line"; while :; do sleep 0.1; done"""], dimensions=(31, 97), timeout=90, encoding="utf-8")
		def expect(name, text):
		    found = child.expect_exact([text, pexpect.EOF, pexpect.TIMEOUT])
		    print("ok" if found == 0 else "not ok", name, "" if found == 0 else repr(child.before), flush=True)
		expect("has the caller's size", "at-31-97")
		child.sendline("a line")
		expect("reads", "read: a line")
		child.setwinsize(40, 120)
		expect("follows the size", "size-40-120")
		child.sendintr()
		expect("^C", "interrupted")
		child.expect(pexpect.EOF)
		child.close()
		print("ok" if child.exitstatus == 9 else "not ok", "exit status", child.exitstatus, child.signalstatus)
		# The terminal's signals come to all of its foreground, and QEMU is not of it.
		child = pexpect.spawn("bash", ["-c", '"$@" </dev/null | (trap "" INT; cat)', "-"] + sys.argv[1:] + ["--", "bash", "-c",
		    "trap 'echo trapped; exit 9' INT; echo ready; while :; do sleep 0.1; done"], timeout=90, encoding="utf-8")
		child.setecho(False)
		expect("a pipe", "ready")
		child.sendintr()
		expect("^C is the command's", "trapped")
		child.close(force=True)
	END
	results "a terminal" "$T/terminal"
else
	skip "a terminal" "python3-pexpect"
fi

is "no machine is left" "$(ours)" ""
is "no mount is left" "$(grep -F "$T" /proc/self/mounts)" ""
ok "the slot is free" igloo run -- true

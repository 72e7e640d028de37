#!/bin/bash
# What goes wrong with a machine: each fault ends in one message and a defined state, and leaves no process, mount, socket or
# lock. Frames that a taken-over QEMU could send are tests/unit/vmhost.c; KVM that lies, tests/unit/vmaccel.c.
here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
if ! command -v qemu-system-x86_64 >/dev/null || [[ -z ${IGLOO_TEST_KERNEL-} ]]; then
	echo "1..1"
	echo "ok 1 - machines # SKIP qemu-system-x86_64 and an unpacked kernel in IGLOO_TEST_KERNEL"
	exit
fi
. "$here/lib.sh"

mkproject project bash coreutils
project=$PWD
kernel=$IGLOO_TEST_KERNEL
machine=(igloo run --in vm --accel tcg --memory 256M --cpus 1 --offline)
vm=("${machine[@]}" --kernel "$kernel")
supervisor() { igloo inspect "$1" 2>/dev/null | python3 -c 'import json, sys; print(json.load(sys.stdin)["supervisor"])' 2>/dev/null; }
# ours: QEMUs of this test, by the project that is mounted for them. Only root may look.
ours() { local f; for f in $(pgrep -f '^/.*qemu-system'); do ! grep -qsF "$T" "/proc/$f/mountinfo" || echo "$f"; done; }
# of BOX: its QEMU.
of() { local p; for p in $(pgrep -P "$(supervisor "$1")"); do pgrep -P "$p" -f '^/.*qemu'; done | head -n 1; }
gone() { ! kill -0 "$1" 2>/dev/null || [[ $(ps -o stat= -p "$1") == Z* ]]; }
has_qemu() { [[ $(of "$1") ]]; }
running() { [[ $(igloo ls --json) == *"\"$1\""* ]]; }
# clean NAME: nothing is left of any machine.
clean()
{
	local left
	left=$(igloo ls -q; find "$XDG_RUNTIME_DIR/igloo/sockets" "$XDG_RUNTIME_DIR/igloo/fleeting" -mindepth 1; grep -F "$T" /proc/self/mounts)
	is "$1: nothing is left" "$left" ""
}
one_line() { is "$1: in one message" "$(grep -c '^igloo: ' <<<"$2")" 1; }
ok "an environment" igloo run --offline -- true

# -- before anything starts -----------------------------------------------------------------------------------

mkdir "$T/bin" "$T/empty"
for tool in git bash nix nix-store tar nft ip; do
	! path=$(command -v $tool) || ln -s "$path" "$T/bin/$tool"
done
says "no QEMU" 125 '*QEMU*not installed*hint:*' env PATH="$T/bin" "$(command -v igloo)" run --in vm --kernel "$kernel" -- true
one_line "no QEMU" "$err"
cp "$(realpath "$(command -v qemu-system-x86_64)")" "$T/empty/qemu-system-x86_64"
says "QEMU where no box of a machine has it" 125 "*$T/empty/qemu-system-x86_64*hint:*" env PATH="$T/empty:$PATH" "${vm[@]}" -- true
rm "$T/empty/qemu-system-x86_64"
says "a folder without a kernel" 125 "*$T/empty*" "${machine[@]}" --kernel "$T/empty" -- true
one_line "a folder without a kernel" "$err"
# A kernel without the module that everything comes through.
release=$(basename "$(find "$kernel/lib/modules" -mindepth 1 -maxdepth 1 | head -n 1)")
mkdir -p "$T/no9p/lib/modules/$release" "$T/no9p/boot"
ln -s "$(find "$(realpath "$kernel")/boot" -name 'vmlinuz-*' | head -n 1)" "$T/no9p/boot/"
for file in modules.dep modules.order modules.builtin; do
	! [[ -e $kernel/lib/modules/$release/$file ]] || grep -v 9pnet_virtio "$kernel/lib/modules/$release/$file" >"$T/no9p/lib/modules/$release/$file"
done
ln -s "$(realpath "$kernel")/lib/modules/$release/kernel" "$T/no9p/lib/modules/$release/"
says "no usable module: which" 125 "*9pnet_virtio*" "${machine[@]}" --kernel "$T/no9p" -- true
like "and where there is one" "$err" "*hint:*"
says "more memory than there is" 125 "*MiB of memory*possible on this host*" igloo run --in vm --kernel "$kernel" --memory 1000G -- true
if [[ $EUID != 0 && -e /dev/kvm && ! -w /dev/kvm ]]; then
	says "KVM is forbidden" 125 '*/dev/kvm may not be opened*group kvm*hint:*--accel tcg*' "${vm[@]}" --accel kvm -- true
else
	skip "KVM is forbidden" "a /dev/kvm that this user may not open"
fi
# The limits that a flake asks for are the machine's: a host without cgroups is no hindrance.
mkdir -p "$T/asks" && sed 's|^    devShells\.|    igloo = { kind = "vm"; memory = "300M"; cpus = 1; };\n&|' flake.nix >"$T/asks/flake.nix"
cp flake.lock "$T/asks/" && git -C "$T/asks" init -q && git -C "$T/asks" add -A
cd "$T/asks" || exit 1
says "limits asked for are no cgroup's" 125 '*QEMU*not installed*' \
	env PATH="$T/bin" "$(command -v igloo)" run --offline --grant-requests --kernel "$kernel" --accel tcg -- true
cd "$OLDPWD" || exit 1
clean "what is refused"

# -- a QEMU that is none -----------------------------------------------------------------------------------------

# fake SCRIPT: a program as QEMU, in the host's store, since the box of a machine has nothing else of the user's.
fake()
{
	local path
	rm -rf "$T/fake" && mkdir -p "$T/fake/bin"
	printf '#!/bin/sh\n[ "$3" != -version ] || exit 0\n%s\n' "$1" >"$T/fake/bin/qemu-system-x86_64"
	chmod 755 "$T/fake/bin/qemu-system-x86_64"
	path=$(NIX_CONFIG=$HOST_NIX nix-store --add "$T/fake")
	PATH=$path/bin:$PATH "${vm[@]}" -- true
	set -- $?
	NIX_CONFIG=$HOST_NIX nix-store --delete "$path" &>/dev/null
	return "$1"
}
if [[ $EUID == 0 ]]; then
	hello='\030\0\0\0\0\0\0\0\001\0\001\0\0\0\001\0\0\0iglooigloonnonce'
	says "QEMU ends at once" 125 "*machine*ended with code 3*its last words*" fake 'echo its last words >&2; exit 3'
	one_line "QEMU ends at once" "$err"
	says "QEMU is killed at once" 125 "*machine*signal 9*" fake 'kill -KILL $$'
	says "QEMU speaks nonsense" 125 "*igloo: *" fake "printf '${hello}nonsense, nothing but nonsense' >&3; sleep 100"
	one_line "QEMU speaks nonsense" "$err"
	says "QEMU tells of what was not asked" 125 "*igloo: *" fake "printf '${hello}\\004\\0\\0\\0\\011\\0\\0\\0\\003\\0\\001\\0\\0\\0' >&3; sleep 100"
	one_line "QEMU tells of what was not asked" "$err"
	clean "a QEMU that is none"
else
	skip "a QEMU that is none" "root, to add to the host's store"
fi

# -- a guest that never answers ------------------------------------------------------------------------------------

# The kernel's entry (PVH: the note XEN_ELFNOTE_PHYS32_ENTRY) becomes a jump to itself.
ok "a machine" "${vm[@]}" -- true
mkdir -p "$T/hangs/lib" && ln -s "$(realpath "$kernel/lib/modules")" "$T/hangs/lib/modules"
cat "$XDG_CACHE_HOME"/igloo/kernels/vmlinux-* >"$T/hangs/vmlinux"
python3 - "$T/hangs/vmlinux" <<-'END'
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
	        f.write(b"\xeb\xfe")
	END
hangs=("${machine[@]}" --kernel "$T/hangs")
begin=$SECONDS
ends "--timeout counts from the start" 124 "${hangs[@]}" --timeout 2s -- true
ok "and needs no answer" test $((SECONDS - begin)) -lt 10
"${hangs[@]}" --name hangs -- true </dev/null >"$T/hangs.out" 2>&1 &
pid=$!
ok "one that hangs" within 30 has_qemu hangs
qemu=$(of hangs)
((EUID != 0)) || like "it is found among the processes" " $(ours | xargs) " "* $qemu *"
says "another of its name" 125 "*'hangs'*" "${hangs[@]}" --name hangs -- true
begin=$SECONDS
try igloo stop -t 1 hangs
like "igloo stop during the start: it says how the machine ended" "$code $out" \
	"0 hangs was killed: its machine did not switch itself off, so QEMU was told to end after [78] s"
ok "is bounded" test $((SECONDS - begin)) -lt 20
wait $pid
is "and ends the command" $? 137
ok "and QEMU" within 5 gone "$qemu"
"${hangs[@]}" --name hangs -- true </dev/null >"$T/hangs.out" 2>&1 &
pid=$!
within 30 has_qemu hangs
qemu=$(of hangs)
kill -KILL "$(supervisor hangs)"
wait $pid 2>/dev/null
ok "the supervisor is killed during the start: QEMU ends" within 10 gone "$qemu"
ok "the box is none any more" bash -c '! igloo ls -q | grep -qx hangs'
"${hangs[@]}" --name hangs -- true </dev/null >"$T/hangs.out" 2>&1 &
pid=$!
within 30 has_qemu hangs
kill -KILL "$(of hangs)"
wait $pid
like "QEMU is killed during the start" "$? $(<"$T/hangs.out")" "125 igloo: *machine*signal 9*"
"${hangs[@]}" --name hangs -- true </dev/null >"$T/hangs.out" 2>&1 &
pid=$!
within 30 has_qemu hangs
begin=$SECONDS
kill -TERM "$pid"
wait $pid
is "SIGTERM during the start ends it" $? 143
ok "at once" test $((SECONDS - begin)) -lt 10
clean "a guest that never answers"
if python3 -c 'import pexpect' 2>/dev/null; then
	mkfifo "$T/close"
	python3 - "$T/close" "${hangs[@]}" --name hangs -- true <<-'END' &
		import pexpect, signal, sys
		signal.signal(signal.SIGHUP, signal.SIG_DFL)
		child = pexpect.spawn(sys.argv[2], sys.argv[3:], timeout=60, ignore_sighup=False)
		open(sys.argv[1]).read()
		child.ptyproc.fileobj.close()
		child.wait()
	END
	pid=$!
	within 30 has_qemu hangs
	qemu=$(of hangs)
	: >"$T/close"
	ok "the terminal closes during the start: QEMU ends" within 10 gone "$qemu"
	wait $pid
	clean "a terminal that closed"
	python3 - "$T/close" "${vm[@]}" --name closes -- bash -c 'trap "touch told; exit" HUP; touch begun; while :; do sleep 1; done' <<-'END' &
		import pexpect, signal, sys
		signal.signal(signal.SIGHUP, signal.SIG_DFL)
		child = pexpect.spawn(sys.argv[2], sys.argv[3:], timeout=60, ignore_sighup=False)
		open(sys.argv[1]).read()
		child.ptyproc.fileobj.close()
		child.wait()
	END
	pid=$!
	ok "a machine at a terminal" within 60 test -e begun
	qemu=$(of closes)
	: >"$T/close"
	ok "which closes: the command is told" within 20 test -e told
	ok "and QEMU ends" within 20 gone "$qemu"
	wait $pid
	rm -f begun told
	clean "a terminal of a running machine that closed"
else
	skip "the terminal closes" "python3-pexpect"
fi

# -- forks without end ------------------------------------------------------------------------------------------------

"${vm[@]}" --detach --name forks -- bash -c 'f() { f | f & }; touch begun; f; while :; do f; sleep 0.1; done' >/dev/null
qemu=$(of forks)
ok "forks without end" within 60 test -e begun
rm -f begun
processes() { local all=(/proc/[0-9]*); echo ${#all[@]}; }
before=$(processes)
sleep 3
ok "are not the host's" test $(($(processes) - before)) -lt 100
ends "which goes on" 0 igloo run --offline -- true
begin=$SECONDS
try igloo stop -t 1 forks
like "and the machine can be stopped" "$code $out" "0 forks *"
ok "soon" test $((SECONDS - begin)) -lt 30
ok "with its QEMU" within 5 gone "$qemu"
igloo rm forks >/dev/null
clean "forks without end"

# -- the host's store loses a path ----------------------------------------------------------------------------------------

if [[ $EUID == 0 ]]; then
	name=igloo-test-$RANDOM$RANDOM
	host() { NIX_CONFIG="$HOST_NIX"$'\nsandbox = false\nsubstitute = false' "$@"; }
	mkdir "$T/vanishing" && cp flake.nix flake.lock "$T/vanishing/" && cd "$T/vanishing" || exit 1
	# shellcheck disable=SC2016 # Nix's own
	sed -i 's|packages = \[|FILE = derivation { name = "'"$name"'"; system = "'"$SYSTEM"'"; builder = "${pkgs.bash}/bin/bash"; args = [ "-c" "echo made >$out" ]; };\n        &|' flake.nix
	git init -q && git add -A
	file=.#devShells.$SYSTEM.default.FILE
	ok "a path of the host's store" host nix build --no-link "$file"
	path=$(host nix eval --raw "$file.outPath")
	drv=$(host nix eval --raw "$file.drvPath")
	trap 'host nix-store --delete "$path" "$drv" &>/dev/null; finish' EXIT
	# shellcheck disable=SC2016 # the box's
	prints "in a machine" made "${vm[@]}" -- bash -c 'cat $FILE'
	# As the host's garbage collection would, had somebody removed the roots.
	rm -f "$XDG_STATE_HOME"/igloo/slots/vanishing-*/roots/*
	ok "goes" host nix-store --delete "$path"
	# shellcheck disable=SC2016
	prints "and the next machine has it anew" made "${vm[@]}" -- bash -c 'cat $FILE'
	cd "$project" || exit 1
else
	skip "the host's store loses a path" "root, to add to and delete from the host's store"
fi

# -- stopped at any moment ---------------------------------------------------------------------------------------------

seed=${IGLOO_TEST_SEED-$RANDOM}
RANDOM=$seed
echo "# seed $seed"
wrong=
# Of five at once four are stopped, and of one the supervisor is killed.
for round in {1..3}; do
	pids=()
	for name in a b c d e; do
		"${vm[@]}" --name "$name$round" -- sleep 1000 </dev/null &>/dev/null &
		pids+=($!)
	done
	for name in a b c d e; do
		sleep "$((RANDOM % 2)).$((RANDOM % 10))"
		if [[ $name == e ]]; then kill -KILL "${pids[4]}"; else igloo stop -t 0 "$name$round"; fi &>/dev/null
	done
	for pid in "${pids[@]}"; do
		# Who was stopped before there was a box has to be told again.
		within 2 gone "$pid" || kill -TERM "$pid" 2>/dev/null
		within 20 gone "$pid" || wrong+=" round $round: $pid goes on;"
		wait "$pid"
	done 2>/dev/null
done
is "15 starts, stopped or killed at random moments, end" "$wrong" ""
no_qemu() { [[ -z $(ours) ]]; }
ok "leave no QEMU" within 10 no_qemu
igloo ls >/dev/null
clean "what was killed"
ok "and the next machine starts" "${vm[@]}" -- true

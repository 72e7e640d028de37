#!/bin/bash
# The disk of a machine's slot: --in vm, --disk, --overlay. Emulated machines start slowly: all that can be is tried in
# few of them.
if ! command -v qemu-system-x86_64 >/dev/null; then
	echo "1..1"
	echo "ok 1 - disks # SKIP qemu-system-x86_64"
	exit
elif [[ -z ${IGLOO_TEST_KERNEL-} ]]; then
	echo "1..1"
	echo "ok 1 - disks # SKIP an unpacked kernel package in IGLOO_TEST_KERNEL (docs/kernels.md)"
	exit
fi
. "$(dirname "$0")/lib.sh"

mkproject project bash coreutils python3
vm=(igloo run --in vm --offline --kernel "$IGLOO_TEST_KERNEL" --accel tcg --memory 512M --cpus 1)
# disk [SLOT]: the folder of the disk of this repository's slot.
disk() { echo "$XDG_STATE_HOME/igloo/slots/${1-project}"-*/disk; }
used() { echo $(($(stat -c '%b * %B' "$(disk)/image"))); }
supervisor() { igloo inspect "$1" | python3 -c 'import json, sys; print(json.load(sys.stdin)["supervisor"])'; }
# of SUPERVISOR: its QEMU.
of()
{
	local p
	for p in $(pgrep -P "$1"); do pgrep -P "$p" -f '^/.*qemu-system'; done | head -n 1
}
ours() { local f; for f in $(pgrep -f '^/.*qemu-system'); do [[ "$(tr '\0' ' ' <"/proc/$f/cmdline")" != *"$T"* ]] || echo "$f"; done; }
cat >once.nix <<'END'
derivation { name = "once"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "echo built $RANDOM > $out" ]; }
END
git add -A

# -- what is refused before anything starts ----------------------------------------------------------------------------

ok "an environment" igloo run --offline -- true
says "--disk is a machine's" 125 '*--disk*--in vm*' igloo run --disk 1G -- true
says "--overlay is a machine's" 125 '*--overlay*--in vm*' igloo run --overlay -- true
says "either --disk or --overlay" 125 '*--overlay*' "${vm[@]}" --disk 1G --overlay -- true
says "more than the host has" 125 '*--disk: 9.7 TiB*hint:*' "${vm[@]}" --disk 9999G -- true
says "too small a disk" 125 '*256 MiB*' "${vm[@]}" --disk 1M -- true

# -- the first machine: a small disk -------------------------------------------------------------------------------------

cat >inside.py <<'END'
import ctypes, os, socket, struct, subprocess, sys
def result(name, good, why=""):
    print("ok" if good else "not ok", name, "" if good else why, flush=True)
home = os.environ["HOME"]
os.chdir(home)
os.mkfifo("pipe")
s = socket.socket(socket.AF_UNIX); s.bind("socket"); s.listen(); socket.socket(socket.AF_UNIX).connect("socket")
f = open("gone", "w+"); os.unlink("gone"); f.write("x"); f.flush(); os.ftruncate(f.fileno(), 0)
result("HOME has pipes, sockets and open files without a name", os.fstat(f.fileno()).st_nlink == 0)
c = ctypes.CDLL(None)
n = c.inotify_init(); c.inotify_add_watch(n, home.encode(), 0x100)
open("seen", "w").close()
result("and is watched by inotify", b"seen" in os.read(n, 4096))
open("/var/tmp/x", "w").close()
result("/var/tmp", os.stat("/var/tmp").st_mode & 0o7777 == 0o1777)
result("no device of the disk", not [d for d in os.listdir("/dev") if d.startswith("vd")])
mounts = {l.split()[1]: l.split()[2:4] for l in open("/proc/mounts")}
result("mounts", mounts["/nix/store"][0] == "overlay" and mounts[home][0] == "ext4" and
       all({"nosuid", "nodev"} <= set(mounts[m][1].split(",")) for m in (home, "/nix/store", "/nix/var", "/var/tmp")), mounts)
size = os.statvfs(home).f_blocks * os.statvfs(home).f_frsize
result("as large as asked", 200 << 20 < size < 300 << 20, size)
print("path", subprocess.check_output(["nix-build", "--no-out-link", sys.argv[1]], text=True).strip())
data = os.urandom(1 << 20)
try:
    with open("full", "wb") as f:
        while True: f.write(data)
except OSError as e:
    result("a full disk is ENOSPC", e.errno == 28, e)
os.unlink("full")
with open("kept", "wb") as f: f.write(data); f.flush(); os.fsync(f.fileno())
print("end")
END
"${vm[@]}" --disk 300M -- python3 inside.py "$PWD/once.nix" >"$T/first" 2>"$T/err"
is "the first machine" $? 0
while read -r verdict rest; do
	case $verdict in
		ok) pass "$rest" ;;
		not) fail "$rest" ;;
		path) built=$rest ;;
	esac
done <"$T/first"
like "what it built" "${built-}" '/nix/store/*-once'
is "it came to its end" "$(tail -n 1 "$T/first")" end
is "an image as large as asked" "$(stat -c %s "$(disk)/image")" $((300 << 20))
ok "which has freed what was removed" test "$(used)" -lt $((100 << 20))
is "it was mounted cleanly" "$(od -An -tx2 -j $((1024 + 58)) -N 2 "$(disk)/image" | tr -d ' ')" 0001
ok "the slot's own store has none of it" bash -c '! compgen -G "$1/../nix/store/*-once"' - "$(disk)"
ok "nor its home" bash -c '! test -e "$1/../home/kept"' - "$(disk)"
like "igloo slot ls" "$(igloo slot ls)" '*DISK*300 MiB*'

# -- the second: what was kept, a larger disk, and a view that has changed ---------------------------------------------

echo "of a sandbox" >"$T/tmp/new"
added=$(igloo run --offline --share-ro "$T/tmp" -- nix-store --add "$T/tmp/new")
"${vm[@]}" --detach --name stays --disk 600M -- bash -c '
	read -r size < <(df -B1 --output=size ~ | tail -n 1); ((size > 500 << 20)) || echo "size: $size"
	[[ $(stat -c %s ~/kept) == 1048576 ]] || echo "not kept"
	nix-store --check-validity '"$built $added"' 2>&1 || echo "not valid"
	nix-store --verify 2>&1 | grep -v "^reading\|^checking"
	[[ $(nix-build --no-out-link once.nix 2>&1) == '"$built"' ]] || echo "built again"
	echo checked; n=0
	while sync=$((++n)); do echo $n >~/number; sync ~/number; echo $n; done' >/dev/null 2>"$T/err"
is "the second machine" $? 0
ok "writes" within 60 bash -c 'igloo logs stays | grep -q "^20$"'
is "what was kept is there, and what it builds on" "$(igloo logs stays | sed '/^checked$/q' | head -c 1000)" checked
like "igloo slot ls: who has it" "$(igloo slot ls --json)" '*"disk":{*"box":"stays"*'
says "slot rm --disk: not while it is used" 125 "*in use by box 'stays'*" igloo slot rm --yes --disk "$(basename "$(dirname "$(disk)")")"

# A sandbox of the slot adds a path meanwhile; the machine goes on, and can have the same.
echo more >"$T/tmp/more"
more=$(igloo run --offline --share-ro "$T/tmp" -- nix-store --add "$T/tmp/more")
prints "what a sandbox adds meanwhile does not disturb a machine" "$more more" igloo exec stays -- bash -c '
	echo more >/tmp/more; path=$(nix-store --add /tmp/more) && nix-store --check-validity "$path" && echo "$path $(<"$path")"'

# The command changes the flake and enters again.
if [[ $EUID == 0 ]]; then
	sed -i 's/packages = \[/NEW = "added"; &/' flake.nix
	prints "nix develop after the flake was edited" added igloo exec stays -- bash -c 'nix develop --offline -c printenv NEW && sync'
else
	skip "nix develop after the flake was edited" "root: once is enough, it is slow"
fi

# Another machine at the same time has another slot, one that asks for this very one is refused.
"${vm[@]}" --overlay -- bash -c 'echo x >~/x; df --output=fstype ~ /nix/var | tail -n 1; nix-store --check-validity '"$added"' && echo valid' >"$T/overlay" 2>"$T/err"
is "--overlay needs no disk: store, database and HOME in memory" "$(xargs <"$T/overlay")" "tmpfs valid"
"${vm[@]}" --slot other -- bash -c 'touch ready; until [[ -e go ]]; do sleep 0.1; done' >/dev/null 2>"$T/other" &
other=$!

qemu=$(of "$(supervisor stays)")
if [[ $EUID == 0 ]]; then
	is "the slot's own store, database and HOME are read-only for QEMU" \
		"$(awk '$5 ~ "^/box/(nix/store|nix/var|home/igloo)$" {print $5, substr($6, 1, 2)}' "/proc/$qemu/mountinfo" | sort | xargs)" \
		"/box/home/igloo ro /box/nix/store ro /box/nix/var ro"
else
	skip "the slot's own store, database and HOME are read-only for QEMU" "root"
fi
last=$(igloo logs stays | tail -n 1)
kill -KILL "$qemu"
within 20 bash -c '! kill -0 '"$qemu"' 2>/dev/null'
igloo rm stays >/dev/null 2>&1
ok "another slot, at the same time" appears ready $other
ok "has a disk of its own" rm "$(disk other)/image"
touch go
wait $other
is "whose machine goes on when the disk is removed" $? 0
like "and that is said" "$(<"$T/other")" "*disk of slot 'other-*was removed*"
rm -f go ready

# -- the third: after QEMU was killed -----------------------------------------------------------------------------------

begin=$last
# What the host has below HOME and /var/tmp is seen there, and does not go to the disk.
mkdir "$T/data" && echo of-the-share >"$T/data/file"
printf secret-value | igloo secret set TOKEN
kept=(--secret-file "TOKEN=/home/igloo/deep er/token" --share-rw "$T/data:/var/tmp/a b/share")
# shellcheck disable=SC2016
try "${vm[@]}" "${kept[@]}" --disk 256M -- bash -c 'cat ~/number; grep -c once <<<"$(nix-store -q '"$built"' 2>&1)"
	nix-store --check-validity '"$more"' /nix/store/*-nix-shell-env >~/log 2>&1 && echo "NEW=$NEW"
	cat ~/"deep er/token" "/var/tmp/a b/share/file" >"/var/tmp/a b/share/both"; touch "/var/tmp/a b/own" ~/"deep er/own" && echo own >"/var/tmp/a b/share/own"'
is "a secret below HOME and a share below /var/tmp" "$(cat "$T/data/both" "$T/data/own")" "secret-valueof-the-share
own"
owner() { PATH=$PATH:/usr/sbin:/sbin debugfs -R "stat \"$1\"" "$(disk)/image" 2>/dev/null | grep -o 'User: *[0-9]*\|Size: *[0-9]*$' | head -n 2 | xargs; }
is "their places on the disk are empty, and the user's" "$(owner "/home/deep er/token"), $(owner "/tmp/a b/share")" "User: 1000 Size: 0, User: 1000 Size: 4096"
like "what was synced is there" "$([[ ${out%%$'\n'*} -ge $begin ]] && echo yes || echo "no: $out, $err, not $begin")" yes
[[ $EUID != 0 ]] || is "and what nix develop built; the next task has the new flake" "$(tail -n 1 <<<"$out")" "NEW=added"
like "a smaller --disk is a note" "$err" '*stays at 600 MiB*'

# -- kept, and begun with ---------------------------------------------------------------------------------------------

if [[ $EUID == 0 ]]; then
	slot=$(basename "$(dirname "$(disk)")")
	ok "a snapshot of a slot with a disk" igloo snapshot create "$slot" before
	ok "a fork of it" igloo fork "$slot" forked
	is "takes no room for what is not there" $(($(stat -c '%b * 512 / 1048576' "$(disk forked)/image") < 300)) 1
	prints "a machine in the fork has what the disk had" own "${vm[@]}" --slot forked -- bash -c 'cd ~/"deep er" && ls own && rm own && sync'
	ok "the first one loses its disk" igloo slot rm --yes --disk "$slot"
	ok "and gets it back" igloo snapshot restore --yes before
	prints "with what it had" own "${vm[@]}" -- bash -c 'cd ~/"deep er" && ls own'
else
	skip "snapshots and forks of a disk" "root: once is enough"
fi

# -- damage -------------------------------------------------------------------------------------------------------------

cp --sparse=always "$(disk)/image" "$T/image"
cp "$(disk)/format" "$T/format"
truncate -s 1M "$(disk)/image"
says "a truncated image" 125 "*disk of slot*cut short*hint:*slot rm --disk*" "${vm[@]}" -- true
cp --sparse=always "$T/image" "$(disk)/image"
dd if=/dev/urandom of="$(disk)/image" bs=1 seek=1024 count=56 conv=notrunc status=none
dd if=/dev/urandom of="$(disk)/image" bs=1 seek=1100 count=900 conv=notrunc status=none
says "random bytes in the superblock" 125 "*machine: cannot mount: the slot's disk*" "${vm[@]}" -- true
is "in one message" "$(grep -c '^igloo: ' <<<"$err")" 1
echo "igloo-disk 7 new" >"$(disk)/format"
says "one of a newer igloo" 125 "*newer igloo*hint:*" "${vm[@]}" -- true
cp "$T/format" "$(disk)/format"
python3 - "$(disk)/image" <<'END' &
import fcntl, sys, time
f = open(sys.argv[1], "r+b"); fcntl.flock(f, fcntl.LOCK_EX); open(sys.argv[1] + ".locked", "w").close(); time.sleep(30)
END
locker=$!
within 10 test -e "$(disk)/image.locked"
rm -f "$(disk)/image.locked"
says "an image that another has locked" 125 "*locked*" "${vm[@]}" -- true
kill $locker
ok "slot rm --disk" igloo slot rm --yes --disk "$(basename "$(dirname "$(disk)")")"
ok "leaves the slot" test -d "$(disk)/../home"
ok "without an image" test ! -e "$(disk)/image"

# A state folder on a file system that gets full.
small()
{
	unshare --mount bash -c 'mount -t tmpfs -o size=96m tmpfs "$1" && shift && exec "$@"' - "$T/small" \
		env XDG_STATE_HOME="$T/small" IGLOO_VIEW_KEEP=0 "${vm[@]}" -- "$@"
}
mkdir "$T/small"
if [[ $EUID == 0 ]] && unshare --mount true 2>/dev/null; then
	try small bash -c 'echo first >~/x; sync ~/x; for i in {1..200}; do head -c 1048576 /dev/urandom >~/file$i && sync ~/file$i || exit 7; done'
	is "a full file system of the host is an error in the machine" "$code" 7
	like "which is said" "$err" "*file system is full*could not write to the disk*"
	is "once" "$(grep -c 'could not write' <<<"$err")" 1
else
	skip "a full file system of the host is an error in the machine" "root, who may mount"
fi

is "no machine is left" "$(ours)" ""
is "no mount is left" "$(grep -F "$T" /proc/self/mounts)" ""
ok "the slot is free" flock -n "$(disk)/lock" true

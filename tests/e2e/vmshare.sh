#!/bin/bash
# Shares of sandboxes and machines, and the ways by which a machine has its files: 9p, virtiofs, an image of the store.
here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
. "$here/lib.sh"

mkproject ws/project bash coreutils git python3
project=$PWD
mkdir -p "$T/a/data" "$T/b/data" "$T/only/deep" "$HOME/.ssh" "$T/line
break"
echo of-a >"$T/a/data/file"
echo of-b >"$T/b/data/file"
echo kept >"$T/only/file"
echo key >"$HOME/.ssh/id"
ln -s / "$T/root"
ln -s "$HOME/.ssh" "$T/logins"
ln -s "$T/a/data" "$T/link"
supervisor() { igloo inspect "$1" | python3 -c 'import json, sys; print(json.load(sys.stdin)["supervisor"])'; }
# of SUPERVISOR NAME: its QEMU, or virtiofsd.
of()
{
	local p
	for p in $(pgrep -P "$1"); do pgrep -P "$p" -f "^/.*$2"; done | head -n 1
}
python='import json, sys; print(*(s["target"] + ("!" if s["readOnly"] else "") for s in json.load(sys.stdin)["shares"]), sep="\n")'
shares() { igloo inspect "$1" | python3 -c "$python"; }

# -- sandboxes ------------------------------------------------------------------------------------------

prints "a share at its own place" of-a igloo run --share-ro "$T/a/data" -- cat "$T/a/data/file"
prints "through a link: at its own place" of-a igloo run --share-ro "$T/link" -- cat "$T/a/data/file"
prints "at another" "of-a of-b" igloo run --share-ro "$T/a/data:/data" --share-ro "$T/b/data:/srv//b/" -- bash -c 'echo $(cat /data/file /srv/b/file)'
says "for reading" 1 '*Read-only*' igloo run --share-ro "$T/only:/x" -- bash -c 'echo lost >/x/file'
ok "for writing" igloo run --share-rw "$T/only:/x" -- bash -c 'echo new >/x/deep/new'
is "is written" "$(cat "$T/only/deep/new")" new
says "two at one place" 125 "*'$T/a/data' and '$T/b/data' cannot both be at /x*" igloo run --share-ro "$T/a/data:/x" --share-ro "$T/b/data:/x" -- true
says "one that hides the workspace" 125 "*would hide '$project'*" igloo run --share-ro "$T/a:$T/ws" -- true
says "one that would be made in the workspace" 125 "*lies in '$project', where no such folder is*hint:*" \
	igloo run --share-ro "$T/a/data:$project/new" -- true
ok "and was not" test ! -e "$project/new"
says "at a place that is igloo's" 125 "*/etc in a box is igloo's own*" igloo run --share-ro "$T/a/data:/etc/data" -- true
says "no place" 125 "*'.' and '..'*" igloo run --share-ro "$T/a/data:/x/../y" -- true
says "nothing there" 125 "*cannot share '$T/none'*No such file*" igloo run --share-ro "$T/none" -- true

for path in / /proc /sys/class /dev /boot "$T/root" /usr/.. /proc/self/root "$T/root/proc/../"; do
	says "$path" 125 "*cannot be shared with a box: *" igloo run --yes --share-ro "$path:/x" -- true
done
for path in /etc /usr/share /home /var "$T/root/etc/" "$HOME/.ssh" "$T/logins" "$HOME/.ssh/id"; do
	says "$path, without a terminal" 125 "*is not shared: *hint:*--yes*" igloo run --share-ro "$path:/x" -- true
done
says "igloo's own" 125 "*igloo's own '$XDG_STATE_HOME/igloo' lies in it*" igloo run --yes --share-ro "$HOME:/x" -- true
says "what lies in it" 125 "*lies in igloo's own*" igloo run --yes --share-ro "$XDG_STATE_HOME/igloo/slots:/x" -- true
prints "--yes" key igloo run --yes --share-ro "$T/logins:/x" -- cat /x/id
if python3 -c 'import pexpect' 2>/dev/null; then
	for answer in y n; do
		out=$(python3 - "$answer" igloo run --share-ro "$HOME/.ssh:/x" -- cat /x/id <<-'END'
			import pexpect, sys
			child = pexpect.spawn(sys.argv[2], sys.argv[3:], timeout=60, encoding="utf-8")
			child.expect_exact("Share it with the box? [y/N] ")
			child.sendline(sys.argv[1])
			child.expect(pexpect.EOF)
			child.close()
			print(child.exitstatus, child.before)
		END
		)
		case $answer in
		y) like "a yes" "$out" "0*key*" ;;
		n) like "a no" "$out" "125*is not shared*" ;;
		esac
	done
else
	skip "the question" "python3-pexpect"
fi

# What holds by the workspace's own name holds by another.
says "protected files by another name" 1 '*.git/config*Read-only*hooks/x*Read-only*busy*' igloo run --share-rw "$T/ws:/around" -- bash -c '
	cd /around/project
	echo "[core]" >>.git/config; echo x >.git/hooks/x; mv /around/project /around/moved'


# -- machines -------------------------------------------------------------------------------------------

if ! command -v qemu-system-x86_64 >/dev/null || [[ -z ${IGLOO_TEST_KERNEL-} ]]; then
	skip "machines" "qemu-system-x86_64 and an unpacked kernel package in IGLOO_TEST_KERNEL (docs/kernels.md)"
	exit
fi
vm=(igloo run --in vm --kernel "$IGLOO_TEST_KERNEL" --accel tcg --memory 512M --cpus 1)
says "--in vm: what is not shared" 125 "*cannot be shared with a box*" "${vm[@]}" --share-ro "$T/root" -- true
ok "a machine with shares" "${vm[@]}" --detach --name shares --share-rw "$T/a/data" --share-ro "$T/b/data" --share-rw "$T/b/data" \
	--share-ro "$T/only:$T/only" --share-ro "$T/line
break" -- sleep 1000
exec_() { igloo exec shares -- "$@"; }
like "says where they are" "$(shares shares)" "$project
/mnt/host-rw/data
/mnt/host-rw/data-2
/mnt/host-ro/data!
$T/only!
/mnt/host-ro/line
break!"
prints "has them there" "of-a of-b of-b kept" exec_ bash -c "echo \$(cat /mnt/host-rw/data/file /mnt/host-rw/data-2/file /mnt/host-ro/data/file '$T/only/file')"
ends "and not here" 1 exec_ test -e "$T/a"
says "for reading" 1 "*Read-only*Read-only*" exec_ bash -c "echo lost >/mnt/host-ro/data/file; echo lost >'$T/only/new'; exit 1"
ok "for writing" exec_ bash -c 'echo new >/mnt/host-rw/data/new; mkdir /mnt/host-rw/data-2/folder; mv /mnt/host-rw/data/new /mnt/host-rw/data/renamed'
is "is written" "$(cat "$T/a/data/renamed")" new
ok "a folder, too" test -d "$T/b/data/folder"
says "protected files" 1 "*Read-only*" exec_ bash -c 'echo x >>.git/config'
# QEMU itself cannot write what is shared for reading: root in the machine has no more than it.
qemu=$(of "$(supervisor shares)" qemu-system)
if [[ $EUID == 0 ]]; then
	says "whoever is root in it" 1 "*Read-only*Read-only*" nsenter -t "$qemu" -m -S 0 -G 0 -- /bin/sh -c \
		"touch '/box/mnt/host-ro/data/x'; touch '/box$T/only/x'; exit 1"
else
	skip "whoever is root in it" "root (nobody else may look into a process that leaves no core)"
fi
ok "igloo stop" igloo stop shares

# -- virtiofs -------------------------------------------------------------------------------------------

says "--fs is a machine's" 125 '*--fs*--in vm*' igloo run --fs 9p -- true
says "no such way" 125 '*warp*auto*virtiofs*9p*' "${vm[@]}" --fs warp -- true
mkdir "$T/bin"
printf '#!/bin/sh\necho "  -o sandbox=namespace|chroot"\n' >"$T/bin/virtiofsd"
chmod +x "$T/bin/virtiofsd"
says "a virtiofsd that needs privileges" 125 "*--fs virtiofs*$T/bin/virtiofsd*--sandbox=none*hint:*" env PATH="$T/bin:$PATH" "${vm[@]}" --fs virtiofs -- true
if ! { virtiofsd --help || /usr/libexec/virtiofsd --help; } 2>/dev/null | grep -A1 -e '--sandbox <' | grep -q none; then
	skip "virtiofs" "virtiofsd, the one written in Rust"
	exit
fi
gone() { ! kill -0 "$1" 2>/dev/null || [[ $(ps -o stat= -p "$1") == Z* ]]; }
ok "a machine with virtiofs" "${vm[@]}" --fs virtiofs --detach --name fs --share-ro "$T/b/data" --share-rw "$T/a/data" -- sleep 1000
exec_() { igloo exec fs -- "$@"; }
like "its root" "$(exec_ cat /proc/mounts)" "box / virtiofs *"
prints "files, pipes, sockets, and what was removed while it is open" "of-b 5 3 3 works" exec_ python3 -c '
import os, socket
print(open("/mnt/host-ro/data/file").read().strip(), end=" ")
os.mkfifo("pipe"); s = socket.socket(socket.AF_UNIX); s.bind("socket"); s.listen(); socket.socket(socket.AF_UNIX).connect("socket")
f = open("gone", "w+"); os.unlink("gone"); f.write("words"); f.flush(); print(os.fstat(f.fileno()).st_size, end=" ")
f.truncate(3); print(os.fstat(f.fileno()).st_size, end=" "); f.seek(0); print(len(f.read()), end=" ")
os.unlink("pipe"); os.unlink("socket")
open("/mnt/host-rw/data/by-virtiofs", "w").write("works"); print(open("/mnt/host-rw/data/by-virtiofs").read())'
is "are the host's" "$(cat "$T/a/data/by-virtiofs") $(stat -c %u:%g "$T/a/data/by-virtiofs")" "works $(id -u):$(id -g)"
says "for reading, and what is protected" 1 "*Read-only*Read-only*" exec_ bash -c 'echo lost >/mnt/host-ro/data/file; echo x >>.git/config; exit 1'
says "no set-user-id file" 1 '*not permitted*' exec_ bash -c 'touch set; chmod u+s set; rm set; test ! -e set || exit 0; exit 1'
echo changed >"$project/from-outside"
changed() { [[ $(exec_ cat from-outside) == changed ]]; }
ok "what the host writes is seen" within 20 changed
daemon=$(of "$(supervisor fs)" virtiofsd)
ok "virtiofsd is there" test -n "$daemon"
is "no capability" "$(grep -E '^Cap' "/proc/$daemon/status" | awk '{print $2}' | sort -u)" 0000000000000000
like "no_new_privs and two filters" "$(grep -E '^(NoNewPrivs|Seccomp|Seccomp_filters):' "/proc/$daemon/status" | xargs)" \
	"NoNewPrivs: 1 Seccomp: 2 Seccomp_filters: [2-9]"
if [[ $EUID == 0 ]]; then
	is "its files are the box's" "$(find "/proc/$daemon/root/" -mindepth 1 -maxdepth 1 -printf '%f\n' | grep -vxE 'usr|lib|lib32|lib64|libx32|bin|nix' | sort | xargs)" \
		"box dev etc proc vm"
	is "its /proc" "$(find "/proc/$daemon/root/proc/" -type f -o -type l | sort | xargs -n 1 basename | xargs)" "self nr_open thread-self"
else
	skip "its files" "root (nobody else may look into a process that leaves no core)"
fi
ok "igloo stop" igloo stop fs
ok "ends virtiofsd" within 10 gone "$daemon"

"${vm[@]}" --fs virtiofs --name killed -- bash -c 'touch ready; exec sleep 1000' </dev/null >"$T/killed" 2>&1 &
pid=$!
ok "another" appears ready $pid
kill -KILL "$(of "$(supervisor killed)" virtiofsd)"
wait $pid
like "virtiofsd is killed: the status" "$?" "@(125|137)"
like "one message" "$(grep '^igloo' "$T/killed")" "*machine: virtiofsd, by which it has its files: killed by signal 9*"
is "of one line" "$(grep -c '^igloo' "$T/killed")" 1

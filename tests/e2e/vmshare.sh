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

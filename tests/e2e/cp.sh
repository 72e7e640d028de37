#!/bin/bash
# igloo cp: files into boxes and out of them, a sandbox and a machine.
. "$(dirname "$0")/lib.sh"

mkproject project bash coreutils
project=$PWD
ends_soon() { igloo run --detach --name "$1" "${@:2}" -- bash -c 'while :; do sleep 1000; done' >/dev/null; }
ok "a box" ends_soon fix
in_fix() { igloo exec fix -- "$@"; }
mkdir "$T/o" && cd "$T/o" || exit 1

# -- what is said before anything is done ------------------------------------------------------------------

says "neither is in a box" 125 '*neither*BOX:PATH*' igloo cp a b
says "both are" 125 '*both*' igloo cp fix:a fix:b
says "no such box" 125 "*no box*'fox'*" igloo cp fox:/x .
says "no path" 125 "*path behind 'fix:'*" igloo cp fix: .
says "no such path in the box" 125 "*fix*'/nonexistent'*No such file*" igloo cp fix:/nonexistent .
says "no such path on the host" 125 "*'nonexistent'*No such file*" igloo cp nonexistent fix:/tmp
says "no such rule" 125 '*--unprotect*' igloo cp --unprotect nothing fix:/etc/passwd .
says "--links" 125 '*inside*all*none*' igloo cp --links some fix:/etc/passwd .
echo x >./fix:name
says "a name of the host that looks like a box's" 0 '' igloo cp ./fix:name fix:/tmp/x
says "a terminal's errors as JSON" 125 '{*"command":"cp"*' igloo cp --json fix:/nonexistent .

# -- there and back ----------------------------------------------------------------------------------------

# tree FOLDER: something of everything.
tree()
{
	mkdir -p "$1/sub/deeper" "$1/empty"
	echo content >"$1/a file"
	printf odd >"$1/sub/"$'new\nline\xff'
	printf '#!/bin/sh\n' >"$1/sub/deeper/run"
	: >"$1/none"
	ln -s "a file" "$1/link" && ln -s ../none "$1/sub/up" && ln -s missing "$1/dangling"
	truncate -s 3M "$1/holes" && echo end >>"$1/holes"
	chmod 751 "$1/sub/deeper/run" && chmod 600 "$1/none" && chmod 711 "$1/empty"
	touch -d '2001-02-03 04:05:06.789' "$1/a file" "$1/sub/deeper"
	touch -hd '2002-03-04' "$1/link"
}
# shape FOLDER: what is to be kept of each.
shape() { (cd "$1" && find . -printf '%p %y %m %s %T@ %l\n' | LC_ALL=C sort | sed '/^\. /d;/ d /s/ d \([0-7]*\) [0-9]* / d \1 /' && find . -type f -exec cksum {} + | LC_ALL=C sort); }
tree "$T/tree"
shape "$T/tree" >"$T/shape"
# there_and_back BOX: through /dev/shm, which is the box's own in every kind; what comes by 9p knows whole seconds only.
there_and_back()
{
	local box=$1 at=/dev/shm
	ends "$box: a folder goes in" 0 igloo cp "$T/tree" "$box:$at"
	ends "$box: and comes back" 0 igloo cp "$box:$at/tree" "$T/back-$box"
	is "$box: as it was" "$(shape "$T/back-$box" 2>&1)" "$(<"$T/shape")"
	igloo cp "$box:$at/tree/." - | (mkdir "$T/untar-$box" && tar x -C "$T/untar-$box" --no-same-owner -p)
	is "$box: as a tar file" "$(shape "$T/untar-$box")" "$(<"$T/shape")"
	ends "$box: over itself" 0 igloo cp "$T/tree/." "$box:$at/tree"
	ends "$box: a tar file goes in" 0 sh -c "tar c -C '$T' --format=pax tree | igloo cp - $box:$at/tar"
	ends "$box: and comes back" 0 igloo cp "$box:$at/tar/tree" "$T/tar-$box"
	is "$box: as it was" "$(shape "$T/tar-$box" 2>&1)" "$(<"$T/shape")"
}
there_and_back fix
ends "and to /tmp" 0 igloo cp "$T/tree" fix:/tmp
ok "holes stay holes" test "$(stat -c %b "$T/back-fix/holes")" -lt 1000
prints "what was done, as JSON" '{"box":"fix","bytes":8,"files":1,"folders":0,"leftOut":[],"leftOutCount":0,"links":0,"schema":"igloo.cp/1"}' \
	igloo cp --json "$T/tree/a file" fix:/tmp
ends "a relative path in the box begins where its command did" 0 igloo cp fix:flake.nix .
ok "and it is that" cmp flake.nix "$project/flake.nix"
ends "through a link in the box" 0 in_fix ln -s tree /tmp/to-tree
ends "a link stays one" 0 igloo cp --links all fix:/tmp/to-tree .
is "to what it was" "$(readlink to-tree)" tree
rm to-tree
ends "-L: what it leads to, by its name" 0 igloo cp -L fix:/tmp/to-tree .
is "a folder" "$(cat 'to-tree/a file')" content
ends "as with a slash" 0 igloo cp fix:/tmp/to-tree/ slash
is "too" "$(cat 'slash/a file')" content

# -- the destination ---------------------------------------------------------------------------------------

mkdir there && echo old >file
ends "a file to a new name" 0 igloo cp fix:/tmp/tree/none new
ends "into a folder" 0 igloo cp fix:/tmp/tree/none there
ends "over a file" 0 igloo cp "fix:/tmp/tree/a file" file
is "each is there" "$(cat file; ls new there/none)" "content
new
there/none"
says "into a folder that is not there" 125 "*'missing'*" igloo cp fix:/tmp/tree/none missing/
says "nor its parent" 125 "*'missing/parent/x'*" igloo cp fix:/tmp/tree/none missing/parent/x
says "a folder over a file" 125 "*'file'*" igloo cp fix:/tmp/tree file
is "which stays" "$(<file)" content
in_fix mkdir -p /tmp/dir/none
says "a file over a folder in the box" 125 "*'/tmp/dir/none'*" igloo cp there/none fix:/tmp/dir
mkdir -p over/none
says "a file over a folder" 125 "*'over/none'*" igloo cp fix:/tmp/tree/none over
says "the same in the box" 125 "*'/tmp/tree/none'*" igloo cp "$T/tree" fix:/tmp/tree/none
says "read-only in the box" 125 "*fix*Read-only*" igloo cp file fix:/etc
says "what is protected there is" 125 "*fix*" igloo cp file "fix:$project/.git/hooks/pre-commit"
ok "so it is not there" test ! -e "$project/.git/hooks/pre-commit"

# -- what a box may not leave -------------------------------------------------------------------------------

mkdir "$T/outside" && ln -s "$T/outside" leads-out && mkdir merged && ln -s "$T/outside" merged/sub
says "a link in the destination is not followed" 125 "*leads-out*$T/outside*" igloo cp fix:/tmp/tree leads-out/x
says "nor the destination itself" 125 "*leads-out*" igloo cp fix:/tmp/tree/none leads-out
says "nor one where a folder is to be" 125 "*merged/sub*" igloo cp fix:/tmp/tree/. merged
is "nothing came there" "$(ls "$T/outside")" ""
ln -s "$T/outside/file" merged/none
ends "one where a file is to be is replaced" 0 igloo cp fix:/tmp/tree/none merged/
ok "by the file" test -f merged/none -a ! -h merged/none -a ! -e "$T/outside/file"
says "a source that is a link on the way, too" 125 "*leads-out*" igloo cp leads-out/x fix:/tmp
in_fix bash -c 'mkdir -p /tmp/bad/in; cd /tmp/bad; ln -s /etc/passwd abs; ln -s ../../x up; ln -s in/../../y odd; ln -s in good; echo x >in/f; mkfifo pipe; printf x >$'"'"'esc\e[31m'"'"
says "links out and pipes are left out and said" 125 "*'bad/abs'*'/etc/passwd'*'bad/odd'*'pipe'*'bad/up'*--links all*3 of what*" igloo cp fix:/tmp/bad .
is "the rest is there" "$(cd bad && printf '%q ' *)" "$'esc\E[31m' good in "
like "a name is shown safely" "$(igloo cp fix:/tmp/bad/$'esc\e[31m' fix2:/ 2>&1; igloo cp fix:/tmp/$'no\e[31m' . 2>&1)" '*no\\x1b*'
says "--links none is no failure" 0 '*good*' igloo cp --links none fix:/tmp/bad bad2
ok "and has none" test -z "$(find bad2 -type l)"
says "--links all" 0 '*pipe*' igloo cp --links all fix:/tmp/bad bad3
is "as it is" "$(readlink bad3/abs)" /etc/passwd
mkdir repository && git init -q repository
in_fix bash -c 'mkdir -p /tmp/repo/.git/hooks /tmp/repo/.vscode /tmp/repo/src; cd /tmp/repo; echo x >.envrc; echo x >.git/hooks/pre-commit; echo x >.git/config; echo x >.vscode/tasks.json; echo x >src/main.c; echo x >.git/HEAD2'
says "what is protected in a repository" 125 "*.envrc*envrc*.git/config*.git/hooks*.vscode*editor*" igloo cp fix:/tmp/repo/. repository
is "the rest is there" "$(cd repository && find . -newer "$T/shape" -type f -name '[sm.H]*' ! -path './.git/[!H]*' | LC_ALL=C sort)" "./.git/HEAD
./.git/HEAD2
./src/main.c"
ok "git's configuration is git's" git -C repository config core.bare
says "--unprotect" 125 '*git-config*' igloo cp --unprotect envrc --unprotect editor fix:/tmp/repo/. repository
ok "opens what it names" test -e repository/.envrc -a -e repository/.vscode/tasks.json
says "elsewhere a repository comes without what git runs" 125 '*git-config*git-hooks*' igloo cp fix:/tmp/repo fresh
ok "and with all else" test -e fresh/.git/HEAD2 -a -e fresh/.envrc -a ! -e fresh/.git/config
says "a bound, of data" 0 '' igloo cp --max-size 1M fix:/tmp/tree/holes .
in_fix bash -c 'head -c 3000000 /dev/zero | tr "\0" x >/tmp/big'
says "more than allowed" 125 '*big*--max-size*' igloo cp --max-size 1M fix:/tmp/big .
ok "leaves nothing" test ! -e big -a -z "$(find . -name '.igloo-cp*')"

# -- much, quickly, and broken off ---------------------------------------------------------------------------

mkdir "$T/many" && (cd "$T/many" && for i in {0..99}; do mkdir "$i" && (cd "$i" && printf '%s\n' {0..99} | xargs touch); done)
begin=${EPOCHREALTIME/./}
ends "10 000 files in" 0 igloo cp "$T/many" fix:/tmp
ends "10 000 files out" 0 igloo cp fix:/tmp/many "$T/many2"
echo "# 10 000 files in and out: $(((${EPOCHREALTIME/./} - begin) / 1000)) ms"
is "are all there" "$(find "$T/many2" -type f | wc -l)" 10000
truncate -s 1G "$T/sparse" && printf x >>"$T/sparse"
begin=${EPOCHREALTIME/./}
ends "1 GiB of nothing in" 0 igloo cp "$T/sparse" fix:/tmp/sparse
ends "and out" 0 igloo cp fix:/tmp/sparse "$T/sparse2"
took=$(((${EPOCHREALTIME/./} - begin) / 1000))
ok "in no time ($took ms)" test "$took" -lt 3000
is "and on no disk" "$(stat -c %s "$T/sparse2") $(($(stat -c %b "$T/sparse2") < 100))" "1073741825 1"
head -c 50000000 /dev/urandom >"$T/bytes"
ends "50 MB in" 0 igloo cp "$T/bytes" fix:/tmp/bytes
in_fix bash -c 'mkdir /tmp/slow; for i in {1..200}; do ln /tmp/bytes /tmp/slow/$i; done'
# killed SIGNAL COMMAND...: sends it when there is a whole file in the folder slow; prints how it ended.
killed()
{
	rm -rf slow && mkdir slow
	python3 -c 'import glob, subprocess, sys, time
p = subprocess.Popen(sys.argv[2:], stdin=subprocess.DEVNULL)
while not glob.glob("slow/slow/1*") and p.poll() is None: time.sleep(0.01)
p.send_signal(int(sys.argv[1])); print(p.wait())' "$@"
}
is "SIGINT in the middle" "$(killed 2 igloo cp fix:/tmp/slow slow 2>"$T/interrupted")" 130
like "says what there is" "$(<"$T/interrupted")" '*interrupted*whole: * file*'
ok "leaves whole files only" test -z "$(find slow -name '.igloo-cp*')" -a -z "$(find slow -type f ! -size 50000000c)"
is "SIGKILL" "$(killed 9 igloo cp fix:/tmp/slow slow)" -9
ok "leaves whole files and one with its own name" test "$(find slow -name '.igloo-cp*' | wc -l)" -le 1 -a -z "$(find slow -type f ! -name '.igloo*' ! -size 50000000c)"
no_copies() { ! in_fix bash -c 'cat /proc/[0-9]*/cmdline | tr "\0" " " | grep -q -- "[-]-copy"'; }
ok "and nothing that runs in the box" within 5 no_copies
rm -rf slow
(igloo cp fix:/tmp/slow slow 2>"$T/ended"; echo $? >"$T/code") &
sleep 0.3
igloo stop -t 0 fix >/dev/null
wait $!
like "the box ends meanwhile" "$(<"$T/code") $(<"$T/ended")" "125 *'fix' ended*"
rm -rf slow
if [[ $EUID == 0 ]]; then
	cd "$project" || exit 1
	ok "a box" ends_soon full
	cd "$T/o" || exit 1
	mkdir "$T/small" && mount -t tmpfs -o size=1m none "$T/small"
	ends "50 MB into it" 0 igloo cp "$T/bytes" full:/tmp/bytes
	says "a full disk" 125 "*small/bytes*No space left*" igloo cp full:/tmp/bytes "$T/small"
	is "leaves nothing" "$(ls -A "$T/small")" ""
	umount "$T/small"
	igloo rm -f full >/dev/null
else
	skip "a full disk" "a file system of its own (root)"
fi

# -- a machine ------------------------------------------------------------------------------------------------

if command -v qemu-system-x86_64 >/dev/null && [[ ${IGLOO_TEST_KERNEL-} ]]; then
	cd "$project" || exit 1
	ok "a machine" ends_soon machine --in vm --kernel "$IGLOO_TEST_KERNEL" --accel tcg --memory 512M --cpus 1
	cd "$T/o" || exit 1
	there_and_back machine
	ok "what is only in the machine" test ! -e /tmp/tree
	head -c 5000000 "$T/bytes" >"$T/bytes5"
	begin=${EPOCHREALTIME/./}
	ends "5 MB in" 0 igloo cp "$T/bytes5" machine:/tmp/bytes
	ends "and out" 0 igloo cp machine:/tmp/bytes .
	echo "# 5 MB into an emulated machine and out: $(((${EPOCHREALTIME/./} - begin) / 1000)) ms"
	ok "the same" cmp bytes "$T/bytes5"
	says "no such path" 125 "*machine*'/nonexistent'*" igloo cp machine:/nonexistent .
	ok "to the workspace" igloo cp bytes "machine:$project/bytes"
	ok "is there outside" cmp bytes "$project/bytes"
	igloo stop -t 0 machine >/dev/null
else
	skip "a machine" "qemu-system-x86_64 and an unpacked kernel in IGLOO_TEST_KERNEL"
fi

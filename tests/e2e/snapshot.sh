#!/bin/bash
# Snapshots of slots, and forks: what comes back, what is refused, what a kill, a full disk and the host's garbage
# collection leave.
. "$(dirname "$0")/lib.sh"

mkproject project bash coreutils
run() { igloo run -- "$@"; }
slots=$XDG_STATE_HOME/igloo/slots snapshots=$XDG_STATE_HOME/igloo/snapshots
# rests: names of unfinished copies.
rests() { find "$slots" "$snapshots" -mindepth 1 -maxdepth 1 -name '.*' ! -name .lock -printf '%f\n' | sort | xargs; }
# member NAME: of the object on stdin.
member() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }
# contents FOLDER: everything that a copy has to have, as text; of the image that it is there. Roots and the list of paths
# are made for each copy.
contents()
{
	(cd "$1" && find . -mindepth 1 ! -name '*lock' -printf '%p %y %m %l %T@ %n\n' | sed -E 's,^(\./(host-paths|roots)[ /].*) [0-9.]+ ([0-9]+)$,\1 \3,; s,^(\./roots d .*) [0-9.]+ ([0-9]+)$,\1 \2,' | sort
	find . -type f ! -name '*lock' -size -20M -exec sha256sum {} + | sort)
}
# same NAME FOLDER FOLDER / same_as NAME FOLDER FILE
same() { contents "$3" >"$T/wanted" && same_as "$1" "$2" "$T/wanted"; }
same_as() { ok "$1" diff <(contents "$2") "$3"; }
differs() { ! contents "$1" | cmp -s - "$2"; }

ok "an environment" run bash -c 'echo first >~/state; ln ~/state ~/again; ln -s nowhere ~/link; mkfifo ~/pipe
	mkdir -m 555 ~/closed; : >~/without; chmod 000 ~/without; truncate -s 64M ~/disk; echo x >~/"odd
name"; touch -d 2001-01-01 ~/old'
slot=$(igloo slot ls -q)
# The slot's own store: a path of it, read-only as Nix's are.
mkdir -p "$slots/$slot/nix/store/own/sub" && echo own >"$slots/$slot/nix/store/own/sub/file"
chmod -R a-w "$slots/$slot/nix/store/own"
printf 'an image' >"$slots/$slot/disk.img" && truncate -s 1G "$slots/$slot/disk.img"

# -- create, ls ------------------------------------------------------------------------------------

prints "snapshot create" before igloo snapshot create "$slot" before
same "all is in it" "$snapshots/before/slot" "$slots/$slot"
ok "holes are holes" test "$(du -k "$snapshots/before/slot/disk.img" | cut -f1)" -lt 1024
is "a name is made" "$(igloo snapshot create "$slot")" "$slot-1"
is "and another" "$(igloo snapshot create --json "$slot" | member name)" "$slot-2"
says "a name that is taken" 125 "*there is a snapshot 'before' already*igloo snapshot rm before*" igloo snapshot create "$slot" before
says "a name that is none" 125 "*'../x' is not a name*" igloo snapshot create "$slot" ../x
says "no such slot" 125 "*no box and no slot 'nothing'*" igloo snapshot create nothing
like "snapshot ls" "$(igloo snapshot ls)" "SNAPSHOT*SIZE*MADE*BOX*SLOT*before*MiB*$slot*"
is "snapshot ls -q" "$(igloo snapshot ls -q | xargs)" "$(printf '%s\n' before "$slot-1" "$slot-2" | sort | xargs)"
like "snapshot ls --json" "$(igloo snapshot ls --json)" \
	'{"schema":"igloo.snapshots/1","snapshots":\[*"bytes":[1-9]*"damaged":false,"name":"before","repository":"'"$PWD"'","slot":"'"$slot"'"}*'
is "snapshot rm" "$(igloo snapshot rm "$slot-1" "$slot-2")" "$slot-1
$slot-2"
is "and it is gone" "$(igloo snapshot ls -q)" before
says "snapshot rm of none" 125 "*no snapshot 'none'*snapshot ls*" igloo snapshot rm none
is "completion" "$(igloo __complete snapshots)" before

# -- restore ------------------------------------------------------------------------------------------

run bash -c 'echo second >~/state; rm ~/link; echo new >~/new'
says "restoring needs a yes" 125 "*needs a yes*igloo snapshot restore --yes before*" igloo snapshot restore before
prints "snapshot restore" "$slot" igloo snapshot restore --yes before
prints "what was is back, with a view of before still kept" "first first first nowhere no" \
	run bash -c 'echo $(<~/state) $(<~/again) $(IGLOO=; cat ~/state) $(readlink ~/link) $([[ -e ~/new ]] && echo yes || echo no)'
prints "two names are one file" "2" run stat -c %h /home/igloo/state
igloo snapshot restore --yes before >/dev/null
prints "and once more" "first no" run bash -c 'echo $(<~/state) $([[ -e ~/new ]] && echo yes || echo no)'
is "nothing is left" "$(rests)" ""

# -- a box that runs -------------------------------------------------------------------------------------

ok "a box" igloo run --detach --name busy -- sleep 1000
says "a running box" 125 "*slot '$slot' is in use by box 'busy'*igloo stop busy*" igloo snapshot create busy
says "the same by its slot" 125 "*in use by box 'busy'*" igloo snapshot create "$slot"
says "nor is it restored" 125 "*in use by box 'busy'*" igloo snapshot restore --yes before
igloo stop busy >/dev/null 2>&1
prints "a box that has ended" busy-1 igloo snapshot create busy
like "is named" "$(igloo snapshot ls)" "*busy-1*busy*$slot*"
igloo rm busy >/dev/null
igloo snapshot rm busy-1 >/dev/null

# -- a slot that was removed; the host's garbage collection ------------------------------------------------

igloo slot rm --yes "$slot" >/dev/null
ok "the slot is gone" test ! -e "$slots/$slot"
path=$(sed -n 's/\t.*//; /-bash-/p' "$snapshots/before/slot/host-paths" | head -n 1)
if [[ -n $path ]]; then
	like "the snapshot roots what it needs of the host" \
		"$(NIX_CONFIG=$HOST_NIX nix-store --query --roots "$path" 2>/dev/null)" "*$snapshots/before/slot/roots/*"
else
	fail "the snapshot needs paths of the host" "$(<"$snapshots/before/slot/host-paths")"
fi
prints "and it comes back without a question" "$slot" igloo snapshot restore before
prints "as it was" first run cat /home/igloo/state
like "with roots of its own" "$(NIX_CONFIG=$HOST_NIX nix-store --query --roots "$path" 2>/dev/null)" "*$slots/$slot/roots/*"

# -- kills, two at once ---------------------------------------------------------------------------------------

head -c 3000000 /dev/urandom >"$slots/$slot/home/bytes"
mkdir "$slots/$slot/home/many" && (cd "$slots/$slot/home/many" && for i in {1..400}; do echo "$i" >"$i"; done)
igloo snapshot create "$slot" large >/dev/null
contents "$slots/$slot" >"$T/large"
bad=
for i in {1..8}; do
	igloo snapshot create "$slot" "kill-$i" >/dev/null 2>&1 &
	pid=$!
	python3 -c 'import sys, time; time.sleep(float(sys.argv[1]))' "0.0$((RANDOM % 80 + 10))"
	kill -KILL $pid 2>/dev/null
	wait $pid 2>/dev/null
	[[ ! -e $snapshots/kill-$i ]] || ! differs "$snapshots/kill-$i/slot" "$T/large" || bad+=" $i"
done
is "killed at any moment a snapshot is whole or not there" "$bad" ""
igloo snapshot ls -q >/dev/null
is "and the next command clears what is left" "$(rests)" ""
bad=
for i in {1..8}; do
	igloo snapshot restore --yes large >/dev/null 2>&1 &
	pid=$!
	python3 -c 'import sys, time; time.sleep(float(sys.argv[1]))' "0.0$((RANDOM % 80 + 10))"
	kill -KILL $pid 2>/dev/null
	wait $pid 2>/dev/null
	! differs "$slots/$slot" "$T/large" || bad+=" $i"
done
is "killed while it restores, the slot is whole" "$bad" ""
igloo snapshot ls -q >/dev/null
is "and that is cleared, too" "$(rests)" ""
prints "and works" first run cat /home/igloo/state

contents "$slots/$slot" >"$T/large"
bad=
for i in {1..4}; do igloo snapshot create "$slot" same >"$T/at-once.$i" 2>&1 & pids[i]=$!; done
good=0
for i in {1..4}; do
	if wait "${pids[i]}"; then
		good=$((good + 1))
	else
		grep -qE "held by process|there is a snapshot" "$T/at-once.$i" && [[ $(grep -c '^igloo:' "$T/at-once.$i") == 1 ]] ||
			bad+=" $(<"$T/at-once.$i")"
	fi
done
is "at once: one is made, the others say why not" "$good$bad" 1
same_as "and it is whole" "$snapshots/same/slot" "$T/large"
is "nothing else is there" "$(rests)" ""

# -- forks ----------------------------------------------------------------------------------------------------------

fork=$(igloo fork "$slot" second)
like "fork" "$fork" "second-${slot##*-}"
same "all is in it" "$slots/$fork" "$slots/$slot"
ok "it is another" igloo run --slot second -- bash -c 'echo forked >~/state'
prints "with what was in the first" "forked 400" igloo run --slot second -- bash -c 'echo $(<~/state) $(ls ~/many | wc -l)'
prints "which is as it was" first run cat /home/igloo/state
like "roots of its own" "$(NIX_CONFIG=$HOST_NIX nix-store --query --roots "$path" 2>/dev/null)" "*$slots/$fork/roots/*"
says "a name that is taken" 125 "*there is a slot '$fork' already*" igloo fork "$slot" second
igloo create stays --slot second --env WORD=kept -- bash -c 'echo $WORD $(<~/state)' >/dev/null
prints "a box that stays is forked with its slot" "copied-${slot##*-}" igloo fork stays copied
is "and has its options" "$(member options <"$XDG_STATE_HOME/igloo/boxes/copied/definition.json")" "['--env=WORD=kept', '--slot=copied']"
ok "it starts" igloo start copied
ok "in its own slot" within 10 bash -c '[[ $(igloo logs copied) == "kept forked" ]]'
says "a box's name that is taken" 125 "*there is a box called 'copied' already*" igloo fork stays copied
ok "both go" igloo rm -f stays copied
says "a name that is none" 125 "*'Not/this' is not a name*" igloo fork "$slot" Not/this
says "of nothing" 125 "*no box and no slot 'nothing'*" igloo fork nothing more
is "--json" "$(igloo fork --json "$fork" third | member slot)" "third-${slot##*-}"
prints "a fork of a fork" forked igloo run --slot third -- cat /home/igloo/state
is "nothing is left" "$(rests)" ""
igloo slot rm --yes "$fork" "third-${slot##*-}" "copied-${slot##*-}" >/dev/null

# -- damaged ones ---------------------------------------------------------------------------------------------

run bash -c 'echo kept >~/state'
rm "$snapshots/same/slot/home/many/77"
says "a file is missing" 125 "*snapshot 'same' is damaged*the slot is as it was*" igloo snapshot restore --yes same
truncate -s 100 "$snapshots/large/slot/home/bytes"
says "a file is too short" 125 "*snapshot 'large' is damaged*" igloo snapshot restore --yes large
echo '{"schema":"igloo.snapshot/1"' >"$snapshots/large/snapshot.json"
says "a broken description" 125 "*snapshot 'large' is damaged*igloo snapshot rm large*" igloo snapshot restore --yes large
rm "$snapshots/same/snapshot.json"
says "no description" 125 "*snapshot 'same' is damaged*" igloo snapshot restore --yes same
like "they are listed" "$(igloo snapshot ls --no-size)" "*large*(damaged)*same*(damaged)*"
prints "the slot is as it was" kept run cat /home/igloo/state
ok "they can be removed" igloo snapshot rm large same
is "nothing is left of them" "$(rests)" ""

# -- what the host lost meanwhile ------------------------------------------------------------------------------------

if [[ $EUID != 0 ]]; then
	skip "a path that the host lost between" "root, to add to and delete from the host's store"
else
	host() { NIX_CONFIG=$HOST_NIX$'\nsandbox = false\nsubstitute = false' "$@" 2>>"$T/host.log"; }
	# The flake's text, for Nix to expand.
	# shellcheck disable=SC2016
	shell_attrs='FILE = derivation { name = "igloo-test-'$RANDOM$RANDOM'"; system = "'$SYSTEM'"; builder = "${pkgs.bash}/bin/bash";
		args = [ "-c" "echo made for the test >$out" ]; };' mkproject lost bash coreutils
	host nix build --no-link ".#devShells.$SYSTEM.default.FILE"
	path=$(host nix eval --raw ".#devShells.$SYSTEM.default.FILE.outPath")
	# shellcheck disable=SC2016
	show=(igloo run -- bash -c 'cat $FILE')
	prints "a path of the host's" "made for the test" "${show[@]}"
	lost=$(igloo slot ls -q | grep ^lost-)
	ok "it is mounted" grep -q "^$path" "$slots/$lost/host-paths"
	igloo snapshot create "$lost" lost >/dev/null && igloo slot rm --yes "$lost" >/dev/null
	host nix-store --delete "$path" >/dev/null
	ok "the host keeps it for the snapshot" test -e "$path"
	rm "$snapshots/lost/slot/roots/"*
	host nix-store --delete "$path" >/dev/null
	ok "somebody takes the roots away, and it is gone" test ! -e "$path"
	prints "restoring" "$lost" igloo snapshot restore lost
	prints "it is made anew, in the slot" "made for the test" "${show[@]}"
	ok "and not on the host" test ! -e "$path"
	host nix-store --delete "$path" >/dev/null
	igloo snapshot rm lost >/dev/null
	cd "$T/project" || exit 1
fi

# -- other file systems: a full one, and one that shares blocks --------------------------------------------------

# elsewhere SCRIPT FOLDER: a script in a mount namespace of its own, with igloo's state in the folder that it mounts.
elsewhere() { unshare -m --propagation private bash -uc ". '$T/within'; $1" x "$2" 2>&1; }
cat >"$T/within" <<'END'
state() { export XDG_STATE_HOME=$1/state; slots=$XDG_STATE_HOME/igloo/slots snapshots=$XDG_STATE_HOME/igloo/snapshots; }
rests() { find "$slots" "$snapshots" -mindepth 1 -maxdepth 1 -name '.*' ! -name .lock; }
begin() { igloo run -- bash -c 'head -c "${1}M" /dev/urandom >~/bytes; echo first >~/state' x "$1" && slot=$(igloo slot ls -q); }
die() { echo "$*"; exit 1; }
END
if [[ $EUID != 0 ]]; then
	skip "a full disk" "root, to mount a small file system"
else
	mkdir "$T/small"
	ok "a full disk: one error, and nothing is left" elsewhere '
		mount -t tmpfs -o size=100m,mode=0700 igloo-test "$1" && state "$1" && begin 50 || exit 1
		! igloo snapshot create "$slot" big 2>"$1/err" || die "it fits"
		[[ $(grep -c ^igloo: "$1/err") == 1 && $(<"$1/err") == *"No space left"*hint:*"slot gc"* ]] || die "$(<"$1/err")"
		[[ -z $(rests) && -z $(igloo snapshot ls -q) && $(igloo run -- cat /home/igloo/state) == first ]] || die "left: $(rests)"
		rm "$slots/$slot/home/bytes" && head -c 8M /dev/urandom >"$slots/$slot/home/bytes" && igloo snapshot create "$slot" small &&
			head -c "$(($(df --output=avail -B1 "$1" | tail -n 1) - (10 << 20)))" /dev/zero >"$1/filler" || exit 1
		igloo run -- bash -c "echo second >~/state"
		! igloo snapshot restore --yes small 2>"$1/err" || die "there was room"
		[[ $(<"$1/err") == *"No space left"*"the slot is as it was"* && -z $(rests) ]] || die "$(<"$1/err") $(rests)"
		[[ $(igloo run -- cat /home/igloo/state) == second ]] || die "the slot is another"
		rm "$1/filler" && igloo snapshot restore --yes small && [[ $(igloo run -- cat /home/igloo/state) == first ]]' "$T/small"
fi
if [[ $EUID != 0 ]] || ! command -v mkfs.btrfs >/dev/null || ! truncate -s 256M "$T/image" || ! mkfs.btrfs -q "$T/image" 2>/dev/null ||
	! mkdir "$T/shared" || ! unshare -m mount -o loop "$T/image" "$T/shared" 2>/dev/null; then
	skip "blocks are shared" "root, mkfs.btrfs and loop devices"
else
	ok "blocks are shared, where the file system can" elsewhere '
		mount -o loop "$1/../image" "$1" && state "$1" && begin 40 || exit 1
		# Five times 40 MB do not fit.
		for i in 1 2 3 4 5; do
			[[ $(igloo snapshot create --json "$slot" "s$i") == *"\"sharedBytes\":"[2-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9],* ]] || exit 1
		done
		igloo run -- bash -c "echo second >~/state; echo >~/bytes"
		igloo snapshot restore --yes s5 && [[ $(igloo run -- cat /home/igloo/state) == first ]] &&
			cmp "$slots/$slot/home/bytes" "$snapshots/s1/slot/home/bytes"' "$T/shared"
fi

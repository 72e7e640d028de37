#!/bin/bash
# igloo as on older kernels: each of the newer system calls it uses answers ENOSYS, one at a time and all together.
. "$(dirname "$0")/lib.sh"

enosys=$T/enosys
if ! cc -o "$enosys" "$(dirname "$0")/enosys.c" -lseccomp 2>"$T/cc.log"; then
	echo "1..0 # SKIP a compiler and libseccomp's headers"
	trap - EXIT
	rm -rf "$T"
	exit
fi
export IGLOO_VIEW_KEEP=1
calls=(openat2 open_tree move_mount mount_setattr clone3 pidfd_open close_range statx execveat faccessat2 memfd_create
	preadv2 copy_file_range renameat2 landlock_create_ruleset)
# What no kernel that igloo is for lacks, or nothing can replace.
needed=" execveat memfd_create "
mkproject project bash coreutils
project=$PWD
echo "for boxes on older kernels: $T" >"$T/only-host"
only_host=$(NIX_CONFIG=$HOST_NIX nix-store --add "$T/only-host")
trap 'NIX_CONFIG=$HOST_NIX nix-store --delete "$only_host" &>/dev/null; finish' EXIT

# main_cases MISSING NAME: what igloo is for, without these calls, cold and warm, in a slot of its own.
main_cases()
{
	local without=$1 name=$2 igloo pid
	igloo=("$enosys" "$without" igloo run --slot "$name")
	prints "$name: cold" hello "${igloo[@]}" -- echo hello
	prints "$name: warm" hello "${igloo[@]}" -- echo hello
	ends "$name: exit status" 42 "${igloo[@]}" -- bash -c 'exit 42'
	says "$name: no such command" 127 '*no-such*' "${igloo[@]}" -- no-such
	is "$name: stdin" "$(echo in | "${igloo[@]}" -- cat)" in
	prints "$name: the store's paths cannot be written" "" "${igloo[@]}" -- bash -c \
		'for p in $(type -p bash cat); do [[ -w $(dirname "$p") ]] && echo "$p"; done; :'
	prints "$name: nothing of the host" "" "${igloo[@]}" -- bash -c "ls -d /home/[!i]* /root /var/lib '$HOME' 2>/dev/null | grep -v '^$project'; :"
	prints "$name: the host's store" "$(<"$only_host")" "${igloo[@]}" -- bash -c "nix-store -r $only_host >/dev/null && cat $only_host"
	says "$name: --read-only" 1 '*' "${igloo[@]}" --read-only -- bash -c 'echo x >file'
	says "$name: the git configuration is protected" 1 '*' "${igloo[@]}" -- bash -c 'echo x >>.git/config'
	ends "$name: --timeout" 124 "${igloo[@]}" --timeout 1s -- sleep 1000
	rm -f ready
	"${igloo[@]}" -- bash -c 'trap "exit 7" TERM; touch ready; while :; do sleep 0.05; done' </dev/null >/dev/null 2>&1 &
	pid=$!
	if appears ready $pid; then
		kill $pid
		wait $pid
		is "$name: SIGTERM" $? 7
	else
		fail "$name: SIGTERM" "it does not start"
	fi
	rm -f ready
	ends "$name: a detached box" 0 "${igloo[@]}" -d --name "box-$name" -- sleep 1000
	prints "$name: exec" there "$enosys" "$without" igloo exec "box-$name" -- echo there
	ends "$name: rm" 0 "$enosys" "$without" igloo rm -f "box-$name"
	is "$name: nothing is left" "$("$enosys" "$without" igloo ls -aq)" ""
	# Both ways in one slot: a new kernel's igloo after an old one's.
	prints "$name: then with everything" hello igloo run --slot "$name" -- echo hello
}

together=
for call in "${calls[@]}"; do
	if [[ $needed == *" $call "* ]]; then
		says "without $call: a clear error" 125 "igloo: *" "$enosys" "$call" igloo run -- true
		continue
	fi
	together+=${together:+,}$call
	[[ -z ${IGLOO_TEST_QUICK-} || $call == mount_setattr ]] || continue
	main_cases "$call" "no-${call//_/-}"
done
main_cases "$together" no-new-calls

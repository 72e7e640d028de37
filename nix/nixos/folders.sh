#!/bin/sh
# In stage 1, when the file systems are mounted below ROOT: the folders that are kept come from the state, and with
# igloo.forget on the kernel's command line what is written to it and to the store is memory.
# usage: folders ROOT KEPT...
folders()
{
	root=$1 forget=
	shift
	read -r line </proc/cmdline
	case " $line " in
	*" igloo.forget "*) forget=1 ;;
	esac
	if [ "$forget" ]; then
		for at in /igloo/state /nix; do
			memory=$root/igloo/memory$at
			mkdir -p "$memory/upper" "$memory/work"
			mount -t overlay -o "lowerdir=$root$at,upperdir=$memory/upper,workdir=$memory/work" overlay "$root$at" || return 1
		done
	fi
	for at in "$@"; do
		mkdir -p "$root/igloo/state$at" "$root$at"
		mount -o bind "$root/igloo/state$at" "$root$at" || return 1
	done
}
folders "$@"

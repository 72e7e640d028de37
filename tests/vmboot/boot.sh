#!/usr/bin/env bash
# Boots a real kernel by igloo's own means, without a box, and prints when it got where: its vmlinux beside the image
# as it is shipped. By hand, as it takes a minute and a kernel package:
#
#     dpkg-deb -x linux-image-RELEASE.deb FOLDER
#     tests/vmboot/boot.sh FOLDER [BUILD-FOLDER]       KVM=1 in the environment: by KVM
#
# The first time is QEMU's start; "init=" is the machine's own clock at its PID 1.
set -euo pipefail

folder=$(realpath "${1:?the folder of an unpacked kernel package}")
build=$(realpath "${2:-build}")
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT

image=$(echo "$folder"/boot/vmlinuz-*)
modules=$(echo "$folder"/lib/modules/*)
[[ -f $image && -d $modules ]] || {
	echo "$folder: not one boot/vmlinuz-* and one lib/modules/*" >&2
	exit 1
}
mkdir "$T/share"
echo "hello from the host" >"$T/share/hello"

boot()
{
	local what=$1 out
	shift
	echo "# $what"
	out=$("$build/tests/unit/vmboot" ${KVM:+-k} "$@" "$image" "$modules" "$build/tests/unit/vminit" "$T/cache" "$T/share")
	echo "$out"
	grep -q "ready .*share='hello from the host' write=Read-only file system" <<<"$out" || {
		echo "not ok - $what"
		exit 1
	}
	echo "ok - $what"
}

boot "vmlinux, for the first time"
boot "vmlinux, kept" -n 3
boot "the image as it is shipped" -b

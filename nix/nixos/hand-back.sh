#!/usr/bin/env bash
# Hands a system to igloo, which starts it from the next start on: NixOS calls this where other machines install a boot
# loader, so `nixos-rebuild switch` and `boot`, and a rollback, do so. docs/nixos.md has what the files are.
# usage: hand-back SYSTEM
set -eu -o pipefail
state=${IGLOO_STATE:-/igloo/state}
host=${IGLOO_HOST:-/igloo/host}
boot=$state/boot

[[ $# -ge 1 && -e $1/init && -e $1/kernel && -e $1/initrd ]] || {
	echo "hand-back: '${1-}' is no NixOS system" >&2
	exit 1
}
system=$(realpath "$1")
# One at a time, and nobody else's half.
mkdir -p "$boot"
exec 9>"$boot/lock"
flock 9
name=$(date +%s)-$$
new=$boot/$name
mkdir "$new"
trap 'rm -rf "$new"' EXIT
cp -L "$system/kernel" "$new/kernel"
cp -L "$system/initrd" "$new/initrd"
cp -L "$system/kernel-params" "$new/params"
printf '%s\n' "$system" >"$new/toplevel"
cp "$host/built" "$new/base"
sync
before=$(cat "$boot/current" 2>/dev/null || :)
printf '%s\n' "$name" >"$boot/current.new"
mv -T "$boot/current.new" "$boot/current"
trap - EXIT
sync
# The one before stays, for whoever has to go back by hand.
for entry in "$boot"/*/; do
	entry=$(basename "$entry")
	[[ $entry == "$name" || $entry == "$before" ]] || rm -rf "${boot:?}/$entry"
done
echo "igloo starts this system from the next start on: $system"

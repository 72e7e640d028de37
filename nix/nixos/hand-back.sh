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
name=$(date +%s)-$$
new=$boot/$name
mkdir -p "$new"
trap 'rm -rf "$new" "$new.current"' EXIT
cp -L "$system/kernel" "$new/kernel"
cp -L "$system/initrd" "$new/initrd"
cp -L "$system/kernel-params" "$new/params"
cp "$host/built" "$new/base"
# The last: with it, it is whole.
printf '%s\n' "$system" >"$new/toplevel"
sync
before=$(cat "$boot/current" 2>/dev/null || :)
printf '%s\n' "$name" >"$new.current"
mv -T "$new.current" "$boot/current"
trap - EXIT
sync
# The one before stays, for whoever has to go back by hand; and halves, which may be somebody's just now, for a day.
yesterday=$(($(date +%s) - 86400))
for entry in "$boot"/*/; do
	entry=$(basename "$entry")
	[[ $entry != "$name" && $entry != "$before" ]] || continue
	[[ ! -e $boot/$entry/toplevel && ${entry%-*} -gt $yesterday ]] || rm -rf "${boot:?}/$entry"
done
echo "igloo starts this system from the next start on: $system"

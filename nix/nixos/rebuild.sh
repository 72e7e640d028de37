#!/usr/bin/env bash
# Builds the system of /etc/nixos and makes it the machine's, now and for its next starts.
# usage: rebuild [--update] [switch|boot|test|build|dry-activate] [OPTION...]
set -eu -o pipefail
etc=${IGLOO_ETC_NIXOS:-/etc/nixos}

update=
[[ ${1-} != --update ]] || { update=1 && shift; }
case ${1-} in
-h | --help)
	sed -n 's/^# //p' "$0" | tail -n +1
	exit
	;;
'' | -*) set -- switch "$@" ;;
esac
if [[ $EUID != 0 ]]; then
	exec sudo -- "$0" ${update:+--update} "$@"
fi
cd "$etc"
# Nix sees what git knows of.
git add --intent-to-add --all
if [[ $update || ! -e flake.lock ]]; then
	# Before Nix 2.19 `nix flake update` took no names.
	nix flake update repository 2>/dev/null || nix flake lock --update-input repository
	[[ ! -e flake.lock ]] || git add flake.lock
fi
nixos-rebuild "$@"
case $1 in
switch | boot)
	git add -A
	git diff --cached --quiet || git -c user.name=igloo -c user.email=igloo@localhost commit -q -m "rebuild $1"
	;;
esac

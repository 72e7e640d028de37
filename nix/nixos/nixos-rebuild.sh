#!/usr/bin/env bash
# nixos-rebuild, of the flake in /etc/nixos where no other is named.
set -eu
host=${IGLOO_HOST:-/igloo/host}
etc=${IGLOO_ETC_NIXOS:-/etc/nixos}
real=${IGLOO_NIXOS_REBUILD:-@nixosRebuild@/bin/nixos-rebuild}

for word in "$@"; do
	case $word in
	--flake | --flake=* | --no-flake | -f | --file | --file=* | -A | --attr | --attr=* | -h | --help | --rollback) exec "$real" "$@" ;;
	esac
done
[[ -e $etc/flake.nix ]] || exec "$real" "$@"
exec "$real" "$@" --flake "$etc#$(<"$host/name")"

#!/bin/bash
# Newer Nix: igloo reads what Nix prints, and that changes between versions. Debian's own newer packages, unpacked.
. "$(dirname "$0")/lib.sh"
debnix=$(dirname "$(realpath "$0")")/../pkgs/debnix
cache=${IGLOO_TEST_CACHE:-/var/cache/igloo-tests}/debnix
[[ -w $cache ]] || cache=$T/debnix

# shellcheck disable=SC2034 # flake reads it
shell_attrs='GREETING = "hello from the flake"; shellHook = "export HOOKED=yes";'
mkproject nixes jq

for version in 2.26 2.34; do
	if ! "$debnix" nix --cache "$cache" --version $version --out "$T/nix-$version" >"$T/debnix.log" 2>&1; then
		skip "Nix $version" "Nix $version from a newer Debian: $(tail -n 1 "$T/debnix.log")"
		continue
	fi
	export IGLOO_NIX=$T/nix-$version/root/usr/bin/nix
	# shellcheck disable=SC2016 # for the shell in the box
	prints "Nix $version: variables, hook and tools" "hello from the flake yes jq-1.6" \
		igloo run -- bash -c 'echo "$GREETING $HOOKED $(jq --version)"'
	try igloo run -- nix --version
	like "Nix $version is the one in the box" "$out" "*$version*"
	says "Nix $version: a shell that is not there" 125 "*it has: default*" igloo run --shell nope -- true
	echo '{ outputs = _: { syntax error }; }' >flake.nix
	says "Nix $version: its own message" 125 "*syntax error*" igloo run -- true
	git checkout -q flake.nix
	prints "Nix $version: warm" "" igloo run -- true
	echo "for Nix $version: $T" >"$T/only-host"
	only_host=$(NIX_CONFIG=$HOST_NIX nix-store --add "$T/only-host")
	prints "Nix $version: the host's store" "$(<"$only_host")" \
		igloo run -- sh -c "nix build --no-link $only_host && cat $only_host"
	NIX_CONFIG=$HOST_NIX nix-store --delete "$only_host" >"$T/delete.log" 2>&1
done
unset IGLOO_NIX

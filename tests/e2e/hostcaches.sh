#!/bin/bash
# Binary caches: those of the user's nix.conf are used while an environment is resolved, those of a flake are only asked for.
# In the network of two hosts that network/world.sh makes. See docs/host-store.md.
here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
[[ ${NETWORK_WORLD-} ]] || exec "$here/network/world.sh" bash "$here/hostcaches.sh"
. "$here/lib.sh"
. "$here/network/lib.sh"

HOST_NIX+=$'\nsandbox = false\nsubstitute = false'
host() { NIX_CONFIG=$HOST_NIX "$@" 2>>"$T/host.log"; }

# It cannot be built where an environment is resolved: there is no /bin/sh.
cat >"$T/once.nix" <<END
derivation { name = "once-$RANDOM$RANDOM"; system = "$SYSTEM"; builder = "/bin/sh";
	args = [ "-c" "read x </proc/sys/kernel/random/uuid; echo \$x >\$out" ]; }
END
built=$(host nix-build --no-out-link "$T/once.nix") || {
	skip "binary caches" "the host's Nix builds nothing here: $(tail -n 1 "$T/host.log")"
	exit
}
text=$(<"$built")
drv=$(host nix-store -q --deriver "$built")
trap 'host nix-store --delete "$built" "$drv" >/dev/null; finish' EXIT
host nix-store --generate-binary-cache-key test-1 "$T/secret" "$T/public"
host nix copy --to "file://$W/www/cache?secret-key=$T/secret&compression=none" "$built"
host nix-store --delete "$built" "$drv" >/dev/null
if [[ -e $built ]]; then fail "the cache alone has it"; else pass "the cache alone has it"; fi

# project NAME: with the tool's text as a variable of the shell.
project()
{
	# shellcheck disable=SC2016
	shell_attrs='ONCE = builtins.readFile "${import ./once.nix}"; TEXT = "x";' mkproject "$1" bash coreutils
	cp "$T/once.nix" . && git add -A && git commit -qm once
}

project without
from_now
says "without a word of it, it would have to be built" 125 "*once-*" igloo run -- true
is "and nobody asked for it" "$(came cache/)" 0

mkdir -p "$XDG_CONFIG_HOME/nix"
echo "extra-substituters = http://allowed.test/cache s3://bucket https://user:word@forbidden.test/" >"$XDG_CONFIG_HOME/nix/nix.conf"
says "without its key, too" 125 "*once-*" igloo run -- true
if (($(came cache/) > 0)); then pass "the cache was asked"; else fail "the cache was asked"; fi
echo "extra-trusted-public-keys = $(<"$T/public")" >>"$XDG_CONFIG_HOME/nix/nix.conf"
prints "with the cache and its key in the user's nix.conf, it is fetched" "$text" \
	igloo run -- sh -c 'echo "$ONCE"'
is "a URL with a password is not used" "$(came 'forbidden.test')" 0
try igloo run -- cat /etc/box/nix.conf
if [[ $out != *user:word* ]]; then pass "nor told to boxes"; else fail "nor told to boxes" "$out"; fi
rm "$XDG_CONFIG_HOME/nix/nix.conf"

# --- a flake asks -----------------------------------------------------------------------------------------------------

project asks
sed -i "0,/{/s||{ nixConfig = { extra-substituters = [ \"http://allowed.test/cache\" ]; extra-trusted-public-keys = \"$(<"$T/public")\"; };|" \
	flake.nix
git commit -qam 'a cache'
from_now
says "a flake's cache is not used" 125 "*once-*" igloo run -- true
is "nor asked" "$(came cache/)" 0
like "the user is told what it asks for" "$err" \
	"*not used*extra-substituters = http://allowed.test/cache*extra-trusted-public-keys = $(<"$T/public")*"

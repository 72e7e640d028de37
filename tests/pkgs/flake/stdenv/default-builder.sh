# What mkDerivation runs: the phases of $stdenv/setup.
if [ -n "${NIX_ATTRS_SH_FILE-}" ] && [ -e "$NIX_ATTRS_SH_FILE" ]; then
    . "$NIX_ATTRS_SH_FILE"
elif [ -e .attrs.sh ]; then
    . .attrs.sh
fi
source "$stdenv/setup"
genericBuild

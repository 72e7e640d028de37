#!/bin/bash
# Guests with a system of their own: --guest nixos, with systems made by hand of NixOS' shape (there is no nixpkgs here): its
# kernel and initrd, a stage 1 that mounts what nix/nixos/module.nix declares, an init that starts the agent and the
# module's own scripts.
here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
skip_all() { printf '1..1\nok 1 - a system in a machine # SKIP %s\n' "$1" && exit; }
command -v qemu-system-x86_64 >/dev/null || skip_all qemu-system-x86_64
[[ -n ${IGLOO_TEST_KERNEL-} ]] || skip_all "an unpacked kernel package in IGLOO_TEST_KERNEL (docs/kernels.md)"
busybox=$(command -v busybox) || skip_all "a static busybox"
[[ $(ldd "$busybox" 2>&1) == *"not a dynamic"* ]] || skip_all "a static busybox"
. "$here/lib.sh"

mkdir -p "$T/project/machine" "$T/project/igloo" && cd "$T/project" || exit 1
project=$PWD
sed "s|@PKGS@|$IGLOO_E2E_PKGS|; s|@SYSTEM@|$SYSTEM|" "$here/nixos/flake.nix" >flake.nix
cp "$here"/../../nix/nixos/*.sh igloo/
cp "$IGLOO_TEST_KERNEL"/boot/vmlinuz-* machine/bzImage
cp "$busybox" machine/busybox
cp "$here/nixos/stage2.sh" machine/
python3 "$here/nixos/mkinitrd.py" "$busybox" "$IGLOO_TEST_KERNEL" "$here/nixos/stage1.sh" machine/initrd
git init -q . && git add -A && NIX_CONFIG=$HOST_NIX nix flake lock 2>"$T/lock.log" && git add -A && git commit -qm 'a system' || exit 1

vm=(igloo run --in vm --accel tcg --memory 768M --cpus 1 --offline)
nixos=("${vm[@]}" --guest nixos=test)

# -- what is refused ---------------------------------------------------------------------------------

says "no such guest" 125 "*no guest 'plan9'*minimal, nixos*" "${vm[@]}" --guest plan9 -- true
says "--guest is a machine's" 125 '*--guest*--in vm*' igloo run --guest nixos -- true
says "--built without it" 125 '*--built*--guest nixos*' "${vm[@]}" --built -- true
says "--kernel with it" 125 '*--kernel*--guest nixos*' "${nixos[@]}" --kernel "$IGLOO_TEST_KERNEL" -- true
says "several configurations" 125 '*several NixOS configurations*other, test*' "${vm[@]}" --guest nixos -- true
says "no such configuration" 125 "*no NixOS configuration 'none'*other, test*" "${vm[@]}" --guest nixos=none -- true

# -- one command -------------------------------------------------------------------------------------

marker='for w in $(</proc/cmdline); do [[ $w != igloo.marker=* ]] || echo ${w#*=}; done'
ends "a command" 7 "${nixos[@]}" -- bash -c "$marker; pwd; id -u; readlink /run/current-system; exit 7"
like "in that system" "$out" "first
$project
1000
/nix/store/*-nixos-system-test-first"

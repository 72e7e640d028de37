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
python3 "$here/nixos/mkinitrd.py" "$busybox" "$IGLOO_TEST_KERNEL" "$here/nixos/stage1.sh" igloo/folders.sh machine/initrd
git init -q . && git add -A && NIX_CONFIG=$HOST_NIX nix flake lock 2>"$T/lock.log" && git add -A && git commit -qm 'a system' || exit 1

vm=(igloo run --in vm --accel tcg --memory 768M --cpus 1)
nixos=("${vm[@]}" --guest nixos=test)
state() { echo "$XDG_STATE_HOME"/igloo/slots/*/guests/test; }

# -- what is refused ---------------------------------------------------------------------------------

says "no such guest" 125 "*no guest 'plan9'*minimal, nixos*" "${vm[@]}" --guest plan9 -- true
says "--guest is a machine's" 125 '*--guest*--in vm*' igloo run --guest nixos -- true
says "--built without it" 125 '*--built*--guest nixos*' "${vm[@]}" --built -- true
says "--kernel with it" 125 '*--kernel*--guest nixos*' "${nixos[@]}" --kernel "$IGLOO_TEST_KERNEL" -- true
says "several configurations" 125 '*several NixOS configurations*other, test*' "${vm[@]}" --offline --guest nixos -- true
says "no such configuration" 125 "*no NixOS configuration 'none'*other, test*" "${vm[@]}" --offline --guest nixos=none -- true
says "what is no name" 125 "*'../x' cannot be the name*" "${vm[@]}" --offline --guest nixos=../x -- true

# -- one that stays ----------------------------------------------------------------------------------

# shellcheck disable=SC2016 # for the bash in there
marker='for w in $(</proc/cmdline); do [[ $w != igloo.marker=* ]] || echo ${w#*=}; done'
rebuilt=$(igloo run --offline -- bash -c "nix build --no-link .#rebuilt && nix eval --raw .#packages.$SYSTEM.rebuilt.outPath" 2>"$T/build.log")
like "another system in the slot's store" "$rebuilt" "/nix/store/*-nixos-system-test-rebuilt"
port=$((20000 + RANDOM % 20000))
printf secret-value | igloo secret set TOKEN
mkdir "$T/shared folder" && echo of-the-share >"$T/shared folder/file"
ok "--detach" "${nixos[@]}" --detach --name stays -p "$port:8000" --share-ro "$T/shared folder" --secret-file TOKEN --secret-file TOKEN=/tmp/token -- \
	./machine/busybox nc -ll -p 8000 -e ./machine/busybox echo answered
exec_() { igloo exec stays -- "$@"; }
# as_root COMMAND: in the machine; prints what it wrote.
# shellcheck disable=SC2016
as_root() { exec_ bash -c 'echo "$1" >/run/as-root; read -r code </run/as-root-done; cat /run/as-root.out; exit $code' - "$1"; }
like "igloo exec, in that system" "$(exec_ bash -c "$marker; echo \$PWD \$(id -u) \$(readlink /run/current-system)")" "first
$project 1000 /nix/store/*-nixos-system-test-first"
is "stdin" "$(echo from outside | exec_ cat)" "from outside"
is "killed by a signal" "$(exec_ bash -c 'kill -KILL $$' 2>/dev/null; echo $?)" 137
exec_ bash -c 'echo written >from-inside'
is "the workspace is the host's" "$(cat from-inside) $(stat -c %u from-inside)" "written $(id -u)"
rm -f from-inside
prints "a share" of-the-share exec_ cat "/mnt/host-ro/shared folder/file"
ends "for reading only" 1 exec_ bash -c "echo x >'/mnt/host-ro/shared folder/file'"
prints "secrets in files" "secret-valuesecret-value" exec_ cat /run/secrets/TOKEN /tmp/token
answers() { [[ $(./machine/busybox nc 127.0.0.1 "$port" </dev/null) == answered ]]; }
ok "a forwarded port" within 30 answers
says "one machine a system" 125 "*another machine*runs the system 'test'*" "${nixos[@]}" --offline -- true

like "/etc/nixos is a git repository" "$(as_root 'cd /etc/nixos && git log --oneline && git status --short && ls -A')" "* The system as igloo first started it
.git
configuration.nix
flake.nix
hardware-configuration.nix"
is "which the host keeps, with owners apart" "$(as_root 'chown 0:7 /etc/nixos/configuration.nix; chmod 0604 /etc/nixos/configuration.nix; stat -c "%u:%g %a" /etc/nixos/configuration.nix')" "0:7 604"
like "it builds on the repository's system" "$(as_root 'cat /etc/nixos/flake.nix')" "*repository.url = \"git+file://$project\"*\"test\".extendModules*"
ok "it is edited" as_root 'echo "# edited" >>/etc/nixos/configuration.nix'
like "a system is handed back" "$(as_root "hand-back $rebuilt")" "*from the next start on: $rebuilt"
says "what is none is not" 1 "" exec_ bash -c "echo 'hand-back /etc' >/run/as-root; read -r code </run/as-root-done; exit \$code"
ok "igloo stop" igloo stop stays
ok "igloo rm" igloo rm stays
ok "its files on the host are the user's" test -z "$(find "$(state)" ! -user "$(id -u)")"

# -- the next start ----------------------------------------------------------------------------------

sed -i 's/system "first"/system "second"/' flake.nix && git commit -qam 'another system'
ends "the next start" 7 "${nixos[@]}" --offline -- bash -c "$marker; readlink /run/current-system; tail -n 1 /etc/nixos/configuration.nix; exit 7"
is "is that system, with /etc/nixos as it was left" "$out" "rebuilt
$rebuilt
# edited"
like "that the flake has changed since is said" "$err" "*though the flake has changed since: --built*"
prints "--built starts what the flake builds" second "${nixos[@]}" --offline --built -- bash -c "$marker"

# -- what a hostile machine could hand back ------------------------------------------------------------

boot=$(state)/boot
entry=$boot/$(<"$boot/current")
refused() { says "refused: $1" 125 "*rebuilt in the machine*$2*--built*" "${nixos[@]}" --offline -- true; }
mv "$entry/kernel" "$T/kernel"
ln -s "$T/kernel" "$entry/kernel"
refused "a kernel that is a link" kernel
rm "$entry/kernel" && mv "$T/kernel" "$entry/kernel"
echo "$rebuilt-2" >"$entry/toplevel"
refused "a system that is gone" gone
echo ../../../../project >"$boot/current"
refused "an entry elsewhere" current
is "no machine is left" "$(pgrep -f "^/.*qemu-system.*$T")" ""

#!/bin/bash
# What a machine has only when it is asked for: machines of its own (--nested), another architecture (--arch). The latter
# as root, who alone can put packages of another architecture into the store.
here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
. "$here/lib.sh"
if ! command -v qemu-system-x86_64 >/dev/null; then
	skip "machines" "qemu-system-x86_64"
	exit
elif [[ -z ${IGLOO_TEST_KERNEL-} ]]; then
	skip "machines" "an unpacked kernel package in IGLOO_TEST_KERNEL (docs/kernels.md)"
	exit
fi

mkproject project bash coreutils python3
vm=(igloo run --in vm --kernel "$IGLOO_TEST_KERNEL" --accel tcg --memory 512M --cpus 1)
cat >kvm.py <<'END'
# Whether the processor shows SVM or VMX, and whether /dev/kvm makes machines: KVM_GET_API_VERSION, KVM_CREATE_VM.
import fcntl, os
flags = open("/proc/cpuinfo").read().split()
try:
    kvm = os.open("/dev/kvm", os.O_RDWR)
    print("svm" in flags or "vmx" in flags, fcntl.ioctl(kvm, 0xAE00), fcntl.ioctl(kvm, 0xAE01, 0) > 0)
except OSError as e:
    print("svm" in flags or "vmx" in flags, os.strerror(e.errno))
END

# -- what is refused before anything starts -------------------------------------------------------------------------

says "--nested is a machine's" 125 '*--nested*--in vm*' igloo run --nested -- true
says "--arch is a machine's" 125 '*--arch*--in vm*' igloo run --arch aarch64 -- true
says "no such architecture: those there are are named" 125 '*vax*x86_64*aarch64*' igloo run --in vm --arch vax -- true
says "the flake has no environment for it" 125 '*aarch64-linux*' igloo run --in vm --arch aarch64 -- true
like "igloo doctor" "$(igloo doctor)" "*QEMU for aarch64: *"

# -- machines of its own --------------------------------------------------------------------------------------------

prints "a machine has no machines" "False No such file or directory" "${vm[@]}" -- python3 kvm.py
prints "but with --nested, for the command's user" "True 12 True" "${vm[@]}" --nested -- python3 kvm.py
prints "its own architecture needs no other name" "$(uname -m)" "${vm[@]}" --arch "$(uname -m)" -- uname -m

# -- another architecture -------------------------------------------------------------------------------------------

if [[ $EUID != 0 ]]; then
	skip "machines of aarch64" "root"
	exit
elif ! command -v qemu-system-aarch64 >/dev/null; then
	skip "machines of aarch64" "qemu-system-aarch64"
	exit
elif [[ $(uname -m) == aarch64 ]]; then
	skip "machines of aarch64" "a host of another architecture"
	exit
elif ! kernel=$("$here/kernel" arm64 2>"$T/why") || ! flake=$("$here/fixture" arm64 2>"$T/why"); then
	skip "machines of aarch64" "packages of arm64: $(tail -n 1 "$T/why")"
	exit
fi
# shellcheck disable=SC2034 # for flake()
SYSTEM=aarch64-linux IGLOO_E2E_PKGS=$flake
# shellcheck disable=SC2034
shell_attrs='GREETING = "hello from \"there\""; LIST = [ "a" "b" ]; shellHook = "export HOOKED=yes; greet() { echo hi; }";'
# shellcheck disable=SC2034
shells='structured = pkgs.mkShell { __structuredAttrs = true; };
      unbuilt = pkgs.mkShell { packages = [ (pkgs.runCommand "unbuilt" { } "echo >$out") ]; };'
mkproject other bash coreutils jq
arm=(igloo run --in vm --arch arm64 --kernel "$kernel" --memory 512M --cpus 1)

says "without a kernel for it" 125 '*vmlinuz*is not an Image for aarch64*hint:*linux-image-arm64*' \
	igloo run --in vm --arch arm64 --kernel "$IGLOO_TEST_KERNEL" -- true
says "KVM is the processor's" 125 '*KVM*not of aarch64*' "${arm[@]}" --accel kvm -- true
says "what has to be built there" 125 '*aarch64-linux*hint:*cache*' "${arm[@]}" --shell unbuilt -- true
says "structured attributes" 125 '*structured attributes*' "${arm[@]}" --shell structured -- true
# The environment is made in a machine, too.
if [[ $("${arm[@]}" -- uname -m 2>&1) == *"built without its guest"* ]]; then
	skip "machines of aarch64" "gcc-aarch64-linux-gnu and musl when igloo was built"
	exit
fi
prints "another architecture" "aarch64 hello from \"there\" a b yes" \
	"${arm[@]}" -- bash -c 'echo $(uname -m) $GREETING $LIST $HOOKED'
prints "its functions" hi "${arm[@]}" -- greet
prints "its programs are of it" "b7" "${arm[@]}" -- bash -c 'printf "%x" "$(od -An -tu2 -j18 -N2 "$BASH")"'
ends "its exit status" 7 "${arm[@]}" -- bash -c 'exit 7'
ok "machines in it" "${arm[@]}" --nested -- test -w /dev/kvm
"${arm[@]}" --detach --name stays -- sleep 1000 </dev/null >/dev/null 2>&1
prints "igloo exec" aarch64 igloo exec stays -- uname -m
ok "igloo stop" igloo stop stays

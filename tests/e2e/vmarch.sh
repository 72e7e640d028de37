#!/bin/bash
# What a machine has only when it is asked for: machines of its own (--nested).
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

says "--nested is a machine's" 125 '*--nested*--in vm*' igloo run --nested -- true
prints "a machine has no machines" "False No such file or directory" "${vm[@]}" -- python3 kvm.py
prints "but with --nested, for the command's user" "True 12 True" "${vm[@]}" --nested -- python3 kvm.py

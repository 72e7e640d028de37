"""Other ways to a command in a machine: Debian with systemd, and virtme-ng, which boots a kernel on the host's own files.

Debian's own cloud image can be had from its site only. The same is made here, once, from its packages: a minimal system
with systemd, udev and dbus, the cloud kernel and the initrd that initramfs-tools makes for it, in an ext4 image. It
has neither cloud-init nor a network to configure, so that it starts rather faster than the image does.
"""

import os
import re
import shutil
import tempfile

from . import machine, store
from .clock import Failed
from .fixtures import call

SUITE = "bookworm"
INCLUDE = "systemd-sysv,udev,dbus,kmod,initramfs-tools,linux-image-cloud-amd64"
UNIT = """[Unit]
Description=The first command, and the machine's end

[Service]
Type=oneshot
ExecStart=/bin/sh -c 'echo ready >/dev/ttyS0; exec systemctl --no-block poweroff'

[Install]
WantedBy=multi-user.target
"""
# Run by root, in the folder of the image: $1 is who is to have it.
MAKE = r"""
set -e
debootstrap --variant=minbase --include="$2" "$3" root >log 2>&1 || { tail -n 3 log; exit 1; }
cp unit root/etc/systemd/system/ready.service
ln -s ../ready.service root/etc/systemd/system/multi-user.target.wants/ready.service
echo '/dev/vda / ext4 defaults 0 1' >root/etc/fstab
rm -f root/var/cache/apt/archives/*.deb
cp root/boot/vmlinuz-* vmlinuz
cp root/boot/initrd.img-* initrd
mkfs.ext4 -q -d root image 1G 2>>log
rm -rf --one-file-system root
chown "$1" vmlinuz initrd image log
"""
UNAVAILABLE = ("not run: microvm.nix, nixos-shell (evaluate nixpkgs); Firecracker, Cloud Hypervisor, crosvm, libkrun's krunvm, "
               "muvm and microsandbox (KVM only, and each wants a kernel or an image from its own site); quickemu (an installer's "
               "image from a distribution's site); vmtest (a kernel with 9p built in, which no distribution's is)")


def debian(peers):
    """The folder with image, vmlinuz and initrd; made if it is not there."""
    folder = f"{peers.cache}/debian-{SUITE}"
    if os.path.exists(f"{folder}/image"):
        return folder
    if os.uname().machine != "x86_64":
        raise Failed("only tried on x86_64")
    for program in ("debootstrap", "mkfs.ext4"):
        if not machine.find(program):
            raise Failed(f"{program} was not found")
    peers.say(f"making a Debian with systemd in {folder}, once: about two minutes")
    work = tempfile.mkdtemp(dir=peers.cache, prefix="debian-")
    try:
        os.chmod(work, 0o755)
        with open(f"{work}/unit", "w") as out:
            out.write(UNIT)
        call([*store.sudo(), "sh", "-c", MAKE, "sh", str(os.getuid()), INCLUDE, SUITE], cwd=work,
             env={**os.environ, "PATH": os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"})
        os.rename(work, folder)
    except (Failed, OSError):
        call([*store.sudo(), "rm", "-rf", "--one-file-system", work])
        raise
    return folder


def debian_argv(folder, bare):
    """The bare machine's arguments, for Debian: its kernel and initrd, its image as a disk that forgets what is written."""
    argv = []
    for word, before in zip(bare, [""] + bare):
        if before == "-kernel":
            word = f"{folder}/vmlinuz"
        elif before == "-initrd":
            word = f"{folder}/initrd"
        elif before == "-append":
            word += " root=/dev/vda rw"
        elif before == "-cpu":
            # QEMU 7.2 emulates five-level page tables so that systemd's mounts fail.
            word = re.sub(r"^max\b", "max,-la57", word)
        elif before == "-device" and word.startswith("virtio-blk-pci"):
            word = "virtio-blk-pci,drive=debian"
        argv.append(word)
    if "virtio-blk-pci,drive=debian" not in argv:
        argv += ["-device", "virtio-blk-pci,drive=debian"]
    return argv + ["-drive", f"if=none,id=debian,format=raw,snapshot=on,file={folder}/image"]


def modules_of(vmlinux, kernel):
    """The folder of the kernel's modules; kernel: the folder or file that igloo was given, or None."""
    with open(vmlinux, "rb") as text:
        found = re.search(rb"Linux version ([!-~]+) ", text.read())
    if not found:
        raise Failed(f"{vmlinux} tells no version")
    roots, at = ["/", "/usr"], kernel and os.path.realpath(kernel)
    while at and at != "/":
        roots[:0] = [at, f"{at}/usr"]
        at = os.path.dirname(at)
    for root in roots:
        folder = os.path.join(root, "lib/modules", found[1].decode())
        if os.path.isdir(folder):
            return folder
    raise Failed(f"the modules of {found[1].decode()} were not found")


def virtme(peers, folder, vmlinux, kernel, kvm):
    """(argv, PATH) of a command by virtme-ng in the same kernel.

    depmod writes beside the modules, so that they get a folder of links of their own.
    """
    modules = modules_of(vmlinux, kernel)
    program = peers.find("virtme-run")
    if not program:
        raise Failed(peers.missing.get("vng", "virtme-run was not found"))
    if not machine.find("depmod"):
        raise Failed("depmod was not found (Debian: kmod)")
    tree = f"{folder}/virtme"
    os.makedirs(f"{tree}/boot")
    os.symlink(vmlinux, f"{tree}/boot/vmlinux")
    shutil.copytree(modules, f"{tree}/lib/modules/{os.path.basename(modules)}", copy_function=os.symlink)
    argv = [program, "--kimg", f"{tree}/boot/vmlinux", "--mods", "auto", "--memory", "512M", "--cpus", "1",
            *([] if kvm else ["--disable-kvm", "--disable-microvm"]), "--script-sh", "echo ready"]
    return argv, os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"

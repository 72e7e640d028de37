#!/usr/bin/env python3
"""Makes an initrd of the shape of NixOS' own: modules, a stage 1 that mounts what igloo's module declares, and
switch_root into what init= names.

usage: mkinitrd.py BUSYBOX KERNEL-FOLDER STAGE1 FOLDERS TO   (KERNEL-FOLDER: an unpacked kernel package)"""
import gzip
import lzma
import os
import stat
import sys

MODULES = """virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_console netfs fscache 9pnet
9pnet_virtio 9p failover net_failover virtio_net overlay""".split()


def entry(name, mode, data=b"", rdev=(0, 0), count=[0]):
    count[0] += 1
    head = [count[0], mode, 0, 0, 1, 0, len(data), 0, 0, *rdev, len(name) + 1, 0]
    head = b"070701" + b"".join(b"%08X" % n for n in head) + name.encode() + b"\0"
    return head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4)


def module(folder, name):
    names = {f"{name}{tail}" for tail in (".ko", ".ko.xz")} | {f"{name.replace('_', '-')}.ko"}
    for base, _, files in os.walk(folder):
        for file in sorted(names & set(files)):
            with open(os.path.join(base, file), "rb") as f:
                data = f.read()
            return lzma.decompress(data) if file.endswith(".xz") else data
    return None


busybox, kernel, stage1, folders, to = sys.argv[1:]
out = b""
for folder in "bin", "dev", "modules", "proc", "run", "sys":
    out += entry(folder, stat.S_IFDIR | 0o755)
out += entry("dev/console", stat.S_IFCHR | 0o600, rdev=(5, 1))
with open(busybox, "rb") as f:
    out += entry("bin/busybox", stat.S_IFREG | 0o755, f.read())
out += entry("bin/sh", stat.S_IFLNK | 0o777, b"busybox")
for name, path in ("init", stage1), ("folders", folders):
    with open(path, "rb") as f:
        out += entry(name, stat.S_IFREG | 0o755, f.read())
for i, name in enumerate(MODULES):
    data = module(kernel, name)
    if data:  # else built in, or of another kernel
        out += entry(f"modules/{i:02}-{name}.ko", stat.S_IFREG | 0o644, data)
out += entry("TRAILER!!!", 0)
with open(to, "wb") as f:
    f.write(gzip.compress(out, 1, mtime=0))

"""The bootstrap seed: a static busybox, and a patchelf with its own loader and libraries.

Taken from Debian's packages too, so that the flake holds all it takes to build the rest.
"""

import glob
import os
import shutil
import subprocess
import tempfile

from .apt import install_on_host
from .util import Failure, run, say

PACKAGES = ["busybox-static", "patchelf", "libc6", "libstdc++6", "libgcc-s1"]
LIBRARIES = ["libc.so.6", "libm.so.6", "libstdc++.so.6", "libgcc_s.so.1"]
COMPILERS = {"amd64": "x86_64-linux-gnu-gcc", "arm64": "aarch64-linux-gnu-gcc",
             "i386": "i686-linux-gnu-gcc", "armhf": "arm-linux-gnueabihf-gcc",
             "riscv64": "riscv64-linux-gnu-gcc"}


def write(apt, folder):
    """Write bin/ and lib/ of the seed for apt's architecture into `folder`."""
    packages = [apt.package(name) for name in PACKAGES]
    apt.download(packages)
    bin_, lib = os.path.join(folder, "bin"), os.path.join(folder, "lib")
    os.makedirs(bin_)
    os.makedirs(lib)
    with tempfile.TemporaryDirectory(prefix="debnix-") as root:
        for package in packages:
            run(["dpkg-deb", "-x", apt.deb_path(package), root])

        def take(pattern, target):
            found = sorted(p for p in glob.glob(os.path.join(root, pattern)) if os.path.isfile(p))
            if not found:
                raise Failure(f"the seed's packages have no {pattern}")
            shutil.copyfile(os.path.realpath(found[0]), target)
            os.chmod(target, 0o755)

        take("bin/busybox", os.path.join(bin_, "busybox"))
        take("usr/bin/patchelf", os.path.join(bin_, "patchelf"))
        take("lib/*/ld-linux*.so.*", os.path.join(lib, "loader"))
        for name in LIBRARIES:
            folders = [p for p in ("lib", "usr/lib") if glob.glob(f"{root}/{p}/*/{name}")]
            take(f"{folders[0] if folders else 'lib'}/*/{name}", os.path.join(lib, name))


def write_redirect(source, folder, archs, host):
    """Compile the redirection library for each architecture that we have a compiler for."""
    for arch in archs:
        os.makedirs(os.path.join(folder, arch))
        compiler = COMPILERS.get(arch, "")
        if arch == host:
            install_on_host("gcc", "gcc")
            compiler = "gcc"
        if not shutil.which(compiler):
            say(f"no {compiler or 'compiler'}: {arch} programs go without redirect.c")
            open(os.path.join(folder, arch, "none"), "w").close()
            continue
        target = os.path.join(folder, arch, "redirect.so")
        done = subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-s", "-Wl,--build-id=none",
                               "-o", target, source])
        if done.returncode != 0:
            raise Failure("compiling redirect.c failed")

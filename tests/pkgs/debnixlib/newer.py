"""Programs of newer Debian suites (nix, git) that run here beside the old ones.

A package and all the libraries it needs are unpacked into one folder; a launcher starts the
program with that folder's own loader.
"""

import glob
import os
import shutil
import tempfile

from . import graph
from .apt import Apt, host_arch
from .util import Failure, run, say

SUITES = ["trixie", "forky", "sid"]
LAUNCHER = """#!/bin/sh
# {package} {version} from Debian {suite}, with its own loader and libraries.
here=$(dirname "$(readlink -f "$0")")/..
{settings}exec "$here/root/{loader}" --argv0 "$0" --library-path "{libraries}" \\
    "$here/root/{program}" "$@"
"""


def fetch(package, version, out, cache, refresh=False):
    """Unpack `package` of the first suite that has `version`, with bin/ launchers."""
    known = []
    for suite in SUITES:
        lists = open_suite(cache, suite, refresh)
        if lists is None:
            continue
        found = lists.package(package)
        if found:
            upstream = found["Version"].rpartition(":")[2]
            known.append(f"{upstream} ({suite})")
            if upstream == version or upstream.startswith((version + ".", version + "-",
                                                           version + "+")):
                unpack(lists, package, found, suite, out)
                return
    raise Failure(f"no {package} {version}; there is {', '.join(known) or 'none'}")


def open_suite(cache, suite, refresh):
    """The lists of a suite, their signatures checked with this machine's keyring; or None."""
    try:
        lists = Apt(cache, host_arch(), suite)
        lists.update(refresh)
        return lists.load()
    except Failure as failure:
        say(f"suite {suite}: {failure}")
        return None


def unpack(lists, package, found, suite, out):
    marker = os.path.join(out, "version")
    stamp = f"{package} {found['Version']} {suite}\n"
    if os.path.exists(marker):
        with open(marker) as handle:
            if handle.read() == stamp:
                return
    elif os.path.isdir(out) and os.listdir(out):
        raise Failure(f"{out} holds something else; remove it or choose another folder")
    resolver = graph.Resolver(lists)
    resolver.resolve([package], essential=())
    packages = list(resolver.chosen.values())
    lists.download(packages)
    os.makedirs(os.path.dirname(out) or ".", exist_ok=True)
    staging = tempfile.mkdtemp(prefix=os.path.basename(out) + ".new-",
                               dir=os.path.dirname(out) or ".")
    os.chmod(staging, 0o755)
    try:
        root = os.path.join(staging, "root")
        os.makedirs(os.path.join(staging, "bin"))
        for part in packages:
            run(["dpkg-deb", "-x", lists.deb_path(part), root])
        write_launchers(staging, root, package, found["Version"], suite)
        with open(os.path.join(staging, "version"), "w") as handle:
            handle.write(stamp)
        shutil.rmtree(out, ignore_errors=True)
        os.rename(staging, out)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    say(f"{out}/bin: {package} {found['Version']} from {suite}")


def write_launchers(staging, root, package, version, suite):
    loaders = sorted(glob.glob(f"{root}/usr/lib/*/ld-linux*.so.*")
                     + glob.glob(f"{root}/lib/*/ld-linux*.so.*"))
    if not loaders:
        raise Failure(f"{package} of {suite} brings no loader")
    folders = [f for pattern in ("usr/lib/*-linux-gnu*", "lib/*-linux-gnu*")
               for f in sorted(glob.glob(f"{root}/{pattern}"))]
    libraries = ":".join("$here/root/" + os.path.relpath(f, root) for f in folders)
    stem = package.partition("-")[0]  # nix-bin: nix, nix-store, …
    settings = ""
    if package == "git":
        settings = ('export GIT_EXEC_PATH="$here/root/usr/lib/git-core"\n'
                    'export GIT_TEMPLATE_DIR="$here/root/usr/share/git-core/templates"\n')
    for program in sorted(glob.glob(f"{root}/usr/bin/{stem}*")):
        name = os.path.basename(program)
        target = os.path.join(staging, "bin", name)
        with open(target, "w") as handle:
            handle.write(LAUNCHER.format(
                package=package, version=version, suite=suite, settings=settings,
                loader=os.path.relpath(loaders[0], root), libraries=libraries,
                program=os.path.relpath(program, root)))
        os.chmod(target, 0o755)

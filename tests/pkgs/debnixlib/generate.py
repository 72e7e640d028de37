"""Write the flake: resolve, download, look inside, plan."""

import concurrent.futures
import json
import os
import shutil
import tempfile

from . import deb, graph, plan, seed
from .apt import Apt, host_arch
from .util import Failure, say, store_name, write_atomic

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SYSTEMS = {"amd64": "x86_64-linux", "arm64": "aarch64-linux", "i386": "i686-linux",
           "armhf": "armv7l-linux", "riscv64": "riscv64-linux", "ppc64el": "powerpc64le-linux",
           "s390x": "s390x-linux"}
# What the stdenv needs, whatever else is asked for.
BASE = ["bash", "coreutils", "findutils", "diffutils", "sed", "grep", "gawk", "tar", "gzip",
        "bzip2", "xz-utils", "make", "patch", "libc-bin"]


def generate(out, names, arch, cache, refresh=False):
    host = host_arch()
    arch = arch or host
    if arch not in SYSTEMS:
        raise Failure(f"unknown architecture {arch}: one of {', '.join(sorted(SYSTEMS))}")
    check_folder(out)
    lists = Apt(cache, arch)
    lists.update(refresh)
    lists.load()
    if arch == host:
        native = lists
    else:
        native = Apt(cache, host)
        native.update(refresh)
        native.load()

    names = list(dict.fromkeys([*names, *BASE]))
    resolver = graph.Resolver(lists)
    missing = resolver.resolve(names)
    if missing:
        raise Failure(f"no such package for {arch}: {' '.join(missing)}")
    packages = list(resolver.chosen.values())
    lists.download(packages)
    facts = read_all(lists, packages, cache)
    groups, by_name = graph.build(resolver, facts, names)
    plan.add_implicit(groups, by_name)

    data, plans = describe(lists, groups, by_name, arch, names)
    os.makedirs(os.path.dirname(out) or ".", exist_ok=True)
    staging = tempfile.mkdtemp(prefix=os.path.basename(out) + ".new-",
                               dir=os.path.dirname(out) or ".")
    os.chmod(staging, 0o755)
    try:
        write_flake(staging, out, arch, host, native)
        target = os.path.join(staging, "targets", arch)
        shutil.rmtree(target, ignore_errors=True)
        for name, text in plans.items():
            write_atomic(os.path.join(target, "plans", name), text)
        write_atomic(os.path.join(target, "packages.json"),
                     json.dumps(data, indent=1, sort_keys=True))
        swap(staging, out)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    say(f"{out}: {len(names)} packages asked for, {len(packages)} in {len(groups)} store paths")


def check_folder(out, marker="targets.json"):
    """Only ever replace a folder that we wrote."""
    if os.path.isdir(out) and os.listdir(out) and not os.path.exists(f"{out}/{marker}"):
        raise Failure(f"{out} holds something else; remove it or choose another folder")


def swap(staging, out):
    """Put the finished folder in the place of the old one."""
    old = staging + ".old"
    if os.path.lexists(out):
        os.rename(out, old)
    os.rename(staging, out)
    shutil.rmtree(old, ignore_errors=True)


def read_all(apt, packages, cache):
    """The facts about every package, {name: facts}; new ones are read by two processes."""
    with concurrent.futures.ProcessPoolExecutor(2) as pool:
        work = {p["Package"]: pool.submit(deb.analyse, apt.deb_path(p), p["SHA256"], cache)
                for p in packages}
        return {name: future.result() for name, future in work.items()}


def describe(apt, groups, by_name, arch, names):
    """packages.json, and the text of each plan."""
    data = {"arch": arch, "system": SYSTEMS[arch], "groups": {}, "names": {}, "roots": []}
    plans = {}
    for group in groups:
        writer = plan.Plan(group, arch)
        plans[group.name] = writer.write()
        data["groups"][group.name] = {
            "name": store_name(group.name),
            "version": store_name(group.version.rpartition(":")[2]),
            "debs": [{"name": apt.deb_name(p), "url": p["URI"], "sha256": p["SHA256"]}
                     for p in group.packages],
            "deps": [g.name for g in writer.inputs],
            "redirect": bool(writer.redirects),
        }
    for name, group in by_name.items():
        data["names"][name] = group.name
    data["roots"] = sorted({by_name[n].name for n in names if n in by_name})
    return data, plans


def write_flake(staging, out, arch, host, native):
    """Everything but the target's own data; other targets of an earlier run stay."""
    shutil.copytree(os.path.join(HERE, "flake"), staging, dirs_exist_ok=True)
    targets = {arch}
    if os.path.isdir(os.path.join(out, "targets")):
        shutil.copytree(os.path.join(out, "targets"), os.path.join(staging, "targets"))
        targets |= set(os.listdir(os.path.join(staging, "targets")))
    seed.write(native, os.path.join(staging, "seed"))
    seed.write_redirect(os.path.join(HERE, "redirect.c"), os.path.join(staging, "redirect"),
                        sorted(targets), host)
    write_atomic(os.path.join(staging, "targets.json"), json.dumps(
        {"buildSystem": SYSTEMS[host], "names": sorted(targets)}))

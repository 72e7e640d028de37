"""Build generated packages in the machine's own Nix store."""

import json
import os

from .apt import host_arch, install_on_host
from .generate import SYSTEMS
from .util import Failure, run, say

# For every Nix program, whatever /etc/nix/nix.conf says.
CONFIG = """
experimental-features = nix-command flakes
sandbox = false
build-users-group =
substitute = false
"""


def nix(*command, **options):
    environment = dict(os.environ, NIX_CONFIG=os.environ.get("NIX_CONFIG", "") + CONFIG)
    return run(list(command), env=environment, **options)


def invalid(paths):
    """Those of `paths` that the store does not have."""
    if not paths:
        return set()
    return set(nix("nix-store", "--check-validity", "--print-invalid", *paths).split())


def build(out, names, arch, cache):
    install_on_host("nix-store", "nix-bin")
    install_on_host("nix", "nix-bin")
    out = os.path.realpath(out)
    if os.path.exists(os.path.join(out, "synth.json")):
        if os.path.isdir(os.path.join(out, "pkgs")):
            build(os.path.join(out, "pkgs"), (), None, cache)
        build_shells(out, names or ["default"], cache)
        return
    arch = arch or host_arch()
    try:
        with open(os.path.join(out, "targets", arch, "packages.json")) as handle:
            data = json.load(handle)
    except FileNotFoundError:
        raise Failure(f"{out} has no packages for {arch}: debnix generate first") from None
    unknown = [n for n in names if n not in data["names"] and n != "stdenv"]
    if unknown:
        raise Failure(f"not in {out}: {' '.join(unknown)}")
    wanted = {data["names"].get(n, n) for n in names} if names else set(data["roots"])
    if arch == host_arch():
        wanted.add("stdenv")

    system = SYSTEMS[arch]
    paths = json.loads(nix("nix", "eval", "--json", f"path:{out}#outPaths.{system}"))
    missing = invalid([paths[n] for n in sorted(wanted)])
    if missing:
        add_debs(data, paths, wanted, cache)
        say(f"building {len(missing)} of {len(wanted)} packages and what they refer to")
        attributes = [f"path:{out}#outputs.{system}.{json.dumps(n)}" for n in sorted(wanted)
                      if paths[n] in missing]
        nix("nix", "build", "--no-link", *attributes, stdout=None)
    root(cache, [paths[n] for n in sorted(wanted)])
    for name in names or ():
        print(paths[data["names"].get(name, name)])


def add_debs(data, paths, wanted, cache):
    """Hand the cached .debs to Nix under the paths of their fixed-output derivations."""
    groups, queue, seen = data["groups"], sorted(wanted), set()
    if "stdenv" in queue:
        queue += data["roots"]
    while queue:
        name = queue.pop()
        if name not in seen and name in groups:
            seen.add(name)
            queue += groups[name]["deps"]
    unbuilt = invalid([paths[name] for name in sorted(seen)])
    files = [os.path.join(cache, "debs", deb["name"]) for name in sorted(seen)
             if paths[name] in unbuilt for deb in groups[name]["debs"]]
    files = [f for f in files if os.path.exists(f)]  # Nix downloads what is not there
    for start in range(0, len(files), 200):
        nix("nix-store", "--add-fixed", "sha256", *files[start:start + 200])


def root(cache, paths):
    """Keep the paths from garbage collection by links in the cache."""
    folder = os.path.join(cache, "roots")
    os.makedirs(folder, exist_ok=True)
    for path in paths:
        link = os.path.join(folder, os.path.basename(path))
        if not os.path.lexists(link):
            nix("nix-store", "--add-root", link, "--indirect", "--realise", path)


def build_shells(out, names, cache):
    """Build dev shells of a synthetic flake."""
    for name in names:
        attribute = f"path:{out}#devShells.{SYSTEMS[host_arch()]}.{name}"
        link = os.path.join(cache, "roots", f"synth-{os.path.basename(out)}-{name}")
        os.makedirs(os.path.dirname(link), exist_ok=True)
        nix("nix", "build", "--out-link", link, attribute, stdout=None)
        print(os.path.realpath(link))

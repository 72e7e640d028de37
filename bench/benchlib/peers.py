"""The programs that igloo is compared with: where they come from, and how they are called."""

import json
import os
import sys

from . import machine, store
from .clock import Failed, Subject, Worker
from .fixtures import call

# Debian packages, by the program that shows that they are there. socat and ripgrep: srt does not start without.
APT = {"bwrap": "bubblewrap", "crun": "crun", "firejail": "firejail", "socat": "socat", "rg": "ripgrep",
       "node": "nodejs", "npm": "npm", "nix": "nix-bin", "git": "git", "pasta": "passt", "slirp4netns": "slirp4netns",
       "iperf3": "iperf3", "musl-gcc": "musl-tools", "ip": "iproute2", "debootstrap": "debootstrap",
       "mkfs.ext4": "e2fsprogs", "depmod": "kmod", "udevadm": "udev"}
PYPI = {"vng": "virtme-ng"}
NPM = {"srt": "@anthropic-ai/sandbox-runtime", "codex": "@openai/codex"}
# With its default features and its lock file nono does not build from the registry (0.81).
CARGO = {"ai-jail": ["--locked", "ai-jail"], "nono": ["--no-default-features", "nono-cli"]}


class Peers:
    def __init__(self, cache, say):
        self.cache, self.say = cache, say
        self.folders = [f"{cache}/npm/srt/node_modules/.bin", f"{cache}/npm/codex/node_modules/.bin",
                        f"{cache}/cargo/bin", *(f"{cache}/pypi/{name}/bin" for name in PYPI.values())]
        self.missing = {}  # name -> why

    def find(self, name):
        return machine.find(name, self.folders)

    def install(self, all_peers):
        wanted = [package for name, package in APT.items() if not self.find(name)]
        if wanted and machine.find("apt-get"):
            self.say(f"installing {' '.join(wanted)}")
            self.attempt(wanted, [*store.sudo(), "apt-get", "install", "-qy", "--no-install-recommends", *wanted])
        for name, package in NPM.items():
            if not self.find(name) and machine.find("npm"):
                self.say(f"installing {package} in {self.cache}")
                os.makedirs(f"{self.cache}/npm/{name}", exist_ok=True)
                self.attempt([name], ["npm", "install", "--prefix", f"{self.cache}/npm/{name}", "--no-audit",
                                      "--no-fund", package])
        for name, package in PYPI.items():
            if not self.find(name):
                folder = f"{self.cache}/pypi/{package}"
                self.say(f"installing {package} in {folder}")
                self.attempt([name], [sys.executable, "-m", "venv", folder])
                self.attempt([name], [f"{folder}/bin/python3", "-m", "pip", "install", "-q", package])
        for name, arguments in CARGO.items():
            if self.find(name):
                continue
            if all_peers and machine.find("cargo"):
                self.say(f"building {name} in {self.cache}, which takes minutes")
                self.attempt([name], ["cargo", "install", "--root", f"{self.cache}/cargo", *arguments])
            elif not all_peers:
                self.missing[name] = "neither on PATH nor built before; --all-peers builds it"

    def attempt(self, names, argv):
        try:
            call(argv, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
        except (Failed, OSError) as why:
            for name in names:
                self.missing[name] = str(why)[:300]

    def versions(self):
        found = {}
        for name in ("bwrap", "crun", "firejail", "srt", "codex", "ai-jail", "nono", "pasta", "slirp4netns", "vng", "nix"):
            program = self.find(name)
            if program:
                found[name] = machine.version(program) or "version unknown"
            else:
                self.missing.setdefault(name, "not found on PATH")
        return found


def bwrap_bare(peers, env):
    """What the bars are relative to: everything unshared, the host's tree read-only, own /dev and /proc."""
    return Subject("bwrap, nothing bound", [peers.find("bwrap"), "--unshare-all", "--ro-bind", "/", "/", "--dev",
                                            "/dev", "--proc", "/proc", "/bin/true"], env)


def bwrap_least(peers, env):
    """Without /dev and /proc: less than a program with a pid namespace of its own can use."""
    return Subject("bwrap, no /dev, no /proc", [peers.find("bwrap"), "--unshare-all", "--ro-bind", "/", "/",
                                                "/bin/true"], env)


def true_of(paths):
    return next(f"{path}/bin/true" for path in paths if os.path.exists(f"{path}/bin/true"))


def bwrap_binding(peers, env, paths, rounds):
    binds = [word for path in paths for word in ("--ro-bind", path, path)]
    return Subject(f"bwrap, {len(paths)} binds", [peers.find("bwrap"), "--unshare-all", "--dev", "/dev", "--proc",
                                                  "/proc", "--tmpfs", "/tmp", *binds, true_of(paths)], env, rounds)


def crun_worker():
    """crun does not start where a cgroup2 hierarchy with controllers lies beside cgroup1: it is hidden from it."""
    if os.getuid() != 0:
        raise Failed("crun as an ordinary user needs a bundle of its own making; run as root")
    script = 'umount /sys/fs/cgroup/unified 2>/dev/null; exec "$@"'
    return Worker(["unshare", "-m", "--propagation", "private", "sh", "-c", script, "sh"])


def crun_binding(bench, peers, paths, worker):
    bundle = f"{bench.folder}/crun-{len(paths)}"
    os.makedirs(f"{bundle}/rootfs")
    crun = peers.find("crun")
    call([crun, "spec"], cwd=bundle)
    with open(f"{bundle}/config.json") as text:
        config = json.load(text)
    config["process"].update(terminal=False, args=[true_of(paths)])
    # `crun spec` asks for 1024 descriptors, which apply before the mounts are made: one each.
    config["process"].pop("rlimits", None)
    config["root"] = {"path": "rootfs", "readonly": False}
    config["mounts"] += [{"destination": path, "type": "bind", "source": path, "options": ["bind", "ro"]}
                         for path in paths]
    with open(f"{bundle}/config.json", "w") as out:
        json.dump(config, out)
    return Subject(f"crun, {len(paths)} binds", [crun, "run", "--bundle", bundle, f"igloo-bench-{os.getpid()}"],
                   bench.env, worker=worker)


def others(bench, peers):
    """The sandboxes for agents, each with as little as it can be told to do; those that were found."""
    home = f"{peers.cache}/home"  # codex keeps no helpers under /tmp, nono no state
    os.makedirs(f"{home}/codex", exist_ok=True)
    private = {"HOME": home, "XDG_STATE_HOME": home, "XDG_CONFIG_HOME": home, "XDG_CACHE_HOME": home}
    path = os.pathsep.join([*peers.folders, bench.env.get("PATH", os.defpath)])
    work = f"{bench.folder}/work"
    table = [
        ("firejail", ["--quiet", "--noprofile", "true"], {}, None),
        ("ai-jail", ["--no-save-config", "true"], {}, None),
        ("nono", ["run", "-s", "--allow", work, "--", "true"], private, None),
        ("codex", ["sandbox", "true"], {**private, "CODEX_HOME": f"{home}/codex"}, 20),
        ("srt", ["true"], private, 20),
    ]
    for name, arguments, extra, rounds in table:
        program = peers.find(name)
        if program:
            env = {**bench.env, "PATH": path, **extra}
            yield Subject({"codex": "codex sandbox"}.get(name, name), [program, *arguments], env, rounds)
        else:
            peers.missing.setdefault(name, "not found on PATH")


def nix_develop(bench, folder, name="nix develop -c true", **more):
    return Subject(name, [machine.find("nix"), "develop", "-c", "true"], bench.nix_env, cwd=folder, **more)

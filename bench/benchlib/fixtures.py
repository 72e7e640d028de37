"""What is measured on: repositories whose dev shells have closures of a known size, in a private home.

Everything lies in one temporary folder and ends with it, but the store paths, which stay in this
machine's Nix store until it is collected.
"""

import glob
import os
import platform
import re
import shutil
import signal
import stat
import subprocess
import tempfile
import time

from .clock import Failed

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
DEBNIX = os.path.join(ROOT, "tests", "pkgs", "debnix")

# The smallest dev shell there can be: Nix wants a bash, `true` is in coreutils.
SMALL = """{
  outputs = { self }: let
    system = "SYSTEM";
    pkgs = ((import ./pkgs/flake.nix).outputs { inherit self; }).legacyPackages.${system};
  in {
    devShells.${system}.default = derivation {
      inherit system;
      name = "small";
      outputs = [ "out" ]; # Nix's get-env.sh goes through this variable
      builder = "${pkgs.bash}/bin/bash";
      PATH = "${pkgs.coreutils}/bin";
    };
  };
}
"""


def call(argv, cwd=None, env=None):
    done = subprocess.run(argv, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace")
    if done.returncode != 0:
        raise Failed(f"{' '.join(argv)}: exit status {done.returncode}: {done.stdout.strip()[-600:]}")
    return done.stdout


class Bench:
    """The temporary folder, the environment of measured programs, and igloo."""

    def __init__(self, igloo, cache):
        self.igloo, self.cache = igloo, cache
        self.folder = tempfile.mkdtemp(prefix="igloo-bench-")
        self.log = os.path.join(self.folder, "log")
        self.outer = dict(os.environ)
        self.repositories = {}
        for name in ("state", "cache", "config", "run", "home", "work"):
            os.mkdir(os.path.join(self.folder, name), 0o700)
        self.env = {key: value for key, value in os.environ.items() if not key.startswith(("IGLOO_", "XDG_", "NIX_"))}
        self.env.update(
            XDG_STATE_HOME=f"{self.folder}/state", XDG_CACHE_HOME=f"{self.folder}/cache",
            XDG_CONFIG_HOME=f"{self.folder}/config", XDG_RUNTIME_DIR=f"{self.folder}/run",
            HOME=f"{self.folder}/home", IGLOO_VM_START="cold")
        # `nix develop` is kept from asking the network, for a registry or for what it can build: the times of a
        # network are not its own.
        registry = os.path.join(self.folder, "registry.json")
        with open(registry, "w") as out:
            out.write('{ "flakes": [], "version": 2 }\n')
        self.nix_env = {**self.env, "NIX_CONFIG": "experimental-features = nix-command flakes\n"
                                                  f"flake-registry = {registry}\nwarn-dirty = false\n"
                                                  "substituters =\nbuild-users-group =\n"}
        os.chdir(os.path.join(self.folder, "work"))

    # -- repositories

    def commit(self, folder):
        git = ["git", "-C", folder, "-c", "user.name=bench", "-c", "user.email=bench@example.org", "-c", "gc.auto=0"]
        call([*git, "init", "-q"])
        call([*git, "add", "-A"])
        call([*git, "commit", "-q", "-m", "bench"])

    def repository(self, count, hook=False, files=0):
        """A git repository whose closure has `count` paths more than bash and coreutils (0) or a stdenv have."""
        key = (count, hook, files)
        if key in self.repositories:
            return self.repositories[key]
        folder = os.path.join(self.folder, f"repo-{count}{'-hook' if hook else ''}{f'-{files}' if files else ''}")
        call([DEBNIX, "synth", "--count", str(count or 1), "--out", folder], env=self.outer)
        call([DEBNIX, "build", "--out", folder], env=self.outer)
        flake = os.path.join(folder, "flake.nix")
        with open(flake) as text:
            flake_text = text.read()
        if count == 0:
            flake_text = SMALL.replace("SYSTEM", f"{platform.machine()}-linux")
        elif not hook:
            flake_text = re.sub(r"\n *shellHook = .*", "", flake_text)
        with open(flake, "w") as out:
            out.write(flake_text)
        for number in range(files):
            at = f"{folder}/files/{number // 100:03}"
            if number % 100 == 0:
                os.makedirs(at)
            with open(f"{at}/file-{number:05}.txt", "w") as out:
                out.write(f"{number}\n" * 20)
        call(["nix", "flake", "lock"], cwd=folder, env=self.nix_env)
        self.commit(folder)
        self.repositories[key] = folder
        return folder

    # -- igloo

    def igloo_run(self, folder, *command, slot=None):
        return [self.igloo, "run", "-C", folder, *(["--slot", slot] if slot else []), "--", *(command or ("true",))]

    def resolve(self, folder, slot=None, env=None):
        """The first run in a repository: evaluates and builds. Returns how long it took."""
        began = time.perf_counter()
        call(self.igloo_run(folder, slot=slot), env=env or self.env)
        return time.perf_counter() - began

    def host_paths(self, folder, slot=None):
        """The host's store paths that boxes of the repository's slot see: its closures, the slot's own Nix."""
        pattern = f"{self.folder}/state/igloo/slots/{slot or os.path.basename(folder)}*/host-paths"
        found = sorted(glob.glob(pattern), key=len)
        if not found:
            raise Failed(f"no slot of {folder} ({pattern})")
        with open(found[0]) as text:
            return [path for path in text.read().split() if os.path.lexists(path)]

    # -- the end

    def strays(self):
        """Processes of this bench's igloo that were left on purpose: keepers, and boxes if it was interrupted."""
        mark = f"XDG_STATE_HOME={self.folder}/state".encode()
        for entry in os.listdir("/proc"):
            if not entry.isdigit() or int(entry) == os.getpid():
                continue
            try:
                with open(f"/proc/{entry}/environ", "rb") as environ:
                    if mark in environ.read().split(b"\0"):
                        yield int(entry)
            except OSError:
                continue

    def close(self):
        os.chdir("/")
        for _ in range(20):
            strays = list(self.strays())
            if not strays:
                break
            for pid in strays:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            time.sleep(0.05)

        def writable(function, path, _info):
            try:
                os.chmod(os.path.dirname(path), stat.S_IRWXU)
                os.chmod(path, stat.S_IRWXU)
                function(path)
            except OSError:
                pass

        shutil.rmtree(self.folder, onerror=writable)

"""Debian's package lists, read through a private apt root.

The host's own apt configuration is only asked which Debian mirror it uses. Lists live in the
cache, one apt root per suite and architecture, so that a foreign architecture or a newer suite
never reaches the host's dpkg.
"""

import os
import re
import shutil
import subprocess
import tempfile
import time

from .util import Failure, as_root, lock, run, say, store_name

HELPER = "/usr/lib/apt/apt-helper"
LISTS_LIFETIME = 24 * 3600
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def host_sources():
    """The Debian (not third party) sources of the host: [(base uri, release, component)]."""
    query = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)",
             "Created-By: Packages", "Origin: Debian"]
    lines = run(query).split("\n")
    if not any(lines):
        say("the host has no package lists yet: apt-get update")
        run(as_root(["apt-get", "update", "-qq"]))
        lines = run(query).split("\n")
    sources = sorted({tuple(line.split()) for line in lines if line.strip()})
    if not sources:
        raise Failure("apt knows no Debian source on this machine")
    return sources


def host_arch():
    return run(["dpkg", "--print-architecture"]).strip()


def version_key(version):
    """A sort key that orders version strings as dpkg does."""
    epoch, _, rest = version.rpartition(":")
    upstream, dash, revision = rest.rpartition("-")
    if not dash:
        upstream, revision = rest, ""

    def order(char):
        return 0 if char == "~" else ord(char) + 2 if char.isalpha() else ord(char) + 256

    def part(text):
        key = []
        for letters, digits in re.findall(r"([^0-9]*)([0-9]*)", text):
            # The end of a run of letters sorts after `~` and before everything else.
            key.append((tuple(map(order, letters)) + (1,), int(digits or 0)))
        return key

    return (int(epoch or 0), part(upstream), part(revision))


class Apt:
    """A private apt root for one architecture, and what its lists say."""

    def __init__(self, cache, arch, suite=None):
        self.cache, self.arch, self.suite = cache, arch, suite
        self.debs = os.path.join(cache, "debs")
        self.root = os.path.join(cache, "apt", f"{suite or 'host'}-{arch}")
        self.config = os.path.join(self.root, "apt.conf")
        self._packages = {}
        self._provides = {}

    # -- lists ---------------------------------------------------------------------------------

    def _sources(self):
        """This root's sources.list: the host's, or its main mirror with another suite."""
        sources = host_sources()
        if self.suite:
            base = next((s for s in sources if "-" not in s[1]), sources[0])
            sources = [(base[0], self.suite, "main")]
        return "".join(f"deb [signed-by={KEYRING}] {uri} {release} {component}\n"
                       for uri, release, component in sources)

    def update(self, force=False):
        """Fetch the lists unless they are younger than a day."""
        stamp = os.path.join(self.root, "stamp")
        with lock(os.path.join(self.root, "lock")):
            sources = self._sources()
            try:
                with open(stamp) as handle:
                    fresh = (handle.read() == sources
                             and time.time() - os.stat(stamp).st_mtime < LISTS_LIFETIME)
            except FileNotFoundError:
                fresh = False
            if fresh and not force:
                return
            for folder in ("lists/partial", "archives/partial", "parts"):
                os.makedirs(os.path.join(self.root, folder), exist_ok=True)
            with open(os.path.join(self.root, "sources.list"), "w") as handle:
                handle.write(sources)
            open(os.path.join(self.root, "status"), "a").close()
            with open(self.config, "w") as handle:
                handle.write(f'APT::Architecture "{self.arch}";\n'
                             f'APT::Architectures {{ "{self.arch}"; }};\n'
                             'APT::Sandbox::User "root";\n'
                             'Acquire::Languages "none";\n'
                             'Acquire::Check-Valid-Until "false";\n'
                             'Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";\n'
                             'Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";\n'
                             f'Dir::State "{self.root}";\n'
                             f'Dir::State::status "{self.root}/status";\n'
                             f'Dir::Cache "{self.root}";\n'
                             f'Dir::Etc::sourcelist "{self.root}/sources.list";\n'
                             f'Dir::Etc::sourceparts "{self.root}/parts";\n')
            say(f"fetching package lists ({self.suite or 'host suites'}, {self.arch})")
            run(["apt-get", "update", "-qq"], env=self._environment())
            with open(stamp, "w") as handle:
                handle.write(sources)

    def _environment(self):
        return dict(os.environ, APT_CONFIG=self.config, LC_ALL="C.UTF-8")

    def load(self):
        """Index the lists by package name (each stanza stays text until it is asked for)."""
        targets = run(["apt-get", "indextargets", "--format", "$(REPO_URI) $(FILENAME)",
                       "Created-By: Packages"], env=self._environment())
        for line in sorted(filter(None, targets.split("\n"))):
            uri, filename = line.split(" ", 1)
            text = run([HELPER, "cat-file", filename], env=self._environment(),
                       encoding="utf-8", errors="replace")
            for stanza in text.split("\n\n"):
                if not stanza.startswith("Package: "):
                    continue
                name = stanza[9:stanza.index("\n")]
                self._packages.setdefault(name, []).append((uri, stanza))
                at = stanza.find("\nProvides: ")
                if at >= 0:
                    line = stanza[at + 11:stanza.find("\n", at + 1)]
                    for virtual in re.split(r",\s*", line):
                        virtual = virtual.split(" ")[0].split(":")[0]
                        self._provides.setdefault(virtual, set()).add(name)
        if not self._packages:
            raise Failure(f"no package lists for {self.arch}")
        return self

    # -- packages ------------------------------------------------------------------------------

    def package(self, name):
        """The newest stanza of a package as a dict, or None."""
        stanzas = self._packages.get(name)
        if stanzas is None:
            return None
        if isinstance(stanzas, list):
            parsed = []
            for uri, text in stanzas:
                fields = dict(re.findall(r"^([A-Za-z0-9-]+):[ ]?(.*(?:\n[ ].*)*)", text, re.M))
                fields["URI"] = uri + fields["Filename"]
                parsed.append(fields)
            self._packages[name] = max(parsed, key=lambda p: version_key(p["Version"]))
        return self._packages[name]

    def providers(self, name):
        return sorted(self._provides.get(name, ()))

    # -- archives ------------------------------------------------------------------------------

    @staticmethod
    def deb_name(package):
        """The name of a .deb in the cache, and of its store path."""
        fields = (package[field] for field in ("Package", "Version", "Architecture"))
        return store_name("_".join(fields) + ".deb")

    def deb_path(self, package):
        return os.path.join(self.debs, self.deb_name(package))

    def download(self, packages):
        """Bring every .deb that is missing into the cache; apt checks the digests."""
        os.makedirs(self.debs, exist_ok=True)
        missing = [p for p in packages if not os.path.exists(self.deb_path(p))]
        if not missing:
            return
        total = sum(int(p["Size"]) for p in missing)
        say(f"downloading {len(missing)} packages, {total / 1e6:.0f} MB")
        with tempfile.TemporaryDirectory(dir=self.cache, prefix=".download-") as folder:
            for start in range(0, len(missing), 100):
                batch, argv = missing[start:start + 100], []
                for p in batch:
                    target = os.path.join(folder, self.deb_name(p))
                    argv += [p["URI"], target, "SHA256:" + p["SHA256"]]
                done = subprocess.run([HELPER, "download-file", *argv], env=self._environment(),
                                      stdout=subprocess.DEVNULL)
                for p in batch:
                    target = os.path.join(folder, self.deb_name(p))
                    if done.returncode == 0 and os.path.exists(target):
                        os.rename(target, self.deb_path(p))
                if done.returncode != 0:
                    raise Failure("a download failed; if the lists are old, try --refresh")


def install_on_host(program, package):
    """Make sure that the host has `program`, from Debian's `package`."""
    if shutil.which(program) is None:
        say(f"installing {package} on this machine")
        run(as_root(["apt-get", "install", "-y", "-qq", "--no-install-recommends", package]))

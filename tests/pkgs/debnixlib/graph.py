"""From package names to groups: the units that become derivations.

A group is one Debian package, or several that only work in one place: those that depend on each
other in a circle, and those that share a private folder (lib/chromium, lib/gcc/…).
"""

import os
import re

from . import deb, special
from .util import say

# Nothing in a store path needs these: they configure a system, or are there on every Debian.
IGNORED = {
    "adduser", "base-passwd", "debconf", "debconf-2.0", "dpkg", "init-system-helpers",
    "install-info", "libpam-runtime", "lsb-base", "systemd", "systemd-sysv", "ucf", "usrmerge",
    "usr-is-merged", "initramfs-tools", "linux-initramfs-tool",
}
# Debian takes these for granted, so nobody declares them.
ESSENTIAL = ["dash", "bash", "coreutils", "perl-base"]
# Which provider to take when a dependency leaves it open.
PREFERRED = {"awk": "gawk", "mail-transport-agent": None, "default-mta": None}
# What comes with a package elsewhere, and is a package of its own in Debian.
COMPANIONS = {"util-linux": ["bsdutils", "mount"], "gcc": ["libc6-dev"], "g++": ["libc6-dev"]}
# Families that find their parts relative to their own program.
FAMILIES = [re.compile(pattern) for pattern in (
    r"perl|perl-base|libperl5\.\d+|perl-modules-5\.\d+",
    r"(lib)?python3(\.\d+)?(-minimal|-stdlib|-distutils|-lib2to3)?|libpython3\.\d+",
    r"nodejs|libnode\d+|node-(acorn|cjs-module-lexer|undici|busboy|streamsearch|xtend)",
    r"util-linux(-extra)?|bsdutils|mount|fdisk",
    r"gcc|g\+\+|cpp|gcc-\d+|g\+\+-\d+|cpp-\d+|libgcc-\d+-dev|libstdc\+\+-\d+-dev",
)]
PRIMARY = ["libc6", "perl", "python3", "nodejs", "gcc"]
PRIORITY = {"required": 0, "important": 1, "standard": 2, "optional": 3}
# Folders below lib/ that many packages fill, each for itself.
SHARED_FOLDERS = {
    "cmake", "debug", "gconv", "girepository-1.0", "locale", "mime", "modprobe.d", "perl5",
    "pkcs11", "pkgconfig", "python3", "sasl2", "security", "sysctl.d", "systemd", "sysusers.d",
    "tmpfiles.d", "udev", "audit", "gio", "gtk-3.0", "gtk-2.0", "qt5", "qt6", "ssl", "dri", "vdpau",
}

# Folders that belong to everybody: a mention of one is not a reference to a package.
COMMON = re.compile(
    r"(bin|lib|lib64|libexec|share|include|etc|local|var|run|opt)?$"
    r"|lib/[a-z0-9_]+-linux-gnu[a-z0-9]*$|lib/(ssl|locale|locale/.*|udev|systemd|python3)$"
    r"|(share|include)/(locale|man|info|applications|icons|pixmaps|fonts|perl5|X11|mime|themes"
    r"|sounds|metainfo|ca-certificates|zoneinfo|dbus-1|glib-2.0|pkgconfig|aclocal|menu)$"
    r"|etc/(ssl|ssl/.*|default|init.d|pam.d|security|cron.*|profile.d|logrotate.d|alternatives"
    r"|skel|X11|dbus-1|systemd|apparmor.d|bash_completion.d|network|localtime)$")

# Folders that several packages fill, but that belong to one.
OWNERS = {"etc/fonts": "fontconfig-config"}


def dependencies(package):
    """The dependencies of a stanza: [[alternative, …], …]."""
    result = []
    for field in ("Pre-Depends", "Depends"):
        for clause in filter(None, re.split(r",\s*", package.get(field, "").replace("\n", ""))):
            result.append([re.split(r"[\s(:]", choice.strip())[0]
                           for choice in clause.split("|")])
    return result


class Group:
    """Packages that share one store path."""

    def __init__(self, packages):
        self.packages = sorted(packages, key=lambda p: p["Package"])
        self.names = [p["Package"] for p in self.packages]
        self.name = None
        self.version = None
        self.depends = []   # groups, direct
        self.closure = []   # groups, nearest first, without this one
        self.files = {}     # path -> facts, as in deb.analyse()
        self.linked = []    # groups whose libraries its programs load
        self.mentions = None  # paths its libraries mention, see redirect.py
        self.offers = set()  # programs of others that it links

    def __repr__(self):
        return f"<{self.name}>"

    def owner(self, path):
        """The nearest group that has `path` (below $out), or None."""
        for group in (self, *self.closure):
            if path in group.files:
                return group
        return None

    def known_part(self, token):
        """(group, its path, the rest) for the longest part of a path that one group owns."""
        known, rest = deb.normal(token), ""
        while known and not COMMON.match(known):
            holders = [g for g in (self, *self.closure) if known in g.files
                       and (known not in OWNERS or OWNERS[known] in g.names)]
            if holders:
                # A folder that several groups fill can be none of theirs, unless it is ours.
                if holders[0].files[known]["type"] != "d" or len(holders) == 1 \
                        or holders[0] is self:
                    return holders[0], known, rest
                return None
            known, _, tail = known.rpartition("/")
            rest = f"/{tail}{rest}"
        return None


class Resolver:
    """The packages a list of names needs."""

    def __init__(self, apt):
        self.apt = apt
        self.chosen = {}    # name -> stanza
        self.edges = {}     # name -> [name]

    def pick(self, choices, strict=False):
        """The name of a package that satisfies one clause, or None."""
        for name in choices:
            if name in self.chosen or name in IGNORED:
                return name
        for name in choices:
            provided = [p for p in self.apt.providers(name) if p in self.chosen]
            if provided:
                return provided[0]
        for name in choices:
            if name in PREFERRED:
                if PREFERRED[name] is None:
                    return None
                return PREFERRED[name]
            if self.apt.package(name):
                return name
            providers = [self.apt.package(p) for p in self.apt.providers(name)]
            if providers:
                return min(providers, key=lambda p: (
                    PRIORITY.get(p.get("Priority"), 4), p["Package"]))["Package"]
        if not strict:
            say(f"no package for {' | '.join(choices)}: left out")
        return None

    def resolve(self, names, essential=ESSENTIAL):
        """Choose `names` and all they need; the names that do not exist are returned."""
        names = [*names, *(extra for n in names for extra in COMPANIONS.get(n, ()))]
        missing = [n for n in names if self.pick([n], strict=True) is None]
        queue = [self.pick([n]) for n in names if n not in missing]
        queue += essential
        for name in queue:
            self.chosen[name] = self.apt.package(name)
        while queue:
            name = queue.pop(0)
            if name in self.edges:
                continue
            self.edges[name] = edges = []
            for choices in dependencies(self.chosen[name]):
                wanted = self.pick(choices)
                if wanted is None or wanted in IGNORED or wanted == name:
                    continue
                if wanted not in self.chosen:
                    self.chosen[wanted] = self.apt.package(wanted)
                    queue.append(wanted)
                edges.append(wanted)
        return missing


def components(nodes, edges):
    """Tarjan's strongly connected components, each after those it points to."""
    index, low, stack, on_stack, result = {}, {}, [], set(), []
    for root in nodes:
        if root in index:
            continue
        work = [(root, iter(edges[root]))]
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        while work:
            node, targets = work[-1]
            for target in targets:
                if target not in index:
                    index[target] = low[target] = len(index)
                    stack.append(target)
                    on_stack.add(target)
                    work.append((target, iter(edges[target])))
                    break
                if target in on_stack:
                    low[node] = min(low[node], index[target])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    part = []
                    while not part or part[-1] != node:
                        part.append(stack.pop())
                        on_stack.discard(part[-1])
                    result.append(sorted(part))
    return result


def private_folders(facts):
    """Folders below lib/ or libexec/ that hold this package's files and nobody else's."""
    found = set()
    for path, entry in facts["files"].items():
        if entry["type"] == "d":
            continue
        match = re.match(r"(?:lib|libexec)/(?:[a-z0-9_]+-linux-gnu[a-z0-9]*/)?([^/]+)/", path)
        if match and match.group(1) not in SHARED_FOLDERS and "-linux-gnu" not in match.group(1):
            found.add(match.group())
    return found


def source(package):
    return package.get("Source", package["Package"]).split(" ")[0]


def merge(chosen, edges, facts):
    """Join families and sharers of private folders: {name: leader}."""
    leader = {name: name for name in chosen}

    def find(name):
        while leader[name] != name:
            name = leader[name]
        return name

    def union(a, b):
        a, b = sorted((find(a), find(b)))
        leader[b] = a

    for family in FAMILIES:
        names = sorted(filter(family.fullmatch, chosen))
        for name in names[1:]:
            union(names[0], name)
    # A -dev package only refers to its library; together they would drag in a compiler.
    # Programs that look for their data beside themselves.
    for name in sorted(chosen):
        for target in edges[name]:
            if re.search(r"-(data|common|runtime)$", target) \
                    and source(chosen[name]) == source(chosen[target]):
                union(name, target)
    folders = {name: set() if name.endswith(("-dev", "-dbg")) else private_folders(facts[name])
               for name in chosen}
    for name in sorted(chosen):
        for target in edges[name]:
            if source(chosen[name]) == source(chosen[target]) and folders[name] & folders[target]:
                union(name, target)
    return {name: find(name) for name in chosen}


def build(resolver, facts, roots):
    """All groups, dependencies first."""
    chosen = resolver.chosen
    leader = merge(chosen, resolver.edges, facts)
    edges = {name: set() for name in leader.values()}
    for name, targets in resolver.edges.items():
        edges[leader[name]] |= {leader[t] for t in targets} - {leader[name]}
    ordered = {name: sorted(targets) for name, targets in edges.items()}
    groups, by_leader = [], {}
    for part in components(sorted(ordered), ordered):
        group = Group([p for n, p in chosen.items() if leader[n] in part])
        for name in part:
            by_leader[name] = group
        targets = {id(by_leader[t]): by_leader[t] for n in part for t in ordered[n]
                   if by_leader[t] is not group}
        group.depends = sorted(targets.values(), key=lambda g: g.names)
        groups.append(group)
    by_name = {name: by_leader[leader[name]] for name in chosen}
    for group in groups:
        _finish(group, facts, roots)
    return groups, by_name


def _finish(group, facts, roots):
    """Name the group, order its closure, and lay its packages' files over each other."""
    primary = next((n for n in PRIMARY if n in group.names), None) \
        or next((n for n in roots if n in group.names), None) \
        or min(group.names, key=lambda n: (n.endswith(("-data", "-common", "-runtime")),
                                           n.startswith("lib"), len(n), n))
    group.name = primary
    group.version = next(p["Version"] for p in group.packages if p["Package"] == primary)
    recompute_closure(group)
    alternatives = []
    for package in group.packages:
        known = facts[package["Package"]]
        for path, entry in known["files"].items():
            if entry["type"] != "d" or path not in group.files:
                group.files[path] = entry
        alternatives += known["alternatives"]
    alternatives += [("/" + link, os.path.basename(link), "/" + target)
                     for link, target in special.alternatives(group).items()]
    for link, name, target in alternatives:
        if deb.normal(target) in group.files:
            for path in (deb.normal(link), "etc/alternatives/" + (name or "none")):
                group.files.setdefault(path, {"type": "l", "target": target, "from": path,
                                              "new": True})


def recompute_closure(group):
    """Everything the group may refer to, nearest first."""
    seen, queue = [], list(group.depends)
    known = {id(group)}
    while queue:
        step = queue.pop(0)
        if id(step) in known:
            continue
        known.add(id(step))
        seen.append(step)
        queue += step.depends
    group.closure = seen

"""What to change in an unpacked group so that it runs from the store alone.

The result is a short shell script, sourced by flake/builder.sh after unpacking. It names the
group's own path `$out` and the groups it refers to `$d1`, `$d2` …; only those become inputs of
the derivation, so a closure holds what is really referred to.
"""

import os
import re

from . import elf, redirect, special
from .deb import normal
from .graph import recompute_closure
from .util import quote

# Interpreters that scripts may use without a dependency, because every Debian has them.
IMPLICIT = {"sh": "dash", "dash": "dash", "bash": "bash", "perl": "perl-base", "env": "coreutils"}


def interpreter(entry):
    """(program path, arguments) of a script's first line, `env` looked through."""
    words = entry["shebang"].split(None, 1)
    if not words or not words[0].startswith("/"):
        return None, ""
    program, rest = words[0], words[1] if len(words) > 1 else ""
    if os.path.basename(program) == "env" and rest and not rest.startswith("-") \
            and "=" not in rest.split()[0]:
        program, _, rest = rest.partition(" ")
        program = "/usr/bin/" + os.path.basename(program)
    return program, rest.strip()


def reaches(start, goal):
    seen, queue = set(), [start]
    while queue:
        step = queue.pop()
        if step is goal:
            return True
        if id(step) not in seen:
            seen.add(id(step))
            queue += step.depends
    return False


def add_implicit(groups, by_name):
    """Depend on the interpreters of scripts where that closes no circle."""
    for group in groups:
        wanted = set(special.extra_depends(group))
        for entry in group.files.values():
            if "shell" in entry.get("elf", ()):
                wanted.add("dash")
            if "shebang" in entry and entry.get("x"):
                program, _ = interpreter(entry)
                wanted.add(IMPLICIT.get(os.path.basename(program or "")))
        for name in sorted(filter(None, wanted)):
            target = by_name.get(name)
            if target and target is not group and target not in group.depends \
                    and not reaches(target, group):
                group.depends.append(target)
    for group in groups:
        recompute_closure(group)


class Plan:
    """The script for one group, and the groups it refers to."""

    def __init__(self, group, arch):
        self.group, self.machine = group, elf.MACHINES.get(arch)
        self.inputs, self.lines = [], []
        self.redirects, self.redirected = {}, []
        self.loads = {}     # program or library -> groups whose libraries it needs

    # -- looking things up ---------------------------------------------------------------------

    def ref(self, group):
        """`$out` or `$dN` for a group, which becomes an input."""
        if group is self.group:
            return "$out"
        if group not in self.inputs:
            self.inputs.append(group)
        return f"$d{self.inputs.index(group) + 1}"

    def locate(self, absolute):
        """Where an absolute path of Debian's tree lives in the store, or None."""
        path = normal(absolute)
        group = self.group.owner(path)
        if group is None:
            # A path through a folder that is itself a link (lib64, say).
            head, slash, tail = path.rpartition("/")
            while slash and group is None:
                holder = self.group.owner(head)
                entry = holder.files[head] if holder else None
                if entry and entry["type"] == "l":
                    base = os.path.dirname("/" + entry.get("from", head))
                    return self.locate(os.path.join(base, entry["target"], path[len(head) + 1:]))
                head, slash, tail = head.rpartition("/")
            return None
        return f"{self.ref(group)}/{path}"

    def library(self, soname, folders):
        """(group, folder) that holds a shared library, searching `folders` first."""
        for folder in folders:
            group = self.group.owner(f"{folder}/{soname}")
            if group:
                return group, folder
        for group in (self.group, *self.group.closure):
            index = _library_index(group)
            if soname in index:
                return group, index[soname]
        return None

    # -- the parts of a plan -------------------------------------------------------------------

    def write(self):
        """The whole script."""
        self.programs()
        self.linked()
        self.symlinks()
        self.scripts()
        self.texts()
        self.sonames()
        self.metapackage()
        self.propagate()
        mark = len(self.lines)
        special.apply(self)
        # Before a special case moves a program away.
        self.lines[mark:mark] = redirect.lines(self)
        return "\n".join(self.lines) + "\n" if self.lines else ""

    def add(self, *words):
        self.lines.append(" ".join((words[0], *map(quote, words[1:]))))

    def programs(self):
        """ELF: the loader and the library folders of every program and library."""
        batches = {}
        for path, entry in sorted(self.group.files.items()):
            facts = entry.get("elf")
            if not facts or facts["machine"] != self.machine or special.keep_elf(path):
                continue
            loader = self.locate(facts["interp"]) if "interp" in facts else None
            rpath = self.rpath(path, facts)
            if loader or rpath:
                batches.setdefault((loader or "-", ":".join(rpath)), []).append(path)
        for (loader, rpath), paths in sorted(batches.items()):
            words = ":".join(quote(part) for part in rpath.split(":")) if rpath else "''"
            self.lines.append(" ".join(("elf", quote(loader), words, *map(quote, paths))))

    def rpath(self, path, facts):
        here = os.path.dirname(path)
        declared = []
        for folder in facts.get("runpath", ()):
            folder = re.sub(r"\$\{?ORIGIN\}?", "/" + here, folder)
            if folder.startswith("/"):
                declared.append(normal(folder))
        result = []
        loads = self.loads.setdefault(path, [])

        def put(group, folder):
            if group not in loads:
                loads.append(group)
            word = f"{self.ref(group)}/{folder}"
            if word not in result:
                result.append(word)

        for folder in declared:
            if any(name.startswith(folder + "/") for name in self.group.files):
                put(self.group, folder)
        for soname in facts["needed"]:
            if "/" in soname or soname.startswith("ld-linux"):
                continue
            found = self.library(soname, [*declared, here])
            if found:
                put(*found)
        own = set(_library_index(self.group).values())
        for folder in sorted(own):
            if "dlopen" in facts and re.fullmatch(r"lib(/[^/]+-linux-gnu[^/]*)?", folder):
                put(self.group, folder)
        if "dlopen" in facts:
            # What it loads by name at run time is among the declared dependencies.
            for group in self.group.depends:
                for folder in sorted(set(_library_index(group).values())):
                    if re.fullmatch(r"lib/[^/]+-linux-gnu[^/]*", folder):
                        put(group, folder)
        return result

    def linked(self):
        """Remember whose libraries the group's programs load, directly or not."""
        seen = {id(g): g for step in self.inputs for g in (step, *step.linked)}
        self.group.linked = list(seen.values())

    def symlinks(self):
        """Links that left the package, or that hoisting /usr has bent."""
        for path, entry in sorted(self.group.files.items()):
            if entry["type"] != "l" or path.startswith("etc/alternatives/"):
                continue
            target, base = entry["target"], os.path.dirname("/" + entry.get("from", path))
            absolute = os.path.normpath(os.path.join(base, target))
            if absolute.startswith("/etc/alternatives/"):
                holder = self.group.owner(absolute[1:])
                if holder:
                    absolute = holder.files[absolute[1:]]["target"]
            where = normal(absolute)
            if where in self.group.files or any(
                    name.startswith(where + "/") for name in self.group.files):
                wanted = os.path.relpath(where, os.path.dirname(path) or ".")
                if wanted == path or where == path:
                    self.add("drop", path)
                elif wanted != target or "new" in entry:
                    self.add("link", wanted, path)
            elif not re.match(r"/(dev|proc|sys|run|tmp|var)(/|$)", absolute):
                found = self.locate(absolute)
                if found:
                    self.add("link", found, path)
                else:
                    self.add("drop", path)

    def scripts(self):
        """First lines."""
        batches = {}
        for path, entry in sorted(self.group.files.items()):
            if "shebang" not in entry or not entry.get("x"):
                continue
            program, rest = interpreter(entry)
            found = self.locate(program) if program else None
            if found:
                batches.setdefault((found, rest), []).append(path)
        for (found, rest), paths in sorted(batches.items()):
            self.add("shebang", found, rest, *paths)

    def texts(self):
        """Absolute paths inside scripts, linker scripts, pkg-config files and the like."""
        for path, entry in sorted(self.group.files.items()):
            if entry["type"] != "f":
                continue
            pairs = []
            for token in entry.get("paths", ()):
                found = self.rewrite(token)
                if found:
                    pairs.append((token, found))
            if entry.get("pc"):
                self.add("prefix", path)
            if pairs:
                pairs.sort(key=lambda pair: (-len(pair[0]), pair[0]))
                self.add("paths", path, *(word for pair in pairs for word in pair))

    def rewrite(self, token):
        """The store's form of a path mentioned in a text; the longest part that is known."""
        found = self.group.known_part(token)
        return f"{self.ref(found[0])}/{found[1]}{found[2]}" if found else None

    def sonames(self):
        """Beside libfoo.so (in a -dev package) put libfoo.so.1: one folder to link and to run."""
        for path, entry in sorted(self.group.files.items()):
            if entry["type"] != "l" or not path.endswith(".so"):
                continue
            base = os.path.dirname("/" + entry.get("from", path))
            target = normal(os.path.join(base, entry["target"]))
            group, hops = self.group.owner(target), 0
            while group and group.files[target]["type"] == "l" and hops < 8:
                link = group.files[target]
                target = normal(os.path.join(os.path.dirname("/" + link.get("from", target)),
                                             link["target"]))
                group, hops = self.group.owner(target), hops + 1
            if group is None or group is self.group:
                continue
            soname = group.files[target].get("elf", {}).get("soname")
            beside = os.path.join(os.path.dirname(path), soname or "")
            if soname and beside not in self.group.files:
                self.add("link", f"{self.ref(group)}/{target}", beside)

    def metapackage(self):
        """A package that only depends on others offers their programs."""
        if any(entry["type"] != "d" and not path.startswith("share/")
               for path, entry in self.group.files.items()):
            return
        for group in self.group.depends:
            programs = {p for p in group.files if re.fullmatch(r"bin/[^/]+", p)} | group.offers
            for path in sorted(programs - self.group.offers):
                self.group.offers.add(path)
                self.add("link", f"{self.ref(group)}/{path}", path)

    def propagate(self):
        """Headers and modules need those of their dependencies: nix-support, as in nixpkgs."""
        kinds = [lambda n: n.endswith("-dev"), lambda n: n.startswith("python3-"),
                 lambda n: re.fullmatch(r"lib.*-perl", n)]
        for kind in kinds:
            if not any(kind(name) for name in self.group.names):
                continue
            targets = [g for g in self.group.depends if any(kind(n) for n in g.names)
                       and not {"libc6-dev", "gcc-12", "libc6"} & set(g.names)]
            if targets:
                self.add("propagate", *map(self.ref, targets))


def _library_index(group):
    """{soname: folder} of a group's shared libraries, standard folders winning."""
    if not hasattr(group, "libraries"):
        group.libraries = {}
        for path in sorted(group.files, key=lambda p: (p.count("/"), p)):
            entry = group.files[path]
            folder, _, name = path.rpartition("/")
            if ".so" in name and entry["type"] in "flh" and folder.startswith("lib"):
                group.libraries.setdefault(name, folder)
    return group.libraries

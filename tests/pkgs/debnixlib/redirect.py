"""Which programs need redirect.c: those that run /bin/sh, or have paths of /usr compiled in."""

import os
import re

from .util import quote


def use_shell(plan, programs):
    """These programs, or libraries they load, run /bin/sh."""
    shell = next((g for g in plan.group.closure if "dash" in g.names), None)
    if shell and programs:
        plan.redirects["/bin/sh"] = f"{plan.ref(shell)}/bin/sh"
        plan.redirected += programs


def lines(plan):
    """The words of the plan that make it so."""
    programs = [path for path, entry in sorted(plan.group.files.items())
                if path in plan.loads and "interp" in entry["elf"] and entry.get("x")
                and ".so" not in path]
    use_shell(plan, [path for path in programs if "shell" in plan.group.files[path]["elf"]
                     and not re.search(r"/(ba|da)sh$", path)])
    if "libc6" not in plan.group.names:
        compiled(plan, programs)
    if not plan.redirects:
        return []
    return [*(" ".join(("redirect_map", quote(old), quote(new)))
              for old, new in sorted(plan.redirects.items())),
            " ".join(("redirect", *map(quote, sorted(set(plan.redirected)))))]


def compiled(plan, programs):
    """Redirect what the programs, or the libraries they load, mention of known packages."""
    found = {}
    for path in programs:
        mentioned = mentions(plan.group, [path])
        for step in plan.loads[path]:
            for group in (step, *step.linked):
                mentioned |= library_mentions(group)
        if mentioned:
            found |= mentioned
            plan.redirected.append(path)
    for old in sorted(found):
        holder, path = found[old]
        if found.get(os.path.dirname(old)) != (holder, os.path.dirname(path)):
            plan.redirects[old] = f"{plan.ref(holder)}/{path}"


def mentions(group, paths):
    """{compiled-in path: (holder, path below its $out)} for some ELF files of a group."""
    result = {}
    for token in sorted({t for path in paths for t in group.files[path].get("compiled", ())}):
        if re.match(r"(/usr)?/bin/(ba|da)?sh$", token):
            continue
        found = group.known_part(token)
        # A single file in /etc is a machine's setting, not part of a program.
        if found and not (re.fullmatch("etc/[^/]+", found[1])
                          and found[0].files[found[1]]["type"] != "d"):
            holder, known, rest = found
            result[token[:len(token) - len(rest)]] = (holder, known)
    return result


def library_mentions(group):
    """The same for a group's libraries; what libc itself opens cannot be redirected."""
    if group.mentions is None:
        group.mentions = {} if "libc6" in group.names else mentions(
            group, [p for p, e in group.files.items() if "elf" in e and "interp" not in e["elf"]])
    return group.mentions

"""The few packages that need more than their files: what Debian's maintainer scripts would have
done, and programs whose compiled-in paths have to be told where they are now."""

import fnmatch
import re

from . import redirect

KEEP = re.compile(r"lib(64)?/([^/]+/)?ld(-linux[^/]*|64)?[-.0-9]*\.so[.0-9]*$|lib/debug/")


def keep_elf(path):
    """The loader itself is left as it is."""
    return bool(KEEP.match(path))


def extra_depends(group):
    """Groups a wrapper needs although Debian declares nothing."""
    names = []
    for name, (needs, _) in TABLE.items():
        if name in group.names:
            names += needs
    return names


def wrap(plan, path, settings, real=None):
    """Replace a program by a script that sets variables and runs the moved original."""
    shell = next((g for g in plan.group.closure if "bash" in g.names), None)
    if shell is None:
        return
    plan.lines.append(f'wrap "{plan.ref(shell)}" {path} <<EOF\n{settings}EOF')


def git(plan):
    folders = ["$out/share/perl5"] + [
        f"{plan.ref(g)}/share/perl5" for g in plan.group.closure if "liberror-perl" in g.names]
    wrap(plan, "bin/git",
         "export GIT_EXEC_PATH=\"\\${GIT_EXEC_PATH-$out/lib/git-core}\"\n"
         "export GIT_TEMPLATE_DIR=\"\\${GIT_TEMPLATE_DIR-$out/share/git-core/templates}\"\n"
         f"export GITPERLLIB=\"\\${{GITPERLLIB-{':'.join(folders)}}}\"\n")


def perl(plan):
    folders = sorted({match.group() for path in plan.group.files for match in [re.match(
        r"share/perl/[\d.]+|share/perl5|lib/[^/]+/(perl-base|perl5?/[\d.]+)(?=/)", path)] if match})
    # The same order as in perl's own @INC: the full library before the base one.
    folders.sort(key=lambda f: f.endswith("perl-base"))
    words = ":".join("$out/" + f for f in folders)
    for path in plan.group.files:
        if re.fullmatch(r"bin/perl(5\.[\d.]+)?", path) and plan.group.files[path]["type"] != "l":
            wrap(plan, path, f"export PERL5LIB=\"\\${{PERL5LIB:+\\$PERL5LIB:}}{words}\"\n")


def gcc(plan):
    """A compiler driver that knows its C library, loader and linker."""
    groups = {name: g for g in plan.group.closure for name in g.names}
    libc, dev, binutils = (groups.get(n) for n in ("libc6", "libc6-dev", "binutils"))
    bash = groups.get("bash")
    if not (libc and dev and bash and binutils):
        return
    triplet = next((re.match(r"lib/gcc/([^/]+)/", p).group(1) for p in plan.group.files
                    if re.match(r"lib/gcc/[^/]+/", p)), None)
    loader = next((f["elf"]["interp"] for f in plan.group.files.values()
                   if "interp" in f.get("elf", {})), None)
    headers = [g for g in (dev, groups.get("linux-libc-dev"), groups.get("libcrypt-dev")) if g]
    words = " ".join(f"{plan.ref(g)}/include/{triplet} {plan.ref(g)}/include" for g in headers)
    cxx = groups.get("libstdc++6")
    plan.lines.append(
        f'cc_wrapper "{plan.ref(bash)}" {triplet} "{plan.locate(loader)}" "{plan.ref(libc)}"'
        f' "{plan.ref(dev)}" "{plan.ref(binutils)}" "{words}"'
        f' "{plan.ref(cxx) if cxx else plan.ref(libc)}/lib/{triplet}"')
    plan.add("propagate", plan.ref(binutils))


def dash(plan):
    if "bin/sh" not in plan.group.files:
        plan.add("link", "dash", "bin/sh")


def bash(plan):
    # As in nixpkgs, so that a PATH with bash alone has a shell for `system()`.
    if "bin/sh" not in plan.group.files:
        plan.add("link", "bash", "bin/sh")


def certificates(plan):
    """What update-ca-certificates writes."""
    plan.lines.append("certificates")


def chromium(plan):
    """Its script puts this path together from parts."""
    plan.lines.append("replace bin/chromium 's|/usr/lib/$APPNAME|'\"$out\"'/lib/$APPNAME|g'")


def keyboards(plan):
    """An X server puts the path of the keyboard compiler together from parts."""
    found = plan.locate("/usr/bin/xkbcomp")
    if found:
        plan.redirects["/usr/bin/xkbcomp"] = found
        servers = [p for p in plan.group.files if re.fullmatch(r"bin/(Xtigervnc|Xvfb)", p)]
        redirect.use_shell(plan, servers)


def node(plan):
    """Debian's node reads parts of itself from /usr/share/nodejs when it starts."""
    plan.redirects["/usr/share/nodejs"] = "$out/share/nodejs"
    plan.redirected.append("bin/node")
    redirect.use_shell(plan, ["bin/node"])


# Alternatives whose registration a maintainer script computes: package -> [(link, target)].
ALTERNATIVES = {
    r"tigervnc-standalone-server": [("bin/Xvnc", "bin/Xtigervnc"),
                                    ("bin/vncserver", "bin/tigervncserver")],
    r"openjdk-(\d+)-(jre|jdk)-headless": [("bin/*", r"lib/jvm/java-\1-openjdk-*/bin/*")],
    r"postgresql-(client-)?(\d+)": [("bin/*", r"lib/postgresql/\2/bin/*")],
}


def alternatives(group):
    """{link: target} of the table above; `bin/*` takes every program that matches."""
    result = {}
    for name in group.names:
        for pattern, pairs in ALTERNATIVES.items():
            match = re.fullmatch(pattern, name)
            for link, target in pairs if match else ():
                wanted = match.expand(target)
                for path in sorted(group.files):
                    if fnmatch.fnmatchcase(path, wanted):
                        result[link.replace("*", path.rpartition("/")[2])] = path
    return result


# package -> (packages it needs although Debian does not say so, what to change)
TABLE = {
    "git": (["bash"], git),
    "perl-base": (["bash"], perl),
    "gcc-12": (["bash"], gcc),
    "dash": ([], dash),
    "bash": ([], bash),
    "ca-certificates": ([], certificates),
    "chromium": ([], chromium),
    "tigervnc-standalone-server": (["dash"], keyboards),
    "xvfb": (["dash"], keyboards),
    "x11-xkb-utils": (["xkb-data"], None),
    "libnode108": (["dash"], node),
}


def apply(plan):
    for name, (_, change) in TABLE.items():
        if change and name in plan.group.names:
            change(plan)

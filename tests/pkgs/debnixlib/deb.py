"""What is inside a .deb: read once, remembered in the cache by the archive's digest."""

import bz2
import gzip
import io
import json
import lzma
import os
import re
import subprocess
import tarfile

from . import elf
from .util import Failure, write_atomic

FORMAT = 9  # raise it when the facts below change
UNWANTED = ("share/doc/", "share/doc-base/", "share/lintian/", "share/bug/", "share/linda/")
TEXT_LIMIT = 256 * 1024
# Text files whose absolute paths are worth rewriting, beside scripts.
TEXT_NAMES = re.compile(r"\.(pc|la|cmake|so|desktop|service|conf)$|(^|/)[^/.]*(-config|rc)$")
START = rb"(?:(?<=file://)|(?<![A-Za-z0-9_.}$/~*%@-]))/"
PARTS = rb"(?:/[A-Za-z0-9_.+@-]+)+"
ABSOLUTE = re.compile(START + rb"(?:usr|bin|sbin|lib|lib64|etc)" + PARTS)
# The same inside programs, as the start of a string.
COMPILED = re.compile(
    START + rb"(?:usr/(?:share|lib|libexec|bin)|lib/terminfo|bin|etc)" + PARTS)
COMPILED_LIMIT = 400


def normal(path):
    """A path of Debian's tree as a path below $out: /usr and / are one, sbin is bin."""
    path = os.path.normpath("/" + path).lstrip("/")
    if path == "usr":
        return ""
    if path.startswith("usr/"):
        path = path[4:]
    head, slash, tail = path.partition("/")
    if head in ("sbin", "games"):
        head = "bin"
    return head + slash + tail


def members(path):
    """The parts of the `ar` archive: {name: bytes}."""
    parts = {}
    with open(path, "rb") as handle:
        if handle.read(8) != b"!<arch>\n":
            raise Failure(f"{path} is not a .deb")
        while header := handle.read(60):
            name = header[:16].decode().strip().rstrip("/")
            size = int(header[48:58])
            parts[name] = handle.read(size)
            if size % 2:
                handle.read(1)
    return parts


def unpack(parts, prefix):
    """(name, tar file) of `control.tar.*` or `data.tar.*`."""
    for name, data in parts.items():
        if not name.startswith(prefix):
            continue
        if name.endswith(".xz"):
            data = lzma.decompress(data)
        elif name.endswith(".gz"):
            data = gzip.decompress(data)
        elif name.endswith(".bz2"):
            data = bz2.decompress(data)
        elif name.endswith(".zst"):
            data = subprocess.run(["zstd", "-dc"], input=data, stdout=subprocess.PIPE,
                                  check=True).stdout
        return name, tarfile.open(fileobj=io.BytesIO(data))
    raise Failure(f"no {prefix} in the package")


def unroll(script):
    """A shell script with its plain assignments and `for x in words` loops written out."""

    def substitute(text, name, value):
        return re.sub(r"\$(?:%s\b|\{%s\})" % (name, name), lambda _: value, text)

    def loop(match):
        name, words, body = match.groups()
        return "\n".join(substitute(body, name, word) for word in words.split())

    script = re.sub(r"\\\n", " ", script)
    for name, value in re.findall(r"^\s*(\w+)=([\w/.+-]+)\s*$", script, re.M):
        script = substitute(script, name, value)
    return re.sub(r"\bfor\s+(\w+)\s+in\s+([^;\n$`]+?)\s*[;\n]\s*do\b(.*?)\bdone\b", loop, script,
                  flags=re.S)


def alternatives(script):
    """[(link, name, target)] that a postinst registers in words we can follow.

    A configuration file that `ucf` copies into place is a link to its original, without a name.
    """
    script = unroll(script)
    found = re.findall(r"--(?:install|slave)\s+(/[^\s$`]+)\s+([^\s$`]+)\s+(/[^\s$`]+)", script)
    for original, place in re.findall(
            r"\bucf\s+(?:--?[\w-]+\s+)*[\"']?(/[^\s$`\"']+)[\"']?\s+[\"']?(/[^\s$`\"']+)", script):
        found.append((place, "", original))
    return found


def describe_file(data, name, executable):
    """The facts about one regular file; {} for plain data."""
    if data[:4] == b"\x7fELF":
        facts = elf.parse(data)
        if facts is None:
            return {}
        found = sorted({"/".join(m.group().decode().split("/")[:7])
                        for m in COMPILED.finditer(data)})
        return {"elf": facts, "compiled": found[:COMPILED_LIMIT]} if found else {"elf": facts}
    facts = {}
    if data[:2] == b"#!":
        facts["shebang"] = data[2:data.find(b"\n") if b"\n" in data[:512] else 128] \
            .decode("utf-8", "surrogateescape").strip()
    if (("shebang" in facts and executable) or TEXT_NAMES.search(name)
            or data.startswith(b"/* GNU ld script")) \
            and len(data) < TEXT_LIMIT and b"\0" not in data:
        paths = sorted({m.group().decode() for m in ABSOLUTE.finditer(data)})
        if paths:
            facts["paths"] = paths
        if name.endswith(".pc"):
            facts["pc"] = True
    return facts


def analyse(path, digest, cache):
    """The facts about a package's files: {"files": {path: …}, "alternatives": […]}.

    A file is {"type": "f"|"l"|"d"|"h", …} with "target" for links, "x" for an executable, and
    what describe_file() found.
    """
    memo = os.path.join(cache, "facts", f"{digest}-{FORMAT}.json")
    try:
        with open(memo) as handle:
            return json.load(handle)
    except FileNotFoundError:
        pass
    parts = members(path)
    name, data = unpack(parts, "data.tar")
    _, control = unpack(parts, "control.tar")
    files = {}
    for member in data:
        where = normal(member.name)
        if not where or (where + "/").startswith(UNWANTED):
            continue
        if member.isdir():
            files.setdefault(where, {"type": "d"})
        elif member.issym():
            files[where] = {"type": "l", "target": member.linkname, "from": member.name}
        elif member.islnk():
            files[where] = {"type": "h", "target": normal(member.linkname)}
        elif member.isreg():
            entry = {"type": "f"}
            if member.mode & 0o111:
                entry["x"] = True
            if member.size >= 2:
                entry.update(describe_file(data.extractfile(member).read(), where,
                                           member.mode & 0o111))
            files[where] = entry
    found = []
    for member in control:
        if os.path.basename(member.name) == "postinst" and member.isreg():
            found = alternatives(control.extractfile(member).read().decode("utf-8", "replace"))
    facts = {"data": name, "files": files, "alternatives": found}
    write_atomic(memo, json.dumps(facts, sort_keys=True))
    return facts

"""Small helpers: messages, locked and atomic files, running programs."""

import contextlib
import fcntl
import os
import re
import subprocess
import sys
import tempfile


class Failure(Exception):
    """Something the user should read; shown without a traceback."""


def say(*words):
    print("debnix:", *words, file=sys.stderr, flush=True)


def default_cache():
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(base, "igloo-pkgs")


def run(argv, **options):
    """Run a program, return its standard output; its failure is ours."""
    options.setdefault("stdout", subprocess.PIPE)
    options.setdefault("text", True)
    done = subprocess.run(argv, **options)
    if done.returncode != 0:
        raise Failure(f"{' '.join(argv[:4])} … failed ({done.returncode})")
    return done.stdout


def as_root(argv):
    """The same command, through sudo when we are not root."""
    return argv if os.geteuid() == 0 else ["sudo", "-n", *argv]


@contextlib.contextmanager
def lock(path):
    """Hold an exclusive lock file, so that two runs take turns."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def write_atomic(path, data):
    """Write `data` beside `path`, then rename: readers see all or nothing."""
    if isinstance(data, str):
        data = data.encode("utf-8", "surrogateescape")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    fd, temporary = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".new-")
    try:
        with os.fdopen(fd, "wb") as handle:
            handle.write(data)
        os.chmod(temporary, 0o644)
        os.rename(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def store_name(text):
    """`text` as a valid store path name."""
    return re.sub(r"[^A-Za-z0-9+._?=-]", "-", text).lstrip(".")[:180]


def quote(text):
    """One word for the shell, in which only our own `$out` and `$dN` are expanded."""
    match = re.match(r"(\$out|\$d\d+)(/|$)", text)
    head, rest = (f'"{match.group(1)}"', text[match.end(1):]) if match else ("", text)
    if rest and not re.fullmatch(r"[A-Za-z0-9_@%+=:,./-]+", rest):
        rest = "'" + rest.replace("'", "'\\''") + "'"
    return head + rest or "''"

"""The machine's Nix store, for whoever measures."""

import contextlib
import os
import subprocess
import sys

from . import machine

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))


def sudo():
    """What to put in front of what only root may do."""
    return [] if os.geteuid() == 0 else ["sudo"] + ([] if sys.stdin.isatty() else ["-n"])


@contextlib.contextmanager
def served():
    """An ordinary user's Nix needs a daemon, which Debian's nix-bin does not start: one for as long as this lasts."""
    if os.geteuid() == 0 or not machine.find("sudo"):
        yield
        return
    daemon = subprocess.Popen([*sudo(), os.path.join(ROOT, "tests", "e2e", "daemon")], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True)
    try:
        daemon.stdout.readline()
        yield
    finally:
        daemon.stdin.close()
        daemon.wait()

"""Helpers for end-to-end tests in Python: what lib.sh does for those in bash, by lib.sh.

A test makes Tests("package"…) and calls its run() with functions; each is one result, and fails by an
exception. tests.project is a project with these packages, tests.env the environment for what is started.
"""

import atexit
import os
import subprocess
import sys
import traceback

HERE = os.path.dirname(os.path.realpath(__file__))
# lib.sh makes the folders and the project, tells where, waits for our end and cleans up.
KEEPER = '''
. "$0"
mkproject project "$@" >&2
exec 3>&1 >/dev/null
printf '%s\\0' "$T" "$PWD" >&3
env -0 >&3
exec 3>&-
read -r _
'''


class Tests:
    def __init__(self, *packages):
        if not os.environ.get("IGLOO_E2E_PKGS"):
            print("1..0 # SKIP packages in the host's Nix store: run this by tests/run e2e")
            sys.exit(0)
        self.keeper = subprocess.Popen(["bash", "-c", KEEPER, os.path.join(HERE, "lib.sh"), *packages],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        atexit.register(self.close)
        said = self.keeper.stdout.read().decode("utf-8", "surrogateescape").split("\0")
        if len(said) < 3:
            print("not ok 1 - the project could not be made")
            sys.exit(1)
        self.top, self.project = said[:2]
        self.env = dict(entry.split("=", 1) for entry in said[2:] if "=" in entry)

    def close(self):
        self.keeper.stdin.close()
        self.keeper.wait()

    def run(self, *functions):
        """Runs each, prints TAP, ends the program."""
        failed = 0
        print(f"1..{len(functions)}")
        for number, function in enumerate(functions, 1):
            name = function.__name__.replace("_", " ")
            try:
                function()
                print(f"ok {number} - {name}")
            except Exception as error:  # pylint: disable=broad-except
                failed += 1
                print(f"not ok {number} - {name}")
                lines = traceback.format_exc(limit=-1) if isinstance(error, AssertionError) else str(error)
                print("\n".join(f"# {line}" for line in lines.splitlines()))
            sys.stdout.flush()
        sys.exit(1 if failed else 0)

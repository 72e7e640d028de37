"""Counting results, reading TAP, running programs."""

import os
import re
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
CHECK = os.path.join(ROOT, "build-check")
LINE = re.compile(r"^(not )?ok\b[ \t]*(\d*)[ \t]*(?:-[ \t]*)?(.*?)(?:[ \t]*#[ \t]*(SKIP|TODO)\b[ \t:]*(.*))?$", re.I)
JOBS = os.cpu_count() or 2


class Report:
    """Counts, and prints as it goes."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.failures = []
        self.reasons = {}

    def say(self, text):
        print(text, flush=True)

    def ok(self, count=1):
        self.passed += count

    def fail(self, name, lines=()):
        self.failed += 1
        self.failures.append(name)
        self.say(f"FAILED {name}")
        for line in lines:
            self.say(f"    {line}")

    def skip(self, name, reason):
        """A test that this machine cannot run; the reason names what is missing."""
        self.skipped += 1
        self.reasons.setdefault(reason or "no reason given", []).append(name)
        self.say(f"skipped {name}: {reason}")

    def tap(self, prefix, text, status):
        """The subtests of a program that printed TAP and ended with `status`."""
        seen, plan, comments, pending = 0, None, [], None
        whole_skip = None

        def flush():
            nonlocal pending, comments
            if pending:
                self.fail(f"{prefix}: {pending}", comments)
            pending, comments = None, []

        for line in text.splitlines():
            if line.startswith("1.."):
                found = re.match(r"1\.\.(\d+)(?:[ \t]*#[ \t]*skip\S*[ \t]*(.*))?", line, re.I)
                if found:
                    plan = int(found[1])
                    if plan == 0:
                        whole_skip = found[2] or "no reason given"
            elif line.startswith("Bail out!"):
                flush()
                self.fail(f"{prefix}: {line}")
            elif line.startswith(("ok", "not ok")) and (found := LINE.match(line)):
                # Comments follow or precede what they are about: those between two failures go to the first.
                before = comments if not pending else []
                flush()
                comments = before if found[1] else []
                seen += 1
                name = found[3] or found[2]
                if (found[4] or "").upper() == "SKIP":
                    self.skip(f"{prefix}: {name}", found[5])
                elif found[1] and not found[4]:
                    pending = name
                else:
                    self.ok()
            elif line.startswith("#") or line.strip():
                comments.append(line)
                del comments[:-30]
        flush()
        if whole_skip and seen == 0:
            self.skip(prefix, whole_skip)
        elif seen == 0:
            self.fail(f"{prefix}: no test ran (exit status {status})", text.splitlines()[-30:])
        elif plan is not None and plan != seen:
            self.fail(f"{prefix}: {plan} tests were announced and {seen} ran (exit status {status})")
        elif status != 0 and " not ok" not in " " + text.replace("\n", " "):
            self.fail(f"{prefix}: ended with status {status}", text.splitlines()[-30:])

    def step(self, name, function):
        """Runs one step; whatever goes wrong in it is a failed test."""
        before = (self.passed, self.failed, self.skipped)
        self.say(f"== {name}")
        start = time.monotonic()
        try:
            function(self)
        except Stop as stop:
            self.fail(f"{name}: {stop}", stop.lines)
        took = time.monotonic() - start
        counts = [now - then for now, then in zip((self.passed, self.failed, self.skipped), before)]
        self.say(f"== {name}: {counts[0]} passed, {counts[1]} failed, {counts[2]} skipped in {took:.0f} s")

    def add(self, counts):
        """What another process counted: the members as a dict."""
        self.passed += counts["passed"]
        self.failed += counts["failed"]
        self.skipped += counts["skipped"]
        self.failures += counts["failures"]
        for reason, names in counts["reasons"].items():
            self.reasons.setdefault(reason, []).extend(names)

    def finish(self):
        if self.reasons:
            self.say("Skipped, because this is missing:")
            for reason, names in sorted(self.reasons.items()):
                self.say(f"    {reason} ({len(names)})")
        if self.failures:
            self.say("Failed:")
            for name in self.failures:
                self.say(f"    {name}")
        self.say(f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped")
        return 1 if self.failed or not self.passed else 0


class Stop(Exception):
    """A step cannot go on."""

    def __init__(self, text, lines=()):
        super().__init__(text)
        self.lines = lines


def run(argv, **options):
    """(status, output) of a program; both streams together, no stdin."""
    options.setdefault("stdin", subprocess.DEVNULL)
    options.setdefault("cwd", ROOT)
    try:
        done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8",
                              errors="backslashreplace", **options)
    except subprocess.TimeoutExpired as expired:
        text = (expired.output or b"").decode("utf-8", "backslashreplace")
        return 124, text + f"\n# stopped after {expired.timeout} seconds\n"
    except OSError as error:
        return 127, f"{argv[0]}: {error}\n"
    return done.returncode, done.stdout


def need(argv, what, **options):
    """The output of a program that a step cannot do without."""
    status, output = run(argv, **options)
    if status != 0:
        lines = output.splitlines()
        errors = [line for line in lines if " error:" in line or "ERROR:" in line or "undefined reference" in line]
        raise Stop(f"{what} (exit status {status})", errors[:20] or lines[-40:])
    return output


def files(*patterns):
    """The files of the work tree that match, tracked or new, sorted."""
    status, output = run(["git", "-c", f"safe.directory={ROOT}", "ls-files", "-co", "--exclude-standard", "-z",
                          "--", *patterns])
    if status == 0:
        return sorted(p for p in set(output.split("\0")) if p and os.path.isfile(os.path.join(ROOT, p)))
    # Not a repository: a source archive, or the copy that the other person tests.
    status, output = run(["find", ".", "-name", "build*", "-prune", "-o", "-type", "f", "-print0"])
    found = [p[2:] for p in output.split("\0") if p]
    import fnmatch
    return sorted(p for p in found if not patterns or any(fnmatch.fnmatch(p, q) for q in patterns))


def interactive():
    return sys.stdout.isatty()

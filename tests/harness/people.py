"""End-to-end tests, as root and as an ordinary user.

The caller tests the checkout's own build. The other person cannot be expected to read the checkout (it
may lie in a private home), let alone write to it, so a copy is made that anybody reads; this program runs
again from there (`tests/run --as …`), builds in a folder of its own and reports its counts.

Root's other person is the user igloo-test, who is made if missing; an ordinary user's is root, where sudo
asks no password. Both get a clean environment: no variable of the caller's but what make() lists.
"""

import atexit
import concurrent.futures
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid

from . import suites
from .report import JOBS, ROOT, Report, Stop, files, run

USER = "igloo-test"
COUNTS = "\x01counts "
ROOT_REASON = "root, or sudo without a password"
# What a machine behind a proxy needs to fetch packages, and nothing else, comes from the caller.
PASSED = ("LANG", "http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE", "NIX_SSL_CERT_FILE", "IGLOO_TEST_CACHE",
          "IGLOO_TEST_KERNEL")
TEST_SECONDS = 600
# They wait more than they work. Those that take longest begin first, so that none is alone at the end.
AT_ONCE = 2 * JOBS
LONGEST = ["killed.py", "vmdisk.sh", "netfaults.sh", "vm.sh", "network.sh", "vmfaults.sh", "vmdisplay.sh", "vmnixos.sh",
           "escape_flakes.sh", "netcanary.sh", "netclients.sh", "nixes.sh"]

only = []
_pkgs = None
_daemon = None
_folders = []


def sudo():
    """What makes a command root's, or None."""
    if os.geteuid() == 0:
        return []
    status, _ = run(["sudo", "-n", "true"])
    return ["sudo", "-n", "env", *(f"{k}={os.environ[k]}" for k in PASSED if k in os.environ)] if status == 0 else None


def environment(**more):
    base = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "TERM": "xterm"}
    base.update({k: os.environ[k] for k in PASSED if k in os.environ})
    base.update(more)
    return base


def folder(prefix):
    path = tempfile.mkdtemp(prefix=prefix, dir="/tmp")
    _folders.append(path)
    return path


def fixture():
    """(folder of the package flake, None), or (None, why there is none). Made as root, once."""
    global _pkgs
    if _pkgs is None:
        given = os.environ.get("IGLOO_E2E_PKGS")
        prefix = sudo()
        if given:
            _pkgs = given, None
        elif prefix is None:
            _pkgs = None, f"packages in the host's Nix store ({ROOT_REASON})"
        else:
            status, output = run([*prefix, os.path.join(ROOT, "tests/e2e/fixture")], timeout=1200)
            if status:
                raise Stop("tests/e2e/fixture failed", output.splitlines()[-30:])
            _pkgs = output.splitlines()[-1], None
    return _pkgs


def kernel(report):
    """Sets IGLOO_TEST_KERNEL, the folder of an unpacked kernel package for machines, if it can be had. Where it is not
    set, the tests of machines are skipped."""
    prefix = sudo()
    if "IGLOO_TEST_KERNEL" in os.environ or not shutil.which("qemu-system-x86_64") or prefix is None:
        return
    status, output = run([*prefix, os.path.join(ROOT, "tests/e2e/kernel")], timeout=600)
    if status == 0:
        os.environ["IGLOO_TEST_KERNEL"] = output.splitlines()[-1]
    else:
        report.say(f"no kernel for machines: {output.strip()}")


def daemon():
    """Serves the store to ordinary users until leave()."""
    global _daemon
    prefix = sudo()
    if _daemon is None and prefix is not None:
        _daemon = subprocess.Popen([*prefix, os.path.join(ROOT, "tests/e2e/daemon")], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, start_new_session=True)
        if _daemon.stdout.readline().strip() != b"ready":
            raise Stop("nix-daemon does not start")


def leave():
    global _daemon
    if _daemon is not None:
        _daemon.stdin.close()
        _daemon.wait()
        _daemon = None
    while _folders:
        remove(_folders.pop())


atexit.register(leave)


def remove(path):
    """Store paths are read-only, folders too."""
    run(["chmod", "-R", "u+rwX", path], cwd="/")
    shutil.rmtree(path, ignore_errors=True)


# -- the tests ---------------------------------------------------------------------------------------


def e2e_files(names=()):
    # git's * matches folders too: what lies in them belongs to a test.
    found = [p for p in files("tests/e2e/*.sh", "tests/e2e/*.py")
             if os.path.dirname(p) == "tests/e2e" and not p.endswith(("/lib.sh", "/lib.py"))]
    wanted = {os.path.basename(name) for name in names}
    unknown = wanted - {os.path.basename(p) for p in found}
    if unknown:
        raise Stop(f"there is no tests/e2e/{sorted(unknown)[0]}")
    return [p for p in found if not wanted or os.path.basename(p) in wanted]


def e2e(report, igloo, who, names=(), extra=None):
    """Runs end-to-end tests as whoever we are, with this igloo."""
    pkgs, why = fixture()
    paths = e2e_files(names)
    if not pkgs:
        for path in paths:
            report.skip(f"{who} {os.path.basename(path)}", why)
        return
    top = folder("igloo-e2e-")
    mark = uuid.uuid4().hex
    os.makedirs(f"{top}/bin")
    os.symlink(igloo, f"{top}/bin/igloo")
    env = environment(IGLOO_E2E_PKGS=pkgs, IGLOO_E2E_MARK=mark, TMPDIR=top, PYTHONDONTWRITEBYTECODE="1", **(extra or {}))
    env["PATH"] = f"{top}/bin:" + env["PATH"]

    took = {}

    def one(path):
        interpreter = ["bash"] if path.endswith(".sh") else [sys.executable]
        began = time.monotonic()
        done = path, *run_group([*interpreter, os.path.join(ROOT, path)], env)
        took[os.path.basename(path)] = time.monotonic() - began
        return done

    paths.sort(key=lambda path: (LONGEST + [os.path.basename(path)]).index(os.path.basename(path)))
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        for path, status, output in pool.map(one, paths):
            report.tap(f"{who} {os.path.basename(path)}", output, status)
    longest = sorted(took, key=took.get, reverse=True)[:10]
    report.say("longest: " + ", ".join(f"{name} {took[name]:.0f} s" for name in longest))
    left = end_marked(mark)
    report.fail(f"{who}: processes are left running", left) if left else report.ok()
    left = [name for name in os.listdir(top) if name != "bin"]
    report.fail(f"{who}: files are left in the temporary folder", left) if left else report.ok()
    remove(top)


def run_group(argv, env):
    """run(), in a session of its own that ends with it."""
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, env=env,
                                   cwd="/", start_new_session=True)
        try:
            status = process.wait(TEST_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            status = 124
        out.seek(0)
        text = out.read().decode("utf-8", "backslashreplace")
    if status == 124:
        text += f"not ok 9999 - ends within {TEST_SECONDS} seconds\n"
    return status, text


def end_marked(mark):
    """Kills the processes that still have the mark in their environment; what they were."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as handle:
                if mark.encode() not in handle.read():
                    continue
            with open(f"/proc/{pid}/cmdline", "rb") as handle:
                found.append(f"{pid}: " + handle.read(500).replace(b"\0", b" ").decode(errors="backslashreplace"))
            os.kill(int(pid), signal.SIGKILL)
        except OSError:
            continue
    return found


# -- the people --------------------------------------------------------------------------------------


def me():
    return "root" if os.geteuid() == 0 else "user"


def e2e_caller(report):
    if os.geteuid() != 0:
        daemon()
    e2e(report, os.path.join(suites.main_build(), "src", "igloo"), me(), only)


def e2e_sanitized(report, igloo, variables):
    if os.geteuid() != 0:
        daemon()
    e2e(report, igloo, f"sanitizers, {me()}:", ["run.sh", "netload.sh"], variables)


def e2e_other(report):
    other = "user" if os.geteuid() == 0 else "root"
    prefix = become_user() if other == "user" else sudo()
    if prefix is None:
        return report.skip(f"end-to-end tests as {other}", ROOT_REASON)
    pkgs, why = fixture()
    if not pkgs:
        return report.skip(f"end-to-end tests as {other}", why)
    daemon()
    copy = folder("igloo-check-")
    os.chmod(copy, 0o755)
    copy_tree(os.path.join(copy, "igloo"))
    env = environment(IGLOO_E2E_PKGS=pkgs, HOME=copy, PYTHONDONTWRITEBYTECODE="1")
    words = [f"{key}={value}" for key, value in env.items()]
    argv = [*prefix, "env", "-i", *words, "/usr/bin/python3", os.path.join(copy, "igloo/tests/run"), "--as", other]
    counts = None
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=copy,
                          encoding="utf-8", errors="backslashreplace", start_new_session=True) as child:
        for line in child.stdout:
            if line.startswith(COUNTS):
                counts = json.loads(line[len(COUNTS):])
            else:
                report.say(line.rstrip("\n"))
    if counts is None:
        raise Stop(f"the tests as {other} ended early (exit status {child.returncode})")
    return report.add(counts)


def become_user():
    """What makes a command the test user's."""
    try:
        pwd.getpwnam(USER)
    except KeyError:
        status, output = run(["useradd", "--user-group", "--no-create-home", "--home-dir", "/nonexistent",
                              "--shell", "/bin/bash", "--comment", "igloo's tests", USER])
        if status:
            raise Stop(f"useradd {USER} failed", output.splitlines()) from None
    return ["setpriv", "--reuid", USER, "--regid", USER, "--init-groups", "--"]


def copy_tree(target):
    for path in files():
        source, copy = os.path.join(ROOT, path), os.path.join(target, path)
        os.makedirs(os.path.dirname(copy), exist_ok=True)
        shutil.copy2(source, copy, follow_symlinks=False)
    run(["chmod", "-R", "a+rX", target], cwd="/")


def as_other(argv):
    """`tests/run --as WHO`: what the other person does. Prints the counts for e2e_other()."""
    os.umask(0o022)
    who = argv[0]
    report = Report()
    top = folder("igloo-build-")
    # Meson and the unit tests want a home that can be written to.
    os.environ.update(HOME=f"{top}/home", TMPDIR=f"{top}/tmp", XDG_RUNTIME_DIR=f"{top}/run")
    for name in ("home", "tmp", "run"):
        os.mkdir(f"{top}/{name}", 0o700)
    try:
        build = suites.build("gcc", "gcc", ["-Dwerror=true"], top=top)
        suites.meson_tests(report, build, f"unit, {who}:", ["unit", "cli"])
        e2e(report, os.path.join(build, "src", "igloo"), who)
    except Stop as stop:
        report.fail(f"{who}: {stop}", stop.lines)
    finally:
        leave()
    print(COUNTS + json.dumps({"passed": report.passed, "failed": report.failed, "skipped": report.skipped,
                               "failures": report.failures, "reasons": report.reasons}), flush=True)
    return 0
